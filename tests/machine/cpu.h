/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - the instructions and registers of the three ISAs that have to do with translation. Each is what
 * the manual says it is, on one CPU (AArch64's inner-shareable TLBI: on all). Using another ISA's is a
 * violation.
 */
#ifndef MACHINE_CPU_H
#define MACHINE_CPU_H

#include "machine.h"

/* x86-64. CR3: bit 63 keeps what is cached, bits 11 to 0 are the PCID with CR4.PCIDE. */
#define X86_CR0_WP (UINT64_C(1) << 16)
#define X86_CR4_PGE (UINT64_C(1) << 7)
#define X86_CR4_LA57 (UINT64_C(1) << 12)
#define X86_CR4_PCIDE (UINT64_C(1) << 17)
enum {
	X86_INVPCID_ADDRESS = 0,
	X86_INVPCID_CONTEXT = 1,
	X86_INVPCID_ALL = 2,
	X86_INVPCID_ALL_NON_GLOBAL = 3
};
uint64_t x86_read_cr3(unsigned cpu);
void x86_write_cr3(unsigned cpu, uint64_t value);
uint64_t x86_read_cr4(unsigned cpu);
void x86_write_cr4(unsigned cpu, uint64_t value);
uint64_t x86_read_cr0(unsigned cpu);
void x86_write_cr0(unsigned cpu, uint64_t value);
uint64_t x86_read_pat(unsigned cpu);
void x86_write_pat(unsigned cpu, uint64_t value);
void x86_invlpg(unsigned cpu, uint64_t va);
void x86_invpcid(unsigned cpu, uint64_t type, uint64_t pcid, uint64_t va);

/*
 * AArch64. A TLBI is complete at the next DSB of its CPU, ISH for the inner-shareable ones; until then the
 * TLBs are as before.
 */
#define ARM_TCR_EPD0 (UINT64_C(1) << 7)
#define ARM_TCR_A1 (UINT64_C(1) << 22)
#define ARM_TCR_AS (UINT64_C(1) << 36)
#define ARM_TCR_HA (UINT64_C(1) << 39)
#define ARM_TCR_HD (UINT64_C(1) << 40)
#define ARM_TCR_DS (UINT64_C(1) << 59)
enum arm_tlbi {
	ARM_TLBI_VAE1,
	ARM_TLBI_VALE1,
	ARM_TLBI_VAAE1,
	ARM_TLBI_VAALE1,
	ARM_TLBI_ASIDE1,
	ARM_TLBI_VMALLE1
};
uint64_t arm_read_tcr(unsigned cpu);
void arm_write_tcr(unsigned cpu, uint64_t value);
uint64_t arm_read_mair(unsigned cpu);
void arm_write_mair(unsigned cpu, uint64_t value);
uint64_t arm_read_ttbr1(unsigned cpu);
void arm_write_ttbr0(unsigned cpu, uint64_t value);
/* operand as in the manual: ASID in bits 63 to 48, address bits 55 to 12 in bits 43 to 0 */
void arm_tlbi(unsigned cpu, enum arm_tlbi op, bool inner_shareable, uint64_t operand);
void arm_dsb(unsigned cpu, bool inner_shareable);

/* RISC-V. An unsupported mode leaves satp as it is; the id field keeps the bits that exist. */
#define RISCV_ANY UINT64_MAX /* register x0 */
uint64_t riscv_read_satp(unsigned cpu);
void riscv_write_satp(unsigned cpu, uint64_t value);
void riscv_sfence_vma(unsigned cpu, uint64_t rs1, uint64_t rs2);
/* Svinval: SINVAL.VMA between the two fences; complete at the second. */
void riscv_sfence_w_inval(unsigned cpu);
void riscv_sinval_vma(unsigned cpu, uint64_t rs1, uint64_t rs2);
void riscv_sfence_inval_ir(unsigned cpu);

#endif
