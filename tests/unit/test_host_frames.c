/* SPDX-License-Identifier: MIT */
/*
 * The library with the host's own frame allocator (VMEM_HOST_FRAMES): the allocator and what stands on it
 * are compiled into this program a second time, with that choice, over a host that hands out frames of its
 * own.
 */
#undef VMEM_HOST_FRAMES
#define VMEM_HOST_FRAMES 1
#include "arena.h"

#include "frame.c"
#include "frame_buddy.c"
#include "frame_host.c"
#include "slab.c"

const struct slab_spec vmem_slab_specs[SLAB_COUNT] = {
	{200, 8}, {200, 8}, {544, 32}, {64, 64}, {64, 64}, {24, 8}, {64, 64},
};

#define HOST_FRAMES 1024u

/* The host's allocator: first fit over a map. */
static unsigned char host_used[HOST_FRAMES];
static unsigned host_held;
static vmem_paddr_t host_lie; /* what it gives whatever is asked for; 0: what is right */

bool vmem_host_frame_alloc(unsigned order, vmem_paddr_t limit, vmem_paddr_t *out_frame)
{
	const unsigned size = 1u << order;
	if (host_lie != 0) {
		*out_frame = host_lie;
		return true;
	}
	for (unsigned i = 0; i + size <= HOST_FRAMES; i += size) {
		unsigned n = 0;
		while (n < size && !host_used[i + n]) {
			n++;
		}
		if (n == size && ARENA_PA + (i + size) * VMEM_PAGE_SIZE <= limit) {
			memset(host_used + i, 1, size);
			host_held += size;
			*out_frame = ARENA_PA + i * VMEM_PAGE_SIZE;
			return true;
		}
	}
	return false;
}

void vmem_host_frame_free(vmem_paddr_t frame, unsigned order)
{
	uint64_t first = (frame - ARENA_PA) >> VMEM_PAGE_SHIFT;
	for (uint64_t i = first; i < first + (UINT64_C(1) << order); i++) {
		assert_int_equal(host_used[i], 1);
		host_used[i] = 0;
		host_held--;
		memset(arena_memory + (i << VMEM_PAGE_SHIFT), 0x11,
		    VMEM_PAGE_SIZE); /* the host writes to what is its own */
	}
}

static void host_start_with(const struct vmem_ram *ram)
{
	memset(host_used, 0, sizeof(host_used));
	host_held = 0;
	host_lie = 0;
	assert_int_equal(arena_start_ranges(ram, 2), VMEM_OK);
	vmem_slabs_init();
}

static void host_start(void)
{
	const struct vmem_ram ram[] = {
	    {ARENA_PA, 700 * VMEM_PAGE_SIZE}, {ARENA_PA + 700 * VMEM_PAGE_SIZE, 324 * VMEM_PAGE_SIZE}};
	host_start_with(ram);
}

static struct vmem_frame_stats stats(void)
{
	struct vmem_frame_stats s;
	vmem_frame_stats(&s);
	return s;
}

/* So many objects can be claimed now. */
static bool claimable(enum slab_id id, unsigned count, bool promised)
{
	bool claimed = vmem_slab_claim(id, count, promised);
	if (claimed) {
		vmem_slab_unclaim(id, count);
	}
	return claimed;
}

static void test_start(void **state)
{
	(void)state;
	host_start();
	assert_int_equal(host_held, 9); /* the records of 1024 frames, and a gap */
	assert_int_equal(stats().total, HOST_FRAMES);
	vmem_frame_check();
	/* Records that no block of the host can hold. */
	const struct vmem_ram huge = {ARENA_PA, UINT64_C(1) << 38};
	assert_int_equal(arena_start_ranges(&huge, 1), VMEM_ERR_NO_MEMORY);
	memset(host_used, 1, sizeof(host_used)); /* and a host that has none */
	const struct vmem_ram some = {ARENA_PA, UINT64_C(1) << 20};
	assert_int_equal(arena_start_ranges(&some, 1), VMEM_ERR_NO_MEMORY);
}

static void test_frames(void **state)
{
	(void)state;
	vmem_paddr_t pa;
	host_start();
	struct vmem_page *page = vmem_frame_take(PAGE_DATA);
	assert_int_equal(page->refs, 1);
	assert_int_equal(stats().cached, 79);
	assert_int_equal(host_held, 9 + 80);
	vmem_frame_give(page);
	vmem_frame_drain();
	assert_int_equal(host_held, 9);
	vmem_frame_check();
	assert_int_equal(
	    vmem_frame_alloc(&(struct vmem_frame_request){.order = 5, .zeroed = true}, &pa), VMEM_OK);
	assert_int_equal(*(unsigned char *)phys_to_virt(pa), 0);
	assert_int_equal(host_held, 9 + 32);
	vmem_frame_free(pa, 4);
	vmem_frame_free(pa + 16 * VMEM_PAGE_SIZE, 4);
	assert_int_equal(
	    vmem_frame_alloc(&(struct vmem_frame_request){.order = 5, .limit = pa}, &pa), VMEM_ERR_NO_MEMORY);
	assert_int_equal(vmem_frame_alloc_run(11, 4 * VMEM_PAGE_SIZE, 0, &pa), VMEM_OK);
	assert_int_equal(host_held, 9 + 11);
	vmem_frame_check();
	vmem_frame_free_run(pa, 11);
	assert_int_equal(vmem_frame_alloc_run(UINT64_C(1) << 30, VMEM_PAGE_SIZE, 0, &pa), VMEM_ERR_NO_MEMORY);
	assert_int_equal(vmem_frame_alloc_run(1000, VMEM_PAGE_SIZE, 0, &pa), VMEM_ERR_NO_MEMORY);
	uint64_t count = 0;
	while (vmem_frame_take(PAGE_DATA)) {
		count++;
	}
	assert_int_equal(count, HOST_FRAMES - 9);
	vmem_frame_check();
}

static void test_promise(void **state)
{
	(void)state;
	host_start();
	assert_int_equal(vmem_frame_reserve(HOST_FRAMES), VMEM_ERR_NO_MEMORY);
	assert_int_equal(host_held, 9);
	assert_int_equal(vmem_frame_reserve(10), VMEM_OK);
	assert_int_equal(host_held, 19);
	vmem_frame_check();
	while (vmem_frame_take(PAGE_DATA)) {
	}
	assert_int_equal(stats().free, 10);
	for (unsigned i = 0; i < 6; i++) {
		assert_non_null(vmem_frame_take_reserved(PAGE_SLAB));
		vmem_frame_unreserve(1);
		vmem_frame_check();
	}
	assert_int_equal(stats().reserved, 4);
	vmem_frame_unreserve(4);
	assert_int_equal(host_held, HOST_FRAMES - 4);
	assert_true(PANICS(vmem_frame_unreserve(1), "than were promised"));
	while (vmem_frame_take(PAGE_DATA)) {
	}
	assert_null(vmem_frame_take_reserved(PAGE_DATA)); /* nothing is held, and the host has no more */
	vmem_frame_check();
}

static void test_objects(void **state)
{
	(void)state;
	void *node[40];
	host_start();
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 14));
	for (unsigned i = 0; i < 40; i++) {
		node[i] = vmem_slab_alloc(SLAB_INDEX_NODE);
	}
	assert_true(claimable(SLAB_INDEX_NODE, 14, true));
	vmem_slab_release(SLAB_INDEX_NODE, 14);
	for (unsigned i = 0; i < 40; i++) {
		vmem_slab_free(SLAB_INDEX_NODE, node[i]);
	}
	vmem_slab_trim();
	vmem_slab_check();
	vmem_frame_check();
	vmem_frame_drain();
	assert_int_equal(host_held, 9);
}

static void test_bad_host(void **state)
{
	(void)state;
	const vmem_paddr_t page = VMEM_PAGE_SIZE;
	const struct vmem_ram apart[] = {{ARENA_PA, 100 * page}, {ARENA_PA + 110 * page, 500 * page}};
	const struct vmem_frame_request block = {.order = 7};
	vmem_paddr_t pa = 0;
	host_start_with(apart);
	host_lie = ARENA_PA + 8192 * page;
	assert_true(PANICS(vmem_frame_take(PAGE_DATA), "outside the ranges"));
	host_lie = ARENA_PA + page;
	assert_true(PANICS(vmem_frame_alloc(&block, &pa), "not aligned"));
	host_lie = ARENA_PA; /* begins in one range, ends in another */
	assert_true(PANICS(vmem_frame_alloc(&block, &pa), "outside the ranges"));
	host_lie = ARENA_PA + 512 * page; /* ends behind the last */
	assert_true(PANICS(vmem_frame_alloc(&block, &pa), "outside the ranges"));
	host_start();
	pa = 0;
	assert_int_equal(vmem_frame_alloc(&(struct vmem_frame_request){.order = 1}, &pa), VMEM_OK);
	host_used[(pa - ARENA_PA) >> VMEM_PAGE_SHIFT] = 0; /* the host forgets that it gave this one */
	assert_true(PANICS(while (vmem_frame_take(PAGE_DATA)){}, "has already"));
}

static void test_check_finds(void **state)
{
	(void)state;
	host_start();
	assert_int_equal(vmem_frame_reserve(3), VMEM_OK);
	vmem_frame_check();
	struct vmem_page *first = number_to_page(held);
	first->kind = PAGE_RESERVED;
	assert_true(PANICS(vmem_frame_check(), "held for the promise is not free"));
	first->kind = PAGE_FREE;
	first->order = 1;
	assert_true(PANICS(vmem_frame_check(), "held for the promise is not free"));
	first->order = 0;
	vmem_source.free++;
	assert_true(PANICS(vmem_frame_check(), "another number of frames is held"));
	vmem_source.free--;
	vmem_source.reserved++;
	assert_true(PANICS(vmem_frame_check(), "another number of frames is held"));
	vmem_source.reserved--;
	cpus[1].count = CACHE_FRAMES + 1;
	assert_true(PANICS(vmem_frame_check(), "overfull"));
	cpus[1].count = 0;
	vmem_frame_check();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_promise),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_bad_host),
		cmocka_unit_test(test_check_finds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
