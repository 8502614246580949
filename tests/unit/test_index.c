/* SPDX-License-Identifier: MIT */
/* The page index against arrays: several indexes that share snapshots, every reference counted, memory short, allocations failing. */
#include "arena.h"

#include "index.h"
#include "slab.h"

const struct slab_spec vmem_slab_specs[SLAB_COUNT] = {
	{8, 8}, {8, 8}, {sizeof(struct index_node), _Alignof(struct index_node)}, {8, 8}, {8, 8}, {8, 8}, {8, 8},
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

/* Reference counting by hand ------------------------------------------------------------------------------------------------------- */

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
	for (at = hash(held, NULL) % TABLE; thing[at].thing && thing[at].thing != held; at = (at + 1) % TABLE) {
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

static void count_node(void *arg, const struct index_node *node, const struct index_node *parent, bool exclusive)
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
	assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].promised, promise_owed);
	vmem_slab_check();
	vmem_frame_check();
}

/* Content of one index against its array: each key by look-up, and all by iteration. */
static void check_content(unsigned i)
{
	uint64_t at = 0;
	slot_t slot;
	bool exclusive;
	for (unsigned k = 0; k < KEYS; k++) {
		struct index_cursor cursor;
		assert_int_equal(vmem_index_find(&index_of[i], keys[k], &cursor), model[i][k]);
		assert_int_equal(vmem_index_find(&index_of[i], keys[k], NULL), model[i][k]);
		if (slot_kind(model[i][k]) == SLOT_PAGE) {
			bool alone = true;
			for (unsigned j = 0; j < INDEXES; j++) {
				alone = alone && (j == i || model[j][k] != model[i][k]);
			}
			assert_int_equal(index_exclusive(&cursor, model[i][k]), alone);
		}
		if (model[i][k] != SLOT_EMPTY) {
			assert_true(vmem_index_next(&index_of[i], &at, INDEX_KEY_LAST, &slot, &exclusive));
			assert_int_equal(at, keys[k]);
			assert_int_equal(slot, model[i][k]);
			assert_int_equal(exclusive, cursor.exclusive);
			at++;
		}
	}
	assert_false(vmem_index_next(&index_of[i], &at, INDEX_KEY_LAST, &slot, &exclusive));
}

static void check_all(void)
{
	for (unsigned i = 0; i < INDEXES; i++) {
		check_content(i);
	}
	check_counts();
}

/* Operations on an index and its array; false: no memory, nothing changed ---------------------------------------------------------- */

static bool op_set(unsigned i, unsigned k)
{
	struct index_cursor cursor;
	slot_t slot;
	if (!vmem_index_reserve(1, false)) {
		return false;
	}
	if (arena_random(4) != 0) {
		struct vmem_page *page = vmem_frame_take(PAGE_DATA);
		if (!page) {
			return false;
		}
		page->u.data.key = keys[k];
		slot = slot_of_page(page);
	} else {
		slot = arena_random(2) ? (slot_t)SLOT_ZERO : slot_of_frame(arena_random(1000) << VMEM_PAGE_SHIFT, VMEM_UNCACHED);
	}
	bool with_cursor = arena_random(2);
	if (with_cursor) {
		assert_int_equal(vmem_index_find(&index_of[i], keys[k], &cursor), model[i][k]);
	}
	uint64_t sequence = index_of[i].sequence;
	bool copies = with_cursor && cursor.leaf && !cursor.exclusive;
	slot_t old = vmem_index_set(&index_of[i], keys[k], slot, with_cursor ? &cursor : NULL);
	assert_int_equal(old, model[i][k]);
	if (with_cursor) {
		assert_true(cursor.exclusive && cursor.leaf && cursor.leaf->slot[keys[k] & 63] == slot);
		assert_true(copies ? index_of[i].sequence != sequence : true);
	}
	drop_slot(old);
	model[i][k] = slot;
	return true;
}

/* Never fails: what it needs was promised. */
static void op_remove(unsigned i, uint64_t first, uint64_t last)
{
	assert_true(vmem_index_reserve_remove(&index_of[i], first, last));
	uint64_t sequence = index_of[i].sequence;
	bool any = false;
	for (unsigned k = 0; k < KEYS; k++) {
		if (first <= keys[k] && keys[k] <= last && model[i][k] != SLOT_EMPTY) {
			any = true;
			model[i][k] = SLOT_EMPTY;
		}
	}
	vmem_index_remove(&index_of[i], first, last, drop, &dropped);
	assert_true(!any || index_of[i].sequence != sequence);
}

static bool op_snapshot(unsigned to, unsigned from)
{
	op_remove(to, 0, INDEX_KEY_LAST);
	assert_null(index_of[to].root);
	if (!vmem_index_promise(&index_of[from])) {
		return false;
	}
	vmem_index_snapshot(&index_of[to], &index_of[from]);
	memcpy(model[to], model[from], sizeof(model[to]));
	return true;
}

static uint64_t random_key(void)
{
	uint64_t k = keys[arena_random(KEYS)];
	switch (arena_random(8)) {
	case 0:
		return k & ~UINT64_C(63);
	case 1:
		return k | 63;
	case 2:
		return k & ~UINT64_C(4095);
	case 3:
		return arena_random(INDEX_KEY_LAST);
	default:
		return k;
	}
}

/* One random operation; false if memory was short. */
static bool op_random(void)
{
	unsigned i = (unsigned)arena_random(INDEXES);
	uint64_t a = random_key(), b = random_key();
	uint64_t what = arena_random(100);
	if (what < 60) {
		/* Mostly neighbours, so that leaves fill. */
		unsigned k = (unsigned)arena_random(KEYS);
		for (unsigned n = 0; n < 6 && k + n < KEYS; n++) {
			if (!op_set(i, k + n)) {
				return false;
			}
		}
		return true;
	}
	if (what < 85) { /* mostly of neighbours */
		unsigned k = (unsigned)arena_random(KEYS - 12);
		op_remove(i, keys[k], keys[k + arena_random(12)]);
		return true;
	}
	if (what < 88) {
		op_remove(i, a < b ? a : b, a < b ? b : a);
		return true;
	}
	if (what < 89) {
		op_remove(i, 0, INDEX_KEY_LAST);
		return true;
	}
	unsigned to = (i + 1 + (unsigned)arena_random(INDEXES - 1)) % INDEXES;
	if (!op_snapshot(to, i)) {
		return false;
	}
	if (what >= 97) { /* of a window */
		uint64_t first = a < b ? a : b, last = a < b ? b : a;
		if (first != 0) {
			op_remove(to, 0, first - 1);
		}
		if (last != INDEX_KEY_LAST) {
			op_remove(to, last + 1, INDEX_KEY_LAST);
		}
	}
	return true;
}

static void finish(void)
{
	unsigned order[INDEXES];
	for (unsigned i = 0; i < INDEXES; i++) {
		order[i] = i;
	}
	for (unsigned i = 0; i < INDEXES; i++) {
		unsigned j = i + (unsigned)arena_random(INDEXES - i);
		unsigned o = order[j];
		order[j] = order[i];
		op_remove(o, 0, INDEX_KEY_LAST);
		assert_null(index_of[o].root);
		check_counts();
	}
	vmem_slab_trim();
	assert_int_equal(vmem_slab_in_use(SLAB_INDEX_NODE), 0);
	assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].promised, 0);
	assert_int_equal(arena_count_owned(), 0);
	struct vmem_frame_stats stats;
	vmem_frame_stats(&stats);
	assert_int_equal(stats.free, stats.total);
	assert_int_equal(stats.reserved, 0);
}

static void test_random(void **state)
{
	(void)state;
	start(ARENA_FRAMES);
	for (unsigned step = 0; step < 4000; step++) {
		assert_true(op_random());
		check_content((unsigned)arena_random(INDEXES));
		if (step % 8 == 0) {
			check_all();
		}
	}
	check_all();
	finish();
}

/* Memory so short that settings and snapshots fail all the time: removals never do, and nothing is lost. */
static void test_short_of_memory(void **state)
{
	(void)state;
	unsigned refused = 0, done = 0;
	start(300);
	for (unsigned step = 0; step < 4000; step++) {
		if (op_random()) {
			done++;
		} else {
			refused++;
		}
		if (step % 8 == 0) {
			check_all();
		}
	}
	assert_true(refused > 200 && done > 200);
	check_all();
	finish();
}

/* The n-th allocation fails, for each n. */
static void test_failing_allocation(void **state)
{
	(void)state;
	const uint64_t seed = arena_seed;
	start(2048);
	for (unsigned step = 0; step < 60; step++) {
		assert_true(op_random());
	}
	const long questions = arena_asked;
	assert_true(questions > 200);
	for (long n = 0; n < questions; n++) {
		unsigned refused = 0;
		arena_seed = seed;
		start(2048);
		arena_fail_at = n;
		for (unsigned step = 0; step < 60; step++) {
			refused += !op_random();
		}
		assert_int_equal(refused, 1);
		check_all();
		finish();
	}
}

/* Cases ---------------------------------------------------------------------------------------------------------------------------- */

static slot_t page_at(uint64_t key)
{
	struct vmem_page *page = vmem_frame_take(PAGE_DATA);
	page->u.data.key = key;
	return slot_of_page(page);
}

static void put(struct vmem_index *index, uint64_t key)
{
	assert_true(vmem_index_reserve(1, false));
	drop_slot(vmem_index_set(index, key, page_at(key), NULL));
}

static void take_out(struct vmem_index *index, uint64_t first, uint64_t last)
{
	assert_true(vmem_index_reserve_remove(index, first, last));
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
	/* Another place far away: a leaf and one node where they part; a third near the first: one leaf and one node between. */
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
	vmem_index_unpromise(a);
	assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].promised, 0);
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
	assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].promised, 3);
	assert_true(index_exclusive((vmem_index_find(a, 70, &cursor), &cursor), slot));
	/* b empties a range over three leaves: two whole ones of a's are let go, part of the first is copied; nothing is dropped. */
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
	assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].promised, 0);
	dropped = 0;
	take_out(a, 0, INDEX_KEY_LAST);
	assert_int_equal(dropped, 200);
	check_counts();
	take_out(b, 0, INDEX_KEY_LAST);
	assert_int_equal(dropped, 210);
	check_counts();
}

/* A snapshot that cannot promise its nodes changes nothing; one that can is enough for any removal when all other memory is gone. */
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
	assert_false(vmem_index_reserve(3, false));
	for (uint64_t k = 0; k < 40; k++) {
		/* One page of each leaf: every leaf has to be copied. */
		assert_true(vmem_index_reserve_remove(b, k << 20, k << 20));
		vmem_index_remove(b, k << 20, k << 20, drop, &dropped);
		vmem_index_check(b);
		vmem_slab_check();
	}
	assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].promised, 0);
	for (uint64_t k = 0; k < 40; k++) {
		assert_int_not_equal(vmem_index_find(a, k << 20, NULL), SLOT_EMPTY);
		assert_int_equal(vmem_index_find(b, k << 20, NULL), SLOT_EMPTY);
		assert_int_not_equal(vmem_index_find(b, (k << 20) + 1, NULL), SLOT_EMPTY);
	}
	take_out(a, 0, INDEX_KEY_LAST);
	take_out(b, 0, INDEX_KEY_LAST);
	assert_int_equal(vmem_slab_in_use(SLAB_INDEX_NODE), 0);
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
		assert_int_equal(vmem_slab_types[SLAB_INDEX_NODE].promised, 0);
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
	assert_true(vmem_index_reserve(2, false));
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

#define DAMAGE(field, value, words)                                                                                        \
	do {                                                                                                               \
		__typeof__(field) saved_ = (field);                                                                        \
		(field) = (value);                                                                                         \
		assert_true(PANICS(vmem_index_check(index), words));                                                       \
		(field) = saved_;                                                                                          \
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
	check_counts();
	take_out(index, 0, INDEX_KEY_LAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_promise),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_check_finds),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_short_of_memory),
		cmocka_unit_test(test_failing_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
