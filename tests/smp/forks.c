/* SPDX-License-Identifier: MIT */
/*
 * forks.c - forks of spaces in which other CPUs write at that very moment.
 *
 * A word of the child is one that was in the parent at some moment between the call and its return, and
 * never changes but by a store of the child's own. Those are of a version that the parent never comes to:
 * there they would be found out at once. A child of the child holds the same again.
 */
#include "stress.h"

#define SEEN 12u
#define FAR_VERSION UINT32_C(0xf0000000)

struct seen {
	unsigned page, writer;
	uint32_t floor, issued;
	uint64_t word;
};

static void choose(struct seen *seen, const struct book *book)
{
	for (unsigned i = 0; i < SEEN; i++) {
		seen[i].page = (unsigned)any(book->volatile_from);
		seen[i].writer = (unsigned)any(world.cpus);
		const struct cell *cell = book_cell(book, seen[i].page, seen[i].writer);
		seen[i].floor = __atomic_load_n(&cell->floor, __ATOMIC_RELAXED);
		seen[i].word = 0;
	}
}

/* Every word is legal when it is first seen, and stays. */
static void look(struct vmem_aspace *aspace, unsigned window, struct seen *seen, bool first)
{
	uint64_t va, word;
	(void)windows_private(window, &va, NULL);
	run_own(aspace);
	for (unsigned i = 0; i < SEEN; i++) {
		struct seen *s = &seen[i];
		if (load(aspace, va + book_offset(s->page, s->writer), &word) != VMEM_FAULT_RESOLVED) {
			continue; /* no memory */
		}
		if (first) {
			MUST(windows_legal(window, s->page, s->writer, word, s->floor, s->issued),
			    "a child has %#llx at page %u of window %u, word of CPU %u: not %u to %u",
			    (unsigned long long)word, s->page, window, s->writer, s->floor, s->issued);
			s->word = word;
		}
		MUST(s->word == word || s->word == 0,
		    "a child had %#llx and has %#llx at page %u of window %u", (unsigned long long)s->word,
		    (unsigned long long)word, s->page, window);
	}
}

static void change(struct vmem_aspace *aspace, unsigned window, struct seen *seen)
{
	uint64_t va;
	struct book *book = windows_private(window, &va, NULL);
	run_own(aspace);
	for (unsigned i = 0; i < SEEN / 2; i++) {
		uint64_t word = book_word(book, seen[i].page, seen[i].writer, FAR_VERSION + i);
		if (store(aspace, va + book_offset(seen[i].page, seen[i].writer), word) ==
		    VMEM_FAULT_RESOLVED) {
			for (unsigned k = 0; k < SEEN; k++) { /* one place may have been chosen twice */
				bool same = seen[k].page == seen[i].page && seen[k].writer == seen[i].writer;
				seen[k].word = same ? word : seen[k].word;
			}
		}
	}
}

void forks_step(void)
{
	const unsigned window = (unsigned)any(WINDOWS_PRIVATE);
	struct seen seen[SEEN], later[SEEN];
	struct vmem_aspace *child, *second = NULL;
	unsigned space;
	const struct book *book = windows_private(window, NULL, &space);
	choose(seen, book);
	if (!went(LIB(vmem_aspace_fork(world.space[space], &child)), "a fork")) {
		return;
	}
	for (unsigned i = 0; i < SEEN; i++) {
		seen[i].issued = __atomic_load_n(
		    &book_cell(book, seen[i].page, seen[i].writer)->issued, __ATOMIC_RELAXED);
	}
	look(child, window, seen, true);
	if (chance(70)) {
		change(child, window, seen);
	}
	if (chance(30) && !went(LIB(vmem_aspace_fork(child, &second)), "a fork of a child")) {
		second = NULL;
	}
	if (second != NULL) {
		for (unsigned i = 0; i < SEEN; i++) {
			later[i] = seen[i];
		}
		change(child, window, seen);
		look(second, window, later, false);
	}
	look(child, window, seen, false);
	run_space((unsigned)any(SPACES));
	LIB_VOID(vmem_aspace_destroy(child));
	if (second != NULL) {
		look(second, window, later, false);
		run_space((unsigned)any(SPACES));
		LIB_VOID(vmem_aspace_destroy(second));
	}
}
