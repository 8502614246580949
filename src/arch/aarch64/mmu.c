/* SPDX-License-Identifier: MIT */
/*
 * mmu.c - AArch64 at EL1: what the CPU is, TCR and MAIR, and the TLB.
 *
 * The idea: the kernel half has TTBR1 to itself and the library never writes it. TTBR0 and the id are one
 * register, so no walk can see one without the other. TLB invalidations are broadcast to the
 * inner-shareable domain; DSB ISH waits for all of them, on all CPUs.
 *
 * M1. TCR.A1 is zero: the id comes from TTBR0. "No user mappings" is an empty table of our own, under id 0.
 * M2. An id that is to be forgotten is not the current one meanwhile: old and new translations of one
 *     address never meet in the TLB.
 * M3. Store the entry; DSB ISHST; TLBI; DSB ISH; ISB (DDI 0487, "TLB maintenance").
 * M4. VALE1IS forgets leaves only; when tables went, VAE1IS, once in every 2 MiB at least, which is what
 *     the lowest table covers.
 * M5. The hardware manages accessed and dirty where FEAT_HAFDBS has the dirty state (HAFDBS >= 2) and no
 *     erratum spoils it; otherwise all of it is left to software.
 *
 * Locks: none. The caller does not migrate meanwhile.
 */
#include <vmem/init.h>

#include "arch.h"
#include "insn.h"

#define TCR_EPD0 (UINT64_C(1) << 7)
#define TCR_HALF_0 UINT64_C(0xff3f) /* T0SZ, IRGN0, ORGN0, SH0, TG0 */
#define TCR_A1 (UINT64_C(1) << 22)
#define TCR_AS (UINT64_C(1) << 36)
#define TCR_HA (UINT64_C(1) << 39)
#define TCR_HD (UINT64_C(1) << 40)
#define TCR_DS (UINT64_C(1) << 59)
#define ID_SHIFT 48 /* of the id, in TTBR0 and in the operands of TLBI */

/*
 * MAIR bytes 4 to 7, in the order of vmem_cache_t: normal write-back, write-through, non-cacheable; device
 * nGnRE.
 */
#define MAIR_VALUE UINT64_C(0x0444bbff)
#define MAIR_SHIFT (8 * MAIR_OURS)

static uint64_t empty_table[ARCH_TABLE_ENTRIES] __attribute__((aligned(4096)));
static struct {
	vmem_paddr_t empty_root;
	unsigned zero_block; /* bytes that DC ZVA clears; 0 if it is prohibited */
} cpu;

/* TTBR's base field: with 52-bit addresses bits 51:48 go where a table's alignment leaves zeros. */
static uint64_t ttbr_base(vmem_paddr_t root)
{
	return (root & PTE_ADDRESS_48) | (root >> 48 & 0xf) << 2;
}

static vmem_paddr_t ttbr_root(uint64_t ttbr)
{
	vmem_paddr_t low = ttbr & PTE_ADDRESS_48;

	return (vmem_mmu.features & ARCH_FEATURE_LPA2) != 0 ? low | (ttbr >> 2 & 0xf) << 48 : low;
}

/*
 * Cortex-A55 (all revisions, erratum 1024718) may write a stale dirty state over an entry that changed
 * without a break; Cortex-A510 before r0p3 (erratum 2051678) orders the update wrongly.
 */
static bool dirty_state_is_broken(void)
{
	uint64_t midr = insn_read_midr_el1();
	unsigned part = (unsigned)(midr >> 4) & 0xfff;
	unsigned revision = ((unsigned)(midr >> 20) & 0xf) << 4 | ((unsigned)midr & 0xf);

	return (midr >> 24 & 0xff) == 0x41 && (part == 0xd05 || (part == 0xd46 && revision < 0x03));
}

/* What a MAIR byte of the host's means to the codec (DDI 0487, "MAIR_EL1"). */
static vmem_cache_t attribute_cache(unsigned byte)
{
	unsigned outer = byte >> 4;

	if (outer == 0) {
		return VMEM_UNCACHED;
	}
	if (outer == 4) {
		return VMEM_WRITE_COMBINING;
	}
	return outer < 4 || (outer >= 8 && outer < 12) ? VMEM_WRITE_THROUGH : VMEM_WRITE_BACK;
}

static uint32_t probe_features(uint64_t tcr, uint32_t isa_features)
{
	uint32_t features = MMU_SPLIT_ROOTS | MMU_BROADCAST | MMU_NX;
	uint64_t mair = insn_read_mair_el1();

	if ((insn_read_id_aa64mmfr1_el1() & 0xf) >= 2 && !dirty_state_is_broken()) {
		features |= MMU_HW_DIRTY;
	}
	if ((tcr & TCR_DS) != 0) {
		features |= ARCH_FEATURE_LPA2;
	}
	if ((isa_features & VMEM_AARCH64_LIVE_SPLIT) != 0) {
		features |= MMU_LIVE_SPLIT;
	}
	for (unsigned i = 0; i < MAIR_OURS; i++) {
		vmem_cache_t cache = attribute_cache((unsigned)(mair >> (8 * i)) & 0xff);

		features |= (uint32_t)cache << (ARCH_HOST_ATTR_SHIFT + 2 * i);
	}
	return features;
}

void vmem_arch_probe(struct vmem_mmu *out, uint32_t isa_features)
{
	static const uint8_t physical_bits[8] = {32, 36, 40, 42, 44, 48, 52, 52};
	uint64_t tcr = insn_read_tcr_el1();
	uint64_t model = insn_read_id_aa64mmfr0_el1();
	uint64_t zva = insn_read_dczid_el0();
	unsigned range = (unsigned)model & 7;
	unsigned size = (unsigned)(tcr >> 32) & 7; /* TCR.IPS, as the host set it */
	unsigned va_bits = 64 - ((unsigned)(tcr >> 16) & 0x3f);
	uint8_t pa_bits = physical_bits[size < range ? size : range];

	if ((tcr & TCR_DS) == 0 && pa_bits > 48) {
		pa_bits = 48;
	}
	*out = (struct vmem_mmu){
	    .levels = (uint8_t)((va_bits - VMEM_PAGE_SHIFT + ARCH_LEVEL_BITS - 1) / ARCH_LEVEL_BITS),
	    .va_bits = (uint8_t)va_bits,
	    .pa_bits = pa_bits,
	    .asid_bits = (model >> 4 & 0xf) >= 2 ? 16 : 8,
	    .leaf_levels = 7,
	    .cache_types = (1u << VMEM_CACHE_COUNT) - 1,
	    .features = probe_features(tcr, isa_features),
	};
	cpu.zero_block = (zva & 0x10) != 0 ? 0 : 4u << (zva & 0xf);
	insn_at_s1e1r(empty_table);
	insn_isb();
	cpu.empty_root = insn_read_par_el1() & UINT64_C(0x000ffffffffff000);
}

void vmem_arch_cpu_init(void)
{
	uint64_t tcr = insn_read_tcr_el1();
	uint64_t mair = insn_read_mair_el1() & ((UINT64_C(1) << MAIR_SHIFT) - 1);

	insn_write_mair_el1(mair | MAIR_VALUE << MAIR_SHIFT);
	if ((tcr & TCR_EPD0) != 0) {
		/*
		 * The host has no user half yet: it becomes like the kernel's, but for TG1, which counts
		 * differently.
		 */
		insn_write_ttbr0_el1(ttbr_base(cpu.empty_root));
		insn_isb();
		tcr = (tcr & ~(TCR_HALF_0 | TCR_EPD0)) | (tcr >> 16 & TCR_HALF_0 & 0x3f3f);
	}
	tcr &= ~(TCR_A1 | TCR_AS | TCR_HA | TCR_HD);
	tcr |= vmem_mmu.asid_bits > 8 ? TCR_AS : 0;
	tcr |= (vmem_mmu.features & MMU_HW_DIRTY) != 0 ? TCR_HA | TCR_HD : 0;
	insn_write_tcr_el1(tcr);
	insn_isb();
	/* TCR and MAIR may be cached in the TLB. */
	insn_tlbi_vmalle1();
	insn_dsb_nsh();
	insn_isb();
}

vmem_paddr_t vmem_arch_kernel_root(void)
{
	return ttbr_root(insn_read_ttbr1_el1());
}

void vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush)
{
	uint64_t id = (uint64_t)asid << ID_SHIFT;

	if (flush) { /* M2 */
		insn_write_ttbr0_el1(ttbr_base(cpu.empty_root));
		insn_isb();
		insn_dsb_nshst();
		insn_tlbi_aside1(id);
		insn_dsb_nsh();
	}
#if VMEM_MAX_CPUS > 1
	insn_dsb_ish(); /* that this CPU is coming is seen before it walks: a DMB orders no walk */
#endif
	insn_write_ttbr0_el1(ttbr_base(root != 0 ? root : cpu.empty_root) | id);
	insn_isb();
}

void vmem_arch_publish(void)
{
	insn_dsb_ishst();
	insn_isb();
}

static void flush_range(const struct arch_flush *flush)
{
	uint64_t step = arch_level_size(flush->level) >> VMEM_PAGE_SHIFT;
	uint64_t operand = flush->start >> VMEM_PAGE_SHIFT & ((UINT64_C(1) << 44) - 1);
	uint64_t left = flush->pages != 0 ? flush->pages : 1;
	bool tables = (flush->flags & FLUSH_TABLES) != 0;

	if ((flush->flags & FLUSH_GLOBAL) != 0) {
		for (; left != 0; left--, operand += step) {
			if (tables) {
				insn_tlbi_vaae1is(operand);
			} else {
				insn_tlbi_vaale1is(operand);
			}
		}
		return;
	}
	operand |= (uint64_t)flush->asid << ID_SHIFT;
	for (; left != 0; left--, operand += step) {
		if (tables) {
			insn_tlbi_vae1is(operand);
		} else {
			insn_tlbi_vale1is(operand);
		}
	}
}

void vmem_arch_flush(const struct arch_flush *flush)
{
	bool tables = (flush->flags & FLUSH_TABLES) != 0;
	bool whole = (flush->flags & FLUSH_SPACE) != 0;

	if (!whole && !tables && flush->pages == 0) {
		return;
	}
	insn_dsb_ishst();			       /* M3 */
	if (!whole && !(tables && flush->level > 1)) { /* M4 */
		flush_range(flush);
	} else if ((flush->flags & FLUSH_GLOBAL) != 0) {
		insn_tlbi_vmalle1is();
	} else {
		insn_tlbi_aside1is((uint64_t)flush->asid << ID_SHIFT);
	}
	insn_dsb_ish();
	insn_isb();
}

/*
 * DDI 0487, "Synchronization and coherency issues between data and instruction accesses"; CTR_EL0 says
 * what may be left out.
 */
void vmem_arch_icache_sync(const void *kva, size_t length)
{
	uint64_t ctr = insn_read_ctr_el0();
	uint64_t data_line = UINT64_C(4) << (ctr >> 16 & 0xf);
	uint64_t fetch_line = UINT64_C(4) << (ctr & 0xf);
	uint64_t start = (uint64_t)(uintptr_t)kva;
	uint64_t end = start + length;

	if ((ctr >> 28 & 1) == 0) { /* IDC */
		for (uint64_t line = start & ~(data_line - 1); line < end; line += data_line) {
			insn_dc_cvau(line);
		}
	}
	insn_dsb_ish();
	if ((ctr >> 29 & 1) == 0) { /* DIC */
		if ((ctr >> 14 & 3) !=
		    3) { /* not a physical index: another virtual address may have its own line */
			insn_ic_ialluis();
		} else {
			for (uint64_t line = start & ~(fetch_line - 1); line < end; line += fetch_line) {
				insn_ic_ivau(line);
			}
		}
		insn_dsb_ish();
	}
	insn_isb();
}

void vmem_arch_dcache_clean(const void *kva, size_t length)
{
	uint64_t size = UINT64_C(4) << (insn_read_ctr_el0() >> 16 & 0xf);
	uint64_t start = (uint64_t)(uintptr_t)kva;
	uint64_t end = start + length;

	for (uint64_t line = start & ~(size - 1); line < end; line += size) {
		insn_dc_civac(line);
	}
	insn_dsb_sy();
}

void vmem_arch_page_clear(void *page)
{
	char *at = page;
	char *end = at + VMEM_PAGE_SIZE;
	uint64_t block = cpu.zero_block;

	if (block != 0) { /* at most 2 KiB: two always fit */
		do {
			insn_dc_zva(at);
			insn_dc_zva(at + block);
			at += 2 * block;
		} while (at != end);
		return;
	}
	do {
		insn_clear_128(at);
		at += 128;
	} while (at != end);
}

void vmem_arch_page_copy(void *to, const void *from)
{
	const char *end = (const char *)from + VMEM_PAGE_SIZE;
	const char *at = from;
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
