/* SPDX-License-Identifier: MIT */
/*
 * test_ends.c - the end of an object, which moves while others put content there.
 *
 * What is past the end does not exist: whoever asked where the end is, and then found the object shrunk, must
 * not leave a page behind. It would show when the object grows again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "content.h"

static const uint64_t new_word = NEW;

static void setup_two(void)
{
	setup_object(2);
}

static void setup_copied(void)
{
	setup_shared(2);
}

static void shrink(void)
{
	KERNEL_OK(vmem_object_resize(object, PAGES(1)));
}

static void in_or_out(vmem_status_t status)
{
	EXPLORE_CHECK(status == VMEM_OK || status == VMEM_ERR_RANGE);
}

static void kernel_write(void)
{
	explore_enter();
	in_or_out(vmem_object_write(object, PAGES(2), &new_word, sizeof(new_word), NULL));
	explore_leave();
}

static void kernel_write_over_the_end(void)
{
	uint64_t two[2] = {NEW, NEW};
	size_t done = 0;
	explore_enter();
	vmem_status_t status = vmem_object_write(object, PAGES(1) - 8, two, sizeof(two), &done);
	explore_leave();
	in_or_out(status);
	EXPLORE_CHECK(status == VMEM_OK ? done == 16 : done == 0 || done == 8);
}

static void kernel_read_over_the_end(void)
{
	uint64_t two[2] = {NEW, NEW};
	size_t done = 0;
	explore_enter();
	vmem_status_t status = vmem_object_read(object, PAGES(1) - 8, two, sizeof(two), &done);
	explore_leave();
	in_or_out(status);
	EXPLORE_CHECK(two[0] == (done >= 8 ? 0 : NEW) && two[1] == (done >= 16 ? OLD : NEW));
}

static void commit(void)
{
	explore_enter();
	in_or_out(vmem_object_commit(object, PAGES(1), PAGES(3)));
	explore_leave();
}

static void zero_a_part(void)
{
	explore_enter();
	in_or_out(vmem_object_zero(object, PAGES(1) + 8, 16));
	explore_leave();
}

static void decommit_and_look(void)
{
	vmem_paddr_t frame;
	explore_enter();
	in_or_out(vmem_object_decommit(object, PAGES(1), PAGES(1)));
	vmem_status_t status = vmem_object_frame(object, PAGES(1), &frame);
	explore_leave();
	EXPLORE_CHECK(status == VMEM_ERR_NOT_FOUND || status == VMEM_ERR_RANGE);
}

static void program_writes(void)
{
	enum vmem_fault_result result = user_write(space, AT + PAGES(1) + 8, NEW);
	EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_BEYOND_END);
}

static void nothing_past_the_end(void)
{
	struct vmem_object_info info;
	vmem_check();
	EXPLORE_CHECK(vmem_object_resize(object, PAGES(4)) == VMEM_OK);
	vmem_object_info(object, &info);
	EXPLORE_CHECK(info.resident == 1 && content(object, 0, 0) == OLD);
	for (uint64_t page = 1; page < 4; page++) {
		EXPLORE_CHECK(content(object, page, 0) == 0 && content(object, page, 1) == 0);
	}
	EXPLORE_CHECK(child == NULL || content(child, 1, 0) == OLD);
}

static void test_shrink(void **state)
{
	struct explore_case what = {
	    .name = "a write to an object that shrinks",
	    .preemptions = 2,
	    .setup = setup_two,
	    .thread = {kernel_write, shrink},
	    .finish = nothing_past_the_end,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a write over two pages of an object that shrinks";
	what.thread[0] = kernel_write_over_the_end;
	explore_holds(&what);
	what.name = "a read over two pages of an object that shrinks";
	what.thread[0] = kernel_read_over_the_end;
	explore_holds(&what);
	what.name = "a commit of what goes";
	what.thread[0] = commit;
	explore_holds(&what);
	what.name = "a decommit of what goes";
	what.thread[0] = decommit_and_look;
	explore_holds(&what);
}

static void test_shrink_copied(void **state)
{
	struct explore_case what = {
	    .name = "a part of a page of an object that shrinks",
	    .preemptions = 2,
	    .setup = setup_copied,
	    .thread = {zero_a_part, shrink},
	    .finish = nothing_past_the_end,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a copy-on-write fault on an object that shrinks";
	what.thread[0] = program_writes;
	explore_holds(&what);
}

/* The copies that a private mapping has made of what goes are gone with it, whoever reads them just now. */

static void setup_private(void)
{
	setup_object(2);
	world_map_object(space, AT + WINDOW, object, 4, RW, 0);
	world_put(space, AT + WINDOW + PAGES(1), NEW);
	EXPLORE_CHECK(vmem_vmar_protect(vmem_aspace_root(space), AT + WINDOW, PAGES(4), 0) == VMEM_OK);
	EXPLORE_CHECK(vmem_vmar_protect(vmem_aspace_root(space), AT + WINDOW, PAGES(4), RW) == VMEM_OK);
	world_warm();
}

static void read_copy(void)
{
	uint64_t value;
	enum vmem_fault_result result = user_read(space, AT + WINDOW + PAGES(1), &value);
	EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED ? value == NEW : result == VMEM_FAULT_BEYOND_END);
}

static void shrink_and_look(void)
{
	shrink();
	world_unreachable(space, AT + WINDOW + PAGES(1), 3);
}

static void no_copy_past_the_end(void)
{
	uint64_t value;
	EXPLORE_CHECK(user_read(space, AT + WINDOW + PAGES(1), &value) == VMEM_FAULT_BEYOND_END);
	nothing_past_the_end();
	EXPLORE_CHECK(load(space, WINDOW / VMEM_PAGE_SIZE + 1, 0) == 0);
}

static void test_shrink_private(void **state)
{
	struct explore_case what = {
	    .name = "a private copy of what goes",
	    .preemptions = 2,
	    .setup = setup_private,
	    .thread = {read_copy, shrink_and_look},
	    .finish = no_copy_past_the_end,
	};
	(void)state;
	explore_holds(&what);
}

/* A snapshot holds what was there at one moment: with what was written last, all that was written before. */

static void setup_short(void)
{
	setup_object(2);
	EXPLORE_CHECK(vmem_object_resize(object, PAGES(1)) == VMEM_OK);
}

static void grow_and_write(void)
{
	KERNEL_OK(vmem_object_resize(object, PAGES(4)));
	explore_enter();
	EXPLORE_CHECK(
	    vmem_object_write(object, PAGES(2), &new_word, sizeof(new_word), NULL) == VMEM_OK);
	explore_leave();
	store(space, 0, 0, NEW);
}

static void snapshot_whole(void)
{
	KERNEL_OK(vmem_object_snapshot(object, 0, PAGES(4), &child));
}

static void of_one_moment(void)
{
	uint64_t last = content(child, 0, 0), before = content(child, 2, 0);
	EXPLORE_CHECK(last == OLD || (last == NEW && before == NEW));
	EXPLORE_CHECK(before == 0 || before == NEW);
}

static void test_grow(void **state)
{
	struct explore_case what = {
	    .name = "a snapshot of an object that grows",
	    .preemptions = 2,
	    .setup = setup_short,
	    .thread = {snapshot_whole, grow_and_write},
	    .finish = of_one_moment,
	};
	(void)state;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_shrink),
	    cmocka_unit_test(test_shrink_copied),
	    cmocka_unit_test(test_shrink_private),
	    cmocka_unit_test(test_grow),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
