/* SPDX-License-Identifier: MIT */
/*
 * slab_cpu.c - small objects with several CPUs: each has a list of them for each type, so that the common
 * allocation is a pop, and touches no line that another CPU writes.
 *
 *     somebody --free--> a CPU's list --spill, drain--> the type's frames (slab.c)
 *              <--alloc--             <-----fill-------
 *
 * N1 An object on a list is free, of the list's type, and on no other; an object that somebody frees goes to
 *    the list of the CPU he runs on. A list that grows beyond two batches gives one back.
 * N2 A claim is a part of the list that other CPUs leave there: count >= claim. So what was claimed can be
 *    taken, whatever others do.
 * N3 Promises count on what the type has, not on lists (S4). A list is filled with what no promise counts
 *    on; a claim that may go further pays back when it ends, if it was not all taken and released. Releases
 *    gather on the list, two batches at most: until then a little more is kept than was promised.
 * N4 What lies on lists is never the reason for finding no memory: who finds none empties the lists of all
 *    other CPUs, and then gives empty frames of other types back (vmem_slab_scrape), and looks again. A fault
 *    does the second when it has left its section (fault.c).
 *
 * Where memory is plenty a list that must be filled by new frames gets a whole batch; else what is needed.
 *
 * Locks: a list's byte, which other CPUs take only to empty it, then the type's.
 */
#include "panic.h"
#include "slab_i.h"
#include "trace.h"

#if VMEM_MANY_CPUS

#if !VMEM_ALONE
struct slab_cpu vmem_slab_cpus[VMEM_MAX_CPUS];
#endif

static struct slab_type *type_of(enum slab_id id)
{
	return &vmem_slab_types[id];
}

static void list_push(struct slab_list *list, void *object)
{
	shared_store((void **)object, list->next);
	list->next = object;
	list->count++;
}

/* What ordinary allocations may have of a type. */
static uint64_t available(const struct slab_type *type)
{
	uint64_t kept = slab_kept(type);
	return type->free > kept ? type->free - kept : 0;
}

/* Under both locks: what was released on the list is the type's. */
static void settle(struct slab_type *type, struct slab_list *list)
{
	vmem_slab_lower(type, list->released);
	list->released = 0;
}

/* Objects move from the type to the list, at least `want`: a batch more if they are there, and if there must
 * be new frames anyway, as many as that takes. False: no memory. */
static bool fill(struct slab_type *type, struct slab_list *list, unsigned want, bool promised)
{
	bool grew = false;
	spin_take(&type->lock, LOCK_SLAB);
	if (list->released != 0) {
		settle(type, list);
	}
	bool have = vmem_slab_have(type, want, promised, &grew);
	if (have) {
		while (grew && !promised && available(type) < want + type->batch &&
		       vmem_slab_grow(type, SLAB_EARLY)) {
		}
		uint64_t count = available(type), most = want + type->batch + type->capacity;
		count = count < most ? count : most;
		if (count < want) { /* the rest is what promises count on (N3) */
			count = want;
			list->borrowed = true;
		}
		while (count-- != 0) {
			list_push(list, vmem_slab_take(type));
		}
	}
	spin_give(&type->lock, LOCK_SLAB);
	return have;
}

/* Under both locks: objects go back to the type. */
static void spill(struct slab_type *type, struct slab_list *list, uint32_t count)
{
	while (count-- != 0) {
		void *object = list->next;
		list->next = *(void **)object;
		list->count--;
		(void)vmem_slab_put(type, object);
	}
}

bool vmem_slab_drain(struct slab_type *type, bool own)
{
	const unsigned self = cpu_number();
	bool any = false;
	for (unsigned cpu = 0; cpu < VMEM_MAX_CPUS; cpu++) {
		struct slab_list *list = &vmem_slab_cpus[cpu].of[type - vmem_slab_types];
		spin_take(&list->lock, LOCK_SLAB_LIST);
		uint32_t count = cpu == self && !own ? 0 : list->count - list->claim;
		if (count != 0 || list->released != 0) {
			spin_take(&type->lock, LOCK_SLAB);
			spill(type, list, count);
			settle(type, list);
			spin_give(&type->lock, LOCK_SLAB);
			any = true;
		}
		spin_give(&list->lock, LOCK_SLAB_LIST);
	}
	return any;
}

/* Makes sure that `count` objects are on the list, whose lock this CPU has. False: no memory, and no lock. */
static __attribute__((noinline)) bool obtain(
    struct slab_type *type, struct slab_list *list, unsigned count, bool promised)
{
	unsigned scrapes = SLAB_SCRAPES;
	while (list->count < count && !fill(type, list, count - list->count, promised)) {
		spin_give(&list->lock, LOCK_SLAB_LIST);
		if (scrapes-- == 0 || !vmem_slab_scrape(type)) {
			return false;
		}
		spin_take(&list->lock, LOCK_SLAB_LIST);
	}
	return true;
}

void *vmem_slab_alloc_slow(enum slab_id id)
{
	struct slab_list *list = slab_list(id);
	if (!obtain(type_of(id), list, 1, false)) {
		return NULL;
	}
	void *object = slab_list_pop(list);
	spin_give(&list->lock, LOCK_SLAB_LIST);
	return object;
}

/* A list that has grown too long gives a batch back. */
static __attribute__((noinline)) void give_batch(struct slab_type *type, struct slab_list *list)
{
	spin_take(&type->lock, LOCK_SLAB);
	spill(type, list, type->batch);
	spin_give(&type->lock, LOCK_SLAB);
	spin_give(&list->lock, LOCK_SLAB_LIST);
}

/* Not asked of an object next to one of the type: a frame holds objects of one type, and its record need not
 * be found. */
static __attribute__((noinline)) bool is_of_type(const struct slab_type *type, const void *object)
{
	return slab_page(type, object) != NULL;
}

void vmem_slab_free(enum slab_id id, void *object)
{
	struct slab_type *type = type_of(id);
	struct slab_list *list = slab_list(id);
	VMEM_ASSERT(vmem_slab_is_live(id, object));
	spin_take(&list->lock, LOCK_SLAB_LIST);
	if (((uintptr_t)list->next ^ (uintptr_t)object) > VMEM_PAGE_MASK && !is_of_type(type, object)) {
		spin_give(&list->lock, LOCK_SLAB_LIST);
		VMEM_CHECK(false, "a small object is freed that is not of its type");
	}
	list_push(list, object);
	if (__builtin_expect(list->count > 2 * type->batch + list->claim, 0)) {
		give_batch(type, list);
		return;
	}
	spin_give(&list->lock, LOCK_SLAB_LIST);
}

bool vmem_slab_claim(enum slab_id id, unsigned count, bool promised)
{
	struct slab_list *list = slab_list(id);
	if (!promised && VMEM_FAIL_ALLOCATION()) {
		return false;
	}
	VMEM_ASSERT(list->claim == 0);
	spin_take(&list->lock, LOCK_SLAB_LIST);
	if (__builtin_expect(list->count < count, 0) && !obtain(type_of(id), list, count, promised)) {
		return false;
	}
	list->claim = count;
	spin_give(&list->lock, LOCK_SLAB_LIST);
	return true;
}

/* What promises count on goes back to the type (N3). */
static __attribute__((noinline)) void pay_back(struct slab_type *type, struct slab_list *list)
{
	spin_take(&type->lock, LOCK_SLAB);
	settle(type, list);
	while (list->count != 0 && type->free < slab_kept(type)) {
		spill(type, list, 1);
	}
	spin_give(&type->lock, LOCK_SLAB);
	list->borrowed = false;
}

void vmem_slab_unclaim(enum slab_id id, unsigned count)
{
	struct slab_list *list = slab_list(id);
	VMEM_ASSERT(list->claim <= count);
	(void)count;
	spin_take(&list->lock, LOCK_SLAB_LIST);
	list->claim = 0;
	if (__builtin_expect(list->borrowed, 0)) {
		pay_back(type_of(id), list);
	}
	spin_give(&list->lock, LOCK_SLAB_LIST);
}

void vmem_slab_release(enum slab_id id, uint64_t count)
{
	struct slab_type *type = type_of(id);
	struct slab_list *list = slab_list(id);
	bool was_promised = true;
	spin_take(&list->lock, LOCK_SLAB_LIST);
	uint64_t sum = list->released + count;
	if (sum <= 2 * (uint64_t)type->batch && sum < shared_load(&type->promised)) {
		list->released = (uint32_t)sum;
	} else {
		spin_take(&type->lock, LOCK_SLAB);
		was_promised = sum <= type->promised;
		if (was_promised) {
			settle(type, list);
			vmem_slab_lower(type, count);
		}
		spin_give(&type->lock, LOCK_SLAB);
	}
	spin_give(&list->lock, LOCK_SLAB_LIST);
	VMEM_CHECK(was_promised, "more small objects are released than were promised");
}

#else
typedef int vmem_slab_cpu_nothing; /* a file of C is not empty */
#endif
