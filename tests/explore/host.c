/* SPDX-License-Identifier: MIT */
/*
 * host.c - what stands between the library and the machine while schedules are explored: effects become
 * scheduling points, calls to other CPUs wait for the threads that run there, and waiting makes way.
 *
 * H1 A call comes through to a CPU whose thread has ended, at once; to one that is in user code, at once or
 * after its next access, both are tried; to one that waits in vmem_host_relax() or in a call of its own, when
 * it goes on; with EXPLORE_INTERRUPTS to one that holds no spin lock, at once or before any later access. H2
 * Whoever waits for
 * a call serves those that come for it. H3 The adversary acts after an effect, as it does between
 * two threads: what may be cached is cached.
 */
#include <stdio.h>

#include <vmem/host.h>

#include "arch.h"
#include "lock.h"
#include "machine.h"
#include "record.h"
#include "runtime.h"
#include "slab.h"

void __real_vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush);
void __real_vmem_arch_flush(const struct arch_flush *flush);
void __real_vmem_arch_publish(void);
void __real_vmem_arch_page_clear(void *page);
void __real_vmem_arch_page_copy(void *to, const void *from);
void __real_vmem_lock_taken(uint8_t *lock, unsigned rank);
void __real_vmem_lock_given(unsigned rank);
void __real_machine_frame_allocated(uint64_t pa, unsigned order);
void __real_machine_frame_freed(uint64_t pa, unsigned order);
bool __real_machine_fail_allocation(void);
bool __real_vmem_slab_is_live(enum slab_id id, const void *object);
void __wrap_machine_frame_allocated(uint64_t pa, unsigned order);
void __wrap_machine_frame_freed(uint64_t pa, unsigned order);
bool __wrap_machine_fail_allocation(void);
bool __wrap_vmem_slab_is_live(enum slab_id id, const void *object);
void __wrap_vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush);
void __wrap_vmem_arch_flush(const struct arch_flush *flush);
void __wrap_vmem_arch_publish(void);
void __wrap_vmem_arch_page_clear(void *page);
void __wrap_vmem_arch_page_copy(void *to, const void *from);
void __wrap_vmem_lock_taken(uint8_t *lock, unsigned rank);
void __wrap_vmem_lock_given(unsigned rank);
void __wrap_vmem_arch_pause(void);
void __wrap_vmem_host_cpu_call(uint64_t cpus, void (*function)(void *), void *argument);
void __wrap_vmem_host_relax(void);
_Noreturn void __wrap_vmem_host_panic(const char *rule);

/* An effect: a point before it, and nothing of what the machine does is the thread's. */
static void effect_begin(void)
{
	threads_always();
	stores_drain();
	rt->quiet++;
}

static void effect_end(void)
{
	if (rt->exploring && rt->quiet == 1 && rt->hooks.adversary != NULL) {
		rt->hooks.adversary();
	}
	rt->quiet--;
	THIS->writes += !THIS->retries;
}

void __wrap_vmem_arch_activate(vmem_paddr_t root, uint32_t asid, bool flush)
{
	THIS->at = (uintptr_t)__builtin_return_address(0);
	effect_begin();
	__real_vmem_arch_activate(root, asid, flush);
	effect_end();
}

void __wrap_vmem_arch_flush(const struct arch_flush *flush)
{
	THIS->at = (uintptr_t)__builtin_return_address(0);
	effect_begin();
	__real_vmem_arch_flush(flush);
	effect_end();
}

void __wrap_vmem_arch_publish(void)
{
	rt->quiet++;
	__real_vmem_arch_publish();
	rt->quiet--;
}

/* What tells the machine of frames is no part of the library. */
void __wrap_machine_frame_allocated(uint64_t pa, unsigned order)
{
	rt->quiet++;
	__real_machine_frame_allocated(pa, order);
	rt->quiet--;
}

void __wrap_machine_frame_freed(uint64_t pa, unsigned order)
{
	rt->quiet++;
	__real_machine_frame_freed(pa, order);
	rt->quiet--;
}

bool __wrap_machine_fail_allocation(void)
{
	rt->quiet++;
	bool fails = __real_machine_fail_allocation();
	rt->quiet--;
	return fails;
}

/* What only a build with all checks asks, and asks of all CPUs, is not an operation's. */
bool __wrap_vmem_slab_is_live(enum slab_id id, const void *object)
{
	return (rt->exploring && rt->quiet == 0) || recorder.on || __real_vmem_slab_is_live(id, object);
}

void __wrap_vmem_arch_page_clear(void *page)
{
	THIS->at = (uintptr_t)__builtin_return_address(0);
	threads_always();
	stores_drain();
	__real_vmem_arch_page_clear(page);
}

void __wrap_vmem_arch_page_copy(void *to, const void *from)
{
	THIS->at = (uintptr_t)__builtin_return_address(0);
	threads_always();
	stores_drain();
	__real_vmem_arch_page_copy(to, from);
}

void __wrap_vmem_lock_taken(uint8_t *lock, unsigned rank)
{
	__real_vmem_lock_taken(lock, rank);
	if (recorder.on) {
		recorder.into->locks++;
	}
	THIS->spinning += rank >= LOCK_MUTEXES;
}

void __wrap_vmem_lock_given(unsigned rank)
{
	__real_vmem_lock_given(rank);
	THIS->spinning -= rank >= LOCK_MUTEXES;
}

_Noreturn void __wrap_vmem_host_panic(const char *rule)
{
	if (rt->what == NULL) {
		machine_panic(rule);
	}
	explore_fail("panic: %s", rule);
}

/* Waiting. */

static bool waits_for_byte(const struct thread *t)
{
	return t->loaded != NULL && t->loaded_value != 0;
}

void __wrap_vmem_arch_pause(void)
{
	struct thread *t = THIS;
	if (!rt->exploring) {
		machine_wait();
		return;
	}
	t->at = (uintptr_t)__builtin_return_address(0);
	threads_wait(false, waits_for_byte(t) ? t->loaded : NULL, t->loaded_value);
}

void __wrap_vmem_host_relax(void)
{
	struct thread *t = THIS;
	if (!rt->exploring) {
		machine_wait();
		return;
	}
	host_serve();
	t->at = (uintptr_t)__builtin_return_address(0);
	if (!waits_for_byte(t)) {
		explore_again(); /* what it waits for may have happened already */
	} else if (*(const uint8_t *)t->loaded == t->loaded_value) {
		threads_wait(true, t->loaded, t->loaded_value);
	}
	host_serve();
}

/* Calls. Thread i runs on CPU i. */

void host_run_on(unsigned cpu)
{
	rt->quiet++;
	machine_cpu_set(cpu);
	rt->quiet--;
}

static void run_call(unsigned cpu, void (*function)(void *), void *argument)
{
	unsigned self = machine_cpu();
	uint64_t point = rt->quiet;
	machine_cpu_set(cpu);
	image_write(&machine_counters.calls, sizeof(machine_counters.calls));
	machine_counters.calls++;
	rt->quiet++; /* on another CPU's behalf, or in an interrupt: in one step */
	function(argument);
	if (rt->hooks.adversary != NULL) {
		rt->hooks.adversary();
	}
	rt->quiet = (unsigned)point;
	machine_cpu_set(self);
}

bool host_has_calls(unsigned i)
{
	for (unsigned from = 0; from < rt->threads; from++) {
		if (rt->thread[from].call != NULL && (rt->thread[from].unanswered >> i & 1) != 0) {
			return true;
		}
	}
	return false;
}

void host_serve(void)
{
	for (unsigned from = 0; from < rt->threads; from++) {
		struct thread *t = &rt->thread[from];
		if (t->call != NULL && (t->unanswered >> rt->current & 1) != 0) {
			t->unanswered &= ~(1u << rt->current);
			run_call(rt->current, t->call, t->argument);
			THIS->writes += !THIS->retries;
		}
	}
}

/* (H1) Does the call come through to this thread's CPU now? */
static bool comes_through(unsigned i)
{
	const struct thread *t = &rt->thread[i];
	if (t->state == THREAD_DONE) {
		return true;
	}
	if (t->user || ((rt->what->flags & EXPLORE_INTERRUPTS) != 0 && t->spinning == 0)) {
		return explore_choose(2) == 0;
	}
	return false;
}

void __wrap_vmem_host_cpu_call(uint64_t cpus, void (*function)(void *), void *argument)
{
	struct thread *t = THIS;
	if (!rt->exploring || rt->quiet != 0) {
		rt->quiet++;
		machine_call(cpus, function, argument);
		rt->quiet--;
		return;
	}
	t->at = (uintptr_t)__builtin_return_address(0);
	if ((cpus >> machine_cpu() & 1) != 0 || t->spinning != 0) {
		explore_fail("CPU %u calls itself, or with a spin lock held", machine_cpu());
	}
	threads_always();
	stores_drain();
	t->unanswered = 0;
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		if ((cpus >> i & 1) == 0 || !machine_cpu_is_on(i)) {
			continue;
		}
		if (i >= rt->threads || comes_through(i)) {
			run_call(i, function, argument);
		} else {
			t->unanswered |= 1u << i;
		}
	}
	t->call = function;
	t->argument = argument;
	while (t->unanswered != 0) {
		threads_wait(true, NULL, 0);
		host_serve(); /* (H2) */
	}
	t->call = NULL;
}

void explore_enter(void)
{
	THIS->user = false;
}

void explore_leave(void)
{
	stores_drain();
	THIS->user = true;
	THIS->retries = false;
	host_serve();
}
