/* SPDX-License-Identifier: MIT */
/*
 * test_differ.c - the library beside a real Linux: random calls on both, compared after every step.
 *
 *	--helper FILE              the program that executes the system calls
 *
 * and the options of support/epochs.h.
 *
 * After each step its answer and the regions of its process are compared, and what every page holds that a
 * step wrote to or that was not zero when it was last looked at. Looking at the other pages would fault them
 * in and so hide how calls treat memory that nobody has touched; it happens after every 16th step or so. A
 * sequence falls into epochs, each on a machine of its own in a child process. Linux runs an epoch first,
 * then the library does, comparing.
 */
#define _GNU_SOURCE
#include "differ.h"
#include "support/epochs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a run has seen; shared with the epochs' processes. */
struct counters {
	uint64_t steps[STEP_KINDS], errors[STEP_KINDS];
	uint64_t accepted[ACCEPTED];
	uint64_t unsafe, words;
	unsigned knows; /* the kernel, of KNOWS_* */
};

static struct counters *counters;
static bool verbose;
static const char *helper;

/* The state of an epoch that the test itself keeps. */
static struct {
	bool alive[PROCESSES];
	struct entry *entries;
	unsigned count;
} state;

static unsigned current_number;

void differ_fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fflush(stdout);
	fprintf(stderr, "step %u: ", current_number);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	_exit(1);
}

static void print_regions(const char *side, const struct report *report)
{
	fprintf(stderr, "%s:", side);
	for (unsigned i = 0; i < report->regions; i++) {
		const struct region *r = &report->region[i];
		fprintf(stderr, " %lld-%lld %c%c%c%c", (long long)((int64_t)(r->start - AIM) / (int64_t)PAGE),
		    (long long)((int64_t)(r->end - AIM) / (int64_t)PAGE),
		    r->permission & PROT_READ ? 'r' : '-', r->permission & PROT_WRITE ? 'w' : '-',
		    r->permission & PROT_EXEC ? 'x' : '-', r->shared ? 's' : 'p');
	}
	fprintf(stderr, "\n");
}

static void compare_words(unsigned process, const struct report *real, const struct report *ours)
{
	for (unsigned i = 0; i < SEEN; i++) {
		for (unsigned w = 0; real->pages[i] && w < WORDS; w++) {
			counters->words++;
			if (real->word[i][w] != ours->word[i][w]) {
				print_regions("both", real);
				differ_fail("process %u, page %d, word %u: Linux has %#llx (%lld), the "
					    "library %#llx (%lld)",
				    process, (int)i - (int)MARGIN, w, (unsigned long long)real->word[i][w],
				    (long long)real->word[i][w], (unsigned long long)ours->word[i][w],
				    (long long)ours->word[i][w]);
			}
		}
	}
}

/* The library's process is to be what Linux said of its own. */
static void compare(unsigned process, const struct report *real)
{
	static struct report ours;
	memcpy(ours.pages, real->pages, sizeof(page_set));
	library_look(process, &ours);
	bool same = real->regions == ours.regions;
	for (unsigned i = 0; same && i < real->regions; i++) {
		const struct region *a = &real->region[i], *b = &ours.region[i];
		same = a->start == b->start && a->end == b->end && a->permission == b->permission &&
		       a->shared == b->shared;
	}
	if (!same) {
		print_regions("Linux  ", real);
		print_regions("library", &ours);
		differ_fail("process %u: other regions", process);
	}
	compare_words(process, real, &ours);
}

static unsigned pick(unsigned process)
{
	unsigned living[PROCESSES], count = 0;
	for (unsigned i = 0; i < PROCESSES; i++) {
		if (state.alive[i]) {
			living[count++] = i;
		}
	}
	return living[process % count];
}

static int vacant(void)
{
	for (unsigned i = 0; i < PROCESSES; i++) {
		if (!state.alive[i]) {
			return (int)i;
		}
	}
	return -1;
}

static void answers(const struct step *s, const struct report *report, int64_t ours)
{
	int64_t real = report->result;
	bool older = s->kind == STEP_MREMAP && !(linux_facts()->knows & KNOWS_SEVERAL);
	counters->steps[s->kind]++;
	counters->errors[s->kind] += real < 0;
	if (real != ours && !(older && real < 0 && ours < 0)) {
		int which = accepted_find(s, report, ours);
		if (which < 0) {
			differ_fail("%s: Linux answers %lld, the library %lld", step_names[s->kind],
			    (long long)real, (long long)ours);
		}
		counters->accepted[which]++;
	}
}

static struct entry *add(enum action action, unsigned process, unsigned number)
{
	struct entry *e = &state.entries[state.count++];
	*e = (struct entry){.action = action, .process = process, .number = number};
	return e;
}

/* When there is no room for a child, one of the others exits first. */
static void plan_fork(const struct step *s, unsigned number)
{
	if (vacant() < 0) {
		unsigned victim = pick(s->other);
		(void)add(ACTION_EXIT, victim, number);
		state.alive[victim] = false;
	}
	unsigned parent = pick(s->process), child = (unsigned)vacant();
	struct entry *e = add(ACTION_FORK, parent, number);
	e->step = *s;
	e->child = child;
	state.alive[child] = true;
	(void)add(ACTION_LOOK, parent, number);
	if (s->other % 2) {
		(void)add(ACTION_LOOK, child, number);
	}
}

/* What is to be done, which depends on nothing that is answered. */
static void plan(uint64_t seed, uint64_t epoch, const unsigned *numbers, unsigned count)
{
	state.entries = linux_entries();
	state.alive[0] = true;
	for (unsigned i = 0; i < count; i++) {
		struct step s = step_make(seed, epoch, numbers[i], library_kinds());
		if (s.kind == STEP_FORK) {
			plan_fork(&s, numbers[i]);
		} else if (step_is_safe(&s)) {
			add(ACTION_STEP, pick(s.process), numbers[i])->step = s;
		} else {
			counters->unsafe++;
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		if (state.alive[i]) {
			(void)add(ACTION_LOOK, i, EPOCH);
			(void)add(ACTION_EXIT, i, EPOCH);
		}
	}
}

/* The library's turn: what Linux did, one by one. */
static void replay(const struct entry *e)
{
	static struct report ours;
	current_number = e->number;
	if (verbose && (e->action == ACTION_STEP || e->action == ACTION_FORK)) {
		printf("# %u: process %u ", e->number, e->process);
		step_print(&e->step);
	}
	switch (e->action) {
	case ACTION_STEP:
		if (e->report.skipped) {
			counters->unsafe++;
		} else {
			library_step(e->process, &e->step, &ours);
			answers(&e->step, &e->report, ours.result);
		}
		if (e->report.resync) {
			library_resync(e->process, &e->step);
		}
		compare(e->process, &e->report);
		break;
	case ACTION_LOOK:
		compare(e->process, &e->report);
		break;
	case ACTION_FORK:
		answers(&e->step, &e->report, library_fork(e->process, e->child));
		break;
	case ACTION_EXIT:
		library_exit(e->process);
		break;
	}
}

static void run_epoch(
    const struct epochs *e, uint64_t epoch, const unsigned *numbers, unsigned count, bool aloud)
{
	verbose = aloud;
	if (!helper) {
		differ_fail("--helper FILE is missing");
	}
	plan(e->seed, epoch, numbers, count);
	linux_run(helper, state.count, epoch % 4 == 1);
	counters->knows = linux_facts()->knows;
	library_start(linux_facts());
	for (unsigned i = 0; i < state.count; i++) {
		replay(&state.entries[i]);
		if (i % 64 == 63) {
			library_check();
		}
	}
	library_stop();
}

/* Each kind at least 2 % of the steps, a quarter of them errors; the accepted differences all met, if the
 * kernel knows all there is. */
static bool seen_enough(void)
{
	uint64_t steps = 0, errors = 0, words = counters->words;
	bool enough = true;
	for (unsigned i = 0; i < STEP_KINDS; i++) {
		steps += counters->steps[i];
		errors += counters->errors[i];
	}
	printf("figure: %llu steps, %llu errors, %llu words compared, %llu left out\n",
	    (unsigned long long)steps, (unsigned long long)errors, (unsigned long long)words,
	    (unsigned long long)counters->unsafe);
	for (unsigned i = 0; i < STEP_KINDS; i++) {
		if (library_kinds() >> i & 1) {
			printf("# %-8s %llu, %llu errors\n", step_names[i],
			    (unsigned long long)counters->steps[i], (unsigned long long)counters->errors[i]);
			bool unknown = i == STEP_MSEAL && !(counters->knows & KNOWS_MSEAL);
			enough = enough && (unknown || counters->steps[i] * 50 >= steps);
		}
	}
	for (unsigned i = 0; i < accepted_count; i++) {
		printf("# accepted %llu: %s\n", (unsigned long long)counters->accepted[i], accepted[i].what);
		enough = enough && (counters->accepted[i] > 0 || counters->knows != KNOWS_ALL);
	}
	return enough && errors * 4 >= steps;
}

static void use(void *some)
{
	counters = some;
}

static void add_counters(void *into, const void *more)
{
	struct counters *sum = into;
	const struct counters *c = more;
	for (unsigned i = 0; i < STEP_KINDS; i++) {
		sum->steps[i] += c->steps[i];
		sum->errors[i] += c->errors[i];
	}
	for (unsigned i = 0; i < ACCEPTED; i++) {
		sum->accepted[i] += c->accepted[i];
	}
	sum->unsafe += c->unsafe;
	sum->words += c->words;
	sum->knows |= c->knows;
}

static bool option(const char *name, const char *value)
{
	if (strcmp(name, "--helper") == 0) {
		helper = value;
	}
	return helper == value;
}

int main(int argc, char **argv)
{
	struct epochs e = {
	    .seed = 1,
	    .operations = 72000, /* of each ISA: a run has three */
	    .jobs = 2,
	    .length = EPOCH,
	    .seconds = 240,
	    .noun = "steps",
	    .run = run_epoch,
	    .counters = sizeof(struct counters),
	    .use = use,
	    .add = add_counters,
	    .option = option,
	    .usage = "--helper FILE ",
	};
	if (sysconf(_SC_PAGESIZE) != (long)PAGE) {
		printf("1..0 # SKIP this machine's pages have another size\n");
		return 77;
	}
	epochs_start(&e, argc, argv);
	e.seed = e.seed * 3 + (TEST_ISA[0] == 'a' ? 1 : TEST_ISA[0] == 'r' ? 2 : 0); /* other steps on each */
	bool good = epochs_run(&e);
	bool enough = seen_enough() || e.operations < 60000 || !good;
	printf("%s 1 - random steps\n%s 2 - each kind of step, and errors, often enough\n1..2\n",
	    good ? "ok" : "not ok", enough ? "ok" : "not ok");
	return good && enough ? 0 : 1;
}
