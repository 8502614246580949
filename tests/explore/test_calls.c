/* SPDX-License-Identifier: MIT */
/*
 * test_calls.c - what a program calls on its memory against what its other threads do there: contents dropped
 * in place, pages made present, stacks that grow, a fork while the layout changes. Each case says in its
 * threads what a call promises when it returns; the rest is for world.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "content.h"

#define ELSEWHERE (AT + WINDOW)

static void begin(void)
{
	world_start(NULL);
	tell(0);
	space = world_space();
	world_run(1, space);
	world_run(0, space);
}

static void setup_private(void)
{
	begin();
	world_map(space, AT, 4, RW);
	world_put(space, AT, OLD);
	world_put(space, AT + PAGES(1), OLD);
	world_warm();
}

/* Content dropped in place: what was stored before it is gone, what is stored afterwards stays. */

static uint32_t written_before;

static void write_page(void)
{
	store(space, 1, 0, NEW);
	tell(1);
}

static void drop_content(void)
{
	written_before = heard();
	KERNEL_OK(vmem_vmar_decommit(vmem_aspace_root(space), AT, PAGES(4)));
}

static void dropped_or_new(void)
{
	uint64_t value = load(space, 1, 0);
	EXPLORE_CHECK(load(space, 0, 0) == 0);
	EXPLORE_CHECK(value == 0 || (value == NEW && written_before == 0));
}

/* After the drop nobody sees what was there, whatever his CPU remembers. */
static void read_twice(void)
{
	uint32_t before = heard();
	uint64_t first = load(space, 0, 0), last = load(space, 0, 0);
	EXPLORE_CHECK(first == (before != 0 ? 0 : first) && (last == 0 || last == first));
}

static void drop_and_tell(void)
{
	drop_content();
	tell(1);
}

static void is_dropped(void)
{
	EXPLORE_CHECK(load(space, 0, 0) == 0 && load(space, 1, 0) == 0);
}

static void test_drop(void **state)
{
	struct explore_case what = {
	    .name = "content dropped in place against a store",
	    .preemptions = 2,
	    .setup = setup_private,
	    .thread = {write_page, drop_content},
	    .finish = dropped_or_new,
	};
	(void)state;
	explore_holds(&what);
	what.name = "content dropped in place against a reader";
	what.thread[0] = read_twice;
	what.thread[1] = drop_and_tell;
	what.finish = is_dropped;
	explore_holds(&what);
}

/* Pages made present, while the object loses its end. */

static void setup_object_alone(void)
{
	begin();
	object = world_object(4);
	world_put(space, world_map_object(space, AT, object, 4, RW, VMEM_MAP_SHARED) + PAGES(2), OLD);
	world_watch(ELSEWHERE + PAGES(2), 1);
	world_warm();
}

static void map_present(void)
{
	const struct vmem_map map = {
	    .length = PAGES(4),
	    .permission = RW,
	    .maximum = RW,
	    .flags = VMEM_MAP_SHARED | VMEM_MAP_POPULATE,
	    .place = VMEM_PLACE_FIXED,
	    .address = ELSEWHERE,
	    .object = object,
	};
	vmem_vaddr_t start;
	KERNEL_OK(vmem_vmar_map(vmem_aspace_root(space), &map, &start));
}

static void cut_object(void)
{
	KERNEL_OK(vmem_object_resize(object, PAGES(1)));
	world_unreachable(space, AT + PAGES(1), 3);
	world_unreachable(space, ELSEWHERE + PAGES(1), 3);
}

static void end_is_gone(void)
{
	uint64_t value;
	EXPLORE_CHECK(user_read(space, ELSEWHERE, &value) == VMEM_FAULT_RESOLVED);
	for (uint64_t i = 1; i < 4; i++) {
		EXPLORE_CHECK(user_read(space, ELSEWHERE + PAGES(i), &value) == VMEM_FAULT_BEYOND_END);
		EXPLORE_CHECK(user_read(space, AT + PAGES(i), &value) == VMEM_FAULT_BEYOND_END);
	}
}

static void test_populate(void **state)
{
	struct explore_case what = {
	    .name = "pages made present against an object that loses them",
	    .preemptions = 2,
	    .setup = setup_object_alone,
	    .thread = {map_present, cut_object},
	    .finish = end_is_gone,
	};
	(void)state;
	explore_holds(&what);
}

/* A stack that grows, and a mapping that comes where it wants to go. */

static enum vmem_fault_result grown;

static void setup_stack(void)
{
	const struct vmem_map map = {
	    .length = PAGES(2),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = AT + PAGES(8),
	    .attributes = VMEM_REGION_GROWS_DOWN,
	};
	vmem_vaddr_t start;
	begin();
	EXPLORE_CHECK(vmem_vmar_map(vmem_aspace_root(space), &map, &start) == VMEM_OK);
	world_put(space, AT + PAGES(8), OLD);
	world_watch(AT + PAGES(6), 3);
	world_warm();
}

static void grow_stack(void)
{
	grown = user_write(space, AT + PAGES(7), NEW);
	EXPLORE_CHECK(grown == VMEM_FAULT_RESOLVED || grown == VMEM_FAULT_NO_REGION);
}

static vmem_status_t placed;

static void map_below(void)
{
	const struct vmem_map map = {
	    .length = PAGES(2),
	    .permission = VMEM_READ,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = AT + PAGES(6),
	};
	vmem_vaddr_t start;
	explore_enter();
	placed = vmem_vmar_map(vmem_aspace_root(space), &map, &start);
	explore_leave();
	EXPLORE_CHECK(placed == VMEM_OK || placed == VMEM_ERR_EXISTS);
}

/* One of the two has it: a store to what was mapped first would be refused for its permission. */
static void one_has_it(void)
{
	uint64_t value = 0;
	EXPLORE_CHECK((grown == VMEM_FAULT_RESOLVED) == (placed == VMEM_ERR_EXISTS));
	EXPLORE_CHECK(user_read(space, AT + PAGES(7), &value) == VMEM_FAULT_RESOLVED);
	EXPLORE_CHECK(value == (grown == VMEM_FAULT_RESOLVED ? NEW : 0));
	EXPLORE_CHECK(load(space, 8, 0) == OLD);
}

static void grow_or_refused(void)
{
	grown = user_write(space, AT + PAGES(7), NEW);
	EXPLORE_CHECK(grown == VMEM_FAULT_RESOLVED || grown == VMEM_FAULT_PERMISSION);
}

static void test_stack(void **state)
{
	struct explore_case what = {
	    .name = "a stack that grows against a mapping in its way",
	    .preemptions = 2,
	    .setup = setup_stack,
	    .thread = {grow_or_refused, map_below},
	    .finish = one_has_it,
	};
	(void)state;
	explore_holds(&what);
	what.name = "two that let one stack grow";
	what.thread[0] = grow_stack;
	what.thread[1] = grow_stack;
	placed = VMEM_ERR_EXISTS;
	explore_holds(&what);
}

/* A fork, while another thread takes away what is to be passed on, or the permission to write to it. */

static struct vmem_aspace *forked;

static void setup_forks(void)
{
	setup_private();
	forked = NULL;
}

static void fork_it(void)
{
	struct vmem_aspace *made;
	KERNEL_OK(vmem_aspace_fork(space, &made));
	forked = made;
}

static void unmap_and_tell(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT + PAGES(1), PAGES(1)));
	world_unreachable(space, AT + PAGES(1), 1);
}

static void protect_and_tell(void)
{
	KERNEL_OK(vmem_vmar_protect(vmem_aspace_root(space), AT, PAGES(4), VMEM_READ));
	world_unwritable(space, AT, 4);
}

static void child_has_all_or_less(void)
{
	uint64_t value = 0;
	EXPLORE_CHECK(user_read(space, AT + PAGES(1), &value) == VMEM_FAULT_NO_REGION);
	EXPLORE_CHECK(load(space, 0, 0) == OLD);
	size_t got = vmem_copy_from_user(forked, &value, AT + PAGES(1), sizeof(value));
	EXPLORE_CHECK(got == 0 || (got == sizeof(value) && value == OLD));
	EXPLORE_CHECK(vmem_copy_from_user(forked, &value, AT, sizeof(value)) == sizeof(value));
	EXPLORE_CHECK(value == OLD);
}

static void child_has_content(void)
{
	uint64_t value = NEW;
	EXPLORE_CHECK(user_write(space, AT, NEW) == VMEM_FAULT_PERMISSION);
	(void)vmem_copy_to_user(forked, AT, &value, sizeof(value));
	EXPLORE_CHECK(load(space, 0, 0) == OLD && load(space, 1, 0) == OLD);
	EXPLORE_CHECK(vmem_copy_from_user(forked, &value, AT + PAGES(1), sizeof(value)) == sizeof(value));
	EXPLORE_CHECK(value == OLD);
}

static void test_fork_and_layout(void **state)
{
	struct explore_case what = {
	    .name = "a fork against an unmapping",
	    .preemptions = 2,
	    .setup = setup_forks,
	    .thread = {fork_it, unmap_and_tell},
	    .finish = child_has_all_or_less,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a fork against a protection";
	what.thread[1] = protect_and_tell;
	what.finish = child_has_content;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_drop),
	    cmocka_unit_test(test_populate),
	    cmocka_unit_test(test_stack),
	    cmocka_unit_test(test_fork_and_layout),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
