/* SPDX-License-Identifier: MIT */
/*
 * calls_system.c - system calls about the machine: names, time, randomness.
 */
#include <vmem/frame.h>

#include "calls.h"
#include "thread.h"

#define NANOSECONDS UINT64_C(1000000000)
#define TIME_MAX (UINT32_MAX * UINT64_C(4)) /* seconds: more than that is for ever */

int64_t call_uname(const uint64_t *argument)
{
	static const struct {
		char sysname[65], nodename[65], release[65], version[65], machine[65], domain[65];
	} names = {"Linux", "vmem", "6.1.0", "libvmem example kernel", PORT_MACHINE, "(none)"};

	return kernel_copy_out(argument[0], &names, sizeof(names));
}

int64_t call_sysinfo(const uint64_t *argument)
{
	struct {
		int64_t uptime;
		uint64_t loads[3], total_ram, free_ram, shared_ram, buffer_ram, total_swap, free_swap;
		uint16_t processes, pad;
		uint32_t pad2;
		uint64_t total_high, free_high;
		uint32_t unit, pad3;
	} info = {.processes = 1, .unit = 1};
	struct vmem_frame_stats frames;

	vmem_frame_stats(&frames);
	info.uptime = (int64_t)(port_clock_ns() / NANOSECONDS);
	info.total_ram = frames.total * VMEM_PAGE_SIZE;
	info.free_ram = frames.free * VMEM_PAGE_SIZE;
	return kernel_copy_out(argument[0], &info, sizeof(info));
}

/* Time since the process began counts as its own: user and, none, system. */
int64_t call_getrusage(const uint64_t *argument)
{
	uint64_t usage[18] = {0};
	const uint64_t ns = port_clock_ns() - process_current()->start_ns;

	usage[0] = ns / NANOSECONDS;
	usage[1] = ns % NANOSECONDS / 1000;
	return kernel_copy_out(argument[1], usage, sizeof(usage));
}

int64_t call_times(const uint64_t *argument)
{
	const uint64_t ticks = port_clock_ns() / (NANOSECONDS / 100);
	const uint64_t times[4] = {ticks - process_current()->start_ns / (NANOSECONDS / 100), 0, 0, 0};

	if (argument[0] != 0 && kernel_copy_out(argument[0], times, sizeof(times)) != 0) {
		return -EFAULT;
	}
	return (int64_t)ticks;
}

int64_t call_getrandom(const uint64_t *argument)
{
	uint64_t done = 0;

	while (done < argument[1]) {
		const uint64_t word = kernel_random();
		const uint64_t left = argument[1] - done;
		const size_t part = left < sizeof(word) ? (size_t)left : sizeof(word);

		if (kernel_copy_out(argument[0] + done, &word, part) != 0) {
			return done != 0 ? (int64_t)done : -EFAULT;
		}
		done += part;
	}
	return (int64_t)done;
}

static uint64_t wall_clock(void)
{
	static uint64_t boot_time; /* 0: the clock chip has not been asked yet */

	uint64_t start;

	kernel_lock(); /* the chip has an index register */
	if (boot_time == 0) {
		boot_time = port_wall_ns() - port_clock_ns();
	}
	start = boot_time;
	kernel_unlock();
	return start + port_clock_ns();
}

/* Wall clock: CLOCK_REALTIME and its coarse, alarm and TAI relatives. The others are time since the start.
 * False for an unknown clock. */
static bool clock_read(uint64_t clock, uint64_t *out)
{
	if (clock > 11 || clock == 10) {
		return false;
	}
	if (clock == 0 || clock == 5 || clock == 8 || clock == 11) {
		*out = wall_clock();
	} else {
		*out = port_clock_ns() - (clock == 2 || clock == 3 ? process_current()->start_ns : 0);
	}
	return true;
}

int64_t call_clock_gettime(const uint64_t *argument)
{
	uint64_t ns;

	if (!clock_read(argument[0], &ns)) {
		return -EINVAL;
	}
	return kernel_copy_out(argument[1], (const uint64_t[2]){ns / NANOSECONDS, ns % NANOSECONDS}, 16);
}

int64_t call_clock_getres(const uint64_t *argument)
{
	uint64_t ns;

	if (!clock_read(argument[0], &ns)) {
		return -EINVAL;
	}
	return argument[1] != 0 ? kernel_copy_out(argument[1], (const uint64_t[2]){0, 1}, 16) : 0;
}

int64_t call_gettimeofday(const uint64_t *argument)
{
	const uint64_t ns = wall_clock();

	return argument[0] != 0 ? kernel_copy_out(argument[0],
				      (const uint64_t[2]){ns / NANOSECONDS, ns % NANOSECONDS / 1000}, 16)
				: 0;
}

int64_t call_time(const uint64_t *argument)
{
	const uint64_t seconds = wall_clock() / NANOSECONDS;

	if (argument[0] != 0 && kernel_copy_out(argument[0], &seconds, sizeof(seconds)) != 0) {
		return -EFAULT;
	}
	return (int64_t)seconds;
}

/* The time that a struct timespec of the program's names, on port_clock_ns(); never 0, which is no time. */
int64_t kernel_deadline(uint64_t clock, uint64_t from, bool absolute, uint64_t *out)
{
	uint64_t time[2], now, end;
	int64_t result = kernel_copy_in(time, from, sizeof(time));

	if (result != 0) {
		return result;
	}
	if (time[1] >= NANOSECONDS || time[0] > INT64_MAX || !clock_read(clock, &now)) {
		return -EINVAL;
	}
	time[0] = time[0] < TIME_MAX ? time[0] : TIME_MAX;
	end = time[0] * NANOSECONDS + time[1];
	if (absolute) {
		end = end > now ? end - now : 0;
	}
	*out = port_clock_ns() + end;
	*out += *out == 0 ? 1 : 0;
	return 0;
}

/* What is left until the deadline, where the program wants to know. */
static int64_t tell_rest(uint64_t deadline, uint64_t to)
{
	const uint64_t now = port_clock_ns(), rest = deadline > now ? deadline - now : 0;
	const uint64_t time[2] = {rest / NANOSECONDS, rest % NANOSECONDS};

	return to != 0 ? kernel_copy_out(to, time, sizeof(time)) : 0;
}

/* Wakes up at a tick: there are no finer timers. */
static int64_t sleep_until(uint64_t deadline)
{
	int result = 0;

	kernel_lock();
	while (result != EINTR && port_clock_ns() < deadline) {
		result = sched_wait(deadline);
	}
	sched_leave();
	return result == EINTR ? -ERESTARTNOHAND : 0;
}

/* A time from now does not begin anew when a signal has cut it short: what is left of it does. */
static int64_t sleep_rest(const uint64_t *argument)
{
	struct thread *thread = thread_current();
	const uint64_t to = argument[0], deadline = thread->restart.deadline;

	if (sleep_until(deadline) == 0) {
		return 0;
	}
	thread->restart.call = sleep_rest;
	thread->restart.argument[0] = to;
	return tell_rest(deadline, to) != 0 ? -EFAULT : -ERESTART_BLOCK;
}

static int64_t sleep_call(uint64_t clock, bool absolute, uint64_t from, uint64_t to)
{
	uint64_t deadline;
	const int64_t result = kernel_deadline(clock, from, absolute, &deadline);

	if (result != 0) {
		return result;
	}
	if (absolute) {
		return sleep_until(deadline);
	}
	thread_current()->restart.deadline = deadline;
	return sleep_rest(&to);
}

int64_t call_nanosleep(const uint64_t *argument)
{
	return sleep_call(1, false, argument[0], argument[1]);
}

int64_t call_clock_nanosleep(const uint64_t *argument)
{
	return sleep_call(argument[0], (argument[1] & 1) != 0, argument[2], argument[3]);
}

int64_t call_restart_syscall(const uint64_t *argument)
{
	const struct thread *thread = thread_current();
	uint64_t own[6];

	(void)argument;
	memcpy(own, thread->restart.argument, sizeof(own));
	return thread->restart.call != NULL ? thread->restart.call(own) : -EINTR;
}
