/* SPDX-License-Identifier: MIT */
/*
 * frame_host.c - frames from a host that has an allocator of its own (VMEM_HOST_FRAMES).
 *
 * The ranges given to vmem_library_init() then only say where the host's frames may lie; each has its
 * records, which are themselves in blocks taken from the host. A frame that the host has is PAGE_RESERVED
 * in our records.
 *
 * The host cannot promise frames by a counter, so a promise is kept by holding that many of its frames:
 * they are PAGE_FREE, on one list.
 * H1 `held` lists vmem_source.free frames, and that is vmem_source.reserved between calls (but between
 *    taking a promised frame and lowering the promise).
 *
 * Locks: LOCK_SOURCE over that list and the counters, never while the host is called: frames are taken
 * before and given back after. A frame on its way is on no list, so nobody else gives it back. The host's
 * two functions are called with spin locks of the library held all the same (a CPU's cache, a type of small
 * objects), as vmem/host.h says.
 */
#include "frame_source.h"

#include "bits.h"
#include "panic.h"

#if VMEM_HOST_FRAMES

struct vmem_source vmem_source;

static uint32_t held; /* H1: page number of the first, or PAGE_NIL */

void vmem_source_reset(void)
{
	vmem_source = (struct vmem_source){0};
	held = PAGE_NIL;
}

/* Gives what a run does not need of its block back to the host. */
static void trim_block(vmem_paddr_t pa, uint64_t count)
{
	while (count != 0) {
		unsigned order = vmem_source_piece(pa >> VMEM_PAGE_SHIFT, count);
		vmem_host_frame_free(pa, order);
		pa += VMEM_PAGE_SIZE << order;
		count -= UINT64_C(1) << order;
	}
}

struct vmem_page *vmem_source_records(uint64_t first_pfn, uint64_t count, uint64_t *usable)
{
	(void)first_pfn;
	/* One more than there are, so that the arrays of two ranges never touch: neighbours in an array
	 * are neighbours in memory. */
	uint64_t frames = ((count + 1) * sizeof(struct vmem_page) + VMEM_PAGE_MASK) >> VMEM_PAGE_SHIFT;
	unsigned order = bits_log2_ceil(frames);
	vmem_paddr_t pa;
	if (order > VMEM_ORDER_MAX || !vmem_host_frame_alloc(order, UINT64_MAX, &pa)) {
		return NULL;
	}
	trim_block(pa + (frames << VMEM_PAGE_SHIFT), (UINT64_C(1) << order) - frames);
	*usable = count;
	return phys_to_virt(pa);
}

void vmem_source_add(const struct page_range *r, uint64_t usable)
{
	(void)r;
	vmem_source.total += usable;
}

static struct vmem_page *take_from_host(unsigned order, vmem_paddr_t limit)
{
	vmem_paddr_t pa;
	if (!vmem_host_frame_alloc(order, limit, &pa)) {
		return NULL;
	}
	struct vmem_page *page = pa_to_page(pa);
	struct vmem_page *last = pa_to_page(pa + ((VMEM_PAGE_SIZE << order) - 1));
	VMEM_CHECK((pa & ((VMEM_PAGE_SIZE << order) - 1)) == 0,
	    "the host gave a block that is not aligned to its size");
	VMEM_CHECK(page && last && (uint64_t)(last - page) == (UINT64_C(1) << order) - 1,
		"the host gave a frame outside the ranges that it gave to vmem_library_init()");
	for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
		VMEM_CHECK(
		    page[i].kind == PAGE_RESERVED, "the host gave a frame that the library has already");
	}
	return page;
}

/* Back to the host: it may write to the frames, so they lose their poison. */
static void give_to_host(struct vmem_page *page, unsigned order)
{
	for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
		shared_store(&page[i].kind, PAGE_RESERVED);
		shared_store(&page[i].flags, 0);
	}
	vmem_host_frame_free(page_to_pa(page), order);
}

static void chain_to_host(uint32_t chain)
{
	while (chain != PAGE_NIL) {
		give_to_host(page_chain_pop(&chain), 0);
	}
}

struct vmem_page *vmem_source_take(unsigned order, vmem_paddr_t limit, bool promised)
{
	struct vmem_page *page = take_from_host(order, limit);
	if (!page && promised) {
		spin_take(&vmem_source.lock, LOCK_SOURCE);
		if (held != PAGE_NIL) {
			page = page_chain_pop(&held);
			counter_subtract(&vmem_source.free, 1);
		}
		spin_give(&vmem_source.lock, LOCK_SOURCE);
	}
	return page;
}

struct vmem_page *vmem_source_take_run(uint64_t count, uint64_t align, vmem_paddr_t limit)
{
	unsigned order = bits_log2_ceil(count > align ? count : align);
	if (order > VMEM_ORDER_MAX) {
		return NULL;
	}
	struct vmem_page *page = take_from_host(order, limit);
	if (page) {
		trim_block(page_to_pa(page) + (count << VMEM_PAGE_SHIFT), (UINT64_C(1) << order) - count);
	}
	return page;
}

void vmem_source_give(struct vmem_page *page, unsigned order)
{
	give_to_host(page, order);
}

unsigned vmem_source_take_batch(struct vmem_page **out, unsigned count)
{
	unsigned taken = 0;
	while (taken < count && (out[taken] = take_from_host(0, UINT64_MAX)) != NULL) {
		shared_store(&out[taken++]->kind, PAGE_CACHED);
	}
	return taken;
}

void vmem_source_give_batch(struct vmem_page *const *frames, unsigned count)
{
	for (unsigned i = 0; i < count;) {
		struct vmem_page *page;
		uint64_t n = vmem_source_adjacent(frames + i, count - i, &page);
		i += (unsigned)n;
		while (n != 0) {
			unsigned order = vmem_source_piece(page_to_pa(page) >> VMEM_PAGE_SHIFT, n);
			give_to_host(page, order);
			page += UINT64_C(1) << order;
			n -= UINT64_C(1) << order;
		}
	}
}

bool vmem_source_reserve(uint64_t frames)
{
	uint32_t chain = PAGE_NIL;
	for (uint64_t i = 0; i < frames; i++) {
		struct vmem_page *page = take_from_host(0, UINT64_MAX);
		if (!page) {
			chain_to_host(chain);
			return false;
		}
		shared_store(&page->kind, PAGE_FREE);
		shared_store(&page->order, 0);
		page_chain_push(&chain, page);
	}
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	while (chain != PAGE_NIL) {
		page_chain_push(&held, page_chain_pop(&chain));
	}
	counter_add(&vmem_source.free, frames);
	counter_add(&vmem_source.reserved, frames);
	spin_give(&vmem_source.lock, LOCK_SOURCE);
	return true;
}

bool vmem_source_unreserve(uint64_t frames)
{
	uint32_t chain = PAGE_NIL;
	spin_take(&vmem_source.lock, LOCK_SOURCE);
	bool promised = frames <= vmem_source.reserved;
	if (promised) {
		counter_subtract(&vmem_source.reserved, frames);
		while (vmem_source.free > vmem_source.reserved) {
			page_chain_push(&chain, page_chain_pop(&held));
			counter_subtract(&vmem_source.free, 1);
		}
	}
	spin_give(&vmem_source.lock, LOCK_SOURCE);
	chain_to_host(chain);
	return promised;
}

void vmem_source_check(void)
{
	uint64_t count = 0;
	for (uint32_t number = held; number != PAGE_NIL; count++) {
		const struct vmem_page *page = number_to_page(number);
		VMEM_CHECK(
		    page->kind == PAGE_FREE && page->order == 0, "a frame held for the promise is not free");
		number = page->next;
	}
	VMEM_CHECK(count == vmem_source.free && count == vmem_source.reserved,
	    "another number of frames is held than was promised");
}

#endif
