/* SPDX-License-Identifier: MIT */
/*
 * index.h - the page index: a persistent, path-compressed radix tree from key (page number) to slot.
 *
 * Nodes hold 64 slots and are counted. A snapshot shares the root. What is shared never changes its
 * content: a writer copies the path to its leaf, takes a reference to each child that it now shares, and
 * only then drops its own reference to the old node (contract 1.1 to 1.3). A node stores the key prefix it
 * covers (base, shift), so a chain with one child is never built: a small object is one node, and depth
 * follows content, not address width.
 *
 * I1 A node, or what a slot holds, belongs to one index alone only if it and every node above it, up to
 *    the root, has one reference.
 * I2 present has bit n set exactly if slot n means something. Without its bit a leaf's slot is
 *    indeterminate; an inner node's is vmem_index_void, a leaf that covers nothing, so that a look-up goes
 *    down without asking at each level.
 * I3 shift is a multiple of 6 and strictly falls on the way down; a leaf has shift 0; base has no bits
 *    below shift + 6.
 * I4 an inner node has at least two children; a leaf has at least one slot; an empty index has no root.
 * I5 node->refs is the number of indexes and parent nodes that point to it; a PAGE slot accounts for one
 *    of page->refs.
 * I6 node->size is the number of nodes in its subtree, itself included.
 * I7 The promise for index nodes (slab.h) that snapshots have made is at least the sum over all nodes of
 *    (refs - 1) * size: as many nodes as all owners together can have to copy. It follows the counts by
 *    itself: a copy and a reference that goes lower it.
 */
#ifndef VMEM_INDEX_H
#define VMEM_INDEX_H

#include "lock.h"
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
	slot_t slot[INDEX_FANOUT]; /* inner: pointers to children. First: a slot's address is one addition */
	union {
		struct {
			uint8_t shift;
			uint8_t flags; /* INDEX_NODE_* */
			uint8_t lock;  /* of a leaf: which slots mean what. Outlives free and reuse */
			uint8_t reserved;
			uint32_t refs;
		};
		uint64_t head; /* all four, little-endian: a look-up reads shift and refs at once */
	};
	uint64_t base;
	uint64_t present;
	union {
		uint64_t size;		      /* I6 */
		struct index_node *dead_next; /* link of dead nodes while a tree is taken down */
	};
	uint64_t mark; /* scratch of validators */
};
_Static_assert(
    offsetof(struct index_node, refs) - offsetof(struct index_node, head) == 4, "refs are head's upper half");
enum {
	INDEX_NODE_MAY_SHARE = 1u << 1, /* leaf, set by path copying: pages may have more references */
};
extern const struct index_node vmem_index_void; /* I2 */

struct vmem_index {
	struct index_node *root;
	uint64_t sequence; /* changes with a published copy or a removal, not when an empty slot is filled */
	uint32_t claimed;  /* nodes set aside for the holder of the store's lock */
};

/* The nodes reachable from the root: what a snapshot promises. */
static inline uint64_t vmem_index_nodes(const struct vmem_index *index)
{
	return index->root ? index->root->size : 0;
}

/* Where a look-up ended: lets a fill that follows at once skip the walk. Valid until the index changes. */
struct index_cursor {
	struct index_node *leaf; /* the leaf node that covers the key, or NULL */
	bool exclusive; /* I1 holds for leaf: and for its slots, but for pages with more references */
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
	uintptr_t page = (uintptr_t)(slot & ~UINT64_C(7));
	__asm__("" : "+r"(page)); /* gcc takes the page of a slot that has none for an access */
	return (struct vmem_page *)page;
}

static inline slot_t slot_of_frame(vmem_paddr_t pa, vmem_cache_t cache)
{
	return pa | (slot_t)cache << 3 | SLOT_FRAME;
}

/* The slot at key, SLOT_EMPTY if none. cursor may be NULL. Never fails. On the fault path: 7
 * instructions per inner level, 8 with a cursor. Prefixes are not compared on the way down: a key that
 * is there is found by its digits, and the leaf tells whether it is the right one.
 *
 * Without the store's lock, inside a section (cpu.h), the answer is a guess, to be checked by the sequence
 * read before. A node may be freed and reused under the look-up: it stays a node, a link that is no node's
 * is not followed, and every step goes down, so the look-up ends. */
static inline slot_t vmem_index_find(
    const struct vmem_index *index, uint64_t key, struct index_cursor *cursor)
{
	struct index_node *node = shared_load_acquire(&index->root);
	slot_t slot = SLOT_EMPTY;
	uint64_t heads = 0; /* of all nodes on the way: the upper half is 1 exactly if all counts are */
	if (node) {
		uint64_t head = heads = shared_load_acquire(&node->head);
		while ((uint8_t)head != 0) {
			slot_t link =
			    shared_load_acquire(&node->slot[key >> (head & 63) & (INDEX_FANOUT - 1)]);
			if (VMEM_SMP && (slot_kind(link) != 0 || link == 0)) {
				node = (struct index_node *)(uintptr_t)&vmem_index_void;
				break;
			}
			node = (struct index_node *)(uintptr_t)link;
			uint64_t below = shared_load_acquire(&node->head);
			if (VMEM_SMP && (uint8_t)below >= (uint8_t)head) {
				node = (struct index_node *)(uintptr_t)&vmem_index_void;
				break;
			}
			head = below;
			heads |= head;
		}
		if ((shared_load(&node->base) ^ key) >= INDEX_FANOUT) {
			node = NULL;
		} else if (shared_load_acquire(&node->present) >> (key & (INDEX_FANOUT - 1)) & 1) {
			slot = shared_load_acquire(&node->slot[key & (INDEX_FANOUT - 1)]);
		}
	}
	if (cursor) {
		cursor->leaf = node;
		cursor->exclusive = heads >> 32 == 1;
	}
	return slot;
}

/* Gives one reference of what a slot counts back. */
void vmem_slot_drop(slot_t slot);

/* Whether what `slot`, found through `cursor`, holds belongs to this index alone (I1 and, for a page,
 * its own count). */
static inline bool index_exclusive(const struct index_cursor *cursor, slot_t slot)
{
	return cursor->exclusive &&
	       (slot_kind(slot) != SLOT_PAGE || shared_load_acquire(&slot_page(slot)->refs) == 1);
}

/* Sets nodes aside so that vmem_index_set() on `paths` different paths cannot fail; false: no memory,
 * nothing changed. They are kept until vmem_index_unclaim(), with which the section that holds the store's
 * lock ends, or until more are asked for: one step at a time.
 */
bool vmem_index_reserve(struct vmem_index *index, unsigned paths);
/* The same for a number of nodes. */
bool vmem_index_claim(struct vmem_index *index, unsigned nodes, bool promised);
/* Gives back what was set aside, used or not. */
void vmem_index_unclaim(struct vmem_index *index);
/* Most nodes that one reserved path can take: a copy of every node on it, a new leaf, and a new node
 * above that. */
#define INDEX_PATH_NODES (INDEX_KEY_BITS / INDEX_FANOUT_BITS + 2)

/* Makes sure that vmem_index_remove() of [first, last] cannot fail: exactly the nodes that it will copy,
 * out of what snapshots have promised. So it fails only if the nodes were shared without a promise (I7).
 * Nothing to do, and nothing asked of the allocator, if none is. */
bool vmem_index_reserve_remove(struct vmem_index *index, uint64_t first, uint64_t last);

/* Puts slot (not EMPTY) at key, with the store's lock held, and returns what was there: that reference is
 * now the caller's. One reserved path. cursor (may be NULL) as vmem_index_find() left it for this key;
 * afterwards it is as find would leave it now. Bumps the sequence when it copies a path, after publishing
 * each copy and before dropping the old node. */
slot_t vmem_index_set(struct vmem_index *index, uint64_t key, slot_t slot, struct index_cursor *cursor);

/* The leaf for key, made if need be, and exclusive with every node above it. One reserved path. For a caller
 * who then fills a slot of it under its byte: a leaf that stays empty breaks I4. */
struct index_node *vmem_index_leaf(struct vmem_index *index, uint64_t key);
/* Puts `slot` where `expected` is, in a leaf of ours whose byte the caller holds. False: something else is
 * there. */
static inline bool index_replace(struct index_node *leaf, uint64_t key, slot_t expected, slot_t slot)
{
	uint64_t n = key & (INDEX_FANOUT - 1), present = shared_load(&leaf->present);
	slot_t now = present >> n & 1 ? shared_load(&leaf->slot[n]) : SLOT_EMPTY;
	if (now != expected) {
		return false;
	}
	shared_store_release(&leaf->slot[n], slot);
	if (expected == SLOT_EMPTY) {
		shared_store_release(&leaf->present, present | UINT64_C(1) << n);
	}
	return true;
}

/* Announces that what was read without the lock may not be so any more (contract 1.2). */
static inline void index_bump(struct vmem_index *index)
{
	shared_store_release(&index->sequence, index->sequence + 1);
}

/* Whether anything is in [first, last], what a fault is just filling in included. */
bool vmem_index_any(const struct vmem_index *index, uint64_t first, uint64_t last);

/* Called for each slot whose reference the index gives up; may free the page. Must not touch the index. */
typedef void index_drop_fn(void *arg, uint64_t key, slot_t slot);
/* Drops it, and has no use for the rest. */
index_drop_fn vmem_index_drop;

/* Empties [first, last]. Whole shared subtrees are let go by one count; slots of what was ours alone go
 * to drop. Time proportional to what is present and ours; reserved by vmem_index_reserve_remove(). Nodes
 * left with nothing are freed, inner ones with one child replaced by it. Iterative. Bumps the sequence
 * if anything was there. */
void vmem_index_remove(
    struct vmem_index *index, uint64_t first, uint64_t last, index_drop_fn *drop, void *arg);

/* The first slot at or after *key and at or before last; false if none. Sets *key, and *exclusive (may
 * be NULL) by I1. */
bool vmem_index_next(
    const struct vmem_index *index, uint64_t *key, uint64_t last, slot_t *out_slot, bool *exclusive);

/* A snapshot in two steps, both O(1). Promise: as many nodes as the two may have to copy; false: no
 * memory, nothing changed. It is for a snapshot of the index as it is. */
bool vmem_index_promise(const struct vmem_index *from);
/* to (empty) becomes a snapshot of from, which has been promised. Cannot fail. Bumps from's sequence. */
void vmem_index_snapshot(struct vmem_index *to, struct vmem_index *from);

/* Takes a reference for each thing a slot counts (page) / gives it back without freeing anything: for
 * path copying and tests. */
static inline void slot_hold(slot_t slot)
{
	if (slot_kind(slot) == SLOT_PAGE) {
		(void)shared_add(&slot_page(slot)->refs, 1u);
	}
}

/* Walks every node once per index (a node shared by two indexes is visited from both), parents first:
 * validators count references with it. */
typedef void index_visit_fn(
    void *arg, const struct index_node *node, const struct index_node *parent, bool exclusive);
void vmem_index_visit(const struct vmem_index *index, index_visit_fn *visit, void *arg);
/* Panics unless I2, I3, I4 and I6 hold below index. */
void vmem_index_check(const struct vmem_index *index);

#endif
