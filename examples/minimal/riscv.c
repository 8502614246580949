/* SPDX-License-Identifier: MIT */
/* QEMU's virt machine: the 16550 at 0x10000000, the test device at 0x100000, RAM from 0x80000000. */
#include "minimal.h"

#define DIRECT_MAP UINT64_C(0xffffffc000000000)

const uint64_t isa_direct_map = DIRECT_MAP;
const struct vmem_ram isa_ram = {0x81000000, 64u << 20};

void isa_start(void)
{
}

void isa_put(char c)
{
	*(volatile unsigned char *)(DIRECT_MAP + 0x10000000) = (unsigned char)c;
}

_Noreturn void isa_end(void)
{
	for (;;) {
		*(volatile uint32_t *)(DIRECT_MAP + 0x100000) = 0x5555;
	}
}
