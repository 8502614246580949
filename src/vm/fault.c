/* SPDX-License-Identifier: MIT */
/*
 * fault.c - page faults: the case table.
 *
 *	what is at the key        read, execute                         write
 *	private, page ours        enter it                              enter it
 *	private, page shared      enter it, not writable                copy, enter the copy
 *	private, empty, no object the zero frame, not writable          a zeroed page (or 16, or 512)
 *	private, empty, object    the object's page, not writable       a copy of the object's page
 *	shared, page ours         enter it                              enter it
 *	shared, page shared       enter it, not writable                copy, enter the copy
 *	shared, empty             a zeroed page of the object           a zeroed page of the object
 *	fixed frames              enter them, as large as fits          the same
 *
 * F1 What a fault stores in an index keeps the content as it was (contract 1.3).
 * F2 A writable entry is made only for a page that is the store's own, and for no other.
 * F3 All that can fail (tables, then nodes and frame) is had before an entry or an index changes.
 * F4 A fault that is refused leaves no trace but a counter. It is not for want of memory that lies with
 *    small objects.
 * F5 A fault waits for nobody but for the CPUs that it makes forget an entry it replaces. It looks at
 *    region, store, index and tables without a lock, and stores what it has concluded only where a lock
 *    shows it to be still true: a page in a slot under the byte of the index's leaf (or the store's lock,
 *    which it only tries, when the index must grow or a path be copied), an entry under the byte of the
 *    page table (X1 to X6 of LOCKING.md). If it is not true any more the fault begins again, and after a
 *    few turns the program tries its access again.
 */
#include "fault_i.h"

#include "frame.h"
#include "panic.h"
#include "slab.h"
#include "trace.h"

/* A fault that is looked at for this often in vain is left to the program's next try. */
#define FAULT_TURNS 3u

/* The permission that hardware really gives for a region's: on some ISAs write or execute bring read with
 * them. */
static inline bool grants(unsigned permission, unsigned access)
{
	return arch_leaf_grants(permission | LEAF_USER | LEAF_ACCESSED | LEAF_DIRTY, access);
}

static inline unsigned permission_of(const struct fault *f)
{
	return shared_load(&f->region->permission);
}

/* A table that was made for this fault, and is still empty because the fault failed, goes again (F4): also
 * when it is to be tried again, for the next try may find that nothing is mapped here any more. It is of
 * level 1 or more where a large leaf was tried; the root stays. */
static __attribute__((noinline)) void unreserve_entry(struct fault *f)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	struct vmem_page *table = f->at.table;
	if (table && table != pa_to_page(pmap->root_pa) && shared_load(&table->refs) == 0 &&
	    table != shared_load(&pmap->kept)) {
		struct vmem_batch batch;
		vmem_batch_begin(&batch, pmap);
		vmem_pmap_unhook(pmap, table, &batch);
		vmem_batch_end(&batch);
		f->at = (struct pmap_entry){NULL, NULL, 0};
	}
}

/* The fault has made its slot busy, and will store nothing there. */
static void unvacate(struct fault *f)
{
	if (f->vacated && pmap_take(&f->aspace->pmap, f->at, f->va)) { /* busy counts: it is still hooked */
		(void)vmem_pmap_settle(&f->aspace->pmap, f->at);
		pmap_give(f->at);
		f->vacated = false;
		unreserve_entry(f);
	}
}

/* What the entry for a page is to be; writable only when the page is the store's own (F2). */
static inline uint32_t leaf_for(const struct fault *f, bool own)
{
	uint32_t leaf = permission_of(f);
	if (!own && leaf & LEAF_WRITE) { /* what comes with writing, reading on all of these ISAs, stays */
		leaf = (leaf & ~(uint32_t)LEAF_WRITE) | LEAF_READ;
	}
	return leaf | (f->access == VMEM_WRITE ? (uint32_t)LEAF_DIRTY : 0);
}

/* Whether the slot of the locked table is empty, nobody else's, and forgotten by all CPUs. */
static inline bool is_free(const struct fault *f)
{
	return pte_load(f->at.slot) == 0 && !pmap_is_dropping(&f->aspace->pmap) &&
	       (f->vacated || !pmap_is_busy(f->at, f->va));
}

/* Stores the entry into the slot of the locked table if it is free. */
static inline bool put(struct fault *f, vmem_paddr_t pa, uint32_t leaf)
{
	if (!is_free(f)) {
		return false;
	}
	pmap_put(&f->aspace->pmap, &f->at, f->cpu, f->va, pa, leaf);
	if (f->vacated) {
		(void)vmem_pmap_settle(&f->aspace->pmap, f->at);
		f->vacated = false;
	}
	return true;
}

/* Makes the slot empty and busy, if it shows a frame, and sees to it that no CPU remembers (P9, X6). False:
 * another CPU is at it. With `key_busy` nobody has entered anything since the look, or will. */
static bool vacate(struct fault *f, bool key_busy)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	if (f->vacated || (!key_busy && pte_peek(f->at.slot) == 0)) {
		return true;
	}
	if (!pmap_take(pmap, f->at, f->va)) {
		return false;
	}
	arch_pte_t entry = pte_load(f->at.slot);
	bool ours = entry == 0 ||
		    (!arch_pte_contig(entry) && fault_same_region(f) && vmem_pmap_vacate(pmap, f->at, f->va));
	f->vacated = ours && entry != 0;
	pmap_give(f->at);
	if (f->vacated) {
		vmem_pmap_flush(pmap, f->va, 0);
	}
	return ours;
}

/* Enters the page that was found; `also`, if not NULL, was found too and must still be so. */
static enum vmem_fault_result enter(
    struct fault *f, vmem_paddr_t pa, bool own, const struct finding *found, const struct finding *also)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	uint32_t leaf = leaf_for(f, own);
	if (leaf & LEAF_EXEC && arch_pte_marks(pte_peek(f->at.slot)) & LEAF_DIRTY) {
		vmem_pmap_sync(pa, 0, LEAF_WRITE); /* stored to through this very entry */
	}
	if (leaf & (LEAF_EXEC | LEAF_WRITE)) {
		vmem_pmap_sync(pa, 0, leaf);
	}
	for (;;) {
		if (!pmap_take(pmap, f->at, f->va)) {
			return FAULT_AGAIN;
		}
		arch_pte_t entry = pte_load(f->at.slot);
		bool same =
		    fault_same_region(f) && fault_same_slot(found) && (!also || fault_same_slot(also));
		bool done = same && entry == 0 && put(f, pa, leaf);
		enum arch_duty duty = ARCH_DUTY_NONE;
		if (same && entry != 0 && !arch_pte_contig(entry) && arch_pte_pa(entry, 0) == pa) {
			duty = vmem_pmap_raise(pmap, f->at, pa, leaf);
			done = true;
		}
		pmap_give(f->at);
		if (done) {
			if (duty != ARCH_DUTY_NONE) {
				vmem_pmap_flush(pmap, f->va, 0);
			}
			if (entry != 0) {
				vmem_flush_granted(pmap, f->va, false);
			}
			return VMEM_FAULT_RESOLVED;
		}
		if (!same || entry == 0 || arch_pte_contig(entry) || !vacate(f, false)) {
			return FAULT_AGAIN;
		}
	}
}

/* Locks the store if its index must change shape for this, with what that takes set aside. */
static enum vmem_fault_result prepare(struct fault *f, const struct finding *found, bool *locked)
{
	struct store *store = found->store;
	*locked = false;
	if (found->cursor.leaf && found->cursor.exclusive) {
		return VMEM_FAULT_RESOLVED; /* setting a slot takes no node */
	}
	if (!store_try_lock(store)) {
		return FAULT_AGAIN;
	}
	*locked = true;
	if (!vmem_index_reserve(&store->index, 1)) {
		return VMEM_FAULT_NO_MEMORY;
	}
	/* A removal bumps the generation before it asks for this lock: what is added now it will find. */
	return fault_same_region(f) && fault_same_slot(found) ? VMEM_FAULT_RESOLVED : FAULT_AGAIN;
}

/* Puts the page into the slot, and enters it. */
static enum vmem_fault_result publish(struct fault *f, const struct finding *found,
    const struct finding *also, struct vmem_page *page, bool locked, bool enters)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	struct index_node *leaf = found->cursor.leaf;
	const uint32_t bits = leaf_for(f, true);
	if (bits & LEAF_EXEC) {
		vmem_pmap_sync(page_to_pa(page), 0, bits);
	}
	if (locked) { /* the page is stored then, whatever the region has become: no leaf stays empty (I4) */
		if (also && !fault_same_slot(also)) {
			vmem_frame_give(page);
			return FAULT_AGAIN;
		}
		leaf = vmem_index_leaf(&found->store->index, found->key);
	}
	/* No entry may show what was there before, nor be on its way out: a page that is replaced loses this
	 * store's reference (X7), and the fault may be given up after this (X15). Where there was none, and
	 * with the lock, no entry does: fill(). */
	const bool replaces = slot_kind(found->slot) == SLOT_PAGE;
	spin_take(&leaf->lock, LOCK_NODE);
	bool taken = enters && pmap_take(pmap, f->at, f->va);
	bool same = fault_same_region(f) && (locked || fault_same_shape(found));
	bool fits = same && (!enters || (taken && is_free(f)));
	bool stored = ((locked && !replaces) || (fits && (locked || !also || fault_same_slot(also)))) &&
		      index_replace(leaf, found->key, found->slot, slot_of_page(page));
	bool entered = stored && same && taken && put(f, page_to_pa(page), bits);
	if (taken) {
		pmap_give(f->at);
	}
	spin_give(&leaf->lock, LOCK_NODE);
	if (!stored) {
		vmem_frame_give(page);
	} else if (found->slot != SLOT_EMPTY) {
		vmem_slot_drop(found->slot);
	}
	return entered ? VMEM_FAULT_RESOLVED : FAULT_AGAIN;
}

/* The store gets a page of its own where `found` says that it has none: a copy of the source, or zeroes; it
 * is entered, unless this region shows it otherwise. */
static __attribute__((noinline)) enum vmem_fault_result fill(struct fault *f, const struct finding *found,
    const struct finding *also, struct vmem_page *source, bool enters)
{
	struct vmem_page *page = vmem_store_new_page(found->store, found->key);
	bool locked = false;
	if (!page) {
		return VMEM_FAULT_NO_MEMORY;
	}
	enum vmem_fault_result result = fault_reserve_entry(f);
	result = result == VMEM_FAULT_RESOLVED ? prepare(f, found, &locked) : result;
	bool busy = VMEM_SMP && locked && enters && result == VMEM_FAULT_RESOLVED;
	if (busy) {
		vmem_store_set_busy(found->store, found->key, found->key); /* until it is there (L7) */
	}
	if (result == VMEM_FAULT_RESOLVED && enters && !vacate(f, busy)) {
		result = FAULT_AGAIN;
	}
	if (result == VMEM_FAULT_RESOLVED) {
		if (source) {
			vmem_arch_page_copy(page_to_virt(page), page_to_virt(source));
		} else {
			vmem_arch_page_clear(page_to_virt(page));
		}
		result = publish(f, found, also, page, locked, enters);
	} else {
		vmem_frame_give(page);
	}
	if (busy) {
		vmem_store_clear_busy(found->store);
	}
	if (locked) {
		store_unlock(found->store);
	}
	return result;
}

/* fill() of new anonymous memory in the usual case: a leaf of the index that is ours, a table that is
 * there, and an empty entry. The same steps, fewer questions. */
static inline __attribute__((always_inline)) enum vmem_fault_result fill_fresh(
    struct fault *f, const struct finding *mine)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	struct index_node *leaf = mine->cursor.leaf;
	uint32_t bits = permission_of(f) | LEAF_DIRTY;
	if (mine->slot != SLOT_EMPTY || !leaf || !mine->cursor.exclusive || !f->at.slot || f->at.level != 0 ||
	    pte_peek(f->at.slot) != 0 || (bits & LEAF_EXEC)) {
		return fill(f, mine, NULL, NULL, true);
	}
	struct vmem_page *page = vmem_store_new_page(mine->store, mine->key);
	if (!page) {
		return VMEM_FAULT_NO_MEMORY;
	}
	vmem_arch_page_clear(page_to_virt(page));
	spin_take(&leaf->lock, LOCK_NODE);
	bool taken = pmap_take(pmap, f->at, f->va);
	bool stored = taken && fault_same_shape(mine) && fault_same_region(f) && pte_load(f->at.slot) == 0 &&
		      !pmap_is_busy(f->at, f->va) && !pmap_is_dropping(pmap) &&
		      index_replace(leaf, mine->key, SLOT_EMPTY, slot_of_page(page));
	if (stored) {
		pmap_put(pmap, &f->at, f->cpu, f->va, page_to_pa(page), bits);
	}
	if (taken) {
		pmap_give(f->at);
	}
	spin_give(&leaf->lock, LOCK_NODE);
	if (!stored) {
		vmem_frame_give(page);
		return FAULT_AGAIN;
	}
	return VMEM_FAULT_RESOLVED;
}

static bool beyond_end(const struct fault *f)
{
	const struct region *region = f->region;
	uint64_t page =
	    shared_load(&region->offset) + ((f->va - shared_load(&region->span.start)) >> VMEM_PAGE_SHIFT);
	return page >= shared_load(&f->object->pages);
}

static inline uint64_t object_key(const struct fault *f)
{
	return shared_load(&f->object->key) + shared_load(&f->region->offset) +
	       ((f->va - shared_load(&f->region->span.start)) >> VMEM_PAGE_SHIFT);
}

/* Past its end nothing of the object is shown. */
static enum vmem_fault_result refuse_beyond(const struct fault *f, const struct finding *theirs)
{
	return fault_same_region(f) && fault_same_shape(theirs) ? VMEM_FAULT_BEYOND_END : FAULT_AGAIN;
}

/* Of an anonymous object: what is shown, whose page it is, and no copy is in the private store. */
static __attribute__((noinline)) enum vmem_fault_result private_object(
    struct fault *f, const struct finding *mine)
{
	struct finding theirs;
	struct store *store = shared_load(&f->object->store);
	if (!fault_look(&theirs, store, object_key(f))) {
		return FAULT_AGAIN;
	}
	if (beyond_end(f)) {
		return refuse_beyond(f, &theirs);
	}
	struct vmem_page *source = slot_kind(theirs.slot) == SLOT_PAGE ? slot_page(theirs.slot) : NULL;
	if (f->access == VMEM_WRITE) { /* the first write takes a copy into the space's own store */
		enum vmem_fault_result result = fill(f, mine, &theirs, source, true);
		if (result == VMEM_FAULT_RESOLVED) {
			fault_count(f, COUNT_COPIED);
		}
		return result;
	}
	if (!source) { /* the next turn finds it */
		return fill(f, &theirs, NULL, NULL, false);
	}
	enum vmem_fault_result result = fault_reserve_entry(f);
	if (result == VMEM_FAULT_RESOLVED) {
		result = enter(f, page_to_pa(source), false, mine, &theirs);
	}
	if (result == VMEM_FAULT_RESOLVED) {
		fault_count(f, COUNT_OBJECT);
		vmem_fault_around(f, &theirs, mine);
	}
	return result;
}

/* A page is there, in the space's own store. */
static __attribute__((noinline)) enum vmem_fault_result private_page(
    struct fault *f, const struct finding *mine)
{
	struct vmem_page *page = slot_page(mine->slot);
	bool own = index_exclusive(&mine->cursor, mine->slot);
	bool copies = f->access == VMEM_WRITE && !own;
	enum vmem_fault_result result = copies ? fill(f, mine, NULL, page, true) : fault_reserve_entry(f);
	if (!copies && result == VMEM_FAULT_RESOLVED) {
		result = enter(f, page_to_pa(page), own, mine, NULL);
	}
	if (result == VMEM_FAULT_RESOLVED) {
		fault_count(f, copies ? COUNT_COPIED : COUNT_REUSED);
	}
	return result;
}

static bool wants_large(const struct fault *f)
{
	return f->aspace->large || shared_load(&f->region->flags) & VMEM_MAP_LARGE;
}

static inline __attribute__((always_inline)) enum vmem_fault_result private_fault(struct fault *f)
{
	struct store *store = f->aspace->private_store;
	struct finding mine;
	uint64_t key = shared_load(&f->region->private_key) +
		       ((f->va - shared_load(&f->region->span.start)) >> VMEM_PAGE_SHIFT);
	enum vmem_fault_result result;
	if (!fault_look(&mine, store, key)) {
		return FAULT_AGAIN;
	}
	if (slot_kind(mine.slot) == SLOT_PAGE) {
		return private_page(f, &mine);
	}
	if (slot_kind(mine.slot) == SLOT_GUARD) {
		return fault_same_region(f) && fault_same_slot(&mine) ? VMEM_FAULT_GUARD : FAULT_AGAIN;
	}
	if (mine.slot == SLOT_EMPTY && f->object) {
		return private_object(f, &mine);
	}
	if (f->access == VMEM_WRITE) {
		if (wants_large(f)) {
			if (vmem_fault_fill_large(f, store, key) || vmem_fault_fill_contig(f, store, key)) {
				return VMEM_FAULT_RESOLVED;
			}
			f->at = vmem_pmap_lookup(
			    &f->aspace->pmap, f->va); /* the attempts have left their traces */
			if (!fault_look(&mine, store, key) || mine.slot != SLOT_EMPTY) {
				return FAULT_AGAIN;
			}
		}
		result = fill_fresh(f, &mine);
	} else if ((result = fault_reserve_entry(f)) == VMEM_FAULT_RESOLVED) {
		result = enter(f, vmem_zero_frame, false, &mine, NULL);
	}
	if (result == VMEM_FAULT_RESOLVED) {
		fault_count(f, f->access == VMEM_WRITE ? COUNT_ZEROED : COUNT_ZERO_PAGE);
	}
	return result;
}

/* A write to a page that the object shares with a relative: every mapping of it forgets the page, and the
 * next turn of the fault finds the copy. Until the lock was taken the object may have shrunk (O3). */
static enum vmem_fault_result copy_shared(struct fault *f, struct store *store, uint64_t key)
{
	enum vmem_fault_result result = FAULT_AGAIN;
	if (!store_try_lock(store)) {
		return result;
	}
	if (fault_same_region(f) && !beyond_end(f) && !vmem_store_own_page(store, key)) {
		result = VMEM_FAULT_NO_MEMORY;
	}
	store_unlock(store);
	return result;
}

static __attribute__((noinline)) enum vmem_fault_result shared_fault(struct fault *f)
{
	struct store *store = shared_load(&f->object->store);
	struct finding theirs;
	bool fixed = shared_load(&store->kind) != STORE_ANONYMOUS;
	enum vmem_fault_result result = VMEM_FAULT_RESOLVED;
	if (shared_load(&f->region->attributes) & VMEM_REGION_GUARDS) {
		result = vmem_fault_look_guard(f);
	}
	if (result != VMEM_FAULT_RESOLVED) {
		return result;
	}
	if (!fault_look(&theirs, store, object_key(f))) {
		return FAULT_AGAIN;
	}
	if (beyond_end(f)) {
		return refuse_beyond(f, &theirs);
	}
	if (fixed) {
		return vmem_fault_fixed(f, store, theirs.key);
	}
	result = fault_reserve_entry(f);
	if (result != VMEM_FAULT_RESOLVED) {
		return result;
	}
	bool own = slot_kind(theirs.slot) == SLOT_PAGE && index_exclusive(&theirs.cursor, theirs.slot);
	if (theirs.slot == SLOT_EMPTY) {
		result = fill(f, &theirs, NULL, NULL, true);
	} else if (slot_kind(theirs.slot) == SLOT_PAGE && (own || f->access != VMEM_WRITE)) {
		result = enter(f, page_to_pa(slot_page(theirs.slot)), own, &theirs, NULL);
		if (result == VMEM_FAULT_RESOLVED && f->access != VMEM_WRITE) {
			vmem_fault_around(f, &theirs, NULL);
		}
	} else {
		return copy_shared(f, store, theirs.key);
	}
	if (result == VMEM_FAULT_RESOLVED) {
		fault_count(f, COUNT_OBJECT);
	}
	return result;
}

/* No region was met on the way. That is believed under the lock alone: the tree may have changed meanwhile.
 * One that grows down may reach there now. */
static enum vmem_fault_result confirm_absence(struct vmem_aspace *aspace, vmem_vaddr_t address)
{
	if (!mutex_try(&aspace->lock, aspace_rank(aspace))) {
		return FAULT_AGAIN;
	}
	bool absent =
	    (!VMEM_SMP || !vmem_region_find(aspace, address)) && !vmem_region_grow_down(aspace, address);
	aspace_unlock(aspace);
	return absent ? VMEM_FAULT_NO_REGION : FAULT_AGAIN;
}

/* Finds the region, first where the last fault of this CPU was. RESOLVED: go on. */
static inline enum vmem_fault_result find_region(struct fault *f, struct vmem_cpu *cpu, vmem_vaddr_t address)
{
	struct region *region = cpu->last.region;
	f->generation = cpu->last.generation;
	if (cpu->last.aspace != f->aspace || shared_load_acquire(&region->span.generation) != f->generation ||
	    address - shared_load(&region->span.start) >= shared_load(&region->span.length)) {
		region = VMEM_SMP ? vmem_region_find_shared(f->aspace, address)
				  : vmem_region_find(f->aspace, address);
		if (!region) {
			return confirm_absence(f->aspace, address);
		}
		f->generation = shared_load_acquire(&region->span.generation);
		if (VMEM_SMP &&
		    ((f->generation & 1) || shared_load(&region->aspace) != f->aspace ||
			address - shared_load(&region->span.start) >= shared_load(&region->span.length))) {
			return FAULT_AGAIN;
		}
		cpu->last.aspace = f->aspace;
		cpu->last.region = region;
		cpu->last.generation = f->generation;
	}
	f->region = region;
	f->object = shared_load(&region->object);
	return VMEM_FAULT_RESOLVED;
}

static inline __attribute__((always_inline)) enum vmem_fault_result turn(
    struct fault *f, struct vmem_cpu *cpu, vmem_vaddr_t address)
{
	enum vmem_fault_result result = find_region(f, cpu, address);
	if (result != VMEM_FAULT_RESOLVED) {
		return result;
	}
	uint16_t flags = shared_load(&f->region->flags);
	if (!grants(permission_of(f), f->access)) {
		return !fault_same_region(f)	? FAULT_AGAIN
		       : flags & VMEM_MAP_GUARD ? VMEM_FAULT_GUARD
						: VMEM_FAULT_PERMISSION;
	}
	if (flags & VMEM_MAP_SHARED && VMEM_SMP && !f->object) {
		return FAULT_AGAIN; /* the record is another one's by now */
	}
	f->va = vmem_page_floor(address);
	f->at = vmem_pmap_lookup(&f->aspace->pmap, f->va);
	if (!f->at.slot && f->at.level == 0) {
		vmem_fault_unpark(f);
	}
	if (f->at.slot && arch_pte_present(pte_peek(f->at.slot))) {
		enum settled settled = vmem_fault_settle(f);
		if (settled != UNSETTLED) {
			return settled == SETTLED ? VMEM_FAULT_RESOLVED : FAULT_AGAIN;
		}
	}
	result = flags & VMEM_MAP_SHARED ? shared_fault(f) : private_fault(f);
	if (result != VMEM_FAULT_RESOLVED) {
		unvacate(f);
	}
	return result;
}

/* Memory may lie where a fault does not look: on lists of other CPUs, in empty frames of small objects. */
static __attribute__((noinline)) enum vmem_fault_result scrape(struct fault *f, struct vmem_cpu *cpu)
{
	unreserve_entry(f);
	section_leave(cpu);
	bool found = !VMEM_FAILED_ALLOCATION() && vmem_slab_trim();
	section_enter(cpu);
	return found ? FAULT_AGAIN : VMEM_FAULT_NO_MEMORY;
}

WITH_OTHERS enum vmem_fault_result take_turns(
    struct vmem_aspace *aspace, vmem_vaddr_t address, unsigned access)
{
	struct fault f = {.aspace = aspace, .access = access, .cpu = cpu_number()};
	struct vmem_cpu *cpu = &vmem_cpus[f.cpu];
	enum vmem_fault_result result = FAULT_AGAIN;
	fault_count(&f, COUNT_FAULTS);
	section_enter(cpu);
	for (unsigned turns = 0; result == FAULT_AGAIN && turns < FAULT_TURNS; turns++) {
		result = turn(&f, cpu, address);
		if (__builtin_expect(result == VMEM_FAULT_RESOLVED, 1)) {
			section_leave(cpu);
			return result;
		}
		if (result == VMEM_FAULT_NO_MEMORY && turns + 1 < FAULT_TURNS) {
			result = scrape(&f, cpu);
		}
	}
	unreserve_entry(&f);
	section_leave(cpu);
	if (result != FAULT_AGAIN) {
		fault_count(&f, COUNT_REFUSED);
	}
	return result;
}

enum vmem_fault_result vmem_fault_try(struct vmem_aspace *aspace, vmem_vaddr_t address, unsigned access)
{
	return RUNS_ALONE ? vmem_alone_fault_try(aspace, address, access)
			  : take_turns(aspace, address, access);
}
