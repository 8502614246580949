/* SPDX-License-Identifier: MIT */
/*
 * thread.c - making threads and ending them.
 *
 * T1. A thread ends on its own stack, so what it had is used again, by the next thread of its process, or
 *     freed with the process.
 * T2. A process ends with its last thread. To end it earlier (process_end()), `ending` is set: threads that
 *     are ready or wait are taken off their lists and have ended; those that run get an interrupt, and find
 *     `ending` there or before they would wait. Nobody holds anything of the kernel's while he waits.
 * T3. A few records that are free keep their stack and their page of vectors: a process that comes and goes
 *     with one thread need not have them mapped and unmapped. What the page holds is no part of that.
 */
#include <vmem/frame.h>
#include <vmem/kernel.h>

#include "files.h"

#define THREAD_MAX 256u
#define KEPT_MAX 4u

static struct thread threads[THREAD_MAX];
static unsigned last_tid = 100; /* [k] */
static unsigned kept;		/* [k] records that have a stack and are free, or about to be (T3) */

/* An ended thread of the process, with what it had, or a free one. [k] */
static struct thread *find(struct process *process)
{
	struct thread *found = NULL;

	for (struct thread *t = process->threads; t != NULL; t = t->sibling) {
		if (t->state == THREAD_ENDED) {
			return t;
		}
	}
	for (unsigned i = 0; i < THREAD_MAX; i++) {
		if (threads[i].state == THREAD_FREE && (found == NULL || threads[i].stack != NULL)) {
			found = &threads[i];
			if (found->stack != NULL || kept == 0) {
				break;
			}
		}
	}
	if (found != NULL) {
		kept -= found->stack != NULL ? 1u : 0u;
		found->sibling = process->threads;
		process->threads = found;
	}
	return found;
}

static bool allocate(struct thread *thread)
{
	const struct vmem_frame_request request = {.zeroed = true};
	bool done = true;

	if (thread->stack == NULL) {
		done = vmem_kernel_stack_alloc(KERNEL_STACK_SIZE, &thread->stack) == VMEM_OK;
	}
	if (done && thread->fp_frame == 0) {
		done = vmem_frame_alloc(&request, &thread->fp_frame) == VMEM_OK;
	}
	return done;
}

struct thread *thread_create(struct process *process)
{
	struct thread *thread;

	kernel_lock();
	thread = find(process);
	if (thread != NULL) {
		*thread = (struct thread){
		    .state = THREAD_NEW,
		    .tid = ++last_tid,
		    .process = process,
		    .aspace = process->aspace,
		    .stack = thread->stack,
		    .fp_frame = thread->fp_frame,
		    .sibling = thread->sibling,
		    .signal_stack = {.flags = SIGNAL_STACK_OFF},
		};
		process->live++;
	}
	kernel_unlock();
	if (thread != NULL && !allocate(thread)) {
		thread_discard(thread);
		return NULL;
	}
	return thread;
}

void thread_discard(struct thread *thread)
{
	kernel_lock();
	thread->state = THREAD_ENDED;
	thread->process->live--;
	kernel_unlock();
}

/* T3 */
static bool keeps(const struct thread *thread)
{
	bool keep;

	kernel_lock();
	keep = thread->stack != NULL && thread->fp_frame != 0 && kept < KEPT_MAX;
	kept += keep ? 1u : 0u;
	kernel_unlock();
	return keep;
}

static void give(struct thread *thread)
{
	if (thread->stack != NULL) {
		vmem_kernel_free(thread->stack);
	}
	if (thread->fp_frame != 0) {
		vmem_frame_free(thread->fp_frame, 0);
	}
	thread->stack = NULL;
	thread->fp_frame = 0;
}

void thread_free_kept(void)
{
	for (unsigned i = 0; i < THREAD_MAX; i++) {
		if (threads[i].state == THREAD_FREE) {
			give(&threads[i]);
		}
	}
	kept = 0;
}

void thread_free_all(struct process *process)
{
	for (struct thread *t = process->threads; t != NULL; t = t->sibling) {
		if (!keeps(t)) {
			give(t);
		}
	}
	kernel_lock();
	for (struct thread *t = process->threads, *next; t != NULL; t = next) {
		next = t->sibling;
		t->state = THREAD_FREE;
	}
	process->threads = NULL;
	kernel_unlock();
}

void thread_end(void)
{
	struct thread *thread = thread_current();
	struct process *process = thread->process;

	if (process->forked && process->live == 1 && process->aspace != NULL) {
		process_leave_space(process);
	}
	thread->state = THREAD_ENDED;
	signal_forget_all(&thread->pending);
	files_forget(thread);
	if (--process->live == 0) {
		process_ended(process);
	} else if (process->pending.set != 0) {
		signal_pass_on(process);
	}
	sched_switch();
	kernel_panic("thread %u runs after its end", thread->tid);
}

void thread_exit(unsigned status)
{
	struct thread *thread = thread_current();

	futex_thread_exit(thread);
	kernel_lock();
	if (!thread->process->ending && thread->process->live == 1) {
		thread->process->status = status;
	}
	thread_end();
}

const char thread_any[1];

void thread_wake_waiters(const void *what)
{
	for (unsigned i = 0; i < THREAD_MAX; i++) {
		struct thread *t = &threads[i];

		if (t->state == THREAD_WAITING && (t->waits_on == what || t->waits_on == thread_any)) {
			sched_wake(t);
		}
	}
}

void thread_end_others(struct process *process)
{
	const unsigned self = cpu_this()->number;
	uint64_t cpus = 0;

	for (struct thread *t = process->threads; t != NULL; t = t->sibling) {
		switch (t->state) {
		case THREAD_RUNNING:
			cpus |= t->cpu != self ? UINT64_C(1) << t->cpu : 0;
			break;
		case THREAD_WAITING:
		case THREAD_READY:
			futex_forget(t);
			sched_forget(t);
			signal_forget_all(&t->pending);
			files_forget(t);
			t->state = THREAD_ENDED;
			process->live--;
			break;
		case THREAD_FREE:
		case THREAD_NEW:
		case THREAD_ENDED:
			break;
		}
	}
	if (cpus != 0) {
		port_cpu_interrupt(cpus);
	}
}
