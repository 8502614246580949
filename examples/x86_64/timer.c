/* SPDX-License-Identifier: MIT */
/*
 * timer.c - the time-stamp counter as the clock, the CMOS clock for the date, the 8254 to measure others by.
 *
 * The counter's frequency is measured against the 8254's second channel, 2 ms, the first time that somebody
 * asks for the time: most runs never do. Where there are several CPUs it is measured before they start, and
 * they are taken to count alike.
 */
#include "port.h"

#include "cpu.h"

#define PIT_HZ 1193182u

enum {
	PIC1 = 0x20,
	PIC1_DATA = 0x21,
	PIC2 = 0xa0,
	PIC2_DATA = 0xa1,
	PIT_2 = 0x42,
	PIT_COMMAND = 0x43,
	PIT_GATE = 0x61
};

static uint64_t tsc_start, tsc_khz;

/* The interrupt controllers: IRQ 0 to 7 at vector 32, everything masked. */
void timer_start(void)
{
	tsc_start = rdtsc();
	outb(PIC1, 0x11);
	outb(PIC2, 0x11);
	outb(PIC1_DATA, VECTOR_TIMER);
	outb(PIC2_DATA, VECTOR_TIMER + 8);
	outb(PIC1_DATA, 4);
	outb(PIC2_DATA, 2);
	outb(PIC1_DATA, 1);
	outb(PIC2_DATA, 1);
	outb(PIC1_DATA, 0xff);
	outb(PIC2_DATA, 0xff);
}

/* 2 ms of the 8254's second channel, by the cycle counter. *out_gap: the longest time that went by unseen. */
static uint64_t measure(uint32_t (*read_down_counter)(void), uint32_t *out_down, uint64_t *out_gap)
{
	const uint32_t count = PIT_HZ / 500;
	uint64_t from = rdtsc(), last, now;

	outb(PIT_GATE, (inb(PIT_GATE) & 0xfc) | 1); /* gate on, speaker off */
	outb(PIT_COMMAND, 0xb0);		    /* channel 2, interrupt on terminal count */
	outb(PIT_2, (uint8_t)count);
	outb(PIT_2, (uint8_t)(count >> 8));
	*out_down = read_down_counter();
	last = rdtsc();
	*out_gap = last - from;
	from = last;
	while ((inb(PIT_GATE) & 0x20) == 0) {
		now = rdtsc();
		*out_gap = now - last > *out_gap ? now - last : *out_gap;
		last = now;
	}
	*out_down -= read_down_counter();
	now = rdtsc();
	*out_gap = now - last > *out_gap ? now - last : *out_gap;
	return now - from;
}

/* Measures until nothing went by unseen, for a machine below that puts this CPU aside meanwhile makes any
 * number of it; after some tries the best must do. */
uint64_t timer_measure(uint32_t (*read_down_counter)(void))
{
	uint64_t best = UINT64_MAX, ticks = 0;
	uint32_t down = 0;

	for (unsigned tries = 0; tries < 50 && best > ticks / 32; tries++) {
		uint32_t this_down;
		uint64_t gap, these = measure(read_down_counter, &this_down, &gap);

		if (gap < best) {
			best = gap;
			ticks = these;
			down = this_down;
		}
	}
	tsc_khz = tsc_khz != 0 ? tsc_khz : ticks / 2;
	return down / 2;
}

uint64_t port_clock_ns(void)
{
	uint64_t ticks;

	if (tsc_khz == 0) {
		apic_measure();
	}
	ticks = rdtsc() - tsc_start;
	return ticks / tsc_khz * 1000000 + ticks % tsc_khz * 1000000 / tsc_khz;
}

static unsigned cmos(uint8_t index)
{
	outb(0x70, index);
	return inb(0x71);
}

/* Two digits of the date; the chip keeps them in BCD unless its register B says otherwise. */
static unsigned cmos_number(uint8_t index)
{
	const unsigned value = cmos(index);

	return (cmos(11) & 4) != 0 ? value : (value >> 4) * 10 + (value & 15);
}

uint64_t port_wall_ns(void)
{
	unsigned second, minute, hour, day, month, year, days;

	do {
		while ((cmos(10) & 0x80) != 0) { /* an update is going on */
		}
		second = cmos_number(0);
		minute = cmos_number(2);
		hour = cmos_number(4);
		day = cmos_number(7);
		month = cmos_number(8);
		year = cmos_number(9);
	} while (second != cmos_number(0));
	/* Days since 1970 in years that start in March, 2000 to 2099: every fourth year has one more. */
	if (month < 3) {
		month += 12;
		year += 99;
	} else {
		year += 100;
	}
	days = 36525 * year / 100 + (153 * (month - 3) + 2) / 5 + day;
	/* 1900-03-01 + 100 years: the constant puts 2000-03-01 at 11017. */
	days = days - (36525 + 1) + 11017;
	return (((uint64_t)days * 24 + hour) * 60 + minute) * 60000000000u + (uint64_t)second * 1000000000u;
}

uint64_t port_entropy(void)
{
	uint64_t value = 0;

	if ((cpuid(1, 0).c & 1u << 30) != 0) {
		for (unsigned tries = 0; tries < 10; tries++) {
			uint8_t ok;
			__asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(ok) : : "cc");
			if (ok != 0) {
				return value;
			}
		}
	}
	return (rdtsc() ^ port_wall_ns()) * UINT64_C(0x9e3779b97f4a7c15);
}
