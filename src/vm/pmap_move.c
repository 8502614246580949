/* SPDX-License-Identifier: MIT */
/*
 * pmap_move.c - translations that go with the memory they show to other addresses.
 *
 * Translations may be forgotten (P1), so a move may do no more than remove them. To save the faults that
 * would rebuild them, leaf tables are taken out of the tree whole where both places have the same place in
 * their windows, and put back in below the new addresses; of short ranges single entries are noted and
 * stored anew.
 *
 * V1 Between the two every CPU has forgotten what was taken (the caller ends the batch): no frame is
 * reachable at two addresses, and whoever cuts entries meanwhile finds none. V2 What cannot be put back, for
 * lack of memory or because another CPU is in the way, is forgotten. V3 A table that has a busy slot (P9)
 * stays where it is, emptied. V4 A parked one (pmap_park.c) goes along without permission to write, for its
 * place says no more whose its pages are.
 *
 * Locks: the space's, and the byte of each table. The regions of both ranges are being changed, so no fault
 * enters anything there; what is shown is private to the space and has no object, so only the holder of the
 * space's lock changes it.
 */
#include "frame.h"
#include "pmap.h"

/* Locks the leaf table that an entry leads to, parked or not; false: it is not there any more. */
static bool take_below(struct vmem_pmap *pmap, struct vmem_page *table, bool parked, vmem_vaddr_t window)
{
	if (parked) {
		spin_take(&table->lock, lock_table_rank(0));
		vmem_pmap_protect_parked(pmap, table); /* (V4) */
		return true;
	}
	return pmap_take(pmap, (struct pmap_entry){NULL, table, 0}, window);
}

/* The leaf table of a whole window out of the tree; false: there is none, or it has to stay. */
static bool lift_table(
    struct vmem_pmap *pmap, vmem_vaddr_t window, struct pmap_moved *moved, struct vmem_batch *batch)
{
	struct pmap_entry above = vmem_pmap_lookup_table(pmap, window, 1);
	struct vmem_page *table = NULL, *empty = NULL;
	bool lifted = false;
	if (above.level != 1 || !pmap_take(pmap, above, window)) {
		return false;
	}
	arch_pte_t entry = pte_load(above.slot);
	const bool parked = pte_is_parked(entry);
	table = pte_table(entry, 1);
	if (table && take_below(pmap, table, parked, window)) {
		empty = parked && table->refs == 0 ? table : NULL;
		lifted = table->refs != 0 && !(VMEM_SMP && table->busy != 0);
		if (lifted) {
			if (this_vmem_cpu()->hot.page == table) {
				this_vmem_cpu()->hot.base = 1;
			}
			pmap_open(pmap, batch);
			pmap_drop(pmap, batch);
			shared_store(&table->order, 0);
			table_push(&moved->tables, table); /* of no pmap: whoever still finds it sees it */
			pte_store(above.slot, 0);
			shared_store(&above.table->refs, above.table->refs - 1);
			empty = above.table->refs == 0 ? above.table : NULL;
		}
		pmap_give((struct pmap_entry){NULL, table, 0});
	}
	pmap_give(above);
	if (empty) {
		vmem_pmap_unhook(pmap, empty, batch);
	}
	return lifted;
}

/* Notes the entries of at most PMAP_MOVED_ENTRIES pages. Runs are left out (P8), and what may be executed:
 * instruction fetch would have to be brought in step first. */
static void note_entries(struct vmem_pmap *pmap, vmem_vaddr_t va, vmem_vaddr_t end, struct pmap_moved *moved)
{
	for (; va < end; va += VMEM_PAGE_SIZE) {
		struct pmap_entry at = vmem_pmap_lookup(pmap, va);
		if (!at.slot) {
			va = pmap_window(va) + arch_level_size(1) - VMEM_PAGE_SIZE;
			continue;
		}
		if (at.level != 0 || !pmap_take(pmap, at, va)) {
			continue;
		}
		arch_pte_t entry = pte_load(at.slot);
		uint32_t leaf =
		    arch_pte_present(entry) && !arch_pte_contig(entry) ? arch_pte_leaf(entry, 0) : 0;
		if (leaf != 0 && !(leaf & LEAF_EXEC)) {
			moved->entry[moved->count].va = va;
			moved->entry[moved->count].pa = arch_pte_pa(entry, 0);
			moved->entry[moved->count++].leaf = leaf;
		}
		pmap_give(at);
	}
}

void vmem_pmap_lift(struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, uint64_t distance,
    struct pmap_moved *moved, struct vmem_batch *batch)
{
	const uint64_t window = arch_level_size(1);
	const vmem_vaddr_t start = va, end = va + length;
	if (length <= (uint64_t)PMAP_MOVED_ENTRIES << VMEM_PAGE_SHIFT) {
		note_entries(pmap, va, end, moved);
	}
	while (length >= window && (distance & (window - 1)) == 0 && va < end) {
		vmem_vaddr_t next = pmap_window(va) + window;
		next = next < end ? next : end;
		if (next - va < window || !lift_table(pmap, va, moved, batch)) {
			vmem_pmap_remove(pmap, va, next - va, batch);
		}
		pause_after(400);
		va = next;
	}
	if (va < end) {
		vmem_pmap_remove(pmap, va, end - va, batch);
	}
	if (moved->tables) {
		vmem_batch_leaves(batch, start, end - 1, 0);
		batch->tables_changed = true;
	}
}

/* The entries of a table that is in no tree go, and the table. */
static void forget_table(struct vmem_pmap *pmap, struct vmem_page *table)
{
	const struct page_range *near = &vmem_page_ranges.range[0];
	arch_pte_t *slot = page_to_virt(table);
	uint64_t leaves = 0;
	for (unsigned i = 0; i < ARCH_TABLE_ENTRIES; i++) {
		arch_pte_t entry = pte_load(&slot[i]);
		if (entry == 0) {
			continue;
		}
		if (arch_pte_contig(entry)) {
			vmem_pmap_clear_contig(&slot[i]);
			leaves += ARCH_CONTIG_PAGES;
			continue;
		}
		pte_store(&slot[i], 0);
		pmap_harvest(entry, 0, &near);
		leaves++;
	}
	pmap_count(pmap, cpu_number(), COUNT_RESIDENT, UINT64_C(0) - leaves);
	(void)shared_subtract(&pmap->tables, UINT64_C(1));
	vmem_frame_give(table);
}

/* Puts the table in where nothing is below the level above; else *out_there is the table that is. */
static bool hook_table(struct vmem_pmap *pmap, struct pmap_entry above, struct vmem_page *table,
    vmem_vaddr_t va, struct vmem_page **out_there)
{
	*out_there = NULL;
	if (!pmap_take(pmap, above, va)) {
		return false;
	}
	arch_pte_t entry = pte_load(above.slot);
	bool hooked = entry == 0 && !pmap_is_dropping(pmap);
	if (hooked) {
		spin_take(&table->lock, lock_table_rank(0));
		shared_store(&table->u.table.pmap, pmap);
		shared_store(&table->u.table.base, va);
		spin_give(&table->lock, lock_table_rank(0));
		pmap_count_entry(pmap, above.table);
		vmem_arch_publish();
		shared_store_release(above.slot, arch_pte_make_table(page_to_pa(table), true));
	} else {
		*out_there = pte_table(entry, 1);
	}
	pmap_give(above);
	if (hooked && (vmem_mmu.features & MMU_CACHES_INVALID)) {
		vmem_flush_granted(pmap, va, true);
	}
	return hooked;
}

/* An empty table that is in the way, or that was made in vain, goes. */
static void clear_way(struct vmem_pmap *pmap, struct vmem_page *table)
{
	struct vmem_batch batch;
	vmem_batch_begin(&batch, pmap);
	vmem_pmap_unhook(pmap, table, &batch);
	vmem_batch_end(&batch);
}

static void lay_table(struct vmem_pmap *pmap, struct vmem_page *table, vmem_vaddr_t va)
{
	struct pmap_entry above;
	struct vmem_page *there;
	for (unsigned turns = 0; turns < 2; turns++) {
		if (vmem_pmap_reserve(pmap, va, 1, &above) != VMEM_OK) {
			break;
		}
		if (hook_table(pmap, above, table, va, &there)) {
			return;
		}
		clear_way(pmap, there ? there : above.table);
	}
	forget_table(pmap, table); /* (V2) */
}

static void lay_entry(struct vmem_pmap *pmap, vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf)
{
	struct pmap_entry at = vmem_pmap_lookup(pmap, va);
	if (!at.slot && vmem_pmap_reserve(pmap, va, 0, &at) != VMEM_OK) {
		return;
	}
	if (at.level != 0 || !pmap_take(pmap, at, va)) {
		return;
	}
	bool stored = pte_load(at.slot) == 0 && !pmap_is_busy(at, va) && !pmap_is_dropping(pmap);
	if (stored) {
		pmap_put(pmap, &at, cpu_number(), va, pa, leaf & ~(uint32_t)LEAF_USER);
	}
	pmap_give(at);
	if (!stored && shared_load(&at.table->refs) == 0 && at.table != shared_load(&pmap->kept)) {
		clear_way(pmap, at.table);
	}
}

void vmem_pmap_lay(struct vmem_pmap *pmap, struct pmap_moved *moved, uint64_t distance)
{
	while (moved->tables) {
		struct vmem_page *table = table_pop(&moved->tables);
		lay_table(pmap, table, table->u.table.base + distance);
		pause_after(400);
	}
	for (unsigned i = 0; i < moved->count; i++) {
		lay_entry(pmap, moved->entry[i].va + distance, moved->entry[i].pa, moved->entry[i].leaf);
	}
}
