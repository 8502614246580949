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

/* All registers at a trap. System calls and page faults fill in only what C may destroy. */
struct port_frame {
	uint64_t pc;
	uint64_t x[31]; /* x1 to x31 */
	uint64_t status, pad;
};

/* What a thread keeps while another one runs. The user's pc, gp and tp stay in their registers from a trap
 * until the thread gives up the CPU: the kernel is built to use neither gp nor tp. */
struct port_thread {
	uint64_t s[12], ra, sp;
	uint64_t stack_top; /* where traps from user mode begin */
	uint64_t user_pc, user_gp, user_tp;
	void *fp; /* f0 to f31, fcsr; NULL for the boot context */
};

struct port_cpu {
	uint64_t unused;
};

/* The boot CPU is the only one. */
static inline struct port_cpu *port_cpu(void)
{
	return kernel_cpu_port(0);
}

static inline void port_relax(void)
{
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
