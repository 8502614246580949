/* SPDX-License-Identifier: MIT */
/*
 * protect.c - permissions of ranges. The interface and its errors are in include/vmem/aspace.h.
 *
 * The first half looks at every region of the range and takes what the second can need: records for splits,
 * and a promise for private memory that may be written from now on. The second cannot fail. Lowering cuts
 * entries and is complete when the call returns; raising is lazy: the next fault grants it. What cannot be
 * written any more, and never was, gives its promise back.
 *
 * Locks: the space's, until the batch has ended.
 */
#include "commit_i.h"
#include "policy.h"
#include "slab.h"

/* What a change of permission takes. */
struct demand {
	unsigned splits;
	uint64_t data, promise; /* bytes */
};

static void count_demand(
    const struct region *region, vmem_vaddr_t at, vmem_vaddr_t end, unsigned permission, struct demand *need)
{
	uint64_t part = region->span.start + region->span.length;
	part = (part < end ? part : end) - at;
	if (counts_as_data(region->flags, region->attributes, permission) && !region_is_data(region)) {
		need->data += part;
	}
	if (needs_promise(region->aspace, region->flags, region->attributes, permission)) {
		need->promise += part;
	}
}

/* Checks a protect against every region of the range; counts the splits at its two ends. */
static vmem_status_t check_protect(const struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length,
    unsigned permission, struct demand *need)
{
	vmem_vaddr_t end = start + length, at = start;
	for (const struct span *s = vmem_span_find(&vmar->tree, start); at < end; s = s->next) {
		if (!s || s->start > at) {
			return VMEM_ERR_NOT_FOUND;
		}
		if (s->kind == SPAN_VMAR) {
			return VMEM_ERR_INVALID;
		}
		const struct region *region = (const struct region *)(const void *)s;
		vmem_status_t status = policy_grants(vmar, permission, permission | region->maximum);
		if (status != VMEM_OK) {
			return status;
		}
		if (permission & ~(unsigned)region->maximum) {
			return VMEM_ERR_DENIED;
		}
		if (region_sealed(region)) {
			return VMEM_ERR_SEALED;
		}
		if (permission != region->permission) {
			need->splits += (s->start < start ? 1u : 0u) + (s->start + s->length > end ? 1u : 0u);
			count_demand(region, at, end, permission, need);
		}
		at = s->start + s->length;
		pause_after(50);
	}
	return VMEM_OK;
}

/* Linux lets a space that has more mapped than it may go on as it is. */
static bool may_be_data(const struct vmem_aspace *aspace, uint64_t bytes)
{
	return bytes == 0 || aspace->max_data == UINT64_MAX || data_allows(aspace, bytes) ||
	       !space_allows(aspace, bytes);
}

/* Whether memory that loses this permission was promised for nothing: no page of it was written, nor will
 * be. */
static bool promised_in_vain(const struct region *region, unsigned permission)
{
	return region->aspace->accounts && !(permission & VMEM_WRITE) && !region->object &&
	       region->attributes & VMEM_REGION_ACCOUNT && !vmem_region_holds_pages(region);
}

static void change_permission(struct region *region, unsigned permission)
{
	struct vmem_aspace *aspace = region->aspace;
	uint64_t length = region->span.length;
	bool promised = needs_promise(aspace, region->flags, region->attributes, permission);
	aspace->data -= region_is_data(region) ? length : 0;
	region_change(region);
	shared_store(&region->permission, (uint8_t)permission);
	if (promised) {
		shared_store(&region->attributes, region->attributes | VMEM_REGION_ACCOUNT);
	}
	if (promised_in_vain(region, permission)) {
		shared_store(&region->attributes, region->attributes & ~(uint32_t)VMEM_REGION_ACCOUNT);
		vmem_commit_give(length);
	}
	region_changed(region);
	aspace->data += region_is_data(region) ? length : 0;
}

WITH_OTHERS vmem_status_t protect(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, unsigned permission)
{
	struct vmem_aspace *aspace = vmar->aspace;
	struct region *record[2] = {NULL, NULL};
	struct demand need = {0};
	unsigned taken = 0;
	vmem_vaddr_t end = start + length;
	vmem_status_t status = vmem_vmar_check_range(vmar, start, length);
	status = status == VMEM_OK && permission & ~(unsigned)VMEM_RWX ? VMEM_ERR_INVALID : status;
	status = status == VMEM_OK ? check_protect(vmar, start, length, permission, &need) : status;
	if (status != VMEM_OK) {
		return status;
	}
	if (!policy_allows(aspace, VMEM_OPERATION_PROTECT, start, length, permission)) {
		return VMEM_ERR_DENIED;
	}
	if (!aspace_may_split(aspace, need.splits) || !may_be_data(aspace, need.data)) {
		return VMEM_ERR_LIMIT;
	}
	if (!vmem_commit_take(aspace, need.promise)) {
		return VMEM_ERR_NO_MEMORY;
	}
	if (!vmem_region_take(aspace, need.splits, record)) {
		vmem_commit_give(need.promise);
		return VMEM_ERR_NO_MEMORY;
	}
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &aspace->pmap);
	for (struct span *s = vmem_span_find(&vmar->tree, start); s && s->start < end; s = s->next) {
		struct region *region = region_of(s);
		if (region->permission == permission) {
			pause_after(16);
			continue;
		}
		if (s->start < start) {
			region = record[taken++];
			vmem_region_split(vmar, region_of(s), start, region);
			s = &region->span;
		}
		if (s->start + s->length > end) {
			vmem_region_split(vmar, region, end, record[taken++]);
		}
		bool lowers = region->permission & ~permission;
		change_permission(region, permission);
		if (lowers) { /* raising is lazy: the next fault grants it */
			vmem_pmap_restrict(&aspace->pmap, s->start, s->length, permission, &batch);
		}
		s = &vmem_region_merge(vmar, region)->span;
		pause_after(800);
	}
	vmem_batch_end(&batch);
	return VMEM_OK;
}

vmem_status_t vmem_vmar_protect_locked(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, unsigned permission)
{
	return RUNS_ALONE ? vmem_alone_vmar_protect_locked(vmar, start, length, permission)
			  : protect(vmar, start, length, permission);
}

#if !VMEM_ALONE
vmem_status_t vmem_vmar_protect(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, unsigned permission)
{
	aspace_lock(vmar->aspace);
	vmem_status_t status = vmem_vmar_protect_locked(vmar, start, length, permission);
	aspace_unlock(vmar->aspace);
	return status;
}
#endif
