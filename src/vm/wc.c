/* SPDX-License-Identifier: MIT */
/*
 * wc.c - document 002 over the core: arguments and statuses are translated here; what is mapped for a
 * descriptor is made here.
 *
 * An inode's window is a snapshot of the file's pages, taken when it is mapped: content as of then, nothing
 * copied before a store, and pages past the end exist, so that no access ever fails. From an offset inside a
 * page nothing can be shared: the bytes are copied into a new object. Either is mapped private, so that a
 * relative of the space has its own.
 *
 * Locks: the space's, from the look for holes until the range is gone.
 */
#include <vmem/posix.h>
#include <vmem/wc.h>

#include "region.h"
#include "slab.h"

#define PROT_BITS (VMEM_WC_PROT_READ | VMEM_WC_PROT_WRITE)
#define ALL_BITS (PROT_BITS | VMEM_WC_MAP_FIXED | VMEM_WC_MAP_ANON | VMEM_WC_MAP_WC)

_Static_assert((unsigned)VMEM_WC_PROT_READ == VMEM_READ && (unsigned)VMEM_WC_PROT_WRITE == VMEM_WRITE,
    "the page's bits are ours");

/* The page knows three errors. Too little room in the space is too little memory. */
static int errno_of(vmem_status_t status)
{
	if (status == VMEM_ERR_NO_MEMORY || status == VMEM_ERR_NO_SPACE || status == VMEM_ERR_LIMIT) {
		return VMEM_ENOMEM;
	}
	return status == VMEM_ERR_DENIED ? VMEM_EACCES : VMEM_EINVAL;
}

static int answer(struct vmem_wc *wc, vmem_status_t status)
{
	if (status == VMEM_OK) {
		return 0;
	}
	wc->error = errno_of(status);
	return -1;
}

/* Copies `length` bytes of the file, from an offset inside a page, into a new object. */
static vmem_status_t copy_bytes(const struct vmem_wc_file *file, uint64_t length, struct vmem_object *to)
{
	uint8_t bytes[512];
	for (uint64_t done = 0; done < length;) {
		size_t n = length - done < sizeof(bytes) ? (size_t)(length - done) : sizeof(bytes), got = 0;
		vmem_status_t status = vmem_object_read(file->object, file->offset + done, bytes, n, &got);
		status = status == VMEM_OK ? vmem_object_write(to, done, bytes, n, NULL) : status;
		if (status != VMEM_OK) {
			return status;
		}
		done += n;
	}
	return VMEM_OK;
}

/* A new object of `length` bytes that begins with the file's content and goes on with zeroes. */
static vmem_status_t window_of(const struct vmem_wc_file *file, uint64_t length, struct vmem_object **out)
{
	uint64_t content = file->offset < file->size ? file->size - file->offset : 0;
	bool shares = vmem_page_aligned(file->offset) && content > 0;
	content = content < length ? content : length;
	vmem_status_t status =
	    shares ? vmem_object_snapshot(file->object, file->offset, length, out) : VMEM_ERR_UNSUPPORTED;
	if (status == VMEM_OK) {
		status = content < length ? vmem_object_zero(*out, content, length - content) : VMEM_OK;
	} else if (status == VMEM_ERR_UNSUPPORTED) { /* frames that cannot be shared, too */
		status = vmem_object_create_anonymous(length, 0, out);
		if (status != VMEM_OK) {
			return status;
		}
		status = copy_bytes(file, content, *out);
	} else {
		return status;
	}
	if (status != VMEM_OK) {
		vmem_object_release(*out);
		*out = NULL;
	}
	return status;
}

/* What the descriptor stands for, into the map; map->object is then held. Not inline: a file's bytes pass
 * through the stack, where they are not to lie below all that mapping takes. */
static __attribute__((noinline)) vmem_status_t open_file(
    struct vmem_wc *wc, const struct vmem_wc_request *request, struct vmem_map *map)
{
	struct vmem_wc_file file = {0};
	if (request->offset < 0 || !wc->find || !wc->find(wc->context, request, &file)) {
		return VMEM_ERR_INVALID;
	}
	if (!file.inode) {
		map->object = file.object;
		map->offset = file.offset;
		map->flags |= VMEM_MAP_SHARED;
		return VMEM_OK;
	}
	vmem_status_t status = window_of(&file, request->length, &map->object);
	vmem_object_release(file.object);
	return status;
}

/* Write-combining frames, if they can be had; if not, the map stays ordinary memory. */
static void combine_writes(struct vmem_map *map)
{
	if (vmem_object_create_contiguous(map->length, 0, 0, VMEM_WRITE_COMBINING, &map->object) == VMEM_OK) {
		map->flags |= VMEM_MAP_SHARED;
	} else {
		map->object = NULL;
	}
}

static vmem_status_t map_window(struct vmem_wc *wc, vmem_vaddr_t hint, size_t length, unsigned bits, int fd,
    int64_t offset, vmem_vaddr_t *out)
{
	struct vmem_map map = {
	    .length = length,
	    .permission = bits & PROT_BITS,
	    .maximum = VMEM_READ | VMEM_WRITE,
	    .place = bits & VMEM_WC_MAP_FIXED ? VMEM_PLACE_REPLACE
		     : hint != 0	      ? VMEM_PLACE_HINT
					      : VMEM_PLACE_ANY,
	    .address = hint,
	};
	const struct vmem_wc_request request = {
	    .fd = fd,
	    .offset = offset,
	    .length = length,
	    .permission = map.permission,
	    .write_combining = (bits & VMEM_WC_MAP_WC) != 0,
	};
	vmem_status_t status = VMEM_OK;
	if (!(bits & VMEM_WC_MAP_ANON)) {
		status = open_file(wc, &request, &map);
	} else if (request.write_combining) {
		combine_writes(&map);
	}
	status = status == VMEM_OK ? vmem_vmar_map(&wc->aspace->root, &map, out) : status;
	if (map.object) {
		vmem_object_release(map.object); /* the region holds its own reference */
	}
	return status;
}

void *vmem_wc_mmap(
    struct vmem_wc *wc, void *hint, size_t length, int protection, int flags, int fd, int64_t offset)
{
	unsigned bits = (unsigned)protection | (unsigned)flags;
	vmem_vaddr_t address = (uintptr_t)hint, start = 0;
	vmem_status_t status = VMEM_ERR_INVALID;
	if (vmem_page_aligned(address) && vmem_page_aligned(length) && length != 0 &&
	    length <= wc->aspace->root.tree.length && !(bits & ~(unsigned)ALL_BITS)) {
		status = map_window(wc, address, length, bits, fd, offset, &start);
	}
	return answer(wc, status) == 0 ? (void *)(uintptr_t)start : (void *)(uintptr_t)-1;
}

int vmem_wc_mprotect(struct vmem_wc *wc, void *address, size_t length, int protection)
{
	if ((unsigned)protection & ~(unsigned)ALL_BITS) {
		return answer(wc, VMEM_ERR_INVALID);
	}
	return answer(wc, vmem_vmar_protect(&wc->aspace->root, (uintptr_t)address, length,
			      (unsigned)protection & PROT_BITS));
}

int vmem_wc_munmap(struct vmem_wc *wc, void *address, size_t length)
{
	struct vmem_vmar *root = &wc->aspace->root;
	vmem_vaddr_t start = (uintptr_t)address;
	vmem_status_t status = vmem_vmar_check_range(root, start, length);
	if (status != VMEM_OK) {
		return answer(wc, status);
	}
	aspace_lock(wc->aspace);
	status = vmem_vmar_check_covered(vmem_span_find(&root->tree, start), start, start + length);
	status = status == VMEM_OK ? vmem_vmar_unmap_locked(root, start, length) : status;
	aspace_unlock(wc->aspace);
	vmem_slab_settle();
	return answer(wc, status);
}
