/* SPDX-License-Identifier: MIT */
/*
 * raw.h - page tables made by hand, from the manual, for the ISA of the machine: for the boot and for tests
 * of the machine.
 */
#ifndef MACHINE_RAW_H
#define MACHINE_RAW_H

#include "cpu.h"

enum {
	RAW_R = 1u << 0,
	RAW_W = 1u << 1,
	RAW_X = 1u << 2,
	RAW_USER = 1u << 3,
	RAW_GLOBAL = 1u << 4,
	RAW_ACCESSED = 1u << 5,
	RAW_DIRTY = 1u << 6,
	RAW_RUN = 1u << 7, /* Contiguous, Svnapot */
	RAW_USUAL = RAW_R | RAW_W | RAW_USER | RAW_ACCESSED | RAW_DIRTY,
};

uint64_t raw_table(uint64_t table, bool user);
uint64_t raw_leaf(uint64_t pa, unsigned level, unsigned flags, enum machine_type type);
/* The entry for va at a level, in RAM; tables on the way are made. */
uint64_t *raw_slot(uint64_t root, uint64_t va, unsigned level);
/* Stores a write-back leaf; returns its place. */
uint64_t *raw_map(uint64_t root, uint64_t va, uint64_t pa, unsigned level, unsigned flags);
/* What a kernel does once on each CPU: ids, global pages, hardware updates, write-combining in PAT. */
void raw_set_up(unsigned cpu);
/* Makes root and id current on a CPU: CR3, TTBR0 or satp; keeping what is cached. */
void raw_switch(unsigned cpu, uint64_t root, uint32_t asid);
/* Flushes a page of user space from a CPU (AArch64: from all), without table entries. */
void raw_flush_page(unsigned cpu, uint64_t va);
/* Flushes everything of every id. */
void raw_flush_all(unsigned cpu);

#endif
