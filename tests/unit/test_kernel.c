/* SPDX-License-Identifier: MIT */
/*
 * test_kernel.c - the kernel's half: K1 to K3, D1 and D2. Each access is one by the hardware in supervisor
 * mode: a fault there is a crash, however spurious.
 */
#include "core_fixture.h"

#include "pmap.h"
#include "region.h"

#define ON_ALL(condition)                                                                                    \
	do {                                                                                                 \
		for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {                                \
			assert_true(condition);                                                              \
		}                                                                                            \
	} while (0)

static bool k(unsigned cpu, const void *at, enum machine_access_kind kind)
{
	return hardware(cpu, (uintptr_t)at, kind, MACHINE_SUPERVISOR);
}

static char *alloc(uint64_t length)
{
	void *at = NULL;
	OK(vmem_kernel_alloc(length, &at));
	return at;
}

static char *device(uint64_t physical, uint64_t length, unsigned permission, vmem_cache_t cache)
{
	void *at = NULL;
	OK(vmem_kernel_map(physical, length, permission, cache, &at));
	return at;
}

static void give(void *at)
{
	machine_operation();
	vmem_kernel_free(at);
	step();
}

static void memory(void **state)
{
	(void)state;
	warm(); /* RISC-V: with the absence of entries cached too */
	struct vmem_frame_stats before = frames_now();
	char *a = alloc(100), *b = alloc(PAGES(3) + 1);
	for (unsigned i = 0; i < PAGES(4); i++) { /* zeroed */
		uint8_t byte = 1;
		assert_true(machine_access(i % 4, (uintptr_t)b + i, MACHINE_READ, 0, &byte, 1).ok);
		assert_int_equal(byte, 0);
	}
	ON_ALL(k(cpu, a, MACHINE_WRITE) && k(cpu, a + PAGE - 8, MACHINE_READ));
	ON_ALL(!k(cpu, a + PAGE, MACHINE_READ) && !k(cpu, b + PAGES(4), MACHINE_READ));
	ON_ALL(!k(cpu, a, MACHINE_EXEC));
	ON_ALL(!hardware(cpu, (uintptr_t)a, MACHINE_READ, MACHINE_USER));
	assert_true(vmem_kernel_is_guard(a + PAGE) && vmem_kernel_is_guard(b + PAGES(4) + 5));
	assert_false(vmem_kernel_is_guard(a) || vmem_kernel_is_guard(b + PAGES(3)));
	assert_false(vmem_kernel_is_guard(a + PAGES(1000)) || vmem_kernel_is_guard(NULL) ||
		     vmem_kernel_is_guard(&before));
	assert_int_equal(frames_now().data, before.data + 5);
	warm();
	give(a);
	ON_ALL(!k(cpu, a, MACHINE_READ));
	warm();
	give(b + 1); /* any byte of its first page */
	ON_ALL(!k(cpu, b + PAGE, MACHINE_READ));
	assert_int_equal(frames_now().data, before.data);
	assert_int_equal(frames_now().tables, before.tables);
	assert_int_equal(regions(vmem_kernel_aspace()), 0);
}

static void stacks(void **state)
{
	char *stack[5];
	(void)state;
	warm();
	for (unsigned i = 0; i < 5; i++) {
		void *at = NULL;
		OK(vmem_kernel_stack_alloc(PAGES(i + 1), &at));
		stack[i] = at;
	}
	for (unsigned i = 0; i < 5; i++) {
		ON_ALL(k(cpu, stack[i], MACHINE_WRITE) && k(cpu, stack[i] + PAGES(i + 1) - 8, MACHINE_WRITE));
		ON_ALL(
		    !k(cpu, stack[i] - 8, MACHINE_WRITE) && !k(cpu, stack[i] + PAGES(i + 1), MACHINE_WRITE));
		assert_true(
		    vmem_kernel_is_guard(stack[i] - 1) && vmem_kernel_is_guard(stack[i] + PAGES(i + 1)));
	}
	for (unsigned i = 0; i < 5; i++) {
		warm();
		give(stack[(i * 2) % 5]);
	}
}

static void refusals(void **state)
{
	void *at = NULL;
	char *const area = (char *)(uintptr_t)machine_kernel_area().start;
	const uint64_t beyond = UINT64_C(1) << machine_config()->pa_bits;
	const struct machine_range d = machine_config()->device;
	(void)state;
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_alloc(0, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_alloc(UINT64_MAX, &at));
	REFUSED(VMEM_ERR_NO_SPACE, vmem_kernel_alloc(UINT64_C(1) << 60, &at));
	REFUSED(VMEM_ERR_NO_SPACE, vmem_kernel_alloc(UINT64_MAX - PAGE, &at));
	REFUSED(VMEM_ERR_NO_MEMORY, vmem_kernel_alloc(UINT64_C(1) << 30, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_stack_alloc(0, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_map(d.start, 0, RW, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_map(d.start, 1, 0, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_map(d.start, 1, 8, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_map(d.start, 1, VMEM_READ | 8, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_map(d.start, 1, VMEM_WRITE, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_map(d.start, 1, VMEM_EXEC, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_map(d.start, 1, RW, VMEM_CACHE_COUNT, &at));
	REFUSED(VMEM_ERR_WX, vmem_kernel_map(d.start, 1, VMEM_RWX, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_RANGE, vmem_kernel_map(beyond, 1, RW, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_RANGE, vmem_kernel_map(beyond - 1, 2, RW, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_RANGE, vmem_kernel_map(d.start, UINT64_MAX, RW, VMEM_UNCACHED, &at));
	REFUSED(
	    VMEM_ERR_NO_SPACE, vmem_kernel_map(UINT64_C(1) << 34, UINT64_C(1) << 33, RW, VMEM_UNCACHED, &at));
	REFUSED(VMEM_ERR_CONFLICT,
	    vmem_kernel_map(machine_config()->ram[0].start, PAGE, RW, VMEM_WRITE_BACK, &at));
	char *a = alloc(PAGES(2));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_protect(a + 1, PAGE, VMEM_READ));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_protect(a, 1, VMEM_READ));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_protect(a, 0, VMEM_READ));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_protect(a, PAGE, 0));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_protect(a, PAGE, 16));
	REFUSED(VMEM_ERR_INVALID, vmem_kernel_protect(a, PAGE, VMEM_EXEC));
	REFUSED(VMEM_ERR_WX, vmem_kernel_protect(a, PAGE, VMEM_RWX));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_kernel_protect(a, PAGES(3), VMEM_READ));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_kernel_protect(a + PAGES(2), PAGE, VMEM_READ));
	REFUSED(VMEM_ERR_NOT_FOUND, vmem_kernel_protect(area + PAGES(5000), PAGE, VMEM_READ));
	PANICS("vmem_kernel_free", vmem_kernel_free(a + PAGE));
	PANICS("vmem_kernel_free", vmem_kernel_free(area + PAGES(5000)));
	PANICS("kernel's own space", vmem_aspace_destroy(vmem_kernel_aspace()));
	give(a);
}

static void device_maps(void **state)
{
	const struct machine_range d = machine_config()->device;
	struct machine_translation t;
	(void)state;
	warm();
	char *a = device(d.start + 0x123, 100, RW, VMEM_UNCACHED);
	assert_int_equal((uintptr_t)a & (PAGE - 1), 0x123);
	ON_ALL(k(cpu, a + 5 - 0x20, MACHINE_WRITE) && !k(cpu, a, MACHINE_EXEC));
	assert_true(machine_translate(2, (uintptr_t)a, &t));
	assert_int_equal(t.type, MACHINE_UC);
	assert_int_equal(t.pa, d.start + 0x123);
	assert_true(t.global);
	char *b = device(d.start + 0x123, 100, VMEM_READ, VMEM_UNCACHED); /* a second one, same attribute */
	ON_ALL(k(cpu, b, MACHINE_READ) && !k(cpu, b, MACHINE_WRITE));
	void *at;
	REFUSED(VMEM_ERR_CONFLICT, vmem_kernel_map(d.start, PAGE, RW, VMEM_WRITE_COMBINING, &at));
	REFUSED(VMEM_ERR_CONFLICT, vmem_kernel_map(d.start, PAGES(2), RW, VMEM_WRITE_BACK, &at));
	char *c = device(d.start + PAGE, PAGE, RW, VMEM_WRITE_COMBINING); /* its neighbour may have another */
	assert_true(machine_translate(0, (uintptr_t)c, &t));
	assert_int_equal(t.type, MACHINE_WC);
	warm();
	give(a);
	ON_ALL(!k(cpu, a, MACHINE_READ));
	REFUSED(VMEM_ERR_CONFLICT, vmem_kernel_map(d.start, PAGE, RW, VMEM_WRITE_COMBINING, &at));
	give(b);
	a = device(d.start, PAGE, RW, VMEM_WRITE_COMBINING);
	give(a);
	give(c);
}

/* Large where alignment and length allow. */
static void large_leaves(void **state)
{
	struct vmem_translation t;
	struct machine_translation m;
	const uint64_t far = UINT64_C(1) << 34; /* no RAM, no device: only its translation is looked at */
	(void)state;
	warm();
	char *a = device(far, 3 * LARGE + PAGES(2), RW, VMEM_UNCACHED);
	assert_true(vmem_aspace_translate(vmem_kernel_aspace(), (uintptr_t)a + LARGE + 77, &t));
	REFUSED(VMEM_ERR_UNSUPPORTED, /* no fault would bring it back */
	    vmem_vmar_decommit(vmem_aspace_root(vmem_kernel_aspace()), (uintptr_t)a + LARGE, PAGE));
	assert_int_equal(t.level, 1);
	assert_int_equal(t.physical, far + LARGE + 77);
	assert_int_equal(t.cache, VMEM_UNCACHED);
	assert_true(vmem_aspace_translate(vmem_kernel_aspace(), (uintptr_t)a + 3 * LARGE, &t));
	assert_int_equal(t.level, 0);
	warm();
	OK(vmem_kernel_protect(a + LARGE, 2 * LARGE + PAGE, VMEM_READ));
	assert_true(machine_translate(1, (uintptr_t)a + 2 * LARGE, &m));
	assert_int_equal(m.perm & MACHINE_PERM_SW, 0);
	assert_true(machine_translate(1, (uintptr_t)a, &m));
	assert_int_not_equal(m.perm & MACHINE_PERM_SW, 0);
	assert_true(machine_translate(1, (uintptr_t)a + 3 * LARGE + PAGE, &m));
	assert_int_not_equal(m.perm & MACHINE_PERM_SW, 0);
	warm();
	give(a);
	char *b =
	    device(far + PAGE, 2 * LARGE, RW, VMEM_UNCACHED); /* not congruent to a window: small pages */
	assert_true(vmem_aspace_translate(vmem_kernel_aspace(), (uintptr_t)b + LARGE, &t));
	assert_int_equal((t.physical - (uintptr_t)b - LARGE) & (PAGE - 1), 0);
	char *huge = device(2 * far, UINT64_C(3) << 30, RW, VMEM_UNCACHED);
	assert_true(vmem_aspace_translate(vmem_kernel_aspace(), (uintptr_t)huge + (UINT64_C(2) << 30), &t));
	assert_true(t.level >= 1);
	assert_int_equal(t.physical, 2 * far + (UINT64_C(2) << 30));
	give(b);
	give(huge);
	assert_false(vmem_aspace_translate(vmem_kernel_aspace(), (uintptr_t)huge, &t));
}

/* Leaves only of the sizes that there are: 5 levels have none above 1 GiB, some CPUs none above 2 MiB. */
static void sizes_of_leaves(void **state)
{
	static const struct core_options models[] = {
	    {.asid_bits = -1, .linear_level = 1, .levels = 5, .add = MACHINE_LPA2},
	    {.asid_bits = -1, .linear_level = 1, .remove = MACHINE_LEAF_1G},
	};
	const uint64_t giga = UINT64_C(1) << 30;
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct vmem_translation t;
		core_start(&models[i]);
		warm();
		char *a = device(UINT64_C(1) << 34, 3 * giga, RW, VMEM_UNCACHED);
		/* as far as the addresses agree: the next border of 1 GiB in both, if there is one */
		bool agrees = ((uintptr_t)a & (giga - 1)) == 0;
		for (uint64_t done = 0; done < 3 * giga; done += giga / 2) {
			assert_true(vmem_aspace_translate(vmem_kernel_aspace(), (uintptr_t)a + done, &t));
			assert_int_equal(t.physical, (UINT64_C(1) << 34) + done);
			assert_int_equal(t.level, agrees && (vmem_mmu.leaf_levels & 4u) ? 2 : 1);
		}
		warm();
		give(a);
		core_teardown(NULL);
	}
}

/* Raising counts as much as lowering: no CPU may fault on what the kernel has been given. */
static void protection(void **state)
{
	char *a;
	(void)state;
	machine_wx(machine_kernel_root(), false);
	warm();
	a = alloc(PAGES(4));
	ON_ALL(k(cpu, a + PAGE, MACHINE_WRITE));
	warm();
	OK(vmem_kernel_protect(a + PAGE, PAGES(2), VMEM_READ));
	ON_ALL(!k(cpu, a + PAGE, MACHINE_WRITE) && !k(cpu, a + PAGES(2), MACHINE_WRITE));
	ON_ALL(k(cpu, a, MACHINE_WRITE) && k(cpu, a + PAGES(3), MACHINE_WRITE) &&
	       k(cpu, a + PAGE, MACHINE_READ));
	warm();
	OK(vmem_kernel_protect(a, PAGES(4), RX));
	ON_ALL(!k(cpu, a, MACHINE_WRITE) && !k(cpu, a + PAGE, MACHINE_WRITE));
	ON_ALL(k(cpu, a + PAGE, MACHINE_EXEC) && k(cpu, a, MACHINE_EXEC));
	warm();
	OK(vmem_kernel_protect(a, PAGES(4), RW));
	ON_ALL(k(cpu, a, MACHINE_WRITE) && k(cpu, a + PAGE, MACHINE_WRITE) && !k(cpu, a, MACHINE_EXEC));
	OK(vmem_kernel_protect(a, PAGES(4), VMEM_READ));
	ON_ALL(k(cpu, a, MACHINE_READ));
	OK(vmem_kernel_protect(a, PAGES(4), RW));
	ON_ALL(k(cpu, a, MACHINE_WRITE));
	give(a);
}

/* Code that the kernel wrote and made executable is what every CPU fetches. */
static void kernel_code(void **state)
{
	(void)state;
	char *a = alloc(PAGE);
	for (uint64_t round = 1; round < 4; round++) {
		uint64_t code = round * UINT64_C(0x0101010101010101), got = 0;
		assert_true(machine_access(1, (uintptr_t)a, MACHINE_WRITE, 0, &code, 8).ok);
		OK(vmem_kernel_protect(a, PAGE, RX));
		for (unsigned cpu = 0; cpu < 4; cpu++) {
			assert_true(machine_access(cpu, (uintptr_t)a, MACHINE_EXEC, 0, &got, 4).ok);
			assert_int_equal((uint32_t)got, (uint32_t)code);
		}
		step();
		OK(vmem_kernel_protect(a, PAGE, RW));
	}
	give(a);
}

/* Kernel mappings are seen by every space, those made before it and after it. */
static void shared_by_all_spaces(void **state)
{
	struct vmem_aspace *early = space();
	(void)state;
	run(0, early);
	warm();
	char *a = alloc(PAGE);
	struct vmem_aspace *late = space();
	run(1, late);
	ON_ALL(k(cpu, a, MACHINE_WRITE));
	char *b = alloc(UINT64_C(3) << 20);
	ON_ALL(k(cpu, b + (UINT64_C(2) << 20), MACHINE_WRITE));
	warm();
	give(a);
	give(b);
	ON_ALL(!k(cpu, b, MACHINE_READ) && !k(cpu, a, MACHINE_READ));
	end(early);
	end(late);
}

static void introspection(void **state)
{
	struct vmem_aspace *kernel = vmem_kernel_aspace();
	(void)state;
	char *a = alloc(PAGES(3));
	struct vmem_region_info r = region_at(kernel, (uintptr_t)a);
	uint64_t resident, shared;
	assert_int_equal(r.length, PAGES(3));
	assert_int_equal(r.permission, RW);
	vmem_region_residence(kernel, &r, &resident, &shared);
	assert_int_equal(resident, 3);
	assert_int_equal(shared, 0);
	assert_int_equal(stats_of(kernel).mapped, PAGES(3));
	assert_int_equal(stats_of(kernel).committed, 0);
	assert_int_equal(info_of(r.object).references, 1);
	give(a);
	assert_false(vmem_region_next(kernel, 0, &r));
}

static void no_memory(void **state)
{
	void *at;
	(void)state;
	char *first = alloc(PAGE);
	SWEEP(1, vmem_kernel_alloc(PAGES(700), &at));
	give(at);
	SWEEP(1, vmem_kernel_stack_alloc(PAGES(4), &at));
	give(at);
	SWEEP(0, vmem_kernel_map(machine_config()->device.start, PAGES(2), RW, VMEM_UNCACHED, &at));
	give(at);
	give(first);
	SWEEP(1, vmem_kernel_map(UINT64_C(1) << 34, 2 * LARGE + PAGE, RW, VMEM_UNCACHED, &at));
	give(at);
}

static void no_kernel_range(void **state)
{
	const struct core_options options = {.asid_bits = -1, .no_kernel = true};
	void *at;
	(void)state;
	core_start(&options);
	REFUSED(VMEM_ERR_NO_SPACE, vmem_kernel_alloc(PAGE, &at));
	REFUSED(VMEM_ERR_NO_SPACE, vmem_kernel_stack_alloc(PAGE, &at));
	REFUSED(
	    VMEM_ERR_NO_SPACE, vmem_kernel_map(machine_config()->device.start, PAGE, RW, VMEM_UNCACHED, &at));
	assert_false(vmem_kernel_is_guard(&options));
	struct vmem_aspace *as = space();
	run(0, as);
	put(as, 0, map(as, 1, RW), 1);
	end(as);
	core_teardown(NULL);
}

/* What an address-space id remembers of the kernel's tables goes with them, whichever id is current: each of
 * two spaces has walked through a table that a free under the other one takes away. */
static void under_ids(void **state)
{
	struct vmem_aspace *as[2] = {space(), space()};
	(void)state;
	char *anchor = alloc(PAGE); /* upper tables stay: what goes is few enough for a flush by address */
	for (unsigned i = 0; i < 2; i++) {
		run_all(as[i]); /* both have an id */
		char *a = alloc(LARGE + PAGE);
		for (unsigned j = 0; j < 2; j++) {
			run_all(as[j]);
			ON_ALL(k(cpu, a, MACHINE_WRITE) && k(cpu, a + LARGE, MACHINE_WRITE));
			warm();
		}
		give(a);
		char *between = alloc(PAGE); /* the tables that went are taken again in another order */
		char *b = alloc(LARGE + PAGE);
		for (unsigned j = 0; j < 2; j++) {
			run_all(as[j]);
			warm();
			step();
			ON_ALL(k(cpu, b, MACHINE_READ) && k(cpu, b + LARGE, MACHINE_READ));
		}
		give(b);
		give(between);
	}
	give(anchor);
	end(as[0]);
	end(as[1]);
}

/* What the host has left in a table of the managed range, not present and not zero, is no translation and no
 * parked table: it is passed over, and nothing is put below it. */
static void left_by_the_host(void **state)
{
	struct vmem_pmap *pmap = &vmem_kernel_aspace()->pmap;
	struct vmem_translation t;
	struct vmem_batch batch;
	(void)state;
	char *a = device(UINT64_C(1) << 34, LARGE, RW, VMEM_UNCACHED);
	uint64_t va = (uintptr_t)a + 64 * LARGE;
	if (va >> 30 != (uintptr_t)a >> 30) { /* another table */
		va = (uintptr_t)a - 64 * LARGE;
	}
	struct pmap_entry at = vmem_pmap_lookup_table(pmap, va, 1), below;
	assert_int_equal(at.level, 1);
	assert_int_equal(pte_load(at.slot), 0);
	*at.slot = 2;
	assert_false(vmem_aspace_translate(vmem_kernel_aspace(), va, &t));
	assert_int_equal(vmem_pmap_reserve(pmap, va, 0, &below), VMEM_ERR_EXISTS);
	machine_operation();
	vmem_batch_begin(&batch, pmap);
	vmem_pmap_remove(pmap, va & ~(LARGE - 1), LARGE, &batch);
	vmem_batch_end(&batch);
	assert_int_equal(*at.slot, 2);
	*at.slot = 0;
	give(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(under_ids),
	    CORE(memory),
	    CORE(stacks),
	    CORE(refusals),
	    CORE(device_maps),
	    CORE(large_leaves),
	    CORE(left_by_the_host),
	    cmocka_unit_test(sizes_of_leaves),
	    CORE(protection),
	    CORE(kernel_code),
	    CORE(shared_by_all_spaces),
	    CORE(introspection),
	    CORE(no_memory),
	    cmocka_unit_test(no_kernel_range),
	};
	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
