/* SPDX-License-Identifier: MIT */
/*
 * store.c - stores of pages: filling, copying on write, snapshots, removal. Idea and invariants L1 to L6 are
 * in store.h.
 *
 * Locks: the caller serialises all calls.
 */
#include "store.h"

#include "frame.h"
#include "lineage.h"
#include "panic.h"
#include "region.h"
#include "slab.h"

static struct store *all_stores;

void vmem_stores_init(void)
{
	all_stores = NULL;
}

struct store *vmem_store_first(void)
{
	return all_stores;
}

static struct store *store_alloc(enum store_kind kind)
{
	struct store *store = vmem_slab_alloc(SLAB_STORE);
	if (store) {
		*store = (struct store){
		    .kind = (uint8_t)kind, .references = 1, .all_next = all_stores, .all_pprev = &all_stores};
		if (all_stores) {
			all_stores->all_pprev = &store->all_next;
		}
		all_stores = store;
	}
	return store;
}

static void store_free(struct store *store)
{
	*store->all_pprev = store->all_next;
	if (store->all_next) {
		store->all_next->all_pprev = store->all_pprev;
	}
	vmem_slab_free(SLAB_STORE, store);
}

static vmem_status_t create_anonymous(struct store **out, struct lineage *parent)
{
	struct store *store = store_alloc(STORE_ANONYMOUS);
	if (!store) {
		return VMEM_ERR_NO_MEMORY;
	}
	store->lineage = vmem_lineage_create(parent, store);
	if (!store->lineage) {
		store_free(store);
		return VMEM_ERR_NO_MEMORY;
	}
	*out = store;
	return VMEM_OK;
}

vmem_status_t vmem_store_create(struct store **out, struct vmem_aspace *owner)
{
	vmem_status_t status = create_anonymous(out, NULL);
	if (status == VMEM_OK) {
		(*out)->owner = owner;
	}
	return status;
}

vmem_status_t vmem_store_create_fixed(
    struct store **out, enum store_kind kind, vmem_paddr_t start, uint64_t pages, vmem_cache_t cache)
{
	struct store *store = store_alloc(kind);
	vmem_status_t status;
	if (!store) {
		return VMEM_ERR_NO_MEMORY;
	}
	store->physical = start;
	store->pages = pages;
	store->cache = (uint8_t)cache;
	status = vmem_direct_map_set(start, pages, cache);
	if (status != VMEM_OK) {
		store_free(store);
		return status;
	}
	store->odd_cache = cache != VMEM_WRITE_BACK;
	*out = store;
	return VMEM_OK;
}

void vmem_store_hold(struct store *store)
{
	store->references++;
}

void vmem_slot_drop(slot_t slot)
{
	if (slot_kind(slot) == SLOT_PAGE) {
		struct vmem_page *page = slot_page(slot);
		if (--page->refs == 0) {
			vmem_frame_give(page);
		}
	}
}

static void drop(void *arg, uint64_t key, slot_t slot)
{
	(void)arg;
	(void)key;
	vmem_slot_drop(slot);
}

void vmem_store_release(struct store *store)
{
	if (--store->references > 0) {
		return;
	}
	VMEM_ASSERT(store->mappings == NULL);
	if (store->kind == STORE_ANONYMOUS) {
		vmem_index_remove(&store->index, 0, INDEX_KEY_LAST, drop, NULL);
		vmem_lineage_leave(store->lineage);
	} else {
		if (store->odd_cache) {
			store->odd_cache = false;
			(void)vmem_direct_map_set(store->physical, store->pages, VMEM_WRITE_BACK);
		}
		if (store->kind == STORE_CONTIGUOUS) {
			struct vmem_page *page = pa_to_page(store->physical);
			for (uint64_t i = 0; i < store->pages; i++) {
				vmem_frame_give(page + i);
			}
		}
	}
	store_free(store);
}

/* The part of a region that shows keys [first, last] of its object's store: false if there is none. */
static bool shown_part(
    const struct region *region, uint64_t first, uint64_t last, vmem_vaddr_t *va, uint64_t *length)
{
	uint64_t low = region_object_key(region, region->span.start);
	uint64_t high = low + ((region->span.length >> VMEM_PAGE_SHIFT) - 1);
	if (first > high || last < low) {
		return false;
	}
	first = first < low ? low : first;
	last = last > high ? high : last;
	*va = region->span.start + ((first - low) << VMEM_PAGE_SHIFT);
	*length = (last - first + 1) << VMEM_PAGE_SHIFT;
	return true;
}

/* Cuts every entry of a space down to `keep`: what its own store is shown by. One walk of the tables and one
 * flush cost less than a look-up of every region; an entry of a shared mapping is raised again by a fault. */
static void restrict_space(struct vmem_aspace *aspace, uint32_t keep)
{
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &aspace->pmap);
	vmem_pmap_restrict(&aspace->pmap, aspace->root.tree.base, aspace->root.tree.length, keep, &batch);
	vmem_batch_end(&batch);
}

/* Cuts every entry that shows keys [first, last] down to `keep`, in every mapping. Complete when it returns.
 */
static void restrict_keys(struct store *store, uint64_t first, uint64_t last, uint32_t keep)
{
	struct vmem_batch batch;
	vmem_vaddr_t va;
	uint64_t length;
	for (struct region *r = store->mappings; r; r = r->map_next) {
		if (shown_part(r, first, last, &va, &length)) {
			vmem_batch_begin(&batch, &r->aspace->pmap);
			vmem_pmap_restrict(&r->aspace->pmap, va, length, keep, &batch);
			vmem_batch_end(&batch);
		}
	}
}

void vmem_store_zap(struct store *store, uint64_t first, uint64_t last)
{
	if (!store->owner) {
		restrict_keys(store, first, last, 0);
		return;
	}
	for (uint64_t key = first; key <= last;
	     key++) { /* a fault's one page: ranges of private keys are zapped by address */
		struct region *r = vmem_region_find_key(store->owner, key);
		if (r) {
			struct vmem_batch batch;
			vmem_batch_begin(&batch, &r->aspace->pmap);
			vmem_pmap_remove(&r->aspace->pmap,
			    r->span.start + ((key - r->private_key) << VMEM_PAGE_SHIFT), VMEM_PAGE_SIZE,
			    &batch);
			vmem_batch_end(&batch);
		}
	}
}

void vmem_store_forget_copies(struct store *store, uint64_t first, uint64_t last)
{
	vmem_vaddr_t va;
	uint64_t length;
	for (struct region *r = store->mappings; r; r = r->map_next) {
		if (shown_part(r, first, last, &va, &length)) {
			vmem_region_forget_private(r, va, length);
		}
	}
}

void vmem_store_forget(struct store *store, uint64_t first, uint64_t last)
{
	VMEM_CHECK(vmem_index_reserve_remove(&store->index, first, last),
	    "internal: a promise of nodes to a snapshot was broken");
	vmem_index_remove(&store->index, first, last, drop, NULL);
}

vmem_status_t vmem_store_snapshot(struct store *from, uint64_t first, uint64_t last, struct store **out)
{
	struct store *to;
	vmem_status_t status = create_anonymous(&to, from->lineage);
	if (status != VMEM_OK) {
		return status;
	}
	if (!vmem_index_promise(&from->index)) {
		vmem_store_release(to);
		return VMEM_ERR_NO_MEMORY;
	}
	vmem_index_snapshot(
	    &to->index, &from->index); /* from here on nothing of it is exclusive to either (contract 3.1) */
	if (from->owner) {
		restrict_space(from->owner, VMEM_READ | VMEM_EXEC);
	} else {
		restrict_keys(from, first, last, VMEM_READ | VMEM_EXEC);
	}
	if (first > 0) {
		vmem_store_forget(to, 0, first - 1);
	}
	vmem_store_forget(to, last + 1, INDEX_KEY_LAST);
	*out = to;
	return VMEM_OK;
}

struct vmem_page *vmem_store_new_page(struct store *store, uint64_t key)
{
	struct vmem_page *page = vmem_frame_take(PAGE_DATA);
	if (page) {
		page->u.data.lineage = store->lineage;
		page->u.data.key = key;
	}
	return page;
}

/* Puts a page of its own at key, from `fresh`, a frame that was taken for it; a path is reserved. */
static void replace_slot(
    struct store *store, uint64_t key, slot_t slot, struct index_cursor *cursor, struct vmem_page *fresh)
{
	if (slot_kind(slot) == SLOT_PAGE) {
		vmem_store_zap(store, key, key); /* before the copy reads the source (L5) */
		vmem_arch_page_copy(page_to_virt(fresh), page_to_virt(slot_page(slot)));
	} else {
		vmem_arch_page_clear(page_to_virt(fresh));
	}
	vmem_slot_drop(vmem_index_set(&store->index, key, slot_of_page(fresh), cursor));
}

struct vmem_page *vmem_store_own_page(struct store *store, uint64_t key)
{
	struct index_cursor cursor;
	slot_t slot = vmem_index_find(&store->index, key, &cursor);
	if (slot_kind(slot) == SLOT_PAGE && index_exclusive(&cursor, slot)) {
		return slot_page(slot);
	}
	if (!vmem_index_reserve(1, false)) {
		return NULL;
	}
	struct vmem_page *fresh = vmem_store_new_page(store, key);
	if (fresh) {
		replace_slot(store, key, slot, &cursor, fresh);
	}
	return fresh;
}

/* True if the key has a page of the store's own. */
static bool owned(const struct store *store, uint64_t key)
{
	struct index_cursor cursor;
	slot_t slot = vmem_index_find(&store->index, key, &cursor);
	return slot_kind(slot) == SLOT_PAGE && index_exclusive(&cursor, slot);
}

vmem_status_t vmem_store_own_two(struct store *store, uint64_t low, uint64_t high)
{
	bool need[2] = {!owned(store, low), low != high && !owned(store, high)};
	struct vmem_page *fresh[2] = {NULL, NULL};
	if (!need[0] && !need[1]) {
		return VMEM_OK;
	}
	if (!vmem_index_reserve(2, false)) {
		return VMEM_ERR_NO_MEMORY;
	}
	for (unsigned i = 0; i < 2; i++) {
		fresh[i] = need[i] ? vmem_store_new_page(store, i == 0 ? low : high) : NULL;
		if (need[i] && !fresh[i]) {
			if (i > 0 && fresh[0]) {
				vmem_frame_give(fresh[0]);
			}
			return VMEM_ERR_NO_MEMORY;
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		if (fresh[i]) {
			struct index_cursor cursor;
			slot_t slot = vmem_index_find(&store->index, i == 0 ? low : high, &cursor);
			replace_slot(store, i == 0 ? low : high, slot, &cursor, fresh[i]);
		}
	}
	return VMEM_OK;
}

/* Keys of [first, last] that have no page of the store's own. */
static uint64_t count_missing(const struct store *store, uint64_t first, uint64_t last)
{
	uint64_t missing = last - first + 1;
	slot_t slot;
	bool exclusive;
	for (uint64_t key = first; vmem_index_next(&store->index, &key, last, &slot, &exclusive); key++) {
		missing -= slot_kind(slot) == SLOT_PAGE && exclusive && slot_page(slot)->refs == 1;
		if (key == last) {
			break;
		}
	}
	return missing;
}

static void give_chain(struct vmem_page *chain)
{
	while (chain) {
		struct vmem_page *next = (struct vmem_page *)(void *)chain->u.data.lineage;
		vmem_frame_give(chain);
		chain = next;
	}
}

vmem_status_t vmem_store_own_range(struct store *store, uint64_t first, uint64_t last)
{
	uint64_t missing = count_missing(store, first, last);
	uint64_t nodes = (last - first) / INDEX_FANOUT * 2 + UINT64_C(3) * INDEX_PATH_NODES;
	struct vmem_page *chain = NULL;
	if (missing == 0) {
		return VMEM_OK;
	}
	if (nodes > UINT32_MAX || !vmem_slab_reserve(SLAB_INDEX_NODE, (unsigned)nodes, false)) {
		return VMEM_ERR_NO_MEMORY;
	}
	for (uint64_t i = 0; i < missing;
	     i++) { /* all frames before the first change; chained through their lineage field */
		struct vmem_page *page = vmem_frame_take(PAGE_DATA);
		if (!page) {
			give_chain(chain);
			return VMEM_ERR_NO_MEMORY;
		}
		page->u.data.lineage = (struct lineage *)(void *)chain;
		chain = page;
	}
	for (uint64_t key = first; chain; key++) {
		struct index_cursor cursor;
		slot_t slot = vmem_index_find(&store->index, key, &cursor);
		if (slot_kind(slot) != SLOT_PAGE || !index_exclusive(&cursor, slot)) {
			struct vmem_page *fresh = chain;
			chain = (struct vmem_page *)(void *)fresh->u.data.lineage;
			fresh->u.data.lineage = store->lineage;
			fresh->u.data.key = key;
			replace_slot(store, key, slot, &cursor, fresh);
		}
	}
	return VMEM_OK;
}

/* The region of `store` that could show key, for the reverse map. */
static void visit_store(struct store *store, struct vmem_page *page, page_translation_fn *visit, void *arg)
{
	uint64_t key = page->u.data.key;
	slot_t slot = vmem_index_find(&store->index, key, NULL);
	vmem_vaddr_t va;
	uint64_t length;
	if (slot != slot_of_page(page)) {
		return;
	}
	if (store->owner) {
		struct region *r = vmem_region_find_key(store->owner, key);
		if (r) {
			visit(arg, r, r->span.start + ((key - r->private_key) << VMEM_PAGE_SHIFT));
		}
		return;
	}
	for (struct region *r = store->mappings; r; r = r->map_next) {
		if (shown_part(r, key, key, &va, &length)) {
			visit(arg, r, va);
		}
	}
}

void vmem_page_translations(struct vmem_page *page, page_translation_fn *visit, void *arg)
{
	struct lineage *top = page->u.data.lineage;
	for (struct lineage *node = top; node; node = vmem_lineage_next(node, top)) {
		if (node->store) {
			visit_store(node->store, page, visit, arg);
		}
	}
}
