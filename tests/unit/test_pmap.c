/* SPDX-License-Identifier: MIT */
/*
 * test_pmap.c - page tables (pmap.h, P2 to P4): entries of every level, tables that come and go, ranges, and
 * the validator. What changes in an entry that is there is in test_pmap_change.c; RAM with an odd attribute,
 * and splitting the direct map for it, in test_direct_map.c.
 */
#include "pmap_fixture.h"

/* One leaf of each level: found, counted, shown by the hardware; removed with its tables. */
static void each_level(void)
{
	begin(false);
	for (unsigned level = 0; vmem_mmu.leaf_levels >> level & 1;
	     level++) { /* the root's too, with 3 levels */
		uint64_t size = arch_level_size(level), va = VA & ~(size - 1), pa = memory_of(level);
		assert_null(vmem_pmap_lookup(&p, va).slot);
		enter(va, pa, level, USER_RW);
		struct pmap_entry at = vmem_pmap_lookup(&p, va + size - 1);
		assert_non_null(at.slot);
		assert_int_equal(at.level, level);
		assert_int_equal(arch_pte_pa(pte_load(at.slot), level), pa);
		assert_int_equal(at.table->order, level);
		assert_int_equal(at.table->refs, 1);
		assert_ptr_equal(at.table->u.table.pmap, &p);
		assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), size / PAGE);
		assert_int_equal(p.tables, vmem_mmu.levels - level);
		for (unsigned cpu = 0; cpu < 2; cpu++) {
			shows(cpu, va + 0x123, pa + 0x123, level);
			shows(cpu, va + size - 1, pa + size - 1, level);
		}
		assert_true(level == 2 || hardware(0, va + size - 8, MACHINE_WRITE, MACHINE_USER));
		remove_range(va + size - PAGE, PAGE); /* a part takes the whole leaf */
		assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 0);
		struct machine_translation m;
		assert_false(machine_translate(1, va, &m));
		/* the tables go, but for one empty leaf table and what leads to it */
		assert_int_equal(p.tables, level == 0 ? vmem_mmu.levels : 1);
		assert_int_equal(p.kept != NULL, level == 0);
		if (level == 0) {
			assert_ptr_equal(p.kept, at.table);
			assert_non_null(vmem_pmap_lookup(&p, va).slot);
			finish();
			begin(false);
		}
	}
	finish();
}

static void levels(void **state)
{
	(void)state;
	each_level();
}

/* The same in the other paging modes of the ISA, and without leaves of 1 GiB. */
static void paging_modes(void **state)
{
	static const struct core_options models[] = {
	    {.asid_bits = -1, .levels = 3, .linear_level = 1},
	    {.asid_bits = -1, .levels = 5, .linear_level = 1, .add = MACHINE_LPA2},
	    {.asid_bits = -1, .linear_level = 1, .remove = MACHINE_LEAF_1G},
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (models[i].levels == 3 && core_isa() != MACHINE_RISCV) {
			continue;
		}
		core_start(&models[i]);
		each_level();
		core_teardown(NULL);
	}
}

/* A leaf in the way of a table, a table in the way of a leaf: EXISTS, and nothing has changed. */
static void in_the_way(void **state)
{
	struct pmap_entry at;
	(void)state;
	begin(false);
	for (unsigned level = 1; has_level(level); level++) {
		uint64_t size = arch_level_size(level), va = VA & ~(size - 1);
		enter(va, memory_of(level), level, USER_RW);
		for (unsigned below = 0; below < level; below++) {
			refused(VMEM_ERR_EXISTS, va, memory_of(below), below);
			assert_int_equal(vmem_pmap_reserve(&p, va, below, &at), VMEM_ERR_EXISTS);
		}
		remove_range(va, size);
		enter(va + size - PAGE, frame, 0, USER_RW);
		refused(VMEM_ERR_EXISTS, va, memory_of(level), level);
		assert_int_equal(vmem_pmap_reserve(&p, va, level, &at), VMEM_OK);
		assert_int_equal(at.level, level);
		shows(1, va + size - PAGE, frame, 0);
		finish();
		begin(false);
	}
	finish();
}

/* Each table that is wanting: NO_MEMORY, none of the others is left over. */
static void no_memory(void **state)
{
	(void)state;
	begin(false);
	enter(0, frame, 0, USER_RW);
	for (unsigned n = 1; n < vmem_mmu.levels; n++) {
		machine_fail_at(n);
		refused(VMEM_ERR_NO_MEMORY, arch_level_size(vmem_mmu.levels - 1u), frame, 0);
		machine_fail_at(0);
	}
	enter(arch_level_size(vmem_mmu.levels - 1u), frame, 0, USER_RW);
	machine_fail_at(1); /* a removal and a cut take nothing, and cannot fail */
	cut(0, arch_level_size(vmem_mmu.levels - 1u) * 2, LEAF_READ);
	remove_range(0, arch_level_size(vmem_mmu.levels - 1u) * 2);
	machine_fail_at(0);
	finish();
	struct vmem_pmap fails;
	machine_fail_at(1);
	assert_int_equal(vmem_pmap_init(&fails, false), VMEM_ERR_NO_MEMORY);
	machine_fail_at(0);
	step();
}

/* Removal meets rows, holes, windows that do not exist and leaves of three sizes, and takes what it was told
 * to. */
static void ranges(void **state)
{
	const uint64_t low = 6 * GIGA;
	(void)state;
	begin(false);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 40; i++) {
			enter(low + PAGES(500 + i), frame, 0, USER_RW); /* in two tables */
		}
		enter(low + 2 * LARGE, block, 1, USER_RW);
		enter(low + 40 * LARGE, frame, 0, USER_RW);
		enter(low + 2 * GIGA, frame, 0, USER_RW);
		assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 40 + 512 + 2);
		uint64_t had = p.tables;
		remove_range(low, PAGES(500)); /* nothing is there */
		assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 40 + 512 + 2);
		assert_int_equal(p.tables, had);
		remove_range(low + PAGES(505), PAGES(20));
		assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 20 + 512 + 2);
		shows(1, low + PAGES(504), frame, 0);
		shows(1, low + PAGES(525), frame, 0);
		assert_null(round == 0 ? NULL : p.kept);
		if (round == 0) {
			remove_range(low, 3 * GIGA);
		} else {
			remove_range(0, vmem_aspace_user_size()); /* at no higher cost than what is there */
		}
		assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 0);
		assert_int_equal(p.tables, vmem_mmu.levels);
	}
	const uint64_t last = vmem_aspace_user_size() - PAGE; /* the very ends of the user half */
	enter(0, frame, 0, USER_RW);
	enter(last, frame, 0, USER_RW);
	shows(0, 0, frame, 0);
	shows(0, last, frame, 0);
	remove_range(last, PAGE);
	shows(0, 0, frame, 0);
	remove_range(0, PAGE);
	assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 0);
	finish();
}

/* One empty leaf table at most, the last one; used again it counts as any other. */
static void kept_table(void **state)
{
	(void)state;
	begin(false);
	const unsigned all = vmem_mmu.levels;
	enter(VA, frame, 0, USER_RW);
	remove_range(VA, PAGE);
	struct vmem_page *first = p.kept;
	assert_non_null(first);
	enter(VA + PAGE, frame, 0, USER_RW); /* the same window: no table is made */
	assert_null(p.kept);
	assert_int_equal(p.tables, all);
	remove_range(VA + PAGE, PAGE);
	assert_ptr_equal(p.kept, first);
	enter(VA + LARGE, frame, 0, USER_RW);
	assert_int_equal(p.tables, all + 1);
	assert_ptr_equal(p.kept, first);
	remove_range(VA + LARGE, PAGE); /* now that one is kept, the first goes */
	assert_int_equal(p.tables, all);
	assert_non_null(p.kept);
	assert_ptr_not_equal(p.kept, first);
	assert_null(vmem_pmap_lookup(&p, VA).slot);
	assert_non_null(vmem_pmap_lookup(&p, VA + LARGE).slot);
	enter(VA + 2 * GIGA, frame, 0, USER_RW);
	remove_range(VA + 2 * GIGA, PAGE); /* with its parents, where nothing else is in them */
	assert_int_equal(p.tables, all);
	struct vmem_batch batch;
	struct pmap_entry at;
	assert_int_equal(vmem_pmap_reserve(&p, VA, 0, &at), VMEM_OK); /* made for an entry that never came */
	assert_int_equal(at.table->refs, 0);
	machine_operation();
	vmem_batch_begin(&batch, &p);
	vmem_pmap_unhook(&p, at.table, &batch);
	vmem_batch_end(&batch);
	assert_null(vmem_pmap_lookup(&p, VA).slot);
	assert_int_equal(p.tables, all);
	finish();
}

/*
 * Six pmaps, three ids, two CPUs, the same address in all: each access finds its own pmap's frame, whoever
 * had the id before. A pmap that runs while the ids start over keeps its own.
 */
static void ids_start_over(void **state)
{
	struct vmem_pmap many[6];
	vmem_paddr_t of[6];
	(void)state;
	vmem_asid_init(3);
	for (unsigned i = 0; i < 6; i++) {
		const struct vmem_frame_request one = {.zeroed = true};
		OK(vmem_frame_alloc(&one, &of[i]));
		*(uint64_t *)machine_ram(of[i]) = 100 + i;
	}
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(vmem_pmap_init(&many[i], false), VMEM_OK);
		assert_int_equal(vmem_pmap_enter(&many[i], VA, of[i], 0, DIRTY_RW), VMEM_OK);
	}
	machine_cpu_set(1);
	vmem_pmap_activate(&many[0]);
	for (unsigned turn = 0; turn < 24; turn++) {
		unsigned i = 1 + turn * 2 % 5;
		uint64_t value = 0, before = vmem_asid_rollovers();
		machine_cpu_set(0);
		machine_operation();
		vmem_pmap_activate(&many[i]);
		assert_true(machine_asid(0) >= 1 && machine_asid(0) <= 3);
		assert_int_equal(many[i].asid & 0xffff, machine_asid(0));
		assert_int_not_equal(machine_asid(0), machine_asid(1));
		assert_int_equal(many[0].asid & 0xffff, machine_asid(1));
		assert_true(vmem_asid_rollovers() <= before + 1);
		for (unsigned cpu = 0; cpu < 2; cpu++) {
			assert_true(machine_access(cpu, VA, MACHINE_READ, MACHINE_USER, &value, 8).ok);
			assert_int_equal(value, cpu ? 100 : 100 + i);
		}
		warm();
		step_machine();
	}
	assert_true(vmem_asid_rollovers() >= 5);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		machine_cpu_set(cpu);
		vmem_pmap_activate(NULL);
	}
	machine_cpu_set(0);
	for (unsigned i = 0; i < 6; i++) {
		machine_operation();
		vmem_pmap_fini(&many[i]);
		vmem_frame_free(of[i], 0);
	}
	step();
}

struct seen {
	uint64_t va[16];
	unsigned level[16], count;
};

static void note(void *arg, vmem_vaddr_t va, unsigned level, arch_pte_t entry)
{
	struct seen *seen = arg;
	assert_true(seen->count < 16 && arch_pte_is_leaf(entry, level));
	seen->va[seen->count] = va;
	seen->level[seen->count++] = level;
}

/* Every leaf of a range once, in order, with what is large met by any part of it. */
static void visiting(void **state)
{
	struct seen seen = {.count = 0};
	(void)state;
	begin(false);
	enter(PAGES(3), frame, 0, LEAF_READ);
	enter(LARGE - PAGE, frame, 0, LEAF_READ);
	enter(4 * LARGE, block, 1, LEAF_READ);
	enter(7 * GIGA, frame, 0, LEAF_READ);
	vmem_pmap_visit(&p, 0, vmem_aspace_user_size(), note, &seen);
	static const uint64_t where[] = {PAGES(3), LARGE - PAGE, 4 * LARGE, 7 * GIGA};
	assert_int_equal(seen.count, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(seen.va[i], where[i]);
		assert_int_equal(seen.level[i], i == 2);
	}
	seen.count = 0;
	vmem_pmap_visit(&p, PAGES(4), LARGE - PAGES(5), note, &seen);
	assert_int_equal(seen.count, 0);
	vmem_pmap_visit(&p, 4 * LARGE + PAGES(9), PAGE, note, &seen);
	assert_int_equal(seen.count, 1);
	seen.count = 0; /* up to the end of the address type */
	vmem_pmap_visit(vmem_kernel_pmap(), ~VMEM_PAGE_MASK, PAGE, note, &seen);
	assert_int_equal(seen.count, 0);
	finish();
}

/* The validator finds what it is there to find. */
static void validator(void **state)
{
	(void)state;
	begin(false);
	enter(VA, frame, 0, LEAF_READ);
	struct vmem_page *table = vmem_pmap_lookup(&p, VA).table;
	arch_pte_t *slot = vmem_pmap_lookup(&p, VA).slot;
	table->refs++;
	PANICS("count of entries", vmem_pmap_check(&p));
	table->refs--;
	table->u.table.base += LARGE;
	PANICS("where it is", vmem_pmap_check(&p));
	table->u.table.base -= LARGE;
	table->u.table.pmap = NULL;
	PANICS("where it is", vmem_pmap_check(&p));
	table->u.table.pmap = &p;
	table->order = 1;
	PANICS("where it is", vmem_pmap_check(&p));
	table->order = 0;
	table->kind = PAGE_USED;
	PANICS("no record", vmem_pmap_check(&p));
	table->kind = PAGE_TABLE;
	p.counts[0].n[COUNT_RESIDENT]++;
	PANICS("leaves are miscounted", vmem_pmap_check(&p));
	p.counts[0].n[COUNT_RESIDENT]--;
	p.tables++;
	PANICS("tables are miscounted", vmem_pmap_check(&p));
	p.tables--;
	arch_pte_t was = pte_load(slot);
	pte_store(slot, UINT64_C(1) << 60); /* not zero, not present */
	PANICS("neither zero nor present", vmem_pmap_check(&p));
	pte_store(slot, arch_pte_make_table(frame, true));
	if (!arch_pte_is_leaf(
		pte_load(slot), 0)) { /* RISC-V: an entry that points on where nothing can follow */
		PANICS("table entry at level 0", vmem_pmap_check(&p));
	}
	pte_store(slot, 0);
	table->refs = 0;
	p.counts[0].n[COUNT_RESIDENT] = 0;
	PANICS("neither freed nor the kept", vmem_pmap_check(&p));
	p.counts[0].n[COUNT_RESIDENT] = 1;
	table->refs = 1;
	pte_store(slot, was);
	p.kept = table;
	PANICS("kept table", vmem_pmap_check(&p));
	p.kept = NULL;
	uint64_t base = BIG;
	machine_operation();
	PANICS("(pa & ", (void)vmem_pmap_enter(&p, base, block + PAGE, 1, USER_RW));
	PANICS("(pa & ", (void)vmem_pmap_enter(&p, base, block + PAGE, 1, USER_RW));
	enter(base, block, 1, USER_RW); /* in the place that was made for it */
	remove_range(base, LARGE);
	PANICS("while a CPU runs on it", vmem_pmap_retire(&p));
	finish();
}

/* A table that lies where the library has no records is found by the validator. */
static void foreign_table(void **state)
{
	(void)state;
	begin(false);
	enter(VA, frame, 0, LEAF_READ);
	struct pmap_entry above = vmem_pmap_lookup(&p, VA + arch_level_size(1));
	assert_null(above.slot);
	enter(BIG, block, 1, LEAF_READ);
	above = vmem_pmap_lookup(&p, BIG);
	arch_pte_t was = pte_load(above.slot);
	pte_store(above.slot, arch_pte_make_table(machine_empty_table(), true));
	PANICS("no record", vmem_pmap_check(&p));
	pte_store(above.slot, was);
	finish();
}

/* P7: tables under the kernel's root that the host made, be it in frames that it took from the library. */
static void tables_of_the_host(void **state)
{
	struct vmem_pmap *kernel = vmem_kernel_pmap();
	const uint64_t va = machine_kernel_area().start + 64 * (GIGA << 9); /* far from what is managed */
	const unsigned root = vmem_mmu.levels - 1u;
	vmem_paddr_t table[5] = {0};
	struct vmem_batch batch;
	(void)state;
	begin(false);
	arch_pte_t *slot = kernel->root + ((va >> arch_level_shift(root)) & (ARCH_TABLE_ENTRIES - 1)),
		   *top = slot;
	assert_int_equal(pte_load(top), 0);
	for (unsigned level = root; level > 0; level--) {
		const struct vmem_frame_request one = {.zeroed = true};
		assert_int_equal(vmem_frame_alloc(&one, &table[level]), VMEM_OK);
		pte_store(slot, arch_pte_make_table(table[level], false));
		slot = (arch_pte_t *)machine_ram(table[level]) +
		       ((va >> arch_level_shift(level - 1)) & (ARCH_TABLE_ENTRIES - 1));
	}
	struct pmap_entry at = vmem_pmap_lookup(kernel, va);
	assert_ptr_equal(at.slot, slot);
	assert_null(at.table);
	uint64_t resident = vmem_pmap_counted(kernel, COUNT_RESIDENT), had = kernel->tables;
	machine_operation();
	vmem_pmap_set(kernel, at, va, frame, LEAF_READ);
	assert_int_equal(vmem_pmap_counted(kernel, COUNT_RESIDENT), resident + 1);
	vmem_batch_begin(&batch, kernel);
	vmem_pmap_remove(kernel, va, PAGE, &batch);
	vmem_batch_end(&batch);
	assert_int_equal(pte_load(slot), 0);
	assert_int_equal(vmem_pmap_counted(kernel, COUNT_RESIDENT), resident);
	assert_int_equal(kernel->tables, had);
	pte_store(
	    top, arch_pte_make_leaf(0, root, LEAF_READ | LEAF_ACCESSED)); /* a leaf in the root's place */
	static struct vmem_pmap fails;
	if (arch_pte_is_leaf(pte_load(top), root)) {
		assert_int_equal(vmem_pmap_init_kernel(&fails, va, PAGE), VMEM_ERR_INVALID);
	}
	pte_store(top, 0);
	struct vmem_pmap saved = *kernel;
	assert_int_equal(vmem_pmap_init_kernel(kernel, 0, 0), VMEM_OK); /* the one that new roots copy */
	*kernel = saved;
	for (unsigned level = root; level > 0; level--) {
		vmem_frame_free(table[level], 0);
	}
	finish();
}

/* What fills an empty slot fills nothing else. */
static void filling(void **state)
{
	struct pmap_entry at;
	(void)state;
	begin(false);
	assert_int_equal(vmem_pmap_reserve(&p, VA, 0, &at), VMEM_OK);
	pmap_put(&p, &at, 0, VA, frame, LEAF_READ);
	PANICS("internal", pmap_put(&p, &at, 0, VA, frame, LEAF_READ));
	shows(1, VA, frame, 0);
	assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), 1);
	finish();
}

/* A pmap whose counts say that it is not empty does not die. */
static void dies_empty(void **state)
{
	(void)state;
	begin(false);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		machine_cpu_set(cpu);
		vmem_pmap_activate(NULL);
	}
	machine_cpu_set(0);
	p.counts[0].n[COUNT_RESIDENT]++;
	PANICS("dies with tables or leaves", vmem_pmap_fini(&p));
	p.counts[0].n[COUNT_RESIDENT]--;
	p.tables++;
	PANICS("dies with tables or leaves", vmem_pmap_fini(&p));
	p.tables--;
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(levels),
	    cmocka_unit_test(paging_modes),
	    CORE(in_the_way),
	    CORE(no_memory),
	    CORE(ranges),
	    CORE(kept_table),
	    CORE(ids_start_over),
	    CORE(visiting),
	    CORE(validator),
	    CORE(foreign_table),
	    CORE(tables_of_the_host),
	    CORE(filling),
	    CORE(dies_empty),
	};
	return cmocka_run_group_tests_name("pmap", tests, NULL, NULL);
}
