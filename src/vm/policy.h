/* SPDX-License-Identifier: MIT */
/*
 * policy.h - who may do what: what every way into a space asks before it changes anything.
 *
 * Z1 A permission is granted here and nowhere else: within the maximum, within the rights of the VMAR, and,
 * in a space with W^X, never write and execute. Z2 The host's access control is asked about every change of a
 * space after all that is wrong by itself was refused, and before a record is taken: its denial changes
 * nothing. What replaces something asks for both.
 *
 * Lock: the space's.
 */
#ifndef VMEM_POLICY_H
#define VMEM_POLICY_H

#include "region.h"

/* OK, INVALID (unknown bits, or more than the maximum), WX, DENIED (the VMAR's rights). */
static inline vmem_status_t policy_grants(
    const struct vmem_vmar *vmar, unsigned permission, unsigned maximum)
{
	if ((permission | maximum) & ~(unsigned)VMEM_RWX || permission & ~maximum) {
		return VMEM_ERR_INVALID;
	}
	if (vmar->aspace->wx && (permission & (VMEM_WRITE | VMEM_EXEC)) == (VMEM_WRITE | VMEM_EXEC)) {
		return VMEM_ERR_WX;
	}
	return maximum & ~vmar->rights ? VMEM_ERR_DENIED : VMEM_OK;
}

/* Whether the host's access control has nothing against it. */
static inline bool policy_allows(struct vmem_aspace *aspace, enum vmem_operation operation,
    vmem_vaddr_t start, uint64_t length, unsigned permission)
{
	if (!aspace->access) {
		return true;
	}
	const struct vmem_access_request request = {
	    .aspace = aspace,
	    .operation = operation,
	    .start = start,
	    .length = length,
	    .permission = permission,
	};
	return aspace->access->allows(aspace->access->context, &request);
}

#endif
