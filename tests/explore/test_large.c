/* SPDX-License-Identifier: MIT */
/*
 * test_large.c - faults that enter large leaves, against what takes their region away.
 *
 * What such a fault has made on its way and does not need goes again: the validator, which runs after every
 * schedule, finds a table that nobody uses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

#define AT UINT64_C(0x40000000)
#define DEVICE UINT64_C(0x4000000000) /* nothing is there: no program gets that far */

static struct vmem_aspace *space;
static struct vmem_object *device;

/* A window of a device that one leaf can show, in a gigabyte without tables. */
static void setup_device(void)
{
	world_start(NULL);
	space = world_space();
	world_run(1, space);
	world_run(0, space);
	EXPLORE_CHECK(
	    vmem_object_create_physical(DEVICE, WINDOW, VMEM_UNCACHED, &device) == VMEM_OK);
	world_map_object(space, AT, device, WINDOW / VMEM_PAGE_SIZE, VMEM_READ, VMEM_MAP_SHARED);
}

static void touch(void)
{
	explore_enter();
	enum vmem_fault_result result = vmem_fault(space, AT, VMEM_READ);
	explore_leave();
	EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_NO_REGION);
}

static void unmap(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT, WINDOW));
	world_unreachable(space, AT, 1);
}

static void nothing_is_left(void)
{
	struct vmem_aspace_stats stats;
	vmem_aspace_stats(space, &stats);
	EXPLORE_CHECK(stats.tables == 1);
}

static void test_device(void **state)
{
	struct explore_case what = {
	    .name = "a large leaf of a device against unmap",
	    .preemptions = 2,
	    .setup = setup_device,
	    .thread = {touch, unmap},
	    .finish = nothing_is_left,
	};
	(void)state;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_device),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
