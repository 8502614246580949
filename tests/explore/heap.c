/* SPDX-License-Identifier: MIT */
/*
 * heap.c - malloc() for the programs of the explorer. The idea is in heap.h.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"

#define HEAP_SIZE ((size_t)256 << 20)

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *p);

/* In the first bytes of the heap itself: not in the program's data, which a schedule's end restores. */
struct heap {
	size_t used;
	char bytes[];
};
static struct heap *heap;

static struct heap *heap_now(void)
{
	if (heap == NULL) {
		heap = mmap(NULL, HEAP_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (heap == MAP_FAILED) {
			perror("explore: no memory");
			abort();
		}
	}
	return heap;
}

uintptr_t heap_base(void)
{
	return (uintptr_t)heap_now()->bytes;
}

size_t heap_used(void)
{
	return heap_now()->used;
}

void heap_use(size_t length)
{
	heap_now()->used = length;
}

void heap_reset(void)
{
	madvise(heap_now(), HEAP_SIZE, MADV_DONTNEED);
}

void *__wrap_malloc(size_t size)
{
	struct heap *h = heap_now();
	size_t at = (h->used + 63) & ~(size_t)63;
	if (at + size > HEAP_SIZE - sizeof(*h)) {
		fprintf(stderr, "explore: the heap is full\n");
		abort();
	}
	h->used = at + size;
	return h->bytes + at;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return memset(__wrap_malloc(count * size), 0, count * size);
}

void __wrap_free(void *p)
{
	(void)p;
}
