/* SPDX-License-Identifier: MIT */
/*
 * test_contig_kernel.c - contiguous runs in the kernel's half (K4), and those of the host in the direct map
 * (D3). Each access is one by the hardware in supervisor mode: a fault there is a crash, however spurious.
 */
#include "contig.h"

#include "arch.h"
#include "raw.h"

#define ON_ALL(condition)                                                                                    \
	do {                                                                                                 \
		for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {                                \
			assert_true(condition);                                                              \
		}                                                                                            \
	} while (0)

/* With a linear map of leaves of a level; splits: of a CPU that can split and unfold live ones. The AArch64
 * backend claims that of none, so the claim is made here. With this much RAM the linear map is at 32 MiB. */
static void start(unsigned linear_level, bool splits)
{
	const struct core_options options = {.asid_bits = -1,
	    .add = splits ? MACHINE_LIVE_SPLIT : 0,
	    .linear_level = linear_level,
	    .ram = UINT64_C(80) << 20};
	core_start(&options);
	vmem_mmu.features |= splits ? (unsigned)MMU_LIVE_SPLIT : 0;
	warm();
}

static bool k(unsigned cpu, const void *at, enum machine_access_kind kind)
{
	return hardware(cpu, (uintptr_t)at, kind, MACHINE_SUPERVISOR);
}

static char *device(uint64_t offset, uint64_t pages, unsigned permission)
{
	void *at = NULL;
	OK(vmem_kernel_map(
	    machine_config()->device.start + offset, PAGES(pages), permission, VMEM_UNCACHED, &at));
	return at;
}

static void give(void *at)
{
	machine_operation();
	vmem_kernel_free(at);
	step();
}

/* Wired and eager: every CPU reaches every page at once, whatever it had cached of the absence. */
static void made(void **state)
{
	struct machine_translation t;
	(void)state;
	char *before = device(0, 1, RW);
	ON_ALL(!k(cpu, before + PAGES(2 * RUN + 5), MACHINE_READ));
	warm();
	char *a = device(0, 2 * RUN + 3, RW);
	assert_int_equal(members((uintptr_t)a, 2 * RUN + 3), if_runs(2 * RUN, 0));
	if (has_runs()) {
		assert_int_equal((uintptr_t)a % PAGES(RUN), 0);
	}
	for (unsigned i = 0; i < 2 * RUN + 3; i++) {
		assert_true(k(i % 4, a + PAGES(i), MACHINE_WRITE));
		assert_true(machine_translate(0, (uintptr_t)a + PAGES(i), &t));
		assert_int_equal(t.pa, machine_config()->device.start + PAGES(i));
		assert_true(t.global && t.type == MACHINE_UC);
	}
	ON_ALL(!k(cpu, a + PAGES(2 * RUN + 3), MACHINE_READ));
	warm();
	give(a);
	ON_ALL(!k(cpu, a, MACHINE_READ) && !k(cpu, a + PAGES(RUN + 7), MACHINE_READ));
	a = device(PAGE, 2 * RUN, RW); /* begins inside of what could be one */
	for (unsigned i = 0; i < 2 * RUN; i++) {
		assert_true(k(i % 4, a + PAGES(i), MACHINE_WRITE));
	}
	give(a);
	a = device(0, RUN - 1, RW); /* too short */
	assert_int_equal(members((uintptr_t)a, RUN - 1), 0);
	give(a);
	give(before);
}

/* A part is not changed, as of a large leaf; the whole is, for all CPUs, and in place. */
static void protection(void **state)
{
	(void)state;
	char *a = device(0, 3 * RUN + 2, RW);
	if (has_runs() && core_isa() == MACHINE_AARCH64) { /* no live split there */
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_protect(a, PAGE, VMEM_READ));
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_protect(a + PAGES(RUN - 1), PAGE, VMEM_READ));
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_protect(a + PAGE, PAGES(2 * RUN - 1), VMEM_READ));
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_protect(a, PAGES(2 * RUN - 1), VMEM_READ));
		REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_protect(a, PAGES(2 * RUN + 1), VMEM_READ));
	}
	for (unsigned round = 0; round < 2; round++) {
		warm();
		OK(vmem_kernel_protect(a + PAGES(RUN), PAGES(2 * RUN + 1), VMEM_READ));
		ON_ALL(!k(cpu, a + PAGES(RUN), MACHINE_WRITE) && !k(cpu, a + PAGES(3 * RUN), MACHINE_WRITE));
		ON_ALL(!k(cpu, a + PAGES(2 * RUN + 9), MACHINE_WRITE) &&
		       k(cpu, a + PAGES(RUN + 9), MACHINE_READ));
		ON_ALL(k(cpu, a + PAGES(RUN - 1), MACHINE_WRITE) &&
		       k(cpu, a + PAGES(3 * RUN + 1), MACHINE_WRITE));
		assert_int_equal(members((uintptr_t)a, 3 * RUN + 2), if_runs(3 * RUN, 0));
		warm();
		OK(vmem_kernel_protect(a + PAGES(RUN), PAGES(2 * RUN), RW));
		for (unsigned i = 0; i < 3 * RUN; i++) {
			assert_true(k(i % 4, a + PAGES(i), MACHINE_WRITE));
		}
		OK(vmem_kernel_protect(a, PAGES(3 * RUN + 2), RW));
		ON_ALL(k(cpu, a + PAGES(3 * RUN), MACHINE_WRITE));
	}
	assert_int_equal(members((uintptr_t)a, 3 * RUN + 2), if_runs(3 * RUN, 0));
	warm();
	give(a);
	ON_ALL(!k(cpu, a + PAGES(RUN + 1), MACHINE_READ));
}

/* A part of a run: where a live leaf may be split the run is unfolded, and its neighbours stay. */
static void part(void **state)
{
	(void)state;
	if (core_isa() == MACHINE_AARCH64) {
		return; /* refused: see above */
	}
	char *a = device(0, 3 * RUN + 2, RW);
	warm();
	OK(vmem_kernel_protect(a + PAGE, PAGE, VMEM_READ));
	assert_int_equal(members((uintptr_t)a, 3 * RUN + 2), if_runs(2 * RUN, 0));
	ON_ALL(k(cpu, a, MACHINE_WRITE) && !k(cpu, a + PAGE, MACHINE_WRITE));
	ON_ALL(k(cpu, a + PAGES(2), MACHINE_WRITE));
	ON_ALL(k(cpu, a + PAGES(RUN - 1), MACHINE_WRITE) && k(cpu, a + PAGES(RUN), MACHINE_WRITE));
	warm();
	/* one whole, and a part of the next */
	OK(vmem_kernel_protect(a + PAGES(RUN), PAGES(RUN + 3), VMEM_READ));
	assert_int_equal(members((uintptr_t)a, 3 * RUN + 2), if_runs(RUN, 0));
	ON_ALL(!k(cpu, a + PAGES(2 * RUN + 2), MACHINE_WRITE));
	ON_ALL(k(cpu, a + PAGES(2 * RUN + 3), MACHINE_WRITE));
	ON_ALL(!k(cpu, a + PAGES(RUN), MACHINE_WRITE) && k(cpu, a + PAGES(3 * RUN + 1), MACHINE_WRITE));
	warm();
	OK(vmem_kernel_protect(a, PAGES(3 * RUN + 2), RW));
	ON_ALL(k(cpu, a + PAGE, MACHINE_WRITE) && k(cpu, a + PAGES(2 * RUN), MACHINE_WRITE));
	give(a);
}

/* RAM of the host's as code: all pages of a run are in step with instruction fetch. */
static void code(void **state)
{
	void *at;
	vmem_paddr_t pa;
	(void)state;
	OK(vmem_frame_alloc_run(RUN, PAGES(RUN), 0, &pa));
	OK(vmem_kernel_map(pa, PAGES(RUN), RW, VMEM_WRITE_BACK, &at));
	char *a = at;
	assert_int_equal(members((uintptr_t)a, RUN), if_runs(RUN, 0));
	for (uint64_t round = 1; round < 3; round++) {
		for (uint64_t i = 0; i < RUN; i++) {
			uint64_t word = round << 32 | i;
			assert_true(
			    machine_access(1, (uintptr_t)a + PAGES(i), MACHINE_WRITE, 0, &word, 8).ok);
		}
		warm();
		OK(vmem_kernel_protect(a, PAGES(RUN), RX));
		for (uint64_t i = 0; i < RUN; i++) {
			uint64_t word = 0, va = (uintptr_t)a + PAGES(i);
			assert_true(machine_access(i % 4, va, MACHINE_EXEC, 0, &word, 4).ok);
			assert_int_equal(word, i);
			assert_false(k(i % 4, a + PAGES(i), MACHINE_WRITE));
		}
		step();
		OK(vmem_kernel_protect(a, PAGES(RUN), RW));
		step();
	}
	give(a);
	vmem_frame_free_run(pa, RUN);
}

static void no_memory(void **state)
{
	void *at;
	(void)state;
	SWEEP(0, vmem_kernel_map(
		     machine_config()->device.start, PAGES(2 * RUN + 1), RW, VMEM_UNCACHED, &at));
	assert_int_equal(members((uintptr_t)at, 2 * RUN + 1), if_runs(2 * RUN, 0));
	give(at);
}

/* RAM with another attribute: out of the direct map, and back. */
static void odd_attribute(void **state)
{
	struct machine_translation t;
	vmem_paddr_t pa;
	void *at;
	(void)state;
	start(0, false);
	OK(vmem_frame_alloc_run(RUN, PAGES(RUN), 0, &pa));
	warm();
	OK(vmem_kernel_map(pa, PAGES(RUN), RW, VMEM_WRITE_COMBINING, &at));
	assert_int_equal(members((uintptr_t)at, RUN), if_runs(RUN, 0));
	assert_true(machine_translate(0, (uintptr_t)at + PAGES(3), &t));
	assert_true(t.type == MACHINE_WC && t.pa == pa + PAGES(3));
	ON_ALL(k(cpu, (char *)at + PAGES(9), MACHINE_WRITE));
	assert_false(machine_translate(0, machine_linear(pa + PAGES(3)), &t));
	warm();
	give(at);
	assert_true(machine_translate(0, machine_linear(pa + PAGES(3)), &t));
	vmem_frame_free_run(pa, RUN);
	core_teardown(NULL);
}

/* The host makes its own linear map of [pa, 16 leaves of a level) a run, as its manual wants it. */
static void fold_linear(uint64_t pa, unsigned level)
{
	uint64_t *slot[RUN], raw[RUN];
	for (unsigned i = 0; i < RUN; i++) {
		slot[i] = raw_slot(
		    machine_kernel_root(), machine_linear(pa) + ((uint64_t)i << (12 + 9 * level)), level);
		raw[i] = *slot[i];
		*slot[i] = 0;
	}
	for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {
		raw_flush_all(cpu);
	}
	for (unsigned i = 0; i < RUN; i++) {
		*slot[i] = core_isa() == MACHINE_RISCV
			       ? (raw[i] & ~(UINT64_C(15) << 10)) | UINT64_C(8) << 10 | run_bit()
			       : raw[i] | run_bit();
	}
	machine_operation();
	warm();
	step();
}

/* One page of a run of the host's leaves the direct map: its neighbours stay where they are. */
static void direct_map_run(void **state)
{
	struct machine_translation t;
	vmem_paddr_t pa;
	void *at;
	(void)state;
	start(0, core_isa() == MACHINE_AARCH64);
	OK(vmem_frame_alloc_run(RUN, PAGES(RUN), 0, &pa));
	if (has_runs()) {
		fold_linear(pa, 0);
		assert_int_equal(members(machine_linear(pa), RUN), RUN);
	}
	OK(vmem_kernel_map(pa + PAGES(6), PAGE, RW, VMEM_WRITE_COMBINING, &at));
	assert_int_equal(members(machine_linear(pa), RUN), 0);
	for (unsigned i = 0; i < RUN; i++) {
		bool there = machine_translate(1, machine_linear(pa) + PAGES(i), &t);
		assert_int_equal(there, i != 6);
		assert_true(!there || t.pa == pa + PAGES(i));
	}
	warm();
	give(at);
	assert_true(machine_translate(1, machine_linear(pa) + PAGES(6), &t) && t.pa == pa + PAGES(6));
	vmem_frame_free_run(pa, RUN);
	core_teardown(NULL);
}

/* Where the CPU would want a break of what the kernel runs on, it is refused, and nothing has changed. */
static void direct_map_refused(void **state)
{
	vmem_paddr_t pa;
	void *at;
	(void)state;
	if (core_isa() != MACHINE_AARCH64) {
		return;
	}
	start(0, false);
	OK(vmem_frame_alloc_run(RUN, PAGES(RUN), 0, &pa));
	fold_linear(pa, 0);
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_kernel_map(pa + PAGES(6), PAGE, RW, VMEM_WRITE_COMBINING, &at));
	assert_int_equal(members(machine_linear(pa), RUN), RUN);
	vmem_frame_free_run(pa, RUN);
	core_teardown(NULL);
}

/* The same with 16 large leaves: they are unfolded, and one of them is split. */
static void direct_map_large_run(void **state)
{
	struct machine_translation t;
	vmem_paddr_t pa;
	void *at;
	(void)state;
	if (core_isa() != MACHINE_AARCH64) {
		return;
	}
	start(1, true);
	uint64_t base = machine_config()->ram[0].start;
	OK(vmem_frame_alloc_run(RUN, PAGES(RUN), base + (UINT64_C(32) << 20), &pa));
	assert_int_equal(machine_linear(base) % (RUN * LARGE), 0);
	fold_linear(base, 1);
	OK(vmem_kernel_map(pa + PAGES(6), PAGE, RW, VMEM_WRITE_COMBINING, &at));
	for (unsigned i = 0; i < RUN; i++) {
		uint64_t va = machine_linear(base) + i * LARGE;
		bool here = pa - base - i * LARGE < LARGE;
		assert_true(machine_translate(2, va, &t));
		assert_int_equal(t.level, here ? 0 : 1);
		assert_true((t.raw & run_bit()) == 0 && t.pa == base + i * LARGE);
	}
	assert_false(machine_translate(2, machine_linear(pa) + PAGES(6), &t));
	give(at);
	vmem_frame_free_run(pa, RUN);
	core_teardown(NULL);
}

/* The validator panics while an entry is another one than it was. */
static void caught(const void *at, unsigned level, uint64_t change, bool absent)
{
	uint64_t *volatile slot = raw_slot(machine_kernel_root(), (uintptr_t)at, level);
	volatile uint64_t right = *slot;
	*slot = absent ? 0 : right ^ change;
	PANICS("internal: P8", vmem_aspace_check(vmem_kernel_aspace()));
	*slot = right;
}

static void checked(void **state)
{
	void *large;
	(void)state;
	if (!has_runs()) {
		return;
	}
	char *a = device(0, RUN, RW);
	caught(a, 0, 0, true);
	caught(a + PAGES(RUN - 1), 0, 0, true);
	unsigned global = core_isa() == MACHINE_AARCH64 ? 11 : 5;
	caught(a + PAGES(RUN - 1), 0, UINT64_C(1) << global, false);
	OK(vmem_kernel_map(UINT64_C(1) << 34, LARGE, RW, VMEM_UNCACHED, &large));
	caught(large, 1, run_bit(), false);
	give(large);
	give(a);
}

/* Without Svnapot nothing of this is seen. */
static void without(void **state)
{
	const struct core_options options = {.asid_bits = -1, .remove = MACHINE_SVNAPOT};
	if (core_isa() != MACHINE_RISCV) {
		return;
	}
	core_start(&options);
	made(state);
	protection(state);
	core_teardown(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(made),
	    CORE(protection),
	    CORE(part),
	    CORE(code),
	    CORE(no_memory),
	    cmocka_unit_test(odd_attribute),
	    CORE(checked),
	    cmocka_unit_test(direct_map_run),
	    cmocka_unit_test(direct_map_refused),
	    cmocka_unit_test(direct_map_large_run),
	    cmocka_unit_test(without),
	};
	return cmocka_run_group_tests_name("contig_kernel", tests, NULL, NULL);
}
