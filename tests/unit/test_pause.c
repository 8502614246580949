/* SPDX-License-Identifier: MIT */
/*
 * test_pause.c - the host's pause (cpu.h, U3): a call whose length a program chooses lets the host in each
 * so many instructions. There are none to count here, so it is what has been done in between that is
 * counted: frames that came back, leaves that went.
 */
#include "core_fixture.h"

#include "region.h"
#include "slab.h"

#define BASE UINT64_C(0x40000000)
#define COUNT 6000u

/* What PAUSE_AFTER lets go by of pages that are dropped and of leaves that are taken out, and one piece. */
#define FRAMES_MOST 800u
#define LEAVES_MOST 2048u

static struct vmem_aspace *watched;

static struct {
	unsigned pauses;
	uint64_t free, resident;	   /* at the last one */
	uint64_t free_most, resident_most; /* what came or went in between */
} seen;

static void note(void)
{
	uint64_t free = frames_now().free, resident = seen.resident;
	if (watched) {
		resident = vmem_pmap_counted(&watched->pmap, COUNT_RESIDENT);
	}
	uint64_t came = free > seen.free ? free - seen.free : 0;
	uint64_t went = seen.resident > resident ? seen.resident - resident : 0;
	seen.free_most = came > seen.free_most ? came : seen.free_most;
	seen.resident_most = went > seen.resident_most ? went : seen.resident_most;
	seen.free = free;
	seen.resident = resident;
}

static void hosts_pause(void)
{
	vmem_lock_none_spinning();
	seen.pauses++;
	note();
}

static int setup(void **state)
{
	const struct core_options options = {
	    .asid_bits = -1, .linear_level = 1, .ram = UINT64_C(64) << 20, .pause = hosts_pause};
	(void)state;
	core_start(&options);
	return 0;
}

/* The call pauses at least so often, and never does more than its share without. */
#define PAUSES(least, call)                                                                                  \
	do {                                                                                                 \
		note();                                                                                      \
		seen.pauses = 0;                                                                             \
		seen.free_most = seen.resident_most = 0;                                                     \
		call;                                                                                        \
		unsigned pauses_ = seen.pauses;                                                              \
		note();                                                                                      \
		assert_in_range(pauses_, (least), 100000);                                                   \
		assert_in_range(seen.free_most, 0, FRAMES_MOST);                                             \
		assert_in_range(seen.resident_most, 0, LEAVES_MOST);                                         \
		step();                                                                                      \
	} while (0)

static struct vmem_aspace *full(uint64_t pages)
{
	struct vmem_aspace *as = space();
	run(0, as);
	machine_cpu_set(0);
	(void)map_at(as, BASE, pages, RW);
	fill(as, BASE, pages, 1);
	watched = as;
	return as;
}

static void gone(struct vmem_aspace *as)
{
	run(0, NULL);
	watched = NULL;
	vmem_aspace_destroy(as);
}

static void destroy(void **state)
{
	struct vmem_aspace *as = full(COUNT);
	(void)state;
	run(0, NULL);
	vmem_frame_drain();
	note();
	PAUSES(COUNT / 1000, gone(as));
}

static void unmap_and_decommit(void **state)
{
	struct vmem_aspace *as = full(COUNT);
	struct vmem_vmar *root = vmem_aspace_root(as);
	(void)state;
	PAUSES(COUNT / 1000,
	    assert_int_equal(vmem_vmar_decommit(root, BASE + PAGES(1), PAGES(COUNT - 2)), VMEM_OK));
	expect(as, BASE, 1, 1);
	fill(as, BASE, COUNT, 1);
	PAUSES(COUNT / 1000,
	    assert_int_equal(vmem_vmar_unmap(root, BASE + PAGES(1), PAGES(COUNT - 2)), VMEM_OK));
	expect(as, BASE, 1, 1);
	end(as);
}

static void protects(void **state)
{
	struct vmem_aspace *as = full(COUNT);
	(void)state;
	PAUSES(COUNT * 40 / 60000,
	    assert_int_equal(
		vmem_vmar_protect(vmem_aspace_root(as), BASE, PAGES(COUNT), VMEM_READ), VMEM_OK));
	expect(as, BASE, COUNT, 1);
	end(as);
}

/* A table in each of many windows is parked; and the parent's pages become the child's. */
static void forks(void **state)
{
	enum { WINDOWS = 2000 };
	struct vmem_aspace *as = space(), *child = NULL;
	(void)state;
	run(0, as);
	machine_cpu_set(0);
	(void)map_at(as, BASE, WINDOWS * 512, RW);
	for (unsigned i = 0; i < WINDOWS; i++) {
		put(as, 0, BASE + i * LARGE, i);
	}
	PAUSES(WINDOWS * 64 / 60000, assert_int_equal(vmem_aspace_fork(as, &child), VMEM_OK));
	run(0, child);
	for (unsigned i = 0; i < WINDOWS; i += 100) {
		assert_int_equal(get(child, 0, BASE + i * LARGE), i);
	}
	end(child);
	end(as);
}

static void parent_goes_first(void **state)
{
	struct vmem_aspace *as = full(COUNT), *child = NULL;
	(void)state;
	OK(vmem_aspace_fork(as, &child));
	run(0, NULL);
	assert_int_equal(vmem_vmar_unmap(vmem_aspace_root(as), BASE, PAGES(COUNT)), VMEM_OK);
	watched = NULL;
	PAUSES(COUNT * 40 / 60000, vmem_aspace_destroy(as)); /* what is left to do is to hand over */
	run(0, child);
	expect(child, BASE, COUNT, 1);
	PAUSES(COUNT / 1000, gone(child));
}

static void many_regions(void **state)
{
	enum { REGIONS = 1000 };
	struct vmem_aspace *as = space(), *child;
	struct vmem_vmar *root = vmem_aspace_root(as);
	const struct vmem_map one = {.length = PAGE, .permission = RW, .maximum = RW, .pad_before = 1};
	vmem_vaddr_t at, first = 0, last = 0;
	(void)state;
	for (unsigned i = 0; i < REGIONS; i++) {
		assert_int_equal(vmem_vmar_map(root, &one, &at), VMEM_OK);
		first = i == 0 ? at : first;
		last = at;
	}
	PAUSES(REGIONS * 800 / 60000, assert_int_equal(vmem_aspace_fork(as, &child), VMEM_OK));
	PAUSES(REGIONS * 800 / 60000, vmem_aspace_destroy(child));
	PAUSES(
	    REGIONS * 800 / 60000, assert_int_equal(vmem_vmar_protect(root, first, PAGE, VMEM_READ), VMEM_OK);
	    for (at = first; at <= last;
		 at += 2 * PAGE) { assert_int_equal(vmem_vmar_protect(root, at, PAGE, 0), VMEM_OK); });
	PAUSES(REGIONS * 800 / 60000,
	    assert_int_equal(vmem_vmar_unmap(root, first, last + PAGE - first), VMEM_OK));
	end(as);
}

/* What brings memory in, and what moves it. */
static void brings_in(void **state)
{
	enum { PAGES_IN = 500 };
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(PAGES_IN, 0), *adjacent;
	const struct vmem_map populated = {
	    .length = PAGES(PAGES_IN), .permission = RW, .maximum = RW, .flags = VMEM_MAP_POPULATE};
	vmem_vaddr_t at;
	(void)state;
	PAUSES(PAGES_IN * 1000 / 60000,
	    assert_int_equal(vmem_vmar_map(vmem_aspace_root(as), &populated, &at), VMEM_OK));
	PAUSES(PAGES_IN * 1000 / 60000,
	    assert_int_equal(vmem_object_commit(object, 0, PAGES(PAGES_IN)), VMEM_OK));
	PAUSES(PAGES_IN * 600 / 60000, assert_int_equal(vmem_object_create_contiguous(PAGES(PAGES_IN), PAGE,
							    UINT64_MAX, VMEM_WRITE_BACK, &adjacent),
					   VMEM_OK));
	release(object);
	release(adjacent);
	end(as);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, core_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(destroy),
	    CASE(unmap_and_decommit),
	    CASE(protects),
	    CASE(forks),
	    CASE(parent_goes_first),
	    CASE(many_regions),
	    CASE(brings_in),
	};
	return cmocka_run_group_tests_name("pause", tests, NULL, NULL);
}
