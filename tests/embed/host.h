/* SPDX-License-Identifier: MIT */
/*
 * host.h - a small kernel that had its own memory management before libvmem came: a frame allocator, page
 * tables of four levels that are live, and an arena allocator with the names of the BSDs' vmem(9). Nothing
 * here comes from examples/.
 */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE UINT64_C(4096)

/* The host's map: all in the kernel half. Its image is linked in the last 2 GiB. */
#define HOST_LINEAR UINT64_C(0xffff900000000000)  /* physical memory, 2 MiB leaves */
#define HOST_HEAP UINT64_C(0xffffb00000000000)	  /* scattered frames, 4 KiB leaves */
#define HOST_MANAGED UINT64_C(0xffffd00000000000) /* given to libvmem: one top-level entry */
#define HOST_MANAGED_SIZE (UINT64_C(1) << 39)

/* The machine, from <isa>.c. */
extern const uint64_t ram_base;	    /* RAM begins here; the image is in the first 16 MiB of it */
extern const uint64_t image_offset; /* virtual address of the image less physical */
extern const uint64_t uart_base;    /* 0: not in memory */
enum leaf_kind { LEAF_TEXT, LEAF_DATA, LEAF_DEVICE };
uint64_t table_entry(uint64_t pa);
uint64_t leaf_entry(uint64_t pa, enum leaf_kind kind, unsigned level);
uint64_t entry_pa(uint64_t entry);
void root_use(uint64_t root); /* the kernel half is walked from here on; the user half is empty */
void traps_start(void);
void uart_put(char c);
_Noreturn void machine_off(void);
extern uint64_t uart; /* where the UART's registers are mapped now */

/* The host's own allocators. */
#define RAM_FRAMES 16384u
uint64_t frame_get(unsigned order, uint64_t limit); /* 0: none */
void frame_put(uint64_t pa, unsigned order);
unsigned frames_free(void);
void *frame_pointer(uint64_t pa);
typedef struct arena vmem_t;
vmem_t *vmem_create(const char *name, uint64_t base, uint64_t size);
uint64_t vmem_alloc(vmem_t *arena, uint64_t size);
void vmem_free(vmem_t *arena, uint64_t address, uint64_t size);
void vmem_init(void);

/* The host's own page tables. */
void tables_build(void);
void table_map(uint64_t va, uint64_t pa, enum leaf_kind kind, unsigned level);
uint64_t table_walk(uint64_t va); /* the physical address, from the tables that the host made; 0: none */

void say(const char *text);
void say_number(uint64_t value);
_Noreturn void stop(const char *why);
_Noreturn void host_main(void);
uint64_t host_trap(uint64_t cause, uint64_t detail, uint64_t address, uint64_t pc);
bool touch(uint64_t address, bool write, uint64_t *value); /* a user address; false: refused */

/* What the compiler and libvmem call, from libc.c. */
void *memset(void *to, int c, size_t n);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
