/* SPDX-License-Identifier: MIT */
/* conform: mlock and its relatives. */
#include "conform.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long lock(const void *at, size_t length)
{
	return call(SYS_mlock, (long)at, (long)length, 0, 0, 0, 0);
}

static long lock2(const void *at, size_t length, int flags)
{
	return call(SYS_mlock2, (long)at, (long)length, flags, 0, 0, 0);
}

static long unlock(const void *at, size_t length)
{
	return call(SYS_munlock, (long)at, (long)length, 0, 0, 0, 0);
}

static long lock_all(int flags)
{
	return call(SYS_mlockall, flags, 0, 0, 0, 0, 0);
}

static long unlock_all(void)
{
	return call(SYS_munlockall, 0, 0, 0, 0, 0, 0);
}

/* Whether it is locked: INVALIDATE says so. */
static int locked(const void *at)
{
	return call(SYS_msync, (long)at, PAGE, MS_INVALIDATE, 0, 0, 0) == -EBUSY;
}

static void lock_errors(unsigned char *p)
{
	answers("lock: wraps around", lock(p, SIZE_MAX - PAGES(2)));
	answers("lock: nothing there", lock(p - PAGE, PAGE));
	answers("lock: length 0", lock(p, 0));
	answers("lock: length 0, nothing there", lock(p - PAGE, 0));
	answers("lock: beyond user space", lock((void *)BEYOND, PAGE));
	answers("lock: in the kernel", lock((void *)KERNEL, PAGE));
	answers("lock2: an unknown flag", lock2(p, PAGE, 2));
	answers("lock2: an unknown flag, nothing there", lock2(p - PAGE, PAGE, 2));
	answers("lock2: nothing there", lock2(p - PAGE, PAGE, MLOCK_ONFAULT));
	answers("lock2: wraps around", lock2(p, SIZE_MAX - PAGES(2), 0));
	answers("unlock: nothing there", unlock(p - PAGE, PAGE));
	answers("unlock: wraps around", unlock(p, SIZE_MAX - PAGES(2)));
	answers("unlock: length 0", unlock(p, 0));
	answers("unlock: in the kernel", unlock((void *)KERNEL, PAGE));
}

static void lock_effects(unsigned char *p)
{
	map(p, PAGES(4), RW, PRIVATE | MAP_FIXED);
	answers("lock: unaligned, rounded to both sides", lock(p + PAGE + 9, PAGE));
	holds("lock: two pages are resident", resident(p, 4) == 2 && resident(p + PAGE, 2) == 2);
	holds("lock: and locked",
	    !locked(p) && locked(p + PAGE) && locked(p + PAGES(2)) && !locked(p + PAGES(3)));
	answers("unlock: a part", unlock(p + PAGE, PAGE));
	holds("unlock: the other part is locked", !locked(p + PAGE) && locked(p + PAGES(2)));
	holds("unlock: what was resident is", resident(p, 4) == 2);
	answers("lock: again", lock(p + PAGES(2), PAGE));
	answers("unlock: once is enough", unlock(p + PAGES(2), PAGE));
	holds("unlock: not locked", !locked(p + PAGES(2)));
	map(p, PAGES(4), RW, PRIVATE | MAP_FIXED);
	answers("lock2: on fault", lock2(p, PAGES(2), MLOCK_ONFAULT));
	holds("lock2: on fault, nothing is resident", resident(p, 4) == 0);
	holds("lock2: on fault, locked", locked(p) && locked(p + PAGE));
	answers("lock2: without a flag", lock2(p, PAGE, 0));
	holds("lock2: resident", resident(p, 4) == 1);
}

static void lock_holes(unsigned char *p)
{
	int fd = file(1);

	unlock(p, PAGES(4));
	unmap(p + PAGE, PAGE);
	answers("lock: a hole", lock(p, PAGES(3)));
	holds("lock: a hole, what is before it is locked", locked(p) && !locked(p + PAGES(2)));
	answers("unlock: a hole", unlock(p, PAGES(3)));
	holds("unlock: a hole, what is before it is not locked", !locked(p));
	map(p, PAGES(4), PROT_NONE, PRIVATE | MAP_FIXED);
	answers("lock: without permission", lock(p, PAGES(2)));
	holds("lock: without permission, yet locked", locked(p));
	map(p, PAGES(4), PROT_READ, PRIVATE | MAP_FIXED);
	answers("lock: read-only", lock(p, PAGES(2)));
	holds("lock: read-only, resident", resident(p, 4) == 2);
	map_file(p, PAGES(2), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	answers("lock: past the end of a file", lock(p, PAGES(2)));
	close(fd);
	map(p, PAGES(2), RW, PRIVATE | MAP_FIXED | MAP_LOCKED);
	holds("mmap: locked", locked(p) && resident(p, 2) == 2);
	holds("mremap: grows, resident",
	    (unmap(p + PAGES(2), PAGES(2)), remap(p, PAGES(2), PAGES(4), 0, NULL)) == (long)p &&
		resident(p, 4) == 4);
	protect(p, PAGE, PROT_READ);
	holds("mprotect: stays locked", locked(p));
}

static void lock_limits(unsigned char *p)
{
	map(p, PAGES(4), RW, PRIVATE | MAP_FIXED);
	limit(RLIMIT_MEMLOCK, PAGES(2));
	answers("limit: lock up to it", lock(p, PAGES(2)));
	answers("limit: lock beyond it", lock(p + PAGES(2), PAGE));
	answers("limit: what is locked is not counted twice", lock(p, PAGES(2)));
	answers("limit: some of it is locked", lock(p + PAGE, PAGES(2)));
	answers("limit: lock2 beyond it", lock2(p + PAGES(2), PAGE, MLOCK_ONFAULT));
	answers("limit: mmap beyond it", map(p + PAGES(2), PAGE, RW, PRIVATE | MAP_FIXED | MAP_LOCKED));
	unmap(p + PAGES(2), PAGES(2));
	answers("limit: mremap beyond it", remap(p, PAGES(2), PAGES(3), MREMAP_MAYMOVE, NULL));
	answers("limit: lock it all beyond", lock_all(MCL_CURRENT));
	unmap(p + PAGE, PAGE);
	answers("limit: what is unmapped does not count",
	    failed(map(p + PAGES(2), PAGE, RW, PRIVATE | MAP_FIXED)) ? -EINVAL : lock(p + PAGES(2), PAGE));
	unlock(p, PAGE);
	unlock(p + PAGES(2), PAGE);
	limit(RLIMIT_MEMLOCK, 0);
	answers("limit 0: lock", lock(p, PAGE));
	answers("limit 0: lock, wraps around", lock(p, SIZE_MAX - PAGES(2)));
	answers("limit 0: lock2", lock2(p, PAGE, MLOCK_ONFAULT));
	answers("limit 0: unlock", unlock(p, PAGE));
	answers("limit 0: mmap", map(p + PAGES(3), PAGE, RW, PRIVATE | MAP_FIXED | MAP_LOCKED));
	answers("limit 0: lock it all", lock_all(MCL_CURRENT));
	answers("limit 0: lock all of the future", lock_all(MCL_FUTURE));
	answers("limit 0: unlock it all", unlock_all());
	limit(RLIMIT_MEMLOCK, (uint64_t)8 << 20);
}

void group_mlock(void)
{
	unsigned char *p = area(4);

	lock_errors(p);
	lock_effects(p);
	lock_holes(p);
	unlock(p, PAGES(4));
	lock_limits(p);
	drop(p, 4);
}

void group_mlockall(void)
{
	unsigned char *p = area(4), *q = space(2);

	answers("no flag", lock_all(0));
	answers("an unknown flag", lock_all(8));
	answers("on fault alone", lock_all(MCL_ONFAULT));
	map(p, PAGES(4), RW, PRIVATE | MAP_FIXED);
	answers("now, on fault", lock_all(MCL_CURRENT | MCL_ONFAULT));
	holds("now, on fault: locked, not resident", locked(p) && resident(p, 4) == 0);
	answers("now", lock_all(MCL_CURRENT));
	holds("now: resident", resident(p, 4) == 4);
	map(q, PAGE, RW, PRIVATE | MAP_FIXED);
	holds("now: not what comes", !locked(q) && resident(q, 1) == 0);
	answers("none", unlock_all());
	holds("none: not locked", !locked(p));
	answers("the future", lock_all(MCL_FUTURE));
	holds("the future: not what is there", !locked(p) && !locked(q));
	map(q, PAGE, RW, PRIVATE | MAP_FIXED);
	holds("the future: what comes", locked(q) && resident(q, 1) == 1);
	answers("the future, on fault", lock_all(MCL_FUTURE | MCL_ONFAULT));
	map(q + PAGE, PAGE, RW, PRIVATE | MAP_FIXED);
	holds("the future, on fault: not resident", locked(q + PAGE) && resident(q + PAGE, 1) == 0);
	limit(RLIMIT_MEMLOCK, PAGES(2));
	answers("the future: mmap beyond the limit", map(p, PAGES(2), RW, PRIVATE | MAP_FIXED));
	limit(RLIMIT_MEMLOCK, (uint64_t)8 << 20);
	answers("both", lock_all(MCL_CURRENT | MCL_FUTURE));
	answers("none again", unlock_all());
	map(q, PAGE, RW, PRIVATE | MAP_FIXED);
	holds("none again: nothing of the future", !locked(q));
	drop(p, 4);
	drop(q, 2);
}
