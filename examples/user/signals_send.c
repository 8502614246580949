/* SPDX-License-Identifier: MIT */
/*
 * signals_send.c - sending, handlers and what they are told, masks, and calls that wait.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "signals.h"

enum { MOST = 64 };

static volatile int count, depth, deepest;
static int seen[MOST], codes[MOST], values[MOST];
static siginfo_t last;
static sigset_t inside;

static void note(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (count < MOST) {
		seen[count] = signal;
		codes[count] = info->si_code;
		values[count] = info->si_value.sival_int;
	}
	last = *info;
	pthread_sigmask(SIG_BLOCK, NULL, &inside);
	count++;
}

static void again(int signal, siginfo_t *info, void *context)
{
	note(signal, info, context);
	depth++;
	deepest = depth > deepest ? depth : deepest;
	if (count < 3) {
		raise(signal);
	}
	depth--;
}

static void start(void)
{
	count = depth = deepest = 0;
}

void test_sending(void)
{
	struct sigaction action, old;
	const sigset_t both = only(SIGUSR2);

	start();
	handle(SIGUSR1, note, 0);
	check("kill runs the handler", kill(getpid(), SIGUSR1) == 0 && count == 1 && seen[0] == SIGUSR1);
	check("kill says who", last.si_code == SI_USER && last.si_pid == getpid() &&
				   last.si_uid == getuid() && last.si_signo == SIGUSR1 && last.si_errno == 0);
	check("raise says who", raise(SIGUSR1) == 0 && last.si_code == SI_TKILL && last.si_pid == getpid());
	check("sigqueue gives a value", sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 77}) == 0 &&
					    last.si_code == SI_QUEUE && values[2] == 77 && count == 3);
	check("the handler blocks its signal",
	    sigismember(&inside, SIGUSR1) == 1 && !sigismember(&inside, SIGUSR2));
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = note;
	action.sa_flags = SA_SIGINFO;
	action.sa_mask = both;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	check("and what the action says",
	    sigismember(&inside, SIGUSR1) == 1 && sigismember(&inside, SIGUSR2) == 1);
	pthread_sigmask(SIG_BLOCK, NULL, &inside);
	check("afterwards neither is blocked",
	    !sigismember(&inside, SIGUSR1) && !sigismember(&inside, SIGUSR2));
	start();
	handle(SIGUSR1, again, 0);
	raise(SIGUSR1);
	check("a handler is not entered twice", count == 3 && deepest == 1);
	start();
	handle(SIGUSR1, again, SA_NODEFER);
	raise(SIGUSR1);
	check("unless SA_NODEFER", count == 3 && deepest == 3);
	start();
	handle(SIGUSR1, note, SA_RESETHAND);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &old);
	check("SA_RESETHAND", count == 1 && old.sa_handler == SIG_DFL);
	check("kill: no such process", kill(0x3ffffff, 0) == -1 && errno == ESRCH);
	check("kill: no such signal", kill(getpid(), 65) == -1 && errno == EINVAL);
	check("kill: asks only", kill(getpid(), 0) == 0 && count == 1);
	check("tgkill: another process's thread",
	    syscall(SYS_tgkill, 0x3ffffff, syscall(SYS_gettid), SIGUSR1) == -1 && errno == ESRCH);
	check("tgkill: no thread 0", syscall(SYS_tgkill, getpid(), 0, SIGUSR1) == -1 && errno == EINVAL);
}

static void test_action_errors(void)
{
	struct sigaction action = {.sa_handler = SIG_IGN}, old;

	check("no action for KILL", sigaction(SIGKILL, &action, NULL) == -1 && errno == EINVAL);
	check("no action for STOP", sigaction(SIGSTOP, &action, NULL) == -1 && errno == EINVAL);
	check("but one may ask", sigaction(SIGKILL, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
	check("no signal 65", sigaction(65, NULL, &old) == -1 && errno == EINVAL);
	check("no signal 0", sigaction(0, NULL, &old) == -1 && errno == EINVAL);
	check("a wild address", syscall(SYS_rt_sigaction, SIGUSR1, 16, NULL, 8) == -1 && errno == EFAULT);
	check("a wrong size of a set",
	    syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4) == -1 && errno == EINVAL);
	handle(SIGUSR2, note, SA_RESTART | SA_ONSTACK);
	sigaction(SIGUSR2, NULL, &old);
	check("the old action comes back",
	    old.sa_sigaction == note &&
		(old.sa_flags & ~0x04000000) == (SA_SIGINFO | SA_RESTART | SA_ONSTACK));
}

static sigjmp_buf away;

static void jump(int signal, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	siglongjmp(away, signal);
}

static void change_mask(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;

	(void)info;
	count = sigismember(&user->uc_sigmask, signal) == 0;
	sigaddset(&user->uc_sigmask, SIGUSR2);
}

static void test_ignoring(void)
{
	sigset_t set, before;

	sigprocmask(SIG_SETMASK, NULL, &before);
	start();
	set = only(SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	sigpending(&set);
	check("who ignores a signal forgets it", sigisemptyset(&set));
	handle(SIGUSR1, note, 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	check("for good", count == 0);
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	raise(SIGCHLD);
	raise(SIGURG);
	check("ignored signals do nothing", 1);
	handle(SIGUSR1, jump, 0);
	if (sigsetjmp(away, 1) == 0) {
		raise(SIGUSR1);
		check("siglongjmp leaves the handler", 0);
	}
	sigprocmask(SIG_SETMASK, NULL, &set);
	check("siglongjmp leaves the handler, and its mask", !sigismember(&set, SIGUSR1));
	handle(SIGUSR1, change_mask, 0);
	raise(SIGUSR1);
	sigprocmask(SIG_SETMASK, &before, &set);
	check("a handler sees the mask and sets it", count == 1 && sigismember(&set, SIGUSR2));
}

void test_masks(void)
{
	sigset_t set, before;

	test_action_errors();
	start();
	handle(SIGUSR1, note, 0);
	handle(SIGUSR2, note, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGRTMIN + 2);
	sigaddset(&set, SIGKILL);
	check("sigprocmask", sigprocmask(SIG_BLOCK, &set, &before) == 0 && !sigismember(&before, SIGUSR1));
	sigprocmask(SIG_SETMASK, NULL, &set);
	check("KILL is not blocked", sigismember(&set, SIGUSR1) && !sigismember(&set, SIGKILL));
	check("sigprocmask: how?", sigprocmask(7, &set, NULL) == -1 && errno == EINVAL);
	raise(SIGUSR2);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	sigpending(&set);
	check("blocked signals wait", count == 0 && sigismember(&set, SIGUSR1) &&
					  sigismember(&set, SIGUSR2) && !sigismember(&set, SIGTERM));
	sigprocmask(SIG_SETMASK, &before, NULL);
	sigpending(&set);
	check("and come when they are not, the last one's handler first",
	    count == 3 && seen[0] == SIGUSR2 && seen[1] == SIGUSR1 && sigisemptyset(&set));
	start();
	handle(SIGRTMIN + 1, note, 0);
	handle(SIGRTMIN + 2, note, 0);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 5; i++) {
		sigqueue(getpid(), SIGRTMIN + 2 - i % 2, (union sigval){.sival_int = i});
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	check("real-time signals queue", count == 5);
	check("in order",
	    values[0] == 0 && values[1] == 2 && values[2] == 4 && values[3] == 1 && values[4] == 3);
	test_ignoring();
}

static pthread_t sleeper;
static sem_t ready, wanted;

static void nap(unsigned ms)
{
	const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&time, NULL);
}

/* Sends the main thread a signal as soon as it sleeps, or soon after. */
static void *wake(void *signal)
{
	nap(40);
	pthread_kill(sleeper, (int)(intptr_t)signal);
	nap(40);
	sem_post(&wanted);
	return NULL;
}

static pthread_t wake_later(int signal)
{
	pthread_t thread;

	sleeper = pthread_self();
	pthread_create(&thread, NULL, wake, (void *)(intptr_t)signal);
	return thread;
}

static void test_interrupted(void)
{
	const struct timespec hour = {3600, 0};
	struct timespec rest = {0, 0};
	pthread_t thread;

	sem_init(&ready, 0, 0);
	sem_init(&wanted, 0, 0);
	start();
	handle(SIGUSR1, note, SA_RESTART);
	thread = wake_later(SIGUSR1);
	check("nanosleep is interrupted", nanosleep(&hour, &rest) == -1 && errno == EINTR && count == 1);
	check("and says what is left", rest.tv_sec >= 3590 && rest.tv_sec < 3600);
	pthread_join(thread, NULL);
	sem_wait(&wanted);
	thread = wake_later(SIGUSR1);
	check(
	    "clock_nanosleep too", clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, &rest) == EINTR && count == 2);
	pthread_join(thread, NULL);
	sem_wait(&wanted);
	thread = wake_later(SIGUSR1);
	check("a wait without a time begins anew", sem_wait(&wanted) == 0 && count == 3);
	pthread_join(thread, NULL);
	handle(SIGUSR1, note, 0);
	thread = wake_later(SIGUSR1);
	check("without SA_RESTART it ends", sem_wait(&wanted) == -1 && errno == EINTR && count == 4);
	pthread_join(thread, NULL);
	sem_wait(&wanted);
	signal(SIGUSR1, SIG_IGN);
	thread = wake_later(SIGUSR1);
	check("an ignored signal disturbs nobody", sem_wait(&wanted) == 0 && count == 4);
	pthread_join(thread, NULL);
}

void test_waiting(void)
{
	const struct timespec no_time = {0, 0}, little = {0, 20000000};
	sigset_t set = only(SIGUSR1), before, none;
	siginfo_t info;
	pthread_t thread;

	test_interrupted();
	sigemptyset(&none);
	start();
	handle(SIGUSR1, note, 0);
	sigprocmask(SIG_BLOCK, &set, &before);
	raise(SIGUSR1);
	check("sigsuspend", sigsuspend(&none) == -1 && errno == EINTR && count == 1);
	sigprocmask(SIG_SETMASK, NULL, &none);
	check("and the mask is back", sigismember(&none, SIGUSR1));
	sigemptyset(&none);
	thread = wake_later(SIGUSR1);
	check("sigsuspend waits", sigsuspend(&none) == -1 && errno == EINTR && count == 2);
	pthread_join(thread, NULL);
	check("sigtimedwait: nothing", sigtimedwait(&set, &info, &no_time) == -1 && errno == EAGAIN);
	check("sigtimedwait: nothing in time", sigtimedwait(&set, &info, &little) == -1 && errno == EAGAIN);
	sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 5});
	check("sigtimedwait: what is pending", sigtimedwait(&set, &info, &no_time) == SIGUSR1 &&
						   info.si_code == SI_QUEUE && info.si_value.sival_int == 5);
	thread = wake_later(SIGUSR1);
	check("sigwaitinfo waits",
	    sigwaitinfo(&set, &info) == SIGUSR1 && info.si_pid == getpid() && count == 2);
	pthread_join(thread, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}
