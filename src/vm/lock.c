/* SPDX-License-Identifier: MIT */
/*
 * lock.c - waiting for a lock, and the watch over the order of locks. K1 to K5 are in lock.h.
 *
 * A waiter reads until the lock looks free before it writes again: under an emulator, and between hardware
 * threads, a queue of tickets would wait for whoever is not running.
 */
#include "lock.h"

#if VMEM_SMP

void vmem_spin_wait(uint8_t *lock)
{
	do {
		while (shared_load(lock) != 0) {
			vmem_arch_pause();
		}
	} while (!lock_byte(lock));
}

void vmem_mutex_wait(struct vmem_mutex *mutex)
{
	vmem_lock_none_spinning(); /* (K2) */
	do {
		while (shared_load(&mutex->held) != 0) {
			vmem_host_relax();
		}
	} while (!lock_byte(&mutex->held));
}

#if VMEM_DEBUG >= 1

/* Bit n: this CPU holds a lock of rank n. Each word is its own CPU's. */
static struct {
	uint32_t ranks;
	uint8_t *lock[LOCK_RANKS];
} __attribute__((aligned(64))) held[VMEM_MAX_CPUS];
_Static_assert(LOCK_RANKS <= 32, "a bit for each rank");

#define BIT(rank) (UINT32_C(1) << (rank))
#define MUTEXES (BIT(LOCK_MUTEXES) - 1)
#define TABLES ((BIT(LOCK_TABLE + 1) - 1) & ~(BIT(LOCK_TABLE_TOP) - 1))
#define MEMORY (BIT(LOCK_CACHE) | BIT(LOCK_SOURCE))
#define OBJECTS (BIT(LOCK_SLAB_LIST) | BIT(LOCK_SLAB) | MEMORY)

/* The rows of LOCKING.md, "States". */
static const uint32_t mutex_states[] = {
    BIT(LOCK_ASPACE) | BIT(LOCK_LINEAGE) | BIT(LOCK_STORE),
    BIT(LOCK_KERNEL) | BIT(LOCK_LINEAGE) | BIT(LOCK_STORE),
    BIT(LOCK_ASPACE) | BIT(LOCK_STORE) | BIT(LOCK_PRIVATE),
    BIT(LOCK_LINEAGE) | BIT(LOCK_PRIVATE),
    BIT(LOCK_ASPACE) | BIT(LOCK_FIXED),
    BIT(LOCK_KERNEL) | BIT(LOCK_FIXED),
};
static const uint32_t spin_states[] = {
    BIT(LOCK_NODE) | OBJECTS,
    BIT(LOCK_NODE) | BIT(LOCK_TABLE),
    TABLES | MEMORY,
    BIT(LOCK_IDS),
    BIT(LOCK_LIST),
};

static bool is_part_of_one(uint32_t ranks, const uint32_t *state, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!(ranks & ~state[i])) {
			return true;
		}
	}
	return false;
}

static bool is_state(uint32_t ranks)
{
	uint32_t tables = ranks & TABLES;
	tables &= tables - 1; /* two at most */
	return (tables & (tables - 1)) == 0 &&
	       is_part_of_one(ranks & MUTEXES, mutex_states, sizeof(mutex_states) / sizeof(*mutex_states)) &&
	       is_part_of_one(ranks & ~MUTEXES, spin_states, sizeof(spin_states) / sizeof(*spin_states));
}

void vmem_lock_taken(uint8_t *lock, unsigned rank)
{
	unsigned cpu = cpu_number();
	VMEM_CHECK(held[cpu].ranks >> rank == 0, "internal: a lock is taken out of order (K3)");
	held[cpu].ranks |= BIT(rank);
	VMEM_CHECK(is_state(held[cpu].ranks), "internal: locks are held together that never are (K5)");
	held[cpu].lock[rank] = lock;
}

void vmem_lock_abandon(void)
{
	unsigned cpu = cpu_number();
	for (unsigned rank = 0; rank < LOCK_RANKS; rank++) {
		if (held[cpu].ranks >> rank & 1) {
			shared_store_release(held[cpu].lock[rank], 0);
		}
	}
	held[cpu].ranks = 0;
}

void vmem_lock_given(unsigned rank)
{
	uint32_t *ranks = &held[cpu_number()].ranks;
	VMEM_CHECK(*ranks >> rank & 1, "internal: a lock is given back that is not held");
	*ranks &= ~(UINT32_C(1) << rank);
}

void vmem_lock_none_spinning(void)
{
	VMEM_CHECK(held[cpu_number()].ranks >> LOCK_MUTEXES == 0,
	    "internal: something is waited for with a spin lock held (K1)");
}
#endif
#else
typedef int vmem_lock_nothing; /* a file of C is not empty */
#endif
