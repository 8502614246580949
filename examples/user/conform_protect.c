/* SPDX-License-Identifier: MIT */
/* conform: mprotect, the kernel's own accesses, and what /proc/self/maps says of it all. */
#include "conform.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *pointer(uintptr_t address)
{
	return (void *)address;
}

static void protect_errors(unsigned char *p)
{
	answers("unaligned", protect(p + 1, PAGE, PROT_READ));
	answers("unaligned, length 0", protect(p + 1, 0, PROT_READ));
	answers("length 0", protect(p, 0, PROT_NONE));
	answers("length 0, nothing there", protect(p - PAGE, 0, PROT_NONE));
	answers("length 0, unknown bits", protect(p, 0, 0x100));
	answers("wraps around", protect(p, SIZE_MAX - PAGE, PROT_READ));
	answers("length rounds up to 0", protect(p, SIZE_MAX, PROT_READ));
	answers("unknown bits", protect(p, PAGE, PROT_READ | 0x100));
	answers("unknown bits, nothing there", protect(p - PAGE, PAGE, PROT_READ | 0x100));
	answers("grows down and up", protect(p, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP));
	answers("grows down, but does not", protect(p, PAGE, PROT_READ | PROT_GROWSDOWN));
	answers("grows up, but does not", protect(p, PAGE, PROT_READ | PROT_GROWSUP));
	answers("nothing there", protect(p - PAGE, PAGE, PROT_READ));
	answers("beyond user space", protect(pointer(BEYOND), PAGE, PROT_READ));
	answers("in the kernel", protect(pointer(KERNEL), PAGE, PROT_READ));
	answers("begins in a hole", protect(p - PAGE, PAGES(2), PROT_READ));
	says("the page behind the hole did not change", kernel_writes(p));
}

static void protect_partial(void)
{
	unsigned char *p = area(4);

	unmap(p + PAGES(2), PAGE);
	answers("a hole in the middle", protect(p, PAGES(4), PROT_READ));
	says("a hole: what is before it changed", kernel_writes(p + PAGE));
	says("a hole: what is behind it did not", kernel_writes(p + PAGES(3)));
	drop(p, 4);
}

static void protect_effects(void)
{
	unsigned char *p = area(5);

	answers("the middle, none, length rounded up", protect(p + PAGE, PAGE + 1, PROT_NONE));
	says("a page in front can be written", kernel_writes(p));
	says("none cannot be written", kernel_writes(p + PAGE));
	says("none, the second page", kernel_writes(p + PAGES(2)));
	says("none cannot be read", kernel_reads(p + PAGE));
	says("a page behind can be written", kernel_writes(p + PAGES(3)));
	answers("back", protect(p + PAGE, PAGES(2), RW));
	holds("the content is as it was", filled(p + PAGE, 2) && filled(p + PAGES(2), 3));
	answers("read-only", protect(p, PAGES(5), PROT_READ));
	says("read-only cannot be written", kernel_writes(p + PAGE));
	says("read-only can be read", kernel_reads(p + PAGE));
	answers("again the same", protect(p, PAGES(5), PROT_READ));
	answers("write only", protect(p, PAGES(5), PROT_WRITE));
	says("write only can be written", kernel_writes(p));
	says("write only can be read", kernel_reads(p + PAGE));
	answers("read and execute", protect(p, PAGES(5), PROT_READ | PROT_EXEC));
	says("read and execute cannot be written", kernel_writes(p));
	answers("semaphores", protect(p, PAGES(5), RW | 8));
	answers("every second page", protect(p, PAGE, PROT_READ) | protect(p + PAGES(2), PAGE, PROT_READ) |
					 protect(p + PAGES(4), PAGE, PROT_READ));
	says("page 1 can be written", kernel_writes(p + PAGE));
	says("page 2 cannot", kernel_writes(p + PAGES(2)));
	says("page 3 can", kernel_writes(p + PAGES(3)));
	drop(p, 5);
}

/* Memory that was only read so far, then made read-only, then writable again. */
static void protect_untouched(void)
{
	unsigned char *p = space(2);

	map(p, PAGES(2), PROT_NONE, PRIVATE | MAP_FIXED);
	answers("untouched: none to read-only", protect(p, PAGES(2), PROT_READ));
	holds("untouched: zero", filled(p, 0) && filled(p + PAGE, 0));
	answers("untouched: to writable", protect(p, PAGES(2), RW));
	p[0] = 1;
	holds("untouched: writing one leaves the other", p[0] == 1 && p[1] == 0 && filled(p + PAGE, 0));
	map(p, PAGES(2), RW, SHARED | MAP_FIXED);
	p[PAGE] = 4;
	answers("shared: read-only", protect(p, PAGES(2), PROT_READ));
	says("shared: cannot be written", kernel_writes(p + PAGE));
	answers("shared: writable", protect(p, PAGES(2), RW));
	p[PAGE + 1] = 5;
	holds("shared: holds both", p[PAGE] == 4 && p[PAGE + 1] == 5);
	drop(p, 2);
}

void group_mprotect(void)
{
	unsigned char *p = area(4);

	protect_errors(p);
	drop(p, 4);
	protect_partial();
	protect_effects();
	protect_untouched();
}

void group_access(void)
{
	unsigned char *p = area(2);

	says("read from nowhere", kernel_reads(p - PAGE));
	says("read from address 0", kernel_reads(NULL));
	says("read from the kernel", kernel_reads(pointer(KERNEL)));
	says("read from beyond user space", kernel_reads(pointer(BEYOND)));
	says("write to nowhere", kernel_writes(p - PAGE));
	says("write to address 0", kernel_writes(NULL + 8));
	says("write to the kernel", kernel_writes(pointer(KERNEL)));
	says("write to beyond user space", kernel_writes(pointer(BEYOND)));
	says("write to the last address", kernel_writes(pointer(UINTPTR_MAX - 7)));
	says("write up to the end of a mapping", kernel_writes(p + PAGES(2) - 8));
	says("write across the end of a mapping", kernel_writes(p + PAGES(2) - 4));
	map(p, PAGE, RW, PRIVATE | MAP_FIXED);
	says("write to an untouched page", kernel_writes(p + 104));
	holds("which is zero around it", filled(p, 0));
	holds("and resident", resident(p, 1) == 1);
	drop(p, 2);
}

/* The regions in the range, as "rw-p 2, r--p 1": permission and length in pages. */
static const char *regions(const unsigned char *from, unsigned pages)
{
	static char text[256], maps[1 << 16];
	const uintptr_t low = (uintptr_t)from, high = low + PAGES(pages);
	size_t used = 0, length = 0;
	int fd = open("/proc/self/maps", O_RDONLY);
	ssize_t n;

	while (fd >= 0 && length < sizeof(maps) - 1 &&
	       (n = read(fd, maps + length, sizeof(maps) - 1 - length)) > 0) {
		length += (size_t)n;
	}
	close(fd);
	maps[length] = 0;
	text[0] = 0;
	for (char *line = maps; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		unsigned long start, end;
		char permission[8];

		if (sscanf(line, "%lx-%lx %4s", &start, &end, permission) == 3 && start < high && end > low &&
		    used < sizeof(text)) {
			start = start < low ? low : start;
			end = end > high ? high : end;
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %lu",
			    used ? ", " : "", permission, (end - start) / PAGE);
		}
	}
	return fd < 0 ? "no list" : used ? text : "nothing";
}

void group_maps(void)
{
	unsigned char *p = space(8);
	int fd = file(8);

	says("free space", regions(p, 8));
	map(p, PAGES(8), RW, PRIVATE | MAP_FIXED);
	says("one mapping", regions(p, 8));
	protect(p + PAGES(2), PAGES(3), PROT_READ);
	says("the middle read-only", regions(p, 8));
	protect(p + PAGES(2), PAGES(3), RW);
	says("and back", regions(p, 8));
	protect(p, PAGES(3), PROT_READ);
	protect(p + PAGES(3), PAGES(5), PROT_READ | PROT_EXEC);
	says("two halves", regions(p, 8));
	unmap(p + PAGES(2), PAGES(2));
	says("a hole over their border", regions(p, 8));
	drop(p, 8);
	map(p, PAGES(2), RW, PRIVATE | MAP_FIXED);
	map(p + PAGES(4), PAGES(2), RW, PRIVATE | MAP_FIXED);
	map(p + PAGES(2), PAGES(2), RW, PRIVATE | MAP_FIXED);
	says("three neighbours are one", regions(p, 8));
	map(p + PAGES(2), PAGES(2), RW, SHARED | MAP_FIXED);
	says("shared in the middle", regions(p, 8));
	map_file(p, PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	map_file(p + PAGES(4), PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, PAGES(4));
	says("a file in two steps", regions(p, 8));
	map_file(p + PAGES(4), PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, PAGES(3));
	says("a file with a step in it", regions(p, 8));
	map_file(p, PAGES(4), PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
	says("private and shared of a file", regions(p, 8));
	map(p, PAGES(8), PROT_NONE, PRIVATE | MAP_FIXED | MAP_NORESERVE);
	says("no permission", regions(p, 8));
	map(p, PAGES(8), PROT_NONE, PRIVATE | MAP_FIXED);
	advise(p, PAGES(2), MADV_DONTFORK);
	says("not for fork", regions(p, 8));
	advise(p, PAGES(2), MADV_DOFORK);
	says("for fork again", regions(p, 8));
	advise(p + PAGE, PAGE, MADV_DONTNEED);
	says("advised away", regions(p, 8));
	drop(p, 8);
	close(fd);
}
