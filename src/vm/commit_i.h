/* SPDX-License-Identifier: MIT */
/*
 * commit_i.h - what a space counts beside its regions: bytes, data, promises. With the space's lock.
 */
#ifndef VMEM_COMMIT_I_H
#define VMEM_COMMIT_I_H

#include "region.h"

/* Takes a promise of so many bytes; false: too much. */
bool vmem_commit_take(const struct vmem_aspace *aspace, uint64_t bytes);
/* The same whatever the limit is, for what is given back in the same step. */
void vmem_commit_add(uint64_t bytes);
void vmem_commit_give(uint64_t bytes);
/* Whether all must be promised, also what says that it need not be. */
bool vmem_commit_is_strict(void);
void vmem_commit_init(void);

/* Whether pages of a region are a process's data (Linux: private, may be written, no stack). */
static inline bool counts_as_data(uint32_t flags, uint32_t attributes, unsigned permission)
{
	return !(flags & VMEM_MAP_SHARED) && (permission & VMEM_WRITE) &&
	       !(attributes & VMEM_REGION_GROWS_DOWN);
}

static inline bool region_is_data(const struct region *region)
{
	return counts_as_data(region->flags, region->attributes, region->permission);
}

/* Whether memory like this has to be promised before it may be written. */
static inline bool needs_promise(
    const struct vmem_aspace *aspace, uint32_t flags, uint32_t attributes, unsigned permission)
{
	return aspace->accounts && (permission & VMEM_WRITE) && !(flags & VMEM_MAP_SHARED) &&
	       !(attributes & (VMEM_REGION_ACCOUNT | VMEM_REGION_NO_RESERVE));
}

/* What the space counts of the regions in it, when so many bytes like `region` come or go. */
static inline void aspace_count(struct vmem_aspace *aspace, const struct region *region, uint64_t bytes)
{
	aspace->mapped += bytes;
	aspace->locked += region->attributes & VMEM_REGION_LOCKED ? bytes : 0;
	aspace->data += region_is_data(region) ? bytes : 0;
}

static inline void aspace_discount(struct vmem_aspace *aspace, const struct region *region, uint64_t bytes)
{
	aspace->mapped -= bytes;
	aspace->locked -= region->attributes & VMEM_REGION_LOCKED ? bytes : 0;
	aspace->data -= region_is_data(region) ? bytes : 0;
	if (region->attributes & VMEM_REGION_ACCOUNT) {
		vmem_commit_give(bytes);
	}
}

/* Whether so many bytes, whole pages, may be locked; the limit's bytes need not be whole pages. */
static inline bool lock_allows(const struct vmem_aspace *aspace, uint64_t bytes)
{
	return bytes >> VMEM_PAGE_SHIFT <= aspace->max_locked >> VMEM_PAGE_SHIFT;
}

/* Whether the space may have so many bytes more mapped. */
static inline bool space_allows(const struct vmem_aspace *aspace, uint64_t bytes)
{
	return aspace->mapped <= aspace->max_bytes && bytes <= aspace->max_bytes - aspace->mapped;
}

/* Whether the space may have so many bytes more of data. */
static inline bool data_allows(const struct vmem_aspace *aspace, uint64_t bytes)
{
	return aspace->data <= aspace->max_data && bytes <= aspace->max_data - aspace->data;
}

#endif
