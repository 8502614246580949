/* SPDX-License-Identifier: MIT */
/**
 * @file kernel.h - the kernel's own half: device mappings, virtually contiguous memory, stacks with guard
 * pages.
 *
 * The range is given to vmem_library_init(). Kernel mappings are wired and eager: they never fault, and page
 * tables for them exist before the call returns. Their top-level entries were made at the start and are
 * shared by every space. Lengths are rounded up to pages. Never sleep. When a free returns, no CPU can reach
 * what was there.
 */
#ifndef VMEM_KERNEL_H
#define VMEM_KERNEL_H

#include <vmem/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * Maps [physical, physical + length) (any alignment; out_address is of the very byte). RAM that gets another
 * attribute than write-back leaves the direct map first, and returns to it by vmem_kernel_free(). Large
 * leaves are used where alignment allows; page tables for a later split of each are set aside (0.2 %).
 * permission: VMEM_READ, or with VMEM_WRITE or VMEM_EXEC, never both. Errors: INVALID, RANGE, WX, NO_SPACE,
 * NO_MEMORY, CONFLICT, UNSUPPORTED.
 */
vmem_status_t vmem_kernel_map(
    vmem_paddr_t physical, uint64_t length, unsigned permission, vmem_cache_t cache, void **out_address);

/** Zeroed memory, virtually contiguous, readable and writable, an unmapped page behind it. Errors: INVALID,
 * NO_SPACE, NO_MEMORY. */
vmem_status_t vmem_kernel_alloc(uint64_t length, void **out_address);

/** A stack of @p length bytes with an unmapped page on both sides; out_base is its lowest byte. Errors: as
 * vmem_kernel_alloc(). */
vmem_status_t vmem_kernel_stack_alloc(uint64_t length, void **out_base);

/**
 * Changes the permission of all or part (page aligned) of a mapping; of a part, vmem_region_next() goes on
 * telling what the whole was made with, vmem_aspace_translate() tells what holds. The tables that it may
 * take were set aside by the mapping. Errors: INVALID, WX, NOT_FOUND, UNSUPPORTED (part of a large leaf, or
 * of a contiguous run of 64 KiB, on a CPU that cannot split a live one: AArch64 without
 * VMEM_AARCH64_LIVE_SPLIT).
 */
vmem_status_t vmem_kernel_protect(void *address, uint64_t length, unsigned permission);

/** Frees what one of the calls above returned, whole. Panics for anything else. Cannot fail. */
void vmem_kernel_free(void *address);

/** True if the address is inside the managed range and next to a kernel mapping: a stack overflow met a guard
 * page. For panic reports. */
bool vmem_kernel_is_guard(const void *address);

/** The whole managed range as a space, for introspection (vmem_region_next, vmem_aspace_translate,
 * vmem_aspace_stats). */
struct vmem_aspace *vmem_kernel_aspace(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
