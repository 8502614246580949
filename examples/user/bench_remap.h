/* SPDX-License-Identifier: MIT */
/*
 * bench_remap.h - the part of bench.c about memory that grows, moves and is replaced, and about shared
 * memory.
 */
#ifndef BENCH_REMAP_H
#define BENCH_REMAP_H

enum { MAYMOVE = 1, MOVE_FIXED = 3 };
#define ELSEWHERE ((uint64_t)69 << 30) /* a multiple of what a leaf table maps, as BIG is */

static inline long remap(uint64_t at, uint64_t length, uint64_t new_length, int flags, uint64_t to)
{
	return system_call(SYS_MREMAP, (long)at, (long)length, (long)new_length, flags, (long)to, 0);
}

/* One operation is up a page and down again. */
static uint64_t run_break(unsigned n, long unused)
{
	const long start = system_call(SYS_BRK, 0, 0, 0, 0, 0, 0);
	const long up = (start + 2 * PAGE - 1) & ~(long)(PAGE - 1);
	uint64_t total = 0;

	(void)unused;
	system_call(SYS_BRK, up, 0, 0, 0, 0, 0);
	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();
		long r = system_call(SYS_BRK, up + PAGE, 0, 0, 0, 0, 0);

		system_call(SYS_BRK, up, 0, 0, 0, 0, 0);
		total += end(t);
		note(r == up + PAGE ? 0 : -1);
	}
	system_call(SYS_BRK, start, 0, 0, 0, 0, 0);
	return total;
}

static uint64_t run_resize(unsigned n, long unused)
{
	uint64_t total = 0;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();
		long r = remap(SMALL, 3 * PAGE, 4 * PAGE, 0, 0);

		note(remap(SMALL, 4 * PAGE, 3 * PAGE, 0, 0));
		total += end(t);
		note(r);
	}
	return total;
}

/* A touched page goes to and fro; each move is an operation, and the page is written after it. */
static uint64_t run_move(unsigned n, long unused)
{
	uint64_t total = 0;

	(void)unused;
	note(map(SMALL, PAGE, READ_WRITE));
	touch(SMALL);
	for (unsigned i = 0; i < n && error == 0; i++) {
		uint64_t from = SMALL + (i & 1) * 16 * PAGE, to = SMALL + (~i & 1) * 16 * PAGE, t = begin();
		long r = remap(from, PAGE, PAGE, MOVE_FIXED, to);

		touch(to);
		total += end(t);
		note(r);
	}
	unmap(SMALL, 17 * PAGE);
	return total;
}

static uint64_t run_move_big(unsigned n, long unused)
{
	uint64_t total = 0;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		uint64_t from = i & 1 ? ELSEWHERE : BIG, to = i & 1 ? BIG : ELSEWHERE, t = begin();
		long r = remap(from, (uint64_t)BIG_PAGES * PAGE, (uint64_t)BIG_PAGES * PAGE, MOVE_FIXED, to);

		total += end(t);
		note(r);
	}
	return total;
}

static uint64_t run_replace(unsigned n, long unused)
{
	uint64_t total = 0;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();
		long r = map(SMALL + PAGE, PAGE, READ_WRITE);

		total += end(t);
		note(r);
	}
	return total;
}

static void setup_shared(long unused)
{
	(void)unused;
	note(system_call(SYS_MMAP, BIG, (long)BIG_PAGES * PAGE, READ_WRITE, SHARED_ANONYMOUS | FIXED, -1, 0));
}

#define REMAP_BENCHMARKS                                                                                     \
	{"break_up_down", 256, 0, NULL, run_break, NULL},                                                    \
	    {"remap_grow_shrink", 256, 0, setup_three, run_resize, teardown_three},                          \
	    {"move_touched_page", 256, 0, NULL, run_move, NULL},                                             \
	    {"move_64_MiB", 16, WRITE, setup_big, run_move_big, teardown_big},                               \
	    {"map_fixed_middle", 256, 0, setup_three, run_replace, teardown_three},                          \
	{                                                                                                    \
		"shared_write_fault", BIG_PAGES, 0, setup_shared, run_write_pages, teardown_big              \
	}

#endif
