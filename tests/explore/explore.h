/* SPDX-License-Identifier: MIT */
/*
 * explore.h - every schedule of a few threads that run the library's own code, up to a number of preemptions.
 *
 * The library is compiled as for ThreadSanitizer, and linked with a runtime of ours (tsan.c): each access to
 * memory is a call. Threads are coroutines, one for each CPU of the software machine. They change only at
 * scheduling points, so a schedule is a list of choices, and all of them can be tried in turn, each from the
 * same state.
 *
 * E1 Scheduling points are the atomic accesses to what another thread of the case touches too (one of the two
 * writing), the library's effects on the CPU, calls to other CPUs, and accesses of user programs. Plain
 * accesses are none: that they do not race is for ThreadSanitizer to say. E2 A preemption is a change from a
 * thread that could have gone on. One that waits, or has ended, makes way for nothing. E3 What is touched by
 * whom is learned from the runs: schedules are counted again with what was learned, until nothing is new. So
 * nothing is lost to E1 within the bound: a change before an access that nobody else meets is the same as a
 * change before the next one that somebody does. E4 Memory is sequentially consistent here, but
 * for EXPLORE_LATE. What weaker
 * orders allow is for ThreadSanitizer and the models.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPLORE_THREADS 3u

/* A call from another CPU may come in the middle of the library, where no spin lock is held; else only in
 * user code and where the library waits. */
#define EXPLORE_INTERRUPTS 1u
/* A store may be seen late, as by a CPU with a store buffer (stores.c). */
#define EXPLORE_LATE 2u

struct explore_case {
	const char *name;
	unsigned preemptions;
	unsigned flags;
	/* Once: what it leaves is what every schedule starts from. */
	void (*setup)(void);
	void (*thread[EXPLORE_THREADS])(void); /* NULL: none */
	void (*finish)(void);		       /* after each schedule: is the outcome a legal one? */
};

struct explore_result {
	uint64_t schedules; /* of the last round, the complete one; until the violation when one was found */
	uint64_t redundant; /* given up: the same as others */
	uint64_t decisions; /* the most in one schedule */
	unsigned rounds;
	double seconds;
	bool complete; /* nothing was new in the last round */
	bool found;    /* a violation; then what it was, and the schedule */
	char text[512];
};

struct explore_result explore(const struct explore_case *what);
/* For tests: the case must hold, or be violated with a text that has `text` in it. */
void explore_holds(const struct explore_case *what);
void explore_finds(const struct explore_case *what, const char *text);

/* What main() of a program of cases does. With "--only NAME" it runs that test alone; with "--finds NAME
 * TEXT" and a violation is what it wants, with a text that has TEXT in it: for a library that was broken on
 * purpose. */
struct CMUnitTest;
int explore_main(const struct CMUnitTest *tests, size_t count, int argc, char **argv);
#define EXPLORE_MAIN(tests, argc, argv)                                                                      \
	explore_main((tests), sizeof(tests) / sizeof((tests)[0]), (argc), (argv))

/* Whether it was started with "--long" as the last word: a case may look further then than there is time for
 * in the normal run. */
bool explore_is_long(void);

/* For threads and finish(). */
_Noreturn void explore_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define EXPLORE_CHECK(condition)                                                                             \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			explore_fail("%s:%d: %s", __FILE__, __LINE__, #condition);                           \
		}                                                                                            \
	} while (0)
unsigned explore_thread(void);	     /* the number of the one that runs */
unsigned explore_choose(unsigned n); /* every answer below n is tried; costs no preemption */
/* Tries again later: the others go on first. A violation if nobody else can. */
void explore_again(void);
void explore_got(void); /* it has worked */
/* The library is entered and left: interrupts are off in between, unless EXPLORE_INTERRUPTS. */
void explore_enter(void);
void explore_leave(void);
/* A scheduling point of the case's own. */
void explore_point(void);

#endif
