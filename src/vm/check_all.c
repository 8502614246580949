/* SPDX-License-Identifier: MIT */
/*
 * check_all.c - the validator of the whole library: every frame, node, table and record is accounted for by
 * somebody, exactly as often as its count says. Scratch space is where the structures have some: a node's
 * mark, a data page's prev link.
 *
 * A node that indexes share is met once on every walk that leads to it; what it points to is counted on the
 * first of them only. So each walk has a number, and a node remembers the first walk that met it (upper half
 * of mark) and how often something pointed to it (lower half). That all nodes that are met are alive follows
 * from their number: there are as many as are in use.
 */
#include <vmem/aspace.h>

#include "frame.h"
#include "panic.h"
#include "region.h"
#include "slab.h"

struct tally {
	uint64_t walk;
	uint64_t nodes;
};

/* Validators write scratch fields of nodes that they are shown as const. */
static struct index_node *scratch(const struct index_node *node)
{
	return (struct index_node *)(uintptr_t)node;
}

static void reset_node(
    void *arg, const struct index_node *node, const struct index_node *parent, bool exclusive)
{
	(void)arg;
	(void)parent;
	(void)exclusive;
	scratch(node)->mark = 0;
}

static void count_node(
    void *arg, const struct index_node *node, const struct index_node *parent, bool exclusive)
{
	struct tally *tally = arg;
	bool first = node->mark >> 32 == 0;
	(void)exclusive;
	if (first) {
		scratch(node)->mark = tally->walk << 32;
		tally->nodes++;
	}
	if (!parent || parent->mark >> 32 == tally->walk) {
		scratch(node)->mark++;
	}
	if (first && node->shift == 0) {
		for (unsigned i = 0; i < INDEX_FANOUT; i++) {
			slot_t slot = node->present >> i & 1 ? node->slot[i] : SLOT_EMPTY;
			if (slot_kind(slot) == SLOT_PAGE) {
				slot_page(slot)->prev++;
			}
		}
	}
}

static void verify_node(
    void *arg, const struct index_node *node, const struct index_node *parent, bool exclusive)
{
	(void)arg;
	(void)parent;
	(void)exclusive;
	VMEM_CHECK(
	    (uint32_t)node->mark == node->refs, "internal: I5, a node's count is not what points to it");
	VMEM_CHECK(vmem_slab_holds(SLAB_INDEX_NODE, node), "internal: an index node is no live node");
}

static void for_each_index(index_visit_fn *visit, struct tally *tally)
{
	tally->walk = 0;
	for (struct store *s = vmem_store_first(); s; s = vmem_store_next(s)) {
		tally->walk++;
		if (s->kind == STORE_ANONYMOUS) {
			vmem_index_visit(&s->index, visit, tally);
		}
	}
}

static void reset_pages(void)
{
	for (unsigned i = 0; i < vmem_page_ranges.count; i++) {
		const struct page_range *r = &vmem_page_ranges.range[i];
		for (uint64_t n = 0; n < r->count; n++) {
			if (r->pages[n].kind == PAGE_DATA) {
				r->pages[n].prev = 0;
			}
		}
	}
}

static void check_fixed_store(const struct store *store)
{
	if (store->kind == STORE_CONTIGUOUS) {
		struct vmem_page *page = pa_to_page(store->physical);
		for (uint64_t i = 0; i < store->pages; i++) {
			VMEM_CHECK(page[i].kind == PAGE_DATA,
			    "internal: a frame of a contiguous object is not its own");
			page[i].prev++;
		}
	}
}

static void check_pages(uint64_t *tables)
{
	for (unsigned i = 0; i < vmem_page_ranges.count; i++) {
		const struct page_range *r = &vmem_page_ranges.range[i];
		for (uint64_t n = 0; n < r->count; n++) {
			const struct vmem_page *page = &r->pages[n];
			VMEM_CHECK(page->kind != PAGE_DATA || page->refs == page->prev,
			    "internal: a page's count is not the number of slots that hold it");
			*tables += page->kind == PAGE_TABLE;
		}
	}
}

/* Nothing is past the end of what may be resized: it would show when the object grows (object.c O3). */
static void check_end(const struct vmem_object *object)
{
	uint64_t key = object->key + object->pages;
	slot_t slot;
	VMEM_CHECK(!(object->flags & VMEM_OBJECT_RESIZABLE) ||
		       !vmem_index_next(&object->store->index, &key, INDEX_KEY_LAST, &slot, NULL),
	    "internal: O3, content past the end of an object");
}

void vmem_store_check(struct store *store)
{
	uint64_t mappings = 0;
	VMEM_CHECK(vmem_slab_owns(SLAB_STORE, store) && store->references > 0,
	    "internal: a store on the list is dead");
	for (const struct region *r = store->mappings; r; r = r->map_next) {
		VMEM_CHECK(r->object && r->object->store == store,
		    "internal: L3, a store lists a region of another");
		check_end(r->object);
		mappings++;
	}
	VMEM_CHECK(mappings == store->mapping_count, "internal: mappings are miscounted");
	if (store->kind == STORE_ANONYMOUS) {
		vmem_index_check(&store->index);
		VMEM_CHECK(vmem_slab_owns(SLAB_LINEAGE, store->lineage) && store->lineage->store == store,
		    "internal: a store without lineage");
		for (const struct lineage *node = store->lineage->parent; node; node = node->parent) {
			VMEM_CHECK(node->store || (node->child && node->child->next),
			    "internal: L2, a dead lineage node without heirs to part");
		}
	}
}

void vmem_check(void)
{
	struct tally tally = {0};
	uint64_t stores = 0, anonymous = 0, regions = 0, tables = 0, expected_tables = 0;
	reset_pages();
	for_each_index(reset_node, &tally);
	for_each_index(count_node, &tally);
	for_each_index(verify_node, &tally);
	for (struct store *s = vmem_store_first(); s; s = vmem_store_next(s)) {
		vmem_store_check(s);
		check_fixed_store(s);
		stores++;
		anonymous += s->kind == STORE_ANONYMOUS;
	}
	for (struct vmem_aspace *a = vmem_aspace_first(); a; a = a->all_next) {
		vmem_aspace_check_layout(a); /* its store was among the stores */
		regions += a->regions;
		expected_tables += a->pmap.tables + a->pmap.deposited;
	}
	check_pages(&tables);
	/* So none of what was met is free on a CPU's list: it would count here, and not there. */
	VMEM_CHECK(
	    tally.nodes == vmem_slab_in_use(SLAB_INDEX_NODE), "internal: an index node belongs to no index");
	VMEM_CHECK(stores == vmem_slab_in_use(SLAB_STORE), "internal: stores are miscounted");
	VMEM_CHECK(regions == vmem_slab_in_use(SLAB_REGION), "internal: a region record belongs to no space");
	VMEM_CHECK(vmem_slab_in_use(SLAB_LINEAGE) <= 2 * anonymous,
	    "internal: L2, more dead lineage nodes than live ones");
	VMEM_CHECK(tables == expected_tables, "internal: a page table belongs to no pmap");
	vmem_frame_check();
	vmem_slab_check();
}
