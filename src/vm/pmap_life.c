/* SPDX-License-Identifier: MIT */
/*
 * pmap_life.c - how a pmap begins and ends, and the validator of its tables (P3, P7).
 *
 * On x86-64 and RISC-V one root serves both halves: a user root carries copies of the kernel's top-level
 * entries. They are complete before the first user root is made and never change after (contract 6.4), so
 * copies need no upkeep. AArch64 has a root of its own for the kernel half.
 */
#include "frame.h"
#include "panic.h"
#include "pmap.h"

static unsigned root_slots(void)
{
	return 1u << (vmem_mmu.va_bits - arch_level_shift(vmem_mmu.levels - 1u));
}

/* Slots of a root that belong to the user half. */
static unsigned user_slots(void)
{
	return vmem_mmu.features & MMU_SPLIT_ROOTS ? root_slots() : root_slots() / 2;
}

static struct vmem_pmap *kernel_pmap; /* whose root new roots copy */

/* Eight at a time, which divides the half of a root on every ISA: a fork of a small process has little else
 * to do that takes as long. */
static void copy_kernel_half(arch_pte_t *to, const arch_pte_t *from)
{
	const arch_pte_t *end = from + root_slots();
	to += user_slots();
	for (from += user_slots(); from < end; from += 8, to += 8) {
		pte_store(&to[0], pte_load(&from[0]));
		pte_store(&to[1], pte_load(&from[1]));
		pte_store(&to[2], pte_load(&from[2]));
		pte_store(&to[3], pte_load(&from[3]));
		pte_store(&to[4], pte_load(&from[4]));
		pte_store(&to[5], pte_load(&from[5]));
		pte_store(&to[6], pte_load(&from[6]));
		pte_store(&to[7], pte_load(&from[7]));
	}
}

vmem_status_t vmem_pmap_init(struct vmem_pmap *pmap, bool wx)
{
	struct vmem_page *page = vmem_frame_take(PAGE_TABLE);
	if (!page) {
		return VMEM_ERR_NO_MEMORY;
	}
	*pmap = (struct vmem_pmap){
	    .root = page_to_virt(page), .root_pa = page_to_pa(page), .tables = 1, .wx = wx};
	vmem_arch_page_clear(pmap->root);
	shared_store(&page->order, (uint8_t)(vmem_mmu.levels - 1u));
	shared_store(&page->refs, 0);
	shared_store(&page->busy, 0);
	shared_store(&page->u.table.pmap, pmap);
	shared_store(&page->u.table.base, 0);
	if (!(vmem_mmu.features & MMU_SPLIT_ROOTS)) {
		copy_kernel_half(pmap->root, kernel_pmap->root);
	}
	return VMEM_OK;
}

vmem_status_t vmem_pmap_init_kernel(struct vmem_pmap *pmap, vmem_vaddr_t start, uint64_t length)
{
	*pmap = (struct vmem_pmap){.root_pa = vmem_arch_kernel_root(), .wx = true, .kernel = true};
	pmap->root = phys_to_virt(pmap->root_pa);
	kernel_pmap = pmap;
	if (length == 0) {
		return VMEM_OK;
	}
	unsigned level = vmem_mmu.levels - 2u;
	uint64_t step = arch_level_size(level + 1);
	vmem_vaddr_t last = start + (length - 1);
	for (vmem_vaddr_t va = start;; va += step) {
		struct pmap_entry at;
		vmem_status_t status = vmem_pmap_reserve(pmap, va, level, &at);
		if (status != VMEM_OK) {
			return status == VMEM_ERR_EXISTS ? VMEM_ERR_INVALID : status;
		}
		if (last - va < step) {
			break;
		}
	}
	struct pmap_entry at; /* the last window, when start is not aligned to the step */
	return vmem_pmap_reserve(pmap, last & ~VMEM_PAGE_MASK, level, &at);
}

void vmem_pmap_fini(struct vmem_pmap *pmap)
{
	struct vmem_batch batch;
	vmem_batch_begin(&batch, pmap);
	if (vmem_pmap_counted(pmap, COUNT_RESIDENT) != 0) { /* what regions showed has gone with them */
		vmem_pmap_remove(
		    pmap, 0, (uint64_t)user_slots() << arch_level_shift(vmem_mmu.levels - 1u), &batch);
	}
	if (pmap->kept) { /* the last table: an ordinary removal of nothing lets it go */
		vmem_pmap_unhook(pmap, pmap->kept, &batch);
	}
	vmem_batch_end(&batch);
	vmem_pmap_retire(pmap);
	VMEM_CHECK(pmap->tables == 1 && vmem_pmap_counted(pmap, COUNT_RESIDENT) == 0,
	    "internal: a pmap dies with tables or leaves");
	if (this_vmem_cpu()->hot.pmap == pmap) {
		this_vmem_cpu()->hot.base = 1;
	}
	shared_store(&pa_to_page(pmap->root_pa)->u.table.pmap, NULL);
	vmem_frame_give(pa_to_page(pmap->root_pa));
	pmap->root = NULL;
}

struct count {
	uint64_t tables, resident, empty;
};

static void check_table(
    struct vmem_pmap *pmap, const arch_pte_t *table, unsigned level, vmem_vaddr_t base, struct count *count)
{
	struct vmem_page *page = pa_to_page(virt_to_phys(table));
	bool counted = page && page->kind == PAGE_TABLE;
	bool root = level + 1u == vmem_mmu.levels;
	unsigned entries = root ? user_slots() : ARCH_TABLE_ENTRIES, used = 0;
	for (unsigned i = 0; i < entries; i++) {
		arch_pte_t entry = pte_load(&table[i]);
		vmem_vaddr_t va = base + ((vmem_vaddr_t)i << arch_level_shift(level));
		if (entry == 0) {
			continue;
		}
		used++;
		VMEM_CHECK(
		    arch_pte_present(entry) || level == 1, "internal: an entry is neither zero nor present");
		if (arch_pte_is_leaf(entry, level)) {
			count->resident += UINT64_C(1) << (ARCH_LEVEL_BITS * level);
		} else {
			VMEM_CHECK(level > 0, "internal: a table entry at level 0");
			const struct vmem_page *below = pte_table(entry, level);
			VMEM_CHECK(below, "internal: a user table has no record");
			VMEM_CHECK(below->kind != PAGE_TABLE ||
				       (below->order & TABLE_PARKED) ==
					   (pte_is_parked(entry) ? TABLE_PARKED : 0),
			    "internal: P11, a table and the entry above disagree whether it is parked");
			check_table(pmap, page_to_virt(below), level - 1, va, count);
		}
	}
	VMEM_CHECK(counted, "internal: a user table has no record");
	VMEM_CHECK(page->refs == used, "internal: a table's count of entries is wrong");
	VMEM_CHECK(page->u.table.pmap == pmap && page->u.table.base == base &&
		       (page->order & ~(TABLE_PARKED | TABLE_FOREIGN)) == (int)level,
	    "internal: a table's record does not say where it is");
	VMEM_CHECK(used > 0 || root || page == pmap->kept,
	    "internal: an empty table is neither freed nor the kept one");
	count->empty += used == 0 && !root;
	count->tables++;
}

void vmem_pmap_check(struct vmem_pmap *pmap)
{
	struct count count = {0};
	if (pmap->kernel) {
		return; /* its upper tables are the host's: nothing is counted there */
	}
	check_table(pmap, pmap->root, vmem_mmu.levels - 1u, 0, &count);
	VMEM_CHECK(pmap->open == 0 && pmap->dropping == 0, "internal: a batch that has ended still counts");
	VMEM_CHECK(count.tables == pmap->tables, "internal: tables are miscounted");
	VMEM_CHECK(count.resident == vmem_pmap_counted(pmap, COUNT_RESIDENT),
	    "internal: resident leaves are miscounted");
	VMEM_CHECK(count.empty == (pmap->kept != NULL), "internal: the kept table is not the empty one");
}
