/* SPDX-License-Identifier: MIT */
/*
 * futex.c - waiting for a word of the program's to change: Linux's futex, less priority inheritance.
 *
 * A process keeps its waiters in one list, in the order in which they came: threads are few. No memory is
 * shared between processes, so an address of the process says all, with FUTEX_PRIVATE_FLAG or without.
 *
 * F1. A thread is on the list before it reads the word. Whoever changes the word and then wakes up finds it
 *     there; or it reads the new value and does not wait. So the kernel's lock, without which user memory is
 *     read, need not cover both.
 * F2. A thread on the list may not wait yet, or no longer (its time has come). To be woken up is to be taken
 *     off the list; a thread that then finds itself off the list has been.
 */
#include "calls.h"
#include "thread.h"

enum {
	FUTEX_WAIT = 0,
	FUTEX_WAKE = 1,
	FUTEX_REQUEUE = 3,
	FUTEX_CMP_REQUEUE = 4,
	FUTEX_WAKE_OP = 5,
	FUTEX_WAIT_BITSET = 9,
	FUTEX_WAKE_BITSET = 10,
	FUTEX_COMMAND = 0x7f,
	FUTEX_CLOCK_REALTIME = 256
};

/* Robust lists: linux/futex.h, Documentation/locking/robust-futex-ABI.rst. */
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu
#define ROBUST_MAX 2048u

static void append(struct process *process, struct thread *thread)
{
	struct thread **at = &process->waiters;

	while (*at != NULL) {
		at = &(*at)->waiter;
	}
	thread->waiter = NULL;
	*at = thread;
}

void futex_forget(struct thread *thread)
{
	struct thread **at = &thread->process->waiters;

	if (thread->futex_address == 0) {
		return;
	}
	while (*at != thread) {
		at = &(*at)->waiter;
	}
	*at = thread->waiter;
	thread->futex_address = 0;
}

unsigned futex_wake(struct process *process, uint64_t address, unsigned most, uint32_t set)
{
	struct thread *next;
	unsigned woken = 0;

	for (struct thread *t = process->waiters; t != NULL && woken < most; t = next) {
		next = t->waiter;
		if (t->futex_address == address && (t->futex_set & set) != 0) {
			futex_forget(t);
			if (t->state == THREAD_WAITING) { /* F2 */
				sched_wake(t);
			}
			woken++;
		}
	}
	return woken;
}

/* Moves up to `most` waiters to another address. They stay in their places: that is still the order in which
 * they came. */
static unsigned requeue(struct process *process, uint64_t from, uint64_t to, unsigned most)
{
	unsigned moved = 0;

	for (struct thread *t = process->waiters; t != NULL && moved < most; t = t->waiter) {
		if (t->futex_address == from) {
			t->futex_address = to;
			moved++;
		}
	}
	return moved;
}

/* 0, -EAGAIN, -EFAULT, -ETIMEDOUT, -EINTR */
static int64_t wait_once(uint64_t address, uint32_t expected, uint32_t set, uint64_t deadline)
{
	struct thread *thread = thread_current();
	int64_t result = 0;
	uint32_t now;
	bool readable, waits;

	kernel_lock();
	thread->futex_address = address; /* F1 */
	thread->futex_set = set;
	append(thread->process, thread);
	kernel_unlock();
	readable = user_word_read(thread->process, address, &now);
	kernel_lock();
	waits = thread->futex_address != 0;
	if (waits && readable && now == expected) {
		do {
			result = -sched_wait(deadline);
		} while (result == 0 && thread->futex_address != 0);
		if (thread->futex_address == 0) { /* F2 */
			result = 0;
		}
	} else if (waits) {
		result = readable ? -EAGAIN : -EFAULT;
	}
	futex_forget(thread);
	sched_leave();
	return result;
}

/* A wait that a signal has cut short begins anew, until the time that it had. */
static int64_t wait(const uint64_t *argument)
{
	struct thread *thread = thread_current();
	const uint64_t deadline = argument[3];
	const int64_t result =
	    argument[2] != 0 ? wait_once(argument[0], (uint32_t)argument[1], (uint32_t)argument[2], deadline)
			     : -EINVAL;

	if (result != -EINTR) {
		return result;
	}
	thread->restart.call = wait;
	memcpy(thread->restart.argument, argument, 4 * sizeof(argument[0]));
	return deadline != 0 ? -ERESTART_BLOCK : -ERESTARTSYS;
}

/* FUTEX_WAKE_OP's operation on the second word, as linux/futex.h packs it: what the word was before. */
static int64_t operate(uint64_t address, uint32_t packed, uint32_t *out_before)
{
	const uint32_t code = packed >> 28 & 7;
	uint32_t operand = packed >> 12 & 0xfff, before, value = 0, found;

	operand = (packed & 0x80000000u) != 0 ? UINT32_C(1) << (operand & 31) : (operand ^ 0x800) - 0x800;
	if (!user_word_read(process_current(), address, &before)) {
		return -EFAULT;
	}
	for (;;) {
		switch (code) {
		case 0:
			value = operand;
			break;
		case 1:
			value = before + operand;
			break;
		case 2:
			value = before | operand;
			break;
		case 3:
			value = before & ~operand;
			break;
		case 4:
			value = before ^ operand;
			break;
		default:
			return -ENOSYS;
		}
		if (!user_word_exchange(process_current(), address, before, value, &found)) {
			return -EFAULT;
		}
		if (found == before) {
			*out_before = before;
			return 0;
		}
		before = found;
	}
}

static bool compare(uint32_t before, uint32_t packed)
{
	const int32_t a = (int32_t)before, b = (int32_t)(((packed & 0xfff) ^ 0x800) - 0x800);

	switch (packed >> 24 & 15) {
	case 0:
		return a == b;
	case 1:
		return a != b;
	case 2:
		return a < b;
	case 3:
		return a <= b;
	case 4:
		return a > b;
	default:
		return a >= b;
	}
}

static int64_t wake_operate(const uint64_t *argument)
{
	struct process *process = process_current();
	const uint32_t packed = (uint32_t)argument[5];
	uint32_t before;
	int64_t result;

	if ((packed >> 24 & 15) > 5) {
		return -ENOSYS;
	}
	result = operate(argument[4], packed, &before);
	if (result != 0) {
		return result;
	}
	kernel_lock();
	result = futex_wake(process, argument[0], (unsigned)argument[2], UINT32_MAX);
	if (compare(before, packed)) {
		result += futex_wake(process, argument[4], (unsigned)argument[3], UINT32_MAX);
	}
	kernel_unlock();
	return result;
}

static int64_t wake_requeue(const uint64_t *argument, bool compared)
{
	struct process *process = process_current();
	uint32_t now = 0;
	int64_t result;

	if (compared && !user_word_read(process_current(), argument[0], &now)) {
		return -EFAULT;
	}
	if (compared && now != (uint32_t)argument[5]) {
		return -EAGAIN;
	}
	kernel_lock();
	result = futex_wake(process, argument[0], (unsigned)argument[2], UINT32_MAX);
	if (argument[0] != argument[4]) {
		const unsigned moved = requeue(process, argument[0], argument[4], (unsigned)argument[3]);

		result += compared ? moved : 0;
	}
	kernel_unlock();
	return result;
}

int64_t call_futex(const uint64_t *argument)
{
	const unsigned command = (unsigned)argument[1] & FUTEX_COMMAND;
	const bool wall = (argument[1] & FUTEX_CLOCK_REALTIME) != 0;
	const uint32_t set =
	    command == FUTEX_WAIT_BITSET || command == FUTEX_WAKE_BITSET ? (uint32_t)argument[5] : UINT32_MAX;
	uint64_t deadline = 0;
	int64_t result = 0;

	if ((argument[0] & 3) != 0 || argument[0] == 0) {
		return argument[0] == 0 ? -EFAULT : -EINVAL;
	}
	switch (command) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		if (argument[3] != 0) {
			result = kernel_deadline(
			    wall ? 0 : 1, argument[3], command == FUTEX_WAIT_BITSET, &deadline);
		}
		return result != 0 ? result
				   : wait((const uint64_t[4]){argument[0], argument[2], set, deadline});
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		if (set == 0) {
			return -EINVAL;
		}
		kernel_lock();
		result = futex_wake(process_current(), argument[0], (unsigned)argument[2], set);
		kernel_unlock();
		return result;
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return wake_requeue(argument, command == FUTEX_CMP_REQUEUE);
	case FUTEX_WAKE_OP:
		return wake_operate(argument);
	default:
		return -ENOSYS;
	}
}

/* A lock whose owner dies: the word says so, and one who waits for it goes on. */
static void lock_dies(struct thread *thread, uint64_t address)
{
	uint32_t word, found;

	if (!user_word_read(thread->process, address, &word)) {
		return;
	}
	while ((word & FUTEX_TID_MASK) == thread->tid) {
		if (!user_word_exchange(
			thread->process, address, word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &found)) {
			return;
		}
		if (found == word) {
			kernel_lock();
			(void)futex_wake(thread->process, address, 1, UINT32_MAX);
			kernel_unlock();
			return;
		}
		word = found;
	}
}

/* The head: first entry, offset of the lock word from an entry, the entry that was about to be linked or
 * unlinked. Bit 0 of an entry's address marks a priority-inheriting lock, which there is none of. */
static void robust_list_exit(struct thread *thread)
{
	uint64_t head[3], entry, next;

	if (thread->robust_list == 0 || kernel_copy_in(head, thread->robust_list, sizeof(head)) != 0) {
		return;
	}
	entry = head[0] & ~UINT64_C(1);
	for (unsigned i = 0; i < ROBUST_MAX && entry != thread->robust_list; i++) {
		const bool more = kernel_copy_in(&next, entry, sizeof(next)) == 0;

		if (entry != (head[2] & ~UINT64_C(1))) {
			lock_dies(thread, entry + head[1]);
		}
		if (!more) {
			break;
		}
		entry = next & ~UINT64_C(1);
	}
	if ((head[2] & ~UINT64_C(1)) != 0) {
		lock_dies(thread, (head[2] & ~UINT64_C(1)) + head[1]);
	}
}

void futex_thread_exit(struct thread *thread)
{
	const uint32_t none = 0;

	robust_list_exit(thread);
	if (thread->clear_tid != 0 && kernel_copy_out(thread->clear_tid, &none, sizeof(none)) == 0) {
		kernel_lock();
		(void)futex_wake(thread->process, thread->clear_tid, 1, UINT32_MAX);
		kernel_unlock();
	}
}
