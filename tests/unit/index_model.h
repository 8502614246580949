/* SPDX-License-Identifier: MIT */
/*
 * index_model.h - what the tests of the page index share: eight indexes beside plain arrays, and the count
 * of every reference by hand.
 */
#ifndef TEST_INDEX_MODEL_H
#define TEST_INDEX_MODEL_H

#include "arena.h"

#include "index.h"
#include "slab.h"

const struct slab_spec vmem_slab_specs[SLAB_COUNT] = {
    {8, 8},
    {8, 8},
    {sizeof(struct index_node), _Alignof(struct index_node)},
    {8, 8},
    {8, 8},
    {8, 8},
    {8, 8},
};

#define INDEXES 8u
#define KEYS 640u

static struct vmem_index index_of[INDEXES];
static uint64_t keys[KEYS]; /* the keys that the tests use, ascending */
static slot_t model[INDEXES][KEYS];
static uint64_t dropped;

/* Clusters of keys: dense ones, sparse ones, at both ends, and on both sides of powers of 64. */
static void make_keys(void)
{
	unsigned n = 0;
	for (uint64_t k = 0; k < 200; k++) {
		keys[n++] = k;
	}
	for (uint64_t k = 0; k < 40; k++) {
		keys[n++] = 4096 - 20 + k;
	}
	for (uint64_t k = 0; k < 100; k++) {
		keys[n++] = 10000 + 37 * k;
	}
	for (unsigned shift = 18; shift < 54; shift += 6) {
		for (uint64_t k = 0; k < 10; k++) {
			keys[n++] = (UINT64_C(1) << shift) - 5 + k;
		}
	}
	for (uint64_t k = 0; k < 100; k++) {
		keys[n++] = (UINT64_C(5) << 48) + 64 * k + 3;
	}
	for (uint64_t k = 0; n < KEYS; k++) {
		keys[n] = INDEX_KEY_LAST - (KEYS - 1 - n);
		n++;
	}
	for (unsigned i = 1; i < KEYS; i++) {
		assert_true(keys[i - 1] < keys[i]);
	}
}

static void start(uint64_t frames)
{
	arena_start(frames);
	vmem_slabs_init();
	memset(index_of, 0, sizeof(index_of));
	memset(model, 0, sizeof(model));
	if (keys[1] == 0) {
		make_keys();
	}
}

static void drop_slot(slot_t slot)
{
	if (slot_kind(slot) == SLOT_PAGE) {
		struct vmem_page *page = slot_page(slot);
		assert_int_equal(page->kind, PAGE_DATA);
		assert_int_not_equal(page->refs, 0);
		if (--page->refs == 0) {
			vmem_frame_give(page);
		}
	}
}

static void drop(void *arg, uint64_t key, slot_t slot)
{
	assert_ptr_equal(arg, &dropped);
	assert_int_not_equal(slot_kind(slot), SLOT_EMPTY);
	if (slot_kind(slot) == SLOT_PAGE) {
		assert_int_equal(slot_page(slot)->u.data.key, key); /* the right slot under the right key */
	}
	dropped++;
	drop_slot(slot);
}

/* Reference counting by hand ------------------------------------------------------------------- */

#define TABLE 16384u
static struct {
	const void *holder, *held; /* an edge: node or index, to node or page */
} edge[TABLE];
static struct {
	const void *thing;
	uint64_t refs;
	bool is_page;
} thing[TABLE];
static uint64_t nodes_found, pages_found, promise_owed;

static uint64_t hash(const void *a, const void *b)
{
	uint64_t h = (uint64_t)(uintptr_t)a * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)(uintptr_t)b;
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	return h >> 40;
}

/* True if the edge is new; it then counts for what it points to. */
static bool count_edge(const void *holder, const void *held, bool is_page)
{
	uint64_t at = hash(holder, held) % TABLE;
	for (; edge[at].held; at = (at + 1) % TABLE) {
		if (edge[at].holder == holder && edge[at].held == held) {
			return false;
		}
	}
	edge[at].holder = holder;
	edge[at].held = held;
	for (at = hash(held, NULL) % TABLE; thing[at].thing && thing[at].thing != held;
	     at = (at + 1) % TABLE) {
	}
	if (!thing[at].thing) {
		thing[at].thing = held;
		thing[at].is_page = is_page;
		*(is_page ? &pages_found : &nodes_found) += 1;
		assert_true(nodes_found + pages_found < TABLE / 2);
	}
	thing[at].refs++;
	return true;
}

static void count_node(
    void *arg, const struct index_node *node, const struct index_node *parent, bool exclusive)
{
	(void)exclusive;
	if (!count_edge(parent ? (const void *)parent : arg, node, false) || node->shift != 0) {
		return;
	}
	for (unsigned n = 0; n < INDEX_FANOUT; n++) {
		if (node->present >> n & 1 && slot_kind(node->slot[n]) == SLOT_PAGE) {
			count_edge(node, slot_page(node->slot[n]), true);
		}
	}
}

/* Every count of every node and page, the promise, and that nothing else is allocated. */
static void check_counts(void)
{
	memset(edge, 0, sizeof(edge));
	memset(thing, 0, sizeof(thing));
	nodes_found = pages_found = promise_owed = 0;
	for (unsigned i = 0; i < INDEXES; i++) {
		vmem_index_check(&index_of[i]);
		vmem_index_visit(&index_of[i], count_node, &index_of[i]);
	}
	for (unsigned at = 0; at < TABLE; at++) {
		if (thing[at].thing && thing[at].is_page) {
			assert_int_equal(((const struct vmem_page *)thing[at].thing)->refs, thing[at].refs);
		} else if (thing[at].thing) {
			const struct index_node *node = thing[at].thing;
			assert_int_equal(node->refs, thing[at].refs);
			promise_owed += (node->refs - 1) * node->size;
		}
	}
	struct vmem_frame_stats stats;
	vmem_frame_stats(&stats);
	assert_int_equal(stats.data, pages_found);
	assert_int_equal(vmem_slab_in_use(SLAB_INDEX_NODE), nodes_found);
	assert_int_equal(vmem_slab_promised(SLAB_INDEX_NODE), promise_owed);
	vmem_slab_check();
	vmem_frame_check();
}

#endif
