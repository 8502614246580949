/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - RISC-V control and status registers, SBI calls, and what the files of this directory share.
 */
#ifndef RISCV_CPU_H
#define RISCV_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "dtboot.h"
#include "semihost.h"

#define READ_CSR(name)                                                                                       \
	__extension__({                                                                                      \
		uint64_t value_;                                                                             \
		__asm__ volatile("csrr %0, " name : "=r"(value_) : : "memory");                              \
		value_;                                                                                      \
	})
#define WRITE_CSR(name, value) __asm__ volatile("csrw " name ", %0" : : "r"((uint64_t)(value)) : "memory")
#define SET_CSR(name, bits) __asm__ volatile("csrs " name ", %0" : : "r"((uint64_t)(bits)) : "memory")
#define CLEAR_CSR(name, bits) __asm__ volatile("csrc " name ", %0" : : "r"((uint64_t)(bits)) : "memory")

#define STATUS_SPP (UINT64_C(1) << 8)
#define INTERRUPT_TIMER (UINT64_C(1) << 5) /* in sie and sip */

static inline uint64_t read_time(void)
{
	return READ_CSR("time");
}

/* One SBI call of one argument (RISC-V SBI specification, "Binary Encoding"). */
static inline void sbi_call(uint64_t extension, uint64_t function, uint64_t argument)
{
	register uint64_t a0 __asm__("a0") = argument;
	register uint64_t a1 __asm__("a1");
	register uint64_t a6 __asm__("a6") = function;
	register uint64_t a7 __asm__("a7") = extension;

	__asm__ volatile("ecall" : "+r"(a0), "=r"(a1) : "r"(a6), "r"(a7) : "memory");
}

/* boot.S and trap.S */
extern uint64_t boot_table[512];
extern char trap_entry[];
void thread_begin(void);
void probe_store(uint64_t va); /* a store that may fault */
_Noreturn void trap_report(const struct port_frame *frame, uint64_t cause, uint64_t value);

/* timer.c */
void timer_find(struct dtboot_mmu *mmu, const struct fdt *fdt);
void timer_start(const struct fdt *fdt);
void timer_interrupt(void);

/* start.c: the letters of the ISA string, bit n for 'a' + n. */
extern uint64_t cpu_letters;

/* trap.c; and the ISA's places in calls_generic.c: 258 is riscv_hwprobe. */
kernel_call_t call_riscv_flush_icache;
#define CPU_CALLS [258] = call_absent, [259] = call_riscv_flush_icache,

#endif
