/* SPDX-License-Identifier: MIT */
/*
 * pmap.c - page tables: making, reading and changing entries. Idea and invariants P1 to P8 are in pmap.h.
 *
 * Every operation on a range goes through next_piece(), which walks down from the root to the next piece that
 * exists: a row of slots of one leaf table, or one large leaf. Absent windows are stepped over at the size of
 * the level where they are absent, so the cost of an empty range does not depend on its length.
 *
 * Contiguous runs (P8) are made and changed in pmap_contig.c; here they are only met: a user range that takes
 * one leaf of a run takes all of it.
 *
 * Locks: the caller serialises all calls for one pmap.
 */
#include "pmap.h"

#include "frame.h"
#include "panic.h"

/* The slot of va in a table of a level. The root's index may be narrower than a table: AArch64 with 52 bits
 * uses 16 entries. */
static inline unsigned slot_index(vmem_vaddr_t va, unsigned level)
{
	unsigned index = (unsigned)(va >> arch_level_shift(level)) & (ARCH_TABLE_ENTRIES - 1);
	if (level + 1u == vmem_mmu.levels) {
		index &= (1u << (vmem_mmu.va_bits - arch_level_shift(level))) - 1;
	}
	return index;
}

/* The record of the table that a slot lies in; NULL for a table of the host's (P7). */
static inline struct vmem_page *table_of(const arch_pte_t *slot)
{
	struct vmem_page *page = pa_to_page(virt_to_phys(slot));
	return page && page->kind == PAGE_TABLE ? page : NULL;
}

struct walk {
	arch_pte_t *slot;
	arch_pte_t entry;
	unsigned level;
};

/* Down to `level`, or to the first entry above it that is no table. */
static inline struct walk walk_down(const struct vmem_pmap *pmap, vmem_vaddr_t va, unsigned level)
{
	struct walk w = {.slot = pmap->root, .level = vmem_mmu.levels - 1u};
	for (;;) {
		w.slot += slot_index(va, w.level);
		w.entry = pte_load(w.slot);
		if (w.level == level || !arch_pte_present(w.entry) || arch_pte_is_leaf(w.entry, w.level)) {
			return w;
		}
		w.slot = phys_to_virt(arch_pte_pa(w.entry, w.level));
		w.level--;
	}
}

static void set_hot(struct vmem_pmap *pmap, vmem_vaddr_t va, const struct pmap_entry *at)
{
	pmap->hot.base = pmap_window(va);
	pmap->hot.table = at->slot - slot_index(va, 0);
	pmap->hot.page = at->table;
}

struct pmap_entry vmem_pmap_lookup_cold(struct vmem_pmap *pmap, vmem_vaddr_t va)
{
	struct walk w = walk_down(pmap, va, 0);
	if (w.level > 0 && !arch_pte_present(w.entry)) {
		return (struct pmap_entry){NULL, NULL, w.level};
	}
	struct pmap_entry at = {w.slot, table_of(w.slot), w.level};
	if (w.level == 0) {
		set_hot(pmap, va, &at);
	}
	return at;
}

/* Takes a cleared table page; its place in the tree is set by hook_table(). */
static struct vmem_page *table_alloc(void)
{
	struct vmem_page *page = vmem_frame_take(PAGE_TABLE);
	if (page) {
		vmem_arch_page_clear(page_to_virt(page));
	}
	return page;
}

static void hook_table(
    struct vmem_pmap *pmap, arch_pte_t *slot, unsigned level, vmem_vaddr_t va, struct vmem_page *page)
{
	page->order = (uint8_t)(level - 1);
	page->refs = 0;
	page->u.table.pmap = pmap;
	page->u.table.base = va & ~(arch_level_size(level) - 1);
	pmap_count_entry(pmap, table_of(slot));
	pmap->tables++;
	vmem_arch_publish(); /* the cleared table before the entry that leads to it */
	pte_store(slot, arch_pte_make_table(page_to_pa(page), !pmap->kernel));
}

vmem_status_t vmem_pmap_reserve(
    struct vmem_pmap *pmap, vmem_vaddr_t va, unsigned level, struct pmap_entry *out)
{
	struct walk w = walk_down(pmap, va, level);
	if (w.level > level) {
		struct vmem_page *fresh[5];
		unsigned missing = w.level - level;
		if (arch_pte_present(w.entry)) {
			return VMEM_ERR_EXISTS;
		}
		for (unsigned i = 0; i < missing; i++) { /* all before the first is hooked (P4) */
			fresh[i] = table_alloc();
			if (!fresh[i]) {
				while (i > 0) {
					vmem_frame_give(fresh[--i]);
				}
				return VMEM_ERR_NO_MEMORY;
			}
		}
		while (w.level > level) {
			struct vmem_page *page = fresh[--missing];
			hook_table(pmap, w.slot, w.level, va, page);
			w.level--;
			w.slot = (arch_pte_t *)page_to_virt(page) + slot_index(va, w.level);
		}
		if (vmem_mmu.features & MMU_CACHES_INVALID) {
			vmem_flush_granted(pmap, va, true);
		}
	}
	*out = (struct pmap_entry){w.slot, table_of(w.slot), w.level};
	if (level == 0) {
		set_hot(pmap, va, out);
	}
	return VMEM_OK;
}

/* pa_to_page() that tries the range of the look-up before first. */
static inline struct vmem_page *page_near(vmem_paddr_t pa, const struct page_range **near)
{
	uint64_t index = (pa >> VMEM_PAGE_SHIFT) - (*near)->first_pfn;
	if (__builtin_expect(index < (*near)->count, 1)) {
		return (*near)->pages + index;
	}
	struct vmem_page *page = vmem_page_search(pa);
	if (page) {
		*near = vmem_page_range_of(page);
	}
	return page;
}

/* Keeps what the hardware recorded before an entry goes (P1). */
static inline __attribute__((always_inline)) void harvest(
    arch_pte_t entry, unsigned level, const struct page_range **near)
{
	_Static_assert(PAGE_F_DIRTY == LEAF_DIRTY >> PAGE_F_MARKS_SHIFT &&
			   PAGE_F_ACCESSED == LEAF_ACCESSED >> PAGE_F_MARKS_SHIFT,
	    "marks of a page are those of a leaf, shifted");
	uint8_t marks = (uint8_t)(arch_pte_marks(entry) >> PAGE_F_MARKS_SHIFT);
	struct vmem_page *page = marks ? page_near(arch_pte_pa(entry, level), near) : NULL;
	if (!page) {
		return;
	}
	pmap_keep_marks(page, marks);
	if (__builtin_expect(level > 0, 0)) {
		for (uint64_t n = UINT64_C(1) << (ARCH_LEVEL_BITS * level); n > 1; n--) {
			pmap_keep_marks(++page, marks);
		}
	}
}

static inline uint64_t leaf_pages(unsigned level)
{
	return UINT64_C(1) << (ARCH_LEVEL_BITS * level);
}

/* Instruction fetch must see what was stored to the frame before a program may run it. */
static void sync_for_exec(vmem_paddr_t pa, unsigned level)
{
	struct vmem_page *page = pa_to_page(pa);
	if (!page || (page->flags & PAGE_F_EXEC_SYNCED)) {
		return;
	}
	vmem_icache_publish(phys_to_virt(pa), (size_t)arch_level_size(level));
	for (uint64_t n = leaf_pages(level); n > 0; n--, page++) {
		page->flags |= PAGE_F_EXEC_SYNCED;
	}
}

static void forget_exec_sync(vmem_paddr_t pa, unsigned level)
{
	struct vmem_page *page = pa_to_page(pa);
	if (page && (page->flags & PAGE_F_EXEC_SYNCED)) {
		for (uint64_t n = leaf_pages(level); n > 0; n--, page++) {
			page->flags &= (uint8_t)~PAGE_F_EXEC_SYNCED;
		}
	}
}

/* Stores over a live entry, in the steps that the change owes (P5). */
static void __attribute__((noinline))
replace_entry(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, arch_pte_t fresh)
{
	arch_pte_t old = pte_load(at.slot);
	VMEM_ASSERT(at.level > 0 || !arch_pte_contig(old)); /* a run changes as a whole (P8) */
	enum arch_duty duty = arch_pte_duty(old, fresh, at.level);
	const struct page_range *near = &vmem_page_ranges.range[0];
	harvest(pte_swap(at.slot, duty == ARCH_DUTY_BREAK ? 0 : fresh), at.level, &near);
	if (duty != ARCH_DUTY_NONE) {
		struct vmem_batch batch;
		vmem_vaddr_t first = va & ~(arch_level_size(at.level) - 1);
		vmem_batch_begin(&batch, pmap);
		vmem_batch_leaves(&batch, first, first + (arch_level_size(at.level) - 1), at.level);
		vmem_batch_end(&batch);
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
	if (leaf & LEAF_EXEC) {
		if (arch_pte_marks(pte_load(at.slot)) & LEAF_DIRTY) { /* stored to through this very entry */
			forget_exec_sync(pa, at.level);
		}
		sync_for_exec(pa, at.level);
	} else if (leaf & LEAF_WRITE) {
		forget_exec_sync(pa, at.level);
	}
	if (pte_load(at.slot) == 0) {
		pmap_count_entry(pmap, at.table);
		pmap->resident += leaf_pages(at.level);
		pte_store(at.slot, fresh);
	} else {
		replace_entry(pmap, at, va, fresh);
	}
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

/* Tables of this level and above stay when they become empty: the root, and those that roots of spaces share
 * with the kernel. */
static inline unsigned last_level(const struct vmem_pmap *pmap)
{
	return vmem_mmu.levels - (pmap->kernel ? 2u : 1u);
}

/* Takes a table without entries out of the tree, and its parents as they become empty. */
void vmem_pmap_unhook(struct vmem_pmap *pmap, struct vmem_page *table, struct vmem_batch *batch)
{
	for (;;) {
		unsigned level = table->order + 1u;
		vmem_vaddr_t base = table->u.table.base;
		struct walk w = walk_down(pmap, base, level);
		struct vmem_page *parent = table_of(w.slot);
		if (pmap->hot.page == table) {
			pmap->hot.base = 1;
		}
		pte_store(w.slot, 0);
		pmap->tables--;
		vmem_batch_table(batch, table);
		if (!parent || --parent->refs > 0 || parent->order >= last_level(pmap)) { /* (P7) */
			return;
		}
		table = parent;
	}
}

/* A leaf table has lost its last entry: it stays as the kept one, and the one kept until now goes. */
static void retire_table(struct vmem_pmap *pmap, struct vmem_page *table, struct vmem_batch *batch)
{
	struct vmem_page *old = pmap->kept; /* another one: the kept one has no entry to lose */
	if (pmap->kernel) {		    /* no faults there for which a table would be worth keeping */
		vmem_pmap_unhook(pmap, table, batch);
		return;
	}
	pmap->kept = table;
	if (old) {
		vmem_pmap_unhook(pmap, old, batch);
	}
}

/* A piece of what is mapped in a range: `count` slots of one table from `slot` on, the first of which maps
 * `va`. */
struct piece {
	arch_pte_t *slot;
	unsigned count;
	unsigned level;
	vmem_vaddr_t va;
};

/* Finds the first piece at or after *va and at or before last, and moves *va behind it; false: nothing more
 * (or the end of the address type). */
static bool next_piece(const struct vmem_pmap *pmap, vmem_vaddr_t *va, vmem_vaddr_t last, struct piece *piece)
{
	while (*va <= last) {
		struct walk w = walk_down(pmap, *va, 0);
		uint64_t size = arch_level_size(w.level == 0 ? 1 : w.level);
		vmem_vaddr_t base = *va & ~(size - 1);
		bool found = w.level == 0 || arch_pte_present(w.entry);
		piece->slot = w.slot;
		piece->level = w.level;
		piece->va = w.level == 0 ? *va : base;
		piece->count = 1;
		if (w.level == 0) {
			vmem_vaddr_t end = base + (size - 1) < last ? base + (size - 1) : last;
			piece->count = (unsigned)((end - *va) >> VMEM_PAGE_SHIFT) + 1;
		}
		*va = base + size;
		bool wrapped = *va == 0;
		if (wrapped) {
			*va = UINT64_MAX;
		}
		if (found) {
			return true;
		}
		if (wrapped) {
			return false;
		}
	}
	return false;
}

/* What was taken out of a piece: how many leaves, and where the outermost of them were, counted from its
 * first slot. */
struct taken {
	unsigned leaves;
	int first, last;
};

/* Clears the slots of a piece and keeps what the hardware recorded in them. Of a run that the piece has a
 * part of, all goes, also what lies outside of the piece (P8). */
static inline __attribute__((always_inline)) struct taken take_leaves(
    const struct piece *piece, const unsigned level)
{
	struct taken taken = {0};
	arch_pte_t *slot = piece->slot; /* locals: stores to entries could alias the piece's fields */
	const struct page_range *near = &vmem_page_ranges.range[0];
	const int count = (int)piece->count;
	for (int i = 0; i < count; i++) {
		arch_pte_t entry = pte_load(&slot[i]);
		if (entry == 0) {
			continue;
		}
		if (level == 0 && __builtin_expect(arch_pte_contig(entry), 0)) {
			int first = i - (int)contig_place(&slot[i]);
			vmem_pmap_clear_contig(&slot[first]);
			taken.first = taken.leaves == 0 ? first : taken.first;
			taken.leaves += ARCH_CONTIG_PAGES;
			taken.last = i = first + (int)ARCH_CONTIG_PAGES - 1;
			continue;
		}
		entry = pte_swap(&slot[i], 0);
		harvest(entry, level, &near);
		taken.first = taken.leaves == 0 ? i : taken.first;
		taken.last = i;
		taken.leaves++;
	}
	return taken;
}

static void remove_piece(struct vmem_pmap *pmap, const struct piece *piece, struct vmem_batch *batch)
{
	struct vmem_page *table = table_of(piece->slot);
	const unsigned level = piece->level;
	struct taken taken = level == 0 ? take_leaves(piece, 0) : take_leaves(piece, level);
	if (taken.leaves == 0) {
		return;
	}
	vmem_vaddr_t size = arch_level_size(level);
	pmap->resident -= (uint64_t)taken.leaves * leaf_pages(level);
	if (level > 0 && pmap->kernel) {
		vmem_pmap_withdraw(pmap, level);
	}
	vmem_batch_leaves(batch, piece->va + (vmem_vaddr_t)taken.first * size,
	    piece->va + (vmem_vaddr_t)taken.last * size + (size - 1), level);
	if (table) {
		table->refs -= taken.leaves;
		if (table->refs == 0 && table->order == 0) {
			retire_table(pmap, table, batch);
		} else if (table->refs == 0 && table->order < last_level(pmap)) {
			vmem_pmap_unhook(pmap, table, batch);
		}
	}
}

void vmem_pmap_remove(struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, struct vmem_batch *batch)
{
	struct piece piece;
	vmem_vaddr_t last = va + (length - 1);
	while (next_piece(pmap, &va, last, &piece)) {
		remove_piece(pmap, &piece, batch);
	}
}

static void restrict_piece(
    struct vmem_pmap *pmap, const struct piece *piece, uint32_t keep, struct vmem_batch *batch)
{
	unsigned changed = 0, first = 0, last = 0;
	for (unsigned i = 0; i < piece->count; i++) {
		arch_pte_t old = pte_load(&piece->slot[i]);
		if (!arch_pte_present(old)) {
			continue;
		}
		arch_pte_t fresh = arch_pte_restrict(old, piece->level, keep | LEAF_ACCESSED | LEAF_DIRTY);
		if (fresh == old) {
			continue;
		}
		if (piece->level == 0 && arch_pte_contig(old) && !pmap->kernel) { /* (P8) */
			const struct piece one = {
			    &piece->slot[i], 1, 0, piece->va + ((uint64_t)i << VMEM_PAGE_SHIFT)};
			remove_piece(pmap, &one, batch);
			continue;
		}
		if (fresh == 0) { /* nothing is left of it (read-only made write-only): faults rebuild what
				     the region still grants */
			remove_piece(pmap, piece, batch);
			return;
		}
		arch_pte_t was = pte_swap(&piece->slot[i], fresh);
		if (was !=
		    old) { /* the hardware set a bit in between: keep it, the entry is still ours to write */
			pte_store(&piece->slot[i],
			    arch_pte_restrict(was, piece->level, keep | LEAF_ACCESSED | LEAF_DIRTY));
		}
		if (arch_pte_duty(old, fresh, piece->level) != ARCH_DUTY_NONE) {
			first = changed == 0 ? i : first;
			last = i;
			changed++;
		}
	}
	if (changed > 0) {
		uint64_t size = arch_level_size(piece->level);
		vmem_batch_leaves(
		    batch, piece->va + first * size, piece->va + last * size + (size - 1), piece->level);
	}
}

void vmem_pmap_restrict(
    struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, uint32_t keep, struct vmem_batch *batch)
{
	struct piece piece;
	vmem_vaddr_t start = va, last = va + (length - 1);
	if ((keep & VMEM_RWX) == 0) {
		vmem_pmap_remove(pmap, va, length, batch);
		return;
	}
	while (next_piece(pmap, &va, last, &piece)) {
		vmem_vaddr_t end = piece.va + (arch_level_size(piece.level) - 1);
		if (piece.level > 0 && (piece.va < start || end > last)) {
			/* dropped whole; faults rebuild it (contract 5.1 c) */
			remove_piece(pmap, &piece, batch);
		} else {
			restrict_piece(pmap, &piece, keep, batch);
		}
	}
}

void vmem_pmap_visit(
    struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, pmap_visit_fn *visit, void *arg)
{
	struct piece piece;
	vmem_vaddr_t last = va + (length - 1);
	while (next_piece(pmap, &va, last, &piece)) {
		for (unsigned i = 0; i < piece.count; i++) {
			arch_pte_t entry = pte_load(&piece.slot[i]);
			if (entry != 0) {
				visit(arg, piece.va + i * arch_level_size(piece.level), piece.level, entry);
			}
		}
	}
}

arch_pte_t vmem_pmap_exchange(struct vmem_pmap *pmap, vmem_vaddr_t va, arch_pte_t entry)
{
	struct walk w = walk_down(pmap, va, 0);
	arch_pte_t old = w.level == 0 ? pte_swap(w.slot, entry) : 0;
	vmem_arch_publish();
	return old;
}
