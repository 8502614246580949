/* SPDX-License-Identifier: MIT */
/*
 * arch_pte.h - the RISC-V entry codec: Sv39, Sv48 and Sv57, whose entries are the same.
 *
 * The idea: the architecture's bits are the neutral form's. A leaf is told from a table by its permissions
 * alone, so a leaf without any cannot exist.
 *
 * C1. An entry that is not present is zero; so is what would be left of a leaf that lost its last
 *     permission.
 * C2. W without R is reserved: such a leaf gets R, and PTE_SW_NOREAD remembers the wish. X without R is as
 *     asked.
 * C3. A and D are as given. Without MMU_HW_DIRTY (Svade) an access through A=0, or a store through D=0,
 *     faults; with it (Svadu) the hardware sets them. D on a leaf without W only says that the page was
 *     written: no encoding of a shadow stack uses it (Zicfiss takes R=0, W=1, X=0).
 * C4. PBMT (bits 62:61) is written with Svpbmt, N (bit 63) with Svnapot, and is zero otherwise: there the
 *     bits are reserved.
 * C5. All 16 entries of a Svnapot run are the same word: the page's place in the run is not in it
 *     (arch_pte_pa_at).
 */
#ifndef VMEM_ARCH_PTE_H
#define VMEM_ARCH_PTE_H

#define ARCH_BYTE_ATOMICS 0
#define ARCH_LEVEL_BITS 9u
#define ARCH_TABLE_ENTRIES 512u
#define ARCH_CONTIG_PAGES 16u

/*
 * A batch of more leaves than this is a flush of the whole id. There are harts that take a fence of one
 * address for a fence of all, QEMU's among them; measured there, 256 pages in use are found anew in the time
 * that 30 to 35 fences take (DESIGN.md). Linux stops at 64 (arch/riscv/mm/tlbflush.c).
 */
#define ARCH_FLUSH_PAGES 32u

#define ARCH_FEATURE_SVPBMT (1u << MMU_FEATURE_ISA_SHIFT)
#define ARCH_FEATURE_SVNAPOT (2u << MMU_FEATURE_ISA_SHIFT)
#define ARCH_FEATURE_SVINVAL (4u << MMU_FEATURE_ISA_SHIFT)

/* Privileged specification, "Sv39: Addressing and Memory Protection". */
#define PTE_V (UINT64_C(1) << 0)
#define PTE_R (UINT64_C(1) << 1)
#define PTE_W (UINT64_C(1) << 2)
#define PTE_X (UINT64_C(1) << 3)
#define PTE_U (UINT64_C(1) << 4)
#define PTE_G (UINT64_C(1) << 5)
#define PTE_A (UINT64_C(1) << 6)
#define PTE_D (UINT64_C(1) << 7)
#define PTE_SW_NOREAD (UINT64_C(1) << 8) /* bits 9:8 are for software */
#define PTE_PPN UINT64_C(0x003ffffffffffc00)
#define PTE_NAPOT_PAGES UINT64_C(0x3c00) /* ppn[3:0]: 1000 says 16 pages */
#define PTE_NAPOT_16 UINT64_C(0x2000)
#define PTE_PBMT_NC (UINT64_C(1) << 61)
#define PTE_PBMT (UINT64_C(3) << 61)
#define PBMT_ENCODE 0x90u /* of each vmem_cache_t, two bits: 0 as the platform has it, 1 NC, 2 IO */
#define PTE_N (UINT64_C(1) << 63)

static inline bool arch_pte_present(arch_pte_t e)
{
	return (e & PTE_V) != 0;
}

static inline bool arch_pte_is_leaf(arch_pte_t e, unsigned level)
{
	(void)level;
	return arch_pte_present(e) && (e & (PTE_R | PTE_W | PTE_X)) != 0;
}

/* In a table entry U, A and D are reserved, and there is no permission to give: only leaves say "user". */
static inline arch_pte_t arch_pte_make_table(vmem_paddr_t table, bool user)
{
	(void)user;
	return table >> 2 | PTE_V;
}

/*
 * Without Svpbmt the platform's own attributes (PMA) rule, and every wish becomes "as the platform has it".
 * With it, write-through has no encoding and becomes non-cacheable, which delays no store that write-through
 * would not.
 */
static inline vmem_cache_t arch_leaf_cache(vmem_cache_t wanted)
{
	if ((vmem_mmu.features & ARCH_FEATURE_SVPBMT) == 0) {
		return VMEM_WRITE_BACK;
	}
	return wanted == VMEM_WRITE_THROUGH ? VMEM_WRITE_COMBINING : wanted;
}

static inline arch_pte_t arch_pte_cache_bits(uint32_t leaf)
{
	vmem_cache_t cache = arch_leaf_cache((vmem_cache_t)((leaf & LEAF_CACHE_MASK) >> LEAF_CACHE_SHIFT));

	return (arch_pte_t)(PBMT_ENCODE >> (2 * (unsigned)cache) & 3) << 61;
}

static inline arch_pte_t arch_pte_make_leaf(vmem_paddr_t pa, unsigned level, uint32_t leaf)
{
	arch_pte_t e = pa >> 2 | PTE_V;

	if ((leaf & VMEM_RWX) == 0) {
		return 0;
	}
	e |= (leaf & LEAF_READ) != 0 ? PTE_R : 0;
	if ((leaf & LEAF_WRITE) != 0) {
		e |= PTE_W | PTE_R | ((leaf & LEAF_READ) != 0 ? 0 : PTE_SW_NOREAD);
	}
	e |= (leaf & LEAF_EXEC) != 0 ? PTE_X : 0;
	e |= (leaf & LEAF_USER) != 0 ? PTE_U : 0;
	e |= (leaf & LEAF_GLOBAL) != 0 ? PTE_G : 0;
	e |= (leaf & LEAF_ACCESSED) != 0 ? PTE_A : 0;
	e |= (leaf & LEAF_DIRTY) != 0 ? PTE_D : 0;
	if ((leaf & LEAF_CACHE_MASK) != 0) {
		e |= arch_pte_cache_bits(leaf);
	}
	if ((leaf & LEAF_CONTIG) != 0 && level == 0 && (vmem_mmu.features & ARCH_FEATURE_SVNAPOT) != 0) {
		e = (e & ~PTE_NAPOT_PAGES) | PTE_NAPOT_16 | PTE_N;
	}
	return e;
}

/* Of a run: of a page inside it (C5). */
static inline vmem_paddr_t arch_pte_pa(arch_pte_t e, unsigned level)
{
	(void)level;
	return (e & PTE_PPN) << 2;
}

static inline bool arch_leaf_contig(void)
{
	return (vmem_mmu.features & ARCH_FEATURE_SVNAPOT) != 0;
}

static inline bool arch_pte_contig(arch_pte_t e)
{
	return (e & PTE_N) != 0;
}

static inline arch_pte_t arch_pte_unfold(arch_pte_t e, unsigned level, vmem_vaddr_t va)
{
	(void)level;
	return (e & ~(PTE_N | PTE_NAPOT_PAGES)) | (va >> 2 & PTE_NAPOT_PAGES);
}

static inline uint32_t arch_pte_leaf(arch_pte_t e, unsigned level)
{
	uint32_t leaf = 0;

	(void)level;
	leaf |= (e & (PTE_R | PTE_SW_NOREAD)) == PTE_R ? LEAF_READ : 0;
	leaf |= (e & PTE_W) != 0 ? LEAF_WRITE : 0;
	leaf |= (e & PTE_X) != 0 ? LEAF_EXEC : 0;
	leaf |= (e & PTE_U) != 0 ? LEAF_USER : 0;
	leaf |= (e & PTE_G) != 0 ? LEAF_GLOBAL : 0;
	leaf |= (e & PTE_A) != 0 ? LEAF_ACCESSED : 0;
	leaf |= (e & PTE_D) != 0 ? LEAF_DIRTY : 0;
	leaf |= (e & PTE_N) != 0 ? LEAF_CONTIG : 0;
	if ((e & PTE_PBMT) != 0) {
		leaf |= (uint32_t)((e & PTE_PBMT_NC) != 0 ? VMEM_WRITE_COMBINING : VMEM_UNCACHED)
			<< LEAF_CACHE_SHIFT;
	}
	return leaf;
}

static inline uint32_t arch_pte_marks(arch_pte_t e)
{
	_Static_assert(PTE_A >> 1 == LEAF_ACCESSED && PTE_D >> 1 == LEAF_DIRTY, "marks are A and D, shifted");
	return (uint32_t)(e >> 1) & (LEAF_ACCESSED | LEAF_DIRTY);
}

static inline arch_pte_t arch_pte_restrict(arch_pte_t e, unsigned level, uint32_t keep)
{
	(void)level;
	if ((keep & LEAF_READ) == 0 && (e & PTE_R) != 0) {
		e |= PTE_SW_NOREAD;
	}
	if ((keep & LEAF_WRITE) == 0) {
		e &= ~PTE_W;
	}
	if ((keep & LEAF_EXEC) == 0) {
		e &= ~PTE_X;
	}
	/* Without W nothing forces R any more (C2). */
	if ((e & (PTE_W | PTE_SW_NOREAD)) == PTE_SW_NOREAD) {
		e &= ~(PTE_R | PTE_SW_NOREAD);
	}
	if ((keep & LEAF_ACCESSED) == 0) {
		e &= ~PTE_A;
	}
	if ((keep & LEAF_DIRTY) == 0) {
		e &= ~PTE_D;
	}
	return (e & (PTE_R | PTE_W | PTE_X)) != 0 ? e : 0;
}

/*
 * Privileged specification, "Supervisor Memory-Management Fence Instruction": any translation that was valid
 * since the last fence may be used, of either size; so what the old entry allowed and the new one does not
 * owes a flush. A change of the memory type must not let two types be live (Svpbmt), and all of a Svnapot run
 * are invalid before it changes (Svnapot): both take a break. An old invalid entry may also be cached here:
 * the caller handles that (MMU_CACHES_INVALID).
 */
static inline enum arch_duty arch_pte_duty(arch_pte_t from, arch_pte_t to, unsigned level)
{
	arch_pte_t lost = from & ~to;
	arch_pte_t changed = from ^ to;

	if (!arch_pte_present(from) || changed == 0) {
		return ARCH_DUTY_NONE;
	}
	if (!arch_pte_present(to) || arch_pte_is_leaf(from, level) != arch_pte_is_leaf(to, level)) {
		return ARCH_DUTY_FLUSH;
	}
	if ((changed & (PTE_PBMT | PTE_N)) != 0 || ((from & PTE_N) != 0 && (changed & PTE_PPN) != 0)) {
		return ARCH_DUTY_BREAK;
	}
	/* U either way: to the supervisor, U=0 grants what U=1 does not. */
	if ((changed & (PTE_PPN | PTE_U | PTE_G)) != 0 || (lost & (PTE_R | PTE_W | PTE_X)) != 0) {
		return ARCH_DUTY_FLUSH;
	}
	/* A D that is cached as set would not be set again by the next store. */
	return (lost & PTE_D) != 0 && (from & PTE_W) != 0 ? ARCH_DUTY_FLUSH : ARCH_DUTY_NONE;
}

static inline bool arch_leaf_grants(uint32_t leaf, unsigned access)
{
	bool software = (vmem_mmu.features & MMU_HW_DIRTY) == 0;
	uint32_t granted = leaf & VMEM_RWX;

	granted |= (leaf & LEAF_WRITE) != 0 ? LEAF_READ : 0;
	if (software && (leaf & LEAF_DIRTY) == 0) {
		granted &= ~(uint32_t)LEAF_WRITE;
	}
	if (software && (leaf & LEAF_ACCESSED) == 0) {
		granted = 0;
	}
	return (access & ~granted) == 0;
}

#endif
