/* SPDX-License-Identifier: MIT */
/*
 * index.c - the persistent page index: changes, removal, iteration, snapshots.
 *
 *       A.root   B.root              A.root      B.root
 *            \   /                      |           |
 *             [2]   A writes at k      [1]'        [1]        [n]: a node with n references
 *            /   \       ==>          /   \       /   \
 *         [1]     [1]             [1]'     \   [1]     \      [..]': copies that A made on its path to k
 *          k                       k        \   k       [2]   and the other child, shared by both
 *                                            +---------/
 *
 * Everything that changes an index walks down from the root and, wherever it meets a node with more than
 * one reference, puts a copy in its place first: own(). So what it stands on is exclusive to the index by
 * induction (I1), and a test of one count suffices there. The order in own() is fixed: the copy takes
 * references to the children, it is published, the sequence changes, and only then the old node loses a
 * reference (contract 1.2). In place, a removal unpublishes, changes the sequence, and only then drops.
 *
 * The promise for nodes (I7) needs no bookkeeping of its own: a copy of node X changes the sum over (refs -
 * 1) * size by -size(X) for X and + size(c) for each child c that the copy shares, which is -1 if it shares
 * all; a reference that goes while others stay takes away the size of what it pointed to.
 *
 * Relatives that share nodes do this side by side, each with its own store's lock (LOCKING.md, X8): counts
 * are atomic, a shared node is read and not written, and of two that copy one node at once the one that
 * drops the last reference takes it down. A leaf's byte keeps the slots still while it is copied: a fault
 * that found it exclusive before a snapshot may be filling one, with what reads the same.
 *
 * Invariants I1 to I7 are in index.h; index_check.c checks them. Locks: the store's, for all but
 * vmem_index_find(); the byte of a leaf for its slots.
 */
#include "index.h"

#include "bits.h"
#include "cpu.h"
#include "frame.h"
#include "index_node.h"
#include "panic.h"
#include "slab.h"

/* Runs the statement for n = each bit of a set, upwards; cheap for sparse sets and for dense ones. */
#define FOR_EACH_BIT(n, set)                                                                                 \
	for (uint64_t bits_ = (set), n = 0;                                                                  \
	     bits_ != 0 && ((bits_ & 1) != 0 || ((void)skip_zeroes(&bits_, &n), true)); bits_ >>= 1, n++)

static inline void skip_zeroes(uint64_t *bits, uint64_t *n)
{
	unsigned zeroes = bits_ctz64(*bits);
	*bits >>= zeroes;
	*n += zeroes;
}

/* Puts a child into a node of ours, or a root into the index: what it points to is complete by then. */
static void publish(
    struct vmem_index *index, struct index_node *parent, uint64_t n, const struct index_node *child)
{
	if (parent) {
		shared_store_release(&parent->slot[n], slot_of_child(child));
		shared_store(&parent->present, parent->present | UINT64_C(1) << n);
	} else {
		shared_store_release(&index->root, (struct index_node *)(uintptr_t)child);
	}
}

/* Takes a child out of a node of ours, or the root out of the index. */
static void unpublish(struct vmem_index *index, struct index_node *parent, uint64_t n)
{
	if (parent) {
		shared_store(&parent->present, parent->present & ~(UINT64_C(1) << n));
		shared_store_release(&parent->slot[n], slot_of_child(&vmem_index_void));
	} else {
		shared_store_release(&index->root, NULL);
	}
	index_bump(index);
}

/* Nodes ---------------------------------------------------------------------------------------- */

static struct index_node *node_new(uint64_t base, unsigned shift, uint8_t flags)
{
	struct index_node *node = vmem_slab_alloc(SLAB_INDEX_NODE);
	VMEM_CHECK(node, "an index was changed without the nodes reserved for it");
	node->size = 1;
	shared_store(&node->present, 0); /* not the byte of the lock: whoever still holds it gives it back */
	shared_store(&node->shift, (uint8_t)shift);
	shared_store(&node->flags, flags);
	shared_store(&node->refs, 1);
	shared_store(&node->base, base);
	return node;
}

/* A copy of a shared node with the slots in `keep`, for which it holds references. */
static struct index_node *node_copy(struct index_node *node, uint64_t keep)
{
	if (node->shift == 0) {
		shared_store(&node->flags, (uint8_t)(node->flags | INDEX_NODE_MAY_SHARE));
	}
	struct index_node *copy = node_new(node->base, node->shift, node->flags);
	keep &= shared_load(&node->present);
	if (node->shift == 0) {
		FOR_EACH_BIT(n, keep)
		{
			slot_t slot = shared_load(&node->slot[n]);
			shared_store(&copy->slot[n], slot);
			slot_hold(slot);
		}
		shared_store(&copy->present, keep);
		return copy;
	}
	shared_store(&copy->present, keep);
	uint64_t size = 1;
	for (unsigned n = 0; n < INDEX_FANOUT; n++) {
		shared_store(&copy->slot[n], node->slot[n]);
	}
	FOR_EACH_BIT(n, node->present)
	{
		if (keep >> n & 1) {
			struct index_node *child = child_at(node, n);
			(void)shared_add(&child->refs, 1u);
			size += child->size;
		} else {
			shared_store(&copy->slot[n], slot_of_child(&vmem_index_void));
		}
	}
	copy->size = size;
	return copy;
}

void vmem_slot_drop(slot_t slot)
{
	if (slot_kind(slot) == SLOT_PAGE && shared_subtract(&slot_page(slot)->refs, 1u) == 1) {
		vmem_frame_give(slot_page(slot));
	}
}

void vmem_index_drop(void *arg, uint64_t key, slot_t slot)
{
	(void)arg;
	(void)key;
	vmem_slot_drop(slot);
}

/* Gives one reference back. True if it was the last one: the node is dead. */
static bool node_put(struct index_node *node)
{
	uint64_t size = node->size;
	if (shared_load_acquire(&node->refs) == 1 || shared_subtract(&node->refs, 1u) == 1) {
		return true;
	}
	vmem_slab_release(SLAB_INDEX_NODE, size);
	return false;
}

/* A fault that found the leaf exclusive may be filling a slot of it: it is done when this returns, and the
 * next one sees the sequence as it is now. */
static inline void leaf_settle(struct index_node *leaf)
{
	spin_take(&leaf->lock, LOCK_NODE);
	spin_give(&leaf->lock, LOCK_NODE);
}

/* Takes down a list of nodes that nobody holds, linked through themselves, and what only they held. */
static void take_down(struct index_node *dead, index_drop_fn *drop, void *arg)
{
	while (dead) {
		struct index_node *node = dead;
		dead = node->dead_next;
		if (node->shift == 0) {
			leaf_settle(node);
			FOR_EACH_BIT(n, node->present)
			{
				drop(arg, node->base + n, node->slot[n]);
			}
		} else {
			FOR_EACH_BIT(n, node->present)
			{
				struct index_node *child = child_at(node, n);
				if (node_put(child)) {
					child->dead_next = dead;
					dead = child;
				}
			}
		}
		pause_after((node->shift == 0 ? 80u : 12u) * INDEX_FANOUT);
		vmem_slab_free(SLAB_INDEX_NODE, node);
	}
}

/* Gives one reference to an unpublished subtree back, and takes down what nobody else holds. */
static void let_go(struct index_node *node, index_drop_fn *drop, void *arg)
{
	if (node_put(node)) {
		node->dead_next = NULL;
		take_down(node, drop, arg);
	}
}

/* A node that was copied has lost its last reference: its other owner has copied it meanwhile. The children
 * in `keep`, which the copy shares, lose this node's reference and were never promised for (I7). */
static void __attribute__((noinline)) bury_copied(struct index_node *node, uint64_t keep)
{
	struct index_node *dead = NULL;
	if (node->shift == 0) {
		leaf_settle(node);
	}
	FOR_EACH_BIT(n, node->present)
	{
		if (node->shift == 0) {
			vmem_slot_drop(node->slot[n]);
			continue;
		}
		struct index_node *child = child_at(node, n);
		if (keep >> n & 1 ? shared_subtract(&child->refs, 1u) == 1 : node_put(child)) {
			child->dead_next = dead;
			dead = child;
		}
	}
	vmem_slab_free(SLAB_INDEX_NODE, node);
	take_down(dead, vmem_index_drop, NULL);
}

/* Replaces a shared node below `parent` (which is ours; NULL: the root) by a copy with the slots in
 * `keep`. */
static struct index_node *own(
    struct vmem_index *index, struct index_node *parent, uint64_t n, struct index_node *node, uint64_t keep)
{
	const bool leaf = node->shift == 0;
	if (leaf) {
		spin_take(&node->lock, LOCK_NODE);
	}
	struct index_node *copy = node_copy(node, keep);
	publish(index, parent, n, copy);
	index_bump(index);
	if (leaf) {
		spin_give(&node->lock, LOCK_NODE);
	}
	uint64_t fewer = node->size - (copy->size - 1);
	if (shared_subtract(&node->refs, 1u) == 1) {
		bury_copied(node, keep);
	} else {
		vmem_slab_release(SLAB_INDEX_NODE, fewer);
	}
	return copy;
}

/* Setting -------------------------------------------------------------------------------------- */

static slot_t leaf_put(struct index_node *leaf, uint64_t key, slot_t slot)
{
	uint64_t n = key & (INDEX_FANOUT - 1);
	spin_take(&leaf->lock, LOCK_NODE);
	slot_t old = leaf->present >> n & 1 ? leaf->slot[n] : SLOT_EMPTY;
	shared_store_release(&leaf->slot[n], slot);
	shared_store_release(&leaf->present, leaf->present | UINT64_C(1) << n);
	spin_give(&leaf->lock, LOCK_NODE);
	return old;
}

/* A node above `node`, which does not cover key, and a new leaf for key: where their keys first differ
 * they part. Takes over the reference. */
static struct index_node *join(struct index_node *node, struct index_node *leaf)
{
	unsigned shift = bits_log2_floor(leaf->base ^ node->base) / INDEX_FANOUT_BITS * INDEX_FANOUT_BITS;
	uint64_t below = ((UINT64_C(1) << shift) << INDEX_FANOUT_BITS) - 1;
	struct index_node *above = node_new(leaf->base & ~below, shift, 0);
	for (unsigned n = 0; n < INDEX_FANOUT; n++) {
		shared_store(&above->slot[n], slot_of_child(&vmem_index_void));
	}
	shared_store(&above->slot[digit(above, leaf->base)], slot_of_child(leaf));
	shared_store(&above->slot[digit(above, node->base)], slot_of_child(node));
	shared_store(&above->present,
	    UINT64_C(1) << digit(above, leaf->base) | UINT64_C(1) << digit(above, node->base));
	above->size = 1 + leaf->size + node->size;
	return above;
}

/* No leaf covers key: adds one below the last node of the path, above `node` if there is one in the way. */
static struct index_node *leaf_add(struct vmem_index *index, struct index_node *const *path, unsigned depth,
    struct index_node *node, uint64_t key)
{
	struct index_node *leaf = node_new(key & ~(uint64_t)(INDEX_FANOUT - 1), 0, 0);
	struct index_node *top = node ? join(node, leaf) : leaf;
	struct index_node *parent = depth != 0 ? path[depth - 1] : NULL;
	uint64_t added = node ? 2 : 1;
	while (depth-- != 0) {
		path[depth]->size += added;
	}
	publish(index, parent, parent ? digit(parent, key) : 0, top);
	return leaf;
}

__attribute__((noinline)) struct index_node *vmem_index_leaf(struct vmem_index *index, uint64_t key)
{
	struct index_node *path[INDEX_LEVELS];
	unsigned depth = 0;
	struct index_node *parent = NULL;
	struct index_node *node = index->root;
	while (node && (node->base ^ key) >> node->shift < INDEX_FANOUT) {
		if (shared_load_acquire(&node->refs) != 1) {
			node = own(index, parent, parent ? digit(parent, key) : 0, node, UINT64_MAX);
		}
		if (node->shift == 0) {
			return node;
		}
		path[depth++] = parent = node;
		node = node->present >> digit(node, key) & 1 ? child_at(node, digit(node, key)) : NULL;
	}
	return leaf_add(index, path, depth, node, key);
}

slot_t vmem_index_set(struct vmem_index *index, uint64_t key, slot_t slot, struct index_cursor *cursor)
{
	VMEM_ASSERT(key <= INDEX_KEY_LAST && slot_kind(slot) != SLOT_EMPTY);
	if (cursor && cursor->leaf && cursor->exclusive) {
		return leaf_put(cursor->leaf, key, slot);
	}
	struct index_node *leaf = vmem_index_leaf(index, key);
	if (cursor) {
		*cursor = (struct index_cursor){leaf, true};
	}
	return leaf_put(leaf, key, slot);
}

bool vmem_index_claim(struct vmem_index *index, unsigned nodes, bool promised)
{
	if (index->claimed != 0) { /* for a step that is done */
		vmem_index_unclaim(index);
	}
	if (!vmem_slab_claim(SLAB_INDEX_NODE, nodes, promised)) {
		return false;
	}
	index->claimed += nodes;
	return true;
}

bool vmem_index_reserve(struct vmem_index *index, unsigned paths)
{
	return vmem_index_claim(index, paths * INDEX_PATH_NODES, false);
}

void vmem_index_unclaim(struct vmem_index *index)
{
	vmem_slab_unclaim(SLAB_INDEX_NODE, index->claimed);
	index->claimed = 0;
}

/* Removal -------------------------------------------------------------------------------------- */

static uint64_t bits_from_to(uint64_t low, uint64_t high)
{
	return UINT64_MAX << low & UINT64_MAX >> (63 - high);
}

/* The slots of a node that lie in [first, last] whole. *partial: children that lie in it with a part, at
 * most two. */
static uint64_t covered(const struct index_node *node, uint64_t first, uint64_t last, uint64_t *partial)
{
	*partial = 0;
	if (last < node->base || first > last_key(node)) {
		return 0;
	}
	uint64_t low = first <= node->base ? 0 : digit(node, first);
	uint64_t high = last >= last_key(node) ? INDEX_FANOUT - 1 : digit(node, last);
	uint64_t whole = shared_load(&node->present) & bits_from_to(low, high);
	uint64_t ends = node->shift == 0 ? 0 : whole & (UINT64_C(1) << low | UINT64_C(1) << high);
	FOR_EACH_BIT(n, ends)
	{
		const struct index_node *child = child_at(node, n);
		if (first <= child->base && last_key(child) <= last) {
			continue;
		}
		whole &= ~(UINT64_C(1) << n);
		if (first <= last_key(child) && child->base <= last) {
			*partial |= UINT64_C(1) << n;
		}
	}
	return whole;
}

/* No promise means that no node of any index is shared (I7). */
static bool any_shared(void)
{
	return shared_load(&vmem_slab_types[SLAB_INDEX_NODE].promised) != 0;
}

/* What a fault is just filling counts too. A leaf that lies in the range as a whole holds something (I4), so
 * only those at its ends are waited for. */
bool vmem_index_any(const struct vmem_index *index, uint64_t first, uint64_t last)
{
	struct index_cursor low, high;
	slot_t slot;
	if (VMEM_SMP) {
		(void)vmem_index_find(index, first, &low);
		(void)vmem_index_find(index, last, &high);
		if (low.leaf) {
			leaf_settle(low.leaf);
		}
		if (high.leaf && high.leaf != low.leaf) {
			leaf_settle(high.leaf);
		}
	}
	return vmem_index_next(index, &first, last, &slot, NULL);
}

bool vmem_index_reserve_remove(struct vmem_index *index, uint64_t first, uint64_t last)
{
	/* The nodes that lie in the range with a part are two paths at most, so two are enough to
	 * remember. */
	struct {
		struct index_node *node;
		bool exclusive;
	} todo[2];
	unsigned todos = 1;
	unsigned copies = 0;
	if (!any_shared() || !vmem_index_any(index, first, last)) {
		return true;
	}
	todo[0].exclusive = true;
	todo[0].node = index->root;
	while (todos != 0) {
		struct index_node *node = todo[--todos].node;
		if (node->shift == 0) {
			leaf_settle(node);
		}
		bool exclusive = todo[todos].exclusive && shared_load_acquire(&node->refs) == 1;
		uint64_t partial;
		uint64_t whole = covered(node, first, last, &partial);
		if (whole == shared_load(&node->present) || (whole | partial) == 0) {
			continue;
		}
		copies += !exclusive;
		FOR_EACH_BIT(n, partial)
		{
			todo[todos].exclusive = exclusive;
			todo[todos++].node = child_at(node, n);
		}
	}
	return copies == 0 || vmem_index_claim(index, copies, true);
}

/* One node on the way of a removal that lies in the range with a part. It is ours. */
struct cut {
	struct index_node *node;
	uint64_t n;	      /* its slot in the node above */
	uint64_t size_before; /* as the node above counts it */
	uint64_t pending;     /* children yet to visit */
};

struct removal {
	struct vmem_index *index;
	uint64_t first, last;
	index_drop_fn *drop;
	void *arg;
	unsigned depth;
	struct cut path[INDEX_LEVELS];
};

static struct index_node *cut_above(struct removal *r)
{
	return r->depth != 0 ? r->path[r->depth - 1].node : NULL;
}

/* Takes out of an inner node of ours what lies in the range whole. */
static void cut_whole(struct removal *r, struct index_node *node, uint64_t whole)
{
	FOR_EACH_BIT(n, whole)
	{
		struct index_node *child = child_at(node, n);
		node->size -= child->size;
		unpublish(r->index, node, n);
		let_go(child, r->drop, r->arg);
	}
}

/* Comes to a leaf, at slot n of the node above. What is in it is decided under its byte: outside of the
 * range faults go on filling slots. */
static void cut_leaf(struct removal *r, uint64_t n, struct index_node *leaf)
{
	struct index_node *above = cut_above(r);
	uint64_t partial;
	spin_take(&leaf->lock, LOCK_NODE);
	uint64_t whole = covered(leaf, r->first, r->last, &partial);
	bool all = whole != 0 && whole == leaf->present;
	bool shared = shared_load_acquire(&leaf->refs) != 1;
	if (all) {
		if (above) {
			above->size -= 1;
		}
		unpublish(r->index, above, n);
	} else if (whole != 0 && !shared) {
		shared_store_release(&leaf->present, leaf->present & ~whole);
		index_bump(r->index);
		FOR_EACH_BIT(k, whole)
		{
			r->drop(r->arg, leaf->base + k, leaf->slot[k]);
		}
	}
	spin_give(&leaf->lock, LOCK_NODE);
	if (all) {
		let_go(leaf, r->drop, r->arg);
	} else if (whole != 0 && shared) {
		(void)own(r->index, above, n, leaf, ~whole);
	}
}

/* Comes to slot n of the node above: takes the whole node out, or makes it ours, takes out what it can,
 * and stands on it. */
static void cut_enter(struct removal *r, uint64_t n, struct index_node *node)
{
	struct index_node *above = cut_above(r);
	uint64_t partial;
	if (node->shift == 0) {
		cut_leaf(r, n, node);
		return;
	}
	uint64_t whole = covered(node, r->first, r->last, &partial);
	uint64_t size_before = node->size;
	if ((whole | partial) == 0) {
		return;
	}
	if (whole == node->present) {
		if (above) {
			above->size -= size_before;
		}
		unpublish(r->index, above, n);
		let_go(node, r->drop, r->arg);
		return;
	}
	if (shared_load_acquire(&node->refs) != 1) {
		node = own(r->index, above, n, node, ~whole);
	} else {
		cut_whole(r, node, whole);
	}
	r->path[r->depth++] = (struct cut){node, n, size_before, partial};
}

/* Leaves the deepest node: one that holds nothing goes, one with a single child is replaced by it (I4). */
static void cut_leave(struct removal *r)
{
	const struct cut *cut = &r->path[--r->depth];
	struct index_node *above = cut_above(r);
	struct index_node *node = cut->node;
	uint64_t size = node->size;
	if (node->present == 0) {
		unpublish(r->index, above, cut->n);
		vmem_slab_free(SLAB_INDEX_NODE, node);
		size = 0;
	} else if ((node->present & (node->present - 1)) == 0) {
		const struct index_node *child = child_at(node, bits_ctz64(node->present));
		size = child->size;
		publish(r->index, above, cut->n, child);
		index_bump(r->index);
		vmem_slab_free(SLAB_INDEX_NODE, node);
	}
	if (above) {
		above->size -= cut->size_before - size;
	}
}

void vmem_index_remove(
    struct vmem_index *index, uint64_t first, uint64_t last, index_drop_fn *drop, void *arg)
{
	if (RUNS_ALONE) {
		vmem_alone_index_remove(index, first, last, drop, arg);
		return;
	}
	struct removal r = {.index = index, .first = first, .last = last, .drop = drop, .arg = arg};
	/* A shared path that leads to nothing is not to be copied. */
	if (!index->root || first > last || (any_shared() && !vmem_index_any(index, first, last))) {
		return;
	}
	cut_enter(&r, 0, index->root);
	while (r.depth != 0) {
		struct cut *cut = &r.path[r.depth - 1];
		if (cut->pending == 0) {
			cut_leave(&r);
			continue;
		}
		uint64_t n = bits_ctz64(cut->pending);
		cut->pending &= cut->pending - 1;
		cut_enter(&r, n, child_at(cut->node, n));
	}
}

/* Snapshots ------------------------------------------------------------------------------------ */

bool vmem_index_promise(const struct vmem_index *from)
{
	return !from->root || vmem_slab_promise(SLAB_INDEX_NODE, from->root->size);
}

void vmem_index_snapshot(struct vmem_index *to, struct vmem_index *from)
{
	VMEM_ASSERT(!to->root);
	if (from->root) {
		(void)shared_add(&from->root->refs, 1u);
		publish(to, NULL, 0, from->root);
	}
	index_bump(from);
}
