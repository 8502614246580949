/* SPDX-License-Identifier: MIT */
/*
 * trap.c - the page-fault error code (SDM vol. 3A 4.7). Pure: no state, no instruction of the CPU, no lock.
 *
 * F1. The reserved-bit flag accuses the kernel that built the tables, never the program.
 */
#include <vmem/trap.h>

#define VECTOR_PAGE_FAULT 14u
#define ERROR_PRESENT (UINT64_C(1) << 0)
#define ERROR_WRITE (UINT64_C(1) << 1)
#define ERROR_USER (UINT64_C(1) << 2)
#define ERROR_RESERVED (UINT64_C(1) << 3)
#define ERROR_FETCH (UINT64_C(1) << 4)

struct vmem_trap vmem_trap_decode(uint64_t cause, uint64_t detail)
{
	struct vmem_trap trap = {.is_page_fault = cause == VECTOR_PAGE_FAULT};

	if (!trap.is_page_fault) {
		return trap;
	}
	trap.is_user = (detail & ERROR_USER) != 0;
	trap.present = (detail & ERROR_PRESENT) != 0;
	trap.malformed = (detail & ERROR_RESERVED) != 0;
	if ((detail & ERROR_FETCH) != 0) {
		trap.access = VMEM_EXEC;
	} else {
		trap.access = (detail & ERROR_WRITE) != 0 ? VMEM_WRITE : VMEM_READ;
	}
	return trap;
}
