/* SPDX-License-Identifier: MIT */
/*
 * store.h - where content lives: a page index, its place in a lineage, and who maps it.
 *
 * An object (object.h) is a counted view {store, first key, pages}; a slice is a second view of one store, a
 * snapshot has a store of its own. An address space has one store for everything private to it, keyed by the
 * private keys of its regions.
 *
 * L1 A page is born in one lineage at one key and keeps both for life. Only the store of that lineage node
 * and those of its descendants can hold the page, always at that key: snapshots never change keys. That is
 * the reverse map: walk the subtree, look the key up. L2 A lineage node lives while it has a store or
 * children. When a store dies: a node without children goes (and dead parents that thereby lose their last
 * child); a dead node with one child hands its pages to the child and goes. L3 store->mappings lists every
 * region whose entries can show pages of the store, the regions of a private store excepted: those are found
 * by key in the space that owns it. L4 The zero frame is mapped only from private stores, which have one
 * mapping for each key. L5 The frame behind a key changes only after no CPU can hold a translation to the
 * old one: zap, flush, then read or replace (contract 3.2, 3.3). L6 A snapshot promises the nodes that its
 * relatives may have to copy (index.h, I7): removals cannot fail (contract 5.1 b). L7 While content is
 * removed, or replaced in a store with several mappings, the keys are busy, and the sequence has changed
 * since they became so: a fault that began before is refused when it wants to enter what it found, one that
 * begins later sees that they are busy.
 *
 * Locks: store->lock is held by whoever changes the structure of the index, content (but for what a fault
 * adds, F1), the list of mappings, or bounds, keys and permission of a region on it. Functions here want it
 * held by the caller unless they say that they take it. Faults read without it.
 */
#ifndef VMEM_STORE_H
#define VMEM_STORE_H

#include <vmem/object.h>

#include "frame.h"
#include "index.h"
#include "lock.h"
#include "pmap.h"

struct region;
struct store;
struct vmem_aspace;

struct lineage {
	struct lineage *parent;
	struct lineage *child;	       /* first of the children */
	struct lineage *next, **pprev; /* siblings */
	struct store *store;	       /* NULL: dead, kept for its descendants */
};

enum store_kind { STORE_ANONYMOUS, STORE_CONTIGUOUS, STORE_PHYSICAL };

struct store {
	uint64_t
	    mapping_count; /* first, where a free record has its link: nobody reads it without the lock */
	struct vmem_index index;
	uint64_t busy_first, busy_count; /* keys (L7) */
	struct lineage *lineage;	 /* ANONYMOUS */
	uint8_t kind;
	uint8_t cache;
	bool odd_cache; /* its frames left the direct map's write-back attribute */
	/* So far what faults read, in one line: the lock is in the next one. */
	struct vmem_aspace *owner; /* of a private store; else NULL */
	struct vmem_mutex lock;
	struct region *mappings;   /* (L3) */
	uint64_t references;	   /* views, and the owner */
	vmem_paddr_t physical;	   /* CONTIGUOUS, PHYSICAL: of key 0 */
	uint64_t pages;		   /* CONTIGUOUS, PHYSICAL: how many */
	uint64_t promised;	   /* bytes, while it lives (commit.c) */
	struct store *all_next, **all_pprev;
};
_Static_assert(offsetof(struct store, owner) == 64, "what faults read is one line");

static inline unsigned store_rank(const struct store *store)
{
	return store->owner ? LOCK_PRIVATE : LOCK_STORE;
}

static inline void store_lock(struct store *store)
{
	mutex_take(&store->lock, store_rank(store));
}

/* For faults, which do not wait. */
static inline bool store_try_lock(struct store *store)
{
	return mutex_try(&store->lock, store_rank(store));
}

/* Nodes that were set aside go back. */
static inline void store_unlock(struct store *store)
{
	if (store->index.claimed != 0) {
		vmem_index_unclaim(&store->index);
	}
	mutex_give(&store->lock, store_rank(store));
}

/* Whether a fault that has read the sequence may not use the key now (L7). */
static inline bool store_is_busy(const struct store *store, uint64_t key)
{
	return key - shared_load(&store->busy_first) < shared_load(&store->busy_count);
}

void vmem_store_set_busy(struct store *store, uint64_t first, uint64_t last);
void vmem_store_clear_busy(struct store *store);

/* Creation and the two counts take what locks they need. elder, if not NULL, is the store whose snapshot the
 * new one will be. Errors: NO_MEMORY. */
vmem_status_t vmem_store_create(struct store **out, struct vmem_aspace *owner, const struct store *elder);
/* Fixed frames: CONTIGUOUS owns them, PHYSICAL does not. Errors: NO_MEMORY, CONFLICT (another one gives them
 * another attribute), UNSUPPORTED (vmem_direct_map_set). */
vmem_status_t vmem_store_create_fixed(
    struct store **out, enum store_kind kind, vmem_paddr_t start, uint64_t pages, vmem_cache_t cache);
void vmem_store_hold(struct store *store);
/* The last release frees every page that no relative shares. No translation to the store's pages is left by
 * then. */
void vmem_store_release(struct store *store);

/* A store that shares what `from` holds in keys [first, last]. Write-protects live entries first reachable
 * through from. Takes from's lock, and keeps it until that is complete on all CPUs. Errors: NO_MEMORY. */
vmem_status_t vmem_store_snapshot(struct store *from, uint64_t first, uint64_t last, struct store **out);

/* Removes every entry of every mapping that shows keys [first, last], which are busy; complete on all CPUs
 * when it returns. Not for a private store, whose ranges are removed by address. Never fails. */
void vmem_store_zap(struct store *store, uint64_t first, uint64_t last);
/* Drops what private mappings have copied from [first, last], which are busy, with its translations
 * (contract 2.3). Takes the locks of their private stores. Never fails. */
void vmem_store_forget_copies(struct store *store, uint64_t first, uint64_t last);
/* Drops content of [first, last] after its translations are gone. Never fails (L6). */
void vmem_store_forget(struct store *store, uint64_t first, uint64_t last);

/* Makes sure the key has a page of its own, writable in place: fills (zeroed), or copies what is shared
 * after zapping it. Other slot kinds become pages too. NULL: no memory. */
struct vmem_page *vmem_store_own_page(struct store *store, uint64_t key);

/* The same for two keys (or one, twice), both or none. Errors: NO_MEMORY. */
vmem_status_t vmem_store_own_two(struct store *store, uint64_t low, uint64_t high);

/* The same for keys [first, last], all or nothing. Errors: NO_MEMORY. */
vmem_status_t vmem_store_own_range(struct store *store, uint64_t first, uint64_t last);

/* A data page born in the store at key; contents indeterminate. NULL: no memory. */
static inline struct vmem_page *vmem_store_new_page(struct store *store, uint64_t key)
{
	struct vmem_page *page = vmem_frame_take(PAGE_DATA);
	if (page) {
		/* whole stores: a walker may still look whether it is a table */
		shared_store(&page->u.data.lineage, store->lineage);
		shared_store(&page->u.data.key, key);
	}
	return page;
}

/* Every translation of a page, found through lineage and key (L1): visit(arg, region, va) for each region
 * that could show it. Takes no lock: no other CPU is inside. */
typedef void page_translation_fn(void *arg, struct region *region, vmem_vaddr_t va);
void vmem_page_translations(struct vmem_page *page, page_translation_fn *visit, void *arg);

/* All stores, for validators, and those of fixed frames, which the mutex keeps. */
struct store *vmem_store_first(void);
struct store *vmem_store_next(const struct store *store);
extern struct vmem_lone_mutex vmem_fixed_lock;
struct store *vmem_store_first_fixed(void);
void vmem_stores_init(void);
void vmem_store_check(struct store *store);

/* The view. */
struct vmem_object {
	uint64_t references; /* first, where a free record has its link: faults read the others */
	struct store *store;
	uint64_t key;	/* of offset 0 in the store */
	uint64_t pages; /* size */
	unsigned flags;
};

/* What of the range, in bytes and page aligned, lies before the end is forgotten (vmem_object_decommit()),
 * wherever the end is by then. Errors: UNSUPPORTED. */
vmem_status_t vmem_object_punch(struct vmem_object *object, uint64_t offset, uint64_t length);

/* The direct map and attributes that are not write-back (direct_map.c), with vmem_fixed_lock held. OK,
 * CONFLICT, UNSUPPORTED, NO_MEMORY; on error nothing has changed. */
vmem_status_t vmem_direct_map_set(vmem_paddr_t start, uint64_t pages, vmem_cache_t cache);

#endif
