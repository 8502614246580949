/* SPDX-License-Identifier: MIT */
/* conform: madvise, guard pages, msync and mincore. */
#include "conform.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#define GUARD_INSTALL 102
#define GUARD_REMOVE 103

static void *pointer(uintptr_t address)
{
	return (void *)address;
}

static long sync_range(const void *at, size_t length, int flags)
{
	return call(SYS_msync, (long)at, (long)length, flags, 0, 0, 0);
}

static long core(const void *at, size_t length, void *state)
{
	return call(SYS_mincore, (long)at, (long)length, (long)state, 0, 0, 0);
}

static void plain_advice(unsigned char *p)
{
	static const struct {
		int advice;
		const char *name;
	} all[] = {
	    {MADV_NORMAL, "NORMAL"},
	    {MADV_RANDOM, "RANDOM"},
	    {MADV_SEQUENTIAL, "SEQUENTIAL"},
	    {MADV_DONTFORK, "DONTFORK"},
	    {MADV_DOFORK, "DOFORK"},
	    {MADV_DONTDUMP, "DONTDUMP"},
	    {MADV_DODUMP, "DODUMP"},
	    {MADV_WIPEONFORK, "WIPEONFORK"},
	    {MADV_KEEPONFORK, "KEEPONFORK"},
	    {MADV_POPULATE_READ, "POPULATE_READ"},
	    {MADV_POPULATE_WRITE, "POPULATE_WRITE"},
	    {MADV_COLD, "COLD"},
	    {MADV_PAGEOUT, "PAGEOUT"},
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		answers(all[i].name, advise(p, PAGES(4), all[i].advice));
	}
	holds("none of them changed the content", filled(p, 1) && filled(p + PAGES(3), 4));
}

static void advice_errors(unsigned char *p)
{
	answers("unaligned", advise(p + 1, PAGE, MADV_DONTNEED));
	answers("unaligned, length 0", advise(p + 1, 0, MADV_DONTNEED));
	answers("unknown advice", advise(p, PAGE, 7));
	answers("unknown advice, negative", advise(p, PAGE, -1));
	answers("unknown advice, length 0", advise(p, 0, 7));
	answers("length 0", advise(p, 0, MADV_DONTNEED));
	answers("length 0, nothing there", advise(p - PAGE, 0, MADV_DONTNEED));
	answers("wraps around", advise(p, SIZE_MAX - PAGE, MADV_DONTNEED));
	answers("length rounds up to 0", advise(p, SIZE_MAX, MADV_DONTNEED));
	answers("nothing there", advise(p - PAGE, PAGE, MADV_DONTNEED));
	answers("nothing there, WILLNEED", advise(p - PAGE, PAGE, MADV_WILLNEED));
	answers("nothing there, POPULATE_READ", advise(p - PAGE, PAGE, MADV_POPULATE_READ));
	answers("nothing there, POPULATE_WRITE", advise(p - PAGE, PAGE, MADV_POPULATE_WRITE));
	answers("beyond user space", advise(pointer(BEYOND), PAGE, MADV_DONTNEED));
	answers("in the kernel", advise(pointer(KERNEL), PAGE, MADV_NORMAL));
	holds("the refused ones did nothing", filled(p, 1) && filled(p + PAGES(3), 4));
}

void group_madvise(void)
{
	unsigned char *p = area(4);
	int fd = file(2);

	advice_errors(p);
	plain_advice(p);
	unmap(p + PAGE, PAGE);
	answers("a hole in the middle", advise(p, PAGES(4), MADV_DONTNEED));
	holds("a hole: both sides were done",
	    filled(p, 0) && filled(p + PAGES(2), 0) && filled(p + PAGES(3), 0));
	protect(p, PAGE, PROT_NONE);
	answers("POPULATE_READ without permission", advise(p, PAGE, MADV_POPULATE_READ));
	protect(p, PAGE, PROT_READ);
	answers("POPULATE_READ of read-only", advise(p, PAGE, MADV_POPULATE_READ));
	answers("POPULATE_WRITE of read-only", advise(p, PAGE, MADV_POPULATE_WRITE));
	answers("DONTNEED of read-only", advise(p, PAGE, MADV_DONTNEED));
	answers("FREE of read-only", advise(p, PAGE, MADV_FREE));
	map(p, PAGES(2), RW, SHARED | MAP_FIXED);
	answers("FREE of shared memory", advise(p, PAGE, MADV_FREE));
	answers("WIPEONFORK of shared memory", advise(p, PAGE, MADV_WIPEONFORK));
	answers("REMOVE of shared memory", advise(p, PAGE, MADV_REMOVE));
	protect(p, PAGE, PROT_READ);
	answers("REMOVE of shared memory made read-only", advise(p, PAGE, MADV_REMOVE));
	answers("REMOVE of private memory", advise(p + PAGES(2), PAGE, MADV_REMOVE));
	map_file(p, PAGES(2), RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
	answers("REMOVE of a private file", advise(p, PAGE, MADV_REMOVE));
	answers("FREE of a private file", advise(p, PAGE, MADV_FREE));
	answers("WIPEONFORK of a private file", advise(p, PAGE, MADV_WIPEONFORK));
	answers("WILLNEED of a file", advise(p, PAGE, MADV_WILLNEED));
	map_file(p, PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	answers("POPULATE_READ past the end of a file", advise(p, PAGES(4), MADV_POPULATE_READ));
	answers("POPULATE_WRITE past the end of a file", advise(p, PAGES(4), MADV_POPULATE_WRITE));
	drop(p, 4);
	p = area(2);
	call(SYS_mlock, (long)p, PAGE, 0, 0, 0, 0);
	answers("DONTNEED of locked memory", advise(p, PAGES(2), MADV_DONTNEED));
	answers("FREE of locked memory", advise(p, PAGE, MADV_FREE));
	answers("COLD of locked memory", advise(p, PAGE, MADV_COLD));
	answers("PAGEOUT of locked memory", advise(p, PAGE, MADV_PAGEOUT));
	answers("DONTNEED_LOCKED of locked memory", advise(p, PAGE, MADV_DONTNEED_LOCKED));
	holds("DONTNEED_LOCKED makes it zero", filled(p, 0));
	call(SYS_mlock2, (long)(p + PAGE), PAGE, 1, 0, 0, 0);
	answers("DONTNEED of memory locked on fault", advise(p + PAGE, PAGE, MADV_DONTNEED));
	map_file(p, PAGE, RW, MAP_SHARED | MAP_FIXED | MAP_LOCKED, fd, 0);
	answers("REMOVE of locked memory", advise(p, PAGE, MADV_REMOVE));
	drop(p, 2);
	close(fd);
}

void group_advice(void)
{
	unsigned char *p = area(4);
	int fd = file(2);

	advise(p + PAGE, PAGE + 1, MADV_DONTNEED);
	holds("DONTNEED: two pages are zero", filled(p + PAGE, 0) && filled(p + PAGES(2), 0));
	holds("DONTNEED: their neighbours are not", filled(p, 1) && filled(p + PAGES(3), 4));
	advise(p, PAGES(4), MADV_DONTNEED);
	holds("DONTNEED: nothing is resident", resident(p, 4) == 0);
	p[0] = 3;
	holds("DONTNEED: can be written again", p[0] == 3 && p[1] == 0);
	p[PAGE] = 9;
	answers("FREE", advise(p + PAGE, PAGE, MADV_FREE));
	holds("FREE: as it was, or zero", p[PAGE] == 9 || p[PAGE] == 0);
	p[PAGE] = 10;
	holds("FREE: written after it stays", p[PAGE] == 10);
	advise(p, PAGES(4), MADV_DONTNEED);
	advise(p, PAGES(2), MADV_POPULATE_READ);
	holds("POPULATE_READ: resident", resident(p, 4) == 2);
	advise(p + PAGES(2), PAGE, MADV_POPULATE_WRITE);
	holds("POPULATE_WRITE: resident", resident(p, 4) == 3);
	holds("POPULATE: zero", filled(p, 0) && filled(p + PAGES(2), 0));
	map(p, PAGES(2), RW, SHARED | MAP_FIXED);
	p[0] = 1;
	p[PAGE] = 2;
	advise(p, PAGES(2), MADV_DONTNEED);
	holds("DONTNEED: shared memory keeps its content", p[0] == 1 && p[PAGE] == 2);
	advise(p + PAGE, PAGE, MADV_REMOVE);
	holds("REMOVE: shared memory is zero", p[0] == 1 && p[PAGE] == 0);
	map_file(p, PAGES(2), RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
	p[0] = 77;
	advise(p, PAGES(2), MADV_DONTNEED);
	holds("DONTNEED: a private file is read again", p[0] == 1 && p[PAGE] == 2);
	protect(p, PAGES(2), PROT_NONE);
	answers("DONTNEED: without permission", advise(p, PAGES(2), MADV_DONTNEED));
	drop(p, 4);
	close(fd);
}

static const char *const guard_names[] = {
    "INSTALL",
    "an installed one cannot be read",
    "an installed one cannot be written",
    "its neighbours can",
    "it stays through DONTNEED",
    "it stays through mprotect",
    "INSTALL again",
    "it is not populated",
    "REMOVE",
    "a removed one is zero",
    "REMOVE where there is none",
    "INSTALL, locked memory",
    "INSTALL, read-only",
    "INSTALL, shared memory",
    "INSTALL, a hole",
    "INSTALL, unaligned",
    "it moves with mremap",
};

/* Linux 6.15 guards any mapping, and not only private memory that may be written. */
static int guards_all(void)
{
	unsigned char *p = area(1);
	int can = map(p, PAGE, RW, SHARED | MAP_FIXED) == (long)p && advise(p, PAGE, GUARD_INSTALL) == 0;

	drop(p, 1);
	return can;
}

static void guard_effects(unsigned char *p)
{
	const char *const *name = guard_names + 1;
	const int all = guards_all();

	says(*name++, kernel_reads(p + PAGE));
	says(*name++, kernel_writes(p + PAGE));
	holds(*name++, filled(p, 1) && filled(p + PAGES(2), 3));
	advise(p, PAGES(4), MADV_DONTNEED);
	says(*name++, kernel_reads(p + PAGE));
	protect(p, PAGES(4), PROT_READ);
	protect(p, PAGES(4), RW);
	says(*name++, kernel_reads(p + PAGE));
	answers(*name++, advise(p, PAGES(2), GUARD_INSTALL));
	answers(*name++, advise(p, PAGE, MADV_POPULATE_READ));
	answers(*name++, advise(p, PAGES(4), GUARD_REMOVE));
	holds(*name++, filled(p, 0) && filled(p + PAGE, 0));
	answers(*name++, advise(p, PAGES(4), GUARD_REMOVE));
	call(SYS_mlock, (long)p, PAGE, 0, 0, 0, 0);
	answers(*name++, advise(p, PAGE, GUARD_INSTALL));
	call(SYS_munlock, (long)p, PAGE, 0, 0, 0, 0);
	protect(p + PAGE, PAGE, PROT_READ);
	provided(all);
	answers(*name++, advise(p + PAGE, PAGE, GUARD_INSTALL));
	map(p, PAGE, RW, SHARED | MAP_FIXED);
	answers(*name++, advise(p, PAGE, GUARD_INSTALL));
	provided(1);
	unmap(p, PAGE);
	answers(*name++, advise(p, PAGES(4), GUARD_INSTALL));
	answers(*name++, advise(p + 1, PAGE, GUARD_INSTALL));
	drop(p, 4);
	map(p, PAGES(2), RW, PRIVATE | MAP_FIXED);
	advise(p + PAGE, PAGE, GUARD_INSTALL);
	remap(p, PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGES(2));
	provided(all);
	says(*name++, kernel_reads(p + PAGES(3)));
	provided(1);
}

void group_guard(void)
{
	unsigned char *p = area(4);
	long r = advise(p + PAGE, PAGE, GUARD_INSTALL);

	if (r == -EINVAL) { /* comes with 6.13 */
		for (size_t i = 0; i < sizeof(guard_names) / sizeof(guard_names[0]); i++) {
			unknown(guard_names[i]);
		}
	} else {
		answers(guard_names[0], r);
		guard_effects(p);
	}
	drop(p, 4);
}

void group_msync(void)
{
	unsigned char *p = area(3);
	int fd = file(3);

	map_file(p, PAGES(3), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	answers("unaligned", sync_range(p + 1, PAGE, MS_SYNC));
	answers("unknown flags", sync_range(p, PAGE, 8));
	answers("both ways at once", sync_range(p, PAGE, MS_SYNC | MS_ASYNC));
	answers("no flag", sync_range(p, PAGE, 0));
	answers("waiting", sync_range(p, PAGES(3), MS_SYNC));
	answers("not waiting", sync_range(p, PAGES(3), MS_ASYNC));
	answers("with invalidation", sync_range(p, PAGES(3), MS_SYNC | MS_INVALIDATE));
	answers("length 0", sync_range(p, 0, MS_SYNC));
	answers("length 0, nothing there", sync_range(p - PAGE, 0, MS_SYNC));
	answers("wraps around", sync_range(p, SIZE_MAX - PAGE, MS_SYNC));
	answers("length rounds up to 0", sync_range(p, SIZE_MAX, MS_SYNC));
	answers("nothing there", sync_range(p - PAGE, PAGE, MS_ASYNC));
	answers("nothing there, waiting", sync_range(p - PAGE, PAGE, MS_SYNC));
	answers("beyond user space", sync_range(pointer(BEYOND), PAGE, MS_SYNC));
	answers("in the kernel", sync_range(pointer(KERNEL), PAGE, MS_SYNC));
	p[PAGE] = 9;
	unmap(p, PAGE);
	answers("a hole in front", sync_range(p, PAGES(3), MS_SYNC));
	unmap(p + PAGES(2), PAGE);
	answers("a hole behind", sync_range(p + PAGE, PAGES(2), MS_ASYNC));
	call(SYS_mlock, (long)(p + PAGE), PAGE, 0, 0, 0, 0);
	answers("invalidation of locked memory", sync_range(p + PAGE, PAGE, MS_SYNC | MS_INVALIDATE));
	answers("invalidation of locked memory, not waiting", sync_range(p + PAGE, PAGE, MS_INVALIDATE));
	answers("locked memory", sync_range(p + PAGE, PAGE, MS_SYNC));
	holds("the content is as it was", p[PAGE] == 9 && p[PAGE + 1] == 2);
	map(p, PAGES(3), RW, PRIVATE | MAP_FIXED);
	answers("private memory", sync_range(p, PAGES(3), MS_SYNC | MS_INVALIDATE));
	drop(p, 3);
	close(fd);
}

void group_mincore(void)
{
	unsigned char *p = area(4), state[8];
	int fd = file(2);

	memset(state, 0xaa, sizeof(state));
	answers("unaligned", core(p + 1, PAGE, state));
	answers("length 0", core(p, 0, state));
	answers("length 0, unaligned", core(p + 1, 0, state));
	answers("wraps around", core(p, SIZE_MAX - PAGE, state));
	answers("nothing there", core(p - PAGE, PAGE, state));
	answers("beyond user space", core(pointer(BEYOND), PAGE, state));
	answers("in the kernel", core(pointer(KERNEL), PAGE, state));
	answers("the answer to nowhere", core(p, PAGE, (void *)8));
	answers("the answer to the kernel", core(p, PAGE, pointer(KERNEL)));
	answers("nothing there, the answer to nowhere", core(p - PAGE, PAGE, (void *)8));
	answers("all of it, length rounded up", core(p, PAGES(3) + 1, state));
	holds("a byte each, no more", (state[0] & state[3] & 1) == 1 && state[4] == 0xaa);
	advise(p + PAGE, PAGE, MADV_DONTNEED);
	core(p, PAGES(4), state);
	holds("one is not resident", (state[0] & 1) && !(state[1] & 1) && (state[2] & 1));
	holds("the zero page is resident", p[PAGE] == 0 && resident(p + PAGE, 1) == 1);
	protect(p, PAGES(4), PROT_NONE); /* a page of zeros that was read may be forgotten with it */
	holds("without permission, too", resident(p, 1) == 1 && resident(p + PAGES(2), 2) == 2);
	unmap(p + PAGES(2), PAGE);
	memset(state, 0xaa, sizeof(state));
	answers("a hole in the middle", core(p, PAGES(4), state));
	map_file(p, PAGES(2), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	holds("a file's pages are resident untouched", resident(p, 2) == 2);
	map_file(p, PAGES(2), RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
	holds("and privately", resident(p, 2) == 2);
	cut(fd, 0);
	cut(fd, PAGES(2));
	holds("a file's hole is not", resident(p, 2) == 0);
	map_file(p, PAGES(2), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	p[PAGE] = 1;
	holds("a store fills it", resident(p, 2) == 1);
	map_file(p, PAGES(2), RW, MAP_SHARED | MAP_FIXED, fd, PAGES(8));
	holds("past the end is not", resident(p, 2) == 0);
	drop(p, 4);
	close(fd);
}
