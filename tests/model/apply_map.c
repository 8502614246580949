/* SPDX-License-Identifier: MIT */
/*
 * apply_map.c - mapping: at fixed and found places, with strips, over what is there, in any VMAR.
 */
#include "model.h"

#include "region.h"

static const uint8_t permissions[] = {0, VMEM_READ, VMEM_READ | VMEM_WRITE, VMEM_READ | VMEM_WRITE,
    VMEM_READ | VMEM_WRITE, VMEM_READ | VMEM_WRITE, VMEM_READ | VMEM_EXEC, VMEM_RWX, VMEM_WRITE, VMEM_EXEC};

uint8_t permission_pick(uint32_t r)
{
	return permissions[r % sizeof(permissions)];
}

bool is_wx(unsigned space, unsigned permission)
{
	return world.nature[space].wx && (permission & VMEM_WRITE) && (permission & VMEM_EXEC);
}

bool near_limit(unsigned space, unsigned more)
{
	const struct nature *n = &world.nature[space];
	return world.space[space]->regions + more > n->max_regions - n->slack;
}

/* What to map. */
struct wanted {
	struct vmem_map map;
	struct placement to;
	struct object *object;
	unsigned offset; /* pages */
	bool run;	 /* see want_run() */
	uint32_t wrong;
};

/* The whole of what one large leaf can show, of a device if there is such an object, else private. The space
 * is fresh: where a table is already there, no large leaf is made. */
static void want_large(struct wanted *want, struct where *at)
{
	*at = (struct where){.space = at->space, .first = 0, .pages = LARGE};
	want->map.place = VMEM_PLACE_REPLACE;
	for (unsigned i = 0; i < OBJECTS; i++) {
		struct object *o = &world.object[i];
		if (o->real && o->held && o->pages == LARGE &&
		    (want->object || !world.nature[at->space].large)) {
			want->object = o;
			return;
		}
	}
	want->object = NULL;
}

/* Where hardware may join the entries of a run of fixed frames, so that it is cut up again later: three of
 * four of these are mapped so. */
static bool want_run(const struct op *op, struct wanted *want, struct where *at)
{
	vmem_paddr_t frame;
	if (!want->object || want->object->store == ANONYMOUS || (op->r[5] >> 20) % 4 == 0) {
		return false;
	}
	EXPECT(vmem_object_frame(want->object->real, 0, &frame) == VMEM_OK);
	want->offset = (RUN - (unsigned)(frame / PAGE % RUN)) % RUN;
	if (want->offset + RUN > want->object->pages) {
		return false;
	}
	at->first -= at->first % RUN;
	at->pages = RUN * (1 + (op->r[5] >> 24) % 3);
	at->pages = at->first + at->pages > PAGES ? PAGES - at->first : at->pages;
	want->map.align = RUN * PAGE;
	return true;
}

static void want_object(const struct op *op, struct wanted *want)
{
	struct vmem_map *map = &want->map;
	if (!want->run && op->kind != OP_MAP_LARGE) {
		want->offset = (op->r[6] >> 12) % (want->object->pages + 4);
	}
	map->object = want->object->real;
	map->offset = want->offset * PAGE;
	map->flags |= op->r[6] >> 20 & 1 ? VMEM_MAP_SHARED : 0;
	if (want->object->store != ANONYMOUS) {
		map->flags |= (op->r[5] >> 16) % 16 ? VMEM_MAP_SHARED : 0;
		want->wrong |= map->flags & VMEM_MAP_SHARED ? 0 : BIT(VMEM_ERR_INVALID);
	}
}

static void want_content(const struct op *op, struct wanted *want)
{
	struct vmem_map *map = &want->map;
	const struct where *at = &want->to.at;
	unsigned rights = world.vmar[at->space][at->vmar].rights;
	map->permission = permission_pick(op->r[6]);
	if (op->kind == OP_MAP_LARGE && op->r[6] >> 28) {
		map->permission = VMEM_READ | VMEM_WRITE;
	}
	map->maximum = (op->r[6] >> 8) % 4 ? VMEM_RWX : map->permission | VMEM_READ;
	if ((op->r[9] >> 4) % 8) { /* what the VMAR grants */
		map->permission &= rights;
		map->maximum &= rights;
	}
	if (want->object) {
		want_object(op, want);
	} else if ((op->r[6] >> 12) % 16 == 0) {
		map->flags |= VMEM_MAP_GUARD;
		map->permission = map->maximum = 0;
	}
	map->flags |= (op->r[6] >> 21) % 4 == 0 ? VMEM_MAP_NO_MERGE : 0;
	map->flags |= (op->r[6] >> 23) % 16 == 0 ? VMEM_MAP_POPULATE : 0;
	map->cookie = (op->r[6] >> 27) % 8 == 0;
	map->attributes = (op->r[8] >> 24) % 4 ? 0 : attributes_pick(op->r[8] >> 26);
	if (map->attributes & VMEM_REGION_GROWS_DOWN &&
	    (want->object || map->flags & (VMEM_MAP_NO_MERGE | VMEM_MAP_GUARD))) {
		want->wrong |= BIT(VMEM_ERR_INVALID);
	}
	if (map->attributes & VMEM_REGION_WIPE_ON_FORK && want->object) {
		want->wrong |= BIT(VMEM_ERR_INVALID);
	}
	want->wrong |= is_wx(at->space, map->permission) ? BIT(VMEM_ERR_WX) : 0;
	want->wrong |= map->maximum & ~rights ? BIT(VMEM_ERR_DENIED) : 0;
}

/* A page of it. */
static struct page wanted_page(const struct wanted *want, unsigned i)
{
	const struct vmem_map *map = &want->map;
	struct page page = {
	    .apart = map->pad_before || map->pad_after,
	    .flags = (uint8_t)(map->flags & (VMEM_MAP_SHARED | VMEM_MAP_GUARD | VMEM_MAP_NO_MERGE)),
	    .permission = (uint8_t)map->permission,
	    .maximum = (uint8_t)map->maximum,
	    .cookie = (uint8_t)map->cookie,
	    .attributes = (uint16_t)map->attributes,
	    .object = want->object ? (int8_t)(want->object - world.object) : -1,
	    .offset = want->offset + i,
	};
	page.attributes |= needs_promise(want->to.at.space, &page) ? VMEM_REGION_ACCOUNT : 0;
	return page;
}

static void want_quota(struct wanted *want)
{
	const struct where *at = &want->to.at;
	const struct page page = wanted_page(want, 0);
	unsigned gone = 0, promised = 0;
	for (unsigned p = at->first; want->map.place == VMEM_PLACE_REPLACE && p < at->first + at->pages;
	     p++) {
		gone += world.page[at->space][p].mapped;
		promised += (world.page[at->space][p].attributes & VMEM_REGION_ACCOUNT) != 0;
	}
	uint32_t wrong = pages_wrong(at->space, at->pages, gone);
	counters->events[EVENT_BYTES_LIMIT] += want->wrong == 0 && wrong;
	wrong |= is_data(&page) ? data_wrong(at->space, at->pages - gone) : 0;
	wrong |= page.attributes & VMEM_REGION_ACCOUNT ? promise_wrong(at->space, at->pages - promised) : 0;
	want->wrong |= wrong;
}

/* An argument that is wrong whatever the state is. */
static uint32_t spoil_argument(unsigned how, struct vmem_map *map)
{
	bool fixed = map->place == VMEM_PLACE_FIXED || map->place == VMEM_PLACE_REPLACE;
	switch (how) {
	case 0:
		map->length += 1;
		return BIT(VMEM_ERR_INVALID);
	case 1:
		map->length = 0;
		return BIT(VMEM_ERR_INVALID);
	case 2:
		map->permission = VMEM_RWX + 1;
		return BIT(VMEM_ERR_INVALID);
	case 3:
		map->align = 3 * PAGE;
		return BIT(VMEM_ERR_INVALID);
	case 4:
		map->pad_after = fixed ? 1 : map->pad_after;
		return fixed ? BIT(VMEM_ERR_INVALID) : 0;
	case 5:
		map->flags |= 1u << 20;
		return BIT(VMEM_ERR_INVALID);
	case 6:
		map->offset += 8;
		return map->flags & VMEM_MAP_GUARD ? 0 : BIT(VMEM_ERR_INVALID);
	case 7:
		map->permission = map->maximum + 1;
		return BIT(VMEM_ERR_INVALID);
	default:
		return 0;
	}
}

/* One thing more wrong, now and then. */
static void spoil(const struct op *op, struct wanted *want)
{
	const struct where *at = &want->to.at;
	const struct vmar *v = &world.vmar[at->space][at->vmar];
	unsigned how = op->r[7] >> 8 & 255;
	if (how < 2 && want->map.place != VMEM_PLACE_REPLACE) { /* just outside of the VMAR */
		want->map.place = VMEM_PLACE_FIXED;
		want->map.address = how ? page_va(v->first + v->pages) : page_va(v->first) - PAGE;
		want->map.align = 0;
		want->map.pad_before = want->map.pad_after = 0;
		want->wrong =
		    BIT(VMEM_ERR_RANGE) |
		    (want->wrong & (BIT(VMEM_ERR_WX) | BIT(VMEM_ERR_DENIED) | BIT(VMEM_ERR_INVALID)));
	} else if (how >= 2) {
		want->wrong |= spoil_argument(how - 2, &want->map);
	}
}

void populate(const struct where *at)
{
	for (unsigned p = at->first; p < at->first + at->pages; p++) {
		struct page *page = &world.page[at->space][p];
		if (page_expect(page, VMEM_WRITE) != VMEM_FAULT_RESOLVED) {
			return;
		}
		page_store(page, page_value(page));
	}
}

static void count_events(const struct wanted *want, unsigned regions_before)
{
	const struct where *at = &want->to.at;
	counters->events[EVENT_IN_CHILD] += at->vmar != 0;
	counters->events[EVENT_RUN_MAPPED] += want->run;
	if (want->map.place == VMEM_PLACE_REPLACE) {
		bool cut = world.page[at->space][at->first].strip ||
			   world.page[at->space][at->first + at->pages - 1].strip;
		counters->events[EVENT_STRIP_CUT] += cut;
		counters->events[EVENT_SEVERAL_REPLACED] +=
		    regions_before > world.space[at->space]->regions + 1;
	}
}

/* It was mapped. */
static void note(const struct wanted *want)
{
	const struct where *at = &want->to.at;
	const struct vmem_map *map = &want->map;
	where_unmap(at);
	strips_insert(at, map->pad_before, map->pad_after);
	for (unsigned i = 0; i < at->pages; i++) {
		const struct page page = wanted_page(want, i);
		page_map(at->space, at->first + i, &page);
	}
	if (map->flags & VMEM_MAP_POPULATE) {
		populate(at);
	}
	object_drop_unused();
}

bool apply_map(const struct op *op)
{
	static const enum vmem_place places[] = {VMEM_PLACE_ANY, VMEM_PLACE_HINT, VMEM_PLACE_FIXED};
	struct wanted want = {.wrong = 0};
	struct where at = where_pick(op, op->r[3] >> 16 & 1 ? 3 : op->kind == OP_REPLACE ? 64 : 24);
	vmem_vaddr_t start = 0;
	want.map.place = places[op->r[4] % 3];
	if (op->kind == OP_REPLACE) {
		want.map.place = VMEM_PLACE_REPLACE;
	} else if (op->kind == OP_MAP_STRIPS) {
		want.map.place = places[op->r[4] % 2];
		want.map.pad_before = (op->r[9] >> 8) % 4;
		want.map.pad_after = (uint8_t)((op->r[9] >> 10) % 3 + (want.map.pad_before == 0));
	}
	want.object = op->r[5] % 2 ? object_pick(op->r[5] >> 1) : NULL;
	if (op->kind == OP_MAP_LARGE) {
		want_large(&want, &at);
	} else {
		want.run = want_run(op, &want, &at);
	}
	want.to = placement_pick(op, at, &want.map);
	want.wrong = want.to.wrong;
	want_content(op, &want);
	want_quota(&want);
	want.wrong |=
	    want.map.place == VMEM_PLACE_REPLACE && is_sealed(&want.to.at) ? BIT(VMEM_ERR_SEALED) : 0;
	spoil(op, &want);
	uint64_t regions = world.space[at.space]->regions;
	bool full = near_limit(at.space, 2);
	vmem_status_t status = vmem_vmar_map(world.vmar[at.space][at.vmar].real, &want.map, &start);
	judged(op, status, want.wrong, full ? BIT(VMEM_ERR_LIMIT) : 0);
	if (status != VMEM_OK) {
		return false;
	}
	want.to.at.first = placement_check(&want.to, start);
	world.recent[at.space] = want.to.at.first;
	count_events(&want, (unsigned)regions);
	note(&want);
	return true;
}
