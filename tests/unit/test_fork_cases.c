/* SPDX-License-Identifier: MIT */
/*
 * test_fork_cases.c - forks that meet moves, and what other CPUs remember (fork.c, pmap_park.c).
 */
#include "fork_fixture.h"

#include "region.h"


static void move_away(struct vmem_aspace *which, uint64_t from, uint64_t pages, uint64_t to)
{
	const struct vmem_map map = {.length = PAGES(pages), .place = VMEM_PLACE_FIXED, .address = to};
	vmem_vaddr_t at;
	OK(vmem_vmar_move(vmem_aspace_root(which), from, PAGES(pages), &map, 0, &at));
}

/* What is shared has no keys, whatever its record says: where it lies, something that was moved away may have
 * them. A fork that leaves it out takes nothing from that, and who asks for a page's place finds it. */
static void keys_of_what_has_none(void **state)
{
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 4, RW), there = va + PAGES(32);
	fill(as, va, 4, 5);
	move_away(as, va, 4, there);
	struct vmem_object *object = anonymous(4, 0);
	const struct vmem_map map = {.length = PAGES(4),
	    .permission = RW,
	    .maximum = RW,
	    .flags = VMEM_MAP_SHARED,
	    .place = VMEM_PLACE_FIXED,
	    .address = va,
	    .object = object,
	    .attributes = VMEM_REGION_NO_FORK};
	vmem_vaddr_t at;
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &at));
	assert_ptr_equal(vmem_region_find_key(as, va >> VMEM_PAGE_SHIFT), vmem_region_find(as, there));
	struct vmem_aspace *child = fork_of(as);
	see(child, there, 4, 5);
	see(as, there, 4, 5);
	end(child);
	end(as);
	release(object);
}

/* Of three that share, the last one writes without a copy: its memory was moved before the forks, in between,
 * and after them. */
static void reused_by_the_last(void **state)
{
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 64, RW), there = va + LARGE;
	fill(as, va, 64, 1);
	move_away(as, va, 16, there);
	struct vmem_aspace *child = fork_of(as);
	move_away(child, va + PAGES(16), 16, there + PAGES(16));
	struct vmem_aspace *last = fork_of(child);
	move_away(last, va + PAGES(32), 16, there + PAGES(32));
	run(1, last);
	end(child);
	change(last, there, 1, 900); /* the first of the three still has it */
	assert_int_equal(stats_of(last).faults_copied, 1);
	see(as, there, 16, 1);
	run(0, last);
	end(as);
	see(last, there + PAGES(1), 47, 2);
	see(last, va + PAGES(48), 16, 49);
	change(last, there, 48, 1000);
	change(last, va + PAGES(48), 16, 1048);
	assert_int_equal(stats_of(last).faults_copied, 1);
	assert_int_equal(frames_now().data, 64);
	end(last);
}

/* A CPU remembers the table that a fork on another one sets aside, and fixed frames are entered into it. */
static void windows_of_other_cpus(void **state)
{
	struct vmem_object *o;
	(void)state;
	begin();
	OK(vmem_object_create_contiguous(PAGES(8), 0, 0, VMEM_WRITE_BACK, &o));
	uint64_t va = map_object(as, o, 0, 8, RW, VMEM_MAP_SHARED);
	put(as, 1, va, 1);
	machine_cpu_set(0);
	struct vmem_aspace *child = fork_of(as);
	put(as, 1, va + PAGES(3), 2);
	machine_cpu_set(0);
	run(0, child);
	assert_int_equal(get(child, 0, va), 1);
	assert_int_equal(get(child, 0, va + PAGES(3)), 2);
	end(child);
	end(as);
	release(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(keys_of_what_has_none),
	    CORE(reused_by_the_last),
	    CORE(windows_of_other_cpus),
	};
	return cmocka_run_group_tests_name("fork_cases", tests, NULL, NULL);
}
