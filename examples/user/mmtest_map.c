/* SPDX-License-Identifier: MIT */
/* mmtest: mmap and munmap. */
#include "mmtest.h"

#include <string.h>
#include <unistd.h>

/* Above every user address of every ISA, and page aligned. */
#define BEYOND ((uintptr_t)0x7ffffffffffff000)

static unsigned char *pointer(long address)
{
	return (unsigned char *)address;
}

static void test_map_errors(void)
{
	unsigned char *p = area(1);

	is("mmap: length 0", outcome(map(0, 0, RW, PRIVATE)), "EINVAL");
	is("mmap: length 0, fixed", outcome(map((uintptr_t)p, 0, RW, PRIVATE | MAP_FIXED)), "EINVAL");
	is("mmap: length 2^60", outcome(map(0, (size_t)1 << 60, RW, PRIVATE)), "ENOMEM");
	is("mmap: length 2^64-1", outcome(map(0, SIZE_MAX, RW, PRIVATE)), "ENOMEM");
	is("mmap: neither private nor shared", outcome(map(0, PAGE, RW, MAP_ANONYMOUS)), "EINVAL");
	is("mmap: type 3, anonymous", outcome(map(0, PAGE, RW, 3 | MAP_ANONYMOUS)), "EINVAL");
	is("mmap: offset not a multiple of the page", outcome(map_file(0, PAGE, RW, PRIVATE, -1, 100)),
	    "EINVAL");
	is("mmap: a bad descriptor", outcome(map_file(0, PAGE, RW, MAP_PRIVATE, -1, 0)), "EBADF");
	is("mmap: a bad descriptor, length 0", outcome(map_file(0, 0, RW, MAP_PRIVATE, -1, 0)), "EBADF");
	is("mmap: anonymous ignores the descriptor",
	    outcome(map_file((uintptr_t)p, PAGE, RW, PRIVATE | MAP_FIXED, 77, 0)), "done");
	is("mmap: unknown permission bits are ignored",
	    outcome(map((uintptr_t)p, PAGE, RW | 0x100, PRIVATE | MAP_FIXED)), "done");
	drop_area(p, 1);
}

static void test_map_hints(void)
{
	unsigned char *p = area(4);
	long r;

	unmap((uintptr_t)p + PAGE, PAGE);
	r = map((uintptr_t)p + PAGE, PAGE, RW, PRIVATE);
	holds("mmap: a free hint is used", pointer(r) == p + PAGE);
	unmap((uintptr_t)p + PAGE, PAGE);
	r = map((uintptr_t)p + PAGE + 123, PAGE, RW, PRIVATE);
	holds("mmap: an unaligned hint is rounded down", pointer(r) == p + PAGE);
	r = map((uintptr_t)p + PAGE, PAGE, RW, PRIVATE);
	is("mmap: a hint in use", outcome(r), "done");
	holds("mmap: a hint in use is moved", pointer(r) < p || pointer(r) >= p + (size_t)4 * PAGE);
	unmap((uintptr_t)r, PAGE);
	unmap((uintptr_t)p, PAGE);
	r = map((uintptr_t)p, (size_t)2 * PAGE, RW, PRIVATE);
	holds("mmap: a hint that fits in part is moved",
	    pointer(r) + (size_t)2 * PAGE <= p || pointer(r) >= p + (size_t)4 * PAGE);
	unmap((uintptr_t)r, (size_t)2 * PAGE);
	r = map(BEYOND, PAGE, RW, PRIVATE);
	is("mmap: a hint beyond user space", outcome(r), "done");
	unmap((uintptr_t)r, PAGE);
	drop_area(p, 4);
}

static void test_map_content(void)
{
	long a = map(0, 1, RW, PRIVATE), b = map(0, PAGE, RW, PRIVATE);
	unsigned char *p = area(2);
	long r;

	holds("mmap: one byte gives a page of zeros", filled(pointer(a), 0));
	pointer(a)[PAGE - 1] = 9;
	holds("mmap: all of it can be written", pointer(a)[PAGE - 1] == 9);
	holds("mmap: two mappings are two", a != b && filled(pointer(b), 0));
	unmap((uintptr_t)a, 1);
	unmap((uintptr_t)b, PAGE);
	r = map((uintptr_t)p, (size_t)2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED);
	holds(
	    "mmap: shared anonymous memory is zero", pointer(r) == p && filled(p, 0) && filled(p + PAGE, 0));
	p[0] = 5;
	holds("mmap: and keeps what is written", p[0] == 5);
	r = map((uintptr_t)p, PAGE, RW, PRIVATE | MAP_FIXED | MAP_NORESERVE | MAP_STACK | MAP_POPULATE);
	holds("mmap: advisory flags are accepted", pointer(r) == p && filled(p, 0));
	r = map(0, (size_t)8 << 30, PROT_NONE, PRIVATE | MAP_NORESERVE);
	is("mmap: 8 GiB of PROT_NONE", outcome(r), "done");
	is("munmap: 8 GiB", outcome(unmap((uintptr_t)r, (size_t)8 << 30)), "done");
	drop_area(p, 2);
}

void test_map(void)
{
	test_map_errors();
	test_map_hints();
	test_map_content();
}

void test_fixed(void)
{
	unsigned char *p = area(6);
	long r;

	is("fixed: unaligned", outcome(map((uintptr_t)p + 1, PAGE, RW, PRIVATE | MAP_FIXED)), "EINVAL");
	is("fixed: beyond user space", outcome(map(BEYOND, PAGE, RW, PRIVATE | MAP_FIXED)), "ENOMEM");
	is("fixed: wraps around",
	    outcome(map(UINTPTR_MAX & ~(uintptr_t)(PAGE - 1), PAGE, RW, PRIVATE | MAP_FIXED)), "ENOMEM");
	is("fixed, no replace: unaligned",
	    outcome(map((uintptr_t)p + 1, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE)), "EINVAL");
	is("fixed, no replace: beyond user space",
	    outcome(map(BEYOND, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE)), "ENOMEM");
	is("fixed, no replace: in use", outcome(map((uintptr_t)p, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE)),
	    "EEXIST");
	is("fixed, no replace: its last page in use",
	    outcome(map((uintptr_t)p - PAGE, (size_t)2 * PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE)), "EEXIST");
	is("fixed, no replace: its first page in use",
	    outcome(
		map((uintptr_t)p + (size_t)5 * PAGE, (size_t)2 * PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE)),
	    "EEXIST");
	is("fixed, no replace: fixed as well, in use",
	    outcome(map((uintptr_t)p, PAGE, RW, PRIVATE | MAP_FIXED | MAP_FIXED_NOREPLACE)), "EEXIST");
	holds("fixed, no replace: nothing was replaced",
	    filled(p, 1) && filled(p + (size_t)5 * PAGE, 6) && !mapped(p - PAGE));
	unmap((uintptr_t)p + PAGE, PAGE);
	r = map((uintptr_t)p + PAGE, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE);
	holds("fixed, no replace: free", pointer(r) == p + PAGE && filled(p + PAGE, 0));
	r = map((uintptr_t)p + (size_t)2 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED);
	holds("fixed: replaces the middle by zeros",
	    pointer(r) == p + (size_t)2 * PAGE && filled(p + (size_t)2 * PAGE, 0));
	holds("fixed: the rest is as it was", filled(p, 1) && filled(p + (size_t)3 * PAGE, 4));
	protect((uintptr_t)p + PAGE, PAGE, PROT_READ);
	protect((uintptr_t)p + (size_t)3 * PAGE, PAGE, PROT_NONE);
	r = map((uintptr_t)p, (size_t)5 * PAGE, RW, PRIVATE | MAP_FIXED);
	holds("fixed: replaces five regions and parts of two",
	    pointer(r) == p && filled(p, 0) && filled(p + PAGE, 0) && filled(p + (size_t)3 * PAGE, 0) &&
		filled(p + (size_t)4 * PAGE, 0));
	holds("fixed: the page behind is as it was", filled(p + (size_t)5 * PAGE, 6));
	drop_area(p, 6);
}

void test_unmap(void)
{
	unsigned char *p = area(6);

	is("munmap: unaligned", outcome(unmap((uintptr_t)p + 8, PAGE)), "EINVAL");
	is("munmap: length 0", outcome(unmap((uintptr_t)p, 0)), "EINVAL");
	is("munmap: beyond user space", outcome(unmap(BEYOND, PAGE)), "EINVAL");
	is("munmap: length beyond user space", outcome(unmap((uintptr_t)p, BEYOND)), "EINVAL");
	is("munmap: wraps around", outcome(unmap((uintptr_t)p, SIZE_MAX - PAGE)), "EINVAL");
	is("munmap: length rounds up to 0", outcome(unmap((uintptr_t)p, SIZE_MAX)), "EINVAL");
	is("munmap: nothing there", outcome(unmap((uintptr_t)p - PAGE, PAGE)), "done");
	holds("munmap: the refused ones did nothing", filled(p, 1) && filled(p + (size_t)5 * PAGE, 6));
	is("munmap: the middle, length rounded up", outcome(unmap((uintptr_t)p + (size_t)2 * PAGE, PAGE + 1)),
	    "done");
	holds("munmap: two pages went", !mapped(p + (size_t)2 * PAGE) && !mapped(p + (size_t)3 * PAGE));
	holds("munmap: the rest stayed", filled(p + PAGE, 2) && filled(p + (size_t)4 * PAGE, 5));
	is("munmap: across a hole and both ends", outcome(unmap((uintptr_t)p - PAGE, (size_t)8 * PAGE)),
	    "done");
	holds("munmap: all went", !mapped(p) && !mapped(p + PAGE) && !mapped(p + (size_t)5 * PAGE));
	is("munmap: again", outcome(unmap((uintptr_t)p, (size_t)6 * PAGE)), "done");
	is("mmap: the same place",
	    outcome(map((uintptr_t)p, (size_t)6 * PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE)), "done");
	holds("mmap: is zero again",
	    filled(p, 0) && filled(p + (size_t)3 * PAGE, 0) && filled(p + (size_t)5 * PAGE, 0));
	drop_area(p, 6);
}
