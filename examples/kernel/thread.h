/* SPDX-License-Identifier: MIT */
/*
 * thread.h - threads: what they are (thread.c), who runs and who waits (sched.c, futex.c).
 */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include "locks.h"

enum thread_state { THREAD_FREE, THREAD_NEW, THREAD_READY, THREAD_RUNNING, THREAD_WAITING, THREAD_ENDED };

/* Fields are the thread's own, but: [k] with the kernel's lock; [i] never change while it lives. */
struct thread {
	enum thread_state state;    /* [k] */
	unsigned tid;		    /* [i] */
	unsigned cpu;		    /* [k] the one it runs on */
	struct process *process;    /* [i] */
	struct vmem_aspace *aspace; /* [i] the process's */
	struct port_thread port;    /* while it does not run */
	void *stack;		    /* [i] kernel stack, lowest byte */
	vmem_paddr_t fp_frame;	    /* [i] vector state */
	struct thread *sibling;	    /* [k] the next of the process's */
	struct thread *next;	    /* [k] of those that are ready */

	/* Waiting for a time. */
	struct thread *sleeper; /* [k] the next of the CPU's sleepers */
	uint64_t deadline;	/* [k] when, 0: it is no sleeper */
	bool timed_out;		/* [k] */

	/* Waiting for a futex. */
	struct thread *waiter;	/* [k] the next of the process's waiters */
	uint64_t futex_address; /* [k] 0: it is none */
	uint32_t futex_set;	/* [k] */

	/* Waiting for a child (family.c). */
	struct process *lends; /* [k] the one that runs in its space, until that is over */
	bool waits_child;      /* [k] for one to end */

	struct open_file *holds; /* [k] what a call of it uses now (files.c) */
	const void *waits_on; /* [k] a pipe, or thread_any */

	uint64_t clear_tid, robust_list; /* user addresses, for its end */

	/* Signals (signal.c, deliver.c). */
	uint64_t signal_mask;		  /* [k] what it blocks */
	uint64_t signal_wanted;		  /* [k] of that, what it waits for */
	struct signal_pending pending;	  /* [k] for this thread alone */
	uint64_t mask_before;		  /* what it blocks again when a call that changed it has ended: */
	bool mask_changed;		  /* it has */
	bool returns;			  /* its call is rt_sigreturn() */
	bool stays;			  /* [k] stopped, with its process */
	struct signal_stack signal_stack; /* as the program set it */
	struct {
		kernel_call_t *call; /* what restart_syscall() does */
		uint64_t argument[6], deadline;
	} restart;
};

static inline struct thread *thread_current(void)
{
	return cpu_this()->current;
}

static inline struct process *process_current(void)
{
	return thread_current()->process;
}

/* A signal that the thread is to take now. [k] */
static inline bool thread_is_signalled(const struct thread *thread)
{
	const uint64_t pending = thread->pending.set | thread->process->pending.set;

	return (pending & (~thread->signal_mask | thread->signal_wanted)) != 0;
}

/* It has something to do on its way to user mode. [k] */
static inline bool thread_attention(const struct thread *thread)
{
	return thread_is_signalled(thread) || thread->mask_changed || thread->process->stopped;
}

/* ---- thread.c ---- */

/* A thread of the process, with a kernel stack and a page for vectors, not ready; NULL: there is no memory
 * or there are too many. The number is its process's if that has none yet. */
struct thread *thread_create(struct process *process);
/* Gives back one that never became ready. */
void thread_discard(struct thread *thread);
/* Frees what the threads of an ended process had. */
void thread_free_all(struct process *process);
/* What free records have kept for the next threads goes. No process is left. */
void thread_free_kept(void);
/* Ends this thread; as the last one, it ends the process with this status. */
_Noreturn void thread_exit(unsigned status);
/* The same for a thread whose process ends. With the kernel's lock. */
_Noreturn void thread_end(void);
/* Wakes up all that wait on this. With the kernel's lock. */
void thread_wake_waiters(const void *what);
extern const char thread_any[]; /* who waits on this is woken up with everybody */
/* Ends all others of the process; those that run do so a little later. With the kernel's lock. */
void thread_end_others(struct process *process);

/* ---- sched.c: all but the first two with the kernel's lock. ---- */

/* The CPU waits for work, and does it; boot: until no process lives. In the CPU's own context. */
void sched_idle(bool boot);
/* Gives the CPU to the next thread that is ready, if there is one. */
void sched_yield(void);
/* The thread may run, on any CPU. */
void sched_ready(struct thread *thread);
/* It neither may run nor waits for a time any more. */
void sched_forget(struct thread *thread);
/* Waits for sched_wake(), for a signal (EINTR) or for the time on port_clock_ns() (0: for ever; ETIMEDOUT);
 * 0: it was neither of the two. Does not return to a thread whose process ends. */
int sched_wait(uint64_t deadline);
/* The same, whatever signals come. */
void sched_sleep(void);
/* Ends the wait. */
void sched_wake(struct thread *thread);
/* Lets the next one run; this one's state is set. Comes back when this one runs again, with the lock. */
void sched_switch(void);
/* Gives up the lock after a switch and makes the thread's space live. */
void sched_leave(void);
/* What an interrupt has put off amid a call of the library (cpus.c, C5). Without the lock. */
void sched_catch_up(void);
/* The last process has ended. */
void sched_wake_boot(void);

/* ---- deliver.c, calls_signal.c ---- */

/* What the running thread blocks from now on. Without the lock. */
void signal_set_mask(struct thread *thread, uint64_t mask);
/* What sigaltstack() tells of the thread's stack for handlers when it is at `sp`, and how it is set. */
void signal_stack_tell(const struct thread *thread, uint64_t sp, struct signal_stack *out);
int64_t signal_stack_set(struct thread *thread, const struct signal_stack *stack, uint64_t sp);
/* signal.c, with the lock: the process stops, all its threads too; its parent learns of it. */
void signal_stop(struct process *process, unsigned signal);

/* ---- futex.c ---- */

/* Takes a thread off the process's waiters, if it is one. With the kernel's lock. */
void futex_forget(struct thread *thread);
/* Wakes up to `most` that wait for the address with a bit of `set`; how many. With the kernel's lock. */
unsigned futex_wake(struct process *process, uint64_t address, unsigned most, uint32_t set);
/* What a thread owes others when it ends: the locks that it held (its robust list), and its number. */
void futex_thread_exit(struct thread *thread);

/* ---- user_word.c ---- */

/* Replaces an aligned word of the program's, if it is `expected`; what it was before in any case. False: the
 * program could not have written there. */
bool user_word_exchange(
    struct process *process, uint64_t address, uint32_t expected, uint32_t desired, uint32_t *out_before);
/* The word as it is now. */
bool user_word_read(struct process *process, uint64_t address, uint32_t *out);

#endif
