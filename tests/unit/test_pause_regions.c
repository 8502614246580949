/* SPDX-License-Identifier: MIT */
/*
 * test_pause_regions.c - the host's pause (cpu.h, U3) in calls over many regions that hold nothing: each loop
 * over regions tells what it costs, so a call must pause as often as all its loops together ask for. The
 * numbers are what the calls are to tell at the least; one loop that tells nothing is two pauses fewer.
 */
#include "core_fixture.h"

#include <vmem/posix.h>

#include "cpu.h"
#include "posix_i.h"
#include "region.h"
#include "slab.h"

#define BASE UINT64_C(0x40000000)
#define COUNT 4000u
#define END (BASE + PAGES(COUNT))
#define ALL BASE, PAGES(COUNT)

static struct vmem_aspace *as;
static struct vmem_vmar *root;
static unsigned pauses;

static void hosts_pause(void)
{
	vmem_lock_none_spinning();
	pauses++;
}

/* Region i of them, of a page, agrees with no neighbour: every other one is not to be dumped. */
static void map_one(uint64_t at, struct vmem_object *object, uint32_t attributes)
{
	const struct vmem_map one = {.length = PAGE,
	    .permission = VMEM_READ,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = at,
	    .object = object,
	    .flags = object ? VMEM_MAP_SHARED : 0,
	    .attributes = attributes | (at & PAGE ? VMEM_REGION_NO_DUMP : 0)};
	vmem_vaddr_t out;
	assert_int_equal(vmem_vmar_map(root, &one, &out), VMEM_OK);
}

static int setup(void **state)
{
	const struct core_options options = {
	    .asid_bits = -1, .linear_level = 1, .ram = UINT64_C(64) << 20, .pause = hosts_pause};
	(void)state;
	core_start(&options);
	as = space();
	root = vmem_aspace_root(as);
	run(0, as);
	return 0;
}

static int stop(void **state)
{
	step();
	end(as);
	return core_teardown(state);
}

static int setup_regions(void **state)
{
	(void)setup(state);
	for (uint64_t i = 0; i < COUNT; i++) {
		map_one(BASE + PAGES(i), NULL, 0);
	}
	step();
	return 0;
}

/* The call answers `status` and pauses at least so often; never as if for something else. */
#define PAUSES(least, status, call)                                                                          \
	do {                                                                                                 \
		this_vmem_cpu()->unpaused = 0;                                                               \
		pauses = 0;                                                                                  \
		assert_int_equal((call), (status));                                                          \
		assert_in_range(pauses, (least), 1000);                                                      \
	} while (0)

static void protects(void **state)
{
	(void)state;
	PAUSES(8, VMEM_OK, vmem_vmar_protect(root, ALL, VMEM_READ)); /* nothing changes */
	PAUSES(111, VMEM_OK, vmem_vmar_protect(root, ALL, RW));
	map_one(END, NULL, VMEM_REGION_SEALED);
	PAUSES(6, VMEM_ERR_SEALED, vmem_vmar_protect(root, BASE, PAGES(COUNT + 1), VMEM_READ));
	PAUSES(2, VMEM_ERR_SEALED, vmem_vmar_unmap(root, BASE, PAGES(COUNT + 1)));
	PAUSES(112, VMEM_OK, vmem_vmar_unmap(root, ALL));
}

static void attributes(void **state)
{
	(void)state;
	PAUSES(85, VMEM_OK, vmem_vmar_set_attributes(root, ALL, VMEM_REGION_SEQUENTIAL, 0));
	PAUSES(7, VMEM_OK, vmem_vmar_set_attributes(root, ALL, VMEM_REGION_SEQUENTIAL, 0));
}

static void decommits(void **state)
{
	(void)state;
	PAUSES(33, VMEM_OK, vmem_vmar_decommit(root, ALL));
	map_one(END, NULL, VMEM_REGION_SEALED);
	PAUSES(4, VMEM_ERR_SEALED, vmem_vmar_decommit(root, BASE, PAGES(COUNT + 1)));
}

static void guards(void **state)
{
	(void)state;
	PAUSES(33, VMEM_OK, vmem_vmar_guard(root, ALL));
	PAUSES(77, VMEM_OK, vmem_vmar_decommit(root, ALL)); /* all runs of guards */
	PAUSES(67, VMEM_OK, vmem_vmar_unguard(root, ALL));
	PAUSES(9, VMEM_OK, vmem_vmar_unguard(root, ALL)); /* none are left */
}

/* A region that may have guards, and has pages. */
static void looks_for_guards(void **state)
{
	(void)state;
	(void)map_at(as, BASE, COUNT, RW);
	assert_int_equal(vmem_vmar_guard(root, BASE, PAGE), VMEM_OK);
	fill(as, BASE + PAGE, COUNT - 1, 1);
	PAUSES(8, VMEM_OK, vmem_vmar_unguard(root, ALL));
	PAUSES(7, VMEM_OK, vmem_vmar_unguard(root, ALL));
}

static void moves(void **state)
{
	const uint64_t gap = PAGES(2 * COUNT);
	struct vmem_map to = {.length = PAGES(COUNT), .place = VMEM_PLACE_FIXED, .address = BASE + gap};
	vmem_vaddr_t at;
	(void)state;
	PAUSES(121, VMEM_OK, vmem_vmar_move(root, ALL, &to, 0, &at));
	to.address += gap;
	PAUSES(161, VMEM_OK, vmem_vmar_move(root, at, PAGES(COUNT), &to, VMEM_MOVE_KEEP_SOURCE, &at));
	map_one(at + PAGES(COUNT), NULL, VMEM_REGION_SEALED);
	to.length += PAGE;
	to.address += gap;
	PAUSES(4, VMEM_ERR_SEALED, vmem_vmar_move(root, at, PAGES(COUNT + 1), &to, 0, &at));
}

/* Regions with keys of their own: who looks for keys asks each, and to Linux they are one mapping. */
static void foreign_keys(void **state)
{
	const vmem_vaddr_t there = BASE + PAGES(2 * COUNT);
	struct vmem_posix process;
	vmem_vaddr_t at;
	(void)state;
	vmem_posix_init(&process, as, &vmem_posix_linux, UINT64_C(0x10000000));
	(void)map_at(as, BASE, COUNT, RW);
	fill(as, BASE, COUNT, 1);
	for (uint64_t i = 0; i < COUNT; i++) { /* in the order of falling addresses */
		const struct vmem_map to = {
		    .length = PAGE, .place = VMEM_PLACE_FIXED, .address = there + PAGES(COUNT - 1 - i)};
		assert_int_equal(vmem_vmar_move(root, BASE + PAGES(i), PAGE, &to, 0, &at), VMEM_OK);
	}
	step();
	expect(as, there + PAGES(COUNT - 1), 1, 1);
	PAUSES(2, 0, (map_one(BASE, NULL, 0), 0));
	PAUSES(5, 0, vmem_posix_mremap(&process, there, PAGES(COUNT), PAGES(COUNT - 1), 0, 0, &at));
}

static void residence(void **state)
{
	static uint8_t out[COUNT];
	(void)state;
	PAUSES(10, VMEM_OK, vmem_vmar_resident(root, ALL, out));
}

static void locks(void **state)
{
	struct vmem_posix process;
	(void)state;
	vmem_posix_init(&process, as, &vmem_posix_linux, UINT64_C(0x10000000));
	PAUSES(2, 0, vmem_posix_lock_populate(&process, BASE, END, false));
	as->max_locked = PAGE;
	PAUSES(2, -VMEM_ENOMEM, vmem_posix_mlock2(&process, ALL, VMEM_MLOCK_ONFAULT));
	as->max_locked = UINT64_MAX;
	PAUSES(99, 0, vmem_posix_mlockall(&process, VMEM_MCL_CURRENT | VMEM_MCL_ONFAULT));
	PAUSES(97, 0, vmem_posix_munlockall(&process));
}

/* One object that many regions show, each another page of it. */
static void mappings(void **state)
{
	struct vmem_object *object = anonymous(COUNT, VMEM_OBJECT_RESIZABLE);
	struct vmem_object_info info;
	struct vmem_region_info region;
	uint64_t resident, shared;
	(void)state;
	for (uint64_t i = 0; i < COUNT; i++) {
		map_one(BASE + PAGES(i), object, 0);
	}
	assert_int_equal(vmem_object_commit(object, 0, PAGE), VMEM_OK);
	region = region_at(as, BASE);
	PAUSES(1, 0, (vmem_region_residence(as, &region, &resident, &shared), 0));
	PAUSES(1, 0, (vmem_object_info(object, &info), 0));
	PAUSES(5, VMEM_OK, vmem_object_decommit(object, 0, PAGE));
	PAUSES(18, VMEM_OK, vmem_object_resize(object, PAGE));
	release(object);
}

/* The first that is not passed on lies behind all others. */
static void forks(void **state)
{
	struct vmem_aspace *child;
	(void)state;
	map_one(END, NULL, VMEM_REGION_NO_FORK);
	PAUSES(136, VMEM_OK, vmem_aspace_fork(as, &child));
	vmem_aspace_destroy(child);
}

/* Pages that are looked at, or given back, one by one. */
static void content(void **state)
{
	struct vmem_object *object = anonymous(COUNT, 0), *adjacent;
	struct vmem_object_info info;
	struct vmem_region_info region;
	uint64_t resident, shared;
	(void)state;
	PAUSES(146, VMEM_OK, vmem_object_commit(object, 0, PAGES(COUNT)));
	PAUSES(8, VMEM_OK, vmem_object_commit(object, 0, PAGES(COUNT))); /* all there */
	PAUSES(8, 0, (vmem_object_info(object, &info), 0));
	release(object);
	assert_int_equal(
	    vmem_object_create_contiguous(PAGES(COUNT), PAGE, UINT64_MAX, VMEM_WRITE_BACK, &adjacent),
	    VMEM_OK);
	PAUSES(13, 0, (vmem_object_release(adjacent), 0));
	(void)map_at(as, BASE, COUNT, RW);
	fill(as, BASE, COUNT, 1);
	region = region_at(as, BASE);
	PAUSES(8, 0, (vmem_region_residence(as, &region, &resident, &shared), 0));
}

#define CASE(name, with) cmocka_unit_test_setup_teardown(name, with, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(protects, setup_regions),
	    CASE(attributes, setup_regions),
	    CASE(decommits, setup_regions),
	    CASE(guards, setup_regions),
	    CASE(looks_for_guards, setup),
	    CASE(moves, setup_regions),
	    CASE(foreign_keys, setup),
	    CASE(residence, setup_regions),
	    CASE(locks, setup_regions),
	    CASE(mappings, setup),
	    CASE(forks, setup_regions),
	    CASE(content, setup),
	};
	return cmocka_run_group_tests_name("pause_regions", tests, NULL, NULL);
}
