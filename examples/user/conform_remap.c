/* SPDX-License-Identifier: MIT */
/* conform: mremap. */
#include "conform.h"

#include <string.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define MOVE MREMAP_MAYMOVE
#define TO (MREMAP_MAYMOVE | MREMAP_FIXED)
#define KEEP (MREMAP_MAYMOVE | MREMAP_DONTUNMAP)

static void *pointer(uintptr_t address)
{
	return (void *)address;
}

static void remap_arguments(unsigned char *p, unsigned char *q)
{
	answers("an unknown flag", remap(p, PAGE, PAGE, 8, NULL));
	answers("fixed without move", remap(p, PAGE, PAGE, MREMAP_FIXED, q));
	answers("kept without move", remap(p, PAGE, PAGE, MREMAP_DONTUNMAP, NULL));
	answers("kept, another length", remap(p, PAGE, PAGES(2), KEEP, NULL));
	answers("unaligned", remap(p + 8, PAGE, PAGES(2), MOVE, NULL));
	answers("new length 0", remap(p, PAGE, 0, MOVE, NULL));
	answers("new length beyond user space", remap(p, PAGE, BEYOND, MOVE, NULL));
	answers("new length rounds up to 0", remap(p, PAGE, SIZE_MAX, MOVE, NULL));
	answers("target unaligned", remap(p, PAGE, PAGE, TO, q + 8));
	answers("target beyond user space", remap(p, PAGE, PAGE, TO, pointer(BEYOND)));
	answers("target overlaps the source's end", remap(p, PAGES(2), PAGES(2), TO, p + PAGE));
	answers("target overlaps the source's start", remap(p + PAGE, PAGES(2), PAGES(2), TO, p));
	answers("target is the source", remap(p, PAGES(2), PAGES(2), TO, p));
	answers("target at address 0", remap(p, PAGE, PAGE, TO, NULL));
	answers("nothing there", remap(p - PAGE, PAGE, PAGES(2), MOVE, NULL));
	answers("nothing there, the same length", remap(p - PAGE, PAGE, PAGE, 0, NULL));
	answers("nothing there, shorter", remap(p - PAGES(2), PAGES(2), PAGE, 0, NULL));
	answers("in the kernel", remap(pointer(KERNEL), PAGE, PAGES(2), MOVE, NULL));
	answers("old length 0, private", remap(p, 0, PAGE, MOVE, NULL));
	answers("old length 0, without move", remap(p, 0, PAGE, 0, NULL));
	answers("no room to grow in place", remap(p, PAGE, PAGES(2), 0, NULL));
	answers("larger than memory", remap(p, PAGES(4), (size_t)1 << 46, MOVE, NULL));
	answers("wraps around", remap(p, SIZE_MAX - PAGE, PAGES(8), MOVE, NULL));
	holds("the refused ones did nothing",
	    filled(p, 1) && filled(p + PAGES(3), 4) && mapped(q) && !mapped(p - PAGE));
}

/* Linux 6.17 moves several regions at once. */
static int moves_many(void)
{
	unsigned char *p = area(2), *q = space(2);
	int can;

	protect(p, PAGE, PROT_READ);
	can = remap(p, PAGES(2), PAGES(2), TO, q) == (long)q;
	drop(p, 2);
	drop(q, 2);
	return can;
}

static void remap_regions(void)
{
	unsigned char *p = area(4);

	protect(p + PAGES(2), PAGES(2), PROT_READ);
	answers("two regions, to grow", remap(p, PAGES(4), PAGES(5), MOVE, NULL));
	provided(moves_many());
	answers("two regions, the same length", remap(p, PAGES(4), PAGES(4), MOVE, NULL));
	provided(1);
	answers("two regions, to shrink", remap(p, PAGES(4), PAGES(3), 0, NULL));
	holds("two regions, shrunk", mapped(p + PAGES(2)) && !mapped(p + PAGES(3)));
	unmap(p + PAGE, PAGE);
	answers("a hole, to grow", remap(p, PAGES(3), PAGES(5), MOVE, NULL));
	drop(p, 4);
}

void group_mremap(void)
{
	unsigned char *p = area(4), *q = area(2);
	long r;

	remap_arguments(p, q);
	remap_regions();
	holds("the same length", remap(p, PAGES(4), PAGES(4), 0, NULL) == (long)p);
	holds("shrinks in place", remap(p, PAGES(4), PAGES(2) - 5, 0, NULL) == (long)p &&
				      filled(p + PAGE, 2) && !mapped(p + PAGES(2)));
	holds("grows in place", remap(p, PAGES(2), PAGES(4), 0, NULL) == (long)p && filled(p + PAGE, 2) &&
				    filled(p + PAGES(2), 0) && filled(p + PAGES(3), 0));
	holds("the old length is rounded up", remap(p, PAGES(4) - 9, PAGES(4), 0, NULL) == (long)p);
	answers("grows in the middle", remap(p, PAGES(2), PAGES(3), 0, NULL));
	r = remap(p, PAGES(2), PAGES(3), MOVE, NULL);
	holds("the middle moves to grow", !failed(r) && r != (long)p &&
					      filled((unsigned char *)r + PAGE, 2) &&
					      filled((unsigned char *)r + PAGES(2), 0));
	holds("and leaves a hole", !mapped(p) && !mapped(p + PAGE) && mapped(p + PAGES(2)));
	unmap((void *)r, PAGES(3));
	drop(p, 4);
	drop(q, 2);
}

static void move_to(void)
{
	unsigned char *p = area(4), *q = area(4);

	holds("to a place in use", remap(p + PAGE, PAGES(2), PAGES(2), TO, q + PAGE) == (long)(q + PAGE));
	holds("the content moved",
	    filled(q, 1) && filled(q + PAGE, 2) && filled(q + PAGES(2), 3) && filled(q + PAGES(3), 4));
	holds("the source is free",
	    mapped(p) && !mapped(p + PAGE) && !mapped(p + PAGES(2)) && mapped(p + PAGES(3)));
	drop(p, 4);
	drop(q, 4);
	p = area(4);
	q = space(4);
	holds("to a free place and shorter", remap(p, PAGES(3), PAGES(2), TO, q + PAGE) == (long)(q + PAGE));
	holds("all of the source is free", !mapped(p) && !mapped(p + PAGE) && !mapped(p + PAGES(2)) &&
					       filled(q + PAGES(2), 2) && filled(p + PAGES(3), 4));
	holds("to a free place and longer",
	    remap(p + PAGES(3), PAGE, PAGES(2), TO, p) == (long)p && filled(p, 4) && filled(p + PAGE, 0));
	protect(p, PAGE, PROT_READ);
	holds("read-only stays so",
	    remap(p, PAGE, PAGE, TO, p + PAGES(2)) == (long)(p + PAGES(2)) && filled(p + PAGES(2), 4));
	says("and cannot be written", kernel_writes(p + PAGES(2)));
	drop(p, 4);
	drop(q, 4);
}

static void move_many(void)
{
	unsigned char *p = area(4), *q = space(4);

	provided(moves_many());
	protect(p + PAGES(2), PAGES(2), PROT_READ);
	answers("two regions to a place", remap(p, PAGES(4), PAGES(4), TO, q));
	holds("two regions: their content", mapped(q) && mapped(q + PAGES(3)) && filled(q + PAGES(3), 4));
	answers("two regions to a place, shorter", remap(q, PAGES(4), PAGES(3), TO, p));
	provided(1);
	drop(p, 4);
	drop(q, 4);
}

static void move_kept(void)
{
	unsigned char *p = area(2), *q = space(2);
	long r = remap(p, PAGES(2), PAGES(2), KEEP, NULL);

	holds("kept: moves", !failed(r) && r != (long)p && filled((unsigned char *)r + PAGE, 2));
	holds("kept: the source is there and zero", mapped(p) && filled(p, 0) && filled(p + PAGE, 0));
	unmap((void *)r, PAGES(2));
	memset(p, 8, PAGE);
	holds("kept: to a place",
	    remap(p, PAGE, PAGE, KEEP | MREMAP_FIXED, q) == (long)q && filled(q, 8) && filled(p, 0));
	drop(p, 2);
	drop(q, 2);
}

static void move_shared(void)
{
	unsigned char *p = space(2), *q = space(4);
	int fd = file(4);
	long r;

	map(p, PAGES(2), RW, SHARED | MAP_FIXED);
	memset(p, 5, PAGE);
	r = remap(p, 0, PAGES(2), MOVE, NULL);
	answers("old length 0 doubles shared memory", r);
	if (!failed(r)) {
		((unsigned char *)r)[1] = 6;
	}
	holds("doubled: one memory", p[0] == 5 && p[1] == 6);
	unmap((void *)r, PAGES(2));
	holds("old length 0 to a place", remap(p, 0, PAGE, TO, q) == (long)q && q[1] == 6);
	holds("shared moves",
	    remap(p, PAGES(2), PAGES(2), TO, q + PAGE) == (long)(q + PAGE) && q[PAGE + 1] == 6 && !mapped(p));
	drop(q, 4);
	map(p, PAGE, RW, SHARED | MAP_FIXED);
	holds("shared grows", remap(p, PAGE, PAGES(2), 0, NULL) == (long)p);
	says("and its new page has nothing behind it", kernel_reads(p + PAGE));
	map_file(q, PAGES(2), RW, MAP_SHARED | MAP_FIXED, fd, PAGE);
	holds("a file grows over its next pages",
	    remap(q, PAGES(2), PAGES(3), 0, NULL) == (long)q && filled(q + PAGES(2), 4));
	holds("a file moves with its offset",
	    remap(q + PAGE, PAGES(2), PAGES(2), TO, p) == (long)p && filled(p, 3) && filled(p + PAGE, 4));
	map_file(p, PAGES(2), RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
	p[0] = 77;
	holds("a private file keeps what was written",
	    remap(p, PAGES(2), PAGES(2), TO, q) == (long)q && q[0] == 77 && q[1] == 1 && filled(q + PAGE, 2));
	drop(p, 2);
	drop(q, 4);
	close(fd);
}

void group_moves(void)
{
	move_to();
	move_many();
	move_kept();
	move_shared();
}
