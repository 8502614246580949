/* SPDX-License-Identifier: MIT */
/*
 * alone.h - a library for several CPUs on a machine that has one.
 *
 * The host may say that no other CPU will ever come on (struct vmem_config, cpus). Then nobody is there to
 * lock out, to tell or to distrust, and the ways that programs take most, faults and the calls that map,
 * unmap and protect, run in copies of their own: the files alone_*.c compile the same ones once more with
 * VMEM_ALONE set, as a build for one CPU would, over what is laid out for several.
 *
 * A1 It is decided once, before any other call, and stays: a second CPU that comes on panics.
 * A2 Who goes into a copy comes from a function that asks RUNS_ALONE, and from nowhere else; a copy calls
 *    what has no copy, which takes its locks and finds them free. So the two may be mixed as one likes,
 *    within one call too: a lock that a copy does not take is one that nobody else wants.
 * A3 What one leaves for the other to read means the same to both: sequences and generations that only
 *    readers without a lock would ask for may stand still in a copy, and are then asked for by nobody.
 *
 * Each name below is that of a function in a file which is compiled twice; of one that is missing the linker
 * says that it is there twice. Functions of the public headers
 * are not in copies: they would be exported.
 */
#ifndef VMEM_ALONE_H
#define VMEM_ALONE_H

#include <vmem/fault.h>
#include <vmem/types.h>

#ifndef VMEM_ALONE
#define VMEM_ALONE 0
#endif

/* How things are laid out; VMEM_SMP (lock.h) is how they are used. */
#define VMEM_MANY_CPUS (VMEM_MAX_CPUS > 1)

/* In a line that nobody writes. Not there in a build for one CPU. */
extern struct vmem_company {
	bool alone; /* (A1) */
} __attribute__((aligned(64))) vmem_company;
#define RUNS_ALONE (VMEM_MANY_CPUS && !VMEM_ALONE && __builtin_expect(vmem_company.alone, 0))
/* A function of its own for what one that asks does with several CPUs: so that no register is saved before
 * the question. */
#if VMEM_MANY_CPUS && !VMEM_ALONE
#define WITH_OTHERS static __attribute__((noinline))
#else
#define WITH_OTHERS static inline __attribute__((always_inline))
#endif

#if !VMEM_ALONE
struct vmem_aspace;
struct vmem_batch;
struct vmem_index;
struct vmem_map;
struct vmem_pmap;
struct vmem_vmar;

/* Ways in (A2). */
enum vmem_fault_result vmem_alone_fault_try(
    struct vmem_aspace *aspace, vmem_vaddr_t address, unsigned access);
vmem_status_t vmem_alone_vmar_map_locked(
    struct vmem_vmar *vmar, const struct vmem_map *map, vmem_vaddr_t *out_start);
vmem_status_t vmem_alone_vmar_unmap_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);
vmem_status_t vmem_alone_vmar_protect_locked(
    struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length, unsigned permission);

vmem_status_t vmem_alone_vmar_decommit_locked(struct vmem_vmar *vmar, vmem_vaddr_t start, uint64_t length);
void vmem_alone_pmap_remove(
    struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, struct vmem_batch *batch);
void vmem_alone_pmap_restrict(
    struct vmem_pmap *pmap, vmem_vaddr_t va, uint64_t length, uint32_t keep, struct vmem_batch *batch);
void vmem_alone_index_remove(struct vmem_index *index, uint64_t first, uint64_t last,
    void (*drop)(void *arg, uint64_t key, uint64_t slot), void *arg);

#else
/* fault.c, fault_around.c, fault_large.c, fault_present.c */
#define vmem_fault_try vmem_alone_fault_try
#define vmem_fault_around vmem_alone_fault_around
#define vmem_fault_fill_contig vmem_alone_fault_fill_contig
#define vmem_fault_fill_large vmem_alone_fault_fill_large
#define vmem_fault_fixed vmem_alone_fault_fixed
#define vmem_fault_look_guard vmem_alone_fault_look_guard
#define vmem_fault_settle vmem_alone_fault_settle
#define vmem_fault_unpark vmem_alone_fault_unpark
/* pmap.c, pmap_entry.c */
#define vmem_pmap_counted vmem_alone_pmap_counted
#define vmem_pmap_enter vmem_alone_pmap_enter
#define vmem_pmap_exchange vmem_alone_pmap_exchange
#define vmem_pmap_flush vmem_alone_pmap_flush
#define vmem_pmap_lookup_cold vmem_alone_pmap_lookup_cold
#define vmem_pmap_lookup_table vmem_alone_pmap_lookup_table
#define vmem_pmap_raise vmem_alone_pmap_raise
#define vmem_pmap_remove vmem_alone_pmap_remove
#define vmem_pmap_reserve vmem_alone_pmap_reserve
#define vmem_pmap_restrict vmem_alone_pmap_restrict
#define vmem_pmap_set vmem_alone_pmap_set
#define vmem_pmap_settle vmem_alone_pmap_settle
#define vmem_pmap_sync vmem_alone_pmap_sync
#define vmem_pmap_unhook vmem_alone_pmap_unhook
#define vmem_pmap_vacate vmem_alone_pmap_vacate
#define vmem_pmap_visit vmem_alone_pmap_visit
/* decommit.c */
#define vmem_store_forget vmem_alone_store_forget
#define vmem_vmar_check_covered vmem_alone_vmar_check_covered
#define vmem_vmar_decommit_locked vmem_alone_vmar_decommit_locked
/* frame.c: from caches; slab_cpu.c */
#define vmem_frame_drain vmem_alone_frame_drain
#define vmem_frame_give vmem_alone_frame_give
#define vmem_frame_take vmem_alone_frame_take
#define vmem_slab_alloc_slow vmem_alone_slab_alloc_slow
#define vmem_slab_claim vmem_alone_slab_claim
#define vmem_slab_drain vmem_alone_slab_drain
#define vmem_slab_free vmem_alone_slab_free
#define vmem_slab_release vmem_alone_slab_release
#define vmem_slab_unclaim vmem_alone_slab_unclaim
/* index.c */
#define vmem_index_any vmem_alone_index_any
#define vmem_index_claim vmem_alone_index_claim
#define vmem_index_drop vmem_alone_index_drop
#define vmem_index_leaf vmem_alone_index_leaf
#define vmem_index_promise vmem_alone_index_promise
#define vmem_index_remove vmem_alone_index_remove
#define vmem_index_reserve vmem_alone_index_reserve
#define vmem_index_reserve_remove vmem_alone_index_reserve_remove
#define vmem_index_set vmem_alone_index_set
#define vmem_index_snapshot vmem_alone_index_snapshot
#define vmem_index_unclaim vmem_alone_index_unclaim
#define vmem_slot_drop vmem_alone_slot_drop
/* batch.c */
#define vmem_batch_begin vmem_alone_batch_begin
#define vmem_batch_end vmem_alone_batch_end
#define vmem_batch_leaves vmem_alone_batch_leaves
#define vmem_batch_table vmem_alone_batch_table
#define vmem_flush_granted vmem_alone_flush_granted
/* span.c, commit.c */
#define vmem_span_insert vmem_alone_span_insert
#define vmem_span_insert_before vmem_alone_span_insert_before
#define vmem_span_remove vmem_alone_span_remove
#define vmem_span_resize vmem_alone_span_resize
#define vmem_commit_add vmem_alone_commit_add
#define vmem_commit_give vmem_alone_commit_give
#define vmem_commit_take vmem_alone_commit_take
/* region.c */
#define vmem_region_agrees vmem_alone_region_agrees
#define vmem_region_alloc vmem_alone_region_alloc
#define vmem_region_can_join vmem_alone_region_can_join
#define vmem_region_copy vmem_alone_region_copy
#define vmem_region_find vmem_alone_region_find
#define vmem_region_find_from vmem_alone_region_find_from
#define vmem_region_find_key vmem_alone_region_find_key
#define vmem_region_find_shared vmem_alone_region_find_shared
#define vmem_region_forget_private vmem_alone_region_forget_private
#define vmem_region_free vmem_alone_region_free
#define vmem_region_holds_pages vmem_alone_region_holds_pages
#define vmem_region_list vmem_alone_region_list
#define vmem_region_list_behind vmem_alone_region_list_behind
#define vmem_region_merge vmem_alone_region_merge
#define vmem_region_set_key vmem_alone_region_set_key
#define vmem_region_split vmem_alone_region_split
#define vmem_region_take vmem_alone_region_take
#define vmem_region_unlist vmem_alone_region_unlist
#define vmem_vmar_remove vmem_alone_vmar_remove
/* vmar.c, protect.c */
#define vmem_vmar_check_map vmem_alone_vmar_check_map
#define vmem_vmar_check_range vmem_alone_vmar_check_range
#define vmem_vmar_destroy_locked vmem_alone_vmar_destroy_locked
#define vmem_vmar_find_place vmem_alone_vmar_find_place
#define vmem_vmar_init vmem_alone_vmar_init
#define vmem_vmar_map_locked vmem_alone_vmar_map_locked
#define vmem_vmar_populate vmem_alone_vmar_populate
#define vmem_vmar_protect_locked vmem_alone_vmar_protect_locked
#define vmem_vmar_survey vmem_alone_vmar_survey
#define vmem_vmar_unmap_locked vmem_alone_vmar_unmap_locked
#define vmem_vmar_within_limits vmem_alone_vmar_within_limits
#endif

#endif
