/* SPDX-License-Identifier: MIT */
/*
 * fault_around.c - a read of an object's page enters its neighbours too, if they are in memory.
 *
 * Sixteen pages around the fault, those from it on where the region says SEQUENTIAL, none but it where it
 * says RANDOM; never past the region, the leaf table or the object's end. Nothing is brought in, copied or
 * zeroed, no table is made, and an entry that is there stays: so it can fail at any page without harm.
 * FA1 Each entry is what a fault on that page would have made (F2), and is stored as F5 wants it: under the
 * byte of the table, with generation and sequences unchanged since they were read before the first page was
 * entered, the slots read and the key found not busy under it. The slot is read before busy, and busy before
 * the sequence: a removal that is over by the second look has changed what the third finds.
 */
#include "fault_i.h"

#define AROUND_PAGES UINT64_C(16)

/* A store's slots in the order of keys: one look-up for each leaf of the index. */
struct strip {
	const struct finding *found; /* the page that the fault was for */
	uint64_t block;		     /* key / INDEX_FANOUT of the cursor */
	struct index_cursor cursor;
};

static inline void strip_begin(struct strip *strip, const struct finding *found)
{
	strip->found = found;
	strip->block = found->key / INDEX_FANOUT;
	strip->cursor = found->cursor;
}

static inline slot_t strip_slot(struct strip *strip, uint64_t key)
{
	const uint64_t n = key & (INDEX_FANOUT - 1);
	if (key / INDEX_FANOUT != strip->block) {
		(void)vmem_index_find(&strip->found->store->index, key, &strip->cursor);
		strip->block = key / INDEX_FANOUT;
	}
	const struct index_node *leaf = strip->cursor.leaf;
	if (!leaf || !(shared_load_acquire(&leaf->present) >> n & 1)) {
		return SLOT_EMPTY;
	}
	return shared_load_acquire(&leaf->slot[n]);
}

/* Whether what a strip showed at key was content, and is (FA1). */
static inline bool strip_holds(const struct strip *strip, uint64_t key)
{
	if (!VMEM_SMP) {
		return true;
	}
	order_reads();
	return !store_is_busy(strip->found->store, key) && fault_same_shape(strip->found);
}

/* The pages to enter, [low, high). */
static void window(const struct fault *f, uint32_t attributes, vmem_vaddr_t *low, vmem_vaddr_t *high)
{
	const struct region *region = f->region;
	const vmem_vaddr_t start = shared_load(&region->span.start), table = pmap_window(f->va);
	const uint64_t offset = shared_load(&region->offset), size = shared_load(&f->object->pages);
	uint64_t pages = shared_load(&region->span.length) >> VMEM_PAGE_SHIFT;
	pages = size - offset < pages ? size - offset : pages; /* the fault's page lies before the end */
	*low = f->va;
	if (!(attributes & VMEM_REGION_SEQUENTIAL)) {
		*low &= ~(AROUND_PAGES * VMEM_PAGE_SIZE - 1);
		*low = *low < start ? start : *low;
	}
	*high = *low + AROUND_PAGES * VMEM_PAGE_SIZE;
	if (!(attributes & VMEM_REGION_SEQUENTIAL)) {
		*high = (f->va & ~(AROUND_PAGES * VMEM_PAGE_SIZE - 1)) + AROUND_PAGES * VMEM_PAGE_SIZE;
	}
	const vmem_vaddr_t end = start + (pages << VMEM_PAGE_SHIFT), last = table + arch_level_size(1);
	*high = *high < end ? *high : end;
	*high = *high < last ? *high : last;
}

/* What the entries are to be: of a page that is not the store's own, and of one that is. */
static void leaves(uint32_t permission, uint32_t leaf[2])
{
	leaf[1] = permission;
	leaf[0] = permission & LEAF_WRITE ? (permission & ~(uint32_t)LEAF_WRITE) | LEAF_READ : permission;
}

/* Whether a page needs a fault of its own: instruction fetch is brought in step, or the note of it dropped,
 * with no lock held. */
static inline bool owes_sync(const struct vmem_page *page, uint32_t leaf)
{
	const bool synced = shared_load(&page->flags) & PAGE_F_EXEC_SYNCED;
	return leaf & LEAF_EXEC ? !synced : leaf & LEAF_WRITE && synced;
}

/* With the table's byte held. Answers how many were entered. What a CPU may remember to be absent is flushed
 * by the fault that it then takes (fault_present.c). */
static inline __attribute__((always_inline)) unsigned enter_window(
    struct fault *f, struct strip *theirs, struct strip *mine, vmem_vaddr_t low, vmem_vaddr_t high)
{
	const struct vmem_pmap *pmap = &f->aspace->pmap;
	const uint64_t before = (f->va - low) >> VMEM_PAGE_SHIFT;
	uint64_t key = theirs->found->key - before, own_key = mine ? mine->found->key - before : 0;
	arch_pte_t *slot = f->at.slot - before;
	unsigned entered = 0;
	uint32_t leaf[2];
	leaves(shared_load(&f->region->permission), leaf);
	for (vmem_vaddr_t va = low; va < high; va += VMEM_PAGE_SIZE, slot++, key++, own_key++) {
		if (pte_load(slot) != 0 || pmap_is_busy(f->at, va)) {
			continue;
		}
		slot_t found = strip_slot(theirs, key);
		if (slot_kind(found) != SLOT_PAGE || (mine && strip_slot(mine, own_key) != SLOT_EMPTY)) {
			continue;
		}
		const struct vmem_page *page = slot_page(found);
		const uint32_t bits = leaf[!mine && index_exclusive(&theirs->cursor, found)];
		if (owes_sync(page, bits) || !strip_holds(theirs, key) ||
		    (mine && !strip_holds(mine, own_key)) || !fault_same_region(f)) {
			continue;
		}
		pte_store(slot, pmap_make_leaf(pmap, page_to_pa(page), 0, bits));
		entered++;
	}
	return entered;
}

void vmem_fault_around(struct fault *f, const struct finding *theirs, const struct finding *mine)
{
	struct vmem_pmap *pmap = &f->aspace->pmap;
	const uint32_t attributes = shared_load(&f->region->attributes);
	struct strip shown, hidden;
	vmem_vaddr_t low, high;
	if (attributes & (VMEM_REGION_RANDOM | (mine ? 0u : (uint32_t)VMEM_REGION_GUARDS))) {
		return;
	}
	window(f, attributes, &low, &high);
	strip_begin(&shown, theirs);
	hidden.found = NULL; /* gcc 12 does not see that without `mine` nobody looks */
	if (mine) {
		strip_begin(&hidden, mine);
	}
	if (!fault_same_region(f) || !pmap_take(pmap, f->at, f->va)) {
		return;
	}
	if (!pmap_is_dropping(pmap)) {
		unsigned entered = mine ? enter_window(f, &shown, &hidden, low, high)
					: enter_window(f, &shown, NULL, low, high);
		pmap_count_entries(pmap, f->at.table, entered);
		pmap_count(pmap, f->cpu, COUNT_RESIDENT, entered);
		pmap_count(pmap, f->cpu, COUNT_AROUND, entered);
		vmem_arch_publish();
	}
	pmap_give(f->at);
}
