/* SPDX-License-Identifier: MIT */
/*
 * proc.c - the texts of /proc, in Linux's form. Each read makes the text from its beginning and keeps what
 * was asked for, up to a page; so no text is kept anywhere, and one that changes between two reads is, as
 * in Linux, not of one moment.
 *
 * Regions are the library's (vmem_region_next()); its neighbours that agree in everything are one.
 */
#include "proc.h"

#include <vmem/copy.h>

#include "memfile.h"
#include "thread.h"

#define PATH_ROOM 280u

static uint8_t pages[KERNEL_CPU_MAX][VMEM_PAGE_SIZE];

struct text {
	uint8_t *page;
	uint64_t skip; /* bytes that come before what is asked for */
	size_t used, room;
};

static void add(struct text *text, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length && text->used < text->room; i++) {
		if (text->skip != 0) {
			text->skip--;
		} else {
			text->page[text->used++] = (uint8_t)bytes[i];
		}
	}
}

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
	char line[160];
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = kernel_format(line, sizeof(line), format, arguments);
	va_end(arguments);
	add(text, line, length);
}

static const char *name_of(const struct process *process, const struct vmem_region_info *region)
{
	const uint64_t end = region->start + region->length;

	if (process->trampoline != 0 && region->start == process->trampoline) {
		return "[vdso]";
	}
	if (region->object != NULL) {
		return NULL;
	}
	if (process->sp >= region->start && process->sp < end) {
		return "[stack]";
	}
	return region->start < process->posix.brk_end && process->posix.brk_start < end ? "[heap]" : NULL;
}

/* The file of the region's object: what it is called, and its number; 0: it has none. */
static uint64_t file_of(const struct process *process, const struct vmem_region_info *region, char *path)
{
	const struct memory_file *memory;

	if (region->object == NULL) {
		return 0;
	}
	if (region->object == process->file->object) {
		(void)kernel_print(path, PATH_ROOM, "/%s", process->file->name);
		return (uint64_t)(process->file - archive_entry(0)) + 2;
	}
	memory = memory_file_of(region->object);
	if (memory == NULL) {
		return 0;
	}
	(void)memory_file_path(memory, path, PATH_ROOM);
	return memory_file_number(memory);
}

/* A name stands in the 74th column; a line without one ends in the blank before it. */
static void say_region(
    struct text *text, const struct process *process, const struct vmem_region_info *region)
{
	static const char blanks[] =
	    "                                                                         ";
	char line[160], path[PATH_ROOM];
	const uint64_t file = file_of(process, region, path);
	const char *name = file != 0 ? path : name_of(process, region);
	const unsigned p = region->permission;
	struct text measure = {(uint8_t *)line, 0, 0, sizeof(line)};

	say(&measure, "%08lx-%08lx %c%c%c%c %08lx 00:%02x %lu ", region->start,
	    region->start + region->length, (p & VMEM_READ) != 0 ? 'r' : '-',
	    (p & VMEM_WRITE) != 0 ? 'w' : '-', (p & VMEM_EXEC) != 0 ? 'x' : '-',
	    (region->flags & VMEM_MAP_SHARED) != 0 ? 's' : 'p', region->object != NULL ? region->offset : 0,
	    region->object != NULL ? 1u : 0u, file);
	add(text, line, measure.used);
	if (name != NULL) {
		add(text, blanks, measure.used < sizeof(blanks) - 1 ? sizeof(blanks) - 1 - measure.used : 0);
		add(text, name, string_length(name));
	}
	add(text, "\n", 1);
}

static void make_maps(struct text *text, struct process *process)
{
	struct vmem_region_info region;

	for (uint64_t at = 0; text->used < text->room && vmem_region_next(process->aspace, at, &region);
	     at = region.start + region.length) {
		if ((region.flags & VMEM_MAP_GUARD) == 0) {
			say_region(text, process, &region);
		}
	}
}

static void make_status(struct text *text, struct process *process)
{
	const struct thread *thread = thread_current();
	uint64_t ignored = 0, caught = 0;
	struct vmem_aspace_stats stats;

	for (unsigned i = 0; i < SIGNALS; i++) {
		const uint64_t handler = process->actions[i].handler;

		ignored |= handler == SIGNAL_IGNORE ? UINT64_C(1) << i : 0;
		caught |= handler > SIGNAL_IGNORE ? UINT64_C(1) << i : 0;
	}
	vmem_aspace_stats(process->aspace, &stats);
	say(text, "Name:\t%s\nState:\tR (running)\nTgid:\t%u\nPid:\t%u\nPPid:\t%u\n", process->name,
	    process->pid, thread->tid, process->parent != NULL ? process->parent->pid : 1);
	say(text, "Uid:\t%d\t%d\t%d\t%d\nGid:\t%d\t%d\t%d\t%d\nFDSize:\t%u\n", KERNEL_USER, KERNEL_USER,
	    KERNEL_USER, KERNEL_USER, KERNEL_USER, KERNEL_USER, KERNEL_USER, KERNEL_USER, FILES_MAX);
	say(text, "VmSize:\t%8lu kB\nVmLck:\t%8lu kB\nVmRSS:\t%8lu kB\nVmPTE:\t%8lu kB\nThreads:\t%u\n",
	    stats.mapped / 1024, stats.locked / 1024, stats.resident * 4, stats.tables * 4, process->live);
	say(text, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
	    thread->pending.set, process->pending.set, thread->signal_mask, ignored, caught);
	say(text, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\n", UINT64_C(0), UINT64_C(0),
	    UINT64_C(0));
}

int64_t proc_read(enum proc_file which, uint64_t to, uint64_t length, uint64_t position)
{
	struct process *process = process_current();
	struct text text = {
	    .page = pages[cpu_this()->number],
	    .skip = position,
	    .room = length < VMEM_PAGE_SIZE ? (size_t)length : VMEM_PAGE_SIZE,
	};

	if (which == PROC_FDS || which == PROC_TMP) {
		return -EISDIR;
	}
	if (which == PROC_MAPS) {
		make_maps(&text, process);
	} else {
		make_status(&text, process);
	}
	if (vmem_copy_to_user(process->aspace, to, text.page, text.used) != text.used) {
		return -EFAULT;
	}
	return (int64_t)text.used;
}
