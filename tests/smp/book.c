/* SPDX-License-Identifier: MIT */
/*
 * book.c - what may be where.
 *
 * Each page has a word for each CPU, and that CPU alone writes it, in rising versions. A reader asks for the
 * floor before it reads and for the last issued version after: what it saw lies between, or the page was
 * emptied in the meantime. Whoever empties pages raises their floors when the call has returned: what was
 * written before it began can no longer be seen.
 *
 * B1 Numbers are read and written relaxed, so that the test orders nothing that the library does not order
 * (ThreadSanitizer); what the build machine really does in between is stronger (the machine's lock).
 */
#include <stdlib.h>

#include "stress.h"

#define LOAD(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

void book_open(struct book *book, unsigned id, unsigned pages, unsigned volatile_from)
{
	*book = (struct book){id, pages, volatile_from, calloc((size_t)pages * CPUS, sizeof(struct cell))};
	for (unsigned i = 0; i < pages * CPUS; i++) {
		book->cells[i].issued = BASE_VERSION;
	}
}

void book_close(struct book *book)
{
	free(book->cells);
	book->cells = NULL;
}

struct cell *book_cell(const struct book *book, unsigned page, unsigned writer)
{
	return &book->cells[page * CPUS + writer];
}

uint64_t book_offset(unsigned page, unsigned writer)
{
	return page * PAGE + (writer * (WORDS / CPUS) + page % 64) * 8;
}

uint64_t book_word(const struct book *book, unsigned page, unsigned writer, uint32_t version)
{
	return (uint64_t)book->id << 52 | (uint64_t)page << 36 | (uint64_t)writer << 32 | version;
}

uint64_t book_issue(struct book *book, unsigned page, unsigned writer)
{
	struct cell *cell = book_cell(book, page, writer);
	uint32_t version = LOAD(&cell->issued) + 1;
	STORE(&cell->issued, version);
	return book_word(book, page, writer, version);
}

static void raise_floor(struct cell *cell, uint32_t floor)
{
	uint32_t now = LOAD(&cell->floor);
	while (now < floor && !__atomic_compare_exchange_n(
				  &cell->floor, &now, floor, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
}

void book_written(struct book *book, unsigned page, unsigned writer, uint64_t word)
{
	struct cell *cell = book_cell(book, page, writer);
	STORE(&cell->done, (uint32_t)word);
	raise_floor(cell, (uint32_t)word);
}

void book_wipe_begin(const struct book *book, unsigned first, unsigned pages, uint32_t *before)
{
	for (unsigned i = 0; i < pages * CPUS; i++) {
		before[i] = LOAD(&book->cells[first * CPUS + i].done);
	}
}

void book_wipe_end(struct book *book, unsigned first, unsigned pages, const uint32_t *before)
{
	for (unsigned i = 0; i < pages * CPUS; i++) {
		if (before[i] != 0) {
			raise_floor(&book->cells[first * CPUS + i], before[i] + 1);
		}
	}
}

bool book_legal(
    const struct book *book, unsigned page, unsigned writer, uint64_t word, uint32_t floor, uint32_t issued)
{
	bool emptied = page >= book->volatile_from;
	uint32_t version = (uint32_t)word;
	if (word == 0) {
		return emptied || floor == 0;
	}
	if (word != book_word(book, page, writer, version) || version > issued) {
		return false;
	}
	return version >= floor || (emptied && version == BASE_VERSION);
}
