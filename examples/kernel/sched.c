/* SPDX-License-Identifier: MIT */
/*
 * sched.c - who runs: one queue of ready threads for all CPUs, first come first served.
 *
 * Every CPU starts in a context of its own, the one in which it booted. It is there whenever no thread is
 * ready: it halts until another CPU, or its tick, wakes it up. Threads that wait for a time are on a list of
 * the CPU where they went to sleep, and that CPU ticks.
 *
 * P1. kernel_cpu.current is NULL exactly in the CPU's own context. No space is then live, but for the moment
 *     between a switch and sched_leave().
 * P2. The kernel's lock is held across the switch: a thread whose state is not RUNNING is off its stack for
 *     whoever has the lock.
 * P3. A CPU ticks while a thread is ready that no CPU runs, or while it has sleepers; it may go on for one
 *     tick more. So a lone program is not disturbed.
 * P4. When a thread becomes ready, a CPU that is halted gets an interrupt; if none is, all that do not tick
 *     do, and start to. The interrupt is not lost: port_idle() sees one that came before it.
 */
#include "stretch.h"
#include "thread.h"

static struct {
	struct thread *first, *last;
} queue; /* [k] */

struct port_thread *kernel_port_thread(void)
{
	return &thread_current()->port;
}

static void enqueue(struct thread *thread)
{
	thread->state = THREAD_READY;
	thread->next = NULL;
	if (queue.first == NULL) {
		queue.first = thread;
	} else {
		queue.last->next = thread;
	}
	queue.last = thread;
}

static struct thread *dequeue(void)
{
	struct thread *thread = queue.first;

	if (thread != NULL) {
		queue.first = thread->next;
	}
	return thread;
}

static void unqueue(struct thread *thread)
{
	struct thread *before = NULL;

	for (struct thread *t = queue.first; t != NULL; before = t, t = t->next) {
		if (t == thread) {
			*(before != NULL ? &before->next : &queue.first) = t->next;
			queue.last = t->next == NULL ? before : queue.last;
			return;
		}
	}
}

static void tick(struct kernel_cpu *cpu, bool wanted)
{
	if (wanted != cpu->ticking) {
		cpu->ticking = wanted;
		if (wanted) {
			port_tick_start();
		} else {
			port_tick_stop();
		}
	}
}

/* P3 */
static bool tick_wanted(const struct kernel_cpu *cpu)
{
	return queue.first != NULL || cpu->sleepers != NULL;
}

/* P4 */
void sched_ready(struct thread *thread)
{
	struct kernel_cpu *self = cpu_this();
	uint64_t cpus = 0;

	enqueue(thread);
	for (unsigned i = 0; i < kernel_cpu_count; i++) {
		struct kernel_cpu *cpu = &kernel_cpus[i];

		if (cpu->halted) {
			cpu->halted = false;
			if (cpu != self) {
				port_cpu_interrupt(UINT64_C(1) << i);
			}
			return;
		}
		cpus |= cpu != self && !cpu->ticking ? UINT64_C(1) << i : 0;
	}
	if (self->current != NULL) {
		tick(self, true);
	}
	if (cpus != 0) {
		port_cpu_interrupt(cpus);
	}
}

void sched_switch(void)
{
	struct kernel_cpu *cpu = cpu_this();
	struct thread *from = cpu->current, *next = dequeue();

	cpu->current = next;
	cpu->put_off = false;
	if (next != NULL) {
		next->state = THREAD_RUNNING;
		next->cpu = cpu->number;
		cpu->port.attention = thread_attention(next) ? 1 : 0;
		if (!cpu->ticking && tick_wanted(cpu)) {
			tick(cpu, true);
		}
	}
	stretch_end();
	if (next != from) {
		port_thread_switch(
		    from != NULL ? &from->port : &cpu->idle, next != NULL ? &next->port : &cpu->idle);
	}
}

void sched_leave(void)
{
	struct kernel_cpu *cpu = cpu_this();
	struct vmem_aspace *aspace = cpu->current != NULL ? cpu->current->aspace : NULL;

	kernel_unlock();
	if (cpu->active != aspace) {
		vmem_aspace_activate(aspace);
		__atomic_store_n(&cpu->active, aspace, __ATOMIC_RELEASE);
	}
}

void kernel_thread_begin(void)
{
	sched_leave();
}

/* A thread whose process ends does not go on. */
static void check_end(void)
{
	const struct process *process = process_current();

	if (process->ending && process->survivor != thread_current()) {
		thread_end();
	}
}

void sched_yield(void)
{
	check_end();
	if (queue.first != NULL) {
		enqueue(thread_current());
		sched_switch();
	}
}

static void sleeper_remove(struct kernel_cpu *cpu, struct thread *thread)
{
	for (struct thread **at = &cpu->sleepers; *at != NULL; at = &(*at)->sleeper) {
		if (*at == thread) {
			*at = thread->sleeper;
			break;
		}
	}
	thread->deadline = 0;
}

static void sleep_until(uint64_t deadline)
{
	struct kernel_cpu *cpu = cpu_this();
	struct thread *thread = cpu->current;

	thread->state = THREAD_WAITING;
	thread->timed_out = false;
	thread->deadline = deadline;
	if (deadline != 0) {
		thread->sleeper = cpu->sleepers;
		cpu->sleepers = thread;
	}
	sched_switch();
}

int sched_wait(uint64_t deadline)
{
	const struct thread *thread = thread_current();

	check_end();
	if (!thread_is_signalled(thread)) {
		sleep_until(deadline);
		if (thread->timed_out) {
			return ETIMEDOUT;
		}
	}
	if (!thread_is_signalled(thread)) {
		return 0;
	}
	cpu_this()->port.attention = 1;
	return EINTR;
}

void sched_sleep(void)
{
	check_end();
	sleep_until(0);
}

void sched_wake(struct thread *thread)
{
	if (thread->deadline != 0) {
		sleeper_remove(&kernel_cpus[thread->cpu], thread);
	}
	sched_ready(thread);
}

void sched_forget(struct thread *thread)
{
	if (thread->state == THREAD_READY) {
		unqueue(thread);
	} else if (thread->deadline != 0) {
		sleeper_remove(&kernel_cpus[thread->cpu], thread);
	}
}

/* Those of this CPU whose time has come. */
static void wake_sleepers(struct kernel_cpu *cpu)
{
	const uint64_t now = cpu->sleepers != NULL ? port_clock_ns() : 0;
	struct thread *next;

	for (struct thread *thread = cpu->sleepers; thread != NULL; thread = next) {
		next = thread->sleeper;
		if (thread->deadline <= now) {
			thread->timed_out = true;
			sched_wake(thread);
		}
	}
}

void kernel_tick(void)
{
	struct kernel_cpu *cpu = cpu_this();

	kernel_lock();
	wake_sleepers(cpu);
	if (cpu->current != NULL && !cpu->amid) {
		sched_yield();
		cpu = cpu_this();
		tick(cpu, tick_wanted(cpu));
		sched_leave();
	} else {
		if (cpu->amid) {
			cpu->put_off = true;
			stretch_interrupted();
		}
		kernel_unlock();
	}
}

void sched_catch_up(void)
{
	kernel_lock();
	cpu_this()->put_off = false;
	sched_yield();
	sched_leave();
}

void kernel_cpu_interrupted(void)
{
	struct kernel_cpu *cpu = cpu_this();

	cpus_serve();
	if (cpu->amid) {
		cpu->put_off = true;
		return;
	}
	/* Most come for no more than that: a look without the lock, since what it is for came first. */
	if (cpu->current == NULL ||
	    (!__atomic_load_n(&cpu->current->process->ending, __ATOMIC_RELAXED) &&
		(cpu->ticking || __atomic_load_n(&queue.first, __ATOMIC_RELAXED) == NULL))) {
		return;
	}
	kernel_lock();
	check_end();
	if (!cpu->ticking && tick_wanted(cpu)) {
		tick(cpu, true);
	}
	kernel_unlock();
}

void sched_idle(bool boot)
{
	struct kernel_cpu *cpu = cpu_this();

	kernel_lock();
	for (;;) {
		wake_sleepers(cpu);
		if (queue.first != NULL) {
			sched_switch();
			continue;
		}
		if (boot && process_live == 0) {
			break;
		}
		cpu->halted = true;
		tick(cpu, cpu->sleepers != NULL);
		sched_leave();
		port_idle();
		stretch_begin(STRETCH_REST);
		kernel_lock();
		cpu->halted = false;
	}
	tick(cpu, false);
	sched_leave();
}

void sched_wake_boot(void)
{
	if (cpu_this() != &kernel_cpus[0] && kernel_cpus[0].halted) {
		kernel_cpus[0].halted = false;
		port_cpu_interrupt(1);
	}
}
