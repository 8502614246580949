/* SPDX-License-Identifier: MIT */
/*
 * smp.c - the other CPUs: firmware starts them (PSCI, Arm DEN 0022), on the boot CPU's tables.
 *
 *  C1  A CPU reads its struct port_cpu with its caches off: what it reads is cleaned to memory first.
 */
#include "cpu.h"

#define PSCI_CPU_ON UINT64_C(0xc4000003) /* with 64-bit arguments */
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)

static bool by_smc; /* how firmware is called */

void smp_boot_cpu(void)
{
	WRITE_REGISTER("tpidr_el1", (uintptr_t)dtboot_cpu(0));
}

void smp_find(const struct fdt *fdt)
{
	struct fdt_node node = {0};

	while (fdt_next(fdt, &node)) {
		const char *method = fdt_name_is(&node, "psci") ? fdt_string(fdt, &node, "method") : NULL;

		if (method != NULL) {
			by_smc = method[0] == 's';
			dtboot_find_cpus(fdt, READ_REGISTER("mpidr_el1") & MPIDR_AFFINITY);
		}
	}
}

#if VMEM_MAX_CPUS > 1
/* SMC Calling Convention, Arm DEN 0028: x0 to x3 go in, x0 to x17 may come back changed. */
static int64_t firmware_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("cbz %w4, 1f\n\t"
			 "smc #0\n\t"
			 "b 2f\n"
			 "1:\thvc #0\n"
			 "2:"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 : "r"((uint32_t)by_smc)
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
			 "x16", "x17", "cc", "memory");
	return (int64_t)x0;
}

static uint64_t image_physical(const void *va)
{
	return (uint64_t)(uintptr_t)va - IMAGE_BASE + RAM_BASE;
}

/* C1 */
static void clean(const struct port_cpu *cpu)
{
	uint64_t line = UINT64_C(4) << (READ_REGISTER("ctr_el0") >> 16 & 15);
	uint64_t at = (uintptr_t)cpu & ~(line - 1);

	for (; at < (uintptr_t)(cpu + 1); at += line) {
		__asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
	}
	__asm__ volatile("dsb sy" : : : "memory");
}

int64_t smp_start(struct port_cpu *cpu, uint64_t name)
{
	start_prepare(cpu);
	clean(cpu);
	return firmware_call(PSCI_CPU_ON, name, image_physical(boot_secondary), image_physical(cpu));
}
#endif
