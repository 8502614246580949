/* SPDX-License-Identifier: MIT */
/*
 * shootdown.h - a space that some CPUs have in their TLBs, and what revoking a part of it costs.
 */
#ifndef TEST_SHOOTDOWN_H
#define TEST_SHOOTDOWN_H

#include "core_fixture.h"

#include "region.h"

static struct vmem_aspace *as, *other;
static uint64_t va;

static inline bool calls_nobody(void)
{
	return core_isa() == MACHINE_AARCH64;
}

static inline uint64_t all_flushes(void)
{
	return cost().flushes;
}

/* Idle CPUs keep the root of the space (T8). */
static inline bool keeps_root(void)
{
	return machine_config()->asid_bits == 0;
}

/* How many calls the last operation made: `wanted` where CPUs must be called at all. */
static inline void called(uint64_t wanted)
{
	assert_int_equal(cost().calls, calls_nobody() ? 0 : wanted);
}

/* `as`, with 64 pages that the CPUs of [0, count) all have, and `other`. */
static inline void begin(unsigned count)
{
	as = space();
	other = space();
	va = map(as, 64, RW);
	for (unsigned cpu = count; cpu-- > 0;) {
		run(cpu, as);
	}
	fill(as, va, 64, 1);
	for (unsigned cpu = 0; cpu < count; cpu++) {
		for (unsigned i = 0; i < 64; i++) {
			assert_int_equal(get(as, cpu, va + PAGES(i)), 1 + i);
		}
	}
	machine_cpu_set(0);
	(void)cost();
}

static inline void finish(void)
{
	step();
	end(as);
	end(other);
}

#endif
