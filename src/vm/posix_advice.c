/* SPDX-License-Identifier: MIT */
/*
 * posix_advice.c - Linux's madvise, mincore, msync and mseal over the core.
 *
 * As posix.c: arguments and statuses are translated, and what Linux refuses is refused in Linux's order. A
 * call goes through the regions of its range one by one; what comes before one that fails stays done, and a
 * hole is reported in the end, after all the rest was done. Advice about reclaim (COLD, PAGEOUT) is accepted
 * and has nothing to do; that about large pages, same-page merging and poison is unknown, as to a Linux that
 * was configured without them. FREE gives memory back at once, as Linux may.
 *
 * Locks: the space's for a whole call; not while pages are faulted in.
 */
#include <vmem/copy.h>

#include "policy.h"
#include "posix_i.h"
#include "slab.h"

static bool is_locked(const struct region *region)
{
	return (region->attributes & VMEM_REGION_LOCKED) != 0;
}

/* What an advice does to the attributes of a region; both zero for one that does something else. */
struct setting {
	uint16_t set, clear;
};

static const struct setting settings[] = {
    [VMEM_MADV_NORMAL] = {0, VMEM_REGION_RANDOM | VMEM_REGION_SEQUENTIAL},
    [VMEM_MADV_RANDOM] = {VMEM_REGION_RANDOM, VMEM_REGION_SEQUENTIAL},
    [VMEM_MADV_SEQUENTIAL] = {VMEM_REGION_SEQUENTIAL, VMEM_REGION_RANDOM},
    [VMEM_MADV_DONTFORK] = {VMEM_REGION_NO_FORK, 0},
    [VMEM_MADV_DOFORK] = {0, VMEM_REGION_NO_FORK},
    [VMEM_MADV_DONTDUMP] = {VMEM_REGION_NO_DUMP, 0},
    [VMEM_MADV_DODUMP] = {0, VMEM_REGION_NO_DUMP},
    [VMEM_MADV_WIPEONFORK] = {VMEM_REGION_WIPE_ON_FORK, 0},
    [VMEM_MADV_KEEPONFORK] = {0, VMEM_REGION_WIPE_ON_FORK},
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static bool is_setting(int advice)
{
	return (unsigned)advice < SETTINGS && (settings[advice].set | settings[advice].clear);
}

static bool is_known(int advice)
{
	switch (advice) {
	case VMEM_MADV_WILLNEED:
	case VMEM_MADV_DONTNEED:
	case VMEM_MADV_FREE:
	case VMEM_MADV_REMOVE:
	case VMEM_MADV_COLD:
	case VMEM_MADV_PAGEOUT:
	case VMEM_MADV_POPULATE_READ:
	case VMEM_MADV_POPULATE_WRITE:
	case VMEM_MADV_DONTNEED_LOCKED:
	case VMEM_MADV_GUARD_INSTALL:
	case VMEM_MADV_GUARD_REMOVE:
		return true;
	default:
		return is_setting(advice);
	}
}

/* What takes content away from a program that could not have overwritten it. */
static bool is_discard(int advice)
{
	return advice == VMEM_MADV_FREE || advice == VMEM_MADV_DONTNEED ||
	       advice == VMEM_MADV_DONTNEED_LOCKED || advice == VMEM_MADV_REMOVE ||
	       advice == VMEM_MADV_DONTFORK || advice == VMEM_MADV_WIPEONFORK ||
	       advice == VMEM_MADV_GUARD_INSTALL;
}

static int set(
    struct vmem_vmar *root, const struct region *region, vmem_vaddr_t start, uint64_t length, int advice)
{
	const bool droppable = region->attributes & VMEM_REGION_DROPPABLE;
	if (((advice == VMEM_MADV_DOFORK || advice == VMEM_MADV_DODUMP) && region_is_device(region)) ||
	    ((advice == VMEM_MADV_KEEPONFORK || advice == VMEM_MADV_DODUMP) && droppable) ||
	    (advice == VMEM_MADV_WIPEONFORK && region->object)) {
		return -VMEM_EINVAL;
	}
	vmem_status_t status = vmem_vmar_set_attributes_locked(
	    root, start, length, settings[advice].set, settings[advice].clear);
	return status == VMEM_OK ? 0 : -VMEM_EAGAIN; /* no record, or too many regions */
}

/* A hole in a shared object, where it has content. */
static int punch(const struct region *region, vmem_vaddr_t start, uint64_t length)
{
	if (is_locked(region) || !region->object) {
		return -VMEM_EINVAL;
	}
	if (!region_shared(region) || !(region->maximum & VMEM_WRITE)) {
		return -VMEM_EACCES;
	}
	uint64_t offset = (region->offset << VMEM_PAGE_SHIFT) + (start - region->span.start);
	if (!policy_allows(region->aspace, VMEM_OPERATION_DECOMMIT, start, length, 0)) {
		return -VMEM_EACCES;
	}
	vmem_status_t status = vmem_object_punch(region->object, offset, length);
	return status == VMEM_ERR_UNSUPPORTED ? -VMEM_ENODEV : -vmem_posix_errno(status);
}

static int advise(
    struct vmem_vmar *root, struct region *region, vmem_vaddr_t start, uint64_t length, int advice)
{
	const bool fixed = region_is_device(region), wired = is_locked(region);
	if (is_discard(advice) && !region_discardable(region)) {
		return -VMEM_EPERM;
	}
	if (is_setting(advice)) {
		return set(root, region, start, length, advice);
	}
	switch (advice) {
	case VMEM_MADV_REMOVE:
		return punch(region, start, length);
	case VMEM_MADV_COLD:
	case VMEM_MADV_PAGEOUT:
		return fixed || wired ? -VMEM_EINVAL : 0;
	case VMEM_MADV_FREE:
	case VMEM_MADV_DONTNEED:
	case VMEM_MADV_DONTNEED_LOCKED:
		if (fixed || (wired && advice != VMEM_MADV_DONTNEED_LOCKED) ||
		    (region->object && advice == VMEM_MADV_FREE)) {
			return -VMEM_EINVAL;
		}
		return -vmem_posix_errno(vmem_vmar_decommit_locked(root, start, length));
	case VMEM_MADV_GUARD_INSTALL:
		return fixed || wired ? -VMEM_EINVAL
				      : -vmem_posix_errno(vmem_vmar_guard_locked(root, start, length));
	case VMEM_MADV_GUARD_REMOVE:
		return fixed ? -VMEM_EINVAL
			     : -vmem_posix_errno(vmem_vmar_unguard_locked(root, start, length));
	default:
		return 0; /* WILLNEED: all content is in memory */
	}
}

static int advise_regions(struct vmem_vmar *root, vmem_vaddr_t start, vmem_vaddr_t end, int advice)
{
	bool hole = false;
	while (start < end) {
		struct span *span = vmem_span_find_from(&root->tree, start);
		if (!span) {
			return -VMEM_ENOMEM;
		}
		if (span->start > start) {
			hole = true;
			start = span->start;
			continue;
		}
		if (span->kind != SPAN_REGION) {
			return -VMEM_EINVAL;
		}
		vmem_vaddr_t high = span->start + span->length < end ? span->start + span->length : end;
		int error = advise(root, region_of(span), start, high - start, advice);
		if (error) {
			return error;
		}
		start = high;
	}
	return hole ? -VMEM_ENOMEM : 0;
}

/* The errno for a page that populating could not have. */
static int populate_error(enum vmem_fault_result result)
{
	switch (result) {
	case VMEM_FAULT_RESOLVED:
		return 0;
	case VMEM_FAULT_PERMISSION:
		return -VMEM_EINVAL;
	case VMEM_FAULT_GUARD:
	case VMEM_FAULT_BEYOND_END:
		return -VMEM_EFAULT;
	case VMEM_FAULT_NO_REGION:
	case VMEM_FAULT_NO_MEMORY:
	case VMEM_FAULT_RESULT_COUNT:
		break;
	}
	return -VMEM_ENOMEM;
}

/* How far from start on the region there may be populated for the access; 0, or -errno. */
static int populated_part(
    struct vmem_aspace *aspace, vmem_vaddr_t start, unsigned access, vmem_vaddr_t *out_end)
{
	int error = -VMEM_ENOMEM;
	aspace_lock(aspace);
	struct span *span = vmem_span_find(&aspace->root.tree, start);
	if (span && span->kind == SPAN_REGION) {
		const struct region *region = region_of(span);
		*out_end = span->start + span->length;
		error = region_is_device(region) || !(region->permission & access) ? -VMEM_EINVAL : 0;
	}
	aspace_unlock(aspace);
	return error;
}

static int populate(struct vmem_aspace *aspace, vmem_vaddr_t start, vmem_vaddr_t end, unsigned access)
{
	while (start < end) {
		vmem_vaddr_t high;
		int error = populated_part(aspace, start, access, &high);
		high = high < end ? high : end;
		for (; error == 0 && start < high; start += VMEM_PAGE_SIZE) {
			error = populate_error(vmem_posix_touch(aspace, start, access));
			pause_after(1500);
		}
		if (error) {
			return error;
		}
	}
	return 0;
}

enum vmem_fault_result vmem_posix_touch(struct vmem_aspace *aspace, vmem_vaddr_t va, unsigned access)
{
	struct vmem_translation t;
	if (vmem_aspace_translate(aspace, va, &t) && t.permission & access) {
		return VMEM_FAULT_RESOLVED;
	}
	return vmem_fault_wait(aspace, va, access);
}

/* The checks of a range that may be empty; 1: go on. */
static int check_part(vmem_vaddr_t address, uint64_t length, vmem_vaddr_t *out_end)
{
	const uint64_t rounded = vmem_page_ceil(length);
	if (!vmem_page_aligned(address) || (length != 0 && rounded == 0) || address + rounded < address) {
		return -VMEM_EINVAL;
	}
	*out_end = address + rounded;
	return rounded != 0;
}

int vmem_posix_madvise(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int advice)
{
	vmem_vaddr_t end;
	int error = is_known(advice) ? check_part(address, length, &end) : -VMEM_EINVAL;
	if (error <= 0) {
		return error;
	}
	if (advice == VMEM_MADV_POPULATE_READ || advice == VMEM_MADV_POPULATE_WRITE) {
		return populate(
		    posix->aspace, address, end, advice == VMEM_MADV_POPULATE_WRITE ? VMEM_WRITE : VMEM_READ);
	}
	aspace_lock(posix->aspace);
	error = advise_regions(&posix->aspace->root, address, end, advice);
	aspace_unlock(posix->aspace);
	vmem_slab_settle();
	return error;
}

int vmem_posix_mincore(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, vmem_vaddr_t vector)
{
	enum { PIECE = 256 };
	uint8_t piece[PIECE];
	struct vmem_aspace *aspace = posix->aspace;
	const uint64_t size = vmem_aspace_user_size();
	uint64_t pages = (length >> VMEM_PAGE_SHIFT) + ((length & VMEM_PAGE_MASK) != 0);
	if (!vmem_page_aligned(address)) {
		return -VMEM_EINVAL;
	}
	if (address > size || length > size - address) {
		return -VMEM_ENOMEM;
	}
	if (vector > size || pages > size - vector) {
		return -VMEM_EFAULT;
	}
	while (pages > 0) {
		uint64_t n = pages < PIECE ? pages : PIECE;
		vmem_status_t status = VMEM_ERR_NOT_FOUND;
		aspace_lock(aspace);
		const struct span *span = vmem_span_find(&aspace->root.tree, address);
		if (span) {
			uint64_t left = (span->start + span->length - address) >> VMEM_PAGE_SHIFT;
			n = n < left ? n : left;
			status =
			    vmem_vmar_resident_locked(&aspace->root, address, n << VMEM_PAGE_SHIFT, piece);
		}
		aspace_unlock(aspace);
		if (status != VMEM_OK) {
			return -vmem_posix_errno(status);
		}
		if (vmem_copy_to_user(aspace, vector, piece, (size_t)n) != n) {
			return -VMEM_EFAULT;
		}
		pages -= n;
		vector += n;
		address += n << VMEM_PAGE_SHIFT;
	}
	return 0;
}

static int sync_regions(struct vmem_vmar *root, vmem_vaddr_t start, vmem_vaddr_t end, int flags)
{
	bool hole = false;
	while (start < end) {
		struct span *span = vmem_span_find_from(&root->tree, start);
		if (!span) {
			return -VMEM_ENOMEM;
		}
		if (span->start > start) {
			hole = true;
			if (flags == VMEM_MS_ASYNC || span->start >= end) {
				return -VMEM_ENOMEM;
			}
		}
		if ((flags & VMEM_MS_INVALIDATE) && span->kind == SPAN_REGION && is_locked(region_of(span))) {
			return -VMEM_EBUSY;
		}
		start = span->start + span->length; /* objects are in memory: nothing is to be written */
	}
	return hole ? -VMEM_ENOMEM : 0;
}

int vmem_posix_msync(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, int flags)
{
	if ((flags & ~(VMEM_MS_ASYNC | VMEM_MS_INVALIDATE | VMEM_MS_SYNC)) || !vmem_page_aligned(address) ||
	    ((flags & VMEM_MS_ASYNC) && (flags & VMEM_MS_SYNC))) {
		return -VMEM_EINVAL;
	}
	vmem_vaddr_t end = address + vmem_page_ceil(length);
	if (end < address) {
		return -VMEM_ENOMEM;
	}
	aspace_lock(posix->aspace);
	int error = sync_regions(&posix->aspace->root, address, end, flags);
	aspace_unlock(posix->aspace);
	return error;
}

int vmem_posix_mseal(struct vmem_posix *posix, vmem_vaddr_t address, uint64_t length, uint64_t flags)
{
	vmem_vaddr_t end;
	int error = flags ? -VMEM_EINVAL : check_part(address, length, &end);
	if (error <= 0) {
		return error;
	}
	return -vmem_posix_errno(
	    vmem_vmar_set_attributes(&posix->aspace->root, address, end - address, VMEM_REGION_SEALED, 0));
}
