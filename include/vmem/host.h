/* SPDX-License-Identifier: MIT */
/**
 * @file host.h - what the library asks of the kernel that links it: one function, three more with several
 * CPUs, two more with the host's own frame allocator. They are ordinary functions, resolved by the linker.
 * None of them may call back into the library.
 *
 * Any number of CPUs may be inside the library at once. Every call is made with preemption off, so that the
 * CPU stays the same until it returns; interrupts may be on or off. No call is made from an interrupt
 * handler, nor from NMI or machine-check context. None sleeps.
 */
#ifndef VMEM_HOST_H
#define VMEM_HOST_H

#include <vmem/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * The host broke a rule of this library, or memory is corrupt. @p rule is one sentence that says which rule.
 * Context: anywhere; with any of the library's state half changed. Must not return and must not call back.
 */
VMEM_NORETURN void vmem_host_panic(const char *rule);

#if VMEM_MAX_CPUS > 1
/** The number of the CPU that runs this, below VMEM_MAX_CPUS. Context: anywhere; the caller cannot migrate
 * meanwhile. */
unsigned vmem_host_cpu(void);

/**
 * Runs @p function(@p argument) once on every CPU of @p cpus (bit n is CPU n; never the calling one) and
 * returns when all have run it. CPUs that are off are skipped; they flush everything when they come on. @p
 * function takes no lock, allocates nothing and may run in interrupt context. Everything the caller did
 * before is visible to it, and what it did is visible after. Context: wherever the host called the library;
 * the target CPUs must accept the call even while they wait for the host's lock.
 */
void vmem_host_cpu_call(uint64_t cpus, void (*function)(void *), void *argument);

/**
 * A turn of a loop in which the library waits for another CPU that may itself be waiting in
 * vmem_host_cpu_call(): runs the calls that have come for this CPU, if interrupts do not do that by
 * themselves, and returns soon. A host whose CPUs may be put aside by a machine below should halt this one
 * for some microseconds when such waits go on: who is waited for may not run because of those who wait.
 * Context: wherever the host called the library, which holds no spin lock.
 */
void vmem_host_relax(void);
#endif

#if VMEM_HOST_FRAMES
/**
 * 2^@p order frames, contiguous, aligned to their size, inside a range given to vmem_library_init(), and
 * below @p limit (exclusive, bytes; UINT64_MAX for none). Contents are indeterminate. Context: anywhere in
 * the library, on any number of CPUs at once. As for vmem_host_frame_free(), the library may hold spin
 * locks: a lock of the host's may be spun on, if it is never held while other CPUs or the library are
 * waited for. False when there are none: that is normal.
 */
bool vmem_host_frame_alloc(unsigned order, vmem_paddr_t limit, vmem_paddr_t *out_frame);

/** Gives back 2^@p order frames. A block may come back in smaller pieces than it was given. No CPU can reach
 * them any more. Context: as vmem_host_frame_alloc(). */
void vmem_host_frame_free(vmem_paddr_t frame, unsigned order);
#endif

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
