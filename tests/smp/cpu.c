/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - what a CPU of the stress is: its random numbers, its calls of the library, and its programs.
 *
 * V1 Between two operations, and between two tries of an access, it answers calls of other CPUs, as a kernel
 * with interrupts on would.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <vmem/trap.h>

#include "stress.h"

_Thread_local struct cpu *self;
struct world world;

uint64_t any(uint64_t below)
{
	uint64_t x = self->random += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % below;
}

bool chance(unsigned percent)
{
	return any(100) < percent;
}

void enter(const char *what)
{
	machine_inside(what);
}

void leave(void)
{
	machine_outside();
}

void run_space(unsigned space)
{
	if (self->space != space) {
		LIB_VOID(vmem_aspace_activate(world.space[space]));
		machine_cpu_idle(false);
		self->space = space;
	}
}

void run_own(struct vmem_aspace *aspace)
{
	LIB_VOID(vmem_aspace_activate(aspace));
	machine_cpu_idle(false);
	self->space = SPACES;
}

void run_nothing(void)
{
	machine_cpu_idle(true);
	LIB_VOID(vmem_aspace_activate(NULL));
	self->space = SPACES;
}

static enum vmem_fault_result program(
    struct vmem_aspace *aspace, uint64_t va, enum machine_access_kind kind, uint64_t *word)
{
	for (unsigned tries = 0;; tries++) {
		struct machine_result r =
		    machine_access(self->number, va, kind, MACHINE_USER, word, sizeof(*word));
		if (r.ok) {
			return VMEM_FAULT_RESOLVED;
		}
		struct vmem_trap trap = vmem_trap_decode(r.cause, r.detail);
		MUST(trap.is_page_fault && trap.is_user && !trap.malformed, "a trap at %#llx: cause %#llx",
		    (unsigned long long)va, (unsigned long long)r.cause);
		enum vmem_fault_result result = LIB(vmem_fault(aspace, r.va, trap.access));
		if (result != VMEM_FAULT_RESOLVED) {
			self->refused += result == VMEM_FAULT_NO_MEMORY;
			return result;
		}
		if (tries > 3) {
			machine_wait(); /* as the next interrupt would: another CPU is in the way */
		}
	}
}

enum vmem_fault_result load(struct vmem_aspace *aspace, uint64_t va, uint64_t *word)
{
	return program(aspace, va, MACHINE_READ, word);
}

enum vmem_fault_result store(struct vmem_aspace *aspace, uint64_t va, uint64_t word)
{
	return program(aspace, va, MACHINE_WRITE, &word);
}

void wrong(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	fprintf(stderr, "stress: CPU %u: ", self->number);
	vfprintf(stderr, format, list);
	fprintf(stderr, "\n");
	va_end(list);
	abort();
}

bool went(vmem_status_t status, const char *what)
{
	MUST(status == VMEM_OK || status == VMEM_ERR_NO_MEMORY, "%s: %s", what, vmem_status_name(status));
	self->refused += status != VMEM_OK;
	return status == VMEM_OK;
}
