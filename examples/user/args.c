/* SPDX-License-Identifier: MIT */
/*
 * Checks what a new program finds on its stack, as the System V ABI lays it out: the argument count,
 * arguments, environment, auxiliary vector, and the strings above them. Prints what must be the same
 * everywhere and judges the rest.
 */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;
extern void _start(void);
extern const char __ehdr_start[];

/* Addresses above these are for programs that ask for them, however large the user half is. */
#if defined(__aarch64__)
#define ADDRESS_BITS 48
#else
#define ADDRESS_BITS 47
#endif

static int bad;

static void check(const char *what, int right)
{
	printf("args: %s: %s\n", what, right ? "yes" : "NO");
	bad += !right;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static uint64_t value(const Elf64_auxv_t *vector, uint64_t type, int *count)
{
	uint64_t found = 0;

	*count = 0;
	for (; vector->a_type != AT_NULL; vector++) {
		if (vector->a_type == type) {
			found = vector->a_un.a_val;
			++*count;
		}
	}
	return found;
}

static void check_headers(const Elf64_auxv_t *vector)
{
	const Elf64_Ehdr *image = (const Elf64_Ehdr *)(const void *)__ehdr_start;
	int n[4];
	uint64_t at = value(vector, AT_PHDR, &n[0]), size = value(vector, AT_PHENT, &n[1]),
		 count = value(vector, AT_PHNUM, &n[2]);
	uint64_t entry = value(vector, AT_ENTRY, &n[3]);

	check("AT_PHDR, AT_PHENT, AT_PHNUM, AT_ENTRY once each",
	    n[0] == 1 && n[1] == 1 && n[2] == 1 && n[3] == 1);
	check(
	    "AT_PHDR is where the image has its headers", at == (uint64_t)(uintptr_t)image + image->e_phoff);
	check("AT_PHENT and AT_PHNUM are the image's", size == sizeof(Elf64_Phdr) && count == image->e_phnum);
	check("AT_ENTRY is _start", entry == (uint64_t)(uintptr_t)_start);
}

static void check_values(const Elf64_auxv_t *vector)
{
	const unsigned char *random, *zero = (const unsigned char[16]){0};
	uint64_t start = (uint64_t)(uintptr_t)vector;
	const char *name;
	int n;

	check("AT_PAGESZ is 4096",
	    value(vector, AT_PAGESZ, &n) == 4096 && n == 1 && sysconf(_SC_PAGESIZE) == 4096);
	random = (const unsigned char *)(uintptr_t)value(vector, AT_RANDOM, &n);
	check("AT_RANDOM points to 16 bytes above the vector", n == 1 && (uint64_t)(uintptr_t)random > start);
	check("they are not all zero", memcmp(random, zero, 16) != 0);
	check("AT_SECURE is 0", value(vector, AT_SECURE, &n) == 0 && n == 1);
	check("AT_UID is getuid()", value(vector, AT_UID, &n) == getuid() && n == 1);
	check("AT_EUID is geteuid()", value(vector, AT_EUID, &n) == geteuid() && n == 1);
	check("AT_GID is getgid()", value(vector, AT_GID, &n) == getgid() && n == 1);
	check("AT_EGID is getegid()", value(vector, AT_EGID, &n) == getegid() && n == 1);
	value(vector, AT_HWCAP, &n);
	check("AT_HWCAP once", n == 1);
	value(vector, AT_HWCAP2, &n);
	check("AT_HWCAP2 at most once", n <= 1);
	check("AT_BASE absent or 0", value(vector, AT_BASE, &n) == 0);
	check("AT_CLKTCK is 100", value(vector, AT_CLKTCK, &n) == 100);
	name = (const char *)(uintptr_t)value(vector, AT_EXECFN, &n);
	check("AT_EXECFN once", n == 1);
	check(
	    "AT_EXECFN points to a name above the vector", (uint64_t)(uintptr_t)name > start && name[0] != 0);
}

int main(int argc, char **argv)
{
	char **e = environ;
	int formed = 1;

	printf("args: %d arguments\n", argc);
	printf("args: argument 0: %s\n", base_name(argv[0]));
	for (int i = 1; i < argc; i++) {
		printf("args: argument %d: <%s>\n", i, argv[i]);
	}
	check("argv ends with NULL", argv[argc] == NULL);
	check("stack and program lie where programs may expect them",
	    (uint64_t)(uintptr_t)argv >> ADDRESS_BITS == 0 &&
		(uint64_t)(uintptr_t)_start >> ADDRESS_BITS == 0);
	check("environ follows argv", (void *)e == (void *)(argv + argc + 1));
	for (; *e != NULL; e++) {
		formed &= strchr(*e, '=') != NULL && *e > (char *)e;
	}
	check("every environment string has an =", formed);
	check_headers((const Elf64_auxv_t *)(const void *)(e + 1));
	check_values((const Elf64_auxv_t *)(const void *)(e + 1));
	/* argc lies below argv, and the ABI aligns it. */
	check("the stack started 16-byte aligned", (uintptr_t)(argv - 1) % 16 == 0);
	return bad != 0;
}
