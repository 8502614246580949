/* SPDX-License-Identifier: MIT */
/*
 * process.c - processes: made and freed by the boot context, ended by one of their threads.
 *
 * P1. A process's threads end on their own stacks, and a CPU may have its space live for a moment after that
 *     (sched_leave()). So all is freed later, by the boot context, when no CPU has it any more.
 */
#include <vmem/frame.h>
#include <vmem/kernel.h>

#include "family.h"
#include "files.h"
#include "memfile.h"
#include "stretch.h"

#define PROCESS_MAX 64u

static struct process processes[PROCESS_MAX];
static size_t processes_used; /* [k] those from here on have never been any */

unsigned process_live;

void process_begin(void *argument)
{
	const struct process *process = argument;

	kernel_thread_begin();
	stretch_end();
	port_user_enter(process->entry, process->sp);
}

/* The last component of argv[0] or, without one, of the file's name. */
static void set_name(struct process *process, struct strings argv)
{
	const char *from = argv.length != 0 ? argv.bytes : process->file->name;
	size_t length;

	for (const char *c = from; *c != '\0'; c++) {
		if (*c == '/' && c[1] != '\0') {
			from = c + 1;
		}
	}
	length = string_length(from);
	length = length < sizeof(process->name) ? length : sizeof(process->name) - 1;
	memcpy(process->name, from, length);
	process->name[length] = '\0';
}

static bool make_space(struct process *process, struct strings argv, struct strings env)
{
	const struct vmem_aspace_config config = {
	    .wx = kernel_options.wx,
	    .max_regions = kernel_options.regions,
	    .seed = kernel_random(),
	};
	struct vmem_posix_policy policy = vmem_posix_linux;
	struct program program;

	policy.wx = kernel_options.wx;
	policy.max_regions = kernel_options.regions;
	if (vmem_aspace_create(&config, &process->aspace) != VMEM_OK) {
		kernel_say("%s: not run: no memory for an address space", process->name);
		return false;
	}
	vmem_posix_init(&process->posix, process->aspace, &policy, 0); /* what is mapped now counts as well */
	if (!elf_load(process, process->file, &program)) {
		return false;
	}
	process->entry = program.entry;
	if (!stack_build(process, &program, argv, env)) {
		kernel_say("%s: not run: no room for the stack and the arguments", process->name);
		return false;
	}
	vmem_posix_init(&process->posix, process->aspace, &policy, program.end);
	process->posix.mmap_top = stack_lowest(limit_stack(process));
	return true;
}

/* One at a time: the words of a stack are gathered in one place. */
static struct lock image_lock;

bool process_make_image(struct process *process, struct strings argv, struct strings env)
{
	bool made;

	set_name(process, argv);
	lock_take(&image_lock);
	made = make_space(process, argv, env);
	lock_drop(&image_lock);
	if (!made && process->aspace != NULL) {
		vmem_aspace_destroy(process->aspace);
		process->aspace = NULL;
	}
	return made;
}

static struct thread *make_thread(struct process *process)
{
	struct thread *thread = thread_create(process);
	void *fp;

	if (thread == NULL) {
		kernel_say("%s: not run: no memory for a thread", process->name);
		return NULL;
	}
	fp = (void *)(uintptr_t)(kernel_direct_map + thread->fp_frame);
	memset(fp, 0, VMEM_PAGE_SIZE); /* a thread may have had it before */
	port_thread_init(
	    &thread->port, (char *)thread->stack + KERNEL_STACK_SIZE, fp, process_begin, process);
	process->pid = process->group = thread->tid;
	return thread;
}

struct process *process_create(struct archive_entry *file, struct strings argv, struct strings env)
{
	struct process *process;
	struct thread *thread = NULL;
	bool made;

	family_free_orphans();
	process = process_take();
	if (process == NULL) {
		kernel_say("%s: not run: too many processes", file->name);
		return NULL;
	}
	process->file = file;
	made = process_make_image(process, argv, env);
	if (made) {
		thread = make_thread(process);
	}
	if (thread == NULL) {
		process_free(process);
		return NULL;
	}
	files_init(process);
	process->start_ns = port_clock_ns();
	kernel_note("%s: process %u begins at %lx\n", process->name, process->pid, process->entry);
	kernel_lock();
	process->state = PROCESS_READY;
	process_live++;
	sched_ready(thread);
	kernel_unlock();
	return process;
}

struct process *process_take(void)
{
	struct process *process = NULL;

	kernel_lock();
	for (unsigned i = 0; i < PROCESS_MAX && process == NULL; i++) {
		process = processes[i].state == PROCESS_FREE ? &processes[i] : NULL;
	}
	if (process != NULL) {
		*process = (struct process){.state = PROCESS_MADE};
		if ((size_t)(process - processes) >= processes_used) {
			processes_used = (size_t)(process - processes) + 1;
		}
	}
	kernel_unlock();
	return process;
}

struct process *process_next(const struct process *process)
{
	for (size_t i = process == NULL ? 0 : (size_t)(process - processes) + 1; i < processes_used; i++) {
		if (processes[i].state == PROCESS_READY || processes[i].state == PROCESS_ENDED) {
			return &processes[i];
		}
	}
	return NULL;
}

void process_destroy_space(struct vmem_aspace *aspace)
{
	struct kernel_cpu *self = cpu_this();

	if (aspace == NULL) {
		return;
	}
	if (self->active == aspace) {
		vmem_aspace_activate(NULL);
		__atomic_store_n(&self->active, NULL, __ATOMIC_RELEASE);
	}
	for (unsigned i = 0; i < kernel_cpu_count; i++) {
		while (__atomic_load_n(&kernel_cpus[i].active, __ATOMIC_ACQUIRE) == aspace) {
			cpus_relax();
		}
	}
	vmem_aspace_destroy(aspace);
}

void process_leave_space(struct process *process)
{
	struct vmem_aspace *own = family_leave_space(process);

	thread_current()->aspace = NULL;
	kernel_unlock();
	process_destroy_space(own);
	kernel_lock();
}

void process_free(struct process *process)
{
	thread_free_all(process);
	process_destroy_space(process->aspace);
	memory_files_reap();
	kernel_lock();
	process->state = PROCESS_FREE;
	kernel_unlock();
}

void process_run_all(void)
{
	sched_idle(true);
}

void process_ended(struct process *process)
{
	process->state = PROCESS_ENDED;
	signal_forget_all(&process->pending);
	files_close_all(process);
	family_ended(process);
	if (--process_live == 0) {
		sched_wake_boot();
	}
}

static _Noreturn void process_end(unsigned status, unsigned signal)
{
	struct process *process = process_current();

	stretch_begin(STRETCH_EXIT);
	kernel_lock();
	if (!process->ending) {
		process->ending = true;
		process->status = status;
		process->signal = signal;
		thread_end_others(process);
	}
	thread_end();
}

void process_exit(unsigned status)
{
	process_end(status, 0);
}

void process_kill(unsigned signal)
{
	process_end(0, signal);
}
