/* SPDX-License-Identifier: MIT */
/*
 * test_fork.c - a fork, and a store by another CPU to the space that is forked (contract 3.1, 3.2): what the
 * child has when the call has returned it keeps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "content.h"

static struct vmem_aspace *forked;

/* Two pages of private memory, written; the entries that show them may be writable. */
static void setup_private(void)
{
	const struct world_options options = {.cpus = 2};
	world_start(&options);
	forked = NULL;
	space = world_space();
	world_run(1, space);
	world_run(0, space);
	world_map(space, AT, 4, RW);
	world_put(space, AT, OLD);
	world_put(space, AT + PAGES(1), OLD);
	world_warm();
}

/* The same, shared with a child before, which has gone: the table is parked, and the pages are ours. */
static void setup_parked(void)
{
	struct vmem_aspace *gone;
	setup_private();
	KERNEL_OK(vmem_aspace_fork(space, &gone));
	KERNEL(vmem_aspace_destroy(gone));
}

static void write_two(void)
{
	store(space, 0, 0, NEW);
	store(space, 1, 0, NEW);
}

static void fork_space(void)
{
	struct vmem_aspace *made;
	KERNEL_OK(vmem_aspace_fork(space, &made));
	forked = made;
}

/* A store that came before the other in the parent is in the child if that is. */
static void child_stays(void)
{
	world_put(space, AT, NEW + 1);
	world_put(space, AT + PAGES(1), NEW + 1);
	world_run(0, forked);
	uint64_t first = load(forked, 0, 0), second_page = load(forked, 1, 0);
	EXPLORE_CHECK(first == OLD || first == NEW);
	EXPLORE_CHECK(second_page == OLD || (second_page == NEW && first == NEW));
}

static void test_fork_and_store(void **state)
{
	struct explore_case what = {
	    .name = "a store against a fork",
	    .preemptions = 2,
	    .setup = setup_private,
	    .thread = {write_two, fork_space},
	    .finish = child_stays,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a store against a fork, in a window that was set aside";
	what.setup = setup_parked;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fork_and_store),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
