/* SPDX-License-Identifier: MIT */
/*
 * effects_x86_64.c - src/arch/x86_64/mmu.c on the machine.
 *
 * CPUID says what the machine's configuration says, in the leaves that the file asks for.
 */
#include "effects.h"

#define VMEM_ARCH_INSN_H /* this is it */

const enum machine_isa glue_isa = MACHINE_X86_64;

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline bool has(uint32_t feature)
{
	return (machine_config()->features & feature) != 0;
}

static inline struct cpuid insn_cpuid(uint32_t leaf)
{
	switch (leaf) {
	case 0:
		return (struct cpuid){.eax = 7};
	case 1: /* CLFLUSH lines of 64 bytes; PCID; PGE, CLFSH */
		return (struct cpuid){.ebx = 8u << 8,
		    .ecx = machine_config()->asid_bits != 0 ? 1u << 17 : 0,
		    .edx = 1u << 13 | 1u << 19};
	case 7:
		return (struct cpuid){.ebx = has(MACHINE_INVPCID) ? 1u << 10 : 0};
	case 0x80000000u:
		return (struct cpuid){.eax = 0x80000008u};
	case 0x80000001u:
		return (struct cpuid){
		    .edx = (has(MACHINE_LEAF_1G) ? 1u << 26 : 0) | (has(MACHINE_NX) ? 1u << 20 : 0)};
	case 0x80000008u:
		return (struct cpuid){.eax = machine_config()->pa_bits};
	default:
		machine_violation(MACHINE_MISUSE, "CPUID leaf %#x", leaf);
		return (struct cpuid){0};
	}
}

static inline uint64_t insn_read_cr0(void)
{
	return x86_read_cr0(machine_cpu());
}

static inline void insn_write_cr0(uint64_t value)
{
	x86_write_cr0(machine_cpu(), value);
}

static inline uint64_t insn_read_cr3(void)
{
	return x86_read_cr3(machine_cpu());
}

static inline void insn_write_cr3(uint64_t value)
{
	x86_write_cr3(machine_cpu(), value);
}

static inline uint64_t insn_read_cr4(void)
{
	return x86_read_cr4(machine_cpu());
}

static inline void insn_write_cr4(uint64_t value)
{
	x86_write_cr4(machine_cpu(), value);
}

static inline uint64_t insn_read_msr(uint32_t msr)
{
	if (msr == 0xc0000080u) { /* EFER: LME, LMA, NXE */
		return 0x500 | (has(MACHINE_NX) ? 0x800 : 0);
	}
	if (msr != 0x277) {
		machine_violation(MACHINE_MISUSE, "RDMSR %#x", msr);
	}
	return x86_read_pat(machine_cpu());
}

static inline void insn_write_msr(uint32_t msr, uint64_t value)
{
	if (msr != 0x277) {
		machine_violation(MACHINE_MISUSE, "WRMSR %#x", msr);
		return;
	}
	x86_write_pat(machine_cpu(), value);
}

static inline void insn_invlpg(vmem_vaddr_t va)
{
	x86_invlpg(machine_cpu(), va);
}

static inline void insn_invpcid(uint64_t type, uint64_t id, vmem_vaddr_t va)
{
	x86_invpcid(machine_cpu(), type, id, va);
}

static inline void insn_barrier(void)
{
}

static inline void insn_mfence(void)
{
}

static inline void insn_wbinvd(void)
{
	machine_cleaned();
}

static inline void insn_clflush(uint64_t address)
{
	(void)address;
	machine_cleaned();
}

static inline void insn_clear_words(void *to, uint64_t words)
{
	memset(to, 0, words * 8);
}

static inline void insn_copy_words(void *to, const void *from, uint64_t words)
{
	memcpy(to, from, words * 8);
}

#include "mmu.c"
