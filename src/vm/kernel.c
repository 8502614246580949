/* SPDX-License-Identifier: MIT */
/*
 * kernel.c - the kernel's half: a space like others, but wired and eager. The interface is in
 * include/vmem/kernel.h.
 *
 * K1 Every page of a kernel region has its entry before the call that made it returns, and keeps it until
 * the region goes. K2 The space has W^X. K3 Top-level entries of the managed range exist from the start and
 * never change; lower tables come and go with a global flush. K4 A part of a large leaf or of a
 * contiguous run changes after a live split, and not at all where the CPU would need a moment without the
 * mapping for that.
 *
 * Locks: the space's own, for the whole of every call that maps, protects or frees.
 */
#include <vmem/kernel.h>

#include "frame.h"
#include "kernel_i.h"
#include "panic.h"

static struct vmem_aspace kernel_aspace;

struct vmem_aspace *vmem_kernel_aspace(void)
{
	return &kernel_aspace;
}

struct vmem_pmap *vmem_kernel_pmap(void)
{
	return &kernel_aspace.pmap;
}

vmem_status_t vmem_kernel_init(vmem_vaddr_t start, uint64_t length)
{
	kernel_aspace = (struct vmem_aspace){.max_bytes = UINT64_MAX,
	    .max_regions = UINT64_MAX,
	    .max_data = UINT64_MAX,
	    .max_stack = UINT64_MAX,
	    .max_locked = UINT64_MAX,
	    .min_growth = start,
	    .wx = true};
	vmem_status_t status = vmem_pmap_init_kernel(&kernel_aspace.pmap, start, length);
	if (status != VMEM_OK) {
		return status;
	}
	vmem_vmar_init(&kernel_aspace.root, &kernel_aspace, NULL, start, length, VMEM_RWX);
	vmem_aspace_add(&kernel_aspace);
	return VMEM_OK;
}

/* The largest leaf for [va, +left) onto pa. */
static unsigned fitting_level(vmem_vaddr_t va, vmem_paddr_t pa, uint64_t left)
{
	unsigned level = vmem_mmu.levels - 2u;
	while (level > 0 &&
	       (!(vmem_mmu.leaf_levels & 1u << level) || ((va | pa) & (arch_level_size(level) - 1)) != 0 ||
		   left < arch_level_size(level))) {
		level--;
	}
	return level;
}

/* How much of [va, +left) one leaf onto pa, or one run, can map at its beginning. */
static uint64_t fitting_size(vmem_vaddr_t va, vmem_paddr_t pa, uint64_t left)
{
	unsigned level = fitting_level(va, pa, left);
	bool aligned = ((va | pa) & (CONTIG_SIZE - 1)) == 0;
	return level == 0 && arch_leaf_contig() && aligned && left >= CONTIG_SIZE ? CONTIG_SIZE
										  : arch_level_size(level);
}

/* Maps the beginning of [va, +left) by the largest leaf, or a run, that fits; says how much that was. */
static vmem_status_t enter_largest(
    vmem_vaddr_t va, vmem_paddr_t pa, uint64_t left, uint32_t leaf, uint64_t *size)
{
	unsigned level = fitting_level(va, pa, left);
	*size = fitting_size(va, pa, left);
	if (*size != arch_level_size(level)) {
		return vmem_pmap_enter_contig(&kernel_aspace.pmap, va, pa, leaf);
	}
	if (!vmem_pmap_deposit(&kernel_aspace.pmap, level)) {
		return VMEM_ERR_NO_MEMORY;
	}
	vmem_status_t status = vmem_pmap_enter(&kernel_aspace.pmap, va, pa, level, leaf);
	if (status != VMEM_OK) {
		vmem_pmap_withdraw(&kernel_aspace.pmap, level);
	}
	return status;
}

/* Makes every entry of a region (K1). On NO_MEMORY what was made is still there: the caller unmaps the
 * region. */
static vmem_status_t enter_all(struct region *region)
{
	struct store *store = region->object->store;
	uint32_t leaf = region->permission |
			(uint32_t)arch_leaf_cache((vmem_cache_t)store->cache) << LEAF_CACHE_SHIFT |
			LEAF_DIRTY;
	uint64_t size;
	for (uint64_t done = 0; done < region->span.length; done += size) {
		uint64_t left = store->kind == STORE_ANONYMOUS ? VMEM_PAGE_SIZE : region->span.length - done;
		vmem_paddr_t pa = 0; /* what is committed or fixed has a frame */
		(void)vmem_object_frame(region->object, (region->offset << VMEM_PAGE_SHIFT) + done, &pa);
		vmem_status_t status = enter_largest(region->span.start + done, pa, left, leaf, &size);
		if (status != VMEM_OK) {
			return status;
		}
	}
	if (vmem_mmu.features &
	    MMU_CACHES_INVALID) { /* a kernel access cannot take a spurious fault (contract 6.4) */
		struct vmem_batch batch;
		vmem_batch_begin(&batch, &kernel_aspace.pmap);
		vmem_batch_leaves(
		    &batch, region->span.start, region->span.start + (region->span.length - 1), 0);
		batch.tables_changed = true;
		vmem_batch_end(&batch);
	}
	return VMEM_OK;
}

/* Maps a whole object and gives the caller's reference to the region. Frees the object on failure. */
static vmem_status_t map_object(
    struct vmem_object *object, unsigned permission, uint8_t pad_before, uint64_t align, void **out)
{
	vmem_vaddr_t start;
	struct vmem_map map = {
	    .length = vmem_object_size(object),
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_SHARED | VMEM_MAP_NO_MERGE,
	    .align = align,
	    .pad_before = pad_before,
	    .pad_after = 1,
	    .object = object,
	};
	aspace_lock(&kernel_aspace);
	vmem_status_t status = kernel_aspace.root.tree.length
				   ? vmem_vmar_map_locked(&kernel_aspace.root, &map, &start)
				   : VMEM_ERR_NO_SPACE;
	if (status == VMEM_OK) {
		status = enter_all(vmem_region_find(&kernel_aspace, start));
		if (status == VMEM_OK) {
			*out = (void *)(uintptr_t)start;
		} else {
			(void)vmem_vmar_unmap_locked(&kernel_aspace.root, start, map.length);
		}
	}
	aspace_unlock(&kernel_aspace);
	vmem_object_release(object);
	return status;
}

static bool bad_permission(unsigned permission)
{
	return !(permission & VMEM_READ) || permission & ~(unsigned)VMEM_RWX;
}

static bool is_wx(unsigned permission)
{
	return (permission & (VMEM_WRITE | VMEM_EXEC)) == (VMEM_WRITE | VMEM_EXEC);
}

vmem_status_t vmem_kernel_map(
    vmem_paddr_t physical, uint64_t length, unsigned permission, vmem_cache_t cache, void **out_address)
{
	struct vmem_object *object;
	void *base;
	uint64_t lead = physical & VMEM_PAGE_MASK;
	if (length == 0 || bad_permission(permission)) {
		return VMEM_ERR_INVALID;
	}
	if (is_wx(permission)) {
		return VMEM_ERR_WX;
	}
	if (length > UINT64_MAX - lead - VMEM_PAGE_MASK) {
		return VMEM_ERR_RANGE;
	}
	uint64_t size = vmem_page_ceil(lead + length);
	vmem_status_t status = vmem_object_create_physical(physical - lead, size, cache, &object);
	if (status != VMEM_OK) {
		return status;
	}
	status = map_object(object, permission, 0, fitting_size(0, physical - lead, size), &base);
	if (status == VMEM_OK) {
		*out_address = (char *)base + lead;
	}
	return status;
}

static vmem_status_t alloc(uint64_t length, uint8_t pad_before, void **out)
{
	struct vmem_object *object;
	vmem_status_t status = length > UINT64_MAX - VMEM_PAGE_MASK
				   ? VMEM_ERR_INVALID
				   : vmem_object_create_anonymous(length, 0, &object);
	if (status != VMEM_OK) {
		return status;
	}
	if (vmem_object_size(object) > kernel_aspace.root.tree.length) {
		vmem_object_release(object);
		return VMEM_ERR_NO_SPACE;
	}
	status = vmem_object_commit(object, 0, vmem_object_size(object));
	if (status != VMEM_OK) {
		vmem_object_release(object);
		return status;
	}
	return map_object(object, VMEM_READ | VMEM_WRITE, pad_before, 0, out);
}

vmem_status_t vmem_kernel_alloc(uint64_t length, void **out_address)
{
	return alloc(length, 0, out_address);
}

vmem_status_t vmem_kernel_stack_alloc(uint64_t length, void **out_base)
{
	return alloc(length, 1, out_base);
}

/* True if a large leaf or a run reaches across either end of the range. */
static bool cuts_large(vmem_vaddr_t start, uint64_t length)
{
	for (unsigned i = 0; i < 2; i++) {
		vmem_vaddr_t va = i == 0 ? start : start + (length - VMEM_PAGE_SIZE);
		struct pmap_entry at = vmem_pmap_lookup(&kernel_aspace.pmap, va);
		uint64_t size = pmap_leaf_size(at); /* every page has its entry (K1) */
		vmem_vaddr_t base = va & ~(size - 1);
		if (base < start || length - (base - start) < size) {
			return true;
		}
	}
	return false;
}

/* Raises the entries of the range to what the permission grants. No CPU may meet the stricter translation:
 * a kernel access cannot take a spurious fault (contract 6.4). */
static void raise_all(vmem_vaddr_t start, uint64_t length, unsigned permission)
{
	bool raised = false;
	for (uint64_t done = 0; done < length;) {
		struct pmap_entry at = vmem_pmap_lookup(&kernel_aspace.pmap, start + done);
		arch_pte_t entry = pte_load(at.slot);
		uint32_t old = arch_pte_leaf(entry, at.level);
		uint64_t size = pmap_leaf_size(at);
		if (permission & ~old) {
			uint32_t leaf = (old & ~(uint32_t)(VMEM_RWX | LEAF_GLOBAL)) | permission | LEAF_DIRTY;
			if (at.level == 0 && size == CONTIG_SIZE) {
				vmem_pmap_raise_contig(&kernel_aspace.pmap, at, start + done, leaf);
			} else {
				vmem_pmap_set(&kernel_aspace.pmap, at, start + done,
				    arch_pte_pa(entry, at.level), leaf);
			}
			raised = true;
		}
		done += size;
	}
	if (raised) {
		struct vmem_batch batch;
		vmem_batch_begin(&batch, &kernel_aspace.pmap);
		vmem_batch_leaves(&batch, start, start + (length - 1), 0);
		vmem_batch_end(&batch);
	}
}

static vmem_status_t protect(vmem_vaddr_t start, uint64_t length, unsigned permission)
{
	struct region *region = vmem_region_find(&kernel_aspace, start);
	if (!region || length > region->span.length - (start - region->span.start)) {
		return VMEM_ERR_NOT_FOUND;
	}
	if (cuts_large(start, length)) {
		if (!(vmem_mmu.features & MMU_LIVE_SPLIT)) {
			return VMEM_ERR_UNSUPPORTED;
		}
		vmem_pmap_cut(&kernel_aspace.pmap, start);
		vmem_pmap_cut(&kernel_aspace.pmap, start + length);
	}
	if (length == region->span.length) { /* of a part the entries alone tell: the record stays whole */
		shared_store(&region->permission, (uint8_t)permission);
	}
	struct vmem_batch batch;
	vmem_batch_begin(&batch, &kernel_aspace.pmap);
	vmem_pmap_restrict(&kernel_aspace.pmap, start, length, permission, &batch);
	vmem_batch_end(&batch);
	raise_all(start, length, permission);
	return VMEM_OK;
}

vmem_status_t vmem_kernel_protect(void *address, uint64_t length, unsigned permission)
{
	vmem_vaddr_t start = (uintptr_t)address;
	if (!vmem_page_aligned(start) || !vmem_page_aligned(length) || length == 0 ||
	    bad_permission(permission)) {
		return VMEM_ERR_INVALID;
	}
	if (is_wx(permission)) {
		return VMEM_ERR_WX;
	}
	aspace_lock(&kernel_aspace);
	vmem_status_t status = protect(start, length, permission);
	aspace_unlock(&kernel_aspace);
	return status;
}

void vmem_kernel_free(void *address)
{
	vmem_vaddr_t start = vmem_page_floor((uintptr_t)address);
	aspace_lock(&kernel_aspace);
	struct region *region = vmem_region_find(&kernel_aspace, start);
	VMEM_CHECK(region && region->span.start == start,
	    "vmem_kernel_free() of what is no kernel mapping's address");
	(void)vmem_vmar_unmap_locked(&kernel_aspace.root, start, region->span.length);
	aspace_unlock(&kernel_aspace);
}

bool vmem_kernel_is_guard(const void *address)
{
	vmem_vaddr_t va = vmem_page_floor((uintptr_t)address);
	struct vmem_cpu *cpu = this_vmem_cpu();
	bool inside = cpu->inside; /* the stack that has run over may be in the middle of anything: no lock */
	section_enter(cpu);
	bool guard = va - kernel_aspace.root.tree.base < kernel_aspace.root.tree.length &&
		     !vmem_region_find_shared(&kernel_aspace, va) &&
		     (vmem_region_find_shared(&kernel_aspace, va + VMEM_PAGE_SIZE) ||
			 vmem_region_find_shared(&kernel_aspace, va - VMEM_PAGE_SIZE));
	if (!inside) {
		section_leave(cpu);
	}
	return guard;
}
