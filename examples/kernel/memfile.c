/* SPDX-License-Identifier: MIT */
/*
 * memfile.c - files in memory. The object has as many pages as the bytes need, and what programs have mapped
 * of it and what they read and write is the same memory. Behind the last byte the last page is zero whenever
 * the file begins to show it: when it grows, and when it was cut.
 */
#include "memfile.h"

#include <vmem/copy.h>
#include <vmem/object.h>

#include "calls.h"

#define MEMORY_FILES 64u

static struct memory_file memory_files[MEMORY_FILES];
static unsigned memory_files_made; /* [k] and not reaped yet */
static uint8_t pages[KERNEL_CPU_MAX][VMEM_PAGE_SIZE];

struct memory_file *memory_file_create(const char *name, unsigned seals)
{
	struct memory_file *file = NULL;
	struct vmem_object *object;

	if (vmem_object_create_anonymous(VMEM_PAGE_SIZE, VMEM_OBJECT_RESIZABLE, &object) != VMEM_OK) {
		return NULL;
	}
	(void)vmem_object_resize(object, 0);
	kernel_lock();
	for (unsigned i = 0; i < MEMORY_FILES && file == NULL; i++) {
		if (memory_files[i].references == 0 && memory_files[i].object == NULL) {
			file = &memory_files[i];
			*file = (struct memory_file){.references = 1, .object = object, .seals = seals};
			memcpy(file->name, name, string_length(name));
			memory_files_made++;
		}
	}
	kernel_unlock();
	if (file == NULL) {
		vmem_object_release(object);
	}
	return file;
}

void memory_files_reap(void)
{
	if (__atomic_load_n(&memory_files_made, __ATOMIC_RELAXED) == 0) {
		return;
	}
	for (unsigned i = 0; i < MEMORY_FILES; i++) {
		struct vmem_object *object = NULL;

		kernel_lock();
		if (memory_files[i].references == 0 && memory_files[i].object != NULL) {
			object = memory_files[i].object;
			memory_files[i].object = NULL;
			memory_files_made--;
		}
		kernel_unlock();
		if (object != NULL) {
			vmem_object_release(object);
		}
	}
}

void memory_files_forget(void)
{
	char name[MEMORY_NAME_MAX];

	for (uint64_t at = 0; memory_file_next(&at, name); at = 0) {
		(void)memory_file_unlink(name);
	}
	memory_files_reap();
}

void memory_file_release(struct memory_file *file)
{
	kernel_lock();
	file->references--;
	kernel_unlock();
	memory_files_reap();
}

/* With the kernel's lock. */
static struct memory_file *linked(const char *name)
{
	for (unsigned i = 0; i < MEMORY_FILES; i++) {
		if (memory_files[i].linked && string_equal(memory_files[i].name, name)) {
			return &memory_files[i];
		}
	}
	return NULL;
}

bool memory_file_link(struct memory_file *file)
{
	bool free;

	kernel_lock();
	free = linked(file->name) == NULL;
	if (free) {
		file->linked = true;
		file->references++;
	}
	kernel_unlock();
	return free;
}

bool memory_file_unlink(const char *name)
{
	struct memory_file *file;

	kernel_lock();
	file = linked(name);
	if (file != NULL) {
		file->linked = false;
		file->references--;
	}
	kernel_unlock();
	memory_files_reap();
	return file != NULL;
}

struct memory_file *memory_file_find(const char *name)
{
	struct memory_file *file;

	kernel_lock();
	file = linked(name);
	if (file != NULL) {
		file->references++;
	}
	kernel_unlock();
	return file;
}

bool memory_file_next(uint64_t *position, char *name)
{
	bool found = false;

	kernel_lock();
	for (; *position < MEMORY_FILES && !found; *position += found ? 0 : 1) {
		found = memory_files[*position].linked;
		if (found) {
			memcpy(name, memory_files[*position].name, MEMORY_NAME_MAX);
		}
	}
	kernel_unlock();
	return found;
}

const struct memory_file *memory_file_of(const struct vmem_object *object)
{
	for (unsigned i = 0; i < MEMORY_FILES; i++) {
		if (memory_files[i].object == object) {
			return &memory_files[i];
		}
	}
	return NULL;
}

uint64_t memory_file_number(const struct memory_file *file)
{
	return UINT64_C(1) << 20 | (uint64_t)(file - memory_files);
}

int64_t memory_file_path(const struct memory_file *file, char *to, size_t room)
{
	const bool shown = file->linked;

	return (int64_t)kernel_print(
	    to, room, "/%s%s%s", shown ? "tmp/" : "memfd:", file->name, shown ? "" : " (deleted)");
}

int64_t memory_file_read(struct memory_file *file, uint64_t to, uint64_t length, uint64_t position)
{
	uint8_t *page = pages[cpu_this()->number];
	uint64_t done = 0;

	while (done < length) {
		const uint64_t at = position + done;
		uint64_t part = length - done < VMEM_PAGE_SIZE ? length - done : VMEM_PAGE_SIZE;

		lock_take(&file->lock);
		part = at >= file->size ? 0 : part < file->size - at ? part : file->size - at;
		(void)vmem_object_read(file->object, at, page, part, NULL);
		lock_drop(&file->lock);
		if (part == 0) {
			break;
		}
		const size_t got = vmem_copy_to_user(process_current()->aspace, to + done, page, part);
		done += got;
		if (got < part) {
			return done != 0 ? (int64_t)done : -EFAULT;
		}
	}
	return (int64_t)done;
}

/* With the file's lock. What programs have stored behind the old end is not shown. */
static int64_t set_size(struct memory_file *file, uint64_t size)
{
	const uint64_t tail = size < file->size ? size : file->size;
	const uint64_t tail_end = vmem_page_ceil(tail);

	if (size > INT64_MAX - VMEM_PAGE_SIZE) {
		return -EFBIG;
	}
	if (size > file->size && vmem_object_resize(file->object, vmem_page_ceil(size)) != VMEM_OK) {
		return -EFBIG;
	}
	if (tail != tail_end && vmem_object_zero(file->object, tail, tail_end - tail) != VMEM_OK) {
		return -ENOMEM;
	}
	if (size < file->size) {
		(void)vmem_object_resize(file->object, vmem_page_ceil(size));
	}
	file->size = size;
	return 0;
}

static int64_t write_part(struct memory_file *file, const void *from, size_t length, uint64_t at)
{
	int64_t result = 0;
	size_t done = 0;

	lock_take(&file->lock);
	if ((file->seals & (SEAL_WRITE | SEAL_FUTURE_WRITE)) != 0 ||
	    ((file->seals & SEAL_GROW) != 0 && at + length > file->size)) {
		result = -EPERM;
	} else if (at + length > file->size) {
		result = set_size(file, at + length);
	}
	if (result == 0 && vmem_object_write(file->object, at, from, length, &done) != VMEM_OK && done == 0) {
		result = -ENOSPC;
	}
	lock_drop(&file->lock);
	return result != 0 ? result : (int64_t)done;
}

int64_t memory_file_write(struct memory_file *file, uint64_t from, uint64_t length, uint64_t position)
{
	uint8_t *page = pages[cpu_this()->number];
	uint64_t done = 0;

	while (done < length) {
		const size_t want = length - done < VMEM_PAGE_SIZE ? (size_t)(length - done) : VMEM_PAGE_SIZE;
		const size_t got = vmem_copy_from_user(process_current()->aspace, page, from + done, want);
		const int64_t put = got != 0 ? write_part(file, page, got, position + done) : -EFAULT;

		if (put < 0) {
			return done != 0 ? (int64_t)done : put;
		}
		done += (uint64_t)put;
		if ((size_t)put < want) {
			break;
		}
	}
	return (int64_t)done;
}

int64_t memory_file_resize(struct memory_file *file, uint64_t size)
{
	int64_t result = 0;

	lock_take(&file->lock);
	if (((file->seals & SEAL_SHRINK) != 0 && size < file->size) ||
	    ((file->seals & SEAL_GROW) != 0 && size > file->size)) {
		result = -EPERM;
	} else if (size != file->size) {
		result = set_size(file, size);
	}
	lock_drop(&file->lock);
	return result;
}

int64_t memory_file_seal(struct memory_file *file, uint64_t seals)
{
	struct vmem_object_info info;
	int64_t result = 0;

	if ((seals & ~(uint64_t)(SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_WRITE | SEAL_FUTURE_WRITE)) !=
	    0) {
		return -EINVAL;
	}
	lock_take(&file->lock);
	vmem_object_info(file->object, &info);
	if ((file->seals & SEAL_SEAL) != 0) {
		result = -EPERM;
	} else if ((seals & SEAL_WRITE) != 0 && info.writable != 0) {
		result = -EBUSY;
	} else {
		file->seals |= (unsigned)seals;
	}
	lock_drop(&file->lock);
	return result;
}
