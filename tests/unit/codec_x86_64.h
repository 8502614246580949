/* SPDX-License-Identifier: MIT */
/*
 * codec_x86_64.h - what test_codec.c expects of an x86-64 entry, in bit numbers from the manual (Intel SDM
 * vol. 3A 4.5): nothing here uses a constant of the codec.
 */
#define ISA_VARIANTS                                                                                         \
	{"nx", {4, 48, 46, 12, 7, 15, MMU_HW_DIRTY | MMU_LIVE_SPLIT | MMU_NX}},                              \
	    {"no-nx", {4, 48, 40, 0, 3, 15, MMU_HW_DIRTY | MMU_LIVE_SPLIT}},                                 \
	{                                                                                                    \
		"la57-wb-uc",                                                                                \
		{                                                                                            \
			5, 57, 52, 12, 7, 9, MMU_HW_DIRTY | MMU_LIVE_SPLIT | MMU_NX                          \
		}                                                                                            \
	}

static const enum arch_duty isa_move_duty = ARCH_DUTY_FLUSH;
static const enum arch_duty isa_resize_duty = ARCH_DUTY_FLUSH;
static const enum arch_duty isa_global_duty = ARCH_DUTY_FLUSH;

static unsigned isa_cache(unsigned wanted)
{
	return (vmem_mmu.cache_types >> wanted & 1) != 0 ? wanted : VMEM_UNCACHED;
}

static bool isa_contig(unsigned level)
{
	(void)level;
	return false;
}

/*
 * What the hardware lets through, D apart: supervisor (without SMAP and SMEP) or user, through this one
 * leaf.
 */
static bool isa_grants(arch_pte_t e, bool user, unsigned access, bool exact)
{
	(void)exact;
	if (user && !BIT(e, 2)) {
		return false;
	}
	if (access == VMEM_WRITE) {
		return BIT(e, 1);
	}
	return access == VMEM_READ || !BIT(e, 63);
}

/* A store of the CPU through the leaf. */
static arch_pte_t isa_store(arch_pte_t e)
{
	return BIT(e, 1) ? e | 1u << 5 | 1u << 6 : e;
}

static void isa_check_leaf(arch_pte_t e, unsigned level, uint32_t leaf)
{
	/* PAT entries of write-back, write-through, write-combining and uncached. */
	static const unsigned pat[4] = {0, 1, 5, 3};
	unsigned index = (unsigned)(e >> 3 & 3) | (unsigned)BIT(e, level == 0 ? 7 : 12) << 2;
	uint64_t low = level == 0 ? 0 : (UINT64_C(1) << (12 + 9 * level)) - 1;

	assert_true(BIT(e, 0));
	assert_int_equal(BIT(e, 1), (leaf & LEAF_WRITE) != 0);
	assert_int_equal(BIT(e, 2), (leaf & LEAF_USER) != 0);
	assert_int_equal(BIT(e, 5), (leaf & LEAF_ACCESSED) != 0);
	assert_int_equal(BIT(e, 8), (leaf & LEAF_GLOBAL) != 0);
	if (level > 0) {
		assert_true(BIT(e, 7));
		/* Above PAT and below the address a large leaf's bits are reserved. */
		assert_int_equal(e & low & ~UINT64_C(0x1fff), 0);
	}
	assert_int_equal(index, pat[isa_cache(leaf >> LEAF_CACHE_SHIFT & 3)]);
	/* A shadow-stack entry (R/W=0, D=1) is never made. */
	assert_int_equal(BIT(e, 6), (leaf & LEAF_WRITE) != 0 && (leaf & LEAF_DIRTY) != 0);
	assert_int_equal(BIT(e, 63), (vmem_mmu.features & MMU_NX) != 0 && (leaf & LEAF_EXEC) == 0);
	assert_int_equal(e >> 52 & 0x7ff, 0);
}

static void isa_check_table(arch_pte_t e, bool user)
{
	assert_true(BIT(e, 0) && BIT(e, 1) && !BIT(e, 7) && !BIT(e, 63));
	assert_int_equal(BIT(e, 2), user);
	assert_int_equal(e & 0xf98, 0);
}

static void isa_tests(void **state)
{
	static const unsigned meaning[8] = {VMEM_WRITE_BACK, VMEM_WRITE_THROUGH, VMEM_UNCACHED, VMEM_UNCACHED,
	    VMEM_WRITE_BACK, VMEM_WRITE_COMBINING, VMEM_UNCACHED, VMEM_UNCACHED};

	(void)state;
	/* Every PAT entry of a host's own leaf reads as what it means, at both places of the PAT bit. */
	for (unsigned i = 0; i < 8; i++) {
		arch_pte_t small = 0x1003 | (i & 3) << 3 | (i >> 2) << 7;
		arch_pte_t large = 0x200083 | (i & 3) << 3 | (i >> 2) << 12;

		assert_int_equal(arch_pte_leaf(small, 0) >> LEAF_CACHE_SHIFT & 3, meaning[i]);
		assert_int_equal(arch_pte_leaf(large, 1) >> LEAF_CACHE_SHIFT & 3, meaning[i]);
		assert_int_equal(arch_pte_pa(small, 0), 0x1000);
		assert_int_equal(arch_pte_pa(large, 1), 0x200000);
	}
	/* The accessed bit of a table comes and goes for nothing; lost permissions of a table do not. */
	assert_int_equal(arch_pte_duty(0x5027, 0x5007, 1), ARCH_DUTY_NONE);
	assert_int_equal(arch_pte_duty(0x5007, 0x5003, 1), ARCH_DUTY_FLUSH);
	assert_int_equal(arch_pte_duty(0x5007, 0x5005, 2), ARCH_DUTY_FLUSH);
}
