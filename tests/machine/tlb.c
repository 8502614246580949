/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - a TLB per CPU that forgets only what it is told to.
 *
 * Leaves, upper-level entries and (RISC-V) invalid entries are kept in one structure, found by address, by
 * the memory they lead to, by address-space id, and by the place they were read from.
 *
 * T1  What is cached stays until a flush that the manual says must drop it; nothing else goes with it.
 * T2  Two entries of one CPU for the same address, size and id do not coexist: the older one stays (it may
 *     be stale).
 * T3  A contiguous run is cached as one entry. A flush of one of its pages leaves the others: another CPU of
 *     the same architecture might have cached it in pieces.
 */
#include "internal.h"

#include <stdlib.h>

static struct tlb_entry *spare;

static unsigned hash(uint64_t key, unsigned salt)
{
	uint64_t x = (key ^ ((uint64_t)salt << 56)) * UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(x >> 40) & (TLB_BUCKETS - 1);
}

static struct tlb_entry **va_bucket(unsigned cpu, uint64_t va, unsigned shift)
{
	return &machine_now->cpus[cpu].va[hash(va >> shift, shift)];
}

static struct tlb_entry **pa_bucket(uint64_t pa, unsigned shift)
{
	return &machine_now->pa[hash(pa >> shift, shift)];
}

static struct tlb_entry **at_bucket(uint64_t at)
{
	return &machine_now->at[hash(at >> 3, 0)];
}

#define LINK(list, entry, head)                                                                              \
	do {                                                                                                 \
		struct tlb_entry **link_ = (head);                                                           \
		(entry)->list##_next = *link_;                                                               \
		(entry)->list##_link = link_;                                                                \
		if (*link_ != NULL) {                                                                        \
			(*link_)->list##_link = &(entry)->list##_next;                                       \
		}                                                                                            \
		*link_ = (entry);                                                                            \
	} while (0)
#define UNLINK(list, entry)                                                                                  \
	do {                                                                                                 \
		*(entry)->list##_link = (entry)->list##_next;                                                \
		if ((entry)->list##_next != NULL) {                                                          \
			(entry)->list##_next->list##_link = (entry)->list##_link;                            \
		}                                                                                            \
	} while (0)

static bool is_odd(const struct tlb_entry *entry)
{
	return entry->kind == MMU_LEAF && entry->type != MACHINE_WB;
}

static struct tlb_entry *take(void)
{
	struct tlb_entry *entry = spare;
	if (entry == NULL) {
		entry = malloc(sizeof(*entry));
		if (entry == NULL) {
			abort();
		}
		return entry;
	}
	spare = entry->va_next;
	return entry;
}

struct tlb_entry *tlb_insert(unsigned cpu, const struct tlb_entry *from)
{
	struct machine_cpu *c = &machine_now->cpus[cpu];
	for (struct tlb_entry *e = *va_bucket(cpu, from->va, from->shift); e != NULL; e = e->va_next) {
		if (e->va == from->va && e->shift == from->shift && e->global == from->global &&
		    (e->global || e->asid == from->asid)) {
			return NULL;
		}
	}
	struct tlb_entry *entry = take();
	*entry = *from;
	entry->cpu = (uint8_t)cpu;
	LINK(va, entry, va_bucket(cpu, entry->va, entry->shift));
	LINK(id, entry, &c->id[entry->global ? TLB_GLOBAL : entry->asid % TLB_IDS]);
	LINK(at, entry, at_bucket(entry->at));
	entry->pa_link = NULL;
	if (entry->kind != MMU_INVALID) {
		LINK(pa, entry, pa_bucket(entry->pa, entry->pa_shift));
		machine_now->by_pa_shift[entry->pa_shift]++;
	}
	machine_now->odd_types += is_odd(entry);
	c->by_shift[entry->shift]++;
	c->shifts |= UINT64_C(1) << entry->shift;
	c->count++;
	return entry;
}

void tlb_remove(struct tlb_entry *entry)
{
	struct machine_cpu *c = &machine_now->cpus[entry->cpu];
	UNLINK(va, entry);
	UNLINK(id, entry);
	UNLINK(at, entry);
	if (entry->pa_link != NULL) {
		UNLINK(pa, entry);
		machine_now->by_pa_shift[entry->pa_shift]--;
	}
	machine_now->odd_types -= is_odd(entry);
	if (--c->by_shift[entry->shift] == 0) {
		c->shifts &= ~(UINT64_C(1) << entry->shift);
	}
	c->count--;
	entry->va_next = spare;
	spare = entry;
}

void tlb_empty(unsigned cpu)
{
	for (unsigned i = 0; i <= TLB_GLOBAL; i++) {
		while (machine_now->cpus[cpu].id[i] != NULL) {
			tlb_remove(machine_now->cpus[cpu].id[i]);
		}
	}
}

void tlb_end(void)
{
	while (spare != NULL) {
		struct tlb_entry *entry = spare;
		spare = entry->va_next;
		free(entry);
	}
}

unsigned machine_cached(unsigned cpu)
{
	return machine_now->cpus[cpu].count;
}

bool tlb_usable(unsigned cpu, const struct tlb_entry *entry)
{
	const struct machine_cpu *c = &machine_now->cpus[cpu];
	if (!machine_cpu_is_on(cpu)) {
		return false;
	}
	if (c->idle && entry->kind != MMU_TABLE && !entry->global) {
		return false;
	}
	/* With its own half switched off, an id translates nothing there. */
	if (machine_now->mmu->split_roots && (entry->va >> 63) == 0 && c->root == MACHINE_NO_ROOT) {
		return false;
	}
	return entry->global || entry->asid == c->asid;
}

struct tlb_entry *tlb_find(unsigned cpu, uint64_t va, unsigned shift, struct tlb_entry *after)
{
	uint64_t base = va & ~low_mask(shift);
	if (machine_now->cpus[cpu].by_shift[shift] == 0) {
		return NULL;
	}
	for (struct tlb_entry *e = after != NULL ? after->va_next : *va_bucket(cpu, va, shift); e != NULL;
	     e = e->va_next) {
		if (e->va == base && e->shift == shift && tlb_usable(cpu, e)) {
			return e;
		}
	}
	return NULL;
}

/* Flushing. */

struct tlb_flush tlb_flush_begin(uint64_t *counter)
{
	return (struct tlb_flush){counter, false};
}

static void drop(struct tlb_flush *flush, struct tlb_entry *entry)
{
	struct walk fresh;
	if (!flush->needed && tlb_usable(entry->cpu, entry)) {
		fresh = machine_walk(entry->cpu, entry->va, entry->kind == MMU_TABLE ? entry->level : 0);
		flush->needed = check_cached(entry->cpu, entry, entry->va, &fresh) != JUDGED_SAME;
	} else if (!flush->needed) {
		uint64_t *now =
		    machine_entry(entry->at); /* of a space that does not run: is its place unchanged? */
		flush->needed = now == NULL || *now != entry->raw;
	}
	check_break(entry);
	check_broken(entry);
	machine_counters.dropped++;
	tlb_remove(entry);
}

/* (T3) */
static void keep_members(const struct tlb_entry *run, uint64_t flushed)
{
	unsigned shift = level_shift(run->level);
	int place = (int)(run->at >> 3 & (tlb_members(run) - 1));
	for (int i = 0; i < (int)tlb_members(run); i++) {
		struct tlb_entry one = *run;
		one.va = run->va + ((uint64_t)i << shift);
		one.pa = run->pa + ((uint64_t)i << shift);
		one.at = run->at + (uint64_t)(int64_t)(i - place) * 8;
		one.raw = machine_now->mmu->member(run->raw, run->level, i - place);
		one.shift = one.pa_shift = (uint8_t)shift;
		if (one.va != (flushed & ~low_mask(shift))) {
			tlb_insert(run->cpu, &one);
		}
	}
}

void tlb_drop_address(
    struct tlb_flush *flush, unsigned cpu, uint64_t va, tlb_filter *filter, const void *argument)
{
	for (unsigned shift = 12; shift < 64; shift++) {
		if (machine_now->cpus[cpu].by_shift[shift] == 0) {
			continue;
		}
		uint64_t base = va & ~low_mask(shift);
		for (struct tlb_entry *e = *va_bucket(cpu, va, shift), *next; e != NULL; e = next) {
			next = e->va_next;
			if (e->va == base && e->shift == shift && filter(e, argument)) {
				struct tlb_entry gone = *e;
				drop(flush, e);
				if (tlb_members(&gone) > 1) {
					keep_members(&gone, va);
				}
			}
		}
	}
}

static void drop_list(
    struct tlb_flush *flush, struct tlb_entry *list, tlb_filter *filter, const void *argument)
{
	for (struct tlb_entry *e = list, *next; e != NULL; e = next) {
		next = e->id_next;
		if (filter(e, argument)) {
			drop(flush, e);
		}
	}
}

void tlb_drop_matching(struct tlb_flush *flush, unsigned cpu, tlb_filter *filter, const void *argument)
{
	for (unsigned i = 0; i <= TLB_GLOBAL; i++) {
		drop_list(flush, machine_now->cpus[cpu].id[i], filter, argument);
	}
}

void tlb_drop_id(
    struct tlb_flush *flush, unsigned cpu, uint32_t asid, tlb_filter *filter, const void *argument)
{
	drop_list(flush, machine_now->cpus[cpu].id[asid % TLB_IDS], filter, argument);
}

void tlb_flush_end(struct tlb_flush *flush)
{
	++*flush->counter;
	if (!flush->needed) {
		machine_counters.idle++;
	}
}

/* By target. */

static void see_bucket(uint64_t pa, unsigned shift, void (*see)(struct tlb_entry *, void *), void *argument)
{
	uint64_t base = pa & ~low_mask(shift);
	for (struct tlb_entry *e = *pa_bucket(pa, shift); e != NULL; e = e->pa_next) {
		if (e->pa == base && e->pa_shift == shift) {
			see(e, argument);
		}
	}
}

void tlb_reaching(uint64_t pa, uint64_t size, void (*see)(struct tlb_entry *, void *), void *argument)
{
	for (unsigned shift = 12; shift < 64; shift++) {
		unsigned left = machine_now->by_pa_shift[shift];
		uint64_t step = UINT64_C(1) << shift;
		if (left == 0) {
			continue;
		}
		if (size / step <= TLB_BUCKETS) {
			for (uint64_t p = pa & ~(step - 1); p < pa + size; p += step) {
				see_bucket(p, shift, see, argument);
			}
			continue;
		}
		for (unsigned i = 0; i < TLB_BUCKETS; i++) { /* fewer buckets than pages */
			for (struct tlb_entry *e = machine_now->pa[i]; e != NULL; e = e->pa_next) {
				if (e->pa_shift == shift && e->pa - pa < size) {
					see(e, argument);
				}
			}
		}
	}
}

void tlb_read_from(uint64_t at, void (*see)(const struct tlb_entry *))
{
	for (struct tlb_entry *e = *at_bucket(at); e != NULL; e = e->at_next) {
		if (e->at == at) {
			see(e);
		}
	}
}
