/* SPDX-License-Identifier: MIT */
/*
 * fault_large.c - faults that one leaf for many pages answers: 2 MiB or 64 KiB of new anonymous memory, and
 * the frames of objects that have them for good.
 *
 * New memory wants a window of which nothing exists yet, neither in the index nor in the tables. The keys
 * of the window are busy, and the store is locked, from the look until the pages are there: a fault on a
 * small page of it that began before is refused by the sequence, a later one by the keys.
 */
#include "fault_i.h"

#include "frame.h"
#include "panic.h"
#include "slab.h"

/* The base of the aligned window of `size` bytes around the fault if the region covers it all; else 1,
 * never a base. */
static vmem_vaddr_t covered_window(const struct fault *f, uint64_t size)
{
	vmem_vaddr_t start = shared_load(&f->region->span.start), base = f->va & ~(size - 1);
	bool covered = base >= start && shared_load(&f->region->span.length) - (base - start) >= size;
	return covered ? base : 1;
}

/* Adjacent frames become the content of the window at key: ordinary slots (contract 1.10). */
static void fill_window(struct store *store, uint64_t key, struct vmem_page *page, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		shared_store(&page[i].u.data.lineage, store->lineage);
		shared_store(&page[i].u.data.key, key + i);
		page_mark(&page[i], PAGE_F_LARGE);
		vmem_arch_page_clear(page_to_virt(page + i));
		(void)vmem_index_set(&store->index, key + i, slot_of_page(page + i), NULL);
	}
}

/* Whether neither index nor tables have anything of the window, whose keys are busy. */
static bool window_is_empty(const struct fault *f, struct store *store, uint64_t key, unsigned pages)
{
	struct pmap_entry at = vmem_pmap_lookup(&f->aspace->pmap, f->va);
	if (!at.slot && at.level == 0) { /* parked */
		return false;
	}
	if (pages == ARCH_CONTIG_PAGES ? at.slot && !vmem_pmap_contig_free(at.slot) : at.slot != NULL) {
		return false;
	}
	return !vmem_index_any(&store->index, key, key + pages - 1);
}

/* Not if the region is being changed: the pages are there, and small entries will show them. */
static bool enter_window(
    struct fault *f, struct pmap_entry at, vmem_vaddr_t base, vmem_paddr_t pa, unsigned pages)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	uint32_t leaf = shared_load(&f->region->permission) | LEAF_DIRTY;
	bool contig = pages == ARCH_CONTIG_PAGES;
	if (contig) {
		vmem_pmap_sync_contig(pa, leaf);
	} else {
		vmem_pmap_sync(pa, at.level, leaf);
	}
	if (!pmap_take(pmap, at, base)) {
		return false;
	}
	bool free = contig ? vmem_pmap_contig_free(at.slot) && !pmap_run_is_busy(at, base)
			   : pte_load(at.slot) == 0;
	bool enters = free && fault_same_region(f) && !pmap_is_dropping(pmap); /* (P10) */
	if (enters && contig) {
		vmem_pmap_put_contig(pmap, at, base, pa, leaf);
	} else if (enters) {
		pmap_put(pmap, &at, f->cpu, base, pa, leaf);
	}
	pmap_give(at);
	return enters;
}

static bool fill_busy_window(
    struct fault *f, struct store *store, uint64_t key, vmem_vaddr_t base, unsigned level, unsigned pages)
{
	struct pmap_entry at;
	const bool contig = pages == ARCH_CONTIG_PAGES;
	unsigned nodes =
	    contig ? 2 * INDEX_PATH_NODES /* keys of a region that has moved may lie in two leaves */
		   : ARCH_TABLE_ENTRIES / INDEX_FANOUT + 2 * INDEX_PATH_NODES;
	if (!fault_same_region(f) || !window_is_empty(f, store, key, pages) ||
	    !vmem_index_claim(&store->index, nodes, false)) {
		return false;
	}
	struct vmem_page *page = vmem_frame_take_block(PAGE_DATA, contig ? CONTIG_ORDER : ARCH_LEVEL_BITS, 0);
	if (!page) {
		return false;
	}
	if (vmem_pmap_reserve(&f->aspace->pmap, base, level, &at) != VMEM_OK) {
		for (unsigned i = 0; i < pages; i++) {
			vmem_frame_give(page + i);
		}
		return false;
	}
	fill_window(store, key, page, pages);
	return enter_window(f, at, base, page_to_pa(page), pages);
}

static bool fill_pages(
    struct fault *f, struct store *store, uint64_t key, vmem_vaddr_t base, unsigned level, unsigned pages)
{
	if ((base & 1) || !store_try_lock(store)) {
		return false;
	}
	key -= (f->va - base) >> VMEM_PAGE_SHIFT;
	bool filled = false;
	if (window_is_empty(f, store, key, pages)) { /* else no other fault need be disturbed */
		vmem_store_set_busy(store, key, key + pages - 1);
		filled = fill_busy_window(f, store, key, base, level, pages);
		vmem_store_clear_busy(store);
	}
	store_unlock(store);
	return filled;
}

bool vmem_fault_fill_large(struct fault *f, struct store *store, uint64_t key)
{
	if (f->at.slot || !(vmem_mmu.leaf_levels & 2u) ||
	    !fill_pages(f, store, key, covered_window(f, arch_level_size(1)), 1, ARCH_TABLE_ENTRIES)) {
		return false;
	}
	fault_count(f, COUNT_LARGE);
	return true;
}

bool vmem_fault_fill_contig(struct fault *f, struct store *store, uint64_t key)
{
	vmem_vaddr_t base = arch_leaf_contig() ? covered_window(f, CONTIG_SIZE) : 1;
	if (!fill_pages(f, store, key, base, 0, ARCH_CONTIG_PAGES)) {
		return false;
	}
	fault_count(f, COUNT_ZEROED);
	return true;
}

/* The length of the region's part that lies inside its object of fixed frames. */
static uint64_t fixed_shown(const struct fault *f)
{
	uint64_t end = shared_load(&f->object->pages) - shared_load(&f->region->offset);
	uint64_t length = shared_load(&f->region->span.length);
	return end < length >> VMEM_PAGE_SHIFT ? end << VMEM_PAGE_SHIFT : length;
}

/* The largest level at which the fixed frames around the fault can be one leaf of the region. */
static unsigned fixed_level(const struct fault *f, vmem_paddr_t pa)
{
	vmem_vaddr_t start = shared_load(&f->region->span.start);
	uint64_t shown = fixed_shown(f);
	for (unsigned level = f->at.slot ? 0 : f->at.level; level > 0; level--) {
		uint64_t size = arch_level_size(level);
		vmem_vaddr_t base = f->va & ~(size - 1);
		if ((vmem_mmu.leaf_levels & 1u << level) && ((f->va ^ pa) & (size - 1)) == 0 &&
		    base >= start && shown - (base - start) >= size) {
			return level;
		}
	}
	return 0;
}

/* Whether the contiguous run around the fault lies in the region and its frames. */
static bool fits_contig(const struct fault *f, vmem_paddr_t pa)
{
	vmem_vaddr_t base = f->va & ~(CONTIG_SIZE - 1), start = shared_load(&f->region->span.start);
	return arch_leaf_contig() && ((f->va ^ pa) & (CONTIG_SIZE - 1)) == 0 && base >= start &&
	       fixed_shown(f) >= base - start + CONTIG_SIZE;
}

enum vmem_fault_result vmem_fault_fixed(struct fault *f, const struct store *store, uint64_t key)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	vmem_paddr_t pa = shared_load(&store->physical) + (key << VMEM_PAGE_SHIFT);
	unsigned level = fixed_level(f, pa);
	uint64_t mask = arch_level_size(level) - 1;
	bool contig = level == 0 && fits_contig(f, pa), done = false;
	uint32_t leaf = shared_load(&f->region->permission) |
			(uint32_t)arch_leaf_cache((vmem_cache_t)shared_load(&store->cache))
			    << LEAF_CACHE_SHIFT;
	leaf |= f->access == VMEM_WRITE ? LEAF_DIRTY : 0;
	enum vmem_fault_result reserved = fault_reserve(f, f->va & ~mask, level);
	if (reserved != VMEM_FAULT_RESOLVED) {
		return reserved;
	}
	contig = contig &&
		 vmem_pmap_contig_free(f->at.slot); /* 16 pages by one fault, if none of them is mapped */
	if (contig) {
		vmem_pmap_sync_contig(pa, leaf);
	} else {
		vmem_pmap_sync(pa & ~mask, level, leaf);
	}
	if (!pmap_take(pmap, f->at, f->va)) {
		return FAULT_AGAIN;
	}
	arch_pte_t entry = pte_load(f->at.slot);
	enum arch_duty duty = ARCH_DUTY_NONE;
	if (!fault_same_region(f) || pmap_is_dropping(pmap)) {
		done = false;
	} else if (contig && vmem_pmap_contig_free(f->at.slot) && !pmap_run_is_busy(f->at, f->va)) {
		vmem_pmap_put_contig(pmap, f->at, f->va, pa, leaf);
		done = true;
	} else if (!contig && entry == 0 && !pmap_is_busy(f->at, f->va)) {
		pmap_put(pmap, &f->at, f->cpu, f->va & ~mask, pa & ~mask, leaf);
		done = true;
	} else if (arch_pte_is_leaf(entry, level) && !arch_pte_contig(entry)) { /* the same frame: raised */
		duty = vmem_pmap_raise(pmap, f->at, pa & ~mask, leaf);
		done = true;
	}
	pmap_give(f->at);
	if (!done) {
		return FAULT_AGAIN;
	}
	if (duty != ARCH_DUTY_NONE) {
		vmem_pmap_flush(pmap, f->va, level);
	}
	if (entry != 0) {
		vmem_flush_granted(pmap, f->va, false);
	}
	fault_count(f, COUNT_OBJECT);
	return VMEM_FAULT_RESOLVED;
}
