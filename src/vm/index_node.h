/* SPDX-License-Identifier: MIT */
/*
 * index_node.h - what index.c and its validators say about one node.
 */
#ifndef VMEM_INDEX_NODE_H
#define VMEM_INDEX_NODE_H

#include "index.h"

#define INDEX_LEVELS (INDEX_KEY_BITS / INDEX_FANOUT_BITS)

static inline slot_t slot_of_child(const struct index_node *child)
{
	return (slot_t)(uintptr_t)child;
}

static inline struct index_node *child_at(const struct index_node *node, uint64_t n)
{
	return (struct index_node *)(uintptr_t)node->slot[n];
}

static inline uint64_t last_key(const struct index_node *node)
{
	return node->base + ((UINT64_C(1) << node->shift) << INDEX_FANOUT_BITS) - 1;
}

static inline uint64_t digit(const struct index_node *node, uint64_t key)
{
	return key >> node->shift & (INDEX_FANOUT - 1);
}

#endif
