/* SPDX-License-Identifier: MIT */
/**
 * @file commit.h - how much memory may be promised: Linux's overcommit accounting.
 *
 * Private memory that may be written is promised when it is mapped, grows, becomes writable or is forked,
 * and shared memory without a file when it is made; a promise ends with the region or the object. Only
 * spaces that vmem_posix_init() was called for take part.
 */
#ifndef VMEM_COMMIT_H
#define VMEM_COMMIT_H

#include <vmem/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** As /proc/sys/vm/overcommit_memory. */
enum vmem_overcommit {
	VMEM_OVERCOMMIT_GUESS = 0,  /**< refused is what is more at once than all of the memory */
	VMEM_OVERCOMMIT_ALWAYS = 1, /**< nothing is refused */
	VMEM_OVERCOMMIT_NEVER = 2,  /**< all promises together stay below the limit */
};

/**
 * Sets the mode, and for NEVER the limit in bytes (0: half of the memory). Of it each space has to leave a
 * 32nd of what it has mapped, at most 128 MiB. Promises that exist stay.
 */
void vmem_commit_set(enum vmem_overcommit mode, uint64_t limit);
/** Bytes that are promised. */
uint64_t vmem_commit_promised(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
