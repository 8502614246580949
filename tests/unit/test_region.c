/* SPDX-License-Identifier: MIT */
/*
 * test_region.c - region records (region.h, R1 to R5): splits and what the halves carry, protection across
 * regions, guards, PROT_NONE and W^X, generations and lists. Pages are checked for content and for what the
 * hardware grants. Merging is in test_region_merge.c.
 */
#include "region_fixture.h"

#include "frame.h"
#include "slab.h"

/* The hardware's word, after the faults that the library resolves. */
static unsigned may(uint64_t va)
{
	unsigned granted = 0;
	for (unsigned kind = MACHINE_READ; kind <= MACHINE_EXEC; kind++) {
		uint64_t value = 0;
		if (kind == MACHINE_WRITE && granted & VMEM_READ) {
			assert_int_equal(try_access(as, 0, va, MACHINE_READ, &value), VMEM_FAULT_RESOLVED);
		}
		if (try_access(as, 0, va, (enum machine_access_kind)kind, &value) == VMEM_FAULT_RESOLVED) {
			granted |= 1u << kind;
		}
	}
	return granted;
}

/* What an ISA really gives for a permission: some bring read with write or execute. */
static unsigned really(unsigned permission)
{
	unsigned all = 0;
	for (unsigned access = VMEM_READ; access <= VMEM_EXEC; access <<= 1) {
		all |= arch_leaf_grants(permission | LEAF_USER | LEAF_ACCESSED | LEAF_DIRTY, access) ? access
												     : 0;
	}
	return permission == 0 ? 0 : all;
}

static struct vmem_object *one;

/* The halves carry everything: keys and offsets by their place, the rest as it was. */
static void halves(void **state)
{
	struct vmem_map map = fixed(0, 12);
	(void)state;
	begin();
	one = anonymous(32, 0);
	map.object = one;
	map.offset = PAGES(3);
	map.maximum = RW;
	map.cookie = 77;
	map.attributes = VMEM_REGION_NO_DUMP;
	map.flags = VMEM_MAP_LARGE;
	must(map);
	for (unsigned i = 0; i < 32; i++) {
		poke(one, i, 500 + i);
	}
	put(as, 0, BASE + PAGES(2), 2002);
	put(as, 0, BASE + PAGES(9), 2009);
	vmem_region_find(as, BASE)->driver[1] = 99;
	unmap(as, BASE + PAGES(5), 2);
	protect(as, BASE + PAGES(9), 1, VMEM_READ);
	static const unsigned first[] = {0, 7, 9, 10}, pages[] = {5, 2, 1, 2};
	assert_int_equal(regions(as), 4);
	assert_int_equal(info_of(one).references, 5);
	assert_int_equal(info_of(one).mappings, 4);
	for (unsigned i = 0; i < 4; i++) {
		struct vmem_region_info r = info(first[i]);
		assert_int_equal(r.length, PAGES(pages[i]));
		assert_int_equal(r.permission, first[i] == 9 ? VMEM_READ : RW);
		assert_int_equal(r.maximum, RW);
		assert_int_equal(r.flags, VMEM_MAP_LARGE);
		assert_int_equal(r.offset, PAGES(3 + first[i]));
		assert_int_equal(r.key, BASE / PAGE + first[i]);
		assert_int_equal(r.cookie, 77);
		assert_int_equal(r.attributes, VMEM_REGION_NO_DUMP);
		struct region *record = vmem_region_find(as, r.start);
		assert_int_equal(record->driver[1], 99);
		assert_ptr_equal(vmem_region_find(as, r.start + r.length - 1), record);
		assert_ptr_equal(vmem_region_find_key(as, r.key + pages[i] - 1), record);
	}
	assert_null(vmem_region_find(as, BASE + PAGES(5)));
	assert_null(vmem_region_find_key(as, BASE / PAGE + 6));
	for (unsigned i = 0; i < 12; i++) {
		if (i != 5 && i != 6) {
			uint64_t expected = i == 2 || i == 9 ? 2000 + i : 503 + i;
			assert_int_equal(get(as, 1, BASE + PAGES(i)), expected);
		}
	}
	assert_int_equal(peek(one, 5), 505); /* the private copies are not the object's */
	protect(as, BASE + PAGES(9), 1, RW);
	assert_int_equal(regions(as), 2);
	assert_int_equal(info(7).length, PAGES(5));
	assert_int_equal(info_of(one).references, 3);
	release(one);
	end(as);
}

/* From each permission to each other one, on a page that was used under the first. */
static void every_change(void **state)
{
	(void)state;
	begin();
	for (unsigned from = 0; from <= VMEM_RWX; from++) {
		for (unsigned to = 0; to <= VMEM_RWX; to++) {
			must(fixed(0, 1));
			put(as, 0, BASE, 42);
			protect(as, BASE, 1, from);
			assert_int_equal(may(BASE), really(from));
			warm();
			protect(as, BASE, 1, to);
			assert_int_equal(info(0).permission, to);
			assert_int_equal(info(0).maximum, VMEM_RWX);
			for (unsigned kind = MACHINE_READ; kind <= MACHINE_EXEC; kind++) {
				bool granted = (really(to) >> kind & 1) != 0;
				assert_true(granted ||
					    !hardware(1, BASE, (enum machine_access_kind)kind, MACHINE_USER));
			}
			assert_int_equal(may(BASE), really(to));
			protect(as, BASE, 1, RW);
			uint64_t value = get(as, 0, BASE); /* stored to by may(), or as it was */
			assert_true(value == 42 || value == 0);
			unmap(as, BASE, 1);
		}
	}
	end(as);
}

/* Several regions, the ends split, one of them with that permission already. */
static void across(void **state)
{
	(void)state;
	begin();
	must(fixed(0, 4));
	struct vmem_map map = fixed(4, 4);
	map.permission = VMEM_READ;
	must(map);
	must(fixed(8, 4));
	map = fixed(12, 4);
	map.cookie = 5;
	must(map);
	fill(as, BASE, 4, 1);
	fill(as, BASE + PAGES(8), 8, 9);
	warm();
	SWEEP(0, vmem_vmar_protect(root, BASE + PAGES(2), PAGES(12), VMEM_READ));
	assert_int_equal(regions(as), 4);
	assert_int_equal(info(0).length, PAGES(2));
	assert_int_equal(info(2).length, PAGES(10)); /* pages 2 to 11 agree now */
	assert_int_equal(info(12).length, PAGES(2)); /* another cookie */
	assert_int_equal(info(14).length, PAGES(2));
	for (unsigned i = 0; i < 16; i++) {
		bool writable = i < 2 || i >= 14;
		assert_int_equal(hardware(1, BASE + PAGES(i), MACHINE_WRITE, MACHINE_USER), writable);
	}
	fill(as, BASE, 2, 1); /* it stored there */
	expect(as, BASE + PAGES(2), 2, 3);
	OK(vmem_vmar_protect(root, BASE + PAGES(3), PAGES(4), VMEM_READ)); /* nothing to do: no record */
	assert_int_equal(regions(as), 4);
	OK(vmem_vmar_protect(root, BASE, PAGES(16), RW));
	assert_int_equal(regions(as), 2);
	fill(as, BASE + PAGES(4), 4, 50);
	expect(as, BASE + PAGES(8), 4, 9);
	protect(as, BASE, 16, 0);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(may(BASE + PAGES(i)), 0);
	}
	protect(as, BASE, 16, VMEM_READ);
	expect(as, BASE, 4, 1);
	end(as);
}

/* The maximum bounds for ever, whatever the permission was meanwhile, on both halves of a split. */
static void maximum_stays(void **state)
{
	struct vmem_map map = fixed(0, 6);
	(void)state;
	begin();
	map.permission = 0;
	map.maximum = RX;
	must(map);
	protect(as, BASE + PAGES(2), 2, RX);
	for (unsigned i = 0; i < 6; i++) {
		REFUSED(VMEM_ERR_DENIED, vmem_vmar_protect(root, BASE + PAGES(i), PAGE, RW));
		REFUSED(VMEM_ERR_DENIED, vmem_vmar_protect(root, BASE + PAGES(i), PAGE, VMEM_WRITE));
	}
	protect(as, BASE, 6, 0);
	REFUSED(VMEM_ERR_DENIED, vmem_vmar_protect(root, BASE, PAGES(6), VMEM_RWX));
	protect(as, BASE, 6, RX);
	assert_int_equal(may(BASE + PAGES(5)), RX);
	assert_int_equal(regions(as), 1);
	end(as);
}

static void guards(void **state)
{
	struct vmem_map map = fixed(4, 4);
	(void)state;
	begin();
	must(fixed(0, 4));
	map.permission = map.maximum = 0;
	map.flags = VMEM_MAP_GUARD;
	must(map);
	assert_int_equal(info(4).flags, VMEM_MAP_GUARD);
	for (unsigned kind = MACHINE_READ; kind <= MACHINE_EXEC; kind++) {
		DENIED(VMEM_FAULT_GUARD, as, 0, BASE + PAGES(5), (enum machine_access_kind)kind);
	}
	uint64_t word = 0;
	assert_int_equal(vmem_copy_to_user(as, BASE + PAGES(5), &word, 8), 0);
	for (unsigned permission_ = 1; permission_ <= VMEM_RWX; permission_++) {
		REFUSED(VMEM_ERR_DENIED, vmem_vmar_protect(root, BASE + PAGES(4), PAGE, permission_));
	}
	protect(as, BASE + PAGES(5), 1, 0); /* that is what it has */
	OK(vmem_vmar_decommit(root, BASE, PAGES(8)));
	assert_int_equal(stats_of(as).tables, 1);
	unmap(as, BASE + PAGES(5), 1);
	assert_int_equal(regions(as), 3);
	DENIED(VMEM_FAULT_GUARD, as, 0, BASE + PAGES(6), MACHINE_READ);
	DENIED(VMEM_FAULT_NO_REGION, as, 0, BASE + PAGES(5), MACHINE_READ);
	assert_int_equal(stats_of(as).mapped, PAGES(7));
	end(as);
}

/* PROT_NONE: not readable by the hardware on any CPU, kernel copies refused, the content kept. */
static void no_permission(void **state)
{
	uint64_t word = 0;
	(void)state;
	begin();
	must(fixed(0, 8));
	fill(as, BASE, 8, 70);
	warm();
	protect(as, BASE + PAGES(2), 3, 0);
	for (unsigned i = 2; i < 5; i++) {
		for (unsigned kind = MACHINE_READ; kind <= MACHINE_EXEC; kind++) {
			assert_false(
			    hardware(1, BASE + PAGES(i), (enum machine_access_kind)kind, MACHINE_USER));
			DENIED(VMEM_FAULT_PERMISSION, as, 0, BASE + PAGES(i), (enum machine_access_kind)kind);
		}
		struct machine_translation m;
		assert_false(machine_translate(0, BASE + PAGES(i), &m));
		assert_int_equal(vmem_copy_from_user(as, &word, BASE + PAGES(i), 8), 0);
	}
	assert_int_equal(stats_of(as).committed, 8);
	protect(as, BASE + PAGES(2), 3, VMEM_READ);
	expect(as, BASE, 8, 70);
	struct vmem_map map = fixed(20, 1);
	map.permission = 0;
	must(map);
	DENIED(VMEM_FAULT_PERMISSION, as, 0, BASE + PAGES(20), MACHINE_READ);
	end(as);
}

/* W^X: neither at once in a region, ever; writable first and then executable works, and the code is what was
 * written. */
static void write_or_execute(void **state)
{
	const struct vmem_aspace_config config = {.wx = true};
	struct vmem_map map = fixed(0, 4);
	vmem_vaddr_t start;
	(void)state;
	begin_with(&config);
	for (unsigned permission_ = VMEM_WRITE | VMEM_EXEC; permission_ <= VMEM_RWX; permission_++) {
		map.permission = permission_;
		REFUSED(VMEM_ERR_WX, vmem_vmar_map(root, &map, &start));
	}
	map.permission = RW; /* a maximum of both is no permission */
	must(map);
	for (unsigned round = 1; round < 4; round++) {
		uint64_t got = 0, code = round * UINT64_C(0x1111111111111111);
		put(as, 0, BASE + PAGE, code);
		REFUSED(VMEM_ERR_WX, vmem_vmar_protect(root, BASE, PAGES(4), VMEM_RWX));
		warm();
		protect(as, BASE + PAGE, 1, RX);
		assert_int_equal(try_access(as, 1, BASE + PAGE, MACHINE_EXEC, &got), VMEM_FAULT_RESOLVED);
		assert_int_equal((uint32_t)got, (uint32_t)code);
		assert_false(hardware(0, BASE + PAGE, MACHINE_WRITE, MACHINE_USER));
		DENIED(VMEM_FAULT_PERMISSION, as, 0, BASE + PAGE, MACHINE_WRITE);
		warm();
		protect(as, BASE + PAGE, 1, RW);
		DENIED(VMEM_FAULT_PERMISSION, as, 1, BASE + PAGE, MACHINE_EXEC);
	}
	end(as);
}

/*
 * No memory for a record: whether none, one or two are left in the frame of small objects, each call that
 * needs one or two has taken both or neither.
 */
static void no_records(void **state)
{
	struct vmem_map over = fixed(2, 4);
	unsigned refused[4] = {0};
	vmem_vaddr_t start;
	(void)state;
	begin();
	over.place = VMEM_PLACE_REPLACE;
	over.cookie = 1;
	for (unsigned i = 0; i < 100; i++) {
		must(fixed(0, 8));
		for (unsigned what = 0; what < 4; what++) {
			uint64_t before = core_state();
			vmem_status_t status;
			vmem_frame_drain();
			machine_operation();
			machine_fail_at(1);
			status = what == 0   ? vmem_vmar_map(root, &over, &start)
				 : what == 1 ? vmem_vmar_protect(root, BASE + PAGES(1), PAGES(2), VMEM_READ)
				 : what == 2
				     ? vmem_vmar_unmap(root, BASE + PAGES(3), PAGE)
				     : vmem_vmar_map(root, &(struct vmem_map){.length = PAGE}, &start);
			machine_fail_at(0);
			if (status == VMEM_OK) {
				unmap(as, BASE, 8);
				if (what == 3) {
					unmap(as, start, 1);
				}
				must(fixed(0, 8));
			} else {
				assert_int_equal(status, VMEM_ERR_NO_MEMORY);
				assert_int_equal(core_state(), before);
				refused[what]++;
			}
		}
		step();
		unmap(as, BASE, 8);
		must(fixed(20 + 2 * i, 1)); /* one record less that is free */
	}
	assert_true(refused[0] > refused[3] && refused[1] > refused[2]); /* those that need two, more often */
	assert_true(refused[2] > 0 && refused[3] > 0);
	end(as);
}

/* R4: a record's generation changes with what a fault concludes from it, and is never had again. */
static void generations(void **state)
{
	(void)state;
	begin();
	must(fixed(0, 8));
	struct region *r = vmem_region_find(as, BASE);
	uint32_t last = r->span.generation;
#define CHANGED()                                                                                            \
	do {                                                                                                 \
		assert_int_not_equal(r->span.generation, last);                                              \
		last = r->span.generation;                                                                   \
	} while (0)
	protect(as, BASE, 8, VMEM_READ);
	CHANGED();
	protect(as, BASE, 8, VMEM_READ); /* no change */
	assert_int_equal(r->span.generation, last);
	protect(as, BASE + PAGES(6), 2, RW); /* loses its upper end to another record */
	CHANGED();
	unmap(as, BASE + PAGES(5), 1);
	CHANGED();
	unmap(as, BASE, 1);
	CHANGED();
	assert_ptr_equal(vmem_region_find(as, BASE + PAGE), r);
	struct vmem_map map = fixed(5, 1);
	map.permission = VMEM_READ;
	must(map); /* grows */
	CHANGED();
	map = fixed(0, 1);
	map.permission = VMEM_READ;
	must(map);
	CHANGED();
	for (unsigned i = 0; i < 50; i++) {
		unmap(as, BASE, 8);
		must(fixed(0, 8));
		if (vmem_region_find(as, BASE) == r) {
			CHANGED();
		}
	}
#undef CHANGED
	end(as);
}

/* A store's list has every region that maps it, whoever goes first. */
static void mapping_list(void **state)
{
	static const unsigned orders[3][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}};
	(void)state;
	begin();
	one = anonymous(4, 0);
	for (unsigned n = 0; n < 3; n++) {
		uint64_t va[3];
		for (unsigned i = 0; i < 3; i++) {
			va[i] = map_object(as, one, i, 1, RW, i == 1 ? 0 : VMEM_MAP_SHARED);
		}
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(info_of(one).mappings, 3 - i);
			unmap(as, va[orders[n][i]], 1);
		}
		assert_null(one->store->mappings);
	}
	uint64_t keys[3] = {UINT64_C(1) << 50, UINT64_C(1) << 51, UINT64_C(1) << 52};
	for (unsigned n = 0; n < 3; n++) { /* and the list of those with foreign keys */
		for (unsigned i = 0; i < 3; i++) {
			must(fixed(2 * i, 1));
			vmem_region_set_key(vmem_region_find(as, BASE + PAGES(2 * i)), keys[i]);
			step();
		}
		for (unsigned i = 0; i < 3; i++) {
			unsigned gone = orders[n][i];
			assert_ptr_equal(vmem_region_find_key(as, keys[gone]),
			    vmem_region_find(as, BASE + PAGES(2 * gone)));
			unmap(as, BASE + PAGES(2 * gone), 1);
			assert_null(vmem_region_find_key(as, keys[gone]));
		}
		assert_null(as->moved);
	}
	release(one);
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(halves),
	    CORE(every_change),
	    CORE(across),
	    CORE(maximum_stays),
	    CORE(guards),
	    CORE(no_permission),
	    CORE(write_or_execute),
	    CORE(no_records),
	    CORE(generations),
	    CORE(mapping_list),
	};
	return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
