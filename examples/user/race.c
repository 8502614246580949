/* SPDX-License-Identifier: MIT */
/*
 * Faults, unmapping and protection of one address space by many threads at once. An arena is cut into slots
 * of a few pages; slots share page tables, and each has one owner, which maps, protects and empties it again
 * and again, and readers, which look at it all the time.
 *
 * What a reader may see: the owner replaces memory by fresh zeroes (mmap over it, or madvise), publishes the
 * generation, and fills the pages with it. A reader that has seen a generation published never finds an older
 * one's words: that would be memory that is no longer there, through a translation that should be gone.
 *
 * Two more: threads that touch the same fresh page at the same moment must get the same page; and what is
 * mapped next, anywhere, must be zero, although other threads have just freed such pages.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { OWNERS = 4, READERS = 3, SLOTS = 8, PAGES = 2, PAGE = 4096, TOUCHERS = 4, TOUCH_PAGES = 8 };

struct slot {
	volatile uint64_t *words;
	_Atomic uint64_t generation;
	_Atomic unsigned looks; /* of readers */
};

static struct slot slots[SLOTS];
static unsigned rounds = 10;
static _Atomic unsigned stopped;
static _Atomic unsigned long stale, not_zero, lost, refused;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static volatile uint64_t *page_of(const struct slot *slot, unsigned page)
{
	return slot->words + page * (PAGE / 8);
}

static void renew(struct slot *slot, uint64_t how)
{
	void *at = (void *)(uintptr_t)slot->words;
	const int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	switch (how % 3) {
	case 0:
		refused += mmap(at, PAGES * PAGE, PROT_READ | PROT_WRITE, fixed, -1, 0) != at;
		break;
	case 1:
		refused += madvise(at, PAGES * PAGE, MADV_DONTNEED) != 0;
		break;
	default: /* page by page, backwards, so that regions split and merge */
		for (unsigned i = PAGES; i-- > 0;) {
			char *page = (char *)at + i * PAGE;

			refused += mmap(page, PAGE, PROT_READ | PROT_WRITE, fixed, -1, 0) != page;
		}
		break;
	}
}

static void fill(struct slot *slot, uint64_t generation)
{
	for (unsigned i = 0; i < PAGES; i++) {
		if (page_of(slot, i)[0] != 0 || page_of(slot, i)[PAGE / 8 - 1] != 0) {
			not_zero++;
		}
		page_of(slot, i)[0] = generation;
		page_of(slot, i)[PAGE / 8 - 1] = generation;
	}
}

/* Read-only and back, while others read; the content stays. */
static void protect(struct slot *slot, uint64_t generation)
{
	void *at = (void *)(uintptr_t)slot->words;

	refused += mprotect(at, PAGES * PAGE, PROT_READ) != 0;
	for (unsigned i = 0; i < PAGES; i++) {
		lost += page_of(slot, i)[0] != generation;
	}
	refused += mprotect(at, PAGES * PAGE, PROT_READ | PROT_WRITE) != 0;
	for (unsigned i = 0; i < PAGES; i++) {
		page_of(slot, i)[1] = generation;
		lost += page_of(slot, i)[PAGE / 8 - 1] != generation;
	}
}

/* Until a reader has been here since, so that another CPU may have the translations. */
static void wait_for_look(const struct slot *slot)
{
	const unsigned before = slot->looks;

	for (unsigned i = 0; i < 10000 && slot->looks == before; i++) {
		sched_yield();
	}
}

static void *own(void *argument)
{
	const unsigned self = (unsigned)(uintptr_t)argument;
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15) * (self + 1);

	for (uint64_t round = 1; round <= rounds; round++) {
		for (unsigned i = self; i < SLOTS; i += OWNERS) {
			renew(&slots[i], next_random(&state));
			atomic_store(&slots[i].generation, round);
			fill(&slots[i], round);
			wait_for_look(&slots[i]);
			if (next_random(&state) % 2 == 0) {
				protect(&slots[i], round);
			}
		}
	}
	return NULL;
}

static void *look(void *argument)
{
	uint64_t state = UINT64_C(0xbf58476d1ce4e5b9) * ((uintptr_t)argument + 1);

	while (!stopped) {
		struct slot *slot = &slots[next_random(&state) % SLOTS];
		const uint64_t generation = atomic_load(&slot->generation);

		for (unsigned i = 0; i < PAGES; i++) {
			const uint64_t first = page_of(slot, i)[0], last = page_of(slot, i)[PAGE / 8 - 1];

			stale += (first != 0 && first < generation) || (last != 0 && last < generation);
		}
		if (++slot->looks % 16 == 0) {
			sched_yield();
		}
	}
	return NULL;
}

/* Memory that comes and goes. */
static void *come_and_go(void *argument)
{
	uint64_t state = UINT64_C(0x94d049bb133111eb) * ((uintptr_t)argument + 1);

	for (unsigned i = 0; i < 8 * rounds; i++) {
		const size_t pages = 1 + next_random(&state) % 40;
		uint64_t *words =
		    mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (words == MAP_FAILED) {
			refused++;
			continue;
		}
		for (size_t p = 0; p < pages; p++) {
			words[p * (PAGE / 8) + 7] = ~UINT64_C(0); /* first: a page of its own at once */
			not_zero += words[p * (PAGE / 8) + 6] != 0;
			words[p * (PAGE / 8) + 6] = ~UINT64_C(0);
		}
		refused += munmap(words, pages * PAGE) != 0;
	}
	return NULL;
}

static pthread_barrier_t barrier;
static uint64_t *touched;

static void *touch(void *argument)
{
	const unsigned self = (unsigned)(uintptr_t)argument;

	for (unsigned round = 0; round < rounds; round++) {
		if (self == 0) {
			touched = mmap(NULL, TOUCH_PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		}
		pthread_barrier_wait(&barrier);
		for (unsigned i = 0; i < TOUCH_PAGES; i++) {
			((volatile uint64_t *)touched)[i * (PAGE / 8) + self] = round * 16 + self + 1;
		}
		pthread_barrier_wait(&barrier);
		for (unsigned i = 0; i < TOUCH_PAGES * TOUCHERS; i++) {
			lost += touched[i / TOUCHERS * (PAGE / 8) + i % TOUCHERS] !=
				round * 16 + i % TOUCHERS + 1;
		}
		pthread_barrier_wait(&barrier);
		if (self == 0) {
			refused += munmap(touched, TOUCH_PAGES * PAGE) != 0;
		}
	}
	return NULL;
}

static pthread_t start(void *(*function)(void *), uintptr_t argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, function, (void *)argument) != 0) {
		puts("race: no thread");
		exit(1);
	}
	return thread;
}

int main(int argc, char **argv)
{
	pthread_t owners[OWNERS], others[READERS + 1], touchers[TOUCHERS];
	char *arena =
	    mmap(NULL, SLOTS * PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (arena == MAP_FAILED) {
		puts("race: no arena");
		return 1;
	}
	rounds = argc > 1 ? (unsigned)atoi(argv[1]) : rounds;
	for (unsigned i = 0; i < SLOTS; i++) {
		slots[i].words = (volatile uint64_t *)(void *)(arena + i * PAGES * PAGE);
	}
	pthread_barrier_init(&barrier, NULL, TOUCHERS);
	for (uintptr_t i = 0; i <= READERS; i++) {
		others[i] = start(i < READERS ? look : come_and_go, i);
	}
	for (uintptr_t i = 0; i < OWNERS; i++) {
		owners[i] = start(own, i);
	}
	for (uintptr_t i = 0; i < TOUCHERS; i++) {
		touchers[i] = start(touch, i);
	}
	for (unsigned i = 0; i < OWNERS; i++) {
		pthread_join(owners[i], NULL);
	}
	for (unsigned i = 0; i < TOUCHERS; i++) {
		pthread_join(touchers[i], NULL);
	}
	stopped = 1;
	for (unsigned i = 0; i <= READERS; i++) {
		pthread_join(others[i], NULL);
	}
	printf("race: %lu stale, %lu not zero, %lu lost, %lu refused\n", stale, not_zero, lost, refused);
	return stale + not_zero + lost + refused != 0;
}
