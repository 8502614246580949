/* SPDX-License-Identifier: MIT */
/* QEMU's virt machine: the PL011 at 0x09000000, RAM from 0x40000000; it ends by PSCI SYSTEM_OFF. */
#include "minimal.h"

#define DIRECT_MAP UINT64_C(0xffffff8000000000)

const uint64_t isa_direct_map = DIRECT_MAP;
const struct vmem_ram isa_ram = {0x41000000, 64u << 20};

void isa_start(void)
{
}

void isa_put(char c)
{
	*(volatile uint32_t *)(DIRECT_MAP + 0x09000000) = (unsigned char)c;
}

_Noreturn void isa_end(void)
{
	for (;;) {
		__asm__ volatile("mov x0, %0\n\thvc #0"
				 :
				 : "r"(UINT64_C(0x84000008))
				 : "x0", "x1", "x2", "x3", "memory");
	}
}
