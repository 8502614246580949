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
 * S2 type->free is the sum of the free objects of all its frames; free + in use = total.
 * S3 An object is 0 mod size in its frame, and on the frame's free list exactly if it is free.
 * S4 A promise can be kept: free + covered >= promised, where covered is what the promised frames would
 *    hold. Ordinary claims leave promised - covered objects alone.
 * S5 A claim can be kept: free >= claimed, the sum of what the CPUs have set aside and not taken.
 *
 * A frame whose last object is freed becomes the spare. If there is one, it goes back to the frame allocator
 * (unless S4 wants its objects): with one CPU at once, for then no reader can be looking at it (contract
 * 6.2). With several it gathers with others on the type's `empty` chain, from where it is used again, or
 * given back when no CPU can be looking at any of them (cpu.c): they leave their types first, and come back
 * if one may be. Whoever allocates meanwhile may find no memory for want of them, but no promise and no
 * claim counts on them (S4, S5).
 *
 * Locks: the type's byte over all that is kept of a type, its lists, and the links in its objects; frames
 * are taken and given back under it.
 */
#include "slab.h"

#include "cpu.h"
#include "panic.h"
#include "trace.h"

struct slab_type vmem_slab_types[SLAB_COUNT];

#if VMEM_SMP
#define MANY 16u
uint64_t vmem_slab_gathered;
uint64_t vmem_slab_many;
#endif

void vmem_slabs_init(void)
{
#if VMEM_SMP
	vmem_slab_gathered = 0;
	vmem_slab_many = MANY;
#endif
	for (unsigned id = 0; id < SLAB_COUNT; id++) {
		uint32_t align = vmem_slab_specs[id].align;
		uint32_t size = (vmem_slab_specs[id].size + align - 1) & ~(align - 1);
		vmem_slab_types[id] = (struct slab_type){
			.partial = PAGE_NIL,
			.full = PAGE_NIL,
#if VMEM_SMP
			.empty = PAGE_NIL,
#endif
			.size = size,
			.capacity = (uint32_t)VMEM_PAGE_SIZE / size,
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
static struct vmem_page *frame_new(struct slab_type *type, bool promised)
{
	struct vmem_page *page = promised ? vmem_frame_take_reserved(PAGE_SLAB) : vmem_frame_take(PAGE_SLAB);
	if (!page) {
		return NULL;
	}
	if (promised) {
		vmem_frame_unreserve(1);
		type->covered -= type->capacity;
	}
	unsigned char *base = page_to_virt(page);
	__builtin_memset(base, 0, VMEM_PAGE_SIZE);
	for (uint32_t i = 0; i < type->capacity; i++) {
		*(void **)(void *)(base + i * type->size) =
		    i + 1 < type->capacity ? base + (i + 1) * type->size : NULL;
	}
	page->u.slab.type = type;
	page->u.slab.first_free = 0;
	page->u.slab.in_use = 0;
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
	}
	return true;
}

/* Objects that ordinary claims must leave (S4). */
static uint64_t kept(const struct slab_type *type)
{
	return type->promised > type->covered ? type->promised - type->covered : 0;
}

/* Objects that are claimed (S5). */
static uint64_t set_aside(const struct slab_type *type)
{
#if VMEM_SMP
	return type->claimed;
#else
	(void)type;
	return 0;
#endif
}

/* Whether S4 and S5 allow an empty frame to go. */
static bool may_drop(const struct slab_type *type)
{
	return type->free - type->capacity >= kept(type) + set_aside(type);
}

/* Allocation ----------------------------------------------------------------------------------- */

/* The free list of a frame that is not current. */
static void *free_list(const struct vmem_page *page)
{
	return page->u.slab.first_free == SLAB_NONE
		   ? NULL
		   : (unsigned char *)page_to_virt(page) + page->u.slab.first_free;
}

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

void *vmem_slab_alloc_slow(struct slab_type *type)
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
		page = page ? page : frame_new(type, false);
		if (!page) {
			spin_give(&type->lock, LOCK_SLAB);
			return NULL;
		}
	}
	if (type->current) {
		list_push(&type->full, type->current);
	}
	unsigned char *object = free_list(page);
	type->current = page;
	type->base = (uintptr_t)page_to_virt(page);
	type->next = *(void **)(void *)object;
	type->free--;
	page->u.slab.first_free = SLAB_NONE;
	page->u.slab.in_use = type->capacity;
	slab_claim_use(type);
	spin_give(&type->lock, LOCK_SLAB);
	return object;
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
	struct vmem_page *page = pa_to_page(virt_to_phys(object));
	if (!page || shared_load(&page->kind) != PAGE_SLAB || page->u.slab.type != type) {
		return false;
	}
	bool was_full = page->u.slab.first_free == SLAB_NONE;
	shared_store((void **)object, free_list(page));
	page->u.slab.first_free = (uint32_t)((uintptr_t)object & VMEM_PAGE_MASK);
	page->u.slab.in_use--;
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

void vmem_slab_free(enum slab_id id, void *object)
{
	struct slab_type *type = &vmem_slab_types[id];
	VMEM_ASSERT(vmem_slab_owns(id, object));
	bool ours = true;
	spin_take(&type->lock, LOCK_SLAB);
	if (((uintptr_t)object & ~(uintptr_t)VMEM_PAGE_MASK) != type->base) {
		ours = free_elsewhere(type, object);
	} else {
		shared_store((void **)object, type->next);
		type->next = object;
		type->free++;
	}
	spin_give(&type->lock, LOCK_SLAB);
	VMEM_CHECK(ours, "a small object is freed that is not of its type");
}

/* Makes sure that `count` objects are free beyond those claimed, and those kept for promises (S4). */
static bool have_free(struct slab_type *type, uint64_t count, bool promised)
{
	while (type->free < set_aside(type) + count + (promised ? 0 : kept(type))) {
		struct vmem_page *page = frame_new(type, promised && type->covered != 0);
		if (!page) {
			return false;
		}
		list_push(&type->partial, page);
	}
	return true;
}

/* With one CPU nobody allocates between the claim and its use, so there is nothing to set aside. */
bool vmem_slab_claim(enum slab_id id, unsigned count, bool promised)
{
	struct slab_type *type = &vmem_slab_types[id];
	if (!promised && VMEM_FAIL_ALLOCATION()) {
		return false;
	}
#if VMEM_SMP
	uint32_t *claim = &type->claim[cpu_number()];
	VMEM_ASSERT(*claim == 0);
	spin_take(&type->lock, LOCK_SLAB);
	bool have = have_free(type, count, promised);
	if (have) {
		*claim = count;
		type->claimed += count;
	}
	spin_give(&type->lock, LOCK_SLAB);
	return have;
#else
	return have_free(type, count, promised);
#endif
}

void vmem_slab_unclaim(enum slab_id id, unsigned count)
{
#if VMEM_SMP
	struct slab_type *type = &vmem_slab_types[id];
	uint32_t *claim = &type->claim[cpu_number()];
	VMEM_ASSERT(*claim <= count);
	spin_take(&type->lock, LOCK_SLAB);
	type->claimed -= *claim;
	*claim = 0;
	spin_give(&type->lock, LOCK_SLAB);
#endif
	(void)id;
	(void)count;
}

/* Under the type's lock. */
static bool promise(struct slab_type *type, uint64_t count)
{
	uint64_t need = type->promised + count;
	uint64_t have = type->covered + kept(type);
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
	spin_take(&type->lock, LOCK_SLAB);
	bool promised = promise(type, count);
	spin_give(&type->lock, LOCK_SLAB);
	return promised;
}

/* Under the type's lock. */
static void release(struct slab_type *type, uint64_t count)
{
	shared_store(&type->promised, type->promised - count);
	uint64_t surplus = type->covered > type->promised ? type->covered - type->promised : 0;
	if (surplus >= type->capacity) {
		uint64_t frames = surplus / type->capacity;
		vmem_frame_unreserve(frames);
		type->covered -= frames * type->capacity;
	}
}

void vmem_slab_release(enum slab_id id, uint64_t count)
{
	struct slab_type *type = &vmem_slab_types[id];
	spin_take(&type->lock, LOCK_SLAB);
	bool was_promised = count <= type->promised;
	if (was_promised) {
		release(type, count);
	}
	spin_give(&type->lock, LOCK_SLAB);
	VMEM_CHECK(was_promised, "more small objects are released than were promised");
}

/* Validation and maintenance ------------------------------------------------------------------- */

uint64_t vmem_slab_in_use(enum slab_id id)
{
	struct slab_type *type = &vmem_slab_types[id];
	spin_take(&type->lock, LOCK_SLAB);
	uint64_t in_use = type->total - type->free;
	spin_give(&type->lock, LOCK_SLAB);
	return in_use;
}

/* The free list of any frame of the type. */
static const void *any_free_list(const struct slab_type *type, const struct vmem_page *page)
{
	return page == type->current ? type->next : free_list(page);
}

/* Under the type's lock. */
static bool owns(const struct slab_type *type, const void *object)
{
	const struct vmem_page *page = pa_to_page(virt_to_phys(object));
	uint32_t offset = (uint32_t)((uintptr_t)object & VMEM_PAGE_MASK);
	if (!page || shared_load(&page->kind) != PAGE_SLAB || page->u.slab.type != type ||
		offset % type->size != 0 || offset / type->size >= type->capacity) {
		return false;
	}
	const void *free = any_free_list(type, page);
	while (free && free != object) {
		free = *(void *const *)free;
	}
	return !free;
}

bool vmem_slab_owns(enum slab_id id, const void *object)
{
	struct slab_type *type = &vmem_slab_types[id];
	spin_take(&type->lock, LOCK_SLAB);
	bool owned = owns(type, object);
	spin_give(&type->lock, LOCK_SLAB);
	return owned;
}

/* The number of free objects in a frame; S3 on the way. */
static uint32_t count_free(const struct slab_type *type, const struct vmem_page *page)
{
	const unsigned char *base = page_to_virt(page);
	uint32_t free = 0;
	VMEM_CHECK(page->kind == PAGE_SLAB && page->u.slab.type == type,
	    "a frame of small objects is not of its type");
	for (const void *at = any_free_list(type, page); at; at = *(void *const *)at) {
		uint64_t offset = (uint64_t)((uintptr_t)at - (uintptr_t)base);
		VMEM_CHECK(offset % type->size == 0 && offset / type->size < type->capacity,
		    "a free list of small objects is damaged (S3)");
		VMEM_CHECK(++free <= type->capacity, "a free list of small objects has a cycle (S3)");
	}
	return free;
}

/* The frames that gathered leave their type, as far as S4 and S5 allow; `all`: and all other empty ones. */
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
	if (type->current && count_free(type, type->current) == type->capacity && may_drop(type)) {
		/* The current frame's list becomes that of any other: it may have to come back. */
		type->current->u.slab.first_free = (uint32_t)((uintptr_t)type->next & VMEM_PAGE_MASK);
		type->current->u.slab.in_use = 0;
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

/* False: nothing was given back. */
static bool give_back(bool all)
{
	uint32_t chain = PAGE_NIL;
	for (unsigned id = 0; id < SLAB_COUNT; id++) {
		struct slab_type *type = &vmem_slab_types[id];
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
	return given && chain != PAGE_NIL;
}

#if VMEM_SMP
void vmem_slab_give_back(void)
{
	(void)give_back(false);
}
#endif

bool vmem_slab_trim(void)
{
	return give_back(true);
}

/* A frame other than current: its record's count. The number of its free objects. */
static uint32_t check_frame(const struct slab_type *type, const struct vmem_page *page)
{
	uint32_t free = count_free(type, page);
	VMEM_CHECK(free + page->u.slab.in_use == type->capacity,
	    "a frame's count of small objects in use is wrong (S2)");
	return free;
}

static void check_type(const struct slab_type *type)
{
	uint64_t free = 0, frames = 0;
	if (type->current) {
		free += count_free(type, type->current);
		frames++;
	}
	if (type->spare) {
		VMEM_CHECK(check_frame(type, type->spare) == type->capacity,
		    "the spare frame of a type is not empty (S1)");
		free += type->capacity;
		frames++;
	}
#if VMEM_SMP
	for (uint32_t number = type->empty; number != PAGE_NIL; number = number_to_page(number)->next) {
		VMEM_CHECK(check_frame(type, number_to_page(number)) == type->capacity,
		    "a frame that was gathered as empty is not (S1)");
		free += type->capacity;
		frames++;
	}
#endif
	for (uint32_t number = type->partial; number != PAGE_NIL; number = number_to_page(number)->next) {
		uint32_t here = check_frame(type, number_to_page(number));
		VMEM_CHECK(here != 0, "a full frame is on the list of those that are not (S1)");
		free += here;
		frames++;
	}
	for (uint32_t number = type->full; number != PAGE_NIL; number = number_to_page(number)->next) {
		VMEM_CHECK(check_frame(type, number_to_page(number)) == 0,
		    "a frame with a free object is on the list of full ones (S1)");
		frames++;
	}
	VMEM_CHECK(free == type->free && frames * type->capacity == type->total,
	    "a type's count of small objects is wrong (S2)");
	VMEM_CHECK(free >= set_aside(type), "more small objects are claimed than are free (S5)");
	VMEM_CHECK(free + type->covered >= type->promised, "a promise of small objects cannot be kept (S4)");
}

void vmem_slab_check(void)
{
	uint64_t objects = 0;
	for (unsigned id = 0; id < SLAB_COUNT; id++) {
		check_type(&vmem_slab_types[id]);
		objects += vmem_slab_types[id].covered / vmem_slab_types[id].capacity;
	}
	struct vmem_frame_stats stats;
	vmem_frame_stats(&stats);
	VMEM_CHECK(
	    objects <= stats.reserved, "frames counted for promised small objects are not reserved (S4)");
}
