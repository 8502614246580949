/* SPDX-License-Identifier: MIT */
/*
 * tlb.h - batches of revoked translations, and address-space ids.
 *
 * T1 Revoking is complete when vmem_batch_end() returns: no CPU can use a translation that was recorded in
 * the batch. T2 No frame, page table or address is reused before the batch that removed it has ended:
 * tables wait in the batch, frames are dropped by the caller afterwards, through the index. T3 A batch that
 * recorded nothing flushes nothing and calls nobody. An unhooked table counts as something, even an empty
 * one. T4 A CPU whose bit is clear in pmap->cpus holds no translation of that pmap; one whose bit is set
 * and that runs something else is not called: it forgets what was revoked meanwhile before it runs the pmap
 * again. T5 Two pmaps never have the same id on one CPU without a flush of that id there in between: ids
 * are handed out once per generation; a new generation starts with a flush on every CPU before it first
 * uses one of its ids. The ids that CPUs are running under survive into the new generation. T6 A CPU that
 * is not on holds no translation: it flushes everything after it has been noted as on. T7 What a walk finds
 * absent, or restricted already, may have become so a moment ago, by a batch that is still open: CPUs may
 * remember it. So each batch that takes something away is counted in pmap->open until it has ended; one that
 * has walked and ends while others are open flushes the whole space. T8 A CPU that runs no space any more
 * keeps what it has of the last one, and is not called for it: with ids under the id, on the kernel's root
 * (T4); without ids on the root, until it runs another space, or tables or the space go. Before it runs the
 * space again it forgets what was revoked meanwhile.
 */
#ifndef VMEM_TLB_H
#define VMEM_TLB_H

#include "arch.h"
#include "page.h"

struct vmem_pmap;

#define BATCH_RANGES 4u

/* What a batch forgets leaf by leaf at most; of more everything of the pmap goes (struct vmem_config). */
extern uint32_t vmem_flush_pages;

/* What was revoked: a few ranges. A range that lies near one already recorded joins it; when all are taken
 * the last one grows. */
struct vmem_batch {
	struct vmem_pmap *pmap;
	struct vmem_page *tables; /* unhooked page tables, chained through their pmap field */
	unsigned count;		  /* of ranges in use; 0: nothing is owed */
	bool tables_changed;	  /* upper-level entries must be forgotten too */
	unsigned drops;		  /* of tables, large leaves and runs (pmap.h, P10) */
	bool walked;		  /* its owner goes by what it found absent too (T7) */
	bool open;		  /* it has taken something away, and pmap->open says so (T7) */
	struct {
		vmem_vaddr_t first, last; /* last is of the last byte */
		unsigned level;		  /* smallest level of a recorded leaf */
	} range[BATCH_RANGES];
};

void vmem_batch_begin(struct vmem_batch *batch, struct vmem_pmap *pmap);
/* Records that leaves of `level` in [first, last] were removed or restricted. */
void vmem_batch_leaves(struct vmem_batch *batch, vmem_vaddr_t first, vmem_vaddr_t last, unsigned level);
/* Hands over a table that nothing points to any more; it translated the window of its own size that holds
 * va.
 */
void vmem_batch_table(struct vmem_batch *batch, struct vmem_page *table);
/* Flushes what is owed, everywhere, then frees the tables. The batch is empty afterwards and may go on. */
void vmem_batch_end(struct vmem_batch *batch);
/* Chains of tables that are in no tree. */
static inline void table_push(struct vmem_page **chain, struct vmem_page *table)
{
	/* whole: a walker may still ask which pmap the table is of, and it is of none */
	shared_store(&table->u.table.chain, *chain);
	*chain = table;
}

static inline struct vmem_page *table_pop(struct vmem_page **chain)
{
	struct vmem_page *table = *chain;
	*chain = table->u.table.chain;
	return table;
}

/* Forgets a possibly cached invalid or stricter entry at va on this CPU: after granting, where the CPU may
 * need it. tables: and the upper-level entries on the way to it. */
void vmem_flush_granted(struct vmem_pmap *pmap, vmem_vaddr_t va, bool tables);

/* Makes the pmap current on this CPU (NULL: none), giving it an id of the running generation. */
void vmem_pmap_activate(struct vmem_pmap *pmap);
/* True if a CPU runs on it. */
bool vmem_pmap_is_active(const struct vmem_pmap *pmap);
/* Takes a dying pmap's id back. Nothing is flushed: its last batch has ended, and an id is given again only
 * after the flush of a new generation (T5). */
void vmem_pmap_retire(struct vmem_pmap *pmap);
/* Makes [kva, +length) fetchable as instructions on all CPUs. */
void vmem_icache_publish(const void *kva, size_t length);
/* All CPUs but this one are off, and no pmap has an id. */
void vmem_tlb_init(void);
/* This CPU comes on, running on the kernel's tables; its flush of everything follows (T6). */
void vmem_tlb_cpu_on(void);
/* Begins a generation of at most so many ids; for tests, which have fewer CPUs in use. */
void vmem_asid_init(unsigned ids);
uint64_t vmem_asid_rollovers(void);

#endif
