/* SPDX-License-Identifier: MIT */
/*
 * apply_access.c - programs that read, write and execute through the MMU of a CPU that runs the space, and
 * the kernel's copies.
 */
#include "model.h"

#include <string.h>

static void enter(unsigned cpu, int space)
{
	machine_cpu_set(cpu);
	vmem_aspace_activate(space < 0 ? NULL : world.space[space]);
	machine_cpu_idle(space < 0);
	world.current[cpu] = space;
	if (space >= 0) {
		machine_wx(machine_root(cpu), world.nature[space].wx);
	}
}

/* A CPU that runs the space, made to if none does. */
static unsigned cpu_of(const struct op *op, unsigned space)
{
	unsigned first = op->r[7] % world.cpus;
	for (unsigned i = 0; i < world.cpus; i++) {
		unsigned cpu = (first + i) % world.cpus;
		if (world.current[cpu] == (int)space) {
			machine_cpu_set(cpu);
			return cpu;
		}
	}
	enter(first, (int)space);
	return first;
}

static enum vmem_fault_result user_access(unsigned space, unsigned cpu, vmem_vaddr_t va,
    enum machine_access_kind kind, void *buffer, size_t length, bool *faulted)
{
	static const unsigned bits[] = {
	    [MACHINE_READ] = VMEM_READ, [MACHINE_WRITE] = VMEM_WRITE, [MACHINE_EXEC] = VMEM_EXEC};
	for (unsigned tries = 0; tries < 5; tries++) {
		struct machine_result r = machine_access(cpu, va, kind, MACHINE_USER, buffer, length);
		if (r.ok) {
			return VMEM_FAULT_RESOLVED;
		}
		struct vmem_trap trap = vmem_trap_decode(r.cause, r.detail);
		EXPECT(trap.is_page_fault && trap.is_user && !trap.malformed && trap.access == bits[kind] &&
		       r.va == va);
		machine_operation();
		enum vmem_fault_result result = vmem_fault(world.space[space], r.va, trap.access);
		machine_operation();
		*faulted = true;
		if (result != VMEM_FAULT_RESOLVED) {
			return result;
		}
	}
	model_fail(__FILE__, __LINE__, "an access that the library resolves faults again and again");
}

/* Seven of eight accesses go to where they are allowed, one of four to what was changed last. */
static unsigned page_pick(const struct op *op, unsigned space)
{
	static const uint8_t wants[OP_KINDS] = {[OP_READ] = VMEM_READ,
	    [OP_WRITE] = VMEM_WRITE,
	    [OP_EXEC] = VMEM_EXEC,
	    [OP_COPY_TO] = VMEM_WRITE,
	    [OP_COPY_FROM] = VMEM_READ};
	unsigned p = (op->r[2] >> 8) % 4 ? op->r[1] % PAGES : world.recent[space];
	if ((op->r[2] >> 10) % 8 == 0) { /* below what grows down, if there is such a region above */
		for (unsigned q = p; q < PAGES; q++) {
			if (world.page[space][q].attributes & VMEM_REGION_GROWS_DOWN) {
				p = q - (op->r[2] >> 14) % 32;
				return p < PAGES ? p : 0;
			}
		}
	}
	for (unsigned i = 0;
	     op->r[2] % 8 != 0 && i < PAGES && !(world.page[space][p].permission & wants[op->kind]); i++) {
		p = (p + 1) % PAGES;
	}
	return p;
}

/* The entry that the access left has the attribute of the memory, as far as the ISA has it. */
static void check_attribute(unsigned cpu, unsigned p, const struct page *page)
{
	static const enum machine_type types[] = {[VMEM_WRITE_BACK] = MACHINE_WB,
	    [VMEM_WRITE_THROUGH] = MACHINE_WT,
	    [VMEM_WRITE_COMBINING] = MACHINE_WC,
	    [VMEM_UNCACHED] = MACHINE_UC};
	unsigned cache = page->object < 0 ? VMEM_WRITE_BACK : world.object[page->object].cache;
	struct machine_translation t;
	EXPECT(machine_translate(cpu, page_va(p), &t));
	if (t.level > 0) {
		counters->events[page->object < 0 ? EVENT_LARGE_PRIVATE : EVENT_LARGE_DEVICE]++;
	}
	if (page->object >= 0 && world.object[page->object].store == DEVICE && cache == VMEM_WRITE_BACK) {
		return; /* RISC-V leaves this to the platform */
	}
	EXPECT(cache == VMEM_WRITE_THROUGH ? t.type != MACHINE_WB : t.type == types[cache]);
}

static void count_events(const struct page *page)
{
	static const enum event used[] = {
	    [CONTIGUOUS] = EVENT_CONTIGUOUS_USED, [HOST] = EVENT_HOST_USED, [DEVICE] = EVENT_DEVICE_USED};
	if (page->object < 0) {
		return;
	}
	const struct object *o = &world.object[page->object];
	if (o->store != ANONYMOUS) {
		counters->events[used[o->store]]++;
		counters->events[EVENT_ODD_CACHE_USED] += o->store != DEVICE && o->cache != VMEM_WRITE_BACK;
	}
	for (unsigned i = 0; i < OBJECTS && page->flags & VMEM_MAP_SHARED; i++) {
		const struct object *other = &world.object[i];
		counters->events[EVENT_SLICE_SHOWN] +=
		    other != o && other->real && other->mapped > 0 && other->content == o->content;
	}
}

static bool access_page(const struct op *op, unsigned space)
{
	unsigned cpu = cpu_of(op, space), p = page_pick(op, space);
	struct page *page = &world.page[space][p];
	bool faulted = grow_down(space, p);
	uint64_t value = 0;
	enum vmem_fault_result result, expected;
	if (op->kind == OP_WRITE) {
		value = ++world.next_value;
		expected = page_expect(page, VMEM_WRITE);
		result = user_access(space, cpu, page_va(p), MACHINE_WRITE, &value, sizeof(value), &faulted);
		if (result == VMEM_FAULT_RESOLVED && expected == result) {
			page_store(page, value);
		}
	} else {
		bool exec = op->kind == OP_EXEC;
		expected = page_expect(page, exec ? VMEM_EXEC : VMEM_READ);
		result = user_access(space, cpu, page_va(p), exec ? MACHINE_EXEC : MACHINE_READ, &value,
		    exec ? 4 : 8, &faulted);
		if (result == VMEM_FAULT_RESOLVED && expected == result) {
			EXPECT(value == (exec ? (uint32_t)page_value(page) : page_value(page)));
		}
	}
	answered(op, (int)result, (int)expected);
	if (result == VMEM_FAULT_RESOLVED) {
		check_attribute(cpu, p, page);
		count_events(page);
	}
	return result == VMEM_FAULT_RESOLVED && (faulted || op->kind == OP_WRITE);
}

#define COPY_PAGES 4u

/* Counted: 0 whole, 1 a part, 2 nothing. */
static int how_far(size_t done, size_t length)
{
	return done == length ? 0 : done > 0 ? 1 : 2;
}

/* A run of pages from a picked one, its last with the value only; as many bytes as user mode could reach, in
 * memory that the kernel has an address for, are expected. */
static size_t reachable(unsigned space, unsigned first, unsigned pages, unsigned access, size_t length)
{
	unsigned good = 0;
	for (; good < pages; good++) {
		const struct page *page = &world.page[space][first + good];
		(void)grow_down(space, first + good);
		if (page_expect(page, access) != VMEM_FAULT_RESOLVED) {
			break;
		}
		if (page->object >= 0 && !page->own && !object_has_address(&world.object[page->object])) {
			counters->events[EVENT_COPY_STOPPED]++;
			break;
		}
	}
	return good == pages ? length : good * PAGE;
}

static bool copy(const struct op *op, unsigned space)
{
	static uint8_t buffer[COPY_PAGES * VMEM_PAGE_SIZE];
	unsigned first = page_pick(op, space), room = PAGES - first;
	unsigned pages = 1 + op->r[3] % COPY_PAGES;
	pages = pages > room ? room : pages;
	size_t length = (pages - 1) * PAGE + sizeof(uint64_t), expected, done;
	bool to = op->kind == OP_COPY_TO;
	expected = reachable(space, first, pages, to ? VMEM_WRITE : VMEM_READ, length);
	memset(buffer, 0, length);
	for (unsigned i = 0; to && i < pages; i++) {
		uint64_t value = ++world.next_value;
		memcpy(buffer + i * PAGE, &value, sizeof(value));
	}
	done = to ? vmem_copy_to_user(world.space[space], page_va(first), buffer, length)
		  : vmem_copy_from_user(world.space[space], buffer, page_va(first), length);
	if (done != expected) {
		model_fail(__FILE__, __LINE__, "a copy came to %zu, expected %zu", done, expected);
	}
	for (unsigned i = 0; i * PAGE < done; i++) {
		uint64_t value;
		memcpy(&value, buffer + i * PAGE, sizeof(value));
		if (to) {
			page_store(&world.page[space][first + i], value);
		} else {
			EXPECT(value == page_value(&world.page[space][first + i]));
		}
	}
	answered(op, how_far(done, length), how_far(expected, length));
	return to && done > 0;
}

bool apply_access(const struct op *op)
{
	unsigned space = op->r[0] % SPACES;
	if (op->kind == OP_SWITCH) {
		unsigned cpu = op->r[7] % world.cpus;
		int to = op->r[1] % 8 == 0 ? -1 : (int)space, from = world.current[cpu];
		enter(cpu, to);
		answered(op, VMEM_OK, VMEM_OK);
		return from != to;
	}
	if (op->kind == OP_COPY_TO || op->kind == OP_COPY_FROM) {
		return copy(op, space);
	}
	return access_page(op, space);
}
