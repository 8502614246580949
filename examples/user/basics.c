/* SPDX-License-Identifier: MIT */
/* What an ordinary C program takes for granted: thread-local storage, the heap and its growth, a deep stack,
 * sorting, floating point in and out, a clock that does not go back. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Thread_local int initialised = 12345;
static _Thread_local unsigned char zeroed[8192];
static char bss[1 << 20];
static int bad;

static void check(const char *what, int right)
{
	printf("basics: %s: %s\n", what, right ? "yes" : "NO");
	bad += !right;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void check_sort(void)
{
	enum { COUNT = 100000 };
	uint32_t *numbers = malloc(COUNT * sizeof(*numbers)), x = 1;
	uint64_t before = 0, after = 0;
	int sorted = 1;

	if (numbers == NULL) {
		check("memory for a sort", 0);
		return;
	}
	for (unsigned i = 0; i < COUNT; i++) {
		x = x * 1664525u + 1013904223u;
		numbers[i] = x;
		before += x;
	}
	qsort(numbers, COUNT, sizeof(*numbers), compare);
	for (unsigned i = 0; i < COUNT; i++) {
		after += numbers[i];
		sorted &= i == 0 || numbers[i - 1] <= numbers[i];
	}
	free(numbers);
	check("100000 numbers sorted, none lost", sorted && before == after);
}

static __attribute__((noinline)) uint64_t use_stack(unsigned depth)
{
	volatile unsigned char frame[64 * 1024];
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(frame); i += 512) {
		frame[i] = (unsigned char)(i / 512 + depth);
	}
	if (depth != 0) {
		sum = use_stack(depth - 1);
	}
	for (size_t i = 0; i < sizeof(frame); i += 512) {
		sum += frame[i] == (unsigned char)(i / 512 + depth);
	}
	return sum;
}

static void check_break(void)
{
	char *start = sbrk(0), *end;
	size_t size = 3u << 20;
	int right = sbrk((intptr_t)size) == (void *)start;

	end = sbrk(0);
	check("the break moves up by 3 MiB", right && end == start + size);
	for (size_t i = 0; i < size && right; i += 1024) {
		right = start[i] == 0;
		start[i] = (char)(i >> 10);
	}
	for (size_t i = 0; i < size && right; i += 1024) {
		right = start[i] == (char)(i >> 10);
	}
	check("the new memory is zero, then keeps what is written", right);
	check("and back", sbrk(-(intptr_t)size) == (void *)end && sbrk(0) == (void *)start);
	errno = 0;
	check("an absurd break is refused with ENOMEM",
	    sbrk((intptr_t)1 << 60) == (void *)-1 && errno == ENOMEM && sbrk(0) == (void *)start);
}

static void check_floats(void)
{
	volatile double tenth = 0.1, two = 2;
	char text[64];
	char *end;

	printf("basics: %.17g %a %e %.3f %Lg\n", tenth * 3, 1.0 / 3, -6.02214076e23, -0.0005, 1.5L * two);
	printf("basics: %g %g %.10f %g\n", 1 / (two - 2), sqrt(two), sin(tenth), strtod("0x1.8p3zz", &end));
	check("strtod stops where it should", strcmp(end, "zz") == 0);
	snprintf(text, sizeof(text), "%.17g", tenth);
	check("0.1 survives a round trip", strtod(text, NULL) == tenth);
}

static void check_clock(void)
{
	struct timespec a, b;
	int right = clock_gettime(CLOCK_MONOTONIC, &a) == 0;

	for (unsigned i = 0; i < 100 && right; i++, a = b) {
		right = clock_gettime(CLOCK_MONOTONIC, &b) == 0 && b.tv_nsec >= 0 && b.tv_nsec < 1000000000 &&
			(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
	}
	check("the monotonic clock does not go back", right);
}

int main(void)
{
	size_t sum = 0;
	char *copy;

	for (size_t i = 0; i < sizeof(zeroed); i++) {
		sum += zeroed[i];
	}
	for (size_t i = 0; i < sizeof(bss); i++) {
		sum += (unsigned char)bss[i];
	}
	check("thread-local storage starts as written", initialised == 12345 && sum == 0);
	memset(zeroed, 1, sizeof(zeroed));
	memset(bss, 2, sizeof(bss));
	check("errno is thread-local and works", close(-1) == -1 && errno == EBADF);
	check_sort();
	check("6 MiB of stack keep their content", use_stack(95) == 96 * 128);
	check_break();
	copy = strdup("a string of its own");
	check("strdup", copy != NULL && strcmp(copy, "a string of its own") == 0);
	free(copy);
	check_floats();
	check_clock();
	return bad != 0;
}
