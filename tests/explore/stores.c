/* SPDX-License-Identifier: MIT */
/*
 * stores.c - store buffers, for cases with EXPLORE_LATE: an atomic store that others could see may stay with
 * its CPU while the CPU's next loads go ahead. That is what a strongly ordered CPU (x86-64) does, and what
 * others do too.
 *
 * B1 To hold a store back costs a preemption. What is stored behind it is held back too: stores become
 * visible in their order. B2 They become visible at the latest before the thread's next update, full fence,
 * plain write, effect, wait or call, before it reads what it has stored, and when it leaves the library. So
 * what is found here can happen; that everything is found which can happen is not claimed (E4). B3 That they
 * become visible is what others can see, wherever the thread is by then: a scheduling point comes before it.
 */
#include "runtime.h"

static void see(struct thread *t, const struct late *late)
{
	void *p = (void *)(uintptr_t)late->at;
	image_write(p, late->size);
	threads_touch(p, late->size, true);
	__real_memcpy(p, &late->value, late->size);
	t->writes += !t->retries;
}

void stores_drain(void)
{
	struct thread *t = THIS;
	if (t->lates != 0) {
		threads_always(); /* (B3) */
	}
	for (unsigned i = 0; i < t->lates; i++) {
		see(t, &t->late[i]);
	}
	t->lates = 0;
}

void stores_drain_at(const void *p, size_t n)
{
	const struct thread *t = THIS;
	for (unsigned i = 0; i < t->lates; i++) {
		if ((uintptr_t)p < t->late[i].at + t->late[i].size && t->late[i].at < (uintptr_t)p + n) {
			stores_drain();
			return;
		}
	}
}

bool stores_hold(const volatile void *p, size_t n, uint64_t value, bool in_order)
{
	struct thread *t = THIS;
	const void *at = (const void *)(uintptr_t)p;
	if (!rt->exploring || rt->quiet != 0 || rt->machine != 0 || (rt->what->flags & EXPLORE_LATE) == 0) {
		return false;
	}
	if (in_order || t->lates == LATES_MAX || !image_has(at)) {
		stores_drain();
		return false;
	}
	if (t->lates == 0 && (!image_shared(at, n, true) || !threads_hold())) {
		return false;
	}
	t->late[t->lates++] = (struct late){.at = (uintptr_t)at, .size = n, .value = value};
	return true;
}
