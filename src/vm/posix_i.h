/* SPDX-License-Identifier: MIT */
/*
 * posix_i.h - what the files of the posix layer share. All with the space's lock held.
 */
#ifndef VMEM_POSIX_I_H
#define VMEM_POSIX_I_H

#include <vmem/posix.h>

#include "region.h"
#include "slab.h"

/* The checks of Linux's get_unmapped_area() for a fixed address. 0 or -errno. */
int vmem_posix_check_fixed(const struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length);
/* Where Linux would look for a place: sets place, address, bounds and direction. */
void vmem_posix_place(const struct vmem_posix *posix, vmem_vaddr_t address, int flags, struct vmem_map *map);
/* munmap(2). */
int vmem_posix_munmap_locked(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length);

#endif
