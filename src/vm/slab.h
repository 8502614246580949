/* SPDX-License-Identifier: MIT */
/*
 * slab.h - the library's small objects, each type from frames of its own.
 *
 * Memory stays of its type until its whole frame is given back, and that happens only when no reader without
 * a lock can look at it any more (contract 6.2, cpu.c); a freed object keeps its bytes but for the first
 * eight (the free link, stored as one), so generations survive free and reuse when they lie behind them.
 *
 * Any number of CPUs call at once, also with spin locks held that come before LOCK_SLAB; but for
 * vmem_slab_settle() and vmem_slab_trim(), which wait for other CPUs.
 */
#ifndef VMEM_SLAB_H
#define VMEM_SLAB_H

#include "frame.h"
#include "lock.h"

enum slab_id {
	SLAB_REGION,
	SLAB_VMAR,
	SLAB_INDEX_NODE,
	SLAB_STORE,
	SLAB_OBJECT,
	SLAB_LINEAGE,
	SLAB_ASPACE,
	SLAB_COUNT
};

/* What an object of a type is: at least 8 bytes, at most a page; align a power of two, at least 8. */
struct slab_spec {
	uint16_t size;
	uint16_t align;
};
extern const struct slab_spec vmem_slab_specs[SLAB_COUNT]; /* one place knows all types: init.c */

/* What the library keeps of a type, all of it under `lock`. Fields are slab.c's; here for the inline hit
 * path of a build for one CPU. */
struct slab_type {
	void *next; /* first free object of current's frame, linked by their first bytes; or NULL */
	uint64_t free;		   /* free objects in all frames of the type */
	uintptr_t base;		   /* address of current's frame; 0: none yet */
	struct vmem_page *current; /* the frame that objects are taken from; NULL: none yet */
	uint64_t total;		   /* objects in all frames of the type */
	uint64_t promised;	   /* objects promised (vmem_slab_promise) */
	uint64_t covered;	   /* of those, how many the promised frames could hold */
	uint8_t lock;		   /* LOCK_SLAB */
	struct vmem_page *spare;   /* one frame without an object in use, in no list; or NULL */
#if VMEM_MANY_CPUS
	uint32_t empty; /* more such frames, chained through `next` */
	uint32_t batch; /* objects that move between a CPU's list and here at once */
#endif
	uint32_t partial;  /* frames with a free object, but for current; by page number */
	uint32_t full;	   /* frames without, but for current */
	uint32_t size;	   /* an object and the gap behind it */
	uint32_t capacity; /* objects in a frame */
} __attribute__((aligned(64)));
extern struct slab_type vmem_slab_types[SLAB_COUNT];
#define SLAB_NONE UINT32_MAX

#if VMEM_MANY_CPUS
/* What a CPU has of a type (slab_cpu.c). */
struct slab_list {
	void *next;	   /* free objects, linked by their first bytes */
	uint32_t count;	   /* how many */
	uint32_t claim;	   /* of those, set aside by vmem_slab_claim() and not taken yet */
	uint32_t released; /* promises given back here, which the type does not know of yet */
	uint8_t lock;	   /* LOCK_SLAB_LIST: over all of it; other CPUs only empty the list */
	bool borrowed;	   /* the claim has taken objects that promises count on */
} __attribute__((aligned(32)));
struct slab_cpu {
	struct slab_list of[SLAB_COUNT];
} __attribute__((aligned(256))); /* lines of its own, and found by a shift */
extern struct slab_cpu vmem_slab_cpus[VMEM_MAX_CPUS];
#endif

void vmem_slabs_init(void);
/* One object, contents as they come (the first 8 bytes indeterminate, the rest zero when the frame is
 * new, else as freed). NULL: no frame. */
static inline void *vmem_slab_alloc(enum slab_id id);
void vmem_slab_free(enum slab_id id, void *object);
/* Sets `count` free objects aside for this CPU: its next `count` allocations of the type cannot fail,
 * whatever other CPUs allocate. False: no memory, also none on the lists of other CPUs; nothing lost.
 * promised: may use what was promised; then it fails only where more is wanted than was. A CPU has one claim
 * of a type at a time. A type that is claimed is only ever allocated under a claim: other allocations would
 * take what was set aside. */
bool vmem_slab_claim(enum slab_id id, unsigned count, bool promised);
/* The end of that claim, of `count` objects, whether they were taken or not. */
void vmem_slab_unclaim(enum slab_id id, unsigned count);

/* Promises: `count` more objects of the type can be had by vmem_slab_claim(.., promised = true) until
 * they are released. O(1): a counter, and frames kept back by vmem_frame_reserve(). Who takes a promised
 * object releases it himself. False: no memory, nothing changed. */
bool vmem_slab_promise(enum slab_id id, uint64_t count);
void vmem_slab_release(enum slab_id id, uint64_t count);

/* What is promised now. */
uint64_t vmem_slab_promised(enum slab_id id);

/* Objects in use, for statistics and checks. */
uint64_t vmem_slab_in_use(enum slab_id id);
/* For validators: whether `object` is one of that type and not free in its frame; and whether, besides, no
 * CPU has it on its list, for which all lists are walked. */
bool vmem_slab_owns(enum slab_id id, const void *object);
bool vmem_slab_is_live(enum slab_id id, const void *object);
/* True if one of that type can be there, live or free: for who counts the live ones himself. */
bool vmem_slab_holds(enum slab_id id, const void *object);
/*
 * With several CPUs an emptied frame is not given back by vmem_slab_free(), whose caller may hold spin
 * locks. This gives back those that have gathered, when they are many. For the end of what frees objects:
 * it waits for other CPUs, with mutexes held or not.
 */
static inline void vmem_slab_settle(void);
/* Takes in what the CPUs have on their lists, and gives all empty frames back, but those of claims and
 * promises; false: no frame was to be had. Waits as the above. */
bool vmem_slab_trim(void);
/* Panics unless lists, records and counters agree: while no other CPU is in the library. */
void vmem_slab_check(void);

#if VMEM_MANY_CPUS
extern uint64_t vmem_slab_gathered; /* frames on the `empty` chains of all types */
extern uint64_t vmem_slab_many;	    /* as many are given back */
void vmem_slab_give_back(void);
#endif

static inline void vmem_slab_settle(void)
{
#if VMEM_MANY_CPUS
	if (__builtin_expect(shared_load(&vmem_slab_gathered) >= shared_load(&vmem_slab_many), 0)) {
		vmem_slab_give_back();
	}
#endif
}

/* vmem_slab_alloc() when nothing is at hand: there is no free object in the current frame, or on the list of
 * this CPU. With several CPUs it is called with the list's lock, and gives it back. */
void *vmem_slab_alloc_slow(enum slab_id id);

#if VMEM_MANY_CPUS
static inline struct slab_list *slab_list(enum slab_id id)
{
	struct slab_list *list = &vmem_slab_cpus[cpu_number()].of[id];
	__asm__("" : "+r"(list)); /* or compilers compute the address of each field from the number again */
	return list;
}

static inline void *slab_list_pop(struct slab_list *list)
{
	void *object = list->next;
	list->next = *(void **)object;
	list->count--;
	if (list->claim != 0) {
		list->claim--;
	}
	return object;
}

static inline void *vmem_slab_alloc(enum slab_id id)
{
	struct slab_list *list = slab_list(id);
	spin_take(&list->lock, LOCK_SLAB_LIST);
	if (__builtin_expect(!list->next, 0)) {
		return vmem_slab_alloc_slow(id);
	}
	void *object = slab_list_pop(list);
	spin_give(&list->lock, LOCK_SLAB_LIST);
	return object;
}
#else
static inline void *vmem_slab_alloc(enum slab_id id)
{
	struct slab_type *type = &vmem_slab_types[id];
	void *object = type->next;
	if (__builtin_expect(!object, 0)) {
		return vmem_slab_alloc_slow(id);
	}
	type->next = *(void **)object;
	type->free--;
	return object;
}
#endif

#endif
