/* SPDX-License-Identifier: MIT */
/*
 * scenarios_plain.c - calls that cannot allocate: looking, names, arithmetic, checks.
 */
#include "sweep.h"

#define RW (VMEM_READ | VMEM_WRITE)

static void region(struct sweep *s)
{
	map_at(s->space[0], 0, 8, RW, NULL, 0);
	touch(s->space[0], 0, 4);
}

static enum answer look(struct sweep *s)
{
	struct vmem_region_info info;
	struct vmem_aspace_stats stats;
	struct vmem_translation t;
	uint64_t resident, shared;
	assert_true(vmem_region_next(s->space[0], 0, &info));
	vmem_region_residence(s->space[0], &info, &resident, &shared);
	assert_int_equal(resident, 4);
	vmem_aspace_stats(s->space[0], &stats);
	assert_int_equal(stats.regions, 1);
	assert_true(vmem_aspace_translate(s->space[0], AT, &t));
	assert_false(vmem_aspace_translate(s->space[0], AT + 5 * PAGE, &t));
	return ANSWER_OK;
}

static enum answer check(struct sweep *s)
{
	vmem_aspace_check(s->space[0]);
	vmem_check();
	return ANSWER_OK;
}

static enum answer activate(struct sweep *s)
{
	vmem_aspace_activate(NULL);
	vmem_aspace_activate(s->space[0]);
	return ANSWER_OK;
}

static enum answer root(struct sweep *s)
{
	struct vmem_vmar *vmar = vmem_aspace_root(s->space[0]);
	assert_true(vmem_vmar_start(vmar) + vmem_vmar_length(vmar) <= vmem_aspace_user_size());
	return ANSWER_OK;
}

static enum answer names(struct sweep *s)
{
	(void)s;
	assert_non_null(vmem_status_name(VMEM_OK));
	assert_non_null(vmem_fault_name(VMEM_FAULT_GUARD));
	assert_int_equal(vmem_posix_errno(VMEM_OK), 0);
	return ANSWER_OK;
}

static enum answer arithmetic(struct sweep *s)
{
	(void)s;
	assert_true(vmem_range_ok(0, PAGE) && vmem_page_aligned(PAGE));
	assert_int_equal(vmem_page_floor(PAGE + 1) + vmem_page_ceil(1), 2 * PAGE);
	return ANSWER_OK;
}

static enum answer posix_init(struct sweep *s)
{
	vmem_posix_init(&s->posix, s->space[0], &vmem_posix_linux, 0);
	return ANSWER_OK;
}

static enum answer posix_limit(struct sweep *s)
{
	vmem_posix_init(&s->posix, s->space[0], &vmem_posix_linux, 0);
	vmem_posix_set_limit(&s->posix, VMEM_RLIMIT_AS, UINT64_MAX);
	return ANSWER_OK;
}

static enum answer commit(struct sweep *s)
{
	(void)s;
	uint64_t promised = vmem_commit_promised();
	vmem_commit_set(VMEM_OVERCOMMIT_ALWAYS, 0);
	vmem_commit_set(VMEM_OVERCOMMIT_GUESS, 0);
	assert_int_equal(vmem_commit_promised(), promised);
	return ANSWER_OK;
}

static enum answer trap(struct sweep *s)
{
	(void)s;
	(void)vmem_trap_decode(14, 6);
	return ANSWER_OK;
}

#define PLAIN(name, set_up, call)                                                                            \
	{                                                                                                    \
		name, "cannot allocate", set_up, call, .effect = EFFECT_NEVER                                \
	}

const struct scenario scenarios_plain[] = {
    PLAIN("vmem_region_next", region, look),
    PLAIN("vmem_region_residence", region, look),
    PLAIN("vmem_aspace_stats", region, look),
    PLAIN("vmem_aspace_translate", region, look),
    {"vmem_aspace_check", "cannot allocate", region, check, .effect = EFFECT_NEVER, .records = true},
    {"vmem_check", "cannot allocate", region, check, .effect = EFFECT_NEVER, .records = true},
    PLAIN("vmem_aspace_activate", region, activate),
    PLAIN("vmem_aspace_root", region, root),
    PLAIN("vmem_aspace_user_size", region, root),
    PLAIN("vmem_vmar_start", region, root),
    PLAIN("vmem_vmar_length", region, root),
    PLAIN("vmem_status_name", NULL, names),
    PLAIN("vmem_fault_name", NULL, names),
    PLAIN("vmem_posix_errno", NULL, names),
    PLAIN("vmem_posix_init", NULL, posix_init),
    PLAIN("vmem_posix_set_limit", NULL, posix_limit),
    PLAIN("vmem_commit_set", NULL, commit),
    PLAIN("vmem_commit_promised", NULL, commit),
    PLAIN("vmem_range_ok", NULL, arithmetic),
    PLAIN("vmem_page_aligned", NULL, arithmetic),
    PLAIN("vmem_page_floor", NULL, arithmetic),
    PLAIN("vmem_page_ceil", NULL, arithmetic),
    PLAIN("vmem_trap_decode", NULL, trap),
    {.function = NULL},
};
