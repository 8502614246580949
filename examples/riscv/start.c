/* SPDX-License-Identifier: MIT */
/*
 * start.c - from boot.S to the common kernel: the paging mode, the final page tables, what the ISA string
 * says.
 *
 *  S1  The largest mode is found by trying: a write of satp with a mode that the hart does not have changes
 *      nothing (privileged specification, "Supervisor Address Translation and Protection Register"). The
 *      trial tables put the boot table under the first and the last entry of larger roots, so that every
 *      address means the same in every mode.
 *  S2  A and D are set in every entry: the kernel's own pages never fault, whoever keeps the bits.
 *  S3  Whether the hart sets A and D by itself is found by trying, too: the ISA string of an emulator that
 *      cannot do otherwise need not name Svadu.
 *  S4  Programs may read cycle, time and instret. The vector unit is off.
 */
#include "cpu.h"

#define UART_BASE UINT64_C(0x10000000)

#define PTE_V UINT64_C(1)
#define PTE_R UINT64_C(2)
#define PTE_W UINT64_C(4)
#define PTE_X UINT64_C(8)
#define PTE_G UINT64_C(0x20)
#define PTE_A UINT64_C(0x40)
#define PTE_D UINT64_C(0x80)

#define PROBE_INDEX 130u /* beyond what the boot table maps low */

#define SATP_MODE_SHIFT 60
#define SATP_ASID (UINT64_C(0xffff) << 44)
#define STATUS_FS (UINT64_C(3) << 13)
#define STATUS_VS (UINT64_C(3) << 9)
#define STATUS_SUM (UINT64_C(1) << 18)
#define STATUS_MXR (UINT64_C(1) << 19)

uint64_t cpu_letters;
static struct kernel_boot boot;
static struct fdt fdt;
static const char *isa_string = "";
static unsigned levels;
static uint64_t asid_mask;
static uint64_t final_satp;

static uint64_t make_table(uint64_t table)
{
	return table >> 2 | PTE_V;
}

static uint64_t make_leaf(uint64_t pa, enum dtboot_kind kind)
{
	uint64_t leaf = pa >> 2 | PTE_V | PTE_R | PTE_A | PTE_D | PTE_G;

	switch (kind) {
	case DTBOOT_TEXT:
		return leaf | PTE_X;
	case DTBOOT_RODATA:
		return leaf;
	case DTBOOT_DATA:
	case DTBOOT_DEVICE: /* the platform's own attributes say that it is one */
		break;
	}
	return leaf | PTE_W;
}

static uint64_t entry_address(uint64_t entry)
{
	return entry >> 10 << 12;
}

/* satp for a number of levels: mode 8 is Sv39. */
static void write_satp(unsigned count, uint64_t root)
{
	WRITE_CSR("satp", (uint64_t)(count + 5) << SATP_MODE_SHIFT | root >> 12);
	__asm__ volatile("sfence.vma" : : : "memory");
}

static uint64_t image_physical(const void *va)
{
	return (uint64_t)(uintptr_t)va - IMAGE_BASE + RAM_BASE;
}

/* S3: a store through a leaf without A and D, in the boot table's unused low half. */
static bool probe_hardware_dirty(void)
{
	static uint64_t target;
	uint64_t *leaf = &boot_table[PROBE_INDEX];
	uint64_t offset = image_physical(&target) - RAM_BASE;

	*leaf = RAM_BASE >> 2 | PTE_V | PTE_R | PTE_W;
	__asm__ volatile("sfence.vma" : : : "memory");
	probe_store(((uint64_t)PROBE_INDEX << 30) + offset);
	bool set = (*(volatile uint64_t *)leaf & (PTE_A | PTE_D)) == (PTE_A | PTE_D);
	*leaf = 0;
	__asm__ volatile("sfence.vma" : : : "memory");
	return set;
}

/* S1 */
static unsigned probe_levels(void)
{
	static uint64_t larger[2][512] __attribute__((aligned(4096)));
	uint64_t below = image_physical(boot_table);
	unsigned found = 3;

	for (unsigned i = 0; i < 2; i++) {
		larger[i][0] = larger[i][511] = make_table(below);
		below = image_physical(larger[i]);
		write_satp(4 + i, below);
		if (READ_CSR("satp") >> SATP_MODE_SHIFT != 9 + i) {
			break;
		}
		found = 4 + i;
	}
	write_satp(3, image_physical(boot_table));
	return found;
}

/* The bits of satp.ASID that stick. */
static uint64_t probe_asid(void)
{
	uint64_t before = READ_CSR("satp");

	WRITE_CSR("satp", before | SATP_ASID);
	uint64_t mask = (READ_CSR("satp") & SATP_ASID) >> 44;
	WRITE_CSR("satp", before);
	__asm__ volatile("sfence.vma" : : : "memory");
	return mask;
}

static void start_tables(struct dtboot_mmu *mmu)
{
	static const struct dtboot_mode modes[] = {{"sv39", 3}, {"sv48", 4}, {"sv57", 5}};

	levels = dtboot_levels(boot.command_line, modes, 3, probe_levels());
	mmu->levels = levels;
	mmu->va_bits = 12 + 9 * levels;
	write_satp(levels, dtboot_tables(&boot, &fdt, mmu));
	final_satp = READ_CSR("satp");
	asid_mask = probe_asid();
}

static bool is_token(const char *at, const char *name)
{
	while (*name != 0 && *at == *name) {
		at++;
		name++;
	}
	return *name == 0 && (*at == 0 || *at == '_');
}

/* The boot hart's string, all harts of the machine being alike: "rv64", single letters, then long names, each
 * behind a '_'. */
static void read_isa(void)
{
	struct fdt_node node = {0};

	while (fdt_next(&fdt, &node)) {
		const char *isa = fdt_has_string(&fdt, &node, "device_type", "cpu")
				      ? fdt_string(&fdt, &node, "riscv,isa")
				      : NULL;
		if (isa != NULL) {
			isa_string = isa;
		}
	}
	const char *at = isa_string;
	while (*at == 'r' || *at == 'v' || *at == '6' || *at == '4') {
		at++;
	}
	for (; *at >= 'a' && *at < 'z'; at++) {
		cpu_letters |= UINT64_C(1) << (*at - 'a');
	}
	for (; *at != 0; at++) {
		boot.isa_features |= is_token(at, "_svpbmt") ? VMEM_RISCV_SVPBMT : 0u;
		boot.isa_features |= is_token(at, "_svnapot") ? VMEM_RISCV_SVNAPOT : 0u;
		boot.isa_features |= is_token(at, "_svinval") ? VMEM_RISCV_SVINVAL : 0u;
	}
}

static void start_registers(void)
{
	WRITE_CSR("sscratch", 0);
	WRITE_CSR("stvec", (uintptr_t)trap_entry);
	WRITE_CSR("sie", INTERRUPT_CALL);
	CLEAR_CSR("sstatus", STATUS_SPP | STATUS_FS | STATUS_VS | STATUS_SUM | STATUS_MXR);
	SET_CSR("sstatus", STATUS_SPIE); /* trap.S, T2: a thread may come from another CPU */
	WRITE_CSR("scounteren", 7);
}

_Noreturn void start_c(uint64_t tree, uint64_t hart);

_Noreturn void start_c(uint64_t tree, uint64_t hart)
{
	struct dtboot_mmu mmu = {
		.image_physical = RAM_BASE,
		.make_table = make_table,
		.make_leaf = make_leaf,
		.entry_address = entry_address,
	};

	smp_boot_cpu();
	start_registers();
	dtboot_read(&boot, &fdt, tree, RAM_BASE);
	read_isa();
	boot.isa_features |= probe_hardware_dirty() ? VMEM_RISCV_SVADU : 0u;
	dtboot_add_device(&mmu, UART_BASE, VMEM_PAGE_SIZE);
	timer_find(&mmu, &fdt);
	dtboot_find_cpus(&fdt, hart);
	start_tables(&mmu);
	timer_start(&fdt);
	kernel_main(&boot);
}

#if VMEM_MAX_CPUS > 1
void start_prepare(struct port_cpu *cpu)
{
	cpu->satp = final_satp;
}

_Noreturn void start_secondary(void);

/* From boot.S, on the CPU's own stack. */
_Noreturn void start_secondary(void)
{
	start_registers();
	kernel_cpu_main();
}
#endif

void port_describe(void)
{
	kernel_log("cpu: %s\n", isa_string);
	kernel_log("cpu: Sv%u, ASID mask %lx, accessed and dirty by %s\n", 12 + 9 * levels,
	    (unsigned long)asid_mask, (boot.isa_features & VMEM_RISCV_SVADU) != 0 ? "hardware" : "fault");
}

uint64_t port_entropy(void)
{
	return dtboot_seed(&fdt) ^
	       (READ_CSR("time") + (READ_CSR("cycle") << 32)) * UINT64_C(0x9e3779b97f4a7c15);
}
