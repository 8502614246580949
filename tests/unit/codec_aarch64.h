/* SPDX-License-Identifier: MIT */
/*
 * codec_aarch64.h - what test_codec.c expects of an AArch64 descriptor, in bit numbers from the manual (DDI
 * 0487, D8.3): nothing here uses a constant of the codec but the number of the LPA2 feature.
 */
#define ISA_BASE (MMU_SPLIT_ROOTS | MMU_BROADCAST | MMU_NX)
#define ISA_VARIANTS                                                                                         \
	{"hafdbs", {4, 48, 48, 16, 7, 15, ISA_BASE | MMU_HW_DIRTY}},                                         \
	    {"software", {4, 48, 40, 8, 7, 15, ISA_BASE}},                                                   \
	    {"lpa2", {5, 52, 52, 16, 7, 15, ISA_BASE | MMU_HW_DIRTY | ARCH_FEATURE_LPA2}},                   \
	{                                                                                                    \
		"lpa2-software",                                                                             \
		{                                                                                            \
			5, 52, 52, 16, 7, 9, ISA_BASE | ARCH_FEATURE_LPA2                                    \
		}                                                                                            \
	}

static const enum arch_duty isa_move_duty = ARCH_DUTY_BREAK;
static const enum arch_duty isa_resize_duty = ARCH_DUTY_BREAK;
static const enum arch_duty isa_global_duty = ARCH_DUTY_BREAK;

static unsigned isa_cache(unsigned wanted)
{
	return (vmem_mmu.cache_types >> wanted & 1) != 0 ? wanted : VMEM_UNCACHED;
}

static bool isa_contig(unsigned level)
{
	return level <= 1;
}

/* EL1 reads whatever is there; DBM lets a store through where the hardware manages the dirty state. */
static bool isa_grants(arch_pte_t e, bool user, unsigned access, bool exact)
{
	bool hardware = (vmem_mmu.features & MMU_HW_DIRTY) != 0;

	if (exact && !hardware && !BIT(e, 10)) {
		return false;
	}
	if (access == VMEM_EXEC) {
		return !BIT(e, user ? 54 : 53);
	}
	if (user && !BIT(e, 6)) {
		return false;
	}
	return access == VMEM_READ || !BIT(e, 7) || (hardware && BIT(e, 51));
}

static arch_pte_t isa_store(arch_pte_t e)
{
	if ((vmem_mmu.features & MMU_HW_DIRTY) == 0) {
		return e;
	}
	return BIT(e, 51) || !BIT(e, 7) ? (e & ~(UINT64_C(1) << 7)) | 1u << 10 : e;
}

static void isa_check_leaf(arch_pte_t e, unsigned level, uint32_t leaf)
{
	bool hardware = (vmem_mmu.features & MMU_HW_DIRTY) != 0;
	bool lpa2 = (vmem_mmu.features & ARCH_FEATURE_LPA2) != 0;
	bool user = (leaf & LEAF_USER) != 0;
	bool exec = (leaf & LEAF_EXEC) != 0;

	assert_int_equal(e & 3, level == 0 ? 3 : 1);
	/* MAIR indexes 4 to 7. */
	assert_int_equal(e >> 2 & 7, 4 + isa_cache(leaf >> LEAF_CACHE_SHIFT & 3));
	assert_false(BIT(e, 5)); /* NS */
	assert_int_equal(BIT(e, 6), user);
	assert_int_equal(BIT(e, 7), !((leaf & LEAF_WRITE) != 0 && (leaf & LEAF_DIRTY) != 0));
	if (!lpa2) {
		assert_int_equal(e >> 8 & 3, 3);
		assert_int_equal(e >> 48 & 7, 0);
	}
	assert_int_equal(BIT(e, 10), (leaf & LEAF_ACCESSED) != 0);
	assert_int_equal(BIT(e, 11), (leaf & LEAF_GLOBAL) == 0);
	assert_false(BIT(e, 50)); /* GP */
	assert_int_equal(BIT(e, 51), (leaf & LEAF_WRITE) != 0 && hardware);
	assert_int_equal(BIT(e, 52), (leaf & LEAF_CONTIG) != 0 && level <= 1);
	/* A user leaf never for EL1, a kernel leaf never for EL0. */
	assert_int_equal(BIT(e, 53), user || !exec);
	assert_int_equal(BIT(e, 54), !user || !exec);
	assert_int_equal(e >> 59, 0);
}

static void isa_check_table(arch_pte_t e, bool user)
{
	assert_int_equal(e & 3, 3);
	assert_int_equal(e >> 59, user ? 1 : 6); /* PXNTable, or UXNTable and APTable: no EL0 access */
}

static void isa_tests(void **state)
{
	arch_pte_t host =
	    UINT64_C(0x0060000040000705); /* EL1 write-back block at MAIR index 1, shared, AF, PXN, UXN */

	(void)state;
	/*
	 * The host's own MAIR indexes read as the probe found them: device, write-back, non-cacheable,
	 * write-through.
	 */
	vmem_mmu.features |=
	    (VMEM_UNCACHED | VMEM_WRITE_BACK << 2 | VMEM_WRITE_COMBINING << 4 | VMEM_WRITE_THROUGH << 6)
	    << ARCH_HOST_ATTR_SHIFT;
	assert_int_equal(arch_pte_leaf(host & ~UINT64_C(0x1c), 1) >> LEAF_CACHE_SHIFT & 3, VMEM_UNCACHED);
	assert_int_equal(arch_pte_leaf(host, 1) >> LEAF_CACHE_SHIFT & 3, VMEM_WRITE_BACK);
	assert_int_equal(arch_pte_leaf((host & ~UINT64_C(0x1c)) | 2 << 2, 1) >> LEAF_CACHE_SHIFT & 3,
	    VMEM_WRITE_COMBINING);
	assert_int_equal(
	    arch_pte_leaf((host & ~UINT64_C(0x1c)) | 3 << 2, 1) >> LEAF_CACHE_SHIFT & 3, VMEM_WRITE_THROUGH);
	/* A host's writable leaf has no software bit: AP[2]=0 is enough, and says dirty. */
	assert_int_equal(
	    arch_pte_leaf(host, 1) & (LEAF_WRITE | LEAF_DIRTY | LEAF_EXEC | LEAF_USER | LEAF_GLOBAL),
	    LEAF_WRITE | LEAF_DIRTY | LEAF_GLOBAL);
	/* Restricting keeps what the codec does not know: the attribute index and the guarded-page bit. */
	assert_int_equal(
	    arch_pte_restrict(host | UINT64_C(1) << 50, 1, ~(uint32_t)LEAF_WRITE) & ~(UINT64_C(1) << 55),
	    host | UINT64_C(1) << 50 | 1 << 7);
	/* Shareability is a break; bits 58:55 are software's and owe nothing. */
	if ((vmem_mmu.features & ARCH_FEATURE_LPA2) == 0) {
		assert_int_equal(arch_pte_duty(host, host & ~UINT64_C(0x300), 1), ARCH_DUTY_BREAK);
	}
	assert_int_equal(arch_pte_duty(host, host | UINT64_C(15) << 55, 1), ARCH_DUTY_NONE);
	/* A table's hierarchical permissions. */
	assert_int_equal(arch_pte_duty(0x5003, 0x5003 | UINT64_C(1) << 59, 1), ARCH_DUTY_FLUSH);
	assert_int_equal(arch_pte_duty(0x5003 | UINT64_C(1) << 61, 0x5003, 2), ARCH_DUTY_NONE);
	assert_false(arch_pte_is_leaf(host & ~UINT64_C(1), 1));
	assert_false(arch_pte_is_leaf(host, 0)); /* bits 1:0 = 01 is reserved in the last level */
}
