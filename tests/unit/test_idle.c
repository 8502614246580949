/* SPDX-License-Identifier: MIT */
/*
 * test_idle.c - CPUs that run no space any more (T8). With ids, as on AArch64 always, what
 * they have stays under the id; without, they stay on the root of the space.
 */
#include "shootdown.h"

/* CPUs that go idle keep what they have, and are not called for what is revoked meanwhile; they forget it
 * before they run the space again. Going and coming costs nothing where nothing was revoked. */
static void leaves(void **state)
{
	(void)state;
	begin(4);
	for (unsigned cpu = 1; cpu < 4; cpu++) {
		uint64_t writes = machine_counters.root_writes, value = 0;
		(void)cost();
		run(cpu, NULL);
		run(cpu, NULL);
		run(cpu, as);
		run(cpu, as);
		assert_int_equal(cost().flushes, 0);
		assert_int_equal(machine_counters.root_writes - writes, keeps_root() ? 0 : 2);
		uint64_t walks = machine_counters.walks;
		assert_true(machine_access(cpu, va, MACHINE_READ, MACHINE_USER, &value, 8).ok);
		assert_int_equal(machine_counters.walks, walks);
		run(cpu, NULL);
	}
	machine_cpu_set(0);
	(void)cost();
	unmap(as, va + PAGES(1), 3);
	called(0);
	protect(as, va + PAGES(8), 1, VMEM_READ);
	called(0);
	for (unsigned cpu = 1; cpu < 4; cpu++) {
		(void)cost();
		run(cpu, as);
		assert_int_equal(cost().calls, 0);
		assert_false(hardware(cpu, va + PAGES(2), MACHINE_READ, MACHINE_USER));
		assert_false(hardware(cpu, va + PAGES(8), MACHINE_WRITE, MACHINE_USER));
		assert_int_equal(get(as, cpu, va), 1);
	}
	machine_cpu_set(0);
	warm();
	(void)cost();
	unmap(as, va + PAGES(4), 1);
	called(3); /* they are back */
	finish();
}

/* Tables: an idle CPU may walk the ones it had, so it is called for those, once, and goes to the kernel's
 * root. */
static void tables(void **state)
{
	(void)state;
	begin(4);
	for (unsigned turn = 0; turn < 2; turn++) {
		uint64_t wide[2];
		for (unsigned i = 0; i < 2; i++) {
			wide[i] = map_at(as, (UINT64_C(1) + i) << 30, 4 * 512, RW);
			for (unsigned cpu = 0; cpu < 4; cpu++) {
				run(cpu, as);
				put(as, cpu, wide[i] + cpu * LARGE, cpu);
			}
		}
		for (unsigned cpu = 1; cpu < 4; cpu++) {
			run(cpu, NULL);
		}
		machine_cpu_set(0);
		warm();
		(void)cost();
		unmap(as, wide[0], 4 * 512);
		called(keeps_root() ? 3 : 0);
		for (unsigned cpu = 1; cpu < 4; cpu++) {
			assert_true(machine_root(cpu) != as->pmap.root_pa);
		}
		unmap(as, wide[1], 4 * 512);
		called(0);
		warm();
		step();
	}
	run(0, NULL); /* by one that is idle there itself */
	(void)cost();
	unmap(as, va + PAGES(20), 1);
	assert_true(calls_nobody() || cost().flushes == 0);
	run(0, as);
	assert_false(hardware(0, va + PAGES(20), MACHINE_READ, MACHINE_USER));
	(void)map_at(as, UINT64_C(1) << 30, 512, RW);
	put(as, 0, UINT64_C(1) << 30, 1);
	run(0, NULL);
	unmap(as, UINT64_C(1) << 30, 512);
	run(0, as);
	assert_false(hardware(0, UINT64_C(1) << 30, MACHINE_READ, MACHINE_USER));
	assert_int_equal(get(as, 0, va), 1);
	finish();
}

/* A space dies that idle CPUs keep, and that never had a table but its root. */
static void death(void **state)
{
	(void)state;
	begin(1);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		run(cpu, other);
		run(cpu, NULL);
	}
	machine_cpu_set(0);
	(void)cost();
	machine_operation();
	vmem_aspace_destroy(other);
	called(keeps_root() ? 3 : 0);
	other = space(); /* in the same memory, most likely */
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		run(cpu, other);
		assert_int_equal(machine_root(cpu), other->pmap.root_pa);
	}
	run(0, as);
	finish();
}

static void without_ids(void **state)
{
	const struct core_options options = {
	    .asid_bits = core_isa() == MACHINE_AARCH64 ? 8 : 0, .linear_level = 1};
	(void)state;
	core_start(&options);
	leaves(state);
	tables(state);
	death(state);
	core_teardown(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(leaves),
	    CORE(tables),
	    CORE(death),
	    cmocka_unit_test(without_ids),
	};
	return cmocka_run_group_tests_name("idle", tests, NULL, NULL);
}
