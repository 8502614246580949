/* SPDX-License-Identifier: MIT */
/*
 * Signals, as a program sees them. Without an argument: each thing by itself, with its result checked. With
 * one: a way to die of a signal (die()).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "signals.h"

static int wrong;

void check(const char *what, int good)
{
	printf("signals: %s: %s\n", what, good ? "yes" : "NO");
	fflush(stdout);
	wrong += good ? 0 : 1;
}

void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handler;
	action.sa_flags = flags | SA_SIGINFO;
	if (sigaction(signal, &action, NULL) != 0) {
		printf("signals: sigaction: %s\n", strerror(errno));
		exit(1);
	}
}

char *pages(unsigned count, int protection)
{
	char *memory = mmap(NULL, count * 4096u, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		printf("signals: mmap: %s\n", strerror(errno));
		exit(1);
	}
	return memory;
}

sigset_t only(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	return set;
}

/* Runs off whatever stack it is on. */
static int deep(int depth)
{
	volatile char use[512];

	use[depth % 512] = 1;
	return depth < 0 ? 0 : deep(depth + 1) + use[depth % 512];
}

static void no_handler(int signal, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	printf("signals: the handler of %d runs\n", signal);
	fflush(stdout);
}

/* A stack for handlers that nobody can write to. */
static void stack_for_nothing(void)
{
	stack_t stack = {.ss_sp = pages(16, PROT_NONE), .ss_size = 16 * 4096u};

	sigaltstack(&stack, NULL);
}

static void bad_frame(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
	/* Nothing of what lies at the stack pointer now is a frame. */
	munmap((void *)((uintptr_t)context & ~(uintptr_t)0xffff), 0x20000);
	syscall(SYS_rt_sigreturn);
}

static volatile char *volatile nowhere = (volatile char *)16;

int die(const char *how)
{
	static const char *const named[] = {"hup", "usr1", "pipe", "term", "kill", "alrm", "rt"};
	static const int signals[] = {SIGHUP, SIGUSR1, SIGPIPE, SIGTERM, SIGKILL, SIGALRM, 40};
	sigset_t set = only(SIGSEGV);

	printf("signals: %s\n", how);
	fflush(stdout);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (strcmp(how, named[i]) == 0) {
			kill(getpid(), signals[i]);
		}
	}
	if (strcmp(how, "blocked") == 0) {
		handle(SIGSEGV, no_handler, 0);
		sigprocmask(SIG_BLOCK, &set, NULL);
		*nowhere = 1;
	} else if (strcmp(how, "ignored") == 0) {
		signal(SIGSEGV, SIG_IGN);
		*nowhere = 1;
	} else if (strcmp(how, "reset") == 0) {
		handle(SIGSEGV, no_handler, SA_RESETHAND);
		*nowhere = 1;
	} else if (strcmp(how, "overflow") == 0) {
		handle(SIGSEGV, no_handler, 0); /* on the stack that is full */
		return deep(0);
	} else if (strcmp(how, "stack") == 0) {
		stack_for_nothing();
		handle(SIGUSR1, no_handler, SA_ONSTACK);
		raise(SIGUSR1);
	} else if (strcmp(how, "frame") == 0) {
		handle(SIGUSR1, bad_frame, 0);
		raise(SIGUSR1);
	} else if (strcmp(how, "nohandler") == 0) {
		handle(SIGUSR1, (void (*)(int, siginfo_t *, void *))(uintptr_t)nowhere, 0);
		raise(SIGUSR1);
	}
	return 3;
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		return die(argv[1]);
	}
	test_sending();
	test_masks();
	test_waiting();
	test_faults();
	test_repair();
	test_stacks();
	test_threads();
	printf("signals: %d wrong\n", wrong);
	return wrong != 0;
}
