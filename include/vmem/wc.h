/* SPDX-License-Identifier: MIT */
/**
 * @file wc.h - document 002: mmap, mprotect and munmap with write-combining, devices and inodes.
 *
 * The page's signatures and its error convention: an address or (void *)-1, 0 or -1, and an errno.
 * Protection and flags are one set of five bits. What must be aligned is refused when it is not; a call
 * that fails has changed nothing. Any thread of the process may call; each passes a view of its own.
 */
#ifndef VMEM_WC_H
#define VMEM_WC_H

#include <vmem/aspace.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum {
	VMEM_WC_PROT_READ = 1,
	VMEM_WC_PROT_WRITE = 2,
	VMEM_WC_MAP_FIXED = 4, /**< the hint is where it goes; what is mapped there is replaced */
	VMEM_WC_MAP_ANON = 8,  /**< fd and offset are ignored; zeroes */
	VMEM_WC_MAP_WC = 16,   /**< write-combining where possible */
};

/** What a descriptor stands for. */
struct vmem_wc_file {
	struct vmem_object *object; /**< held for the caller of the function that fills this in */
	uint64_t offset; /**< of the mapping's first byte in the object; page aligned for a device */
	uint64_t size;	 /**< inode: bytes of content in the object; what lies behind reads zero */
	bool inode; /**< content that a mapping starts with; else a device, whose object is mapped itself */
};

/** What a mapping of a descriptor asks for. */
struct vmem_wc_request {
	int fd;
	int64_t offset;	     /**< not negative; any alignment */
	uint64_t length;     /**< bytes, page aligned */
	unsigned permission; /**< VMEM_READ | VMEM_WRITE */
	bool write_combining;
};

/** A thread's view of its process. The host owns and fills it in; only `error` is written here. */
struct vmem_wc {
	struct vmem_aspace *aspace;
	/** What the descriptor stands for: a device gives the object that it wants to be mapped for this
	 * request, with a cache attribute of its choice. False: no such descriptor, or nothing to map.
	 * NULL: there are none. Context: no lock is held; may call the library; the descriptor's reading
	 * position must not move. */
	bool (*find)(void *context, const struct vmem_wc_request *request, struct vmem_wc_file *out);
	void *context;
	int error; /**< errno of the last call that failed: VMEM_EINVAL, _ENOMEM, _EACCES of posix.h */
};

/**
 * Maps @p length bytes at @p hint if that is free, else anywhere; with MAP_FIXED there and nowhere else.
 *
 * An inode's content fills the mapping from @p offset on, as it is now; the rest reads zero; stores stay in
 * the space. A device's object is mapped as it is, from an offset that the device chooses. MAP_WC gives
 * anonymous memory write-combining in its entries when adjacent frames can be had and the CPU can give
 * frames another attribute (object.h, vmem_object_create_contiguous()); it is then committed at once and a
 * relative of the space shares it. Otherwise, and for inodes, it is ordinary memory. A device sees the wish.
 *
 * EINVAL: hint or length unaligned, length zero or more than a space has, a bit outside the five in either
 * argument, a negative offset, a fixed range outside the space, a descriptor that stands for nothing.
 * ENOMEM. EACCES: the access control, or the rights of the object or the space.
 */
void *vmem_wc_mmap(
    struct vmem_wc *wc, void *hint, size_t length, int protection, int flags, int fd, int64_t offset);

/** Sets the protection of a range that is mapped without holes. MAP bits say how a mapping was made, and
 * change nothing. EINVAL: unaligned, length zero, an unknown bit, a hole. ENOMEM, EACCES. */
int vmem_wc_mprotect(struct vmem_wc *wc, void *address, size_t length, int protection);

/** Unmaps a range that is mapped without holes, whatever mappings it is of. Errors as for mprotect. */
int vmem_wc_munmap(struct vmem_wc *wc, void *address, size_t length);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
