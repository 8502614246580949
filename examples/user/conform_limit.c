/* SPDX-License-Identifier: MIT */
/* conform: limits, the number of regions, and how much may be promised. */
#include "conform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static uintptr_t set_break(uintptr_t to)
{
	return (uintptr_t)call(SYS_brk, (long)to, 0, 0, 0, 0, 0);
}

/* A number that the kernel tells in a file, or the one that it would tell by default. */
static long setting(const char *path, long otherwise)
{
	char text[32] = {0};
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0) {
		close(fd);
	}
	return n > 0 ? atol(text) : otherwise;
}

static void limit_space(void)
{
	unsigned char *p = area(8);
	uintptr_t now = set_break(0);
	struct rlimit unlimited;

	getrlimit(RLIMIT_AS, &unlimited);
	limit(RLIMIT_AS, PAGE);
	unmap(p + PAGES(4), PAGES(4));
	answers("space: mmap", map(p + PAGES(4), PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE));
	answers("space: mmap without permission", map(NULL, PAGE, PROT_NONE, PRIVATE | MAP_NORESERVE));
	answers("space: mremap to grow", remap(p, PAGES(4), PAGES(5), 0, NULL));
	answers("space: mremap to move", remap(p, PAGES(4), PAGES(5), MREMAP_MAYMOVE, NULL));
	answers("space: mremap, the same length",
	    remap(p, PAGES(4), PAGES(4), MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGES(4)));
	holds("space: brk", set_break(now + PAGES(4)) == now);
	answers("space: mmap of what is there", map(p + PAGES(4), PAGES(4), RW, PRIVATE | MAP_FIXED));
	answers("space: mprotect", protect(p + PAGES(4), PAGE, PROT_READ));
	answers("space: munmap", unmap(p + PAGES(4), PAGE));
	setrlimit(RLIMIT_AS, &unlimited);
	answers("space: lifted", map(p, PAGES(4), RW, PRIVATE | MAP_FIXED));
	drop(p, 8);
}

static void limit_data(void)
{
	unsigned char *p = area(4), *q = space(8);
	uintptr_t now = set_break(0);
	struct rlimit unlimited;
	int fd = file(2);

	getrlimit(RLIMIT_DATA, &unlimited);
	limit(RLIMIT_DATA, PAGE);
	answers("data: mmap writable", map(q, PAGE, RW, PRIVATE | MAP_FIXED));
	answers("data: mmap read-only", map(q, PAGE, PROT_READ, PRIVATE | MAP_FIXED));
	answers("data: then mprotect", protect(q, PAGE, RW));
	answers("data: mmap without permission", map(q + PAGE, PAGE, PROT_NONE, PRIVATE | MAP_FIXED));
	answers("data: mmap shared", map(q + PAGES(2), PAGE, RW, SHARED | MAP_FIXED));
	answers(
	    "data: mmap of a file, shared", map_file(q + PAGES(3), PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0));
	answers("data: mmap of a file, private",
	    map_file(q + PAGES(4), PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0));
	answers("data: mmap of a stack", map(q + PAGES(5), PAGE, RW, PRIVATE | MAP_FIXED | MAP_GROWSDOWN));
	answers("data: mremap to grow", remap(p, PAGES(4), PAGES(5), MREMAP_MAYMOVE, NULL));
	answers("data: mremap, the same length",
	    remap(p, PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, q + PAGES(6)));
	holds("data: brk", set_break(now + PAGES(4)) == now);
	answers("data: mmap over what counts", map(p + PAGES(2), PAGE, RW, PRIVATE | MAP_FIXED));
	setrlimit(RLIMIT_DATA, &unlimited);
	answers("data: lifted", protect(q, PAGE, RW));
	drop(p, 4);
	drop(q, 8);
	close(fd);
}

/* Of this process, whether all of its capabilities are zero. */
static int no_capability(void)
{
	char text[4096];
	int fd = open("/proc/self/status", O_RDONLY), none = 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	close(fd);
	for (const char *line = text; (line = strstr(line, "\nCap")) != NULL; line += 4) {
		if (memcmp(line + 4, "Bnd", 3) != 0) { /* what could be had from a file */
			none = strtoull(strchr(line, ':') + 1, NULL, 16) == 0 && none >= 0 ? 1 : -1;
		}
	}
	return none == 1;
}

void group_limits(void)
{
	struct rlimit now;

	holds("an ordinary user", getuid() != 0 && geteuid() == getuid() && getegid() != 0);
	holds("without capabilities", no_capability());

	holds("default: stack 8 MiB", first_limit(RLIMIT_STACK) == (uint64_t)8 << 20);
	holds("default: locked 8 MiB", first_limit(RLIMIT_MEMLOCK) == (uint64_t)8 << 20);
	holds("default: all of space", first_limit(RLIMIT_AS) == RLIM_INFINITY);
	holds("default: all of data", first_limit(RLIMIT_DATA) == RLIM_INFINITY);
	now.rlim_cur = 2;
	now.rlim_max = 1;
	answers("soft above hard", setrlimit(RLIMIT_CORE, &now) == 0 ? 0 : -errno);
	answers("an unknown limit", getrlimit((__rlimit_resource_t)77, &now) == 0 ? 0 : -errno);
	limit_space();
	limit_data();
}

void group_regions(void)
{
	const long most = setting("/proc/sys/vm/max_map_count", 65530);
	const size_t pages = 2 * (size_t)most + 16;
	unsigned char *p = (unsigned char *)map(NULL, PAGES(pages), PROT_READ, PRIVATE | MAP_NORESERVE);
	void *more[3];
	size_t i = 0, extra = 0;
	long r = 0;

	/* Every second page gets another permission: two more regions for each. */
	while (r == 0 && i + 1 < pages) {
		r = protect(p + PAGES(2 * i + 1), PAGE, PROT_NONE);
		i += r == 0;
	}
	answers("mprotect to split", r);
	holds("there are as many as there may be", 2 * (long)i <= most && 2 * (long)i > most - 200);
	/* The last one may have left room for one or two, which do not join. */
	for (r = 0; extra < 3 && !failed(r); extra += !failed(r)) {
		r = map(NULL, PAGE, PROT_READ | (extra % 2 == 0 ? PROT_EXEC : PROT_WRITE), PRIVATE);
		if (!failed(r)) {
			more[extra] = (void *)r;
		}
	}
	answers("mmap", r);
	answers("munmap of a middle", unmap(p + PAGES(pages - 4), PAGE));
	answers("munmap of an end", unmap(p + PAGES(pages - 1), PAGE));
	answers("mprotect of a whole region", protect(p + PAGE, PAGE, PROT_EXEC));
	answers("mremap to move",
	    remap(p + PAGES(pages - 8), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGES(pages - 1)));
	answers("mlock of a middle", call(SYS_mlock, (long)(p + PAGES(pages - 4)), PAGE, 0, 0, 0, 0));
	answers("madvise of a middle", advise(p + PAGES(pages - 4), PAGE, MADV_DONTFORK));
	answers("mmap fixed over a middle", map(p + PAGES(pages - 4), PAGE, RW, SHARED | MAP_FIXED));
	answers("mmap that joins a neighbour",
	    map(p + PAGES(pages - 1), PAGE, PROT_READ, PRIVATE | MAP_NORESERVE | MAP_FIXED));
	answers("munmap of it all", unmap(p, PAGES(pages)));
	while (extra > 0) {
		unmap(more[--extra], PAGE);
	}
	p = area(1);
	holds("and all is well", filled(p, 1));
	drop(p, 1);
}

void group_overcommit(void)
{
	static const char *const names[] = {
	    "mmap of twice the memory",
	    "the same, not reserved",
	    "the same, read-only",
	    "then mprotect",
	    "the same, no permission",
	    "the same, shared",
	    "the same, shared, not reserved",
	    "brk of twice the memory",
	    "mremap to twice the memory",
	    "mmap of half the memory",
	    "and once more",
	    "and once more after that",
	};
	struct sysinfo info;
	uint64_t memory;
	unsigned char *p;
	uintptr_t now = set_break(0);
	long r, s, t;

	if (setting("/proc/sys/vm/overcommit_memory", 0) != 0) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			unknown(names[i]);
		}
		return;
	}
	sysinfo(&info);
	memory = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit / PAGE * PAGE;
	answers(names[0], map(NULL, 2 * memory, RW, PRIVATE));
	r = map(NULL, 2 * memory, RW, PRIVATE | MAP_NORESERVE);
	answers(names[1], r);
	unmap((void *)r, 2 * memory);
	r = map(NULL, 2 * memory, PROT_READ, PRIVATE);
	answers(names[2], r);
	answers(names[3], protect((void *)r, 2 * memory, RW));
	unmap((void *)r, 2 * memory);
	r = map(NULL, 2 * memory, PROT_NONE, PRIVATE);
	answers(names[4], r);
	unmap((void *)r, 2 * memory);
	answers(names[5], map(NULL, 2 * memory, RW, SHARED));
	r = map(NULL, 2 * memory, RW, SHARED | MAP_NORESERVE);
	answers(names[6], r);
	unmap((void *)r, 2 * memory);
	holds(names[7], set_break(now + 2 * memory) == now);
	p = area(1);
	answers(names[8], remap(p, PAGE, 2 * memory, MREMAP_MAYMOVE, NULL));
	drop(p, 1);
	r = map(NULL, memory / 2, RW, PRIVATE);
	s = map(NULL, memory / 2, RW, PRIVATE);
	t = map(NULL, memory / 2, RW, PRIVATE);
	answers(names[9], r);
	answers(names[10], s);
	answers(names[11], t);
	unmap((void *)r, memory / 2);
	unmap((void *)s, memory / 2);
	unmap((void *)t, memory / 2);
}
