/* SPDX-License-Identifier: MIT */
/*
 * model.h - the library beside a naive model of it: what a page of a space means and what a page of an object
 * holds, one value a page, copied eagerly.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <vmem/aspace.h>
#include <vmem/copy.h>
#include <vmem/fault.h>
#include <vmem/frame.h>
#include <vmem/init.h>
#include <vmem/object.h>
#include <vmem/trap.h>

#include "machine.h"

#define PAGE VMEM_PAGE_SIZE
#define SPACES 3u
#define NEAR_PAGES 512u
#define FAR_PAGES 64u
#define PAGES (NEAR_PAGES + FAR_PAGES)
#define NEAR UINT64_C(0x10000000)
#define FAR UINT64_C(0x60000000) /* behind another table of the second level */
#define SPACE_LENGTH UINT64_C(0x80000000)
#define MAX_REGIONS 230u
#define OBJECTS 20u
#define OBJECT_PAGES 64u
#define EPOCH 4000u /* operations on one machine */

/* A page of a space. */
struct page {
	bool mapped, guard, shared, own; /* own: it has private content */
	uint8_t permission, maximum;
	int8_t object; /* -1: none */
	uint32_t offset;
	uint64_t value;
};

/* Content, and a view of it. */
struct content {
	uint64_t value[2 * OBJECT_PAGES];
};
struct object {
	struct vmem_object *real; /* NULL: the slot is free */
	bool held, resizable;	  /* held: the test has a reference; else only mappings keep it */
	struct content *content;  /* slices share it */
	unsigned first, pages;	  /* the view */
};

struct world {
	struct vmem_aspace *space[SPACES];
	struct page page[SPACES][PAGES];
	struct object object[OBJECTS];
	struct content content[OBJECTS]; /* of the object of that number, unless it is a slice */
	int current[MACHINE_CPUS];	 /* the space a CPU runs on; -1: none */
	uint64_t next_value;
	uint64_t data_frames; /* before anything was made */
};
extern struct world world;

enum kind {
	OP_MAP,
	OP_UNMAP,
	OP_PROTECT,
	OP_READ,
	OP_WRITE,
	OP_EXEC,
	OP_COPY_TO,
	OP_COPY_FROM,
	OP_DECOMMIT,
	OP_SWITCH,
	OP_RECREATE,
	OP_CREATE,
	OP_SNAPSHOT,
	OP_WINDOW,
	OP_SLICE,
	OP_RESIZE,
	OP_COMMIT,
	OP_OBJECT_DECOMMIT,
	OP_ZERO,
	OP_OBJECT_WRITE,
	OP_OBJECT_READ,
	OP_RELEASE,
	OP_KINDS
};
extern const char *const op_names[OP_KINDS];

/* An operation is numbers that are read modulo what there is, so any subsequence of a sequence is one. */
struct op {
	enum kind kind;
	uint32_t r[8];
};
/* Operation `number` of an epoch: a pure function. */
struct op op_make(uint64_t seed, uint64_t epoch, unsigned number);

/* What was answered, by operation; fault operations count enum vmem_fault_result, copies whether they came to
 * the end. */
#define ANSWERS 16u
struct counters {
	uint64_t answers[OP_KINDS][ANSWERS];
	uint64_t operations, changes, most_regions, idle;
};
extern struct counters *counters; /* shared with the children */

void world_start(void);
/* Both sides do it; any difference fails. True if it changed something. */
bool world_apply(const struct op *op);
/* All that can be looked at is what the model says. */
void world_compare(void);
void world_end(void);
void op_print(const struct op *op);

/* Parts of world_apply(). */
bool apply_space(const struct op *op);
bool apply_access(const struct op *op);
bool apply_object(const struct op *op);
void object_drop_unused(void);
struct object *object_pick(uint32_t r); /* a held one, or NULL */
uint64_t page_value(const struct page *page);
enum vmem_fault_result page_expect(const struct page *page, unsigned access);
void page_store(struct page *page, uint64_t value);
vmem_vaddr_t page_va(unsigned page);

/* A window of 1 to `most` pages of a space. */
struct window {
	unsigned first, pages;
};
struct window window_pick(const struct op *op, unsigned most);

_Noreturn void model_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define EXPECT(condition)                                                                                    \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			model_fail(__FILE__, __LINE__, "%s", #condition);                                    \
		}                                                                                            \
	} while (0)

/* Counts an answer, which must be the expected one. */
void answered(const struct op *op, int answer, int expected);

#endif
