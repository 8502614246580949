/* SPDX-License-Identifier: MIT */
/*
 * test_machine_reach.c - how far each invalidation of each ISA reaches, and how far not; ids, and absences
 * that are cached.
 */
#include "machine_fixture.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Two spaces and a global page, all cached on CPU 0 under ids 1 and 2, 2 the current one. */
struct reach {
	uint64_t other, *first, *second, *global;
};

static bool is_cached(uint64_t va)
{
	unsigned walks = (unsigned)machine_counters.walks;
	uint64_t value;
	(void)machine_access(0, va, MACHINE_READ, MACHINE_SUPERVISOR, &value, 8);
	return machine_counters.walks == walks;
}

static struct reach set_up_reach(void)
{
	struct machine_range area = machine_kernel_area();
	struct reach reach;
	uint64_t value, kernel = isa() == MACHINE_AARCH64 ? machine_kernel_root() : root;
	reach.global = raw_map(kernel, area.start, machine_page(), 0, RAW_R | RAW_GLOBAL | RAW_ACCESSED);
	reach.other = new_root();
	if (isa() != MACHINE_AARCH64) {
		memcpy(machine_ram(reach.other + 2048), machine_ram(root + 2048), 2048);
	}
	reach.first = raw_map(root, VA, machine_page(), 0, RAW_USUAL);
	reach.second = raw_map(reach.other, VA, machine_page(), 0, RAW_USUAL);
	raw_switch(0, root, 1);
	assert_true(load(0, VA, &value).ok);
	raw_switch(0, reach.other, 2);
	assert_true(load(0, VA, &value).ok);
	assert_true(machine_access(0, area.start, MACHINE_READ, MACHINE_SUPERVISOR, &value, 8).ok);
	return reach;
}

/*
 * What is left cached: 1 the first space's leaf, 2 the second's, 4 the global one. Walks what is not, so
 * ask once.
 */
static unsigned left(const struct reach *reach)
{
	unsigned cached = is_cached(machine_kernel_area().start) ? 4 : 0;
	cached |= is_cached(VA) ? 2 : 0;
	raw_switch(0, root, 1);
	cached |= is_cached(VA) ? 1 : 0;
	raw_switch(0, reach->other, 2);
	return cached;
}

static void test_x86_reach(void **state)
{
	uint64_t area = machine_kernel_area().start;
	struct reach reach = set_up_reach();
	(void)state;
	assert_int_equal(left(&reach), 7);
	x86_invlpg(0, VA);
	assert_int_equal(left(&reach), 5);
	x86_invlpg(0, area);
	assert_int_equal(left(&reach), 3);
	x86_invpcid(0, X86_INVPCID_ADDRESS, 1, VA);
	assert_int_equal(left(&reach), 6);
	x86_invpcid(0, X86_INVPCID_ADDRESS, 2, area); /* never a global one */
	assert_int_equal(left(&reach), 7);
	x86_invpcid(0, X86_INVPCID_CONTEXT, 2, 0);
	assert_int_equal(left(&reach), 5);
	x86_invpcid(0, X86_INVPCID_ALL_NON_GLOBAL, 0, 0);
	assert_int_equal(left(&reach), 4);
	x86_invpcid(0, X86_INVPCID_ALL, 0, 0);
	assert_int_equal(left(&reach), 0);
	x86_write_cr3(0, reach.other | 2);
	assert_int_equal(left(&reach), 5);
	x86_write_cr3(0, reach.other | 2 | BIT(63));
	assert_int_equal(left(&reach), 7);
	x86_write_cr4(0, x86_read_cr4(0) & ~X86_CR4_PGE);
	assert_int_equal(left(&reach), 0);
	assert_clean();
}

static void test_x86_invlpg_drops_tables_of_one_id(void **state)
{
	struct reach reach = set_up_reach();
	(void)state;
	unsigned before = machine_cached(0);
	x86_invlpg(0, VA + (UINT64_C(1) << 40));	 /* no leaf there: but all upper entries of id 2 */
	assert_int_equal(before - machine_cached(0), 6); /* three to VA, three to the global page */
	assert_int_equal(left(&reach), 7);
	assert_clean();
}

static void test_x86_without_ids(void **state)
{
	struct machine_config config = machine_default(MACHINE_X86_64);
	uint64_t value;
	(void)state;
	config.asid_bits = 0;
	start_with(&config);
	raw_map(root, VA, machine_page(), 0, RAW_USUAL);
	assert_true(load(0, VA, &value).ok);
	raw_switch(0, root, 0);
	assert_false(is_cached(VA));
	assert_clean();
	x86_write_cr3(0, root | BIT(63));
	assert_only(MACHINE_BAD_ID);
	machine_violations_clear();
	x86_write_cr4(0, x86_read_cr4(0) | X86_CR4_PCIDE);
	assert_only(MACHINE_MISUSE);
	machine_destroy();
}

static void test_x86_set_up_like_the_first(void **state)
{
	(void)state;
	x86_write_pat(1, 0);
	raw_switch(1, root, 1);
	assert_only(MACHINE_MISUSE);
}

static void test_arm_reach(void **state)
{
	uint64_t area = machine_kernel_area().start;
	uint64_t va = VA >> 12, kernel = area >> 12 & ((UINT64_C(1) << 44) - 1);
	struct reach reach = set_up_reach();
	(void)state;
	static const struct {
		enum arm_tlbi op;
		bool of_kernel;
		uint64_t id;
		unsigned left;
	} cases[] = {
	    {ARM_TLBI_VALE1, false, 1, 6},
	    {ARM_TLBI_VALE1, false, 2, 5},
	    {ARM_TLBI_VAE1, false, 2, 5},
	    {ARM_TLBI_VALE1, true, 7, 3}, /* a global leaf goes by any id */
	    {ARM_TLBI_VAALE1, false, 7, 4},
	    {ARM_TLBI_VAAE1, false, 7, 4},
	    {ARM_TLBI_VAALE1, true, 7, 3},
	    {ARM_TLBI_ASIDE1, false, 1, 6},
	    {ARM_TLBI_ASIDE1, false, 2, 5},
	    {ARM_TLBI_VMALLE1, false, 0, 0},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)left(&reach); /* walks what went last time */
		assert_int_equal(left(&reach), 7);
		arm_tlbi(1, cases[i].op, true, (cases[i].of_kernel ? kernel : va) | cases[i].id << 48);
		assert_int_equal(left(&reach), 7); /* not yet */
		arm_dsb(1, false);
		assert_int_equal(left(&reach), 7); /* not by that one */
		arm_dsb(1, true);
		if (left(&reach) != cases[i].left) {
			fail_msg("case %u", i);
		}
	}
	assert_int_equal(left(&reach), 7);
	arm_tlbi(1, ARM_TLBI_VMALLE1, false, 0); /* another CPU's own */
	arm_dsb(1, true);
	assert_int_equal(left(&reach), 7);
	assert_clean();
}

static void test_arm_tables_stay(void **state)
{
	uint64_t value;
	(void)state;
	raw_map(root, VA, machine_page(), 0, RAW_USUAL);
	assert_true(load(0, VA, &value).ok);
	assert_int_equal(machine_cached(0), 4);
	arm_tlbi(0, ARM_TLBI_VALE1, true, VA >> 12 | BIT(48));
	arm_dsb(0, true);
	assert_int_equal(machine_cached(0), 3);
	arm_tlbi(0, ARM_TLBI_VAE1, true, VA >> 12 | BIT(48));
	arm_dsb(0, true);
	assert_int_equal(machine_cached(0), 0);
}

static void test_arm_ids_of_eight_bits(void **state)
{
	struct machine_config config = machine_default(MACHINE_AARCH64);
	(void)state;
	config.asid_bits = 8;
	start_with(&config);
	raw_switch(0, root, 255);
	assert_clean();
	raw_switch(0, root, 256);
	assert_only(MACHINE_BAD_ID);
	machine_violations_clear();
	arm_write_tcr(0, arm_read_tcr(0) | ARM_TCR_AS);
	assert_true(machine_violations(MACHINE_MISUSE) == 1);
	machine_destroy();
}

static void test_arm_lower_half_off(void **state)
{
	uint64_t value;
	(void)state;
	raw_map(root, VA, machine_page(), 0, RAW_USUAL);
	assert_true(load(0, VA, &value).ok);
	arm_write_tcr(0, arm_read_tcr(0) | ARM_TCR_EPD0);
	raw_flush_all(0);
	struct machine_result r = load(0, VA, &value);
	assert_true(!r.ok && r.cause == 0x92000004);
	assert_clean();
}

static void test_riscv_reach(void **state)
{
	uint64_t area = machine_kernel_area().start;
	struct reach reach = set_up_reach();
	(void)state;
	assert_int_equal(left(&reach), 7);
	riscv_sfence_vma(0, VA, 1);
	assert_int_equal(left(&reach), 6);
	riscv_sfence_vma(0, VA, RISCV_ANY);
	assert_int_equal(left(&reach), 4);
	riscv_sfence_vma(0, area, 2); /* with an id: no global mapping */
	assert_int_equal(left(&reach), 7);
	riscv_sfence_vma(0, area, RISCV_ANY);
	assert_int_equal(left(&reach), 3);
	riscv_sfence_vma(0, RISCV_ANY, 2);
	assert_int_equal(left(&reach), 5);
	riscv_sfence_vma(1, RISCV_ANY, RISCV_ANY); /* another hart's */
	assert_int_equal(left(&reach), 7);
	riscv_sfence_vma(0, RISCV_ANY, RISCV_ANY);
	assert_int_equal(left(&reach), 0);
	riscv_write_satp(0, riscv_read_satp(0)); /* flushes nothing */
	assert_int_equal(left(&reach), 7);
	riscv_sfence_w_inval(0);
	riscv_sinval_vma(0, VA, 2);
	assert_int_equal(left(&reach), 7);
	riscv_sfence_inval_ir(0);
	assert_int_equal(left(&reach), 5);
	assert_clean();
	riscv_sinval_vma(0, VA, 2);
	assert_only(MACHINE_MISUSE);
}

static void test_riscv_absence_is_cached(void **state)
{
	uint64_t value, frame = machine_page();
	struct machine_result r;
	(void)state;
	raw_map(root, VA + 4096, frame, 0, RAW_USUAL);
	assert_false(load(0, VA, &value).ok);
	raw_map(root, VA, frame, 0, RAW_USUAL);
	r = load(0, VA, &value);
	assert_true(!r.ok && r.spurious);
	machine_check();
	riscv_sfence_vma(0, VA, 1);
	assert_true(load(0, VA, &value).ok);
	/* An absence above the last level goes only with rs1=x0. */
	uint64_t far = UINT64_C(5) << 30;
	assert_false(load(0, far, &value).ok);
	raw_map(root, far, frame, 0, RAW_USUAL);
	riscv_sfence_vma(0, far, 1);
	r = load(0, far, &value);
	assert_true(!r.ok && r.spurious);
	riscv_sfence_vma(0, RISCV_ANY, 1);
	assert_true(load(0, far, &value).ok);
	assert_clean();
}

static void test_riscv_absence_not_cached(void **state)
{
	struct machine_config config = machine_default(MACHINE_RISCV);
	uint64_t value;
	(void)state;
	config.features &= ~(uint32_t)MACHINE_CACHES_INVALID;
	start_with(&config);
	assert_false(load(0, VA, &value).ok);
	raw_map(root, VA, machine_page(), 0, RAW_USUAL);
	assert_true(load(0, VA, &value).ok);
	assert_clean();
	machine_destroy();
}

static void test_riscv_satp(void **state)
{
	struct machine_config config = machine_default(MACHINE_RISCV);
	(void)state;
	config.asid_bits = 4;
	start_with(&config);
	uint64_t satp = riscv_read_satp(0);
	riscv_write_satp(0, satp ^ BIT(60)); /* a mode that is not there: nothing happens */
	assert_true(riscv_read_satp(0) == satp);
	riscv_write_satp(0, satp | UINT64_C(0xffff) << 44);
	assert_true((riscv_read_satp(0) >> 44 & 0xffff) == 15);
	assert_clean();
	raw_switch(0, root, 16);
	assert_only(MACHINE_BAD_ID);
	machine_destroy();
}

static void test_riscv_global_path(void **state)
{
	struct machine_range area = machine_kernel_area();
	uint64_t value;
	(void)state;
	raw_map(root, area.start, machine_page(), 0, RAW_R | RAW_ACCESSED);
	*raw_slot(root, area.start, 1) |= BIT(5); /* G in a pointer: all below is global */
	assert_true(machine_access(0, area.start, MACHINE_READ, MACHINE_SUPERVISOR, &value, 8).ok);
	riscv_sfence_vma(0, area.start, 1);
	assert_true(is_cached(area.start));
	riscv_sfence_vma(0, area.start, RISCV_ANY);
	assert_false(is_cached(area.start));
	assert_clean();
}

int main(void)
{
	const struct CMUnitTest x86[] = {
	    CASE(test_x86_reach),
	    CASE(test_x86_invlpg_drops_tables_of_one_id),
	    cmocka_unit_test(test_x86_without_ids),
	    CASE(test_x86_set_up_like_the_first),
	};
	const struct CMUnitTest arm[] = {
	    CASE(test_arm_reach),
	    CASE(test_arm_tables_stay),
	    cmocka_unit_test(test_arm_ids_of_eight_bits),
	    CASE(test_arm_lower_half_off),
	};
	const struct CMUnitTest riscv[] = {
	    CASE(test_riscv_reach),
	    CASE(test_riscv_absence_is_cached),
	    cmocka_unit_test(test_riscv_absence_not_cached),
	    cmocka_unit_test(test_riscv_satp),
	    CASE(test_riscv_global_path),
	};
	switch (isa()) {
	case MACHINE_X86_64:
		return cmocka_run_group_tests(x86, NULL, NULL);
	case MACHINE_AARCH64:
		return cmocka_run_group_tests(arm, NULL, NULL);
	case MACHINE_RISCV:
		break;
	}
	return cmocka_run_group_tests(riscv, NULL, NULL);
}
