/* SPDX-License-Identifier: MIT */
/*
 * world.c - the library on a small machine, for cases. What a case's threads do is judged in four ways: by
 * the machine at each access and each frame that is freed, by the machine over all that is cached when all
 * have ended, by the library's own validator of everything, and by the case.
 *
 * W1 While threads run, stale translations are legal, and they are used: the TLBs cache all that they may
 * whenever another thread goes on. What must have gone is looked for when the removal returns
 * (world_unreachable()), and everywhere at the end. W2 A fault that answers AGAIN is tried again later.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmem/init.h>
#include <vmem/trap.h>

#include "heap.h"
#include "internal.h"
#include "region.h"
#include "runtime.h"
#include "slab.h"

#define FAULTS_MAX 16u
#define FAULTS_USUAL 4u
#define WATCHED_MAX 16u
#define RAM_START UINT64_C(0x80000000)
#define RAM_SIZE (UINT64_C(2) << 20)

/* Pages of the mappings that were made in setup: what the TLBs cache between the threads. */
static uint64_t watched[WATCHED_MAX];
static unsigned watched_count;

void world_watch(uint64_t va, uint64_t pages)
{
	image_write(watched, sizeof(watched));
	image_write(&watched_count, sizeof(watched_count));
	for (uint64_t i = 0; i < pages && watched_count < WATCHED_MAX; i++) {
		watched[watched_count++] = va + PAGES(i);
	}
}

static void adversary(void)
{
	for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {
		for (unsigned i = 0; i < watched_count; i++) {
			machine_fill_at(cpu, watched[i]);
		}
	}
}

static void begin(void)
{
	machine_relax(1);
}

static bool is_walked(const void *p)
{
	const struct vmem_page *page =
	    image_is_ram(p) ? pa_to_page((uint64_t)(uintptr_t)p - machine_direct_map()) : NULL;
	return page != NULL && page->kind == PAGE_TABLE;
}

static void judge(void)
{
	machine_relax(-1);
	machine_operation();
	machine_check();
	if (machine_violations_all() != 0) {
		explore_fail("%s", machine_violation_text());
	}
	if (image_is_new() || rt->replay) { /* else it has been judged */
		vmem_check();
	}
}

/* Makes sure that a call of setup has worked. */
static void must(vmem_status_t status, const char *what)
{
	if (status != VMEM_OK) {
		fprintf(stderr, "world: %s: %s\n", what, vmem_status_name(status));
		abort();
	}
}

void world_start(const struct world_options *options)
{
	static const struct world_options usual;
	struct machine_config config = machine_default(WORLD_ISA);
	const struct world_options *o = options != NULL ? options : &usual;
	if (machine_now != NULL) {
		image_close();
		machine_destroy();
	}
	heap_reset();
	watched_count = 0;
	config.cpus = o->cpus != 0 ? o->cpus : 2;
	config.ram_count = 1;
	config.ram[0] = (struct machine_range){RAM_START, o->ram != 0 ? o->ram : RAM_SIZE};
	config.features &= ~o->remove;
	machine_create(&config);
	machine_collect(true);
	machine_cpu_set(0);
	machine_boot(1);
	struct machine_range left = machine_ram_left(0), area = machine_kernel_area();
	struct vmem_ram ram = {left.start, left.length - PAGES(8)};
	const struct vmem_config start = {
	    .ram = &ram,
	    .ram_count = 1,
	    .direct_map = machine_direct_map(),
	    .kernel_start = area.start,
	    .kernel_length = area.length,
	    .isa_features = machine_isa_features(),
	    .seed = 7,
	};
	must(vmem_library_init(&start), "the library does not start");
	for (unsigned cpu = 1; cpu < config.cpus; cpu++) {
		machine_cpu_set(cpu);
		vmem_library_init_cpu();
	}
	machine_cpu_set(0);
	if (o->ids != 0) {
		vmem_asid_init(o->ids);
	}
	rt->hooks =
	    (struct hooks){.adversary = adversary, .begin = begin, .end = judge, .is_walked = is_walked};
	image_open((uintptr_t)machine_ram(RAM_START), config.ram[0].length);
}

struct vmem_aspace *world_space(void)
{
	const struct vmem_aspace_config config = {0};
	struct vmem_aspace *aspace = NULL;
	must(vmem_aspace_create(&config, &aspace), "no space");
	return aspace;
}

void world_run(unsigned cpu, struct vmem_aspace *aspace)
{
	world_cpu(cpu);
	vmem_aspace_activate(aspace);
}

void world_cpu(unsigned cpu)
{
	machine_operation();
	machine_cpu_set(cpu);
}

uint64_t world_map_object(struct vmem_aspace *aspace, uint64_t address, struct vmem_object *object,
    uint64_t pages, unsigned permission, unsigned flags)
{
	const struct vmem_map map = {
	    .length = PAGES(pages),
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .flags = flags,
	    .place = VMEM_PLACE_FIXED,
	    .address = address,
	    .object = object,
	};
	vmem_vaddr_t start = 0;
	must(vmem_vmar_map(vmem_aspace_root(aspace), &map, &start), "no mapping");
	world_watch(start, pages < 4 ? pages : 4);
	return start;
}

uint64_t world_map(struct vmem_aspace *aspace, uint64_t address, uint64_t pages, unsigned permission)
{
	return world_map_object(aspace, address, NULL, pages, permission, 0);
}

struct vmem_object *world_object(uint64_t pages)
{
	struct vmem_object *object = NULL;
	must(vmem_object_create_anonymous(PAGES(pages), VMEM_OBJECT_RESIZABLE, &object), "no object");
	return object;
}

struct vmem_object *world_snapshot(struct vmem_object *object, uint64_t pages)
{
	struct vmem_object *child = NULL;
	must(vmem_object_snapshot(object, 0, PAGES(pages), &child), "no snapshot");
	return child;
}

void world_warm(void)
{
	machine_operation();
	for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {
		machine_fill(cpu);
	}
	machine_check();
	if (machine_violations_all() != 0) {
		fprintf(stderr, "world: %s\n", machine_violation_text());
		abort();
	}
}

/* Accesses. */

static enum vmem_fault_result access_once(
    struct vmem_aspace *aspace, uint64_t va, enum machine_access_kind kind, uint64_t *value, bool *done)
{
	unsigned cpu = machine_cpu();
	explore_point();
	if (rt->exploring && host_has_calls(rt->current) && explore_choose(2) == 0) {
		host_serve();
	}
	rt->machine++;
	struct machine_result r = machine_access(cpu, va, kind, MACHINE_USER, value, sizeof(*value));
	rt->machine--;
	THIS->writes += r.ok;
	if (machine_violations_all() != 0) {
		explore_fail("%s", machine_violation_text());
	}
	*done = r.ok;
	if (r.ok) {
		host_serve();
		return VMEM_FAULT_RESOLVED;
	}
	struct vmem_trap trap = vmem_trap_decode(r.cause, r.detail);
	explore_enter();
	enum vmem_fault_result result = vmem_fault_try(aspace, r.va, trap.access);
	explore_leave();
	return result;
}

static enum vmem_fault_result access_until(
    struct vmem_aspace *aspace, uint64_t va, enum machine_access_kind kind, uint64_t *value)
{
	for (unsigned faults = 0; faults < FAULTS_MAX; faults++) {
		bool done;
		enum vmem_fault_result result = access_once(aspace, va, kind, value, &done);
		/* (W2); also where it did not help, as when the table it used is about to be hooked. */
		if ((result == VMEM_FAULT_RESULT_COUNT || (faults > FAULTS_USUAL && !done)) &&
		    rt->exploring && (result == VMEM_FAULT_RESULT_COUNT || result == VMEM_FAULT_RESOLVED)) {
			explore_again();
			continue;
		}
		explore_got();
		if (done || result != VMEM_FAULT_RESOLVED) {
			return result;
		}
	}
	explore_fail("the access to %#llx faults again and again", (unsigned long long)va);
}

enum vmem_fault_result user_read(struct vmem_aspace *aspace, uint64_t va, uint64_t *value)
{
	*value = UINT64_C(0xdeadbeefdeadbeef);
	return access_until(aspace, va, MACHINE_READ, value);
}

enum vmem_fault_result user_write(struct vmem_aspace *aspace, uint64_t va, uint64_t value)
{
	return access_until(aspace, va, MACHINE_WRITE, &value);
}

void world_put(struct vmem_aspace *aspace, uint64_t va, uint64_t value)
{
	if (user_write(aspace, va, value) != VMEM_FAULT_RESOLVED) {
		fprintf(stderr, "world: %#llx cannot be written\n", (unsigned long long)va);
		abort();
	}
}

uint64_t world_get(struct vmem_aspace *aspace, uint64_t va)
{
	uint64_t value = 0;
	if (user_read(aspace, va, &value) != VMEM_FAULT_RESOLVED) {
		explore_fail("%#llx cannot be read", (unsigned long long)va);
	}
	return value;
}

/* Promises. (W1) */

static void look(struct vmem_aspace *aspace, uint64_t va, uint64_t pages, uint32_t forbidden)
{
	rt->quiet++;
	for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {
		if (machine_root(cpu) != aspace->pmap.root_pa) {
			continue;
		}
		for (uint64_t page = va; page < va + PAGES(pages); page += VMEM_PAGE_SIZE) {
			for (unsigned shift = 12; shift < 40; shift++) {
				struct tlb_entry *e = tlb_find(cpu, page, shift, NULL);
				if (e != NULL && e->kind == MMU_LEAF && (e->perm & forbidden) != 0) {
					explore_fail("CPU %u still has %#llx -> %#llx", cpu,
					    (unsigned long long)page, (unsigned long long)e->pa);
				}
			}
		}
	}
	rt->quiet--;
}

void world_unreachable(struct vmem_aspace *aspace, uint64_t va, uint64_t pages)
{
	look(aspace, va, pages, PERM_ALL);
}

void world_unwritable(struct vmem_aspace *aspace, uint64_t va, uint64_t pages)
{
	look(aspace, va, pages, PERM_WRITE);
}
