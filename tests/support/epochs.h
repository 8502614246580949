/* SPDX-License-Identifier: MIT */
/*
 * epochs.h - how programs of random steps run: in epochs, each in a process of its own, and what fails is
 * shrunk.
 *
 *	--seed N --ops N           which sequence, and how long
 *	--jobs N                   so many epochs at a time
 *	--epoch N --only A,B,...   of one epoch these steps alone: how a shrunk failure is run again
 *
 * A step is drawn from the seed, its epoch and its number alone, so that any part of an epoch is a sequence,
 * too. An epoch fails when its process does: by a check, a signal, a sanitizer's report, or by taking too
 * long. It is then shrunk: halves, quarters and at last single steps are left out as long as what remains
 * still fails; and what is left is run once more, loudly.
 */
#ifndef EPOCHS_H
#define EPOCHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EPOCHS_JOBS 16u

struct epochs {
	uint64_t seed, operations, jobs; /* what the options change */
	unsigned length;		 /* steps of an epoch */
	unsigned seconds;		 /* that an epoch may take */
	const char *noun;		 /* of steps */
	/* Runs the numbered steps in a process of their own; what returns went well. Verbose: tells each. */
	void (*run)(
	    const struct epochs *e, uint64_t epoch, const unsigned *numbers, unsigned count, bool verbose);
	/* What is counted: so many bytes for each job, shared with the epochs' processes; all of them begin
	 * as `fresh`, or zero. */
	size_t counters;
	const void *fresh;
	void (*use)(void *counters);
	void (*add)(void *sum, const void *more);
	/* An option of the program's own; false: there is none of that name. May be NULL. */
	bool (*option)(const char *name, const char *value);
	const char *usage; /* of these */
};

/* Reads the options, and runs what --only says, if it is there: then it does not return. */
void epochs_start(struct epochs *e, int argc, char **argv);
/* Runs all epochs; false if one fails, which is told then. What was counted is in use afterwards. */
bool epochs_run(struct epochs *e);

#endif
