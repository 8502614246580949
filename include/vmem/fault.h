/* SPDX-License-Identifier: MIT */
/**
 * @file fault.h - page faults.
 */
#ifndef VMEM_FAULT_H
#define VMEM_FAULT_H

#include <vmem/aspace.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** Why a fault was refused; 0 when the access may be tried again. */
enum vmem_fault_result {
	VMEM_FAULT_RESOLVED = 0,
	VMEM_FAULT_NO_REGION,  /**< nothing is mapped there (SIGSEGV, SEGV_MAPERR) */
	VMEM_FAULT_PERMISSION, /**< the region does not grant the access (SIGSEGV, SEGV_ACCERR) */
	VMEM_FAULT_GUARD,      /**< a guard region, or a guarded page (SIGSEGV, SEGV_MAPERR) */
	VMEM_FAULT_BEYOND_END, /**< past the end of the object (SIGBUS, BUS_ADRERR) */
	VMEM_FAULT_NO_MEMORY,  /**< no frame (the host's choice: kill, or reclaim and retry) */
	VMEM_FAULT_RESULT_COUNT
};
const char *vmem_fault_name(enum vmem_fault_result result);

/**
 * Resolves a fault of user memory: of a program, or of the kernel on a user address (copy.h needs no
 * faults). @p address is any byte,
 * @p access one of VMEM_READ, VMEM_WRITE, VMEM_EXEC. Spurious faults (another CPU, or a lazily raised
 * permission) answer RESOLVED, and so does a fault that meets what another CPU is changing: the program
 * tries again, after a turn of vmem_host_relax(). Context: thread context, interrupts on or off; never
 * sleeps. The fast path takes a frame from the CPU's cache and writes one entry.
 */
enum vmem_fault_result vmem_fault(struct vmem_aspace *aspace, vmem_vaddr_t address, unsigned access);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
