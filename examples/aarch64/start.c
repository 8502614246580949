/* SPDX-License-Identifier: MIT */
/*
 * start.c - from boot.S to the common kernel: what the CPU has, the final page tables, the registers that
 * never change again.
 *
 *  S1  The kernel's tables and the programs' have one shape: 48 bits, or 52 where the CPU has FEAT_LPA2 and
 *      nobody forbids it. With TCR_EL1.DS bits 9:8 of an entry are address bits and shareability comes from
 *      TCR_EL1 (DDI 0487, D8.3).
 *  S2  Hardware keeps accessed and dirty where it can (FEAT_HAFDBS).
 *  S3  The kernel cannot touch a user page by its user address where FEAT_PAN exists; it never means to.
 *  S4  Programs may read the virtual counter and the cycle counter, and clean caches; SVE and SME trap.
 */
#include "cpu.h"

#define UART_BASE UINT64_C(0x09000000)

#define TCR_T0SZ(bits) (UINT64_C(64) - (bits))
#define TCR_T1SZ(bits) ((UINT64_C(64) - (bits)) << 16)
#define TCR_WALKS                                                                                            \
	(UINT64_C(1) << 8 | UINT64_C(1) << 10 | UINT64_C(3) << 12 | UINT64_C(1) << 24 | UINT64_C(1) << 26 |  \
	    UINT64_C(3) << 28)
#define TCR_TG1_4K (UINT64_C(2) << 30)
#define TCR_IPS_SHIFT 32
#define TCR_AS (UINT64_C(1) << 36)
#define TCR_HA (UINT64_C(1) << 39)
#define TCR_HD (UINT64_C(1) << 40)
#define TCR_DS (UINT64_C(1) << 59)
#define SCTLR_SPAN (UINT64_C(1) << 23)

#define PTE_PAGE UINT64_C(3)
#define PTE_DEVICE (UINT64_C(3) << 2)
#define PTE_READ_ONLY (UINT64_C(1) << 7)
#define PTE_INNER_SHAREABLE (UINT64_C(3) << 8)
#define PTE_AF (UINT64_C(1) << 10)
#define PTE_PXN (UINT64_C(1) << 53)
#define PTE_UXN (UINT64_C(1) << 54)
#define PTE_ADDRESS UINT64_C(0x0000fffffffff000) /* the direct map ends far below bit 48 */

static struct kernel_boot boot;
static struct fdt fdt;
static bool large; /* 52 bits: S1 */
static struct {
	uint64_t ttbr0, ttbr1, tcr; /* ttbr0: an empty table */
} final;

static uint64_t make_table(uint64_t table)
{
	return table | PTE_PAGE;
}

static uint64_t make_leaf(uint64_t pa, enum dtboot_kind kind)
{
	uint64_t leaf = pa | PTE_PAGE | PTE_AF | PTE_UXN | (large ? 0 : PTE_INNER_SHAREABLE);

	switch (kind) {
	case DTBOOT_TEXT:
		return leaf | PTE_READ_ONLY;
	case DTBOOT_RODATA:
		return leaf | PTE_READ_ONLY | PTE_PXN;
	case DTBOOT_DATA:
		return leaf | PTE_PXN;
	case DTBOOT_DEVICE:
		break;
	}
	return leaf | PTE_PXN | PTE_DEVICE;
}

static uint64_t entry_address(uint64_t entry)
{
	return entry & PTE_ADDRESS;
}

/* TCR_EL1 for both halves of `bits` bits. */
static uint64_t final_tcr(unsigned bits)
{
	uint64_t mmfr0 = READ_REGISTER("id_aa64mmfr0_el1");
	unsigned dirty = id_field(READ_REGISTER("id_aa64mmfr1_el1"), 0);
	unsigned range = id_field(mmfr0, 0);
	unsigned range_max = bits == 52 ? 6 : 5; /* 52 and 48 bits of physical address */
	uint64_t tcr = TCR_T0SZ(bits) | TCR_T1SZ(bits) | TCR_WALKS | TCR_TG1_4K;

	tcr |= (uint64_t)(range < range_max ? range : range_max) << TCR_IPS_SHIFT;
	tcr |= id_field(mmfr0, 4) == 2 ? TCR_AS : 0;
	tcr |= dirty >= 1 ? TCR_HA : 0;
	tcr |= dirty >= 2 ? TCR_HD : 0;
	tcr |= bits == 52 ? TCR_DS : 0;
	return tcr;
}

/* The final kernel half beside the boot table's low half. */
static uint64_t boot_tcr(void)
{
	return (final.tcr & ~(uint64_t)63) | TCR_T0SZ(39);
}

/* Nothing runs in the low half any more: its boot table goes, then its boot size. */
static void leave_low_half(void)
{
	WRITE_REGISTER("ttbr0_el1", final.ttbr0);
	instruction_barrier();
	WRITE_REGISTER("tcr_el1", final.tcr);
	instruction_barrier();
	__asm__ volatile("tlbi vmalle1\n\tdsb nsh\n\tisb" : : : "memory");
}

static void start_tables(struct dtboot_mmu *mmu)
{
	static const struct dtboot_mode modes[] = {{"48", 4}, {"52", 5}};
	/* TGran4: 1 says 4 KiB granules with 52 bits. */
	bool has_large = id_field(READ_REGISTER("id_aa64mmfr0_el1"), 28) == 1;

	mmu->levels = dtboot_levels(boot.command_line, modes, 2, has_large ? 5 : 4);
	large = mmu->levels == 5;
	mmu->va_bits = large ? 52 : 48;
	final.tcr = final_tcr(mmu->va_bits);
	final.ttbr0 = kernel_ram_take(&boot, 1, 0);
	final.ttbr1 = dtboot_tables(&boot, &fdt, mmu);
	boot_switch(final.ttbr1, boot_tcr());
	leave_low_half();
}

static void start_registers(void)
{
	WRITE_REGISTER("vbar_el1", (uintptr_t)trap_vectors);
	WRITE_REGISTER("cpacr_el1", 3u << 20); /* FP and SIMD for all; SVE and SME for nobody */
	WRITE_REGISTER("mdscr_el1", 0);
	WRITE_REGISTER("tpidrro_el0", 0);
	WRITE_REGISTER("cntkctl_el1", 2); /* EL0 reads the virtual counter */
	/* The cycle counter and counter 0 of instructions retired, in EL0 and EL1; EL0 reads both. */
	if (id_field(READ_REGISTER("id_aa64dfr0_el1"), 8) - 1 < 14) {
		WRITE_REGISTER("pmcr_el0", READ_REGISTER("pmcr_el0") | 1 | 4 | 64);
		WRITE_REGISTER("pmccfiltr_el0", 0);
		WRITE_REGISTER("pmevtyper0_el0", 8);
		WRITE_REGISTER("pmcntenset_el0", UINT64_C(1) << 31 | 1);
		WRITE_REGISTER("pmuserenr_el0", 4 | 8);
	}
	if (id_field(READ_REGISTER("id_aa64mmfr1_el1"), 20) != 0) {
		WRITE_REGISTER("sctlr_el1", READ_REGISTER("sctlr_el1") & ~SCTLR_SPAN);
		__asm__ volatile(".inst 0xd500419f"); /* msr pan, #1 */
	}
	instruction_barrier();
}

_Noreturn void start_c(uint64_t tree);

_Noreturn void start_c(uint64_t tree)
{
	struct dtboot_mmu mmu = {
		.image_physical = RAM_BASE,
		.make_table = make_table,
		.make_leaf = make_leaf,
		.entry_address = entry_address,
	};

	smp_boot_cpu();
	start_registers();
	/* An ELF image gets no address: QEMU then leaves the tree at the start of RAM. */
	dtboot_read(&boot, &fdt, tree != 0 ? tree : RAM_BASE, RAM_BASE);
	dtboot_add_device(&mmu, UART_BASE, VMEM_PAGE_SIZE);
	gic_find(&mmu, &fdt);
	timer_find(&mmu, &fdt);
	smp_find(&fdt);
	start_tables(&mmu);
	gic_start();
	gic_start_cpu(0);
	timer_start();
	kernel_main(&boot);
}

#if VMEM_MAX_CPUS > 1
void start_prepare(struct port_cpu *cpu)
{
	cpu->ttbr1 = final.ttbr1;
	cpu->tcr = boot_tcr();
}

_Noreturn void start_secondary(struct port_cpu *cpu);

/* From boot.S, on the CPU's own stack. */
_Noreturn void start_secondary(struct port_cpu *cpu)
{
	WRITE_REGISTER("tpidr_el1", (uintptr_t)cpu);
	start_registers();
	leave_low_half();
	gic_start_cpu(cpu->number);
	kernel_cpu_main();
}
#endif

void port_describe(void)
{
	uint64_t tcr = READ_REGISTER("tcr_el1");
	uint64_t sctlr = READ_REGISTER("sctlr_el1");

	kernel_log("cpu: midr %lx, %u-bit addresses, %s-bit ASIDs, accessed by %s, dirty by %s, PAN %s\n",
	    (unsigned long)READ_REGISTER("midr_el1"), large ? 52u : 48u, (tcr & TCR_AS) != 0 ? "16" : "8",
	    (tcr & TCR_HA) != 0 ? "hardware" : "fault", (tcr & TCR_HD) != 0 ? "hardware" : "fault",
	    (sctlr & SCTLR_SPAN) != 0 ? "no" : "yes");
}

uint64_t port_entropy(void)
{
	uint64_t word = dtboot_seed(&fdt) ^ READ_REGISTER("cntvct_el0") * UINT64_C(0x9e3779b97f4a7c15);

	if (id_field(READ_REGISTER("id_aa64isar0_el1"), 60) != 0) {
		word ^= READ_REGISTER("s3_3_c2_c4_0"); /* RNDR */
	}
	return word;
}
