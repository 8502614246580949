/* SPDX-License-Identifier: MIT */
/*
 * The page index against arrays: random changes of several indexes that share snapshots, with enough
 * memory, with too little, and with the n-th allocation failing.
 */
#include "index_model.h"

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

/* Operations on an index and its array; false: no memory, nothing changed ---------------------- */

static bool op_set(unsigned i, unsigned k)
{
	struct index_cursor cursor;
	slot_t slot;
	if (!vmem_index_reserve(&index_of[i], 1)) {
		return false;
	}
	vmem_index_unclaim(&index_of[i]); /* nobody else allocates */
	if (arena_random(4) != 0) {
		struct vmem_page *page = vmem_frame_take(PAGE_DATA);
		if (!page) {
			return false;
		}
		page->u.data.key = keys[k];
		slot = slot_of_page(page);
	} else {
		slot = arena_random(2) ? (slot_t)SLOT_ZERO
				       : slot_of_frame(arena_random(1000) << VMEM_PAGE_SHIFT, VMEM_UNCACHED);
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
	vmem_index_unclaim(&index_of[i]);
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
	assert_int_equal(vmem_slab_promised(SLAB_INDEX_NODE), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_short_of_memory),
		cmocka_unit_test(test_failing_allocation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
