/* SPDX-License-Identifier: MIT */
/*
 * frame_buddy.c - the buddy allocator: free memory as aligned blocks of 2^order frames, one list per order.
 *
 * A block is known by the record of its first frame: kind PAGE_FREE, its order, and its links in the list.
 * The records inside it are PAGE_FREE_TAIL, so a block is found from a neighbour, and only from its head. A
 * block of order n has one buddy, the block whose address differs in bit n alone; two free buddies of equal
 * order are always joined.
 *
 *     order 2 list -> [F2|t|t|t]            records, F2: PAGE_FREE of order 2, t: PAGE_FREE_TAIL
 *
 * B1 A block lies in one range, is aligned to its size, and is on the list of its order; bit n of
 *    `filled` says that list n is not empty.
 * B2 No two free buddies have the same order, unless the order is the largest.
 * B3 vmem_source.free is the number of frames in all blocks, and at least vmem_source.reserved (but
 *    between taking a promised frame and lowering the promise).
 *
 * The records of a range lie in the range's last frames, which stay PAGE_RESERVED for ever. Ranges do not
 * touch, so neither do their records.
 *
 * Locks: LOCK_SOURCE over the lists, the counters, and the kind and order of all records that are, become or
 * stop being PAGE_FREE. A record of another kind may change to another such kind at any moment. The search
 * for a run that no block holds goes over all records under the lock: its time grows with memory.
 */
#include "frame_source.h"

#include "bits.h"
#include "panic.h"

#if !VMEM_HOST_FRAMES

struct vmem_source vmem_source;

static uint32_t heads[VMEM_ORDER_MAX + 1]; /* first block of each order, a page number */
static uint32_t filled;			   /* B1 */

void vmem_source_reset(void)
{
	vmem_source = (struct vmem_source){0};
	filled = 0;
	for (unsigned order = 0; order <= VMEM_ORDER_MAX; order++) {
		heads[order] = PAGE_NIL;
	}
}

struct vmem_page *vmem_source_records(uint64_t first_pfn, uint64_t count, uint64_t *usable)
{
	uint64_t frames = (count * sizeof(struct vmem_page) + VMEM_PAGE_MASK) >> VMEM_PAGE_SHIFT;
	if (frames >= count) {
		return NULL;
	}
	*usable = count - frames;
	return phys_to_virt((first_pfn + *usable) << VMEM_PAGE_SHIFT);
}

static uint64_t page_to_pfn(const struct vmem_page *page)
{
	return page_to_pa(page) >> VMEM_PAGE_SHIFT;
}

static void block_link(struct vmem_page *page, unsigned order)
{
	uint32_t number = page_to_number(page);
	shared_store(&page->kind, PAGE_FREE);
	shared_store(&page->order, (uint8_t)order);
	page->prev = PAGE_NIL;
	page->next = heads[order];
	if (page->next != PAGE_NIL) {
		number_to_page(page->next)->prev = number;
	}
	heads[order] = number;
	filled |= 1u << order;
}

/* Takes a block off its list; its head becomes an ordinary record inside it. */
static void block_unlink(struct vmem_page *page)
{
	unsigned order = page->order;
	if (page->next != PAGE_NIL) {
		number_to_page(page->next)->prev = page->prev;
	}
	if (page->prev != PAGE_NIL) {
		number_to_page(page->prev)->next = page->next;
	} else {
		heads[order] = page->next;
		if (page->next == PAGE_NIL) {
			filled &= ~(1u << order);
		}
	}
	shared_store(&page->kind, PAGE_FREE_TAIL);
}

/* The records of frames that are about to be given: no block's yet, so the lock is not needed. */
static void mark_free(struct vmem_page *page, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		shared_store(&page[i].kind, PAGE_FREE_TAIL);
	}
}

/* The functions from here to vmem_source_take() are called under the lock. */
static void give(struct vmem_page *page, unsigned order)
{
	uint64_t index;
	const struct page_range *r = page_locate(page, &index);
	counter_add(&vmem_source.free, UINT64_C(1) << order);
	for (uint64_t size = UINT64_C(1) << order; order < VMEM_ORDER_MAX; order++, size <<= 1) {
		uint64_t buddy = ((r->first_pfn + index) ^ size) - r->first_pfn;
		if (buddy >= r->count) {
			break;
		}
		struct vmem_page *other = r->pages + buddy;
		if (shared_load(&other->kind) != PAGE_FREE || other->order != order) {
			break;
		}
		block_unlink(other);
		index = buddy < index ? buddy : index;
	}
	block_link(r->pages + index, order);
}

static void give_run(struct vmem_page *page, uint64_t count)
{
	while (count != 0) {
		unsigned order = vmem_source_piece(page_to_pfn(page), count);
		give(page, order);
		page += UINT64_C(1) << order;
		count -= UINT64_C(1) << order;
	}
}

static bool affordable(uint64_t frames, bool promised)
{
	uint64_t kept = promised ? 0 : vmem_source.reserved;
	return vmem_source.free >= kept && vmem_source.free - kept >= frames;
}

/* A block of at least `order` whose first 2^order frames end at or below limit. */
static struct vmem_page *block_find(unsigned order, vmem_paddr_t limit)
{
	for (uint32_t orders = filled >> order << order; orders != 0; orders &= orders - 1) {
		uint32_t number = heads[bits_ctz64(orders)];
		if (limit == UINT64_MAX) {
			return number_to_page(number);
		}
		while (number != PAGE_NIL) {
			struct vmem_page *page = number_to_page(number);
			if (page_to_pa(page) + (VMEM_PAGE_SIZE << order) <= limit) {
				return page;
			}
			number = page->next;
		}
	}
	return NULL;
}

static struct vmem_page *take(unsigned order, vmem_paddr_t limit, bool promised)
{
	if (!affordable(UINT64_C(1) << order, promised)) {
		return NULL;
	}
	struct vmem_page *page = block_find(order, limit);
	if (!page) {
		return NULL;
	}
	unsigned have = page->order;
	block_unlink(page);
	while (have > order) {
		have--;
		block_link(page + (UINT64_C(1) << have), have);
	}
	counter_subtract(&vmem_source.free, UINT64_C(1) << order);
	return page;
}

void vmem_source_add(const struct page_range *r, uint64_t usable)
{
	vmem_source.total += usable;
	mark_free(r->pages, usable);
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	give_run(r->pages, usable);
	spin_give(&vmem_source.lock, LOCK_SOURCE);
}

void vmem_source_give(struct vmem_page *page, unsigned order)
{
	mark_free(page, UINT64_C(1) << order);
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	give(page, order);
	spin_give(&vmem_source.lock, LOCK_SOURCE);
}

void vmem_source_give_batch(struct vmem_page *const *frames, unsigned count)
{
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	for (unsigned i = 0; i < count;) {
		struct vmem_page *lowest;
		unsigned n = vmem_source_adjacent(frames + i, count - i, &lowest);
		mark_free(lowest, n);
		give_run(lowest, n);
		i += n;
	}
	spin_give(&vmem_source.lock, LOCK_SOURCE);
}

struct vmem_page *vmem_source_take(unsigned order, vmem_paddr_t limit, bool promised)
{
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	struct vmem_page *page = take(order, limit, promised);
	spin_give(&vmem_source.lock, LOCK_SOURCE);
	return page;
}

unsigned vmem_source_take_batch(struct vmem_page **out, unsigned count)
{
	unsigned taken = 0;
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	while (taken < count && filled != 0 && affordable(1, false)) {
		/* The smallest block there is; of a larger one, as much as is wanted. */
		uint64_t want = count - taken;
		uint64_t spare = vmem_source.free - vmem_source.reserved;
		unsigned most = bits_log2_floor(want < spare ? want : spare);
		unsigned order = bits_ctz64(filled);
		struct vmem_page *page = number_to_page(heads[order]);
		block_unlink(page);
		while (order > most) {
			order--;
			block_link(page + (UINT64_C(1) << order), order);
		}
		counter_subtract(&vmem_source.free, UINT64_C(1) << order);
		for (unsigned i = 1u << order; i-- != 0;) {
			shared_store(&page[i].kind, PAGE_CACHED);
			out[taken++] = page + i;
		}
	}
	spin_give(&vmem_source.lock, LOCK_SOURCE);
	return taken;
}

/* Under the lock: cuts [page, page + count) out of the free blocks that cover it; the first begins at
 * page. */
static void run_cut(struct vmem_page *page, uint64_t count)
{
	struct vmem_page *const end = page + count;
	while (page < end) {
		struct vmem_page *next = page + (UINT64_C(1) << page->order);
		block_unlink(page);
		counter_subtract(&vmem_source.free, (uint64_t)(next - page));
		page = next;
	}
	give_run(end, (uint64_t)(page - end));
}

/* Under the lock: a run that no single block holds, through the records of one range in address order. */
static struct vmem_page *run_search(
    const struct page_range *r, uint64_t count, uint64_t align, vmem_paddr_t limit)
{
	uint64_t limit_pfn = limit >> VMEM_PAGE_SHIFT;
	uint64_t start = 0; /* of the free frames that end at i */
	for (uint64_t i = 0; i < r->count;) {
		if (shared_load(&r->pages[i].kind) != PAGE_FREE) {
			start = ++i;
			continue;
		}
		i += UINT64_C(1) << r->pages[i].order;
		uint64_t first = ((r->first_pfn + start + align - 1) & ~(align - 1)) - r->first_pfn;
		if (first + count <= i) {
			if (r->first_pfn + first + count > limit_pfn) {
				return NULL;
			}
			/* A block begins at `first`: one that had it inside would begin at a multiple of
			 * align too (B1), at or after start. Blocks before it stay as they are. */
			run_cut(r->pages + first, count);
			return r->pages + first;
		}
	}
	return NULL;
}

static struct vmem_page *take_run(uint64_t count, uint64_t align, vmem_paddr_t limit)
{
	if (count > vmem_source.free || !affordable(count, false)) {
		return NULL;
	}
	unsigned order = bits_log2_ceil(count > align ? count : align);
	if (order <= VMEM_ORDER_MAX && affordable(UINT64_C(1) << order, false)) {
		struct vmem_page *page = take(order, limit, false);
		if (page) {
			give_run(page + count, (UINT64_C(1) << order) - count);
			return page;
		}
	}
	for (unsigned i = 0; i < vmem_page_ranges.count; i++) {
		struct vmem_page *page = run_search(&vmem_page_ranges.range[i], count, align, limit);
		if (page) {
			return page;
		}
	}
	return NULL;
}

struct vmem_page *vmem_source_take_run(uint64_t count, uint64_t align, vmem_paddr_t limit)
{
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	struct vmem_page *page = take_run(count, align, limit);
	spin_give(&vmem_source.lock, LOCK_SOURCE);
	return page;
}

bool vmem_source_reserve(uint64_t frames)
{
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	bool kept = affordable(frames, false);
	if (kept) {
		counter_add(&vmem_source.reserved, frames);
	}
	spin_give(&vmem_source.lock, LOCK_SOURCE);
	return kept;
}

bool vmem_source_unreserve(uint64_t frames)
{
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	bool promised = frames <= vmem_source.reserved;
	if (promised) {
		counter_subtract(&vmem_source.reserved, frames);
	}
	spin_give(&vmem_source.lock, LOCK_SOURCE);
	return promised;
}

/* One block of list `order`: B1, B2, and the records inside it. */
static void check_block(const struct vmem_page *page, unsigned order)
{
	uint64_t pfn = page_to_pfn(page);
	const struct page_range *r = vmem_page_range_of(page);
	uint64_t index = pfn - r->first_pfn;
	VMEM_CHECK(page->kind == PAGE_FREE && page->order == order,
	    "a free list holds a record that is no free block of its order");
	VMEM_CHECK((pfn & ((UINT64_C(1) << order) - 1)) == 0, "a free block is not aligned to its size");
	VMEM_CHECK(index + (UINT64_C(1) << order) <= r->count, "a free block passes the end of its range");
	for (uint64_t i = 1; i < UINT64_C(1) << order; i++) {
		VMEM_CHECK(page[i].kind == PAGE_FREE_TAIL, "a record inside a free block does not say so");
	}
	uint64_t buddy = (pfn ^ UINT64_C(1) << order) - r->first_pfn;
	if (order < VMEM_ORDER_MAX && buddy < r->count) {
		VMEM_CHECK(r->pages[buddy].kind != PAGE_FREE || r->pages[buddy].order != order,
		    "two free buddies were not joined");
	}
}

void vmem_source_check(void)
{
	uint64_t free = 0;
	for (unsigned order = 0; order <= VMEM_ORDER_MAX; order++) {
		uint32_t prev = PAGE_NIL;
		VMEM_CHECK((heads[order] != PAGE_NIL) == (filled >> order & 1),
		    "the bitmap of free lists disagrees with a list");
		for (uint32_t number = heads[order]; number != PAGE_NIL;) {
			const struct vmem_page *page = number_to_page(number);
			check_block(page, order);
			VMEM_CHECK(page->prev == prev, "a free list's back link is wrong");
			free += UINT64_C(1) << order;
			prev = number;
			number = page->next;
		}
	}
	VMEM_CHECK(free == vmem_source.free, "the free lists hold another number of frames than is counted");
	VMEM_CHECK(vmem_source.reserved <= free, "more frames are promised than are free");
}

#endif
