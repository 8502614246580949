/* SPDX-License-Identifier: MIT */
/*
 * dtcpus.c - the CPUs of a machine with a device tree, which firmware starts.
 *
 *  C1  CPU 0 is the one that booted, whichever that is; the others follow in the tree's order.
 */
#include "dtboot.h"

static uint64_t names[DTBOOT_CPUS_MAX];
static unsigned count = 1;
char trap_stacks[KERNEL_CPU_MAX][16384] __attribute__((aligned(16)));

struct port_cpu *dtboot_cpu(unsigned number)
{
	struct port_cpu *cpu = kernel_cpu_port(number);

	cpu->number = number;
	cpu->trap_stack = (uintptr_t)(trap_stacks + number + 1);
	return cpu;
}

void dtboot_find_cpus(const struct fdt *fdt, uint64_t own)
{
	count = dtboot_cpus(fdt, own, names, DTBOOT_CPUS_MAX);
}

uint64_t dtboot_cpu_name(unsigned number)
{
	return names[number];
}

unsigned port_cpu_count(void)
{
	return count;
}

void port_cpus_start(unsigned wanted)
{
#if VMEM_MAX_CPUS > 1
	for (unsigned n = 1; n < wanted; n++) {
		struct port_cpu *cpu = dtboot_cpu(n);

		cpu->stack = (uintptr_t)kernel_cpu_stack(n);
		int64_t status = smp_start(cpu, names[n]);
		if (status != 0) {
			kernel_panic("firmware does not start CPU %u, %lx: %ld", n, (unsigned long)names[n],
			    (long)status);
		}
	}
#else
	(void)wanted;
#endif
}
