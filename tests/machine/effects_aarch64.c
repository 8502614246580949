/* SPDX-License-Identifier: MIT */
/*
 * effects_aarch64.c - src/arch/aarch64/mmu.c on the machine.
 *
 * The caches: lines of 64 bytes, CTR_EL0.IDC and DIC zero unless fetch is coherent. IC IVAU makes fetch see
 * a line only if DC CVAU and a DSB came first.
 */
#include "effects.h"

#define VMEM_ARCH_INSN_H /* this is it */

const enum machine_isa glue_isa = MACHINE_AARCH64;

#define LINE 64u

static _Thread_local struct {
	uint64_t start, end; /* cleaned to the point of unification, without a gap */
	bool complete;	     /* a DSB came after */
} cleaned;
static _Thread_local uint64_t par;

static inline bool has(uint32_t feature)
{
	return (machine_config()->features & feature) != 0;
}

static inline uint64_t insn_read_tcr_el1(void)
{
	return arm_read_tcr(machine_cpu());
}

static inline uint64_t insn_read_mair_el1(void)
{
	return arm_read_mair(machine_cpu());
}

static inline uint64_t insn_read_ttbr1_el1(void)
{
	return arm_read_ttbr1(machine_cpu());
}

static inline uint64_t insn_read_par_el1(void)
{
	return par;
}

static inline uint64_t insn_read_midr_el1(void)
{
	return 0x410fd0c0; /* an implementation without errata */
}

static inline uint64_t insn_read_ctr_el0(void)
{
	uint64_t coherent = has(MACHINE_COHERENT_FETCH) ? UINT64_C(3) << 28 : 0;
	return UINT64_C(0x80000000) | coherent | 4u << 16 | 3u << 14 | 4u;
}

static inline uint64_t insn_read_dczid_el0(void)
{
	return 4; /* 64 bytes */
}

static inline uint64_t insn_read_id_aa64mmfr0_el1(void)
{
	return (machine_config()->pa_bits == 52 ? 6u : 5u) | (machine_config()->asid_bits == 16 ? 2u : 0u)
								 << 4;
}

static inline uint64_t insn_read_id_aa64mmfr1_el1(void)
{
	return has(MACHINE_HW_MARKS) ? 2 : 0;
}

static inline void insn_write_tcr_el1(uint64_t value)
{
	arm_write_tcr(machine_cpu(), value);
}

static inline void insn_write_mair_el1(uint64_t value)
{
	arm_write_mair(machine_cpu(), value);
}

static inline void insn_write_ttbr0_el1(uint64_t value)
{
	arm_write_ttbr0(machine_cpu(), value);
}

static inline void insn_isb(void)
{
}

static inline void insn_dsb_ishst(void)
{
}

static inline void insn_dsb_nshst(void)
{
}

static inline void insn_dsb_ish(void)
{
	cleaned.complete = true;
	arm_dsb(machine_cpu(), true);
}

static inline void insn_dsb_nsh(void)
{
	arm_dsb(machine_cpu(), false);
}

static inline void insn_dsb_sy(void)
{
	insn_dsb_ish();
}

/* The linear map, which the library knows by its host pointers, is at the same place of the upper half. */
static inline uint64_t upper(uint64_t operand)
{
	uint64_t va = operand << 12 & UINT64_C(0x0000ffffffffffff);
	bool in_linear_map = machine_is_ram(va - machine_direct_map());
	return in_linear_map
		   ? operand | (machine_linear(va - machine_direct_map()) >> 12 & UINT64_C(0xfffffffffff))
		   : operand;
}

static inline void insn_tlbi_vmalle1(void)
{
	arm_tlbi(machine_cpu(), ARM_TLBI_VMALLE1, false, 0);
}

static inline void insn_tlbi_vmalle1is(void)
{
	arm_tlbi(machine_cpu(), ARM_TLBI_VMALLE1, true, 0);
}

static inline void insn_tlbi_vae1is(uint64_t operand)
{
	arm_tlbi(machine_cpu(), ARM_TLBI_VAE1, true, upper(operand));
}

static inline void insn_tlbi_vale1is(uint64_t operand)
{
	arm_tlbi(machine_cpu(), ARM_TLBI_VALE1, true, upper(operand));
}

static inline void insn_tlbi_vaae1is(uint64_t operand)
{
	arm_tlbi(machine_cpu(), ARM_TLBI_VAAE1, true, upper(operand));
}

static inline void insn_tlbi_vaale1is(uint64_t operand)
{
	arm_tlbi(machine_cpu(), ARM_TLBI_VAALE1, true, upper(operand));
}

static inline void insn_tlbi_aside1is(uint64_t operand)
{
	arm_tlbi(machine_cpu(), ARM_TLBI_ASIDE1, true, operand);
}

static inline void insn_tlbi_aside1(uint64_t operand)
{
	arm_tlbi(machine_cpu(), ARM_TLBI_ASIDE1, false, operand);
}

static inline void insn_ic_ialluis(void)
{
	machine_violation(MACHINE_MISUSE, "IC IALLUIS with a cache of physical index");
}

static inline void insn_dc_cvau(uint64_t operand)
{
	if (operand != cleaned.end) {
		cleaned.start = operand;
	}
	cleaned.end = operand + LINE;
	cleaned.complete = false;
}

static inline void insn_dc_civac(uint64_t operand)
{
	(void)operand;
	machine_cleaned();
}

static inline void insn_ic_ivau(uint64_t operand)
{
	if (cleaned.complete && operand >= cleaned.start && operand < cleaned.end) {
		machine_fetch_sync(machine_cpu(), operand - machine_direct_map(), LINE);
	}
}

static inline void insn_dc_zva(void *address)
{
	memset(address, 0, 64);
}

/*
 * The library asks where its own empty table is, which no RAM of the machine holds: the boot has one to
 * spare.
 */
static inline void insn_at_s1e1r(const void *address)
{
	(void)address;
	par = machine_empty_table();
}

static inline void insn_clear_128(void *to)
{
	memset(to, 0, 128);
}

static inline void insn_copy_128(void *to, const void *from)
{
	memcpy(to, from, 128);
}

#include "mmu.c"
