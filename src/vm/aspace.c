/* SPDX-License-Identifier: MIT */
/*
 * aspace.c - address spaces: how they begin and end, and what can be asked of them. Structures and
 * invariants are in region.h.
 *
 * Locks: the space's for what is asked of its layout, a store's for its content; a byte for the list of
 * spaces.
 */
#include "frame.h"
#include "panic.h"
#include "region.h"
#include "slab.h"

#define USER_MARGIN                                                                                          \
	UINT64_C(0x10000) /* neither null pointers nor the last bytes below the hole are ever valid */

/* In a line of its own: making a space is nothing that others feel. */
static struct {
	struct vmem_aspace *first;
	uint64_t seed;		/* of those that are given none */
	struct vmem_mutex lock; /* of both; its byte alone: a spin lock */
} __attribute__((aligned(64))) all;

void vmem_aspaces_init(void)
{
	all.first = NULL;
	all.lock.held = 0;
}

struct vmem_aspace *vmem_aspace_first(void)
{
	return all.first;
}

void vmem_aspace_add(struct vmem_aspace *aspace)
{
	spin_take(&all.lock.held, LOCK_LIST);
	aspace->all_next = all.first;
	aspace->all_pprev = &all.first;
	if (all.first) {
		all.first->all_pprev = &aspace->all_next;
	}
	all.first = aspace;
	spin_give(&all.lock.held, LOCK_LIST);
}

static uint64_t next_seed(void)
{
	spin_take(&all.lock.held, LOCK_LIST);
	uint64_t seed = vmem_random_next(&all.seed) ^ vmem_library_seed;
	spin_give(&all.lock.held, LOCK_LIST);
	return seed;
}

uint64_t vmem_aspace_user_size(void)
{
	return UINT64_C(1) << (vmem_mmu.features & MMU_SPLIT_ROOTS ? vmem_mmu.va_bits
								   : vmem_mmu.va_bits - 1u);
}

static vmem_status_t check_config(
    const struct vmem_aspace_config *config, vmem_vaddr_t *start, uint64_t *length)
{
	uint64_t size = vmem_aspace_user_size();
	*start = config->start;
	*length = config->length;
	if (config->entropy_bits > 36 || !vmem_page_aligned(config->start) ||
	    !vmem_page_aligned(config->length)) {
		return VMEM_ERR_INVALID;
	}
	if (config->length == 0) {
		*start = USER_MARGIN;
		*length = size - 2 * USER_MARGIN;
		return config->start == 0 ? VMEM_OK : VMEM_ERR_INVALID;
	}
	return config->start < size && config->length <= size - config->start ? VMEM_OK : VMEM_ERR_RANGE;
}

vmem_status_t vmem_aspace_create(const struct vmem_aspace_config *config, struct vmem_aspace **out)
{
	return vmem_aspace_create_below(config, NULL, out);
}

vmem_status_t vmem_aspace_create_below(
    const struct vmem_aspace_config *config, const struct vmem_aspace *parent, struct vmem_aspace **out)
{
	vmem_vaddr_t start;
	uint64_t length;
	vmem_status_t status = check_config(config, &start, &length);
	if (status != VMEM_OK) {
		return status;
	}
	struct vmem_aspace *aspace = vmem_slab_alloc(SLAB_ASPACE);
	if (!aspace) {
		return VMEM_ERR_NO_MEMORY;
	}
	*aspace = (struct vmem_aspace){
	    .max_bytes = config->max_bytes ? config->max_bytes : UINT64_MAX,
	    .max_regions = config->max_regions ? config->max_regions : UINT64_MAX,
	    .max_data = UINT64_MAX,
	    .max_stack = UINT64_MAX,
	    .max_locked = UINT64_MAX,
	    .min_growth = start,
	    .random = config->seed ? config->seed : next_seed(),
	    .entropy_bits = config->entropy_bits,
	    .wx = config->wx,
	    .large = config->large,
	    .access = config->access,
	};
	status = vmem_store_create(&aspace->private_store, aspace, parent ? parent->private_store : NULL);
	if (status == VMEM_OK) {
		status = vmem_pmap_init(&aspace->pmap, config->wx);
		if (status != VMEM_OK) {
			vmem_store_release(aspace->private_store);
		}
	}
	if (status != VMEM_OK) {
		vmem_slab_free(SLAB_ASPACE, aspace);
		return status;
	}
	vmem_vmar_init(&aspace->root, aspace, NULL, start, length, VMEM_RWX);
	vmem_aspace_add(aspace);
	*out = aspace;
	return VMEM_OK;
}

void vmem_aspace_destroy(struct vmem_aspace *aspace)
{
	struct region *none = NULL;
	aspace_lock(aspace);
	VMEM_CHECK(!aspace->pmap.kernel, "the kernel's own space cannot be destroyed");
	VMEM_CHECK(
	    !vmem_pmap_is_active(&aspace->pmap), "an address space is destroyed while a CPU runs on it");
	for (struct span *s = aspace->root.tree.first, *next; s; s = next) {
		next = s->next;
		if (s->kind == SPAN_VMAR) {
			vmem_vmar_destroy_locked(vmar_of(s));
		}
	}
	vmem_vmar_remove(&aspace->root, aspace->root.tree.base, aspace->root.tree.length, &none);
	vmem_pmap_fini(&aspace->pmap);
	aspace_unlock(aspace);
	vmem_store_release(aspace->private_store);
	spin_take(&all.lock.held, LOCK_LIST);
	*aspace->all_pprev = aspace->all_next;
	aspace->all_next->all_pprev = aspace->all_pprev; /* the kernel's is the last, and stays */
	spin_give(&all.lock.held, LOCK_LIST);
	vmem_slab_free(SLAB_ASPACE, aspace);
	vmem_slab_settle();
}

void vmem_aspace_activate(struct vmem_aspace *aspace)
{
	vmem_pmap_activate(aspace ? &aspace->pmap : NULL);
}

struct vmem_vmar *vmem_aspace_root(struct vmem_aspace *aspace)
{
	return &aspace->root;
}

vmem_vaddr_t vmem_vmar_start(const struct vmem_vmar *vmar)
{
	return vmar->tree.base;
}

uint64_t vmem_vmar_length(const struct vmem_vmar *vmar)
{
	return vmar->tree.length;
}

static bool region_next(struct vmem_aspace *aspace, vmem_vaddr_t address, struct vmem_region_info *out)
{
	const struct region *region = vmem_region_find_from(aspace, address);
	if (!region) {
		return false;
	}
	const struct span *span = &region->span;
	*out = (struct vmem_region_info){
	    .start = span->start,
	    .length = span->length,
	    .permission = region->permission,
	    .maximum = region->maximum,
	    .flags = region->flags,
	    .attributes = region->attributes,
	    .object = region->object,
	    .offset = region->offset << VMEM_PAGE_SHIFT,
	    .key = region->private_key,
	    .cache = region->object ? (vmem_cache_t)region->object->store->cache : VMEM_WRITE_BACK,
	    .cookie = region->cookie,
	};
	return true;
}

bool vmem_region_next(struct vmem_aspace *aspace, vmem_vaddr_t address, struct vmem_region_info *out)
{
	aspace_lock(aspace);
	bool found = region_next(aspace, address, out);
	aspace_unlock(aspace);
	return found;
}

/* Pages in keys [first, last] of a store, and of these the ones somebody else can reach too. */
static void count_pages(
    struct store *store, uint64_t first, uint64_t last, uint64_t *resident, uint64_t *shared)
{
	slot_t slot;
	bool exclusive;
	store_lock(store);
	for (uint64_t key = first;
	     key <= last && vmem_index_next(&store->index, &key, last, &slot, &exclusive); key++) {
		if (slot_kind(slot) == SLOT_PAGE) {
			*resident += 1;
			*shared += !exclusive || shared_load(&slot_page(slot)->refs) > 1;
		}
		pause_after(60);
	}
	store_unlock(store);
}

/* True if a region of another space shows the page of the store at key. */
static bool other_space_shows(const struct store *store, const struct vmem_aspace *aspace, uint64_t key)
{
	for (const struct region *r = store->mappings; r; r = r->map_next) {
		if (r->aspace != aspace &&
		    key - region_object_key(r, r->span.start) < r->span.length >> VMEM_PAGE_SHIFT) {
			return true;
		}
		pause_after(12);
	}
	return false;
}

/* With the store of its object locked: pages of the object that a region shows; a private region shows them
 * where it has no copy, and they are the object's too. */
static void count_shown(const struct region *region, uint64_t *resident, uint64_t *shared)
{
	const struct store *store = region->object->store, *private_store = region->aspace->private_store;
	uint64_t first = region_object_key(region, region->span.start), end = region->object->pages;
	uint64_t pages = region->span.length >> VMEM_PAGE_SHIFT;
	end = end > region->offset ? end - region->offset : 0;
	pages = pages < end ? pages : end;
	for (uint64_t key = first; key - first < pages; key++) {
		slot_t slot = SLOT_EMPTY;
		bool exclusive = true;
		if (store->kind == STORE_ANONYMOUS) {
			if (!vmem_index_next(&store->index, &key, first + pages - 1, &slot, &exclusive)) {
				return;
			}
			if (slot_kind(slot) != SLOT_PAGE) {
				continue;
			}
			exclusive = exclusive && shared_load(&slot_page(slot)->refs) == 1;
		}
		if (!region_shared(region)) {
			uint64_t own = region->private_key + (key - first);
			if (vmem_index_find(&private_store->index, own, NULL) != SLOT_EMPTY) {
				continue;
			}
			exclusive = false;
		}
		*resident += 1;
		*shared += !exclusive || other_space_shows(store, region->aspace, key);
	}
}

void vmem_region_residence(struct vmem_aspace *aspace, const struct vmem_region_info *info,
    uint64_t *out_resident, uint64_t *out_shared)
{
	*out_resident = 0;
	*out_shared = 0;
	aspace_lock(aspace);
	const struct region *region = vmem_region_find(aspace, info->start);
	if (region && !region_shared(region)) {
		uint64_t last = region->private_key + (region->span.length >> VMEM_PAGE_SHIFT) - 1;
		count_pages(aspace->private_store, region->private_key, last, out_resident, out_shared);
	}
	if (region && region->object) {
		store_lock(region->object->store);
		if (!region_shared(region)) {
			store_lock(aspace->private_store);
		}
		count_shown(region, out_resident, out_shared);
		if (!region_shared(region)) {
			store_unlock(aspace->private_store);
		}
		store_unlock(region->object->store);
	}
	aspace_unlock(aspace);
}

/* What user mode may do with an entry: writing or execution brings reading with it on some ISAs. */
static unsigned granted(uint32_t leaf)
{
	unsigned permission = leaf & VMEM_RWX;
	for (unsigned access = VMEM_READ; access <= VMEM_EXEC; access <<= 1) {
		if (arch_leaf_grants(leaf | LEAF_ACCESSED | LEAF_DIRTY, access)) {
			permission |= access;
		}
	}
	return permission;
}

bool vmem_aspace_translate(struct vmem_aspace *aspace, vmem_vaddr_t address, struct vmem_translation *out)
{
	if (address - aspace->root.tree.base >= aspace->root.tree.length) {
		return false; /* a walk would take it for an address that differs in bits it does not read */
	}
	struct pmap_entry at;
	do {
		at = vmem_pmap_lookup(&aspace->pmap, address);
		if (!at.slot) {
			return false;
		}
	} while (!pmap_take(&aspace->pmap, at, address));
	arch_pte_t entry = pte_load(at.slot);
	bool leafs = arch_pte_present(entry) && arch_pte_is_leaf(entry, at.level);
	uint32_t leaf = leafs ? pmap_leaf(at, entry) : 0;
	pmap_give(at);
	if (!leafs) {
		return false;
	}
	*out = (struct vmem_translation){
	    .physical =
		arch_pte_pa_at(entry, at.level, address) + (address & (arch_level_size(at.level) - 1)),
	    .permission = granted(leaf),
	    .cache = (vmem_cache_t)((leaf & LEAF_CACHE_MASK) >> LEAF_CACHE_SHIFT),
	    .level = at.level,
	    .accessed = (leaf & LEAF_ACCESSED) != 0,
	    .dirty = (leaf & LEAF_DIRTY) != 0,
	};
	return true;
}

void vmem_aspace_stats(struct vmem_aspace *aspace, struct vmem_aspace_stats *out)
{
	const struct vmem_pmap *pmap = &aspace->pmap;
	uint64_t committed = 0, shared = 0;
	aspace_lock(aspace);
	if (aspace->private_store) {
		count_pages(aspace->private_store, 0, INDEX_KEY_LAST, &committed, &shared);
	}
	*out = (struct vmem_aspace_stats){
	    .regions = aspace->regions,
	    .mapped = aspace->mapped,
	    .locked = aspace->locked,
	    .resident = vmem_pmap_counted(pmap, COUNT_RESIDENT),
	    .committed = committed,
	    .tables = shared_load(&pmap->tables),
	    .tables_kept = shared_load(&pmap->kept) != NULL,
	    .faults = vmem_pmap_counted(pmap, COUNT_FAULTS),
	    .faults_zero_page = vmem_pmap_counted(pmap, COUNT_ZERO_PAGE),
	    .faults_zeroed = vmem_pmap_counted(pmap, COUNT_ZEROED),
	    .faults_copied = vmem_pmap_counted(pmap, COUNT_COPIED),
	    .faults_reused = vmem_pmap_counted(pmap, COUNT_REUSED),
	    .faults_object = vmem_pmap_counted(pmap, COUNT_OBJECT),
	    .faults_large = vmem_pmap_counted(pmap, COUNT_LARGE),
	    .faults_spurious = vmem_pmap_counted(pmap, COUNT_SPURIOUS),
	    .faults_refused = vmem_pmap_counted(pmap, COUNT_REFUSED),
	    .around = vmem_pmap_counted(pmap, COUNT_AROUND),
	    .flushes = shared_load(&pmap->flushes),
	    .flushes_remote = shared_load(&pmap->flushes_remote),
	    .activations = vmem_pmap_counted(pmap, COUNT_ACTIVATIONS),
	    .rollovers = vmem_asid_rollovers(),
	};
	aspace_unlock(aspace);
}
