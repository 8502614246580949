/* SPDX-License-Identifier: MIT */
/*
 * copy.c - user memory from the kernel, through page tables and the direct map. The idea is in
 * include/vmem/copy.h. And what becomes of a fault that meets what another CPU is changing.
 *
 * C1 Only a leaf that user mode itself could use for the access is followed, and only to RAM that the
 * library keeps records of. C2 A kernel write leaves the entry as a store by the program would: accessed
 * and dirty are set. C3 A piece, of at most a page, is copied while the byte of the page table is held: so
 * it is as a program's access that happens before the entry changes, and neither finds the frame freed nor
 * writes to one that a snapshot has come to share.
 *
 * Locks: the byte of a page table; none between pieces, where a fault may wait for other CPUs.
 */
#include <vmem/copy.h>

#include "panic.h"
#include "region.h"

/* The program tries again, the kernel waits. */
enum vmem_fault_result vmem_fault(struct vmem_aspace *aspace, vmem_vaddr_t address, unsigned access)
{
	enum vmem_fault_result result = vmem_fault_try(aspace, address, access);
#if VMEM_SMP
	if (result == VMEM_FAULT_RESULT_COUNT) { /* the next try may come too early as well */
		vmem_host_relax();
	}
#endif
	return result == VMEM_FAULT_RESULT_COUNT ? VMEM_FAULT_RESOLVED : result;
}

enum vmem_fault_result vmem_fault_wait(struct vmem_aspace *aspace, vmem_vaddr_t address, unsigned access)
{
	enum vmem_fault_result result;
	while ((result = vmem_fault_try(aspace, address, access)) == VMEM_FAULT_RESULT_COUNT) {
#if VMEM_SMP
		vmem_host_relax();
#endif
	}
	return result;
}

#define COPY_TRIES (VMEM_SMP ? 1000u : 4u)

/* What to do with a piece of user memory. */
enum copy_way { COPY_FROM, COPY_TO, COPY_CLEAR, COPY_STRING };

struct copy {
	struct vmem_aspace *aspace;
	uint8_t *buffer;
	enum copy_way way;
	bool ended; /* COPY_STRING: its NUL was met */
};

static size_t move(struct copy *copy, uint8_t *user, size_t done, size_t n)
{
	uint8_t *to = copy->buffer + done;
	switch (copy->way) {
	case COPY_FROM:
		__builtin_memcpy(to, user, n);
		break;
	case COPY_TO:
		__builtin_memcpy(user, to, n);
		break;
	case COPY_CLEAR:
		__builtin_memset(user, 0, n);
		break;
	case COPY_STRING:
		for (size_t i = 0; i < n; i++) {
			to[i] = user[i];
			if (user[i] == 0) {
				copy->ended = true;
				return i;
			}
		}
		break;
	}
	return n;
}

/* The bytes of the entry's page at va, if user mode could use them for the access; the table is locked. */
static uint8_t *reach(struct vmem_pmap *pmap, struct pmap_entry at, vmem_vaddr_t va, unsigned access)
{
	arch_pte_t entry = pte_load(at.slot);
	if (!arch_pte_present(entry) || !arch_pte_is_leaf(entry, at.level)) {
		return NULL;
	}
	uint32_t leaf = pmap_leaf(at, entry);
	uint32_t marks = LEAF_ACCESSED | (access == VMEM_WRITE ? (uint32_t)LEAF_DIRTY : 0);
	bool contig = at.level == 0 && arch_pte_contig(entry);
	if (!(leaf & LEAF_USER) || !arch_leaf_grants(leaf | LEAF_ACCESSED | LEAF_DIRTY, access)) {
		return NULL;
	}
	if ((leaf & marks) != marks || !arch_leaf_grants(leaf, access)) { /* (C2) */
		if (contig && !(vmem_mmu.features & MMU_HW_DIRTY)) {
			return NULL; /* all of the run would have to change: the fault sees to it */
		}
		leaf = (leaf & ~(uint32_t)(LEAF_USER | LEAF_GLOBAL)) | marks;
		if (contig) {
			vmem_pmap_note_contig(pmap, at, va, marks);
		} else {
			(void)vmem_pmap_raise(pmap, at, arch_pte_pa(entry, at.level), leaf);
		}
	}
	vmem_paddr_t pa = arch_pte_pa_at(entry, at.level, va) + (va & (arch_level_size(at.level) - 1));
	struct vmem_page *page = pa_to_page(pa);
	if (!page || (shared_load(&page->flags) & PAGE_F_ODD_CACHE)) {
		return NULL; /* device memory, or RAM outside the direct map */
	}
	if (access == VMEM_WRITE && (shared_load(&page->flags) & PAGE_F_EXEC_SYNCED)) {
		page_unmark(page, PAGE_F_EXEC_SYNCED);
	}
	return phys_to_virt(pa);
}

/* One piece; false: it could not be reached as it is. */
static bool copy_piece(struct copy *copy, vmem_vaddr_t va, size_t *done, size_t n, unsigned access)
{
	struct vmem_pmap *pmap = &copy->aspace->pmap;
	struct pmap_entry at = vmem_pmap_lookup(pmap, va);
	if (!at.slot || !pmap_take(pmap, at, va)) {
		return false;
	}
	uint8_t *user = reach(pmap, at, va, access);
	if (user) {
		*done += move(copy, user, *done, n);
	}
	pmap_give(at);
	return user != NULL;
}

/* How many bytes were copied, or lie before the NUL of a string; a piece that cannot be had ends it. */
static size_t copy_all(struct copy *copy, vmem_vaddr_t va, size_t length)
{
	unsigned access = copy->way == COPY_FROM || copy->way == COPY_STRING ? VMEM_READ : VMEM_WRITE;
	const uint64_t user_size = vmem_aspace_user_size();
	size_t done = 0;
	unsigned tries = 0;
	while (done < length && !copy->ended) {
		vmem_vaddr_t at = va + done;
		uint64_t room = VMEM_PAGE_SIZE - (at & VMEM_PAGE_MASK);
		size_t n = length - done < room ? length - done : (size_t)room;
		if (at >= user_size) {
			break;
		}
		if (copy_piece(copy, at, &done, n, access)) {
			tries = 0;
			continue;
		}
		/* What a fault has resolved may be gone again; what it cannot make reachable (C1) never is.
		 */
		if (tries++ == COPY_TRIES ||
		    vmem_fault_wait(copy->aspace, at, access) != VMEM_FAULT_RESOLVED) {
			break;
		}
	}
	return done;
}

size_t vmem_copy_from_user(struct vmem_aspace *aspace, void *to, vmem_vaddr_t from, size_t length)
{
	struct copy copy = {aspace, to, COPY_FROM, false};
	return copy_all(&copy, from, length);
}

size_t vmem_copy_to_user(struct vmem_aspace *aspace, vmem_vaddr_t to, const void *from, size_t length)
{
	struct copy copy = {aspace, (uint8_t *)(uintptr_t)from, COPY_TO, false};
	return copy_all(&copy, to, length);
}

size_t vmem_clear_user(struct vmem_aspace *aspace, vmem_vaddr_t to, size_t length)
{
	struct copy copy = {aspace, NULL, COPY_CLEAR, false};
	return copy_all(&copy, to, length);
}

vmem_status_t vmem_strncpy_from_user(
    struct vmem_aspace *aspace, char *to, vmem_vaddr_t from, size_t size, size_t *out_length)
{
	struct copy copy = {aspace, (uint8_t *)to, COPY_STRING, false};
	*out_length = copy_all(&copy, from, size);
	if (copy.ended) {
		return VMEM_OK;
	}
	return *out_length < size ? VMEM_ERR_FAULT : VMEM_ERR_RANGE;
}
