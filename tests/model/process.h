/* SPDX-License-Identifier: MIT */
/*
 * process.h - what the calls of a process share: errors as sets, and locked memory.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include "model.h"

/* The errors that are met, by number. */
enum { E_OK, E_PERM, E_AGAIN, E_NOMEM, E_ACCES, E_FAULT, E_EXIST, E_INVAL, E_KINDS };

/* Counts an answer, 0 or -errno, which must be one of the set; if that is empty, 0. */
void judged_errno(const struct op *op, int answer, uint32_t wrong);
uint32_t errors_of(uint32_t statuses);
/* Why a mapping with these attributes may not have so many pages more. */
uint32_t lock_wrong(unsigned space, uint64_t more, unsigned attributes);
/* What is locked gets its pages; false if one cannot be had. */
bool populate_locked(unsigned space, unsigned first, unsigned end);
bool apply_remap(const struct op *op, unsigned space);

#endif
