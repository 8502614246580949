/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - activation and address-space ids, and whom a batch calls. Invariants T1 to T8 are in tlb.h, batches
 * in batch.c.
 *
 * Ids are handed out in order; those of dead spaces are not taken back one by one. When they run out a new
 * generation begins: every CPU owes itself a complete flush, paid when it next activates a space, and ids
 * that CPUs are running under move into the new generation: the space finds its own again when it is next
 * activated anywhere.
 *
 * A switch back to a space takes no lock and writes no line that other CPUs write. The id goes into the
 * CPU's own word `active` by compare-and-swap; a new generation exchanges each such word for 0. So an id is
 * either seen there, and moves on, or the CPU finds the 0 and comes to the lock (T5). What a switch owes to
 * a batch and a batch to a switch is an order of two stores and two loads:
 *
 *	batch: entries cleared, full barrier, `cpus` read, then for each of those CPUs `coming` and `running`
 *	switch: `coming` stored, own bit set, full barrier, `stale` read, root loaded, then `running` stored
 *
 * A CPU that is on neither word is not called. Without ids nothing is left to do: it flushes when it comes.
 * With ids its bit goes into `stale`, full barrier, and both words are read again: either the switch sees
 * the bit, and forgets its id before it runs, or the batch sees the word, and calls. Only the CPU itself
 * takes its bit out of `stale`. Of a bit found there already it is not known whether it was stored before
 * the switch looked or after: the words are read again then, too.
 *
 * Idle (T8): without ids a switch to no space stores NULL into `coming` and leaves root and `running` as
 * they are. The CPU has translations, and uses none. It is told of leaves as one that is away with an id: by
 * `stale`, at which it looks after it has stored `coming` again. A batch that frees tables calls it all the
 * same, for it may walk them at any time; it goes to the kernel's root then, so it is called once.
 *
 * Locks: activation none, with preemption off; what a batch asks as the batch. The ids' byte (LOCK_IDS):
 * `generation`, `next`, `rollovers`, each CPU's `carried` and `owes_flush`, all pmap->asid.
 */
#include "bits.h"
#include "frame.h"
#include "lock.h"
#include "panic.h"
#include "pmap.h"
#include "tlb_i.h"

struct tlb_cpu {
	struct vmem_pmap *running; /* whose root the CPU walks; stored when it does */
	struct vmem_pmap *coming;  /* whose translations it uses, or is about to, from before it looks what it
				      owes; NULL: nobody's (T8) */
#if VMEM_SMP
	uint64_t active; /* the id it runs under, or the last it did; 0: taken by a new generation */
#endif
	uint64_t carried; /* the id it was running under when this generation began; 0: none */
	bool owes_flush;  /* of everything, before it uses an id of this generation (T5) */
} __attribute__((aligned(64)));

static struct {
	/* Read by every switch and every batch; written when a generation begins and when a CPU comes on. */
	uint64_t generation; /* in the place it has in pmap->asid; never 0 */
	uint64_t last;	     /* the largest id; 0: the CPU has none */
	uint64_t on;	     /* CPUs that have come on (T6) */
	struct {
		uint64_t next; /* the next id to hand out */
		uint64_t rollovers;
		uint8_t lock;
	} ids __attribute__((aligned(64)));
	struct tlb_cpu cpu[VMEM_MAX_CPUS];
} tlb;

static inline struct tlb_cpu *this_tlb_cpu(void)
{
	return &tlb.cpu[cpu_number()];
}

static inline uint64_t this_cpu_bit(void)
{
	return UINT64_C(1) << cpu_number();
}

void vmem_tlb_init(void)
{
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		tlb.cpu[i] = (struct tlb_cpu){0};
	}
	tlb.on = this_cpu_bit();
	tlb.generation = UINT64_C(1) << ASID_ID_BITS;
	tlb.ids.next = 1;
	tlb.ids.rollovers = tlb.ids.lock = 0;
	tlb.last = (UINT64_C(1) << vmem_mmu.asid_bits) - 1;
	if (tlb.last <= VMEM_MAX_CPUS) {
		tlb.last = 0; /* every CPU could hold on to one: a search for a free id need not end */
	}
}

void vmem_tlb_cpu_on(void)
{
#if VMEM_SMP
	struct tlb_cpu *cpu = this_tlb_cpu();
	shared_store(&cpu->coming, NULL);
	shared_store_release(&cpu->running, NULL);
	__atomic_fetch_or(&tlb.on, this_cpu_bit(), __ATOMIC_SEQ_CST);
	full_barrier();
#endif
}

/* Ids: whether a pmap brought the id with it into this generation. It may not run now, and will again under
 * that id (T5). */
static bool is_carried(uint64_t id)
{
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		if (hardware_id(tlb.cpu[i].carried) == id) {
			return true;
		}
	}
	return false;
}

/* The id a CPU runs under, or may be about to: it will have to ask for its next one. */
static uint64_t take_active(struct tlb_cpu *cpu)
{
#if VMEM_SMP
	return __atomic_exchange_n(&cpu->active, 0, __ATOMIC_SEQ_CST);
#else
	return cpu->running ? cpu->running->asid : 0;
#endif
}

static void new_generation(void)
{
	shared_store(&tlb.generation, tlb.generation + (UINT64_C(1) << ASID_ID_BITS));
	tlb.ids.next = 1;
	shared_store(&tlb.ids.rollovers, tlb.ids.rollovers + 1);
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		uint64_t active = take_active(&tlb.cpu[i]);
		tlb.cpu[i].owes_flush = true;
		if (active != 0 || !VMEM_SMP) { /* 0: it still runs as it did when the last one began */
			tlb.cpu[i].carried = active;
		}
	}
}

void vmem_asid_init(unsigned ids)
{
	new_generation();
	tlb.ids.rollovers = 0;
	tlb.last = ids < tlb.last ? ids : tlb.last;
}

uint64_t vmem_asid_rollovers(void)
{
	return shared_load(&tlb.ids.rollovers);
}

/* An id of the running generation: the one the space has kept, or a new one. */
static uint64_t new_id(uint64_t asid)
{
	uint64_t kept = tlb.generation | hardware_id(asid);
	bool found = false;
	for (unsigned i = 0; i < VMEM_MAX_CPUS && asid != 0; i++) {
		if (tlb.cpu[i].carried == asid) {
			tlb.cpu[i].carried = kept;
			found = true;
		}
	}
	if (found) {
		return kept;
	}
	for (;;) {
		if (tlb.ids.next > tlb.last) {
			new_generation();
		}
		uint64_t id = tlb.ids.next++;
		if (!is_carried(id)) {
			return tlb.generation | id;
		}
	}
}

static inline bool is_of_generation(uint64_t asid)
{
	return (asid & ~ASID_ID_MASK) == shared_load(&tlb.generation);
}

/* With the lock: the generation may be over, the pmap may have no id of it, and this CPU may owe a flush. */
__attribute__((noinline)) static uint64_t take_id_locked(struct tlb_cpu *cpu, struct vmem_pmap *pmap)
{
	spin_take(&tlb.ids.lock, LOCK_IDS);
	uint64_t asid = pmap->asid;
	if (!is_of_generation(asid)) {
		asid = new_id(asid);
		shared_store(&pmap->asid, asid);
	}
	bool owes = cpu->owes_flush;
	cpu->owes_flush = false;
#if VMEM_SMP
	shared_store(&cpu->active, asid);
#endif
	spin_give(&tlb.ids.lock, LOCK_IDS);
	if (owes) {
		const struct arch_flush all = {.flags = FLUSH_SPACE | FLUSH_GLOBAL};
		vmem_arch_flush(&all);
	}
	return asid;
}

static inline uint64_t take_id(struct tlb_cpu *cpu, struct vmem_pmap *pmap)
{
	uint64_t asid = shared_load(&pmap->asid);
	if (tlb.last == 0) {
		return 0;
	}
#if VMEM_SMP
	uint64_t active = shared_load(&cpu->active);
	if (is_of_generation(asid) && active != 0 &&
	    __atomic_compare_exchange_n(
		&cpu->active, &active, asid, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
		return asid;
	}
#else
	if (is_of_generation(asid)) {
		return asid;
	}
#endif
	return take_id_locked(cpu, pmap);
}

/* Activation. */

/* Notes that this CPU may hold translations of the pmap from now on. True: those that it has must go before
 * it runs. */
static inline bool note_cpu(struct vmem_pmap *pmap)
{
#if VMEM_SMP
	uint64_t self = this_cpu_bit();
	if ((shared_load(&pmap->cpus) & self) == 0) {
		__atomic_fetch_or(&pmap->cpus, self, __ATOMIC_SEQ_CST);
	}
	full_barrier();
	if ((shared_load(&pmap->stale) & self) != 0) {
		__atomic_fetch_and(&pmap->stale, ~self, __ATOMIC_SEQ_CST);
		return true;
	}
#else
	pmap->cpus = 1;
#endif
	return false;
}

/* What a CPU may have of a pmap. */
enum presence {
	AWAY, /* nothing, but under an id */
	IDLE, /* translations that it does not use, and the root (T8) */
	BUSY
};

/* A CPU that switches stores `coming` first and `running` last: read in this order, one that walks the root
 * is on one of them. */
static inline enum presence presence(const struct tlb_cpu *cpu, const struct vmem_pmap *pmap)
{
	const struct vmem_pmap *coming = shared_load_acquire(&cpu->coming);
	if (coming == pmap) {
		return BUSY;
	}
	if (shared_load_acquire(&cpu->running) != pmap) {
		return AWAY;
	}
	return !coming && tlb.last == 0 ? IDLE : BUSY;
}

static inline void now_runs(struct tlb_cpu *cpu, struct vmem_pmap *pmap)
{
	struct vmem_pmap *old = cpu->running;
	shared_store_release(&cpu->running, pmap);
	if (!VMEM_SMP && old && tlb.last == 0) { /* the switch has flushed all that is not global (T4) */
		old->cpus = 0;
	}
}

void vmem_pmap_activate(struct vmem_pmap *pmap)
{
	struct tlb_cpu *cpu = this_tlb_cpu();
	VMEM_ASSERT(!pmap || !pmap->kernel);
	if (pmap == shared_load(&cpu->coming)) {
		return;
	}
	shared_store_release(&cpu->coming, pmap); /* not before the last `running`: both are looked for */
	__asm__ volatile("" : : : "memory");	  /* a call that comes from here on leaves the root alone */
	if (pmap && pmap == shared_load(&cpu->running)) { /* it was idle there (T8) */
		if (note_cpu(pmap)) {
			vmem_arch_activate(pmap->root_pa, 0, true);
		}
	} else if (pmap) {
		uint64_t asid = take_id(cpu, pmap);
		bool flush = note_cpu(pmap) || tlb.last == 0;
		pmap_count(pmap, cpu_number(), COUNT_ACTIVATIONS, 1);
		vmem_arch_activate(pmap->root_pa, hardware_id(asid), flush);
		now_runs(cpu, pmap);
	} else if (tlb.last != 0) {
		vmem_arch_activate(0, 0, false);
		now_runs(cpu, NULL);
	}
}

bool vmem_tlb_leave_idle(struct vmem_pmap *pmap)
{
	struct tlb_cpu *cpu = this_tlb_cpu();
	if (presence(cpu, pmap) != IDLE) {
		return false;
	}
	vmem_arch_activate(0, 0, true);
	now_runs(cpu, NULL);
	return true;
}

bool vmem_pmap_is_active(const struct vmem_pmap *pmap)
{
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		if (presence(&tlb.cpu[i], pmap) == BUSY) {
			return true;
		}
	}
	return false;
}

#if VMEM_SMP
static void run_leave(void *argument)
{
	(void)vmem_tlb_leave_idle(argument);
}
#endif

/* Of a space that dies: most CPUs have left with its tables. */
static void leave_everywhere(struct vmem_pmap *pmap)
{
	(void)vmem_tlb_leave_idle(pmap);
#if VMEM_SMP
	uint64_t idle = 0;
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		idle |= presence(&tlb.cpu[i], pmap) == IDLE ? UINT64_C(1) << i : 0;
	}
	if (idle != 0) {
		vmem_host_cpu_call(idle, run_leave, pmap);
	}
#endif
}

void vmem_pmap_retire(struct vmem_pmap *pmap)
{
	VMEM_CHECK(!vmem_pmap_is_active(pmap), "an address space is destroyed while a CPU runs on it");
	leave_everywhere(pmap);
	pmap->cpus = 0;
	pmap->stale = 0;
	pmap->asid = 0;
}

/* Shootdown: whom a batch must call. */

#if VMEM_SMP
uint64_t vmem_tlb_cpus_to_call(struct vmem_pmap *pmap, bool tables)
{
	if (pmap->kernel) {
		return shared_load_acquire(&tlb.on);
	}
	const enum presence least = tables ? IDLE : BUSY;
	uint64_t called = 0;
	for (uint64_t cpus = shared_load_acquire(&pmap->cpus); cpus != 0; cpus &= cpus - 1) {
		uint64_t bit = cpus & -cpus;
		const struct tlb_cpu *cpu = &tlb.cpu[bits_ctz64(bit)];
		enum presence found = presence(cpu, pmap);
		if (found < least && (found == IDLE || tlb.last != 0)) {
			if ((shared_load_acquire(&pmap->stale) & bit) == 0) {
				__atomic_fetch_or(&pmap->stale, bit, __ATOMIC_SEQ_CST);
				full_barrier();
			}
			found = presence(cpu, pmap);
		}
		called |= found >= least ? bit : 0;
	}
	return called;
}
#endif

#if VMEM_SMP
struct sync_job {
	const void *kva;
	size_t length;
};

static void run_sync(void *argument)
{
	const struct sync_job *job = argument;
	vmem_arch_icache_sync(job->kva, job->length);
}
#endif

void vmem_icache_publish(const void *kva, size_t length)
{
	vmem_arch_icache_sync(kva, length);
#if VMEM_SMP
	if (vmem_mmu.features & MMU_ICACHE_LOCAL) {
		struct sync_job job = {kva, length};
		vmem_lock_none_spinning();
		full_barrier();
		uint64_t others = shared_load_acquire(&tlb.on) & ~this_cpu_bit();
		if (others != 0) {
			vmem_host_cpu_call(others, run_sync, &job);
		}
	}
#endif
}
