/* SPDX-License-Identifier: MIT */
/*
 * record.h - a list of what an operation touches, by lines of 64 bytes (record.c); for tests of what two
 * operations have in common.
 */
#ifndef EXPLORE_RECORD_H
#define EXPLORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_LINES 4096u

struct record_line {
	uintptr_t line; /* first address */
	bool read, written;
	uintptr_t reader, writer;	    /* code that read or wrote it first */
	uint64_t bytes_read, bytes_written; /* one bit each */
};

/* The last: read and written in one step. */
enum record_kind { RECORD_READ, RECORD_WRITE, RECORD_UPDATE };

struct record {
	unsigned count;
	unsigned updates; /* RECORD_UPDATE */
	unsigned locks;	  /* taken: spin locks and mutexes */
	struct record_line lines[RECORD_LINES];
};

struct recorder {
	bool on;
	struct record *into;
};
extern struct recorder recorder;

void record_begin(struct record *into);
void record_end(void);
void record(const void *p, size_t n, enum record_kind kind, const void *from);
const struct record_line *record_find(const struct record *record, uintptr_t line);

#endif
