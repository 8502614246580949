/* SPDX-License-Identifier: MIT */
/*
 * world.h - the library on a small machine, for cases: thread i runs on CPU i, in a space of its own or of
 * all.
 */
#ifndef EXPLORE_WORLD_H
#define EXPLORE_WORLD_H

#include <vmem/aspace.h>
#include <vmem/copy.h>
#include <vmem/fault.h>
#include <vmem/frame.h>
#include <vmem/object.h>

#include "explore.h"
#include "machine.h"

#define PAGES(n) ((uint64_t)(n)*VMEM_PAGE_SIZE)
#define WINDOW (UINT64_C(1) << 21) /* what one leaf table translates */
#define RW (VMEM_READ | VMEM_WRITE)

struct world_options {
	unsigned cpus;	 /* 0: two */
	unsigned ids;	 /* address-space ids; 0: as many as the machine has */
	uint32_t remove; /* MACHINE_* features */
	uint64_t ram;	 /* bytes; 0: 2 MiB */
};
void world_start(const struct world_options *options); /* NULL: the usual */

/* All of these must succeed, and are for setup. */
struct vmem_aspace *world_space(void);
void world_run(unsigned cpu, struct vmem_aspace *aspace);
void world_cpu(unsigned cpu);
uint64_t world_map(struct vmem_aspace *aspace, uint64_t address, uint64_t pages, unsigned permission);
uint64_t world_map_object(struct vmem_aspace *aspace, uint64_t address, struct vmem_object *object,
    uint64_t pages, unsigned permission, unsigned flags);
struct vmem_object *world_object(uint64_t pages);
struct vmem_object *world_snapshot(struct vmem_object *object, uint64_t pages);
void world_put(struct vmem_aspace *aspace, uint64_t va, uint64_t value); /* on the current CPU */
uint64_t world_get(struct vmem_aspace *aspace, uint64_t va);
/* What the TLBs cache whenever another thread goes on: the first pages of each mapping that was made above,
 * and these. */
void world_watch(uint64_t va, uint64_t pages);
/* Everything that CPUs may have cached is. */
void world_warm(void);

/* For threads: accesses of a program. The answer is why the access was refused. */
enum vmem_fault_result user_read(struct vmem_aspace *aspace, uint64_t va, uint64_t *value);
enum vmem_fault_result user_write(struct vmem_aspace *aspace, uint64_t va, uint64_t value);
/* A call of the library by a thread of a case. */
#define KERNEL(call)                                                                                         \
	do {                                                                                                 \
		explore_enter();                                                                             \
		(void)(call);                                                                                \
		explore_leave();                                                                             \
	} while (0)
#define KERNEL_OK(call)                                                                                      \
	do {                                                                                                 \
		explore_enter();                                                                             \
		vmem_status_t status_ = (call);                                                              \
		explore_leave();                                                                             \
		if (status_ != VMEM_OK) {                                                                    \
			explore_fail("%s: %s", #call, vmem_status_name(status_));                            \
		}                                                                                            \
	} while (0)

/* What a removal promises when it returns: no CPU can reach what it had at [va, +pages) of the space. */
void world_unreachable(struct vmem_aspace *aspace, uint64_t va, uint64_t pages);
/* No CPU that runs the space can store there. */
void world_unwritable(struct vmem_aspace *aspace, uint64_t va, uint64_t pages);

#endif
