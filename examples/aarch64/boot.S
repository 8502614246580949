/* SPDX-License-Identifier: MIT */
/*
 * boot.S - from the boot loader to start_c() in the high half.
 *
 * The image is a Linux Image (Linux, Documentation/arm64/booting.rst): QEMU then hands over the device tree
 * in x0 and loads the archive. As an ELF file it starts too, with x0 = 0 and the tree at the start of RAM,
 * but without an archive.
 *
 * boot_table is 512 leaves of 1 GiB and serves both halves at 39 bits (T0SZ = T1SZ = 25, so that the walk
 * starts at level 1): physical addresses at themselves and at DIRECT_MAP, and the image. It lives until
 * start.c has made the real tables; the low half of it serves once more when another CPU starts. Its leaves
 * keep SH = 0: with TCR_EL1.DS these bits are address bits, and boot_switch() sets DS while the table is live
 * (DDI 0487, D8.3).
 */
#include "dtboot.h"
#include "frame.h"

#define IMAGE_OFFSET (IMAGE_BASE - 0x40000000)
#define LEAF_NORMAL 0x401		/* AF, AttrIndx 0, block */
#define LEAF_DEVICE (0x40d | 3 << 53)	/* AF, AttrIndx 3, PXN and UXN, block */

#define SCTLR_RES1 0x30d00800 /* EOS, TSCXT, EIS, SPAN, nTLSMD, LSMAOE: DDI 0487, SCTLR_EL1 */
#define SCTLR_OFF SCTLR_RES1
/* + M, C, SA, SA0, I, DZE, UCT, nTWI, nTWE, UCI */
#define SCTLR_ON (SCTLR_RES1 | 0x0405d01d)
/* Attr0 write-back, 1 write-through, 2 non-cacheable, 3 device nGnRE */
#define MAIR 0x0444bbff
/* T0SZ = T1SZ = 25; walks inner shareable and write-back; 4 KiB granules; IPS 40 bits */
#define TCR (25 | 25 << 16 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 24 | 1 << 26 | 3 << 28 | 2 << 30 | 2 << 32)

	.section .text.boot, "ax"
	.globl boot_entry
boot_entry:
	b	boot_start
	.long	0
	.quad	0			/* text offset from a 2 MiB boundary */
	.quad	boot_image_size
	.quad	2			/* flags: little endian, 4 KiB pages, near the start of RAM */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

boot_start:
	mov	x20, x0
	bl	boot_drop
	adrp	x1, boot_bss
	add	x1, x1, :lo12:boot_bss
	adrp	x2, kernel_end
1:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	1b

	ldr	x1, =MAIR
	msr	mair_el1, x1
	ldr	x1, =TCR
	msr	tcr_el1, x1
	adrp	x1, boot_table
	msr	ttbr0_el1, x1
	msr	ttbr1_el1, x1
	tlbi	vmalle1
	dsb	nsh
	isb
	ldr	x1, =SCTLR_ON
	msr	sctlr_el1, x1
	isb
	ldr	x1, =2f
	br	x1
2:	adrp	x1, boot_stack_end
	mov	sp, x1
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, x20
	bl	start_c
	brk	#0
	.ltorg

/* Returns at EL1 with the MMU off, from EL1 or EL2. Keeps x20. */
boot_drop:
	mrs	x1, CurrentEL
	cmp	x1, #2 << 2
	b.eq	1f
	ret

1:	/* EL2: leave EL1 alone with the machine, and drop to it. */
	mov	x1, #1 << 31		/* RW: EL1 is AArch64 */
	msr	hcr_el2, x1
	mov	x1, #3			/* EL1 may use the physical timer */
	msr	cnthctl_el2, x1
	msr	cntvoff_el2, xzr
	mov	x1, #0x33ff		/* no traps of FP and SIMD; RES1 */
	msr	cptr_el2, x1
	msr	hstr_el2, xzr
	msr	vttbr_el2, xzr
	mrs	x1, pmcr_el0		/* all PMU counters belong to EL1 */
	ubfx	x1, x1, #11, #5
	msr	mdcr_el2, x1
	mrs	x1, midr_el1
	msr	vpidr_el2, x1
	mrs	x1, mpidr_el1
	msr	vmpidr_el2, x1
	mrs	x1, id_aa64pfr0_el1
	ubfx	x1, x1, #24, #4
	cbz	x1, 2f			/* no system registers for the interrupt controller */
	mov	x1, #0xf		/* SRE, and EL1 may use it */
	msr	S3_4_C12_C9_5, x1	/* ICC_SRE_EL2 */
	isb
	msr	S3_4_C12_C11_0, xzr	/* ICH_HCR_EL2 */
2:	ldr	x1, =SCTLR_OFF
	msr	sctlr_el1, x1
	mov	x1, #0x3c5		/* EL1h, all masked */
	msr	spsr_el2, x1
	msr	elr_el2, x30
	eret
	.ltorg

#if VMEM_MAX_CPUS > 1
/*
 * Where firmware starts another CPU: the MMU off, x0 the physical address of its struct port_cpu. The kernel
 * half is the real one at once; the identity half of boot_table carries the CPU over the moment when the MMU
 * comes on.
 */
	.globl boot_secondary
boot_secondary:
	mov	x20, x0
	bl	boot_drop
	ldr	x1, =MAIR
	msr	mair_el1, x1
	ldp	x1, x2, [x20, #CPU_TTBR1]
	msr	ttbr1_el1, x1
	msr	tcr_el1, x2
	adrp	x1, boot_table
	msr	ttbr0_el1, x1
	tlbi	vmalle1
	dsb	nsh
	isb
	ldr	x1, =SCTLR_ON
	msr	sctlr_el1, x1
	isb
	ldr	x1, =1f
	br	x1
1:	ldr	x1, =IMAGE_OFFSET
	add	x0, x20, x1
	ldr	x1, [x0, #CPU_STACK]
	mov	sp, x1
	mov	x29, xzr
	mov	x30, xzr
	bl	start_secondary
	brk	#0
	.ltorg
#endif

/*
 * void boot_switch(uint64_t ttbr1, uint64_t tcr): another kernel root of another shape. A root and the size
 * of its half cannot change at once, so this runs from the low half with the MMU off in between; T0SZ must
 * stay as it is.
 */
	.globl boot_switch
boot_switch:
	ldr	x3, =IMAGE_OFFSET
	adr	x2, 1f
	sub	x2, x2, x3
	br	x2
1:	mrs	x3, sctlr_el1
	bic	x4, x3, #1
	msr	sctlr_el1, x4
	isb
	msr	ttbr1_el1, x0
	msr	tcr_el1, x1
	isb
	tlbi	vmalle1
	dsb	nsh
	isb
	msr	sctlr_el1, x3
	isb
	ret
	.ltorg

	.section .data.boot, "aw"
	.balign 4096
	.globl boot_table
boot_table:
	.set	gib, 0
	.rept	128			/* 0: identity. The first GiB is devices. */
	.if	gib
	.quad	gib << 30 | LEAF_NORMAL
	.else
	.quad	LEAF_DEVICE
	.endif
	.set	gib, gib + 1
	.endr
	.fill	128, 8, 0
	.set	gib, 0
	.rept	128			/* 256: the direct map */
	.if	gib
	.quad	gib << 30 | LEAF_NORMAL
	.else
	.quad	LEAF_DEVICE
	.endif
	.set	gib, gib + 1
	.endr
	.fill	126, 8, 0
	.quad	1 << 30 | LEAF_NORMAL	/* 510: the image */
	.quad	0

	.section .bss.boot, "aw", %nobits
	.balign 4096
	.globl boot_stack, boot_stack_end
boot_stack:	.skip 16384
boot_stack_end:
	.section .note.GNU-stack, "", %progbits
