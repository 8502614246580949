/* SPDX-License-Identifier: MIT */
/*
 * files.c - the table of open files. One for the whole kernel: a slot is free when no descriptor refers to
 * it. Standard input, output and errors are the first three slots and stay.
 */
#include "files.h"

#include "memfile.h"
#include "pipe.h"

#define OPEN_MAX 128u

static struct open_file open_files[OPEN_MAX] = {
    {.references = 1, .kind = FILE_INPUT},
    {.references = 1, .kind = FILE_OUTPUT},
    {.references = 1, .kind = FILE_ERRORS},
};

void files_init(struct process *process)
{
	kernel_lock();
	open_files[0].entry = archive_find("etc/stdin", false, NULL);
	for (unsigned i = 0; i < 3; i++) {
		open_files[i].references++;
		process->files[i] = &open_files[i];
	}
	kernel_unlock();
}

void files_inherit(struct process *process)
{
	for (unsigned i = 0; i < FILES_MAX; i++) {
		if (process->files[i] != NULL) {
			process->files[i]->references++;
		}
	}
}

/* With the kernel's lock. */
static void drop(struct open_file *file)
{
	if (--file->references != 0) {
		return;
	}
	if (file->memory != NULL) {
		file->memory->references--;
	}
	if (file->pipe != NULL) {
		pipe_close(file->pipe, file->access == VMEM_WRITE);
		file->pipe = NULL;
	}
}

void files_close_all(struct process *process)
{
	for (unsigned i = 0; i < FILES_MAX; i++) {
		if (process->files[i] != NULL) {
			drop(process->files[i]);
			process->files[i] = NULL;
		}
	}
}

static struct open_file *get(uint64_t descriptor)
{
	return descriptor < FILES_MAX ? process_current()->files[descriptor] : NULL;
}

struct open_file *files_hold(uint64_t descriptor)
{
	struct open_file *file;

	kernel_lock();
	file = get(descriptor);
	if (file != NULL) {
		file->references++;
		thread_current()->holds = file;
	}
	kernel_unlock();
	return file;
}

void files_release(struct open_file *file)
{
	kernel_lock();
	thread_current()->holds = NULL;
	drop(file);
	kernel_unlock();
	memory_files_reap();
}

void files_forget(struct thread *thread)
{
	if (thread->holds != NULL) {
		drop(thread->holds);
		thread->holds = NULL;
	}
}

static int64_t duplicate(struct open_file *file, uint64_t lowest)
{
	for (uint64_t i = lowest; i < limit_files(process_current()); i++) {
		if (process_current()->files[i] == NULL) {
			process_current()->files[i] = file;
			process_current()->files_not_for_exec &= ~(UINT32_C(1) << i);
			file->references++;
			return (int64_t)i;
		}
	}
	return lowest < FILES_MAX ? -EMFILE : -EINVAL;
}

int64_t files_duplicate(struct open_file *file, uint64_t lowest)
{
	int64_t result;

	kernel_lock();
	result = duplicate(file, lowest);
	kernel_unlock();
	return result;
}

static int64_t open_as(const struct open_file *file)
{
	int64_t result = -EMFILE;

	kernel_lock();
	for (unsigned i = 0; i < OPEN_MAX; i++) {
		if (open_files[i].references == 0) {
			open_files[i] = *file;
			result = duplicate(&open_files[i], 0);
			break;
		}
	}
	if (result < 0 && file->memory != NULL) {
		file->memory->references--;
	}
	if (result < 0 && file->pipe != NULL) {
		pipe_close(file->pipe, file->access == VMEM_WRITE);
	}
	kernel_unlock();
	return result;
}

int64_t files_open(struct archive_entry *entry)
{
	return open_as(&(struct open_file){.kind = FILE_ARCHIVE, .entry = entry});
}

int64_t files_open_memory(struct memory_file *memory, unsigned access, bool appends)
{
	return open_as(&(struct open_file){
	    .kind = FILE_MEMORY, .memory = memory, .access = access, .appends = appends});
}

int64_t files_open_proc(enum proc_file proc)
{
	return open_as(&(struct open_file){.kind = FILE_PROC, .proc = proc, .access = VMEM_READ});
}

int64_t files_open_pipe(struct pipe *pipe, unsigned access, bool at_once)
{
	return open_as(
	    &(struct open_file){.kind = FILE_PIPE, .pipe = pipe, .access = access, .at_once = at_once});
}

void files_set_exec(uint64_t descriptor, bool keeps)
{
	struct process *process = process_current();
	const uint32_t bit = UINT32_C(1) << (descriptor % FILES_MAX);

	_Static_assert(FILES_MAX <= 32, "files_not_for_exec");
	kernel_lock();
	process->files_not_for_exec =
	    keeps ? process->files_not_for_exec & ~bit : process->files_not_for_exec | bit;
	kernel_unlock();
}

bool files_get_exec(uint64_t descriptor)
{
	return (process_current()->files_not_for_exec >> (descriptor % FILES_MAX) & 1) == 0;
}

void files_exec(void)
{
	for (unsigned i = 0; i < FILES_MAX; i++) {
		if (!files_get_exec(i)) {
			(void)files_close(i);
			files_set_exec(i, true);
		}
	}
}

int64_t files_reopen(uint64_t descriptor, unsigned access)
{
	struct open_file *file = files_hold(descriptor);
	int64_t result;

	if (file == NULL) {
		return -ENOENT;
	}
	if (file->kind == FILE_MEMORY) {
		kernel_lock();
		file->memory->references++;
		kernel_unlock();
		result = files_open_memory(file->memory, access, false);
	} else {
		result = files_duplicate(file, 0);
	}
	files_release(file);
	return result;
}

int64_t files_close(uint64_t descriptor)
{
	struct open_file *file;

	kernel_lock();
	file = get(descriptor);
	if (file != NULL) {
		drop(file);
		process_current()->files[descriptor] = NULL;
	}
	kernel_unlock();
	memory_files_reap();
	return file != NULL ? 0 : -EBADF;
}

int64_t files_replace(struct open_file *file, uint64_t descriptor)
{
	if (descriptor >= FILES_MAX) {
		return -EBADF;
	}
	kernel_lock();
	file->references++;
	if (process_current()->files[descriptor] != NULL) {
		drop(process_current()->files[descriptor]);
	}
	process_current()->files[descriptor] = file;
	process_current()->files_not_for_exec &= ~(UINT32_C(1) << descriptor);
	kernel_unlock();
	return (int64_t)descriptor;
}
