/* SPDX-License-Identifier: MIT */
/*
 * checkpoint.c - where a schedule has a choice left, everything is kept, so that the next schedule begins
 * there and not at the start.
 *
 * K1 What a schedule is at a decision: the image (a mark in the log of image.c), what runtime.h has of each
 * thread, and the stacks of all threads from where they stand to their tops. K2 A decision's checkpoint lives
 * as long as the decision; the stacks lie behind those of the decision before it. K3 The decision that says
 * who begins has none: that is the start.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "heap.h"
#include "runtime.h"

#define ARENA_SIZE ((size_t)1 << 30)

static struct kept {
	struct checkpoint {
		bool there;
		unsigned mark; /* in the image's log */
		size_t heap;
		unsigned current, preemptions, quiet, machine;
		struct thread thread[EXPLORE_THREADS];
		size_t start, end; /* of the stacks in the arena (K2) */
		jmp_buf here;
	} at[DECISIONS_MAX];
	size_t used;
	uint8_t arena[ARENA_SIZE];
} * kept;

void checkpoint_open(void)
{
	kept = mmap(
	    NULL, sizeof(*kept), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (kept == MAP_FAILED) {
		perror("explore: no memory");
		abort();
	}
}

/* The frame of a function that is called: below all that its caller has on the stack. */
__attribute__((noinline)) uint8_t *checkpoint_stack(void)
{
	return __builtin_frame_address(0);
}

static size_t stack_used(const struct thread *t)
{
	return (size_t)((uint8_t *)t->stack + STACK_SIZE - t->lowest);
}

__attribute__((noinline)) void checkpoint_keep(unsigned depth, jmp_buf here)
{
	struct checkpoint *c = &kept->at[depth];
	c->there = true;
	c->mark = image_mark();
	c->heap = heap_used();
	c->current = rt->current;
	c->preemptions = rt->preemptions;
	c->quiet = rt->quiet;
	c->machine = rt->machine;
	__real_memcpy(c->here, here, sizeof(c->here));
	THIS->lowest = __builtin_frame_address(0);
	__real_memcpy(c->thread, rt->thread, rt->threads * sizeof(rt->thread[0]));
	c->start = c->end = kept->used;
	for (unsigned i = 0; i < rt->threads; i++) {
		size_t size = stack_used(&rt->thread[i]);
		if (c->end + size > ARENA_SIZE) {
			fprintf(stderr, "explore: the stacks of a schedule need more than %zu bytes\n",
			    ARENA_SIZE);
			abort();
		}
		__real_memcpy(&kept->arena[c->end], rt->thread[i].lowest, size);
		c->end += size;
	}
	kept->used = c->end;
}

void checkpoint_drop(unsigned depth)
{
	if (kept->at[depth].there) {
		kept->at[depth].there = false;
		kept->used = kept->at[depth].start;
	}
}

bool checkpoint_is_there(unsigned depth)
{
	return kept->at[depth].there;
}

/* Not on a thread's own stack. */
_Noreturn void checkpoint_go(unsigned depth)
{
	struct checkpoint *c = &kept->at[depth];
	size_t from = c->start;
	image_back(c->mark);
	heap_use(c->heap);
	kept->used = c->end;
	rt->current = c->current;
	rt->preemptions = c->preemptions;
	rt->quiet = c->quiet;
	rt->machine = c->machine;
	rt->depth = depth;
	__real_memcpy(rt->thread, c->thread, rt->threads * sizeof(rt->thread[0]));
	for (unsigned i = 0; i < rt->threads; i++) {
		size_t size = stack_used(&rt->thread[i]);
		__real_memcpy(rt->thread[i].lowest, &kept->arena[from], size);
		from += size;
	}
	host_run_on(rt->current);
	_longjmp(c->here, 1);
}
