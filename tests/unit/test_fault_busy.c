/* SPDX-License-Identifier: MIT */
/*
 * test_fault_busy.c - faults while another CPU's removal is out (P10), or while it has a slot busy (P9): they
 * come back without an entry and without harm, and find all as it was when the other CPU is done.
 */
#include "contig.h"
#include "core_fixture.h"

#include "pmap.h"
#include "region.h"

#define AT UINT64_C(0x40000000) /* the page in question; its window has other pages, too */
#define AGAIN VMEM_FAULT_RESULT_COUNT
#define ELSE UINT64_C(0x80000000) /* what is being removed */

static struct vmem_aspace *as;
static struct vmem_object *object;
static struct vmem_batch other;
static struct pmap_entry busy;

/* What the page is, what it holds, and what the fault wants. */
enum kind {
	NEVER_TOUCHED,
	ITS_OWN,
	SHARED_WITH_CHILD,
	OF_OBJECT,
	COPY_OF_OBJECT,
	HOLE_OF_OBJECT,
	FIXED_FRAME,
	KINDS
};

static uint64_t lay_out(enum kind kind, struct vmem_aspace **child)
{
	struct vmem_map map = {
	    .length = PAGES(4), .permission = RW, .maximum = RW, .place = VMEM_PLACE_FIXED, .address = AT};
	vmem_vaddr_t at;
	*child = NULL;
	object = NULL;
	if (kind >= OF_OBJECT) {
		if (kind == FIXED_FRAME) {
			OK(vmem_object_create_contiguous(
			    PAGES(4), PAGE, UINT64_MAX, VMEM_WRITE_BACK, &object));
		} else {
			object = anonymous(4, 0);
		}
		map.object = object;
		map.flags = kind == COPY_OF_OBJECT ? 0 : VMEM_MAP_SHARED;
		if (kind != HOLE_OF_OBJECT) {
			poke(object, 1, 70);
		}
	}
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	put(as, 0, AT, 5); /* the table is there */
	if (kind == ITS_OWN || kind == SHARED_WITH_CHILD) {
		put(as, 0, AT + PAGE, 70);
	}
	if (kind == SHARED_WITH_CHILD) {
		OK(vmem_aspace_fork(as, child));
		assert_int_equal(get(as, 0, AT), 5); /* and it is taken back */
	}
	return kind == NEVER_TOUCHED || kind == HOLE_OF_OBJECT ? 0 : 70;
}

/* The entry of a page is forgotten, as it may be at any time (P1). */
static void forget(uint64_t va)
{
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &as->pmap);
	vmem_pmap_remove(&as->pmap, va, PAGE, &batch);
	vmem_batch_end(&batch);
}

static void open_removal(void)
{
	machine_cpu_set(1);
	vmem_batch_begin(&other, &as->pmap);
	vmem_pmap_remove(&as->pmap, ELSE, 2 * LARGE, &other);
	machine_cpu_set(0);
	assert_true(as->pmap.dropping > 0);
}

static void close_removal(void)
{
	machine_cpu_set(1);
	vmem_batch_end(&other);
	machine_cpu_set(0);
}

/* Another fault has emptied the slot, and has not stored yet. */
static void open_busy(void)
{
	uint64_t value;
	assert_int_equal(user_read(as, AT + PAGE, &value), VMEM_FAULT_RESOLVED);
	busy = vmem_pmap_lookup(&as->pmap, AT + PAGE);
	assert_true(pmap_take(&as->pmap, busy, AT + PAGE));
	assert_true(vmem_pmap_vacate(&as->pmap, busy, AT + PAGE));
	pmap_give(busy);
	vmem_pmap_flush(&as->pmap, AT + PAGE, 0);
}

static void close_busy_at(uint64_t va)
{
	assert_true(pmap_take(&as->pmap, busy, va));
	if (vmem_pmap_settle(&as->pmap, busy)) { /* its only entry */
		pmap_give(busy);
		struct vmem_batch batch;
		vmem_batch_begin(&batch, &as->pmap);
		vmem_pmap_unhook(&as->pmap, busy.table, &batch);
		vmem_batch_end(&batch);
		return;
	}
	pmap_give(busy);
}

static void close_busy(void)
{
	close_busy_at(AT + PAGE);
}

static void fault_meanwhile(enum kind kind, unsigned access, bool removal)
{
	struct vmem_aspace *child;
	struct vmem_translation t;
	as = space();
	run(0, as);
	run(1, as);
	machine_cpu_set(0);
	uint64_t expected = lay_out(kind, &child);
	map_at(as, ELSE, 1024, RW);
	put(as, 0, ELSE, 1);
	put(as, 0, ELSE + LARGE, 2);
	put(as, 0, AT, 5);
	forget(AT + PAGE);
	if (removal) {
		open_removal();
	} else {
		open_busy();
	}
	assert_int_equal(vmem_fault_try(as, AT + PAGE, access), AGAIN);
	assert_false(vmem_aspace_translate(as, AT + PAGE, &t));
	if (removal) {
		close_removal();
	} else {
		close_busy();
	}
	step();
	assert_int_equal(get(as, 0, AT + PAGE), expected);
	put(as, 0, AT + PAGE, 71);
	assert_int_equal(get(as, 1, AT + PAGE), 71);
	assert_int_equal(get(as, 0, AT), 5);
	if (child) {
		run(0, child);
		assert_int_equal(get(child, 0, AT + PAGE), 70);
		end(child);
	}
	end(as);
	if (object) {
		release(object);
	}
}

static void while_removed(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		fault_meanwhile((enum kind)kind, VMEM_READ, true);
		fault_meanwhile((enum kind)kind, VMEM_WRITE, true);
	}
}

static void while_busy(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		fault_meanwhile((enum kind)kind, VMEM_READ, false);
		fault_meanwhile((enum kind)kind, VMEM_WRITE, false);
	}
}

/* A fault that would replace what is shown must not take the slot that another one has: it is the table's
 * one busy slot. */
static void replacing_beside_busy(void **state)
{
	struct vmem_aspace *child;
	(void)state;
	as = space();
	run(0, as);
	run(1, as);
	machine_cpu_set(0);
	(void)lay_out(SHARED_WITH_CHILD, &child);
	open_busy();
	assert_int_equal(vmem_fault_try(as, AT, VMEM_WRITE), AGAIN);
	assert_false(hardware(0, AT, MACHINE_WRITE, MACHINE_USER));
	close_busy();
	step();
	put(as, 0, AT, 6);
	assert_int_equal(get(as, 1, AT), 6);
	assert_int_equal(get(as, 1, AT + PAGE), 70);
	run(0, child);
	assert_int_equal(get(child, 0, AT), 5);
	end(child);
	end(as);
}

/* Windows and runs are not filled at once while what they would cover may still be remembered. */
static void large_meanwhile(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	struct vmem_translation t;
	(void)state;
	as = space_with(&config);
	run(0, as);
	run(1, as);
	machine_cpu_set(0);
	map_at(as, AT, 2048, RW);
	map_at(as, ELSE, 1024, RW);
	protect(as, ELSE + PAGES(20), 1, VMEM_READ); /* small pages */
	put(as, 0, ELSE + PAGES(100), 1);
	put(as, 0, ELSE + LARGE, 2);
	open_removal();
	assert_int_equal(vmem_fault_try(as, AT, VMEM_WRITE), AGAIN);
	assert_int_equal(vmem_fault_try(as, AT + LARGE, VMEM_READ), AGAIN);
	assert_false(vmem_aspace_translate(as, AT, &t));
	close_removal();
	step();
	put(as, 0, AT, 1);
	assert_int_equal(get(as, 1, AT), 1);
	assert_int_equal(get(as, 1, AT + LARGE), 0);
	end(as);
}

/* A run is made of empty slots, and of none that may still be remembered: another CPU has emptied one where
 * the page of zeroes was shown, and waits until all have forgotten it. */
static void run_around_busy(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	(void)state;
	as = space_with(&config);
	run(0, as);
	run(1, as);
	machine_cpu_set(0);
	map_at(as, AT, 4 * RUN, RW);
	for (unsigned round = 0; round < 2; round++) { /* in the same run, and in the next one */
		const uint64_t other_run = AT + PAGES(2 * RUN * round), va = other_run + PAGES(RUN * round);
		uint64_t value;
		assert_int_equal(user_read(as, other_run + PAGES(1), &value), VMEM_FAULT_RESOLVED);
		busy = vmem_pmap_lookup(&as->pmap, other_run + PAGES(1));
		assert_true(pmap_take(&as->pmap, busy, other_run + PAGES(1)));
		assert_true(vmem_pmap_vacate(&as->pmap, busy, other_run + PAGES(1)));
		pmap_give(busy);
		(void)vmem_fault_try(as, va + PAGES(5), VMEM_WRITE);
		assert_int_equal(pte_load(busy.slot), 0);
		assert_int_equal(members(va, RUN), round == 0 ? 0 : if_runs(RUN, 0));
		vmem_pmap_flush(&as->pmap, other_run + PAGES(1), 0);
		close_busy_at(other_run + PAGES(1));
		put(as, 0, va + PAGES(5), 9);
		put(as, 1, other_run + PAGES(1), 8);
		assert_int_equal(get(as, 0, other_run + PAGES(1)), 8);
		assert_int_equal(get(as, 1, va + PAGES(5)), 9);
		step();
	}
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(while_removed),
	    CORE(while_busy),
	    CORE(replacing_beside_busy),
	    CORE(large_meanwhile),
	    CORE(run_around_busy),
	};
	return cmocka_run_group_tests_name("fault_busy", tests, NULL, NULL);
}
