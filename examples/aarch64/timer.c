/* SPDX-License-Identifier: MIT */
/*
 * timer.c - the virtual timer, which every CPU has for itself, clocks, and the UART that carries the log.
 *
 *  T1  The timer's interrupt is level-sensitive: it is set anew, or stopped, before the end of interrupt.
 *  T2  A CPU that waits for another one rests now and then, with its timer set for that: it may be keeping
 *      the other one from the machine below both. An interrupt that is pending already ends the rest at once.
 */
#include "cpu.h"

#define REST_HZ 20000u
#define UART_DATA (DIRECT_MAP + UINT64_C(0x09000000))
#define UART_FLAGS (UART_DATA + 0x18)
#define UART_FULL (1u << 5)

static uint64_t clock_chip; /* PL031; 0: none */
static uint64_t boot_count;
static uint64_t ns_per_count; /* fixed point, 32 fraction bits */
static uint64_t tick_counts, rest_counts;

void timer_find(struct dtboot_mmu *mmu, const struct fdt *fdt)
{
	(void)dtboot_device(mmu, fdt, "arm,pl031", 0, &clock_chip);
}

void timer_start(void)
{
	uint64_t frequency = READ_REGISTER("cntfrq_el0");

	boot_count = READ_REGISTER("cntvct_el0");
	ns_per_count = (UINT64_C(1000000000) << 32) / frequency;
	tick_counts = frequency / KERNEL_TICK_HZ;
	rest_counts = frequency / REST_HZ;
}

void timer_arm(void)
{
	WRITE_REGISTER("cntv_tval_el0", tick_counts);
	WRITE_REGISTER("cntv_ctl_el0", 1);
	instruction_barrier();
}

void port_rest(void) /* T2 */
{
	uint64_t control = READ_REGISTER("cntv_ctl_el0"), when = READ_REGISTER("cntv_cval_el0");

	WRITE_REGISTER("cntv_tval_el0", rest_counts);
	WRITE_REGISTER("cntv_ctl_el0", 1);
	__asm__ volatile("isb\n\twfi" : : : "memory");
	WRITE_REGISTER("cntv_cval_el0", when);
	WRITE_REGISTER("cntv_ctl_el0", control & 1);
	instruction_barrier();
}

void port_tick_start(void)
{
	timer_arm();
}

void port_tick_stop(void)
{
	WRITE_REGISTER("cntv_ctl_el0", 0);
	instruction_barrier();
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
