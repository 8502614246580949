/* SPDX-License-Identifier: MIT */
/*
 * span_test.h - what the tests of the span tree share: a panic that can be caught, and a tree judged by
 * brute force.
 */
#ifndef SPAN_TEST_H
#define SPAN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "span.h"

#include <cmocka.h>

#define PAGE VMEM_PAGE_SIZE

static jmp_buf panic_landing;
static bool panic_expected;
static const char *panic_rule; /* what the last one said */

_Noreturn void vmem_host_panic(const char *rule)
{
	if (!panic_expected) {
		fprintf(stderr, "panic: %s\n", rule);
		abort();
	}
	panic_expected = false;
	panic_rule = rule;
	longjmp(panic_landing, 1);
}

/* Fails unless the statement panics. */
#define assert_panics(statement)                                                                             \
	do {                                                                                                 \
		panic_expected = true;                                                                       \
		if (setjmp(panic_landing) == 0) {                                                            \
			statement;                                                                           \
			panic_expected = false;                                                              \
			fail_msg("no panic: %s", #statement);                                                \
		}                                                                                            \
	} while (0)

/* The end of a span and of its strips, in bytes. */
static inline uint64_t span_end(const struct span *s)
{
	return s->start + s->length;
}

static inline uint64_t strip_low(const struct span *s)
{
	return s->start - s->pad_before * PAGE;
}

static inline uint64_t strip_high(const struct span *s)
{
	return span_end(s) + s->pad_after * PAGE;
}

/* What a subtree must look like, found by going through all of it. */
struct subtree {
	unsigned height;
	uint64_t count;
	uint32_t max_gap;
	const struct span *first, *last;
};

static inline struct subtree subtree_judge(const struct span_tree *tree, const struct span *s)
{
	struct subtree none = {0, 0, 0, NULL, NULL};
	if (!s) {
		return none;
	}
	struct subtree low = subtree_judge(tree, s->child[0]), high = subtree_judge(tree, s->child[1]);
	uint64_t cap = tree->length / PAGE / 64 ? tree->length / PAGE / 64 : 1;
	cap = cap > UINT32_MAX ? UINT32_MAX : cap;
	uint64_t gap = (strip_low(s) - (s->prev ? strip_high(s->prev) : tree->base)) / PAGE;
	gap = gap > cap ? cap : gap;
	struct subtree all = {1, 1, (uint32_t)gap, s, s};
	assert_int_equal(s->gap, gap);
	for (unsigned i = 0; i < 2; i++) {
		struct subtree side = i ? high : low;
		if (!s->child[i]) {
			continue;
		}
		assert_ptr_equal(s->child[i]->parent, s);
		all.height = side.height + 1 > all.height ? side.height + 1 : all.height;
		all.count += side.count;
		all.max_gap = side.max_gap > all.max_gap ? side.max_gap : all.max_gap;
	}
	assert_true(low.height <= high.height + 1 && high.height <= low.height + 1);
	assert_int_equal(s->height, all.height);
	assert_int_equal(s->max_gap, all.max_gap);
	if (low.last) {
		assert_ptr_equal(low.last, s->prev);
		all.first = low.first;
	}
	if (high.first) {
		assert_ptr_equal(high.first, s->next);
		all.last = high.last;
	}
	return all;
}

static inline void tree_judge(const struct span_tree *tree)
{
	struct subtree all = subtree_judge(tree, tree->root);
	assert_true(!tree->root || !tree->root->parent);
	assert_int_equal(all.count, tree->count);
	assert_ptr_equal(all.first, tree->first);
	assert_ptr_equal(all.last, tree->last);
	uint64_t low = tree->last ? strip_high(tree->last) : tree->base;
	assert_int_equal(tree->tail_gap, tree->base + tree->length - low);
	vmem_span_check(tree);
}

/* A generator of the tests' own. */
static inline uint64_t draw(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 11) % below;
}

#endif
