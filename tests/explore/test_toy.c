/* SPDX-License-Identifier: MIT */
/*
 * test_toy.c - the explorer itself, on programs whose schedules can be counted by hand: that none is left out
 * or tried twice, and that what is planted is found with as many preemptions as it needs and not with fewer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vmem/host.h>

#include "explore.h"
#include "lock.h"
#include "machine.h"

static unsigned steps; /* accesses that each thread of `counted` makes */
static uint8_t trace[32];
static unsigned traced;
static uint32_t shared_word, private_word[EXPLORE_THREADS];
static struct vmem_mutex first, second;
static uint8_t spin_first, spin_second;

static void nothing(void)
{
}

static void clear(void)
{
	traced = 0;
	shared_word = 0;
	first.held = second.held = spin_first = spin_second = 0;
}

static void count_steps(void)
{
	for (unsigned i = 0; i < steps; i++) {
		shared_add(&shared_word, 1);
		trace[traced++] = (uint8_t)explore_thread();
	}
}

/* The traces of all schedules, to see that they differ: kept outside of what a schedule's end restores. */
static struct seen {
	unsigned count;
	uint8_t trace[512][32];
} * seen;

static void note_trace(void)
{
	if (seen->count != 0 && memcmp(seen->trace[0], trace, sizeof(trace)) == 0) {
		seen->count =
		    0; /* each round begins with this one; twice in a round, and the count is short */
	}
	for (unsigned i = 0; i < seen->count; i++) {
		EXPLORE_CHECK(memcmp(seen->trace[i], trace, sizeof(trace)) != 0);
	}
	memcpy(seen->trace[seen->count++], trace, sizeof(trace));
	EXPLORE_CHECK(shared_word == traced);
}

static uint64_t schedules(unsigned n, unsigned threads, unsigned preemptions)
{
	struct explore_case what = {
	    .name = "counted",
	    .preemptions = preemptions,
	    .setup = clear,
	    .finish = nothing,
	};
	for (unsigned i = 0; i < threads; i++) {
		what.thread[i] = count_steps;
	}
	steps = n;
	struct explore_result result = explore(&what);
	assert_false(result.found);
	return result.schedules;
}

/* Two threads of n accesses to one word: 2 schedules without a preemption, 2 (n - 1) more with one,
 * 2 (n - 1)^2 more with two, 2 (n - 1) (n - 1) (n - 2) / 2 more with three. Without a bound all merges. */
static void test_count_two(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 6; n++) {
		uint64_t k = n - 1, expected = 2;
		assert_int_equal(schedules(n, 2, 0), expected);
		expected += 2 * k;
		assert_int_equal(schedules(n, 2, 1), expected);
		expected += 2 * k * k;
		assert_int_equal(schedules(n, 2, 2), expected);
		expected += n == 1 ? 0 : k * k * (n - 2);
		assert_int_equal(schedules(n, 2, 3), expected);
	}
	assert_int_equal(schedules(2, 2, 100), 6); /* 4! / (2! 2!) */
	assert_int_equal(schedules(3, 2, 100), 20);
	assert_int_equal(schedules(5, 2, 100), 252);
}

static void test_count_three(void **state)
{
	(void)state;
	assert_int_equal(schedules(1, 3, 0), 6);
	assert_int_equal(schedules(2, 3, 0), 6);
	assert_int_equal(schedules(2, 3, 100), 90); /* 6! / (2! 2! 2!) */
	assert_int_equal(schedules(3, 3, 100), 1680);
}

/* All of them are different orders of accesses. */
static void test_all_different(void **state)
{
	struct seen block = {0};
	struct explore_case what = {
	    .name = "all different",
	    .preemptions = 100,
	    .setup = clear,
	    .thread = {count_steps, count_steps},
	    .finish = note_trace,
	};
	(void)state;
	steps = 5;
	seen = &block;
	explore_holds(&what);
	assert_int_equal(block.count, 252);
}

/* A lost update: two threads read, and then write what they read and one more. */

static void update(void)
{
	uint32_t value = shared_load(&shared_word);
	shared_store(&shared_word, value + 1);
}

static void expect_two(void)
{
	EXPLORE_CHECK(shared_word == 2);
}

static void test_lost_update(void **state)
{
	struct explore_case what = {
	    .name = "lost update",
	    .setup = clear,
	    .thread = {update, update},
	    .finish = expect_two,
	};
	(void)state;
	explore_holds(&what); /* no preemption, no loss */
	what.preemptions = 1;
	explore_finds(&what, "shared_word == 2");
}

static void update_locked(void)
{
	spin_take(&spin_first, LOCK_SLAB);
	uint32_t value = shared_load(&shared_word);
	shared_store(&shared_word, value + 1);
	spin_give(&spin_first, LOCK_SLAB);
}

static void update_under_mutex(void)
{
	mutex_take(&first, LOCK_STORE);
	uint32_t value = shared_load(&shared_word);
	shared_store(&shared_word, value + 1);
	mutex_give(&first, LOCK_STORE);
}

static void test_locks_hold(void **state)
{
	struct explore_case what = {
	    .name = "spin lock",
	    .preemptions = 3,
	    .setup = clear,
	    .thread = {update_locked, update_locked},
	    .finish = expect_two,
	};
	(void)state;
	explore_holds(&what);
	what.name = "mutex";
	what.thread[0] = what.thread[1] = update_under_mutex;
	explore_holds(&what);
}

/* Needs two: 0 must see its own word, then the other's late one. */

static void two_looks(void)
{
	uint32_t before = shared_load(&shared_word);
	uint32_t after = shared_load(&shared_word);
	private_word[0] = before << 8 | after;
}

static void two_writes(void)
{
	shared_store(&shared_word, 1);
	shared_store(&shared_word, 2);
}

static void not_torn(void)
{
	EXPLORE_CHECK(private_word[0] != (1 << 8 | 2));
}

static void test_needs_two(void **state)
{
	struct explore_case what = {
	    .name = "needs two",
	    .preemptions = 1,
	    .setup = clear,
	    .thread = {two_looks, two_writes},
	    .finish = not_torn,
	};
	(void)state;
	explore_holds(&what);
	what.preemptions = 2;
	explore_finds(&what, "private_word");
}

/* Deadlocks. */

static void one_then_two(void)
{
	mutex_take(&first, LOCK_STORE);
	mutex_take(&second, LOCK_PRIVATE);
	mutex_give(&second, LOCK_PRIVATE);
	mutex_give(&first, LOCK_STORE);
}

static void two_then_one(void) /* what the order of ranks forbids, under ranks that hide it */
{
	mutex_take(&second, LOCK_STORE);
	mutex_take(&first, LOCK_PRIVATE);
	mutex_give(&first, LOCK_PRIVATE);
	mutex_give(&second, LOCK_STORE);
}

/* Each of two stores a word and looks at the other's: both may look before a store is seen, where stores are
 * seen late, and not with a fence between the two. That takes two: the store is held back, and the other goes
 * on before it is seen, wherever the thread is by then. */

static uint32_t other_word;
static bool fenced;

static void store_and_look(uint32_t *mine, uint32_t *theirs, uint32_t *found)
{
	shared_store(mine, 1);
	if (fenced) {
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	}
	*found = shared_load(theirs);
}

static void look_at_other(void)
{
	store_and_look(&shared_word, &other_word, &private_word[0]);
}

static void look_at_shared(void)
{
	store_and_look(&other_word, &shared_word, &private_word[1]);
}

static void clear_both(void)
{
	clear();
	other_word = 0;
}

static void one_is_seen(void)
{
	EXPLORE_CHECK(private_word[0] + private_word[1] != 0);
}

static void test_late(void **state)
{
	struct explore_case what = {
	    .name = "stores seen at once",
	    .preemptions = 3,
	    .setup = clear_both,
	    .thread = {look_at_other, look_at_shared},
	    .finish = one_is_seen,
	};
	(void)state;
	fenced = false;
	explore_holds(&what);
	what.name = "stores seen late, with one preemption";
	what.flags = EXPLORE_LATE;
	what.preemptions = 1;
	explore_holds(&what);
	what.name = "stores seen late";
	what.preemptions = 2;
	explore_finds(&what, "private_word");
	what.name = "stores seen late, with a fence";
	what.preemptions = 3;
	fenced = true;
	explore_holds(&what);
}

static void test_deadlock(void **state)
{
	struct explore_case what = {
	    .name = "deadlock",
	    .setup = clear,
	    .thread = {one_then_two, two_then_one},
	};
	(void)state;
	explore_holds(&what);
	what.preemptions = 1;
	explore_finds(&what, "deadlock");
	what.name = "no deadlock";
	what.preemptions = 3;
	what.thread[1] = one_then_two;
	explore_holds(&what);
}

/* A call to a CPU that waits for our spin lock, and hears nothing until it has it. */
static void pong(void *argument)
{
	*(uint32_t *)argument = 1;
}

static void call_with_mutex(void)
{
	explore_enter();
	mutex_take(&first, LOCK_STORE);
	vmem_host_cpu_call(2, pong, &private_word[0]);
	EXPLORE_CHECK(private_word[0] == 1);
	mutex_give(&first, LOCK_STORE);
	explore_leave();
}

static void call_with_byte(void)
{
	explore_enter();
	while (__atomic_exchange_n(&spin_first, 1, __ATOMIC_ACQUIRE) != 0) {
		vmem_spin_wait(&spin_first);
		break;
	}
	vmem_host_cpu_call(2, pong, &private_word[0]);
	__atomic_store_n(&spin_first, 0, __ATOMIC_RELEASE);
	explore_leave();
}

static void want_mutex(void)
{
	explore_enter();
	update_under_mutex();
	explore_leave();
}

static void want_byte(void)
{
	explore_enter();
	update_locked();
	explore_leave();
}

static void test_calls(void **state)
{
	struct explore_case what = {
	    .name = "a call while the target waits for the mutex",
	    .preemptions = 3,
	    .setup = clear,
	    .thread = {call_with_mutex, want_mutex},
	};
	(void)state;
	explore_holds(&what);
	what.name = "a call while the target waits for the byte";
	what.preemptions = 1;
	what.thread[0] = call_with_byte;
	what.thread[1] = want_byte;
	explore_finds(&what, "deadlock");
}

/* Trying again. */

static void try_until(void)
{
	while (!mutex_try(&first, LOCK_STORE)) {
		explore_again();
	}
	explore_got();
	uint32_t value = shared_load(&shared_word);
	shared_store(&shared_word, value + 1);
	mutex_give(&first, LOCK_STORE);
}

static void try_for_ever(void)
{
	while (shared_load(&shared_word) != 3) {
		explore_again();
	}
}

static void test_again(void **state)
{
	struct explore_case what = {
	    .name = "try again",
	    .preemptions = 3,
	    .setup = clear,
	    .thread = {try_until, update_under_mutex},
	    .finish = expect_two,
	};
	(void)state;
	explore_holds(&what);
	what.name = "try for ever";
	what.preemptions = 0;
	what.thread[0] = try_for_ever;
	explore_finds(&what, "again and again");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_count_two),
	    cmocka_unit_test(test_count_three),
	    cmocka_unit_test(test_all_different),
	    cmocka_unit_test(test_lost_update),
	    cmocka_unit_test(test_locks_hold),
	    cmocka_unit_test(test_needs_two),
	    cmocka_unit_test(test_late),
	    cmocka_unit_test(test_deadlock),
	    cmocka_unit_test(test_calls),
	    cmocka_unit_test(test_again),
	};
	const struct machine_config config = machine_default(MACHINE_X86_64);
	machine_create(&config); /* whose CPU is the current one */
	return EXPLORE_MAIN(tests, argc, argv);
}
