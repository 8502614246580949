/* SPDX-License-Identifier: MIT */
/*
 * areas.c - parts of the shared spaces that one CPU lays out, and all the others read meanwhile.
 *
 * The owner knows of every page what is mapped and what is in it: it gets that and nothing else. The others,
 * whose TLBs come to hold what the owner then takes away, see words that may be there, or faults.
 */
#include <string.h>

#include "stress.h"

#define AREA_START UINT64_C(0x80000000)
#define SMALL_PAGES 48u
#define BIG_PAGES 1024u /* two large leaves */
#define UNUSED (64 * 8) /* bytes behind a written word is one that nobody writes */

struct area_page {
	bool mapped, resident; /* resident: the word is what was written, else zero */
	bool guarded;
	uint8_t permission;
	uint64_t word;
};
static struct area {
	struct vmem_vmar *vmar;
	uint64_t va;
	unsigned pages;
	unsigned hot; /* a page that its owner is busy with: where the others look most */
	struct book book;
	struct area_page page[BIG_PAGES];
} areas[SPACES][CPUS];

static struct vmem_vmar *make_vmar(unsigned space, uint64_t va, uint64_t length)
{
	const struct vmem_map map = {
	    .length = length, .permission = VMEM_RWX, .place = VMEM_PLACE_FIXED, .address = va};
	struct vmem_vmar *vmar;
	MUST(LIB(vmem_vmar_allocate(vmem_aspace_root(world.space[space]), &map, &vmar)) == VMEM_OK,
	    "a child VMAR at %#llx", (unsigned long long)va);
	return vmar;
}

void areas_make(void)
{
	for (unsigned i = 0; i < SPACES * CPUS; i++) {
		struct area *area = &areas[i / CPUS][i % CPUS];
		area->pages = i / CPUS == 0 ? SMALL_PAGES : BIG_PAGES;
		area->va = AREA_START + (i % CPUS) * 4 * LARGE;
		area->vmar = make_vmar(i / CPUS, area->va, area->pages * PAGE);
		memset(area->page, 0, sizeof(area->page));
		book_open(&area->book, 64 + i, area->pages, 0);
	}
}

void areas_end(void)
{
	for (unsigned i = 0; i < SPACES * CPUS; i++) {
		book_close(&areas[i / CPUS][i % CPUS].book);
	}
}

/* The others. */

static void read_foreign(struct area *area, unsigned owner, unsigned space)
{
	unsigned hot = __atomic_load_n(&area->hot, __ATOMIC_RELAXED) + (unsigned)any(4);
	unsigned page = chance(75) ? hot % area->pages : (unsigned)any(area->pages);
	const struct cell *cell = book_cell(&area->book, page, owner);
	uint32_t floor = __atomic_load_n(&cell->floor, __ATOMIC_RELAXED);
	uint64_t word;
	run_space(space);
	if (load(world.space[space], area->va + book_offset(page, owner), &word) == VMEM_FAULT_RESOLVED) {
		uint32_t issued = __atomic_load_n(&cell->issued, __ATOMIC_RELAXED);
		MUST(book_legal(&area->book, page, owner, word, floor, issued),
		    "area of CPU %u in space %u, page %u: %#llx, not between versions %u and %u", owner,
		    space, page, (unsigned long long)word, floor, issued);
	}
}

/* The owner. */

static enum vmem_fault_result expected(const struct area_page *page, unsigned access)
{
	if (!page->mapped) {
		return VMEM_FAULT_NO_REGION;
	}
	return (page->permission & access) != access ? VMEM_FAULT_PERMISSION
	       : page->guarded			     ? VMEM_FAULT_GUARD
						     : VMEM_FAULT_RESOLVED;
}

static void check_answer(const struct area *area, unsigned number, enum vmem_fault_result result,
    enum vmem_fault_result right, const char *what)
{
	MUST(result == right || (result == VMEM_FAULT_NO_MEMORY && right == VMEM_FAULT_RESOLVED),
	    "%s page %u of its area at %#llx: %s, not %s", what, number, (unsigned long long)area->va,
	    vmem_fault_name(result), vmem_fault_name(right));
}

static void read_back(struct area *area, unsigned space, unsigned number)
{
	struct area_page *page = &area->page[number];
	uint64_t va = area->va + book_offset(number, self->number), word = ~UINT64_C(0), other = 0;
	enum vmem_fault_result right = expected(page, VMEM_READ), result;
	if (chance(15)) {
		size_t got = LIB(vmem_copy_from_user(world.space[space], &word, va, 8));
		MUST(got == 8 ? right == VMEM_FAULT_RESOLVED : right != VMEM_FAULT_RESOLVED || got == 0,
		    "copy from page %u: %zu bytes", number, got);
		if (got != 8) {
			return;
		}
	} else {
		run_space(space);
		result = load(world.space[space], va, &word);
		check_answer(area, number, result, right, "reading");
		if (result != VMEM_FAULT_RESOLVED ||
		    load(world.space[space], va + UNUSED, &other) != VMEM_FAULT_RESOLVED) {
			return;
		}
	}
	MUST(word == (page->resident ? page->word : 0) && other == 0,
	    "page %u of its area at %#llx in space %u holds %#llx and %#llx, not %#llx", number,
	    (unsigned long long)area->va, space, (unsigned long long)word, (unsigned long long)other,
	    (unsigned long long)(page->resident ? page->word : 0));
}

static void write_new(struct area *area, unsigned space, unsigned number)
{
	struct area_page *page = &area->page[number];
	uint64_t va = area->va + book_offset(number, self->number);
	uint64_t word = book_issue(&area->book, number, self->number);
	enum vmem_fault_result right = expected(page, VMEM_WRITE);
	bool done;
	if (chance(15)) {
		done = LIB(vmem_copy_to_user(world.space[space], va, &word, 8)) == 8;
		MUST(!done || right == VMEM_FAULT_RESOLVED, "copy to page %u went", number);
	} else {
		run_space(space);
		enum vmem_fault_result result = store(world.space[space], va, word);
		check_answer(area, number, result, right, "writing");
		done = result == VMEM_FAULT_RESOLVED;
	}
	if (done) {
		page->word = word;
		page->resident = true;
		book_written(&area->book, number, self->number, word);
	}
}

/* Whether all (1), none (0) or some (-1) of the pages are mapped. */
static int mapped(const struct area *area, unsigned first, unsigned pages)
{
	unsigned count = 0;
	for (unsigned i = first; i < first + pages; i++) {
		count += area->page[i].mapped;
	}
	return count == pages ? 1 : count == 0 ? 0 : -1;
}

static void note(struct area *area, unsigned first, unsigned pages, bool is_mapped, unsigned permission)
{
	for (unsigned i = first; i < first + pages; i++) {
		area->page[i] = (struct area_page){.mapped = is_mapped, .permission = (uint8_t)permission};
	}
}

static vmem_status_t map_pages(
    struct area *area, unsigned first, unsigned pages, unsigned permission, enum vmem_place place)
{
	struct vmem_map map = {.length = pages * PAGE,
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .flags = (chance(15) ? (unsigned)VMEM_MAP_POPULATE : 0) |
		     (chance(15) ? (unsigned)VMEM_MAP_NO_MERGE : 0),
	    .place = place,
	    .address = area->va + first * PAGE};
	uint64_t start;
	return LIB(vmem_vmar_map(area->vmar, &map, &start));
}

static void map_some(struct area *area, unsigned first, unsigned pages)
{
	unsigned permission = chance(85) ? VMEM_READ | VMEM_WRITE : VMEM_READ;
	bool replace = chance(30);
	int before = mapped(area, first, pages);
	uint32_t done[BIG_PAGES * CPUS];
	book_wipe_begin(&area->book, first, pages, done);
	vmem_status_t status =
	    map_pages(area, first, pages, permission, replace ? VMEM_PLACE_REPLACE : VMEM_PLACE_FIXED);
	if (!replace && before != 0) {
		MUST(status == VMEM_ERR_EXISTS || status == VMEM_ERR_NO_MEMORY, "mapping over itself: %s",
		    vmem_status_name(status));
	} else if (went(status, "map")) {
		book_wipe_end(&area->book, first, pages, done);
		note(area, first, pages, true, permission);
	}
}

static void take_away(struct area *area, unsigned first, unsigned pages)
{
	uint32_t done[BIG_PAGES * CPUS];
	uint64_t va = area->va + first * PAGE;
	bool holes = mapped(area, first, pages) != 1;
	bool unmaps = chance(60);
	book_wipe_begin(&area->book, first, pages, done);
	vmem_status_t status = unmaps ? LIB(vmem_vmar_unmap(area->vmar, va, pages * PAGE))
				      : LIB(vmem_vmar_decommit(area->vmar, va, pages * PAGE));
	if (!unmaps && holes) {
		MUST(status == VMEM_ERR_NOT_FOUND, "decommit with a hole: %s", vmem_status_name(status));
		return;
	}
	if (!went(status, unmaps ? "unmap" : "decommit")) {
		return;
	}
	book_wipe_end(&area->book, first, pages, done);
	if (unmaps) {
		note(area, first, pages, false, 0);
		return;
	}
	for (unsigned i = first; i < first + pages; i++) {
		area->page[i].resident = false;
	}
}

static void protect_some(struct area *area, unsigned first, unsigned pages)
{
	static const uint8_t permissions[] = {VMEM_READ | VMEM_WRITE, VMEM_READ | VMEM_WRITE, VMEM_READ, 0};
	unsigned permission = permissions[any(4)];
	bool holes = mapped(area, first, pages) != 1;
	vmem_status_t status =
	    LIB(vmem_vmar_protect(area->vmar, area->va + first * PAGE, pages * PAGE, permission));
	if (holes) {
		MUST(status == VMEM_ERR_NOT_FOUND || status == VMEM_ERR_NO_MEMORY, "protect with a hole: %s",
		    vmem_status_name(status));
	} else if (went(status, "protect")) {
		for (unsigned i = first; i < first + pages; i++) {
			area->page[i].permission = (uint8_t)permission;
		}
	}
}

static void guard_some(struct area *area, unsigned first, unsigned pages)
{
	uint32_t done[BIG_PAGES * CPUS];
	const bool guards = chance(60), holes = mapped(area, first, pages) != 1;
	const uint64_t va = area->va + first * PAGE;
	if (guards) {
		book_wipe_begin(&area->book, first, pages, done);
	}
	vmem_status_t status = guards ? LIB(vmem_vmar_guard(area->vmar, va, pages * PAGE))
				      : LIB(vmem_vmar_unguard(area->vmar, va, pages * PAGE));
	if (holes) {
		MUST(status == VMEM_ERR_NOT_FOUND, "guards over a hole: %s", vmem_status_name(status));
		return;
	}
	if (!went(status, guards ? "guard" : "unguard")) {
		return;
	}
	if (guards) {
		book_wipe_end(&area->book, first, pages, done);
	}
	for (unsigned i = first; i < first + pages; i++) {
		area->page[i].resident &= !guards;
		area->page[i].guarded = guards;
	}
}

static void advise_some(struct area *area, unsigned first, unsigned pages)
{
	static const uint32_t bits[] = {VMEM_REGION_NO_DUMP, VMEM_REGION_LOCKED, VMEM_REGION_RANDOM};
	const uint64_t va = area->va + first * PAGE, length = pages * PAGE;
	const bool holes = mapped(area, first, pages) != 1, sets = chance(50);
	const uint32_t bit = bits[any(3)];
	uint8_t there[BIG_PAGES];
	vmem_status_t status =
	    LIB(vmem_vmar_set_attributes(area->vmar, va, length, sets ? bit : 0, sets ? 0 : bit));
	if (holes) {
		MUST(status == VMEM_ERR_NOT_FOUND || status == VMEM_ERR_NO_MEMORY,
		    "attributes with a hole: %s", vmem_status_name(status));
		return;
	}
	(void)went(status, "attributes");
	MUST(LIB(vmem_vmar_resident(area->vmar, va, length, there)) == VMEM_OK, "which pages are there");
	for (unsigned i = 0; i < pages; i++) {
		const struct area_page *page = &area->page[first + i];
		MUST(page->resident ? there[i] == 1 : !page->guarded || there[i] == 0,
		    "page %u of its area at %#llx: %u, but resident %u, guarded %u", first + i,
		    (unsigned long long)area->va, there[i], page->resident, page->guarded);
	}
}

/* The whole VMAR goes, and another takes its place. */
static void renew(struct area *area, unsigned space)
{
	static uint32_t none[CPUS][BIG_PAGES * CPUS];
	uint32_t *done = none[self->number];
	const struct vmem_map map = {.length = area->pages * PAGE,
	    .permission = VMEM_RWX,
	    .place = VMEM_PLACE_FIXED,
	    .address = area->va};
	book_wipe_begin(&area->book, 0, area->pages, done);
	MUST(LIB(vmem_vmar_destroy(area->vmar)) == VMEM_OK, "destroying a VMAR");
	book_wipe_end(&area->book, 0, area->pages, done);
	note(area, 0, area->pages, false, 0);
	while (!went(LIB(vmem_vmar_allocate(vmem_aspace_root(world.space[space]), &map, &area->vmar)),
	    "a child VMAR")) {
		machine_turn();
	}
}

/* A few pages come and go while the others are after them. */
static void flicker(struct area *area, unsigned space, unsigned first)
{
	unsigned pages = area->pages - first < 4 ? area->pages - first : 4;
	for (unsigned turn = 0; turn < 8; turn++) {
		map_some(area, first, pages);
		for (unsigned i = 0; i < pages; i++) {
			write_new(area, space, first + i);
		}
		machine_turn();
		if (chance(30)) {
			protect_some(area, first, pages);
		}
		take_away(area, first, pages);
	}
}

void areas_step(void)
{
	unsigned space = (unsigned)any(SPACES), owner = self->number;
	struct area *area = &areas[space][owner];
	unsigned first = (unsigned)any(area->pages);
	unsigned most = chance(80) && area->pages - first > 12 ? 12 : area->pages - first;
	unsigned pages = 1 + (unsigned)any(most);
	if (space == 1 && chance(20)) { /* a window of a large leaf */
		first &= ~511u;
		pages = 512;
	}
	__atomic_store_n(&area->hot, first, __ATOMIC_RELAXED);
	switch (any(15)) {
	case 14:
		guard_some(area, first, pages);
		return;
	case 13:
		advise_some(area, first, pages);
		return;
	case 12:
		flicker(area, space, first);
		return;
	case 0:
	case 1:
		map_some(area, first, pages);
		return;
	case 2:
		take_away(area, first, pages);
		return;
	case 3:
		protect_some(area, first, pages);
		return;
	case 4:
		if (chance(5)) {
			renew(area, space);
		}
		return;
	case 5:
	case 6:
	case 7:
		for (unsigned i = 0; i < 6; i++) {
			unsigned other = (owner + 1 + (unsigned)any(world.cpus - 1)) % world.cpus;
			read_foreign(&areas[space][other], other, space);
		}
		return;
	default:
		for (unsigned i = 0; i < 6; i++) {
			unsigned number = (first + i) % area->pages;
			if (chance(60)) {
				write_new(area, space, number);
			} else {
				read_back(area, space, number);
			}
		}
	}
}
