/* SPDX-License-Identifier: MIT */
/*
 * What the programs without a C library need of each ISA: the entry (it calls start_c with the initial stack
 * pointer, which points at argc), a raw system call, numbers, and a counter that user mode may read. Under
 * QEMU with -icount shift=0 each counter is exact: one per instruction.
 *
 * The entry's stack begins at a page, so that what a kernel puts there crosses pages, or does not, whatever
 * the names and arguments above it are.
 */
#ifndef BENCH_ARCH_H
#define BENCH_ARCH_H

#include <stdint.h>

#if defined(__x86_64__)

__asm__(".globl _start\n_start:\n\txorl %ebp, %ebp\n\tmovq %rsp, %rdi\n\tandq $-4096, %rsp\n\tcall "
	"start_c\n\tud2\n");

#define RELATIVE_RELOCATION R_X86_64_RELATIVE

/* What a handler of a signal returns to; elsewhere the kernel brings it along. */
__asm__("signal_return:\n\tmovl $15, %eax\n\tsyscall\n\tud2\n");
void signal_return(void);
#define SA_RESTORER 0x04000000u

enum {
	SYS_WRITE = 1,
	SYS_MMAP = 9,
	SYS_MPROTECT = 10,
	SYS_MUNMAP = 11,
	SYS_BRK = 12,
	SYS_RT_SIGACTION = 13,
	SYS_MREMAP = 25,
	SYS_MINCORE = 27,
	SYS_NANOSLEEP = 35,
	SYS_CLONE = 56,
	SYS_WAIT4 = 61,
	SYS_MADVISE = 28,
	SYS_MLOCK = 149,
	SYS_MUNLOCK = 150,
	SYS_GETPID = 39,
	SYS_GETPPID = 110,
	SYS_REBOOT = 169,
	SYS_EXIT_GROUP = 231,
};

static inline long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static inline uint64_t counter(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* The fastest way that this ISA has everywhere to clear 4 KiB: what no kernel can save. */
static inline void clear_page(void *page)
{
	uint64_t count = 512;

	__asm__ volatile("rep stosq" : "+D"(page), "+c"(count) : "a"(0) : "memory");
}

#elif defined(__aarch64__)

__asm__(".globl _start\n_start:\n\tmov x29, xzr\n\tmov x30, xzr\n\tmov x0, sp\n\tand x9, x0, #~4095\n\t"
	"mov sp, x9\n\tbl start_c\n\tudf #0\n");

#define RELATIVE_RELOCATION R_AARCH64_RELATIVE

#elif defined(__riscv)

__asm__(".globl _start\n_start:\n\t.option push\n\t.option norelax\n\tlla gp, __global_pointer$\n\t.option "
	"pop\n\tmv a0, sp\n\tli t0, -4096\n\tand sp, sp, t0\n\t"
	"call start_c\n\tunimp\n");

#define RELATIVE_RELOCATION R_RISCV_RELATIVE

#else
#error "no entry for this ISA"
#endif

#if defined(__aarch64__) || defined(__riscv)

enum {
	SYS_WRITE = 64,
	SYS_EXIT_GROUP = 94,
	SYS_RT_SIGACTION = 134,
	SYS_REBOOT = 142,
	SYS_GETPID = 172,
	SYS_GETPPID = 173,
	SYS_MUNMAP = 215,
	SYS_NANOSLEEP = 101,
	SYS_CLONE = 220,
	SYS_WAIT4 = 260,
	SYS_BRK = 214,
	SYS_MREMAP = 216,
	SYS_MMAP = 222,
	SYS_MPROTECT = 226,
	SYS_MLOCK = 228,
	SYS_MUNLOCK = 229,
	SYS_MINCORE = 232,
	SYS_MADVISE = 233,
};

#endif

#if defined(__aarch64__)

static inline long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

static inline uint64_t counter(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, pmccntr_el0" : "=r"(value) : : "memory");
	return value;
}

static inline void clear_page(void *page)
{
	uint64_t at = (uint64_t)(uintptr_t)page, end = at + 4096, zva;

	__asm__ volatile("mrs %0, dczid_el0" : "=r"(zva));
	zva = (uint64_t)4 << (zva & 15);
	__asm__ volatile("1: dc zva, %0\n\tadd %0, %0, %2\n\tcmp %0, %1\n\tb.ne 1b"
			 : "+r"(at)
			 : "r"(end), "r"(zva)
			 : "cc", "memory");
}

#elif defined(__riscv)

static inline long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long a7 __asm__("a7") = number;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d;
	register long a4 __asm__("a4") = e;
	register long a5 __asm__("a5") = f;

	__asm__ volatile("ecall"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
			 : "memory");
	return a0;
}

static inline uint64_t counter(void)
{
	uint64_t value;

	__asm__ volatile("rdinstret %0" : "=r"(value) : : "memory");
	return value;
}

static inline void clear_page(void *page)
{
	uint64_t at = (uint64_t)(uintptr_t)page, end = at + 4096;

	__asm__ volatile("1: sd zero, 0(%0)\n\tsd zero, 8(%0)\n\tsd zero, 16(%0)\n\tsd zero, 24(%0)\n\t"
			 "sd zero, 32(%0)\n\tsd zero, 40(%0)\n\tsd zero, 48(%0)\n\tsd zero, 56(%0)\n\taddi "
			 "%0, %0, 64\n\tbne %0, %1, 1b"
			 : "+r"(at)
			 : "r"(end)
			 : "memory");
}

#endif

#endif
