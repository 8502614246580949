/* SPDX-License-Identifier: MIT */
/*
 * test_advice.c - what enters pages that nobody has touched yet (fault-around), and what guards them, against
 * what changes them meanwhile. Each case checks in its threads what a call promises when it returns; the rest
 * is for world.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

#define AT UINT64_C(0x40000000)
#define OLD 11u
#define NEW 22u

static struct vmem_aspace *space;
static struct vmem_object *object, *relative;

static void begin(void)
{
	const struct world_options options = {.cpus = 2};
	world_start(&options);
	space = world_space();
	world_run(1, space);
	world_run(0, space);
}

/* Four pages of an object, with content and without entries. */
static void show(unsigned flags)
{
	begin();
	object = world_object(4);
	relative = NULL;
	for (uint64_t i = 0; i < 4; i++) {
		const uint64_t value = OLD;
		EXPLORE_CHECK(vmem_object_write(object, PAGES(i), &value, sizeof(value), NULL) == VMEM_OK);
	}
	world_map_object(space, AT, object, 4, RW, flags);
	world_warm();
}

static void setup_shared(void)
{
	show(VMEM_MAP_SHARED);
}

static void setup_private(void)
{
	show(0);
}

static void setup_memory(void)
{
	begin();
	world_map(space, AT, 4, RW);
	world_put(space, AT, OLD);
	world_warm();
}

static void read_first(void)
{
	uint64_t value = 0;
	EXPLORE_CHECK(user_read(space, AT, &value) == VMEM_FAULT_RESOLVED && value == OLD);
}

static void decommit_third(void)
{
	uint64_t value = 1;
	KERNEL_OK(vmem_object_decommit(object, PAGES(2), PAGES(1)));
	EXPLORE_CHECK(user_read(space, AT + PAGES(2), &value) == VMEM_FAULT_RESOLVED && value == 0);
}

static void third_is_empty(void)
{
	EXPLORE_CHECK(world_get(space, AT + PAGES(2)) == 0);
}

static void write_third(void)
{
	uint64_t value = 0;
	EXPLORE_CHECK(user_write(space, AT + PAGES(2), NEW) == VMEM_FAULT_RESOLVED);
	EXPLORE_CHECK(user_read(space, AT + PAGES(2), &value) == VMEM_FAULT_RESOLVED && value == NEW);
}

static void third_is_copied(void)
{
	uint64_t value = 0;
	EXPLORE_CHECK(world_get(space, AT + PAGES(2)) == NEW);
	EXPLORE_CHECK(vmem_object_read(object, PAGES(2), &value, sizeof(value), NULL) == VMEM_OK);
	EXPLORE_CHECK(value == OLD);
}

static void take_snapshot(void)
{
	KERNEL_OK(vmem_object_snapshot(object, 0, PAGES(4), &relative));
	world_unwritable(space, AT, 4);
}

static void relative_keeps(void)
{
	uint64_t value = 0;
	world_put(space, AT + PAGES(2), NEW);
	EXPLORE_CHECK(vmem_object_read(relative, PAGES(2), &value, sizeof(value), NULL) == VMEM_OK);
	EXPLORE_CHECK(value == OLD);
}

static void test_around(void **state)
{
	struct explore_case what = {
	    .name = "a read that enters its neighbours against decommit of one",
	    .preemptions = 2,
	    .setup = setup_shared,
	    .thread = {read_first, decommit_third},
	    .finish = third_is_empty,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a read that enters its neighbours against the first write to one";
	what.setup = setup_private;
	what.thread[1] = write_third;
	what.finish = third_is_copied;
	explore_holds(&what);
	what.name = "a read that enters its neighbours against a snapshot";
	what.setup = setup_shared;
	what.thread[1] = take_snapshot;
	what.finish = relative_keeps;
	explore_holds(&what);
}

static void write_second(void)
{
	enum vmem_fault_result result = user_write(space, AT + PAGES(1), NEW);
	EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_GUARD);
}

static void guard_two(void)
{
	uint64_t value;
	KERNEL_OK(vmem_vmar_guard(vmem_aspace_root(space), AT + PAGES(1), PAGES(2)));
	world_unreachable(space, AT + PAGES(1), 2);
	EXPLORE_CHECK(user_read(space, AT + PAGES(1), &value) == VMEM_FAULT_GUARD);
}

static void two_are_guarded(void)
{
	uint64_t value;
	EXPLORE_CHECK(user_read(space, AT + PAGES(1), &value) == VMEM_FAULT_GUARD);
	EXPLORE_CHECK(user_write(space, AT + PAGES(2), NEW) == VMEM_FAULT_GUARD);
	EXPLORE_CHECK(world_get(space, AT) == OLD);
}

static void test_guard(void **state)
{
	struct explore_case what = {
	    .name = "a guard against a write",
	    .preemptions = 2,
	    .setup = setup_memory,
	    .thread = {write_second, guard_two},
	    .finish = two_are_guarded,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a guard against a read that enters its neighbours";
	what.setup = setup_private;
	what.thread[0] = read_first;
	explore_holds(&what);
	what.name = "a guard of a shared page against a read that enters its neighbours";
	what.setup = setup_shared;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_around),
	    cmocka_unit_test(test_guard),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
