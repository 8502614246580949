/* SPDX-License-Identifier: MIT */
/*
 * files.h - open files: what descriptors stand for.
 */
#ifndef KERNEL_FILES_H
#define KERNEL_FILES_H

#include "proc.h"
#include "thread.h"

struct memory_file;
struct pipe;

enum file_kind { FILE_ARCHIVE, FILE_INPUT, FILE_OUTPUT, FILE_ERRORS, FILE_MEMORY, FILE_PIPE, FILE_PROC };

/* What several descriptors, by dup, can share: [k] with the kernel's lock. Two threads that read one file at
 * the same time may get the same bytes. */
struct open_file {
	unsigned references; /* 0: a free slot */
	enum file_kind kind;
	struct archive_entry *entry; /* ARCHIVE; INPUT: the archive's etc/stdin, or NULL */
	struct memory_file *memory;  /* MEMORY */
	unsigned access;	     /* MEMORY, PIPE: VMEM_READ, VMEM_WRITE */
	struct pipe *pipe;	     /* PIPE */
	enum proc_file proc;	     /* PROC */
	bool at_once;		     /* PIPE: O_NONBLOCK */
	bool appends;		     /* MEMORY: O_APPEND */
	uint64_t position;
};

/* Gives a new process descriptors 0, 1 and 2. */
void files_init(struct process *process);
/* With the kernel's lock: the process's files are a copy of another's; and has them no more. */
void files_inherit(struct process *process);
void files_close_all(struct process *process);
/* The running process's file, or NULL; it stays until it is released, whoever closes the descriptor. */
struct open_file *files_hold(uint64_t descriptor);
void files_release(struct open_file *file);
/* A thread ends in a call that uses a file. With the kernel's lock. */
void files_forget(struct thread *thread);
/* A new open file at the lowest free descriptor: that, -EMFILE. */
int64_t files_open(struct archive_entry *entry);
/* The same for a file in memory, whose reference becomes the open file's, or is given back. */
int64_t files_open_memory(struct memory_file *memory, unsigned access, bool appends);
/* A text of /proc, or a directory that is not of the archive. */
int64_t files_open_proc(enum proc_file proc);
/* One side of a pipe, which becomes the open file's, or is closed. */
int64_t files_open_pipe(struct pipe *pipe, unsigned access, bool at_once);
/* A program that begins in the running process does not have these; whether it has this one. */
void files_exec(void);
void files_set_exec(uint64_t descriptor, bool keeps);
bool files_get_exec(uint64_t descriptor);
/* The file of a descriptor opened once more; for others than files in memory another descriptor. */
int64_t files_reopen(uint64_t descriptor, unsigned access);
/* Another descriptor, at least `lowest`, for the same file. */
int64_t files_duplicate(struct open_file *file, uint64_t lowest);
/* The same at this very descriptor; what it was is closed. */
int64_t files_replace(struct open_file *file, uint64_t descriptor);
int64_t files_close(uint64_t descriptor);

#endif
