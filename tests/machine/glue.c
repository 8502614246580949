/* SPDX-License-Identifier: MIT */
/*
 * glue.c - the library's effects and host interface, on the machine. Nothing else of the tests sees both
 * sides.
 *
 * An effect is the library's own code (effects.h), and after it a CPU that speculates fills its TLB:
 * whatever order the library stores and flushes in, an old entry that is still in memory then is cached
 * again.
 */
#include "effects.h"

#include <vmem/host.h>
#include <vmem/init.h>

#undef vmem_arch_cpu_init
#undef vmem_arch_activate
#undef vmem_arch_publish
#undef vmem_arch_flush
#undef vmem_arch_icache_sync

_Thread_local uint64_t glue_fetch_start, glue_fetch_end;

void vmem_arch_cpu_init(void);
void vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush);
void vmem_arch_publish(void);
void vmem_arch_flush(const struct arch_flush *flush);
void vmem_arch_icache_sync(const void *kva, size_t length);

uint64_t glue_physical(const void *kva)
{
	return (uint64_t)(uintptr_t)kva - machine_direct_map();
}

void vmem_arch_cpu_init(void)
{
	isa_cpu_init();
	machine_effect();
}

void vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush)
{
	isa_activate(root, asid, flush);
	machine_effect();
}

void vmem_arch_publish(void)
{
	isa_publish();
	machine_effect();
}

void vmem_arch_flush(const struct arch_flush *flush)
{
	isa_flush(flush);
	machine_effect();
}

void vmem_arch_icache_sync(const void *kva, size_t length)
{
	glue_fetch_start = glue_physical(kva);
	glue_fetch_end = glue_fetch_start + length;
	isa_icache_sync(kva, length);
	glue_fetch_end = glue_fetch_start;
}

/* What a host reads in a RISC-V machine's device tree, and knows of an AArch64's CPU models. */
uint32_t machine_isa_features(void)
{
	static const struct {
		uint32_t has, told;
	} features[] = {
	    {MACHINE_HW_MARKS, VMEM_RISCV_SVADU},
	    {MACHINE_SVPBMT, VMEM_RISCV_SVPBMT},
	    {MACHINE_SVNAPOT, VMEM_RISCV_SVNAPOT},
	    {MACHINE_SVINVAL, VMEM_RISCV_SVINVAL},
	};
	uint32_t told = 0;
	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		told |= (machine_config()->features & features[i].has) != 0 ? features[i].told : 0;
	}
	if (machine_config()->isa == MACHINE_AARCH64) {
		return (machine_config()->features & MACHINE_LIVE_SPLIT) != 0 ? VMEM_AARCH64_LIVE_SPLIT : 0;
	}
	return machine_config()->isa == MACHINE_RISCV ? told : 0;
}

/* The host. */

_Noreturn void vmem_host_panic(const char *rule)
{
	machine_panic(rule);
}

#if VMEM_MAX_CPUS > 1
unsigned vmem_host_cpu(void)
{
	machine_moment();
	return machine_cpu();
}

void vmem_host_cpu_call(uint64_t cpus, void (*function)(void *), void *argument)
{
	machine_call(cpus, function, argument);
}

void vmem_host_relax(void)
{
	machine_wait();
}
#endif
