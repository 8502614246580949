/* SPDX-License-Identifier: MIT */
/*
 * test_codec.c - the entry codec of one ISA, exhaustively: every set of LEAF_* bits at every level, in
 * every variant of the CPU, and every pair of such sets for the duty. What a raw entry means is restated
 * from the manual in codec_<isa>.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch.h"

struct vmem_mmu vmem_mmu;

#define BIT(e, n) ((e) >> (n)&1)

#if defined(TEST_ISA_X86_64)
#include "codec_x86_64.h"
#elif defined(TEST_ISA_AARCH64)
#include "codec_aarch64.h"
#else
#include "codec_riscv.h"
#endif

#define LEAF_SETS 1024u /* ten bits */
#define CUT_BITS (VMEM_RWX | LEAF_ACCESSED | LEAF_DIRTY)

static const struct {
	const char *name;
	struct vmem_mmu mmu;
} variants[] = {ISA_VARIANTS};

static bool level_has_leaves(unsigned level)
{
	return (vmem_mmu.leaf_levels >> level & 1) != 0;
}

/* What arch_pte_leaf() must give back for what make_leaf was given. */
static uint32_t expected_leaf(uint32_t leaf, unsigned level)
{
	uint32_t cache = isa_cache(leaf >> LEAF_CACHE_SHIFT & 3) << LEAF_CACHE_SHIFT;

	leaf = (leaf & ~(uint32_t)LEAF_CACHE_MASK) | cache;
	return isa_contig(level) ? leaf : leaf & ~(uint32_t)LEAF_CONTIG;
}

static vmem_paddr_t highest_page(unsigned level)
{
	return ((UINT64_C(1) << vmem_mmu.pa_bits) - 1) & ~(arch_level_size(level) - 1);
}

static void check_address(vmem_paddr_t pa, unsigned level, uint32_t leaf)
{
	arch_pte_t e = arch_pte_make_leaf(pa, level, leaf);

	if ((leaf & VMEM_RWX) == 0) {
		assert_int_equal(e, 0);
		return;
	}
	assert_true(arch_pte_present(e));
	assert_true(arch_pte_is_leaf(e, level));
	assert_int_equal(arch_pte_leaf(e, level), expected_leaf(leaf, level));
	/*
	 * The virtual address has the same place in a run as the physical one, and junk in its page
	 * offset.
	 */
	assert_int_equal(arch_pte_pa_at(e, level, UINT64_C(0xffffff8000000123) + pa), pa);
	if ((leaf & LEAF_CONTIG) == 0) {
		assert_int_equal(arch_pte_pa(e, level), pa);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	for (unsigned level = 0; level < vmem_mmu.levels; level++) {
		if (!level_has_leaves(level)) {
			continue;
		}
		for (uint32_t leaf = 0; leaf < LEAF_SETS; leaf++) {
			check_address(0, level, leaf);
			check_address(highest_page(level), level, leaf);
			for (unsigned bit = arch_level_shift(level); bit < vmem_mmu.pa_bits; bit++) {
				check_address(UINT64_C(1) << bit, level, leaf);
			}
			if ((leaf & VMEM_RWX) != 0) {
				isa_check_leaf(arch_pte_make_leaf(0, level, leaf), level, leaf);
			}
		}
	}
}

static void test_table(void **state)
{
	(void)state;
	for (unsigned bit = VMEM_PAGE_SHIFT - 1; bit < vmem_mmu.pa_bits; bit++) {
		for (unsigned user = 0; user < 2; user++) {
			vmem_paddr_t pa = bit < VMEM_PAGE_SHIFT ? highest_page(0) : UINT64_C(1) << bit;
			arch_pte_t e = arch_pte_make_table(pa, user != 0);

			assert_true(arch_pte_present(e));
			for (unsigned level = 1; level < vmem_mmu.levels; level++) {
				assert_false(arch_pte_is_leaf(e, level));
				assert_int_equal(arch_pte_pa(e, level), pa);
			}
			isa_check_table(arch_pte_make_table(0, user != 0), user != 0);
		}
	}
}

static void test_not_present(void **state)
{
	(void)state;
	assert_false(arch_pte_present(0));
	for (unsigned bit = 1; bit < 64; bit++) {
		for (unsigned level = 0; level < vmem_mmu.levels; level++) {
			assert_false(arch_pte_present(UINT64_C(1) << bit));
			assert_false(arch_pte_is_leaf(UINT64_C(1) << bit, level));
		}
	}
	/* With its last permission an entry goes whole: no address bits stay behind. */
	assert_int_equal(arch_pte_restrict(arch_pte_make_leaf(highest_page(0), 0, LEAF_READ | LEAF_USER), 0,
			     ~(uint32_t)VMEM_RWX),
	    0);
}

/*
 * Restricting gives the very entry that would have been made with less: there is one form for each
 * meaning.
 */
static void check_restrict(uint32_t leaf, unsigned level, uint32_t keep)
{
	vmem_paddr_t pa = highest_page(level);
	arch_pte_t e = arch_pte_make_leaf(pa, level, leaf);
	uint32_t left = leaf & (keep | ~(uint32_t)CUT_BITS);
	arch_pte_t cut = arch_pte_restrict(e, level, keep);
	arch_pte_t stored = isa_store(e);

	assert_int_equal(cut, arch_pte_make_leaf(pa, level, left));
	if (stored == e || (left & VMEM_RWX) == 0) {
		return;
	}
	/*
	 * After a store of the hardware's the entry is dirty, and stays so when it loses anything but
	 * that.
	 */
	assert_int_equal(
	    arch_pte_leaf(stored, level), expected_leaf(leaf | LEAF_ACCESSED | LEAF_DIRTY, level));
	cut = arch_pte_restrict(stored, level, keep);
	assert_int_equal((arch_pte_leaf(cut, level) & LEAF_DIRTY) != 0, (keep & LEAF_DIRTY) != 0);
	/* And without LEAF_WRITE no further store changes it. */
	if ((keep & LEAF_WRITE) == 0) {
		assert_int_equal(isa_store(cut) & ~isa_store(0), cut & ~isa_store(0));
		assert_false(isa_grants(cut, (leaf & LEAF_USER) != 0, VMEM_WRITE, false));
	}
}

static void test_restrict(void **state)
{
	(void)state;
	for (unsigned level = 0; level < vmem_mmu.levels; level++) {
		for (uint32_t leaf = 0; leaf < LEAF_SETS && level_has_leaves(level); leaf++) {
			for (uint32_t keep = 0; keep < 128; keep++) {
				if ((leaf & VMEM_RWX) != 0 && (keep & ~(uint32_t)CUT_BITS) == 0) {
					check_restrict(leaf, level, keep);
					check_restrict(leaf, level, keep | ~(uint32_t)CUT_BITS);
				}
			}
		}
	}
}

/* A translation of `from` that a TLB still has lets something through that `to` does not. */
static bool loses(arch_pte_t from, arch_pte_t to)
{
	for (unsigned user = 0; user < 2; user++) {
		for (unsigned access = VMEM_READ; access <= VMEM_EXEC; access <<= 1) {
			if (isa_grants(from, user != 0, access, false) &&
			    !isa_grants(to, user != 0, access, false)) {
				return true;
			}
		}
	}
	return false;
}

static enum arch_duty expected_duty(
    uint32_t from, uint32_t to, unsigned level, vmem_paddr_t pa, vmem_paddr_t pa_to)
{
	uint32_t changed = expected_leaf(from, level) ^ expected_leaf(to, level);
	arch_pte_t e = arch_pte_make_leaf(pa, level, from);
	enum arch_duty duty = pa != pa_to ? isa_move_duty : ARCH_DUTY_NONE;

	if (e == 0) {
		return ARCH_DUTY_NONE;
	}
	if ((to & VMEM_RWX) == 0) {
		return ARCH_DUTY_FLUSH;
	}
	if ((changed & (LEAF_CACHE_MASK | LEAF_CONTIG)) != 0) {
		return ARCH_DUTY_BREAK;
	}
	if ((changed & LEAF_GLOBAL) != 0 && isa_global_duty > duty) {
		duty = isa_global_duty;
	}
	/* A dirty bit that a TLB holds as set would not be set again, as long as stores may pass. */
	if (duty == ARCH_DUTY_NONE && (from & LEAF_WRITE) != 0 && (from & LEAF_DIRTY) != 0 &&
	    (to & LEAF_DIRTY) == 0) {
		duty = ARCH_DUTY_FLUSH;
	}
	return duty == ARCH_DUTY_NONE && loses(e, arch_pte_make_leaf(pa_to, level, to)) ? ARCH_DUTY_FLUSH
											: duty;
}

static void test_duty(void **state)
{
	(void)state;
	for (unsigned level = 0; level < 2; level++) {
		vmem_paddr_t pa = arch_level_size(level) * ARCH_CONTIG_PAGES * 5;

		for (uint32_t from = 0; from < LEAF_SETS; from++) {
			arch_pte_t e = arch_pte_make_leaf(pa, level, from);

			for (uint32_t to = 0; to < LEAF_SETS; to++) {
				enum arch_duty duty =
				    arch_pte_duty(e, arch_pte_make_leaf(pa, level, to), level);

				if (duty != expected_duty(from, to, level, pa, pa)) {
					fail_msg(
					    "level %u, leaf %x to %x: duty %d", level, from, to, (int)duty);
				}
			}
		}
	}
}

static void test_duty_of_moves(void **state)
{
	arch_pte_t table = arch_pte_make_table(0x7000, true);

	(void)state;
	for (uint32_t from = 0; from < LEAF_SETS; from++) {
		vmem_paddr_t pa = arch_level_size(1) * ARCH_CONTIG_PAGES * 5;
		vmem_paddr_t other = arch_level_size(1) * ARCH_CONTIG_PAGES * 7;
		arch_pte_t e = arch_pte_make_leaf(pa, 1, from);
		enum arch_duty duty = arch_pte_duty(e, arch_pte_make_leaf(other, 1, from), 1);

		assert_int_equal(duty, expected_duty(from, from, 1, pa, other));
		assert_int_equal(arch_pte_duty(table, e, 1), e != 0 ? isa_resize_duty : ARCH_DUTY_FLUSH);
		assert_int_equal(arch_pte_duty(e, table, 1), e != 0 ? isa_resize_duty : ARCH_DUTY_NONE);
	}
	assert_int_equal(arch_pte_duty(table, table, 1), ARCH_DUTY_NONE);
	assert_int_equal(arch_pte_duty(table, 0, 1), ARCH_DUTY_FLUSH);
	assert_int_equal(arch_pte_duty(0, table, 1), ARCH_DUTY_NONE);
	assert_int_equal(arch_pte_duty(table, arch_pte_make_table(0x9000, true), 1), isa_move_duty);
}

/* arch_leaf_grants() says what this CPU does with the entry, accessed and dirty faults included. */
static void test_grants(void **state)
{
	(void)state;
	for (uint32_t leaf = 0; leaf < LEAF_SETS; leaf++) {
		arch_pte_t e = arch_pte_make_leaf(0x3000, 0, leaf);

		for (unsigned access = VMEM_READ; access <= VMEM_EXEC; access <<= 1) {
			bool granted = e != 0 && isa_grants(e, (leaf & LEAF_USER) != 0, access, true);

			assert_int_equal(arch_leaf_grants(leaf, access), granted);
			/* Nobody executes the other side's pages, where the entry itself can forbid it. */
			if (e != 0 && (leaf & LEAF_USER) == 0) {
				assert_false(isa_grants(e, true, VMEM_EXEC, false));
			}
		}
	}
}

static void test_cache_fallback(void **state)
{
	(void)state;
	for (unsigned wanted = 0; wanted < VMEM_CACHE_COUNT; wanted++) {
		assert_int_equal(arch_leaf_cache((vmem_cache_t)wanted), isa_cache(wanted));
	}
}

static void test_levels(void **state)
{
	(void)state;
	assert_int_equal(arch_level_size(0), 0x1000);
	assert_int_equal(arch_level_size(1), 0x200000);
	assert_int_equal(arch_level_size(2), 0x40000000);
	assert_int_equal(arch_level_shift(4), 48);
	assert_int_equal(UINT64_C(1) << ARCH_LEVEL_BITS, ARCH_TABLE_ENTRIES);
}

static unsigned variant;

static int setup(void **state)
{
	(void)state;
	vmem_mmu = variants[variant].mmu;
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_round_trip, setup),
	    cmocka_unit_test_setup(test_table, setup),
	    cmocka_unit_test_setup(test_not_present, setup),
	    cmocka_unit_test_setup(test_restrict, setup),
	    cmocka_unit_test_setup(test_duty, setup),
	    cmocka_unit_test_setup(test_duty_of_moves, setup),
	    cmocka_unit_test_setup(test_grants, setup),
	    cmocka_unit_test_setup(test_cache_fallback, setup),
	    cmocka_unit_test_setup(test_levels, setup),
	    cmocka_unit_test_setup(isa_tests, setup),
	};
	int failed = 0;

	for (variant = 0; variant < sizeof(variants) / sizeof(variants[0]); variant++) {
		failed += cmocka_run_group_tests_name(variants[variant].name, tests, NULL, NULL);
	}
	return failed != 0;
}
