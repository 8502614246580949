/* SPDX-License-Identifier: MIT */
/*
 * slab.h - the library's small objects, each type from frames of its own.
 *
 * Memory stays of its type until its whole frame is given back, which happens only at points where no lock-free reader can look at
 * it (contract 6.2); a freed object keeps its bytes but for the first eight (the free link), so generations survive free and reuse when
 * they lie behind them.
 */
#ifndef VMEM_SLAB_H
#define VMEM_SLAB_H

#include "frame.h"

enum slab_id { SLAB_REGION, SLAB_VMAR, SLAB_INDEX_NODE, SLAB_STORE, SLAB_OBJECT, SLAB_LINEAGE, SLAB_ASPACE, SLAB_COUNT };

void vmem_slabs_init(void);
/* One object, contents as they come (the first 8 bytes indeterminate, the rest zero when the frame is new, else as freed). NULL: no frame. */
void *vmem_slab_alloc(enum slab_id id);
void vmem_slab_free(enum slab_id id, void *object);
/* Makes sure that the next `count` allocations of the type cannot fail (until somebody else allocates of it). False: no memory, nothing lost.
 * promised: may use frames promised to snapshots; then it fails only where the promise was broken. */
bool vmem_slab_reserve(enum slab_id id, unsigned count, bool promised);
/* Objects in use, for statistics and checks. */
uint64_t vmem_slab_in_use(enum slab_id id);
/* True if `object` is a live object of that type: for validators. */
bool vmem_slab_owns(enum slab_id id, const void *object);
/* Gives empty frames back. */
void vmem_slab_trim(void);
void vmem_slab_check(void);

#endif
