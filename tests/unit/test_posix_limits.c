/* SPDX-License-Identifier: MIT */
/*
 * test_posix_limits.c - stacks that grow, limits, the number of regions, and promises of memory (grow.c,
 * commit.c). The answers are those of Linux 6.18 for the same calls.
 */
#include "core_fixture.h"

#include <vmem/commit.h>
#include <vmem/posix.h>

#include "region.h"

#define B UINT64_C(0x20000000)
#define T UINT64_C(0x30000000)
#define R VMEM_PROT_READ
#define PROT_RW (VMEM_PROT_READ | VMEM_PROT_WRITE)
#define ANON VMEM_MMAP_ANONYMOUS
#define PRIVATE (VMEM_MMAP_PRIVATE | ANON)
#define SHARED (VMEM_MMAP_SHARED | ANON)
#define FIXED VMEM_MMAP_FIXED
#define STACK (PRIVATE | FIXED | VMEM_MMAP_GROWSDOWN)
#define GROWSDOWN 0x01000000

static struct vmem_aspace *as;
static struct vmem_posix process;

static int start(void **state)
{
	struct vmem_aspace_config config = {0};
	(void)state;
	(void)core_setup(NULL);
	as = space_with(&config);
	run(0, as);
	run(1, as);
	machine_cpu_set(0);
	vmem_posix_init(&process, as, &vmem_posix_linux, UINT64_C(0x10000000));
	return 0;
}

static int stop(void **state)
{
	step();
	end(as);
	assert_int_equal(vmem_commit_promised(), 0);
	vmem_commit_set(VMEM_OVERCOMMIT_GUESS, 0);
	return core_teardown(state);
}

static int map_posix(uint64_t address, uint64_t length, int prot, int flags)
{
	uint64_t out;
	warm();
	int error = vmem_posix_mmap(&process, address, length, prot, flags, &out);
	step();
	return error;
}

static int unmap_posix(uint64_t address, uint64_t length)
{
	int error = vmem_posix_munmap(&process, address, length);
	step();
	return error;
}

static int protect_posix(uint64_t address, uint64_t length, int prot)
{
	int error = vmem_posix_mprotect(&process, address, length, prot);
	step();
	return error;
}

static int remap(uint64_t address, uint64_t old, uint64_t new, int flags)
{
	uint64_t out;
	int error = vmem_posix_mremap(&process, address, old, new, flags, 0, &out);
	step();
	return error;
}

static bool mapped(uint64_t va)
{
	return vmem_region_find(as, va) != NULL;
}

static void stack_grows(void **state)
{
	(void)state;
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, STACK), 0);
	put(as, 0, B - PAGE, 1);
	assert_true(mapped(B - PAGES(1)) && !mapped(B - PAGES(2)));
	assert_int_equal(get(as, 1, B - PAGES(100) + 64), 0);
	assert_true(mapped(B - PAGES(100)) && !mapped(B - PAGES(101)));
	assert_int_equal(regions(as), 1);
	assert_int_equal(get(as, 1, B - PAGE), 1);
	/* the permission is asked for after it has grown */
	assert_int_equal(protect_posix(B - PAGES(100), PAGES(104), R), 0);
	assert_int_equal(get(as, 0, B - PAGES(110)), 0);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, B - PAGES(120), MACHINE_WRITE);
	/* from its start, wherever that is */
	assert_int_equal(protect_posix(B + PAGES(2), PAGE, PROT_RW | GROWSDOWN), 0);
	put(as, 0, B - PAGES(110), 3);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, B + PAGES(3), MACHINE_WRITE);
	assert_int_equal(map_posix(T, PAGE, PROT_RW, PRIVATE | FIXED), 0);
	assert_int_equal(protect_posix(T, PAGE, R | GROWSDOWN), -VMEM_EINVAL);
	assert_int_equal(protect_posix(T - PAGES(2), PAGE, R | GROWSDOWN), -VMEM_ENOMEM);
	assert_int_equal(map_posix(T, PAGE, PROT_RW, SHARED | VMEM_MMAP_GROWSDOWN), -VMEM_EINVAL);
}

static void stack_and_neighbour(void **state)
{
	uint64_t at;
	(void)state;
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, STACK), 0);
	assert_int_equal(map_posix(B - PAGES(500), PAGE, PROT_RW, PRIVATE | FIXED), 0);
	put(as, 0, B - PAGES(243), 1); /* 256 pages are left */
	DENIED(VMEM_FAULT_NO_REGION, as, 0, B - PAGES(244), MACHINE_WRITE);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, B - PAGES(499), MACHINE_READ);
	assert_int_equal(protect_posix(B - PAGES(500), PAGE, VMEM_PROT_NONE), 0);
	put(as, 0, B - PAGES(400), 2); /* what is not accessible needs no gap */
	/* nobody is put into the gap */
	assert_int_equal(vmem_posix_mmap(&process, B - PAGES(410), PAGE, PROT_RW, PRIVATE, &at), 0);
	assert_true(at >= B || at < B - PAGES(656));
	assert_int_equal(map_posix(B - PAGES(410), PAGE, PROT_RW, PRIVATE | VMEM_MMAP_FIXED_NOREPLACE), 0);
	struct vmem_map map = {.length = PAGES(64),
	    .permission = RW,
	    .maximum = RW,
	    .flags = VMEM_MAP_FROM_TOP,
	    .minimum = B - PAGES(1000),
	    .limit = B};
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	assert_int_equal(at, B - PAGES(410 + 64)); /* below what was put into the gap */
	assert_int_equal(unmap_posix(B - PAGES(1000), PAGES(600)), 0);
	map.length = PAGES(32);
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	assert_int_equal(at, B - PAGES(400 + 256 + 32));
	map.flags = 0;
	map.length = PAGES(600); /* only above */
	assert_int_equal(vmem_vmar_map(vmem_aspace_root(as), &map, &at), VMEM_ERR_NO_SPACE);
}

/* What lies in the gap ends it: right below that there is room. And chance never runs out of it. */
static void gap_and_places(void **state)
{
	const struct vmem_aspace_config config = {.entropy_bits = 20, .seed = 1};
	struct vmem_aspace *other = space_with(&config);
	struct vmem_vmar *root = vmem_aspace_root(other);
	struct vmem_map map = {
	    .length = PAGES(4), .permission = RW, .maximum = RW, .place = VMEM_PLACE_FIXED};
	vmem_vaddr_t at;
	(void)state;
	map.address = B;
	map.attributes = VMEM_REGION_GROWS_DOWN;
	OK(vmem_vmar_map(root, &map, &at));
	map.address = B - PAGES(10);
	map.attributes = 0;
	OK(vmem_vmar_map(root, &map, &at));
	map.place = VMEM_PLACE_ANY;
	map.flags = VMEM_MAP_FROM_TOP;
	map.minimum = B - PAGES(1000);
	map.limit = B;
	OK(vmem_vmar_map(root, &map, &at));
	assert_int_equal(at, B - PAGES(14));
	OK(vmem_vmar_unmap(root, B - PAGES(1000), PAGES(1000)));
	map.flags = VMEM_MAP_RANDOM;
	map.minimum = B - PAGES(300); /* a start in seven is below the gap */
	for (unsigned i = 0; i < 32; i++) {
		OK(vmem_vmar_map(root, &map, &at));
		assert_true(at + map.length <= B - PAGES(256));
		OK(vmem_vmar_unmap(root, at, map.length));
	}
	end(other);
}

/* Only memory of its own, which joins what it grows from. */
static void what_grows(void **state)
{
	struct vmem_object *object = anonymous(4, 0);
	struct vmem_map map = {.length = PAGES(4),
	    .place = VMEM_PLACE_FIXED,
	    .address = B,
	    .attributes = VMEM_REGION_GROWS_DOWN,
	    .object = object};
	vmem_vaddr_t at;
	(void)state;
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	map.object = NULL;
	map.flags = VMEM_MAP_GUARD;
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	map.flags = VMEM_MAP_NO_MERGE;
	REFUSED(VMEM_ERR_INVALID, vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	release(object);
}

static void stack_limit(void **state)
{
	(void)state;
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, STACK), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_STACK, PAGES(64));
	put(as, 0, B - PAGES(60), 1);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, B - PAGES(61), MACHINE_WRITE);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_STACK, UINT64_C(8) << 20);
	put(as, 0, B - PAGES(61), 1);
	put(as, 0, B + PAGES(4) - (UINT64_C(8) << 20), 1);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, B + PAGES(3) - (UINT64_C(8) << 20), MACHINE_WRITE);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, PAGES(64));
	assert_int_equal(map_posix(T, PAGES(4), PROT_RW, STACK), -VMEM_ENOMEM);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, UINT64_MAX);
	/* moved away, and another one in its place: its keys are in use, it grows all the same */
	struct vmem_map to = {.length = PAGES(100), .place = VMEM_PLACE_FIXED, .address = T};
	uint64_t at;
	OK(vmem_vmar_move(vmem_aspace_root(as), B - PAGES(96), PAGES(100), &to, 0, &at));
	assert_int_equal(unmap_posix(B - PAGES(4096), PAGES(4096)), 0);
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, STACK), 0);
	put(as, 0, B, 9);
	put(as, 0, B - PAGES(61), 9);
	assert_int_equal(get(as, 0, T + PAGES(35)), 1);
}

/* A locked region grows as far as its process may lock, and there the access is refused, as by Linux 6.18. */
static void locked_stack_limit(void **state)
{
	(void)state;
	assert_int_equal(map_posix(B, PAGES(2), PROT_RW, STACK), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, PAGES(16));
	assert_int_equal(vmem_posix_mlock(&process, B, PAGES(2)), 0);
	put(as, 0, B - PAGES(14), 1);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, B - PAGES(15), MACHINE_WRITE);
	assert_int_equal(stats_of(as).locked, PAGES(16));
	assert_int_equal(vmem_posix_munlock(&process, B - PAGES(14), PAGES(16)), 0);
	put(as, 0, B - PAGES(15), 1);
	assert_int_equal(stats_of(as).locked, 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, UINT64_C(8) << 20);
}

/* Limits of growth that are not those of a mapping: the lowest address, what may be locked, and of the stack
 * all of it counts, also where its parts have other keys. */
static void stack_bounds(void **state)
{
	const struct vmem_aspace_config low = {.start = PAGE, .length = UINT64_C(1) << 32};
	struct vmem_map to = {.length = PAGES(64), .place = VMEM_PLACE_FIXED, .address = T};
	struct vmem_posix other;
	struct vmem_vmar *child;
	struct vmem_map room = {.length = PAGE, .place = VMEM_PLACE_FIXED, .address = B - PAGES(300)};
	uint64_t at;
	(void)state;
	assert_int_equal(map_posix(B, PAGES(64), PROT_RW, STACK), 0);
	put(as, 0, B - PAGES(36), 1);
	put(as, 0, B, 1);
	OK(vmem_vmar_move(vmem_aspace_root(as), B, PAGES(64), &to, 0, &at)); /* with its keys */
	assert_int_equal(map_posix(B, PAGES(64), PROT_RW, STACK), 0);	     /* other keys: two regions */
	assert_int_equal(regions(as), 3);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_STACK, PAGES(101));
	put(as, 0, B - PAGES(37), 1);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, B - PAGES(38), MACHINE_WRITE);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_STACK, UINT64_MAX);
	struct vmem_vmar *above;
	room.address = B + PAGES(64);
	OK(vmem_vmar_allocate(vmem_aspace_root(as), &room, &above)); /* ends the mapping */
	room.address = B - PAGES(300);
	OK(vmem_vmar_allocate(vmem_aspace_root(as), &room, &child)); /* whatever is in it */
	put(as, 0, B - PAGES(43), 1);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, B - PAGES(44), MACHINE_WRITE);
	OK(vmem_vmar_destroy(child));
	OK(vmem_vmar_destroy(above));
	/* of what grows itself no distance is kept */
	assert_int_equal(map_posix(B - PAGES(60), PAGE, PROT_RW, STACK), 0);
	put(as, 0, B - PAGES(44), 1);
	assert_int_equal(unmap_posix(B - PAGES(60), PAGE), 0);
	/* locked: up to the limit as it is now */
	assert_int_equal(vmem_posix_mlock(&process, B - PAGES(44), PAGES(4)), 0);
	assert_int_equal(regions(as), 4); /* the lowest part is a mapping of its own */
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, PAGES(6));
	put(as, 0, B - PAGES(46), 1);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, B - PAGES(47), MACHINE_WRITE);
	assert_int_equal(stats_of(as).locked, PAGES(6));
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, UINT64_MAX);
	assert_int_equal(vmem_posix_mlock(&process, B - PAGES(46), PAGE), 0);
	put(as, 0, B - PAGES(60), 1);
	assert_int_equal(stats_of(as).locked, PAGES(20));
	/* nothing grows to below what MAP_FIXED may have, and the space */
	struct vmem_aspace *small = space_with(&low);
	vmem_posix_init(&other, small, &vmem_posix_linux, 0);
	assert_int_equal(vmem_posix_mmap(&other, 0x18000, PAGE, PROT_RW, STACK, &at), 0);
	run(0, small);
	put(small, 0, 0x10000, 1);
	DENIED(VMEM_FAULT_NO_REGION, small, 0, 0xf000, MACHINE_WRITE);
	DENIED(VMEM_FAULT_NO_REGION, small, 0, 0, MACHINE_WRITE);
	struct vmem_aspace *child_space;
	assert_int_equal(vmem_aspace_fork(small, &child_space), VMEM_OK);
	run(0, child_space);
	DENIED(VMEM_FAULT_NO_REGION, child_space, 0, 0xf000, MACHINE_WRITE);
	end(child_space);
	end(small);
	run(0, as);
}

/* The heap ends a page below what lies above it; below what grows down, 256 pages. */
static void heap_and_stack(void **state)
{
	const uint64_t heap = UINT64_C(0x10000000), stack = heap + PAGES(400);
	(void)state;
	assert_int_equal(map_posix(stack, PAGE, PROT_RW, STACK), 0);
	assert_int_equal(vmem_posix_brk(&process, heap + PAGES(144)), heap);
	assert_int_equal(vmem_posix_brk(&process, heap + PAGES(143)), heap + PAGES(143));
	assert_int_equal(vmem_posix_brk(&process, heap + PAGES(143) + 1), heap + PAGES(143));
	assert_int_equal(map_posix(stack, PAGE, PROT_RW, PRIVATE | FIXED), 0);
	assert_int_equal(vmem_posix_brk(&process, heap + PAGES(400)), heap + PAGES(143));
	assert_int_equal(vmem_posix_brk(&process, heap + PAGES(399)), heap + PAGES(399));
	assert_int_equal(vmem_posix_brk(&process, heap), heap);
	/* to the break the limit of data is one of bytes, and a heap may begin amid a page */
	vmem_posix_init(&process, as, &vmem_posix_linux, heap + 2048);
	assert_int_equal(unmap_posix(stack, PAGE), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_DATA, PAGE + 100);
	assert_int_equal(vmem_posix_brk(&process, heap + 2048 + PAGE + 101), heap + 2048);
	assert_int_equal(vmem_posix_brk(&process, heap + 2048 + PAGE + 100), heap + 2048 + PAGE + 100);
}

/* A limit that is nothing at all stays one in a child. */
static void limits_of_a_child(void **state)
{
	struct vmem_aspace *child;
	struct vmem_posix its;
	uint64_t at;
	(void)state;
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, PRIVATE | FIXED), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, 0);
	assert_int_equal(vmem_aspace_fork(as, &child), VMEM_OK);
	its = process;
	its.aspace = child;
	assert_int_equal(vmem_posix_mmap(&its, T, PAGE, PROT_RW, PRIVATE | FIXED, &at), -VMEM_ENOMEM);
	end(child);
}

static void space_limit(void **state)
{
	(void)state;
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, PRIVATE | FIXED), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, PAGE);
	assert_int_equal(map_posix(T, PAGE, PROT_RW, PRIVATE | FIXED), -VMEM_ENOMEM);
	assert_int_equal(map_posix(0, PAGE, VMEM_PROT_NONE, PRIVATE), -VMEM_ENOMEM);
	assert_int_equal(remap(B, PAGES(4), PAGES(5), 0), -VMEM_ENOMEM);
	assert_int_equal(remap(B, PAGES(4), PAGES(5), VMEM_MREMAP_MAYMOVE), -VMEM_ENOMEM);
	assert_int_equal(
	    remap(B, PAGES(4), PAGES(4), VMEM_MREMAP_MAYMOVE | VMEM_MREMAP_DONTUNMAP), -VMEM_ENOMEM);
	assert_int_equal(vmem_posix_brk(&process, UINT64_C(0x10004000)), UINT64_C(0x10000000));
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, PRIVATE | FIXED), -VMEM_ENOMEM);
	assert_int_equal(protect_posix(B, PAGE, R), 0);
	assert_int_equal(protect_posix(B, PAGE, PROT_RW), 0);
	assert_int_equal(unmap_posix(B, PAGE), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, UINT64_MAX);
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, PRIVATE | FIXED), 0);
}

static void data_limit(void **state)
{
	(void)state;
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, PRIVATE | FIXED), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_DATA, PAGE);
	assert_int_equal(map_posix(T, PAGE, PROT_RW, PRIVATE | FIXED), -VMEM_ENOMEM);
	assert_int_equal(map_posix(T, PAGE, R, PRIVATE | FIXED), 0);
	assert_int_equal(protect_posix(T, PAGE, PROT_RW), -VMEM_ENOMEM);
	assert_int_equal(map_posix(T + PAGE, PAGE, VMEM_PROT_NONE, PRIVATE | FIXED), 0);
	assert_int_equal(map_posix(T + PAGES(2), PAGE, PROT_RW, SHARED | FIXED), 0);
	assert_int_equal(map_posix(T + PAGES(5), PAGE, PROT_RW, STACK), 0);
	assert_int_equal(remap(B, PAGES(4), PAGES(5), VMEM_MREMAP_MAYMOVE), -VMEM_ENOMEM);
	assert_int_equal(
	    remap(B, PAGES(2), PAGES(2), VMEM_MREMAP_MAYMOVE | VMEM_MREMAP_DONTUNMAP), -VMEM_ENOMEM);
	assert_int_equal(vmem_posix_brk(&process, UINT64_C(0x10004000)), UINT64_C(0x10000000));
	assert_int_equal(map_posix(B + PAGES(2), PAGE, PROT_RW, PRIVATE | FIXED), -VMEM_ENOMEM);
	assert_int_equal(protect_posix(B, PAGE, R), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_DATA, PAGES(4096));
	assert_int_equal(protect_posix(T, PAGE, PROT_RW), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_DATA, UINT64_MAX);
	assert_int_equal(vmem_posix_brk(&process, UINT64_C(0x10004000)), UINT64_C(0x10004000));
	vmem_posix_set_limit(&process, VMEM_RLIMIT_DATA, PAGES(16));
	assert_int_equal(map_posix(T + PAGE, PAGE, PROT_RW, PRIVATE | FIXED), 0);
	assert_int_equal(unmap_posix(T + PAGE, PAGE), 0);
	assert_int_equal(protect_posix(T, PAGE, PROT_RW), 0);
	assert_int_equal(protect_posix(T, PAGE, R), 0);
	vmem_posix_set_limit(&process, (enum vmem_posix_limit)4, 0); /* CORE: none of ours */
	assert_int_equal(map_posix(T + PAGE, PAGE, R, PRIVATE | FIXED), 0);
	/* what is beyond the limit of all memory, too, is as it was before: no reason to refuse */
	vmem_posix_set_limit(&process, VMEM_RLIMIT_DATA, PAGE);
	assert_int_equal(protect_posix(T + PAGE, PAGE, PROT_RW), -VMEM_ENOMEM);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, stats_of(as).mapped);
	assert_int_equal(protect_posix(T + PAGE, PAGE, PROT_RW), 0);
	assert_int_equal(protect_posix(T + PAGE, PAGE, R), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, PAGE);
	assert_int_equal(protect_posix(T + PAGE, PAGE, PROT_RW), 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, UINT64_MAX);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_DATA, PAGE); /* down is over the limit as well */
	assert_int_equal(vmem_posix_brk(&process, UINT64_C(0x10002000)), UINT64_C(0x10004000));
	assert_int_equal(vmem_posix_brk(&process, UINT64_C(0x10001000)), UINT64_C(0x10001000));
}

/* Each step takes what it makes writable and no more, and all of it comes back. */
static void promises(void **state)
{
	(void)state;
	const uint64_t none = vmem_commit_promised();
#define PROMISED(pages) assert_int_equal(vmem_commit_promised() - none, PAGES(pages))
	assert_int_equal(map_posix(B, PAGES(8), PROT_RW, PRIVATE | FIXED), 0);
	PROMISED(8);
	assert_int_equal(map_posix(T, PAGES(8), R, PRIVATE | FIXED), 0);
	PROMISED(8);
	assert_int_equal(protect_posix(T + PAGES(2), PAGES(3), PROT_RW), 0);
	PROMISED(11);
	put(as, 0, T + PAGES(2), 1);
	assert_int_equal(protect_posix(T + PAGES(2), PAGES(3), R), 0);
	PROMISED(11); /* what has a page keeps it; */
	assert_int_equal(protect_posix(T, PAGES(8), PROT_RW), 0); /* not twice */
	PROMISED(16);
	assert_int_equal(protect_posix(T + PAGES(3), PAGES(2), VMEM_PROT_NONE), 0);
	PROMISED(14); /* what has none gives it back */
	assert_int_equal(protect_posix(T + PAGES(3), PAGES(2), PROT_RW), 0);
	PROMISED(16);
	assert_int_equal(map_posix(B + PAGES(2), PAGES(2), PROT_RW, PRIVATE | FIXED), 0);
	PROMISED(16);
	assert_int_equal(map_posix(B + PAGES(4), PAGES(2), R, PRIVATE | FIXED), 0);
	PROMISED(14);
	assert_int_equal(unmap_posix(B + PAGES(6), PAGES(1)), 0);
	PROMISED(13);
	assert_int_equal(
	    map_posix(B + PAGES(16), PAGES(4), PROT_RW, PRIVATE | FIXED | VMEM_MMAP_NORESERVE), 0);
	assert_int_equal(protect_posix(B + PAGES(16), PAGES(1), R), 0);
	assert_int_equal(protect_posix(B + PAGES(16), PAGES(1), PROT_RW), 0);
	PROMISED(13);
	assert_int_equal(map_posix(B + PAGES(32), PAGES(4), PROT_RW, SHARED | FIXED), 0);
	PROMISED(17);
	assert_int_equal(unmap_posix(B + PAGES(32), PAGES(1)), 0); /* the object is there as a whole */
	PROMISED(17);
	assert_int_equal(unmap_posix(B + PAGES(32), PAGES(4)), 0);
	PROMISED(13);
	assert_int_equal(remap(T, PAGES(8), PAGES(11), 0), 0);
	PROMISED(16);
	assert_int_equal(remap(T, PAGES(11), PAGES(2), 0), 0);
	PROMISED(7);
	assert_int_equal(remap(T, PAGES(2), PAGES(2), VMEM_MREMAP_MAYMOVE | VMEM_MREMAP_DONTUNMAP), 0);
	PROMISED(9);
	assert_int_equal(map_posix(T + PAGES(8192), PAGES(1), PROT_RW, STACK), 0);
	put(as, 0, T + PAGES(8190), 1);
	PROMISED(12);
	assert_int_equal(vmem_posix_brk(&process, UINT64_C(0x10004000)), UINT64_C(0x10004000));
	PROMISED(16);
	assert_int_equal(
	    map_posix(B + PAGES(32), PAGES(4), PROT_RW, SHARED | FIXED | VMEM_MMAP_NORESERVE), 0);
	PROMISED(16);
	assert_int_equal(unmap_posix(B + PAGES(32), PAGES(4)), 0);
	struct vmem_aspace *child;
	assert_int_equal(vmem_aspace_fork(as, &child), VMEM_OK);
	PROMISED(32);
	vmem_aspace_destroy(child);
	PROMISED(16);
}

static void modes(void **state)
{
	const uint64_t all = frames_now().total * PAGE;
	const int move = VMEM_MREMAP_MAYMOVE;
	struct vmem_aspace *child;
	(void)state;
	assert_int_equal(map_posix(B, PAGES(4), PROT_RW, PRIVATE | FIXED), 0);
	for (unsigned mode = 0; mode < 2; mode++) {
		vmem_commit_set((enum vmem_overcommit)mode, 0);
		int big = mode == 0 ? -VMEM_ENOMEM : 0;
		assert_int_equal(map_posix(T, 2 * all, PROT_RW, PRIVATE | FIXED), big);
		assert_int_equal(map_posix(T, 2 * all, PROT_RW, PRIVATE | FIXED | VMEM_MMAP_NORESERVE), 0);
		assert_int_equal(map_posix(T, 2 * all, R, PRIVATE | FIXED), 0);
		assert_int_equal(protect_posix(T, 2 * all, PROT_RW), big);
		assert_int_equal(map_posix(T, 2 * all, PROT_RW, SHARED | FIXED), big);
		assert_int_equal(unmap_posix(T, 2 * all), 0);
		assert_int_equal(remap(B, PAGES(4), 2 * all, move), big);
		if (big) {
			assert_int_equal(map_posix(T, all / 2, PROT_RW, PRIVATE | FIXED), 0);
			assert_int_equal(map_posix(T + all / 2, all - PAGE, PROT_RW, PRIVATE | FIXED), 0);
		}
		assert_int_equal(unmap_posix(0, vmem_aspace_user_size()), 0);
		assert_int_equal(vmem_commit_promised(), 0);
		assert_int_equal(map_posix(B, PAGES(4), PROT_RW, PRIVATE | FIXED), 0);
	}
	vmem_commit_set(VMEM_OVERCOMMIT_NEVER, PAGES(20));
	assert_int_equal(
	    map_posix(T, PAGES(16), PROT_RW, PRIVATE | FIXED), -VMEM_ENOMEM); /* below it, not up to it */
	assert_int_equal(map_posix(T, PAGES(15), PROT_RW, PRIVATE | FIXED | VMEM_MMAP_NORESERVE), 0);
	assert_int_equal(map_posix(T, PAGES(15), PROT_RW, PRIVATE | FIXED), 0); /* in place of that */
	assert_int_equal(map_posix(T + PAGES(32), PAGE, PROT_RW, PRIVATE | FIXED), -VMEM_ENOMEM);
	assert_int_equal(map_posix(T + PAGES(32), PAGE, R, PRIVATE | FIXED), 0);
	uint64_t before = core_state();
	assert_int_equal(protect_posix(T + PAGES(32), PAGE, PROT_RW), -VMEM_ENOMEM);
	assert_int_equal(vmem_posix_brk(&process, UINT64_C(0x10004000)), UINT64_C(0x10000000));
	assert_int_equal(remap(B, PAGES(4), PAGES(5), move), -VMEM_ENOMEM);
	assert_int_equal(vmem_aspace_fork(as, &child), VMEM_ERR_NO_MEMORY);
	assert_int_equal(core_state(), before);
	assert_int_equal(vmem_commit_promised(), PAGES(19));
	assert_int_equal(unmap_posix(T, PAGES(15)), 0);
	assert_int_equal(map_posix(T, PAGE, PROT_RW, STACK), 0);
	put(as, 0, T - PAGES(2), 1);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, T - PAGES(15), MACHINE_WRITE);
}

#define POSIX(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    POSIX(stack_grows),
	    POSIX(stack_and_neighbour),
	    POSIX(gap_and_places),
	    POSIX(what_grows),
	    POSIX(stack_limit),
	    POSIX(locked_stack_limit),
	    POSIX(stack_bounds),
	    POSIX(heap_and_stack),
	    POSIX(limits_of_a_child),
	    POSIX(space_limit),
	    POSIX(data_limit),
	    POSIX(promises),
	    POSIX(modes),
	};
	return cmocka_run_group_tests_name("posix_limits", tests, NULL, NULL);
}
