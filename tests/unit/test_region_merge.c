/* SPDX-License-Identifier: MIT */
/*
 * test_region_merge.c - which neighbours become one region (region.h): those that agree in everything, made
 * in any order; and every single reason not to.
 */
#include "region_fixture.h"

#include "slab.h"

/* One property of the upper of two neighbours (pages 0 to 3 and 4 to 7) that is not the lower's. */
struct difference {
	const char *what;
	void (*change)(struct vmem_map *lower, struct vmem_map *upper);
};

static struct vmem_object *one, *two;

static void nothing(struct vmem_map *lower, struct vmem_map *upper)
{
	(void)lower;
	(void)upper;
}

static void permission(struct vmem_map *lower, struct vmem_map *upper)
{
	(void)lower;
	upper->permission = VMEM_READ;
}

static void maximum(struct vmem_map *lower, struct vmem_map *upper)
{
	(void)upper;
	lower->maximum = RW;
}

static void cookie(struct vmem_map *lower, struct vmem_map *upper)
{
	(void)lower;
	upper->cookie = 1;
}

static void attributes(struct vmem_map *lower, struct vmem_map *upper)
{
	(void)lower;
	upper->attributes = VMEM_REGION_NO_DUMP;
}

static void large(struct vmem_map *lower, struct vmem_map *upper)
{
	(void)lower;
	upper->flags = VMEM_MAP_LARGE;
}

static void apart(struct vmem_map *lower, struct vmem_map *upper)
{
	(void)lower;
	upper->flags = VMEM_MAP_NO_MERGE;
}

static void both_apart(struct vmem_map *lower, struct vmem_map *upper)
{
	lower->flags = upper->flags = VMEM_MAP_NO_MERGE;
}

static void guard(struct vmem_map *lower, struct vmem_map *upper)
{
	lower->permission = lower->maximum = upper->permission = upper->maximum = 0;
	upper->flags = VMEM_MAP_GUARD;
}

static void both_guards(struct vmem_map *lower, struct vmem_map *upper)
{
	guard(lower, upper);
	lower->flags = VMEM_MAP_GUARD;
}

static void same_object(struct vmem_map *lower, struct vmem_map *upper)
{
	lower->object = upper->object = one;
	upper->offset = lower->offset + PAGES(4);
}

static void shared(struct vmem_map *lower, struct vmem_map *upper)
{
	same_object(lower, upper);
	lower->flags = upper->flags = VMEM_MAP_SHARED;
}

static void one_shared(struct vmem_map *lower, struct vmem_map *upper)
{
	same_object(lower, upper);
	lower->flags = VMEM_MAP_SHARED;
}

static void one_object(struct vmem_map *lower, struct vmem_map *upper)
{
	(void)lower;
	upper->object = one;
}

static void other_object(struct vmem_map *lower, struct vmem_map *upper)
{
	same_object(lower, upper);
	upper->object = two;
}

static void offset(struct vmem_map *lower, struct vmem_map *upper)
{
	same_object(lower, upper);
	upper->offset += PAGE;
}

static void hole(struct vmem_map *lower, struct vmem_map *upper)
{
	lower->length -= PAGE;
	(void)upper;
}

/* Made in either order, or by filling the hole between two: one region if nothing differs, else as many as
 * were made. */
static void judge(const struct difference *difference, bool joins)
{
	for (unsigned order = 0; order < 2; order++) {
		struct vmem_map lower = fixed(0, 4), upper = fixed(4, 4);
		difference->change(&lower, &upper);
		must(order == 0 ? lower : upper);
		must(order == 0 ? upper : lower);
		if (regions(as) != (joins ? 1 : 2)) {
			fail_msg("%s, order %u: %llu regions", difference->what, order,
			    (unsigned long long)regions(as));
		}
		assert_int_equal(stats_of(as).mapped, lower.length + upper.length);
		assert_int_equal(info(0).length, joins ? PAGES(8) : lower.length);
		assert_int_equal(info(0).offset, lower.offset);
		assert_int_equal(
		    info_of(one).references, 1 + (lower.object == one && !joins) + (upper.object == one));
		unmap(as, BASE, 8);
		assert_int_equal(info_of(one).references, 1);
	}
}

static void merging(void **state)
{
	static const struct difference joining[] = {
	    {"nothing", nothing}, {"guards", both_guards}, {"one object", same_object}, {"shared", shared}};
	static const struct difference parting[] = {{"permission", permission}, {"maximum", maximum},
	    {"cookie", cookie}, {"attributes", attributes}, {"large", large}, {"apart", apart},
	    {"both apart", both_apart}, {"guard", guard}, {"one shared", one_shared},
	    {"one with an object", one_object}, {"other object", other_object}, {"offset", offset},
	    {"hole", hole}};
	(void)state;
	begin();
	one = anonymous(16, 0);
	two = anonymous(16, 0);
	for (unsigned i = 0; i < sizeof(joining) / sizeof(joining[0]); i++) {
		judge(&joining[i], true);
	}
	for (unsigned i = 0; i < sizeof(parting) / sizeof(parting[0]); i++) {
		judge(&parting[i], false);
	}
	release(one);
	release(two);
	end(as);
}

/* Reasons that only a history can give: foreign keys, attributes, another VMAR, a strip. */
static void merging_not(void **state)
{
	struct vmem_map map = fixed(4, 4);
	struct vmem_vmar *child;
	vmem_vaddr_t start;
	(void)state;
	begin();
	must(fixed(0, 4));
	vmem_region_set_key(vmem_region_find(as, BASE), UINT64_C(1) << 52);
	must(fixed(4, 4));
	assert_int_equal(regions(as), 2);
	vmem_region_set_key(vmem_region_find(as, BASE), BASE / PAGE);
	protect(as, BASE, 8, VMEM_READ); /* a merge is looked for where something changes */
	assert_int_equal(regions(as), 1);
	unmap(as, BASE + PAGES(4), 4);
	protect(as, BASE, 4, RW);
	vmem_region_find(as, BASE)->attributes = 1;
	must(fixed(4, 4));
	assert_int_equal(regions(as), 2);
	vmem_region_find(as, BASE)->attributes = 0;
	unmap(as, BASE + PAGES(4), 4);
	map.permission = VMEM_RWX;
	OK(vmem_vmar_allocate(root, &map, &child));
	map.permission = RW;
	OK(vmem_vmar_map(child, &map, &start));
	must(fixed(8, 1));
	assert_int_equal(regions(as), 3);
	OK(vmem_vmar_destroy(child));
	map = fixed(0, 2);
	map.place = VMEM_PLACE_ANY;
	map.minimum = BASE + PAGES(4);
	map.pad_before = 1; /* a region with strips of its own is made apart */
	OK(vmem_vmar_map(root, &map, &start));
	assert_int_equal(start, BASE + PAGES(5));
	assert_int_equal(regions(as), 3);
	end(as);
}

/* Three become one; the content of all is where it was, and the one record answers for all of it. */
static void three_in_one(void **state)
{
	(void)state;
	begin();
	must(fixed(0, 4));
	must(fixed(8, 4));
	fill(as, BASE, 4, 10);
	fill(as, BASE + PAGES(8), 4, 30);
	must(fixed(4, 4));
	assert_int_equal(regions(as), 1);
	assert_int_equal(vmem_slab_in_use(SLAB_REGION), 1);
	fill(as, BASE + PAGES(4), 4, 20);
	expect(as, BASE, 4, 10);
	expect(as, BASE + PAGES(8), 4, 30);
	struct vmem_map over = fixed(2, 8); /* REPLACE by the same merges as well, and is empty */
	over.place = VMEM_PLACE_REPLACE;
	must(over);
	assert_int_equal(regions(as), 1);
	expect(as, BASE, 2, 10);
	assert_int_equal(get(as, 0, BASE + PAGES(2)), 0);
	expect(as, BASE + PAGES(10), 2, 32);
	end(as);
}

/* A shared region has no use for its keys before a page of it is guarded. Where something has moved, keys
 * may be others', so one with guards and one without stay two. */
static void guarded_beside_shared(void **state)
{
	struct vmem_map map = fixed(0, 4), to = fixed(100, 2);
	vmem_vaddr_t at;
	(void)state;
	for (unsigned moved = 0; moved < 2; moved++) {
		begin();
		one = anonymous(8, 0);
		map.object = one;
		map.flags = VMEM_MAP_SHARED;
		map.offset = 0;
		map.address = BASE;
		must(map);
		OK(vmem_vmar_guard(root, BASE + PAGES(1), PAGE));
		if (moved) { /* its keys are those of the pages that come next */
			map_at(as, BASE + PAGES(4), 2, RW);
			fill(as, BASE + PAGES(4), 2, 7);
			to.permission = to.maximum = 0;
			OK(vmem_vmar_move(root, BASE + PAGES(4), PAGES(2), &to, 0, &at));
		}
		map.offset = PAGES(4);
		map.address = BASE + PAGES(4);
		must(map);
		assert_int_equal(regions(as), moved ? 3 : 1);
		OK(vmem_vmar_guard(root, BASE + PAGES(5), PAGE));
		DENIED(VMEM_FAULT_GUARD, as, 0, BASE + PAGES(1), MACHINE_READ);
		DENIED(VMEM_FAULT_GUARD, as, 1, BASE + PAGES(5), MACHINE_READ);
		put(as, 0, BASE + PAGES(4), 3);
		if (moved) {
			expect(as, BASE + PAGES(100), 2, 7);
		}
		end(as);
		release(one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(merging),
	    CORE(merging_not),
	    CORE(three_in_one),
	    CORE(guarded_beside_shared),
	};
	return cmocka_run_group_tests_name("region_merge", tests, NULL, NULL);
}
