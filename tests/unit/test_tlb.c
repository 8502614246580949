/* SPDX-License-Identifier: MIT */
/*
 * test_tlb.c - T1 to T5, and what flushing may cost. Before each operation every CPU caches all that it may
 * (warm); after it a translation that should have gone is found by step(), a frame that went too early when
 * it is freed.
 */
#include "core_fixture.h"

#include "region.h"

static struct vmem_aspace *as;
static uint64_t va;

static void begin(void)
{
	as = space();
	run_all(as);
	va = map(as, 64, RW);
	fill(as, va, 64, 1);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_int_equal(get(as, cpu, va), 1);
	}
	warm();
	(void)cost();
}

/* T1, T2: each way of taking something away, with four CPUs that have it. No flush is idle. */
static void revoking(void **state)
{
	(void)state;
	begin();
	unmap(as, va + PAGES(3), 1);
	assert_true(cost().flushes > 0);
	warm();
	unmap(as, va + PAGES(5), 30);
	warm();
	protect(as, va, 2, VMEM_READ);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_false(hardware(cpu, va, MACHINE_WRITE, MACHINE_USER));
		assert_true(hardware(cpu, va, MACHINE_READ, MACHINE_USER));
	}
	warm();
	protect(as, va, 1, 0);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_false(hardware(cpu, va, MACHINE_READ, MACHINE_USER));
	}
	warm();
	OK(vmem_vmar_decommit(vmem_aspace_root(as), va + PAGES(40), PAGES(4)));
	assert_int_equal(get(as, 3, va + PAGES(40)), 0);
	warm();
	(void)map_at(as, va + PAGES(3), 1, RW);
	assert_int_equal(get(as, 2, va + PAGES(3)), 0);
	struct core_cost spent = cost();
	assert_true(
	    core_isa() == MACHINE_RISCV || spent.idle == 0); /* there grants are fenced: see granting() */
	assert_int_equal(spent.breaks_idle, 0);
	warm();
	unmap(as, va, 64); /* with the table */
	end(as);
}

/* T3: what has nothing to take away flushes nothing and calls nobody. */
static void nothing_owed(void **state)
{
	(void)state;
	begin();
	uint64_t other = map(as, 100, RW);
	unmap(as, other, 100);
	other = map(as, 100, RW);
	protect(as, other, 50, VMEM_READ);
	protect(as, other, 50, VMEM_RWX & ~VMEM_EXEC);
	OK(vmem_vmar_decommit(vmem_aspace_root(as), other, PAGES(100)));
	struct core_cost spent = cost();
	assert_int_equal(spent.flushes, 0);
	assert_int_equal(spent.calls, 0);
	end(as);
}

/* The empty table that was kept goes in a batch that removes no leaf under it: every CPU forgets the way to
 * it all the same, by one address. */
static void kept_table(void **state)
{
	(void)state;
	as = space();
	run_all(as);
	va = map_at(as, UINT64_C(1) << 30, 16 * 512, RW);
	for (uint64_t window = 0; window < 6; window++) {
		put(as, 0, va + window * 2 * LARGE, window);
	}
	warm();
	for (uint64_t window = 0; window < 5; window++) {
		uint64_t tables = stats_of(as).tables;
		OK(vmem_vmar_decommit(vmem_aspace_root(as), va + window * 2 * LARGE, PAGE));
		assert_int_equal(stats_of(as).tables, tables - (window > 0)); /* the one kept before went */
		warm();
	}
	assert_int_equal(get(as, 3, va + 10 * LARGE), 5);
	end(as);
}

/* Granting: no flush but, where invalid entries may be cached, one per fault (and one more for a new table).
 */
static void granting(void **state)
{
	(void)state;
	begin();
	uint64_t other = map(as, 32, RW);
	(void)cost();
	for (unsigned i = 0; i < 32; i++) {
		put(as, 0, other + PAGES(i), i);
	}
	struct core_cost spent = cost();
	assert_true(spent.flushes <= (core_isa() == MACHINE_RISCV ? 34 : 0));
	assert_int_equal(spent.calls, 0);
	step();
	end(as);
}

/* Copy on write: the shared entry goes from all CPUs before the copy is made. AArch64: broken exactly where
 * it is owed. */
static void copy_on_write(void **state)
{
	struct vmem_object *o = anonymous(16, 0), *child;
	(void)state;
	begin();
	uint64_t at = map_object(as, o, 0, 16, RW, VMEM_MAP_SHARED);
	fill(as, at, 16, 100);
	warm();
	(void)cost();
	child = snapshot(o, 0, 16);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_false(hardware(cpu, at + PAGES(cpu), MACHINE_WRITE, MACHINE_USER));
	}
	warm();
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		put(as, cpu, at + PAGES(cpu), cpu);
		assert_int_equal(get(as, 3 - cpu, at + PAGES(cpu)), cpu);
		assert_int_equal(peek(child, cpu), 100 + cpu);
		step();
		warm();
	}
	struct core_cost spent = cost();
	assert_int_equal(spent.breaks_idle, 0);
	OK(vmem_object_decommit(o, PAGES(8), PAGES(8)));
	warm();
	release(child);
	uint64_t zero = map(as, 1, RW); /* the zero frame on all CPUs, replaced by a page */
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_int_equal(get(as, cpu, zero), 0);
	}
	warm();
	put(as, 1, zero, 5);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_int_equal(get(as, cpu, zero), 5);
	}
	step();
	assert_int_equal(cost().breaks_idle, 0);
	release(o);
	end(as);
}

/* T4: a CPU that has left the space still has its translations, under the id; they are gone when it comes
 * back. */
static void switched_away(void **state)
{
	struct vmem_aspace *other;
	(void)state;
	begin();
	other = space();
	for (unsigned round = 0; round < 3; round++) {
		warm();
		run(1, other);
		run(2, round == 1 ? NULL : other);
		machine_cpu_set(0);
		unmap(as, va + PAGES(round * 4), 2);
		protect(as, va + PAGES(round * 4 + 2), 1, VMEM_READ);
		run(1, as);
		run(2, as);
		warm();
		step();
		for (unsigned cpu = 0; cpu < 4; cpu++) {
			assert_false(hardware(cpu, va + PAGES(round * 4), MACHINE_READ, MACHINE_USER));
			assert_false(hardware(cpu, va + PAGES(round * 4 + 2), MACHINE_WRITE, MACHINE_USER));
		}
		machine_cpu_set(0);
	}
	assert_true(vmem_pmap_is_active(&as->pmap));
	assert_false(vmem_pmap_is_active(&other->pmap));
	PANICS("while a CPU runs on it", vmem_aspace_destroy(as));
	end(other);
	end(as);
}

/* T5: three ids for seven spaces on two CPUs; ids that are running survive a new generation. */
static void many_spaces(unsigned ids, unsigned count)
{
	struct vmem_aspace *spaces[7];
	uint64_t at[7];
	if (ids != 0) {
		vmem_asid_init(ids);
	}
	for (unsigned i = 0; i < count; i++) {
		spaces[i] = space();
		at[i] = map_at(spaces[i], 0x400000, 2, RW); /* the same address in all */
	}
	for (unsigned round = 0; round < 40; round++) {
		unsigned i = round * 3 % count, cpu = round % 2;
		run(cpu, spaces[i]);
		put(spaces[i], cpu, at[i], round);
		warm();
		step();
		if (round % 5 == 4) {
			unmap(spaces[i], at[i] + PAGE, 1);
			(void)map_at(spaces[i], at[i] + PAGE, 1, RW);
		}
		assert_int_equal(get(spaces[i], cpu, at[i]), round);
	}
	for (unsigned i = 0; i < count; i++) {
		end(spaces[i]);
	}
}

static void ids_run_out(void **state)
{
	(void)state;
	many_spaces(3, 7);
	assert_true(vmem_asid_rollovers() > 5);
}

/* There are as many as the CPU has, whatever is asked for; and none is for the kernel's own half. */
static void ids_of_the_cpu(void **state)
{
	(void)state;
	vmem_asid_init(UINT32_MAX);
	many_spaces(0, 7);
	assert_int_equal(vmem_asid_rollovers(), 0);
	PANICS("kernel", vmem_aspace_activate(vmem_kernel_aspace()));
}

static void no_ids(void **state)
{
	const struct core_options options = {
	    .asid_bits = core_isa() == MACHINE_AARCH64 ? 8 : 0, .linear_level = 1};
	(void)state;
	core_start(&options);
	many_spaces(0, 7);
	begin();
	struct vmem_aspace *other = space();
	run(1, other); /* the switch has flushed: nobody there to call */
	machine_cpu_set(0);
	(void)cost();
	unmap(as, va, 8);
	run(1, as);
	step();
	end(other);
	end(as);
	core_teardown(NULL);
}

/* Fewer ids than CPUs could hold: they are not used at all, and nobody waits for one for ever. */
static void too_few_ids(void **state)
{
	(void)state;
	if (core_isa() != MACHINE_RISCV) {
		return; /* elsewhere there are 8 bits at least */
	}
	const struct core_options options = {.asid_bits = 2, .linear_level = 1};
	struct vmem_aspace *spaces[5];
	core_start(&options);
	for (unsigned i = 0; i < 5; i++) {
		spaces[i] = space();
		run(i % 4, spaces[i]);
		put(spaces[i], i % 4, map(spaces[i], 1, RW), i);
	}
	for (unsigned i = 0; i < 5; i++) {
		end(spaces[i]);
	}
	core_teardown(NULL);
}

/* Accessed and dirty by fault, and CPUs that cache whatever they can at every step of the library. */
static void other_models(void **state)
{
	static const struct core_options models[] = {
	    {.asid_bits = -1, .remove = MACHINE_HW_MARKS},
	    {.asid_bits = -1, .add = MACHINE_SPECULATES},
	    {.asid_bits = -1, .levels = 5, .add = MACHINE_LPA2},
	    {.asid_bits = -1, .add = MACHINE_LIVE_SPLIT},
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		struct core_options options = models[i];
		if (core_isa() == MACHINE_X86_64) {
			options.remove = 0; /* its walker always sets them */
		}
		options.linear_level = 1; /* all CPUs fill with it, at every step */
		core_start(&options);
		revoking(state);
		copy_on_write(state);
		switched_away(state);
		core_teardown(NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(other_models),
	    CORE(revoking),
	    CORE(nothing_owed),
	    CORE(kept_table),
	    CORE(granting),
	    CORE(copy_on_write),
	    CORE(switched_away),
	    CORE(ids_run_out),
	    CORE(ids_of_the_cpu),
	    cmocka_unit_test(no_ids),
	    cmocka_unit_test(too_few_ids),
	};
	return cmocka_run_group_tests_name("tlb", tests, NULL, NULL);
}
