/* SPDX-License-Identifier: MIT */
/*
 * model.h - the library beside a naive model of it: what a page of a space means and what a page of an
 * object holds, one value a page, copied eagerly.
 *
 * A space is PAGES pages, and a page is all there is to know: whether it is mapped and how, which VMAR it is
 * in, whether it is reserved for a neighbour's strip. What an operation must answer is derived from the
 * pages alone, as the set of everything that is wrong with it: the library answers one of these, OK if
 * there is none.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <vmem/aspace.h>
#include <vmem/commit.h>
#include <vmem/copy.h>
#include <vmem/fault.h>
#include <vmem/frame.h>
#include <vmem/init.h>
#include <vmem/object.h>
#include <vmem/posix.h>
#include <vmem/trap.h>

#include "machine.h"

#define PAGE VMEM_PAGE_SIZE
#define BIT(n) (1u << (n))
#define SPACES 4u
#define PAGES 640u
#define BORDER 512u /* pages below the border between two tables of the second level */
#define SPACE_START (UINT64_C(0x40000000) - BORDER * PAGE)
#define MAX_REGIONS 230u
#define MAX_PAGES 520u /* that may be mapped in space 0 */
#define GAP 256u       /* pages that stay free below what grows down */
#define NO_LIMIT UINT64_MAX
#define LOCKS ((unsigned)(VMEM_REGION_LOCKED | VMEM_REGION_LOCK_ON_FAULT))
#define VMARS 8u       /* of a space; number 0 is the root */
#define OBJECTS 20u
#define OBJECT_PAGES 64u
#define LARGE BORDER /* pages of a large leaf */
#define RUN 16u	     /* pages that AArch64 and Svnapot join */
#define EPOCH 4000u  /* operations on one machine */

/* Why an unmapped page is not free: the strip behind a span, or the strip before one. */
enum strip { STRIP_NONE, STRIP_BEHIND, STRIP_BEFORE };

/* A page of a space. */
struct page {
	bool mapped, own; /* own: it has private content */
	bool apart;	  /* mapped with strips: need not merge with a neighbour that agrees */
	uint8_t strip;	  /* enum strip */
	uint8_t vmar;	  /* the innermost one that has the page */
	uint8_t permission, maximum, flags, cookie;
	uint16_t attributes;
	bool guarded;
	bool cut; /* it and the page below agree and need not be of one region: since a fork */
	int8_t object; /* -1: none */
	uint32_t offset;
	uint64_t value;
};

struct vmar {
	struct vmem_vmar *real; /* NULL: the number is free */
	unsigned parent, first, pages, rights;
};

/* What a space is like, which its child in a fork is too. Limits are in pages. */
struct nature {
	bool wx, large;
	bool accounts; /* it is a process's: posix.h is called for it */
	uint64_t id, parent; /* 0: it was forked from none */
	bool moved;    /* regions may have keys that do not follow from their addresses */
	uint64_t max_regions, slack, max_pages, max_data, max_stack, max_locked;
	uint16_t future; /* attributes of new mappings (mlockall) */
	struct vmem_posix posix;
};

/* A view of content. */
enum backing { ANONYMOUS, CONTIGUOUS, HOST, DEVICE }; /* the last two: physical objects */
struct object {
	struct vmem_object *real; /* NULL: the slot is free */
	bool held, resizable;	  /* held: the test has a reference; else only mappings keep it */
	uint8_t store;		  /* enum backing */
	uint8_t cache;
	uint64_t *content;     /* a value a page; slices share it, and physical objects do */
	unsigned first, pages; /* the view */
	unsigned store_first, store_pages;
	unsigned mapped; /* pages of spaces that show it */
	unsigned promised;
};

struct world {
	struct vmem_aspace *space[SPACES];
	struct nature nature[SPACES];
	struct page page[SPACES][PAGES];
	unsigned mapped[SPACES]; /* pages */
	unsigned recent[SPACES]; /* the first page of the last change of layout or content */
	struct vmar vmar[SPACES][VMARS];
	struct object object[OBJECTS];
	uint64_t content[OBJECTS][OBJECT_PAGES];    /* of the object of that number, unless it is a view */
	uint64_t host[OBJECT_PAGES], device[LARGE]; /* RAM that the host has from the library, and a device */
	uint64_t host_start;
	unsigned cpus;		   /* 1: the library is told that it is alone */
	int current[MACHINE_CPUS]; /* the space a CPU runs on; -1: none */
	uint64_t next_value, next_space, steps;
	uint64_t free_frames; /* or tables, before anything was made */
	enum vmem_overcommit overcommit;
	uint64_t commit_limit; /* pages */
};
extern struct world world;

enum kind {
	OP_MAP,
	OP_MAP_STRIPS,
	OP_REPLACE,
	OP_MAP_LARGE, /* in a fresh space */
	OP_UNMAP,
	OP_PROTECT,
	OP_DECOMMIT,
	OP_ATTRIBUTES,
	OP_GUARD,
	OP_UNGUARD,
	OP_RESIDENT,
	OP_VMAR,
	OP_VMAR_DESTROY,
	OP_RECREATE,
	OP_FORK,
	OP_MOVE,
	OP_EXTEND,
	OP_MMAP, /* this one and those up to OVERCOMMIT: of a process */
	OP_MREMAP,
	OP_MLOCK,
	OP_LIMIT,
	OP_OVERCOMMIT,
	OP_READ,
	OP_WRITE,
	OP_EXEC,
	OP_COPY_TO,
	OP_COPY_FROM,
	OP_SWITCH,
	OP_CREATE,
	OP_CONTIGUOUS,
	OP_PHYSICAL,
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
#define NUMBERS 10u
struct op {
	enum kind kind;
	uint32_t r[NUMBERS];
};
/* Operation `number` of an epoch: a pure function. */
struct op op_make(uint64_t seed, uint64_t epoch, unsigned number);

/* Situations that a run must meet, whatever was answered. */
enum event {
	EVENT_SEVERAL_REPLACED, /* one replacement met several regions */
	EVENT_STRIP_CUT,	/* a replacement lies on a strip */
	EVENT_STRIP_IN_WAY,	/* a fixed place was refused for a strip alone */
	EVENT_IN_CHILD,		/* mapped in a child VMAR */
	EVENT_NESTED,		/* a child of a child */
	EVENT_SUBTREE,		/* a VMAR was destroyed with regions and with children */
	EVENT_BYTES_LIMIT,	/* refused for the quota of bytes */
	EVENT_CONTIGUOUS_USED,	/* a program reached the object */
	EVENT_HOST_USED,
	EVENT_DEVICE_USED,
	EVENT_ODD_CACHE_USED, /* RAM by another attribute than write-back */
	EVENT_COPY_STOPPED,   /* the kernel's copy met memory that it has no address for */
	EVENT_RUN_MAPPED,     /* aligned frames at an aligned place: hardware may join their entries */
	EVENT_LARGE_PRIVATE,  /* an access through a large leaf: of the space's own memory */
	EVENT_LARGE_DEVICE,   /* and of fixed frames */
	EVENT_SLICE_SHOWN,    /* a store is seen through another view of the object */
	EVENT_FORK_OF_FORK,
	EVENT_PARENT_FIRST, /* a space is destroyed, and one that was forked from it lives */
	EVENT_WIPED,	    /* a fork has emptied pages */
	EVENT_KEPT,	    /* a fork has left out pages */
	EVENT_MOVED_OWN,    /* a move took private pages along */
	EVENT_KEPT_SOURCE,
	EVENT_GREW_DOWN,
	EVENT_GAP_IN_WAY,   /* growth was refused for what is mapped below */
	EVENT_PROMISE,	    /* refused for want of a promise */
	EVENT_DATA_LIMIT,
	EVENT_STACK_LIMIT,
	EVENTS
};
extern const char *const event_names[EVENTS];

/* What was answered, by operation; fault operations count enum vmem_fault_result, copies whether they came
 * to the end. */
#define ANSWERS 16u
struct counters {
	uint64_t answers[OP_KINDS][ANSWERS];
	uint64_t events[EVENTS];
	uint64_t operations, changes, checks, most_regions, least_free, idle, most_spaces;
};
extern struct counters *counters; /* shared with the children */

void world_start(unsigned cpus);
/* Both sides do it; any difference fails. True if it changed something. */
bool world_apply(const struct op *op);
/* All that can be looked at is what the model says. */
void world_compare(void);
void world_end(void);
void op_print(const struct op *op);

/* layout.c: the pages of a space. */
void space_reset(unsigned space);
void page_map(unsigned space, unsigned p, const struct page *as);
void page_unmap(unsigned space, unsigned p);
uint64_t page_value(const struct page *page);
void page_store(struct page *page, uint64_t value);
enum vmem_fault_result page_expect(const struct page *page, unsigned access);
vmem_vaddr_t page_va(unsigned page);
/* Where the mapping ends that has the page: to a program regions that agree are one, whatever is promised. */
unsigned mapping_end(unsigned space, unsigned p);
uint64_t locked_pages(unsigned space);
/* True if the VMAR has all of the pages, itself or in children. */
bool vmar_has(unsigned space, unsigned vmar, unsigned first, unsigned pages);
/* No regions, children or strips. */
bool is_free(unsigned space, unsigned vmar, unsigned first, unsigned pages);
/* Strips that no span has any more vanish. */
void strips_settle(unsigned space);
/* Pages of a space, and the VMAR whose they are or are said to be. */
struct where {
	unsigned space, vmar, first, pages;
};
struct where where_pick(const struct op *op, unsigned most);
/* What is wrong with it: RANGE, or `touched` where a child VMAR is in the way. */
uint32_t where_wrong(const struct where *at, vmem_status_t touched);
unsigned where_mapped(const struct where *at); /* pages */
void where_unmap(const struct where *at);
/* A span of the VMAR will occupy the pages: foreign strips are cut, its own reserved. */
void strips_insert(const struct where *at, unsigned before, unsigned behind);

/* Where a span may go: between pages low and high, with strips. */
struct room {
	unsigned space, vmar, pages, align, before, behind, low, high;
};
bool room_fits(const struct room *room, unsigned first);
/* The lowest or highest place; PAGES if there is none. */
unsigned room_find(const struct room *room, bool highest);

/* limits.c: what a space may have, and what has been promised. */
void nature_make(unsigned space);
bool is_data(const struct page *page); /* private, may be written, no stack */
bool needs_promise(unsigned space, const struct page *page);
/* Why the space may not get so many pages more: LIMIT; of data: LIMIT; promised: NO_MEMORY. */
uint32_t pages_wrong(unsigned space, uint64_t more, uint64_t gone);
uint32_t data_wrong(unsigned space, uint64_t more);
uint32_t promise_wrong(unsigned space, uint64_t more);
/* What is promised now, in pages. */
uint64_t promised_now(void);
/* An access to a page that is not mapped may let what lies above grow down to it; true if it has. */
bool grow_down(unsigned space, unsigned p);

/* world.c, for forks. */
void make_space(unsigned space);
void destroy_space(unsigned space);

/* place.c: what is random about a placement, for regions and child VMARs. */
struct placement {
	struct where at; /* the place, unless `anywhere` */
	struct room room;
	bool anywhere;
	uint32_t wrong;
};
/* Fills the placement fields of map; the kind of place and the strips are set, the alignment may be. */
struct placement placement_pick(const struct op *op, struct where at, struct vmem_map *map);
/* The library has put it at start: right? The first page. */
unsigned placement_check(const struct placement *placement, vmem_vaddr_t start);

/* Parts of world_apply(). */
bool apply_map(const struct op *op);
bool apply_space(const struct op *op);
bool apply_vmar(const struct op *op);
bool apply_advice(const struct op *op);
bool apply_fork(const struct op *op);
bool apply_move(const struct op *op); /* and extend */
bool apply_process(const struct op *op);
bool apply_access(const struct op *op);
bool apply_object(const struct op *op);
bool create_fixed(const struct op *op); /* contiguous and physical objects */
void object_drop_unused(void);
struct object *object_pick(uint32_t r);		      /* a held one, or NULL */
struct object *object_slot(void);		      /* a free one; NULL if all are taken */
/* Fills a slot: so many pages of zeroes. */
void object_fill(struct object *o, struct vmem_object *real, unsigned pages, bool resizable);
bool object_has_address(const struct object *object); /* in the direct map */
uint8_t permission_pick(uint32_t r);
unsigned granted(unsigned permission); /* what the hardware gives for it */
bool is_wx(unsigned space, unsigned permission);
uint32_t attributes_pick(uint32_t r);
bool is_sealed(const struct where *at); /* a page of it is */
/* A range for a call, now and then a wrong one: what is wrong. Three of four are moved to where something is
 * mapped by on_mapped(), and cut down to it. */
uint32_t range_pick(const struct op *op, const struct where *at, vmem_status_t touched, vmem_vaddr_t *start,
    uint64_t *length);
void on_mapped(const struct op *op, struct where *at);
/* Writable memory is faulted in by writes: private mappings of an object take their copies now. */
void populate(const struct where *at);
bool near_limit(unsigned space, unsigned more); /* so many more regions may be too many */
/* What a page of a region becomes when the region moves there. Strips go with the source. */
void move_pages(const struct where *from, const struct where *to, bool keeps);

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
/* Counts a status, which must be one of the set `wrong`; if that is empty, OK or one of `may`. */
void judged(const struct op *op, vmem_status_t status, uint32_t wrong, uint32_t may);

#endif
