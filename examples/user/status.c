/* SPDX-License-Identifier: MIT */
/* Ends in the way that the argument names: a number is the exit status; abort, illegal and trap die by a
 * signal; spin never ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "0";

	printf("status: %s\n", how);
	fflush(stdout);
	if (strcmp(how, "abort") == 0) {
		abort();
	} else if (strcmp(how, "illegal") == 0) {
#if defined(__x86_64__)
		__asm__ volatile("ud2");
#elif defined(__aarch64__)
		__asm__ volatile("udf #0");
#else
		__asm__ volatile(".word 0");
#endif
	} else if (strcmp(how, "trap") == 0) {
#if defined(__x86_64__)
		__asm__ volatile("int3");
#elif defined(__aarch64__)
		__asm__ volatile("brk #0");
#else
		__asm__ volatile("ebreak");
#endif
	} else if (strcmp(how, "spin") == 0) {
		for (;;) {
			__asm__ volatile("" ::: "memory");
		}
	}
	return (int)strtol(how, NULL, 10);
}
