/* SPDX-License-Identifier: MIT */
/**
 * @file copy.h - reading and writing user memory from the kernel.
 *
 * User addresses are never dereferenced: each page is translated as the hardware would (permission of user
 * mode, accessed and dirty recorded), faulted in where needed, and copied through the direct map. So no
 * exception table is needed, the space need not be current, and an address that is not in the user half, or
 * wraps, is simply not mapped. Never sleeps; cannot be tricked into kernel memory.
 */
#ifndef VMEM_COPY_H
#define VMEM_COPY_H

#include <vmem/fault.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** Copies @p length bytes; answers how many were copied, in order, before the first that user mode could not
 * have read (written). */
size_t vmem_copy_from_user(struct vmem_aspace *aspace, void *to, vmem_vaddr_t from, size_t length);
size_t vmem_copy_to_user(struct vmem_aspace *aspace, vmem_vaddr_t to, const void *from, size_t length);
/** Stores zeroes; answers how many. */
size_t vmem_clear_user(struct vmem_aspace *aspace, vmem_vaddr_t to, size_t length);

/**
 * Copies a string up to its NUL, at most @p size bytes with it. OK: out_length is its length without the NUL.
 * RANGE: no NUL within size bytes (all size bytes are copied, out_length = size). FAULT: unreadable before
 * that; out_length bytes were copied. @p to is always terminated when OK only.
 */
vmem_status_t vmem_strncpy_from_user(
    struct vmem_aspace *aspace, char *to, vmem_vaddr_t from, size_t size, size_t *out_length);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
