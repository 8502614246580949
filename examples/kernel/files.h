/* SPDX-License-Identifier: MIT */
/*
 * files.h - open files: what descriptors stand for.
 */
#ifndef KERNEL_FILES_H
#define KERNEL_FILES_H

#include "kernel.h"

enum file_kind { FILE_ARCHIVE, FILE_INPUT, FILE_OUTPUT, FILE_ERRORS };

/* What several descriptors, by dup, can share. */
struct open_file {
	unsigned references; /* 0: a free slot */
	enum file_kind kind;
	struct archive_entry *entry; /* ARCHIVE; INPUT: the archive's etc/stdin, or NULL */
	uint64_t position;
};

/* Gives a new process descriptors 0, 1 and 2. */
void files_init(struct process *process);
void files_close_all(struct process *process);
/* The running process's file, or NULL. */
struct open_file *files_get(uint64_t descriptor);
/* A new open file at the lowest free descriptor: that, -EMFILE. */
int64_t files_open(struct archive_entry *entry);
/* Another descriptor, at least `lowest`, for the same file. */
int64_t files_duplicate(struct open_file *file, uint64_t lowest);
/* The same at this very descriptor; what it was is closed. */
int64_t files_replace(struct open_file *file, uint64_t descriptor);
int64_t files_close(uint64_t descriptor);

#endif
