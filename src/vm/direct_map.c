/* SPDX-License-Identifier: MIT */
/*
 * direct_map.c - RAM that is to be mapped with another cache attribute than write-back leaves the direct map
 * first.
 *
 * D1 A frame has one live attribute: while it has an odd one (PAGE_F_ODD_CACHE) the direct map has no entry
 * for it. D2 Tables that splitting large leaves of the direct map needs are taken before the first entry
 * changes; they stay. D3 A contiguous run that the host made there becomes leaves of their own before one of
 * them changes. The library makes none there.
 *
 * Where the CPU cannot split a live leaf (AArch64 without that feature) and the direct map is made of large
 * ones or of runs, the answer is UNSUPPORTED: a host that wants odd attributes there maps its RAM by pages.
 *
 * Locks: vmem_fixed_lock, held by the caller. The tables here are the host's, or lead to RAM only: nobody
 * else changes them.
 */
#include "frame.h"
#include "kernel_i.h"
#include "panic.h"

static vmem_vaddr_t direct_va(vmem_paddr_t pa)
{
	return pa + vmem_direct_map;
}

/* How many tables it takes to have nothing but pages in [start, +pages); runs: some must be unfolded. */
static uint64_t tables_wanted(vmem_paddr_t start, uint64_t pages, bool *runs)
{
	vmem_vaddr_t va = direct_va(start), end = va + (pages << VMEM_PAGE_SHIFT);
	uint64_t count = 0;
	while (va < end) {
		struct pmap_entry at = vmem_pmap_lookup(vmem_kernel_pmap(), va);
		vmem_vaddr_t next = (va | (arch_level_size(at.level) - 1)) + 1;
		next = next < end ? next : end;
		VMEM_CHECK(at.slot, "RAM is not in the direct map");
		*runs |= arch_pte_contig(pte_load(at.slot));
		for (unsigned level = at.level; level > 0; level--) {
			unsigned shift = arch_level_shift(level);
			count += ((next - 1) >> shift) - (va >> shift) + 1;
		}
		va = next;
	}
	return count;
}

/* Splits every large leaf, and unfolds every run, that has a part of [start, +pages) in it (D2). */
static vmem_status_t split_to_pages(vmem_paddr_t start, uint64_t pages)
{
	struct vmem_pmap *pmap = vmem_kernel_pmap();
	struct vmem_page *chain = NULL;
	bool runs = false;
	uint64_t wanted = tables_wanted(start, pages, &runs);
	if (wanted == 0 && !runs) {
		return VMEM_OK;
	}
	if (!(vmem_mmu.features & MMU_LIVE_SPLIT)) {
		return VMEM_ERR_UNSUPPORTED;
	}
	if (!vmem_tables_take(&chain, wanted)) {
		return VMEM_ERR_NO_MEMORY;
	}
	for (uint64_t i = 0; i < pages;) {
		vmem_vaddr_t va = direct_va(start + (i << VMEM_PAGE_SHIFT));
		struct pmap_entry at = vmem_pmap_lookup(pmap, va);
		if (arch_pte_contig(pte_load(at.slot))) { /* (D3) */
			vmem_pmap_unfold(pmap, va);
			continue;
		}
		if (at.level == 0) {
			i++;
			continue;
		}
		vmem_pmap_split(pmap, va, at, &chain);
	}
	return VMEM_OK;
}

/* Takes what is still in the direct map of the range out of it. */
static void hide(struct vmem_page *page, vmem_paddr_t start, uint64_t pages)
{
	struct vmem_batch batch;
	vmem_batch_begin(&batch, vmem_kernel_pmap());
	for (uint64_t i = 0; i < pages; i++) {
		vmem_vaddr_t va = direct_va(start + (i << VMEM_PAGE_SHIFT));
		if (page[i].flags & PAGE_F_ODD_CACHE) {
			continue; /* another object has it, with the same attribute */
		}
		vmem_arch_dcache_clean((const void *)(uintptr_t)va, VMEM_PAGE_SIZE);
		page_mark(&page[i], PAGE_F_ODD_CACHE);
		(void)vmem_pmap_exchange(vmem_kernel_pmap(), va, 0);
		vmem_batch_leaves(&batch, va, va + (VMEM_PAGE_SIZE - 1), 0);
	}
	vmem_batch_end(&batch);
}

/* True if a live object gives the frame an odd attribute. */
static bool is_odd(vmem_paddr_t pa)
{
	for (const struct store *s = vmem_store_first_fixed(); s; s = s->all_next) {
		if (s->odd_cache && pa - s->physical < s->pages << VMEM_PAGE_SHIFT) {
			return true;
		}
	}
	return false;
}

/* Puts what no object has out of it any more back into the direct map. Every CPU that cached the absence
 * forgets it: a kernel access cannot take a spurious fault (contract 6.4). */
static void show(struct vmem_page *page, vmem_paddr_t start, uint64_t pages)
{
	const uint32_t leaf = LEAF_READ | LEAF_WRITE | LEAF_GLOBAL | LEAF_ACCESSED | LEAF_DIRTY;
	struct vmem_batch batch;
	vmem_batch_begin(&batch, vmem_kernel_pmap());
	for (uint64_t i = 0; i < pages; i++) {
		vmem_paddr_t pa = start + (i << VMEM_PAGE_SHIFT);
		if (is_odd(pa)) {
			continue;
		}
		page_unmark(&page[i], PAGE_F_ODD_CACHE);
		(void)vmem_pmap_exchange(vmem_kernel_pmap(), direct_va(pa), arch_pte_make_leaf(pa, 0, leaf));
		if (vmem_mmu.features & MMU_CACHES_INVALID) {
			vmem_batch_leaves(&batch, direct_va(pa), direct_va(pa) + (VMEM_PAGE_SIZE - 1), 0);
		}
	}
	vmem_batch_end(&batch);
}

vmem_status_t vmem_direct_map_set(vmem_paddr_t start, uint64_t pages, vmem_cache_t cache)
{
	struct vmem_page *page = pa_to_page(start);
	if (!page) {
		return VMEM_OK; /* device memory: no direct map, no record */
	}
	if (cache == VMEM_WRITE_BACK) {
		if (page->flags & PAGE_F_ODD_CACHE) { /* all of it, or nothing */
			show(page, start, pages);
		}
		return VMEM_OK;
	}
	vmem_status_t status = split_to_pages(start, pages);
	if (status == VMEM_OK) {
		hide(page, start, pages);
	}
	return status;
}
