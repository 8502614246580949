/* SPDX-License-Identifier: MIT */
/*
 * pmap_entry.c - single entries: storing, raising, replacing, and what that owes to instruction fetch and
 * to the TLB. Invariants (P1, P5, P6, P9) and locks are in pmap.h.
 */
#include "pmap.h"

#include "frame.h"
#include "panic.h"

static inline uint64_t leaf_pages(unsigned level)
{
	return UINT64_C(1) << (ARCH_LEVEL_BITS * level);
}

/* Instruction fetch must see what was stored to the frame before a program may run it. */
static void sync_for_exec(vmem_paddr_t pa, unsigned level)
{
	struct vmem_page *page = pa_to_page(pa);
	if (!page || (shared_load(&page->flags) & PAGE_F_EXEC_SYNCED)) {
		return;
	}
	vmem_icache_publish(phys_to_virt(pa), (size_t)arch_level_size(level));
	for (uint64_t n = leaf_pages(level); n > 0; n--, page++) {
		page_mark(page, PAGE_F_EXEC_SYNCED);
	}
}

static void forget_exec_sync(vmem_paddr_t pa, unsigned level)
{
	struct vmem_page *page = pa_to_page(pa);
	if (page && (shared_load(&page->flags) & PAGE_F_EXEC_SYNCED)) {
		for (uint64_t n = leaf_pages(level); n > 0; n--, page++) {
			page_unmark(page, PAGE_F_EXEC_SYNCED);
		}
	}
}

void vmem_pmap_sync(vmem_paddr_t pa, unsigned level, uint32_t leaf)
{
	if (leaf & LEAF_EXEC) {
		sync_for_exec(pa, level);
	} else if (leaf & LEAF_WRITE) {
		forget_exec_sync(pa, level);
	}
}

void vmem_pmap_flush(struct vmem_pmap *pmap, vmem_vaddr_t va, unsigned level)
{
	struct vmem_batch batch;
	vmem_vaddr_t first = va & ~(arch_level_size(level) - 1);
	vmem_batch_begin(&batch, pmap);
	vmem_batch_leaves(&batch, first, first + (arch_level_size(level) - 1), level);
	vmem_batch_end(&batch);
}

enum arch_duty vmem_pmap_raise(struct vmem_pmap *pmap, struct pmap_entry at, vmem_paddr_t pa, uint32_t leaf)
{
	arch_pte_t old = pte_load(at.slot);
	arch_pte_t fresh = pmap_make_leaf(pmap, pa, at.level, leaf | arch_pte_marks(old));
	enum arch_duty duty = arch_pte_duty(old, fresh, at.level);
	const struct page_range *near = &vmem_page_ranges.range[0];
	VMEM_ASSERT(duty != ARCH_DUTY_BREAK);
	pmap_harvest(pte_swap(at.slot, fresh), at.level, &near);
	vmem_arch_publish();
	return duty;
}

bool vmem_pmap_vacate(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va)
{
	const struct page_range *near = &vmem_page_ranges.range[0];
	if (VMEM_SMP && at.table->busy != 0) {
		return false;
	}
	shared_store(&at.table->busy, ((unsigned)(va >> VMEM_PAGE_SHIFT) & (ARCH_TABLE_ENTRIES - 1)) + 1);
	pmap_harvest(pte_swap(at.slot, 0), 0, &near);
	pmap_count(pmap, cpu_number(), COUNT_RESIDENT, UINT64_MAX);
	return true; /* what counted as an entry counts as busy */
}

bool vmem_pmap_settle(struct vmem_pmap *pmap, struct pmap_entry at)
{
	(void)pmap;
	shared_store(&at.table->busy, 0);
	shared_store(&at.table->refs, at.table->refs - 1);
	return at.table->refs == 0;
}

uint64_t vmem_pmap_counted(const struct vmem_pmap *pmap, enum pmap_counter which)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < COUNT_STRIPES; i++) {
		sum += shared_load(&pmap->counts[i].n[which]);
	}
	return sum;
}

/* Stores over a live entry, in the steps that the change owes (P5). */
static void __attribute__((noinline))
replace_entry(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, arch_pte_t fresh)
{
	arch_pte_t old = pte_load(at.slot);
	VMEM_ASSERT(at.level > 0 || !arch_pte_contig(old)); /* a run changes as a whole (P8) */
	enum arch_duty duty = arch_pte_duty(old, fresh, at.level);
	const struct page_range *near = &vmem_page_ranges.range[0];
	pmap_harvest(pte_swap(at.slot, duty == ARCH_DUTY_BREAK ? 0 : fresh), at.level, &near);
	if (duty != ARCH_DUTY_NONE) {
		vmem_pmap_flush(pmap, va, at.level);
	}
	if (duty == ARCH_DUTY_BREAK) {
		pte_store(at.slot, fresh);
	}
}

void vmem_pmap_set(
    struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf)
{
	arch_pte_t fresh = pmap_make_leaf(pmap, pa, at.level, leaf);
	VMEM_ASSERT((pa & (arch_level_size(at.level) - 1)) == 0);
	if ((leaf & LEAF_EXEC) &&
	    (arch_pte_marks(pte_load(at.slot)) & LEAF_DIRTY)) { /* stored to through this very entry */
		forget_exec_sync(pa, at.level);
	}
	vmem_pmap_sync(pa, at.level, leaf);
	if (pte_load(at.slot) == 0) {
		pmap_put(pmap, &at, cpu_number(), va, pa, leaf);
		return;
	}
	replace_entry(pmap, at, va, fresh);
	vmem_arch_publish();
	if (vmem_mmu.features & MMU_CACHES_INVALID) {
		vmem_flush_granted(pmap, va, false);
	}
}

vmem_status_t vmem_pmap_enter(
    struct vmem_pmap *pmap, vmem_vaddr_t va, vmem_paddr_t pa, unsigned level, uint32_t leaf)
{
	struct pmap_entry at;
	vmem_status_t status = vmem_pmap_reserve(pmap, va, level, &at);
	if (status != VMEM_OK) {
		return status;
	}
	if (level > 0 && arch_pte_present(pte_load(at.slot)) && !arch_pte_is_leaf(pte_load(at.slot), level)) {
		return VMEM_ERR_EXISTS; /* a table is there: the caller maps smaller leaves through it */
	}
	vmem_pmap_set(pmap, at, va, pa, leaf);
	return VMEM_OK;
}
