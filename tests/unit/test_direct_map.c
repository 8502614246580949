/* SPDX-License-Identifier: MIT */
/*
 * test_direct_map.c - RAM with an odd cache attribute where the direct map is made of large leaves
 * (direct_map.c, D1 and D2): they are split where the CPU can do that, the frames leave, all else stays;
 * where it cannot the answer is UNSUPPORTED. With pages test_object.c does the same.
 */
#include "core_fixture.h"

#include "kernel_i.h"
#include "page.h"
#include "pmap.h"
#include "raw.h"

#define GIGA (UINT64_C(1) << 30)

/* A machine that can split, and on AArch64 a host that says so. */
static void start(unsigned level, uint64_t ram)
{
	const struct core_options options = {
	    .asid_bits = -1, .linear_level = level, .add = MACHINE_LIVE_SPLIT, .ram = ram};
	core_start(&options);
	warm();
}

/* cmocka's: a linear map of 2 MiB leaves; of 1 GiB leaves. */
static int setup_large(void **state)
{
	(void)state;
	start(1, 0);
	return 0;
}

/* The library has panicked in the middle: it is not to be used any more. */
static int teardown_broken(void **state)
{
	(void)state;
	machine_destroy();
	return 0;
}

static int setup_huge(void **state)
{
	(void)state;
	start(2, 2 * GIGA);
	return 0;
}

/* Level of the linear map's leaf for pa on all CPUs, or -1. The hardware's word: by an access, too. */
static int linear_level(uint64_t pa)
{
	int level = -1;
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		struct machine_translation t;
		bool there = machine_translate(cpu, machine_linear(pa), &t);
		assert_true(cpu == 0 || (there ? (int)t.level : -1) == level);
		level = there ? (int)t.level : -1;
		assert_true(!there || (t.pa == pa && t.type == MACHINE_WB));
		assert_int_equal(hardware(cpu, machine_linear(pa), MACHINE_READ, MACHINE_SUPERVISOR), there);
	}
	return level;
}

static uint64_t run_of_frames(uint64_t pages, uint64_t align)
{
	vmem_paddr_t frame;
	OK(vmem_frame_alloc_run(pages, align, 0, &frame));
	return frame;
}

static struct vmem_object *odd(uint64_t pa, uint64_t pages)
{
	struct vmem_object *o = NULL;
	warm();
	OK(vmem_object_create_physical(pa, PAGES(pages), VMEM_WRITE_COMBINING, &o));
	return o;
}

/* AArch64: every way to an odd attribute is refused, and what needs none is not. */
static void cannot_split(void **state)
{
	const struct machine_range device =
	    machine_config() ? machine_config()->device : (struct machine_range){0, 0};
	struct vmem_object *o;
	void *at;
	(void)state;
	if (core_isa() != MACHINE_AARCH64) {
		return; /* the others always can */
	}
	uint64_t frame = run_of_frames(4, PAGES(4));
	warm();
	for (vmem_cache_t cache = VMEM_WRITE_THROUGH; cache <= VMEM_UNCACHED; cache++) {
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_create_physical(frame, PAGE, cache, &o));
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_create_physical(frame, PAGES(4), cache, &o));
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_create_contiguous(PAGES(4), 0, 0, cache, &o));
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_create_contiguous(LARGE, LARGE, 0, cache, &o));
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_map(frame + 5, 100, RW, cache, &at));
		assert_int_equal(linear_level(frame), 1);
		assert_int_equal(pa_to_page(frame)->flags & PAGE_F_ODD_CACHE, 0);
	}
	OK(vmem_object_create_physical(frame, PAGES(4), VMEM_WRITE_BACK, &o));
	release(o);
	OK(vmem_object_create_contiguous(PAGES(4), 0, 0, VMEM_WRITE_BACK, &o));
	release(o);
	OK(vmem_kernel_map(
	    device.start, PAGE, RW, VMEM_UNCACHED, &at)); /* device memory is in no direct map */
	vmem_kernel_free(at);
	vmem_frame_free(frame, 2);
	step();
}

/* The frames leave, their neighbours stay, in pages now; what was stored is there under the new attribute. */
static void split(void **state)
{
	(void)state;
	uint64_t at = run_of_frames(512, LARGE), frame = at + PAGES(100), tables = frames_now().tables;
	uint64_t value = 0x1234567, got = 0;
	assert_int_equal(linear_level(frame), 1);
	/* no entry for a page there, and none is made */
	assert_int_equal(vmem_pmap_exchange(vmem_kernel_pmap(), frame + machine_direct_map(), 0), 0);
	assert_int_equal(linear_level(frame), 1);
	memcpy(machine_ram(frame), &value, 8);
	uint64_t cleaned = machine_counters.cleaned_lines;
	struct vmem_object *o = odd(frame, 2);
	assert_true(machine_counters.cleaned_lines > cleaned || core_isa() == MACHINE_RISCV);
	assert_int_equal(frames_now().tables, tables + 1);
	assert_int_equal(linear_level(frame), -1);
	assert_int_equal(linear_level(frame + PAGE), -1);
	assert_int_equal(linear_level(frame - PAGE), 0);
	assert_int_equal(linear_level(frame + PAGES(2)), 0);
	assert_int_equal(linear_level(at), 0);
	assert_int_equal(linear_level(at + LARGE - PAGE), 0);
	struct vmem_aspace *as = space();
	run(0, as);
	uint64_t va = map_object(as, o, 0, 2, RW, VMEM_MAP_SHARED);
	assert_int_equal(get(as, 0, va), value);
	struct machine_translation t;
	assert_true(machine_translate(0, va, &t));
	assert_true(t.type == MACHINE_WC || t.type == MACHINE_UC);
	put(as, 0, va + PAGE, value + 1);
	run(0, NULL);
	machine_cpu_idle(false); /* the linear map may lie in the lower half here */
	struct vmem_object *near = odd(frame + PAGES(50), 1); /* no table more: the window is in pages */
	assert_int_equal(frames_now().tables, tables + 1 + stats_of(as).tables);
	assert_int_equal(linear_level(frame + PAGES(50)), -1);
	release(near);
	assert_int_equal(linear_level(frame + PAGES(50)), 0);
	assert_int_equal(linear_level(frame), -1);
	end(as);
	release(o);
	assert_int_equal(linear_level(frame), 0);
	assert_int_equal(linear_level(frame + PAGE), 0);
	assert_true(
	    machine_access(2, machine_linear(frame + PAGE), MACHINE_READ, MACHINE_SUPERVISOR, &got, 8).ok);
	assert_int_equal(got, value + 1);
	assert_int_equal(frames_now().tables, tables + 1); /* it stays */
	vmem_frame_free_run(at, 512);
}

/* Windows met in part, and one met whole, each cost a table; all of them are taken before any change. */
static void several_windows(void **state)
{
	struct vmem_object *o, *c;
	(void)state;
	uint64_t at = run_of_frames(4 * 512, LARGE), start = at + LARGE - PAGE, tables = frames_now().tables;
	const uint64_t pages = 1 + 512 + 1;
	SWEEP(2, vmem_object_create_physical(start, PAGES(pages), VMEM_UNCACHED, &o));
	assert_int_equal(frames_now().tables, tables + 3);
	assert_int_equal(linear_level(at), 0);
	assert_int_equal(linear_level(start - PAGE), 0);
	for (unsigned i = 0; i < pages; i += 171) {
		assert_int_equal(linear_level(start + PAGES(i)), -1);
	}
	assert_int_equal(linear_level(start + PAGES(pages - 1)), -1);
	assert_int_equal(linear_level(start + PAGES(pages)), 0);
	assert_int_equal(linear_level(at + 3 * LARGE), 1);
	release(o);
	for (unsigned i = 0; i < pages; i += 57) {
		assert_int_equal(linear_level(start + PAGES(i)), 0);
	}
	vmem_frame_free_run(at, 4 * 512);
	SWEEP(1, vmem_object_create_contiguous(LARGE + PAGE, LARGE, 0, VMEM_WRITE_COMBINING, &c));
	vmem_paddr_t frame;
	struct machine_translation t;
	OK(vmem_object_frame(c, LARGE, &frame));
	assert_int_equal(linear_level(frame), -1);
	release(c);
	assert_true(machine_translate(0, machine_linear(frame), &t)); /* a free frame now */
	assert_int_equal(t.level, 0);
	void *kva; /* the kernel's own way to it, and back */
	frame = run_of_frames(1, PAGE);
	OK(vmem_kernel_map(frame + 100, 8, RW, VMEM_WRITE_COMBINING, &kva));
	assert_int_equal(linear_level(frame), -1);
	assert_true(hardware(3, (uintptr_t)kva & ~UINT64_C(7), MACHINE_WRITE, MACHINE_SUPERVISOR));
	machine_operation();
	vmem_kernel_free(kva);
	step();
	assert_int_equal(linear_level(frame), 0);
	vmem_frame_free(frame, 0);
}

/* A leaf of 1 GiB: split down to 2 MiB, and to pages only where the frames lie. */
static void gigabyte(void **state)
{
	struct vmem_object *o;
	(void)state;
	uint64_t at = run_of_frames(2 * 512, LARGE), tables = frames_now().tables;
	const uint64_t start = at + LARGE - PAGE;
	assert_int_equal(linear_level(at), 2);
	warm();
	SWEEP(2, vmem_object_create_physical(start, PAGES(2), VMEM_UNCACHED, &o));
	assert_int_equal(frames_now().tables, tables + 3);
	assert_int_equal(linear_level(start), -1);
	assert_int_equal(linear_level(start + PAGE), -1);
	assert_int_equal(linear_level(start - PAGE), 0);
	assert_int_equal(linear_level(start + PAGES(2)), 0);
	const uint64_t window = at & ~(GIGA - 1);
	assert_int_equal(linear_level(window == at ? at + 2 * LARGE : window), 1);
	assert_int_equal(linear_level(window + (at - window > GIGA / 2 ? LARGE : GIGA - PAGE)), 1);
	assert_int_equal(linear_level(window == UINT64_C(0x80000000) ? window + GIGA : window - PAGE), 2);
	release(o);
	assert_int_equal(linear_level(start), 0);
	vmem_frame_free_run(at, 2 * 512);
}

/* A host that has not mapped all of its RAM, as it must, is told so before anything is hidden. */
static void not_mapped(void **state)
{
	struct vmem_object *o;
	(void)state;
	uint64_t at = run_of_frames(512, LARGE);
	machine_operation();
	*raw_slot(machine_kernel_root(), machine_linear(at), 1) = 0;
	for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {
		raw_flush_all(cpu);
	}
	assert_int_equal(linear_level(at), -1);
	PANICS("not in the direct map",
	    (void)vmem_object_create_physical(at + PAGE, PAGE, VMEM_WRITE_COMBINING, &o));
	assert_int_equal(pa_to_page(at + PAGE)->flags & PAGE_F_ODD_CACHE, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(cannot_split),
	    cmocka_unit_test_setup_teardown(split, setup_large, core_teardown),
	    cmocka_unit_test_setup_teardown(several_windows, setup_large, core_teardown),
	    cmocka_unit_test_setup_teardown(gigabyte, setup_huge, core_teardown),
	    cmocka_unit_test_setup_teardown(not_mapped, setup_large, teardown_broken),
	};
	return cmocka_run_group_tests_name("direct_map", tests, NULL, NULL);
}
