/* SPDX-License-Identifier: MIT */
/*
 * region_fixture.h - what the tests of regions share: a space that two CPUs run, and mappings at pages
 * counted from BASE.
 */
#ifndef REGION_FIXTURE_H
#define REGION_FIXTURE_H

#include "core_fixture.h"

#include "region.h"

#define BASE UINT64_C(0x40000000)

static struct vmem_aspace *as;
static struct vmem_vmar *root;

static inline void begin_with(const struct vmem_aspace_config *config)
{
	as = space_with(config);
	root = vmem_aspace_root(as);
	run(0, as);
	run(1, as);
	machine_cpu_set(0);
}

static inline void begin(void)
{
	const struct vmem_aspace_config usual = {0};
	begin_with(&usual);
}

static inline struct vmem_map fixed(unsigned page, unsigned pages)
{
	return (struct vmem_map){.length = PAGES(pages),
	    .permission = RW,
	    .maximum = VMEM_RWX,
	    .place = VMEM_PLACE_FIXED,
	    .address = BASE + PAGES(page)};
}

static inline void must(struct vmem_map map)
{
	vmem_vaddr_t start;
	OK(vmem_vmar_map(root, &map, &start));
}

static inline struct vmem_region_info info(unsigned page)
{
	return region_at(as, BASE + PAGES(page));
}

#endif
