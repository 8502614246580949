/* SPDX-License-Identifier: MIT */
/*
 * What POSIX threads are made of. Without an argument: each thing by itself, with its result checked. `exit`,
 * `last`, `fault`, `abort`: how a process ends while other threads compute, sleep and wait.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 64, FEW = 8, ROUNDS = 1000, PARTIES = 6, ROUNDS_BARRIER = 40 };

static int wrong;

static void check(const char *what, int good)
{
	printf("threads: %s: %s\n", what, good ? "yes" : "NO");
	wrong += good ? 0 : 1;
}

static pthread_t start(void *(*function)(void *), void *argument)
{
	pthread_t thread;
	const int error = pthread_create(&thread, NULL, function, argument);

	if (error != 0) {
		printf("threads: pthread_create: %s\n", strerror(error));
		exit(1);
	}
	return thread;
}

static void *square(void *argument)
{
	const uintptr_t n = (uintptr_t)argument;

	return (void *)(n * n);
}

static int create_and_join(void)
{
	pthread_t thread[MANY];
	uintptr_t sum = 0;
	void *result;

	for (uintptr_t i = 0; i < MANY; i++) {
		thread[i] = start(square, (void *)i);
	}
	for (unsigned i = 0; i < MANY; i++) {
		pthread_join(thread[i], &result);
		sum += (uintptr_t)result;
	}
	return sum == (uintptr_t)(MANY - 1) * MANY * (2 * MANY - 1) / 6;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long counter;

static void *count(void *argument)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		*(volatile unsigned long *)&counter = counter + 1;
		pthread_mutex_unlock(&mutex);
	}
	return argument;
}

static int mutual_exclusion(void)
{
	pthread_t thread[FEW];

	for (unsigned i = 0; i < FEW; i++) {
		thread[i] = start(count, NULL);
	}
	for (unsigned i = 0; i < FEW; i++) {
		pthread_join(thread[i], NULL);
	}
	return counter == FEW * ROUNDS;
}

/* A ball that two threads pass to each other. */
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static unsigned ball;

static void *play(void *argument)
{
	const unsigned side = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		pthread_mutex_lock(&mutex);
		while (ball % 2 != side) {
			pthread_cond_wait(&condition, &mutex);
		}
		ball++;
		pthread_cond_signal(&condition);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static int conditions(void)
{
	pthread_t a = start(play, (void *)0), b = start(play, (void *)1);

	pthread_join(a, NULL);
	pthread_join(b, NULL);
	return ball == ROUNDS / 2;
}

static pthread_barrier_t barrier;
static unsigned arrived[PARTIES], serial, early;

static void *meet(void *argument)
{
	const unsigned self = (unsigned)(uintptr_t)argument;

	for (unsigned i = 1; i <= ROUNDS_BARRIER; i++) {
		__atomic_store_n(&arrived[self], i, __ATOMIC_RELAXED);
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
			__atomic_fetch_add(&serial, 1, __ATOMIC_RELAXED);
		}
		for (unsigned j = 0; j < PARTIES; j++) {
			if (__atomic_load_n(&arrived[j], __ATOMIC_RELAXED) < i) {
				__atomic_fetch_add(&early, 1, __ATOMIC_RELAXED);
			}
		}
	}
	return NULL;
}

static int barriers(void)
{
	pthread_t thread[PARTIES];

	pthread_barrier_init(&barrier, NULL, PARTIES);
	for (uintptr_t i = 0; i < PARTIES; i++) {
		thread[i] = start(meet, (void *)i);
	}
	for (unsigned i = 0; i < PARTIES; i++) {
		pthread_join(thread[i], NULL);
	}
	return serial == ROUNDS_BARRIER && early == 0;
}

static _Thread_local uint64_t own[32] = {7};
static pthread_key_t key;
static unsigned destroyed;

static void destroy(void *value)
{
	__atomic_fetch_add(&destroyed, (unsigned)(uintptr_t)value, __ATOMIC_RELAXED);
}

/* errno and the floating-point registers belong to a thread, too. */
static void *use_own(void *argument)
{
	const uint64_t n = (uint64_t)(uintptr_t)argument;
	volatile double x = (double)n;
	uintptr_t good = own[0] == 7 && own[31] == 0;

	pthread_setspecific(key, argument);
	for (unsigned i = 0; i < 32; i++) {
		own[i] = n * 1000 + i;
	}
	errno = (int)n;
	for (unsigned i = 0; i < 200; i++) {
		x = x * 1.25;
		sched_yield();
		x = x / 1.25;
	}
	for (unsigned i = 0; i < 32; i++) {
		good = good && own[i] == n * 1000 + i;
	}
	return (void *)(uintptr_t)(good && errno == (int)n && x == (double)n);
}

static int thread_local_storage(void)
{
	pthread_t thread[FEW];
	int good = 1;
	void *result;

	pthread_key_create(&key, destroy);
	for (uintptr_t i = 0; i < FEW; i++) {
		thread[i] = start(use_own, (void *)(i + 1));
	}
	for (unsigned i = 0; i < FEW; i++) {
		pthread_join(thread[i], &result);
		good = good && result != NULL;
	}
	return good && own[0] == 7 && destroyed == FEW * (FEW + 1) / 2;
}

static sem_t done;

static void *post(void *argument)
{
	usleep(1000);
	sem_post(&done);
	return argument;
}

static int detached(void)
{
	for (unsigned i = 0; i < FEW; i++) {
		pthread_detach(start(post, NULL));
	}
	for (unsigned i = 0; i < FEW; i++) {
		sem_wait(&done);
	}
	return sem_trywait(&done) != 0 && errno == EAGAIN;
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int timed_waits(void)
{
	const int64_t before = now_ns(CLOCK_MONOTONIC);
	const int64_t until = now_ns(CLOCK_REALTIME) + 30000000;
	const struct timespec end = {until / 1000000000, until % 1000000000};
	int good;

	pthread_mutex_lock(&mutex);
	good = pthread_cond_timedwait(&condition, &mutex, &end) == ETIMEDOUT;
	pthread_mutex_unlock(&mutex);
	good = good && sem_timedwait(&done, &end) != 0 && errno == ETIMEDOUT;
	good = good && sem_clockwait(&done, CLOCK_MONOTONIC, &(struct timespec){0, 1}) != 0 &&
	       errno == ETIMEDOUT;
	return good && now_ns(CLOCK_MONOTONIC) - before >= 30000000;
}

static void *die_with(void *argument)
{
	pthread_mutex_lock(argument);
	return NULL;
}

static int robust_mutex(void)
{
	pthread_mutexattr_t attribute;
	pthread_mutex_t robust;
	int good;

	pthread_mutexattr_init(&attribute);
	pthread_mutexattr_setrobust(&attribute, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attribute);
	pthread_join(start(die_with, &robust), NULL);
	good = pthread_mutex_lock(&robust) == EOWNERDEAD;
	good = good && pthread_mutex_consistent(&robust) == 0 && pthread_mutex_unlock(&robust) == 0;
	return good && pthread_mutex_lock(&robust) == 0;
}

static void *lock_robust(void *argument)
{
	return (void *)(uintptr_t)(pthread_mutex_lock(argument) == EOWNERDEAD);
}

static void *hold_and_die(void *argument)
{
	pthread_mutex_lock(argument);
	sem_post(&done);
	usleep(20000);
	return NULL;
}

/* Somebody waits already when the owner dies. */
static int robust_waiter(void)
{
	static pthread_mutex_t robust;
	pthread_mutexattr_t attribute;
	pthread_t holder, waiter;
	void *result;

	pthread_mutexattr_init(&attribute);
	pthread_mutexattr_setrobust(&attribute, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attribute);
	holder = start(hold_and_die, &robust);
	sem_wait(&done);
	waiter = start(lock_robust, &robust);
	pthread_join(holder, NULL);
	pthread_join(waiter, &result);
	return result != NULL;
}

static long futex(
    uint32_t *word, int operation, uint32_t value, uintptr_t timeout, uint32_t *second, uint32_t last)
{
	return syscall(SYS_futex, word, operation, value, timeout, second, last);
}

static uint32_t word[2];
static _Atomic unsigned woken;

static void *wait_for_word(void *argument)
{
	while (__atomic_load_n(&word[0], __ATOMIC_ACQUIRE) == 0 &&
	       futex(&word[0], FUTEX_WAIT_BITSET_PRIVATE, 0, 0, NULL, (uint32_t)(uintptr_t)argument) != 0) {
	}
	atomic_fetch_add(&woken, 1);
	return NULL;
}

/* Until `count` threads wait. */
static long wake_when_waiting(int operation, uint32_t count, uint32_t *second, uint32_t last)
{
	long n = 0;

	while (n < (long)count) {
		n += futex(&word[0], operation, count - (uint32_t)n, MANY, second, last);
		sched_yield();
	}
	return n;
}

static int futex_errors(void)
{
	const struct timespec soon = {0, 1000000}, bad = {0, 1000000000};
	int good = futex(&word[0], FUTEX_WAIT, 1, 0, NULL, 0) == -1 && errno == EAGAIN;

	good = good && futex(&word[0], FUTEX_WAIT, 0, (uintptr_t)&soon, NULL, 0) == -1 && errno == ETIMEDOUT;
	good = good && futex(&word[0], FUTEX_WAIT, 0, (uintptr_t)&bad, NULL, 0) == -1 && errno == EINVAL;
	good =
	    good && futex((uint32_t *)((char *)word + 1), FUTEX_WAKE, 1, 0, NULL, 0) == -1 && errno == EINVAL;
	good = good && futex(&word[0], FUTEX_WAIT_BITSET, 0, 0, NULL, 0) == -1 && errno == EINVAL;
	good = good && futex((uint32_t *)4096, FUTEX_WAIT, 0, 0, NULL, 0) == -1 && errno == EFAULT;
	good = good && futex(&word[0], FUTEX_CMP_REQUEUE, 1, 1, &word[1], 5) == -1 && errno == EAGAIN;
	return good && futex(&word[0], FUTEX_WAKE, 1, 0, NULL, 0) == 0;
}

static int futex_sets(void)
{
	pthread_t a = start(wait_for_word, (void *)1), b = start(wait_for_word, (void *)2);
	int good;

	(void)wake_when_waiting(FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, 2);
	pthread_join(b, NULL);
	good = woken == 1;
	(void)wake_when_waiting(FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, 5);
	pthread_join(a, NULL);
	return good && woken == 2;
}

/* Waiters that are moved to another word are woken up there; FUTEX_WAKE_OP adds to the second word. */
static int futex_moves(void)
{
	pthread_t thread[FEW];
	long moved = 0, n = 0;
	int good;

	for (unsigned i = 0; i < FEW; i++) {
		thread[i] = start(wait_for_word, (void *)UINTPTR_MAX);
	}
	while (moved < FEW) {
		moved += futex(&word[0], FUTEX_CMP_REQUEUE_PRIVATE, 0, MANY, &word[1], 0);
		sched_yield();
	}
	good = futex(&word[0], FUTEX_WAKE_PRIVATE, MANY, 0, NULL, 0) == 0;
	word[1] = 41;
	n = futex(&word[0], FUTEX_WAKE_OP_PRIVATE, 1, MANY, &word[1],
	    FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 41));
	good = good && word[1] == 42;
	for (unsigned i = 0; i < FEW; i++) {
		pthread_join(thread[i], NULL);
	}
	return good && n == FEW &&
	       futex(&word[0], FUTEX_WAKE_OP_PRIVATE, 1, 1, &word[1],
		   FUTEX_OP(FUTEX_OP_ANDN, 2, FUTEX_OP_CMP_GT, 42)) == 0 &&
	       word[1] == 40;
}

static int processors(void)
{
	cpu_set_t set;
	unsigned cpu = 9999;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) >= 1 &&
	       sysconf(_SC_NPROCESSORS_ONLN) >= 1 && getcpu(&cpu, NULL) == 0 && CPU_ISSET(cpu, &set);
}

static void *spin(void *argument)
{
	for (volatile unsigned long i = 0;; i = i + 1) {
	}
	return argument;
}

static void *sleep_long(void *argument)
{
	sleep(1000);
	return argument;
}

static void *wait_long(void *argument)
{
	pthread_mutex_lock(&mutex);
	for (;;) {
		pthread_cond_wait(&condition, &mutex);
	}
	return argument;
}

static void *finish_last(void *argument)
{
	usleep(30000);
	puts("threads: the last one");
	return argument;
}

static void *access_nothing(void *argument)
{
	usleep(20000);
	*(volatile int *)argument = 1;
	return NULL;
}

static void *give_up(void *argument)
{
	(void)argument;
	usleep(20000);
	abort();
}

/* Main ends, or another thread does something fatal, among threads of every kind. */
static int end(const char *how)
{
	for (unsigned i = 0; i < FEW && strcmp(how, "last") != 0; i++) {
		start(i % 3 == 0 ? spin : i % 3 == 1 ? sleep_long : wait_long, NULL);
	}
	printf("threads: %s\n", how);
	fflush(stdout);
	if (strcmp(how, "exit") == 0) {
		usleep(30000);
		return 7;
	}
	start(how[0] == 'l' ? finish_last : how[0] == 'f' ? access_nothing : give_up, (void *)16);
	pthread_exit(NULL);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		return end(argv[1]);
	}
	sem_init(&done, 0, 0);
	check("64 threads came and went", create_and_join());
	check("a mutex lets one in", mutual_exclusion());
	check("a condition passes the ball", conditions());
	check("nobody is early at a barrier", barriers());
	check("each thread has its own", thread_local_storage());
	check("detached threads report", detached());
	check("waits end in time", timed_waits());
	check("a robust mutex outlives its owner", robust_mutex());
	check("and who waited for it", robust_waiter());
	check("futex says what is wrong", futex_errors());
	check("futex wakes by bits", futex_sets());
	check("futex moves and operates", futex_moves());
	check("there are processors", processors());
	printf("threads: %d wrong\n", wrong);
	return wrong != 0;
}
