/* SPDX-License-Identifier: MIT */
/*
 * test_release.c - what a release build (VMEM_DEBUG 0) keeps: frames and small objects are compiled into
 * this program a second time, without assertions and poison. Checks of memory safety stay. And as no frame
 * is poisoned here, there is room for blocks of the largest order.
 */
#undef VMEM_DEBUG
#define VMEM_DEBUG 0
#define ARENA_FRAMES 266240u /* 1 GiB and 16 MiB, of which only the records are touched */
#include "arena.h"

#include "frame.c"
#include "frame_buddy.c"
#include "slab.c"
#define list_push cpu_list_push /* one name, two files */
#include "slab_cpu.c"

const struct slab_spec vmem_slab_specs[SLAB_COUNT] = {
    {200, 8}, {200, 8}, {544, 32}, {64, 64}, {64, 64}, {24, 8}, {64, 64},
};

static struct vmem_frame_stats stats(void)
{
	struct vmem_frame_stats s;
	vmem_frame_stats(&s);
	return s;
}

static void test_objects(void **state)
{
	(void)state;
	void *o[30];
	arena_start(64);
	vmem_slabs_init();
	for (unsigned i = 0; i < 30; i++) {
		o[i] = vmem_slab_alloc(SLAB_REGION); /* 20 to a frame */
	}
	struct vmem_page *data = vmem_frame_take(PAGE_DATA);
	assert_true(PANICS(vmem_slab_free(SLAB_REGION, page_to_virt(data)), "not of its type"));
	assert_true(PANICS(vmem_slab_free(SLAB_REGION, &data), "not of its type"));
	assert_true(PANICS(vmem_slab_free(SLAB_VMAR, o[0]), "not of its type"));
	vmem_slab_free(SLAB_REGION, o[0]);
	vmem_slab_free(SLAB_REGION, o[29]);
	vmem_slab_check();
	vmem_frame_check();
}

/* Freed frames keep their content, and are told from allocated ones all the same. */
static void test_frames(void **state)
{
	(void)state;
	arena_start(64);
	struct vmem_page *page = vmem_frame_take(PAGE_DATA);
	memset(page_to_virt(page), 0x77, VMEM_PAGE_SIZE);
	vmem_frame_give(page);
	assert_int_equal(*(unsigned char *)page_to_virt(page), 0x77);
	assert_true(PANICS(vmem_frame_give(page), "F3"));
	assert_ptr_equal(vmem_frame_take(PAGE_DATA), page);
	vmem_frame_check();
	filled ^= 1u << VMEM_ORDER_MAX; /* says of an empty list that it is not */
	assert_true(PANICS(vmem_frame_check(), "the bitmap of free lists"));
	filled ^= 1u << VMEM_ORDER_MAX;
	vmem_frame_check();
}

static void test_largest_block(void **state)
{
	(void)state;
	const struct vmem_frame_request request = {.order = VMEM_ORDER_MAX};
	const uint64_t frames = UINT64_C(1) << VMEM_ORDER_MAX;
	vmem_paddr_t pa;
	arena_start(ARENA_FRAMES);
	const uint64_t free = stats().free;
	assert_int_equal(vmem_frame_alloc(&request, &pa), VMEM_OK);
	assert_int_equal(pa, ARENA_PA);
	vmem_frame_check();
	assert_int_equal(vmem_frame_alloc(&request, &pa), VMEM_ERR_NO_MEMORY);
	vmem_frame_free(pa, VMEM_ORDER_MAX - 1);
	vmem_frame_free(pa + (VMEM_PAGE_SIZE << (VMEM_ORDER_MAX - 1)), VMEM_ORDER_MAX - 1);
	assert_int_equal(pa_to_page(pa)->order, VMEM_ORDER_MAX); /* joined, and no further */
	assert_int_equal(stats().free, free);
	vmem_frame_check();
	/* A run that no block can hold, found among the records. */
	assert_int_equal(vmem_frame_alloc_run(frames + 1, VMEM_PAGE_SIZE, 0, &pa), VMEM_OK);
	assert_int_equal(pa, ARENA_PA);
	assert_int_equal(stats().free, free - frames - 1);
	vmem_frame_check();
	vmem_frame_free_run(pa, frames + 1);
	assert_int_equal(stats().free, free);
	vmem_frame_check();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_objects),
	    cmocka_unit_test(test_frames),
	    cmocka_unit_test(test_largest_block),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
