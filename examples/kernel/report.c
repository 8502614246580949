/* SPDX-License-Identifier: MIT */
/*
 * report.c - what the library tells about a space, for people.
 */
#include <vmem/frame.h>
#include <vmem/init.h>
#include <vmem/object.h>

#include "family.h"
#include "locks.h"
#include "memfile.h"
#include "pipe.h"
#include "thread.h"

static const char *region_kind(const struct process *process, const struct vmem_region_info *region)
{
	if ((region->flags & VMEM_MAP_GUARD) != 0) {
		return "guard";
	}
	if (region->object != NULL) {
		return region->object == process->file->object ? "program" : "object";
	}
	if (process->sp >= region->start && process->sp - region->start < region->length) {
		return "stack";
	}
	if (region->start < process->posix.brk_end &&
	    process->posix.brk_start < region->start + region->length) {
		return "heap";
	}
	return "memory";
}

/* Pages of a region that the page tables map now. */
static uint64_t count_present(struct process *process, const struct vmem_region_info *region)
{
	struct vmem_translation translation;
	uint64_t present = 0;

	for (uint64_t done = 0; done < region->length; done += VMEM_PAGE_SIZE) {
		present += vmem_aspace_translate(process->aspace, region->start + done, &translation) ? 1 : 0;
	}
	return present;
}

/* present: pages in the page tables; frames: pages of the region that have a frame; shared: of those, with
 * another space or object. */
void report_map(struct process *process)
{
	struct vmem_region_info region;

	kernel_say("  %-16s %-16s perm max   size KiB  present  frames  shared", "start", "end");
	for (uint64_t at = 0; vmem_region_next(process->aspace, at, &region);
	     at = region.start + region.length) {
		uint64_t frames, shared;

		vmem_region_residence(process->aspace, &region, &frames, &shared);
		kernel_say("  %016lx %016lx %s  %s %10lu %8lu %7lu %7lu  %s", region.start,
		    region.start + region.length, kernel_permission(region.permission),
		    kernel_permission(region.maximum), region.length / 1024, count_present(process, &region),
		    frames, shared, region_kind(process, &region));
	}
}

void report_statistics(const struct process *process)
{
	struct vmem_aspace_stats s;

	vmem_aspace_stats(process->aspace, &s);
	kernel_say("  faults %lu: %lu zero page, %lu zeroed, %lu copied, %lu reused, %lu from the file, %lu "
		   "spurious, %lu refused",
	    s.faults, s.faults_zero_page, s.faults_zeroed, s.faults_copied, s.faults_reused, s.faults_object,
	    s.faults_spurious, s.faults_refused);
	kernel_say(
	    "  regions %lu, mapped %lu KiB, resident %lu pages, private %lu, page tables %lu, flushes %lu",
	    s.regions, s.mapped / 1024, s.resident, s.committed, s.tables, s.flushes);
}

void report_memory(void)
{
	struct vmem_frame_stats s;

	vmem_frame_stats(&s);
	kernel_say(
	    "memory: %lu KiB, %lu KiB free; pages: %lu tables, %lu small objects, %lu data, %lu kernel",
	    s.total * 4, s.free * 4, s.tables, s.slabs, s.data, s.host);
}

static struct vmem_frame_stats first;

void report_frames_first(void)
{
	vmem_library_trim();
	vmem_frame_stats(&first);
}

bool report_frames_last(void)
{
	struct vmem_frame_stats last;

	family_free_orphans();
	thread_free_kept();
	memory_files_forget();
	pipes_forget();
	archive_forget_objects();
	stack_forget_trampoline();
	vmem_library_trim();
	vmem_frame_stats(&last);
	kernel_say("frames: %lu free at the start, %lu when all processes are gone", first.free, last.free);
	if (last.free != first.free) {
		kernel_say(
		    "frames: more than at the start: %ld tables, %ld small objects, %ld data, %ld kernel",
		    (int64_t)(last.tables - first.tables), (int64_t)(last.slabs - first.slabs),
		    (int64_t)(last.data - first.data), (int64_t)(last.host - first.host));
	}
	return last.free == first.free;
}
