/* SPDX-License-Identifier: MIT */
/*
 * status.c - the names of statuses.
 */
#include <vmem/types.h>

const char *vmem_status_name(vmem_status_t status)
{
	static const char *const names[VMEM_STATUS_COUNT] = {
		[VMEM_OK] = "OK",
		[VMEM_ERR_INVALID] = "INVALID",
		[VMEM_ERR_RANGE] = "RANGE",
		[VMEM_ERR_NO_MEMORY] = "NO_MEMORY",
		[VMEM_ERR_NO_SPACE] = "NO_SPACE",
		[VMEM_ERR_EXISTS] = "EXISTS",
		[VMEM_ERR_NOT_FOUND] = "NOT_FOUND",
		[VMEM_ERR_DENIED] = "DENIED",
		[VMEM_ERR_WX] = "WX",
		[VMEM_ERR_LIMIT] = "LIMIT",
		[VMEM_ERR_STATE] = "STATE",
		[VMEM_ERR_UNSUPPORTED] = "UNSUPPORTED",
		[VMEM_ERR_FAULT] = "FAULT",
		[VMEM_ERR_CONFLICT] = "CONFLICT",
	};
	return (unsigned)status < VMEM_STATUS_COUNT ? names[status] : "UNKNOWN";
}
