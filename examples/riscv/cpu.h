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
#define STATUS_SPIE (UINT64_C(1) << 5)
#define INTERRUPT_CALL (UINT64_C(1) << 1) /* in sie and sip */
#define INTERRUPT_TIMER (UINT64_C(1) << 5)

static inline uint64_t read_time(void)
{
	return READ_CSR("time");
}

/* One SBI call; its error code, 0 for none (RISC-V SBI specification, "Binary Encoding"). */
static inline int64_t sbi_call(uint64_t extension, uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t a0 __asm__("a0") = a;
	register uint64_t a1 __asm__("a1") = b;
	register uint64_t a2 __asm__("a2") = c;
	register uint64_t a6 __asm__("a6") = function;
	register uint64_t a7 __asm__("a7") = extension;

	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
	return (int64_t)a0;
}

#define RAM_BASE UINT64_C(0x80000000) /* of -M virt; the image is linked for it */

/* boot.S and trap.S */
extern uint64_t boot_table[512];
extern char trap_entry[], boot_entry[];
extern struct boot_hart {
	uint64_t name;
	struct port_cpu *cpu;
} boot_harts[VMEM_MAX_CPUS]; /* the last stays empty */
void thread_begin(void);
void fork_begin(void);
_Noreturn void user_enter(uint64_t pc, uint64_t sp, uint64_t stack_top);
void fp_save(void *area);
void fp_load(const void *area);
void probe_store(uint64_t va); /* a store that may fault */
/* Places in port_frame.x. */
enum { REGISTER_RA = 0, REGISTER_SP = 1, REGISTER_A0 = 9, REGISTER_A7 = 16 };
void trap_report(struct port_frame *frame, uint64_t cause, uint64_t value);

/* smp.c */
void smp_boot_cpu(void); /* first of all */

/* timer.c */
void timer_find(struct dtboot_mmu *mmu, const struct fdt *fdt);
void timer_start(const struct fdt *fdt);
void interrupt_taken(void);

/* start.c: what another CPU's first instructions need of the boot CPU's tables. */
void start_prepare(struct port_cpu *cpu);
/* The letters of the ISA string, bit n for 'a' + n. */
extern uint64_t cpu_letters;

/* trap.c; and the ISA's places in calls_generic.c: 258 is riscv_hwprobe. */
kernel_call_t call_riscv_flush_icache;
#define CPU_CALLS [258] = call_absent, [259] = call_riscv_flush_icache,

#endif
