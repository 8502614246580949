/* SPDX-License-Identifier: MIT */
/*
 * glue.c - the effects of src/vm/arch.h and the host interface, on the software machine.
 *
 * The effects choose instructions as src/arch/<isa>/mmu.c does, and for its reasons; the comments there say
 * why. The machine knows only instructions. Nothing else of the tests sees both sides.
 *
 * Every effect ends with machine_effect(): a speculating CPU fills its TLB there.
 */
#include "arch.h"

#include <string.h>
#include <vmem/host.h>
#include <vmem/init.h>

#include "machine.h"

static bool has(uint32_t feature)
{
	return (machine_config()->features & feature) != 0;
}

/* Probing. */

static uint32_t probe_x86(struct vmem_mmu *out)
{
	out->leaf_levels = has(MACHINE_LEAF_1G) ? 7 : 3;
	return MMU_HW_DIRTY | MMU_LIVE_SPLIT | (has(MACHINE_NX) ? (uint32_t)MMU_NX : 0);
}

static uint32_t probe_arm(struct vmem_mmu *out)
{
	uint32_t features = MMU_SPLIT_ROOTS | MMU_BROADCAST | MMU_NX;
	out->va_bits = machine_config()->levels == 5 ? 52 : 48;
#ifdef ARCH_HOST_ATTR_SHIFT
	/*
	 * What MAIR bytes 0 to 3 of the boot (raw_attributes) mean: write-back, device, non-cacheable,
	 * write-through.
	 */
	features |= ((uint32_t)VMEM_UNCACHED << 2 | (uint32_t)VMEM_WRITE_COMBINING << 4 |
			(uint32_t)VMEM_WRITE_THROUGH << 6)
		    << ARCH_HOST_ATTR_SHIFT;
#endif
#ifdef ARCH_FEATURE_LPA2
	features |= has(MACHINE_LPA2) ? ARCH_FEATURE_LPA2 : 0;
#endif
	features |= has(MACHINE_LIVE_SPLIT) ? (uint32_t)MMU_LIVE_SPLIT : 0;
	return features | (has(MACHINE_HW_MARKS) ? (uint32_t)MMU_HW_DIRTY : 0);
}

static uint32_t probe_riscv(struct vmem_mmu *out, uint32_t isa_features)
{
	uint32_t features = MMU_CACHES_INVALID | MMU_LIVE_SPLIT | MMU_NX;
	out->cache_types = (isa_features & VMEM_RISCV_SVPBMT) != 0
			       ? 1u << VMEM_WRITE_BACK | 1u << VMEM_WRITE_COMBINING | 1u << VMEM_UNCACHED
			       : 1u << VMEM_WRITE_BACK;
	out->leaf_levels = (uint8_t)((1u << machine_config()->levels) - 1) & 7;
#ifdef ARCH_FEATURE_SVPBMT
	features |= (isa_features & VMEM_RISCV_SVPBMT) != 0 ? ARCH_FEATURE_SVPBMT : 0;
	features |= (isa_features & VMEM_RISCV_SVNAPOT) != 0 ? ARCH_FEATURE_SVNAPOT : 0;
#endif
	return features | ((isa_features & VMEM_RISCV_SVADU) != 0 ? (uint32_t)MMU_HW_DIRTY : 0);
}

void vmem_arch_probe(struct vmem_mmu *out, uint32_t isa_features)
{
	const struct machine_config *c = machine_config();
	*out = (struct vmem_mmu){
	    .levels = (uint8_t)c->levels,
	    .va_bits = (uint8_t)(12 + 9 * c->levels),
	    .pa_bits = (uint8_t)c->pa_bits,
	    .asid_bits = (uint8_t)c->asid_bits,
	    .leaf_levels = 7,
	    .cache_types = (1u << VMEM_CACHE_COUNT) - 1,
	};
	switch (c->isa) {
	case MACHINE_X86_64:
		out->features = probe_x86(out);
		break;
	case MACHINE_AARCH64:
		out->features = probe_arm(out);
		break;
	case MACHINE_RISCV:
		out->features = probe_riscv(out, isa_features);
		break;
	}
}

/* What a host reads in a RISC-V machine's device tree; 0 elsewhere. */
uint32_t machine_isa_features(void)
{
	if (machine_config()->isa != MACHINE_RISCV) {
		return 0;
	}
	return (has(MACHINE_HW_MARKS) ? (uint32_t)VMEM_RISCV_SVADU : 0) |
	       (has(MACHINE_SVPBMT) ? (uint32_t)VMEM_RISCV_SVPBMT : 0) |
	       (has(MACHINE_SVNAPOT) ? (uint32_t)VMEM_RISCV_SVNAPOT : 0);
}

void vmem_arch_cpu_init(void)
{
	switch (machine_config()->isa) {
	case MACHINE_X86_64: /* PAT entry 5 becomes write-combining */
		machine_attributes_set((machine_attributes() & ~(UINT64_C(0xff) << 40)) | UINT64_C(1) << 40);
		x86_toggle_pge(machine_cpu());
		break;
	case MACHINE_AARCH64: /* bytes 4 to 7: WB, WT, NC, device nGnRE */
		machine_attributes_set((machine_attributes() & UINT32_MAX) | UINT64_C(0x0444bbff) << 32);
		arm_tlbi(machine_cpu(), ARM_TLBI_VMALLE1, false, 0, 0);
		break;
	case MACHINE_RISCV:
		riscv_sfence_vma(machine_cpu(), RISCV_ANY, RISCV_ANY);
		break;
	}
	machine_effect();
}

vmem_paddr_t vmem_arch_kernel_root(void)
{
	return machine_kernel_root();
}

/* Activation. */

static void activate_x86(unsigned cpu, vmem_paddr_t root, uint32_t asid, bool flush)
{
	uint64_t cr3 = root != 0 ? root : machine_kernel_root();
	if (machine_config()->asid_bits != 0) {
		cr3 |= asid | (flush ? 0 : UINT64_C(1) << 63);
	}
	x86_mov_cr3(cpu, cr3);
}

static void activate_arm(unsigned cpu, vmem_paddr_t root, uint32_t asid, bool flush)
{
	if (flush) {
		arm_write_ttbr0(cpu, MACHINE_NO_ROOT, 0);
		arm_tlbi(cpu, ARM_TLBI_ASIDE1, false, 0, asid);
	}
	arm_write_ttbr0(cpu, root != 0 ? root : MACHINE_NO_ROOT, asid);
}

static void activate_riscv(unsigned cpu, vmem_paddr_t root, uint32_t asid, bool flush)
{
	riscv_write_satp(cpu, root != 0 ? root : machine_kernel_root(), asid);
	if (flush || machine_config()->asid_bits == 0) {
		riscv_sfence_vma(cpu, RISCV_ANY, asid);
	}
}

void vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush)
{
	unsigned cpu = machine_cpu();
	switch (machine_config()->isa) {
	case MACHINE_X86_64:
		activate_x86(cpu, root, asid, flush);
		break;
	case MACHINE_AARCH64:
		activate_arm(cpu, root, asid, flush);
		break;
	case MACHINE_RISCV:
		activate_riscv(cpu, root, asid, flush);
		break;
	}
	machine_effect();
}

void vmem_arch_publish(void)
{
	machine_effect();
}

/* Flushing. */

static bool is_whole(const struct arch_flush *flush)
{
	unsigned most = machine_config()->isa == MACHINE_X86_64 ? 33 : 64;
	return (flush->flags & FLUSH_SPACE) != 0 || flush->pages > most;
}

static void flush_everything_x86(unsigned cpu)
{
	if (has(MACHINE_INVPCID)) {
		x86_invpcid(cpu, X86_INVPCID_ALL, 0, 0);
	} else {
		x86_toggle_pge(cpu);
	}
}

static void flush_space_x86(unsigned cpu, uint32_t asid)
{
	if (machine_config()->asid_bits == 0 || machine_asid(cpu) == asid) {
		x86_mov_cr3(cpu, machine_root(cpu) | machine_asid(cpu));
	} else if (has(MACHINE_INVPCID)) {
		x86_invpcid(cpu, X86_INVPCID_CONTEXT, asid, 0);
	} else {
		flush_everything_x86(cpu);
	}
}

static void flush_x86(const struct arch_flush *f)
{
	unsigned cpu = machine_cpu();
	uint64_t left = f->pages != 0 ? f->pages : 1;
	bool current = machine_config()->asid_bits == 0 || machine_asid(cpu) == f->asid;
	if ((f->flags & FLUSH_GLOBAL) != 0 && (is_whole(f) || machine_config()->asid_bits != 0)) {
		flush_everything_x86(cpu);
	} else if (is_whole(f)) {
		flush_space_x86(cpu, f->asid);
	} else if (!current && (f->flags & FLUSH_GLOBAL) == 0 &&
		   ((f->flags & FLUSH_TABLES) != 0 || !has(MACHINE_INVPCID))) {
		flush_space_x86(cpu, f->asid);
	} else {
		for (vmem_vaddr_t va = f->start; left != 0; left--, va += arch_level_size(f->level)) {
			if (current || (f->flags & FLUSH_GLOBAL) != 0) {
				x86_invlpg(cpu, va);
			} else {
				x86_invpcid(cpu, X86_INVPCID_ADDRESS, f->asid, va);
			}
		}
	}
}

static void flush_arm(const struct arch_flush *f)
{
	unsigned cpu = machine_cpu();
	bool tables = (f->flags & FLUSH_TABLES) != 0;
	bool global = (f->flags & FLUSH_GLOBAL) != 0;
	uint64_t left = f->pages != 0 ? f->pages : 1;
	enum arm_tlbi op = global   ? (tables ? ARM_TLBI_VAAE1 : ARM_TLBI_VAALE1)
			   : tables ? ARM_TLBI_VAE1
				    : ARM_TLBI_VALE1;
	if (is_whole(f) || (tables && f->level > 1)) {
		arm_tlbi(cpu, global ? ARM_TLBI_VMALLE1 : ARM_TLBI_ASIDE1, true, 0, f->asid);
		return;
	}
	for (vmem_vaddr_t va = f->start; left != 0; left--, va += arch_level_size(f->level)) {
		arm_tlbi(cpu, op, true, va, f->asid);
	}
}

static void flush_riscv(const struct arch_flush *f)
{
	unsigned cpu = machine_cpu();
	uint64_t id = (f->flags & FLUSH_GLOBAL) != 0 ? RISCV_ANY : f->asid;
	uint64_t left = f->pages;
	if (is_whole(f) || (f->flags & FLUSH_TABLES) != 0) {
		riscv_sfence_vma(cpu, RISCV_ANY, id);
		return;
	}
	for (vmem_vaddr_t va = f->start; left != 0; left--, va += arch_level_size(f->level)) {
		riscv_sfence_vma(cpu, va, id);
	}
}

void vmem_arch_flush(const struct arch_flush *flush)
{
	if (!is_whole(flush) && (flush->flags & FLUSH_TABLES) == 0 && flush->pages == 0) {
		return;
	}
	switch (machine_config()->isa) {
	case MACHINE_X86_64:
		flush_x86(flush);
		break;
	case MACHINE_AARCH64:
		flush_arm(flush);
		break;
	case MACHINE_RISCV:
		flush_riscv(flush);
		break;
	}
	machine_effect();
}

/* Caches and pages. */

static vmem_paddr_t physical(const void *kva)
{
	return (uint64_t)(uintptr_t)kva - machine_direct_map();
}

void vmem_arch_icache_sync(const void *kva, size_t length)
{
	machine_fetch_sync(machine_cpu(), physical(kva), length);
	machine_effect();
}

void vmem_arch_dcache_clean(const void *kva, size_t length)
{
	(void)kva;
	(void)length;
}

void vmem_arch_page_clear(void *page)
{
	memset(page, 0, VMEM_PAGE_SIZE);
}

void vmem_arch_page_copy(void *to, const void *from)
{
	memcpy(to, from, VMEM_PAGE_SIZE);
}

/* The host. */

_Noreturn void vmem_host_panic(const char *rule)
{
	machine_panic(rule);
}

unsigned vmem_host_cpu(void)
{
	return machine_cpu();
}

void vmem_host_cpu_call(uint64_t cpus, void (*function)(void *), void *argument)
{
	machine_call(cpus, function, argument);
}
