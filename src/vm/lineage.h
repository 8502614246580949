/* SPDX-License-Identifier: MIT */
/*
 * lineage.h - the family tree of stores (store.h, L1 and L2): what makes the pages of a snapshot findable.
 */
#ifndef VMEM_LINEAGE_H
#define VMEM_LINEAGE_H

#include "store.h"

void vmem_lineages_init(void);
/* A node for a new store, below parent (NULL: a root). NULL: no memory. */
struct lineage *vmem_lineage_create(struct lineage *parent, struct store *store);
/* The node's store has dropped its content and dies. */
void vmem_lineage_leave(struct lineage *node);
/* The node after `node` in the subtree of top, parents before children; NULL at the end. */
struct lineage *vmem_lineage_next(struct lineage *node, struct lineage *top);

#endif
