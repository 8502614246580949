/* SPDX-License-Identifier: MIT */
/*
 * raw.c - entries made from the manuals by hand, and the page tables that a boot leaves. The manuals: see
 * the head of each mmu_*.c.
 */
#include "raw.h"

#include "internal.h"

#define BIT(n) (UINT64_C(1) << (n))

static enum machine_isa isa(void)
{
	return machine_now->config.isa;
}

static uint64_t arm_address(uint64_t pa)
{
	return (pa & low_mask(50)) | (pa >> 50 & 3) << 8;
}

uint64_t raw_table(uint64_t table, bool user)
{
	switch (isa()) {
	case MACHINE_X86_64: /* P, RW, A */
		return table | BIT(0) | BIT(1) | BIT(5) | (user ? BIT(2) : 0);
	case MACHINE_AARCH64:
		return arm_address(table) | 3;
	case MACHINE_RISCV:
		break;
	}
	return table >> 2 | 1;
}

static uint64_t x86_leaf(uint64_t pa, unsigned level, unsigned flags, enum machine_type type)
{
	static const uint8_t pat[] = {[MACHINE_WB] = 0, [MACHINE_WT] = 1, [MACHINE_WC] = 5, [MACHINE_UC] = 3};
	uint64_t e = pa | BIT(0) | (uint64_t)(pat[type] & 3) << 3;
	e |= (pat[type] & 4) != 0 ? (level == 0 ? BIT(7) : BIT(12)) : 0;
	e |= level != 0 ? BIT(7) : 0;
	e |= (flags & RAW_W) != 0 ? BIT(1) : 0;
	e |= (flags & RAW_USER) != 0 ? BIT(2) : 0;
	e |= (flags & RAW_ACCESSED) != 0 ? BIT(5) : 0;
	e |= (flags & RAW_DIRTY) != 0 ? BIT(6) : 0;
	e |= (flags & RAW_GLOBAL) != 0 ? BIT(8) : 0;
	return e | ((flags & RAW_X) != 0 || (machine_now->config.features & MACHINE_NX) == 0 ? 0 : BIT(63));
}

static uint64_t arm_leaf(uint64_t pa, unsigned level, unsigned flags, enum machine_type type)
{
	static const uint8_t index[] = {
	    [MACHINE_WB] = 0, [MACHINE_WT] = 3, [MACHINE_WC] = 2, [MACHINE_UC] = 1};
	bool lpa2 = (machine_now->config.features & MACHINE_LPA2) != 0;
	bool user = (flags & RAW_USER) != 0;
	uint64_t e = arm_address(pa) | 1 | (level == 0 ? BIT(1) : 0) | (uint64_t)index[type] << 2;
	e |= lpa2 ? 0 : UINT64_C(3) << 8;
	e |= user ? BIT(6) | BIT(53) : BIT(54);
	e |= (flags & RAW_X) != 0 ? 0 : BIT(53) | BIT(54);
	e |= (flags & RAW_ACCESSED) != 0 ? BIT(10) : 0;
	e |= (flags & RAW_GLOBAL) != 0 ? 0 : BIT(11);
	e |= (flags & RAW_RUN) != 0 ? BIT(52) : 0;
	if ((flags & RAW_W) == 0) {
		return e | BIT(7);
	}
	return e | ((flags & RAW_DIRTY) != 0 ? BIT(51) : BIT(51) | BIT(7));
}

static uint64_t riscv_leaf(uint64_t pa, unsigned flags, enum machine_type type)
{
	static const uint8_t pbmt[] = {
	    [MACHINE_WB] = 0, [MACHINE_WT] = 2, [MACHINE_WC] = 1, [MACHINE_UC] = 2};
	uint64_t e = pa >> 2 | 1 | (uint64_t)(machine_is_ram(pa) ? pbmt[type] : 0) << 61;
	if ((flags & RAW_RUN) != 0) {
		e = (e & ~(UINT64_C(15) << 10)) | UINT64_C(8) << 10 | BIT(63);
	}
	e |= (uint64_t)(flags & (RAW_R | RAW_W | RAW_X)) << 1;
	e |= (flags & RAW_USER) != 0 ? BIT(4) : 0;
	e |= (flags & RAW_GLOBAL) != 0 ? BIT(5) : 0;
	e |= (flags & RAW_ACCESSED) != 0 ? BIT(6) : 0;
	return e | ((flags & RAW_DIRTY) != 0 ? BIT(7) : 0);
}

uint64_t raw_leaf(uint64_t pa, unsigned level, unsigned flags, enum machine_type type)
{
	switch (isa()) {
	case MACHINE_X86_64:
		return x86_leaf(pa, level, flags, type);
	case MACHINE_AARCH64:
		return arm_leaf(pa, level, flags, type);
	case MACHINE_RISCV:
		break;
	}
	return riscv_leaf(pa, flags, type);
}

uint64_t *raw_slot(uint64_t root, uint64_t va, unsigned level)
{
	uint64_t table = root;
	struct walk w = {.kind = MMU_TABLE};
	for (unsigned l = machine_now->config.levels - 1;; l--) {
		machine_fetch(table, va, l, &w);
		if (l == level) {
			return machine_entry(w.at);
		}
		if (w.kind == MMU_INVALID) {
			*machine_entry(w.at) = raw_table(machine_page(), (va >> 63) == 0);
			machine_fetch(table, va, l, &w);
		}
		table = w.entry.pa;
	}
}

uint64_t *raw_map(uint64_t root, uint64_t va, uint64_t pa, unsigned level, unsigned flags)
{
	uint64_t *slot = raw_slot(root, va, level);
	*slot = raw_leaf(pa, level, flags, MACHINE_WB);
	return slot;
}

void raw_switch(unsigned cpu, uint64_t root, uint32_t asid)
{
	switch (isa()) {
	case MACHINE_X86_64:
		x86_write_cr3(cpu, root | asid | ((x86_read_cr4(cpu) & X86_CR4_PCIDE) != 0 ? BIT(63) : 0));
		break;
	case MACHINE_AARCH64:
		arm_write_ttbr0(cpu, (root & low_mask(48)) | (root >> 48 & 15) << 2 | (uint64_t)asid << 48);
		break;
	case MACHINE_RISCV:
		riscv_write_satp(cpu,
		    root >> 12 | (uint64_t)asid << 44 | (uint64_t)(machine_now->config.levels + 5) << 60);
		break;
	}
}

void raw_set_up(unsigned cpu)
{
	uint64_t marks = (machine_now->config.features & MACHINE_HW_MARKS) != 0 ? ARM_TCR_HA | ARM_TCR_HD : 0;
	switch (isa()) {
	case MACHINE_X86_64:
		x86_write_pat(cpu, UINT64_C(0x0007010600070406));
		x86_write_cr0(cpu, x86_read_cr0(cpu) | X86_CR0_WP);
		x86_write_cr4(cpu, x86_read_cr4(cpu) | X86_CR4_PGE |
				       (machine_now->config.asid_bits != 0 ? X86_CR4_PCIDE : 0));
		break;
	case MACHINE_AARCH64:
		marks |= machine_now->config.asid_bits == 16 ? ARM_TCR_AS : 0;
		arm_write_ttbr0(cpu, arm_read_ttbr1(cpu)); /* any table will do until raw_switch() */
		arm_write_tcr(cpu, (arm_read_tcr(cpu) & ~ARM_TCR_EPD0) | marks);
		break;
	case MACHINE_RISCV:
		break;
	}
}

void raw_flush_page(unsigned cpu, uint64_t va)
{
	uint32_t asid = machine_asid(cpu);
	switch (isa()) {
	case MACHINE_X86_64:
		x86_invlpg(cpu, va);
		break;
	case MACHINE_AARCH64:
		arm_tlbi(cpu, ARM_TLBI_VALE1, true, (va >> 12 & low_mask(44)) | (uint64_t)asid << 48);
		arm_dsb(cpu, true);
		break;
	case MACHINE_RISCV:
		riscv_sfence_vma(cpu, va, asid);
		break;
	}
}

void raw_flush_all(unsigned cpu)
{
	switch (isa()) {
	case MACHINE_X86_64:
		x86_write_cr4(cpu, x86_read_cr4(cpu) ^ X86_CR4_PGE);
		x86_write_cr4(cpu, x86_read_cr4(cpu) ^ X86_CR4_PGE);
		break;
	case MACHINE_AARCH64:
		arm_tlbi(cpu, ARM_TLBI_VMALLE1, false, 0);
		arm_dsb(cpu, false);
		break;
	case MACHINE_RISCV:
		riscv_sfence_vma(cpu, RISCV_ANY, RISCV_ANY);
		break;
	}
}

/* The boot. */

uint64_t machine_empty_table(void)
{
	return machine_now->empty_table;
}

uint64_t machine_linear(uint64_t pa)
{
	return pa + machine_now->linear;
}

static void map_linear(uint64_t root, const struct machine_range *range, unsigned level)
{
	uint64_t end = range->start + range->length;
	unsigned flags =
	    RAW_R | RAW_W | RAW_ACCESSED | RAW_DIRTY | (machine_now->mmu->split_roots ? RAW_GLOBAL : 0);
	for (uint64_t pa = range->start; pa < end;) {
		unsigned l = level;
		while (((pa | machine_linear(pa)) & low_mask(level_shift(l))) != 0 ||
		       end - pa < UINT64_C(1) << level_shift(l)) {
			l--;
		}
		raw_map(root, machine_linear(pa), pa, l, flags);
		pa += UINT64_C(1) << level_shift(l);
	}
}

void machine_boot(unsigned linear_level)
{
	struct machine *m = machine_now;
	uint64_t root = machine_page();
	uint64_t last = m->base + m->span + machine_direct_map();
	m->kernel_root = root;
	m->empty_table = machine_page();
	m->linear = machine_direct_map() + (m->mmu->split_roots ? ~low_mask(m->va_bits) : 0);
	if (last >> (m->va_bits - 1) != 0) {
		m->linear = 0; /* the build machine gave no room that this paging mode reaches */
	}
	for (unsigned i = 0; i < m->config.ram_count && m->linear != 0; i++) {
		map_linear(root, &m->config.ram[i], linear_level);
	}
	for (unsigned i = 0; i < m->config.cpus; i++) {
		if (!m->mmu->split_roots) {
			raw_switch(i, root, 0);
		}
	}
	machine_counters = (struct machine_counters){0};
}

struct machine_range machine_kernel_area(void)
{
	uint64_t length = UINT64_C(8) << 30;
	return (struct machine_range){(uint64_t)0 - 2 * length, length};
}
