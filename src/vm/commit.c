/* SPDX-License-Identifier: MIT */
/*
 * commit.c - promises of memory (include/vmem/commit.h).
 *
 * E1 The sum counts every page of every region with VMEM_REGION_ACCOUNT and every page that an object was
 * charged for, and no other. E2 A promise is taken before anything changes, and given back by the step that
 * takes the region or the object away; so a call that fails leaves the sum as it was. E3 Taking adds first
 * and looks then: of two CPUs that would together pass the limit at least one is refused.
 *
 * Nothing here needs a lock: one counter, changed by atomic additions.
 */
#include <vmem/commit.h>

#include "commit_i.h"

#define RESERVE_MOST (UINT64_C(128) << (20 - VMEM_PAGE_SHIFT)) /* pages */

static uint64_t promised;    /* pages */
static uint64_t limit_pages; /* NEVER */
static uint32_t mode_now;

static uint64_t all_pages(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < vmem_page_ranges.count; i++) {
		sum += vmem_page_ranges.range[i].count;
	}
	return sum;
}

void vmem_commit_init(void)
{
	promised = 0;
	vmem_commit_set(VMEM_OVERCOMMIT_GUESS, 0);
}

void vmem_commit_set(enum vmem_overcommit mode, uint64_t limit)
{
	shared_store(&limit_pages, limit > 0 ? limit >> VMEM_PAGE_SHIFT : all_pages() / 2);
	shared_store(&mode_now, (uint32_t)mode);
}

uint64_t vmem_commit_promised(void)
{
	return shared_load(&promised) << VMEM_PAGE_SHIFT;
}

bool vmem_commit_is_strict(void)
{
	return shared_load(&mode_now) == VMEM_OVERCOMMIT_NEVER;
}

static bool is_within(const struct vmem_aspace *aspace, uint64_t pages, uint64_t sum)
{
	switch (shared_load(&mode_now)) {
	case VMEM_OVERCOMMIT_GUESS:
		return pages <= vmem_page_ranges.range[0].count || pages <= all_pages();
	case VMEM_OVERCOMMIT_NEVER:
		break;
	default:
		return true;
	}
	uint64_t reserve = (aspace->mapped >> VMEM_PAGE_SHIFT) / 32, limit = shared_load(&limit_pages);
	reserve = reserve < RESERVE_MOST ? reserve : RESERVE_MOST;
	return sum + reserve < limit;
}

bool vmem_commit_take(const struct vmem_aspace *aspace, uint64_t bytes)
{
	uint64_t pages = bytes >> VMEM_PAGE_SHIFT;
	if (pages == 0) {
		return true;
	}
	if (is_within(aspace, pages, shared_add(&promised, pages) + pages)) {
		return true;
	}
	(void)shared_subtract(&promised, pages);
	return false;
}

void vmem_commit_add(uint64_t bytes)
{
	(void)shared_add(&promised, bytes >> VMEM_PAGE_SHIFT);
}

void vmem_commit_give(uint64_t bytes)
{
	(void)shared_subtract(&promised, bytes >> VMEM_PAGE_SHIFT);
}
