/* SPDX-License-Identifier: MIT */
/* Boot from OpenSBI into the high half, the trap entry, and one guarded access. Sv39; table maps 1 GiB leaves: the RAM at itself until main()
 * runs, devices and RAM at the direct map. */
	.option norelax
	.section .text.boot, "ax"
	.globl start
start:	lla	t0, table
	srli	t0, t0, 12
	li	t1, 8 << 60
	or	t0, t0, t1
	csrw	satp, t0
	sfence.vma
	ld	t0, 1f
	jr	t0
	.balign 8
1:	.quad	2f
2:	lla	sp, stack_end
	lla	t0, table
	sd	zero, 16(t0)		/* the user half belongs to the library's spaces now */
	sfence.vma
	lla	t0, trap_entry
	csrw	stvec, t0
	li	t0, 1 << 18
	csrs	sstatus, t0		/* SUM: the kernel may touch user pages */
	tail	main

	.balign 4
trap_entry:
	addi	sp, sp, -128
	sd	x1, 0(sp)
	sd	x5, 8(sp)
	sd	x6, 16(sp)
	sd	x7, 24(sp)
	sd	x10, 32(sp)
	sd	x11, 40(sp)
	sd	x12, 48(sp)
	sd	x13, 56(sp)
	sd	x14, 64(sp)
	sd	x15, 72(sp)
	sd	x16, 80(sp)
	sd	x17, 88(sp)
	sd	x28, 96(sp)
	sd	x29, 104(sp)
	sd	x30, 112(sp)
	sd	x31, 120(sp)
	csrr	a0, scause
	csrr	a1, sstatus
	csrr	a2, stval
	csrr	a3, sepc
	call	trap
	csrw	sepc, a0
	ld	x1, 0(sp)
	ld	x5, 8(sp)
	ld	x6, 16(sp)
	ld	x7, 24(sp)
	ld	x10, 32(sp)
	ld	x11, 40(sp)
	ld	x12, 48(sp)
	ld	x13, 56(sp)
	ld	x14, 64(sp)
	ld	x15, 72(sp)
	ld	x16, 80(sp)
	ld	x17, 88(sp)
	ld	x28, 96(sp)
	ld	x29, 104(sp)
	ld	x30, 112(sp)
	ld	x31, 120(sp)
	addi	sp, sp, 128
	sret

	.globl access, access_resume
access:	bnez	a1, 1f
	ld	a0, 0(a0)
	ret
1:	sd	a2, 0(a0)
	ret
access_resume:
	li	a0, 0
	ret

	.section .data.boot, "aw"
	.balign 4096
table:	.fill	2, 8, 0
	.quad	2 << 28 | 0xcf		/* D A X W R V */
	.fill	253, 8, 0
	.quad	0 << 28 | 0xcf
	.quad	0
	.quad	2 << 28 | 0xcf
	.fill	253, 8, 0

	.section .bss
	.balign 16
	.skip	16384
stack_end:
	.section .note.GNU-stack, "", @progbits
