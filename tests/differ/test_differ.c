/* SPDX-License-Identifier: MIT */
/*
 * test_differ.c - the library beside a real Linux: random calls on both, compared after every step.
 *
 *	--seed N --ops N           which sequence, and how long
 *	--epoch N --only A,B,...   of one epoch these steps alone: how a shrunk failure is run again
 *
 * After each step its answer and the regions of its process are compared, and what every page holds that a
 * step wrote to or that was not zero when it was last looked at. Looking at the other pages would fault them
 * in and so hide how calls treat memory that nobody has touched; it happens after every 16th step or so.
 * After a fork all processes are compared. A sequence falls into epochs as in tests/model, each on a machine of its own in a child process,
 * and a failing one is shrunk in the same way.
 */
#define _GNU_SOURCE
#include "differ.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a run has seen; shared with the epochs' processes. */
struct counters {
	uint64_t steps[STEP_KINDS], errors[STEP_KINDS];
	uint64_t accepted[ACCEPTED];
	uint64_t unsafe, words;
};

static uint64_t seed = 1, operations = 200000;
static struct counters *counters;
static bool verbose;

/* The state of an epoch that the test itself keeps. */
static struct {
	bool alive[PROCESSES];
	struct step batch[BATCH]; /* steps of one process that wait */
	unsigned numbers[BATCH], count, process;
} state;

static unsigned current_number;
static uint64_t epoch_number;

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

void report_region(struct report *report, uint64_t start, uint64_t end, unsigned permission, bool shared)
{
	struct region *last = report->regions ? &report->region[report->regions - 1] : NULL;
	if (last && last->end == start && last->permission == permission && last->shared == shared) {
		last->end = end;
		return;
	}
	if (report->regions == REGIONS) {
		differ_fail("more regions than pages");
	}
	report->region[report->regions++] = (struct region){start, end, permission, shared};
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
	for (unsigned i = 0; i < WINDOW_PAGES; i++) {
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

static void compare_all(void)
{
	for (unsigned i = 0; i < PROCESSES; i++) {
		if (state.alive[i]) {
			compare(i, linux_look(i, false));
		}
	}
}

static void answers(const struct step *s, const struct report *report, int64_t ours)
{
	int64_t real = report->result;
	counters->steps[s->kind]++;
	counters->errors[s->kind] += real < 0;
	if (real != ours) {
		int which = accepted_find(s, report, ours);
		if (which < 0) {
			differ_fail("%s: Linux answers %lld, the library %lld", step_names[s->kind],
			    (long long)real, (long long)ours);
		}
		counters->accepted[which]++;
	}
}

/* Runs the steps that wait on Linux, then one by one on the library. */
static void run_batch(void)
{
	if (state.count == 0) {
		return;
	}
	const struct report *real = linux_batch(state.process, state.batch, state.count);
	struct report ours = {0};
	for (unsigned i = 0; i < state.count; i++) {
		const struct step *s = &state.batch[i];
		current_number = state.numbers[i];
		if (verbose) {
			printf("# %u: process %u ", current_number, state.process);
			step_print(s);
		}
		library_step(state.process, s, &ours);
		answers(s, &real[i], ours.result);
		if (real[i].resync) {
			library_resync(state.process, s);
		}
		compare(state.process, &real[i]);
	}
	state.count = 0;
	library_check();
}

static void exit_one(unsigned which)
{
	unsigned victim = pick(which);
	linux_exit(victim);
	library_exit(victim);
	state.alive[victim] = false;
}

static void fork_one(const struct step *s)
{
	if (vacant() < 0) {
		exit_one(s->other);
	}
	unsigned parent = pick(s->process), child = (unsigned)vacant();
	if (verbose) {
		printf("# %u: process %u forks %u\n", current_number, parent, child);
	}
	const struct report real = {.result = linux_fork(parent, child)};
	answers(s, &real, library_fork(parent, child));
	state.alive[child] = real.result == 0;
	compare_all();
}

static void apply(unsigned number)
{
	struct step s = step_make(seed, epoch_number, number, library_kinds());
	unsigned process = pick(s.process);
	if (s.kind != STEP_FORK && !step_is_safe(&s)) {
		counters->unsafe++;
		return;
	}
	if (s.kind == STEP_FORK || process != state.process || state.count == BATCH) {
		run_batch();
	}
	if (s.kind == STEP_FORK) {
		current_number = number;
		fork_one(&s);
		return;
	}
	state.process = process;
	state.numbers[state.count] = number;
	state.batch[state.count++] = s;
}

static void run_epoch_here(uint64_t epoch, const unsigned *numbers, unsigned count)
{
	epoch_number = epoch;
	linux_start();
	library_start();
	state.alive[0] = true;
	for (unsigned i = 0; i < count; i++) {
		apply(numbers[i]);
	}
	run_batch();
	compare_all();
	for (unsigned i = 0; i < PROCESSES; i++) {
		if (state.alive[i]) {
			exit_one(0);
		}
	}
	library_stop();
	linux_stop();
}

/* Starts the numbered steps of an epoch in a process group of its own. */
static pid_t start(uint64_t epoch, const unsigned *numbers, unsigned count, bool quiet)
{
	fflush(NULL);
	pid_t child = fork();
	if (child < 0) {
		perror("fork");
		exit(2);
	}
	if (child == 0) {
		setpgid(0, 0);
		if (quiet && !freopen("/dev/null", "w", stderr)) {
			_exit(2);
		}
		verbose = verbose && !quiet;
		alarm(240);
		run_epoch_here(epoch, numbers, count);
		fflush(NULL);
		_exit(0);
	}
	return child;
}

/* Runs them to the end; true if it went well. */
static bool run(uint64_t epoch, const unsigned *numbers, unsigned count, bool quiet)
{
	int status;
	pid_t child = start(epoch, numbers, count, quiet);
	waitpid(child, &status, 0);
	kill(-child, SIGKILL); /* helpers of one that failed */
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Leaves out what is not needed for the failure. The number of steps left. */
static unsigned shrink(uint64_t epoch, unsigned *numbers, unsigned count)
{
	static unsigned trial[EPOCH];
	for (unsigned size = count; size > 0; size /= 2) {
		for (unsigned from = 0; from < count;) {
			unsigned skip = from + size > count ? count - from : size;
			memcpy(trial, numbers, from * sizeof(*trial));
			memcpy(trial + from, numbers + from + skip, (count - from - skip) * sizeof(*trial));
			if (!run(epoch, trial, count - skip, true)) {
				count -= skip;
				memcpy(numbers, trial, count * sizeof(*trial));
			} else {
				from += size;
			}
		}
	}
	return count;
}

static void tell(uint64_t epoch, unsigned *numbers, unsigned count)
{
	static struct counters kept;
	kept = *counters;
	count = shrink(epoch, numbers, count);
	*counters = kept;
	printf("# a sequence of %u steps differs; again: --seed %llu --epoch %llu --only ", count,
	    (unsigned long long)seed, (unsigned long long)epoch);
	for (unsigned i = 0; i < count; i++) {
		printf("%s%u", i ? "," : "", numbers[i]);
	}
	printf("\n");
	verbose = true;
	(void)run(epoch, numbers, count, false);
}

static bool run_epoch(uint64_t epoch, unsigned count)
{
	static unsigned numbers[EPOCH];
	for (unsigned i = 0; i < count; i++) {
		numbers[i] = i;
	}
	if (run(epoch, numbers, count, false)) {
		return true;
	}
	tell(epoch, numbers, count);
	return false;
}

/* Each kind at least 2 % of the steps, a quarter of them errors; the accepted differences all met. */
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
			enough = enough && counters->steps[i] * 50 >= steps;
		}
	}
	for (unsigned i = 0; i < accepted_count; i++) {
		printf("# accepted %llu: %s\n", (unsigned long long)counters->accepted[i], accepted[i].what);
		enough = enough && counters->accepted[i] > 0;
	}
	return enough && errors * 4 >= steps;
}

static void only(uint64_t epoch, char *list)
{
	static unsigned numbers[EPOCH];
	unsigned count = 0;
	for (char *at = strtok(list, ","); at && count < EPOCH; at = strtok(NULL, ",")) {
		numbers[count++] = (unsigned)strtoul(at, NULL, 10);
	}
	verbose = true;
	exit(run(epoch, numbers, count, false) ? 0 : 1);
}

int main(int argc, char **argv)
{
	uint64_t epoch = 0;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0) {
			seed = strtoull(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--ops") == 0) {
			operations = strtoull(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--epoch") == 0) {
			epoch = strtoull(argv[i + 1], NULL, 0);
		}
	}
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counters == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--only") == 0) {
			only(epoch, argv[i + 1]);
		}
	}
	uint64_t done = 0;
	for (; done < operations; epoch++, done += EPOCH) {
		uint64_t left = operations - done;
		if (!run_epoch(epoch, left < EPOCH ? (unsigned)left : EPOCH)) {
			printf("not ok 1 - random steps\n1..1\n");
			return 1;
		}
	}
	printf("ok 1 - random steps\n%s 2 - each kind of step, and errors, often enough\n1..2\n",
	    seen_enough() || operations < 100000 ? "ok" : "not ok");
	return 0;
}
