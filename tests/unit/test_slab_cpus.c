/* SPDX-License-Identifier: MIT */
/* Small objects of several CPUs: lists, claims, and frames that go back when nobody can look at them. */
#include "slab_fixture.h"

#include "cpu.h"

static struct slab_list *list_of(unsigned cpu, enum slab_id id)
{
	return &vmem_slab_cpus[cpu].of[id];
}

/* What one CPU has claimed, no other gets; what else it has on its list, it does. */
static void test_claim(void **state)
{
	(void)state;
	void *node[7];
	start(FRAMES);
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 5, false));
	assert_int_equal(stats().slabs, 1);
	assert_int_equal(list_of(0, SLAB_INDEX_NODE)->count, 7);
	while (vmem_frame_take(PAGE_DATA)) {
	}
	arena_cpu = 1;
	assert_false(vmem_slab_claim(SLAB_INDEX_NODE, 3, false)); /* 7 are free, 5 are CPU 0's */
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 2, false));
	check();
	arena_cpu = 0;
	for (unsigned i = 0; i < 4; i++) {
		assert_non_null(node[i] = vmem_slab_alloc(SLAB_INDEX_NODE));
		check();
	}
	assert_int_equal(list_of(0, SLAB_INDEX_NODE)->claim, 1);
	assert_true(PANICS(vmem_slab_claim(SLAB_INDEX_NODE, 1, false), "claim"));
	assert_true(PANICS(vmem_slab_unclaim(SLAB_INDEX_NODE, 0), "claim"));
	vmem_slab_unclaim(SLAB_INDEX_NODE, 5);
	assert_int_equal(list_of(1, SLAB_INDEX_NODE)->claim, 2);
	arena_cpu = 1;
	for (unsigned i = 4; i < 7; i++) { /* one more than was claimed: that is nobody's claim */
		assert_non_null(node[i] = vmem_slab_alloc(SLAB_INDEX_NODE));
	}
	vmem_slab_unclaim(SLAB_INDEX_NODE, 2);
	assert_int_equal(list_of(1, SLAB_INDEX_NODE)->claim, 0);
	assert_int_equal(vmem_slab_in_use(SLAB_INDEX_NODE), 7);
	check();
}

/* Objects stay on a list while a claim counts on them, and with them their frame. */
static void test_claim_keeps_frames(void **state)
{
	(void)state;
	struct slab_list *list = list_of(0, SLAB_INDEX_NODE);
	void *node[7];
	start(FRAMES);
	for (unsigned i = 0; i < 7; i++) {
		node[i] = vmem_slab_alloc(SLAB_INDEX_NODE);
	}
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 6, false));
	for (unsigned i = 0; i < 7; i++) {
		vmem_slab_free(SLAB_INDEX_NODE, node[i]);
	}
	check();
	vmem_slab_trim();
	check();
	assert_int_equal(stats().slabs, 1);
	assert_int_equal(list->count, 6);
	list->count--;
	assert_true(PANICS(vmem_slab_check(), "N1"));
	list->count++;
	list->claim++;
	assert_true(PANICS(vmem_slab_check(), "N2"));
	list->claim--;
	void *first = list->next, *second = *(void **)first;
	struct vmem_page *page = vmem_frame_take(PAGE_DATA);
	*(void **)first = &list; /* in no frame */
	assert_true(PANICS(vmem_slab_check(), "N1"));
	*(void **)first = first; /* in a circle */
	assert_true(PANICS(vmem_slab_check(), "miscounted"));
	*(void **)first = second;
	void *other = vmem_slab_alloc(SLAB_STORE);
	*(void **)first = other;
	assert_true(PANICS(vmem_slab_check(), "N1"));
	*(void **)first = page_to_virt(page);
	assert_true(PANICS(vmem_slab_check(), "N1"));
	*(void **)first = second;
	vmem_slab_free(SLAB_STORE, other);
	vmem_frame_give(page);
	vmem_slab_unclaim(SLAB_INDEX_NODE, 6);
	vmem_slab_trim();
	assert_int_equal(stats().slabs, 0);
	check();
}

/* A list is filled and emptied by batches: seldom, and with a bound. */
static void test_lists(void **state)
{
	(void)state;
	struct slab_type *type = &vmem_slab_types[SLAB_INDEX_NODE];
	struct slab_list *list = list_of(0, SLAB_INDEX_NODE);
	static void *node[1000];
	unsigned fills = 0, spills = 0;
	start(4096); /* plenty */
	for (unsigned i = 0; i < 1000; i++) {
		fills += list->count == 0;
		node[i] = vmem_slab_alloc(SLAB_INDEX_NODE);
		assert_true(list->count <= type->batch + 2 * type->capacity);
	}
	check();
	assert_in_range(fills, 1, 1000 / 32);
	for (unsigned i = 0; i < 1000; i++) {
		const uint64_t before = type->free;
		vmem_slab_free(SLAB_INDEX_NODE, node[i]);
		spills += type->free != before;
		assert_true(list->count <= 2 * type->batch);
	}
	check();
	assert_in_range(spills, 1, 1000 / 32);
	/* Of large objects it is fewer: memory is bounded. */
	assert_non_null(vmem_slab_alloc(SLAB_OBJECT));
	assert_int_equal(vmem_slab_in_use(SLAB_OBJECT), 1);
	assert_in_range(list_of(0, SLAB_OBJECT)->count, 1, 10);
	/* Where memory is short it is what is needed. */
	start(FRAMES);
	assert_non_null(vmem_slab_alloc(SLAB_INDEX_NODE));
	assert_int_equal(list->count, 6);
	assert_int_equal(stats().slabs, 1);
	/* A list is its CPU's, whoever has allocated. */
	arena_cpu = 3;
	vmem_slab_free(SLAB_INDEX_NODE, vmem_slab_alloc(SLAB_INDEX_NODE));
	assert_int_equal(list->count, 6);
	assert_int_equal(list_of(3, SLAB_INDEX_NODE)->count, 7);
	check();
}

/* What lies on lists, and in empty frames of other types, is found before there is no memory. */
static void test_scrape(void **state)
{
	(void)state;
	void *o[60];
	start(FRAMES);
	vmem_cpus_init();
	arena_calls = 0;
	arena_cpu = 2;
	for (unsigned i = 0; i < 60; i++) {
		o[i] = vmem_slab_alloc(SLAB_REGION);
	}
	for (unsigned i = 0; i < 60; i++) {
		vmem_slab_free(SLAB_REGION, o[i]);
	}
	arena_cpu = 0;
	while (vmem_frame_take(PAGE_DATA)) {
	}
	assert_non_null(vmem_slab_alloc(SLAB_REGION)); /* off CPU 2's list */
	assert_int_equal(list_of(2, SLAB_REGION)->count, 0);
	assert_int_equal(arena_calls, 0);
	section_enter(&vmem_cpus[0]);
	assert_null(vmem_slab_alloc(SLAB_INDEX_NODE)); /* no waiting for other CPUs in there */
	assert_int_equal(arena_calls, 0);
	section_leave(&vmem_cpus[0]);
	assert_non_null(vmem_slab_alloc(SLAB_INDEX_NODE)); /* in an empty frame of regions */
	assert_int_equal(arena_calls, 1);
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 1)); /* and by another one */
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 7, true));
	vmem_slab_unclaim(SLAB_INDEX_NODE, 7);
	assert_false(vmem_slab_promise(SLAB_INDEX_NODE, 15));
	check();
}

/* A claim that takes what promises count on gives it back, as far as it was not used. */
static void test_pay_back(void **state)
{
	(void)state;
	struct slab_type *type = &vmem_slab_types[SLAB_INDEX_NODE];
	struct slab_list *list = list_of(0, SLAB_INDEX_NODE);
	start(FRAMES);
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 14));
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 9, true));
	assert_int_equal(list->count, 9);
	vmem_slab_unclaim(SLAB_INDEX_NODE, 9);
	assert_int_equal(list->count, 0);
	check();
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 9, true));
	for (unsigned i = 0; i < 4; i++) {
		assert_non_null(vmem_slab_alloc(SLAB_INDEX_NODE));
	}
	vmem_slab_release(SLAB_INDEX_NODE, 4);
	vmem_slab_unclaim(SLAB_INDEX_NODE, 9);
	assert_int_equal(list->count, 0);
	assert_int_equal(type->promised, 10);
	check();
	/* Releases gather on the list. */
	vmem_slab_release(SLAB_INDEX_NODE, 3);
	assert_int_equal(type->promised, 10);
	assert_int_equal(vmem_slab_promised(SLAB_INDEX_NODE), 7);
	check();
	assert_true(PANICS(vmem_slab_release(SLAB_INDEX_NODE, 8), "than were promised"));
	vmem_slab_release(SLAB_INDEX_NODE, 7); /* the last: it is said at once */
	assert_int_equal(type->promised, 0);
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 1000));
	unsigned told = 0;
	for (unsigned i = 0; i < 900; i++) {
		const uint64_t before = type->promised;
		vmem_slab_release(SLAB_INDEX_NODE, 1);
		told += type->promised != before;
		assert_int_equal(vmem_slab_promised(SLAB_INDEX_NODE), 999 - i);
		assert_true(type->promised <= 999 - i + 2 * type->batch);
		check();
	}
	assert_in_range(told, 1, 900 / 32);
	drain(SLAB_INDEX_NODE);
	assert_int_equal(type->promised, 100);
	check();
}

/* A promised claim reaches what an ordinary one leaves, even while another CPU uses its share. */
static void test_claim_of_promise(void **state)
{
	(void)state;
	start(FRAMES);
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 7));
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 7, true));
	vmem_slab_unclaim(SLAB_INDEX_NODE, 7);
	while (vmem_frame_take(PAGE_DATA)) {
	}
	assert_false(vmem_slab_claim(SLAB_INDEX_NODE, 1, false));
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 4, true));
	assert_non_null(vmem_slab_alloc(SLAB_INDEX_NODE));
	arena_cpu = 2;
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 3, true));
	assert_non_null(vmem_slab_alloc(SLAB_INDEX_NODE));
	vmem_slab_unclaim(SLAB_INDEX_NODE, 3);
	vmem_slab_release(SLAB_INDEX_NODE, 1);
	arena_cpu = 0;
	vmem_slab_unclaim(SLAB_INDEX_NODE, 4);
	vmem_slab_release(SLAB_INDEX_NODE, 1);
	check();
	/* Asked once for each ordinary claim. */
	arena_fail_at = arena_asked;
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 5, true));
	vmem_slab_unclaim(SLAB_INDEX_NODE, 5);
	assert_false(vmem_slab_claim(SLAB_INDEX_NODE, 0, false));
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 0, false));
}

/* Frames that empty gather, and go back together when no CPU can be looking at them. */
static void test_settle(void **state)
{
	(void)state;
	static void *o[24 * 20];
	const unsigned count = sizeof(o) / sizeof(o[0]);
	start(FRAMES);
	for (unsigned i = 0; i < count; i++) {
		o[i] = vmem_slab_alloc(SLAB_REGION); /* 20 to a frame */
	}
	for (unsigned i = 0; i < count; i++) {
		const uint64_t before = vmem_slab_gathered, slabs = stats().slabs;
		give(SLAB_REGION, o[i]);
		assert_int_equal(stats().slabs, slabs);
		vmem_slab_settle();
		check();
		if (before == vmem_slab_many - 1 && vmem_slab_gathered != before) { /* one more is many */
			assert_int_equal(vmem_slab_gathered, 0);
			assert_int_equal(stats().slabs, slabs - before - 1);
			assert_int_equal(arena_calls, 1);
		}
	}
	assert_int_equal(arena_calls, 1);
	const uint64_t slabs = stats().slabs;
	assert_true(vmem_slab_gathered > 1);
	for (unsigned i = 0; i < 60; i++) { /* the current one, the spare, and one that gathered */
		o[i] = vmem_slab_alloc(SLAB_REGION);
	}
	check();
	assert_int_equal(stats().slabs, slabs);
	for (unsigned i = 0; i < 60; i++) {
		give(SLAB_REGION, o[i]);
	}
	assert_true(vmem_slab_trim());
	assert_int_equal(arena_calls, 2);
	assert_int_equal(vmem_slab_gathered, 0);
	assert_int_equal(stats().slabs, 0);
	assert_false(vmem_slab_trim());
	assert_int_equal(arena_calls, 2); /* nobody is asked for nothing */
}

static void leaves(uint64_t cpus)
{
	assert_int_equal(cpus, arena_calls == 3 ? 4 : 0xe); /* the second time only who was inside */
	vmem_cpus[2].inside = false;
}

/* A CPU inside of its section keeps the frames where they are, and what it last saw is not to be found. */
static void test_readers(void **state)
{
	(void)state;
	static void *o[100];
	start(FRAMES);
	vmem_cpus_init();
	for (unsigned i = 0; i < 100; i++) {
		o[i] = vmem_slab_alloc(SLAB_REGION);
	}
	for (unsigned i = 0; i < 100; i++) {
		give(SLAB_REGION, o[i]);
	}
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		vmem_cpus[i].last.region = o[0];
	}
	section_enter(&vmem_cpus[3]);
	assert_false(vmem_slab_trim());
	check();
	assert_int_equal(stats().slabs, 5);
	assert_int_equal(vmem_slab_in_use(SLAB_REGION), 0);
	assert_int_equal(vmem_slab_gathered, 5);
	assert_true(vmem_slab_many > 16);
	assert_null(vmem_cpus[0].last.region);
	assert_null(vmem_cpus[1].last.region);
	assert_ptr_equal(vmem_cpus[3].last.region, o[0]);
	section_leave(&vmem_cpus[3]);
	void *again = vmem_slab_alloc(SLAB_REGION); /* they are as good as before */
	assert_int_equal(stats().slabs, 5);
	check();
	vmem_slab_free(SLAB_REGION, again);
	arena_calls = 1;
	arena_called = leaves;
	vmem_cpus[2].inside = true;
	assert_true(vmem_slab_trim());
	assert_int_equal(arena_calls, 3);
	assert_null(vmem_cpus[3].last.region);
	assert_int_equal(stats().slabs, 0);
	assert_int_equal(vmem_slab_many, 16);
	vmem_slab_free(SLAB_REGION, vmem_slab_alloc(SLAB_REGION));
	section_enter(&vmem_cpus[0]);
	assert_true(PANICS(vmem_slab_trim(), "inside"));
	section_leave(&vmem_cpus[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_claim),
	    cmocka_unit_test(test_claim_keeps_frames),
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_scrape),
	    cmocka_unit_test(test_pay_back),
	    cmocka_unit_test(test_claim_of_promise),
	    cmocka_unit_test(test_settle),
	    cmocka_unit_test(test_readers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
