/* SPDX-License-Identifier: MIT */
/*
 * glue.h - what the files that know both the library and the machine tell each other.
 */
#ifndef MACHINE_GLUE_H
#define MACHINE_GLUE_H

#include "cpu.h"

extern const enum machine_isa glue_isa; /* that this program is built for */
/* What vmem_arch_icache_sync() was asked for, as physical addresses: for FENCE.I, which names none. */
extern _Thread_local uint64_t glue_fetch_start, glue_fetch_end;
uint64_t glue_physical(const void *kva);

#endif
