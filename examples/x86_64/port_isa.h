/* SPDX-License-Identifier: MIT */
/*
 * port_isa.h - what the common kernel's port.h needs to know about x86-64.
 */
#ifndef KERNEL_PORT_ISA_H
#define KERNEL_PORT_ISA_H

#include <stdint.h>

#define PORT_MACHINE "x86_64"
#define PORT_ELF_MACHINE 62 /* EM_X86_64 */
#define PORT_O_DIRECTORY 0200000

#define PORT_CLONE_TLS 4
#define PORT_RED_ZONE 128
#define PORT_SIGNAL_RESTORER UINT64_C(0x04000000)
#define PORT_SIGNAL_RESTORER_FIELD 1
#define PORT_SIGNAL_STACK_LEAST 2048

/* All registers at a trap, in the order in which traps.S pushes them: the upper half by the CPU, the middle
 * by every entry, the callee-saved ones (first six) only on the slow path. */
struct port_frame {
	uint64_t r15, r14, r13, r12, rbp, rbx;
	uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

struct port_thread {
	uint64_t sp;	    /* of the stack while another runs: at the callee-saved registers */
	uint64_t stack_top; /* where traps from user mode begin */
	void *fp;	    /* XSAVE or FXSAVE area, 64-byte aligned; NULL for the boot context */
	uint64_t fs_base, gs_base;
	uint64_t fault_address, fault_error, fault_vector; /* of its last exception that was a signal */
};

/* Of a CPU; in the kernel GS points here. traps.S knows the first three by their offsets. */
struct port_cpu {
	struct port_cpu *self;
	uint64_t stack_top; /* of the running thread: where traps from user mode begin */
	uint64_t user_sp;   /* SYSCALL's entry: while it has no stack yet */
	void *tss_rsp0;	    /* where its TSS has stack_top again */
	uint32_t apic_id;
	uint32_t attention; /* traps.S */
};

static inline struct port_cpu *port_cpu(void)
{
	struct port_cpu *cpu;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* No PAUSE: for QEMU's CPUs that run in parallel it means to take the lock that an interrupt to another CPU
 * needs as well. */
static inline void port_relax(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline uint64_t port_count(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* struct stat of the x86-64 system-call interface. */
struct port_stat {
	uint64_t st_dev, st_ino, st_nlink;
	uint32_t st_mode, st_uid, st_gid, pad;
	uint64_t st_rdev;
	int64_t st_size, st_blksize, st_blocks;
	int64_t st_atime_sec, st_atime_nsec, st_mtime_sec, st_mtime_nsec, st_ctime_sec, st_ctime_nsec;
	int64_t unused[3];
};

#endif
