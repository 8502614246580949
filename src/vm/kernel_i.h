/* SPDX-License-Identifier: MIT */
/*
 * kernel_i.h - the kernel half, as the rest of the library sees it.
 */
#ifndef VMEM_KERNEL_PRIVATE_H
#define VMEM_KERNEL_PRIVATE_H

#include <vmem/kernel.h>

#include "region.h"

/* Adopts the live tables; length 0: no managed range. Errors: INVALID (a large leaf is in the range),
 * NO_MEMORY. */
vmem_status_t vmem_kernel_init(vmem_vaddr_t start, uint64_t length);
struct vmem_pmap *vmem_kernel_pmap(void);

#endif
