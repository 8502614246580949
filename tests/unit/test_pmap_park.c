/* SPDX-License-Identifier: MIT */
/*
 * test_pmap_park.c - leaf tables that are set aside and taken back (pmap_park.c, W1 to W4): which are, which
 * stay and lose their permission to write instead, and as what they come back.
 */
#include "contig.h"
#include "pmap_fixture.h"
#include "region.h"

#define AT (VA & ~(LARGE - 1)) /* a window */
#define FILLED ARCH_TABLE_ENTRIES

static void park(uint64_t va, uint64_t length, bool plain)
{
	struct vmem_batch batch;
	warm();
	machine_operation();
	vmem_batch_begin(&batch, &p);
	vmem_pmap_park(&p, va, length, plain, &batch);
	vmem_batch_end(&batch);
	agree();
}

static void unpark(uint64_t va, const uint64_t *sequence, uint64_t as_it_was)
{
	machine_operation();
	vmem_pmap_unpark(&p, va, sequence, as_it_was);
	agree();
}

static bool is_parked(uint64_t va)
{
	struct pmap_entry at = vmem_pmap_lookup_cold(&p, va);
	return !at.slot && at.level == 0;
}

static bool may_write(uint64_t va)
{
	struct machine_translation m;
	return machine_translate(0, va, &m) && m.perm & MACHINE_PERM_UW;
}

/* As it was only when all three agree: nobody else can have a part of it. */
static void come_back(void **state)
{
	const uint64_t sequence = 6;
	(void)state;
	begin(false);
	for (unsigned way = 0; way < 5; way++) {
		enter(AT, frame, 0, DIRTY_RW);
		enter(AT + PAGES(FILLED - 1), block, 0, LEAF_READ);
		if (has_runs()) {
			assert_int_equal(
			    vmem_pmap_enter_contig(&p, AT + PAGES(RUN), block, DIRTY_RW), VMEM_OK);
			agree();
		}
		park(AT, LARGE, way != 1);
		assert_true(is_parked(AT) && !may_write(AT));
		assert_true(vmem_pmap_reserve(&p, AT, 0, &(struct pmap_entry){0}) == VMEM_ERR_EXISTS);
		if (way == 4) { /* parked once more, it is what it is */
			park(AT, LARGE, false);
		}
		unpark(AT + PAGES(3), way == 2 ? NULL : &sequence, way == 3 ? 4 : 6);
		assert_false(is_parked(AT));
		const bool as_it_was = way == 0 || way == 4;
		assert_int_equal(may_write(AT), as_it_was);
		assert_int_equal(members(AT + PAGES(RUN), RUN), as_it_was ? if_runs(RUN, 0) : 0);
		shows(0, AT, frame, 0);
		shows(1, AT + PAGES(FILLED - 1), block, 0);
		unpark(AT, &sequence, 6); /* it is not parked any more */
		remove_range(AT, LARGE);
	}
	unpark(BIG, &sequence, 6); /* nothing there, and nothing on the way */
	finish();
}

/* Nothing is left of a leaf that could only be written: it goes, and the table is still what it says. */
static void only_written(void **state)
{
	(void)state;
	begin(false);
	enter(AT, frame, 0, LEAF_WRITE | LEAF_DIRTY);
	enter(AT + PAGES(1), block, 0, LEAF_READ);
	pa_to_page(frame)->flags &= (uint8_t)~PAGE_F_DIRTY;
	park(AT, LARGE, false);
	unpark(AT, NULL, 0);
	assert_false(may_write(AT));
	struct machine_translation m;
	if (!machine_translate(0, AT, &m)) {
		assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 1);
		assert_true(pa_to_page(frame)->flags & PAGE_F_DIRTY);
	}
	shows(0, AT + PAGES(1), block, 0);
	remove_range(AT, LARGE);
	finish();
}

/* What is not parked (W4), and nothing comes back while it is being parked (W2). */
static void stay(void **state)
{
	const uint64_t sequence = 6;
	struct vmem_batch batch;
	(void)state;
	begin(false);
	enter(AT, frame, 0, DIRTY_RW);
	enter(AT + LARGE, frame, 0, DIRTY_RW);
	park(AT + PAGES(1), LARGE + PAGES(3), true); /* parts of both */
	assert_false(is_parked(AT) || is_parked(AT + LARGE));
	assert_true(may_write(AT) && !may_write(AT + LARGE));
	/* busy */
	enter(AT + PAGES(1), block, 0, DIRTY_RW);
	struct pmap_entry at = vmem_pmap_lookup(&p, AT);
	assert_true(pmap_take(&p, at, AT));
	assert_true(vmem_pmap_vacate(&p, at, AT));
	pmap_give(at);
	warm();
	machine_operation();
	vmem_batch_begin(&batch, &p);
	vmem_pmap_park(&p, AT, LARGE, true, &batch);
	vmem_batch_end(&batch);
	assert_false(is_parked(AT) || may_write(AT + PAGES(1)));
	assert_true(pmap_take(&p, at, AT));
	assert_false(vmem_pmap_settle(&p, at));
	pmap_give(at);
	agree();
	/* empty, and kept for the next fault */
	remove_range(AT, LARGE);
	remove_range(AT + LARGE, LARGE);
	assert_non_null(p.kept);
	park(AT, 2 * LARGE, true);
	assert_false(is_parked(AT) || is_parked(AT + LARGE));
	assert_non_null(p.kept);
	/* while the batch that parks is out */
	enter(AT, frame, 0, DIRTY_RW);
	warm();
	machine_operation();
	machine_cpu_set(1);
	vmem_batch_begin(&batch, &p);
	vmem_pmap_park(&p, AT, LARGE, true, &batch);
	machine_cpu_set(0);
	vmem_pmap_unpark(&p, AT, &sequence, 6);
	assert_true(is_parked(AT));
	machine_cpu_set(1);
	vmem_batch_end(&batch);
	machine_cpu_set(0);
	agree();
	unpark(AT, &sequence, 6);
	assert_true(may_write(AT));
	/* a parked table is unhooked with its last entry */
	park(AT, LARGE, true);
	remove_range(AT, PAGE);
	assert_false(is_parked(AT));
	finish();
}

/* A table that has gone from its place is not taken for the one that is there now, or for a leaf. */
static void unhooked_twice(void **state)
{
	struct vmem_batch batch;
	struct pmap_moved moved = {.tables = NULL, .count = 0};
	(void)state;
	begin(false);
	for (unsigned way = 0; way < 3; way++) {
		enter(AT, frame, 0, DIRTY_RW);
		enter(AT + 2 * LARGE, frame, 0, DIRTY_RW);
		warm();
		machine_operation();
		vmem_batch_begin(&batch, &p);
		vmem_pmap_lift(&p, AT, LARGE, LARGE, &moved, &batch);
		vmem_batch_end(&batch);
		struct vmem_page *table = moved.tables;
		assert_non_null(table);
		const uint64_t base = table->u.table.base;
		if (way == 1) {
			assert_int_equal(vmem_pmap_enter(&p, AT, block, 0, LEAF_READ), VMEM_OK);
		} else if (way == 2 && has_level(1)) {
			assert_int_equal(vmem_pmap_enter(&p, AT, block, 1, LEAF_READ), VMEM_OK);
		}
		uint64_t had = p.tables;
		vmem_batch_begin(&batch, &p);
		vmem_pmap_unhook(&p, table, &batch);
		vmem_batch_end(&batch);
		assert_int_equal(p.tables, had);
		assert_int_equal(table->u.table.base, base);
		if (way > 0 && (way == 1 || has_level(1))) {
			shows(0, AT, block, way - 1);
		}
		vmem_pmap_lay(&p, &moved, LARGE);
		agree();
		shows(0, AT + LARGE, frame, 0);
		remove_range(AT, 3 * LARGE);
	}
	finish();
}

/* A window whose entries all go when it comes back, and then there is no memory for the copy. */
static void nothing_left(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	struct vmem_aspace *as = space_with(&config), *child;
	(void)state;
	run(0, as);
	map_at(as, AT, RUN, RW);
	fill(as, AT, RUN, 1);
	OK(vmem_aspace_fork(as, &child));
	uint64_t value = 9;
	vmem_frame_drain();
	machine_operation();
	machine_fail_at(1);
	assert_int_equal(try_access(as, 0, AT, MACHINE_WRITE, &value), VMEM_FAULT_NO_MEMORY);
	machine_fail_at(0);
	step();
	expect(as, AT, RUN, 1);
	end(child);
	unmap(as, AT, RUN);
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(come_back),
	    CORE(only_written),
	    CORE(stay),
	    CORE(unhooked_twice),
	    CORE(nothing_left),
	};
	return cmocka_run_group_tests_name("pmap_park", tests, NULL, NULL);
}
