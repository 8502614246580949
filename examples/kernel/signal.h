/* SPDX-License-Identifier: MIT */
/*
 * signal.h - signals: what is sent and what is pending (signal.c), how a thread takes them on its way to
 * user mode (deliver.c). Layouts and numbers are Linux's.
 */
#ifndef KERNEL_SIGNAL_H
#define KERNEL_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SIGNAL_ILL = 4,
	SIGNAL_TRAP = 5,
	SIGNAL_ABRT = 6,
	SIGNAL_BUS = 7,
	SIGNAL_FPE = 8,
	SIGNAL_KILL = 9,
	SIGNAL_SEGV = 11,
	SIGNAL_PIPE = 13,
	SIGNAL_CHLD = 17,
	SIGNAL_CONT = 18,
	SIGNAL_STOP = 19,
	SIGNAL_TSTP = 20,
	SIGNAL_TTIN = 21,
	SIGNAL_TTOU = 22,
	SIGNAL_URG = 23,
	SIGNAL_WINCH = 28,
	SIGNAL_REALTIME = 32, /* the first that is queued */
	SIGNALS = 64
};

/* si_code */
enum {
	SIGNAL_BY_USER = 0,
	SIGNAL_BY_KERNEL = 0x80,
	SIGNAL_BY_TKILL = -6,
	SIGNAL_SEGV_MAPERR = 1,
	SIGNAL_SEGV_ACCERR = 2,
	SIGNAL_BUS_ADRALN = 1,
	SIGNAL_BUS_ADRERR = 2,
	SIGNAL_CHLD_EXITED = 1,
	SIGNAL_CHLD_KILLED = 2
};

/* What a program sets for a signal; the flags are those of struct sigaction. */
#define SIGNAL_DEFAULT UINT64_C(0)
#define SIGNAL_IGNORE UINT64_C(1)
#define SIGNAL_NO_CHILD_STOP UINT64_C(0x1)
#define SIGNAL_NO_CHILD_WAIT UINT64_C(0x2)
#define SIGNAL_INFO UINT64_C(0x4)
#define SIGNAL_RESTORER UINT64_C(0x04000000)
#define SIGNAL_ON_STACK UINT64_C(0x08000000)
#define SIGNAL_RESTART UINT64_C(0x10000000)
#define SIGNAL_NO_DEFER UINT64_C(0x40000000)
#define SIGNAL_RESET UINT64_C(0x80000000)

struct signal_action {
	uint64_t handler, flags, restorer, mask;
};

/* The beginning of Linux's siginfo_t; the rest of its 128 bytes is zero. */
struct signal_info {
	int32_t number, error, code, pad;
	union {
		uint64_t word[4];
		uint64_t address; /* of a fault */
		struct {
			uint32_t pid, uid;
			uint64_t value; /* status of a child, sigval of a queued one */
		} sender;
	};
};
#define SIGNAL_INFO_SIZE 128u

/* Signals that wait for somebody to take them: a bit each, bit n - 1 for signal n, and what is known of
 * them, in the order in which they came. */
struct signal_entry;
struct signal_pending {
	uint64_t set;
	struct signal_entry *first, *last;
};

/* What sigaltstack() takes and tells. */
struct signal_stack {
	uint64_t start;
	uint32_t flags, pad;
	uint64_t size;
};
enum { SIGNAL_STACK_ON = 1, SIGNAL_STACK_OFF = 2 };
#define SIGNAL_STACK_AUTO_OFF 0x80000000u

/* A handler that is to be entered: for the port, which puts on the stack what its ISA's Linux has there. */
struct signal_entering {
	const struct signal_info *info;
	const struct signal_action *action;
	uint64_t mask;		   /* to be blocked again afterwards */
	struct signal_stack stack; /* as the program is told */
	uint64_t sp;		   /* where to begin */
	uint64_t lowest;	   /* and how far down one may go */
	uint64_t trampoline;	   /* what the handler returns to, if the action does not say */
};

static inline uint64_t signal_bit(unsigned signal)
{
	return UINT64_C(1) << (signal - 1);
}

/* KILL and STOP cannot be blocked. */
#define SIGNALS_ALWAYS (UINT64_C(1) << (SIGNAL_KILL - 1) | UINT64_C(1) << (SIGNAL_STOP - 1))

struct process;
struct thread;

/* ---- signal.c: all with the kernel's lock. ---- */

/* To a process (thread NULL: whoever of its threads takes it) or to one thread. What is ignored is
 * forgotten. False: too many are queued. */
bool signal_send(struct process *process, struct thread *thread, const struct signal_info *info);
/* Takes the next that the thread does not block; false: there is none. */
bool signal_take(struct thread *thread, uint64_t wanted, struct signal_info *out);
/* A thread that does not block it is told of what the process has pending: this one blocks or ends. */
void signal_pass_on(struct process *process);
/* Forgets a pending signal, for all threads; what a thread has pending, when it ends. */
void signal_forget(struct process *process, unsigned signal);
void signal_forget_all(struct signal_pending *pending);
/* The default of a signal is to do nothing. */
bool signal_is_harmless(unsigned signal);
/* The dispositions of a program that begins in a process that has run another: handlers are gone. */
void signal_exec(struct process *process);

/* ---- deliver.c ---- */

/* A signal of the running thread's own instruction, which does not wait: the handler is entered, and the
 * answer is 0; or there is none, or it is blocked, or it has no stack, and the process is to end with the
 * signal that is answered. Without the lock. */
struct port_frame;
unsigned signal_raise(struct port_frame *frame, const struct signal_info *info);

#endif
