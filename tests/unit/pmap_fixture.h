/* SPDX-License-Identifier: MIT */
/*
 * pmap_fixture.h - a pmap of its own on two CPUs, without regions, and a few frames to map; every operation
 * followed by the validator of tables and the machine's checks, every removal preceded by CPUs that cache
 * all they may.
 */
#ifndef PMAP_FIXTURE_H
#define PMAP_FIXTURE_H

#include "core_fixture.h"

#include "frame.h"
#include "kernel_i.h"
#include "pmap.h"

#define GIGA (UINT64_C(1) << 30)
#define VA (5 * GIGA + 3 * LARGE + PAGES(7))
#define BIG (11 * GIGA)		/* of another window: an empty table that is kept is in a large leaf's way */
#define FAR (UINT64_C(1) << 34) /* no RAM: only its translation is looked at */
#define USER_RW (LEAF_READ | LEAF_WRITE)
#define DIRTY_RW (USER_RW | LEAF_DIRTY)

static struct vmem_pmap p;
static vmem_paddr_t frame, block; /* one frame, and 512 adjacent ones */
static uint64_t tables;		  /* in the machine, before the pmap */

static inline void begin(bool wx)
{
	const struct vmem_frame_request one = {.zeroed = true}, many = {.order = 9, .zeroed = true};
	tables = frames_now().tables;
	OK(vmem_frame_alloc(&one, &frame));
	OK(vmem_frame_alloc(&many, &block));
	assert_int_equal(vmem_pmap_init(&p, wx), VMEM_OK);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		machine_cpu_set(cpu);
		vmem_pmap_activate(&p);
	}
	machine_cpu_set(0);
}

/* Counts against tables, the machine's rules against all of it. */
static inline void agree(void)
{
	vmem_pmap_check(&p);
	step_machine();
}

static inline void finish(void)
{
	agree();
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		machine_cpu_set(cpu);
		vmem_pmap_activate(NULL);
	}
	machine_cpu_set(0);
	machine_operation();
	vmem_pmap_fini(&p);
	assert_int_equal(frames_now().tables, tables);
	vmem_frame_free(frame, 0);
	vmem_frame_free(block, 9);
	step();
}

static inline void enter(uint64_t va, uint64_t pa, unsigned level, uint32_t leaf)
{
	machine_operation();
	assert_int_equal(vmem_pmap_enter(&p, va, pa, level, leaf), VMEM_OK);
	agree();
}

static inline void remove_range(uint64_t va, uint64_t length)
{
	struct vmem_batch batch;
	warm();
	machine_operation();
	vmem_batch_begin(&batch, &p);
	vmem_pmap_remove(&p, va, length, &batch);
	vmem_batch_end(&batch);
	agree();
}

static inline void cut(uint64_t va, uint64_t length, uint32_t keep)
{
	struct vmem_batch batch;
	warm();
	machine_operation();
	vmem_batch_begin(&batch, &p);
	vmem_pmap_restrict(&p, va, length, keep, &batch);
	vmem_batch_end(&batch);
	agree();
}

/* Answers `status`, and tables, entries and frames are as before. */
static inline void refused(vmem_status_t status, uint64_t va, uint64_t pa, unsigned level)
{
	uint64_t had = p.tables, resident = vmem_pmap_counted(&p, COUNT_RESIDENT);
	struct vmem_frame_stats frames = frames_now(), after;
	struct vmem_page *kept = p.kept;
	machine_operation();
	assert_int_equal(vmem_pmap_enter(&p, va, pa, level, USER_RW), status);
	assert_int_equal(p.tables, had);
	assert_int_equal(vmem_pmap_counted(&p, COUNT_RESIDENT), resident);
	assert_ptr_equal(p.kept, kept);
	after = frames_now();
	assert_int_equal(after.free, frames.free);
	assert_int_equal(after.tables, frames.tables);
	agree();
}

static inline bool has_level(unsigned level)
{
	return level + 1 < vmem_mmu.levels && (vmem_mmu.leaf_levels >> level & 1) != 0;
}

static inline uint64_t memory_of(unsigned level)
{
	return level == 0 ? frame : level == 1 ? block : FAR;
}

static inline void shows(unsigned cpu, uint64_t va, uint64_t pa, unsigned level)
{
	struct machine_translation m;
	assert_true(machine_translate(cpu, va, &m));
	assert_int_equal(m.pa, pa);
	assert_int_equal(m.level, level);
	assert_true(m.perm & MACHINE_PERM_UR);
	assert_false(m.global);
}

#endif
