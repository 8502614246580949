/* SPDX-License-Identifier: MIT */
/*
 * boot.S - from OpenSBI to start_c() in the high half.
 *
 * Supervisor mode, paging off, a0 the hart, a1 the device tree's physical address (Linux,
 * Documentation/riscv/boot.rst). Any hart may be the one that boots; no other runs.
 *
 * boot_table is an Sv39 root of 512 leaves of 1 GiB: physical addresses at themselves and at DIRECT_MAP, and
 * the image. It lives until start.c has found the largest paging mode and made the real tables.
 */
#include "dtboot.h"

	.option norelax			/* ld.lld 14 cannot shrink code, which .balign would ask of it */

#define LEAF 0xcf			/* D A X W R V */
#define SATP_SV39 8

	.section .text.boot, "ax"
	.globl boot_entry
boot_entry:
	csrw	sie, zero
	csrw	sscratch, zero
	mv	s1, a1
	lla	t0, boot_bss
	lla	t1, kernel_end
1:	sd	zero, 0(t0)
	addi	t0, t0, 8
	bltu	t0, t1, 1b
	lla	t0, boot_table
	srli	t0, t0, 12
	li	t1, SATP_SV39
	slli	t1, t1, 60
	or	t0, t0, t1
	sfence.vma
	csrw	satp, t0
	sfence.vma
	ld	t0, boot_high
	jr	t0
2:	lla	sp, boot_stack_end
	mv	s0, zero
	mv	ra, zero
	mv	a0, s1
	call	start_c
	ebreak
	.balign 8
boot_high:
	.quad	2b

	.section .data.boot, "aw"
	.balign 4096
	.globl boot_table
boot_table:
	.set	gib, 0
	.rept	128			/* 0: identity */
	.quad	gib << 28 | LEAF
	.set	gib, gib + 1
	.endr
	.fill	128, 8, 0
	.set	gib, 0
	.rept	128			/* 256: the direct map */
	.quad	gib << 28 | LEAF
	.set	gib, gib + 1
	.endr
	.fill	126, 8, 0
	.quad	2 << 28 | LEAF		/* 510: the image */
	.quad	0

	.section .bss.boot, "aw", @nobits
	.balign 4096
	.globl boot_stack, boot_stack_end
boot_stack:	.skip 16384
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
