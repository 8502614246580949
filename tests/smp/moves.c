/* SPDX-License-Identifier: MIT */
/*
 * moves.c - memory that its owner moves from place to place while all CPUs read and write it at the old
 * place and at the new one; stacks that all of them let grow; limits that change meanwhile.
 *
 * A yard has places, and one mapping that is at one of them. `turn` is odd while its owner moves it. Who
 * finds the same even turn before and after an access has met the mapping where it was: what he stored
 * there is in it for good, and what he read is no older than what was stored for good before. In between an
 * access may be refused, and where a move left the source mapped it may meet nothing, or be lost with it.
 */
#include <vmem/commit.h>
#include <vmem/posix.h>

#include "stress.h"

#define YARDS UINT64_C(0x100000000)
#define YARD_SIZE (16 * LARGE)
#define PLACES 4u
#define YARD_PAGES 40u /* more than a move notes one by one (pmap.h) */
#define GROWTH 4u
#define DEPTH 128u /* pages of a stack */
#define RW ((unsigned)(VMEM_READ | VMEM_WRITE))

static struct yard {
	uint64_t va;
	unsigned place;
	uint32_t turn, stack_turn;
	struct book book, stack;   /* page d of a stack ends d pages below its top */
	uint64_t word[YARD_PAGES]; /* the owner's own */
} yards[SPACES][CPUS];
static struct vmem_posix process[SPACES];

/* The last place is not congruent with the others: tables cannot be moved there as a whole. */
static uint64_t place_of(const struct yard *yard, unsigned place)
{
	return yard->va + place * 2 * LARGE + (place == PLACES - 1 ? 5 * PAGE : 0);
}

static uint64_t stack_of(const struct yard *yard, unsigned page, unsigned writer)
{
	return yard->va + YARD_SIZE - LARGE - (page + 1) * PAGE + book_offset(page, writer) % PAGE;
}

static struct vmem_vmar *root_of(unsigned space)
{
	return vmem_aspace_root(world.space[space]);
}

static bool map_at(unsigned space, uint64_t va, uint64_t pages, uint32_t attributes)
{
	const struct vmem_map map = {.length = pages * PAGE,
	    .permission = RW,
	    .maximum = VMEM_RWX,
	    .attributes = attributes,
	    .place = VMEM_PLACE_FIXED,
	    .address = va};
	uint64_t start;
	return went(LIB(vmem_vmar_map(root_of(space), &map, &start)), "a yard");
}

static void unmap(unsigned space, uint64_t va, uint64_t pages)
{
	while (!went(LIB(vmem_vmar_unmap(root_of(space), va, pages * PAGE)), "unmapping in a yard")) {
		machine_turn(); /* it splits a region, for which there is no memory yet */
	}
}

static void map_stack(unsigned space, const struct yard *yard)
{
	while (!map_at(space, yard->va + YARD_SIZE - LARGE - 2 * PAGE, 2, VMEM_REGION_GROWS_DOWN)) {
		machine_turn();
	}
}

void moves_make(void)
{
	for (unsigned space = 0; space < SPACES; space++) {
		vmem_posix_init(&process[space], world.space[space], &vmem_posix_linux, 0);
		for (unsigned i = 0; i < CPUS; i++) {
			struct yard *yard = &yards[space][i];
			*yard = (struct yard){.va = YARDS + i * YARD_SIZE};
			book_open(&yard->book, 128 + space * CPUS + i, YARD_PAGES, YARD_PAGES);
			book_open(&yard->stack, 160 + space * CPUS + i, DEPTH, 0);
			MUST(map_at(space, yard->va, YARD_PAGES, 0), "no memory for a yard");
			map_stack(space, yard);
		}
	}
}

void moves_end(void)
{
	for (unsigned i = 0; i < SPACES * CPUS; i++) {
		book_close(&yards[i / CPUS][i % CPUS].book);
		book_close(&yards[i / CPUS][i % CPUS].stack);
	}
	MUST(vmem_commit_promised() == 0, "%llu bytes are promised, and no space is left",
	    (unsigned long long)vmem_commit_promised());
	vmem_commit_set(VMEM_OVERCOMMIT_GUESS, 0);
}

static void begin_turn(uint32_t *turn)
{
	__atomic_add_fetch(turn, 1, __ATOMIC_SEQ_CST);
}

/* An even turn that has not changed since `before`. */
static bool same_turn(const uint32_t *turn, uint32_t before)
{
	return !(before & 1) && __atomic_load_n(turn, __ATOMIC_SEQ_CST) == before;
}

/* Anybody, at the place where it is, or another. */
static void touch(struct yard *yard, unsigned space)
{
	const uint32_t turn = __atomic_load_n(&yard->turn, __ATOMIC_SEQ_CST);
	const unsigned there = __atomic_load_n(&yard->place, __ATOMIC_SEQ_CST);
	const unsigned place = chance(70) ? there : (unsigned)any(PLACES), page = (unsigned)any(YARD_PAGES);
	const bool writes = chance(40);
	const unsigned writer = writes ? self->number : (unsigned)any(world.cpus);
	const uint64_t va = place_of(yard, place) + book_offset(page, writer);
	const struct cell *cell = book_cell(&yard->book, page, writer);
	const uint32_t floor = __atomic_load_n(&cell->floor, __ATOMIC_RELAXED);
	uint64_t word = writes ? book_issue(&yard->book, page, writer) : 0;
	run_space(space);
	enum vmem_fault_result result =
	    writes ? store(world.space[space], va, word) : load(world.space[space], va, &word);
	const bool still = same_turn(&yard->turn, turn);
	MUST(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_NO_MEMORY || !still || place != there,
	    "page %u of a yard at its place %u: %s", page, place, vmem_fault_name(result));
	MUST(result == VMEM_FAULT_NO_REGION || result == VMEM_FAULT_NO_MEMORY || !still || place == there,
	    "page %u of a yard at place %u, where it is not: %s", page, place, vmem_fault_name(result));
	if (result != VMEM_FAULT_RESOLVED) {
		return;
	}
	if (writes && still) {
		book_written(&yard->book, page, writer, word);
	} else if (!writes) {
		const uint32_t issued = __atomic_load_n(&cell->issued, __ATOMIC_RELAXED);
		MUST(book_legal(&yard->book, page, writer, word, still ? floor : 0, issued),
		    "page %u of a yard, word of CPU %u: %#llx, not between versions %u and %u", page, writer,
		    (unsigned long long)word, still ? floor : 0, issued);
	}
}

/* The owner's own words are what it stored last, wherever they are by now. */
static void verify(struct yard *yard, unsigned space, uint64_t va, unsigned first, unsigned pages)
{
	run_space(space);
	for (unsigned i = first; i < first + pages; i++) {
		uint64_t word = 0;
		if (load(world.space[space], va + book_offset(i, self->number), &word) ==
		    VMEM_FAULT_RESOLVED) {
			MUST(word == yard->word[i], "page %u of its own yard holds %#llx, not %#llx", i,
			    (unsigned long long)word, (unsigned long long)yard->word[i]);
		}
	}
}

static void write_own(struct yard *yard, unsigned space)
{
	const unsigned page = (unsigned)any(YARD_PAGES);
	uint64_t word = book_issue(&yard->book, page, self->number);
	run_space(space);
	if (store(world.space[space], place_of(yard, yard->place) + book_offset(page, self->number), word) ==
	    VMEM_FAULT_RESOLVED) {
		yard->word[page] = word;
		book_written(&yard->book, page, self->number, word);
	}
}

static bool move(unsigned space, uint64_t from, uint64_t to, unsigned pages, unsigned flags)
{
	const struct vmem_map map = {.length = pages * PAGE, .place = VMEM_PLACE_FIXED, .address = to};
	uint64_t at;
	return went(LIB(vmem_vmar_move(root_of(space), from, pages * PAGE, &map, flags, &at)), "a move");
}

static void move_all(struct yard *yard, unsigned space)
{
	const unsigned place = (yard->place + 1 + (unsigned)any(PLACES - 1)) % PLACES;
	const uint64_t from = place_of(yard, yard->place), to = place_of(yard, place);
	const bool keeps = chance(25);
	begin_turn(&yard->turn);
	if (move(space, from, to, YARD_PAGES, keeps ? (unsigned)VMEM_MOVE_KEEP_SOURCE : 0)) {
		__atomic_store_n(&yard->place, place, __ATOMIC_SEQ_CST);
		if (keeps) {
			unmap(space, from, YARD_PAGES);
		}
	}
	begin_turn(&yard->turn);
	verify(yard, space, place_of(yard, yard->place), (unsigned)any(YARD_PAGES - 8), 8);
}

/* A part goes, and comes back. */
static void move_part(struct yard *yard, unsigned space)
{
	const unsigned place = (yard->place + 1 + (unsigned)any(PLACES - 1)) % PLACES;
	const unsigned first = (unsigned)any(YARD_PAGES - 12), pages = 1 + (unsigned)any(12);
	const uint64_t from = place_of(yard, yard->place), to = place_of(yard, place);
	begin_turn(&yard->turn);
	if (move(space, from + first * PAGE, to + first * PAGE, pages, 0)) {
		verify(yard, space, to, first, pages);
		while (!move(space, to + first * PAGE, from + first * PAGE, pages, 0)) {
			machine_turn();
		}
	}
	begin_turn(&yard->turn);
	verify(yard, space, from, first, pages);
}

static void extend(struct yard *yard, unsigned space)
{
	const uint64_t end = place_of(yard, yard->place) + YARD_PAGES * PAGE;
	uint64_t word = 0;
	if (!went(LIB(vmem_vmar_extend(root_of(space), end, GROWTH * PAGE)), "growth")) {
		return;
	}
	run_space(space);
	const uint64_t va = end + any(GROWTH) * PAGE;
	enum vmem_fault_result result = load(world.space[space], va, &word);
	MUST(result == VMEM_FAULT_NO_MEMORY || (result == VMEM_FAULT_RESOLVED && word == 0),
	    "what a yard grew by: %s, %#llx", vmem_fault_name(result), (unsigned long long)word);
	(void)store(world.space[space], va, 1);
	unmap(space, end, GROWTH);
}

/* Whoever comes first lets the stack grow; its owner takes it all away now and then. */
static void touch_stack(struct yard *yard, unsigned space)
{
	const uint32_t turn = __atomic_load_n(&yard->stack_turn, __ATOMIC_SEQ_CST);
	const unsigned page = (unsigned)any(DEPTH), writer = self->number;
	const struct cell *cell = book_cell(&yard->stack, page, writer);
	const uint32_t floor = __atomic_load_n(&cell->floor, __ATOMIC_RELAXED);
	const bool writes = chance(50);
	uint64_t word = writes ? book_issue(&yard->stack, page, writer) : 0;
	const uint64_t va = stack_of(yard, page, writer);
	run_space(space);
	enum vmem_fault_result result =
	    writes ? store(world.space[space], va, word) : load(world.space[space], va, &word);
	const bool still = same_turn(&yard->stack_turn, turn);
	MUST(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_NO_MEMORY || !still,
	    "%u pages below the top of a stack: %s", page, vmem_fault_name(result));
	if (result == VMEM_FAULT_RESOLVED && writes) {
		book_written(&yard->stack, page, writer, word);
	} else if (result == VMEM_FAULT_RESOLVED) {
		const uint32_t issued = __atomic_load_n(&cell->issued, __ATOMIC_RELAXED);
		MUST(book_legal(&yard->stack, page, writer, word, floor, issued),
		    "page %u of a stack, word of CPU %u: %#llx, not between versions %u and %u", page, writer,
		    (unsigned long long)word, floor, issued);
	}
}

static void reset_stack(struct yard *yard, unsigned space)
{
	uint32_t before[DEPTH * CPUS];
	begin_turn(&yard->stack_turn);
	book_wipe_begin(&yard->stack, 0, DEPTH, before);
	unmap(space, yard->va + YARD_SIZE - LARGE - DEPTH * PAGE, DEPTH);
	book_wipe_end(&yard->stack, 0, DEPTH, before);
	map_stack(space, yard);
	begin_turn(&yard->stack_turn);
}

/* To values that nobody passes: what is tested is who looks at them meanwhile. */
static void change_limit(unsigned space)
{
	static const enum vmem_posix_limit limits[] = {
	    VMEM_RLIMIT_AS, VMEM_RLIMIT_DATA, VMEM_RLIMIT_STACK, VMEM_RLIMIT_MEMLOCK};
	const enum vmem_posix_limit limit = limits[any(4)];
	uint64_t bytes = chance(50) ? UINT64_MAX : (UINT64_C(1) << 40) + any(1000);
	bytes = limit == VMEM_RLIMIT_STACK ? LARGE + any(LARGE) : bytes; /* stacks stay off the places */
	if (chance(60)) {
		LIB_VOID(vmem_posix_set_limit(&process[space], limit, bytes));
	} else {
		LIB_VOID(vmem_commit_set((enum vmem_overcommit)any(3), UINT64_C(1) << 40));
	}
}

/* Whose yard is looked at: one that is being moved just now, if there is one. */
static unsigned choose_owner(unsigned space)
{
	const unsigned from = (unsigned)any(world.cpus);
	for (unsigned i = 0; i < world.cpus && chance(80); i++) {
		const unsigned owner = (from + i) % world.cpus;
		const uint32_t turn = __atomic_load_n(&yards[space][owner].turn, __ATOMIC_RELAXED);
		if (owner != self->number && turn & 1) {
			return owner;
		}
	}
	return from;
}

void moves_step(void)
{
	const unsigned space = (unsigned)any(SPACES), owner = choose_owner(space);
	struct yard *mine = &yards[space][self->number];
	switch (any(24)) {
	case 0:
	case 1:
		move_all(mine, space);
		return;
	case 2:
		move_part(mine, space);
		return;
	case 3:
		extend(mine, space);
		return;
	case 4:
	case 5:
		write_own(mine, space);
		return;
	case 6:
		verify(mine, space, place_of(mine, mine->place), (unsigned)any(YARD_PAGES), 1);
		return;
	case 7:
		if (chance(30)) {
			reset_stack(mine, space);
		} else {
			change_limit(space);
		}
		return;
	case 8:
	case 9:
	case 10:
		touch_stack(&yards[space][owner], space);
		return;
	default:
		for (unsigned i = 0; owner != self->number && i < 4; i++) {
			touch(&yards[space][owner], space);
		}
	}
}
