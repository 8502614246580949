/* SPDX-License-Identifier: MIT */
/*
 * arena.h - a host for the modules that need frames and nothing else: RAM out of mmap, panics that a test
 * can expect, an owner for every frame, and allocations that fail on request. Included by one test program
 * each; it is the program's host and its machine.
 */
#ifndef TEST_ARENA_H
#define TEST_ARENA_H

#define _GNU_SOURCE 1

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <vmem/host.h>

#include "frame.h"
#include "lock.h"
#include "trace.h"

#define ARENA_PA UINT64_C(0x40000000) /* where the RAM of the tests lies: aligned to 1 GiB */
#ifndef ARENA_FRAMES
#define ARENA_FRAMES 16384u
#endif

static unsigned char *arena_memory;
static unsigned char arena_owned[ARENA_FRAMES]; /* what the allocator has told of each frame */
static unsigned arena_cpu;
static unsigned arena_calls;		    /* rounds of calls to other CPUs */
static void (*arena_called)(uint64_t cpus); /* what happens after each */
/* Which question to machine_fail_allocation() is answered by yes. */
static long arena_asked, arena_fail_at = -1;
static jmp_buf *arena_panic_to;
static const char *arena_panic_rule;

_Noreturn void vmem_host_panic(const char *rule)
{
	if (arena_panic_to) {
		arena_panic_rule = rule;
		longjmp(*arena_panic_to, 1);
	}
	fprintf(stderr, "panic: %s\n", rule);
	abort();
}

#ifndef __clang__
/* Of what PANICS jumps out of, no test reads a variable that the statement changes. */
#pragma GCC diagnostic ignored "-Wclobbered"
#endif

/* True if running the statement panics with a rule that contains `words`. */
#define PANICS(statement, words)                                                                             \
	({                                                                                                   \
		jmp_buf here_;                                                                               \
		arena_panic_rule = NULL;                                                                     \
		if (setjmp(here_) == 0) {                                                                    \
			arena_panic_to = &here_;                                                             \
			statement;                                                                           \
		}                                                                                            \
		arena_panic_to = NULL;                                                                       \
		vmem_lock_abandon();                                                                         \
		if (arena_panic_rule && !strstr(arena_panic_rule, words)) {                                  \
			fprintf(stderr, "another panic: %s\n", arena_panic_rule);                            \
		}                                                                                            \
		arena_panic_rule && strstr(arena_panic_rule, words);                                         \
	})

unsigned vmem_host_cpu(void);
unsigned vmem_host_cpu(void)
{
	return arena_cpu;
}

/* No test here waits for another CPU. */
void vmem_host_relax(void);
void vmem_host_relax(void)
{
	abort();
}

void vmem_arch_pause(void);
void vmem_arch_pause(void)
{
	abort();
}

/* Each CPU runs it when asked; the test may let one be inside of its section. */
void vmem_host_cpu_call(uint64_t cpus, void (*function)(void *), void *argument);
void vmem_host_cpu_call(uint64_t cpus, void (*function)(void *), void *argument)
{
	unsigned self = arena_cpu;
	assert_int_equal(cpus >> self & 1, 0);
	arena_calls++;
	for (unsigned i = 0; i < VMEM_MAX_CPUS; i++) {
		if (cpus >> i & 1) {
			arena_cpu = i;
			function(argument);
		}
	}
	arena_cpu = self;
	if (arena_called) {
		arena_called(cpus);
	}
}

bool machine_fail_allocation(void);
bool machine_fail_allocation(void)
{
	return arena_asked++ == arena_fail_at;
}

bool machine_failed_allocation(void);
bool machine_failed_allocation(void)
{
	return arena_fail_at >= 0 && arena_asked == arena_fail_at + 1;
}

static void arena_mark(uint64_t pa, unsigned order, unsigned char from, unsigned char to)
{
	uint64_t first = (pa - ARENA_PA) >> VMEM_PAGE_SHIFT;
	assert_int_equal(pa & ((VMEM_PAGE_SIZE << order) - 1), 0);
	for (uint64_t i = first; i < first + (UINT64_C(1) << order); i++) {
		assert_true(i < ARENA_FRAMES);
		assert_int_equal(arena_owned[i], from);
		arena_owned[i] = to;
	}
}

void machine_frame_allocated(uint64_t pa, unsigned order);
void machine_frame_allocated(uint64_t pa, unsigned order)
{
	arena_mark(pa, order, 0, 1);
}

void machine_frame_freed(uint64_t pa, unsigned order);
void machine_frame_freed(uint64_t pa, unsigned order)
{
	arena_mark(pa, order, 1, 0);
}

/* RAM as described; NULL: all of the arena, in one range. */
static vmem_status_t arena_start_ranges(const struct vmem_ram *ram, unsigned count)
{
	const struct vmem_ram all = {ARENA_PA, (uint64_t)ARENA_FRAMES << VMEM_PAGE_SHIFT};
	if (!arena_memory) {
		arena_memory = mmap(NULL, (size_t)all.length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert_true(arena_memory != MAP_FAILED);
	}
	vmem_direct_map = (uint64_t)(uintptr_t)arena_memory - ARENA_PA;
	memset(arena_owned, 0, sizeof(arena_owned));
	arena_cpu = 0;
	arena_calls = 0;
	arena_called = NULL;
	arena_asked = 0;
	arena_fail_at = -1;
	return vmem_frames_init(ram ? ram : &all, ram ? count : 1);
}

/* `frames` of RAM in one range. */
static inline void arena_start(uint64_t frames)
{
	const struct vmem_ram ram = {ARENA_PA, frames << VMEM_PAGE_SHIFT};
	assert_int_equal(arena_start_ranges(&ram, 1), VMEM_OK);
}

static inline uint64_t arena_count_owned(void)
{
	uint64_t count = 0;
	for (unsigned i = 0; i < ARENA_FRAMES; i++) {
		count += arena_owned[i];
	}
	return count;
}

/* A small generator with a fixed seed, so a failure is found again. */
static uint64_t arena_seed = 1;
static inline uint64_t arena_random(uint64_t below)
{
	arena_seed ^= arena_seed << 13;
	arena_seed ^= arena_seed >> 7;
	arena_seed ^= arena_seed << 17;
	return arena_seed % below;
}

#endif
