/* SPDX-License-Identifier: MIT */
/*
 * test_store.c - stores where objects do not lead: copies of a space's own pages, two pages at once, slots
 * that hold no page, windows that show nothing of what changes, and promises that somebody broke.
 */
#include "core_fixture.h"

#include "frame.h"
#include "region.h"
#include "slab.h"

static void set_slot(struct store *store, uint64_t key, slot_t slot)
{
	store_lock(store);
	assert_true(vmem_index_reserve(&store->index, 1));
	vmem_slot_drop(vmem_index_set(&store->index, key, slot, NULL));
	store_unlock(store);
}

static vmem_status_t own_two(struct store *store, uint64_t low, uint64_t high)
{
	store_lock(store);
	vmem_status_t status = vmem_store_own_two(store, low, high);
	store_unlock(store);
	return status;
}

static void cut(struct vmem_aspace *as, uint64_t va, uint64_t pages, uint32_t keep)
{
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &as->pmap);
	vmem_pmap_restrict(&as->pmap, va, PAGES(pages), keep, &batch);
	vmem_batch_end(&batch);
}

/* Pages of a space that a snapshot shares: read in place, copied by a store, and no memory is an answer. */
static void shared_private_pages(void **state)
{
	struct vmem_aspace *as = space();
	struct store *copy;
	(void)state;
	run(0, as);
	uint64_t va = map(as, 3, RW), key = va / PAGE;
	fill(as, va, 3, 10);
	cut(as, va, 3, VMEM_READ); /* a private store lists no mappings: its owner cuts them */
	assert_int_equal(vmem_store_snapshot(as->private_store, key, key + 2, &copy), VMEM_OK);
	step();
	expect(as, va, 3, 10);
	uint64_t copied = stats_of(as).faults_copied;
	for (uint64_t n = 1;; n++) {
		machine_fail_at(n);
		machine_operation();
		enum vmem_fault_result result = vmem_fault(as, va + PAGE, VMEM_WRITE);
		machine_fail_at(0);
		step();
		if (result == VMEM_FAULT_RESOLVED) {
			assert_true(n > 1);
			break;
		}
		assert_int_equal(result, VMEM_FAULT_NO_MEMORY);
	}
	put(as, 0, va + PAGE, 99);
	put(as, 0, va + PAGES(2), 98);
	step();
	assert_int_equal(stats_of(as).faults_copied, copied + 2);
	slot_t slot = vmem_index_find(&copy->index, key + 1, NULL);
	assert_int_equal(*(uint64_t *)page_to_virt(slot_page(slot)), 11);
	assert_int_equal(get(as, 0, va + PAGE), 99);
	unmap(as, va, 3);
	vmem_store_release(copy);
	step();
	end(as);
}

static void two_pages(void **state)
{
	struct vmem_object *object = anonymous(200, 0);
	struct store *store = object->store;
	(void)state;
	SWEEP(3, own_two(store, 0, 130)); /* empty: both are filled */
	assert_int_equal(peek(object, 0) | peek(object, 130), 0);
	OK(own_two(store, 0, 130)); /* nothing is left to do */
	OK(own_two(store, 0, 0));
	SWEEP(2, own_two(store, 0, 70)); /* one is there */
	SWEEP(2, own_two(store, 71, 70));
	SWEEP(2, own_two(store, 150, 150));
	poke(object, 70, 5);
	struct vmem_object *child = snapshot(object, 0, 200);
	poke(object, 0, 7);
	SWEEP(0, own_two(store, 0, 70));
	poke(object, 70, 6);
	assert_int_equal(peek(child, 70), 5);
	assert_int_equal(info_of(object).resident, 5);
	release(child);
	release(object);
}

/* A slot that says "zero" hides what lies below it, counts for nothing, and becomes a page like a hole. */
static void slots_without_page(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(6, 0);
	struct vmem_translation t;
	(void)state;
	run(0, as);
	poke(object, 0, 1);
	poke(object, 1, 2);
	set_slot(object->store, 2, SLOT_ZERO);
	assert_int_equal(info_of(object).resident, 2);
	assert_int_equal(peek(object, 2), 0);
	uint64_t va = map_object(as, object, 0, 6, RW, 0), resident, shared;
	const struct vmem_region_info region = region_at(as, va);
	vmem_region_residence(as, &region, &resident, &shared);
	assert_int_equal(resident, 2);
	set_slot(as->private_store, va / PAGE, SLOT_ZERO);
	set_slot(as->private_store, va / PAGE + 1, SLOT_ZERO);
	set_slot(as->private_store, va / PAGE + 5, SLOT_GUARD);
	assert_int_equal(get(as, 0, va), 0); /* not the object's 1 */
	assert_true(vmem_aspace_translate(as, va, &t));
	assert_int_equal(t.physical, vmem_zero_frame);
	step();
	put(as, 0, va + PAGE, 3);
	step();
	assert_int_equal(peek(object, 1), 2);
	DENIED(VMEM_FAULT_GUARD, as, 0, va + PAGES(5), MACHINE_READ);
	OK(vmem_object_commit(object, 0, PAGES(6)));
	assert_int_equal(info_of(object).resident, 6);
	assert_int_equal(peek(object, 1), 2);
	end(as);
	release(object);
}

/* Mappings that show other pages than those that change keep what they have. */
static void windows_elsewhere(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(12, VMEM_OBJECT_RESIZABLE);
	(void)state;
	run_all(as);
	for (uint64_t i = 0; i < 12; i++) {
		poke(object, i, 100 + i);
	}
	uint64_t middle = map_object(as, object, 4, 4, RW, VMEM_MAP_SHARED);
	uint64_t copies = map_object(as, object, 2, 4, RW, 0);
	expect(as, middle, 4, 104);
	fill(as, copies, 4, 50);
	warm();
	uint64_t resident = stats_of(as).resident;
	OK(vmem_object_decommit(object, 0, PAGES(2)));
	OK(vmem_object_decommit(object, PAGES(9), PAGES(2)));
	OK(vmem_object_resize(object, PAGES(9)));
	struct vmem_object *low = snapshot(object, 0, 2), *high = snapshot(object, 8, 1);
	assert_int_equal(stats_of(as).resident, resident);
	expect(as, middle, 4, 104);
	expect(as, copies, 4, 50);
	OK(vmem_object_resize(object, PAGES(3))); /* now what both show is cut */
	assert_int_equal(get(as, 0, copies), 50);
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, copies + PAGE, MACHINE_READ);
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, middle, MACHINE_READ);
	release(low);
	release(high);
	end(as);
	release(object);
}

static void count(void *arg, struct region *region, vmem_vaddr_t va)
{
	(void)region;
	(void)va;
	(*(unsigned *)arg)++;
}

/* The reverse map tells of no place for a page that no region shows. */
static void nobody_shows(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(8, 0);
	unsigned found = 0;
	(void)state;
	poke(object, 0, 1);
	poke(object, 7, 1);
	(void)map_object(as, object, 2, 4, RW, VMEM_MAP_SHARED);
	for (uint64_t key = 0; key < 8; key += 7) {
		vmem_page_translations(
		    slot_page(vmem_index_find(&object->store->index, key, NULL)), count, &found);
	}
	store_lock(as->private_store);
	struct vmem_page *stray = vmem_store_own_page(as->private_store, 12345);
	assert_non_null(stray);
	vmem_page_translations(stray, count, &found);
	assert_int_equal(found, 0);
	vmem_store_forget(as->private_store, 12345, 12345);
	store_unlock(as->private_store);
	end(as);
	release(object);
}

static void breaches(void **state)
{
	struct vmem_object *object = anonymous(4, 0), *other = anonymous(4, 0);
	static struct vmem_page *taken[65536];
	static void *node[64];
	unsigned frames = 0, nodes = 0;
	struct region nobody;
	(void)state;
	object->store->mappings = &nobody;
	PANICS("store->mappings == NULL", vmem_store_release(object->store));
	object->store->mappings = NULL;
	object->store->references = 1;
	step();
	poke(object, 0, 1);
	poke(object, 1, 2);
	poke(other, 0, 1);
	struct vmem_object *a = snapshot(object, 0, 4), *b = snapshot(other, 0, 4);
	vmem_slab_release(SLAB_INDEX_NODE, 1); /* one promise too few */
	vmem_slab_trim();
	while ((taken[frames] = vmem_frame_take_reserved(PAGE_TABLE)) != NULL) {
		frames++;
	}
	while (vmem_slab_types[SLAB_INDEX_NODE].free + vmem_slab_cpus[0].of[SLAB_INDEX_NODE].count != 0) {
		node[nodes++] = vmem_slab_alloc(SLAB_INDEX_NODE);
	}
	PANICS("a promise of nodes to a snapshot was broken", (void)vmem_object_decommit(object, 0, PAGE));
	while (nodes != 0) {
		vmem_slab_free(SLAB_INDEX_NODE, node[--nodes]);
	}
	while (frames != 0) {
		vmem_frame_give(taken[--frames]);
	}
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 1));
	step();
	release(a);
	release(b);
	release(object);
	release(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(shared_private_pages),
	    CORE(two_pages),
	    CORE(slots_without_page),
	    CORE(windows_elsewhere),
	    CORE(nobody_shows),
	    CORE(breaches),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
