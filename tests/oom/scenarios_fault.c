/* SPDX-License-Identifier: MIT */
/*
 * scenarios_fault.c - faults, case by case of the fault table, and the copies that fault.
 */
#include "sweep.h"

#define RW (VMEM_READ | VMEM_WRITE)
#define FAR_PAGE 0x40000u /* a page of another top-level window: several tables are missing */

static void private_far(struct sweep *s)
{
	map_at(s->space[0], 0, 8, RW, NULL, 0);
	map_at(s->space[0], FAR_PAGE, 8, RW, NULL, 0);
	touch(s->space[0], 0, 1);
}

/* An object that is partly filled, shared with a snapshot, mapped privately and shared, twice each. */
static void object_maps(struct sweep *s)
{
	OK(vmem_object_create_anonymous(16 * PAGE, 0, &s->object[0]));
	fill_object(s->object[0], 0, 4);
	OK(vmem_object_snapshot(s->object[0], 0, 8 * PAGE, &s->object[1]));
	fill_object(s->object[0], 8, 4);
	map_at(s->space[0], 0, 16, RW, s->object[0], VMEM_MAP_SHARED);
	map_at(s->space[0], FAR_PAGE, 16, RW, s->object[0], VMEM_MAP_SHARED);
	map_at(s->space[0], 64, 16, RW, s->object[0], 0);
	map_at(s->space[0], FAR_PAGE + 64, 16, RW, s->object[0], 0);
}

/* The same with entries: pages 0 and 1 can be read through both shared mappings, so a copy must find them
 * all. */
static void object_seen(struct sweep *s)
{
	uint64_t value;
	object_maps(s);
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(vmem_copy_from_user(s->space[0], &value, AT + i * PAGE, 8), 8);
		assert_int_equal(vmem_copy_from_user(s->space[0], &value, AT + (FAR_PAGE + i) * PAGE, 8), 8);
		assert_int_equal(vmem_copy_from_user(s->space[0], &value, AT + (64 + i) * PAGE, 8), 8);
	}
}

static enum answer fault(struct sweep *s, uint64_t page, unsigned access)
{
	return answer_fault(vmem_fault(s->space[0], AT + page * PAGE + 8, access));
}

static enum answer read_zero(struct sweep *s)
{
	return fault(s, FAR_PAGE, VMEM_READ);
}

static enum answer write_zero(struct sweep *s)
{
	return fault(s, FAR_PAGE, VMEM_WRITE);
}

static enum answer write_near(struct sweep *s)
{
	return fault(s, 3, VMEM_WRITE);
}

static enum answer write_after_read(struct sweep *s)
{
	assert_int_equal(fault(s, 0, VMEM_READ), ANSWER_OK); /* spurious */
	return fault(s, 1, VMEM_WRITE);
}

static enum answer shared_read_present(struct sweep *s)
{
	return fault(s, FAR_PAGE + 8, VMEM_READ);
}

static enum answer shared_read_empty(struct sweep *s)
{
	return fault(s, FAR_PAGE + 14, VMEM_READ);
}

static enum answer shared_write_empty(struct sweep *s)
{
	return fault(s, FAR_PAGE + 14, VMEM_WRITE);
}

static enum answer shared_write_copies(struct sweep *s)
{
	return fault(s, FAR_PAGE + 1, VMEM_WRITE);
}

static enum answer private_read_present(struct sweep *s)
{
	return fault(s, FAR_PAGE + 64 + 8, VMEM_READ);
}

static enum answer private_read_empty(struct sweep *s)
{
	return fault(s, FAR_PAGE + 64 + 14, VMEM_READ);
}

static enum answer private_write_empty(struct sweep *s)
{
	return fault(s, FAR_PAGE + 64 + 14, VMEM_WRITE);
}

static enum answer private_write_copies(struct sweep *s)
{
	return fault(s, FAR_PAGE + 64 + 1, VMEM_WRITE);
}

static enum answer private_write_seen(struct sweep *s)
{
	return fault(s, 64 + 1, VMEM_WRITE);
}

static void large_region(struct sweep *s)
{
	map_at(s->space[0], 0, 1024, RW, NULL, 0);
}

static enum answer write_large(struct sweep *s)
{
	return fault(s, 5, VMEM_WRITE);
}

/* A large leaf, of which a part is read-only: the next fault there replaces it by small ones. */
static void large_cut(struct sweep *s)
{
	large_region(s);
	touch(s->space[0], 0, 1);
	OK(vmem_vmar_protect(root_of(s), AT + 4 * PAGE, 4 * PAGE, VMEM_READ));
}

static enum answer read_cut(struct sweep *s)
{
	return fault(s, 300, VMEM_READ);
}

static void contiguous_region(struct sweep *s)
{
	OK(vmem_object_create_contiguous(8 * PAGE, 0, 0, VMEM_WRITE_BACK, &s->object[0]));
	map_at(s->space[0], 0, 8, RW, s->object[0], VMEM_MAP_SHARED);
}

static enum answer read_contiguous(struct sweep *s)
{
	return fault(s, 2, VMEM_READ);
}

/* Copies: the progress that is reported is what has been done, page by page, and no more. */
#define COPY_FROM (PAGE / 2)
#define COPY_LENGTH (5 * PAGE)

static enum answer progress(struct sweep *s)
{
	return s->done == COPY_LENGTH ? ANSWER_OK : ANSWER_NO_MEMORY;
}

static void check_boundary(const struct sweep *s)
{
	assert_true(s->done < COPY_LENGTH);
	assert_true(s->done == 0 || (COPY_FROM + s->done) % PAGE == 0);
}

static void copy_ready(struct sweep *s)
{
	map_at(s->space[0], FAR_PAGE, 8, RW, NULL, 0);
	memset(s->bytes, 0x5a, sizeof(s->bytes));
}

static enum answer copy_to(struct sweep *s)
{
	s->done = vmem_copy_to_user(s->space[0], AT + FAR_PAGE * PAGE + COPY_FROM, s->bytes, COPY_LENGTH);
	return progress(s);
}

static void copy_to_after(struct sweep *s)
{
	static uint8_t seen[8 * VMEM_PAGE_SIZE];
	check_boundary(s);
	assert_int_equal(
	    vmem_copy_from_user(s->space[0], seen, AT + FAR_PAGE * PAGE, sizeof(seen)), sizeof(seen));
	for (size_t i = 0; i < sizeof(seen); i++) {
		assert_int_equal(seen[i], i >= COPY_FROM && i < COPY_FROM + s->done ? 0x5a : 0);
	}
}

static void copy_from_ready(struct sweep *s)
{
	OK(vmem_object_create_anonymous(8 * PAGE, 0, &s->object[0]));
	memset(s->bytes, 0x5a, sizeof(s->bytes));
	OK(vmem_object_write(s->object[0], 0, s->bytes, 8 * PAGE, NULL));
	OK(vmem_object_snapshot(s->object[0], 0, 8 * PAGE, &s->object[1]));
	map_at(s->space[0], FAR_PAGE, 8, RW, s->object[0], VMEM_MAP_SHARED);
	memset(s->bytes, 0, sizeof(s->bytes));
}

static enum answer copy_from(struct sweep *s)
{
	s->done = vmem_copy_from_user(s->space[0], s->bytes, AT + FAR_PAGE * PAGE + COPY_FROM, COPY_LENGTH);
	return progress(s);
}

static void copy_from_after(struct sweep *s)
{
	check_boundary(s);
	for (size_t i = 0; i < COPY_LENGTH; i++) {
		assert_int_equal(s->bytes[i], i < s->done ? 0x5a : 0);
	}
}

static void clear_ready(struct sweep *s)
{
	copy_from_ready(s);
	map_at(s->space[0], FAR_PAGE + 64, 8, RW, s->object[0], 0);
}

static enum answer clear(struct sweep *s)
{
	s->done = vmem_clear_user(s->space[0], AT + (FAR_PAGE + 64) * PAGE + COPY_FROM, COPY_LENGTH);
	return progress(s);
}

static void clear_after(struct sweep *s)
{
	static uint8_t seen[8 * VMEM_PAGE_SIZE];
	check_boundary(s);
	assert_int_equal(
	    vmem_copy_from_user(s->space[0], seen, AT + (FAR_PAGE + 64) * PAGE, sizeof(seen)), sizeof(seen));
	for (size_t i = 0; i < sizeof(seen); i++) {
		assert_int_equal(seen[i], i >= COPY_FROM && i < COPY_FROM + s->done ? 0 : 0x5a);
	}
}

static enum answer string_from(struct sweep *s)
{
	size_t length = 0;
	vmem_status_t status = vmem_strncpy_from_user(
	    s->space[0], (char *)s->bytes, AT + FAR_PAGE * PAGE + COPY_FROM, COPY_LENGTH, &length);
	s->done = length;
	return status == VMEM_ERR_RANGE && length == COPY_LENGTH ? ANSWER_OK
	       : status == VMEM_ERR_FAULT			 ? ANSWER_NO_MEMORY
								 : ANSWER_OTHER;
}

const struct scenario scenarios_fault[] = {
    {"vmem_fault", "reading zeroes", private_far, read_zero, .effect = EFFECT_NONE},
    {"vmem_fault", "writing for the first time, far away", private_far, write_zero, .effect = EFFECT_NONE},
    {"vmem_fault", "writing for the first time, near by", private_far, write_near, .effect = EFFECT_NONE},
    {"vmem_fault", "a spurious one, then a write", private_far, write_after_read, .effect = EFFECT_NONE},
    {"vmem_fault", "shared, reading what is there", object_maps, shared_read_present, .effect = EFFECT_NONE},
    {"vmem_fault", "shared, reading an empty page", object_maps, shared_read_empty, .effect = EFFECT_NONE},
    {"vmem_fault", "shared, writing an empty page", object_maps, shared_write_empty, .effect = EFFECT_NONE},
    {"vmem_fault", "shared, copying a page of a snapshot", object_maps, shared_write_copies,
	.effect = EFFECT_NONE},
    {"vmem_fault", "shared, copying a page that others can read", object_seen, shared_write_copies,
	.effect = EFFECT_NONE},
    {"vmem_fault", "private, reading the object's page", object_maps, private_read_present,
	.effect = EFFECT_NONE},
    {"vmem_fault", "private, reading an empty page", object_maps, private_read_empty, .effect = EFFECT_NONE},
    {"vmem_fault", "private, writing over an empty page", object_maps, private_write_empty,
	.effect = EFFECT_NONE},
    {"vmem_fault", "private, copying the object's page", object_maps, private_write_copies,
	.effect = EFFECT_NONE},
    {"vmem_fault", "private, copying a page that was read", object_seen, private_write_seen,
	.effect = EFFECT_NONE},
    {"vmem_fault", "a large leaf", large_region, write_large, .effect = EFFECT_NONE, .large = true},
    {"vmem_fault", "in what was a large leaf", large_cut, read_cut, .effect = EFFECT_NONE, .large = true},
    {"vmem_fault", "contiguous memory", contiguous_region, read_contiguous, .effect = EFFECT_NONE},
    {"vmem_copy_to_user", "five pages", copy_ready, copy_to, .effect = EFFECT_PARTIAL,
	.after = copy_to_after},
    {"vmem_copy_from_user", "five pages", copy_from_ready, copy_from, .effect = EFFECT_PARTIAL,
	.after = copy_from_after},
    {"vmem_clear_user", "five pages", clear_ready, clear, .effect = EFFECT_PARTIAL, .after = clear_after},
    {"vmem_strncpy_from_user", "five pages", copy_from_ready, string_from, .effect = EFFECT_PARTIAL,
	.after = copy_from_after},
    {.function = NULL},
};
