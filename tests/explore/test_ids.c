/* SPDX-License-Identifier: MIT */
/*
 * test_ids.c - address-space ids that run out while CPUs switch: a program never sees the memory of another
 * space, whatever its CPU still has under the id that it got.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

#define AT UINT64_C(0x40000000)
#define SPACES 6u
#define IDS 5u /* one more than CPUs: as few as there may be */

static struct vmem_aspace *spaces[SPACES];

static void setup(void)
{
	const struct world_options options = {.ids = IDS};
	world_start(&options);
	for (unsigned i = 0; i < SPACES; i++) {
		spaces[i] = world_space();
		world_map(spaces[i], AT, 1, RW);
	}
	for (unsigned i = 0; i < SPACES; i++) { /* each CPU has had each */
		world_run(i & 1, spaces[i]);
		world_put(spaces[i], AT, i + 1);
		world_warm();
	}
	world_cpu(0);
}

static void see(unsigned i)
{
	uint64_t value = 0;
	explore_enter();
	vmem_aspace_activate(spaces[i]);
	explore_leave();
	EXPLORE_CHECK(user_read(spaces[i], AT, &value) == VMEM_FAULT_RESOLVED);
	EXPLORE_CHECK(value == i + 1);
}

static void switch_a_lot(void)
{
	see(0);
	see(2);
	see(4);
}

static void switch_too(void)
{
	see(1);
	see(3);
}

static void switch_to_the_same(void)
{
	see(2);
	see(0);
}

static void all_see_their_own(void)
{
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		for (unsigned i = 0; i < SPACES; i++) {
			world_run(cpu, spaces[i]);
			EXPLORE_CHECK(world_get(spaces[i], AT) == i + 1);
		}
	}
	world_cpu(0);
}

static void test_rollover(void **state)
{
	struct explore_case what = {
	    .name = "roll-over of ids against a switch",
	    .preemptions = 2,
	    .setup = setup,
	    .thread = {switch_a_lot, switch_too},
	    .finish = all_see_their_own,
	};
	(void)state;
	explore_holds(&what);
	what.name = "roll-over of ids against a switch to the same spaces";
	what.thread[1] = switch_to_the_same;
	explore_holds(&what);
}

/* A removal in a space that gets another id meanwhile, and a CPU that comes to run it. */

static void unmap_there(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(spaces[2]), AT, PAGES(1)));
	world_unreachable(spaces[2], AT, 1);
}

static void come_and_read(void)
{
	uint64_t value = 0;
	see(1);
	explore_enter();
	vmem_aspace_activate(spaces[2]);
	explore_leave();
	enum vmem_fault_result result = user_read(spaces[2], AT, &value);
	EXPLORE_CHECK(result == VMEM_FAULT_NO_REGION || (result == VMEM_FAULT_RESOLVED && value == 3));
}

static void is_unmapped(void)
{
	uint64_t value = 0;
	world_run(0, spaces[2]);
	EXPLORE_CHECK(user_read(spaces[2], AT, &value) == VMEM_FAULT_NO_REGION);
}

static void test_unmap_and_switch(void **state)
{
	struct explore_case what = {
	    .name = "unmap against a CPU that begins to run the space",
	    .preemptions = 2,
	    .setup = setup,
	    .thread = {unmap_there, come_and_read},
	    .finish = is_unmapped,
	};
	(void)state;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rollover),
	    cmocka_unit_test(test_unmap_and_switch),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
