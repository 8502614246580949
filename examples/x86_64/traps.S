/* SPDX-License-Identifier: MIT */
/*
 * traps.S - every way into the kernel and out of it.
 *
 * T1. The kernel runs with interrupts off, so its own stack is in use only between an entry and the
 *     matching exit: a trap from user mode always starts at the thread's stack_top, by TSS.RSP0 or, for
 *     SYSCALL, by its copy in struct port_cpu.
 * T2. In the kernel GS is the CPU's struct port_cpu and the user's base waits in MSR_KERNEL_GS_BASE. An entry
 *     from user mode exchanges them, and so does the way back there; CS on the stack says which it is. Only
 *     traps that never return come from the kernel, and the interrupts that port_idle() or port_rest() waits for
 *     or port_take_interrupts() lets in.
 * T3. A fast entry saves the nine registers that a C function may destroy; C keeps the other six. When the
 *     C function wants them all it says so, and the slow path stores the six below the nine: struct
 *     port_frame.
 */

	.set CPU_STACK_TOP, 8		/* struct port_cpu */
	.set CPU_USER_SP, 16
	.set CPU_ATTENTION, 36

	.text

	/* T2, with CS at the given place. */
	.macro SWAP_IF_USER cs
	testb $3, \cs
	jz 9f
	swapgs
9:
	.endm

	.macro SAVE_CALLER
	push %rax
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	sub $48, %rsp			/* T3: room for rbx rbp r12..r15 */
	cld
	.endm

	.macro RESTORE_CALLER
	add $48, %rsp
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp			/* vector and error code */
	.endm

/* Page faults. The CPU has pushed the error code: 16 words with the rest, so the stack is aligned for C. */
	.globl entry_page_fault
	.balign 64
entry_page_fault:
	SWAP_IF_USER 16(%rsp)
	pushq $14
	SAVE_CALLER
	mov %cr2, %rdi
	mov $14, %esi
	mov 128(%rsp), %rdx
	call kernel_fault
	test %al, %al
	jz entry_slow
	RESTORE_CALLER
	swapgs				/* a fault of the kernel's does not come back */
	iretq

/* Interrupts, from user mode, from port_idle(), port_rest() or port_take_interrupts(). */
	.macro INTERRUPT name, function
	.globl \name
	.balign 16
\name:
	SWAP_IF_USER 8(%rsp)
	pushq $0
	pushq $0
	SAVE_CALLER
	call \function
	testb $3, 144(%rsp)		/* CS */
	jz 1f
	cmpl $0, %gs:CPU_ATTENTION
	jne leave_trap
1:	RESTORE_CALLER
	SWAP_IF_USER 8(%rsp)
	iretq
	.endm

	INTERRUPT entry_timer, apic_timer_interrupt
	INTERRUPT entry_call, apic_call_interrupt
	INTERRUPT entry_rest, apic_rest_interrupt

/* The APIC withdrew an interrupt at the last moment; there is nothing to acknowledge. */
	.globl entry_spurious
entry_spurious:
	iretq

	.macro SAVE_KEPT
	mov %r15, 0(%rsp)
	mov %r14, 8(%rsp)
	mov %r13, 16(%rsp)
	mov %r12, 24(%rsp)
	mov %rbp, 32(%rsp)
	mov %rbx, 40(%rsp)
	.endm

/* The running thread has to look after its signals before it goes on. */
leave_trap:
	SAVE_KEPT
	mov %rsp, %rdi
	call kernel_leave_trap
restore_all:
	mov 0(%rsp), %r15
	mov 8(%rsp), %r14
	mov 16(%rsp), %r13
	mov 24(%rsp), %r12
	mov 32(%rsp), %rbp
	mov 40(%rsp), %rbx
	RESTORE_CALLER
	SWAP_IF_USER 8(%rsp)
	iretq

/* frame_return(const struct port_frame *frame), which lies on this stack */
	.globl frame_return
frame_return:
	mov %rdi, %rsp
	jmp restore_all

/* Every other vector: all registers, then C. traps_exception() returns for traps that the kernel ignores, and
 * to a handler of the program's. */
entry_common:
	SWAP_IF_USER 24(%rsp)
	SAVE_CALLER
entry_slow:
	SAVE_KEPT
	mov %rsp, %rdi
	xor %ebp, %ebp
	call traps_exception
	jmp restore_all

	.macro ENTRY number, has_error
	.balign 16
entry_\number:
	.if !\has_error
	pushq $0
	.endif
	pushq $\number
	jmp entry_common
	.endm

	.altmacro
	.set vector, 0
	.macro ENTRY_NEXT n
	.if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17) || (\n == 21) || (\n == 29) || (\n == 30)
	ENTRY \n, 1
	.else
	ENTRY \n, 0
	.endif
	.endm
	.rept 32
	ENTRY_NEXT %vector
	.set vector, vector + 1
	.endr

/*
 * SYSCALL: RCX is the return address, R11 the flags, RSP still the user's. Linux keeps all registers but
 * RAX, RCX and R11; C keeps six, and the six arguments, in memory, are what the function is called with.
 * SYSRET with a non-canonical RCX would fault in the kernel on the user's stack; the last page of the user
 * half is never mapped, so RCX is canonical.
 */
	.globl entry_syscall
	.balign 64
entry_syscall:
	swapgs
	mov %rsp, %gs:CPU_USER_SP
	mov %gs:CPU_STACK_TOP, %rsp
	pushq %gs:CPU_USER_SP
	push %r11
	push %rcx
	push %rax			/* keeps the stack aligned, too */
	push %r9
	push %r8
	push %r10
	push %rdx
	push %rsi
	push %rdi
	cmp port_calls_count, %rax
	jae 2f
	mov port_calls(, %rax, 8), %rcx
	test %rcx, %rcx
	jz 2f
	mov %rsp, %rdi
	call *%rcx
1:	cmpl $0, %gs:CPU_ATTENTION
	jne 3f
	pop %rdi
	pop %rsi
	pop %rdx
	pop %r10
	pop %r8
	pop %r9
	pop %rcx			/* the number: RAX is the result */
	pop %rcx
	pop %r11
	pop %rsp
	swapgs
	sysretq
2:	mov %rax, %rdi
	call kernel_call_unknown
	jmp 1b
3:	mov %rsp, %rdi
	mov %rax, %rsi
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	call signal_leave_call		/* which goes to user mode by frame_return() */
	.globl entry_syscall_end
entry_syscall_end:

/* port_user_enter(pc, sp): IRET, because the CPU may be on any path here, with every register zero. */
	.globl port_user_enter
port_user_enter:
	mov %gs:CPU_STACK_TOP, %rsp
	pushq $0x23
	push %rsi
	pushq $0x202			/* IF */
	pushq $0x2b
	push %rdi
	xor %eax, %eax
	xor %ebx, %ebx
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %edi, %edi
	xor %ebp, %ebp
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d
	swapgs
	iretq

/* switch_stacks(uint64_t *save, uint64_t load): T1 makes this the only place where one kernel stack becomes
 * another. */
	.globl switch_stacks
switch_stacks:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rdi)
	mov %rsi, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

/* The first return of switch_stacks() in a new thread: port_thread_init() put the function in r12 and its
 * argument in r13. */
	.globl switch_begin
switch_begin:
	mov %r13, %rdi
	call *%r12
	ud2

/* The first switch to a thread of port_thread_fork(): all registers lie above, as struct port_frame. */
	.globl switch_fork
switch_fork:
	call kernel_thread_begin
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	swapgs
	iretq

/* The two calls that need the registers that C keeps: below the return address, which is below the arguments;
 * seven words, so that the stack is aligned for C. */
	.macro CALL_WITH_ALL name, function
	.globl \name
\name:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	sub $8, %rsp
	call \function
	add $56, %rsp
	ret
	.endm

	CALL_WITH_ALL port_call_clone, call_clone
	CALL_WITH_ALL port_call_clone3, call_clone3
	CALL_WITH_ALL port_call_fork, call_fork
	CALL_WITH_ALL port_call_vfork, call_vfork

	.section .rodata
	.balign 8
	.globl traps_entries
traps_entries:
	.macro ADDRESS n
	.quad entry_\n
	.endm
	.set vector, 0
	.rept 32
	ADDRESS %vector
	.set vector, vector + 1
	.endr
	.section .note.GNU-stack, "", @progbits
