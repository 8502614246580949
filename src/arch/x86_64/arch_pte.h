/* SPDX-License-Identifier: MIT */
/*
 * arch_pte.h - the x86-64 entry codec: 4 KiB, 2 MiB and 1 GiB leaves, 4 or 5 levels.
 *
 * The idea: the entry holds the hardware's own bits wherever the hardware has one, and a bit that the
 * hardware ignores where it has none, so that arch_pte_leaf() gives back what arch_pte_make_leaf() was
 * given.
 *
 * C1. An entry that is not present is zero: no address bits that a speculative load could use (L1TF).
 * C2. D is set only with R/W. R/W=0, D=1 means "shadow stack" (SDM vol. 3A 4.6.1), so a dirty page that
 *     becomes read-only keeps its dirt in PTE_SW_DIRTY.
 * C3. PAT entries 0 to 3 keep their reset meaning, so live mappings of the host mean what they meant; entry
 *     5 is write-combining (vmem_arch_cpu_init). A CPU that ignored the PAT bit would take entry 1,
 *     write-through, for it.
 * C4. NX is set only where EFER.NXE is on (MMU_NX); elsewhere bit 63 is reserved and the wish goes into
 *     PTE_SW_NOEXEC.
 */
#ifndef VMEM_ARCH_PTE_H
#define VMEM_ARCH_PTE_H

#define ARCH_BYTE_ATOMICS 1
#define ARCH_LEVEL_BITS 9u
#define ARCH_TABLE_ENTRIES 512u
#define ARCH_CONTIG_PAGES 16u

/*
 * A batch of more leaves than this is a flush of the whole id. Measured on a machine: 256 pages in use are
 * found anew in the time that 18 to 37 INVLPG take (DESIGN.md). Linux stops there too (arch/x86/mm/tlb.c).
 */
#define ARCH_FLUSH_PAGES 33u

/* SDM vol. 3A 4.5, "formats of paging-structure entries". */
#define PTE_P (UINT64_C(1) << 0)
#define PTE_RW (UINT64_C(1) << 1)
#define PTE_US (UINT64_C(1) << 2)
#define PTE_PWT (UINT64_C(1) << 3)
#define PTE_PCD (UINT64_C(1) << 4)
#define PTE_A (UINT64_C(1) << 5)
#define PTE_D (UINT64_C(1) << 6)
#define PTE_PS (UINT64_C(1) << 7)	 /* levels 1 and up: a leaf */
#define PTE_PAT_SMALL (UINT64_C(1) << 7) /* level 0 */
#define PTE_PAT_LARGE (UINT64_C(1) << 12)
#define PTE_G (UINT64_C(1) << 8)
#define PTE_SW_DIRTY (UINT64_C(1) << 9) /* dirty, but not writable (C2) */
#define PTE_SW_NOREAD                                                                                        \
	(UINT64_C(1) << 10)		  /* made without LEAF_READ; readable all the same \
					   */
#define PTE_SW_NOEXEC (UINT64_C(1) << 11) /* made without LEAF_EXEC on a CPU without NX (C4) */
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)
#define PTE_NX (UINT64_C(1) << 63)

#define PTE_CACHE_INDEX (PTE_PWT | PTE_PCD)

/* What each PAT entry means to us, two bits each: WB WT UC- UC, WB WC UC- UC. */
#define PAT_DECODE 0xf8f4u
/* And the entry of each vmem_cache_t, four bits each. */
#define PAT_ENCODE 0x3510u

static inline bool arch_pte_present(arch_pte_t e)
{
	return (e & PTE_P) != 0;
}

static inline bool arch_pte_is_leaf(arch_pte_t e, unsigned level)
{
	return arch_pte_present(e) && (level == 0 || (e & PTE_PS) != 0);
}

/* Permissions of tables are granted in full: the leaf decides, but for a kernel table, which no user access
 * passes. */
static inline arch_pte_t arch_pte_make_table(vmem_paddr_t table, bool user)
{
	return table | PTE_P | PTE_RW | PTE_A | (user ? PTE_US : 0);
}

static inline vmem_cache_t arch_leaf_cache(vmem_cache_t wanted)
{
	return ((unsigned)vmem_mmu.cache_types >> (unsigned)wanted & 1) != 0 ? wanted : VMEM_UNCACHED;
}

static inline arch_pte_t arch_pte_noexec(void)
{
	return (vmem_mmu.features & MMU_NX) != 0 ? PTE_NX : PTE_SW_NOEXEC;
}

static inline arch_pte_t arch_pte_cache_bits(uint32_t leaf, unsigned level)
{
	unsigned cache =
	    (unsigned)arch_leaf_cache((vmem_cache_t)((leaf & LEAF_CACHE_MASK) >> LEAF_CACHE_SHIFT));
	arch_pte_t index = PAT_ENCODE >> (4 * cache) & 7;

	return (index & 3) << 3 | (index & 4) << (level == 0 ? 5 : 10);
}

static inline arch_pte_t arch_pte_make_leaf(vmem_paddr_t pa, unsigned level, uint32_t leaf)
{
	arch_pte_t e = pa | PTE_P | (level == 0 ? 0 : PTE_PS);

	if ((leaf & VMEM_RWX) == 0) {
		return 0;
	}
	if ((leaf & LEAF_WRITE) != 0) {
		e |= PTE_RW | ((leaf & LEAF_DIRTY) != 0 ? PTE_D : 0);
	} else {
		e |= (leaf & LEAF_DIRTY) != 0 ? PTE_SW_DIRTY : 0;
	}
	e |= (leaf & LEAF_READ) != 0 ? 0 : PTE_SW_NOREAD;
	e |= (leaf & LEAF_EXEC) != 0 ? 0 : arch_pte_noexec();
	e |= (leaf & LEAF_USER) != 0 ? PTE_US : 0;
	e |= (leaf & LEAF_GLOBAL) != 0 ? PTE_G : 0;
	e |= (leaf & LEAF_ACCESSED) != 0 ? PTE_A : 0;
	if ((leaf & LEAF_CACHE_MASK) != 0) {
		e |= arch_pte_cache_bits(leaf, level);
	}
	return e;
}

static inline vmem_paddr_t arch_pte_pa(arch_pte_t e, unsigned level)
{
	vmem_paddr_t pa = e & PTE_ADDRESS;

	return arch_pte_is_leaf(e, level) ? pa >> (12 + 9 * level) << (12 + 9 * level) : pa;
}

/* LEAF_CONTIG has no bit here and is dropped: CPUs that join neighbouring entries do so by looking at
 * them. */
static inline bool arch_leaf_contig(void)
{
	return false;
}

static inline bool arch_pte_contig(arch_pte_t e)
{
	(void)e;
	return false;
}

static inline arch_pte_t arch_pte_unfold(arch_pte_t e, unsigned level, vmem_vaddr_t va)
{
	(void)level;
	(void)va;
	return e;
}

static inline uint32_t arch_pte_leaf(arch_pte_t e, unsigned level)
{
	unsigned index = (unsigned)((e & PTE_CACHE_INDEX) >> 3);
	uint32_t leaf = 0;

	index |= (e & (level == 0 ? PTE_PAT_SMALL : PTE_PAT_LARGE)) != 0 ? 4 : 0;
	leaf |= (PAT_DECODE >> (2 * index) & 3) << LEAF_CACHE_SHIFT;
	leaf |= (e & PTE_SW_NOREAD) != 0 ? 0 : LEAF_READ;
	leaf |= (e & PTE_RW) != 0 ? LEAF_WRITE : 0;
	leaf |= (e & (PTE_NX | PTE_SW_NOEXEC)) != 0 ? 0 : LEAF_EXEC;
	leaf |= (e & PTE_US) != 0 ? LEAF_USER : 0;
	leaf |= (e & PTE_G) != 0 ? LEAF_GLOBAL : 0;
	leaf |= (e & PTE_A) != 0 ? LEAF_ACCESSED : 0;
	leaf |= (e & (PTE_D | PTE_SW_DIRTY)) != 0 ? LEAF_DIRTY : 0;
	return leaf;
}

static inline uint32_t arch_pte_marks(arch_pte_t e)
{
	return ((e & PTE_A) != 0 ? (uint32_t)LEAF_ACCESSED : 0) |
	       ((e & (PTE_D | PTE_SW_DIRTY)) != 0 ? (uint32_t)LEAF_DIRTY : 0);
}

static inline arch_pte_t arch_pte_restrict(arch_pte_t e, unsigned level, uint32_t keep)
{
	(void)level;
	if ((keep & LEAF_WRITE) == 0) {
		e |= (e & PTE_D) != 0 ? PTE_SW_DIRTY : 0;
		e &= ~(PTE_RW | PTE_D);
	}
	if ((keep & LEAF_DIRTY) == 0) {
		e &= ~(PTE_D | PTE_SW_DIRTY);
	}
	if ((keep & LEAF_ACCESSED) == 0) {
		e &= ~PTE_A;
	}
	if ((keep & LEAF_READ) == 0) {
		e |= PTE_SW_NOREAD;
	}
	if ((keep & LEAF_EXEC) == 0) {
		e |= arch_pte_noexec();
	}
	if ((e & (PTE_SW_NOREAD | PTE_RW)) == PTE_SW_NOREAD && (e & (PTE_NX | PTE_SW_NOEXEC)) != 0) {
		return 0;
	}
	return e;
}

/*
 * A processor may go on using the old translation until it is invalidated (SDM vol. 3A 4.10.2.2, 4.10.4.2);
 * it never keeps one of an entry that was not present (4.10.2.3), and it may use old and new sizes together
 * as long as they agree. Only a change of the memory type wants the mapping gone in between (12.12.4): two
 * types for one frame are never live.
 */
static inline enum arch_duty arch_pte_duty(arch_pte_t from, arch_pte_t to, unsigned level)
{
	arch_pte_t lost = from & ~to;
	arch_pte_t gained = to & ~from;
	arch_pte_t cache = PTE_CACHE_INDEX | (level == 0 ? PTE_PAT_SMALL : PTE_PAT_LARGE);

	if (!arch_pte_present(from) || from == to) {
		return ARCH_DUTY_NONE;
	}
	if (!arch_pte_present(to) || arch_pte_is_leaf(from, level) != arch_pte_is_leaf(to, level)) {
		return ARCH_DUTY_FLUSH;
	}
	if (arch_pte_is_leaf(from, level) && ((lost | gained) & cache) != 0) {
		return ARCH_DUTY_BREAK;
	}
	if (arch_pte_pa(from, level) != arch_pte_pa(to, level) || ((lost | gained) & PTE_G) != 0) {
		return ARCH_DUTY_FLUSH;
	}
	/* A dirty bit that is cached as set would not be set again (4.8); an accessed bit may be lost. */
	if ((lost & (PTE_RW | PTE_US | PTE_D)) != 0 || (gained & PTE_NX) != 0) {
		return ARCH_DUTY_FLUSH;
	}
	return ARCH_DUTY_NONE;
}

static inline bool arch_leaf_grants(uint32_t leaf, unsigned access)
{
	if ((access & VMEM_WRITE) != 0 && (leaf & LEAF_WRITE) == 0) {
		return false;
	}
	if ((access & VMEM_EXEC) != 0 && (leaf & LEAF_EXEC) == 0 && (vmem_mmu.features & MMU_NX) != 0) {
		return false;
	}
	return (leaf & VMEM_RWX) != 0;
}

#endif
