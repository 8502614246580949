/* SPDX-License-Identifier: MIT */
/*
 * audit.c - walks over whole trees: every live entry against the rules of check.c, and the search for dirty
 * bits.
 */
#include "internal.h"

typedef void leaf_fn(const struct walk *w, uint64_t va, void *argument);

struct tour {
	unsigned cpu;
	uint64_t root;
	bool checks;
	uint64_t tables;
	leaf_fn *leaf;
	void *argument;
};

static void tour_table(
    struct tour *tour, uint64_t table, unsigned level, uint64_t base, const struct walk *above)
{
	unsigned shift = level_shift(level);
	bool is_top = level == machine_now->config.levels - 1;
	unsigned entries = is_top ? 1u << (machine_now->va_bits - shift) : 512;
	const uint64_t *raw = machine_entry(table);
	if (raw == NULL) {
		return;
	}
	for (unsigned i = 0; i < entries; i++) {
		uint64_t va = base + ((uint64_t)i << shift);
		if (raw[i] == 0) {
			continue;
		}
		struct walk w = *above;
		if (is_top && !machine_now->mmu->split_roots && i >= entries / 2) {
			va |= ~low_mask(machine_now->va_bits);
		}
		machine_fetch(table, va, level, &w);
		if (w.kind == MMU_LEAF) {
			machine_finish_leaf(&w);
		}
		if (tour->checks) {
			check_fetched(tour->cpu, tour->root, va, &w);
		}
		if (w.kind == MMU_LEAF) {
			tour->leaf(&w, va, tour->argument);
		} else if (w.kind == MMU_TABLE) {
			tour->tables++;
			w.deny |= w.entry.deny;
			w.global |= w.entry.global;
			tour_table(tour, w.entry.pa, level - 1, va, &w);
		}
	}
}

static void tour_roots(struct tour *tour)
{
	const struct walk none = {.kind = MMU_TABLE};
	unsigned top = machine_now->config.levels - 1;
	uint64_t root = machine_now->cpus[tour->cpu].root;
	if (root != MACHINE_NO_ROOT) {
		tour->root = root;
		machine_frame(root)->is_table = true;
		tour_table(tour, root, top, 0, &none);
	}
	if (machine_now->mmu->split_roots && machine_now->kernel_root != MACHINE_NO_ROOT) {
		tour->root = machine_now->kernel_root;
		machine_frame(tour->root)->is_table = true;
		tour_table(tour, tour->root, top, ~low_mask(machine_now->va_bits), &none);
	}
}

static void count_leaf(const struct walk *w, uint64_t va, void *argument)
{
	struct machine_audit *audit = argument;
	(void)va;
	audit->leaves[w->level]++;
	audit->user += (w->perm & PERM_USER) != 0;
	audit->writable += (w->perm & PERM_WRITE) != 0;
	audit->executable += (w->perm & PERM_EXEC) != 0;
	audit->dirty += w->entry.dirty;
}

static void no_leaf(const struct walk *w, uint64_t va, void *argument)
{
	(void)w;
	(void)va;
	(void)argument;
}

struct machine_audit machine_audit(unsigned cpu)
{
	MACHINE_LOCKED;
	struct machine_audit audit = {0};
	struct tour tour = {.cpu = cpu, .leaf = no_leaf, .argument = &audit};
	tour_roots(&tour); /* finds the tables, so that a leaf that maps one is known for what it is */
	tour.checks = true;
	tour.tables = 0;
	tour.leaf = count_leaf;
	tour_roots(&tour);
	audit.tables = tour.tables;
	return audit;
}

struct search {
	uint64_t pa;
	bool found;
};

static void find_dirty(const struct walk *w, uint64_t va, void *argument)
{
	struct search *search = argument;
	(void)va;
	if (w->entry.dirty && search->pa - w->entry.pa < UINT64_C(1) << level_shift(w->level)) {
		search->found |= machine_now->linear == 0 || va - w->entry.pa != machine_now->linear;
	}
}

void machine_dirty_check(uint64_t pa, bool known)
{
	MACHINE_LOCKED;
	struct search search = {pa, known};
	for (unsigned i = 0; i < machine_now->config.cpus && !search.found; i++) {
		struct tour tour = {.cpu = i, .leaf = find_dirty, .argument = &search};
		tour_roots(&tour);
	}
	if (machine_dirty_expected(pa) && !search.found) {
		machine_violation(MACHINE_DIRTY_LOST, "frame %#llx was stored to, and nobody knows",
		    (unsigned long long)pa);
	}
}
