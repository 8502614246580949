/* SPDX-License-Identifier: MIT */
/*
 * lock.h - the two kinds of lock, and what is shared without one. LOCKING.md has the order, what each lock
 * protects, and every pair of publisher and reader.
 *
 * K1 A spin lock (one byte, in the record of what it protects) is held for a bounded number of instructions:
 * its holder waits for nobody, allocates no frame that could have to be waited for, and calls no host
 * function that does. K2 A mutex may be held while its holder waits for a flush. Whoever waits for a mutex
 * holds no spin lock and lets the host serve calls from other CPUs meanwhile (vmem_host_relax()), so a wait
 * for an acknowledgement always ends. Faults do not wait for one: they try, and answer AGAIN. K3 Locks are
 * taken in the order of their ranks; with VMEM_DEBUG a breach panics. K4 What follows the taking of a
 * spin lock does not move before it, and what is before its giving does not move behind. Reads made without a
 * lock are ordered before the look that checks them by order_reads(). K5 What a CPU holds at once is part of
 * one state of each table of LOCKING.md, "States"; with VMEM_DEBUG a breach panics.
 *
 * With one CPU there is nothing of all that: no state is read or written, no instruction is emitted. That is
 * so in a build for one CPU, and in the copies of alone.h: VMEM_SMP is 0 in both. What is laid out for
 * several CPUs is so in the copies, too: VMEM_MANY_CPUS.
 */
#ifndef VMEM_LOCK_H
#define VMEM_LOCK_H

#include <vmem/types.h>

#include "alone.h"
#include "arch.h"
#include "panic.h"

#define VMEM_SMP (VMEM_MANY_CPUS && !VMEM_ALONE)

/* Outermost first. */
enum lock_rank {
	/* mutexes */
	LOCK_ASPACE,
	LOCK_KERNEL, /* the kernel's own space */
	LOCK_LINEAGE,
	LOCK_STORE,   /* of an object */
	LOCK_PRIVATE, /* the store of a space: while an object's is held, or not */
	LOCK_FIXED,   /* fixed frames and the direct map */
	LOCK_MUTEXES,
	/* spin locks */
	LOCK_NODE = LOCK_MUTEXES, /* a leaf node of an index */
	LOCK_TABLE_TOP,		  /* page tables, upper levels first: see lock_table_rank() */
	LOCK_TABLE = LOCK_TABLE_TOP + 4,
	LOCK_IDS,  /* address-space ids */
	LOCK_LIST, /* lists of all spaces and of all stores */
	LOCK_SLAB_LIST, /* a CPU's small objects of a type */
	LOCK_SLAB,
	LOCK_CACHE,  /* a CPU's frames */
	LOCK_SOURCE, /* where frames come from */
	LOCK_RANKS
};

static inline unsigned lock_table_rank(unsigned level)
{
	return (unsigned)LOCK_TABLE - level;
}

struct vmem_mutex {
	uint8_t held;
	uint8_t unused[3]; /* a whole word (ARCH_BYTE_ATOMICS) */
} __attribute__((aligned(4)));

/* A lock of the whole library, in a line of its own: who has nothing to do with it does not feel it. */
struct vmem_lone_mutex {
	struct vmem_mutex mutex;
} __attribute__((aligned(64)));

/* Reads and writes of what another CPU may write or read at the same moment: they are whole, and order
 * nothing unless their name says so. */
/* As volatile; without a cast, which would warn where the object is itself a pointer. */
#define shared_place(place)                                                                                  \
	(__extension__({                                                                                     \
		__typeof__(*(place)) volatile *place_ = (place);                                             \
		place_;                                                                                      \
	}))

#if ARCH_BYTE_ATOMICS || defined(VMEM_HOSTED)
#define WORD_ATOMICS 0
#else
#define WORD_ATOMICS 1
#endif
#if !VMEM_SMP
#define shared_load(place) (*(place))
#define shared_store(place, value) ((void)(*shared_place(place) = (value)))
#define shared_load_acquire(place) shared_load(place)
#define shared_store_release(place, value) shared_store(place, value)
#else
#define shared_load(place) __atomic_load_n((place), __ATOMIC_RELAXED)
#define shared_load_acquire(place) __atomic_load_n((place), __ATOMIC_ACQUIRE)
#if WORD_ATOMICS /* there gcc makes a swap of an atomic store */
#define shared_store(place, value) ((void)(*shared_place(place) = (value)))
#define shared_store_release(place, value)                                                                   \
	(__atomic_thread_fence(__ATOMIC_RELEASE), shared_store(place, value))
#else
#define shared_store(place, value) __atomic_store_n((place), (value), __ATOMIC_RELAXED)
#define shared_store_release(place, value) __atomic_store_n((place), (value), __ATOMIC_RELEASE)
#endif
#endif

#if VMEM_SMP
static inline unsigned cpu_number(void)
{
	return vmem_host_cpu();
}

/* Counters that several CPUs change: the value before. With one CPU plain arithmetic. */
#define shared_add(place, value) __atomic_fetch_add((place), (value), __ATOMIC_RELAXED)
#define shared_subtract(place, value) __atomic_fetch_sub((place), (value), __ATOMIC_ACQ_REL)

/* The word that a byte lies in, and where: its other bytes stay as they are. */
static inline uint32_t *lock_word(uint8_t *byte)
{
	uintptr_t at = (uintptr_t)byte;

	__asm__("" : "+r"(at)); /* hides from gcc 12 that the object may be the byte alone: it would warn */
	return (uint32_t *)(at & ~(uintptr_t)3);
}

static inline unsigned lock_shift(const uint8_t *byte)
{
	return 8 * ((unsigned)(uintptr_t)byte & 3);
}

static inline void shared_set_bits(uint8_t *byte, uint8_t bits)
{
#if WORD_ATOMICS
	(void)__atomic_fetch_or(lock_word(byte), (uint32_t)bits << lock_shift(byte), __ATOMIC_RELAXED);
#else
	(void)__atomic_fetch_or(byte, bits, __ATOMIC_RELAXED);
#endif
}

static inline void shared_clear_bits(uint8_t *byte, uint8_t bits)
{
#if WORD_ATOMICS
	(void)__atomic_fetch_and(lock_word(byte), ~((uint32_t)bits << lock_shift(byte)), __ATOMIC_RELAXED);
#else
	(void)__atomic_fetch_and(byte, (uint8_t)~bits, __ATOMIC_RELAXED);
#endif
}

/* The value before. */
#define shared_exchange(place, value) __atomic_exchange_n((place), (value), __ATOMIC_ACQ_REL)

/* Puts NULL there if `expected` is. */
static inline void shared_clear_pointer(void *place, void *expected)
{
	(void)__atomic_compare_exchange_n(
	    (void **)place, &expected, NULL, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Between reads of what a sequence or a generation covers and the second look at it; between the first
 * change of it and the changes that it announces. ThreadSanitizer knows no fences: there every access is
 * its own. */
static inline void order_reads(void)
{
#if !defined(__SANITIZE_THREAD__)
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

static inline void order_writes(void)
{
#if !defined(__SANITIZE_THREAD__)
	__atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

/* The way of a lock that another CPU has. */
void vmem_spin_wait(uint8_t *lock);
void vmem_mutex_wait(struct vmem_mutex *mutex);

#if VMEM_DEBUG >= 1
/* Checks K3 and notes the lock as held by this CPU; forgets it. */
void vmem_lock_taken(uint8_t *lock, unsigned rank);
void vmem_lock_given(unsigned rank);
/* Gives back all that this CPU holds: for a test that goes on after a panic. */
void vmem_lock_abandon(void);
/* Panics if this CPU holds a spin lock: before whatever may wait. */
void vmem_lock_none_spinning(void);
#else
static inline void vmem_lock_taken(uint8_t *lock, unsigned rank)
{
	(void)lock;
	(void)rank;
}
static inline void vmem_lock_given(unsigned rank)
{
	(void)rank;
}
static inline void vmem_lock_none_spinning(void)
{
}
static inline void vmem_lock_abandon(void)
{
}
#endif

/* Takes the lock if nobody has it. False: somebody has. */
static inline bool lock_byte(uint8_t *lock)
{
#if WORD_ATOMICS
	return (__atomic_fetch_or(lock_word(lock), 1u << lock_shift(lock), __ATOMIC_ACQ_REL) >>
		       lock_shift(lock) &
		   1) == 0;
#else
	return __atomic_exchange_n(lock, 1, __ATOMIC_ACQ_REL) == 0;
#endif
}

static inline void spin_take(uint8_t *lock, unsigned rank)
{
	vmem_lock_taken(lock, rank);
	if (__builtin_expect(!lock_byte(lock), 0)) {
		vmem_spin_wait(lock);
	}
}

/* Without waiting; false: another CPU has it. */
static inline bool spin_try(uint8_t *lock, unsigned rank)
{
	if (!lock_byte(lock)) {
		return false;
	}
	vmem_lock_taken(lock, rank);
	return true;
}

static inline void spin_give(uint8_t *lock, unsigned rank)
{
	vmem_lock_given(rank);
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

static inline void mutex_take(struct vmem_mutex *mutex, unsigned rank)
{
	vmem_lock_taken(&mutex->held, rank);
	if (__builtin_expect(!lock_byte(&mutex->held), 0)) {
		vmem_mutex_wait(mutex);
	}
}

static inline bool mutex_try(struct vmem_mutex *mutex, unsigned rank)
{
	return spin_try(&mutex->held, rank);
}

static inline void mutex_give(struct vmem_mutex *mutex, unsigned rank)
{
	spin_give(&mutex->held, rank);
}

#else /* one CPU */

static inline unsigned cpu_number(void)
{
	return 0;
}

#define shared_add(place, value) ((*(place) += (value)) - (value))
#define shared_subtract(place, value) ((*(place) -= (value)) + (value))
#define shared_exchange(place, value)                                                                        \
	__extension__({                                                                                      \
		__typeof__(*(place)) was_ = *(place);                                                        \
		*(place) = (value);                                                                          \
		was_;                                                                                        \
	})

static inline void shared_set_bits(uint8_t *byte, uint8_t bits)
{
	*byte |= bits;
}

static inline void shared_clear_bits(uint8_t *byte, uint8_t bits)
{
	*byte = (uint8_t)(*byte & ~bits);
}

static inline void shared_clear_pointer(void *place, const void *expected)
{
	if (*(void **)place == expected) {
		*(void **)place = NULL;
	}
}

static inline void order_reads(void)
{
}

static inline void order_writes(void)
{
}

static inline void vmem_lock_abandon(void)
{
}

static inline void vmem_lock_none_spinning(void)
{
}

static inline void spin_take(uint8_t *lock, unsigned rank)
{
	(void)lock;
	(void)rank;
}

static inline bool spin_try(uint8_t *lock, unsigned rank)
{
	(void)lock;
	(void)rank;
	return true;
}

static inline void spin_give(uint8_t *lock, unsigned rank)
{
	(void)lock;
	(void)rank;
}

static inline void mutex_take(struct vmem_mutex *mutex, unsigned rank)
{
	(void)mutex;
	(void)rank;
}

static inline bool mutex_try(struct vmem_mutex *mutex, unsigned rank)
{
	(void)mutex;
	(void)rank;
	return true;
}

static inline void mutex_give(struct vmem_mutex *mutex, unsigned rank)
{
	(void)mutex;
	(void)rank;
}
#endif

#endif
