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

vmem_vaddr_t page_va(unsigned page)
{
	return page < NEAR_PAGES ? NEAR + page * PAGE : FAR + (page - NEAR_PAGES) * PAGE;
}

struct window window_pick(const struct op *op, unsigned most)
{
	unsigned far = op->r[1] % 8 == 0, low = far ? NEAR_PAGES : 0, room = far ? FAR_PAGES : NEAR_PAGES;
	struct window w = {low + op->r[2] % room, 1 + op->r[3] % most};
	if (w.first + w.pages > low + room) {
		w.pages = low + room - w.first;
	}
	return w;
}

/* Where a page's content is; NULL where there is none: it reads as zero. */
static uint64_t *content_of(const struct page *page)
{
	if (page->object < 0) {
		return NULL;
	}
	struct object *o = &world.object[page->object];
	return page->offset < o->pages ? &o->content->value[o->first + page->offset] : NULL;
}

uint64_t page_value(const struct page *page)
{
	const uint64_t *content = content_of(page);
	return page->own ? page->value : content ? *content : 0;
}

void page_store(struct page *page, uint64_t value)
{
	if (page->shared) {
		*content_of(page) = value;
	} else {
		page->own = true;
		page->value = value;
	}
}

enum vmem_fault_result page_expect(const struct page *page, unsigned access)
{
	if (!page->mapped) {
		return VMEM_FAULT_NO_REGION;
	}
	if (page->guard) {
		return VMEM_FAULT_GUARD;
	}
	if (!(page->permission & access)) {
		return VMEM_FAULT_PERMISSION;
	}
	return page->own || page->object < 0 || content_of(page) ? VMEM_FAULT_RESOLVED
								 : VMEM_FAULT_BEYOND_END;
}

static void make_space(unsigned i)
{
	const struct vmem_aspace_config config = {.start = NEAR,
	    .length = SPACE_LENGTH,
	    .wx = i == 1,
	    .large = i == 2,
	    .max_regions = MAX_REGIONS,
	    .entropy_bits = 20,
	    .seed = i + 1};
	EXPECT(vmem_aspace_create(&config, &world.space[i]) == VMEM_OK);
	memset(world.page[i], 0, sizeof(world.page[i]));
	for (unsigned p = 0; p < PAGES; p++) {
		world.page[i][p].object = -1;
	}
}

void world_start(void)
{
	enum machine_isa isa = TEST_ISA[0] == 'x'   ? MACHINE_X86_64
			       : TEST_ISA[0] == 'a' ? MACHINE_AARCH64
						    : MACHINE_RISCV;
	struct machine_config config = machine_default(isa);
	config.ram[0].length = UINT64_C(14) << 20;
	config.ram[1].length = UINT64_C(4) << 20;
	config.features |= MACHINE_COHERENT_FETCH; /* programs of the model do not synchronise their code */
	machine_create(&config);
	machine_boot(1);
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
	    .seed = 1,
	};
	EXPECT(vmem_library_init(&library) == VMEM_OK);
	memset(&world, 0, sizeof(world));
	for (unsigned i = 0; i < config.cpus; i++) {
		machine_cpu_set(i);
		if (i > 0) {
			vmem_library_init_cpu();
		}
		world.current[i] = -1;
	}
	machine_cpu_set(0);
	struct vmem_frame_stats stats;
	vmem_frame_stats(&stats);
	world.data_frames = stats.data;
	for (unsigned i = 0; i < SPACES; i++) {
		make_space(i);
	}
}

static void destroy_space(unsigned i)
{
	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++) {
		if (world.current[cpu] == (int)i) {
			machine_cpu_set(cpu);
			vmem_aspace_activate(NULL);
			world.current[cpu] = -1;
		}
	}
	vmem_aspace_destroy(world.space[i]);
	memset(world.page[i], 0, sizeof(world.page[i]));
	for (unsigned p = 0; p < PAGES; p++) {
		world.page[i][p].object = -1;
	}
	object_drop_unused();
}

/* Pages of regions against pages of the model. */
static void compare_space(unsigned i)
{
	struct vmem_region_info r;
	unsigned seen = 0, mapped = 0;
	for (vmem_vaddr_t at = 0; vmem_region_next(world.space[i], at, &r); at = r.start + r.length) {
		for (uint64_t done = 0; done < r.length; done += PAGE) {
			vmem_vaddr_t va = r.start + done;
			unsigned p =
			    (unsigned)(va >= FAR ? NEAR_PAGES + (va - FAR) / PAGE : (va - NEAR) / PAGE);
			EXPECT(p < PAGES && page_va(p) == va);
			const struct page *page = &world.page[i][p];
			EXPECT(
			    page->mapped && page->permission == r.permission && page->maximum == r.maximum);
			EXPECT(page->shared == ((r.flags & VMEM_MAP_SHARED) != 0) &&
			       page->guard == ((r.flags & VMEM_MAP_GUARD) != 0));
			EXPECT(r.object == (page->object < 0 ? NULL : world.object[page->object].real));
			EXPECT(page->object < 0 || r.offset + done == page->offset * PAGE);
			seen++;
		}
	}
	for (unsigned p = 0; p < PAGES; p++) {
		mapped += world.page[i][p].mapped;
	}
	EXPECT(seen == mapped);
}

void world_compare(void)
{
	for (unsigned i = 0; i < SPACES; i++) {
		compare_space(i);
	}
	for (unsigned i = 0; i < OBJECTS; i++) {
		const struct object *o = &world.object[i];
		if (!o->real) {
			continue;
		}
		EXPECT(vmem_object_size(o->real) == o->pages * PAGE);
		for (unsigned p = 0; p < o->pages; p++) {
			uint64_t value;
			EXPECT(vmem_object_read(o->real, p * PAGE, &value, sizeof(value), NULL) == VMEM_OK);
			EXPECT(value == o->content->value[o->first + p]);
		}
	}
}

/* The touched space after each step, the library after each 16th, everything after each 64th. */
static void check(const struct op *op)
{
	struct vmem_aspace *space = world.space[op->r[0] % SPACES];
	if (op->kind <= OP_RECREATE && (space->regions < 64 || counters->operations % 64 == 0)) {
		vmem_aspace_check(space);
	}
	if (counters->operations % 16 == 0) {
		vmem_check();
	}
	if (counters->operations % 64 == 0) {
		machine_check();
		world_compare();
	}
}

bool world_apply(const struct op *op)
{
	bool changed;
	machine_operation();
	machine_cpu_set(op->r[7] % MACHINE_CPUS);
	if (op->kind == OP_RECREATE) {
		unsigned i = op->r[0] % SPACES;
		destroy_space(i);
		make_space(i);
		answered(op, VMEM_OK, VMEM_OK);
		changed = true;
	} else if (op->kind <= OP_PROTECT || op->kind == OP_DECOMMIT) {
		changed = apply_space(op);
	} else if (op->kind <= OP_SWITCH) {
		changed = apply_access(op);
	} else {
		changed = apply_object(op);
	}
	machine_operation();
	counters->operations++;
	counters->changes += changed;
	for (unsigned i = 0; i < SPACES; i++) {
		if (world.space[i]->regions > counters->most_regions) {
			counters->most_regions = world.space[i]->regions;
		}
	}
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
	vmem_check();
	machine_check();
	vmem_frame_stats(&stats);
	EXPECT(stats.data == world.data_frames);
	machine_destroy();
}
