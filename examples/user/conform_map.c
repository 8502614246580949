/* SPDX-License-Identifier: MIT */
/* conform: mmap of anonymous memory, and munmap. */
#include "conform.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOREPLACE MAP_FIXED_NOREPLACE

static unsigned char *pointer(long address)
{
	return (unsigned char *)address;
}

/* The answer alone: what was mapped goes again. */
static void tried(const char *name, size_t length, int prot, int flags)
{
	long r = map(NULL, length, prot, flags);

	answers(name, r);
	if (!failed(r)) {
		unmap(pointer(r), length);
	}
}

static void map_flags(void)
{
	tried("no flag but anonymous", PAGE, RW, MAP_ANONYMOUS);
	tried("type 3, anonymous", PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS);
	tried("type 4, anonymous", PAGE, RW, 4 | MAP_ANONYMOUS);
	tried("type 15, anonymous", PAGE, RW, 15 | MAP_ANONYMOUS);
	tried("shared that grows down", PAGE, RW, SHARED | MAP_GROWSDOWN);
	tried("an unknown flag", PAGE, RW, PRIVATE | 0x400000);
	tried("unknown permission bits", PAGE, RW | 0x100, PRIVATE);
	tried(
	    "ignored flags", PAGE, RW, PRIVATE | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_STACK | MAP_NORESERVE);
	tried("populate", PAGES(2), RW, PRIVATE | MAP_POPULATE);
	tried("populate, not blocking", PAGES(2), RW, PRIVATE | MAP_POPULATE | MAP_NONBLOCK);
	tried("populate, no permission", PAGES(2), PROT_NONE, PRIVATE | MAP_POPULATE);
	tried("locked", PAGES(2), RW, PRIVATE | MAP_LOCKED);
	tried("write only", PAGE, PROT_WRITE, PRIVATE);
	tried("execute only", PAGE, PROT_EXEC, PRIVATE);
	tried("all permissions", PAGE, RW | PROT_EXEC, PRIVATE);
	tried("shared, no permission", PAGE, PROT_NONE, SHARED);
}

static void map_resident(void)
{
	long a = map(NULL, PAGES(4), RW, PRIVATE), b = map(NULL, PAGES(4), RW, PRIVATE | MAP_POPULATE);
	long c = map(NULL, PAGES(4), PROT_READ, PRIVATE | MAP_POPULATE);
	long d = map(NULL, PAGES(4), RW, SHARED | MAP_POPULATE);

	holds("nothing is resident before its time", resident(pointer(a), 4) == 0);
	holds("populate makes all resident", resident(pointer(b), 4) == 4);
	holds("populate, read-only", resident(pointer(c), 4) == 4);
	holds("populate, shared", resident(pointer(d), 4) == 4);
	holds("populated memory is zero", filled(pointer(b) + PAGES(3), 0) && filled(pointer(d), 0));
	unmap(pointer(a), PAGES(4));
	unmap(pointer(b), PAGES(4));
	unmap(pointer(c), PAGES(4));
	unmap(pointer(d), PAGES(4));
}

void group_mmap(void)
{
	long r;

	tried("length 0", 0, RW, PRIVATE);
	tried("length 0, no type", 0, RW, MAP_ANONYMOUS);
	tried("length 2^60", (size_t)1 << 60, RW, PRIVATE);
	tried("length 2^64-1", SIZE_MAX, RW, PRIVATE);
	tried("length 2^64-4096", SIZE_MAX - PAGE + 1, RW, PRIVATE);
	answers("offset not a multiple of the page", map_file(NULL, PAGE, RW, PRIVATE, -1, 100));
	answers("a descriptor that is not open", map_file(NULL, PAGE, RW, MAP_PRIVATE, -1, 0));
	answers("a descriptor that is not open, length 0", map_file(NULL, 0, RW, MAP_PRIVATE, -1, 0));
	answers("a descriptor that is not open, no type", map_file(NULL, PAGE, RW, 0, 77, 0));
	r = map_file(NULL, PAGE, RW, PRIVATE, 77, 0);
	answers("anonymous ignores the descriptor", r);
	unmap(pointer(r), PAGE);
	map_flags();
	r = map(NULL, 1, RW, PRIVATE);
	holds("one byte is a page of zeros", filled(pointer(r), 0));
	pointer(r)[PAGE - 1] = 9;
	holds("all of it can be written", pointer(r)[PAGE - 1] == 9);
	unmap(pointer(r), 1);
	r = map(NULL, PAGE, PROT_WRITE, PRIVATE);
	pointer(r)[0] = 4;
	says("what may be written can be read", kernel_reads(pointer(r)));
	holds("and has what was written", pointer(r)[0] == 4);
	unmap(pointer(r), PAGE);
	r = map(NULL, (size_t)8 << 30, PROT_NONE, PRIVATE | MAP_NORESERVE);
	answers("8 GiB without permission", r);
	answers("8 GiB go again", unmap(pointer(r), (size_t)8 << 30));
	map_resident();
}

void group_place(void)
{
	unsigned char *p = area(4);
	long r;

	unmap(p + PAGE, PAGE);
	r = map(p + PAGE, PAGE, RW, PRIVATE);
	holds("a free hint is used", pointer(r) == p + PAGE);
	unmap(p + PAGE, PAGE);
	r = map(p + PAGE + 123, PAGE, RW, PRIVATE);
	holds("an unaligned hint is rounded down", pointer(r) == p + PAGE);
	r = map(p + PAGE, PAGE, RW, PRIVATE);
	holds("a hint in use is moved", !failed(r) && (pointer(r) < p || pointer(r) >= p + PAGES(4)));
	unmap(pointer(r), PAGE);
	unmap(p, PAGE);
	r = map(p, PAGES(2), RW, PRIVATE);
	holds("a hint that fits in part is moved",
	    !failed(r) && (pointer(r) + PAGES(2) <= p || pointer(r) >= p + PAGES(4)));
	unmap(pointer(r), PAGES(2));
	r = map(pointer(BEYOND), PAGE, RW, PRIVATE);
	answers("a hint beyond user space", r);
	unmap(pointer(r), PAGE);
	r = map(pointer(KERNEL), PAGE, RW, PRIVATE);
	answers("a hint in the kernel", r);
	unmap(pointer(r), PAGE);
	r = map(pointer(PAGE), PAGE, RW, PRIVATE);
	holds("a hint too low is raised", !failed(r) && (uintptr_t)r > PAGE);
	unmap(pointer(r), PAGE);
	long a = map(NULL, PAGE, RW, PRIVATE), b = map(NULL, PAGE, RW, PRIVATE);
	holds("the next one is placed below the last", b < a);
	unmap(pointer(b), PAGE);
	holds("what is free is used again", map(NULL, PAGE, RW, PRIVATE) == b);
	unmap(pointer(a), PAGE);
	unmap(pointer(b), PAGE);
	drop(p, 4);
}

static void fixed_errors(unsigned char *p)
{
	unsigned char *last = pointer((long)(UINTPTR_MAX - PAGE + 1));

	answers("unaligned", map(p + 1, PAGE, RW, PRIVATE | MAP_FIXED));
	answers("length 0", map(p, 0, RW, PRIVATE | MAP_FIXED));
	answers("beyond user space", map(pointer(BEYOND), PAGE, RW, PRIVATE | MAP_FIXED));
	answers("beyond user space, unaligned", map(pointer(BEYOND + 1), PAGE, RW, PRIVATE | MAP_FIXED));
	answers("in the kernel", map(pointer(KERNEL), PAGE, RW, PRIVATE | MAP_FIXED));
	answers("wraps around", map(last, PAGES(2), RW, PRIVATE | MAP_FIXED));
	answers("at address 0", map(NULL, PAGE, RW, PRIVATE | MAP_FIXED));
	answers("no type", map(p, PAGE, RW, MAP_ANONYMOUS | MAP_FIXED));
	answers("not to replace: unaligned", map(p + 1, PAGE, RW, PRIVATE | NOREPLACE));
	answers("not to replace: beyond user space", map(pointer(BEYOND), PAGE, RW, PRIVATE | NOREPLACE));
	answers("not to replace: at address 0", map(NULL, PAGE, RW, PRIVATE | NOREPLACE));
	answers("not to replace: in use", map(p, PAGE, RW, PRIVATE | NOREPLACE));
	answers("not to replace: in use, no type", map(p, PAGE, RW, MAP_ANONYMOUS | NOREPLACE));
	answers("not to replace: its last page in use", map(p - PAGE, PAGES(2), RW, PRIVATE | NOREPLACE));
	answers(
	    "not to replace: its first page in use", map(p + PAGES(5), PAGES(2), RW, PRIVATE | NOREPLACE));
	answers("not to replace: all in use and more", map(p - PAGE, PAGES(8), RW, PRIVATE | NOREPLACE));
	answers("not to replace, and fixed: in use", map(p, PAGE, RW, PRIVATE | MAP_FIXED | NOREPLACE));
	holds("the refused ones did nothing", filled(p, 1) && filled(p + PAGES(5), 6) && !mapped(p - PAGE));
}

void group_fixed(void)
{
	unsigned char *p = area(6);

	fixed_errors(p);
	unmap(p + PAGE, PAGE);
	holds("not to replace: free",
	    map(p + PAGE, PAGE, RW, PRIVATE | NOREPLACE) == (long)(p + PAGE) && filled(p + PAGE, 0));
	holds("replaces the middle by zeros",
	    map(p + PAGES(2), PAGE, RW, PRIVATE | MAP_FIXED) == (long)(p + PAGES(2)) &&
		filled(p + PAGES(2), 0));
	holds("the rest is as it was", filled(p, 1) && filled(p + PAGES(3), 4));
	protect(p + PAGE, PAGE, PROT_READ);
	protect(p + PAGES(3), PAGE, PROT_NONE);
	holds("replaces five regions and a part", map(p, PAGES(5), RW, PRIVATE | MAP_FIXED) == (long)p &&
						      filled(p, 0) && filled(p + PAGE, 0) &&
						      filled(p + PAGES(3), 0) && filled(p + PAGES(4), 0));
	holds("the page behind is as it was", filled(p + PAGES(5), 6));
	holds("replaces by less permission",
	    map(p + PAGES(5), PAGE, PROT_READ, PRIVATE | MAP_FIXED) == (long)(p + PAGES(5)) &&
		strcmp(kernel_writes(p + PAGES(5)), "EFAULT") == 0);
	holds("replaces by shared memory",
	    map(p + PAGE, PAGES(2), RW, SHARED | MAP_FIXED) == (long)(p + PAGE) && filled(p + PAGE, 0));
	holds("unaligned length is rounded up", map(p, PAGE + 1, RW, PRIVATE | MAP_FIXED) == (long)p &&
						    filled(p + PAGE, 0) && filled(p + PAGES(2), 0));
	drop(p, 6);
}

void group_munmap(void)
{
	unsigned char *p = area(6);

	answers("unaligned", unmap(p + 8, PAGE));
	answers("length 0", unmap(p, 0));
	answers("length 0, unaligned", unmap(p + 8, 0));
	answers("beyond user space", unmap(pointer(BEYOND), PAGE));
	answers("in the kernel", unmap(pointer(KERNEL), PAGE));
	answers("length beyond user space", unmap(p, BEYOND));
	answers("wraps around", unmap(p, SIZE_MAX - PAGE));
	answers("length rounds up to 0", unmap(p, SIZE_MAX));
	answers("nothing there", unmap(p - PAGE, PAGE));
	holds("the refused ones did nothing", filled(p, 1) && filled(p + PAGES(5), 6));
	answers("the middle, length rounded up", unmap(p + PAGES(2), PAGE + 1));
	holds("two pages went", !mapped(p + PAGES(2)) && !mapped(p + PAGES(3)));
	holds("the rest stayed", filled(p + PAGE, 2) && filled(p + PAGES(4), 5));
	says("what went cannot be read", kernel_reads(p + PAGES(2)));
	answers("across a hole and both ends", unmap(p - PAGE, PAGES(8)));
	holds("all went", !mapped(p) && !mapped(p + PAGE) && !mapped(p + PAGES(5)));
	answers("again", unmap(p, PAGES(6)));
	answers("the same place is free", map(p, PAGES(6), RW, PRIVATE | NOREPLACE));
	holds("and zero again", filled(p, 0) && filled(p + PAGES(3), 0) && filled(p + PAGES(5), 0));
	drop(p, 6);
}
