/* SPDX-License-Identifier: MIT */
/*
 * gic.c - the interrupt controller: GICv2 or GICv3, whichever the device tree has.
 *
 *  I1  Two interrupts are ever enabled, on every CPU its own: the virtual timer's, number 27 (PPI 11; Arm
 *      BSA, "PPI assignments"), and number 0, software generated, which CPUs send each other.
 *  I2  A CPU is reached by what it found out about itself when it started: nobody sends to one that has not.
 */
#include "cpu.h"

#define TIMER_INTERRUPT 27u
#define CALL_INTERRUPT 0u
#define ENABLED (1u << TIMER_INTERRUPT | 1u << CALL_INTERRUPT)
#define INTERRUPT_NONE_FIRST 1020u

/* IHI 0048B (GICv2), IHI 0069 (GICv3): offsets from the distributor, CPU interface and redistributor. */
enum {
	GICD_CTLR = 0,
	GICD_ISENABLER = 0x100,
	GICD_IPRIORITYR = 0x400,
	GICD_ITARGETSR = 0x800,
	GICD_SGIR = 0xf00
};
enum { GICC_CTLR = 0, GICC_PMR = 4, GICC_IAR = 0xc, GICC_EOIR = 0x10 };
enum {
	GICR_TYPER = 8,
	GICR_WAKER = 0x14,
	GICR_SGI = 0x10000,
	GICR_IGROUPR0 = GICR_SGI + 0x80,
	GICR_ISENABLER0 = GICR_SGI + 0x100
};
enum { GICR_IPRIORITYR = GICR_SGI + 0x400, GICR_FRAMES = 0x20000 };
#define GICR_TYPER_LAST (1u << 4)
#define ICC_PMR "s3_0_c4_c6_0"
#define ICC_SGI1R "s3_0_c12_c11_5"
#define ICC_IAR1 "s3_0_c12_c12_0"
#define ICC_EOIR1 "s3_0_c12_c12_1"
#define ICC_SRE "s3_0_c12_c12_5"
#define ICC_IGRPEN1 "s3_0_c12_c12_7"

static uint64_t distributor;
static uint64_t interface;		 /* GICv2's CPU interface; 0: GICv3, by system registers */
static uint64_t redistributors;		 /* GICv3: one after the other */
static uint64_t address[KERNEL_CPU_MAX]; /* I2: what is written to send the CPU a call */

void gic_find(struct dtboot_mmu *mmu, const struct fdt *fdt)
{
	if (dtboot_device(mmu, fdt, "arm,cortex-a15-gic", 0, &distributor)) {
		(void)dtboot_device(mmu, fdt, "arm,cortex-a15-gic", 1, &interface);
	} else if (dtboot_device(mmu, fdt, "arm,gic-v3", 0, &distributor)) {
		(void)dtboot_device(mmu, fdt, "arm,gic-v3", 1, &redistributors);
	}
	if (interface == 0 && redistributors == 0) {
		kernel_panic("no interrupt controller in the device tree");
	}
}

void gic_start(void)
{
	if (interface != 0) {
		write32(distributor + GICD_CTLR, 1);
	} else {
		write32(distributor + GICD_CTLR, 1u << 4); /* ARE first: affinity routing */
		write32(distributor + GICD_CTLR, 1u << 4 | 2);
	}
}

static void set_priority(uint64_t priorities)
{
	*(volatile uint8_t *)(uintptr_t)(priorities + TIMER_INTERRUPT) = 0x80;
	*(volatile uint8_t *)(uintptr_t)(priorities + CALL_INTERRUPT) = 0x80;
}

/* The distributor shows each CPU its own numbers 0 to 31, and as their target the CPU itself. */
static uint64_t start_v2(void)
{
	set_priority(distributor + GICD_IPRIORITYR);
	write32(distributor + GICD_ISENABLER, ENABLED);
	write32(interface + GICC_PMR, 0xff);
	write32(interface + GICC_CTLR, 1);
	return (uint64_t)(read32(distributor + GICD_ITARGETSR) & 0xff) << 16 | CALL_INTERRUPT;
}

/* The redistributor that says this CPU's affinity, in MPIDR's order without its gaps. */
static uint64_t find_redistributor(uint64_t mpidr)
{
	uint32_t affinity = (uint32_t)((mpidr & 0xffffff) | (mpidr >> 32 & 0xff) << 24);
	uint64_t at = redistributors;

	while (read32(at + GICR_TYPER + 4) != affinity) {
		if ((read32(at + GICR_TYPER) & GICR_TYPER_LAST) != 0) {
			kernel_panic("no redistributor for CPU %lx", (unsigned long)mpidr);
		}
		at += GICR_FRAMES;
	}
	return at;
}

static uint64_t start_v3(void)
{
	uint64_t mpidr = READ_REGISTER("mpidr_el1");
	uint64_t at = find_redistributor(mpidr);

	write32(at + GICR_WAKER, read32(at + GICR_WAKER) & ~2u);
	while ((read32(at + GICR_WAKER) & 4) != 0) {
	}
	write32(at + GICR_IGROUPR0, UINT32_MAX);
	set_priority(at + GICR_IPRIORITYR);
	write32(at + GICR_ISENABLER0, ENABLED);
	WRITE_REGISTER(ICC_SRE, READ_REGISTER(ICC_SRE) | 1);
	instruction_barrier();
	WRITE_REGISTER(ICC_PMR, 0xff);
	WRITE_REGISTER(ICC_IGRPEN1, 1);
	instruction_barrier();
	/* Aff3, Aff2 and Aff1; of the sixteen with these, bit Aff0. */
	return (mpidr >> 32 & 0xff) << 48 | (mpidr >> 16 & 0xff) << 32 | (mpidr >> 8 & 0xff) << 16 |
	       UINT64_C(1) << (mpidr & 15) | CALL_INTERRUPT << 24;
}

void gic_start_cpu(unsigned number)
{
	WRITE_REGISTER("cntv_ctl_el0", 0);
	__atomic_store_n(&address[number], interface != 0 ? start_v2() : start_v3(), __ATOMIC_RELEASE);
}

void port_cpu_interrupt(uint64_t cpus)
{
	__asm__ volatile("dsb ishst" : : : "memory"); /* what is said is there before the call is */
	for (; cpus != 0; cpus &= cpus - 1) {
		uint64_t to = __atomic_load_n(&address[__builtin_ctzll(cpus)], __ATOMIC_ACQUIRE);

		if (interface != 0) {
			write32(distributor + GICD_SGIR, (uint32_t)to);
		} else {
			WRITE_REGISTER(ICC_SGI1R, to);
		}
	}
	instruction_barrier();
}

/* Takes and ends the pending interrupt; its number, INTERRUPT_NONE_FIRST or more if there was none. */
static unsigned acknowledge(void)
{
	uint32_t id = interface != 0 ? read32(interface + GICC_IAR) : (uint32_t)READ_REGISTER(ICC_IAR1);
	unsigned number = id & 1023;

	if (number >= INTERRUPT_NONE_FIRST) {
		return number;
	}
	if (number == TIMER_INTERRUPT) {
		timer_arm();
	}
	if (interface != 0) {
		write32(interface + GICC_EOIR, id);
	} else {
		WRITE_REGISTER(ICC_EOIR1, id);
		instruction_barrier();
	}
	return number;
}

void gic_interrupt(void)
{
	unsigned number = acknowledge();

	if (number == TIMER_INTERRUPT) {
		kernel_tick();
	} else if (number == CALL_INTERRUPT) {
		kernel_cpu_interrupted();
	}
}

/* They stay masked: what is pending is taken by hand. */
void port_take_interrupts(void)
{
	gic_interrupt();
}

/* WFI ends on a pending interrupt although it stays masked. */
void port_idle(void)
{
	__asm__ volatile("dsb sy\n\twfi" : : : "memory");
	gic_interrupt();
}
