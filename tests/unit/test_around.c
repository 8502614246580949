/* SPDX-License-Identifier: MIT */
/*
 * test_around.c - reads of objects enter the pages around them (fault_around.c): which, with what, and where
 * that ends.
 */
#include "core_fixture.h"

#include "region.h"

#define BASE UINT64_C(0x40000000)

static struct vmem_aspace *as;
static struct vmem_vmar *root;
static struct vmem_object *object;

static void begin(uint64_t pages)
{
	as = space();
	root = vmem_aspace_root(as);
	run(0, as);
	object = anonymous(pages, 0);
	for (unsigned i = 0; i < pages; i++) {
		poke(object, i, 500 + i);
	}
}

static void finish(void)
{
	release(object);
	end(as);
}

static void show(uint64_t page, uint64_t first, uint64_t pages, unsigned permission, unsigned flags)
{
	const struct vmem_map map = {.length = PAGES(pages),
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .flags = flags,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE + PAGES(page),
	    .object = object,
	    .offset = PAGES(first)};
	uint64_t start;
	OK(vmem_vmar_map(root, &map, &start));
}

/* Exactly pages [first, end) have entries among `pages`. */
static void entered(uint64_t first, uint64_t end, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		struct vmem_translation t;
		bool is = vmem_aspace_translate(as, BASE + PAGES(i), &t);
		if (is != (i >= first && i < end)) {
			fail_msg("page %u", (unsigned)i);
		}
	}
}

static void window(void **state)
{
	(void)state;
	begin(64);
	show(0, 0, 64, VMEM_READ, VMEM_MAP_SHARED);
	assert_int_equal(get(as, 0, BASE + PAGES(21)), 521);
	entered(16, 32, 64);
	assert_int_equal(stats_of(as).around, 15);
	assert_int_equal(stats_of(as).faults, 1);
	expect(as, BASE + PAGES(16), 16, 516);
	assert_int_equal(stats_of(as).faults, 1);
	for (unsigned i = 0; i < 64; i++) {
		expect(as, BASE + PAGES(i), 1, 500 + i);
	}
	assert_int_equal(stats_of(as).faults, 4);
	finish();
}

/* The ends of the region, of the object and of the leaf table. */
static void ends(void **state)
{
	(void)state;
	begin(40);
	show(5, 0, 6, VMEM_READ, VMEM_MAP_SHARED);
	(void)get(as, 0, BASE + PAGES(7));
	entered(5, 11, 64);
	unmap(as, BASE, 64);
	show(0, 30, 64, VMEM_READ, VMEM_MAP_SHARED); /* ten pages are left */
	(void)get(as, 0, BASE + PAGES(3));
	entered(0, 10, 64);
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, BASE + PAGES(10), MACHINE_READ);
	unmap(as, BASE, 64);
	show(500, 0, 40, VMEM_READ, VMEM_MAP_SHARED);
	OK(vmem_vmar_set_attributes(root, BASE + PAGES(500), PAGES(40), VMEM_REGION_SEQUENTIAL, 0));
	(void)get(as, 0, BASE + PAGES(505));
	entered(505, 512, 600); /* up to the end of the table, not into the next */
	(void)get(as, 0, BASE + PAGES(512));
	entered(505, 528, 600);
	finish();
}

static void advice(void **state)
{
	(void)state;
	begin(64);
	show(0, 0, 64, VMEM_READ, VMEM_MAP_SHARED);
	OK(vmem_vmar_set_attributes(root, BASE, PAGES(64), VMEM_REGION_RANDOM, 0));
	(void)get(as, 0, BASE + PAGES(20));
	entered(20, 21, 64);
	OK(vmem_vmar_decommit(root, BASE, PAGES(64)));
	OK(vmem_vmar_set_attributes(root, BASE, PAGES(64), VMEM_REGION_SEQUENTIAL, VMEM_REGION_RANDOM));
	(void)get(as, 0, BASE + PAGES(20));
	entered(20, 36, 64);
	OK(vmem_vmar_decommit(root, BASE, PAGES(64)));
	OK(vmem_vmar_set_attributes(root, BASE, PAGES(64), 0, VMEM_REGION_SEQUENTIAL));
	(void)get(as, 0, BASE + PAGES(20));
	entered(16, 32, 64);
	finish();
}

/* What is not in memory is not brought in; what is the object's alone may be written at once. */
static void rights(void **state)
{
	(void)state;
	begin(16);
	OK(vmem_object_decommit(object, PAGES(4), PAGES(2)));
	struct vmem_object *relative = snapshot(object, 0, 16);
	poke(object, 8, 77); /* of all pages this one is the object's own */
	show(0, 0, 16, RW, VMEM_MAP_SHARED);
	(void)get(as, 0, BASE);
	assert_int_equal(info_of(object).resident, 14);
	struct vmem_translation t;
	assert_false(vmem_aspace_translate(as, BASE + PAGES(4), &t));
	assert_true(vmem_aspace_translate(as, BASE + PAGES(1), &t));
	assert_false(t.permission & VMEM_WRITE);
	assert_true(vmem_aspace_translate(as, BASE + PAGES(8), &t));
	assert_int_equal(t.physical & VMEM_PAGE_MASK, 0);
	for (unsigned i = 0; i < 16; i++) {
		put(as, 0, BASE + PAGES(i), 900 + i);
	}
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(peek(object, i), 900 + i);
		assert_int_equal(peek(relative, i), i == 4 || i == 5 ? 0 : 500 + i);
	}
	release(relative);
	finish();
}

/* A private view shows the object's pages but where it has its own, and writes to none. */
static void private_view(void **state)
{
	(void)state;
	begin(80);
	show(0, 50, 30, RW, 0); /* the object's keys lie in two leaves of the index */
	put(as, 0, BASE + PAGES(13), 1);
	put(as, 0, BASE + PAGES(3), 2);
	unmap(as, BASE + PAGES(9), 1);
	(void)get(as, 0, BASE);
	entered(0, 9, 9);
	struct vmem_translation t;
	assert_false(vmem_aspace_translate(as, BASE + PAGES(10), &t)); /* another region by now */
	(void)get(as, 0, BASE + PAGES(14));
	for (unsigned i = 10; i < 16; i++) {
		assert_true(vmem_aspace_translate(as, BASE + PAGES(i), &t));
		assert_int_equal(t.permission & VMEM_WRITE, i == 13 ? VMEM_WRITE : 0);
		assert_int_equal(get(as, 0, BASE + PAGES(i)), i == 13 ? 1 : 550 + i);
	}
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(get(as, 0, BASE + PAGES(i)), i == 3 ? 2 : 550 + i);
		put(as, 0, BASE + PAGES(i), 5);
		assert_int_equal(peek(object, 50 + i), 550 + i);
	}
	finish();
}

/* Guards: a private view skips them, a shared one enters page by page. */
static void guards(void **state)
{
	(void)state;
	begin(16);
	show(0, 0, 16, VMEM_READ, 0);
	OK(vmem_vmar_guard(root, BASE + PAGES(4), PAGES(12)));
	(void)get(as, 0, BASE);
	entered(0, 4, 16);
	unmap(as, BASE, 16);
	show(0, 0, 16, VMEM_READ, VMEM_MAP_SHARED);
	OK(vmem_vmar_guard(root, BASE + PAGES(1), PAGES(1)));
	(void)get(as, 0, BASE + PAGES(2));
	entered(2, 3, 16);
	finish();
}

/* Programs in an object: each page is in step with instruction fetch before it is entered. */
static void executable(void **state)
{
	(void)state;
	begin(16);
	show(0, 0, 16, RX, VMEM_MAP_SHARED);
	fetch(as, 0, BASE + PAGES(2));
	fetch(as, 0, BASE + PAGES(3));
	OK(vmem_vmar_decommit(root, BASE, PAGES(16)));
	fetch(as, 0, BASE + PAGES(3)); /* both are in step by now */
	entered(2, 4, 16);
	finish();
}

/* What instruction fetch has seen is entered as writable by a fault of its own, which notes that it may
 * change. */
static void once_executed(void **state)
{
	(void)state;
	begin(16);
	show(0, 0, 16, RX, VMEM_MAP_SHARED);
	fetch(as, 0, BASE + PAGES(2));
	show(100, 0, 16, RW, VMEM_MAP_SHARED);
	(void)get(as, 0, BASE + PAGES(100));
	struct vmem_translation t;
	assert_true(vmem_aspace_translate(as, BASE + PAGES(101), &t));
	assert_false(vmem_aspace_translate(as, BASE + PAGES(102), &t));
	put(as, 0, BASE + PAGES(102), 5);
	assert_int_equal(peek(object, 2), 5);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(window),
	    CORE(ends),
	    CORE(advice),
	    CORE(rights),
	    CORE(private_view),
	    CORE(guards),
	    CORE(executable),
	    CORE(once_executed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
