/* SPDX-License-Identifier: MIT */
/*
 * test_attribute.c - attributes over ranges: splits, merges, what is counted, and what sealing forbids.
 */
#include "region_fixture.h"

static uint32_t attributes_at(uint64_t page)
{
	return vmem_region_find(as, BASE + PAGES(page))->attributes;
}

static vmem_status_t set(uint64_t page, uint64_t pages, uint32_t on, uint32_t off)
{
	return vmem_vmar_set_attributes(root, BASE + PAGES(page), PAGES(pages), on, off);
}

static void splits_and_merges(void **state)
{
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	fill(as, BASE, 8, 100);
	OK(set(2, 3, VMEM_REGION_NO_DUMP, 0));
	assert_int_equal(regions(as), 3);
	assert_int_equal(attributes_at(1), 0);
	assert_int_equal(attributes_at(2), VMEM_REGION_NO_DUMP);
	assert_int_equal(attributes_at(4), VMEM_REGION_NO_DUMP);
	assert_int_equal(attributes_at(5), 0);
	OK(set(0, 8, VMEM_REGION_NO_FORK, 0)); /* three regions, none split */
	assert_int_equal(regions(as), 3);
	assert_int_equal(attributes_at(3), VMEM_REGION_NO_FORK | VMEM_REGION_NO_DUMP);
	OK(set(0, 3, VMEM_REGION_NO_DUMP, 0)); /* up to where it is so already */
	assert_int_equal(regions(as), 2);
	OK(set(3, 5, VMEM_REGION_NO_DUMP, VMEM_REGION_RANDOM));
	assert_int_equal(regions(as), 1);
	assert_int_equal(attributes_at(7), VMEM_REGION_NO_FORK | VMEM_REGION_NO_DUMP);
	OK(set(1, 6, 0, VMEM_REGION_NO_FORK | VMEM_REGION_NO_DUMP)); /* both ends split one region */
	assert_int_equal(regions(as), 3);
	OK(set(0, 8, 0, VMEM_REGION_NO_FORK | VMEM_REGION_NO_DUMP));
	assert_int_equal(regions(as), 1);
	OK(set(0, 8, 0, 0));
	expect(as, BASE, 8, 100);
	end(as);
}

static void refusals(void **state)
{
	struct vmem_map child_at = {
	    .length = PAGES(4), .place = VMEM_PLACE_FIXED, .address = BASE + PAGES(12)};
	struct vmem_object *o = anonymous(4, 0);
	struct vmem_vmar *child;
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	map_at(as, BASE + PAGES(5), 3, RW);
	child_at.permission = VMEM_RWX;
	OK(vmem_vmar_allocate(root, &child_at, &child));
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_set_attributes(root, BASE + 1, PAGE, VMEM_REGION_NO_DUMP, 0));
	REFUSED(VMEM_ERR_INVALID, set(0, 0, VMEM_REGION_NO_DUMP, 0));
	REFUSED(VMEM_ERR_INVALID, set(0, 1, 1u << 31, 0));
	REFUSED(VMEM_ERR_INVALID, set(0, 1, 0, 1u << 31));
	REFUSED(VMEM_ERR_INVALID, set(0, 1, VMEM_REGION_GUARDS, 0));
	REFUSED(VMEM_ERR_INVALID, set(0, 1, VMEM_REGION_NO_DUMP, VMEM_REGION_NO_DUMP));
	REFUSED(VMEM_ERR_RANGE, vmem_vmar_set_attributes(root, UINT64_MAX - PAGE + 1, PAGE, 0, 0));
	REFUSED(VMEM_ERR_NOT_FOUND, set(3, 3, VMEM_REGION_NO_DUMP, 0));
	REFUSED(VMEM_ERR_NOT_FOUND, set(4, 1, VMEM_REGION_NO_DUMP, 0));
	REFUSED(VMEM_ERR_NOT_FOUND, set(6, 3, VMEM_REGION_NO_DUMP, 0));
	REFUSED(VMEM_ERR_INVALID, set(12, 1, VMEM_REGION_NO_DUMP, 0));
	uint64_t at = map_object(as, o, 0, 4, RW, 0);
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_vmar_set_attributes(root, at, PAGE, VMEM_REGION_WIPE_ON_FORK, 0));
	SWEEP(0, set(1, 2, VMEM_REGION_LOCKED, 0));
	assert_int_equal(attributes_at(1), VMEM_REGION_LOCKED);
	release(o);
	end(as);
}

static void limit(void **state)
{
	const struct vmem_aspace_config config = {.max_regions = 2};
	(void)state;
	begin_with(&config);
	map_at(as, BASE, 4, RW);
	REFUSED(VMEM_ERR_LIMIT, set(1, 2, VMEM_REGION_NO_DUMP, 0)); /* three regions */
	OK(set(1, 3, VMEM_REGION_NO_DUMP, 0));
	end(as);
}

static void locked_is_counted(void **state)
{
	struct vmem_map map = {.length = PAGES(2),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE + PAGES(8),
	    .attributes = VMEM_REGION_LOCKED};
	uint64_t start;
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	OK(set(1, 4, VMEM_REGION_LOCKED, 0));
	assert_int_equal(stats_of(as).locked, PAGES(4));
	OK(set(2, 4, VMEM_REGION_LOCKED | VMEM_REGION_LOCK_ON_FAULT, 0));
	assert_int_equal(stats_of(as).locked, PAGES(5));
	OK(set(0, 4, 0, VMEM_REGION_LOCKED | VMEM_REGION_LOCK_ON_FAULT));
	assert_int_equal(stats_of(as).locked, PAGES(2));
	OK(vmem_vmar_map(root, &map, &start)); /* a region of its own */
	assert_int_equal(stats_of(as).locked, PAGES(4));
	map.address = BASE + PAGES(10);
	OK(vmem_vmar_map(root, &map, &start)); /* grows it */
	assert_int_equal(stats_of(as).locked, PAGES(6));
	unmap(as, BASE + PAGES(9), 1);
	assert_int_equal(stats_of(as).locked, PAGES(5));
	map.place = VMEM_PLACE_REPLACE;
	map.address = BASE + PAGES(4);
	map.attributes = 0;
	OK(vmem_vmar_map(root, &map, &start));
	assert_int_equal(stats_of(as).locked, PAGES(3));
	OK(set(5, 1, VMEM_REGION_LOCKED, 0)); /* moves and grows with its region */
	assert_int_equal(stats_of(as).locked, PAGES(4));
	struct vmem_map to = {.length = PAGES(3), .place = VMEM_PLACE_FIXED, .address = BASE + PAGES(30)};
	OK(vmem_vmar_move(root, BASE + PAGES(5), PAGE, &to, 0, &start));
	assert_int_equal(stats_of(as).locked, PAGES(6));
	OK(vmem_vmar_extend(root, BASE + PAGES(33), PAGE));
	assert_int_equal(stats_of(as).locked, PAGES(7));
	to.length = PAGES(4);
	to.address = BASE + PAGES(40);
	OK(vmem_vmar_move(root, BASE + PAGES(30), PAGES(4), &to, VMEM_MOVE_KEEP_SOURCE, &start));
	assert_int_equal(stats_of(as).locked, PAGES(7)); /* what stays is not locked */
	unmap(as, BASE, 64);
	assert_int_equal(stats_of(as).locked, 0);
	end(as);
}

static void sealing(void **state)
{
	struct vmem_map over = {.length = PAGES(2),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_REPLACE,
	    .address = BASE + PAGES(3)};
	struct vmem_object *o = anonymous(4, 0);
	uint64_t start;
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	fill(as, BASE, 8, 50);
	OK(set(2, 2, VMEM_REGION_SEALED, 0));
	OK(set(2, 2, VMEM_REGION_SEALED, 0));
	REFUSED(VMEM_ERR_INVALID, set(2, 2, 0, VMEM_REGION_SEALED));
	REFUSED(VMEM_ERR_SEALED, vmem_vmar_unmap(root, BASE, PAGES(8)));
	REFUSED(VMEM_ERR_SEALED, vmem_vmar_unmap(root, BASE + PAGES(3), PAGES(1)));
	REFUSED(VMEM_ERR_SEALED, vmem_vmar_protect(root, BASE, PAGES(8), VMEM_READ));
	REFUSED(VMEM_ERR_SEALED, vmem_vmar_protect(root, BASE + PAGES(2), PAGE, RW)); /* even the same */
	REFUSED(VMEM_ERR_SEALED, vmem_vmar_map(root, &over, &start));
	struct vmem_map to = {.length = PAGES(2), .place = VMEM_PLACE_FIXED, .address = BASE + PAGES(20)};
	REFUSED(VMEM_ERR_SEALED, vmem_vmar_move(root, BASE + PAGES(1), PAGES(2), &to, 0, &start));
	REFUSED(VMEM_ERR_SEALED, vmem_vmar_extend(root, BASE + PAGES(4), PAGE));
	to.place = VMEM_PLACE_REPLACE;
	to.address = BASE + PAGES(2);
	REFUSED(VMEM_ERR_SEALED, vmem_vmar_move(root, BASE + PAGES(5), PAGES(2), &to, 0, &start));
	OK(set(2, 2, VMEM_REGION_LOCKED, 0));
	OK(vmem_vmar_decommit(root, BASE + PAGES(2), PAGES(2))); /* it may write there */
	assert_int_equal(get(as, 0, BASE + PAGES(2)), 0);
	expect(as, BASE + PAGES(4), 4, 54);
	protect(as, BASE + PAGES(6), 1, VMEM_READ);
	OK(set(6, 1, VMEM_REGION_SEALED, 0));
	REFUSED(VMEM_ERR_SEALED, vmem_vmar_decommit(root, BASE + PAGES(5), PAGES(2)));
	uint64_t at = map_object(as, o, 0, 4, VMEM_READ, 0);
	OK(vmem_vmar_set_attributes(root, at, PAGES(4), VMEM_REGION_SEALED, 0));
	OK(vmem_vmar_decommit(root, at, PAGES(4)));
	unmap(as, BASE, 2);
	expect(as, BASE + PAGES(4), 4, 54);
	release(o);
	end(as); /* a seal lasts as long as the space */
}

/* Whether pages have frames, page by page. */
static void residence(void **state)
{
	struct vmem_object *o = anonymous(4, 0);
	uint8_t out[12];
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	poke(o, 1, 7);
	struct vmem_map map = {.length = PAGES(6),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE + PAGES(4),
	    .object = o};
	uint64_t start;
	OK(vmem_vmar_map(root, &map, &start));
	put(as, 0, BASE + PAGE, 5);
	assert_int_equal(get(as, 0, BASE + PAGES(2)), 0); /* the zero page */
	put(as, 0, BASE + PAGES(6), 6);			  /* a copy of nothing */
	OK(vmem_vmar_resident(root, BASE, PAGES(10), out));
	static const uint8_t expected[10] = {0, 1, 1, 0, 0, 1, 1, 0, 0, 0};
	assert_memory_equal(out, expected, 10);
	protect(as, BASE, 4, 0);
	OK(vmem_vmar_resident(root, BASE + PAGE, PAGE, out));
	assert_int_equal(out[0], 1);
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_resident(root, BASE, PAGES(11), out));
	struct vmem_object *fixed;
	OK(vmem_object_create_contiguous(PAGE, PAGE, UINT64_MAX, VMEM_WRITE_BACK, &fixed));
	start = map_object(as, fixed, 0, 1, RW, VMEM_MAP_SHARED);
	out[0] = 0;
	OK(vmem_vmar_resident(root, start, PAGE, out));
	assert_int_equal(out[0], 1);
	release(fixed);
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_resident(root, BASE + 1, PAGE, out));
	REFUSED(VMEM_ERR_RANGE, vmem_vmar_resident(root, 0, PAGE, out));
	release(o);
	end(as);
}

/* The kernel's own space has no private store: nothing there can be guarded, and all is in memory. */
static void of_the_kernel(void **state)
{
	struct vmem_vmar *kernel = vmem_aspace_root(vmem_kernel_aspace());
	uint8_t out[2] = {0, 0};
	void *at;
	(void)state;
	OK(vmem_kernel_alloc(PAGES(2), &at));
	uint64_t va = (uint64_t)(uintptr_t)at;
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_vmar_guard(kernel, va, PAGE));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_vmar_unguard(kernel, va, PAGE));
	OK(vmem_vmar_resident(kernel, va, PAGES(2), out));
	assert_true(out[0] == 1 && out[1] == 1);
	vmem_kernel_free(at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(splits_and_merges),
	    CORE(refusals),
	    CORE(limit),
	    CORE(locked_is_counted),
	    CORE(sealing),
	    CORE(residence),
	    CORE(of_the_kernel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
