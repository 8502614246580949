/* SPDX-License-Identifier: MIT */
/*
 * sweep.h - what the allocation-failure sweep consists of: scenarios, each a call in a state, and the
 * fingerprint of a state.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <vmem/aspace.h>
#include <vmem/commit.h>
#include <vmem/copy.h>
#include <vmem/fault.h>
#include <vmem/frame.h>
#include <vmem/init.h>
#include <vmem/kernel.h>
#include <vmem/object.h>
#include <vmem/posix.h>
#include <vmem/trap.h>
#include <vmem/wx.h>

#include "machine.h"

#define PAGE VMEM_PAGE_SIZE
#define AT UINT64_C(0x10000000)
#define OK(call) assert_int_equal((call), VMEM_OK)

/* The state that a scenario works on; all of it is released by the sweep. */
struct sweep {
	struct vmem_aspace *space[2];
	struct vmem_object *object[6];
	struct vmem_vmar *child;
	struct vmem_posix posix;
	void *kernel[3];    /* from kernel.h; freed when not NULL */
	vmem_paddr_t frame; /* of the host, of 2^order frames; freed when not 0 */
	unsigned order;
	uint64_t frames;      /* instead of order: a run of so many */
	uint64_t value, done; /* a scenario's own */
	uint8_t bytes[16 * VMEM_PAGE_SIZE];
};

/* What a call answered. */
enum answer { ANSWER_OK, ANSWER_NO_MEMORY, ANSWER_OTHER };

/* What a failure may leave behind, and whether there can be one. */
enum effect {
	EFFECT_NONE,	/* the state is as it was */
	EFFECT_PARTIAL, /* what `after` checks */
	EFFECT_NEVER,	/* the call asks for no memory at all */
	EFFECT_BEST,	/* the call asks for memory, but never fails for want of it */
};

struct scenario {
	const char *function;
	const char *what;
	void (*set_up)(struct sweep *s);
	enum answer (*call)(struct sweep *s);
	enum effect effect;
	void (*after)(struct sweep *s); /* after a failure, for EFFECT_PARTIAL */
	bool large;			/* large leaves, and a machine with room for them */
	bool wx;
	bool records; /* free records stay: the call counts them */
	bool bare;    /* the library is not started: the scenario does it */
};

extern const struct scenario scenarios_advice[], scenarios_space[], scenarios_fault[], scenarios_object[],
    scenarios_host[], scenarios_plain[], scenarios_wc[];
extern const char *const public_functions[];

static inline enum answer answer(vmem_status_t status)
{
	return status == VMEM_OK ? ANSWER_OK : status == VMEM_ERR_NO_MEMORY ? ANSWER_NO_MEMORY : ANSWER_OTHER;
}

static inline enum answer answer_errno(int error)
{
	return error == 0 ? ANSWER_OK : error == -VMEM_ENOMEM ? ANSWER_NO_MEMORY : ANSWER_OTHER;
}

static inline enum answer answer_fault(enum vmem_fault_result result)
{
	return result == VMEM_FAULT_RESOLVED	? ANSWER_OK
	       : result == VMEM_FAULT_NO_MEMORY ? ANSWER_NO_MEMORY
						: ANSWER_OTHER;
}

/* A state in numbers: one for each thing that must not change. */
enum {
	PRINT_REGIONS,
	PRINT_CONTENT,	 /* what every index holds: keys, frames, counts, bytes */
	PRINT_STRUCTURE, /* the nodes that hold it */
	PRINT_ENTRIES,
	PRINT_COUNTERS,
	PRINT_FREE,
	PRINT_FRAMES, /* by use */
	PRINT_RECORDS,
	PRINT_OBJECTS,
	PRINT_COUNT
};
struct print {
	uint64_t of[PRINT_COUNT];
};
extern const char *const print_names[PRINT_COUNT];
void print_take(const struct sweep *s, struct print *out);

/* Set-up, shared by the scenarios. */
static inline struct vmem_vmar *root_of(const struct sweep *s)
{
	return vmem_aspace_root(s->space[0]);
}

/* Maps `pages` pages at AT + page `at`; the object may be NULL. */
static inline void map_at(struct vmem_aspace *space, uint64_t at, uint64_t pages, unsigned permission,
    struct vmem_object *object, unsigned flags)
{
	vmem_vaddr_t start;
	struct vmem_map map = {.length = pages * PAGE,
	    .permission = permission,
	    .maximum = flags & VMEM_MAP_GUARD ? 0 : VMEM_RWX,
	    .flags = flags,
	    .place = VMEM_PLACE_FIXED,
	    .address = AT + at * PAGE,
	    .object = object};
	OK(vmem_vmar_map(vmem_aspace_root(space), &map, &start));
}

static inline void touch(struct vmem_aspace *space, uint64_t at, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t value = 0x1000 + at + i;
		assert_int_equal(
		    vmem_copy_to_user(space, AT + (at + i) * PAGE, &value, sizeof(value)), sizeof(value));
	}
}

static inline void fill_object(struct vmem_object *object, uint64_t first, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t value = 0x2000 + first + i;
		OK(vmem_object_write(object, (first + i) * PAGE, &value, sizeof(value), NULL));
	}
}

/* An object of `pages` pages, filled, with a snapshot of the whole: every path and page is shared. */
static inline void shared_pair(struct sweep *s, uint64_t pages)
{
	OK(vmem_object_create_anonymous(pages * PAGE, 0, &s->object[0]));
	fill_object(s->object[0], 0, pages);
	OK(vmem_object_snapshot(s->object[0], 0, pages * PAGE, &s->object[1]));
}

#endif
