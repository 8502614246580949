/* SPDX-License-Identifier: MIT */
/*
 * Makes one access that must not be possible, and so must be killed by SIGSEGV; the argument says which.
 * Without one it reads a page that was unmapped a moment before. Prints a line first, and one more if it is
 * still alive.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

int main(int argc, char **argv);

static volatile unsigned char sink;

static unsigned char *map(int prot)
{
	unsigned char *p =
	    mmap(NULL, (size_t)3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		return NULL;
	}
	memset(p, 0xc3, (size_t)3 * PAGE);
	return mprotect(p + PAGE, PAGE, prot) == 0 ? p + PAGE : NULL;
}

static void call(unsigned char *at)
{
	void (*f)(void);

	memcpy(&f, &at, sizeof(f));
	f();
}

/* An address of which the compiler knows nothing. */
static volatile unsigned char *at(uintptr_t address)
{
	__asm__("" : "+r"(address));
	return (volatile unsigned char *)address;
}

static void access_badly(const char *how)
{
	unsigned char *p;

	if (strcmp(how, "unmapped") == 0) {
		p = map(PROT_READ);
		if (p != NULL && p[0] == 0xc3 && munmap(p, PAGE) == 0) {
			sink = *(volatile unsigned char *)p;
		}
	} else if (strcmp(how, "none-read") == 0 && (p = map(PROT_NONE)) != NULL) {
		sink = *(volatile unsigned char *)p;
	} else if (strcmp(how, "none-write") == 0 && (p = map(PROT_NONE)) != NULL) {
		*(volatile unsigned char *)p = 1;
	} else if (strcmp(how, "read-only-write") == 0 && (p = map(PROT_READ)) != NULL) {
		*(volatile unsigned char *)p = 1;
	} else if (strcmp(how, "text-write") == 0) {
		*at((uintptr_t)main) = 1;
	} else if (strcmp(how, "no-exec-call") == 0 && (p = map(PROT_READ)) != NULL) {
		call(p);
	} else if (strcmp(how, "stack-call") == 0) {
		unsigned char code[64];

		memset(code, 0xc3, sizeof(code));
		call((unsigned char *)((uintptr_t)(code + 15) & ~(uintptr_t)15));
	} else if (strcmp(how, "null") == 0) {
		sink = *at(16);
	} else if (strcmp(how, "kernel-read") == 0) {
		sink = *at(0xffffffff80200000u);
	} else if (strcmp(how, "kernel-write") == 0) {
		*at(0xffffffff80200000u) = 1;
	} else if (strcmp(how, "non-canonical") == 0) {
		sink = *at(0x1234567800000000u);
	} else {
		printf("fault: cannot set up %s\n", how);
	}
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "unmapped";

	printf("fault: %s\n", how);
	fflush(stdout);
	access_badly(how);
	printf("fault: still alive\n");
	return 1;
}
