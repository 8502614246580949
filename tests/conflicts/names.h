/* SPDX-License-Identifier: MIT */
/*
 * names.h - which object a recorded line belongs to (names.c).
 */
#ifndef CONFLICTS_NAMES_H
#define CONFLICTS_NAMES_H

#include "record.h"

/* A line that two operations touch. The text stays. */
const char *names_of(const struct record_line *a, const struct record_line *b);
/* Frames were moved between a CPU's cache and the source. */
bool names_refilled(const struct record *record);
const char *symbol_name(uintptr_t address);

#endif
