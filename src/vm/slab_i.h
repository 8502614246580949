/* SPDX-License-Identifier: MIT */
/*
 * slab_i.h - what the files of the small objects share: the frames of a type (slab.c), beneath the lists of
 * the CPUs (slab_cpu.c). All of it under the type's lock, but where it says otherwise.
 */
#ifndef VMEM_SLAB_I_H
#define VMEM_SLAB_I_H

#include "slab.h"

/* Objects that ordinary allocations must leave (S4). */
static inline uint64_t slab_kept(const struct slab_type *type)
{
	return type->promised > type->covered ? type->promised - type->covered : 0;
}

/* One free object of the frames that are there; there is one. */
void *vmem_slab_take(struct slab_type *type);
/* Takes an object back. False: it is not of the type. */
bool vmem_slab_put(struct slab_type *type, void *object);
/* Makes sure that `count` objects are free beyond those kept for promises (S4), by new frames; *grew: it took
 * one. False: no memory. */
bool vmem_slab_have(struct slab_type *type, uint64_t count, bool promised, bool *grew);
/* One more frame. False: no memory. */
enum slab_frame { SLAB_ORDINARY, SLAB_PROMISED, SLAB_EARLY };
bool vmem_slab_grow(struct slab_type *type, enum slab_frame which);
/* Lowers the promise. */
void vmem_slab_lower(struct slab_type *type, uint64_t count);
/* Without the lock, or any that spins: whether another look for memory makes sense, because some has come out
 * of where it was of no use. As often as SLAB_SCRAPES, for other CPUs may have it again. */
#define SLAB_SCRAPES 4u
bool vmem_slab_scrape(struct slab_type *type);

/* The frame that the object lies in; NULL: none of the type. The type's lock is not needed: who frees an
 * object of it has had it from there. */
static inline struct vmem_page *slab_page(const struct slab_type *type, const void *object)
{
	struct vmem_page *page = pa_to_page(virt_to_phys(object));
	bool is_of = page && shared_load(&page->kind) == PAGE_SLAB && page->u.slab.type == type;
	return is_of ? page : NULL;
}

/* The free list of a frame that is not current. */
static inline void *slab_free_list(const struct vmem_page *page)
{
	return page->u.slab.first_free == SLAB_NONE
		   ? NULL
		   : (unsigned char *)page_to_virt(page) + page->u.slab.first_free;
}
/* The number of free objects in a frame; S3 on the way. */
uint32_t vmem_slab_count_free(const struct slab_type *type, const struct vmem_page *page);

#if VMEM_MANY_CPUS
/* Without the lock. What is on the lists of all other CPUs, and with `own` on this one's, goes back to the
 * type, but for what is claimed; and all that was released. False: there was nothing. */
bool vmem_slab_drain(struct slab_type *type, bool own);
#endif

#endif
