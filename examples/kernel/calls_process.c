/* SPDX-License-Identifier: MIT */
/*
 * calls_process.c - system calls on processes. There are no signal handlers: a signal that a program sends
 * itself kills it, or is ignored.
 */
#include "calls.h"

#define SIGNALS 64u

int64_t call_zero(const uint64_t *argument)
{
	(void)argument;
	return 0;
}

int64_t call_absent(const uint64_t *argument)
{
	(void)argument;
	return -ENOSYS;
}

int64_t kernel_call_unknown(uint64_t number)
{
	kernel_note("%s: system call %lu is unknown\n", process_current->name, number);
	return -ENOSYS;
}

int64_t call_exit(const uint64_t *argument)
{
	process_exit((unsigned)argument[0] & 0xff);
}

int64_t call_exit_group(const uint64_t *argument)
{
	process_exit((unsigned)argument[0] & 0xff);
}

int64_t call_getpid(const uint64_t *argument)
{
	(void)argument;
	return process_current->pid;
}

int64_t call_gettid(const uint64_t *argument)
{
	(void)argument;
	return process_current->pid;
}

int64_t call_getppid(const uint64_t *argument)
{
	(void)argument;
	return 1;
}

int64_t call_set_tid_address(const uint64_t *argument)
{
	(void)argument;
	return process_current->pid;
}

int64_t call_sched_yield(const uint64_t *argument)
{
	(void)argument;
	process_yield();
	return 0;
}

/* One CPU; the call answers the size of the kernel's set. */
int64_t call_sched_getaffinity(const uint64_t *argument)
{
	const uint64_t cpus = 1;
	int64_t result;

	if (argument[1] < sizeof(cpus)) {
		return -EINVAL;
	}
	result = kernel_copy_out(argument[2], &cpus, sizeof(cpus));
	return result != 0 ? result : (int64_t)sizeof(cpus);
}

/* Signals whose default is to do nothing: SIGCHLD, SIGCONT, SIGURG, SIGWINCH. */
static bool is_harmless(uint64_t signal)
{
	return signal == 17 || signal == 18 || signal == 23 || signal == 28;
}

static int64_t send_signal(uint64_t pid, uint64_t signal)
{
	if (signal > SIGNALS) {
		return -EINVAL;
	}
	if (pid != process_current->pid && pid != 0) {
		return -ESRCH;
	}
	if (signal == 0 || is_harmless(signal) ||
	    (process_current->signals_ignored >> (signal - 1) & 1) != 0) {
		return 0;
	}
	kernel_say("%s: killed by signal %lu, sent by itself", process_current->name, signal);
	process_kill((unsigned)signal);
}

int64_t call_kill(const uint64_t *argument)
{
	return send_signal((uint32_t)argument[0], argument[1]);
}

int64_t call_tkill(const uint64_t *argument)
{
	return send_signal((uint32_t)argument[0], argument[1]);
}

int64_t call_tgkill(const uint64_t *argument)
{
	return (uint32_t)argument[0] == process_current->pid ? send_signal((uint32_t)argument[1], argument[2])
							     : -ESRCH;
}

/* Remembers only whether a signal is ignored. struct sigaction begins with the handler; the old one is
 * answered as zeroes. */
int64_t call_rt_sigaction(const uint64_t *argument)
{
	static const uint64_t old[3];
	const uint64_t signal = argument[0], bit = UINT64_C(1) << ((signal - 1) & 63);
	uint64_t handler;

	if (signal == 0 || signal > SIGNALS || argument[3] != sizeof(uint64_t)) {
		return -EINVAL;
	}
	if (argument[2] != 0 && kernel_copy_out(argument[2], old, sizeof(old)) != 0) {
		return -EFAULT;
	}
	if (argument[1] == 0) {
		return 0;
	}
	if (signal == SIGNAL_KILL || kernel_copy_in(&handler, argument[1], sizeof(handler)) != 0) {
		return signal == SIGNAL_KILL ? -EINVAL : -EFAULT;
	}
	process_current->signals_ignored &= ~bit;
	if (handler == 1) { /* SIG_IGN */
		process_current->signals_ignored |= bit;
	}
	return 0;
}

int64_t call_rt_sigprocmask(const uint64_t *argument)
{
	const uint64_t none = 0;

	if (argument[3] != sizeof(none)) {
		return -EINVAL;
	}
	return argument[2] != 0 ? kernel_copy_out(argument[2], &none, sizeof(none)) : 0;
}

/* No program has children. */
int64_t call_wait4(const uint64_t *argument)
{
	(void)argument;
	return -ECHILD;
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
		length = string_length(process_current->name);
		memcpy(name, process_current->name, length < sizeof(name) ? length : sizeof(name) - 1);
		return kernel_copy_out(argument[1], name, sizeof(name));
	default:
		return -EINVAL;
	}
}
