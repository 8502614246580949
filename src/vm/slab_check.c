/* SPDX-License-Identifier: MIT */
/*
 * slab_check.c - what validators ask of the small objects: whose an object is, how many there are, and
 * whether S1 to S4 (slab.c) and N1 to N3 (slab_cpu.c) hold.
 *
 * Locks: that of each list, then that of the type, one after the other: what is in use stays in use
 * meanwhile, and the sum of what is free may be of several moments. vmem_slab_check() takes none.
 */
#include "panic.h"
#include "slab_i.h"

uint64_t vmem_slab_promised(enum slab_id id)
{
	uint64_t promised = shared_load(&vmem_slab_types[id].promised);
#if VMEM_SMP
	for (unsigned cpu = 0; cpu < VMEM_MAX_CPUS; cpu++) {
		struct slab_list *list = &vmem_slab_cpus[cpu].of[id];
		spin_take(&list->lock, LOCK_SLAB_LIST);
		promised -= list->released;
		spin_give(&list->lock, LOCK_SLAB_LIST);
	}
#endif
	return promised;
}

uint64_t vmem_slab_in_use(enum slab_id id)
{
	struct slab_type *type = &vmem_slab_types[id];
	spin_take(&type->lock, LOCK_SLAB);
	uint64_t in_use = type->total - type->free;
	spin_give(&type->lock, LOCK_SLAB);
#if VMEM_SMP
	for (unsigned cpu = 0; cpu < VMEM_MAX_CPUS; cpu++) {
		struct slab_list *list = &vmem_slab_cpus[cpu].of[id];
		spin_take(&list->lock, LOCK_SLAB_LIST);
		in_use -= list->count;
		spin_give(&list->lock, LOCK_SLAB_LIST);
	}
#endif
	return in_use;
}

/* The free list of any frame of the type. */
static const void *any_free_list(const struct slab_type *type, const struct vmem_page *page)
{
	return page == type->current ? type->next : slab_free_list(page);
}

static bool is_linked(const void *free, const void *object)
{
	while (free && free != object) {
		free = *(void *const *)free;
	}
	return free != NULL;
}

bool vmem_slab_holds(enum slab_id id, const void *object)
{
	const struct slab_type *type = &vmem_slab_types[id];
	const uint32_t offset = (uint32_t)((uintptr_t)object & VMEM_PAGE_MASK);
	return slab_page(type, object) && offset % type->size == 0 && offset / type->size < type->capacity;
}

bool vmem_slab_owns(enum slab_id id, const void *object)
{
	struct slab_type *type = &vmem_slab_types[id];
	spin_take(&type->lock, LOCK_SLAB);
	bool owned = vmem_slab_holds(id, object) &&
		     !is_linked(any_free_list(type, slab_page(type, object)), object);
	spin_give(&type->lock, LOCK_SLAB);
	return owned;
}

bool vmem_slab_is_live(enum slab_id id, const void *object)
{
	bool live = vmem_slab_owns(id, object);
#if VMEM_SMP
	for (unsigned cpu = 0; cpu < VMEM_MAX_CPUS && live; cpu++) {
		struct slab_list *list = &vmem_slab_cpus[cpu].of[id];
		spin_take(&list->lock, LOCK_SLAB_LIST);
		live = !is_linked(list->next, object);
		spin_give(&list->lock, LOCK_SLAB_LIST);
	}
#endif
	return live;
}

uint32_t vmem_slab_count_free(const struct slab_type *type, const struct vmem_page *page)
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

/* A frame other than current: its record's count. The number of its free objects. */
static uint32_t check_frame(const struct slab_type *type, const struct vmem_page *page)
{
	uint32_t free = vmem_slab_count_free(type, page);
	VMEM_CHECK(free + page->u.slab.in_use == type->capacity,
	    "a frame's count of small objects in use is wrong (S2)");
	return free;
}

/* The lists of the CPUs: what has been released on them without the type knowing it. */
static uint64_t check_lists(const struct slab_type *type)
{
	uint64_t released = 0;
#if VMEM_SMP
	for (unsigned cpu = 0; cpu < VMEM_MAX_CPUS; cpu++) {
		const struct slab_list *list = &vmem_slab_cpus[cpu].of[type - vmem_slab_types];
		uint32_t count = 0;
		for (const void *at = list->next; at && count <= list->count; at = *(void *const *)at) {
			const struct vmem_page *page = pa_to_page(virt_to_phys(at));
			VMEM_CHECK(page && page->kind == PAGE_SLAB && page->u.slab.type == type,
			    "a CPU's list has something that is no small object of the type (N1)");
			count++;
		}
		VMEM_CHECK(count == list->count, "a CPU's list of small objects is miscounted (N1)");
		VMEM_CHECK(list->claim <= count, "more small objects are claimed than are at hand (N2)");
		released += list->released;
	}
#else
	(void)type;
#endif
	return released;
}

static void check_type(const struct slab_type *type)
{
	uint64_t free = 0, frames = 0;
	if (type->current) {
		free += vmem_slab_count_free(type, type->current);
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
	VMEM_CHECK(free + type->covered + check_lists(type) >= type->promised,
	    "a promise of small objects cannot be kept (S4)");
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
