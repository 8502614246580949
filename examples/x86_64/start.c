/* SPDX-License-Identifier: MIT */
/*
 * start.c - from boot.S to the common kernel: reads what PVH gives, builds the final page tables.
 *
 * The boot tables map 1 GiB with 2 MiB leaves. The final ones use 4 KiB leaves alone, and no address of the
 * user half:
 * S1. All RAM of the firmware's map at DIRECT_MAP, writable, never executable.
 * S2. The image at KERNEL_BASE: text read-execute, constants read-only, data read-write.
 * S3. The local APIC's page in the direct map, uncached.
 * S4. Everything above is global. Nothing else is mapped. The same RAM is reached at both places; only S2's
 *     text is executable, and only S1's alias of it is writable, which is what a kernel that maps all RAM
 *     has to live with.
 *
 * What PVH gives (struct hvm_start_info, its memory map, module list and command line) lies in RAM below 1
 * GiB and is copied out, or kept out of the free RAM.
 */
#include "port.h"

#include "cpu.h"

#define BOOT_MAP_END UINT64_C(0x40000000) /* what the boot tables reach */

/* Xen, include/public/arch-x86/hvm/start_info.h. */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries, reserved;
};
struct start_module {
	uint64_t paddr, size, cmdline_paddr, reserved;
};
struct start_memory {
	uint64_t addr, size;
	uint32_t type, reserved;
};
#define START_MAGIC 0x336ec578u
#define START_MEMORY_RAM 1u

#define PTE_P (UINT64_C(1) << 0)
#define PTE_W (UINT64_C(1) << 1)
#define PTE_UNCACHED (UINT64_C(1) << 3 | UINT64_C(1) << 4)
#define PTE_A (UINT64_C(1) << 5)
#define PTE_D (UINT64_C(1) << 6)
#define PTE_G (UINT64_C(1) << 8)
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

static char command_line[4096];
static struct kernel_boot boot;

/* A physical address in the direct map, boot's or ours. */
static void *physical(uint64_t address)
{
	return (void *)(uintptr_t)(DIRECT_MAP + address);
}

static uint64_t *table_next(struct kernel_boot *b, uint64_t *table, unsigned shift, uint64_t va)
{
	uint64_t *entry = &table[va >> shift & 511];

	if ((*entry & PTE_P) == 0) {
		*entry = kernel_ram_take(b, 1, BOOT_MAP_END) | PTE_P | PTE_W | PTE_A;
	}
	return physical(*entry & PTE_ADDRESS);
}

/* Maps a range that is not mapped yet; finds each leaf table once per 2 MiB. */
static void tables_map(struct kernel_boot *b, uint64_t *top, unsigned levels, uint64_t va, uint64_t pa,
    uint64_t length, uint64_t bits)
{
	uint64_t *leaf = NULL;

	for (uint64_t done = 0; done < length; done += VMEM_PAGE_SIZE) {
		uint64_t at = va + done;

		if (leaf == NULL || (at >> 12 & 511) == 0) {
			uint64_t *table = top;
			for (unsigned level = levels - 1; level > 0; level--) {
				table = table_next(b, table, 12 + 9 * level, at);
			}
			leaf = table;
		}
		leaf[at >> 12 & 511] = (pa + done) | bits;
	}
}

static void tables_map_image(
    struct kernel_boot *b, uint64_t *top, unsigned levels, const char *from, const char *to, uint64_t bits)
{
	uint64_t va = (uint64_t)(uintptr_t)from;

	tables_map(b, top, levels, va, va - KERNEL_BASE, (uint64_t)(to - from), bits);
}

/* The ranges of RAM to be mapped are those of the firmware's map: boot->ram has holes where something is in
 * use. */
static void tables_build(const struct start_memory *map, unsigned count)
{
	const uint64_t nx = (rdmsr(MSR_EFER) & 1u << 11) != 0 ? PTE_NX : 0;
	const uint64_t data = PTE_P | PTE_W | PTE_A | PTE_D | PTE_G | nx;
	unsigned levels = (read_cr4() & 1u << 12) != 0 ? 5 : 4;
	uint64_t root = kernel_ram_take(&boot, 1, BOOT_MAP_END);
	uint64_t *top = physical(root);

	for (unsigned i = 0; i < count; i++) {
		uint64_t start = vmem_page_ceil(map[i].addr);
		uint64_t end = vmem_page_floor(map[i].addr + map[i].size);

		if (map[i].type == START_MEMORY_RAM && start < end) {
			tables_map(&boot, top, levels, DIRECT_MAP + start, start, end - start, data);
		}
	}
	tables_map(&boot, top, levels, DIRECT_MAP + APIC_PHYSICAL, APIC_PHYSICAL, VMEM_PAGE_SIZE,
	    data | PTE_UNCACHED);
	tables_map_image(&boot, top, levels, kernel_text, kernel_rodata, PTE_P | PTE_A | PTE_G);
	tables_map_image(&boot, top, levels, kernel_rodata, kernel_data, PTE_P | PTE_A | PTE_G | nx);
	tables_map_image(&boot, top, levels, kernel_data, kernel_end, data);
	boot_root = root;
	write_cr3(root);
}

/* A NUL-terminated string at a physical address, cut to what fits. */
static void copy_string(char *to, size_t room, uint64_t from)
{
	const char *s = physical(from);
	size_t n = 0;

	while (n + 1 < room && s[n] != '\0') {
		to[n] = s[n];
		n++;
	}
	to[n] = '\0';
}

/* The free RAM, with the image and the archive cut out; all PVH structures that are read later are in
 * `map`. */
static void read_memory(const struct start_memory *map, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (map[i].type == START_MEMORY_RAM && map[i].size != 0) {
			kernel_ram_add(&boot, map[i].addr, map[i].size);
		}
	}
	/* The first MiB holds the start information and the BIOS's data: not worth the care. */
	kernel_ram_reserve(&boot, 0, 0x100000);
	kernel_ram_reserve(
	    &boot, (uint64_t)(uintptr_t)kernel_text - KERNEL_BASE, (uint64_t)(kernel_end - kernel_text));
}

_Noreturn void start_c(uint32_t start_info);

_Noreturn void start_c(uint32_t start_info)
{
	static struct start_memory map[64];
	const struct start_info *info = physical(start_info);
	unsigned count = 0;

	cpu_load(kernel_cpu_port(0));
	if (info->magic != START_MAGIC || info->version < 1) {
		kernel_panic("not started by PVH version 1");
	}
	for (; count < info->memmap_entries && count < 64; count++) {
		map[count] = ((const struct start_memory *)physical(info->memmap_paddr))[count];
	}
	if (info->cmdline_paddr != 0) {
		copy_string(command_line, sizeof(command_line), info->cmdline_paddr);
	}
	boot.command_line = command_line;
	boot.direct_map = DIRECT_MAP;
	boot.managed_start = UINT64_C(0xffffc00000000000);
	boot.managed_length = UINT64_C(1) << 40;
	read_memory(map, count);
	if (info->nr_modules != 0) {
		const struct start_module *module = physical(info->modlist_paddr);

		boot.archive = physical(module->paddr);
		boot.archive_length = module->size;
		kernel_ram_reserve(&boot, module->paddr, module->size);
	}
	tables_build(map, count);
	cpu_features();
	traps_start(0);
	timer_start();
	apic_start();
	kernel_main(&boot);
}

_Noreturn void start_cpu(uint32_t number)
{
	cpu_load(kernel_cpu_port(number));
	cpu_features();
	traps_start(number);
	apic_start();
	kernel_cpu_main();
}
