/* SPDX-License-Identifier: MIT */
/*
 * test_fork_moves.c - memory that moves between forks: what they have set aside goes along (pmap_move.c, V4),
 * and each side keeps what it had; and memory that a walk by regions has to reach (fork.c).
 */
#include "fork_fixture.h"


/* What a fork has set aside goes along with what moves, and nobody writes to what both have. */
static void moved_windows(void **state)
{
	vmem_vaddr_t to = BASE + 8 * LARGE;
	(void)state;
	begin();
	uint64_t va = map_at(as, BASE, 1536, RW);
	fill(as, va, 1500, 1);
	struct vmem_aspace *child = fork_of(as);
	const struct vmem_map target = {.length = PAGES(1536), .place = VMEM_PLACE_FIXED, .address = to};
	run(0, as);
	run(1, as);
	OK(vmem_vmar_move(vmem_aspace_root(as), va, PAGES(1536), &target, 0, &to));
	assert_int_equal(stats_of(as).resident, 1500);
	uint64_t faults = stats_of(as).faults;
	for (unsigned i = 0; i < 1500; i += 50) {
		assert_true(hardware(0, to + PAGES(i), MACHINE_READ, MACHINE_USER));
		assert_false(hardware(1, to + PAGES(i), MACHINE_WRITE, MACHINE_USER));
		assert_false(hardware(1, va + PAGES(i), MACHINE_READ, MACHINE_USER));
	}
	assert_int_equal(stats_of(as).faults, faults);
	change(as, to, 700, 5000);
	see(child, va, 1500, 1);
	struct vmem_aspace *second = fork_of(as); /* of what has moved */
	change(as, to + PAGES(690), 20, 9000);
	see(second, to, 700, 5000);
	see(second, to + PAGES(700), 800, 701);
	end(child);
	change(second, to + PAGES(1000), 100, 1);
	see(as, to + PAGES(710), 790, 711);
	see(as, to + PAGES(690), 20, 9000);
	/* back, while parked; then the other one has gone, and all can be written */
	struct vmem_aspace *third = fork_of(as);
	const struct vmem_map home = {.length = PAGES(1536), .place = VMEM_PLACE_FIXED, .address = va};
	run(0, as);
	OK(vmem_vmar_move(vmem_aspace_root(as), to, PAGES(1536), &home, 0, &to));
	end(third);
	end(second);
	see(as, va + PAGES(710), 790, 711);
	change(as, va, 1500, 3);
	see(as, va, 1500, 3);
	end(as);
}

/* What is mapped is found behind gigabytes that nobody has touched, and behind a part that is kept. */
static void far_and_cut(void **state)
{
	const uint64_t giga = UINT64_C(1) << 30;
	as = space();
	(void)state;
	run(0, as);
	uint64_t far = map_at(as, giga, 3 * (giga / PAGE), RW) + giga + 5 * LARGE;
	struct vmem_map ring = {.length = PAGES(10),
	    .permission = RW,
	    .maximum = RW,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE / 2,
	    .attributes = VMEM_REGION_NO_FORK};
	vmem_vaddr_t at;
	OK(vmem_vmar_map(vmem_aspace_root(as), &ring, &at));
	uint64_t behind = map_at(as, at + PAGES(10), 1300, RW);
	fill(as, far, 4, 1);
	fill(as, at, 10, 100);
	fill(as, behind, 1300, 200);
	struct vmem_aspace *child = fork_of(as);
	assert_false(hardware(0, far, MACHINE_WRITE, MACHINE_USER));
	change(as, far, 4, 5000);
	change(as, behind, 1300, 6000);
	see(child, far, 4, 1);
	see(child, behind, 1300, 200);
	see(as, at, 10, 100);
	end(child);
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(moved_windows),
	    CORE(far_and_cut),
	};
	return cmocka_run_group_tests_name("fork_moves", tests, NULL, NULL);
}
