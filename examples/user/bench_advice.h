/* SPDX-License-Identifier: MIT */
/*
 * bench_advice.h - the part of bench.c about memory that is mapped: what madvise gives back, residence,
 * locks, and reads of shared memory that is resident but not entered.
 */
#ifndef BENCH_ADVICE_H
#define BENCH_ADVICE_H

enum { ADVICE_DONTNEED = 4, SHARED_ANONYMOUS = 0x21 };

static inline long advise(uint64_t at, uint64_t length, int advice)
{
	return system_call(SYS_MADVISE, (long)at, (long)length, advice, 0, 0, 0);
}

static uint64_t run_give_back(unsigned n, long unused)
{
	uint64_t t = begin();
	long r = advise(BIG, (uint64_t)n * PAGE, ADVICE_DONTNEED);

	(void)unused;
	note(r);
	return end(t);
}

/* Shared memory that has all its pages, none of them entered. */
static void setup_resident(long unused)
{
	(void)unused;
	note(system_call(SYS_MMAP, BIG, (long)BIG_PAGES * PAGE, READ_WRITE, SHARED_ANONYMOUS | FIXED, -1, 0));
	if (error == 0) {
		write_pages(BIG, BIG_PAGES);
		note(advise(BIG, (uint64_t)BIG_PAGES * PAGE, ADVICE_DONTNEED));
	}
}

static uint64_t run_resident(unsigned n, long unused)
{
	static unsigned char vector[4];
	uint64_t total = 0;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();
		long r = system_call(SYS_MINCORE, SMALL, 3 * PAGE, (long)(intptr_t)vector, 0, 0, 0);

		total += end(t);
		note(r);
	}
	return total;
}

static uint64_t run_lock(unsigned n, long unused)
{
	uint64_t total = 0;

	(void)unused;
	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin();
		long r = system_call(SYS_MLOCK, SMALL, 3 * PAGE, 0, 0, 0, 0);

		note(r);
		r = system_call(SYS_MUNLOCK, SMALL, 3 * PAGE, 0, 0, 0, 0);
		total += end(t);
		note(r);
	}
	return total;
}

#define ADVICE_BENCHMARKS                                                                                    \
	{"give_back_per_page", BIG_PAGES, WRITE, setup_big, run_give_back, teardown_big},                    \
	    {"fault_around_per_page", BIG_PAGES, 0, setup_resident, run_read_pages, teardown_big},           \
	    {"mincore", 256, 0, setup_three, run_resident, teardown_three},                                  \
	{                                                                                                    \
		"lock_unlock", 256, 0, setup_three, run_lock, teardown_three                                 \
	}

#endif
