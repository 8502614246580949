/* SPDX-License-Identifier: MIT */
/*
 * decommit.c - giving back what a range holds while its regions stay: private pages are dropped, and of
 * shared ones the translations.
 *
 * Locks: the space's, until what goes is flushed everywhere. Every region of the range is being changed
 * meanwhile (R4), so no fault enters what is about to go (X2).
 */
#include "panic.h"
#include "policy.h"
#include "region.h"
#include "slab.h"

void vmem_store_forget(struct store *store, uint64_t first, uint64_t last)
{
	VMEM_CHECK(vmem_index_reserve_remove(&store->index, first, last),
	    "internal: a promise of nodes to a snapshot was broken");
	vmem_index_remove(&store->index, first, last, vmem_index_drop, NULL);
}

vmem_status_t vmem_vmar_check_covered(const struct span *first, vmem_vaddr_t start, vmem_vaddr_t end)
{
	vmem_vaddr_t at = start;
	for (const struct span *s = first; at < end; s = s->next) {
		if (!s || s->start > at) {
			return VMEM_ERR_NOT_FOUND;
		}
		if (s->kind == SPAN_VMAR) {
			return VMEM_ERR_INVALID;
		}
		at = s->start + s->length;
		pause_after(16);
	}
	return VMEM_OK;
}

static void decommit(struct vmem_aspace *aspace, struct span *first, vmem_vaddr_t start, vmem_vaddr_t end)
{
	struct vmem_batch batch;
	for (struct span *s = first; VMEM_SMP && s && s->start < end; s = s->next) {
		region_change(region_of(s)); /* (X2) */
		pause_after(16);
	}
	vmem_batch_begin(&batch, &aspace->pmap);
	vmem_pmap_remove(&aspace->pmap, start, end - start, &batch);
	vmem_batch_end(&batch);
	for (struct span *s = first; s && s->start < end; s = s->next) {
		vmem_vaddr_t low = s->start < start ? start : s->start;
		vmem_vaddr_t high = s->start + s->length > end ? end : s->start + s->length;
		vmem_region_discard_private(region_of(s), low, high - low);
		region_changed(region_of(s));
		pause_after(200);
	}
}

vmem_status_t vmem_vmar_decommit_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	if (RUNS_ALONE) {
		return vmem_alone_vmar_decommit_locked(vmar, start, length);
	}
	vmem_vaddr_t end = start + length;
	vmem_status_t status = vmem_vmar_check_range(vmar, start, length);
	struct span *first = status == VMEM_OK ? vmem_span_find(&vmar->tree, start) : NULL;
	status = status == VMEM_OK ? vmem_vmar_check_covered(first, start, end) : status;
	if (status == VMEM_OK && !vmar->aspace->private_store) {
		return VMEM_ERR_UNSUPPORTED; /* the kernel's own space, where entries are never rebuilt */
	}
	for (struct span *s = first; status == VMEM_OK && s && s->start < end; s = s->next) {
		status = region_discardable(region_of(s)) ? VMEM_OK : VMEM_ERR_SEALED;
		pause_after(16);
	}
	if (status == VMEM_OK &&
	    !policy_allows(vmar->aspace, VMEM_OPERATION_DECOMMIT, start, length, 0)) {
		status = VMEM_ERR_DENIED;
	}
	if (status == VMEM_OK) {
		decommit(vmar->aspace, first, start, end);
	}
	return status;
}

#if !VMEM_ALONE
vmem_status_t vmem_vmar_decommit(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	aspace_lock(vmar->aspace);
	vmem_status_t status = vmem_vmar_decommit_locked(vmar, start, length);
	aspace_unlock(vmar->aspace);
	vmem_slab_settle();
	return status;
}
#endif
