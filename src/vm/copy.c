/* SPDX-License-Identifier: MIT */
/*
 * copy.c - user memory from the kernel, through page tables and the direct map. The idea is in
 * include/vmem/copy.h.
 *
 * C1 Only a leaf that user mode itself could use for the access is followed, and only to RAM that the library
 * keeps records of. C2 A kernel write leaves the entry as a store by the program would: accessed and dirty
 * are set.
 *
 * Locks: the caller serialises all calls.
 */
#include <vmem/copy.h>

#include "panic.h"
#include "region.h"

/* The bytes at va for an access by user mode, faulted in if need be; NULL if user mode could not. Good to the
 * end of the page. */
static uint8_t *user_bytes(struct vmem_aspace *aspace, vmem_vaddr_t va, unsigned access)
{
	if (va >= vmem_aspace_user_size()) {
		return NULL;
	}
	for (unsigned tries = 0; tries < 4; tries++) {
		struct pmap_entry at = vmem_pmap_lookup(&aspace->pmap, va);
		arch_pte_t entry = at.slot ? pte_load(at.slot) : 0;
		uint32_t leaf = at.slot && arch_pte_present(entry) ? pmap_leaf(at, entry) : 0;
		bool noted = (leaf & LEAF_ACCESSED) && (access != VMEM_WRITE || (leaf & LEAF_DIRTY));
		if (noted && (leaf & LEAF_USER) && arch_leaf_grants(leaf, access)) {
			vmem_paddr_t pa = arch_pte_pa_at(entry, at.level, va) +
					  (va & (arch_level_size(at.level) - 1));
			struct vmem_page *page = pa_to_page(pa);
			if (!page || (page->flags & PAGE_F_ODD_CACHE)) {
				return NULL; /* device memory, or RAM outside the direct map */
			}
			if (access == VMEM_WRITE) {
				page->flags &= (uint8_t)~PAGE_F_EXEC_SYNCED;
			}
			return phys_to_virt(pa);
		}
		if (leaf && !noted &&
		    arch_leaf_grants(leaf | LEAF_ACCESSED | LEAF_DIRTY, access)) { /* (C2) */
			vmem_vaddr_t base = va & ~(arch_level_size(at.level) - 1);
			leaf |= LEAF_ACCESSED | (access == VMEM_WRITE ? (uint32_t)LEAF_DIRTY : 0);
			if (at.level == 0 && arch_pte_contig(entry)) {
				vmem_pmap_note_contig(
				    &aspace->pmap, at, va, leaf & (LEAF_ACCESSED | LEAF_DIRTY));
				continue;
			}
			vmem_pmap_set(&aspace->pmap, at, base, arch_pte_pa(entry, at.level), leaf);
			continue;
		}
		if (vmem_fault(aspace, va, access) != VMEM_FAULT_RESOLVED) {
			return NULL;
		}
	}
	return NULL;
}

static size_t room_in_page(vmem_vaddr_t va, size_t length)
{
	uint64_t room = VMEM_PAGE_SIZE - (va & VMEM_PAGE_MASK);
	return length < room ? length : (size_t)room;
}

size_t vmem_copy_from_user(struct vmem_aspace *aspace, void *to, vmem_vaddr_t from, size_t length)
{
	size_t done = 0;
	while (done < length) {
		size_t n = room_in_page(from + done, length - done);
		const uint8_t *bytes = user_bytes(aspace, from + done, VMEM_READ);
		if (!bytes) {
			break;
		}
		__builtin_memcpy((uint8_t *)to + done, bytes, n);
		done += n;
	}
	return done;
}

size_t vmem_copy_to_user(struct vmem_aspace *aspace, vmem_vaddr_t to, const void *from, size_t length)
{
	size_t done = 0;
	while (done < length) {
		size_t n = room_in_page(to + done, length - done);
		uint8_t *bytes = user_bytes(aspace, to + done, VMEM_WRITE);
		if (!bytes) {
			break;
		}
		__builtin_memcpy(bytes, (const uint8_t *)from + done, n);
		done += n;
	}
	return done;
}

size_t vmem_clear_user(struct vmem_aspace *aspace, vmem_vaddr_t to, size_t length)
{
	size_t done = 0;
	while (done < length) {
		size_t n = room_in_page(to + done, length - done);
		uint8_t *bytes = user_bytes(aspace, to + done, VMEM_WRITE);
		if (!bytes) {
			break;
		}
		__builtin_memset(bytes, 0, n);
		done += n;
	}
	return done;
}

vmem_status_t vmem_strncpy_from_user(
    struct vmem_aspace *aspace, char *to, vmem_vaddr_t from, size_t size, size_t *out_length)
{
	size_t done = 0;
	while (done < size) {
		size_t n = room_in_page(from + done, size - done);
		const uint8_t *bytes = user_bytes(aspace, from + done, VMEM_READ);
		if (!bytes) {
			*out_length = done;
			return VMEM_ERR_FAULT;
		}
		for (size_t i = 0; i < n; i++, done++) {
			to[done] = (char)bytes[i];
			if (bytes[i] == 0) {
				*out_length = done;
				return VMEM_OK;
			}
		}
	}
	*out_length = size;
	return VMEM_ERR_RANGE;
}
