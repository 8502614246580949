/* SPDX-License-Identifier: MIT */
/*
 * test_span.c - the span tree against a sorted array: random insertions, removals, resizings and
 * replacements, with the whole tree judged after every step, at both ends of the address space.
 */
#include "span_test.h"

#define SLOTS 60u
#define STEPS 6000u

/* What the array says of a span, in pages from the tree's base. */
struct entry {
	uint64_t start, length;
	unsigned before, after;
	struct span *span;
};

struct model {
	struct span_tree tree;
	uint64_t pages;
	struct entry at[SLOTS]; /* sorted */
	unsigned count;
	struct span spare[SLOTS + 1];
	bool used[SLOTS + 1];
	uint64_t random;
};

static struct span *span_take(struct model *m)
{
	for (unsigned i = 0; i <= SLOTS; i++) {
		if (!m->used[i]) {
			m->used[i] = true;
			memset(&m->spare[i], 0xa5, sizeof(m->spare[i]));
			m->spare[i].generation = i;
			return &m->spare[i];
		}
	}
	fail();
	return NULL;
}

static void span_give(struct model *m, struct span *span)
{
	m->used[span - m->spare] = false;
	memset(span, 0x5a, sizeof(*span));
}

/* The rule of strips, page by page: a page belongs to the span first, then to the older strip. */
static void model_fit(struct model *m, unsigned i)
{
	struct entry *e = &m->at[i], *prev = i ? e - 1 : NULL, *next = i + 1 < m->count ? e + 1 : NULL;
	while (prev && prev->start + prev->length + prev->after > e->start) {
		prev->after--;
	}
	while (next && next->start - next->before < e->start + e->length) {
		next->before--;
	}
	uint64_t low = prev ? prev->start + prev->length + prev->after : 0;
	uint64_t high = next ? next->start - next->before : m->tree.length / PAGE;
	while (e->start - low < e->before) {
		e->before--;
	}
	while (high - (e->start + e->length) < e->after) {
		e->after--;
	}
}

static void model_insert(struct model *m)
{
	struct entry e = {.start = draw(&m->random, m->pages), .length = 1 + draw(&m->random, 5)};
	unsigned i = 0;
	while (i < m->count && m->at[i].start + m->at[i].length <= e.start) {
		i++;
	}
	if (m->count == SLOTS || e.start + e.length > (i < m->count ? m->at[i].start : m->pages)) {
		return;
	}
	e.before = draw(&m->random, 3) ? 0 : (unsigned)draw(&m->random, 4);
	e.after = draw(&m->random, 3) ? 0 : (unsigned)draw(&m->random, 4);
	e.span = span_take(m);
	e.span->start = m->tree.base + e.start * PAGE;
	e.span->length = e.length * PAGE;
	e.span->kind = SPAN_REGION;
	e.span->pad_before = (uint8_t)e.before;
	e.span->pad_after = (uint8_t)e.after;
	memmove(&m->at[i + 1], &m->at[i], (m->count - i) * sizeof(e));
	m->at[i] = e;
	m->count++;
	model_fit(m, i);
	if (draw(&m->random, 2)) {
		vmem_span_insert(&m->tree, e.span);
	} else {
		vmem_span_insert_before(&m->tree, e.span, i + 1 < m->count ? m->at[i + 1].span : NULL);
	}
}

static void model_remove(struct model *m)
{
	if (m->count == 0) {
		return;
	}
	unsigned i = (unsigned)draw(&m->random, m->count);
	vmem_span_remove(&m->tree, m->at[i].span);
	span_give(m, m->at[i].span);
	m->count--;
	memmove(&m->at[i], &m->at[i + 1], (m->count - i) * sizeof(m->at[0]));
}

static void model_resize(struct model *m)
{
	if (m->count == 0) {
		return;
	}
	unsigned i = (unsigned)draw(&m->random, m->count);
	struct entry *e = &m->at[i];
	uint64_t low = i ? e[-1].start + e[-1].length : 0;
	uint64_t high = i + 1 < m->count ? e[1].start : m->pages;
	uint64_t start = low + draw(&m->random, high - low);
	e->start = start;
	e->length = 1 + draw(&m->random, high - start);
	e->before = (unsigned)draw(&m->random, 3);
	e->after = (unsigned)draw(&m->random, 3);
	vmem_span_resize(&m->tree, e->span, m->tree.base + e->start * PAGE, e->length * PAGE,
	    (uint8_t)e->before, (uint8_t)e->after);
	model_fit(m, i);
}

static void model_replace(struct model *m)
{
	if (m->count == 0) {
		return;
	}
	unsigned i = (unsigned)draw(&m->random, m->count);
	struct span *fresh = span_take(m);
	uint32_t generation = fresh->generation;
	fresh->kind = SPAN_VMAR;
	vmem_span_replace(&m->tree, m->at[i].span, fresh);
	assert_int_equal(fresh->generation, generation);
	assert_int_equal(fresh->kind, SPAN_VMAR);
	span_give(m, m->at[i].span);
	m->at[i].span = fresh;
}

/* The tree holds what the array holds, and finds it from every page. */
static void model_compare(struct model *m)
{
	struct span *s = m->tree.first;
	for (unsigned i = 0; i < m->count; i++, s = s->next) {
		const struct entry *e = &m->at[i];
		assert_ptr_equal(s, e->span);
		assert_int_equal(s->start, m->tree.base + e->start * PAGE);
		assert_int_equal(s->length, e->length * PAGE);
		assert_int_equal(s->pad_before, e->before);
		assert_int_equal(s->pad_after, e->after);
	}
	assert_null(s);
	unsigned i = 0;
	for (uint64_t page = 0; page < m->pages; page++) {
		uint64_t address = m->tree.base + page * PAGE + draw(&m->random, PAGE);
		while (i < m->count && m->at[i].start + m->at[i].length <= page) {
			i++;
		}
		struct span *from = i < m->count ? m->at[i].span : NULL;
		assert_ptr_equal(vmem_span_find_from(&m->tree, address), from);
		assert_ptr_equal(
		    vmem_span_find(&m->tree, address), from && m->at[i].start <= page ? from : NULL);
	}
	for (unsigned n = 0; n < 16; n++) { /* far from the last question too */
		uint64_t page = draw(&m->random, m->pages);
		struct span *from = m->tree.first;
		while (from && span_end(from) <= m->tree.base + page * PAGE) {
			from = from->next;
		}
		assert_ptr_equal(vmem_span_find_from(&m->tree, m->tree.base + page * PAGE), from);
	}
	assert_null(vmem_span_find(&m->tree, m->tree.base + m->tree.length));
	assert_null(vmem_span_find(&m->tree, m->tree.base - 1));
	tree_judge(&m->tree);
}

static void model_run(uint64_t base, uint64_t pages, uint64_t tree_pages, uint64_t seed)
{
	static struct model m;
	memset(&m, 0, sizeof(m));
	m.pages = pages;
	m.random = seed;
	vmem_span_tree_init(&m.tree, base, tree_pages * PAGE);
	assert_int_equal(m.tree.tail_gap, tree_pages * PAGE);
	unsigned most = 0;
	for (unsigned step = 0; step < STEPS; step++) {
		bool filling = step / 500 % 2 == 0;
		switch (draw(&m.random, 8)) {
		case 0:
			model_resize(&m);
			break;
		case 1:
			model_replace(&m);
			break;
		case 2:
		case 3:
		case 4:
			model_insert(&m);
			break;
		default:
			(filling ? model_insert : model_remove)(&m);
			break;
		}
		model_compare(&m);
		most = m.count > most ? m.count : most;
	}
	while (m.count) {
		model_remove(&m);
		model_compare(&m);
	}
	assert_true(most >= 20);
	assert_int_equal(m.tree.tail_gap, tree_pages * PAGE);
}

static void test_model(void **state)
{
	(void)state;
	uint64_t pages = 128;
	model_run(0, pages, pages, 1);
	model_run(UINT64_C(0x7f0000010000), pages, pages, 2);
	model_run(0 - PAGE - pages * PAGE, pages, pages, 3); /* ends at 2^64 less a page */
	model_run(UINT64_C(0xffff800000000000), 40, 40, 4);
}

/*
 * The same where no gap but the tail's reaches the cap: the model draws in the first pages of a huge tree,
 * so max_gap is exact. The array's end is then not the tree's, which strips never reach.
 */
static void test_model_exact_gaps(void **state)
{
	(void)state;
	model_run(0, 128, UINT64_C(1) << 16, 5);
	model_run(UINT64_C(0xffff800000000000), 128, (UINT64_C(1) << 35) - 1, 6);
}

static void test_cap(void **state)
{
	(void)state;
	struct span_tree tree;
	vmem_span_tree_init(&tree, 0, PAGE);
	assert_int_equal(tree.gap_cap, 1);
	vmem_span_tree_init(&tree, 0, 128 * PAGE);
	assert_int_equal(tree.gap_cap, 2);
	vmem_span_tree_init(&tree, 0, UINT64_C(1) << 47);
	assert_int_equal(tree.gap_cap, UINT64_C(1) << 29);
	vmem_span_tree_init(&tree, 0, 0 - PAGE);
	assert_int_equal(tree.gap_cap, UINT32_MAX);
	assert_panics(vmem_span_tree_init(&tree, PAGE, 0 - PAGE));
	assert_panics(vmem_span_tree_init(&tree, 1, PAGE));
	assert_panics(vmem_span_tree_init(&tree, 0, PAGE + 1));
}

/* Fixed placement beside strips: the span cuts them, its own give way. */
static void test_strips(void **state)
{
	(void)state;
	struct span_tree tree;
	struct span a = {.start = 10 * PAGE, .length = PAGE, .pad_before = 12, .pad_after = 4};
	struct span b = {.start = 13 * PAGE, .length = PAGE, .pad_before = 2, .pad_after = 2};
	struct span c = {.start = 16 * PAGE, .length = PAGE, .pad_before = 3};
	vmem_span_tree_init(&tree, 0, 64 * PAGE);
	vmem_span_insert(&tree, &a);
	assert_int_equal(a.pad_before, 10); /* to the base */
	vmem_span_insert(&tree, &b);
	assert_int_equal(a.pad_after, 2); /* b takes its page */
	assert_int_equal(b.pad_before, 0);
	assert_int_equal(b.pad_after, 2);
	vmem_span_insert(&tree, &c);
	assert_int_equal(b.pad_after, 2); /* the older strip stays */
	assert_int_equal(c.pad_before, 0);
	tree_judge(&tree);
	vmem_span_remove(&tree, &b);
	assert_int_equal(a.pad_after, 2); /* what was cut does not come back */
	tree_judge(&tree);
	vmem_span_resize(&tree, &a, 10 * PAGE, 6 * PAGE, 0, 9);
	assert_int_equal(a.pad_after, 0);
	assert_int_equal(a.pad_before, 0);
	tree_judge(&tree);
}

/* Many spans: the height stays within the bound of AVL trees whatever the order. */
static void test_many(void **state)
{
	(void)state;
	enum { MANY = 20000 };
	struct span *spans = calloc(MANY, sizeof(*spans));
	unsigned *order = calloc(MANY, sizeof(*order));
	uint64_t random = 7;
	assert_non_null(spans);
	assert_non_null(order);
	for (unsigned kind = 0; kind < 3; kind++) {
		struct span_tree tree;
		vmem_span_tree_init(&tree, PAGE, UINT64_C(1) << 40);
		for (unsigned i = 0; i < MANY; i++) {
			order[i] = kind == 1 ? MANY - 1 - i : i;
		}
		for (unsigned i = MANY - 1; kind == 2 && i > 0; i--) {
			unsigned j = (unsigned)draw(&random, i + 1), swap = order[i];
			order[i] = order[j];
			order[j] = swap;
		}
		for (unsigned i = 0; i < MANY; i++) {
			spans[order[i]] = (struct span){
			    .start = PAGE + order[i] * 3 * PAGE, .length = PAGE + (order[i] & 1) * PAGE};
			vmem_span_insert(&tree, &spans[order[i]]);
		}
		tree_judge(&tree);
		assert_true(tree.root->height <= 20); /* 1.44 log2 20000 */
		for (unsigned i = 0; i < MANY; i++) {
			assert_ptr_equal(vmem_span_find(&tree, spans[i].start), &spans[i]);
			vmem_span_remove(&tree, &spans[order[i]]);
			if (i % 1000 == 0) {
				tree_judge(&tree);
			}
			vmem_span_insert(&tree, &spans[order[i]]);
		}
		for (unsigned i = 0; i < MANY; i++) {
			vmem_span_remove(&tree, &spans[order[i]]);
			if (i % 1000 == 0 || MANY - i < 50) {
				tree_judge(&tree);
			}
		}
		assert_null(tree.root);
	}
	free(order);
	free(spans);
}

#define damage(place, change)                                                                                \
	do {                                                                                                 \
		__typeof__(place) before = (place);                                                          \
		(place) = (change);                                                                          \
		assert_panics(vmem_span_check(&tree));                                                       \
		(place) = before;                                                                            \
		vmem_span_check(&tree);                                                                      \
	} while (0)
#define damage_says(place, change, words)                                                                    \
	do {                                                                                                 \
		damage(place, change);                                                                       \
		assert_non_null(strstr(panic_rule, words));                                                  \
	} while (0)

/* The validator sees each kind of damage. */
static void test_check_sees(void **state)
{
	(void)state;
	struct span_tree tree;
	struct span spans[7];
	vmem_span_tree_init(&tree, 0, UINT64_C(1) << 30);
	for (unsigned i = 0; i < 7; i++) {
		spans[i] = (struct span){.start = (i * 4 + 2) * PAGE, .length = PAGE + (i & 1) * PAGE};
		vmem_span_insert(&tree, &spans[i]);
	}
	tree_judge(&tree);
	struct span *s = &spans[3], saved;
	assert_ptr_equal(tree.root, s);
	damage(s->start, s->start + PAGE);
	damage(s->start, s->start + 1);
	damage(s->length, 0);
	damage(s->length, 5 * PAGE);
	damage(s->length, s->length + PAGE);
	damage(s->gap, s->gap + 1);
	damage(s->max_gap, s->max_gap + 1);
	damage(s->max_gap, s->max_gap - 1);
	damage(s->height, 4);
	damage(spans[0].height, 2);
	damage(s->parent, &spans[0]);
	damage(spans[1].parent, NULL);
	damage(s->prev, &spans[1]);
	damage(s->next, &spans[5]);
	damage(spans[6].next, &spans[0]);
	damage(s->child[0], &spans[0]);
	damage(s->child[1], NULL);
	damage(s->pad_before, 1);
	damage(s->pad_before, 9);
	damage(spans[6].pad_after, 1);
	damage(tree.first, &spans[1]);
	damage(tree.last, &spans[5]);
	damage(tree.count, 6);
	damage(tree.tail_gap, tree.tail_gap - PAGE);
	damage(tree.base, PAGE * 3);
	damage(tree.root, &spans[1]);
	damage_says(s->start, spans[2].start, "order by start");
	damage_says(spans[0].pad_before, 9, "S1, S5");
	damage_says(spans[2].height, 5, "balance");
	saved = *s;
	damage_says(tree.near, &saved, "the noted span");
	damage_says(tree.length, PAGE, "the room behind");
	saved = spans
	    [0]; /* two that have changed places: the tree's shape and gaps are right, the order is not */
	spans[0].start = spans[1].start;
	spans[1].start = saved.start;
	assert_panics(vmem_span_check(&tree));
}

/* A tree whose lower side is too high; strips that run over the end of the address space. */
static void test_check_sees_shapes(void **state)
{
	(void)state;
	struct span_tree tree;
	struct span spans[3];
	const uint64_t base = 0 - 101 * PAGE;
	vmem_span_tree_init(&tree, base, 100 * PAGE);
	for (unsigned i = 0; i < 3; i++) {
		spans[i] = (struct span){.start = base + (i * 2 + 1) * PAGE, .length = PAGE};
		vmem_span_insert(&tree, &spans[i]);
	}
	tree_judge(&tree);
	damage_says(spans[0].pad_after, 255, "S1, S5");
	damage_says(spans[2].pad_after, 255, "the room behind");
	assert_ptr_equal(tree.root, &spans[1]);
	tree.root = &spans[2];
	spans[2].parent = NULL;
	spans[2].child[0] = &spans[1];
	spans[1].parent = &spans[2];
	spans[1].child[1] = NULL;
	spans[2].height = 3;
	assert_panics(vmem_span_check(&tree));
	assert_non_null(strstr(panic_rule, "balance"));
}
#undef damage

/* What a caller owes: whole pages, not empty, not over the end, and between its neighbours. */
static void test_breaches(void **state)
{
	(void)state;
	struct span_tree tree;
	struct span low = {.start = 4 * PAGE, .length = 2 * PAGE}, high = {.start = 8 * PAGE, .length = PAGE};
	struct span bad;
	static const struct {
		uint64_t start, length;
		const char *words;
	} breach[] = {
	    {6 * PAGE, 0, "length != 0"},
	    {6 * PAGE + 1, PAGE, "page_aligned"},
	    {6 * PAGE, PAGE - 1, "page_aligned"},
	    {6 * PAGE, 0 - 6 * PAGE, "end > s->start"},
	    {5 * PAGE, PAGE, "floor <= s->start"},
	    {7 * PAGE, 2 * PAGE, "end <= ceiling"},
	};
	vmem_span_tree_init(&tree, 0, 100 * PAGE);
	vmem_span_insert(&tree, &low);
	vmem_span_insert(&tree, &high);
	for (unsigned i = 0; i < sizeof(breach) / sizeof(breach[0]); i++) {
		bad = (struct span){.start = breach[i].start, .length = breach[i].length};
		assert_panics(vmem_span_insert_before(&tree, &bad, &high));
		assert_non_null(strstr(panic_rule, breach[i].words));
		tree_judge(&tree);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_model),
	    cmocka_unit_test(test_model_exact_gaps),
	    cmocka_unit_test(test_cap),
	    cmocka_unit_test(test_strips),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_check_sees),
	    cmocka_unit_test(test_check_sees_shapes),
	    cmocka_unit_test(test_breaches),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
