/* SPDX-License-Identifier: MIT */
/*
 * frame.c - physical memory: the records, the caches of the CPUs, the promise, and who holds what.
 *
 * A frame is in one of three places: with the source (frame_source.h: the buddy lists, or the host), in a
 * CPU's cache, or in somebody's hands. Single frames go through the cache of the CPU that runs, a small
 * stack of records, so that the common allocation is a pop and touches no line that another CPU writes.
 * An empty cache is filled, but for room for what comes back, and a full one spills half; a call that
 * finds no memory empties all of them into the source and tries once more, so cached frames are never the
 * reason for NO_MEMORY.
 *
 *     somebody --give--> cache (CACHED) --spill, drain--> source (FREE)
 *              <--take--                <----refill------
 *
 * F1 A record's kind says where its frame is: RESERVED, FREE and FREE_TAIL with the source, CACHED in
 *    exactly one cache, all others in use.
 * F2 The promise is kept by the source alone: refills and blocks leave `reserved` frames there, and
 *    cached frames never count for it. So a promised frame is there whatever other CPUs do.
 * F3 Only a frame in use is given back; anything else is a double free or a frame that was never handed
 *    out, and panics.
 * F4 VMEM_DEBUG: a frame with PAGE_F_POISONED holds nothing but the poison. It is checked when the frame
 *    is taken: other bytes were written by somebody who had freed the frame.
 * F5 Per kind, taken less given, summed over the CPUs, is the number of frames in use with that kind:
 *    nobody else changes a kind.
 *
 * Locks: each cache has a byte (LOCK_CACHE), taken by its own CPU, and by others only to empty it; the
 * source has its own (frame_source.h), below that. A CPU's counters are written by that CPU alone. Other
 * CPUs read the head of any record at any moment (page.h), and may hold its lock: so it is written in whole
 * fields, and never the lock. What a record's frame contains is its holder's, whatever its kind.
 */
#include "frame.h"

#include "frame_source.h"
#include "lock.h"
#include "panic.h"
#include "trace.h"

#define CACHE_FRAMES 96u
#define CACHE_FILL 80u /* with BATCH of slab.c: at most one fault in 32 fills a cache or a list */
#define CACHE_SPILL 48u
#define PLENTY 1024u	/* frames */
#define DRAINS_MAX 4u
#define POISON UINT64_C(0xdeadf4a3edeadf4a)

/* What one CPU has: its cache, and its share of the counters (F5). */
struct frame_cpu {
	uint64_t count; /* in frame[]; read at any time */
	uint8_t lock;	/* over frame[], and changes of count */
	struct vmem_page *frame[CACHE_FRAMES];
	uint64_t taken[PAGE_KINDS]; /* frames, by kind */
	uint64_t given[PAGE_KINDS];
	uint64_t taken_in_blocks, given_in_blocks; /* of those, beyond one per call */
} __attribute__((aligned(1024)));		   /* lines of its own, and found by a shift */

#define cpus vmem_frame_cpus /* of this file and of its copy (alone.h) */
extern struct frame_cpu cpus[VMEM_MAX_CPUS];

static struct frame_cpu *this_cpu(void)
{
	struct frame_cpu *cpu = &cpus[cpu_number()];
#if VMEM_SMP
	/* Or compilers keep the number, and compute the address of each field from it again. */
	__asm__("" : "+r"(cpu));
#endif
	return cpu;
}

#if !VMEM_ALONE
struct frame_cpu cpus[VMEM_MAX_CPUS];
struct page_ranges vmem_page_ranges;
uint64_t vmem_direct_map;

const struct page_range *vmem_page_range_of(const struct vmem_page *page)
{
	const struct page_range *r = vmem_page_ranges.range;
	for (unsigned i = 0; i < vmem_page_ranges.count; i++, r++) {
		if (page_range_index(r, page) < r->count) {
			return r;
		}
	}
	vmem_host_panic("vmem: a pointer to a frame record points to none");
}

/* The range that frame pfn is in, or NULL. */
static inline const struct page_range *range_at(uint64_t pfn)
{
	const struct page_range *r = vmem_page_ranges.range;
	for (unsigned i = vmem_page_ranges.count; i != 0; i--, r++) {
		if (pfn - r->first_pfn < r->count) {
			return r;
		}
	}
	return NULL;
}

const struct page_range *vmem_page_range_at(vmem_paddr_t pa)
{
	return range_at(pa >> VMEM_PAGE_SHIFT);
}

struct vmem_page *vmem_page_search(vmem_paddr_t pa)
{
	const struct page_range *r = range_at(pa >> VMEM_PAGE_SHIFT);
	return r ? r->pages + ((pa >> VMEM_PAGE_SHIFT) - r->first_pfn) : NULL;
}

/* Start ---------------------------------------------------------------------------------------- */

struct pfn_range {
	uint64_t first, count;
};

/* Rounds the ranges inward, drops empty ones, sorts by address and joins those that touch. The new
 * count; more than `count` if two overlap. */
static unsigned ranges_normalize(
    const struct vmem_ram *ram, unsigned count, struct pfn_range out[PAGE_RANGES_MAX])
{
	unsigned n = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t first = (ram[i].start >> VMEM_PAGE_SHIFT) + !vmem_page_aligned(ram[i].start);
		uint64_t end = (ram[i].start + ram[i].length) >> VMEM_PAGE_SHIFT;
		if (!vmem_range_ok(ram[i].start, ram[i].length) || first >= end) {
			continue;
		}
		unsigned at = n++;
		while (at > 0 && out[at - 1].first > first) {
			out[at] = out[at - 1];
			at--;
		}
		out[at] = (struct pfn_range){first, end - first};
	}
	unsigned kept = 0;
	for (unsigned i = 0; i < n; i++) {
		if (kept > 0 && out[kept - 1].first + out[kept - 1].count > out[i].first) {
			return count + 1;
		}
		if (kept > 0 && out[kept - 1].first + out[kept - 1].count == out[i].first) {
			out[kept - 1].count += out[i].count;
		} else {
			out[kept++] = out[i];
		}
	}
	return kept;
}

static void sort_largest_first(struct pfn_range *range, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		for (unsigned j = i; j > 0 && range[j - 1].count < range[j].count; j--) {
			struct pfn_range larger = range[j];
			range[j] = range[j - 1];
			range[j - 1] = larger;
		}
	}
}

vmem_status_t vmem_frames_init(const struct vmem_ram *ram, unsigned count)
{
	struct pfn_range range[PAGE_RANGES_MAX];
	if (count > PAGE_RANGES_MAX) {
		return VMEM_ERR_INVALID;
	}
	unsigned n = ranges_normalize(ram, count, range);
	uint64_t frames = 0;
	for (unsigned i = 0; i < n && n <= count; i++) {
		frames += range[i].count;
	}
	if (n > count || frames >= PAGE_NIL) {
		return VMEM_ERR_INVALID;
	}
	sort_largest_first(range, n);
	vmem_page_ranges.count = 0;
	vmem_source_reset();
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		cpus[i] = (struct frame_cpu){0};
	}
	uint64_t numbered = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t usable;
		struct vmem_page *pages = vmem_source_records(range[i].first, range[i].count, &usable);
		if (!pages) {
			continue; /* too small to hold more than its own records */
		}
		struct page_range *r = &vmem_page_ranges.range[vmem_page_ranges.count++];
		*r = (struct page_range){range[i].first, range[i].count, pages, numbered};
		numbered += r->count;
		for (uint64_t p = 0; p < r->count; p++) {
			pages[p] = (struct vmem_page){0};
		}
		vmem_source_add(r, usable);
	}
	return vmem_source.total == 0 ? VMEM_ERR_NO_MEMORY : VMEM_OK;
}
#endif

/* Content of free frames ----------------------------------------------------------------------- */

static void poison_write(struct vmem_page *page)
{
#if VMEM_DEBUG >= 1
	uint64_t *word = page_to_virt(page);
	for (unsigned i = 0; i < VMEM_PAGE_SIZE / sizeof(*word); i++) {
		word[i] = POISON;
	}
	shared_store(&page->flags, PAGE_F_POISONED);
#else
	(void)page;
#endif
}

static void poison_verify(const struct vmem_page *page)
{
#if VMEM_DEBUG >= 1
	if (page->flags & PAGE_F_POISONED) {
		const uint64_t *word = page_to_virt(page);
		uint64_t differs = 0;
		for (unsigned i = 0; i < VMEM_PAGE_SIZE / sizeof(*word); i++) {
			differs |= word[i] ^ POISON;
		}
		VMEM_CHECK(differs == 0, "a frame was written to after it was freed");
	}
#else
	(void)page;
#endif
}

#if VMEM_SMP
/* The lock stays as it is: who found the frame in an entry that is gone may hold it, to learn from the kind
 * that it is no table of his. */
static inline void head_set(struct vmem_page *page, enum page_kind kind)
{
	shared_store(&page->order, 0);
	shared_store(&page->flags, 0);
	shared_store(&page->refs, kind == PAGE_DATA);
	shared_store(&page->kind, (uint8_t)kind);
}
#else
/* The first eight bytes of a record as handed out: order and flags 0, refs as the kind wants. */
#define HEAD(kind, refs) [kind] = (uint64_t)(kind) << 8 | (uint64_t)(refs) << 32
static const uint64_t head_of[PAGE_KINDS] = {
    HEAD(PAGE_USED, 0), HEAD(PAGE_TABLE, 0), HEAD(PAGE_SLAB, 0), HEAD(PAGE_DATA, 1), HEAD(PAGE_ZERO, 0)};
_Static_assert(offsetof(struct vmem_page, kind) == 1 && offsetof(struct vmem_page, refs) == 4,
    "a record's head is one word");

static inline void head_set(struct vmem_page *page, enum page_kind kind)
{
	page->head = head_of[kind];
}
#endif

static void hand_out(struct vmem_page *page, enum page_kind kind)
{
	poison_verify(page);
	head_set(page, kind);
}

static bool kind_in_use(unsigned kind)
{
	return kind - PAGE_USED <= PAGE_DATA - PAGE_USED;
}

/* Single frames -------------------------------------------------------------------------------- */

/* Under the cache's lock: gives the `count` frames that were given back longest ago to the source. */
static __attribute__((noinline)) void cache_spill(struct frame_cpu *cpu, unsigned count)
{
	vmem_source_give_batch(cpu->frame, count);
	counter_subtract(&cpu->count, count);
	for (unsigned i = 0; i < cpu->count; i++) {
		cpu->frame[i] = cpu->frame[i + count];
	}
}

/* How many frames it moved. */
static uint64_t drain(void)
{
	uint64_t moved = 0;
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		spin_take(&cpus[i].lock, LOCK_CACHE);
		moved += cpus[i].count;
		cache_spill(&cpus[i], (unsigned)cpus[i].count);
		spin_give(&cpus[i].lock, LOCK_CACHE);
	}
	return moved;
}

void vmem_frame_drain(void)
{
	(void)drain();
}

/* Takes a frame out of a cache whose lock this CPU has, and gives the lock back. */
static inline __attribute__((always_inline)) struct vmem_page *cache_pop(
    struct frame_cpu *cpu, enum page_kind kind)
{
	uint64_t count = cpu->count - 1;
	shared_store(&cpu->count, count);
	struct vmem_page *page = cpu->frame[count];
	spin_give(&cpu->lock, LOCK_CACHE);
	hand_out(page, kind);
	counter_add(&cpu->taken[kind], 1);
	VMEM_TRACE_ALLOC(page_to_pa(page), 0);
	return page;
}

/* As cache_pop() with an empty cache. The caches of others are emptied as often as that brings anything, for
 * another CPU may have it before this one: but not for ever. */
static __attribute__((noinline)) struct vmem_page *take_slow(struct frame_cpu *cpu, enum page_kind kind)
{
	bool again = true;
	unsigned drains = 0;
	for (;;) {
		shared_store(&cpu->count, vmem_source_take_batch(cpu->frame, CACHE_FILL));
		if (cpu->count != 0) {
			return cache_pop(cpu, kind);
		}
		spin_give(&cpu->lock, LOCK_CACHE);
		if (!again || drains++ == DRAINS_MAX) {
			return NULL;
		}
		again = drain() != 0;
		spin_take(&cpu->lock, LOCK_CACHE);
	}
}

struct vmem_page *vmem_frame_take(enum page_kind kind)
{
	struct frame_cpu *cpu = this_cpu();
	if (VMEM_FAIL_ALLOCATION()) {
		return NULL;
	}
	spin_take(&cpu->lock, LOCK_CACHE);
	if (__builtin_expect(cpu->count == 0, 0)) {
		return take_slow(cpu, kind);
	}
	return cache_pop(cpu, kind);
}

#if VMEM_SMP
struct vmem_page *vmem_frame_take_early(enum page_kind kind)
{
	struct frame_cpu *cpu = this_cpu();
	if (shared_load(&vmem_source.free) <= shared_load(&vmem_source.reserved) + PLENTY) {
		return NULL;
	}
	spin_take(&cpu->lock, LOCK_CACHE);
	return cpu->count != 0 ? cache_pop(cpu, kind) : take_slow(cpu, kind);
}
#endif

void vmem_frame_give(struct vmem_page *page)
{
	struct frame_cpu *cpu = this_cpu();
	unsigned kind = page->kind;
	VMEM_CHECK(kind_in_use(kind), "a frame is given back that is not allocated (F3)");
	VMEM_TRACE_FREE(page_to_pa(page), 0);
	poison_write(page);
	counter_add(&cpu->given[kind], 1);
	shared_store(&page->kind, PAGE_CACHED);
	spin_take(&cpu->lock, LOCK_CACHE);
	uint64_t count = cpu->count;
	shared_store(&cpu->count, count + 1);
	cpu->frame[count] = page;
	if (__builtin_expect(count == CACHE_FRAMES - 1, 0)) {
		cache_spill(cpu, CACHE_SPILL);
	}
	spin_give(&cpu->lock, LOCK_CACHE);
}

#if !VMEM_ALONE
/* The promise ---------------------------------------------------------------------------------- */

vmem_status_t vmem_frame_reserve(uint64_t frames)
{
	if (VMEM_FAIL_ALLOCATION()) {
		return VMEM_ERR_NO_MEMORY;
	}
	if (!vmem_source_reserve(frames)) {
		(void)drain();
		if (!vmem_source_reserve(frames)) {
			return VMEM_ERR_NO_MEMORY;
		}
	}
	return VMEM_OK;
}

void vmem_frame_unreserve(uint64_t frames)
{
	VMEM_CHECK(vmem_source_unreserve(frames),
	    "more frames are released from the promise than were promised");
}

struct vmem_page *vmem_frame_take_reserved(enum page_kind kind)
{
	struct frame_cpu *cpu = this_cpu();
	spin_take(&cpu->lock, LOCK_CACHE);
	struct vmem_page *page = cpu->count != 0 ? cache_pop(cpu, kind) : take_slow(cpu, kind);
	if (!page) {
		page = vmem_source_take(0, UINT64_MAX, true);
		if (!page) {
			return NULL;
		}
		hand_out(page, kind);
		counter_add(&cpu->taken[kind], 1);
		VMEM_TRACE_ALLOC(page_to_pa(page), 0);
	}
	return page;
}

/* Blocks and runs ------------------------------------------------------------------------------ */

static void hand_out_many(struct vmem_page *page, uint64_t count, enum page_kind kind)
{
	for (uint64_t i = 0; i < count; i++) {
		hand_out(page + i, kind);
	}
	struct frame_cpu *cpu = this_cpu();
	counter_add(&cpu->taken[kind], count);
	shared_store_release(&cpu->taken_in_blocks, cpu->taken_in_blocks + (count - 1)); /* after taken[] */
}

struct vmem_page *vmem_frame_take_block(enum page_kind kind, unsigned order, vmem_paddr_t limit)
{
	if (order == 0 && limit == 0) {
		return vmem_frame_take(kind);
	}
	if (order > VMEM_ORDER_MAX || VMEM_FAIL_ALLOCATION()) {
		return NULL;
	}
	vmem_paddr_t below = limit != 0 ? limit : UINT64_MAX;
	struct vmem_page *page = vmem_source_take(order, below, false);
	if (!page) {
		(void)drain();
		page = vmem_source_take(order, below, false);
	}
	if (page) {
		hand_out_many(page, UINT64_C(1) << order, kind);
		VMEM_TRACE_ALLOC(page_to_pa(page), order);
	}
	return page;
}

vmem_status_t vmem_frame_alloc(const struct vmem_frame_request *request, vmem_paddr_t *out_frame)
{
	if (request->order > VMEM_ORDER_MAX) {
		return VMEM_ERR_INVALID;
	}
	struct vmem_page *page = vmem_frame_take_block(PAGE_USED, request->order, request->limit);
	if (!page) {
		return VMEM_ERR_NO_MEMORY;
	}
	if (request->zeroed) {
		__builtin_memset(page_to_virt(page), 0, (size_t)(VMEM_PAGE_SIZE << request->order));
	}
	*out_frame = page_to_pa(page);
	return VMEM_OK;
}

void vmem_frame_free(vmem_paddr_t frame, unsigned order)
{
	VMEM_CHECK(order <= VMEM_ORDER_MAX && (frame & ((VMEM_PAGE_SIZE << order) - 1)) == 0,
	    "a block is freed that is not aligned to its size");
	uint64_t count = UINT64_C(1) << order;
	struct vmem_page *page = pa_to_page(frame);
	struct vmem_page *last = pa_to_page(frame + ((count - 1) << VMEM_PAGE_SHIFT));
	VMEM_CHECK(page && last && (uint64_t)(last - page) == count - 1,
	    "a block is freed that is not the library's RAM");
	for (uint64_t i = 0; i < count; i++) {
		VMEM_CHECK(page[i].kind == PAGE_USED,
		    "a frame is freed that is not an allocated frame of the host's");
	}
	if (order == 0) {
		vmem_frame_give(page);
		return;
	}
	VMEM_TRACE_FREE(frame, order);
	for (uint64_t i = 0; i < count; i++) {
		poison_write(page + i);
	}
	struct frame_cpu *cpu = this_cpu();
	counter_add(&cpu->given[PAGE_USED], count);
	shared_store_release(&cpu->given_in_blocks, cpu->given_in_blocks + (count - 1));
	vmem_source_give(page, order);
}

vmem_status_t vmem_frame_take_run(
    enum page_kind kind, uint64_t count, uint64_t align, vmem_paddr_t limit, vmem_paddr_t *out_start)
{
	if (VMEM_FAIL_ALLOCATION()) {
		return VMEM_ERR_NO_MEMORY;
	}
	vmem_paddr_t below = limit != 0 ? limit : UINT64_MAX;
	struct vmem_page *page = vmem_source_take_run(count, align >> VMEM_PAGE_SHIFT, below);
	if (!page) {
		(void)drain();
		page = vmem_source_take_run(count, align >> VMEM_PAGE_SHIFT, below);
		if (!page) {
			return VMEM_ERR_NO_MEMORY;
		}
	}
	hand_out_many(page, count, kind);
	*out_start = page_to_pa(page);
	for (uint64_t done = 0; done < count;) {
		unsigned order = vmem_source_piece((*out_start >> VMEM_PAGE_SHIFT) + done, count - done);
		VMEM_TRACE_ALLOC(*out_start + (done << VMEM_PAGE_SHIFT), order);
		done += UINT64_C(1) << order;
	}
	return VMEM_OK;
}

vmem_status_t vmem_frame_alloc_run(
    uint64_t count, uint64_t align, vmem_paddr_t limit, vmem_paddr_t *out_frame)
{
	if (count == 0 || align < VMEM_PAGE_SIZE || (align & (align - 1)) != 0) {
		return VMEM_ERR_INVALID;
	}
	return vmem_frame_take_run(PAGE_USED, count, align, limit, out_frame);
}

void vmem_frame_free_run(vmem_paddr_t frame, uint64_t count)
{
	VMEM_CHECK(count != 0 && vmem_page_aligned(frame),
	    "a run is freed that has no frame, or does not start at one");
	uint64_t *in_blocks = &this_cpu()->given_in_blocks;
	counter_subtract(in_blocks, 1);
	while (count != 0) {
		unsigned order = vmem_source_piece(frame >> VMEM_PAGE_SHIFT, count);
		vmem_frame_free(frame, order);
		shared_store_release(in_blocks, *in_blocks + 1);
		frame += VMEM_PAGE_SIZE << order;
		count -= UINT64_C(1) << order;
	}
}

/* Statistics and checks ------------------------------------------------------------------------ */

/* At any time: each number is one that was true, and those of two CPUs need not be of one moment. A frame
 * that one CPU takes and another gives may be seen given only: so a sum is not told when it is below 0. */
static uint64_t in_use(enum page_kind kind)
{
	uint64_t frames = 0;
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		frames += shared_load(&cpus[i].taken[kind]) - shared_load(&cpus[i].given[kind]);
	}
	return (int64_t)frames < 0 ? 0 : frames;
}

void vmem_frame_stats(struct vmem_frame_stats *out)
{
	*out = (struct vmem_frame_stats){0};
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		const struct frame_cpu *cpu = &cpus[i];
		out->cached += shared_load(&cpu->count);
		/* Before what they are a part of. */
		out->allocations -= shared_load_acquire(&cpu->taken_in_blocks);
		out->frees -= shared_load_acquire(&cpu->given_in_blocks);
		for (unsigned kind = 0; kind < PAGE_KINDS; kind++) {
			out->allocations += shared_load(&cpu->taken[kind]);
			out->frees += shared_load(&cpu->given[kind]);
		}
	}
	out->total = vmem_source.total;
	out->free = shared_load(&vmem_source.free) + out->cached;
	out->reserved = shared_load(&vmem_source.reserved);
	out->tables = in_use(PAGE_TABLE);
	out->slabs = in_use(PAGE_SLAB);
	out->data = in_use(PAGE_DATA);
	out->host = in_use(PAGE_USED);
}

void vmem_frame_check(void)
{
	uint64_t found[PAGE_KINDS] = {0};
	uint64_t cached = 0;
	vmem_source_check();
	for (unsigned i = 0; i < vmem_page_ranges.count; i++) {
		const struct page_range *r = &vmem_page_ranges.range[i];
		for (uint64_t p = 0; p < r->count; p++) {
			VMEM_CHECK(r->pages[p].kind < PAGE_KINDS, "a frame record has no kind");
			found[r->pages[p].kind]++;
		}
	}
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		VMEM_CHECK(cpus[i].count <= CACHE_FRAMES, "a cache of frames is overfull");
		for (unsigned n = 0; n < cpus[i].count; n++) {
			VMEM_CHECK(cpus[i].frame[n]->kind == PAGE_CACHED,
			    "a cache holds a frame that is not free (F1)");
		}
		cached += cpus[i].count;
	}
	VMEM_CHECK(
	    found[PAGE_CACHED] == cached, "a frame is marked as cached and in no cache, or in two (F1)");
	VMEM_CHECK(found[PAGE_FREE] + found[PAGE_FREE_TAIL] == vmem_source.free,
	    "a frame is marked as free and on no list (F1)");
	for (unsigned kind = PAGE_USED; kind < PAGE_KINDS; kind++) {
		VMEM_CHECK(found[kind] == in_use((enum page_kind)kind),
		    "the frames of a kind are not as many as were taken (F5)");
	}
}
#endif
