/* SPDX-License-Identifier: MIT */
/*
 * keys.c - which private keys a region gets (R2 of region.h).
 *
 * Keys follow from the address unless they cannot: a region that was moved keeps its keys, and what is
 * mapped where it was before needs others. Those are taken above all addresses.
 *
 * Y1 Two regions of a space that keep private pages, or have guards, never have a key in common. Y2 Keys
 * that do not follow from the address are congruent to it modulo the largest leaf, when they are given out:
 * large leaves and runs of frames need that. Y3 A space in which nothing has moved is asked one question:
 * whether it has.
 *
 * Locks: the space's.
 */
#include "region.h"

#define KEYS_ALIGN (UINT64_C(1) << (2 * ARCH_LEVEL_BITS)) /* pages of the largest leaf */

/* The first region of those that moved with a key in [key, key + pages); NULL. */
static const struct region *first_user(const struct vmem_aspace *aspace, uint64_t key, uint64_t pages)
{
	for (const struct region *r = aspace->moved; r; r = r->moved_next) {
		if (key < r->private_key + (r->span.length >> VMEM_PAGE_SHIFT) &&
		    r->private_key < key + pages) {
			return r;
		}
		pause_after(10);
	}
	return NULL;
}

/* Keys that no address has, and nobody else: behind the last that were given out, and anew from the lowest
 * when there are none left. */
static uint64_t fresh_keys(struct vmem_aspace *aspace, vmem_vaddr_t start, uint64_t pages)
{
	const uint64_t lowest = vmem_page_number_limit();
	uint64_t place = start >> VMEM_PAGE_SHIFT & (KEYS_ALIGN - 1);
	uint64_t key = aspace->fresh_key > lowest ? aspace->fresh_key : lowest;
	for (;;) {
		key = ((key + (KEYS_ALIGN - 1)) & ~(KEYS_ALIGN - 1)) + place;
		if (key > INDEX_KEY_LAST - pages) {
			key = lowest;
			continue;
		}
		const struct region *user = first_user(aspace, key, pages);
		if (!user) {
			break;
		}
		key = user->private_key + (user->span.length >> VMEM_PAGE_SHIFT);
	}
	aspace->fresh_key = key + pages;
	return key;
}

uint64_t vmem_keys_find(struct vmem_aspace *aspace, vmem_vaddr_t start, uint64_t pages)
{
	uint64_t key = start >> VMEM_PAGE_SHIFT;
	return first_user(aspace, key, pages) ? fresh_keys(aspace, start, pages) : key;
}

bool vmem_keys_free_behind(const struct region *region, uint64_t pages)
{
	struct vmem_aspace *aspace = region->aspace;
	uint64_t key = region->private_key + (region->span.length >> VMEM_PAGE_SHIFT);
	if (!region_uses_keys(region)) {
		return true;
	}
	if (aspace->moved && first_user(aspace, key, pages)) {
		return false;
	}
	if (!region->moved_pprev) {
		return true; /* they are those of the addresses that follow, where nobody else is */
	}
	if (key > INDEX_KEY_LAST - pages) {
		return false;
	}
	if (key >= vmem_page_number_limit()) {
		return true;
	}
	const struct span *next = vmem_span_find_from(&aspace->root.tree, key << VMEM_PAGE_SHIFT);
	return !next || next->start >> VMEM_PAGE_SHIFT >= key + pages;
}
