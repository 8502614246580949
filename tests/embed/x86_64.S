/* SPDX-License-Identifier: MIT */
/* PVH entry, long mode, the page-fault gate. The boot's tables map the first GiB twice and live until tables_build(). */
#define LINK 0xffffffff80000000
#define LOW(x) ((x) - LINK)

	.section .note.pvh, "a", @note
	.long	4, 8, 18
	.asciz	"Xen"
	.quad	LOW(entry)

	.section .text.entry, "ax"
	.code32
	.globl entry
entry:	mov	$LOW(gib), %edi			/* 512 large leaves */
	mov	$0x83, %eax
1:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	cmp	$LOW(gib) + 4096, %edi
	jne	1b
	movl	$LOW(gib) + 3, LOW(middle)
	movl	$LOW(gib) + 3, LOW(middle) + 8 * 510
	movl	$LOW(middle) + 3, LOW(top)
	movl	$LOW(middle) + 3, LOW(top) + 8 * 511
	mov	%cr4, %eax
	or	$0xa0, %eax			/* PAE PGE */
	mov	%eax, %cr4
	mov	$LOW(top), %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x900, %eax			/* LME NXE */
	wrmsr
	mov	%cr0, %eax
	or	$0x80010001, %eax
	mov	%eax, %cr0
	lgdt	LOW(boot_gdt)
	ljmp	$8, $LOW(long_mode)
	.code64
long_mode:
	movabs	$high, %rax
	jmp	*%rax
high:	lgdt	high_gdt
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$boot_stack_end, %rsp
	xor	%ebp, %ebp
	call	host_main

	.text
	.globl page_fault
page_fault:
	.irp	register, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
	push	%\register
	.endr
	cld
	mov	$14, %edi
	mov	9 * 8(%rsp), %rsi
	mov	%cr2, %rdx
	mov	10 * 8(%rsp), %rcx
	call	host_trap
	mov	%rax, 10 * 8(%rsp)
	.irp	register, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
	pop	%\register
	.endr
	add	$8, %rsp
	iretq

	.globl touch_address, touch_refused
touch_address:
	test	%esi, %esi
	jz	1f
	mov	%rdx, (%rdi)
	ret
1:	mov	(%rdi), %rax
	ret
touch_refused:
	ret

	.data
	.balign	8
descriptors:
	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt:
	.word	23
	.long	LOW(descriptors), 0
high_gdt:
	.word	23
	.quad	descriptors

	.bss
	.balign	4096
top:	.skip	4096
middle:	.skip	4096
gib:	.skip	4096
	.skip	16384
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
