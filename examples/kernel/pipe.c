/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - pipes. A ring of bytes, with a lock of its own while they are copied to or from a program.
 *
 * Q1. Who finds no bytes, or no room, waits; he looks once more with the kernel's lock before that. Who
 *     changes `used`, or closes a side, wakes up afterwards, with the kernel's lock: so no change is
 *     overlooked.
 * Q2. A write of at most PIPE_WHOLE bytes waits until all of them have room.
 *
 * Locks: the pipe's, under which user memory is copied; then the kernel's alone, to wait and to wake up.
 */
#include "pipe.h"

#include <vmem/copy.h>
#include <vmem/kernel.h>

#include "thread.h"

#define PIPES 32u

enum { POLL_IN = 1, POLL_OUT = 4, POLL_ERROR = 8, POLL_HANG_UP = 16 };

static struct pipe pipes[PIPES];

struct pipe *pipe_create(void)
{
	struct pipe *pipe = NULL;
	void *bytes;

	kernel_lock();
	for (unsigned i = 0; i < PIPES && pipe == NULL; i++) {
		pipe = pipes[i].taken ? NULL : &pipes[i];
	}
	if (pipe != NULL) {
		pipe->taken = true;
		pipe->readers = pipe->writers = 1;
		pipe->first = pipe->used = 0;
	}
	kernel_unlock();
	if (pipe != NULL && pipe->bytes == NULL) {
		if (vmem_kernel_alloc(PIPE_SIZE, &bytes) != VMEM_OK) {
			kernel_lock();
			pipe->taken = false;
			kernel_unlock();
			return NULL;
		}
		pipe->bytes = bytes;
	}
	return pipe;
}

void pipes_forget(void)
{
	for (unsigned i = 0; i < PIPES; i++) {
		if (!pipes[i].taken && pipes[i].bytes != NULL) {
			vmem_kernel_free(pipes[i].bytes);
			pipes[i].bytes = NULL;
		}
	}
}

uint64_t pipe_number(const struct pipe *pipe)
{
	return UINT64_C(1) << 21 | (uint64_t)(pipe - pipes);
}

void pipe_close(struct pipe *pipe, bool writer)
{
	if (writer) {
		pipe->writers--;
	} else {
		pipe->readers--;
	}
	pipe->taken = pipe->readers + pipe->writers != 0;
	thread_wake_waiters(pipe);
}

unsigned pipe_events(const struct pipe *pipe, bool writer)
{
	if (writer) {
		return (PIPE_SIZE - pipe->used >= PIPE_WHOLE ? POLL_OUT : 0u) |
		       (pipe->readers == 0 ? POLL_ERROR : 0u);
	}
	return (pipe->used != 0 ? POLL_IN : 0u) | (pipe->writers == 0 ? POLL_HANG_UP : 0u);
}

static void wake(struct pipe *pipe)
{
	kernel_lock();
	thread_wake_waiters(pipe);
	kernel_unlock();
}

/* Bytes from the ring; how many, -EFAULT. */
static int64_t take(struct pipe *pipe, uint64_t to, uint64_t length)
{
	struct vmem_aspace *aspace = process_current()->aspace;
	uint64_t done = 0;
	bool bad = false;

	lock_take(&pipe->lock);
	while (done < length && pipe->used != 0 && !bad) {
		const uint64_t at = pipe->first % PIPE_SIZE, run = PIPE_SIZE - at;
		uint64_t part = length - done < pipe->used ? length - done : pipe->used;
		size_t got;

		part = part < run ? part : run;
		got = vmem_copy_to_user(aspace, to + done, pipe->bytes + at, (size_t)part);
		bad = got < part;
		done += got;
		pipe->first += got;
		pipe->used -= got;
	}
	lock_drop(&pipe->lock);
	return bad && done == 0 ? -EFAULT : (int64_t)done;
}

/* Bytes into the ring, as many as have room, if that is at least `least`. */
static int64_t put(struct pipe *pipe, uint64_t from, uint64_t length, uint64_t least)
{
	struct vmem_aspace *aspace = process_current()->aspace;
	uint64_t done = 0;
	bool bad = false;

	lock_take(&pipe->lock);
	while (done < length && pipe->used != PIPE_SIZE && !bad &&
	       (done != 0 || PIPE_SIZE - pipe->used >= least)) {
		const uint64_t at = (pipe->first + pipe->used) % PIPE_SIZE, run = PIPE_SIZE - at;
		const uint64_t room = PIPE_SIZE - pipe->used;
		uint64_t part = length - done < room ? length - done : room;
		size_t got;

		part = part < run ? part : run;
		got = vmem_copy_from_user(aspace, pipe->bytes + at, from + done, (size_t)part);
		bad = got < part;
		done += got;
		pipe->used += got;
	}
	lock_drop(&pipe->lock);
	return bad && done == 0 ? -EFAULT : (int64_t)done;
}

/* Waits for the other side. 0, or -ERESTARTSYS. With the kernel's lock, which it gives up. */
static int64_t wait_for_other(struct pipe *pipe)
{
	struct thread *thread = thread_current();
	int woken;

	thread->waits_on = pipe;
	woken = sched_wait(0);
	thread->waits_on = NULL;
	sched_leave();
	return woken == EINTR ? -ERESTARTSYS : 0;
}

int64_t pipe_read(struct pipe *pipe, uint64_t to, uint64_t length, bool waits)
{
	int64_t result = 0;

	if (length == 0) {
		return 0;
	}
	for (;;) {
		result = take(pipe, to, length);
		if (result != 0) {
			wake(pipe);
			return result;
		}
		kernel_lock();
		if (pipe->used != 0) { /* Q1 */
			kernel_unlock();
			continue;
		}
		if (pipe->writers == 0 || !waits) {
			result = pipe->writers == 0 ? 0 : -EAGAIN;
			kernel_unlock();
			return result;
		}
		result = wait_for_other(pipe);
		if (result != 0) {
			return result;
		}
	}
}

/* Nobody will ever read it. */
static int64_t broken(void)
{
	const struct signal_info info = {
	    .number = SIGNAL_PIPE,
	    .code = SIGNAL_BY_USER,
	    .sender = {.pid = process_current()->pid, .uid = KERNEL_USER},
	};

	kernel_lock();
	(void)signal_send(process_current(), thread_current(), &info);
	kernel_unlock();
	return -EPIPE;
}

int64_t pipe_write(struct pipe *pipe, uint64_t from, uint64_t length, bool waits)
{
	const uint64_t least = length <= PIPE_WHOLE ? length : 1; /* Q2 */
	uint64_t done = 0;
	int64_t result = 0;

	while (done < length) {
		kernel_lock();
		if (pipe->readers == 0) {
			kernel_unlock();
			return done != 0 ? (int64_t)done : broken();
		}
		kernel_unlock();
		result = put(pipe, from + done, length - done, least);
		if (result < 0) {
			break;
		}
		if (result > 0) {
			done += (uint64_t)result;
			wake(pipe);
			continue;
		}
		kernel_lock();
		if (PIPE_SIZE - pipe->used >= least || pipe->readers == 0) { /* Q1 */
			kernel_unlock();
			continue;
		}
		if (!waits) {
			kernel_unlock();
			result = -EAGAIN;
			break;
		}
		result = wait_for_other(pipe);
		if (result != 0) {
			break;
		}
	}
	return done != 0 ? (int64_t)done : result;
}
