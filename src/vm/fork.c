/* SPDX-License-Identifier: MIT */
/*
 * fork.c - a second address space with what the first one holds.
 *
 * The child gets a copy of the tree of VMARs and regions, a snapshot of the private store, and no page
 * table. What is shared by that is copied by whoever writes first; what a region does not pass on leaves the
 * child's index before an entry of the parent changes, and so stays the parent's alone (contract 2.2).
 *
 * J1 The child is an ordinary space from its first step on. What can fail comes before the snapshot, and a
 * fork that fails destroys the child as any other space. J2 A region of the child stands behind the one it
 * is a copy of in the list of its object's mappings, from before the snapshot. Who drops what private
 * mappings have copied from an object goes through that list with the object locked, so it comes to the
 * parent first: whatever the snapshot still takes from there he finds in the child. J3 Of the private store
 * first the snapshot, then the sequence, then the entries (contract 3.1). The parent's store stays locked
 * until its CPUs have forgotten that they may write: a fault that would copy wants that lock (contract
 * 3.2).
 *
 * Locks: the parent's layout throughout; the child's is its maker's, who alone knows it. The two private
 * stores together, the child's first, as if it was an object's: nobody else holds two, and who holds one
 * waits for no other.
 */
#include "panic.h"
#include "commit_i.h"
#include "slab.h"

static bool passes_on(const struct region *region)
{
	return !(region->attributes & (VMEM_REGION_NO_FORK | VMEM_REGION_WIPE_ON_FORK));
}

struct fork {
	struct vmem_aspace *parent, *child;
	bool keeps; /* a region of the parent does not pass its pages on */
};

static bool copy_region(struct region *region, struct vmem_vmar *to)
{
	struct vmem_aspace *child = to->aspace;
	struct region *copy = vmem_region_alloc(child);
	if (!copy) {
		return false;
	}
	if (region->attributes & VMEM_REGION_ACCOUNT && !vmem_commit_take(child, region->span.length)) {
		vmem_region_free(copy);
		return false;
	}
	vmem_region_copy(copy, region);
	vmem_region_set_key(copy, region->private_key);
	shared_store(&copy->attributes, copy->attributes & ~REGION_LOCKS);
	if (copy->object) {
		vmem_object_hold(copy->object);
		vmem_region_list_behind(copy, region);
	}
	vmem_span_insert_before(&to->tree, &copy->span, NULL);
	region_changed(copy);
	child->regions++;
	aspace_count(child, copy, copy->span.length);
	return true;
}

static struct vmem_vmar *copy_vmar(const struct vmem_vmar *vmar, struct vmem_vmar *to)
{
	struct vmem_vmar *copy = vmem_slab_alloc(SLAB_VMAR);
	if (copy) {
		vmem_vmar_init(copy, to->aspace, to, vmar->span.start, vmar->span.length, vmar->rights);
		copy->span.pad_before = vmar->span.pad_before;
		copy->span.pad_after = vmar->span.pad_after;
		vmem_span_insert_before(&to->tree, &copy->span, NULL);
	}
	return copy;
}

/* In the order of addresses, so that each copy is the last one of its tree. False: no memory. */
static bool copy_tree(struct fork *fork)
{
	struct vmem_vmar *from = &fork->parent->root, *to = &fork->child->root;
	for (struct span *span = from->tree.first;;) {
		if (!span) {
			if (!from->parent) {
				return true;
			}
			span = from->span.next;
			from = from->parent;
			to = to->parent;
			continue;
		}
		if (span->kind == SPAN_VMAR) {
			to = copy_vmar(vmar_of(span), to);
			if (!to) {
				return false;
			}
			from = vmar_of(span);
			span = from->tree.first;
			continue;
		}
		fork->keeps |= !passes_on(region_of(span));
		if (!(region_of(span)->attributes & VMEM_REGION_NO_FORK) &&
		    !copy_region(region_of(span), to)) {
			return false;
		}
		pause_after(800);
		span = span->next;
	}
}

/* The next region that ends after `from` and does not pass its pages on; NULL: none. */
static const struct region *next_kept(const struct fork *fork, vmem_vaddr_t from)
{
	const struct region *r = fork->keeps ? vmem_region_find_from(fork->parent, from) : NULL;
	while (r && passes_on(r)) {
		r = vmem_region_find_from(fork->parent, r->span.start + r->span.length);
		pause_after(100);
	}
	return r;
}

/* The child's index loses what the parent keeps to itself. */
static void forget_kept(const struct fork *fork, struct store *to)
{
	vmem_vaddr_t from = 0;
	for (const struct region *r; (r = next_kept(fork, from)) != NULL;
	     from = r->span.start + r->span.length) {
		uint64_t pages = r->span.length >> VMEM_PAGE_SHIFT;
		if (region_uses_keys(r)) { /* else somebody who was moved may have them (R2) */
			vmem_store_forget(to, r->private_key, r->private_key + pages - 1);
		}
	}
}

/* The next region behind this one. */
static const struct region *region_behind(const struct fork *fork, const struct region *r)
{
	const struct span *next = r->span.next;
	if (next && next->kind == SPAN_REGION) {
		return (const struct region *)(const void *)next;
	}
	return vmem_region_find_from(fork->parent, r->span.start + r->span.length);
}

/* Parks what is mapped in [start, end): whole windows as far as these reach, of those that have a region. */
static void park_between(
    const struct fork *fork, vmem_vaddr_t start, vmem_vaddr_t end, struct vmem_batch *batch)
{
	struct vmem_aspace *parent = fork->parent;
	const uint64_t window = arch_level_size(1);
	const struct region *r = vmem_region_find_from(parent, start);
	while (r && r->span.start < end) {
		vmem_vaddr_t low = pmap_window(r->span.start), high;
		do {
			high = pmap_window(r->span.start + r->span.length + (window - 1));
			r = region_behind(fork, r);
			pause_after(32);
		} while (r && r->span.start < end && r->span.start <= high);
		low = low < start ? start : low;
		high = high < end ? high : end;
		vmem_pmap_park(&parent->pmap, low, high - low, !parent->moved, batch);
	}
}

/* No entry of the parent stays writable, but in what it keeps to itself. Complete on all CPUs. */
static void protect_entries(const struct fork *fork)
{
	struct vmem_batch batch;
	struct vmem_aspace *parent = fork->parent;
	vmem_vaddr_t at = 0, end = vmem_aspace_user_size();
	vmem_batch_begin(&batch, &parent->pmap);
	while (at < end) {
		const struct region *kept = next_kept(fork, at);
		vmem_vaddr_t until = kept ? kept->span.start : end;
		if (until > at) {
			park_between(fork, at, until, &batch);
		}
		at = kept ? kept->span.start + kept->span.length : end;
	}
	vmem_batch_end(&batch);
}

/* (J3) False: no memory for a promise of the nodes that the two may have to copy. */
static bool share_pages(const struct fork *fork)
{
	struct store *from = fork->parent->private_store, *to = fork->child->private_store;
	mutex_take(&to->lock, LOCK_STORE);
	store_lock(from);
	bool promised = vmem_index_promise(&from->index);
	if (promised) {
		vmem_index_snapshot(&to->index, &from->index);
		forget_kept(fork, to);
		vmem_index_unclaim(&to->index);
		index_bump(&from->index); /* who has found shared what is not any more looks again */
		protect_entries(fork);
	}
	store_unlock(from);
	mutex_give(&to->lock, LOCK_STORE);
	return promised;
}

vmem_status_t vmem_aspace_fork(struct vmem_aspace *parent, struct vmem_aspace **out_child)
{
	struct fork fork = {.parent = parent};
	aspace_lock(parent);
	const struct vmem_aspace_config config = {
	    .start = parent->root.tree.base,
	    .length = parent->root.tree.length,
	    .wx = parent->wx,
	    .large = parent->large,
	    .max_regions = parent->max_regions,
	    .entropy_bits = parent->entropy_bits,
	    .seed = parent->random,
	    .access = parent->access,
	};
	vmem_status_t status = vmem_aspace_create_below(&config, parent, &fork.child);
	if (status == VMEM_OK) {
		fork.child->split_slack = parent->split_slack;
		fork.child->max_data = parent->max_data;
		fork.child->max_stack = parent->max_stack;
		fork.child->max_locked = parent->max_locked;
		fork.child->min_growth = parent->min_growth;
		fork.child->max_bytes = parent->max_bytes; /* 0, too, which to the configuration is none */
		fork.child->accounts = parent->accounts;
	}
	bool done = status == VMEM_OK && copy_tree(&fork) && share_pages(&fork);
	aspace_unlock(parent);
	if (status == VMEM_OK && !done) {
		vmem_aspace_destroy(fork.child);
		status = VMEM_ERR_NO_MEMORY;
	}
	vmem_slab_settle();
	if (status == VMEM_OK) {
		*out_child = fork.child;
	}
	return status;
}
