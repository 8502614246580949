/* SPDX-License-Identifier: MIT */
/*
 * cpus.h - what the kernel keeps for each CPU, and how CPUs ask each other to do something.
 */
#ifndef KERNEL_CPUS_H
#define KERNEL_CPUS_H

#include <vmem/fault.h>
#include <vmem/trap.h>

#include "kernel.h"

/* Fields are the CPU's own, but: [k] with the kernel's lock; [r] others read it. */
struct kernel_cpu {
	struct port_cpu port; /* first: port_cpu() is its address */
	unsigned number;
	struct thread *current;	    /* NULL: the CPU's own context, in which it waits for work */
	struct vmem_aspace *active; /* [r] the space that is live here */
	/* The fault in hand, for its report if it is refused; RESOLVED whenever no report is due. */
	struct {
		uint64_t address;
		struct vmem_trap trap;
		enum vmem_fault_result result;
	} fault;
	struct port_thread idle; /* the CPU's own context while a thread runs */
	struct thread *sleepers; /* [k] threads that went to sleep here and have a time to wake up */
	bool halted;		 /* [k] in port_idle(), and nobody has woken it up */
	bool ticking;		 /* [k] */
	bool amid;		 /* a call of the library: an interrupt switches no threads (C5) */
	bool put_off;		 /* one has come that would have */
	bool panics;
	uint64_t waits_since, waited_last; /* (cpus.c, C4) */
} __attribute__((aligned(64)));

extern struct kernel_cpu kernel_cpus[KERNEL_CPU_MAX];
extern unsigned kernel_cpu_count; /* CPUs that run */

/* The running CPU. The thread may go on on another after a switch. */
static inline struct kernel_cpu *cpu_this(void)
{
	return (struct kernel_cpu *)(void *)port_cpu();
}

/* Starts the other CPUs and waits until they run. */
void cpus_start(void);
/* Does what other CPUs have asked this one to do. Whoever waits for another CPU, in whatever way, calls this
 * while it waits. */
void cpus_serve(void);
/* The library's pause (struct vmem_config). */
void cpus_pause(void);
/* A turn of a loop that waits for another CPU. */
void cpus_relax(void);

#endif
