/* SPDX-License-Identifier: MIT */
/*
 * frame.h - the frame allocator as the rest of the library sees it. Any number of CPUs call at once, also
 * with spin locks held that come before LOCK_CACHE: nothing here waits but for such locks.
 */
#ifndef VMEM_FRAME_PRIVATE_H
#define VMEM_FRAME_PRIVATE_H

#include "page.h"

/* Takes over RAM (ends rounded inward, touching ranges joined) and lays the records of each range at its
 * end, so that low memory stays free for those who need it. All ranges are known before the first
 * allocation. vmem_direct_map must be set. May be called again: it then starts afresh (hosted tests).
 * Errors: INVALID (too many ranges, overlap, more than 2^32 frames), NO_MEMORY (no usable frame). */
vmem_status_t vmem_frames_init(const struct vmem_ram *ranges, unsigned count);

/* One frame of a kind; refs is 1 for DATA and 0 else; flags are 0; content as it comes. NULL: none left,
 * promised ones apart. The hot path. */
struct vmem_page *vmem_frame_take(enum page_kind kind);
/* As vmem_frame_take(), for what is not needed yet: also NULL where memory is not plenty. */
struct vmem_page *vmem_frame_take_early(enum page_kind kind);
/* 2^order frames of a kind, aligned to their size, below limit (bytes, exclusive; 0: none): the record
 * of the first; each record is set up as by vmem_frame_take(). */
struct vmem_page *vmem_frame_take_block(enum page_kind kind, unsigned order, vmem_paddr_t limit);
/* `count` adjacent frames of a kind, the first aligned to `align` bytes, all below limit (0: none).
 * Errors: NO_MEMORY. */
vmem_status_t vmem_frame_take_run(
    enum page_kind kind, uint64_t count, uint64_t align, vmem_paddr_t limit, vmem_paddr_t *out_start);
/* Gives one frame back, whatever its kind; frames of a block may come back one by one. No CPU can reach
 * it any more. Poisoned when VMEM_DEBUG. Panics if the frame is not allocated. */
void vmem_frame_give(struct vmem_page *page);

/* A promise (contract 5.1 b): `frames` more frames stay available to vmem_frame_take_reserved().
 * NO_MEMORY if they are not there. The promise for index nodes is kept by slab.h, which calls this. */
vmem_status_t vmem_frame_reserve(uint64_t frames);
void vmem_frame_unreserve(uint64_t frames);
/* As vmem_frame_take(), out of the promise if there is no other; the caller lowers the promise by
 * vmem_frame_unreserve(). */
struct vmem_page *vmem_frame_take_reserved(enum page_kind kind);

/* Moves every cached frame, of all CPUs, back to where blocks are made. */
void vmem_frame_drain(void);
/* Panics unless lists, records and counters agree: while no other CPU is in the library. */
void vmem_frame_check(void);

#endif
