/* SPDX-License-Identifier: MIT */
/*
 * calls_process.c - system calls on processes.
 */
#include "calls.h"
#include "thread.h"

int64_t call_zero(const uint64_t *argument)
{
	(void)argument;
	return 0;
}

int64_t call_user(const uint64_t *argument)
{
	(void)argument;
	return KERNEL_USER;
}

int64_t call_absent(const uint64_t *argument)
{
	(void)argument;
	return -ENOSYS;
}

int64_t kernel_call_unknown(uint64_t number)
{
	kernel_note("%s: system call %lu is unknown\n", process_current()->name, number);
	return -ENOSYS;
}

int64_t call_exit_group(const uint64_t *argument)
{
	process_exit((unsigned)argument[0] & 0xff);
}

int64_t call_getpid(const uint64_t *argument)
{
	(void)argument;
	return process_current()->pid;
}

int64_t call_prctl(const uint64_t *argument)
{
	enum { PR_SET_NAME = 15, PR_GET_NAME = 16 };
	char name[16] = {0};
	size_t length;

	switch (argument[0]) {
	case PR_SET_NAME:
		return 0;
	case PR_GET_NAME:
		length = string_length(process_current()->name);
		memcpy(name, process_current()->name, length < sizeof(name) ? length : sizeof(name) - 1);
		return kernel_copy_out(argument[1], name, sizeof(name));
	default:
		return -EINVAL;
	}
}
