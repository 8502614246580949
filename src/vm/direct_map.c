/* SPDX-License-Identifier: MIT */
/*
 * direct_map.c - RAM that is to be mapped with another cache attribute than write-back leaves the direct map first.
 *
 * D1 A frame has one live attribute: while it has an odd one (PAGE_F_ODD_CACHE) the direct map has no entry for it.
 * D2 Tables that splitting large leaves of the direct map needs are taken before the first entry changes; they stay.
 *
 * Where the CPU cannot split a live leaf (AArch64 without that feature) and the direct map is made of large ones, the answer is UNSUPPORTED: a host that wants
 * odd attributes there maps its RAM by pages.
 *
 * Locks: the caller serialises all calls.
 */
#include "frame.h"
#include "kernel_i.h"
#include "panic.h"

static vmem_vaddr_t direct_va(vmem_paddr_t pa)
{
	return pa + vmem_direct_map;
}

/* Splits every large leaf that has a part of [pa, +pages) in it. */
static vmem_status_t split_to_pages(vmem_paddr_t start, uint64_t pages)
{
	struct vmem_pmap *pmap = vmem_kernel_pmap();
	for (uint64_t i = 0; i < pages;) {
		vmem_vaddr_t va = direct_va(start + (i << VMEM_PAGE_SHIFT));
		struct pmap_entry at = vmem_pmap_lookup(pmap, va);
		if (!at.slot || at.level == 0) {
			i++;
			continue;
		}
		struct vmem_page *table = vmem_frame_take(PAGE_TABLE);
		if (!table) {
			return VMEM_ERR_NO_MEMORY;
		}
		vmem_status_t status = vmem_pmap_split(pmap, va, at.level, table);
		if (status != VMEM_OK) {
			vmem_frame_give(table);
			return status;
		}
	}
	return VMEM_OK;
}

static void hide(struct vmem_page *page, vmem_paddr_t start, uint64_t pages)
{
	struct vmem_batch batch;
	vmem_batch_begin(&batch, vmem_kernel_pmap());
	vmem_arch_dcache_clean(phys_to_virt(start), (size_t)(pages << VMEM_PAGE_SHIFT));
	for (uint64_t i = 0; i < pages; i++) {
		vmem_vaddr_t va = direct_va(start + (i << VMEM_PAGE_SHIFT));
		page[i].flags |= PAGE_F_ODD_CACHE;
		if (vmem_pmap_exchange(vmem_kernel_pmap(), va, 0) != 0) {
			vmem_batch_leaves(&batch, va, va + (VMEM_PAGE_SIZE - 1), 0);
		}
	}
	vmem_batch_end(&batch);
}

static void show(struct vmem_page *page, vmem_paddr_t start, uint64_t pages)
{
	const uint32_t leaf = LEAF_READ | LEAF_WRITE | LEAF_GLOBAL | LEAF_ACCESSED | LEAF_DIRTY;
	for (uint64_t i = 0; i < pages; i++) {
		vmem_paddr_t pa = start + (i << VMEM_PAGE_SHIFT);
		page[i].flags &= (uint8_t)~PAGE_F_ODD_CACHE;
		(void)vmem_pmap_exchange(vmem_kernel_pmap(), direct_va(pa), arch_pte_make_leaf(pa, 0, leaf));
		if (vmem_mmu.features & MMU_CACHES_INVALID) {
			vmem_flush_granted(vmem_kernel_pmap(), direct_va(pa), false);
		}
	}
}

vmem_status_t vmem_direct_map_set(vmem_paddr_t start, uint64_t pages, vmem_cache_t cache)
{
	struct vmem_page *page = pa_to_page(start);
	if (!page) {
		return VMEM_OK; /* device memory: no direct map, no record */
	}
	if (cache == VMEM_WRITE_BACK) {
		if (page->flags & PAGE_F_ODD_CACHE) {
			show(page, start, pages);
		}
		return VMEM_OK;
	}
	if (page->flags & PAGE_F_ODD_CACHE) {
		return VMEM_OK; /* a second object with the same attribute: the conflict was ruled out */
	}
	vmem_status_t status = split_to_pages(start, pages);
	if (status == VMEM_OK) {
		hide(page, start, pages);
	}
	return status;
}
