/* SPDX-License-Identifier: MIT */
/*
 * insn.h - the instructions that mmu.c is made of, one function each and nothing decided here: a test puts
 * a model of the processor in their place.
 */
#ifndef VMEM_ARCH_INSN_H
#define VMEM_ARCH_INSN_H

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid insn_cpuid(uint32_t leaf)
{
	struct cpuid id;

	__asm__ volatile("cpuid"
			 : "=a"(id.eax), "=b"(id.ebx), "=c"(id.ecx), "=d"(id.edx)
			 : "a"(leaf), "c"(0));
	return id;
}

#define INSN_CONTROL_REGISTER(name)                                                                          \
	static inline uint64_t insn_read_##name(void)                                                        \
	{                                                                                                    \
		uint64_t value;                                                                              \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");                          \
		return value;                                                                                \
	}                                                                                                    \
	static inline void insn_write_##name(uint64_t value)                                                 \
	{                                                                                                    \
		__asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                              \
	}

INSN_CONTROL_REGISTER(cr0)
INSN_CONTROL_REGISTER(cr3)
INSN_CONTROL_REGISTER(cr4)

static inline uint64_t insn_read_msr(uint32_t msr)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void insn_write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline void insn_invlpg(vmem_vaddr_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline void insn_invpcid(uint64_t type, uint64_t id, vmem_vaddr_t va)
{
	struct {
		uint64_t id;
		uint64_t va;
	} descriptor = {id, va};

	__asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(type) : "memory");
}

/* No instruction: only the compiler must not move stores over it. */
static inline void insn_barrier(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline void insn_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void insn_mfence(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

static inline void insn_wbinvd(void)
{
	__asm__ volatile("wbinvd" : : : "memory");
}

static inline void insn_clflush(uint64_t address)
{
	__asm__ volatile("clflush (%0)" : : "r"(address) : "memory");
}

static inline void insn_clear_words(void *to, uint64_t words)
{
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(0) : "memory");
}

static inline void insn_copy_words(void *to, const void *from, uint64_t words)
{
	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}

#endif
