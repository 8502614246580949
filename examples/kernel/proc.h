/* SPDX-License-Identifier: MIT */
/*
 * proc.h - what a process can read of itself: /proc/self/maps, /proc/self/status.
 */
#ifndef KERNEL_PROC_H
#define KERNEL_PROC_H

#include "kernel.h"

enum proc_file { PROC_NONE, PROC_MAPS, PROC_STATUS };

/* What a path names; NONE: nothing of these. */
enum proc_file proc_find(const char *path);
/* As pread(2); the text is made anew for each call. */
int64_t proc_read(enum proc_file which, uint64_t to, uint64_t length, uint64_t position);

#endif
