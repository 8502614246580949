/* SPDX-License-Identifier: MIT */
/*
 * arch_x86_64.h - a processor for x86_64/mmu.c: control registers, CPUID and the invalidating instructions
 * as the SDM has them (vol. 3A 4.10.4.1), with a TLB that forgets no more than it must.
 */
#define VMEM_ARCH_INSN_H

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static struct {
	uint64_t cr0, cr3, cr4, pat, efer;
	struct cpuid basic, feature, ext1, ext8;
	uint32_t basic_max, ext_max;
	bool wbinvd, fenced;
} sim;

#define SIM_PGE (UINT64_C(1) << 7)
#define SIM_PCIDE (UINT64_C(1) << 17)

static void sim_forget(bool all_ids, uint32_t id, bool global)
{
	for (unsigned i = 0; i < tlb_count; i++) {
		if ((all_ids || tlb[i].id == id) && (global || !tlb[i].global)) {
			tlb[i].live = false;
		}
	}
}

static uint32_t sim_id(void)
{
	return (sim.cr4 & SIM_PCIDE) != 0 ? (uint32_t)(sim.cr3 & 0xfff) : 0;
}

static struct cpuid insn_cpuid(uint32_t leaf)
{
	switch (leaf) {
	case 0:
		return (struct cpuid){.eax = sim.basic_max};
	case 1:
		return sim.basic;
	case 7:
		assert_true(sim.basic_max >= 7);
		return sim.feature;
	case 0x80000000:
		return (struct cpuid){.eax = sim.ext_max};
	case 0x80000001:
		assert_true(sim.ext_max >= leaf);
		return sim.ext1;
	default:
		assert_int_equal(leaf, 0x80000008);
		assert_true(sim.ext_max >= leaf);
		return sim.ext8;
	}
}

static uint64_t insn_read_cr0(void)
{
	return sim.cr0;
}

static void insn_write_cr0(uint64_t value)
{
	sim.cr0 = value;
}

static uint64_t insn_read_cr3(void)
{
	return sim.cr3;
}

static void insn_write_cr3(uint64_t value)
{
	bool ids = (sim.cr4 & SIM_PCIDE) != 0;

	assert_true(ids || value >> 63 == 0);
	sim.cr3 = value & ~(UINT64_C(1) << 63);
	if (value >> 63 == 0) {
		sim_forget(!ids, sim_id(), false);
	}
}

static uint64_t insn_read_cr4(void)
{
	return sim.cr4;
}

static void insn_write_cr4(uint64_t value)
{
	uint64_t changed = sim.cr4 ^ value;

	if ((changed & value & SIM_PCIDE) != 0) {
		assert_int_equal(sim.cr3 & 0xfff, 0); /* else #GP */
		assert_true(sim.basic.ecx >> 17 & 1);
	}
	if ((changed & SIM_PGE) != 0 || (changed & sim.cr4 & SIM_PCIDE) != 0) {
		sim_forget(true, 0, true);
	}
	sim.cr4 = value;
}

static uint64_t insn_read_msr(uint32_t msr)
{
	assert_true(msr == 0x277 || msr == 0xc0000080);
	return msr == 0x277 ? sim.pat : sim.efer;
}

static void insn_write_msr(uint32_t msr, uint64_t value)
{
	assert_int_equal(msr, 0x277);
	sim.pat = value;
}

static void insn_invlpg(vmem_vaddr_t va)
{
	model_steps++;
	for (unsigned i = 0; i < tlb_count; i++) {
		bool ours = tlb[i].id == sim_id();

		if (tlb[i].table ? ours : (ours || tlb[i].global) && covers(&tlb[i], va)) {
			tlb[i].live = false;
		}
	}
}

static void insn_invpcid(uint64_t type, uint64_t id, vmem_vaddr_t va)
{
	assert_true(sim.basic_max >= 7 && (sim.feature.ebx >> 10 & 1) != 0);
	model_steps++;
	if (type == 0) {
		for (unsigned i = 0; i < tlb_count; i++) {
			if (tlb[i].id == id && !tlb[i].global && !tlb[i].table && covers(&tlb[i], va)) {
				tlb[i].live = false;
			}
		}
		return;
	}
	sim_forget(type != 1, (uint32_t)id, type == 2);
}

static void insn_barrier(void)
{
}

static void insn_pause(void)
{
}

static void insn_mfence(void)
{
	sim.fenced = true;
}

static void insn_wbinvd(void)
{
	sim.wbinvd = true;
}

static void insn_clflush(uint64_t address)
{
	assert_true(sim.fenced);
	model_line(address);
}

static void insn_clear_words(void *to, uint64_t words)
{
	memset(to, 0, words * 8);
}

static void insn_copy_words(void *to, const void *from, uint64_t words)
{
	memcpy(to, from, words * 8);
}

#include "mmu.c"

enum { HAVE_PCID = 1, HAVE_INVPCID = 2, HAVE_PGE = 4, HAVE_1G = 8, HAVE_NX = 16, HAVE_LA57 = 32 };

/* A CPU as a host leaves it: paging on, root at 0x5000 with cache bits in CR3. */
static void start(unsigned have)
{
	memset(&sim, 0, sizeof(sim));
	tlb_count = 0;
	sim.cr0 = 0x80000001;
	sim.cr3 = 0x5018;
	sim.cr4 = 0x20 | ((have & HAVE_LA57) != 0 ? 1u << 12 : 0);
	sim.pat = UINT64_C(0x0007040600070406);
	sim.efer = 0x500 | ((have & HAVE_NX) != 0 ? 1u << 11 : 0);
	sim.basic_max = 7;
	sim.ext_max = 0x80000008;
	sim.basic.ebx = 8 << 8;
	sim.basic.edx = 1u << 19 | ((have & HAVE_PGE) != 0 ? 1u << 13 : 0);
	sim.basic.ecx = (have & HAVE_PCID) != 0 ? 1u << 17 : 0;
	sim.feature.ebx = (have & HAVE_INVPCID) != 0 ? 1u << 10 : 0;
	sim.ext1.edx = (have & HAVE_1G) != 0 ? 1u << 26 : 0;
	sim.ext8.eax = 0x3027;
	tlb_without_global = (have & HAVE_PGE) == 0;
	vmem_arch_probe(&vmem_mmu, 0);
}

static void test_probe(void **state)
{
	(void)state;
	start(HAVE_PCID | HAVE_PGE | HAVE_1G | HAVE_NX | HAVE_LA57);
	assert_int_equal(vmem_mmu.levels, 5);
	assert_int_equal(vmem_mmu.va_bits, 57);
	assert_int_equal(vmem_mmu.pa_bits, 39);
	assert_int_equal(vmem_mmu.asid_bits, 12);
	assert_int_equal(vmem_mmu.leaf_levels, 7);
	assert_int_equal(vmem_mmu.cache_types, 15);
	assert_int_equal(vmem_mmu.features, MMU_HW_DIRTY | MMU_LIVE_SPLIT | MMU_NX);
	assert_int_equal(vmem_arch_kernel_root(), 0x5000);
	start(0);
	assert_int_equal(vmem_mmu.levels, 4);
	assert_int_equal(vmem_mmu.va_bits, 48);
	assert_int_equal(vmem_mmu.asid_bits, 0);
	assert_int_equal(vmem_mmu.leaf_levels, 3);
	assert_int_equal(vmem_mmu.features, MMU_HW_DIRTY | MMU_LIVE_SPLIT);
	/* Ids without global pages would leave no flush of everything. */
	start(HAVE_PCID);
	assert_int_equal(vmem_mmu.asid_bits, 0);
	/* PCIDE that sticks is no sign of ids. */
	start(HAVE_PGE);
	sim.cr4 |= SIM_PCIDE;
	vmem_arch_probe(&vmem_mmu, 0);
	assert_int_equal(vmem_mmu.asid_bits, 0);
	/* An old CPUID: leaves that it does not have are not asked for (the model asserts that). */
	start(HAVE_PGE);
	sim.basic_max = 1;
	sim.ext_max = 0x80000000;
	vmem_arch_probe(&vmem_mmu, 0);
	assert_int_equal(vmem_mmu.pa_bits, 36);
	assert_int_equal(vmem_mmu.leaf_levels, 3);
}

static void test_cpu_init(void **state)
{
	(void)state;
	start(HAVE_PCID | HAVE_PGE | HAVE_NX);
	model_fill(1);
	vmem_arch_cpu_init();
	assert_int_equal(sim.pat, UINT64_C(0x0007010600070406)); /* entry 5 alone is new */
	assert_int_equal(sim.cr0, 0x80010001);
	assert_int_equal(sim.cr4, 0x20 | SIM_PGE | SIM_PCIDE);
	assert_int_equal(sim.cr3, 0x5000);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_false(tlb[i].live);
	}
	/* Again, as on a CPU that comes back under an id: nothing faults, nothing changes. */
	sim.cr3 = 0x7002;
	vmem_arch_cpu_init();
	assert_int_equal(sim.cr3, 0x7002);
	start(0);
	vmem_arch_cpu_init();
	assert_int_equal(sim.cr4, 0x20);
	assert_int_equal(sim.cr3, 0x5018);
}

static void test_activate(void **state)
{
	(void)state;
	start(HAVE_PCID | HAVE_PGE);
	vmem_arch_cpu_init();
	model_fill(3);
	vmem_arch_activate(0x9000, 1, false);
	assert_int_equal(sim.cr3, 0x9001);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_true(tlb[i].live);
	}
	vmem_arch_activate(0xa000, 2, true);
	assert_int_equal(sim.cr3, 0xa002);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_int_equal(tlb[i].live, tlb[i].global || tlb[i].id != 2);
	}
	vmem_arch_activate(0, 0, false);
	assert_int_equal(sim.cr3, 0x5000);
	start(HAVE_PGE);
	vmem_arch_cpu_init();
	model_fill(1);
	vmem_arch_activate(
	    0x9000, 7, false); /* no ids: the number is ignored, and everything but global goes */
	assert_int_equal(sim.cr3, 0x9000);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_int_equal(tlb[i].live, tlb[i].global);
	}
}

static void test_flush(void **state)
{
	static const unsigned haves[] = {
	    0, HAVE_PGE, HAVE_PGE | HAVE_INVPCID, HAVE_PGE | HAVE_PCID, HAVE_PGE | HAVE_PCID | HAVE_INVPCID};

	(void)state;
	for (size_t i = 0; i < sizeof(haves) / sizeof(haves[0]); i++) {
		start(haves[i]);
		vmem_arch_cpu_init();
		for (uint32_t current = 0; current < 3; current++) {
			struct arch_flush elsewhere = {
			    .start = 0x402000, .pages = 2, .asid = (current + 1) % 3};
			uint64_t cr3;
			uint64_t cr4 = sim.cr4;

			vmem_arch_activate(0x9000, current, false);
			cr3 = sim.cr3;
			run_all_flushes(vmem_mmu.asid_bits != 0 ? current : 0);
			assert_int_equal(sim.cr3, cr3);
			assert_int_equal(sim.cr4, cr4);
			if ((haves[i] & HAVE_PCID) != 0 && (haves[i] & HAVE_INVPCID) != 0) {
				assert_int_equal(run_flush(&elsewhere), 0);
			}
		}
	}
}

static void test_dcache(void **state)
{
	(void)state;
	start(0);
	vmem_arch_dcache_clean((void *)(uintptr_t)0x10000, 4096);
	check_lines(0x10000, 4096, 64);
	vmem_arch_dcache_clean((void *)(uintptr_t)0x10020, 64);
	check_lines(0x10020, 64, 64);
	assert_false(sim.wbinvd);
	start(0);
	sim.basic.edx &= ~(1u << 19);
	vmem_arch_probe(&vmem_mmu, 0);
	vmem_arch_dcache_clean((void *)(uintptr_t)0x10000, 4096);
	assert_true(sim.wbinvd);
	vmem_arch_icache_sync((void *)(uintptr_t)0x10000, 4096);
	vmem_arch_publish();
}

static const struct CMUnitTest isa_tests[] = {
    cmocka_unit_test(test_dcache),
};
