/* SPDX-License-Identifier: MIT */
/*
 * frame_source.h - where frame.c gets its frames when the caches of the CPUs do not have them: the buddy
 * allocator (frame_buddy.c), or the host's own one (frame_host.c). The build option VMEM_HOST_FRAMES
 * decides which of the two files has content.
 *
 * A frame that a source has is in no cache and in nobody's hands; its record's kind is the source's
 * business. Nothing here looks at the content of frames.
 */
#ifndef VMEM_FRAME_SOURCE_H
#define VMEM_FRAME_SOURCE_H

#include "bits.h"
#include "page.h"

struct vmem_source {
	uint64_t total;	   /* frames that can ever be had */
	uint64_t free; /* frames the source has now; of the host's allocator, those held for the promise */
	uint64_t reserved; /* promised; at most `free`, but while a promised frame is being taken */
};
extern struct vmem_source vmem_source;

/* Forgets everything. */
void vmem_source_reset(void);
/* Room for `count` records of the range that starts at first_pfn, not adjacent to that of another range;
 * NULL: none. *usable: how many of the range's frames stay usable, from the first on. */
struct vmem_page *vmem_source_records(uint64_t first_pfn, uint64_t count, uint64_t *usable);
/* The first `usable` frames of a range, whose records are there and zero, may be taken from now on. */
void vmem_source_add(const struct page_range *r, uint64_t usable);

/* 2^order frames that lie below limit (exclusive, bytes); NULL: none. Leaves the promised frames alone
 * unless `promised`, which is for single ones anywhere (order 0, limit UINT64_MAX). */
struct vmem_page *vmem_source_take(unsigned order, vmem_paddr_t limit, bool promised);
/* `count` contiguous frames, the first aligned to `align` frames (a power of two). Never promised ones. */
struct vmem_page *vmem_source_take_run(uint64_t count, uint64_t align, vmem_paddr_t limit);
/* Up to `count` single frames, as PAGE_CACHED; neighbours stand in falling order, so that a stack hands
 * them out in rising order. The number taken. */
unsigned vmem_source_take_batch(struct vmem_page **out, unsigned count);
/* Takes back an aligned block, or a piece of one; or any number of contiguous frames. */
void vmem_source_give(struct vmem_page *page, unsigned order);
void vmem_source_give_run(struct vmem_page *page, uint64_t count);

/* Raises or lowers the promise. */
bool vmem_source_reserve(uint64_t frames);
void vmem_source_unreserve(uint64_t frames);

void vmem_source_check(void);

/* The order of the largest aligned power-of-two piece at the start of a run of `count` frames. */
static inline unsigned vmem_source_piece(uint64_t pfn, uint64_t count)
{
	unsigned aligned = bits_ctz64(pfn | UINT64_C(1) << VMEM_ORDER_MAX);
	unsigned fits = bits_log2_floor(count);
	return fits < aligned ? fits : aligned;
}

#endif
