/* SPDX-License-Identifier: MIT */
/*
 * attribute.c - what regions carry beside permission and content, changed over a range.
 *
 * A change touches nothing but records: no translation and no content goes. The two ends of the range may
 * split a region each; what then agrees merges. Bytes of locked regions are counted here and where regions
 * come and go (commit_i.h): A1 aspace->locked is the sum of the lengths of the regions with LOCKED.
 * A2 SEALED is never taken away again while the region exists. A3 GUARDS says that the private store may
 * have guard markers at the region's keys; it stays when they have gone, and regions merge with and without.
 *
 * Locks: the space's; a region is being changed (R4) while its attributes are.
 */
#include "panic.h"
#include "region.h"
#include "slab.h"

#define SETTABLE CHANGE_ATTRIBUTES

struct change {
	uint32_t set, clear;
};

static uint32_t after(const struct region *region, const struct change *change)
{
	return (region->attributes & ~change->clear) | change->set;
}

static vmem_status_t check_change(const struct change *change)
{
	bool known = !((change->set | change->clear) & ~SETTABLE) && !(change->set & change->clear);
	return known && !(change->clear & VMEM_REGION_SEALED) ? VMEM_OK : VMEM_ERR_INVALID;
}

/* Looks at every region of the range, which is covered; counts the splits at its two ends. */
static vmem_status_t survey_change(
    struct span *first, vmem_vaddr_t start, vmem_vaddr_t end, const struct change *change, unsigned *splits)
{
	*splits = 0;
	for (struct span *s = first; s && s->start < end; s = s->next) {
		const struct region *region = region_of(s);
		if ((change->set & VMEM_REGION_WIPE_ON_FORK) && region->object) {
			return VMEM_ERR_UNSUPPORTED;
		}
		if (after(region, change) != region->attributes) {
			*splits += (s->start < start ? 1u : 0u) + (s->start + s->length > end ? 1u : 0u);
		}
		pause_after(24);
	}
	return VMEM_OK;
}

static void apply(struct region *region, uint32_t attributes)
{
	struct vmem_aspace *aspace = region->aspace;
	const bool was = region->attributes & VMEM_REGION_LOCKED, is = attributes & VMEM_REGION_LOCKED;
	if (is && !was) {
		aspace->locked += region->span.length;
	} else if (was && !is) {
		aspace->locked -= region->span.length;
	}
	region_change(region);
	shared_store(&region->attributes, attributes);
	region_changed(region);
}

vmem_status_t vmem_vmar_set_attributes_locked(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, uint32_t set, uint32_t clear)
{
	struct vmem_aspace *aspace = vmar->aspace;
	const struct change change = {set, clear};
	struct region *record[2] = {NULL, NULL};
	unsigned splits = 0, taken = 0;
	vmem_vaddr_t end = start + length;
	vmem_status_t status = vmem_vmar_check_range(vmar, start, length);
	struct span *s = status == VMEM_OK ? vmem_span_find(&vmar->tree, start) : NULL;
	status = status == VMEM_OK ? check_change(&change) : status;
	status = status == VMEM_OK ? vmem_vmar_check_covered(s, start, end) : status;
	status = status == VMEM_OK ? survey_change(s, start, end, &change, &splits) : status;
	if (status != VMEM_OK) {
		return status;
	}
	if (!aspace_may_split(aspace, splits)) {
		return VMEM_ERR_LIMIT;
	}
	if (!vmem_region_take(aspace, splits, record)) {
		return VMEM_ERR_NO_MEMORY;
	}
	for (; s && s->start < end; s = s->next) {
		struct region *region = region_of(s);
		const uint32_t attributes = after(region, &change);
		if (attributes == region->attributes) {
			pause_after(16);
			continue;
		}
		if (s->start < start) {
			region = record[taken++];
			vmem_region_split(vmar, region_of(s), start, region);
		}
		if (region->span.start + region->span.length > end) {
			vmem_region_split(vmar, region, end, record[taken++]);
		}
		apply(region, attributes);
		s = &vmem_region_merge(vmar, region)->span;
		pause_after(600);
	}
	return VMEM_OK;
}

vmem_status_t vmem_vmar_set_attributes(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, uint32_t set, uint32_t clear)
{
	aspace_lock(vmar->aspace);
	vmem_status_t status = vmem_vmar_set_attributes_locked(vmar, start, length, set, clear);
	aspace_unlock(vmar->aspace);
	vmem_slab_settle();
	return status;
}
