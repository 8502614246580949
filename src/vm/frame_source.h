/* SPDX-License-Identifier: MIT */
/*
 * frame_source.h - where frame.c gets its frames when the caches of the CPUs do not have them: the buddy
 * allocator (frame_buddy.c), or the host's own one (frame_host.c). The build option VMEM_HOST_FRAMES
 * decides which of the two files has content.
 *
 * A frame that a source has is in no cache and in nobody's hands; its record's kind is the source's
 * business. Nothing here looks at the content of frames.
 *
 * Any number of CPUs call at once, each with spin locks of smaller rank than LOCK_SOURCE at most: what the
 * source keeps is under its own lock, taken and given back in each function. Other CPUs read `kind` of any
 * record at any time, so it is stored as one (page.h).
 */
#ifndef VMEM_FRAME_SOURCE_H
#define VMEM_FRAME_SOURCE_H

#include "bits.h"
#include "lock.h"
#include "page.h"

struct vmem_source { /* written under the lock, read at any time */
	uint64_t total;	   /* frames that can ever be had */
	uint64_t free; /* frames the source has now; of the host's allocator, those held for the promise */
	uint64_t reserved; /* promised; at most `free`, but while a promised frame is being taken */
	uint8_t lock;	   /* LOCK_SOURCE: over the counters and the lists of the source */
} __attribute__((aligned(64)));
extern struct vmem_source vmem_source;

/* A counter that one CPU writes at a time, and that others read meanwhile. */
#if VMEM_SMP
#define counter_add(place, value) shared_store((place), *(place) + (value))
#define counter_subtract(place, value) shared_store((place), *(place) - (value))
#else
#define counter_add(place, value) (*(place) += (value))
#define counter_subtract(place, value) (*(place) -= (value))
#endif

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
/* Takes back an aligned block, or a piece of one. */
void vmem_source_give(struct vmem_page *page, unsigned order);
/* Takes back single frames, in any order; neighbours together, for they are often a whole block. */
void vmem_source_give_batch(struct vmem_page *const *frames, unsigned count);

/* Raises or lowers the promise. False: cannot be kept; is not as large. */
bool vmem_source_reserve(uint64_t frames);
bool vmem_source_unreserve(uint64_t frames);

void vmem_source_check(void);

/* The order of the largest aligned power-of-two piece at the start of a run of `count` frames. */
static inline unsigned vmem_source_piece(uint64_t pfn, uint64_t count)
{
	unsigned aligned = bits_ctz64(pfn | UINT64_C(1) << VMEM_ORDER_MAX);
	unsigned fits = bits_log2_floor(count);
	return fits < aligned ? fits : aligned;
}

/* How many of the frames from the first on are adjacent, in falling or rising order; *lowest: the one with
 * the smallest address. count is not 0. */
static inline unsigned vmem_source_adjacent(
    struct vmem_page *const *frames, unsigned count, struct vmem_page **lowest)
{
	unsigned n = 1;
	if (count > 1 && frames[1] == frames[0] - 1) {
		while (n < count && frames[n] == frames[0] - n) {
			n++;
		}
		*lowest = frames[n - 1];
	} else {
		while (n < count && frames[n] == frames[0] + n) {
			n++;
		}
		*lowest = frames[0];
	}
	return n;
}

#endif
