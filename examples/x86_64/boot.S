/* SPDX-License-Identifier: MIT */
/*
 * boot.S - from PVH's 32-bit entry to start_c() in the high half.
 *
 * Xen's PVH boot ABI (docs/misc/pvh.pandoc; "x86/HVM direct boot ABI"): 32-bit protected mode, paging off,
 * EBX is the physical address of struct hvm_start_info. Tables made here live only until start.c has built
 * the real ones: 1 GiB by 2 MiB leaves, at 0 (this code), at DIRECT_MAP and at KERNEL_BASE. With 5 levels
 * all of the kernel half lies in the last entry of the top table, so that its addresses are the same in
 * both modes.
 */
#define KERNEL_BASE 0xffffffff80000000
#define PHYS(symbol) ((symbol) - KERNEL_BASE)

#define PTE_P 0x1
#define PTE_W 0x2
#define PTE_PS 0x80

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18			/* name length, descriptor length, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad PHYS(boot_entry)

	.section .text.boot, "ax"
	.code32
	.globl boot_entry
boot_entry:
	cld
	cli
	mov $PHYS(boot_stack_end), %esp
	mov %ebx, %ebp

	/* The three upper tables; the middle one maps the first GiB. */
	movl $(PHYS(boot_pdpt) + PTE_P + PTE_W), PHYS(boot_pml4)
	movl $(PHYS(boot_pdpt) + PTE_P + PTE_W), PHYS(boot_pml4 + 256 * 8)
	movl $(PHYS(boot_pdpt) + PTE_P + PTE_W), PHYS(boot_pml4 + 511 * 8)
	movl $(PHYS(boot_pd) + PTE_P + PTE_W), PHYS(boot_pdpt)
	movl $(PHYS(boot_pd) + PTE_P + PTE_W), PHYS(boot_pdpt + 510 * 8)
	movl $(PHYS(boot_pml4) + PTE_P + PTE_W), PHYS(boot_pml5)
	movl $(PHYS(boot_pml4) + PTE_P + PTE_W), PHYS(boot_pml5 + 511 * 8)
	xor %ecx, %ecx
	mov $(PTE_P + PTE_W + PTE_PS), %eax
1:	mov %eax, PHYS(boot_pd)(, %ecx, 8)
	add $0x200000, %eax
	inc %ecx
	cmp $512, %ecx
	jne 1b

	/* CR4: PAE; LA57 (bit 12) if the CPU has it and the command line does not say "paging=4". LA57 can
	 * be changed only while paging is off (SDM vol. 3A 4.1.1), which is why this is decided here. */
	mov $0x20, %esi
	mov $PHYS(boot_pml4), %edi
	xor %eax, %eax
	cpuid
	cmp $7, %eax
	jb 4f
	mov $7, %eax
	xor %ecx, %ecx
	cpuid
	test $(1 << 16), %ecx
	jz 4f
	mov 24(%ebp), %edx		/* hvm_start_info.cmdline_paddr, below 4 GiB */
	test %edx, %edx
	jz 3f
2:	mov (%edx), %eax
	test %al, %al
	jz 3f
	inc %edx
	cmp $0x69676170, %eax		/* "pagi" */
	jne 2b
	cmpl $0x343d676e, 3(%edx)	/* "ng=4" */
	jne 2b
	jmp 4f
3:	or $0x1000, %esi
	mov $PHYS(boot_pml5), %edi
4:	mov %esi, PHYS(boot_cr4)
	mov %edi, PHYS(boot_cr3)

	/* To long mode; another CPU comes here with ESP zero and its number in EBP. */
enter_64:
	mov %esi, %cr4
	mov %edi, %cr3

	/* EFER: long mode and SYSCALL, and NX where it exists: setting the bit elsewhere is #GP. */
	mov $0x80000001, %eax
	cpuid
	mov %edx, %edi
	mov $0xc0000080, %ecx
	rdmsr
	or $0x101, %eax
	test $(1 << 20), %edi
	jz 5f
	or $0x800, %eax
5:	wrmsr
	mov $0x80010033, %eax		/* PG WP NE ET MP PE */
	mov %eax, %cr0
	lgdt PHYS(boot_gdt_pointer)
	ljmp $8, $PHYS(6f)

	.code64
6:	mov $PHYS(7f) + KERNEL_BASE, %rax
	jmp *%rax
7:	xor %eax, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	test %esp, %esp
	jz 8f
	mov $boot_stack_end, %rsp
	mov %ebp, %edi
	xor %ebp, %ebp
	call start_c
	ud2
8:	mov boot_root, %rax		/* the stack is in the kernel's final tables only */
	mov %rax, %cr3
	mov boot_cpu_stacks(, %rbp, 8), %rsp
	mov %ebp, %edi
	xor %ebp, %ebp
	call start_cpu
	ud2

	/*
	 * Where the other CPUs start, in real mode, copied to boot_cpu_page; CS is that page. The boot tables
	 * still map this code and the high half. All of them may be here at the same time.
	 */
	.code16
	.globl boot_cpu, boot_cpu_end
boot_cpu:
	cli
	mov %cs, %ax
	mov %ax, %ds
	lgdtl boot_cpu_gdt_pointer - boot_cpu
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $0x10, $PHYS(boot_cpu_32)
boot_cpu_gdt_pointer:
	.word 31
	.long PHYS(boot_gdt)
boot_cpu_end:

	.code32
boot_cpu_32:
	mov $0x18, %eax
	mov %eax, %ds
	mov %eax, %ss
	cld
	mov $1, %ebp
	lock xadd %ebp, PHYS(boot_cpu_next)
	cmp PHYS(boot_cpu_count), %ebp
	jae 9f
	mov PHYS(boot_cr4), %esi
	mov PHYS(boot_cr3), %edi
	xor %esp, %esp
	jmp enter_64
9:	hlt
	jmp 9b

	.section .rodata.boot, "a"
	.balign 8
boot_gdt:
	.quad 0, 0x00af9b000000ffff	/* 64-bit code */
	.quad 0x00cf9b000000ffff, 0x00cf93000000ffff	/* 32-bit code and data */
boot_gdt_pointer:
	.word 15
	.long PHYS(boot_gdt)

	.data
	.balign 8
	.globl boot_cpu_count
boot_cpu_next:	.long 1			/* the next number to take */
boot_cpu_count:	.long 1

	.section .bss.boot, "aw", @nobits
	.balign 8
	.globl boot_root, boot_cpu_stacks
boot_root:	.skip 8			/* the final tables */
boot_cpu_stacks: .skip 8 * VMEM_MAX_CPUS
boot_cr3:	.skip 4
boot_cr4:	.skip 4
	.balign 4096
boot_pml5:	.skip 4096
boot_pml4:	.skip 4096
boot_pdpt:	.skip 4096
boot_pd:	.skip 4096
	.globl boot_stack, boot_stack_end
boot_stack:	.skip 16384
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
