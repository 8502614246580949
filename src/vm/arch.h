/* SPDX-License-Identifier: MIT */
/*
 * arch.h - the waist below the walker: what src/arch/<isa> supplies.
 *
 * Two halves. The codec (arch_pte.h, static inline) is pure: it makes, reads and compares entries, and
 * compiles on any machine. The effects (mmu.c) touch the CPU: hosted tests replace them by the software
 * machine's.
 *
 * Levels count from the leaf: level 0 maps one page, level 1 maps 512 of them, ... The root is level
 * vmem_mmu.levels - 1.
 */
#ifndef VMEM_ARCH_H
#define VMEM_ARCH_H

#include <vmem/types.h>

typedef uint64_t arch_pte_t; /* one entry, as the hardware sees it; always stored with one full-width store */

/* What a leaf grants and carries: the codec's neutral form of a leaf entry's attributes. */
enum {
	LEAF_READ = VMEM_READ,
	LEAF_WRITE = VMEM_WRITE, /* stores are permitted; without LEAF_DIRTY the hardware may still fault on,
				    or record, the first */
	LEAF_EXEC = VMEM_EXEC,
	LEAF_USER =
	    1u << 3, /* reachable from user mode; execution then never from supervisor mode, and vice versa */
	LEAF_GLOBAL = 1u << 4,	 /* survives a change of address-space id; kernel mappings only */
	LEAF_ACCESSED = 1u << 5, /* set when made, unless the caller wants to see the next access */
	LEAF_DIRTY = 1u << 6,	 /* a store has happened or is about to */
	LEAF_CONTIG =
	    1u << 7, /* a hint: member of a full naturally aligned run (16 pages) with equal attributes */
	LEAF_CACHE_SHIFT = 8, /* two bits: vmem_cache_t */
	LEAF_CACHE_MASK = 3u << LEAF_CACHE_SHIFT,
};

/* What a change of one entry owes the TLB before anybody may rely on it. */
enum arch_duty {
	ARCH_DUTY_NONE,	 /* nothing (a stricter translation may linger: spurious faults) */
	ARCH_DUTY_FLUSH, /* flush the address after the store */
	ARCH_DUTY_BREAK, /* store an invalid entry, flush, complete; only then store the new one */
};

/* What the MMU is: filled once by vmem_arch_probe(), read by codec and walker. */
struct vmem_mmu {
	uint8_t levels;	     /* 3 to 5 */
	uint8_t va_bits;     /* user and kernel halves together: 39, 48, 52 or 57 */
	uint8_t pa_bits;     /* physical addresses the entries can hold on this CPU */
	uint8_t asid_bits;   /* 0: no address-space ids; every activation flushes */
	uint8_t leaf_levels; /* bit n: level n may hold leaves (bit 0 always) */
	uint8_t cache_types; /* bit n: vmem_cache_t n exists in the entry (others fall back to a stricter one;
				see arch_leaf_cache) */
	uint32_t features;
};
enum {
	MMU_HW_DIRTY =
	    1u << 0, /* hardware sets accessed and dirty; else the first access of each kind faults */
	MMU_SPLIT_ROOTS = 1u << 1, /* the kernel half has a root register of its own (AArch64) */
	MMU_BROADCAST = 1u << 2,   /* vmem_arch_flush reaches all CPUs by itself (AArch64) */
	MMU_CACHES_INVALID =
	    1u
	    << 3, /* invalid entries may be cached: a new kernel mapping needs a flush before use (RISC-V) */
	MMU_NX = 1u << 4, /* entries can forbid execution (always set but on an x86-64 without NX) */
	MMU_LIVE_SPLIT =
	    1u << 5, /* a live leaf may be replaced by a table of equal translations without a break */
	MMU_ICACHE_LOCAL = 1u << 6, /* instruction fetch is made coherent CPU by CPU (RISC-V) */
	MMU_FEATURE_ISA_SHIFT = 16, /* bits 16 up belong to the ISA: ARCH_FEATURE_* in its arch_pte.h */
};
extern struct vmem_mmu vmem_mmu;

/* A flush request. Lengths count pages of level `level`. */
struct arch_flush {
	vmem_vaddr_t start; /* aligned to the stride */
	uint64_t pages;	    /* leaves of size `level` from start on; ignored with FLUSH_SPACE */
	uint32_t asid;	    /* the hardware id of the space; ignored with FLUSH_GLOBAL */
	uint8_t level;	    /* the stride: smallest level at which a leaf was removed in the range */
	uint8_t flags;
};
enum {
	FLUSH_SPACE = 1u << 0, /* everything of the id, tables included */
	FLUSH_TABLES = 1u << 1, /* table entries changed: upper-level entries go too */
	FLUSH_GLOBAL = 1u << 2, /* kernel translations; with FLUSH_SPACE: all there is */
};

/*
 * The codec, in src/arch/<isa>/arch_pte.h. All pure, but for reading vmem_mmu.
 *
 *   bool arch_pte_present(arch_pte_t e)
 *	hardware may translate through it
 *   bool arch_pte_is_leaf(arch_pte_t e, unsigned level)
 *	present, and maps memory at this level
 *   arch_pte_t arch_pte_make_table(vmem_paddr_t table, bool user)
 *	an entry that points to a lower table
 *   arch_pte_t arch_pte_make_leaf(vmem_paddr_t pa, unsigned level, uint32_t leaf)
 *	0, not present, for a leaf without permissions
 *   vmem_paddr_t arch_pte_pa(arch_pte_t e, unsigned level)
 *	of a leaf or a table entry (LEAF_CONTIG: see arch_pte_pa_at)
 *   bool arch_pte_contig(arch_pte_t e)
 *	of a leaf: LEAF_CONTIG; false, always, on an ISA without such a bit
 *   arch_pte_t arch_pte_unfold(arch_pte_t e, unsigned level, vmem_vaddr_t va)
 *	a LEAF_CONTIG leaf as a leaf of its own, the same page at `va` with the same attributes
 *   uint32_t arch_pte_leaf(arch_pte_t e, unsigned level)
 *	LEAF_* of a leaf: what make_leaf was given, accessed and dirty as now
 *   uint32_t arch_pte_marks(arch_pte_t e)
 *	LEAF_ACCESSED and LEAF_DIRTY of a leaf, as arch_pte_leaf() says them: what a removal keeps
 *   arch_pte_t arch_pte_restrict(arch_pte_t e, unsigned level, uint32_t keep)
 *	the same leaf with permissions (and LEAF_DIRTY, LEAF_ACCESSED) cut down to the bits in `keep`;
 *	dirty is never lost by it unless LEAF_DIRTY is absent from keep (the caller has harvested it),
 *	or no permission is left: then the result is 0
 *   enum arch_duty arch_pte_duty(arch_pte_t from, arch_pte_t to, unsigned level)
 *   bool arch_leaf_contig(void)
 *	this CPU can have LEAF_CONTIG in level 0
 *   vmem_cache_t arch_leaf_cache(vmem_cache_t wanted)
 *	what this CPU really gives for an attribute (never weaker ordered)
 *   bool arch_leaf_grants(uint32_t leaf, unsigned access)
 *	the hardware lets `access` (VMEM_READ..) through (x86: W and X imply R; RISC-V: W implies R;
 *	a clean leaf without MMU_HW_DIRTY refuses W, an old one all)
 *
 * Constants: ARCH_LEVEL_BITS (9), ARCH_TABLE_ENTRIES (512), ARCH_CONTIG_PAGES (16), ARCH_FLUSH_PAGES
 * (vmem_flush_pages, unless the host has measured another), ARCH_BYTE_ATOMICS (0 where atomic
 * operations are on words only, and the compiler makes one of an atomic store: RISC-V).
 */

/* Effects, in src/arch/<isa>/mmu.c; none fails, none sleeps. */

/*
 * Fills vmem_mmu from what this CPU is and how it runs now (paging mode, NXE, TCR, satp ...) and from
 * `isa_features`, what the CPU does not tell (struct vmem_config); probing leaves no trace. Once, on the
 * boot CPU, before every other effect.
 */
void vmem_arch_probe(struct vmem_mmu *out, uint32_t isa_features);
/* Makes this CPU run as vmem_mmu says (PAT, MAIR, global pages, address-space ids, hardware dirty); once on
 * every CPU, after probe. */
void vmem_arch_cpu_init(void);
/* The root table the CPU now walks for the kernel half (x86-64, RISC-V: the only one). */
vmem_paddr_t vmem_arch_kernel_root(void);
/* Makes `root` the user root of this CPU under `asid`; flush: first forget what `asid` may have here. root
 * 0: no user mappings. */
void vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush);
/* Orders entry stores before later walks by this CPU (and, on AArch64, all); it is not a flush. */
void vmem_arch_publish(void);
/* Flushes on this CPU; on all CPUs where MMU_BROADCAST. Complete when it returns. */
void vmem_arch_flush(const struct arch_flush *flush);
/* Makes stores to [kva, kva + length) visible to instruction fetch: on this CPU, or all where the ISA
 * broadcasts. */
void vmem_arch_icache_sync(const void *kva, size_t length);
/* Writes back and drops the range from the data caches: before its frames get another cache attribute. */
void vmem_arch_dcache_clean(const void *kva, size_t length);
/* The fastest clear and copy of one page (both page aligned); this is where a fault spends its time. */
void vmem_arch_page_clear(void *page);
void vmem_arch_page_copy(void *to, const void *from);
#if VMEM_MAX_CPUS > 1
/* One turn of a loop that waits for another CPU. */
void vmem_arch_pause(void);
#endif

#include "arch_pte.h" /* from src/arch/<isa>, by the include path */

/* The number of address bits below a level's index. */
static inline unsigned arch_level_shift(unsigned level)
{
	return VMEM_PAGE_SHIFT + ARCH_LEVEL_BITS * level;
}

static inline uint64_t arch_level_size(unsigned level)
{
	return UINT64_C(1) << arch_level_shift(level);
}

/*
 * The physical address of the page (of the level's size) at `va` that leaf `e` maps. For a LEAF_CONTIG leaf
 * arch_pte_pa() only promises an address inside the run: where all entries of a run are the same word
 * (Svnapot), the place comes from `va`.
 */
static inline vmem_paddr_t arch_pte_pa_at(arch_pte_t e, unsigned level, vmem_vaddr_t va)
{
	vmem_paddr_t pa = arch_pte_pa(e, level);
	uint64_t run = arch_level_size(level) * ARCH_CONTIG_PAGES - 1;
	uint64_t page = arch_level_size(level) - 1;

	return arch_pte_contig(e) ? (pa & ~run) | (va & run & ~page) : pa;
}

#endif
