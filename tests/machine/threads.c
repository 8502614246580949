/* SPDX-License-Identifier: MIT */
/*
 * threads.c - which CPU runs, calls to other CPUs, and the watchdog.
 *
 * With one thread the CPUs are played in turn: a call runs its function as each of them. With several, each
 * thread is one CPU for good, and a call is put into the targets' mailboxes; a target takes it where an
 * interrupt could come in: in user mode and between operations (machine_turn), in a turn of waiting for
 * another CPU (machine_wait), and while it waits for a call of its own. Never in machine_pause(), which a
 * spin lock waits with: who waits for an acknowledgement with such a lock held, and the target wants it, is
 * stuck, and the watchdog says so.
 *
 * H1  A call orders what its caller did before what the target does in it, and that before what the caller
 *     does after; nothing else (ThreadSanitizer sees this file).
 * H2  A mailbox is a list that is only pushed to, and taken whole.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <execinfo.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RELAXED_LOAD(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define RELAXED_STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)

struct call {
	struct call *next;
	void (*function)(void *);
	void *argument;
	unsigned *left; /* targets that have not run it */
};

static struct {
	struct call *mail;
	const char *doing; /* the operation, NULL: none */
	const char *waits; /* for what, NULL: it runs */
	uint64_t progress; /* operations begun */
	pthread_t thread;
	bool watched;
} __attribute__((aligned(64))) state[MACHINE_CPUS];

static _Thread_local unsigned this_cpu;
static unsigned yields; /* one in so many moments is left to other threads; 0: none */
static void (*wait_hook)(void);

unsigned machine_cpu(void)
{
	return this_cpu;
}

void machine_cpu_set(unsigned cpu)
{
	this_cpu = cpu;
}

void machine_wait_hook(void (*hook)(void))
{
	wait_hook = hook;
}

void machine_call_hook(void (*hook)(unsigned cpu))
{
	machine_now->call_hook = hook;
}

void machine_relax(int by)
{
	machine_now->relaxed += by;
}

void machine_yields(unsigned one_in)
{
	yields = one_in;
}

void machine_moment(void)
{
	static _Thread_local uint32_t random;
	if (!machine_is_threaded || yields == 0) {
		return;
	}
	if (random == 0) {
		random = this_cpu * 2654435769u + 1;
	}
	random = random * 1664525u + 1013904223u;
	if ((random >> 8) % yields == 0) {
		sched_yield();
	}
}

/* Waiting. */

static void serve(void)
{
	struct call *call;
	if (RELAXED_LOAD(&state[this_cpu].mail) == NULL) {
		return;
	}
	call = __atomic_exchange_n(&state[this_cpu].mail, NULL, __ATOMIC_ACQUIRE);
	while (call != NULL) {
		struct call *next = call->next;
		const char *doing = RELAXED_LOAD(&state[this_cpu].doing);
		RELAXED_STORE(&state[this_cpu].doing, "a call from another CPU");
		call->function(call->argument);
		RELAXED_STORE(&state[this_cpu].doing, doing);
		__atomic_fetch_sub(call->left, 1, __ATOMIC_RELEASE); /* it is gone after this */
		call = next;
	}
}

static void turn(const char *waits)
{
	RELAXED_STORE(&state[this_cpu].waits, waits);
	sched_yield();
	RELAXED_STORE(&state[this_cpu].waits, NULL);
}

void machine_turn(void)
{
	if (machine_is_threaded) {
		serve();
	}
}

void machine_wait(void)
{
	if (machine_is_threaded) {
		serve();
		turn("another CPU, answering calls");
		return;
	}
	if (wait_hook != NULL) {
		wait_hook();
		return;
	}
	machine_violation(MACHINE_MISUSE, "CPU %u waits for a lock that nobody can give back", this_cpu);
	abort();
}

void machine_pause(void)
{
	if (machine_is_threaded) {
		turn("a spin lock");
	} else {
		machine_wait();
	}
}

/* Calls. */

static void call_threads(uint64_t cpus, void (*function)(void *), void *argument)
{
	struct call call[MACHINE_CPUS];
	unsigned left = 0;
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		left += (cpus >> i & 1) != 0 && machine_cpu_is_on(i);
	}
	machine_count_calls(left);
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		if ((cpus >> i & 1) == 0 || !machine_cpu_is_on(i)) {
			continue;
		}
		call[i] = (struct call){RELAXED_LOAD(&state[i].mail), function, argument, &left};
		while (!__atomic_compare_exchange_n(
		    &state[i].mail, &call[i].next, &call[i], false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
		}
	}
	while (__atomic_load_n(&left, __ATOMIC_ACQUIRE) != 0) {
		serve();
		turn("CPUs that it has called");
	}
}

void machine_call(uint64_t cpus, void (*function)(void *), void *argument)
{
	unsigned self = this_cpu;
	if ((cpus >> self & 1) != 0) {
		machine_violation(MACHINE_MISUSE, "CPU %u calls itself", self);
	}
	if (machine_is_threaded) {
		call_threads(cpus, function, argument);
		return;
	}
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		if ((cpus >> i & 1) == 0 || !machine_cpu_is_on(i)) {
			continue;
		}
		this_cpu = i;
		machine_count_calls(1);
		if (machine_now->call_hook != NULL) {
			machine_relax(1);
			machine_now->call_hook(i);
			machine_relax(-1);
		}
		function(argument);
	}
	this_cpu = self;
}

/* Operations, and the watchdog over them. */

void machine_inside(const char *what)
{
	RELAXED_STORE(&state[this_cpu].doing, what);
	check_inside(this_cpu, true);
}

void machine_outside(void)
{
	check_inside(this_cpu, false);
	RELAXED_STORE(&state[this_cpu].doing, NULL);
	serve();
}

void machine_progress(void)
{
	RELAXED_STORE(&state[this_cpu].progress, state[this_cpu].progress + 1);
}

void machine_watched(bool on)
{
	state[this_cpu].thread = pthread_self();
	machine_progress();
	__atomic_store_n(&state[this_cpu].watched, on, __ATOMIC_RELEASE);
}

void machine_threads_print(void)
{
	for (unsigned i = 0; machine_is_threaded && i < MACHINE_CPUS; i++) {
		const char *doing = RELAXED_LOAD(&state[i].doing);
		const char *waits = RELAXED_LOAD(&state[i].waits);
		fprintf(stderr, "  CPU %u%s: %llu steps, in %s%s%s\n", i, i == this_cpu ? " (this one)" : "",
		    (unsigned long long)RELAXED_LOAD(&state[i].progress), doing != NULL ? doing : "user mode",
		    waits != NULL ? ", waits for " : "", waits != NULL ? waits : "");
	}
}

static void print_stack(int number)
{
	void *frames[32];
	(void)number;
	backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
	(void)!write(STDERR_FILENO, "\n", 1);
}

static _Noreturn void bark(unsigned cpu, unsigned seconds)
{
	fprintf(
	    stderr, "machine (%s): CPU %u has got nowhere for %u s\n", machine_now->mmu->name, cpu, seconds);
	machine_threads_print();
	signal(SIGUSR1, print_stack);
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		if (__atomic_load_n(&state[i].watched, __ATOMIC_ACQUIRE)) {
			pthread_kill(state[i].thread, SIGUSR1);
			sleep(1);
		}
	}
	abort();
}

static void *watch(void *argument)
{
	unsigned seconds = *(const unsigned *)argument;
	uint64_t seen[MACHINE_CPUS] = {0};
	unsigned still[MACHINE_CPUS] = {0};
	this_cpu = MACHINE_CPUS; /* none */
	for (;;) {
		sleep(1);
		for (unsigned i = 0; i < MACHINE_CPUS; i++) {
			uint64_t progress = RELAXED_LOAD(&state[i].progress);
			bool moves =
			    progress != seen[i] || !__atomic_load_n(&state[i].watched, __ATOMIC_ACQUIRE);
			still[i] = moves ? 0 : still[i] + 1;
			seen[i] = progress;
			if (still[i] >= seconds) {
				bark(i, seconds);
			}
		}
	}
	return NULL;
}

void machine_watchdog(unsigned seconds)
{
	static unsigned limit;
	pthread_t thread;
	limit = seconds;
	if (pthread_create(&thread, NULL, watch, &limit) != 0) {
		abort();
	}
	pthread_detach(thread);
}
