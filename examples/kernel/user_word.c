/* SPDX-License-Identifier: MIT */
/*
 * user_word.c - a word that the kernel and running threads of a program change at the same time.
 *
 * The library's copies are of bytes, in no order that a program may count on. So the word is made accessible
 * as the program's own access would make it, translated, and exchanged through the direct map.
 *
 * U1. Nothing takes the page away in between: the process's lock of its memory is held, as by every call
 *     that unmaps or replaces, and by fork; and a page that a program may write is replaced by no fault.
 *     One that it may only read is: so it is looked up again after it was read.
 * U2. All memory of programs is RAM in the direct map, and nothing here asks whether a page is dirty.
 */
#include <vmem/aspace.h>

#include "thread.h"

/* A fault that is resolved may have to be tried again: the entry says when it is enough. */
static uint32_t *find_word(struct vmem_aspace *aspace, uint64_t address, unsigned access)
{
	struct vmem_translation translation;

	if ((address & 3) != 0) {
		return NULL;
	}
	while (vmem_fault(aspace, address, access) == VMEM_FAULT_RESOLVED) {
		if (vmem_aspace_translate(aspace, address, &translation) &&
		    (translation.permission & access) == access) {
			return (uint32_t *)(uintptr_t)(kernel_direct_map + translation.physical);
		}
		cpus_relax();
	}
	return NULL;
}

bool user_word_exchange(
    struct process *process, uint64_t address, uint32_t expected, uint32_t desired, uint32_t *out_before)
{
	uint32_t *word;

	lock_take(&process->memory);
	word = find_word(process->aspace, address, VMEM_WRITE);
	if (word != NULL) {
		(void)__atomic_compare_exchange_n(
		    word, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		*out_before = expected;
	}
	lock_drop(&process->memory);
	return word != NULL;
}

bool user_word_read(struct process *process, uint64_t address, uint32_t *out)
{
	const uint32_t *word;

	lock_take(&process->memory);
	word = find_word(process->aspace, address, VMEM_READ);
	for (const uint32_t *before = NULL; word != NULL && word != before;) {
		before = word;
		*out = __atomic_load_n(word, __ATOMIC_SEQ_CST);
		word = find_word(process->aspace, address, VMEM_READ);
	}
	lock_drop(&process->memory);
	return word != NULL;
}
