/* SPDX-License-Identifier: MIT */
/*
 * check.c - the validator of an address space: regions against tree and quotas, entries against regions and
 * indexes. It changes nothing.
 */
#include "panic.h"
#include "commit_i.h"

struct totals {
	uint64_t regions, mapped, locked, data;
};

static bool grants(unsigned permission, unsigned access)
{
	return arch_leaf_grants(permission | LEAF_USER | LEAF_ACCESSED | LEAF_DIRTY, access);
}

static void check_region(const struct vmem_vmar *vmar, const struct region *region)
{
	VMEM_CHECK(region->aspace == vmar->aspace, "internal: a region lies in a VMAR of another space");
	VMEM_CHECK(!(region->permission & ~region->maximum) && !(region->maximum & ~vmar->rights),
	    "internal: R3, permission beyond maximum");
	VMEM_CHECK(
	    !vmar->aspace->wx || (region->permission & (VMEM_WRITE | VMEM_EXEC)) != (VMEM_WRITE | VMEM_EXEC),
	    "internal: R3, a region is writable and executable under W^X");
	VMEM_CHECK(!region_shared(region) || region->object, "internal: a shared region without object");
	VMEM_CHECK(
	    (region->moved_pprev != NULL) == (region->private_key != region->span.start >> VMEM_PAGE_SHIFT),
	    "internal: R2, the list of moved regions");
	if (region->object) {
		VMEM_CHECK(region->map_pprev && *region->map_pprev == region,
		    "internal: L3, a region is not listed by its store");
		VMEM_CHECK(region->object->references > 0, "internal: a region maps a dead object");
	}
}

static void check_vmar(const struct vmem_vmar *root, struct totals *totals)
{
	const struct vmem_vmar *vmar = root;
	const struct span *span = vmar->tree.first;
	vmem_span_check(&vmar->tree);
	for (;;) {
		if (!span) {
			if (vmar == root) {
				return;
			}
			span = vmar->span.next;
			vmar = vmar->parent;
			continue;
		}
		if (span->kind == SPAN_VMAR) {
			const struct vmem_vmar *child = (const struct vmem_vmar *)(const void *)span;
			VMEM_CHECK(child->parent == vmar && child->aspace == vmar->aspace &&
				       !(child->rights & ~vmar->rights),
			    "internal: a child VMAR does not fit its parent");
			VMEM_CHECK(child->tree.base == span->start && child->tree.length == span->length,
			    "internal: a VMAR's bounds");
			vmar = child;
			vmem_span_check(&vmar->tree);
			span = vmar->tree.first;
			continue;
		}
		check_region(vmar, (const struct region *)(const void *)span);
		totals->regions++;
		totals->mapped += span->length;
		totals->locked +=
		    (((const struct region *)(const void *)span)->attributes & VMEM_REGION_LOCKED)
			? span->length
			: 0;
		totals->data += region_is_data((const struct region *)(const void *)span) ? span->length : 0;
		span = span->next;
	}
}

/* The frame that user mode must see at va, and whether it may write it in place; false: none. */
static bool expected_frame(struct region *region, vmem_vaddr_t va, vmem_paddr_t *pa, bool *own)
{
	struct index_cursor cursor;
	slot_t slot = SLOT_EMPTY;
	*own = false;
	if (region_uses_keys(region)) {
		slot = vmem_index_find(
		    &region->aspace->private_store->index, region_private_key(region, va), &cursor);
		if (slot_kind(slot) == SLOT_ZERO || (slot == SLOT_EMPTY && !region->object)) {
			*pa = vmem_zero_frame;
			return true;
		}
		*own = slot != SLOT_EMPTY && slot_kind(slot) == SLOT_PAGE && index_exclusive(&cursor, slot);
	}
	if (slot == SLOT_EMPTY) {
		const struct store *store = region->object->store;
		uint64_t key = region_object_key(region, va);
		if (store->kind != STORE_ANONYMOUS) {
			*pa = store->physical + (key << VMEM_PAGE_SHIFT);
			*own = true;
			return key < store->pages;
		}
		slot = vmem_index_find(&store->index, key, &cursor);
		*own =
		    region_shared(region) && slot_kind(slot) == SLOT_PAGE && index_exclusive(&cursor, slot);
	}
	if (slot_kind(slot) != SLOT_PAGE) {
		return false;
	}
	*pa = page_to_pa(slot_page(slot));
	return true;
}

static void check_page(struct vmem_aspace *aspace, vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf)
{
	struct region *region = vmem_region_find(aspace, va);
	vmem_paddr_t expected;
	bool own;
	VMEM_CHECK(region, "internal: R5, an entry outside every region");
	VMEM_CHECK(((leaf & LEAF_USER) != 0) == !aspace->pmap.kernel,
	    "internal: a user entry in the kernel half, or the reverse");
	for (unsigned access = VMEM_READ; access <= VMEM_EXEC; access <<= 1) {
		VMEM_CHECK(!arch_leaf_grants(leaf | LEAF_ACCESSED | LEAF_DIRTY, access) ||
			       grants(region->permission, access) ||
			       aspace->pmap.kernel, /* of a part, its entries alone tell */
		    "internal: R5, an entry grants more than its region");
	}
	VMEM_CHECK(expected_frame(region, va, &expected, &own) && expected == pa,
	    "internal: R5, an entry shows another frame than the index");
	VMEM_CHECK(own || !(leaf & LEAF_WRITE), "internal: F2, a shared page is writable");
	VMEM_CHECK(!aspace->wx || (leaf & (LEAF_WRITE | LEAF_EXEC)) != (LEAF_WRITE | LEAF_EXEC),
	    "internal: P6, a leaf writable and executable");
}

/* Entries are met in the order of addresses: the run that has begun, and how many members are to come. */
struct entries {
	struct vmem_aspace *aspace;
	vmem_vaddr_t next_va;
	vmem_paddr_t next_pa;
	uint32_t leaf;
	unsigned left;
	uint64_t pages;	  /* that were met */
	uint64_t deposit; /* tables that they have in it (pmap_split.c, S1) */
};

/* (P8) */
static void check_contig(struct entries *e, vmem_vaddr_t va, vmem_paddr_t pa, uint32_t leaf)
{
	leaf &= ~(uint32_t)(LEAF_ACCESSED | LEAF_DIRTY);
	if (e->left == 0) {
		if (!(leaf & LEAF_CONTIG)) {
			return;
		}
		VMEM_CHECK(((va | pa) & (CONTIG_SIZE - 1)) == 0, "internal: P8, a run that is not aligned");
		e->left = ARCH_CONTIG_PAGES;
		e->leaf = leaf;
	} else {
		VMEM_CHECK(va == e->next_va && pa == e->next_pa && leaf == e->leaf,
		    "internal: P8, the members of a run disagree");
	}
	e->left--;
	e->next_va = va + VMEM_PAGE_SIZE;
	e->next_pa = pa + VMEM_PAGE_SIZE;
}

static void check_entry(void *arg, vmem_vaddr_t va, unsigned level, arch_pte_t entry)
{
	const bool parked = level & VISIT_PARKED;
	level &= ~VISIT_PARKED;
	uint32_t leaf = arch_pte_leaf(entry, level);
	vmem_paddr_t pa = arch_pte_pa_at(entry, level, va);
	struct entries *entries = arg;
	struct vmem_aspace *aspace = entries->aspace;
	uint64_t size = arch_level_size(level);
	entries->pages += size >> VMEM_PAGE_SHIFT;
	VMEM_CHECK(level == 0 || !(leaf & LEAF_CONTIG), "internal: P8, a run of large leaves");
	check_contig(entries, va, pa, leaf);
	leaf &= parked ? ~(uint32_t)LEAF_WRITE : UINT32_MAX;
	if (aspace->pmap.kernel) {
		entries->deposit += vmem_pmap_deposit_of(level);
		size = VMEM_PAGE_SIZE; /* of fixed frames: the last one follows from the first */
	}
	for (uint64_t offset = 0; offset < size; offset += VMEM_PAGE_SIZE) {
		check_page(aspace, va + offset, pa + offset, leaf);
	}
}

void vmem_aspace_check_layout(struct vmem_aspace *aspace)
{
	struct totals totals = {0};
	check_vmar(&aspace->root, &totals);
	VMEM_CHECK(totals.regions == aspace->regions && totals.mapped == aspace->mapped,
	    "internal: regions are miscounted");
	VMEM_CHECK(aspace->accounts || /* whose limits may be lowered at any time */
		       (aspace->regions <= aspace->max_regions && aspace->mapped <= aspace->max_bytes),
	    "internal: a quota is exceeded");
	vmem_pmap_check(&aspace->pmap);
	if (aspace->root.tree.length) {
		struct entries entries = {.aspace = aspace};
		vmem_pmap_visit(
		    &aspace->pmap, aspace->root.tree.base, aspace->root.tree.length, check_entry, &entries);
		/* vmem_pmap_check() has counted the leaves of the whole user half. */
		VMEM_CHECK(
		    aspace->pmap.kernel || entries.pages == vmem_pmap_counted(&aspace->pmap, COUNT_RESIDENT),
		    "internal: R5, an entry outside every region, beyond the space");
		VMEM_CHECK(entries.left == 0, "internal: P8, the members of a run disagree");
		VMEM_CHECK(!aspace->pmap.kernel || entries.pages == aspace->mapped >> VMEM_PAGE_SHIFT,
		    "internal: K1, a page of a kernel region has no entry");
		VMEM_CHECK(entries.deposit == aspace->pmap.deposited,
		    "internal: S1, the deposit is not what the large leaves take");
	}
	VMEM_CHECK(totals.data == aspace->data, "internal: bytes of data are miscounted");
	VMEM_CHECK(totals.locked == aspace->locked, "internal: A1, locked bytes are miscounted");
	VMEM_CHECK(!aspace->private_store || aspace->private_store->owner == aspace,
	    "internal: a private store belongs to another space");
}

void vmem_aspace_check(struct vmem_aspace *aspace)
{
	vmem_aspace_check_layout(aspace);
	if (aspace->private_store) {
		vmem_index_check(&aspace->private_store->index);
	}
}
