/* SPDX-License-Identifier: MIT */
/*
 * port_isa.h - what the common kernel's port.h needs to know about AArch64.
 */
#ifndef KERNEL_PORT_ISA_H
#define KERNEL_PORT_ISA_H

#include <stdint.h>

#define PORT_MACHINE "aarch64"
#define PORT_ELF_MACHINE 183 /* EM_AARCH64 */
#define PORT_O_DIRECTORY 040000

#define PORT_CLONE_TLS 3
#define PORT_RED_ZONE 0
#define PORT_SIGNAL_RESTORER UINT64_C(0x04000000)
#define PORT_SIGNAL_RESTORER_FIELD 1
#define PORT_SIGNAL_STACK_LEAST 5120

/* All registers at a trap. System calls and page faults fill in only what C may destroy. */
struct port_frame {
	uint64_t x[31];
	uint64_t sp, pc, pstate;
};

/* What a thread keeps while another one runs. The user's sp, pc, pstate and TLS pointer stay in their
 * registers from a trap until the thread gives up the CPU. */
struct port_thread {
	uint64_t x19_x28[10], x29, x30, sp;
	uint64_t stack_top; /* where traps from user mode begin */
	uint64_t user_sp, user_pc, user_pstate, user_tls;
	void *fp; /* v0 to v31, fpsr, fpcr; NULL for the boot context */
	uint64_t fault_address, fault_syndrome; /* of its last exception that was a signal */
};

/* A CPU; TPIDR_EL1 points to it. All of it is written before the CPU starts. */
struct port_cpu {
	uint64_t trap_stack; /* top of the stack on which a bug of the kernel is reported */
	uint64_t stack;	     /* top of the stack that the CPU starts on */
	uint64_t ttbr1, tcr; /* what it starts with */
	unsigned number;
	uint32_t attention;
};

static inline struct port_cpu *port_cpu(void)
{
	struct port_cpu *cpu;

	__asm__ volatile("mrs %0, tpidr_el1" : "=r"(cpu));
	return cpu;
}

static inline void port_relax(void)
{
	__asm__ volatile("yield");
}

static inline uint64_t port_count(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, pmccntr_el0" : "=r"(value));
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
