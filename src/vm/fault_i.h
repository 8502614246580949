/* SPDX-License-Identifier: MIT */
/*
 * fault_i.h - one fault on its way: what fault.c and fault_large.c share.
 */
#ifndef VMEM_FAULT_I_H
#define VMEM_FAULT_I_H

#include <vmem/fault.h>

#include "region.h"

/* Another CPU is in the way, or was: nothing is wrong, and the access may be tried again. */
#define FAULT_AGAIN VMEM_FAULT_RESULT_COUNT

/* One fault. Of the region, which was found without a lock, nothing counts unless its generation is the
 * same in the end (X1 of LOCKING.md). */
struct fault {
	struct vmem_aspace *aspace;
	struct region *region;
	struct vmem_object *object;
	vmem_vaddr_t va; /* of the page */
	unsigned access;
	unsigned cpu;
	uint32_t generation;
	bool vacated;	      /* the slot is busy, and by this fault (P9) */
	struct pmap_entry at; /* its level-0 slot; slot NULL: no table there yet */
};

/* What was found at a key of a store without its lock, and when. */
struct finding {
	struct store *store;
	uint64_t key, sequence;
	slot_t slot;
	struct index_cursor cursor;
};

static inline void fault_count(const struct fault *f, enum pmap_counter which)
{
	pmap_count(&f->aspace->pmap, f->cpu, which, 1);
}

/* False: the key is being changed. */
static inline bool fault_look(struct finding *found, struct store *store, uint64_t key)
{
	found->store = store;
	found->key = key;
	found->sequence = VMEM_SMP ? shared_load_acquire(&store->index.sequence) : 0;
	if (VMEM_SMP && store_is_busy(store, key)) {
		return false;
	}
	found->slot = vmem_index_find(&store->index, key, &found->cursor);
	return true;
}

static inline bool fault_same_region(const struct fault *f)
{
	if (!VMEM_SMP) {
		return true;
	}
	order_reads();
	return shared_load(&f->region->span.generation) == f->generation;
}

/* Whether the index has the shape that it had: what was exclusive is. */
static inline bool fault_same_shape(const struct finding *found)
{
	if (!VMEM_SMP) {
		return true;
	}
	order_reads();
	return shared_load(&found->store->index.sequence) == found->sequence;
}

/* Whether the slot still is what was found, in an index of the same shape. */
static inline bool fault_same_slot(const struct finding *found)
{
	if (!VMEM_SMP) {
		return true;
	}
	if (!fault_same_shape(found)) {
		return false;
	}
	const struct index_node *leaf = found->cursor.leaf;
	uint64_t n = found->key & (INDEX_FANOUT - 1);
	if (!leaf) {
		return vmem_index_find(&found->store->index, found->key, NULL) == SLOT_EMPTY;
	}
	return (shared_load_acquire(&leaf->present) >> n & 1 ? shared_load(&leaf->slot[n]) : SLOT_EMPTY) ==
	       found->slot;
}

static inline enum vmem_fault_result fault_reserve(struct fault *f, vmem_vaddr_t va, unsigned level)
{
	vmem_status_t status = vmem_pmap_reserve(&f->aspace->pmap, va, level, &f->at);
	if (status == VMEM_ERR_EXISTS) { /* a large leaf has come, or another CPU has parked what is hot */
		this_vmem_cpu()->hot.base = 1;
		return FAULT_AGAIN;
	}
	return status == VMEM_OK ? VMEM_FAULT_RESOLVED : VMEM_FAULT_NO_MEMORY;
}

/* The table that the entry is to be in: RESOLVED, or why not. */
static inline enum vmem_fault_result fault_reserve_entry(struct fault *f)
{
	return f->at.slot && f->at.level == 0 ? VMEM_FAULT_RESOLVED : fault_reserve(f, f->va, 0);
}

/* A present entry: nothing is missing if it grants the access by now, or grants it once accessed and dirty
 * are noted; a large one that stands in the way is dropped. */
enum settled { SETTLED, UNSETTLED, SETTLE_AGAIN };
enum settled vmem_fault_settle(struct fault *f);
/* Of a shared region that may have guards: GUARD if the page has one, RESOLVED if not. */
enum vmem_fault_result vmem_fault_look_guard(struct fault *f);
/* After a read of an object's page was resolved: enters those around it that have a frame. `theirs` is where
 * the page was found, `mine` what the private store had at its key, NULL if the region is shared. */
void vmem_fault_around(struct fault *f, const struct finding *theirs, const struct finding *mine);

/* The table of the window is parked: takes it back, and looks the entry up again. */
void vmem_fault_unpark(struct fault *f);
/* Anonymous memory by one large leaf, or one run. False: not to be had, try smaller. */
bool vmem_fault_fill_large(struct fault *f, struct store *store, uint64_t key);
bool vmem_fault_fill_contig(struct fault *f, struct store *store, uint64_t key);
/* The frames of an object that has them for good. */
enum vmem_fault_result vmem_fault_fixed(struct fault *f, const struct store *store, uint64_t key);

#endif
