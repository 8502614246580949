/* SPDX-License-Identifier: MIT */
/*
 * frame.h - offsets that the assembly shares with the structures of port_isa.h; trap.c asserts that they
 * agree.
 */
#ifndef RISCV_FRAME_H
#define RISCV_FRAME_H

/* struct port_frame: register xN at 8 * N; x0's place holds the pc. */
#define FRAME_PC 0
#define FRAME_X(n) (8 * (n))
#define FRAME_STATUS 256
#define FRAME_CPU 264
#define FRAME_SIZE 272

/* struct port_thread */
#define THREAD_S(n) (8 * (n))
#define THREAD_RA 96
#define THREAD_SP 104
#define THREAD_STACK_TOP 112
#define THREAD_USER_PC 120
#define THREAD_USER_GP 128
#define THREAD_USER_TP 136
#define THREAD_FP 144
#define THREAD_CPU 152

/* struct port_cpu */
#define CPU_TRAP_STACK 0
#define CPU_STACK 8
#define CPU_SATP 16
#define CPU_ATTENTION 40

/* The area of the FP state: f0 to f31, then fcsr. */
#define FP_F(n) (8 * (n))
#define FP_FCSR 256

#endif
