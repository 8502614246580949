/* SPDX-License-Identifier: MIT */
/*
 * scenarios_space.c - layout: spaces, regions, VMARs, and the two interfaces above them.
 */
#include "sweep.h"

#define RW (VMEM_READ | VMEM_WRITE)

/* Pages 0 to 19 readable and writable, 0 to 9 touched. */
static void one_region(struct sweep *s)
{
	map_at(s->space[0], 0, 20, RW, NULL, 0);
	touch(s->space[0], 0, 10);
}

static void shared_region(struct sweep *s)
{
	shared_pair(s, 20);
	map_at(s->space[0], 0, 20, RW, s->object[0], VMEM_MAP_SHARED);
	touch(s->space[0], 3, 4);
}

/* Regions with a hole between them. */
static void with_hole(struct sweep *s)
{
	map_at(s->space[0], 0, 8, RW, NULL, 0);
	map_at(s->space[0], 12, 8, RW, NULL, 0);
	touch(s->space[0], 0, 8);
	touch(s->space[0], 12, 8);
}

static void large_region(struct sweep *s)
{
	map_at(s->space[0], 0, 1024, RW, NULL, 0);
	touch(s->space[0], 0, 1);
	touch(s->space[0], 512, 1);
}

static void child_vmar(struct sweep *s)
{
	struct vmem_map map = {
	    .length = 64 * PAGE, .permission = VMEM_RWX, .place = VMEM_PLACE_FIXED, .address = AT};
	vmem_vaddr_t start;
	OK(vmem_vmar_allocate(root_of(s), &map, &s->child));
	map = (struct vmem_map){
	    .length = 20 * PAGE, .permission = RW, .maximum = RW, .place = VMEM_PLACE_FIXED, .address = AT};
	OK(vmem_vmar_map(s->child, &map, &start));
	touch(s->space[0], 0, 20);
}

static enum answer create(struct sweep *s)
{
	const struct vmem_aspace_config config = {.seed = 1};
	return answer(vmem_aspace_create(&config, &s->space[1]));
}

/* All that a fork copies: regions with and without objects, a child VMAR, pages. */
static void forked(struct sweep *s)
{
	child_vmar(s);
	shared_pair(s, 20);
	map_at(s->space[0], 100, 20, RW, s->object[0], VMEM_MAP_SHARED);
	map_at(s->space[0], 200, 20, RW, s->object[0], 0);
	map_at(s->space[0], 300, 20, RW, NULL, 0);
	touch(s->space[0], 203, 4);
	touch(s->space[0], 300, 10);
}

static enum answer fork_space(struct sweep *s)
{
	return answer(vmem_aspace_fork(s->space[0], &s->space[1]));
}

static enum answer map(struct sweep *s, const struct vmem_map *map)
{
	return answer(vmem_vmar_map(root_of(s), map, &s->value));
}

static enum answer map_any(struct sweep *s)
{
	return map(s, &(struct vmem_map){.length = 4 * PAGE, .permission = RW, .maximum = RW});
}

static enum answer map_object(struct sweep *s)
{
	return map(s, &(struct vmem_map){.length = 8 * PAGE,
			  .permission = VMEM_READ,
			  .maximum = RW,
			  .flags = VMEM_MAP_SHARED,
			  .place = VMEM_PLACE_HINT,
			  .address = AT + 40 * PAGE,
			  .object = s->object[0]});
}

static enum answer map_padded(struct sweep *s)
{
	return map(
	    s, &(struct vmem_map){
		   .length = 4 * PAGE, .permission = RW, .maximum = RW, .pad_before = 1, .pad_after = 1});
}

static enum answer map_middle(struct sweep *s)
{
	return map(s, &(struct vmem_map){.length = 4 * PAGE,
			  .permission = VMEM_READ,
			  .maximum = VMEM_READ,
			  .place = VMEM_PLACE_REPLACE,
			  .address = AT + 4 * PAGE});
}

static enum answer map_across(struct sweep *s)
{
	return map(s, &(struct vmem_map){.length = 10 * PAGE,
			  .permission = VMEM_READ,
			  .maximum = VMEM_READ,
			  .place = VMEM_PLACE_REPLACE,
			  .address = AT + 5 * PAGE});
}

static enum answer map_large_middle(struct sweep *s)
{
	return map(s, &(struct vmem_map){.length = 4 * PAGE,
			  .permission = VMEM_READ,
			  .maximum = VMEM_READ,
			  .place = VMEM_PLACE_REPLACE,
			  .address = AT + 600 * PAGE});
}

static enum answer map_populated(struct sweep *s)
{
	return map(s, &(struct vmem_map){.length = 8 * PAGE,
			  .permission = RW,
			  .maximum = RW,
			  .flags = VMEM_MAP_POPULATE | VMEM_MAP_NO_MERGE,
			  .place = VMEM_PLACE_FIXED,
			  .address = AT + 64 * PAGE});
}

static enum answer map_in_child(struct sweep *s)
{
	const struct vmem_map m = {.length = 4 * PAGE,
	    .permission = VMEM_READ,
	    .maximum = VMEM_READ,
	    .place = VMEM_PLACE_REPLACE,
	    .address = AT + 4 * PAGE};
	return answer(vmem_vmar_map(s->child, &m, &s->value));
}

static enum answer unmap_middle(struct sweep *s)
{
	return answer(vmem_vmar_unmap(root_of(s), AT + 4 * PAGE, 4 * PAGE));
}

static enum answer unmap_large_middle(struct sweep *s)
{
	return answer(vmem_vmar_unmap(root_of(s), AT + 100 * PAGE, 4 * PAGE));
}

static enum answer unmap_ends(struct sweep *s)
{
	return answer(vmem_vmar_unmap(root_of(s), AT + 4 * PAGE, 64 * PAGE));
}

static enum answer unmap_in_child(struct sweep *s)
{
	return answer(vmem_vmar_unmap(s->child, AT + 4 * PAGE, 4 * PAGE));
}

static enum answer protect_middle(struct sweep *s)
{
	return answer(vmem_vmar_protect(root_of(s), AT + 4 * PAGE, 4 * PAGE, VMEM_READ));
}

static void three_permissions(struct sweep *s)
{
	map_at(s->space[0], 0, 8, RW, NULL, 0);
	map_at(s->space[0], 8, 8, VMEM_READ, NULL, 0);
	map_at(s->space[0], 16, 8, RW, NULL, VMEM_MAP_NO_MERGE);
	touch(s->space[0], 0, 8);
	touch(s->space[0], 16, 8);
}

static enum answer protect_both_ends(struct sweep *s)
{
	return answer(vmem_vmar_protect(root_of(s), AT + 4 * PAGE, 16 * PAGE, VMEM_READ | VMEM_EXEC));
}

static enum answer decommit(struct sweep *s)
{
	return answer(vmem_vmar_decommit(root_of(s), AT + 2 * PAGE, 5 * PAGE));
}

static enum answer decommit_hole(struct sweep *s)
{
	assert_int_equal(vmem_vmar_decommit(root_of(s), AT + 2 * PAGE, 12 * PAGE), VMEM_ERR_NOT_FOUND);
	return ANSWER_OK;
}

static enum answer allocate(struct sweep *s)
{
	const struct vmem_map m = {.length = 64 * PAGE, .permission = RW, .pad_before = 1};
	return answer(vmem_vmar_allocate(root_of(s), &m, &s->child));
}

static enum answer allocate_in_child(struct sweep *s)
{
	const struct vmem_map m = {.length = 4 * PAGE, .permission = RW};
	struct vmem_vmar *inner;
	return answer(vmem_vmar_allocate(s->child, &m, &inner));
}

static enum answer destroy_child(struct sweep *s)
{
	return answer(vmem_vmar_destroy(s->child));
}

static enum answer destroy_space(struct sweep *s)
{
	vmem_aspace_activate(NULL);
	vmem_aspace_destroy(s->space[0]);
	s->space[0] = NULL;
	return ANSWER_OK;
}

static void posix(struct sweep *s)
{
	vmem_posix_init(&s->posix, s->space[0], &vmem_posix_linux, AT);
	assert_int_equal(vmem_posix_brk(&s->posix, AT + 8 * PAGE), AT + 8 * PAGE);
	touch(s->space[0], 0, 8);
}

static void posix_regions(struct sweep *s)
{
	vmem_posix_init(&s->posix, s->space[0], &vmem_posix_linux, 0);
	three_permissions(s);
}

static enum answer posix_mmap_private(struct sweep *s)
{
	return answer_errno(
	    vmem_posix_mmap(&s->posix, 0, 5000, 3, VMEM_MMAP_PRIVATE | VMEM_MMAP_ANONYMOUS, &s->value));
}

static enum answer posix_mmap_shared(struct sweep *s)
{
	return answer_errno(
	    vmem_posix_mmap(&s->posix, 0, 5000, 3, VMEM_MMAP_SHARED | VMEM_MMAP_ANONYMOUS, &s->value));
}

static enum answer posix_mmap_fixed(struct sweep *s)
{
	int flags = VMEM_MMAP_SHARED | VMEM_MMAP_ANONYMOUS | VMEM_MMAP_FIXED;
	return answer_errno(vmem_posix_mmap(&s->posix, AT + 2 * PAGE, 2 * PAGE, 1, flags, &s->value));
}

static enum answer move_away(struct sweep *s)
{
	struct vmem_map to = {.length = 6 * PAGE, .place = VMEM_PLACE_FIXED, .address = AT + 64 * PAGE};
	return answer(vmem_vmar_move(
	    root_of(s), AT + 2 * PAGE, 4 * PAGE, &to, 0, &s->value));
}

static enum answer move_keeping(struct sweep *s)
{
	struct vmem_map to = {.length = 2 * PAGE, .place = VMEM_PLACE_REPLACE, .address = AT + 5 * PAGE};
	return answer(vmem_vmar_move(root_of(s), AT + PAGE, 2 * PAGE, &to,
	    VMEM_MOVE_KEEP_SOURCE, &s->value));
}

static enum answer extend(struct sweep *s)
{
	struct vmem_region_info info;
	assert_true(vmem_region_next(s->space[0], AT, &info));
	return answer(
	    vmem_vmar_extend(root_of(s), info.start + info.length, 4 * PAGE));
}

/* The keys behind it are another's, so that it grows by a region more. */
static void moved_region(struct sweep *s)
{
	one_region(s);
	struct vmem_map to = {.length = 4 * PAGE, .place = VMEM_PLACE_FIXED, .address = AT + 64 * PAGE};
	OK(vmem_vmar_move(root_of(s), AT + 2 * PAGE, 4 * PAGE, &to, 0, &s->value));
}

static enum answer extend_moved(struct sweep *s)
{
	return answer(vmem_vmar_extend(root_of(s), AT + 68 * PAGE, 4 * PAGE));
}

static void posix_file(struct sweep *s)
{
	posix(s);
	OK(vmem_object_create_anonymous(8 * PAGE, 0, &s->object[0]));
}

static enum answer posix_mmap_object(struct sweep *s)
{
	const struct vmem_posix_file file = {.object = s->object[0], .offset = PAGE, .maximum = RW};
	return answer_errno(vmem_posix_mmap_object(&s->posix, AT + 2 * PAGE, 2 * PAGE, 3,
	    VMEM_MMAP_SHARED | VMEM_MMAP_FIXED, &file, &s->value));
}

static enum answer posix_mremap(struct sweep *s)
{
	return answer_errno(vmem_posix_mremap(
	    &s->posix, AT + 2 * PAGE, 2 * PAGE, 4 * PAGE, VMEM_MREMAP_MAYMOVE, 0, &s->value));
}

static enum answer posix_munmap(struct sweep *s)
{
	return answer_errno(vmem_posix_munmap(&s->posix, AT + 2 * PAGE, 2 * PAGE));
}

static enum answer posix_mprotect(struct sweep *s)
{
	return answer_errno(vmem_posix_mprotect(&s->posix, AT + 4 * PAGE, 16 * PAGE, VMEM_PROT_NONE));
}

/* Linux's partial effect: the regions before the one that failed have changed, it and those behind it have
 * not. */
static void posix_mprotect_after(struct sweep *s)
{
	static const struct {
		uint64_t from, to;
		unsigned was;
	} part[] = {{4, 8, RW}, {8, 16, VMEM_READ}, {16, 20, RW}};
	bool changed = true;
	for (unsigned i = 0; i < 3; i++) {
		struct vmem_region_info r;
		assert_true(vmem_region_next(s->space[0], AT + part[i].from * PAGE, &r));
		changed &= r.permission == 0;
		assert_int_equal(r.permission, changed ? 0 : part[i].was);
		assert_true(vmem_region_next(s->space[0], AT + part[i].to * PAGE - 1, &r));
		assert_int_equal(r.permission, changed ? 0 : part[i].was);
	}
	assert_false(changed);
}

static enum answer posix_brk(struct sweep *s, uint64_t pages)
{
	vmem_vaddr_t old = s->posix.brk_end, got = vmem_posix_brk(&s->posix, AT + pages * PAGE);
	return got == AT + pages * PAGE ? ANSWER_OK : got == old ? ANSWER_NO_MEMORY : ANSWER_OTHER;
}

static void posix_no_heap(struct sweep *s)
{
	vmem_posix_init(&s->posix, s->space[0], &vmem_posix_linux, AT);
}

static enum answer posix_brk_first(struct sweep *s)
{
	return posix_brk(s, 9);
}

static enum answer posix_brk_more(struct sweep *s)
{
	assert_int_equal(posix_brk(s, 9), ANSWER_OK); /* the heap's region grows */
	return posix_brk(s, 4);
}

static enum answer wx_mmap(struct sweep *s)
{
	return answer(vmem_wx_mmap(s->space[0], 0, 3 * PAGE, VMEM_READ, &s->value));
}

static enum answer wx_mmap_hint(struct sweep *s)
{
	return answer(vmem_wx_mmap(s->space[0], AT + 40 * PAGE, 3 * PAGE, 0, &s->value));
}

static enum answer wx_munmap(struct sweep *s)
{
	return answer(vmem_wx_munmap(s->space[0], AT + 4 * PAGE, 4 * PAGE));
}

static enum answer wx_mprotect(struct sweep *s)
{
	return answer(vmem_wx_mprotect(s->space[0], AT + 4 * PAGE, 4 * PAGE, VMEM_READ | VMEM_EXEC));
}

const struct scenario scenarios_space[] = {
    {"vmem_aspace_fork", "regions, objects, a VMAR and pages", forked, fork_space, .effect = EFFECT_NONE},
    {"vmem_aspace_create", "a second space", one_region, create, .effect = EFFECT_NONE},
    {"vmem_aspace_destroy", "with private and shared memory", shared_region, destroy_space,
	.effect = EFFECT_NEVER},
    {"vmem_aspace_destroy", "with a child VMAR", child_vmar, destroy_space, .effect = EFFECT_NEVER},
    {"vmem_vmar_map", "anywhere", one_region, map_any, .effect = EFFECT_NONE},
    {"vmem_vmar_map", "an object at a hint", shared_region, map_object, .effect = EFFECT_NONE},
    {"vmem_vmar_map", "with reserved strips", one_region, map_padded, .effect = EFFECT_NONE},
    {"vmem_vmar_map", "replacing the middle of a region", one_region, map_middle, .effect = EFFECT_NONE},
    {"vmem_vmar_map", "replacing the middle of a shared region", shared_region, map_middle,
	.effect = EFFECT_NONE},
    {"vmem_vmar_map", "replacing a hole and the ends around it", with_hole, map_across,
	.effect = EFFECT_NONE},
    {"vmem_vmar_map", "replacing a part of a large leaf", large_region, map_large_middle,
	.effect = EFFECT_NONE, .large = true},
    {"vmem_vmar_map", "populated", one_region, map_populated, .effect = EFFECT_NONE},
    {"vmem_vmar_map", "replacing in a child VMAR", child_vmar, map_in_child, .effect = EFFECT_NONE},
    {"vmem_vmar_unmap", "the middle of a region", one_region, unmap_middle, .effect = EFFECT_NONE},
    {"vmem_vmar_unmap", "the middle of a shared region", shared_region, unmap_middle, .effect = EFFECT_NONE},
    {"vmem_vmar_unmap", "a part of a large leaf", large_region, unmap_large_middle, .effect = EFFECT_NONE,
	.large = true},
    {"vmem_vmar_unmap", "in a child VMAR", child_vmar, unmap_in_child, .effect = EFFECT_NONE},
    {"vmem_vmar_unmap", "ends and holes, splitting nothing", with_hole, unmap_ends, .effect = EFFECT_NEVER},
    {"vmem_vmar_protect", "the middle of a region", one_region, protect_middle, .effect = EFFECT_NONE},
    {"vmem_vmar_protect", "the middle of a shared region", shared_region, protect_middle,
	.effect = EFFECT_NONE},
    {"vmem_vmar_protect", "splitting two regions", three_permissions, protect_both_ends,
	.effect = EFFECT_NONE},
    {"vmem_vmar_protect", "a part of a large leaf", large_region, protect_middle, .effect = EFFECT_NONE,
	.large = true},
    {"vmem_vmar_decommit", "private memory", one_region, decommit, .effect = EFFECT_NEVER},
    {"vmem_vmar_decommit", "shared memory", shared_region, decommit, .effect = EFFECT_NEVER},
    {"vmem_vmar_decommit", "across a hole", with_hole, decommit_hole, .effect = EFFECT_NEVER},
    {"vmem_vmar_move", "a part of a region, which grows", one_region, move_away, .effect = EFFECT_NONE},
    {"vmem_vmar_move", "a part of a shared region", shared_region, move_away, .effect = EFFECT_NONE},
    {"vmem_vmar_move", "into its own region, kept mapped", one_region, move_keeping, .effect = EFFECT_NONE},
    {"vmem_vmar_extend", "in place", one_region, extend, .effect = EFFECT_NEVER},
    {"vmem_vmar_extend", "a region that has moved", moved_region, extend_moved, .effect = EFFECT_NONE},
    {"vmem_vmar_allocate", "a child", one_region, allocate, .effect = EFFECT_NONE},
    {"vmem_vmar_allocate", "a child of a child", child_vmar, allocate_in_child, .effect = EFFECT_NONE},
    {"vmem_vmar_destroy", "a child with memory", child_vmar, destroy_child, .effect = EFFECT_NEVER},
    {"vmem_posix_mmap", "private", posix, posix_mmap_private, .effect = EFFECT_NONE},
    {"vmem_posix_mmap", "shared", posix, posix_mmap_shared, .effect = EFFECT_NONE},
    {"vmem_posix_mmap", "shared and fixed, in the heap", posix, posix_mmap_fixed, .effect = EFFECT_NONE},
    {"vmem_posix_mmap_object", "in the heap", posix_file, posix_mmap_object, .effect = EFFECT_NONE},
    {"vmem_posix_munmap", "in the heap", posix, posix_munmap, .effect = EFFECT_NONE},
    {"vmem_posix_mremap", "in the heap", posix, posix_mremap, .effect = EFFECT_NONE},
    {"vmem_posix_mprotect", "three regions", posix_regions, posix_mprotect, .effect = EFFECT_PARTIAL,
	.after = posix_mprotect_after},
    {"vmem_posix_brk", "the first", posix_no_heap, posix_brk_first, .effect = EFFECT_NONE},
    {"vmem_posix_brk", "growing and shrinking the heap", posix, posix_brk_more, .effect = EFFECT_NEVER},
    {"vmem_wx_mmap", "anywhere", one_region, wx_mmap, .effect = EFFECT_NONE, .wx = true},
    {"vmem_wx_mmap", "a guard at a hint", one_region, wx_mmap_hint, .effect = EFFECT_NONE, .wx = true},
    {"vmem_wx_munmap", "the middle", one_region, wx_munmap, .effect = EFFECT_NONE, .wx = true},
    {"vmem_wx_mprotect", "the middle", one_region, wx_mprotect, .effect = EFFECT_NONE, .wx = true},
    {.function = NULL},
};
