/* SPDX-License-Identifier: MIT */
/*
 * test_pmap_move.c - what pmap_move.c takes along and what it forgets (V1 to V3): entries and tables of every
 * kind, places that are taken, no memory, and another CPU's removal that is still out.
 */
#include "contig.h"
#include "pmap_fixture.h"

#define AT (VA & ~(LARGE - 1)) /* a window */
#define TO (AT + 8 * LARGE)    /* another one below the same table */
#define AWAY (BIG + AT)	       /* one without any tables */
#define EVERYTHING (UINT64_C(1) << 37)
#define FILLED ARCH_TABLE_ENTRIES

static struct pmap_moved moved;

static void lift(uint64_t va, uint64_t length, uint64_t to)
{
	struct vmem_batch batch;
	warm();
	machine_operation();
	moved.tables = NULL;
	moved.count = 0;
	vmem_batch_begin(&batch, &p);
	vmem_pmap_lift(&p, va, length, to - va, &moved, &batch);
	vmem_batch_end(&batch);
	step_machine();
}

static void lay(uint64_t va, uint64_t to)
{
	machine_operation();
	vmem_pmap_lay(&p, &moved, to - va);
}

static void move(uint64_t va, uint64_t length, uint64_t to)
{
	lift(va, length, to);
	lay(va, to);
	agree();
}

static bool is_there(uint64_t va)
{
	struct machine_translation m;
	return machine_translate(0, va, &m);
}

static uint64_t resident(void)
{
	return vmem_pmap_counted(&p, COUNT_RESIDENT);
}

/* Of a few pages what is plain goes along; code, runs and parts of large leaves do not. */
static void entries(void **state)
{
	(void)state;
	begin(false);
	enter(AT, frame, 0, DIRTY_RW);
	enter(AT + PAGES(1), frame, 0, LEAF_READ | LEAF_EXEC);
	enter(AT + PAGES(3), block, 0, LEAF_READ);
	move(AT, PAGES(6), AWAY + PAGES(100));
	assert_int_equal(moved.count, 2);
	shows(0, AWAY + PAGES(100), frame, 0);
	shows(1, AWAY + PAGES(103), block, 0);
	assert_false(is_there(AWAY + PAGES(101)) || is_there(AT) || is_there(AT + PAGES(1)));
	if (has_level(1)) {
		enter(TO, block, 1, DIRTY_RW);
		move(TO + PAGES(5), PAGES(2), AWAY);
		assert_int_equal(moved.count, 0);
		assert_false(is_there(TO) || is_there(AWAY));
		enter(TO, block, 1, DIRTY_RW); /* what is there already */
		enter(AT, frame, 0, DIRTY_RW);
		move(AT, PAGE, TO + PAGES(1));
		shows(0, TO + PAGES(1), block + PAGES(1), 1);
		remove_range(TO, LARGE);
	}
	if (has_runs()) {
		assert_int_equal(vmem_pmap_enter_contig(&p, TO, block, DIRTY_RW), VMEM_OK);
		agree();
		move(TO + PAGES(5), PAGES(2), AWAY);
		assert_int_equal(moved.count, 0);
		assert_int_equal(members(TO, RUN) + members(AWAY, RUN), 0);
	}
	/* where something is already, it stays */
	enter(AT, frame, 0, DIRTY_RW);
	enter(TO, block, 0, LEAF_READ);
	enter(TO + PAGES(1), block, 0, LEAF_READ);
	move(AT, PAGES(2), TO);
	shows(0, TO, block, 0);
	assert_int_equal(resident(), 4); /* the two of before included */
	remove_range(0, EVERYTHING);
	finish();
}

/* A leaf table goes whole; what is none, or has to stay, is emptied. */
static void windows(void **state)
{
	(void)state;
	begin(false);
	enter(AT, frame, 0, DIRTY_RW);
	enter(AT + PAGES(FILLED - 1), block, 0, LEAF_READ | LEAF_EXEC);
	uint64_t had = p.tables;
	move(AT, LARGE, TO);
	shows(0, TO, frame, 0);
	shows(1, TO + PAGES(FILLED - 1), block, 0);
	assert_int_equal(p.tables, had);
	assert_int_equal(resident(), 2);
	move(AT, LARGE, TO + LARGE); /* nothing is there */
	assert_null(moved.tables);
	move(AWAY, LARGE, TO + LARGE); /* nor anything on the way */
	if (has_level(1)) {
		enter(AWAY, block, 1, DIRTY_RW);
		move(AWAY, LARGE, AWAY + LARGE);
		assert_false(is_there(AWAY) || is_there(AWAY + LARGE));
	}
	/* the only table below those above it: they go, too */
	enter(AWAY, frame, 0, DIRTY_RW);
	had = p.tables;
	move(AWAY, LARGE, AT);
	assert_true(p.tables < had);
	shows(0, AT, frame, 0);
	/* an empty one, which is kept */
	remove_range(AT, PAGE);
	assert_non_null(p.kept);
	lift(AT, LARGE, AWAY);
	assert_null(moved.tables);
	lay(AT, AWAY);
	agree();
	remove_range(0, EVERYTHING);
	finish();
}

/* A table with a busy slot stays where it is (V3), and one that is parked goes along, to be read (V4). */
static void busy_and_parked(void **state)
{
	struct vmem_batch batch;
	(void)state;
	begin(false);
	enter(AT, frame, 0, DIRTY_RW);
	enter(AT + PAGES(1), block, 0, DIRTY_RW);
	struct pmap_entry at = vmem_pmap_lookup(&p, AT);
	assert_true(pmap_take(&p, at, AT));
	assert_true(vmem_pmap_vacate(&p, at, AT));
	pmap_give(at);
	vmem_batch_begin(&batch, &p);
	vmem_pmap_remove(&p, AT + PAGES(2), PAGES(2), &batch); /* beside it */
	vmem_batch_end(&batch);
	lift(AT, LARGE, TO);
	assert_null(moved.tables);
	assert_false(is_there(AT + PAGES(1)));
	assert_true(pmap_take(&p, at, AT));
	assert_true(vmem_pmap_settle(&p, at));
	pmap_give(at);
	vmem_batch_begin(&batch, &p);
	vmem_pmap_unhook(&p, at.table, &batch);
	vmem_batch_end(&batch);
	agree();
	/* a slot that is busy at the new place is not stored to */
	enter(AT, frame, 0, DIRTY_RW);
	enter(TO, block, 0, DIRTY_RW);
	enter(TO + PAGES(1), block, 0, DIRTY_RW);
	at = vmem_pmap_lookup(&p, TO);
	assert_true(pmap_take(&p, at, TO));
	assert_true(vmem_pmap_vacate(&p, at, TO));
	pmap_give(at);
	lift(AT, PAGE, TO);
	lay(AT, TO);
	assert_int_equal(pte_load(at.slot), 0);
	assert_true(pmap_take(&p, at, TO));
	assert_false(vmem_pmap_settle(&p, at));
	pmap_give(at);
	vmem_batch_begin(&batch, &p); /* as the fault would have done */
	vmem_batch_leaves(&batch, TO, TO + PAGE - 1, 0);
	vmem_batch_end(&batch);
	agree();
	/* parked */
	enter(AT, frame, 0, DIRTY_RW);
	warm();
	machine_operation();
	vmem_batch_begin(&batch, &p);
	vmem_pmap_park(&p, AT, LARGE, true, &batch);
	vmem_batch_end(&batch);
	agree();
	move(AT, LARGE, AWAY);
	assert_int_equal(resident(), 2);
	assert_true(is_there(AWAY) && !is_there(AT));
	arch_pte_t entry = pte_load(vmem_pmap_lookup(&p, AWAY).slot);
	assert_false(arch_leaf_grants(arch_pte_leaf(entry, 0), VMEM_WRITE));
	remove_range(0, EVERYTHING);
	finish();
}

/* What finds no table, or a full one, is forgotten: the entries' marks are noted, the table is free. */
static void forgotten(void **state)
{
	(void)state;
	begin(false);
	for (unsigned way = 0; way < 3; way++) {
		const bool full = way == 1;
		enter(AT, frame, 0, DIRTY_RW);
		enter(AT + PAGES(FILLED - 1), block, 0, LEAF_READ);
		if (has_runs()) {
			assert_int_equal(
			    vmem_pmap_enter_contig(&p, AT + PAGES(RUN), block, DIRTY_RW), VMEM_OK);
			agree();
		}
		if (full) { /* nobody in the library would do this */
			enter(TO + PAGES(9), frame, 0, LEAF_READ);
		}
		pa_to_page(frame)->flags &= (uint8_t)~PAGE_F_DIRTY;
		lift(AT, LARGE, way == 0 ? AWAY : TO);
		if (way == 0) {
			vmem_frame_drain();
			machine_fail_at(1);
		} else if (way == 2) { /* an empty one is in the way */
			struct pmap_entry at;
			assert_int_equal(vmem_pmap_reserve(&p, TO, 0, &at), VMEM_OK);
		}
		lay(AT, way == 0 ? AWAY : TO);
		machine_fail_at(0);
		agree();
		if (way == 2) {
			shows(0, TO, frame, 0);
			assert_int_equal(members(TO + PAGES(RUN), RUN), if_runs(RUN, 0));
		} else {
			assert_int_equal(resident(), full);
			assert_true(pa_to_page(frame)->flags & PAGE_F_DIRTY);
		}
		remove_range(0, EVERYTHING);
	}
	/* a page for which there is no table to be had */
	enter(AT, frame, 0, DIRTY_RW);
	lift(AT, PAGE, AWAY);
	vmem_frame_drain();
	machine_fail_at(1);
	lay(AT, AWAY);
	machine_fail_at(0);
	agree();
	assert_int_equal(resident(), 0);
	finish();
}

/* While another CPU's removal is out nothing is put anywhere (P10). */
static void while_dropping(void **state)
{
	struct vmem_batch other;
	(void)state;
	begin(false);
	for (unsigned way = 0; way < 8; way++) {
		const uint64_t to = way & 1 || way == 6 ? TO : AWAY,
			       length = way < 2 || way > 5 ? PAGE : LARGE;
		enter(AT, frame, 0, DIRTY_RW);
		enter(AT + 2 * LARGE, block, 0, DIRTY_RW); /* holds the tables above */
		enter(BIG, frame, 0, DIRTY_RW);
		enter(BIG + LARGE, frame, 0, DIRTY_RW);
		if (way < 2 && to == TO) { /* a leaf table is there */
			enter(TO + PAGES(1), frame, 0, LEAF_READ);
		} else if (way == 5 || way == 6) { /* an empty one, which is kept */
			enter(TO, frame, 0, LEAF_READ);
			remove_range(TO, PAGE);
		}
		lift(AT, length, to);
		if (way == 7) { /* one that was made for nothing as it turns out */
			assert_int_equal(vmem_pmap_reserve(&p, to, 0, &(struct pmap_entry){0}), VMEM_OK);
		}
		machine_cpu_set(1);
		vmem_batch_begin(&other, &p);
		vmem_pmap_remove(&p, BIG, 2 * LARGE, &other); /* two tables, one of which goes */
		assert_true(p.dropping > 0);
		machine_cpu_set(0);
		lay(AT, to);
		machine_cpu_set(1);
		vmem_batch_end(&other);
		machine_cpu_set(0);
		agree();
		assert_false(is_there(to) || is_there(AT));
		remove_range(0, EVERYTHING);
		assert_int_equal(resident(), 0);
	}
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(entries),
	    CORE(windows),
	    CORE(busy_and_parked),
	    CORE(forgotten),
	    CORE(while_dropping),
	};
	return cmocka_run_group_tests_name("pmap_move", tests, NULL, NULL);
}
