/* SPDX-License-Identifier: MIT */
/*
 * status.c - the names of statuses.
 */
#include <vmem/fault.h>
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
		[VMEM_ERR_SEALED] = "SEALED",
	};
	return (unsigned)status < VMEM_STATUS_COUNT ? names[status] : "UNKNOWN";
}

const char *vmem_fault_name(enum vmem_fault_result result)
{
	static const char *const names[VMEM_FAULT_RESULT_COUNT] = {
	    [VMEM_FAULT_RESOLVED] = "resolved",
	    [VMEM_FAULT_NO_REGION] = "no region",
	    [VMEM_FAULT_PERMISSION] = "permission",
	    [VMEM_FAULT_GUARD] = "guard",
	    [VMEM_FAULT_BEYOND_END] = "beyond the end of the object",
	    [VMEM_FAULT_NO_MEMORY] = "no memory",
	};
	return (unsigned)result < VMEM_FAULT_RESULT_COUNT ? names[result] : "unknown";
}
