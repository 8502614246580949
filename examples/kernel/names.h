/* SPDX-License-Identifier: MIT */
/*
 * names.h - paths that stand for something else than an entry of the archive.
 */
#ifndef KERNEL_NAMES_H
#define KERNEL_NAMES_H

#include "memfile.h"
#include "proc.h"

enum name_kind {
	NAME_OTHER,	 /* none of these: an entry of the archive, or nothing */
	NAME_TEXT,	 /* /proc/self/maps, status: `proc` */
	NAME_LIST,	 /* /proc/self/fd, /tmp: `proc` */
	NAME_DESCRIPTOR, /* /proc/self/fd/N: `descriptor` */
	NAME_MEMORY,	 /* /tmp/NAME: `last`, whether there is such a file or not */
};

struct name {
	enum name_kind kind;
	enum proc_file proc;
	uint64_t descriptor;
	const char *last; /* in the path */
};

/* What an absolute path, or one from the root, stands for to the running process. */
struct name name_parse(const char *path);

/* One of a directory's names, the first at or after *position, which it then is; false: none. */
struct listed {
	char name[MEMORY_NAME_MAX];
	uint8_t type; /* DT_* */
};
bool name_next(enum proc_file directory, uint64_t *position, struct listed *out);

/* Opens a file in memory by its name, as open(2); a new one gets these permission bits. */
int64_t name_open(const char *last, uint64_t flags, uint64_t mode);
/* Where a descriptor's link leads: the length of the text. -ENOENT. */
int64_t name_of_descriptor(uint64_t descriptor, char *to, size_t room);

#endif
