/* SPDX-License-Identifier: MIT */
/* aarch64.c - descriptors of the 4 KiB granule, TTBR1, the PL011, PSCI. */
#include "host.h"

const uint64_t ram_base = 0x40000000;
const uint64_t image_offset = UINT64_C(0xffffffffc0000000) - 0x40000000;
const uint64_t uart_base = 0x09000000;

extern const char vectors[];

uint64_t table_entry(uint64_t pa)
{
	return pa | 3;
}

uint64_t leaf_entry(uint64_t pa, enum leaf_kind kind, unsigned level)
{
	uint64_t entry =
	    pa | UINT64_C(1) << 54 | 1 << 10 | (level == 0 ? 3 : 1); /* UXN, accessed, page or block */

	switch (kind) {
	case LEAF_TEXT:
		return entry | 3 << 8 | 1 << 7; /* inner shareable, read-only */
	case LEAF_DATA:
		return entry | 3 << 8 | UINT64_C(1) << 53;
	default:
		return entry | 1 << 2 | UINT64_C(1) << 53; /* attribute 1 */
	}
}

uint64_t entry_pa(uint64_t entry)
{
	return entry & UINT64_C(0x0000fffffffff000);
}

/* The boot's tables leave both halves: an empty table for the user's is the unused half of the root. */
void root_use(uint64_t root)
{
	__asm__ volatile("dsb ishst\n\tmsr ttbr1_el1, %0\n\tisb\n\tmsr ttbr0_el1, %0\n\tisb\n\ttlbi "
			 "vmalle1\n\tdsb nsh\n\tisb"
			 :
			 : "r"(root)
			 : "memory");
}

void traps_start(void)
{
	__asm__ volatile("msr vbar_el1, %0\n\tisb" : : "r"(vectors) : "memory");
}

void uart_put(char c)
{
	*(volatile uint32_t *)(uintptr_t)uart = (unsigned char)c;
}

_Noreturn void machine_off(void)
{
	register uint64_t function __asm__("x0") = 0x84000008;

	for (;;) {
		__asm__ volatile("hvc #0" : "+r"(function) : : "x1", "x2", "x3", "memory");
	}
}
