/* SPDX-License-Identifier: MIT */
/* The page index, case by case: shape, iteration, what snapshots share and promise, what is refused,
 * what the check finds. */
#include "index_model.h"

static slot_t page_at(uint64_t key)
{
	struct vmem_page *page = vmem_frame_take(PAGE_DATA);
	page->u.data.key = key;
	return slot_of_page(page);
}

static void put(struct vmem_index *index, uint64_t key)
{
	assert_true(vmem_index_reserve(index, 1));
	vmem_index_unclaim(index); /* nobody else allocates */
	drop_slot(vmem_index_set(index, key, page_at(key), NULL));
}

static void take_out(struct vmem_index *index, uint64_t first, uint64_t last)
{
	assert_true(vmem_index_reserve_remove(index, first, last));
	vmem_index_unclaim(index);
	vmem_index_remove(index, first, last, drop, &dropped);
	vmem_index_check(index);
}

static void test_shape(void **state)
{
	(void)state;
	struct vmem_index *index = &index_of[0];
	start(2048);
	assert_int_equal(vmem_index_nodes(index), 0);
	assert_int_equal(vmem_index_find(index, 5, NULL), SLOT_EMPTY);
	/* An object within 64 aligned pages is one node, wherever it lies. */
	const uint64_t high = UINT64_C(0x2a) << 46;
	for (uint64_t k = 0; k < 64; k++) {
		put(index, high + k);
	}
	assert_int_equal(vmem_index_nodes(index), 1);
	assert_int_equal(index->sequence, 0); /* filling empty slots is no change of structure */
	/* Another place far away: a leaf and one node where they part; a third near the first: one leaf
	 * and one node between. */
	put(index, 7);
	assert_int_equal(vmem_index_nodes(index), 3);
	assert_int_equal(index->root->shift, 48);
	put(index, high + 64);
	assert_int_equal(vmem_index_nodes(index), 5);
	put(index, high + 4096);
	assert_int_equal(vmem_index_nodes(index), 7);
	vmem_index_check(index);
	check_counts();
	assert_int_equal(vmem_index_find(index, 71, NULL), SLOT_EMPTY);
	assert_int_equal(vmem_index_find(index, high + 4097, NULL), SLOT_EMPTY);
	assert_int_equal(vmem_index_find(index, INDEX_KEY_LAST, NULL), SLOT_EMPTY);
	/* And back: nodes with one child go. */
	take_out(index, 0, 100);
	assert_int_equal(vmem_index_nodes(index), 5);
	assert_int_equal(index->root->shift, 12);
	take_out(index, high + 64, high + 64);
	assert_int_equal(vmem_index_nodes(index), 3);
	take_out(index, high + 4000, INDEX_KEY_LAST);
	assert_int_equal(vmem_index_nodes(index), 1);
	take_out(index, high + 1, high + 62);
	assert_int_not_equal(vmem_index_find(index, high, NULL), SLOT_EMPTY);
	assert_int_not_equal(vmem_index_find(index, high + 63, NULL), SLOT_EMPTY);
	uint64_t sequence = index->sequence;
	take_out(index, high + 1, high + 62); /* nothing is there */
	take_out(index, 9, 8);
	assert_int_equal(index->sequence, sequence);
	take_out(index, high, high + 63);
	assert_null(index->root);
	check_counts();
}

static void test_next(void **state)
{
	(void)state;
	struct vmem_index *index = &index_of[0];
	uint64_t key = 0;
	slot_t slot;
	start(2048);
	assert_false(vmem_index_next(index, &key, INDEX_KEY_LAST, &slot, NULL));
	put(index, 10);
	put(index, 5000);
	put(index, 5001);
	put(index, UINT64_C(1) << 40);
	assert_true(vmem_index_next(index, &key, INDEX_KEY_LAST, &slot, NULL));
	assert_int_equal(key, 10);
	key = 11;
	assert_true(vmem_index_next(index, &key, 5000, &slot, NULL));
	assert_int_equal(key, 5000);
	key = 5001;
	assert_false(vmem_index_next(index, &key, 5000, &slot, NULL));
	key = 5002;
	assert_false(vmem_index_next(index, &key, (UINT64_C(1) << 40) - 1, &slot, NULL));
	assert_int_equal(key, 5002);
	assert_true(vmem_index_next(index, &key, UINT64_C(1) << 40, &slot, NULL));
	assert_int_equal(key, UINT64_C(1) << 40);
	key++;
	assert_false(vmem_index_next(index, &key, INDEX_KEY_LAST, &slot, NULL));
	take_out(index, 0, INDEX_KEY_LAST);
}

/* What a writer after a snapshot shares, copies and gives to drop. */
static void test_snapshot(void **state)
{
	(void)state;
	struct vmem_index *a = &index_of[0], *b = &index_of[1];
	struct index_cursor cursor;
	start(2048);
	for (uint64_t k = 0; k < 200; k++) {
		put(a, k);
	}
	assert_int_equal(vmem_index_nodes(a), 5);
	uint64_t sequence = a->sequence;
	assert_true(vmem_index_promise(a));
	vmem_index_snapshot(b, a);
	assert_int_not_equal(a->sequence, sequence);
	check_counts();
	/* Pages below a shared node have one reference and yet belong to nobody alone (contract 1.1). */
	slot_t slot = vmem_index_find(b, 70, &cursor);
	assert_int_equal(slot_page(slot)->refs, 1);
	assert_false(index_exclusive(&cursor, slot));
	/* b writes key 70: root and leaf are copied, 64 pages are held twice, and a sees nothing. */
	put(b, 70);
	check_counts();
	assert_int_equal(vmem_index_find(a, 70, NULL), slot);
	assert_int_equal(slot_page(slot)->refs, 1); /* a's alone now: b gave its reference back */
	assert_int_equal(slot_page(vmem_index_find(a, 71, NULL))->refs, 2);
	assert_ptr_equal(slot_page(vmem_index_find(a, 71, NULL)), slot_page(vmem_index_find(b, 71, NULL)));
	assert_true(cursor.leaf->flags & INDEX_NODE_MAY_SHARE);
	assert_int_equal(vmem_slab_promised(SLAB_INDEX_NODE), 3);
	assert_true(index_exclusive((vmem_index_find(a, 70, &cursor), &cursor), slot));
	/* b empties a range over three leaves: two whole ones of a's are let go, part of the first is
	 * copied; nothing is dropped. */
	dropped = 0;
	take_out(b, 10, 255);
	assert_int_equal(dropped, 64); /* only b's own copy of the leaf of 64 to 127 went with it */
	check_counts();
	for (uint64_t k = 0; k < 200; k++) {
		assert_true(vmem_index_find(a, k, NULL) != SLOT_EMPTY);
		assert_int_equal(vmem_index_find(b, k, NULL) != SLOT_EMPTY, k < 10);
		assert_int_equal(slot_page(vmem_index_find(a, k, NULL))->refs, k < 10 ? 2 : 1);
	}
	/* a's other leaves are exclusive again (contract 2.2). */
	slot = vmem_index_find(a, 150, &cursor);
	assert_true(index_exclusive(&cursor, slot));
	assert_int_equal(vmem_slab_promised(SLAB_INDEX_NODE), 0);
	dropped = 0;
	take_out(a, 0, INDEX_KEY_LAST);
	assert_int_equal(dropped, 200);
	check_counts();
	take_out(b, 0, INDEX_KEY_LAST);
	assert_int_equal(dropped, 210);
	check_counts();
}

/* A snapshot that cannot promise its nodes changes nothing; one that can is enough for any removal when
 * all other memory is gone. */
static void test_promise(void **state)
{
	(void)state;
	struct vmem_index *a = &index_of[0], *b = &index_of[1];
	struct vmem_frame_stats stats;
	start(1024);
	for (uint64_t k = 0; k < 40; k++) {
		put(a, k << 20);
		put(a, (k << 20) + 1);
	}
	const uint64_t nodes = vmem_index_nodes(a);
	assert_true(vmem_index_promise(a));
	vmem_index_snapshot(b, a);
	vmem_frame_stats(&stats);
	assert_true(stats.reserved >= (nodes - 20) / 7 && stats.reserved <= nodes / 7 + 1);
	while (vmem_frame_take(PAGE_TABLE)) {
	}
	assert_false(vmem_index_promise(a));
	assert_false(vmem_index_reserve(b, 3));
	for (uint64_t k = 0; k < 40; k++) {
		/* One page of each leaf: every leaf has to be copied. */
		assert_true(vmem_index_reserve_remove(b, k << 20, k << 20));
		vmem_index_unclaim(b);
		vmem_index_remove(b, k << 20, k << 20, drop, &dropped);
		vmem_index_check(b);
		vmem_slab_check();
	}
	assert_int_equal(vmem_slab_promised(SLAB_INDEX_NODE), 0);
	for (uint64_t k = 0; k < 40; k++) {
		assert_int_not_equal(vmem_index_find(a, k << 20, NULL), SLOT_EMPTY);
		assert_int_equal(vmem_index_find(b, k << 20, NULL), SLOT_EMPTY);
		assert_int_not_equal(vmem_index_find(b, (k << 20) + 1, NULL), SLOT_EMPTY);
	}
	take_out(a, 0, INDEX_KEY_LAST);
	take_out(b, 0, INDEX_KEY_LAST);
	assert_int_equal(vmem_slab_in_use(SLAB_INDEX_NODE), 0);
}

/* The longest path there is, shared: a removal in its leaf copies all of it, one that empties the leaf
 * all but that; no node more, no node less. */
static void test_deep(void **state)
{
	(void)state;
	struct vmem_index *a = &index_of[0], *b = &index_of[1];
	start(1024);
	put(a, 0);
	put(a, 1);
	for (unsigned shift = 6; shift < INDEX_KEY_BITS; shift += 6) {
		put(a, UINT64_C(1) << shift);
	}
	assert_int_equal(vmem_index_nodes(a), 9 + 8);
	assert_true(vmem_index_promise(a));
	vmem_index_snapshot(b, a);
	while (vmem_frame_take(PAGE_TABLE)) {
	}
	while (vmem_slab_types[SLAB_INDEX_NODE].free + vmem_slab_cpus[0].of[SLAB_INDEX_NODE].count != 0) {
		assert_non_null(vmem_slab_alloc(SLAB_INDEX_NODE));
	}
	assert_true(vmem_index_reserve_remove(b, 2, 62)); /* nothing is there */
	assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].free, 0);
	assert_true(vmem_index_reserve_remove(b, INDEX_KEY_LAST - 7, INDEX_KEY_LAST));
	assert_true(vmem_index_reserve_remove(b, 0, INDEX_KEY_LAST)); /* the root goes as a whole */
	assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].free, 0);
	/* 0 and 1 are all of the leaf: the 8 nodes above it. */
	assert_true(vmem_index_reserve_remove(b, 0, 2));
	assert_int_equal(vmem_slab_cpus[0].of[SLAB_INDEX_NODE].claim, 8);
	assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].free, 6);
	vmem_index_remove(b, 0, 2, drop, &dropped);
	vmem_index_check(a);
	vmem_index_check(b);
	/* b's copies above shrank as they lost their second child; a still shares the leaves beside its
	 * path. */
	assert_int_equal(vmem_index_find(b, 1, NULL), SLOT_EMPTY);
	assert_int_not_equal(vmem_index_find(a, 1, NULL), SLOT_EMPTY);
	assert_int_equal(vmem_index_nodes(b), 8 + 7);
	take_out(a, 0, INDEX_KEY_LAST);
	take_out(b, 0, INDEX_KEY_LAST);
}

/* Snapshots of snapshots, most of them dropped at once: memory does not grow (contract 1.5). */
static void test_generations(void **state)
{
	(void)state;
	start(2048);
	for (uint64_t k = 0; k < 300; k++) {
		put(&index_of[0], 17 * k);
	}
	const uint64_t nodes = vmem_index_nodes(&index_of[0]);
	for (unsigned generation = 0; generation < 2000; generation++) {
		struct vmem_index *parent = &index_of[generation % 2], *child = &index_of[1 - generation % 2];
		assert_true(vmem_index_promise(parent));
		vmem_index_snapshot(child, parent);
		put(child, 17 * (generation % 300));
		put(parent, 17 * ((generation + 7) % 300));
		take_out(parent, 0, INDEX_KEY_LAST);
		assert_int_equal(vmem_slab_in_use(SLAB_INDEX_NODE), nodes);
		assert_int_equal(vmem_slab_promised(SLAB_INDEX_NODE), 0);
	}
	check_counts();
	take_out(&index_of[0], 0, INDEX_KEY_LAST);
	check_counts();
}

static void test_refusals(void **state)
{
	(void)state;
	struct vmem_index *a = &index_of[0], *b = &index_of[1];
	start(64);
	while (vmem_frame_take(PAGE_TABLE)) {
	}
	assert_true(PANICS(vmem_index_set(a, 1, SLOT_ZERO, NULL), "without the nodes reserved"));
	start(64);
	assert_true(vmem_index_reserve(a, 2));
	vmem_index_unclaim(a);
	assert_true(PANICS(vmem_index_set(a, INDEX_KEY_LAST + 1, SLOT_ZERO, NULL), "INDEX_KEY_LAST"));
	assert_true(PANICS(vmem_index_set(a, 1, SLOT_EMPTY, NULL), "SLOT_EMPTY"));
	vmem_index_set(a, 1, SLOT_ZERO, NULL);
	vmem_index_set(b, 1, SLOT_ZERO, NULL);
	assert_true(PANICS(vmem_index_snapshot(b, a), "root"));
	/* A snapshot that nobody promised is found out when it ends. */
	struct vmem_index c = {0};
	vmem_index_snapshot(&c, a);
	assert_true(PANICS(vmem_index_remove(&c, 0, INDEX_KEY_LAST, drop, &dropped), "than were promised"));
}

/* Nodes that are shared without a promise: a removal that has to copy one finds no memory for it. */
static void test_broken_promise(void **state)
{
	(void)state;
	struct vmem_index *a = &index_of[0], *b = &index_of[1];
	start(64);
	put(a, 0);
	put(a, 1);
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 1)); /* somebody else's */
	vmem_index_snapshot(b, a);
	while (vmem_frame_take(PAGE_TABLE) || vmem_frame_take_reserved(PAGE_TABLE)) {
	}
	while (vmem_slab_types[SLAB_INDEX_NODE].free + vmem_slab_cpus[0].of[SLAB_INDEX_NODE].count != 0) {
		assert_non_null(vmem_slab_alloc(SLAB_INDEX_NODE));
	}
	assert_true(vmem_index_reserve_remove(b, 0, 1)); /* all of the node: nothing to copy */
	assert_false(vmem_index_reserve_remove(b, 0, 0));
}

/* Slots that hold no page are as much an index's own as their node is. */
static void test_slots_without_page(void **state)
{
	(void)state;
	struct vmem_index *a = &index_of[0], *b = &index_of[1];
	struct index_cursor cursor;
	start(64);
	assert_true(vmem_index_reserve(a, 1));
	vmem_index_unclaim(a);
	vmem_index_set(a, 5, SLOT_ZERO, NULL);
	assert_true(index_exclusive(&cursor, vmem_index_find(a, 5, &cursor)));
	assert_true(vmem_index_promise(a));
	vmem_index_snapshot(b, a);
	slot_t slot = vmem_index_find(a, 5, &cursor);
	assert_false(index_exclusive(&cursor, slot));
	take_out(b, 0, INDEX_KEY_LAST);
	take_out(a, 0, INDEX_KEY_LAST);
	check_counts();
}

#define DAMAGE(field, value, words)                                                                          \
	do {                                                                                                 \
		__typeof__(field) saved_ = (field);                                                          \
		(field) = (value);                                                                           \
		assert_true(PANICS(vmem_index_check(index), words));                                         \
		(field) = saved_;                                                                            \
	} while (0)

static void test_check_finds(void **state)
{
	(void)state;
	struct vmem_index *index = &index_of[0];
	start(512);
	for (uint64_t k = 0; k < 200; k++) {
		put(index, k);
	}
	struct index_node *root = index->root;
	struct index_node *leaf = (struct index_node *)(uintptr_t)root->slot[1];
	DAMAGE(leaf->present, 0, "I4");
	DAMAGE(leaf->size, 2, "I6");
	DAMAGE(leaf->slot[3], SLOT_EMPTY, "I2");
	DAMAGE(leaf->slot[3], 7, "I2");
	DAMAGE(slot_page(leaf->slot[3])->kind, PAGE_TABLE, "I5");
	DAMAGE(slot_page(leaf->slot[3])->refs, 0, "I5");
	DAMAGE(root->present, 2, "I4");
	DAMAGE(root->present, 3, "I2");
	DAMAGE(root->slot[1], (slot_t)(uintptr_t)&vmem_index_void, "I5");
	DAMAGE(root->slot[1], root->slot[2], "I3");
	DAMAGE(root->size, 6, "I6");
	DAMAGE(root->base, 64, "I3");
	DAMAGE(root->shift, 7, "I3");
	DAMAGE(root->shift, 54, "I3");
	DAMAGE(leaf->shift, 6, "I3");
	DAMAGE(leaf->refs, 0, "I5");
	DAMAGE(root->refs, 0, "root");
	struct index_node fake = *root;
	DAMAGE(index->root, &fake, "root");
	check_counts();
	take_out(index, 0, INDEX_KEY_LAST);
	put(index, 64);
	DAMAGE(index->root->size, 2, "I6"); /* a leaf alone */
	DAMAGE(index->root->base, UINT64_C(1) << INDEX_KEY_BITS, "I3");
	put(index, 4096);
	put(index, 8192 - 64);
	take_out(index, 0, 64);
	root = index->root; /* 4096 to 8191 */
	leaf = (struct index_node *)(uintptr_t)root->slot[63];
	DAMAGE(leaf->base, 0, "I3");
	DAMAGE(leaf->base, 8192, "I3");
	DAMAGE(leaf->base, 8192 - 128, "I3");
	take_out(index, 0, INDEX_KEY_LAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_promise),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_broken_promise),
		cmocka_unit_test(test_slots_without_page),
		cmocka_unit_test(test_check_finds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
