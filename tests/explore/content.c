/* SPDX-License-Identifier: MIT */
/*
 * content.c - what the cases about content share; see content.h.
 */
#include "content.h"

struct vmem_aspace *space, *second;
struct vmem_object *object, *child;
static uint32_t told;

void tell(uint32_t what)
{
	__atomic_store_n(&told, what, __ATOMIC_RELEASE);
}

uint32_t heard(void)
{
	return __atomic_load_n(&told, __ATOMIC_ACQUIRE);
}

uint64_t content(struct vmem_object *of, uint64_t page, uint64_t word)
{
	uint64_t value = 0;
	EXPLORE_CHECK(vmem_object_read(of, PAGES(page) + 8 * word, &value, sizeof(value), NULL) == VMEM_OK);
	return value;
}

void store(struct vmem_aspace *in, uint64_t page, uint64_t word, uint64_t value)
{
	EXPLORE_CHECK(user_write(in, AT + PAGES(page) + 8 * word, value) == VMEM_FAULT_RESOLVED);
}

uint64_t load(struct vmem_aspace *in, uint64_t page, uint64_t word)
{
	uint64_t value = 0;
	EXPLORE_CHECK(user_read(in, AT + PAGES(page) + 8 * word, &value) == VMEM_FAULT_RESOLVED);
	return value;
}

/* An object of four pages, the first two with content; all CPUs run one space that maps it. */
void setup_object(unsigned cpus)
{
	const struct world_options options = {.cpus = cpus};
	world_start(&options);
	told = 0;
	child = NULL;
	space = world_space();
	for (unsigned cpu = cpus; cpu-- > 0;) {
		world_run(cpu, space);
	}
	object = world_object(4);
	world_map_object(space, AT, object, 4, RW, VMEM_MAP_SHARED);
	world_put(space, AT, OLD);
	world_put(space, AT + PAGES(1), OLD);
	world_warm();
}

/* The pages are shared with a snapshot: each first store copies. */
void setup_shared(unsigned cpus)
{
	setup_object(cpus);
	child = world_snapshot(object, 4);
	for (unsigned cpu = cpus; cpu-- > 0;) {
		world_cpu(cpu);
		EXPLORE_CHECK(world_get(space, AT) == OLD);
	}
	world_warm();
}

uint64_t frozen[3];

void take_snapshot(void)
{
	KERNEL_OK(vmem_object_snapshot(object, 0, PAGES(4), &child));
	explore_enter();
	frozen[0] = content(child, 0, 0);
	frozen[1] = content(child, 2, 0);
	explore_leave();
	EXPLORE_CHECK(frozen[0] == OLD || frozen[0] == NEW || frozen[0] == NEW + 1);
	tell(1);
}

void write_fresh_page(void)
{
	store(space, 2, 0, NEW);
	store(space, 0, 0, NEW + 1);
}

void snapshot_stays(void)
{
	EXPLORE_CHECK(content(child, 0, 0) == frozen[0] && content(child, 2, 0) == frozen[1]);
	EXPLORE_CHECK(content(object, 0, 0) == NEW + 1);
	store(space, 0, 0, NEW + 2);
	store(space, 2, 0, NEW + 2);
	EXPLORE_CHECK(content(child, 0, 0) == frozen[0] && content(child, 2, 0) == frozen[1]);
}
