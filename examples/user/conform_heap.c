/* SPDX-License-Identifier: MIT */
/* conform: brk and mseal. */
#include "conform.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static uintptr_t set_break(uintptr_t to)
{
	return (uintptr_t)call(SYS_brk, (long)to, 0, 0, 0, 0, 0);
}

static void break_and_neighbour(uintptr_t up)
{
	unsigned char *at = (unsigned char *)(up + PAGES(3));

	answers("something is mapped above", map(at, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE));
	holds("up to a page below it", set_break(up + PAGES(2)) == up + PAGES(2));
	holds("not next to it", set_break(up + PAGES(3)) == up + PAGES(2));
	holds("not into it", set_break(up + PAGES(4)) == up + PAGES(2));
	holds("not past it", set_break(up + PAGES(16)) == up + PAGES(2));
	unmap(at, PAGE);
	holds("past it when it is gone", set_break(up + PAGES(16)) == up + PAGES(16));
	unmap((void *)(up + PAGES(4)), PAGE);
	holds("a page of the heap is gone",
	    !mapped((void *)(up + PAGES(4))) && mapped((void *)(up + PAGES(5))));
	protect((void *)(up + PAGES(5)), PAGE, PROT_NONE);
	holds("down across a hole and other permission", set_break(up + PAGES(1)) == up + PAGES(1));
	holds("all went", !mapped((void *)(up + PAGES(5))) && !mapped((void *)(up + PAGES(15))));
}

void group_brk(void)
{
	const uintptr_t now = set_break(0), up = (now + 2 * PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	unsigned char *page = (unsigned char *)up;
	struct rlimit unlimited;

	holds("asked twice", set_break(0) == now);
	holds("the same again", set_break(now) == now);
	holds("in steps of a byte", set_break(up + 1) == up + 1 && set_break(up + 2) == up + 2);
	holds("a whole page of zeros", filled(page, 0));
	memset(page, 7, PAGE);
	holds("down within the page keeps it", set_break(up + 1) == up + 1 && filled(page, 7));
	holds("down to it frees it", set_break(up) == up && !mapped(page));
	holds("up again is zero", set_break(up + PAGE) == up + PAGE && filled(page, 0));
	holds("beyond user space: as it was", set_break(BEYOND) == up + PAGE);
	holds("in the kernel: as it was", set_break(KERNEL) == up + PAGE);
	holds("the last address: as it was", set_break(UINTPTR_MAX) == up + PAGE);
	holds("below the start: as it was", set_break(PAGE) == up + PAGE);
	break_and_neighbour(up);
	says("can be written", kernel_writes(page));
	getrlimit(RLIMIT_DATA, &unlimited);
	limit(RLIMIT_DATA, PAGE);
	holds("over the limit of data: as it was", set_break(up + PAGES(300)) == up + PAGE);
	holds("down and still over the limit: as it was", set_break(up) == up + PAGE);
	setrlimit(RLIMIT_DATA, &unlimited);
	holds("up when it is lifted", set_break(up + PAGES(300)) == up + PAGES(300));
	holds("all of it is there", filled((unsigned char *)up + PAGES(299), 0));
	holds("and back", set_break(now) == now && !mapped((void *)(up + PAGES(299))));
}

static long seal(const void *at, size_t length, unsigned long flags)
{
	return call(SYS_mseal, (long)at, (long)length, (long)flags, 0, 0, 0);
}

static const char *const seal_names[] = {
    "unaligned",
    "a flag",
    "wraps around",
    "nothing there",
    "a hole",
    "a hole: nothing is sealed",
    "length 0",
    "beyond user space",
    "sealed",
    "again",
    "munmap",
    "munmap of more",
    "munmap of a part",
    "mprotect",
    "mprotect of more",
    "what is before it changed",
    "mmap fixed",
    "mmap fixed over more",
    "mremap to move",
    "mremap to grow",
    "mremap to shrink",
    "mremap onto it",
    "madvise DONTNEED, writable",
    "madvise DONTNEED, read-only",
    "madvise FREE, read-only",
    "madvise DONTFORK",
    "mlock",
    "msync",
    "can be written",
    "is as it was",
};

/* Linux 6.12 looks for seals region by region, and no more at the whole range first. */
static int seals_by_region(void)
{
	unsigned char *p = area(2);
	int by_region;

	seal(p + PAGE, PAGE, 0);
	protect(p, PAGES(2), PROT_NONE);
	by_region = strcmp(kernel_reads(p), "EFAULT") == 0;
	drop(p, 1);
	return by_region;
}

static void seal_effects(unsigned char *p, const char *const *name)
{
	unsigned char *q = area(1);
	const int to = MREMAP_MAYMOVE | MREMAP_FIXED;

	answers(*name++, seal(p + 1, PAGE, 0));
	answers(*name++, seal(p, PAGE, 1));
	answers(*name++, seal(p, SIZE_MAX - PAGE, 0));
	answers(*name++, seal(p - PAGE, PAGE, 0));
	unmap(p + PAGE, PAGE);
	answers(*name++, seal(p, PAGES(3), 0));
	holds(*name++, unmap(p + PAGES(2), PAGE) == 0);
	answers(*name++, seal(p, 0, 0));
	answers(*name++, seal((void *)BEYOND, PAGE, 0));
	drop(p, 4);
	map(p, PAGES(4), RW, PRIVATE | MAP_FIXED);
	p[PAGE] = 6;
	protect(p + PAGES(2), PAGE, PROT_READ);
	answers(*name++, seal(p + PAGE, PAGES(2), 0));
	answers(*name++, seal(p + PAGE, PAGES(2), 0));
	answers(*name++, unmap(p + PAGE, PAGES(2)));
	answers(*name++, unmap(p, PAGES(4)));
	answers(*name++, unmap(p + PAGES(2), PAGE));
	answers(*name++, protect(p + PAGE, PAGE, PROT_READ));
	answers(*name++, protect(p, PAGES(4), PROT_READ));
	provided(seals_by_region());
	says(*name++, kernel_writes(p));
	provided(1);
	answers(*name++, map(p + PAGE, PAGE, RW, PRIVATE | MAP_FIXED));
	answers(*name++, map(p, PAGES(4), RW, PRIVATE | MAP_FIXED));
	answers(*name++, remap(p + PAGE, PAGE, PAGE, to, q));
	answers(*name++, remap(p + PAGE, PAGE, PAGES(2), MREMAP_MAYMOVE, NULL));
	answers(*name++, remap(p + PAGE, PAGES(2), PAGE, 0, NULL));
	answers(*name++, remap(q, PAGE, PAGE, to, p + PAGE));
	p[PAGE] = 0;
	answers(*name++, advise(p + PAGE, PAGE, MADV_DONTNEED));
	answers(*name++, advise(p + PAGES(2), PAGE, MADV_DONTNEED));
	answers(*name++, advise(p + PAGES(2), PAGE, MADV_FREE));
	answers(*name++, advise(p + PAGES(2), PAGE, MADV_DONTFORK));
	answers(*name++, call(SYS_mlock, (long)(p + PAGE), PAGES(2), 0, 0, 0, 0));
	answers(*name++, call(SYS_msync, (long)(p + PAGE), PAGES(2), MS_ASYNC, 0, 0, 0));
	says(*name++, kernel_writes(p + PAGE));
	holds(*name++, filled(p + PAGE, 0) && mapped(p) && mapped(p + PAGES(3)));
	call(SYS_munlock, (long)(p + PAGE), PAGES(2), 0, 0, 0, 0);
	drop(q, 1);
	drop(p, 1); /* what is sealed stays to the end */
	drop(p + PAGES(3), 1);
}

void group_mseal(void)
{
	unsigned char *p;

	if (seal((void *)PAGE, 0, 0) == -ENOSYS) { /* comes with 6.10 */
		for (size_t i = 0; i < sizeof(seal_names) / sizeof(seal_names[0]); i++) {
			unknown(seal_names[i]);
		}
		return;
	}
	p = area(4);
	seal_effects(p, seal_names);
}
