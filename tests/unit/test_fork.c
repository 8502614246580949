/* SPDX-License-Identifier: MIT */
/*
 * test_fork.c - a space and its child (fork.c): what each sees of what the other stores, what is inherited,
 * what a page costs when the other side has gone, and that nothing stays behind.
 */
#include "fork_fixture.h"

#include "region.h"
#include "slab.h"

#define COUNT 4u

static uint64_t map_what(struct vmem_map what)
{
	vmem_vaddr_t start;
	what.maximum = what.flags & VMEM_MAP_GUARD ? 0 : VMEM_RWX;
	what.place = VMEM_PLACE_FIXED;
	what.length *= PAGE;
	OK(vmem_vmar_map(vmem_aspace_root(as), &what, &start));
	return start;
}

/* Each side keeps what it had, whoever writes first; a child's child too. */
static void copies_on_write(void **state)
{
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 200, RW);
	fill(as, va, 150, 1);
	warm();
	struct vmem_aspace *child = fork_of(as);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		assert_false(hardware(cpu, va, MACHINE_WRITE, MACHINE_USER));
	}
	assert_int_equal(stats_of(child).resident, 0);
	assert_int_equal(stats_of(child).committed, 150);
	assert_int_equal(stats_of(child).mapped, PAGES(200));
	change(as, va, 10, 1000);
	see(child, va, 150, 1);
	change(child, va + PAGES(5), 10, 2000);
	put(child, 0, va + PAGES(180), 7); /* where there was nothing */
	struct vmem_aspace *grandchild = fork_of(child);
	change(child, va + PAGES(10), 10, 3000);
	see(as, va, 10, 1000);
	see(as, va + PAGES(10), 140, 11);
	assert_int_equal(get(as, 0, va + PAGES(180)), 0);
	see(grandchild, va, 5, 1);
	see(grandchild, va + PAGES(5), 10, 2000);
	see(grandchild, va + PAGES(15), 135, 16);
	assert_int_equal(get(grandchild, 0, va + PAGES(180)), 7);
	end(child);
	see(grandchild, va + PAGES(5), 10, 2000);
	end(as);
	change(grandchild, va, 150, 5000);
	end(grandchild);
}

/* Zero pages that were only read, and pages nobody has touched. */
static void zero_pages(void **state)
{
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 16, RW);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(get(as, i & 1, va + PAGES(i)), 0);
	}
	struct vmem_aspace *child = fork_of(as);
	change(as, va, 4, 1);
	run(0, child);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(get(child, 0, va + PAGES(i)), 0);
	}
	change(child, va + PAGES(2), 4, 9);
	see(as, va, 4, 1);
	assert_int_equal(get(as, 0, va + PAGES(5)), 0);
	end(as);
	end(child);
}

/* When the other side has gone, a write takes the page as it is; only its first fault is the price. */
static void reused(void **state)
{
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 512, RW);
	fill(as, va, 512, 1);
	struct vmem_aspace *child = fork_of(as);
	end(child);
	struct vmem_aspace_stats before = stats_of(as);
	struct vmem_frame_stats frames = frames_now();
	change(as, va, 512, 3000);
	assert_int_equal(stats_of(as).faults_copied, before.faults_copied);
	assert_int_equal(frames_now().data, frames.data);
	/* the same for the child that outlives its parent; and what was copied once is not copied again */
	child = fork_of(as);
	change(as, va, 4, 4000);
	assert_int_equal(stats_of(as).faults_copied, before.faults_copied + COUNT);
	run(1, child);
	end(as);
	change(child, va, 512, 5000);
	assert_int_equal(stats_of(child).faults_copied, 0);
	assert_int_equal(frames_now().data, 512);
	end(child);
}

/* Shared objects stay shared; a private mapping of an object shows it to both, and each its own copies. */
static void objects(void **state)
{
	struct vmem_object *o = anonymous(8, 0);
	(void)state;
	begin();
	for (unsigned i = 0; i < 8; i++) {
		poke(o, i, 100 + i);
	}
	uint64_t shared = map_object(as, o, 0, 8, RW, VMEM_MAP_SHARED);
	uint64_t own = map_object(as, o, 0, 8, RW, 0);
	put(as, 1, own + PAGE, 7);
	assert_int_equal(get(as, 0, own + PAGES(3)), 103);
	struct vmem_aspace *child = fork_of(as);
	assert_int_equal(info_of(o).mappings, 4);
	assert_int_equal(info_of(o).references, 5);
	run(1, child);
	put(child, 1, shared + PAGES(2), 55);
	put(child, 1, own + PAGE, 8);
	put(child, 1, own + PAGES(3), 9);
	assert_int_equal(get(as, 0, shared + PAGES(2)), 55);
	assert_int_equal(get(as, 0, own + PAGE), 7);
	assert_int_equal(get(as, 0, own + PAGES(3)), 103);
	assert_int_equal(get(child, 1, own + PAGE), 8);
	assert_int_equal(get(child, 1, own + PAGES(2)), 55);
	put(as, 0, shared, 66);
	assert_int_equal(get(child, 1, shared), 66);
	end(as);
	assert_int_equal(info_of(o).mappings, 2);
	assert_int_equal(get(child, 1, own + PAGES(3)), 9);
	end(child);
	release(o);
}

/* What a device may reach is shared, and so a fork moves none of it from under the device (contract 1.6). */
static void device_frames(void **state)
{
	struct vmem_translation before, after;
	struct vmem_object *o;
	(void)state;
	begin();
	OK(vmem_object_create_contiguous(PAGES(2), 0, 0, VMEM_WRITE_BACK, &o));
	const struct vmem_map own = {.length = PAGES(2), .object = o};
	uint64_t ignored, va = map_object(as, o, 0, 2, RW, VMEM_MAP_SHARED);
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_map(vmem_aspace_root(as), &own, &ignored));
	put(as, 0, va, 1);
	assert_true(vmem_aspace_translate(as, va, &before));
	struct vmem_aspace *child = fork_of(as);
	run(1, child);
	put(as, 0, va, 2);
	put(child, 1, va + PAGE, 3);
	assert_true(vmem_aspace_translate(as, va, &after));
	assert_int_equal(after.physical, before.physical);
	assert_int_equal(get(child, 1, va), 2);
	assert_true(vmem_aspace_translate(child, va, &after));
	assert_int_equal(after.physical, before.physical);
	end(child);
	end(as);
	release(o);
}

/* What was copied from an object goes with its end, in the child too (contract 2.3). */
static void truncation(void **state)
{
	struct vmem_object *o = anonymous(8, VMEM_OBJECT_RESIZABLE);
	(void)state;
	begin();
	uint64_t va = map_object(as, o, 0, 8, RW, 0);
	fill(as, va, 8, 1);
	struct vmem_aspace *child = fork_of(as);
	OK(vmem_object_resize(o, PAGES(4)));
	OK(vmem_object_resize(o, PAGES(8)));
	see(child, va, 4, 1);
	assert_int_equal(get(child, 0, va + PAGES(5)), 0);
	see(as, va, 4, 1);
	assert_int_equal(get(as, 0, va + PAGES(5)), 0);
	end(as);
	end(child);
	release(o);
}

/* Regions that are not passed on, or empty; their pages stay the parent's alone (contract 2.2). */
static void kept(void **state)
{
	(void)state;
	begin();
	uint64_t ring = map_what((struct vmem_map){
	    .length = 100, .permission = RW, .address = BASE + PAGES(30), .attributes = VMEM_REGION_NO_FORK});
	uint64_t wiped = map_what((struct vmem_map){.length = 20,
	    .permission = RW,
	    .address = BASE + PAGES(300),
	    .attributes = VMEM_REGION_WIPE_ON_FORK});
	uint64_t beside = map_what((struct vmem_map){.length = 20, /* nothing in between */
	    .permission = RW,
	    .address = BASE + PAGES(320),
	    .attributes = VMEM_REGION_NO_FORK});
	fill(as, beside, 20, 6000);
	uint64_t low = map_at(as, BASE, 30, RW), high = map_at(as, BASE + PAGES(130), 100, RW);
	fill(as, low, 30, 1);
	fill(as, ring, 100, 1000);
	fill(as, high, 100, 2000);
	fill(as, wiped, 20, 3000);
	warm();
	struct vmem_aspace *child = fork_of(as);
	assert_true(hardware(1, ring + PAGES(50), MACHINE_WRITE, MACHINE_USER));
	assert_false(hardware(1, low, MACHINE_WRITE, MACHINE_USER));
	uint64_t copied = stats_of(as).faults_copied;
	change(as, ring, 100, 4000);
	change(as, wiped, 20, 5000);
	assert_int_equal(stats_of(as).faults_copied, copied);
	struct vmem_region_info info = region_at(as, ring);
	uint64_t resident, shared;
	vmem_region_residence(as, &info, &resident, &shared);
	assert_int_equal(resident, 100);
	assert_int_equal(shared, 0);
	run(0, child);
	DENIED(VMEM_FAULT_NO_REGION, child, 0, ring, MACHINE_READ);
	DENIED(VMEM_FAULT_NO_REGION, child, 0, beside, MACHINE_READ);
	assert_int_equal(get(child, 0, wiped), 0);
	assert_int_equal(region_at(child, wiped).attributes, VMEM_REGION_WIPE_ON_FORK);
	see(child, low, 30, 1);
	see(child, high, 100, 2000);
	/* at the place of what was not passed on there is nothing of it */
	assert_int_equal(map_at(child, ring, 100, RW), ring);
	run(0, child);
	assert_int_equal(get(child, 0, ring + PAGES(99)), 0);
	see(as, ring, 100, 4000);
	see(as, wiped, 20, 5000);
	see(as, beside, 20, 6000);
	end(as);
	end(child);
	struct vmem_object *o = anonymous(1, 0);
	as = space();
	const struct vmem_map what = {.length = PAGE, .attributes = VMEM_REGION_WIPE_ON_FORK, .object = o};
	vmem_vaddr_t at;
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_map(vmem_aspace_root(as), &what, &at));
	end(as);
	release(o);
}

/* Children of VMARs, guards, markers in the index, pads, cookies, permissions, W^X and quotas. */
static void layout(void **state)
{
	const struct vmem_aspace_config config = {.wx = true, .max_regions = 6, .max_bytes = PAGES(64)};
	struct vmem_vmar *vmar, *inner;
	vmem_vaddr_t at;
	(void)state;
	as = space_with(&config);
	run(0, as);
	const struct vmem_map room = {
	    .length = PAGES(32), .permission = RW, .place = VMEM_PLACE_FIXED, .address = BASE};
	OK(vmem_vmar_allocate(vmem_aspace_root(as), &room, &vmar));
	const struct vmem_map less = {.length = PAGES(8),
	    .permission = VMEM_READ,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE + PAGES(8)};
	OK(vmem_vmar_allocate(vmar, &less, &inner));
	struct vmem_map what = {.length = PAGES(2),
	    .permission = VMEM_READ,
	    .maximum = VMEM_READ,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE + PAGES(9),
	    .cookie = 77};
	OK(vmem_vmar_map(inner, &what, &at));
	what.address = BASE + PAGES(20);
	what.permission = what.maximum = RW;
	OK(vmem_vmar_map(vmar, &what, &at));
	fill(as, at, 2, 5);
	uint64_t guard =
	    map_what((struct vmem_map){.length = 1, .flags = VMEM_MAP_GUARD, .address = BASE + PAGES(40)});
	uint64_t last = map_at(as, BASE + PAGES(50), 2, RX);
	struct vmem_aspace *child = fork_of(as);
	assert_int_equal(regions(child), 4);
	assert_int_equal(region_at(child, BASE + PAGES(9)).cookie, 77);
	run(0, child);
	DENIED(VMEM_FAULT_GUARD, child, 0, guard, MACHINE_READ);
	DENIED(VMEM_FAULT_PERMISSION, child, 0, BASE + PAGES(9), MACHINE_WRITE);
	expect(child, at, 2, 5);
	REFUSED(VMEM_ERR_WX, vmem_vmar_protect(vmem_aspace_root(child), last, PAGE, VMEM_RWX));
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_unmap(vmem_aspace_root(child), BASE, PAGES(32)));
	what.address = BASE + PAGES(44);
	OK(vmem_vmar_map(vmem_aspace_root(child), &what, &at));
	what.address = BASE + PAGES(47);
	OK(vmem_vmar_map(vmem_aspace_root(child), &what, &at));
	what.address = BASE + PAGES(55);
	REFUSED(VMEM_ERR_LIMIT, vmem_vmar_map(vmem_aspace_root(child), &what, &at));
	end(as);
	end(child);
}

/* Regions whose keys do not follow from their addresses, as those that have moved. */
static void moved(void **state)
{
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 8, RW), key = UINT64_C(1) << 40;
	struct region *r = vmem_region_find(as, va);
	vmem_region_set_key(r, key); /* nothing is there yet */
	fill(as, va, 8, 1);
	struct vmem_aspace *child = fork_of(as);
	assert_int_equal(region_at(child, va).key, key);
	run(1, child);
	put(child, 1, va + PAGE, 50);
	see(as, va, 8, 1);
	unmap(child, va, 4);
	see(as, va, 8, 1);
	unmap(as, va + PAGES(4), 4);
	see(child, va + PAGES(4), 4, 5);
	end(child);
	end(as);
}

/* Parts that one side unmaps, forgets or protects, before and after. */
static void parts(void **state)
{
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 300, RW);
	fill(as, va, 300, 1);
	unmap(as, va + PAGES(100), 50);
	protect(as, va + PAGES(200), 10, VMEM_READ);
	struct vmem_aspace *child = fork_of(as);
	assert_int_equal(regions(child), 4);
	unmap(as, va + PAGES(20), 30);
	OK(vmem_vmar_decommit(vmem_aspace_root(as), va + PAGES(60), PAGES(10)));
	see(child, va, 100, 1);
	see(child, va + PAGES(150), 150, 151);
	unmap(child, va, 10);
	OK(vmem_vmar_decommit(vmem_aspace_root(child), va + PAGES(155), PAGES(10)));
	protect(child, va + PAGES(200), 10, RW);
	change(child, va + PAGES(200), 10, 900);
	see(as, va, 20, 1);
	see(as, va + PAGES(150), 150, 151);
	assert_int_equal(get(as, 0, va + PAGES(65)), 0);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, va + PAGES(200), MACHINE_WRITE);
	end(as);
	see(child, va + PAGES(20), 30, 21);
	end(child);
}

/* Large leaves and runs of contiguous pages. */
static void large(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	(void)state;
	as = space_with(&config);
	run(0, as);
	uint64_t va = map_at(as, BASE, 1024 + 40, RW);
	put(as, 0, va, 1);
	put(as, 0, va + LARGE, 2);
	put(as, 0, va + 2 * LARGE + PAGES(3), 3);
	struct vmem_aspace *child = fork_of(as);
	run(1, child);
	put(child, 1, va + PAGE, 10);
	assert_int_equal(get(child, 1, va + LARGE), 2);
	put(as, 0, va + LARGE, 20);
	put(as, 0, va + 2 * LARGE + PAGES(4), 30);
	assert_int_equal(get(child, 1, va + LARGE), 2);
	assert_int_equal(get(child, 1, va + 2 * LARGE + PAGES(4)), 0);
	assert_int_equal(get(child, 1, va + 2 * LARGE + PAGES(3)), 3);
	assert_int_equal(get(as, 0, va + PAGE), 0);
	end(as);
	end(child);
}

/* Tables that a fork sets aside: one fault brings a window back, as it was if nothing in it is shared any
 * more. */
static void windows(void **state)
{
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 1024, RW);
	fill(as, va, 1024, 1);
	struct vmem_aspace *child = fork_of(as);
	assert_false(hardware(0, va, MACHINE_READ, MACHINE_USER));
	assert_int_equal(stats_of(as).resident, 1024);
	put(as, 0, va, 1); /* of all the others it has taken the permission */
	assert_true(hardware(1, va + PAGES(7), MACHINE_READ, MACHINE_USER));
	assert_false(hardware(1, va + PAGES(7), MACHINE_WRITE, MACHINE_USER));
	assert_false(hardware(1, va + LARGE, MACHINE_READ, MACHINE_USER));
	end(child);
	uint64_t faults = stats_of(as).faults;
	put(as, 1, va + LARGE + PAGES(100), 613);
	for (unsigned i = 0; i < 512; i++) {
		assert_true(hardware(1, va + LARGE + PAGES(i), MACHINE_WRITE, MACHINE_USER));
	}
	assert_int_equal(stats_of(as).faults, faults + 1);
	fill(as, va + LARGE, 512, 513); /* the attempts have left nothing of it */
	expect(as, va, 1024, 1);
	/* what becomes of a window while it is set aside */
	child = fork_of(as);
	struct vmem_aspace *second = fork_of(as);
	unmap(as, va + PAGES(10), 20);
	protect(as, va + PAGES(40), 10, VMEM_READ);
	unmap(as, va + LARGE, 512);
	assert_int_equal(map_at(as, va + LARGE, 512, RW), va + LARGE);
	run(0, as);
	assert_int_equal(get(as, 0, va + LARGE), 0);
	expect(as, va + PAGES(30), 482, 31);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, va + PAGES(10), MACHINE_READ);
	end(second);
	see(child, va, 1024, 1);
	end(child);
	end(as);
}

/* Truncation of an object that is shown in a window that is set aside; regions with other keys in it. */
static void windows_of_others(void **state)
{
	struct vmem_object *o = anonymous(8, VMEM_OBJECT_RESIZABLE);
	(void)state;
	begin();
	uint64_t va = map_object(as, o, 0, 8, RW, VMEM_MAP_SHARED);
	fill(as, va, 8, 1);
	struct vmem_aspace *child = fork_of(as);
	OK(vmem_object_resize(o, PAGES(2)));
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, va + PAGES(3), MACHINE_READ);
	see(child, va, 2, 1);
	see(as, va, 2, 1);
	put(as, 0, va, 9);
	assert_int_equal(get(child, 0, va), 9);
	end(child);
	/* the index is the space's alone at the addresses, but not at the keys */
	uint64_t moved = map_at(as, BASE + 8 * LARGE, 8, RW);
	vmem_region_set_key(vmem_region_find(as, moved), UINT64_C(1) << 40);
	fill(as, moved, 8, 1);
	child = fork_of(as);
	run(0, as);
	assert_int_equal(get(as, 0, moved), 1);
	assert_false(hardware(0, moved + PAGE, MACHINE_WRITE, MACHINE_USER));
	fill(as, moved, 8, 100);
	see(child, moved, 8, 1);
	end(child);
	end(as);
	release(o);
}

/* The first, second, ... allocation of a fork fails: nothing has changed. */
static void short_of_memory(void **state)
{
	struct vmem_object *o = anonymous(8, 0);
	struct vmem_aspace *child = NULL;
	struct vmem_vmar *vmar;
	vmem_vaddr_t at;
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 200, RW);
	fill(as, va, 150, 1);
	(void)map_object(as, o, 0, 8, RW, VMEM_MAP_SHARED);
	(void)map_object(as, o, 2, 4, RW, 0);
	const struct vmem_map room = {
	    .length = PAGES(32), .permission = RW, .place = VMEM_PLACE_FIXED, .address = BASE + LARGE};
	OK(vmem_vmar_allocate(vmem_aspace_root(as), &room, &vmar));
	const struct vmem_map what = {.length = PAGE, .permission = RW, .maximum = RW};
	OK(vmem_vmar_map(vmar, &what, &at));
	SWEEP(2, vmem_aspace_fork(as, &child));
	see(child, va, 150, 1);
	end(as);
	see(child, va, 150, 1);
	end(child);
	release(o);
}

/* A child, whose parent exits, has a child, whose parent exits: memory does not grow. Nothing in it is the
 * ISA's. */
static void generations(void **state)
{
	const unsigned rounds = core_isa() == MACHINE_X86_64 ? 100000 : 5000;
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 4, RW);
	fill(as, va, 4, 1);
	struct vmem_frame_stats before = {0};
	for (unsigned i = 0; i < rounds; i++) {
		struct vmem_aspace *child;
		assert_int_equal(vmem_aspace_fork(as, &child), VMEM_OK);
		if (i % 3 == 0) { /* the parent writes, then the child */
			assert_int_equal(vmem_fault(as, va, VMEM_WRITE), VMEM_FAULT_RESOLVED);
		}
		assert_int_equal(vmem_fault(child, va + PAGES(i & 3), VMEM_WRITE), VMEM_FAULT_RESOLVED);
		vmem_aspace_activate(NULL);
		machine_cpu_idle(true);
		if (i == 0) {
			machine_cpu_set(1);
			vmem_aspace_activate(NULL);
			machine_cpu_idle(true);
			machine_cpu_set(0);
		}
		vmem_aspace_destroy(as);
		as = child;
		if (i == 100) {
			core_trim();
			before = frames_now();
		}
	}
	core_trim();
	assert_int_equal(frames_now().free, before.free);
	run(0, as);
	expect(as, va, 4, 1);
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(copies_on_write),
	    CORE(zero_pages),
	    CORE(reused),
	    CORE(objects),
	    CORE(device_frames),
	    CORE(truncation),
	    CORE(kept),
	    CORE(layout),
	    CORE(moved),
	    CORE(parts),
	    CORE(large),
	    CORE(windows),
	    CORE(windows_of_others),
	    CORE(short_of_memory),
	    CORE(generations),
	};
	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
