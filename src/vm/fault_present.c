/* SPDX-License-Identifier: MIT */
/*
 * fault_present.c - faults where an entry is there already, and faults on pages that are guarded.
 *
 * An entry may grant the access by now: another CPU was faster, a permission was raised lazily, or accessed
 * or dirty is to be noted by software. Nothing is granted here that the entry does not grant (F2).
 *
 * Locks: the byte of the page table.
 */
#include "fault_i.h"

/* Drops what is there when it is a large leaf or a run that small ones may replace. */
static void drop_large(struct fault *f)
{
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &f->aspace->pmap);
	vmem_pmap_remove(&f->aspace->pmap, f->va, VMEM_PAGE_SIZE, &batch);
	vmem_batch_end(&batch);
	f->at = vmem_pmap_lookup(&f->aspace->pmap, f->va);
}

/* Whether nothing that the private store has in the window around the fault is anybody else's, where keys
 * follow from addresses. A leaf that was ever copied does not count, as its pages would have to be asked
 * one by one. */
static bool window_is_ours(const struct fault *f)
{
	const struct vmem_index *index = &f->aspace->private_store->index;
	uint64_t first = pmap_window(f->va) >> VMEM_PAGE_SHIFT;
	for (uint64_t key = first; key < first + ARCH_TABLE_ENTRIES; key += INDEX_FANOUT) {
		struct index_cursor cursor;
		(void)vmem_index_find(index, key, &cursor);
		if (cursor.leaf &&
		    (!cursor.exclusive || shared_load(&cursor.leaf->flags) & INDEX_NODE_MAY_SHARE)) {
			return false;
		}
	}
	return true;
}

void vmem_fault_unpark(struct fault *f)
{
	const uint64_t *sequence = &f->aspace->private_store->index.sequence;
	uint64_t before = shared_load_acquire(sequence);
	vmem_pmap_unpark(&f->aspace->pmap, f->va, window_is_ours(f) ? sequence : NULL, before);
	f->at = vmem_pmap_lookup(&f->aspace->pmap, f->va);
}

enum settled vmem_fault_settle(struct fault *f)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	enum settled settled = UNSETTLED;
	if (!pmap_take(pmap, f->at, f->va)) {
		return SETTLE_AGAIN;
	}
	arch_pte_t entry = pte_load(f->at.slot);
	bool leafs = arch_pte_present(entry) && arch_pte_is_leaf(entry, f->at.level);
	bool contig = leafs && f->at.level == 0 && arch_pte_contig(entry);
	uint32_t leaf = leafs ? arch_pte_leaf(entry, f->at.level) : 0;
	uint32_t noted = leaf | LEAF_ACCESSED | (f->access == VMEM_WRITE ? (uint32_t)LEAF_DIRTY : 0);
	if (leafs && arch_leaf_grants(leaf, f->access)) {
		settled = SETTLED;
	} else if (leafs && arch_leaf_grants(noted, f->access) && !contig) {
		(void)vmem_pmap_raise(pmap, f->at, arch_pte_pa(entry, f->at.level),
		    noted & ~(uint32_t)(LEAF_USER | LEAF_GLOBAL));
		settled = SETTLED;
	}
	pmap_give(f->at);
	if (settled == SETTLED) {
		fault_count(f, COUNT_SPURIOUS);
		vmem_flush_granted(pmap, f->va, (vmem_mmu.features & MMU_CACHES_INVALID) != 0);
	} else if (leafs && (f->at.level > 0 || contig)) {
		drop_large(f);
	} else if (!leafs && f->at.level > 0) {
		settled = SETTLE_AGAIN;
	}
	return settled;
}

enum vmem_fault_result vmem_fault_look_guard(struct fault *f)
{
	struct finding mine;
	uint64_t key = shared_load(&f->region->private_key) +
		       ((f->va - shared_load(&f->region->span.start)) >> VMEM_PAGE_SHIFT);
	if (!fault_look(&mine, f->aspace->private_store, key)) {
		return FAULT_AGAIN;
	}
	if (slot_kind(mine.slot) != SLOT_GUARD) {
		return VMEM_FAULT_RESOLVED; /* a guard that comes now changes the region's generation */
	}
	return fault_same_region(f) && fault_same_slot(&mine) ? VMEM_FAULT_GUARD : FAULT_AGAIN;
}
