/* SPDX-License-Identifier: MIT */
/*
 * trap.c - scause and sstatus of a page fault (privileged specification, "Supervisor Cause Register").
 * Pure: no state, no instruction of the CPU, no lock.
 *
 * F1. The cause does not say whether an entry was there, nor whether it was malformed: present and
 *     malformed stay false.
 * F2. Access faults (causes 1, 5, 7) come from the platform's attributes, not from an entry: not page
 *     faults.
 */
#include <vmem/trap.h>

#define CAUSE_FETCH_PAGE_FAULT 12u
#define CAUSE_LOAD_PAGE_FAULT 13u
#define CAUSE_STORE_PAGE_FAULT 15u /* stores and all atomic operations */
#define SSTATUS_SPP (UINT64_C(1) << 8)

struct vmem_trap vmem_trap_decode(uint64_t cause, uint64_t detail)
{
	struct vmem_trap trap = {.is_page_fault = true, .is_user = (detail & SSTATUS_SPP) == 0};

	switch (cause) {
	case CAUSE_FETCH_PAGE_FAULT:
		trap.access = VMEM_EXEC;
		return trap;
	case CAUSE_LOAD_PAGE_FAULT:
		trap.access = VMEM_READ;
		return trap;
	case CAUSE_STORE_PAGE_FAULT:
		trap.access = VMEM_WRITE;
		return trap;
	default:
		return (struct vmem_trap){.is_page_fault = false};
	}
}
