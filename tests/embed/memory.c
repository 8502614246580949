/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the host's own memory management: a bitmap of frames, page tables, and arenas that bear the
 * names of vmem(9).
 *
 * Frames: bit n of used[] is frame n of the RAM. A block of 2^order frames begins at a multiple of its size.
 * Arenas: a bump allocator that reuses the last block given back; enough to have the names and to be used.
 */
#include "host.h"

static uint64_t used[RAM_FRAMES / 64];
static unsigned free_count;
static uint64_t root;
static bool linear; /* frames are reached at HOST_LINEAR; before, through the boot's tables */
uint64_t uart;

static bool is_used(unsigned frame)
{
	return (used[frame / 64] >> (frame % 64) & 1) != 0;
}

static void mark(unsigned frame, unsigned count, bool use)
{
	for (unsigned i = frame; i < frame + count; i++) {
		if (is_used(i) == use) {
			stop("host: a frame is taken or given twice");
		}
		used[i / 64] ^= UINT64_C(1) << (i % 64);
	}
	free_count = use ? free_count - count : free_count + count;
}

uint64_t frame_get(unsigned order, uint64_t limit)
{
	unsigned count = 1u << order, run = 0;

	for (unsigned first = 0; order <= 14 && first + count <= RAM_FRAMES; first += count) {
		for (run = 0; run < count && !is_used(first + run); run++) {
		}
		if (run == count && ram_base + (uint64_t)(first + count) * PAGE <= limit) {
			mark(first, count, true);
			return ram_base + first * PAGE;
		}
	}
	return 0;
}

void frame_put(uint64_t pa, unsigned order)
{
	mark((unsigned)((pa - ram_base) / PAGE), 1u << order, false);
}

unsigned frames_free(void)
{
	return free_count;
}

void *frame_pointer(uint64_t pa)
{
	return (void *)(uintptr_t)(pa + (linear ? HOST_LINEAR : image_offset));
}

static uint64_t new_table(void)
{
	uint64_t pa = frame_get(0, UINT64_MAX);

	if (pa == 0) {
		stop("host: no frame for a table");
	}
	memset(frame_pointer(pa), 0, PAGE);
	return pa;
}

void table_map(uint64_t va, uint64_t pa, enum leaf_kind kind, unsigned level)
{
	uint64_t table = root;

	for (unsigned at = 3; at > level; at--) {
		uint64_t *entry = (uint64_t *)frame_pointer(table) + (va >> (12 + 9 * at) & 511);

		if (*entry == 0) {
			*entry = table_entry(new_table());
		}
		table = entry_pa(*entry);
	}
	((uint64_t *)frame_pointer(table))[va >> (12 + 9 * level) & 511] = leaf_entry(pa, kind, level);
}

uint64_t table_walk(uint64_t va)
{
	uint64_t table = root;

	for (unsigned at = 3; at > 0; at--) {
		uint64_t entry = ((uint64_t *)frame_pointer(table))[va >> (12 + 9 * at) & 511];

		if (entry == 0) {
			return 0;
		}
		table = entry_pa(entry);
	}
	return entry_pa(((uint64_t *)frame_pointer(table))[va >> 12 & 511]);
}

extern char image_start[], image_data[], image_end[];

/* The first 16 MiB hold the image; the rest of the RAM is free. */
void tables_build(void)
{
	for (unsigned i = 0; i < RAM_FRAMES / 64; i++) {
		used[i] = i < (16u << 20) / PAGE / 64 ? UINT64_MAX : 0;
	}
	free_count = RAM_FRAMES - (unsigned)((16u << 20) / PAGE);
	root = new_table();
	for (uint64_t at = 0; at < RAM_FRAMES * PAGE; at += 512 * PAGE) {
		table_map(HOST_LINEAR + ram_base + at, ram_base + at, LEAF_DATA, 1);
	}
	for (uint64_t va = (uint64_t)(uintptr_t)image_start; va < (uint64_t)(uintptr_t)image_end;
	     va += PAGE) {
		table_map(
		    va, va - image_offset, va < (uint64_t)(uintptr_t)image_data ? LEAF_TEXT : LEAF_DATA, 0);
	}
	if (uart_base != 0) {
		table_map(HOST_LINEAR + uart_base, uart_base, LEAF_DEVICE, 0);
	}
	root_use(root);
	uart = HOST_LINEAR + uart_base;
	linear = true;
}

struct arena {
	const char *name;
	uint64_t next, end;
	uint64_t last, last_size; /* given back, and waiting for a request of its size */
};
static struct arena arenas[4];
static unsigned arena_count;

void vmem_init(void)
{
	arena_count = 0;
}

vmem_t *vmem_create(const char *name, uint64_t base, uint64_t size)
{
	struct arena *arena = &arenas[arena_count++];

	*arena = (struct arena){.name = name, .next = base, .end = base + size};
	return arena;
}

uint64_t vmem_alloc(vmem_t *arena, uint64_t size)
{
	uint64_t address = arena->last;

	if (address != 0 && arena->last_size == size) {
		arena->last = 0;
		return address;
	}
	if (size > arena->end - arena->next) {
		stop("host: an arena is full");
	}
	address = arena->next;
	arena->next += size;
	return address;
}

void vmem_free(vmem_t *arena, uint64_t address, uint64_t size)
{
	arena->last = address;
	arena->last_size = size;
}
