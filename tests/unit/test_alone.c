/* SPDX-License-Identifier: MIT */
/*
 * test_alone.c - a library for several CPUs that is told of one (alone.h): the copies for one CPU are what
 * runs, they leave what the rest understands, and the promise is kept (A1).
 */
#include "core_fixture.h"

#include "region.h"

static const struct core_options alone = {.asid_bits = -1, .linear_level = 1, .alone = true};

static int setup(void **state)
{
	(void)state;
	core_start(&alone);
	return 0;
}

#define ALONE(name) cmocka_unit_test_setup_teardown(name, setup, core_teardown)

/* What only other CPUs could have left turns a fault away; who is alone does not look for it. */
static enum vmem_fault_result fault_on_busy(struct vmem_aspace *as, uint64_t va)
{
	struct store *store = as->private_store;
	store->busy_first = va >> VMEM_PAGE_SHIFT;
	store->busy_count = 1;
	enum vmem_fault_result result = vmem_fault_try(as, va, VMEM_WRITE);
	store->busy_count = 0;
	return result;
}

static void copies_run(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run(0, as);
	uint64_t va = map(as, 2, RW);
	assert_int_equal(fault_on_busy(as, va), VMEM_FAULT_RESOLVED);
	step();
	end(as);
}

static void copies_do_not_run(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run(0, as);
	uint64_t va = map(as, 2, RW);
	assert_int_equal(fault_on_busy(as, va), VMEM_FAULT_RESULT_COUNT);
	end(as);
}

/* A removal that notes nothing of what only others ask for: the record of a region that stays is not odd
 * meanwhile, and no batch is counted as open. What remains is looked at by step(). */
static void map_and_remove(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run(0, as);
	for (unsigned turn = 0; turn < 3; turn++) {
		uint64_t va = map(as, 600, RW);
		for (unsigned i = 0; i < 600; i += 7) {
			put(as, 0, va + PAGES(i), i + 1);
		}
		step();
		protect(as, va + PAGES(10), 300, VMEM_READ);
		assert_int_equal(get(as, 0, va + PAGES(14)), 15);
		protect(as, va + PAGES(10), 300, RW);
		put(as, 0, va + PAGES(14), 3);
		unmap(as, va + PAGES(20), 30);
		OK(vmem_vmar_decommit(vmem_aspace_root(as), va + PAGES(50), PAGES(300)));
		assert_int_equal(get(as, 0, va + PAGES(56)), 0);
		assert_int_equal(get(as, 0, va + PAGES(14)), 3);
		unmap(as, va, 600);
	}
	end(as);
}

/* Copy on write, both ways: by the copies of what a snapshot left in files that have none. */
static void snapshots(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(8, 0);
	(void)state;
	run(0, as);
	uint64_t va = map_object(as, object, 0, 8, RW, VMEM_MAP_SHARED);
	for (unsigned i = 0; i < 8; i += 2) {
		put(as, 0, va + PAGES(i), i + 1);
	}
	struct vmem_object *before = snapshot(object, 0, 8);
	uint64_t old = map_object(as, before, 0, 8, RW, VMEM_MAP_SHARED);
	put(as, 0, va, 77);
	assert_int_equal(get(as, 0, old), 1);
	put(as, 0, old + PAGES(2), 78);
	assert_int_equal(get(as, 0, va + PAGES(2)), 3);
	step();
	release(object);
	release(before);
	end(as);
}

static void forks(void **state)
{
	struct vmem_aspace *as = space(), *child;
	(void)state;
	run(0, as);
	uint64_t va = map(as, 4, RW);
	put(as, 0, va, 5);
	OK(vmem_aspace_fork(as, &child));
	put(as, 0, va, 6);
	run(0, child);
	assert_int_equal(get(child, 0, va), 5);
	put(child, 0, va, 7);
	run(0, as);
	assert_int_equal(get(as, 0, va), 6);
	step();
	end(child);
	end(as);
}

/* Empty frames of small objects are given back, and no CPU is asked for it. */
static void nobody_is_asked(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run(0, as);
	for (unsigned i = 0; i < 300; i++) {
		(void)map_at(as, UINT64_C(0x10000000) + PAGES(2 * i), 1, i & 1 ? RW : VMEM_READ);
	}
	uint64_t slabs = frames_now().slabs;
	for (unsigned i = 0; i < 300; i++) {
		unmap(as, UINT64_C(0x10000000) + PAGES(2 * i), 1);
	}
	core_trim();
	assert_true(frames_now().slabs < slabs);
	end(as);
}

static void second_cpu(void **state)
{
	(void)state;
	PANICS("was told", vmem_library_init_cpu());
}

static void other_number(void **state)
{
	const struct core_options usual = {.asid_bits = -1, .linear_level = 1};
	const struct vmem_ram none = {.start = 0, .length = PAGE};
	const struct vmem_config config = {.ram = &none, .ram_count = 1, .cpus = 1};
	(void)state;
	core_start(&usual);
	machine_cpu_set(1);
	PANICS("number 0", (void)vmem_library_init(&config));
	machine_destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    ALONE(copies_run),
	    CORE(copies_do_not_run),
	    ALONE(map_and_remove),
	    ALONE(snapshots),
	    ALONE(forks),
	    ALONE(nobody_is_asked),
	    ALONE(second_cpu),
	    cmocka_unit_test(other_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
