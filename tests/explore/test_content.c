/* SPDX-License-Identifier: MIT */
/*
 * test_content.c - what changes the frame behind a page: copies, snapshots, the zero page.
 *
 * A program's stores are never lost and never seen by who has a snapshot; who has seen a new value does not
 * see an old one afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "content.h"

/* Two writers that copy the same page, and a reader. */

static void write_word_1(void)
{
	store(space, 0, 1, NEW);
	EXPLORE_CHECK(load(space, 0, 1) == NEW);
}

static void write_word_2(void)
{
	store(space, 0, 2, NEW);
	tell(1);
}

static void both_written(void)
{
	EXPLORE_CHECK(content(object, 0, 0) == OLD && content(object, 0, 1) == NEW &&
		      content(object, 0, 2) == NEW && content(object, 1, 0) == OLD);
	EXPLORE_CHECK(content(child, 0, 0) == OLD && content(child, 0, 1) == 0 && content(child, 0, 2) == 0);
	EXPLORE_CHECK(load(space, 0, 1) == NEW && load(space, 0, 2) == NEW);
}

static void setup_two(void)
{
	setup_shared(2);
}

static void test_two_copies(void **state)
{
	struct explore_case what = {
	    .name = "two copy-on-write faults on one page",
	    .preemptions = 2,
	    .setup = setup_two,
	    .thread = {write_word_1, write_word_2},
	    .finish = both_written,
	};
	(void)state;
	explore_holds(&what);
}

static void setup_three(void)
{
	setup_shared(3);
}

static void read_words(void)
{
	uint64_t first = load(space, 0, 1);
	uint32_t before = heard();
	EXPLORE_CHECK(load(space, 0, 0) == OLD);
	uint64_t other = load(space, 0, 2), last = load(space, 0, 1);
	EXPLORE_CHECK((first == 0 || first == NEW) && (last == NEW || first == 0));
	EXPLORE_CHECK(before == 0 || other == NEW);
}

static void test_copies_and_reader(void **state)
{
	struct explore_case what = {
	    .name = "two copy-on-write faults on one page, and a reader",
	    .preemptions = explore_is_long() ? 2 : 1,
	    .setup = setup_three,
	    .thread = {write_word_1, write_word_2, read_words},
	    .finish = both_written,
	};
	(void)state;
	explore_holds(&what);
}

/* Two CPUs that have the page writable, while a snapshot's flush is on its way: who copies reads the source
 * only when nobody can store to it any more (contract 3.2). */

static uint64_t words[2];

static void setup_writable(void)
{
	setup_object(3);
}

static void take_and_look(void)
{
	KERNEL_OK(vmem_object_snapshot(object, 0, PAGES(4), &child));
	explore_enter();
	words[0] = content(child, 0, 1);
	words[1] = content(child, 0, 2);
	explore_leave();
}

static void none_is_lost(void)
{
	EXPLORE_CHECK(content(object, 0, 0) == OLD && content(object, 0, 1) == NEW &&
		      content(object, 0, 2) == NEW);
	EXPLORE_CHECK(content(child, 0, 0) == OLD && content(child, 0, 1) == words[0] &&
		      content(child, 0, 2) == words[1]);
}

static void test_flush_is_out(void **state)
{
	struct explore_case what = {
	    .name = "stores of two CPUs against a snapshot",
	    .preemptions = explore_is_long() ? 2 : 1,
	    .setup = setup_writable,
	    .thread = {take_and_look, write_word_1, write_word_2},
	    .finish = none_is_lost,
	};
	(void)state;
	explore_holds(&what);
}

/* A writer against a snapshot: what the snapshot has when it returns it has for ever. */

static void setup_unshared(void)
{
	setup_object(2);
}

static void write_and_write(void)
{
	store(space, 0, 0, NEW);
	store(space, 0, 0, NEW + 1);
}

/* A copy in flight meets a snapshot: the page is shared with one already. */
static struct vmem_object *elder;

static void setup_again(void)
{
	setup_shared(2);
	elder = child;
	child = NULL;
}

static void snapshots_stay(void)
{
	snapshot_stays();
	EXPLORE_CHECK(content(elder, 0, 0) == OLD && content(elder, 2, 0) == 0);
}

static void test_snapshot(void **state)
{
	struct explore_case what = {
	    .name = "stores against a snapshot",
	    .preemptions = 2,
	    .setup = setup_unshared,
	    .thread = {write_and_write, take_snapshot},
	    .finish = snapshot_stays,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a fault that fills against a snapshot";
	what.thread[0] = write_fresh_page;
	explore_holds(&what);
	what.name = "a copy-on-write fault against a second snapshot";
	what.setup = setup_again;
	what.thread[0] = write_and_write;
	what.finish = snapshots_stay;
	explore_holds(&what);
}

/* A copy in an object that another space maps too: that space sees the new frame. */

static void setup_two_mappings(void)
{
	setup_shared(2);
	second = world_space();
	world_map_object(second, AT, object, 4, RW, VMEM_MAP_SHARED);
	world_run(1, second);
	EXPLORE_CHECK(world_get(second, AT) == OLD);
	world_cpu(0);
	world_warm();
}

static void write_and_tell(void)
{
	store(space, 0, 0, NEW);
	tell(1);
	EXPLORE_CHECK(load(space, 0, 0) == NEW);
}

static void read_other_mapping(void)
{
	uint64_t first = load(second, 0, 0);
	uint32_t before = heard();
	uint64_t last = load(second, 0, 0);
	EXPLORE_CHECK((first == OLD || first == NEW) && (last == OLD || last == NEW));
	EXPLORE_CHECK((before == 0 && first == OLD) || last == NEW);
}

static void write_other_mapping(void)
{
	store(second, 0, 1, NEW);
}

static void both_see(void)
{
	EXPLORE_CHECK(load(space, 0, 0) == NEW && content(object, 0, 0) == NEW);
	EXPLORE_CHECK(content(child, 0, 0) == OLD && content(child, 0, 1) == 0);
	world_cpu(1);
	EXPLORE_CHECK(load(second, 0, 0) == NEW);
	world_cpu(0);
}

static void test_two_mappings(void **state)
{
	struct explore_case what = {
	    .name = "a copy against a reader through another mapping",
	    .preemptions = 2,
	    .setup = setup_two_mappings,
	    .thread = {write_and_tell, read_other_mapping},
	    .finish = both_see,
	};
	(void)state;
	explore_holds(&what);
	what.name = "copies through two mappings";
	what.thread[1] = write_other_mapping;
	explore_holds(&what);
}

/* The frame of zeroes is replaced when the first store comes. */

static void setup_zero(void)
{
	world_start(NULL);
	space = world_space();
	world_run(1, space);
	world_run(0, space);
	world_map(space, AT, 4, RW);
	EXPLORE_CHECK(world_get(space, AT) == 0);
	world_warm();
}

static void write_zero_page(void)
{
	store(space, 0, 0, NEW);
	EXPLORE_CHECK(load(space, 0, 0) == NEW);
	tell(1);
}

static void read_zero_page(void)
{
	uint64_t first = load(space, 0, 0);
	uint32_t before = heard();
	uint64_t last = load(space, 0, 0);
	EXPLORE_CHECK((first == 0 || first == NEW) && (last == 0 || last == NEW));
	EXPLORE_CHECK((before == 0 && first == 0) || last == NEW);
}

static void write_other_word(void)
{
	store(space, 0, 1, NEW);
}

static void zero_page_replaced(void)
{
	EXPLORE_CHECK(load(space, 0, 0) == NEW);
}

static void both_words(void)
{
	EXPLORE_CHECK(load(space, 0, 0) == NEW && load(space, 0, 1) == NEW);
}

static void test_zero_page(void **state)
{
	struct explore_case what = {
	    .name = "replacement of the zero page against a reader",
	    .preemptions = 2,
	    .setup = setup_zero,
	    .thread = {write_zero_page, read_zero_page},
	    .finish = zero_page_replaced,
	};
	(void)state;
	explore_holds(&what);
	what.name = "two replacements of the zero page";
	what.thread[1] = write_other_word;
	what.finish = both_words;
	explore_holds(&what);
}

/* A store that finds a load in its way, and then no permission any more: what was begun leaves the entry and
 * the index agreed, which the validator asks after each schedule. */

static struct vmem_object *shown;

static void setup_untouched(void)
{
	world_start(NULL);
	shown = NULL;
	tell(0);
	space = world_space();
	world_run(1, space);
	world_run(0, space);
	world_map(space, AT, 4, RW);
}

static void setup_leaf(void) /* the index has a leaf for it */
{
	setup_untouched();
	world_put(space, AT + PAGES(1), OLD);
	world_warm();
}

static void setup_private(void)
{
	world_start(NULL);
	tell(0);
	space = world_space();
	world_run(1, space);
	world_run(0, space);
	shown = world_object(4);
	const uint64_t zero = 0;
	EXPLORE_CHECK(vmem_object_write(shown, 0, &zero, sizeof(zero), NULL) == VMEM_OK);
	world_map_object(space, AT, shown, 4, RW, 0);
}

static void setup_private_leaf(void)
{
	setup_private();
	world_put(space, AT + PAGES(1), OLD);
	world_warm();
}

static void write_if_it_may(void)
{
	enum vmem_fault_result result = user_write(space, AT, NEW);
	EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_PERMISSION);
	tell(result == VMEM_FAULT_RESOLVED ? 1 : 2);
}

static void load_and_protect(void)
{
	(void)load(space, 0, 0);
	KERNEL_OK(vmem_vmar_protect(vmem_aspace_root(space), AT, PAGES(4), VMEM_READ));
}

static void all_agrees(void)
{
	EXPLORE_CHECK(load(space, 0, 0) == (heard() == 1 ? NEW : 0));
}

static void test_given_up(void **state)
{
	struct explore_case what = {
	    .name = "a store against a load and mprotect, no leaf of the index",
	    .preemptions = 2,
	    .setup = setup_untouched,
	    .thread = {write_if_it_may, load_and_protect},
	    .finish = all_agrees,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a copying store against a load and mprotect, no leaf of the index";
	what.setup = setup_private;
	explore_holds(&what);
	what.preemptions = 3; /* the load comes in between, and mprotect after the store has noticed */
	what.name = "a copying store against a load and mprotect";
	what.setup = setup_private_leaf;
	explore_holds(&what);
	what.name = "a store against a load and mprotect";
	what.setup = setup_leaf;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_two_copies),
	    cmocka_unit_test(test_copies_and_reader),
	    cmocka_unit_test(test_flush_is_out),
	    cmocka_unit_test(test_snapshot),
	    cmocka_unit_test(test_two_mappings),
	    cmocka_unit_test(test_zero_page),
	    cmocka_unit_test(test_given_up),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
