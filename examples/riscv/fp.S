/* SPDX-License-Identifier: MIT */
/*
 * fp.S - the floating-point registers at a thread switch. A file of its own: nothing else of the kernel may
 * use the D extension.
 */
#include "frame.h"

	.option norelax			/* ld.lld 14 cannot shrink code, which .balign would ask of it */

/* Control and status registers are an extension of their own to GNU as, and none to the LLVM of today. */
#ifdef __clang__
	.attribute arch, "rv64imafdc"
#else
	.attribute arch, "rv64imafdc_zicsr_zifencei"
#endif

#define STATUS_FS (3 << 13)
#define STATUS_FS_CLEAN (2 << 13)

	.text
	/* Into the area at a0; t1 is lost. */
	.macro save_fp
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	fsd	f\n, FP_F(\n)(a0)
	.endr
	.irp	n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fsd	f\n, FP_F(\n)(a0)
	.endr
	frcsr	t1
	sd	t1, FP_FCSR(a0)
	.endm

	/* void fp_save(void *area): of a thread that has been in user mode, so FS is not "off". */
	.globl fp_save
fp_save:
	save_fp
	ret

	/* From the area at a1; t1 is lost. */
	.macro load_fp
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	fld	f\n, FP_F(\n)(a1)
	.endr
	.irp	n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fld	f\n, FP_F(\n)(a1)
	.endr
	ld	t1, FP_FCSR(a1)
	fscsr	t1
	.endm

	/* void fp_load(const void *area): FS is "dirty" afterwards, since this is not what the thread's own area
	 * holds. */
	.globl fp_load
fp_load:
	mv	a1, a0
	li	t0, STATUS_FS
	csrs	sstatus, t0
	load_fp
	ret

	/* fp_switch(void *from, void *to): either may be NULL. After the load FS is "clean": the hardware
	 * makes it "dirty" at the first write (privileged specification, "Extension Context Status in mstatus
	 * Register"). */
	.globl fp_switch
fp_switch:
	li	t0, STATUS_FS
	csrr	t1, sstatus
	and	t1, t1, t0
	bne	t1, t0, 1f		/* not dirty: what is in memory still holds */
	beqz	a0, 1f
	save_fp
1:	beqz	a1, 2f
	csrs	sstatus, t0
	load_fp
	csrc	sstatus, t0
	li	t0, STATUS_FS_CLEAN
	csrs	sstatus, t0
2:	ret
	.section .note.GNU-stack, "", @progbits
