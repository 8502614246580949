/* SPDX-License-Identifier: MIT */
/*
 * port_isa.h - what the common kernel's port.h needs to know about RISC-V.
 */
#ifndef KERNEL_PORT_ISA_H
#define KERNEL_PORT_ISA_H

#include <stdint.h>

#define PORT_MACHINE "riscv64"
#define PORT_ELF_MACHINE 243 /* EM_RISCV */
#define PORT_O_DIRECTORY 0200000

#define PORT_CLONE_TLS 3
#define PORT_RED_ZONE 0
#define PORT_SIGNAL_RESTORER UINT64_C(0)
#define PORT_SIGNAL_RESTORER_FIELD 0
#define PORT_SIGNAL_STACK_LEAST 2048

/* All registers at a trap. System calls and page faults fill in only what C may destroy. */
struct port_frame {
	uint64_t pc;
	uint64_t x[31]; /* x1 to x31 */
	uint64_t status;
	struct port_cpu *cpu; /* of the frame at the top of a kernel stack: the CPU that the thread runs on */
};

/* What a thread keeps while another one runs. The user's pc and gp stay in their registers from a trap until
 * the thread gives up the CPU: the compiler uses neither gp nor tp in the kernel. The user's tp does, too,
 * in a kernel for one CPU; else it is in the trap's frame, and tp points to the CPU. */
struct port_thread {
	uint64_t s[12], ra, sp;
	uint64_t stack_top; /* where traps from user mode begin */
	uint64_t user_pc, user_gp, user_tp;
	void *fp;	      /* f0 to f31, fcsr; NULL for the boot context */
	struct port_cpu *cpu; /* where it ran last */
};

/* A CPU; all of it is written before the CPU starts. */
struct port_cpu {
	uint64_t trap_stack; /* top of the stack on which a bug of the kernel is reported */
	uint64_t stack;	     /* top of the stack that the CPU starts on */
	uint64_t satp;	     /* what it starts with */
	unsigned number;
	uint64_t tick_at; /* when the next tick is due, 0: it is off */
	uint32_t attention;
};

#if VMEM_MAX_CPUS > 1
static inline struct port_cpu *port_cpu(void)
{
	struct port_cpu *cpu;

	__asm__ volatile("mv %0, tp" : "=r"(cpu));
	return cpu;
}
#else
static inline struct port_cpu *port_cpu(void)
{
	return kernel_cpu_port(0);
}
#endif

static inline void port_relax(void)
{
	__asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010"); /* PAUSE (Zihintpause) */
}

static inline uint64_t port_count(void)
{
	uint64_t value;

	__asm__ volatile("rdinstret %0" : "=r"(value));
	return value;
}

/* struct stat of Linux's generic system-call interface. */
struct port_stat {
	uint64_t st_dev, st_ino;
	uint32_t st_mode, st_nlink, st_uid, st_gid;
	uint64_t st_rdev, pad;
	int64_t st_size;
	int32_t st_blksize, pad2;
	int64_t st_blocks;
	int64_t st_atime_sec, st_atime_nsec, st_mtime_sec, st_mtime_nsec, st_ctime_sec, st_ctime_nsec;
	int32_t unused[2];
};

#endif
