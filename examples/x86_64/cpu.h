/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - x86-64 instructions that C has no word for, and what the files of this directory share.
 */
#ifndef X86_64_CPU_H
#define X86_64_CPU_H

#include <stdbool.h>
#include <stdint.h>

#define KERNEL_BASE UINT64_C(0xffffffff80000000) /* the image is linked at this + its physical address */
#define DIRECT_MAP UINT64_C(0xffff800000000000)	 /* all RAM, at this + its physical address */

#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_FMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

/* Selectors. SYSRET takes user data at STAR[63:48] + 8 and user code at + 16 (SDM vol. 2B, SYSRET). */
enum {
	SELECT_CODE = 0x08,
	SELECT_DATA = 0x10,
	SELECT_USER_BASE = 0x18,
	SELECT_USER_DATA = 0x23,
	SELECT_USER_CODE = 0x2b,
	SELECT_TSS = 0x30
};

enum {
	VECTOR_DEBUG = 1,
	VECTOR_NMI = 2,
	VECTOR_DOUBLE_FAULT = 8,
	VECTOR_PAGE_FAULT = 14,
	VECTOR_EXCEPTIONS = 32,
	VECTOR_TIMER = 32
};

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;
	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline uint64_t read_cr2(void)
{
	uint64_t value;
	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

static inline uint64_t read_cr4(void)
{
	uint64_t value;
	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline void write_cr4(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static inline void write_cr3(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;
	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
	return r;
}

/* True if the leaf exists; the extended leaves count by themselves. */
static inline bool cpuid_has(uint32_t leaf)
{
	return cpuid(leaf & 0x80000000u, 0).a >= leaf;
}

struct kernel_boot;

void cpu_features(void);	/* CR0, CR4, XCR0 as the CPU allows; fp.c's sizes */
void traps_start(void);		/* GDT, TSS, IDT, SYSCALL */
void traps_stack(uint64_t top); /* where traps from user mode find their stack */
void timer_start(void);		/* interrupt controller masked, timer stopped */
void timer_interrupt(void);
void fp_start(void);
void fp_init(void *area);
void fp_save(void *area);
void fp_restore(const void *area);

#endif
