/* SPDX-License-Identifier: MIT */
/*
 * insn.h - the instructions that mmu.c is made of, one function each and nothing decided here: a test puts
 * a model of the hart in their place. Svinval's are spelt as numbers: an assembler for the base ISA does
 * not know them.
 */
#ifndef VMEM_ARCH_INSN_H
#define VMEM_ARCH_INSN_H

#define INSN_PLAIN(name, text)                                                                               \
	static inline void insn_##name(void)                                                                 \
	{                                                                                                    \
		__asm__ volatile(text : : : "memory");                                                       \
	}
#define INSN_ONE(name, text)                                                                                 \
	static inline void insn_##name(uint64_t a)                                                           \
	{                                                                                                    \
		__asm__ volatile(text : : "r"(a) : "memory");                                                \
	}
#define INSN_TWO(name, text)                                                                                 \
	static inline void insn_##name(uint64_t a, uint64_t b)                                               \
	{                                                                                                    \
		__asm__ volatile(text : : "r"(a), "r"(b) : "memory");                                        \
	}

INSN_ONE(write_satp, "csrw satp, %0")
INSN_PLAIN(sfence_all, "sfence.vma x0, x0")
INSN_ONE(sfence_id, "sfence.vma x0, %0")
INSN_ONE(sfence_address, "sfence.vma %0, x0")
INSN_TWO(sfence_address_id, "sfence.vma %0, %1")
INSN_PLAIN(sfence_w_inval, ".4byte 0x18000073")
INSN_ONE(sinval_address, ".insn r 0x73, 0, 0x0b, x0, %0, x0")
INSN_TWO(sinval_address_id, ".insn r 0x73, 0, 0x0b, x0, %0, %1")
INSN_PLAIN(sfence_inval_ir, ".4byte 0x18100073")
INSN_PLAIN(fence_rw, "fence rw, rw")
INSN_PLAIN(fence_iorw, "fence iorw, iorw")
INSN_PLAIN(fence_i, "fence.i")
/* Zihintpause; a fence of nothing elsewhere */
INSN_PLAIN(pause, ".4byte 0x0100000f")

static inline uint64_t insn_read_satp(void)
{
	uint64_t value;

	__asm__ volatile("csrr %0, satp" : "=r"(value) : : "memory");
	return value;
}

static inline void insn_clear_256(void *to)
{
	__asm__ volatile(".irp at, 0, 64, 128, 192\n\t"
			 "sd zero, \\at(%0)\n\tsd zero, \\at+8(%0)\n\t"
			 "sd zero, \\at+16(%0)\n\tsd zero, \\at+24(%0)\n\t"
			 "sd zero, \\at+32(%0)\n\tsd zero, \\at+40(%0)\n\t"
			 "sd zero, \\at+48(%0)\n\tsd zero, \\at+56(%0)\n\t"
			 ".endr"
			 :
			 : "r"(to)
			 : "memory");
}

static inline void insn_copy_128(void *to, const void *from)
{
	__asm__ volatile(".irp at, 0, 64\n\t"
			 "ld t0, \\at(%0)\n\tld t1, \\at+8(%0)\n\t"
			 "ld t2, \\at+16(%0)\n\tld t3, \\at+24(%0)\n\t"
			 "ld t4, \\at+32(%0)\n\tld t5, \\at+40(%0)\n\t"
			 "ld t6, \\at+48(%0)\n\tld a7, \\at+56(%0)\n\t"
			 "sd t0, \\at(%1)\n\tsd t1, \\at+8(%1)\n\t"
			 "sd t2, \\at+16(%1)\n\tsd t3, \\at+24(%1)\n\t"
			 "sd t4, \\at+32(%1)\n\tsd t5, \\at+40(%1)\n\t"
			 "sd t6, \\at+48(%1)\n\tsd a7, \\at+56(%1)\n\t"
			 ".endr"
			 :
			 : "r"(from), "r"(to)
			 : "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a7", "memory");
}

#endif
