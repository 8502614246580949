/* SPDX-License-Identifier: MIT */
/* batch.c for a machine that has one CPU: idea, invariants and locks (none) are in alone.h. */
#define VMEM_ALONE 1
#include "alone.h"

#if VMEM_MANY_CPUS
#include "batch.c"
#endif
