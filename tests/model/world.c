/* SPDX-License-Identifier: MIT */
/*
 * world.c - a machine with the library on it, the model beside it, and the comparison of the two.
 */
#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "region.h"

/* RAM: as little as serves, because the check of the library looks at every frame. */
#define RAM_LOW (UINT64_C(6) << 20)
#define RAM_HIGH (UINT64_C(2) << 20)

struct world world;
struct counters *counters;

void model_fail(const char *file, int line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "%s:%d: ", file, line);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	_exit(1);
}

void answered(const struct op *op, int answer, int expected)
{
	if (answer != expected) {
		model_fail(
		    __FILE__, __LINE__, "%s answers %d, expected %d", op_names[op->kind], answer, expected);
	}
	counters->answers[op->kind][answer]++;
}

void judged(const struct op *op, vmem_status_t status, uint32_t wrong, uint32_t may)
{
	/* A promise is asked for last: what may refuse before it, may then, too. */
	uint32_t right = wrong ? wrong | (wrong & BIT(VMEM_ERR_NO_MEMORY) ? may : 0) : BIT(VMEM_OK) | may;
	if (!(right >> status & 1)) {
		model_fail(__FILE__, __LINE__, "%s answers %s, expected is one of the set %#x",
		    op_names[op->kind], vmem_status_name(status), right);
	}
	counters->answers[op->kind][status]++;
}

void make_space(unsigned i)
{
	nature_make(i);
	space_reset(i);
	world.vmar[i][0] = (struct vmar){
	    .real = vmem_aspace_root(world.space[i]), .first = 0, .pages = PAGES, .rights = VMEM_RWX};
}

void world_start(unsigned cpus)
{
	enum machine_isa isa = TEST_ISA[0] == 'x'   ? MACHINE_X86_64
			       : TEST_ISA[0] == 'a' ? MACHINE_AARCH64
						    : MACHINE_RISCV;
	struct machine_config config = machine_default(isa);
	config.cpus = cpus;
	config.device.length = LARGE * PAGE;
	config.ram[0].length = RAM_LOW;
	config.ram[1].length = RAM_HIGH;
	config.features |= MACHINE_COHERENT_FETCH; /* programs of the model do not synchronise their code */
	machine_create(&config);
	machine_boot(isa == MACHINE_AARCH64 ? 0 : 1); /* there a live large leaf cannot be split */
	machine_cpu_set(0);
	struct vmem_ram ram[MACHINE_RANGES];
	for (unsigned i = 0; i < config.ram_count; i++) {
		struct machine_range range = machine_ram_left(i);
		ram[i] = (struct vmem_ram){range.start, range.length};
	}
	const struct vmem_config library = {
	    .ram = ram,
	    .ram_count = config.ram_count,
	    .direct_map = machine_direct_map(),
	    .isa_features = machine_isa_features(),
	    .cpus = cpus,
	    .seed = 1,
	};
	EXPECT(vmem_library_init(&library) == VMEM_OK);
	memset(&world, 0, sizeof(world));
	world.cpus = cpus;
	for (unsigned i = 0; i < SPACES * PAGES; i++) {
		world.page[i / PAGES][i % PAGES].object = -1;
	}
	for (unsigned i = 0; i < config.cpus; i++) {
		machine_cpu_set(i);
		if (i > 0) {
			vmem_library_init_cpu();
		}
		world.current[i] = -1;
	}
	machine_cpu_set(0);
	struct vmem_frame_stats stats;
	vmem_library_trim();
	vmem_frame_stats(&stats);
	world.free_frames = stats.free + stats.tables;
	EXPECT(vmem_frame_alloc_run(OBJECT_PAGES, OBJECT_PAGES * PAGE, 0, &world.host_start) == VMEM_OK);
	memset(machine_ram(world.host_start), 0, OBJECT_PAGES * PAGE);
	for (unsigned i = 0; i < SPACES; i++) {
		make_space(i);
	}
}

void destroy_space(unsigned i)
{
	for (unsigned cpu = 0; cpu < world.cpus; cpu++) {
		if (world.current[cpu] == (int)i) {
			machine_cpu_set(cpu);
			vmem_aspace_activate(NULL);
			machine_cpu_idle(true);
			world.current[cpu] = -1;
		}
	}
	for (unsigned other = 0; other < SPACES; other++) {
		counters->events[EVENT_PARENT_FIRST] += world.nature[other].parent == world.nature[i].id;
	}
	vmem_aspace_destroy(world.space[i]);
	world.space[i] = NULL;
	space_reset(i);
}

/* Adjacent regions that agree in everything are one, unless asked otherwise. */
static bool is_joined(const struct page *lower, const struct page *upper)
{
	return lower->vmar == upper->vmar && lower->permission == upper->permission &&
	       lower->maximum == upper->maximum && lower->flags == upper->flags &&
	       !(lower->flags & VMEM_MAP_NO_MERGE) && lower->cookie == upper->cookie &&
	       lower->object == upper->object && (lower->object < 0 || lower->offset + 1 == upper->offset) &&
	       !lower->apart && !upper->apart && !upper->cut && lower->attributes == upper->attributes;
}

/* Two regions that were moved need not be one, if their keys do not follow or one's are used for guards. */
static bool keys_follow(
    unsigned space, const struct vmem_region_info *below, const struct vmem_region_info *r)
{
	return !world.nature[space].moved || (below->key + below->length / PAGE == r->key &&
						 !((below->attributes ^ r->attributes) & VMEM_REGION_GUARDS));
}

/* Answers the bytes of it that are locked. */
static uint64_t compare_region(
    unsigned space, const struct vmem_region_info *below, const struct vmem_region_info *r, unsigned first)
{
	uint64_t locked_seen = 0;
	const struct page *page = &world.page[space][first];
	EXPECT(
	    first == 0 || !page[-1].mapped || !is_joined(&page[-1], page) || !keys_follow(space, below, r));
	for (uint64_t done = 0; done < r->length; done += PAGE, page++) {
		EXPECT(page->mapped && page->permission == r->permission && page->maximum == r->maximum);
		EXPECT(page->flags == r->flags && page->cookie == r->cookie);
		EXPECT(page->attributes == (r->attributes & ~(uint32_t)VMEM_REGION_GUARDS));
		EXPECT(!page->guarded || r->attributes & VMEM_REGION_GUARDS);
		locked_seen += r->attributes & VMEM_REGION_LOCKED ? PAGE : 0;
		EXPECT(r->object == (page->object < 0 ? NULL : world.object[page->object].real));
		EXPECT(page->object < 0 || r->offset + done == page->offset * PAGE);
		EXPECT(r->cache == (page->object < 0 ? 0 : world.object[page->object].cache));
	}
	return locked_seen;
}

/* Regions and VMARs against pages of the model. */
static void compare_space(unsigned i)
{
	struct vmem_region_info r, below = {0};
	struct vmem_aspace_stats stats;
	const struct nature *n = &world.nature[i];
	uint64_t seen = 0, regions = 0, locked = 0;
	for (vmem_vaddr_t at = 0; vmem_region_next(world.space[i], at, &r);
	     at = r.start + r.length, below = r) {
		unsigned first = (unsigned)((r.start - SPACE_START) / PAGE);
		EXPECT(page_va(first) == r.start && first + r.length / PAGE <= PAGES);
		locked += compare_region(i, &below, &r, first);
		seen += r.length / PAGE;
		regions++;
	}
	vmem_aspace_stats(world.space[i], &stats);
	EXPECT(seen == world.mapped[i] && stats.mapped == seen * PAGE && stats.regions == regions);
	EXPECT(stats.locked == locked);
	EXPECT(regions <= n->max_regions && (n->accounts || seen <= n->max_pages));
	for (unsigned v = 0; v < VMARS; v++) {
		const struct vmar *vmar = &world.vmar[i][v];
		EXPECT(!vmar->real || (vmem_vmar_start(vmar->real) == page_va(vmar->first) &&
					  vmem_vmar_length(vmar->real) == vmar->pages * PAGE));
	}
}

/* What is in a page of an object: as the kernel reads it, or where that is refused as memory has it. */
static uint64_t object_value(const struct object *o, unsigned p)
{
	uint64_t value;
	vmem_paddr_t frame;
	if (o->store == ANONYMOUS) {
		EXPECT(vmem_object_read(o->real, p * PAGE, &value, sizeof(value), NULL) == VMEM_OK);
		return value;
	}
	EXPECT(vmem_object_frame(o->real, p * PAGE, &frame) == VMEM_OK);
	memcpy(&value, machine_ram(frame), sizeof(value));
	return value;
}

void world_compare(void)
{
	for (unsigned i = 0; i < SPACES; i++) {
		compare_space(i);
	}
	EXPECT(vmem_commit_promised() == promised_now() * PAGE);
	for (unsigned i = 0; i < OBJECTS; i++) {
		const struct object *o = &world.object[i];
		if (!o->real) {
			continue;
		}
		struct vmem_object_info info;
		vmem_object_info(o->real, &info);
		EXPECT(info.size == o->pages * PAGE && vmem_object_size(o->real) == info.size);
		EXPECT(info.cache == o->cache && info.flags == (o->resizable ? VMEM_OBJECT_RESIZABLE : 0));
		for (unsigned p = 0; p < o->pages; p++) {
			EXPECT(object_value(o, p) == o->content[o->first + p]);
		}
	}
}

/* See the head of test_random.c for what is checked when. */
static void check(const struct op *op)
{
	bool small = false;
	for (unsigned i = 0; i < SPACES; i++) {
		bool touched = op->kind >= OP_CREATE || i == op->r[0] % SPACES;
		small |= touched && world.space[i]->regions < 64;
	}
	if (small || world.steps % 64 == 0) {
		vmem_check();
		counters->checks++;
	}
	if (world.steps % 64 == 0) {
		machine_check();
		world_compare();
	}
}

static bool apply(const struct op *op)
{
	switch (op->kind) {
	case OP_MAP:
	case OP_MAP_STRIPS:
	case OP_REPLACE:
		return apply_map(op);
	case OP_UNMAP:
	case OP_PROTECT:
	case OP_DECOMMIT:
		return apply_space(op);
	case OP_ATTRIBUTES:
	case OP_GUARD:
	case OP_UNGUARD:
	case OP_RESIDENT:
		return apply_advice(op);
	case OP_VMAR:
	case OP_VMAR_DESTROY:
		return apply_vmar(op);
	case OP_MAP_LARGE:
		destroy_space(op->r[0] % SPACES);
		make_space(op->r[0] % SPACES);
		return apply_map(op);
	case OP_FORK:
		return apply_fork(op);
	case OP_MOVE:
	case OP_EXTEND:
		return apply_move(op);
	case OP_MMAP:
	case OP_MREMAP:
	case OP_MLOCK:
	case OP_LIMIT:
	case OP_OVERCOMMIT:
		return apply_process(op);
	case OP_RECREATE:
		destroy_space(op->r[0] % SPACES);
		make_space(op->r[0] % SPACES);
		answered(op, VMEM_OK, VMEM_OK);
		return true;
	default:
		return op->kind <= OP_SWITCH ? apply_access(op) : apply_object(op);
	}
}

bool world_apply(const struct op *op)
{
	struct vmem_frame_stats stats;
	machine_operation();
	machine_cpu_set(op->r[7] % world.cpus);
	bool changed = apply(op);
	machine_operation();
	counters->operations++;
	world.steps++;
	counters->changes += changed;
	for (unsigned i = 0; i < SPACES; i++) {
		if (world.space[i]->regions > counters->most_regions) {
			counters->most_regions = world.space[i]->regions;
		}
	}
	vmem_frame_stats(&stats);
	counters->least_free = stats.free < counters->least_free ? stats.free : counters->least_free;
	check(op);
	return changed;
}

void world_end(void)
{
	struct vmem_frame_stats stats;
	vmem_check();
	world_compare();
	for (unsigned i = 0; i < SPACES; i++) {
		destroy_space(i);
	}
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (world.object[i].real) {
			vmem_object_release(world.object[i].real);
		}
	}
	vmem_frame_free_run(world.host_start, OBJECT_PAGES);
	vmem_check();
	machine_check();
	vmem_library_trim();
	vmem_frame_stats(&stats);
	/* a split of the direct map keeps its tables */
	EXPECT(stats.free + stats.tables == world.free_frames);
	machine_destroy();
}
