/* SPDX-License-Identifier: MIT */
/* S-mode entry behind OpenSBI, the trap vector. Sv48; the boot's tables live until tables_build(). */
	.option norelax
	.section .text.entry, "ax"
	.globl entry
entry:	lla	t0, top
	lla	t1, gib
	srli	t2, t1, 2
	ori	t2, t2, 1
	sd	t2, 0(t0)
	li	t3, 8 * 511
	add	t3, t3, t0
	sd	t2, 0(t3)
	li	t2, 0xcf			/* devices at themselves */
	sd	t2, 0(t1)
	li	t2, 0x200000cf			/* RAM at itself and at the last but one GiB */
	sd	t2, 16(t1)
	li	t3, 8 * 510
	add	t3, t3, t1
	sd	t2, 0(t3)
	srli	t0, t0, 12
	li	t1, 9
	slli	t1, t1, 60
	or	t0, t0, t1
	csrw	satp, t0
	sfence.vma
	ld	t0, high_address
	jr	t0
	.balign	8
high_address:
	.quad	high
high:	lla	sp, boot_stack_end
	mv	s0, zero
	tail	host_main

	.text
	.balign	4
	.globl vector
vector:	addi	sp, sp, -128
	sd	ra, 0(sp)
	sd	t0, 8(sp)
	sd	t1, 16(sp)
	sd	t2, 24(sp)
	sd	t3, 32(sp)
	sd	t4, 40(sp)
	sd	t5, 48(sp)
	sd	t6, 56(sp)
	sd	a0, 64(sp)
	sd	a1, 72(sp)
	sd	a2, 80(sp)
	sd	a3, 88(sp)
	sd	a4, 96(sp)
	sd	a5, 104(sp)
	sd	a6, 112(sp)
	sd	a7, 120(sp)
	csrr	a0, scause
	csrr	a1, sstatus
	csrr	a2, stval
	csrr	a3, sepc
	call	host_trap
	csrw	sepc, a0
	ld	ra, 0(sp)
	ld	t0, 8(sp)
	ld	t1, 16(sp)
	ld	t2, 24(sp)
	ld	t3, 32(sp)
	ld	t4, 40(sp)
	ld	t5, 48(sp)
	ld	t6, 56(sp)
	ld	a0, 64(sp)
	ld	a1, 72(sp)
	ld	a2, 80(sp)
	ld	a3, 88(sp)
	ld	a4, 96(sp)
	ld	a5, 104(sp)
	ld	a6, 112(sp)
	ld	a7, 120(sp)
	addi	sp, sp, 128
	sret

	.globl touch_address, touch_refused
touch_address:
	beqz	a1, 1f
	sd	a2, 0(a0)
	ret
1:	ld	a0, 0(a0)
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
