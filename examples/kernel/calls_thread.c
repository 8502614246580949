/* SPDX-License-Identifier: MIT */
/*
 * calls_thread.c - system calls on threads. clone() makes threads of the same process with the flags
 * that POSIX threads use: what they say is shared is all there is to share. Without them it makes a process
 * (family.c).
 *
 * There are no restartable sequences: rseq() is absent, and the C library then asks getcpu().
 */
#include "calls.h"
#include "family.h"

#define CLONE_NEEDED (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define CLONE_KNOWN                                                                                          \
	(CLONE_NEEDED | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |          \
	    CLONE_DETACHED | CLONE_CHILD_SETTID)

/* The number is where it has to be before either of the two goes on. */
static int64_t start(struct thread *thread, const struct clone *clone)
{
	const uint32_t tid = thread->tid;
	struct process *process = thread->process;

	if (((clone->flags & CLONE_PARENT_SETTID) != 0 &&
		kernel_copy_out(clone->parent_tid, &tid, sizeof(tid)) != 0) ||
	    ((clone->flags & CLONE_CHILD_SETTID) != 0 &&
		kernel_copy_out(clone->child_tid, &tid, sizeof(tid)) != 0)) {
		thread_discard(thread);
		return -EFAULT;
	}
	kernel_lock();
	if (process->ending) {
		thread->state = THREAD_ENDED;
		process->live--;
		thread_end();
	}
	sched_ready(thread);
	kernel_unlock();
	return tid;
}

static int64_t clone_thread(const uint64_t *argument, const struct clone *clone)
{
	struct thread *parent = thread_current(), *thread;

	if ((clone->flags & CLONE_THREAD) == 0) {
		return family_fork(argument, clone);
	}
	if ((clone->flags & CLONE_NEEDED) != CLONE_NEEDED || (clone->flags & ~(uint64_t)CLONE_KNOWN) != 0) {
		return -EINVAL;
	}
	thread = thread_create(parent->process);
	if (thread == NULL) {
		return -EAGAIN;
	}
	thread->signal_mask = parent->signal_mask;
	if ((clone->flags & CLONE_CHILD_CLEARTID) != 0) {
		thread->clear_tid = clone->child_tid;
	}
	port_thread_fork(&thread->port, (char *)thread->stack + KERNEL_STACK_SIZE,
	    (void *)(uintptr_t)(kernel_direct_map + thread->fp_frame), argument, clone->stack,
	    (clone->flags & CLONE_SETTLS) != 0 ? &clone->tls : NULL);
	return start(thread, clone);
}

int64_t call_clone(const uint64_t *argument)
{
	const struct clone clone = {
	    .flags = argument[0] & ~UINT64_C(0xff), /* a signal for the parent, by default SIGCHLD */
	    .stack = argument[1],
	    .parent_tid = argument[2],
	    .tls = argument[PORT_CLONE_TLS],
	    .child_tid = argument[7 - PORT_CLONE_TLS],
	};

	return clone_thread(argument, &clone);
}

/* struct clone_args, version 0: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
 * What later versions add must be zero. */
int64_t call_clone3(const uint64_t *argument)
{
	enum { WORDS_FIRST = 8, WORDS_MAX = 11 };
	uint64_t words[WORDS_MAX] = {0};
	struct clone clone;

	if (argument[1] < WORDS_FIRST * sizeof(words[0]) || argument[1] > sizeof(words)) {
		return -EINVAL;
	}
	if (kernel_copy_in(words, argument[0], argument[1]) != 0) {
		return -EFAULT;
	}
	if (words[4] > 64 || words[8] != 0 || words[9] != 0 || words[10] != 0) {
		return -EINVAL;
	}
	clone = (struct clone){
	    .flags = words[0],
	    .stack = words[5] + words[6],
	    .parent_tid = words[3],
	    .child_tid = words[2],
	    .tls = words[7],
	};
	return clone_thread(argument, &clone);
}

int64_t call_exit(const uint64_t *argument)
{
	thread_exit((unsigned)argument[0] & 0xff);
}

int64_t call_gettid(const uint64_t *argument)
{
	(void)argument;
	return thread_current()->tid;
}

int64_t call_set_tid_address(const uint64_t *argument)
{
	thread_current()->clear_tid = argument[0];
	return thread_current()->tid;
}

int64_t call_set_robust_list(const uint64_t *argument)
{
	if (argument[1] != 3 * sizeof(uint64_t)) {
		return -EINVAL;
	}
	thread_current()->robust_list = argument[0];
	return 0;
}

int64_t call_sched_yield(const uint64_t *argument)
{
	(void)argument;
	kernel_lock();
	sched_yield();
	sched_leave();
	return 0;
}

/* The call answers the size of the kernel's set. */
int64_t call_sched_getaffinity(const uint64_t *argument)
{
	const uint64_t cpus = kernel_cpu_count == 64 ? UINT64_MAX : (UINT64_C(1) << kernel_cpu_count) - 1;
	int64_t result;

	if (argument[1] < sizeof(cpus)) {
		return -EINVAL;
	}
	result = kernel_copy_out(argument[2], &cpus, sizeof(cpus));
	return result != 0 ? result : (int64_t)sizeof(cpus);
}

/* There is one node. */
int64_t call_getcpu(const uint64_t *argument)
{
	const uint32_t cpu = cpu_this()->number, node = 0;

	if (argument[0] != 0 && kernel_copy_out(argument[0], &cpu, sizeof(cpu)) != 0) {
		return -EFAULT;
	}
	return argument[1] != 0 ? kernel_copy_out(argument[1], &node, sizeof(node)) : 0;
}
