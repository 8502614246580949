/* SPDX-License-Identifier: MIT */
/*
 * test_aspace.c - address spaces from include/vmem/aspace.h: how they are made, every error of every layout
 * call with nothing changed by it, quotas, REPLACE, and what can be asked of a space. Child VMARs and
 * placement are in test_vmar.c.
 */
#include "core_fixture.h"

#include "region.h"
#include "slab.h"

#define BASE UINT64_C(0x400000)
#define TOP (~VMEM_PAGE_MASK) /* the last page of the address type */

static struct vmem_map at(enum vmem_place place, uint64_t address, uint64_t length)
{
	return (struct vmem_map){
	    .length = length, .permission = RW, .maximum = VMEM_RWX, .place = place, .address = address};
}

static vmem_status_t try_map(struct vmem_aspace *as, struct vmem_map map)
{
	vmem_vaddr_t start;
	return vmem_vmar_map(vmem_aspace_root(as), &map, &start);
}

static vmem_status_t try_create(struct vmem_aspace_config config)
{
	struct vmem_aspace *as;
	return vmem_aspace_create(&config, &as);
}

static void creation(void **state)
{
	const uint64_t size = vmem_aspace_user_size();
	(void)state;
	assert_true(size >= UINT64_C(1) << 38 && (size & (size - 1)) == 0);
	struct vmem_aspace *as = space();
	assert_int_equal(vmem_vmar_start(vmem_aspace_root(as)), 0x10000);
	assert_int_equal(vmem_vmar_length(vmem_aspace_root(as)), size - 0x20000);
	assert_int_equal(regions(as), 0);
	assert_int_equal(stats_of(as).tables, 1);
	end(as);
	REFUSED(VMEM_ERR_INVALID, try_create((struct vmem_aspace_config){.start = 1, .length = PAGE}));
	REFUSED(VMEM_ERR_INVALID, try_create((struct vmem_aspace_config){.start = PAGE, .length = 1}));
	REFUSED(VMEM_ERR_INVALID, try_create((struct vmem_aspace_config){.start = PAGE}));
	REFUSED(VMEM_ERR_INVALID, try_create((struct vmem_aspace_config){.entropy_bits = 37}));
	REFUSED(VMEM_ERR_RANGE, try_create((struct vmem_aspace_config){.start = size, .length = PAGE}));
	REFUSED(VMEM_ERR_RANGE,
	    try_create((struct vmem_aspace_config){.start = size - PAGE, .length = 2 * PAGE}));
	REFUSED(VMEM_ERR_RANGE, try_create((struct vmem_aspace_config){.start = PAGE, .length = TOP}));
	REFUSED(VMEM_ERR_RANGE, try_create((struct vmem_aspace_config){.start = TOP, .length = PAGE}));
	REFUSED(VMEM_ERR_RANGE, try_create((struct vmem_aspace_config){.start = 2 * size, .length = PAGE}));
	struct vmem_aspace_config config = {.start = BASE, .length = PAGES(8)};
	SWEEP(1, vmem_aspace_create(&config, &as));
	assert_int_equal(map(as, 8, RW), BASE);
	REFUSED(VMEM_ERR_NO_SPACE, try_map(as, at(VMEM_PLACE_ANY, 0, PAGE)));
	end(as);
	config = (struct vmem_aspace_config){.start = 0, .length = size}; /* all there is, page 0 included */
	as = space_with(&config);
	run(0, as);
	put(as, 0, map_at(as, 0, 1, RW), 1);
	put(as, 0, map_at(as, size - PAGE, 1, RW), 2);
	assert_int_equal(get(as, 0, size - PAGE), 2);
	end(as);
}

/* Every way to ask for a mapping wrongly, in the order of the header's list. */
static void map_refusals(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_map bad;
	(void)state;
	run(0, as);
	fill(as, map_at(as, BASE, 4, RW), 4, 1);
	for (unsigned place = VMEM_PLACE_ANY; place <= VMEM_PLACE_REPLACE; place++) {
		const struct vmem_map good = at((enum vmem_place)place, BASE + PAGE, PAGE);
		const uint64_t lengths[] = {0, 1, PAGE - 1, PAGE + 1, UINT64_MAX};
		for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			bad = good;
			bad.length = lengths[i];
			REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		}
		bad = good;
		bad.align = 3 * PAGE;
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		bad = good;
		bad.flags = 1u << 7;
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		bad = good;
		bad.attributes = 1u << 31;
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		bad = good;
		bad.permission = bad.maximum = 8;
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		bad = good;
		bad.maximum = 15;
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		bad = good;
		bad.maximum = VMEM_READ; /* less than the permission */
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		bad = good;
		bad.flags = VMEM_MAP_SHARED; /* of what? */
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		bad = good;
		bad.flags = VMEM_MAP_GUARD; /* with a permission */
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		bad.permission = 0; /* with a maximum */
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		bad.maximum = 0;
		bad.flags |= VMEM_MAP_SHARED;
		REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		if (place != VMEM_PLACE_ANY) {
			bad = good;
			bad.address++;
			REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
		}
	}
	bad = at((enum vmem_place)(VMEM_PLACE_REPLACE + 1), BASE, PAGE);
	REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
	bad = at(VMEM_PLACE_FIXED, BASE + PAGES(8), PAGE);
	bad.align = PAGES(16); /* a fixed address that contradicts it */
	REFUSED(VMEM_ERR_INVALID, try_map(as, bad));
	REFUSED(VMEM_ERR_EXISTS, try_map(as, at(VMEM_PLACE_FIXED, BASE + PAGES(3), PAGES(2))));
	REFUSED(VMEM_ERR_EXISTS, try_map(as, at(VMEM_PLACE_FIXED, BASE - PAGE, PAGES(2))));
	REFUSED(VMEM_ERR_EXISTS, try_map(as, at(VMEM_PLACE_FIXED, BASE - PAGE, PAGES(20))));
	expect(as, BASE, 4, 1);
	end(as);
}

/* Ranges that leave the space: below, above, past the hole between the halves, around the end of the type. */
static const uint64_t outside[][2] = {{0, PAGE}, {0xf000, 2 * PAGE}, {0x10000, TOP}, {TOP, PAGE}, {TOP, TOP},
    {BASE, UINT64_C(1) << 63}, {UINT64_C(1) << 63, PAGE}, {UINT64_C(0xffff800000000000), PAGE},
    {UINT64_C(0x0001000000000000), PAGE}, {PAGE, TOP}, {UINT64_MAX / 2 + 1 - PAGE, 2 * PAGE}};

static void ranges(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_vmar *root = vmem_aspace_root(as);
	const uint64_t bad[][2] = {
	    {BASE + 1, PAGE}, {BASE, PAGE + 1}, {BASE, 1}, {BASE, 0}, {BASE + 8, UINT64_MAX - 7}, {1, 0}};
	const uint64_t last = vmem_aspace_user_size() - 0x10000;
	(void)state;
	run(0, as);
	fill(as, map_at(as, BASE, 4, RW), 4, 1);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		REFUSED(VMEM_ERR_INVALID, vmem_vmar_unmap(root, bad[i][0], bad[i][1]));
		REFUSED(VMEM_ERR_INVALID, vmem_vmar_protect(root, bad[i][0], bad[i][1], VMEM_READ));
		REFUSED(VMEM_ERR_INVALID, vmem_vmar_decommit(root, bad[i][0], bad[i][1]));
	}
	for (unsigned i = 0; i <= sizeof(outside) / sizeof(outside[0]); i++) {
		bool more = i < sizeof(outside) / sizeof(outside[0]);
		uint64_t start = more ? outside[i][0] : last - PAGE, length = more ? outside[i][1] : 2 * PAGE;
		REFUSED(VMEM_ERR_RANGE, vmem_vmar_unmap(root, start, length));
		REFUSED(VMEM_ERR_RANGE, vmem_vmar_protect(root, start, length, VMEM_READ));
		REFUSED(VMEM_ERR_RANGE, vmem_vmar_decommit(root, start, length));
		REFUSED(VMEM_ERR_RANGE, try_map(as, at(VMEM_PLACE_FIXED, start, length)));
		REFUSED(VMEM_ERR_RANGE, try_map(as, at(VMEM_PLACE_REPLACE, start, length)));
	}
	OK(vmem_vmar_unmap(root, 0x10000, last - 0x10000)); /* and all that is inside may be named */
	assert_int_equal(regions(as), 0);
	(void)map_at(as, last - PAGE, 1, RW);
	(void)map_at(as, 0x10000, 1, RW);
	end(as);
}

static void map_object_refusals(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *o = anonymous(4, 0), *frames, *device;
	struct vmem_map map = at(VMEM_PLACE_ANY, 0, PAGES(2));
	(void)state;
	OK(vmem_object_create_contiguous(PAGES(2), 0, 0, VMEM_WRITE_BACK, &frames));
	OK(vmem_object_create_physical(machine_config()->device.start, PAGES(2), VMEM_UNCACHED, &device));
	map.object = o;
	map.offset = 1;
	REFUSED(VMEM_ERR_INVALID, try_map(as, map));
	map.offset = PAGE / 2;
	map.flags = VMEM_MAP_SHARED;
	REFUSED(VMEM_ERR_INVALID, try_map(as, map));
	map.offset = 0;
	map.flags = VMEM_MAP_GUARD;
	map.permission = map.maximum = 0;
	REFUSED(VMEM_ERR_INVALID, try_map(as, map));
	map = at(VMEM_PLACE_ANY, 0, PAGES(2)); /* private: its copies would have to come from somewhere */
	map.object = frames;
	REFUSED(VMEM_ERR_INVALID, try_map(as, map));
	map.object = device;
	REFUSED(VMEM_ERR_INVALID, try_map(as, map));
	map.object = NULL;
	map.offset = PAGE; /* of nothing */
	REFUSED(VMEM_ERR_INVALID, try_map(as, map));
	map.offset = 0;
	assert_int_equal(info_of(o).references, 1);
	map.object = o; /* an offset past the end, however far: accesses fault */
	for (unsigned i = 0; i < 3; i++) {
		map.offset = i == 0 ? PAGES(3) : i == 1 ? PAGES(4) : TOP - PAGE;
		map.flags = i == 1 ? 0 : VMEM_MAP_SHARED;
		map.place = VMEM_PLACE_FIXED;
		map.address = BASE + PAGES(4 * i);
		OK(try_map(as, map));
		assert_int_equal(region_at(as, map.address).offset, map.offset);
	}
	run(0, as);
	assert_int_equal(get(as, 0, BASE), 0);
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, BASE + PAGE, MACHINE_READ);
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, BASE + PAGES(4), MACHINE_WRITE);
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, BASE + PAGES(9), MACHINE_READ);
	assert_int_equal(info_of(o).references, 4);
	assert_int_equal(info_of(o).mappings, 3);
	release(o); /* the regions hold it */
	release(frames);
	release(device);
	assert_int_equal(get(as, 0, BASE), 0);
	end(as);
	assert_int_equal(vmem_slab_in_use(SLAB_OBJECT), 0);
}

/* Windows of windows of windows lie so high in the keys of their family that an offset can pass the last. */
static void keys_end(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *o = anonymous(1, 0);
	struct vmem_map map = at(VMEM_PLACE_ANY, 0, PAGES(16));
	(void)state;
	run(0, as);
	for (unsigned i = 0; i < 4; i++) {
		map.object = o;
		map.offset = TOP - PAGE;
		map.flags = VMEM_MAP_SHARED;
		if (i == 3) {
			break;
		}
		OK(try_map(as, map));
		struct vmem_object *window = snapshot(o, (TOP >> VMEM_PAGE_SHIFT) - 1, 1);
		release(o);
		o = window;
	}
	map.offset = TOP;
	REFUSED(VMEM_ERR_RANGE, try_map(as, map));
	map.flags = 0;
	REFUSED(VMEM_ERR_RANGE, try_map(as, map));
	map.offset = 0;
	map.flags = VMEM_MAP_SHARED;
	OK(try_map(as, map));
	release(o);
	end(as);
}

static void protect_refusals(void **state)
{
	const struct vmem_aspace_config config = {.wx = true};
	struct vmem_aspace *as = space_with(&config);
	struct vmem_vmar *root = vmem_aspace_root(as);
	struct vmem_map map = at(VMEM_PLACE_FIXED, BASE, PAGES(8));
	(void)state;
	run(0, as);
	OK(try_map(as, map));
	map.address = BASE + PAGES(8);
	map.maximum = RW;
	OK(try_map(as, map));
	map.address = BASE + PAGES(20);
	OK(try_map(as, map));
	fill(as, BASE, 16, 1);
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_protect(root, BASE, PAGE, 8));
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_protect(root, BASE, PAGE, ~0u));
	REFUSED(VMEM_ERR_WX, vmem_vmar_protect(root, BASE, PAGE, VMEM_RWX));
	REFUSED(VMEM_ERR_WX, vmem_vmar_protect(root, BASE, PAGE, VMEM_WRITE | VMEM_EXEC));
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_protect(root, BASE + PAGES(8), PAGE, VMEM_EXEC));
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_protect(root, BASE, PAGES(16), RX)); /* the second region's */
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_protect(root, BASE + PAGES(4), PAGES(20), VMEM_READ));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_protect(root, BASE - PAGE, PAGES(2), VMEM_READ));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_protect(root, BASE + PAGES(15), PAGES(2), VMEM_READ));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_protect(root, BASE + PAGES(40), PAGE, VMEM_READ));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_decommit(root, BASE + PAGES(15), PAGES(6)));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_decommit(root, BASE + PAGES(18), PAGE));
	REFUSED(VMEM_ERR_WX, try_map(as, (struct vmem_map){PAGE, VMEM_RWX, VMEM_RWX, .flags = 0}));
	expect(as, BASE, 16, 1);
	for (unsigned i = 0; i < 16; i++) {
		assert_true(hardware(0, BASE + PAGES(i), MACHINE_WRITE, MACHINE_USER));
	}
	end(as);
}

static void quotas(void **state)
{
	const struct vmem_aspace_config config = {.max_bytes = PAGES(10), .max_regions = 3};
	struct vmem_aspace *as = space_with(&config);
	struct vmem_vmar *root = vmem_aspace_root(as);
	(void)state;
	REFUSED(VMEM_ERR_LIMIT, try_map(as, at(VMEM_PLACE_ANY, 0, PAGES(11))));
	REFUSED(VMEM_ERR_LIMIT, try_map(as, at(VMEM_PLACE_ANY, 0, UINT64_C(1) << 37)));
	(void)map_at(as, BASE, 10, RW);
	REFUSED(VMEM_ERR_LIMIT, try_map(as, at(VMEM_PLACE_FIXED, BASE + PAGES(10), PAGE))); /* would merge */
	REFUSED(VMEM_ERR_LIMIT, try_map(as, at(VMEM_PLACE_REPLACE, BASE + PAGES(5), PAGES(6))));
	unmap(as, BASE + PAGES(3), 3);
	(void)map_at(as, BASE + PAGES(20), 2, RW);
	assert_int_equal(regions(as), 3);
	REFUSED(VMEM_ERR_LIMIT, try_map(as, at(VMEM_PLACE_FIXED, BASE + PAGES(30), PAGE)));
	REFUSED(VMEM_ERR_LIMIT, vmem_vmar_unmap(root, BASE + PAGE, PAGE));
	REFUSED(VMEM_ERR_LIMIT, vmem_vmar_protect(root, BASE + PAGE, PAGE, VMEM_READ));
	REFUSED(VMEM_ERR_LIMIT, vmem_vmar_protect(root, BASE, PAGE, VMEM_READ));
	REFUSED(VMEM_ERR_LIMIT, try_map(as, at(VMEM_PLACE_REPLACE, BASE + PAGE, PAGE)));
	protect(as, BASE, 3, VMEM_READ);			 /* whole regions need no record */
	(void)map_at(as, BASE + PAGES(22), 1, RW);		 /* nor does one that grows */
	OK(try_map(as, at(VMEM_PLACE_REPLACE, BASE, PAGES(3)))); /* nor one that takes another's place */
	assert_int_equal(regions(as), 3);
	assert_int_equal(stats_of(as).mapped, PAGES(10));
	unmap(as, BASE + PAGES(20), 3);
	unmap(as, BASE + PAGE, 1); /* now one may be split */
	assert_int_equal(regions(as), 3);
	struct vmem_map rights = at(VMEM_PLACE_FIXED, BASE + LARGE, PAGES(100));
	struct vmem_vmar *vmar; /* a VMAR is neither a region nor mapped; what is in it counts */
	OK(vmem_vmar_allocate(root, &rights, &vmar));
	vmem_vaddr_t start;
	rights = (struct vmem_map){.length = PAGE};
	REFUSED(VMEM_ERR_LIMIT, vmem_vmar_map(vmar, &rights, &start));
	unmap(as, BASE, 3);
	OK(vmem_vmar_map(vmar, &rights, &start));
	assert_int_equal(stats_of(as).mapped, PAGES(5));
	end(as);
}

/* Three regions of different kinds, a hole and a strip: all that is in the way goes in one step. */
static void replace(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *o = anonymous(8, 0);
	struct vmem_map map = at(VMEM_PLACE_FIXED, BASE, PAGES(4));
	(void)state;
	run_all(as);
	map.pad_after = 1;
	map.place = VMEM_PLACE_ANY;
	map.minimum = BASE;
	OK(try_map(as, map)); /* [0, 4) and a strip at 4 */
	map = at(VMEM_PLACE_FIXED, BASE + PAGES(5), PAGES(4));
	map.object = o;
	map.flags = VMEM_MAP_SHARED;
	OK(try_map(as, map)); /* [5, 9) of the object; a hole at 9 */
	(void)map_at(as, BASE + PAGES(10), 4, VMEM_READ);
	(void)map_at(as, BASE + PAGES(14), 4, RW);
	fill(as, BASE, 4, 1);
	fill(as, BASE + PAGES(5), 4, 100);
	fill(as, BASE + PAGES(14), 4, 200);
	warm();
	struct vmem_map over = at(VMEM_PLACE_REPLACE, BASE + PAGES(2), PAGES(14));
	over.cookie = 9;
	over.maximum = RW;
	SWEEP(0, try_map(as, over));
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_false(hardware(cpu, BASE + PAGES(3), MACHINE_READ, MACHINE_USER));
		assert_false(hardware(cpu, BASE + PAGES(5), MACHINE_READ, MACHINE_USER));
		assert_false(hardware(cpu, BASE + PAGES(15), MACHINE_READ, MACHINE_USER));
	}
	assert_int_equal(regions(as), 3);
	assert_int_equal(stats_of(as).mapped, PAGES(18));
	assert_int_equal(region_at(as, BASE).length, PAGES(2));
	assert_int_equal(region_at(as, BASE + PAGES(2)).length, PAGES(14));
	assert_int_equal(region_at(as, BASE + PAGES(16)).length, PAGES(2));
	assert_int_equal(info_of(o).mappings, 0);
	expect(as, BASE, 2, 1);
	for (unsigned i = 2; i < 16; i++) {
		assert_int_equal(get(as, 1, BASE + PAGES(i)), 0);
	}
	expect(as, BASE + PAGES(16), 2, 202);
	assert_int_equal(peek(o, 1), 101);
	warm();
	over =
	    at(VMEM_PLACE_REPLACE, BASE + PAGES(4), PAGES(2)); /* within one region: it needs two records */
	SWEEP(0, try_map(as, over));
	assert_int_equal(regions(as), 5);
	OK(try_map(as, at(VMEM_PLACE_REPLACE, BASE, PAGES(18)))); /* exactly what is there */
	assert_int_equal(regions(as), 1);
	OK(try_map(as, at(VMEM_PLACE_REPLACE, BASE + PAGES(40), PAGES(2)))); /* nothing is there */
	assert_int_equal(regions(as), 2);
	release(o);
	end(as);
}

/* Unmap and decommit, what they keep and what they do not, and that only a split takes a record. */
static void removal(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_vmar *root = vmem_aspace_root(as);
	struct vmem_object *o = anonymous(4, 0);
	(void)state;
	run(0, as);
	OK(vmem_vmar_unmap(root, BASE, PAGES(100))); /* holes are allowed: nothing but a hole, too */
	fill(as, map_at(as, BASE, 12, RW), 12, 1);
	SWEEP(0, vmem_vmar_unmap(root, BASE + PAGES(5), PAGES(2)));
	machine_fail_at(1);
	OK(vmem_vmar_unmap(root, BASE, PAGES(2))); /* ends and wholes need none */
	OK(vmem_vmar_unmap(root, BASE + PAGES(4), PAGES(4)));
	OK(vmem_vmar_unmap(root, BASE + PAGES(10), PAGES(20)));
	machine_fail_at(0);
	expect(as, BASE + PAGES(2), 2, 3);
	expect(as, BASE + PAGES(8), 2, 9);
	assert_int_equal(stats_of(as).committed, 4);
	(void)map_at(as, BASE + PAGES(4), 4, RW);
	OK(vmem_vmar_decommit(root, BASE + PAGES(3), PAGES(6))); /* across regions, partly */
	assert_int_equal(stats_of(as).committed, 2);
	assert_int_equal(get(as, 0, BASE + PAGES(2)), 3);
	assert_int_equal(get(as, 0, BASE + PAGES(3)), 0);
	assert_int_equal(get(as, 0, BASE + PAGES(8)), 0);
	assert_int_equal(get(as, 0, BASE + PAGES(9)), 10);
	poke(o, 1, 55);
	uint64_t shared = map_object(as, o, 0, 4, RW, VMEM_MAP_SHARED), own = map_object(as, o, 0, 4, RW, 0);
	put(as, 0, shared + PAGES(2), 66);
	put(as, 0, own + PAGES(1), 77);
	OK(vmem_vmar_decommit(root, shared, PAGES(4))); /* the object's content stays */
	assert_int_equal(get(as, 0, shared + PAGES(2)), 66);
	OK(vmem_vmar_decommit(root, own, PAGES(4))); /* the copy goes, the object shows again */
	assert_int_equal(get(as, 0, own + PAGES(1)), 55);
	assert_int_equal(info_of(o).resident, 2);
	release(o);
	end(as);
}

/* The regions of all VMARs in one list by address, from anywhere. */
static void iteration(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_region_info info;
	struct vmem_vmar *outer, *inner, *empty;
	vmem_vaddr_t start;
	(void)state;
	assert_false(vmem_region_next(as, 0, &info));
	(void)map_at(as, BASE, 2, RW);
	struct vmem_map map = at(VMEM_PLACE_FIXED, BASE + PAGES(10), PAGES(30));
	map.permission = VMEM_RWX;
	OK(vmem_vmar_allocate(vmem_aspace_root(as), &map, &outer));
	map.address = BASE + PAGES(15);
	map.length = PAGES(10);
	OK(vmem_vmar_allocate(outer, &map, &inner));
	map.address = BASE + PAGES(30);
	map.length = PAGE;
	OK(vmem_vmar_allocate(outer, &map, &empty));
	map = at(VMEM_PLACE_FIXED, BASE + PAGES(24), PAGE); /* the last page of inner */
	OK(vmem_vmar_map(inner, &map, &start));
	map.address = BASE + PAGES(12);
	OK(vmem_vmar_map(outer, &map, &start));
	(void)map_at(as, BASE + PAGES(50), 1, RW);
	static const unsigned where[] = {0, 12, 24, 50};
	uint64_t at_ = 0;
	for (unsigned i = 0; i < 4; i++) {
		assert_true(vmem_region_next(as, at_, &info));
		assert_int_equal(info.start, BASE + PAGES(where[i]));
		at_ = info.start + info.length;
	}
	assert_false(vmem_region_next(as, at_, &info));
	assert_false(vmem_region_next(as, UINT64_MAX, &info));
	assert_true(vmem_region_next(as, BASE + PAGES(2) - 1, &info)); /* its last byte */
	assert_int_equal(info.start, BASE);
	assert_true(vmem_region_next(as, BASE + PAGES(2), &info));
	assert_int_equal(info.start, BASE + PAGES(12));
	assert_true(vmem_region_next(as, BASE + PAGES(25), &info)); /* nothing after it in either VMAR */
	assert_int_equal(info.start, BASE + PAGES(50));
	end(as);
}

/* What a region tells is what it was made with. */
static void region_told(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *o = anonymous(16, 0), *device;
	struct vmem_map map = {.length = PAGES(3),
	    .permission = RX,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_SHARED | VMEM_MAP_NO_MERGE | VMEM_MAP_LARGE | VMEM_MAP_POPULATE,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE,
	    .object = o,
	    .offset = PAGES(7),
	    .cookie = UINT64_C(0xfeedfacecafebeef)};
	(void)state;
	OK(try_map(as, map));
	struct vmem_region_info info = region_at(as, BASE);
	assert_int_equal(info.length, PAGES(3));
	assert_int_equal(info.permission, RX);
	assert_int_equal(info.maximum, VMEM_RWX);
	assert_int_equal(info.flags, VMEM_MAP_SHARED | VMEM_MAP_NO_MERGE | VMEM_MAP_LARGE);
	assert_ptr_equal(info.object, o);
	assert_int_equal(info.offset, PAGES(7));
	assert_int_equal(info.cookie, UINT64_C(0xfeedfacecafebeef));
	assert_int_equal(info.cache, VMEM_WRITE_BACK);
	OK(vmem_object_create_physical(machine_config()->device.start, PAGE, VMEM_UNCACHED, &device));
	uint64_t d = map_object(as, device, 0, 1, RW, VMEM_MAP_SHARED);
	assert_int_equal(region_at(as, d).cache, VMEM_UNCACHED);
	release(device);
	release(o);
	uint64_t own = map_at(as, BASE + PAGES(20), 1, 0);
	assert_null(region_at(as, own).object);
	assert_int_equal(region_at(as, own).key, own / PAGE);
	assert_int_equal(region_at(as, own).flags, 0);
	end(as);
}

/* When spaces are gone, with what they held and what they forked, nothing of it is kept. */
static void all_frames_back(void **state)
{
	struct vmem_aspace *as, *child;
	(void)state;
	vmem_library_trim();
	const struct vmem_frame_stats before = frames_now();
	as = space();
	run(0, as);
	for (uint64_t i = 0; i < 40; i++) {
		(void)map_at(as, UINT64_C(0x40000000) + i * LARGE, 3, RW);
		fill(as, UINT64_C(0x40000000) + i * LARGE, 3, i);
	}
	OK(vmem_aspace_fork(as, &child));
	end(as);
	end(child);
	assert_int_not_equal(frames_now().cached, 0);
	vmem_library_trim();
	const struct vmem_frame_stats after = frames_now();
	assert_int_equal(after.cached, 0);
	assert_int_equal(after.slabs, before.slabs);
	assert_int_equal(after.free, before.free);
	step();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(creation),
	    CORE(map_refusals),
	    CORE(ranges),
	    CORE(map_object_refusals),
	    CORE(keys_end),
	    CORE(protect_refusals),
	    CORE(quotas),
	    CORE(replace),
	    CORE(removal),
	    CORE(iteration),
	    CORE(region_told),
	    CORE(all_frames_back),
	};
	return cmocka_run_group_tests_name("aspace", tests, NULL, NULL);
}
