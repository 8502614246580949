/* SPDX-License-Identifier: MIT */
/*
 * test_removal.c - what removes translations, against what makes and uses them: unmap, protect, resize and
 * decommit, freed page tables.
 *
 * Each case checks in its threads what a call promises when it returns, and what a program may see in which
 * order; `told` is how one thread knows what another has done before. The rest is for world.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

#define AT UINT64_C(0x40000000)
#define OLD 11u
#define NEW 22u

static struct vmem_aspace *space, *other;
static struct vmem_object *object;
static uint32_t told;

static void tell(uint32_t what)
{
	__atomic_store_n(&told, what, __ATOMIC_RELEASE);
}

static uint32_t heard(void)
{
	return __atomic_load_n(&told, __ATOMIC_ACQUIRE);
}

static void nothing(void)
{
}

/* All CPUs run one space. */
static void begin(unsigned cpus)
{
	const struct world_options options = {.cpus = cpus};
	world_start(&options);
	told = 0;
	space = world_space();
	for (unsigned cpu = cpus; cpu-- > 0;) {
		world_run(cpu, space);
	}
}

static void expect_unmapped(uint64_t va, uint64_t pages)
{
	struct vmem_translation at;
	for (uint64_t i = 0; i < pages; i++) {
		EXPLORE_CHECK(!vmem_aspace_translate(space, va + PAGES(i), &at));
	}
}

/* Fault against unmap. */

static void setup_table(void)
{
	begin(2);
	world_map(space, AT, 4, RW);
	world_put(space, AT, OLD);
	world_warm();
}

/* No table is there: the fault makes the first one of its window, or of more (hazard H1). */
static void setup_no_table(void)
{
	begin(2);
	world_map(space, AT, 4, RW);
	world_warm();
}

/* The table stays, for a page of another region. */
static void setup_neighbour(void)
{
	begin(2);
	world_map(space, AT, 4, RW);
	world_map(space, AT + PAGES(16), 4, VMEM_READ | VMEM_WRITE);
	world_put(space, AT + PAGES(16), OLD);
	world_warm();
}

static void write_second_page(void)
{
	uint32_t before = heard();
	enum vmem_fault_result result = user_write(space, AT + PAGES(1), NEW);
	EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_NO_REGION);
	EXPLORE_CHECK(before == 0 || result == VMEM_FAULT_NO_REGION);
}

static void unmap_all(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT, PAGES(4)));
	world_unreachable(space, AT, 4);
	tell(1);
}

static void nothing_mapped(void)
{
	uint64_t value;
	expect_unmapped(AT, 4);
	EXPLORE_CHECK(user_read(space, AT + PAGES(1), &value) == VMEM_FAULT_NO_REGION);
}

static void test_fault_unmap(void **state)
{
	struct explore_case what = {
	    .name = "fault against unmap, the table there",
	    .preemptions = 3,
	    .setup = setup_table,
	    .thread = {write_second_page, unmap_all},
	    .finish = nothing_mapped,
	};
	(void)state;
	explore_holds(&what);
	what.name = "fault against unmap, no table";
	what.preemptions = 2;
	what.setup = setup_no_table;
	explore_holds(&what);
	what.name = "fault against unmap, no table, stores seen late";
	what.flags = EXPLORE_LATE;
	explore_holds(&what);
	what.flags = 0;
	what.name = "fault against unmap, the table stays";
	what.preemptions = 2;
	what.setup = setup_neighbour;
	explore_holds(&what);
}

static void unmap_second(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT + PAGES(1), PAGES(1)));
	world_unreachable(space, AT + PAGES(1), 1);
	tell(1);
}

static void second_unmapped(void)
{
	expect_unmapped(AT + PAGES(1), 1);
	EXPLORE_CHECK(world_get(space, AT) == OLD);
}

static void test_fault_unmap_part(void **state)
{
	struct explore_case what = {
	    .name = "fault against unmap of a part",
	    .preemptions = 2,
	    .setup = setup_table,
	    .thread = {write_second_page, unmap_second},
	    .finish = second_unmapped,
	};
	(void)state;
	explore_holds(&what);
}

/* Unmap, and map again at the same address and with the same frame, while another CPU uses its TLB (hazard
 * H2). What is read is what was there before, or after; and after what was told. */

static void read_twice(void)
{
	uint64_t last = 0;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t value = 0;
		uint32_t before = heard();
		enum vmem_fault_result result = user_read(space, AT, &value);
		EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_NO_REGION);
		if (result == VMEM_FAULT_RESOLVED) {
			EXPLORE_CHECK(value == OLD || value == 0 || value == NEW);
			EXPLORE_CHECK(before == 0 || value == NEW);
			EXPLORE_CHECK(last == 0 || value != OLD || last == OLD);
		}
		last = result == VMEM_FAULT_RESOLVED ? (value == 0 ? NEW : value) : NEW;
	}
}

static void map_again(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT, PAGES(4)));
	world_unreachable(space, AT, 4);
	const struct vmem_map map = {
	    .length = PAGES(4),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = AT,
	};
	vmem_vaddr_t start;
	KERNEL_OK(vmem_vmar_map(vmem_aspace_root(space), &map, &start));
	EXPLORE_CHECK(user_write(space, AT, NEW) == VMEM_FAULT_RESOLVED);
	tell(1);
}

static void is_new(void)
{
	EXPLORE_CHECK(world_get(space, AT) == NEW);
}

static void replace(void)
{
	const struct vmem_map map = {
	    .length = PAGES(4),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_REPLACE,
	    .address = AT,
	};
	vmem_vaddr_t start;
	KERNEL_OK(vmem_vmar_map(vmem_aspace_root(space), &map, &start));
	EXPLORE_CHECK(user_write(space, AT, NEW) == VMEM_FAULT_RESOLVED);
	tell(1);
}

/* The frame comes back somewhere else, with content that the first address must never show. */
#define SECRET 0x5ec2e7u
static void reuse_elsewhere(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT, PAGES(4)));
	EXPLORE_CHECK(user_write(space, AT + WINDOW, SECRET) == VMEM_FAULT_RESOLVED);
	tell(0);
}

static void never_secret(void)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t value = 0;
		enum vmem_fault_result result = user_read(space, AT, &value);
		EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_NO_REGION);
		EXPLORE_CHECK(result != VMEM_FAULT_RESOLVED || value == OLD);
	}
}

static void setup_elsewhere(void)
{
	setup_table();
	world_map(space, AT + WINDOW, 1, RW);
}

/* An address that is being unmapped, and a CPU that maps it as soon as it can. */
static uint32_t mapped;

static void setup_mapped(void)
{
	setup_table();
	mapped = 0;
}

static void map_there(void)
{
	const struct vmem_map map = {
	    .length = PAGES(4),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = AT,
	};
	vmem_vaddr_t start;
	explore_enter();
	vmem_status_t status = vmem_vmar_map(vmem_aspace_root(space), &map, &start);
	explore_leave();
	if (status == VMEM_OK) {
		uint64_t value = 0;
		EXPLORE_CHECK(user_write(space, AT, NEW) == VMEM_FAULT_RESOLVED);
		EXPLORE_CHECK(user_read(space, AT, &value) == VMEM_FAULT_RESOLVED && value == NEW);
		mapped = 1;
	}
}

static void unmap_once(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT, PAGES(4)));
}

static void new_if_mapped(void)
{
	uint64_t value = 0;
	enum vmem_fault_result result = user_read(space, AT, &value);
	EXPLORE_CHECK(result == (mapped ? VMEM_FAULT_RESOLVED : VMEM_FAULT_NO_REGION));
	EXPLORE_CHECK(!mapped || value == NEW);
}

static void test_map_again(void **state)
{
	struct explore_case what = {
	    .name = "unmap against map at the same address",
	    .preemptions = 2,
	    .setup = setup_mapped,
	    .thread = {unmap_once, map_there},
	    .finish = new_if_mapped,
	};
	(void)state;
	explore_holds(&what);
}

static void test_reuse(void **state)
{
	struct explore_case what = {
	    .name = "unmap and map at the same address against a reader",
	    .preemptions = 2,
	    .setup = setup_table,
	    .thread = {read_twice, map_again},
	    .finish = is_new,
	};
	(void)state;
	explore_holds(&what);
	what.name = "map over a mapping against a reader";
	what.thread[1] = replace;
	explore_holds(&what);
	what.name = "reuse of an unmapped frame against a reader";
	what.setup = setup_elsewhere;
	what.thread[0] = never_secret;
	what.thread[1] = reuse_elsewhere;
	what.finish = nothing;
	explore_holds(&what);
}

/* Fault against protect. */

static void write_first_page(void)
{
	uint32_t before = heard();
	enum vmem_fault_result result = user_write(space, AT, NEW);
	EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_PERMISSION);
	EXPLORE_CHECK(before == 0 || result == VMEM_FAULT_PERMISSION);
}

static void write_absent_page(void)
{
	uint32_t before = heard();
	enum vmem_fault_result result = user_write(space, AT + PAGES(1), NEW);
	EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_PERMISSION);
	EXPLORE_CHECK(before == 0 || result == VMEM_FAULT_PERMISSION);
}

static void protect_all(void)
{
	KERNEL_OK(vmem_vmar_protect(vmem_aspace_root(space), AT, PAGES(4), VMEM_READ));
	world_unwritable(space, AT, 4);
	tell(1);
}

static void nothing_writable(void)
{
	struct vmem_translation at;
	for (uint64_t i = 0; i < 4; i++) {
		bool there = vmem_aspace_translate(space, AT + PAGES(i), &at);
		EXPLORE_CHECK(!there || (at.permission & VMEM_WRITE) == 0);
	}
}

static void test_fault_protect(void **state)
{
	struct explore_case what = {
	    .name = "fault against protect, an absent page",
	    .preemptions = 2,
	    .setup = setup_table,
	    .thread = {write_absent_page, protect_all},
	    .finish = nothing_writable,
	};
	(void)state;
	explore_holds(&what);
	what.name = "store against protect, a page that is there";
	what.thread[0] = write_first_page;
	explore_holds(&what);
}

/* Fault against resize and decommit of what it maps: in its own space, and from another one. */

static void setup_object(void)
{
	begin(2);
	object = world_object(4);
	world_map_object(space, AT, object, 4, RW, VMEM_MAP_SHARED);
	world_put(space, AT + PAGES(2), OLD);
	world_warm();
}

static void setup_other_space(void)
{
	setup_object();
	other = world_space();
	world_map_object(other, AT, object, 4, RW, VMEM_MAP_SHARED);
	world_run(1, other);
	EXPLORE_CHECK(world_get(other, AT + PAGES(2)) == OLD);
	world_cpu(0);
	world_warm();
}

static void write_third_page(void)
{
	enum vmem_fault_result result = user_write(space, AT + PAGES(2), NEW);
	EXPLORE_CHECK(result == VMEM_FAULT_RESOLVED || result == VMEM_FAULT_BEYOND_END);
	if (result == VMEM_FAULT_RESOLVED) {
		tell(1);
	}
}

static uint32_t written_before;

static void shrink_and_grow(void)
{
	written_before = heard();
	KERNEL_OK(vmem_object_resize(object, PAGES(1)));
	world_unreachable(space, AT + PAGES(1), 3);
	KERNEL_OK(vmem_object_resize(object, PAGES(4)));
}

static void decommit_third(void)
{
	written_before = heard();
	KERNEL_OK(vmem_object_decommit(object, PAGES(2), PAGES(1)));
}

static void forgotten_or_new(void)
{
	uint64_t value = 1;
	EXPLORE_CHECK(vmem_object_read(object, PAGES(2), &value, sizeof(value), NULL) == VMEM_OK);
	EXPLORE_CHECK(value == 0 || value == NEW);
	EXPLORE_CHECK(written_before == 0 || value == 0);
	EXPLORE_CHECK(world_get(space, AT + PAGES(2)) == value);
}

static void test_fault_resize(void **state)
{
	struct explore_case what = {
	    .name = "fault against resize",
	    .preemptions = 2,
	    .setup = setup_object,
	    .thread = {write_third_page, shrink_and_grow},
	    .finish = forgotten_or_new,
	};
	(void)state;
	explore_holds(&what);
	what.name = "fault against resize from another space";
	what.setup = setup_other_space;
	explore_holds(&what);
}

static void test_fault_decommit(void **state)
{
	struct explore_case what = {
	    .name = "fault against decommit",
	    .preemptions = 2,
	    .setup = setup_object,
	    .thread = {write_third_page, decommit_third},
	    .finish = forgotten_or_new,
	};
	(void)state;
	explore_holds(&what);
	what.name = "fault against decommit from another space";
	what.setup = setup_other_space;
	explore_holds(&what);
}

/* Freed page tables against those who walk them without a lock; their frames become pages with content that
 * looks like an entry. */
#define LIKE_AN_ENTRY UINT64_C(0x8000000080001067)

static void setup_windows(void)
{
	begin(2);
	world_map(space, AT, 1, RW);
	world_map(space, AT + PAGES(8), 1, RW); /* the same table */
	world_map(space, AT + WINDOW, 1, RW);
	world_map(space, AT + 3 * WINDOW, 2, RW);
	world_put(space, AT, OLD);
	world_put(space, AT + WINDOW, OLD);
	world_warm();
}

static void free_tables(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT, PAGES(1)));
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT + WINDOW, PAGES(1)));
	EXPLORE_CHECK(user_write(space, AT + 3 * WINDOW, LIKE_AN_ENTRY) == VMEM_FAULT_RESOLVED);
}

static void fault_in_table(void)
{
	EXPLORE_CHECK(user_write(space, AT + PAGES(8), NEW) == VMEM_FAULT_RESOLVED);
}

static void copy_in_table(void)
{
	uint64_t value = 0;
	explore_enter();
	size_t done = vmem_copy_from_user(space, &value, AT + WINDOW, sizeof(value));
	explore_leave();
	EXPLORE_CHECK(done == 0 || (done == sizeof(value) && value == OLD));
}

static void translate_in_table(void)
{
	struct vmem_translation at;
	explore_enter();
	bool there = vmem_aspace_translate(space, AT + WINDOW, &at);
	explore_leave();
	EXPLORE_CHECK(!there || (at.level == 0 && machine_is_ram(at.physical)));
}

static void test_table_freed(void **state)
{
	struct explore_case what = {
	    .name = "a freed page table against a fault",
	    .preemptions = 2,
	    .setup = setup_windows,
	    .thread = {fault_in_table, free_tables},
	    .finish = nothing,
	};
	(void)state;
	explore_holds(&what);
	what.name = "a freed page table against a kernel copy";
	what.thread[0] = copy_in_table;
	explore_holds(&what);
	what.name = "a freed page table against a look-up";
	what.thread[0] = translate_in_table;
	explore_holds(&what);
}

/* Calls that are served in the middle of another operation of the same CPU. */

static void setup_both(void)
{
	begin(2);
	world_map(space, AT, 4, RW);
	world_map(space, AT + PAGES(16), 4, RW);
	world_put(space, AT, OLD);
	world_put(space, AT + PAGES(16), OLD);
	world_warm();
}

static void unmap_other(void)
{
	KERNEL_OK(vmem_vmar_unmap(vmem_aspace_root(space), AT + PAGES(16), PAGES(4)));
	world_unreachable(space, AT + PAGES(16), 4);
}

static void both_unmapped(void)
{
	expect_unmapped(AT, 4);
	expect_unmapped(AT + PAGES(16), 4);
}

static void test_interrupts(void **state)
{
	struct explore_case what = {
	    .name = "fault against unmap, interrupts in the middle",
	    .preemptions = 2,
	    .flags = EXPLORE_INTERRUPTS,
	    .setup = setup_table,
	    .thread = {write_second_page, unmap_all},
	    .finish = nothing_mapped,
	};
	(void)state;
	explore_holds(&what);
	what.name = "fault against protect, interrupts in the middle";
	what.thread[0] = write_absent_page;
	what.thread[1] = protect_all;
	what.finish = nothing_writable;
	explore_holds(&what);
	what.name = "unmap against unmap, interrupts in the middle";
	what.setup = setup_both;
	what.thread[0] = unmap_other;
	what.thread[1] = unmap_all;
	what.finish = both_unmapped;
	explore_holds(&what);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fault_unmap),
	    cmocka_unit_test(test_fault_unmap_part),
	    cmocka_unit_test(test_map_again),
	    cmocka_unit_test(test_reuse),
	    cmocka_unit_test(test_fault_protect),
	    cmocka_unit_test(test_fault_resize),
	    cmocka_unit_test(test_fault_decommit),
	    cmocka_unit_test(test_table_freed),
	    cmocka_unit_test(test_interrupts),
	};
	return EXPLORE_MAIN(tests, argc, argv);
}
