/* SPDX-License-Identifier: MIT */
/*
 * Makes code in memory and calls it: writable first, then read-execute, never both. The same page is
 * rewritten with another function each round, so that an instruction cache that was not told, or a
 * translation that was not flushed when the permission shrank, gives the function of the round before.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 4, ROUNDS = 64 };

typedef int (*function)(int);

/* int f(int x) { return x + k; } for k from 0 to 127. */
static size_t assemble(unsigned char *at, unsigned k)
{
#if defined(__x86_64__)
	const unsigned char code[] = {0x8d, 0x47, (unsigned char)k, 0xc3}; /* lea k(%rdi), %eax; ret */
#elif defined(__aarch64__)
	const uint32_t code[] = {0x11000000u | k << 10, 0xd65f03c0u}; /* add w0, w0, #k; ret */
#elif defined(__riscv)
	const uint32_t code[] = {0x0005051bu | k << 20, 0x00008067u}; /* addiw a0, a0, k; ret */
#else
#error "no instructions for this ISA"
#endif
	memcpy(at, code, sizeof(code));
	return sizeof(code);
}

int main(void)
{
	unsigned char *memory =
	    mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned wrong = 0, calls = 0;

	if (memory == MAP_FAILED) {
		perror("jit: mmap");
		return 1;
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned page = 0; page < PAGES; page++) {
			unsigned char *at = memory + (size_t)page * PAGE + (size_t)16 * round;
			size_t length = assemble(at, round + page);

			/* The start of the page changes in every round, too. */
			assemble(memory + (size_t)page * PAGE, 2 * round % 128);
			__builtin___clear_cache((char *)memory + (size_t)page * PAGE, (char *)at + length);
		}
		if (mprotect(memory, (size_t)PAGES * PAGE, PROT_READ | PROT_EXEC) != 0) {
			perror("jit: mprotect to read-execute");
			return 1;
		}
		for (unsigned page = 0; page < PAGES; page++) {
			unsigned char *start = memory + (size_t)page * PAGE, *at = start + (size_t)16 * round;
			function first, f;

			memcpy(&first, &start, sizeof(first));
			memcpy(&f, &at, sizeof(f));
			wrong += round != 0 && first(1000) != 1000 + (int)(2 * round % 128);
			wrong += round != 0 && f(2000) != 2000 + (int)(round + page);
			calls += 2;
		}
		if (mprotect(memory, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE) != 0) {
			perror("jit: mprotect to read-write");
			return 1;
		}
	}
	printf("jit: %u calls into code made at run time, %u wrong\n", calls, wrong);
	return wrong != 0;
}
