/* SPDX-License-Identifier: MIT */
/*
 * place.c - a place for a region or a child VMAR: what is asked for, and where the library must put it.
 */
#include "model.h"

/* Bounds of a search: mostly none, else pages of the space, whatever VMAR they are in. */
static void pick_bounds(const struct op *op, struct room *room, struct vmem_map *map)
{
	const struct vmar *v = &world.vmar[room->space][room->vmar];
	unsigned low = op->r[8] % PAGES, high = low + (op->r[8] >> 10) % PAGES;
	room->low = v->first;
	room->high = v->first + v->pages;
	if ((op->r[8] >> 20) % 4 == 0) {
		high = high > PAGES ? PAGES : high;
		map->minimum = page_va(low);
		map->limit = page_va(high);
		room->low = low > room->low ? low : room->low;
		room->high = high < room->high ? high : room->high;
	}
}

static void pick_found(const struct op *op, struct placement *to, struct vmem_map *map)
{
	struct where *at = &to->at;
	pick_bounds(op, &to->room, map);
	map->flags |= op->r[4] >> 8 & 1 ? VMEM_MAP_FROM_TOP : 0;
	map->flags |= (op->r[4] >> 9) % 4 == 0 ? VMEM_MAP_RANDOM : 0;
	if (map->place == VMEM_PLACE_HINT && room_fits(&to->room, at->first)) {
		return;
	}
	unsigned first = room_find(&to->room, map->flags & VMEM_MAP_FROM_TOP);
	if (first == PAGES) {
		to->wrong |= BIT(VMEM_ERR_NO_SPACE);
		return;
	}
	to->anywhere = map->flags & VMEM_MAP_RANDOM;
	at->first = first;
}

/* Fixed: free, strips included, or to be replaced. */
static void pick_fixed(struct placement *to, const struct vmem_map *map)
{
	struct where *at = &to->at;
	to->wrong |= where_wrong(at, VMEM_ERR_EXISTS);
	if (at->first % to->room.align != 0) {
		to->wrong |= BIT(VMEM_ERR_INVALID);
	}
	if (map->place == VMEM_PLACE_FIXED && !is_free(at->space, at->vmar, at->first, at->pages)) {
		counters->events[EVENT_STRIP_IN_WAY] += to->wrong == 0 && where_mapped(at) == 0;
		to->wrong |= BIT(VMEM_ERR_EXISTS);
	}
}

struct placement placement_pick(const struct op *op, struct where at, struct vmem_map *map)
{
	static const uint8_t aligns[16] = {
	    [9] = 1, [10] = 2, [11] = 4, [12] = 8, [13] = 16, [14] = 16, [15] = 64};
	struct placement to = {.at = at};
	unsigned align = map->align ? (unsigned)(map->align / PAGE) : aligns[op->r[9] % 16];
	if (map->place == VMEM_PLACE_REPLACE) {
		align = 0;
	} else if (map->place == VMEM_PLACE_FIXED && align && at.first % align && (op->r[9] >> 12) % 8) {
		align = 0;
	}
	map->length = at.pages * PAGE;
	map->align = align * PAGE;
	map->address = page_va(at.first);
	to.room =
	    (struct room){.space = at.space, .vmar = at.vmar, .pages = at.pages, .align = align ? align : 1};
	if (map->place == VMEM_PLACE_ANY || map->place == VMEM_PLACE_HINT) {
		to.room.before = map->pad_before;
		to.room.behind = map->pad_after;
		pick_found(op, &to, map);
	} else {
		pick_fixed(&to, map);
	}
	return to;
}

unsigned placement_check(const struct placement *placement, vmem_vaddr_t start)
{
	unsigned first = (unsigned)((start - SPACE_START) / PAGE);
	if (!placement->anywhere && start != page_va(placement->at.first)) {
		model_fail(
		    __FILE__, __LINE__, "placed at page %u, expected is %u", first, placement->at.first);
	}
	EXPECT(start == page_va(first) && first < PAGES);
	EXPECT(!placement->anywhere || room_fits(&placement->room, first));
	return first;
}
