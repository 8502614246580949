/* SPDX-License-Identifier: MIT */
/*
 * trap.c - the page-fault error code (SDM vol. 3A 4.7). Pure: no state, no instruction of the CPU, no lock.
 *
 * F1. The reserved-bit flag accuses the kernel that built the tables, never the program.
 */
#include <vmem/trap.h>

#define VECTOR_PAGE_FAULT 14u
#define ERROR_PRESENT 0x01u
#define ERROR_WRITE 0x02u
#define ERROR_USER 0x04u
#define ERROR_RESERVED 0x08u
#define ERROR_FETCH 0x10u
#define ERROR_DECODED 0x1fu

/* What each error code says; higher bits add nothing to it. A table, because every fault passes here. */
#define ROW(error)                                                                                           \
	{                                                                                                    \
		.is_page_fault = true, .is_user = ((error)&ERROR_USER) != 0,                                 \
		.present = ((error)&ERROR_PRESENT) != 0, .malformed = ((error)&ERROR_RESERVED) != 0,         \
		.access = ((error)&ERROR_FETCH) != 0 ? VMEM_EXEC                                             \
						     : (((error)&ERROR_WRITE) != 0 ? VMEM_WRITE : VMEM_READ) \
	}
#define ROWS(error) ROW(error), ROW((error) + 1), ROW((error) + 2), ROW((error) + 3)

static const struct vmem_trap by_error[ERROR_DECODED + 1] = {
    ROWS(0),
    ROWS(4),
    ROWS(8),
    ROWS(12),
    ROWS(16),
    ROWS(20),
    ROWS(24),
    ROWS(28),
};

struct vmem_trap vmem_trap_decode(uint64_t cause, uint64_t detail)
{
	return cause == VECTOR_PAGE_FAULT ? by_error[detail & ERROR_DECODED]
					  : (struct vmem_trap){.is_page_fault = false};
}
