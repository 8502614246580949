/* SPDX-License-Identifier: MIT */
/*
 * pmap.c - page tables: making, reading and changing entries. Idea and invariants P1 to P8 are in pmap.h.
 *
 * Every operation on a range goes through next_piece(), which walks down from the root to the next piece
 * that exists: a row of slots of one leaf table, or one large leaf. Absent windows are stepped over at the
 * size of the level where they are absent, so the cost of an empty range does not depend on its length.
 *
 * Contiguous runs (P8) are made and changed in pmap_contig.c; here they are only met: a user range that
 * takes one leaf of a run takes all of it.
 *
 * The piece comes with the lock of its table held, and what is absent was looked at under one too.
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

/* The record of the table that a slot lies in; NULL for a table of the host's (P7). A user's slot may lie
 * in what was a table: the record will tell, under its lock. */
static inline struct vmem_page *table_of(const struct vmem_pmap *pmap, const arch_pte_t *slot)
{
	struct vmem_page *page = pa_to_page(virt_to_phys(slot));
	return page && ((VMEM_SMP && !pmap->kernel) || shared_load(&page->kind) == PAGE_TABLE) ? page : NULL;
}

/* Whether an entry that was read without a lock may be followed: what it names is memory with a record, and
 * may be read as a table at least. */
static inline bool is_table(const struct vmem_pmap *pmap, vmem_paddr_t pa)
{
	if (!VMEM_SMP || pmap->kernel) {
		return true;
	}
	const struct vmem_page *page = pa_to_page(pa);
	return page && shared_load(&page->kind) == PAGE_TABLE;
}

struct walk {
	arch_pte_t *slot;
	arch_pte_t entry;
	unsigned level;
};

/* Down to `level`, or to the first entry above it that is no table. Only the root's index may be narrow, and
 * it is taken before the loop. */
static inline struct walk walk_down(const struct vmem_pmap *pmap, vmem_vaddr_t va, unsigned level)
{
	const unsigned top = vmem_mmu.levels - 1u, top_shift = arch_level_shift(top);
	arch_pte_t *const first =
	    pmap->root + (va >> top_shift & ((1u << (vmem_mmu.va_bits - top_shift)) - 1));
	const uint64_t direct_map = vmem_direct_map; /* compilers would read it at each level */
	struct walk w = {.slot = first, .level = top};
	for (unsigned shift = top_shift;;) {
		w.entry = pte_peek_acquire(w.slot);
		if (w.level == level || !arch_pte_present(w.entry) || arch_pte_is_leaf(w.entry, w.level)) {
			return w;
		}
		vmem_paddr_t pa = arch_pte_pa(w.entry, w.level);
		if (__builtin_expect(!is_table(pmap, pa), 0)) { /* read from a table that has gone: anew */
			w.slot = first;
			w.level = top;
			shift = top_shift;
			continue;
		}
		shift -= ARCH_LEVEL_BITS;
		w.level--;
		w.slot = (arch_pte_t *)(uintptr_t)(pa + direct_map) +
			 (va >> shift & (ARCH_TABLE_ENTRIES - 1));
	}
}

static inline struct pmap_entry entry_of(const struct vmem_pmap *pmap, const struct walk *w)
{
	return (struct pmap_entry){w->slot, table_of(pmap, w->slot), w->level};
}

static void set_hot(const struct vmem_pmap *pmap, vmem_vaddr_t va, const struct pmap_entry *at)
{
	struct vmem_cpu *cpu = this_vmem_cpu();
	if (pmap->kernel) {
		return; /* its look-ups are not verified */
	}
	cpu->hot.pmap = pmap;
	cpu->hot.base = pmap_window(va);
	cpu->hot.table = at->slot - (va >> VMEM_PAGE_SHIFT & (ARCH_TABLE_ENTRIES - 1));
	cpu->hot.page = at->table;
}

struct pmap_entry vmem_pmap_lookup_cold(struct vmem_pmap *pmap, vmem_vaddr_t va)
{
	struct walk w = walk_down(pmap, va, 0);
	if (w.level > 0 && !arch_pte_present(w.entry)) {
		unsigned level = pte_is_parked(w.entry) ? 0 : w.level;
		return (struct pmap_entry){NULL, table_of(pmap, w.slot), level};
	}
	struct pmap_entry at = entry_of(pmap, &w);
	if (w.level == 0) {
		set_hot(pmap, va, &at);
	}
	return at;
}

struct pmap_entry vmem_pmap_lookup_table(struct vmem_pmap *pmap, vmem_vaddr_t va, unsigned level)
{
	struct walk w = walk_down(pmap, va, level);
	return entry_of(pmap, &w);
}

/* Takes a cleared table page; its place in the tree is set by hook_tables(). */
static struct vmem_page *table_alloc(void)
{
	struct vmem_page *page = vmem_frame_take(PAGE_TABLE);
	if (page) {
		vmem_arch_page_clear(page_to_virt(page));
	}
	return page;
}

/* Under the table's own byte: the record of a frame that was a table before still says where, and who has
 * noted it from then must not find it half changed. */
static void describe_table(
    struct vmem_pmap *pmap, struct vmem_page *page, unsigned level, vmem_vaddr_t va, unsigned entries)
{
	spin_take(&page->lock, lock_table_rank(level));
	shared_store(&page->order, (uint8_t)level);
	shared_store(&page->refs, entries);
	shared_store(&page->busy, 0);
	shared_store(&page->u.table.pmap, pmap);
	shared_store(&page->u.table.base, va & ~(arch_level_size(level + 1) - 1));
	spin_give(&page->lock, lock_table_rank(level));
}

/* Hooks a chain of tables, fresh[0] of `level` and the last one below the entry at `at`, whose table is
 * locked. It is complete before the one store that makes it part of the tree. */
static void hook_tables(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, unsigned level,
    struct vmem_page *const *fresh)
{
	unsigned count = at.level - level;
	for (unsigned i = 0; i < count; i++) {
		describe_table(pmap, fresh[i], level + i, va, i > 0);
		if (i > 0) {
			arch_pte_t *slots = page_to_virt(fresh[i]);
			pte_store(&slots[slot_index(va, level + i)],
			    arch_pte_make_table(page_to_pa(fresh[i - 1]), !pmap->kernel));
		}
	}
	pmap_count_entry(pmap, at.table);
	(void)shared_add(&pmap->tables, (uint64_t)count);
	vmem_arch_publish(); /* the cleared tables before the entry that leads to them */
	shared_store_release(at.slot, arch_pte_make_table(page_to_pa(fresh[count - 1]), !pmap->kernel));
}

vmem_status_t vmem_pmap_reserve(
    struct vmem_pmap *pmap, vmem_vaddr_t va, unsigned level, struct pmap_entry *out)
{
	struct vmem_page *fresh[5];
	unsigned taken = 0;
	vmem_status_t status = VMEM_OK;
	struct walk w;
	while ((w = walk_down(pmap, va, level)).level > level) {
		struct pmap_entry at = entry_of(pmap, &w);
		if (w.entry != 0) { /* a leaf, or parked, or what the host has left in the kernel's half */
			status = VMEM_ERR_EXISTS;
			break;
		}
		while (taken < w.level - level &&
		       (fresh[taken] = table_alloc()) != NULL) { /* all before the first is hooked (P4) */
			taken++;
		}
		if (taken < w.level - level) {
			status = VMEM_ERR_NO_MEMORY;
			break;
		}
		if (!pmap_take(pmap, at, va)) {
			continue;
		}
		bool absent = pte_load(at.slot) == 0;
		if (absent && !pmap->kernel && pmap_is_dropping(pmap)) { /* (P10) */
			pmap_give(at);
			status = VMEM_ERR_EXISTS;
			break;
		}
		if (absent) {
			hook_tables(pmap, at, va, level, fresh);
			taken -=
			    w.level - level; /* those above stay, if another CPU made a part of the way */
			for (unsigned i = 0; i < taken; i++) {
				fresh[i] = fresh[i + (w.level - level)];
			}
		}
		pmap_give(at);
		if (absent && (vmem_mmu.features & MMU_CACHES_INVALID)) {
			vmem_flush_granted(pmap, va, true);
		}
	}
	while (taken > 0) {
		vmem_frame_give(fresh[--taken]);
	}
	*out = entry_of(pmap, &w);
	if (status == VMEM_OK && level == 0) {
		set_hot(pmap, va, out);
	}
	return status;
}

static inline uint64_t leaf_pages(unsigned level)
{
	return UINT64_C(1) << (ARCH_LEVEL_BITS * level);
}

/* Tables of this level and above stay when they become empty: the root, and those that roots of spaces share
 * with the kernel. */
static inline unsigned last_level(const struct vmem_pmap *pmap)
{
	return vmem_mmu.levels - (pmap->kernel ? 2u : 1u);
}

/* Takes the table, which is found at base, and with its parent locked, out of the tree if it has no entry:
 * true. */
static bool unhook_one(struct vmem_pmap *pmap, struct pmap_entry above, struct vmem_page *table,
    vmem_vaddr_t base, bool *parent_empty, struct vmem_batch *batch)
{
	const struct pmap_entry at = {NULL, table, above.level - 1u};
	arch_pte_t entry = pte_load(above.slot);
	const bool parked = pte_is_parked(entry);
	if (pte_table(entry, above.level) != table) {
		return false;
	}
	if (parked) { /* it is not what pmap_take() looks for, and stays what it is (W1) */
		spin_take(&table->lock, lock_table_rank(at.level));
	} else if (!pmap_take(pmap, at, base)) {
		return false;
	}
	bool empty = table->refs == 0;
	if (empty) {
		if (this_vmem_cpu()->hot.page == table) {
			this_vmem_cpu()->hot.base = 1;
		}
		shared_clear_pointer(&pmap->kept, table);
		shared_store(&table->order, (uint8_t)at.level);
		shared_store(&table->u.table.pmap, NULL); /* whoever still finds it sees that it has gone */
		pmap_drop(pmap, batch);
		pte_store(above.slot, 0);
		(void)shared_subtract(&pmap->tables, UINT64_C(1));
		if (above.table) {
			shared_store(&above.table->refs, above.table->refs - 1);
			*parent_empty = above.table->refs == 0;
		}
	}
	pmap_give(at);
	return empty;
}

void vmem_pmap_unhook(struct vmem_pmap *pmap, struct vmem_page *table, struct vmem_batch *batch)
{
	vmem_vaddr_t base = shared_load(&table->u.table.base);
	const unsigned order = shared_load(&table->order);
	for (unsigned level = order & TABLE_PARKED ? 1 : order + 1u;; level++) {
		struct walk w = walk_down(pmap, base, level);
		struct pmap_entry above = entry_of(pmap, &w);
		bool parent_empty = false;
		if (w.level != level || !pmap_take(pmap, above, base)) {
			return; /* another CPU has taken it out, or what is above it */
		}
		bool gone = unhook_one(pmap, above, table, base, &parent_empty, batch);
		pmap_give(above);
		if (gone) {
			vmem_batch_table(batch, table);
		}
		if (!gone || !parent_empty || level >= last_level(pmap)) { /* (P7) */
			return;
		}
		table = above.table;
	}
}

/* A piece of what is mapped in a range: `count` slots of one table from the one `at` on, the first of which
 * maps `va`. The table is locked until piece_done(). */
struct piece {
	struct pmap_entry at;
	arch_pte_t *slot;
	unsigned count;
	unsigned level;
	vmem_vaddr_t va;
	struct vmem_page *idle; /* a table that has no entry any more, and is to be unhooked then */
};

/* How many slots behind an absent one of the same table, which is locked, are absent too and of addresses up
 * to last. */
static uint64_t absent_behind(const struct walk *w, vmem_vaddr_t base, vmem_vaddr_t last)
{
	unsigned slots = ARCH_TABLE_ENTRIES;
	if (w->level + 1u == vmem_mmu.levels) {
		slots = 1u << (vmem_mmu.va_bits - arch_level_shift(w->level));
	}
	uint64_t room = slots - 1u - slot_index(base, w->level);
	uint64_t wanted = (last - base) >> arch_level_shift(w->level), count = 0;
	room = wanted < room ? wanted : room;
	while (count < room && pte_load(w->slot + 1 + count) == 0) {
		count++;
	}
	return count;
}

/* From the entry above a parked table, which is locked, into the table (W1). */
static void enter_parked(struct walk *w, struct pmap_entry *at, vmem_vaddr_t va)
{
	struct vmem_page *table = pa_to_page(pte_parked_pa(w->entry));
	spin_take(&table->lock, lock_table_rank(0));
	pmap_give(*at);
	w->slot = (arch_pte_t *)page_to_virt(table) + slot_index(va, 0);
	w->entry = pte_load(w->slot);
	w->level = 0;
	*at = (struct pmap_entry){w->slot, table, 0};
}

/* Finds the first piece at or after *va and at or before last, and moves *va behind it; false: nothing more
 * (or the end of the address type). */
static bool next_piece(const struct vmem_pmap *pmap, vmem_vaddr_t *va, vmem_vaddr_t last, struct piece *piece)
{
	while (*va <= last) {
		struct walk w = walk_down(pmap, *va, 0);
		piece->at = entry_of(pmap, &w);
		if (!pmap_take(pmap, piece->at, *va)) {
			continue;
		}
		w.entry = pte_load(w.slot); /* what is absent is so under the lock (X3) */
		if (w.level > 0 && arch_pte_present(w.entry) && !arch_pte_is_leaf(w.entry, w.level)) {
			pmap_give(piece->at);
			continue;
		}
		if (w.level == 1 && pte_is_parked(w.entry) && !pmap->kernel) {
			enter_parked(&w, &piece->at, *va);
		}
		uint64_t size = arch_level_size(w.level == 0 ? 1 : w.level);
		vmem_vaddr_t base = *va & ~(size - 1);
		bool found = w.level == 0 || arch_pte_present(w.entry);
		piece->slot = w.slot;
		piece->level = w.level;
		piece->va = w.level == 0 ? *va : base;
		piece->count = 1;
		piece->idle = NULL;
		if (w.level == 0) {
			vmem_vaddr_t end = base + (size - 1) < last ? base + (size - 1) : last;
			piece->count = (unsigned)((end - *va) >> VMEM_PAGE_SHIFT) + 1;
		}
		if (!found && last - base >= size) {
			base += absent_behind(&w, base, last) * size;
		}
		*va = base + size;
		bool wrapped = *va == 0;
		if (wrapped) {
			*va = UINT64_MAX;
		}
		if (found) {
			return true;
		}
		pmap_give(piece->at);
		if (wrapped) {
			return false;
		}
	}
	return false;
}

static void piece_done(struct vmem_pmap *pmap, const struct piece *piece, struct vmem_batch *batch)
{
	pmap_give(piece->at);
	if (piece->idle) {
		vmem_pmap_unhook(pmap, piece->idle, batch);
	}
}

/* The table of a piece has lost its last entry. A leaf table stays as the kept one, and the one kept until
 * now goes. */
static void retire_table(struct vmem_pmap *pmap, struct vmem_page *table, struct piece *piece)
{
	if (table->order & TABLE_PARKED) {
		piece->idle = table;
		return;
	}
	if (table->order >= last_level(pmap)) {
		return;
	}
	/* in the kernel's half there are no faults for which a table would be worth keeping */
	piece->idle = table->order == 0 && !pmap->kernel ? shared_exchange(&pmap->kept, table) : table;
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
    struct vmem_pmap *pmap, const struct piece *piece, const unsigned level, struct vmem_batch *batch)
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
			pmap_drop(pmap, batch);
			vmem_pmap_clear_contig(&slot[first]);
			taken.first = taken.leaves == 0 ? first : taken.first;
			taken.leaves += ARCH_CONTIG_PAGES;
			taken.last = i = first + (int)ARCH_CONTIG_PAGES - 1;
			continue;
		}
		entry = pte_swap(&slot[i], 0);
		pmap_harvest(entry, level, &near);
		taken.first = taken.leaves == 0 ? i : taken.first;
		taken.last = i;
		taken.leaves++;
	}
	return taken;
}

/* A slot of the piece that a fault has emptied may still be remembered (P9). */
static inline void note_busy(const struct piece *piece, struct vmem_batch *batch)
{
	const struct vmem_page *table = piece->at.table;
	if (VMEM_SMP && piece->level == 0 && table && table->busy != 0) {
		uint64_t base = piece->va & ~(arch_level_size(1) - 1);
		vmem_vaddr_t va = base + ((uint64_t)(table->busy - 1) << VMEM_PAGE_SHIFT);
		if (va - piece->va < (uint64_t)piece->count << VMEM_PAGE_SHIFT) {
			vmem_batch_leaves(batch, va, va + VMEM_PAGE_MASK, 0);
		}
	}
}

static void remove_piece(struct vmem_pmap *pmap, struct piece *piece, struct vmem_batch *batch)
{
	struct vmem_page *table = piece->at.table;
	const unsigned level = piece->level;
	if (!table || table->refs != 0) {
		pmap_open(pmap, batch);
	}
	if (level > 0) {
		pmap_drop(pmap, batch);
	}
	struct taken taken =
	    level == 0 ? take_leaves(pmap, piece, 0, batch) : take_leaves(pmap, piece, level, batch);
	if (taken.leaves == 0) {
		return;
	}
	vmem_vaddr_t size = arch_level_size(level);
	pmap_count(
	    pmap, cpu_number(), COUNT_RESIDENT, UINT64_C(0) - (uint64_t)taken.leaves * leaf_pages(level));
	if (level > 0 && pmap->kernel) {
		vmem_pmap_withdraw(pmap, level);
	}
	vmem_batch_leaves(batch, piece->va + (vmem_vaddr_t)taken.first * size,
	    piece->va + (vmem_vaddr_t)taken.last * size + (size - 1), level);
	if (table) {
		shared_store(&table->refs, table->refs - taken.leaves);
		if (table->refs == 0) {
			retire_table(pmap, table, piece);
		}
	}
}

void vmem_pmap_remove(struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, struct vmem_batch *batch)
{
	if (RUNS_ALONE) {
		vmem_alone_pmap_remove(pmap, va, length, batch);
		return;
	}
	struct piece piece;
	vmem_vaddr_t last = va + (length - 1);
	batch->walked = true;
	while (next_piece(pmap, &va, last, &piece)) {
		note_busy(&piece, batch);
		remove_piece(pmap, &piece, batch);
		piece_done(pmap, &piece, batch);
		pause_after(40 * (uint64_t)piece.count + 100);
	}
}

static void restrict_piece(
    struct vmem_pmap *pmap, struct piece *piece, uint32_t keep, struct vmem_batch *batch)
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
			struct piece one = *piece;
			one.slot = &piece->slot[i];
			one.count = 1;
			one.va = piece->va + ((uint64_t)i << VMEM_PAGE_SHIFT);
			remove_piece(pmap, &one, batch);
			piece->idle = one.idle;
			continue;
		}
		if (fresh == 0) { /* nothing is left of it (read-only made write-only): faults rebuild what
				     the region still grants */
			remove_piece(pmap, piece, batch);
			return;
		}
		pmap_open(pmap, batch);
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
	if (RUNS_ALONE) {
		vmem_alone_pmap_restrict(pmap, va, length, keep, batch);
		return;
	}
	struct piece piece;
	vmem_vaddr_t start = va, last = va + (length - 1);
	if ((keep & VMEM_RWX) == 0) {
		vmem_pmap_remove(pmap, va, length, batch);
		return;
	}
	batch->walked = true;
	while (next_piece(pmap, &va, last, &piece)) {
		note_busy(&piece, batch);
		vmem_vaddr_t end = piece.va + (arch_level_size(piece.level) - 1);
		if (piece.level > 0 && (piece.va < start || end > last)) {
			/* dropped whole; faults rebuild it (contract 5.1 c) */
			remove_piece(pmap, &piece, batch);
		} else {
			restrict_piece(pmap, &piece, keep, batch);
		}
		piece_done(pmap, &piece, batch);
		pause_after(40 * (uint64_t)piece.count + 100);
	}
}

void vmem_pmap_visit(
    struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, pmap_visit_fn *visit, void *arg)
{
	struct piece piece;
	vmem_vaddr_t last = va + (length - 1);
	while (next_piece(pmap, &va, last, &piece)) {
		const struct vmem_page *table = piece.at.table;
		unsigned parked = table && piece.level == 0 && table->order & TABLE_PARKED ? VISIT_PARKED : 0;
		for (unsigned i = 0; i < piece.count; i++) {
			arch_pte_t entry = pte_load(&piece.slot[i]);
			if (entry != 0) {
				visit(arg, piece.va + i * arch_level_size(piece.level), piece.level | parked,
				    entry);
			}
		}
		pmap_give(piece.at);
	}
}

arch_pte_t vmem_pmap_exchange(struct vmem_pmap *pmap, vmem_vaddr_t va, arch_pte_t entry)
{
	struct walk w = walk_down(pmap, va, 0);
	arch_pte_t old = w.level == 0 ? pte_swap(w.slot, entry) : 0;
	vmem_arch_publish();
	return old;
}
