/* SPDX-License-Identifier: MIT */
/*
 * content.h - what the cases about content share: an object of four pages, the first two with content, that
 * CPUs map, and looks at it from all sides.
 */
#ifndef EXPLORE_CONTENT_H
#define EXPLORE_CONTENT_H

#include "world.h"

#define AT UINT64_C(0x40000000)
#define OLD 11u
#define NEW 22u

extern struct vmem_aspace *space, *second;
extern struct vmem_object *object, *child;

/* What one thread knows of another. */
void tell(uint32_t what);
uint32_t heard(void);

/* A word of a page of an object; the same through a mapping at AT, by a program. */
uint64_t content(struct vmem_object *of, uint64_t page, uint64_t word);
void store(struct vmem_aspace *in, uint64_t page, uint64_t word, uint64_t value);
uint64_t load(struct vmem_aspace *in, uint64_t page, uint64_t word);

/* All CPUs run one space that maps the object. */
void setup_object(unsigned cpus);
/* The same, and the pages are shared with a snapshot: each first store copies. */
void setup_shared(unsigned cpus);

/* A thread that takes a snapshot and notes what it has when it is there; finish(): it still has it. */
extern uint64_t frozen[3];
void take_snapshot(void);
void snapshot_stays(void);
void write_fresh_page(void);

#endif
