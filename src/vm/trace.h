/* SPDX-License-Identifier: MIT */
/*
 * trace.h - what hosted tests see and steer of the frame allocator. Empty in a kernel.
 *
 * VMEM_TRACE_ALLOC and VMEM_TRACE_FREE tell of each block that leaves the allocator and comes back (frames
 * that move between a CPU's cache and the buddy lists are not told: they are free in both).
 * VMEM_FAIL_ALLOCATION() answers true where the test wants this allocation to find no memory; it is asked
 * once in each call that may answer so, before anything has changed. VMEM_FAILED_ALLOCATION() answers whether
 * the last answer was that: then no memory is looked for elsewhere either.
 */
#ifndef VMEM_TRACE_H
#define VMEM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef VMEM_HOSTED_TRACE
void machine_frame_allocated(uint64_t pa, unsigned order);
void machine_frame_freed(uint64_t pa, unsigned order);
bool machine_fail_allocation(void);
bool machine_failed_allocation(void);
#define VMEM_TRACE_ALLOC(pa, order) machine_frame_allocated(pa, order)
#define VMEM_TRACE_FREE(pa, order) machine_frame_freed(pa, order)
#define VMEM_FAIL_ALLOCATION() machine_fail_allocation()
#define VMEM_FAILED_ALLOCATION() machine_failed_allocation()
#else
#define VMEM_TRACE_ALLOC(pa, order) ((void)0)
#define VMEM_TRACE_FREE(pa, order) ((void)0)
#define VMEM_FAIL_ALLOCATION() false
#define VMEM_FAILED_ALLOCATION() false
#endif

#endif
