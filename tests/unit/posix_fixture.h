/* SPDX-License-Identifier: MIT */
/*
 * posix_fixture.h - what the tests of Linux's calls share: a process with a space, and its accesses.
 */
#ifndef POSIX_FIXTURE_H
#define POSIX_FIXTURE_H

#include "core_fixture.h"

#include <vmem/posix.h>

#include "region.h"

#define W UINT64_C(0x20000000) /* six pages, read and write, page i filled with i + 1; free around */
#define PROT_RW (VMEM_PROT_READ | VMEM_PROT_WRITE)
#define PRIVATE (VMEM_MMAP_PRIVATE | VMEM_MMAP_ANONYMOUS)
#define SHARED (VMEM_MMAP_SHARED | VMEM_MMAP_ANONYMOUS)

static struct vmem_aspace *as;
static struct vmem_posix process;

static inline int start(void **state)
{
	(void)core_setup(state);
	as = space();
	run(0, as);
	vmem_posix_init(&process, as, &vmem_posix_linux, UINT64_C(0x10000000));
	return 0;
}

static inline int stop(void **state)
{
	step();
	end(as);
	return core_teardown(state);
}

static inline uint64_t mapped(uint64_t page, uint64_t pages, int prot, int flags)
{
	uint64_t out = 0;
	assert_int_equal(
	    vmem_posix_mmap(&process, W + PAGES(page), PAGES(pages), prot, flags | VMEM_MMAP_FIXED, &out), 0);
	step();
	return out;
}

static inline void make_window(void)
{
	(void)mapped(0, 6, PROT_RW, PRIVATE);
	fill(as, W, 6, 1);
}

/* Commit accounting apart. */
static inline uint32_t attributes_at(uint64_t page)
{
	return vmem_region_find(as, W + PAGES(page))->attributes & ~(uint32_t)VMEM_REGION_ACCOUNT;
}

/* The call answers -errno, and everything is as it was. */
#define ERRNO(number, call) REFUSED(-(number), call)
#define DONE(call)                                                                                           \
	do {                                                                                                 \
		assert_int_equal((call), 0);                                                                 \
		step();                                                                                      \
	} while (0)
#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif
