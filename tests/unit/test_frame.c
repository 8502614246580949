/* SPDX-License-Identifier: MIT */
/* Frames: ranges and records, single frames and caches, the promise, and what the allocator refuses. */
#include "arena.h"

#include "frame_source.h"

#define FRAMES 4096u

static struct vmem_frame_stats stats(void)
{
	struct vmem_frame_stats s;
	vmem_frame_stats(&s);
	return s;
}

static vmem_paddr_t alloc(unsigned order, vmem_paddr_t limit)
{
	vmem_paddr_t pa = 0;
	const struct vmem_frame_request request = {.order = order, .limit = limit};
	return vmem_frame_alloc(&request, &pa) == VMEM_OK ? pa : 0;
}

static void test_ranges(void **state)
{
	(void)state;
	const uint64_t page = VMEM_PAGE_SIZE;
	const struct vmem_ram ram[] = {
	    {ARENA_PA + 2048 * page, 100 * page},   /* touches the next */
	    {ARENA_PA + 10 * page + 1, 300 * page}, /* 11 to 309: ends rounded inward */
	    {ARENA_PA + 2148 * page, 1000 * page},  /* the largest, with the first: 2048 to 3147 */
	    {ARENA_PA + 4000 * page, 1 * page},	    /* too small for its own record */
	    {ARENA_PA + 5000 * page + 7, page},	    /* holds no whole page */
	    {ARENA_PA + 6000 * page, 0},	    /* empty */
	    {ARENA_PA + 8000 * page, 200 * page},
	};
	assert_int_equal(arena_start_ranges(ram, 7), VMEM_OK);
	assert_int_equal(vmem_page_ranges.count, 3);
	assert_int_equal(vmem_page_ranges.range[0].count, 1100);
	assert_int_equal(vmem_page_ranges.range[1].count, 299);
	assert_int_equal(vmem_page_ranges.range[2].count, 200);
	/* 1100 records take 9 frames, 299 take 3, 200 take 2 */
	assert_int_equal(stats().total, 1100 - 9 + 299 - 3 + 200 - 2);
	assert_int_equal(stats().free, stats().total);
	uint64_t known = 0;
	for (uint64_t i = 0; i < ARENA_FRAMES; i++) {
		struct vmem_page *p = pa_to_page(ARENA_PA + i * page + 5);
		if (p) {
			known++;
			assert_int_equal(page_to_pa(p), ARENA_PA + i * page);
			assert_ptr_equal(number_to_page(page_to_number(p)), p);
			assert_ptr_equal(page_to_virt(p), arena_memory + i * page);
			assert_true(page_to_number(p) < 1599);
		}
	}
	assert_int_equal(known, 1599);
	assert_null(pa_to_page(ARENA_PA - 1));
	assert_null(pa_to_page(UINT64_MAX));
	assert_null(pa_to_page(ARENA_PA + 4000 * page));
	struct vmem_page foreign;
	assert_true(PANICS(page_to_pa(&foreign), "points to none"));
	assert_true(PANICS(page_to_number(&foreign), "points to none"));
	vmem_frame_check();
	/* Every frame can be had, and only those. */
	for (uint64_t left = stats().total; left != 0; left--) {
		assert_non_null(vmem_frame_take(PAGE_DATA));
	}
	assert_null(vmem_frame_take(PAGE_DATA));
	vmem_frame_check();
}

static void test_bad_ranges(void **state)
{
	(void)state;
	const uint64_t page = VMEM_PAGE_SIZE;
	const struct vmem_ram overlap[] = {{ARENA_PA, 20 * page}, {ARENA_PA + 19 * page, 20 * page}};
	assert_int_equal(arena_start_ranges(overlap, 2), VMEM_ERR_INVALID);
	const struct vmem_ram small[] = {{ARENA_PA, page}};
	assert_int_equal(arena_start_ranges(small, 1), VMEM_ERR_NO_MEMORY);
	assert_int_equal(arena_start_ranges(small, 0), VMEM_ERR_NO_MEMORY);
	const struct vmem_ram wraps[] = {{UINT64_MAX - page, 4 * page}};
	assert_int_equal(arena_start_ranges(wraps, 1), VMEM_ERR_NO_MEMORY);
	const struct vmem_ram huge[] = {{0, UINT64_MAX}};
	assert_int_equal(arena_start_ranges(huge, 1), VMEM_ERR_INVALID);
	struct vmem_ram many[33];
	for (unsigned i = 0; i < 33; i++) {
		many[i] = (struct vmem_ram){ARENA_PA + i * 4 * page, 2 * page};
	}
	assert_int_equal(arena_start_ranges(many, 33), VMEM_ERR_INVALID);
	assert_int_equal(arena_start_ranges(many, 32), VMEM_OK);
	assert_int_equal(stats().total, 32);
}

static void test_single(void **state)
{
	(void)state;
	arena_start(FRAMES);
	const uint64_t total = FRAMES - FRAMES / 128;
	struct vmem_page *data = vmem_frame_take(PAGE_DATA);
	assert_int_equal(data->kind, PAGE_DATA);
	assert_int_equal(data->refs, 1);
	assert_int_equal(data->flags, 0);
	struct vmem_page *table = vmem_frame_take(PAGE_TABLE);
	assert_int_equal(table->kind, PAGE_TABLE);
	assert_int_equal(table->refs, 0);
	struct vmem_page *slab = vmem_frame_take(PAGE_SLAB);
	vmem_paddr_t host = alloc(0, 0);
	assert_int_equal(pa_to_page(host)->kind, PAGE_USED);
	struct vmem_frame_stats s = stats();
	assert_int_equal(s.total, total);
	assert_int_equal(s.free, total - 4);
	assert_int_equal(s.cached, 76);
	assert_int_equal(s.data, 1);
	assert_int_equal(s.tables, 1);
	assert_int_equal(s.slabs, 1);
	assert_int_equal(s.host, 1);
	assert_int_equal(s.allocations, 4);
	assert_int_equal(s.frees, 0);
	assert_int_equal(arena_count_owned(), 4);
	vmem_frame_check();
	table->refs = 77;
	table->order = 3;
	table->flags = PAGE_F_LARGE;
	table->lock = 1;
	vmem_frame_give(table);
	assert_ptr_equal(vmem_frame_take(PAGE_DATA), table); /* last in, first out, and as new... */
	assert_int_equal(table->lock, 1);		     /* ...but for the lock, which another CPU has */
	table->lock = 0;
	assert_int_equal(table->head, data->head);
	vmem_frame_give(table);
	vmem_frame_give(data);
	vmem_frame_give(slab);
	vmem_frame_free(host, 0);
	s = stats();
	assert_int_equal(s.free, total);
	assert_int_equal(s.host + s.data + s.tables + s.slabs, 0);
	assert_int_equal(s.allocations, 5);
	assert_int_equal(s.frees, 5);
	vmem_frame_check();
	vmem_frame_drain();
	assert_int_equal(stats().cached, 0);
	vmem_frame_check();
}

/* All frames out one by one, back in another order; then the largest blocks are whole again. */
static void test_exhaust(void **state)
{
	(void)state;
	static struct vmem_page *taken[FRAMES];
	arena_start(FRAMES);
	uint64_t count = 0;
	while ((taken[count] = vmem_frame_take(PAGE_DATA)) != NULL) {
		count++;
	}
	assert_int_equal(count, FRAMES - FRAMES / 128);
	assert_int_equal(stats().free, 0);
	assert_int_equal(arena_count_owned(), count);
	vmem_frame_check();
	for (uint64_t i = 0; i < count; i++) {
		uint64_t j = arena_random(count - i) + i;
		struct vmem_page *page = taken[j];
		taken[j] = taken[i];
		arena_cpu = (unsigned)i % 4;
		vmem_frame_give(page);
	}
	assert_int_equal(stats().free, count);
	assert_true(stats().cached <= 4 * 96);
	vmem_frame_check();
	/* 4064 usable frames are the blocks 2048, 1024, 512, 256, 128, 64 and 32; some of it lies in
	 * caches until memory is short. */
	arena_cpu = 0;
	for (unsigned order = 12; order-- > 5;) {
		assert_int_not_equal(alloc(order, 0), 0);
	}
	assert_int_equal(stats().free, 0);
	assert_int_equal(alloc(0, 0), 0);
	vmem_frame_check();
}

/* Frames given back in rising and in falling order, or by twos, leave no pieces behind. */
static void test_spill(void **state)
{
	(void)state;
	static struct vmem_page *taken[FRAMES];
	for (unsigned order = 0; order < 3; order++) {
		arena_start(FRAMES);
		unsigned count = 0;
		while ((taken[count] = vmem_frame_take(PAGE_DATA)) != NULL) {
			count++;
		}
		for (unsigned i = 1; i < count; i++) {
			assert_true(i % 16 == 0 ||
				    taken[i] == taken[i - 1] + 1); /* a batch is handed out in rising order */
		}
		for (unsigned i = 0; i < count; i++) {
			vmem_frame_give(taken[order == 0 ? i : order == 1 ? count - 1 - i : i ^ 2]);
			if (i % 97 == 0) {
				vmem_frame_check();
			}
		}
		vmem_frame_drain();
		vmem_frame_check();
		for (unsigned n = 12; n-- > 5;) {
			assert_int_not_equal(alloc(n, 0), 0);
		}
		assert_int_equal(stats().free, 0);
	}
}

static void test_drain_before_no_memory(void **state)
{
	(void)state;
	static vmem_paddr_t at[FRAMES];
	arena_start(FRAMES);
	uint64_t count = 0;
	while ((at[count] = alloc(0, 0)) != 0) {
		count++;
	}
	/* Eight frames that make a block, each in another CPU's cache than the caller's. */
	vmem_paddr_t block = ARENA_PA + 64 * VMEM_PAGE_SIZE;
	for (unsigned i = 0; i < 8; i++) {
		arena_cpu = 1 + i % 3;
		vmem_frame_free(block + i * VMEM_PAGE_SIZE, 0);
	}
	arena_cpu = 0;
	assert_int_equal(stats().cached, 8);
	assert_int_equal(alloc(3, 0), block);
	vmem_frame_free(block, 3);
	arena_cpu = 1;
	assert_int_not_equal(alloc(0, 0), 0); /* the others are in CPU 1's cache now */
	arena_cpu = 3;
	for (unsigned i = 0; i < 7; i++) {
		assert_int_not_equal(alloc(0, 0), 0);
	}
	assert_int_equal(alloc(0, 0), 0);
	vmem_frame_check();
}

static void test_promise(void **state)
{
	(void)state;
	arena_start(FRAMES);
	const uint64_t free = stats().free;
	struct vmem_page *page;
	assert_int_equal(vmem_frame_reserve(free + 1), VMEM_ERR_NO_MEMORY);
	assert_non_null(vmem_frame_take(PAGE_DATA)); /* 15 more are in the cache now */
	assert_int_equal(vmem_frame_reserve(free - 1), VMEM_OK);
	assert_int_equal(stats().cached, 0);
	assert_int_equal(stats().reserved, free - 1);
	assert_int_equal(stats().free, free - 1);
	assert_int_equal(vmem_frame_reserve(1), VMEM_ERR_NO_MEMORY);
	assert_null(vmem_frame_take(PAGE_DATA));
	assert_int_equal(alloc(0, 0), 0);
	assert_int_equal(alloc(3, 0), 0);
	vmem_paddr_t pa;
	assert_int_equal(vmem_frame_alloc_run(3, VMEM_PAGE_SIZE, 0, &pa), VMEM_ERR_NO_MEMORY);
	vmem_frame_check();
	page = vmem_frame_take_reserved(PAGE_SLAB);
	assert_true(PANICS(vmem_frame_check(), "promised than are free"));
	assert_int_equal(alloc(0, 0), 0);
	vmem_frame_unreserve(1);
	assert_int_equal(page->kind, PAGE_SLAB);
	assert_int_equal(stats().reserved, free - 2);
	vmem_frame_check();
	assert_null(vmem_frame_take(PAGE_DATA));
	vmem_frame_give(page);
	page = vmem_frame_take(PAGE_DATA); /* what came back is nobody's promise */
	assert_non_null(page);
	assert_null(vmem_frame_take(PAGE_DATA));
	vmem_frame_unreserve(free - 2 - 8);
	assert_int_not_equal(alloc(3, 0), 0);
	vmem_frame_check();
	for (unsigned i = 0; i < 8; i++) {
		assert_non_null(vmem_frame_take_reserved(PAGE_DATA));
		vmem_frame_unreserve(1);
	}
	assert_int_equal(stats().reserved, 0);
	assert_true(PANICS(vmem_frame_unreserve(1), "than were promised"));
	while (vmem_frame_take_reserved(PAGE_DATA)) { /* without a promise: the last frame, and none */
	}
	assert_int_equal(stats().free, 0);
	for (unsigned i = 0; i < 64; i++) {
		vmem_frame_give(pa_to_page(ARENA_PA + i * VMEM_PAGE_SIZE));
	}
	/* Where there are others, a promised frame need not come from the kept ones. */
	assert_int_equal(vmem_frame_reserve(5), VMEM_OK);
	assert_non_null(vmem_frame_take(PAGE_DATA));
	uint64_t left = stats().free;
	assert_non_null(vmem_frame_take_reserved(PAGE_DATA));
	vmem_frame_check();
	vmem_frame_unreserve(5);
	assert_int_equal(stats().reserved, 0);
	assert_int_equal(stats().free, left - 1);
	vmem_frame_check();
}

static void test_refusals(void **state)
{
	(void)state;
	const uint64_t page = VMEM_PAGE_SIZE;
	arena_start(FRAMES);
	vmem_paddr_t pa = alloc(3, 0);
	vmem_frame_free(pa, 0);
	assert_true(PANICS(vmem_frame_free(pa, 0), "not an allocated frame"));
	assert_true(PANICS(vmem_frame_free(pa, 3), "not an allocated frame"));
	assert_true(PANICS(vmem_frame_give(pa_to_page(pa)), "F3"));
	assert_true(PANICS(vmem_frame_free(pa + 2 * page, 2), "not aligned"));
	assert_true(PANICS(vmem_frame_free(pa + 1, 0), "not aligned"));
	assert_true(PANICS(vmem_frame_free(pa, 19), "not aligned"));
	assert_true(PANICS(vmem_frame_free(ARENA_PA - page, 0), "not the library's"));
	assert_true(PANICS(vmem_frame_free(ARENA_PA + (FRAMES - 1) * page, 0),
	    "not an allocated frame")); /* a frame of records */
	assert_true(PANICS(vmem_frame_free(ARENA_PA, 13), "not the library's"));
	assert_true(PANICS(vmem_frame_free_run(pa, 0), "no frame"));
	assert_true(PANICS(vmem_frame_free_run(pa + 1, 1), "does not start at one"));
	struct vmem_page *data = vmem_frame_take(PAGE_DATA);
	assert_true(PANICS(vmem_frame_free(page_to_pa(data), 0), "not an allocated frame of the host's"));
	vmem_frame_give(data);
	vmem_frame_drain();
	assert_true(PANICS(vmem_frame_give(data), "F3"));
	vmem_frame_check();
}

/* A block that begins in one range and ends in another: both ends are RAM, what lies between is not. */
static void test_block_across_ranges(void **state)
{
	(void)state;
	const uint64_t page = VMEM_PAGE_SIZE;
	const struct vmem_ram ram[] = {{ARENA_PA, 100 * page}, {ARENA_PA + 110 * page, 100 * page}};
	assert_int_equal(arena_start_ranges(ram, 2), VMEM_OK);
	assert_true(PANICS(vmem_frame_free(ARENA_PA, 7), "not the library's"));
	vmem_frame_check();
}

static void test_poison(void **state)
{
	(void)state;
	arena_start(FRAMES);
	struct vmem_page *page = vmem_frame_take(PAGE_DATA);
	unsigned char *content = page_to_virt(page);
	memset(content, 0, VMEM_PAGE_SIZE);
	vmem_frame_give(page);
	assert_int_not_equal(content[100], 0);
	content[4095] ^= 1;
	assert_true(PANICS(vmem_frame_take(PAGE_DATA), "written to after"));
	arena_start(FRAMES);
	vmem_paddr_t pa = alloc(4, 0);
	content = phys_to_virt(pa);
	memset(content, 0, 16 * VMEM_PAGE_SIZE);
	vmem_frame_free(pa, 4);
	content[9 * VMEM_PAGE_SIZE + 8] ^= 1;
	vmem_frame_check(); /* looks at records, not at content */
	assert_true(PANICS(while (alloc(4, 0)){}, "written to after"));
}

/* Each damage that vmem_frame_check() is for. */
static void test_check_finds(void **state)
{
	(void)state;
	arena_start(FRAMES);
	struct vmem_page *page = vmem_frame_take(PAGE_DATA);
	struct vmem_page *cached = vmem_frame_take(PAGE_DATA);
	vmem_frame_give(cached);
	struct vmem_page *free = pa_to_page(ARENA_PA + 2048 * VMEM_PAGE_SIZE);
	assert_int_equal(free->kind, PAGE_FREE);
	vmem_frame_check();
	page->kind = PAGE_TABLE;
	assert_true(PANICS(vmem_frame_check(), "F5"));
	page->kind = 99;
	assert_true(PANICS(vmem_frame_check(), "has no kind"));
	page->kind = PAGE_CACHED;
	assert_true(PANICS(vmem_frame_check(), "F1"));
	page->kind = PAGE_FREE_TAIL;
	assert_true(PANICS(vmem_frame_check(), "F1"));
	page->kind = PAGE_DATA;
	cached->kind = PAGE_DATA;
	assert_true(PANICS(vmem_frame_check(), "F1"));
	cached->kind = PAGE_CACHED;
	free[5].kind = PAGE_DATA;
	assert_true(PANICS(vmem_frame_check(), "inside a free block"));
	free[5].kind = PAGE_FREE_TAIL;
	free->order++;
	assert_true(PANICS(vmem_frame_check(), "free list"));
	free->order--;
	free->prev = 3;
	assert_true(PANICS(vmem_frame_check(), "back link"));
	free->prev = PAGE_NIL;
	vmem_frame_check();
	free->kind = PAGE_FREE_TAIL;
	assert_true(PANICS(vmem_frame_check(), "free list"));
	free->kind = PAGE_FREE;
	vmem_source.free--;
	assert_true(PANICS(vmem_frame_check(), "than is counted"));
	vmem_source.free++;
	vmem_frame_check();
}

/* Blocks that lie wrong: the map of the lists, the end of the range, the alignment, two halves apart. */
static void test_check_finds_blocks(void **state)
{
	(void)state;
	arena_start(FRAMES);
	while (alloc(0, 0)) {
	}
	struct vmem_page *single = pa_to_page(ARENA_PA + 7 * VMEM_PAGE_SIZE);
	vmem_frame_give(single);
	vmem_frame_drain();
	vmem_frame_check();
	assert_int_equal(single->kind, PAGE_FREE);
	const struct page_range saved = vmem_page_ranges.range[0];
	vmem_page_ranges.range[0].first_pfn++; /* every address is one frame off */
	vmem_frame_check();
	vmem_page_ranges.range[0] = saved;
	for (unsigned i = 8; i < 10; i++) {
		vmem_frame_give(single + i - 7);
	}
	vmem_frame_drain(); /* 7, and 8 with 9 */
	vmem_frame_check();
	vmem_page_ranges.range[0].first_pfn++;
	assert_true(PANICS(vmem_frame_check(), "not aligned"));
	vmem_page_ranges.range[0] = saved;
	vmem_page_ranges.range[0].count = 9;
	assert_true(PANICS(vmem_frame_check(), "passes the end"));
	vmem_page_ranges.range[0] = saved;
	vmem_frame_give(pa_to_page(ARENA_PA + 10 * VMEM_PAGE_SIZE));
	vmem_frame_drain(); /* 10: the buddy of 11, while 8 and 9 are of another order */
	vmem_frame_check();
	struct vmem_page *pair = pa_to_page(ARENA_PA + 8 * VMEM_PAGE_SIZE);
	pair[3] = pair[2]; /* a second head where 10 has its buddy */
	assert_true(PANICS(vmem_frame_check(), "not joined"));
}

static void test_fail_on_request(void **state)
{
	(void)state;
	vmem_paddr_t pa = 7;
	arena_start(FRAMES);
	const struct vmem_frame_stats before = stats();
	arena_fail_at = 0;
	assert_null(vmem_frame_take(PAGE_DATA));
	arena_fail_at = arena_asked;
	assert_int_equal(alloc(0, 0), 0);
	arena_fail_at = arena_asked;
	assert_int_equal(alloc(5, 0), 0);
	arena_fail_at = arena_asked;
	assert_int_equal(vmem_frame_alloc_run(3, VMEM_PAGE_SIZE, 0, &pa), VMEM_ERR_NO_MEMORY);
	arena_fail_at = arena_asked;
	assert_int_equal(vmem_frame_reserve(1), VMEM_ERR_NO_MEMORY);
	assert_int_equal(pa, 7);
	const struct vmem_frame_stats after = stats();
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(arena_asked, 5);
	/* A promise is not to be broken on request. */
	assert_int_equal(vmem_frame_reserve(1), VMEM_OK);
	arena_fail_at = arena_asked;
	assert_non_null(vmem_frame_take_reserved(PAGE_DATA));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ranges),
	    cmocka_unit_test(test_bad_ranges),
	    cmocka_unit_test(test_single),
	    cmocka_unit_test(test_exhaust),
	    cmocka_unit_test(test_spill),
	    cmocka_unit_test(test_drain_before_no_memory),
	    cmocka_unit_test(test_promise),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_block_across_ranges),
	    cmocka_unit_test(test_poison),
	    cmocka_unit_test(test_check_finds),
	    cmocka_unit_test(test_check_finds_blocks),
	    cmocka_unit_test(test_fail_on_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
