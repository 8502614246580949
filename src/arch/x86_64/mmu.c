/* SPDX-License-Identifier: MIT */
/*
 * mmu.c - x86-64: what the CPU is, its control registers, and its translation caches.
 *
 * The idea: one page table serves both halves, so the root that was live at the probe is the kernel's own,
 * and "no user mappings" means to walk it. Every flush is of this CPU only; other CPUs are reached by the
 * core, through the host.
 *
 * M1. Process-context ids are used where CPUID names them, never because CR4.PCIDE could be set: some
 *     emulators let it stick and then do not know the no-flush bit of CR3. Global pages come with them:
 *     they are the last resort of a flush of everything.
 * M2. Id 0 belongs to the kernel's root. Under ids a kernel translation may be cached once per id (leaves
 *     that the host made without G, and entries of tables always), and INVLPG reaches one id only: so a
 *     flush of kernel translations is then a flush of everything.
 * M3. INVLPG forgets all paging-structure caches of the current id (SDM vol. 3A 4.10.4.1). For another id
 *     no such promise is relied on: when tables went, the whole id is flushed.
 * M4. PAT entries 0 to 4, 6 and 7 stay as they are; the host leaves 0 to 3 as reset made them.
 *
 * Locks: none. The caller does not migrate meanwhile. Interrupts may come: each step leaves the CPU
 * consistent.
 */
#include "arch.h"
#include "insn.h"

#define CR0_WP (UINT64_C(1) << 16)
#define CR3_ID UINT64_C(0xfff)
#define CR3_KEEP (UINT64_C(1) << 63) /* do not flush what the id has */
#define CR4_PGE (UINT64_C(1) << 7)
#define CR4_LA57 (UINT64_C(1) << 12)
#define CR4_PCIDE (UINT64_C(1) << 17)
#define MSR_PAT 0x277u
#define MSR_EFER 0xc0000080u
#define EFER_NXE (UINT64_C(1) << 11)
#define PAT_OURS_SHIFT 40u /* entry 5 */
#define PAT_WRITE_COMBINING UINT64_C(1)

#define CPUID_1_ECX_PCID (1u << 17)
#define CPUID_1_EDX_PGE (1u << 13)
#define CPUID_1_EDX_CLFSH (1u << 19)
#define CPUID_7_EBX_INVPCID (1u << 10)
#define CPUID_8000_0001_EDX_1G (1u << 26)

enum { INVPCID_ADDRESS = 0, INVPCID_ID = 1, INVPCID_ALL = 2 };

static struct {
	vmem_paddr_t kernel_root;
	unsigned cache_line;
	bool invpcid;
	bool global;
} cpu;

void vmem_arch_probe(struct vmem_mmu *out, uint32_t isa_features)
{
	struct cpuid basic = insn_cpuid(1);
	uint32_t extended = insn_cpuid(0x80000000u).eax;
	bool five = (insn_read_cr4() & CR4_LA57) != 0;
	bool gigabyte =
	    extended >= 0x80000001u && (insn_cpuid(0x80000001u).edx & CPUID_8000_0001_EDX_1G) != 0;
	bool nx = (insn_read_msr(MSR_EFER) & EFER_NXE) != 0;

	(void)isa_features;
	cpu.kernel_root = insn_read_cr3() & PTE_ADDRESS;
	cpu.global = (basic.edx & CPUID_1_EDX_PGE) != 0;
	cpu.cache_line = (basic.edx & CPUID_1_EDX_CLFSH) != 0 ? (basic.ebx >> 8 & 0xff) * 8 : 0;
	cpu.invpcid = insn_cpuid(0).eax >= 7 && (insn_cpuid(7).ebx & CPUID_7_EBX_INVPCID) != 0;
	*out = (struct vmem_mmu){
	    .levels = five ? 5 : 4,
	    .va_bits = five ? 57 : 48,
	    .pa_bits = extended >= 0x80000008u ? (uint8_t)(insn_cpuid(0x80000008u).eax & 0xff) : 36,
	    .asid_bits = cpu.global && (basic.ecx & CPUID_1_ECX_PCID) != 0 ? 12 : 0, /* M1 */
	    .leaf_levels = gigabyte ? 7 : 3,
	    .cache_types = (1u << VMEM_CACHE_COUNT) - 1,
	    .features = MMU_HW_DIRTY | MMU_LIVE_SPLIT | (nx ? (uint32_t)MMU_NX : 0),
	};
}

static void flush_everything(void)
{
	uint64_t cr4 = insn_read_cr4();

	if (cpu.invpcid) {
		insn_invpcid(INVPCID_ALL, 0, 0);
	} else if ((cr4 & CR4_PGE) != 0) {
		/* A change of PGE flushes all entries of all ids, global ones included (4.10.4.1). */
		insn_write_cr4(cr4 & ~CR4_PGE);
		insn_write_cr4(cr4);
	} else {
		insn_write_cr3(insn_read_cr3());
	}
}

void vmem_arch_cpu_init(void)
{
	uint64_t pat = insn_read_msr(MSR_PAT);
	uint64_t cr4 = insn_read_cr4();

	/*
	 * Without WP the kernel's stores to user memory would pass every read-only entry: copy-on-write
	 * would leak.
	 */
	insn_write_cr0(insn_read_cr0() | CR0_WP);
	/* No live entry selects PAT entry 5, so no cache needs to be emptied for its change. */
	pat &= ~(UINT64_C(0xff) << PAT_OURS_SHIFT);
	insn_write_msr(MSR_PAT, pat | PAT_WRITE_COMBINING << PAT_OURS_SHIFT);
	cr4 |= cpu.global ? CR4_PGE : 0;
	if (vmem_mmu.asid_bits != 0 && (cr4 & CR4_PCIDE) == 0) {
		insn_write_cr3(insn_read_cr3() &
			       PTE_ADDRESS); /* PCIDE can be set only while CR3[11:0] is zero (4.10.1) */
		cr4 |= CR4_PCIDE;
	}
	insn_write_cr4(cr4);
	flush_everything();
}

vmem_paddr_t vmem_arch_kernel_root(void)
{
	return cpu.kernel_root;
}

void vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush)
{
	uint64_t cr3 = root != 0 ? root : cpu.kernel_root;

	if (vmem_mmu.asid_bits != 0) {
		cr3 |= (asid & CR3_ID) | (flush ? 0 : CR3_KEEP);
	}
	insn_write_cr3(cr3);
}

/* A walk is a load of this CPU and sees its earlier stores; only the compiler must not move them. */
void vmem_arch_publish(void)
{
	insn_barrier();
}

static bool is_current(uint32_t asid)
{
	return vmem_mmu.asid_bits == 0 || (insn_read_cr3() & CR3_ID) == asid;
}

static void flush_space(uint32_t asid)
{
	if (is_current(asid)) {
		insn_write_cr3(
		    insn_read_cr3()); /* bit 63 reads as zero: flushes this id, but for global entries */
	} else if (cpu.invpcid) {
		insn_invpcid(INVPCID_ID, asid, 0);
	} else {
		flush_everything();
	}
}

static void flush_range(const struct arch_flush *flush)
{
	uint64_t stride = arch_level_size(flush->level);
	vmem_vaddr_t va = flush->start;
	uint64_t left =
	    flush->pages != 0 ? flush->pages : 1; /* no leaf, but a table: one address forgets it (M3) */

	for (; left != 0; left--, va += stride) {
		insn_invlpg(va);
	}
}

static void flush_range_elsewhere(const struct arch_flush *flush)
{
	uint64_t stride = arch_level_size(flush->level);
	vmem_vaddr_t va = flush->start;

	for (uint64_t left = flush->pages; left != 0; left--, va += stride) {
		insn_invpcid(INVPCID_ADDRESS, flush->asid, va);
	}
}

void vmem_arch_flush(const struct arch_flush *flush)
{
	bool whole = (flush->flags & FLUSH_SPACE) != 0;
	bool tables = (flush->flags & FLUSH_TABLES) != 0;

	if (!whole && !tables && flush->pages == 0) {
		return;
	}
	if ((flush->flags & FLUSH_GLOBAL) != 0) {
		if (whole || vmem_mmu.asid_bits != 0) { /* M2 */
			flush_everything();
		} else {
			flush_range(flush);
		}
	} else if (whole) {
		flush_space(flush->asid);
	} else if (is_current(flush->asid)) {
		flush_range(flush);
	} else if (tables || !cpu.invpcid) { /* M3 */
		flush_space(flush->asid);
	} else {
		flush_range_elsewhere(flush);
	}
}

/*
 * Instruction fetch is coherent with stores; the return from the trap that asked for the page serializes
 * (11.6).
 */
void vmem_arch_icache_sync(const void *kva, size_t length)
{
	(void)kva;
	(void)length;
	insn_barrier();
}

void vmem_arch_dcache_clean(const void *kva, size_t length)
{
	uint64_t start = (uint64_t)(uintptr_t)kva;
	uint64_t end = start + length;

	if (cpu.cache_line == 0) {
		insn_wbinvd();
		return;
	}
	insn_mfence();
	for (uint64_t line = start & ~(uint64_t)(cpu.cache_line - 1); line < end; line += cpu.cache_line) {
		insn_clflush(line);
	}
	insn_mfence();
}

/*
 * By quadwords: as fast as by bytes where the CPU has fast strings, and much faster where it (or an
 * emulator) has not.
 */
void vmem_arch_page_clear(void *page)
{
	insn_clear_words(page, VMEM_PAGE_SIZE / 8);
}

void vmem_arch_page_copy(void *to, const void *from)
{
	insn_copy_words(to, from, VMEM_PAGE_SIZE / 8);
}

#if VMEM_MAX_CPUS > 1
void vmem_arch_pause(void)
{
	insn_pause();
}
#endif
