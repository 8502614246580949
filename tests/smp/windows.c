/* SPDX-License-Identifier: MIT */
/*
 * windows.c - places of shared spaces that all CPUs read, write and change at once.
 *
 * A window is anonymous memory, a private mapping of an object, or a shared one. The upper half of its pages
 * is volatile: any CPU empties it in any way that there is. What is in the lower half stays: there a store
 * that is lost, or seen by the wrong side, shows.
 */
#include <stdlib.h>

#include "stress.h"

enum { BASE, FIXED_SIZE, RESIZABLE, OBJECTS };
enum { ANONYMOUS_SMALL, ANONYMOUS_LARGE, COPY_0, COPY_1, COPY_RESIZABLE, BOOKS_OF_SPACES };
#define PAGES 64u
#define LARGE_PAGES 1024u
#define BOOKS (BOOKS_OF_SPACES + OBJECTS)
#define WINDOWS 10u
#define WINDOW_START UINT64_C(0x40000000)

struct window {
	unsigned space, book;
	int object; /* -1: anonymous */
	bool shared;
	uint64_t va;  /* set when made */
	unsigned hot; /* a page that a CPU is busy with */
};
static struct window windows[WINDOWS] = {
    {0, ANONYMOUS_SMALL, -1, false, 0, 0},
    {1, ANONYMOUS_LARGE, -1, false, 0, 0},
    {0, COPY_0, BASE, false, 0, 0},
    {1, COPY_1, BASE, false, 0, 0},
    {0, BOOKS_OF_SPACES + BASE, BASE, true, 0, 0},
    {0, BOOKS_OF_SPACES + FIXED_SIZE, FIXED_SIZE, true, 0, 0},
    {1, BOOKS_OF_SPACES + FIXED_SIZE, FIXED_SIZE, true, 0, 0},
    {0, BOOKS_OF_SPACES + RESIZABLE, RESIZABLE, true, 0, 0},
    {1, BOOKS_OF_SPACES + RESIZABLE, RESIZABLE, true, 0, 0},
    {0, COPY_RESIZABLE, RESIZABLE, false, 0, 0},
};
static struct vmem_object *objects[OBJECTS];
static struct book books[BOOKS];

struct vmem_object *windows_object(unsigned i, struct book **book)
{
	*book = &books[BOOKS_OF_SPACES + FIXED_SIZE + i];
	return objects[FIXED_SIZE + i];
}

static bool is_base(const struct window *w)
{
	return w->book == BOOKS_OF_SPACES + BASE; /* the object itself: nobody writes to it */
}

static vmem_status_t map_window(const struct window *w, unsigned first, unsigned pages, enum vmem_place place)
{
	struct vmem_map map = {.length = pages * PAGE,
	    .permission = is_base(w) ? VMEM_READ : VMEM_READ | VMEM_WRITE,
	    .maximum = VMEM_RWX,
	    .flags =
		(w->shared ? (unsigned)VMEM_MAP_SHARED : 0) | (chance(10) ? (unsigned)VMEM_MAP_POPULATE : 0),
	    .place = place,
	    .address = w->va + first * PAGE,
	    .object = w->object < 0 ? NULL : objects[w->object],
	    .offset = w->object < 0 ? 0 : first * PAGE};
	uint64_t start;
	return LIB(vmem_vmar_map(vmem_aspace_root(world.space[w->space]), &map, &start));
}

void windows_make(void)
{
	for (unsigned i = 0; i < BOOKS; i++) {
		unsigned pages = i == ANONYMOUS_LARGE ? LARGE_PAGES : PAGES;
		book_open(&books[i], 1 + i, pages, i == BOOKS_OF_SPACES + BASE ? pages : pages / 2);
	}
	for (unsigned i = 0; i < OBJECTS; i++) {
		unsigned flags = i == RESIZABLE ? VMEM_OBJECT_RESIZABLE : 0;
		MUST(vmem_object_create_anonymous(PAGES * PAGE, flags, &objects[i]) == VMEM_OK, "an object");
	}
	/* What the base holds is legal in each of its copies: their first version. */
	for (unsigned page = 0; page < PAGES; page++) {
		for (unsigned cpu = 0; cpu < CPUS; cpu++) {
			uint64_t word = book_word(&books[BOOKS_OF_SPACES + BASE], page, cpu, BASE_VERSION);
			MUST(vmem_object_write(objects[BASE], book_offset(page, cpu), &word, 8, NULL) ==
				 VMEM_OK,
			    "the base");
			book_written(&books[BOOKS_OF_SPACES + BASE], page, cpu, word);
			book_written(&books[COPY_0], page, cpu, word);
			book_written(&books[COPY_1], page, cpu, word);
		}
	}
	for (unsigned i = 0; i < WINDOWS; i++) {
		windows[i].va = WINDOW_START + i * 4 * LARGE;
		MUST(map_window(&windows[i], 0, books[windows[i].book].pages, VMEM_PLACE_FIXED) == VMEM_OK,
		    "window %u", i);
	}
}

/* A copy's word in its first version is the base's. */
static uint64_t as_own(const struct window *w, uint64_t word)
{
	const struct book *base = &books[BOOKS_OF_SPACES + BASE];
	bool from_base = word >> 52 == base->id && (uint32_t)word == BASE_VERSION;
	bool is_copy = w->book == COPY_0 || w->book == COPY_1;
	return from_base && is_copy ? (word & ~(UINT64_C(0xfff) << 52)) | (uint64_t)books[w->book].id << 52
				    : word;
}

struct book *windows_private(unsigned i, uint64_t *va, unsigned *space)
{
	if (va != NULL) {
		*va = windows[i].va;
	}
	if (space != NULL) {
		*space = windows[i].space;
	}
	return &books[windows[i].book];
}

/* Where a private mapping has no copy it shows the object as it is, and where it has one, the words of others
 * as they were. */
static bool is_shown(const struct window *w, unsigned page, unsigned writer, uint64_t word, uint32_t floor)
{
	const struct book *book = &books[BOOKS_OF_SPACES + RESIZABLE];
	const struct cell *cell = book_cell(book, page, writer);
	return w->book == COPY_RESIZABLE && (floor == 0 || page >= book->volatile_from) &&
	       word == book_word(book, page, writer, (uint32_t)word) &&
	       (uint32_t)word <= __atomic_load_n(&cell->issued, __ATOMIC_RELAXED);
}

bool windows_legal(
    unsigned i, unsigned page, unsigned writer, uint64_t word, uint32_t floor, uint32_t issued)
{
	return book_legal(
	    &books[windows[i].book], page, writer, as_own(&windows[i], word), floor, issued);
}

/* Reading: by a program, from the kernel, or from the object. */
static bool read_word(const struct window *w, uint64_t offset, uint64_t *word)
{
	unsigned how = (unsigned)any(10);
	if (how == 0) {
		return LIB(vmem_copy_from_user(world.space[w->space], word, w->va + offset, 8)) == 8;
	}
	if (how == 1 && w->shared) {
		size_t got = 0;
		vmem_status_t status = LIB(vmem_object_read(objects[w->object], offset, word, 8, &got));
		MUST(status == VMEM_OK || status == VMEM_ERR_RANGE || status == VMEM_ERR_NO_MEMORY,
		    "object read: %s", vmem_status_name(status));
		return status == VMEM_OK;
	}
	run_space(w->space);
	return load(world.space[w->space], w->va + offset, word) == VMEM_FAULT_RESOLVED;
}

static bool write_word(const struct window *w, uint64_t offset, uint64_t word)
{
	unsigned how = (unsigned)any(10);
	if (how == 0) {
		return LIB(vmem_copy_to_user(world.space[w->space], w->va + offset, &word, 8)) == 8;
	}
	if (how == 1 && w->shared) {
		size_t got = 0;
		vmem_status_t status = LIB(vmem_object_write(objects[w->object], offset, &word, 8, &got));
		MUST(status == VMEM_OK || status == VMEM_ERR_RANGE || status == VMEM_ERR_NO_MEMORY,
		    "object write: %s", vmem_status_name(status));
		return status == VMEM_OK;
	}
	run_space(w->space);
	return store(world.space[w->space], w->va + offset, word) == VMEM_FAULT_RESOLVED;
}

static void read_any(const struct window *w, unsigned page)
{
	const struct book *book = &books[w->book];
	unsigned writer = (unsigned)any(world.cpus);
	const struct cell *cell = book_cell(book, page, writer);
	uint32_t floor = __atomic_load_n(&cell->floor, __ATOMIC_RELAXED);
	uint64_t word;
	if (read_word(w, book_offset(page, writer), &word)) {
		uint32_t issued = __atomic_load_n(&cell->issued, __ATOMIC_RELAXED);
		MUST(book_legal(book, page, writer, as_own(w, word), floor, issued) ||
			 is_shown(w, page, writer, word, floor),
		    "window %u (%#llx), page %u, word of CPU %u: %#llx, not between versions %u and %u",
		    (unsigned)(w - windows), (unsigned long long)w->va, page, writer,
		    (unsigned long long)word, floor, issued);
	}
}

static void write_own(const struct window *w, unsigned page)
{
	struct book *book = &books[w->book];
	uint64_t word;
	if (is_base(w)) {
		return;
	}
	word = book_issue(book, page, self->number);
	if (write_word(w, book_offset(page, self->number), word)) {
		book_written(book, page, self->number, word);
	}
}

/* Changes. `first` and `pages` lie in the volatile part where content goes. */

static void empty(const struct window *w, unsigned first, unsigned pages)
{
	struct book *book = &books[w->book];
	uint32_t before[LARGE_PAGES * CPUS];
	vmem_status_t status;
	book_wipe_begin(book, first, pages, before);
	if (!w->shared && chance(50)) {
		status = map_window(w, first, pages, VMEM_PLACE_REPLACE);
	} else if (!w->shared) {
		struct vmem_vmar *root = vmem_aspace_root(world.space[w->space]);
		status = LIB(vmem_vmar_decommit(root, w->va + first * PAGE, pages * PAGE));
	} else if (chance(50)) {
		status = LIB(vmem_object_decommit(objects[w->object], first * PAGE, pages * PAGE));
	} else {
		status = LIB(vmem_object_zero(objects[w->object], first * PAGE, pages * PAGE));
	}
	if (w->object == RESIZABLE && status == VMEM_ERR_RANGE) {
		return;
	}
	if (went(status, "emptying")) {
		book_wipe_end(book, first, pages, before);
	}
}

static void resize(void)
{
	struct book *book = &books[BOOKS_OF_SPACES + RESIZABLE], *copies = &books[COPY_RESIZABLE];
	uint32_t before[PAGES * CPUS], copied[PAGES * CPUS];
	unsigned keep = PAGES / 2 + (unsigned)any(PAGES / 2 + 1);
	book_wipe_begin(book, keep, PAGES - keep, before);
	book_wipe_begin(copies, keep, PAGES - keep, copied);
	if (went(LIB(vmem_object_resize(objects[RESIZABLE], keep * PAGE)), "resize")) {
		book_wipe_end(book, keep, PAGES - keep, before);
		book_wipe_end(copies, keep, PAGES - keep, copied);
	}
}

static void change(const struct window *w, unsigned near)
{
	struct vmem_vmar *root = vmem_aspace_root(world.space[w->space]);
	unsigned all = books[w->book].pages;
	unsigned first = chance(50) ? near : (unsigned)any(all);
	unsigned pages = 1 + (unsigned)any(chance(80) && all - first > 8 ? 8 : all - first);
	uint64_t va = w->va + first * PAGE, length = pages * PAGE;
	switch (any(5)) {
	case 0:
		went(
		    LIB(vmem_vmar_protect(root, va, length, chance(70) ? VMEM_READ | VMEM_WRITE : VMEM_READ)),
		    "protect");
		return;
	case 1:
		if (w->shared && chance(50)) { /* the object keeps the content */
			went(chance(50) ? LIB(vmem_vmar_decommit(root, va, length))
					: map_window(w, first, pages, VMEM_PLACE_REPLACE),
			    "forgetting translations");
		} else if (w->object == RESIZABLE) {
			resize();
		}
		return;
	case 2:
		if (w->shared) {
			vmem_status_t status =
			    LIB(vmem_object_commit(objects[w->object], first * PAGE, pages * PAGE));
			if (status != VMEM_ERR_RANGE || w->object != RESIZABLE) {
				went(status, "commit");
			}
		}
		return;
	default:
		if (first < books[w->book].volatile_from) {
			first = books[w->book].volatile_from + (unsigned)any(all / 2);
		}
		if (first < all && !is_base(w)) {
			empty(w, first, 1 + (unsigned)any(chance(70) && all - first > 4 ? 4 : all - first));
		}
	}
}

/* A few pages of an object come and go while others are after them: there is content, and no entry yet. */
static void flicker(struct window *w, unsigned near)
{
	struct book *book = &books[w->book];
	unsigned first = near < book->volatile_from ? book->volatile_from : near;
	unsigned pages = book->pages - first < 4 ? book->pages - first : 4;
	uint32_t before[4 * CPUS];
	__atomic_store_n(&w->hot, first, __ATOMIC_RELAXED);
	for (unsigned turn = 0; turn < 12; turn++) {
		for (unsigned page = first; page < first + pages; page++) {
			uint64_t word = book_issue(book, page, self->number);
			size_t got;
			if (went(LIB(vmem_object_write(
				     objects[w->object], book_offset(page, self->number), &word, 8, &got)),
				"object write")) {
				book_written(book, page, self->number, word);
			}
		}
		machine_turn();
		book_wipe_begin(book, first, pages, before);
		if (went(LIB(vmem_object_decommit(objects[w->object], first * PAGE, pages * PAGE)),
			"decommit")) {
			book_wipe_end(book, first, pages, before);
		}
	}
}

void windows_step(void)
{
	struct window *w = &windows[any(WINDOWS)];
	unsigned all = books[w->book].pages, near = (unsigned)any(all);
	if (chance(60)) {
		near = __atomic_load_n(&w->hot, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(&w->hot, near, __ATOMIC_RELAXED);
	}
	if (w->object == FIXED_SIZE && chance(15)) {
		flicker(w, near);
		return;
	}
	if (chance(15)) {
		change(w, near);
		return;
	}
	for (unsigned i = 0; i < 8; i++) {
		unsigned page = chance(70) ? (near + (unsigned)any(4)) % all : (unsigned)any(all);
		if (chance(50)) {
			write_own(w, page);
		} else {
			read_any(w, page);
		}
	}
}

/* What stays has its last version. */
void windows_check(void)
{
	for (unsigned i = 0; i < WINDOWS; i++) {
		const struct window *w = &windows[i];
		const struct book *book = &books[w->book];
		for (unsigned k = 0; k < book->volatile_from * CPUS; k++) {
			unsigned page = k / CPUS, writer = k % CPUS;
			uint32_t done = book_cell(book, page, writer)->done;
			uint64_t word = 0, expected = done == 0 ? 0 : book_word(book, page, writer, done);
			size_t got = vmem_copy_from_user(
			    world.space[w->space], &word, w->va + book_offset(page, writer), 8);
			MUST(got == 8 && (as_own(w, word) == expected ||
					     is_shown(w, page, writer, word, done)),
			    "at the end window %u, page %u, word of CPU %u is %#llx, not %#llx", i, page,
			    writer, (unsigned long long)word, (unsigned long long)expected);
		}
	}
}

void windows_end(void)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		vmem_object_release(objects[i]);
	}
	for (unsigned i = 0; i < BOOKS; i++) {
		book_close(&books[i]);
	}
}
