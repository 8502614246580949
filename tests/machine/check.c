/* SPDX-License-Identifier: MIT */
/*
 * check.c - the rules: what a live entry may say, and what a cached one may still say.
 *
 * C1  A cached translation may be stricter than memory at any time (the library meets it as a spurious
 *     fault); more permissive, or leading elsewhere, only while a batch is open (machine_relax).
 * C2  A rule about one entry is checked whenever a walk reads it, and for all entries by machine_audit().
 * C3  Break-before-make is checked wherever an entry and a cached copy of it meet: at a walk, and when the
 *     copy is dropped. The TLB forgets nothing, so the copies are the history.
 * C4  With several threads batches are open at any time. What is found stale at a moment was removed by an
 *     operation that has ended, or by one that is under way then. So it is legal as long as one of those
 *     that were under way when it was first found is under way still, and no longer.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned long long ull;

/* Cached against memory. */

static enum judgement check_leaf(const struct tlb_entry *e, uint64_t va, const struct walk *fresh)
{
	uint64_t here = e->pa + (va & low_mask(e->shift));
	if (fresh->kind != MMU_LEAF || here != fresh->entry.pa + (va & low_mask(level_shift(fresh->level)))) {
		return JUDGED_STALE;
	}
	if ((e->perm & ~fresh->perm) != 0 || e->type != fresh->entry.type || (e->global && !fresh->global)) {
		return JUDGED_STALE;
	}
	if (e->dirty && !fresh->entry.dirty && (e->perm & PERM_WRITE) != 0) {
		return JUDGED_DIRTY_LOST;
	}
	bool stricter = (fresh->perm & ~e->perm) != 0 || (!e->accessed && fresh->entry.accessed);
	if (!machine_now->marks) {
		stricter = stricter || (!e->dirty && fresh->entry.dirty);
	}
	return stricter ? JUDGED_STRICTER : JUDGED_SAME;
}

enum judgement check_cached(unsigned cpu, const struct tlb_entry *e, uint64_t va, const struct walk *fresh)
{
	(void)cpu;
	if (e->kind == MMU_INVALID) {
		bool was_absent = fresh->kind == MMU_INVALID && fresh->level >= e->level;
		return was_absent ? JUDGED_SAME : JUDGED_STRICTER;
	}
	if (e->kind == MMU_LEAF) {
		return check_leaf(e, va, fresh);
	}
	/* A table entry, and a walk that stopped at its level or above. */
	if (fresh->kind != MMU_TABLE || fresh->level != e->level || fresh->entry.pa != e->pa ||
	    (fresh->deny & ~e->perm) != 0) {
		return JUDGED_STALE;
	}
	return (e->perm & ~fresh->deny) != 0 ? JUDGED_STRICTER : JUDGED_SAME;
}

void check_inside(unsigned cpu, bool inside)
{
	MACHINE_LOCKED;
	machine_now->inside[cpu] = inside ? ++machine_now->clock : 0;
}

bool check_quiet(void)
{
	for (unsigned i = 0; machine_is_threaded && i < MACHINE_CPUS; i++) {
		if (machine_now->inside[i] != 0) {
			return false;
		}
	}
	return true;
}

/* (C4) */
static bool still_legal(struct tlb_entry *e)
{
	if (machine_now->relaxed > 0) {
		return true;
	}
	if (e->stale_at == 0) {
		e->stale_at = machine_now->clock + 1;
	}
	for (unsigned i = 0; machine_is_threaded && i < MACHINE_CPUS; i++) {
		if (machine_now->inside[i] != 0 && machine_now->inside[i] < e->stale_at) {
			return true;
		}
	}
	return false;
}

void check_report(unsigned cpu, struct tlb_entry *e, enum judgement judged, uint64_t va)
{
	if (judged < JUDGED_STALE) {
		e->stale_at = 0;
		return;
	}
	if (still_legal(e)) {
		return;
	}
	if (judged == JUDGED_DIRTY_LOST) {
		machine_violation(MACHINE_DIRTY_LOST,
		    "CPU %u stores to %#llx unseen: memory says clean, its TLB dirty", cpu, (ull)va);
		return;
	}
	machine_violation(MACHINE_STALE_USED,
	    "CPU %u has %s for %#llx (level %u, id %u%s, entry %#llx), memory has not", cpu,
	    e->kind == MMU_TABLE ? "a table" : "a leaf", (ull)va, e->level, e->asid,
	    e->global ? ", global" : "", (ull)e->raw);
}

static enum judgement judge_now(unsigned cpu, const struct tlb_entry *e, uint64_t *va)
{
	struct walk fresh = machine_walk(cpu, e->va, e->kind == MMU_TABLE ? e->level : 0);
	enum judgement judged = check_cached(cpu, e, e->va, &fresh);
	*va = e->va;
	if (e->kind != MMU_LEAF || judged >= JUDGED_STALE || level_shift(fresh.level) >= e->shift) {
		return judged;
	}
	/* Memory has smaller leaves, or members of a run: each must agree. */
	for (uint64_t step = MACHINE_PAGE; (*va & ~low_mask(e->shift)) == e->va; *va += step) {
		fresh = machine_walk(cpu, *va, 0);
		judged = check_cached(cpu, e, *va, &fresh);
		if (judged >= JUDGED_STALE) {
			return judged;
		}
		step = UINT64_C(1) << level_shift(fresh.level);
	}
	return JUDGED_SAME;
}

void machine_check(void)
{
	MACHINE_LOCKED;
	for (unsigned cpu = 0; cpu < machine_now->config.cpus; cpu++) {
		check_id(cpu);
		for (unsigned i = 0; i <= TLB_GLOBAL; i++) {
			for (struct tlb_entry *e = machine_now->cpus[cpu].id[i]; e != NULL; e = e->id_next) {
				uint64_t va = e->va;
				if (!tlb_usable(cpu, e)) {
					continue;
				}
				enum judgement judged = judge_now(cpu, e, &va);
				check_report(cpu, e, judged, va);
				check_break(e);
			}
		}
	}
}

void check_id(unsigned cpu)
{
	struct machine *m = machine_now;
	uint32_t asid = m->cpus[cpu].asid;
	if (!m->cpus[cpu].id_unchecked || m->relaxed > 0) {
		return; /* what an open batch takes away is judged later */
	}
	m->cpus[cpu].id_unchecked = false;
	if (asid >= (UINT32_C(1) << m->config.asid_bits)) {
		machine_violation(MACHINE_BAD_ID, "id %u on a CPU with %u bits", asid, m->config.asid_bits);
	}
	for (struct tlb_entry *e = m->cpus[cpu].id[asid % TLB_IDS]; e != NULL; e = e->id_next) {
		uint64_t va;
		if (e->asid != asid || !tlb_usable(cpu, e)) {
			continue;
		}
		enum judgement judged = judge_now(cpu, e, &va);
		bool other = e->root != machine_root_of(cpu, e->va);
		bool busy = machine_is_threaded || machine_now->relaxed > 0;
		if (busy ? other : judged >= JUDGED_STALE) { /* stale ones: where they are used */
			machine_violation(MACHINE_BAD_ID,
			    "CPU %u takes id %u, under which it still has %s for %#llx", cpu, asid,
			    e->kind == MMU_TABLE ? "a table" : "a leaf", (ull)va);
		}
	}
}

/* Live entries. */

static void check_target(const struct walk *w, uint64_t va)
{
	uint64_t size = UINT64_C(1) << level_shift(w->level);
	bool user = (w->perm & PERM_USER) != 0;
	bool linear = machine_now->linear != 0 && (va & ~(size - 1)) - w->entry.pa == machine_now->linear;
	if (user && (va >> 63) != 0) {
		machine_violation(
		    MACHINE_USER_KERNEL, "user mode may use %#llx (entry %#llx)", (ull)va, (ull)w->raw);
	}
	for (uint64_t pa = w->entry.pa; !linear && pa < w->entry.pa + size; pa += MACHINE_PAGE) {
		const struct frame *frame = machine_frame(pa);
		if (frame == NULL) {
			continue;
		}
		if (frame->free) {
			machine_violation(MACHINE_FREED_REACHED,
			    "the entry for %#llx leads to the free frame %#llx", (ull)va, (ull)pa);
			return;
		}
		if (user && (frame->kernel_only || frame->is_table)) {
			machine_violation(MACHINE_USER_KERNEL, "user mode reaches %s %#llx at %#llx",
			    frame->is_table ? "the page table" : "the kernel's frame", (ull)pa, (ull)va);
			return;
		}
	}
}

unsigned check_run_same(const struct walk *w)
{
	unsigned count = 1u << w->entry.run_shift;
	uint64_t first = w->at & ~low_mask(w->entry.run_shift + 3u);
	uint64_t size = UINT64_C(1) << level_shift(w->level);
	uint64_t base = w->entry.pa - (w->at - first) / 8 * size;
	for (unsigned i = 0; i < count; i++) {
		uint64_t raw = __atomic_load_n(machine_entry(first + 8 * i), __ATOMIC_RELAXED);
		struct mmu_entry e = machine_now->mmu->decode(raw, w->level, entry_index(first) + i);
		if (e.kind != MMU_LEAF || e.run_shift != w->entry.run_shift || e.pa != base + i * size ||
		    e.allow != w->entry.allow || e.type != w->entry.type || e.global != w->entry.global) {
			return i;
		}
	}
	return count;
}

/* The members of a run must say the same of consecutive memory, but while an operation may be changing it. */
static void check_run(const struct walk *w, uint64_t va)
{
	unsigned count = 1u << w->entry.run_shift;
	uint64_t first = w->at & ~low_mask(w->entry.run_shift + 3u);
	uint64_t size = UINT64_C(1) << level_shift(w->level);
	uint64_t base = w->entry.pa - (w->at - first) / 8 * size;
	unsigned same;
	if ((base & (size * count - 1)) != 0) {
		machine_violation(MACHINE_MALFORMED, "the run at %#llx starts at %#llx, which is not aligned",
		    (ull)va, (ull)base);
		return;
	}
	same = check_quiet() ? check_run_same(w) : count;
	if (same != count) {
		machine_violation(
		    MACHINE_MALFORMED, "the run at %#llx is not uniform (member %u)", (ull)va, same);
	}
}

static void check_table(const struct walk *w, uint64_t va)
{
	struct frame *frame = machine_frame(w->entry.pa);
	if (frame == NULL) {
		machine_violation(MACHINE_MALFORMED, "the table for %#llx is at %#llx, which is no RAM",
		    (ull)va, (ull)w->entry.pa);
		return;
	}
	frame->is_table = true;
	if (frame->free) {
		machine_violation(MACHINE_FREED_REACHED, "the table for %#llx is the free frame %#llx",
		    (ull)va, (ull)w->entry.pa);
	}
}

void check_fetched(unsigned cpu, uint64_t root, uint64_t va, const struct walk *w)
{
	const struct mmu *mmu = machine_now->mmu;
	(void)cpu;
	if (w->kind == MMU_INVALID) {
		const char *wrong = mmu->plausible != NULL ? mmu->plausible(w->raw, w->level) : NULL;
		if (wrong != NULL) {
			machine_violation(
			    MACHINE_PLAUSIBLE, "%s (for %#llx, entry %#llx)", wrong, (ull)va, (ull)w->raw);
		}
		return;
	}
	if (w->entry.bad != NULL) {
		machine_violation(MACHINE_MALFORMED, "%s (for %#llx, level %u, entry %#llx)", w->entry.bad,
		    (ull)va, w->level, (ull)w->raw);
	}
	if (w->kind == MMU_TABLE) {
		check_table(w, va);
	}
	if (w->kind != MMU_LEAF) {
		return;
	}
	if (machine_is_wx(root) && (w->perm & PERM_WRITE) != 0 && (w->perm & PERM_EXEC) != 0) {
		machine_violation(MACHINE_WX_LEAF, "the leaf for %#llx (entry %#llx)", (ull)va, (ull)w->raw);
	}
	check_target(w, va);
	if (w->entry.run_shift != 0) {
		check_run(w, va);
	}
}

/* Cache attributes. */

static void see_type(struct tlb_entry *other, void *argument)
{
	const struct tlb_entry *entry = argument;
	if (other->kind == MMU_LEAF && other->type != entry->type && tlb_usable(other->cpu, other)) {
		machine_violation(MACHINE_TWO_TYPES, "frame %#llx has types %u (%#llx) and %u (%#llx)",
		    (ull)entry->pa, other->type, (ull)other->va, entry->type, (ull)entry->va);
	}
}

void check_types(const struct tlb_entry *entry)
{
	uint64_t size = UINT64_C(1) << entry->pa_shift;
	struct tlb_entry copy = *entry;
	if (machine_now->odd_types == 0) {
		return;
	}
	tlb_reaching(entry->pa, size, see_type, &copy);
	for (uint64_t pa = entry->pa; machine_now->linear != 0 && pa < entry->pa + size; pa += MACHINE_PAGE) {
		if (machine_frame(pa) == NULL) {
			continue;
		}
		struct walk w = machine_walk_root(machine_now->kernel_root, machine_linear(pa), 0);
		if (w.kind == MMU_LEAF && w.entry.type != entry->type) {
			machine_violation(MACHINE_TWO_TYPES,
			    "frame %#llx has type %u at %#llx, and %u in the linear map", (ull)pa,
			    entry->type, (ull)entry->va, w.entry.type);
			return;
		}
	}
}

/* Break-before-make. */

/* The entry as memory has it now, if its frame is still what it was; NULL else. */
static const uint64_t *still_there(uint64_t at, uint32_t generation)
{
	const struct frame *frame = machine_frame(at);
	return frame != NULL && frame->generation == generation ? machine_entry(at) : NULL;
}

static void check_break_of(const struct tlb_entry *cached, uint64_t at, uint64_t raw)
{
	const struct mmu *mmu = machine_now->mmu;
	const uint64_t *place = still_there(at, cached->at_generation);
	/* once: another thread may be clearing it */
	uint64_t now = place != NULL ? __atomic_load_n(place, __ATOMIC_RELAXED) : 0;
	if (place != NULL && mmu->decode(now, cached->level, entry_index(at)).kind != MMU_INVALID &&
	    mmu->break_owed(raw, now, cached->level)) {
		machine_violation(MACHINE_BREAK_MISSING,
		    "the entry for %#llx went from %#llx to %#llx while CPU %u had it", (ull)cached->va,
		    (ull)raw, (ull)now, cached->cpu);
	}
}

/* A run that is cached as one was broken in part, if memory still has a member of it and not all. */
static void check_whole(const struct tlb_entry *cached, uint64_t first)
{
	const struct mmu *mmu = machine_now->mmu;
	unsigned members = 0;
	for (unsigned i = 0; i < tlb_members(cached) && check_quiet(); i++) {
		const uint64_t *now = still_there(first + 8 * i, cached->at_generation);
		struct mmu_entry e = {.kind = MMU_INVALID};
		if (now != NULL) {
			e = mmu->decode(*now, cached->level, entry_index(first) + i);
		}
		members += e.kind == MMU_LEAF && e.run_shift != 0;
	}
	if (members != 0 && members != tlb_members(cached)) {
		machine_violation(MACHINE_BREAK_MISSING,
		    "CPU %u has the run at %#llx as one, and memory has %u of its members", cached->cpu,
		    (ull)cached->va, members);
	}
}

/* What a CPU has under an id that it does not run under, or has only just come back to: it may forget that
 * before it translates by it. Where a flush reaches all CPUs it has gone long before. */
static bool is_dormant(const struct tlb_entry *cached)
{
	return !machine_now->mmu->conflicts &&
	       (!tlb_usable(cached->cpu, cached) || machine_now->cpus[cached->cpu].id_unchecked);
}

void check_break(const struct tlb_entry *cached)
{
	const struct mmu *mmu = machine_now->mmu;
	unsigned members = tlb_members(cached);
	int place = (int)(cached->at >> 3 & (members - 1));
	if (mmu->break_owed == NULL || cached->kind == MMU_INVALID || is_dormant(cached)) {
		return;
	}
	/* An id that the CPU does not run under translates nothing. Where flushes are not broadcast it may
	 * be forgotten as late as before the CPU runs under it again: then it is judged as any stale one. */
	if (!mmu->conflicts && !tlb_usable(cached->cpu, cached)) {
		return;
	}
	if (members == 1) {
		check_break_of(cached, cached->at, cached->raw);
		return;
	}
	uint64_t first = cached->at - (uint64_t)place * 8;
	for (int i = 0; i < (int)members; i++) {
		check_break_of(
		    cached, first + (uint64_t)i * 8, mmu->member(cached->raw, cached->level, i - place));
	}
	check_whole(cached, first);
}

void check_break_at(uint64_t at)
{
	if (machine_now->mmu->break_owed != NULL) {
		tlb_read_from(at, check_break);
	}
}

void check_broken(const struct tlb_entry *gone)
{
	struct machine *m = machine_now;
	const uint64_t *now = still_there(gone->at, gone->at_generation);
	if (!m->mmu->conflicts || gone->kind == MMU_INVALID || now == NULL ||
	    m->mmu->decode(*now, gone->level, entry_index(gone->at)).kind != MMU_INVALID ||
	    m->broken_count == BROKEN_MAX) {
		return;
	}
	for (unsigned i = 0; i < m->broken_count; i++) {
		if (m->broken[i].at == gone->at) {
			return;
		}
	}
	m->broken[m->broken_count++] = (struct broken){gone->at, gone->raw, gone->at_generation, gone->level};
}

void check_breaks_made(bool same_operation)
{
	struct machine *m = machine_now;
	for (unsigned i = 0; i < m->broken_count;) {
		const struct broken *b = &m->broken[i];
		const uint64_t *now = still_there(b->at, b->at_generation);
		if (now != NULL && m->mmu->decode(*now, b->level, entry_index(b->at)).kind == MMU_INVALID) {
			i++;
			continue;
		}
		if (now != NULL) {
			machine_counters.breaks++;
			machine_counters.breaks_idle += !m->mmu->break_owed(b->raw, *now, b->level);
		}
		m->broken[i] = m->broken[--m->broken_count];
	}
	if (!same_operation) {
		m->broken_count = 0;
	}
}

/* Instruction fetch. */

static uint8_t **fetched(unsigned cpu, uint64_t pa)
{
	struct frame *frame = machine_frame(pa);
	bool broadcast = machine_now->config.isa != MACHINE_RISCV;
	return frame == NULL ? NULL : &frame->fetched[broadcast ? 0 : cpu];
}

void machine_fetch_sync(unsigned cpu, uint64_t pa, size_t len)
{
	MACHINE_LOCKED;
	machine_counters.fetch_syncs++;
	while (len != 0) {
		uint64_t offset = pa & (MACHINE_PAGE - 1);
		size_t part = len < MACHINE_PAGE - offset ? len : MACHINE_PAGE - offset;
		uint8_t **seen = fetched(cpu, pa);
		if (seen == NULL) {
			return;
		}
		if (*seen == NULL) {
			*seen = malloc(MACHINE_PAGE);
			memset(*seen, 0xee, MACHINE_PAGE);
		}
		for (size_t i = 0; i < part; i++) {
			(*seen)[offset + i] = *((const volatile uint8_t *)machine_ram(pa) + i);
		}
		pa += part;
		len -= part;
	}
}

void check_fetch(unsigned cpu, uint64_t va, uint64_t pa, size_t len)
{
	uint8_t **seen = fetched(cpu, pa);
	if ((machine_now->config.features & MACHINE_COHERENT_FETCH) != 0 || seen == NULL) {
		return;
	}
	uint64_t now = 0;
	memory_load(&now, machine_ram(pa), len);
	if (*seen == NULL || memcmp(*seen + (pa & (MACHINE_PAGE - 1)), &now, len) != 0) {
		machine_violation(MACHINE_FETCH_STALE,
		    "CPU %u fetches %#llx from frame %#llx, stored to and not synchronised", cpu, (ull)va,
		    (ull)pa);
	}
}
