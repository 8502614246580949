/* SPDX-License-Identifier: MIT */
/*
 * index_check.c - the page index looked at from outside: a walk over all nodes, and the check of I2, I3, I4
 * and I6 (index.h). I1, I5 and
 * I7 speak of several indexes at once; check_all.c counts references with the walk.
 *
 * Locks: as for a look-up of every index that is looked at; nothing changes.
 */
#include "index.h"

#include "bits.h"
#include "index_node.h"
#include "panic.h"
#include "slab.h"

void vmem_index_visit(const struct vmem_index *index, index_visit_fn *visit, void *arg)
{
	struct {
		const struct index_node *node;
		uint64_t pending;
		bool exclusive;
	} path[INDEX_LEVELS];
	unsigned depth = 0;
	const struct index_node *node = index->root;
	const struct index_node *parent = NULL;
	bool exclusive = true;
	while (node) {
		exclusive = exclusive && node->refs == 1;
		visit(arg, node, parent, exclusive);
		if (node->shift != 0) {
			path[depth].node = node;
			path[depth].pending = node->present;
			path[depth++].exclusive = exclusive;
		}
		while (depth != 0 && path[depth - 1].pending == 0) {
			depth--;
		}
		if (depth == 0) {
			return;
		}
		parent = path[depth - 1].node;
		exclusive = path[depth - 1].exclusive;
		node = child_at(parent, bits_ctz64(path[depth - 1].pending));
		path[depth - 1].pending &= path[depth - 1].pending - 1;
	}
}

static void check_leaf(const struct index_node *node)
{
	VMEM_CHECK(node->present != 0, "a leaf of an index is empty (I4)");
	VMEM_CHECK(node->size == 1, "a leaf of an index counts nodes below it (I6)");
	for (unsigned n = 0; n < INDEX_FANOUT; n++) {
		slot_t slot = node->slot[n];
		if (!(node->present >> n & 1)) {
			continue;
		}
		VMEM_CHECK(slot_kind(slot) != SLOT_EMPTY && slot_kind(slot) <= SLOT_BUSY,
		    "a slot of an index is present and means nothing (I2)");
		if (slot_kind(slot) == SLOT_PAGE) {
			VMEM_CHECK(slot_page(slot)->kind == PAGE_DATA && slot_page(slot)->refs != 0,
				"an index holds a page that is not allocated (I5)");
		}
	}
}

static void check_inner(const struct index_node *node)
{
	uint64_t size = 1;
	VMEM_CHECK((node->present & (node->present - 1)) != 0,
	    "an inner node of an index has less than two children (I4)");
	for (unsigned n = 0; n < INDEX_FANOUT; n++) {
		const struct index_node *child = child_at(node, n);
		if (!(node->present >> n & 1)) {
			VMEM_CHECK(child == &vmem_index_void,
			    "an absent child of an index is not the void leaf (I2)");
			continue;
		}
		VMEM_CHECK(vmem_slab_holds(SLAB_INDEX_NODE, child) && child->refs != 0,
		    "a child of an index is no live node (I5)");
		VMEM_CHECK(child->shift < node->shift, "a child of an index is not below its parent (I3)");
		VMEM_CHECK(child->base >= node->base && last_key(child) <= last_key(node) &&
			       digit(node, child->base) == n,
		    "a child of an index covers keys of another slot (I3)");
		size += child->size;
	}
	VMEM_CHECK(size == node->size, "a node of an index counts another number of nodes below it (I6)");
}

static void check_node(
    void *arg, const struct index_node *node, const struct index_node *parent, bool exclusive)
{
	(void)arg;
	(void)parent;
	(void)exclusive;
	VMEM_CHECK(node->shift % INDEX_FANOUT_BITS == 0 && node->shift < INDEX_KEY_BITS,
	    "a node of an index has an odd level (I3)");
	VMEM_CHECK(last_key(node) <= INDEX_KEY_LAST && (node->base & (last_key(node) - node->base)) == 0,
		"a node of an index does not start at a multiple of its size (I3)");
	if (node->shift == 0) {
		check_leaf(node);
	} else {
		check_inner(node);
	}
}

void vmem_index_check(const struct vmem_index *index)
{
	if (index->root) {
		VMEM_CHECK(vmem_slab_holds(SLAB_INDEX_NODE, index->root) && index->root->refs != 0,
		    "the root of an index is no live node (I5)");
	}
	vmem_index_visit(index, check_node, NULL);
}
