/* SPDX-License-Identifier: MIT */
/* slab_fixture.h - what the tests of small objects share: sizes of all sorts, over an arena. */
#ifndef SLAB_FIXTURE_H
#define SLAB_FIXTURE_H

#include "arena.h"

#include "slab_i.h"

const struct slab_spec vmem_slab_specs[SLAB_COUNT] = {
	[SLAB_REGION] = {200, 8},
	[SLAB_VMAR] = {8, 8},
	[SLAB_INDEX_NODE] = {544, 32},
	[SLAB_STORE] = {65, 64},
	[SLAB_OBJECT] = {4096, 4096},
	[SLAB_LINEAGE] = {24, 8},
	[SLAB_ASPACE] = {1000, 16},
};

#define FRAMES 512u

static inline struct vmem_frame_stats stats(void)
{
	struct vmem_frame_stats s;
	vmem_frame_stats(&s);
	return s;
}

static inline void start(uint64_t frames)
{
	arena_start(frames);
	vmem_slabs_init();
}

/* What is on the lists of the CPUs goes back to the frames. */
static inline void drain(enum slab_id id)
{
	(void)vmem_slab_drain(&vmem_slab_types[id], true);
}

/* An object goes back to its frame. */
static inline void give(enum slab_id id, void *object)
{
	vmem_slab_free(id, object);
	drain(id);
}

/* So many objects can be claimed now. */
static inline bool claimable(enum slab_id id, unsigned count, bool promised)
{
	bool claimed = vmem_slab_claim(id, count, promised);
	if (claimed) {
		vmem_slab_unclaim(id, count);
	}
	return claimed;
}

static inline void check(void)
{
	vmem_frame_check();
	vmem_slab_check();
}

#endif
