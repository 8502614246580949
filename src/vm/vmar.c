/* SPDX-License-Identifier: MIT */
/*
 * vmar.c - layout: map, unmap, protect, child VMARs. The interface and its errors are in
 * include/vmem/aspace.h.
 *
 * Every call has two halves. The first checks everything and takes every record that the second can need; it
 * may fail, and then nothing has changed. The second cannot fail. Who may do what is asked of policy.h.
 *
 * Locks: each call takes the space's, and keeps it until what it removes is flushed everywhere: so no
 * address is given out again before (LOCKING.md).
 */
#include <vmem/fault.h>

#include "panic.h"
#include "commit_i.h"
#include "policy.h"
#include "region.h"
#include "slab.h"

#define KNOWN_FLAGS                                                                                          \
	(VMEM_MAP_SHARED | VMEM_MAP_GUARD | VMEM_MAP_FROM_TOP | VMEM_MAP_RANDOM | VMEM_MAP_LARGE |           \
	    VMEM_MAP_NO_MERGE | VMEM_MAP_POPULATE)
#define REGION_FLAGS (VMEM_MAP_SHARED | VMEM_MAP_GUARD | VMEM_MAP_LARGE | VMEM_MAP_NO_MERGE)

void vmem_vmar_init(struct vmem_vmar *vmar, struct vmem_aspace *aspace, struct vmem_vmar *parent,
    vmem_vaddr_t start, uint64_t length, unsigned rights)
{
	/* a fault may still look at what the record was before: whole stores */
	shared_store(&vmar->span.start, start);
	shared_store(&vmar->span.length, length);
	shared_store(&vmar->span.kind, (uint8_t)SPAN_VMAR);
	vmar->span.pad_before = vmar->span.pad_after = 0;
	vmar->aspace = aspace;
	vmar->parent = parent;
	vmar->rights = rights;
	vmem_span_tree_init(&vmar->tree, start, length);
}

vmem_status_t vmem_vmar_check_range(const struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	if (!vmem_page_aligned(start) || !vmem_page_aligned(length) || length == 0) {
		return VMEM_ERR_INVALID;
	}
	if (start < vmar->tree.base || length > vmar->tree.length ||
	    start - vmar->tree.base > vmar->tree.length - length) {
		return VMEM_ERR_RANGE;
	}
	return VMEM_OK;
}

vmem_status_t vmem_vmar_check_map(const struct vmem_vmar *vmar, const struct vmem_map *map)
{
	bool fixed = map->place == VMEM_PLACE_FIXED || map->place == VMEM_PLACE_REPLACE;
	if (map->flags & ~(unsigned)KNOWN_FLAGS || (unsigned)map->place > VMEM_PLACE_REPLACE ||
	    map->align & (map->align - 1)) {
		return VMEM_ERR_INVALID;
	}
	if (!vmem_page_aligned(map->length) || map->length == 0 || map->attributes & ~MAP_ATTRIBUTES) {
		return VMEM_ERR_INVALID;
	}
	if (fixed) {
		vmem_status_t status = vmem_vmar_check_range(vmar, map->address, map->length);
		if (status != VMEM_OK) {
			return status;
		}
		if ((map->align && map->address & (map->align - 1)) || map->pad_before || map->pad_after) {
			return VMEM_ERR_INVALID;
		}
	} else if (map->place == VMEM_PLACE_HINT && !vmem_page_aligned(map->address)) {
		return VMEM_ERR_INVALID;
	}
	return VMEM_OK;
}

static vmem_status_t check_object(const struct vmem_map *map)
{
	bool shared = map->flags & VMEM_MAP_SHARED;
	if (map->object && map->attributes & (VMEM_REGION_WIPE_ON_FORK | VMEM_REGION_GROWS_DOWN)) {
		return VMEM_ERR_INVALID;
	}
	if (map->flags & (VMEM_MAP_NO_MERGE | VMEM_MAP_GUARD) && map->attributes & VMEM_REGION_GROWS_DOWN) {
		return VMEM_ERR_INVALID;
	}
	if (map->flags & VMEM_MAP_GUARD) {
		return map->object || shared || map->permission || map->maximum ? VMEM_ERR_INVALID : VMEM_OK;
	}
	if (!map->object) {
		return shared || map->offset ? VMEM_ERR_INVALID : VMEM_OK;
	}
	if (!vmem_page_aligned(map->offset) || (!shared && map->object->store->kind != STORE_ANONYMOUS)) {
		return VMEM_ERR_INVALID;
	}
	uint64_t first = map->object->key + (map->offset >> VMEM_PAGE_SHIFT),
		 pages = map->length >> VMEM_PAGE_SHIFT;
	return first > INDEX_KEY_LAST - pages ? VMEM_ERR_RANGE : VMEM_OK;
}

/* Alignment that a placement gets: what was asked for, or a large leaf's where that may pay. */
static uint64_t wanted_align(const struct vmem_map *map)
{
	uint64_t align = map->align > VMEM_PAGE_SIZE ? map->align : VMEM_PAGE_SIZE;
	if ((map->flags & VMEM_MAP_LARGE) && map->length >= arch_level_size(1) &&
	    align < arch_level_size(1)) {
		align = arch_level_size(1);
	}
	return align;
}

/* A place that lies in nobody's gap (grow.c, GD1). A random one is drawn anew; if a few are not enough, the
 * gaps are most of the room, and the lowest place will do. */
static bool place(struct vmem_vmar *vmar, struct place_request *request, vmem_vaddr_t *out)
{
	struct span *next;
	unsigned draws = 0;
	while (vmem_span_place_before(&vmar->tree, request, out, &next)) {
		if (!vmem_region_in_gap(next, *out + request->length)) {
			return true;
		}
		if (request->order == PLACE_HIGHEST) {
			request->limit = vmem_region_gap_start(next);
		} else if (request->order == PLACE_LOWEST) {
			request->minimum = next->start;
		} else if (++draws == 8) {
			request->order = PLACE_LOWEST;
		}
	}
	return false;
}

vmem_status_t vmem_vmar_find_place(struct vmem_vmar *vmar, const struct vmem_map *map, vmem_vaddr_t *out)
{
	uint64_t low = vmar->tree.base, high = vmar->tree.base + vmar->tree.length;
	struct place_request request = {
	    .length = map->length,
	    .align = wanted_align(map),
	    .minimum = map->minimum > low ? map->minimum : low,
	    .limit = map->limit && map->limit < high ? map->limit : high,
	    .pad_before = map->pad_before,
	    .pad_after = map->pad_after,
	    .order = map->flags & VMEM_MAP_RANDOM     ? PLACE_RANDOM
		     : map->flags & VMEM_MAP_FROM_TOP ? PLACE_HIGHEST
						      : PLACE_LOWEST,
	    .entropy_bits = vmar->aspace->entropy_bits,
	    .random_state = &vmar->aspace->random,
	};
	if (map->place == VMEM_PLACE_HINT &&
	    vmem_vmar_check_range(vmar, map->address, map->length) == VMEM_OK &&
	    (map->address & (request.align - 1)) == 0 && map->address >= request.minimum &&
	    map->length <= request.limit && map->address <= request.limit - map->length &&
	    vmem_span_range_free(&vmar->tree, map->address, map->length, map->pad_before, map->pad_after) &&
	    !vmem_region_in_gap(vmem_span_find_from(&vmar->tree, map->address), map->address + map->length)) {
		*out = map->address;
		return VMEM_OK;
	}
	if (map->below != 0 && map->below < request.limit) {
		struct place_request preferred = request;
		preferred.limit = map->below;
		if (place(vmar, &preferred, out)) {
			return VMEM_OK;
		}
	}
	return place(vmar, &request, out) ? VMEM_OK : VMEM_ERR_NO_SPACE;
}

struct cut vmem_vmar_survey(const struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	struct cut cut = {0};
	vmem_vaddr_t end = start + length;
	for (const struct span *s = vmem_span_find_from(&vmar->tree, start); s && s->start < end;
	     s = s->next) {
		vmem_vaddr_t low = s->start < start ? start : s->start;
		vmem_vaddr_t high = s->start + s->length > end ? end : s->start + s->length;
		cut.child |= s->kind == SPAN_VMAR;
		cut.sealed |= s->kind == SPAN_REGION && region_sealed((const struct region *)(const void *)s);
		cut.splits |= s->start < start && s->start + s->length > end;
		cut.regions += s->start >= start && s->start + s->length <= end;
		cut.bytes += high - low;
		pause_after(16);
		cut.promised +=
		    s->kind == SPAN_REGION &&
			    (((const struct region *)(const void *)s)->attributes & VMEM_REGION_ACCOUNT)
			? high - low
			: 0;
	}
	return cut;
}

bool vmem_vmar_within_limits(
    const struct vmem_aspace *aspace, uint64_t bytes, uint64_t fresh, const struct cut *cut)
{
	uint64_t mapped = aspace->mapped - cut->bytes;
	if (bytes != 0 && (mapped > aspace->max_bytes || bytes > aspace->max_bytes - mapped)) {
		return false;
	}
	return aspace->regions - cut->regions + fresh + cut->splits <= aspace->max_regions;
}

static void fill_region(struct region *region, const struct vmem_map *map, vmem_vaddr_t start)
{
	shared_store(&region->span.start, start);
	shared_store(&region->span.length, map->length);
	region->span.pad_before = map->pad_before;
	region->span.pad_after = map->pad_after;
	shared_store(&region->object, map->object);
	shared_store(&region->offset, map->offset >> VMEM_PAGE_SHIFT);
	shared_store(&region->private_key, start >> VMEM_PAGE_SHIFT);
	shared_store(&region->permission, (uint8_t)map->permission);
	region->maximum = (uint8_t)map->maximum;
	shared_store(&region->flags, (uint16_t)(map->flags & REGION_FLAGS));
	shared_store(&region->attributes, map->attributes);
	region->cookie = map->cookie;
}

/* Grows a neighbour that agrees with what is to be mapped, so that no record is needed. */
static bool join_neighbour(struct vmem_vmar *vmar, const struct region *wanted)
{
	struct span *next = vmem_span_find_from(&vmar->tree, wanted->span.start);
	struct span *prev = next ? next->prev : vmar->tree.last;
	struct span *span = NULL;
	if (prev && prev->kind == SPAN_REGION && vmem_region_can_join(region_of(prev), wanted)) {
		span = prev;
	} else if (next && next->kind == SPAN_REGION && vmem_region_can_join(wanted, region_of(next))) {
		span = next;
	}
	if (!span) {
		return false;
	}
	struct region *region = region_of(span);
	bool upward = span == prev;
	struct store *store = region->object ? region->object->store : NULL;
	if (store) {
		store_lock(store);
	}
	region_change(region);
	vmem_span_resize(&vmar->tree, span, upward ? span->start : wanted->span.start,
	    span->length + wanted->span.length, upward ? span->pad_before : 0, upward ? 0 : span->pad_after);
	if (!upward) {
		shared_store(&region->offset, wanted->offset);
		shared_store(&region->private_key, wanted->private_key);
	}
	region_changed(region);
	if (store) {
		store_unlock(store);
	}
	if (upward) {
		vmem_region_merge(vmar, region);
	}
	return true;
}

static void insert_region(
    struct vmem_vmar *vmar, struct region *region, const struct vmem_map *map, const struct region *wanted)
{
	vmem_vaddr_t start = wanted->span.start;
	fill_region(region, map, start);
	shared_store(&region->attributes, wanted->attributes);
	if (__builtin_expect(wanted->private_key != start >> VMEM_PAGE_SHIFT, 0)) {
		vmem_region_set_key(region, wanted->private_key);
	}
	if (map->object) {
		vmem_object_hold(map->object);
	}
	vmem_region_list(region);
	vmem_span_insert(&vmar->tree, &region->span);
	region_changed(region);
	vmar->aspace->regions++;
}

/* True if nothing that a neighbour must have (strips, an exact place) speaks against growing one. */
static bool may_join(const struct vmem_map *map)
{
	return !(map->flags & VMEM_MAP_NO_MERGE) && !map->pad_before && !map->pad_after;
}

/* What a region to be takes of limits and promises, when `cut` goes first. OK: the promise is taken, and the
 * region says so. */
static vmem_status_t take_promise(struct vmem_aspace *aspace, struct region *wanted, const struct cut *cut)
{
	uint64_t length = wanted->span.length;
	if (__builtin_expect(aspace->max_data != UINT64_MAX, 0) && region_is_data(wanted) &&
	    !data_allows(aspace, length - cut->bytes)) {
		return VMEM_ERR_LIMIT;
	}
	if (wanted->attributes & VMEM_REGION_ACCOUNT ||
	    needs_promise(aspace, wanted->flags, wanted->attributes, wanted->permission)) {
		uint64_t more = length - cut->promised;
		if (!vmem_commit_take(aspace, more)) {
			return VMEM_ERR_NO_MEMORY;
		}
		vmem_commit_add(cut->promised); /* which the removal gives back */
		shared_store(&wanted->attributes, wanted->attributes | VMEM_REGION_ACCOUNT);
	}
	return VMEM_OK;
}

/* The record of the new region, and one more if what goes first splits another. */
static vmem_status_t take_two(struct vmem_aspace *aspace, uint64_t length, const struct cut *cut,
    struct region **region, struct region **spare)
{
	if (!vmem_vmar_within_limits(aspace, length, 1, cut)) { /* which has room for the split, too */
		return VMEM_ERR_LIMIT;
	}
	*region = vmem_region_alloc(aspace);
	*spare = *region && cut->splits ? vmem_region_alloc(aspace) : NULL;
	if (*region && (!cut->splits || *spare)) {
		return VMEM_OK;
	}
	if (*region) {
		vmem_region_free(*region);
	}
	return VMEM_ERR_NO_MEMORY;
}

static vmem_status_t map_checked(
    struct vmem_vmar *vmar, const struct vmem_map *map, vmem_vaddr_t start, vmem_vaddr_t *out)
{
	struct vmem_aspace *aspace = vmar->aspace;
	struct cut cut = {0};
	struct region *spare = NULL, *region, wanted = {.aspace = aspace};
	if (map->place == VMEM_PLACE_REPLACE) {
		cut = vmem_vmar_survey(vmar, start, map->length);
	}
	if (cut.child || cut.sealed) {
		return cut.child ? VMEM_ERR_EXISTS : VMEM_ERR_SEALED;
	}
	fill_region(&wanted, map, start);
	if (!policy_allows(aspace, VMEM_OPERATION_MAP, start, map->length, map->permission) ||
	    (cut.bytes > 0 && !policy_allows(aspace, VMEM_OPERATION_UNMAP, start, map->length, 0))) {
		return VMEM_ERR_DENIED;
	}
	if (__builtin_expect(aspace->moved != NULL, 0) && !(map->flags & VMEM_MAP_SHARED)) {
		wanted.private_key = vmem_keys_find(aspace, start, map->length >> VMEM_PAGE_SHIFT);
	}
	if (!vmem_vmar_within_limits(aspace, map->length, 0, &cut)) {
		return VMEM_ERR_LIMIT;
	}
	vmem_status_t status = take_promise(aspace, &wanted, &cut);
	if (status != VMEM_OK) {
		return status;
	}
	if (cut.bytes == 0 && may_join(map) && join_neighbour(vmar, &wanted)) {
		aspace_count(aspace, &wanted, map->length);
		*out = start;
		return VMEM_OK;
	}
	status = take_two(aspace, map->length, &cut, &region, &spare);
	if (status != VMEM_OK) {
		if (wanted.attributes & VMEM_REGION_ACCOUNT) {
			vmem_commit_give(map->length);
		}
		return status;
	}
	if (cut.bytes > 0) {
		vmem_vmar_remove(vmar, start, map->length, &spare);
	}
	insert_region(vmar, region, map, &wanted);
	aspace_count(aspace, &wanted, map->length);
	if (may_join(map)) {
		(void)vmem_region_merge(vmar, region);
	}
	*out = start;
	return VMEM_OK;
}

/* Stops at the first page that cannot be had. */
void vmem_vmar_populate(struct vmem_aspace *aspace, vmem_vaddr_t start, uint64_t length, unsigned permission)
{
	unsigned access = permission & VMEM_WRITE  ? VMEM_WRITE
			  : permission & VMEM_READ ? VMEM_READ
						   : VMEM_EXEC;
	if (permission == 0) {
		return;
	}
	for (uint64_t done = 0; done < length; done += VMEM_PAGE_SIZE) {
		struct vmem_translation t;
		if (vmem_aspace_translate(aspace, start + done, &t)) {
			continue;
		}
		if (vmem_fault_wait(aspace, start + done, access) != VMEM_FAULT_RESOLVED) {
			return;
		}
		pause_after(1500);
	}
}

WITH_OTHERS vmem_status_t map_any(
    struct vmem_vmar *vmar, const struct vmem_map *map, vmem_vaddr_t *out_start)
{
	vmem_vaddr_t start = map->address;
	vmem_status_t status = vmem_vmar_check_map(vmar, map);
	status = status == VMEM_OK ? check_object(map) : status;
	status = status == VMEM_OK ? policy_grants(vmar, map->permission, map->maximum) : status;
	if (status != VMEM_OK) {
		return status;
	}
	if (map->place == VMEM_PLACE_ANY || map->place == VMEM_PLACE_HINT) {
		status = vmem_vmar_find_place(vmar, map, &start);
	} else if (map->place == VMEM_PLACE_FIXED &&
		   !vmem_span_range_free(&vmar->tree, start, map->length, 0, 0)) {
		status = VMEM_ERR_EXISTS;
	}
	return status == VMEM_OK ? map_checked(vmar, map, start, out_start) : status;
}

vmem_status_t vmem_vmar_map_locked(
    struct vmem_vmar *vmar, const struct vmem_map *map, vmem_vaddr_t *out_start)
{
	return RUNS_ALONE ? vmem_alone_vmar_map_locked(vmar, map, out_start) : map_any(vmar, map, out_start);
}

WITH_OTHERS vmem_status_t unmap(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	struct region *spare = NULL;
	vmem_status_t status = vmem_vmar_check_range(vmar, start, length);
	if (status != VMEM_OK) {
		return status;
	}
	struct cut cut = vmem_vmar_survey(vmar, start, length);
	if (cut.child || cut.sealed) {
		return cut.child ? VMEM_ERR_INVALID : VMEM_ERR_SEALED;
	}
	if (cut.bytes > 0 && !policy_allows(vmar->aspace, VMEM_OPERATION_UNMAP, start, length, 0)) {
		return VMEM_ERR_DENIED;
	}
	if (cut.splits) {
		if (!aspace_may_split(vmar->aspace, 1)) {
			return VMEM_ERR_LIMIT;
		}
		spare = vmem_region_alloc(vmar->aspace);
		if (!spare) {
			return VMEM_ERR_NO_MEMORY;
		}
	}
	vmem_vmar_remove(vmar, start, length, &spare);
	return VMEM_OK;
}

vmem_status_t vmem_vmar_unmap_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	return RUNS_ALONE ? vmem_alone_vmar_unmap_locked(vmar, start, length) : unmap(vmar, start, length);
}

/* Children first, without recursion: down to a VMAR that has none, which goes. */
void vmem_vmar_destroy_locked(struct vmem_vmar *vmar)
{
	for (struct vmem_vmar *at = vmar;;) {
		struct span *s = at->tree.first;
		while (s && s->kind != SPAN_VMAR) {
			s = s->next;
		}
		if (s) {
			at = vmar_of(s);
			continue;
		}
		struct vmem_vmar *parent = at->parent;
		struct region *none = NULL;
		vmem_vmar_remove(at, at->tree.base, at->tree.length, &none);
		vmem_span_remove(&parent->tree, &at->span);
		vmem_slab_free(SLAB_VMAR, at);
		if (at == vmar) {
			return;
		}
		at = parent;
	}
}

#if !VMEM_ALONE
vmem_status_t vmem_vmar_map(struct vmem_vmar *vmar, const struct vmem_map *map, vmem_vaddr_t *out_start)
{
	aspace_lock(vmar->aspace);
	vmem_status_t status = vmem_vmar_map_locked(vmar, map, out_start);
	aspace_unlock(vmar->aspace);
	vmem_slab_settle();
	if (status == VMEM_OK && (map->flags & VMEM_MAP_POPULATE)) {
		vmem_vmar_populate(vmar->aspace, *out_start, map->length, map->permission);
	}
	return status;
}

vmem_status_t vmem_vmar_unmap(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length)
{
	struct vmem_aspace *aspace = vmar->aspace;
	aspace_lock(aspace);
	vmem_status_t status = vmem_vmar_unmap_locked(vmar, start, length);
	aspace_unlock(aspace);
	vmem_slab_settle();
	return status;
}

vmem_status_t vmem_vmar_allocate(
    struct vmem_vmar *parent, const struct vmem_map *map, struct vmem_vmar **out_child)
{
	vmem_vaddr_t start = map->address;
	vmem_status_t status = vmem_vmar_check_map(parent, map);
	if (status == VMEM_OK &&
	    (map->object || map->flags & ~(unsigned)(VMEM_MAP_FROM_TOP | VMEM_MAP_RANDOM | VMEM_MAP_LARGE) ||
		map->place == VMEM_PLACE_REPLACE || map->permission & ~(unsigned)VMEM_RWX)) {
		status = VMEM_ERR_INVALID;
	}
	if (status == VMEM_OK && map->permission & ~parent->rights) {
		status = VMEM_ERR_DENIED;
	}
	if (status != VMEM_OK) {
		return status;
	}
	aspace_lock(parent->aspace);
	if (map->place != VMEM_PLACE_FIXED) {
		status = vmem_vmar_find_place(parent, map, &start);
	} else if (!vmem_span_range_free(&parent->tree, start, map->length, 0, 0)) {
		status = VMEM_ERR_EXISTS;
	}
	struct vmem_vmar *child = status == VMEM_OK ? vmem_slab_alloc(SLAB_VMAR) : NULL;
	if (child) {
		vmem_vmar_init(child, parent->aspace, parent, start, map->length, map->permission);
		child->span.pad_before = map->pad_before;
		child->span.pad_after = map->pad_after;
		vmem_span_insert(&parent->tree, &child->span);
		*out_child = child;
	} else if (status == VMEM_OK) {
		status = VMEM_ERR_NO_MEMORY;
	}
	aspace_unlock(parent->aspace);
	return status;
}

vmem_status_t vmem_vmar_destroy(struct vmem_vmar *vmar)
{
	struct vmem_aspace *aspace = vmar->aspace;
	if (!vmar->parent) {
		return VMEM_ERR_UNSUPPORTED;
	}
	aspace_lock(aspace);
	bool allowed = policy_allows(aspace, VMEM_OPERATION_UNMAP, vmar->tree.base, vmar->tree.length, 0);
	if (allowed) {
		vmem_vmar_destroy_locked(vmar);
	}
	aspace_unlock(aspace);
	vmem_slab_settle();
	return allowed ? VMEM_OK : VMEM_ERR_DENIED;
}
#endif
