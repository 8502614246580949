/* SPDX-License-Identifier: MIT */
/*
 * runtime.h - what the files of the explorer share. Their state is in one block outside of the image, so that
 * going back to the start of a schedule does not touch it.
 */
#ifndef EXPLORE_RUNTIME_H
#define EXPLORE_RUNTIME_H

#include <setjmp.h>

#include "explore.h"

#define DECISIONS_MAX 16384u
#define OPTIONS_MAX 4u
#define TEXTS 8u
#define STACK_SIZE ((size_t)256 << 10)

struct decision {
	uint8_t option[OPTIONS_MAX];
	uint8_t options, taken;
	uint8_t preemptions; /* made before it */
	bool free;	     /* no option costs a preemption; else all but the first do */
	bool threads;	     /* the options are threads, not numbers */
};

/* A store that is held back (stores.c). */
#define LATES_MAX 8u
struct late {
	uintptr_t at;
	size_t size;
	uint64_t value; /* its first bytes: of a little-endian machine */
};

enum thread_state { THREAD_NONE, THREAD_READY, THREAD_WAITS, THREAD_DONE };
struct thread {
	enum thread_state state;
	bool fresh;	     /* it was just chosen, and has not come to an access since */
	bool user;	     /* in user code: calls from other CPUs come through */
	bool relaxed;	     /* waits in a way that lets calls come through */
	bool retries;	     /* it could not do what it wanted, and tries again (S4) */
	unsigned spinning;   /* spin locks held */
	const uint8_t *lock; /* the wait ends when this byte is no longer lock_value; NULL: see `writes` */
	uint8_t lock_value;
	uint64_t writes;	/* of this thread, ever in this schedule; none while it retries */
	uint64_t others_before; /* writes of the others when the wait began */
	/* Stopped before an access; whether anybody has touched that since (S5). */
	bool stopped, met;
	const uint8_t *place;
	size_t place_size;
	bool place_writes;
	const void *loaded; /* by the last atomic access, if that was a load of one byte; else NULL */
	uint8_t loaded_value;
	unsigned idle; /* turns of waiting in which nobody did anything */
	/* Calls to other CPUs. */
	void (*call)(void *); /* what this thread asks for */
	void *argument;
	unsigned unanswered; /* threads that have yet to run it */
	struct late late[LATES_MAX];
	unsigned lates;
	void *stack;
	jmp_buf top;		  /* where it begins its thread */
	jmp_buf context;	  /* where it goes on */
	uint8_t *bottom, *lowest; /* how much of the stack is used there */
	uintptr_t at;		  /* where it made way, for the report */
};

struct hooks {
	void (*adversary)(void);	  /* between two threads, and around effects */
	void (*begin)(void);		  /* of a schedule */
	void (*end)(void);		  /* checks what must hold after each */
	bool (*is_walked)(const void *p); /* the adversary reads it */
};

struct bounds {
	uintptr_t base;
	size_t length;
};

struct runtime {
	struct bounds image[3]; /* RANGE_* */
	bool armed;		/* the image is kept track of */
	bool exploring;		/* a thread of a case runs */
	unsigned quiet;		/* no points, nothing noted: the machine, the checks */
	unsigned machine;	/* no points; of what is touched only RAM is noted: an access by a program */
	const struct explore_case *what;
	struct hooks hooks;
	struct thread thread[EXPLORE_THREADS];
	unsigned threads;
	unsigned current;
	unsigned preemptions, bound;
	jmp_buf home;
	unsigned depth, length;
	struct decision path[DECISIONS_MAX];
	bool replay; /* a violation is being shown */
	bool found;
	bool redundant; /* the schedule is the same as another one (S5), and was given up */
	char text[512];
	char texts[TEXTS][160]; /* of symbol_name() */
	unsigned texts_used;
};
extern struct runtime *rt;

#define THIS (&rt->thread[rt->current])

static inline bool image_in(const void *p, unsigned range)
{
	return (uintptr_t)p - rt->image[range].base < rt->image[range].length;
}

/* image.c: the memory that a schedule changes, and the way back. */
void image_open(uintptr_t ram, size_t length); /* also this: the machine's RAM; 0: none */
void image_begin(void);			       /* what is now is what image_restore() brings back */
void image_restore(void);
unsigned image_mark(void); /* what is now is what image_back(the answer) brings back */
void image_back(unsigned mark);
bool image_is_restored(void); /* compares everything; slow */
/* Whether the library is in this state for the first time since image_begin(), as a 64-bit sum tells. */
bool image_is_new(void);
void image_close(void);
enum { RANGE_RAM, RANGE_DATA, RANGE_HEAP, RANGES };
static inline bool image_is_ram(const void *p)
{
	return image_in(p, RANGE_RAM);
}
static inline bool image_has(const void *p)
{
	return image_in(p, RANGE_RAM) || image_in(p, RANGE_DATA) || image_in(p, RANGE_HEAP);
}
void image_write(const void *p, size_t n); /* is about to happen */
/* Who touches what. image_note() answers whether another thread touches a byte of it too, one writing. */
void image_note(const void *p, size_t n, bool writes);
bool image_shared(const void *p, size_t n, bool writes);
bool image_learned(void); /* more than the round before; and what is known now counts from now on */
void image_forget(void);

/* Without telling: not for what is in the image. */
void *__real_memcpy(void *to, const void *from, size_t n);

/* threads.c */
void threads_point(const void *p, size_t n, bool writes);
void threads_always(void); /* a point, whatever is known */
void threads_touch(const void *p, size_t n, bool writes);
void threads_wait(bool relaxed, const uint8_t *lock, uint8_t value);
void threads_run(void); /* one schedule */
void threads_judge(void (*judge)(void));
bool threads_next(unsigned bound); /* prepares the next one; false: there is none */
bool thread_may_go_on(unsigned i);
_Noreturn void threads_violation(const char *text);

/* Whether the schedule says that the store which comes next is held back. */
bool threads_hold(void);

/* stores.c */
bool stores_hold(const volatile void *p, size_t n, uint64_t value, bool in_order); /* false: store it now */
void stores_drain(void);
void stores_drain_at(const void *p, size_t n); /* if what is held back goes there */

/* checkpoint.c: decision `depth` as it was met. */
void checkpoint_open(void);
void checkpoint_keep(unsigned depth, jmp_buf here);
void checkpoint_drop(unsigned depth);
bool checkpoint_is_there(unsigned depth);
_Noreturn void checkpoint_go(unsigned depth);
uint8_t *checkpoint_stack(void);

/* host.c */
void host_run_on(unsigned cpu); /* that one is the current CPU from now on */
void host_serve(void);		/* calls that have come for this thread */
bool host_has_calls(unsigned i);

/* symbols.c: "function+0x12" of an address of this program, for reports. */
const char *symbol_name(uintptr_t address);
/* Where a variable of this program is; length 0: there is none of that name. */
void symbol_find(const char *name, uintptr_t *base, size_t *length);

#endif
