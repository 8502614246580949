/* SPDX-License-Identifier: MIT */
/*
 * smp.c - the other harts: firmware starts them (RISC-V SBI specification, "Hart State Management Extension")
 * and carries the interrupts that they send each other ("IPI Extension").
 */
#include "cpu.h"

#define SBI_HSM 0x48534d
#define SBI_IPI 0x735049

void smp_boot_cpu(void)
{
	struct port_cpu *cpu = dtboot_cpu(0);

#if VMEM_MAX_CPUS > 1
	__asm__ volatile("mv tp, %0" : : "r"(cpu));
#else
	(void)cpu;
#endif
}

#if VMEM_MAX_CPUS > 1
static uint64_t image_physical(const void *va)
{
	return (uint64_t)(uintptr_t)va - IMAGE_BASE + RAM_BASE;
}

int64_t smp_start(struct port_cpu *cpu, uint64_t name)
{
	struct boot_hart *hart = &boot_harts[cpu->number - 1];

	start_prepare(cpu);
	hart->name = name;
	hart->cpu = cpu;
	__asm__ volatile("fence rw, rw" : : : "memory");
	return sbi_call(SBI_HSM, 0, name, image_physical(boot_entry), 0);
}

/* A call of the firmware's takes 64 ids from a first one on: they need not be dense. */
void port_cpu_interrupt(uint64_t cpus)
{
	__asm__ volatile("fence rw, rw" : : : "memory");
	for (unsigned first = 0; cpus != 0; first++) {
		const uint64_t name = dtboot_cpu_name(first);
		uint64_t mask = 0;

		if ((cpus >> first & 1) == 0) {
			continue;
		}
		for (unsigned n = first; n < VMEM_MAX_CPUS; n++) {
			if ((cpus >> n & 1) != 0 && dtboot_cpu_name(n) - name < 64) {
				mask |= UINT64_C(1) << (dtboot_cpu_name(n) - name);
				cpus &= ~(UINT64_C(1) << n);
			}
		}
		(void)sbi_call(SBI_IPI, 0, mask, name, 0);
	}
}
#else
void port_cpu_interrupt(uint64_t cpus)
{
	(void)cpus;
}
#endif
