/* SPDX-License-Identifier: MIT */
/*
 * cpus.c - the records of the CPUs, and calls from one to others.
 *
 * A call is written down in the caller's record and announced by one bit in each target's mailbox; then comes
 * the interrupt. The target may take the interrupt, or find the bit while it waits for a lock, or both: who
 * clears the bit runs the call, and an interrupt that finds no bit does nothing.
 *
 * C1. The kernel runs with interrupts off. So a CPU that waits for another one in any way serves its mailbox
 *     meanwhile (cpus_serve()); two CPUs that call each other both get through.
 * C2. A caller's record is free again when no target has yet to run: it waits for that, so it is never in use
 *     twice.
 * C3. What is run takes no lock and makes no call.
 * C4. A CPU that has been waiting for SPIN_NS halts for a while, and again after as long: with fewer CPUs
 *     below this machine than it has, who is waited for may not run because of those who wait. A program
 *     whose fault has to be tried again is one of them (vmem_host_relax()), and each of its turns is long:
 *     so it is time that counts. Turns further apart than APART_NS belong to different waits.
 *
 * C5. Interrupts that are let in amid a call of the library do what they are for, but switch no threads and
 *     end none: the library has its own locks, and with one CPU none. What is put off is done on the way to
 *     user mode (sched_catch_up()), or needs no more to be done when another thread runs first.
 *
 * Order: the record is written before the bit is set (release) and read after it is cleared (acquire); what
 * the function did comes before the target leaves `waiting` (release), which the caller reads (acquire).
 */
#include <vmem/host.h>
#include <vmem/init.h>
#include <vmem/kernel.h>

#include "stretch.h"
#include "thread.h"

struct kernel_cpu kernel_cpus[KERNEL_CPU_MAX];
unsigned kernel_cpu_count = 1;

struct lock kernel_lock_word, output_lock_word;

static void *stacks[KERNEL_CPU_MAX];

struct port_cpu *kernel_cpu_port(unsigned number)
{
	if (kernel_cpus[number].number != number) {
		kernel_cpus[number].number = number;
	}
	return &kernel_cpus[number].port;
}

#define SPIN_NS UINT64_C(20000)
#define APART_NS UINT64_C(100000)

void cpus_relax(void)
{
	struct kernel_cpu *cpu = cpu_this();
	uint64_t now = port_clock_ns();

	cpus_serve();
	if (now - cpu->waited_last > APART_NS) {
		cpu->waits_since = now;
	}
	if (now - cpu->waits_since > SPIN_NS) { /* C4 */
		port_rest();
		now = port_clock_ns();
		cpu->waits_since = now;
	} else {
		port_relax();
	}
	cpu->waited_last = now;
}

void cpus_pause(void)
{
	struct kernel_cpu *cpu = cpu_this();

	cpu->amid = true;
	port_take_interrupts();
	cpu->amid = false;
	stretch_point();
	if (cpu->put_off) {
		cpu->port.attention = 1;
	}
}

void lock_wait(struct lock *lock)
{
	do {
		do {
			cpus_relax();
		} while (__atomic_load_n(&lock->taken, __ATOMIC_RELAXED) != 0);
	} while (__atomic_exchange_n(&lock->taken, 1u, __ATOMIC_ACQUIRE) != 0);
}

void *kernel_cpu_stack(unsigned number)
{
	return (char *)stacks[number] + KERNEL_STACK_SIZE;
}

#if VMEM_MAX_CPUS > 1

#define START_NS UINT64_C(10000000000)

static struct mailbox {
	uint64_t callers; /* bit n: CPU n has a call for this one */
	uint64_t waiting; /* of this CPU's call: who has yet to run it */
	void (*function)(void *);
	void *argument;
} __attribute__((aligned(64))) mailboxes[KERNEL_CPU_MAX];

static uint64_t online = 1; /* CPUs that accept calls */

void cpus_start(void)
{
	const unsigned machine = port_cpu_count();
	const unsigned count = machine < KERNEL_CPU_MAX ? machine : KERNEL_CPU_MAX;
	const uint64_t all = count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
	uint64_t end;

	if (count <= 1) {
		return;
	}
	for (unsigned i = 1; i < count; i++) {
		if (vmem_kernel_stack_alloc(KERNEL_STACK_SIZE, &stacks[i]) != VMEM_OK) {
			kernel_panic("no memory for the stack of CPU %u", i);
		}
	}
	end = port_clock_ns() + START_NS;
	port_cpus_start(count);
	while (__atomic_load_n(&online, __ATOMIC_ACQUIRE) != all) {
		if (port_clock_ns() > end) {
			kernel_panic("of %u CPUs only %lx have started", count, online);
		}
		cpus_relax();
	}
	kernel_cpu_count = count;
}

_Noreturn void kernel_cpu_main(void)
{
	vmem_library_init_cpu();
	__atomic_fetch_or(&online, UINT64_C(1) << cpu_this()->number, __ATOMIC_RELEASE);
	sched_idle(false);
	kernel_panic("CPU %u has no more to do", cpu_this()->number);
}

void cpus_serve(void)
{
	const unsigned self = cpu_this()->number;
	uint64_t callers;

	if (__atomic_load_n(&mailboxes[self].callers, __ATOMIC_RELAXED) == 0) {
		return;
	}
	callers = __atomic_exchange_n(&mailboxes[self].callers, 0, __ATOMIC_ACQUIRE);
	for (unsigned i = 0; i < KERNEL_CPU_MAX; i++) {
		if ((callers >> i & 1) != 0) {
			mailboxes[i].function(mailboxes[i].argument);
			__atomic_fetch_and(&mailboxes[i].waiting, ~(UINT64_C(1) << self), __ATOMIC_RELEASE);
		}
	}
}

void vmem_host_relax(void)
{
	cpus_relax();
}

unsigned vmem_host_cpu(void)
{
	return cpu_this()->number;
}

void vmem_host_cpu_call(uint64_t cpus, void (*function)(void *), void *argument)
{
	const unsigned self = cpu_this()->number;
	struct mailbox *mine = &mailboxes[self];

	cpus &= __atomic_load_n(&online, __ATOMIC_ACQUIRE);
	if (cpus == 0) {
		return;
	}
	mine->function = function;
	mine->argument = argument;
	__atomic_store_n(&mine->waiting, cpus, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < KERNEL_CPU_MAX; i++) {
		if ((cpus >> i & 1) != 0) {
			__atomic_fetch_or(&mailboxes[i].callers, UINT64_C(1) << self, __ATOMIC_RELEASE);
		}
	}
	port_cpu_interrupt(cpus);
	while (__atomic_load_n(&mine->waiting, __ATOMIC_ACQUIRE) != 0) {
		cpus_relax();
	}
}

void kernel_cpu_call_others(void (*function)(void *), void *argument)
{
	vmem_host_cpu_call(~(UINT64_C(1) << cpu_this()->number), function, argument);
}

#else

void cpus_start(void)
{
}

_Noreturn void kernel_cpu_main(void)
{
	kernel_panic("another CPU has started in a kernel for one");
}

void cpus_serve(void)
{
}

void kernel_cpu_call_others(void (*function)(void *), void *argument)
{
	(void)function;
	(void)argument;
}

#endif
