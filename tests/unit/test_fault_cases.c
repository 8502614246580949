/* SPDX-License-Identifier: MIT */
/*
 * test_fault_cases.c - the rarer rows of the fault table (fault.c): markers in an index, private memory that
 * a snapshot shares, large leaves by a region's own wish, windows that fixed frames fill in part, tables that
 * a refused fault leaves as they were, and software that keeps accessed and dirty.
 */
#include "core_fixture.h"

#include "region.h"
#include "slab.h"

#define BASE UINT64_C(0x40000000)

static struct vmem_aspace *as;

static void begin(void)
{
	as = space();
	run(0, as);
	run(1, as);
	machine_cpu_set(0);
}

static uint64_t map_flags_in(
    struct vmem_aspace *aspace, uint64_t address, uint64_t pages, unsigned permission, unsigned flags)
{
	const struct vmem_map what = {.length = PAGES(pages),
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .flags = flags,
	    .place = VMEM_PLACE_FIXED,
	    .address = address};
	vmem_vaddr_t start;
	OK(vmem_vmar_map(vmem_aspace_root(aspace), &what, &start));
	return start;
}

static uint64_t map_flags(uint64_t address, uint64_t pages, unsigned permission, unsigned flags)
{
	return map_flags_in(as, address, pages, permission, flags);
}

static void set_slot(struct store *store, uint64_t key, slot_t slot)
{
	store_lock(store);
	assert_true(vmem_index_reserve(&store->index, 1));
	assert_int_equal(vmem_index_set(&store->index, key, slot, NULL), SLOT_EMPTY);
	store_unlock(store);
}

/* What later interfaces will store there: a guarded page refuses, a zero marker hides what lies below it. */
static void markers(void **state)
{
	struct vmem_object *o = anonymous(4, 0);
	(void)state;
	begin();
	for (unsigned i = 0; i < 4; i++) {
		poke(o, i, 10 + i);
	}
	uint64_t va = map_object(as, o, 0, 4, RW, 0), key = va / PAGE;
	set_slot(as->private_store, key + 1, SLOT_GUARD);
	set_slot(as->private_store, key + 2, SLOT_ZERO);
	for (unsigned kind = MACHINE_READ; kind <= MACHINE_WRITE; kind++) {
		DENIED(VMEM_FAULT_GUARD, as, 0, va + PAGE, (enum machine_access_kind)kind);
	}
	assert_int_equal(get(as, 0, va), 10);
	uint64_t resident, shared;
	struct vmem_region_info info = region_at(as, va);
	vmem_region_residence(as, &info, &resident, &shared);
	assert_int_equal(resident, 2); /* the marked pages have no frame, and do not show the object's */
	assert_int_equal(shared, 2);
	assert_int_equal(stats_of(as).committed, 0);
	put(as, 0, va + PAGES(2), 77);
	assert_int_equal(get(as, 1, va + PAGES(2)), 77);
	assert_int_equal(peek(o, 2), 12);
	assert_int_equal(get(as, 1, va + PAGES(3)), 13);
	OK(vmem_vmar_decommit(vmem_aspace_root(as), va, PAGES(4)));
	assert_int_equal(get(as, 0, va + PAGE), 11); /* forgotten, both of them */
	assert_int_equal(get(as, 0, va + PAGES(2)), 12);
	unmap(as, va, 4);
	OK(vmem_object_decommit(o, PAGES(2), PAGE));
	set_slot(o->store, o->key + 2, SLOT_ZERO); /* in an object it is no frame either */
	va = map_object(as, o, 0, 4, RW, VMEM_MAP_SHARED);
	info = region_at(as, va);
	vmem_region_residence(as, &info, &resident, &shared);
	assert_int_equal(resident, 3);
	assert_int_equal(get(as, 0, va + PAGES(2)), 0);
	put(as, 1, va + PAGES(2), 5);
	assert_int_equal(peek(o, 2), 5);
	release(o);
	end(as);
}

/* Private pages that a snapshot of the space's own store shares: copied on write, shown read-only before. */
static void shared_privately(void **state)
{
	struct store *copy;
	(void)state;
	begin();
	uint64_t va = map_flags(BASE, 8, RW, 0);
	fill(as, va, 4, 1);
	warm();
	OK(vmem_store_snapshot(as->private_store, 0, INDEX_KEY_LAST, &copy));
	struct vmem_region_info info = region_at(as, va);
	uint64_t resident, shared;
	vmem_region_residence(as, &info, &resident, &shared);
	assert_int_equal(resident, 4);
	assert_int_equal(shared, 4);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		assert_false(hardware(cpu, va, MACHINE_WRITE, MACHINE_USER));
	}
	assert_int_equal(get(as, 1, va + PAGE), 2);
	uint64_t copied = stats_of(as).faults_copied, zeroed = stats_of(as).faults_zeroed;
	put(as, 0, va + PAGES(6), 60); /* an empty slot in a node that is shared */
	assert_int_equal(stats_of(as).faults_zeroed, zeroed + 1);
	put(as, 0, va + PAGE, 20);
	assert_int_equal(stats_of(as).faults_copied, copied + 1);
	vmem_region_residence(as, &info, &resident, &shared);
	assert_int_equal(resident, 5);
	assert_int_equal(shared, 3);
	slot_t slot = vmem_index_find(&copy->index, va / PAGE + 1, NULL);
	assert_int_equal(slot_kind(slot), SLOT_PAGE);
	assert_int_equal(*(uint64_t *)page_to_virt(slot_page(slot)), 2);
	assert_int_equal(vmem_index_find(&copy->index, va / PAGE + 6, NULL), SLOT_EMPTY);
	step();
	vmem_store_release(copy);
	step();
	assert_int_equal(get(as, 0, va), 1);
	put(as, 1, va, 10);
	assert_int_equal(stats_of(as).faults_copied, copied + 1); /* nobody else's any more */
	end(as);
}

/* A region that wants large leaves gets them in a space that does not; but not where a page is already. */
static void large_by_region(void **state)
{
	struct vmem_translation t;
	(void)state;
	begin();
	uint64_t va = map_flags(BASE, 1024, RW, VMEM_MAP_LARGE),
		 plain = map_flags(BASE + 4 * LARGE, 512, RW, 0);
	put(as, 0, plain, 1);
	assert_true(vmem_aspace_translate(as, plain, &t));
	assert_int_equal(t.level, 0);
	put(as, 0, va + LARGE - PAGE, 2);
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_int_equal(t.level, 1);
	assert_int_equal(get(as, 1, va + LARGE - PAGE), 2);
	(void)get(as, 0, va + LARGE); /* small, by a read */
	put(as, 0, va + LARGE + PAGE, 3);
	protect(as, va + LARGE, 512, 0);
	unmap(as, plain, 512); /* its table is the kept one now: the window has pages and no table */
	assert_null(vmem_pmap_lookup(&as->pmap, va + LARGE).slot);
	protect(as, va + LARGE, 512, RW);
	put(as, 0, va + LARGE + PAGES(2), 4);
	assert_true(vmem_aspace_translate(as, va + LARGE + PAGES(2), &t));
	assert_int_equal(t.level, 0);
	assert_int_equal(get(as, 0, va + LARGE + PAGE), 3);
	assert_int_equal(stats_of(as).faults_large, 1);
	end(as);
}

/* A CPU whose entries of level 1 are tables only. */
static void no_large_leaves(void **state)
{
	struct vmem_translation t;
	struct vmem_object *o;
	(void)state;
	vmem_mmu.leaf_levels = 1;
	begin();
	OK(vmem_object_create_contiguous(LARGE, LARGE, 0, VMEM_WRITE_BACK, &o));
	uint64_t va = map_flags(BASE, 512, RW, VMEM_MAP_LARGE),
		 fixed = map_object(as, o, 0, 512, RW, VMEM_MAP_SHARED | VMEM_MAP_LARGE);
	put(as, 0, va, 1);
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_int_equal(t.level, 0);
	put(as, 0, fixed, 1);
	assert_true(vmem_aspace_translate(as, fixed, &t));
	assert_int_equal(t.level, 0);
	assert_int_equal(stats_of(as).faults_large, 0);
	release(o);
	end(as);
}

/* POPULATE of large leaves, and of what is there already. */
static void populate_large(void **state)
{
	struct vmem_map map = {.length = LARGE + PAGES(2),
	    .permission = RW,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_LARGE | VMEM_MAP_POPULATE,
	    .align = 2 * LARGE};
	vmem_vaddr_t va;
	(void)state;
	begin();
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &va));
	assert_int_equal(va & (2 * LARGE - 1), 0);
	assert_int_equal(stats_of(as).resident, 514);
	assert_int_equal(stats_of(as).faults, 3);
	assert_int_equal(stats_of(as).faults_large, 1);
	end(as);
}

/* A window of fixed frames that the region or the object fills in part is shown by pages, its neighbours by
 * large leaves. */
static void partly_fixed(void **state)
{
	struct vmem_object *o;
	struct vmem_translation t;
	struct vmem_map map = {.length = 2 * LARGE,
	    .permission = RW,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_SHARED,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE};
	vmem_vaddr_t va;
	(void)state;
	begin();
	OK(vmem_object_create_contiguous(LARGE + PAGES(5), LARGE, 0, VMEM_WRITE_BACK, &o));
	for (unsigned round = 0; round < 2; round++) {
		map.object = o;
		map.length = round == 0 ? 2 * LARGE : LARGE + PAGES(4); /* past the object; ends inside it */
		OK(vmem_vmar_map(vmem_aspace_root(as), &map, &va));
		put(as, 0, va + LARGE + PAGES(3), 9);
		assert_true(vmem_aspace_translate(as, va + LARGE + PAGES(3), &t));
		assert_int_equal(t.level, 0);
		put(as, 0, va + PAGES(3), 8);
		assert_true(vmem_aspace_translate(as, va, &t));
		assert_int_equal(t.level, 1);
		DENIED(round == 0 ? VMEM_FAULT_BEYOND_END : VMEM_FAULT_NO_REGION, as, 1,
		    va + LARGE + PAGES(5), MACHINE_READ);
		step();
		unmap(as, va, 1024);
	}
	release(o);
	end(as);
}

/* A fault that gets no memory leaves the kept table the kept one, and the entry that was there. */
static void refused_without_trace(void **state)
{
	struct vmem_object *o = anonymous(600, 0);
	(void)state;
	begin();
	uint64_t va = map_object(as, o, 0, 4, RW, VMEM_MAP_SHARED), own = map_object(as, o, 0, 4, RW, 0);
	put(as, 0, va, 1);
	unmap(as, own, 4);
	OK(vmem_object_decommit(o, 0, PAGE));
	struct vmem_page *kept = as->pmap.kept;
	assert_non_null(kept);
	vmem_frame_drain();
	machine_fail_at(1);
	enum vmem_fault_result why = vmem_fault(as, va, VMEM_WRITE);
	machine_fail_at(0);
	assert_int_equal(why, VMEM_FAULT_NO_MEMORY);
	assert_ptr_equal(as->pmap.kept, kept);
	step();
	put(as, 0, va, 2);
	assert_null(as->pmap.kept);
	own = map_object(as, o, 0, 4, RW, 0); /* a private region that reads what the object has not yet */
	unsigned failed = 0;
	for (;;) {
		uint64_t before = core_state();
		machine_operation();
		machine_fail_at(failed + 1);
		why = vmem_fault(as, own + PAGES(2), VMEM_READ);
		machine_fail_at(0);
		step();
		if (why == VMEM_FAULT_RESOLVED) {
			break;
		}
		assert_int_equal(why, VMEM_FAULT_NO_MEMORY);
		assert_int_equal(core_state(), before);
		failed++;
	}
	assert_true(failed >= 1);
	assert_int_equal(get(as, 0, own + PAGES(2)), 0);
	release(o);
	end(as);
}

/* All memory is in use but what another CPU has of small objects that it freed: the fault finds it. */
static void memory_of_another_cpu(void **state)
{
	static struct vmem_page *taken[65536];
	uint64_t many = 0, at[60];
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 8, RW);
	put(as, 0, va, 1);
	machine_cpu_set(1);
	struct vmem_aspace *other = space();
	for (unsigned i = 0; i < 60; i++) {
		at[i] = map_flags_in(other, BASE + PAGES(2 * i), 1, RW, 0);
	}
	for (unsigned i = 0; i < 60; i++) {
		OK(vmem_vmar_unmap(vmem_aspace_root(other), at[i], PAGE));
	}
	assert_true(vmem_slab_cpus[1].of[SLAB_REGION].count >= 40);
	machine_cpu_set(0);
	while ((taken[many] = vmem_frame_take(PAGE_USED)) != NULL) {
		assert_true(++many < sizeof(taken) / sizeof(taken[0]));
	}
	const uint64_t refused = stats_of(as).faults_refused;
	assert_int_equal(vmem_fault(as, va + PAGE, VMEM_WRITE), VMEM_FAULT_RESOLVED);
	assert_int_equal(vmem_slab_cpus[1].of[SLAB_REGION].count, 0);
	assert_int_equal(get(as, 0, va + PAGE), 0);
	while ((taken[many] = vmem_frame_take(PAGE_USED)) != NULL) {
		assert_true(++many < sizeof(taken) / sizeof(taken[0]));
	}
	assert_int_equal(vmem_fault(as, va + PAGES(2), VMEM_WRITE), VMEM_FAULT_NO_MEMORY);
	assert_int_equal(stats_of(as).faults_refused, refused + 1);
	while (many != 0) {
		vmem_frame_give(taken[--many]);
	}
	put(as, 0, va + PAGES(2), 2);
	end(other);
	end(as);
}

/* What is refused counts as refused, and as nothing else. */
static void counted_once(void **state)
{
	struct vmem_object *o;
	(void)state;
	begin();
	OK(vmem_object_create_contiguous(PAGES(32), PAGES(16), 0, VMEM_WRITE_BACK, &o));
	struct vmem_map map = {.length = PAGES(32),
	    .permission = RW,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_SHARED,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE,
	    .object = o};
	vmem_vaddr_t va;
	for (unsigned i = 0; i < 2; i++) { /* by runs of pages, where there are any, and page by page */
		OK(vmem_vmar_map(vmem_aspace_root(as), &map, &va));
		uint64_t object = stats_of(as).faults_object, refused = stats_of(as).faults_refused;
		vmem_frame_drain();
		machine_fail_at(1);
		enum vmem_fault_result why = vmem_fault(as, va + PAGES(3), VMEM_WRITE);
		machine_fail_at(0);
		assert_int_equal(why, VMEM_FAULT_NO_MEMORY);
		assert_int_equal(stats_of(as).faults_object, object);
		assert_int_equal(stats_of(as).faults_refused, refused + 1);
		put(as, 0, va + PAGES(3), 1);
		assert_int_equal(stats_of(as).faults_object, object + 1);
		step();
		map.address += LARGE + PAGE;
	}
	release(o);
	end(as);
}

/* Where software sets accessed and dirty: the first store to an entry that a read made is noted, once. */
static void noted_by_software(void **state)
{
	const struct core_options options = {.asid_bits = -1,
	    .linear_level = 1,
	    .remove =
		core_isa() == MACHINE_X86_64 ? 0 : MACHINE_HW_MARKS /* there the hardware always does */};
	struct vmem_object *o;
	struct vmem_translation t;
	(void)state;
	core_start(&options);
	begin();
	o = anonymous(2, 0);
	poke(o, 0, 5);
	uint64_t va = map_object(as, o, 0, 2, RW, VMEM_MAP_SHARED);
	assert_int_equal(get(as, 0, va), 5);
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_true(t.accessed && !t.dirty && (t.permission & VMEM_WRITE));
	uint64_t faults = stats_of(as).faults;
	warm();
	put(as, 0, va, 6);
	assert_int_equal(stats_of(as).faults, faults + (options.remove ? 1 : 0));
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_true(t.dirty);
	put(as, 0, va, 7);
	put(as, 1, va, 8);
	assert_int_equal(get(as, 0, va), 8);
	step();
	release(o);
	OK(vmem_object_create_contiguous(LARGE, LARGE, 0, VMEM_WRITE_BACK, &o)); /* and of a large leaf */
	va = map_object(as, o, 0, 512, RW, VMEM_MAP_SHARED | VMEM_MAP_LARGE);
	(void)get(as, 0, va + PAGE);
	faults = stats_of(as).faults;
	put(as, 0, va + PAGES(2), 9);
	assert_int_equal(stats_of(as).faults, faults + (options.remove ? 1 : 0));
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_true(t.level == 1 && t.dirty);
	step();
	release(o);
	end(as);
	core_teardown(NULL);
}

/* Write and execute at once, where a space allows it: what is stored under it is the program's to bring in
 * step, what was stored before is fetched as stored. */
static void code_and_data(void **state)
{
	struct vmem_vmar *root;
	(void)state;
	begin();
	root = vmem_aspace_root(as);
	uint64_t va = map_flags(BASE, 2, VMEM_RWX, 0), got = 0, code = UINT64_C(0x0707070707070707);
	for (unsigned i = 0; i < 2; i++) {
		if (i == 1) {
			assert_int_equal(get(as, 0, va + PAGE), 0); /* the zero frame goes first */
		}
		put(as, 0, va + PAGES(i), 1);
		assert_int_equal(get(as, 1, va + PAGES(i)), 1);
		OK(vmem_vmar_protect(root, va + PAGES(i), PAGE, RW));
		put(as, 0, va + PAGES(i), code);
		OK(vmem_vmar_protect(root, va + PAGES(i), PAGE, VMEM_RWX));
		assert_int_equal(try_access(as, 1, va + PAGES(i), MACHINE_EXEC, &got), VMEM_FAULT_RESOLVED);
		assert_int_equal((uint32_t)got, (uint32_t)code);
	}
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(markers),
	    CORE(shared_privately),
	    CORE(large_by_region),
	    CORE(no_large_leaves),
	    CORE(populate_large),
	    CORE(partly_fixed),
	    CORE(refused_without_trace),
	    CORE(memory_of_another_cpu),
	    CORE(counted_once),
	    cmocka_unit_test(noted_by_software),
	    CORE(code_and_data),
	};
	return cmocka_run_group_tests_name("fault_cases", tests, NULL, NULL);
}
