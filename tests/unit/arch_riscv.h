/* SPDX-License-Identifier: MIT */
/*
 * arch_riscv.h - a hart for riscv/mmu.c: satp, and the fences as the privileged specification has them
 * (chapters "Supervisor Memory-Management Fence Instruction" and "Svinval"), with a TLB that forgets no
 * more than it must.
 */
#define VMEM_ARCH_INSN_H

static struct {
	uint64_t satp, asid_mask;
	bool invalidating; /* between sfence.w.inval and sfence.inval.ir */
	unsigned fences, fence_i, sinvals;
} sim;

/* rs1 and rs2 as given; without a register the operand does not limit. Global entries go only without rs2. */
static void sim_fence(bool address, vmem_vaddr_t va, bool limited, uint64_t id)
{
	assert_false(sim.invalidating);
	sim.fences++;
	model_steps++;
	for (unsigned i = 0; i < tlb_count; i++) {
		if (address && (tlb[i].table || !covers(&tlb[i], va))) {
			continue;
		}
		if (!limited || (!tlb[i].global && (vmem_mmu.asid_bits == 0 || tlb[i].id == id))) {
			tlb[i].live = false;
		}
	}
}

static uint64_t insn_read_satp(void)
{
	return sim.satp;
}

static void insn_write_satp(uint64_t value)
{
	sim.satp = value & ~((UINT64_C(0xffff) & ~sim.asid_mask) << 44);
}

static void insn_sfence_all(void)
{
	sim_fence(false, 0, false, 0);
}

static void insn_sfence_id(uint64_t id)
{
	sim_fence(false, 0, true, id);
}

static void insn_sfence_address(uint64_t va)
{
	sim_fence(true, va, false, 0);
}

static void insn_sfence_address_id(uint64_t va, uint64_t id)
{
	sim_fence(true, va, true, id);
}

static void insn_sfence_w_inval(void)
{
	assert_true((vmem_mmu.features & ARCH_FEATURE_SVINVAL) != 0);
	sim.invalidating = true;
}

static void insn_sinval_address(uint64_t va)
{
	assert_true(sim.invalidating);
	sim.invalidating = false;
	sim_fence(true, va, false, 0);
	sim.invalidating = true;
	sim.sinvals++;
}

static void insn_sinval_address_id(uint64_t va, uint64_t id)
{
	assert_true(sim.invalidating);
	sim.invalidating = false;
	sim_fence(true, va, true, id);
	sim.invalidating = true;
	sim.sinvals++;
}

static void insn_sfence_inval_ir(void)
{
	assert_true(sim.invalidating);
	sim.invalidating = false;
}

static void insn_pause(void)
{
}

static void insn_fence_rw(void)
{
}

static void insn_fence_iorw(void)
{
}

static void insn_fence_i(void)
{
	sim.fence_i++;
}

static void insn_clear_256(void *to)
{
	memset(to, 0, 256);
}

static void insn_copy_128(void *to, const void *from)
{
	memcpy(to, from, 128);
}

#include "mmu.c"

#define MODE(n) ((uint64_t)(n) << 60)

static void start(unsigned mode, uint64_t asid_mask, uint32_t isa_features)
{
	memset(&sim, 0, sizeof(sim));
	tlb_count = 0;
	sim.asid_mask = asid_mask;
	sim.satp = MODE(mode) | 0x80005;
	vmem_arch_probe(&vmem_mmu, isa_features);
}

static void test_probe(void **state)
{
	static const uint8_t va_bits[] = {39, 48, 57};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		start(8 + i, 0x1ff, 0);
		assert_int_equal(vmem_mmu.levels, 3 + i);
		assert_int_equal(vmem_mmu.va_bits, va_bits[i]);
		assert_int_equal(vmem_mmu.asid_bits, 9);
		assert_int_equal(vmem_mmu.pa_bits, 56);
		assert_int_equal(vmem_mmu.cache_types, 1);
		assert_int_equal(
		    vmem_mmu.features, MMU_CACHES_INVALID | MMU_ICACHE_LOCAL | MMU_LIVE_SPLIT | MMU_NX);
		assert_int_equal(vmem_arch_kernel_root(), 0x80005000);
		/* No trace: satp as it was, and whatever was cached under the trial id forgotten. */
		assert_int_equal(sim.satp, MODE(8 + i) | 0x80005);
		assert_int_equal(sim.fences, 1);
	}
	start(11, 0xffff, 0); /* Sv64, which has no meaning yet */
	assert_int_equal(vmem_mmu.levels, 0);
	start(0, 0xffff, 0);
	assert_int_equal(vmem_mmu.levels, 0); /* no paging */
	start(8, 0, VMEM_RISCV_SVADU | VMEM_RISCV_SVPBMT | VMEM_RISCV_SVNAPOT | VMEM_RISCV_SVINVAL);
	assert_int_equal(vmem_mmu.asid_bits, 0);
	assert_int_equal(
	    vmem_mmu.cache_types, 1 << VMEM_WRITE_BACK | 1 << VMEM_WRITE_COMBINING | 1 << VMEM_UNCACHED);
	assert_int_equal(vmem_mmu.features, MMU_CACHES_INVALID | MMU_ICACHE_LOCAL | MMU_LIVE_SPLIT | MMU_NX |
						MMU_HW_DIRTY | ARCH_FEATURE_SVPBMT | ARCH_FEATURE_SVNAPOT |
						ARCH_FEATURE_SVINVAL);
}

static void test_cpu_init(void **state)
{
	(void)state;
	start(9, 0xffff, 0);
	model_fill(3);
	vmem_arch_cpu_init();
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_false(tlb[i].live);
	}
}

static void test_activate(void **state)
{
	(void)state;
	start(9, 0xffff, 0);
	model_fill(3);
	vmem_arch_activate(0x9000, 1, false);
	assert_int_equal(sim.satp, MODE(9) | UINT64_C(1) << 44 | 9);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_true(tlb[i].live);
	}
	vmem_arch_activate(0xa000, 2, true);
	assert_int_equal(sim.satp, MODE(9) | UINT64_C(2) << 44 | 10);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_int_equal(tlb[i].live, tlb[i].global || tlb[i].id != 2);
	}
	vmem_arch_activate(0, 0, false);
	assert_int_equal(sim.satp, MODE(9) | 0x80005);
	start(9, 0, 0); /* no ids: every switch flushes, but for global entries */
	model_fill(1);
	vmem_arch_activate(0x9000, 0, false);
	for (unsigned i = 0; i < tlb_count; i++) {
		assert_int_equal(tlb[i].live, tlb[i].global);
	}
}

static void test_flush(void **state)
{
	struct arch_flush pages = {.start = 0x402000, .pages = 3, .asid = 1};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		start(9, (i & 1) != 0 ? 0xffff : 0, (i & 2) != 0 ? VMEM_RISCV_SVINVAL : 0);
		for (uint32_t asid = 0; asid < 3; asid++) {
			vmem_arch_activate(0x9000, 0, false);
			run_all_flushes(asid);
			assert_false(sim.invalidating);
		}
		sim.sinvals = 0;
		run_flush(&pages);
		assert_int_equal(sim.sinvals, (i & 2) != 0 ? 3 : 0);
	}
	vmem_arch_publish();
	vmem_arch_icache_sync(&sim, 64);
	assert_int_equal(sim.fence_i, 1);
	vmem_arch_dcache_clean(&sim, 64);
}

static const struct CMUnitTest isa_tests[] = {cmocka_unit_test(test_probe)};
