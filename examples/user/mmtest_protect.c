/* SPDX-License-Identifier: MIT */
/* mmtest: mprotect, brk, and the kernel's own accesses. */
#include "mmtest.h"

#include <string.h>
#include <unistd.h>

#define BEYOND ((uintptr_t)0x7ffffffffffff000)
#define KERNEL ((uintptr_t)0xffffffff80200000)

static void test_protect_errors(void)
{
	unsigned char *p = area(4);
	const uintptr_t at = (uintptr_t)p;

	is("mprotect: unaligned", outcome(protect(at + 1, PAGE, PROT_READ)), "EINVAL");
	is("mprotect: unaligned, length 0", outcome(protect(at + 1, 0, PROT_READ)), "EINVAL");
	is("mprotect: length 0", outcome(protect(at, 0, PROT_NONE)), "done");
	is("mprotect: length 0, nothing there", outcome(protect(at - PAGE, 0, PROT_NONE)), "done");
	is("mprotect: wraps around", outcome(protect(at, SIZE_MAX - PAGE, PROT_READ)), "ENOMEM");
	is("mprotect: length rounds up to 0", outcome(protect(at, SIZE_MAX, PROT_READ)), "ENOMEM");
	is("mprotect: unknown permission bits", outcome(protect(at, PAGE, PROT_READ | 0x100)), "EINVAL");
	is("mprotect: unknown permission bits, length 0", outcome(protect(at, 0, 0x100)), "done");
	is("mprotect: grows down and up",
	    outcome(protect(at, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP)), "EINVAL");
	is("mprotect: grows down, but does not", outcome(protect(at, PAGE, PROT_READ | PROT_GROWSDOWN)),
	    "EINVAL");
	is("mprotect: nothing there", outcome(protect(at - PAGE, PAGE, PROT_READ)), "ENOMEM");
	is("mprotect: beyond user space", outcome(protect(BEYOND, PAGE, PROT_READ)), "ENOMEM");
	is("mprotect: begins in a hole", outcome(protect(at - PAGE, (size_t)2 * PAGE, PROT_READ)), "ENOMEM");
	is("the page behind the hole", kernel_writes(p), "done");
	unmap(at + (size_t)2 * PAGE, PAGE);
	is("mprotect: a hole in the middle", outcome(protect(at, (size_t)4 * PAGE, PROT_READ)), "ENOMEM");
	is("the first page changed", kernel_writes(p), "EFAULT");
	is("the second page changed", kernel_writes(p + PAGE), "EFAULT");
	is("the page behind the hole did not", kernel_writes(p + (size_t)3 * PAGE), "done");
	drop_area(p, 4);
}

static void test_protect_effects(void)
{
	static const char line[] = "mmtest: (a line from a read-only page)\n";
	unsigned char *p = area(5);
	const uintptr_t at = (uintptr_t)p;

	is("mprotect: the middle, none, length rounded up", outcome(protect(at + PAGE, PAGE + 1, PROT_NONE)),
	    "done");
	is("a page in front", kernel_writes(p), "done");
	is("none is not writable", kernel_writes(p + PAGE), "EFAULT");
	is("none is not writable, second page", kernel_writes(p + (size_t)2 * PAGE), "EFAULT");
	is("none is not readable", kernel_reads(p + PAGE, 1), "EFAULT");
	is("a page behind", kernel_writes(p + (size_t)3 * PAGE), "done");
	is("mprotect: back", outcome(protect(at + PAGE, (size_t)2 * PAGE, RW)), "done");
	holds("the content is as it was", filled(p + PAGE, 2) && filled(p + (size_t)2 * PAGE, 3));
	memcpy(p + PAGE, line, sizeof(line));
	is("mprotect: read-only", outcome(protect(at, (size_t)5 * PAGE, PROT_READ)), "done");
	is("read-only is not writable", kernel_writes(p + PAGE), "EFAULT");
	is("read-only is readable", kernel_reads(p + PAGE, sizeof(line) - 1), "done");
	is("mprotect: again the same", outcome(protect(at, (size_t)5 * PAGE, PROT_READ)), "done");
	is("mprotect: write-only", outcome(protect(at, (size_t)5 * PAGE, PROT_WRITE)), "done");
	is("write-only is writable", kernel_writes(p), "done");
	holds("write-only is readable", p[PAGE] == 'm' && p[(size_t)4 * PAGE] == 5);
	is("mprotect: read-execute", outcome(protect(at, (size_t)5 * PAGE, PROT_READ | PROT_EXEC)), "done");
	is("read-execute is not writable", kernel_writes(p), "EFAULT");
	is("mprotect: every second page",
	    outcome(protect(at, PAGE, RW) | protect(at + (size_t)2 * PAGE, PAGE, RW) |
		    protect(at + (size_t)4 * PAGE, PAGE, RW)),
	    "done");
	is("page 1 is not writable", kernel_writes(p + PAGE), "EFAULT");
	is("page 2 is writable", kernel_writes(p + (size_t)2 * PAGE), "done");
	is("page 3 is not writable", kernel_writes(p + (size_t)3 * PAGE), "EFAULT");
	is("mprotect: all of them", outcome(protect(at, (size_t)5 * PAGE, RW)), "done");
	holds("page 3 and 4 hold what they held",
	    filled(p + (size_t)3 * PAGE + 1, 4) == 0 && p[(size_t)3 * PAGE + 1] == 4);
	is("page 3 is writable", kernel_writes(p + (size_t)3 * PAGE), "done");
	drop_area(p, 5);
}

/* Memory that was only read so far, then made read-only, then writable again. */
static void test_protect_untouched(void)
{
	unsigned char *p = area(2);

	unmap((uintptr_t)p, (size_t)2 * PAGE);
	map((uintptr_t)p, (size_t)2 * PAGE, PROT_NONE, PRIVATE | MAP_FIXED_NOREPLACE);
	is("mmap: none is not writable", kernel_writes(p), "EFAULT");
	is("mprotect: none to read-only", outcome(protect((uintptr_t)p, (size_t)2 * PAGE, PROT_READ)),
	    "done");
	holds("it is zero", filled(p, 0) && filled(p + PAGE, 0));
	is("mprotect: to read-write", outcome(protect((uintptr_t)p, (size_t)2 * PAGE, RW)), "done");
	p[0] = 1;
	holds("writing one leaves the other", p[0] == 1 && p[1] == 0 && filled(p + PAGE, 0));
	drop_area(p, 2);
}

void test_protect(void)
{
	test_protect_errors();
	test_protect_effects();
	test_protect_untouched();
}

void test_break(void)
{
	const uintptr_t now = set_break(0), up = (now + 2 * PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	const unsigned char *page = (const unsigned char *)up;

	holds("brk: asked twice", set_break(0) == now);
	holds("brk: in steps of a byte", set_break(up + 1) == up + 1 && set_break(up + 2) == up + 2);
	holds("brk: its page is whole and zero", filled(page, 0));
	memset((void *)up, 7, PAGE);
	holds("brk: down in the page keeps it", set_break(up + 1) == up + 1 && filled(page, 7));
	holds("brk: down and up again is zero",
	    set_break(up) == up && !mapped(page) && set_break(up + PAGE) == up + PAGE && filled(page, 0));
	holds("brk: absurd", set_break(BEYOND) == up + PAGE);
	holds("brk: below the start", set_break(PAGE) == up + PAGE);
	is("mmap: right above the break",
	    outcome(map(up + (uintptr_t)3 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE)), "done");
	holds("brk: up to it", set_break(up + (uintptr_t)2 * PAGE) == up + (uintptr_t)2 * PAGE);
	holds("brk: into it", set_break(up + (uintptr_t)4 * PAGE) == up + (uintptr_t)2 * PAGE);
	holds("brk: past it", set_break(up + (uintptr_t)16 * PAGE) == up + (uintptr_t)2 * PAGE);
	is("munmap: it", outcome(unmap(up + (uintptr_t)3 * PAGE, PAGE)), "done");
	holds("brk: now past it", set_break(up + (uintptr_t)16 * PAGE) == up + (uintptr_t)16 * PAGE);
	is("munmap: a page of the heap", outcome(unmap(up + (uintptr_t)4 * PAGE, PAGE)), "done");
	holds("brk: down across the hole", set_break(now) == now && !mapped(page));
}

void test_kernel_access(void)
{
	static const char line[] = "mmtest: (a line at the end of a page)\n";
	unsigned char *p = area(2);

	is("write from nowhere", kernel_reads(p - PAGE, 1), "EFAULT");
	is("write from address 0", kernel_reads(NULL, 1), "EFAULT");
	is("write from the kernel's half", kernel_reads((const void *)KERNEL, 16), "EFAULT");
	is("write from beyond user space", kernel_reads((const void *)BEYOND, 1), "EFAULT");
	is("write of nothing from nowhere", kernel_reads(p - PAGE, 0), "done");
	is("read to nowhere", kernel_writes(p - PAGE), "EFAULT");
	is("read to address 0", kernel_writes(NULL), "EFAULT");
	is("read to the kernel's half", kernel_writes((const void *)KERNEL), "EFAULT");
	is("read to the last address", kernel_writes((const void *)UINTPTR_MAX), "EFAULT");
	memcpy(p + (size_t)2 * PAGE - sizeof(line) + 1, line, sizeof(line) - 1);
	is("write up to the last byte of a mapping",
	    kernel_reads(p + (size_t)2 * PAGE - sizeof(line) + 1, sizeof(line) - 1), "done");
	/* A page that nobody touched yet is given to the kernel as to the program. */
	unmap((uintptr_t)p, PAGE);
	map((uintptr_t)p, PAGE, RW, PRIVATE | MAP_FIXED);
	is("read to an untouched page", kernel_writes(p + 100), "done");
	holds("the page is zero around it", p[99] == 0 && p[101] == 0);
	drop_area(p, 2);
}
