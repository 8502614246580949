/* SPDX-License-Identifier: MIT */
/*
 * boot.S - from OpenSBI to start_c() in the high half.
 *
 * Supervisor mode, paging off, a0 the hart, a1 the device tree's physical address (Linux,
 * Documentation/riscv/boot.rst). Any hart may be the one that boots; no other runs before it is started.
 *
 * A hart that is started comes to boot_entry as well, and only the first to come boots; the others go by their
 * names. Firmware (OpenSBI 1.1) marks a hart as started before it stores where it shall go and with what: one
 * that is still on its way to where it waits then goes where the first one went, with that one's argument.
 *
 * boot_table is an Sv39 root of 512 leaves of 1 GiB: physical addresses at themselves and at DIRECT_MAP, and
 * the image. It lives until start.c has found the largest paging mode and made the real tables, and serves
 * once more when another hart starts.
 */
#include "dtboot.h"
#include "frame.h"

	.option norelax			/* ld.lld 14 cannot shrink code, which .balign would ask of it */

#define LEAF 0xcf			/* D A X W R V */
#define SATP_SV39 8

	.section .text.boot, "ax"
	.globl boot_entry
boot_entry:
	csrw	sie, zero
	csrw	sscratch, zero
#if VMEM_MAX_CPUS > 1
	lla	t0, boot_taken
	li	t1, 1
	amoswap.w t1, t1, (t0)
	bnez	t1, boot_secondary
#endif
	mv	s1, a1
	mv	s2, a0
	lla	t0, boot_bss
	lla	t1, kernel_end
1:	sd	zero, 0(t0)
	addi	t0, t0, 8
	bltu	t0, t1, 1b
	ld	a1, boot_high
	j	boot_paging
2:	lla	sp, boot_stack_end
	mv	s0, zero
	mv	ra, zero
	mv	a0, s1
	mv	a1, s2
	call	start_c
	ebreak

/* On to a1 in the high half, on boot_table. t0 and t1 are lost. */
boot_paging:
	lla	t0, boot_table
	srli	t0, t0, 12
	li	t1, SATP_SV39
	slli	t1, t1, 60
	or	t0, t0, t1
	sfence.vma
	csrw	satp, t0
	sfence.vma
	jr	a1

#if VMEM_MAX_CPUS > 1
/* Another hart: a0 is its name, of which boot_harts knows the struct port_cpu. */
boot_secondary:
	fence	rw, rw
	lla	t0, boot_harts
1:	ld	t1, 0(t0)
	ld	tp, 8(t0)
	addi	t0, t0, 16
	beqz	tp, 4f
	bne	t1, a0, 1b
	ld	a1, boot_secondary_high
	j	boot_paging
3:	ld	t0, CPU_SATP(tp)
	csrw	satp, t0
	sfence.vma
	ld	sp, CPU_STACK(tp)
	mv	s0, zero
	mv	ra, zero
	call	start_secondary
	ebreak
4:	wfi				/* nobody has started it */
	j	4b
#endif
	.balign 8
boot_high:
	.quad	2b
#if VMEM_MAX_CPUS > 1
boot_secondary_high:
	.quad	3b
#endif

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

#if VMEM_MAX_CPUS > 1
	/* Not among what the first hart clears: pairs of a hart's name and its record's address, 0 behind them. */
	.globl boot_harts
boot_harts:
	.fill	2 * VMEM_MAX_CPUS, 8, 0
boot_taken:
	.word	0
	.balign	8
#endif

	.section .bss.boot, "aw", @nobits
	.balign 4096
	.globl boot_stack, boot_stack_end
boot_stack:	.skip 16384
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
