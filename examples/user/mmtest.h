/* SPDX-License-Identifier: MIT */
/* What the parts of mmtest share. */
#ifndef MMTEST_H
#define MMTEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS };

/* Prints one check and its result, and counts it as wrong when the result is another than the one that Linux
 * gives. */
void is(const char *what, const char *result, const char *expected);
void holds(const char *what, int right);

/* The calls without the C library's own checks. A result between -4095 and -1 is an error, anything else a
 * value. */
long map(uintptr_t at, size_t length, int prot, int flags);
long map_file(uintptr_t at, size_t length, int prot, int flags, int fd, uint64_t offset);
long unmap(uintptr_t at, size_t length);
long protect(uintptr_t at, size_t length, int prot);
uintptr_t set_break(uintptr_t to);

/* "done" or the name of the error. */
const char *outcome(long result);

/* An area of that many pages of its own, read-write, in the middle of unmapped space; each page filled with
 * its number + 1. */
unsigned char *area(unsigned pages);
void drop_area(unsigned char *at, unsigned pages);

/* What the kernel's own access to the page says: "done" or EFAULT. The reader prints a line that stands
 * there. */
const char *kernel_writes(const void *at);
const char *kernel_reads(const void *at, size_t length);
/* Whether anything is mapped there. */
int mapped(const void *at);
/* Whether the page holds nothing but that byte. */
int filled(const unsigned char *page, unsigned char byte);

void test_map(void);
void test_fixed(void);
void test_unmap(void);
void test_protect(void);
void test_break(void);
void test_kernel_access(void);

#endif
