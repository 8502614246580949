/* SPDX-License-Identifier: MIT */
/*
 * snapshots.c - snapshots of objects that other CPUs write to at that very moment.
 *
 * A word of a snapshot is one that was in the object at some moment between the call and its return; and once
 * it was seen it never changes, whatever goes on in the object, but by a store to the snapshot itself. A
 * snapshot of the snapshot holds the same again.
 */
#include <stdlib.h>
#include <string.h>

#include "stress.h"

#define PAGES 64u
#define KEPT 3u /* snapshots of a CPU */
#define VIEW_START UINT64_C(0xc0000000)
#define UNSEEN UINT64_MAX

static struct kept {
	struct vmem_object *object; /* NULL: none */
	const struct book *book;
	unsigned mapped; /* the space that shows it, SPACES: none */
	bool writes_through;
	uint32_t low[PAGES * CPUS], high[PAGES * CPUS];
	uint64_t seen[PAGES * CPUS];
} all[CPUS][KEPT];

static uint64_t view_of(const struct kept *kept)
{
	return VIEW_START + (uint64_t)(kept - &all[0][0]) * LARGE;
}

static void take(struct kept *kept)
{
	struct book *book;
	struct vmem_object *object = windows_object((unsigned)any(2), &book);
	for (unsigned i = 0; i < PAGES * CPUS; i++) {
		kept->low[i] = __atomic_load_n(&book->cells[i].floor, __ATOMIC_RELAXED);
		kept->seen[i] = UNSEEN;
	}
	if (!went(LIB(vmem_object_snapshot(object, 0, PAGES * PAGE, &kept->object)), "snapshot")) {
		kept->object = NULL;
		return;
	}
	for (unsigned i = 0; i < PAGES * CPUS; i++) {
		kept->high[i] = __atomic_load_n(&book->cells[i].issued, __ATOMIC_RELAXED);
	}
	kept->book = book;
	kept->mapped = SPACES;
}

static void drop(struct kept *kept)
{
	if (kept->mapped != SPACES) {
		struct vmem_vmar *root = vmem_aspace_root(world.space[kept->mapped]);
		MUST(LIB(vmem_vmar_unmap(root, view_of(kept), PAGES * PAGE)) == VMEM_OK,
		    "unmapping a snapshot");
	}
	LIB_VOID(vmem_object_release(kept->object));
	kept->object = NULL;
}

static void show(struct kept *kept)
{
	struct vmem_map map = {.length = PAGES * PAGE,
	    .permission = VMEM_READ | VMEM_WRITE,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_SHARED,
	    .place = VMEM_PLACE_FIXED,
	    .address = view_of(kept),
	    .object = kept->object};
	unsigned space = (unsigned)any(SPACES);
	uint64_t start;
	if (kept->mapped == SPACES &&
	    went(LIB(vmem_vmar_map(vmem_aspace_root(world.space[space]), &map, &start)),
		"mapping a snapshot")) {
		kept->mapped = space;
	}
}

static bool read_word(const struct kept *kept, uint64_t offset, uint64_t *word)
{
	if (kept->mapped == SPACES || chance(30)) {
		size_t got;
		return went(LIB(vmem_object_read(kept->object, offset, word, 8, &got)), "reading a snapshot");
	}
	run_space(kept->mapped);
	enum vmem_fault_result result = load(world.space[kept->mapped], view_of(kept) + offset, word);
	MUST(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_NO_MEMORY, "reading a snapshot: %s",
	    vmem_fault_name(result));
	return result == VMEM_FAULT_RESOLVED;
}

static void look(struct kept *kept)
{
	unsigned page = (unsigned)any(PAGES), writer = (unsigned)any(world.cpus);
	unsigned i = page * CPUS + writer;
	uint64_t word;
	if (!read_word(kept, book_offset(page, writer), &word)) {
		return;
	}
	if (kept->seen[i] == UNSEEN) {
		MUST(book_legal(kept->book, page, writer, word, kept->low[i], kept->high[i]),
		    "a snapshot's page %u, word of CPU %u: %#llx, not between versions %u and %u", page,
		    writer, (unsigned long long)word, kept->low[i], kept->high[i]);
		kept->seen[i] = word;
	}
	MUST(kept->seen[i] == word, "a snapshot's page %u, word of CPU %u was %#llx and is %#llx", page,
	    writer, (unsigned long long)kept->seen[i], (unsigned long long)word);
}

/* A store to the snapshot: nobody else sees it. */
static void scribble(struct kept *kept)
{
	unsigned page = (unsigned)any(PAGES), writer = (unsigned)any(world.cpus);
	uint64_t word = UINT64_C(0xabc) << 52 | any(UINT64_C(1) << 52);
	uint64_t offset = book_offset(page, writer);
	bool done;
	if (kept->mapped == SPACES || chance(30)) {
		size_t got;
		done =
		    went(LIB(vmem_object_write(kept->object, offset, &word, 8, &got)), "writing a snapshot");
	} else {
		run_space(kept->mapped);
		done = store(world.space[kept->mapped], view_of(kept) + offset, word) == VMEM_FAULT_RESOLVED;
	}
	if (done) {
		kept->seen[page * CPUS + writer] = word;
	}
}

/* A snapshot of a snapshot: no one else writes to that, so it holds exactly the same. */
static void again(const struct kept *from, struct kept *to)
{
	if (went(LIB(vmem_object_snapshot(from->object, 0, PAGES * PAGE, &to->object)), "snapshot")) {
		struct vmem_object *object = to->object;
		*to = *from;
		to->object = object;
		to->mapped = SPACES;
	} else {
		to->object = NULL;
	}
}

void snapshots_step(void)
{
	struct kept *kept = &all[self->number][any(KEPT)];
	struct kept *other = &all[self->number][any(KEPT)];
	if (kept->object == NULL) {
		take(kept);
		return;
	}
	switch (any(10)) {
	case 0:
		drop(kept);
		return;
	case 1:
		show(kept);
		return;
	case 2:
		if (other->object == NULL) {
			again(kept, other);
		}
		return;
	case 3:
	case 4:
		scribble(kept);
		return;
	default:
		for (unsigned i = 0; i < 6; i++) {
			look(kept);
		}
	}
}

void snapshots_end(void)
{
	for (unsigned i = 0; i < CPUS * KEPT; i++) {
		struct kept *kept = &all[i / KEPT][i % KEPT];
		if (kept->object != NULL) {
			vmem_object_release(kept->object); /* mappings go with their spaces */
			kept->object = NULL;
		}
	}
}
