/* SPDX-License-Identifier: MIT */
/*
 * scenarios_object.c - objects.
 */
#include "sweep.h"

#define RW (VMEM_READ | VMEM_WRITE)

static void shared_and_mapped(struct sweep *s)
{
	shared_pair(s, 200); /* several leaves of the index below an inner node */
	map_at(s->space[0], 0, 200, RW, s->object[0], VMEM_MAP_SHARED);
	map_at(s->space[0], 256, 200, RW, s->object[1], VMEM_MAP_SHARED);
	uint64_t value;
	for (uint64_t i = 0; i < 200; i += 40) {
		assert_int_equal(vmem_copy_from_user(s->space[0], &value, AT + i * PAGE, 8), 8);
		assert_int_equal(vmem_copy_from_user(s->space[0], &value, AT + (256 + i) * PAGE, 8), 8);
	}
}

static void sparse(struct sweep *s)
{
	OK(vmem_object_create_anonymous(500 * PAGE, VMEM_OBJECT_RESIZABLE, &s->object[0]));
	fill_object(s->object[0], 10, 10);
	fill_object(s->object[0], 100, 10);
	OK(vmem_object_snapshot(s->object[0], 0, 500 * PAGE, &s->object[1]));
	fill_object(s->object[0], 15, 2);
}

static void mapped_writable(struct sweep *s)
{
	OK(vmem_object_create_anonymous(120 * PAGE, 0, &s->object[0]));
	map_at(s->space[0], 0, 120, RW, s->object[0], VMEM_MAP_SHARED);
	touch(s->space[0], 0, 70);
}

static enum answer create(struct sweep *s)
{
	return answer(vmem_object_create_anonymous(10 * PAGE, 0, &s->object[5]));
}

static enum answer contiguous(struct sweep *s)
{
	return answer(vmem_object_create_contiguous(10 * PAGE, 4 * PAGE, 0, VMEM_WRITE_BACK, &s->object[5]));
}

/* 600 pages lie in two or three large leaves of the direct map, which are split. */
static enum answer contiguous_odd(struct sweep *s)
{
	return answer(vmem_object_create_contiguous(600 * PAGE, 0, 0, VMEM_WRITE_COMBINING, &s->object[5]));
}

static void hosts_frames(struct sweep *s)
{
	s->frames = 600;
	OK(vmem_frame_alloc_run(s->frames, PAGE, 0, &s->frame));
}

static enum answer physical(struct sweep *s)
{
	return answer(vmem_object_create_physical(s->frame, 600 * PAGE, VMEM_WRITE_BACK, &s->object[5]));
}

static enum answer physical_odd(struct sweep *s)
{
	return answer(vmem_object_create_physical(s->frame, 600 * PAGE, VMEM_UNCACHED, &s->object[5]));
}

static enum answer snapshot(struct sweep *s)
{
	return answer(vmem_object_snapshot(s->object[0], 0, vmem_object_size(s->object[0]), &s->object[5]));
}

static enum answer snapshot_window(struct sweep *s)
{
	return answer(vmem_object_snapshot(s->object[0], 15 * PAGE, 90 * PAGE, &s->object[5]));
}

static enum answer snapshot_past_end(struct sweep *s)
{
	return answer(vmem_object_snapshot(s->object[0], 1000 * PAGE, 90 * PAGE, &s->object[5]));
}

static enum answer slice(struct sweep *s)
{
	return answer(vmem_object_slice(s->object[0], 10 * PAGE, 20 * PAGE, &s->object[5]));
}

static enum answer commit(struct sweep *s)
{
	return answer(vmem_object_commit(s->object[0], 5 * PAGE, 110 * PAGE));
}

static enum answer commit_few(struct sweep *s)
{
	return answer(vmem_object_commit(s->object[0], 60 * PAGE, 10 * PAGE));
}

static enum answer decommit(struct sweep *s)
{
	return answer(vmem_object_decommit(s->object[0], 5 * PAGE, 110 * PAGE));
}

static enum answer resize(struct sweep *s)
{
	OK(vmem_object_resize(s->object[0], 12 * PAGE));
	return answer(vmem_object_resize(s->object[0], 1000 * PAGE));
}

static enum answer zero_edges(struct sweep *s)
{
	return answer(vmem_object_zero(s->object[0], 10 * PAGE + 100, 90 * PAGE));
}

static enum answer zero_inside(struct sweep *s)
{
	return answer(vmem_object_zero(s->object[0], 12 * PAGE + 100, 200));
}

static enum answer zero_whole(struct sweep *s)
{
	return answer(vmem_object_zero(s->object[0], 12 * PAGE, 100 * PAGE));
}

static enum answer write(struct sweep *s)
{
	size_t done = 77;
	memset(s->bytes, 0x5a, sizeof(s->bytes));
	vmem_status_t status = vmem_object_write(s->object[0], 18 * PAGE + 100, s->bytes, 5 * PAGE, &done);
	s->done = done;
	assert_true((status == VMEM_OK) == (done == 5 * PAGE));
	return answer(status);
}

/* What was written before the page that failed stays; that page and what follows are as they were. */
static void write_after(struct sweep *s)
{
	static uint8_t seen[8 * VMEM_PAGE_SIZE], was[8 * VMEM_PAGE_SIZE];
	assert_true(s->done == 0 || (s->done + 100) % PAGE == 0);
	OK(vmem_object_read(s->object[0], 18 * PAGE, seen, sizeof(seen), NULL));
	OK(vmem_object_read(s->object[1], 18 * PAGE, was, sizeof(was), NULL));
	for (size_t i = 0; i < sizeof(seen); i++) {
		assert_int_equal(seen[i], i >= 100 && i < 100 + s->done ? 0x5a : was[i]);
	}
}

static enum answer read(struct sweep *s)
{
	return answer(vmem_object_read(s->object[0], 18 * PAGE + 100, s->bytes, 5 * PAGE, NULL));
}

static enum answer release(struct sweep *s)
{
	vmem_object_hold(s->object[0]);
	vmem_object_release(s->object[0]);
	vmem_object_release(s->object[0]);
	s->object[0] = NULL;
	return ANSWER_OK;
}

static enum answer look(struct sweep *s)
{
	struct vmem_object_info info;
	vmem_paddr_t frame;
	vmem_object_info(s->object[0], &info);
	assert_int_equal(vmem_object_size(s->object[0]), info.size);
	OK(vmem_object_frame(s->object[0], 12 * PAGE, &frame));
	return ANSWER_OK;
}

const struct scenario scenarios_object[] = {
    {"vmem_object_create_anonymous", "one", NULL, create, .effect = EFFECT_NONE},
    {"vmem_object_create_contiguous", "write-back", NULL, contiguous, .effect = EFFECT_NONE},
    {"vmem_object_create_contiguous", "write-combining, leaving the direct map", NULL, contiguous_odd,
	.effect = EFFECT_NONE},
    {"vmem_object_create_physical", "write-back", hosts_frames, physical, .effect = EFFECT_NONE},
    {"vmem_object_create_physical", "uncached, leaving the direct map", hosts_frames, physical_odd,
	.effect = EFFECT_NONE},
    {"vmem_object_snapshot", "the whole, with writable entries", mapped_writable, snapshot,
	.effect = EFFECT_NONE},
    {"vmem_object_snapshot", "the whole of what a snapshot shares", shared_and_mapped, snapshot,
	.effect = EFFECT_NONE},
    {"vmem_object_snapshot", "a window, with writable entries", mapped_writable, snapshot_window,
	.effect = EFFECT_NONE},
    {"vmem_object_snapshot", "a window of what a snapshot shares", sparse, snapshot_window,
	.effect = EFFECT_NONE},
    {"vmem_object_snapshot", "past the end", sparse, snapshot_past_end, .effect = EFFECT_NONE},
    {"vmem_object_slice", "a window", mapped_writable, slice, .effect = EFFECT_NONE},
    {"vmem_object_commit", "an empty range and a shared one", sparse, commit, .effect = EFFECT_NONE},
    {"vmem_object_commit", "pages that a snapshot shares and programs see", shared_and_mapped, commit_few,
	.effect = EFFECT_NONE},
    {"vmem_object_decommit", "what a snapshot shares", shared_and_mapped, decommit, .effect = EFFECT_NEVER},
    {"vmem_object_decommit", "what is there", mapped_writable, decommit, .effect = EFFECT_NEVER},
    {"vmem_object_resize", "shrinking and growing what a snapshot shares", sparse, resize,
	.effect = EFFECT_NEVER},
    {"vmem_object_zero", "with both ends shared", sparse, zero_edges, .effect = EFFECT_NONE},
    {"vmem_object_zero", "inside a shared page", sparse, zero_inside, .effect = EFFECT_NONE},
    {"vmem_object_zero", "whole pages", shared_and_mapped, zero_whole, .effect = EFFECT_NEVER},
    {"vmem_object_write", "shared and empty pages", sparse, write, .effect = EFFECT_PARTIAL,
	.after = write_after},
    {"vmem_object_read", "shared and empty pages", sparse, read, .effect = EFFECT_NEVER},
    {"vmem_object_hold", "with a release", shared_and_mapped, release, .effect = EFFECT_NEVER},
    {"vmem_object_release", "the last but the mapping's", shared_and_mapped, release, .effect = EFFECT_NEVER},
    {"vmem_object_release", "the last", sparse, release, .effect = EFFECT_NEVER},
    {"vmem_object_size", "looking", sparse, look, .effect = EFFECT_NEVER},
    {"vmem_object_info", "looking", sparse, look, .effect = EFFECT_NEVER},
    {"vmem_object_frame", "looking", sparse, look, .effect = EFFECT_NEVER},
    {.function = NULL},
};
