/* SPDX-License-Identifier: MIT */
/*
 * timer.c - the timer through SBI, clocks, and the UART that carries the log.
 *
 *  T1  Two interrupts are ever enabled, on every CPU its own: the supervisor timer's, which setting the timer
 *      anew clears (RISC-V SBI specification, "Timer Extension"), and the software one, which CPUs send each
 *      other ("IPI Extension").
 *  T2  The software interrupt is cleared before the handler looks for what it means: a call that comes later
 *      sets it again.
 *  T3  A CPU that waits for another one rests now and then, with its timer set for that: it may be keeping
 *      the other one from the machine below both. A software interrupt that was pending is so again
 *      afterwards: it also says what only the way back to the program looks for.
 */
#include "cpu.h"

#define SBI_TIME 0x54494d45
#define REST_HZ 20000u
#define UART_DATA (DIRECT_MAP + UINT64_C(0x10000000))
#define UART_STATUS (UART_DATA + 5)
#define UART_ROOM 0x20

static uint64_t clock_chip; /* goldfish: the low word latches the high one; 0: none */
static uint64_t boot_count;
static uint64_t ns_per_count; /* fixed point, 32 fraction bits */
static uint64_t tick_counts, rest_counts;

void timer_find(struct dtboot_mmu *mmu, const struct fdt *fdt)
{
	(void)dtboot_device(mmu, fdt, "google,goldfish-rtc", 0, &clock_chip);
}

void timer_start(const struct fdt *fdt)
{
	struct fdt_node node = {0};
	uint64_t frequency = 0;

	while (frequency == 0 && fdt_next(fdt, &node)) {
		(void)fdt_number(fdt, &node, "timebase-frequency", &frequency);
	}
	if (frequency == 0) {
		kernel_panic("the device tree does not say how fast the time counter runs");
	}
	boot_count = read_time();
	ns_per_count = (UINT64_C(1000000000) << 32) / frequency;
	tick_counts = frequency / KERNEL_TICK_HZ;
	rest_counts = frequency / REST_HZ;
}

static void set(uint64_t when)
{
	(void)sbi_call(SBI_TIME, 0, when, 0, 0);
}

static void arm(void)
{
	uint64_t when = read_time() + tick_counts;

	port_cpu()->tick_at = when;
	set(when);
}

void port_tick_start(void)
{
	arm();
	SET_CSR("sie", INTERRUPT_TIMER);
}

void port_tick_stop(void)
{
	CLEAR_CSR("sie", INTERRUPT_TIMER);
	port_cpu()->tick_at = 0;
}

void port_rest(void) /* T3 */
{
	uint64_t tick_at = port_cpu()->tick_at;
	uint64_t pending;

	set(read_time() + rest_counts);
	SET_CSR("sie", INTERRUPT_TIMER);
	__asm__ volatile("csrrc %0, sip, %1" : "=r"(pending) : "r"(INTERRUPT_CALL) : "memory");
	__asm__ volatile("wfi" : : : "memory");
	SET_CSR("sip", pending & INTERRUPT_CALL);
	if (tick_at != 0) {
		set(tick_at);
	} else {
		CLEAR_CSR("sie", INTERRUPT_TIMER);
	}
}

void interrupt_taken(void)
{
	if ((READ_CSR("sip") & INTERRUPT_CALL) != 0) {
		CLEAR_CSR("sip", INTERRUPT_CALL); /* T2 */
		kernel_cpu_interrupted();
	}
	if ((READ_CSR("sip") & READ_CSR("sie") & INTERRUPT_TIMER) != 0) {
		arm();
		kernel_tick();
	}
}

/* They stay masked: what is pending is taken by hand. */
void port_take_interrupts(void)
{
	interrupt_taken();
}

/* WFI ends on a pending interrupt although it stays masked. */
void port_idle(void)
{
	__asm__ volatile("wfi" : : : "memory");
	interrupt_taken();
}

uint64_t port_clock_ns(void)
{
	__extension__ typedef unsigned __int128 wide;

	return (uint64_t)((wide)(read_time() - boot_count) * ns_per_count >> 32);
}

uint64_t port_wall_ns(void)
{
	if (clock_chip == 0) {
		return 0;
	}
	const volatile uint32_t *chip = (const volatile uint32_t *)(uintptr_t)clock_chip;
	uint32_t low = chip[0];

	return (uint64_t)chip[1] << 32 | low;
}

void port_write(enum port_channel channel, const void *bytes, size_t length)
{
	if (channel != PORT_LOG) {
		port_semihost_write(channel, bytes, length);
		return;
	}
	for (size_t i = 0; i < length; i++) {
		while ((*(const volatile uint8_t *)UART_STATUS & UART_ROOM) == 0) {
		}
		*(volatile uint8_t *)UART_DATA = ((const uint8_t *)bytes)[i];
	}
}
