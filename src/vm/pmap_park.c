/* SPDX-License-Identifier: MIT */
/*
 * pmap_park.c - leaf tables that are set aside and taken back.
 *
 * A fork makes all that a space has mapped read-only. To go through every entry would cost more than all the
 * rest of it; so the leaf tables are parked instead. The entry that leads to one becomes not present, and
 * remembers where the table is in a form that no CPU takes for an address of memory. The first fault in the
 * window takes the table back: as it was, if by then nothing in the window is shared any more, else with all
 * of its entries read-only.
 *
 * W1 A parked table is in the tree for whoever removes, restricts or counts (next_piece()), and out of it for
 * look-ups and the hardware: its record does not say what pmap_take() asks for. W2 No entry changes on the
 * way back but to grant less, and no CPU remembers anything of the window then: while the batch that parks
 * is open nothing comes back (P10). W3 What may be shared by then is asked under the lock of the table
 * above, by the sequence: a fork that comes later finds the table there, and parks it again. W4 A table with
 * a busy slot (P9), one that lies in the range with a part, and leaves above the tables are not parked but
 * restricted. W5 A table that is moved while it is parked (pmap_move.c) is parked no more: its entries are
 * read-only from then on, whosoever the pages are.
 *
 * Locks: the byte of the table above, then the leaf table's.
 */
#include "frame.h"
#include "pmap.h"

#define KEEP (VMEM_READ | VMEM_EXEC)

/* Parks what the slot of a level-1 table leads to; false: it is to be restricted (W4). */
static bool park_slot(struct vmem_pmap *pmap, arch_pte_t *slot, vmem_vaddr_t base, bool plain,
    struct vmem_batch *batch)
{
	arch_pte_t entry = pte_load(slot);
	if (!arch_pte_present(entry)) {
		return true;
	}
	if (arch_pte_is_leaf(entry, 1)) {
		return false;
	}
	struct vmem_page *table = pa_to_page(arch_pte_pa(entry, 1));
	spin_take(&table->lock, lock_table_rank(0));
	bool parks = !VMEM_SMP || table->busy == 0;
	if (parks && table->refs != 0) {
		pmap_open(pmap, batch);
		if (batch->drops == 0) {
			pmap_drop(pmap, batch);
		}
		shared_store(&table->order, (uint8_t)(TABLE_PARKED | (plain ? 0 : TABLE_FOREIGN)));
		pte_store(slot, pte_park(page_to_pa(table)));
		vmem_batch_leaves(batch, base, base + (arch_level_size(1) - 1), 0);
		batch->tables_changed = true;
	}
	spin_give(&table->lock, lock_table_rank(0));
	return parks;
}

/* One table of level 1 or above, from the slot `at` on, which is of `base`. Answers where to go on. */
static vmem_vaddr_t park_table(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t base,
    vmem_vaddr_t last, bool plain, struct vmem_batch *batch, bool *restricts)
{
	const uint64_t size = arch_level_size(at.level);
	vmem_vaddr_t end = base | (arch_level_size(at.level + 1u) - 1);
	arch_pte_t *slot = at.slot;
	*restricts = false;
	for (end = end < last ? end : last; base <= end; base += size, slot++) {
		arch_pte_t entry = pte_load(slot);
		if (entry == 0) {
			continue;
		}
		if (at.level > 1) { /* go down to it, unless it is a leaf */
			*restricts = arch_pte_is_leaf(entry, at.level);
			break;
		}
		if (last - base < size - 1 || !park_slot(pmap, slot, base, plain, batch)) {
			*restricts = true;
			break;
		}
	}
	return base;
}

void vmem_pmap_park(
    struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, bool plain, struct vmem_batch *batch)
{
	const vmem_vaddr_t last = va + (length - 1);
	vmem_vaddr_t head = (va + arch_level_size(1) - 1) & ~(arch_level_size(1) - 1);
	if (head > va) { /* (W4) */
		head = head - 1 < last ? head : last + 1;
		vmem_pmap_restrict(pmap, va, head - va, KEEP, batch);
		va = head;
	}
	batch->walked = true;
	this_vmem_cpu()->hot.base = 1;
	while (va <= last) {
		struct pmap_entry at = vmem_pmap_lookup_table(pmap, va, 1);
		uint64_t size = arch_level_size(at.level);
		vmem_vaddr_t from = va;
		bool restricts;
		if (!pmap_take(pmap, at, va)) {
			continue;
		}
		va = park_table(pmap, at, va & ~(size - 1), last, plain, batch, &restricts);
		pmap_give(at);
		pause_after((va - from) / size * (at.level > 1 ? 5 : 64));
		if (restricts) {
			size = last - va < size - 1 ? last - va + 1 : size;
			vmem_pmap_restrict(pmap, va, size, KEEP, batch);
			va += size;
		}
	}
}

/* No CPU walks the table: its entries are memory like any other. */
void vmem_pmap_protect_parked(struct vmem_pmap *pmap, struct vmem_page *table)
{
	const struct page_range *near = &vmem_page_ranges.range[0];
	arch_pte_t *slot = page_to_virt(table);
	uint32_t left = table->refs, gone = 0;
	for (unsigned i = 0; left != 0 && i < ARCH_TABLE_ENTRIES; i++) {
		arch_pte_t entry = pte_load(&slot[i]);
		if (entry == 0) {
			continue;
		}
		left--;
		if (arch_pte_contig(entry)) { /* (P8) */
			vmem_pmap_clear_contig(&slot[i]);
			gone += ARCH_CONTIG_PAGES;
			left -= ARCH_CONTIG_PAGES - 1;
			continue;
		}
		arch_pte_t fresh = arch_pte_restrict(entry, 0, KEEP | LEAF_ACCESSED | LEAF_DIRTY);
		if (fresh == 0) {
			pmap_harvest(entry, 0, &near);
			gone++;
		}
		if (fresh != entry) {
			pte_store(&slot[i], fresh);
		}
	}
	shared_store(&table->refs, table->refs - gone);
	pmap_count(pmap, cpu_number(), COUNT_RESIDENT, UINT64_C(0) - gone);
}

void vmem_pmap_unpark(struct vmem_pmap *pmap, vmem_vaddr_t va, const uint64_t *sequence, uint64_t as_it_was)
{
	const vmem_vaddr_t base = pmap_window(va);
	struct pmap_entry above = vmem_pmap_lookup_table(pmap, base, 1);
	if (above.level != 1 || !pmap_take(pmap, above, base)) {
		return;
	}
	arch_pte_t entry = pte_load(above.slot);
	bool parked = pte_is_parked(entry) && !pmap_is_dropping(pmap); /* (W2) */
	if (parked) {
		struct vmem_page *table = pa_to_page(pte_parked_pa(entry));
		spin_take(&table->lock, lock_table_rank(0));
		order_reads();
		if (!sequence || (table->order & TABLE_FOREIGN) || shared_load(sequence) != as_it_was) {
			vmem_pmap_protect_parked(pmap, table);
		}
		shared_store(&table->order, 0);
		spin_give(&table->lock, lock_table_rank(0));
		vmem_arch_publish();
		pte_store(above.slot, arch_pte_make_table(page_to_pa(table), true));
	}
	pmap_give(above);
	if (parked && (vmem_mmu.features & MMU_CACHES_INVALID)) {
		vmem_flush_granted(pmap, va, true);
	}
}
