/* SPDX-License-Identifier: MIT */
/*
 * family.h - processes that come from processes (family.c), and programs that replace programs (exec.c).
 */
#ifndef KERNEL_FAMILY_H
#define KERNEL_FAMILY_H

#include "thread.h"

enum {
	CLONE_VM = 0x100,
	CLONE_FS = 0x200,
	CLONE_FILES = 0x400,
	CLONE_SIGHAND = 0x800,
	CLONE_VFORK = 0x4000,
	CLONE_THREAD = 0x10000,
	CLONE_SYSVSEM = 0x40000,
	CLONE_SETTLS = 0x80000,
	CLONE_PARENT_SETTID = 0x100000,
	CLONE_CHILD_CLEARTID = 0x200000,
	CLONE_DETACHED = 0x400000,
	CLONE_CHILD_SETTID = 0x1000000
};

/* What clone() is asked for. */
struct clone {
	uint64_t flags, stack, parent_tid, child_tid, tls;
};

/* A process as the running one is; `argument` as for port_thread_fork(). Its number, or -errno. */
int64_t family_fork(const uint64_t *argument, const struct clone *clone);
/* The process gives up its space: the space, if it is to be destroyed; NULL: it is, or has become, another
 * one's. With the kernel's lock. */
struct vmem_aspace *family_leave_space(struct process *process);
/* The process has ended: who waits for it, and whom it would wait for. With the kernel's lock. */
void family_ended(struct process *process);
/* wait.c, with the kernel's lock: the same for its parent; and that it has stopped, or goes on. */
void wait_ended(struct process *process);
void wait_stopped(struct process *process);
void wait_goes_on(struct process *process);
/* Frees processes for which nobody waits. */
void family_free_orphans(void);

#endif
