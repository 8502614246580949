/* SPDX-License-Identifier: MIT */
/*
 * test_contig_rules.c - contiguous runs on a pmap of its own: what a caller owes, what leaves no trace, and
 * what the validator says of runs whose members have changed places.
 */
#include "pmap_fixture.h"

#include "contig.h"
#include "raw.h"

#define AT (5 * GIGA)

static void enter_run(uint64_t va, uint64_t pa, uint32_t leaf)
{
	machine_operation();
	assert_int_equal(vmem_pmap_enter_contig(&p, va, pa, leaf), VMEM_OK);
	agree();
}

static void breaches(void **state)
{
	struct pmap_entry at;
	(void)state;
	begin(false);
	if (!has_runs()) {
		PANICS("arch_leaf_contig", (void)vmem_pmap_enter_contig(&p, AT, block, DIRTY_RW));
		assert_int_equal(arch_pte_unfold(0x1234, 0, AT), 0x1234); /* there is nothing to unfold */
		finish();
		return;
	}
	PANICS("CONTIG_SIZE", (void)vmem_pmap_enter_contig(&p, AT, block + PAGE, DIRTY_RW));
	enter_run(AT, block, DIRTY_RW);
	at = vmem_pmap_lookup(&p, AT + PAGE);
	PANICS("pmap->kernel", vmem_pmap_raise_contig(&p, at, AT + PAGE, DIRTY_RW));
	PANICS("!arch_pte_contig", vmem_pmap_set(&p, at, AT + PAGE, block + PAGE, LEAF_READ));
	p.kernel = true;
	PANICS("!pmap->kernel", vmem_pmap_note_contig(&p, at, AT + PAGE, LEAF_DIRTY));
	p.kernel = false;
	const uint32_t features = vmem_mmu.features;
	vmem_mmu.features &= ~(uint32_t)MMU_LIVE_SPLIT;
	PANICS("MMU_LIVE_SPLIT", vmem_pmap_unfold(&p, AT));
	vmem_mmu.features = features;
	agree();
	assert_int_equal(members(AT, RUN), RUN);
	finish();
}

/* Frames that instruction fetch has seen already are not brought in step again; a run that nobody used
 * leaves no marks. */
static void nothing_to_note(void **state)
{
	struct vmem_batch batch;
	(void)state;
	begin(false);
	for (unsigned round = 0; has_runs() && round < 2; round++) {
		enter_run(AT, block, LEAF_READ | LEAF_EXEC);
		assert_true(pa_to_page(block + PAGES(RUN - 1))->flags & PAGE_F_EXEC_SYNCED);
		remove_range(AT, PAGES(RUN));
	}
	if (has_runs()) {
		const unsigned noted = PAGE_F_ACCESSED | PAGE_F_DIRTY;
		enter_run(AT, block, USER_RW);
		machine_operation();
		for (unsigned i = 0; i < RUN; i++) {
			arch_pte_t *slot = vmem_pmap_lookup(&p, AT + PAGES(i)).slot;
			*slot = arch_pte_restrict(*slot, 0, VMEM_RWX);
			pa_to_page(block + PAGES(i))->flags &= (uint8_t)~noted;
		}
		vmem_batch_begin(&batch, &p);
		vmem_pmap_remove(&p, AT, PAGES(RUN), &batch);
		vmem_batch_end(&batch);
		agree();
		for (unsigned i = 0; i < RUN; i++) {
			assert_int_equal(pa_to_page(block + PAGES(i))->flags & noted, 0);
		}
	}
	finish();
}

static __attribute__((noinline)) void disagrees(struct vmem_aspace *as)
{
	PANICS("P8, the members of a run disagree", vmem_aspace_check(as));
}

/* The same number of entries in the same table, but not where they were. */
static void members_moved(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object;
	(void)state;
	run(0, as);
	OK(vmem_object_create_contiguous(PAGES(2 * RUN), PAGES(RUN), 0, VMEM_WRITE_BACK, &object));
	const struct vmem_map what = {.length = PAGES(2 * RUN),
	    .permission = RW,
	    .maximum = RW,
	    .flags = VMEM_MAP_SHARED,
	    .object = object,
	    .place = VMEM_PLACE_FIXED,
	    .address = AT};
	vmem_vaddr_t va;
	OK(vmem_vmar_map(vmem_aspace_root(as), &what, &va));
	put(as, 0, va, 1);
	if (has_runs()) {
		uint64_t *slot = raw_slot(machine_root(0), va, 0), saved = slot[5];
		slot[RUN] = slot[5];
		slot[5] = 0;
		disagrees(as);
		slot[5] = saved;
		slot[RUN] = 0;
		/* other frames */
		slot[5] += core_isa() == MACHINE_AARCH64 ? PAGES(RUN) : (uint64_t)RUN << 10;
		disagrees(as);
		slot[5] = saved;
	}
	step();
	end(as);
	release(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(breaches),
	    CORE(nothing_to_note),
	    CORE(members_moved),
	};
	return cmocka_run_group_tests_name("contig_rules", tests, NULL, NULL);
}
