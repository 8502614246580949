/* SPDX-License-Identifier: MIT */
/*
 * Threads whose memory is paged by their own handlers: what lies past the end of a file (SIGBUS), what is not
 * mapped and what may not be touched (SIGSEGV), and a write barrier that another thread closes again and
 * again. Handlers repair with mmap, mremap and mprotect, several at a time, also for the same page.
 *
 * R1. A page is put in place whole, by one call (mremap or mmap with MAP_FIXED): nobody sees a part of it.
 * R2. Who finds the page's claim taken goes back to its access, which faults until the other is done.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 96, THREADS = 4, CELLS = 8, WRITES = 2000, ROUNDS = 200 };

static unsigned char *paged;
static atomic_uint claims[PAGES], brought[PAGES], wrong_code;
static int kind; /* which of the ways below */
static int expected_signal, expected_code;

static unsigned char content(unsigned page)
{
	return (unsigned char)(page * 7 + kind + 1);
}

static void check(const char *what, int right)
{
	printf("%s: %s\n", what, right ? "yes" : "NO");
	if (!right) {
		fflush(stdout);
		_exit(1);
	}
}

/* A page with its content, somewhere. */
static void *made(unsigned page, int flags, int fd)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (at != MAP_FAILED) {
		memset(at, content(page), PAGE);
	}
	return at;
}

static void bring(unsigned page)
{
	unsigned char *at = paged + (size_t)page * PAGE;
	void *from = made(page, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (from == MAP_FAILED || mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at) {
		_exit(2);
	}
	atomic_fetch_add(&brought[page], 1);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	size_t offset = (size_t)((unsigned char *)info->si_addr - paged);
	unsigned page = (unsigned)(offset / PAGE);

	(void)context;
	if (offset >= (size_t)PAGES * PAGE) {
		_exit(3);
	}
	if (number != expected_signal || info->si_code != expected_code) {
		atomic_fetch_add(&wrong_code, 1);
	}
	if (atomic_exchange(&claims[page], 1) == 0) {
		bring(page);
	} else {
		sched_yield(); /* (R2) */
	}
}

static void handle(void (*function)(int, siginfo_t *, void *))
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = function;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* Every thread looks at every page, each from another one on; the second half of a page first. */
static void *walk(void *which)
{
	intptr_t bad = 0;

	for (unsigned i = 0; i < PAGES; i++) {
		unsigned page = (i * ((unsigned)(uintptr_t)which * 2 + 1)) % PAGES;
		volatile unsigned char *at = paged + (size_t)page * PAGE;
		bad += at[3000] != content(page);
		bad += at[5] != content(page);
	}
	return (void *)bad;
}

static intptr_t run(void *(*function)(void *))
{
	pthread_t thread[THREADS];
	intptr_t bad = 0;
	void *result;

	for (uintptr_t i = 0; i < THREADS; i++) {
		if (pthread_create(&thread[i], NULL, function, (void *)i) != 0) {
			_exit(4);
		}
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &result);
		bad += (intptr_t)result;
	}
	return bad;
}

static void paging(int way, const char *what)
{
	char text[96];
	unsigned once = 0;
	intptr_t bad;

	kind = way;
	for (unsigned i = 0; i < PAGES; i++) {
		atomic_store(&claims[i], 0);
		atomic_store(&brought[i], 0);
	}
	atomic_store(&wrong_code, 0);
	bad = run(walk);
	for (unsigned i = 0; i < PAGES; i++) {
		once += atomic_load(&brought[i]) == 1;
	}
	snprintf(text, sizeof(text), "%s: every page has its content", what);
	check(text, bad == 0);
	snprintf(text, sizeof(text), "%s: and was brought once", what);
	check(text, once == PAGES);
	snprintf(text, sizeof(text), "%s: each signal said why", what);
	check(text, atomic_load(&wrong_code) == 0);
	munmap(paged, (size_t)PAGES * PAGE);
}

static void reserve(int prot, int flags, int fd)
{
	paged = mmap(NULL, (size_t)PAGES * PAGE, prot, flags, fd, 0);
	if (paged == MAP_FAILED) {
		_exit(5);
	}
}

/* The barrier: mutators count in cells, one page for each; the collector protects them all again. */
static _Atomic uint64_t *cells[CELLS];
static atomic_uint barriers;
static atomic_int stop;

static void on_barrier(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1);

	(void)context;
	if (number != SIGSEGV || info->si_code != SEGV_ACCERR || at - (uintptr_t)paged >= CELLS * PAGE) {
		_exit(6);
	}
	atomic_fetch_add(&barriers, 1);
	mprotect((void *)at, PAGE, PROT_READ | PROT_WRITE);
}

static void *mutate(void *which)
{
	for (unsigned i = 0; i < WRITES; i++) {
		atomic_fetch_add(cells[(i + (unsigned)(uintptr_t)which) % CELLS], 1);
		if (i % 64 == 0) {
			sched_yield();
		}
	}
	return NULL;
}

static void *collect(void *unused)
{
	unsigned rounds = 0;

	(void)unused;
	while (!atomic_load(&stop) || rounds < ROUNDS) {
		mprotect(paged, CELLS * PAGE, PROT_READ);
		sched_yield();
		rounds++;
	}
	return NULL;
}

static void barrier(void)
{
	pthread_t collector;
	uint64_t sum = 0;

	reserve(PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (unsigned i = 0; i < CELLS; i++) {
		cells[i] = (void *)(paged + (size_t)i * PAGE + 8 * i);
	}
	handle(on_barrier);
	if (pthread_create(&collector, NULL, collect, NULL) != 0) {
		_exit(4);
	}
	run(mutate);
	atomic_store(&stop, 1);
	pthread_join(collector, NULL);
	for (unsigned i = 0; i < CELLS; i++) {
		sum += atomic_load(cells[i]);
	}
	check("barrier: no store was lost", sum == (uint64_t)THREADS * WRITES);
	check("barrier: stores met it", atomic_load(&barriers) >= CELLS);
	munmap(paged, CELLS * PAGE);
}

int main(void)
{
	int fd = memfd_create("pager", 0);

	handle(on_fault);
	reserve(PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	expected_signal = SIGSEGV;
	expected_code = SEGV_ACCERR;
	paging(1, "no permission");
	reserve(PROT_READ | PROT_WRITE, MAP_SHARED, fd); /* the file has no page */
	expected_signal = SIGBUS;
	expected_code = BUS_ADRERR;
	paging(2, "past the end of a file");
	reserve(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	paging(3, "past the end of a file, private");
	close(fd);
	barrier();
	puts("all is well");
	return 0;
}
