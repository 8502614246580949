/* SPDX-License-Identifier: MIT */
/*
 * timer.c - the virtual timer through the interrupt controller (GICv2 or GICv3, whichever the device tree
 * has), clocks, and the UART that carries the log.
 *
 *  T1  One interrupt is ever enabled: the virtual timer's, number 27 (PPI 11; Arm BSA, "PPI assignments").
 *  T2  The timer's interrupt is level-sensitive: it is set anew, or stopped, before the end of interrupt.
 */
#include "cpu.h"

#define TIMER_INTERRUPT 27u
#define INTERRUPT_NONE_FIRST 1020u

/* IHI 0048B (GICv2), IHI 0069 (GICv3): offsets from the distributor, CPU interface and redistributor. */
enum { GICD_CTLR = 0, GICD_ISENABLER = 0x100, GICD_IPRIORITYR = 0x400 };
enum { GICC_CTLR = 0, GICC_PMR = 4, GICC_IAR = 0xc, GICC_EOIR = 0x10 };
enum {
	GICR_WAKER = 0x14,
	GICR_SGI = 0x10000,
	GICR_IGROUPR0 = GICR_SGI + 0x80,
	GICR_ISENABLER0 = GICR_SGI + 0x100
};
enum { GICR_IPRIORITYR = GICR_SGI + 0x400, GICR_FRAMES = 0x20000 };
#define ICC_PMR "s3_0_c4_c6_0"
#define ICC_IAR1 "s3_0_c12_c12_0"
#define ICC_EOIR1 "s3_0_c12_c12_1"
#define ICC_SRE "s3_0_c12_c12_5"
#define ICC_IGRPEN1 "s3_0_c12_c12_7"

#define UART_DATA (DIRECT_MAP + UINT64_C(0x09000000))
#define UART_FLAGS (UART_DATA + 0x18)
#define UART_FULL (1u << 5)

static uint64_t distributor;
static uint64_t interface; /* GICv2's CPU interface; 0: GICv3, by system registers */
static uint64_t redistributor;
static uint64_t clock_chip; /* PL031; 0: none */
static uint64_t boot_count;
static uint64_t ns_per_count; /* fixed point, 32 fraction bits */
static uint64_t tick_counts;

void timer_find(struct dtboot_mmu *mmu, const struct fdt *fdt)
{
	if (dtboot_device(mmu, fdt, "arm,cortex-a15-gic", 0, &distributor)) {
		(void)dtboot_device(mmu, fdt, "arm,cortex-a15-gic", 1, &interface);
	} else if (dtboot_device(mmu, fdt, "arm,gic-v3", 0, &distributor)) {
		(void)dtboot_device(mmu, fdt, "arm,gic-v3", 1, &redistributor);
	}
	(void)dtboot_device(mmu, fdt, "arm,pl031", 0, &clock_chip);
	if (interface == 0 && redistributor == 0) {
		kernel_panic("no interrupt controller in the device tree");
	}
}

static void start_v2(void)
{
	write32(distributor + GICD_ISENABLER, 1u << TIMER_INTERRUPT);
	*(volatile uint8_t *)(uintptr_t)(distributor + GICD_IPRIORITYR + TIMER_INTERRUPT) = 0x80;
	write32(distributor + GICD_CTLR, 1);
	write32(interface + GICC_PMR, 0xff);
	write32(interface + GICC_CTLR, 1);
}

/* The boot CPU's redistributor is the first one. */
static void start_v3(void)
{
	write32(distributor + GICD_CTLR, 1u << 4); /* ARE first: affinity routing */
	write32(distributor + GICD_CTLR, 1u << 4 | 2);
	write32(redistributor + GICR_WAKER, read32(redistributor + GICR_WAKER) & ~2u);
	while ((read32(redistributor + GICR_WAKER) & 4) != 0) {
	}
	write32(redistributor + GICR_IGROUPR0, UINT32_MAX);
	*(volatile uint8_t *)(uintptr_t)(redistributor + GICR_IPRIORITYR + TIMER_INTERRUPT) = 0x80;
	write32(redistributor + GICR_ISENABLER0, 1u << TIMER_INTERRUPT);
	WRITE_REGISTER(ICC_SRE, READ_REGISTER(ICC_SRE) | 1);
	instruction_barrier();
	WRITE_REGISTER(ICC_PMR, 0xff);
	WRITE_REGISTER(ICC_IGRPEN1, 1);
	instruction_barrier();
}

void timer_start(void)
{
	uint64_t frequency = READ_REGISTER("cntfrq_el0");

	WRITE_REGISTER("cntv_ctl_el0", 0);
	boot_count = READ_REGISTER("cntvct_el0");
	ns_per_count = (UINT64_C(1000000000) << 32) / frequency;
	tick_counts = frequency / KERNEL_TICK_HZ;
	if (interface != 0) {
		start_v2();
	} else {
		start_v3();
	}
}

static void arm(void)
{
	WRITE_REGISTER("cntv_tval_el0", tick_counts);
	WRITE_REGISTER("cntv_ctl_el0", 1);
	instruction_barrier();
}

void port_tick_start(void)
{
	arm();
}

void port_tick_stop(void)
{
	WRITE_REGISTER("cntv_ctl_el0", 0);
	instruction_barrier();
}

/* Takes and ends the pending interrupt; true if it was the timer's. */
static bool acknowledge(void)
{
	uint32_t id = interface != 0 ? read32(interface + GICC_IAR) : (uint32_t)READ_REGISTER(ICC_IAR1);
	bool timer = (id & 1023) == TIMER_INTERRUPT;

	if ((id & 1023) >= INTERRUPT_NONE_FIRST) {
		return false;
	}
	if (timer) {
		arm();
	}
	if (interface != 0) {
		write32(interface + GICC_EOIR, id);
	} else {
		WRITE_REGISTER(ICC_EOIR1, id);
		instruction_barrier();
	}
	return timer;
}

void timer_interrupt(void)
{
	if (acknowledge()) {
		kernel_tick();
	}
}

/* WFI ends on a pending interrupt although it stays masked. */
void port_idle(void)
{
	__asm__ volatile("dsb sy\n\twfi" : : : "memory");
	timer_interrupt();
}

uint64_t port_clock_ns(void)
{
	__extension__ typedef unsigned __int128 wide;

	instruction_barrier();
	return (uint64_t)((wide)(READ_REGISTER("cntvct_el0") - boot_count) * ns_per_count >> 32);
}

uint64_t port_wall_ns(void)
{
	return clock_chip != 0 ? UINT64_C(1000000000) * read32(clock_chip) : 0;
}

void port_write(enum port_channel channel, const void *bytes, size_t length)
{
	if (channel != PORT_LOG) {
		port_semihost_write(channel, bytes, length);
		return;
	}
	for (size_t i = 0; i < length; i++) {
		while ((read32(UART_FLAGS) & UART_FULL) != 0) {
		}
		write32(UART_DATA, ((const uint8_t *)bytes)[i]);
	}
}
