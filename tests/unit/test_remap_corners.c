/* SPDX-License-Identifier: MIT */
/*
 * test_remap_corners.c - regions that move and grow where it is narrow: keys that end, keys that are just
 * enough, objects behind what grows, code, every argument that must be zero, the kernel's space.
 */
#include "region_fixture.h"

#include "frame.h"

#define THERE UINT64_C(0x80000000)

static struct vmem_map at_address(uint64_t address, uint64_t pages)
{
	return (struct vmem_map){.length = PAGES(pages), .place = VMEM_PLACE_FIXED, .address = address};
}

static void move(uint64_t from, uint64_t pages, uint64_t to)
{
	struct vmem_map map = at_address(to, pages);
	uint64_t at;
	warm();
	OK(vmem_vmar_move(root, from, PAGES(pages), &map, 0, &at));
	assert_int_equal(at, to);
}

/* Keys behind those of a moved region: nothing above them, just as many as are free, one too few. */
static void keys_behind(void **state)
{
	(void)state;
	begin();
	map_at(as, THERE, 4, RW);
	fill(as, THERE, 4, 1);
	move(THERE, 4, BASE);
	OK(vmem_vmar_extend(root, BASE + PAGES(4), PAGES(2)));
	assert_int_equal(region_at(as, BASE).length, PAGES(6));
	fill(as, BASE, 6, 10);
	map_at(as, THERE + PAGES(8), 1, VMEM_READ);
	OK(vmem_vmar_extend(root, BASE + PAGES(6), PAGES(2)));
	assert_int_equal(region_at(as, BASE).length, PAGES(8));
	fill(as, BASE, 8, 20);
	OK(vmem_vmar_extend(root, BASE + PAGES(8), PAGES(3)));
	assert_int_equal(region_at(as, BASE).length, PAGES(8));
	assert_int_equal(region_at(as, BASE + PAGES(8)).length, PAGES(3));
	fill(as, BASE, 11, 30);
	assert_int_equal(get(as, 0, THERE + PAGES(8)), 0);
	expect(as, BASE, 11, 30);
	end(as);
}

/* The last keys there are. */
static void keys_end(void **state)
{
	const uint64_t last_block = (INDEX_KEY_LAST + 1) - (UINT64_C(1) << 18);
	const uint64_t va = BASE + PAGES((1u << 18) - 5);
	(void)state;
	begin();
	map_at(as, va, 4, RW);
	fill(as, va, 4, 1);
	move(va, 4, 2 * THERE);
	as->fresh_key = last_block;
	map_at(as, va, 4, RW);
	assert_int_equal(region_at(as, va).key + 4, INDEX_KEY_LAST);
	fill(as, va, 4, 10);
	OK(vmem_vmar_extend(root, va + PAGES(4), PAGE));
	assert_int_equal(region_at(as, va).length, PAGES(4));
	assert_true(region_at(as, va + PAGES(4)).key < last_block);
	fill(as, va, 5, 20);
	expect(as, 2 * THERE, 4, 1);
	expect(as, va, 5, 20);
	end(as);
}

/* What begins behind a region that cannot grow shows what follows in the object. */
static void object_goes_on(void **state)
{
	struct vmem_object *o = anonymous(8, VMEM_OBJECT_RESIZABLE);
	struct vmem_map map = fixed(0, 4);
	(void)state;
	begin();
	for (unsigned i = 0; i < 8; i++) {
		poke(o, i, 70 + i);
	}
	map.object = o;
	map.offset = PAGES(1);
	must(map);
	put(as, 0, BASE + PAGE, 5);
	map_at(as, BASE + PAGES(4), 1, RW); /* its keys are in the way */
	move(BASE, 4, THERE);
	OK(vmem_vmar_extend(root, THERE + PAGES(4), PAGES(2)));
	assert_int_equal(region_at(as, THERE).length, PAGES(4));
	assert_int_equal(region_at(as, THERE + PAGES(4)).offset, PAGES(5));
	assert_int_equal(info_of(o).mappings, 2);
	assert_int_equal(info_of(o).references, 3);
	assert_int_equal(get(as, 1, THERE + PAGES(1)), 5);
	assert_int_equal(get(as, 1, THERE + PAGES(4)), 75);
	put(as, 1, THERE + PAGES(5), 6);
	assert_int_equal(peek(o, 6), 76);
	OK(vmem_object_resize(o, PAGES(6)));
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, THERE + PAGES(5), MACHINE_READ);
	assert_int_equal(get(as, 0, THERE + PAGES(4)), 75);
	unmap(as, THERE, 6);
	assert_int_equal(info_of(o).references, 1);
	end(as);
	release(o);
}

/* What may be executed is at its new place, and no CPU executes it at the old one. */
static void code_moves(void **state)
{
	(void)state;
	begin();
	map_at(as, BASE, 3, RW);
	fill(as, BASE, 3, 0x1111);
	protect(as, BASE, 3, RX);
	fetch(as, 0, BASE);
	fetch(as, 1, BASE + PAGES(1));
	move(BASE, 3, THERE);
	DENIED(VMEM_FAULT_NO_REGION, as, 1, BASE + PAGES(1), MACHINE_EXEC);
	fetch(as, 1, THERE);
	fetch(as, 0, THERE + PAGES(1));
	expect(as, THERE, 3, 0x1111);
	end(as);
}

/* A part of a large leaf, as short as what is noted entry by entry. */
static void out_of_large(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	(void)state;
	begin_with(&config);
	map_at(as, BASE, 512, RW);
	fill(as, BASE, 1, 7);
	put(as, 0, BASE + PAGES(9), 9);
	move(BASE + PAGES(8), 4, THERE);
	assert_int_equal(get(as, 1, THERE + PAGES(1)), 9);
	assert_int_equal(get(as, 1, BASE), 7);
	put(as, 0, BASE + PAGES(100), 100);
	end(as);
}

static void arguments(void **state)
{
	struct vmem_object *o = anonymous(2, 0);
	const struct vmem_map good = at_address(THERE, 2);
	struct vmem_map bad[12];
	uint64_t at;
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	fill(as, BASE, 4, 1);
	for (unsigned i = 0; i < 12; i++) {
		bad[i] = good;
	}
	bad[0].permission = VMEM_READ;
	bad[1].maximum = VMEM_READ;
	bad[2].object = o;
	bad[3].offset = PAGE;
	bad[4].attributes = VMEM_REGION_NO_DUMP;
	bad[5].place = bad[6].place = VMEM_PLACE_ANY; /* in a fixed place strips are refused anyway */
	bad[5].pad_before = 1;
	bad[6].pad_after = 1;
	bad[7].flags = VMEM_MAP_SHARED;
	bad[8].flags = VMEM_MAP_POPULATE;
	bad[9].length = PAGES(1);
	bad[10].length = PAGES(3) - 1;
	bad[11].place = (enum vmem_place)9;
	for (unsigned i = 0; i < 12; i++) {
		REFUSED(VMEM_ERR_INVALID, vmem_vmar_move(root, BASE, PAGES(2), &bad[i], 0, &at));
	}
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_move(root, BASE, PAGES(2), &good, 1u << 1, &at));
	struct vmem_map some = good;
	some.place = VMEM_PLACE_ANY;
	some.flags = VMEM_MAP_FROM_TOP | VMEM_MAP_RANDOM | VMEM_MAP_LARGE;
	OK(vmem_vmar_move(root, BASE, PAGES(2), &some, 0, &at));
	expect(as, at, 2, 1);
	expect(as, BASE + PAGES(2), 2, 3);
	end(as);
	release(o);
}

/* Nothing but a region ends where one may grow; and what fails for lack of records gives back all. */
static void refusals(void **state)
{
	struct vmem_map room = at_address(BASE + PAGES(4), 2), to = at_address(THERE, 2);
	struct vmem_vmar *child, *kernel = vmem_aspace_root(vmem_kernel_aspace());
	uint8_t resident[2] = {9, 9};
	uint64_t at;
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	fill(as, BASE, 4, 1);
	OK(vmem_vmar_allocate(root, &room, &child));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_extend(root, BASE + PAGES(6), PAGE));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_extend(root, BASE + PAGES(5), PAGE));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_extend(root, BASE + PAGES(9), PAGE));
	REFUSED(VMEM_ERR_EXISTS, vmem_vmar_extend(root, BASE + PAGES(4), PAGE));
	SWEEP(0, vmem_vmar_move(root, BASE + PAGES(1), PAGES(2), &to, VMEM_MOVE_KEEP_SOURCE, &at));
	expect(as, THERE, 2, 2);
	/* the kernel's own space: no fault would bring anything back */
	void *mapping;
	OK(vmem_kernel_alloc(2 * PAGE, &mapping));
	uint64_t va = (uintptr_t)mapping;
	to = at_address(va + LARGE, 2);
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_vmar_move(kernel, va, PAGES(2), &to, 0, &at));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_vmar_extend(kernel, va + PAGES(2), PAGE));
	OK(vmem_vmar_resident(kernel, va, PAGES(2), resident));
	assert_int_equal(resident[0] + resident[1], 2);
	vmem_kernel_free(mapping);
	step();
	end(as);
}

/* A call that has its first record and not the second gives the first back. */
static void one_record_too_few(void **state)
{
	unsigned failed = 0;
	uint64_t at;
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	fill(as, BASE, 4, 1);
	for (unsigned i = 0; i < 60; i++) { /* fewer and fewer records that are free, then many again */
		struct vmem_map to = at_address(THERE + PAGES(8 * i + 1), 2);
		to.place = VMEM_PLACE_REPLACE;
		map_at(as, THERE + PAGES(8 * i), 4, RW);
		if (i & 1) {
			map_at(as, 2 * THERE + PAGES(2 * i), 1, RW);
		}
		vmem_frame_drain();
		uint64_t before = core_state();
		machine_operation();
		machine_fail_at(1);
		vmem_status_t status =
		    vmem_vmar_move(root, BASE + PAGES(1), PAGES(2), &to, VMEM_MOVE_KEEP_SOURCE, &at);
		machine_fail_at(0);
		step();
		if (status != VMEM_OK) {
			assert_int_equal(status, VMEM_ERR_NO_MEMORY);
			assert_int_equal(core_state(), before);
			failed++;
		}
	}
	assert_true(failed > 0);
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(keys_behind),
	    CORE(keys_end),
	    CORE(object_goes_on),
	    CORE(code_moves),
	    CORE(out_of_large),
	    CORE(arguments),
	    CORE(refusals),
	    CORE(one_record_too_few),
	};
	return cmocka_run_group_tests_name("remap_corners", tests, NULL, NULL);
}
