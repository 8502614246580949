/* SPDX-License-Identifier: MIT */
/*
 * calls_memory.c - system calls on memory: what this kernel is the example for. Linux's semantics are the
 * library's (posix.h); here are only the order of the arguments and what of a file can be mapped. Each
 * takes the process's lock of its memory, for user_word.c's sake alone.
 */
#include <vmem/copy.h>

#include "calls.h"
#include "files.h"
#include "memfile.h"
#include "stretch.h"

int64_t call_brk(const uint64_t *argument)
{
	int64_t result;

	lock_take(&process_current()->memory);
	result = (int64_t)vmem_posix_brk(&process_current()->posix, argument[0]);
	lock_drop(&process_current()->memory);
	return result;
}

/* What of an open file can be mapped. 0, or the reason why nothing can. */
static int64_t file_to_map(
    struct open_file *file, const uint64_t *argument, struct vmem_posix_file *out)
{
	*out = (struct vmem_posix_file){.offset = argument[5], .maximum = VMEM_READ | VMEM_EXEC};
	if (file->kind == FILE_MEMORY) {
		out->object = file->memory->object;
		out->maximum = file->access | VMEM_EXEC;
		if ((file->memory->seals & (SEAL_WRITE | SEAL_FUTURE_WRITE)) != 0) {
			if ((argument[3] & VMEM_MMAP_SHARED) != 0 && (argument[2] & VMEM_PROT_WRITE) != 0) {
				return -EPERM;
			}
			out->maximum &= ~(unsigned)VMEM_WRITE;
		}
	} else if (file->kind == FILE_ARCHIVE && !archive_is_directory(file->entry)) {
		const vmem_status_t status = archive_object(file->entry, &out->object);

		return status == VMEM_ERR_NO_MEMORY ? -ENOMEM : 0;
	}
	return 0;
}

static int64_t map_file(const uint64_t *argument, vmem_vaddr_t *address)
{
	struct open_file *file = files_hold(argument[4]);
	struct vmem_posix_file mapped;
	int64_t result;

	if (file == NULL) {
		return -EBADF;
	}
	result = file_to_map(file, argument, &mapped);
	if (result == 0) {
		lock_take(&process_current()->memory);
		result = vmem_posix_mmap_object(&process_current()->posix, argument[0], argument[1],
		    (int)argument[2], (int)argument[3], &mapped, address);
		lock_drop(&process_current()->memory);
	}
	files_release(file);
	return result;
}

int64_t call_mmap(const uint64_t *argument)
{
	vmem_vaddr_t address = 0;
	int64_t result;

	if ((argument[5] & VMEM_PAGE_MASK) != 0) {
		return -EINVAL;
	}
	if ((argument[3] & VMEM_MMAP_ANONYMOUS) == 0) {
		result = map_file(argument, &address);
		return result < 0 ? result : (int64_t)address;
	}
	lock_take(&process_current()->memory);
	result = vmem_posix_mmap(&process_current()->posix, argument[0], argument[1], (int)argument[2],
	    (int)argument[3], &address);
	lock_drop(&process_current()->memory);
	return result < 0 ? result : (int64_t)address;
}

int64_t call_munmap(const uint64_t *argument)
{
	int64_t result;

	stretch_begin(STRETCH_UNMAP);
	lock_take(&process_current()->memory);
	result = vmem_posix_munmap(&process_current()->posix, argument[0], argument[1]);
	lock_drop(&process_current()->memory);
	stretch_end();
	return result;
}

int64_t call_mprotect(const uint64_t *argument)
{
	int64_t result;

	stretch_begin(STRETCH_PROTECT);
	lock_take(&process_current()->memory);
	result = vmem_posix_mprotect(&process_current()->posix, argument[0], argument[1], (int)argument[2]);
	lock_drop(&process_current()->memory);
	stretch_end();
	return result;
}

int64_t call_mremap(const uint64_t *argument)
{
	vmem_vaddr_t address = 0;
	int result;

	lock_take(&process_current()->memory);
	result = vmem_posix_mremap(&process_current()->posix, argument[0], argument[1], argument[2],
	    (int)argument[3], argument[4], &address);
	lock_drop(&process_current()->memory);
	return result < 0 ? result : (int64_t)address;
}

int64_t kernel_copy_in(void *to, uint64_t from, size_t length)
{
	return vmem_copy_from_user(process_current()->aspace, to, from, length) == length ? 0 : -EFAULT;
}

int64_t kernel_copy_out(uint64_t to, const void *from, size_t length)
{
	return vmem_copy_to_user(process_current()->aspace, to, from, length) == length ? 0 : -EFAULT;
}

int64_t kernel_copy_path(char path[KERNEL_PATH_MAX], uint64_t from)
{
	size_t length;

	switch (
	    (int)vmem_strncpy_from_user(process_current()->aspace, path, from, KERNEL_PATH_MAX, &length)) {
	case VMEM_OK:
		return 0;
	case VMEM_ERR_RANGE:
		return -ENAMETOOLONG;
	default:
		return -EFAULT;
	}
}
