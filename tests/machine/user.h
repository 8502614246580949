/* SPDX-License-Identifier: MIT */
/*
 * user.h - a host for the library on the machine, and user programs in it: accesses go through the MMU,
 * faults into the library.
 */
#ifndef MACHINE_USER_H
#define MACHINE_USER_H

#include <vmem/fault.h>

#include "machine.h"

/* The usual model of the ISA that this program is built for. */
struct machine_config host_default(void);
/*
 * Makes a machine (NULL: the usual one), boots it with a linear map of 2 MiB leaves, starts the library on
 * all of its RAM with machine_kernel_area() to manage, and sets up every CPU. Violations abort unless
 * machine_collect() says otherwise.
 */
void host_start(const struct machine_config *config);
/*
 * The same with a linear map of leaves of a level: 0 where RAM is to get other cache attributes on AArch64.
 */
void host_start_linear(const struct machine_config *config, unsigned linear_level);
/* Checks every cached translation once more, and ends the machine. */
void host_stop(void);

/*
 * A program of the space on the current CPU (the space is made current first). RESOLVED when all bytes
 * went; else why the first byte that could not go was refused, and those before it have gone. A fault that
 * comes again and again is a violation, and so is one that the library decodes differently from what was
 * done.
 */
enum vmem_fault_result user_read(struct vmem_aspace *aspace, vmem_vaddr_t va, void *buffer, size_t length);
enum vmem_fault_result user_write(
    struct vmem_aspace *aspace, vmem_vaddr_t va, const void *buffer, size_t length);
/* Fetches instructions. */
enum vmem_fault_result user_exec(struct vmem_aspace *aspace, vmem_vaddr_t va, size_t length);
/* Eight bytes at once; va is a multiple of eight. */
enum vmem_fault_result user_load(struct vmem_aspace *aspace, vmem_vaddr_t va, uint64_t *value);
enum vmem_fault_result user_store(struct vmem_aspace *aspace, vmem_vaddr_t va, uint64_t value);
/* The same without the library: false where it would fault. */
bool user_peek(unsigned cpu, vmem_vaddr_t va, uint64_t *value);

/* Kernel addresses of the library's half, by supervisor accesses of the current CPU; false on a fault. */
bool kernel_load(const void *address, uint64_t *value);
bool kernel_store(void *address, uint64_t value);

#endif
