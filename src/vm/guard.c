/* SPDX-License-Identifier: MIT */
/*
 * guard.c - guarded pages: every access is refused, at no cost of regions.
 *
 * A marker is a slot of the space's own store, at the private key of the page, also where the region is
 * shared: markers belong to the mapping, not to the object. GU1 A region whose keys have a marker has the
 * attribute GUARDS. So only faults on shared regions that may have markers look for them (contract 2.4); a
 * private region's fault looks into that store anyhow. GU2 What drops private content but keeps the mapping
 * (decommit, an object that shrinks) spares markers: vmem_region_discard_private().
 *
 * Locks: the space's, then its private store's: the nodes that the markers take are claimed before anything
 * changes, and what was there is dropped after its translations have gone (X7).
 */
#include "panic.h"
#include "policy.h"
#include "slab.h"

/* The part of a region's span that lies in [start, end), as private keys: first and last. */
static void keys_of(
    const struct region *region, vmem_vaddr_t start, vmem_vaddr_t end, uint64_t *first, uint64_t *last)
{
	const struct span *s = &region->span;
	vmem_vaddr_t low = s->start < start ? start : s->start;
	vmem_vaddr_t high = s->start + s->length > end ? end : s->start + s->length;
	*first = region_private_key(region, low);
	*last = region_private_key(region, high - VMEM_PAGE_SIZE);
}

/* As many nodes as markers for all keys of the range can take: on each level one for each that the keys of
 * a region touch, new or copied, and one above it that parts it from what was there. */
static uint64_t nodes_for(struct span *first, vmem_vaddr_t start, vmem_vaddr_t end)
{
	uint64_t nodes = 0, low, high;
	for (struct span *s = first; s && s->start < end; s = s->next) {
		keys_of(region_of(s), start, end, &low, &high);
		for (unsigned shift = INDEX_FANOUT_BITS; shift <= INDEX_KEY_BITS;
		     shift += INDEX_FANOUT_BITS) {
			nodes += (high >> shift) - (low >> shift) + 2;
		}
		pause_after(100);
	}
	return nodes;
}

static vmem_status_t check_guard(
    const struct vmem_vmar *vmar, struct span *first, vmem_vaddr_t start, vmem_vaddr_t end)
{
	vmem_status_t status = vmem_vmar_check_covered(first, start, end);
	if (status == VMEM_OK && !vmar->aspace->private_store) {
		return VMEM_ERR_UNSUPPORTED; /* the kernel's own space */
	}
	for (struct span *s = first; status == VMEM_OK && s && s->start < end; s = s->next) {
		const struct region *region = region_of(s);
		if (region->object && region->object->store->kind != STORE_ANONYMOUS) {
			status = VMEM_ERR_UNSUPPORTED;
		}
		pause_after(16);
	}
	return status;
}

/* A shared region that had no use for its keys must have some of its own by now. What they touch of the
 * index is as much as before: they are congruent (Y2). */
static void take_keys(struct region *region)
{
	const struct span *s = &region->span;
	if (!region_uses_keys(region) && region->aspace->moved) {
		vmem_region_set_key(region, s->start >> VMEM_PAGE_SHIFT); /* not in its own way */
		vmem_region_set_key(
		    region, vmem_keys_find(region->aspace, s->start, s->length >> VMEM_PAGE_SHIFT));
	}
}

static void mark(struct store *store, uint64_t first, uint64_t last)
{
	struct index_cursor cursor = {NULL, false};
	for (uint64_t key = first; key <= last; key++) {
		if ((key & (INDEX_FANOUT - 1)) == 0) {
			cursor.leaf = NULL; /* another leaf from here on */
		}
		vmem_slot_drop(vmem_index_set(&store->index, key, SLOT_GUARD, &cursor));
		pause_after(100);
	}
}

vmem_status_t vmem_vmar_guard_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	struct vmem_aspace *aspace = vmar->aspace;
	struct store *store = aspace->private_store;
	vmem_vaddr_t end = start + length;
	vmem_status_t status = vmem_vmar_check_range(vmar, start, length);
	struct span *first = status == VMEM_OK ? vmem_span_find(&vmar->tree, start) : NULL;
	status = status == VMEM_OK ? check_guard(vmar, first, start, end) : status;
	if (status == VMEM_OK && !policy_allows(aspace, VMEM_OPERATION_DECOMMIT, start, length, 0)) {
		status = VMEM_ERR_DENIED;
	}
	if (status != VMEM_OK) {
		return status;
	}
	uint64_t nodes = nodes_for(first, start, end), low, high;
	store_lock(store);
	if (nodes > UINT32_MAX || !vmem_index_claim(&store->index, (unsigned)nodes, false)) {
		store_unlock(store);
		return VMEM_ERR_NO_MEMORY;
	}
	for (struct span *s = first; VMEM_SMP && s && s->start < end; s = s->next) {
		region_change(region_of(s)); /* (X2) */
		pause_after(16);
	}
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &aspace->pmap);
	vmem_pmap_remove(&aspace->pmap, start, length, &batch);
	vmem_batch_end(&batch);
	for (struct span *s = first; s && s->start < end; s = s->next) {
		struct region *region = region_of(s);
		take_keys(region);
		keys_of(region, start, end, &low, &high);
		mark(store, low, high);
		shared_store(&region->attributes, region->attributes | VMEM_REGION_GUARDS);
		region_changed(region);
	}
	store_unlock(store);
	return VMEM_OK;
}

/* The next run of markers at or after *key and at or before last: false if none. */
static bool next_run(const struct store *store, uint64_t *key, uint64_t last, uint64_t *run_last)
{
	uint64_t at = *key;
	slot_t slot = SLOT_EMPTY;
	while (vmem_index_next(&store->index, &at, last, &slot, NULL)) {
		if (slot_kind(slot) == SLOT_GUARD) {
			*key = at;
			do {
				*run_last = at++;
				pause_after(40);
			} while (
			    at <= last && slot_kind(vmem_index_find(&store->index, at, NULL)) == SLOT_GUARD);
			return true;
		}
		if (at++ == last) {
			break;
		}
		pause_after(60);
	}
	return false;
}

vmem_status_t vmem_vmar_unguard_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	struct store *store = vmar->aspace->private_store;
	vmem_vaddr_t end = start + length;
	vmem_status_t status = vmem_vmar_check_range(vmar, start, length);
	struct span *first = status == VMEM_OK ? vmem_span_find(&vmar->tree, start) : NULL;
	status = status == VMEM_OK ? check_guard(vmar, first, start, end) : status;
	if (status == VMEM_OK && !policy_allows(vmar->aspace, VMEM_OPERATION_DECOMMIT, start, length, 0)) {
		status = VMEM_ERR_DENIED;
	}
	if (status != VMEM_OK) {
		return status;
	}
	store_lock(store);
	for (struct span *s = first; s && s->start < end; s = s->next) {
		const struct region *region = region_of(s);
		uint64_t key, last, run_last;
		keys_of(region, start, end, &key, &last);
		while (region->attributes & VMEM_REGION_GUARDS && key <= last &&
		       next_run(store, &key, last, &run_last)) {
			vmem_store_forget(store, key, run_last);
			key = run_last + 1;
			pause_after(300);
		}
		pause_after(40);
	}
	store_unlock(store);
	return VMEM_OK;
}

void vmem_region_discard_locked(struct region *region, vmem_vaddr_t start, uint64_t length)
{
	struct store *store = region->aspace->private_store;
	uint64_t key = region_private_key(region, start), run, run_last;
	uint64_t last = key + (length >> VMEM_PAGE_SHIFT) - 1;
	if (!(region->attributes & VMEM_REGION_GUARDS)) {
		vmem_store_forget(store, key, last);
		return;
	}
	for (run = key; key <= last && next_run(store, &run, last, &run_last); run = key) {
		if (run > key) {
			vmem_store_forget(store, key, run - 1);
		}
		key = run_last + 1;
		pause_after(300);
	}
	if (key <= last) {
		vmem_store_forget(store, key, last);
	}
}

void vmem_region_discard_private(struct region *region, vmem_vaddr_t start, uint64_t length)
{
	if (!(region->attributes & VMEM_REGION_GUARDS)) {
		vmem_region_forget_private(region, start, length);
		return;
	}
	store_lock(region->aspace->private_store);
	vmem_region_discard_locked(region, start, length);
	store_unlock(region->aspace->private_store);
}

vmem_status_t vmem_vmar_guard(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	aspace_lock(vmar->aspace);
	vmem_status_t status = vmem_vmar_guard_locked(vmar, start, length);
	aspace_unlock(vmar->aspace);
	vmem_slab_settle();
	return status;
}

vmem_status_t vmem_vmar_unguard(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	aspace_lock(vmar->aspace);
	vmem_status_t status = vmem_vmar_unguard_locked(vmar, start, length);
	aspace_unlock(vmar->aspace);
	vmem_slab_settle();
	return status;
}
