/* SPDX-License-Identifier: MIT */
/*
 * calls_limit.c - resource limits: prlimit64, getrlimit, setrlimit. A process has the defaults of Linux until
 * it sets others. Those of memory are the library's to keep: limit_apply() tells it. The others are kept and
 * answered, and have no effect but for the number of descriptors.
 */
#include "calls.h"
#include "thread.h"

enum { RLIMIT_DATA = 2, RLIMIT_STACK = 3, RLIMIT_NOFILE = 7, RLIMIT_MEMLOCK = 8, RLIMIT_AS = 9 };

/* With the process's lock of its memory. */
static struct limit limit_of(const struct process *process, unsigned resource)
{
	struct limit limit = {UINT64_MAX, UINT64_MAX};

	if ((process->limits_set >> resource & 1) != 0) {
		return process->limits[resource];
	}
	if (resource == RLIMIT_STACK) {
		limit.soft = UINT64_C(8) << 20;
	} else if (resource == RLIMIT_NOFILE) {
		limit.soft = limit.hard = 32;
	} else if (resource == RLIMIT_MEMLOCK) {
		limit.soft = limit.hard = vmem_posix_linux.lock_limit;
	}
	return limit;
}

void limit_apply(struct process *process)
{
	static const uint8_t heeded[] = {RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK, RLIMIT_AS};

	for (unsigned i = 0; i < sizeof(heeded); i++) {
		vmem_posix_set_limit(&process->posix, (enum vmem_posix_limit)heeded[i],
		    limit_of(process, heeded[i]).soft);
	}
}

uint64_t limit_stack(const struct process *process)
{
	return limit_of(process, RLIMIT_STACK).soft;
}

uint64_t limit_files(struct process *process)
{
	const uint64_t soft = limit_of(process, RLIMIT_NOFILE).soft;

	return soft < FILES_MAX ? soft : FILES_MAX;
}

/* Nobody here may raise a hard limit. */
static int64_t limit_set(struct process *process, unsigned resource, struct limit limit)
{
	if (limit.soft > limit.hard) {
		return -EINVAL;
	}
	if (limit.hard > limit_of(process, resource).hard) {
		return -EPERM;
	}
	process->limits[resource] = limit;
	process->limits_set |= 1u << resource;
	limit_apply(process);
	return 0;
}

static int64_t exchange(uint64_t resource, uint64_t from, uint64_t to)
{
	struct process *process = process_current();
	struct limit fresh, old;
	int64_t result = 0;

	if (resource >= LIMITS) {
		return -EINVAL;
	}
	if (from != 0 && kernel_copy_in(&fresh, from, sizeof(fresh)) != 0) {
		return -EFAULT;
	}
	lock_take(&process->memory);
	old = limit_of(process, (unsigned)resource);
	if (from != 0) {
		result = limit_set(process, (unsigned)resource, fresh);
	}
	lock_drop(&process->memory);
	return result == 0 && to != 0 ? kernel_copy_out(to, &old, sizeof(old)) : result;
}

int64_t call_prlimit64(const uint64_t *argument)
{
	if (argument[0] != 0 && argument[0] != process_current()->pid) {
		return -ESRCH;
	}
	return exchange(argument[1], argument[2], argument[3]);
}

int64_t call_getrlimit(const uint64_t *argument)
{
	return argument[1] == 0 ? -EFAULT : exchange(argument[0], 0, argument[1]);
}

int64_t call_setrlimit(const uint64_t *argument)
{
	return argument[1] == 0 ? -EFAULT : exchange(argument[0], argument[1], 0);
}
