/* SPDX-License-Identifier: MIT */
/*
 * test_trap.c - the decoding of page faults, by table: the words that the CPU gives, as the manual numbers
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <vmem/trap.h>

enum { FAULT = 1, USER = 2, PRESENT = 4, MALFORMED = 8 };

struct row {
	const char *what;
	uint64_t cause;
	uint64_t detail;
	unsigned flags;
	unsigned access;
};

#if defined(TEST_ISA_X86_64)
static const struct row rows[] = {
    {"kernel read, not present", 14, 0x0, FAULT, VMEM_READ},
    {"kernel write, not present", 14, 0x2, FAULT, VMEM_WRITE},
    {"kernel write, present", 14, 0x3, FAULT | PRESENT, VMEM_WRITE},
    {"user read, not present", 14, 0x4, FAULT | USER, VMEM_READ},
    {"user read, present", 14, 0x5, FAULT | USER | PRESENT, VMEM_READ},
    {"user write, not present", 14, 0x6, FAULT | USER, VMEM_WRITE},
    {"user write, present", 14, 0x7, FAULT | USER | PRESENT, VMEM_WRITE},
    {"user fetch, not present", 14, 0x14, FAULT | USER, VMEM_EXEC},
    {"user fetch, present", 14, 0x15, FAULT | USER | PRESENT, VMEM_EXEC},
    {"kernel fetch, present (SMEP)", 14, 0x11, FAULT | PRESENT, VMEM_EXEC},
    {"reserved bit", 14, 0xd, FAULT | USER | PRESENT | MALFORMED, VMEM_READ},
    {"protection key", 14, 0x25, FAULT | USER | PRESENT, VMEM_READ},
    {"shadow stack write", 14, 0x47, FAULT | USER | PRESENT, VMEM_WRITE},
    {"general protection", 13, 0x7, 0, 0},
    {"double fault", 8, 0, 0, 0},
    {"divide error", 0, 0, 0, 0},
};
#elif defined(TEST_ISA_AARCH64)
#define ESR(class, iss) ((uint64_t)(class) << 26 | 1u << 25 | (iss))
#define WRITE 0x40u
#define MAINTENANCE 0x100u
static const struct row rows[] = {
    {"user read, translation, level 3", ESR(0x24, 0x07), 1, FAULT | USER, VMEM_READ},
    {"user read, translation, level 0", ESR(0x24, 0x04), 1, FAULT | USER, VMEM_READ},
    {"user write, translation, level -1", ESR(0x24, 0x2b | WRITE), 1, FAULT | USER, VMEM_WRITE},
    {"user write, permission, level 3", ESR(0x24, 0x0f | WRITE), 1, FAULT | USER | PRESENT, VMEM_WRITE},
    {"user write, permission, level 1", ESR(0x24, 0x0d | WRITE), 1, FAULT | USER | PRESENT, VMEM_WRITE},
    {"user read, access flag, level 2", ESR(0x24, 0x0a), 1, FAULT | USER | PRESENT, VMEM_READ},
    {"kernel write, translation", ESR(0x25, 0x06 | WRITE), 0, FAULT, VMEM_WRITE},
    {"kernel read, permission", ESR(0x25, 0x0e), 0, FAULT | PRESENT, VMEM_READ},
    {"user fetch, translation", ESR(0x20, 0x07), 1, FAULT | USER, VMEM_EXEC},
    {"user fetch, permission", ESR(0x20, 0x0f), 1, FAULT | USER | PRESENT, VMEM_EXEC},
    {"kernel fetch, permission", ESR(0x21, 0x0f), 0, FAULT | PRESENT, VMEM_EXEC},
    {"cache maintenance, translation", ESR(0x24, 0x07 | WRITE | MAINTENANCE), 1, FAULT | USER, VMEM_READ},
    {"address size, level 2", ESR(0x24, 0x02), 1, FAULT | USER | PRESENT | MALFORMED, VMEM_READ},
    {"address size, level -1", ESR(0x25, 0x29), 0, FAULT | PRESENT | MALFORMED, VMEM_READ},
    {"external abort", ESR(0x24, 0x10), 1, 0, 0},
    {"external abort on a walk, level 3", ESR(0x24, 0x17), 1, 0, 0},
    {"tag check", ESR(0x24, 0x11), 1, 0, 0},
    {"alignment", ESR(0x24, 0x21), 1, 0, 0},
    {"TLB conflict", ESR(0x24, 0x30), 1, 0, 0},
    {"unsupported atomic update", ESR(0x24, 0x31), 1, 0, 0},
    {"system call", ESR(0x15, 0x07), 1, 0, 0},
    {"PC alignment", ESR(0x22, 0x07), 1, 0, 0},
    {"SP alignment", ESR(0x26, 0x07), 1, 0, 0},
    {"unknown", 0, 1, 0, 0},
};
#else
#define FROM_USER 0u
#define FROM_KERNEL (1u << 8)
static const struct row rows[] = {
    {"user fetch", 12, FROM_USER, FAULT | USER, VMEM_EXEC},
    {"user load", 13, FROM_USER, FAULT | USER, VMEM_READ},
    {"user store", 15, FROM_USER, FAULT | USER, VMEM_WRITE},
    {"kernel fetch", 12, FROM_KERNEL, FAULT, VMEM_EXEC},
    {"kernel load", 13, FROM_KERNEL, FAULT, VMEM_READ},
    {"kernel store", 15, FROM_KERNEL, FAULT, VMEM_WRITE},
    {"kernel load, other bits of sstatus set", 13, UINT64_C(0x8000000200046122), FAULT, VMEM_READ},
    {"user load, other bits of sstatus set", 13, UINT64_C(0x8000000200046022), FAULT | USER, VMEM_READ},
    {"fetch access fault", 1, FROM_USER, 0, 0},
    {"load access fault", 5, FROM_USER, 0, 0},
    {"store access fault", 7, FROM_USER, 0, 0},
    {"system call", 8, FROM_USER, 0, 0},
    {"reserved", 14, FROM_USER, 0, 0},
    {"interrupt 13", UINT64_C(1) << 63 | 13, FROM_USER, 0, 0},
};
#endif

static void test_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct vmem_trap trap = vmem_trap_decode(row->cause, row->detail);
		unsigned flags = (trap.is_page_fault ? FAULT : 0u) | (trap.is_user ? USER : 0u) |
				 (trap.present ? PRESENT : 0u) | (trap.malformed ? MALFORMED : 0u);

		if (flags != row->flags || trap.access != row->access) {
			fail_msg("%s: flags %x, access %u", row->what, flags, trap.access);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_decode)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
