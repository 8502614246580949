/* SPDX-License-Identifier: MIT */
/*
 * heap.h - what this program's malloc() gives (host.c): memory in a row that is never taken back, so that
 * going back to the start of a schedule is enough to free what it allocated. heap_reset() frees all.
 */
#ifndef EXPLORE_HEAP_H
#define EXPLORE_HEAP_H

#include <stddef.h>
#include <stdint.h>

uintptr_t heap_base(void);
size_t heap_used(void);
void heap_use(size_t length); /* goes back to so much */
void heap_reset(void);

#endif
