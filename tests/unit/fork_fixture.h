/* SPDX-License-Identifier: MIT */
/*
 * fork_fixture.h - what the tests of forks share: a space on two CPUs, its children, and accesses of either.
 */
#ifndef FORK_FIXTURE_H
#define FORK_FIXTURE_H

#include "core_fixture.h"

#define BASE UINT64_C(0x40000000)

static struct vmem_aspace *as;

static inline struct vmem_aspace *fork_of(struct vmem_aspace *parent)
{
	struct vmem_aspace *child = NULL;
	OK(vmem_aspace_fork(parent, &child));
	return child;
}

static inline void begin(void)
{
	as = space();
	run(0, as);
	run(1, as);
	machine_cpu_set(0);
}

/* Where an access goes on depends on the space that a CPU runs. */
static inline void see(struct vmem_aspace *which, uint64_t va, uint64_t pages, uint64_t value)
{
	run(0, which);
	expect(which, va, pages, value);
}

static inline void change(struct vmem_aspace *which, uint64_t va, uint64_t pages, uint64_t value)
{
	run(0, which);
	fill(which, va, pages, value);
}

#endif
