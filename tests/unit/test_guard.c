/* SPDX-License-Identifier: MIT */
/*
 * test_guard.c - guarded pages (G1, G2, contract 2.4): what they refuse, what they outlive, and what ends
 * them.
 */
#include "core_fixture.h"

#include "region.h"

#define BASE UINT64_C(0x40000000)

static struct vmem_aspace *as;
static struct vmem_vmar *root;

static void begin(void)
{
	as = space();
	root = vmem_aspace_root(as);
	run_all(as);
}

static vmem_status_t guard(uint64_t page, uint64_t pages)
{
	return vmem_vmar_guard(root, BASE + PAGES(page), PAGES(pages));
}

static vmem_status_t unguard(uint64_t page, uint64_t pages)
{
	return vmem_vmar_unguard(root, BASE + PAGES(page), PAGES(pages));
}

static void guarded(uint64_t page)
{
	DENIED(VMEM_FAULT_GUARD, as, 0, BASE + PAGES(page), MACHINE_READ);
	DENIED(VMEM_FAULT_GUARD, as, 1, BASE + PAGES(page), MACHINE_WRITE);
}

static void private_memory(void **state)
{
	(void)state;
	begin();
	map_at(as, BASE, 200, RW);
	fill(as, BASE, 200, 1000);
	warm();
	OK(unguard(0, 200)); /* there is none */
	OK(guard(10, 130));  /* over leaves of the index */
	assert_int_equal(regions(as), 1);
	assert_int_equal(stats_of(as).committed, 70);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		assert_false(hardware(cpu, BASE + PAGES(10), MACHINE_READ, MACHINE_USER));
		assert_false(hardware(cpu, BASE + PAGES(139), MACHINE_READ, MACHINE_USER));
	}
	guarded(10);
	guarded(139);
	expect(as, BASE, 10, 1000);
	expect(as, BASE + PAGES(140), 60, 1140);
	OK(guard(10, 1));					    /* again */
	OK(vmem_vmar_decommit(root, BASE + PAGES(10), PAGES(130))); /* all of it guarded */
	OK(vmem_vmar_decommit(root, BASE, PAGES(200)));
	assert_int_equal(stats_of(as).committed, 0);
	guarded(10);
	guarded(75);
	assert_int_equal(get(as, 0, BASE + PAGES(9)), 0);
	protect(as, BASE + PAGES(20), 1, VMEM_READ);
	guarded(19);
	DENIED(VMEM_FAULT_GUARD, as, 0, BASE + PAGES(20), MACHINE_READ);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, BASE + PAGES(20), MACHINE_WRITE);
	protect(as, BASE + PAGES(20), 1, RW);
	fill(as, BASE, 10, 7);
	OK(unguard(0, 11));
	assert_int_equal(get(as, 0, BASE + PAGES(10)), 0);
	put(as, 0, BASE + PAGES(10), 5);
	expect(as, BASE, 10, 7);
	guarded(11);
	unmap(as, BASE + PAGES(11), 10); /* the end of the mapping is the end of its guards */
	map_at(as, BASE + PAGES(11), 10, RW);
	assert_int_equal(get(as, 0, BASE + PAGES(12)), 0);
	guarded(21);
	OK(unguard(0, 200));
	assert_int_equal(get(as, 0, BASE + PAGES(21)), 0);
	assert_int_equal(get(as, 0, BASE + PAGES(139)), 0);
	end(as);
}

static void shared_memory(void **state)
{
	struct vmem_object *o = anonymous(64, 0);
	struct vmem_map map = {.length = PAGES(64),
	    .permission = RW,
	    .maximum = RW,
	    .flags = VMEM_MAP_SHARED,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE,
	    .object = o};
	uint64_t start;
	(void)state;
	begin();
	OK(vmem_vmar_map(root, &map, &start));
	map.address = BASE + PAGES(100);
	OK(vmem_vmar_map(root, &map, &start));
	fill(as, BASE, 64, 300);
	warm();
	OK(guard(4, 2));
	guarded(4);
	guarded(5);
	assert_int_equal(peek(o, 4), 304); /* the object keeps what it has, and others see it */
	expect(as, BASE + PAGES(100), 64, 300);
	expect(as, BASE, 4, 300);
	expect(as, BASE + PAGES(6), 58, 306);
	protect(as, BASE + PAGES(5), 1, VMEM_READ); /* split and merged again: the marks stay */
	protect(as, BASE + PAGES(5), 1, RW);
	assert_int_equal(regions(as), 2);
	OK(vmem_vmar_decommit(root, BASE, PAGES(64)));
	guarded(5);
	OK(vmem_object_decommit(o, 0, PAGES(64)));
	guarded(5);
	OK(unguard(5, 1));
	assert_int_equal(get(as, 0, BASE + PAGES(5)), 0);
	guarded(4);
	unmap(as, BASE, 64);
	map_at(as, BASE, 64, RW);
	assert_int_equal(get(as, 0, BASE + PAGES(4)), 0);
	release(o);
	end(as);
}

/* A private view of an object: guards hide it, also where it shrinks and grows again. */
static void private_object(void **state)
{
	struct vmem_object *o = anonymous(8, VMEM_OBJECT_RESIZABLE);
	struct vmem_map map = {.length = PAGES(8),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE,
	    .object = o};
	uint64_t start;
	(void)state;
	begin();
	for (unsigned i = 0; i < 8; i++) {
		poke(o, i, 40 + i);
	}
	OK(vmem_vmar_map(root, &map, &start));
	put(as, 0, BASE + PAGES(3), 1);
	expect(as, BASE, 3, 40);
	OK(guard(2, 2));
	guarded(2);
	guarded(3);
	OK(vmem_object_resize(o, PAGE));
	OK(vmem_object_resize(o, PAGES(8)));
	guarded(3);
	OK(unguard(2, 1));
	assert_int_equal(get(as, 0, BASE + PAGES(2)), 0);
	assert_int_equal(get(as, 0, BASE + PAGES(0)), 40);
	release(o);
	end(as);
}

static void refusals(void **state)
{
	struct vmem_object *o;
	(void)state;
	begin();
	map_at(as, BASE, 4, RW);
	fill(as, BASE, 4, 9);
	map_at(as, BASE + PAGES(5), 1, RW);
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_guard(root, BASE + 1, PAGE));
	REFUSED(VMEM_ERR_INVALID, guard(0, 0));
	REFUSED(VMEM_ERR_RANGE, vmem_vmar_guard(root, 0, PAGE));
	REFUSED(VMEM_ERR_NOT_FOUND, guard(3, 2));
	REFUSED(VMEM_ERR_NOT_FOUND, unguard(3, 3));
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_unguard(root, BASE, 1));
	OK(vmem_object_create_contiguous(PAGE, PAGE, UINT64_MAX, VMEM_WRITE_BACK, &o));
	uint64_t at = map_object(as, o, 0, 1, RW, VMEM_MAP_SHARED);
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_vmar_guard(root, at, PAGE));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_vmar_unguard(root, at, PAGE));
	warm();
	SWEEP(0, guard(1, 2));
	guarded(1);
	expect(as, BASE, 1, 9);
	release(o);
	end(as);
}

static bool nothing_goes(void *context, const struct vmem_access_request *request)
{
	(void)context;
	return request->operation != VMEM_OPERATION_DECOMMIT;
}

/* What takes content away is asked of the access control. */
static void access_control(void **state)
{
	static const struct vmem_access_control control = {.allows = nothing_goes};
	const struct vmem_aspace_config config = {.access = &control};
	(void)state;
	as = space_with(&config);
	root = vmem_aspace_root(as);
	run_all(as);
	map_at(as, BASE, 4, RW);
	fill(as, BASE, 4, 9);
	REFUSED(VMEM_ERR_DENIED, guard(0, 1));
	REFUSED(VMEM_ERR_DENIED, unguard(0, 1));
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_decommit(root, BASE, PAGE));
	expect(as, BASE, 4, 9);
	end(as);
}

/* With memory shared with a relative of the store, and with nodes to be had: all or nothing. */
static void many(void **state)
{
	(void)state;
	begin();
	map_at(as, BASE, 5000, RW);
	put(as, 0, BASE + PAGES(4321), 5);
	SWEEP(1, guard(1, 4990));
	guarded(4321);
	put(as, 0, BASE, 1);
	put(as, 0, BASE + PAGES(4991), 1);
	SWEEP(0, unguard(0, 5000));
	assert_int_equal(get(as, 0, BASE + PAGES(4321)), 0);
	end(as);
}

/* Keys that another region took along are not the ones that guards get; and guards move. */
static void after_moves(void **state)
{
	struct vmem_object *o = anonymous(16, 0);
	struct vmem_map map = {.length = PAGES(16),
	    .permission = RW,
	    .maximum = RW,
	    .flags = VMEM_MAP_SHARED,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE,
	    .object = o};
	struct vmem_map to = {.length = PAGES(8), .place = VMEM_PLACE_FIXED, .address = BASE + PAGES(100)};
	uint64_t start;
	(void)state;
	begin();
	map_at(as, BASE, 8, RW);
	fill(as, BASE, 8, 70);
	OK(vmem_vmar_move(root, BASE, PAGES(8), &to, 0, &start)); /* with its keys */
	OK(vmem_vmar_map(root, &map, &start));
	fill(as, BASE, 16, 20);
	OK(guard(2, 2));
	guarded(2);
	expect(as, BASE + PAGES(100), 8, 70);
	OK(vmem_vmar_decommit(root, BASE, PAGES(16)));
	expect(as, BASE + PAGES(100), 8, 70);
	to.length = PAGES(16);
	to.address = BASE + PAGES(200);
	OK(vmem_vmar_move(root, BASE, PAGES(16), &to, VMEM_MOVE_KEEP_SOURCE, &start));
	guarded(202);
	expect(as, BASE + PAGES(204), 12, 24);
	expect(as, BASE, 16, 20); /* what stays has no guards */
	OK(guard(12, 1));
	guarded(12);
	expect(as, BASE + PAGES(212), 1, 32);
	unmap(as, BASE, 16);
	expect(as, BASE + PAGES(100), 8, 70);
	guarded(203);
	unmap(as, BASE + PAGES(200), 16);
	expect(as, BASE + PAGES(100), 8, 70);
	/* A neighbour whose keys are another's by now is not joined to one with guards. */
	to.length = PAGES(8);
	to.address = BASE + PAGES(400);
	map.length = PAGES(8);
	map.address = BASE + PAGES(308);
	map.offset = PAGES(8);
	OK(vmem_vmar_map(root, &map, &start));
	OK(guard(308, 1));
	map_at(as, BASE + PAGES(300), 8, RW);
	fill(as, BASE + PAGES(300), 8, 500);
	OK(vmem_vmar_move(root, BASE + PAGES(300), PAGES(8), &to, 0, &start));
	map.address = BASE + PAGES(300);
	map.offset = 0;
	OK(vmem_vmar_map(root, &map, &start));
	unmap(as, BASE + PAGES(300), 16);
	expect(as, BASE + PAGES(400), 8, 500);
	release(o);
	end(as);
}

/* Large leaves: never over a guard. */
static void large(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	(void)state;
	as = space_with(&config);
	root = vmem_aspace_root(as);
	run_all(as);
	map_at(as, BASE, 1024, RW);
	put(as, 0, BASE, 1);
	put(as, 0, BASE + PAGES(511), 2);
	OK(guard(7, 1));
	guarded(7);
	assert_int_equal(get(as, 0, BASE), 1);
	assert_int_equal(get(as, 0, BASE + PAGES(511)), 2);
	OK(guard(600, 1));
	put(as, 0, BASE + PAGES(601), 3);
	put(as, 0, BASE + PAGES(800), 3);
	guarded(600);
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(private_memory),
	    CORE(shared_memory),
	    CORE(private_object),
	    CORE(refusals),
	    CORE(access_control),
	    CORE(many),
	    CORE(after_moves),
	    CORE(large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
