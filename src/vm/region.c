/* SPDX-License-Identifier: MIT */
/*
 * region.c - region records: finding, splitting, merging, and the list of regions that show a store (L3).
 * Invariants R1 to R5 and locks are in region.h.
 */
#include "commit_i.h"

#include "panic.h"
#include "slab.h"

struct region *vmem_region_find(struct vmem_aspace *aspace, vmem_vaddr_t va)
{
	struct span *span = vmem_span_find(&aspace->root.tree, va);
	while (span && span->kind == SPAN_VMAR) {
		span = vmem_span_find(&vmar_of(span)->tree, va);
	}
	return span ? region_of(span) : NULL;
}

struct region *vmem_region_find_shared(const struct vmem_aspace *aspace, vmem_vaddr_t va)
{
	struct span *span = vmem_span_find_shared(&aspace->root.tree, va);
	for (unsigned steps = 0; span && shared_load(&span->kind) == SPAN_VMAR; steps++) {
		span = steps < SPAN_STEPS_MAX ? vmem_span_find_shared(&vmar_of(span)->tree, va) : NULL;
	}
	return span ? region_of(span) : NULL;
}

struct region *vmem_region_find_from(struct vmem_aspace *aspace, vmem_vaddr_t va)
{
	struct vmem_vmar *vmar = &aspace->root;
	struct span *span = vmem_span_find_from(&vmar->tree, va);
	for (;;) { /* into child VMARs, and back up at their end, in address order */
		if (!span) {
			if (!vmar->parent) {
				return NULL;
			}
			span = vmar->span.next;
			vmar = vmar->parent;
		} else if (span->kind == SPAN_VMAR) {
			vmar = vmar_of(span);
			span = vmem_span_find_from(&vmar->tree, va);
		} else {
			return region_of(span);
		}
	}
}

static bool has_key(const struct region *region, uint64_t key)
{
	return region_uses_keys(region) &&
	       key - region->private_key < region->span.length >> VMEM_PAGE_SHIFT;
}

struct region *vmem_region_find_key(struct vmem_aspace *aspace, uint64_t key)
{
	struct region *r =
	    vmem_region_find(aspace, key << VMEM_PAGE_SHIFT); /* by default the key is the address (R2) */
	if (r && has_key(r, key)) {
		return r;
	}
	for (r = aspace->moved; r; r = r->moved_next) {
		if (has_key(r, key)) {
			return r;
		}
	}
	return NULL;
}

struct region *vmem_region_alloc(struct vmem_aspace *aspace)
{
	struct region *region = vmem_slab_alloc(SLAB_REGION);
	if (region) { /* a fault may still look at what the record was before: whole stores, and R4 */
		shared_store(&region->span.generation, region->span.generation | 1);
		order_writes();
		shared_store(&region->span.start, 0);
		shared_store(&region->span.length, 0);
		shared_store(&region->span.kind, (uint8_t)SPAN_REGION);
		region->span.pad_before = region->span.pad_after = 0;
		shared_store(&region->aspace, aspace);
		shared_store(&region->object, NULL);
		shared_store(&region->offset, 0);
		shared_store(&region->private_key, 0);
		region->map_next = NULL;
		region->map_pprev = NULL;
		region->moved_next = NULL;
		region->moved_pprev = NULL;
		shared_store(&region->permission, 0);
		region->maximum = 0;
		shared_store(&region->flags, 0);
		shared_store(&region->attributes, 0);
		region->cookie = 0;
		region->driver[0] = region->driver[1] = 0;
	}
	return region;
}

bool vmem_region_take(struct vmem_aspace *aspace, unsigned count, struct region *record[2])
{
	for (unsigned i = 0; i < count; i++) {
		record[i] = vmem_region_alloc(aspace);
		if (!record[i]) {
			if (i > 0) {
				vmem_region_free(record[0]);
			}
			return false;
		}
	}
	return true;
}

void vmem_region_free(struct region *region)
{
	/* odd, and the next value is one that no fault has seen */
	shared_store(&region->span.generation, (region->span.generation | 1) + 2);
	vmem_slab_free(SLAB_REGION, region);
}

static void region_lock_object(struct region *region)
{
	if (region->object) {
		store_lock(region->object->store);
	}
}

static void region_unlock_object(struct region *region)
{
	if (region->object) {
		store_unlock(region->object->store);
	}
}

/* Both with the store's lock held. */
static void list(struct region *region)
{
	if (region->object) {
		struct store *store = region->object->store;
		region->map_next = store->mappings;
		region->map_pprev = &store->mappings;
		if (region->map_next) {
			region->map_next->map_pprev = &region->map_next;
		}
		store->mappings = region;
		store->mapping_count++;
	}
}

void vmem_region_list_behind(struct region *region, struct region *other)
{
	region_lock_object(region);
	region->map_next = other->map_next;
	region->map_pprev = &other->map_next;
	if (region->map_next) {
		region->map_next->map_pprev = &region->map_next;
	}
	other->map_next = region;
	region->object->store->mapping_count++;
	region_unlock_object(region);
}

static void unlist(struct region *region)
{
	if (region->object) {
		*region->map_pprev = region->map_next;
		if (region->map_next) {
			region->map_next->map_pprev = region->map_pprev;
		}
		region->object->store->mapping_count--;
	}
}

void vmem_region_list(struct region *region)
{
	region_lock_object(region);
	list(region);
	region_unlock_object(region);
}

void vmem_region_unlist(struct region *region)
{
	region_lock_object(region);
	unlist(region);
	region_unlock_object(region);
}

void vmem_region_set_key(struct region *region, uint64_t key)
{
	struct vmem_aspace *aspace = region->aspace;
	bool moved = key != region->span.start >> VMEM_PAGE_SHIFT;
	if (region->moved_pprev) {
		*region->moved_pprev = region->moved_next;
		if (region->moved_next) {
			region->moved_next->moved_pprev = region->moved_pprev;
		}
		region->moved_pprev = NULL;
	}
	shared_store(&region->private_key, key);
	if (moved) {
		region->moved_next = aspace->moved;
		region->moved_pprev = &aspace->moved;
		if (region->moved_next) {
			region->moved_next->moved_pprev = &region->moved_next;
		}
		aspace->moved = region;
	}
}

/* Makes the region's keys follow from its start again after the start has moved up by `pages`. */
static void advance(struct region *region, uint64_t pages)
{
	shared_store(&region->offset, region->offset + (region->object ? pages : 0));
	vmem_region_set_key(region, region->private_key + pages);
}

/* Cuts the region down to [start, start + length), inside what it has now. Its object is locked, and it is
 * being changed. */
static void trim_locked(struct vmem_vmar *vmar, struct region *region, vmem_vaddr_t start, uint64_t length)
{
	struct span *span = &region->span;
	uint64_t up = (start - span->start) >> VMEM_PAGE_SHIFT;
	bool low_end = up == 0, high_end = start + length == span->start + span->length;
	vmem_span_resize(
	    &vmar->tree, span, start, length, low_end ? span->pad_before : 0, high_end ? span->pad_after : 0);
	if (up > 0) {
		advance(region, up);
	}
}

static void trim(struct vmem_vmar *vmar, struct region *region, vmem_vaddr_t start, uint64_t length)
{
	region_lock_object(region);
	region_change(region);
	trim_locked(vmar, region, start, length);
	region_changed(region);
	region_unlock_object(region);
}

void vmem_region_copy(struct region *to, const struct region *from)
{
	shared_store(&to->span.start, from->span.start);
	shared_store(&to->span.length, from->span.length);
	to->span.pad_before = from->span.pad_before;
	to->span.pad_after = from->span.pad_after;
	shared_store(&to->object, from->object);
	shared_store(&to->offset, from->offset);
	shared_store(&to->private_key, from->private_key);
	shared_store(&to->permission, from->permission);
	to->maximum = from->maximum;
	shared_store(&to->flags, from->flags);
	shared_store(&to->attributes, from->attributes);
	to->cookie = from->cookie;
	to->driver[0] = from->driver[0];
	to->driver[1] = from->driver[1];
}

void vmem_region_split(struct vmem_vmar *vmar, struct region *region, vmem_vaddr_t at, struct region *fresh)
{
	uint64_t lower = at - region->span.start;
	bool settled = !(region->span.generation & 1); /* else its translations are being removed (R4) */
	region_lock_object(region);
	region_change(region);
	vmem_region_copy(fresh, region);
	shared_store(&fresh->span.start, at);
	shared_store(&fresh->span.length, region->span.length - lower);
	fresh->span.pad_before = 0;
	trim_locked(vmar, region, region->span.start, lower);
	vmem_span_insert(&vmar->tree, &fresh->span);
	advance(fresh, lower >> VMEM_PAGE_SHIFT);
	if (fresh->object) {
		vmem_object_hold(fresh->object);
		list(fresh);
	}
	if (settled) {
		region_changed(fresh);
		region_changed(region);
	}
	region_unlock_object(region);
	region->aspace->regions++;
}

bool vmem_region_agrees(const struct region *lower, const struct region *upper)
{
	uint64_t pages = lower->span.length >> VMEM_PAGE_SHIFT;
	return lower->span.start + lower->span.length == upper->span.start &&
	       lower->permission == upper->permission && lower->maximum == upper->maximum &&
	       lower->flags == upper->flags && !(lower->flags & VMEM_MAP_NO_MERGE) &&
	       lower->object == upper->object && (!lower->object || lower->offset + pages == upper->offset) &&
	       lower->cookie == upper->cookie &&
	       !((lower->attributes ^ upper->attributes) &
		   ~(uint32_t)(VMEM_REGION_GUARDS | VMEM_REGION_ACCOUNT));
}

bool vmem_region_can_join(const struct region *lower, const struct region *upper)
{
	return lower->private_key + (lower->span.length >> VMEM_PAGE_SHIFT) == upper->private_key &&
	       vmem_region_agrees(lower, upper) &&
	       !((lower->attributes ^ upper->attributes) & VMEM_REGION_ACCOUNT) &&
	       (region_uses_keys(lower) == region_uses_keys(upper) || !lower->aspace->moved); /* (Y1) */
}

/* The lower of two regions that agree takes over the upper one's range; the upper record goes. */
static void join(struct vmem_vmar *vmar, struct region *lower, struct region *upper)
{
	uint64_t length = upper->span.length;
	uint8_t pad_after = upper->span.pad_after;
	struct vmem_object *object = upper->object;
	region_lock_object(lower);
	region_change(lower);
	region_change(upper);
	shared_store(&lower->attributes, lower->attributes | upper->attributes); /* GUARDS alone differs */
	vmem_span_remove(&vmar->tree, &upper->span);
	vmem_span_resize(&vmar->tree, &lower->span, lower->span.start, lower->span.length + length,
	    lower->span.pad_before, pad_after);
	vmem_region_set_key(upper, upper->span.start >> VMEM_PAGE_SHIFT); /* off the list of moved ones */
	unlist(upper);
	region_changed(lower);
	region_unlock_object(lower);
	lower->aspace->regions--;
	vmem_region_free(upper);
	if (object) {
		vmem_object_release(object);
	}
}

struct region *vmem_region_merge(struct vmem_vmar *vmar, struct region *region)
{
	struct span *next = region->span.next, *prev = region->span.prev;
	if (next && next->kind == SPAN_REGION && vmem_region_can_join(region, region_of(next))) {
		join(vmar, region, region_of(next));
	}
	if (prev && prev->kind == SPAN_REGION && vmem_region_can_join(region_of(prev), region)) {
		join(vmar, region_of(prev), region);
		return region_of(prev);
	}
	return region;
}

/* Takes a whole region out of its VMAR: nothing refers to it but the caller. */
static void detach(struct vmem_vmar *vmar, struct region *region)
{
	region_change(region);
	vmem_span_remove(&vmar->tree, &region->span);
	region->aspace->regions--;
}

/* The last steps for [start, start + length) of a region whose translations are gone: its private pages,
 * then its reference. */
void vmem_region_forget_private(struct region *region, vmem_vaddr_t start, uint64_t length)
{
	struct store *store = region->aspace->private_store;
	if (region_uses_keys(region) && (VMEM_SMP || store->index.root)) {
		uint64_t key = region_private_key(region, start);
		store_lock(store); /* before the look: a fault may be adding the first page */
		vmem_store_forget(store, key, key + (length >> VMEM_PAGE_SHIFT) - 1);
		store_unlock(store);
	}
}

bool vmem_region_holds_pages(const struct region *region)
{
	struct store *store = region->aspace->private_store;
	uint64_t last = region->private_key + (region->span.length >> VMEM_PAGE_SHIFT) - 1;
	if (!region_uses_keys(region)) {
		return false;
	}
	store_lock(store);
	bool any = vmem_index_any(&store->index, region->private_key, last);
	store_unlock(store);
	return any;
}

static void dispose(struct region *region)
{
	struct vmem_object *object = region->object;
	vmem_region_unlist(region);
	vmem_region_set_key(region, region->span.start >> VMEM_PAGE_SHIFT);
	vmem_region_free(region);
	if (object) {
		vmem_object_release(object);
	}
}

/* Regions nearer than this go in one walk: to look at absent entries costs less than to walk down again. */
#define WALK_NEAR (UINT64_C(32) << VMEM_PAGE_SHIFT)

/* Takes out the entries of what regions, from this one on, show of [start, end). Elsewhere there are none. */
static void remove_entries(struct vmem_aspace *aspace, const struct span *span, vmem_vaddr_t start,
    vmem_vaddr_t end, struct vmem_batch *batch)
{
	while (span && span->start < end) {
		vmem_vaddr_t low = span->start < start ? start : span->start;
		vmem_vaddr_t high = span->start + span->length;
		for (span = span->next; span && span->start < end && span->start - high <= WALK_NEAR;
		     span = span->next) {
			high = span->start + span->length;
			pause_after(16);
		}
		high = high < end ? high : end;
		vmem_pmap_remove(&aspace->pmap, low, high - low, batch);
	}
}

void vmem_vmar_remove(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, struct region **spare)
{
	struct vmem_aspace *aspace = vmar->aspace;
	vmem_vaddr_t end = start + length;
	struct span *span = vmem_span_find_from(&vmar->tree, start), *next;
	struct vmem_batch batch;
	if (!span || span->start >= end) {
		return;
	}
	for (next = span; VMEM_SMP && next && next->start < end; next = next->next) {
		region_change(region_of(next)); /* (X2) */
		pause_after(16);
	}
	vmem_batch_begin(&batch, &aspace->pmap);
	remove_entries(aspace, span, start, end, &batch);
	vmem_batch_end(&batch); /* from here on no CPU can reach what is dropped below (T2) */
	if (span->start < start && span->start + span->length > end) {
		struct region *upper = *spare;
		vmem_region_split(vmar, region_of(span), end, upper);
		region_changed(upper); /* what lies behind the range has lost nothing */
		*spare = NULL;
	}
	for (; span && span->start < end; span = next) {
		struct region *region = region_of(span);
		vmem_vaddr_t span_end = span->start + span->length;
		vmem_vaddr_t low = span->start < start ? start : span->start,
			     high = span_end > end ? end : span_end;
		next = span->next;
		aspace_discount(aspace, region, high - low);
		vmem_region_forget_private(region, low, high - low);
		if (low == span->start && high == span_end) {
			detach(vmar, region);
			dispose(region);
		} else if (low == span->start) {
			trim(vmar, region, high, span_end - high);
		} else {
			trim(vmar, region, span->start, low - span->start);
		}
		pause_after(800);
	}
}
