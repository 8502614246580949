/* SPDX-License-Identifier: MIT */
/*
 * test_contig.c - contiguous runs (P8) in user space: 16 pages as one translation. On x86-64, and on a RISC-V
 * without Svnapot, the same programs run on single pages.
 */
#include "contig.h"

#include "raw.h"
#include "region.h"

static struct vmem_object *contiguous(uint64_t pages)
{
	struct vmem_object *object = NULL;
	OK(vmem_object_create_contiguous(PAGES(pages), PAGES(RUN), 0, VMEM_WRITE_BACK, &object));
	return object;
}

/* Maps pages of an object, shared, the first one `skew` pages behind the beginning of a run. */
static uint64_t map_skewed(struct vmem_aspace *as, struct vmem_object *object, uint64_t first, uint64_t pages,
    unsigned skew, unsigned permission)
{
	static uint64_t next;
	next = (next + PAGES(8 * RUN)) % (UINT64_C(1) << 30);
	struct vmem_map what = {
	    .length = PAGES(pages),
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_SHARED,
	    .object = object,
	    .offset = PAGES(first),
	    .place = VMEM_PLACE_FIXED,
	    .address = (UINT64_C(1) << 32) + next + PAGES(skew),
	};
	vmem_vaddr_t va = 0;
	OK(vmem_vmar_map(vmem_aspace_root(as), &what, &va));
	return va;
}

/* One fault maps all of a run, each page the right one, for every CPU. */
static void one_fault(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = contiguous(2 * RUN);
	struct vmem_translation t;
	vmem_paddr_t frame;
	(void)state;
	run_all(as);
	uint64_t va = map_skewed(as, object, 0, 2 * RUN, 0, RW);
	OK(vmem_object_frame(object, 0, &frame));
	put(as, 0, va + PAGES(5), 55);
	step();
	assert_int_equal(members(va, 2 * RUN), if_runs(RUN, 0));
	assert_int_equal(stats_of(as).resident, if_runs(RUN, 1));
	uint64_t faults = stats_of(as).faults;
	for (unsigned i = 0; has_runs() && i < RUN; i++) {
		assert_true(hardware(0, va + PAGES(i), MACHINE_WRITE, MACHINE_USER));
		assert_true(vmem_aspace_translate(as, va + PAGES(i) + 9, &t));
		assert_int_equal(t.physical, frame + PAGES(i) + 9);
	}
	assert_int_equal(stats_of(as).faults, faults);
	fill(as, va, 2 * RUN, 700);
	assert_int_equal(members(va, 2 * RUN), if_runs(2 * RUN, 0));
	for (unsigned i = 0; i < 2 * RUN; i++) { /* the frames, by another way */
		assert_int_equal(peek(object, i), 700 + i);
		assert_int_equal(get(as, i % 4, va + PAGES(i)), 700 + i);
	}
	warm();
	unmap(as, va, 2 * RUN);
	assert_int_equal(stats_of(as).resident, 0);
	DENIED(VMEM_FAULT_NO_REGION, as, 1, va + PAGES(20), MACHINE_READ);
	end(as);
	release(object);
}

/* No run where the addresses do not fit, the region or the object does not cover it, or a page is mapped. */
static void not_made(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = contiguous(3 * RUN - 1);
	(void)state;
	run(0, as);
	uint64_t va = map_skewed(as, object, 1, 2 * RUN, 0, RW); /* not congruent */
	fill(as, va, 2 * RUN, 1);
	assert_int_equal(members(va, 2 * RUN), 0);
	unmap(as, va, 2 * RUN);
	va = map_skewed(as, object, 0, RUN - 1, 0, RW); /* a page short behind */
	fill(as, va, RUN - 1, 1);
	assert_int_equal(members(va, RUN), 0);
	unmap(as, va, RUN - 1);
	va = map_skewed(as, object, 1, 2 * RUN - 1, 1, RW); /* and before: the second run fits */
	fill(as, va, 2 * RUN - 1, 1);
	assert_int_equal(members(va, 2 * RUN - 1), if_runs(RUN, 0));
	unmap(as, va, 2 * RUN - 1);
	va = map_skewed(as, object, 0, 3 * RUN, 0, RW); /* the object ends inside the third */
	fill(as, va, 3 * RUN - 1, 1);
	assert_int_equal(members(va, 3 * RUN), if_runs(2 * RUN, 0));
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, va + PAGES(3 * RUN - 1), MACHINE_READ);
	unmap(as, va, 3 * RUN);
	va = map_skewed(as, object, 0, 8, 0, RW);
	put(as, 0, va + PAGES(3), 33);
	const struct vmem_map rest = {
	    .length = PAGES(8),
	    .permission = RW,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_SHARED,
	    .object = object,
	    .offset = PAGES(8),
	    .place = VMEM_PLACE_FIXED,
	    .address = va + PAGES(8),
	};
	vmem_vaddr_t at;
	OK(vmem_vmar_map(vmem_aspace_root(as), &rest, &at));
	assert_int_equal(regions(as), 1);
	fill(as, va + PAGES(8), 8, 8); /* one page of the run is mapped alone: so are the others */
	assert_int_equal(members(va, RUN), 0);
	assert_int_equal(get(as, 0, va + PAGES(3)), 33);
	unmap(as, va, RUN);
	end(as);
	release(object);
}

/* Whatever goes of a run, no CPU reaches it any more, and what stays is found again. */
static void partial_unmap(void **state)
{
	struct vmem_object *object = contiguous(3 * RUN);
	(void)state;
	static const struct {
		unsigned first, pages;
	} holes[] = {{0, 1}, {RUN - 1, 1}, {5, 2}, {RUN - 1, 2}, {3, RUN}, {RUN, RUN}, {7, 2 * RUN},
	    {1, 3 * RUN - 2}};
	for (unsigned h = 0; h < sizeof(holes) / sizeof(holes[0]); h++) {
		struct vmem_aspace *as = space();
		run_all(as);
		uint64_t va = map_skewed(as, object, 0, 3 * RUN, 0, RW);
		fill(as, va, 3 * RUN, 1000 * h);
		assert_int_equal(members(va, 3 * RUN), if_runs(3 * RUN, 0));
		warm();
		unmap(as, va + PAGES(holes[h].first), holes[h].pages);
		for (unsigned i = 0; i < 3 * RUN; i++) {
			if (i - holes[h].first < holes[h].pages) {
				DENIED(VMEM_FAULT_NO_REGION, as, i % 4, va + PAGES(i), MACHINE_READ);
			} else {
				assert_int_equal(get(as, i % 4, va + PAGES(i)), 1000 * h + i);
			}
		}
		step();
		end(as);
	}
	release(object);
}

static void protection(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = contiguous(2 * RUN);
	(void)state;
	run_all(as);
	uint64_t va = map_skewed(as, object, 0, 2 * RUN, 0, RW);
	fill(as, va, 2 * RUN, 40);
	warm();
	(void)cost();
	protect(as, va, RUN, VMEM_READ); /* a whole one */
	assert_int_equal(members(va, 2 * RUN), if_runs(RUN, 0));
	DENIED(VMEM_FAULT_PERMISSION, as, 2, va + PAGES(4), MACHINE_WRITE);
	assert_int_equal(get(as, 1, va + PAGES(7)), 47);
	assert_int_equal(members(va, 2 * RUN), if_runs(2 * RUN, 0));
	assert_int_equal(cost().breaks_idle, 0);
	warm();
	protect(as, va, RUN, RW); /* and back: the write fault makes it anew */
	assert_int_equal(get(as, 3, va + PAGES(2)), 42);
	put(as, 0, va + PAGES(4), 44);
	assert_int_equal(members(va, 2 * RUN), if_runs(2 * RUN, 0));
	step();
	warm();
	protect(as, va + PAGES(RUN - 3), 4, VMEM_READ); /* parts of two */
	assert_int_equal(members(va, 2 * RUN), 0);
	for (unsigned i = 0; i < 2 * RUN; i++) {
		if (i - (RUN - 3) < 4) {
			DENIED(VMEM_FAULT_PERMISSION, as, i % 4, va + PAGES(i), MACHINE_WRITE);
		} else {
			put(as, i % 4, va + PAGES(i), 40 + i);
		}
	}
	expect(as, va, 2 * RUN, 40);
	warm();
	protect(as, va, 2 * RUN, 0);
	DENIED(VMEM_FAULT_PERMISSION, as, 1, va + PAGES(9), MACHINE_READ);
	end(as);
	release(object);
}

/* What the hardware records in one entry is true of all, and is kept when the run goes. */
static void marks(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = contiguous(RUN);
	struct vmem_translation t;
	vmem_paddr_t frame;
	(void)state;
	run_all(as);
	OK(vmem_object_frame(object, 0, &frame));
	struct vmem_page *page = pa_to_page(frame);
	uint64_t va = map_skewed(as, object, 0, RUN, 0, RW);
	(void)get(as, 0, va + PAGES(2));
	assert_true(vmem_aspace_translate(as, va + PAGES(2), &t) && t.accessed && !t.dirty);
	put(as, 1, va + PAGES(5), 5);
	assert_true(vmem_aspace_translate(as, va + PAGES(5), &t) && t.dirty);
	assert_true(vmem_aspace_translate(as, va + PAGES(2), &t) && t.dirty == has_runs());
	warm();
	unmap(as, va + PAGES(9), 1);
	assert_true(page[5].flags & PAGE_F_DIRTY || !has_runs());
	unmap(as, va, RUN);
	assert_true(page[5].flags & PAGE_F_DIRTY);
	machine_dirty_check(frame + PAGES(5), (page[5].flags & PAGE_F_DIRTY) != 0);
	step();
	end(as);
	release(object);
}

/* The kernel stores for the program, and the entry says so. */
static void copied_to(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = contiguous(RUN);
	struct vmem_translation t;
	uint64_t value = 77;
	(void)state;
	run_all(as);
	uint64_t va = map_skewed(as, object, 0, RUN, 0, RW);
	(void)get(as, 0, va);
	warm();
	machine_operation();
	assert_int_equal(vmem_copy_to_user(as, va + PAGES(6) + 8, &value, sizeof(value)), sizeof(value));
	step();
	assert_true(vmem_aspace_translate(as, va + PAGES(6), &t) && t.dirty);
	assert_int_equal(members(va, RUN), if_runs(RUN, 0));
	assert_int_equal(get(as, 2, va + PAGES(6) + 8), 77);
	value = 0;
	assert_int_equal(vmem_copy_from_user(as, &value, va + PAGES(6) + 8, sizeof(value)), sizeof(value));
	assert_int_equal(value, 77);
	end(as);
	release(object);
}

/* The same where accessed and dirty are the software's task: the first store breaks the run and makes it
 * again. */
static void marks_by_fault(void **state)
{
	const struct core_options options = {.asid_bits = -1, .remove = MACHINE_HW_MARKS};
	(void)state;
	if (core_isa() == MACHINE_X86_64) {
		return; /* the hardware always does it */
	}
	core_start(&options);
	copied_to(NULL);
	struct vmem_aspace *as = space();
	struct vmem_object *object = contiguous(RUN);
	struct vmem_translation t;
	run_all(as);
	uint64_t va = map_skewed(as, object, 0, RUN, 0, RW);
	(void)get(as, 0, va + PAGES(2));
	warm();
	assert_true(vmem_aspace_translate(as, va + PAGES(3), &t) && !t.dirty);
	put(as, 0, va + PAGES(9), 9);
	step();
	assert_int_equal(members(va, RUN), RUN);
	uint64_t faults = stats_of(as).faults;
	for (unsigned i = 0; i < RUN; i++) {
		assert_true(vmem_aspace_translate(as, va + PAGES(i), &t) && t.dirty);
		put(as, 0, va + PAGES(i), i);
	}
	assert_int_equal(stats_of(as).faults, faults);
	expect(as, va, RUN, 0);
	end(as);
	release(object);
	core_teardown(NULL);
}

/* Instruction fetch is in step on all pages of a run, whoever of them faulted. */
static void code(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = contiguous(RUN);
	(void)state;
	run_all(as);
	uint64_t va = map_skewed(as, object, 0, RUN, 0, RW);
	for (uint64_t round = 1; round < 3; round++) {
		fill(as, va, RUN, round * 0x100);
		warm();
		protect(as, va, RUN, RX);
		for (unsigned i = 0; i < RUN; i++) {
			fetch(as, i % 4, va + PAGES((i + 11) % RUN));
		}
		assert_int_equal(members(va, RUN), if_runs(RUN, 0));
		step();
		protect(as, va, RUN, RW);
	}
	end(as);
	release(object);
}

/* Device memory: no frame records. */
static void device(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object;
	struct machine_translation t;
	const struct machine_range d = machine_config()->device;
	(void)state;
	run_all(as);
	OK(vmem_object_create_physical(d.start, PAGES(4 * RUN), VMEM_WRITE_COMBINING, &object));
	uint64_t va = map_skewed(as, object, 0, 4 * RUN, 0, RW); /* a frame buffer */
	for (unsigned i = 0; i < 4 * RUN; i++) {
		put(as, i % 4, va + PAGES(i), i);
	}
	assert_int_equal(members(va, 4 * RUN), if_runs(4 * RUN, 0));
	assert_true(machine_translate(0, va + PAGES(37), &t));
	assert_int_equal(t.type, MACHINE_WC);
	assert_int_equal(t.pa, d.start + PAGES(37));
	step();
	warm();
	unmap(as, va + PAGES(20), 1);
	assert_int_equal(members(va, 4 * RUN), if_runs(3 * RUN, 0));
	assert_int_equal(get(as, 2, va + PAGES(21)), 21);
	end(as);
	release(object);
}

/* Anonymous memory of a space that wants large leaves, where 2 MiB do not fit: 16 zeroed pages at once. */
static void anonymous_run(void **state)
{
	const struct vmem_aspace_config config = {.large = true, .wx = true};
	struct vmem_aspace *as = space_with(&config);
	(void)state;
	run_all(as);
	uint64_t va = map_at(as, (UINT64_C(1) << 32) + PAGES(3), 4 * RUN, RW) - PAGES(3);
	put(as, 0, va + PAGES(RUN + 5), 21);
	step();
	assert_int_equal(members(va + PAGES(3), 4 * RUN), if_runs(RUN, 0));
	assert_int_equal(stats_of(as).committed, if_runs(RUN, 1));
	assert_int_equal(stats_of(as).faults_zeroed, 1);
	for (unsigned i = 0; i < RUN; i++) {
		assert_int_equal(get(as, i % 4, va + PAGES(RUN + i)), i == 5 ? 21 : 0);
	}
	put(as, 0, va + PAGES(4), 4); /* the region covers neither this window, */
	put(as, 0, va + PAGES(4 * RUN), 64); /* nor this */
	(void)get(as, 0, va + PAGES(2 * RUN + 7));
	put(as, 0, va + PAGES(2 * RUN), 32); /* and in this one the zero page is mapped */
	assert_int_equal(members(va + PAGES(3), 4 * RUN), if_runs(RUN, 0));
	put(as, 0, va + PAGES(4 * RUN - 1), 63);
	assert_int_equal(members(va + PAGES(3), 4 * RUN), if_runs(2 * RUN, 0));
	warm();
	OK(vmem_vmar_decommit(vmem_aspace_root(as), va + PAGES(RUN + 5), PAGE));
	assert_int_equal(get(as, 1, va + PAGES(RUN + 5)), 0);
	put(as, 1, va + PAGES(RUN + 6), 22);
	step();
	warm();
	protect(as, va + PAGES(4 * RUN - 2), 1, VMEM_READ);
	DENIED(VMEM_FAULT_PERMISSION, as, 2, va + PAGES(4 * RUN - 2), MACHINE_WRITE);
	assert_int_equal(get(as, 3, va + PAGES(4 * RUN - 1)), 63);
	put(as, 2, va + PAGES(4 * RUN - 1), 64);
	assert_int_equal(members(va + PAGES(3), 4 * RUN), 0);
	warm();
	protect(as, va + PAGES(RUN), RUN, RX); /* code, by single pages */
	fetch(as, 2, va + PAGES(RUN + 6));
	assert_int_equal(get(as, 0, va + PAGES(RUN + 6)), 22);
	step();
	unmap(as, va + PAGES(3), 4 * RUN);
	assert_int_equal(stats_of(as).committed, 0);
	end(as);
}

/* Where no 16 adjacent frames, no nodes or no table can be had, single pages are, or nothing is. */
static void anonymous_no_memory(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	unsigned refused = 0, single = 0, whole = 0;
	(void)state;
	for (uint64_t n = 1; whole == 0; n++) {
		struct vmem_aspace *as = space_with(&config);
		run(0, as);
		uint64_t va = map_at(as, UINT64_C(1) << 32, RUN, RW);
		core_trim();
		machine_fail_at(n);
		machine_operation();
		enum vmem_fault_result result = vmem_fault(as, va + PAGES(4), VMEM_WRITE);
		machine_fail_at(0);
		step();
		refused += result == VMEM_FAULT_NO_MEMORY;
		assert_int_equal(stats_of(as).resident == 0, result == VMEM_FAULT_NO_MEMORY);
		single += stats_of(as).resident == 1;
		whole += stats_of(as).resident == RUN || (!has_runs() && n > 9);
		end(as);
	}
	assert_true(single >= 1 && (refused >= 1 || has_runs())); /* what fails once is tried smaller */
}

/* A fault that finds no memory leaves no trace; the next one makes the run. */
static void no_memory(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = contiguous(RUN);
	(void)state;
	run(0, as);
	uint64_t va = map_skewed(as, object, 0, RUN, 0, RW);
	uint64_t n = 1;
	for (;; n++) {
		uint64_t tables = frames_now().tables;
		machine_fail_at(n);
		machine_operation();
		enum vmem_fault_result result = vmem_fault(as, va + PAGES(4), VMEM_WRITE);
		machine_fail_at(0);
		step();
		if (result == VMEM_FAULT_RESOLVED) {
			break;
		}
		assert_int_equal(result, VMEM_FAULT_NO_MEMORY);
		assert_int_equal(frames_now().tables, tables);
		assert_int_equal(stats_of(as).resident, 0);
	}
	assert_true(n > 2);
	assert_int_equal(members(va, RUN), if_runs(RUN, 0));
	end(as);
	release(object);
}

/* The validator panics while an entry is another one than it was. */
static void caught(struct vmem_aspace *as, uint64_t va, uint64_t wrong, const char *text)
{
	uint64_t *volatile slot = raw_slot(machine_root(0), va, 0);
	volatile uint64_t right = *slot;
	*slot = wrong;
	PANICS(text, vmem_aspace_check(as));
	*slot = right;
}

/* The validator sees a member that is not like the others, and one that is missing. */
static void checked(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = contiguous(RUN);
	(void)state;
	run(0, as);
	uint64_t va = map_skewed(as, object, 0, RUN, 0, RW);
	put(as, 0, va, 1);
	for (unsigned i = 0; has_runs() && i < RUN; i++) {
		bool arm = core_isa() == MACHINE_AARCH64;
		uint64_t right = *raw_slot(machine_root(0), va + PAGES(i), 0);
		uint64_t alone = arm ? right ^ UINT64_C(1) << 52
				     : (right ^ UINT64_C(1) << 63) + ((uint64_t)i << 10) - (8 << 10);
		caught(as, va + PAGES(i), alone, "internal: P8");
		caught(as, va + PAGES(i), right ^ (arm ? UINT64_C(1) << 51 | 1u << 7 : 4), "internal: P8");
		caught(as, va + PAGES(i), 0, "internal");
	}
	step();
	end(as);
	release(object);
}

/* A CPU without Svnapot never sees the bit (the machine takes it for malformed), and everything works. */
static void without(void **state)
{
	const struct core_options options = {.asid_bits = -1, .remove = MACHINE_SVNAPOT};
	if (core_isa() != MACHINE_RISCV) {
		return;
	}
	core_start(&options);
	assert_false(has_runs());
	one_fault(state);
	partial_unmap(state);
	device(state);
	anonymous_run(state);
	core_teardown(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(one_fault),
	    CORE(not_made),
	    CORE(partial_unmap),
	    CORE(protection),
	    CORE(marks),
	    CORE(copied_to),
	    cmocka_unit_test(marks_by_fault),
	    CORE(code),
	    CORE(device),
	    CORE(anonymous_run),
	    CORE(anonymous_no_memory),
	    CORE(no_memory),
	    CORE(checked),
	    cmocka_unit_test(without),
	};
	return cmocka_run_group_tests_name("contig", tests, NULL, NULL);
}
