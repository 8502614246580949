/* SPDX-License-Identifier: MIT */
/*
 * threads.c - coroutines, and the search through their schedules. E1 to E4 are in explore.h.
 *
 * A schedule is the list of options taken at its decisions. The search goes depth first: the next schedule
 * takes the next option at the last decision that has one left within the bound, and the first option at all
 * that follow. It goes on where that decision was met for the first time (checkpoint.c).
 *
 * S1 A decision says which thread makes its next access; one that was just chosen is not asked about again
 * before it has made one. So no two schedules of the list are the same order of accesses. S2 A thread that
 * waits for a byte can go on when the byte has changed; one that waits for anything else, when another thread
 * has written anything. When no thread can go on and one has not ended, that is a deadlock. S3 A replay that
 * meets other decisions than the schedule before it is a fault of the explorer, and is reported. S4 A thread
 * that tries again (explore_again()) is not chosen before another one, that does not, has written something;
 * or two of them could keep the third from going on for ever. S5 A thread was stopped before an access, and
 * goes on, and nobody has touched what it accesses meanwhile: then the schedule is the same as one in which
 * it was stopped before its next access, and is given up. Not where the adversary looks.
 */
#define _DEFAULT_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "heap.h"
#include "runtime.h"

#define IDLE_MAX 4u

struct runtime *rt;

/* Before all else: instrumented code calls from the first. */
__attribute__((constructor)) static void runtime_open(void)
{
	rt = mmap(
	    NULL, sizeof(*rt), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (rt == MAP_FAILED) {
		perror("explore: no memory");
		abort();
	}
	(void)heap_base();
	checkpoint_open();
	image_open(0, 0);
	(void)symbol_name(0);
}

/* Back to where the schedule was started; the coroutine that runs is left as it is. */
static _Noreturn void leave(void)
{
	rt->exploring = false;
	_longjmp(rt->home, 1);
}

_Noreturn void threads_violation(const char *text)
{
	if (!rt->found) {
		rt->found = true;
		(void)snprintf(rt->text, sizeof(rt->text), "%s", text);
	}
	if (!rt->exploring) {
		_longjmp(rt->home, 1); /* a check after the schedule */
	}
	leave();
}

_Noreturn void explore_fail(const char *format, ...)
{
	char text[400];
	va_list list;
	va_start(list, format);
	(void)vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	threads_violation(text);
}

static uint64_t writes_of_others(unsigned i)
{
	uint64_t sum = 0;
	for (unsigned k = 0; k < rt->threads; k++) {
		sum += k != i ? rt->thread[k].writes : 0;
	}
	return sum;
}

/* (S2) */
bool thread_may_go_on(unsigned i)
{
	const struct thread *t = &rt->thread[i];
	if (t->state == THREAD_READY) {
		return !t->retries || i == rt->current || writes_of_others(i) != t->others_before ||
		       host_has_calls(i);
	}
	if (t->state != THREAD_WAITS) {
		return false;
	}
	if (t->relaxed && host_has_calls(i)) {
		return true;
	}
	if (t->call != NULL) {
		return t->unanswered == 0;
	}
	if (t->lock != NULL) {
		return *t->lock != t->lock_value;
	}
	return writes_of_others(i) != t->others_before;
}

void threads_touch(const void *p, size_t n, bool writes)
{
	for (unsigned i = 0; i < rt->threads; i++) {
		struct thread *t = &rt->thread[i];
		if (t->stopped && i != rt->current && (writes || t->place_writes) &&
		    (uintptr_t)p < (uintptr_t)t->place + t->place_size &&
		    (uintptr_t)t->place < (uintptr_t)p + n) {
			t->met = true;
		}
	}
}

/* The option that this schedule takes at the decision it is at. */
static unsigned take_next(void)
{
	const struct decision *d = &rt->path[rt->depth++];
	if (!d->free && d->taken != 0) {
		rt->preemptions++;
	}
	return d->option[d->taken];
}

/* A decision that is new; later schedules go on from here (checkpoint.c). */
static void keep(void)
{
	jmp_buf here;
	if (_setjmp(here) == 0) {
		checkpoint_keep(rt->depth, here);
	}
}

/* Takes one of `count` options, as this schedule says. */
static unsigned take(const uint8_t *options, unsigned count, bool threads, bool is_free)
{
	if (!is_free && rt->preemptions == rt->bound) {
		return options[0];
	}
	if (rt->depth == DECISIONS_MAX) {
		threads_violation("a schedule has no end: too many decisions");
	}
	struct decision *d = &rt->path[rt->depth];
	if (rt->depth < rt->length) {
		if (d->options != count || d->threads != threads || memcmp(d->option, options, count) != 0) {
			threads_violation("explorer: a replay went another way (S3)");
		}
	} else {
		*d = (struct decision){
		    .options = (uint8_t)count,
		    .preemptions = (uint8_t)rt->preemptions,
		    .free = is_free,
		    .threads = threads,
		};
		memcpy(d->option, options, count);
		rt->length++;
		if (rt->exploring) {
			keep();
		}
	}
	return take_next();
}

static void say(const char *what, unsigned thread)
{
	if (rt->replay) {
		const struct thread *t = &rt->thread[thread];
		fprintf(stderr, "  %5u  thread %u %s%s%s\n", rt->depth, thread, what, t->at ? " at " : "",
		    t->at ? symbol_name(t->at) : "");
	}
}

/* Runs thread `to`; returns when this one is chosen again. */
static void change(unsigned to)
{
	unsigned self = rt->current;
	struct thread *t = &rt->thread[self];
	if (to == self) {
		return;
	}
	say(t->state == THREAD_READY ? "makes way" : t->state == THREAD_DONE ? "has ended" : "waits", self);
	say("goes on", to);
	if (rt->hooks.adversary != NULL) {
		rt->quiet++;
		rt->hooks.adversary();
		rt->quiet--;
	}
	if (_setjmp(t->context) == 0) {
		t->lowest = checkpoint_stack();
		rt->current = to;
		_longjmp(rt->thread[to].context, 1);
	}
	host_run_on(self);
}

static _Noreturn void deadlock(void)
{
	char text[400];
	int n = snprintf(text, sizeof(text), "deadlock:");
	for (unsigned i = 0; i < rt->threads; i++) {
		const struct thread *t = &rt->thread[i];
		if (t->state == THREAD_WAITS) {
			n += snprintf(text + n, sizeof(text) - (size_t)n, " thread %u waits%s at %s;", i,
			    t->call   ? " for a call"
			    : t->lock ? " for a lock"
				      : "",
			    symbol_name(t->at));
		}
	}
	threads_violation(text);
}

/* The same as another schedule: it is given up. (S5) */
static _Noreturn void give_up(void)
{
	rt->redundant = true;
	leave();
}

/* Nothing has happened at the place that it was stopped before. (S5) */
static bool goes_on_in_vain(unsigned i)
{
	return rt->thread[i].stopped && !rt->thread[i].met;
}

/* Of those that only wait to try again, any. (S4) */
static unsigned add_retries(uint8_t *options)
{
	unsigned count = 0;
	for (unsigned i = 0; i < rt->threads; i++) {
		if (i != rt->current && rt->thread[i].state == THREAD_READY) {
			options[count++] = (uint8_t)i;
		}
	}
	return count;
}

/* Leaves those that are worth a schedule. */
static unsigned without_vain(uint8_t *options, unsigned count)
{
	unsigned left = 0;
	for (unsigned i = 0; i < count; i++) {
		if (!goes_on_in_vain(options[i])) {
			options[left++] = options[i];
		}
	}
	return left;
}

/* The current thread cannot, or would rather not, go on: any other may. */
static void make_way(void)
{
	uint8_t options[OPTIONS_MAX];
	unsigned count = 0;
	for (unsigned i = 0; i < rt->threads; i++) {
		if (i != rt->current && thread_may_go_on(i)) {
			options[count++] = (uint8_t)i;
		}
	}
	if (count == 0 && thread_may_go_on(rt->current)) {
		return;
	}
	count = count == 0 ? add_retries(options) : count;
	if (count == 0) {
		deadlock();
	}
	count = without_vain(options, count);
	if (count == 0) {
		give_up();
	}
	change(count == 1 ? options[0] : take(options, count, true, true));
}

/* With EXPLORE_INTERRUPTS a call that has come may be served before any access in the middle of the library,
 * or later. */
static void interrupt(void)
{
	static const uint8_t later_or_now[OPTIONS_MAX] = {0, 1};
	const struct thread *t = THIS;
	if ((rt->what->flags & EXPLORE_INTERRUPTS) != 0 && !t->user && t->spinning == 0 &&
	    host_has_calls(rt->current) && take(later_or_now, 2, false, true) == 1) {
		host_serve();
	}
}

/* A point before an access of `n` bytes; p NULL: before something else. */
static void decide(const void *p, size_t n, bool writes)
{
	uint8_t options[OPTIONS_MAX] = {(uint8_t)rt->current};
	struct thread *t = THIS;
	unsigned count = 1;
	interrupt();
	if (t->fresh) { /* (S1) */
		t->fresh = false;
		return;
	}
	for (unsigned i = 0; i < rt->threads; i++) {
		if (i != rt->current && thread_may_go_on(i) && !goes_on_in_vain(i)) {
			options[count++] = (uint8_t)i;
		}
	}
	unsigned next = count > 1 ? take(options, count, true, false) : rt->current;
	if (next == rt->current) {
		return;
	}
	t->stopped = p != NULL && t->lates == 0 && (rt->hooks.is_walked == NULL || !rt->hooks.is_walked(p));
	t->met = false;
	t->place = p;
	t->place_size = n;
	t->place_writes = writes;
	change(next);
	t->stopped = false;
}

void threads_always(void)
{
	if (rt->exploring && rt->quiet == 0) {
		decide(NULL, 0, false);
	}
}

void threads_point(const void *p, size_t n, bool writes)
{
	if (image_shared(p, n, writes)) {
		decide(p, n, writes);
	}
}

void threads_wait(bool relaxed, const uint8_t *lock, uint8_t value)
{
	struct thread *t = THIS;
	uint64_t others = writes_of_others(rt->current);
	stores_drain();
	t->state = THREAD_WAITS;
	t->retries = false;
	t->relaxed = relaxed;
	t->lock = lock;
	t->lock_value = value;
	t->others_before = others;
	make_way();
	t->state = THREAD_READY;
	t->relaxed = false;
	t->lock = NULL;
	t->fresh = true;
}

unsigned explore_thread(void)
{
	return rt->current;
}

unsigned explore_choose(unsigned n)
{
	static const uint8_t numbers[OPTIONS_MAX] = {0, 1, 2, 3};
	return rt->exploring && n > 1 ? take(numbers, n, false, true) : 0;
}

bool threads_hold(void)
{
	static const uint8_t numbers[OPTIONS_MAX] = {0, 1, 2, 3};
	return take(numbers, 2, false, false) == 1;
}

void explore_point(void)
{
	THIS->at = (uintptr_t)__builtin_return_address(0);
	threads_always();
}

void explore_again(void)
{
	struct thread *t = THIS;
	uint64_t others = writes_of_others(rt->current);
	stores_drain();
	t->at = (uintptr_t)__builtin_return_address(0);
	t->idle = t->retries && others == t->others_before ? t->idle + 1 : 0;
	t->others_before = others;
	t->retries = true;
	if (t->idle > IDLE_MAX) {
		explore_fail("thread %u tries again and again, and nobody does anything", rt->current);
	}
	make_way();
	t->fresh = true;
}

void explore_got(void)
{
	THIS->retries = false;
}

/* What a coroutine runs: its thread, from the top again in each schedule. */
static void live(void)
{
	if (_setjmp(THIS->top) == 0) {
		THIS->bottom = checkpoint_stack();
		_longjmp(rt->home, 1);
	}
	struct thread *t = THIS;
	host_run_on(rt->current);
	rt->what->thread[rt->current]();
	stores_drain();
	t->user = true;
	t->retries = false;
	host_serve();
	t->state = THREAD_DONE;
	t->at = 0;
	for (unsigned i = 0; i < rt->threads; i++) {
		if (rt->thread[i].state != THREAD_DONE) {
			make_way();
		}
	}
	leave();
}

static void make_coroutine(unsigned i)
{
	struct thread *t = &rt->thread[i];
	if (t->stack != NULL) {
		return;
	}
	t->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ucontext_t start;
	if (t->stack == MAP_FAILED || getcontext(&start) != 0) {
		perror("explore: no memory");
		abort();
	}
	start.uc_stack.ss_sp = t->stack;
	start.uc_stack.ss_size = STACK_SIZE;
	makecontext(&start, live, 0);
	if (_setjmp(rt->home) == 0) {
		rt->current = i;
		setcontext(&start);
	}
}

static void prepare(void)
{
	rt->depth = 0;
	rt->preemptions = 0;
	rt->quiet = rt->machine = 0;
	for (unsigned i = 0; i < rt->threads; i++) {
		struct thread *t = &rt->thread[i];
		make_coroutine(i);
		memcpy(t->context, t->top, sizeof(t->context));
		t->lowest = t->bottom;
		t->state = THREAD_READY;
		t->fresh = t->user = true;
		t->relaxed = t->retries = t->stopped = false;
		t->spinning = t->idle = t->unanswered = t->lates = 0;
		t->lock = NULL;
		t->loaded = NULL;
		t->call = NULL;
		t->writes = t->others_before = 0;
		t->at = 0;
	}
}

void threads_run(void)
{
	static const uint8_t all[OPTIONS_MAX] = {0, 1, 2, 3};
	unsigned from = rt->length - 1;
	bool resumes = !rt->replay && rt->length != 0 && checkpoint_is_there(from);
	rt->redundant = false;
	if (!resumes) {
		image_restore();
		prepare();
		if (rt->hooks.begin != NULL) {
			rt->hooks.begin();
		}
	}
	if (_setjmp(rt->home) == 0) {
		if (resumes) {
			rt->exploring = true;
			checkpoint_go(from);
		}
		rt->current = take(all, rt->threads, true, true);
		rt->exploring = true;
		say("goes on", rt->current);
		_longjmp(THIS->context, 1);
	}
	rt->exploring = false;
	rt->quiet = rt->machine = 0;
}

/* What is outside of all threads: the judge of a schedule. */
void threads_judge(void (*judge)(void))
{
	if (!rt->found && !rt->redundant && judge != NULL && _setjmp(rt->home) == 0) {
		judge();
	}
}

bool threads_next(unsigned bound)
{
	while (rt->length > 0) {
		struct decision *d = &rt->path[rt->length - 1];
		if (d->taken + 1u < d->options && (d->free || d->preemptions < bound)) {
			d->taken++;
			return true;
		}
		rt->length--;
		checkpoint_drop(rt->length);
	}
	return false;
}
