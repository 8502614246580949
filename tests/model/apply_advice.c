/* SPDX-License-Identifier: MIT */
/*
 * apply_advice.c - what is changed or asked over a range while its regions stay: attributes, guards, which
 * pages have frames.
 */
#include "model.h"

#include "region.h"

#include <string.h>

static const uint32_t attributes[] = {VMEM_REGION_NO_DUMP, VMEM_REGION_LOCKED, VMEM_REGION_RANDOM,
    VMEM_REGION_SEQUENTIAL, VMEM_REGION_NO_FORK, VMEM_REGION_NO_DUMP | VMEM_REGION_LOCKED, 0,
    VMEM_REGION_WIPE_ON_FORK};
static const uint32_t lasting[] = {
    VMEM_REGION_GROWS_DOWN, VMEM_REGION_GROWS_DOWN, VMEM_REGION_ACCOUNT, VMEM_REGION_NO_RESERVE};

uint32_t attributes_pick(uint32_t r)
{
	return attributes[r % (sizeof(attributes) / sizeof(attributes[0]))] |
	       ((r >> 3 & 7) == 0 ? lasting[r >> 6 & 3] : 0);
}

bool is_sealed(const struct where *at)
{
	for (unsigned p = at->first; p < at->first + at->pages && p < PAGES; p++) {
		const struct page *page = &world.page[at->space][p];
		if (page->mapped && page->attributes & VMEM_REGION_SEALED) {
			return true;
		}
	}
	return false;
}

static uint32_t covered_wrong(const struct where *at)
{
	return where_mapped(at) < at->pages ? BIT(VMEM_ERR_NOT_FOUND) : 0;
}

static bool change(const struct op *op)
{
	struct where at = where_pick(op, op->r[3] >> 16 & 1 ? 3 : 16);
	const uint32_t fixed = VMEM_REGION_GROWS_DOWN | VMEM_REGION_ACCOUNT | VMEM_REGION_NO_RESERVE;
	uint32_t set = attributes_pick(op->r[4]), clear = attributes_pick(op->r[4] >> 12) & ~set, wrong;
	set &= op->r[5] >> 16 & 15 ? ~fixed : UINT32_MAX; /* mostly what can be changed */
	clear &= op->r[5] >> 16 & 15 ? ~fixed : UINT32_MAX;
	vmem_vaddr_t start;
	uint64_t length;
	bool changed = false;
	on_mapped(op, &at);
	bool full = near_limit(at.space, 2);
	wrong = range_pick(op, &at, VMEM_ERR_INVALID, &start, &length) | covered_wrong(&at);
	set |= (op->r[5] & 15) == 0 && at.pages < 4 ? (uint32_t)VMEM_REGION_SEALED : 0;
	if ((op->r[5] >> 8 & 63) == 0) {
		clear |= VMEM_REGION_SEALED | VMEM_REGION_GUARDS;
		wrong |= BIT(VMEM_ERR_INVALID);
	}
	wrong |= (set | clear) & fixed ? BIT(VMEM_ERR_INVALID) : 0;
	for (unsigned p = at.first; set & VMEM_REGION_WIPE_ON_FORK && p < at.first + at.pages; p++) {
		wrong |= world.page[at.space][p].object >= 0 ? BIT(VMEM_ERR_UNSUPPORTED) : 0;
	}
	vmem_status_t status =
	    vmem_vmar_set_attributes(world.vmar[at.space][at.vmar].real, start, length, set, clear);
	judged(op, status, wrong, full ? BIT(VMEM_ERR_LIMIT) : 0);
	world.recent[at.space] = at.first;
	for (unsigned p = at.first; status == VMEM_OK && p < at.first + at.pages; p++) {
		struct page *page = &world.page[at.space][p];
		uint16_t now = (uint16_t)((page->attributes & ~clear) | set);
		changed |= page->attributes != now;
		page->attributes = now;
	}
	return changed;
}

/* Whether a page of the range shows frames that were made with their object. */
static bool is_fixed(const struct where *at)
{
	for (unsigned p = at->first; p < at->first + at->pages; p++) {
		const struct page *page = &world.page[at->space][p];
		if (page->mapped && page->object >= 0 && world.object[page->object].store != ANONYMOUS) {
			return true;
		}
	}
	return false;
}

static bool guard(const struct op *op)
{
	struct where at = where_pick(op, op->r[3] >> 16 & 1 ? 3 : 20);
	const bool on = op->kind == OP_GUARD;
	vmem_vaddr_t start;
	uint64_t length;
	bool changed = false;
	on_mapped(op, &at);
	uint32_t wrong = range_pick(op, &at, VMEM_ERR_INVALID, &start, &length) | covered_wrong(&at);
	wrong |= is_fixed(&at) ? BIT(VMEM_ERR_UNSUPPORTED) : 0;
	struct vmem_vmar *vmar = world.vmar[at.space][at.vmar].real;
	vmem_status_t status =
	    on ? vmem_vmar_guard(vmar, start, length) : vmem_vmar_unguard(vmar, start, length);
	judged(op, status, wrong, 0);
	world.recent[at.space] = at.first;
	for (unsigned p = at.first; status == VMEM_OK && p < at.first + at.pages; p++) {
		struct page *page = &world.page[at.space][p];
		changed |= page->guarded != on || (on && page->own);
		page->own &= !on;
		page->guarded = on;
	}
	return changed;
}

static bool resident(const struct op *op)
{
	struct where at = where_pick(op, 20);
	uint8_t answer[PAGES];
	vmem_vaddr_t start;
	uint64_t length;
	on_mapped(op, &at);
	uint32_t wrong = range_pick(op, &at, VMEM_ERR_INVALID, &start, &length) | covered_wrong(&at);
	vmem_status_t status = vmem_vmar_resident(world.vmar[at.space][at.vmar].real, start, length, answer);
	judged(op, status, wrong, 0);
	for (unsigned i = 0; status == VMEM_OK && i < at.pages; i++) {
		const struct page *page = &world.page[at.space][at.first + i];
		const bool nothing = page->guarded && page->object < 0;
		EXPECT(answer[i] <= 1 && (!page->own || answer[i]) && !(nothing && answer[i]));
	}
	return false;
}

bool apply_advice(const struct op *op)
{
	return op->kind == OP_ATTRIBUTES ? change(op) : op->kind == OP_RESIDENT ? resident(op) : guard(op);
}
