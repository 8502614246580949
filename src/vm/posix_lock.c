/* SPDX-License-Identifier: MIT */
/*
 * posix_lock.c - Linux's mlock family over the core: which regions are locked, and how much a process may.
 *
 * Nothing reclaims memory that nobody has given up, so what locking does is: the pages are faulted in, they
 * are counted, and advice that would take them away is refused. Regions carry it (VMEM_REGION_LOCKED), their
 * space counts it (A1) and knows the limit; what new mappings get (mlockall) is the process's.
 *
 * Locks: the space's while regions change; not while pages are faulted in.
 */
#include "commit_i.h"
#include "posix_i.h"
#include "slab.h"

int vmem_posix_lock_more(const struct vmem_posix *posix, uint64_t length, uint32_t attributes)
{
	const struct vmem_aspace *aspace = posix->aspace;
	return attributes & VMEM_REGION_LOCKED && !lock_allows(aspace, aspace->locked + length) ? -VMEM_EAGAIN
												: 0;
}

int vmem_posix_lock_new(const struct vmem_posix *posix, bool locked, uint64_t length, uint32_t *attributes)
{
	*attributes |= posix->future | (locked ? (uint32_t)VMEM_REGION_LOCKED : 0);
	if (locked && posix->aspace->max_locked == 0) {
		return -VMEM_EPERM;
	}
	return vmem_posix_lock_more(posix, length, *attributes);
}

/* The part of [start, end) in locked regions already, in bytes. */
static uint64_t locked_in(const struct vmem_vmar *root, vmem_vaddr_t start, vmem_vaddr_t end)
{
	uint64_t bytes = 0;
	for (struct span *s = vmem_span_find_from(&root->tree, start); s && s->start < end; s = s->next) {
		vmem_vaddr_t low = s->start < start ? start : s->start;
		vmem_vaddr_t high = s->start + s->length > end ? end : s->start + s->length;
		if (s->kind == SPAN_REGION && region_of(s)->attributes & VMEM_REGION_LOCKED) {
			bytes += high - low;
		}
		pause_after(20);
	}
	return bytes;
}

/* Sets what of REGION_LOCKS is in `bits` and clears the others. Frames that the host gave are there anyway,
 * and count for nothing; what may be dropped is not locked. */
static int lock_part(
    struct vmem_vmar *root, struct region *region, vmem_vaddr_t start, uint64_t length, uint32_t bits)
{
	if (region_is_device(region) || region->attributes & VMEM_REGION_DROPPABLE) {
		return 0;
	}
	return -vmem_posix_errno(
	    vmem_vmar_set_attributes_locked(root, start, length, bits, REGION_LOCKS & ~bits));
}

/* Region by region; what comes before a hole stays changed. */
static int lock_regions(struct vmem_vmar *root, vmem_vaddr_t start, vmem_vaddr_t end, uint32_t bits)
{
	while (start < end) {
		struct span *span = vmem_span_find(&root->tree, start);
		if (!span || span->kind != SPAN_REGION) {
			return -VMEM_ENOMEM;
		}
		vmem_vaddr_t high = span->start + span->length < end ? span->start + span->length : end;
		int error = lock_part(root, region_of(span), start, high - start, bits);
		if (error) {
			return error;
		}
		start = high;
	}
	return 0;
}

/* The next part of [*start, end) that is locked and wants its pages, and the access that brings them: 0 for
 * a part that none can reach. False: there is none. */
static bool next_locked(struct vmem_aspace *aspace, vmem_vaddr_t *start, vmem_vaddr_t *end, unsigned *access)
{
	bool found = false;
	aspace_lock(aspace);
	struct span *s = vmem_span_find_from(&aspace->root.tree, *start);
	for (; s && s->start < *end; s = s->next) {
		const struct region *region = region_of(s);
		if (s->kind != SPAN_REGION || (region->attributes & REGION_LOCKS) != VMEM_REGION_LOCKED) {
			pause_after(16);
			continue;
		}
		unsigned p = region->permission;
		*access = p & VMEM_WRITE && !region_shared(region) ? VMEM_WRITE
			  : p & VMEM_READ			   ? VMEM_READ
			  : p & VMEM_EXEC			   ? VMEM_EXEC
								   : p;
		*start = s->start < *start ? *start : s->start;
		*end = s->start + s->length < *end ? s->start + s->length : *end;
		found = true;
	}
	aspace_unlock(aspace);
	return found;
}

int vmem_posix_lock_populate(struct vmem_posix *posix, vmem_vaddr_t start, vmem_vaddr_t end, bool best_effort)
{
	struct vmem_aspace *aspace = posix->aspace;
	vmem_vaddr_t high = end;
	unsigned access;
	for (; start < end && next_locked(aspace, &start, &high, &access); high = end) {
		enum vmem_fault_result result = access ? VMEM_FAULT_RESOLVED : VMEM_FAULT_PERMISSION;
		for (vmem_vaddr_t va = start; result == VMEM_FAULT_RESOLVED && va < high;
		     va += VMEM_PAGE_SIZE) {
			result = vmem_posix_touch(aspace, va, access);
			pause_after(1500);
		}
		if (result != VMEM_FAULT_RESOLVED && !best_effort) {
			return result == VMEM_FAULT_NO_MEMORY ? -VMEM_EAGAIN : -VMEM_ENOMEM;
		}
		start = high;
	}
	return 0;
}

static int lock_range(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, uint32_t bits)
{
	struct vmem_aspace *aspace = posix->aspace;
	const uint64_t rounded = vmem_page_ceil(length + (address & VMEM_PAGE_MASK));
	const vmem_vaddr_t start = vmem_page_floor(address), end = start + rounded;
	int error = -VMEM_ENOMEM;
	if (posix->aspace->max_locked == 0) {
		return -VMEM_EPERM;
	}
	aspace_lock(aspace);
	uint64_t after = rounded + aspace->locked;
	if (after >= rounded && !lock_allows(aspace, after)) {
		after -= locked_in(&aspace->root, start, end);
	}
	if (aspace->max_locked == UINT64_MAX || (after >= rounded && lock_allows(aspace, after))) {
		error = end < start ? -VMEM_EINVAL : lock_regions(&aspace->root, start, end, bits);
	}
	aspace_unlock(aspace);
	vmem_slab_settle();
	return error ? error : vmem_posix_lock_populate(posix, start, end, false);
}

int vmem_posix_mlock(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length)
{
	return lock_range(posix, address, length, VMEM_REGION_LOCKED);
}

int vmem_posix_mlock2(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int flags)
{
	if (flags & ~VMEM_MLOCK_ONFAULT) {
		return -VMEM_EINVAL;
	}
	return lock_range(posix, address, length, flags ? REGION_LOCKS : (uint32_t)VMEM_REGION_LOCKED);
}

int vmem_posix_munlock(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length)
{
	const uint64_t rounded = vmem_page_ceil(length + (address & VMEM_PAGE_MASK));
	const vmem_vaddr_t start = vmem_page_floor(address), end = start + rounded;
	if (end < start) {
		return -VMEM_EINVAL;
	}
	aspace_lock(posix->aspace);
	int error = lock_regions(&posix->aspace->root, start, end, 0);
	aspace_unlock(posix->aspace);
	vmem_slab_settle();
	return error;
}

/* Every region gets the bits; one that cannot, for want of records, keeps what it has, as on Linux. */
static void lock_all(struct vmem_posix *posix, uint32_t bits)
{
	struct vmem_vmar *root = &posix->aspace->root;
	vmem_vaddr_t next = root->tree.base;
	for (struct span *s = root->tree.first; s; s = vmem_span_find_from(&root->tree, next)) {
		next = s->start + s->length;
		if (s->kind == SPAN_REGION) {
			(void)lock_part(root, region_of(s), s->start, s->length, bits);
		}
		pause_after(100); /* for the way to the next one */
	}
}

int vmem_posix_mlockall(struct vmem_posix *posix, int flags)
{
	const int known = VMEM_MCL_CURRENT | VMEM_MCL_FUTURE | VMEM_MCL_ONFAULT;
	struct vmem_aspace *aspace = posix->aspace;
	const uint32_t bits =
	    VMEM_REGION_LOCKED | (flags & VMEM_MCL_ONFAULT ? (uint32_t)VMEM_REGION_LOCK_ON_FAULT : 0);
	if (flags == 0 || flags & ~known || flags == VMEM_MCL_ONFAULT) {
		return -VMEM_EINVAL;
	}
	if (posix->aspace->max_locked == 0) {
		return -VMEM_EPERM;
	}
	aspace_lock(aspace);
	if (flags & VMEM_MCL_CURRENT && !lock_allows(aspace, aspace->mapped)) {
		aspace_unlock(aspace);
		return -VMEM_ENOMEM;
	}
	posix->future = flags & VMEM_MCL_FUTURE ? bits : 0;
	if (flags & VMEM_MCL_CURRENT) {
		lock_all(posix, bits);
	}
	const vmem_vaddr_t base = aspace->root.tree.base, end = base + aspace->root.tree.length;
	aspace_unlock(aspace);
	vmem_slab_settle();
	return flags & VMEM_MCL_CURRENT ? vmem_posix_lock_populate(posix, base, end, true) : 0;
}

int vmem_posix_munlockall(struct vmem_posix *posix)
{
	aspace_lock(posix->aspace);
	posix->future = 0;
	lock_all(posix, 0);
	aspace_unlock(posix->aspace);
	vmem_slab_settle();
	return 0;
}
