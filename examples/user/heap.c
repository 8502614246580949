/* SPDX-License-Identifier: MIT */
/*
 * malloc by several threads: blocks of all sizes are made by one thread, handed over, and verified, resized
 * and freed by another. Each block begins with what it must contain; a page that is lost, shared by mistake
 * or not zeroed shows as a wrong byte, and so does a block that two threads were given.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 6, SLOTS = 128, STEPS = 200 };

struct block {
	uint64_t size, key;
	unsigned char bytes[];
};

static _Atomic(struct block *) slots[SLOTS];
static _Atomic unsigned long bad, failed;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned char pattern(uint64_t key, uint64_t i)
{
	return (unsigned char)((key >> (i & 31)) + i * 7);
}

/* Large blocks are looked at in every 61st byte and the last 100. */
static uint64_t step(uint64_t i, uint64_t size)
{
	return size < 4096 || size - i < 100 ? 1 : 61;
}

static void fill(struct block *b, uint64_t size, uint64_t key)
{
	b->size = size;
	b->key = key;
	for (uint64_t i = 0; i < size; i += step(i, size)) {
		b->bytes[i] = pattern(key, i);
	}
}

static void verify(const struct block *b, uint64_t length, uint64_t size)
{
	for (uint64_t i = 0; i < length; i += step(i, size)) {
		if (b->bytes[i] != pattern(b->key, i)) {
			bad++;
			return;
		}
	}
}

static uint64_t random_size(uint64_t *state)
{
	const uint64_t r = next_random(state);

	switch (r >> 60) {
	case 0:
		return r % 400000; /* above the C library's threshold: mapped */
	case 1:
	case 2:
	case 3:
		return r % 20000;
	default:
		return r % 600;
	}
}

static struct block *make(uint64_t *state)
{
	const uint64_t size = random_size(state), key = next_random(state);
	struct block *b;

	if (key % 8 == 0) {
		b = calloc(1, sizeof(*b) + size);
		for (uint64_t i = 0; b != NULL && i < size; i += step(i, size)) {
			if (b->bytes[i] != 0) {
				bad++;
				break;
			}
		}
	} else {
		b = malloc(sizeof(*b) + size);
	}
	if (b == NULL) {
		failed++;
		return NULL;
	}
	fill(b, size, key);
	return b;
}

static void drop(struct block *b, uint64_t *state)
{
	if (b == NULL) {
		return;
	}
	verify(b, b->size, b->size);
	if (next_random(state) % 8 == 0) {
		const uint64_t before = b->size, size = random_size(state);
		struct block *moved = realloc(b, sizeof(*b) + size);

		if (moved == NULL) {
			failed++;
		} else {
			verify(moved, before < size ? before : size, before);
			b = moved;
		}
	}
	memset(b, 0xdd, sizeof(*b));
	free(b);
}

static void *work(void *argument)
{
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(uintptr_t)argument;

	for (unsigned i = 0; i < STEPS; i++) {
		struct block *mine = make(&state);

		drop(atomic_exchange(&slots[next_random(&state) % SLOTS], mine), &state);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[THREADS];
	uint64_t state = 1;

	for (uintptr_t round = 0; round < 2; round++) {
		for (uintptr_t i = 0; i < THREADS; i++) {
			if (pthread_create(&thread[i], NULL, work, (void *)(round * THREADS + i + 1)) != 0) {
				puts("heap: no thread");
				return 1;
			}
		}
		for (unsigned i = 0; i < THREADS; i++) {
			pthread_join(thread[i], NULL);
		}
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		drop(atomic_exchange(&slots[i], NULL), &state);
	}
	printf("heap: %d blocks made, %lu refused, %lu wrong\n", 2 * THREADS * STEPS, failed, bad);
	return bad != 0 || failed != 0;
}
