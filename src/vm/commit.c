/* SPDX-License-Identifier: MIT */
/*
 * commit.c - promises of memory (include/vmem/commit.h).
 *
 * E1 The sum counts every page of every region with VMEM_REGION_ACCOUNT and every page that an object was
 * charged for, and no other. E2 A promise is taken before anything changes, and given back by the step that
 * takes the region or the object away; so a call that fails leaves the sum as it was. E3 Taking adds first
 * and looks then: of two CPUs that would together pass the limit at least one is refused. E4 Each CPU counts
 * in a line of its own, for spaces that have nothing to do with each other share none; only where the sum is
 * a limit (NEVER) all count in one, and the others stand still.
 *
 * Nothing here needs a lock: counters that are changed by atomic additions. One may be below zero, their sum
 * is not.
 */
#include <vmem/commit.h>

#include "commit_i.h"

#define RESERVE_MOST (UINT64_C(128) << (20 - VMEM_PAGE_SHIFT)) /* pages */

#define promised vmem_commit_promises /* of this file and of its copy (alone.h) */
#define rule vmem_commit_rule
extern struct commit_counter {
	uint64_t pages;
} __attribute__((aligned(64))) promised[VMEM_MAX_CPUS];
extern struct commit_rule {
	uint64_t limit; /* pages, NEVER */
	uint32_t mode;
} __attribute__((aligned(64))) rule;

/* Where this CPU counts (E4). */
static uint64_t *counter(void)
{
	return &promised[!VMEM_SMP || vmem_commit_is_strict() ? 0 : cpu_number()].pages;
}

/* Of all counters but the one given. */
static uint64_t sum_besides(const uint64_t *own)
{
	uint64_t sum = 0;
	for (unsigned cpu = 0; cpu < VMEM_MAX_CPUS; cpu++) {
		sum += &promised[cpu].pages != own ? shared_load(&promised[cpu].pages) : 0;
	}
	return sum;
}

static uint64_t all_pages(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < vmem_page_ranges.count; i++) {
		sum += vmem_page_ranges.range[i].count;
	}
	return sum;
}

#if !VMEM_ALONE
struct commit_counter promised[VMEM_MAX_CPUS];
struct commit_rule rule;

void vmem_commit_init(void)
{
	for (unsigned cpu = 0; cpu < VMEM_MAX_CPUS; cpu++) {
		promised[cpu].pages = 0;
	}
	vmem_commit_set(VMEM_OVERCOMMIT_GUESS, 0);
}

void vmem_commit_set(enum vmem_overcommit mode, uint64_t limit)
{
	shared_store(&rule.limit, limit > 0 ? limit >> VMEM_PAGE_SHIFT : all_pages() / 2);
	shared_store(&rule.mode, (uint32_t)mode);
}

uint64_t vmem_commit_promised(void)
{
	return sum_besides(NULL) << VMEM_PAGE_SHIFT;
}

bool vmem_commit_is_strict(void)
{
	return shared_load(&rule.mode) == VMEM_OVERCOMMIT_NEVER;
}
#endif

/* `own`: what the counter is now that the pages are in it. */
static bool is_within(const struct vmem_aspace *aspace, uint64_t pages, const uint64_t *counter, uint64_t own)
{
	switch (shared_load(&rule.mode)) {
	case VMEM_OVERCOMMIT_GUESS:
		return pages <= vmem_page_ranges.range[0].count || pages <= all_pages();
	case VMEM_OVERCOMMIT_NEVER:
		break;
	default:
		return true;
	}
	uint64_t reserve = (aspace->mapped >> VMEM_PAGE_SHIFT) / 32, limit = shared_load(&rule.limit);
	reserve = reserve < RESERVE_MOST ? reserve : RESERVE_MOST;
	return sum_besides(counter) + own + reserve < limit;
}

bool vmem_commit_take(const struct vmem_aspace *aspace, uint64_t bytes)
{
	uint64_t pages = bytes >> VMEM_PAGE_SHIFT;
	if (pages == 0) {
		return true;
	}
	uint64_t *here = counter();
	if (is_within(aspace, pages, here, shared_add(here, pages) + pages)) {
		return true;
	}
	(void)shared_subtract(here, pages);
	return false;
}

void vmem_commit_add(uint64_t bytes)
{
	(void)shared_add(counter(), bytes >> VMEM_PAGE_SHIFT);
}

void vmem_commit_give(uint64_t bytes)
{
	(void)shared_subtract(counter(), bytes >> VMEM_PAGE_SHIFT);
}
