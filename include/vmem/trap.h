/* SPDX-License-Identifier: MIT */
/**
 * @file trap.h - what a host's trap handler needs to turn a page fault of its CPU into a call of
 * vmem_fault().
 */
#ifndef VMEM_TRAP_H
#define VMEM_TRAP_H

#include <vmem/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** A decoded page fault. */
struct vmem_trap {
	bool is_page_fault; /**< false: some other exception; the rest is then zero */
	bool is_user;	    /**< taken from user mode */
	bool present;	    /**< a translation existed and refused, as far as the CPU tells */
	bool malformed;	    /**< a malformed entry: a bug of the kernel, never of the program */
	unsigned access;    /**< one of VMEM_READ, VMEM_WRITE, VMEM_EXEC */
};

/**
 * Decodes an exception. The two arguments are, per ISA:
 * x86-64: vector and error code (SDM vol. 3A, "Page-fault exception"); AArch64: ESR_EL1, and 1 if taken from
 * EL0 by SPSR (DDI 0487, ESR_ELx, ISS encodings for instruction and data aborts); RISC-V: scause, and sstatus
 * (privileged spec, "Supervisor cause register"). Context: any; touches no state; cannot fail.
 */
struct vmem_trap vmem_trap_decode(uint64_t cause, uint64_t detail);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
