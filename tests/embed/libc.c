/* SPDX-License-Identifier: MIT */
/* libc.c - what compiler and libvmem expect of a C library, and the console. Built so that the loops stay
 * loops. */
#include "host.h"

void *memset(void *to, int c, size_t n)
{
	unsigned char *t = to;

	while (n-- != 0) {
		*t++ = (unsigned char)c;
	}
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	while (n-- != 0) {
		*t++ = *f++;
	}
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if (t <= f) {
		return memcpy(to, from, n);
	}
	while (n-- != 0) {
		t[n] = f[n];
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n != 0 && *x == *y; n--) {
		x++;
		y++;
	}
	return n == 0 ? 0 : *x < *y ? -1 : 1;
}

void say(const char *text)
{
	while (*text != '\0') {
		uart_put(*text++);
	}
}

void say_number(uint64_t value)
{
	char digits[21];
	unsigned at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	say(digits + at);
}

_Noreturn void stop(const char *why)
{
	say("end: panic ");
	say(why);
	say("\n");
	machine_off();
}
