/* SPDX-License-Identifier: MIT */
/*
 * test_pmap_change.c - entries that are cut down or replaced (pmap.h, P1, P5, P6): what stays granted, what
 * is harvested, what is owed to the TLB and to instruction fetch, and that nothing becomes writable and
 * executable.
 */
#include "pmap_fixture.h"

/* Cutting down: what stays is granted, nothing else, at every level; a part of a large leaf loses all. */
static void cutting(void **state)
{
	(void)state;
	begin(false);
	for (unsigned level = 0; level < 2; level++) {
		uint64_t size = arch_level_size(level), va = level ? BIG : VA, pa = memory_of(level);
		for (unsigned keep = 0; keep <= VMEM_RWX; keep++) {
			struct machine_translation m;
			enter(va, pa, level, LEAF_READ | LEAF_WRITE | LEAF_EXEC | LEAF_DIRTY);
			cut(va, size, keep);
			bool left =
			    arch_leaf_grants(keep | LEAF_ACCESSED | LEAF_DIRTY | LEAF_USER, VMEM_READ) ||
			    (keep & VMEM_EXEC);
			bool there = machine_translate(1, va, &m);
			assert_true(!there || left);
			assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), there ? size / PAGE : 0);
			if (there) {
				assert_true(!(m.perm & MACHINE_PERM_UW) || (keep & VMEM_WRITE));
				assert_true(!(m.perm & MACHINE_PERM_UX) || (keep & VMEM_EXEC));
			}
			assert_int_equal(
			    hardware(0, va, MACHINE_WRITE, MACHINE_USER), (keep & VMEM_WRITE) != 0);
			remove_range(va, size);
		}
	}
	uint64_t va = BIG;
	for (unsigned part = 0; part < 3; part++) {
		enter(va, block, 1, USER_RW);
		cut(part == 0 ? va : va + PAGE, part == 1 ? LARGE - PAGE : LARGE - PAGES(2), LEAF_READ);
		assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 0); /* dropped whole */
	}
	enter(va, block, 1, USER_RW);
	cut(va - PAGE, LARGE + PAGES(2), LEAF_READ); /* more than the leaf: it stays */
	assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 512);
	assert_false(hardware(1, va + PAGES(9), MACHINE_WRITE, MACHINE_USER));
	assert_true(hardware(1, va + PAGES(9), MACHINE_READ, MACHINE_USER));
	finish();
}

/* A row in which some entries change, some do not, and some lose all: each page has what it is left with. */
static void cutting_rows(void **state)
{
	(void)state;
	begin(false);
	for (unsigned i = 0; i < 8; i++) {
		enter(VA + PAGES(2 * i), frame, 0, i & 1 ? USER_RW : LEAF_READ);
	}
	(void)cost();
	cut(VA, PAGES(16), LEAF_READ);
	assert_true(cost().flushes > 0);
	assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 8);
	cut(VA, PAGES(16), USER_RW); /* nothing left to take: nothing is flushed */
	assert_int_equal(cost().flushes, 0);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(hardware(1, VA + PAGES(2 * i), MACHINE_READ, MACHINE_USER));
		assert_false(hardware(1, VA + PAGES(2 * i), MACHINE_WRITE, MACHINE_USER));
	}
	cut(VA, PAGES(16), LEAF_WRITE); /* read-only made write-only: rebuilt by faults */
	for (unsigned i = 0; i < 8; i++) {
		assert_false(hardware(1, VA + PAGES(2 * i), MACHINE_WRITE, MACHINE_USER));
	}
	cut(VA, PAGES(16), 0);
	assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 0);
	assert_non_null(p.kept);
	finish();
}

static unsigned marks(uint64_t pa)
{
	return pa_to_page(pa)->flags & (PAGE_F_ACCESSED | PAGE_F_DIRTY);
}

static void forget_marks(void)
{
	for (unsigned i = 0; i < 512; i++) {
		pa_to_page(block + PAGES(i))->flags = 0;
	}
	pa_to_page(frame)->flags = 0;
}

/* P1: what the hardware noted is in the frame's record after the entry went, changed, or was cut down. */
static void harvest(void **state)
{
	static const char *const ways[] = {"remove", "cut", "replace", "all cut"};
	(void)state;
	begin(false);
	for (unsigned way = 0; way < 4; way++) {
		for (unsigned dirty = 0; dirty < 2; dirty++) {
			forget_marks();
			enter(VA, frame, 0, USER_RW);
			if (dirty) {
				bool stored = hardware(1, VA, MACHINE_WRITE, MACHINE_USER);
				assert_true(stored || !(vmem_mmu.features & MMU_HW_DIRTY));
				if (!stored) { /* by the fault that the host would have taken */
					enter(VA, frame, 0, DIRTY_RW);
					assert_true(hardware(1, VA, MACHINE_WRITE, MACHINE_USER));
				}
			}
			cut(VA, way == 1 ? PAGE : LARGE, way == 1 ? LEAF_READ : way == 3 ? 0 : USER_RW);
			if (way == 2) {
				enter(VA, block, 0, LEAF_READ); /* another frame in its place */
			}
			remove_range(VA, PAGE);
			if (marks(frame) != (PAGE_F_ACCESSED | (dirty ? (unsigned)PAGE_F_DIRTY : 0))) {
				fail_msg("%s, dirty %u: marks %#x", ways[way], dirty, marks(frame));
			}
			if (dirty) {
				machine_dirty_check(frame, marks(frame) & PAGE_F_DIRTY);
				machine_dirty_forget(frame);
			}
		}
	}
	forget_marks();
	enter(VA, frame, 0, USER_RW); /* aged: not accessed since */
	struct pmap_entry at = vmem_pmap_lookup(&p, VA);
	pte_store(at.slot, arch_pte_restrict(pte_load(at.slot), 0, USER_RW));
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &p);
	vmem_pmap_remove(&p, VA, PAGE, &batch);
	vmem_batch_end(&batch);
	assert_int_equal(marks(frame), 0);
	uint64_t va = BIG;
	enter(va, block, 1, DIRTY_RW);
	remove_range(va + PAGES(77), PAGE);
	for (unsigned i = 0; i < 512; i++) { /* any page of it may be the one */
		assert_int_equal(marks(block + PAGES(i)), PAGE_F_ACCESSED | PAGE_F_DIRTY);
	}
	if (has_level(2)) { /* no record, and no harm */
		enter(2 * BIG, FAR, 2, DIRTY_RW);
		remove_range(2 * BIG, GIGA);
	}
	forget_marks();
	finish();
}

/* P5: what another entry in the same place owes. Breaks where the architecture wants one, and only there. */
static void replacing(void **state)
{
	(void)state;
	begin(false);
	enter(VA, frame, 0, LEAF_READ);
	warm();
	(void)cost();
	enter(VA, frame, 0, USER_RW); /* raised: the hardware may still refuse, once */
	struct core_cost spent = cost();
	assert_int_equal(spent.breaks + spent.breaks_idle, 0);
	assert_true(spent.flushes == 0 || (vmem_mmu.features & MMU_CACHES_INVALID));
	warm();
	enter(VA, block + PAGE, 0, DIRTY_RW); /* another frame */
	spent = cost();
	assert_int_equal(spent.breaks, core_isa() == MACHINE_AARCH64 ? 1 : 0);
	assert_int_equal(spent.breaks_idle, 0);
	assert_true(spent.flushes > 0);
	shows(0, VA, block + PAGE, 0);
	assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 1);
	warm();
	enter(VA, block + PAGE, 0, LEAF_READ); /* lowered */
	assert_false(hardware(0, VA, MACHINE_WRITE, MACHINE_USER));
	assert_false(hardware(1, VA, MACHINE_WRITE, MACHINE_USER));
	assert_int_equal(cost().breaks, 0);
	warm();
	uint64_t va = BIG;
	remove_range(VA, PAGE);
	enter(va, block, 1, DIRTY_RW);
	warm();
	enter(va, block, 1, LEAF_READ);
	assert_false(hardware(1, va + LARGE - 8, MACHINE_WRITE, MACHINE_USER));
	assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 512);
	finish();
}

/* P6: no way to a leaf that is writable and executable, at any level. */
static void write_or_execute(void **state)
{
	struct pmap_entry at;
	(void)state;
	begin(true);
	machine_wx(p.root_pa, true);
	enter(VA, frame, 0, USER_RW);
	enter(VA, frame, 0, LEAF_READ | LEAF_EXEC);
	PANICS("writable and executable",
	    (void)vmem_pmap_enter(&p, VA, frame, 0, LEAF_READ | LEAF_WRITE | LEAF_EXEC));
	at = vmem_pmap_lookup(&p, VA);
	PANICS("writable and executable", vmem_pmap_set(&p, at, VA, frame, LEAF_WRITE | LEAF_EXEC));
	assert_int_equal(vmem_pmap_reserve(&p, VA + LARGE, 0, &at), VMEM_OK);
	PANICS("writable and executable",
	    vmem_pmap_set(&p, at, VA + LARGE, frame, LEAF_WRITE | LEAF_EXEC | LEAF_READ));
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &p);
	vmem_pmap_unhook(&p, at.table, &batch);
	vmem_batch_end(&batch);
	enter(BIG, block, 1, USER_RW);
	PANICS("writable and executable", (void)vmem_pmap_enter(&p, BIG, block, 1, VMEM_RWX));
	assert_false(hardware(0, VA, MACHINE_WRITE, MACHINE_USER));
	remove_range(0, vmem_aspace_user_size());
	machine_wx(p.root_pa, false);
	finish();
}

/* pmap_put() is for an empty place. */
static void filling(void **state)
{
	struct pmap_entry at, large;
	(void)state;
	begin(false);
	assert_int_equal(vmem_pmap_reserve(&p, VA, 0, &at), VMEM_OK);
	machine_operation();
	pmap_put(&p, &at, machine_cpu(), VA, frame, DIRTY_RW);
	agree();
	shows(0, VA, frame, 0);
	PANICS("pte_load", pmap_put(&p, &at, machine_cpu(), VA, frame, DIRTY_RW)); /* there is one */
	assert_int_equal(vmem_pmap_reserve(&p, BIG, 1, &large), VMEM_OK);
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &p);
	vmem_pmap_unhook(&p, large.table, &batch);
	vmem_batch_end(&batch);
	/* An entry that was never used leaves no mark on its page. */
	forget_marks();
	machine_operation();
	*at.slot = arch_pte_restrict(*at.slot, 0, VMEM_RWX);
	vmem_batch_begin(&batch, &p);
	vmem_pmap_remove(&p, VA, PAGE, &batch);
	vmem_batch_end(&batch);
	agree();
	assert_int_equal(marks(frame), 0);
	finish();
}

/* What is made executable is fetched as it was stored, by every CPU, again after each store. */
static void execution(void **state)
{
	(void)state;
	begin(false);
	for (unsigned round = 1; round < 4; round++) {
		uint64_t code = round * UINT64_C(0x0101010101010101), got = 0;
		enter(VA, frame, 0, DIRTY_RW);
		assert_true(machine_access(0, VA, MACHINE_WRITE, MACHINE_USER, &code, 8).ok);
		enter(VA, frame, 0, LEAF_READ | LEAF_EXEC);
		for (unsigned cpu = 0; cpu < 2; cpu++) {
			assert_true(machine_access(cpu, VA, MACHINE_EXEC, MACHINE_USER, &got, 4).ok);
			assert_int_equal((uint32_t)got, (uint32_t)code);
		}
		enter(VA + PAGE, frame, 0, LEAF_READ | LEAF_EXEC); /* a second entry for it */
		assert_true(pa_to_page(frame)->flags & PAGE_F_EXEC_SYNCED);
		remove_range(VA + PAGE, PAGE);
		agree();
	}
	uint64_t va = BIG;
	remove_range(VA, PAGE);
	enter(va, block, 1, LEAF_READ | LEAF_EXEC);
	assert_true(pa_to_page(block + PAGES(511))->flags & PAGE_F_EXEC_SYNCED);
	enter(va, block, 1, USER_RW);
	assert_false(pa_to_page(block + PAGES(511))->flags & PAGE_F_EXEC_SYNCED);
	if (has_level(2)) { /* no RAM: nothing to bring in step */
		enter(2 * BIG, FAR, 2, LEAF_READ | LEAF_EXEC);
		enter(2 * BIG, FAR, 2, USER_RW);
	}
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(cutting),
	    CORE(cutting_rows),
	    CORE(harvest),
	    CORE(replacing),
	    CORE(write_or_execute),
	    CORE(filling),
	    CORE(execution),
	};
	return cmocka_run_group_tests_name("pmap_change", tests, NULL, NULL);
}
