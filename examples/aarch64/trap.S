/* SPDX-License-Identifier: MIT */
/*
 * trap.S - exception vectors, the system-call path, thread switch, user entry.
 *
 * Exceptions from EL0 find SP_EL1 at the top of the thread's kernel stack. ELR, SPSR, SP_EL0 and TPIDR_EL0
 * stay in their registers: nothing in the kernel changes them but port_thread_switch(), because an exception
 * taken in the kernel is a bug and never returns. So entry and exit move only what a C function may destroy:
 * x0 to x18 and x30. Only where handlers of signals begin and end all registers come from the frame.
 */
#include "frame.h"

	.macro save_volatile
	sub	sp, sp, #FRAME_SIZE
	stp	x0, x1, [sp, #FRAME_X(0)]
	stp	x2, x3, [sp, #FRAME_X(2)]
	stp	x4, x5, [sp, #FRAME_X(4)]
	stp	x6, x7, [sp, #FRAME_X(6)]
	stp	x8, x9, [sp, #FRAME_X(8)]
	stp	x10, x11, [sp, #FRAME_X(10)]
	stp	x12, x13, [sp, #FRAME_X(12)]
	stp	x14, x15, [sp, #FRAME_X(14)]
	stp	x16, x17, [sp, #FRAME_X(16)]
	str	x18, [sp, #FRAME_X(18)]
	str	x30, [sp, #FRAME_X(30)]
	.endm

	/* What C keeps in registers, for those who want it in memory. `in` points to the frame. */
	.macro save_kept in
	stp	x19, x20, [\in, #FRAME_X(19)]
	stp	x21, x22, [\in, #FRAME_X(21)]
	stp	x23, x24, [\in, #FRAME_X(23)]
	stp	x25, x26, [\in, #FRAME_X(25)]
	stp	x27, x28, [\in, #FRAME_X(27)]
	str	x29, [\in, #FRAME_X(29)]
	.endm

	.macro load_kept
	ldp	x19, x20, [sp, #FRAME_X(19)]
	ldp	x21, x22, [sp, #FRAME_X(21)]
	ldp	x23, x24, [sp, #FRAME_X(23)]
	ldp	x25, x26, [sp, #FRAME_X(25)]
	ldp	x27, x28, [sp, #FRAME_X(27)]
	ldr	x29, [sp, #FRAME_X(29)]
	.endm

	/* Where the running thread has to look after its signals before it goes on. */
	.macro if_attention target
	mrs	x9, tpidr_el1
	ldr	w9, [x9, #CPU_ATTENTION]
	cbnz	w9, \target
	.endm

	/* All that the program has, but what is there already. */
	.macro save_rest
	save_kept sp
	mrs	x9, sp_el0
	mrs	x10, elr_el1
	mrs	x11, spsr_el1
	str	x9, [sp, #FRAME_SP]
	stp	x10, x11, [sp, #FRAME_PC]
	.endm

	.macro restore_volatile_but_x0
	ldr	x1, [sp, #FRAME_X(1)]
	ldp	x2, x3, [sp, #FRAME_X(2)]
	ldp	x4, x5, [sp, #FRAME_X(4)]
	ldp	x6, x7, [sp, #FRAME_X(6)]
	ldp	x8, x9, [sp, #FRAME_X(8)]
	ldp	x10, x11, [sp, #FRAME_X(10)]
	ldp	x12, x13, [sp, #FRAME_X(12)]
	ldp	x14, x15, [sp, #FRAME_X(14)]
	ldp	x16, x17, [sp, #FRAME_X(16)]
	ldr	x18, [sp, #FRAME_X(18)]
	ldr	x30, [sp, #FRAME_X(30)]
	add	sp, sp, #FRAME_SIZE
	.endm

	.macro vector target
	.balign 128
	b	\target
	.endm

	/* DDI 0487, D1.3 "Exception vectors": current EL with SP_EL0, with SP_ELx, lower EL in AArch64, in
	 * AArch32. */
	.section .text.vectors, "ax"
	.balign 2048
	.globl trap_vectors
trap_vectors:
	.rept	8
	vector	from_kernel
	.endr
	vector	from_user
	vector	interrupt_from_user
	vector	bad_from_user
	vector	bad_from_user
	.rept	4
	vector	bad_from_user
	.endr

from_user:
	save_volatile
	mrs	x9, esr_el1
	lsr	x10, x9, #26
	cmp	x10, #0x15		/* SVC from AArch64 */
	b.ne	not_a_call
	adrp	x10, port_calls_count
	ldr	x10, [x10, #:lo12:port_calls_count]
	cmp	x8, x10
	b.hs	unknown_call
	adrp	x10, port_calls
	add	x10, x10, #:lo12:port_calls
	ldr	x10, [x10, x8, lsl #3]
	cbz	x10, unknown_call
	mov	x0, sp			/* the six arguments are the frame's first six words */
	blr	x10
call_done:
	if_attention leave_call
	restore_volatile_but_x0
	eret

unknown_call:
	mov	x0, x8
	bl	kernel_call_unknown
	b	call_done

not_a_call:
	orr	x10, x10, #4		/* 0x20 and 0x24: instruction and data abort from EL0 */
	cmp	x10, #0x24
	b.ne	bad
	mrs	x0, far_el1
	mov	x1, x9
	mov	x2, #1
	bl	kernel_fault
	cbz	w0, bad
fault_done:
	ldr	x0, [sp, #FRAME_X(0)]
	restore_volatile_but_x0
	eret

interrupt_from_user:
	save_volatile
	bl	gic_interrupt
	if_attention leave_trap
	b	fault_done

leave_call:
	save_rest
	mov	x1, x0
	mov	x0, sp
	bl	kernel_leave_call
	b	restore_all

leave_trap:
	save_rest
	mov	x0, sp
	bl	kernel_leave_trap
restore_all:
	ldr	x9, [sp, #FRAME_SP]
	ldp	x10, x11, [sp, #FRAME_PC]
	msr	sp_el0, x9
	msr	elr_el1, x10
	msr	spsr_el1, x11
	load_kept
	b	fault_done

bad_from_user:
	save_volatile
bad:	save_kept sp
	mrs	x1, sp_el0
trap:	mrs	x2, elr_el1
	mrs	x3, spsr_el1
	str	x1, [sp, #FRAME_SP]
	stp	x2, x3, [sp, #FRAME_PC]
	mov	x0, sp
	mrs	x1, esr_el1
	mrs	x2, far_el1
	bl	trap_report		/* comes back to a handler of the program's */
	b	restore_all

	/*
	 * A bug of the kernel, perhaps an overflow of its stack: the report runs on a stack of its own. x0 is
	 * kept in a register that programs can read but not write, and that nothing uses.
	 */
from_kernel:
	msr	tpidrro_el0, x0
	mrs	x0, tpidr_el1
	ldr	x0, [x0, #CPU_TRAP_STACK]
	sub	x0, x0, #FRAME_SIZE
	stp	x1, x2, [x0, #FRAME_X(1)]
	mov	x1, sp
	mov	sp, x0
	mrs	x0, tpidrro_el0
	str	x0, [sp, #FRAME_X(0)]
	stp	x3, x4, [sp, #FRAME_X(3)]
	stp	x5, x6, [sp, #FRAME_X(5)]
	stp	x7, x8, [sp, #FRAME_X(7)]
	stp	x9, x10, [sp, #FRAME_X(9)]
	stp	x11, x12, [sp, #FRAME_X(11)]
	stp	x13, x14, [sp, #FRAME_X(13)]
	stp	x15, x16, [sp, #FRAME_X(15)]
	stp	x17, x18, [sp, #FRAME_X(17)]
	stp	x19, x20, [sp, #FRAME_X(19)]
	stp	x21, x22, [sp, #FRAME_X(21)]
	stp	x23, x24, [sp, #FRAME_X(23)]
	stp	x25, x26, [sp, #FRAME_X(25)]
	stp	x27, x28, [sp, #FRAME_X(27)]
	stp	x29, x30, [sp, #FRAME_X(29)]
	b	trap

	.text
	.arch_extension fp
	.arch_extension simd

	/* Into the area at x2; x2 to x4 are lost. */
	.macro save_fp
	stp	q0, q1, [x2]
	stp	q2, q3, [x2, #32]
	stp	q4, q5, [x2, #64]
	stp	q6, q7, [x2, #96]
	stp	q8, q9, [x2, #128]
	stp	q10, q11, [x2, #160]
	stp	q12, q13, [x2, #192]
	stp	q14, q15, [x2, #224]
	stp	q16, q17, [x2, #256]
	stp	q18, q19, [x2, #288]
	stp	q20, q21, [x2, #320]
	stp	q22, q23, [x2, #352]
	stp	q24, q25, [x2, #384]
	stp	q26, q27, [x2, #416]
	stp	q28, q29, [x2, #448]
	stp	q30, q31, [x2, #480]
	mrs	x3, fpsr
	mrs	x4, fpcr
	add	x2, x2, #FP_FPSR
	stp	x3, x4, [x2]
	.endm

	/* The registers alone, from the area at x2. */
	.macro load_fp
	ldp	q0, q1, [x2]
	ldp	q2, q3, [x2, #32]
	ldp	q4, q5, [x2, #64]
	ldp	q6, q7, [x2, #96]
	ldp	q8, q9, [x2, #128]
	ldp	q10, q11, [x2, #160]
	ldp	q12, q13, [x2, #192]
	ldp	q14, q15, [x2, #224]
	ldp	q16, q17, [x2, #256]
	ldp	q18, q19, [x2, #288]
	ldp	q20, q21, [x2, #320]
	ldp	q22, q23, [x2, #352]
	ldp	q24, q25, [x2, #384]
	ldp	q26, q27, [x2, #416]
	ldp	q28, q29, [x2, #448]
	ldp	q30, q31, [x2, #480]
	.endm

	/* void fp_save(void *area) */
	.globl fp_save
fp_save:
	mov	x2, x0
	save_fp
	ret

	/* void fp_load_parts(const void *registers, uint64_t fpsr, uint64_t fpcr) */
	.globl fp_load_parts
fp_load_parts:
	msr	fpsr, x1
	msr	fpcr, x2
	mov	x2, x0
	load_fp
	ret

	/* void port_thread_switch(struct port_thread *from, struct port_thread *to) */
	.globl port_thread_switch
port_thread_switch:
#if VMEM_MAX_CPUS > 1
	dsb	ish			/* cache maintenance of the program's, which may go on elsewhere */
#endif
	stp	x19, x20, [x0, #THREAD_X19]
	stp	x21, x22, [x0, #THREAD_X19 + 16]
	stp	x23, x24, [x0, #THREAD_X19 + 32]
	stp	x25, x26, [x0, #THREAD_X19 + 48]
	stp	x27, x28, [x0, #THREAD_X19 + 64]
	stp	x29, x30, [x0, #THREAD_X29]
	mov	x2, sp
	str	x2, [x0, #THREAD_SP]
	mrs	x3, sp_el0
	mrs	x4, elr_el1
	mrs	x5, spsr_el1
	mrs	x6, tpidr_el0
	stp	x3, x4, [x0, #THREAD_USER_SP]
	stp	x5, x6, [x0, #THREAD_USER_PSTATE]
	ldr	x2, [x0, #THREAD_FP]
	cbz	x2, 1f
	save_fp

1:	ldr	x2, [x1, #THREAD_FP]
	cbz	x2, 2f
	load_fp
	add	x2, x2, #FP_FPSR
	ldp	x3, x4, [x2]
	msr	fpsr, x3
	msr	fpcr, x4
2:	ldp	x3, x4, [x1, #THREAD_USER_SP]
	ldp	x5, x6, [x1, #THREAD_USER_PSTATE]
	msr	sp_el0, x3
	msr	elr_el1, x4
	msr	spsr_el1, x5
	msr	tpidr_el0, x6
	ldr	x2, [x1, #THREAD_SP]
	mov	sp, x2
	ldp	x19, x20, [x1, #THREAD_X19]
	ldp	x21, x22, [x1, #THREAD_X19 + 16]
	ldp	x23, x24, [x1, #THREAD_X19 + 32]
	ldp	x25, x26, [x1, #THREAD_X19 + 48]
	ldp	x27, x28, [x1, #THREAD_X19 + 64]
	ldp	x29, x30, [x1, #THREAD_X29]
	ret

	/* Where a new thread begins: x19 is its function, x20 the argument. */
	.globl thread_begin
thread_begin:
	mov	x0, x20
	mov	x29, xzr
	blr	x19
	brk	#0

	/* For clone: all registers of the program in the frame, which x0 points to. */
	.globl port_call_clone, port_call_clone3
port_call_clone:
	save_kept x0
	b	call_clone
port_call_clone3:
	save_kept x0
	b	call_clone3

	/* Where a thread of a clone begins; sp points to its copy of the frame. */
	.globl fork_begin
fork_begin:
	bl	kernel_thread_begin
	load_kept
	mov	x0, xzr
	b	call_done

	/* void user_enter(uint64_t pc, uint64_t sp, uint64_t stack_top) */
	.globl user_enter
user_enter:
	mov	sp, x2
	msr	elr_el1, x0
	msr	sp_el0, x1
	msr	spsr_el1, xzr		/* EL0t, AArch64, interrupts on */
	msr	tpidr_el0, xzr
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	mov	x\n, xzr
	.endr
	.irp	n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	mov	x\n, xzr
	.endr
	eret

	/* uint64_t port_semihost(uint64_t operation, const volatile uint64_t *parameters) */
	.globl port_semihost
port_semihost:
	hlt	#0xf000
	ret

	.section .note.GNU-stack, "", %progbits
