/* SPDX-License-Identifier: MIT */
/* What the test and its helpers share: the entries of an epoch, and whose turn it is. */
#ifndef BOARD_H
#define BOARD_H

#include "differ.h"

/* Whose turn it is says the entry `at`; `turn` is what each one waits for, the test last. */
struct board {
	uint32_t turn[PROCESSES + 1];
	unsigned at, count;
	bool generous; /* LOCK_LIMIT_GENEROUS, if that can be had */
	struct facts facts;
	page_set written[PROCESSES]; /* not zero, or written to since it was looked at */
	page_set holds[PROCESSES]; /* not zero when it was last looked at; what it moved to does not count */
};
#define TEST PROCESSES
/* Behind it in the file: the entries. Helpers read and write them there, because what they have mapped is
 * what mlockall() locks. */
#define BOARD_ENTRIES ((sizeof(struct board) + PAGE - 1) & ~(size_t)(PAGE - 1))
#define BOARD_BYTES (BOARD_ENTRIES + ENTRIES * sizeof(struct entry))

/* Shared through a descriptor: so many bytes of it; NULL on failure. */
struct board *board_map(int fd, size_t bytes);
/* Ends the process when no turn comes. */
void board_wait(struct board *board, unsigned who);
void board_give(struct board *board, unsigned who);

/* ---- probe.c ---- */
void probe_become_ordinary(void);
void probe_facts(struct facts *facts, bool generous);
/* Whether this kernel does the step as the newest one does; `shared`: it meets shared memory; `several`:
 * more than one mapping. */
bool probe_knows(const struct facts *facts, const struct step *s, bool shared, bool several);

#endif
