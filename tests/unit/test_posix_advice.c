/* SPDX-License-Identifier: MIT */
/*
 * test_posix_advice.c - madvise, mincore, msync and mseal. What is expected was answered by Linux 6.18 on
 * x86-64 for the same calls, large pages and same-page merging apart, which this library does not know yet.
 */
#include "posix_fixture.h"

static int advise(uint64_t page, uint64_t pages, int advice)
{
	return vmem_posix_madvise(&process, W + PAGES(page), PAGES(pages), advice);
}

static void ranges(void **state)
{
	(void)state;
	make_window();
	static const int unknown[] = {5, 6, 7, 12, 13, 14, 15, 25, 26, 99, 100, 101, 104, -1};
	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		ERRNO(VMEM_EINVAL, advise(0, 1, unknown[i]));
		ERRNO(VMEM_EINVAL, advise(0, 0, unknown[i]));
	}
	ERRNO(VMEM_EINVAL, vmem_posix_madvise(&process, W + 1, PAGE, VMEM_MADV_DONTNEED));
	ERRNO(VMEM_EINVAL, vmem_posix_madvise(&process, W + 1, 0, VMEM_MADV_DONTNEED));
	ERRNO(VMEM_EINVAL, vmem_posix_madvise(&process, W, UINT64_MAX, VMEM_MADV_DONTNEED));
	ERRNO(VMEM_EINVAL, vmem_posix_madvise(&process, W, UINT64_MAX - 2 * PAGE + 1, VMEM_MADV_DONTNEED));
	DONE(vmem_posix_madvise(&process, PAGE, 0, VMEM_MADV_DONTNEED));
	ERRNO(VMEM_ENOMEM, vmem_posix_madvise(&process, UINT64_C(1) << 63, PAGE, VMEM_MADV_DONTNEED));
	ERRNO(VMEM_ENOMEM, vmem_posix_madvise(&process, UINT64_C(1) << 63, PAGE, VMEM_MADV_POPULATE_READ));
	expect(as, W, 6, 1);
	DONE(vmem_posix_munmap(&process, W + PAGES(2), PAGE));
	assert_int_equal(advise(1, 3, VMEM_MADV_DONTNEED), -VMEM_ENOMEM); /* and both sides are empty */
	assert_int_equal(get(as, 0, W + PAGES(1)), 0);
	assert_int_equal(get(as, 0, W + PAGES(3)), 0);
	expect(as, W, 1, 1);
	assert_int_equal(advise(4, 5, VMEM_MADV_FREE), -VMEM_ENOMEM);
	assert_int_equal(get(as, 0, W + PAGES(5)), 0);
	DONE(vmem_posix_madvise(&process, W, 1, VMEM_MADV_DONTNEED)); /* a length is rounded up */
	assert_int_equal(get(as, 0, W), 0);
	step();
}

static void attributes(void **state)
{
	static const struct {
		int on, off;
		uint32_t bit;
	} pairs[] = {
	    {VMEM_MADV_RANDOM, VMEM_MADV_NORMAL, VMEM_REGION_RANDOM},
	    {VMEM_MADV_SEQUENTIAL, VMEM_MADV_NORMAL, VMEM_REGION_SEQUENTIAL},
	    {VMEM_MADV_DONTFORK, VMEM_MADV_DOFORK, VMEM_REGION_NO_FORK},
	    {VMEM_MADV_WIPEONFORK, VMEM_MADV_KEEPONFORK, VMEM_REGION_WIPE_ON_FORK},
	    {VMEM_MADV_DONTDUMP, VMEM_MADV_DODUMP, VMEM_REGION_NO_DUMP},
	};
	(void)state;
	make_window();
	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		DONE(advise(1, 2, pairs[i].on));
		assert_int_equal(regions(as), 3);
		assert_int_equal(attributes_at(0), 0);
		assert_int_equal(attributes_at(2), pairs[i].bit);
		DONE(advise(0, 6, pairs[i].off));
		assert_int_equal(regions(as), 1);
		assert_int_equal(attributes_at(2), 0);
	}
	DONE(advise(0, 6, VMEM_MADV_RANDOM));
	DONE(advise(0, 6, VMEM_MADV_SEQUENTIAL));
	assert_int_equal(attributes_at(0), VMEM_REGION_SEQUENTIAL);
	DONE(advise(0, 6, VMEM_MADV_RANDOM));
	assert_int_equal(attributes_at(0), VMEM_REGION_RANDOM);
	expect(as, W, 6, 1);
	as->max_regions = 1; /* no room for a split */
	ERRNO(VMEM_EAGAIN, advise(1, 1, VMEM_MADV_DONTDUMP));
	as->max_regions = 65530;
	assert_int_equal(regions(as), 1);
	(void)mapped(8, 2, PROT_RW, SHARED);
	ERRNO(VMEM_EINVAL, advise(8, 1, VMEM_MADV_WIPEONFORK));
	DONE(advise(8, 1, VMEM_MADV_DONTFORK));
	DONE(advise(8, 2, VMEM_MADV_WILLNEED));
	DONE(advise(0, 6, VMEM_MADV_COLD));
	DONE(advise(0, 6, VMEM_MADV_PAGEOUT));
	expect(as, W, 6, 1);
}

static bool allows_all_but_decommit(void *context, const struct vmem_access_request *request)
{
	(void)context;
	return request->operation != VMEM_OPERATION_DECOMMIT;
}

static const struct vmem_access_control no_decommit = {.allows = allows_all_but_decommit};

static void giving_back(void **state)
{
	(void)state;
	make_window();
	(void)mapped(8, 4, PROT_RW, SHARED);
	fill(as, W + PAGES(8), 4, 80);
	DONE(advise(8, 4, VMEM_MADV_DONTNEED)); /* the object keeps it */
	expect(as, W + PAGES(8), 4, 80);
	ERRNO(VMEM_EINVAL, advise(8, 1, VMEM_MADV_FREE));
	as->access = &no_decommit; /* a hole is content that goes, whose object it may be in */
	ERRNO(VMEM_EACCES, advise(9, 1, VMEM_MADV_REMOVE));
	as->access = NULL;
	DONE(advise(9, 1, VMEM_MADV_REMOVE));
	assert_int_equal(get(as, 0, W + PAGES(9)), 0);
	expect(as, W + PAGES(10), 2, 82);
	DONE(vmem_posix_mprotect(&process, W + PAGES(8), PAGES(4), VMEM_PROT_READ));
	DONE(advise(10, 1, VMEM_MADV_REMOVE)); /* what it might be granted counts */
	assert_int_equal(get(as, 0, W + PAGES(10)), 0);
	ERRNO(VMEM_EINVAL, advise(0, 1, VMEM_MADV_REMOVE));
	DONE(advise(0, 2, VMEM_MADV_DONTNEED));
	DONE(advise(2, 2, VMEM_MADV_FREE));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(get(as, 0, W + PAGES(i)), 0);
	}
	DONE(advise(4, 1, VMEM_MADV_DONTNEED_LOCKED));
	assert_int_equal(get(as, 0, W + PAGES(4)), 0);
	expect(as, W + PAGES(5), 1, 6);
}

/* Of objects: a private view, one that may never write, one past its end, and frames of the host's. */
static void of_objects(void **state)
{
	struct vmem_object *o = anonymous(2, 0), *fixed;
	struct vmem_map map = {.length = PAGES(4),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = W,
	    .object = o};
	uint64_t at;
	(void)state;
	poke(o, 0, 5);
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	ERRNO(VMEM_EACCES, advise(0, 1, VMEM_MADV_REMOVE));
	ERRNO(VMEM_EINVAL, advise(0, 1, VMEM_MADV_FREE));
	put(as, 0, W, 6);
	DONE(advise(0, 2, VMEM_MADV_DONTNEED));
	assert_int_equal(get(as, 0, W), 5);
	assert_int_equal(advise(0, 3, VMEM_MADV_POPULATE_READ), -VMEM_EFAULT);
	map.flags = VMEM_MAP_SHARED;
	map.permission = map.maximum = VMEM_READ;
	map.address = W + PAGES(4);
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	ERRNO(VMEM_EACCES, advise(4, 1, VMEM_MADV_REMOVE));
	map.permission = map.maximum = RW;
	map.address = W + PAGES(8);
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	DONE(advise(8, 4, VMEM_MADV_REMOVE)); /* its end lies in the middle */
	DONE(advise(10, 2, VMEM_MADV_REMOVE));
	assert_int_equal(peek(o, 0), 0);
	OK(vmem_object_create_contiguous(PAGES(4), PAGE, UINT64_MAX, VMEM_WRITE_BACK, &fixed));
	map.object = fixed;
	map.address = W + PAGES(12);
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	static const int refused[] = {VMEM_MADV_DONTNEED, VMEM_MADV_DONTNEED_LOCKED, VMEM_MADV_FREE,
	    VMEM_MADV_COLD, VMEM_MADV_PAGEOUT, VMEM_MADV_DOFORK, VMEM_MADV_DODUMP, VMEM_MADV_WIPEONFORK,
	    VMEM_MADV_GUARD_INSTALL, VMEM_MADV_GUARD_REMOVE, VMEM_MADV_POPULATE_READ,
	    VMEM_MADV_POPULATE_WRITE};
	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		ERRNO(VMEM_EINVAL, advise(12, 1, refused[i]));
	}
	ERRNO(VMEM_ENODEV, advise(12, 1, VMEM_MADV_REMOVE));
	DONE(advise(12, 1, VMEM_MADV_DONTFORK));
	release(fixed);
	release(o);
}

static void populating(void **state)
{
	struct vmem_translation t;
	(void)state;
	(void)mapped(0, 6, PROT_RW, PRIVATE);
	DONE(advise(0, 2, VMEM_MADV_POPULATE_READ));
	assert_true(vmem_aspace_translate(as, W + PAGE, &t));
	assert_false(t.permission & VMEM_WRITE);
	DONE(advise(1, 2, VMEM_MADV_POPULATE_WRITE));
	assert_true(vmem_aspace_translate(as, W + PAGE, &t));
	assert_true(t.permission & VMEM_WRITE);
	assert_true(vmem_aspace_translate(as, W + PAGES(2), &t));
	assert_false(vmem_aspace_translate(as, W + PAGES(3), &t));
	DONE(vmem_posix_mprotect(&process, W + PAGES(4), PAGE, VMEM_PROT_READ));
	assert_int_equal(advise(3, 2, VMEM_MADV_POPULATE_WRITE), -VMEM_EINVAL);
	assert_true(vmem_aspace_translate(as, W + PAGES(3), &t)); /* up to there */
	DONE(vmem_posix_mprotect(&process, W + PAGES(4), PAGE, VMEM_PROT_WRITE));
	ERRNO(VMEM_EINVAL, advise(4, 1, VMEM_MADV_POPULATE_READ));
	DONE(vmem_posix_mprotect(&process, W + PAGES(4), PAGE, 0));
	ERRNO(VMEM_EINVAL, advise(4, 1, VMEM_MADV_POPULATE_READ));
	assert_int_equal(advise(5, 2, VMEM_MADV_POPULATE_READ), -VMEM_ENOMEM);
	machine_fail_at(1);
	int answer = 0;
	for (unsigned n = 0; n < 64 && answer == 0; n++) { /* frames at hand do not fail */
		(void)mapped(16, 4, PROT_RW, PRIVATE);
		machine_fail_at(1);
		answer = advise(16, 4, VMEM_MADV_POPULATE_WRITE);
	}
	machine_fail_at(0);
	assert_int_equal(answer, -VMEM_ENOMEM);
}

static void guards(void **state)
{
	(void)state;
	make_window();
	DONE(advise(1, 2, VMEM_MADV_GUARD_INSTALL));
	DENIED(VMEM_FAULT_GUARD, as, 0, W + PAGES(1), MACHINE_READ);
	assert_int_equal(advise(0, 3, VMEM_MADV_POPULATE_READ), -VMEM_EFAULT);
	DONE(advise(0, 6, VMEM_MADV_DONTNEED));
	DENIED(VMEM_FAULT_GUARD, as, 0, W + PAGES(2), MACHINE_WRITE);
	assert_int_equal(vmem_posix_mlock(&process, W, PAGES(3)), -VMEM_ENOMEM); /* locked, though */
	assert_int_equal(stats_of(as).locked, PAGES(3));
	ERRNO(VMEM_EINVAL, advise(0, 1, VMEM_MADV_GUARD_INSTALL));
	DONE(advise(0, 6, VMEM_MADV_GUARD_REMOVE));
	assert_int_equal(get(as, 0, W + PAGES(2)), 0);
}

static void in_core(void **state)
{
	const uint64_t vector = W + PAGES(5) + 100;
	uint64_t seen = 0;
	(void)state;
	(void)mapped(0, 6, PROT_RW, PRIVATE);
	put(as, 0, W + PAGE, 1);
	(void)get(as, 0, W + PAGES(2));
	put(as, 0, W + PAGES(5), 1);
	DONE(vmem_posix_mincore(&process, W, PAGES(5) - 1, vector));
	assert_int_equal(vmem_copy_from_user(as, &seen, vector, 8), 8);
	assert_int_equal(seen, UINT64_C(0x0000000000010100));
	ERRNO(VMEM_EINVAL, vmem_posix_mincore(&process, W + 1, PAGE, vector));
	ERRNO(VMEM_ENOMEM, vmem_posix_mincore(&process, UINT64_C(1) << 63, 0, vector));
	ERRNO(VMEM_ENOMEM, vmem_posix_mincore(&process, W, UINT64_MAX, vector));
	ERRNO(VMEM_EFAULT, vmem_posix_mincore(&process, W, PAGE, UINT64_C(1) << 63));
	ERRNO(VMEM_EFAULT, vmem_posix_mincore(&process, W, PAGE, 1));
	ERRNO(VMEM_EFAULT, vmem_posix_mincore(&process, W, PAGES(2), vmem_aspace_user_size() - 1));
	ERRNO(VMEM_ENOMEM, vmem_posix_mincore(&process, W - PAGE, PAGE, vector));
	DONE(vmem_posix_mincore(&process, W - PAGE, 0, 1));
	put(as, 0, vector & ~UINT64_C(7), UINT64_MAX);
	assert_int_equal(vmem_posix_mincore(&process, W + PAGES(4), PAGES(3), vector & ~UINT64_C(7)),
	    -VMEM_ENOMEM); /* and what comes before the hole is told */
	assert_int_equal(get(as, 0, vector & ~UINT64_C(7)), UINT64_C(0xffffffffffff0100));
	(void)mapped(100, 600, PROT_RW, PRIVATE); /* more than a piece */
	put(as, 0, W + PAGES(100 + 299), 1);
	DONE(vmem_posix_mincore(&process, W + PAGES(100), PAGES(600), W));
	assert_int_equal(vmem_copy_from_user(as, &seen, W + 296, 8), 8);
	assert_int_equal(seen, UINT64_C(0x01000000));
}

static void synchronizing(void **state)
{
	(void)state;
	make_window();
	static const struct {
		uint64_t address, length;
		int flags, answer;
	} rows[] = {
	    {W, PAGE, VMEM_MS_ASYNC | VMEM_MS_SYNC, -VMEM_EINVAL},
	    {W, PAGE, 8, -VMEM_EINVAL},
	    {W + 1, PAGE, VMEM_MS_SYNC, -VMEM_EINVAL},
	    {W, PAGE, 0, 0},
	    {W, PAGES(6), VMEM_MS_SYNC, 0},
	    {W, PAGES(6), VMEM_MS_ASYNC, 0},
	    {W, PAGES(7), VMEM_MS_SYNC, -VMEM_ENOMEM},
	    {W - PAGE, PAGES(2), VMEM_MS_ASYNC, -VMEM_ENOMEM},
	    {W - PAGE, PAGES(2), VMEM_MS_SYNC, -VMEM_ENOMEM},
	    {W - PAGES(2), PAGE, VMEM_MS_SYNC, -VMEM_ENOMEM},
	    {W, UINT64_MAX - 2 * PAGE + 1, VMEM_MS_SYNC, -VMEM_ENOMEM},
	    {W, UINT64_MAX, VMEM_MS_SYNC, 0},
	    {PAGE, 0, VMEM_MS_SYNC, 0},
	    {W, PAGE, VMEM_MS_INVALIDATE | VMEM_MS_SYNC, 0},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(vmem_posix_msync(&process, rows[i].address, rows[i].length, rows[i].flags),
		    rows[i].answer);
	}
	DONE(vmem_posix_mlock(&process, W + PAGE, PAGE));
	ERRNO(VMEM_EBUSY, vmem_posix_msync(&process, W, PAGES(2), VMEM_MS_INVALIDATE));
	DONE(vmem_posix_msync(&process, W, PAGE, VMEM_MS_INVALIDATE));
	expect(as, W, 6, 1);
}

static void sealing(void **state)
{
	uint64_t out;
	(void)state;
	make_window();
	ERRNO(VMEM_EINVAL, vmem_posix_mseal(&process, W, PAGE, 1));
	ERRNO(VMEM_EINVAL, vmem_posix_mseal(&process, W + 1, PAGE, 0));
	ERRNO(VMEM_EINVAL, vmem_posix_mseal(&process, W, UINT64_MAX, 0));
	ERRNO(VMEM_EINVAL, vmem_posix_mseal(&process, W, UINT64_MAX - 2 * PAGE + 1, 0));
	DONE(vmem_posix_mseal(&process, PAGE, 0, 0));
	ERRNO(VMEM_ENOMEM, vmem_posix_mseal(&process, W, PAGES(7), 0));
	DONE(vmem_posix_mprotect(&process, W + PAGE, PAGE, VMEM_PROT_READ));
	DONE(vmem_posix_mseal(&process, W, PAGES(2), 0));
	DONE(vmem_posix_mseal(&process, W, PAGES(2), 0));
	ERRNO(VMEM_EPERM, vmem_posix_munmap(&process, W, PAGES(6)));
	ERRNO(VMEM_EPERM, vmem_posix_mprotect(&process, W + PAGE, PAGE, VMEM_PROT_READ));
	ERRNO(VMEM_EPERM, vmem_posix_mmap(&process, W, PAGE, PROT_RW, PRIVATE | VMEM_MMAP_FIXED, &out));
	static const int discards[] = {VMEM_MADV_DONTNEED, VMEM_MADV_DONTNEED_LOCKED, VMEM_MADV_FREE,
	    VMEM_MADV_REMOVE, VMEM_MADV_DONTFORK, VMEM_MADV_WIPEONFORK, VMEM_MADV_GUARD_INSTALL};
	for (unsigned i = 0; i < sizeof(discards) / sizeof(discards[0]); i++) {
		ERRNO(VMEM_EPERM, advise(1, 1, discards[i]));
	}
	DONE(advise(1, 1, VMEM_MADV_DONTDUMP));
	DONE(advise(1, 1, VMEM_MADV_KEEPONFORK));
	DONE(advise(0, 1, VMEM_MADV_DONTNEED)); /* it could have written zeroes */
	assert_int_equal(get(as, 0, W), 0);
	expect(as, W + PAGE, 5, 2);
	uint64_t heap = vmem_posix_brk(&process, UINT64_C(0x10002000));
	assert_int_equal(heap, UINT64_C(0x10002000));
	DONE(vmem_posix_mseal(&process, UINT64_C(0x10001000), PAGE, 0));
	assert_int_equal(vmem_posix_brk(&process, UINT64_C(0x10000000)), heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(ranges),
	    CASE(attributes),
	    CASE(giving_back),
	    CASE(of_objects),
	    CASE(populating),
	    CASE(guards),
	    CASE(in_core),
	    CASE(synchronizing),
	    CASE(sealing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
