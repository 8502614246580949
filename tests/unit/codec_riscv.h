/* SPDX-License-Identifier: MIT */
/*
 * codec_riscv.h - what test_codec.c expects of a RISC-V entry, in bit numbers from the privileged
 * specification ("Sv39", "Svnapot", "Svpbmt"): nothing here uses a constant of the codec but the numbers of
 * the features.
 */
#define ISA_BASE (MMU_CACHES_INVALID | MMU_ICACHE_LOCAL | MMU_NX | MMU_LIVE_SPLIT)
#define ISA_ALL (ISA_BASE | MMU_HW_DIRTY | ARCH_FEATURE_SVPBMT | ARCH_FEATURE_SVNAPOT)
#define ISA_VARIANTS                                                                                         \
	{"svade", {3, 39, 56, 0, 7, 1, ISA_BASE}},                                                           \
	    {"svadu", {4, 48, 56, 16, 7, 1, ISA_BASE | MMU_HW_DIRTY}},                                       \
	    {"svpbmt", {4, 48, 56, 9, 7, 13, ISA_BASE | ARCH_FEATURE_SVPBMT}},                               \
	{                                                                                                    \
		"all",                                                                                       \
		{                                                                                            \
			5, 57, 56, 16, 7, 13, ISA_ALL                                                        \
		}                                                                                            \
	}

static const enum arch_duty isa_move_duty = ARCH_DUTY_FLUSH;
static const enum arch_duty isa_resize_duty = ARCH_DUTY_FLUSH;
static const enum arch_duty isa_global_duty = ARCH_DUTY_FLUSH;

static unsigned isa_cache(unsigned wanted)
{
	static const unsigned given[4] = {
	    VMEM_WRITE_BACK, VMEM_WRITE_COMBINING, VMEM_WRITE_COMBINING, VMEM_UNCACHED};

	return (vmem_mmu.features & ARCH_FEATURE_SVPBMT) != 0 ? given[wanted] : VMEM_WRITE_BACK;
}

static bool isa_contig(unsigned level)
{
	return level == 0 && (vmem_mmu.features & ARCH_FEATURE_SVNAPOT) != 0;
}

/* SUM=0: the supervisor does not reach user pages; it never executes them. */
static bool isa_grants(arch_pte_t e, bool user, unsigned access, bool exact)
{
	bool hardware = (vmem_mmu.features & MMU_HW_DIRTY) != 0;

	if (user != BIT(e, 4) || (exact && !hardware && !BIT(e, 6))) {
		return false;
	}
	if (access == VMEM_WRITE) {
		return BIT(e, 2) && (!exact || hardware || BIT(e, 7));
	}
	return BIT(e, access == VMEM_READ ? 1 : 3);
}

static arch_pte_t isa_store(arch_pte_t e)
{
	return BIT(e, 2) && (vmem_mmu.features & MMU_HW_DIRTY) != 0 ? e | 1u << 6 | 1u << 7 : e;
}

static void isa_check_leaf(arch_pte_t e, unsigned level, uint32_t leaf)
{
	static const unsigned pbmt[4] = {0, 1, 1, 2};
	bool write = (leaf & LEAF_WRITE) != 0;
	bool pbmt_known = (vmem_mmu.features & ARCH_FEATURE_SVPBMT) != 0;
	bool run = (leaf & LEAF_CONTIG) != 0 && isa_contig(level);

	assert_true(BIT(e, 0));
	assert_int_equal(BIT(e, 1), (leaf & LEAF_READ) != 0 || write); /* W without R is reserved */
	assert_int_equal(BIT(e, 2), write);
	assert_int_equal(BIT(e, 3), (leaf & LEAF_EXEC) != 0);
	assert_int_equal(BIT(e, 4), (leaf & LEAF_USER) != 0);
	assert_int_equal(BIT(e, 5), (leaf & LEAF_GLOBAL) != 0);
	assert_int_equal(BIT(e, 6), (leaf & LEAF_ACCESSED) != 0);
	assert_int_equal(BIT(e, 7), (leaf & LEAF_DIRTY) != 0);
	assert_int_equal(e >> 54 & 0x7f, 0); /* reserved */
	assert_int_equal(e >> 61 & 3, pbmt_known ? pbmt[leaf >> LEAF_CACHE_SHIFT & 3] : 0);
	assert_int_equal(BIT(e, 63), run);
	if (run) {
		assert_int_equal(e >> 10 & 15, 8);
	}
	/* A superpage's low page number bits must be zero. */
	assert_int_equal(e >> 10 & ((UINT64_C(1) << 9 * level) - 1) & (run ? 0 : UINT64_MAX), 0);
}

/* U, A, D, N and PBMT of a table entry are reserved. */
static void isa_check_table(arch_pte_t e, bool user)
{
	(void)user;
	assert_int_equal(e & 0xff, 1);
	assert_int_equal(e >> 54, 0);
}

static void isa_tests(void **state)
{
	arch_pte_t leaf = 0x20000000 | 0xcf; /* a kernel page at 0x80000000: V R W X A D */

	(void)state;
	/* The two reserved W-without-R words are leaves, never tables: nobody walks through them. */
	assert_true(arch_pte_is_leaf(leaf & ~UINT64_C(0xa), 1));
	assert_int_equal(arch_pte_pa(leaf, 0), 0x80000000);
	/* The software bits 9:8 owe nothing. */
	assert_int_equal(arch_pte_duty(leaf, leaf | 2 << 8, 0), ARCH_DUTY_NONE);
	/* A run that moves is invalid in between, as a whole. */
	assert_int_equal(arch_pte_duty(leaf | UINT64_C(1) << 63 | 8 << 10,
			     (leaf + (16 << 10)) | UINT64_C(1) << 63 | 8 << 10, 0),
	    ARCH_DUTY_BREAK);
}
