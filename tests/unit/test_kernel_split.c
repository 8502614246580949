/* SPDX-License-Identifier: MIT */
/*
 * test_kernel_split.c - a part of a large leaf of the kernel half changes: S1 of pmap_split.c. The mappings
 * are of places where nothing is: only their translations are looked at, on every CPU.
 */
#include "core_fixture.h"

#include "frame.h"
#include "kernel_i.h"

#define FAR (UINT64_C(1) << 34)
#define GIGA (UINT64_C(1) << 30)

static int split_setup(void **state)
{
	const struct core_options options = {.asid_bits = -1, .add = MACHINE_LIVE_SPLIT};
	(void)state;
	core_start(&options);
	return 0;
}
#define SPLIT(name) cmocka_unit_test_setup_teardown(name, split_setup, core_teardown)

static uint64_t device(uint64_t physical, uint64_t length)
{
	void *at = NULL;
	OK(vmem_kernel_map(physical, length, RW, VMEM_UNCACHED, &at));
	return (uintptr_t)at;
}

static void *at(uint64_t va)
{
	return (void *)(uintptr_t)va;
}

static unsigned level_of(uint64_t va)
{
	struct vmem_translation t;
	assert_true(vmem_aspace_translate(vmem_kernel_aspace(), va, &t));
	return t.level;
}

/* On every CPU: there, with its frame, and writable or not. */
static void shows(uint64_t va, uint64_t physical, bool writable)
{
	for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {
		struct machine_translation m;
		assert_true(machine_translate(cpu, va, &m));
		assert_int_equal(m.pa, physical);
		assert_int_equal((m.perm & MACHINE_PERM_SW) != 0, writable);
	}
}

/* More is allowed than before: to a whole large leaf, in place; and to one page of four. */
static void raised(void **state)
{
	const struct vmem_frame_request request = {.order = 9};
	vmem_paddr_t frame;
	void *whole, *four;
	(void)state;
	OK(vmem_frame_alloc(&request, &frame));
	warm();
	OK(vmem_kernel_map(frame, LARGE, VMEM_READ, VMEM_WRITE_BACK, &whole));
	const uint64_t a = (uintptr_t)whole;
	shows(a, frame, false);
	OK(vmem_kernel_protect(whole, LARGE, RW));
	assert_int_equal(level_of(a), 1);
	shows(a + LARGE - PAGE, frame + LARGE - PAGE, true);
	OK(vmem_kernel_map(FAR, PAGES(4), VMEM_READ, VMEM_UNCACHED, &four));
	const uint64_t b = (uintptr_t)four;
	OK(vmem_kernel_protect(at(b + PAGE), PAGE, RW));
	shows(b, FAR, false);
	shows(b + PAGE, FAR + PAGE, true);
	shows(b + PAGES(2), FAR + PAGES(2), false);
	vmem_kernel_free(whole);
	vmem_kernel_free(four);
	vmem_frame_free(frame, 9);
	step();
}

/* What a caller of S1's functions owes. */
static void breaches(void **state)
{
	struct vmem_pmap *pmap = vmem_kernel_pmap();
	struct vmem_page *chain = NULL;
	(void)state;
	PANICS("tables <= pmap->deposited", vmem_pmap_withdraw(pmap, 1));
	const uint64_t empty = machine_kernel_area().start + GIGA;
	vmem_pmap_cut(pmap, empty); /* nothing is mapped there: nothing to cut */
	assert_null(vmem_pmap_lookup(pmap, empty).slot);
	const uint64_t a = device(FAR, LARGE);
	assert_true(vmem_tables_take(&chain, 1));
	const uint32_t features = vmem_mmu.features;
	struct vmem_page *table = chain;
	vmem_mmu.features &= ~(uint32_t)MMU_LIVE_SPLIT;
	PANICS("MMU_LIVE_SPLIT", vmem_pmap_split(pmap, a, vmem_pmap_lookup(pmap, a), &chain));
	vmem_mmu.features = features;
	vmem_frame_give(table);
	assert_int_equal(level_of(a), 1);
	vmem_kernel_free(at(a));
	step();
}

/* The deposit is taken with the mapping, pays for each split, and comes back whole. */
static void parts(void **state)
{
	struct vmem_frame_stats before = frames_now();
	(void)state;
	warm();
	uint64_t a = device(FAR, 3 * LARGE + PAGES(2));
	uint64_t tables = frames_now().tables;
	assert_int_equal(level_of(a), 1);
	assert_true(tables >= before.tables + 3); /* one for each large leaf */
	warm();
	machine_fail_at(1); /* no allocation succeeds from here on */
	OK(vmem_kernel_protect(at(a + PAGE), PAGE, VMEM_READ));
	assert_int_equal(level_of(a), 0);
	assert_int_equal(level_of(a + LARGE), 1);
	shows(a, FAR, true);
	shows(a + PAGE, FAR + PAGE, false);
	shows(a + PAGES(2), FAR + PAGES(2), true);
	shows(a + LARGE - PAGE, FAR + LARGE - PAGE, true);
	warm();
	OK(vmem_kernel_protect(at(a + 2 * LARGE - PAGE), PAGES(2), VMEM_READ)); /* across two */
	shows(a + 2 * LARGE - PAGES(2), FAR + 2 * LARGE - PAGES(2), true);
	shows(a + 2 * LARGE - PAGE, FAR + 2 * LARGE - PAGE, false);
	shows(a + 2 * LARGE, FAR + 2 * LARGE, false);
	shows(a + 2 * LARGE + PAGE, FAR + 2 * LARGE + PAGE, true);
	assert_int_equal(frames_now().tables, tables);
	warm();
	OK(vmem_kernel_protect(at(a), 3 * LARGE + PAGES(2), RW)); /* the whole, in many pieces */
	shows(a + PAGE, FAR + PAGE, true);
	shows(a + 2 * LARGE, FAR + 2 * LARGE, true);
	machine_fail_at(0);
	warm();
	machine_operation();
	vmem_kernel_free(at(a));
	step();
	assert_int_equal(frames_now().tables, before.tables);
}

/* Whole leaves change without a split, whatever their number. */
static void whole_leaves(void **state)
{
	(void)state;
	uint64_t a = device(FAR, 4 * LARGE);
	warm();
	OK(vmem_kernel_protect(at(a + LARGE), 2 * LARGE, VMEM_READ));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(level_of(a + i * LARGE), 1);
		shows(a + i * LARGE + 5 * PAGE, FAR + i * LARGE + 5 * PAGE, i == 0 || i == 3);
	}
	vmem_kernel_free(at(a));
}

/* One of 1 GiB falls to 2 MiB where that is enough, and to pages only where it is not. */
static void gigabyte(void **state)
{
	struct vmem_frame_stats before = frames_now();
	(void)state;
	uint64_t a = device(FAR, 2 * GIGA);
	unsigned largest = level_of(a); /* with three levels the top ones are the host's */
	assert_int_equal(largest, vmem_mmu.levels > 3 ? 2 : 1);
	warm();
	machine_fail_at(1);
	OK(vmem_kernel_protect(at(a + LARGE), LARGE, VMEM_READ));
	assert_int_equal(level_of(a), 1);
	assert_int_equal(level_of(a + LARGE), 1);
	assert_int_equal(level_of(a + GIGA), largest);
	shows(a, FAR, true);
	shows(a + 2 * LARGE - PAGE, FAR + 2 * LARGE - PAGE, false);
	shows(a + GIGA - PAGE, FAR + GIGA - PAGE, true);
	warm();
	OK(vmem_kernel_protect(at(a + GIGA - PAGE), PAGES(2), VMEM_READ));
	assert_int_equal(level_of(a + GIGA - PAGE), 0);
	assert_int_equal(level_of(a + GIGA), 0);
	assert_int_equal(level_of(a + GIGA + LARGE), 1);
	shows(a + GIGA - PAGES(2), FAR + GIGA - PAGES(2), true);
	shows(a + GIGA - PAGE, FAR + GIGA - PAGE, false);
	shows(a + GIGA, FAR + GIGA, false);
	shows(a + GIGA + PAGE, FAR + GIGA + PAGE, true);
	machine_fail_at(0);
	warm();
	machine_operation();
	vmem_kernel_free(at(a));
	step();
	assert_int_equal(frames_now().tables, before.tables);
}

static void no_memory(void **state)
{
	void *mapped;
	(void)state;
	SWEEP(3, vmem_kernel_map(FAR, 2 * LARGE + PAGE, RW, VMEM_UNCACHED, &mapped));
	vmem_kernel_free(mapped);
}

/* Where a live leaf cannot be split there is no deposit, and a part is refused. */
static void no_live_split(void **state)
{
	(void)state;
	if (core_isa() != MACHINE_AARCH64) {
		return; /* the others always can */
	}
	struct vmem_frame_stats before = frames_now();
	uint64_t a = device(FAR, 3 * LARGE + PAGES(2));
	assert_true(frames_now().tables <= before.tables + 3);
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_protect(at(a), PAGE, VMEM_READ));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_protect(at(a + LARGE - PAGE), PAGES(2), VMEM_READ));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_protect(at(a + 2 * LARGE + PAGE), LARGE, VMEM_READ));
	OK(vmem_kernel_protect(at(a + LARGE), 2 * LARGE + PAGE, VMEM_READ));
	vmem_kernel_free(at(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SPLIT(raised),
	    SPLIT(breaches),
	    SPLIT(parts),
	    SPLIT(whole_leaves),
	    SPLIT(gigabyte),
	    SPLIT(no_memory),
	    CORE(no_live_split),
	};
	return cmocka_run_group_tests_name("kernel_split", tests, NULL, NULL);
}
