/* SPDX-License-Identifier: MIT */
/* Boot from PVH (32 bit, no paging) into the high half, the page-fault entry, and one guarded access. One table of 2 MiB leaves maps the first
 * GiB at itself, until main() runs, and at the direct map, which is also where the image is linked. */
#define OFFSET 0xffffffff80000000
#define PHYS(x) ((x) - OFFSET)

	.section .note.pvh, "a", @note
	.long	4, 8, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	PHYS(start)

	.section .text.boot, "ax"
	.code32
	.globl start
start:	mov	$PHYS(pml4), %eax
	mov	%eax, %cr3
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx	/* EFER: LME NXE */
	mov	$0x900, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0x80010001, %eax	/* PG WP PE */
	mov	%eax, %cr0
	lgdt	PHYS(gdt_pointer)
	ljmp	$8, $PHYS(1f)
	.code64
1:	movabs	$2f, %rax
	jmp	*%rax
2:	lgdt	high_gdt_pointer
	mov	$16, %eax
	mov	%eax, %ss
	mov	%eax, %ds
	mov	%eax, %es
	mov	$stack_end, %rsp
	movq	$0, pml4
	mov	%cr3, %rax
	mov	%rax, %cr3
	call	main

	.globl fault_entry
fault_entry:				/* the CPU has pushed ss, rsp, rflags, cs, rip and the error code */
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	mov	$14, %edi
	mov	72(%rsp), %rsi
	mov	%cr2, %rdx
	mov	80(%rsp), %rcx
	cld
	call	trap
	mov	%rax, 80(%rsp)
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$8, %rsp
	iretq

	.globl access, access_resume
access:	test	%sil, %sil
	jnz	1f
	mov	(%rdi), %rax
	ret
1:	mov	%rdx, (%rdi)
	ret
access_resume:
	xor	%eax, %eax
	ret

	.section .data.boot, "aw"
	.balign 8
gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff	/* none, code, data */
gdt_pointer:
	.word	23
	.quad	PHYS(gdt)
high_gdt_pointer:
	.word	23
	.quad	gdt
	.balign 4096
pml4:	.quad	PHYS(pdpt) + 3
	.fill	510, 8, 0
	.quad	PHYS(pdpt) + 3
pdpt:	.quad	PHYS(leaves) + 3
	.fill	509, 8, 0
	.quad	PHYS(leaves) + 3
	.quad	0
leaves:	.set	at, 0
	.rept	512
	.quad	at | 0x83		/* large, writable, present */
	.set	at, at + 0x200000
	.endr

	.section .bss
	.balign 16
	.skip	16384
stack_end:
	.section .note.GNU-stack, "", @progbits
