/* SPDX-License-Identifier: MIT */
/*
 * signals.h - what the parts of `signals` share.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>
#include <stdint.h>

/* Prints a line, and remembers if something was wrong. */
void check(const char *what, int good);
/* Sets a handler for a signal; flags 0 take a handler of one argument. */
void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags);
/* Pages of anonymous memory; ends the program when there are none. */
char *pages(unsigned count, int protection);
/* Only the signal, in a set. */
sigset_t only(int signal);

/* The parts. */
void test_sending(void);
void test_masks(void);
void test_waiting(void);
void test_faults(void);
void test_repair(void);
void test_stacks(void);
void test_threads(void);
int die(const char *how);

/* Where the program goes on after a handler: the one register that has another name everywhere. */
#if defined(__x86_64__)
#define CONTEXT_PC(context) ((context)->uc_mcontext.gregs[REG_RIP])
#elif defined(__aarch64__)
#define CONTEXT_PC(context) ((context)->uc_mcontext.pc)
#elif defined(__riscv)
#define CONTEXT_PC(context) ((context)->uc_mcontext.__gregs[REG_PC])
#endif

#endif
