/* SPDX-License-Identifier: MIT */
/* The watch over locks: their order, the states of LOCKING.md, what may be waited for with which held. */
#include "arena.h"

#include "lock.h"

static uint8_t byte[LOCK_RANKS];

static void take(unsigned a)
{
	spin_take(&byte[a], a);
}

static void give(unsigned a)
{
	spin_give(&byte[a], a);
}

static void take_all(const unsigned *rank, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		take(rank[i]);
	}
}

/* Whether the locks may be held together, taken in this order; none is held afterwards. */
#define ALLOWED(...)                                                                                         \
	(!PANICS(take_all((const unsigned[]){__VA_ARGS__},                                                   \
		     sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned)),                            \
	    "never are (K5)"))

static void test_order(void **state)
{
	(void)state;
	arena_start(64);
	for (unsigned low = 0; low < LOCK_RANKS; low++) {
		for (unsigned high = low; high < LOCK_RANKS; high++) {
			take(high);
			assert_true(PANICS(take(low), "out of order (K3)"));
			vmem_lock_abandon();
			assert_int_equal(byte[high], 0);
		}
	}
	take(LOCK_STORE);
	give(LOCK_STORE);
	take(LOCK_ASPACE); /* the first is not held any more */
	give(LOCK_ASPACE);
	assert_true(PANICS(give(LOCK_ASPACE), "is not held"));
	vmem_lock_abandon();
}

static void test_states(void **state)
{
	const unsigned table = LOCK_TABLE;
	(void)state;
	arena_start(64);
	for (unsigned rank = 0; rank < LOCK_RANKS; rank++) {
		assert_true(ALLOWED(rank));
	}
	assert_true(ALLOWED(LOCK_ASPACE, LOCK_STORE, LOCK_PRIVATE, LOCK_NODE, table));
	assert_true(ALLOWED(
	    LOCK_ASPACE, LOCK_LINEAGE, LOCK_STORE, LOCK_SLAB_LIST, LOCK_SLAB, LOCK_CACHE, LOCK_SOURCE));
	assert_true(ALLOWED(LOCK_KERNEL, table - 2, table, LOCK_CACHE));
	assert_true(ALLOWED(LOCK_KERNEL, LOCK_FIXED));

	assert_false(ALLOWED(LOCK_ASPACE, LOCK_KERNEL));
	assert_false(ALLOWED(LOCK_KERNEL, LOCK_PRIVATE)); /* it has no private store */
	assert_false(ALLOWED(LOCK_STORE, LOCK_FIXED));
	assert_false(ALLOWED(LOCK_LINEAGE, LOCK_STORE, LOCK_PRIVATE));
	assert_false(ALLOWED(LOCK_NODE, table - 1)); /* a slot and an entry meet in leaf tables alone */
	assert_false(ALLOWED(LOCK_NODE, table, LOCK_CACHE));
	assert_false(ALLOWED(table - 2, table - 1, table));
	assert_false(ALLOWED(table, LOCK_SLAB));
	assert_false(ALLOWED(table, LOCK_IDS));
	assert_false(ALLOWED(LOCK_IDS, LOCK_LIST));
	assert_false(ALLOWED(LOCK_LIST, LOCK_CACHE));
}

static void test_waits(void **state)
{
	(void)state;
	arena_start(64);
	for (unsigned rank = 0; rank < LOCK_RANKS; rank++) {
		take(rank);
		assert_int_equal(
		    PANICS(vmem_lock_none_spinning(), "a spin lock held (K1)"), rank >= LOCK_MUTEXES);
		vmem_lock_abandon();
	}
	struct vmem_mutex mutex = {.held = 1};
	take(LOCK_NODE);
	assert_true(PANICS(vmem_mutex_wait(&mutex), "a spin lock held (K1)"));
	vmem_lock_abandon();
	assert_false(mutex_try(&mutex, LOCK_ASPACE)); /* and it is not noted as held */
	mutex.held = 0;
	assert_true(mutex_try(&mutex, LOCK_ASPACE));
	mutex_give(&mutex, LOCK_ASPACE);
	vmem_lock_none_spinning();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_states),
	    cmocka_unit_test(test_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
