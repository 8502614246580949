/* SPDX-License-Identifier: MIT */
/*
 * cpus.h - what the kernel keeps for each CPU, and how CPUs ask each other to do something.
 */
#ifndef KERNEL_CPUS_H
#define KERNEL_CPUS_H

#include "kernel.h"

struct kernel_cpu {
	struct port_cpu port; /* first: port_cpu() is its address */
	unsigned number;
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

#endif
