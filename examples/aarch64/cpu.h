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

#define RAM_BASE UINT64_C(0x40000000) /* of -M virt; the image is linked for it */

/* boot.S and trap.S */
extern char trap_vectors[], boot_secondary[];
extern uint64_t boot_table[512];
void boot_switch(uint64_t ttbr1, uint64_t tcr);
void thread_begin(void);
void fork_begin(void);
void fp_save(void *area);
void fp_load_parts(const void *registers, uint64_t fpsr, uint64_t fpcr);
_Noreturn void user_enter(uint64_t pc, uint64_t sp, uint64_t stack_top);
void trap_report(struct port_frame *frame, uint64_t syndrome, uint64_t address);

/* start.c: what another CPU's first instructions need of the boot CPU's tables. */
void start_prepare(struct port_cpu *cpu);

/* smp.c */
void smp_boot_cpu(void); /* first of all */
void smp_find(const struct fdt *fdt);

/* gic.c */
void gic_find(struct dtboot_mmu *mmu, const struct fdt *fdt);
void gic_start(void);
void gic_start_cpu(unsigned number);
void gic_interrupt(void);

/* timer.c */
void timer_find(struct dtboot_mmu *mmu, const struct fdt *fdt);
void timer_start(void);
void timer_arm(void);

/* calls_generic.c: the ISA has no system call of its own. */
#define CPU_CALLS

#endif
