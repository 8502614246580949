/* SPDX-License-Identifier: MIT */
/*
 * calls_file.c - system calls on descriptors. What is written passes through a page of the CPU's: the kernel
 * never touches a user address, and nothing else can run here while it is in use.
 */
#include <vmem/copy.h>

#include "calls.h"
#include "files.h"
#include "memfile.h"
#include "pipe.h"

#define VECTOR_MAX 1024u
#define O_APPEND 02000
#define O_NONBLOCK 04000
#define O_CLOEXEC 02000000

enum { F_ADD_SEALS = 1033, F_GET_SEALS = 1034 };

static uint8_t pages[KERNEL_CPU_MAX][VMEM_PAGE_SIZE];

struct io_vector {
	uint64_t base, length;
};

/* In the demonstration all output goes into the log, so that it is one stream in order. */
static enum port_channel output_channel(const struct open_file *file)
{
	if (!kernel_options.run) {
		return PORT_LOG;
	}
	return file->kind == FILE_OUTPUT ? PORT_OUT : PORT_ERR;
}

static int64_t write_out(const struct open_file *file, uint64_t from, uint64_t length)
{
	uint8_t *page = pages[cpu_this()->number];
	uint64_t done = 0;

	while (done < length) {
		const size_t left = (size_t)(length - done);
		const size_t want = left < VMEM_PAGE_SIZE ? left : VMEM_PAGE_SIZE;
		size_t got;

		got = vmem_copy_from_user(process_current()->aspace, page, from + done, want);
		kernel_write(output_channel(file), page, got);
		done += got;
		if (got < want) {
			return done != 0 ? (int64_t)done : -EFAULT;
		}
	}
	return (int64_t)done;
}

static int64_t read_in(const struct open_file *file, uint64_t to, uint64_t length, uint64_t position)
{
	const struct archive_entry *entry = file->entry;
	uint64_t left;
	size_t done;

	if (file->kind == FILE_OUTPUT || file->kind == FILE_ERRORS) {
		return -EBADF;
	}
	if (file->kind == FILE_MEMORY) {
		return (file->access & VMEM_READ) != 0
			   ? memory_file_read(file->memory, to, length, position)
			   : -EBADF;
	}
	if (file->kind == FILE_PROC) {
		return proc_read(file->proc, to, length, position);
	}
	if (file->kind == FILE_PIPE) {
		return file->access == VMEM_READ ? pipe_read(file->pipe, to, length, !file->at_once) : -EBADF;
	}
	if (entry == NULL || position >= entry->size) {
		return 0;
	}
	if (archive_is_directory(entry)) {
		return -EISDIR;
	}
	left = entry->size - position;
	if (left > length) {
		left = length;
	}
	done = vmem_copy_to_user(process_current()->aspace, to, entry->data + position, left);
	return done == 0 && left != 0 ? -EFAULT : (int64_t)done;
}

int64_t call_read(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t done;

	if (file == NULL) {
		return -EBADF;
	}
	done = read_in(file, argument[1], argument[2], file->position);
	if (done > 0) {
		file->position += (uint64_t)done;
	}
	files_release(file);
	return done;
}

int64_t call_pread64(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t done;

	if (file == NULL) {
		return -EBADF;
	}
	if (file->kind != FILE_ARCHIVE && file->kind != FILE_MEMORY && file->kind != FILE_PROC) {
		done = -ESPIPE;
	} else if ((int64_t)argument[3] < 0) {
		done = -EINVAL;
	} else {
		done = read_in(file, argument[1], argument[2], argument[3]);
	}
	files_release(file);
	return done;
}

static int64_t write_memory(struct open_file *file, uint64_t from, uint64_t length, uint64_t position)
{
	if ((file->access & VMEM_WRITE) == 0) {
		return -EBADF;
	}
	if ((int64_t)position < 0 || length > (uint64_t)INT64_MAX - position) {
		return -EINVAL;
	}
	return memory_file_write(file->memory, from, length, position);
}

int64_t call_pwrite64(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t done = -EBADF;

	if (file == NULL) {
		return -EBADF;
	}
	if (file->kind == FILE_MEMORY) {
		done = write_memory(file, argument[1], argument[2], argument[3]);
	} else if (file->kind != FILE_ARCHIVE) {
		done = -ESPIPE;
	}
	files_release(file);
	return done;
}

int64_t call_write(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t done = -EBADF;

	if (file == NULL) {
		return -EBADF;
	}
	if (file->kind == FILE_OUTPUT || file->kind == FILE_ERRORS) {
		done = write_out(file, argument[1], argument[2]);
	} else if (file->kind == FILE_MEMORY) {
		file->position = file->appends ? file->memory->size : file->position;
		done = write_memory(file, argument[1], argument[2], file->position);
		file->position += done > 0 ? (uint64_t)done : 0;
	} else if (file->kind == FILE_PIPE && file->access == VMEM_WRITE) {
		done = pipe_write(file->pipe, argument[1], argument[2], !file->at_once);
	}
	files_release(file);
	return done;
}

/* readv and writev: a part that is cut short ends the call. */
static int64_t for_each_vector(const uint64_t *argument, kernel_call_t *call)
{
	int64_t total = 0;

	if (argument[2] > VECTOR_MAX) {
		return -EINVAL;
	}
	for (uint64_t i = 0; i < argument[2]; i++) {
		struct io_vector vector;
		int64_t done = kernel_copy_in(&vector, argument[1] + i * sizeof(vector), sizeof(vector));

		if (done == 0) {
			const uint64_t part[3] = {argument[0], vector.base, vector.length};
			done = call(part);
		}
		if (done < 0) {
			return total != 0 ? total : done;
		}
		total += done;
		if ((uint64_t)done < vector.length) {
			break;
		}
	}
	return total;
}

int64_t call_readv(const uint64_t *argument)
{
	return for_each_vector(argument, call_read);
}

int64_t call_writev(const uint64_t *argument)
{
	return for_each_vector(argument, call_write);
}

int64_t call_close(const uint64_t *argument)
{
	return files_close(argument[0]);
}

static int64_t seek(struct open_file *file, int64_t position, uint64_t from)
{
	enum { SEEK_FROM_START, SEEK_FROM_HERE, SEEK_FROM_END };

	if (file->kind != FILE_ARCHIVE && file->kind != FILE_MEMORY) {
		return -ESPIPE;
	}
	switch (from) {
	case SEEK_FROM_START:
		break;
	case SEEK_FROM_HERE:
		position += (int64_t)file->position;
		break;
	case SEEK_FROM_END:
		position += (int64_t)(file->kind == FILE_MEMORY ? file->memory->size : file->entry->size);
		break;
	default:
		return -EINVAL;
	}
	if (position < 0) {
		return -EINVAL;
	}
	file->position = (uint64_t)position;
	return position;
}

int64_t call_lseek(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t position;

	if (file == NULL) {
		return -EBADF;
	}
	position = seek(file, (int64_t)argument[1], argument[2]);
	files_release(file);
	return position;
}

int64_t call_dup(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t result;

	if (file == NULL) {
		return -EBADF;
	}
	result = files_duplicate(file, 0);
	files_release(file);
	return result;
}

int64_t call_dup2(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t result;

	if (file == NULL) {
		return -EBADF;
	}
	result = files_replace(file, argument[1]);
	files_release(file);
	return result;
}

int64_t call_dup3(const uint64_t *argument)
{
	int64_t result;

	if (argument[0] == argument[1] || (argument[2] & ~(uint64_t)O_CLOEXEC) != 0) {
		return -EINVAL;
	}
	result = call_dup2(argument);
	if (result >= 0 && (argument[2] & O_CLOEXEC) != 0) {
		files_set_exec((uint64_t)result, false);
	}
	return result;
}

static int64_t get_flags(const struct open_file *file)
{
	switch (file->kind) {
	case FILE_MEMORY:
	case FILE_PIPE:
		return (file->access == VMEM_READ ? 0 : file->access == VMEM_WRITE ? 1 : 2) |
		       (file->at_once ? O_NONBLOCK : 0) | (file->appends ? O_APPEND : 0);
	case FILE_OUTPUT:
	case FILE_ERRORS:
		return 1;
	case FILE_ARCHIVE:
	case FILE_INPUT:
	case FILE_PROC:
		break;
	}
	return 0;
}

static int64_t control_seals(struct open_file *file, const uint64_t *argument)
{
	if (file->kind != FILE_MEMORY) {
		return -EINVAL;
	}
	if (argument[1] == F_GET_SEALS) {
		return (int64_t)file->memory->seals;
	}
	return (file->access & VMEM_WRITE) != 0 ? memory_file_seal(file->memory, argument[2]) : -EPERM;
}

static int64_t control(struct open_file *file, const uint64_t *argument)
{
	enum { F_DUPFD = 0, F_GETFD = 1, F_SETFD = 2, F_GETFL = 3, F_SETFL = 4, F_DUPFD_CLOEXEC = 1030 };
	int64_t result;

	switch (argument[1]) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		result = files_duplicate(file, argument[2]);
		if (result >= 0 && argument[1] == F_DUPFD_CLOEXEC) {
			files_set_exec((uint64_t)result, false);
		}
		return result;
	case F_ADD_SEALS:
	case F_GET_SEALS:
		return control_seals(file, argument);
	case F_GETFL:
		return get_flags(file);
	case F_GETFD:
		return files_get_exec(argument[0]) ? 0 : 1;
	case F_SETFD:
		files_set_exec(argument[0], (argument[2] & 1) == 0);
		return 0;
	case F_SETFL:
		file->at_once = (argument[2] & O_NONBLOCK) != 0;
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t call_fcntl(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);
	int64_t result;

	if (file == NULL) {
		return -EBADF;
	}
	result = control(file, argument);
	files_release(file);
	return result;
}

/* Nothing here is a terminal, nor any other device. */
int64_t call_ioctl(const uint64_t *argument)
{
	struct open_file *file = files_hold(argument[0]);

	if (file == NULL) {
		return -EBADF;
	}
	files_release(file);
	return -ENOTTY;
}

int64_t call_ftruncate(const uint64_t *argument)
{
	struct open_file *file;
	int64_t result = -EINVAL;

	if ((int64_t)argument[1] < 0) {
		return -EINVAL;
	}
	file = files_hold(argument[0]);
	if (file == NULL) {
		return -EBADF;
	}
	if (file->kind == FILE_MEMORY && (file->access & VMEM_WRITE) != 0) {
		result = memory_file_resize(file->memory, argument[1]);
	}
	files_release(file);
	return result;
}

/* The name is for /proc alone. */
int64_t call_memfd_create(const uint64_t *argument)
{
	enum { MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2, MFD_NOEXEC_SEAL = 8, MFD_EXEC = 16, NAME_MOST = 249 };
	char name[KERNEL_PATH_MAX];
	struct memory_file *file;
	int64_t result;

	if ((argument[1] & ~(uint64_t)(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC)) != 0) {
		return -EINVAL;
	}
	result = kernel_copy_path(name, argument[0]);
	if (result == -ENAMETOOLONG || (result == 0 && string_length(name) > NAME_MOST)) {
		return -EINVAL;
	}
	if (result != 0) {
		return result;
	}
	file = memory_file_create(name, (argument[1] & MFD_ALLOW_SEALING) != 0 ? 0 : SEAL_SEAL);
	if (file == NULL) {
		return -ENOMEM;
	}
	file->mode = 0777;
	result = files_open_memory(file, VMEM_READ | VMEM_WRITE, false);
	if (result >= 0) {
		files_set_exec((uint64_t)result, (argument[1] & MFD_CLOEXEC) == 0);
	}
	return result;
}
