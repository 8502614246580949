/* SPDX-License-Identifier: MIT */
/*
 * test_lineage.c - what relatives say of a page that they share: where it is shown, and who counts it, while
 * the family changes and the page is replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "content.h"
#include "region.h"

static struct vmem_aspace *parent, *middle, *youngest, *made;

/* A space with two pages that were written, and its child, and that one's. */
static void setup_generations(void)
{
	world_start(NULL);
	tell(0);
	made = NULL;
	parent = world_space();
	world_run(1, parent);
	world_run(0, parent);
	world_map(parent, AT, 2, RW);
	world_put(parent, AT, OLD);
	world_put(parent, AT + PAGES(1), OLD);
	EXPLORE_CHECK(vmem_aspace_fork(parent, &middle) == VMEM_OK);
	EXPLORE_CHECK(vmem_aspace_fork(middle, &youngest) == VMEM_OK);
}

static uint64_t word_of(struct vmem_aspace *in, uint64_t page)
{
	uint64_t value = 0;
	EXPLORE_CHECK(vmem_copy_from_user(in, &value, AT + PAGES(page), sizeof(value)) == sizeof(value));
	return value;
}

/* Reverse maps (contract 1.5): the parent goes, whose pages are handed over, while the child forks again and
 * copies one of them. */

static void setup_three_generations(void)
{
	setup_generations();
	world_run(1, middle);
	world_run(0, NULL);
	world_warm();
}

static void end_parent(void)
{
	KERNEL(vmem_aspace_destroy(parent));
}

static void fork_and_write(void)
{
	KERNEL_OK(vmem_aspace_fork(middle, &made));
	store(middle, 0, 0, NEW);
}

struct places {
	struct vmem_aspace *in;
	uint64_t va;
	unsigned found;
};

static void note_place(void *arg, struct region *region, vmem_vaddr_t va)
{
	struct places *places = arg;
	places->found += region->aspace == places->in && va == places->va;
}

static void expect_place(struct vmem_aspace *in, uint64_t page)
{
	struct vmem_translation at = {0};
	struct places places = {.in = in, .va = AT + PAGES(page)};
	EXPLORE_CHECK(vmem_aspace_translate(in, places.va, &at));
	vmem_page_translations(pa_to_page(at.physical), note_place, &places);
	EXPLORE_CHECK(places.found == 1);
}

static void all_are_found(void)
{
	struct vmem_aspace *const of[] = {middle, youngest, made};
	for (unsigned i = 0; i < 3; i++) {
		EXPLORE_CHECK(word_of(of[i], 0) == (of[i] == middle ? NEW : OLD) && word_of(of[i], 1) == OLD);
		expect_place(of[i], 0);
		expect_place(of[i], 1);
	}
}

static void test_reverse_map(void **state)
{
	struct explore_case what = {
	    .name = "pages whose first space goes, while the next one forks",
	    .preemptions = 2,
	    .setup = setup_three_generations,
	    .thread = {end_parent, fork_and_write},
	    .finish = all_are_found,
	};
	(void)state;
	explore_holds(&what);
}

/* A page in a slot is replaced (contract 1.4), while the only other one who has it gives it up, and a child
 * copies the leaf that the slot is in. */

static void setup_one_slot(void)
{
	setup_generations();
	world_put(parent, AT + PAGES(1), OLD); /* the leaf is the parent's now, its first page shared */
	EXPLORE_CHECK(vmem_vmar_unmap(vmem_aspace_root(middle), AT, PAGES(1)) == VMEM_OK);
	world_warm();
}

static void replace_page(void)
{
	store(parent, 0, 1, NEW);
}

static uint64_t inherited;

static void drop_fork_and_copy(void)
{
	const uint64_t value = NEW + 1;
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(youngest), AT, PAGES(1)));
	KERNEL_OK(vmem_aspace_fork(parent, &made));
	explore_enter();
	EXPLORE_CHECK(vmem_copy_to_user(made, AT + PAGES(1), &value, sizeof(value)) == sizeof(value));
	EXPLORE_CHECK(vmem_copy_from_user(made, &inherited, AT + 8, sizeof(inherited)) == sizeof(inherited));
	explore_leave();
}

static void slots_are_right(void)
{
	uint64_t second_word = 0;
	EXPLORE_CHECK(inherited == 0 || inherited == NEW);
	EXPLORE_CHECK(word_of(parent, 0) == OLD && word_of(parent, 1) == OLD);
	EXPLORE_CHECK(word_of(made, 0) == OLD && word_of(made, 1) == NEW + 1);
	EXPLORE_CHECK(vmem_copy_from_user(made, &second_word, AT + 8, 8) == 8 && second_word == inherited);
	EXPLORE_CHECK(load(parent, 0, 1) == NEW);
	expect_place(parent, 0);
	expect_place(made, 0);
}

static void test_slot_replaced(void **state)
{
	struct explore_case what = {
	    .name = "a page that is replaced against a copy of its leaf",
	    .preemptions = 2,
	    .setup = setup_one_slot,
	    .thread = {replace_page, drop_fork_and_copy},
	    .finish = slots_are_right,
	};
	(void)state;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reverse_map),
	    cmocka_unit_test(test_slot_replaced),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
