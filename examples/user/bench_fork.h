/* SPDX-License-Identifier: MIT */
/*
 * Benchmarks of bench.c: processes that come from processes. A child that is to be there while its parent
 * writes sleeps for a second meanwhile, of which an idle machine has plenty.
 */
#ifndef BENCH_FORK_H
#define BENCH_FORK_H

static inline long fork_child(void)
{
	long pid = system_call(SYS_CLONE, 17 /* SIGCHLD */, 0, 0, 0, 0, 0);

	if (pid == 0) {
		system_call(SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0);
	}
	return pid;
}

static inline long wait_child(long pid)
{
	return system_call(SYS_WAIT4, pid, 0, 0, 0, 0, 0);
}

/* The call alone, or with the child's exit and the wait for it. Every page was written since the last one.
 */
static uint64_t run_fork(unsigned n, long whole)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t t = begin(), forked;
		long pid = fork_child();

		forked = end(t);
		note(pid);
		note(wait_child(pid));
		total += whole ? end(t) : forked;
		if (n <= 8) { /* those of 64 MiB */
			write_pages(BIG, BIG_PAGES);
		}
	}
	return total;
}

/* Whatever is made at the first fork is there. */
static void setup_fork(long unused)
{
	(void)unused;
	note(wait_child(fork_child()));
}

/* What the child finds: each page as it was. */
static uint64_t run_fork_read(unsigned n, long unused)
{
	uint64_t total;
	long pid = system_call(SYS_CLONE, 17, 0, 0, 0, 0, 0);
	uint64_t *shared = (uint64_t *)(uintptr_t)SMALL;

	(void)unused;
	if (pid == 0) {
		uint64_t t = begin();

		read_pages(BIG, n);
		*shared = end(t);
		for (unsigned i = 0; i < n; i++) {
			unsigned char byte = *(unsigned char *)(uintptr_t)(BIG + (uint64_t)i * PAGE);

			*shared += byte == 1 ? 0 : UINT32_MAX;
		}
		system_call(SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0);
	}
	note(pid);
	note(wait_child(pid));
	total = *shared;
	return total;
}

static void setup_fork_read(long use)
{
	setup_big(use);
	note(system_call(SYS_MMAP, (long)SMALL, PAGE, READ_WRITE, 0x31 /* shared, fixed */, -1, 0));
}

static void teardown_fork_read(long unused)
{
	teardown_big(unused);
	unmap(SMALL, PAGE);
}

static uint64_t run_cow(unsigned n, long unused)
{
	static const int64_t second[2] = {1, 0};
	long pid = system_call(SYS_CLONE, 17, 0, 0, 0, 0, 0);
	uint64_t t;

	(void)unused;
	if (pid == 0) {
		system_call(SYS_NANOSLEEP, (long)(intptr_t)second, 0, 0, 0, 0, 0);
		system_call(SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0);
	}
	note(pid);
	t = begin();
	write_pages(BIG, n);
	t = end(t);
	note(wait_child(pid));
	return t;
}

/* The child has gone: nothing is copied. */
static uint64_t run_reuse(unsigned n, long unused)
{
	long pid = fork_child();
	uint64_t t;

	(void)unused;
	note(pid);
	note(wait_child(pid));
	t = begin();
	write_pages(BIG, n);
	return end(t);
}

/* clang-format off */
#define FORK_BENCHMARKS                                                                                      \
	{"fork_minimal", SAMPLES / 4, 1, setup_fork, run_fork, NULL},                                        \
	{"fork_64m", 8, 0, setup_big_written, run_fork, teardown_big},                                       \
	{"fork_64m_exit_wait", 8, 1, setup_big_written, run_fork, teardown_big},                             \
	{"fork_child_read_per_page", BIG_PAGES, WRITE, setup_fork_read, run_fork_read, teardown_fork_read},  \
	{"cow_break", BIG_PAGES, WRITE, setup_big, run_cow, teardown_big},                                   \
	{"write_after_exit_per_page", BIG_PAGES, WRITE, setup_big, run_reuse, teardown_big}
/* clang-format on */

static void setup_big_written(long unused)
{
	(void)unused;
	setup_big(WRITE);
}

#endif
