/* SPDX-License-Identifier: MIT */
/*
 * layout.c - the model of a space: pages, the VMARs that have them, strips, and where something fits.
 *
 * A strip is an unmapped page that a neighbour in the same VMAR keeps: it hangs together with that
 * neighbour. So a strip is gone when the pages between it and a span are, and no record says whose it is.
 */
#include "model.h"

#include <string.h>

vmem_vaddr_t page_va(unsigned page)
{
	return SPACE_START + page * PAGE;
}

void space_reset(unsigned space)
{
	for (unsigned p = 0; p < PAGES; p++) {
		page_unmap(space, p);
		world.page[space][p] = (struct page){.object = -1};
	}
	memset(world.vmar[space], 0, sizeof(world.vmar[space]));
	object_drop_unused();
}

void page_unmap(unsigned space, unsigned p)
{
	struct page *page = &world.page[space][p];
	if (!page->mapped) {
		return;
	}
	world.mapped[space]--;
	if (page->object >= 0) {
		world.object[page->object].mapped--;
	}
	*page = (struct page){.vmar = page->vmar, .object = -1};
}

void page_map(unsigned space, unsigned p, const struct page *as)
{
	struct page *page = &world.page[space][p];
	unsigned vmar = page->vmar;
	page_unmap(space, p);
	*page = *as;
	page->mapped = true;
	page->vmar = (uint8_t)vmar;
	page->strip = STRIP_NONE;
	world.mapped[space]++;
	if (page->object >= 0) {
		world.object[page->object].mapped++;
	}
}

/* Where a page's content is; NULL where there is none: it reads as zero. */
static uint64_t *content_of(const struct page *page)
{
	if (page->object < 0) {
		return NULL;
	}
	struct object *o = &world.object[page->object];
	return page->offset < o->pages ? &o->content[o->first + page->offset] : NULL;
}

uint64_t page_value(const struct page *page)
{
	const uint64_t *content = content_of(page);
	return page->own ? page->value : content ? *content : 0;
}

void page_store(struct page *page, uint64_t value)
{
	if (page->flags & VMEM_MAP_SHARED) {
		*content_of(page) = value;
	} else {
		page->own = true;
		page->value = value;
	}
}

/* On no ISA is there memory that may be written and not read; RISC-V alone has memory to execute only. */
unsigned granted(unsigned permission)
{
	bool reads = TEST_ISA[0] == 'r' ? permission & VMEM_WRITE : permission != 0;
	return permission | (reads ? (unsigned)VMEM_READ : 0);
}

enum vmem_fault_result page_expect(const struct page *page, unsigned access)
{
	if (!page->mapped) {
		return VMEM_FAULT_NO_REGION;
	}
	if (page->flags & VMEM_MAP_GUARD) {
		return VMEM_FAULT_GUARD;
	}
	if (!(granted(page->permission) & access)) {
		return VMEM_FAULT_PERMISSION;
	}
	if (page->guarded) {
		return VMEM_FAULT_GUARD;
	}
	return page->own || page->object < 0 || content_of(page) ? VMEM_FAULT_RESOLVED
								 : VMEM_FAULT_BEYOND_END;
}

/* One mapping, to a program. */
static bool is_one(const struct page *lower, const struct page *upper)
{
	return upper->mapped && upper->vmar == lower->vmar && lower->permission == upper->permission &&
	       lower->maximum == upper->maximum && lower->flags == upper->flags &&
	       lower->cookie == upper->cookie && lower->object == upper->object &&
	       (lower->object < 0 || lower->offset + 1 == upper->offset) &&
	       !((lower->attributes ^ upper->attributes) & ~(unsigned)VMEM_REGION_ACCOUNT);
}

unsigned mapping_end(unsigned space, unsigned p)
{
	const struct page *page = world.page[space];
	unsigned end = p + 1;
	while (end < PAGES && is_one(&page[end - 1], &page[end])) {
		end++;
	}
	return end;
}

bool vmar_has(unsigned space, unsigned vmar, unsigned first, unsigned pages)
{
	const struct vmar *v = &world.vmar[space][vmar];
	return first >= v->first && first + pages <= v->first + v->pages;
}

bool is_free(unsigned space, unsigned vmar, unsigned first, unsigned pages)
{
	if (first + pages > PAGES) {
		return false;
	}
	for (unsigned p = first; p < first + pages; p++) {
		const struct page *page = &world.page[space][p];
		if (page->vmar != vmar || page->mapped || page->strip) {
			return false;
		}
	}
	return true;
}

/* True if the strip at p hangs together with a span by page q, its neighbour. */
static bool is_held(unsigned space, unsigned p, unsigned q)
{
	const struct page *strip = &world.page[space][p], *by = &world.page[space][q];
	if (q >= PAGES || !vmar_has(space, strip->vmar, q, 1)) {
		return false;
	}
	return by->vmar != strip->vmar || by->mapped || by->strip == strip->strip;
}

void strips_settle(unsigned space)
{
	struct page *page = world.page[space];
	for (unsigned p = 0; p < PAGES; p++) {
		if (page[p].strip == STRIP_BEHIND && !is_held(space, p, p - 1)) {
			page[p].strip = STRIP_NONE;
		}
	}
	for (unsigned p = PAGES; p-- > 0;) {
		if (page[p].strip == STRIP_BEFORE && !is_held(space, p, p + 1)) {
			page[p].strip = STRIP_NONE;
		}
	}
}

void strips_insert(const struct where *at, unsigned before, unsigned behind)
{
	struct page *page = world.page[at->space];
	unsigned end = at->first + at->pages;
	for (unsigned p = end; p < PAGES && page[p].strip == STRIP_BEHIND && page[p].vmar == at->vmar; p++) {
		page[p].strip = STRIP_NONE; /* of the span before: the new one lies between */
	}
	for (unsigned p = at->first; p-- > 0 && page[p].strip == STRIP_BEFORE && page[p].vmar == at->vmar;) {
		page[p].strip = STRIP_NONE;
	}
	for (unsigned i = 0; i < before; i++) {
		page[at->first - 1 - i].strip = STRIP_BEFORE;
	}
	for (unsigned i = 0; i < behind; i++) {
		page[end + i].strip = STRIP_BEHIND;
	}
}

/* A page of the space; one of four (for a new VMAR one of two) lies in a child VMAR if there is one. */
static unsigned first_pick(const struct op *op, unsigned space)
{
	const struct vmar *v = &world.vmar[space][(op->r[1] >> 8) % VMARS];
	unsigned one_of = op->kind == OP_VMAR ? 2 : 4;
	return (op->r[1] >> 16) % one_of == 0 && v->real ? v->first + op->r[2] % v->pages : op->r[2] % PAGES;
}

/* Mostly the VMAR of the first page, and only pages that it has itself. */
struct where where_pick(const struct op *op, unsigned most)
{
	unsigned space = op->r[0] % SPACES;
	struct where at = {.space = space, .first = first_pick(op, space), .pages = 1 + op->r[3] % most};
	const struct page *page = &world.page[at.space][at.first];
	unsigned how = op->r[1] % 32, pages = 1;
	at.pages = at.first + at.pages > PAGES ? PAGES - at.first : at.pages;
	at.vmar = page->vmar;
	if (how == 0) {
		unsigned other = (op->r[1] >> 5) % VMARS;
		at.vmar = world.vmar[at.space][other].real ? other : 0;
	} else if (how > 2) {
		while (pages < at.pages && page[pages].vmar == at.vmar) {
			pages++;
		}
		at.pages = pages;
	}
	return at;
}

uint32_t where_wrong(const struct where *at, vmem_status_t touched)
{
	if (!vmar_has(at->space, at->vmar, at->first, at->pages)) {
		return BIT(VMEM_ERR_RANGE);
	}
	for (unsigned p = at->first; p < at->first + at->pages; p++) {
		if (world.page[at->space][p].vmar != at->vmar) {
			return BIT(touched);
		}
	}
	return 0;
}

unsigned where_mapped(const struct where *at)
{
	unsigned count = 0;
	for (unsigned p = at->first; p < at->first + at->pages && p < PAGES; p++) {
		count += world.page[at->space][p].mapped;
	}
	return count;
}

void where_unmap(const struct where *at)
{
	for (unsigned p = at->first; p < at->first + at->pages; p++) {
		page_unmap(at->space, p);
	}
	strips_settle(at->space);
}

/* What ends there would lie in the gap below a region that grows down. */
static bool is_in_gap(const struct room *room, unsigned end)
{
	const struct vmar *v = &world.vmar[room->space][room->vmar];
	for (unsigned p = end; p < v->first + v->pages && p < end + GAP; p++) {
		const struct page *page = &world.page[room->space][p];
		if (page->vmar != room->vmar || page->mapped) {
			return page->vmar == room->vmar && page->attributes & VMEM_REGION_GROWS_DOWN;
		}
	}
	return false;
}

bool room_fits(const struct room *room, unsigned first)
{
	if (first < room->low || first + room->pages > room->high || first % room->align != 0 ||
	    first < room->before) {
		return false;
	}
	unsigned from = first - room->before, pages = room->before + room->pages + room->behind;
	return vmar_has(room->space, room->vmar, from, pages) &&
	       is_free(room->space, room->vmar, from, pages) && !is_in_gap(room, first + room->pages);
}

unsigned room_find(const struct room *room, bool highest)
{
	for (unsigned i = 0; i < PAGES; i++) {
		unsigned first = highest ? PAGES - 1 - i : i;
		if (room_fits(room, first)) {
			return first;
		}
	}
	return PAGES;
}
