/* SPDX-License-Identifier: MIT */
/*
 * mmu.c - RISC-V in S-mode: what satp can do, and SFENCE.VMA.
 *
 * The idea: one page table serves both halves, so the root that was live at the probe is the kernel's own,
 * and "no user mappings" means to walk it. A fence orders and flushes this hart only; other harts are
 * reached by the core, through the host (an interrupt, or the firmware's RFENCE extension).
 *
 * M1. rs2=x0 reaches global entries and every id, a register only one id's own: kernel translations take
 *     x0.
 * M2. rs1=x0 reaches entries of every level, an address only leaves: when tables went, rs1=x0.
 * M3. An id that may have old translations here is fenced while another one is in satp: so there is no moment
 *     at which the hart could walk through them, into tables that are free by now. Without ids satp comes
 *     first: walks between the two use the new root.
 * M4. Publishing is no fence: an invalid entry that a hart has cached meets the access as a spurious fault,
 *     and a kernel mapping is flushed by the core before its first use (MMU_CACHES_INVALID).
 *
 * Locks: none. The caller does not migrate meanwhile.
 */
#include <vmem/init.h>

#include "arch.h"
#include "insn.h"

#define SATP_MODE_SHIFT 60
#define SATP_MODE_SV39 8u
#define SATP_MODE_SV57 10u
#define SATP_ASID_SHIFT 44
#define SATP_ASID (UINT64_C(0xffff) << SATP_ASID_SHIFT)
#define SATP_PPN ((UINT64_C(1) << SATP_ASID_SHIFT) - 1)

static struct {
	uint64_t satp; /* mode and root of the kernel's own table, id 0 */
} hart;

/*
 * The width of the id field: ones that stick ("satp" chapter). The root stays, so the hart runs on
 * meanwhile.
 */
static uint8_t probe_asid_bits(void)
{
	uint64_t satp = insn_read_satp();
	uint64_t stuck;
	uint8_t bits = 0;

	insn_write_satp(satp | SATP_ASID);
	stuck = (insn_read_satp() & SATP_ASID) >> SATP_ASID_SHIFT;
	insn_write_satp(satp);
	insn_sfence_all();
	for (; stuck != 0; stuck >>= 1) {
		bits++;
	}
	return bits;
}

void vmem_arch_probe(struct vmem_mmu *out, uint32_t isa_features)
{
	uint64_t satp = insn_read_satp();
	unsigned mode = (unsigned)(satp >> SATP_MODE_SHIFT);
	unsigned levels = mode >= SATP_MODE_SV39 && mode <= SATP_MODE_SV57 ? mode - SATP_MODE_SV39 + 3 : 0;
	uint32_t features = MMU_CACHES_INVALID | MMU_ICACHE_LOCAL | MMU_LIVE_SPLIT | MMU_NX;
	bool pbmt = (isa_features & VMEM_RISCV_SVPBMT) != 0;

	hart.satp = satp & ~SATP_ASID;
	features |= (isa_features & VMEM_RISCV_SVADU) != 0 ? MMU_HW_DIRTY : 0;
	features |= pbmt ? ARCH_FEATURE_SVPBMT : 0;
	features |= (isa_features & VMEM_RISCV_SVNAPOT) != 0 ? ARCH_FEATURE_SVNAPOT : 0;
	features |= (isa_features & VMEM_RISCV_SVINVAL) != 0 ? ARCH_FEATURE_SVINVAL : 0;
	*out = (struct vmem_mmu){
	    .levels = (uint8_t)levels, /* 0: the hart runs without paging */
	    .va_bits = (uint8_t)(VMEM_PAGE_SHIFT + ARCH_LEVEL_BITS * levels),
	    .pa_bits = 56,
	    .asid_bits = probe_asid_bits(),
	    .leaf_levels = 7,
	    .cache_types = pbmt ? 1u << VMEM_WRITE_BACK | 1u << VMEM_WRITE_COMBINING | 1u << VMEM_UNCACHED
				: 1u << VMEM_WRITE_BACK,
	    .features = features,
	};
}

/*
 * Nothing is a hart's own to set: the mode comes with satp, the rest from menvcfg, which is the
 * firmware's. What other harts have made fetchable until now was no call to this one.
 */
void vmem_arch_cpu_init(void)
{
	insn_sfence_all();
	insn_fence_i();
}

vmem_paddr_t vmem_arch_kernel_root(void)
{
	return (hart.satp & SATP_PPN) << VMEM_PAGE_SHIFT;
}

void vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush)
{
	uint64_t satp = hart.satp;

	if (root != 0) {
		satp = (satp & ~SATP_PPN) | root >> VMEM_PAGE_SHIFT;
	}
	if (flush && asid != 0) { /* M3 */
		insn_sfence_id(asid);
	}
	insn_write_satp(satp | (uint64_t)asid << SATP_ASID_SHIFT);
	if (vmem_mmu.asid_bits == 0 || (flush && asid == 0)) {
		insn_sfence_id(asid);
	}
}

/* Entry stores are visible to other harts' walks in order; this hart may still meet a spurious fault (M4). */
void vmem_arch_publish(void)
{
	insn_fence_rw();
}

static void fence_range(const struct arch_flush *flush)
{
	uint64_t stride = arch_level_size(flush->level);
	vmem_vaddr_t va = flush->start;
	uint64_t id = flush->asid;

	if ((flush->flags & FLUSH_GLOBAL) != 0) { /* M1 */
		for (uint64_t left = flush->pages; left != 0; left--, va += stride) {
			insn_sfence_address(va);
		}
		return;
	}
	for (uint64_t left = flush->pages; left != 0; left--, va += stride) {
		insn_sfence_address_id(va, id);
	}
}

/*
 * The same in three steps (Svinval): order earlier stores before the invalidations, invalidate in any order
 * and overlap, order the invalidations before later walks.
 */
static void invalidate_range(const struct arch_flush *flush)
{
	uint64_t stride = arch_level_size(flush->level);
	vmem_vaddr_t va = flush->start;
	uint64_t id = flush->asid;
	bool global = (flush->flags & FLUSH_GLOBAL) != 0;

	insn_sfence_w_inval();
	for (uint64_t left = flush->pages; left != 0; left--, va += stride) {
		if (global) {
			insn_sinval_address(va);
		} else {
			insn_sinval_address_id(va, id);
		}
	}
	insn_sfence_inval_ir();
}

void vmem_arch_flush(const struct arch_flush *flush)
{
	if ((flush->flags & (FLUSH_SPACE | FLUSH_TABLES)) != 0) { /* M2 */
		if ((flush->flags & FLUSH_GLOBAL) != 0) {
			insn_sfence_all();
		} else {
			insn_sfence_id(flush->asid);
		}
	} else if (flush->pages > 1 && (vmem_mmu.features & ARCH_FEATURE_SVINVAL) != 0) {
		invalidate_range(flush);
	} else {
		fence_range(flush);
	}
}

/* This hart only: the ISA has no broadcast, and other harts run FENCE.I through the host ("Zifencei"). */
void vmem_arch_icache_sync(const void *kva, size_t length)
{
	(void)kva;
	(void)length;
	insn_fence_rw();
	insn_fence_i();
}

/*
 * Without Zicbom there is no instruction that empties a cache; a platform whose devices are not coherent
 * has its own way, which is the host's. The fence orders what was stored before what will be stored under
 * the other attribute (Svpbmt).
 */
void vmem_arch_dcache_clean(const void *kva, size_t length)
{
	(void)kva;
	(void)length;
	insn_fence_iorw();
}

void vmem_arch_page_clear(void *page)
{
	char *at = page;
	char *end = at + VMEM_PAGE_SIZE;

	do {
		insn_clear_256(at);
		at += 256;
	} while (at != end);
}

void vmem_arch_page_copy(void *to, const void *from)
{
	const char *at = from;
	const char *end = at + VMEM_PAGE_SIZE;
	char *out = to;

	do {
		insn_copy_128(out, at);
		at += 128;
		out += 128;
	} while (at != end);
}

#if VMEM_MAX_CPUS > 1
void vmem_arch_pause(void)
{
	insn_pause();
}
#endif
