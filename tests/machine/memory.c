/* SPDX-License-Identifier: MIT */
/*
 * memory.c - the accesses of CPUs to memory that the library accesses too.
 *
 * With threads these are what ThreadSanitizer sees of the hardware, in the order that a manual promises, no
 * more:
 *
 * Y1  A walk reads entries whole, and what it reads through one comes after (an address dependency): the
 *     entry's store must therefore be a release for what lies behind it.
 * Y2  Marks are set by compare and swap.
 * Y3  Programs' loads and stores order nothing.
 * Y4  A TLBI that has completed comes after the accesses that other CPUs made through what it dropped, and
 *     after their walks of what led there.
 */
#include "internal.h"

static struct {
	unsigned accesses;
} __attribute__((aligned(64))) done[MACHINE_CPUS];

void memory_walked(const uint64_t *entry)
{
	(void)__atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

bool memory_mark(uint64_t *entry, uint64_t from, uint64_t to)
{
	return __atomic_compare_exchange_n(entry, &from, to, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void memory_load(void *buffer, const void *memory, size_t len)
{
	uint8_t *to = buffer;
	const uint8_t *from = memory;
	if (len == 8 && ((uintptr_t)from & 7) == 0) {
		uint64_t word = __atomic_load_n((const uint64_t *)memory, __ATOMIC_RELAXED);
		__builtin_memcpy(buffer, &word, sizeof(word));
		return;
	}
	for (size_t i = 0; i < len; i++) {
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	}
}

void memory_store(void *memory, const void *buffer, size_t len)
{
	uint8_t *to = memory;
	const uint8_t *from = buffer;
	if (len == 8 && ((uintptr_t)to & 7) == 0) {
		uint64_t word;
		__builtin_memcpy(&word, buffer, sizeof(word));
		__atomic_store_n((uint64_t *)memory, word, __ATOMIC_RELAXED);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		__atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
	}
}

void memory_done(unsigned cpu)
{
	__atomic_store_n(&done[cpu].accesses, 1, __ATOMIC_RELEASE);
}

void memory_after_all(void)
{
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		(void)__atomic_load_n(&done[i].accesses, __ATOMIC_ACQUIRE);
	}
}
