/* SPDX-License-Identifier: MIT */
/**
 * @file wx.h - document 000: an mmap of three arguments that enforces W^X.
 *
 * Address and length are rounded to pages (address down, length up). Memory is private, zeroed, not
 * file-backed. The space must have been made with wx = true (INVALID otherwise). Statuses are the library's.
 */
#ifndef VMEM_WX_H
#define VMEM_WX_H

#include <vmem/aspace.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * Maps @p length bytes; permission bits are VMEM_READ 1, VMEM_WRITE 2, VMEM_EXEC 4, 0 for a guard. @p address
 * 0 lets the library choose, with a reserved unmapped page on each side; otherwise a hint: rounded down, used
 * if free, else another place is chosen; what is there is never replaced. Errors: INVALID (length zero or too
 * long to round, unknown bits), WX (write and execute), NO_SPACE, NO_MEMORY, LIMIT.
 */
vmem_status_t vmem_wx_mmap(struct vmem_aspace *aspace, vmem_vaddr_t address, uint64_t length,
    uint32_t permission, vmem_vaddr_t *out_address);
/** Unmaps; holes allowed. Errors: INVALID, RANGE, NO_MEMORY, LIMIT. */
vmem_status_t vmem_wx_munmap(struct vmem_aspace *aspace, vmem_vaddr_t address, uint64_t length);
/** Changes the permission of mapped pages: write first, then read-execute. Errors: INVALID, WX, NOT_FOUND (a
 * hole), NO_MEMORY, LIMIT. */
vmem_status_t vmem_wx_mprotect(
    struct vmem_aspace *aspace, vmem_vaddr_t address, uint64_t length, uint32_t permission);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
