/* SPDX-License-Identifier: MIT */
/*
 * test_random.c - random operations on the library and on a naive model of it (model.h), on the software
 * machine.
 *
 *	--seed N --ops N           which sequence, and how long
 *	--jobs N                   so many epochs at a time (2)
 *	--epoch N --only A,B,...   of one epoch these operations alone: how a shrunk failure is run again
 *
 * A sequence falls into epochs, each on a machine of its own in a child process: a failed check, panic,
 * violation or sanitizer report ends the child, and is a failure. The epoch is then shrunk: halves, quarters
 * and at last single operations are left out as long as what remains still fails.
 *
 * The whole library, all spaces in it, is checked against itself (vmem_check) after every step that touches
 * a space with fewer than 64 regions, and after every 64th step; steps on objects touch all spaces. All TLBs,
 * and all that can be looked at against the model, after every 64th step.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_JOBS 16u

/* An epoch that runs: each place has counters of its own, which its children share with us. */
struct job {
	pid_t child; /* 0: none */
	uint64_t epoch;
	unsigned count;
};

static uint64_t seed = 1, operations = 1000000, jobs = 2;
static struct counters *all_counters; /* of each job */

/* Starts the numbered operations of an epoch in a child. */
static pid_t start(uint64_t epoch, const unsigned *numbers, unsigned count, bool quiet)
{
	fflush(NULL);
	pid_t child = fork();
	if (child < 0) {
		perror("fork");
		exit(2);
	}
	if (child == 0) {
		if (quiet && !freopen("/dev/null", "w", stderr)) {
			_exit(2);
		}
		alarm(120);
		world_start();
		for (unsigned i = 0; i < count; i++) {
			struct op op = op_make(seed, epoch, numbers[i]);
			world_apply(&op);
		}
		world_end();
		_exit(0);
	}
	return child;
}

static bool went_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Runs them to the end; true if it went well. */
static bool run(uint64_t epoch, const unsigned *numbers, unsigned count, bool quiet)
{
	int status;
	waitpid(start(epoch, numbers, count, quiet), &status, 0);
	return went_well(status);
}

/* Leaves out what is not needed for the failure. The number of operations left. */
static unsigned shrink(uint64_t epoch, unsigned *numbers, unsigned count)
{
	static unsigned trial[EPOCH];
	for (unsigned step = count; step > 0; step /= 2) {
		for (unsigned from = 0; from < count;) {
			unsigned skip = from + step > count ? count - from : step;
			memcpy(trial, numbers, from * sizeof(*trial));
			memcpy(trial + from, numbers + from + skip, (count - from - skip) * sizeof(*trial));
			if (!run(epoch, trial, count - skip, true)) {
				count -= skip;
				memcpy(numbers, trial, count * sizeof(*trial));
			} else {
				from += step;
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
	printf("# a sequence of %u operations fails:\n", count);
	for (unsigned i = 0; i < count; i++) {
		struct op op = op_make(seed, epoch, numbers[i]);
		printf("# %5u ", numbers[i]);
		op_print(&op);
	}
	printf(
	    "# again: --seed %llu --epoch %llu --only ", (unsigned long long)seed, (unsigned long long)epoch);
	for (unsigned i = 0; i < count; i++) {
		printf("%s%u", i ? "," : "", numbers[i]);
	}
	printf("\n");
	(void)run(epoch, numbers, count, false);
}

/* What a run of full length must have seen: the answers by number, as bits. */
#define OK BIT(VMEM_OK)
#define INVALID BIT(VMEM_ERR_INVALID)
#define RANGE BIT(VMEM_ERR_RANGE)
#define UNSUPPORTED BIT(VMEM_ERR_UNSUPPORTED)
#define DENIED BIT(VMEM_ERR_DENIED)
#define LIMIT BIT(VMEM_ERR_LIMIT)
#define EXISTS BIT(VMEM_ERR_EXISTS)
#define NO_SPACE BIT(VMEM_ERR_NO_SPACE)
#define NOT_FOUND BIT(VMEM_ERR_NOT_FOUND)
#define WX BIT(VMEM_ERR_WX)
#define SEALED BIT(VMEM_ERR_SEALED)
static const uint32_t wanted[OP_KINDS] = {
    [OP_MAP] = OK | INVALID | RANGE | NO_SPACE | EXISTS | WX | LIMIT | DENIED,
    [OP_MAP_STRIPS] = OK | INVALID | RANGE | NO_SPACE | WX | LIMIT | DENIED,
    [OP_REPLACE] = OK | INVALID | RANGE | EXISTS | WX | LIMIT | DENIED,
    [OP_MAP_LARGE] = OK,
    [OP_UNMAP] = OK | INVALID | RANGE | LIMIT | SEALED,
    [OP_PROTECT] = OK | INVALID | RANGE | NOT_FOUND | DENIED | WX | LIMIT | SEALED,
    [OP_DECOMMIT] = OK | INVALID | RANGE | NOT_FOUND,
    [OP_ATTRIBUTES] = OK | INVALID | RANGE | NOT_FOUND,
    [OP_GUARD] = OK | INVALID | RANGE | NOT_FOUND | UNSUPPORTED,
    [OP_UNGUARD] = OK | INVALID | RANGE | NOT_FOUND | UNSUPPORTED,
    [OP_RESIDENT] = OK | INVALID | RANGE | NOT_FOUND,
    [OP_VMAR] = OK | INVALID | RANGE | NO_SPACE | EXISTS | DENIED,
    [OP_VMAR_DESTROY] = OK | UNSUPPORTED,
    [OP_RECREATE] = OK,
    [OP_READ] = 0x1f & ~BIT(VMEM_FAULT_NO_MEMORY),
    [OP_WRITE] = BIT(VMEM_FAULT_RESOLVED) | BIT(VMEM_FAULT_NO_REGION) | BIT(VMEM_FAULT_PERMISSION) |
		 BIT(VMEM_FAULT_GUARD) | BIT(VMEM_FAULT_BEYOND_END),
    [OP_EXEC] = BIT(VMEM_FAULT_RESOLVED) | BIT(VMEM_FAULT_NO_REGION) | BIT(VMEM_FAULT_PERMISSION),
    [OP_COPY_TO] = 7,
    [OP_COPY_FROM] = 7,
    [OP_SWITCH] = OK,
    [OP_CREATE] = OK | INVALID,
    [OP_CONTIGUOUS] = OK | INVALID | BIT(VMEM_ERR_NO_MEMORY),
    [OP_PHYSICAL] = OK | INVALID | RANGE | BIT(VMEM_ERR_CONFLICT),
    [OP_SNAPSHOT] = OK | INVALID | UNSUPPORTED,
    [OP_WINDOW] = OK | INVALID | UNSUPPORTED,
    [OP_SLICE] = OK | RANGE | UNSUPPORTED,
    [OP_RESIZE] = OK | RANGE | UNSUPPORTED,
    [OP_COMMIT] = OK | INVALID | RANGE,
    [OP_OBJECT_DECOMMIT] = OK | INVALID | RANGE | UNSUPPORTED,
    [OP_ZERO] = OK | RANGE | UNSUPPORTED,
    [OP_OBJECT_WRITE] = OK | RANGE | UNSUPPORTED,
    [OP_OBJECT_READ] = OK | RANGE | UNSUPPORTED,
    [OP_RELEASE] = OK,
};

static const char *answer_name(unsigned kind, unsigned answer)
{
	static const char *const copies[] = {"whole", "part", "nothing"};
	if (kind == OP_COPY_TO || kind == OP_COPY_FROM) {
		return copies[answer % 3];
	}
	return kind >= OP_READ && kind <= OP_EXEC ? vmem_fault_name((enum vmem_fault_result)answer)
						  : vmem_status_name((vmem_status_t)answer);
}

/* Prints the counters; false if one that must not be zero is. */
static bool summary(bool full)
{
	bool good = true;
	for (unsigned kind = 0; kind < OP_KINDS; kind++) {
		printf("# %-16s", op_names[kind]);
		for (unsigned a = 0; a < ANSWERS; a++) {
			uint64_t count = counters->answers[kind][a];
			if (count || wanted[kind] >> a & 1) {
				printf(" %s %llu", answer_name(kind, a), (unsigned long long)count);
				good &= count != 0 || !full;
			}
		}
		printf("\n");
	}
	for (unsigned e = 0; e < EVENTS; e++) {
		printf("# %s: %llu\n", event_names[e], (unsigned long long)counters->events[e]);
		good &= counters->events[e] != 0 || !full;
	}
	printf("# least free: %llu frames\n", (unsigned long long)counters->least_free);
	printf(
	    "figure: %llu operations, %llu changed something, %llu whole checks, at most %llu regions in a "
	    "space\n",
	    (unsigned long long)counters->operations, (unsigned long long)counters->changes,
	    (unsigned long long)counters->checks, (unsigned long long)counters->most_regions);
	return good &&
	       (!full || (counters->changes * 2 >= counters->operations && counters->most_regions >= 200));
}

/* What all jobs have counted, in the counters of the first. */
static void sum_up(void)
{
	struct counters *sum = &all_counters[0];
	for (unsigned j = 1; j < MOST_JOBS; j++) {
		const struct counters *c = &all_counters[j];
		for (unsigned i = 0; i < OP_KINDS * ANSWERS; i++) {
			sum->answers[i / ANSWERS][i % ANSWERS] += c->answers[i / ANSWERS][i % ANSWERS];
		}
		for (unsigned e = 0; e < EVENTS; e++) {
			sum->events[e] += c->events[e];
		}
		sum->operations += c->operations;
		sum->changes += c->changes;
		sum->checks += c->checks;
		sum->most_regions = c->most_regions > sum->most_regions ? c->most_regions : sum->most_regions;
		sum->least_free = c->least_free < sum->least_free ? c->least_free : sum->least_free;
	}
	counters = sum;
}

/* Waits until a job ends, any; true if it went well, else it is `failed`. */
static bool wait_for_one(struct job *job, struct job *failed)
{
	int status;
	pid_t child = wait(&status);
	for (unsigned j = 0; j < jobs; j++) {
		if (job[j].child == child) {
			if (!went_well(status)) {
				*failed = job[j];
			}
			job[j].child = 0;
		}
	}
	return went_well(status);
}

/* Runs all epochs; false if one fails, which is told then. */
static bool run_all(void)
{
	static unsigned numbers[EPOCH];
	struct job job[MOST_JOBS] = {{0}}, failed = {0};
	uint64_t done = 0, epoch = 0;
	unsigned running = 0;
	bool good = true;
	for (unsigned i = 0; i < EPOCH; i++) {
		numbers[i] = i;
	}
	while (running > 0 || (good && done < operations)) {
		unsigned j = 0;
		while (j < jobs && job[j].child) {
			j++;
		}
		if (j == jobs || !good || done >= operations) {
			good = wait_for_one(job, &failed) && good;
			running--;
			continue;
		}
		unsigned count = operations - done < EPOCH ? (unsigned)(operations - done) : EPOCH;
		counters = &all_counters[j];
		job[j] = (struct job){start(epoch, numbers, count, false), epoch, count};
		running++;
		done += count;
		epoch++;
	}
	sum_up();
	if (!good) {
		tell(failed.epoch, numbers, failed.count);
	}
	return good;
}

static unsigned parse_only(char *list, unsigned *numbers)
{
	unsigned count = 0;
	for (char *word = strtok(list, ","); word && count < EPOCH; word = strtok(NULL, ",")) {
		numbers[count++] = (unsigned)strtoul(word, NULL, 0) % EPOCH;
	}
	return count;
}

int main(int argc, char **argv)
{
	static unsigned numbers[EPOCH];
	uint64_t epoch = 0;
	char *only = NULL;
	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t value = strtoull(argv[i + 1], NULL, 0);
		if (strcmp(argv[i], "--seed") == 0) {
			seed = value;
		} else if (strcmp(argv[i], "--ops") == 0) {
			operations = value;
		} else if (strcmp(argv[i], "--jobs") == 0) {
			jobs = value < 1 ? 1 : value > MOST_JOBS ? MOST_JOBS : value;
		} else if (strcmp(argv[i], "--epoch") == 0) {
			epoch = value;
		} else if (strcmp(argv[i], "--only") == 0) {
			only = argv[i + 1];
		} else {
			fprintf(
			    stderr, "usage: [--seed N] [--ops N] [--jobs N] [--epoch N --only A,B,...]\n");
			return 2;
		}
	}
	all_counters = mmap(
	    NULL, MOST_JOBS * sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all_counters == MAP_FAILED) {
		return 2;
	}
	counters = &all_counters[0];
	for (unsigned j = 0; j < MOST_JOBS; j++) {
		all_counters[j].least_free = UINT64_MAX;
	}
	if (only) {
		return run(epoch, numbers, parse_only(only, numbers), false) ? 0 : 1;
	}
	printf("1..2\n");
	bool good = run_all();
	printf("%sok 1 - the library agrees with the model\n", good ? "" : "not ");
	bool seen = summary(operations >= 100000);
	printf("%sok 2 - every expected answer was seen\n", seen ? "" : "not ");
	return good && seen ? 0 : 1;
}
