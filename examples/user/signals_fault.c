/* SPDX-License-Identifier: MIT */
/*
 * signals_fault.c - faults that a program catches: what it is told, and how it mends what was wrong and
 * goes on, as garbage collectors do; on which stack; and in which thread.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "signals.h"

enum { PAGE = 4096, SOME = 64, THREADS = 8, ALT = 64 * 1024 };

static sigjmp_buf away;
static volatile uintptr_t told;
static volatile int code, number, count;

/* ---- What is told. ---- */

static void tell(int signal, siginfo_t *info, void *context)
{
	(void)context;
	told = (uintptr_t)info->si_addr;
	code = info->si_code;
	number = signal;
	siglongjmp(away, 1);
}

enum access { READ, WRITE, CALL };

/* True when the access at the address is refused with this code, and the address is told to the byte. */
static int refused(const volatile char *at, enum access access, int wanted)
{
	told = 1;
	code = number = 0;
	if (sigsetjmp(away, 1) == 0) {
		switch (access) {
		case READ:
			(void)*at;
			break;
		case WRITE:
			*(volatile char *)(uintptr_t)at = 1;
			break;
		case CALL:
			((void (*)(void))(uintptr_t)at)();
			break;
		}
		return 0;
	}
	return number == SIGSEGV && code == wanted && told == (uintptr_t)at;
}

void test_faults(void)
{
	static const unsigned offsets[] = {0, 1, 7, 2049, PAGE - 1};
	char *memory = pages(4, PROT_READ | PROT_WRITE);
	int good = 1;

	handle(SIGSEGV, tell, 0);
	munmap(memory + PAGE, PAGE);
	mprotect(memory + 2 * PAGE, PAGE, PROT_NONE);
	mprotect(memory + 3 * PAGE, PAGE, PROT_READ);
	for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		good &= refused(memory + PAGE + offsets[i], READ, SEGV_MAPERR);
		good &= refused(memory + PAGE + offsets[i], WRITE, SEGV_MAPERR);
	}
	check("nothing mapped: SEGV_MAPERR, to the byte", good);
	good = 1;
	for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		good &= refused(memory + 2 * PAGE + offsets[i], READ, SEGV_ACCERR);
		good &= refused(memory + 2 * PAGE + offsets[i], WRITE, SEGV_ACCERR);
		good &= refused(memory + 3 * PAGE + offsets[i], WRITE, SEGV_ACCERR);
	}
	check("not permitted: SEGV_ACCERR, to the byte", good);
	check("memory that is there is not refused",
	    !refused(memory + 3 * PAGE, READ, SEGV_ACCERR) && !refused(memory, WRITE, SEGV_ACCERR));
	check("execution of data: SEGV_ACCERR", refused(memory, CALL, SEGV_ACCERR));
	check("execution of nothing: SEGV_MAPERR", refused(memory + PAGE + 64, CALL, SEGV_MAPERR));
	check("the null pointer: SEGV_MAPERR", refused((const volatile char *)8, WRITE, SEGV_MAPERR));
	check("the kernel's half: SEGV_MAPERR",
	    refused((const volatile char *)UINT64_C(0xffffffff80200000), READ, SEGV_MAPERR));
	munmap(memory, 4 * PAGE);
}

/* ---- Mending. ---- */

static void mend(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	told = (uintptr_t)info->si_addr;
	code = info->si_code;
	count++;
	mprotect((void *)(told & ~(uintptr_t)(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE);
}

static void map_there(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	told = (uintptr_t)info->si_addr;
	count++;
	mmap((void *)(told & ~(uintptr_t)(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* The first fault of each page finds the handler busy with the one before: three deep. */
static char *chain;

static void mend_deep(int signal, siginfo_t *info, void *context)
{
	const uintptr_t at = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1);

	(void)signal;
	(void)context;
	count++;
	if (at + PAGE < (uintptr_t)chain + 3 * PAGE) {
		*(volatile char *)(at + PAGE) = 1;
	}
	mprotect((void *)at, PAGE, PROT_READ | PROT_WRITE);
}

/* Sums that keep as many floating-point registers in use as there are, while each step is interrupted. */
static double sums(char *memory, double *out)
{
	double a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8, total = 0;

	for (unsigned i = 0; i < SOME; i++) {
		const double x = memory[i * PAGE + i] + i;

		a += x;
		b -= a / 3;
		c += b * x;
		d -= c / 7;
		e += d / 2;
		f -= e / 5;
		g += f / 9;
		h -= g / 11;
		total += a + b + c + d + e + f + g + h;
	}
	*out = a * b - c * d + e * f - g * h;
	return total;
}

static void mend_by_numbers(int signal, siginfo_t *info, void *context)
{
	volatile double wild[24];
	double x = 1;

	for (unsigned i = 0; i < 24; i++) {
		x = x * 1.7 + i;
		wild[i] = x;
	}
	mend(signal, info, context);
	told += wild[23] == 0;
}

static void test_numbers(void)
{
	char *memory = pages(SOME, PROT_READ | PROT_WRITE);
	double plain[2], interrupted[2];

	for (unsigned i = 0; i < SOME; i++) {
		memory[i * PAGE + i] = (char)(i + 1);
	}
	plain[0] = sums(memory, &plain[1]);
	handle(SIGSEGV, mend_by_numbers, 0);
	mprotect(memory, SOME * PAGE, PROT_NONE);
	count = 0;
	interrupted[0] = sums(memory, &interrupted[1]);
	check(
	    "numbers in registers survive", count == SOME && memcmp(plain, interrupted, sizeof(plain)) == 0);
	munmap(memory, SOME * PAGE);
}

static void landing(void)
{
	siglongjmp(away, 2);
}

static void go_elsewhere(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	count++;
	CONTEXT_PC((ucontext_t *)context) = (unsigned long)(uintptr_t)landing;
}

static void test_pc(void)
{
	volatile char *memory = pages(1, PROT_NONE);

	handle(SIGSEGV, go_elsewhere, 0);
	count = 0;
	if (sigsetjmp(away, 1) == 0) {
		memory[5] = 1;
		count = -1;
	}
	check("a handler sends the program elsewhere", count == 1);
	munmap((void *)(uintptr_t)memory, PAGE);
}

void test_repair(void)
{
	char *start = pages(SOME, PROT_NONE);
	volatile char *memory = start;
	int good = 1;

	handle(SIGSEGV, mend, 0);
	count = 0;
	for (unsigned i = 0; i < SOME; i++) {
		volatile char *at = memory + i * PAGE + 61 * i % PAGE;

		*at = (char)i;
		good &= told == (uintptr_t)at && code == SEGV_ACCERR && *at == (char)i;
	}
	check("mprotect in the handler mends", good && count == SOME);
	for (unsigned i = 0; i < SOME; i++) {
		good &= memory[i * PAGE + 61 * i % PAGE] == (char)i;
	}
	mprotect(start, SOME * PAGE, PROT_READ);
	for (unsigned i = 0; i < SOME; i++) {
		memory[i * PAGE] = (char)(memory[i * PAGE] + 1);
	}
	check("write barriers", good && count == 2 * SOME);
	munmap(start, SOME * PAGE);
	handle(SIGSEGV, map_there, 0);
	count = 0;
	for (unsigned i = 0; i < SOME; i++) {
		good &= memory[i * PAGE + i] == 0;
		memory[i * PAGE + i] = 3;
	}
	check("mmap in the handler mends", good && count == SOME);
	munmap(start, SOME * PAGE);
	memory = chain = pages(3, PROT_NONE);
	handle(SIGSEGV, mend_deep, SA_NODEFER);
	count = 0;
	memory[0] = 9;
	check("a handler that faults itself",
	    count == 3 && memory[0] == 9 && chain[PAGE] == 1 && chain[2 * PAGE] == 1);
	munmap(chain, 3 * PAGE);
	test_numbers();
	test_pc();
}

/* ---- Stacks. ---- */

static char *alternative, *shared;
static volatile int on_it, told_so, changed;

static int is_there(void)
{
	char here;

	return (uintptr_t)&here >= (uintptr_t)alternative && (uintptr_t)&here < (uintptr_t)alternative + ALT;
}

static void where(int signal, siginfo_t *info, void *context)
{
	const stack_t none = {.ss_flags = SS_DISABLE};
	stack_t now;

	(void)info;
	sigaltstack(NULL, &now);
	on_it = is_there();
	told_so = now.ss_flags;
	changed = sigaltstack(&none, NULL);
	count++;
	if (signal == SIGUSR1) {
		raise(SIGUSR2);
	}
	told = ((ucontext_t *)context)->uc_stack.ss_size;
}

static void jump(int signal, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	on_it = is_there();
	siglongjmp(away, signal);
}

static int deep(int depth)
{
	volatile char use[1024];

	use[depth % 1024] = 1;
	return depth < 0 ? 0 : deep(depth + 1) + use[depth % 1024];
}

static void *overflow_in_thread(void *unused)
{
	static char own[ALT];
	const stack_t stack = {.ss_sp = own, .ss_size = ALT};

	(void)unused;
	sigaltstack(&stack, NULL);
	alternative = own;
	return (void *)(intptr_t)(sigsetjmp(away, 1) == 0 ? deep(0) : 77);
}

void test_stacks(void)
{
	const stack_t small = {.ss_sp = shared, .ss_size = 512}, odd = {.ss_size = ALT, .ss_flags = 64};
	stack_t stack = {.ss_size = ALT}, now;
	pthread_t thread;
	void *result;

	alternative = pages(ALT / PAGE, PROT_READ | PROT_WRITE);
	stack.ss_sp = alternative;
	check("there is no other stack", sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE);
	check("a small one is refused", sigaltstack(&small, NULL) == -1);
	check("and one of an unknown kind", sigaltstack(&odd, NULL) == -1);
	check("one is set", sigaltstack(&stack, NULL) == 0 && sigaltstack(NULL, &now) == 0 &&
				now.ss_flags == 0 && now.ss_sp == alternative && now.ss_size == ALT);
	handle(SIGUSR1, where, 0);
	handle(SIGUSR2, where, SA_ONSTACK);
	count = 0;
	raise(SIGUSR2);
	check("SA_ONSTACK runs there", on_it && told_so == SS_ONSTACK && count == 1 && told == ALT);
	check("where it cannot be changed", changed == -1);
	raise(SIGUSR1);
	check("others do not", !is_there() && count == 3);
	handle(SIGUSR1, where, SA_ONSTACK);
	raise(SIGUSR1);
	check("a second handler stays there", on_it && count == 5);
	sigaltstack(NULL, &now);
	check("afterwards it is free", now.ss_flags == 0);
	handle(SIGSEGV, jump, SA_ONSTACK);
	on_it = 0;
	if (sigsetjmp(away, 1) == 0) {
		count = deep(0);
	}
	check("the stack is full, and that is caught", on_it && count == 5);
	pthread_create(&thread, NULL, overflow_in_thread, NULL);
	pthread_join(thread, &result);
	check("in a thread too", result == (void *)77);
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
}

/* ---- Threads. ---- */

static atomic_int mended, right, arrived, taken;
static __thread int faults;
static __thread volatile char *volatile touching;

static void mend_in_thread(int signal, siginfo_t *info, void *context)
{
	const uintptr_t at = (uintptr_t)info->si_addr;

	(void)signal;
	(void)context;
	faults++;
	mended++;
	right += (char *)at == touching;
	mprotect((void *)(at & ~(uintptr_t)(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE);
}

/* Each thread has every THREADS-th page, so neighbours are mended at the same time. */
static void *collector(void *argument)
{
	const unsigned self = (unsigned)(uintptr_t)argument;

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = self; i < SOME; i += THREADS) {
			touching = shared + i * PAGE + self * 8 + round;
			*touching = (char)(i + round);
			if (*touching != (char)(i + round)) {
				return (void *)1;
			}
			mprotect(shared + i * PAGE, PAGE, round == 0 ? PROT_NONE : PROT_READ);
		}
	}
	return (void *)(intptr_t)(faults == 3 * SOME / THREADS ? 0 : 1);
}

static void arrive(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
	arrived = (int)syscall(SYS_gettid);
	taken++;
}

static atomic_int tid, stop;

static void *listens(void *blocks)
{
	sigset_t set = only(SIGUSR1);

	pthread_sigmask(blocks != NULL ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
	tid = (int)syscall(SYS_gettid);
	while (!stop) {
		sched_yield();
	}
	return NULL;
}

static pthread_t begin(void *(*function)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, function, argument) != 0) {
		exit(1);
	}
	return thread;
}

static void test_targets(void)
{
	sigset_t set = only(SIGUSR1), before;
	pthread_t thread;

	handle(SIGUSR1, arrive, 0);
	tid = stop = 0;
	thread = begin(listens, NULL);
	while (tid == 0) {
		sched_yield();
	}
	arrived = taken = 0;
	pthread_kill(thread, SIGUSR1);
	while (taken == 0) {
		sched_yield();
	}
	check("pthread_kill finds its thread", arrived == tid && tid != getpid());
	taken = 0;
	sigprocmask(SIG_BLOCK, &set, &before);
	kill(getpid(), SIGUSR1);
	while (taken == 0) {
		sched_yield();
	}
	check("a thread that does not block it takes the process's", arrived == tid);
	stop = 1;
	pthread_join(thread, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	taken = arrived = 0;
	stop = tid = 0;
	thread = begin(listens, &set);
	while (tid == 0) {
		sched_yield();
	}
	pthread_kill(thread, SIGUSR1);
	kill(getpid(), SIGUSR1);
	check("one that blocks it does not", taken == 1 && arrived == getpid());
	stop = 1;
	pthread_join(thread, NULL);
	check("nor when it ends", taken == 1);
}

void test_threads(void)
{
	pthread_t thread[THREADS];
	intptr_t bad = 0;
	void *result;

	test_targets();
	shared = pages(SOME, PROT_NONE);
	handle(SIGSEGV, mend_in_thread, 0);
	for (unsigned i = 0; i < THREADS; i++) {
		thread[i] = begin(collector, (void *)(uintptr_t)i);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &result);
		bad += (intptr_t)result;
	}
	check("threads mend their own faults", bad == 0 && mended == 3 * SOME && right == 3 * SOME);
	munmap(shared, SOME * PAGE);
}
