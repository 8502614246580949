/* SPDX-License-Identifier: MIT */
/* Boot at EL1 into the high half, the vectors, and one guarded access. 39-bit halves; table maps 1 GiB blocks, devices and RAM, and serves as
 * the identity too until the first space is made current. */
	.section .text.boot, "ax"
	.globl start
start:	adrp	x0, table
	msr	ttbr0_el1, x0
	msr	ttbr1_el1, x0
	ldr	x0, =0x04ff		/* MAIR: 0 normal write-back, 1 device nGnRE */
	msr	mair_el1, x0
	ldr	x0, =0x2b5193519	/* TCR: T0SZ T1SZ 25, write-back, inner shareable, 4 KiB granules, 40 bits */
	msr	tcr_el1, x0
	tlbi	vmalle1
	dsb	nsh
	isb
	mrs	x0, sctlr_el1
	mov	x1, #0x1005		/* I C M */
	orr	x0, x0, x1
	bic	x0, x0, #2		/* A: unaligned is fine */
	msr	sctlr_el1, x0
	isb
	ldr	x0, =1f
	br	x0
1:	ldr	x0, =stack_end
	mov	sp, x0
	ldr	x0, =vectors
	msr	vbar_el1, x0
	isb
	b	main
	.ltorg

	.balign 2048
vectors:
	.balign 2048
	.skip	0x200			/* synchronous, from this level: */
	sub	sp, sp, #160
	stp	x0, x1, [sp]
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
	mov	x1, #0
	mrs	x2, far_el1
	mrs	x3, elr_el1
	bl	trap
	msr	elr_el1, x0
	ldp	x0, x1, [sp]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	add	sp, sp, #160
	eret

	.globl access, access_resume
access:	cbnz	w1, 1f
	ldr	x0, [x0]
	ret
1:	str	x2, [x0]
	ret
access_resume:
	mov	x0, #0
	ret

	.section .data.boot, "aw"
	.balign 4096
table:	.quad	0x00000000 | 3 << 53 | 1 << 10 | 1 << 2 | 1	/* UXN PXN, accessed, device, block */
	.quad	0x40000000 | 1 << 54 | 1 << 10 | 3 << 8 | 1	/* UXN, accessed, inner shareable, block */
	.fill	510, 8, 0

	.section .bss
	.balign 16
	.skip	16384
stack_end:
	.section .note.GNU-stack, "", @progbits
