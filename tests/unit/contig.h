/* SPDX-License-Identifier: MIT */
/*
 * contig.h - contiguous runs as the tests see them: by the raw entries, from the manuals.
 */
#ifndef CONTIG_H
#define CONTIG_H

#include "core_fixture.h"

enum { RUN = 16 };

static inline bool has_runs(void)
{
	return core_isa() == MACHINE_AARCH64 ||
	       (core_isa() == MACHINE_RISCV && (machine_config()->features & MACHINE_SVNAPOT) != 0);
}

/* Contiguous, N; nothing on x86-64. */
static inline uint64_t run_bit(void)
{
	return core_isa() == MACHINE_AARCH64 ? UINT64_C(1) << 52
	       : core_isa() == MACHINE_RISCV ? UINT64_C(1) << 63
					     : 0;
}

/* How many of the pages from va on are members of runs. */
static inline unsigned members(uint64_t va, unsigned pages)
{
	struct machine_translation t;
	unsigned count = 0;
	for (unsigned i = 0; i < pages; i++) {
		count += machine_translate(machine_cpu(), va + PAGES(i), &t) && t.level == 0 &&
			 (t.raw & run_bit()) != 0;
	}
	return count;
}

static inline unsigned if_runs(unsigned with, unsigned without)
{
	return has_runs() ? with : without;
}

#endif
