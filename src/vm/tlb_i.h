/* SPDX-License-Identifier: MIT */
/*
 * tlb_i.h - what batches (batch.c) and ids (tlb.c) share.
 */
#ifndef VMEM_TLB_I_H
#define VMEM_TLB_I_H

#include "lock.h"

struct vmem_pmap;

#define ASID_ID_BITS 16u
#define ASID_ID_MASK ((UINT64_C(1) << ASID_ID_BITS) - 1)

static inline uint32_t hardware_id(uint64_t asid)
{
	return (uint32_t)(asid & ASID_ID_MASK);
}

/* Stores before it, to entries too, come before loads after it. */
static inline void full_barrier(void)
{
#if VMEM_SMP
	__sync_synchronize();
#endif
}

/* This CPU, if it is idle in the pmap, goes to the kernel's root: true. In a call, perhaps amid a switch. */
bool vmem_tlb_leave_idle(struct vmem_pmap *pmap);
#if VMEM_MANY_CPUS
/* Of the CPUs that may hold translations the ones that must be called: they use the pmap's, or they are idle
 * in it and tables go. The others will forget theirs before they do. After the barrier that follows the last
 * cleared entry. */
uint64_t vmem_tlb_cpus_to_call(struct vmem_pmap *pmap, bool tables);
#endif

#endif
