/* SPDX-License-Identifier: MIT */
/*
 * apply_space.c - layout: unmap, protect, decommit, child VMARs.
 */
#include "model.h"

#include "region.h"

uint32_t range_pick(
    const struct op *op, const struct where *at, vmem_status_t touched, vmem_vaddr_t *start, uint64_t *length)
{
	const struct vmar *v = &world.vmar[at->space][at->vmar];
	*start = page_va(at->first);
	*length = at->pages * PAGE;
	switch (op->r[7] >> 8 & 127) {
	case 0:
		*start += 8;
		return BIT(VMEM_ERR_INVALID) | where_wrong(at, touched);
	case 1:
		*start = page_va(v->first + v->pages);
		return BIT(VMEM_ERR_RANGE);
	case 2:
		*length = 0;
		return BIT(VMEM_ERR_INVALID) | where_wrong(at, touched);
	default:
		return where_wrong(at, touched);
	}
}

static bool unmap(const struct op *op)
{
	struct where at = where_pick(op, op->r[3] >> 16 & 1 ? 2 : 16);
	vmem_vaddr_t start;
	uint64_t length;
	uint32_t wrong = range_pick(op, &at, VMEM_ERR_INVALID, &start, &length);
	wrong |= is_sealed(&at) ? BIT(VMEM_ERR_SEALED) : 0;
	bool full = near_limit(at.space, 1);
	vmem_status_t status = vmem_vmar_unmap(world.vmar[at.space][at.vmar].real, start, length);
	judged(op, status, wrong, full ? BIT(VMEM_ERR_LIMIT) : 0);
	if (status != VMEM_OK) {
		return false;
	}
	bool changed = where_mapped(&at) > 0;
	world.recent[at.space] = at.first;
	where_unmap(&at);
	object_drop_unused();
	return changed;
}

static uint32_t protect_wrong(const struct where *at, unsigned permission)
{
	uint32_t wrong = 0;
	for (unsigned p = at->first; p < at->first + at->pages; p++) {
		const struct page *page = &world.page[at->space][p];
		if (!page->mapped) {
			wrong |= BIT(VMEM_ERR_NOT_FOUND);
		} else if (permission & ~(unsigned)page->maximum) {
			wrong |= BIT(VMEM_ERR_DENIED);
		}
		wrong |= page->mapped && is_wx(at->space, permission) ? BIT(VMEM_ERR_WX) : 0;
	}
	return wrong;
}

/* What may be written from now on is data, and promised. Who has more mapped than he may goes on. */
static uint32_t demand_wrong(const struct where *at, unsigned permission)
{
	const struct nature *n = &world.nature[at->space];
	unsigned data = 0, promised = 0;
	for (unsigned p = at->first; p < at->first + at->pages; p++) {
		struct page page = world.page[at->space][p];
		bool was = is_data(&page);
		if (page.mapped && page.permission != permission) {
			page.permission = (uint8_t)permission;
			data += is_data(&page) && !was;
			promised += needs_promise(at->space, &page);
		}
	}
	bool passes = world.mapped[at->space] + (uint64_t)data > n->max_pages;
	return (data && !passes ? data_wrong(at->space, data) : 0) |
	       (promised ? promise_wrong(at->space, promised) : 0);
}

void on_mapped(const struct op *op, struct where *at)
{
	const struct page *page = world.page[at->space];
	if ((op->r[3] >> 17 & 3) == 0) {
		return;
	}
	while (at->first < PAGES - 1 && !page[at->first].mapped) {
		at->first++;
	}
	at->vmar = (op->r[1] >> 8) % 16 ? page[at->first].vmar : at->vmar;
	at->pages = at->first + at->pages > PAGES ? PAGES - at->first : at->pages;
	unsigned pages = 1;
	while (pages < at->pages && page[at->first + pages].mapped &&
	       page[at->first + pages].vmar == page[at->first].vmar) {
		pages++;
	}
	at->pages = pages;
}

/* One region, or a part of one, gets the permission. What was promised and never written goes back when it
 * can be written no more. */
static bool protect_part(const struct where *part, unsigned permission)
{
	struct page *page = &world.page[part->space][part->first];
	bool holds = false;
	if (page->permission == permission) {
		return false;
	}
	for (unsigned i = 0; i < part->pages; i++) {
		holds |= page[i].own || page[i].guarded || page[i].object >= 0;
	}
	for (unsigned i = 0; i < part->pages; i++) {
		page[i].permission = (uint8_t)permission;
		page[i].attributes |= needs_promise(part->space, &page[i]) ? VMEM_REGION_ACCOUNT : 0;
		if (world.nature[part->space].accounts && !holds && !(permission & VMEM_WRITE)) {
			page[i].attributes &= (uint16_t)~VMEM_REGION_ACCOUNT;
		}
	}
	return true;
}

/* Where the region of a page ends in the range, before the call: as the library has it, because what is one
 * to programs may be several. */
static void note_ends(const struct where *at, uint8_t ends[])
{
	struct vmem_region_info r;
	for (unsigned i = 0; i < at->pages; i++) {
		const vmem_vaddr_t end = page_va(at->first + i) + PAGE;
		ends[i] = i + 1 == at->pages || (vmem_region_next(world.space[at->space], end - 1, &r) &&
						    r.start + r.length == end);
	}
}

static bool protect(const struct op *op)
{
	static uint8_t ends[PAGES];
	struct where at = where_pick(op, op->r[3] >> 16 & 1 ? 2 : 16);
	unsigned permission = permission_pick(op->r[4]);
	vmem_vaddr_t start;
	uint64_t length;
	bool changed = false;
	on_mapped(op, &at);
	bool full = near_limit(at.space, 2);
	uint32_t wrong = range_pick(op, &at, VMEM_ERR_INVALID, &start, &length) |
			 protect_wrong(&at, permission) | demand_wrong(&at, permission);
	wrong |= is_sealed(&at) ? BIT(VMEM_ERR_SEALED) : 0;
	if ((op->r[7] >> 16 & 127) == 0) {
		permission = VMEM_RWX + 1;
		wrong |= BIT(VMEM_ERR_INVALID);
	}
	note_ends(&at, ends);
	vmem_status_t status =
	    vmem_vmar_protect(world.vmar[at.space][at.vmar].real, start, length, permission);
	judged(op, status, wrong, full ? BIT(VMEM_ERR_LIMIT) : 0);
	world.recent[at.space] = at.first;
	for (unsigned i = 0, from = 0; status == VMEM_OK && i < at.pages; i++) {
		if (ends[i]) {
			const struct where part = {at.space, at.vmar, at.first + from, i + 1 - from};
			changed |= protect_part(&part, permission);
			from = i + 1;
		}
	}
	return changed;
}

static bool decommit(const struct op *op)
{
	struct where at = where_pick(op, 8);
	vmem_vaddr_t start;
	uint64_t length;
	bool changed = false;
	on_mapped(op, &at);
	uint32_t wrong = range_pick(op, &at, VMEM_ERR_INVALID, &start, &length);
	wrong |= where_mapped(&at) < at.pages ? BIT(VMEM_ERR_NOT_FOUND) : 0;
	for (unsigned p = at.first; p < at.first + at.pages; p++) {
		const struct page *page = &world.page[at.space][p];
		bool fixed = page->attributes & VMEM_REGION_SEALED && !(page->permission & VMEM_WRITE);
		wrong |= page->mapped && fixed && page->object < 0 ? BIT(VMEM_ERR_SEALED) : 0;
	}
	vmem_status_t status = vmem_vmar_decommit(world.vmar[at.space][at.vmar].real, start, length);
	judged(op, status, wrong, 0);
	world.recent[at.space] = at.first;
	for (unsigned p = at.first; status == VMEM_OK && p < at.first + at.pages; p++) {
		changed |= world.page[at.space][p].own;
		world.page[at.space][p].own = false;
	}
	return changed;
}

bool apply_space(const struct op *op)
{
	return op->kind == OP_UNMAP ? unmap(op) : op->kind == OP_PROTECT ? protect(op) : decommit(op);
}

/* Child VMARs. */

static unsigned free_number(unsigned space)
{
	unsigned number = 1;
	while (number < VMARS && world.vmar[space][number].real) {
		number++;
	}
	return number;
}

/* One thing more wrong, now and then. */
static uint32_t spoil_child(const struct op *op, struct vmem_map *map)
{
	switch (op->r[7] >> 8 & 63) {
	case 0:
		map->flags |= VMEM_MAP_GUARD;
		return BIT(VMEM_ERR_INVALID);
	case 1:
		if (map->place != VMEM_PLACE_FIXED) {
			return 0;
		}
		map->place = VMEM_PLACE_REPLACE;
		return BIT(VMEM_ERR_INVALID);
	case 2:
		map->length += 8;
		return BIT(VMEM_ERR_INVALID);
	case 3:
		map->permission = VMEM_RWX + 1;
		return BIT(VMEM_ERR_INVALID);
	default:
		return 0;
	}
}

static bool allocate(const struct op *op)
{
	static const enum vmem_place places[] = {
	    VMEM_PLACE_ANY, VMEM_PLACE_HINT, VMEM_PLACE_FIXED, VMEM_PLACE_FIXED};
	struct vmem_map map = {.place = places[op->r[4] % 4]};
	struct where at = where_pick(op, op->r[3] >> 16 & 1 ? 16 : 96);
	struct vmem_vmar *real = NULL;
	unsigned number = free_number(at.space), rights = world.vmar[at.space][at.vmar].rights;
	if (number == VMARS) {
		return false;
	}
	if (map.place != VMEM_PLACE_FIXED) {
		map.pad_before = (op->r[9] >> 8) % 3;
		map.pad_after = (op->r[9] >> 10) % 3;
	}
	struct placement to = placement_pick(op, at, &map);
	map.permission = op->r[6] % 2 ? VMEM_RWX : permission_pick(op->r[6] >> 1);
	map.permission &= op->r[6] >> 4 & 3 ? rights : VMEM_RWX;
	to.wrong |= map.permission & ~rights ? BIT(VMEM_ERR_DENIED) : 0;
	rights = map.permission;
	to.wrong |= spoil_child(op, &map);
	vmem_status_t status = vmem_vmar_allocate(world.vmar[at.space][at.vmar].real, &map, &real);
	judged(op, status, to.wrong, 0);
	if (status != VMEM_OK) {
		return false;
	}
	EXPECT(vmem_vmar_length(real) == map.length);
	to.at.first = placement_check(&to, vmem_vmar_start(real));
	strips_insert(&to.at, map.pad_before, map.pad_after);
	for (unsigned p = to.at.first; p < to.at.first + at.pages; p++) {
		world.page[at.space][p].vmar = (uint8_t)number;
	}
	world.vmar[at.space][number] = (struct vmar){
	    .real = real, .parent = at.vmar, .first = to.at.first, .pages = at.pages, .rights = rights};
	counters->events[EVENT_NESTED] += at.vmar != 0;
	return true;
}

static bool is_below(const struct vmar *v, unsigned number, unsigned above)
{
	while (number != 0 && number != above) {
		number = v[number].parent;
	}
	return number == above;
}

/* The pages of a VMAR and of its children become its parent's. */
static void forget(unsigned space, unsigned number)
{
	struct vmar *v = world.vmar[space];
	const struct vmar gone = v[number];
	const struct where all = {space, number, gone.first, gone.pages};
	unsigned children = 0;
	for (unsigned i = 1; i < VMARS; i++) {
		children += v[i].real && i != number && is_below(v, i, number);
	}
	counters->events[EVENT_SUBTREE] += children > 0 && where_mapped(&all) > 0;
	for (unsigned i = 1; i < VMARS; i++) {
		if (v[i].real && i != number && is_below(v, i, number)) {
			v[i].real = NULL; /* its parent stays known until all are found */
		}
	}
	v[number].real = NULL;
	for (unsigned p = gone.first; p < gone.first + gone.pages; p++) {
		page_unmap(space, p);
		world.page[space][p].vmar = (uint8_t)gone.parent;
		world.page[space][p].strip = STRIP_NONE;
	}
	strips_settle(space);
}

static bool destroy(const struct op *op)
{
	unsigned space = op->r[0] % SPACES, number = op->r[1] % VMARS;
	for (unsigned i = 0; i < VMARS && (!world.vmar[space][number].real || number == 0); i++) {
		number = (number + 1) % VMARS; /* the root if there is no other */
	}
	number = (op->r[1] >> 8) % 8 && world.vmar[space][number].real ? number : 0;
	vmem_status_t status = vmem_vmar_destroy(world.vmar[space][number].real);
	judged(op, status, number == 0 ? BIT(VMEM_ERR_UNSUPPORTED) : 0, 0);
	if (status != VMEM_OK) {
		return false;
	}
	forget(space, number);
	object_drop_unused();
	return true;
}

bool apply_vmar(const struct op *op)
{
	return op->kind == OP_VMAR ? allocate(op) : destroy(op);
}
