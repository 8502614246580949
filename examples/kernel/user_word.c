/* SPDX-License-Identifier: MIT */
/*
 * user_word.c - a word that the kernel and running threads of a program change at the same time.
 *
 * The library's copies are of bytes, in no order that a program may count on. So the word is made writable as
 * the program's own store would make it, translated, and exchanged through the direct map, all of it inside
 * one library_enter(): nobody can take the page away in between. All memory of programs is RAM in the direct
 * map, and nothing here asks whether a page is dirty.
 */
#include <vmem/aspace.h>

#include "thread.h"

static uint32_t *find_word(struct vmem_aspace *aspace, uint64_t address, unsigned access)
{
	struct vmem_translation translation;

	if ((address & 3) != 0 || vmem_fault(aspace, address, access) != VMEM_FAULT_RESOLVED ||
	    !vmem_aspace_translate(aspace, address, &translation)) {
		return NULL;
	}
	return (uint32_t *)(uintptr_t)(kernel_direct_map + translation.physical);
}

bool user_word_exchange(
    struct vmem_aspace *aspace, uint64_t address, uint32_t expected, uint32_t desired, uint32_t *out_before)
{
	uint32_t *word;

	library_enter();
	word = find_word(aspace, address, VMEM_WRITE);
	if (word != NULL) {
		__atomic_compare_exchange_n(
		    word, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		*out_before = expected;
	}
	library_leave();
	return word != NULL;
}

bool user_word_read(struct vmem_aspace *aspace, uint64_t address, uint32_t *out)
{
	const uint32_t *word;

	library_enter();
	word = find_word(aspace, address, VMEM_READ);
	if (word != NULL) {
		*out = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	}
	library_leave();
	return word != NULL;
}
