/* SPDX-License-Identifier: MIT */
/*
 * trap.S - the trap entry, the system-call path, thread switch, user entry.
 *
 *  T1  In user mode sscratch holds where the thread's trap frame goes: its kernel stack's top less the frame.
 *      In the kernel it is zero, which is how a trap taken there, always a bug, is told from one out of user
 *      mode.
 *  T2  sepc and gp stay in their registers: nothing in the kernel changes them but port_thread_switch().
 *      sstatus too: a trap from user mode leaves SPP = 0 and SPIE = 1, which is what SRET wants to find.
 *  T3  So entry and exit move only what a C function may destroy, and sp. Only where handlers of signals begin
 *      and end all registers come from the frame, sepc and gp too.
 *  T4  tp is like gp in a kernel for one CPU. In one for several it points to the CPU while in the kernel,
 *      and the program's is in the frame; the frame also says which CPU it is, from the switch to the thread
 *      on.
 *  T5  A thread that comes to another CPU executes FENCE.I there before it goes on: what it has written, and
 *      made visible to its own fetches where it ran before, may lie stale in this CPU's fetch path.
 */
#include "frame.h"

#define SEVERAL_CPUS (VMEM_MAX_CPUS > 1)

	.option norelax			/* ld.lld 14 cannot shrink code, which .balign would ask of it */

	.macro save_volatile
	sd	ra, FRAME_X(1)(sp)
	sd	t0, FRAME_X(5)(sp)
	sd	t1, FRAME_X(6)(sp)
	sd	t2, FRAME_X(7)(sp)
#if SEVERAL_CPUS
	sd	tp, FRAME_X(4)(sp)
#endif
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
#if SEVERAL_CPUS
	ld	tp, FRAME_X(4)(sp)	/* T4 */
#endif
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
	/* What C keeps in registers, for those who want it in memory. `in` points to the frame. */
	.macro save_kept in
	sd	s0, FRAME_X(8)(\in)
	sd	s1, FRAME_X(9)(\in)
	sd	s2, FRAME_X(18)(\in)
	sd	s3, FRAME_X(19)(\in)
	sd	s4, FRAME_X(20)(\in)
	sd	s5, FRAME_X(21)(\in)
	sd	s6, FRAME_X(22)(\in)
	sd	s7, FRAME_X(23)(\in)
	sd	s8, FRAME_X(24)(\in)
	sd	s9, FRAME_X(25)(\in)
	sd	s10, FRAME_X(26)(\in)
	sd	s11, FRAME_X(27)(\in)
	.endm

	.macro load_kept
	ld	s0, FRAME_X(8)(sp)
	ld	s1, FRAME_X(9)(sp)
	ld	s2, FRAME_X(18)(sp)
	ld	s3, FRAME_X(19)(sp)
	ld	s4, FRAME_X(20)(sp)
	ld	s5, FRAME_X(21)(sp)
	ld	s6, FRAME_X(22)(sp)
	ld	s7, FRAME_X(23)(sp)
	ld	s8, FRAME_X(24)(sp)
	ld	s9, FRAME_X(25)(sp)
	ld	s10, FRAME_X(26)(sp)
	ld	s11, FRAME_X(27)(sp)
	.endm

	/* All that the program has, but what is there already. */
	.macro save_rest
	csrr	t0, sepc
	sd	gp, FRAME_X(3)(sp)
#if !SEVERAL_CPUS
	sd	tp, FRAME_X(4)(sp)
#endif
	save_kept sp
	sd	t0, FRAME_PC(sp)
	.endm

	/* Where the running thread has to look after its signals before it goes on. */
	.macro if_attention target
#if SEVERAL_CPUS
	lw	t0, CPU_ATTENTION(tp)
#else
	lla	t0, kernel_cpus
	lw	t0, CPU_ATTENTION(t0)
#endif
	bnez	t0, \target
	.endm

	.balign 64
	.globl trap_entry
trap_entry:
	csrrw	sp, sscratch, sp
	beqz	sp, from_kernel
	save_volatile
	csrrw	t0, sscratch, zero	/* T1 */
	sd	t0, FRAME_X(2)(sp)
#if SEVERAL_CPUS
	ld	tp, FRAME_CPU(sp)	/* T4 */
#endif
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
	if_attention leave_call
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
	call	interrupt_taken
	if_attention leave_trap
	j	fault_done

leave_call:
	save_rest
	mv	a1, a0
	mv	a0, sp
	call	kernel_leave_call
	j	restore_all

leave_trap:
	save_rest
	mv	a0, sp
	call	kernel_leave_trap
restore_all:
	ld	t0, FRAME_PC(sp)
	csrw	sepc, t0
	ld	gp, FRAME_X(3)(sp)
#if !SEVERAL_CPUS
	ld	tp, FRAME_X(4)(sp)
#endif
	load_kept
	j	fault_done

bad:	save_rest
	csrr	t1, sstatus
	sd	t1, FRAME_STATUS(sp)
	mv	a0, sp
	csrr	a1, scause
	csrr	a2, stval
	call	trap_report		/* comes back to a handler of the program's */
	j	restore_all

	/* A bug of the kernel, perhaps an overflow of its stack: the report runs on a stack of its own. */
from_kernel:
#if SEVERAL_CPUS
	ld	sp, CPU_TRAP_STACK(tp)
	addi	sp, sp, -FRAME_SIZE
#else
	lla	sp, trap_stacks + 16384 - FRAME_SIZE
#endif
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
#if !SEVERAL_CPUS
	sd	tp, THREAD_USER_TP(a0)
#endif

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
#if SEVERAL_CPUS
	ld	t0, THREAD_CPU(a1)
	ld	t1, THREAD_STACK_TOP(a1)
	beq	t0, tp, 1f
	beqz	t1, 1f			/* never in user mode */
	sd	tp, THREAD_CPU(a1)
	sd	tp, FRAME_CPU - FRAME_SIZE(t1)	/* T4 */
	fence.i				/* T5 */
1:
#else
	ld	tp, THREAD_USER_TP(a1)
#endif

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

	/* For clone: all registers of the program in the frame, whose a0 is what a0 points to. */
	.globl port_call_clone, port_call_clone3
port_call_clone:
	addi	t0, a0, -FRAME_X(10)
	save_kept t0
	tail	call_clone
port_call_clone3:
	addi	t0, a0, -FRAME_X(10)
	save_kept t0
	tail	call_clone3

	/* Where a thread of a clone begins; sp points to its copy of the frame. */
	.globl fork_begin
fork_begin:
	call	kernel_thread_begin
	load_kept
	mv	a0, zero
	j	call_done

	/* void user_enter(uint64_t pc, uint64_t sp, uint64_t stack_top) */
	.globl user_enter
user_enter:
	csrw	sepc, a0
	li	t0, 1 << 8 | 1 << 1	/* SPP and SIE off, SPIE on */
	csrc	sstatus, t0
	li	t0, 1 << 5
	csrs	sstatus, t0
	addi	a2, a2, -FRAME_SIZE
	csrw	sscratch, a2
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

	.section .note.GNU-stack, "", @progbits
