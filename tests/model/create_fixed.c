/* SPDX-License-Identifier: MIT */
/*
 * create_fixed.c - objects of fixed frames: contiguous ones, and physical ones over RAM that the host has
 * from the library and over device memory. Physical objects of one range show one content.
 */
#include "model.h"

#include <string.h>

#include "page.h"

static vmem_cache_t cache_pick(uint32_t r)
{
	static const vmem_cache_t caches[] = {VMEM_WRITE_BACK, VMEM_WRITE_BACK, VMEM_WRITE_BACK,
	    VMEM_WRITE_BACK, VMEM_WRITE_THROUGH, VMEM_WRITE_COMBINING, VMEM_WRITE_COMBINING, VMEM_UNCACHED};
	return caches[r % 8];
}

bool object_has_address(const struct object *object)
{
	return object->store == ANONYMOUS || (object->store != DEVICE && object->cache == VMEM_WRITE_BACK);
}

/* True if so many adjacent frames are free, as the allocator's own records have it after it has given up. */
static bool run_exists(unsigned pages, uint64_t align, uint64_t limit)
{
	for (unsigned i = 0; i < vmem_page_ranges.count; i++) {
		const struct page_range *range = &vmem_page_ranges.range[i];
		unsigned run = 0;
		for (uint64_t n = 0; n < range->count; n++) {
			uint64_t pfn = range->first_pfn + n;
			bool free =
			    range->pages[n].kind == PAGE_FREE || range->pages[n].kind == PAGE_FREE_TAIL;
			run = !free ? 0 : run > 0 ? run + 1 : (pfn * PAGE) % align == 0 ? 1 : 0;
			if (run >= pages && (limit == 0 || (pfn + 1) * PAGE <= limit)) {
				return true;
			}
		}
	}
	return false;
}

static bool contiguous(const struct op *op)
{
	static const uint8_t aligns[8] = {[3] = 1, [4] = 2, [5] = 16, [6] = 16, [7] = 64};
	struct object *o = object_slot();
	struct vmem_object *real = NULL;
	unsigned pages = op->r[1] % 4 ? 1 + (op->r[1] >> 2) % OBJECT_PAGES : 16u << (op->r[1] >> 2) % 3;
	uint64_t align = aligns[op->r[2] % 8] * PAGE, limit = 0;
	vmem_cache_t cache = cache_pick(op->r[4]);
	uint64_t size = pages * PAGE - op->r[5] % PAGE;
	uint32_t wrong = 0, may = BIT(VMEM_ERR_NO_MEMORY);
	if (!o) {
		return false;
	}
	if ((op->r[2] >> 8) % 4 == 0) { /* in the lower range of RAM */
		limit = machine_config()->ram[0].start + machine_config()->ram[0].length;
	}
	switch (op->r[3] & 63) {
	case 0:
		size = 0;
		wrong = BIT(VMEM_ERR_INVALID);
		break;
	case 1:
		align = 3 * PAGE;
		wrong = BIT(VMEM_ERR_INVALID);
		break;
	case 2:
		cache = VMEM_CACHE_COUNT;
		wrong = BIT(VMEM_ERR_INVALID);
		break;
	case 3:
	case 4:
		limit = PAGE;
		wrong = BIT(VMEM_ERR_NO_MEMORY);
		break;
	default:
		break;
	}
	vmem_status_t status = vmem_object_create_contiguous(size, align, limit, cache, &real);
	judged(op, status, wrong, may);
	if (status != VMEM_OK) {
		EXPECT(wrong || !run_exists(pages, align ? align : PAGE, limit));
		return false;
	}
	*o = (struct object){.real = real,
	    .held = true,
	    .store = CONTIGUOUS,
	    .cache = (uint8_t)cache,
	    .content = world.content[o - world.object],
	    .pages = pages,
	    .store_pages = pages};
	memset(o->content, 0, sizeof(world.content[0]));
	for (unsigned p = 0; p < pages; p++) {
		vmem_paddr_t first, frame;
		EXPECT(vmem_object_frame(real, 0, &first) == VMEM_OK);
		EXPECT(vmem_object_frame(real, p * PAGE, &frame) == VMEM_OK && frame == first + p * PAGE);
		EXPECT((align == 0 || first % align == 0) && (limit == 0 || frame + PAGE <= limit));
	}
	return true;
}

/* True if a live object gives a page of the range another attribute. */
static bool conflicts(enum backing store, unsigned first, unsigned pages, vmem_cache_t cache)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		const struct object *o = &world.object[i];
		if (o->real && o->store == store && o->cache != cache &&
		    first < o->store_first + o->store_pages && o->store_first < first + pages) {
			return true;
		}
	}
	return false;
}

static bool physical(const struct op *op)
{
	struct object *o = object_slot();
	struct vmem_object *real = NULL;
	enum backing store = op->r[1] % 2 ? HOST : DEVICE;
	unsigned first = op->r[2] % OBJECT_PAGES, pages = 1 + op->r[5] % 24;
	vmem_cache_t cache = cache_pick(op->r[4]);
	pages = first + pages > OBJECT_PAGES ? OBJECT_PAGES - first : pages;
	if (store == DEVICE && op->r[6] % 2) { /* what a large leaf can show */
		first = 0;
		pages = LARGE;
	}
	uint64_t start = first * PAGE + (store == HOST ? world.host_start : machine_config()->device.start);
	uint64_t size = pages * PAGE;
	uint32_t wrong = conflicts(store, first, pages, cache) ? BIT(VMEM_ERR_CONFLICT) : 0;
	if (!o) {
		return false;
	}
	switch (op->r[3] & 63) {
	case 0:
		start += 8;
		wrong |= BIT(VMEM_ERR_INVALID);
		break;
	case 1:
		size = 0;
		wrong |= BIT(VMEM_ERR_INVALID);
		break;
	case 2:
		cache = VMEM_CACHE_COUNT;
		wrong |= BIT(VMEM_ERR_INVALID);
		break;
	case 3:
		start = UINT64_C(1) << machine_config()->pa_bits;
		wrong = BIT(VMEM_ERR_RANGE);
		break;
	case 4: /* RAM that is not the host's */
		start = world.host_start - PAGE;
		size = 2 * PAGE;
		wrong = BIT(VMEM_ERR_CONFLICT);
		break;
	default:
		break;
	}
	vmem_status_t status = vmem_object_create_physical(start, size, cache, &real);
	judged(op, status, wrong, 0);
	if (status != VMEM_OK) {
		return false;
	}
	*o = (struct object){.real = real,
	    .held = true,
	    .store = (uint8_t)store,
	    .cache = (uint8_t)cache,
	    .content = store == HOST ? world.host : world.device,
	    .first = first,
	    .pages = pages,
	    .store_first = first,
	    .store_pages = pages};
	return true;
}

bool create_fixed(const struct op *op)
{
	return op->kind == OP_CONTIGUOUS ? contiguous(op) : physical(op);
}
