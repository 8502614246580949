/* SPDX-License-Identifier: MIT */
/*
 * locks.h - the kernel's locks.
 *
 * A lock is a word that is exchanged: fair queues would hand it to CPUs that the machine under this one has
 * put aside. Who waits does what other CPUs ask of it meanwhile (cpus.c, C1), so a lock may be held across a
 * call to other CPUs. The kernel is not preempted, so nobody holds a lock for longer than his own code takes.
 *
 * L1. Order: a process's memory, the kernel's, the output's; each may be taken without the ones before it.
 *     The library, which has locks of its own, is never called with the kernel's lock held.
 * L2. The kernel's lock is held across a switch of threads: who begins to run gives it up (sched.c).
 *
 * In a kernel for one CPU there is nothing of this.
 */
#ifndef KERNEL_LOCKS_H
#define KERNEL_LOCKS_H

#include "cpus.h"

extern struct lock kernel_lock_word, output_lock_word;

/* Takes a lock that was found taken. */
void lock_wait(struct lock *lock);

static inline void lock_take(struct lock *lock)
{
#if VMEM_MAX_CPUS > 1
	if (__builtin_expect(__atomic_exchange_n(&lock->taken, 1u, __ATOMIC_ACQUIRE) != 0, 0)) {
		lock_wait(lock);
	}
#else
	(void)lock;
#endif
}

static inline void lock_drop(struct lock *lock)
{
#if VMEM_MAX_CPUS > 1
	__atomic_store_n(&lock->taken, 0u, __ATOMIC_RELEASE);
#else
	(void)lock;
#endif
}

/* Everything of the kernel that several CPUs use: marked [k] where it is declared. */
static inline void kernel_lock(void)
{
	lock_take(&kernel_lock_word);
}

static inline void kernel_unlock(void)
{
	lock_drop(&kernel_lock_word);
}

#endif
