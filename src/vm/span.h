/* SPDX-License-Identifier: MIT */
/*
 * span.h - occupied ranges of an address range, in an intrusive balanced tree that knows the largest gap
 * below each node.
 *
 * A span is embedded in what occupies the range: a region or a child VMAR. Insertion and removal allocate
 * nothing and cannot fail. Spans are also a list in address order, so neighbours are one step away.
 *
 * A span may ask for a reserved, unmapped strip on either side (pad_before, pad_after, in pages). Strips
 * count as occupied when a place is searched (two strips do not overlap); a fixed placement may cut a
 * neighbour's strip: insert and resize do that.
 *
 * Gaps are kept in pages and saturate at the tree's gap_cap, a 64th of its length (at most 2^32 - 1 pages).
 * No more gaps can reach the cap than fit into the tree, so a search for more than the cap inspects at most
 * max(64, length / 16 TiB) gaps (64 pages and less: every gap), whatever n is. In return taking a piece of
 * a huge gap, what most mappings do, changes no node above it.
 *
 * S1 Spans of one tree do not overlap, lie inside [base, base + length), and have page-aligned non-zero
 *    lengths; base + length does not wrap.
 * S2 The tree is an AVL tree by start; height is the height of the subtree.
 * S3 gap of s is the room between the strip of the span before s (or base) and the strip of s; max_gap is
 *    the largest gap in s's subtree.
 * S4 prev and next are the neighbours in address order; the room behind the last span is tree->tail_gap.
 * S5 Strips lie inside the tree's range and overlap neither spans nor each other.
 */
#ifndef VMEM_SPAN_H
#define VMEM_SPAN_H

#include <vmem/types.h>

#include "lock.h"

enum span_kind { SPAN_REGION, SPAN_VMAR };

struct span {
	vmem_vaddr_t start;
	uint64_t length;
	struct span *child[2]; /* lower, higher */
	uint32_t gap, max_gap; /* pages, saturating at tree->gap_cap */
	struct span *parent;
	struct span *prev, *next;
	uint8_t height;
	uint8_t kind;		       /* enum span_kind */
	uint8_t pad_before, pad_after; /* pages */
	uint32_t
	    generation; /* of the owner: odd while what a fault concludes from it changes; survives reuse */
};

struct span_tree {
	struct span *root;
	struct span *first, *last;
	struct span *near; /* where the last question was answered, or NULL: the next mostly asks there */
	vmem_vaddr_t base;
	uint64_t length;
	uint64_t tail_gap; /* bytes */
	uint64_t count;
	uint32_t gap_cap; /* pages */
};

/* Base and length are multiples of a page, and base + length is at most 2^64 less a page. */
void vmem_span_tree_init(struct span_tree *tree, vmem_vaddr_t base, uint64_t length);

/* The span that contains address, or NULL. */
static inline struct span *vmem_span_find(const struct span_tree *tree, vmem_vaddr_t address)
{
	struct span *s = tree->near;
	if (s && address - s->start < s->length) {
		return s;
	}
	struct span *below = NULL; /* the last at address or before; asking each for its end costs more */
	s = tree->root;
	while (s) {
		if (address < s->start) {
			s = s->child[0];
		} else {
			below = s;
			s = s->child[1];
		}
	}
	return below && address - below->start < below->length ? below : NULL;
}

/*
 * vmem_span_find() without the owner's lock, in memory that stays of its type: a guess. Whether a span that
 * it answers is in the tree is for its generation to tell; that it finds none proves nothing. The steps are
 * bounded, the tree may change on the way.
 */
#define SPAN_STEPS_MAX 64u
struct span *vmem_span_find_shared(const struct span_tree *tree, vmem_vaddr_t address);

/*
 * The first span that ends after address, or NULL. Asked again near the last answer it costs a few
 * instructions: it keeps that answer in the tree, const or not, and so wants the owner's lock.
 */
struct span *vmem_span_find_from(const struct span_tree *tree, vmem_vaddr_t address);
/* Notes where the next step will be. The tree is const to callers who do not change what it holds. */
static inline void vmem_span_note(const struct span_tree *tree, struct span *s)
{
	((struct span_tree *)(uintptr_t)tree)->near = s;
}

/* The room before s, or behind the last span when s is NULL: [low, high), between strips. */
static inline uint64_t vmem_span_gap_low(const struct span_tree *tree, const struct span *s)
{
	const struct span *prev = s ? s->prev : tree->last;
	return prev ? prev->start + prev->length + ((uint64_t)prev->pad_after << VMEM_PAGE_SHIFT)
		    : tree->base;
}

static inline uint64_t vmem_span_gap_high(const struct span_tree *tree, const struct span *s)
{
	return s ? s->start - ((uint64_t)s->pad_before << VMEM_PAGE_SHIFT) : tree->base + tree->length;
}

/*
 * Links a span whose start, length, kind and pads are set and which overlaps none. A neighbour's strip
 * under it is cut; its own strips are cut to the room that is left.
 */
void vmem_span_insert(struct span_tree *tree, struct span *span);
/* The same without a search, for a caller who knows the span that will follow (NULL: none will). */
void vmem_span_insert_before(struct span_tree *tree, struct span *span, struct span *next);
void vmem_span_remove(struct span_tree *tree, struct span *span);
/* Changes bounds (and pads) in place; the order stays, and the neighbours' strips are cut as by insert. */
void vmem_span_resize(struct span_tree *tree, struct span *span, vmem_vaddr_t start, uint64_t length,
    uint8_t pad_before, uint8_t pad_after);
/* Puts fresh in old's place, with old's bounds and pads; kind and generation are fresh's own. */
void vmem_span_replace(struct span_tree *tree, struct span *old, struct span *fresh);

enum place_order {
	PLACE_LOWEST,  /* first fit from the low end */
	PLACE_HIGHEST, /* first fit from the high end */
	PLACE_RANDOM,  /* uniform among the left-most 2^entropy aligned starts (place.c P3) */
};

struct place_request {
	uint64_t length;  /* bytes, page multiple, not zero */
	uint64_t align;	  /* power of two, at least a page */
	uint64_t minimum; /* lowest start */
	uint64_t limit;	  /* highest end, exclusive */
	uint8_t pad_before,
	    pad_after; /* pages; these too must be free, inside the tree's range but not [minimum, limit) */
	enum place_order order;
	unsigned entropy_bits;	/* RANDOM: 0 to 36; 0 is LOWEST */
	uint64_t *random_state; /* RANDOM: advanced by vmem_random_next() */
};

/*
 * A start that satisfies the request, in O(log n) for LOWEST and HIGHEST with pages as alignment. False if
 * there is none.
 */
bool vmem_span_place(
    const struct span_tree *tree, const struct place_request *request, vmem_vaddr_t *out_start);
/* The same, and the span that follows the place (NULL: none), for vmem_span_insert_before(). */
bool vmem_span_place_before(const struct span_tree *tree, const struct place_request *request,
    vmem_vaddr_t *out_start, struct span **out_next);
/* Number of aligned candidate positions that satisfy the request, counted up to at_most. */
uint64_t vmem_span_count_places(
    const struct span_tree *tree, const struct place_request *request, uint64_t at_most);
/* True if [start, start+length) with its pads is free of spans and of their strips. */
bool vmem_span_range_free(
    const struct span_tree *tree, vmem_vaddr_t start, uint64_t length, uint8_t pad_before, uint8_t pad_after);

/* A small, fast generator (splitmix64): placement needs uniformity and reproducibility, and no secrecy. */
uint64_t vmem_random_next(uint64_t *state);

/* Panics unless S1 to S5 hold. */
void vmem_span_check(const struct span_tree *tree);

#endif
