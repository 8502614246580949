/* SPDX-License-Identifier: MIT */
/*
 * bench [PREFIX...]: instructions per operation of the memory calls and faults, one line `NAME COUNT` each,
 * those whose name begins with a PREFIX or all. Under QEMU with -icount shift=0 the counts are exact and the
 * same in every run.
 *
 * No C library, so nothing runs but what is written here, and the same file runs on any kernel with Linux's
 * system calls, also as process 1 (it then powers the machine off). Only what stands between two readings of
 * the counter is measured; the cost of a pair of readings is taken off. What restores the state between two
 * samples is not measured.
 *
 * To add one: a function that returns the instructions of its n operations, and a line in the table. A set-up
 * that fails, or an operation that does, is reported as `NAME failed ERRNO` and makes the exit status 1; the
 * others still run.
 *
 * The state of every benchmark is its own: areas below are far from anything else, so that no neighbour
 * merges with them and their page tables are not shared.
 */
#include <stddef.h>
#include <stdint.h>

#include "bench_arch.h"

enum { PAGE = 4096, BIG_PAGES = 16384, REGION_STRIDE = 8, SAMPLES = 64 };
enum { NONE = 0, READ = 1, WRITE = 2, READ_WRITE = 3 };
enum { PRIVATE_ANONYMOUS = 0x22, FIXED = 0x10 };

/* 64 GiB and up: inside the smallest user space (256 GiB, Sv39), far from program, heap and stack. */
#define SMALL ((uint64_t)64 << 30)
#define BIG ((uint64_t)66 << 30)
#define MANY ((uint64_t)72 << 30)

struct benchmark {
	const char *name;
	unsigned operations;
	long argument;
	void (*setup)(long argument);
	uint64_t (*run)(unsigned operations, long argument);
	void (*teardown)(long argument);
};

void start_c(const uint64_t *stack);

static uint64_t pair; /* what two readings in a row cost */
static long error;    /* the first that the running benchmark met, positive */

/* Starts and ends a measured stretch. */
static inline uint64_t begin(void)
{
	return counter();
}

static inline uint64_t end(uint64_t begun)
{
	uint64_t passed = counter() - begun;

	return passed > pair ? passed - pair : 0;
}

static inline void note(long result)
{
	if (result < 0 && result > -4096 && error == 0) {
		error = -result;
	}
}

static inline long map(uint64_t at, uint64_t length, int prot)
{
	return system_call(
	    SYS_MMAP, (long)at, (long)length, prot, PRIVATE_ANONYMOUS | (at != 0 ? FIXED : 0), -1, 0);
}

static inline long unmap(uint64_t at, uint64_t length)
{
	return system_call(SYS_MUNMAP, (long)at, (long)length, 0, 0, 0, 0);
}

static inline long protect(uint64_t at, uint64_t length, int prot)
{
	return system_call(SYS_MPROTECT, (long)at, (long)length, prot, 0, 0, 0);
}

static inline void touch(uint64_t at)
{
	*(volatile unsigned char *)(uintptr_t)at = 1;
}

static inline void look(uint64_t at)
{
	(void)*(volatile unsigned char *)(uintptr_t)at;
}

static void write_pages(uint64_t at, uint64_t pages)
{
	for (uint64_t end_of_it = at + pages * PAGE; at != end_of_it; at += PAGE) {
		touch(at);
	}
}

static void read_pages(uint64_t at, uint64_t pages)
{
	for (uint64_t end_of_it = at + pages * PAGE; at != end_of_it; at += PAGE) {
		look(at);
	}
}

/* Calls and single pages */

static uint64_t run_null(unsigned n, long unused)
{
	uint64_t total = 0;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();

		system_call(SYS_GETPPID, 0, 0, 0, 0, 0, 0);
		total += end(t);
	}
	return total;
}

static unsigned char clear_target[2 * PAGE];

static uint64_t run_clear(unsigned n, long unused)
{
	void *page = (void *)(((uintptr_t)clear_target + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	uint64_t total = 0;

	(void)unused;
	touch((uint64_t)(uintptr_t)page);
	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();

		clear_page(page);
		total += end(t);
	}
	return total;
}

static uint64_t run_map(unsigned n, long unused)
{
	uint64_t total = 0;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();
		long r = map(SMALL, PAGE, READ_WRITE);

		total += end(t);
		note(r);
		note(unmap(SMALL, PAGE));
	}
	return total;
}

static uint64_t run_unmap(unsigned n, long unused)
{
	uint64_t total = 0;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		uint64_t t;
		long r;

		note(map(SMALL, PAGE, READ_WRITE));
		t = begin();
		r = unmap(SMALL, PAGE);
		total += end(t);
		note(r);
	}
	return total;
}

/* The argument says how the page is used between the two calls. */
static uint64_t run_map_unmap(unsigned n, long use)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();
		long r = map(SMALL, PAGE, READ_WRITE);

		if (use == WRITE) {
			touch(SMALL);
		} else if (use == READ) {
			look(SMALL);
		}
		note(unmap(SMALL, PAGE));
		total += end(t);
		note(r);
	}
	return total;
}

/* Three pages in one region, all written: protecting the middle one makes three regions, giving it back makes
 * one. */
static void setup_three(long unused)
{
	(void)unused;
	note(map(SMALL, 3 * PAGE, READ_WRITE));
	if (error == 0) {
		write_pages(SMALL, 3);
	}
}

static void teardown_three(long unused)
{
	(void)unused;
	unmap(SMALL, 3 * PAGE);
}

static uint64_t run_protect(unsigned n, long measured)
{
	uint64_t total[2] = {0, 0};

	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();
		long r = protect(SMALL + PAGE, PAGE, READ);

		total[0] += end(t);
		note(r);
		t = begin();
		r = protect(SMALL + PAGE, PAGE, READ_WRITE);
		total[1] += end(t);
		note(r);
		touch(SMALL + PAGE);
	}
	return total[measured];
}

/* Many pages */

static void setup_big(long use)
{
	note(map(BIG, (uint64_t)BIG_PAGES * PAGE, READ_WRITE));
	if (error == 0 && use == WRITE) {
		write_pages(BIG, BIG_PAGES);
	} else if (error == 0 && use == READ) {
		read_pages(BIG, BIG_PAGES);
	}
}

static void teardown_big(long unused)
{
	(void)unused;
	unmap(BIG, (uint64_t)BIG_PAGES * PAGE);
}

static uint64_t run_write_pages(unsigned n, long unused)
{
	uint64_t t = begin();

	(void)unused;
	write_pages(BIG, n);
	return end(t);
}

static uint64_t run_read_pages(unsigned n, long unused)
{
	uint64_t t = begin();

	(void)unused;
	read_pages(BIG, n);
	return end(t);
}

static uint64_t run_unmap_pages(unsigned n, long unused)
{
	uint64_t t = begin();
	long r = unmap(BIG, (uint64_t)n * PAGE);

	(void)unused;
	note(r);
	return end(t);
}

static uint64_t run_protect_pages(unsigned n, long unused)
{
	uint64_t t = begin();
	long r = protect(BIG, (uint64_t)n * PAGE, READ);

	(void)unused;
	note(r);
	return end(t);
}

#include "bench_advice.h"
#include "bench_flush.h"
#include "bench_fork.h"
#include "bench_remap.h"

/*
 * A page that may not be touched is, and the handler of SIGSEGV gives it back: what a garbage collector's
 * barrier costs. The argument says whether taking it away is counted, too.
 */

struct siginfo {
	int number, error, code, pad;
	uint64_t address;
};

static void give_back(int number, const struct siginfo *info, void *context)
{
	(void)number;
	(void)context;
	note(protect(info->address & ~(uint64_t)(PAGE - 1), PAGE, READ_WRITE));
}

static void setup_segv(long unused)
{
	enum { SIGSEGV = 11, SA_SIGINFO = 4 };
#ifdef SA_RESTORER
	uint64_t action[4] = {
	    (uint64_t)(uintptr_t)give_back, SA_SIGINFO | SA_RESTORER, (uint64_t)(uintptr_t)signal_return, 0};
#else
	uint64_t action[4] = {(uint64_t)(uintptr_t)give_back, SA_SIGINFO, 0, 0};
#endif

	(void)unused;
	note(system_call(SYS_RT_SIGACTION, SIGSEGV, (long)(intptr_t)action, 0, 8, 0, 0));
	note(map(SMALL, PAGE, READ_WRITE));
	if (error == 0) {
		touch(SMALL);
	}
}

static uint64_t run_segv(unsigned n, long whole)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin(), taken;

		note(protect(SMALL, PAGE, NONE));
		taken = end(t);
		t = begin();
		touch(SMALL);
		total += end(t) + (whole ? taken : 0);
	}
	return total;
}

static void teardown_page(long unused)
{
	(void)unused;
	unmap(SMALL, PAGE);
}

/*
 * Many regions: N regions of two pages, each eight pages after the one before, the first page written. The
 * samples go through them in a scattered order, and each leaves the number of regions as it was.
 */

static uint64_t region(unsigned sample, long count)
{
	return MANY + (uint64_t)sample * 2654435761u % (uint64_t)count * (REGION_STRIDE * PAGE);
}

static void setup_regions(long count)
{
	for (long i = 0; i < count && error == 0; i++) {
		note(map(MANY + (uint64_t)i * (REGION_STRIDE * PAGE), 2 * PAGE, READ_WRITE));
	}
	for (unsigned i = 0; i < SAMPLES && error == 0; i++) {
		touch(region(i, count));
	}
}

static void teardown_regions(long count)
{
	unmap(MANY, (uint64_t)count * (REGION_STRIDE * PAGE));
}

/* No gap between two regions is large enough, and the kernel chooses. */
static uint64_t run_regions_map(unsigned n, long count)
{
	uint64_t total = 0;

	(void)count;
	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();
		long r = map(0, REGION_STRIDE * PAGE, READ_WRITE);

		total += end(t);
		note(r);
		note(unmap((uint64_t)r, REGION_STRIDE * PAGE));
	}
	return total;
}

/* Into a gap, touching neither neighbour. */
static uint64_t run_regions_map_fixed(unsigned n, long count)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = region(i, count) + 4 * PAGE, t = begin();
		long r = map(at, PAGE, READ_WRITE);

		total += end(t);
		note(r);
		note(unmap(at, PAGE));
	}
	return total;
}

static uint64_t run_regions_unmap(unsigned n, long count)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = region(i, count) + 4 * PAGE, t;
		long r;

		note(map(at, PAGE, READ_WRITE));
		t = begin();
		r = unmap(at, PAGE);
		total += end(t);
		note(r);
	}
	return total;
}

static uint64_t run_regions_protect(unsigned n, long count)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = region(i, count), t = begin();
		long r = protect(at, 2 * PAGE, READ);

		total += end(t);
		note(r);
		note(protect(at, 2 * PAGE, READ_WRITE));
		touch(at);
	}
	return total;
}

static uint64_t run_regions_fault(unsigned n, long count)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = region(i, count) + PAGE, t = begin();

		touch(at);
		total += end(t);
		note(unmap(at, PAGE));
		note(map(at, PAGE, READ_WRITE));
	}
	return total;
}

#define REGIONS(n)                                                                                           \
	{"regions_map_" #n, SAMPLES, n, setup_regions, run_regions_map, teardown_regions},                   \
	    {"regions_map_fixed_" #n, SAMPLES, n, setup_regions, run_regions_map_fixed, teardown_regions},   \
	    {"regions_unmap_" #n, SAMPLES, n, setup_regions, run_regions_unmap, teardown_regions},           \
	    {"regions_protect_" #n, SAMPLES, n, setup_regions, run_regions_protect, teardown_regions},       \
	{                                                                                                    \
		"regions_fault_" #n, SAMPLES, n, setup_regions, run_regions_fault, teardown_regions          \
	}

static const struct benchmark table[] = {
    {"null_syscall", 256, 0, NULL, run_null, NULL},
    {"clear_page", 64, 0, NULL, run_clear, NULL},
    {"map_untouched", 256, 0, NULL, run_map, NULL},
    {"unmap_untouched", 256, 0, NULL, run_unmap, NULL},
    {"map_unmap", 256, 0, NULL, run_map_unmap, NULL},
    {"map_read_unmap", 256, READ, NULL, run_map_unmap, NULL},
    {"map_write_unmap", 256, WRITE, NULL, run_map_unmap, NULL},
    {"write_fault", BIG_PAGES, 0, setup_big, run_write_pages, teardown_big},
    {"read_fault", BIG_PAGES, 0, setup_big, run_read_pages, teardown_big},
    {"write_after_read_fault", BIG_PAGES, READ, setup_big, run_write_pages, teardown_big},
    {"protect_split", 256, 0, setup_three, run_protect, teardown_three},
    {"protect_merge", 256, 1, setup_three, run_protect, teardown_three},
    {"segv_protect_return", 256, 0, setup_segv, run_segv, teardown_page},
    {"segv_cycle", 256, 1, setup_segv, run_segv, teardown_page},
    {"protect_per_page", BIG_PAGES, WRITE, setup_big, run_protect_pages, teardown_big},
    {"unmap_per_page", BIG_PAGES, WRITE, setup_big, run_unmap_pages, NULL},
    ADVICE_BENCHMARKS,
    FLUSH_BENCHMARKS,
    FORK_BENCHMARKS,
    REMAP_BENCHMARKS,
    REGIONS(10),
    REGIONS(100),
    REGIONS(1000),
    REGIONS(10000),
    REGIONS(100000),
};

/* Output */

static void put(const char *text)
{
	size_t length = 0;

	while (text[length] != 0) {
		length++;
	}
	system_call(SYS_WRITE, 1, (long)(intptr_t)text, (long)length, 0, 0, 0);
}

static void print(const char *name, const char *between, uint64_t value)
{
	char line[128], digits[24];
	size_t at = 0, digit = sizeof(digits);

	while (*name != 0) {
		line[at++] = *name++;
	}
	while (*between != 0) {
		line[at++] = *between++;
	}
	do {
		digits[--digit] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	while (digit != sizeof(digits)) {
		line[at++] = digits[digit++];
	}
	line[at++] = '\n';
	line[at] = 0;
	put(line);
}

static int begins_with(const char *text, const char *prefix)
{
	while (*prefix != 0 && *text == *prefix) {
		text++;
		prefix++;
	}
	return *prefix == 0;
}

static int wanted(const uint64_t *stack, const char *name)
{
	int found = stack[0] < 2;

	for (uint64_t i = 1; i < stack[0]; i++) {
		found |= begins_with(name, (const char *)(uintptr_t)stack[1 + i]);
	}
	return found;
}

static int run(const struct benchmark *b)
{
	uint64_t total = 0;

	error = 0;
	if (b->setup != NULL) {
		b->setup(b->argument);
	}
	if (error == 0) {
		total = b->run(b->operations, b->argument);
	}
	if (b->teardown != NULL) {
		b->teardown(b->argument);
	}
	if (error != 0) {
		print(b->name, " failed ", (uint64_t)error);
		return 1;
	}
	print(b->name, " ", (total + b->operations / 2) / b->operations);
	return 0;
}

void start_c(const uint64_t *stack)
{
	uint64_t t = counter();
	int status = 0;

	t = counter();
	pair = counter() - t;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (wanted(stack, table[i].name)) {
			status |= run(&table[i]);
		}
	}
	if (system_call(SYS_GETPID, 0, 0, 0, 0, 0, 0) == 1) {
		system_call(SYS_REBOOT, (long)0xfee1dead, 672274793, 0x4321fedc, 0, 0, 0);
	}
	for (;;) {
		system_call(SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0);
	}
}
