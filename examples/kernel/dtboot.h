/* SPDX-License-Identifier: MIT */
/*
 * dtboot.h - what the two ISAs that boot from a device tree share: the layout of the kernel half, reading the
 * tree, and the final page tables.
 *
 * The layout is the same in every paging mode: it lies in the topmost 256 GiB, which is the kernel half of
 * the smallest mode (39 bits) and part of it in all others. A boot table of 512 leaves of 1 GiB maps all of
 * it from the first instructions on.
 */
#ifndef KERNEL_DTBOOT_H
#define KERNEL_DTBOOT_H

#define DIRECT_MAP 0xffffffc000000000	 /* physical address 0 */
#define DIRECT_MAP_LENGTH 0x2000000000	 /* 128 GiB; RAM above is not used */
#define MANAGED_START 0xffffffe000000000 /* what the library manages */
#define MANAGED_LENGTH 0x1000000000	 /* 64 GiB */
#define IMAGE_BASE 0xffffffff80000000	 /* the GiB of RAM that holds the image */

#ifndef __ASSEMBLER__

#include "fdt.h"
#include "port.h"

#define DTBOOT_DEVICES_MAX 8u

enum dtboot_kind { DTBOOT_TEXT, DTBOOT_RODATA, DTBOOT_DATA, DTBOOT_DEVICE };

/* The ISA's part in making the tables. */
struct dtboot_mmu {
	unsigned levels;
	unsigned va_bits;	 /* of one half and its sign: 39, 48, 52 or 57 */
	uint64_t image_physical; /* physical address of IMAGE_BASE */
	uint64_t (*make_table)(uint64_t table);
	uint64_t (*make_leaf)(uint64_t pa, enum dtboot_kind kind);
	uint64_t (*entry_address)(uint64_t entry);
	struct vmem_ram device[DTBOOT_DEVICES_MAX]; /* mapped at DIRECT_MAP + physical address */
	unsigned device_count;
};

/* Reads RAM, reservations, command line and archive from the tree at a physical address. Panics without a
 * tree. */
void dtboot_read(struct kernel_boot *boot, struct fdt *fdt, uint64_t tree, uint64_t image_physical);

/* Adds the index-th register range of the first node compatible with `name`; false if there is none. */
bool dtboot_device(
    struct dtboot_mmu *mmu, const struct fdt *fdt, const char *name, unsigned index, uint64_t *out_va);
void dtboot_add_device(struct dtboot_mmu *mmu, uint64_t start, uint64_t length);

/* Builds the final tables from boot's free RAM; returns the root's physical address. */
vmem_paddr_t dtboot_tables(struct kernel_boot *boot, const struct fdt *fdt, const struct dtboot_mmu *mmu);

/* What firmware calls the CPUs ("reg" of their nodes): the running one's `own` first, then the others in the
 * tree's order, less those that the tree says cannot be used; at most `room`. Answers how many. */
unsigned dtboot_cpus(const struct fdt *fdt, uint64_t own, uint64_t *name, unsigned room);

/* dtcpus.c: the port's port_cpu_count() and port_cpus_start(), and what it needs for them. */
#define DTBOOT_CPUS_MAX 64u
extern char trap_stacks[KERNEL_CPU_MAX][16384]; /* on which bugs of the kernel are reported */
/* The record of a CPU, with what is known of it from the first. */
struct port_cpu *dtboot_cpu(unsigned number);
/* The names of all CPUs; the one that runs has the name `own`. Until then there is one. */
void dtboot_find_cpus(const struct fdt *fdt, uint64_t own);
uint64_t dtboot_cpu_name(unsigned number);
/* The port's: makes firmware start the CPU of that name; what it answers, 0 if it will. */
int64_t smp_start(struct port_cpu *cpu, uint64_t name);

/* The firmware's seed, folded to a word; 0 without one. */
uint64_t dtboot_seed(const struct fdt *fdt);

/* The number of levels that the command line's paging=WORD asks for, `most` at most; without one of the
 * words, `most`. */
struct dtboot_mode {
	const char *word;
	unsigned levels;
};
unsigned dtboot_levels(
    const char *command_line, const struct dtboot_mode *modes, unsigned count, unsigned most);

static inline void *dtboot_physical(uint64_t pa)
{
	return (void *)(uintptr_t)(DIRECT_MAP + pa);
}

#endif
#endif
