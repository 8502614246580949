/* SPDX-License-Identifier: MIT */
/*
 * test_spec000.c - document 000, promise by promise (tests/spec/000.md): where memory is mapped, how much,
 * and what it holds, seen through the MMU.
 */
#include "spec000.h"

/* Address, length, protection, in this order; protection has 32 bits; an address or an error comes back. */
static void signature(void **state)
{
	(void)state;
	vmem_status_t (*call)(struct vmem_aspace *, uint64_t, uint64_t, uint32_t, uint64_t *) = vmem_wx_mmap;
	uint64_t base = 7;
	assert_int_equal(call(as, HINT, 2 * PAGE, PROT_READ, &base), VMEM_OK);
	assert_int_equal(base, HINT);
	assert_int_equal(region_of(HINT).length, 2 * PAGE);
	assert_int_equal(region_of(HINT).permission, VMEM_READ);
	base = 7;
	assert_int_not_equal(call(as, HINT, 0, PROT_READ, &base), VMEM_OK);
	assert_int_equal(base, 7);
}

/* The caller's space and no other gets the memory. */
static void own_space(void **state)
{
	(void)state;
	struct vmem_aspace_config wx = {.wx = true};
	struct vmem_aspace *other;
	uint64_t value;
	other = space_with(&wx);
	assert_int_equal(wx_map(HINT, PAGE, PROT_RW), HINT);
	assert_int_equal(user_write(as, HINT, 42), VMEM_FAULT_RESOLVED);
	run(0, other);
	assert_int_equal(user_read(other, HINT, &value), VMEM_FAULT_NO_REGION);
	assert_int_equal(vmem_wx_mmap(other, HINT, PAGE, PROT_RW, &value), VMEM_OK);
	assert_int_equal(user_read(other, HINT, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 0);
	assert_int_equal(user_write(other, HINT, 43), VMEM_FAULT_RESOLVED);
	run(0, as);
	assert_int_equal(user_read(as, HINT, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 42);
	end(other);
}

/* One run of addresses, each page of which is there and is its own. */
static void contiguous(void **state)
{
	(void)state;
	enum { PAGES = 40 };
	uint64_t base = wx_map(0, PAGES * PAGE, PROT_RW), value;
	for (uint64_t i = 0; i < PAGES; i++) {
		assert_int_equal(user_write(as, base + i * PAGE, i + 1), VMEM_FAULT_RESOLVED);
		assert_int_equal(user_write(as, base + (i + 1) * PAGE - 8, ~i), VMEM_FAULT_RESOLVED);
	}
	for (uint64_t i = 0; i < PAGES; i++) {
		assert_int_equal(user_read(as, base + i * PAGE, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, i + 1);
		assert_int_equal(user_read(as, base + (i + 1) * PAGE - 8, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, ~i);
	}
}

/* Frames come when a page is first stored to, not with the mapping, and go with it. */
static void frames_on_demand(void **state)
{
	(void)state;
	struct vmem_aspace_stats stats;
	struct vmem_frame_stats before, after;
	uint64_t value;
	vmem_frame_stats(&before);
	uint64_t base = wx_map(0, 1024 * PAGE, PROT_RW);
	vmem_aspace_stats(as, &stats);
	assert_int_equal(stats.committed, 0);
	assert_int_equal(user_read(as, base + 5 * PAGE, &value), VMEM_FAULT_RESOLVED);
	vmem_aspace_stats(as, &stats);
	assert_int_equal(stats.committed, 0);
	for (unsigned i = 0; i < 7; i++) {
		assert_int_equal(user_write(as, base + i * 64 * PAGE, i), VMEM_FAULT_RESOLVED);
	}
	vmem_aspace_stats(as, &stats);
	assert_int_equal(stats.committed, 7);
	vmem_frame_stats(&after);
	assert_int_equal(after.data, before.data + 7);
	assert_int_equal(vmem_wx_munmap(as, base, 1024 * PAGE), VMEM_OK);
	vmem_frame_stats(&after);
	assert_int_equal(after.data, before.data);
}

/* Zero wherever it is looked at first, in memory that another mapping had filled too. */
static void zeroed(void **state)
{
	(void)state;
	enum { PAGES = 300 };
	for (unsigned round = 0; round < 4; round++) {
		uint64_t base = wx_map(0, PAGES * PAGE, PROT_RW), value;
		for (uint64_t i = 0; i < PAGES; i++) {
			uint64_t va = base + i * PAGE + (i * 8) % PAGE;
			if (i % 3 != 0) {
				assert_int_equal(user_read(as, va, &value), VMEM_FAULT_RESOLVED);
				assert_int_equal(value, 0);
			}
			assert_int_equal(user_write(as, va, ~UINT64_C(0)), VMEM_FAULT_RESOLVED);
			for (uint64_t at = 0; at < PAGE; at += 8) {
				if (base + i * PAGE + at != va) {
					assert_int_equal(
					    user_read(as, base + i * PAGE + at, &value), VMEM_FAULT_RESOLVED);
					assert_int_equal(value, 0);
				}
			}
			for (uint64_t at = 0; at < PAGE; at += 512) {
				assert_int_equal(
				    user_write(as, base + i * PAGE + at, 0x5a5a5a5a), VMEM_FAULT_RESOLVED);
			}
		}
		assert_int_equal(vmem_wx_munmap(as, base, PAGES * PAGE), VMEM_OK);
	}
}

/* Nothing but the space's own memory is behind it. */
static void anonymous_memory(void **state)
{
	(void)state;
	uint64_t base = wx_map(0, PAGE, PROT_RW);
	struct vmem_region_info info = region_of(base);
	assert_null(info.object);
	assert_int_equal(info.flags & VMEM_MAP_SHARED, 0);
	assert_int_equal(info.offset, 0);
}

/* Address down, length up, each by itself. */
static void rounding(void **state)
{
	(void)state;
	static const struct {
		uint64_t address, length, start, pages;
	} rows[] = {
	    {0x1fff, 1, 0, 1}, /* below the space: moved */
	    {HINT + 1, 1, HINT, 1},
	    {HINT + 0x10fff, 0xfff, HINT + 0x10000, 1},
	    {HINT + 0x20000, 0x1000, HINT + 0x20000, 1},
	    {HINT + 0x30000, 0x1001, HINT + 0x30000, 2},
	    {HINT + 0x40800, 0x1fff, HINT + 0x40000, 2},
	    {HINT + 0x50fff, 0x2001, HINT + 0x50000, 3},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t base = wx_map(rows[i].address, rows[i].length, PROT_RW);
		if (rows[i].start) {
			assert_int_equal(base, rows[i].start);
		}
		assert_int_equal(region_of(base).length, rows[i].pages * PAGE);
		assert_int_equal(user_write(as, base, 1), VMEM_FAULT_RESOLVED);
		assert_int_equal(user_write(as, base + rows[i].pages * PAGE - 8, 1), VMEM_FAULT_RESOLVED);
		expect_unmapped(base + rows[i].pages * PAGE);
	}
}

/* A page is 4 KiB on this ISA: permissions differ from one 4096-byte unit to the next. */
static void page_is_4k(void **state)
{
	(void)state;
	uint64_t base = wx_map(HINT, 12 * KIB, PROT_RW);
	assert_int_equal(VMEM_PAGE_SIZE, 4096);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(user_write(as, base + i * 4096, i), VMEM_FAULT_RESOLVED);
	}
	assert_int_equal(vmem_wx_mprotect(as, base + 4096, 4096, PROT_READ), VMEM_OK);
	assert_int_equal(user_write(as, base + 4088, 1), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_write(as, base + 4096, 1), VMEM_FAULT_PERMISSION);
	assert_int_equal(user_write(as, base + 8184, 1), VMEM_FAULT_PERMISSION);
	assert_int_equal(user_write(as, base + 8192, 1), VMEM_FAULT_RESOLVED);
}

/* A preferred address that is free is the one that is got. */
static void hint_taken(void **state)
{
	(void)state;
	static const uint64_t hints[] = {HINT, HINT + 64 * PAGE, UINT64_C(0x10000), UINT64_C(0x3f00000000)};
	for (unsigned i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		assert_int_equal(wx_map(hints[i], 3 * PAGE, PROT_RW), hints[i]);
		assert_int_equal(user_write(as, hints[i], 1), VMEM_FAULT_RESOLVED);
	}
	assert_int_equal(wx_map(HINT + 3 * PAGE, PAGE, PROT_RW), HINT + 3 * PAGE); /* right behind another */
	assert_int_equal(wx_map(HINT - PAGE, PAGE, PROT_RW), HINT - PAGE);
}

/* Address 0: an address that is suitable is chosen: not null, aligned, of the user's half, and free. */
static void kernel_chooses(void **state)
{
	(void)state;
	uint64_t base[20];
	for (unsigned i = 0; i < 20; i++) {
		base[i] = wx_map(i % 2 ? 0 : i, (1 + i) * PAGE, PROT_RW); /* what rounds to 0 is 0 */
		assert_int_not_equal(base[i], 0);
		assert_true(base[i] + (1 + i) * PAGE <= vmem_aspace_user_size());
		assert_int_equal(user_write(as, base[i], i), VMEM_FAULT_RESOLVED);
		for (unsigned k = 0; k < i; k++) {
			assert_true(
			    base[i] >= base[k] + (1 + k) * PAGE || base[k] >= base[i] + (1 + i) * PAGE);
		}
	}
}

/* An address in use, wholly or partly, is not taken: another is got, and what was there stays. */
static void hint_in_use_moved(void **state)
{
	(void)state;
	uint64_t old = wx_map(HINT, 4 * PAGE, PROT_RW), value;
	static const struct {
		int64_t page;
		uint64_t pages;
	} rows[] = {{0, 4}, {0, 1}, {1, 1}, {3, 1}, {3, 9}, {-1, 2}, {-2, 8}, {2, 1}};
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(user_write(as, old + i * PAGE, 100 + i), VMEM_FAULT_RESOLVED);
	}
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t hint = HINT + (uint64_t)(rows[i].page * (int64_t)PAGE),
			 length = rows[i].pages * PAGE;
		uint64_t base = wx_map(hint, length, PROT_RW);
		assert_true(base + length <= old || base >= old + 4 * PAGE);
		assert_int_not_equal(base, hint);
		assert_int_equal(user_read(as, base, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, 0);
		assert_int_equal(user_write(as, base, 1), VMEM_FAULT_RESOLVED);
	}
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(user_read(as, old + i * PAGE, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, 100 + i);
	}
	uint64_t kernel =
	    wx_map(UINT64_MAX - 5 * PAGE, PAGE, PROT_RW); /* no address of a program's: another */
	assert_true(kernel < vmem_aspace_user_size());
}

/* The address that comes back is that of the first byte: it is there, the one before is not. */
static void returns_base(void **state)
{
	(void)state;
	static const uint64_t hints[] = {0, HINT, HINT + 100 * PAGE + 123, HINT};
	for (unsigned i = 0; i < 4; i++) {
		uint64_t base = wx_map(hints[i], 2 * PAGE + 1, PROT_RW);
		assert_int_equal(region_of(base).length, 3 * PAGE);
		assert_int_equal(user_write(as, base, i), VMEM_FAULT_RESOLVED);
		expect_unmapped(base - 8);
	}
}

/* The page's first example. */
static void example_one_page(void **state)
{
	(void)state;
	const uint32_t prot_rw = 0x1 | 0x2;
	uint64_t addr = 0, value;
	assert_int_equal(vmem_wx_mmap(as, 0, 4096, prot_rw, &addr), VMEM_OK);
	assert_int_not_equal(addr, 0);
	for (uint64_t at = 0; at < 4096; at += 8) {
		assert_int_equal(user_read(as, addr + at, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, 0);
		assert_int_equal(user_write(as, addr + at, at), VMEM_FAULT_RESOLVED);
	}
}

/*
 * The page's second example: 64 KiB between two pages that are nobody's, and stay so: neither a placement
 * nor a hint gets them, until the mapping goes.
 */
static void example_guarded(void **state)
{
	(void)state;
	const uint32_t prot_rw = 0x1 | 0x2;
	uint64_t region[8];
	assert_int_equal(vmem_wx_mmap(as, 0, 65536, prot_rw, &region[0]), VMEM_OK); /* with no neighbour */
	assert_int_not_equal(wx_map(region[0] + 65536, 4096, prot_rw), region[0] + 65536);
	assert_int_not_equal(wx_map(region[0] - 4096, 4096, prot_rw), region[0] - 4096);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(vmem_wx_mmap(as, 0, 65536, prot_rw, &region[i]), VMEM_OK);
		assert_int_equal(user_write(as, region[i], 1), VMEM_FAULT_RESOLVED);
		assert_int_equal(user_write(as, region[i] + 65528, 1), VMEM_FAULT_RESOLVED);
	}
	for (unsigned i = 0; i < 8; i++) {
		expect_unmapped(region[i] - 8);
		expect_unmapped(region[i] - 4096);
		expect_unmapped(region[i] + 65536);
		expect_unmapped(region[i] + 65536 + 4088);
		assert_int_not_equal(wx_map(region[i] - 4096, 4096, prot_rw), region[i] - 4096);
		assert_int_not_equal(wx_map(region[i] + 65536, 4096, prot_rw), region[i] + 65536);
	}
	uint64_t moved =
	    wx_map(region[0], 4096, prot_rw); /* a hint in use is placed by the kernel: guarded too */
	expect_unmapped(moved - 8);
	expect_unmapped(moved + 4096);
	assert_int_equal(vmem_wx_munmap(as, region[3], 65536), VMEM_OK);
	assert_int_equal(wx_map(region[3], 65536, prot_rw), region[3]);
	assert_int_equal(
	    vmem_wx_munmap(as, region[4] + 4096, 4096), VMEM_OK); /* a hole in one leaves its guards */
	assert_int_equal(user_write(as, region[4] + 8192, 1), VMEM_FAULT_RESOLVED);
	expect_unmapped(region[4] + 4096);
	assert_int_not_equal(wx_map(region[4] - 4096, 4096, prot_rw), region[4] - 4096);
	assert_int_not_equal(wx_map(region[4] + 65536, 4096, prot_rw), region[4] + 65536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(signature),
	    CASE(own_space),
	    CASE(contiguous),
	    CASE(frames_on_demand),
	    CASE(zeroed),
	    CASE(anonymous_memory),
	    CASE(rounding),
	    CASE(page_is_4k),
	    CASE(hint_taken),
	    CASE(kernel_chooses),
	    CASE(hint_in_use_moved),
	    CASE(returns_base),
	    CASE(example_one_page),
	    CASE(example_guarded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
