/* SPDX-License-Identifier: MIT */
/*
 * walk.c - walks of memory, accesses through the TLB, and the adversary's filling of it.
 *
 * An access asks the TLB first. Of several cached translations it takes the one that memory explains least:
 * what is permitted is done, in the way that hurts most. Only without one does it walk, from the deepest
 * cached upper-level entry, and caches what it meets.
 *
 * W1  machine_walk() leaves no trace and looks at memory alone: it is the truth that the cache is judged
 *     by.
 * W2  Accessed and dirty are set only in an entry that still is what was cached (the CPU's compare and
 *     swap); else it walks again.
 * W3  Dirty of a contiguous run is set in its first member, whichever was stored through.
 */
#include "internal.h"

uint32_t machine_perm_bit(enum machine_access_kind kind, bool user)
{
	static const uint8_t bits[2][3] = {
	    {MACHINE_PERM_SR, MACHINE_PERM_SW, MACHINE_PERM_SX},
	    {MACHINE_PERM_UR, MACHINE_PERM_UW, MACHINE_PERM_UX},
	};
	return bits[user][kind];
}

static bool marks_itself(void)
{
	return machine_now->marks;
}

static unsigned top_level(void)
{
	return machine_now->config.levels - 1;
}

static uint64_t entry_at(uint64_t table, uint64_t va, unsigned level)
{
	unsigned shift = level_shift(level);
	uint64_t index = (va >> shift) & 511;
	if (level == top_level()) {
		index &= low_mask(machine_now->va_bits - shift);
	}
	return table + index * 8;
}

uint64_t machine_root_of(unsigned cpu, uint64_t va)
{
	bool upper = machine_now->mmu->split_roots && (va >> 63) != 0;
	return upper ? machine_now->kernel_root : machine_now->cpus[cpu].root;
}

bool machine_fetch(uint64_t table, uint64_t va, unsigned level, struct walk *w)
{
	w->level = level;
	w->at = entry_at(table, va, level);
	const uint64_t *entry = machine_entry(w->at);
	if (entry == NULL) {
		w->kind = MMU_BAD;
		w->entry = (struct mmu_entry){.kind = MMU_BAD, .bad = "a table that is not in RAM"};
		return false;
	}
	w->raw = __atomic_load_n(entry, __ATOMIC_RELAXED);
	w->entry = machine_now->mmu->decode(w->raw, level, entry_index(w->at));
	w->kind = w->entry.kind;
	return true;
}

/* Accessed and dirty of a run are those of all its members together. */
static void gather_run(struct walk *w)
{
	uint64_t first = w->at & ~low_mask(w->entry.run_shift + 3u);
	for (unsigned i = 0; i < 1u << w->entry.run_shift; i++) {
		const uint64_t *entry = machine_entry(first + 8 * i);
		struct mmu_entry member = machine_now->mmu->decode(*entry, w->level, entry_index(first) + i);
		if (member.kind == MMU_LEAF && member.run_shift == w->entry.run_shift) {
			w->entry.accessed |= member.accessed;
			w->entry.dirty |= member.dirty;
		}
	}
}

void machine_finish_leaf(struct walk *w)
{
	w->perm = machine_now->mmu->finish(w->entry.allow & ~w->deny);
	w->global |= w->entry.global;
	if (w->entry.run_shift != 0) {
		gather_run(w);
	}
}

struct walk machine_walk(unsigned cpu, uint64_t va, unsigned stop)
{
	return machine_walk_root(machine_root_of(cpu, va), va, stop);
}

struct walk machine_walk_root(uint64_t root, uint64_t va, unsigned stop)
{
	struct walk w = {.kind = MMU_INVALID, .level = top_level()};
	uint64_t table = root;
	if (table == MACHINE_NO_ROOT) {
		return w;
	}
	for (unsigned level = top_level();; level--) {
		if (!machine_fetch(table, va, level, &w) || w.kind != MMU_TABLE) {
			break;
		}
		w.deny |= w.entry.deny;
		w.global |= w.entry.global;
		table = w.entry.pa;
		if (level == stop) {
			return w;
		}
	}
	if (w.kind == MMU_LEAF) {
		machine_finish_leaf(&w);
	}
	return w;
}

bool machine_grants(const struct walk *fresh, enum machine_access_kind kind, bool user)
{
	if (fresh->kind != MMU_LEAF || (fresh->perm & machine_perm_bit(kind, user)) == 0) {
		return false;
	}
	return marks_itself() || (fresh->entry.accessed && (kind != MACHINE_WRITE || fresh->entry.dirty));
}

bool machine_translate(unsigned cpu, uint64_t va, struct machine_translation *out)
{
	MACHINE_LOCKED;
	struct walk w;
	if (!machine_now->mmu->canonical(va)) {
		return false;
	}
	w = machine_walk(cpu, va, 0);
	if (w.kind != MMU_LEAF) {
		return false;
	}
	*out = (struct machine_translation){
	    .pa = w.entry.pa + (va & low_mask(level_shift(w.level))),
	    .raw = w.raw,
	    .level = w.level,
	    .perm = w.perm,
	    .type = w.entry.type,
	    .accessed = w.entry.accessed,
	    .dirty = w.entry.dirty,
	    .global = w.global,
	};
	return true;
}

/* Caching what a walk met. */

static struct tlb_entry cached_form(unsigned cpu, uint64_t va, const struct walk *w)
{
	bool is_leaf = w->kind == MMU_LEAF;
	unsigned run = is_leaf ? w->entry.run_shift : 0;
	const struct frame *frame = machine_frame(w->at);
	struct tlb_entry e = {
	    .root = machine_root_of(cpu, va),
	    .at = w->at,
	    .raw = w->raw,
	    .at_generation = frame->generation,
	    .asid = machine_now->cpus[cpu].asid,
	    .perm = is_leaf ? w->perm : w->deny | w->entry.deny,
	    .kind = (uint8_t)w->kind,
	    .level = (uint8_t)w->level,
	    .shift = (uint8_t)(level_shift(w->level) + run),
	    .type = w->entry.type,
	    .global = w->kind != MMU_INVALID && (w->global || w->entry.global),
	    .accessed = w->entry.accessed,
	    .dirty = w->entry.dirty,
	};
	e.va = va & ~low_mask(e.shift);
	e.pa_shift = is_leaf ? e.shift : 12;
	e.pa = w->entry.pa & ~low_mask(e.pa_shift);
	return e;
}

/* Whether a CPU has a single member of the run around va: then it caches the others as such too. So it does
 * while memory has not all of them, or not all alike. */
static bool caches_members(unsigned cpu, uint64_t va, const struct walk *w)
{
	unsigned shift = level_shift(w->level);
	uint64_t base = va & ~low_mask(shift + w->entry.run_shift);
	for (uint64_t i = 0; i < UINT64_C(1) << w->entry.run_shift; i++) {
		if (tlb_find(cpu, base + (i << shift), shift, NULL) != NULL) {
			return true;
		}
	}
	return machine_is_threaded && check_run_same(w) != 1u << w->entry.run_shift;
}

static void insert(unsigned cpu, uint64_t va, const struct walk *w)
{
	struct walk alone = *w;
	if (w->kind == MMU_LEAF && w->entry.run_shift != 0 && caches_members(cpu, va, w)) {
		alone.entry.run_shift = 0;
	}
	struct tlb_entry form = cached_form(cpu, va, &alone);
	struct tlb_entry *e = tlb_insert(cpu, &form);
	memory_walked(machine_entry(w->at));
	if (e != NULL && w->kind == MMU_LEAF) {
		check_types(e);
	}
}

enum visit { PASSED, FAULTS, CHANGED };

/*
 * Sets accessed as the CPU does when it uses an entry; FAULTS if that is the software's task and not done,
 * CHANGED if the entry is not what was read any more.
 */
static enum visit touch(struct walk *w)
{
	uint64_t raw = machine_now->mmu->mark(w->raw, w->level, false);
	if (w->entry.accessed) {
		return PASSED;
	}
	if (!marks_itself()) {
		return FAULTS;
	}
	if (!memory_mark(machine_entry(w->at), w->raw, raw)) {
		return CHANGED;
	}
	w->raw = raw;
	w->entry.accessed = true;
	return PASSED;
}

/* One step of a walk that caches. It can end here or go on below; FAULTS: with *why; CHANGED: read again. */
static enum visit visit(unsigned cpu, uint64_t va, uint64_t root, struct walk *w, enum mmu_why *why)
{
	bool caches_invalid = (machine_now->config.features & MACHINE_CACHES_INVALID) != 0;
	enum visit touched;
	if (w->kind == MMU_LEAF) {
		machine_finish_leaf(w);
	}
	check_break_at(w->at);
	check_fetched(cpu, root, va, w);
	switch (w->kind) {
	case MMU_INVALID:
		*why = WHY_INVALID;
		if (caches_invalid) {
			insert(cpu, va, w);
		}
		return FAULTS;
	case MMU_BAD:
		*why = w->entry.bad_size ? WHY_SIZE : WHY_BAD;
		return FAULTS;
	case MMU_TABLE:
	case MMU_LEAF:
		break;
	}
	touched = touch(w);
	if (touched == CHANGED) {
		return CHANGED;
	}
	if (w->kind == MMU_TABLE || touched == PASSED) {
		insert(cpu, va, w);
		return PASSED;
	}
	*why = WHY_ACCESSED;
	if (caches_invalid) {
		insert(cpu, va, w);
	}
	return FAULTS;
}

/* Reads the entry of a table and visits it, until it stays as it was read. */
static enum visit step(unsigned cpu, uint64_t table, uint64_t va, unsigned level, uint64_t root,
    struct walk *w, enum mmu_why *why)
{
	const struct walk above = *w;
	enum visit visited;
	do {
		*w = above;
		visited = machine_fetch(table, va, level, w) ? visit(cpu, va, root, w, why) : FAULTS;
	} while (visited == CHANGED);
	return visited;
}

/* Walks from the deepest cached table entry; false: it faulted. */
static bool walk_and_cache(unsigned cpu, uint64_t va, struct mmu_fault *fault)
{
	uint64_t root = machine_root_of(cpu, va);
	uint64_t table = root;
	unsigned level = top_level();
	struct walk w = {.kind = MMU_TABLE};
	machine_counters.walks++;
	for (unsigned l = 1; l <= top_level(); l++) {
		struct tlb_entry *e = tlb_find(cpu, va, level_shift(l), NULL);
		while (e != NULL && e->kind != MMU_TABLE) {
			e = tlb_find(cpu, va, level_shift(l), e);
		}
		if (e != NULL) {
			table = e->pa;
			level = l - 1;
			w.deny = e->perm;
			w.global = e->global;
			break;
		}
	}
	if (table == MACHINE_NO_ROOT) {
		*fault = (struct mmu_fault){.why = WHY_INVALID, .level = level};
		return false;
	}
	for (;; level--) {
		enum mmu_why why = WHY_BUS;
		if (step(cpu, table, va, level, root, &w, &why) == FAULTS) {
			if (why == WHY_BUS) {
				machine_violation(MACHINE_MALFORMED, "a walk for %#llx leaves RAM at %#llx",
				    (unsigned long long)va, (unsigned long long)w.at);
			}
			*fault = (struct mmu_fault){.why = why, .level = level};
			return false;
		}
		if (w.kind == MMU_LEAF) {
			return true;
		}
		w.deny |= w.entry.deny;
		w.global |= w.entry.global;
		table = w.entry.pa;
	}
}

/*
 * Of all cached leaves (and cached absences) for an address, judged against memory, the worst; NULL: none.
 */
static struct tlb_entry *pick(unsigned cpu, uint64_t va, const struct walk *fresh)
{
	struct tlb_entry *worst = NULL;
	enum judgement judged = JUDGED_SAME;
	unsigned leaves = 0;
	for (unsigned shift = 12; shift < 64; shift++) {
		for (struct tlb_entry *e = tlb_find(cpu, va, shift, NULL); e != NULL;
		     e = tlb_find(cpu, va, shift, e)) {
			if (e->kind == MMU_TABLE) {
				continue;
			}
			enum judgement j = check_cached(cpu, e, va, fresh);
			leaves += e->kind == MMU_LEAF;
			check_report(cpu, e, j, va);
			if (worst == NULL || j > judged) {
				worst = e;
				judged = j;
			}
		}
	}
	if (leaves > 1 && machine_now->mmu->conflicts &&
	    (machine_now->config.features & MACHINE_LIVE_SPLIT) == 0) {
		machine_violation(MACHINE_BREAK_MISSING, "CPU %u has %u translations for %#llx at once", cpu,
		    leaves, (unsigned long long)va);
	}
	return worst;
}

enum grant { GRANTED, REFUSED, AGAIN };

/* An entry is what it was, but for marks. */
static bool still_as(const uint64_t *entry, uint64_t raw, unsigned level)
{
	const struct mmu *mmu = machine_now->mmu;
	uint64_t now = __atomic_load_n(entry, __ATOMIC_RELAXED);
	return mmu->mark(now, level, true) == mmu->mark(raw, level, true);
}

/* Marks the first member of the run that is cached, `behind` bytes before the one it was read from; false if
 * it is another one now. */
static bool mark_dirty(uint64_t *marked, const struct tlb_entry *e, uint64_t behind)
{
	const struct mmu *mmu = machine_now->mmu;
	uint64_t raw = behind == 0 ? e->raw : mmu->member(e->raw, e->level, -(int)(behind / 8));
	for (;;) {
		uint64_t now = __atomic_load_n(marked, __ATOMIC_RELAXED);
		if (!still_as(marked, raw, e->level)) {
			return false;
		}
		if (memory_mark(marked, now, mmu->mark(now, e->level, true))) {
			return true;
		}
	}
}

/* What the cached translation says; a first store marks the entry in memory. */
static enum grant consult(
    struct tlb_entry *e, enum machine_access_kind kind, bool user, struct mmu_fault *fault)
{
	const struct mmu *mmu = machine_now->mmu;
	uint64_t *entry = machine_entry(e->at);
	fault->level = e->level;
	fault->why = e->kind == MMU_INVALID ? WHY_INVALID : !e->accessed ? WHY_ACCESSED : WHY_PERMISSION;
	if (e->kind == MMU_INVALID || !e->accessed || (e->perm & machine_perm_bit(kind, user)) == 0) {
		return REFUSED;
	}
	if (kind != MACHINE_WRITE || e->dirty) {
		return GRANTED;
	}
	if (!marks_itself()) {
		fault->why = WHY_ACCESSED;
		return REFUSED;
	}
	uint64_t run = low_mask(e->shift - level_shift(e->level) + 3u);
	uint64_t *marked = machine_entry(e->at & ~run);
	if (!still_as(entry, e->raw, e->level) || !mark_dirty(marked, e, e->at - (e->at & ~run))) {
		tlb_remove(e);
		return AGAIN;
	}
	if (marked == entry) {
		e->raw = mmu->mark(e->raw, e->level, true);
	}
	e->dirty = true;
	return GRANTED;
}

static void transfer(unsigned cpu, uint64_t va, const struct tlb_entry *e, enum machine_access_kind kind,
    void *buf, size_t len, struct machine_result *out)
{
	uint64_t pa = e->pa + (va & low_mask(e->shift));
	void *memory = machine_ram(pa);
	struct frame *frame = machine_frame(pa);
	if (memory == NULL) {
		machine_violation(MACHINE_MALFORMED, "%#llx leads to %#llx, where nothing is",
		    (unsigned long long)va, (unsigned long long)pa);
		return;
	}
	if (frame != NULL && frame->free) {
		machine_violation(MACHINE_FREED_REACHED,
		    "an access of CPU %u to %#llx goes to the free frame %#llx", cpu, (unsigned long long)va,
		    (unsigned long long)pa);
	}
	out->ok = true;
	out->pa = pa;
	if (kind == MACHINE_WRITE) {
		memory_store(memory, buf, len);
		memory_done(cpu);
		if (frame != NULL) {
			frame->stored = true;
		}
		return;
	}
	if (kind == MACHINE_EXEC) {
		check_fetch(cpu, va, pa, len);
	}
	memory_load(buf, memory, len);
	memory_done(cpu);
}

static void raise(unsigned cpu, uint64_t va, const struct mmu_fault *fault, struct machine_result *out)
{
	struct walk fresh =
	    machine_now->mmu->canonical(va) ? machine_walk(cpu, va, 0) : (struct walk){.kind = MMU_INVALID};
	memory_done(cpu); /* its walk has read entries */
	out->va = va;
	out->spurious = machine_grants(&fresh, fault->kind, fault->user);
	machine_now->mmu->fault(fault, out);
	machine_counters.faults++;
	machine_counters.spurious += out->spurious;
	for (unsigned shift = 12; machine_now->mmu->fault_drops && shift < 64; shift++) {
		struct tlb_entry *e;
		while ((e = tlb_find(cpu, va, shift, NULL)) != NULL) {
			tlb_remove(e);
		}
	}
}

struct machine_result machine_access(
    unsigned cpu, uint64_t va, enum machine_access_kind kind, unsigned mode, void *buf, size_t len)
{
	MACHINE_LOCKED;
	struct machine_result result = {0};
	bool user = (mode & MACHINE_USER) != 0;
	struct mmu_fault fault = {.why = WHY_ADDRESS, .level = top_level()};
	machine_counters.accesses++;
	if (len == 0 || len > 8 || (va & (MACHINE_PAGE - 1)) + len > MACHINE_PAGE ||
	    !machine_cpu_is_on(cpu) || (machine_now->cpus[cpu].idle && va >> 63 == 0)) {
		machine_violation(MACHINE_MISUSE, "an access of %zu bytes at %#llx by CPU %u", len,
		    (unsigned long long)va, cpu);
		return result;
	}
	check_id(cpu);
	bool legal = machine_now->mmu->canonical(va);
	for (unsigned tries = 0; legal && tries < 8; tries++) {
		struct walk fresh = machine_walk(cpu, va, 0);
		struct tlb_entry *e = pick(cpu, va, &fresh);
		if (e == NULL) {
			if (!walk_and_cache(cpu, va, &fault)) {
				break;
			}
			continue;
		}
		enum grant grant = consult(e, kind, user, &fault);
		if (grant == GRANTED) {
			transfer(cpu, va, e, kind, buf, len, &result);
			return result;
		}
		if (grant == REFUSED) {
			break;
		}
	}
	fault.kind = kind;
	fault.user = user;
	raise(cpu, va, &fault, &result);
	return result;
}

/* The adversary. */

static void fill_table(
    unsigned cpu, uint64_t root, uint64_t table, unsigned level, uint64_t base, const struct walk *above)
{
	unsigned shift = level_shift(level);
	unsigned entries = level == top_level() ? 1u << (machine_now->va_bits - shift) : 512;
	bool both_halves = level == top_level() && !machine_now->mmu->split_roots;
	const uint64_t *raw = machine_entry(table);
	if (raw == NULL) {
		return;
	}
	for (unsigned i = 0; i < entries; i++) {
		uint64_t va = base + ((uint64_t)i << shift);
		enum mmu_why why;
		if (__atomic_load_n(&raw[i], __ATOMIC_RELAXED) == 0) {
			continue;
		}
		struct walk w = *above;
		if (both_halves && i >= entries / 2) {
			va |= ~low_mask(machine_now->va_bits);
		}
		uint32_t invalid = machine_now->config.features & MACHINE_CACHES_INVALID;
		machine_now->config.features &= ~invalid; /* absences are cached where an access meets them */
		bool ok = step(cpu, table, va, level, root, &w, &why) == PASSED;
		machine_now->config.features |= invalid;
		if (ok && w.kind == MMU_TABLE) {
			w.deny |= w.entry.deny;
			w.global |= w.entry.global;
			fill_table(cpu, root, w.entry.pa, level - 1, va, &w);
		}
	}
}

void machine_fill(unsigned cpu)
{
	MACHINE_LOCKED;
	const struct walk none = {.kind = MMU_TABLE};
	uint64_t root = machine_now->cpus[cpu].root;
	if (!machine_cpu_is_on(cpu)) {
		return;
	}
	check_id(cpu);
	if (root != MACHINE_NO_ROOT) {
		fill_table(cpu, root, root, top_level(), 0, &none);
	}
	if (machine_now->mmu->split_roots && machine_now->kernel_root != MACHINE_NO_ROOT) {
		uint64_t kernel = machine_now->kernel_root;
		fill_table(cpu, kernel, kernel, top_level(), ~low_mask(machine_now->va_bits), &none);
	}
}

void machine_fill_at(unsigned cpu, uint64_t va)
{
	struct mmu_fault fault;
	uint32_t invalid = machine_now->config.features & MACHINE_CACHES_INVALID;
	if (!machine_cpu_is_on(cpu) || !machine_now->mmu->canonical(va)) {
		return;
	}
	check_id(cpu);
	for (uint64_t shifts = machine_now->cpus[cpu].shifts; shifts != 0; shifts &= shifts - 1) {
		struct tlb_entry *e = tlb_find(cpu, va, (unsigned)__builtin_ctzll(shifts), NULL);
		if (e != NULL && e->kind == MMU_LEAF) {
			return;
		}
	}
	machine_now->config.features &= ~invalid; /* as for machine_fill() */
	(void)walk_and_cache(cpu, va, &fault);
	machine_now->config.features |= invalid;
}
