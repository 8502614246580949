/* SPDX-License-Identifier: MIT */
/*
 * test_lineage.c - the reverse map and the family tree of stores (store.h, L1 and L2), and regions with
 * foreign private keys (region.h, R2): what DESIGN.md claims before the records are fixed.
 */
#include "core_fixture.h"

#include "lineage.h"
#include "region.h"
#include "slab.h"

struct found {
	unsigned count;
	uint64_t va[64];
	struct vmem_aspace *space[64];
};

static void note(void *arg, struct region *region, vmem_vaddr_t va)
{
	struct found *found = arg;
	assert_true(found->count < 64);
	found->va[found->count] = va;
	found->space[found->count++] = region->aspace;
}

static struct found translations(struct vmem_object *object, uint64_t page)
{
	struct found found = {0};
	vmem_paddr_t pa;
	assert_int_equal(vmem_object_frame(object, page * PAGE, &pa), VMEM_OK);
	vmem_page_translations(pa_to_page(pa), note, &found);
	return found;
}

static bool has(const struct found *found, struct vmem_aspace *space, uint64_t va)
{
	for (unsigned i = 0; i < found->count; i++) {
		if (found->space[i] == space && found->va[i] == va) {
			return true;
		}
	}
	return false;
}

/* A page is found wherever a relative shows it, and nowhere else. */
static void found_through_snapshots(void **state)
{
	struct vmem_aspace *as = space(), *bs = space();
	struct vmem_object *a = anonymous(20, 0);
	(void)state;
	run(0, as);
	uint64_t va = map_object(as, a, 0, 20, RW, VMEM_MAP_SHARED);
	fill(as, va, 20, 100);
	struct vmem_object *b = snapshot(a, 5, 10),
			   *c = snapshot(b, 2, 8); /* windows: keys stay, offsets move */
	uint64_t vb = map_object(bs, b, 0, 10, RW, VMEM_MAP_SHARED),
		 vc = map_object(bs, c, 0, 8, RW, VMEM_MAP_SHARED);
	struct found f = translations(a, 8);
	assert_int_equal(f.count, 3);
	assert_true(has(&f, as, va + PAGES(8)) && has(&f, bs, vb + PAGES(3)) && has(&f, bs, vc + PAGES(1)));
	poke(b, 3, 1); /* b has a page of its own now, at the same key */
	f = translations(a, 8);
	assert_int_equal(f.count, 2);
	assert_true(has(&f, as, va + PAGES(8)) && has(&f, bs, vc + PAGES(1)));
	f = translations(b, 3);
	assert_int_equal(f.count, 1);
	assert_true(has(&f, bs, vb + PAGES(3)));
	f = translations(a, 19); /* outside the windows */
	assert_int_equal(f.count, 1);
	end(as);
	end(bs);
	release(a);
	release(b);
	release(c);
}

/* A private page is found through the one region of its space that has the key. */
static void found_in_private_memory(void **state)
{
	struct vmem_aspace *as = space();
	struct found f = {0};
	struct vmem_translation t;
	(void)state;
	run(0, as);
	uint64_t va = map(as, 8, RW);
	fill(as, va, 8, 1);
	assert_true(vmem_aspace_translate(as, va + PAGES(5), &t));
	vmem_page_translations(pa_to_page(t.physical), note, &f);
	assert_int_equal(f.count, 1);
	assert_true(has(&f, as, va + PAGES(5)));
	end(as);
}

/* Whoever of a family dies first, the pages of the others stay findable, and dead nodes stay fewer than live
 * ones. */
static void every_order_of_deaths(void **state)
{
	static const uint8_t order[6][4] = {
	    {0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {1, 2, 0, 3}, {2, 0, 1, 3}, {0, 3, 1, 2}};
	(void)state;
	for (unsigned n = 0; n < 6; n++) {
		struct vmem_aspace *as = space();
		struct vmem_object *o[4];
		uint64_t va[4];
		bool alive[4] = {true, true, true, true};
		run(0, as);
		o[0] = anonymous(4, 0);
		poke(o[0], 1, 7);
		o[1] = snapshot(o[0], 0, 4);
		poke(o[1], 2, 8);
		o[2] = snapshot(o[1], 0, 4); /* a chain, and a fork in it */
		o[3] = snapshot(o[1], 0, 4);
		for (unsigned i = 0; i < 4; i++) {
			va[i] = map_object(as, o[i], 0, 4, RW, VMEM_MAP_SHARED);
		}
		for (unsigned k = 0; k < 4; k++) {
			unsigned dead = order[n][k];
			unmap(as, va[dead], 4);
			release(o[dead]);
			alive[dead] = false;
			for (unsigned i = 0; i < 4; i++) {
				if (alive[i]) {
					struct found f = translations(o[i], 1);
					assert_int_equal(peek(o[i], 1), 7);
					assert_int_equal(f.count, 4 - 1 - k);
					assert_true(has(&f, as, va[i] + PAGE));
				}
			}
		}
		end(as);
	}
	assert_int_equal(vmem_slab_in_use(SLAB_LINEAGE), 0);
}

/* A dead node goes from the middle of its siblings, and its heir takes its place among them. */
static void heir_among_siblings(void **state)
{
	struct vmem_object *a = anonymous(4, 0);
	(void)state;
	poke(a, 0, 1);
	assert_true(vmem_index_reserve(&a->store->index, 1));
	(void)vmem_index_set(&a->store->index, 3, SLOT_ZERO, NULL); /* no page: not handed over */
	vmem_index_unclaim(&a->store->index);
	struct vmem_object *elder = snapshot(a, 0, 4), *middle = snapshot(a, 0, 4);
	struct vmem_object *younger = snapshot(a, 0, 4);
	poke(middle, 1, 2);
	struct vmem_object *heir = snapshot(middle, 0, 4);
	release(middle);
	assert_ptr_equal(a->store->lineage->child->next, heir->store->lineage);
	assert_ptr_equal(heir->store->lineage->next, elder->store->lineage);
	assert_int_equal(peek(heir, 1), 2);
	release(elder);
	assert_null(heir->store->lineage->next);
	release(heir);
	assert_null(a->store->lineage->child->next);
	release(younger);
	release(a);
	assert_int_equal(vmem_slab_in_use(SLAB_LINEAGE), 0);
}

/* Snapshot and let the parent die, over and over: nothing grows. */
static void chains_do_not_grow(void **state)
{
	struct vmem_object *parent = anonymous(8, 0), *child, *grandchild;
	(void)state;
	poke(parent, 3, 42);
	child = snapshot(parent, 0, 8);
	uint64_t data = frames_now().data;
	for (unsigned i = 0; i < 1000; i++) { /* the child is a parent itself before its parent dies */
		machine_operation();
		assert_int_equal(vmem_object_snapshot(child, 0, PAGES(8), &grandchild), VMEM_OK);
		uint64_t value = i;
		assert_int_equal(vmem_object_write(child, PAGES(1), &value, 8, NULL), VMEM_OK);
		vmem_object_release(parent);
		parent = child;
		child = grandchild;
		assert_true(vmem_slab_in_use(SLAB_LINEAGE) <= 3);
	}
	step();
	assert_int_equal(peek(child, 3), 42);
	assert_true(frames_now().data <= data + 2);
	struct found f = translations(child, 3);
	assert_int_equal(f.count, 0);
	release(parent);
	release(child);
}

/* A region that was given other keys than its addresses say shows its pages, is found by key, splits and
 * merges. */
static void foreign_keys(void **state)
{
	struct vmem_aspace *as = space();
	(void)state;
	struct vmem_map mergeable = {.length = PAGES(8), .permission = RW, .maximum = VMEM_RWX};
	vmem_vaddr_t va, next;
	run(0, as);
	OK(vmem_vmar_map(vmem_aspace_root(as), &mergeable, &va));
	struct region *r = vmem_region_find(as, va);
	uint64_t key = UINT64_C(1) << 50;
	vmem_region_set_key(r, key);
	step();
	fill(as, va, 8, 50);
	assert_ptr_equal(vmem_region_find_key(as, key + 7), r);
	assert_null(vmem_region_find_key(as, key + 8));
	assert_null(vmem_region_find_key(as, va / PAGE)); /* its address is no key any more */
	protect(as, va + PAGES(3), 2, VMEM_READ);
	assert_int_equal(regions(as), 3);
	assert_int_equal(region_at(as, va + PAGES(3)).key, key + 3);
	assert_int_equal(region_at(as, va + PAGES(5)).key, key + 5);
	expect(as, va, 8, 50);
	struct vmem_translation t;
	struct found f = {0};
	assert_true(vmem_aspace_translate(as, va + PAGES(6), &t));
	vmem_page_translations(pa_to_page(t.physical), note, &f);
	assert_int_equal(f.count, 1);
	assert_true(has(&f, as, va + PAGES(6)));
	protect(as, va + PAGES(3), 2, RW);
	assert_int_equal(regions(as), 1);
	mergeable.length = PAGES(2);
	mergeable.place = VMEM_PLACE_FIXED;
	mergeable.address = va + PAGES(8);
	OK(vmem_vmar_map(
	    vmem_aspace_root(as), &mergeable, &next)); /* a neighbour with keys of its own does not merge */
	assert_int_equal(regions(as), 2);
	put(as, 0, next, 3);
	expect(as, va, 8, 50);
	unmap(as, va + PAGE, 2);
	assert_int_equal(region_at(as, va + PAGES(3)).key, key + 3);
	assert_null(vmem_region_find_key(as, key + 1));
	expect(as, va + PAGES(3), 5, 53);
	unmap(as, va, 8);
	assert_null(as->moved);
	assert_int_equal(get(as, 0, next), 3);
	end(as);
}

/* What a store of the same family sees at a key: the word at an offset of its page. */
static uint64_t word(struct store *store, uint64_t key, unsigned offset)
{
	uint64_t value;
	slot_t slot = vmem_index_find(&store->index, key, NULL);
	assert_int_equal(slot_kind(slot), SLOT_PAGE);
	memcpy(&value, (const char *)page_to_virt(slot_page(slot)) + offset, sizeof(value));
	return value;
}

/* A snapshot of a space's own store: each write takes the page apart, until nobody shares it any more. */
static void private_memory_shared(void **state)
{
	struct vmem_aspace *as = space();
	struct store *copy;
	(void)state;
	run(0, as);
	run(1, as);
	machine_cpu_set(0);
	uint64_t va = map(as, 4, RW);
	fill(as, va, 4, 10);
	SWEEP(0, vmem_store_snapshot(as->private_store, va / PAGE, va / PAGE + 3, &copy));
	warm();
	assert_false(hardware(1, va, MACHINE_WRITE, MACHINE_USER));
	put(as, 0, va + 8, 99);
	assert_int_equal(get(as, 1, va), 10); /* the rest came along */
	assert_int_equal(word(copy, va / PAGE, 8), 0);
	assert_int_equal(word(copy, va / PAGE, 0), 10);
	assert_int_equal(get(as, 0, va + PAGES(3)), 13); /* shared for reading */
	put(as, 1, va + PAGES(3), 98);			 /* and taken apart after a read */
	assert_int_equal(get(as, 0, va + PAGES(3)), 98);
	assert_int_equal(word(copy, va / PAGE + 3, 0), 13);
	assert_int_equal(stats_of(as).faults_copied, 2);
	step();
	vmem_store_release(copy);
	put(as, 0, va + PAGE, 97); /* nobody has it any more: written in place */
	assert_int_equal(stats_of(as).faults_copied, 2);
	expect(as, va + PAGES(2), 1, 12);
	step();
	end(as);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(found_through_snapshots),
	    CORE(found_in_private_memory),
	    CORE(every_order_of_deaths),
	    CORE(heir_among_siblings),
	    CORE(chains_do_not_grow),
	    CORE(foreign_keys),
	    CORE(private_memory_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
