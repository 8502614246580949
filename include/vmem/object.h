/* SPDX-License-Identifier: MIT */
/**
 * @file object.h - memory objects: what addresses hold.
 *
 * An object is a counted view of a store of pages. Kinds: anonymous (zero-filled on demand, resizable or
 * not), contiguous (adjacent frames, committed when made), physical (a range of physical addresses with a
 * cache attribute). Children: a snapshot has a store of its own that shares every page until one side writes;
 * a slice is a second view of the same store and writes through.
 *
 * Offsets and sizes are bytes. "Page aligned" arguments that are not aligned answer INVALID. All calls: not
 * from interrupt handlers; never sleep; a call that answers an error has changed nothing.
 */
#ifndef VMEM_OBJECT_H
#define VMEM_OBJECT_H

#include <vmem/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct vmem_object;

enum {
	VMEM_OBJECT_RESIZABLE = 1u << 0, /**< vmem_object_resize() is allowed; slices are not */
};

/** An empty anonymous object of @p size bytes (rounded up to a page, not zero). The caller owns one
 * reference. Errors: INVALID, RANGE, NO_MEMORY. */
vmem_status_t vmem_object_create_anonymous(uint64_t size, unsigned flags, struct vmem_object **out);

/**
 * Adjacent frames, zeroed and committed, the first aligned to @p align bytes (power of two; 0 for a page),
 * all below @p limit (0: none). With a cache attribute other than write-back the frames leave the direct
 * map's write-back attribute first (UNSUPPORTED where the CPU cannot do that safely). Cannot be decommitted,
 * resized or snapshot. Errors: INVALID, RANGE, NO_MEMORY, UNSUPPORTED.
 */
vmem_status_t vmem_object_create_contiguous(
    uint64_t size, uint64_t align, vmem_paddr_t limit, vmem_cache_t cache, struct vmem_object **out);

/**
 * A range of physical addresses, page aligned, with one cache attribute for all its mappings. Device memory,
 * or RAM that the host has allocated from the library (whose frames then leave the direct map's attribute as
 * above). The library never frees it. Errors: INVALID, RANGE (beyond the CPU's physical addresses),
 * NO_MEMORY, CONFLICT (a frame is live with another attribute), UNSUPPORTED.
 */
vmem_status_t vmem_object_create_physical(
    vmem_paddr_t start, uint64_t size, vmem_cache_t cache, struct vmem_object **out);

/** One more, one less reference; mappings hold one each. The last one frees everything that no snapshot
 * shares. Cannot fail. */
void vmem_object_hold(struct vmem_object *object);
void vmem_object_release(struct vmem_object *object);

/** Bytes, a multiple of a page. */
uint64_t vmem_object_size(const struct vmem_object *object);

/**
 * Grows or shrinks. Pages past the new end are unmapped everywhere and freed when the call returns; growing
 * again reads zeroes. Shrinking, to nothing too, cannot fail. Errors: UNSUPPORTED (not resizable), RANGE.
 */
vmem_status_t vmem_object_resize(struct vmem_object *object, uint64_t size);

/**
 * A snapshot of [offset, offset + size) as of now: an anonymous object of its own. Both sides may be written;
 * neither sees the other. What lies past the parent's end reads zero. O(1) in pages for the whole, plus one
 * pass over live writable entries of the parent's mappings. Errors: INVALID (alignment, zero), RANGE (wraps),
 * UNSUPPORTED (contiguous, physical), NO_MEMORY.
 */
vmem_status_t vmem_object_snapshot(
    struct vmem_object *object, uint64_t offset, uint64_t size, struct vmem_object **out);

/** A window that writes through; holds its parent's store. Errors: INVALID, RANGE (not inside), UNSUPPORTED
 * (resizable parent), NO_MEMORY. */
vmem_status_t vmem_object_slice(
    struct vmem_object *object, uint64_t offset, uint64_t size, struct vmem_object **out);

/** Gives every page of the range a frame (and makes shared ones the object's own); page aligned. Errors:
 * INVALID, RANGE, NO_MEMORY. */
vmem_status_t vmem_object_commit(struct vmem_object *object, uint64_t offset, uint64_t length);

/** Forgets the content of the range (page aligned): reads zero afterwards. Errors: INVALID, RANGE,
 * UNSUPPORTED (contiguous, physical). */
vmem_status_t vmem_object_decommit(struct vmem_object *object, uint64_t offset, uint64_t length);

/** Zeroes [offset, offset + length), any alignment; whole pages are decommitted where that can be done.
 * Errors: RANGE, NO_MEMORY, UNSUPPORTED (physical, or contiguous with another attribute than write-back). */
vmem_status_t vmem_object_zero(struct vmem_object *object, uint64_t offset, uint64_t length);

/**
 * Copies between the object and kernel memory, any alignment; all or nothing up to the first page that needs
 * memory it cannot get:
 * @p out_done (may be NULL) says how many bytes were copied. Length 0 is OK inside the object. Errors: RANGE
 * (also when the object shrinks meanwhile, so that the rest of the range is past its end),
 * NO_MEMORY, UNSUPPORTED (physical, or contiguous with another attribute than write-back: the direct map does
 * not have it).
 */
vmem_status_t vmem_object_read(
    struct vmem_object *object, uint64_t offset, void *buffer, size_t length, size_t *out_done);
vmem_status_t vmem_object_write(
    struct vmem_object *object, uint64_t offset, const void *buffer, size_t length, size_t *out_done);

/** What an object holds now, in pages. */
struct vmem_object_info {
	uint64_t size;	     /**< bytes */
	uint64_t resident;   /**< pages that have a frame */
	uint64_t shared;     /**< of them, pages that another object can reach too */
	uint64_t mappings;   /**< regions that map its store */
	uint64_t writable;   /**< of them, shared ones that may write, or may come to */
	uint64_t references; /**< holders of this view */
	unsigned flags;
	vmem_cache_t cache;
};
void vmem_object_info(const struct vmem_object *object, struct vmem_object_info *out);

/** Where the page at @p offset lies; NOT_FOUND if it has no frame. Not stable unless the object is contiguous
 * or physical. */
vmem_status_t vmem_object_frame(const struct vmem_object *object, uint64_t offset, vmem_paddr_t *out_frame);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
