/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the list of free RAM, from what firmware says to what the library is given. Runs before
 * anything else: no allocation, a fixed number of ranges, sorted by nothing. A range that has to be cut in
 * two takes a free slot, and a page at an end is simply cut off.
 */
#include "kernel.h"

static void remove_range(struct kernel_boot *boot, unsigned i)
{
	boot->ram[i] = boot->ram[--boot->ram_count];
}

void kernel_ram_add(struct kernel_boot *boot, vmem_paddr_t start, uint64_t length)
{
	const vmem_paddr_t first = vmem_page_ceil(start);
	const vmem_paddr_t end = vmem_page_floor(start + length);

	if (first >= end) {
		return;
	}
	kernel_ram_reserve(boot, first, end - first); /* firmware may name a range twice */
	if (boot->ram_count == KERNEL_RAM_MAX) {
		kernel_panic("more than %u ranges of RAM", KERNEL_RAM_MAX);
	}
	boot->ram[boot->ram_count++] = (struct vmem_ram){.start = first, .length = end - first};
}

void kernel_ram_reserve(struct kernel_boot *boot, vmem_paddr_t start, uint64_t length)
{
	const vmem_paddr_t first = vmem_page_floor(start);
	const vmem_paddr_t end = vmem_page_ceil(start + length);

	for (unsigned i = boot->ram_count; i-- > 0;) {
		struct vmem_ram *ram = &boot->ram[i];
		const vmem_paddr_t ram_end = ram->start + ram->length;

		if (end <= ram->start || first >= ram_end) {
			continue;
		}
		if (first > ram->start && end < ram_end) {
			if (boot->ram_count == KERNEL_RAM_MAX) {
				kernel_panic("more than %u ranges of RAM", KERNEL_RAM_MAX);
			}
			boot->ram[boot->ram_count++] =
			    (struct vmem_ram){.start = end, .length = ram_end - end};
			ram->length = first - ram->start;
		} else if (first > ram->start) {
			ram->length = first - ram->start;
		} else if (end < ram_end) {
			ram->start = end;
			ram->length = ram_end - end;
		} else {
			remove_range(boot, i);
		}
	}
}

vmem_paddr_t kernel_ram_take(struct kernel_boot *boot, uint64_t pages, vmem_paddr_t limit)
{
	const uint64_t length = pages * VMEM_PAGE_SIZE;

	for (unsigned i = 0; i < boot->ram_count; i++) {
		struct vmem_ram *ram = &boot->ram[i];
		const vmem_paddr_t start = ram->start;

		if (ram->length < length || (limit != 0 && (start >= limit || limit - start < length))) {
			continue;
		}
		ram->start += length;
		ram->length -= length;
		if (ram->length == 0) {
			remove_range(boot, i);
		}
		memset((void *)(uintptr_t)(boot->direct_map + start), 0, length);
		return start;
	}
	kernel_panic("no RAM for the first page tables");
}
