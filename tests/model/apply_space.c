/* SPDX-License-Identifier: MIT */
/*
 * apply_space.c - layout: map, unmap, protect, decommit. At most one thing is wrong with an operation, so
 * that the order of the library's checks does not matter.
 */
#include "model.h"

#include <string.h>

#include "region.h"

static const uint8_t permissions[] = {0, VMEM_READ, VMEM_READ | VMEM_WRITE, VMEM_READ | VMEM_WRITE,
    VMEM_READ | VMEM_WRITE, VMEM_READ | VMEM_EXEC, VMEM_RWX};

static uint8_t permission_pick(uint32_t r)
{
	return permissions[r % sizeof(permissions)];
}

static bool is_wx(unsigned space, unsigned permission)
{
	return space == 1 && (permission & VMEM_WRITE) && (permission & VMEM_EXEC);
}

/* True if so many more regions may be too many. */
static bool near_limit(unsigned space, unsigned more)
{
	return world.space[space]->regions + more > MAX_REGIONS;
}

static bool is_free(unsigned space, unsigned first, unsigned pages)
{
	for (unsigned p = first; p < first + pages; p++) {
		if (world.page[space][p].mapped) {
			return false;
		}
	}
	return true;
}

/* The lowest or highest free window of the near pages; NEAR_PAGES if there is none. */
static unsigned find_fit(unsigned space, unsigned pages, bool highest)
{
	unsigned run = 0, found = NEAR_PAGES;
	for (unsigned p = 0; p < NEAR_PAGES; p++) {
		run = world.page[space][p].mapped ? 0 : run + 1;
		if (run >= pages) {
			found = p + 1 - pages;
			if (!highest) {
				return found;
			}
		}
	}
	return found;
}

static void forget(unsigned space, struct window w)
{
	for (unsigned p = w.first; p < w.first + w.pages; p++) {
		world.page[space][p] = (struct page){.object = -1};
	}
}

static unsigned count_mapped(unsigned space, struct window w)
{
	unsigned count = 0;
	for (unsigned p = w.first; p < w.first + w.pages; p++) {
		count += world.page[space][p].mapped;
	}
	return count;
}

/* What to map, and where the library must put it (or not). */
struct wanted {
	struct vmem_map map;
	struct window w;
	struct object *object;
	unsigned offset; /* pages */
	vmem_status_t status;
};

static void want_place(const struct op *op, unsigned space, struct wanted *want)
{
	struct vmem_map *map = &want->map;
	struct window *w = &want->w;
	map->address = page_va(w->first);
	map->place = (enum vmem_place)(op->r[4] % 4);
	if (map->place == VMEM_PLACE_FIXED && !is_free(space, w->first, w->pages)) {
		want->status = VMEM_ERR_EXISTS;
	}
	if (map->place == VMEM_PLACE_ANY || map->place == VMEM_PLACE_HINT) {
		map->minimum = NEAR;
		map->limit = NEAR + NEAR_PAGES * PAGE;
		map->flags |= op->r[4] >> 8 & 1 ? VMEM_MAP_FROM_TOP : 0;
		map->flags |= (op->r[4] >> 9) % 4 == 0 ? VMEM_MAP_RANDOM : 0;
		if (map->place == VMEM_PLACE_HINT && w->first < NEAR_PAGES &&
		    is_free(space, w->first, w->pages)) {
			return;
		}
		w->first = find_fit(space, w->pages, map->flags & VMEM_MAP_FROM_TOP);
		want->status = w->first == NEAR_PAGES ? VMEM_ERR_NO_SPACE : VMEM_OK;
	}
}

static void want_content(const struct op *op, struct wanted *want)
{
	struct vmem_map *map = &want->map;
	want->object = op->r[5] % 2 ? object_pick(op->r[5] >> 1) : NULL;
	map->permission = permission_pick(op->r[6]);
	map->maximum = (op->r[6] >> 8) % 4 ? VMEM_RWX : map->permission | VMEM_READ;
	if (want->object) {
		want->offset = (op->r[6] >> 12) % (want->object->pages + 4);
		map->object = want->object->real;
		map->offset = want->offset * PAGE;
		map->flags |= op->r[6] >> 20 & 1 ? VMEM_MAP_SHARED : 0;
	} else if ((op->r[6] >> 12) % 16 == 0) {
		map->flags |= VMEM_MAP_GUARD;
		map->permission = map->maximum = 0;
	}
	map->flags |= (op->r[6] >> 21) % 4 == 0 ? VMEM_MAP_NO_MERGE : 0;
	map->flags |= (op->r[6] >> 23) % 16 == 0 ? VMEM_MAP_POPULATE : 0;
}

/* One thing wrong, now and then. */
static void spoil(const struct op *op, struct wanted *want)
{
	switch (op->r[7] >> 8 & 127) {
	case 0:
		want->map.length += 1;
		want->status = VMEM_ERR_INVALID;
		break;
	case 1:
		want->map.length = 0;
		want->status = VMEM_ERR_INVALID;
		break;
	case 2:
		want->map.place = VMEM_PLACE_FIXED;
		want->map.address = NEAR - PAGE;
		want->map.flags &= ~(unsigned)(VMEM_MAP_FROM_TOP | VMEM_MAP_RANDOM);
		want->status = VMEM_ERR_RANGE;
		break;
	case 3:
		want->map.permission = VMEM_RWX + 1;
		want->status = VMEM_ERR_INVALID;
		break;
	default:
		break;
	}
}

/* Writable memory is faulted in by writes: private mappings of an object take their copies now. */
static void populate(unsigned space, struct window w)
{
	for (unsigned p = w.first; p < w.first + w.pages; p++) {
		struct page *page = &world.page[space][p];
		if (page_expect(page, VMEM_WRITE) != VMEM_FAULT_RESOLVED) {
			return;
		}
		page_store(page, page_value(page));
	}
}

static bool map(const struct op *op, unsigned space)
{
	struct wanted want = {.w = window_pick(op, op->r[3] >> 16 & 1 ? 3 : 24)};
	want.map.length = want.w.pages * PAGE;
	want_content(op, &want);
	if (is_wx(space, want.map.permission)) {
		want.status = VMEM_ERR_WX;
		want.map.address = page_va(want.w.first);
	} else {
		want_place(op, space, &want);
		spoil(op, &want);
	}
	vmem_vaddr_t start = 0;
	bool full = near_limit(space, 2);
	vmem_status_t status = vmem_vmar_map(vmem_aspace_root(world.space[space]), &want.map, &start);
	if (status == VMEM_ERR_LIMIT && full && want.status == VMEM_OK) {
		want.status = status;
	}
	answered(op, status, want.status);
	if (status != VMEM_OK) {
		return false;
	}
	if (want.map.flags & VMEM_MAP_RANDOM) {
		EXPECT(start >= NEAR && start < NEAR + NEAR_PAGES * PAGE);
		if (want.map.place == VMEM_PLACE_ANY || start != want.map.address) {
			want.w.first = (unsigned)((start - NEAR) / PAGE);
			EXPECT(want.w.first + want.w.pages <= NEAR_PAGES &&
			       is_free(space, want.w.first, want.w.pages));
		}
	}
	EXPECT(start == page_va(want.w.first));
	forget(space, want.w);
	for (unsigned i = 0; i < want.w.pages; i++) {
		world.page[space][want.w.first + i] = (struct page){
		    .mapped = true,
		    .guard = want.map.flags & VMEM_MAP_GUARD,
		    .shared = want.map.flags & VMEM_MAP_SHARED,
		    .permission = (uint8_t)want.map.permission,
		    .maximum = (uint8_t)want.map.maximum,
		    .object = want.object ? (int8_t)(want.object - world.object) : -1,
		    .offset = want.offset + i,
		};
	}
	if (want.map.flags & VMEM_MAP_POPULATE) {
		populate(space, want.w);
	}
	object_drop_unused();
	return true;
}

/* A range of unmap, protect or decommit, now and then a wrong one. */
static vmem_status_t range_pick(const struct op *op, struct window w, vmem_vaddr_t *start, uint64_t *length)
{
	*start = page_va(w.first);
	*length = w.pages * PAGE;
	switch (op->r[7] >> 8 & 127) {
	case 0:
		*start += 8;
		return VMEM_ERR_INVALID;
	case 1:
		*start = NEAR + SPACE_LENGTH;
		return VMEM_ERR_RANGE;
	case 2:
		*length = 0;
		return VMEM_ERR_INVALID;
	default:
		return VMEM_OK;
	}
}

static bool unmap(const struct op *op, unsigned space)
{
	struct window w = window_pick(op, op->r[3] >> 16 & 1 ? 2 : 16);
	vmem_vaddr_t start;
	uint64_t length;
	vmem_status_t expected = range_pick(op, w, &start, &length);
	bool full = near_limit(space, 1);
	vmem_status_t status = vmem_vmar_unmap(vmem_aspace_root(world.space[space]), start, length);
	answered(
	    op, status, status == VMEM_ERR_LIMIT && full && expected == VMEM_OK ? VMEM_ERR_LIMIT : expected);
	if (status != VMEM_OK) {
		return false;
	}
	bool changed = count_mapped(space, w) > 0;
	forget(space, w);
	object_drop_unused();
	return changed;
}

static vmem_status_t expect_protect(unsigned space, struct window w, unsigned permission)
{
	for (unsigned p = w.first; p < w.first + w.pages; p++) {
		const struct page *page = &world.page[space][p];
		if (!page->mapped) {
			return VMEM_ERR_NOT_FOUND;
		}
		if (is_wx(space, permission)) {
			return VMEM_ERR_WX;
		}
		if (permission & ~(unsigned)page->maximum) {
			return VMEM_ERR_DENIED;
		}
	}
	return VMEM_OK;
}

/* Half of the windows are moved to where something is mapped, and cut down to it. */
static struct window on_mapped(const struct op *op, unsigned space, struct window w)
{
	unsigned end = w.first < NEAR_PAGES ? NEAR_PAGES : PAGES;
	if (op->r[3] >> 17 & 3) {
		while (w.first < end - 1 && !world.page[space][w.first].mapped) {
			w.first++;
		}
		w.pages = w.first + w.pages > end ? end - w.first : w.pages;
		unsigned pages = 1;
		while (pages < w.pages && world.page[space][w.first + pages].mapped) {
			pages++;
		}
		w.pages = pages;
	}
	return w;
}

static bool protect(const struct op *op, unsigned space)
{
	struct window w = on_mapped(op, space, window_pick(op, op->r[3] >> 16 & 1 ? 2 : 16));
	unsigned permission = permission_pick(op->r[4]);
	vmem_vaddr_t start;
	uint64_t length;
	bool full = near_limit(space, 2), changed = false;
	vmem_status_t expected = range_pick(op, w, &start, &length);
	if (expected == VMEM_OK) {
		expected = expect_protect(space, w, permission);
	}
	vmem_status_t status =
	    vmem_vmar_protect(vmem_aspace_root(world.space[space]), start, length, permission);
	answered(
	    op, status, status == VMEM_ERR_LIMIT && full && expected == VMEM_OK ? VMEM_ERR_LIMIT : expected);
	for (unsigned p = w.first; status == VMEM_OK && p < w.first + w.pages; p++) {
		changed |= world.page[space][p].permission != permission;
		world.page[space][p].permission = (uint8_t)permission;
	}
	return changed;
}

static bool decommit(const struct op *op, unsigned space)
{
	struct window w = on_mapped(op, space, window_pick(op, 8));
	vmem_vaddr_t start;
	uint64_t length;
	bool changed = false;
	vmem_status_t expected = range_pick(op, w, &start, &length);
	if (expected == VMEM_OK && count_mapped(space, w) < w.pages) {
		expected = VMEM_ERR_NOT_FOUND;
	}
	vmem_status_t status = vmem_vmar_decommit(vmem_aspace_root(world.space[space]), start, length);
	answered(op, status, expected);
	for (unsigned p = w.first; status == VMEM_OK && p < w.first + w.pages; p++) {
		changed |= world.page[space][p].own;
		world.page[space][p].own = false;
	}
	return changed;
}

bool apply_space(const struct op *op)
{
	unsigned space = op->r[0] % SPACES;
	switch (op->kind) {
	case OP_MAP:
		return map(op, space);
	case OP_UNMAP:
		return unmap(op, space);
	case OP_PROTECT:
		return protect(op, space);
	default:
		return decommit(op, space);
	}
}
