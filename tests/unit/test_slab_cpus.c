/* SPDX-License-Identifier: MIT */
/* Small objects of several CPUs: claims, and frames that go back when no CPU can be looking at them. */
#include "slab_fixture.h"

#include "cpu.h"

/* What one CPU has claimed, no other gets; what a promise holds, no ordinary claim does. */
static void test_claim(void **state)
{
	(void)state;
	struct slab_type *type = &vmem_slab_types[SLAB_INDEX_NODE];
	void *node[7];
	start(FRAMES);
	assert_true(vmem_slab_claim(SLAB_INDEX_NODE, 5, false));
	assert_int_equal(stats().slabs, 1);
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
	assert_int_equal(type->claimed, 3);
	assert_true(PANICS(vmem_slab_claim(SLAB_INDEX_NODE, 1, false), "claim"));
	assert_true(PANICS(vmem_slab_unclaim(SLAB_INDEX_NODE, 0), "claim"));
	vmem_slab_unclaim(SLAB_INDEX_NODE, 5);
	assert_int_equal(type->claimed, 2);
	arena_cpu = 1;
	for (unsigned i = 4; i < 7; i++) { /* one more than was claimed: that is nobody's claim */
		assert_non_null(node[i] = vmem_slab_alloc(SLAB_INDEX_NODE));
	}
	vmem_slab_unclaim(SLAB_INDEX_NODE, 2);
	assert_int_equal(type->claimed, 0);
	check();
}

/* Frames stay while a claim counts on them. */
static void test_claim_keeps_frames(void **state)
{
	(void)state;
	struct slab_type *type = &vmem_slab_types[SLAB_INDEX_NODE];
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
	assert_int_equal(type->free, 7);
	type->free -= 2;
	assert_true(PANICS(vmem_slab_check(), "S2"));
	type->free += 2;
	type->claimed += 2;
	assert_true(PANICS(vmem_slab_check(), "S5"));
	type->claimed -= 2;
	vmem_slab_unclaim(SLAB_INDEX_NODE, 6);
	vmem_slab_trim();
	assert_int_equal(stats().slabs, 0);
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
		vmem_slab_free(SLAB_REGION, o[i]);
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
		vmem_slab_free(SLAB_REGION, o[i]);
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
		vmem_slab_free(SLAB_REGION, o[i]);
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
	    cmocka_unit_test(test_claim_of_promise),
	    cmocka_unit_test(test_settle),
	    cmocka_unit_test(test_readers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
