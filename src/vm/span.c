/* SPDX-License-Identifier: MIT */
/*
 * span.c - the tree of occupied ranges: an AVL tree by start, threaded as a list, that knows the largest
 * gap of each subtree.
 *
 * The invariants S1 to S5 are in span.h. What the code below rests on:
 *
 * G1 Every walk up the tree stops at the first node that it leaves unchanged. A span between two others
 *    changes the gap of one node and adds or removes one; what moves above them is seldom more than a level
 *    or two, because gaps saturate (span.h) and equal ones are common.
 * G2 Gaps first, then balance: a rotation finds every max_gap exact, gives that of the old top to the new
 *    one, and computes the lowered ones.
 * G3 Neighbours in address order need no search: of two adjacent spans exactly one has the child slot free
 *    that lies between them.
 *
 * No recursion, no allocation, nothing can fail. Lock: the owner's, for reading too, but for
 * vmem_span_find_shared(): links to children, and bounds, are stored so that it may read them meanwhile.
 */
#include "span.h"

#include "panic.h"

static inline unsigned height_of(const struct span *s)
{
	return s ? s->height : 0;
}

static inline uint32_t saturate(const struct span_tree *tree, uint64_t bytes)
{
	uint64_t pages = bytes >> VMEM_PAGE_SHIFT;
	return pages < tree->gap_cap ? (uint32_t)pages : tree->gap_cap;
}

/* S3 from the children. */
static inline uint32_t subtree_gap(const struct span *s)
{
	uint32_t gap = s->gap;
	const struct span *low = s->child[0], *high = s->child[1];
	if (low && low->max_gap > gap) {
		gap = low->max_gap;
	}
	if (high && high->max_gap > gap) {
		gap = high->max_gap;
	}
	return gap;
}

/* From s up: a gap of this size is below now, or s's own (G1). */
static inline void raise_gaps(struct span *s, uint32_t gap)
{
	for (; s && s->max_gap < gap; s = s->parent) {
		s->max_gap = gap;
	}
}

/* From s up to but not including stop: a gap of size `old` below s, or s's own, has shrunk (G1). */
static inline void lower_gaps(struct span *s, const struct span *stop, uint32_t old)
{
	if (s == stop || s->max_gap != old) {
		return;
	}
	for (uint32_t gap = subtree_gap(s); gap != old;) {
		const struct span *below = s;
		s->max_gap = gap;
		s = s->parent;
		if (s == stop || s->max_gap != old) {
			return;
		}
		const struct span *other = s->child[0];
		if (other == below) {
			other = s->child[1];
		}
		if (s->gap > gap) {
			gap = s->gap;
		}
		if (other && other->max_gap > gap) {
			gap = other->max_gap;
		}
	}
}

static void set_gap(struct span *s, uint32_t gap)
{
	uint32_t old = s->gap;
	s->gap = gap;
	if (gap > old) {
		raise_gaps(s, gap);
	} else if (gap < old) {
		lower_gaps(s, NULL, old);
	}
}

static inline void set_link(struct span **link, struct span *fresh)
{
	shared_store_release(link, fresh); /* what it leads to is there first */
}

static inline void set_child(
    struct span_tree *tree, struct span *parent, const struct span *old, struct span *fresh)
{
	set_link(!parent ? &tree->root : &parent->child[parent->child[1] == old], fresh);
}

/* Lifts the child on `side` over its parent; heights and gaps of the two are the caller's. */
static struct span *lift(struct span_tree *tree, struct span *top, unsigned side)
{
	struct span *up = top->child[side];
	struct span *inner = up->child[!side];
	set_link(&top->child[side], inner);
	if (inner) {
		inner->parent = top;
	}
	set_link(&up->child[!side], top);
	up->parent = top->parent;
	set_child(tree, top->parent, top, up);
	top->parent = up;
	return up;
}

/* The subtree below top is two levels higher on `side`: rotates, and answers the new top (G2). */
static struct span *rotate(struct span_tree *tree, struct span *top, unsigned side)
{
	struct span *up = top->child[side];
	uint32_t max_gap = top->max_gap;
	unsigned inner = height_of(up->child[!side]);
	if (inner > height_of(up->child[side])) {
		struct span *low = up;
		lift(tree, up, !side);
		up = lift(tree, top, side);
		low->height = (uint8_t)inner;
		low->max_gap = subtree_gap(low);
		top->height = (uint8_t)inner;
		up->height = (uint8_t)(inner + 1);
	} else {
		lift(tree, top, side);
		top->height = (uint8_t)(inner + 1);
		up->height = (uint8_t)(inner + 2);
	}
	top->max_gap = subtree_gap(top);
	up->max_gap = max_gap;
	return up;
}

/* A leaf is new: its ancestors may have grown. One rotation is enough: it gives back the height of before.
 */
static inline void balance_grown(struct span_tree *tree, struct span *s)
{
	struct span *parent;
	for (parent = s->parent; parent && parent->height <= s->height; parent = s->parent) {
		unsigned side = parent->child[1] == s;
		if (s->height > height_of(parent->child[!side]) + 1) {
			rotate(tree, parent, side);
			return;
		}
		parent->height = (uint8_t)(s->height + 1);
		s = parent;
	}
}

/* A child of s has become lower, or has gone. */
static inline void balance_shrunk(struct span_tree *tree, struct span *s)
{
	for (; s; s = s->parent) {
		unsigned low = height_of(s->child[0]), high = height_of(s->child[1]), before = s->height;
		if (low > high + 1 || high > low + 1) {
			s = rotate(tree, s, high > low);
		} else {
			s->height = (uint8_t)((low > high ? low : high) + 1);
		}
		if (s->height == before) {
			return;
		}
	}
}

#if !VMEM_ALONE
void vmem_span_tree_init(struct span_tree *tree, vmem_vaddr_t base, uint64_t length)
{
	VMEM_CHECK(vmem_page_aligned(base | length) && length <= UINT64_MAX - base,
	    "a span tree's range is whole pages and does not wrap");
	uint64_t cap = length >> (VMEM_PAGE_SHIFT + 6);
	set_link(&tree->root, NULL);
	tree->first = tree->last = tree->near = NULL;
	tree->base = base;
	tree->length = length;
	tree->tail_gap = length;
	tree->count = 0;
	tree->gap_cap = cap == 0 ? 1 : cap < UINT32_MAX ? (uint32_t)cap : UINT32_MAX;
}

static inline uint64_t end_of(const struct span *s)
{
	return s->start + s->length;
}

struct span *vmem_span_find_from(const struct span_tree *tree, vmem_vaddr_t address)
{
	struct span *s = tree->last;
	if (!s || address >= end_of(s)) {
		return NULL;
	}
	struct span *found = tree->near;
	if (found && address < end_of(found) && (!found->prev || address >= end_of(found->prev))) {
		return found;
	}
	found = NULL;
	for (s = tree->root; s;) {
		if (address < s->start) {
			found = s;
			s = s->child[0];
		} else {
			s = s->child[1];
		}
	}
	/* found is the first that starts above address; the one before it may contain address */
	s = found ? found->prev : tree->last;
	found = s && address < end_of(s) ? s : found;
	vmem_span_note(tree, found);
	return found;
}

struct span *vmem_span_find_shared(const struct span_tree *tree, vmem_vaddr_t address)
{
	struct span *below = NULL;
	struct span *s = shared_load_acquire(&tree->root);
	for (unsigned steps = 0; s && steps < SPAN_STEPS_MAX; steps++) {
		bool higher = address >= shared_load(&s->start);
		below = higher ? s : below;
		s = shared_load_acquire(&s->child[higher]);
	}
	return below && address - shared_load(&below->start) < shared_load(&below->length) ? below : NULL;
}
#endif

/*
 * Fits s between its neighbours, whose pads and its own are cut where they collide: the span itself goes
 * before a neighbour's strip, and what is left of that strip goes before the span's. Answers the room
 * before s; *behind is that before next, or the tail's.
 */
static inline uint64_t fit_strips(
    struct span_tree *tree, struct span *s, struct span *prev, struct span *next, uint64_t *behind)
{
	uint64_t end = s->start + s->length;
	uint64_t floor = prev ? prev->start + prev->length : tree->base;
	uint64_t ceiling = next ? next->start : tree->base + tree->length;
	VMEM_ASSERT(s->length != 0 && vmem_page_aligned(s->start | s->length) && end > s->start);
	VMEM_ASSERT(floor <= s->start && end <= ceiling);
	uint64_t before = s->start - floor, after = ceiling - end;
	uint64_t strip = prev ? (uint64_t)prev->pad_after << VMEM_PAGE_SHIFT : 0;
	if (before < strip) {
		prev->pad_after = (uint8_t)(before >> VMEM_PAGE_SHIFT);
		strip = before;
	}
	before -= strip;
	strip = next ? (uint64_t)next->pad_before << VMEM_PAGE_SHIFT : 0;
	if (after < strip) {
		next->pad_before = (uint8_t)(after >> VMEM_PAGE_SHIFT);
		strip = after;
	}
	after -= strip;
	if (before >> VMEM_PAGE_SHIFT < s->pad_before) {
		s->pad_before = (uint8_t)(before >> VMEM_PAGE_SHIFT);
	}
	if (after >> VMEM_PAGE_SHIFT < s->pad_after) {
		s->pad_after = (uint8_t)(after >> VMEM_PAGE_SHIFT);
	}
	*behind = after - ((uint64_t)s->pad_after << VMEM_PAGE_SHIFT);
	return before - ((uint64_t)s->pad_before << VMEM_PAGE_SHIFT);
}

void vmem_span_insert_before(struct span_tree *tree, struct span *span, struct span *next)
{
	struct span *prev = next ? next->prev : tree->last;
	uint64_t behind;
	uint32_t gap = saturate(tree, fit_strips(tree, span, prev, next, &behind));

	span->prev = prev;
	span->next = next;
	set_link(&span->child[0], NULL);
	set_link(&span->child[1], NULL);
	span->height = 1;
	span->gap = span->max_gap = gap;
	*(prev ? &prev->next : &tree->first) = span;
	*(next ? &next->prev : &tree->last) = span;
	tree->near = span;
	tree->count++;
	if (next && !next->child[0]) { /* G3 */
		span->parent = next;
		set_link(&next->child[0], span);
	} else {
		span->parent = prev;
		set_link(prev ? &prev->child[1] : &tree->root, span);
	}
	raise_gaps(span->parent, gap); /* a cut strip can make it larger than the gap it was taken from */
	if (next) {
		set_gap(next, saturate(tree, behind));
	} else {
		tree->tail_gap = behind;
	}
	balance_grown(tree, span);
}

void vmem_span_insert(struct span_tree *tree, struct span *span)
{
	vmem_span_insert_before(tree, span, vmem_span_find_from(tree, span->start));
}

/* Takes s out of the tree, not out of the list, and answers the lowest node whose children have changed. */
static inline struct span *unlink_node(struct span_tree *tree, struct span *s)
{
	struct span *parent = s->parent;
	struct span *only = s->child[0];
	struct span *low = parent;
	if (s->child[1]) {
		struct span *heir = s->next; /* the lowest of the higher subtree */
		if (heir->parent == s) {
			low = heir;
		} else {
			low = heir->parent;
			set_link(&low->child[0], heir->child[1]);
			if (heir->child[1]) {
				heir->child[1]->parent = low;
			}
			set_link(&heir->child[1], s->child[1]);
			heir->child[1]->parent = heir;
		}
		set_link(&heir->child[0], only);
		if (only) {
			only->parent = heir;
		}
		heir->height = s->height;
		heir->max_gap = s->max_gap;
		only = heir;
	}
	if (only) {
		only->parent = parent;
	}
	set_child(tree, parent, s, only);
	return low;
}

/*
 * The gap that s leaves behind holds both gaps beside it. So nothing above the next span can shrink; what
 * lies between the lowest changed node and the next span loses one gap (s's own, or that of the heir that
 * has moved up), and does so first.
 */
void vmem_span_remove(struct span_tree *tree, struct span *span)
{
	struct span *prev = span->prev, *next = span->next;
	uint32_t lost = span->child[1] ? next->gap : span->gap;
	struct span *low = unlink_node(tree, span);

	tree->near = next;
	*(prev ? &prev->next : &tree->first) = next;
	*(next ? &next->prev : &tree->last) = prev;
	tree->count--;
	lower_gaps(low, next, lost);
	uint64_t room = vmem_span_gap_high(tree, next) - vmem_span_gap_low(tree, next);
	if (next) {
		next->gap = saturate(tree, room);
		raise_gaps(next, next->gap);
	} else {
		tree->tail_gap = room;
	}
	balance_shrunk(tree, low);
}

void vmem_span_resize(struct span_tree *tree, struct span *span, vmem_vaddr_t start, uint64_t length,
    uint8_t pad_before, uint8_t pad_after)
{
	uint64_t behind;
	shared_store(&span->start, start);
	shared_store(&span->length, length);
	span->pad_before = pad_before;
	span->pad_after = pad_after;
	set_gap(span, saturate(tree, fit_strips(tree, span, span->prev, span->next, &behind)));
	if (span->next) {
		set_gap(span->next, saturate(tree, behind));
	} else {
		tree->tail_gap = behind;
	}
}

#if !VMEM_ALONE
void vmem_span_replace(struct span_tree *tree, struct span *old, struct span *fresh)
{
	shared_store(&fresh->start, old->start);
	shared_store(&fresh->length, old->length);
	fresh->pad_before = old->pad_before;
	fresh->pad_after = old->pad_after;
	set_link(&fresh->child[0], old->child[0]);
	set_link(&fresh->child[1], old->child[1]);
	fresh->parent = old->parent;
	fresh->prev = old->prev;
	fresh->next = old->next;
	fresh->gap = old->gap;
	fresh->max_gap = old->max_gap;
	fresh->height = old->height;
	*(old->prev ? &old->prev->next : &tree->first) = fresh;
	*(old->next ? &old->next->prev : &tree->last) = fresh;
	set_child(tree, old->parent, old, fresh);
	if (tree->near == old) {
		tree->near = fresh;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (fresh->child[i]) {
			fresh->child[i]->parent = fresh;
		}
	}
}

/* The span after s as the tree, not the list, has it. */
static const struct span *tree_next(const struct span *s)
{
	if (s->child[1]) {
		s = s->child[1];
		while (s->child[0]) {
			s = s->child[0];
		}
		return s;
	}
	while (s->parent && s->parent->child[1] == s) {
		s = s->parent;
	}
	return s->parent;
}

static void check_node(const struct span_tree *tree, const struct span *s)
{
	uint64_t high = vmem_span_gap_high(tree, s), low = vmem_span_gap_low(tree, s);
	VMEM_CHECK(
	    vmem_range_ok(s->start, s->length) && vmem_page_aligned(s->start | s->length), "S1: whole pages");
	VMEM_CHECK(high <= s->start && high >= low && low >= tree->base,
	    "S1, S5: spans and strips are apart and inside the tree");
	VMEM_CHECK(s->gap == saturate(tree, high - low), "S3: a span's gap");
	unsigned height[2] = {height_of(s->child[0]), height_of(s->child[1])};
	VMEM_CHECK(height[0] <= height[1] + 1 && height[1] <= height[0] + 1, "S2: balance");
	VMEM_CHECK(s->height == (height[0] > height[1] ? height[0] : height[1]) + 1, "S2: height");
	VMEM_CHECK(s->max_gap == subtree_gap(s), "S3: the largest gap of a subtree");
	for (unsigned i = 0; i < 2; i++) {
		VMEM_CHECK(!s->child[i] || s->child[i]->parent == s, "S2: a child knows its parent");
	}
}

void vmem_span_check(const struct span_tree *tree)
{
	const struct span *s = tree->root;
	const struct span *prev = NULL;
	uint64_t count = 0;
	bool noted = !tree->near;
	VMEM_CHECK(!s || !s->parent, "S2: the root has no parent");
	while (s && s->child[0]) {
		s = s->child[0];
	}
	VMEM_CHECK(s == tree->first, "S4: first");
	for (; s; prev = s, s = s->next, count++) {
		VMEM_CHECK(s->prev == prev, "S4: prev");
		VMEM_CHECK(s->next == tree_next(s), "S2, S4: list and tree agree on the order");
		VMEM_CHECK(!prev || prev->start < s->start, "S2: order by start");
		check_node(tree, s);
		noted = noted || s == tree->near;
	}
	VMEM_CHECK(prev == tree->last, "S4: last");
	VMEM_CHECK(count == tree->count, "S2: count");
	VMEM_CHECK(noted, "the noted span is in the tree");
	uint64_t low = vmem_span_gap_low(tree, NULL), high = vmem_span_gap_high(tree, NULL);
	VMEM_CHECK(low <= high && low >= tree->base && tree->tail_gap == high - low,
	    "S4, S5: the room behind the last span");
}
#endif
