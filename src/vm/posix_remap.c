/* SPDX-License-Identifier: MIT */
/*
 * posix_remap.c - mremap(2). Every form of it is one of: unmap the end, extend in place, move, map the same
 * object again; and Linux's questions in Linux's order before.
 *
 * What Linux calls one mapping may be several regions here, which agree in all but their private keys
 * (keys.c) and promises (protect.c asks for pages, Linux whether there ever were any): a run of such regions
 * is taken for one. A move that does not resize may cover several mappings and holes behind the first; each
 * is moved on its own, so what comes before one that fails stays moved.
 *
 * Locks: the space's for the whole call.
 */
#include "commit_i.h"
#include "posix_i.h"

#define KNOWN_FLAGS (VMEM_MREMAP_MAYMOVE | VMEM_MREMAP_FIXED | VMEM_MREMAP_DONTUNMAP)

struct remap {
	struct vmem_posix *posix;
	vmem_vaddr_t address, new_address;
	uint64_t old_length, new_length;
	int flags;
	struct region *region; /* that contains address */
	vmem_vaddr_t end;      /* of the mapping that it is part of */
};

/* The mapping at the address: regions that agree, as far up as they go. */
static bool find_mapping(struct remap *r)
{
	struct span *s = vmem_span_find(&r->posix->aspace->root.tree, r->address);
	if (!s || s->kind != SPAN_REGION) {
		return false;
	}
	r->region = region_of(s);
	while (
	    s->next && s->next->kind == SPAN_REGION && vmem_region_agrees(region_of(s), region_of(s->next))) {
		s = s->next;
		pause_after(40);
	}
	r->end = s->start + s->length;
	return true;
}

static bool has_target(const struct remap *r)
{
	return r->flags & (VMEM_MREMAP_FIXED | VMEM_MREMAP_DONTUNMAP);
}

/* Linux keeps room for what a move may split before it begins. */
static bool crowded(const struct remap *r, uint64_t more)
{
	uint64_t most = r->posix->policy.max_regions;
	return most != 0 && r->posix->aspace->regions + more + 3 >= most;
}

static int check_arguments(const struct remap *r)
{
	const uint64_t size = vmem_aspace_user_size();
	if (r->flags & ~KNOWN_FLAGS || !vmem_page_aligned(r->address) || r->new_length == 0 ||
	    r->new_length > size) {
		return -VMEM_EINVAL;
	}
	if (!has_target(r)) {
		return 0;
	}
	if (r->new_address > size - r->new_length || !vmem_page_aligned(r->new_address) ||
	    !(r->flags & VMEM_MREMAP_MAYMOVE) ||
	    (r->flags & VMEM_MREMAP_DONTUNMAP && r->old_length != r->new_length) ||
	    (r->address + r->old_length > r->new_address && r->new_address + r->new_length > r->address)) {
		return -VMEM_EINVAL;
	}
	return crowded(r, 2) ? -VMEM_ENOMEM : 0;
}

/* The limits of the space and of data: before anything goes at the target, which does not make room. */
static bool may_have_more(const struct remap *r, uint64_t more)
{
	const struct vmem_aspace *aspace = r->posix->aspace;
	return more == 0 || (space_allows(aspace, more) &&
				(!region_is_data(r->region) || data_allows(aspace, more)));
}

/* What Linux asks of the mapping before it changes anything. */
static int check_mapping(struct remap *r)
{
	uint64_t length = r->old_length < r->new_length ? r->old_length : r->new_length;
	uint64_t more = r->new_length - length;
	if (!find_mapping(r)) {
		return -VMEM_EFAULT;
	}
	if (region_sealed(r->region)) {
		return -VMEM_EPERM;
	}
	if (r->old_length >= r->new_length && !has_target(r)) {
		return 0;
	}
	if (r->old_length == 0 && !region_shared(r->region)) {
		return -VMEM_EINVAL;
	}
	if (region_is_device(r->region) && r->flags & VMEM_MREMAP_DONTUNMAP) {
		return -VMEM_EINVAL;
	}
	if (length > r->end - r->address || (region_is_device(r->region) && more > 0)) {
		return -VMEM_EFAULT;
	}
	int error = more > 0 ? vmem_posix_lock_more(r->posix, more, r->region->attributes) : 0;
	return error ? error : may_have_more(r, more) ? 0 : -VMEM_ENOMEM;
}

/* The same memory once more, which is shared: what a move of nothing is. */
static int duplicate(struct remap *r, const struct vmem_map *to, vmem_vaddr_t *out)
{
	const struct region *region = r->region;
	struct vmem_map map = *to;
	map.permission = region->permission;
	map.maximum = region->maximum;
	map.flags |= region->flags & (VMEM_MAP_SHARED | VMEM_MAP_NO_MERGE);
	map.attributes = region->attributes & MAP_ATTRIBUTES;
	map.object = region->object;
	map.offset = (region->offset << VMEM_PAGE_SHIFT) + (r->address - region->span.start);
	map.cookie = region->cookie;
	return -vmem_posix_errno(vmem_vmar_map_locked(&r->posix->aspace->root, &map, out));
}

/* What is old_length long, or less than what it is to become, goes to another place. */
static int move(struct remap *r, vmem_vaddr_t *out)
{
	const bool fixed = r->flags & VMEM_MREMAP_FIXED;
	const unsigned keeps = r->flags & VMEM_MREMAP_DONTUNMAP ? (unsigned)VMEM_MOVE_KEEP_SOURCE : 0;
	struct vmem_map to = {.length = r->new_length};
	int error = fixed ? vmem_posix_check_fixed(r->posix, r->new_address, r->new_length) : 0;
	if (error) {
		return error;
	}
	vmem_posix_place(
	    r->posix, has_target(r) ? r->new_address : 0, fixed ? VMEM_MMAP_FIXED_NOREPLACE : 0, &to);
	if (crowded(r, 0)) {
		return -VMEM_ENOMEM;
	}
	if (r->old_length == 0) {
		return duplicate(r, &to, out);
	}
	return -vmem_posix_errno(
	    vmem_vmar_move_locked(&r->posix->aspace->root, r->address, r->old_length, &to, keeps, out));
}

static int cut_end(struct remap *r)
{
	int error =
	    vmem_posix_munmap_locked(r->posix, r->address + r->new_length, r->old_length - r->new_length);
	if (error == 0) {
		r->old_length = r->new_length;
	}
	return error;
}

/* To a place that the caller names, or with the source left mapped. */
static int move_to_target(struct remap *r, vmem_vaddr_t *out)
{
	int error = 0;
	if (r->flags & VMEM_MREMAP_FIXED) {
		error = vmem_posix_munmap_locked(r->posix, r->new_address, r->new_length);
		if (error == 0 && !find_mapping(r)) { /* a move of nothing out of what is no more */
			error = -VMEM_EFAULT;
		}
	}
	if (error == 0 && r->old_length > r->new_length) {
		error = cut_end(r);
	}
	return error ? error : move(r, out);
}

static int grow(struct remap *r, vmem_vaddr_t *out)
{
	struct vmem_vmar *root = &r->posix->aspace->root;
	uint64_t more = r->new_length - r->old_length;
	*out = r->address;
	if (r->old_length == r->end - r->address && more <= root->tree.base + root->tree.length - r->end &&
	    vmem_span_range_free(&root->tree, r->end, more, 0, 0)) {
		return -vmem_posix_errno(vmem_vmar_extend_locked(root, r->end, more));
	}
	return r->flags & VMEM_MREMAP_MAYMOVE ? move(r, out) : -VMEM_ENOMEM;
}

/* One mapping, or the beginning of one. */
static int remap_one(struct remap *r, vmem_vaddr_t *out)
{
	int error = check_mapping(r);
	*out = r->address;
	if (error) {
		return error;
	}
	if (has_target(r)) {
		return move_to_target(r, out);
	}
	if (r->old_length > r->new_length) {
		return cut_end(r);
	}
	return r->old_length < r->new_length ? grow(r, out) : 0;
}

/* A move to a fixed place without a change of size: mapping by mapping, holes included. */
static int remap_several(struct remap *r, vmem_vaddr_t *out)
{
	const vmem_vaddr_t start = r->address, end = start + r->old_length;
	const uint64_t distance = r->new_address - start;
	const struct span_tree *tree = &r->posix->aspace->root.tree;
	struct span *s = vmem_span_find(tree, start);
	vmem_vaddr_t at = start;
	int error = s ? 0 : -VMEM_EFAULT;
	while (error == 0 && s && s->start < end) {
		vmem_vaddr_t moved;
		r->address = s->start > at ? s->start : at;
		if (!find_mapping(r)) {
			return -VMEM_EFAULT;
		}
		at = r->end < end ? r->end : end;
		r->new_address = r->address + distance;
		r->old_length = r->new_length = at - r->address;
		error = remap_one(r, &moved);
		s = at < end ? vmem_span_find_from(tree, at) : NULL;
	}
	*out = start + distance;
	return error;
}

int vmem_posix_mremap(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t old_length,
    uint64_t new_length, int flags, vmem_vaddr_t new_address, vmem_vaddr_t *out_address)
{
	struct remap r = {
	    .posix = posix,
	    .address = address,
	    .new_address = new_address,
	    .old_length = vmem_page_ceil(old_length),
	    .new_length = vmem_page_ceil(new_length),
	    .flags = flags,
	};
	aspace_lock(posix->aspace);
	int error = check_arguments(&r);
	if (error == 0) {
		bool several = flags & VMEM_MREMAP_FIXED && r.old_length == r.new_length;
		error = several ? remap_several(&r, out_address) : remap_one(&r, out_address);
	}
	aspace_unlock(posix->aspace);
	vmem_slab_settle();
	if (error == 0 && new_length > old_length) { /* what is locked has its pages */
		(void)vmem_posix_lock_populate(posix, *out_address + vmem_page_ceil(old_length),
		    *out_address + vmem_page_ceil(new_length), true);
	}
	return error;
}
