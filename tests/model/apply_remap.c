/* SPDX-License-Identifier: MIT */
/*
 * apply_remap.c - mremap in all its forms: page by page what Linux does, one step after the other, because
 * what a step has done stays when the next is refused.
 */
#include "process.h"

struct remap {
	unsigned space, first, old, new, target; /* pages */
	int flags;
	unsigned end; /* of the mapping that has the first page */
};

static bool has_target(const struct remap *r)
{
	return r->flags & (VMEM_MREMAP_FIXED | VMEM_MREMAP_DONTUNMAP);
}

static bool find_mapping(struct remap *r)
{
	const struct page *page = world.page[r->space];
	if (r->first >= PAGES || !page[r->first].mapped || page[r->first].vmar != 0) {
		return false;
	}
	r->end = mapping_end(r->space, r->first);
	return true;
}

/* What munmap is refused for; else it is done. */
static uint32_t unmap(struct remap *r, unsigned first, unsigned pages)
{
	const struct where at = {r->space, 0, first, first + pages > PAGES ? PAGES - first : pages};
	uint32_t wrong = where_wrong(&at, VMEM_ERR_INVALID);
	wrong |= is_sealed(&at) ? BIT(VMEM_ERR_SEALED) : 0;
	if (wrong == 0) {
		where_unmap(&at);
		object_drop_unused();
	}
	return errors_of(wrong);
}

static uint32_t cut_end(struct remap *r)
{
	uint32_t wrong = unmap(r, r->first + r->new, r->old - r->new);
	r->old = wrong ? r->old : r->new;
	return wrong;
}

/* What Linux asks before it changes anything. */
static uint32_t check(struct remap *r)
{
	const struct page *page = &world.page[r->space][r->first];
	if (!find_mapping(r)) {
		return BIT(E_FAULT);
	}
	if (page->attributes & VMEM_REGION_SEALED) {
		return BIT(E_PERM);
	}
	if (r->old >= r->new && !has_target(r)) {
		return 0;
	}
	if (r->old == 0 && !(page->flags & VMEM_MAP_SHARED)) {
		return BIT(E_INVAL);
	}
	const unsigned length = r->old < r->new ? r->old : r->new, more = r->new - length;
	const bool device = page->object >= 0 && world.object[page->object].store != ANONYMOUS;
	if (device && r->flags & VMEM_MREMAP_DONTUNMAP) {
		return BIT(E_INVAL);
	}
	if (length > r->end - r->first || (device && more > 0)) {
		return BIT(E_FAULT);
	}
	return more == 0 ? 0
			 : lock_wrong(r->space, more, page->attributes) |
			       errors_of(pages_wrong(r->space, more, 0) |
					 (is_data(page) ? data_wrong(r->space, more) : 0));
}

/* What the pages that come to be are refused for: `more` like the last of so many, which stay if kept. */
static uint32_t more_wrong(const struct remap *r, unsigned pages, unsigned more, bool keeps)
{
	const struct page *page = &world.page[r->space][r->first], *last = &page[pages ? pages - 1 : 0];
	uint64_t data = is_data(last) ? more : 0;
	uint64_t promised = last->attributes & VMEM_REGION_ACCOUNT ? more : 0;
	for (unsigned i = 0; keeps && i < pages; i++) {
		data += is_data(&page[i]);
		promised += (page[i].attributes & VMEM_REGION_ACCOUNT) != 0;
	}
	return errors_of(pages_wrong(r->space, more + (keeps ? pages : 0), 0) |
			 (data ? data_wrong(r->space, data) : 0) | promise_wrong(r->space, promised));
}

/* A place of the new length: the one that is named, if it is free, else the highest. */
static uint32_t place(const struct remap *r, struct where *to)
{
	const struct room room = {
	    .space = r->space, .vmar = 0, .pages = r->new, .align = 1, .low = 0, .high = PAGES};
	*to = (struct where){r->space, 0, has_target(r) ? r->target : PAGES, r->new};
	if (r->flags & VMEM_MREMAP_FIXED) {
		return is_free(r->space, 0, to->first, r->new) ? 0 : BIT(E_EXIST);
	}
	if (!has_target(r) || !room_fits(&room, to->first)) {
		to->first = room_find(&room, true);
	}
	return to->first == PAGES ? BIT(E_NOMEM) : 0;
}

/* The same object once more. */
static uint32_t duplicate(const struct remap *r, const struct where *to)
{
	struct page page = world.page[r->space][r->first];
	uint32_t wrong = more_wrong(r, 0, to->pages, false);
	if (wrong) {
		return wrong;
	}
	page.own = page.guarded = page.cut = page.apart = false;
	strips_insert(to, 0, 0);
	for (unsigned p = to->first; p < to->first + to->pages; p++, page.offset++) {
		page_map(r->space, p, &page);
	}
	return 0;
}

static uint32_t move(struct remap *r, unsigned *out)
{
	struct where to;
	if (r->flags & VMEM_MREMAP_FIXED && r->target + r->new > PAGES) {
		return BIT(E_NOMEM);
	}
	uint32_t wrong = place(r, &to);
	*out = to.first;
	if (wrong) {
		return wrong;
	}
	if (r->old == 0) {
		return duplicate(r, &to);
	}
	const bool keeps = r->flags & VMEM_MREMAP_DONTUNMAP;
	const struct where from = {r->space, 0, r->first, r->old};
	wrong = more_wrong(r, r->old, r->new - r->old, keeps);
	if (wrong == 0) {
		move_pages(&from, &to, keeps);
	}
	return wrong;
}

static uint32_t move_to_target(struct remap *r, unsigned *out)
{
	uint32_t wrong = r->flags & VMEM_MREMAP_FIXED ? unmap(r, r->target, r->new) : 0;
	if (wrong == 0 && r->flags & VMEM_MREMAP_FIXED && !find_mapping(r)) {
		wrong = BIT(E_FAULT);
	}
	if (wrong == 0 && r->old > r->new) {
		wrong = cut_end(r);
	}
	return wrong ? wrong : move(r, out);
}

/* In place, if the mapping ends there and nothing is behind it. */
static uint32_t grow(struct remap *r, unsigned *out)
{
	const unsigned more = r->new - r->old;
	const struct where at = {r->space, 0, r->end, more};
	if (r->old != r->end - r->first || r->end + more > PAGES || !is_free(r->space, 0, r->end, more)) {
		return r->flags & VMEM_MREMAP_MAYMOVE ? move(r, out) : BIT(E_NOMEM);
	}
	uint32_t wrong = more_wrong(r, r->old, more, false);
	struct page page = world.page[r->space][r->end - 1];
	page.own = page.guarded = page.cut = page.apart = false;
	for (unsigned p = r->end; wrong == 0 && p < r->end + more; p++) {
		page.offset += page.object >= 0;
		page_map(r->space, p, &page);
	}
	if (wrong == 0) {
		strips_insert(&at, 0, 0);
		strips_settle(r->space);
	}
	return wrong;
}

static uint32_t remap_one(struct remap *r, unsigned *out)
{
	uint32_t wrong = check(r);
	*out = r->first;
	if (wrong) {
		return wrong;
	}
	if (has_target(r)) {
		return move_to_target(r, out);
	}
	if (r->old > r->new) {
		return cut_end(r);
	}
	return r->old < r->new ? grow(r, out) : 0;
}

/* To a fixed place without a change of size: mapping by mapping, holes included. */
static uint32_t remap_several(struct remap *r, unsigned *out)
{
	const unsigned first = r->first, end = first + r->old, target = r->target;
	const struct page *page = world.page[r->space];
	uint32_t wrong = page[first].mapped || page[first].vmar != 0 ? 0 : BIT(E_FAULT);
	for (unsigned p = first, moved; wrong == 0 && p < end;) {
		if (p == PAGES) {
			break;
		}
		if (!page[p].mapped && page[p].vmar == 0) {
			p++;
			continue;
		}
		r->first = p;
		if (!find_mapping(r)) {
			return BIT(E_FAULT);
		}
		const unsigned until = r->end < end ? r->end : end;
		r->target = target + (p - first);
		r->old = r->new = until - p;
		wrong = remap_one(r, &moved);
		p = until;
	}
	*out = target;
	return wrong;
}

/* Where a region that is kept apart ends, pages do not tell. */
static bool is_kept_apart(const struct remap *r)
{
	for (unsigned p = r->first; p <= r->first + r->old && p < PAGES; p++) {
		if (world.page[r->space][p].flags & VMEM_MAP_NO_MERGE) {
			return true;
		}
	}
	return false;
}

static uint32_t arguments_wrong(const struct remap *r)
{
	if (r->new == 0) {
		return BIT(E_INVAL);
	}
	if (!has_target(r)) {
		return 0;
	}
	bool overlaps = r->first + r->old > r->target && r->target + r->new > r->first;
	bool resizes = r->flags & VMEM_MREMAP_DONTUNMAP && r->old != r->new;
	return overlaps || resizes || !(r->flags & VMEM_MREMAP_MAYMOVE) ? BIT(E_INVAL) : 0;
}

static struct remap pick(const struct op *op, unsigned space)
{
	static const uint8_t forms[] = {0, 1, 1, 1, 1, 3, 3, 3, 3, 5, 5, 7, 7, 2, 4, 6};
	struct where at = {.space = space, .first = op->r[2] % PAGES, .pages = 1 + op->r[3] % 24};
	on_mapped(op, &at);
	struct remap r = {.space = space, .first = at.first, .old = at.pages, .new = at.pages};
	r.flags = forms[op->r[4] % 16];
	r.target = op->r[5] & 3 ? (at.first + 16 * (op->r[5] >> 2) % PAGES) % PAGES : op->r[5] % PAGES;
	switch (op->r[6] % 8) {
	case 0:
		r.old = 0;
		break;
	case 1:
	case 2:
		r.new = op->r[6] / 8 % (at.pages + 1);
		break;
	case 3:
	case 4:
		r.new += 1 + op->r[6] / 8 % 12;
		break;
	default:
		break;
	}
	return r;
}

bool apply_remap(const struct op *op, unsigned space)
{
	struct remap r = pick(op, space);
	const vmem_vaddr_t address = page_va(r.first), target = page_va(r.target);
	const unsigned old = r.old, new = r.new;
	unsigned at = r.first;
	vmem_vaddr_t out = 0;
	if (near_limit(space, 2 * (old + new) + 8) || r.first + r.old > PAGES || is_kept_apart(&r)) {
		return false; /* what a step before the one that is refused has done depends on keys */
	}
	uint32_t wrong = arguments_wrong(&r);
	int error = vmem_posix_mremap(&world.nature[space].posix, address, old * PAGE - (old && op->r[7] & 1),
	    new *PAGE - (new && op->r[7] & 2), r.flags, target, &out);
	if (wrong == 0 && r.flags & VMEM_MREMAP_FIXED && old == new) {
		wrong = remap_several(&r, &at);
	} else if (wrong == 0) {
		wrong = remap_one(&r, &at);
	}
	judged_errno(op, error, wrong);
	world.recent[space] = at < PAGES ? at : 0;
	if (error) {
		return true;
	}
	if (out != page_va(at)) {
		model_fail(
		    __FILE__, __LINE__, "moved to %llx, expected is page %u", (unsigned long long)out, at);
	}
	if (new > old) {
		(void)populate_locked(space, at + old, at + new);
	}
	return true;
}
