/* SPDX-License-Identifier: MIT */
/*
 * proc.h - what a process can read of itself: /proc/self/maps, /proc/self/status. Which names these are, and
 * what the directories beside them hold, is said in names.h.
 */
#ifndef KERNEL_PROC_H
#define KERNEL_PROC_H

#include "kernel.h"

enum proc_file { PROC_MAPS, PROC_STATUS, PROC_FDS, PROC_TMP };

/* As pread(2), of a text; -EISDIR for the directories. The text is made anew for each call. */
int64_t proc_read(enum proc_file which, uint64_t to, uint64_t length, uint64_t position);

#endif
