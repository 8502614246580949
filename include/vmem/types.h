/* SPDX-License-Identifier: MIT */
/**
 * @file types.h - the words that every other header is written in.
 *
 * Addresses and lengths are bytes unless a name says pages. A range is (start, length), half open; the
 * library checks once, with vmem_range_ok(), that it does not wrap, and never computes an end that could.
 */
#ifndef VMEM_TYPES_H
#define VMEM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmem/config.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#ifdef __cplusplus
#define VMEM_NORETURN [[noreturn]]
#else
#define VMEM_NORETURN _Noreturn
#endif

typedef uint64_t vmem_paddr_t; /**< a physical address, in bytes */
typedef uint64_t vmem_vaddr_t; /**< a virtual address, in bytes */

#define VMEM_PAGE_SHIFT 12u
#define VMEM_PAGE_SIZE (UINT64_C(1) << VMEM_PAGE_SHIFT)
#define VMEM_PAGE_MASK (VMEM_PAGE_SIZE - 1)

/** What a call answers. Zero is success; a call that answers anything else has changed nothing visible. */
typedef enum vmem_status {
	VMEM_OK = 0,
	VMEM_ERR_INVALID,     /**< an argument that no state of the system could make valid */
	VMEM_ERR_RANGE,	      /**< outside the space, the VMAR or the object; or the range wraps */
	VMEM_ERR_NO_MEMORY,   /**< no frame, or no record, could be had */
	VMEM_ERR_NO_SPACE,    /**< no gap of the address space is large enough */
	VMEM_ERR_EXISTS,      /**< the range is in use */
	VMEM_ERR_NOT_FOUND,   /**< nothing is mapped at (a part of) the range */
	VMEM_ERR_DENIED,      /**< beyond the maximum permission, or a VMAR's rights */
	VMEM_ERR_WX,	      /**< writable and executable at once, where the space has W^X */
	VMEM_ERR_LIMIT,	      /**< a quota of the space: address space, number of regions */
	VMEM_ERR_STATE,	      /**< the noun is in a state that forbids this */
	VMEM_ERR_UNSUPPORTED, /**< never possible on this kind of object, or on this CPU */
	VMEM_ERR_FAULT,	      /**< a user address could not be read or written */
	VMEM_ERR_CONFLICT,    /**< a second cache attribute for a frame that is mapped with another */
	VMEM_ERR_SEALED,      /**< the mapping was sealed */
	VMEM_STATUS_COUNT
} vmem_status_t;

/** The name of a status, without its prefix, for logs; never NULL. */
const char *vmem_status_name(vmem_status_t status);

/** Permissions: a set of these bits. VMEM_WRITE or VMEM_EXEC without VMEM_READ is legal; hardware may grant
 * read with them. */
enum { VMEM_READ = 1u, VMEM_WRITE = 2u, VMEM_EXEC = 4u, VMEM_RWX = 7u };

/** Cache attributes of a mapping. */
typedef enum vmem_cache {
	VMEM_WRITE_BACK = 0,
	VMEM_WRITE_THROUGH = 1,
	VMEM_WRITE_COMBINING = 2, /**< AArch64 normal NC, RISC-V Svpbmt NC, x86-64 PAT WC */
	VMEM_UNCACHED = 3,	  /**< device: AArch64 nGnRE, RISC-V Svpbmt IO, x86-64 PAT UC */
	VMEM_CACHE_COUNT
} vmem_cache_t;

/** True if [start, start + length) is not empty and does not pass the end of the address type. */
static inline bool vmem_range_ok(uint64_t start, uint64_t length)
{
	return length != 0 && start <= UINT64_MAX - (length - 1);
}

static inline uint64_t vmem_page_floor(uint64_t x)
{
	return x & ~VMEM_PAGE_MASK;
}

/** Rounds up to a page; 0 for a value that has no page above it: test for that. */
static inline uint64_t vmem_page_ceil(uint64_t x)
{
	return (x + VMEM_PAGE_MASK) & ~VMEM_PAGE_MASK;
}

static inline bool vmem_page_aligned(uint64_t x)
{
	return (x & VMEM_PAGE_MASK) == 0;
}

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
