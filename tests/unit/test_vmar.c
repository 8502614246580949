/* SPDX-License-Identifier: MIT */
/*
 * test_vmar.c - child VMARs and placement, from include/vmem/aspace.h: where a thing goes, what bounds it,
 * and what goes with it. REFUSED compares regions, VMARs, strips, entries and frames before and after.
 */
#include "core_fixture.h"

#include "region.h"
#include "slab.h"

static struct vmem_aspace *as;
static struct vmem_vmar *root;

static void begin(void)
{
	as = space();
	root = vmem_aspace_root(as);
	run(0, as);
}

static struct vmem_map private_pages(uint64_t pages)
{
	return (struct vmem_map){.length = PAGES(pages), .permission = RW, .maximum = VMEM_RWX};
}

static struct vmem_map at(enum vmem_place place, uint64_t address, uint64_t pages)
{
	struct vmem_map map = private_pages(pages);
	map.place = place;
	map.address = address;
	return map;
}

static uint64_t must(struct vmem_vmar *vmar, struct vmem_map map)
{
	vmem_vaddr_t start = 1;
	OK(vmem_vmar_map(vmar, &map, &start));
	return start;
}

#define REFUSE_MAP(status, vmar, what)                                                                       \
	do {                                                                                                 \
		struct vmem_map what_ = (what);                                                              \
		vmem_vaddr_t out_ = 77;                                                                      \
		REFUSED(status, vmem_vmar_map(vmar, &what_, &out_));                                         \
	} while (0)

static struct vmem_vmar *child(struct vmem_vmar *parent, uint64_t address, uint64_t pages, unsigned rights)
{
	struct vmem_map map = at(VMEM_PLACE_FIXED, address, pages);
	struct vmem_vmar *vmar = NULL;
	map.permission = rights;
	map.maximum = 0;
	OK(vmem_vmar_allocate(parent, &map, &vmar));
	assert_int_equal(vmem_vmar_start(vmar), address);
	assert_int_equal(vmem_vmar_length(vmar), PAGES(pages));
	return vmar;
}

#define REFUSE_CHILD(status, vmar, what)                                                                     \
	do {                                                                                                 \
		struct vmem_map what_ = (what);                                                              \
		struct vmem_vmar *out_ = NULL;                                                               \
		REFUSED(status, vmem_vmar_allocate(vmar, &what_, &out_));                                    \
	} while (0)

#define BASE UINT64_C(0x400000)

/* A child is placed as a region would be: fixed, by hint, lowest, highest, aligned, between bounds. */
static void child_placement(void **state)
{
	struct vmem_vmar *a, *b, *c, *d, *e;
	(void)state;
	begin();
	uint64_t low = vmem_vmar_start(root), end_ = low + vmem_vmar_length(root);
	a = child(root, BASE, 100, VMEM_RWX);
	struct vmem_map map = {.length = PAGES(4), .permission = RW};
	OK(vmem_vmar_allocate(root, &map, &b));
	assert_int_equal(vmem_vmar_start(b), low);
	map.flags = VMEM_MAP_FROM_TOP;
	OK(vmem_vmar_allocate(root, &map, &c));
	assert_int_equal(vmem_vmar_start(c), end_ - PAGES(4));
	map.flags = 0;
	map.place = VMEM_PLACE_HINT;
	map.address = BASE + PAGES(50); /* taken by a: the lowest instead */
	OK(vmem_vmar_allocate(root, &map, &d));
	assert_int_equal(vmem_vmar_start(d), low + PAGES(4));
	map.address = BASE + PAGES(100); /* free */
	OK(vmem_vmar_allocate(root, &map, &e));
	assert_int_equal(vmem_vmar_start(e), BASE + PAGES(100));
	OK(vmem_vmar_destroy(e));
	map = (struct vmem_map){.length = PAGES(4), .align = LARGE, .minimum = BASE + PAGE, .pad_after = 2};
	OK(vmem_vmar_allocate(root, &map, &e)); /* nothing may ever be accessible in it */
	assert_int_equal(vmem_vmar_start(e), BASE + LARGE);
	uint64_t beside = must(root, (struct vmem_map){.length = PAGE, .minimum = BASE + LARGE});
	assert_int_equal(beside, BASE + LARGE + PAGES(6)); /* not in its strip */
	assert_int_equal(must(a, private_pages(1)), BASE); /* ANY in a child: the child's lowest */
	map = private_pages(2);
	map.flags = VMEM_MAP_FROM_TOP;
	assert_int_equal(must(a, map), BASE + PAGES(98));
	REFUSE_MAP(VMEM_ERR_NO_SPACE, a, private_pages(98));
	assert_int_equal(must(a, private_pages(97)), BASE + PAGE);
	assert_int_equal(regions(as), 4 - 2 /* the three in a are one */);
	end(as);
}

/* What is in nobody's interest: every way to ask for a child wrongly. */
static void child_refusals(void **state)
{
	(void)state;
	begin();
	struct vmem_vmar *a = child(root, BASE, 100, RW);
	struct vmem_map good = {
	    .length = PAGE, .permission = VMEM_READ, .place = VMEM_PLACE_FIXED, .address = BASE};
	struct vmem_map bad = good;
	bad.length = 0;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad.length = PAGE + 1;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad = good;
	bad.address++;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad = good;
	bad.place = VMEM_PLACE_REPLACE;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad.place = (enum vmem_place)4;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad = good;
	bad.permission = 8;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad = good;
	bad.align = 3 * PAGE;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad = good;
	bad.flags = VMEM_MAP_GUARD;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad.flags = 1u << 7;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad = good;
	bad.pad_before = 1;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	bad = good;
	bad.permission = VMEM_EXEC;
	REFUSE_CHILD(VMEM_ERR_DENIED, a, bad); /* more than its parent has */
	bad = good;
	bad.address = BASE - PAGE;
	REFUSE_CHILD(VMEM_ERR_RANGE, a, bad);
	bad = good;
	bad.length = PAGES(101);
	REFUSE_CHILD(VMEM_ERR_RANGE, a, bad);
	bad.length = ~VMEM_PAGE_MASK; /* wraps */
	REFUSE_CHILD(VMEM_ERR_RANGE, a, bad);
	bad.place = VMEM_PLACE_ANY;
	REFUSE_CHILD(VMEM_ERR_NO_SPACE, a, bad);
	struct vmem_object *o = anonymous(1, 0);
	bad = good;
	bad.object = o;
	REFUSE_CHILD(VMEM_ERR_INVALID, a, bad);
	release(o);
	struct vmem_map region = at(VMEM_PLACE_FIXED, BASE, 2);
	region.maximum = RW;
	(void)must(a, region);
	REFUSE_CHILD(VMEM_ERR_EXISTS, a, good);
	REFUSE_CHILD(VMEM_ERR_EXISTS, root, good);
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_vmar_destroy(root));
	end(as);
}

/* Neither side enters the other: the parent's calls stop at the child, the child's at its own ends. */
static void walls(void **state)
{
	(void)state;
	begin();
	(void)must(root, at(VMEM_PLACE_FIXED, BASE, 100));
	unmap(as, BASE + PAGES(40), 20);
	struct vmem_vmar *a = child(root, BASE + PAGES(40), 20, VMEM_RWX);
	(void)must(a, at(VMEM_PLACE_FIXED, BASE + PAGES(40), 20));
	assert_int_equal(regions(as), 3); /* nothing merges through the wall */
	fill(as, BASE, 100, 1000);
	const uint64_t inside = BASE + PAGES(50);
	for (unsigned i = 0; i < 3; i++) { /* all inside, reaching in, around it */
		uint64_t start = i == 0 ? inside : BASE, pages = i == 0 ? 1 : i == 1 ? 41 : 100;
		REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, start, pages));
		REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_REPLACE, start, pages));
		REFUSED(VMEM_ERR_INVALID, vmem_vmar_unmap(root, start, PAGES(pages)));
		REFUSED(VMEM_ERR_INVALID, vmem_vmar_protect(root, start, PAGES(pages), VMEM_READ));
		REFUSED(VMEM_ERR_INVALID, vmem_vmar_decommit(root, start, PAGES(pages)));
	}
	for (unsigned i = 0; i < 3; i++) { /* below, above, far away */
		uint64_t start = BASE + PAGES(i == 0 ? 39 : i == 1 ? 59 : 4000);
		REFUSE_MAP(VMEM_ERR_RANGE, a, at(VMEM_PLACE_FIXED, start, 2));
		REFUSE_MAP(VMEM_ERR_RANGE, a, at(VMEM_PLACE_REPLACE, start, 2));
		REFUSED(VMEM_ERR_RANGE, vmem_vmar_unmap(a, start, PAGES(2)));
		REFUSED(VMEM_ERR_RANGE, vmem_vmar_protect(a, start, PAGES(2), VMEM_READ));
		REFUSED(VMEM_ERR_RANGE, vmem_vmar_decommit(a, start, PAGES(2)));
	}
	expect(as, BASE, 100, 1000);
	OK(vmem_vmar_decommit(a, inside, PAGES(2))); /* each in its own range */
	OK(vmem_vmar_protect(a, inside, PAGE, VMEM_READ));
	OK(vmem_vmar_unmap(root, BASE + PAGES(60), PAGES(40)));
	OK(vmem_vmar_unmap(a, BASE + PAGES(40), PAGES(20)));
	expect(as, BASE, 40, 1000);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, inside, MACHINE_READ);
	end(as);
}

/* The rights of a VMAR bound every permission below it, now and ever. */
static void rights(void **state)
{
	(void)state;
	begin();
	struct vmem_vmar *a = child(root, BASE, 64, RW);
	struct vmem_vmar *b = child(a, BASE + PAGES(8), 8, VMEM_READ);
	struct vmem_vmar *c = child(b, BASE + PAGES(10), 2, 0);
	struct vmem_map map = at(VMEM_PLACE_FIXED, BASE, 1);
	REFUSE_MAP(VMEM_ERR_DENIED, a, map); /* its maximum has execute */
	map.maximum = RW;
	assert_int_equal(must(a, map), BASE);
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_protect(a, BASE, PAGE, VMEM_RWX));
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_protect(a, BASE, PAGE, VMEM_EXEC));
	map.address = BASE + PAGES(8);
	REFUSE_MAP(VMEM_ERR_DENIED, b, map);
	map.permission = VMEM_READ;
	REFUSE_MAP(VMEM_ERR_DENIED, b, map);
	map.maximum = VMEM_READ;
	assert_int_equal(must(b, map), BASE + PAGES(8));
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_protect(b, BASE + PAGES(8), PAGE, RW));
	assert_int_equal(get(as, 0, BASE + PAGES(8)), 0);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, BASE + PAGES(8), MACHINE_WRITE);
	map.address = BASE + PAGES(10);
	REFUSE_MAP(VMEM_ERR_DENIED, c, map);
	map.permission = map.maximum = 0;
	(void)must(c, map);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, BASE + PAGES(10), MACHINE_READ);
	map.address += PAGE;
	map.flags = VMEM_MAP_GUARD;
	(void)must(c, map);
	DENIED(VMEM_FAULT_GUARD, as, 0, BASE + PAGES(11), MACHINE_READ);
	end(as);
}

/* Three levels with private pages, objects, strips and a second CPU: all of it goes, nothing is left. */
static void destroy_takes_all(void **state)
{
	(void)state;
	begin();
	struct vmem_frame_stats frames;
	struct vmem_object *o = anonymous(8, 0);
	fill(as, map_at(as, BASE - PAGES(2), 1, RW), 1, 5); /* the leaf table stays */
	poke(o, 3, 33);
	frames = frames_now();
	struct vmem_vmar *a = child(root, BASE, 512, VMEM_RWX);
	struct vmem_vmar *b = child(a, BASE + PAGES(100), 100, VMEM_RWX);
	struct vmem_vmar *c = child(b, BASE + PAGES(150), 20, RW);
	struct vmem_vmar *d = child(a, BASE + PAGES(300), 20, RW);
	struct vmem_map map = at(VMEM_PLACE_FIXED, BASE + PAGES(150), 8);
	map.maximum = RW;
	map.object = o;
	map.flags = VMEM_MAP_SHARED;
	(void)must(c, map);
	map.address = BASE + PAGES(310);
	map.flags = 0;
	(void)must(d, map);
	(void)must(a, at(VMEM_PLACE_FIXED, BASE, 64));
	(void)must(b, at(VMEM_PLACE_FIXED, BASE + PAGES(100), 10));
	assert_int_equal(info_of(o).references, 3);
	run(1, as);
	machine_cpu_set(0);
	fill(as, BASE, 64, 1);
	fill(as, BASE + PAGES(100), 10, 100);
	fill(as, BASE + PAGES(310), 8, 200);
	assert_int_equal(get(as, 1, BASE + PAGES(153)), 33);
	warm();
	OK(vmem_vmar_destroy(b)); /* c with it; a, d and what is directly in a stay */
	assert_int_equal(regions(as), 3);
	assert_int_equal(vmem_slab_in_use(SLAB_VMAR), 2);
	assert_int_equal(info_of(o).references, 2);
	expect(as, BASE, 64, 1);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		assert_false(hardware(cpu, BASE + PAGES(100), MACHINE_READ, MACHINE_USER));
		assert_false(hardware(cpu, BASE + PAGES(153), MACHINE_READ, MACHINE_USER));
	}
	warm();
	OK(vmem_vmar_destroy(a));
	assert_int_equal(regions(as), 1);
	assert_int_equal(vmem_slab_in_use(SLAB_VMAR), 0);
	assert_int_equal(info_of(o).references, 1);
	assert_int_equal(frames_now().data, frames.data);
	assert_false(hardware(1, BASE, MACHINE_READ, MACHINE_USER));
	(void)must(root, at(VMEM_PLACE_FIXED, BASE, 512)); /* the range is the parent's again, and empty */
	for (unsigned i = 0; i < 512; i += 50) {
		assert_int_equal(get(as, 1, BASE + PAGES(i)), 0);
	}
	assert_int_equal(peek(o, 3), 33);
	release(o);
	end(as);
}

/* A VMAR ends with its space too; an end that meets many of them, deep and wide, needs no stack. */
static void space_takes_children(void **state)
{
	(void)state;
	begin();
	struct vmem_vmar *deep = root;
	for (unsigned i = 0; i < 40; i++) {
		deep = child(deep, BASE + PAGES(i), 100 - 2 * i, VMEM_RWX);
		if (i % 3 == 0) {
			(void)must(
			    deep, at(VMEM_PLACE_FIXED, BASE + PAGES(i) + PAGES(100 - 2 * i) - PAGE, 1));
		}
	}
	for (unsigned i = 0; i < 40; i++) {
		(void)child(root, BASE + LARGE + PAGES(2 * i), 1, 0);
	}
	assert_int_equal(regions(as), 14);
	put(as, 0, BASE + PAGES(99), 1);
	end(as);
	assert_int_equal(vmem_slab_in_use(SLAB_VMAR), 0);
	assert_int_equal(vmem_slab_in_use(SLAB_REGION), 0);
}

/* ANY and HINT in the root. */
static void placement(void **state)
{
	(void)state;
	begin();
	const uint64_t low = vmem_vmar_start(root), length = vmem_vmar_length(root);
	assert_int_equal(must(root, private_pages(2)), low);
	struct vmem_map map = private_pages(2);
	map.flags = VMEM_MAP_FROM_TOP;
	assert_int_equal(must(root, map), low + length - PAGES(2));
	map.limit = BASE; /* the highest below a limit */
	assert_int_equal(must(root, map), BASE - PAGES(2));
	map.limit = UINT64_MAX & ~VMEM_PAGE_MASK; /* beyond the VMAR: the VMAR's */
	assert_int_equal(must(root, map), low + length - PAGES(4));
	map = private_pages(1);
	map.minimum = BASE + PAGES(3);
	assert_int_equal(must(root, map), BASE + PAGES(3));
	map.align = PAGES(16);
	assert_int_equal(must(root, map), BASE + PAGES(16));
	map.align = 1; /* less than a page: a page */
	assert_int_equal(must(root, map), BASE + PAGES(4));
	map = (struct vmem_map){.length = LARGE + PAGE, .flags = VMEM_MAP_LARGE, .minimum = BASE + PAGE};
	assert_int_equal(must(root, map), BASE + LARGE);
	map.length = LARGE - PAGE; /* no large leaf fits: no alignment */
	assert_int_equal(must(root, map), BASE + 2 * LARGE + PAGE);
	map = (struct vmem_map){.length = LARGE, .flags = VMEM_MAP_LARGE, .align = 4 * LARGE};
	assert_int_equal(must(root, map) & (4 * LARGE - 1), 0); /* the larger of the two */
	map = at(VMEM_PLACE_FIXED, 64 * LARGE, 1);
	map.align = LARGE; /* said, and kept */
	assert_int_equal(must(root, map), 64 * LARGE);
	map = private_pages(4); /* a window that is too small, one that is full, one that is none */
	map.minimum = BASE;
	map.limit = BASE + PAGES(3);
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, map);
	map.limit = BASE + PAGES(6);
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, map);
	map.limit = BASE - PAGES(6);
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, map);
	map.flags = VMEM_MAP_FROM_TOP;
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, map);
	map.minimum = BASE + LARGE / 2 + 1; /* bounds may be any bytes */
	map.limit = map.minimum + PAGES(5);
	map.flags = VMEM_MAP_NO_MERGE;
	assert_int_equal(must(root, map), BASE + LARGE / 2 + PAGE);
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, map);
	map.flags = VMEM_MAP_FROM_TOP;
	map.minimum = low + length;
	map.limit = 0;
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, map);
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, ((struct vmem_map){.length = length}));
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, ((struct vmem_map){.length = ~VMEM_PAGE_MASK}));
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, ((struct vmem_map){.length = PAGE, .align = UINT64_C(1) << 63}));
	end(as);
}

static void hints(void **state)
{
	(void)state;
	begin();
	const uint64_t low = vmem_vmar_start(root), end_ = low + vmem_vmar_length(root);
	assert_int_equal(must(root, at(VMEM_PLACE_HINT, BASE, 4)), BASE);
	assert_int_equal(must(root, at(VMEM_PLACE_HINT, BASE + PAGES(8), 4)), BASE + PAGES(8));
	assert_int_equal(must(root, at(VMEM_PLACE_HINT, BASE + PAGES(5), 4)), low); /* would overlap */
	assert_int_equal(must(root, at(VMEM_PLACE_HINT, BASE + PAGES(4), 4)), BASE + PAGES(4));
	assert_int_equal(must(root, at(VMEM_PLACE_HINT, 0, 1)), low + PAGES(4)); /* outside: as ANY */
	assert_int_equal(must(root, at(VMEM_PLACE_HINT, end_ - PAGE, 2)), low + PAGES(5));
	assert_int_equal(must(root, at(VMEM_PLACE_HINT, ~VMEM_PAGE_MASK, 1)), low + PAGES(7));
	struct vmem_map map = at(VMEM_PLACE_HINT, BASE + PAGES(20), 1);
	map.limit = BASE + PAGES(20); /* free, but not in the bounds of the search */
	assert_int_equal(must(root, map), low + PAGES(8));
	map.limit = PAGE / 2; /* not even room for one */
	REFUSE_MAP(VMEM_ERR_NO_SPACE, root, map);
	map.limit = 0;
	map.minimum = BASE + PAGES(21);
	assert_int_equal(must(root, map), BASE + PAGES(21));
	map.minimum = 0;
	map.align = PAGES(16);
	assert_int_equal(must(root, map), low + PAGES(16) - (low & (PAGES(16) - 1)));
	map.align = 0;
	map.pad_before = 1; /* its strip would not fit */
	map.address = BASE + PAGES(12);
	assert_int_equal(must(root, map), low + PAGES(10));
	REFUSE_MAP(VMEM_ERR_INVALID, root, at(VMEM_PLACE_HINT, BASE + 1, 1));
	end(as);
}

/* Strips: reserved and never mapped, disjoint from others' strips, gone with the region they belong to. */
static void strips(void **state)
{
	(void)state;
	begin();
	struct vmem_map map = private_pages(2);
	map.minimum = BASE;
	map.pad_before = 2;
	map.pad_after = 3;
	uint64_t a = must(root, map), b = must(root, map);
	assert_int_equal(a, BASE); /* the strip may lie below the bound of the start */
	assert_int_equal(b, a + PAGES(2 + 3 + 2));
	map.pad_before = map.pad_after = 0;
	assert_int_equal(must(root, map), b + PAGES(2 + 3));
	assert_int_equal(regions(as), 3);
	assert_int_equal(stats_of(as).mapped, PAGES(6)); /* strips are not mapped */
	DENIED(VMEM_FAULT_NO_REGION, as, 0, a - PAGE, MACHINE_READ);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, a + PAGES(2), MACHINE_READ);
	REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, a - PAGES(2), 1));
	REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, a + PAGES(4), 1));
	REFUSE_CHILD(VMEM_ERR_EXISTS, root,
	    ((struct vmem_map){.length = PAGE, .place = VMEM_PLACE_FIXED, .address = a + PAGES(6)}));
	assert_int_equal(must(root, at(VMEM_PLACE_FIXED, a - PAGES(3), 1)), a - PAGES(3));
	uint64_t hint = must(root, at(VMEM_PLACE_HINT, a + PAGES(3), 1));
	assert_true(hint < a - PAGES(3));
	unmap(as, a, 1); /* the lower strip goes with the lower end, the upper one stays with the upper end */
	assert_int_equal(must(root, at(VMEM_PLACE_FIXED, a - PAGES(2), 3)), a - PAGES(2));
	REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, a + PAGES(2), 1));
	unmap(as, b, 2); /* b and both of its strips; a's upper one stays */
	REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, a + PAGES(4), 1));
	assert_int_equal(must(root, at(VMEM_PLACE_FIXED, a + PAGES(5), 4 + 3)), a + PAGES(5));
	unmap(as, a + PAGES(2), 1); /* a strip is no mapping: unmapping there changes nothing */
	REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, a + PAGES(2), 1));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_vmar_protect(root, a + PAGES(2), PAGE, VMEM_READ));
	map = at(VMEM_PLACE_FIXED, BASE + LARGE, 1);
	map.pad_after = 1;
	REFUSE_MAP(VMEM_ERR_INVALID, root, map);
	map.place = VMEM_PLACE_REPLACE;
	REFUSE_MAP(VMEM_ERR_INVALID, root, map);
	end(as);
}

/* A split keeps each strip with its own end, and both come back together by a merge. */
static void strips_of_halves(void **state)
{
	(void)state;
	begin();
	struct vmem_map map = private_pages(9);
	map.minimum = BASE;
	map.pad_before = map.pad_after = 1;
	uint64_t a = must(root, map);
	protect(as, a + PAGES(3), 3, VMEM_READ);
	assert_int_equal(regions(as), 3);
	REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, a - PAGE, 1));
	REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, a + PAGES(9), 1));
	unmap(as, a + PAGES(3), 3);
	assert_int_equal(must(root, at(VMEM_PLACE_FIXED, a + PAGES(3), 3)), a + PAGES(3));
	assert_int_equal(regions(as), 1);
	REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, a - PAGE, 1));
	REFUSE_MAP(VMEM_ERR_EXISTS, root, at(VMEM_PLACE_FIXED, a + PAGES(9), 1));
	/* REPLACE takes what it wants: the strip is cut, and a region that agrees grows into it */
	assert_int_equal(must(root, at(VMEM_PLACE_REPLACE, a + PAGES(9), 1)), a + PAGES(9));
	assert_int_equal(regions(as), 1);
	assert_int_equal(must(root, at(VMEM_PLACE_FIXED, a + PAGES(10), 1)), a + PAGES(10));
	map = at(VMEM_PLACE_REPLACE, a - PAGE, 1);
	map.permission = VMEM_READ;
	assert_int_equal(must(root, map), a - PAGE);
	assert_int_equal(regions(as), 2);
	assert_int_equal(must(root, at(VMEM_PLACE_FIXED, a - PAGES(2), 1)), a - PAGES(2));
	end(as);
}

/* Random placement: by the seed, within entropy and bounds, for VMARs too. */
static void random_placement(void **state)
{
	uint64_t found[3][32];
	const uint64_t bits = 12;
	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		const struct vmem_aspace_config config = {
		    .entropy_bits = (unsigned)bits, .seed = n == 2 ? 4711 : 42};
		as = space_with(&config);
		root = vmem_aspace_root(as);
		unsigned distinct = 0;
		for (unsigned i = 0; i < 32; i++) {
			struct vmem_map map = private_pages(1);
			map.flags = VMEM_MAP_RANDOM | VMEM_MAP_NO_MERGE;
			map.minimum = BASE;
			if (i == 31) {
				struct vmem_vmar *vmar;
				map.flags = VMEM_MAP_RANDOM;
				OK(vmem_vmar_allocate(root, &map, &vmar));
				found[n][i] = vmem_vmar_start(vmar);
			} else {
				found[n][i] = must(root, map);
			}
			assert_true(found[n][i] >= BASE);
			assert_true(found[n][i] < BASE + PAGES((UINT64_C(1) << bits) + 32));
			distinct += i > 0 && found[n][i] != found[n][i - 1] + PAGE;
		}
		assert_true(distinct > 25);
		end(as);
	}
	assert_memory_equal(found[0], found[1], sizeof(found[0]));
	assert_memory_not_equal(found[0], found[2], sizeof(found[0]));
	begin(); /* no entropy: the lowest */
	struct vmem_map map = private_pages(1);
	map.flags = VMEM_MAP_RANDOM;
	map.minimum = BASE;
	assert_int_equal(must(root, map), BASE);
	end(as);
	uint64_t first[2]; /* no seed: each space another one, from the library's */
	for (unsigned n = 0; n < 2; n++) {
		const struct vmem_aspace_config config = {.entropy_bits = 36};
		as = space_with(&config);
		map.flags = VMEM_MAP_RANDOM;
		first[n] = must(vmem_aspace_root(as), map);
		end(as);
	}
	assert_int_not_equal(first[0], first[1]);
}

/* Whatever the order, a place in the gap below what grows down is nobody's, and another one is found. */
static void gap_below_stacks(void **state)
{
	const uint64_t stack = UINT64_C(0x40000000);
	const struct vmem_aspace_config config = {.entropy_bits = 36, .seed = 1};
	struct vmem_map map = {.length = PAGE,
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = stack,
	    .attributes = VMEM_REGION_GROWS_DOWN};
	(void)state;
	as = space_with(&config);
	root = vmem_aspace_root(as);
	(void)must(root, map);
	map = (struct vmem_map){.length = PAGE, .permission = RW, .maximum = RW};
	map.minimum = stack - PAGES(10);
	map.limit = stack + PAGES(10);
	uint64_t at = must(root, map);
	assert_int_equal(at, stack + PAGE);
	unmap(as, at, 1);
	map.minimum = stack - PAGES(260);
	map.flags = VMEM_MAP_RANDOM;
	for (unsigned i = 0; i < 60; i++) { /* 13 places of 269 */
		at = must(root, map);
		assert_true(at <= stack - PAGES(257) || at > stack);
		unmap(as, at, 1);
	}
	map.limit = stack;
	at = must(root, map);
	assert_true(at <= stack - PAGES(257));
	end(as);
}

/* Entries go with regions that lie near each other and far, in one call. */
static void far_apart(void **state)
{
	static const uint64_t where[] = {0, 3, 36, 100, 600, 5000};
	(void)state;
	begin();
	for (unsigned i = 0; i < 6; i++) {
		fill(as, map_at(as, LARGE + PAGES(where[i]), 2, RW), 2, i);
	}
	assert_int_equal(stats_of(as).resident, 12);
	OK(vmem_vmar_unmap(root, LARGE + PAGES(1), PAGES(5000)));
	assert_int_equal(stats_of(as).resident, 2);
	assert_true(hardware(0, LARGE, MACHINE_READ, MACHINE_USER));
	assert_true(hardware(0, LARGE + PAGES(5001), MACHINE_READ, MACHINE_USER));
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(child_placement),
	    CORE(child_refusals),
	    CORE(walls),
	    CORE(rights),
	    CORE(destroy_takes_all),
	    CORE(space_takes_children),
	    CORE(placement),
	    CORE(hints),
	    CORE(strips),
	    CORE(strips_of_halves),
	    CORE(random_placement),
	    CORE(gap_below_stacks),
	    CORE(far_apart),
	};
	return cmocka_run_group_tests_name("vmar", tests, NULL, NULL);
}
