/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - what the library keeps for each CPU, on lines that no other CPU writes.
 *
 * U1 Notes (`last`, `hot`) are guesses: whoever uses one verifies what it says, by the generation of the
 * region or the record of the table, so nobody has to take a note back.
 * U2 `inside` is set while this CPU reads memory of the slabs without a lock. Only this CPU writes it, and
 * only this CPU reads it: the frame of a slab goes back after every CPU has answered, in a call from the one
 * that wants to know, that it was outside (cpu.c), so entering costs a store and no barrier. `last` leads to
 * such memory: it is written inside of a section, and forgotten by that call.
 * U3 Between two calls of pause_after() with no spin lock held lie as many instructions as it is told, about,
 * or it lies in no loop whose length a program chooses. So whoever has a host that takes interrupts in its
 * pause() waits for one for no longer than PAUSE_AFTER and the longest piece (a full leaf table).
 */
#ifndef VMEM_CPU_H
#define VMEM_CPU_H

#include "arch.h"
#include "lock.h"

struct region;
struct vmem_aspace;
struct vmem_page;
struct vmem_pmap;

struct vmem_cpu {
	bool inside;	  /* (U2) */
	uint32_t unpaused; /* instructions, about, since the last pause */
	struct {     /* where the last fault of this CPU was */
		const struct vmem_aspace *aspace;
		struct region *region;
		uint32_t generation;
	} last;
	struct { /* the leaf table used last: the next fault is likely in the same window */
		const struct vmem_pmap *pmap;
		vmem_vaddr_t base;
		arch_pte_t *table;
		struct vmem_page *page;
	} hot;
} __attribute__((aligned(64)));

extern struct vmem_cpu vmem_cpus[VMEM_MAX_CPUS];

void vmem_cpus_init(void);
/* This CPU comes on: it has no notes. */
void vmem_cpu_on(void);
/* True: since the call began every CPU has been outside of its section, and forgot where it last was. Waits
 * for the other CPUs, with mutexes held or not. This CPU is outside. */
bool vmem_cpus_outside(void);

static inline struct vmem_cpu *this_vmem_cpu(void)
{
	return &vmem_cpus[cpu_number()];
}

#define PAUSE_AFTER 30000u

extern void (*vmem_pause)(void); /* the host's; NULL: it wants none */
void vmem_pause_now(struct vmem_cpu *cpu);

/* A piece of a walk is done that took so many instructions, about: time for the host's pause now and then
 * (U3). With no spin lock; mutexes may be held, and what the walk has changed need not be flushed yet. */
static inline void pause_after(uint64_t instructions)
{
	if (vmem_pause) {
		struct vmem_cpu *cpu = this_vmem_cpu();
		cpu->unpaused += (uint32_t)instructions;
		if (__builtin_expect(cpu->unpaused >= PAUSE_AFTER, 0)) {
			vmem_pause_now(cpu);
		}
	}
}

/* A section that reads memory of the slabs without a lock. It does not wait, and sections do not nest. */
static inline void section_enter(struct vmem_cpu *cpu)
{
	if (VMEM_SMP) {
		*(volatile bool *)&cpu->inside = true;
		__asm__ volatile("" : : : "memory"); /* for calls that interrupt this CPU: no barrier */
	}
}

static inline void section_leave(struct vmem_cpu *cpu)
{
	if (VMEM_SMP) {
		__asm__ volatile("" : : : "memory");
		*(volatile bool *)&cpu->inside = false;
	}
}

#endif
