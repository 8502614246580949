/* SPDX-License-Identifier: MIT */
/*
 * image.c - the memory that a schedule changes: this program's data, the machine's RAM and what the machine
 * allocated. Before a line of it is written for the first time since the last mark it is put aside; going
 * back copies those lines, the last one first.
 *
 * I1 Whatever writes to the image tells first: instrumented code by itself (tsan.c), memset and its like by
 * being wrapped (tsan.c). image_is_restored() compares all of it now and then, so what does not tell is
 * found.
 * I2 For each byte there are two sets of threads, those that read it and those that write it; one pair that
 * grows, and one that counts for the present round (E3).
 *
 * One thread drives all of this.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"
#include "runtime.h"

#define LINE 64u
#define LOG_MAX 1048576u
#define HEAP_MORE ((size_t)4 << 20) /* what schedules may allocate */
#define SEEN_MAX 131072u
struct line {
	uint64_t word[LINE / 8];
};
struct saved {
	struct line *at;
	struct line was;
};

static struct image {
	struct range {
		uintptr_t base;
		size_t length;
		size_t compared;  /* the rest is nothing when a schedule begins */
		uint32_t *epoch;  /* of each line: when it was put aside last */
		uint32_t *summed; /* of each line: when image_is_new() met it last */
		uint8_t *touched; /* of each byte: threads that read it, and << 4 that write it */
		uint8_t *counts;  /* the same, as this round has it */
		uint8_t *copy;	  /* to compare with */
	} range[RANGES];
	uint32_t now;
	size_t heap; /* bytes of it in use at the start of a schedule */
	unsigned count;
	bool learned;
	struct bounds machines[5];
	unsigned seen_count;
	uint64_t seen[SEEN_MAX]; /* what image_is_new() has met since the image began */
	struct saved log[LOG_MAX];
} * image;

extern char __data_start[], _end[];

static void *pages(size_t length)
{
	void *p =
	    mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		perror("explore: no memory");
		abort();
	}
	return p;
}

static void range_open(unsigned i, uintptr_t start, size_t length)
{
	struct range *r = &image->range[i];
	r->base = start & ~(uintptr_t)(LINE - 1);
	r->length = r->compared = length + (start - r->base);
	r->epoch = pages((r->length / LINE + 1) * sizeof(uint32_t));
	r->summed = pages((r->length / LINE + 1) * sizeof(uint32_t));
	r->touched = pages(r->length + LINE);
	r->counts = pages(r->length + LINE);
	r->copy = pages(r->length + LINE);
	rt->image[i] = (struct bounds){r->base, r->length};
}

void image_open(uintptr_t ram, size_t length)
{
	if (image == NULL) {
		image = pages(sizeof(*image));
		range_open(RANGE_DATA, (uintptr_t)__data_start, (size_t)(_end - __data_start));
	}
	if (length != 0) {
		range_open(RANGE_RAM, ram, length);
	}
}

static void range_close(unsigned i)
{
	struct range *r = &image->range[i];
	if (r->length != 0) {
		munmap(r->epoch, (r->length / LINE + 1) * sizeof(uint32_t));
		munmap(r->summed, (r->length / LINE + 1) * sizeof(uint32_t));
		munmap(r->touched, r->length + LINE);
		munmap(r->counts, r->length + LINE);
		munmap(r->copy, r->length + LINE);
	}
	*r = (struct range){0};
	rt->image[i] = (struct bounds){0};
}

void image_close(void)
{
	rt->armed = false;
	range_close(RANGE_RAM);
	range_close(RANGE_HEAP);
}

void image_begin(void)
{
	size_t used = heap_used();
	range_close(RANGE_HEAP);
	image->heap = used;
	if (used != 0) {
		range_open(RANGE_HEAP, heap_base(), used + HEAP_MORE);
		image->range[RANGE_HEAP].compared = used;
	}
	for (unsigned i = 0; i < RANGES; i++) {
		struct range *r = &image->range[i];
		if (r->length != 0) {
			memcpy(r->copy, (const void *)r->base, r->compared);
		}
	}
	image->now++;
	image->count = 0;
	image->seen_count = 0;
	memset(image->seen, 0, sizeof(image->seen));
	rt->armed = true;
}

static struct range *range_of(const void *p)
{
	for (unsigned i = 0; i < RANGES; i++) {
		struct range *r = &image->range[i];
		if ((uintptr_t)p - r->base < r->length) {
			return r;
		}
	}
	return NULL;
}

void image_write(const void *p, size_t n)
{
	struct range *r;
	if (!rt->armed || n == 0 || (r = range_of(p)) == NULL) {
		return;
	}
	uintptr_t first = ((uintptr_t)p - r->base) / LINE, last = ((uintptr_t)p + n - 1 - r->base) / LINE;
	for (uintptr_t line = first; line <= last && line * LINE < r->length; line++) {
		if (r->epoch[line] == image->now) {
			continue;
		}
		if (image->count == LOG_MAX) {
			fprintf(stderr, "explore: one schedule writes more than %u lines\n", LOG_MAX);
			abort();
		}
		r->epoch[line] = image->now;
		struct saved *saved = &image->log[image->count++];
		saved->at = (struct line *)(r->base + line * LINE);
		saved->was = *saved->at;
	}
}

unsigned image_mark(void)
{
	image->now++;
	return image->count;
}

void image_back(unsigned mark)
{
	while (image->count > mark) {
		const struct saved *saved = &image->log[--image->count];
		*saved->at = saved->was;
	}
	image->now++;
}

void image_restore(void)
{
	image_back(0);
	heap_use(image->heap);
}

static uint64_t mix(uint64_t sum, uint64_t value)
{
	sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ sum >> 29;
}

/* In the machine's own variables, which are no state of the library. */
static bool is_machines(uintptr_t line)
{
	static const char *const names[] = {"machine_counters", "asked", "spare", "state", "done"};
	if (image->machines[0].base == 0) {
		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			symbol_find(names[i], &image->machines[i].base, &image->machines[i].length);
		}
	}
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct bounds *b = &image->machines[i];
		if (line + LINE > b->base && line < b->base + b->length) {
			return true;
		}
	}
	return false;
}

static bool is_first(const struct line *at)
{
	struct range *r = range_of(at);
	uint32_t *summed = &r->summed[((uintptr_t)at - r->base) / LINE];
	bool first = *summed != image->now;
	*summed = image->now;
	return first;
}

bool image_is_new(void)
{
	uint64_t sum = 0;
	image->now++;
	for (unsigned i = 0; i < image->count; i++) {
		const struct saved *saved = &image->log[i];
		uint64_t line = (uintptr_t)saved->at;
		if (!is_first(saved->at)) { /* what it was at the start is in the first of its copies */
			continue;
		}
		if (memcmp(&saved->was, saved->at, LINE) == 0 || image_in(saved->at, RANGE_HEAP) ||
		    is_machines((uintptr_t)saved->at)) {
			continue;
		}
		for (unsigned k = 0; k < LINE / 8; k++) {
			line = mix(line, saved->at->word[k]);
		}
		sum += line; /* in whatever order they were written */
	}
	for (uint64_t at = sum;; at++) {
		uint64_t *seen = &image->seen[at % SEEN_MAX];
		if (*seen == sum || *seen == 0) {
			bool is_new = *seen != sum;
			*seen = image->seen_count < SEEN_MAX / 2 ? sum : *seen;
			image->seen_count += is_new;
			return is_new;
		}
	}
}

bool image_is_restored(void)
{
	for (unsigned i = 0; i < RANGES; i++) {
		const struct range *r = &image->range[i];
		const uint8_t *now = (const uint8_t *)r->base;
		for (size_t at = 0; at < r->compared; at++) {
			if (now[at] != r->copy[at]) {
				fprintf(stderr, "explore: %s is not as it was, and nothing told\n",
				    symbol_name((uintptr_t)&now[at]));
				return false;
			}
		}
	}
	return true;
}

/* (I2) */

static bool is_shared(uint8_t touched, unsigned self, bool writes)
{
	uint8_t others = (uint8_t)(touched & ~(0x11u << self));
	return (others & 0xf0u) != 0 || (writes && others != 0);
}

/* Eight bytes that are all noted already: what is left of most accesses. */
static bool all_noted(const uint8_t *touched, uint8_t mine)
{
	uint64_t word, all = mine * UINT64_C(0x0101010101010101);
	__builtin_memcpy(&word, touched, sizeof(word)); /* a call would come by tsan.c */
	return (word & all) == all;
}

void image_note(const void *p, size_t n, bool writes)
{
	struct range *r = range_of(p);
	if (r == NULL || r == &image->range[RANGE_HEAP]) {
		return;
	}
	uint8_t mine = (uint8_t)((writes ? 0x10u : 0x01u) << rt->current);
	size_t at = (uintptr_t)p - r->base;
	for (size_t end = at + n; at < end && at < r->length;) {
		if (end - at >= 8 && all_noted(&r->touched[at], mine)) {
			at += 8;
			continue;
		}
		uint8_t before = r->touched[at];
		r->touched[at] = before | mine;
		image->learned |= (before & mine) == 0 && is_shared(before, rt->current, writes);
		at++;
	}
}

bool image_shared(const void *p, size_t n, bool writes)
{
	const struct range *r = range_of(p);
	if (r == NULL) {
		return false;
	}
	for (size_t at = (uintptr_t)p - r->base, end = at + n; at < end; at++) {
		if (is_shared(r->counts[at], rt->current, writes)) {
			return true;
		}
	}
	return false;
}

bool image_learned(void)
{
	bool learned = image->learned;
	for (unsigned i = 0; i < RANGES; i++) {
		struct range *r = &image->range[i];
		if (r->length != 0 && i != RANGE_HEAP) {
			memcpy(r->counts, r->touched, r->length);
		}
	}
	image->learned = false;
	return learned;
}

void image_forget(void)
{
	for (unsigned i = 0; i < RANGES; i++) {
		struct range *r = &image->range[i];
		if (r->length != 0 && i != RANGE_HEAP) {
			memset(r->touched, 0, r->length);
			memset(r->counts, 0, r->length);
		}
	}
	image->learned = false;
}
