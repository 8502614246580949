/* SPDX-License-Identifier: MIT */
/*
 * dtboot.c - booting from a device tree: RAM, archive and command line, and the final page tables.
 *
 * Idea: the boot table reaches everything with 1 GiB leaves, so that this is ordinary C in the high half.
 * What is free is known before the first table is made, so that the tables themselves come from it.
 *
 *  B1  The final tables use 4 KiB leaves alone: the direct map is never split later, and an emulator's flush
 *      of one page stays a flush of one page.
 *  B2  Image: text read-execute, constants read-only, data read-write. Direct map and devices never
 *      executable.
 *  B3  What the tree reserves for firmware is not mapped at all: a firmware that runs below the kernel
 *      protects its memory, and not all of them say "no-map".
 */
#include "dtboot.h"

#define TREE_SIZE_MAX (UINT64_C(16) << 20)
#define RESERVED_MAX 16u

struct reserved {
	struct vmem_ram range[RESERVED_MAX];
	unsigned count;
};

/* The part of a range of RAM that the direct map has room for. */
static uint64_t cut_to_direct_map(uint64_t start, uint64_t length)
{
	uint64_t room = start < DIRECT_MAP_LENGTH ? DIRECT_MAP_LENGTH - start : 0;

	return length < room ? length : room;
}

static bool is_memory(const struct fdt *fdt, const struct fdt_node *node)
{
	return node->depth == 2 && fdt_has_string(fdt, node, "device_type", "memory");
}

/* True for a child of /reserved-memory; `*parent_depth` remembers whether the walk is inside it. */
static bool is_reservation(const struct fdt_node *node, unsigned *parent_depth)
{
	if (node->depth == 2) {
		*parent_depth = fdt_name_is(node, "reserved-memory") ? 2 : 0;
		return false;
	}
	return *parent_depth != 0 && node->depth == 3;
}

static void read_memory(struct kernel_boot *boot, const struct fdt *fdt)
{
	struct fdt_node node = {0};
	unsigned inside = 0;
	uint64_t start, length;

	while (fdt_next(fdt, &node)) {
		for (unsigned i = 0; is_memory(fdt, &node) && fdt_reg(fdt, &node, i, &start, &length); i++) {
			kernel_ram_add(boot, start, cut_to_direct_map(start, length));
		}
	}
	node = (struct fdt_node){0};
	while (fdt_next(fdt, &node)) {
		bool reserved = is_reservation(&node, &inside);
		for (unsigned i = 0; reserved && fdt_reg(fdt, &node, i, &start, &length); i++) {
			kernel_ram_reserve(boot, start, length);
		}
	}
	for (unsigned i = 0; fdt_reserved(fdt, i, &start, &length); i++) {
		kernel_ram_reserve(boot, start, length);
	}
}

static void read_chosen(struct kernel_boot *boot, const struct fdt *fdt)
{
	struct fdt_node node = {0};

	boot->command_line = "";
	while (fdt_next(fdt, &node)) {
		if (node.depth != 2 || !fdt_name_is(&node, "chosen")) {
			continue;
		}
		uint64_t start, end;
		const char *arguments = fdt_string(fdt, &node, "bootargs");
		if (arguments != NULL) {
			boot->command_line = arguments;
		}
		if (fdt_number(fdt, &node, "linux,initrd-start", &start) &&
		    fdt_number(fdt, &node, "linux,initrd-end", &end) && start < end &&
		    end <= DIRECT_MAP_LENGTH) {
			boot->archive = dtboot_physical(start);
			boot->archive_length = end - start;
			kernel_ram_reserve(boot, start, end - start);
		}
	}
}

void dtboot_read(struct kernel_boot *boot, struct fdt *fdt, uint64_t tree, uint64_t image_physical)
{
	boot->direct_map = DIRECT_MAP;
	boot->managed_start = MANAGED_START;
	boot->managed_length = MANAGED_LENGTH;
	if (tree >= DIRECT_MAP_LENGTH - TREE_SIZE_MAX ||
	    !fdt_open(fdt, dtboot_physical(tree), TREE_SIZE_MAX)) {
		kernel_panic("no device tree at physical address 0x%lx", (unsigned long)tree);
	}
	read_memory(boot, fdt);
	kernel_ram_reserve(boot, (uint64_t)(uintptr_t)kernel_text - IMAGE_BASE + image_physical,
	    (uint64_t)(kernel_end - kernel_text));
	kernel_ram_reserve(boot, tree, fdt->size);
	read_chosen(boot, fdt);
}

void dtboot_add_device(struct dtboot_mmu *mmu, uint64_t start, uint64_t length)
{
	uint64_t end = vmem_page_ceil(start + length);

	if (mmu->device_count == DTBOOT_DEVICES_MAX || length == 0 || start + length < start ||
	    end > DIRECT_MAP_LENGTH) {
		kernel_panic("cannot map the device at 0x%lx", (unsigned long)start);
	}
	mmu->device[mmu->device_count++] =
	    (struct vmem_ram){vmem_page_floor(start), end - vmem_page_floor(start)};
}

bool dtboot_device(
    struct dtboot_mmu *mmu, const struct fdt *fdt, const char *name, unsigned index, uint64_t *out_va)
{
	struct fdt_node node = {0};
	uint64_t start, length;

	while (fdt_next(fdt, &node)) {
		if (fdt_has_string(fdt, &node, "compatible", name) &&
		    fdt_reg(fdt, &node, index, &start, &length)) {
			dtboot_add_device(mmu, start, length);
			*out_va = DIRECT_MAP + start;
			return true;
		}
	}
	return false;
}

static void map_pages(struct kernel_boot *boot, const struct dtboot_mmu *mmu, vmem_paddr_t root, uint64_t va,
    struct vmem_ram what, enum dtboot_kind kind)
{
	uint64_t *leaves = NULL; /* the table of the page before, while it is the table of this page too */

	for (uint64_t done = 0; done < what.length; done += VMEM_PAGE_SIZE) {
		uint64_t at = (va + done) & ((UINT64_C(1) << mmu->va_bits) - 1);
		if (leaves == NULL || (at >> 12 & 511) == 0) {
			leaves = dtboot_physical(root);
			for (unsigned level = mmu->levels - 1; level > 0; level--) {
				uint64_t *entry = &leaves[at >> (12 + 9 * level) & 511];
				if (*entry == 0) {
					*entry = mmu->make_table(kernel_ram_take(boot, 1, 0));
				}
				leaves = dtboot_physical(mmu->entry_address(*entry));
			}
		}
		leaves[at >> 12 & 511] = mmu->make_leaf(what.start + done, kind);
	}
}

static void read_reserved(const struct fdt *fdt, struct reserved *out)
{
	struct fdt_node node = {0};
	unsigned inside = 0;
	uint64_t start, length;

	out->count = 0;
	while (fdt_next(fdt, &node)) {
		unsigned room = is_reservation(&node, &inside) ? RESERVED_MAX - out->count : 0;
		for (unsigned i = 0; i < room && fdt_reg(fdt, &node, i, &start, &length); i++) {
			out->range[out->count++] = (struct vmem_ram){start, length};
		}
	}
}

/* The lowest place at or above `at` that may be mapped; `*out_end` is where the piece that begins there ends,
 * at most `end`. */
static uint64_t next_mappable(const struct reserved *reserved, uint64_t at, uint64_t end, uint64_t *out_end)
{
	for (bool moved = true; moved;) {
		moved = false;
		*out_end = end;
		for (unsigned i = 0; i < reserved->count; i++) {
			uint64_t first = vmem_page_floor(reserved->range[i].start);
			uint64_t beyond =
			    vmem_page_ceil(reserved->range[i].start + reserved->range[i].length);
			if (first <= at && at < beyond) {
				at = beyond;
				moved = true;
			} else if (first > at && first < *out_end) {
				*out_end = first;
			}
		}
	}
	return at;
}

static void map_memory(
    struct kernel_boot *boot, const struct fdt *fdt, const struct dtboot_mmu *mmu, vmem_paddr_t root)
{
	struct fdt_node node = {0};
	struct reserved reserved;
	uint64_t start, length;

	read_reserved(fdt, &reserved);
	while (fdt_next(fdt, &node)) {
		for (unsigned i = 0; is_memory(fdt, &node) && fdt_reg(fdt, &node, i, &start, &length); i++) {
			uint64_t end = vmem_page_floor(start + cut_to_direct_map(start, length));
			uint64_t piece_end;
			uint64_t at = next_mappable(&reserved, vmem_page_ceil(start), end, &piece_end);
			while (at < end) {
				map_pages(boot, mmu, root, DIRECT_MAP + at,
				    (struct vmem_ram){at, piece_end - at}, DTBOOT_DATA);
				at = next_mappable(&reserved, piece_end, end, &piece_end);
			}
		}
	}
}

static void map_image(struct kernel_boot *boot, const struct dtboot_mmu *mmu, vmem_paddr_t root,
    const char *from, const char *to, enum dtboot_kind kind)
{
	uint64_t va = (uint64_t)(uintptr_t)from;

	map_pages(boot, mmu, root, va,
	    (struct vmem_ram){va - IMAGE_BASE + mmu->image_physical, (uint64_t)(to - from)}, kind);
}

vmem_paddr_t dtboot_tables(struct kernel_boot *boot, const struct fdt *fdt, const struct dtboot_mmu *mmu)
{
	vmem_paddr_t root = kernel_ram_take(boot, 1, 0);

	map_image(boot, mmu, root, kernel_text, kernel_rodata, DTBOOT_TEXT);
	map_image(boot, mmu, root, kernel_rodata, kernel_data, DTBOOT_RODATA);
	map_image(boot, mmu, root, kernel_data, kernel_end, DTBOOT_DATA);
	for (unsigned i = 0; i < mmu->device_count; i++) {
		map_pages(boot, mmu, root, DIRECT_MAP + mmu->device[i].start, mmu->device[i], DTBOOT_DEVICE);
	}
	map_memory(boot, fdt, mmu, root);
	return root;
}

unsigned dtboot_cpus(const struct fdt *fdt, uint64_t own, uint64_t *name, unsigned room)
{
	struct fdt_node node = {0};
	unsigned count = 1;
	uint64_t length;

	name[0] = own;
	while (count < room && fdt_next(fdt, &node)) {
		/* A node without a status is "okay". */
		bool usable = fdt_has_string(fdt, &node, "device_type", "cpu") &&
			      (fdt_string(fdt, &node, "status") == NULL ||
				  fdt_has_string(fdt, &node, "status", "okay"));

		if (usable && fdt_reg(fdt, &node, 0, &name[count], &length) && name[count] != own) {
			count++;
		}
	}
	return count;
}

uint64_t dtboot_seed(const struct fdt *fdt)
{
	struct fdt_node node = {0};
	uint64_t seed = 0;
	uint32_t length;

	while (fdt_next(fdt, &node)) {
		const uint8_t *bytes =
		    fdt_name_is(&node, "chosen") ? fdt_property(fdt, &node, "rng-seed", &length) : NULL;
		for (uint32_t i = 0; bytes != NULL && i < length; i++) {
			seed = (seed ^ bytes[i]) * UINT64_C(0x100000001b3);
		}
	}
	return seed;
}

unsigned dtboot_levels(
    const char *command_line, const struct dtboot_mode *modes, unsigned count, unsigned most)
{
	char word[8];
	unsigned levels = most;

	if (!kernel_argument(command_line, "paging", word, sizeof(word))) {
		return most;
	}
	for (unsigned i = 0; i < count; i++) {
		const char *a = word;
		const char *b = modes[i].word;
		while (*a != 0 && *a == *b) {
			a++;
			b++;
		}
		levels = *a == *b ? modes[i].levels : levels;
	}
	return levels < most ? levels : most;
}
