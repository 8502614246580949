/* SPDX-License-Identifier: MIT */
/*
 * string.c - the four functions that compilers take for granted, and two more. Eight bytes at a time where
 * both sides are aligned alike: no unaligned access, so this works with an MMU that is off.
 */
#include "kernel.h"

/* Compilers would forward each load to its store: of eight loads and then eight stores they make pairs. */
#define LOADS_DONE() __asm__ volatile("" ::: "memory")

static bool aligned_alike(const void *a, const void *b)
{
	return (((uintptr_t)a ^ (uintptr_t)b) & 7) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	if (aligned_alike(d, s)) {
		for (; length != 0 && ((uintptr_t)d & 7) != 0; length--) {
			*d++ = *s++;
		}
		for (; length >= 64; length -= 64, d += 64, s += 64) {
			const uint64_t *from8 = (const uint64_t *)(const void *)s;
			uint64_t *to8 = (uint64_t *)(void *)d;

			const uint64_t a = from8[0], b = from8[1], c = from8[2], e = from8[3];
			const uint64_t f = from8[4], g = from8[5], h = from8[6], i = from8[7];

			LOADS_DONE();
			to8[0] = a;
			to8[1] = b;
			to8[2] = c;
			to8[3] = e;
			to8[4] = f;
			to8[5] = g;
			to8[6] = h;
			to8[7] = i;
		}
		if ((length & 32) != 0) {
			const uint64_t *from8 = (const uint64_t *)(const void *)s;
			uint64_t *to8 = (uint64_t *)(void *)d;
			const uint64_t a = from8[0], b = from8[1], c = from8[2], e = from8[3];

			LOADS_DONE();
			to8[0] = a;
			to8[1] = b;
			to8[2] = c;
			to8[3] = e;
			d += 32;
			s += 32;
		}
		if ((length & 16) != 0) {
			const uint64_t *from8 = (const uint64_t *)(const void *)s;
			uint64_t *to8 = (uint64_t *)(void *)d;
			const uint64_t a = from8[0], b = from8[1];

			LOADS_DONE();
			to8[0] = a;
			to8[1] = b;
			d += 16;
			s += 16;
		}
		if ((length & 8) != 0) {
			*(uint64_t *)(void *)d = *(const uint64_t *)(const void *)s;
			d += 8;
			s += 8;
		}
		length &= 7;
	}
	for (; length != 0; length--) {
		*d++ = *s++;
	}
	return to;
}

void *memmove(void *to, const void *from, size_t length)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	if ((uintptr_t)d - (uintptr_t)s >= length) {
		return memcpy(to, from, length);
	}
	while (length != 0) {
		length--;
		d[length] = s[length];
	}
	return to;
}

void *memset(void *to, int byte, size_t length)
{
	unsigned char *d = to;
	const uint64_t word = (unsigned char)byte * UINT64_C(0x0101010101010101);

	for (; length != 0 && ((uintptr_t)d & 7) != 0; length--) {
		*d++ = (unsigned char)byte;
	}
	for (; length >= 32; length -= 32, d += 32) {
		uint64_t *to8 = (uint64_t *)(void *)d;

		to8[0] = to8[1] = word;
		to8[2] = to8[3] = word;
	}
	for (; length >= 8; length -= 8, d += 8) {
		*(uint64_t *)(void *)d = word;
	}
	for (; length != 0; length--) {
		*d++ = (unsigned char)byte;
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
	const unsigned char *x = a;
	const unsigned char *y = b;

	for (size_t i = 0; i < length; i++) {
		if (x[i] != y[i]) {
			return x[i] < y[i] ? -1 : 1;
		}
	}
	return 0;
}

size_t string_length(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0') {
		n++;
	}
	return n;
}

bool string_has(const char *s, char c)
{
	while (*s != '\0' && *s != c) {
		s++;
	}
	return *s != '\0';
}

bool string_equal(const char *a, const char *b)
{
	const size_t n = string_length(a);

	return n == string_length(b) && memcmp(a, b, n) == 0;
}
