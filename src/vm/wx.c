/* SPDX-License-Identifier: MIT */
/*
 * wx.c - document 000 over the core: arguments and statuses are translated here, nothing is decided.
 */
#include <vmem/wx.h>

#include "region.h"

static vmem_status_t round_range(vmem_vaddr_t *address, uint64_t *length)
{
	uint64_t lead = *address & VMEM_PAGE_MASK;
	if (*length == 0 || *length > UINT64_MAX - VMEM_PAGE_MASK - lead) {
		return VMEM_ERR_INVALID;
	}
	*length = vmem_page_ceil(*length + lead);
	*address -= lead;
	return VMEM_OK;
}

vmem_status_t vmem_wx_mmap(struct vmem_aspace *aspace, vmem_vaddr_t address, uint64_t length,
    uint32_t permission, vmem_vaddr_t *out_address)
{
	struct vmem_map map = {.permission = permission, .maximum = VMEM_RWX};
	if (length == 0 || length > UINT64_MAX - VMEM_PAGE_MASK || permission & ~(uint32_t)VMEM_RWX ||
	    !aspace->wx) {
		return VMEM_ERR_INVALID;
	}
	map.length = vmem_page_ceil(length);
	map.address = vmem_page_floor(address);
	if (map.address !=
	    0) { /* a hint: exactly there or, if that is in use or no user address, elsewhere */
		map.place = VMEM_PLACE_FIXED;
		vmem_status_t status = vmem_vmar_map(&aspace->root, &map, out_address);
		if (status != VMEM_ERR_EXISTS && status != VMEM_ERR_RANGE) {
			return status;
		}
	}
	map.place = VMEM_PLACE_ANY;
	map.pad_before = 1; /* the page's second example: bounded by guard pages */
	map.pad_after = 1;
	return vmem_vmar_map(&aspace->root, &map, out_address);
}

vmem_status_t vmem_wx_munmap(struct vmem_aspace *aspace, vmem_vaddr_t address, uint64_t length)
{
	vmem_status_t status = round_range(&address, &length);
	return status == VMEM_OK ? vmem_vmar_unmap(&aspace->root, address, length) : status;
}

vmem_status_t vmem_wx_mprotect(
    struct vmem_aspace *aspace, vmem_vaddr_t address, uint64_t length, uint32_t permission)
{
	vmem_status_t status = round_range(&address, &length);
	if (status == VMEM_OK && permission & ~(uint32_t)VMEM_RWX) {
		status = VMEM_ERR_INVALID;
	}
	status = status == VMEM_OK && !aspace->wx ? VMEM_ERR_INVALID : status;
	return status == VMEM_OK ? vmem_vmar_protect(&aspace->root, address, length, permission) : status;
}
