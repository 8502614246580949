/* SPDX-License-Identifier: MIT */
/*
 * malloc under pressure. Sizes from 1 byte to half a megabyte come and go at random, so that the break moves,
 * blocks above the C library's threshold are mapped and unmapped, and freed memory comes back in other
 * shapes. Every block is filled with a pattern of its own when it is made and verified, whole, before it
 * goes: a page that is lost, shared by mistake or not zeroed in a fresh calloc shows as a wrong byte.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1024, STEPS = 10000, LIVE_MAX = 40 << 20 };

struct block {
	unsigned char *bytes;
	size_t size;
	uint64_t key;
};

static struct block slots[SLOTS];
static size_t live, peak;
static unsigned long made, resized, zeroed, bad;
static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned char pattern(uint64_t key, size_t i)
{
	return (unsigned char)((key >> (i & 31)) + i * 7);
}

static void fill(const struct block *b, size_t from)
{
	for (size_t i = from; i < b->size; i++) {
		b->bytes[i] = pattern(b->key, i);
	}
}

static void verify(const struct block *b, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (b->bytes[i] != pattern(b->key, i)) {
			bad++;
			return;
		}
	}
}

static size_t random_size(void)
{
	uint64_t r = next_random();

	return 1 + (size_t)(next_random() % (r % 16 == 0     ? 512 * 1024
						: r % 8 == 0 ? 32 * 1024
						: r % 2 == 0 ? 2048
							     : 128));
}

static void drop(struct block *b)
{
	verify(b, b->size);
	free(b->bytes);
	live -= b->size;
	*b = (struct block){0};
}

static void make(struct block *b)
{
	b->size = random_size();
	b->key = next_random();
	if (next_random() % 4 == 0) {
		b->bytes = calloc(1, b->size);
		for (size_t i = 0; b->bytes != NULL && i < b->size; i++) {
			bad += b->bytes[i] != 0;
		}
		zeroed++;
	} else {
		b->bytes = malloc(b->size);
	}
	if (b->bytes == NULL) {
		printf("churn: no memory for %zu bytes\n", b->size);
		exit(1);
	}
	fill(b, 0);
	live += b->size;
	peak = live > peak ? live : peak;
	made++;
}

static void resize(struct block *b)
{
	size_t size = random_size(), old = b->size;
	unsigned char *bytes = realloc(b->bytes, size);

	if (bytes == NULL) {
		printf("churn: no memory for %zu bytes\n", size);
		exit(1);
	}
	b->bytes = bytes;
	b->size = size;
	verify(b, old < size ? old : size);
	fill(b, old < size ? old : size);
	live += size - old;
	resized++;
}

int main(void)
{
	void *huge;

	for (unsigned long step = 0; step < STEPS; step++) {
		struct block *b = &slots[next_random() % SLOTS];

		if (b->bytes == NULL && live < LIVE_MAX) {
			make(b);
		} else if (b->bytes != NULL && next_random() % 4 == 0) {
			resize(b);
		} else if (b->bytes != NULL) {
			drop(b);
		}
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		if (slots[i].bytes != NULL) {
			drop(&slots[i]);
		}
	}
	errno = 0;
	huge = malloc((size_t)1 << 62);
	printf("churn: %lu blocks made, %lu of them zeroed, %lu resized, peak %zu bytes, %zu left\n", made,
	    zeroed, resized, peak, live);
	printf(
	    "churn: %lu wrong; 2^62 bytes: %s\n", bad, huge == NULL && errno == ENOMEM ? "refused" : "given");
	return bad != 0 || live != 0 || huge != NULL;
}
