/* SPDX-License-Identifier: MIT */
/*
 * arch_pte.h - the AArch64 descriptor codec: stage 1, 4 KiB granule, 4 levels (48 bits) or, with FEAT_LPA2,
 * 5 (52 bits). Our level 0 is the architecture's level 3, our level 3 its level 0, our level 4 its level
 * -1.
 *
 * The idea: DBM and AP[2] together say writable and dirty. Where the hardware does not manage them (no
 * FEAT_HAFDBS) bit 51 stays clear and a software bit says "writable, but the first store must fault".
 *
 * C1. An entry that is not present is zero.
 * C2. Writable and dirty: AP[2]=0. Writable and clean: AP[2]=1 with DBM (hardware clears AP[2] at the first
 *     store) or with PTE_SW_WRITE (the store faults). Not writable: AP[2]=1 and neither, because DBM would
 *     undo AP[2]; dirt that is left is in PTE_SW_DIRTY.
 * C3. A user leaf has PXN, a kernel leaf UXN. Executable and writable alone still let EL0 read:
 *     execute-only would clear AP[1], and then privileged-access-never no longer keeps the kernel out
 *     (FEAT_PAN without FEAT_PAN3).
 * C4. Memory types are MAIR indexes 4 to 7, which vmem_arch_cpu_init() programs; 0 to 3 belong to the
 *     host's own tables, and what they mean is in vmem_mmu.features, two bits each.
 * C5. With TCR.DS=1 (ARCH_FEATURE_LPA2) bits 9:8 are address bits 51:50 and the shareability is TCR's;
 *     otherwise they are the shareability, inner.
 */
#ifndef VMEM_ARCH_PTE_H
#define VMEM_ARCH_PTE_H

#define ARCH_BYTE_ATOMICS 1
#define ARCH_LEVEL_BITS 9u
#define ARCH_TABLE_ENTRIES 512u
#define ARCH_CONTIG_PAGES 16u

/*
 * A batch of more leaves than this is a flush of the whole id. Each TLBI is a broadcast that every CPU
 * answers, whether it runs the space or not. Measured in an emulator: 256 pages in use are found anew in the
 * time that 59 to 136 of them take (DESIGN.md). Linux goes up to 512.
 */
#define ARCH_FLUSH_PAGES 64u

#define ARCH_FEATURE_LPA2 (1u << MMU_FEATURE_ISA_SHIFT)
#define ARCH_HOST_ATTR_SHIFT 24u /* vmem_cache_t of MAIR indexes 0 to 3 */

/* DDI 0487, D8.3 "Translation table descriptor formats". */
#define PTE_VALID (UINT64_C(1) << 0)
#define PTE_TYPE (UINT64_C(1) << 1) /* level 0: a page (must be 1); above: 1 table, 0 block */
#define PTE_ATTR_SHIFT 2u
#define PTE_ATTR (UINT64_C(7) << PTE_ATTR_SHIFT)
#define PTE_AP_USER (UINT64_C(1) << 6)	   /* AP[1] */
#define PTE_AP_READONLY (UINT64_C(1) << 7) /* AP[2] */
#define PTE_SH (UINT64_C(3) << 8)	   /* or address bits 51:50 (C5) */
#define PTE_AF (UINT64_C(1) << 10)
#define PTE_NG (UINT64_C(1) << 11)
#define PTE_DBM (UINT64_C(1) << 51)
#define PTE_CONTIG (UINT64_C(1) << 52)
#define PTE_PXN (UINT64_C(1) << 53)
#define PTE_UXN (UINT64_C(1) << 54)
#define PTE_SW_DIRTY (UINT64_C(1) << 55) /* bits 55 to 58 are for software */
#define PTE_SW_WRITE (UINT64_C(1) << 56)
#define PTE_SW_NOREAD (UINT64_C(1) << 57) /* made without LEAF_READ */
#define PTE_TABLE_PXN (UINT64_C(1) << 59)
#define PTE_TABLE_UXN (UINT64_C(1) << 60)
#define PTE_TABLE_NO_EL0 (UINT64_C(1) << 61)
#define PTE_ADDRESS_48 UINT64_C(0x0000fffffffff000)
#define PTE_ADDRESS_50 UINT64_C(0x0003fffffffff000)

#define MAIR_OURS 4u /* index of VMEM_WRITE_BACK; the others follow in the order of vmem_cache_t */
#define ATTR_DECODE                                                                                          \
	0xe400u /* what indexes 4 to 7 mean, two bits each; 0 to 3 are filled in from the features */

static inline bool arch_pte_present(arch_pte_t e)
{
	return (e & PTE_VALID) != 0;
}

static inline bool arch_pte_is_leaf(arch_pte_t e, unsigned level)
{
	return arch_pte_present(e) && ((e & PTE_TYPE) != 0) == (level == 0);
}

static inline arch_pte_t arch_pte_address_bits(vmem_paddr_t pa)
{
	if ((vmem_mmu.features & ARCH_FEATURE_LPA2) != 0) {
		return (pa & PTE_ADDRESS_50) | (pa >> 50 & 3) << 8;
	}
	return pa & PTE_ADDRESS_48;
}

/* The hierarchical bits only repeat what every leaf below says (C3). */
static inline arch_pte_t arch_pte_make_table(vmem_paddr_t table, bool user)
{
	return arch_pte_address_bits(table) | PTE_VALID | PTE_TYPE |
	       (user ? PTE_TABLE_PXN : PTE_TABLE_UXN | PTE_TABLE_NO_EL0);
}

static inline vmem_cache_t arch_leaf_cache(vmem_cache_t wanted)
{
	return ((unsigned)vmem_mmu.cache_types >> (unsigned)wanted & 1) != 0 ? wanted : VMEM_UNCACHED;
}

/* The bit that says "writable" while AP[2] cannot (C2); a dirty leaf has it too. */
static inline arch_pte_t arch_pte_writable(void)
{
	return (vmem_mmu.features & MMU_HW_DIRTY) != 0 ? PTE_DBM : PTE_SW_WRITE;
}

static inline arch_pte_t arch_pte_make_leaf(vmem_paddr_t pa, unsigned level, uint32_t leaf)
{
	arch_pte_t e = arch_pte_address_bits(pa) | PTE_VALID | (level == 0 ? PTE_TYPE : 0);
	vmem_cache_t cache = arch_leaf_cache((vmem_cache_t)((leaf & LEAF_CACHE_MASK) >> LEAF_CACHE_SHIFT));
	arch_pte_t exec = (leaf & LEAF_EXEC) != 0 ? 0 : PTE_PXN | PTE_UXN;

	if ((leaf & VMEM_RWX) == 0) {
		return 0;
	}
	e |= (arch_pte_t)(MAIR_OURS + (unsigned)cache) << PTE_ATTR_SHIFT;
	e |= (vmem_mmu.features & ARCH_FEATURE_LPA2) != 0 ? 0 : PTE_SH;
	e |= (leaf & LEAF_USER) != 0 ? PTE_AP_USER | PTE_PXN : PTE_UXN;
	e |= exec;
	if ((leaf & LEAF_WRITE) == 0) {
		e |= PTE_AP_READONLY | ((leaf & LEAF_DIRTY) != 0 ? PTE_SW_DIRTY : 0);
	} else {
		e |= arch_pte_writable() | ((leaf & LEAF_DIRTY) != 0 ? 0 : PTE_AP_READONLY);
	}
	e |= (leaf & LEAF_READ) != 0 ? 0 : PTE_SW_NOREAD;
	e |= (leaf & LEAF_GLOBAL) != 0 ? 0 : PTE_NG;
	e |= (leaf & LEAF_ACCESSED) != 0 ? PTE_AF : 0;
	e |= (leaf & LEAF_CONTIG) != 0 && level <= 1 ? PTE_CONTIG : 0;
	return e;
}

static inline vmem_paddr_t arch_pte_pa(arch_pte_t e, unsigned level)
{
	unsigned shift = arch_pte_is_leaf(e, level) ? 12 + 9 * level : 12;
	vmem_paddr_t pa = e & PTE_ADDRESS_48;

	if ((vmem_mmu.features & ARCH_FEATURE_LPA2) != 0) {
		pa = (e & PTE_ADDRESS_50) | (e & PTE_SH) >> 8 << 50;
	}
	return pa >> shift << shift;
}

static inline bool arch_leaf_contig(void)
{
	return true;
}

static inline bool arch_pte_contig(arch_pte_t e)
{
	return (e & PTE_CONTIG) != 0;
}

static inline arch_pte_t arch_pte_unfold(arch_pte_t e, unsigned level, vmem_vaddr_t va)
{
	(void)level;
	(void)va;
	return e & ~PTE_CONTIG;
}

static inline uint32_t arch_pte_leaf(arch_pte_t e, unsigned level)
{
	unsigned decode = vmem_mmu.features >> ARCH_HOST_ATTR_SHIFT | ATTR_DECODE;
	unsigned attr = (unsigned)((e & PTE_ATTR) >> PTE_ATTR_SHIFT);
	bool user = (e & PTE_AP_USER) != 0;
	uint32_t leaf = (decode >> (2 * attr) & 3) << LEAF_CACHE_SHIFT;

	(void)level;
	leaf |= (e & PTE_SW_NOREAD) != 0 ? 0 : LEAF_READ;
	if ((e & PTE_AP_READONLY) == 0) {
		leaf |= LEAF_WRITE | LEAF_DIRTY;
	} else {
		leaf |= (e & (PTE_DBM | PTE_SW_WRITE)) != 0 ? LEAF_WRITE : 0;
	}
	leaf |= (e & PTE_SW_DIRTY) != 0 ? LEAF_DIRTY : 0;
	leaf |= (e & (user ? PTE_UXN : PTE_PXN)) != 0 ? 0 : LEAF_EXEC;
	leaf |= user ? LEAF_USER : 0;
	leaf |= (e & PTE_NG) != 0 ? 0 : LEAF_GLOBAL;
	leaf |= (e & PTE_AF) != 0 ? LEAF_ACCESSED : 0;
	leaf |= (e & PTE_CONTIG) != 0 ? LEAF_CONTIG : 0;
	return leaf;
}

static inline uint32_t arch_pte_marks(arch_pte_t e)
{
	return ((e & PTE_AF) != 0 ? (uint32_t)LEAF_ACCESSED : 0) |
	       ((e & (PTE_AP_READONLY | PTE_SW_DIRTY)) != PTE_AP_READONLY ? (uint32_t)LEAF_DIRTY : 0);
}

static inline arch_pte_t arch_pte_restrict(arch_pte_t e, unsigned level, uint32_t keep)
{
	(void)level;
	if ((keep & LEAF_DIRTY) == 0) {
		e |= (e & PTE_AP_READONLY) != 0 ? 0 : PTE_AP_READONLY | arch_pte_writable();
		e &= ~PTE_SW_DIRTY;
	}
	if ((keep & LEAF_WRITE) == 0) {
		e |= (e & PTE_AP_READONLY) != 0 ? 0 : PTE_AP_READONLY | PTE_SW_DIRTY;
		e &= ~(PTE_DBM | PTE_SW_WRITE);
	}
	if ((keep & LEAF_ACCESSED) == 0) {
		e &= ~PTE_AF;
	}
	if ((keep & LEAF_READ) == 0) {
		e |= PTE_SW_NOREAD;
	}
	if ((keep & LEAF_EXEC) == 0) {
		e |= PTE_UXN | PTE_PXN;
	}
	return (e & PTE_SW_NOREAD) != 0 && (arch_pte_leaf(e, level) & VMEM_RWX) == 0 ? 0 : e;
}

/*
 * DDI 0487, D8.16 "TLB maintenance", "Using break-before-make when updating translation table entries": a
 * break for another output address, block against table, memory type, shareability, nG and the contiguous
 * bit; none for permissions, AF and the dirty state. An invalid entry is never cached. One with AF=0 is not
 * either, but it may have been cached before AF was cleared, and clearing AF owes nothing: so it counts as
 * cached.
 */
static inline enum arch_duty arch_pte_duty(arch_pte_t from, arch_pte_t to, unsigned level)
{
	arch_pte_t lost = from & ~to;
	arch_pte_t gained = to & ~from;

	if (!arch_pte_present(from) || from == to) {
		return ARCH_DUTY_NONE;
	}
	if (!arch_pte_present(to)) {
		return ARCH_DUTY_FLUSH;
	}
	if (arch_pte_is_leaf(from, level) != arch_pte_is_leaf(to, level) ||
	    arch_pte_pa(from, level) != arch_pte_pa(to, level)) {
		return ARCH_DUTY_BREAK;
	}
	if (!arch_pte_is_leaf(from, level)) {
		return (gained & (PTE_TABLE_PXN | PTE_TABLE_UXN | PTE_TABLE_NO_EL0)) != 0 ? ARCH_DUTY_FLUSH
											  : ARCH_DUTY_NONE;
	}
	if (((lost | gained) & (PTE_ATTR | PTE_SH | PTE_NG | PTE_CONTIG)) != 0) {
		return ARCH_DUTY_BREAK;
	}
	if ((lost & (PTE_AP_USER | PTE_DBM)) != 0 || (gained & (PTE_AP_READONLY | PTE_PXN | PTE_UXN)) != 0) {
		return ARCH_DUTY_FLUSH;
	}
	return ARCH_DUTY_NONE;
}

static inline bool arch_leaf_grants(uint32_t leaf, unsigned access)
{
	bool software = (vmem_mmu.features & MMU_HW_DIRTY) == 0;

	if (software && (leaf & LEAF_ACCESSED) == 0) {
		return false;
	}
	if ((access & VMEM_WRITE) != 0 &&
	    ((leaf & LEAF_WRITE) == 0 || (software && (leaf & LEAF_DIRTY) == 0))) {
		return false;
	}
	if ((access & VMEM_EXEC) != 0 && (leaf & LEAF_EXEC) == 0) {
		return false;
	}
	return (leaf & VMEM_RWX) != 0;
}

#endif
