/* SPDX-License-Identifier: MIT */
/*
 * test_posix_corners.c - the calls of posix.h and wx.h where a policy, the machine's size or a limit
 * decides: what programs seldom see.
 */
#include "core_fixture.h"

#include <vmem/posix.h>
#include <vmem/wx.h>

#define R VMEM_PROT_READ
#define PROT_RW (VMEM_PROT_READ | VMEM_PROT_WRITE)
#define PRIVATE (VMEM_MMAP_PRIVATE | VMEM_MMAP_ANONYMOUS)
#define HUGETLB 0x40000
#define LOW_TOP ((UINT64_C(1) << 47) - PAGE) /* placement ends there unless the program names more */

static struct vmem_aspace *as;
static struct vmem_posix process;

static void start_with(const struct vmem_aspace_config *config, const struct vmem_posix_policy *policy)
{
	(void)core_setup(NULL);
	as = space_with(config);
	run(0, as);
	vmem_posix_init(&process, as, policy, UINT64_C(0x10000123));
}

static void stop(void)
{
	step();
	end(as);
	(void)core_teardown(NULL);
}

static int do_map(uint64_t address, uint64_t length, int flags, uint64_t *out)
{
	*out = 0;
	return vmem_posix_mmap(&process, address, length, PROT_RW, flags, out);
}

static uint64_t resident(void)
{
	struct vmem_aspace_stats stats;
	vmem_aspace_stats(as, &stats);
	return stats.resident;
}

/* A space that begins above the lowest address of the policy; a policy without limits. */
static void bounds_of_the_space(void **state)
{
	const struct vmem_aspace_config config = {
	    .start = UINT64_C(0x100000), .length = UINT64_C(0x40000000)};
	const struct vmem_posix_policy policy = {.mmap_min = 65536};
	const uint64_t end = config.start + config.length;
	uint64_t at;
	(void)state;
	start_with(&config, &policy);
	assert_int_equal(do_map(65536, PAGE, PRIVATE | VMEM_MMAP_FIXED, &at), -VMEM_EPERM);
	assert_int_equal(do_map(4096, PAGE, PRIVATE | VMEM_MMAP_FIXED, &at), -VMEM_EPERM);
	assert_int_equal(do_map(end - PAGE, 2 * PAGE, PRIVATE | VMEM_MMAP_FIXED, &at), -VMEM_ENOMEM);
	assert_int_equal(do_map(UINT64_MAX - PAGE + 1, PAGE, PRIVATE | VMEM_MMAP_FIXED, &at), -VMEM_ENOMEM);
	for (uint64_t i = 0; i < 70000; i++) { /* more than Linux's preset allows */
		uint64_t want = config.start + 2 * i * PAGE;
		machine_operation();
		assert_int_equal(do_map(want, PAGE, PRIVATE | VMEM_MMAP_FIXED_NOREPLACE, &at), 0);
	}
	const uint64_t rest = 0 - config.start; /* all there is above the start, and so to where it wraps */
	assert_int_equal(vmem_posix_mprotect(&process, config.start, rest - PAGE, R), -VMEM_ENOMEM);
	assert_int_equal(vmem_posix_mprotect(&process, config.start, rest, R), -VMEM_ENOMEM);
	stop();
}

/* A hint that ends above the usual ceiling is the program's own wish. */
static void hints_across_the_ceiling(void **state)
{
	const struct vmem_aspace_config config = {0};
	uint64_t at;
	(void)state;
	start_with(&config, &vmem_posix_linux);
	const uint64_t top = vmem_aspace_user_size();
	assert_int_equal(do_map(LOW_TOP - PAGE, 2 * PAGE, PRIVATE, &at), 0);
	if (top > LOW_TOP + 2 * PAGE) {
		assert_int_equal(at, LOW_TOP - PAGE);
	} else {
		assert_true(at + 2 * PAGE <= top);
	}
	assert_int_equal(do_map(0, PAGE, PRIVATE, &at), 0);
	assert_true(at + PAGE <= LOW_TOP);
	stop();
}

static void populate(void **state)
{
	const struct vmem_aspace_config config = {0};
	uint64_t at, word;
	(void)state;
	start_with(&config, &vmem_posix_linux);
	assert_int_equal(do_map(0, 8 * PAGE, PRIVATE | VMEM_MMAP_POPULATE, &at), 0);
	assert_int_equal(resident(), 8);
	word = 5;
	assert_true(machine_access(0, at + 7 * PAGE, MACHINE_WRITE, MACHINE_USER, &word, 8).ok);
	assert_int_equal(do_map(0, 8 * PAGE, PRIVATE | VMEM_MMAP_POPULATE | VMEM_MMAP_NONBLOCK, &at), 0);
	assert_int_equal(resident(), 8);
	stop();
}

/* The break would have to cut a region in two, and the limit of regions is reached: it stays. */
static void break_at_the_limit(void **state)
{
	const struct vmem_aspace_config config = {0};
	const struct vmem_posix_policy policy = {.max_regions = 1, .mmap_min = 65536};
	const uint64_t up = UINT64_C(0x10001000);
	uint64_t at;
	(void)state;
	start_with(&config, &policy);
	assert_int_equal(vmem_posix_brk(&process, up + 4 * PAGE), up + 4 * PAGE);
	assert_int_equal(
	    do_map(up + 4 * PAGE, PAGE, PRIVATE | VMEM_MMAP_FIXED_NOREPLACE, &at), 0); /* merges */
	assert_int_equal(vmem_posix_brk(&process, up + PAGE), up + 4 * PAGE);
	assert_int_equal(vmem_posix_munmap(&process, up + 4 * PAGE, PAGE), 0);
	assert_int_equal(vmem_posix_brk(&process, up + PAGE), up + PAGE);
	stop();
}

/* What is placed lies below mmap_top while there is room, and above it then; a hint counts anywhere. */
static void below_the_stack(void **state)
{
	const struct vmem_aspace_config config = {.start = UINT64_C(0x100000), .length = 64 * PAGE};
	const uint64_t top = config.start + 40 * PAGE;
	uint64_t at;
	(void)state;
	start_with(&config, &vmem_posix_linux);
	assert_int_equal(do_map(0, 4 * PAGE, PRIVATE, &at), 0);
	assert_int_equal(at, config.start + 60 * PAGE); /* none is set */
	process.mmap_top = top;
	assert_int_equal(do_map(0, 30 * PAGE, PRIVATE, &at), 0);
	assert_int_equal(at, top - 30 * PAGE);
	assert_int_equal(do_map(top + 8 * PAGE, PAGE, PRIVATE, &at), 0);
	assert_int_equal(at, top + 8 * PAGE);
	assert_int_equal(do_map(top + 8 * PAGE, PAGE, PRIVATE, &at), 0);
	assert_int_equal(at, top - 31 * PAGE);
	assert_int_equal(do_map(0, 11 * PAGE, PRIVATE, &at), 0);
	assert_int_equal(at, top + 9 * PAGE); /* 9 pages are left below, 11 above */
	process.mmap_top = UINT64_MAX; /* beyond the space: as if none were set */
	assert_int_equal(do_map(0, 8 * PAGE, PRIVATE, &at), 0);
	assert_int_equal(at, top);
	stop();
}

/* MAP_32BIT and MAP_ABOVE4G: where they differ from what programs see on Linux, there is nothing. */
static void parts_of_the_space(void **state)
{
	const struct vmem_aspace_config config = {0};
	const uint64_t gib = UINT64_C(1) << 30;
	uint64_t at;
	(void)state;
	start_with(&config, &vmem_posix_linux);
	process.mmap_top = 3 * gib;
	assert_int_equal(do_map(0, PAGE, PRIVATE | VMEM_MMAP_32BIT, &at), 0);
	assert_int_equal(at, gib);
	assert_int_equal(do_map(0, gib, PRIVATE | VMEM_MMAP_32BIT, &at), -VMEM_ENOMEM);
	assert_int_equal(do_map(gib / 2, PAGE, PRIVATE | VMEM_MMAP_32BIT, &at), 0);
	assert_int_equal(at, gib / 2);
	assert_int_equal(do_map(2 * gib, PAGE, PRIVATE | VMEM_MMAP_32BIT, &at), 0);
	assert_int_equal(at, gib + PAGE);
	assert_int_equal(do_map(0, PAGE, PRIVATE | VMEM_MMAP_ABOVE4G, &at), 0);
	assert_true(at >= 4 * gib);
	assert_int_equal(do_map(2 * gib, PAGE, PRIVATE | VMEM_MMAP_ABOVE4G, &at), 0);
	assert_int_equal(at, 2 * gib);
	stop();
}

/* MAP_DROPPABLE: wiped on fork, never promised, never locked, not with a lock or a stack. */
static void droppable(void **state)
{
	const struct vmem_aspace_config config = {0};
	const int flags = VMEM_MMAP_DROPPABLE | VMEM_MMAP_ANONYMOUS;
	const uint32_t all = VMEM_REGION_DROPPABLE | VMEM_REGION_NO_RESERVE | VMEM_REGION_WIPE_ON_FORK |
			     VMEM_REGION_NO_DUMP;
	struct vmem_region_info info;
	uint64_t at;
	(void)state;
	start_with(&config, &vmem_posix_linux);
	assert_int_equal(do_map(0, PAGE, flags | VMEM_MMAP_LOCKED, &at), -VMEM_EINVAL);
	assert_int_equal(do_map(0, PAGE, flags | VMEM_MMAP_GROWSDOWN, &at), -VMEM_EINVAL);
	assert_int_equal(do_map(0, PAGE, flags | HUGETLB, &at), -VMEM_EINVAL);
	assert_int_equal(do_map(0, PAGE, PRIVATE | HUGETLB, &at), -VMEM_EINVAL); /* to whatever memory */
	assert_int_equal(do_map(0, 2 * PAGE, flags, &at), 0);
	assert_int_equal(vmem_posix_mlock(&process, at, PAGE), 0);
	assert_int_equal(vmem_posix_mlockall(&process, VMEM_MCL_CURRENT), 0);
	assert_int_equal(vmem_posix_madvise(&process, at, PAGE, VMEM_MADV_KEEPONFORK), -VMEM_EINVAL);
	assert_int_equal(vmem_posix_madvise(&process, at, PAGE, VMEM_MADV_DODUMP), -VMEM_EINVAL);
	assert_int_equal(vmem_posix_madvise(&process, at, PAGE, VMEM_MADV_WIPEONFORK), 0);
	assert_true(vmem_region_next(as, at, &info));
	assert_int_equal(info.attributes, all);
	assert_int_equal(vmem_vmar_set_attributes(vmem_aspace_root(as), at, PAGE, 0, VMEM_REGION_DROPPABLE),
	    VMEM_ERR_INVALID);
	stop();
}

/* The entry of document 000: lengths that no address space has, and a space without W^X. */
static void document_000(void **state)
{
	struct vmem_aspace_config config = {.wx = true};
	uint64_t at;
	(void)state;
	start_with(&config, &vmem_posix_linux);
	assert_int_equal(vmem_wx_mmap(as, 0, UINT64_MAX, VMEM_READ, &at), VMEM_ERR_INVALID);
	assert_int_equal(vmem_wx_mmap(as, 0, PAGE, 8, &at), VMEM_ERR_INVALID);
	assert_int_equal(vmem_wx_mmap(as, 0, PAGE, VMEM_READ, &at), VMEM_OK);
	assert_int_equal(vmem_wx_munmap(as, at, UINT64_MAX), VMEM_ERR_INVALID);
	assert_int_equal(vmem_wx_munmap(as, at + 1, UINT64_MAX - PAGE + 1), VMEM_ERR_INVALID);
	assert_int_equal(vmem_wx_mprotect(as, at, UINT64_MAX - 1, VMEM_READ), VMEM_ERR_INVALID);
	assert_int_equal(vmem_wx_mprotect(as, at, PAGE, 8), VMEM_ERR_INVALID);
	assert_int_equal(vmem_wx_mprotect(as, at, PAGE, VMEM_WRITE), VMEM_OK);
	stop();
	config.wx = false;
	start_with(&config, &vmem_posix_linux);
	assert_int_equal(vmem_wx_mmap(as, 0, PAGE, VMEM_READ, &at), VMEM_ERR_INVALID);
	assert_int_equal(do_map(0, PAGE, PRIVATE, &at), 0);
	assert_int_equal(vmem_wx_mprotect(as, at, PAGE, VMEM_READ), VMEM_ERR_INVALID);
	stop();
}

/* By policy an mprotect that fails has changed nothing, whatever refuses; one that does not is as ever. */
static void protect_atomically(void **state)
{
	struct vmem_aspace_config config = {0};
	struct vmem_posix_policy policy = vmem_posix_linux;
	const uint64_t w = UINT64_C(0x20000000);
	uint64_t at;
	(void)state;
	policy.atomic_protect = true;
	start_with(&config, &policy);
	assert_int_equal(do_map(w, PAGES(3), PRIVATE | VMEM_MMAP_FIXED, &at), 0);
	assert_int_equal(do_map(w + PAGES(4), PAGES(2), PRIVATE | VMEM_MMAP_FIXED, &at), 0);
	fill(as, w, 3, 1);
	REFUSED(-VMEM_ENOMEM, vmem_posix_mprotect(&process, w + PAGE, PAGES(4), R)); /* a hole */
	REFUSED(-VMEM_ENOMEM, vmem_posix_mprotect(&process, w + PAGES(5), PAGES(2), 0));
	REFUSED(-VMEM_ENOMEM, vmem_posix_mprotect(&process, w - PAGE, PAGES(2), 0));
	assert_int_equal(vmem_posix_mseal(&process, w + PAGES(2), PAGE, 0), 0);
	REFUSED(-VMEM_EPERM, vmem_posix_mprotect(&process, w, PAGES(3), R));
	assert_int_equal(vmem_posix_mprotect(&process, w, PAGE, R), 0);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, w, MACHINE_WRITE);
	assert_int_equal(vmem_posix_mprotect(&process, w, PAGES(2), PROT_RW), 0); /* two regions */
	put(as, 0, w, 7);
	assert_int_equal(get(as, 0, w + PAGE), 2);
	process.policy.atomic_protect = false;
	assert_int_equal(vmem_posix_mprotect(&process, w, PAGES(3), R), -VMEM_EPERM);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, w, MACHINE_WRITE); /* Linux: what comes before is changed */
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bounds_of_the_space),
	    cmocka_unit_test(hints_across_the_ceiling),
	    cmocka_unit_test(populate),
	    cmocka_unit_test(break_at_the_limit),
	    cmocka_unit_test(below_the_stack),
	    cmocka_unit_test(parts_of_the_space),
	    cmocka_unit_test(droppable),
	    cmocka_unit_test(document_000),
	    cmocka_unit_test(protect_atomically),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
