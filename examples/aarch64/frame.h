/* SPDX-License-Identifier: MIT */
/*
 * frame.h - offsets that the assembly shares with the structures of port_isa.h; trap.c asserts that they
 * agree.
 */
#ifndef AARCH64_FRAME_H
#define AARCH64_FRAME_H

/* struct port_frame */
#define FRAME_X(n) (8 * (n))
#define FRAME_SP 248
#define FRAME_PC 256
#define FRAME_PSTATE 264
#define FRAME_SIZE 272

/* struct port_thread */
#define THREAD_X19 0
#define THREAD_X29 80
#define THREAD_X30 88
#define THREAD_SP 96
#define THREAD_STACK_TOP 104
#define THREAD_USER_SP 112
#define THREAD_USER_PC 120
#define THREAD_USER_PSTATE 128
#define THREAD_USER_TLS 136
#define THREAD_FP 144

/* struct port_cpu */
#define CPU_TRAP_STACK 0
#define CPU_STACK 8
#define CPU_TTBR1 16
#define CPU_TCR 24
#define CPU_ATTENTION 36

/* The area of the FP and vector state. */
#define FP_FPSR 512
#define FP_FPCR 520

#endif
