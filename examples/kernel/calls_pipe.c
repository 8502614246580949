/* SPDX-License-Identifier: MIT */
/*
 * calls_pipe.c - pipe() and poll(). Everything but pipes can be read and written at any time.
 */
#include "calls.h"
#include "files.h"
#include "pipe.h"

#define O_NONBLOCK 04000u
#define O_CLOEXEC 02000000u
#define POLL_MOST 64u

enum { POLL_IN = 1, POLL_OUT = 4, POLL_ALWAYS = 8 | 16, POLL_BAD = 32 };

static int64_t make_pipe(uint64_t to, uint64_t flags)
{
	struct pipe *pipe;
	int64_t in, out;
	int32_t pair[2];

	if ((flags & ~(uint64_t)(O_NONBLOCK | O_CLOEXEC)) != 0) {
		return -EINVAL;
	}
	pipe = pipe_create();
	if (pipe == NULL) {
		return -ENFILE;
	}
	in = files_open_pipe(pipe, VMEM_READ, (flags & O_NONBLOCK) != 0);
	out = files_open_pipe(pipe, VMEM_WRITE, (flags & O_NONBLOCK) != 0);
	pair[0] = (int32_t)in;
	pair[1] = (int32_t)out;
	if (in < 0 || out < 0 || kernel_copy_out(to, pair, sizeof(pair)) != 0) {
		if (in >= 0) {
			(void)files_close((uint64_t)in);
		}
		if (out >= 0) {
			(void)files_close((uint64_t)out);
		}
		return in < 0 ? in : out < 0 ? out : -EFAULT;
	}
	files_set_exec((uint64_t)in, (flags & O_CLOEXEC) == 0);
	files_set_exec((uint64_t)out, (flags & O_CLOEXEC) == 0);
	return 0;
}

int64_t call_pipe(const uint64_t *argument)
{
	return make_pipe(argument[0], 0);
}

int64_t call_pipe2(const uint64_t *argument)
{
	return make_pipe(argument[0], argument[1]);
}

struct poll {
	int32_t descriptor;
	int16_t events, happened;
};

/* How many have something to tell. With the kernel's lock. */
static int64_t look(struct poll *polls, uint64_t count)
{
	int64_t found = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct poll *p = &polls[i];
		const struct open_file *file = NULL;
		unsigned now = POLL_BAD;

		p->happened = 0;
		if (p->descriptor < 0) {
			continue;
		}
		if ((uint32_t)p->descriptor < FILES_MAX) {
			file = process_current()->files[p->descriptor];
		}
		if (file != NULL) {
			now = file->kind == FILE_PIPE ? pipe_events(file->pipe, file->access == VMEM_WRITE)
						      : POLL_IN | POLL_OUT;
			now &= (unsigned)(uint16_t)p->events | POLL_ALWAYS;
		}
		p->happened = (int16_t)now;
		found += now != 0 ? 1 : 0;
	}
	return found;
}

/* deadline 0: for ever; 1: not at all. */
static int64_t poll_until(uint64_t at, uint64_t count, uint64_t deadline)
{
	struct poll polls[POLL_MOST];
	struct thread *thread = thread_current();
	int64_t found;
	int woken = deadline == 1 ? ETIMEDOUT : 0;

	if (count > POLL_MOST) {
		return -EINVAL;
	}
	if (kernel_copy_in(polls, at, count * sizeof(polls[0])) != 0) {
		return -EFAULT;
	}
	kernel_lock();
	while ((found = look(polls, count)) == 0 && woken == 0) {
		thread->waits_on = thread_any;
		woken = sched_wait(deadline);
		thread->waits_on = NULL;
	}
	sched_leave();
	if (found == 0 && woken == EINTR) {
		return -ERESTARTNOHAND;
	}
	return kernel_copy_out(at, polls, count * sizeof(polls[0])) != 0 ? -EFAULT : found;
}

int64_t call_poll(const uint64_t *argument)
{
	const int32_t ms = (int32_t)argument[2];
	const uint64_t end = port_clock_ns() + (uint64_t)(uint32_t)ms * 1000000u;

	return poll_until(argument[0], argument[1], ms < 0 ? 0 : ms == 0 ? 1 : end);
}

int64_t call_ppoll(const uint64_t *argument)
{
	uint64_t deadline = 0, time[2];
	int64_t result;

	if (argument[2] != 0) {
		result = kernel_copy_in(time, argument[2], sizeof(time));
		result = result != 0 ? result : kernel_deadline(1, argument[2], false, &deadline);
		if (result != 0) {
			return result;
		}
		deadline = time[0] == 0 && time[1] == 0 ? 1 : deadline;
	}
	if (argument[3] != 0) {
		result = kernel_wait_mask(argument[3], argument[4]);
		if (result != 0) {
			return result;
		}
	}
	return poll_until(argument[0], argument[1], deadline);
}
