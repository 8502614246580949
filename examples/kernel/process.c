/* SPDX-License-Identifier: MIT */
/*
 * process.c - processes, and who runs next.
 *
 * A process is one thread with an address space, a kernel stack and a page for its vector state. The boot
 * context makes processes, lets them run and frees them; they run by turns: each until it ends, yields or,
 * when there is another, its tick is up.
 *
 * P1. process_current is NULL exactly in the boot context. Its space is then none, else the process's.
 * P2. A process ends on its own stack and in its own space, so both are freed later, by the boot context.
 * P3. The tick runs while more than one process is ready, or while the only one waits for the time.
 */
#include <vmem/frame.h>
#include <vmem/kernel.h>

#include "files.h"

#define PROCESS_MAX 16u

static struct process processes[PROCESS_MAX];
static unsigned ready_count, last_pid = 100;
static struct port_thread boot_thread;

struct process *process_current;

struct port_thread *kernel_port_thread(void)
{
	return &process_current->thread;
}

static void process_begin(void *argument)
{
	const struct process *process = argument;

	port_user_enter(process->entry, process->sp);
}

static void ready_change(int change)
{
	const unsigned before = ready_count;

	ready_count = (unsigned)((int)before + change);
	if (before < 2 && ready_count >= 2) {
		port_tick_start();
	} else if (before >= 2 && ready_count < 2) {
		port_tick_stop();
	}
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
	if (!elf_load(process, process->file, &program)) {
		return false;
	}
	process->entry = program.entry;
	if (!stack_build(process, &program, argv, env)) {
		kernel_say("%s: not run: no room for the stack and the arguments", process->name);
		return false;
	}
	vmem_posix_init(&process->posix, process->aspace, &policy, program.end);
	return true;
}

static bool make_thread(struct process *process)
{
	const struct vmem_frame_request request = {.zeroed = true};

	if (vmem_kernel_stack_alloc(KERNEL_STACK_SIZE, &process->stack) != VMEM_OK ||
	    vmem_frame_alloc(&request, &process->fp_frame) != VMEM_OK) {
		kernel_say("%s: not run: no memory for a kernel stack", process->name);
		return false;
	}
	port_thread_init(&process->thread, (char *)process->stack + KERNEL_STACK_SIZE,
	    (void *)(uintptr_t)(kernel_direct_map + process->fp_frame), process_begin, process);
	return true;
}

struct process *process_create(struct archive_entry *file, struct strings argv, struct strings env)
{
	struct process *process = NULL;

	for (unsigned i = 0; i < PROCESS_MAX && process == NULL; i++) {
		process = processes[i].state == PROCESS_FREE ? &processes[i] : NULL;
	}
	if (process == NULL) {
		kernel_say("%s: not run: too many processes", file->name);
		return NULL;
	}
	*process = (struct process){.state = PROCESS_ENDED, .pid = ++last_pid, .file = file};
	set_name(process, argv);
	if (!make_space(process, argv, env) || !make_thread(process)) {
		process_free(process);
		return NULL;
	}
	files_init(process);
	process->start_ns = port_clock_ns();
	process->state = PROCESS_READY;
	ready_change(1);
	kernel_note("%s: process %u begins at %lx\n", process->name, process->pid, process->entry);
	return process;
}

void process_free(struct process *process)
{
	if (process->stack != NULL) {
		vmem_kernel_free(process->stack);
	}
	if (process->fp_frame != 0) {
		vmem_frame_free(process->fp_frame, 0);
	}
	if (process->aspace != NULL) {
		vmem_aspace_destroy(process->aspace);
	}
	process->state = PROCESS_FREE;
}

/* The first ready process after `from` in the table, round to it again; NULL: none is ready. */
static struct process *next_ready(const struct process *from)
{
	const unsigned start = from != NULL ? (unsigned)(from - processes) + 1 : 0;

	for (unsigned i = 0; i < PROCESS_MAX; i++) {
		struct process *process = &processes[(start + i) % PROCESS_MAX];

		if (process->state == PROCESS_READY) {
			return process;
		}
	}
	return NULL;
}

static void switch_to(struct process *next)
{
	struct port_thread *from = process_current != NULL ? &process_current->thread : &boot_thread;

	process_current = next;
	vmem_aspace_activate(next != NULL ? next->aspace : NULL);
	port_thread_switch(from, next != NULL ? &next->thread : &boot_thread);
}

void process_yield(void)
{
	struct process *next = next_ready(process_current);

	if (next != process_current) {
		switch_to(next);
	}
}

void process_pause(void)
{
	if (ready_count > 1) {
		process_yield();
	} else {
		port_tick_start();
		port_idle();
		port_tick_stop();
	}
}

void kernel_tick(void)
{
	if (process_current != NULL) {
		process_yield();
	}
}

void process_run_all(void)
{
	struct process *next;

	while ((next = next_ready(NULL)) != NULL) {
		switch_to(next);
	}
}

static _Noreturn void process_end(unsigned status, unsigned signal)
{
	struct process *process = process_current;

	process->state = PROCESS_ENDED;
	process->status = status;
	process->signal = signal;
	files_close_all(process);
	ready_change(-1);
	switch_to(next_ready(process));
	kernel_panic("process %u runs after its end", process->pid);
}

void process_exit(unsigned status)
{
	process_end(status, 0);
}

void process_kill(unsigned signal)
{
	process_end(0, signal);
}
