/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - pipes: bytes on their way from writers to readers.
 */
#ifndef KERNEL_PIPE_H
#define KERNEL_PIPE_H

#include "kernel.h"

#define PIPE_SIZE 65536u /* what one holds */
#define PIPE_WHOLE 4096u /* a write of at most that is not mixed with others */

struct pipe {
	struct lock lock; /* of the bytes */
	bool taken;	  /* [k] */
	/* [k] open files of each side; who waits reads it, and `used`, with the kernel's lock. */
	unsigned readers, writers;
	uint8_t *bytes;	      /* its place stays when the pipe is gone, for the next one */
	uint64_t first, used; /* a ring */
};

/* One with a reader and a writer; NULL: none to be had. */
struct pipe *pipe_create(void);
/* Gives the memory back that pipes which are gone have left. No process is there to make one. */
void pipes_forget(void);
/* What /proc calls it. */
uint64_t pipe_number(const struct pipe *pipe);
/* One side is closed for the last time. With the kernel's lock. */
void pipe_close(struct pipe *pipe, bool writer);
/* As read(2) and write(2); `waits`: without O_NONBLOCK. */
int64_t pipe_read(struct pipe *pipe, uint64_t to, uint64_t length, bool waits);
int64_t pipe_write(struct pipe *pipe, uint64_t from, uint64_t length, bool waits);
/* What poll(2) says of one side; with the kernel's lock. */
unsigned pipe_events(const struct pipe *pipe, bool writer);

#endif
