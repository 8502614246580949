/* SPDX-License-Identifier: MIT */
/*
 * test_relatives.c - stores that share nodes of their indexes: who copies a path, who looks through one, who
 * drops the last reference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "content.h"

static void setup_unshared(void)
{
	setup_object(2);
}

/* A writer that found its node exclusive, a snapshot, and a path copy that hands the node to the child. */

static void snapshot_and_write(void)
{
	take_snapshot();
	store(space, 1, 0, NEW);
}

static void handed_over(void)
{
	EXPLORE_CHECK(content(child, 1, 0) == OLD && content(object, 1, 0) == NEW);
	snapshot_stays();
}

static void test_node_handed_over(void **state)
{
	struct explore_case what = {
	    .name = "a writer of a node that a snapshot hands to the child",
	    .preemptions = 2,
	    .setup = setup_unshared,
	    .thread = {write_fresh_page, snapshot_and_write},
	    .finish = handed_over,
	};
	(void)state;
	explore_holds(&what);
}

/* Two stores that share nodes, each in a space and on a CPU of its own. */

static void setup_relatives(void)
{
	setup_shared(2);
	second = world_space();
	world_map_object(second, AT, child, 4, RW, VMEM_MAP_SHARED);
	world_run(1, second);
	EXPLORE_CHECK(world_get(second, AT) == OLD);
	world_cpu(0);
	world_warm();
}

static void write_first(void)
{
	store(space, 0, 0, NEW);
}

static void write_second(void)
{
	store(second, 0, 0, NEW + 1);
}

static void write_second_page(void)
{
	store(second, 1, 0, NEW + 1);
}

static void first_and_second(void)
{
	EXPLORE_CHECK(content(object, 0, 0) == NEW && content(child, 0, 0) == NEW + 1);
	EXPLORE_CHECK(load(space, 0, 0) == NEW && content(object, 1, 0) == OLD);
}

static void both_pages(void)
{
	EXPLORE_CHECK(content(object, 0, 0) == NEW && content(child, 0, 0) == OLD);
	EXPLORE_CHECK(content(object, 1, 0) == OLD && content(child, 1, 0) == NEW + 1);
}

static void test_path_copies(void **state)
{
	struct explore_case what = {
	    .name = "path copy against path copy, one page",
	    .preemptions = 2,
	    .setup = setup_relatives,
	    .thread = {write_first, write_second},
	    .finish = first_and_second,
	};
	(void)state;
	explore_holds(&what);
	what.name = "path copy against path copy, two pages";
	what.thread[1] = write_second_page;
	what.finish = both_pages;
	explore_holds(&what);
}

/* Two windows of one store, each of whose first stores copies the root that they have in common. */
#define FAR 64u /* pages: another leaf of the index */

static void setup_windows(void)
{
	world_start(NULL);
	space = world_space();
	world_run(1, space);
	world_run(0, space);
	object = world_object(2 * FAR);
	world_map_object(space, AT, object, 2 * FAR, RW, VMEM_MAP_SHARED);
	world_watch(AT + PAGES(FAR), 1);
	world_put(space, AT, OLD);
	world_put(space, AT + PAGES(FAR), OLD);
	child = world_snapshot(object, 2 * FAR);
	world_warm();
}

static void write_far(void)
{
	store(space, FAR, 0, NEW);
}

static void both_windows(void)
{
	EXPLORE_CHECK(content(object, 0, 0) == NEW && content(object, FAR, 0) == NEW);
	EXPLORE_CHECK(content(child, 0, 0) == OLD && content(child, FAR, 0) == OLD);
}

static void test_two_windows(void **state)
{
	struct explore_case what = {
	    .name = "two copies of one root",
	    .preemptions = 2,
	    .setup = setup_windows,
	    .thread = {write_first, write_far},
	    .finish = both_windows,
	};
	(void)state;
	explore_holds(&what);
}

/* A reader that walked the old path, while its own store copies it and the relative comes to own the nodes
 * alone and changes them. */

static void setup_three_relatives(void)
{
	setup_shared(3);
	second = world_space();
	world_map_object(second, AT, child, 4, RW, VMEM_MAP_SHARED);
	world_run(2, second);
	world_run(1, second);
	world_cpu(0);
	world_warm();
}

static void read_second(void)
{
	EXPLORE_CHECK(load(second, 0, 0) == OLD);
	EXPLORE_CHECK(load(second, 0, 0) == OLD);
}

static void stays_old(void)
{
	both_pages();
	EXPLORE_CHECK(world_get(space, AT) == NEW);
	world_cpu(1);
	EXPLORE_CHECK(load(second, 0, 0) == OLD);
	world_cpu(0);
}

static void test_old_path(void **state)
{
	struct explore_case what = {
	    .name = "a look-up through a path that changes owners",
	    .preemptions = 2,
	    .setup = setup_three_relatives,
	    .thread = {write_first, read_second, write_second_page},
	    .finish = stays_old,
	};
	(void)state;
	explore_holds(&what);
}

/* Both give up what they share: the last one frees it, and no CPU has it then. */

static void unmap_first(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT, PAGES(4)));
	world_unreachable(space, AT, 4);
	explore_enter();
	vmem_object_release(object);
	explore_leave();
}

static void unmap_second(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(second), AT, PAGES(4)));
	world_unreachable(second, AT, 4);
	explore_enter();
	vmem_object_release(child);
	explore_leave();
}

static void none_left(void)
{
	struct vmem_frame_stats stats;
	vmem_frame_stats(&stats);
	EXPLORE_CHECK(stats.data == 0);
}

static void test_last_reference(void **state)
{
	struct explore_case what = {
	    .name = "two relatives drop what they share",
	    .preemptions = 2,
	    .setup = setup_relatives,
	    .thread = {unmap_first, unmap_second},
	    .finish = none_left,
	};
	(void)state;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_node_handed_over),
	    cmocka_unit_test(test_path_copies),
	    cmocka_unit_test(test_two_windows),
	    cmocka_unit_test(test_old_path),
	    cmocka_unit_test(test_last_reference),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
