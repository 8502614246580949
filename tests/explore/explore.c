/* SPDX-License-Identifier: MIT */
/*
 * explore.c - a case: its rounds of schedules, and what is said of them.
 */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "runtime.h"

#define ROUNDS_MAX 24u
#define FIGURE_MIN 256u /* schedules: fewer are not worth a line */

/* A violation is wanted: of a program's cases one must have one; and how long it may take. */
static struct wanted {
	bool violation, found, is_long;
	const char *text; /* that it must have in it */
} * wanted;

/* Of this processor's time: whatever else the machine does. */
static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void one(void)
{
	threads_run();
	host_run_on(0);
	threads_judge(rt->what->finish);
	threads_judge(rt->hooks.end);
}

/* All schedules of a round; false: one violates. */
static bool round_of(unsigned bound, struct explore_result *result)
{
	rt->length = 0;
	rt->bound = bound;
	result->schedules = result->redundant = 0;
	result->decisions = 0;
	do {
		one();
		result->schedules += !rt->redundant;
		result->redundant += rt->redundant;
		result->decisions = rt->depth > result->decisions ? rt->depth : result->decisions;
	} while (!rt->found && threads_next(bound));
	image_restore();
	if (!rt->found && !image_is_restored()) { /* what a violation says is not told */
		abort();
	}
	return !rt->found;
}

static void show(void)
{
	fprintf(stderr, "%s: %s\n", rt->what->name, rt->text);
	rt->replay = true;
	rt->found = false; /* it is found again */
	threads_run();
	host_run_on(0);
	threads_judge(rt->what->finish);
	threads_judge(rt->hooks.end);
	fprintf(stderr, "  %s\n", rt->found ? rt->text : "explorer: the replay does not violate (S3)");
	image_restore();
	rt->replay = false;
	rt->found = true;
}

/* Rounds of more and more preemptions, because what is learned in a short one (E3) need not be learned in a
 * long one; the last is one of `bound` in which nothing was new. */
static void rounds(unsigned bound, struct explore_result *result)
{
	bool good = round_of(0, result), known = false;
	unsigned most = bound == 0 ? 0 : 1;
	image_learned();
	while (good && !result->complete && result->rounds < ROUNDS_MAX) {
		good = round_of(most, result);
		result->rounds++;
		known = !image_learned();
		result->complete = good && known && most == bound;
		if (known) {
			most = 2 * most < bound ? 2 * most : bound;
		}
	}
}

static struct explore_result run(const struct explore_case *what, bool shows)
{
	struct explore_result result = {0};
	double start = now();
	rt->what = what;
	rt->found = false;
	rt->threads = 0;
	while (rt->threads < EXPLORE_THREADS && what->thread[rt->threads] != NULL) {
		rt->threads++;
	}
	what->setup();
	image_begin();
	image_forget();
	const char *less = getenv("EXPLORE_PREEMPTIONS"); /* for a quick look */
	unsigned bound = less != NULL ? (unsigned)strtoul(less, NULL, 10) : what->preemptions;
	rounds(bound, &result);
	if (rt->found && shows) {
		show();
	}
	result.found = rt->found;
	memcpy(result.text, rt->text, sizeof(result.text));
	result.seconds = now() - start;
	rt->armed = false;
	return result;
}

struct explore_result explore(const struct explore_case *what)
{
	return run(what, false);
}

static void figure(const struct explore_case *what, const struct explore_result *result)
{
	printf("figure: %s: %llu schedules (%llu given up) of up to %llu decisions, at most %u preemptions, "
	       "%u rounds, %.2f s\n",
	    what->name, (unsigned long long)result->schedules, (unsigned long long)result->redundant,
	    (unsigned long long)result->decisions, what->preemptions, result->rounds, result->seconds);
}

void explore_holds(const struct explore_case *what)
{
	if (wanted->found) {
		return;
	}
	struct explore_result result = run(what, !wanted->violation);
	if (wanted->violation) {
		if (result.found) {
			printf("# %s: found in schedule %llu of round %u: %s\n", what->name,
			    (unsigned long long)result.schedules, result.rounds, result.text);
			if (strstr(result.text, wanted->text) == NULL) {
				fail_msg("wanted is: %s", wanted->text);
			}
		}
		wanted->found |= result.found;
		return;
	}
	if (result.schedules >= FIGURE_MIN || result.found) {
		figure(what, &result);
	}
	if (result.found) {
		fail_msg("%s", result.text);
	}
	if (!result.complete) {
		fail_msg("%s: after %u rounds there is still something new", what->name, ROUNDS_MAX);
	}
}

void explore_finds(const struct explore_case *what, const char *text)
{
	struct explore_result result = explore(what);
	if (!result.found) {
		figure(what, &result);
		fail_msg("%s: nothing is found", what->name);
	}
	if (strstr(result.text, text) == NULL) {
		fail_msg("%s: found is: %s", what->name, result.text);
	}
	printf("# %s: found in schedule %llu of round %u: %s\n", what->name,
	    (unsigned long long)result.schedules, result.rounds, result.text);
}

bool explore_is_long(void)
{
	return wanted->is_long;
}

int explore_main(const struct CMUnitTest *tests, size_t count, int argc, char **argv)
{
	static struct wanted nothing;
	struct wanted something = {.violation = true};
	wanted = &nothing;
	if (argc > 1 && strcmp(argv[argc - 1], "--long") == 0) {
		argc--;
		nothing.is_long = something.is_long = true;
	}
	if (argc >= 3) {
		wanted = strcmp(argv[1], "--finds") == 0 ? &something : wanted;
		cmocka_set_test_filter(argv[2]);
		something.text = argc > 3 ? argv[3] : "";
	}
	int failed = _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
	if (wanted->violation && !wanted->found) {
		printf("# the library is broken, and no schedule shows it\n");
		return 1;
	}
	return failed;
}
