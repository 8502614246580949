/* SPDX-License-Identifier: MIT */
/*
 * program.h - what the programs with threads have in common; with _GNU_SOURCE.
 */
#ifndef SMP_PROGRAM_H
#define SMP_PROGRAM_H

#include <sys/personality.h>
#include <time.h>
#include <unistd.h>

static inline double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ThreadSanitizer needs the addresses where it expects them: the program starts itself again without their
 * randomisation. */
static inline void fix_addresses(char **argv)
{
	int now_is = personality(0xffffffff);
	if (now_is != -1 && (now_is & ADDR_NO_RANDOMIZE) == 0 &&
	    personality((unsigned long)now_is | ADDR_NO_RANDOMIZE) != -1) {
		execv("/proc/self/exe", argv);
	}
}

#endif
