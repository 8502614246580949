/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - batches, activation and address-space ids. Idea and invariants T1 to T5 are in tlb.h.
 *
 * Ids are handed out in order; those of dead spaces are not taken back one by one. When they run out a new
 * generation begins: every CPU owes itself a complete flush, paid when it next activates a space, and ids
 * that CPUs are running under move into the new generation as they are.
 *
 * Locks: batches as their pmap; activation and ids are serialised by the caller, and activation runs with
 * preemption off.
 */
#include "frame.h"
#include "panic.h"
#include "pmap.h"

#define ASID_ID_BITS 16u
#define ASID_ID_MASK ((UINT64_C(1) << ASID_ID_BITS) - 1)

static struct {
	uint64_t generation; /* in the place it has in pmap->asid; never 0 */
	uint64_t next;	     /* the next id to hand out */
	uint64_t last;	     /* the largest id; 0: the CPU has none */
	uint64_t rollovers;
	struct {
		struct vmem_pmap *active;
		uint64_t carried; /* the id it was running under when this generation began; 0: none */
		bool owes_flush;  /* of everything, before it uses an id of this generation (T5) */
	} cpu[VMEM_MAX_CPUS];
} tlb;

static inline unsigned this_cpu(void)
{
#if VMEM_MAX_CPUS > 1
	return vmem_host_cpu();
#else
	return 0;
#endif
}

#define ALL_CPUS (VMEM_MAX_CPUS == 64 ? UINT64_MAX : (UINT64_C(1) << (VMEM_MAX_CPUS % 64)) - 1)

void vmem_asid_init(unsigned ids)
{
	tlb.generation = UINT64_C(1) << ASID_ID_BITS;
	tlb.next = 1;
	tlb.last = (UINT64_C(1) << vmem_mmu.asid_bits) - 1;
	if (tlb.last <= VMEM_MAX_CPUS) {
		tlb.last = 0; /* every CPU could hold on to one: a search for a free id need not end */
	}
	if (ids != 0 && ids < tlb.last) {
		tlb.last = ids;
	}
	tlb.rollovers = 0;
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		tlb.cpu[i].active = NULL;
		tlb.cpu[i].carried = 0;
		tlb.cpu[i].owes_flush = false;
	}
}

uint64_t vmem_asid_rollovers(void)
{
	return tlb.rollovers;
}

static inline uint32_t hardware_id(const struct vmem_pmap *pmap)
{
	return (uint32_t)(pmap->asid & ASID_ID_MASK);
}

/* Whether a pmap brought the id with it into this generation. It may not run now, and will again under that
 * id (T5). */
static bool is_carried(uint64_t id)
{
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		if (tlb.cpu[i].carried == id) {
			return true;
		}
	}
	return false;
}

static void new_generation(void)
{
	tlb.generation += UINT64_C(1) << ASID_ID_BITS;
	tlb.next = 1;
	tlb.rollovers++;
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		struct vmem_pmap *active = tlb.cpu[i].active;
		tlb.cpu[i].owes_flush = true;
		tlb.cpu[i].carried = 0;
		if (active) {
			active->asid = tlb.generation | hardware_id(active);
			tlb.cpu[i].carried = hardware_id(active);
		}
	}
}

static void assign_id(struct vmem_pmap *pmap)
{
	if (tlb.last == 0 || (pmap->asid & ~ASID_ID_MASK) == tlb.generation) {
		return;
	}
	for (;;) {
		if (tlb.next > tlb.last) {
			new_generation();
		}
		uint64_t id = tlb.next++;
		if (!is_carried(id)) {
			pmap->asid = tlb.generation | id;
			return;
		}
	}
}

void vmem_pmap_activate(struct vmem_pmap *pmap)
{
	unsigned cpu = this_cpu();
	struct vmem_pmap *old = tlb.cpu[cpu].active;
	if (pmap == old) {
		return;
	}
	if (!pmap) {
		vmem_arch_activate(0, 0, tlb.last == 0);
	} else {
		VMEM_ASSERT(!pmap->kernel);
		assign_id(pmap);
		if (tlb.cpu[cpu].owes_flush) {
			const struct arch_flush all = {.flags = FLUSH_SPACE | FLUSH_GLOBAL};
			tlb.cpu[cpu].owes_flush = false;
			vmem_arch_flush(&all);
		}
		pmap->cpus |= UINT64_C(1) << cpu;
		pmap->activations++;
		vmem_arch_activate(pmap->root_pa, hardware_id(pmap), tlb.last == 0);
	}
	tlb.cpu[cpu].active = pmap;
	if (old && tlb.last == 0) { /* the switch has flushed all that is not global (T4) */
		old->cpus &= ~(UINT64_C(1) << cpu);
	}
}

bool vmem_pmap_is_active(const struct vmem_pmap *pmap)
{
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		if (tlb.cpu[i].active == pmap) {
			return true;
		}
	}
	return false;
}

/* The flushes of one batch, as every CPU runs them. */
struct flush_job {
	unsigned count;
	struct arch_flush flush[BATCH_RANGES];
};

static void run_job(void *argument)
{
	const struct flush_job *job = argument;
	for (unsigned i = 0; i < job->count; i++) {
		vmem_arch_flush(&job->flush[i]);
	}
}

static void run_everywhere(struct vmem_pmap *pmap, struct flush_job *job)
{
	uint64_t cpus = pmap->kernel ? ALL_CPUS : pmap->cpus;
	uint64_t self = UINT64_C(1) << this_cpu();
	if (cpus == 0) {
		return;
	}
	pmap->flushes++;
	if ((cpus & self) || (vmem_mmu.features & MMU_BROADCAST)) {
		run_job(job);
	}
#if VMEM_MAX_CPUS > 1
	if ((cpus & ~self) && !(vmem_mmu.features & MMU_BROADCAST)) {
		pmap->flushes_remote++;
		vmem_host_cpu_call(cpus & ~self, run_job, job);
	}
#endif
}

void vmem_pmap_retire(struct vmem_pmap *pmap)
{
	VMEM_CHECK(!vmem_pmap_is_active(pmap), "an address space is destroyed while a CPU runs on it");
	pmap->cpus = 0;
	pmap->asid = 0;
}

void vmem_batch_begin(struct vmem_batch *batch, struct vmem_pmap *pmap)
{
	batch->pmap = pmap;
	batch->tables = NULL;
	batch->count = 0;
	batch->tables_changed = false;
}

/* Ranges nearer than this join: a flush of a few pages more is cheaper than one flush more. */
#define BATCH_NEAR (UINT64_C(8) << VMEM_PAGE_SHIFT)

void vmem_batch_leaves(struct vmem_batch *batch, vmem_vaddr_t first, vmem_vaddr_t last, unsigned level)
{
	for (unsigned i = 0; i < batch->count; i++) {
		bool behind = first > batch->range[i].last && first - batch->range[i].last > BATCH_NEAR;
		bool before = last < batch->range[i].first && batch->range[i].first - last > BATCH_NEAR;
		if ((!behind && !before) || i == BATCH_RANGES - 1) {
			batch->range[i].first = first < batch->range[i].first ? first : batch->range[i].first;
			batch->range[i].last = last > batch->range[i].last ? last : batch->range[i].last;
			batch->range[i].level = level < batch->range[i].level ? level : batch->range[i].level;
			return;
		}
	}
	batch->range[batch->count].first = first;
	batch->range[batch->count].last = last;
	batch->range[batch->count].level = level;
	batch->count++;
}

void vmem_batch_table(struct vmem_batch *batch, struct vmem_page *table)
{
	vmem_vaddr_t base = table->u.table.base;
	vmem_batch_leaves(batch, base, base + (arch_level_size(table->order + 1u) - 1), table->order + 1u);
	batch->tables_changed = true;
	table_push(&batch->tables, table);
}

void vmem_batch_end(struct vmem_batch *batch)
{
	struct flush_job job;
	if (batch->count == 0) {
		return;
	}
	job.count = batch->count;
	for (unsigned i = 0; i < batch->count; i++) {
		unsigned level = batch->range[i].level;
		vmem_vaddr_t start = batch->range[i].first & ~(arch_level_size(level) - 1);
		job.flush[i] = (struct arch_flush){
		    .start = start,
		    .pages = ((batch->range[i].last - start) >> arch_level_shift(level)) + 1,
		    .asid = hardware_id(batch->pmap),
		    .level = (uint8_t)level,
		    .flags = (uint8_t)((batch->tables_changed ? FLUSH_TABLES : 0) |
				       (batch->pmap->kernel ? FLUSH_GLOBAL : 0)),
		};
	}
	run_everywhere(batch->pmap, &job);
	while (batch->tables) {
		vmem_frame_give(table_pop(&batch->tables));
	}
	vmem_batch_begin(batch, batch->pmap);
}

void vmem_flush_granted(struct vmem_pmap *pmap, vmem_vaddr_t va, bool tables)
{
	const struct arch_flush flush = {
	    .start = va & ~VMEM_PAGE_MASK,
	    .pages = 1,
	    .asid = hardware_id(pmap),
	    .flags = (uint8_t)((pmap->kernel ? FLUSH_GLOBAL : 0) | (tables ? FLUSH_TABLES : 0)),
	};
	vmem_arch_flush(&flush);
}

#if VMEM_MAX_CPUS > 1
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
#if VMEM_MAX_CPUS > 1
	uint64_t others = ALL_CPUS & ~(UINT64_C(1) << this_cpu());
	if (vmem_mmu.features & MMU_ICACHE_LOCAL) {
		struct sync_job job = {kva, length};
		vmem_host_cpu_call(others, run_sync, &job);
	}
#endif
}
