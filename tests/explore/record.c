/* SPDX-License-Identifier: MIT */
/*
 * record.c - lists of touched lines. The idea is in record.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "record.h"

struct recorder recorder;

void record_begin(struct record *into)
{
	into->count = 0;
	into->updates = into->locks = 0;
	recorder.into = into;
	recorder.on = true;
}

void record_end(void)
{
	recorder.on = false;
}

const struct record_line *record_find(const struct record *from, uintptr_t line)
{
	for (unsigned i = 0; i < from->count; i++) {
		if (from->lines[i].line == line) {
			return &from->lines[i];
		}
	}
	return NULL;
}

static struct record_line *line_of(uintptr_t line)
{
	struct record *r = recorder.into;
	struct record_line *found = (struct record_line *)(uintptr_t)record_find(r, line);
	if (found != NULL) {
		return found;
	}
	if (r->count == RECORD_LINES) {
		fprintf(stderr, "record: an operation touches more than %u lines\n", RECORD_LINES);
		abort();
	}
	found = &r->lines[r->count++];
	*found = (struct record_line){.line = line};
	return found;
}

void record(const void *p, size_t n, enum record_kind kind, const void *from)
{
	uintptr_t at = (uintptr_t)p, end = at + n;
	recorder.into->updates += kind == RECORD_UPDATE;
	while (at < end) {
		struct record_line *line = line_of(at & ~(uintptr_t)63);
		uintptr_t next = (at | 63) + 1 < end ? (at | 63) + 1 : end;
		uint64_t mask = (next - at == 64 ? UINT64_MAX : (UINT64_C(1) << (next - at)) - 1)
				<< (at & 63);
		if (kind != RECORD_READ) {
			line->writer = line->written ? line->writer : (uintptr_t)from;
			line->written = true;
			line->bytes_written |= mask;
		}
		if (kind != RECORD_WRITE) {
			line->reader = line->read ? line->reader : (uintptr_t)from;
			line->read = true;
			line->bytes_read |= mask;
		}
		at = next;
	}
}
