/* SPDX-License-Identifier: MIT */
/*
 * test_introspection.c - what can be asked of a space (include/vmem/aspace.h): residence and share of a
 * region, translations, statistics; and becoming current. The answers are compared with the tables as the
 * machine reads them, and with what was done.
 */
#include "core_fixture.h"

#include "region.h"

#define BASE UINT64_C(0x400000)

struct residence {
	uint64_t resident, shared;
};

static struct residence residence(struct vmem_aspace *as, uint64_t va)
{
	struct vmem_region_info info = region_at(as, va);
	struct residence r = {77, 77};
	vmem_region_residence(as, &info, &r.resident, &r.shared);
	return r;
}

#define RESIDENT(as, va, pages, of_them_shared)                                                              \
	do {                                                                                                 \
		struct residence r_ = residence(as, va);                                                     \
		assert_int_equal(r_.resident, pages);                                                        \
		assert_int_equal(r_.shared, of_them_shared);                                                 \
	} while (0)

/* Private memory is nobody else's; the zero page is no frame of a region. */
static void private_residence(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run(0, as);
	uint64_t va = map_at(as, BASE, 300, RW);
	RESIDENT(as, va, 0, 0);
	assert_int_equal(get(as, 0, va + PAGES(7)), 0);
	RESIDENT(as, va, 0, 0);
	fill(as, va + PAGES(60), 10, 1);
	put(as, 0, va + PAGES(299), 1);
	RESIDENT(as, va, 11, 0);
	protect(as, va + PAGES(65), 100, 0); /* out of the tables, but there */
	RESIDENT(as, va, 5, 0);
	RESIDENT(as, va + PAGES(65), 5, 0);
	RESIDENT(as, va + PAGES(165), 1, 0);
	OK(vmem_vmar_decommit(vmem_aspace_root(as), va + PAGES(64), PAGES(2)));
	RESIDENT(as, va, 4, 0);
	RESIDENT(as, va + PAGES(65), 4, 0);
	struct vmem_region_info gone = region_at(as, va);
	unmap(as, va, 300);
	struct residence r;
	vmem_region_residence(as, &gone, &r.resident, &r.shared); /* the region went since */
	assert_int_equal(r.resident, 0);
	end(as);
}

/* An object's pages: in every region that shows them, shared with whoever else reaches them. */
static void object_residence(void **state)
{
	struct vmem_aspace *as = space(), *other = space();
	struct vmem_object *o = anonymous(16, 0), *child;
	(void)state;
	run(0, as);
	run(1, other);
	machine_cpu_set(0);
	uint64_t va = map_object(as, o, 4, 20, RW, VMEM_MAP_SHARED); /* the last 8 pages lie past its end */
	RESIDENT(as, va, 0, 0);
	poke(o, 0, 1);
	poke(o, 4, 1);
	put(as, 0, va + PAGES(11), 1);
	RESIDENT(as, va, 2, 0);
	uint64_t too = map_object(other, o, 0, 5, RW, VMEM_MAP_SHARED); /* another space reaches page 4 */
	RESIDENT(as, va, 2, 1);
	RESIDENT(other, too, 2, 1);
	unmap(other, too, 5);
	RESIDENT(as, va, 2, 0);
	child = snapshot(o, 0, 16);
	RESIDENT(as, va, 2, 2);
	put(as, 0, va, 2);
	RESIDENT(as, va, 2, 1);
	release(child);
	RESIDENT(as, va, 2, 0);
	uint64_t own = map_object(as, o, 4, 12, RW, 0); /* privately: what it shows is the object's too */
	RESIDENT(as, own, 2, 2);
	put(as, 0, own, 3);
	RESIDENT(as, own, 2, 1);
	put(as, 0, own + PAGES(2), 3);
	RESIDENT(as, own, 3, 1);
	release(o);
	end(other);
	end(as);
}

static void fixed_residence(void **state)
{
	struct vmem_aspace *as = space(), *other = space();
	struct vmem_object *frames;
	(void)state;
	OK(vmem_object_create_contiguous(PAGES(6), 0, 0, VMEM_WRITE_BACK, &frames));
	uint64_t va = map_object(as, frames, 2, 8, RW, VMEM_MAP_SHARED);
	RESIDENT(as, va, 4, 0);
	uint64_t past = map_object(as, frames, 6, 1, RW, VMEM_MAP_SHARED);
	RESIDENT(as, past, 0, 0);
	(void)map_object(other, frames, 0, 3, RW, VMEM_MAP_SHARED);
	RESIDENT(as, va, 4, 1);
	release(frames);
	end(as);
	end(other);
}

/* Exactly what the machine finds in the tables, byte by byte. */
static void same_as_machine(struct vmem_aspace *as, uint64_t va)
{
	static const unsigned bit[3] = {MACHINE_PERM_UR, MACHINE_PERM_UW, MACHINE_PERM_UX};
	struct vmem_translation t;
	struct machine_translation m;
	bool there = machine_translate(0, va, &m);
	assert_int_equal(vmem_aspace_translate(as, va, &t), there);
	if (there) {
		assert_int_equal(t.physical, m.pa);
		assert_int_equal(t.level, m.level);
		assert_int_equal(t.cache, m.type == MACHINE_UC ? VMEM_UNCACHED : VMEM_WRITE_BACK);
		for (unsigned i = 0; i < 3; i++) {
			bool may = (t.permission >> i & 1) != 0;
			/* a clean page may be writable in law, and not yet in the entry */
			assert_true(may == ((m.perm & bit[i]) != 0) || (i == 1 && may && !t.dirty));
		}
		assert_int_equal(t.dirty, m.dirty);
		assert_int_equal(t.accessed, m.accessed);
	}
}

static void translation(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	struct vmem_aspace *as = space_with(&config);
	struct vmem_object *device;
	struct vmem_translation t;
	(void)state;
	run(0, as);
	OK(vmem_object_create_physical(machine_config()->device.start, PAGES(2), VMEM_UNCACHED, &device));
	uint64_t va = map_at(as, BASE, 8, RW), large = map_at(as, 16 * LARGE, 512, RW);
	uint64_t d = map_object(as, device, 0, 2, RW, VMEM_MAP_SHARED);
	assert_false(vmem_aspace_translate(as, va, &t));
	put(as, 0, va, 1);
	(void)get(as, 0, va + PAGE);
	protect(as, va + PAGES(2), 1, RX);
	fetch(as, 0, va + PAGES(2));
	protect(as, va + PAGES(3), 1, VMEM_WRITE);
	put(as, 0, va + PAGES(3), 1);
	put(as, 0, large + PAGES(9), 1);
	put(as, 0, d, 1);
	for (unsigned i = 0; i < 8; i++) {
		same_as_machine(as, va + PAGES(i) + 0x123 * i);
	}
	same_as_machine(as, large + LARGE - 1);
	same_as_machine(as, large + LARGE);
	same_as_machine(as, d + PAGE - 1);
	same_as_machine(as, d + PAGE);
	assert_true(vmem_aspace_translate(as, va + 5, &t));
	assert_int_equal(t.permission, RW);
	assert_true(t.dirty && t.accessed && t.level == 0);
	assert_true(vmem_aspace_translate(as, va + PAGE, &t));
	assert_int_equal(t.permission & VMEM_WRITE, 0); /* the zero page */
	assert_false(t.dirty);
	assert_true(vmem_aspace_translate(as, va + PAGES(3), &t));
	assert_int_equal(t.permission, RW); /* reading comes with writing */
	assert_true(vmem_aspace_translate(as, large + LARGE - 1, &t));
	assert_int_equal(t.level, 1);
	assert_true(vmem_aspace_translate(as, d + 3, &t));
	assert_int_equal(t.cache, VMEM_UNCACHED);
	const uint64_t size = vmem_aspace_user_size();
	const uint64_t nowhere[] = {0, size - 1, size, size + va, UINT64_MAX, UINT64_C(1) << 63 | va,
	    0 - size + va, machine_kernel_area().start};
	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		assert_false(vmem_aspace_translate(as, nowhere[i], &t));
	}
	unmap(as, va, 8);
	assert_false(vmem_aspace_translate(as, va, &t));
	release(device);
	end(as);
}

/* The kernel's space answers for the range it manages, and not for addresses that look like them in part. */
static void kernel_translation(void **state)
{
	struct vmem_translation t;
	void *at;
	(void)state;
	OK(vmem_kernel_alloc(PAGE, &at));
	const uint64_t va = (uintptr_t)at, half = vmem_aspace_user_size();
	assert_true(vmem_aspace_translate(vmem_kernel_aspace(), va + 9, &t));
	assert_int_equal(t.physical & VMEM_PAGE_MASK, 9);
	assert_int_equal(t.permission, RW);
	assert_false(vmem_aspace_translate(vmem_kernel_aspace(), va & (half - 1), &t));
	assert_false(vmem_aspace_translate(vmem_kernel_aspace(), va & (2 * half - 1), &t));
	assert_false(vmem_aspace_translate(vmem_kernel_aspace(), va ^ UINT64_C(1) << 62, &t));
	assert_false(vmem_aspace_translate(vmem_kernel_aspace(), va + PAGE, &t));
	vmem_kernel_free(at);
	step();
}

/* Each kind of fault moves its own counter, and the total. */
static void fault_statistics(void **state)
{
	const struct vmem_aspace_config config = {.large = true};
	struct vmem_aspace *as = space_with(&config);
	struct vmem_object *o = anonymous(4, 0);
	(void)state;
	run(0, as);
	poke(o, 1, 5);
	uint64_t va = map_at(as, BASE, 8, RW), large = map_at(as, 16 * LARGE, 512, RW);
	uint64_t shared = map_object(as, o, 0, 4, RW, VMEM_MAP_SHARED), own = map_object(as, o, 0, 4, RW, 0);
	const struct {
		uint64_t va;
		unsigned access;
		size_t counter;
	} steps[] = {
	    {va, VMEM_READ, offsetof(struct vmem_aspace_stats, faults_zero_page)},
	    {va, VMEM_WRITE, offsetof(struct vmem_aspace_stats, faults_zeroed)},
	    {va + PAGE, VMEM_WRITE, offsetof(struct vmem_aspace_stats, faults_zeroed)},
	    {va, VMEM_WRITE, offsetof(struct vmem_aspace_stats, faults_spurious)},
	    {large, VMEM_WRITE, offsetof(struct vmem_aspace_stats, faults_large)},
	    {shared + PAGE, VMEM_READ, offsetof(struct vmem_aspace_stats, faults_object)},
	    {own + PAGE, VMEM_READ, offsetof(struct vmem_aspace_stats, faults_object)},
	    {own + PAGE, VMEM_WRITE, offsetof(struct vmem_aspace_stats, faults_copied)},
	    {va, VMEM_EXEC, offsetof(struct vmem_aspace_stats, faults_refused)},
	    {BASE - PAGE, VMEM_READ, offsetof(struct vmem_aspace_stats, faults_refused)},
	};
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct vmem_aspace_stats before = stats_of(as), after;
		(void)vmem_fault(as, steps[i].va, steps[i].access);
		step();
		after = stats_of(as);
		uint64_t *was = (uint64_t *)(void *)((char *)&before + steps[i].counter);
		*was += 1;
		before.faults++;
		assert_memory_equal(&before.faults, &after.faults,
		    offsetof(struct vmem_aspace_stats, flushes) - offsetof(struct vmem_aspace_stats, faults));
	}
	protect(as, va, 1, 0);
	protect(as, va, 1, RW);
	assert_int_equal(vmem_fault(as, va, VMEM_READ), VMEM_FAULT_RESOLVED); /* its page is still there */
	assert_int_equal(stats_of(as).faults_reused, 1);
	release(o);
	end(as);
}

static void size_statistics(void **state)
{
	struct vmem_aspace *as = space();
	const unsigned levels = machine_config()->levels;
	(void)state;
	run(0, as);
	uint64_t va = map_at(as, BASE, 600, RW);
	assert_int_equal(stats_of(as).tables, 1);
	put(as, 0, va, 1);
	(void)get(as, 0, va + PAGE);
	struct vmem_aspace_stats s = stats_of(as);
	assert_int_equal(s.regions, 1);
	assert_int_equal(s.mapped, PAGES(600));
	assert_int_equal(s.resident, 2); /* the zero page is a leaf too */
	assert_int_equal(s.committed, 1);
	assert_int_equal(s.tables, levels);
	assert_int_equal(s.tables_kept, 0);
	put(as, 0, va + PAGES(550), 1);
	assert_int_equal(stats_of(as).tables, levels + 1);
	unmap(as, va, 600); /* one empty chain is kept, and said to be */
	s = stats_of(as);
	assert_int_equal(s.regions + s.mapped + s.resident + s.committed, 0);
	assert_int_equal(s.tables, levels);
	assert_int_equal(s.tables_kept, 1);
	end(as);
}

static void flush_statistics(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	assert_int_equal(stats_of(as).activations, 0);
	run(0, as);
	run(0, as); /* already there */
	assert_int_equal(stats_of(as).activations, 1);
	uint64_t va = map_at(as, BASE, 8, RW);
	fill(as, va, 8, 1);
	struct vmem_aspace_stats before = stats_of(as);
	unmap(as, va, 1);
	assert_int_equal(stats_of(as).flushes, before.flushes + 1);
	assert_int_equal(stats_of(as).flushes_remote, 0);
	run(1, as);
	assert_int_equal(stats_of(as).activations, 2);
	machine_cpu_set(0);
	unmap(as, va + PAGE, 2);
	assert_int_equal(stats_of(as).flushes, before.flushes + 2);
	/* where a flush instruction reaches all CPUs nobody is called */
	assert_int_equal(stats_of(as).flushes_remote, core_isa() == MACHINE_AARCH64 ? 0 : 1);
	unmap(as, va, 3); /* nothing is there any more */
	assert_int_equal(stats_of(as).flushes, before.flushes + 2);
	assert_int_equal(stats_of(as).rollovers, 0);
	end(as);
}

/* Current on a CPU: its accesses are the space's; none: no user mapping at all. */
static void activation(void **state)
{
	struct vmem_aspace *as = space(), *other = space();
	(void)state;
	uint64_t va = map_at(as, BASE, 1, RW);
	(void)map_at(other, BASE, 1, RW);
	run(0, as);
	put(as, 0, va, 1);
	run(0, other);
	assert_int_equal(get(other, 0, va), 0);
	put(other, 0, va, 2);
	run(1, as);
	assert_int_equal(get(as, 1, va), 1);
	run(0, as);
	assert_int_equal(get(as, 0, va), 1);
	run(0, NULL);
	PANICS("while a CPU runs on it", vmem_aspace_destroy(as)); /* CPU 1 does */
	assert_int_equal(get(as, 1, va), 1);
	end(other);
	end(as);
}

/* Everything that may be had is there at once; what may not, later or never, and the call is well. */
static void populate(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *o = anonymous(4, 0);
	struct vmem_map map = {.length = PAGES(6), .permission = RW, .maximum = VMEM_RWX};
	vmem_vaddr_t va;
	(void)state;
	run(0, as);
	map.flags = VMEM_MAP_POPULATE | VMEM_MAP_NO_MERGE;
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &va));
	RESIDENT(as, va, 6, 0);
	for (unsigned i = 0; i < 6; i++) {
		assert_true(hardware(0, va + PAGES(i), MACHINE_WRITE, MACHINE_USER));
	}
	static const unsigned permissions[] = {VMEM_READ, VMEM_EXEC, RX};
	for (unsigned i = 0; i < 3; i++) {
		map.permission = permissions[i];
		OK(vmem_vmar_map(vmem_aspace_root(as), &map, &va));
		assert_true(hardware(0, va + PAGES(5),
		    permissions[i] & VMEM_READ ? MACHINE_READ : MACHINE_EXEC, MACHINE_USER));
		RESIDENT(as, va, 0, 0); /* the zero page */
	}
	uint64_t resident = stats_of(as).resident;
	map.permission = 0;
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &va));
	assert_int_equal(stats_of(as).resident, resident);
	map.permission = RW;
	map.object = o;
	map.flags |= VMEM_MAP_SHARED;
	OK(vmem_vmar_map(vmem_aspace_root(as), &map, &va)); /* two pages past its end */
	assert_int_equal(stats_of(as).resident, resident + 4);
	map.object = NULL;
	map.flags = VMEM_MAP_POPULATE | VMEM_MAP_NO_MERGE;
	for (uint64_t n = 2; n < 12; n++) { /* the first allocation is the region's record, if any */
		machine_fail_at(n);
		OK(vmem_vmar_map(vmem_aspace_root(as), &map, &va));
		machine_fail_at(0);
		assert_int_equal(region_at(as, va).length, PAGES(6));
	}
	release(o);
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(private_residence),
	    CORE(object_residence),
	    CORE(fixed_residence),
	    CORE(translation),
	    CORE(kernel_translation),
	    CORE(fault_statistics),
	    CORE(size_statistics),
	    CORE(flush_statistics),
	    CORE(activation),
	    CORE(populate),
	};
	return cmocka_run_group_tests_name("introspection", tests, NULL, NULL);
}
