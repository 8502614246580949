/* SPDX-License-Identifier: MIT */
/*
 * calls_process.c - system calls on processes. There are no signal handlers: a signal that a program sends
 * itself, or one of its threads, kills it or is ignored.
 */
#include "calls.h"
#include "thread.h"

#define SIGNALS 64u

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

/* Signals whose default is to do nothing: SIGCHLD, SIGCONT, SIGURG, SIGWINCH. */
static bool is_harmless(uint64_t signal)
{
	return signal == 17 || signal == 18 || signal == 23 || signal == 28;
}

/* To the running process; from any of its threads to any. */
static int64_t send_signal(uint64_t signal)
{
	if (signal > SIGNALS) {
		return -EINVAL;
	}
	if (signal == 0 || is_harmless(signal) ||
	    (process_current()->signals_ignored >> (signal - 1) & 1) != 0) {
		return 0;
	}
	kernel_say("%s: killed by signal %lu, sent by itself", process_current()->name, signal);
	process_kill((unsigned)signal);
}

static bool is_own_thread(uint32_t tid)
{
	bool found = false;

	kernel_lock();
	for (struct thread *t = process_current()->threads; t != NULL; t = t->sibling) {
		found |= t->tid == tid && t->state != THREAD_ENDED;
	}
	kernel_unlock();
	return found;
}

int64_t call_kill(const uint64_t *argument)
{
	const uint32_t pid = (uint32_t)argument[0];

	return pid == process_current()->pid || pid == 0 ? send_signal(argument[1]) : -ESRCH;
}

int64_t call_tkill(const uint64_t *argument)
{
	return is_own_thread((uint32_t)argument[0]) ? send_signal(argument[1]) : -ESRCH;
}

int64_t call_tgkill(const uint64_t *argument)
{
	if ((uint32_t)argument[0] != process_current()->pid || !is_own_thread((uint32_t)argument[1])) {
		return -ESRCH;
	}
	return send_signal(argument[2]);
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
	kernel_lock();
	process_current()->signals_ignored &= ~bit;
	if (handler == 1) { /* SIG_IGN */
		process_current()->signals_ignored |= bit;
	}
	kernel_unlock();
	return 0;
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
