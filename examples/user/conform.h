/* SPDX-License-Identifier: MIT */
/* What the groups of conform share. */
#ifndef CONFORM_H
#define CONFORM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum {
	PAGE = 4096,
	RW = PROT_READ | PROT_WRITE,
	PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS,
	SHARED = MAP_SHARED | MAP_ANONYMOUS,
};
/* Bytes of so many pages. */
#define PAGES(n) ((size_t)(n)*PAGE)
/* Above every user address of every ISA, and page aligned; an address of the kernel's. */
#define BEYOND ((uintptr_t)0x7ffffffffffff000)
#define KERNEL ((uintptr_t)0xffffffff80200000)

/* A line of the check of that name: the error or "done"; yes or no; a text. */
void answers(const char *name, long result);
void holds(const char *name, int right);
void says(const char *name, const char *text);
/* The same for what this kernel does not know; and every line is, from here to provided(1). */
void unknown(const char *name);
void provided(int known);

/* System calls without the C library's own checks: a result between -4095 and -1 is an error. */
long call(long number, long a, long b, long c, long d, long e, long f);
long map(const void *at, size_t length, int prot, int flags);
long map_file(const void *at, size_t length, int prot, int flags, int fd, uint64_t offset);
long unmap(const void *at, size_t length);
long protect(const void *at, size_t length, int prot);
long remap(const void *at, size_t from, size_t to, int flags, const void *target);
long advise(const void *at, size_t length, int advice);
long make_file(const char *name, unsigned flags);
long cut(int fd, int64_t length);
int failed(long result);
/* The name of an error, or "done". */
const char *outcome(long result);

/* An area of that many pages of its own, read-write and private, with a page for each of them left free on
 * both sides; page i is filled with i + 1. */
unsigned char *area(unsigned pages);
/* The same place with nothing in it. */
unsigned char *space(unsigned pages);
/* Unmaps that place, whatever is in it now. */
void drop(const void *at, unsigned pages);
/* A memfd of so many pages, page i filled with i + 1. */
int file(unsigned pages);
/* Whether the page holds nothing but that byte. */
int filled(const unsigned char *page, unsigned char byte);
/* Whether anything is mapped there. */
int mapped(const void *at);
/* How many of the pages are resident; -1 where something is not mapped. */
int resident(const void *at, unsigned pages);

/* What the kernel's own access says: "done" or EFAULT. Writing changes eight bytes to zero; the address is a
 * multiple of eight. */
const char *kernel_writes(const void *at);
const char *kernel_reads(const void *at);

/* The soft limit that the program began with. */
uint64_t first_limit(int resource);
/* Sets a soft limit; the hard one stays. */
void limit(int resource, uint64_t value);
/* Runs the function in a child: what it returns, or 1000 + the signal that ended it; -1 without fork. */
int in_child(int (*function)(unsigned char *p), unsigned char *p);

/* The groups. */
void group_mmap(void);
void group_place(void);
void group_part(void);
void group_droppable(void);
void group_fixed(void);
void group_filemap(void);
void group_munmap(void);
void group_mprotect(void);
void group_mremap(void);
void group_moves(void);
void group_madvise(void);
void group_advice(void);
void group_guard(void);
void group_msync(void);
void group_mincore(void);
void group_mlock(void);
void group_mlockall(void);
void group_brk(void);
void group_mseal(void);
void group_memfd(void);
void group_seals(void);
void group_coherent(void);
void group_named(void);
void group_descriptors(void);
void group_fork(void);
void group_inherit(void);
void group_growsdown(void);
void group_limits(void);
void group_regions(void);
void group_overcommit(void);
void group_signals(void);
void group_repair(void);
void group_maps(void);
void group_access(void);

#endif
