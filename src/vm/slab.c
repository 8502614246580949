/* SPDX-License-Identifier: MIT */
/*
 * slab.c - objects of equal size out of frames: allocation is a pop, and the frame's record says all about
 * the frame.
 *
 * A frame holds `capacity` objects of one type. Its free ones form a list through their first eight bytes,
 * most recently freed first; the record has the list's head and the number in use. Each type takes from one
 * frame, `current`, until that is exhausted; the head of its list is type->next instead, and its record
 * counts all its objects as in use, so that a hit touches neither record nor list.
 *
 *     type -> current [o.ooo.]    partial -> [o...o.] -> [..o...]    full -> [oooooo]    spare [......]
 *
 * S1 A frame of a type is current, or the spare, or on the `empty` chain, or on the list that its number of
 *    free objects says. The spare and the `empty` ones have no object in use.
 * S2 type->free is the sum of the free objects of all its frames; free + what the CPUs have on their lists
 *    (slab_cpu.c) + in use = total. To a frame an object on a list is one in use.
 * S3 An object is 0 mod size in its frame, and on the frame's free list, or on a CPU's, exactly if it is
 *    free.
 * S4 A promise can be kept: free + covered >= promised, where covered is what the promised frames would
 *    hold. Ordinary allocations leave promised - covered objects alone. What is on a CPU's list does not
 *    count: it is that CPU's.
 *
 * A frame whose last object is freed becomes the spare. If there is one, it goes back to the frame allocator
 * (unless S4 wants its objects): with one CPU at once, for then no reader can be looking at it (contract
 * 6.2). With several it gathers with others on the type's `empty` chain, from where it is used again, or
 * given back when no CPU can be looking at any of them (cpu.c): they leave their types first, and come back
 * if one may be. Whoever allocates meanwhile may find no memory for want of them, but no promise counts on
 * them (S4).
 *
 * Locks: the type's byte over all that is kept of a type, its lists, and the links in its objects; frames
 * are taken and given back under it.
 */
#include "slab.h"

#include "cpu.h"
#include "panic.h"
#include "slab_i.h"
#include "trace.h"

struct slab_type vmem_slab_types[SLAB_COUNT];

#if VMEM_SMP
#define MANY 16u
#define BATCH 72u	/* objects that go to a CPU's list or come from it at once, */
#define BATCH_FRAMES 10u /* or of large ones what so many frames hold */
uint64_t vmem_slab_gathered;
uint64_t vmem_slab_many;
#endif

void vmem_slabs_init(void)
{
#if VMEM_SMP
	vmem_slab_gathered = 0;
	vmem_slab_many = MANY;
	for (unsigned cpu = 0; cpu < VMEM_MAX_CPUS; cpu++) {
		vmem_slab_cpus[cpu] = (struct slab_cpu){0};
	}
#endif
	for (unsigned id = 0; id < SLAB_COUNT; id++) {
		uint32_t align = vmem_slab_specs[id].align;
		uint32_t size = (vmem_slab_specs[id].size + align - 1) & ~(align - 1);
		uint32_t capacity = (uint32_t)VMEM_PAGE_SIZE / size;
		vmem_slab_types[id] = (struct slab_type){
			.partial = PAGE_NIL,
			.full = PAGE_NIL,
#if VMEM_SMP
			.empty = PAGE_NIL,
			.batch = BATCH < BATCH_FRAMES * capacity ? BATCH : BATCH_FRAMES * capacity,
#endif
			.size = size,
			.capacity = capacity,
		};
	}
}

/* Lists of frames ------------------------------------------------------------------------------ */

static void list_push(uint32_t *list, struct vmem_page *page)
{
	uint32_t number = page_to_number(page);
	page->prev = PAGE_NIL;
	page->next = *list;
	if (page->next != PAGE_NIL) {
		number_to_page(page->next)->prev = number;
	}
	*list = number;
}

static void list_remove(uint32_t *list, struct vmem_page *page)
{
	if (page->next != PAGE_NIL) {
		number_to_page(page->next)->prev = page->prev;
	}
	if (page->prev != PAGE_NIL) {
		number_to_page(page->prev)->next = page->next;
	} else {
		*list = page->next;
	}
}

/* A new frame, empty, all objects on its free list in address order, and zero but for the links. */
static struct vmem_page *frame_new(struct slab_type *type, enum slab_frame which)
{
	struct vmem_page *page;
	if (which == SLAB_PROMISED) {
		page = vmem_frame_take_reserved(PAGE_SLAB);
	} else {
		page = VMEM_SMP && which == SLAB_EARLY ? vmem_frame_take_early(PAGE_SLAB)
						       : vmem_frame_take(PAGE_SLAB);
	}
	if (!page) {
		return NULL;
	}
	if (which == SLAB_PROMISED) {
		vmem_frame_unreserve(1);
		type->covered -= type->capacity;
	}
	unsigned char *base = page_to_virt(page);
	__builtin_memset(base, 0, VMEM_PAGE_SIZE);
	for (uint32_t i = 0; i < type->capacity; i++) {
		*(void **)(void *)(base + i * type->size) =
		    i + 1 < type->capacity ? base + (i + 1) * type->size : NULL;
	}
	shared_store(&page->u.slab.type, type);
	shared_store(&page->u.slab.first_free, 0);
	shared_store(&page->u.slab.in_use, 0);
	type->free += type->capacity;
	type->total += type->capacity;
	return page;
}

/* Takes an empty frame, which is in no list, from its type, and keeps it on a chain of its own. */
static void frame_leave(struct slab_type *type, struct vmem_page *page, uint32_t *chain)
{
	type->free -= type->capacity;
	type->total -= type->capacity;
	page_chain_push(chain, page);
}

/* Gives frames that have left their types back. False: a CPU may still look at them. */
static bool chain_give(uint32_t chain)
{
	if (chain == PAGE_NIL) {
		return true;
	}
	if (!vmem_cpus_outside()) {
		return false;
	}
	while (chain != PAGE_NIL) {
		vmem_frame_give(page_chain_pop(&chain));
		pause_after(100);
	}
	return true;
}

/* Whether S4 allows an empty frame to go. */
static bool may_drop(const struct slab_type *type)
{
	return type->free - type->capacity >= slab_kept(type);
}

/* Allocation ----------------------------------------------------------------------------------- */

/* One of the frames that have gathered, or NULL. */
static struct vmem_page *take_gathered(struct slab_type *type)
{
#if VMEM_SMP
	if (type->empty != PAGE_NIL) {
		(void)shared_subtract(&vmem_slab_gathered, 1);
		return page_chain_pop(&type->empty);
	}
#else
	(void)type;
#endif
	return NULL;
}

/* A frame with a free object becomes current. */
static void next_frame(struct slab_type *type)
{
	struct vmem_page *page;
	if (type->partial != PAGE_NIL) {
		page = number_to_page(type->partial);
		list_remove(&type->partial, page);
	} else if (type->spare) {
		page = type->spare;
		type->spare = NULL;
	} else {
		page = take_gathered(type);
	}
	if (type->current) {
		list_push(&type->full, type->current);
	}
	type->current = page;
	type->base = (uintptr_t)page_to_virt(page);
	type->next = slab_free_list(page);
	shared_store(&page->u.slab.first_free, SLAB_NONE);
	shared_store(&page->u.slab.in_use, type->capacity);
}

void *vmem_slab_take(struct slab_type *type)
{
	if (!type->next) {
		next_frame(type);
	}
	void *object = type->next;
	type->next = *(void **)object;
	type->free--;
	return object;
}

bool vmem_slab_grow(struct slab_type *type, enum slab_frame which)
{
	struct vmem_page *page = frame_new(type, which);
	if (page) {
		list_push(&type->partial, page);
	}
	return page != NULL;
}

bool vmem_slab_have(struct slab_type *type, uint64_t count, bool promised, bool *grew)
{
	while (type->free < count + (promised ? 0 : slab_kept(type))) {
		if (!vmem_slab_grow(type, promised && type->covered != 0 ? SLAB_PROMISED : SLAB_ORDINARY)) {
			return false;
		}
		*grew = true;
	}
	return true;
}

#if VMEM_SMP
/* An empty frame, in no list, is kept for later. */
static void gather(struct slab_type *type, struct vmem_page *page)
{
	page_chain_push(&type->empty, page);
	(void)shared_add(&vmem_slab_gathered, 1);
}
#endif

/* Frees into a frame other than current; its list may be another one then. False: not of the type. */
static __attribute__((noinline)) bool free_elsewhere(struct slab_type *type, void *object)
{
	struct vmem_page *page = slab_page(type, object);
	if (!page) {
		return false;
	}
	bool was_full = page->u.slab.first_free == SLAB_NONE;
	shared_store((void **)object, slab_free_list(page));
	shared_store(&page->u.slab.first_free, (uint32_t)((uintptr_t)object & VMEM_PAGE_MASK));
	shared_store(&page->u.slab.in_use, page->u.slab.in_use - 1);
	type->free++;
	if (was_full) {
		list_remove(&type->full, page);
		list_push(&type->partial, page);
	}
	if (page->u.slab.in_use != 0 || (type->spare && !may_drop(type))) {
		return true;
	}
	list_remove(&type->partial, page);
	if (!type->spare) {
		type->spare = page;
		return true;
	}
#if VMEM_SMP
	gather(type, page);
#else
	uint32_t chain = PAGE_NIL;
	frame_leave(type, page, &chain);
	(void)chain_give(chain);
#endif
	return true;
}

bool vmem_slab_put(struct slab_type *type, void *object)
{
	if (((uintptr_t)object & ~(uintptr_t)VMEM_PAGE_MASK) != type->base) {
		return free_elsewhere(type, object);
	}
	shared_store((void **)object, type->next);
	type->next = object;
	type->free++;
	return true;
}

#if !VMEM_SMP
/* The type is all there is: what several CPUs do is in slab_cpu.c. */
void *vmem_slab_alloc_slow(enum slab_id id)
{
	struct slab_type *type = &vmem_slab_types[id];
	if (type->free == 0 && !vmem_slab_grow(type, SLAB_ORDINARY) &&
	    !(vmem_slab_scrape(type) && vmem_slab_grow(type, SLAB_ORDINARY))) {
		return NULL;
	}
	return vmem_slab_take(type);
}

void vmem_slab_free(enum slab_id id, void *object)
{
	VMEM_ASSERT(vmem_slab_is_live(id, object));
	bool ours = vmem_slab_put(&vmem_slab_types[id], object);
	VMEM_CHECK(ours, "a small object is freed that is not of its type");
}

/* Nobody allocates between the claim and its use, so there is nothing to set aside. */
bool vmem_slab_claim(enum slab_id id, unsigned count, bool promised)
{
	struct slab_type *type = &vmem_slab_types[id];
	bool grew = false;
	if (!promised && VMEM_FAIL_ALLOCATION()) {
		return false;
	}
	return vmem_slab_have(type, count, promised, &grew) ||
	       (vmem_slab_scrape(type) && vmem_slab_have(type, count, promised, &grew));
}

void vmem_slab_unclaim(enum slab_id id, unsigned count)
{
	(void)id;
	(void)count;
}

void vmem_slab_release(enum slab_id id, uint64_t count)
{
	struct slab_type *type = &vmem_slab_types[id];
	VMEM_CHECK(count <= type->promised, "more small objects are released than were promised");
	vmem_slab_lower(type, count);
}
#endif

/* Promises ------------------------------------------------------------------------------------- */

/* Under the type's lock. */
static bool promise(struct slab_type *type, uint64_t count)
{
	uint64_t need = type->promised + count;
	uint64_t have = type->covered + slab_kept(type);
	if (need > have) {
		uint64_t frames = (need - have + type->capacity - 1) / type->capacity;
		if (vmem_frame_reserve(frames) != VMEM_OK) {
			return false;
		}
		type->covered += frames * type->capacity;
	}
	shared_store(&type->promised, need); /* others ask whether there is any, without the lock */
	return true;
}

bool vmem_slab_promise(enum slab_id id, uint64_t count)
{
	struct slab_type *type = &vmem_slab_types[id];
	unsigned scrapes = SLAB_SCRAPES;
	bool promised;
	do {
		spin_take(&type->lock, LOCK_SLAB);
		promised = promise(type, count);
		spin_give(&type->lock, LOCK_SLAB);
	} while (!promised && scrapes-- != 0 && vmem_slab_scrape(type));
	return promised;
}

void vmem_slab_lower(struct slab_type *type, uint64_t count)
{
	shared_store(&type->promised, type->promised - count);
	uint64_t surplus = type->covered > type->promised ? type->covered - type->promised : 0;
	if (surplus >= type->capacity) {
		uint64_t frames = surplus / type->capacity;
		vmem_frame_unreserve(frames);
		type->covered -= frames * type->capacity;
	}
}

/* Maintenance ---------------------------------------------------------------------------------- */

/* The frames that gathered leave their type, as far as S4 allows; `all`: and all other empty ones. */
static void collect(struct slab_type *type, bool all, uint32_t *chain)
{
#if VMEM_SMP
	while (type->empty != PAGE_NIL && may_drop(type)) {
		frame_leave(type, take_gathered(type), chain);
	}
#endif
	if (!all) {
		return;
	}
	if (type->spare && may_drop(type)) {
		frame_leave(type, type->spare, chain);
		type->spare = NULL;
	}
	if (type->current && vmem_slab_count_free(type, type->current) == type->capacity && may_drop(type)) {
		/* The current frame's list becomes that of any other: it may have to come back. */
		const uint32_t at = (uint32_t)((uintptr_t)type->next & VMEM_PAGE_MASK);
		shared_store(&type->current->u.slab.first_free, at);
		shared_store(&type->current->u.slab.in_use, 0);
		frame_leave(type, type->current, chain);
		type->current = NULL;
		type->next = NULL;
		type->base = 0;
	}
	for (uint32_t number = type->partial; number != PAGE_NIL;) {
		struct vmem_page *page = number_to_page(number);
		number = page->next;
		if (page->u.slab.in_use == 0 && may_drop(type)) {
			list_remove(&type->partial, page);
			frame_leave(type, page, chain);
		}
	}
}

#if VMEM_SMP
/* A CPU may look at them: the frames of a chain return to their types. */
static void chain_return(uint32_t chain)
{
	while (chain != PAGE_NIL) {
		struct vmem_page *page = page_chain_pop(&chain);
		struct slab_type *type = page->u.slab.type;
		spin_take(&type->lock, LOCK_SLAB);
		type->free += type->capacity;
		type->total += type->capacity;
		gather(type, page);
		spin_give(&type->lock, LOCK_SLAB);
	}
}
#endif

/* What has gathered; `all`: and what else is empty, but what is of the type `except`, which wants it itself.
 * False: there was nothing. */
static bool give_back(bool all, const struct slab_type *except)
{
	uint32_t chain = PAGE_NIL;
	bool lowered = false;
	for (unsigned id = 0; id < SLAB_COUNT; id++) {
		struct slab_type *type = &vmem_slab_types[id];
		if (type == except) {
			continue;
		}
#if VMEM_SMP
		uint64_t promised = shared_load(&type->promised);
		if (all) {
			(void)vmem_slab_drain(type, true);
		}
		lowered |= shared_load(&type->promised) < promised;
#endif
		spin_take(&type->lock, LOCK_SLAB);
		collect(type, all, &chain);
		spin_give(&type->lock, LOCK_SLAB);
	}
	bool given = chain_give(chain);
#if VMEM_SMP
	if (!given) {
		chain_return(chain);
	}
	/* What could not be given is not asked for again before there is more of it. */
	shared_store(&vmem_slab_many, shared_load(&vmem_slab_gathered) + MANY);
#endif
	return lowered || (given && chain != PAGE_NIL);
}

#if VMEM_SMP
void vmem_slab_give_back(void)
{
	(void)give_back(false, NULL);
}
#endif

bool vmem_slab_trim(void)
{
	return give_back(true, NULL);
}

bool vmem_slab_scrape(struct slab_type *type)
{
	if (VMEM_FAILED_ALLOCATION()) {
		return false;
	}
#if VMEM_SMP
	if (vmem_slab_drain(type, false)) {
		return true;
	}
	if (this_vmem_cpu()->inside) { /* no waiting for others: the fault looks further when it has left */
		return false;
	}
#endif
	return give_back(true, type);
}
