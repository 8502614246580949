/* SPDX-License-Identifier: MIT */
/*
 * test_machine_isa.c - what only one ISA has in its entries: malformed ones, rights of several levels,
 * contiguous runs, break-before-make. Entries are written as the manuals say.
 */
#include "machine_fixture.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Stores a raw leaf entry, accesses it, and expects it to be refused and reported. */
static void assert_malformed(unsigned level, uint64_t entry, bool faults)
{
	uint64_t va = UINT64_C(2) << 30, value;
	*raw_slot(root, va, level) = entry;
	raw_flush_all(0);
	struct machine_result r = load(0, va, &value);
	if (r.ok == faults || machine_violations(MACHINE_MALFORMED) == 0) {
		fail_msg("level %u entry %llx: ok %d, %u reports", level, (unsigned long long)entry, r.ok,
		    machine_violations(MACHINE_MALFORMED));
	}
	machine_violations_clear();
	*raw_slot(root, va, level) = 0;
	raw_flush_all(0);
}

static uint64_t usual(unsigned level)
{
	return raw_leaf(UINT64_C(0x80000000), level, RAW_USUAL, MACHINE_WB);
}

/* x86-64 */

static void test_x86_reserved_bits(void **state)
{
	uint64_t value;
	(void)state;
	assert_malformed(0, usual(0) | BIT(46), true);
	assert_malformed(1, usual(1) | BIT(13), true);
	assert_malformed(2, usual(2) | BIT(20), true);
	assert_malformed(3, usual(0) | BIT(7), true);
	*raw_slot(root, VA, 0) = usual(0) | BIT(50);
	struct machine_result r = load(0, VA, &value);
	assert_true(r.cause == 14 && r.detail == 0xd); /* P, user, RSVD */
}

static void test_x86_old_cpu(void **state)
{
	struct machine_config config = machine_default(MACHINE_X86_64);
	(void)state;
	config.features &= ~(uint32_t)(MACHINE_NX | MACHINE_LEAF_1G);
	start_with(&config);
	assert_malformed(0, usual(0) | BIT(63), true);
	assert_malformed(2, (usual(2) & ~BIT(63)), true);
	machine_destroy();
}

static void test_x86_plausible_dead_entry(void **state)
{
	uint64_t value;
	(void)state;
	*raw_slot(root, VA, 0) = UINT64_C(0x80000000) | BIT(1);
	assert_false(load(0, VA, &value).ok);
	assert_only(MACHINE_PLAUSIBLE);
	machine_violations_clear();
	*raw_slot(root, VA, 0) = BIT(9) | BIT(1); /* software's own bits are no address */
	assert_false(load(0, VA, &value).ok);
	assert_clean();
}

static void test_x86_rights_of_all_levels(void **state)
{
	uint64_t value;
	(void)state;
	raw_map(root, VA, machine_page(), 0, RAW_USUAL | RAW_X);
	*raw_slot(root, VA, 1) &= ~BIT(1);
	*raw_slot(root, VA, 2) |= BIT(63);
	assert_true(load(0, VA, &value).ok);
	assert_false(store(0, VA, 1).ok);
	assert_false(fetch(0, VA).ok);
	assert_clean();
}

/* AArch64 */

static void test_arm_malformed(void **state)
{
	uint64_t value;
	(void)state;
	assert_malformed(0, usual(0) & ~BIT(1), true); /* the reserved type */
	assert_malformed(3, usual(1), true);	       /* a block where the first level has none */
	assert_malformed(0, usual(0) | BIT(48), false);
	assert_malformed(0, usual(0) | BIT(50), false);
	assert_malformed(1, usual(1) | BIT(16), false);
	assert_malformed(0, (usual(0) & ~(UINT64_C(3) << 8)) | BIT(8), false); /* reserved shareability */
	assert_malformed(0, usual(0) & ~(UINT64_C(3) << 8), false); /* memory that CPUs do not share */
	struct machine_config config = machine_default(MACHINE_AARCH64);
	machine_destroy();
	config.pa_bits = 44;
	start_with(&config);
	*raw_slot(root, VA, 0) = usual(0) | BIT(45);
	struct machine_result r = load(0, VA, &value);
	assert_true(r.cause == 0x92000003 && r.detail == 1); /* address size, level 3 */
	assert_only(MACHINE_MALFORMED);
}

/* Changes a live entry without a break, and says whether that is reported. */
static bool needs_break(uint64_t *slot, uint64_t from, uint64_t to)
{
	uint64_t value;
	raw_flush_all(0);
	*slot = 0;
	raw_flush_all(0);
	machine_operation();
	*slot = from;
	assert_true(load(0, VA, &value).ok);
	machine_violations_clear();
	machine_relax(1);
	*slot = to;
	raw_flush_page(0, VA);
	machine_relax(-1);
	bool found = machine_violations(MACHINE_BREAK_MISSING) != 0;
	assert_int_equal(machine_violations_all(), machine_violations(MACHINE_BREAK_MISSING));
	machine_violations_clear();
	return found;
}

static void test_arm_break_owed(void **state)
{
	uint64_t a = machine_page(), b = machine_page();
	uint64_t *slot = raw_slot(root, VA, 0);
	uint64_t read_only = raw_leaf(a, 0, RAW_R | RAW_USER | RAW_ACCESSED, MACHINE_WB);
	uint64_t writable = raw_leaf(a, 0, RAW_USUAL, MACHINE_WB);
	(void)state;
	*slot = 0;
	assert_true(needs_break(slot, writable, raw_leaf(b, 0, RAW_USUAL, MACHINE_WB)));
	assert_true(needs_break(slot, read_only, raw_leaf(b, 0, RAW_USUAL, MACHINE_WB)));
	assert_false(
	    needs_break(slot, read_only, raw_leaf(b, 0, RAW_R | RAW_USER | RAW_ACCESSED, MACHINE_WB)));
	*at(b) = 1; /* the same, but what is read differs */
	assert_true(
	    needs_break(slot, read_only, raw_leaf(b, 0, RAW_R | RAW_USER | RAW_ACCESSED, MACHINE_WB)));
	assert_true(needs_break(slot, writable, writable ^ (UINT64_C(1) << 2)));   /* attribute index */
	assert_true(needs_break(slot, writable, writable & ~(UINT64_C(1) << 11))); /* nG */
	assert_false(needs_break(slot, writable, read_only));
	assert_false(needs_break(slot, read_only, writable));
	assert_false(needs_break(slot, writable, writable | BIT(54)));
	assert_false(needs_break(slot, writable, writable | BIT(55))); /* software's own */
}

static void test_arm_break_of_sizes(void **state)
{
	uint64_t va = UINT64_C(2) << 30, value, table = machine_page();
	uint64_t *slot = raw_slot(root, va, 1);
	(void)state;
	for (unsigned i = 0; i < 512; i++) {
		at(table)[i] = raw_leaf(UINT64_C(0x80000000) + i * 4096, 0, RAW_USUAL, MACHINE_WB);
	}
	*slot = usual(1);
	assert_true(load(0, va, &value).ok);
	*slot = raw_table(table, true); /* the same translations, another size */
	machine_check();
	assert_only(MACHINE_BREAK_MISSING);
	machine_violations_clear();
	*slot = 0;
	raw_flush_page(0, va);
	raw_flush_all(0);
	*slot = raw_table(table, true);
	assert_true(load(0, va + 4096, &value).ok);
	assert_clean();
}

static void test_arm_break_made(void **state)
{
	uint64_t a = machine_page(), b = machine_page(), value;
	uint64_t *slot = raw_map(root, VA, a, 0, RAW_USUAL);
	(void)state;
	assert_true(load(0, VA, &value).ok);
	machine_operation();
	*slot = 0;
	raw_flush_page(0, VA);
	*slot = raw_leaf(b, 0, RAW_USUAL, MACHINE_WB);
	machine_effect();
	assert_true(machine_counters.breaks == 1 && machine_counters.breaks_idle == 0);
	assert_true(load(0, VA, &value).ok);
	*slot = 0;
	raw_flush_page(0, VA);
	*slot = raw_leaf(b, 0, RAW_R | RAW_USER | RAW_ACCESSED, MACHINE_WB); /* only a right was cut */
	machine_effect();
	assert_true(machine_counters.breaks == 2 && machine_counters.breaks_idle == 1);
	assert_true(load(0, VA, &value).ok);
	*slot = 0;
	raw_flush_page(0, VA);
	machine_operation();
	*slot = raw_leaf(b, 0, RAW_USUAL, MACHINE_WB); /* an unmap and a later map are no break */
	machine_effect();
	assert_true(machine_counters.breaks == 2);
	assert_clean();
}

static void test_arm_two_sizes_at_once(void **state)
{
	uint64_t va = UINT64_C(2) << 30, value;
	uint64_t *upper = raw_slot(root, va, 1);
	(void)state;
	*upper = raw_table(machine_page(), true);
	*raw_slot(root, va, 0) = usual(0);
	assert_true(load(0, va, &value).ok);
	raw_switch(1, root, 1);
	machine_relax(1);
	*upper = 0;
	arm_tlbi(0, ARM_TLBI_VAE1, true, (va + 4096) >> 12 | BIT(48)); /* another page's: the leaf stays */
	arm_dsb(0, true);
	*upper = usual(1);
	machine_fill(0);
	assert_clean();
	assert_true(load(0, va, &value).ok);
	assert_only(MACHINE_BREAK_MISSING); /* a TLB conflict */
	machine_relax(-1);
}

static void test_arm_hierarchical_rights(void **state)
{
	uint64_t value;
	(void)state;
	raw_map(root, VA, machine_page(), 0, RAW_USUAL | RAW_X);
	*raw_slot(root, VA, 1) |= BIT(62) | BIT(60); /* read-only, UXNTable */
	assert_true(load(0, VA, &value).ok);
	assert_false(store(0, VA, 1).ok);
	assert_false(fetch(0, VA).ok);
	*raw_slot(root, VA, 2) |= BIT(61); /* no EL0 */
	raw_flush_all(0);
	assert_false(load(0, VA, &value).ok);
	assert_true(machine_access(0, VA, MACHINE_READ, MACHINE_SUPERVISOR, &value, 8).ok);
	assert_clean();
}

/* AArch64 and RISC-V: runs of sixteen pages */

static uint64_t map_run(uint64_t va, uint64_t pa)
{
	for (unsigned i = 0; i < 16; i++) {
		raw_map(root, va + i * 4096, pa + i * 4096, 0, (RAW_USUAL | RAW_RUN) & ~(unsigned)RAW_DIRTY);
	}
	return va;
}

static void test_run_is_one_translation(void **state)
{
	uint64_t pa = UINT64_C(0x80100000), va = map_run(UINT64_C(2) << 30, pa), value;
	struct machine_translation t;
	(void)state;
	assert_true(store(0, va + 5 * 4096, VALUE).ok);
	assert_true(at(pa + 5 * 4096)[0] == VALUE);
	unsigned walks = (unsigned)machine_counters.walks;
	assert_true(load(0, va + 15 * 4096, &value).ok);
	assert_true(machine_counters.walks == walks);
	/* Dirty is in the first member, and true of all. */
	assert_true(machine_translate(0, va + 5 * 4096, &t) && t.dirty && t.pa == pa + 5 * 4096);
	uint64_t dirty = BIT(7); /* AP[2], D */
	assert_true((*raw_slot(root, va, 0) & dirty) != (*raw_slot(root, va + 5 * 4096, 0) & dirty));
	machine_check();
	assert_clean();
	*raw_slot(root, va + 3 * 4096, 0) = 0; /* one member goes, and the run is still cached */
	machine_check();
	assert_true(machine_violations(MACHINE_STALE_USED) >= 1);
	assert_true(machine_violations(MACHINE_BREAK_MISSING) >= 1);
}

/* Whoever flushes one page of a run must not count on the others being gone. */
static void test_run_flushed_in_part(void **state)
{
	uint64_t va = map_run(UINT64_C(2) << 30, UINT64_C(0x80100000)), value;
	(void)state;
	assert_true(store(0, va + 5 * 4096, VALUE).ok);
	raw_flush_page(0, va + 9 * 4096);
	unsigned walks = (unsigned)machine_counters.walks;
	assert_true(load(0, va + 5 * 4096, &value).ok && value == VALUE);
	assert_true(machine_counters.walks == walks);
	assert_true(load(0, va + 9 * 4096, &value).ok); /* walks, and is cached as a page alone */
	assert_true(machine_counters.walks == walks + 1);
	assert_true(load(0, va + 10 * 4096, &value).ok);
	assert_true(store(0, va + 11 * 4096, VALUE).ok);
	machine_check();
	assert_clean();
	for (unsigned i = 0; i < 16; i++) {
		*raw_slot(root, va + i * 4096, 0) = 0;
	}
	raw_flush_page(0, va); /* the others are still there */
	machine_check();
	assert_only(MACHINE_STALE_USED);
	machine_violations_clear();
	for (unsigned i = 0; i < 16; i++) {
		raw_flush_page(0, va + i * 4096);
	}
	machine_check();
	assert_clean();
}

/* All members are invalid before the flush, or it was no break. */
static void test_run_broken_in_part(void **state)
{
	uint64_t va = map_run(UINT64_C(2) << 30, UINT64_C(0x80100000)), value;
	(void)state;
	assert_true(load(0, va + 4096, &value).ok);
	machine_relax(1);
	for (unsigned i = 1; i < 16; i++) {
		*raw_slot(root, va + i * 4096, 0) = 0;
	}
	raw_flush_page(0, va + 4096);
	assert_only(MACHINE_BREAK_MISSING);
	machine_relax(-1);
}

/* Another memory under a live run: for every member, not only the one that was walked. */
static void test_run_moved(void **state)
{
	uint64_t va = map_run(UINT64_C(2) << 30, UINT64_C(0x80100000)), value;
	(void)state;
	assert_true(load(0, va + 2 * 4096, &value).ok);
	machine_relax(1);
	map_run(va, UINT64_C(0x80200000));
	raw_flush_page(0, va);
	assert_only(MACHINE_BREAK_MISSING);
	machine_relax(-1);
}

/* Rights of the whole run may fall in place: no break is owed, a flush is. */
static void test_run_restricted(void **state)
{
	uint64_t va = map_run(UINT64_C(2) << 30, UINT64_C(0x80100000)), value;
	unsigned flags = RAW_R | RAW_USER | RAW_ACCESSED | RAW_RUN;
	(void)state;
	assert_true(load(0, va + 2 * 4096, &value).ok);
	machine_relax(1);
	for (unsigned i = 0; i < 16; i++) {
		raw_map(root, va + i * 4096, UINT64_C(0x80100000) + i * 4096, 0, flags);
	}
	for (unsigned i = 0; i < 16; i++) {
		raw_flush_page(0, va + i * 4096);
	}
	machine_relax(-1);
	machine_check();
	assert_false(store(0, va + 2 * 4096, VALUE).ok);
	assert_clean();
}

static void test_run_must_be_uniform(void **state)
{
	uint64_t va = map_run(UINT64_C(2) << 30, UINT64_C(0x80100000)), value;
	(void)state;
	*raw_slot(root, va + 7 * 4096, 0) =
	    raw_leaf(UINT64_C(0x80107000), 0, (RAW_R | RAW_USER | RAW_ACCESSED | RAW_RUN), MACHINE_WB);
	assert_true(load(0, va, &value).ok);
	assert_only(MACHINE_MALFORMED);
	machine_violations_clear();
	if (isa() == MACHINE_AARCH64) {
		va = map_run(UINT64_C(4) << 30, UINT64_C(0x80101000)); /* not aligned to its size */
		assert_true(load(0, va, &value).ok);
		assert_true(machine_violations(MACHINE_MALFORMED) >= 1);
	}
}

static void test_run_and_break(void **state)
{
	uint64_t va = map_run(UINT64_C(2) << 30, UINT64_C(0x80100000)), value;
	(void)state;
	assert_true(load(0, va + 4096, &value).ok);
	machine_relax(1);
	*raw_slot(root, va + 4096, 0) &= ~BIT(52); /* unfolding a live run */
	raw_flush_page(0, va + 4096);
	assert_only(MACHINE_BREAK_MISSING);
	machine_relax(-1);
}

/* RISC-V */

static void test_riscv_malformed(void **state)
{
	(void)state;
	assert_malformed(0, usual(0) & ~BIT(1), true); /* W without R */
	assert_malformed(0, usual(0) | BIT(54), true);
	assert_malformed(0, usual(0) | BIT(60), true);
	assert_malformed(0, usual(0) | UINT64_C(3) << 61, true);
	assert_malformed(0, usual(0) | BIT(63), true);		    /* N without its pattern */
	assert_malformed(1, usual(1) | BIT(63) | BIT(13), true);    /* N above the last level */
	assert_malformed(1, usual(1) | BIT(10), true);		    /* misaligned */
	assert_malformed(0, raw_table(machine_page(), true), true); /* a pointer at the last level */
	assert_malformed(1, raw_table(machine_page(), true) | BIT(6), true);
	assert_malformed(2, raw_table(machine_page(), true) | BIT(4), true);
	assert_malformed(1, raw_table(machine_page(), true) | BIT(61), true);
	struct machine_config config = machine_default(MACHINE_RISCV);
	machine_destroy();
	config.features &= ~(uint32_t)(MACHINE_SVPBMT | MACHINE_SVNAPOT);
	start_with(&config);
	assert_malformed(0, usual(0) | BIT(61), true);
	assert_malformed(0, usual(0) | BIT(63) | BIT(13), true);
}

int main(void)
{
	const struct CMUnitTest x86[] = {
	    CASE(test_x86_reserved_bits),
	    cmocka_unit_test(test_x86_old_cpu),
	    CASE(test_x86_plausible_dead_entry),
	    CASE(test_x86_rights_of_all_levels),
	};
	const struct CMUnitTest arm[] = {
	    CASE(test_arm_malformed),
	    CASE(test_arm_break_owed),
	    CASE(test_arm_break_of_sizes),
	    CASE(test_arm_break_made),
	    CASE(test_arm_two_sizes_at_once),
	    CASE(test_arm_hierarchical_rights),
	    CASE(test_run_is_one_translation),
	    CASE(test_run_flushed_in_part),
	    CASE(test_run_must_be_uniform),
	    CASE(test_run_broken_in_part),
	    CASE(test_run_moved),
	    CASE(test_run_restricted),
	    CASE(test_run_and_break),
	};
	const struct CMUnitTest riscv[] = {
	    CASE(test_run_is_one_translation),
	    CASE(test_run_flushed_in_part),
	    CASE(test_run_broken_in_part),
	    CASE(test_run_moved),
	    CASE(test_run_restricted),
	    CASE(test_run_must_be_uniform),
	    CASE(test_riscv_malformed),
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
