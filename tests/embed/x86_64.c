/* SPDX-License-Identifier: MIT */
/* x86_64.c - entries of four-level paging, the gate for page faults, COM1. */
#include "host.h"

const uint64_t ram_base = 0x1000000;
const uint64_t image_offset = UINT64_C(0xffffffff80000000);
const uint64_t uart_base = 0;

extern const char page_fault[];
static uint64_t gates[32][2];

uint64_t table_entry(uint64_t pa)
{
	return pa | 3;
}

uint64_t leaf_entry(uint64_t pa, enum leaf_kind kind, unsigned level)
{
	uint64_t entry = pa | 0x101 | (level != 0 ? 0x80 : 0); /* present, global, large */

	return kind == LEAF_TEXT ? entry : entry | 2 | UINT64_C(1) << 63;
}

uint64_t entry_pa(uint64_t entry)
{
	return entry & UINT64_C(0x000ffffffffff000);
}

void root_use(uint64_t root)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

void traps_start(void)
{
	uint64_t at = (uint64_t)(uintptr_t)page_fault;
	struct {
		uint16_t last;
		uint64_t base;
	} __attribute__((packed)) table = {sizeof(gates) - 1, (uint64_t)(uintptr_t)gates};

	gates[14][0] = at >> 16 << 48 | UINT64_C(0x8e00) << 32 | 8 << 16 | (at & 0xffff);
	gates[14][1] = at >> 32;
	__asm__ volatile("lidt %0" : : "m"(table));
}

void uart_put(char c)
{
	__asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)0x3f8));
}

_Noreturn void machine_off(void)
{
	for (;;) {
		__asm__ volatile("outl %0, %1" : : "a"(16), "Nd"((uint16_t)0xf4));
	}
}
