/* SPDX-License-Identifier: MIT */
/*
 * calls_advice.c - system calls about memory that is mapped: advice, residence, locks and seals. What they
 * do is the library's (posix.h). Those that may take memory away take the process's lock of its memory, for
 * user_word.c's sake.
 */
#include "calls.h"
#include "thread.h"

int64_t call_madvise(const uint64_t *argument)
{
	int result;

	lock_take(&process_current()->memory);
	result = vmem_posix_madvise(&process_current()->posix, argument[0], argument[1], (int)argument[2]);
	lock_drop(&process_current()->memory);
	return result;
}

int64_t call_mincore(const uint64_t *argument)
{
	return vmem_posix_mincore(&process_current()->posix, argument[0], argument[1], argument[2]);
}

int64_t call_msync(const uint64_t *argument)
{
	return vmem_posix_msync(&process_current()->posix, argument[0], argument[1], (int)argument[2]);
}

int64_t call_mseal(const uint64_t *argument)
{
	return vmem_posix_mseal(&process_current()->posix, argument[0], argument[1], argument[2]);
}

int64_t call_mlock(const uint64_t *argument)
{
	return vmem_posix_mlock(&process_current()->posix, argument[0], argument[1]);
}

int64_t call_mlock2(const uint64_t *argument)
{
	return vmem_posix_mlock2(&process_current()->posix, argument[0], argument[1], (int)argument[2]);
}

int64_t call_munlock(const uint64_t *argument)
{
	return vmem_posix_munlock(&process_current()->posix, argument[0], argument[1]);
}

int64_t call_mlockall(const uint64_t *argument)
{
	return vmem_posix_mlockall(&process_current()->posix, (int)argument[0]);
}

int64_t call_munlockall(const uint64_t *argument)
{
	(void)argument;
	return vmem_posix_munlockall(&process_current()->posix);
}
