/* SPDX-License-Identifier: MIT */
/*
 * test_check.c - the validators find what they are for: each damage to a structure that they look at is
 * named by the very message, and is gone when it is mended.
 */
#include "core_fixture.h"

#include "frame.h"
#include "lineage.h"
#include "region.h"
#include "slab.h"

static __attribute__((noinline)) void finds(const char *text)
{
	PANICS(text, vmem_check());
}

/* vmem_check() says `text` while `place` is `value`, and nothing afterwards. */
#define DAMAGE(place, value, text)                                                                           \
	do {                                                                                                 \
		__typeof__(place) saved_ = (place);                                                          \
		(place) = (value);                                                                           \
		finds(text);                                                                                 \
		(place) = saved_;                                                                            \
		vmem_check();                                                                                \
	} while (0)

static struct vmem_page *page_behind(struct vmem_aspace *as, uint64_t va)
{
	struct vmem_translation t;
	assert_true(vmem_aspace_translate(as, va, &t));
	return pa_to_page(t.physical);
}

/* The slot at a key of a store, to be damaged. */
static slot_t *slot_at(struct store *store, uint64_t key)
{
	struct index_cursor cursor;
	assert_int_not_equal(vmem_index_find(&store->index, key, &cursor), SLOT_EMPTY);
	return &cursor.leaf->slot[key % INDEX_FANOUT];
}

/* Regions against their VMAR, their object and their keys. */
static void of_regions(void **state)
{
	const struct vmem_aspace_config strict = {.wx = true};
	struct vmem_aspace *as = space(), *wx = space_with(&strict);
	struct vmem_object *object = anonymous(4, 0);
	struct region *stray = NULL;
	(void)state;
	struct region *plain = vmem_region_find(as, map(as, 4, RW));
	struct region *shared = vmem_region_find(as, map_object(as, object, 0, 4, RW, VMEM_MAP_SHARED));
	struct region *code = vmem_region_find(wx, map(wx, 2, RX));
	DAMAGE(plain->aspace, wx, "another space");
	DAMAGE(plain->maximum, VMEM_READ, "R3, permission beyond maximum");
	DAMAGE(as->root.rights, VMEM_READ, "R3, permission beyond maximum");
	DAMAGE(code->permission, VMEM_RWX, "R3, a region is writable and executable");
	DAMAGE(plain->flags, VMEM_MAP_SHARED, "a shared region without object");
	DAMAGE(plain->private_key, plain->private_key + 1, "R2, the list of moved regions");
	DAMAGE(shared->map_pprev, NULL, "L3, a region is not listed");
	DAMAGE(shared->map_pprev, &stray, "L3, a region is not listed");
	DAMAGE(object->references, 0, "a region maps a dead object");
	DAMAGE(as->regions, 1, "regions are miscounted");
	DAMAGE(as->mapped, as->mapped + PAGE, "regions are miscounted");
	DAMAGE(as->max_regions, 1, "a quota is exceeded");
	DAMAGE(as->data, as->data + PAGE, "bytes of data are miscounted");
	DAMAGE(as->locked, PAGE, "locked bytes are miscounted");
	DAMAGE(as->pmap.open, 1, "still counts");
	DAMAGE(as->pmap.dropping, 1, "still counts");
	DAMAGE(as->max_bytes, PAGE, "a quota is exceeded");
	release(object);
	end(as);
	end(wx);
}

static void of_vmars(void **state)
{
	const struct vmem_map what = {.length = PAGES(16), .permission = RW};
	struct vmem_aspace *as = space(), *other = space();
	struct vmem_vmar *child;
	(void)state;
	OK(vmem_vmar_allocate(vmem_aspace_root(as), &what, &child));
	DAMAGE(child->parent, vmem_aspace_root(other), "a child VMAR does not fit");
	DAMAGE(child->aspace, other, "a child VMAR does not fit");
	DAMAGE(child->rights, VMEM_RWX | 8u, "a child VMAR does not fit");
	DAMAGE(child->tree.base, child->tree.base + PAGE, "a VMAR's bounds");
	DAMAGE(child->tree.length, child->tree.length - PAGE, "a VMAR's bounds");
	end(as);
	end(other);
}

/* The kernel's space: wired and eager, with a deposit. */
static void of_the_kernel(void **state)
{
	struct vmem_aspace *kernel = vmem_kernel_aspace();
	void *a;
	(void)state;
	OK(vmem_kernel_alloc(PAGES(2), &a));
	arch_pte_t *entry = vmem_pmap_lookup(&kernel->pmap, (uintptr_t)a + PAGE).slot;
	DAMAGE(*entry, 0, "K1, a page of a kernel region has no entry");
	DAMAGE(kernel->pmap.deposited, 1, "S1, the deposit");
	vmem_kernel_free(a);
}

/* Entries of private memory against regions and the space's own pages. */
static void of_entries(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	run(0, as);
	uint64_t va = map(as, 4, RW), hole = va + PAGES(8);
	fill(as, va, 3, 1);
	(void)get(as, 0, va + PAGES(3)); /* the zero page */
	struct region *region = vmem_region_find(as, va);
	struct vmem_page *page = page_behind(as, va + PAGE);
	arch_pte_t *entry = vmem_pmap_lookup(&as->pmap, va + PAGE).slot;
	DAMAGE(region->permission, VMEM_READ, "R5, an entry grants more");
	slot_t *slot = slot_at(as->private_store, va / PAGE);
	DAMAGE(*slot, slot_of_page(page), "R5, an entry shows another frame");
	DAMAGE(*slot, SLOT_ZERO, "R5, an entry shows another frame");
	DAMAGE(page->refs, 2, "F2, a shared page is writable");
	DAMAGE(*entry, arch_pte_make_leaf(page_to_pa(page), 0, RW | LEAF_ACCESSED),
	    "a user entry in the kernel half, or the reverse");
	assert_int_equal(vmem_pmap_enter(&as->pmap, hole, page_to_pa(page), 0, VMEM_READ), VMEM_OK);
	finds("R5, an entry outside every region");
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &as->pmap);
	vmem_pmap_remove(&as->pmap, hole, PAGE, &batch);
	vmem_batch_end(&batch);
	step();
	DAMAGE(as->private_store->owner, NULL, "a private store belongs to another space");
	end(as);
}

/* A space that does not have all of the user half: an entry beyond it is in no range that regions have. */
static void of_entries_beyond_the_space(void **state)
{
	const struct vmem_aspace_config narrow = {.start = LARGE, .length = LARGE};
	struct vmem_aspace *as = space_with(&narrow);
	(void)state;
	run(0, as);
	uint64_t va = map(as, 1, RW), beyond = 16 * LARGE;
	fill(as, va, 1, 1);
	struct vmem_page *page = page_behind(as, va);
	assert_int_equal(vmem_pmap_enter(&as->pmap, beyond, page_to_pa(page), 0, VMEM_READ), VMEM_OK);
	finds("R5, an entry outside every region, beyond the space");
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &as->pmap);
	vmem_pmap_remove(&as->pmap, beyond, PAGE, &batch);
	vmem_batch_end(&batch);
	step();
	end(as);
}

/* And of objects: anonymous, and fixed frames. */
static void of_entries_of_objects(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(4, 0), *device, *adjacent;
	(void)state;
	run(0, as);
	OK(vmem_object_create_physical(machine_config()->device.start, PAGES(2), VMEM_UNCACHED, &device));
	OK(vmem_object_create_contiguous(PAGES(2), 0, 0, VMEM_WRITE_BACK, &adjacent));
	uint64_t va = map_object(as, object, 0, 4, RW, VMEM_MAP_SHARED);
	uint64_t at_device = map_object(as, device, 0, 2, RW, VMEM_MAP_SHARED);
	fill(as, va, 4, 1);
	put(as, 0, at_device + PAGE, 1);
	DAMAGE(page_behind(as, va)->refs, 2, "F2, a shared page is writable");
	DAMAGE(*slot_at(object->store, 1), SLOT_ZERO, "R5, an entry shows another frame");
	DAMAGE(device->store->physical, device->store->physical + PAGE, "R5, an entry shows another frame");
	DAMAGE(device->store->pages, 1, "R5, an entry shows another frame");
	DAMAGE(pa_to_page(adjacent->store->physical)[1].kind, PAGE_USED, "a frame of a contiguous object");
	end(as);
	release(object);
	release(device);
	release(adjacent);
}

/* Without NX every page can be executed: what a region grants says nothing of what an entry was made for. */
static void of_write_and_execute(void **state)
{
	const struct core_options usual = {.asid_bits = -1, .remove = MACHINE_NX};
	(void)state;
	core_start(&usual);
	if (!(vmem_mmu.features & MMU_NX)) {
		struct vmem_aspace *as = space();
		run(0, as);
		uint64_t va = map(as, 1, RW);
		put(as, 0, va, 1);
		arch_pte_t *entry = vmem_pmap_lookup(&as->pmap, va).slot;
		as->wx = true;
		DAMAGE(*entry,
		    arch_pte_make_leaf(page_to_pa(page_behind(as, va)), 0,
			VMEM_RWX | LEAF_USER | LEAF_ACCESSED | LEAF_DIRTY),
		    "P6, a leaf writable and executable");
		as->wx = false;
		end(as);
	}
}

/* A record that nothing leads to is missed. */
static void lost_record(enum slab_id id, const char *text)
{
	void *record = vmem_slab_alloc(id);
	assert_non_null(record);
	finds(text);
	vmem_slab_free(id, record);
	vmem_check();
}

/* Counts of nodes and pages, and records that nobody holds. */
static void of_counts(void **state)
{
	struct vmem_object *object = anonymous(4, 0);
	struct store *store = object->store;
	struct index_node fake_node;
	(void)state;
	poke(object, 0, 1);
	DAMAGE(store->index.root->refs, 2, "I5, a node's count");
	fake_node = *store->index.root;
	DAMAGE(store->index.root, &fake_node, "an index node is no live node");
	DAMAGE(slot_page(*slot_at(store, 0))->refs, 2, "a page's count is not the number of slots");
	DAMAGE(slot_page(*slot_at(store, 0))->refs, 7, "a page's count is not the number of slots");
	lost_record(SLAB_INDEX_NODE, "an index node belongs to no index");
	lost_record(SLAB_STORE, "stores are miscounted");
	lost_record(SLAB_REGION, "a region record belongs to no space");
	void *dead = vmem_slab_alloc(SLAB_LINEAGE); /* one that is dead may be; two are more than live ones */
	assert_non_null(dead);
	vmem_check();
	lost_record(SLAB_LINEAGE, "L2, more dead lineage nodes");
	vmem_slab_free(SLAB_LINEAGE, dead);
	struct vmem_page *table = vmem_frame_take(PAGE_TABLE);
	finds("a page table belongs to no pmap");
	vmem_frame_give(table);
	release(object);
}

static void of_stores(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *object = anonymous(4, 0), *other = anonymous(1, 0);
	struct store *store = object->store, fake = *store;
	struct lineage stranger = *store->lineage;
	(void)state;
	struct region *region = vmem_region_find(as, map_object(as, object, 0, 4, RW, VMEM_MAP_SHARED));
	DAMAGE(*store->all_pprev, &fake, "a store on the list is dead");
	DAMAGE(store->references, 0, "a store on the list is dead");
	DAMAGE(region->object, NULL, "L3, a store lists a region of another");
	DAMAGE(region->object, other, "L3, a store lists a region of another");
	DAMAGE(store->mapping_count, 2, "mappings are miscounted");
	DAMAGE(store->lineage, &stranger, "a store without lineage");
	DAMAGE(store->lineage->store, other->store, "a store without lineage");
	end(as);
	struct vmem_object *heir[2] = {snapshot(object, 0, 4), snapshot(object, 0, 4)};
	struct lineage *node = store->lineage;
	release(object); /* its lineage node stays, dead, for the two */
	assert_null(node->store);
	DAMAGE(node->child, NULL, "L2, a dead lineage node without heirs to part");
	DAMAGE(node->child->next, NULL, "L2, a dead lineage node without heirs to part");
	release(heir[0]);
	release(heir[1]);
	release(other);
}

/* The frame of zeroes is nobody's to free or to map by its address. */
static void the_zero_frame_is_pinned(void **state)
{
	struct vmem_object *object;
	(void)state;
	PANICS("not an allocated frame of the host's", vmem_frame_free(vmem_zero_frame, 0));
	PANICS("a frame is given back that is not allocated", vmem_frame_give(vmem_zero_page));
	REFUSED(
	    VMEM_ERR_CONFLICT, vmem_object_create_physical(vmem_zero_frame, PAGE, VMEM_WRITE_BACK, &object));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(of_the_kernel),
	    CORE(of_regions),
	    CORE(of_vmars),
	    CORE(of_entries),
	    CORE(of_entries_beyond_the_space),
	    CORE(of_entries_of_objects),
	    cmocka_unit_test_teardown(of_write_and_execute, core_teardown),
	    CORE(of_counts),
	    CORE(of_stores),
	    CORE(the_zero_frame_is_pinned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
