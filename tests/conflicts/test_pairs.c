/* SPDX-License-Identifier: MIT */
/*
 * test_pairs.c - what two operations on two CPUs have in common: the lines that one writes and the
 * other touches.
 *
 * Each pair of {fault, map, unmap, protect, decommit, move, lock, fork} is done in places that are ever
 * further apart. Both are done a few times before, so that tables, nodes and caches are there; then each is
 * recorded (record.h), one after the other. expected.md says which lines they share and why; the worst of
 * it, what no two operations may share, is said here too.
 *
 * C1 Content of frames that one CPU alone was given is no matter: only what both touch counts, and it is
 * content only if both touch the same frame. C2 A recording in which a CPU's cache of frames, or a list of
 * small objects, was refilled is made again with the next page; how often that happens is a test of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frame.h"
#include "names.h"
#include "record.h"
#include "region.h"
#include "world.h"

#define AT UINT64_C(0x40000000)
#define FAR (UINT64_C(64) << 20) /* another line of the table above, another branch of every index */
#define WARM 3u
#define FAULTS_PER_REFILL 32u
#define ATOMICS_MAX 3u /* LOCKING.md, "What a fault takes" */
#define TRIES 8u
#define RAM (UINT64_C(24) << 20)

enum operation { FAULT, MAP, UNMAP, PROTECT, DECOMMIT, MOVE, LOCK, FORK, OPERATIONS };
enum relation {
	SAME_REGION,
	SAME_LEAF,
	OTHER_LEAF,
	OTHER_SPACE,
	RELATIVES,	  /* one goes where the other has just been */
	RELATIVES_APART,  /* each copies the path to a window that both share */
	RELATIVES_COPIED, /* in a window of which each has its own path */
	RELATIONS
};
static const char *const operation_names[] = {
    "fault", "map", "unmap", "protect", "decommit", "move", "lock", "fork"};
static const char *const relation_names[] = {
    "same region", "same leaf", "different leaf", "different space", "relatives", "relatives, another window",
    "relatives, path copied"};

struct place {
	struct vmem_aspace *aspace;
	uint64_t pages; /* where faults go: one page after the other, `stride` pages apart */
	uint64_t stride;
	uint64_t room; /* where mappings are made */
	bool inside;   /* that is in the middle of a region */
};
static struct place places[2];

/* Both spaces get the same object, one through a snapshot of it. */
static void make_relatives(enum relation relation)
{
	uint64_t pages = 2048;
	uint64_t apart = relation == RELATIVES_APART	? PAGES(1024)
			 : relation == RELATIVES_COPIED ? PAGES(32)
							: 0;
	struct vmem_object *parent = world_object(pages);
	struct vmem_aspace *a = places[0].aspace, *b = places[1].aspace;
	world_cpu(0);
	world_map_object(a, AT, parent, pages, RW, VMEM_MAP_SHARED);
	for (uint64_t i = 0; i < pages; i++) {
		world_put(a, AT + PAGES(i), i);
	}
	struct vmem_object *child = world_snapshot(parent, pages);
	world_map_object(b, AT, child, pages, RW, VMEM_MAP_SHARED);
	for (unsigned i = 0; i < 2; i++) {
		places[i].stride = relation == RELATIVES_COPIED ? 2 : 64;
		places[i].pages = AT + i * apart;
		places[i].room = AT + FAR;
	}
}

static void arrange(enum relation relation)
{
	const struct world_options options = {.ram = RAM};
	world_start(&options);
	struct vmem_aspace *a = world_space();
	struct vmem_aspace *b = relation >= OTHER_SPACE ? world_space() : a;
	a->accounts = b->accounts = true; /* as a process's */
	world_run(1, b);
	world_run(0, a);
	places[0] = (struct place){a, AT, 1, AT + PAGES(65), false};
	places[1] = places[0];
	places[1].aspace = b;
	if (relation >= RELATIVES) {
		make_relatives(relation);
		return;
	}
	if (relation == SAME_REGION) {
		world_map(a, AT, 256, RW);
		for (unsigned i = 0; i < 2; i++) {
			places[i].pages = AT + PAGES(64 * i);
			places[i].room = AT + PAGES(128 + 64 * i);
			places[i].inside = true;
		}
		return;
	}
	uint64_t apart = relation == SAME_LEAF ? PAGES(128) : relation == OTHER_LEAF ? FAR : 0;
	places[1].pages += apart;
	places[1].room += apart;
	world_map(a, AT, 64, RW);
	if (b != a || apart != 0) {
		world_cpu(1);
		world_map(b, places[1].pages, 64, RW);
	}
}

static uint64_t room_at(const struct place *place, unsigned turn)
{
	return place->room + PAGES(3 * turn);
}

static void map_page(const struct place *place, uint64_t va)
{
	const struct vmem_map map = {
	    .length = VMEM_PAGE_SIZE,
	    .permission = RW,
	    .maximum = RW,
	    .flags = VMEM_MAP_NO_MERGE,
	    .place = place->inside ? VMEM_PLACE_REPLACE : VMEM_PLACE_FIXED,
	    .address = va,
	};
	vmem_vaddr_t start;
	assert_int_equal(vmem_vmar_map(vmem_aspace_root(place->aspace), &map, &start), VMEM_OK);
}

/* What must be there for the operation to have something to do. */
static void prepare(enum operation operation, unsigned who, unsigned turn)
{
	const struct place *place = &places[who];
	world_cpu(who);
	if (operation != FAULT && operation != MAP && operation != FORK) {
		if (!place->inside) {
			map_page(place, room_at(place, turn));
		}
		world_put(place->aspace, room_at(place, turn), 1);
	}
}

/* To the page behind, which nothing else uses. */
static void move_page(const struct place *place, uint64_t va)
{
	const struct vmem_map to = {
	    .length = VMEM_PAGE_SIZE,
	    .place = place->inside ? VMEM_PLACE_REPLACE : VMEM_PLACE_FIXED,
	    .address = va + VMEM_PAGE_SIZE,
	};
	vmem_vaddr_t start;
	assert_int_equal(
	    vmem_vmar_move(vmem_aspace_root(place->aspace), va, VMEM_PAGE_SIZE, &to, 0, &start), VMEM_OK);
}

static struct {
	struct vmem_aspace *child;
} __attribute__((aligned(64))) forked[2];

static void act(enum operation operation, unsigned who, unsigned turn)
{
	const struct place *place = &places[who];
	struct vmem_vmar *vmar = vmem_aspace_root(place->aspace);
	uint64_t va = room_at(place, turn);
	switch (operation) {
	case FAULT:
		assert_int_equal(
		    vmem_fault(place->aspace, place->pages + PAGES(turn * place->stride), VMEM_WRITE),
		    VMEM_FAULT_RESOLVED);
		break;
	case MAP:
		map_page(place, va);
		break;
	case UNMAP:
		assert_int_equal(vmem_vmar_unmap(vmar, va, VMEM_PAGE_SIZE), VMEM_OK);
		break;
	case PROTECT:
		assert_int_equal(vmem_vmar_protect(vmar, va, VMEM_PAGE_SIZE, VMEM_READ), VMEM_OK);
		break;
	case DECOMMIT:
		assert_int_equal(vmem_vmar_decommit(vmar, va, VMEM_PAGE_SIZE), VMEM_OK);
		break;
	case MOVE:
		move_page(place, va);
		break;
	case LOCK:
		assert_int_equal(
		    vmem_vmar_set_attributes(vmar, va, VMEM_PAGE_SIZE, VMEM_REGION_LOCKED, 0), VMEM_OK);
		break;
	case FORK:
		assert_int_equal(vmem_aspace_fork(place->aspace, &forked[who].child), VMEM_OK);
		break;
	case OPERATIONS:
		break;
	}
}

/* What an operation leaves that the next one is not to find. */
static void finish(enum operation operation, unsigned who)
{
	if (operation == FORK) {
		vmem_aspace_destroy(forked[who].child);
	}
}

static struct record records[2];

static void record_one(enum operation operation, unsigned who, unsigned turn)
{
	world_cpu(who);
	record_begin(&records[who]);
	act(operation, who, turn);
	record_end();
	finish(operation, who);
}

/* Records both; C2. Answers how often a cache was refilled. */
static void record_pair(enum operation first, enum operation second)
{
	const enum operation what[2] = {first, second};
	for (unsigned turn = 0; turn < WARM; turn++) {
		for (unsigned who = 0; who < 2; who++) {
			prepare(what[who], who, turn);
			act(what[who], who, turn);
			finish(what[who], who);
		}
	}
	for (unsigned turn = WARM; turn < WARM + TRIES; turn++) {
		prepare(first, 0, turn);
		prepare(second, 1, turn);
		record_one(first, 0, turn);
		record_one(second, 1, turn);
		if (!names_refilled(&records[0]) && !names_refilled(&records[1])) {
			return;
		}
	}
	fail_msg("every recording refills a cache");
}

/* What they share, as a list of names in alphabetical order; "nothing". */
static void shared(char *text, size_t size, bool explains)
{
	const char *names[64];
	unsigned count = 0;
	for (unsigned i = 0; i < records[0].count; i++) {
		const struct record_line *a = &records[0].lines[i];
		const struct record_line *b = record_find(&records[1], a->line);
		if (b == NULL || (!a->written && !b->written)) {
			continue;
		}
		const char *name = names_of(a, b);
		unsigned at = 0;
		if (explains) {
			printf("#   %s: %s %s, %s %s\n", name, a->written ? "written by" : "read by",
			    symbol_name(a->written ? a->writer : a->reader),
			    b->written ? "written by" : "read by",
			    symbol_name(b->written ? b->writer : b->reader));
		}
		while (at < count && strcmp(names[at], name) < 0) {
			at++;
		}
		if (at < count && strcmp(names[at], name) == 0) {
			continue;
		}
		assert_true(count < sizeof(names) / sizeof(names[0]));
		memmove(&names[at + 1], &names[at], (count - at) * sizeof(names[0]));
		names[at] = name;
		count++;
	}
	text[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		size_t used = strlen(text);
		(void)snprintf(text + used, size - used, "%s%s", i != 0 ? ", " : "", names[i]);
	}
	if (count == 0) {
		(void)snprintf(text, size, "nothing");
	}
}

static const char *expected_file;

/* The line of expected.md that a row must be. */
static bool is_expected(const char *row)
{
	char line[1024];
	bool found = false;
	FILE *file = fopen(expected_file, "r");
	assert_non_null(file);
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		found = strcmp(line, row) == 0;
	}
	fclose(file);
	return found;
}

/* What two operations may have in common at most; NULL: expected.md alone says it. */
static const char *at_most(enum relation relation, enum operation a, enum operation b)
{
	bool faults = a == FAULT && b == FAULT, fault_and_map = a == FAULT && b == MAP;
	if (b == FORK) { /* makes a space, of which there is a list */
		return NULL;
	}
	if (relation == RELATIVES) { /* only what both fault on: of nodes and pages that both still share */
		return faults ? "references of a page, references of an index node" : "nothing";
	}
	bool nothing = relation > RELATIVES || relation == OTHER_SPACE ||
		       (relation == OTHER_LEAF && (faults || fault_and_map));
	return nothing ? "nothing" : NULL;
}

static void test_pairs(enum relation relation)
{
	unsigned wrong = 0;
	/* A fork is of a whole space: nothing in it lies apart. */
	const unsigned operations = relation < OTHER_SPACE ? FORK : OPERATIONS;
	for (unsigned a = 0; a < operations; a++) {
		for (unsigned b = a; b < operations; b++) {
			char text[700], row[900];
			arrange(relation);
			record_pair(a, b);
			shared(text, sizeof(text), false);
			(void)snprintf(row, sizeof(row), "| %s | %s | %s | %s |", operation_names[a],
			    operation_names[b], relation_names[relation], text);
			if (!is_expected(row)) {
				printf("# not as expected.md has it:\n%s\n", row);
				shared(text, sizeof(text), true);
				wrong++;
			}
			/* What was promised is not for a file to change. */
			const char *most = at_most(relation, a, b);
			if (most && strcmp(text, "nothing") != 0 && strcmp(text, most) != 0) {
				printf("# may share at most %s: %s\n", most, row);
				wrong++;
			}
		}
	}
	assert_int_equal(wrong, 0);
}

#define RELATION(name, relation)                                                                             \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		test_pairs(relation);                                                                        \
	}
RELATION(test_same_region, SAME_REGION)
RELATION(test_same_leaf, SAME_LEAF)
RELATION(test_other_leaf, OTHER_LEAF)
RELATION(test_other_space, OTHER_SPACE)
RELATION(test_relatives, RELATIVES)
RELATION(test_relatives_apart, RELATIVES_APART)
RELATION(test_relatives_copied, RELATIVES_COPIED)

/* Refills in so many write faults, `stride` pages apart: at most one in 32, of caches and lists. (C2) */
static void count_refills(
    struct vmem_aspace *a, const char *what, unsigned faults, uint64_t stride, unsigned fewest)
{
	unsigned frames = 0, objects = 0;
	for (unsigned i = 0; i < faults; i++) {
		struct vmem_frame_stats before, after;
		vmem_frame_stats(&before);
		record_begin(&records[0]);
		assert_int_equal(vmem_fault(a, AT + PAGES(i * stride), VMEM_WRITE), VMEM_FAULT_RESOLVED);
		record_end();
		vmem_frame_stats(&after);
		unsigned refilled = names_refilled(&records[0]);
		bool filled = after.cached > before.cached;
		/* Nothing else makes a fault write what all share. */
		assert_true(filled ? refilled & NAMES_FRAMES : refilled == 0 || refilled & NAMES_OBJECTS);
		frames += filled;
		objects += (refilled & NAMES_OBJECTS) != 0;
	}
	printf("figure: in %u faults that %s: %u refills of a cache of frames, %u of a list of objects\n",
	    faults, what, frames, objects);
	assert_true(frames != 0 && objects >= fewest); /* or the test does not see them */
	assert_true((frames + objects) * FAULTS_PER_REFILL <= faults);
}

static void test_refills(void **state)
{
	(void)state;
	const struct world_options options = {.ram = RAM};
	world_start(&options);
	struct vmem_aspace *a = world_space();
	world_run(0, a);
	world_map(a, AT, 640, RW);
	count_refills(a, "fill a page", 640, 1, 0);
}

/* Each copies a leaf and a page: one page is there in each window. */
static void test_refills_of_copies(void **state)
{
	(void)state;
	const uint64_t windows = 320, pages = windows * 64;
	const struct world_options options = {.ram = RAM};
	world_start(&options);
	struct vmem_aspace *a = world_space();
	world_run(0, a);
	struct vmem_object *object = world_object(pages);
	world_map_object(a, AT, object, pages, RW, VMEM_MAP_SHARED);
	for (uint64_t i = 0; i < windows; i++) {
		world_put(a, AT + PAGES(i * 64), i);
	}
	struct vmem_object *child = world_snapshot(object, pages);
	count_refills(a, "copy a path and a page", (unsigned)windows, 64, 1);
	vmem_object_release(child);
}

/* Locked instructions of a fault; stated, and not to grow unseen. */
static void test_atomics(void **state)
{
	(void)state;
	for (unsigned relation = OTHER_LEAF; relation <= OTHER_SPACE; relation++) {
		arrange(relation);
		record_pair(FAULT, FAULT);
		printf("figure: a fault that fills a page (%s): %u locks, %u atomic updates, %u lines\n",
		    relation_names[relation], records[0].locks, records[0].updates, records[0].count);
		assert_true(records[0].updates <= ATOMICS_MAX && records[0].locks <= ATOMICS_MAX);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_region),
	    cmocka_unit_test(test_same_leaf),
	    cmocka_unit_test(test_other_leaf),
	    cmocka_unit_test(test_other_space),
	    cmocka_unit_test(test_relatives),
	    cmocka_unit_test(test_relatives_apart),
	    cmocka_unit_test(test_relatives_copied),
	    cmocka_unit_test(test_refills),
	    cmocka_unit_test(test_refills_of_copies),
	    cmocka_unit_test(test_atomics),
	};
	expected_file = argc > 1 ? argv[1] : "tests/conflicts/expected.md";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
