/* SPDX-License-Identifier: MIT */
/*
 * insn.h - the instructions that mmu.c is made of, one function each and nothing decided here: a test puts
 * a model of the processor in their place.
 */
#ifndef VMEM_ARCH_INSN_H
#define VMEM_ARCH_INSN_H

#define INSN_READ(name)                                                                                      \
	static inline uint64_t insn_read_##name(void)                                                        \
	{                                                                                                    \
		uint64_t value;                                                                              \
		__asm__ volatile("mrs %0, " #name : "=r"(value) : : "memory");                               \
		return value;                                                                                \
	}
#define INSN_WRITE(name)                                                                                     \
	static inline void insn_write_##name(uint64_t value)                                                 \
	{                                                                                                    \
		__asm__ volatile("msr " #name ", %0" : : "r"(value) : "memory");                             \
	}
#define INSN_PLAIN(name, text)                                                                               \
	static inline void insn_##name(void)                                                                 \
	{                                                                                                    \
		__asm__ volatile(text : : : "memory");                                                       \
	}
#define INSN_OPERAND(name, text)                                                                             \
	static inline void insn_##name(uint64_t operand)                                                     \
	{                                                                                                    \
		__asm__ volatile(text ", %0" : : "r"(operand) : "memory");                                   \
	}
#define INSN_ADDRESS(name, text)                                                                             \
	static inline void insn_##name(void *address)                                                        \
	{                                                                                                    \
		__asm__ volatile(text ", %0" : : "r"(address) : "memory");                                   \
	}

INSN_READ(tcr_el1)
INSN_READ(mair_el1)
INSN_READ(ttbr1_el1)
INSN_READ(par_el1)
INSN_READ(midr_el1)
INSN_READ(ctr_el0)
INSN_READ(dczid_el0)
INSN_READ(id_aa64mmfr0_el1)
INSN_READ(id_aa64mmfr1_el1)
INSN_WRITE(tcr_el1)
INSN_WRITE(mair_el1)
INSN_WRITE(ttbr0_el1)
INSN_PLAIN(pause, "yield")
INSN_PLAIN(isb, "isb")
INSN_PLAIN(dsb_ishst, "dsb ishst")
INSN_PLAIN(dsb_ish, "dsb ish")
INSN_PLAIN(dsb_nshst, "dsb nshst")
INSN_PLAIN(dsb_nsh, "dsb nsh")
INSN_PLAIN(dsb_sy, "dsb sy")
INSN_PLAIN(tlbi_vmalle1, "tlbi vmalle1")
INSN_PLAIN(tlbi_vmalle1is, "tlbi vmalle1is")
INSN_PLAIN(ic_ialluis, "ic ialluis")
INSN_OPERAND(tlbi_vae1is, "tlbi vae1is")
INSN_OPERAND(tlbi_vale1is, "tlbi vale1is")
INSN_OPERAND(tlbi_vaae1is, "tlbi vaae1is")
INSN_OPERAND(tlbi_vaale1is, "tlbi vaale1is")
INSN_OPERAND(tlbi_aside1is, "tlbi aside1is")
INSN_OPERAND(tlbi_aside1, "tlbi aside1")
INSN_OPERAND(dc_cvau, "dc cvau")
INSN_OPERAND(dc_civac, "dc civac")
INSN_OPERAND(ic_ivau, "ic ivau")
INSN_ADDRESS(dc_zva, "dc zva")
INSN_ADDRESS(at_s1e1r, "at s1e1r") /* the answer is in PAR_EL1 after an ISB */

static inline void insn_clear_128(void *to)
{
	__asm__ volatile("stp xzr, xzr, [%0]\n\tstp xzr, xzr, [%0, #16]\n\t"
			 "stp xzr, xzr, [%0, #32]\n\tstp xzr, xzr, [%0, #48]\n\t"
			 "stp xzr, xzr, [%0, #64]\n\tstp xzr, xzr, [%0, #80]\n\t"
			 "stp xzr, xzr, [%0, #96]\n\tstp xzr, xzr, [%0, #112]"
			 :
			 : "r"(to)
			 : "memory");
}

static inline void insn_copy_128(void *to, const void *from)
{
	__asm__ volatile("ldp x8, x9, [%0]\n\tldp x10, x11, [%0, #16]\n\t"
			 "ldp x12, x13, [%0, #32]\n\tldp x14, x15, [%0, #48]\n\t"
			 "stp x8, x9, [%1]\n\tstp x10, x11, [%1, #16]\n\t"
			 "stp x12, x13, [%1, #32]\n\tstp x14, x15, [%1, #48]\n\t"
			 "ldp x8, x9, [%0, #64]\n\tldp x10, x11, [%0, #80]\n\t"
			 "ldp x12, x13, [%0, #96]\n\tldp x14, x15, [%0, #112]\n\t"
			 "stp x8, x9, [%1, #64]\n\tstp x10, x11, [%1, #80]\n\t"
			 "stp x12, x13, [%1, #96]\n\tstp x14, x15, [%1, #112]"
			 :
			 : "r"(from), "r"(to)
			 : "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "memory");
}

#endif
