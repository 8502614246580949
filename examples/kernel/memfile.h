/* SPDX-License-Identifier: MIT */
/*
 * memfile.h - files in memory (memfd, /tmp): an object of the library, and how many bytes of it count.
 */
#ifndef KERNEL_MEMFILE_H
#define KERNEL_MEMFILE_H

#include "files.h"

#define SEAL_SEAL 1u
#define SEAL_SHRINK 2u
#define SEAL_GROW 4u
#define SEAL_WRITE 8u
#define SEAL_FUTURE_WRITE 16u

#define MEMORY_NAME_MAX 250u

struct memory_file {
	struct lock lock;    /* of size and seals, and of what lies behind the end */
	unsigned references; /* [k] open files, and its name in /tmp; 0: free, once it has no object */
	bool linked;	     /* [k] /tmp has it */
	uint32_t mode;	     /* permission bits */
	char name[MEMORY_NAME_MAX];
	struct vmem_object *object;
	uint64_t size; /* bytes */
	unsigned seals;
};

/* A file of no bytes with one reference; NULL: none to be had. */
struct memory_file *memory_file_create(const char *name, unsigned seals);
/* One reference less; what nobody refers to is freed. */
void memory_file_release(struct memory_file *file);
/* Gives it its name in /tmp; false: another file has it. Takes the name away; false: no file has it. */
bool memory_file_link(struct memory_file *file);
bool memory_file_unlink(const char *name);
/* The file of this name in /tmp, with one more reference; NULL: none. */
struct memory_file *memory_file_find(const char *name);
/* The first name in /tmp at or after *position, which it then is; false: none. */
bool memory_file_next(uint64_t *position, char *name);
/* The file whose object it is, or NULL. */
const struct memory_file *memory_file_of(const struct vmem_object *object);
uint64_t memory_file_number(const struct memory_file *file);
/* As links in /proc show it, ended by a NUL if there is room: the length. */
int64_t memory_file_path(const struct memory_file *file, char *to, size_t room);
/* Frees those that nobody refers to any more. Without the kernel's lock. */
void memory_files_reap(void);
/* Takes all names out of /tmp. */
void memory_files_forget(void);
/* Between the file and the running program. As read(2), write(2), ftruncate(2). */
int64_t memory_file_read(struct memory_file *file, uint64_t to, uint64_t length, uint64_t position);
int64_t memory_file_write(struct memory_file *file, uint64_t from, uint64_t length, uint64_t position);
int64_t memory_file_resize(struct memory_file *file, uint64_t size);
int64_t memory_file_seal(struct memory_file *file, uint64_t seals);

#endif
