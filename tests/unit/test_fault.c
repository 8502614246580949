/* SPDX-License-Identifier: MIT */
/*
 * test_fault.c - the case table of fault.c, row by row, and F1 to F4: a program on the software machine
 * reads, writes and fetches, and the hardware decides what it gets.
 */
#include "core_fixture.h"

#include "region.h"

static void zero_page_on_read(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_translation one, two;
	(void)state;
	run(0, as);
	uint64_t va = map(as, 4, RW);
	uint64_t data = frames_now().data;
	assert_int_equal(get(as, 0, va), 0);
	assert_int_equal(get(as, 0, va + PAGE), 0);
	step();
	assert_true(vmem_aspace_translate(as, va, &one) && vmem_aspace_translate(as, va + PAGE, &two));
	assert_int_equal(one.physical, two.physical);
	assert_int_equal(one.permission & VMEM_WRITE, 0);
	assert_int_equal(stats_of(as).faults_zero_page, 2);
	assert_int_equal(stats_of(as).committed, 0);
	assert_int_equal(frames_now().data, data);
	put(as, 0, va + PAGE, 5); /* the zero frame gives way, and stays zero */
	step();
	assert_int_equal(get(as, 0, va), 0);
	assert_int_equal(get(as, 0, va + PAGE), 5);
	assert_int_equal(frames_now().data, data + 1);
	assert_int_equal(stats_of(as).faults_zeroed, 1);
	end(as);
}

static void first_write(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_translation t;
	(void)state;
	run(0, as);
	uint64_t va = map(as, 2, RW);
	put(as, 0, va + 16, 7);
	step();
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_int_equal(t.permission, RW);
	assert_true(t.dirty && t.accessed);
	assert_int_equal(t.level, 0);
	for (uint64_t at = 0; at < PAGE; at += 8) { /* the rest of the page is zero */
		assert_int_equal(get(as, 0, va + at), at == 16 ? 7 : 0);
	}
	assert_false(vmem_aspace_translate(as, va + PAGE, &t));
	assert_int_equal(stats_of(as).faults, 1);
	assert_int_equal(stats_of(as).committed, 1);
	end(as);
}

/* On every ISA a page that can be written can be read, whatever the region says. */
static void write_only(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(2, 0);
	(void)state;
	run(0, as);
	uint64_t va = map(as, 2, VMEM_WRITE);
	assert_int_equal(get(as, 0, va), 0);
	step();
	assert_int_equal(stats_of(as).resident, 1);
	put(as, 0, va, 3);
	assert_int_equal(get(as, 0, va), 3);
	step();
	poke(object, 0, 9);
	struct vmem_object *child = snapshot(object, 0, 2);
	uint64_t shared = map_object(as, object, 0, 2, VMEM_WRITE, VMEM_MAP_SHARED);
	assert_int_equal(get(as, 0, shared), 9);
	step();
	put(as, 0, shared, 10);
	assert_int_equal(peek(child, 0), 9);
	uint64_t private = map_object(as, object, 0, 2, VMEM_WRITE, 0);
	assert_int_equal(get(as, 0, private), 10);
	step();
	put(as, 0, private, 11);
	assert_int_equal(peek(object, 0), 10);
	release(child);
	release(object);
	end(as);
}

static void write_execute(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run(0, as);
	uint64_t va = map(as, 1, VMEM_WRITE | VMEM_EXEC);
	fetch(as, 0, va);
	step();
	put(as, 0, va, 1);
	step();
	end(as);
}

static void execute_only(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run(0, as);
	uint64_t va = map(as, 1, VMEM_EXEC);
	fetch(as, 0, va);
	step();
	DENIED(VMEM_FAULT_PERMISSION, as, 0, va, MACHINE_WRITE);
	if (core_isa() == MACHINE_RISCV) { /* elsewhere execution brings read */
		DENIED(VMEM_FAULT_PERMISSION, as, 0, va, MACHINE_READ);
	}
	step();
	end(as);
}

static void refusals(void **state)
{
	const struct vmem_map guard = {.length = PAGE, .flags = VMEM_MAP_GUARD};
	struct vmem_aspace *as = space();
	vmem_vaddr_t guarded;
	(void)state;
	run(0, as);
	struct vmem_object *object = anonymous(1, VMEM_OBJECT_RESIZABLE);
	uint64_t ro = map(as, 1, VMEM_READ), none = map(as, 1, 0), nx = map(as, 1, RW);
	uint64_t shared = map_object(as, object, 0, 3, RW, VMEM_MAP_SHARED);
	uint64_t private = map_object(as, object, 0, 3, RW, 0);
	OK(vmem_vmar_map(vmem_aspace_root(as), &guard, &guarded));
	uint64_t refused = stats_of(as).faults_refused;
	const struct {
		uint64_t va;
		enum machine_access_kind kind;
		enum vmem_fault_result why;
	} cases[] = {
	    {0, MACHINE_READ, VMEM_FAULT_NO_REGION},
	    {vmem_aspace_user_size() - PAGE, MACHINE_READ, VMEM_FAULT_NO_REGION},
	    {ro, MACHINE_WRITE, VMEM_FAULT_PERMISSION},
	    {ro, MACHINE_EXEC, VMEM_FAULT_PERMISSION},
	    {none, MACHINE_READ, VMEM_FAULT_PERMISSION},
	    {none, MACHINE_WRITE, VMEM_FAULT_PERMISSION},
	    {none, MACHINE_EXEC, VMEM_FAULT_PERMISSION},
	    {nx, MACHINE_EXEC, VMEM_FAULT_PERMISSION},
	    {guarded, MACHINE_READ, VMEM_FAULT_GUARD},
	    {guarded, MACHINE_WRITE, VMEM_FAULT_GUARD},
	    {shared + PAGE, MACHINE_READ, VMEM_FAULT_BEYOND_END},
	    {shared + PAGES(2), MACHINE_WRITE, VMEM_FAULT_BEYOND_END},
	    {private + PAGE, MACHINE_READ, VMEM_FAULT_BEYOND_END},
	    {private + PAGES(2), MACHINE_WRITE, VMEM_FAULT_BEYOND_END},
	};
	for (unsigned round = 0; round < 2; round++) { /* F4; and again once neighbours have tables */
		for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			uint64_t before = core_state();
			DENIED(cases[i].why, as, 0, cases[i].va, cases[i].kind);
			assert_int_equal(core_state(), before);
			step();
			assert_int_equal(stats_of(as).faults_refused, ++refused);
		}
		fill(as, nx, 1, 1);
		(void)get(as, 0, ro);
		(void)get(as, 0, shared);
		(void)get(as, 0, private);
	}
	release(object);
	end(as);
}

static void names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VMEM_FAULT_RESULT_COUNT; i++) {
		const char *name = vmem_fault_name((enum vmem_fault_result)i);
		assert_true(name != NULL && *name != 0);
		assert_string_not_equal(name, "unknown");
		for (unsigned k = 0; k < i; k++) {
			assert_string_not_equal(name, vmem_fault_name((enum vmem_fault_result)k));
		}
	}
	assert_string_equal(vmem_fault_name(VMEM_FAULT_RESULT_COUNT), "unknown");
}

/* A region that another CPU is changing: the program is to try again, but who answers so has let the other
 * CPU go on first, and served its calls. */
static unsigned waits;

static void count_wait(void)
{
	waits++;
}

static void again(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run_all(as);
	uint64_t va = map(as, 1, RW), before = core_state();
	struct region *region = vmem_region_find(as, va);
	region->span.generation++;
	waits = 0;
	machine_wait_hook(count_wait);
	for (unsigned turn = 1; turn <= 3; turn++) {
		assert_int_equal(vmem_fault(as, va, VMEM_WRITE), VMEM_FAULT_RESOLVED);
		assert_int_equal(waits, turn);
	}
	machine_wait_hook(NULL);
	region->span.generation--;
	assert_int_equal(core_state(), before);
	put(as, 0, va, 1);
	assert_int_equal(waits, 3);
	end(as);
}

/* Another CPU, or a permission that was raised without a flush: nothing is missing. */
static void spurious(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run_all(as);
	uint64_t va = map(as, 1, RW);
	put(as, 0, va, 1);
	uint64_t before = core_state(), spurious_before = stats_of(as).faults_spurious;
	for (unsigned access = VMEM_READ; access <= VMEM_WRITE; access <<= 1) {
		assert_int_equal(vmem_fault(as, va + 123, access), VMEM_FAULT_RESOLVED);
		step();
	}
	assert_int_equal(core_state(), before);
	assert_int_equal(stats_of(as).faults_spurious, spurious_before + 2);
	/* CPU 1 caches what the zero page grants (nothing of writing); CPU 0 gets a page; CPU 1 then writes.
	 */
	uint64_t other = map(as, 1, RW);
	assert_int_equal(get(as, 1, other), 0);
	put(as, 0, other, 4);
	step();
	put(as, 1, other, 5);
	assert_int_equal(get(as, 0, other), 5);
	step();
	end(as);
}

static void raised_permission(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run_all(as);
	uint64_t va = map(as, 3, VMEM_READ);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_int_equal(get(as, cpu, va), 0);
	}
	warm();
	protect(as, va, 3, RW);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		put(as, cpu, va, cpu);
		step();
	}
	put(as, 2, va + PAGE, 9);
	protect(as, va + PAGE, 1, VMEM_READ);
	assert_int_equal(get(as, 3, va + PAGE), 9);
	protect(as, va + PAGE, 1, RW);
	uint64_t copied = stats_of(as).faults_copied;
	put(as, 3, va + PAGE, 10); /* the page is ours still: no copy */
	assert_int_equal(get(as, 2, va + PAGE), 10);
	assert_int_equal(stats_of(as).faults_copied, copied);
	assert_true(stats_of(as).faults_reused > 0);
	step();
	end(as);
}

/* Private mapping of an object as of a file: reads show the object, the first write takes a copy. */
static void private_object(void **state)
{
	struct vmem_aspace *as = space(), *other = space();
	struct vmem_object *object = anonymous(8, 0);
	(void)state;
	for (uint64_t i = 0; i < 6; i++) {
		poke(object, i, 100 + i);
	}
	run(0, as);
	run(1, other);
	run(2, as);
	machine_cpu_set(0);
	uint64_t va = map_object(as, object, 1, 7, RW, 0),
		 shared = map_object(other, object, 0, 8, RW, VMEM_MAP_SHARED);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(get(as, 0, va + PAGES(i)), 101 + i);
		assert_int_equal(get(as, 2, va + PAGES(i)), 101 + i);
	}
	step();
	put(other, 1, shared + PAGES(2), 7); /* not copied yet: the store is seen */
	assert_int_equal(get(as, 0, va + PAGE), 7);
	warm();
	put(as, 0, va + PAGE, 8); /* read-only entry of the object's page -> own page, on both CPUs */
	step();
	assert_int_equal(get(as, 2, va + PAGE), 8);
	assert_int_equal(get(other, 1, shared + PAGES(2)), 7);
	put(other, 1, shared + PAGES(2), 9);
	assert_int_equal(get(as, 2, va + PAGE), 8);
	put(as, 0, va + PAGES(5) + 8,
	    1); /* written without a read before: copied from a page that the object has not yet */
	assert_int_equal(get(as, 0, va + PAGES(5)), 0);
	assert_int_equal(peek(object, 6), 0);
	assert_int_equal(get(as, 0, va + PAGES(6)), 0);
	step();
	assert_int_equal(stats_of(as).committed, 2);
	assert_int_equal(stats_of(as).faults_copied, 2);
	OK(vmem_vmar_decommit(vmem_aspace_root(as), va, PAGES(7)));
	assert_int_equal(get(as, 0, va + PAGE), 9); /* the object's again */
	assert_int_equal(stats_of(as).committed, 0);
	put(as, 0, va + 8, 55);
	assert_int_equal(get(as, 0, va), 101); /* the rest of the page came along */
	assert_int_equal(get(as, 2, va + PAGE - 8), 0);
	unmap(as, va, 7);
	assert_int_equal(peek(object, 1), 101);
	release(object);
	end(as);
	end(other);
}

/* What the object shares with a snapshot is copied for a shared mapping's write, in all its mappings
 * (contract 3.3). */
static void shared_copy_on_write(void **state)
{
	struct vmem_aspace *a = space(), *b = space();
	struct vmem_object *object = anonymous(4, 0);
	(void)state;
	run(0, a);
	run(1, b);
	run(2, a);
	machine_cpu_set(0);
	uint64_t va = map_object(a, object, 0, 4, RW, VMEM_MAP_SHARED),
		 twice = map_object(a, object, 1, 3, RW, VMEM_MAP_SHARED);
	uint64_t vb = map_object(b, object, 0, 4, VMEM_READ, VMEM_MAP_SHARED);
	fill(a, va, 4, 10);
	struct vmem_object *child = snapshot(object, 0, 4);
	assert_int_equal(get(b, 1, vb + PAGE), 11);
	assert_int_equal(get(a, 2, va + PAGE), 11);
	assert_int_equal(get(a, 2, twice), 11);
	warm();
	uint64_t flushes = stats_of(b).flushes;
	put(a, 0, twice, 99);
	step();
	assert_true(stats_of(b).flushes > flushes);
	assert_int_equal(get(b, 1, vb + PAGE), 99);
	assert_int_equal(get(a, 2, va + PAGE), 99);
	assert_int_equal(peek(child, 1), 11);
	release(child);
	warm();
	put(a, 0, va, 77); /* the object's own again: written in place */
	assert_int_equal(get(b, 1, vb), 77);
	step();
	release(object);
	end(a);
	end(b);
}

/* The first, second, ... allocation of the first fault on a mapping fails, until none does. */
static void sweep_fault(struct vmem_aspace *as, const struct vmem_map *map)
{
	vmem_vaddr_t va;
	uint64_t n = 1;
	unsigned access = map->permission & VMEM_WRITE ? VMEM_WRITE : VMEM_READ;
	OK(vmem_vmar_map(vmem_aspace_root(as), map, &va));
	for (;; n++) {
		struct vmem_aspace_stats before = stats_of(as);
		machine_fail_at(n);
		machine_operation();
		enum vmem_fault_result result = vmem_fault(as, va, access);
		machine_fail_at(0);
		step();
		if (result == VMEM_FAULT_RESOLVED) {
			break;
		}
		assert_int_equal(result, VMEM_FAULT_NO_MEMORY);
		assert_int_equal(stats_of(as).tables, before.tables);
		assert_int_equal(stats_of(as).resident, before.resident);
		assert_int_equal(stats_of(as).committed, before.committed);
	}
	assert_true(n >= 3); /* two tables at least */
	unmap(as, va, 1);
}

/* Each allocation of each kind of fault fails once: the answer is NO_MEMORY, nothing has changed but an
 * object's zeroes (F3, F4). */
static void no_memory(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(4, 0), *shared_object = anonymous(4, 0);
	(void)state;
	run(0, as);
	poke(object, 0, 1);
	poke(shared_object, 0, 2);
	struct vmem_object *child = snapshot(shared_object, 0, 4);
	const uint64_t far = UINT64_C(1) << 33;
	const struct vmem_map any = {
	    .length = PAGE, .permission = RW, .maximum = RW, .place = VMEM_PLACE_FIXED, .address = far};
	struct vmem_map maps[] = {any, any, any, any, any};
	maps[1].object = object;
	maps[2].object = shared_object;
	maps[2].flags = VMEM_MAP_SHARED;
	maps[3].object = child;
	maps[3].offset = PAGES(2);
	maps[3].flags = VMEM_MAP_SHARED;
	maps[4].permission = VMEM_READ;
	for (unsigned i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		maps[i].address = (i + 1) * far;
		sweep_fault(as, &maps[i]);
	}
	assert_int_equal(peek(shared_object, 0), 2);
	release(child);
	release(object);
	release(shared_object);
	end(as);
}

static void large_leaf(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	struct vmem_aspace *as = space_with(&config);
	struct vmem_translation t;
	const struct vmem_map what = {
	    .length = 4 * LARGE, .permission = RW, .maximum = VMEM_RWX, .flags = VMEM_MAP_LARGE};
	vmem_vaddr_t va;
	(void)state;
	run(0, as);
	run(1, as);
	OK(vmem_vmar_map(vmem_aspace_root(as), &what, &va));
	assert_int_equal(va & (LARGE - 1), 0);
	put(as, 0, va + 5 * PAGE + 8, 3);
	step();
	assert_true(vmem_aspace_translate(as, va + 9 * PAGE + 5, &t));
	assert_int_equal(t.level, 1);
	assert_int_equal(t.physical & (PAGE - 1), 5);
	assert_int_equal(stats_of(as).faults_large, 1);
	assert_int_equal(stats_of(as).committed, 512);
	assert_int_equal(stats_of(as).resident, 512);
	assert_int_equal(get(as, 1, va + 5 * PAGE + 8), 3);
	assert_int_equal(
	    get(as, 1, va + LARGE), 0); /* read first: the zero page, and then small pages only */
	put(as, 1, va + LARGE + PAGE, 4);
	assert_true(vmem_aspace_translate(as, va + LARGE + PAGE, &t));
	assert_int_equal(t.level, 0);
	step();
	warm();
	protect(as, va + PAGES(3), 1, VMEM_READ); /* dropped whole, rebuilt by faults */
	assert_int_equal(get(as, 1, va + 5 * PAGE + 8), 3);
	DENIED(VMEM_FAULT_PERMISSION, as, 1, va + PAGES(3), MACHINE_WRITE);
	put(as, 1, va + PAGES(4), 6);
	step();
	put(as, 0, va + 2 * LARGE, 7);
	warm();
	protect(as, va + 2 * LARGE, 512, VMEM_READ); /* whole: the leaf stays */
	assert_true(vmem_aspace_translate(as, va + 2 * LARGE, &t));
	assert_int_equal(t.level, 1);
	assert_false(hardware(1, va + 2 * LARGE, MACHINE_WRITE, MACHINE_USER));
	protect(as, va + 2 * LARGE, 512, RW);
	put(as, 1, va + 2 * LARGE + PAGES(100), 8); /* raised: small pages take its place */
	assert_int_equal(get(as, 0, va + 2 * LARGE), 7);
	step();
	put(as, 0, va + 3 * LARGE + PAGES(7), 9);
	warm();
	unmap(as, va + 3 * LARGE + PAGES(8), 16);
	assert_int_equal(get(as, 1, va + 3 * LARGE + PAGES(7)), 9);
	DENIED(VMEM_FAULT_NO_REGION, as, 1, va + 3 * LARGE + PAGES(8), MACHINE_READ);
	assert_int_equal(stats_of(as).faults_large, 3);
	step();
	end(as);
}

/* No block, no node, no table: small pages do. A window that the region does not cover never gets a large
 * leaf. */
static void large_leaf_not_to_be_had(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	struct vmem_aspace *as = space_with(&config);
	const uint64_t base = UINT64_C(1) << 32;
	struct vmem_translation t;
	(void)state;
	run(0, as);
	(void)map_at(as, base + PAGE, 511, RW);
	(void)map_at(as, base + 2 * LARGE, 511, RW);
	put(as, 0, base + PAGES(7), 1);
	put(as, 0, base + 2 * LARGE, 1);
	step();
	assert_int_equal(stats_of(as).faults_large, 0);
	(void)map_at(as, base + (UINT64_C(1) << 31), 512, RW);
	uint64_t n = 1, large = 0;
	while (large == 0) {
		machine_fail_at(n++);
		machine_operation();
		(void)vmem_fault(as, base + (UINT64_C(1) << 31), VMEM_WRITE);
		machine_fail_at(0);
		step();
		large = stats_of(as).faults_large;
		OK(vmem_vmar_decommit(vmem_aspace_root(as), base + (UINT64_C(1) << 31), LARGE));
		unmap(as, base + (UINT64_C(1) << 31), 512);
		(void)map_at(as, base + PAGES(4096), 1, RW); /* takes the kept empty table out of the way */
		put(as, 0, base + PAGES(4096), 1);
		unmap(as, base + PAGES(4096), 1);
		(void)map_at(as, base + (UINT64_C(1) << 31), 512, RW);
		assert_true(n < 30);
	}
	assert_true(n > 2);
	put(as, 0, base + (UINT64_C(1) << 31), 1);
	assert_true(vmem_aspace_translate(as, base + (UINT64_C(1) << 31), &t));
	assert_int_equal(t.level, 1);
	end(as);
}

/* Fixed frames: as large as alignment, region and object allow. */
static void fixed_frames(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object;
	struct vmem_translation t;
	vmem_paddr_t frame;
	vmem_vaddr_t va;
	(void)state;
	run(0, as);
	run(1, as);
	OK(vmem_object_create_contiguous(2 * LARGE, LARGE, 0, VMEM_WRITE_BACK, &object));
	OK(vmem_object_frame(object, 0, &frame));
	struct vmem_map what = {.length = 3 * LARGE,
	    .permission = RW,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_SHARED,
	    .object = object,
	    .align = LARGE};
	OK(vmem_vmar_map(vmem_aspace_root(as), &what, &va));
	put(as, 0, va + PAGES(3), 5);
	assert_int_equal(get(as, 1, va + LARGE), 0);
	step();
	assert_true(vmem_aspace_translate(as, va + PAGES(3) + 7, &t));
	assert_int_equal(t.level, 1);
	assert_int_equal(t.physical, frame + PAGES(3) + 7);
	assert_int_equal(stats_of(as).resident, 1024);
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, va + 2 * LARGE, MACHINE_READ);
	warm();
	protect(as, va + PAGES(2), 2, VMEM_READ);
	assert_int_equal(get(as, 1, va + PAGES(3)), 5);
	DENIED(VMEM_FAULT_PERMISSION, as, 1, va + PAGES(3), MACHINE_WRITE);
	put(as, 1, va + PAGES(4), 6);
	step();
	unmap(as, va, 3 * 512);
	what.offset = PAGE; /* congruent only at the second window of the object */
	what.length = 2 * LARGE - PAGE;
	what.align = 0;
	what.place = VMEM_PLACE_FIXED;
	what.address = va + PAGE;
	OK(vmem_vmar_map(vmem_aspace_root(as), &what, &va));
	assert_int_equal(get(as, 0, va + PAGES(3)), 6);
	assert_true(vmem_aspace_translate(as, va, &t) == false);
	assert_true(vmem_aspace_translate(as, va + PAGES(3), &t));
	assert_int_equal(t.level, 0);
	(void)get(as, 0, va + LARGE);
	assert_true(vmem_aspace_translate(as, va + LARGE, &t));
	assert_int_equal(t.level, 1);
	step();
	end(as);
	release(object);
}

static void kernel_mode_access(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run(0, as);
	uint64_t va = map(as, 1, RW);
	assert_false(hardware(0, va, MACHINE_WRITE, MACHINE_SUPERVISOR));
	machine_operation();
	assert_int_equal(vmem_fault(as, va + 5, VMEM_WRITE), VMEM_FAULT_RESOLVED);
	assert_true(hardware(0, va, MACHINE_WRITE, MACHINE_SUPERVISOR));
	step();
	assert_int_equal(vmem_fault(as, machine_kernel_area().start, VMEM_READ), VMEM_FAULT_NO_REGION);
	assert_int_equal(vmem_fault(as, UINT64_MAX, VMEM_WRITE), VMEM_FAULT_NO_REGION);
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(zero_page_on_read),
	    CORE(first_write),
	    CORE(write_only),
	    CORE(write_execute),
	    CORE(execute_only),
	    CORE(refusals),
	    CORE(names),
	    CORE(again),
	    CORE(spurious),
	    CORE(raised_permission),
	    CORE(private_object),
	    CORE(shared_copy_on_write),
	    CORE(no_memory),
	    CORE(large_leaf),
	    CORE(large_leaf_not_to_be_had),
	    CORE(fixed_frames),
	    CORE(kernel_mode_access),
	};
	return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
