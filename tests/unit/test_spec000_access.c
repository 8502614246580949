/* SPDX-License-Identifier: MIT */
/*
 * test_spec000_access.c - document 000, promise by promise (tests/spec/000.md): what may be done with
 * memory, by user-mode accesses and by what the page tables would let the hardware do; and what is refused.
 */
#include "spec000.h"

/*
 * Each legal protection, before a page is there and after: what is granted, and no more than hardware must
 * add.
 */
static void judge_protection(uint64_t va, uint32_t prot)
{
	unsigned may = user_may(as, va), floor = prot;
	unsigned ceiling = prot & (PROT_WRITE | PROT_EXEC) ? prot | PROT_READ
							   : prot; /* no CPU here writes without reading */
	assert_int_equal(may & floor, floor);
	assert_int_equal(may & ~ceiling, 0);
	struct machine_translation t;
	if (machine_translate(0, va, &t)) {
		assert_true((t.perm & MACHINE_PERM_UW) == 0 || prot & PROT_WRITE);
		assert_true((t.perm & MACHINE_PERM_UX) == 0 || prot & PROT_EXEC);
		assert_true((t.perm & MACHINE_PERM_UR) == 0 || prot != PROT_NONE);
	}
}

static void flags_control_access(void **state)
{
	(void)state;
	static const uint32_t legal[] = {0, 1, 2, 3, 4, 5};
	uint64_t value;
	for (unsigned i = 0; i < 6; i++) {
		uint64_t base = wx_map(0, PAGE, legal[i]);
		judge_protection(base, legal[i]);
		judge_protection(base, legal[i]);
		for (unsigned k = 0; k < 6; k++) { /* and from there to each other, with the page present */
			assert_int_equal(vmem_wx_mprotect(as, base, PAGE, PROT_RW), VMEM_OK);
			assert_int_equal(user_write(as, base, 77 + k), VMEM_FAULT_RESOLVED);
			assert_int_equal(vmem_wx_mprotect(as, base, PAGE, legal[k]), VMEM_OK);
			judge_protection(base, legal[k]);
			assert_int_equal(vmem_wx_mprotect(as, base, PAGE, legal[i]), VMEM_OK);
			judge_protection(base, legal[i]);
		}
	}
	uint64_t base = wx_map(0, PAGE, PROT_READ);
	assert_int_equal(user_read(as, base, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 0);
	assert_hardware_wx();
}

/* Writable and executable at once: refused when mapped and when changed, with a status of its own. */
static void wx_refused(void **state)
{
	(void)state;
	static const uint32_t illegal[] = {PROT_WRITE | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC};
	uint64_t out = 9;
	uint64_t rw = wx_map(HINT, 4 * PAGE, PROT_RW), rx = wx_map(0, PAGE, PROT_READ | PROT_EXEC);
	assert_int_equal(user_write(as, rw, 1), VMEM_FAULT_RESOLVED);
	for (unsigned i = 0; i < 2; i++) {
		UNCHANGED(vmem_wx_mmap(as, 0, PAGE, illegal[i], &out), VMEM_ERR_WX);
		UNCHANGED(vmem_wx_mmap(as, HINT + 16 * PAGE, PAGE, illegal[i], &out), VMEM_ERR_WX);
		UNCHANGED(vmem_wx_mmap(as, HINT, PAGE, illegal[i], &out), VMEM_ERR_WX);
		UNCHANGED(vmem_wx_mprotect(as, rw, PAGE, illegal[i]), VMEM_ERR_WX);
		UNCHANGED(vmem_wx_mprotect(as, rw, 4 * PAGE, illegal[i]), VMEM_ERR_WX);
		UNCHANGED(vmem_wx_mprotect(as, rx, PAGE, illegal[i]), VMEM_ERR_WX);
	}
	assert_int_equal(out, 9);
	struct vmem_aspace_config plain = {.wx = false};
	struct vmem_aspace *without;
	assert_int_equal(vmem_aspace_create(&plain, &without), VMEM_OK);
	assert_int_equal(vmem_wx_mmap(without, 0, PAGE, PROT_RW, &out), VMEM_ERR_INVALID);
	vmem_aspace_destroy(without);
}

/*
 * The hardware never grants both, whatever came before: every change of protection with the page present,
 * on two CPUs.
 */
static void wx_absent_from_hardware(void **state)
{
	(void)state;
	static const uint32_t steps[] = {3, 1, 5, 4, 0, 2, 5, 3, 4, 3, 0, 5, 1, 3, 5, 2, 4, 1, 5, 0, 3};
	uint64_t base = wx_map(HINT, 8 * PAGE, PROT_RW), value;
	run(1, as);
	machine_cpu_set(0);
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_int_equal(vmem_wx_mprotect(as, base + (i % 3) * PAGE, 4 * PAGE, steps[i]), VMEM_OK);
		for (unsigned page = 0; page < 8; page++) {
			uint32_t prot = region_of(base).permission, word;
			struct vmem_region_info info;
			assert_true(vmem_region_next(as, base + page * PAGE, &info));
			prot = info.permission;
			for (unsigned cpu = 0; cpu < 2; cpu++) {
				machine_cpu_set(cpu);
				bool wrote = user_write(as, base + page * PAGE, i) == VMEM_FAULT_RESOLVED;
				bool ran = user_exec(as, base + page * PAGE, &word) == VMEM_FAULT_RESOLVED;
				(void)user_read(as, base + page * PAGE, &value);
				assert_int_equal(wrote, (prot & PROT_WRITE) != 0);
				assert_int_equal(ran, (prot & PROT_EXEC) != 0);
			}
		}
		machine_cpu_set(0);
		assert_hardware_wx();
		step();
	}
	run(1, NULL);
	machine_cpu_set(0);
}

/*
 * The way to run code: writable, write, read and execute by a call of its own. What runs is what was
 * written.
 */
static void code_write_then_execute(void **state)
{
	(void)state;
	uint64_t base = wx_map(0, 2 * PAGE, PROT_RW), value;
	uint32_t word;
	for (uint32_t round = 1; round < 4; round++) {
		for (uint64_t at = 0; at < 2 * PAGE; at += 1024) {
			assert_int_equal(user_write(as, base + at, at + round), VMEM_FAULT_RESOLVED);
		}
		assert_int_equal(user_exec(as, base, &word), VMEM_FAULT_PERMISSION);
		assert_int_equal(vmem_wx_mprotect(as, base, 2 * PAGE, PROT_READ | PROT_EXEC), VMEM_OK);
		for (uint64_t at = 0; at < 2 * PAGE; at += 1024) {
			assert_int_equal(user_exec(as, base + at, &word), VMEM_FAULT_RESOLVED);
			assert_int_equal(word, at + round);
			assert_int_equal(user_read(as, base + at, &value), VMEM_FAULT_RESOLVED);
			assert_int_equal(value, at + round);
			assert_int_equal(user_write(as, base + at, 0), VMEM_FAULT_PERMISSION);
		}
		assert_hardware_wx();
		assert_int_equal(vmem_wx_mprotect(as, base, 2 * PAGE, PROT_RW), VMEM_OK);
	}
}

/*
 * No bytes: refused, and nothing is there. So is a length that no rounding can hold, and what fits
 * nowhere.
 */
static void zero_length(void **state)
{
	(void)state;
	uint64_t out = 9;
	(void)wx_map(HINT, PAGE, PROT_RW);
	UNCHANGED(vmem_wx_mmap(as, 0, 0, PROT_RW, &out), VMEM_ERR_INVALID);
	UNCHANGED(vmem_wx_mmap(as, HINT, 0, PROT_RW, &out), VMEM_ERR_INVALID);
	UNCHANGED(vmem_wx_mmap(as, HINT + PAGE, 0, PROT_NONE, &out), VMEM_ERR_INVALID);
	UNCHANGED(vmem_wx_mmap(as, 0, UINT64_MAX, PROT_RW, &out), VMEM_ERR_INVALID);
	UNCHANGED(vmem_wx_mmap(as, 0, UINT64_MAX - PAGE + 2, PROT_RW, &out), VMEM_ERR_INVALID);
	UNCHANGED(vmem_wx_mmap(as, 0, UINT64_MAX - PAGE + 1, PROT_RW, &out), VMEM_ERR_NO_SPACE);
	UNCHANGED(vmem_wx_mmap(as, HINT, vmem_aspace_user_size(), PROT_RW, &out), VMEM_ERR_NO_SPACE);
	assert_int_equal(out, 9);
}

/* The mask has three bits; every other one is refused, alone and beside them. */
static void unknown_bits(void **state)
{
	(void)state;
	uint64_t out = 9, base = wx_map(HINT, PAGE, PROT_RW);
	for (unsigned bit = 3; bit < 32; bit++) {
		uint32_t prot = UINT32_C(1) << bit;
		UNCHANGED(vmem_wx_mmap(as, 0, PAGE, prot, &out), VMEM_ERR_INVALID);
		UNCHANGED(vmem_wx_mmap(as, 0, PAGE, prot | PROT_RW, &out), VMEM_ERR_INVALID);
		UNCHANGED(vmem_wx_mprotect(as, base, PAGE, prot | PROT_READ), VMEM_ERR_INVALID);
	}
	assert_int_equal(out, 9);
}

static void prot_read(void **state)
{
	(void)state;
	uint64_t base = wx_map(0, PAGE, PROT_READ);
	allows(base, VMEM_FAULT_RESOLVED, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION);
	allows(base + PAGE - 8, VMEM_FAULT_RESOLVED, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION);
}

static void prot_write(void **state)
{
	(void)state;
	uint64_t base = wx_map(0, PAGE, PROT_RW), only = wx_map(0, PAGE, PROT_WRITE), value;
	uint32_t word;
	allows(base, VMEM_FAULT_RESOLVED, VMEM_FAULT_RESOLVED, VMEM_FAULT_PERMISSION);
	assert_int_equal(user_write(as, base + 8, 5), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_read(as, base + 8, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 5);
	assert_int_equal(user_write(as, only, 5), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_exec(as, only, &word), VMEM_FAULT_PERMISSION);
}

static void prot_exec(void **state)
{
	(void)state;
	uint64_t base = wx_map(0, PAGE, PROT_READ | PROT_EXEC), only = wx_map(0, PAGE, PROT_EXEC);
	uint32_t word = 1;
	allows(base, VMEM_FAULT_RESOLVED, VMEM_FAULT_PERMISSION, VMEM_FAULT_RESOLVED);
	assert_int_equal(user_exec(as, only, &word), VMEM_FAULT_RESOLVED);
	assert_int_equal(word, 0);
	assert_int_equal(user_write(as, only, 1), VMEM_FAULT_PERMISSION);
}

/*
 * A guard: the addresses are taken, and nothing of them can be reached, by the tables of the hardware
 * either.
 */
static void prot_none(void **state)
{
	(void)state;
	uint64_t base = wx_map(HINT, 3 * PAGE, PROT_NONE), value;
	struct machine_translation t;
	allows(base, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION);
	assert_int_not_equal(wx_map(HINT, PAGE, PROT_RW), base);
	uint64_t rw = wx_map(HINT + 16 * PAGE, 3 * PAGE, PROT_RW);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(user_write(as, rw + i * PAGE, 9), VMEM_FAULT_RESOLVED);
	}
	assert_int_equal(vmem_wx_mprotect(as, rw + PAGE, PAGE, PROT_NONE), VMEM_OK);
	allows(rw + PAGE, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION);
	assert_true(!machine_translate(0, rw + PAGE, &t) || (t.perm & 7) == 0);
	assert_int_equal(user_read(as, rw, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_read(as, rw + 2 * PAGE, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(
	    vmem_wx_mprotect(as, rw + PAGE, PAGE, PROT_READ), VMEM_OK); /* what it held is kept */
	assert_int_equal(user_read(as, rw + PAGE, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 9);
}

/* An error changes nothing, whatever stage it comes from: a record that cannot be had, a quota, no room. */
static void errors_change_nothing(void **state)
{
	(void)state;
	uint64_t out = 9, base = wx_map(HINT, 8 * PAGE, PROT_RW);
	for (uint64_t i = 0; i < 8; i++) {
		assert_int_equal(user_write(as, base + i * PAGE, i), VMEM_FAULT_RESOLVED);
	}
	UNCHANGED(vmem_wx_mprotect(as, HINT + 7 * PAGE, 2 * PAGE, PROT_READ), VMEM_ERR_NOT_FOUND);
	UNCHANGED(vmem_wx_mprotect(as, HINT, 0, PROT_READ), VMEM_ERR_INVALID);
	UNCHANGED(vmem_wx_munmap(as, HINT, 0), VMEM_ERR_INVALID);
	UNCHANGED(vmem_wx_munmap(as, UINT64_MAX - 10, 100), VMEM_ERR_RANGE);
	UNCHANGED(vmem_wx_munmap(as, UINT64_MAX - 4 * PAGE, PAGE), VMEM_ERR_RANGE);
	static struct layout before, after;
	vmem_status_t status = VMEM_OK;
	for (unsigned n = 0; n < 100 && status == VMEM_OK;
	     n++) { /* until a record needs a frame that cannot be had */
		layout_take(&before);
		machine_fail_at(1);
		status = vmem_wx_mmap(as, 0, PAGE, PROT_READ, &out);
		machine_fail_at(0);
	}
	assert_int_equal(status, VMEM_ERR_NO_MEMORY);
	layout_take(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	struct vmem_aspace_config few = {.wx = true, .max_regions = 2};
	struct vmem_aspace *small;
	assert_int_equal(vmem_aspace_create(&few, &small), VMEM_OK);
	assert_int_equal(vmem_wx_mmap(small, HINT, PAGE, PROT_READ, &out), VMEM_OK);
	assert_int_equal(vmem_wx_mmap(small, HINT + 8 * PAGE, PAGE, PROT_READ, &out), VMEM_OK);
	assert_int_equal(vmem_wx_mmap(small, HINT + 16 * PAGE, PAGE, PROT_READ, &out), VMEM_ERR_LIMIT);
	vmem_aspace_destroy(small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(flags_control_access),
	    CASE(wx_refused),
	    CASE(wx_absent_from_hardware),
	    CASE(code_write_then_execute),
	    CASE(zero_length),
	    CASE(unknown_bits),
	    CASE(prot_read),
	    CASE(prot_write),
	    CASE(prot_exec),
	    CASE(prot_none),
	    CASE(errors_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
