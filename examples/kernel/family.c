/* SPDX-License-Identifier: MIT */
/*
 * family.c - processes that come from processes: fork, vfork; who waits for them: wait.c.
 *
 * F1. A process that has ended stays until its parent has asked how. Without a parent it is freed when the
 *     next process is made, or by the boot context.
 * F2. What a forked process has mapped goes with its last thread; the rest with the process (P1 in
 * process.c). F3. A child of vfork() runs in its lender's space, and the thread that made it waits, until
 *     the child ends or runs another program. A lender that ends meanwhile leaves the space to the child.
 *
 * F4. A child has the handlers, the mask and the other stack of the thread that made it, but nothing pending.
 *
 * Lock: the kernel's, for all of it.
 */
#include <vmem/copy.h>

#include "calls.h"
#include "family.h"
#include "files.h"
#include "stretch.h"

/* The thread that lent its process's space to this one goes on. */
static void wake_lender(const struct process *process)
{
	for (struct thread *t = process->lender->threads; t != NULL; t = t->sibling) {
		if (t->lends == process) {
			t->lends = NULL;
			if (t->state == THREAD_WAITING) {
				sched_wake(t);
			}
		}
	}
}

struct vmem_aspace *family_leave_space(struct process *process)
{
	struct process *heir = process->lender;
	struct vmem_aspace *own = heir == NULL ? process->aspace : NULL;

	if (process->lender != NULL) {
		wake_lender(process);
		process->lender = NULL;
	}
	for (struct process *p = process_next(NULL); p != NULL; p = process_next(p)) {
		if (p->lender == process) {
			p->lender = heir;
			heir = heir != NULL ? heir : p;
			own = NULL;
		}
	}
	process->aspace = NULL;
	return own;
}

void family_ended(struct process *process)
{
	for (struct process *p = process_next(NULL); p != NULL; p = process_next(p)) {
		if (p->parent == process) {
			p->parent = NULL;
		}
	}
	wait_ended(process);
}

void family_free_orphans(void)
{
	for (;;) {
		struct process *orphan;

		kernel_lock();
		for (orphan = process_next(NULL); orphan != NULL; orphan = process_next(orphan)) {
			if (orphan->state == PROCESS_ENDED && orphan->forked && orphan->parent == NULL) {
				orphan->state = PROCESS_MADE;
				break;
			}
		}
		kernel_unlock();
		if (orphan == NULL) {
			return;
		}
		process_free(orphan);
	}
}

/* Memory and files of a new process; it has no thread yet. */
static int64_t inherit(struct process *child, struct process *parent, bool lends)
{
	vmem_status_t status = VMEM_OK;

	kernel_lock();
	*child = *parent;
	child->state = PROCESS_MADE;
	child->memory = (struct lock){0};
	child->threads = child->waiters = NULL;
	child->live = 0;
	child->pending = (struct signal_pending){0}; /* F4 */
	child->stopped = child->stop_untold = child->go_untold = false;
	child->parent = NULL;
	child->lender = lends ? parent : NULL;
	child->forked = true;
	files_inherit(child);
	kernel_unlock();
	if (!lends) {
		lock_take(&parent->memory); /* user_word.c */
		status = vmem_aspace_fork(parent->aspace, &child->aspace);
		lock_drop(&parent->memory);
		child->aspace = status == VMEM_OK ? child->aspace : NULL;
		child->posix.aspace = child->aspace;
		child->posix.future = 0; /* nor is anything locked: a lock is the parent's alone */
	}
	return status == VMEM_OK ? 0 : -ENOMEM;
}

static void discard(struct process *child)
{
	kernel_lock();
	files_close_all(child);
	if (child->lender != NULL) {
		child->aspace = NULL;
	}
	kernel_unlock();
	process_free(child);
}

/* The number is where it has to be before either of the two goes on. */
static bool tell(const struct clone *clone, struct process *child, uint32_t tid)
{
	return ((clone->flags & CLONE_PARENT_SETTID) == 0 ||
		   kernel_copy_out(clone->parent_tid, &tid, sizeof(tid)) == 0) &&
	       ((clone->flags & CLONE_CHILD_SETTID) == 0 ||
		   vmem_copy_to_user(child->aspace, clone->child_tid, &tid, sizeof(tid)) == sizeof(tid));
}

/* Lets the child run; the thread of a vfork() waits for it. */
static int64_t begin(struct process *child, struct thread *thread, bool waits)
{
	struct thread *self = thread_current();
	const uint32_t pid = child->pid;

	kernel_lock();
	child->parent = self->process;
	child->state = PROCESS_READY;
	process_live++;
	sched_ready(thread);
	if (!waits) {
		kernel_unlock();
		stretch_end();
		return pid;
	}
	self->lends = child;
	while (self->lends != NULL) {
		sched_sleep();
	}
	sched_leave();
	return pid;
}

int64_t family_fork(const uint64_t *argument, const struct clone *clone)
{
	const uint64_t known = CLONE_VM | CLONE_VFORK | CLONE_SETTLS | CLONE_PARENT_SETTID |
			       CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
	const bool lends = (clone->flags & CLONE_VM) != 0;
	struct process *child;
	struct thread *thread;

	/* Two processes in one space at the same time are not to be had. */
	if ((clone->flags & ~known) != 0 || (lends && (clone->flags & CLONE_VFORK) == 0)) {
		return -EINVAL;
	}
	stretch_begin(STRETCH_FORK);
	family_free_orphans();
	child = process_take();
	if (child == NULL) {
		return -EAGAIN;
	}
	if (inherit(child, process_current(), lends) != 0) {
		discard(child);
		return -ENOMEM;
	}
	thread = thread_create(child);
	if (thread == NULL) {
		discard(child);
		return -EAGAIN;
	}
	child->pid = thread->tid;
	thread->signal_mask = thread_current()->signal_mask; /* F4 */
	thread->signal_stack = thread_current()->signal_stack;
	thread->clear_tid = (clone->flags & CLONE_CHILD_CLEARTID) != 0 ? clone->child_tid : 0;
	port_thread_fork(&thread->port, (char *)thread->stack + KERNEL_STACK_SIZE,
	    (void *)(uintptr_t)(kernel_direct_map + thread->fp_frame), argument, clone->stack,
	    (clone->flags & CLONE_SETTLS) != 0 ? &clone->tls : NULL);
	if (!tell(clone, child, thread->tid)) {
		thread_discard(thread);
		discard(child);
		return -EFAULT;
	}
	return begin(child, thread, (clone->flags & CLONE_VFORK) != 0);
}

int64_t call_fork(const uint64_t *argument)
{
	return family_fork(argument, &(struct clone){.flags = 0});
}

int64_t call_vfork(const uint64_t *argument)
{
	return family_fork(argument, &(struct clone){.flags = CLONE_VM | CLONE_VFORK});
}

int64_t call_getppid(const uint64_t *argument)
{
	int64_t pid;

	(void)argument;
	kernel_lock();
	pid = process_current()->parent != NULL ? (int64_t)process_current()->parent->pid : 1;
	kernel_unlock();
	return pid;
}
