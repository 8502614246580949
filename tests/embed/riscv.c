/* SPDX-License-Identifier: MIT */
/* riscv.c - entries of Sv48, the trap vector, the 16550, the test device. */
#include "host.h"

const uint64_t ram_base = 0x80000000;
const uint64_t image_offset = UINT64_C(0xffffffff80000000) - 0x80000000;
const uint64_t uart_base = 0x10000000;

extern const char vector[];

uint64_t table_entry(uint64_t pa)
{
	return pa >> 2 | 1;
}

uint64_t leaf_entry(uint64_t pa, enum leaf_kind kind, unsigned level)
{
	(void)level;
	return pa >> 2 | (kind == LEAF_TEXT ? 0xcb : 0xc7); /* D A, X or W, R V */
}

uint64_t entry_pa(uint64_t entry)
{
	return entry >> 10 << 12;
}

void root_use(uint64_t root)
{
	__asm__ volatile("csrw satp, %0\n\tsfence.vma" : : "r"(UINT64_C(9) << 60 | root >> 12) : "memory");
}

void traps_start(void)
{
	table_map(HOST_LINEAR + 0x100000, 0x100000, LEAF_DEVICE, 0);
	__asm__ volatile("sfence.vma\n\tcsrw stvec, %0\n\tcsrs sstatus, %1"
			 :
			 : "r"(vector), "r"(1 << 18)
			 : "memory"); /* SUM */
}

void uart_put(char c)
{
	*(volatile unsigned char *)(uintptr_t)uart = (unsigned char)c;
}

_Noreturn void machine_off(void)
{
	for (;;) {
		*(volatile uint32_t *)(uintptr_t)(HOST_LINEAR + 0x100000) = 0x5555;
	}
}
