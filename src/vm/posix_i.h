/* SPDX-License-Identifier: MIT */
/*
 * posix_i.h - what the files of the posix layer share. With the space's lock held where nothing else is said.
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
/* What mlock and mlockall say of a new mapping of so many bytes: adds to its attributes, or -EPERM, -EAGAIN.
 * With the space locked. */
int vmem_posix_lock_new(const struct vmem_posix *posix, bool locked, uint64_t length, uint32_t *attributes);
/* 0, or -EAGAIN: a mapping with these attributes may not have so many bytes more. */
int vmem_posix_lock_more(const struct vmem_posix *posix, uint64_t length, uint32_t attributes);
/* Faults in what is locked in [start, end), with no lock held. Best effort, which goes on after a page that
 * cannot be had; or -ENOMEM, -EAGAIN. */
int vmem_posix_lock_populate(
    struct vmem_posix *posix, vmem_vaddr_t start, vmem_vaddr_t end, bool best_effort);
/* Makes sure that the access to a page needs no fault, with no lock held. */
enum vmem_fault_result vmem_posix_touch(struct vmem_aspace *aspace, vmem_vaddr_t va, unsigned access);

#endif
