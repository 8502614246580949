/* SPDX-License-Identifier: MIT */
/*
 * epochs.c - epochs of random steps, several at a time, and shrinking (epochs.h).
 *
 * Each place for a job has counters, and one more has those of the trials of a shrinking, which count for
 * nothing. A process of an epoch is a group with all that it starts: whatever is left of it goes with it.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, prctl */
#include "epochs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct job {
	pid_t child; /* 0: none */
	uint64_t epoch;
	unsigned count;
};

static unsigned char *all_counters;

static void *counters_of(const struct epochs *e, unsigned job)
{
	return all_counters + job * e->counters;
}

/* Starts the numbered steps of an epoch in a child. */
static pid_t start(
    const struct epochs *e, uint64_t epoch, const unsigned *numbers, unsigned count, bool quiet, bool verbose)
{
	fflush(NULL);
	pid_t parent = getpid(), child = fork();
	if (child < 0) {
		perror("fork");
		exit(2);
	}
	if (child == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || (quiet && !freopen("/dev/null", "w", stderr))) {
			_exit(2);
		}
		if (verbose) {
			setvbuf(stdout, NULL, _IOLBF, 0); /* what is told comes before what it does */
		}
		alarm(e->seconds);
		e->run(e, epoch, numbers, count, verbose);
		fflush(NULL);
		_exit(0);
	}
	return child;
}

static bool went_well(pid_t child, int status)
{
	kill(-child, SIGKILL);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Runs them to the end; true if it went well. */
static bool run(
    const struct epochs *e, uint64_t epoch, const unsigned *numbers, unsigned count, bool quiet, bool verbose)
{
	int status;
	pid_t child = start(e, epoch, numbers, count, quiet, verbose);
	waitpid(child, &status, 0);
	return went_well(child, status);
}

static unsigned *allocate(const struct epochs *e)
{
	unsigned *numbers = malloc(e->length * sizeof(*numbers));
	if (!numbers) {
		perror("malloc");
		exit(2);
	}
	return numbers;
}

/* Leaves out what is not needed for the failure. The number of steps left. */
static unsigned shrink(const struct epochs *e, uint64_t epoch, unsigned *numbers, unsigned count)
{
	unsigned *trial = allocate(e);
	for (unsigned size = count; size > 0; size /= 2) {
		for (unsigned from = 0; from < count;) {
			unsigned skip = from + size > count ? count - from : size;
			memcpy(trial, numbers, from * sizeof(*trial));
			memcpy(trial + from, numbers + from + skip, (count - from - skip) * sizeof(*trial));
			if (!run(e, epoch, trial, count - skip, true, false)) {
				count -= skip;
				memcpy(numbers, trial, count * sizeof(*trial));
			} else {
				from += size;
			}
		}
	}
	free(trial);
	return count;
}

static void tell(const struct epochs *e, uint64_t epoch, unsigned *numbers, unsigned count)
{
	e->use(counters_of(e, EPOCHS_JOBS));
	count = shrink(e, epoch, numbers, count);
	printf("# a sequence of %u %s fails; again: --seed %llu --epoch %llu --only ", count, e->noun,
	    (unsigned long long)e->seed, (unsigned long long)epoch);
	for (unsigned i = 0; i < count; i++) {
		printf("%s%u", i ? "," : "", numbers[i]);
	}
	printf("\n");
	(void)run(e, epoch, numbers, count, false, true);
}

/* Waits until a job ends, any; true if it went well, else it is `failed`. */
static bool wait_for_one(const struct epochs *e, struct job *job, struct job *failed)
{
	int status;
	pid_t child = wait(&status);
	bool good = went_well(child, status);
	for (unsigned j = 0; j < e->jobs; j++) {
		if (job[j].child == child) {
			if (!good) {
				*failed = job[j];
			}
			job[j].child = 0;
		}
	}
	return good;
}

bool epochs_run(struct epochs *e)
{
	struct job job[EPOCHS_JOBS] = {{0}}, failed = {0};
	uint64_t done = 0, epoch = 0;
	unsigned running = 0, *numbers = allocate(e);
	bool good = true;
	for (unsigned i = 0; i < e->length; i++) {
		numbers[i] = i;
	}
	while (running > 0 || (good && done < e->operations)) {
		unsigned j = 0;
		while (j < e->jobs && job[j].child) {
			j++;
		}
		if (j == e->jobs || !good || done >= e->operations) {
			good = wait_for_one(e, job, &failed) && good;
			running--;
			continue;
		}
		uint64_t left = e->operations - done;
		unsigned count = left < e->length ? (unsigned)left : e->length;
		e->use(counters_of(e, j));
		job[j] = (struct job){start(e, epoch, numbers, count, false, false), epoch, count};
		running++;
		done += count;
		epoch++;
	}
	if (!good) {
		tell(e, failed.epoch, numbers, failed.count);
	}
	for (unsigned j = 1; j < EPOCHS_JOBS; j++) {
		e->add(counters_of(e, 0), counters_of(e, j));
	}
	e->use(counters_of(e, 0));
	free(numbers);
	return good;
}

static _Noreturn void run_only(const struct epochs *e, uint64_t epoch, char *list)
{
	unsigned count = 0, *numbers = allocate(e);
	for (char *word = strtok(list, ","); word && count < e->length; word = strtok(NULL, ",")) {
		numbers[count++] = (unsigned)strtoul(word, NULL, 0) % e->length;
	}
	exit(run(e, epoch, numbers, count, false, true) ? 0 : 1);
}

static void make_counters(const struct epochs *e)
{
	all_counters = mmap(
	    NULL, (EPOCHS_JOBS + 1) * e->counters, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all_counters == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	for (unsigned j = 0; e->fresh && j <= EPOCHS_JOBS; j++) {
		memcpy(counters_of(e, j), e->fresh, e->counters);
	}
	e->use(counters_of(e, 0));
}

void epochs_start(struct epochs *e, int argc, char **argv)
{
	uint64_t epoch = 0;
	char *only = NULL;
	bool known = argc % 2 == 1;
	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t value = strtoull(argv[i + 1], NULL, 0);
		if (strcmp(argv[i], "--seed") == 0) {
			e->seed = value;
		} else if (strcmp(argv[i], "--ops") == 0) {
			e->operations = value;
		} else if (strcmp(argv[i], "--jobs") == 0) {
			e->jobs = value < 1 ? 1 : value > EPOCHS_JOBS ? EPOCHS_JOBS : value;
		} else if (strcmp(argv[i], "--epoch") == 0) {
			epoch = value;
		} else if (strcmp(argv[i], "--only") == 0) {
			only = argv[i + 1];
		} else {
			known &= e->option && e->option(argv[i], argv[i + 1]);
		}
	}
	if (!known) {
		fprintf(stderr, "usage: %s[--seed N] [--ops N] [--jobs N] [--epoch N --only A,B,...]\n",
		    e->usage ? e->usage : "");
		exit(2);
	}
	make_counters(e);
	if (only) {
		run_only(e, epoch, only);
	}
}
