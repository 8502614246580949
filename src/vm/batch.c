/* SPDX-License-Identifier: MIT */
/*
 * batch.c - batches of revoked translations. Idea and invariants T1 to T8 are in tlb.h; whom a batch must
 * call, and what it and a switch owe to each other, is in tlb.c.
 *
 * While entries are taken away a batch gathers ranges and unhooked tables. When it ends it writes its ranges
 * down as one job, runs that on every CPU which may hold translations of the pmap, and only then frees the
 * tables.
 *
 * T9 What a batch has counted in its pmap, `open` and `dropping`, it takes out of there when it has ended,
 * in a copy for one CPU (alone.h) too: a file that has no copy may have counted it.
 *
 * Locks: as the pmap of the batch; vmem_batch_end() with no spin lock held.
 */
#include "frame.h"
#include "lock.h"
#include "panic.h"
#include "pmap.h"
#include "tlb_i.h"

/* The flushes of one batch, as every CPU runs them. */
struct flush_job {
	struct vmem_pmap *pmap;
	bool tables; /* some go */
	unsigned count;
	struct arch_flush flush[BATCH_RANGES];
};

static inline __attribute__((always_inline)) void run_job(void *argument)
{
	const struct flush_job *job = argument;
	if (job->tables && vmem_tlb_leave_idle(job->pmap)) {
		return; /* with all that it had */
	}
	for (unsigned i = 0; i < job->count; i++) {
		vmem_arch_flush(&job->flush[i]);
	}
}

/* Whether any CPU may hold translations of the pmap. */
static inline bool anywhere(struct vmem_pmap *pmap)
{
	return pmap->kernel || shared_load_acquire(&pmap->cpus) != 0;
}

static void run_everywhere(struct vmem_pmap *pmap, struct flush_job *job)
{
	(void)shared_add(&pmap->flushes, 1);
#if VMEM_SMP
	if (!RUNS_ALONE && (vmem_mmu.features & MMU_BROADCAST) == 0) {
		uint64_t self = UINT64_C(1) << cpu_number();
		uint64_t cpus = vmem_tlb_cpus_to_call(pmap, job->tables);
		if (cpus & self) {
			run_job(job);
		}
		if (cpus & ~self) {
			(void)shared_add(&pmap->flushes_remote, 1);
			vmem_host_cpu_call(cpus & ~self, run_job, job);
		}
		return;
	}
#endif
	run_job(job);
}

void vmem_batch_begin(struct vmem_batch *batch, struct vmem_pmap *pmap)
{
	batch->pmap = pmap;
	batch->tables = NULL;
	batch->count = 0;
	batch->tables_changed = false;
	batch->drops = 0;
	batch->walked = false;
	batch->open = false;
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

/* What the batch owes; with `whole`, and when it is too much to go through, everything of the space. */
static void write_job(const struct vmem_batch *batch, bool whole, struct flush_job *job)
{
	struct vmem_pmap *pmap = batch->pmap;
	uint32_t asid = hardware_id(shared_load(&pmap->asid));
	uint8_t flags =
	    (uint8_t)((batch->tables_changed ? FLUSH_TABLES : 0) | (pmap->kernel ? FLUSH_GLOBAL : 0));
	job->pmap = pmap;
	job->tables = batch->tables_changed;
	job->count = batch->count;
	uint64_t pages = 0;
	for (unsigned i = 0; i < batch->count; i++) {
		unsigned level = batch->range[i].level;
		vmem_vaddr_t start = batch->range[i].first & ~(arch_level_size(level) - 1);
		job->flush[i] = (struct arch_flush){
		    .start = start,
		    .pages = ((batch->range[i].last - start) >> arch_level_shift(level)) + 1,
		    .asid = asid,
		    .level = (uint8_t)level,
		    .flags = flags,
		};
		pages += job->flush[i].pages;
	}
	if (whole || pages > vmem_flush_pages) {
		job->count = 1;
		job->flush[0] = (struct arch_flush){.asid = asid, .flags = (uint8_t)(flags | FLUSH_SPACE)};
	}
}

/* Whether others have taken something away that this batch may have found absent, and CPUs may remember
 * (T7). The lock of the table in which it was found absent orders this after their count. */
static inline bool others_open(const struct vmem_batch *batch)
{
	return VMEM_SMP && batch->walked && shared_load_acquire(&batch->pmap->open) > (batch->open ? 1u : 0u);
}

/* What it has taken away is forgotten; nothing, if it found nothing to take. */
static inline void close_batch(struct vmem_batch *batch)
{
	if (VMEM_MANY_CPUS && batch->open) {
		(void)shared_subtract(&batch->pmap->open, 1u);
		batch->open = false;
	}
}

/* A batch that owes something; whole: the whole space. */
static __attribute__((noinline)) void pay_batch(struct vmem_batch *batch, bool whole)
{
	struct vmem_pmap *pmap = batch->pmap;
	struct flush_job job;
	vmem_lock_none_spinning();
	full_barrier();
	if (anywhere(pmap)) {
		write_job(batch, whole, &job);
		run_everywhere(pmap, &job);
	}
	while (batch->tables) {
		vmem_frame_give(table_pop(&batch->tables));
		pause_after(100);
	}
	if (VMEM_MANY_CPUS && batch->drops != 0) {
		(void)shared_subtract(&pmap->dropping, batch->drops);
	}
	close_batch(batch);
	vmem_batch_begin(batch, pmap);
}

void vmem_batch_end(struct vmem_batch *batch)
{
	bool whole = others_open(batch);
	if (batch->count != 0 || whole) {
		pay_batch(batch, whole);
	} else {
		close_batch(batch);
	}
}

void vmem_flush_granted(struct vmem_pmap *pmap, vmem_vaddr_t va, bool tables)
{
	const struct arch_flush flush = {
	    .start = va & ~VMEM_PAGE_MASK,
	    .pages = 1,
	    .asid = hardware_id(shared_load(&pmap->asid)),
	    .flags = (uint8_t)((pmap->kernel ? FLUSH_GLOBAL : 0) | (tables ? FLUSH_TABLES : 0)),
	};
	vmem_arch_flush(&flush);
}
