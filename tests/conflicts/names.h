/* SPDX-License-Identifier: MIT */
/*
 * names.h - which object a recorded line belongs to (names.c).
 */
#ifndef CONFLICTS_NAMES_H
#define CONFLICTS_NAMES_H

#include "record.h"

/* A line that two operations touch. The text stays. */
const char *names_of(const struct record_line *a, const struct record_line *b);
/* What moved between a CPU's cache or list and what all share: NAMES_FRAMES, NAMES_OBJECTS. */
enum { NAMES_FRAMES = 1, NAMES_OBJECTS = 2 };
unsigned names_refilled(const struct record *record);
const char *symbol_name(uintptr_t address);

#endif
