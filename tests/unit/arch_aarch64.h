/* SPDX-License-Identifier: MIT */
/*
 * arch_aarch64.h - a processor for aarch64/mmu.c: system registers, and TLBI with its barriers (DDI 0487,
 * "TLB maintenance instructions"): an invalidation sees only stores that a DSB ISHST has completed, is
 * complete only after a DSB ISH, and binds this CPU only after an ISB.
 */
#define VMEM_ARCH_INSN_H

static struct {
	uint64_t tcr, mair, ttbr0, ttbr1, par, midr, ctr, dczid, mmfr0, mmfr1;
	bool stored;   /* an entry store that no barrier has completed */
	bool pending;  /* a TLBI that no DSB has completed */
	bool unsynced; /* a completed change that no ISB has bound to this CPU */
	unsigned cleaned, invalidated, invalidated_all;
	unsigned zva;
} sim;

static void sim_tlbi(bool all_ids, uint64_t operand, bool address, bool tables)
{
	uint32_t id = (uint32_t)(operand >> 48);
	vmem_vaddr_t va = operand << 12 & UINT64_C(0x00fffffffffff000);

	assert_false(sim.stored);
	assert_int_equal(operand >> 44 & 15, address ? 0 : operand >> 44 & 15); /* no level hint is given */
	sim.pending = true;
	model_steps++;
	for (unsigned i = 0; i < tlb_count; i++) {
		struct cached c = tlb[i];

		c.va &= UINT64_C(0x00ffffffffffffff);
		if (address && (!covers(&c, va) || (c.table && !tables))) {
			continue;
		}
		if (all_ids || (!c.global && c.id == id)) {
			tlb[i].live = false;
		}
	}
}

#define SIM_READ(name, field)                                                                                \
	static uint64_t insn_read_##name(void)                                                               \
	{                                                                                                    \
		return sim.field;                                                                            \
	}
#define SIM_WRITE(name, field)                                                                               \
	static void insn_write_##name(uint64_t value)                                                        \
	{                                                                                                    \
		sim.field = value;                                                                           \
		sim.unsynced = true;                                                                         \
	}

SIM_READ(tcr_el1, tcr)
SIM_READ(mair_el1, mair)
SIM_READ(ttbr1_el1, ttbr1)
SIM_READ(par_el1, par)
SIM_READ(midr_el1, midr)
SIM_READ(ctr_el0, ctr)
SIM_READ(dczid_el0, dczid)
SIM_READ(id_aa64mmfr0_el1, mmfr0)
SIM_READ(id_aa64mmfr1_el1, mmfr1)
SIM_WRITE(tcr_el1, tcr)
SIM_WRITE(mair_el1, mair)
SIM_WRITE(ttbr0_el1, ttbr0)

static void insn_pause(void)
{
}

static void insn_isb(void)
{
	sim.unsynced = sim.pending;
}

static void insn_dsb_ishst(void)
{
	sim.stored = false;
}

static void insn_dsb_ish(void)
{
	sim.stored = false;
	sim.unsynced = sim.unsynced || sim.pending;
	sim.pending = false;
}

static void insn_dsb_nshst(void)
{
	sim.stored = false;
}

static void insn_dsb_nsh(void)
{
	insn_dsb_ish();
}

static void insn_dsb_sy(void)
{
	insn_dsb_ish();
}

static void insn_tlbi_vmalle1(void)
{
	sim_tlbi(true, 0, false, true);
}

static void insn_tlbi_vmalle1is(void)
{
	sim_tlbi(true, 0, false, true);
}

static void insn_tlbi_vae1is(uint64_t operand)
{
	sim_tlbi(false, operand, true, true);
}

static void insn_tlbi_vale1is(uint64_t operand)
{
	sim_tlbi(false, operand, true, false);
}

static void insn_tlbi_vaae1is(uint64_t operand)
{
	sim_tlbi(true, operand, true, true);
}

static void insn_tlbi_vaale1is(uint64_t operand)
{
	sim_tlbi(true, operand, true, false);
}

static void insn_tlbi_aside1is(uint64_t operand)
{
	sim_tlbi(false, operand, false, true);
}

/* M2: an id that is forgotten before its reuse is not in use meanwhile. */
static void insn_tlbi_aside1(uint64_t operand)
{
	assert_int_not_equal(sim.ttbr0 >> 48, operand >> 48);
	assert_false(sim.unsynced);
	sim_tlbi(false, operand, false, true);
}

static void insn_ic_ialluis(void)
{
	sim.invalidated_all++;
}

static void insn_dc_cvau(uint64_t operand)
{
	sim.cleaned++;
	model_line(operand);
}

static void insn_dc_civac(uint64_t operand)
{
	model_line(operand);
}

static void insn_ic_ivau(uint64_t operand)
{
	sim.invalidated++;
	model_line(operand);
}

static void insn_dc_zva(void *address)
{
	sim.zva++;
	memset(address, 0, 4u << (sim.dczid & 15));
}

static void insn_at_s1e1r(void *address)
{
	assert_int_equal((uintptr_t)address & 0xfff, 0);
	sim.par = UINT64_C(0xff00000000abc000);
}

static void insn_clear_128(void *to)
{
	memset(to, 0, 128);
}

static void insn_copy_128(void *to, const void *from)
{
	memcpy(to, from, 128);
}

#include "mmu.c"

/*
 * T0SZ = T1SZ = 16, 4 KiB granules, write-back shared walks, IPS 44 bits; the host's MAIR: device, WB, NC,
 * WT.
 */
static void start(uint64_t mmfr0, uint64_t mmfr1)
{
	memset(&sim, 0, sizeof(sim));
	tlb_count = 0;
	sim.tcr = UINT64_C(0x4b5103510);
	sim.mair = UINT64_C(0xbb44ff04);
	sim.ttbr1 = 0x7000;
	sim.mmfr0 = mmfr0;
	sim.mmfr1 = mmfr1;
	sim.midr = 0x410fd080;
	sim.dczid = 4;
	sim.ctr = 0x4c003; /* data lines 64 bytes, fetch lines 32, physically indexed */
	vmem_arch_probe(&vmem_mmu, 0);
}

static void test_probe(void **state)
{
	uint32_t attributes =
	    VMEM_UNCACHED | VMEM_WRITE_BACK << 2 | VMEM_WRITE_COMBINING << 4 | VMEM_WRITE_THROUGH << 6;

	(void)state;
	start(0x25, 2);
	assert_int_equal(vmem_mmu.levels, 4);
	assert_int_equal(vmem_mmu.va_bits, 48);
	assert_int_equal(vmem_mmu.pa_bits, 44);
	assert_int_equal(vmem_mmu.asid_bits, 16);
	assert_int_equal(vmem_mmu.cache_types, 15);
	assert_int_equal(vmem_mmu.features,
	    MMU_SPLIT_ROOTS | MMU_BROADCAST | MMU_NX | MMU_HW_DIRTY | attributes << ARCH_HOST_ATTR_SHIFT);
	assert_int_equal(vmem_arch_kernel_root(), 0x7000);
	vmem_arch_probe(&vmem_mmu, VMEM_AARCH64_LIVE_SPLIT); /* only where the host says so */
	assert_true(vmem_mmu.features & MMU_LIVE_SPLIT);
	start(0x02, 1); /* 8-bit ids, 40 bits, the accessed flag alone in hardware */
	assert_int_equal(vmem_mmu.pa_bits, 40);
	assert_int_equal(vmem_mmu.asid_bits, 8);
	assert_false(vmem_mmu.features & MMU_HW_DIRTY);
	/* LPA2: 52 bits both ways, the root's high bits at the bottom of TTBR1. */
	start(0x26, 2);
	sim.tcr = UINT64_C(0x08000006b50c350c);
	sim.ttbr1 = 0x7000 | 0xa << 2;
	vmem_arch_probe(&vmem_mmu, 0);
	assert_int_equal(vmem_mmu.levels, 5);
	assert_int_equal(vmem_mmu.va_bits, 52);
	assert_int_equal(vmem_mmu.pa_bits, 52);
	assert_int_equal(vmem_arch_kernel_root(), UINT64_C(0xa000000007000));
	/* Without DS the descriptors hold 48 bits, whatever IPS says. */
	sim.tcr &= ~(UINT64_C(1) << 59);
	vmem_arch_probe(&vmem_mmu, 0);
	assert_int_equal(vmem_mmu.pa_bits, 48);
}

static void test_errata(void **state)
{
	static const struct {
		uint64_t midr;
		bool broken;
	} rows[] = {
	    {0x410fd050, true},	 /* Cortex-A55 r0p0 */
	    {0x412fd050, true},	 /* r2p0 */
	    {0x410fd460, true},	 /* Cortex-A510 r0p0 */
	    {0x410fd462, true},	 /* r0p2 */
	    {0x410fd463, false}, /* r0p3 */
	    {0x411fd460, false}, /* r1p0 */
	    {0x510fd050, false}, /* somebody else's part 0xd05 */
	    {0x410fd0b1, false}, /* Cortex-A76 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(0x25, 2);
		sim.midr = rows[i].midr;
		vmem_arch_probe(&vmem_mmu, 0);
		assert_int_equal((vmem_mmu.features & MMU_HW_DIRTY) == 0, rows[i].broken);
		vmem_arch_cpu_init();
		assert_int_equal(sim.tcr >> 39 & 3, rows[i].broken ? 0 : 3);
	}
}

static void test_attributes(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x0c, 0x44, 0x4f, 0xff, 0xee, 0xbb, 0x33, 0x55, 0xf0};
	static const uint8_t meaning[] = {VMEM_UNCACHED, VMEM_UNCACHED, VMEM_WRITE_COMBINING,
	    VMEM_WRITE_COMBINING, VMEM_WRITE_BACK, VMEM_WRITE_BACK, VMEM_WRITE_THROUGH, VMEM_WRITE_THROUGH,
	    VMEM_WRITE_BACK, VMEM_WRITE_BACK};

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		start(0x25, 2);
		sim.mair = (uint64_t)bytes[i] << 16;
		vmem_arch_probe(&vmem_mmu, 0);
		assert_int_equal(vmem_mmu.features >> (ARCH_HOST_ATTR_SHIFT + 4) & 3, meaning[i]);
	}
}

static void test_cpu_init(void **state)
{
	(void)state;
	start(0x25, 2);
	sim.tcr |= 1u << 22; /* A1: ids from TTBR1 */
	model_fill(3);
	vmem_arch_cpu_init();
	assert_int_equal(sim.mair, UINT64_C(0x0444bbffbb44ff04));
	assert_int_equal(sim.tcr, UINT64_C(0x4b5103510) | UINT64_C(1) << 36 | UINT64_C(3) << 39);
	assert_int_equal(sim.ttbr0, 0); /* what the host walks there stays */
	assert_false(sim.unsynced || sim.pending);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_false(tlb[i].live);
	}
	start(0x05, 0);
	vmem_arch_cpu_init();
	assert_int_equal(sim.tcr, UINT64_C(0x4b5103510));
	/* A host without a user half gets one like its kernel half: size, walks; granule as TG0 counts it. */
	sim.tcr = UINT64_C(0x4b5100099);
	vmem_arch_cpu_init();
	assert_int_equal(sim.tcr, UINT64_C(0x4b5103510));
	assert_int_equal(sim.ttbr0, 0xabc000);
}

static void test_activate(void **state)
{
	(void)state;
	start(0x25, 2);
	vmem_arch_cpu_init();
	model_fill(3);
	vmem_arch_activate(0x9000, 1, false);
	assert_int_equal(sim.ttbr0, 0x9000 | UINT64_C(1) << 48);
	assert_false(sim.unsynced);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_true(tlb[i].live);
	}
	vmem_arch_activate(0xa000, 1, true);
	assert_int_equal(sim.ttbr0, 0xa000 | UINT64_C(1) << 48);
	assert_false(sim.unsynced || sim.pending);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_int_equal(tlb[i].live, tlb[i].global || tlb[i].id != 1);
	}
	vmem_arch_activate(0, 0, false);
	assert_int_equal(sim.ttbr0, 0xabc000);
	vmem_arch_activate(UINT64_C(0xa000000009000), 1, false); /* LPA2's high bits */
	assert_int_equal(sim.ttbr0, 0x9028 | UINT64_C(1) << 48);
}

static void test_flush(void **state)
{
	struct arch_flush page = {.start = 0x402000, .pages = 1, .asid = 1};

	(void)state;
	start(0x25, 2);
	vmem_arch_cpu_init();
	for (uint32_t current = 0; current < 3; current++) {
		vmem_arch_activate(0x9000, current, false);
		for (uint32_t asid = 0; asid < 3; asid++) {
			run_all_flushes(asid); /* every id is as near as the current one */
		}
		assert_false(sim.pending || sim.unsynced);
	}
	sim.stored = true;
	run_flush(&page);
	assert_false(sim.stored || sim.pending || sim.unsynced);
	sim.stored = true;
	vmem_arch_publish();
	assert_false(sim.stored);
}

static void test_caches(void **state)
{
	void *kva = (void *)(uintptr_t)0x10010;

	(void)state;
	start(0x25, 2);
	sim.ctr |= UINT64_C(1) << 29; /* DIC: no invalidation is needed */
	vmem_arch_icache_sync(kva, 4096);
	check_lines(0x10010, 4096, 64);
	assert_int_equal(sim.invalidated + sim.invalidated_all, 0);
	sim.ctr ^= UINT64_C(3) << 28; /* IDC instead: no cleaning is */
	sim.cleaned = 0;
	vmem_arch_icache_sync(kva, 4096);
	check_lines(0x10010, 4096, 32);
	assert_int_equal(sim.cleaned, 0);
	sim.ctr &= ~UINT64_C(0xc000); /* virtually indexed */
	vmem_arch_icache_sync(kva, 4096);
	assert_int_equal(sim.invalidated_all, 1);
	assert_int_equal(line_count, 0);
	assert_false(sim.pending || sim.unsynced);
	vmem_arch_dcache_clean(kva, 4096);
	check_lines(0x10010, 4096, 64);
}

static void test_zero_block(void **state)
{
	static _Alignas(4096) unsigned char page[4096];

	(void)state;
	for (uint64_t size = 4; size <= 9; size++) {
		start(0x25, 2);
		sim.dczid = size;
		vmem_arch_probe(&vmem_mmu, 0);
		memset(page, 0x5a, sizeof(page));
		vmem_arch_page_clear(page);
		assert_int_equal(sim.zva, 4096u / (4u << size));
		for (size_t i = 0; i < sizeof(page); i++) {
			assert_int_equal(page[i], 0);
		}
	}
	start(0x25, 2);
	sim.dczid = 0x14; /* prohibited */
	vmem_arch_probe(&vmem_mmu, 0);
	memset(page, 0x5a, sizeof(page));
	vmem_arch_page_clear(page);
	assert_int_equal(sim.zva, 0);
	assert_int_equal(page[0] | page[4095], 0);
}

static const struct CMUnitTest isa_tests[] = {
    cmocka_unit_test(test_errata),
    cmocka_unit_test(test_attributes),
    cmocka_unit_test(test_caches),
    cmocka_unit_test(test_zero_block),
};
