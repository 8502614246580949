/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - what is kept for each CPU, and when memory that was read without a lock may become something else.
 *
 * That is when every CPU has been outside of its section once since the memory was taken out of all
 * structures: a section that begins later cannot find it. Each CPU answers for itself, in a call, so
 * sections need no barrier. Sections are short and do not wait; who was inside is asked again.
 *
 * Q1 A CPU answers "outside" and forgets its notes in one call: `last` is written inside of a section (U2),
 *    so none that it writes afterwards leads to memory of before.
 *
 * Locks: none; called with no spin lock held, for it waits for other CPUs.
 */
#include "cpu.h"

#include "panic.h"

struct vmem_cpu vmem_cpus[VMEM_MAX_CPUS];
#if VMEM_MANY_CPUS
struct vmem_company vmem_company;
#endif
void (*vmem_pause)(void);

__attribute__((noinline)) void vmem_pause_now(struct vmem_cpu *cpu)
{
	vmem_lock_none_spinning();
	cpu->unpaused = 0;
	vmem_pause();
}

static void forget(struct vmem_cpu *cpu)
{
	cpu->last.aspace = NULL;
	cpu->last.region = NULL;
}

void vmem_cpus_init(void)
{
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		vmem_cpus[i] = (struct vmem_cpu){0};
	}
}

void vmem_cpu_on(void)
{
	*this_vmem_cpu() = (struct vmem_cpu){0};
}

#if VMEM_SMP

#define ROUNDS 8

static void answer(void *argument)
{
	uint64_t *inside = argument;
	struct vmem_cpu *cpu = this_vmem_cpu();
	if (*(volatile bool *)&cpu->inside) {
		__atomic_fetch_or(inside, UINT64_C(1) << cpu_number(), __ATOMIC_RELAXED);
	} else {
		forget(cpu);
	}
}

bool vmem_cpus_outside(void)
{
	uint64_t self = UINT64_C(1) << cpu_number();
	uint64_t cpus = UINT64_MAX >> (64 - VMEM_MAX_CPUS) & ~self;
	vmem_lock_none_spinning();
	VMEM_ASSERT(!this_vmem_cpu()->inside);
	forget(this_vmem_cpu());
	if (RUNS_ALONE) {
		return true;
	}
	for (unsigned round = 0; round < ROUNDS && cpus != 0; round++) {
		uint64_t inside = 0;
		vmem_host_cpu_call(cpus, answer, &inside);
		cpus = shared_load_acquire(&inside);
	}
	return cpus == 0;
}

#else

bool vmem_cpus_outside(void)
{
	forget(this_vmem_cpu());
	return true;
}

#endif
