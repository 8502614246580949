/* SPDX-License-Identifier: MIT */
/*
 * pmap_contig.c - contiguous runs: 16 leaves that a TLB may hold as one (AArch64's Contiguous bit, RISC-V's
 * Svnapot). The invariant is P8 of pmap.h.
 *
 * A TLB may hold the translation of any member as read through any other, and need not notice that one has
 * changed. So no other code changes a member, and here all 16 change before the next effect: a walk of the
 * hardware's, or of the software machine's, between two effects meets a run that is whole or none.
 *
 * Clearing all of them, the flush of all 16 pages, and the store of all of them anew is the
 * break-before-make that both manuals ask for. Three changes do without it. Permissions of a kernel run
 * rise or fall in place, because a kernel mapping in use has no moment in which it may be absent: every
 * member leads to the same frame with the same attributes before and after, so that until the flush, with
 * which the change ends, a CPU has the old permission or the new one, as with a single leaf. A run that is
 * unfolded, where a live leaf may be split, changes its shape alone. And where the hardware records
 * accessed and dirty by itself, one member is marked as the hardware would mark it.
 *
 * On an ISA without such a bit nothing here is ever reached.
 *
 * Locks: those of the pmap.
 */
#include "pmap.h"

#include "frame.h"
#include "panic.h"

static inline arch_pte_t *first_slot(arch_pte_t *slot)
{
	return slot - contig_place(slot);
}

static inline vmem_vaddr_t base_of(vmem_vaddr_t address)
{
	return address & ~(CONTIG_SIZE - 1);
}

/* What vmem_pmap_set() does for a frame about to be mapped: see PAGE_F_EXEC_SYNCED. */
static void sync_frames(vmem_paddr_t pa, uint32_t leaf)
{
	for (unsigned i = 0; i < ARCH_CONTIG_PAGES; i++, pa += VMEM_PAGE_SIZE) {
		struct vmem_page *page = pa_to_page(pa);
		if (!page) {
			continue;
		}
		if (!(leaf & LEAF_EXEC)) {
			if (leaf & LEAF_WRITE) {
				page_unmark(page, PAGE_F_EXEC_SYNCED);
			}
		} else if (!(shared_load(&page->flags) & PAGE_F_EXEC_SYNCED)) {
			vmem_icache_publish(phys_to_virt(pa), VMEM_PAGE_SIZE);
			page_mark(page, PAGE_F_EXEC_SYNCED);
		}
	}
}

/* The 16 stores; pa is of the first page. */
static void store_members(struct vmem_pmap *pmap, arch_pte_t *slot, vmem_paddr_t pa, uint32_t leaf)
{
	for (unsigned i = 0; i < ARCH_CONTIG_PAGES; i++, pa += VMEM_PAGE_SIZE) {
		pte_store(&slot[i], pmap_make_leaf(pmap, pa, 0, leaf | LEAF_CONTIG));
	}
}

/* Clears them, and answers LEAF_ACCESSED and LEAF_DIRTY as they were until each was gone. */
static uint32_t clear_members(arch_pte_t *slot)
{
	uint32_t marks = 0;
	for (unsigned i = 0; i < ARCH_CONTIG_PAGES; i++) {
		marks |= arch_pte_marks(pte_swap(&slot[i], 0));
	}
	return marks;
}

uint32_t vmem_pmap_contig_marks(const arch_pte_t *slot)
{
	uint32_t marks = 0;
	slot -= contig_place(slot);
	for (unsigned i = 0; i < ARCH_CONTIG_PAGES; i++) {
		marks |= arch_pte_marks(pte_load(&slot[i]));
	}
	return marks;
}

bool vmem_pmap_contig_free(const arch_pte_t *slot)
{
	slot -= contig_place(slot);
	for (unsigned i = 0; i < ARCH_CONTIG_PAGES; i++) {
		if (pte_peek(&slot[i]) != 0) {
			return false;
		}
	}
	return true;
}

void vmem_pmap_sync_contig(vmem_paddr_t pa, uint32_t leaf)
{
	sync_frames(base_of(pa), leaf);
}

void vmem_pmap_put_contig(
    struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf)
{
	for (unsigned i = 0; i < ARCH_CONTIG_PAGES; i++) {
		pmap_count_entry(pmap, at.table);
	}
	pmap_count(pmap, cpu_number(), COUNT_RESIDENT, ARCH_CONTIG_PAGES);
	store_members(pmap, first_slot(at.slot), base_of(pa), leaf);
	vmem_arch_publish();
	if (vmem_mmu.features & MMU_CACHES_INVALID) {
		vmem_flush_granted(pmap, va, false);
	}
}

vmem_status_t vmem_pmap_enter_contig(struct vmem_pmap *pmap, vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf)
{
	struct pmap_entry at;
	VMEM_ASSERT(arch_leaf_contig() && ((va ^ pa) & (CONTIG_SIZE - 1) & ~VMEM_PAGE_MASK) == 0);
	vmem_status_t status = vmem_pmap_reserve(pmap, va, 0, &at);
	if (status != VMEM_OK) {
		return status;
	}
	if (!vmem_pmap_contig_free(at.slot)) {
		return VMEM_ERR_EXISTS;
	}
	sync_frames(base_of(pa), leaf);
	vmem_pmap_put_contig(pmap, at, va, pa, leaf);
	return VMEM_OK;
}

void vmem_pmap_raise_contig(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, uint32_t leaf)
{
	vmem_paddr_t pa = base_of(arch_pte_pa_at(pte_load(at.slot), 0, va));
	VMEM_ASSERT(pmap->kernel);
	sync_frames(pa, leaf);
	store_members(pmap, first_slot(at.slot), pa, leaf);
	vmem_arch_publish();
}

void vmem_pmap_note_contig(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, uint32_t marks)
{
	arch_pte_t entry = pte_load(at.slot);
	uint32_t leaf = (arch_pte_leaf(entry, 0) & ~(uint32_t)(LEAF_USER | LEAF_GLOBAL)) | marks;
	vmem_paddr_t pa = arch_pte_pa_at(entry, 0, va);
	VMEM_ASSERT(!pmap->kernel);
	VMEM_ASSERT(vmem_mmu.features & MMU_HW_DIRTY); /* nothing is lost: with dirty all marks are there */
	pte_store(at.slot, pmap_make_leaf(pmap, pa, 0, leaf));
	vmem_arch_publish();
}

void vmem_pmap_clear_contig(arch_pte_t *slot)
{
	vmem_paddr_t pa = base_of(arch_pte_pa(pte_load(slot), 0));
	uint8_t marks = (uint8_t)(clear_members(slot) >> PAGE_F_MARKS_SHIFT);
	for (unsigned i = 0; marks && i < ARCH_CONTIG_PAGES; i++, pa += VMEM_PAGE_SIZE) {
		struct vmem_page *page = pa_to_page(pa);
		if (page) {
			pmap_keep_marks(page, marks);
		}
	}
}

void vmem_pmap_unfold(struct vmem_pmap *pmap, vmem_vaddr_t va)
{
	struct pmap_entry at = vmem_pmap_lookup(pmap, va);
	uint64_t size = arch_level_size(at.level);
	vmem_vaddr_t base = va & ~(size * ARCH_CONTIG_PAGES - 1);
	struct vmem_batch batch;
	VMEM_ASSERT(vmem_mmu.features & MMU_LIVE_SPLIT);
	arch_pte_t *slot = first_slot(at.slot);
	for (unsigned i = 0; i < ARCH_CONTIG_PAGES; i++) {
		pte_store(&slot[i], arch_pte_unfold(pte_load(&slot[i]), at.level, base + i * size));
	}
	vmem_arch_publish();
	vmem_batch_begin(&batch, pmap);
	vmem_batch_leaves(&batch, base, base + (size * ARCH_CONTIG_PAGES - 1), at.level);
	vmem_batch_end(&batch);
}
