/* SPDX-License-Identifier: MIT */
/*
 * memfile.h - files in memory (memfd): an object of the library, and how many bytes of it count.
 */
#ifndef KERNEL_MEMFILE_H
#define KERNEL_MEMFILE_H

#include "files.h"

#define SEAL_SEAL 1u
#define SEAL_SHRINK 2u
#define SEAL_GROW 4u
#define SEAL_WRITE 8u
#define SEAL_FUTURE_WRITE 16u

struct memory_file {
	struct lock lock;    /* of size and seals, and of what lies behind the end */
	unsigned references; /* [k] open files; 0: free, once it has no object */
	struct vmem_object *object;
	uint64_t size; /* bytes */
	unsigned seals;
};

/* A file of no bytes with one reference; NULL: none to be had. */
struct memory_file *memory_file_create(unsigned seals);
/* Frees those that nobody refers to any more. Without the kernel's lock. */
void memory_files_reap(void);
/* Between the file and the running program. As read(2), write(2), ftruncate(2). */
int64_t memory_file_read(struct memory_file *file, uint64_t to, uint64_t length, uint64_t position);
int64_t memory_file_write(struct memory_file *file, uint64_t from, uint64_t length, uint64_t position);
int64_t memory_file_resize(struct memory_file *file, uint64_t size);
int64_t memory_file_seal(struct memory_file *file, uint64_t seals);

#endif
