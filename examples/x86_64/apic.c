/* SPDX-License-Identifier: MIT */
/*
 * apic.c - each CPU's local APIC: the tick, interrupts between CPUs, and starting them.
 *
 * The old interrupt controllers stay masked. The timer's frequency is measured with that of the cycle
 * counter, when somebody first asks for the time or for a tick, or before other CPUs start: they are taken
 * to count alike.
 *
 * A CPU that waits for another one rests now and then: it may be keeping the other one from the machine
 * below both. Only the timer, set for that, ends the rest; what else is pending waits behind the task
 * priority, and the tick goes on where it was.
 *
 * A CPU is started by INIT and a start-up interrupt to all others at once: which APIC ids exist need not be
 * known. Each takes the next number (boot.S); who finds none left stops for good. How many there are is what
 * QEMU's fw_cfg device says: with PVH there is no other source that needs no parser. SDM vol. 3A 11.4 to
 * 11.6 (APIC), 9.4.4 (start-up).
 */
#include "kernel.h"

#include "cpu.h"

enum {
	APIC_ID = 0x20,
	APIC_EOI = 0xb0,
	APIC_SPURIOUS = 0xf0,
	APIC_COMMAND_LOW = 0x300,
	APIC_COMMAND_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0
};
#define APIC_ENABLE (1u << 8)
#define TIMER_MASKED (1u << 16)
#define REST_HZ 20000u
#define REST_PRIORITY 3u /* holds back vectors below 64 */
#define DIVIDE_BY_16 3u
#define COMMAND_PENDING (1u << 12)
#define COMMAND_INIT 0x000c4500u  /* all others, assert, edge */
#define COMMAND_START 0x000c4600u /* the page's number in the low byte */
#define COMMAND_FIXED 0x00004000u /* assert; the vector in the low byte */

#define FW_CFG_SELECT 0x510
#define FW_CFG_DATA 0x511
#define FW_CFG_SIGNATURE 0
#define FW_CFG_CPUS 5

static uint64_t timer_khz; /* counts in a millisecond */

static uint32_t apic_read(unsigned at)
{
	return *(volatile uint32_t *)(uintptr_t)(DIRECT_MAP + APIC_PHYSICAL + at);
}

static void apic_write(unsigned at, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)(DIRECT_MAP + APIC_PHYSICAL + at) = value;
}

void apic_start(void)
{
	port_cpu()->apic_id = apic_read(APIC_ID) >> 24;
	apic_write(APIC_SPURIOUS, APIC_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_16);
	apic_write(APIC_LVT_TIMER, TIMER_MASKED);
}

static uint32_t read_timer(void)
{
	return apic_read(APIC_TIMER_CURRENT);
}

void apic_measure(void)
{
	apic_write(APIC_LVT_TIMER, TIMER_MASKED);
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	timer_khz = timer_measure(read_timer);
	apic_write(APIC_TIMER_INITIAL, 0);
}

/* Once: the interrupt starts the next one. */
static void tick_arm(uint32_t counts)
{
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
	apic_write(APIC_TIMER_INITIAL, counts);
}

void port_tick_start(void)
{
	if (timer_khz == 0) {
		apic_measure();
	}
	tick_arm((uint32_t)(timer_khz * 1000 / KERNEL_TICK_HZ));
}

void port_tick_stop(void)
{
	apic_write(APIC_LVT_TIMER, TIMER_MASKED);
	apic_write(APIC_TIMER_INITIAL, 0);
}

/* The end of the interrupt comes first: the common kernel may not come back soon. */
void apic_timer_interrupt(void)
{
	tick_arm((uint32_t)(timer_khz * 1000 / KERNEL_TICK_HZ));
	apic_write(APIC_EOI, 0);
	kernel_tick();
}

void apic_call_interrupt(void)
{
	apic_write(APIC_EOI, 0);
	kernel_cpu_interrupted();
}

void port_idle(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory"); /* STI lets nothing in before HLT */
}

void port_take_interrupts(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory"); /* STI lets nothing in before the NOP ends */
}

void apic_rest_interrupt(void)
{
	apic_write(APIC_EOI, 0);
}

void port_rest(void)
{
	const bool ticks = apic_read(APIC_LVT_TIMER) == VECTOR_TIMER;
	const uint32_t left = apic_read(APIC_TIMER_CURRENT), rest = (uint32_t)(timer_khz * 1000 / REST_HZ);

	if (rest == 0) {
		return;
	}
	__asm__ volatile("mov %0, %%cr8" : : "r"((uint64_t)REST_PRIORITY));
	apic_write(APIC_LVT_TIMER, VECTOR_REST);
	apic_write(APIC_TIMER_INITIAL, rest);
	__asm__ volatile("sti; hlt; cli" : : : "memory");
	if (ticks) {
		tick_arm(left > rest ? left - rest : 1); /* no count left: it has come, or is about to */
	} else {
		port_tick_stop();
	}
	__asm__ volatile("mov %0, %%cr8" : : "r"(UINT64_C(0)));
}

static void command(uint32_t apic_id, uint32_t low)
{
	while ((apic_read(APIC_COMMAND_LOW) & COMMAND_PENDING) != 0) {
		port_relax();
	}
	apic_write(APIC_COMMAND_HIGH, apic_id << 24);
	apic_write(APIC_COMMAND_LOW, low);
}

/* The registers are uncached: a store to them comes after all stores before it (SDM vol. 3A 8.2.2). */
void port_cpu_interrupt(uint64_t cpus)
{
	for (unsigned i = 0; i < KERNEL_CPU_MAX; i++) {
		if ((cpus >> i & 1) != 0) {
			command(kernel_cpu_port(i)->apic_id, COMMAND_FIXED | VECTOR_CALL);
		}
	}
}

static uint64_t fw_cfg(uint16_t key, unsigned bytes)
{
	uint64_t value = 0;

	outw(FW_CFG_SELECT, key);
	for (unsigned i = 0; i < bytes; i++) {
		value |= (uint64_t)inb(FW_CFG_DATA) << 8 * i;
	}
	return value;
}

unsigned port_cpu_count(void)
{
	if (fw_cfg(FW_CFG_SIGNATURE, 4) != 0x554d4551) { /* "QEMU" */
		return 1;
	}
	return (unsigned)fw_cfg(FW_CFG_CPUS, 2);
}

static void wait_ns(uint64_t ns)
{
	const uint64_t end = port_clock_ns() + ns;

	while (port_clock_ns() < end) {
		port_relax();
	}
}

/* 10 ms after INIT, and a second start-up interrupt for CPUs that missed the first: the others ignore it. */
void port_cpus_start(unsigned count)
{
	if (timer_khz == 0) {
		apic_measure();
	}
	memcpy((void *)(uintptr_t)(DIRECT_MAP + BOOT_CPU_PAGE), boot_cpu, (size_t)(boot_cpu_end - boot_cpu));
	for (unsigned i = 1; i < count; i++) {
		boot_cpu_stacks[i] = (uint64_t)(uintptr_t)kernel_cpu_stack(i);
	}
	boot_cpu_count = count;
	command(0, COMMAND_INIT);
	wait_ns(10000000);
	for (unsigned i = 0; i < 2; i++) {
		command(0, COMMAND_START | (uint32_t)(BOOT_CPU_PAGE >> 12));
		wait_ns(200000);
	}
}
