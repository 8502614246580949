/* SPDX-License-Identifier: MIT */
/*
 * apply_move.c - regions that move, with their source kept or not, and regions that grow upwards.
 */
#include "model.h"

#include <string.h>

#include "region.h"

/* The strips next to the pages, which hang together with them: behind, and before if it is not to stay. */
static void drop_strips(const struct where *at, bool before)
{
	struct page *page = world.page[at->space];
	for (unsigned p = at->first;
	     before && p-- > 0 && page[p].strip == STRIP_BEFORE && page[p].vmar == at->vmar;) {
		page[p].strip = STRIP_NONE;
	}
	for (unsigned p = at->first + at->pages;
	     p < PAGES && page[p].strip == STRIP_BEHIND && page[p].vmar == at->vmar; p++) {
		page[p].strip = STRIP_NONE;
	}
}

/* What grows on behind a region. */
static struct page next_page(const struct page *last)
{
	struct page page = *last;
	page.offset += last->object >= 0;
	page.own = page.guarded = page.cut = page.apart = false;
	return page;
}

void move_pages(const struct where *from, const struct where *to, bool keeps)
{
	static struct page held[PAGES];
	struct page *page = &world.page[from->space][from->first];
	memcpy(held, page, from->pages * sizeof(*page));
	for (unsigned i = 0; i < from->pages; i++) {
		counters->events[EVENT_MOVED_OWN] += page[i].own;
		if (keeps) {
			page[i].own = page[i].guarded = page[i].apart = false;
			page[i].attributes &= (uint16_t)~LOCKS;
		} else {
			page_unmap(from->space, from->first + i);
		}
		held[i].apart = false;
	}
	drop_strips(from, true);
	where_unmap(to);
	strips_insert(to, 0, 0);
	for (unsigned i = 0; i < to->pages; i++) {
		if (i >= from->pages) {
			held[i] = next_page(&held[i - 1]);
		}
		page_map(to->space, to->first + i, &held[i]);
	}
	strips_settle(to->space);
	world.nature[to->space].moved = true;
	counters->events[EVENT_KEPT_SOURCE] += keeps;
	object_drop_unused();
}

/* What the pages that come to be are refused for: `growth` like the last of `at`, and all of it once more.
 */
static uint32_t more_wrong(const struct where *at, unsigned growth, bool keeps)
{
	const struct page *page = &world.page[at->space][at->first], *last = &page[at->pages - 1];
	uint64_t data = is_data(last) ? growth : 0;
	uint64_t promised = last->attributes & VMEM_REGION_ACCOUNT ? growth : 0;
	for (unsigned i = 0; keeps && i < at->pages; i++) {
		data += is_data(&page[i]);
		promised += (page[i].attributes & VMEM_REGION_ACCOUNT) != 0;
	}
	return (data ? data_wrong(at->space, data) : 0) | promise_wrong(at->space, promised);
}

static uint32_t source_wrong(const struct where *at)
{
	return (where_mapped(at) < at->pages ? BIT(VMEM_ERR_NOT_FOUND) : 0) |
	       (is_sealed(at) ? BIT(VMEM_ERR_SEALED) : 0);
}

/* Fixed targets: they may lie on what is mapped, but not on the source, and may not be sealed. */
static uint32_t target_wrong(const struct where *from, const struct where *to, enum vmem_place place)
{
	uint32_t wrong = 0;
	if (place == VMEM_PLACE_ANY || place == VMEM_PLACE_HINT) {
		return 0;
	}
	if (to->first < from->first + from->pages && from->first < to->first + to->pages) {
		wrong |= BIT(VMEM_ERR_INVALID);
	}
	return wrong | (place == VMEM_PLACE_REPLACE && is_sealed(to) ? BIT(VMEM_ERR_SEALED) : 0);
}

/* One thing more wrong, now and then. */
static uint32_t spoil(const struct op *op, uint64_t length, struct vmem_map *map, unsigned *flags)
{
	switch (op->r[7] >> 16 & 127) {
	case 0:
		*flags |= 2;
		return BIT(VMEM_ERR_INVALID);
	case 1:
		map->length = length - PAGE;
		return BIT(VMEM_ERR_INVALID);
	case 2:
		map->permission = VMEM_READ;
		return BIT(VMEM_ERR_INVALID);
	case 3:
		map->length += *flags & VMEM_MOVE_KEEP_SOURCE ? PAGE : 8;
		return BIT(VMEM_ERR_INVALID) | BIT(VMEM_ERR_RANGE);
	default:
		return 0;
	}
}

/* Three of four targets lie as the source does within what a leaf table shows. */
static struct where target_pick(const struct op *op, const struct where *from, unsigned growth)
{
	struct where to = *from;
	to.pages = from->pages + growth;
	to.first = op->r[5] % PAGES;
	if (op->r[5] >> 10 & 3) {
		to.first = (from->first + 16 * (op->r[5] % (PAGES / 16))) % PAGES;
	}
	to.pages =
	    to.first + to.pages > PAGES && from->pages <= PAGES - to.first ? PAGES - to.first : to.pages;
	return to;
}

static bool move(const struct op *op)
{
	static const enum vmem_place places[] = {
	    VMEM_PLACE_ANY, VMEM_PLACE_HINT, VMEM_PLACE_FIXED, VMEM_PLACE_REPLACE};
	struct where from = where_pick(op, op->r[3] >> 16 & 1 ? 4 : 40);
	struct vmem_map map = {.place = places[op->r[4] % 4]};
	unsigned flags = op->r[6] % 4 == 0 ? (unsigned)VMEM_MOVE_KEEP_SOURCE : 0;
	vmem_vaddr_t start, out = 0;
	uint64_t length;
	on_mapped(op, &from);
	uint32_t wrong = range_pick(op, &from, VMEM_ERR_INVALID, &start, &length) | source_wrong(&from);
	struct where target = target_pick(op, &from, flags || op->r[6] >> 2 & 3 ? 0 : op->r[6] >> 4 & 7);
	struct placement to = placement_pick(op, target, &map);
	const unsigned growth = to.at.pages - from.pages;
	wrong |=
	    to.wrong | target_wrong(&from, &to.at, map.place) | spoil(op, from.pages * PAGE, &map, &flags);
	if (to.at.pages < from.pages) {
		wrong |= BIT(VMEM_ERR_INVALID);
	} else if (!(wrong & BIT(VMEM_ERR_NOT_FOUND))) {
		const unsigned gone = map.place == VMEM_PLACE_REPLACE ? where_mapped(&to.at) : 0;
		wrong |= pages_wrong(from.space, flags ? from.pages : growth, gone);
		wrong |= more_wrong(&from, growth, flags);
	}
	bool full = near_limit(from.space, 4 + (flags ? from.pages : 0));
	vmem_status_t status =
	    vmem_vmar_move(world.vmar[from.space][from.vmar].real, start, length, &map, flags, &out);
	judged(op, status, wrong, full ? BIT(VMEM_ERR_LIMIT) : 0);
	world.recent[from.space] = from.first;
	if (status != VMEM_OK) {
		return false;
	}
	to.at.first = placement_check(&to, out);
	world.recent[from.space] = to.at.first;
	move_pages(&from, &to.at, flags);
	return true;
}

/* From a page on, so many that are free or not. */
static bool extend(const struct op *op)
{
	struct where at = where_pick(op, 2);
	on_mapped(op, &at);
	struct page *page = world.page[at.space];
	at.pages = 1;
	while (at.first + at.pages < PAGES && page[at.first + at.pages].mapped &&
	       page[at.first + at.pages].vmar == at.vmar && (op->r[5] & 15)) { /* mostly to where one ends */
		at.first++;
	}
	struct where more = {at.space, at.vmar, at.first + 1, 1 + op->r[4] % 6};
	struct vmem_region_info r;
	vmem_vaddr_t end = page_va(more.first);
	uint32_t wrong = vmar_has(at.space, at.vmar, more.first, more.pages) ? 0 : BIT(VMEM_ERR_RANGE);
	bool ends = page[at.first].mapped && page[at.first].vmar == at.vmar &&
		    vmem_region_next(world.space[at.space], end - 1, &r) && r.start + r.length == end;
	wrong |= ends ? 0 : BIT(VMEM_ERR_NOT_FOUND);
	wrong |= is_sealed(&at) ? BIT(VMEM_ERR_SEALED) : 0;
	for (unsigned p = more.first; p < more.first + more.pages && p < PAGES; p++) {
		wrong |= page[p].mapped || page[p].vmar != at.vmar ? BIT(VMEM_ERR_EXISTS) : 0;
	}
	if (ends) {
		wrong |= pages_wrong(at.space, more.pages, 0) | more_wrong(&at, more.pages, false);
	}
	bool full = near_limit(at.space, 1);
	vmem_status_t status = vmem_vmar_extend(world.vmar[at.space][at.vmar].real, end, more.pages * PAGE);
	judged(op, status, wrong, full ? BIT(VMEM_ERR_LIMIT) : 0);
	world.recent[at.space] = at.first;
	if (status != VMEM_OK) {
		return false;
	}
	drop_strips(&at, false);
	strips_insert(&more, 0, 0);
	for (unsigned p = more.first; p < more.first + more.pages; p++) {
		const struct page grown = next_page(&page[p - 1]);
		page_map(at.space, p, &grown);
	}
	strips_settle(at.space);
	return true;
}

bool apply_move(const struct op *op)
{
	return op->kind == OP_MOVE ? move(op) : extend(op);
}
