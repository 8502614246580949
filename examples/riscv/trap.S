/* SPDX-License-Identifier: MIT */
/*
 * trap.S - the trap entry, the system-call path, thread switch, user entry.
 *
 *  T1  In user mode sscratch holds where the thread's trap frame goes: its kernel stack's top less the frame.
 *      In the kernel it is zero, which is how a trap taken there, always a bug, is told from one out of user
 *      mode.
 *  T2  sepc, gp and tp stay in their registers: nothing in the kernel changes them but port_thread_switch().
 *      sstatus too: a trap from user mode leaves SPP = 0 and SPIE = 1, which is what SRET wants to find.
 *  T3  So entry and exit move only what a C function may destroy, and sp.
 */
#include "frame.h"

	.option norelax			/* ld.lld 14 cannot shrink code, which .balign would ask of it */

	.macro save_volatile
	sd	ra, FRAME_X(1)(sp)
	sd	t0, FRAME_X(5)(sp)
	sd	t1, FRAME_X(6)(sp)
	sd	t2, FRAME_X(7)(sp)
	sd	a0, FRAME_X(10)(sp)
	sd	a1, FRAME_X(11)(sp)
	sd	a2, FRAME_X(12)(sp)
	sd	a3, FRAME_X(13)(sp)
	sd	a4, FRAME_X(14)(sp)
	sd	a5, FRAME_X(15)(sp)
	sd	a6, FRAME_X(16)(sp)
	sd	a7, FRAME_X(17)(sp)
	sd	t3, FRAME_X(28)(sp)
	sd	t4, FRAME_X(29)(sp)
	sd	t5, FRAME_X(30)(sp)
	sd	t6, FRAME_X(31)(sp)
	.endm

	.macro restore_volatile_but_a0
	csrw	sscratch, sp		/* T1 */
	ld	ra, FRAME_X(1)(sp)
	ld	t0, FRAME_X(5)(sp)
	ld	t1, FRAME_X(6)(sp)
	ld	t2, FRAME_X(7)(sp)
	ld	a1, FRAME_X(11)(sp)
	ld	a2, FRAME_X(12)(sp)
	ld	a3, FRAME_X(13)(sp)
	ld	a4, FRAME_X(14)(sp)
	ld	a5, FRAME_X(15)(sp)
	ld	a6, FRAME_X(16)(sp)
	ld	a7, FRAME_X(17)(sp)
	ld	t3, FRAME_X(28)(sp)
	ld	t4, FRAME_X(29)(sp)
	ld	t5, FRAME_X(30)(sp)
	ld	t6, FRAME_X(31)(sp)
	ld	sp, FRAME_X(2)(sp)
	.endm

	.text
	.balign 64
	.globl trap_entry
trap_entry:
	csrrw	sp, sscratch, sp
	beqz	sp, from_kernel
	save_volatile
	csrrw	t0, sscratch, zero	/* T1 */
	sd	t0, FRAME_X(2)(sp)
	csrr	t0, scause
	li	t1, 8			/* ECALL from user mode */
	bne	t0, t1, not_a_call
	csrr	t0, sepc
	addi	t0, t0, 4
	csrw	sepc, t0
	ld	t1, port_calls_count
	bgeu	a7, t1, unknown_call
	lla	t1, port_calls
	slli	t0, a7, 3
	add	t0, t0, t1
	ld	t0, 0(t0)
	beqz	t0, unknown_call
	addi	a0, sp, FRAME_X(10)	/* the six arguments */
	jalr	t0
call_done:
	restore_volatile_but_a0
	sret

unknown_call:
	mv	a0, a7
	call	kernel_call_unknown
	j	call_done

not_a_call:
	bltz	t0, interrupt
	addi	t1, t0, -12		/* 12, 13, 15: page faults of fetch, load and store */
	li	t2, 3
	bgtu	t1, t2, bad
	csrr	a0, stval
	mv	a1, t0
	csrr	a2, sstatus
	call	kernel_fault
	beqz	a0, bad
fault_done:
	ld	a0, FRAME_X(10)(sp)
	restore_volatile_but_a0
	sret

interrupt:
	call	timer_interrupt
	j	fault_done

bad:	csrr	t0, sepc
	csrr	t1, sstatus
	sd	gp, FRAME_X(3)(sp)
	sd	tp, FRAME_X(4)(sp)
	sd	s0, FRAME_X(8)(sp)
	sd	s1, FRAME_X(9)(sp)
	sd	s2, FRAME_X(18)(sp)
	sd	s3, FRAME_X(19)(sp)
	sd	s4, FRAME_X(20)(sp)
	sd	s5, FRAME_X(21)(sp)
	sd	s6, FRAME_X(22)(sp)
	sd	s7, FRAME_X(23)(sp)
	sd	s8, FRAME_X(24)(sp)
	sd	s9, FRAME_X(25)(sp)
	sd	s10, FRAME_X(26)(sp)
	sd	s11, FRAME_X(27)(sp)
	sd	t0, FRAME_PC(sp)
	sd	t1, FRAME_STATUS(sp)
	mv	a0, sp
	csrr	a1, scause
	csrr	a2, stval
	call	trap_report
	ebreak

	/* A bug of the kernel, perhaps an overflow of its stack: the report runs on a stack of its own. */
from_kernel:
	lla	sp, trap_stack_end - FRAME_SIZE
	save_volatile
	csrrw	t0, sscratch, zero
	sd	t0, FRAME_X(2)(sp)
	j	bad

	/* void port_thread_switch(struct port_thread *from, struct port_thread *to) */
	.globl port_thread_switch
port_thread_switch:
	sd	s0, THREAD_S(0)(a0)
	sd	s1, THREAD_S(1)(a0)
	sd	s2, THREAD_S(2)(a0)
	sd	s3, THREAD_S(3)(a0)
	sd	s4, THREAD_S(4)(a0)
	sd	s5, THREAD_S(5)(a0)
	sd	s6, THREAD_S(6)(a0)
	sd	s7, THREAD_S(7)(a0)
	sd	s8, THREAD_S(8)(a0)
	sd	s9, THREAD_S(9)(a0)
	sd	s10, THREAD_S(10)(a0)
	sd	s11, THREAD_S(11)(a0)
	sd	ra, THREAD_RA(a0)
	sd	sp, THREAD_SP(a0)
	csrr	t0, sepc
	sd	t0, THREAD_USER_PC(a0)
	sd	gp, THREAD_USER_GP(a0)
	sd	tp, THREAD_USER_TP(a0)

	ld	s0, THREAD_S(0)(a1)
	ld	s1, THREAD_S(1)(a1)
	ld	s2, THREAD_S(2)(a1)
	ld	s3, THREAD_S(3)(a1)
	ld	s4, THREAD_S(4)(a1)
	ld	s5, THREAD_S(5)(a1)
	ld	s6, THREAD_S(6)(a1)
	ld	s7, THREAD_S(7)(a1)
	ld	s8, THREAD_S(8)(a1)
	ld	s9, THREAD_S(9)(a1)
	ld	s10, THREAD_S(10)(a1)
	ld	s11, THREAD_S(11)(a1)
	ld	ra, THREAD_RA(a1)
	ld	sp, THREAD_SP(a1)
	ld	t0, THREAD_USER_PC(a1)
	csrw	sepc, t0
	ld	gp, THREAD_USER_GP(a1)
	ld	tp, THREAD_USER_TP(a1)
	ld	t0, THREAD_STACK_TOP(a1)
	sd	t0, thread_stack_top, t1

	/* FS tells whether the registers were written since they were loaded: then they are saved. They are
	 * always loaded. */
	ld	a0, THREAD_FP(a0)
	ld	a1, THREAD_FP(a1)
	j	fp_switch

	/* Where a new thread begins: s0 is its function, s1 the argument. */
	.globl thread_begin
thread_begin:
	mv	a0, s1
	mv	t0, s0
	mv	s0, zero
	jalr	t0
	ebreak

	/* void port_user_enter(uint64_t pc, uint64_t sp) */
	.globl port_user_enter
port_user_enter:
	csrw	sepc, a0
	li	t0, 1 << 8 | 1 << 1	/* SPP and SIE off, SPIE on */
	csrc	sstatus, t0
	li	t0, 1 << 5
	csrs	sstatus, t0
	ld	t0, thread_stack_top
	addi	t0, t0, -FRAME_SIZE
	csrw	sscratch, t0
	mv	sp, a1
	.irp	n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	mv	x\n, zero
	.endr
	.irp	n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	mv	x\n, zero
	.endr
	sret

	/* void probe_store(uint64_t va): a store of zero; a fault of it ends in the same place. */
	.globl probe_store
probe_store:
	lla	t0, 1f
	csrrw	t0, stvec, t0
	sd	zero, 0(a0)
	.balign 4
1:	csrw	stvec, t0
	ret

	/* uint64_t port_semihost(uint64_t operation, const volatile uint64_t *parameters): the three
	 * instructions are the mark that the emulator looks for, uncompressed and in one page (RISC-V
	 * Semihosting Specification, "Semihosting Trap"). */
	.globl port_semihost
	.balign 16
	.option push
	.option norvc
port_semihost:
	slli	zero, zero, 0x1f
	ebreak
	srai	zero, zero, 7
	.option pop
	ret

	.section .bss.thread, "aw", @nobits
	.balign 16
thread_stack_top:	.skip 8
	.balign 16
	.skip 16384
trap_stack_end:
	.section .note.GNU-stack, "", @progbits
