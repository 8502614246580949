/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - AArch64 system registers, and what the files of this directory share.
 */
#ifndef AARCH64_CPU_H
#define AARCH64_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "dtboot.h"
#include "semihost.h"

#define READ_REGISTER(name)                                                                                  \
	__extension__({                                                                                      \
		uint64_t value_;                                                                             \
		__asm__ volatile("mrs %0, " name : "=r"(value_));                                            \
		value_;                                                                                      \
	})
#define WRITE_REGISTER(name, value) __asm__ volatile("msr " name ", %0" : : "r"((uint64_t)(value)) : "memory")

static inline void instruction_barrier(void)
{
	__asm__ volatile("isb" : : : "memory");
}

/* A field of four bits of an identification register. */
static inline unsigned id_field(uint64_t value, unsigned shift)
{
	return (unsigned)(value >> shift & 15);
}

static inline uint32_t read32(uint64_t va)
{
	return *(volatile uint32_t *)(uintptr_t)va;
}

static inline void write32(uint64_t va, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)va = value;
}

/* boot.S and trap.S */
extern char trap_vectors[];
extern uint64_t boot_table[512];
void boot_switch(uint64_t ttbr1, uint64_t tcr);
void thread_begin(void);
_Noreturn void trap_report(const struct port_frame *frame, uint64_t syndrome, uint64_t address);

/* timer.c */
void timer_find(struct dtboot_mmu *mmu, const struct fdt *fdt);
void timer_start(void);
void timer_interrupt(void);

/* calls_generic.c: the ISA has no system call of its own. */
#define CPU_CALLS

#endif
