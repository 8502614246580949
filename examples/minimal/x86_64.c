/* SPDX-License-Identifier: MIT */
/* A PC: COM1, RAM from 1 MiB, QEMU's debug-exit port. */
#include "minimal.h"

const uint64_t isa_direct_map = UINT64_C(0xffffffff80000000);
const struct vmem_ram isa_ram = {16u << 20, 64u << 20};

extern const char fault_entry[];
static uint64_t idt[15][2];

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

/* Only page faults are expected; any other exception ends the machine. */
void isa_start(void)
{
	uint64_t entry = (uint64_t)(uintptr_t)fault_entry;
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

	idt[14][0] = (entry & 0xffff) | 8u << 16 | UINT64_C(0x8e00) << 32 | (entry >> 16 & 0xffff) << 48;
	idt[14][1] = entry >> 32;
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void isa_put(char c)
{
	out8(0x3f8, (uint8_t)c);
}

_Noreturn void isa_end(void)
{
	__asm__ volatile("outl %0, %1" : : "a"(16), "Nd"((uint16_t)0xf4));
	for (;;) {
		__asm__ volatile("hlt");
	}
}
