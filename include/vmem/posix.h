/* SPDX-License-Identifier: MIT */
/**
 * @file posix.h - the mmap family over the core, with Linux's numbers and Linux's errors.
 *
 * Calls answer 0 (or an address, through an out-parameter) or a negative Linux errno. A policy picks where
 * documents differ.
 */
#ifndef VMEM_POSIX_H
#define VMEM_POSIX_H

#include <vmem/aspace.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum {
	VMEM_PROT_NONE = 0,
	VMEM_PROT_READ = 1,
	VMEM_PROT_WRITE = 2,
	VMEM_PROT_EXEC = 4,

	VMEM_MMAP_SHARED = 0x01,
	VMEM_MMAP_PRIVATE = 0x02,
	VMEM_MMAP_SHARED_VALIDATE = 0x03,
	VMEM_MMAP_DROPPABLE = 0x08, /* nothing drops memory here; the rest of it is as on Linux */
	VMEM_MMAP_FIXED = 0x10,
	VMEM_MMAP_ANONYMOUS = 0x20,
	VMEM_MMAP_32BIT = 0x40, /* as on x86-64, on every ISA */
	VMEM_MMAP_ABOVE4G = 0x80,
	VMEM_MMAP_GROWSDOWN = 0x100,
	VMEM_MMAP_DENYWRITE = 0x800,
	VMEM_MMAP_EXECUTABLE = 0x1000,
	VMEM_MMAP_LOCKED = 0x2000,
	VMEM_MMAP_NORESERVE = 0x4000,
	VMEM_MMAP_POPULATE = 0x8000,
	VMEM_MMAP_NONBLOCK = 0x10000,
	VMEM_MMAP_STACK = 0x20000,
	VMEM_MMAP_FIXED_NOREPLACE = 0x100000,

	VMEM_MREMAP_MAYMOVE = 1,
	VMEM_MREMAP_FIXED = 2,
	VMEM_MREMAP_DONTUNMAP = 4,

	VMEM_MADV_NORMAL = 0,
	VMEM_MADV_RANDOM = 1,
	VMEM_MADV_SEQUENTIAL = 2,
	VMEM_MADV_WILLNEED = 3,
	VMEM_MADV_DONTNEED = 4,
	VMEM_MADV_FREE = 8,
	VMEM_MADV_REMOVE = 9,
	VMEM_MADV_DONTFORK = 10,
	VMEM_MADV_DOFORK = 11,
	VMEM_MADV_DONTDUMP = 16,
	VMEM_MADV_DODUMP = 17,
	VMEM_MADV_WIPEONFORK = 18,
	VMEM_MADV_KEEPONFORK = 19,
	VMEM_MADV_COLD = 20,
	VMEM_MADV_PAGEOUT = 21,
	VMEM_MADV_POPULATE_READ = 22,
	VMEM_MADV_POPULATE_WRITE = 23,
	VMEM_MADV_DONTNEED_LOCKED = 24,
	VMEM_MADV_GUARD_INSTALL = 102,
	VMEM_MADV_GUARD_REMOVE = 103,

	VMEM_MS_ASYNC = 1,
	VMEM_MS_INVALIDATE = 2,
	VMEM_MS_SYNC = 4,

	VMEM_MLOCK_ONFAULT = 1,
	VMEM_MCL_CURRENT = 1,
	VMEM_MCL_FUTURE = 2,
	VMEM_MCL_ONFAULT = 4,

	VMEM_EPERM = 1,
	VMEM_EAGAIN = 11,
	VMEM_ENOMEM = 12,
	VMEM_EACCES = 13,
	VMEM_EFAULT = 14,
	VMEM_EBUSY = 16,
	VMEM_EEXIST = 17,
	VMEM_ENODEV = 19,
	VMEM_EINVAL = 22,
	VMEM_EOVERFLOW = 75,
	VMEM_EOPNOTSUPP = 95,
};

/** Where the documents differ. */
struct vmem_posix_policy {
	bool wx;	      /**< PROT_WRITE | PROT_EXEC is EACCES; the space must have been made with W^X */
	uint64_t max_regions; /**< Linux: 65530 */
	vmem_vaddr_t
	    mmap_min; /**< lowest address for placement and for MAP_FIXED without privilege (Linux: 65536) */
	uint64_t lock_limit; /**< bytes that a process may lock at first (Linux: 8 MiB) */
	bool atomic_protect; /**< an mprotect that fails has changed nothing (Linux: what comes before a hole,
				or before a part that refuses, stays changed) */
};
/** Linux's defaults. */
extern const struct vmem_posix_policy vmem_posix_linux;

/** A process's view; embed one per address space. The host initialises it and owns it; the break's fields
 * are the library's. */
struct vmem_posix {
	struct vmem_aspace *aspace;
	struct vmem_posix_policy policy;
	vmem_vaddr_t brk_start, brk_end; /**< brk_end is byte-granular */
	uint32_t future;		 /**< the library's: VMEM_REGION_* of new mappings, from mlockall */
	vmem_vaddr_t mmap_top; /**< the host's, 0 at first: what is placed lies below it while there is room
				  there (Linux: the stack's limit, and 128 MiB at least, below the stack) */
};
/** @p brk_start: where the heap begins (end of the program's data; 0: no brk). */
void vmem_posix_init(struct vmem_posix *posix, struct vmem_aspace *aspace,
    const struct vmem_posix_policy *policy, vmem_vaddr_t brk_start);

/** Limits of a process, by Linux's numbers. */
enum vmem_posix_limit {
	VMEM_RLIMIT_DATA = 2,	 /**< private memory that may be written, stacks left out; and the break */
	VMEM_RLIMIT_STACK = 3,	 /**< a region that grows down; 8 MiB at first */
	VMEM_RLIMIT_MEMLOCK = 8, /**< locked memory; none for a process with CAP_IPC_LOCK */
	VMEM_RLIMIT_AS = 9,	 /**< all that is mapped */
};
/** Sets a soft limit in bytes (UINT64_MAX: none). What passes it already stays. */
void vmem_posix_set_limit(struct vmem_posix *posix, enum vmem_posix_limit which, uint64_t bytes);

/** The errno (positive) for a status; 0 for OK. The one table. */
int vmem_posix_errno(vmem_status_t status);

/** mmap(2) of anonymous memory. Errors as Linux: EINVAL, ENOMEM, EEXIST, EACCES (W^X), EPERM (below
 * mmap_min; MAP_LOCKED and nothing may be locked), EAGAIN (beyond what may be locked), ENODEV
 * (not anonymous). */
int vmem_posix_mmap(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int prot, int flags,
    vmem_vaddr_t *out_address);
/** What a descriptor stands for. */
struct vmem_posix_file {
	struct vmem_object *object; /**< its content; NULL: it cannot be mapped (a pipe) */
	uint64_t offset;	    /**< bytes */
	unsigned maximum; /**< VMEM_READ, VMEM_WRITE: how it was opened; VMEM_EXEC: unless forbidden */
};
/**
 * mmap(2) of a file: shared, or private. Pages past the object's end are VMEM_FAULT_BEYOND_END (SIGBUS).
 * Errors as Linux: EINVAL, ENOMEM, EEXIST, EPERM, EOVERFLOW, EOPNOTSUPP (MAP_SHARED_VALIDATE with a flag
 * that is not known), EACCES, ENODEV.
 */
int vmem_posix_mmap_object(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int prot,
    int flags, const struct vmem_posix_file *file, vmem_vaddr_t *out_address);
/** munmap(2). EINVAL, ENOMEM (too many regions, no record). */
int vmem_posix_munmap(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length);
/** mprotect(2), with Linux's partial effect: regions before the one that fails are changed; or, by policy,
 * none (atomic_protect). EINVAL, ENOMEM, EACCES, EPERM (sealed). */
int vmem_posix_mprotect(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int prot);
/**
 * mremap(2) in all its forms. @p new_address counts with FIXED and DONTUNMAP only. Errors as Linux, and in
 * its order: EINVAL, ENOMEM (too many regions), EFAULT (not one mapping; but what is moved to a fixed place
 * with its size kept may be many, and what comes before one that fails is moved; the host's frames, which do
 * not grow), EPERM, EAGAIN (beyond what may be locked), ENOMEM.
 */
int vmem_posix_mremap(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t old_length,
    uint64_t new_length, int flags, vmem_vaddr_t new_address, vmem_vaddr_t *out_address);
/** brk(2) as the system call: answers the new break, or the old one on failure. */
vmem_vaddr_t vmem_posix_brk(struct vmem_posix *posix, vmem_vaddr_t address);

/** madvise(2), the advice of VMEM_MADV_*. COLD, PAGEOUT and WILLNEED have nothing to do; FREE gives back at
 * once; RANDOM and SEQUENTIAL decide what a fault on an object enters beside its page. EINVAL (any other
 * advice too), ENOMEM (a hole; the rest is done), EAGAIN, EACCES, EPERM (sealed), EFAULT, ENODEV. */
int vmem_posix_madvise(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int advice);
/** mincore(2); @p vector is a user address. EINVAL, ENOMEM, EFAULT. */
int vmem_posix_mincore(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, vmem_vaddr_t vector);
/** msync(2): objects are in memory, so this only checks. EINVAL, ENOMEM, EBUSY. */
int vmem_posix_msync(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int flags);
/** mseal(2). EINVAL, ENOMEM. Of sealed memory munmap, mprotect, mmap over it and, where it is private and
 * not writable, advice that discards it are EPERM. */
int vmem_posix_mseal(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, uint64_t flags);

/** mlock(2), mlock2(2): EINVAL, EPERM (the limit is 0), ENOMEM (beyond the limit, a hole, or a page that
 * cannot be faulted in), EAGAIN (no memory for one). */
int vmem_posix_mlock(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length);
int vmem_posix_mlock2(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int flags);
/** munlock(2): EINVAL, ENOMEM. */
int vmem_posix_munlock(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length);
/** mlockall(2): EINVAL, EPERM, ENOMEM. */
int vmem_posix_mlockall(struct vmem_posix *posix, int flags);
/** munlockall(2). */
int vmem_posix_munlockall(struct vmem_posix *posix);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
