/* SPDX-License-Identifier: MIT */
/*
 * fault.c - page faults: the case table.
 *
 *	what is at the key        read, execute                         write
 *	private, page ours        enter it                              enter it
 *	private, page shared      enter it, not writable                copy, enter the copy
 *	private, empty, no object the zero frame, not writable          a zeroed page (or 16, or 512)
 *	private, empty, object    the object's page, not writable       a copy of the object's page
 *	shared, page ours         enter it                              enter it
 *	shared, page shared       enter it, not writable                copy, enter the copy
 *	shared, empty             a zeroed page of the object           a zeroed page of the object
 *	fixed frames              enter them, as large as fits          the same
 *
 * F1 What a fault stores in an index keeps the content as it was (contract 1.3).
 * F2 A writable entry is made only for a page that is the store's own, and for no other.
 * F3 All that can fail (tables, then nodes and frame) is had before an entry or an index changes.
 * F4 A fault that is refused leaves no trace but a counter.
 *
 * Locks: the caller serialises all calls.
 */
#include <vmem/fault.h>

#include "frame.h"
#include "panic.h"
#include "region.h"
#include "slab.h"

/* One fault on its way through the table. */
struct fault {
	struct vmem_aspace *aspace;
	struct region *region;
	vmem_vaddr_t va; /* of the page */
	unsigned access;
	struct pmap_entry at; /* its level-0 slot; slot NULL: no table there yet */
};

static enum vmem_fault_result refuse(struct vmem_aspace *aspace, enum vmem_fault_result why)
{
	aspace->faults.refused++;
	return why;
}

/* The permission that hardware really gives for a region's: on some ISAs write or execute bring read with
 * them. */
static inline bool grants(unsigned permission, unsigned access)
{
	return arch_leaf_grants(permission | LEAF_USER | LEAF_ACCESSED | LEAF_DIRTY, access);
}

static inline vmem_status_t reserve_entry(struct fault *f)
{
	return f->at.slot ? VMEM_OK : vmem_pmap_reserve(&f->aspace->pmap, f->va, 0, &f->at);
}

/* A table that was made for this fault, and is still empty because the fault failed, goes again (F4). */
static void unreserve_entry(struct fault *f)
{
	struct vmem_page *table = f->at.table;
	if (table && table->refs == 0 && table != f->aspace->pmap.kept) {
		struct vmem_batch batch;
		vmem_batch_begin(&batch, &f->aspace->pmap);
		vmem_pmap_unhook(&f->aspace->pmap, table, &batch);
		vmem_batch_end(&batch);
	}
}

/* Stores the entry; writable only when the page is the store's own (F2). */
static inline void enter(struct fault *f, vmem_paddr_t pa, bool own)
{
	uint32_t leaf = f->region->permission;
	if (!own && leaf & LEAF_WRITE) { /* what comes with writing, reading on all of these ISAs, stays */
		leaf = (leaf & ~(uint32_t)LEAF_WRITE) | LEAF_READ;
	}
	leaf |= f->access == VMEM_WRITE ? LEAF_DIRTY : 0;
	vmem_pmap_set(&f->aspace->pmap, f->at, f->va, pa, leaf);
}

/* Anonymous memory, first touch by a write. */
static enum vmem_fault_result fill_zeroed(struct fault *f, uint64_t key, struct index_cursor *cursor)
{
	struct store *store = f->aspace->private_store;
	struct vmem_page *page = vmem_store_new_page(store, key);
	if (!page) {
		return VMEM_FAULT_NO_MEMORY;
	}
	bool fits = cursor->leaf && cursor->exclusive; /* then setting a slot takes no node */
	if ((!fits && !vmem_index_reserve(1, false)) || reserve_entry(f) != VMEM_OK) {
		vmem_frame_give(page);
		return VMEM_FAULT_NO_MEMORY;
	}
	vmem_arch_page_clear(page_to_virt(page));
	(void)vmem_index_set(&store->index, key, slot_of_page(page), cursor);
	f->aspace->faults.zeroed++;
	if (pte_load(f->at.slot) == 0 && !(f->region->permission & VMEM_EXEC)) {
		vmem_pmap_fill(
		    &f->aspace->pmap, &f->at, f->va, page_to_pa(page), f->region->permission | LEAF_DIRTY);
	} else {
		enter(f, page_to_pa(page), true);
	}
	return VMEM_FAULT_RESOLVED;
}

static bool wants_large(const struct fault *f)
{
	return f->aspace->large || f->region->flags & VMEM_MAP_LARGE;
}

/* The base of the aligned window of `size` bytes around the fault if the region covers it all and nothing in
 * it exists yet; else 1, never a base. */
static vmem_vaddr_t empty_window(const struct fault *f, uint64_t size)
{
	const struct region *region = f->region;
	vmem_vaddr_t base = f->va & ~(size - 1);
	slot_t slot;
	if (base < region->span.start || region->span.length - (base - region->span.start) < size) {
		return 1;
	}
	uint64_t key = region_private_key(region, base);
	return vmem_index_next(&f->aspace->private_store->index, &key, key + (size >> VMEM_PAGE_SHIFT) - 1,
		   &slot, NULL)
		   ? 1
		   : base;
}

/* Adjacent frames become the content of the window at base: ordinary slots (contract 1.10). */
static void fill_window(struct fault *f, vmem_vaddr_t base, struct vmem_page *page, unsigned count)
{
	struct store *store = f->aspace->private_store;
	uint64_t key = region_private_key(f->region, base);
	for (unsigned i = 0; i < count; i++) {
		page[i].u.data.lineage = store->lineage;
		page[i].u.data.key = key + i;
		page[i].flags |= PAGE_F_LARGE;
		vmem_arch_page_clear(page_to_virt(page + i));
		(void)vmem_index_set(&store->index, key + i, slot_of_page(page + i), NULL);
	}
}

/* The same by a large leaf, of 2 MiB. False: not to be had, try smaller. */
static bool fill_large(struct fault *f)
{
	struct pmap_entry at;
	if (f->at.slot || !(vmem_mmu.leaf_levels & 2u)) {
		return false;
	}
	vmem_vaddr_t base = empty_window(f, arch_level_size(1));
	if (base & 1 || !vmem_slab_reserve(SLAB_INDEX_NODE,
			    ARCH_TABLE_ENTRIES / INDEX_FANOUT + 2 * INDEX_PATH_NODES, false)) {
		return false;
	}
	struct vmem_page *page = vmem_frame_take_block(PAGE_DATA, ARCH_LEVEL_BITS, 0);
	if (!page) {
		return false;
	}
	if (vmem_pmap_reserve(&f->aspace->pmap, base, 1, &at) != VMEM_OK) {
		for (unsigned i = 0; i < ARCH_TABLE_ENTRIES; i++) {
			vmem_frame_give(page + i);
		}
		return false;
	}
	fill_window(f, base, page, ARCH_TABLE_ENTRIES);
	f->at = at;
	f->va = base;
	f->aspace->faults.large++;
	enter(f, page_to_pa(page), true);
	return true;
}

/* The same by a contiguous run, of 64 KiB. */
static bool fill_contig(struct fault *f)
{
	vmem_vaddr_t base = arch_leaf_contig() ? empty_window(f, CONTIG_SIZE) : 1;
	if (base & 1 || reserve_entry(f) != VMEM_OK || !vmem_pmap_contig_free(f->at.slot) ||
	    !vmem_index_reserve(2, false)) { /* keys of a region that has moved may lie in two leaves */
		return false;
	}
	struct vmem_page *page = vmem_frame_take_block(PAGE_DATA, CONTIG_ORDER, 0);
	if (page) {
		f->aspace->faults.zeroed++;
		fill_window(f, base, page, ARCH_CONTIG_PAGES);
		(void)vmem_pmap_enter_contig(
		    &f->aspace->pmap, base, page_to_pa(page), f->region->permission | LEAF_DIRTY);
	}
	return page != NULL;
}

/* A page of the object is shown: its own store's rules decide what may be written. The region maps it
 * privately or shared. */
static struct vmem_page *object_page(struct region *region, vmem_vaddr_t va, bool write, bool *own)
{
	struct store *store = region->object->store;
	uint64_t key = region_object_key(region, va);
	struct index_cursor cursor;
	slot_t slot = vmem_index_find(&store->index, key, &cursor);
	if (slot_kind(slot) == SLOT_PAGE && (!write || index_exclusive(&cursor, slot))) {
		*own = index_exclusive(&cursor, slot);
		return slot_page(slot);
	}
	*own = true;
	return vmem_store_own_page(store, key);
}

static bool beyond_end(const struct region *region, vmem_vaddr_t va)
{
	uint64_t page = region->offset + ((va - region->span.start) >> VMEM_PAGE_SHIFT);
	return page >= region->object->pages;
}

/* The page of the object that the fault shows, empty slots not filled; NULL if there is none. */
static struct vmem_page *object_source(const struct fault *f)
{
	slot_t slot =
	    vmem_index_find(&f->region->object->store->index, region_object_key(f->region, f->va), NULL);
	return slot_kind(slot) == SLOT_PAGE ? slot_page(slot) : NULL;
}

/* The first write to a private mapping of an object takes a copy into the space's own store. */
static enum vmem_fault_result private_copy(struct fault *f, uint64_t key)
{
	struct store *store = f->aspace->private_store;
	struct vmem_page *source = object_source(f);
	struct vmem_page *page = vmem_index_reserve(1, false) ? vmem_store_new_page(store, key) : NULL;
	if (!page) {
		return VMEM_FAULT_NO_MEMORY;
	}
	if (source) {
		vmem_arch_page_copy(page_to_virt(page), page_to_virt(source));
	} else {
		vmem_arch_page_clear(page_to_virt(page));
	}
	(void)vmem_index_set(&store->index, key, slot_of_page(page), NULL);
	f->aspace->faults.copied++;
	enter(f, page_to_pa(page), true);
	return VMEM_FAULT_RESOLVED;
}

static enum vmem_fault_result private_object(struct fault *f, uint64_t key)
{
	bool own;
	if (beyond_end(f->region, f->va)) {
		return VMEM_FAULT_BEYOND_END;
	}
	if (reserve_entry(f) != VMEM_OK) {
		return VMEM_FAULT_NO_MEMORY;
	}
	if (f->access == VMEM_WRITE) {
		return private_copy(f, key);
	}
	struct vmem_page *source = object_page(f->region, f->va, false, &own);
	if (!source) {
		return VMEM_FAULT_NO_MEMORY;
	}
	f->aspace->faults.object++;
	enter(f, page_to_pa(source), false);
	return VMEM_FAULT_RESOLVED;
}

/* A page is there, in the space's own store. */
static enum vmem_fault_result private_page(
    struct fault *f, uint64_t key, slot_t slot, const struct index_cursor *cursor)
{
	struct vmem_page *page = slot_page(slot);
	bool own = index_exclusive(cursor, slot);
	if (reserve_entry(f) != VMEM_OK) {
		return VMEM_FAULT_NO_MEMORY;
	}
	if (f->access == VMEM_WRITE && !own) {
		page = vmem_store_own_page(f->aspace->private_store, key);
		if (!page) {
			return VMEM_FAULT_NO_MEMORY;
		}
		own = true; /* the zap has left f->at in place: a table that becomes empty is kept (P3) */
		f->aspace->faults.copied++;
	} else {
		f->aspace->faults.reused++;
	}
	enter(f, page_to_pa(page), own);
	return VMEM_FAULT_RESOLVED;
}

static enum vmem_fault_result private_fault(struct fault *f)
{
	struct index_cursor cursor;
	uint64_t key = region_private_key(f->region, f->va);
	slot_t slot = vmem_index_find(&f->aspace->private_store->index, key, &cursor);
	if (slot_kind(slot) == SLOT_PAGE) {
		return private_page(f, key, slot, &cursor);
	}
	if (slot_kind(slot) == SLOT_GUARD) {
		return VMEM_FAULT_GUARD;
	}
	if (slot == SLOT_EMPTY && f->region->object) {
		return private_object(f, key);
	}
	if (f->access == VMEM_WRITE) {
		if (wants_large(f) && (fill_large(f) || fill_contig(f))) {
			return VMEM_FAULT_RESOLVED;
		}
		return fill_zeroed(f, key, &cursor);
	}
	if (reserve_entry(f) != VMEM_OK) {
		return VMEM_FAULT_NO_MEMORY;
	}
	f->aspace->faults.zero_page++;
	enter(f, vmem_zero_frame, false);
	return VMEM_FAULT_RESOLVED;
}

/* The length of the region's part that lies inside its object of fixed frames. */
static uint64_t fixed_shown(const struct region *region)
{
	uint64_t end = region->object->pages - region->offset;
	return end < region->span.length >> VMEM_PAGE_SHIFT ? end << VMEM_PAGE_SHIFT : region->span.length;
}

/* The largest level at which the fixed frames around the fault can be one leaf of the region. */
static unsigned fixed_level(const struct fault *f, vmem_paddr_t pa)
{
	const struct region *region = f->region;
	uint64_t shown = fixed_shown(region);
	for (unsigned level = f->at.slot ? 0 : f->at.level; level > 0; level--) {
		uint64_t size = arch_level_size(level);
		vmem_vaddr_t base = f->va & ~(size - 1);
		if ((vmem_mmu.leaf_levels & 1u << level) && ((f->va ^ pa) & (size - 1)) == 0 &&
		    base >= region->span.start && shown - (base - region->span.start) >= size) {
			return level;
		}
	}
	return 0;
}

/* Whether the contiguous run around the fault lies in the region and its frames. */
static bool fits_contig(const struct fault *f, vmem_paddr_t pa)
{
	vmem_vaddr_t base = f->va & ~(CONTIG_SIZE - 1);
	const struct region *region = f->region;
	return arch_leaf_contig() && ((f->va ^ pa) & (CONTIG_SIZE - 1)) == 0 && base >= region->span.start &&
	       fixed_shown(region) >= base - region->span.start + CONTIG_SIZE;
}

static enum vmem_fault_result fixed_fault(struct fault *f)
{
	const struct store *store = f->region->object->store;
	vmem_paddr_t pa = store->physical + (region_object_key(f->region, f->va) << VMEM_PAGE_SHIFT);
	unsigned level = fixed_level(f, pa);
	uint64_t mask = arch_level_size(level) - 1;
	uint32_t leaf = f->region->permission | (uint32_t)arch_leaf_cache((vmem_cache_t)store->cache)
						    << LEAF_CACHE_SHIFT;
	leaf |= f->access == VMEM_WRITE ? LEAF_DIRTY : 0;
	if (level == 0 && fits_contig(f, pa)) { /* 16 pages by one fault, if none of them is mapped */
		vmem_status_t status = vmem_pmap_enter_contig(&f->aspace->pmap, f->va, pa, leaf);
		f->aspace->faults.object += status == VMEM_OK;
		if (status != VMEM_ERR_EXISTS) {
			return status == VMEM_OK ? VMEM_FAULT_RESOLVED : VMEM_FAULT_NO_MEMORY;
		}
	}
	f->va &= ~mask;
	if (vmem_pmap_reserve(&f->aspace->pmap, f->va, level, &f->at) != VMEM_OK) {
		return VMEM_FAULT_NO_MEMORY;
	}
	f->aspace->faults.object++;
	vmem_pmap_set(&f->aspace->pmap, f->at, f->va, pa & ~mask, leaf);
	return VMEM_FAULT_RESOLVED;
}

/* A copy zaps every entry of the page, in other tables of this space too, and only one empty table stays: so
 * the fault's own one counts as not empty meanwhile. True if it was the kept one. */
static bool pin_table(struct fault *f)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	bool kept = pmap->kept == f->at.table;
	if (kept) {
		pmap->kept = NULL;
	}
	f->at.table->refs++;
	return kept;
}

/* The entry follows at once; or nothing was zapped, and the table is again the kept one if it was. */
static void unpin_table(struct fault *f, bool keep)
{
	f->at.table->refs--;
	if (keep) {
		f->aspace->pmap.kept = f->at.table;
	}
}

static enum vmem_fault_result shared_fault(struct fault *f)
{
	bool own;
	if (beyond_end(f->region, f->va)) {
		return VMEM_FAULT_BEYOND_END;
	}
	if (f->region->object->store->kind != STORE_ANONYMOUS) {
		return fixed_fault(f);
	}
	if (reserve_entry(f) != VMEM_OK) {
		return VMEM_FAULT_NO_MEMORY;
	}
	bool kept = pin_table(f);
	struct vmem_page *page = object_page(f->region, f->va, f->access == VMEM_WRITE, &own);
	unpin_table(f, kept && !page);
	if (!page) {
		return VMEM_FAULT_NO_MEMORY;
	}
	f->aspace->faults.object++;
	enter(f, page_to_pa(page), own);
	return VMEM_FAULT_RESOLVED;
}

/* A present entry: nothing is missing if it grants the access by now, or grants it once accessed and dirty
 * are noted. */
static bool settle_present(struct fault *f, arch_pte_t entry)
{
	uint32_t leaf = arch_pte_leaf(entry, f->at.level);
	struct vmem_pmap *pmap = &f->aspace->pmap;
	if (!arch_leaf_grants(leaf, f->access)) {
		uint32_t noted = leaf | LEAF_ACCESSED | (f->access == VMEM_WRITE ? LEAF_DIRTY : 0);
		if (!arch_leaf_grants(noted, f->access)) {
			return false;
		}
		if (f->at.level == 0 && arch_pte_contig(entry)) {
			vmem_pmap_note_contig(pmap, f->at, f->va, noted & (LEAF_ACCESSED | LEAF_DIRTY));
		} else {
			vmem_vaddr_t base = f->va & ~(arch_level_size(f->at.level) - 1);
			vmem_pmap_set(pmap, f->at, base, arch_pte_pa(entry, f->at.level),
			    noted & ~(uint32_t)(LEAF_USER | LEAF_GLOBAL));
		}
	}
	f->aspace->faults.spurious++;
	vmem_flush_granted(pmap, f->va, (vmem_mmu.features & MMU_CACHES_INVALID) != 0);
	return true;
}

/* The permission was raised, or a page became ours: what is there goes first when it is a large leaf or
 * a run that small ones may replace. */
static void drop_large(struct fault *f)
{
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &f->aspace->pmap);
	vmem_pmap_remove(&f->aspace->pmap, f->va, VMEM_PAGE_SIZE, &batch);
	vmem_batch_end(&batch);
	f->at = vmem_pmap_lookup(&f->aspace->pmap, f->va);
}

enum vmem_fault_result vmem_fault(struct vmem_aspace *aspace, vmem_vaddr_t address, unsigned access)
{
	struct region *region = aspace->last;
	struct fault f = {.aspace = aspace, .va = vmem_page_floor(address), .access = access};
	aspace->faults.calls++;
	if (!region || address - region->span.start >= region->span.length) {
		region = vmem_region_find(aspace, address);
		if (!region) {
			return refuse(aspace, VMEM_FAULT_NO_REGION);
		}
		aspace->last = region;
	}
	if (!grants(region->permission, access)) {
		return refuse(
		    aspace, region->flags & VMEM_MAP_GUARD ? VMEM_FAULT_GUARD : VMEM_FAULT_PERMISSION);
	}
	f.region = region;
	f.at = vmem_pmap_lookup(&aspace->pmap, f.va);
	if (f.at.slot) {
		arch_pte_t entry = pte_load(f.at.slot);
		if (arch_pte_present(entry)) {
			if (settle_present(&f, entry)) {
				return VMEM_FAULT_RESOLVED;
			}
			if (f.at.level > 0 || arch_pte_contig(entry)) {
				drop_large(&f);
			}
		}
	}
	enum vmem_fault_result result = region_shared(region) ? shared_fault(&f) : private_fault(&f);
	if (result != VMEM_FAULT_RESOLVED) {
		unreserve_entry(&f);
		return refuse(aspace, result);
	}
	return result;
}

const char *vmem_fault_name(enum vmem_fault_result result)
{
	static const char *const names[VMEM_FAULT_RESULT_COUNT] = {
	    [VMEM_FAULT_RESOLVED] = "resolved",
	    [VMEM_FAULT_NO_REGION] = "no region",
	    [VMEM_FAULT_PERMISSION] = "permission",
	    [VMEM_FAULT_GUARD] = "guard",
	    [VMEM_FAULT_BEYOND_END] = "beyond the end of the object",
	    [VMEM_FAULT_NO_MEMORY] = "no memory",
	};
	return (unsigned)result < VMEM_FAULT_RESULT_COUNT ? names[result] : "unknown";
}
