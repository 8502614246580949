/* SPDX-License-Identifier: MIT */
/*
 * exec.c - a process runs another program.
 *
 * E1. The new space is complete before the old one is touched: what fails has changed nothing.
 * E2. Then all other threads end, and the last one begins anew: on the bottom of its own stack, which it
 *     leaves by a switch of threads from itself to itself.
 */
#include <vmem/kernel.h>

#include "calls.h"
#include "family.h"
#include "files.h"
#include "stretch.h"

enum { STRINGS_MAX = 64 << 10, E2BIG = 7, ENOEXEC = 8 };

/* Appends the program's string at `from`: 0, -EFAULT, or -E2BIG. */
static int64_t gather_string(struct strings *strings, char *room, uint64_t from)
{
	while (strings->length < STRINGS_MAX) {
		const size_t left = STRINGS_MAX - strings->length;
		const size_t page = (size_t)(VMEM_PAGE_SIZE - (from & VMEM_PAGE_MASK));
		const size_t part = page < left ? page : left;

		if (kernel_copy_in(room + strings->length, from, part) != 0) {
			return -EFAULT;
		}
		for (size_t i = 0; i < part; i++) {
			if (room[strings->length + i] == '\0') {
				strings->length += i + 1;
				return 0;
			}
		}
		strings->length += part;
		from += part;
	}
	return -E2BIG;
}

/* All strings of an array of pointers that ends with a null pointer; none at all: no strings. */
static int64_t gather(struct strings *strings, char *room, uint64_t array)
{
	*strings = (struct strings){.bytes = room};
	for (uint64_t at; array != 0; array += sizeof(at)) {
		int64_t result = kernel_copy_in(&at, array, sizeof(at));

		if (result != 0 || at == 0) {
			return result;
		}
		result = gather_string(strings, room, at);
		if (result != 0) {
			return result;
		}
	}
	return 0;
}

/* All threads of the process but this one end. With the kernel's lock, which it gives up meanwhile. */
static void end_others(struct process *process)
{
	if (process->ending) {
		thread_end();
	}
	process->ending = true;
	process->survivor = thread_current();
	thread_end_others(process);
	while (process->live > 1) {
		kernel_unlock();
		cpus_relax();
		kernel_lock();
	}
	process->ending = false;
	process->survivor = NULL;
}

static _Noreturn void begin_anew(struct thread *thread)
{
	void *fp = (void *)(uintptr_t)(kernel_direct_map + thread->fp_frame);
	struct port_thread left = {0};

	memset(fp, 0, VMEM_PAGE_SIZE);
	port_thread_init(
	    &thread->port, (char *)thread->stack + KERNEL_STACK_SIZE, fp, process_begin, thread->process);
	kernel_lock();
	port_thread_switch(&left, &thread->port);
	kernel_panic("thread %u comes back from its old program", thread->tid);
}

/* The process becomes what `image` says. */
static _Noreturn void become(const struct process *image)
{
	struct thread *thread = thread_current();
	struct process *process = thread->process;
	struct vmem_aspace *old;

	kernel_lock();
	old = family_leave_space(process);
	process->aspace = image->aspace;
	process->posix = image->posix;
	process->entry = image->entry;
	process->sp = image->sp;
	process->file = image->file;
	memcpy(process->name, image->name, sizeof(process->name));
	thread->aspace = image->aspace;
	thread->tid = process->pid;
	thread->clear_tid = thread->robust_list = 0;
	process->trampoline = image->trampoline;
	signal_exec(process);
	thread->signal_stack = (struct signal_stack){.flags = SIGNAL_STACK_OFF};
	kernel_unlock();
	limit_apply(process);
	process_destroy_space(old);
	begin_anew(thread);
}

static int64_t exec(struct archive_entry *file, char *room, uint64_t argv_at, uint64_t env_at)
{
	struct process image = {.file = file};
	struct strings argv, env;
	int64_t result = gather(&argv, room, argv_at);

	if (result == 0) {
		result = gather(&env, room + STRINGS_MAX, env_at);
	}
	memcpy(image.limits, process_current()->limits, sizeof(image.limits));
	image.limits_set = process_current()->limits_set;
	if (result == 0 && !process_make_image(&image, argv, env)) {
		result = -ENOEXEC;
	}
	vmem_kernel_free(room);
	cpus_pause();
	if (result != 0) {
		return result;
	}
	kernel_lock();
	if (process_current()->ending) {
		kernel_unlock();
		process_destroy_space(image.aspace);
		kernel_lock();
	}
	end_others(process_current());
	kernel_unlock();
	files_exec();
	become(&image);
}

int64_t call_execve(const uint64_t *argument)
{
	char path[KERNEL_PATH_MAX];
	struct archive_entry *file;
	int error = ENOENT;
	int64_t result;
	void *room;

	stretch_begin(STRETCH_EXEC);
	result = kernel_copy_path(path, argument[0]);
	if (result != 0) {
		return result;
	}
	file = string_equal(path, "/proc/self/exe") ? process_current()->file
	       : path[0] != '\0'		    ? archive_find(path, false, &error)
						    : NULL;
	if (file == NULL) {
		return -error;
	}
	if (archive_is_directory(file) || (file->mode & 0111) == 0) {
		return -EACCES;
	}
	if (vmem_kernel_alloc(2 * STRINGS_MAX, &room) != VMEM_OK) {
		return -ENOMEM;
	}
	return exec(file, room, argument[1], argument[2]);
}
