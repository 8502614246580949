/* SPDX-License-Identifier: MIT */
/*
 * test_remap.c - regions that move and grow (remap.c, keys.c, pmap_move.c): content follows, keys stay and
 * never meet, translations go along or are forgotten, refusals change nothing.
 */
#include "region_fixture.h"

#define THERE UINT64_C(0x80000000)

static struct vmem_map fixed_at(uint64_t address, uint64_t pages)
{
	return (struct vmem_map){.length = PAGES(pages), .place = VMEM_PLACE_FIXED, .address = address};
}

static vmem_status_t try_move(
    uint64_t from, uint64_t pages, const struct vmem_map *to, unsigned flags, uint64_t *at)
{
	warm();
	return vmem_vmar_move(root, from, PAGES(pages), to, flags, at);
}

static uint64_t move(uint64_t from, uint64_t pages, uint64_t to, uint64_t new_pages)
{
	struct vmem_map map = fixed_at(to, new_pages);
	uint64_t at = 0;
	OK(try_move(from, pages, &map, 0, &at));
	assert_int_equal(at, to);
	return at;
}

static void gone(uint64_t va)
{
	DENIED(VMEM_FAULT_NO_REGION, as, 0, va, MACHINE_READ);
	DENIED(VMEM_FAULT_NO_REGION, as, 1, va, MACHINE_READ);
}

/* What was there is at the new place, for every CPU, and what is mapped at the old one afterwards is new. */
static void content_follows(void **state)
{
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	fill(as, BASE, 8, 100);
	move(BASE, 8, THERE, 8);
	for (unsigned i = 0; i < 8; i++) {
		gone(BASE + PAGES(i));
		assert_int_equal(get(as, 1, THERE + PAGES(i)), 100 + i);
	}
	assert_int_equal(region_at(as, THERE).key, BASE / PAGE);
	map_at(as, BASE, 8, RW); /* its keys are in use */
	uint64_t key = region_at(as, BASE).key;
	assert_true(key >= vmem_aspace_user_size() / PAGE);
	assert_int_equal(key % (UINT64_C(1) << 18), BASE / PAGE % (UINT64_C(1) << 18));
	assert_ptr_equal(vmem_region_find_key(as, key + 3), vmem_region_find(as, BASE));
	assert_int_equal(get(as, 0, BASE), 0);
	fill(as, BASE, 8, 200);
	expect(as, THERE, 8, 100);
	move(BASE, 8, BASE + PAGES(8), 8);
	map_at(as, BASE, 8, RW);
	assert_true(region_at(as, BASE).key > key); /* and not those of the second */
	fill(as, BASE, 8, 300);
	expect(as, THERE, 8, 100);
	expect(as, BASE + PAGES(8), 8, 200);
	unmap(as, BASE, 16);
	move(THERE, 8, BASE, 8); /* home: its keys follow from its address again */
	assert_null(as->moved);
	expect(as, BASE, 8, 100);
	end(as);
}

/* Replaced in place: the region that goes has moved here, the one that comes needs other keys. */
static void replaced(void **state)
{
	struct vmem_map map = {.length = PAGES(2),
	    .permission = RW,
	    .maximum = VMEM_RWX,
	    .place = VMEM_PLACE_REPLACE,
	    .address = BASE + PAGES(2)};
	uint64_t at;
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	fill(as, BASE, 8, 100);
	move(BASE + PAGES(2), 2, THERE, 2);
	OK(vmem_vmar_map(root, &map, &at));
	assert_int_equal(regions(as), 4); /* the new one does not join its neighbours: its keys are others */
	fill(as, BASE + PAGES(2), 2, 7);
	expect(as, THERE, 2, 102);
	expect(as, BASE, 2, 100);
	map.address = THERE;
	OK(vmem_vmar_map(root, &map, &at));
	assert_int_equal(get(as, 0, THERE), 0);
	map.address = BASE + PAGES(2); /* now they are free again */
	OK(vmem_vmar_map(root, &map, &at));
	assert_int_equal(region_at(as, BASE).length, PAGES(8));
	assert_int_equal(get(as, 0, BASE + PAGES(2)), 0);
	expect(as, BASE + PAGES(4), 4, 104);
	end(as);
}

/* A part out of the middle, across two regions of different permission, onto what is mapped there. */
static void parts(void **state)
{
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	fill(as, BASE, 8, 10);
	protect(as, BASE + PAGES(4), 4, VMEM_READ);
	map_at(as, THERE, 6, RW);
	fill(as, THERE, 6, 50);
	struct vmem_map to = fixed_at(THERE + PAGES(1), 4);
	uint64_t at;
	REFUSED(VMEM_ERR_EXISTS, vmem_vmar_move(root, BASE + PAGES(2), PAGES(4), &to, 0, &at));
	to.place = VMEM_PLACE_REPLACE;
	OK(try_move(BASE + PAGES(2), 4, &to, 0, &at));
	assert_int_equal(regions(as), 6);
	expect(as, BASE, 2, 10);
	gone(BASE + PAGES(2));
	gone(BASE + PAGES(5));
	assert_int_equal(get(as, 0, BASE + PAGES(6)), 16);
	assert_int_equal(get(as, 0, THERE), 50);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(get(as, 0, THERE + PAGES(1 + i)), 12 + i);
	}
	put(as, 0, THERE + PAGES(1), 1);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, THERE + PAGES(3), MACHINE_WRITE);
	assert_int_equal(get(as, 0, THERE + PAGES(5)), 55);
	end(as);
}

/* Onto a part of its own region, next to what moves. */
static void within(void **state)
{
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	fill(as, BASE, 8, 10);
	struct vmem_map to = fixed_at(BASE + PAGES(6), 2);
	uint64_t at;
	to.place = VMEM_PLACE_REPLACE;
	OK(try_move(BASE + PAGES(4), 2, &to, 0, &at));
	gone(BASE + PAGES(4));
	assert_int_equal(get(as, 0, BASE + PAGES(6)), 14);
	assert_int_equal(get(as, 0, BASE + PAGES(7)), 15);
	to.address = BASE + PAGES(1);
	OK(try_move(BASE + PAGES(6), 2, &to, 0, &at));
	assert_int_equal(get(as, 0, BASE + PAGES(1)), 14);
	assert_int_equal(get(as, 0, BASE + PAGES(3)), 13);
	end(as);
}

static void source_kept(void **state)
{
	struct vmem_object *object = anonymous(8, 0);
	struct vmem_map to = fixed_at(THERE, 4);
	uint64_t at;
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	fill(as, BASE, 4, 10);
	OK(try_move(BASE, 4, &to, VMEM_MOVE_KEEP_SOURCE, &at));
	expect(as, THERE, 4, 10);
	assert_int_equal(get(as, 1, BASE), 0);
	fill(as, BASE, 4, 20);
	expect(as, THERE, 4, 10);
	assert_int_equal(region_at(as, THERE).key, BASE / PAGE);
	/* what was never touched has the keys of its address on both sides */
	map_at(as, BASE + PAGES(16), 4, RW);
	to = fixed_at(THERE + PAGES(16), 4);
	OK(try_move(BASE + PAGES(16), 4, &to, VMEM_MOVE_KEEP_SOURCE, &at));
	assert_int_equal(region_at(as, THERE + PAGES(16)).key, THERE / PAGE + 16);
	assert_int_equal(region_at(as, BASE + PAGES(16)).key, BASE / PAGE + 16);
	/* a shared object is then mapped twice, a private copy of it goes along */
	for (unsigned shared = 0; shared < 2; shared++) {
		uint64_t from = map_object(as, object, 2, 4, RW, shared ? VMEM_MAP_SHARED : 0);
		fill(as, from, 4, 70);
		to = fixed_at(THERE + PAGES(32 * (shared + 1)), 4);
		OK(try_move(from, 4, &to, VMEM_MOVE_KEEP_SOURCE, &at));
		expect(as, at, 4, 70);
		assert_int_equal(get(as, 0, from), shared ? 70 : 0);
		assert_int_equal(region_at(as, from).offset, PAGES(2));
		assert_int_equal(region_at(as, at).offset, PAGES(2));
	}
	assert_int_equal(info_of(object).mappings, 4);
	end(as);
	release(object);
}

/* What was mapped where something moved away from has other keys than its address, and its copy needs them,
 * too, although it holds nothing. */
static void source_kept_where_keys_are_taken(void **state)
{
	struct vmem_map to = fixed_at(THERE + PAGES(64), 4);
	uint64_t at;
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	fill(as, BASE, 4, 10);
	move(BASE, 4, THERE, 4);
	map_at(as, BASE, 4, RW);
	OK(try_move(BASE, 4, &to, VMEM_MOVE_KEEP_SOURCE, &at));
	assert_int_not_equal(region_at(as, BASE).key, BASE / PAGE);
	assert_int_equal(get(as, 0, BASE), 0);
	fill(as, BASE, 4, 20);
	expect(as, THERE, 4, 10);
	end(as);
}

static void objects(void **state)
{
	struct vmem_object *object = anonymous(8, VMEM_OBJECT_RESIZABLE);
	(void)state;
	begin();
	uint64_t shared = map_object(as, object, 0, 8, RW, VMEM_MAP_SHARED);
	uint64_t private = map_object(as, object, 0, 8, RW, 0);
	fill(as, shared, 8, 30);
	put(as, 0, private, 5);
	move(shared + PAGES(2), 4, THERE, 4);
	move(private, 8, THERE + PAGES(8), 8);
	assert_int_equal(region_at(as, THERE).key, THERE / PAGE);
	expect(as, THERE, 4, 32);
	assert_int_equal(get(as, 0, THERE + PAGES(8)), 5);
	assert_int_equal(get(as, 0, THERE + PAGES(9)), 31);
	OK(vmem_object_resize(object, PAGES(3)));
	assert_int_equal(get(as, 1, THERE), 32);
	DENIED(VMEM_FAULT_BEYOND_END, as, 1, THERE + PAGES(1), MACHINE_READ);
	DENIED(VMEM_FAULT_BEYOND_END, as, 1, THERE + PAGES(11), MACHINE_READ);
	end(as);
	release(object);
}

/* Growth on the way, and in place; where the keys that follow are a neighbour's a second region begins. */
static void growth(void **state)
{
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	map_at(as, BASE + PAGES(4), 1, VMEM_READ); /* in the way, and its keys too */
	fill(as, BASE, 4, 10);
	put(as, 0, BASE, 10);
	move(BASE, 4, THERE, 8);
	assert_int_equal(regions(as), 3);
	assert_int_equal(region_at(as, THERE).length, PAGES(4));
	expect(as, THERE, 4, 10);
	assert_int_equal(get(as, 0, THERE + PAGES(5)), 0);
	assert_int_equal(get(as, 0, BASE + PAGES(4)), 0);
	fill(as, THERE, 8, 40);
	OK(vmem_vmar_extend(root, THERE + PAGES(8), PAGES(4))); /* nothing is in the way */
	assert_int_equal(regions(as), 3);
	fill(as, THERE, 12, 60);
	unmap(as, BASE + PAGES(4), 1);
	move(THERE, 4, BASE, 6); /* at home what follows is free */
	assert_int_equal(region_at(as, BASE).length, PAGES(6));
	expect(as, BASE, 4, 60);
	assert_int_equal(get(as, 0, BASE + PAGES(5)), 0);
	OK(vmem_vmar_extend(root, BASE + PAGES(6), PAGES(2)));
	fill(as, BASE, 8, 80);
	expect(as, THERE + PAGES(4), 8, 64);
	/* keys behind a region that are a moved one's */
	move(BASE + PAGES(6), 2, THERE + PAGES(32), 2);
	OK(vmem_vmar_extend(root, BASE + PAGES(6), PAGES(2)));
	assert_int_equal(region_at(as, BASE).length, PAGES(6));
	assert_int_equal(get(as, 0, BASE + PAGES(7)), 0);
	expect(as, THERE + PAGES(32), 2, 86);
	REFUSED(VMEM_ERR_EXISTS, vmem_vmar_extend(root, THERE + PAGES(12), PAGES(21)));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_extend(root, BASE + PAGES(7), PAGES(1)));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_extend(root, BASE + PAGES(17), PAGES(1)));
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_extend(root, BASE + PAGES(8), 1));
	REFUSED(VMEM_ERR_RANGE, vmem_vmar_extend(root, BASE + PAGES(8), vmem_aspace_user_size()));
	end(as);
}

/* A page or two that were touched are there without a fault; whole tables go whatever they hold, by one
 * flush. */
static void translations_go_along(void **state)
{
	struct vmem_aspace_stats before, after;
	(void)state;
	begin();
	map_at(as, BASE, 3, RW);
	put(as, 0, BASE, 1);
	(void)get(as, 0, BASE + PAGES(1)); /* the zero frame */
	before = stats_of(as);
	move(BASE, 3, THERE + PAGES(1), 3);
	assert_int_equal(get(as, 0, THERE + PAGES(1)), 1);
	put(as, 0, THERE + PAGES(1), 2);
	assert_int_equal(get(as, 0, THERE + PAGES(2)), 0);
	after = stats_of(as);
	assert_int_equal(after.faults, before.faults);
	assert_int_equal(after.resident, before.resident);
	DENIED(VMEM_FAULT_NO_REGION, as, 1, BASE, MACHINE_READ);
	put(as, 0, THERE + PAGES(2), 9); /* copied from the zero frame by a fault, as ever */
	end(as);
	begin();
	map_at(as, BASE, 4 * 512, RW);
	for (unsigned i = 0; i < 4 * 512; i += 100) {
		put(as, 0, BASE + PAGES(i), i);
	}
	before = stats_of(as);
	move(BASE + PAGES(1), 4 * 512 - 2, THERE + PAGES(1), 4 * 512 - 2); /* two windows and two ends */
	after = stats_of(as);
	assert_int_equal(after.flushes, before.flushes + 1);
	before = after;
	for (unsigned i = 600; i < 3 * 512; i += 100) {
		assert_int_equal(get(as, 0, THERE + PAGES(i)), i);
	}
	assert_int_equal(stats_of(as).faults, before.faults);
	assert_int_equal(get(as, 0, BASE), 0);
	assert_int_equal(get(as, 1, THERE + PAGES(100)), 100);
	assert_int_equal(get(as, 1, THERE + PAGES(2000)), 2000);
	/* not congruent: forgotten, and found again */
	move(THERE + PAGES(1), 4 * 512 - 2, BASE + PAGES(8192), 4 * 512 - 2);
	for (unsigned i = 100; i < 4 * 512; i += 100) {
		assert_int_equal(get(as, 1, BASE + PAGES(8191 + i)), i);
	}
	end(as);
}

/* Tables that are in the way, or cannot be had, at the new place. */
static void tables_in_the_way(void **state)
{
	(void)state;
	begin();
	map_at(as, BASE, 512, RW);
	fill(as, BASE, 512, 7);
	map_at(as, THERE, 512, RW);
	put(as, 0, THERE, 1);
	unmap(as, THERE, 512); /* leaves an empty table there */
	assert_int_equal(stats_of(as).tables_kept, 1);
	uint64_t faults = stats_of(as).faults;
	move(BASE, 512, THERE, 512);
	assert_int_equal(get(as, 0, THERE + PAGES(3)), 10);
	assert_int_equal(stats_of(as).faults, faults);
	for (unsigned n = 1; n < 4; n++) { /* without memory for upper tables they are forgotten */
		uint64_t to = BASE * (n + 4) * 8, at;
		struct vmem_map map = fixed_at(to, 512);
		machine_fail_at(n);
		warm();
		vmem_status_t status =
		    vmem_vmar_move(root, n == 1 ? THERE : BASE * (n + 3) * 8, PAGES(512), &map, 0, &at);
		machine_fail_at(0);
		assert_int_equal(status, VMEM_OK);
		step();
		expect(as, to, 512, 7);
	}
	end(as);
}

/* What a relative shares stays shared: a copy is made by the write, wherever the page has moved. */
static void copies(void **state)
{
	(void)state;
	begin();
	struct vmem_object *object = anonymous(4, 0);
	uint64_t va = map_object(as, object, 0, 4, RW, VMEM_MAP_SHARED);
	fill(as, va, 4, 1);
	struct vmem_object *child = snapshot(object, 0, 4);
	move(va, 4, THERE, 4);
	fill(as, THERE, 4, 11);
	assert_int_equal(peek(child, 2), 3);
	assert_int_equal(peek(object, 2), 13);
	release(child);
	end(as);
	release(object);
}

static void large(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	(void)state;
	begin_with(&config);
	map_at(as, BASE, 1024, RW);
	put(as, 0, BASE + PAGES(5), 5);
	move(BASE, 1024, BASE * 4, 1024);
	assert_int_equal(get(as, 0, BASE * 4 + PAGES(5)), 5);
	put(as, 0, BASE * 4 + PAGES(600), 6);
	map_at(as, BASE, 1024, RW);
	put(as, 0, BASE + PAGES(5), 50); /* its keys are good for a large leaf */
	assert_int_equal(get(as, 1, BASE * 4 + PAGES(5)), 5);
	assert_int_equal(get(as, 1, BASE * 4 + PAGES(600)), 6);
	end(as);
}

static void refusals(void **state)
{
	struct vmem_map to = fixed_at(THERE, 4);
	uint64_t at = 0;
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	map_at(as, BASE + PAGES(5), 4, RW);
	fill(as, BASE, 4, 1);
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_move(root, BASE + PAGES(2), PAGES(4), &to, 0, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_move(root, BASE + 1, PAGES(4), &to, 0, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_move(root, BASE, PAGES(4), &to, 2, &at));
	REFUSED(VMEM_ERR_RANGE, vmem_vmar_move(root, 0, PAGES(4), &to, 0, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_move(root, BASE, PAGES(5), &to, 0, &at)); /* shorter */
	to.length = PAGES(5);
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_move(root, BASE, PAGES(4), &to, VMEM_MOVE_KEEP_SOURCE, &at));
	to = fixed_at(BASE + PAGES(3), 4);
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_move(root, BASE, PAGES(4), &to, 0, &at)); /* overlaps */
	to = fixed_at(BASE + PAGES(4), 4);
	REFUSED(VMEM_ERR_EXISTS, vmem_vmar_move(root, BASE, PAGES(4), &to, 0, &at));
	to = fixed_at(THERE, 4);
	to.permission = VMEM_READ;
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_move(root, BASE, PAGES(4), &to, 0, &at));
	to = (struct vmem_map){.length = PAGES(4), .place = VMEM_PLACE_ANY, .limit = PAGES(18)};
	REFUSED(VMEM_ERR_NO_SPACE, vmem_vmar_move(root, BASE, PAGES(4), &to, 0, &at));
	struct vmem_map child = {
	    .length = PAGES(4), .permission = RW, .place = VMEM_PLACE_FIXED, .address = THERE};
	struct vmem_vmar *vmar;
	OK(vmem_vmar_allocate(root, &child, &vmar));
	to = fixed_at(THERE, 4);
	to.place = VMEM_PLACE_REPLACE;
	REFUSED(VMEM_ERR_EXISTS, vmem_vmar_move(root, BASE, PAGES(4), &to, 0, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_move(root, THERE, PAGES(4), &to, 0, &at));
	as->max_regions = as->regions;
	as->max_bytes = as->mapped;
	to = fixed_at(THERE + PAGES(8), 1);
	REFUSED(VMEM_ERR_LIMIT, vmem_vmar_move(root, BASE, PAGES(1), &to, VMEM_MOVE_KEEP_SOURCE, &at));
	REFUSED(VMEM_ERR_LIMIT, vmem_vmar_move(root, BASE + PAGES(1), PAGES(1), &to, 0, &at));
	REFUSED(VMEM_ERR_LIMIT, vmem_vmar_extend(root, BASE + PAGES(4), PAGES(1)));
	to = fixed_at(THERE + PAGES(8), 4);
	OK(vmem_vmar_move(root, BASE, PAGES(4), &to, 0, &at)); /* as many regions and bytes as before */
	expect(as, at, 4, 1);
	as->max_regions = as->max_bytes = UINT64_MAX;
	end(as);
}

static bool deny(void *context, const struct vmem_access_request *request)
{
	const uint64_t *denied = context;
	return request->start != denied[0] || request->operation != (enum vmem_operation)denied[1];
}

/* The host's access control is asked about both places. */
static void access_control(void **state)
{
	uint64_t denied[2] = {THERE, VMEM_OPERATION_MAP}, at;
	const struct vmem_access_control access = {.allows = deny, .context = denied};
	const struct vmem_aspace_config config = {.access = &access};
	struct vmem_map to = fixed_at(THERE, 2);
	(void)state;
	begin_with(&config);
	map_at(as, BASE, 2, RW);
	fill(as, BASE, 2, 1);
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_move(root, BASE, PAGES(2), &to, 0, &at));
	denied[0] = BASE;
	denied[1] = VMEM_OPERATION_UNMAP;
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_move(root, BASE, PAGES(2), &to, 0, &at));
	OK(vmem_vmar_move(root, BASE, PAGES(2), &to, VMEM_MOVE_KEEP_SOURCE, &at));
	to.place = VMEM_PLACE_REPLACE;
	denied[0] = THERE;
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_move(root, BASE, PAGES(2), &to, 0, &at));
	denied[0] = BASE + PAGES(2);
	denied[1] = VMEM_OPERATION_MAP;
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_extend(root, BASE + PAGES(2), PAGES(2)));
	denied[0] = 0;
	end(as);
}

static void memory_fails(void **state)
{
	struct vmem_map to = fixed_at(THERE + PAGES(1), 4);
	uint64_t at = 0;
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	map_at(as, BASE + PAGES(8), 1, VMEM_READ);
	map_at(as, THERE, 8, RW);
	fill(as, BASE, 8, 1);
	fill(as, THERE, 8, 20);
	to.place = VMEM_PLACE_REPLACE;
	SWEEP(0, vmem_vmar_move(root, BASE + PAGES(2), PAGES(4), &to, VMEM_MOVE_KEEP_SOURCE, &at));
	expect(as, THERE + PAGES(1), 4, 3);
	move(THERE + PAGES(5), 3, THERE + PAGES(64), 3);
	SWEEP(0, vmem_vmar_extend(root, THERE + PAGES(5), PAGES(3)));
	end(as);
}

/* The range above addresses is gone through and begun anew; keys that somebody has are passed over. */
static void keys_wrap(void **state)
{
	const uint64_t lowest = vmem_aspace_user_size() / PAGE;
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	fill(as, BASE, 4, 1);
	move(BASE, 4, THERE, 4);
	as->fresh_key = INDEX_KEY_LAST - 2;
	map_at(as, BASE, 4, RW);
	assert_int_equal(region_at(as, BASE).key, lowest + BASE / PAGE % (UINT64_C(1) << 18));
	fill(as, BASE, 4, 9);
	move(BASE, 4, THERE + PAGES(8), 4);
	as->fresh_key = 0;
	map_at(as, BASE, 4, RW);
	assert_int_equal(region_at(as, BASE).key, lowest + (UINT64_C(1) << 18) + BASE / PAGE % (1u << 18));
	fill(as, BASE, 4, 17);
	expect(as, THERE, 4, 1);
	expect(as, THERE + PAGES(8), 4, 9);
	end(as);
}

/* What is left in place is not locked: its parts and what lies behind them agree now. */
static void source_kept_agrees(void **state)
{
	struct vmem_map to = fixed_at(THERE, 3);
	uint64_t at;
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	OK(vmem_vmar_set_attributes(root, BASE, PAGES(4), VMEM_REGION_LOCKED, 0));
	OK(try_move(BASE + PAGES(2), 3, &to, VMEM_MOVE_KEEP_SOURCE, &at));
	assert_int_equal(region_at(as, BASE).length, PAGES(2));
	assert_int_equal(region_at(as, BASE + PAGES(2)).length, PAGES(6));
	end(as);
}

/* Strips stay behind, and what grows does so over its own: what comes next to it afterwards is free to. */
static void strips(void **state)
{
	struct vmem_map map = {.length = PAGES(4),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_HINT,
	    .address = BASE,
	    .pad_before = 2,
	    .pad_after = 2};
	uint64_t at;
	(void)state;
	begin();
	OK(vmem_vmar_map(root, &map, &at));
	assert_int_equal(at, BASE);
	OK(vmem_vmar_extend(root, BASE + PAGES(4), PAGE));
	map.pad_before = map.pad_after = 0;
	map.length = PAGE;
	map.place = VMEM_PLACE_FIXED;
	map.address = BASE - PAGE;
	REFUSED(VMEM_ERR_EXISTS, vmem_vmar_map(root, &map, &at));
	map.address = BASE + PAGES(5);
	OK(vmem_vmar_map(root, &map, &at));
	move(BASE, 5, THERE, 5);
	map.address = BASE - PAGE;
	OK(vmem_vmar_map(root, &map, &at));
	map.address = THERE - PAGE;
	OK(vmem_vmar_map(root, &map, &at));
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(content_follows),
	    CORE(replaced),
	    CORE(parts),
	    CORE(within),
	    CORE(source_kept),
	    CORE(source_kept_where_keys_are_taken),
	    CORE(objects),
	    CORE(growth),
	    CORE(translations_go_along),
	    CORE(tables_in_the_way),
	    CORE(copies),
	    CORE(large),
	    CORE(refusals),
	    CORE(access_control),
	    CORE(memory_fails),
	    CORE(keys_wrap),
	    CORE(source_kept_agrees),
	    CORE(strips),
	};
	return cmocka_run_group_tests_name("remap", tests, NULL, NULL);
}
