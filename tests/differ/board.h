/* SPDX-License-Identifier: MIT */
/* What the test and its helpers share: the entries of an epoch, and whose turn it is. */
#ifndef BOARD_H
#define BOARD_H

#include "differ.h"

/* Whose turn it is says the entry `at`; `turn` is what each one waits for, the test last. */
struct board {
	uint32_t turn[PROCESSES + 1];
	unsigned at, count;
	struct facts facts;
	page_set written[PROCESSES]; /* not zero, or written to since it was looked at */
	struct entry entries[ENTRIES];
};
#define TEST PROCESSES

/* Shared through a descriptor; NULL on failure. */
struct board *board_map(int fd);
/* Ends the process when no turn comes. */
void board_wait(struct board *board, unsigned who);
void board_give(struct board *board, unsigned who);

/* ---- probe.c ---- */
void probe_become_ordinary(void);
void probe_facts(struct facts *facts);
/* Whether this kernel does the step as the newest one does; `shared`: it meets shared memory; `several`:
 * more than one mapping. */
bool probe_knows(const struct facts *facts, const struct step *s, bool shared, bool several);

#endif
