/* SPDX-License-Identifier: MIT */
/*
 * region.h - regions, VMARs and address spaces, as the core sees them.
 *
 * R1 A region is [start, length) of one VMAR with one permission, one object (or none) and one private key
 * range of its own length. R2 Private keys: the page of a private region at address a is found in the space's
 * store at key private_key + (a - start) / page. By default private_key is start / page, so neighbours merge;
 * a region that was moved keeps its keys, and a key range is in use by one region only. R3 permission is
 * within maximum, maximum within the rights of every VMAR above; with W^X permission is never write and
 * execute. R4 span.generation changes whenever bounds, permission, object or keys change, and survives free
 * and reuse of the record. R5 Entries in the page tables grant at most what the region grants, and show only
 * what the index says (after the batch has ended).
 */
#ifndef VMEM_REGION_H
#define VMEM_REGION_H

#include <vmem/aspace.h>

#include "span.h"
#include "store.h"

struct region {
	struct span span; /* its first eight bytes (start) are the slab's when free */
	struct vmem_aspace *aspace;
	struct vmem_object *object;		  /* held; NULL: zero-filled private memory */
	uint64_t offset;			  /* of start in the object, in pages */
	uint64_t private_key;			  /* of start in the space's private store */
	struct region *map_next, **map_pprev;	  /* object's store->mappings */
	struct region *moved_next, **moved_pprev; /* aspace->moved, when private_key is not start / page */
	uint8_t permission, maximum;
	uint16_t flags;	 /* VMEM_MAP_SHARED, GUARD, LARGE, NO_MERGE */
	uint32_t advice; /* reserved: advice, inheritance and locks of later interfaces */
	uint64_t cookie;
	uint64_t driver[2]; /* reserved: flags and private data of the area interface */
};
_Static_assert(sizeof(struct region) <= 192, "a region is three cache lines at most");

struct vmem_vmar {
	struct span span; /* in the parent's tree */
	struct span_tree tree;
	struct vmem_aspace *aspace;
	struct vmem_vmar *parent; /* NULL: the root */
	unsigned rights;	  /* permissions that regions in it may have */
};

struct vmem_aspace {
	struct region *last;  /* the region of the last fault */
	struct region *moved; /* regions with private keys that do not follow from their addresses */
	struct vmem_pmap pmap;
	struct vmem_vmar root;
	struct store *private_store;
	uint64_t regions;   /* in all VMARs */
	uint64_t mapped;    /* bytes */
	uint64_t max_bytes; /* UINT64_MAX: no limit */
	uint64_t max_regions;
	uint64_t random;
	unsigned entropy_bits;
	bool wx, large;
	struct vmem_aspace *all_next, **all_pprev;
	struct {
		uint64_t calls, zero_page, zeroed, copied, reused, object, large, spurious, refused;
	} faults;
};

static inline struct region *region_of(struct span *span)
{
	return (struct region *)(void *)span;
}

static inline struct vmem_vmar *vmar_of(struct span *span)
{
	return (struct vmem_vmar *)(void *)span;
}

static inline bool region_shared(const struct region *region)
{
	return (region->flags & VMEM_MAP_SHARED) != 0;
}

/* The key of an address in the store that the object's pages come from. */
static inline uint64_t region_object_key(const struct region *region, vmem_vaddr_t va)
{
	return region->object->key + region->offset + ((va - region->span.start) >> VMEM_PAGE_SHIFT);
}

static inline uint64_t region_private_key(const struct region *region, vmem_vaddr_t va)
{
	return region->private_key + ((va - region->span.start) >> VMEM_PAGE_SHIFT);
}

/* The region that contains va, in whatever VMAR; NULL. */
struct region *vmem_region_find(struct vmem_aspace *aspace, vmem_vaddr_t va);
/* The region whose private keys contain key; NULL. */
struct region *vmem_region_find_key(struct vmem_aspace *aspace, uint64_t key);

/* Allocates a record with an empty body and a generation that it has not had; NULL: no memory. Frees one. */
struct region *vmem_region_alloc(struct vmem_aspace *aspace);
void vmem_region_free(struct region *region);
/* Puts a region on / takes it off the list of its object's store. */
void vmem_region_list(struct region *region);
void vmem_region_unlist(struct region *region);
/* Gives the region the private keys from key on, and keeps the list of moved regions. */
void vmem_region_set_key(struct region *region, uint64_t key);
/* Cuts region at `at` (inside it): fresh becomes the upper part, linked and listed. Cannot fail. */
void vmem_region_split(struct vmem_vmar *vmar, struct region *region, vmem_vaddr_t at, struct region *fresh);
/* Merges region with the neighbours that agree with it; answers the region that then holds its range. */
struct region *vmem_region_merge(struct vmem_vmar *vmar, struct region *region);
/* What both ends of [start, start + length) must look like for a new region to be merged into instead of
 * made; NULL: none. */
bool vmem_region_can_join(const struct region *lower, const struct region *upper);

/* Removes all regions of [start, length) of the VMAR: the one step that unmap, replace and destroy share. No
 * child VMAR is touched by the range. `spare` is used where a region is split, and set to NULL then. */
void vmem_vmar_remove(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, struct region **spare);

/* Drops the private pages of a part of a region whose translations are gone; nothing if it is shared. */
void vmem_region_forget_private(struct region *region, vmem_vaddr_t start, uint64_t length);

struct vmem_aspace *vmem_aspace_first(void);
void vmem_aspaces_init(void);
void vmem_aspace_add(struct vmem_aspace *aspace);
void vmem_vmar_init(struct vmem_vmar *vmar, struct vmem_aspace *aspace, struct vmem_vmar *parent,
    vmem_vaddr_t start, uint64_t length, unsigned rights);

/* The frame of zeroes that read faults share (L4). */
extern struct vmem_page *vmem_zero_page;
extern vmem_paddr_t vmem_zero_frame;
/* The seed given to vmem_library_init(). */
extern uint64_t vmem_library_seed;

#endif
