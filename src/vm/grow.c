/* SPDX-License-Identifier: MIT */
/*
 * grow.c - regions that grow downwards (VMEM_REGION_GROWS_DOWN), as stacks do.
 *
 * An access below such a region, where nothing is mapped, lets it grow down to there. Faults come here only
 * when they have found no region, which costs the lock anyway (fault.c).
 *
 * GD1 Between a region that has grown and what is accessible below it 256 pages stay free, and no place is
 * chosen there for anything else; who names a place there gets it. GD2 Growth passes the same checks as a
 * mapping, of which it is one, and in addition the limit of the stack, which is for the mapping as a whole,
 * the limit of locked memory if it is locked, and the lowest address that anything may grow to.
 *
 * Lock: the space's.
 */
#include "commit_i.h"

#define GUARD_GAP (UINT64_C(256) << VMEM_PAGE_SHIFT)

static bool grows_down(const struct span *span)
{
	return span && span->kind == SPAN_REGION &&
	       ((const struct region *)(const void *)span)->attributes & VMEM_REGION_GROWS_DOWN;
}

/* Whether a region that is accessible ends too near below. */
static bool crowded(const struct span *prev, vmem_vaddr_t va)
{
	if (!prev) {
		return false;
	}
	const struct region *below = (const struct region *)(const void *)prev;
	return (prev->kind != SPAN_REGION ||
		   (below->permission != 0 && !(below->attributes & VMEM_REGION_GROWS_DOWN))) &&
	       va - (prev->start + prev->length) < GUARD_GAP;
}

/* Where the mapping ends that a region is the lowest part of: others that agree may follow (keys.c). */
static vmem_vaddr_t end_of_mapping(struct span *span)
{
	while (span->next && span->next->kind == SPAN_REGION &&
	       vmem_region_agrees(region_of(span), region_of(span->next))) {
		span = span->next;
		pause_after(40);
	}
	return span->start + span->length;
}

/* The limits that are those of growth, not of a mapping (GD2). */
static bool within_limits(const struct vmem_aspace *aspace, struct span *span, vmem_vaddr_t va)
{
	const bool locked = region_of(span)->attributes & VMEM_REGION_LOCKED;
	if (locked && !lock_allows(aspace, aspace->locked + span->start - va)) {
		return false;
	}
	return va >= aspace->min_growth && end_of_mapping(span) - va <= aspace->max_stack;
}

bool vmem_region_grow_down(struct vmem_aspace *aspace, vmem_vaddr_t address)
{
	struct vmem_vmar *root = &aspace->root;
	const vmem_vaddr_t va = vmem_page_floor(address);
	struct span *span = vmem_span_find_from(&root->tree, va); /* above: at va nothing is mapped */
	vmem_vaddr_t ignored;
	if (!grows_down(span) || crowded(span->prev, va) || !within_limits(aspace, span, va)) {
		return false;
	}
	const struct region *region = region_of(span);
	const struct vmem_map map = {
	    .length = span->start - va,
	    .permission = region->permission,
	    .maximum = region->maximum,
	    .flags = region->flags & VMEM_MAP_LARGE,
	    .attributes = region->attributes & MAP_ATTRIBUTES,
	    .place = VMEM_PLACE_REPLACE, /* nothing is there but, perhaps, strips of neighbours */
	    .address = va,
	    .cookie = region->cookie,
	};
	return vmem_vmar_map_locked(root, &map, &ignored) == VMEM_OK;
}

bool vmem_region_in_gap(const struct span *next, vmem_vaddr_t end)
{
	return grows_down(next) && next->start - end < GUARD_GAP;
}

vmem_vaddr_t vmem_region_gap_start(const struct span *next)
{
	vmem_vaddr_t gap = next->start < GUARD_GAP ? 0 : next->start - GUARD_GAP;
	vmem_vaddr_t below = next->prev ? next->prev->start + next->prev->length : 0;
	return below > gap ? below : gap;
}
