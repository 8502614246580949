/* SPDX-License-Identifier: MIT */
/*
 * smp.c - the other CPUs: firmware starts them (PSCI, Arm DEN 0022), on the boot CPU's tables.
 *
 *  C1  CPU 0 is the one that booted; the others follow in the device tree's order.
 *  C2  A CPU reads its struct port_cpu with its caches off: what it reads is cleaned to memory first.
 */
#include "cpu.h"

#define PSCI_CPU_ON UINT64_C(0xc4000003) /* with 64-bit arguments */
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)
#define CPUS_MAX 64u

static uint64_t names[CPUS_MAX];
static unsigned count;
static bool by_smc; /* how firmware is called */
static char trap_stacks[KERNEL_CPU_MAX][16384] __attribute__((aligned(16)));

void smp_boot_cpu(void)
{
	struct port_cpu *cpu = kernel_cpu_port(0);

	cpu->trap_stack = (uintptr_t)(trap_stacks + 1);
	WRITE_REGISTER("tpidr_el1", (uintptr_t)cpu);
}

void smp_find(const struct fdt *fdt)
{
	struct fdt_node node = {0};

	count = 1;
	while (fdt_next(fdt, &node)) {
		const char *method = fdt_name_is(&node, "psci") ? fdt_string(fdt, &node, "method") : NULL;

		if (method != NULL) {
			by_smc = method[0] == 's';
			count =
			    dtboot_cpus(fdt, READ_REGISTER("mpidr_el1") & MPIDR_AFFINITY, names, CPUS_MAX);
		}
	}
}

unsigned port_cpu_count(void)
{
	return count;
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

/* C2 */
static void clean(const struct port_cpu *cpu)
{
	uint64_t line = UINT64_C(4) << (READ_REGISTER("ctr_el0") >> 16 & 15);
	uint64_t at = (uintptr_t)cpu & ~(line - 1);

	for (; at < (uintptr_t)(cpu + 1); at += line) {
		__asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
	}
	__asm__ volatile("dsb sy" : : : "memory");
}

void port_cpus_start(unsigned wanted)
{
	for (unsigned n = 1; n < wanted; n++) {
		struct port_cpu *cpu = kernel_cpu_port(n);

		cpu->number = n;
		cpu->trap_stack = (uintptr_t)(trap_stacks + n + 1);
		cpu->stack = (uintptr_t)kernel_cpu_stack(n);
		start_prepare(cpu);
		clean(cpu);
		int64_t status =
		    firmware_call(PSCI_CPU_ON, names[n], image_physical(boot_secondary), image_physical(cpu));
		if (status != 0) {
			kernel_panic("firmware does not start CPU %u: %ld", n, (long)status);
		}
	}
}
#else
void port_cpus_start(unsigned wanted)
{
	(void)wanted;
}
#endif
