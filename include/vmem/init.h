/* SPDX-License-Identifier: MIT */
/**
 * @file init.h - starting the library.
 */
#ifndef VMEM_INIT_H
#define VMEM_INIT_H

#include <vmem/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** A range of RAM, bytes; ends are rounded inward to pages. */
struct vmem_ram {
	vmem_paddr_t start;
	uint64_t length;
};

/**
 * What a RISC-V hart has but S-mode cannot read: the host takes it from "riscv,isa" in the device tree. A
 * bit must be true of all harts. Without VMEM_RISCV_SVADU the first access and the first store of a page may
 * fault (Svade), and the library sets A and D.
 */
enum {
	VMEM_RISCV_SVADU =
	    1u << 0, /**< hardware updates A and D (menvcfg.ADUE is set, or the hart knows no other way) */
	VMEM_RISCV_SVPBMT = 1u << 1,  /**< memory types in the entry (menvcfg.PBMTE is set) */
	VMEM_RISCV_SVNAPOT = 1u << 2, /**< 64 KiB runs */
	VMEM_RISCV_SVINVAL = 1u << 3, /**< fine-grained invalidation */
};
enum {
	/**
	 * FEAT_BBM at level 2, on CPUs that raise no conflict abort when the size of a live leaf changes
	 * (the ID register does not tell): a part of a large kernel leaf may then change (DDI 0487, "Support
	 * levels for changing table or block size").
	 */
	VMEM_AARCH64_LIVE_SPLIT = 1u << 0,
};

/** What the host tells about its machine. Zero what does not apply. */
struct vmem_config {
	const struct vmem_ram
	    *ram; /**< free RAM: nothing in it is used by anybody; ranges may touch but not overlap */
	unsigned ram_count;	   /**< at most 32 */
	uint64_t direct_map;	   /**< all RAM is mapped, write-back, at physical address + this */
	vmem_vaddr_t kernel_start; /**< the part of the kernel half that the library manages (kernel.h); page
				      aligned */
	uint64_t kernel_length;	   /**< 0: none; kernel.h must then not be used */
	/**
	 * How many CPUs will ever run the library, as far as the host knows; 0: as many as it was built
	 * for. 1 is a promise: the one that calls vmem_library_init() is number 0, and no other ever calls
	 * vmem_library_init_cpu(). What only several need is left out then.
	 */
	unsigned cpus;
	/**
	 * How many pages, of any size, one flush forgets one by one at most: those from the first to the
	 * last that went in each of its ranges, holes included. Where it would be more, CPUs forget
	 * everything of the space instead, as they do in any case where the ISA knows no less. A few
	 * instructions each, without `pause` in between: hardly ever more than some hundreds. 0: what was
	 * measured for this ISA; a machine's own number: PORTING.md, "Flushes".
	 */
	uint32_t flush_pages;
	uint32_t isa_features;	   /**< VMEM_RISCV_*, VMEM_AARCH64_*; on x86-64 0 */
	uint64_t seed; /**< for random placement; from a real source of entropy where there is one */
	/**
	 * For a host that calls the library with interrupts off; NULL: none. A call whose length a program
	 * chooses (unmap, protect, decommit, fork, destroy, resize, ...) calls it each 30 000 instructions,
	 * about: it lets pending interrupts in, and returns. Context: amid a call, which may hold mutexes
	 * of the library but no spin lock. What it does neither calls the library, but for functions that
	 * came by vmem_host_cpu_call(), nor lets another thread run on this CPU.
	 */
	void (*pause)(void);
};

/**
 * Starts the library: probes the MMU, takes over the RAM, adopts the page tables that the CPU runs on (their
 * entries stay as they are; top-level entries of the managed kernel range are made now, so that every space
 * can share them). Context: once, on the boot CPU, before any other call. Errors: INVALID, NO_MEMORY (too
 * little RAM for the records).
 */
vmem_status_t vmem_library_init(const struct vmem_config *config);

/**
 * Sets this CPU's MMU up as the boot CPU's (memory types, address-space ids, hardware dirty). The CPU runs
 * on the kernel's tables. Context: once on every other CPU, before its first vmem_aspace_activate(); cannot
 * fail.
 */
void vmem_library_init_cpu(void);

/**
 * Gives back what the library keeps for later calls: frames in the CPUs' caches, and frames of small objects
 * in which none is left. Calls that find no memory do so by themselves; this is for a host that wants its
 * frames, or counts them: when all spaces and objects are gone, as many are free as before the first. Waits
 * for other CPUs. Cannot fail.
 */
void vmem_library_trim(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
