/* SPDX-License-Identifier: MIT */
/*
 * lock.c - the machine's lock, when several threads drive it.
 *
 * It is made of plain atomic instructions in a file that no sanitizer instruments: the library's accesses
 * must not look ordered to ThreadSanitizer because the judge has looked at something in between. What a real
 * machine orders is said in memory.c and threads.c, and there alone.
 *
 * L1  The lock is recursive, and innermost: its holder waits for nothing.
 */
#include "internal.h"

#include <sched.h>

bool machine_is_threaded;

static uintptr_t owner; /* the address of the holder's `self`; 0: free */
static unsigned depth;	/* of the holder's takings */
static _Thread_local char self;

void machine_lock_take(void)
{
	uintptr_t me = (uintptr_t)&self;
	if (__atomic_load_n(&owner, __ATOMIC_RELAXED) == me) {
		depth++;
		return;
	}
	for (unsigned turns = 0;; turns++) {
		uintptr_t none = 0;
		if (__atomic_load_n(&owner, __ATOMIC_RELAXED) == 0 &&
		    __atomic_compare_exchange_n(
			&owner, &none, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			depth = 1;
			return;
		}
		if (turns % 64 == 63) {
			sched_yield();
		}
	}
}

void machine_lock_give(void)
{
	if (--depth == 0) {
		__atomic_store_n(&owner, 0, __ATOMIC_RELEASE);
	}
}

void machine_threads(bool on)
{
	machine_is_threaded = on;
}
