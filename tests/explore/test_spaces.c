/* SPDX-License-Identifier: MIT */
/*
 * test_spaces.c - spaces that fork and mappings that move while programs run in them.
 *
 * A store is in the child or it is not, and stays so; in the parent it is always. What a region does not
 * pass on stays the parent's alone. What moves takes all its content along.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "content.h"

#define RING (AT + PAGES(8)) /* a page that is not passed on */
#define ELSEWHERE (AT + WINDOW)

static struct vmem_aspace *forked;
static uint64_t inherited[2]; /* words 1 and 2 of the first page, as the child has them when it is there */

static void setup_private(unsigned cpus)
{
	const struct world_options options = {.cpus = cpus};
	world_start(&options);
	tell(0);
	forked = NULL;
	space = world_space();
	for (unsigned cpu = cpus; cpu-- > 0;) {
		world_run(cpu, space);
	}
	world_map(space, AT, 2, RW);
	world_put(space, AT, OLD);
}

static void setup_two(void)
{
	setup_private(2);
	world_warm();
}

static uint64_t child_word(uint64_t word)
{
	uint64_t value = 1;
	EXPLORE_CHECK(vmem_copy_from_user(forked, &value, AT + 8 * word, sizeof(value)) == sizeof(value));
	return value;
}

static void fork_space(void)
{
	KERNEL_OK(vmem_aspace_fork(space, &forked));
	explore_enter();
	inherited[0] = child_word(1);
	inherited[1] = child_word(2);
	explore_leave();
}

static void write_word_1(void)
{
	store(space, 0, 1, NEW);
	EXPLORE_CHECK(load(space, 0, 1) == NEW);
}

static void child_stays(void)
{
	EXPLORE_CHECK(load(space, 0, 0) == OLD && load(space, 0, 1) == NEW);
	EXPLORE_CHECK(child_word(0) == OLD && child_word(1) == inherited[0] && child_word(2) == inherited[1]);
	store(space, 0, 0, NEW);
	EXPLORE_CHECK(child_word(0) == OLD && load(space, 0, 0) == NEW);
}

static void test_store(void **state)
{
	struct explore_case what = {
	    .name = "a store against a fork",
	    .preemptions = 2,
	    .setup = setup_two,
	    .thread = {fork_space, write_word_1},
	    .finish = child_stays,
	};
	(void)state;
	explore_holds(&what);
}

/* What is not passed on (contract 2.2). */

static uint64_t ring_frame;

static void setup_ring(void)
{
	struct vmem_translation at = {0};
	setup_private(2);
	world_map(space, RING, 1, RW);
	world_put(space, RING, OLD);
	EXPLORE_CHECK(vmem_vmar_set_attributes(
			  vmem_aspace_root(space), RING, PAGES(1), VMEM_REGION_NO_FORK, 0) == VMEM_OK);
	EXPLORE_CHECK(vmem_aspace_translate(space, RING, &at));
	ring_frame = at.physical;
	world_warm();
}

static void write_ring(void)
{
	store(space, 8, 0, NEW);
	store(space, 8, 1, NEW);
}

static void ring_is_the_parents(void)
{
	struct vmem_translation at = {0};
	uint64_t value = 0;
	EXPLORE_CHECK(load(space, 8, 0) == NEW && load(space, 8, 1) == NEW);
	EXPLORE_CHECK(vmem_copy_from_user(forked, &value, RING, sizeof(value)) == 0);
	EXPLORE_CHECK(vmem_aspace_translate(space, RING, &at) && at.physical == ring_frame);
	world_map(forked, RING, 1, RW);
	EXPLORE_CHECK(
	    vmem_copy_from_user(forked, &value, RING, sizeof(value)) == sizeof(value) && value == 0);
}

static void test_not_passed_on(void **state)
{
	struct explore_case what = {
	    .name = "a store to what a fork does not pass on",
	    .preemptions = 2,
	    .setup = setup_ring,
	    .thread = {fork_space, write_ring},
	    .finish = ring_is_the_parents,
	};
	(void)state;
	explore_holds(&what);
}

/* Two CPUs in one of the spaces, one in the other, of which nobody has written since the fork. */

static void setup_forked(bool third_in_child)
{
	setup_private(3);
	world_put(space, AT + PAGES(1), OLD);
	EXPLORE_CHECK(vmem_aspace_fork(space, &forked) == VMEM_OK);
	world_watch(AT, 2);
	if (third_in_child) {
		world_run(1, forked);
	}
	world_run(2, forked);
	world_cpu(0);
	world_warm();
}

static void write_parent(void)
{
	store(space, 0, 0, NEW);
}

static void write_child(void)
{
	store(forked, 0, 0, NEW + 1);
}

static void write_child_second(void)
{
	store(forked, 1, 0, NEW + 1);
}

static void read_parent(void)
{
	uint64_t first = load(space, 0, 0), last = load(space, 0, 0);
	EXPLORE_CHECK(first == OLD || first == NEW);
	EXPLORE_CHECK(last == NEW || (first == OLD && last == OLD));
}

static void read_child(void)
{
	EXPLORE_CHECK(load(forked, 0, 0) == OLD);
	EXPLORE_CHECK(load(forked, 0, 0) == OLD);
}

static void expect(struct vmem_aspace *in, uint64_t page, uint64_t wanted)
{
	uint64_t value = 0;
	EXPLORE_CHECK(vmem_copy_from_user(in, &value, AT + PAGES(page), sizeof(value)) == sizeof(value));
	EXPLORE_CHECK(value == wanted);
}

static void first_pages_differ(void)
{
	expect(space, 0, NEW);
	expect(forked, 0, NEW + 1);
	expect(space, 1, OLD);
	expect(forked, 1, OLD);
}

static void both_pages_differ(void)
{
	expect(space, 0, NEW);
	expect(forked, 0, OLD);
	expect(space, 1, OLD);
	expect(forked, 1, NEW + 1);
}

static void setup_two_in_parent(void)
{
	setup_forked(false);
}

static void setup_two_in_child(void)
{
	setup_forked(true);
}

/* All CPUs in the child, which has no entries yet; the parent holds the only other reference. */
static void setup_child_alone(void)
{
	setup_private(2);
	EXPLORE_CHECK(vmem_aspace_fork(space, &forked) == VMEM_OK);
	world_watch(AT, 2);
	world_run(1, forked);
	world_run(0, forked);
	world_warm();
}

static void setup_child_has_path(void)
{
	setup_child_alone();
	world_put(forked, AT + PAGES(1), OLD);
	world_warm();
}

static void read_and_drop_parents(void)
{
	uint64_t first = load(forked, 0, 0);
	EXPLORE_CHECK(first == OLD || first == NEW + 1);
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT, PAGES(1)));
	EXPLORE_CHECK(load(forked, 0, 0) == NEW + 1 || first == OLD);
}

static void child_has_its_own(void)
{
	expect(forked, 0, NEW + 1);
	EXPLORE_CHECK(load(forked, 0, 0) == NEW + 1);
}

/* A copy that finds no entry, while a read enters the page that is to be replaced (X7): the reference to it
 * that the copy gives back may be the last one. */
static void test_replaced(void **state)
{
	struct explore_case what = {
	    .name = "a copy where no entry is, and a reader who drops the other reference",
	    .preemptions = 2,
	    .setup = setup_child_alone,
	    .thread = {write_child, read_and_drop_parents},
	    .finish = child_has_its_own,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a copy without an entry, the path is the child's, and a reader who drops the other";
	what.setup = setup_child_has_path;
	explore_holds(&what);
	what = (struct explore_case){
	    .name = "a copy, a reader, and the other space",
	    .preemptions = 2,
	    .setup = setup_two_in_parent,
	    .thread = {write_parent, read_parent, write_child},
	    .finish = first_pages_differ,
	};
	explore_holds(&what);
}

/* A reader that walked the old path of the child, which the parent comes to own alone (contract 1.2). */
static void test_old_path(void **state)
{
	struct explore_case what = {
	    .name = "a path that changes owners after a fork",
	    .preemptions = 2,
	    .setup = setup_two_in_child,
	    .thread = {write_parent, read_child, write_child_second},
	    .finish = both_pages_differ,
	};
	(void)state;
	explore_holds(&what);
}

/* A mapping that moves, and another one that comes where it was (contract 2.1). */

static void move_and_map(void)
{
	const struct vmem_map to = {.length = PAGES(2), .place = VMEM_PLACE_FIXED, .address = ELSEWHERE};
	const struct vmem_map map = {
	    .length = PAGES(2),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = AT,
	};
	vmem_vaddr_t start;
	KERNEL_OK(vmem_vmar_move(vmem_aspace_root(space), AT, PAGES(2), &to, 0, &start));
	tell(1);
	KERNEL_OK(vmem_vmar_map(vmem_aspace_root(space), &map, &start));
	tell(2);
}

static uint32_t told_before;
static enum vmem_fault_result answer;

static void write_moving(void)
{
	told_before = heard();
	answer = user_write(space, AT + 8, NEW);
	EXPLORE_CHECK(answer == VMEM_FAULT_RESOLVED || answer == VMEM_FAULT_NO_REGION);
	EXPLORE_CHECK(told_before != 2 || answer == VMEM_FAULT_RESOLVED);
}

static void moved_with_content(void)
{
	uint64_t old = 0, here = 0, there = 0;
	EXPLORE_CHECK(user_read(space, ELSEWHERE, &old) == VMEM_FAULT_RESOLVED && old == OLD);
	EXPLORE_CHECK(user_read(space, ELSEWHERE + 8, &there) == VMEM_FAULT_RESOLVED);
	EXPLORE_CHECK(user_read(space, AT + 8, &here) == VMEM_FAULT_RESOLVED);
	EXPLORE_CHECK(load(space, 0, 0) == 0);
	if (answer == VMEM_FAULT_NO_REGION) {
		EXPLORE_CHECK(here == 0 && there == 0);
	} else { /* in one of the two */
		EXPLORE_CHECK((here == NEW && there == 0) || (here == 0 && there == NEW));
		EXPLORE_CHECK(told_before == 0 || here == NEW);
	}
}

static void test_move(void **state)
{
	struct explore_case what = {
	    .name = "a store against a move",
	    .preemptions = 2,
	    .setup = setup_two,
	    .thread = {move_and_map, write_moving},
	    .finish = moved_with_content,
	};
	(void)state;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_store),
	    cmocka_unit_test(test_not_passed_on),
	    cmocka_unit_test(test_replaced),
	    cmocka_unit_test(test_old_path),
	    cmocka_unit_test(test_move),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
