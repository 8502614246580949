/* SPDX-License-Identifier: MIT */
/*
 * index_next.c - the page index in order of keys. Nothing changes here.
 *
 * Locks: the store's. Slots are filled by faults meanwhile: what is met is complete.
 */
#include "bits.h"
#include "index.h"
#include "index_node.h"

const struct index_node vmem_index_void = {.size = 1, .refs = 1, .base = UINT64_MAX};

/* The slots of a node at or after `at`. */
static uint64_t slots_from(const struct index_node *node, uint64_t at)
{
	if (at <= node->base) {
		return shared_load_acquire(&node->present);
	}
	return at > last_key(node) ? 0 : shared_load_acquire(&node->present) & UINT64_MAX << digit(node, at);
}

/* vmem_index_next() when the leaf for *key, if there is one, has nothing from there on. */
static __attribute__((noinline)) const struct index_node *leaf_next(
    const struct vmem_index *index, uint64_t key, uint64_t *out_heads)
{
	const struct index_node *node = index->root;
	/* The deepest node passed that has a child after the one taken: where to go if that has nothing. */
	const struct index_node *later = NULL;
	uint64_t later_slots = 0, later_heads = 0, heads = 0;
	while (node) {
		uint64_t slots = slots_from(node, key);
		heads |= shared_load_acquire(&node->head);
		if (slots == 0) {
			node = later ? child_at(later, bits_ctz64(later_slots)) : NULL;
			heads = later_heads;
			later = NULL;
			continue;
		}
		if (node->shift == 0) {
			break;
		}
		if ((slots & (slots - 1)) != 0) {
			later = node;
			later_slots = slots & (slots - 1);
			later_heads = heads;
		}
		node = child_at(node, bits_ctz64(slots));
	}
	*out_heads = heads;
	return node;
}

bool vmem_index_next(
    const struct vmem_index *index, uint64_t *key, uint64_t last, slot_t *out_slot, bool *exclusive)
{
	const struct index_node *leaf = index->root;
	uint64_t heads = 0;
	if (!leaf) {
		return false;
	}
	/* As vmem_index_find(): most often the next slot is in the leaf for *key. */
	uint64_t head = heads = shared_load_acquire(&leaf->head);
	while ((uint8_t)head != 0) {
		leaf = child_at(leaf, *key >> (head & 63) & (INDEX_FANOUT - 1));
		head = shared_load_acquire(&leaf->head);
		heads |= head;
	}
	uint64_t slots = shared_load_acquire(&leaf->present) >> (*key & (INDEX_FANOUT - 1));
	if ((leaf->base ^ *key) >= INDEX_FANOUT || slots == 0) {
		leaf = leaf_next(index, *key, &heads);
		if (!leaf) {
			return false;
		}
		slots = shared_load_acquire(&leaf->present); /* it lies above *key */
	}
	uint64_t at = (*key > leaf->base ? *key : leaf->base) + bits_ctz64(slots);
	if (at > last) {
		return false;
	}
	*key = at;
	*out_slot = shared_load_acquire(&leaf->slot[at & (INDEX_FANOUT - 1)]);
	if (exclusive) {
		*exclusive = heads >> 32 == 1;
	}
	return true;
}
