/* SPDX-License-Identifier: MIT */
/*
 * resident.c - which pages of a range have a frame now, page by page.
 *
 * A page counts where the index of its content has a frame, whether or not an entry shows it; and where an
 * entry shows the frame of zeroes, which is in no index.
 *
 * Locks: the space's, then the object's store, then the private one.
 */
#include "region.h"
#include "slab.h"

static bool object_resident(const struct region *region, vmem_vaddr_t va)
{
	const struct vmem_object *object = region->object;
	uint64_t key = region_object_key(region, va);
	if (key - object->key >= object->pages) {
		return false;
	}
	return object->store->kind != STORE_ANONYMOUS ||
	       slot_kind(vmem_index_find(&object->store->index, key, NULL)) == SLOT_PAGE;
}

static bool page_resident(const struct region *region, vmem_vaddr_t va)
{
	struct vmem_aspace *aspace = region->aspace;
	struct vmem_translation t;
	if (!region_shared(region) && aspace->private_store) {
		slot_t slot =
		    vmem_index_find(&aspace->private_store->index, region_private_key(region, va), NULL);
		if (slot_kind(slot) == SLOT_PAGE) {
			return true;
		}
	}
	return region->object ? object_resident(region, va) : vmem_aspace_translate(aspace, va, &t);
}

static void look(struct region *region, vmem_vaddr_t low, vmem_vaddr_t high, uint8_t *out)
{
	struct store *theirs = region->object ? region->object->store : NULL;
	struct store *mine = region->aspace->private_store;
	if (theirs) {
		store_lock(theirs);
	}
	if (mine) {
		store_lock(mine);
	}
	for (vmem_vaddr_t va = low; va < high; va += VMEM_PAGE_SIZE) {
		*out++ = page_resident(region, va);
		pause_after(60);
	}
	if (mine) {
		store_unlock(mine);
	}
	if (theirs) {
		store_unlock(theirs);
	}
}

vmem_status_t vmem_vmar_resident_locked(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, uint8_t *out)
{
	vmem_vaddr_t end = start + length;
	vmem_status_t status = vmem_vmar_check_range(vmar, start, length);
	struct span *first = status == VMEM_OK ? vmem_span_find(&vmar->tree, start) : NULL;
	status = status == VMEM_OK ? vmem_vmar_check_covered(first, start, end) : status;
	for (struct span *s = first; status == VMEM_OK && s && s->start < end; s = s->next) {
		vmem_vaddr_t low = s->start < start ? start : s->start;
		vmem_vaddr_t high = s->start + s->length > end ? end : s->start + s->length;
		look(region_of(s), low, high, out + ((low - start) >> VMEM_PAGE_SHIFT));
	}
	return status;
}

vmem_status_t vmem_vmar_resident(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, uint8_t *out)
{
	aspace_lock(vmar->aspace);
	vmem_status_t status = vmem_vmar_resident_locked(vmar, start, length, out);
	aspace_unlock(vmar->aspace);
	return status;
}
