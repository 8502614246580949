/* SPDX-License-Identifier: MIT */
/*
 * effects_riscv.c - src/arch/riscv/mmu.c on the machine.
 *
 * FENCE.I names no address: what it makes fetch see is taken from the range that vmem_arch_icache_sync()
 * was called with, which is less than a hart does.
 */
#include "effects.h"

#define VMEM_ARCH_INSN_H /* this is it */

const enum machine_isa glue_isa = MACHINE_RISCV;

static inline uint64_t insn_read_satp(void)
{
	return riscv_read_satp(machine_cpu());
}

static inline void insn_write_satp(uint64_t value)
{
	riscv_write_satp(machine_cpu(), value);
}

static inline void insn_sfence_all(void)
{
	riscv_sfence_vma(machine_cpu(), RISCV_ANY, RISCV_ANY);
}

static inline void insn_sfence_id(uint64_t id)
{
	riscv_sfence_vma(machine_cpu(), RISCV_ANY, id);
}

static inline void insn_sfence_address(uint64_t va)
{
	riscv_sfence_vma(machine_cpu(), va, RISCV_ANY);
}

static inline void insn_sfence_address_id(uint64_t va, uint64_t id)
{
	riscv_sfence_vma(machine_cpu(), va, id);
}

static inline void insn_sfence_w_inval(void)
{
	riscv_sfence_w_inval(machine_cpu());
}

static inline void insn_sinval_address(uint64_t va)
{
	riscv_sinval_vma(machine_cpu(), va, RISCV_ANY);
}

static inline void insn_sinval_address_id(uint64_t va, uint64_t id)
{
	riscv_sinval_vma(machine_cpu(), va, id);
}

static inline void insn_sfence_inval_ir(void)
{
	riscv_sfence_inval_ir(machine_cpu());
}

static inline void insn_fence_rw(void)
{
}

static inline void insn_fence_iorw(void)
{
	machine_cleaned();
}

static inline void insn_fence_i(void)
{
	machine_fetch_sync(machine_cpu(), glue_fetch_start, glue_fetch_end - glue_fetch_start);
}

static inline void insn_clear_256(void *to)
{
	memset(to, 0, 256);
}

static inline void insn_copy_128(void *to, const void *from)
{
	memcpy(to, from, 128);
}

#include "mmu.c"
