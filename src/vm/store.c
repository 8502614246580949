/* SPDX-License-Identifier: MIT */
/*
 * store.c - stores of pages: filling, copying on write, snapshots, removal. Idea and invariants L1 to L6 are
 * and locks are in store.h.
 */
#include "store.h"

#include "frame.h"
#include "lineage.h"
#include "panic.h"
#include "commit_i.h"
#include "slab.h"

/* The anonymous ones, which the lock's byte keeps, and those of fixed frames, which vmem_fixed_lock keeps. */
static struct {
	struct store *anonymous, *fixed;
	struct vmem_mutex lock; /* its byte alone: a spin lock */
} __attribute__((aligned(64))) all;
struct vmem_lone_mutex vmem_fixed_lock;

void vmem_stores_init(void)
{
	all.anonymous = NULL;
	all.fixed = NULL;
	all.lock.held = 0;
	vmem_fixed_lock = (struct vmem_lone_mutex){0};
	vmem_lineages_init();
}

struct store *vmem_store_first(void)
{
	return all.anonymous ? all.anonymous : all.fixed;
}

struct store *vmem_store_next(const struct store *store)
{
	return store->all_next || store->kind != STORE_ANONYMOUS ? store->all_next : all.fixed;
}

struct store *vmem_store_first_fixed(void)
{
	return all.fixed;
}

static void list_push(struct store **list, struct store *store)
{
	store->all_next = *list;
	store->all_pprev = list;
	if (*list) {
		(*list)->all_pprev = &store->all_next;
	}
	*list = store;
}

static void list_remove(struct store *store)
{
	*store->all_pprev = store->all_next;
	if (store->all_next) {
		store->all_next->all_pprev = store->all_pprev;
	}
}

/* The record may have a reader left who knows what it was before: the sequence goes on, so that whatever he
 * found does not count, and his lock, if he holds it, stays his. */
static struct store *store_alloc(enum store_kind kind, struct vmem_aspace *owner)
{
	struct store *store = vmem_slab_alloc(SLAB_STORE);
	if (!store) {
		return NULL;
	}
	shared_store(&store->index.root, NULL);
	index_bump(&store->index);
	store->index.claimed = 0;
	shared_store(&store->busy_count, 0);
	store->lineage = NULL;
	store->owner = owner;
	store->mappings = NULL;
	store->mapping_count = 0;
	store->references = 1;
	shared_store(&store->physical, 0);
	store->pages = 0;
	store->promised = 0;
	shared_store(&store->kind, (uint8_t)kind);
	shared_store(&store->cache, (uint8_t)VMEM_WRITE_BACK);
	store->odd_cache = false;
	return store;
}

static vmem_status_t create_anonymous(struct store **out, struct lineage *parent, struct vmem_aspace *owner)
{
	struct store *store = store_alloc(STORE_ANONYMOUS, owner);
	if (!store) {
		return VMEM_ERR_NO_MEMORY;
	}
	store->lineage = vmem_lineage_create(parent, store);
	if (!store->lineage) {
		vmem_slab_free(SLAB_STORE, store);
		return VMEM_ERR_NO_MEMORY;
	}
	spin_take(&all.lock.held, LOCK_LIST);
	list_push(&all.anonymous, store);
	spin_give(&all.lock.held, LOCK_LIST);
	*out = store;
	return VMEM_OK;
}

vmem_status_t vmem_store_create(struct store **out, struct vmem_aspace *owner, const struct store *elder)
{
	return create_anonymous(out, elder ? elder->lineage : NULL, owner);
}

/* True if a live store gives a frame of [start, start + pages) another attribute. */
static bool attribute_conflict(vmem_paddr_t start, uint64_t pages, vmem_cache_t cache)
{
	for (const struct store *s = all.fixed; s; s = s->all_next) {
		if (s->cache != cache && start < s->physical + (s->pages << VMEM_PAGE_SHIFT) &&
		    s->physical < start + (pages << VMEM_PAGE_SHIFT)) {
			return true;
		}
	}
	return false;
}

vmem_status_t vmem_store_create_fixed(
    struct store **out, enum store_kind kind, vmem_paddr_t start, uint64_t pages, vmem_cache_t cache)
{
	struct store *store = store_alloc(kind, NULL);
	if (!store) {
		return VMEM_ERR_NO_MEMORY;
	}
	mutex_take(&vmem_fixed_lock.mutex, LOCK_FIXED);
	vmem_status_t status = attribute_conflict(start, pages, cache)
				   ? VMEM_ERR_CONFLICT
				   : vmem_direct_map_set(start, pages, cache);
	if (status == VMEM_OK) {
		shared_store(&store->physical, start);
		store->pages = pages;
		shared_store(&store->cache, (uint8_t)cache);
		store->odd_cache = cache != VMEM_WRITE_BACK;
		list_push(&all.fixed, store);
	}
	mutex_give(&vmem_fixed_lock.mutex, LOCK_FIXED);
	if (status != VMEM_OK) {
		vmem_slab_free(SLAB_STORE, store);
		return status;
	}
	*out = store;
	return VMEM_OK;
}

void vmem_store_hold(struct store *store)
{
	(void)shared_add(&store->references, 1u);
}

static void release_fixed(struct store *store)
{
	mutex_take(&vmem_fixed_lock.mutex, LOCK_FIXED);
	list_remove(store);
	if (store->odd_cache) {
		(void)vmem_direct_map_set(store->physical, store->pages, VMEM_WRITE_BACK);
	}
	mutex_give(&vmem_fixed_lock.mutex, LOCK_FIXED);
	if (store->kind == STORE_CONTIGUOUS) {
		struct vmem_page *page = pa_to_page(store->physical);
		for (uint64_t i = 0; i < store->pages; i++) {
			vmem_frame_give(page + i);
			pause_after(100);
		}
	}
}

void vmem_store_release(struct store *store)
{
	if (shared_subtract(&store->references, 1u) > 1) {
		return;
	}
	VMEM_ASSERT(store->mappings == NULL);
	if (store->promised) {
		vmem_commit_give(store->promised);
	}
	if (store->kind == STORE_ANONYMOUS) {
		store_lock(store); /* a relative may be taking over pages (lineage.c) */
		vmem_index_remove(&store->index, 0, INDEX_KEY_LAST, vmem_index_drop, NULL);
		store_unlock(store);
		vmem_lineage_leave(store->lineage);
		spin_take(&all.lock.held, LOCK_LIST);
		list_remove(store);
		spin_give(&all.lock.held, LOCK_LIST);
	} else {
		release_fixed(store);
	}
	index_bump(&store->index);
	vmem_slab_free(SLAB_STORE, store);
}

void vmem_store_set_busy(struct store *store, uint64_t first, uint64_t last)
{
	shared_store(&store->busy_first, first);
	shared_store(&store->busy_count, last - first + 1);
	index_bump(&store->index); /* (L7) */
	order_writes();
}

void vmem_store_clear_busy(struct store *store)
{
	shared_store_release(&store->busy_count, 0);
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
 * flush cost less than a look-up of every region; an entry of a shared mapping is raised again by a fault.
 */
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
		pause_after(40);
	}
}

void vmem_store_zap(struct store *store, uint64_t first, uint64_t last)
{
	VMEM_ASSERT(!store->owner);
	restrict_keys(store, first, last, 0);
}

/* Nobody changes the region, so a fault may be entering a copy that it knows: as for content, keys are busy
 * before the last translation goes (L7). */
static void forget_copies(struct region *region, vmem_vaddr_t va, uint64_t length)
{
	struct store *store = region->aspace->private_store;
	uint64_t key = region_private_key(region, va), last = key + (length >> VMEM_PAGE_SHIFT) - 1;
	struct vmem_batch batch;
	store_lock(store);
	if (vmem_index_any(&store->index, key, last)) {
		vmem_store_set_busy(store, key, last);
		vmem_batch_begin(&batch, &region->aspace->pmap);
		vmem_pmap_restrict(&region->aspace->pmap, va, length, 0, &batch);
		vmem_batch_end(&batch);
		vmem_region_discard_locked(region, va, length);
		vmem_store_clear_busy(store);
	}
	store_unlock(store);
}

void vmem_store_forget_copies(struct store *store, uint64_t first, uint64_t last)
{
	vmem_vaddr_t va;
	uint64_t length;
	for (struct region *r = store->mappings; r; r = r->map_next) {
		if (region_uses_keys(r) && shown_part(r, first, last, &va, &length)) {
			forget_copies(r, va, length);
		}
		pause_after(100);
	}
}

vmem_status_t vmem_store_snapshot(struct store *from, uint64_t first, uint64_t last, struct store **out)
{
	struct store *to;
	vmem_status_t status = create_anonymous(&to, from->lineage, NULL);
	if (status != VMEM_OK) {
		return status;
	}
	store_lock(from);
	if (!vmem_index_promise(&from->index)) {
		store_unlock(from);
		vmem_store_release(to);
		return VMEM_ERR_NO_MEMORY;
	}
	/* From here on nothing of it is exclusive to either (contract 3.1). A fault that would copy waits
	 * for the lock, so it reads no source that a CPU may still write to (contract 3.2). */
	vmem_index_snapshot(&to->index, &from->index);
	if (from->owner) {
		restrict_space(from->owner, VMEM_READ | VMEM_EXEC);
	} else {
		restrict_keys(from, first, last, VMEM_READ | VMEM_EXEC);
	}
	store_unlock(from);
	store_lock(to);
	if (first > 0) {
		vmem_store_forget(to, 0, first - 1);
	}
	vmem_store_forget(to, last + 1, INDEX_KEY_LAST);
	store_unlock(to);
	*out = to;
	return VMEM_OK;
}

/* Puts a page of its own at key, where `slot` is, from `fresh`, a frame that was taken for it; a path is
 * reserved. False: a fault has filled the empty slot meanwhile, and that page will do. */
static bool replace_slot(struct store *store, uint64_t key, slot_t slot, struct vmem_page *fresh)
{
	const bool copies = slot_kind(slot) == SLOT_PAGE;
	if (copies) {
		vmem_store_set_busy(store, key, key);
		vmem_store_zap(store, key, key); /* before the copy reads the source (L5) */
		vmem_arch_page_copy(page_to_virt(fresh), page_to_virt(slot_page(slot)));
	} else {
		vmem_arch_page_clear(page_to_virt(fresh));
	}
	struct index_node *leaf = vmem_index_leaf(&store->index, key);
	spin_take(&leaf->lock, LOCK_NODE);
	bool replaced = index_replace(leaf, key, slot, slot_of_page(fresh));
	spin_give(&leaf->lock, LOCK_NODE);
	if (copies) {
		index_bump(&store->index);
		vmem_store_clear_busy(store);
	}
	if (replaced) {
		vmem_slot_drop(slot);
	}
	return replaced;
}

/* The page at key if it is the store's own; else NULL, and what is there. */
static struct vmem_page *own_slot(const struct store *store, uint64_t key, slot_t *out_slot)
{
	struct index_cursor cursor;
	*out_slot = vmem_index_find(&store->index, key, &cursor);
	bool own = slot_kind(*out_slot) == SLOT_PAGE && index_exclusive(&cursor, *out_slot);
	return own ? slot_page(*out_slot) : NULL;
}

struct vmem_page *vmem_store_own_page(struct store *store, uint64_t key)
{
	slot_t slot;
	struct vmem_page *page = own_slot(store, key, &slot), *fresh;
	if (page) {
		return page;
	}
	fresh = vmem_index_reserve(&store->index, 1) ? vmem_store_new_page(store, key) : NULL;
	if (!fresh || replace_slot(store, key, slot, fresh)) {
		return fresh;
	}
	vmem_frame_give(fresh);
	return own_slot(store, key, &slot);
}

vmem_status_t vmem_store_own_two(struct store *store, uint64_t low, uint64_t high)
{
	slot_t slot;
	bool need[2] = {!own_slot(store, low, &slot), low != high && !own_slot(store, high, &slot)};
	struct vmem_page *fresh[2] = {NULL, NULL};
	if (!need[0] && !need[1]) {
		return VMEM_OK;
	}
	if (!vmem_index_reserve(&store->index, 2)) {
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
		uint64_t key = i == 0 ? low : high;
		if (fresh[i] && (own_slot(store, key, &slot) || !replace_slot(store, key, slot, fresh[i]))) {
			vmem_frame_give(fresh[i]);
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
		missing -= slot_kind(slot) == SLOT_PAGE && exclusive &&
			   shared_load_acquire(&slot_page(slot)->refs) == 1;
		pause_after(60);
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
		pause_after(100);
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
	if (nodes > UINT32_MAX || !vmem_index_claim(&store->index, (unsigned)nodes, false)) {
		return VMEM_ERR_NO_MEMORY;
	}
	for (uint64_t i = 0; i < missing;
	     i++) { /* all frames before the first change; chained through their lineage field */
		struct vmem_page *page = vmem_frame_take(PAGE_DATA);
		if (!page) {
			give_chain(chain);
			return VMEM_ERR_NO_MEMORY;
		}
		pause_after(100);
		shared_store(&page->u.data.lineage, (struct lineage *)(void *)chain);
		chain = page;
	}
	for (uint64_t key = first; chain && key <= last; key++) {
		slot_t slot;
		if (own_slot(store, key, &slot)) {
			continue;
		}
		struct vmem_page *fresh = chain;
		chain = (struct vmem_page *)(void *)fresh->u.data.lineage;
		shared_store(&fresh->u.data.lineage, store->lineage);
		shared_store(&fresh->u.data.key, key);
		if (!replace_slot(store, key, slot, fresh)) {
			vmem_frame_give(fresh);
		}
		pause_after(1000);
	}
	give_chain(chain); /* faults have filled some */
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
