/* SPDX-License-Identifier: MIT */
/* Frames: blocks, runs, limits, and all of it at random. */
#include "arena.h"

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

static void test_blocks(void **state)
{
	(void)state;
	arena_start(FRAMES);
	uint64_t left = stats().free;
	vmem_paddr_t at[11];
	for (unsigned order = 0; order <= 10; order++) {
		at[order] = alloc(order, 0);
		assert_int_not_equal(at[order], 0);
		assert_int_equal(at[order] & ((VMEM_PAGE_SIZE << order) - 1), 0);
		memset(phys_to_virt(at[order]), (int)order, VMEM_PAGE_SIZE << order);
	}
	assert_int_equal(stats().free, left - 2047);
	assert_int_equal(stats().host, 2047);
	assert_int_equal(stats().allocations, 11);
	vmem_frame_check();
	for (unsigned order = 0; order <= 10; order++) {
		const unsigned char *p = phys_to_virt(at[order]);
		assert_int_equal(p[0], order);
		assert_int_equal(p[(VMEM_PAGE_SIZE << order) - 1], order);
	}
	/* A block comes back whole, in halves, or frame by frame. */
	vmem_frame_free(at[10], 9);
	vmem_frame_free(at[10] + (VMEM_PAGE_SIZE << 9), 9);
	for (unsigned i = 0; i < 8; i++) {
		vmem_frame_free(at[3] + i * VMEM_PAGE_SIZE, 0);
	}
	for (unsigned order = 0; order < 10; order++) {
		if (order != 3) {
			vmem_frame_free(at[order], order);
		}
	}
	assert_int_equal(stats().free, left);
	assert_int_equal(stats().frees, 2 + 8 + 9);
	assert_int_equal(alloc(12, 0), 0);
	vmem_paddr_t pa;
	assert_int_equal(vmem_frame_alloc(&(struct vmem_frame_request){.order = 19}, &pa), VMEM_ERR_INVALID);
	assert_null(vmem_frame_take_block(PAGE_DATA, 19, 0));
	/* Each frame of a block is a frame of its kind. */
	struct vmem_page *data = vmem_frame_take_block(PAGE_DATA, 4, 0);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(data[i].kind, PAGE_DATA);
		assert_int_equal(data[i].refs, 1);
		vmem_frame_give(data + i);
	}
	vmem_frame_check();
}

static void test_zeroed(void **state)
{
	(void)state;
	arena_start(FRAMES);
	vmem_paddr_t pa;
	for (unsigned order = 0; order < 4; order++) {
		memset(phys_to_virt(alloc(order, 0)), 0xff, VMEM_PAGE_SIZE << order);
	}
	arena_start(FRAMES);
	for (unsigned order = 0; order < 4; order++) {
		assert_int_equal(
		    vmem_frame_alloc(&(struct vmem_frame_request){.order = order, .zeroed = true}, &pa),
		    VMEM_OK);
		const unsigned char *p = phys_to_virt(pa);
		for (uint64_t i = 0; i < VMEM_PAGE_SIZE << order; i++) {
			assert_int_equal(p[i], 0);
		}
	}
}

static void test_limit(void **state)
{
	(void)state;
	const uint64_t page = VMEM_PAGE_SIZE;
	const struct vmem_ram ram[] = {{ARENA_PA + 4096 * page, 2048 * page}, {ARENA_PA, 256 * page}};
	assert_int_equal(arena_start_ranges(ram, 2), VMEM_OK);
	const vmem_paddr_t limit = ARENA_PA + 100 * page;
	uint64_t got = 0;
	for (vmem_paddr_t pa; (pa = alloc(2, limit)) != 0; got += 4) {
		assert_true(pa + 4 * page <= limit);
	}
	assert_int_equal(got, 100);
	assert_int_equal(alloc(0, limit), 0);
	assert_int_equal(alloc(0, 1), 0);
	vmem_paddr_t pa = alloc(0, limit + page);
	assert_int_equal(pa, limit);
	/* A low frame that lies in another CPU's cache is found. */
	arena_cpu = 2;
	vmem_frame_free(pa, 0);
	arena_cpu = 0;
	assert_int_equal(alloc(0, limit + page), pa);
	assert_int_not_equal(alloc(0, 0), 0);
	vmem_frame_check();
}

static void test_runs(void **state)
{
	(void)state;
	const uint64_t page = VMEM_PAGE_SIZE;
	vmem_paddr_t pa;
	arena_start(FRAMES);
	const uint64_t free = stats().free;
	assert_int_equal(vmem_frame_alloc_run(0, page, 0, &pa), VMEM_ERR_INVALID);
	assert_int_equal(vmem_frame_alloc_run(1, page / 2, 0, &pa), VMEM_ERR_INVALID);
	assert_int_equal(vmem_frame_alloc_run(1, 3 * page, 0, &pa), VMEM_ERR_INVALID);
	assert_int_equal(vmem_frame_alloc_run(FRAMES, page, 0, &pa), VMEM_ERR_NO_MEMORY);
	assert_int_equal(vmem_frame_alloc_run(UINT64_MAX, page, 0, &pa), VMEM_ERR_NO_MEMORY);
	/* Larger than the largest block: all that is there. */
	assert_int_equal(vmem_frame_alloc_run(free, page, 0, &pa), VMEM_OK);
	assert_int_equal(pa, ARENA_PA);
	assert_int_equal(stats().free, 0);
	vmem_frame_check();
	vmem_frame_free_run(pa, free);
	assert_int_equal(stats().free, free);
	assert_int_equal(stats().allocations, 1);
	assert_int_equal(stats().frees, 1);
	vmem_frame_check();
	for (uint64_t count = 1; count < 200; count += 13) {
		for (uint64_t align = page; align <= 256 * page; align <<= 1) {
			assert_int_equal(vmem_frame_alloc_run(count, align, 0, &pa), VMEM_OK);
			assert_int_equal(pa & (align - 1), 0);
			assert_int_equal(stats().free, free - count);
			vmem_frame_check();
			vmem_frame_free_run(pa, count);
		}
	}
	/* Free room of 3 + 4 frames around a used one, in a full memory: a run that starts and ends
	 * inside blocks. */
	assert_int_equal(vmem_frame_alloc_run(free, page, 0, &pa), VMEM_OK);
	vmem_frame_free_run(pa + 13 * page, 7); /* 13 to 19 */
	vmem_frame_free_run(pa + 21 * page, 4);
	vmem_paddr_t run;
	assert_int_equal(vmem_frame_alloc_run(8, page, 0, &run), VMEM_ERR_NO_MEMORY);
	assert_int_equal(vmem_frame_alloc_run(5, 2 * page, pa + 19 * page, &run), VMEM_OK);
	assert_int_equal(run, pa + 14 * page);
	vmem_frame_check();
	assert_int_equal(vmem_frame_alloc_run(5, page, 0, &run), VMEM_ERR_NO_MEMORY);
	assert_int_equal(vmem_frame_alloc_run(4, page, pa + 24 * page, &run), VMEM_ERR_NO_MEMORY);
	assert_int_equal(vmem_frame_alloc_run(4, page, pa + 25 * page, &run), VMEM_OK);
	assert_int_equal(run, pa + 21 * page);
	assert_int_equal(stats().free, 2);
	vmem_frame_check();
}

/* Random blocks, runs and singles of several CPUs; arena.h keeps the owner of each frame. */
static void test_random(void **state)
{
	(void)state;
	static struct {
		vmem_paddr_t pa;
		uint64_t count;
	} held[512];
	const uint64_t page = VMEM_PAGE_SIZE;
	const struct vmem_ram ram[] = {{ARENA_PA + 3 * page, 1500 * page},
	    {ARENA_PA + 2000 * page, 999 * page}, {ARENA_PA + 4096 * page, 64 * page}};
	assert_int_equal(arena_start_ranges(ram, 3), VMEM_OK);
	const uint64_t total = stats().free;
	unsigned refused = 0;
	uint64_t out = 0;
	for (unsigned step = 0; step < 20000; step++) {
		unsigned slot = (unsigned)arena_random(512);
		arena_cpu = (unsigned)arena_random(4);
		if (held[slot].count != 0) {
			vmem_frame_free_run(held[slot].pa, held[slot].count);
			out -= held[slot].count;
			held[slot].count = 0;
		} else {
			uint64_t what = arena_random(4);
			vmem_paddr_t limit = arena_random(4) == 0 ? ARENA_PA + arena_random(2600) * page : 0;
			uint64_t count = what == 0   ? 1 + arena_random(40)
					 : what == 1 ? UINT64_C(1) << arena_random(7)
						     : 1;
			vmem_paddr_t pa = 0;
			if (what == 0) {
				(void)vmem_frame_alloc_run(count, page << arena_random(4), limit, &pa);
			} else {
				pa = alloc(__builtin_ctz((unsigned)count), limit);
			}
			if (pa != 0) {
				assert_true(limit == 0 || pa + count * page <= limit);
				held[slot].pa = pa;
				held[slot].count = count;
				out += count;
			} else {
				refused++;
			}
		}
		assert_int_equal(stats().free, total - out);
		if (step % 64 == 0) {
			vmem_frame_check();
			assert_int_equal(arena_count_owned(), out);
		}
	}
	assert_true(refused > 100 && refused < 15000);
	for (unsigned slot = 0; slot < 512; slot++) {
		if (held[slot].count != 0) {
			vmem_frame_free_run(held[slot].pa, held[slot].count);
		}
	}
	assert_int_equal(stats().free, total);
	vmem_frame_drain();
	vmem_frame_check();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
