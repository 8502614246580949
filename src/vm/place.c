/* SPDX-License-Identifier: MIT */
/*
 * place.c - where a new span can go.
 *
 * A gap offers the aligned starts from `first` to `last`; a search goes through the gaps in address order,
 * upwards or downwards, and steps over every subtree whose largest gap is too small.
 *
 * P1 A gap that is not smaller than length, strips and alignment less a page offers a start, unless minimum
 *    or limit cut it. With pages as alignment the first gap that is large enough is the answer, but for the
 *    one that a bound cuts: two steps of O(log n). Above the tree's gap_cap (span.h) gaps that are not
 *    large enough may be met, a bounded number.
 * P2 No sum can wrap: a search is made only if length and strips fit into the tree, and if low <= high.
 * P3 RANDOM is uniform among the N left-most starts, N = min(2^entropy, all there are). The index drawn
 *    from [0, 2^entropy) is taken if there is such a start; given that it is, it is uniform in [0, N).
 *    Otherwise all were counted, N < 2^entropy, and a second index is drawn from [0, N). A mixture of two
 *    uniform choices is uniform. Two walks at most.
 *
 * Reads the tree only. Lock: the owner's.
 */
#include "span.h"

#define MAX_ENTROPY_BITS 36u

struct search {
	const struct span_tree *tree;
	uint64_t length, align;
	uint64_t before, after; /* strips, bytes */
	uint64_t low, high; /* lowest and highest start that bounds and strips leave; multiples of align */
	bool from_first;    /* no gap lies wholly below low */
	bool to_last;	    /* no gap lies wholly above high */
	uint32_t need;	    /* pages that a gap must have, saturated as in the tree */
};

struct starts {
	uint64_t first, last;
};

/* False if the bounds alone leave no start (P2). */
static inline bool search_init(
    struct search *search, const struct span_tree *tree, const struct place_request *request)
{
	uint64_t before = (uint64_t)request->pad_before << VMEM_PAGE_SHIFT;
	uint64_t after = (uint64_t)request->pad_after << VMEM_PAGE_SHIFT;
	uint64_t length = request->length, align = request->align;
	if (length == 0 || tree->length < before + after || tree->length - (before + after) < length) {
		return false;
	}
	uint64_t low = tree->base + before, top = tree->base + tree->length - after;
	bool from_first = request->minimum <= low, to_last = request->limit >= top;
	low = from_first ? low : request->minimum;
	top = to_last ? top : request->limit;
	if (top < length || top - length < low) {
		return false;
	}
	uint64_t high = top - length;
	uint64_t up = (0 - low) & (align - 1);
	if (high - low < up) {
		return false;
	}
	uint64_t need = (length + before + after) >> VMEM_PAGE_SHIFT;
	search->tree = tree;
	search->length = length;
	search->align = align;
	search->before = before;
	search->after = after;
	search->low = low + up;
	search->high = high & ~(align - 1);
	search->from_first = from_first;
	search->to_last = to_last;
	search->need = need < tree->gap_cap ? (uint32_t)need : tree->gap_cap;
	return true;
}

/* The starts that the gap before s (NULL: the tail) offers. */
static inline bool starts_in(const struct search *search, const struct span *s, struct starts *out)
{
	uint64_t first = vmem_span_gap_low(search->tree, s);
	uint64_t room = vmem_span_gap_high(search->tree, s) - first;
	uint64_t total = search->length + search->before + search->after;
	if (room < total) {
		return false;
	}
	first += search->before;
	room -= total; /* the last start is first + room */
	uint64_t last = (first + room) & ~(search->align - 1);
	uint64_t up = (0 - first) & (search->align - 1);
	if (room < up) {
		return false;
	}
	first += up;
	out->first = first > search->low ? first : search->low;
	out->last = last < search->high ? last : search->high;
	return out->first <= out->last;
}

static inline bool has_gap(const struct span *s, uint32_t need)
{
	return s && s->max_gap >= need;
}

/* The gap nearest to side `near` in a subtree that has one. */
static inline struct span *descend(struct span *s, uint32_t need, unsigned near)
{
	for (;;) {
		struct span *child = s->child[near];
		if (has_gap(child, need)) {
			s = child;
		} else if (s->gap >= need) {
			return s;
		} else {
			s = s->child[!near];
		}
	}
}

/* The gap that follows that of s when going away from side `near`; NULL: none before the end of the tree. */
static inline struct span *step(struct span *s, uint32_t need, unsigned near)
{
	if (has_gap(s->child[!near], need)) {
		return descend(s->child[!near], need, near);
	}
	for (struct span *parent = s->parent; parent; s = parent, parent = s->parent) {
		if (parent->child[near] != s) {
			continue;
		}
		if (parent->gap >= need) {
			return parent;
		}
		if (has_gap(parent->child[!near], need)) {
			return descend(parent->child[!near], need, near);
		}
	}
	return NULL;
}

/* The lowest gap that may offer a start; NULL is the tail. */
static inline struct span *lowest_gap(const struct search *search)
{
	struct span *s = search->tree->root;
	if (!has_gap(s, search->need)) {
		return NULL;
	}
	if (search->from_first) {
		return descend(s, search->need, 0);
	}
	uint64_t end = search->low + search->length;
	struct span *found = NULL;
	while (s) {
		if (s->start >= end) {
			found = s;
			s = s->child[0];
		} else {
			s = s->child[1];
		}
	}
	return !found || found->gap >= search->need ? found : step(found, search->need, 0);
}

/* True if the gap before s and all above it lie above the highest start. */
static inline bool is_above(const struct search *search, const struct span *s)
{
	return vmem_span_gap_low(search->tree, s) > search->high;
}

static bool place_lowest(const struct search *search, struct starts *out, struct span **out_next)
{
	struct span *s = lowest_gap(search);
	for (; s; s = step(s, search->need, 0)) {
		if (starts_in(search, s, out)) {
			*out_next = s;
			return true;
		}
		if (is_above(search, s)) {
			return false;
		}
	}
	*out_next = NULL;
	return starts_in(search, NULL, out);
}

static bool place_highest(const struct search *search, struct starts *out, struct span **out_next)
{
	struct span *s = search->tree->root;
	*out_next = NULL;
	if (search->to_last) {
		if (starts_in(search, NULL, out)) {
			return true;
		}
		s = has_gap(s, search->need) ? descend(s, search->need, 1) : NULL;
	} else {
		struct span *above = NULL; /* the first that ends above high: no gap behind it is of use */
		while (s) {
			if (s->start + s->length > search->high) {
				above = s;
				s = s->child[0];
			} else {
				s = s->child[1];
			}
		}
		if (!above && starts_in(search, NULL, out)) {
			return true;
		}
		s = above ? above : search->tree->last;
		if (s->gap < search->need) { /* there is a span, or the tail had offered a start */
			s = step(s, search->need, 1);
		}
	}
	for (; s; s = step(s, search->need, 1)) {
		if (starts_in(search, s, out)) {
			*out_next = s;
			return true;
		}
		if (vmem_span_gap_high(search->tree, s) < search->low) {
			return false;
		}
	}
	return false;
}

/* The start number `index` from the left; or false, and *out_count of all starts. */
static bool nth_start(const struct search *search, uint64_t index, uint64_t *out_count, uint64_t *out_start,
    struct span **out_next)
{
	uint64_t count = 0;
	struct span *s = lowest_gap(search);
	for (;;) {
		struct starts starts;
		if (starts_in(search, s, &starts)) {
			uint64_t here = (starts.last - starts.first) / search->align + 1;
			if (index - count < here) {
				*out_start = starts.first + (index - count) * search->align;
				*out_next = s;
				return true;
			}
			count += here;
		}
		if (!s || is_above(search, s)) {
			*out_count = count;
			return false;
		}
		s = step(s, search->need, 0);
	}
}

uint64_t vmem_random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Uniform in [0, count), count not zero: values of the last, incomplete round are drawn again. */
static uint64_t random_below(uint64_t *state, uint64_t count)
{
	uint64_t skip = (0 - count) % count; /* 2^64 mod count */
	uint64_t value;
	do {
		value = vmem_random_next(state);
	} while (value < skip);
	return value % count;
}

static bool place_random(
    const struct search *search, unsigned bits, uint64_t *state, uint64_t *out_start, struct span **out_next)
{
	uint64_t count;
	uint64_t index =
	    vmem_random_next(state) >> (64 - (bits < MAX_ENTROPY_BITS ? bits : MAX_ENTROPY_BITS));
	if (nth_start(search, index, &count, out_start, out_next)) {
		return true;
	}
	if (count == 0) {
		return false;
	}
	return nth_start(search, random_below(state, count), &count, out_start, out_next); /* P3 */
}

bool vmem_span_place_before(const struct span_tree *tree, const struct place_request *request,
    vmem_vaddr_t *out_start, struct span **out_next)
{
	struct search search;
	struct starts starts;
	if (!search_init(&search, tree, request)) {
		return false;
	}
	if (request->order == PLACE_RANDOM && request->entropy_bits != 0) {
		return place_random(
		    &search, request->entropy_bits, request->random_state, out_start, out_next);
	}
	if (request->order == PLACE_HIGHEST) {
		if (!place_highest(&search, &starts, out_next)) {
			return false;
		}
		*out_start = starts.last;
		vmem_span_note(tree, *out_next);
		return true;
	}
	if (!place_lowest(&search, &starts, out_next)) {
		return false;
	}
	*out_start = starts.first;
	vmem_span_note(tree, *out_next);
	return true;
}

bool vmem_span_place(
    const struct span_tree *tree, const struct place_request *request, vmem_vaddr_t *out_start)
{
	struct span *next;
	return vmem_span_place_before(tree, request, out_start, &next);
}

uint64_t vmem_span_count_places(
    const struct span_tree *tree, const struct place_request *request, uint64_t at_most)
{
	struct search search;
	struct span *next;
	uint64_t count = 0, start;
	if (!search_init(&search, tree, request)) {
		return 0;
	}
	return nth_start(&search, at_most, &count, &start, &next) ? at_most : count;
}

bool vmem_span_range_free(
    const struct span_tree *tree, vmem_vaddr_t start, uint64_t length, uint8_t pad_before, uint8_t pad_after)
{
	const struct span *next = vmem_span_find_from(tree, start);
	uint64_t low = vmem_span_gap_low(tree, next), high = vmem_span_gap_high(tree, next);
	uint64_t before = (uint64_t)pad_before << VMEM_PAGE_SHIFT,
		 after = (uint64_t)pad_after << VMEM_PAGE_SHIFT;
	if (start < low || start - low < before || start > high) {
		return false;
	}
	uint64_t room = high - start;
	return room >= after && room - after >= length;
}
