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
#define MSR_KERNEL_GS_BASE 0xc0000102u /* in the kernel: the user's */

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
	VECTOR_TIMER = 32,
	VECTOR_CALL = 33,
	VECTOR_REST = 64, /* of a higher priority than these two */
	VECTOR_SPURIOUS = 255 /* its low four bits are ones on any APIC */
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

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
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
struct port_cpu;
struct port_frame;

/* GS, until traps_start() has loaded the rest: a null selector would clear the base. */
static inline void cpu_load(struct port_cpu *cpu)
{
	*(struct port_cpu **)(void *)cpu = cpu; /* its `self` */
	wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
}

void cpu_features(void);	   /* CR0, CR4, XCR0 as the CPU allows; fp.c's sizes */
void traps_start(unsigned number); /* CPU `number`'s GDT, TSS, IDT, SYSCALL */
void timer_start(void);		   /* old interrupt controllers masked */
uint64_t timer_measure(uint32_t (*read_down_counter)(void)); /* how far it counts in a millisecond */
void apic_start(void);					     /* this CPU's; the timer is stopped */
void apic_measure(void); /* how fast the timer and the cycle counter run */
void apic_timer_interrupt(void);
void apic_call_interrupt(void);
void apic_rest_interrupt(void);
/* boot.S: what starts another CPU is copied to a page below 1 MiB. */
#define BOOT_CPU_PAGE UINT64_C(0x8000)
extern const char boot_cpu[], boot_cpu_end[];
extern uint64_t boot_root, boot_cpu_stacks[];
extern uint32_t boot_cpu_count;

#define APIC_PHYSICAL UINT64_C(0xfee00000)
_Noreturn void start_cpu(uint32_t number); /* another CPU, out of boot.S */
void fp_init(void *area);
void fp_save(void *area);
void fp_restore(const void *area);
void fp_reset(void);
uint32_t fp_mxcsr_mask(void); /* bits that the CPU takes */
uint32_t fp_size(void);	     /* bytes of the area that are in use */
uint64_t fp_features(void);  /* its components, 0: FXSAVE's format */
/* What a system call was entered with, rax left out; kept: r15, r14, r13, r12, rbp, rbx. */
void frame_of_call(struct port_frame *out, const uint64_t *argument, const uint64_t *kept);
_Noreturn void signal_leave_call(const uint64_t *argument, int64_t result);
_Noreturn void frame_return(const struct port_frame *frame); /* to user mode */

#endif
