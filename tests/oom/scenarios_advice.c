/* SPDX-License-Identifier: MIT */
/*
 * scenarios_advice.c - what is changed or asked over a range while its regions stay, and Linux's calls for
 * that.
 */
#include "sweep.h"

#define RW (VMEM_READ | VMEM_WRITE)

/* Pages 0 to 19 readable and writable, 0 to 9 touched; a process. */
static void region(struct sweep *s)
{
	vmem_posix_init(&s->posix, s->space[0], &vmem_posix_linux, 0);
	map_at(s->space[0], 0, 20, RW, NULL, 0);
	touch(s->space[0], 0, 10);
}

/* The same of an object that shares all pages with a relative. */
static void shared_region(struct sweep *s)
{
	vmem_posix_init(&s->posix, s->space[0], &vmem_posix_linux, 0);
	shared_pair(s, 20);
	map_at(s->space[0], 0, 20, RW, s->object[0], VMEM_MAP_SHARED);
}

static void two_regions(struct sweep *s)
{
	region(s);
	OK(vmem_vmar_protect(root_of(s), AT + 10 * PAGE, 10 * PAGE, VMEM_READ));
}

static void untouched(struct sweep *s)
{
	vmem_posix_init(&s->posix, s->space[0], &vmem_posix_linux, 0);
	map_at(s->space[0], 0, 300, RW, NULL, 0);
}

static void guarded(struct sweep *s)
{
	region(s);
	OK(vmem_vmar_guard(root_of(s), AT + 4 * PAGE, 8 * PAGE));
}

static enum answer set_middle(struct sweep *s)
{
	return answer(vmem_vmar_set_attributes(root_of(s), AT + 4 * PAGE, 4 * PAGE, VMEM_REGION_NO_DUMP, 0));
}

static enum answer set_both_ends(struct sweep *s)
{
	return answer(vmem_vmar_set_attributes(root_of(s), AT + 4 * PAGE, 12 * PAGE, VMEM_REGION_LOCKED, 0));
}

static enum answer set_whole(struct sweep *s)
{
	return answer(vmem_vmar_set_attributes(root_of(s), AT, 20 * PAGE, VMEM_REGION_RANDOM, 0));
}

static enum answer guard(struct sweep *s)
{
	return answer(vmem_vmar_guard(root_of(s), AT + 4 * PAGE, 8 * PAGE));
}

static enum answer guard_many(struct sweep *s)
{
	return answer(vmem_vmar_guard(root_of(s), AT, 300 * PAGE));
}

static enum answer unguard(struct sweep *s)
{
	return answer(vmem_vmar_unguard(root_of(s), AT, 20 * PAGE));
}

static enum answer resident(struct sweep *s)
{
	return answer(vmem_vmar_resident(root_of(s), AT, 20 * PAGE, s->bytes));
}

static enum answer advise(struct sweep *s, uint64_t page, uint64_t pages, int advice)
{
	int error = vmem_posix_madvise(&s->posix, AT + page * PAGE, pages * PAGE, advice);
	return error == -VMEM_EAGAIN ? ANSWER_NO_MEMORY : answer_errno(error);
}

static enum answer dump_middle(struct sweep *s)
{
	return advise(s, 4, 4, VMEM_MADV_DONTDUMP);
}

static enum answer dump_two(struct sweep *s)
{
	return advise(s, 4, 12, VMEM_MADV_DONTDUMP);
}

/* Region by region: the first part is done, or nothing. */
static void dump_two_after(struct sweep *s)
{
	struct vmem_region_info r;
	assert_true(vmem_region_next(s->space[0], AT + 15 * PAGE, &r));
	assert_int_equal(r.attributes & ~(unsigned)VMEM_REGION_ACCOUNT, 0);
}

static enum answer dont_need(struct sweep *s)
{
	return advise(s, 0, 20, VMEM_MADV_DONTNEED);
}

static enum answer punch(struct sweep *s)
{
	return advise(s, 0, 20, VMEM_MADV_REMOVE);
}

static enum answer populate(struct sweep *s)
{
	return advise(s, 0, 20, VMEM_MADV_POPULATE_WRITE);
}

/* Pages that could be had are there. */
static void populate_after(struct sweep *s)
{
	struct vmem_aspace_stats stats;
	vmem_aspace_stats(s->space[0], &stats);
	assert_in_range(stats.committed, 10, 19);
}

static enum answer in_core(struct sweep *s)
{
	return answer_errno(vmem_posix_mincore(&s->posix, AT, 20 * PAGE, AT));
}

static enum answer synchronize(struct sweep *s)
{
	return answer_errno(vmem_posix_msync(&s->posix, AT, 20 * PAGE, VMEM_MS_SYNC));
}

static enum answer seal(struct sweep *s)
{
	return answer_errno(vmem_posix_mseal(&s->posix, AT + 4 * PAGE, 12 * PAGE, 0));
}

static enum answer lock(struct sweep *s)
{
	int error = vmem_posix_mlock(&s->posix, AT + 4 * PAGE, 12 * PAGE);
	return error == -VMEM_EAGAIN ? ANSWER_NO_MEMORY : answer_errno(error);
}

static enum answer lock_on_fault(struct sweep *s)
{
	return answer_errno(vmem_posix_mlock2(&s->posix, AT + 4 * PAGE, 4 * PAGE, VMEM_MLOCK_ONFAULT));
}

/* Locked are all pages, or none for want of a record. */
static void lock_after(struct sweep *s)
{
	struct vmem_aspace_stats stats;
	vmem_aspace_stats(s->space[0], &stats);
	assert_true(stats.locked == 12 * PAGE || stats.locked == 0);
}

static void locked(struct sweep *s)
{
	region(s);
	assert_int_equal(vmem_posix_mlock(&s->posix, AT, 20 * PAGE), 0);
}

static enum answer unlock(struct sweep *s)
{
	return answer_errno(vmem_posix_munlock(&s->posix, AT + 4 * PAGE, 4 * PAGE));
}

static enum answer lock_all(struct sweep *s)
{
	return answer_errno(vmem_posix_mlockall(&s->posix, VMEM_MCL_CURRENT | VMEM_MCL_FUTURE));
}

static enum answer unlock_all(struct sweep *s)
{
	return answer_errno(vmem_posix_munlockall(&s->posix));
}

const struct scenario scenarios_advice[] = {
    {"vmem_vmar_set_attributes", "the middle of a region", region, set_middle, .effect = EFFECT_NONE},
    {"vmem_vmar_set_attributes", "the middle of a shared region", shared_region, set_middle,
	.effect = EFFECT_NONE},
    {"vmem_vmar_set_attributes", "splitting two regions", two_regions, set_both_ends, .effect = EFFECT_NONE},
    {"vmem_vmar_set_attributes", "a whole region", region, set_whole, .effect = EFFECT_NEVER},
    {"vmem_vmar_guard", "private memory", region, guard, .effect = EFFECT_NONE},
    {"vmem_vmar_guard", "shared memory", shared_region, guard, .effect = EFFECT_NONE},
    {"vmem_vmar_guard", "of which nothing exists", untouched, guard_many, .effect = EFFECT_NONE},
    {"vmem_vmar_unguard", "private memory", guarded, unguard, .effect = EFFECT_NEVER},
    {"vmem_vmar_resident", "private memory", region, resident, .effect = EFFECT_NEVER},
    {"vmem_posix_madvise", "an attribute", region, dump_middle, .effect = EFFECT_NONE},
    {"vmem_posix_madvise", "an attribute of two regions", two_regions, dump_two, .effect = EFFECT_PARTIAL,
	.after = dump_two_after},
    {"vmem_posix_madvise", "DONTNEED", region, dont_need, .effect = EFFECT_NEVER},
    {"vmem_posix_madvise", "REMOVE", shared_region, punch, .effect = EFFECT_NEVER},
    {"vmem_posix_madvise", "POPULATE_WRITE", region, populate, .effect = EFFECT_PARTIAL,
	.after = populate_after},
    {"vmem_posix_mincore", "private memory", region, in_core, .effect = EFFECT_NEVER},
    {"vmem_posix_msync", "private memory", region, synchronize, .effect = EFFECT_NEVER},
    {"vmem_posix_mseal", "the middle of a region", region, seal, .effect = EFFECT_NONE},
    {"vmem_posix_mlock", "the middle of a region", region, lock, .effect = EFFECT_PARTIAL,
	.after = lock_after},
    {"vmem_posix_mlock2", "on fault", region, lock_on_fault, .effect = EFFECT_NONE},
    {"vmem_posix_munlock", "the middle of a region", locked, unlock, .effect = EFFECT_NONE},
    {"vmem_posix_mlockall", "present and future", region, lock_all, .effect = EFFECT_BEST},
    {"vmem_posix_munlockall", "all", locked, unlock_all, .effect = EFFECT_NEVER},
    {.function = NULL},
};
