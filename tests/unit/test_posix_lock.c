/* SPDX-License-Identifier: MIT */
/*
 * test_posix_lock.c - mlock, mlock2, munlock, mlockall, munlockall and MAP_LOCKED. What is expected was
 * answered by Linux 6.18 on x86-64 for the same calls.
 */
#include "posix_fixture.h"

#define GROWSDOWN 0x01000000
#define GROWSUP 0x02000000

static bool entered(uint64_t page)
{
	struct vmem_translation t;
	return vmem_aspace_translate(as, W + PAGES(page), &t);
}

static bool copied(uint64_t page)
{
	struct vmem_translation t;
	return vmem_aspace_translate(as, W + PAGES(page), &t) && t.permission & VMEM_WRITE;
}

static int lock(uint64_t page, uint64_t pages)
{
	return vmem_posix_mlock(&process, W + PAGES(page), PAGES(pages));
}

static int unlock(uint64_t page, uint64_t pages)
{
	return vmem_posix_munlock(&process, W + PAGES(page), PAGES(pages));
}

static void ranges(void **state)
{
	(void)state;
	(void)mapped(0, 8, PROT_RW, PRIVATE);
	DONE(vmem_posix_mlock(&process, W + PAGE + 5, PAGE)); /* from its page to the page of its end */
	assert_int_equal(stats_of(as).locked, PAGES(2));
	assert_int_equal(regions(as), 3);
	assert_true(!entered(0) && copied(1) && copied(2) && !entered(3));
	DONE(lock(1, 2));
	assert_int_equal(stats_of(as).locked, PAGES(2));
	DONE(lock(0, 0));
	DONE(unlock(2, 0));
	assert_int_equal(lock(7, 2), -VMEM_ENOMEM); /* a hole behind: what lies before is locked */
	assert_int_equal(stats_of(as).locked, PAGES(3));
	ERRNO(VMEM_ENOMEM, vmem_posix_mlock(&process, W - PAGE, PAGES(2)));
	ERRNO(VMEM_ENOMEM, vmem_posix_munlock(&process, W - PAGE, PAGES(2)));
	ERRNO(VMEM_EINVAL, vmem_posix_munlock(&process, W, UINT64_MAX - PAGES(2)));
	ERRNO(VMEM_ENOMEM, vmem_posix_mlock(&process, W, UINT64_MAX - PAGES(2)));
	ERRNO(VMEM_EINVAL, vmem_posix_mlock2(&process, W, PAGE, 2));
	DONE(unlock(0, 8));
	assert_int_equal(stats_of(as).locked, 0);
	assert_int_equal(regions(as), 1);
	DONE(vmem_posix_mlock2(&process, W + PAGES(4), PAGES(2), VMEM_MLOCK_ONFAULT));
	assert_int_equal(attributes_at(4) & ~(unsigned)VMEM_REGION_ACCOUNT,
	    VMEM_REGION_LOCKED | VMEM_REGION_LOCK_ON_FAULT);
	assert_false(entered(4));
	DONE(vmem_posix_mlock2(&process, W + PAGES(4), PAGES(2), 0));
	assert_int_equal(attributes_at(4) & ~(unsigned)VMEM_REGION_ACCOUNT, VMEM_REGION_LOCKED);
	assert_true(copied(4));
}

/* What the pages are faulted in for. */
static void populating(void **state)
{
	(void)state;
	(void)mapped(0, 2, VMEM_PROT_READ, PRIVATE);
	(void)mapped(2, 2, 0, PRIVATE);
	(void)mapped(4, 2, PROT_RW, SHARED);
	DONE(lock(0, 2));
	assert_true(entered(0) && !copied(0));
	DONE(vmem_posix_mprotect(&process, W, PAGES(2), PROT_RW)); /* now a write would fault */
	assert_true(copied(0) && copied(1));
	assert_int_equal(lock(2, 2), -VMEM_ENOMEM); /* none can be had, and it is locked */
	assert_int_equal(stats_of(as).locked, PAGES(4));
	DONE(lock(4, 2));
	assert_true(entered(4) && entered(5));
	(void)mapped(6, 1, VMEM_PROT_WRITE, SHARED);
	DONE(lock(6, 1));
	assert_true(entered(6));
	(void)mapped(7, 1, VMEM_PROT_EXEC, PRIVATE);
	DONE(lock(7, 1));
	assert_true(entered(7));
	DONE(vmem_posix_mprotect(&process, W, PAGES(1), VMEM_PROT_READ)); /* nothing is to be copied */
	machine_fail_at(1);
	int answer = 0;
	for (unsigned n = 0; n < 64 && answer == 0; n++) {
		uint64_t out;
		machine_fail_at(0);
		assert_int_equal(vmem_posix_mmap(&process, W + PAGES(16), PAGES(4), PROT_RW,
				     PRIVATE | VMEM_MMAP_FIXED, &out),
		    0);
		(void)vmem_posix_mlock2(&process, W + PAGES(16), PAGES(4), VMEM_MLOCK_ONFAULT);
		machine_fail_at(1);
		answer = lock(16, 4);
	}
	machine_fail_at(0);
	assert_int_equal(answer, -VMEM_EAGAIN);
	/* Frames of the host's are there anyway, and not counted. */
	struct vmem_object *fixed;
	struct vmem_map map = {.length = PAGES(2),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = W + PAGES(40),
	    .flags = VMEM_MAP_SHARED};
	uint64_t at, before = stats_of(as).locked;
	OK(vmem_object_create_contiguous(PAGES(2), PAGE, UINT64_MAX, VMEM_WRITE_BACK, &fixed));
	map.object = fixed;
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	DONE(lock(40, 2));
	assert_int_equal(stats_of(as).locked, before);
	release(fixed);
}

static void limits(void **state)
{
	uint64_t out;
	(void)state;
	make_window();
	assert_int_equal(as->max_locked, UINT64_C(8) << 20);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, PAGES(4) + 5);
	ERRNO(VMEM_ENOMEM, lock(0, 5));
	ERRNO(VMEM_ENOMEM, lock(5, 20));
	DONE(lock(0, 3));
	DONE(lock(1, 3)); /* what is locked already does not count twice */
	ERRNO(VMEM_ENOMEM, lock(0, 5));
	ERRNO(VMEM_EAGAIN, vmem_posix_mmap(&process, 0, PAGE, PROT_RW, PRIVATE | VMEM_MMAP_LOCKED, &out));
	ERRNO(VMEM_EAGAIN, vmem_posix_mmap(&process, 0, PAGE, PROT_RW, VMEM_MMAP_ANONYMOUS | VMEM_MMAP_LOCKED,
			       &out)); /* before the type */
	ERRNO(VMEM_ENOMEM, vmem_posix_mlockall(&process, VMEM_MCL_CURRENT));
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, UINT64_MAX);
	DONE(lock(0, 5));
	DONE(vmem_posix_mlockall(&process, VMEM_MCL_CURRENT));
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, PAGES(4) + 5);
	DONE(vmem_posix_munlockall(&process));
	assert_int_equal(stats_of(as).locked, 0);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, 0);
	ERRNO(VMEM_EPERM, lock(0, 1));
	ERRNO(VMEM_EPERM, lock(0, 0));
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, UINT64_MAX);
	DONE(lock(0, 1));
	ERRNO(VMEM_EINVAL, vmem_posix_mlock(&process, W, UINT64_MAX - PAGES(2)));
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, 0);
	ERRNO(VMEM_EINVAL, vmem_posix_mlock2(&process, W, PAGE, 2));
	ERRNO(VMEM_EINVAL, vmem_posix_mlockall(&process, 0));
	ERRNO(VMEM_EPERM, vmem_posix_mlockall(&process, VMEM_MCL_CURRENT));
	ERRNO(VMEM_EPERM, vmem_posix_mmap(&process, 0, PAGE, PROT_RW, PRIVATE | VMEM_MMAP_LOCKED, &out));
	DONE(unlock(0, 1));
}

static void at_mmap(void **state)
{
	uint64_t out;
	(void)state;
	(void)mapped(0, 3, PROT_RW, PRIVATE | VMEM_MMAP_LOCKED);
	assert_int_equal(stats_of(as).locked, PAGES(3));
	assert_true(copied(0) && copied(2));
	ERRNO(VMEM_EINVAL, vmem_posix_madvise(&process, W, PAGE, VMEM_MADV_DONTNEED));
	ERRNO(VMEM_EINVAL, vmem_posix_madvise(&process, W, PAGE, VMEM_MADV_FREE));
	ERRNO(VMEM_EINVAL, vmem_posix_madvise(&process, W, PAGE, VMEM_MADV_COLD));
	ERRNO(VMEM_EINVAL, vmem_posix_madvise(&process, W, PAGE, VMEM_MADV_REMOVE));
	DONE(vmem_posix_madvise(&process, W, PAGE, VMEM_MADV_DONTNEED_LOCKED));
	DONE(vmem_posix_munmap(&process, W, PAGE));
	assert_int_equal(stats_of(as).locked, PAGES(2));
	/* what MAP_FIXED replaces counts, as on Linux */
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, PAGES(2));
	ERRNO(VMEM_EAGAIN, vmem_posix_mmap(&process, W + PAGES(1), PAGE, PROT_RW,
			       PRIVATE | VMEM_MMAP_FIXED | VMEM_MMAP_LOCKED, &out));
	(void)mapped(0, 3, PROT_RW, PRIVATE);
	assert_int_equal(stats_of(as).locked, 0);
}

static void all(void **state)
{
	uint64_t out;
	(void)state;
	ERRNO(VMEM_EINVAL, vmem_posix_mlockall(&process, 0));
	ERRNO(VMEM_EINVAL, vmem_posix_mlockall(&process, VMEM_MCL_ONFAULT));
	ERRNO(VMEM_EINVAL, vmem_posix_mlockall(&process, 8));
	(void)mapped(0, 2, PROT_RW, PRIVATE);
	(void)mapped(3, 2, 0, PRIVATE);
	(void)mapped(6, 2, VMEM_PROT_READ, SHARED);
	DONE(vmem_posix_mlockall(&process, VMEM_MCL_CURRENT));
	assert_int_equal(stats_of(as).locked, PAGES(6));
	assert_true(copied(0) && copied(1) && !entered(3) && entered(6));
	(void)mapped(10, 2, PROT_RW, PRIVATE);
	assert_int_equal(stats_of(as).locked, PAGES(6));
	DONE(vmem_posix_mlockall(&process, VMEM_MCL_FUTURE)); /* the present keeps what it has */
	assert_int_equal(stats_of(as).locked, PAGES(6));
	(void)mapped(12, 2, PROT_RW, PRIVATE);
	assert_int_equal(stats_of(as).locked, PAGES(8));
	assert_true(copied(12) && !entered(10));
	uint64_t heap = vmem_posix_brk(&process, UINT64_C(0x10002000));
	assert_int_equal(heap, UINT64_C(0x10002000));
	assert_int_equal(stats_of(as).locked, PAGES(10));
	struct vmem_translation t;
	assert_true(vmem_aspace_translate(as, UINT64_C(0x10001000), &t));
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, PAGES(11));
	assert_int_equal(vmem_posix_brk(&process, UINT64_C(0x10004000)), heap);
	ERRNO(VMEM_EAGAIN, vmem_posix_mmap(&process, 0, PAGES(2), PROT_RW, PRIVATE, &out));
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, UINT64_C(8) << 20);
	DONE(vmem_posix_mlockall(&process, VMEM_MCL_CURRENT | VMEM_MCL_FUTURE | VMEM_MCL_ONFAULT));
	assert_int_equal(attributes_at(0) & ~(unsigned)VMEM_REGION_ACCOUNT,
	    VMEM_REGION_LOCKED | VMEM_REGION_LOCK_ON_FAULT);
	(void)mapped(20, 2, PROT_RW, PRIVATE);
	assert_false(entered(20));
	(void)mapped(30, 2, PROT_RW, PRIVATE | VMEM_MMAP_POPULATE);
	assert_false(entered(30)); /* what is locked as it comes is not brought, as on Linux */
	DONE(vmem_posix_munlockall(&process));
	assert_int_equal(stats_of(as).locked, 0);
	assert_int_equal(process.future, 0);
	(void)mapped(24, 2, PROT_RW, PRIVATE);
	assert_int_equal(stats_of(as).locked, 0);
}

/* Child VMARs in the space of a process are not its own to lock, and do not stop what goes through all. */
static void child_vmar(void **state)
{
	const struct vmem_map map = {
	    .length = PAGES(2), .permission = RW, .place = VMEM_PLACE_FIXED, .address = W + PAGES(2)};
	struct vmem_vmar *child;
	(void)state;
	(void)mapped(0, 2, PROT_RW, PRIVATE);
	OK(vmem_vmar_allocate(vmem_aspace_root(as), &map, &child));
	(void)mapped(4, 2, PROT_RW, PRIVATE);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, PAGES(6));
	assert_int_equal(lock(0, 6), -VMEM_ENOMEM);
	assert_int_equal(stats_of(as).locked, PAGES(2));
	assert_int_equal(lock(0, 7), -VMEM_ENOMEM);
	DONE(vmem_posix_mlockall(&process, VMEM_MCL_CURRENT));
	assert_int_equal(stats_of(as).locked, PAGES(4));
	assert_int_equal(vmem_posix_madvise(&process, W, PAGES(6), VMEM_MADV_WILLNEED), -VMEM_EINVAL);
	assert_int_equal(vmem_posix_madvise(&process, W, PAGES(6), VMEM_MADV_POPULATE_READ), -VMEM_ENOMEM);
	DONE(vmem_posix_munlockall(&process));
	DONE(vmem_posix_msync(&process, W, PAGES(6), VMEM_MS_INVALIDATE));
	ERRNO(VMEM_EINVAL, vmem_posix_mprotect(&process, W + PAGES(2), PAGE, PROT_RW | GROWSDOWN));
	ERRNO(VMEM_EINVAL, vmem_posix_mprotect(&process, W, PAGE, PROT_RW | GROWSUP));
	/* what is locked already does not count twice: up to the last mapping there is */
	vmem_posix_set_limit(&process, VMEM_RLIMIT_MEMLOCK, PAGES(2));
	DONE(lock(4, 2));
	DONE(lock(4, 2));
	uint64_t out;
	ERRNO(VMEM_EAGAIN, vmem_posix_mremap(&process, W + PAGES(4), PAGES(2), PAGES(3), 0, 0, &out));
	ERRNO(VMEM_ENOMEM, lock(0, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(ranges),
	    CASE(populating),
	    CASE(limits),
	    CASE(at_mmap),
	    CASE(all),
	    CASE(child_vmar),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
