/* SPDX-License-Identifier: MIT */
/* EL1 entry with the MMU off, the vector for synchronous exceptions. The boot's tables serve both halves (48 bits each) and live until tables_build(). */
	.section .text.entry, "ax"
	.globl entry
entry:	adrp	x1, top
	adrp	x2, gib
	orr	x3, x2, #3
	str	x3, [x1]			/* the user half: identity */
	str	x3, [x1, #8 * 511]		/* the kernel half */
	mov	x3, #0x405			/* devices: accessed, attribute 1, block */
	str	x3, [x2]
	mov	x3, #0x701			/* RAM: accessed, inner shareable, attribute 0, block */
	movk	x3, #0x4000, lsl #16
	str	x3, [x2, #8]
	str	x3, [x2, #8 * 511]
	msr	ttbr0_el1, x1
	msr	ttbr1_el1, x1
	mov	x3, #0x04ff
	msr	mair_el1, x3
	ldr	x3, tcr
	msr	tcr_el1, x3
	dsb	sy
	tlbi	vmalle1
	dsb	sy
	isb
	mrs	x3, sctlr_el1
	orr	x3, x3, #1
	orr	x3, x3, #4
	orr	x3, x3, #0x1000
	msr	sctlr_el1, x3
	isb
	ldr	x3, high_address
	br	x3
	.balign	8
tcr:	.quad	0x2b5103510			/* both sizes 48 bits, write-back, inner shareable, 4 KiB, 40 bits physical */
high_address:
	.quad	high
high:	adrp	x1, boot_stack_end
	add	x1, x1, :lo12:boot_stack_end
	mov	sp, x1
	mov	x29, #0
	b	host_main

	.text
	.balign	2048
	.globl vectors
vectors:
	.skip	0x200
	b	synchronous
	.skip	0x600 - 4
synchronous:
	stp	x0, x1, [sp, #-160]!
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	mrs	x0, esr_el1
	mov	x1, xzr
	mrs	x2, far_el1
	mrs	x3, elr_el1
	bl	host_trap
	msr	elr_el1, x0
	ldp	x18, x30, [sp, #144]
	ldp	x16, x17, [sp, #128]
	ldp	x14, x15, [sp, #112]
	ldp	x12, x13, [sp, #96]
	ldp	x10, x11, [sp, #80]
	ldp	x8, x9, [sp, #64]
	ldp	x6, x7, [sp, #48]
	ldp	x4, x5, [sp, #32]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp], #160
	eret

	.globl touch_address, touch_refused
touch_address:
	cbz	w1, 1f
	str	x2, [x0]
	ret
1:	ldr	x0, [x0]
	ret
touch_refused:
	ret

	.section .data.entry, "aw"
	.balign	4096
top:	.skip	4096
gib:	.skip	4096
	.bss
	.balign	16
	.skip	16384
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
