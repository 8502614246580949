/* SPDX-License-Identifier: MIT */
/*
 * test_copy.c - C1, C2: user memory from the kernel against addresses of a hostile program. Progress is exact
 * to the byte.
 */
#include "core_fixture.h"

#include "region.h"

static uint8_t buffer[4 * VMEM_PAGE_SIZE], other[4 * VMEM_PAGE_SIZE];

static void pattern(uint8_t *to, size_t length, uint8_t seed)
{
	for (size_t i = 0; i < length; i++) {
		to[i] = (uint8_t)(seed + i * 7 + (i >> 8));
	}
}

static void there_and_back(void **state)
{
	struct vmem_aspace *as = space(), *current = space();
	(void)state;
	run(0, current); /* the space need not be current */
	run(1, as);
	machine_cpu_set(0);
	uint64_t va = map(as, 4, RW);
	for (size_t offset = 0; offset < 20; offset += 7) {
		for (size_t length = 0; length + offset <= 3 * PAGE; length = length * 3 + 1) {
			pattern(buffer, length, (uint8_t)length);
			memset(other, 0, sizeof(other));
			assert_int_equal(vmem_copy_to_user(as, va + PAGE - offset, buffer, length), length);
			assert_int_equal(vmem_copy_from_user(as, other, va + PAGE - offset, length), length);
			assert_memory_equal(buffer, other, length);
			assert_int_equal(other[length], 0);
		}
	}
	step();
	uint64_t seen = 0;
	assert_int_equal(vmem_copy_from_user(as, &seen, va + PAGE, 8), 8);
	assert_int_equal(get(as, 1, va + PAGE), seen); /* and the program sees the same */
	assert_int_equal(vmem_clear_user(as, va + PAGE - 3, PAGE + 6), PAGE + 6);
	assert_int_equal(get(as, 1, va + PAGE), 0);
	assert_int_equal(get(as, 1, va + PAGES(2) - 8), 0);
	step();
	end(as);
	end(current);
}

/* C2: what the kernel stores, the entry tells of. */
static void marks(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_translation t;
	(void)state;
	uint64_t va = map(as, 2, RW);
	assert_int_equal(vmem_copy_from_user(as, buffer, va, 10), 10); /* the zero page */
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_true(t.accessed);
	assert_int_equal(t.physical, vmem_zero_frame);
	assert_int_equal(vmem_copy_to_user(as, va, "x", 1), 1);
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_true(t.dirty && t.physical != vmem_zero_frame);
	step();
	struct vmem_object *object = anonymous(1, 0);
	poke(object, 0, 5);
	uint64_t shared = map_object(as, object, 0, 1, RW, VMEM_MAP_SHARED);
	assert_int_equal(vmem_copy_from_user(as, buffer, shared, 8), 8);
	assert_true(vmem_aspace_translate(as, shared, &t));
	assert_false(t.dirty);
	assert_int_equal(vmem_clear_user(as, shared, 1), 1); /* writable already, but clean */
	assert_true(vmem_aspace_translate(as, shared, &t));
	assert_true(t.dirty);
	step();
	release(object);
	end(as);
}

static void hostile(void **state)
{
	const struct vmem_aspace_config whole = {.start = 0, .length = vmem_aspace_user_size()};
	struct vmem_aspace *as = space_with(&whole);
	const uint64_t top = vmem_aspace_user_size(), kernel = machine_kernel_area().start;
	size_t length = 77;
	void *inside;
	(void)state;
	run(0, as);
	OK(vmem_kernel_alloc(PAGE, &inside));
	memset(buffer, 'a', sizeof(buffer));
	(void)map_at(as, top - PAGE, 1, RW);
	(void)map_at(as, 0, 1, RW);
	assert_int_equal(vmem_copy_to_user(as, top - 5, buffer, 100), 5); /* up to the hole and no farther */
	assert_int_equal(vmem_copy_from_user(as, other, top - 5, 100), 5);
	assert_memory_equal(other, buffer, 5);
	assert_int_equal(vmem_clear_user(as, top - 5, 100), 5);
	const uint64_t bad[] = {top, top + 1, kernel, (uintptr_t)inside,
	    (uintptr_t)buffer | UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 3, UINT64_C(1) << 63,
	    machine_direct_map() | UINT64_C(0xffff) << 48};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (bad[i] < top) {
			continue;
		}
		assert_int_equal(
		    vmem_copy_to_user(as, bad[i], buffer, 10), 0); /* even where it wraps to a page at 0 */
		assert_int_equal(vmem_copy_from_user(as, other, bad[i], 10), 0);
		assert_int_equal(vmem_clear_user(as, bad[i], 10), 0);
		assert_int_equal(
		    vmem_strncpy_from_user(as, (char *)other, bad[i], 10, &length), VMEM_ERR_FAULT);
		assert_int_equal(length, 0);
		step();
	}
	vmem_kernel_free(inside);
	end(as);
}

static void holes_and_permissions(void **state)
{
	const struct vmem_map guard = {
	    .length = PAGE, .flags = VMEM_MAP_GUARD, .place = VMEM_PLACE_FIXED, .address = 0x105000};
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(1, 0);
	vmem_vaddr_t at;
	(void)state;
	run(0, as);
	pattern(buffer, sizeof(buffer), 3);
	(void)map_at(as, 0x100000, 2, RW); /* 0x102000 is a hole */
	(void)map_at(as, 0x103000, 1, VMEM_READ);
	(void)map_at(as, 0x104000, 1, RW);
	OK(vmem_vmar_map(vmem_aspace_root(as), &guard, &at));
	(void)map_at(as, 0x106000, 1, 0);
	uint64_t past = map_object(as, object, 0, 2, RW, VMEM_MAP_SHARED);
	assert_int_equal(vmem_copy_to_user(as, 0x101ffd, buffer, 10), 3);
	assert_int_equal(vmem_copy_from_user(as, other, 0x101ffd, 10), 3);
	assert_memory_equal(other, buffer, 3);
	assert_int_equal(vmem_copy_to_user(as, 0x102ffd, buffer, 10), 0);
	assert_int_equal(vmem_copy_to_user(as, 0x103000, buffer, 10), 0);
	assert_int_equal(vmem_clear_user(as, 0x103ff0, 100), 0);
	assert_int_equal(vmem_copy_from_user(as, other, 0x103000, 100), 100);
	assert_int_equal(vmem_copy_from_user(as, other, 0x103000, 3 * PAGE), 2 * PAGE);
	assert_int_equal(vmem_copy_to_user(as, 0x104000, buffer, 3 * PAGE), PAGE);
	assert_int_equal(vmem_clear_user(as, 0x104800, PAGE), 0x800);
	assert_int_equal(vmem_copy_from_user(as, other, 0x105000, 1), 0);
	assert_int_equal(vmem_copy_from_user(as, other, 0x106000, 1), 0);
	assert_int_equal(vmem_copy_to_user(as, past + PAGE - 1, buffer, 10), 1);
	assert_int_equal(vmem_copy_from_user(as, other, past + PAGE, 1), 0);
	step();
	uint64_t va = map(as, 1, RW); /* writable once, not any more: the entry goes with the permission */
	put(as, 0, va, 1);
	protect(as, va, 1, VMEM_READ);
	assert_int_equal(vmem_copy_to_user(as, va, buffer, 1), 0);
	protect(as, va, 1, 0);
	assert_int_equal(vmem_copy_from_user(as, other, va, 1), 0);
	release(object);
	end(as);
}

static void device_and_odd_memory(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *device, *odd, *plain;
	(void)state;
	run(0, as);
	OK(vmem_object_create_physical(machine_config()->device.start, PAGE, VMEM_UNCACHED, &device));
	OK(vmem_object_create_contiguous(PAGE, 0, 0, VMEM_WRITE_COMBINING, &odd));
	OK(vmem_object_create_contiguous(PAGE, 0, 0, VMEM_WRITE_BACK, &plain));
	uint64_t at_device = map_object(as, device, 0, 1, RW, VMEM_MAP_SHARED),
		 at_odd = map_object(as, odd, 0, 1, RW, VMEM_MAP_SHARED);
	uint64_t at_plain = map_object(as, plain, 0, 1, RW, VMEM_MAP_SHARED);
	put(as, 0, at_device, 1);
	assert_int_equal(vmem_copy_to_user(as, at_device, "ab", 2), 0);
	assert_int_equal(vmem_copy_from_user(as, other, at_device, 2), 0);
	assert_int_equal(vmem_copy_to_user(as, at_odd, "ab", 2), 0);
	assert_int_equal(vmem_copy_to_user(as, at_plain, "ab", 2), 2);
	assert_int_equal(get(as, 0, at_plain), 'a' | 'b' << 8);
	step();
	unmap(as, at_odd, 1);
	end(as);
	release(device);
	release(odd);
	release(plain);
}

static void strings(void **state)
{
	struct vmem_aspace *as = space();
	size_t length = 99;
	char to[64];
	(void)state;
	run(0, as);
	uint64_t va = map_at(as, 0x200000, 2, RW);
	assert_int_equal(vmem_copy_to_user(as, va + PAGE - 3, "hello", 6), 6);
	assert_int_equal(vmem_strncpy_from_user(as, to, va + PAGE - 3, sizeof(to), &length), VMEM_OK);
	assert_string_equal(to, "hello");
	assert_int_equal(length, 5);
	memset(to, 'z', sizeof(to));
	assert_int_equal(vmem_strncpy_from_user(as, to, va + PAGE - 3, 6, &length), VMEM_OK);
	assert_int_equal(length, 5);
	assert_int_equal(to[6], 'z');
	memset(to, 'z', sizeof(to));
	assert_int_equal(vmem_strncpy_from_user(as, to, va + PAGE - 3, 5, &length), VMEM_ERR_RANGE);
	assert_int_equal(length, 5);
	assert_memory_equal(to, "helloz", 6);
	assert_int_equal(vmem_strncpy_from_user(as, to, va + PAGE - 3, 0, &length), VMEM_ERR_RANGE);
	assert_int_equal(length, 0);
	assert_int_equal(vmem_copy_to_user(as, va + PAGES(2) - 3, "abc", 3), 3);
	memset(to, 'z', sizeof(to));
	assert_int_equal(
	    vmem_strncpy_from_user(as, to, va + PAGES(2) - 3, sizeof(to), &length), VMEM_ERR_FAULT);
	assert_int_equal(length, 3);
	assert_memory_equal(to, "abcz", 4);
	assert_int_equal(vmem_strncpy_from_user(as, to, va + 100, sizeof(to), &length), VMEM_OK);
	assert_int_equal(length, 0);
	assert_int_equal(to[0], 0);
	step();
	end(as);
}

static void no_memory(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	uint64_t va = map_at(as, 0x200000, 3, RW);
	assert_int_equal(vmem_copy_to_user(as, va, buffer, PAGE), PAGE);
	machine_fail_at(1);
	assert_int_equal(vmem_copy_to_user(as, va + 1, buffer, 2 * PAGE), PAGE - 1);
	machine_fail_at(0);
	step();
	assert_int_equal(vmem_copy_to_user(as, va + 1, buffer, 2 * PAGE), 2 * PAGE);
	end(as);
}

/* Code copied by the kernel and then made executable is what the program runs. */
static void code(void **state)
{
	const struct vmem_aspace_config config = {.wx = true};
	struct vmem_aspace *as = space_with(&config);
	(void)state;
	run_all(as);
	uint64_t va = map(as, 1, RW);
	for (uint32_t round = 1; round < 4; round++) {
		assert_int_equal(vmem_copy_to_user(as, va, &round, 4), 4);
		protect(as, va, 1, RX);
		for (unsigned cpu = 0; cpu < 4; cpu++) {
			uint64_t got = 0;
			assert_int_equal(try_access(as, cpu, va, MACHINE_EXEC, &got), VMEM_FAULT_RESOLVED);
			assert_int_equal((uint32_t)got, round);
		}
		protect(as, va, 1, RW);
	}
	end(as);
}

/* Entries that no fault leaves behind: one that was not accessed yet, and one that user mode cannot use. */
static void forged_entries(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_translation t;
	(void)state;
	run(0, as);
	uint64_t va = map(as, 1, RW);
	put(as, 0, va, 7);
	arch_pte_t *slot = vmem_pmap_lookup(&as->pmap, va).slot;
	arch_pte_t entry = *slot;
	machine_operation();
	*slot = arch_pte_restrict(entry, 0, VMEM_RWX | LEAF_DIRTY);
	assert_int_equal(vmem_copy_from_user(as, other, va, 8), 8);
	assert_int_equal(other[0], 7);
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_true(t.accessed);
	step();
	*slot = arch_pte_make_leaf(page_to_pa(pa_to_page(t.physical)), 0, RW | LEAF_ACCESSED | LEAF_DIRTY);
	assert_int_equal(vmem_copy_from_user(as, other, va, 8), 0);
	assert_int_equal(vmem_copy_to_user(as, va, other, 8), 0);
	*slot = entry;
	step();
	end(as);
}

/* A large leaf that was read and is written to by the kernel: one entry is noted, the whole leaf stays. */
static void large_leaf(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object;
	struct vmem_translation t;
	vmem_vaddr_t va;
	(void)state;
	run(0, as);
	OK(vmem_object_create_contiguous(LARGE, LARGE, 0, VMEM_WRITE_BACK, &object));
	const struct vmem_map what = {.length = LARGE,
	    .permission = RW,
	    .maximum = RW,
	    .flags = VMEM_MAP_SHARED | VMEM_MAP_LARGE,
	    .object = object};
	OK(vmem_vmar_map(vmem_aspace_root(as), &what, &va));
	assert_int_equal(vmem_copy_from_user(as, other, va + PAGE, 8), 8);
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_true(t.level == 1 && !t.dirty);
	step();
	assert_int_equal(vmem_copy_to_user(as, va + PAGES(3) - 2, "abcd", 4), 4);
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_true(t.level == 1 && t.dirty);
	assert_int_equal(get(as, 0, va + PAGES(3)), 'c' | 'd' << 8);
	step();
	end(as);
	release(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(there_and_back),
	    CORE(marks),
	    CORE(hostile),
	    CORE(holes_and_permissions),
	    CORE_PAGES(device_and_odd_memory),
	    CORE(strings),
	    CORE(no_memory),
	    CORE(code),
	    CORE(forged_entries),
	    CORE(large_leaf),
	};
	return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
