/* SPDX-License-Identifier: MIT */
/*
 * pmap_split.c - large leaves of the kernel half that become smaller ones.
 *
 * A kernel mapping in use may not vanish for a moment and may not fail to change for lack of memory. So a
 * leaf is split live, by one store that puts a table of equal smaller leaves in its place, and the tables
 * for that are there beforehand: those of the managed range in the pmap's deposit, those of the direct map
 * taken before the first entry changes (direct_map.c).
 *
 * S1 The deposit holds, for each large leaf of the managed range, as many tables as it takes to make pages
 * of it: 1 for 2 MiB, 513 for 1 GiB. A split takes one and leaves the others to the smaller leaves; a leaf
 * that goes gives its own back. Where the CPU cannot split a live leaf there is no deposit.
 *
 * Locks: those of the pmap.
 */
#include "pmap.h"

#include "frame.h"
#include "panic.h"

bool vmem_tables_take(struct vmem_page **chain, uint64_t count)
{
	for (uint64_t taken = 0; taken < count; taken++) {
		struct vmem_page *table = vmem_frame_take(PAGE_TABLE);
		if (!table) {
			vmem_tables_give(chain, taken);
			return false;
		}
		table_push(chain, table);
	}
	return true;
}

void vmem_tables_give(struct vmem_page **chain, uint64_t count)
{
	for (; count > 0; count--) {
		vmem_frame_give(table_pop(chain));
	}
}

uint64_t vmem_pmap_deposit_of(unsigned level)
{
	uint64_t tables = 0;
	for (; (vmem_mmu.features & MMU_LIVE_SPLIT) && level > 0; level--) {
		tables = 1 + tables * ARCH_TABLE_ENTRIES;
	}
	return tables;
}

bool vmem_pmap_deposit(struct vmem_pmap *pmap, unsigned level)
{
	uint64_t tables = vmem_pmap_deposit_of(level);
	if (!vmem_tables_take(&pmap->deposit, tables)) {
		return false;
	}
	pmap->deposited += tables;
	return true;
}

void vmem_pmap_withdraw(struct vmem_pmap *pmap, unsigned level)
{
	uint64_t tables = vmem_pmap_deposit_of(level);
	VMEM_ASSERT(tables <= pmap->deposited);
	pmap->deposited -= tables;
	vmem_tables_give(&pmap->deposit, tables);
}

void vmem_pmap_split(struct vmem_pmap *pmap, vmem_vaddr_t va, struct pmap_entry at, struct vmem_page **chain)
{
	struct vmem_page *table = table_pop(chain);
	arch_pte_t *lower = page_to_virt(table), entry = pte_load(at.slot);
	uint32_t leaf = arch_pte_leaf(entry, at.level) & ~(uint32_t)LEAF_CONTIG;
	uint64_t size = arch_level_size(at.level);
	vmem_paddr_t pa = arch_pte_pa(entry, at.level);
	VMEM_ASSERT(vmem_mmu.features & MMU_LIVE_SPLIT);
	for (unsigned i = 0; i < ARCH_TABLE_ENTRIES; i++, pa += size / ARCH_TABLE_ENTRIES) {
		pte_store(&lower[i], arch_pte_make_leaf(pa, at.level - 1, leaf));
	}
	table->order = (uint8_t)(at.level - 1);
	table->refs = ARCH_TABLE_ENTRIES;
	shared_store(&table->u.table.pmap, pmap);
	shared_store(&table->u.table.base, va & ~(size - 1));
	(void)shared_add(&pmap->tables, UINT64_C(1));
	vmem_arch_publish(); /* the table before the entry that leads to it */
	pte_store(at.slot, arch_pte_make_table(page_to_pa(table), !pmap->kernel));
	struct vmem_batch batch;
	vmem_batch_begin(&batch, pmap);
	vmem_batch_leaves(&batch, table->u.table.base, table->u.table.base + (size - 1), 0);
	vmem_batch_end(&batch);
}

void vmem_pmap_cut(struct vmem_pmap *pmap, vmem_vaddr_t va)
{
	for (;;) {
		struct pmap_entry at = vmem_pmap_lookup(pmap, va);
		if (!at.slot || (va & (pmap_leaf_size(at) - 1)) == 0) {
			return;
		}
		if (at.level == 0) {
			vmem_pmap_unfold(pmap, va);
		} else {
			pmap->deposited--;
			vmem_pmap_split(pmap, va, at, &pmap->deposit);
		}
	}
}
