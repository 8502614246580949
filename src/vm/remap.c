/* SPDX-License-Identifier: MIT */
/*
 * remap.c - regions that move, and regions that grow. The interface and its errors are in
 * include/vmem/aspace.h.
 *
 * A region that moves keeps its private keys, so what it holds is not touched, however much it is
 * (contract 2.1). Only its bounds change, and the translations go with it or are forgotten.
 *
 * M1 The first half of a call checks and takes records; the second cannot fail. M2 From before the first
 * translation goes until the regions are at their new place, and every CPU has forgotten the old one, the
 * regions are being changed (R4): a fault at either place is told to come again. M3 Keys that nothing is
 * stored under are not kept: what was never touched gets those of its new address, if they are free. M4 Where
 * a source stays mapped (KEEP_SOURCE) the new place has the old keys, and the old place others.
 *
 * Locks: the space's, until the old place is flushed everywhere; the object's store for bounds, one region at
 * a time.
 */
#include "panic.h"
#include "commit_i.h"
#include "policy.h"
#include "slab.h"

struct remap {
	struct vmem_vmar *vmar;
	vmem_vaddr_t start, end; /* of the source */
	vmem_vaddr_t to;
	uint64_t growth;      /* bytes, behind the last region */
	uint64_t promised;    /* bytes, for what comes to be */
	struct region *spare; /* records in hand, chained through moved_next */
	bool keeps;
};

static bool take_records(struct vmem_aspace *aspace, struct remap *m, uint64_t count)
{
	for (m->spare = NULL; count > 0; count--) {
		struct region *region = vmem_region_alloc(aspace);
		if (!region) {
			break;
		}
		region->moved_next = m->spare;
		m->spare = region;
		pause_after(100);
	}
	return count == 0;
}

static struct region *use_record(struct remap *m)
{
	struct region *region = m->spare;
	m->spare = region->moved_next;
	region->moved_next = NULL;
	return region;
}

static void give_records(struct remap *m)
{
	while (m->spare) {
		vmem_region_free(use_record(m));
		pause_after(60);
	}
}

static void lock_object(struct region *region)
{
	if (region->object) {
		store_lock(region->object->store);
	}
}

static void unlock_object(struct region *region)
{
	if (region->object) {
		store_unlock(region->object->store);
	}
}

/* Leaves an empty region like this one in its place, under other keys (M4). */
static void leave_copy(struct remap *m, struct region *region, vmem_vaddr_t old)
{
	struct vmem_aspace *aspace = m->vmar->aspace;
	struct region *copy = use_record(m);
	uint64_t pages = region->span.length >> VMEM_PAGE_SHIFT;
	vmem_region_copy(copy, region);
	copy->span.pad_before = copy->span.pad_after = 0;
	shared_store(&copy->span.start, old);
	shared_store(&copy->span.length, region->span.length);
	shared_store(&copy->private_key, old >> VMEM_PAGE_SHIFT);
	shared_store(&copy->attributes, copy->attributes & ~REGION_LOCKS);
	if (region_uses_keys(region)) {
		vmem_region_set_key(copy, vmem_keys_find(aspace, old, pages));
	}
	if (copy->object) {
		vmem_object_hold(copy->object);
	}
	vmem_region_list(copy);
	vmem_span_insert(&m->vmar->tree, &copy->span);
	region_changed(copy);
	aspace->regions++;
	aspace_count(aspace, copy, copy->span.length);
}

/* One region of the source goes to its new place; its translations are gone. */
static void relocate(struct remap *m, struct region *region)
{
	struct vmem_aspace *aspace = m->vmar->aspace;
	vmem_vaddr_t old = region->span.start, fresh = m->to + (old - m->start);
	uint64_t key = fresh >> VMEM_PAGE_SHIFT, pages = region->span.length >> VMEM_PAGE_SHIFT;
	bool keeps_keys = vmem_region_holds_pages(region);
	lock_object(region);
	vmem_span_remove(&m->vmar->tree, &region->span);
	region->span.pad_before = region->span.pad_after = 0;
	shared_store(&region->span.start, fresh);
	if (keeps_keys) {
		vmem_region_set_key(region, region->private_key);
	} else {
		vmem_region_set_key(region, key); /* off the list, so as not to be in its own way */
		if (region_uses_keys(region)) {
			vmem_region_set_key(region, vmem_keys_find(aspace, fresh, pages));
		}
	}
	vmem_span_insert(&m->vmar->tree, &region->span);
	unlock_object(region);
	if (m->keeps) {
		leave_copy(m, region, old);
	}
}

/* A region more, behind one that cannot grow for want of keys. */
static void append(struct vmem_vmar *vmar, struct region *region, uint64_t length, struct region *fresh)
{
	vmem_vaddr_t at = region->span.start + region->span.length;
	vmem_region_copy(fresh, region);
	fresh->span.pad_before = fresh->span.pad_after = 0;
	shared_store(&fresh->span.start, at);
	shared_store(&fresh->span.length, length);
	shared_store(
	    &fresh->offset, region->offset + (region->object ? region->span.length >> VMEM_PAGE_SHIFT : 0));
	vmem_region_set_key(fresh, vmem_keys_find(vmar->aspace, at, length >> VMEM_PAGE_SHIFT));
	if (fresh->object) {
		vmem_object_hold(fresh->object);
	}
	vmem_region_list(fresh);
	vmem_span_insert(&vmar->tree, &fresh->span);
	region_changed(fresh);
	vmar->aspace->regions++;
}

static void lengthen(struct vmem_vmar *vmar, struct region *region, uint64_t length)
{
	struct span *span = &region->span;
	lock_object(region);
	region_change(region);
	vmem_span_resize(&vmar->tree, span, span->start, span->length + length, span->pad_before, 0);
	region_changed(region);
	unlock_object(region);
}

static void grow(struct remap *m, struct region *last)
{
	if (vmem_keys_free_behind(last, m->growth >> VMEM_PAGE_SHIFT)) {
		lengthen(m->vmar, last, m->growth);
	} else {
		append(m->vmar, last, m->growth, use_record(m));
	}
	aspace_count(m->vmar->aspace, last, m->growth);
}

/* Of a range that regions cover. */
static void merge_range(struct vmem_vmar *vmar, vmem_vaddr_t start, vmem_vaddr_t end)
{
	const struct vmem_aspace *aspace = vmar->aspace;
	for (struct span *s = vmem_span_find(&vmar->tree, start); s && s->start < end; s = s->next) {
		for (uint64_t before = 0; before != aspace->regions;) {
			before = aspace->regions; /* what has come to be next may agree, too */
			s = &vmem_region_merge(vmar, region_of(s))->span;
		}
		pause_after(200);
	}
}

/* Cuts at both ends of the source. Answers its first region. */
static struct span *cut_out(struct remap *m)
{
	struct span *s = vmem_span_find(&m->vmar->tree, m->start);
	if (s->start < m->start) {
		struct region *upper = use_record(m);
		vmem_region_split(m->vmar, region_of(s), m->start, upper);
		s = &upper->span;
	}
	struct span *last = vmem_span_find(&m->vmar->tree, m->end - 1);
	if (last->start + last->length > m->end) {
		vmem_region_split(m->vmar, region_of(last), m->end, use_record(m));
	}
	return s;
}

/* The second half. The target is free. */
static void move_regions(struct remap *m)
{
	struct vmem_aspace *aspace = m->vmar->aspace;
	const uint64_t distance = m->to - m->start;
	struct span *first = cut_out(m), *next;
	struct region *last = NULL;
	struct pmap_moved moved;
	struct vmem_batch batch;
	bool plain = true; /* translations may go along (pmap_move.c) */
	moved.tables = NULL;
	moved.count = 0;
	for (struct span *s = first; s && s->start < m->end; s = s->next) {
		const struct region *region = region_of(s);
		region_change(region_of(s)); /* (M2) */
		plain &= !region->object && !(region->permission & VMEM_EXEC);
		pause_after(16);
	}
	vmem_batch_begin(&batch, &aspace->pmap);
	if (plain) {
		vmem_pmap_lift(&aspace->pmap, m->start, m->end - m->start, distance, &moved, &batch);
	} else {
		vmem_pmap_remove(&aspace->pmap, m->start, m->end - m->start, &batch);
	}
	vmem_batch_end(&batch);
	uint64_t left = m->end - m->start;
	for (struct span *s = first; left > 0; s = next) {
		next = s->next;
		left -= s->length;
		last = region_of(s);
		relocate(m, last);
		pause_after(600);
	}
	vmem_pmap_lay(&aspace->pmap, &moved, distance);
	for (struct span *s = &last->span; s && s->start >= m->to; s = s->prev) {
		region_changed(region_of(s));
		pause_after(16);
	}
	if (m->growth > 0) {
		grow(m, last);
	}
	merge_range(m->vmar, m->to, m->to + (m->end - m->start) + m->growth);
	if (m->keeps) {
		merge_range(m->vmar, m->start, m->end);
	}
}

/* Regions that the source touches, and the records it takes to cut it out. */
static uint64_t count_source(const struct remap *m, const struct span *s, uint64_t *out_splits)
{
	uint64_t count = 0;
	*out_splits = s->start < m->start;
	for (; s && s->start < m->end; s = s->next) {
		*out_splits += s->start + s->length > m->end;
		count++;
		pause_after(16);
	}
	return count;
}

static vmem_status_t check_target(struct remap *m, const struct vmem_map *to, struct cut *cut)
{
	vmem_vaddr_t end;
	vmem_status_t status = VMEM_OK;
	m->to = to->address;
	if (to->place == VMEM_PLACE_ANY || to->place == VMEM_PLACE_HINT) {
		return vmem_vmar_find_place(m->vmar, to, &m->to);
	}
	end = m->to + to->length;
	if (m->to < m->end && m->start < end) {
		return VMEM_ERR_INVALID;
	}
	if (to->place == VMEM_PLACE_REPLACE) {
		*cut = vmem_vmar_survey(m->vmar, m->to, to->length);
		status = cut->child ? VMEM_ERR_EXISTS : cut->sealed ? VMEM_ERR_SEALED : VMEM_OK;
	} else if (!vmem_span_range_free(&m->vmar->tree, m->to, to->length, 0, 0)) {
		status = VMEM_ERR_EXISTS;
	}
	return status;
}

static vmem_status_t check_source(
    const struct remap *m, uint64_t length, const struct vmem_map *to, unsigned flags)
{
	const unsigned placing = VMEM_MAP_FROM_TOP | VMEM_MAP_RANDOM | VMEM_MAP_LARGE;
	vmem_status_t status = vmem_vmar_check_range(m->vmar, m->start, length);
	status = status == VMEM_OK ? vmem_vmar_check_map(m->vmar, to) : status;
	if (status != VMEM_OK) {
		return status;
	}
	if (flags & ~(unsigned)VMEM_MOVE_KEEP_SOURCE || to->length < length || to->flags & ~placing ||
	    to->permission || to->maximum || to->object || to->offset || to->attributes || to->pad_before ||
	    to->pad_after || (m->keeps && to->length != length)) {
		return VMEM_ERR_INVALID;
	}
	if (m->vmar->aspace->pmap.kernel) {
		return VMEM_ERR_UNSUPPORTED;
	}
	struct span *first = vmem_span_find(&m->vmar->tree, m->start);
	status = vmem_vmar_check_covered(first, m->start, m->end);
	for (struct span *s = first; status == VMEM_OK && s && s->start < m->end; s = s->next) {
		status = region_sealed(region_of(s)) ? VMEM_ERR_SEALED : VMEM_OK;
		pause_after(16);
	}
	return status;
}

static vmem_status_t promise(struct remap *m, uint64_t data, uint64_t promised)
{
	struct vmem_aspace *aspace = m->vmar->aspace;
	if (data > 0 && !data_allows(aspace, data)) {
		return VMEM_ERR_LIMIT;
	}
	if (!vmem_commit_take(aspace, promised)) {
		return VMEM_ERR_NO_MEMORY;
	}
	m->promised = promised;
	return VMEM_OK;
}

/* What a source that stays, or grows, takes of limits and promises. */
static vmem_status_t take_promise(struct remap *m)
{
	uint64_t data = 0, promised = 0;
	for (struct span *s = vmem_span_find(&m->vmar->tree, m->start); s && s->start < m->end; s = s->next) {
		const struct region *region = region_of(s);
		vmem_vaddr_t low = s->start < m->start ? m->start : s->start, end = s->start + s->length;
		uint64_t more = m->keeps ? (end < m->end ? end : m->end) - low : 0;
		more += end >= m->end ? m->growth : 0;
		data += region_is_data(region) ? more : 0;
		promised += region->attributes & VMEM_REGION_ACCOUNT ? more : 0;
		pause_after(32);
	}
	return promise(m, data, promised);
}

/* A move maps at one place and unmaps at another, or at two. */
static bool move_allowed(const struct remap *m, uint64_t length, const struct cut *cut)
{
	struct vmem_aspace *aspace = m->vmar->aspace;
	unsigned permission = region_of(vmem_span_find(&m->vmar->tree, m->start))->permission;
	return policy_allows(aspace, VMEM_OPERATION_MAP, m->to, length, permission) &&
	       (m->keeps || policy_allows(aspace, VMEM_OPERATION_UNMAP, m->start, m->end - m->start, 0)) &&
	       (cut->bytes == 0 || policy_allows(aspace, VMEM_OPERATION_UNMAP, m->to, length, 0));
}

vmem_status_t vmem_vmar_move_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length,
    const struct vmem_map *to, unsigned flags, vmem_vaddr_t *out_start)
{
	struct vmem_aspace *aspace = vmar->aspace;
	struct remap m = {.vmar = vmar, .start = start, .end = start + length};
	struct region *spare = NULL;
	struct cut cut = {0};
	uint64_t splits, regions, bytes = to->length;
	m.keeps = flags & VMEM_MOVE_KEEP_SOURCE;
	vmem_status_t status = check_source(&m, length, to, flags);
	status = status == VMEM_OK ? check_target(&m, to, &cut) : status;
	if (status != VMEM_OK) {
		return status;
	}
	m.growth = to->length - length;
	regions = count_source(&m, vmem_span_find(&vmar->tree, start), &splits);
	bytes -= m.keeps ? 0 : length;
	uint64_t fresh = splits + (m.keeps ? regions : 0) + (m.growth > 0 ? 1 : 0);
	if (!vmem_vmar_within_limits(aspace, bytes, fresh, &cut)) {
		return VMEM_ERR_LIMIT;
	}
	if (!move_allowed(&m, to->length, &cut)) {
		return VMEM_ERR_DENIED;
	}
	status = take_promise(&m);
	if (status != VMEM_OK) {
		return status;
	}
	spare = cut.splits ? vmem_region_alloc(aspace) : NULL;
	if ((cut.splits && !spare) || !take_records(aspace, &m, fresh)) {
		give_records(&m);
		vmem_commit_give(m.promised);
		if (spare) {
			vmem_region_free(spare);
		}
		return VMEM_ERR_NO_MEMORY;
	}
	if (cut.bytes > 0) {
		vmem_vmar_remove(vmar, m.to, to->length, &spare);
	}
	move_regions(&m);
	give_records(&m);
	*out_start = m.to;
	return VMEM_OK;
}

vmem_status_t vmem_vmar_move(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length,
    const struct vmem_map *to, unsigned flags, vmem_vaddr_t *out_start)
{
	aspace_lock(vmar->aspace);
	vmem_status_t status = vmem_vmar_move_locked(vmar, start, length, to, flags, out_start);
	aspace_unlock(vmar->aspace);
	vmem_slab_settle();
	return status;
}

vmem_status_t vmem_vmar_extend_locked(struct vmem_vmar *vmar, vmem_vaddr_t end, uint64_t length)
{
	struct vmem_aspace *aspace = vmar->aspace;
	struct remap m = {.vmar = vmar, .growth = length};
	const struct cut none = {0};
	vmem_status_t status = vmem_vmar_check_range(vmar, end, length);
	if (status != VMEM_OK) {
		return status;
	}
	if (aspace->pmap.kernel) {
		return VMEM_ERR_UNSUPPORTED;
	}
	struct span *span = vmem_span_find(&vmar->tree, end - 1);
	if (!span || span->start + span->length != end || span->kind != SPAN_REGION) {
		return VMEM_ERR_NOT_FOUND;
	}
	struct region *region = region_of(span);
	if (region_sealed(region)) {
		return VMEM_ERR_SEALED;
	}
	if (span->next && span->next->start - end < length) {
		return VMEM_ERR_EXISTS;
	}
	uint64_t records = vmem_keys_free_behind(region, length >> VMEM_PAGE_SHIFT) ? 0 : 1;
	if (!vmem_vmar_within_limits(aspace, length, records, &none)) {
		return VMEM_ERR_LIMIT;
	}
	if (!policy_allows(aspace, VMEM_OPERATION_MAP, end, length, region->permission)) {
		return VMEM_ERR_DENIED;
	}
	status = promise(
	    &m, region_is_data(region) ? length : 0, region->attributes & VMEM_REGION_ACCOUNT ? length : 0);
	if (status != VMEM_OK) {
		return status;
	}
	if (!take_records(aspace, &m, records)) {
		vmem_commit_give(m.promised);
		return VMEM_ERR_NO_MEMORY;
	}
	grow(&m, region);
	merge_range(vmar, end - VMEM_PAGE_SIZE, end + length);
	return VMEM_OK;
}

vmem_status_t vmem_vmar_extend(struct vmem_vmar *vmar, vmem_vaddr_t end, uint64_t length)
{
	aspace_lock(vmar->aspace);
	vmem_status_t status = vmem_vmar_extend_locked(vmar, end, length);
	aspace_unlock(vmar->aspace);
	vmem_slab_settle();
	return status;
}
