/* SPDX-License-Identifier: MIT */
/*
 * randcalls SEED CALLS: random system calls on memory, good and bad, with what they must do known beforehand.
 *
 * An arena of 64 pages is mapped, unmapped and protected at random; a table says of each page whether it is
 * there, what it permits, and what is in its first and last word. The break moves, mappings are placed by the
 * kernel and come and go, pointers lead into the kernel, to page 0, beyond the user half and to pages that do
 * not permit the access, and numbers are called that no kernel has. Every result is compared with Linux's.
 * Beside all that some pages of all kinds are only kept: their checksums must not change.
 *
 * The numbers of a step are drawn before anything is asked, so the same seed makes the same steps everywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum { PAGE = 4096, ARENA = 64, EXTRAS = 16, HEAP = 256, KEPT = 4, OFTEN = 32 };
enum { RW = PROT_READ | PROT_WRITE };

enum kind { MAP, UNMAP, PROTECT, TOUCH, FILL, EMIT, BAD_POINTER, BAD_RANGE, UNKNOWN, BREAK, EXTRA, KINDS };
static const char *const names[KINDS] = {"mmap", "munmap", "mprotect", "load and store", "getrandom", "write",
    "bad pointer", "bad range", "unknown number", "brk", "mmap anywhere"};

struct page {
	int mapped, prot, known; /* known: the words are those */
	uint64_t first, last;
};

/* One step's numbers. */
struct step {
	enum kind kind;
	uint64_t r[4];
};

static struct page table[ARENA], heap[HEAP];
static unsigned char *arena, *heap_start;
static unsigned char *extra[EXTRAS];
static unsigned extra_pages[EXTRAS];
static uint64_t heap_end; /* byte offset of the break */
static unsigned long steps[KINDS], wrong, now;
static uint64_t state;
static int policy_wx, error_is_device;

static unsigned char kept_data[PAGE] __attribute__((aligned(4096))) = {1};
static const unsigned char kept_constant[PAGE] = {1, 2, 3};

static uint64_t next_random(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void complain(const char *what, long result, long wanted)
{
	if (wrong++ < 20) {
		printf("randcalls: call %lu: %s gives %ld, not %ld\n", now, what, result, wanted);
	}
}

static long is(const char *what, long result, long wanted)
{
	if (result != wanted) {
		complain(what, result, wanted);
	}
	return result;
}

/* syscall() turns an error into -1 and errno; this turns it back. */
static long raw(long result)
{
	return result == -1 ? -errno : result;
}

static long map(const void *at, uint64_t length, int prot, int flags)
{
	return raw(syscall(SYS_mmap, at, length, prot, flags | MAP_ANONYMOUS, -1, 0));
}

static volatile uint64_t *first_word(unsigned char *page)
{
	return (volatile uint64_t *)(void *)page;
}

static volatile uint64_t *last_word(unsigned char *page)
{
	return (volatile uint64_t *)(void *)(page + PAGE - 8);
}

static void fresh(struct page *page, int prot)
{
	*page = (struct page){.mapped = 1, .prot = prot, .known = 1};
}

/* Reads the words of a readable page, and writes new ones to a writable one. */
static void use(struct page *page, unsigned char *at, uint64_t value)
{
	if (page->mapped && page->prot != PROT_NONE && page->known) {
		if (*first_word(at) != page->first || *last_word(at) != page->last) {
			complain("a word of a page", (long)*first_word(at), (long)page->first);
		}
	}
	if (page->mapped && (page->prot & PROT_WRITE)) {
		page->known = 1;
		page->first = *first_word(at) = value;
		page->last = *last_word(at) = ~value;
	}
}

static int prot_of(uint64_t r)
{
	static const int prots[] = {
	    PROT_NONE, PROT_READ, RW, RW, RW, PROT_WRITE, PROT_READ | PROT_EXEC, RW | PROT_EXEC};
	return prots[r % 8];
}

static int refused_wx(int prot)
{
	return policy_wx && (prot & PROT_WRITE) && (prot & PROT_EXEC);
}

/* A part of the arena. */
struct part {
	unsigned first, pages;
	uint64_t length; /* bytes: sometimes less than the pages */
	int odd;	 /* the address is not a page's */
};

static struct part part_of(const struct step *s)
{
	struct part p = {.first = s->r[0] % ARENA, .pages = 1 + (s->r[0] >> 8) % 12};
	p.pages = p.first + p.pages > ARENA ? ARENA - p.first : p.pages;
	p.length = p.pages * (uint64_t)PAGE - ((s->r[0] >> 16) % 4 == 0 ? (s->r[0] >> 20) % PAGE : 0);
	p.odd = (s->r[0] >> 40) % 16 == 0;
	if ((s->r[0] >> 44) % 32 == 0) {
		p.length = 0;
	}
	return p;
}

static unsigned char *start_of(const struct part *p)
{
	return arena + (uint64_t)p->first * PAGE + (p->odd ? 8 : 0);
}

static int any_mapped(const struct part *p)
{
	for (unsigned i = p->first; i < p->first + p->pages; i++) {
		if (table[i].mapped) {
			return 1;
		}
	}
	return 0;
}

static void do_map(const struct step *s)
{
	struct part p = part_of(s);
	int prot = prot_of(s->r[1]), flags = s->r[1] >> 8 & 1 ? MAP_SHARED : MAP_PRIVATE;
	unsigned char *at = start_of(&p);
	long wanted = (long)at;
	if ((s->r[1] >> 16) % 32 == 0) {
		flags = 0; /* neither private nor shared */
	}
	flags |= (s->r[1] >> 24) % 4 ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	if (p.length == 0 || p.odd) {
		wanted = -EINVAL;
	} else if (flags & MAP_FIXED_NOREPLACE && any_mapped(&p)) {
		wanted = -EEXIST;
	} else if (!(flags & (MAP_SHARED | MAP_PRIVATE))) {
		wanted = -EINVAL;
	} else if (refused_wx(prot)) {
		wanted = -EACCES;
	}
	if (is("mmap", map(at, p.length, prot, flags), wanted) != (long)at) {
		return;
	}
	for (unsigned i = p.first; i < p.first + p.pages; i++) {
		fresh(&table[i], prot);
	}
}

static void do_unmap(const struct step *s)
{
	struct part p = part_of(s);
	long wanted = p.length == 0 || p.odd ? -EINVAL : 0;
	if (is("munmap", raw(syscall(SYS_munmap, start_of(&p), p.length)), wanted) != 0) {
		return;
	}
	for (unsigned i = p.first; i < p.first + p.pages; i++) {
		table[i].mapped = 0;
	}
}

/* What comes before a hole is changed. */
static void do_protect(const struct step *s)
{
	struct part p = part_of(s);
	int prot = prot_of(s->r[1]);
	long wanted = 0;
	unsigned end = p.first;
	if ((s->r[1] >> 8) % 4) { /* mostly where there is something */
		while (p.pages > 1 && !table[p.first].mapped) {
			p.first++, p.pages--;
		}
		p.length = p.length ? p.pages * (uint64_t)PAGE : 0;
		end = p.first;
	}
	if (p.odd) {
		wanted = -EINVAL;
	} else if (p.length != 0) {
		while (end < p.first + p.pages && table[end].mapped && !refused_wx(prot)) {
			end++;
		}
		if (end < p.first + p.pages) {
			wanted = table[end].mapped ? -EACCES : -ENOMEM;
		}
	}
	is("mprotect", raw(syscall(SYS_mprotect, start_of(&p), p.length, prot)), wanted);
	for (unsigned i = p.first; i < end; i++) {
		table[i].prot = prot;
	}
}

static void do_touch(const struct step *s)
{
	unsigned i = s->r[0] % ARENA;
	use(&table[i], arena + (uint64_t)i * PAGE, s->r[1]);
}

/* The kernel stores: into one page, or over its end into the next. */
static void do_fill(const struct step *s)
{
	unsigned i = s->r[0] % (ARENA - 1);
	unsigned char *at = arena + (uint64_t)i * PAGE;
	int over = (s->r[0] >> 8) % 4 == 0;
	int good = table[i].mapped && (table[i].prot & PROT_WRITE);
	long result = raw(syscall(SYS_getrandom, over ? at + PAGE - 8 : at, over ? 16 : 8, 0));
	if (!good || !over) {
		is("getrandom", result, good ? 8 : -EFAULT);
	} else if (result != -EFAULT && (result < 0 || result > 16)) {
		complain("getrandom over two pages", result, 16);
	}
	if (good) {
		table[i].known = 0;
	}
	if (over && table[i + 1].mapped && (table[i + 1].prot & PROT_WRITE)) {
		table[i + 1].known = 0;
	}
}

/* The kernel loads: from the arena, the stack, constants, code. */
static void do_emit(const struct step *s)
{
	unsigned i = s->r[0] % ARENA;
	long length = 1 + (long)(s->r[1] % 8);
	const unsigned char *from[] = {arena + (uint64_t)i * PAGE + (s->r[1] >> 8) % (PAGE - 8),
	    (const unsigned char *)s, kept_constant, (const unsigned char *)(uintptr_t)do_touch};
	unsigned where = (s->r[0] >> 8) % 8;
	int good = where == 0 || where > 3 ? table[i].mapped && table[i].prot != PROT_NONE : 1;
	if (!good && error_is_device) {
		return; /* /dev/null takes what is not there */
	}
	is("write", raw(syscall(SYS_write, 2, from[where > 3 ? 0 : where], length)), good ? length : -EFAULT);
}

static uint64_t bad_address(uint64_t r)
{
	static const uint64_t bases[] = {UINT64_C(0xffffffff80000000), UINT64_C(0xffff800000000000),
	    UINT64_C(0xffffffc000000000), UINT64_C(0x8000000000000000), UINT64_C(0x0100000000000000),
	    UINT64_C(0xfffffffffffff000)};
	unsigned which = r % 8;
	return which < 6 ? bases[which] + (r >> 8) % PAGE : 1 + (r >> 8) % (PAGE - 64);
}

static void do_bad_pointer(const struct step *s)
{
	const uint64_t at = bad_address(s->r[0]);
	static char room[512];
	switch (s->r[1] % 8) {
	case 0:
		is("uname", raw(syscall(SYS_uname, at)), -EFAULT);
		break;
	case 1:
		is("sysinfo", raw(syscall(SYS_sysinfo, at)), -EFAULT);
		break;
	case 2:
		is("clock_gettime", raw(syscall(SYS_clock_gettime, 1, at)), -EFAULT);
		break;
	case 3:
		is("getrandom", raw(syscall(SYS_getrandom, at, 1 + s->r[2] % 64, 0)), -EFAULT);
		break;
	case 4:
		is("prlimit64", raw(syscall(SYS_prlimit64, 0, RLIMIT_STACK, 0, at)), -EFAULT);
		break;
	case 5:
		is("newfstatat", raw(syscall(SYS_newfstatat, AT_FDCWD, at, room, 0)), -EFAULT);
		break;
	case 6:
		is("readlinkat", raw(syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", at, 64)), -EFAULT);
		break;
	default:
		if (!error_is_device) {
			is("write", raw(syscall(SYS_write, 2, at, 1 + s->r[2] % 64)), -EFAULT);
		}
		break;
	}
}

/* Ranges that no process can have: nothing of them may be changed. */
static void do_bad_range(const struct step *s)
{
	const uint64_t far = UINT64_C(0xffff800000000000) + (s->r[0] & 0xfffffff) * PAGE;
	const uint64_t length = (1 + (s->r[1] & 0xfff)) * PAGE, wraps = 0 - (uint64_t)(uintptr_t)arena + PAGE;
	switch ((s->r[0] >> 32) % 8) {
	case 0:
		is("munmap", raw(syscall(SYS_munmap, far, length)), -EINVAL);
		break;
	case 1:
		is("mprotect", raw(syscall(SYS_mprotect, far, length, PROT_READ)), -ENOMEM);
		break;
	case 2:
		is("mmap", map((void *)(uintptr_t)far, length, RW, MAP_PRIVATE | MAP_FIXED), -ENOMEM);
		break;
	case 3:
		is("munmap", raw(syscall(SYS_munmap, arena, wraps)), -EINVAL);
		break;
	case 4:
		is("mprotect", raw(syscall(SYS_mprotect, arena, wraps, PROT_READ)), -ENOMEM);
		break;
	case 5:
		is("mmap", map(arena, wraps, RW, MAP_PRIVATE | MAP_FIXED), -ENOMEM);
		break;
	case 6:
		is("mmap", map(NULL, UINT64_C(1) << (57 + s->r[1] % 7), RW, MAP_PRIVATE), -ENOMEM);
		break;
	default:
		is("mprotect", raw(syscall(SYS_mprotect, arena, PAGE, RW | 0x40000000)), -EINVAL);
		break;
	}
}

static void do_unknown(const struct step *s)
{
	static const uint64_t bases[] = {1000, 100000, 0x3fffff00, 0x7fffff00, UINT64_C(0xfffffffffffff000)};
	uint64_t number = bases[s->r[0] % 5] + (s->r[0] >> 8) % 255;
	is("an unknown call", raw(syscall((long)number, s->r[1], s->r[2], s->r[3], s->r[1], s->r[2])),
	    -ENOSYS);
}

static uint64_t pages_of(uint64_t bytes)
{
	return (bytes + PAGE - 1) / PAGE;
}

static void do_break(const struct step *s)
{
	uint64_t to = s->r[0] % (HEAP * PAGE + 1), old = pages_of(heap_end);
	unsigned char *at = heap_start + to;
	if ((s->r[1] & 7) == 0) { /* refused: below the program, or in the kernel; the old one is answered */
		uint64_t bad = s->r[1] & 8 ? s->r[2] % PAGE : bad_address(s->r[2] & ~UINT64_C(7));
		is("brk", syscall(SYS_brk, bad), (long)(heap_start + heap_end));
	} else if (is("brk", syscall(SYS_brk, at), (long)at) == (long)at) {
		heap_end = to;
		for (uint64_t i = pages_of(to); i < old; i++) {
			heap[i].mapped = 0;
		}
		for (uint64_t i = old; i < pages_of(to); i++) {
			fresh(&heap[i], RW);
		}
	}
	if (heap_end != 0) {
		unsigned i = (unsigned)(s->r[3] % pages_of(heap_end));
		use(&heap[i], heap_start + (uint64_t)i * PAGE, s->r[1]);
	}
}

/* Larger than the arena, so that none is placed in a hole of it. */
static void do_extra(const struct step *s)
{
	unsigned i = s->r[0] % EXTRAS, pages = ARENA + 1 + (unsigned)(s->r[1] % ARENA);
	if (extra[i]) {
		unsigned char *last = extra[i] + (uint64_t)(extra_pages[i] - 1) * PAGE;
		is("a word of a placed mapping", (long)*first_word(extra[i]), i + 1);
		is("a word of a placed mapping", (long)*last_word(last), i + 2);
		is("munmap", raw(syscall(SYS_munmap, extra[i], (uint64_t)extra_pages[i] * PAGE)), 0);
		extra[i] = NULL;
		return;
	}
	long at = map((s->r[1] >> 8) % 2 ? arena + 8 : NULL, (uint64_t)pages * PAGE, RW, MAP_PRIVATE);
	if (at < 0 && at > -4096) {
		complain("mmap anywhere", at, 0);
		return;
	}
	extra[i] = (unsigned char *)at;
	extra_pages[i] = pages;
	unsigned char *last = extra[i] + (uint64_t)(pages - 1) * PAGE;
	is("a word of a new mapping", (long)(*first_word(extra[i]) | *last_word(last)), 0);
	*first_word(extra[i]) = i + 1;
	*last_word(last) = i + 2;
}

/* Pages that nothing may change. */
static uint64_t sum(const unsigned char *from, size_t length)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < length; i++) {
		hash = (hash ^ from[i]) * UINT64_C(0x100000001b3);
	}
	return hash;
}

struct kept {
	const unsigned char *at;
	size_t length;
	uint64_t sum;
};

static void keep(struct kept *kept, const unsigned char *stack)
{
	unsigned char *mapped = (unsigned char *)map(NULL, 2 * PAGE, RW, MAP_PRIVATE);
	for (unsigned i = 0; i < PAGE; i++) {
		kept_data[i] = (unsigned char)next_random();
		mapped[i] = (unsigned char)next_random();
	}
	is("mprotect", raw(syscall(SYS_mprotect, mapped, 2 * PAGE, PROT_READ)), 0);
	kept[0] = (struct kept){kept_data, PAGE, 0};
	kept[1] = (struct kept){mapped, 2 * PAGE, 0};
	kept[2] = (struct kept){stack, PAGE, 0};
	kept[3] = (struct kept){(const unsigned char *)(uintptr_t)do_touch, 512, 0}; /* code */
	for (unsigned i = 0; i < KEPT; i++) {
		kept[i].sum = sum(kept[i].at, kept[i].length);
	}
}

static void check_kept(const struct kept *kept)
{
	for (unsigned i = 0; i < KEPT; i++) {
		if (sum(kept[i].at, kept[i].length) != kept[i].sum) {
			complain("the checksum of a kept page", (long)i, -1);
		}
	}
}

static void take_step(void)
{
	static void (*const functions[KINDS])(const struct step *) = {do_map, do_unmap, do_protect, do_touch,
	    do_fill, do_emit, do_bad_pointer, do_bad_range, do_unknown, do_break, do_extra};
	static const unsigned weights[KINDS] = {14, 10, 14, 24, 6, 6, 8, 6, 4, 6, 4};
	struct step s = {.kind = 0};
	unsigned draw, all = 0;
	for (unsigned i = 0; i < 4; i++) {
		s.r[i] = next_random();
	}
	for (unsigned i = 0; i < KINDS; i++) {
		all += weights[i];
	}
	draw = (unsigned)(next_random() % all);
	while (draw >= weights[s.kind]) {
		draw -= weights[s.kind++];
	}
	steps[s.kind]++;
	functions[s.kind](&s);
}

static void begin(void)
{
	struct stat status;
	long at = map(NULL, (ARENA + 2) * PAGE, PROT_NONE, MAP_PRIVATE);
	arena = (unsigned char *)at + PAGE; /* a page on each side stays as it is */
	for (unsigned i = 0; i < ARENA; i++) {
		fresh(&table[i], PROT_NONE);
	}
	at = map(NULL, PAGE, RW | PROT_EXEC, MAP_PRIVATE);
	policy_wx = at == -EACCES;
	heap_start = (unsigned char *)((syscall(SYS_brk, 0) + PAGE - 1) & ~(long)(PAGE - 1));
	is("brk", syscall(SYS_brk, heap_start), (long)heap_start);
	error_is_device = fstat(2, &status) == 0 && S_ISCHR(status.st_mode);
}

int main(int argc, char **argv)
{
	static char buffer[8192];
	unsigned char stack[PAGE];
	struct kept kept[KEPT];
	unsigned long calls = argc > 2 ? strtoul(argv[2], NULL, 0) : 8000;

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer)); /* the break is ours alone */
	state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	for (unsigned i = 0; i < PAGE; i++) {
		stack[i] = (unsigned char)next_random();
	}
	begin();
	keep(kept, stack);
	for (now = 1; now <= calls; now++) {
		take_step();
		if (now % OFTEN == 0) {
			check_kept(kept);
		}
	}
	for (unsigned i = 0; i < ARENA; i++) {
		use(&table[i], arena + (uint64_t)i * PAGE, i);
	}
	check_kept(kept);
	for (unsigned i = 0; i < KINDS; i++) {
		printf("randcalls: %s: %lu\n", names[i], steps[i]);
	}
	printf("randcalls: %lu calls, %lu wrong\n", calls, wrong);
	return wrong != 0;
}
