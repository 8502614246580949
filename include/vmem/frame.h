/* SPDX-License-Identifier: MIT */
/**
 * @file frame.h - physical memory: start of the library, allocation of frames for the host's own use,
 * statistics.
 *
 * The library owns the RAM that it is given, keeps one 32-byte record per frame in it, and hands frames out
 * from a buddy allocator with a small cache per CPU. A host with an allocator of its own builds with
 * VMEM_HOST_FRAMES.
 */
#ifndef VMEM_FRAME_H
#define VMEM_FRAME_H

#include <vmem/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define VMEM_ORDER_MAX 18u /**< 2^18 frames: 1 GiB */

/** Allocates 2^order frames. */
struct vmem_frame_request {
	unsigned order;	    /**< of the block, aligned to its size; at most VMEM_ORDER_MAX */
	vmem_paddr_t limit; /**< exclusive upper bound of the whole block, bytes; 0: none */
	bool zeroed;	    /**< the block is cleared */
};

/**
 * Allocates a block; its frames are contiguous and belong to the caller until vmem_frame_free().
 * Locks: frame allocator. Never sleeps. Before NO_MEMORY is reported the caches of all CPUs are drained.
 * Errors: INVALID (order), NO_MEMORY.
 */
vmem_status_t vmem_frame_alloc(const struct vmem_frame_request *request, vmem_paddr_t *out_frame);

/** Gives a block back, whole or in aligned pieces. Panics if a frame of it is not an allocated frame of the
 * host's. */
void vmem_frame_free(vmem_paddr_t frame, unsigned order);

/**
 * Any number of contiguous frames, not only a power of two: @p count frames, the first aligned to @p align
 * bytes (a power of two, at least a page). Free them with vmem_frame_free() in aligned power-of-two pieces,
 * or with vmem_frame_free_run(). Errors: INVALID, NO_MEMORY.
 */
vmem_status_t vmem_frame_alloc_run(
    uint64_t count, uint64_t align, vmem_paddr_t limit, vmem_paddr_t *out_frame);
void vmem_frame_free_run(vmem_paddr_t frame, uint64_t count);

/** Frame statistics, in frames. Cached frames count as free; reserved ones are promised to snapshots and
 * count as free too. */
struct vmem_frame_stats {
	uint64_t total; /**< frames given to vmem_library_init(), less the records */
	uint64_t free;
	uint64_t cached;	     /**< of the free ones, in the CPUs' caches */
	uint64_t reserved;	     /**< of the free ones, promised to snapshots */
	uint64_t tables;	     /**< page tables */
	uint64_t slabs;		     /**< small objects of the library */
	uint64_t data;		     /**< content of objects */
	uint64_t host; /**< held by the host through this interface; the zero frame is in none of these */
	uint64_t allocations, frees; /**< calls, since the start */
};
void vmem_frame_stats(struct vmem_frame_stats *out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
