/* SPDX-License-Identifier: MIT */
/*
 * test_random.c - random operations on the library and on a naive model of it (model.h), on the software
 * machine.
 *
 * A sequence falls into epochs, each on a machine of its own in a process of its own (support/epochs.h,
 * which has the options).
 *
 * The whole library, all spaces in it, is checked against itself (vmem_check) after every step that touches
 * a space with fewer than 64 regions, and after every 64th step; steps on objects touch all spaces. All
 * TLBs, and all that can be looked at against the model, after every 64th step.
 */
#include "support/epochs.h"
#include "model.h"
#include "process.h"

#include <stdio.h>

static void run_epoch(
    const struct epochs *e, uint64_t epoch, const unsigned *numbers, unsigned count, bool verbose)
{
	world_start(epoch % 4 == 3 ? 1 : MACHINE_CPUS);
	for (unsigned i = 0; i < count; i++) {
		struct op op = op_make(e->seed, epoch, numbers[i]);
		if (verbose) {
			printf("# %5u ", numbers[i]);
			op_print(&op);
		}
		world_apply(&op);
	}
	world_end();
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
#define DONE BIT(E_OK)
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
    [OP_FORK] = OK,
    [OP_MOVE] = OK | INVALID | RANGE | NOT_FOUND | EXISTS | NO_SPACE | SEALED | LIMIT,
    [OP_EXTEND] = OK | RANGE | NOT_FOUND | EXISTS | SEALED | LIMIT,
    [OP_MMAP] = DONE | BIT(E_NOMEM) | BIT(E_EXIST) | BIT(E_AGAIN) | BIT(E_PERM),
    [OP_MREMAP] = DONE | BIT(E_NOMEM) | BIT(E_FAULT) | BIT(E_INVAL) | BIT(E_PERM) | BIT(E_EXIST),
    [OP_MLOCK] = DONE | BIT(E_NOMEM) | BIT(E_PERM),
    [OP_LIMIT] = DONE,
    [OP_OVERCOMMIT] = DONE,
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
	static const char *const errors[] = {
	    "done", "EPERM", "EAGAIN", "ENOMEM", "EACCES", "EFAULT", "EEXIST", "EINVAL"};
	if (kind >= OP_MMAP && kind <= OP_OVERCOMMIT) {
		return errors[answer % 8];
	}
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

static void use(void *some)
{
	counters = some;
}

static void add(void *into, const void *more)
{
	struct counters *sum = into;
	const struct counters *c = more;
	for (unsigned i = 0; i < OP_KINDS * ANSWERS; i++) {
		sum->answers[i / ANSWERS][i % ANSWERS] += c->answers[i / ANSWERS][i % ANSWERS];
	}
	for (unsigned i = 0; i < EVENTS; i++) {
		sum->events[i] += c->events[i];
	}
	sum->operations += c->operations;
	sum->changes += c->changes;
	sum->checks += c->checks;
	sum->most_regions = c->most_regions > sum->most_regions ? c->most_regions : sum->most_regions;
	sum->least_free = c->least_free < sum->least_free ? c->least_free : sum->least_free;
}

int main(int argc, char **argv)
{
	static const struct counters fresh = {.least_free = UINT64_MAX};
	struct epochs e = {
	    .seed = 1,
	    .operations = 1000000,
	    .jobs = 2,
	    .length = EPOCH,
	    .seconds = 120,
	    .noun = "operations",
	    .run = run_epoch,
	    .counters = sizeof(fresh),
	    .fresh = &fresh,
	    .use = use,
	    .add = add,
	};
	epochs_start(&e, argc, argv);
	printf("1..2\n");
	bool good = epochs_run(&e);
	printf("%sok 1 - the library agrees with the model\n", good ? "" : "not ");
	bool seen = summary(e.operations >= 100000);
	printf("%sok 2 - every expected answer was seen\n", seen ? "" : "not ");
	return good && seen ? 0 : 1;
}
