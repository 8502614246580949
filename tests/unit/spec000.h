/* SPDX-License-Identifier: MIT */
/*
 * spec000.h - what the tests of document 000 share: a space with W^X, current on CPU 0, and ways to say
 * what must be true of it.
 */
#ifndef SPEC000_H
#define SPEC000_H

#include "core_fixture.h"

#include <vmem/wx.h>

/* The page's constants, as a program of that page writes them. */
#define PROT_READ 0x1u
#define PROT_WRITE 0x2u
#define PROT_EXEC 0x4u
#define PROT_NONE 0u
#define PROT_RW (0x1u | 0x2u)

#define HINT UINT64_C(0x20000000)
#define KIB UINT64_C(1024)

static struct vmem_aspace *as;

static inline int start(void **state)
{
	struct vmem_aspace_config wx = {.wx = true};
	(void)core_setup(state);
	as = space_with(&wx);
	run(0, as);
	return 0;
}

static inline int stop(void **state)
{
	step();
	end(as);
	return core_teardown(state);
}

static inline uint64_t wx_map(uint64_t address, uint64_t length, uint32_t prot)
{
	uint64_t base = 1;
	assert_int_equal(vmem_wx_mmap(as, address, length, prot, &base), VMEM_OK);
	assert_int_equal(base % (4 * KIB), 0);
	return base;
}

static inline void allows(
    uint64_t va, enum vmem_fault_result read, enum vmem_fault_result write, enum vmem_fault_result exec)
{
	uint64_t value;
	uint32_t word;
	assert_int_equal(user_read(as, va, &value), read);
	assert_int_equal(user_exec(as, va, &word), exec);
	assert_int_equal(user_write(as, va, 1), write);
}

static inline void expect_unmapped(uint64_t va)
{
	allows(va, VMEM_FAULT_NO_REGION, VMEM_FAULT_NO_REGION, VMEM_FAULT_NO_REGION);
}

/* All that a program can see of a space's layout, and what it holds. */
struct layout {
	unsigned count;
	struct vmem_region_info region[128];
	struct vmem_aspace_stats stats;
	struct vmem_frame_stats frames;
};

static inline void layout_take(struct layout *l)
{
	struct vmem_region_info found;

	memset(l, 0, sizeof(*l));
	for (uint64_t at = 0; vmem_region_next(as, at, &found); l->count++) {
		struct vmem_region_info *region = &l->region[l->count];

		/* Field by field: padding is nobody's, and would be compared too. */
		assert_true(l->count < 127);
		region->start = found.start;
		region->length = found.length;
		region->permission = found.permission;
		region->maximum = found.maximum;
		region->flags = found.flags;
		region->object = found.object;
		region->offset = found.offset;
		region->key = found.key;
		region->cache = found.cache;
		region->cookie = found.cookie;
		at = found.start + found.length;
	}
	vmem_aspace_stats(as, &l->stats);
	vmem_frame_stats(&l->frames);
	l->frames.cached = l->frames.allocations = l->frames.frees = 0;
}

/* The statement answers `status`, and nothing is different afterwards. */
#define UNCHANGED(statement, status)                                                                         \
	do {                                                                                                 \
		static struct layout before, after;                                                          \
		layout_take(&before);                                                                        \
		assert_int_equal(statement, status);                                                         \
		layout_take(&after);                                                                         \
		assert_memory_equal(&before, &after, sizeof(before));                                        \
	} while (0)

/* A region as a whole; fails if there is none that starts there. */
static inline struct vmem_region_info region_of(uint64_t start)
{
	struct vmem_region_info info;
	memset(&info, 0, sizeof(info));
	assert_true(vmem_region_next(as, start, &info));
	assert_int_equal(info.start, start);
	return info;
}

/* The hardware grants writing and execution of no page: looked for in each page of each region. */
static inline void assert_hardware_wx(void)
{
	struct vmem_region_info info;
	for (uint64_t at = 0; vmem_region_next(as, at, &info); at = info.start + info.length) {
		assert_true((info.permission & (VMEM_WRITE | VMEM_EXEC)) != (VMEM_WRITE | VMEM_EXEC));
		for (uint64_t va = info.start; va < info.start + info.length; va += PAGE) {
			struct machine_translation t;
			if (machine_translate(0, va, &t)) {
				assert_true(
				    (t.perm & MACHINE_PERM_UW) == 0 || (t.perm & MACHINE_PERM_UX) == 0);
			}
		}
	}
	(void)machine_audit(0);
	assert_int_equal(machine_violations(MACHINE_WX_LEAF), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif
