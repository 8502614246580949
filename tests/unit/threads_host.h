/* SPDX-License-Identifier: MIT */
/*
 * threads_host.h - a host for frames and small objects alone, of which each thread is a CPU. Calls to other
 * CPUs wait in mailboxes; a CPU looks into its own between operations (serve) and while it waits. Included by
 * one test program each.
 */
#ifndef THREADS_HOST_H
#define THREADS_HOST_H

#define _GNU_SOURCE 1

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "cpu.h"
#include "slab.h"
#include "trace.h"

#define CPUS VMEM_MAX_CPUS
#define FRAMES 384u /* not enough for all that is wanted */
#define RAM_PA UINT64_C(0x40000000)

/* A test that fails in a thread ends the program: cmocka's assertions are the main thread's. */
#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "CPU %u, line %d: %s\n", this_cpu, __LINE__, #condition);            \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

static _Thread_local unsigned this_cpu;
static _Thread_local uint64_t seed;
static unsigned char owned[FRAMES];

/* The host. */

struct letter {
	void (*function)(void *);
	void *argument;
	unsigned done;
};
static struct letter *mailbox[CPUS];
static unsigned begun, ended; /* threads */

_Noreturn void vmem_host_panic(const char *rule)
{
	fprintf(stderr, "panic on CPU %u: %s\n", this_cpu, rule);
	abort();
}

unsigned vmem_host_cpu(void)
{
	return this_cpu;
}

static void serve(void)
{
	struct letter *letter = __atomic_exchange_n(&mailbox[this_cpu], NULL, __ATOMIC_ACQUIRE);
	if (letter) {
		letter->function(letter->argument);
		__atomic_store_n(&letter->done, 1, __ATOMIC_RELEASE);
	}
}

void vmem_host_relax(void)
{
	serve();
	sched_yield();
}

/* A CPU whose thread has ended is off. It ends with its mailbox closed. */
#define CLOSED ((struct letter *)1)

void vmem_host_cpu_call(uint64_t cpus, void (*function)(void *), void *argument)
{
	CHECK((cpus >> this_cpu & 1) == 0);
	for (unsigned i = 0; i < CPUS; i++) {
		struct letter letter = {function, argument, 0};
		struct letter *empty = NULL;
		if ((cpus >> i & 1) == 0) {
			continue;
		}
		while (!__atomic_compare_exchange_n(
		    &mailbox[i], &empty, &letter, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			if (empty == CLOSED) {
				break;
			}
			empty = NULL;
			vmem_host_relax();
		}
		while (empty != CLOSED && __atomic_load_n(&letter.done, __ATOMIC_ACQUIRE) == 0) {
			vmem_host_relax();
		}
	}
}

static void mailbox_close(void)
{
	struct letter *empty = NULL;
	while (!__atomic_compare_exchange_n(
	    &mailbox[this_cpu], &empty, CLOSED, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		empty = NULL;
		serve();
	}
}

void vmem_arch_pause(void);
void vmem_arch_pause(void)
{
	sched_yield();
}

bool machine_fail_allocation(void)
{
	return false;
}

bool machine_failed_allocation(void)
{
	return false;
}

static void mark(uint64_t pa, unsigned order, unsigned char from, unsigned char to)
{
	uint64_t first = (pa - RAM_PA) >> VMEM_PAGE_SHIFT;
	for (uint64_t i = first; i < first + (UINT64_C(1) << order); i++) {
		CHECK(i < FRAMES);
		CHECK(__atomic_exchange_n(&owned[i], to, __ATOMIC_RELAXED) == from);
	}
}

void machine_frame_allocated(uint64_t pa, unsigned order)
{
	mark(pa, order, 0, 1);
}

void machine_frame_freed(uint64_t pa, unsigned order)
{
	mark(pa, order, 1, 0);
}

#endif
