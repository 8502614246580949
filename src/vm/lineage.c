/* SPDX-License-Identifier: MIT */
/*
 * lineage.c - the family tree of stores.
 *
 * A dead node has to stay while pages born in it may live on in descendants. Two rules keep the tree from
 * growing without end when snapshots are taken and their parents die, over and over: a dead node without
 * children goes, and a dead node with one child hands its pages over and goes (L2). So a dead node has two
 * children at least, and there are fewer dead nodes than live ones.
 *
 * Locks: a mutex of its own for the shape of all trees and for the lineage of pages, outside of the stores'
 * locks; a node of a live store is used by whoever holds a reference to the store.
 */
#include "lineage.h"

#include "cpu.h"
#include "panic.h"
#include "slab.h"

static struct vmem_lone_mutex lineage_lock;

void vmem_lineages_init(void)
{
	lineage_lock = (struct vmem_lone_mutex){0};
}

struct lineage *vmem_lineage_create(struct lineage *parent, struct store *store)
{
	struct lineage *node = vmem_slab_alloc(SLAB_LINEAGE);
	if (!node) {
		return NULL;
	}
	*node = (struct lineage){.parent = parent, .store = store};
	mutex_take(&lineage_lock.mutex, LOCK_LINEAGE);
	if (parent) {
		node->next = parent->child;
		node->pprev = &parent->child;
		if (node->next) {
			node->next->pprev = &node->next;
		}
		parent->child = node;
	}
	mutex_give(&lineage_lock.mutex, LOCK_LINEAGE);
	return node;
}

struct lineage *vmem_lineage_next(struct lineage *node, struct lineage *top)
{
	if (node->child) {
		return node->child;
	}
	while (node != top && !node->next) {
		node = node->parent;
	}
	return node == top ? NULL : node->next;
}

static void unlink_node(struct lineage *node)
{
	if (node->parent) {
		*node->pprev = node->next;
		if (node->next) {
			node->next->pprev = node->pprev;
		}
	}
}

/* Every page born in `dead` lives in the subtree of its only child: they become the child's, and the child
 * takes its parent's place. */
static void hand_over(struct lineage *dead)
{
	struct lineage *heir = dead->child;
	for (struct lineage *node = heir; node; node = vmem_lineage_next(node, heir)) {
		slot_t slot;
		if (!node->store) {
			continue;
		}
		store_lock(node->store);
		for (uint64_t key = 0;
		     vmem_index_next(&node->store->index, &key, INDEX_KEY_LAST, &slot, NULL); key++) {
			if (slot_kind(slot) == SLOT_PAGE && slot_page(slot)->u.data.lineage == dead) {
				shared_store(&slot_page(slot)->u.data.lineage, heir);
			}
			pause_after(40);
		}
		store_unlock(node->store);
	}
	heir->parent = dead->parent;
	heir->next = dead->next;
	heir->pprev = dead->pprev;
	if (dead->parent) {
		*heir->pprev = heir;
		if (heir->next) {
			heir->next->pprev = &heir->next;
		}
	}
	vmem_slab_free(SLAB_LINEAGE, dead);
}

void vmem_lineage_leave(struct lineage *node)
{
	mutex_take(&lineage_lock.mutex, LOCK_LINEAGE);
	node->store = NULL;
	while (node && !node->store && !node->child) {
		struct lineage *parent = node->parent;
		unlink_node(node);
		vmem_slab_free(SLAB_LINEAGE, node);
		node = parent;
	}
	if (node && !node->store && !node->child->next) {
		hand_over(node);
	}
	mutex_give(&lineage_lock.mutex, LOCK_LINEAGE);
}
