/* SPDX-License-Identifier: MIT */
/**
 * @file aspace.h - address spaces, VMARs and regions: what addresses mean.
 *
 * An address space has a root VMAR. A VMAR is a range that holds regions and child VMARs; a region maps an
 * object, or private zero-filled memory. Layout calls take the VMAR they work in (usually
 * vmem_aspace_root()) and absolute addresses; a range that leaves the VMAR answers RANGE. Child VMARs are
 * not entered: a range that touches one answers EXISTS (map) or INVALID (unmap, protect, decommit).
 *
 * Addresses and lengths are bytes and must be page aligned, lengths not zero: else INVALID. All calls: not
 * from interrupt handlers; never sleep; an error means that nothing has changed.
 */
#ifndef VMEM_ASPACE_H
#define VMEM_ASPACE_H

#include <vmem/object.h>
#include <vmem/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct vmem_aspace;
struct vmem_vmar;

/** What a call is about to do to a space. */
enum vmem_operation {
	VMEM_OPERATION_MAP,	 /**< @p permission is what the mapping will have */
	VMEM_OPERATION_UNMAP,	 /**< or replace, or destroy a VMAR */
	VMEM_OPERATION_PROTECT,	 /**< @p permission is what the range will have */
	VMEM_OPERATION_DECOMMIT, /**< content goes */
};

/** What the access control is asked about: a range of a space that is valid in itself. */
struct vmem_access_request {
	struct vmem_aspace *aspace;
	enum vmem_operation operation;
	vmem_vaddr_t start; /**< bytes, page aligned; where the mapping will be, if the library chose */
	uint64_t length;    /**< bytes */
	unsigned permission; /**< VMEM_READ | ...; 0 where none is given */
};

/** The host's access control. Every way into a space asks it, vmem_aspace_destroy() excepted. False: the
 * call answers DENIED and has changed nothing. Context: the space is locked; must not sleep or call the
 * library.
 */
struct vmem_access_control {
	bool (*allows)(void *context, const struct vmem_access_request *request);
	void *context;
};

/** How a space is made. Zero gives: the whole user half but its first and last 64 KiB, no W^X, no limits,
 * placement by first fit. */
struct vmem_aspace_config {
	vmem_vaddr_t start;
	uint64_t length;    /**< 0: all of the user half */
	bool wx;	    /**< no page is ever writable and executable, in the region or in the hardware */
	bool large;	    /**< anonymous memory may use large leaves (and 64 KiB runs) where alignment and
			       frames allow */
	uint64_t max_bytes; /**< quota of mapped bytes; 0: none */
	uint64_t max_regions;  /**< quota of regions; 0: none */
	unsigned entropy_bits; /**< for VMEM_MAP_RANDOM: 0 to 36 */
	uint64_t seed;	       /**< of random placement; 0: from the library's own */
	const struct vmem_access_control *access; /**< outlives the space; NULL: everything is allowed */
};

/** Errors: INVALID, RANGE, NO_MEMORY. */
vmem_status_t vmem_aspace_create(const struct vmem_aspace_config *config, struct vmem_aspace **out);
/** Unmaps everything and frees the space. It must not be active on any CPU (panics). Child VMARs are
 * destroyed with it. */
void vmem_aspace_destroy(struct vmem_aspace *aspace);

/**
 * A copy of a space as it is: the same VMARs and regions, shared memory shared, private memory copied when
 * either side writes to it. Costs as much as there are regions and page tables, not pages. Regions without
 * inheritance (VMEM_REGION_NO_FORK) are missing in it. Programs may run on the parent meanwhile. Errors:
 * NO_MEMORY.
 */
vmem_status_t vmem_aspace_fork(struct vmem_aspace *parent, struct vmem_aspace **out_child);

/** Makes the space current on this CPU (NULL: none; user addresses then must not be used, though without
 * address-space ids the last space may still be loaded). Context: interrupts off or preemption off. Cannot
 * fail. */
void vmem_aspace_activate(struct vmem_aspace *aspace);

struct vmem_vmar *vmem_aspace_root(struct vmem_aspace *aspace);
/** The user half of this machine: first address (0) and size in bytes. */
uint64_t vmem_aspace_user_size(void);

enum vmem_place {
	VMEM_PLACE_ANY = 0, /**< anywhere in [minimum, limit) */
	VMEM_PLACE_HINT,    /**< at address if that is free, else as ANY */
	VMEM_PLACE_FIXED,   /**< at address or EXISTS */
	VMEM_PLACE_REPLACE, /**< at address; what regions of the VMAR are there is unmapped in the same step
			     */
};

enum {
	VMEM_MAP_SHARED =
	    1u << 0, /**< stores go to the object; without it they stay in the space. Needs an object. */
	VMEM_MAP_GUARD = 1u << 1, /**< reserved, never accessible; permission and maximum are 0; no object */
	VMEM_MAP_FROM_TOP = 1u << 2, /**< ANY: highest fit */
	VMEM_MAP_RANDOM = 1u << 3,   /**< ANY: random, by the space's entropy */
	VMEM_MAP_LARGE = 1u << 4,    /**< align the placement to a large leaf when the length allows it */
	VMEM_MAP_NO_MERGE = 1u << 5, /**< keep this region apart from its neighbours */
	VMEM_MAP_POPULATE = 1u << 6, /**< fault everything in at once; best effort, never fails the call */
};

/** What else a region carries, beside permission and content; part of what neighbours must agree in to
 * merge.
 */
enum {
	VMEM_REGION_NO_FORK = 1u << 0,	    /**< not in a child that vmem_aspace_fork() makes */
	VMEM_REGION_WIPE_ON_FORK = 1u << 1, /**< there, but empty; private memory without an object only */
	VMEM_REGION_NO_DUMP = 1u << 2, /**< left out of core dumps: for the host to heed */
	VMEM_REGION_LOCKED = 1u << 3,	    /**< its pages stay in memory; its bytes are counted */
	VMEM_REGION_LOCK_ON_FAULT = 1u << 4, /**< with LOCKED: for who locks it not to fault it in at once */
	VMEM_REGION_SEALED = 1u << 5, /**< for good: not unmapped, replaced or protected (SEALED) before its
					 space, or its VMAR, is destroyed */
	VMEM_REGION_RANDOM = 1u << 6,	  /**< read without order: a fault enters one page only */
	VMEM_REGION_SEQUENTIAL = 1u << 7, /**< read in order: a fault enters the pages that follow */
	VMEM_REGION_GROWS_DOWN = 1u << 8, /**< a fault below it, where nothing is mapped, lets it grow down to
					     there; without object, and not NO_MERGE or
					     GUARD */
	VMEM_REGION_ACCOUNT = 1u << 9,	  /**< its pages are promised (commit.h); in a space of posix.h
					     writable private memory comes to have it */
	VMEM_REGION_NO_RESERVE = 1u << 10, /**< its pages are never promised */
	VMEM_REGION_GUARDS = 1u << 11,	  /**< may have guarded pages; set by vmem_vmar_guard() alone */
	VMEM_REGION_DROPPABLE = 1u << 12, /**< its content may be lost: for posix.h, which locks none of it */
};

/** What to map and where. Zero what does not apply. */
struct vmem_map {
	uint64_t length;
	unsigned permission; /**< VMEM_READ | ... now */
	unsigned maximum; /**< the most that vmem_vmar_protect() may ever grant; a superset of permission */
	unsigned flags;	  /**< VMEM_MAP_* */
	uint32_t attributes; /**< VMEM_REGION_* */
	enum vmem_place place;
	vmem_vaddr_t address;	     /**< HINT, FIXED, REPLACE */
	uint64_t align;		     /**< of the start; power of two; 0: a page */
	vmem_vaddr_t minimum, limit; /**< ANY, HINT: bounds of the search, any bytes; 0: the VMAR's */
	vmem_vaddr_t below; /**< ANY, HINT: a place below it is preferred to one up to limit; 0: none is */
	uint8_t pad_before,
	    pad_after; /**< reserved unmapped pages on either side, ANY and HINT only; gone with the region */
	struct vmem_object *object; /**< NULL: private zero-filled memory; else the region holds it */
	uint64_t offset;	    /**< in the object; may lie past its end (accesses then fault) */
	uint64_t cookie;	    /**< the host's; regions with different cookies do not merge */
};

/**
 * Maps. Adjacent regions that agree in everything merge. Errors: INVALID (alignment, zero length, unknown
 * bits, shared without object, private physical or contiguous object, permission beyond maximum), RANGE, WX,
 * DENIED (VMAR's rights), EXISTS (FIXED), NO_SPACE, SEALED
 * (REPLACE), LIMIT, NO_MEMORY.
 */
vmem_status_t vmem_vmar_map(struct vmem_vmar *vmar, const struct vmem_map *map, vmem_vaddr_t *out_start);

/**
 * Unmaps whatever is mapped in the range; holes are allowed. When it returns no CPU can reach what was
 * there. Errors: INVALID, RANGE, SEALED, NO_MEMORY or LIMIT (only when it splits a region: it then needs one
 * record).
 */
vmem_status_t vmem_vmar_unmap(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);

/**
 * Sets the permission of a range that is mapped without holes. Errors: INVALID, RANGE, NOT_FOUND (a hole),
 * DENIED (beyond a region's maximum), SEALED, WX, LIMIT, NO_MEMORY (at most two records).
 */
vmem_status_t vmem_vmar_protect(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, unsigned permission);

/** Forgets private content of a range (reads zero, or the object's content, afterwards) or shared content's
 * translations. Guards stay. Errors: INVALID, RANGE, NOT_FOUND (a hole), SEALED (private memory that its
 * program may not write), DENIED (access control), UNSUPPORTED (the kernel's own space). */
vmem_status_t vmem_vmar_decommit(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);

enum {
	VMEM_MOVE_KEEP_SOURCE = 1u << 0, /**< the source stays mapped, empty where it was private */
};

/**
 * Moves what a range without holes maps, content and all, to another place in the VMAR; the pages are not
 * touched. Of @p to the placement fields count, and length: more than @p length lets the last region grow
 * (not with KEEP_SOURCE); the rest is zero. Strips do not go along. The target may not overlap the source.
 * Errors: INVALID, RANGE, NOT_FOUND (a hole), EXISTS (FIXED), NO_SPACE, SEALED, LIMIT, DENIED (access
 * control), NO_MEMORY, UNSUPPORTED (the kernel's space).
 */
vmem_status_t vmem_vmar_move(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length,
    const struct vmem_map *to, unsigned flags, vmem_vaddr_t *out_start);
/**
 * Lets the region that ends at @p end grow upwards by @p length, over its strip, its object's offsets going
 * on. It may become two regions that agree in all but key. Errors: INVALID, RANGE, NOT_FOUND (none ends
 * there), EXISTS (no room), SEALED, LIMIT, DENIED, NO_MEMORY, UNSUPPORTED (the kernel's space).
 */
vmem_status_t vmem_vmar_extend(struct vmem_vmar *vmar, vmem_vaddr_t end, uint64_t length);

/**
 * Sets and clears VMEM_REGION_* of a range that is mapped without holes; neighbours that then agree merge.
 * Errors: INVALID (unknown bits, or set and cleared; GUARDS; SEALED is not cleared), RANGE, NOT_FOUND (a
 * hole), UNSUPPORTED (WIPE_ON_FORK of an object's mapping), LIMIT, NO_MEMORY (at most two records).
 */
vmem_status_t vmem_vmar_set_attributes(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, uint32_t set, uint32_t clear);

/**
 * Guards the pages of a range that is mapped without holes: what was private there is dropped, and every
 * access is refused (VMEM_FAULT_GUARD) until vmem_vmar_unguard() or the end of the mapping; decommit and
 * protect leave the guards alone. It belongs to this mapping, not to the object, and takes no region.
 * Errors: INVALID, RANGE, NOT_FOUND (a hole), UNSUPPORTED (fixed frames), NO_MEMORY.
 */
vmem_status_t vmem_vmar_guard(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);
/** Takes guards away: the pages read as zeroes, or as the object. Errors: as above but NO_MEMORY. */
vmem_status_t vmem_vmar_unguard(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);

/** Whether the pages of a range have a frame now: out[i] is 1 for one that has, its object's included where
 * it is shown, else 0. Errors: INVALID, RANGE, NOT_FOUND (a hole). */
vmem_status_t vmem_vmar_resident(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, uint8_t *out);

/** A child VMAR: a range of its own, with rights that bound every mapping in it. Placement fields of @p map
 * count, and permission as rights. */
vmem_status_t vmem_vmar_allocate(
    struct vmem_vmar *parent, const struct vmem_map *map, struct vmem_vmar **out_child);
/** Unmaps everything in it, children too, and frees it. The root cannot be destroyed (UNSUPPORTED). */
vmem_status_t vmem_vmar_destroy(struct vmem_vmar *vmar);
vmem_vaddr_t vmem_vmar_start(const struct vmem_vmar *vmar);
uint64_t vmem_vmar_length(const struct vmem_vmar *vmar);

/** A region as it is now. */
struct vmem_region_info {
	vmem_vaddr_t start;
	uint64_t length;
	unsigned permission, maximum;
	unsigned flags;		    /**< VMEM_MAP_SHARED, GUARD, NO_MERGE, LARGE */
	uint32_t attributes;	    /**< VMEM_REGION_* */
	struct vmem_object *object; /**< not held for the caller */
	uint64_t offset;	    /**< of start in the object */
	uint64_t key;		    /**< of start in the space's private pages, in pages */
	vmem_cache_t cache;
	uint64_t cookie;
};
/** The first region that ends after @p address, whatever VMAR it is in; false if none. To iterate, go on at
 * start + length. */
bool vmem_region_next(struct vmem_aspace *aspace, vmem_vaddr_t address, struct vmem_region_info *out);

/** Pages of a region that have a frame now, its object's included where it shows them, and of these the ones
 * another space or object can reach too (a private region's object is one). O(present), times the mappings
 * of the object. */
void vmem_region_residence(struct vmem_aspace *aspace, const struct vmem_region_info *region,
    uint64_t *out_resident, uint64_t *out_shared);

/** What the hardware would find at an address. */
struct vmem_translation {
	vmem_paddr_t physical; /**< of the very byte */
	unsigned permission;   /**< what user mode may do */
	vmem_cache_t cache;
	unsigned level; /**< 0: a page, 1: 2 MiB, 2: 1 GiB */
	bool accessed, dirty;
};
/** False if there is no entry: a fault may still make one. */
bool vmem_aspace_translate(struct vmem_aspace *aspace, vmem_vaddr_t address, struct vmem_translation *out);

/** Statistics of a space. */
struct vmem_aspace_stats {
	uint64_t regions;
	uint64_t mapped;      /**< bytes in regions */
	uint64_t locked;      /**< of them, in regions with VMEM_REGION_LOCKED */
	uint64_t resident;    /**< leaves in the page tables, in pages; zero page and physical included */
	uint64_t committed;   /**< private pages with a frame */
	uint64_t tables;      /**< page-table pages, the root and a kept empty chain included */
	uint64_t tables_kept; /**< of them, empty and kept for the next fault */
	uint64_t faults;      /**< calls of vmem_fault() */
	uint64_t faults_zero_page, faults_zeroed, faults_copied, faults_reused, faults_object, faults_large,
	    faults_spurious, faults_refused;
	uint64_t around; /**< entries that faults on objects made beside their own */
	uint64_t flushes;	 /**< batches that had something to flush */
	uint64_t flushes_remote; /**< of them, ones that called other CPUs */
	uint64_t activations, rollovers;
};
void vmem_aspace_stats(struct vmem_aspace *aspace, struct vmem_aspace_stats *out);

/** Panics unless every structure of the space agrees with every other. O(everything); for tests. */
void vmem_aspace_check(struct vmem_aspace *aspace);
/** The same for the library as a whole: all spaces, objects, frames. */
void vmem_check(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
