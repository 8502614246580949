/* SPDX-License-Identifier: MIT */
/*
 * index.h - the page index: a persistent, path-compressed radix tree from key (page number) to slot.
 *
 * Nodes hold 64 slots and are counted. A snapshot shares the root. What is shared never changes its content: a writer copies the path
 * to its leaf, takes a reference to each child that it now shares, and only then drops its own reference to the old node
 * (contract 1.1 to 1.3). A node stores the key prefix it covers (base, shift), so a chain with one child is never built: a
 * small object is one node, and depth follows content, not address width.
 *
 * I1 A node, or what a slot holds, belongs to one index alone only if it and every node above it, up to the root, has one reference.
 * I2 present has bit n set exactly if slot n means something; slots without their bit are indeterminate.
 * I3 shift is a multiple of 6 and strictly falls on the way down; a leaf has shift 0; base has no bits below shift + 6.
 * I4 an inner node has at least one child; an empty index has no root.
 * I5 node->refs is the number of indexes and parent nodes that point to it; a PAGE slot accounts for one of page->refs.
 */
#ifndef VMEM_INDEX_H
#define VMEM_INDEX_H

#include "page.h"

#define INDEX_FANOUT_BITS 6u
#define INDEX_FANOUT 64u
#define INDEX_KEY_BITS 54u /* 9 levels of 6 bits */
#define INDEX_KEY_LAST ((UINT64_C(1) << INDEX_KEY_BITS) - 1)

/* A slot of a leaf: a kind in the low three bits, the rest is the kind's own. */
typedef uint64_t slot_t;
enum slot_kind {
	SLOT_EMPTY = 0,
	SLOT_PAGE = 1,	/* pointer to a counted page record */
	SLOT_FRAME = 2, /* raw frame: physical address, cache attribute in bits 3 and 4; not counted */
	SLOT_ZERO = 3,	/* reads as zeroes, hiding what lies below */
	SLOT_GUARD = 4, /* every access is refused */
	SLOT_SWAP = 5,	/* cookie in the upper bits; counted by the swap store */
	SLOT_BUSY = 6,	/* a page is on its way; pager-backed objects only */
};

struct index_node {
	uint64_t dead_next; /* first eight bytes: the slab's free link; and the link of dead nodes while a tree is taken down */
	uint32_t refs;
	uint8_t shift;
	uint8_t flags; /* INDEX_NODE_* */
	uint16_t reserved;
	uint64_t base;
	uint64_t present;
	slot_t slot[INDEX_FANOUT]; /* inner: pointer to the child */
};
enum {
	INDEX_NODE_LOCK = 1u << 0,	 /* reserved for the window lock of leaf nodes (contract 1.3) */
	INDEX_NODE_MAY_SHARE = 1u << 1, /* leaf: may hold pages with more than one reference (set by path copying; contract 1.11) */
};

struct vmem_index {
	struct index_node *root;
	uint64_t sequence; /* changes with the structure: a published copy, a removal; not when an empty slot is filled */
	uint64_t nodes;	   /* upper bound of the nodes reachable from root: what a snapshot must promise */
};

/* Where a look-up ended: lets a fill that follows at once skip the walk. Valid until the index changes. */
struct index_cursor {
	struct index_node *leaf; /* the leaf node that covers the key, or NULL */
	bool exclusive;		 /* I1 holds for leaf (and so for its slots, but for pages with more references) */
};

static inline enum slot_kind slot_kind(slot_t slot)
{
	return (enum slot_kind)(slot & 7);
}

static inline slot_t slot_of_page(struct vmem_page *page)
{
	return (slot_t)(uintptr_t)page | SLOT_PAGE;
}

static inline struct vmem_page *slot_page(slot_t slot)
{
	return (struct vmem_page *)(uintptr_t)(slot & ~UINT64_C(7));
}

static inline slot_t slot_of_frame(vmem_paddr_t pa, vmem_cache_t cache)
{
	return pa | (slot_t)cache << 3 | SLOT_FRAME;
}

/* The slot at key, SLOT_EMPTY if none. cursor may be NULL. Never fails. Inline-fast: this is on the fault path. */
slot_t vmem_index_find(const struct vmem_index *index, uint64_t key, struct index_cursor *cursor);

/* Whether what `slot`, found through `cursor`, holds belongs to this index alone (I1 and, for a page, its own count). */
static inline bool index_exclusive(const struct index_cursor *cursor, slot_t slot)
{
	return cursor->exclusive && (slot_kind(slot) != SLOT_PAGE || slot_page(slot)->refs == 1);
}

/* Makes sure that changes along `paths` different paths cannot fail; false: no memory, nothing changed. promised: see slab.h. */
bool vmem_index_reserve(unsigned paths, bool promised);
/* Most nodes that one reserved path can take. */
#define INDEX_PATH_NODES (INDEX_KEY_BITS / INDEX_FANOUT_BITS + 2)

/* Puts slot (not EMPTY) at key and returns what was there: that reference is now the caller's. One reserved path. cursor (may be NULL) as
 * vmem_index_find() left it for this key. Bumps the sequence when it copies a path, after publishing it and before dropping the old nodes. */
slot_t vmem_index_set(struct vmem_index *index, uint64_t key, slot_t slot, struct index_cursor *cursor);

/* Called for each slot whose reference the index gives up; may free the page. Must not touch the index. */
typedef void index_drop_fn(void *arg, uint64_t key, slot_t slot);

/* Empties [first, last]. Whole shared subtrees are let go by one count; slots of what was ours alone go to drop. Time proportional to what is
 * present and ours; two reserved paths. Nodes left empty are freed, up to the root. Iterative. */
void vmem_index_remove(struct vmem_index *index, uint64_t first, uint64_t last, index_drop_fn *drop, void *arg);

/* The first slot at or after *key and at or before last; false if none. Sets *key, and *exclusive (may be NULL) by I1. */
bool vmem_index_next(const struct vmem_index *index, uint64_t *key, uint64_t last, slot_t *out_slot, bool *exclusive);

/* to (empty) becomes a snapshot of from: O(1). Cannot fail; the caller has promised from->nodes nodes, and bumps from's sequence by this. */
void vmem_index_snapshot(struct vmem_index *to, struct vmem_index *from);

/* Takes a reference for each thing a slot counts (page) / gives it back without freeing anything: for path copying and tests. */
static inline void slot_hold(slot_t slot)
{
	if (slot_kind(slot) == SLOT_PAGE) {
		slot_page(slot)->refs++;
	}
}

/* Walks every node once per index (a node shared by two indexes is visited from both): validators count references with it. */
typedef void index_visit_fn(void *arg, const struct index_node *node, const struct index_node *parent, bool exclusive);
void vmem_index_visit(const struct vmem_index *index, index_visit_fn *visit, void *arg);
/* Panics unless I2, I3, I4 hold below index. */
void vmem_index_check(const struct vmem_index *index);

#endif
