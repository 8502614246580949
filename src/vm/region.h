/* SPDX-License-Identifier: MIT */
/*
 * region.h - regions, VMARs and address spaces, as the core sees them.
 *
 * R1 A region is [start, length) of one VMAR with one permission, one object (or none) and one private key
 * range of its own length. R2 Private keys: the page of a private region at address a is found in the
 * space's store at key private_key + (a - start) / page. By default private_key is start / page, so
 * neighbours merge; a region that was moved keeps its keys, and a key range is in use by one region only.
 * R3 permission is within maximum, maximum within the rights of every VMAR above; with W^X permission is
 * never write and execute. R4 span.generation is odd while bounds, permission, object or keys change, while
 * translations or content of the region are being removed, and while the record is in no tree; it never
 * takes a value again that it had, also when the record is freed and used anew. R5 Entries in the page
 * tables grant at most what the region grants, and show only what the index says (after the batch has
 * ended).
 *
 * Locks: aspace->lock for all of it; bounds, object and keys of a region that has an object change with the
 * lock of the object's store held too. A fault reads a region without lock and checks the generation
 * (LOCKING.md).
 */
#ifndef VMEM_REGION_H
#define VMEM_REGION_H

#include <vmem/aspace.h>
#include <vmem/fault.h>

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
	uint16_t flags;	     /* VMEM_MAP_SHARED, GUARD, LARGE, NO_MERGE */
	uint32_t attributes; /* VMEM_REGION_* */
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
	/* What changes of the layout write. */
	uint64_t mapped; /* bytes */
	uint64_t locked; /* of them, in regions with LOCKED */
	struct vmem_mutex lock;
	struct region *moved; /* regions with private keys that do not follow from their addresses */
	uint64_t fresh_key;   /* where keys that no address has are looked for next (keys.c) */
	uint64_t regions;     /* in all VMARs */
	uint64_t data;	      /* bytes: private, may be written, no stack */
	uint64_t random;
	struct vmem_aspace *all_next, **all_pprev;
	struct vmem_vmar root;
	/* What faults read, in lines of its own. */
	struct store *private_store __attribute__((aligned(64)));
	uint64_t max_bytes; /* UINT64_MAX: no limit */
	uint64_t max_regions;
	uint64_t split_slack; /* of max_regions, not for regions that a split makes */
	uint64_t max_data, max_stack; /* bytes; of a region that grows down */
	uint64_t max_locked;	      /* bytes, for those who ask: mlock, and growth of what is locked */
	vmem_vaddr_t min_growth;      /* nothing grows down below it, nor below the space */
	bool accounts;		      /* private memory is promised (commit.c) */
	unsigned entropy_bits;
	bool wx, large;
	const struct vmem_access_control *access; /* NULL: none */
	struct vmem_pmap pmap;
};

/* Every attribute that a region can have, those that vmem_vmar_map() takes, and those that a fork does not
 * pass on. */
#define REGION_ATTRIBUTES                                                                                    \
	((uint32_t)(VMEM_REGION_NO_FORK | VMEM_REGION_WIPE_ON_FORK | VMEM_REGION_NO_DUMP |                   \
		    VMEM_REGION_LOCKED | VMEM_REGION_LOCK_ON_FAULT | VMEM_REGION_SEALED |                    \
		    VMEM_REGION_RANDOM | VMEM_REGION_SEQUENTIAL | VMEM_REGION_GROWS_DOWN |               \
		    VMEM_REGION_ACCOUNT | VMEM_REGION_NO_RESERVE | VMEM_REGION_GUARDS |                  \
		    VMEM_REGION_DROPPABLE))
#define MAP_ATTRIBUTES (REGION_ATTRIBUTES & ~(uint32_t)VMEM_REGION_GUARDS)
/* and those that vmem_vmar_set_attributes() changes: whether memory is promised, grows, or may be dropped is
 * for good. */
#define CHANGE_ATTRIBUTES                                                                                    \
	(MAP_ATTRIBUTES &                                                                                    \
	    ~(uint32_t)(VMEM_REGION_GROWS_DOWN | VMEM_REGION_ACCOUNT | VMEM_REGION_NO_RESERVE |              \
			VMEM_REGION_DROPPABLE))
/* A fork and what a move leaves behind are without them. */
#define REGION_LOCKS ((uint32_t)(VMEM_REGION_LOCKED | VMEM_REGION_LOCK_ON_FAULT))

static inline unsigned aspace_rank(const struct vmem_aspace *aspace)
{
	return aspace->pmap.kernel ? LOCK_KERNEL : LOCK_ASPACE;
}

static inline void aspace_lock(struct vmem_aspace *aspace)
{
	mutex_take(&aspace->lock, aspace_rank(aspace));
}

static inline void aspace_unlock(struct vmem_aspace *aspace)
{
	mutex_give(&aspace->lock, aspace_rank(aspace));
}

/* One more than the highest page number of a user address: the first key that no address has. */
static inline uint64_t vmem_page_number_limit(void)
{
	return vmem_aspace_user_size() >> VMEM_PAGE_SHIFT;
}

/* Whether splits may make so many regions more. */
static inline bool aspace_may_split(const struct vmem_aspace *aspace, uint64_t splits)
{
	return splits == 0 || aspace->regions + splits <= aspace->max_regions - aspace->split_slack;
}

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

/* Whether the region's keys mean something in the private store: pages of its own, or guards. */
static inline bool region_uses_keys(const struct region *region)
{
	return !region_shared(region) || region->attributes & VMEM_REGION_GUARDS;
}

/* Frames that the host gave: Linux's VM_IO and VM_PFNMAP. */
static inline bool region_is_device(const struct region *region)
{
	return region->object && region->object->store->kind != STORE_ANONYMOUS;
}

static inline bool region_sealed(const struct region *region)
{
	return (region->attributes & VMEM_REGION_SEALED) != 0;
}

/* Sealed private memory that its program may not write is not emptied in place of a write. */
static inline bool region_discardable(const struct region *region)
{
	return !region_sealed(region) || region->object || region->permission & VMEM_WRITE;
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

/* Between these two a fault on the region is told to come again (R4). */
static inline void region_change(struct region *region)
{
	if (VMEM_SMP) {
		shared_store(&region->span.generation, region->span.generation | 1);
		order_writes();
	}
}

static inline void region_changed(struct region *region)
{
	shared_store_release(&region->span.generation, (region->span.generation | 1) + 1);
}

/* The region that contains va, in whatever VMAR; NULL. */
struct region *vmem_region_find(struct vmem_aspace *aspace, vmem_vaddr_t va);
/* The same without the lock, inside a section: a guess (span.h). */
struct region *vmem_region_find_shared(const struct vmem_aspace *aspace, vmem_vaddr_t va);
/* The first region that ends after va, in whatever VMAR; NULL. */
struct region *vmem_region_find_from(struct vmem_aspace *aspace, vmem_vaddr_t va);
/* The region whose private keys contain key; NULL. */
struct region *vmem_region_find_key(struct vmem_aspace *aspace, uint64_t key);

/* Allocates a record with an empty body, whose generation stays odd until it is in a tree
 * (region_changed()); NULL: no memory. Frees one. */
struct region *vmem_region_alloc(struct vmem_aspace *aspace);
void vmem_region_free(struct region *region);
/* Makes `to` say what `from` says, but for where it is held: trees and lists. */
void vmem_region_copy(struct region *to, const struct region *from);
/* Puts a region on the list of its object's store, behind another of that store, whose lock it takes. */
void vmem_region_list_behind(struct region *region, struct region *other);
/* Puts a region on / takes it off the list of its object's store, whose lock it takes. */
void vmem_region_list(struct region *region);
void vmem_region_unlist(struct region *region);
/* Gives the region the private keys from key on, and keeps the list of moved regions. */
void vmem_region_set_key(struct region *region, uint64_t key);
/* Keys for so many pages at start: those of the address if nobody has them, else others (keys.c). Cannot
 * fail. */
uint64_t vmem_keys_find(struct vmem_aspace *aspace, vmem_vaddr_t start, uint64_t pages);
/* Whether a region may grow upwards by so many pages as far as keys go. */
bool vmem_keys_free_behind(const struct region *region, uint64_t pages);
/* Cuts region at `at` (inside it): fresh becomes the upper part, linked and listed. Cannot fail. */
void vmem_region_split(struct vmem_vmar *vmar, struct region *region, vmem_vaddr_t at, struct region *fresh);
/* Merges region with the neighbours that agree with it; answers the region that then holds its range. */
struct region *vmem_region_merge(struct vmem_vmar *vmar, struct region *region);
/* Whether two adjacent regions could be one: all that they say agrees. */
bool vmem_region_can_join(const struct region *lower, const struct region *upper);
/* The same but for private keys, and for what is promised: to a program the two are one mapping. */
bool vmem_region_agrees(const struct region *lower, const struct region *upper);

/* OK if [start, start + length) is a range of pages inside the VMAR; INVALID, RANGE. */
vmem_status_t vmem_vmar_check_range(const struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);
/* OK if regions cover [start, end) without a hole, the first being at `first`; NOT_FOUND, INVALID (a child
 * VMAR). */
vmem_status_t vmem_vmar_check_covered(const struct span *first, vmem_vaddr_t start, vmem_vaddr_t end);
/* Takes up to two records, or none. */
bool vmem_region_take(struct vmem_aspace *aspace, unsigned count, struct region *record[2]);

/* Lets the region above the address grow down to it, if it does that. With the space's lock. */
bool vmem_region_grow_down(struct vmem_aspace *aspace, vmem_vaddr_t address);
/* Whether what ends at `end` would lie in the gap below a region that grows; where that gap begins, which
 * ends at what is mapped below. */
bool vmem_region_in_gap(const struct span *next, vmem_vaddr_t end);
vmem_vaddr_t vmem_region_gap_start(const struct span *next);

/* What a removal of [start, start + length) meets: whether it touches a child VMAR, splits one region, and
 * how much it frees. */
struct cut {
	bool child;
	bool sealed;
	bool splits;
	uint64_t regions; /* that go as a whole */
	uint64_t bytes;
	uint64_t promised; /* bytes of them, by regions with ACCOUNT */
};
struct cut vmem_vmar_survey(const struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);
/* Quotas after `fresh` regions and `bytes` more, when `cut` goes first. */
bool vmem_vmar_within_limits(
    const struct vmem_aspace *aspace, uint64_t bytes, uint64_t fresh, const struct cut *cut);
/* What all calls that place something ask of the placement fields; then a place for ANY and HINT. Errors:
 * INVALID, RANGE; NO_SPACE. */
vmem_status_t vmem_vmar_check_map(const struct vmem_vmar *vmar, const struct vmem_map *map);
vmem_status_t vmem_vmar_find_place(struct vmem_vmar *vmar, const struct vmem_map *map, vmem_vaddr_t *out);

/* Removes all regions of [start, length) of the VMAR: the one step that unmap, replace and destroy share. No
 * child VMAR is touched by the range. `spare` is used where a region is split, and set to NULL then. */
void vmem_vmar_remove(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, struct region **spare);

/* vmem_vmar_map(), _unmap() and _protect() with the space's lock held; pages are not faulted in. */
vmem_status_t vmem_vmar_map_locked(
    struct vmem_vmar *vmar, const struct vmem_map *map, vmem_vaddr_t *out_start);
vmem_status_t vmem_vmar_unmap_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);
vmem_status_t vmem_vmar_protect_locked(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, unsigned permission);
void vmem_vmar_destroy_locked(struct vmem_vmar *vmar);
vmem_status_t vmem_vmar_move_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length,
    const struct vmem_map *to, unsigned flags, vmem_vaddr_t *out_start);
vmem_status_t vmem_vmar_extend_locked(struct vmem_vmar *vmar, vmem_vaddr_t end, uint64_t length);
/* Faults pages in, best effort, with no lock held. */
void vmem_vmar_populate(struct vmem_aspace *aspace, vmem_vaddr_t start, uint64_t length, unsigned permission);
/* vmem_fault() that says so when another CPU was in the way: VMEM_FAULT_RESULT_COUNT. */
enum vmem_fault_result vmem_fault_try(struct vmem_aspace *aspace, vmem_vaddr_t address, unsigned access);
/* vmem_fault() for the kernel's own use: does not return before the fault is resolved or refused. No lock is
 * held. */
enum vmem_fault_result vmem_fault_wait(struct vmem_aspace *aspace, vmem_vaddr_t address, unsigned access);

vmem_status_t vmem_vmar_set_attributes_locked(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, uint32_t set, uint32_t clear);
vmem_status_t vmem_vmar_decommit_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);
vmem_status_t vmem_vmar_guard_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);
vmem_status_t vmem_vmar_unguard_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);

vmem_status_t vmem_vmar_resident_locked(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, uint8_t *out);

/* vmem_region_forget_private() of a region that stays: guards do, too (guard.c). */
void vmem_region_discard_private(struct region *region, vmem_vaddr_t start, uint64_t length);
/* The same with the private store locked, which has something there. */
void vmem_region_discard_locked(struct region *region, vmem_vaddr_t start, uint64_t length);
/* Whether the region has private pages; it is being changed, so none come. Takes the private store's lock. */
bool vmem_region_holds_pages(const struct region *region);
/* Drops the private pages of a part of a region whose translations are gone; nothing if it is shared,
 * guards apart. Takes
 * the private store's lock. */
void vmem_region_forget_private(struct region *region, vmem_vaddr_t start, uint64_t length);

/* vmem_aspace_create(), of a space whose private store will be a snapshot of the parent's (NULL: no). */
vmem_status_t vmem_aspace_create_below(
    const struct vmem_aspace_config *config, const struct vmem_aspace *parent, struct vmem_aspace **out);
/* vmem_aspace_check() without the structure of the private store's index. */
void vmem_aspace_check_layout(struct vmem_aspace *aspace);
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
