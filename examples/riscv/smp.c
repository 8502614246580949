/* SPDX-License-Identifier: MIT */
/*
 * smp.c - the other harts: firmware starts them (RISC-V SBI specification, "Hart State Management Extension")
 * and carries the interrupts that they send each other ("IPI Extension").
 *
 *  C1  CPU 0 is the hart that booted, whichever that is; the others follow in the device tree's order.
 */
#include "cpu.h"

#define SBI_HSM 0x48534d
#define SBI_IPI 0x735049
#define CPUS_MAX 64u

static uint64_t names[CPUS_MAX]; /* hart ids */
static unsigned count;
char trap_stacks[VMEM_MAX_CPUS][16384] __attribute__((aligned(16)));

void smp_boot_cpu(void)
{
	struct port_cpu *cpu = kernel_cpu_port(0);

	cpu->trap_stack = (uintptr_t)(trap_stacks + 1);
#if VMEM_MAX_CPUS > 1
	__asm__ volatile("mv tp, %0" : : "r"(cpu));
#endif
}

void smp_find(const struct fdt *fdt, uint64_t boot_hart)
{
	count = dtboot_cpus(fdt, boot_hart, names, CPUS_MAX);
}

unsigned port_cpu_count(void)
{
	return count;
}

#if VMEM_MAX_CPUS > 1
static uint64_t image_physical(const void *va)
{
	return (uint64_t)(uintptr_t)va - IMAGE_BASE + RAM_BASE;
}

void port_cpus_start(unsigned wanted)
{
	for (unsigned n = 1; n < wanted; n++) {
		struct port_cpu *cpu = kernel_cpu_port(n);

		cpu->number = n;
		cpu->trap_stack = (uintptr_t)(trap_stacks + n + 1);
		cpu->stack = (uintptr_t)kernel_cpu_stack(n);
		start_prepare(cpu);
		boot_harts[n - 1].name = names[n];
		boot_harts[n - 1].cpu = cpu;
		__asm__ volatile("fence rw, rw" : : : "memory");
		int64_t status = sbi_call(SBI_HSM, 0, names[n], image_physical(boot_entry), 0);
		if (status != 0) {
			kernel_panic(
			    "firmware does not start hart %lu: %ld", (unsigned long)names[n], (long)status);
		}
	}
}

/* A call of the firmware's takes 64 ids from a first one on: they need not be dense. */
void port_cpu_interrupt(uint64_t cpus)
{
	__asm__ volatile("fence rw, rw" : : : "memory");
	for (unsigned first = 0; cpus != 0; first++) {
		uint64_t mask = 0;

		if ((cpus >> first & 1) == 0) {
			continue;
		}
		for (unsigned n = first; n < VMEM_MAX_CPUS; n++) {
			if ((cpus >> n & 1) != 0 && names[n] - names[first] < 64) {
				mask |= UINT64_C(1) << (names[n] - names[first]);
				cpus &= ~(UINT64_C(1) << n);
			}
		}
		(void)sbi_call(SBI_IPI, 0, mask, names[first], 0);
	}
}
#else
void port_cpus_start(unsigned wanted)
{
	(void)wanted;
}

void port_cpu_interrupt(uint64_t cpus)
{
	(void)cpus;
}
#endif
