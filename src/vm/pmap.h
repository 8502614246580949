/* SPDX-License-Identifier: MIT */
/*
 * pmap.h - page tables: one radix walker for every ISA over the codec of arch.h.
 *
 * P1 Page tables are a cache. A user translation may be forgotten at any time; nothing lives in an entry but
 * accessed and dirty, which go to the page's record before the entry goes. P2 Granting is lazy, revoking is
 * complete when the batch ends (tlb.h). P3 A table's record says {pmap, base, level} and counts the entries
 * that are not zero. A table without entries is unhooked and freed through a batch; one per pmap may be
 * kept, empty and in place, for the next fault. P4 remove, restrict and look-up never allocate and never
 * fail. enter may answer NO_MEMORY, and then no translation has changed. P5 enter stores a new entry only as
 * arch_pte_duty() allows: break, flush, complete, store. P6 In a pmap with W^X no leaf is writable and
 * executable: enter panics rather than store one. P7 Tables of the kernel half that the host booted with
 * have no record; they are never freed, and entries in them are not counted. P8 A contiguous run is 16
 * level-0 leaves with LEAF_CONTIG, aligned at both ends, that say the same of adjacent pages but for
 * accessed and dirty, which the hardware may record in any one of them. It is made in one step of empty
 * slots, read as one (accessed and dirty are those of all members together), and goes as a whole: in user
 * space whatever touches one page of it drops it, and faults rebuild what is left; in the kernel half the
 * permission of the whole changes in place, and of a part after the run was unfolded.
 * P9 An entry is not replaced by one that shows another frame before every CPU has forgotten it: in between
 * the slot is empty and the table's record names it as busy, which counts as an entry. Nobody stores an
 * entry there but whoever made it busy; who removes or restricts what is there flushes it too.
 * P10 From before a table is unhooked, or a large leaf or a run removed, until its batch has ended no fault
 * stores an entry in that pmap (`dropping` counts): what lies below would be another translation of the
 * same address while CPUs still have the first.
 *
 * P11 An entry that leads to a leaf table of a user pmap may be parked: not present, not 0, and the record
 * of the table says so (pmap_park.c). No other entry is neither present nor 0.
 *
 * Locks: the byte in a table's record, for its entries, its counts and whether it is hooked. A user pmap is
 * walked without a lock; what the walk leads to is verified under its byte, by its record (pmap_take()). An
 * absent entry on the way is believed under the byte of the table it lies in (X3 of LOCKING.md). The
 * kernel's pmap, whose upper tables have no record, is changed by one CPU at a time: whoever has the kernel
 * space's lock.
 */
#ifndef VMEM_PMAP_H
#define VMEM_PMAP_H

#include "cpu.h"
#include "panic.h"
#include "tlb.h"

/* What a contiguous run maps. */
#define CONTIG_SIZE ((uint64_t)ARCH_CONTIG_PAGES << VMEM_PAGE_SHIFT)
#define CONTIG_ORDER 4u /* of a block of so many frames */
_Static_assert(1u << CONTIG_ORDER == ARCH_CONTIG_PAGES, "the order is that of a run");

/* What a space counts on the way of faults and switches: each CPU in its own lines. */
enum pmap_counter {
	COUNT_RESIDENT, /* present leaves, in pages */
	COUNT_FAULTS,
	COUNT_ZERO_PAGE,
	COUNT_ZEROED,
	COUNT_COPIED,
	COUNT_REUSED,
	COUNT_OBJECT,
	COUNT_LARGE,
	COUNT_SPURIOUS,
	COUNT_REFUSED,
	COUNT_ACTIVATIONS,
	COUNT_AROUND,
	COUNTERS
};
#define COUNT_STRIPES (VMEM_MAX_CPUS < 16 ? VMEM_MAX_CPUS : 16)
struct pmap_counts {
	uint64_t n[COUNTERS];
} __attribute__((aligned(VMEM_MANY_CPUS ? 64 : 8)));

struct vmem_pmap {
	struct pmap_counts counts[COUNT_STRIPES];
	/* What faults read, in a line of its own. */
	arch_pte_t *root __attribute__((aligned(64))); /* through the direct map */
	vmem_paddr_t root_pa;
	uint64_t cpus;	   /* CPUs that may hold translations (T4) */
	uint64_t stale;	   /* of them, ones that forget all of the id before they run it again */
	uint64_t asid;	   /* generation << 16 | id; 0: none yet */
	uint32_t dropping; /* (P10) */
	bool kernel;	   /* the kernel's own half */
	bool wx;
	/* What removals write. The one empty leaf table left in place (P3), or NULL: */
	struct vmem_page *kept __attribute__((aligned(64)));
	uint64_t tables;	   /* table pages with a record, root included */
	struct vmem_page *deposit; /* of the kernel's: tables for splits to come (pmap_split.c) */
	uint64_t deposited;	   /* how many */
	uint64_t flushes, flushes_remote;
	uint32_t open; /* batches (T7) */
};

static inline void pmap_count(struct vmem_pmap *pmap, unsigned cpu, enum pmap_counter which, uint64_t by)
{
	uint64_t *place = &pmap->counts[VMEM_SMP ? cpu % COUNT_STRIPES : 0].n[which];
	if (VMEM_MAX_CPUS > COUNT_STRIPES) {
		(void)shared_add(place, by);
	} else {
		shared_store(place, *place + by);
	}
}

uint64_t vmem_pmap_counted(const struct vmem_pmap *pmap, enum pmap_counter which);

/* A user pmap: a root with the kernel half in it. Errors: NO_MEMORY. */
vmem_status_t vmem_pmap_init(struct vmem_pmap *pmap, bool wx);
/* The kernel's: adopts the live root; makes the top-level entries of [start, start + length). */
vmem_status_t vmem_pmap_init_kernel(struct vmem_pmap *pmap, vmem_vaddr_t start, uint64_t length);
/* Frees a user pmap: its tables and root, not what leaves point to. It is not active. */
void vmem_pmap_fini(struct vmem_pmap *pmap);

/* Where an entry is. */
struct pmap_entry {
	arch_pte_t *slot;	 /* NULL: no table reaches down to a leaf there */
	struct vmem_page *table; /* record of the table that holds it, or the absent one; NULL: the host's */
	unsigned level;		 /* without a slot: of the absent entry; 0: the leaf table is parked */
};

/* The level in the record of a parked leaf table (pmap_park.c), with what is to be known of it. */
enum {
	TABLE_PARKED = 0x80,
	TABLE_FOREIGN = 0x40, /* private keys of its pages may not follow from their addresses */
};

/* The entry above a parked table: not present on any ISA, and with no address that memory could have (a CPU
 * may speculate with what a cleared entry names). */
static inline arch_pte_t pte_park(vmem_paddr_t table)
{
	return ~table & ~(arch_pte_t)1;
}

static inline bool pte_is_parked(arch_pte_t entry)
{
	return entry != 0 && !arch_pte_present(entry);
}

static inline vmem_paddr_t pte_parked_pa(arch_pte_t entry)
{
	return ~(entry | 1);
}

/* The table that an entry of a user table leads to, parked or not; NULL: it is a leaf, or 0. */
static inline struct vmem_page *pte_table(arch_pte_t entry, unsigned level)
{
	if (entry == 0 || arch_pte_is_leaf(entry, level)) {
		return NULL;
	}
	return pa_to_page(pte_is_parked(entry) ? pte_parked_pa(entry) : arch_pte_pa(entry, level));
}

/* The first address of what one leaf table translates around va. */
static inline vmem_vaddr_t pmap_window(vmem_vaddr_t va)
{
	return va & ~(arch_level_size(1) - 1);
}

/* vmem_pmap_lookup() when the window is not the hot one. */
struct pmap_entry vmem_pmap_lookup_cold(struct vmem_pmap *pmap, vmem_vaddr_t va);

/* The leaf entry that maps va, or the empty level-0 slot for it, or slot NULL. Without a lock it is a
 * guess. */
static inline struct pmap_entry vmem_pmap_lookup(struct vmem_pmap *pmap, vmem_vaddr_t va)
{
	const struct vmem_cpu *cpu = this_vmem_cpu();
	if (cpu->hot.base == pmap_window(va) && cpu->hot.pmap == pmap) {
		unsigned index = (unsigned)(va >> VMEM_PAGE_SHIFT) & (ARCH_TABLE_ENTRIES - 1);
		return (struct pmap_entry){cpu->hot.table + index, cpu->hot.page, 0};
	}
	return vmem_pmap_lookup_cold(pmap, va);
}

/* Locks the table that holds the entry of va, and makes sure that it still does. False: it does not, look
 * it up again. Tables without a record (P7) have no lock. */
static inline bool pmap_take(const struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va)
{
	struct vmem_page *table = at.table;
	if (!VMEM_SMP || !table) {
		return true;
	}
	spin_take(&table->lock, lock_table_rank(at.level));
	if (__builtin_expect(
		shared_load(&table->kind) == PAGE_TABLE && shared_load(&table->u.table.pmap) == pmap &&
		    shared_load(&table->u.table.base) == (va & ~(arch_level_size(at.level + 1u) - 1)) &&
		    shared_load(&table->order) == at.level,
		1)) {
		return true;
	}
	spin_give(&table->lock, lock_table_rank(at.level));
	this_vmem_cpu()->hot.base = 1; /* if it was that, the next look-up shall not answer it again */
	return false;
}

static inline void pmap_give(struct pmap_entry at)
{
	if (VMEM_SMP && at.table) {
		spin_give(&at.table->lock, lock_table_rank(at.level));
	}
}

/* Makes the tables down to `level` around va. No lock is held. Errors: NO_MEMORY; EXISTS: a larger leaf is
 * in the way. */
vmem_status_t vmem_pmap_reserve(
    struct vmem_pmap *pmap, vmem_vaddr_t va, unsigned level, struct pmap_entry *out);
/* Stores a leaf, in a pmap that nobody else changes (the kernel's, under its lock); va and pa aligned to the
 * level; leaf: LEAF_*. Flushes what the change owes. Errors: NO_MEMORY, EXISTS. */
vmem_status_t vmem_pmap_enter(
    struct vmem_pmap *pmap, vmem_vaddr_t va, vmem_paddr_t pa, unsigned level, uint32_t leaf);
/* Stores a leaf where vmem_pmap_lookup() or _reserve() found `at`; as vmem_pmap_enter(). */
void vmem_pmap_set(
    struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf);
/* Makes the contiguous run (P8) around va that maps pa there; va and pa have the same place in it. Only
 * where arch_leaf_contig(), and in a pmap that nobody else changes. Errors: NO_MEMORY; EXISTS: something is
 * mapped in it, and nothing has changed. */
vmem_status_t vmem_pmap_enter_contig(struct vmem_pmap *pmap, vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf);
/* The same where `at` was found, with its table's lock held and all 16 slots empty; the frames are in step
 * with instruction fetch (vmem_pmap_sync_contig()). */
void vmem_pmap_put_contig(
    struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf);
void vmem_pmap_sync_contig(vmem_paddr_t pa, uint32_t leaf);
/* Whether all slots of the run that a slot would belong to are empty. */
bool vmem_pmap_contig_free(const arch_pte_t *slot);
/* Stores another leaf in every member of the run that `at` belongs to, without a break: permissions rise,
 * and the caller flushes. In the kernel half only. */
void vmem_pmap_raise_contig(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, uint32_t leaf);
/* Notes LEAF_ACCESSED or LEAF_DIRTY in a run of a user pmap, as the hardware would; with the table's lock
 * held, and only where the hardware does so (MMU_HW_DIRTY). */
void vmem_pmap_note_contig(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, uint32_t marks);
/* Clears the members of a run, the first of which is in `slot`, and gives all pages the marks of all. For
 * vmem_pmap_remove(). */
void vmem_pmap_clear_contig(arch_pte_t *slot);
/* LEAF_ACCESSED and LEAF_DIRTY of the run that a slot belongs to. */
uint32_t vmem_pmap_contig_marks(const arch_pte_t *slot);
/* Makes a live run of the kernel half (of any level, in a table of the host's) into leaves of their own with
 * the same translations. Only where the CPU needs no break for it (MMU_LIVE_SPLIT). */
void vmem_pmap_unfold(struct vmem_pmap *pmap, vmem_vaddr_t va);

/* Removes every leaf that overlaps [va, va + length); user: large leaves go whole. */
void vmem_pmap_remove(struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, struct vmem_batch *batch);
/* Cuts leaves of the range down to the permissions in keep (LEAF_READ..EXEC); those left without any are
 * removed. */
void vmem_pmap_restrict(
    struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, uint32_t keep, struct vmem_batch *batch);
/* The entry of `level` that leads to va, or the first above it that leads no further. */
struct pmap_entry vmem_pmap_lookup_table(struct vmem_pmap *pmap, vmem_vaddr_t va, unsigned level);

/* Translations on their way to other addresses (pmap_move.c). Zeroed first. */
#define PMAP_MOVED_ENTRIES 32u
struct pmap_moved {
	struct vmem_page *tables; /* chained */
	unsigned count;
	struct {
		vmem_vaddr_t va;
		vmem_paddr_t pa;
		uint32_t leaf;
	} entry[PMAP_MOVED_ENTRIES];
};
/* As vmem_pmap_remove(); what is worth it is kept for a place `distance` bytes above (modulo 2^64). */
void vmem_pmap_lift(struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, uint64_t distance,
    struct pmap_moved *moved, struct vmem_batch *batch);
/* Puts it there, once the batch has ended. Never fails: what finds no place is forgotten. */
void vmem_pmap_lay(struct vmem_pmap *pmap, struct pmap_moved *moved, uint64_t distance);

/* A number of tables, chained through their pmap field: all or none are taken. */
bool vmem_tables_take(struct vmem_page **chain, uint64_t count);
void vmem_tables_give(struct vmem_page **chain, uint64_t count);
/* The tables that a large leaf of the managed kernel range has in the deposit (pmap_split.c, S1); laid down
 * before the leaf is made (false: no memory), and given back when it goes. */
uint64_t vmem_pmap_deposit_of(unsigned level);
bool vmem_pmap_deposit(struct vmem_pmap *pmap, unsigned level);
void vmem_pmap_withdraw(struct vmem_pmap *pmap, unsigned level);
/* Replaces the live large leaf at `at` by a table of equal smaller ones, the first of the chain. Only where
 * the CPU needs no break for it (MMU_LIVE_SPLIT). */
void vmem_pmap_split(struct vmem_pmap *pmap, vmem_vaddr_t va, struct pmap_entry at, struct vmem_page **chain);
/* Splits, out of the deposit, until no leaf of the managed kernel range reaches across va. Cannot fail. */
void vmem_pmap_cut(struct vmem_pmap *pmap, vmem_vaddr_t va);

/*
 * pmap_park.c. Every leaf table of the range is parked, and other leaves lose their permission to write; to
 * be flushed. plain: the private key of every page in it follows from its address.
 */
void vmem_pmap_park(
    struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, bool plain, struct vmem_batch *batch);
/* Takes the table of the window around va back if it is parked: as it was if it was plain and `sequence`
 * (NULL: no) still reads so, else without permission to write. May do nothing, when another CPU is at it. */
void vmem_pmap_unpark(
    struct vmem_pmap *pmap, vmem_vaddr_t va, const uint64_t *sequence, uint64_t as_it_was);
/* The entries of a parked table, which is locked, lose their permission to write, and those of runs go. */
void vmem_pmap_protect_parked(struct vmem_pmap *pmap, struct vmem_page *table);

/* Replaces the level-0 entry of va in a table of the host's own, uncounted; 0 where no table reaches down to
 * it. The caller flushes. */
arch_pte_t vmem_pmap_exchange(struct vmem_pmap *pmap, vmem_vaddr_t va, arch_pte_t entry);
/* Takes a leaf table, if it is still hooked and has no entry, out of the tree, and its parents as they
 * become empty, into the batch. */
void vmem_pmap_unhook(struct vmem_pmap *pmap, struct vmem_page *table, struct vmem_batch *batch);

/* With a level, what vmem_pmap_visit() says of leaves in parked tables: without permission to write. */
#define VISIT_PARKED 0x80u
/* Calls visit for each present leaf of the user half (or the kernel's managed range) in address order; for
 * validators. */
typedef void pmap_visit_fn(void *arg, vmem_vaddr_t va, unsigned level, arch_pte_t entry);
void vmem_pmap_visit(
    struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, pmap_visit_fn *visit, void *arg);
/* Panics unless P3 holds and counters agree. */
void vmem_pmap_check(struct vmem_pmap *pmap);

/*
 * The steps of a fault. With the table's lock held but for the first, which may call other CPUs: brings the
 * frame in step with instruction fetch, or notes that it will not be, before a leaf with these permissions
 * shows it.
 */
void vmem_pmap_sync(vmem_paddr_t pa, unsigned level, uint32_t leaf);
/* Stores a leaf into an empty slot. */
static inline void pmap_put(struct vmem_pmap *pmap, const struct pmap_entry *at, unsigned cpu,
    vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf);
/* Changes a present leaf of a frame into another leaf of the same frame and attribute, which grants or
 * notes more. What it owes is to be flushed when the lock is given back. */
enum arch_duty vmem_pmap_raise(struct vmem_pmap *pmap, struct pmap_entry at, vmem_paddr_t pa, uint32_t leaf);
/* Clears a present level-0 leaf and makes its slot busy (P9); false: another slot of the table is. To be
 * flushed. */
bool vmem_pmap_vacate(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va);
/* The slot is not busy any more; true if the table has no entry left. */
bool vmem_pmap_settle(struct vmem_pmap *pmap, struct pmap_entry at);
/* With a table's lock held: whether nothing may be stored now (P10). */
static inline bool pmap_is_dropping(const struct vmem_pmap *pmap)
{
	return VMEM_SMP && shared_load(&pmap->dropping) != 0;
}

/* Before something goes that P10 speaks of. */
static inline void pmap_drop(struct vmem_pmap *pmap, struct vmem_batch *batch)
{
	if (VMEM_SMP && !pmap->kernel) {
		(void)shared_add(&pmap->dropping, 1u);
		batch->drops++;
	}
}

/* With a table's lock held, before an entry is cleared or restricted (T7). */
static inline void pmap_open(struct vmem_pmap *pmap, struct vmem_batch *batch)
{
	if (VMEM_SMP && !batch->open) {
		(void)shared_add(&pmap->open, 1u);
		batch->open = true;
	}
}

static inline bool pmap_is_busy(struct pmap_entry at, vmem_vaddr_t va)
{
	unsigned index = (unsigned)(va >> VMEM_PAGE_SHIFT) & (ARCH_TABLE_ENTRIES - 1);
	return VMEM_SMP && at.level == 0 && at.table->busy == index + 1;
}
/* The same of any member of the run that the slot belongs to. */
static inline bool pmap_run_is_busy(struct pmap_entry at, vmem_vaddr_t va)
{
	unsigned index = (unsigned)(va >> VMEM_PAGE_SHIFT) & (ARCH_TABLE_ENTRIES - 1);
	return VMEM_SMP && at.table->busy != 0 &&
	       (at.table->busy - 1u) / ARCH_CONTIG_PAGES == index / ARCH_CONTIG_PAGES;
}
/* Flushes one leaf, of a level, with no spin lock held. */
void vmem_pmap_flush(struct vmem_pmap *pmap, vmem_vaddr_t va, unsigned level);

/* The one place where a leaf entry is made, and where W^X cannot be passed by (P6). */
static inline arch_pte_t pmap_make_leaf(
    const struct vmem_pmap *pmap, vmem_paddr_t pa, unsigned level, uint32_t leaf)
{
	VMEM_CHECK(!pmap->wx || (leaf & (LEAF_WRITE | LEAF_EXEC)) != (LEAF_WRITE | LEAF_EXEC),
	    "a page would become writable and executable in a space with W^X");
	return arch_pte_make_leaf(
	    pa, level, leaf | LEAF_ACCESSED | (pmap->kernel ? (uint32_t)LEAF_GLOBAL : (uint32_t)LEAF_USER));
}

/* Entries more in a table: a kept table is in use again. */
static inline void pmap_count_entries(struct vmem_pmap *pmap, struct vmem_page *table, unsigned n)
{
	if (table && n > 0) {
		uint32_t refs = table->refs;
		shared_store(&table->refs, refs + n);
		if (refs == 0) {
			shared_clear_pointer(&pmap->kept, table);
		}
	}
}

static inline void pmap_count_entry(struct vmem_pmap *pmap, struct vmem_page *table)
{
	pmap_count_entries(pmap, table, 1);
}

static inline arch_pte_t pte_load(const arch_pte_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

/* Who looks for races in tests need not see what may be a race. */
#ifdef VMEM_HOSTED_RACES
#define PTE_PEEK static __attribute__((noinline, unused, no_sanitize_thread))
#else
#define PTE_PEEK static inline
#endif

/* Of a table that is not locked, and may be free by now, or anything: what it says is looked at again under
 * the lock, or costs nothing if it is wrong. */
PTE_PEEK arch_pte_t pte_peek(const arch_pte_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
}

/* On the way down: the table that the entry leads to was filled before it was hooked. */
PTE_PEEK arch_pte_t pte_peek_acquire(const arch_pte_t *slot)
{
	return __atomic_load_n(slot, VMEM_SMP ? __ATOMIC_ACQUIRE : __ATOMIC_RELAXED);
}

/* A walk that reads the entry comes upon all that was stored before it. */
static inline void pte_store(arch_pte_t *slot, arch_pte_t entry)
{
	shared_store_release(slot, entry);
}

/* Replaces an entry and answers what was there, accessed and dirty bits that the hardware set until that
 * moment included. */
static inline arch_pte_t pte_swap(arch_pte_t *slot, arch_pte_t entry)
{
#if VMEM_SMP
	return __atomic_exchange_n(slot, entry, __ATOMIC_RELAXED);
#else
	arch_pte_t old = pte_load(slot);
	pte_store(slot, entry);
	return old;
#endif
}

/* Which member of its run a slot is. */
static inline unsigned contig_place(const arch_pte_t *slot)
{
	return (unsigned)((uintptr_t)slot / sizeof(*slot)) % ARCH_CONTIG_PAGES;
}

/* arch_pte_leaf(), of a member of a run with the marks of all. */
static inline uint32_t pmap_leaf(struct pmap_entry at, arch_pte_t entry)
{
	uint32_t leaf = arch_pte_leaf(entry, at.level);
	return at.level == 0 && arch_pte_contig(entry) ? leaf | vmem_pmap_contig_marks(at.slot) : leaf;
}

/* How much the present leaf at `at` maps, with all the leaves that change with it (P8). */
static inline uint64_t pmap_leaf_size(struct pmap_entry at)
{
	return at.level == 0 && arch_pte_contig(pte_load(at.slot)) ? CONTIG_SIZE : arch_level_size(at.level);
}

/* The record of a page gets what an entry said of it: LEAF_ACCESSED and LEAF_DIRTY, shifted. What was
 * stored is not in step with instruction fetch. */
static inline void pmap_keep_marks(struct vmem_page *page, uint8_t marks)
{
	_Static_assert(PAGE_F_DIRTY == PAGE_F_ACCESSED << 1, "of the two marks dirty is the upper one");
#if VMEM_SMP
	uint8_t flags = shared_load(&page->flags);
	if (marks & ~flags) {
		page_mark(page, marks);
	}
	if (marks & flags & PAGE_F_DIRTY ? flags & PAGE_F_EXEC_SYNCED : marks & PAGE_F_DIRTY) {
		page_unmark(page, PAGE_F_EXEC_SYNCED);
	}
#else
	uint8_t keep = (uint8_t) ~(marks / PAGE_F_DIRTY * PAGE_F_EXEC_SYNCED);
	page->flags = (uint8_t)((page->flags & keep) | marks);
#endif
}

/* pa_to_page() that tries the range of the look-up before first. */
static inline struct vmem_page *pmap_page_near(vmem_paddr_t pa, const struct page_range **near)
{
	uint64_t index = (pa >> VMEM_PAGE_SHIFT) - (*near)->first_pfn;
	if (__builtin_expect(index < (*near)->count, 1)) {
		return (*near)->pages + index;
	}
	const struct page_range *range = vmem_page_range_at(pa);
	if (!range) {
		return NULL;
	}
	*near = range;
	return range->pages + ((pa >> VMEM_PAGE_SHIFT) - range->first_pfn);
}

/* Keeps what the hardware recorded before an entry goes (P1). */
static inline __attribute__((always_inline)) void pmap_harvest(
    arch_pte_t entry, unsigned level, const struct page_range **near)
{
	_Static_assert(PAGE_F_DIRTY == LEAF_DIRTY >> PAGE_F_MARKS_SHIFT &&
			   PAGE_F_ACCESSED == LEAF_ACCESSED >> PAGE_F_MARKS_SHIFT,
	    "marks of a page are those of a leaf, shifted");
	uint8_t marks = (uint8_t)(arch_pte_marks(entry) >> PAGE_F_MARKS_SHIFT);
	struct vmem_page *page = marks ? pmap_page_near(arch_pte_pa(entry, level), near) : NULL;
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

static inline void pmap_put(struct vmem_pmap *pmap, const struct pmap_entry *at, unsigned cpu,
    vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf)
{
	VMEM_ASSERT(pte_load(at->slot) == 0);
	pmap_count_entry(pmap, at->table);
	pmap_count(pmap, cpu, COUNT_RESIDENT, UINT64_C(1) << (ARCH_LEVEL_BITS * at->level));
	pte_store(at->slot, pmap_make_leaf(pmap, pa, at->level, leaf));
	vmem_arch_publish();
	if (vmem_mmu.features & MMU_CACHES_INVALID) {
		vmem_flush_granted(pmap, va, false);
	}
}

#endif
