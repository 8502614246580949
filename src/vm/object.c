/* SPDX-License-Identifier: MIT */
/*
 * object.c - objects: counted views of stores. The interface and its errors are in include/vmem/object.h,
 * stores in store.h.
 *
 * O1 A view shows keys [key, key + pages) of its store as offsets [0, pages).
 * O2 A resizable object is the only view of its store, so shrinking it may forget what lies past its end.
 * O3 A page past the end of every view of a store does not exist: growing again reads zeroes.
 *
 * Locks: each call takes the store's for what it does to content, and asks under it where the end is: one
 * that was asked before may have moved, and what is put behind it would show when the object grows (O3).
 * Faults read `pages` without the lock (L7). The count of references is atomic.
 */
#include "frame.h"
#include "panic.h"
#include "region.h"
#include "slab.h"

/* The most pages an object may have: keys of all windows of all descendants fit into the index, and its
 * bytes into 64 bits. */
#define OBJECT_PAGES_MAX ((UINT64_C(1) << (INDEX_KEY_BITS - 2)) - 1)

static vmem_status_t size_to_pages(uint64_t size, uint64_t *out_pages)
{
	if (size == 0) {
		return VMEM_ERR_INVALID;
	}
	uint64_t pages = (size >> VMEM_PAGE_SHIFT) + ((size & VMEM_PAGE_MASK) != 0);
	if (pages > OBJECT_PAGES_MAX) {
		return VMEM_ERR_RANGE;
	}
	*out_pages = pages;
	return VMEM_OK;
}

static struct vmem_object *object_alloc(uint64_t key, uint64_t pages, unsigned flags)
{
	struct vmem_object *object = vmem_slab_alloc(SLAB_OBJECT);
	if (object) {
		object->references = 1;
		object->flags = flags;
		shared_store(&object->key, key); /* a fault may still look at what the record was before */
		shared_store(&object->pages, pages);
	}
	return object;
}

vmem_status_t vmem_object_create_anonymous(uint64_t size, unsigned flags, struct vmem_object **out)
{
	uint64_t pages;
	vmem_status_t status = size_to_pages(size, &pages);
	if (status != VMEM_OK) {
		return status;
	}
	if (flags & ~(unsigned)VMEM_OBJECT_RESIZABLE) {
		return VMEM_ERR_INVALID;
	}
	struct vmem_object *object = object_alloc(0, pages, flags);
	if (!object) {
		return VMEM_ERR_NO_MEMORY;
	}
	struct store *store;
	status = vmem_store_create(&store, NULL, NULL);
	if (status != VMEM_OK) {
		vmem_slab_free(SLAB_OBJECT, object);
		return status;
	}
	shared_store_release(&object->store, store);
	*out = object;
	return VMEM_OK;
}

static vmem_status_t create_fixed(
    enum store_kind kind, vmem_paddr_t start, uint64_t pages, vmem_cache_t cache, struct vmem_object **out)
{
	struct vmem_object *object = object_alloc(0, pages, 0);
	if (!object) {
		return VMEM_ERR_NO_MEMORY;
	}
	struct store *store;
	vmem_status_t status = vmem_store_create_fixed(&store, kind, start, pages, cache);
	if (status != VMEM_OK) {
		vmem_slab_free(SLAB_OBJECT, object);
		return status;
	}
	shared_store_release(&object->store, store);
	*out = object;
	return VMEM_OK;
}

vmem_status_t vmem_object_create_contiguous(
    uint64_t size, uint64_t align, vmem_paddr_t limit, vmem_cache_t cache, struct vmem_object **out)
{
	uint64_t pages;
	vmem_paddr_t start;
	vmem_status_t status = size_to_pages(size, &pages);
	if (status != VMEM_OK) {
		return status;
	}
	if ((unsigned)cache >= VMEM_CACHE_COUNT || (align & (align - 1)) != 0) {
		return VMEM_ERR_INVALID;
	}
	status = vmem_frame_take_run(
	    PAGE_DATA, pages, align < VMEM_PAGE_SIZE ? VMEM_PAGE_SIZE : align, limit, &start);
	if (status != VMEM_OK) {
		return status;
	}
	for (uint64_t i = 0; i < pages; i++) {
		vmem_arch_page_clear(phys_to_virt(start + (i << VMEM_PAGE_SHIFT)));
		pause_after(600);
	}
	status = create_fixed(STORE_CONTIGUOUS, start, pages, cache, out);
	if (status != VMEM_OK) {
		for (uint64_t i = 0; i < pages; i++) {
			vmem_frame_give(pa_to_page(start) + i);
		}
	}
	return status;
}

/*
 * RAM of ours in the range must be the host's own: never a table, a record or another object's page. And it
 * must be all of the range: what is one attribute's lies in the direct map as a whole or not at all.
 */
static bool ram_is_hosts(vmem_paddr_t start, uint64_t pages)
{
	uint64_t first = start >> VMEM_PAGE_SHIFT;
	for (unsigned i = 0; i < vmem_page_ranges.count; i++) {
		const struct page_range *r = &vmem_page_ranges.range[i];
		if (first >= r->first_pfn + r->count || first + pages <= r->first_pfn) {
			continue;
		}
		if (first < r->first_pfn || first + pages > r->first_pfn + r->count) {
			return false;
		}
		for (uint64_t pfn = first; pfn < first + pages; pfn++) {
			if (shared_load(&r->pages[pfn - r->first_pfn].kind) != PAGE_USED) {
				return false;
			}
		}
	}
	return true;
}

vmem_status_t vmem_object_create_physical(
    vmem_paddr_t start, uint64_t size, vmem_cache_t cache, struct vmem_object **out)
{
	uint64_t limit = UINT64_C(1) << vmem_mmu.pa_bits;
	if (!vmem_page_aligned(start) || !vmem_page_aligned(size) || size == 0 ||
	    (unsigned)cache >= VMEM_CACHE_COUNT) {
		return VMEM_ERR_INVALID;
	}
	if (start >= limit || size > limit - start) {
		return VMEM_ERR_RANGE;
	}
	uint64_t pages = size >> VMEM_PAGE_SHIFT;
	if (!ram_is_hosts(start, pages)) {
		return VMEM_ERR_CONFLICT;
	}
	return create_fixed(STORE_PHYSICAL, start, pages, cache, out);
}

void vmem_object_hold(struct vmem_object *object)
{
	(void)shared_add(&object->references, 1u);
}

void vmem_object_release(struct vmem_object *object)
{
	if (shared_subtract(&object->references, 1u) == 1) {
		vmem_store_release(object->store);
		vmem_slab_free(SLAB_OBJECT, object);
		vmem_slab_settle();
	}
}

uint64_t vmem_object_size(const struct vmem_object *object)
{
	return shared_load(&object->pages) << VMEM_PAGE_SHIFT;
}

vmem_status_t vmem_object_resize(struct vmem_object *object, uint64_t size)
{
	struct store *store = object->store;
	uint64_t pages = 0;
	vmem_status_t status = size > 0 ? size_to_pages(size, &pages) : VMEM_OK;
	if (status != VMEM_OK) {
		return status;
	}
	if (!(object->flags & VMEM_OBJECT_RESIZABLE)) {
		return VMEM_ERR_UNSUPPORTED;
	}
	store_lock(store);
	uint64_t first = object->key + pages, last = object->key + object->pages - 1;
	bool shrinks = pages < object->pages;
	shared_store(&object->pages, pages);
	if (shrinks) { /* no new fault past the end, no translation past it, then no content past it */
		vmem_store_set_busy(store, first, last);
		vmem_store_zap(store, first, last);
		vmem_store_forget_copies(store, first, last);
		vmem_store_forget(store, first, last);
		vmem_store_clear_busy(store);
	}
	store_unlock(store);
	return VMEM_OK;
}

/* Checks a byte range against the object: OK for an empty one inside it. */
static vmem_status_t check_range(const struct vmem_object *object, uint64_t offset, uint64_t length)
{
	uint64_t size = vmem_object_size(object);
	return offset <= size && length <= size - offset ? VMEM_OK : VMEM_ERR_RANGE;
}

static vmem_status_t check_pages(const struct vmem_object *object, uint64_t offset, uint64_t length)
{
	if (!vmem_page_aligned(offset) || !vmem_page_aligned(length) || length == 0) {
		return VMEM_ERR_INVALID;
	}
	return check_range(object, offset, length);
}

vmem_status_t vmem_object_snapshot(
    struct vmem_object *object, uint64_t offset, uint64_t size, struct vmem_object **out)
{
	uint64_t first = offset >> VMEM_PAGE_SHIFT, pages;
	if (!vmem_page_aligned(offset)) {
		return VMEM_ERR_INVALID;
	}
	vmem_status_t status = size_to_pages(size, &pages);
	if (status != VMEM_OK) {
		return status;
	}
	if (first > OBJECT_PAGES_MAX - pages || object->key + first > INDEX_KEY_LAST - pages) {
		return VMEM_ERR_RANGE;
	}
	if (object->store->kind != STORE_ANONYMOUS) {
		return VMEM_ERR_UNSUPPORTED;
	}
	struct vmem_object *child = object_alloc(object->key + first, pages, 0);
	if (!child) {
		return VMEM_ERR_NO_MEMORY;
	}
	/* A slice shows less than its store; past the end of what may grow meanwhile is nothing (O3). */
	uint64_t held = object->flags & VMEM_OBJECT_RESIZABLE ? UINT64_MAX : object->pages;
	uint64_t shown = first < held ? held - first : 0;
	struct store *store;
	shown = shown < pages ? shown : pages;
	if (shown == 0) {
		status = vmem_store_create(&store, NULL, NULL);
	} else {
		status = vmem_store_snapshot(object->store, child->key, child->key + shown - 1, &store);
	}
	if (status != VMEM_OK) {
		vmem_slab_free(SLAB_OBJECT, child);
		return status;
	}
	shared_store_release(&child->store, store);
	*out = child;
	return VMEM_OK;
}

vmem_status_t vmem_object_slice(
    struct vmem_object *object, uint64_t offset, uint64_t size, struct vmem_object **out)
{
	vmem_status_t status = check_pages(object, offset, size);
	if (status != VMEM_OK) {
		return status;
	}
	if (object->flags & VMEM_OBJECT_RESIZABLE) {
		return VMEM_ERR_UNSUPPORTED;
	}
	struct vmem_object *view =
	    object_alloc(object->key + (offset >> VMEM_PAGE_SHIFT), size >> VMEM_PAGE_SHIFT, 0);
	if (!view) {
		return VMEM_ERR_NO_MEMORY;
	}
	vmem_store_hold(object->store);
	shared_store_release(&view->store, object->store);
	*out = view;
	return VMEM_OK;
}

vmem_status_t vmem_object_commit(struct vmem_object *object, uint64_t offset, uint64_t length)
{
	store_lock(object->store);
	vmem_status_t status = check_pages(object, offset, length);
	if (status == VMEM_OK && object->store->kind == STORE_ANONYMOUS) {
		uint64_t first = object->key + (offset >> VMEM_PAGE_SHIFT);
		status = vmem_store_own_range(object->store, first, first + (length >> VMEM_PAGE_SHIFT) - 1);
	}
	store_unlock(object->store);
	return status;
}

/* Content of whole pages goes: translations first. */
static void forget(const struct vmem_object *object, uint64_t offset, uint64_t length)
{
	struct store *store = object->store;
	uint64_t first = object->key + (offset >> VMEM_PAGE_SHIFT);
	uint64_t last = first + (length >> VMEM_PAGE_SHIFT) - 1;
	vmem_store_set_busy(store, first, last);
	vmem_store_zap(store, first, last);
	vmem_store_forget(store, first, last);
	vmem_store_clear_busy(store);
}

vmem_status_t vmem_object_decommit(struct vmem_object *object, uint64_t offset, uint64_t length)
{
	store_lock(object->store);
	vmem_status_t status = check_pages(object, offset, length);
	if (status == VMEM_OK && object->store->kind != STORE_ANONYMOUS) {
		status = VMEM_ERR_UNSUPPORTED;
	}
	if (status == VMEM_OK) {
		forget(object, offset, length);
	}
	store_unlock(object->store);
	return status;
}

vmem_status_t vmem_object_punch(struct vmem_object *object, uint64_t offset, uint64_t length)
{
	store_lock(object->store);
	uint64_t size = vmem_object_size(object), left = offset < size ? size - offset : 0;
	vmem_status_t status = object->store->kind == STORE_ANONYMOUS ? VMEM_OK : VMEM_ERR_UNSUPPORTED;
	if (status == VMEM_OK && left > 0) {
		forget(object, offset, length < left ? length : left);
	}
	store_unlock(object->store);
	return status;
}

/* The bytes of a page that holds content at key, for the kernel to read or change; NULL where the key reads
 * as zeroes. */
static uint8_t *present_bytes(const struct store *store, uint64_t key)
{
	if (store->kind == STORE_CONTIGUOUS) {
		return phys_to_virt(store->physical + (key << VMEM_PAGE_SHIFT));
	}
	slot_t slot = vmem_index_find(&store->index, key, NULL);
	return slot_kind(slot) == SLOT_PAGE ? page_to_virt(slot_page(slot)) : NULL;
}

static uint8_t *own_bytes(struct store *store, uint64_t key)
{
	if (store->kind == STORE_CONTIGUOUS) {
		return present_bytes(store, key);
	}
	struct vmem_page *page = vmem_store_own_page(store, key);
	if (!page) {
		return NULL;
	}
	page_unmark(page, PAGE_F_EXEC_SYNCED);
	return page_to_virt(page);
}

/* True if the kernel can reach the content through the direct map. */
static bool reachable(const struct store *store)
{
	return store->kind == STORE_ANONYMOUS || (store->kind == STORE_CONTIGUOUS && !store->odd_cache);
}

/* One piece of a byte range: how much of it lies in the page at *offset. */
static size_t piece(uint64_t offset, size_t length)
{
	uint64_t room = VMEM_PAGE_SIZE - (offset & VMEM_PAGE_MASK);
	return length < room ? length : (size_t)room;
}

/* Copies a piece that lies in one page: out of the object into `to`, or, if that is NULL, `from` into it. */
static vmem_status_t copy_piece(
    const struct vmem_object *object, uint64_t offset, uint8_t *to, const uint8_t *from, size_t length)
{
	uint64_t key = object->key + (offset >> VMEM_PAGE_SHIFT);
	uint8_t *bytes = to ? present_bytes(object->store, key) : own_bytes(object->store, key);
	if (to && bytes) {
		__builtin_memcpy(to, bytes + (offset & VMEM_PAGE_MASK), length);
	} else if (to) {
		__builtin_memset(to, 0, length);
	} else if (bytes) {
		__builtin_memcpy(bytes + (offset & VMEM_PAGE_MASK), from, length);
	} else {
		return VMEM_ERR_NO_MEMORY;
	}
	return VMEM_OK;
}

/* Page by page; before each the end is where the rest of the range must lie before. */
static vmem_status_t copy_bytes(struct vmem_object *object, uint64_t offset, uint8_t *to, const uint8_t *from,
    size_t length, size_t *out_done)
{
	vmem_status_t status;
	size_t done = 0;
	do {
		size_t n = piece(offset + done, length - done);
		store_lock(object->store);
		status = check_range(object, offset + done, length - done);
		if (status == VMEM_OK && !reachable(object->store)) {
			status = VMEM_ERR_UNSUPPORTED;
		}
		if (status == VMEM_OK && n > 0) {
			status = copy_piece(object, offset + done, to ? to + done : NULL, from + done, n);
		}
		store_unlock(object->store);
		done += status == VMEM_OK ? n : 0;
	} while (status == VMEM_OK && done < length);
	if (out_done) {
		*out_done = done;
	}
	return status;
}

vmem_status_t vmem_object_read(
    struct vmem_object *object, uint64_t offset, void *buffer, size_t length, size_t *out_done)
{
	return copy_bytes(object, offset, buffer, buffer, length, out_done);
}

vmem_status_t vmem_object_write(
    struct vmem_object *object, uint64_t offset, const void *buffer, size_t length, size_t *out_done)
{
	return copy_bytes(object, offset, NULL, buffer, length, out_done);
}

/* A page that vmem_object_zero() clears in part: bytes [from, to) of key. */
struct edge {
	uint64_t key, from, to;
};

static unsigned partial_pages(
    const struct vmem_object *object, uint64_t offset, uint64_t length, struct edge edge[2])
{
	uint64_t last = offset + length - 1;
	uint64_t first_key = object->key + (offset >> VMEM_PAGE_SHIFT),
		 last_key = object->key + (last >> VMEM_PAGE_SHIFT);
	uint64_t from = offset & VMEM_PAGE_MASK, to = (last & VMEM_PAGE_MASK) + 1;
	unsigned count = 0;
	if (first_key == last_key) {
		edge[0] = (struct edge){first_key, from, to};
		return from != 0 || to != VMEM_PAGE_SIZE;
	}
	if (from != 0) {
		edge[count++] = (struct edge){first_key, from, VMEM_PAGE_SIZE};
	}
	if (to != VMEM_PAGE_SIZE) {
		edge[count++] = (struct edge){last_key, 0, to};
	}
	return count;
}

/* Leaves those of the edges where there is something to clear. */
static unsigned present_edges(const struct store *store, struct edge edge[2], unsigned count)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < count; i++) {
		if (present_bytes(store, edge[i].key)) {
			edge[kept++] = edge[i];
		}
	}
	return kept;
}

vmem_status_t vmem_object_zero(struct vmem_object *object, uint64_t offset, uint64_t length)
{
	struct store *store = object->store;
	struct edge edge[2];
	vmem_status_t status = check_range(object, offset, length);
	if (status != VMEM_OK || length == 0) {
		return status;
	}
	if (!reachable(store)) {
		return VMEM_ERR_UNSUPPORTED;
	}
	if (store->kind == STORE_CONTIGUOUS) {
		__builtin_memset(present_bytes(store, object->key) + offset, 0, (size_t)length);
		return VMEM_OK;
	}
	store_lock(store);
	/* An end that has moved here meanwhile took along what this would clear: no frame is taken (O3). */
	unsigned edges = present_edges(store, edge, partial_pages(object, offset, length, edge));
	status = edges > 0 ? vmem_store_own_two(store, edge[0].key, edge[edges - 1].key) : VMEM_OK;
	for (unsigned i = 0; status == VMEM_OK && i < edges; i++) {
		__builtin_memset(
		    own_bytes(store, edge[i].key) + edge[i].from, 0, (size_t)(edge[i].to - edge[i].from));
	}
	uint64_t first = vmem_page_ceil(offset), end = vmem_page_floor(offset + length);
	if (status == VMEM_OK && first < end) {
		forget(object, first, end - first);
	}
	store_unlock(store);
	return status;
}

void vmem_object_info(const struct vmem_object *object, struct vmem_object_info *out)
{
	struct store *store = object->store;
	store_lock(store);
	*out = (struct vmem_object_info){
	    .size = vmem_object_size(object),
	    .mappings = store->mapping_count,
	    .references = shared_load(&object->references),
	    .flags = object->flags,
	    .cache = (vmem_cache_t)store->cache,
	};
	if (store->kind != STORE_ANONYMOUS) {
		out->resident = object->pages;
	}
	for (const struct region *r = store->mappings; r; r = r->map_next) {
		out->writable += region_shared(r) && (r->maximum & VMEM_WRITE);
		pause_after(12);
	}
	slot_t slot;
	bool exclusive;
	uint64_t last = object->key + object->pages - 1;
	for (uint64_t key = object->key; store->kind == STORE_ANONYMOUS && object->pages > 0 && key <= last &&
					 vmem_index_next(&store->index, &key, last, &slot, &exclusive);
	     key++) {
		if (slot_kind(slot) == SLOT_PAGE) {
			out->resident++;
			out->shared += !exclusive || shared_load(&slot_page(slot)->refs) > 1;
		}
		pause_after(60);
	}
	store_unlock(store);
}

vmem_status_t vmem_object_frame(const struct vmem_object *object, uint64_t offset, vmem_paddr_t *out_frame)
{
	struct store *store = object->store;
	uint64_t key = object->key + (offset >> VMEM_PAGE_SHIFT);
	store_lock(store);
	vmem_status_t status = offset < vmem_object_size(object) ? VMEM_OK : VMEM_ERR_RANGE;
	if (status == VMEM_OK && store->kind != STORE_ANONYMOUS) {
		*out_frame = store->physical + (key << VMEM_PAGE_SHIFT);
	} else if (status == VMEM_OK) {
		slot_t slot = vmem_index_find(&store->index, key, NULL);
		if (slot_kind(slot) == SLOT_PAGE) {
			*out_frame = page_to_pa(slot_page(slot));
		} else {
			status = VMEM_ERR_NOT_FOUND;
		}
	}
	store_unlock(store);
	return status;
}
