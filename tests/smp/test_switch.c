/* SPDX-License-Identifier: MIT */
/*
 * test_switch.c - CPUs that switch between spaces all the time, while others take pages away from those
 * spaces: activation, shootdown and the roll-over of ids, and little else, so that their narrow moments are
 * met often.
 *
 * Each page shows one of two frames. Who changes it revokes the entry, ends the batch, and then throws the
 * old frame's content away, with stores that ThreadSanitizer knows nothing ordered for but the batch: a
 * translation that outlives its batch is a race, a word that is too old, and a frame reached that is free.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmem/frame.h>
#include <vmem/init.h>

#include "glue.h"
#include "program.h"
#include "lock.h"
#include "pmap.h"

#define CPUS MACHINE_CPUS
#define SPACES 11u
#define PAGES_EACH 3u
#define VA UINT64_C(0x40000000) /* the same in all spaces */
#define GONE UINT64_C(0xdead)
#define EPOCH_SECONDS 1.0
#define STUCK_SECONDS 60u
#define MUST(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "switch: line %d: %s\n", __LINE__, #condition);                      \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

static struct space {
	struct vmem_pmap pmap;
	uint8_t changing; /* a CPU changes entries: what the lock of a space is for */
	struct {
		vmem_paddr_t shown, spare;
		uint32_t version; /* nobody reads an older one who begins now */
	} page[PAGES_EACH];
} spaces[SPACES];

static uint64_t seed = 1;
static double seconds = 10;
static bool stop;
static unsigned running;
static uint64_t switches, changes, reads, calls, rollovers;
static _Thread_local struct {
	unsigned cpu;
	struct space *space; /* that runs here */
	uint64_t random, switches, changes, reads;
} self;

static uint64_t any(uint64_t below)
{
	uint64_t x = self.random += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % below;
}

static uint64_t word_of(unsigned space, unsigned page, uint32_t version)
{
	return (uint64_t)(space + 1) << 48 | (uint64_t)page << 32 | version;
}

static void set_word(vmem_paddr_t frame, uint64_t word)
{
	*(uint64_t *)machine_ram(frame) = word;
}

static void go(struct space *space)
{
	machine_inside("a switch");
	if (!space) {
		machine_cpu_idle(true); /* before others may take it for idle */
	}
	vmem_pmap_activate(space ? &space->pmap : NULL);
	if (space) {
		machine_cpu_idle(false);
	}
	machine_outside();
	self.space = space;
	self.switches++;
}

static void show(unsigned s, unsigned page)
{
	const uint32_t leaf = LEAF_READ | LEAF_WRITE | LEAF_DIRTY;
	machine_inside("a grant");
	MUST(vmem_pmap_enter(&spaces[s].pmap, VA + page * VMEM_PAGE_SIZE, spaces[s].page[page].shown, 0,
		 leaf) == VMEM_OK);
	machine_outside();
}

static void change(unsigned s)
{
	struct space *space = &spaces[s];
	struct vmem_batch batch;
	unsigned page = (unsigned)any(PAGES_EACH);
	if (__atomic_exchange_n(&space->changing, 1, __ATOMIC_ACQUIRE) != 0) {
		return;
	}
	machine_inside("a batch");
	vmem_batch_begin(&batch, &space->pmap);
	vmem_pmap_remove(&space->pmap, VA + page * VMEM_PAGE_SIZE, VMEM_PAGE_SIZE, &batch);
	vmem_batch_end(&batch);
	machine_outside();
	vmem_paddr_t gone = space->page[page].shown;
	uint32_t version = space->page[page].version + 1;
	machine_frame_freed(gone, 0);
	set_word(gone, GONE);
	machine_frame_allocated(gone, 0);
	space->page[page].shown = space->page[page].spare;
	space->page[page].spare = gone;
	set_word(space->page[page].shown, word_of(s, page, version));
	show(s, page);
	__atomic_store_n(&space->page[page].version, version, __ATOMIC_RELEASE);
	__atomic_store_n(&space->changing, 0, __ATOMIC_RELEASE);
	self.changes++;
}

/* A program reads a page: it is not there at the moment, or it is what was last shown or newer. */
static void look(void)
{
	unsigned s = (unsigned)(self.space - spaces), page = (unsigned)any(PAGES_EACH);
	uint32_t floor = __atomic_load_n(&self.space->page[page].version, __ATOMIC_ACQUIRE);
	uint64_t word = 0;
	struct machine_result r = machine_access(
	    self.cpu, VA + page * VMEM_PAGE_SIZE, MACHINE_READ, MACHINE_USER, &word, sizeof(word));
	self.reads++;
	if (r.ok) {
		MUST(word >> 32 == word_of(s, page, 0) >> 32);
		MUST((uint32_t)word - floor < UINT32_C(1) << 31);
	}
}

static void *run_cpu(void *argument)
{
	self.cpu = *(const unsigned *)argument;
	self.random = seed * 1000003 + self.cpu;
	self.space = NULL;
	self.switches = self.changes = self.reads = 0;
	machine_cpu_set(self.cpu);
	machine_watched(true);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t what = any(100);
		if (what < 40) {
			go(any(8) == 0 ? NULL : &spaces[any(SPACES)]);
		} else if (what < 60) {
			change((unsigned)any(SPACES));
		} else if (what < 65) {
			machine_fill(self.cpu);
		} else if (self.space) {
			look();
		}
		machine_progress();
		machine_turn();
	}
	go(NULL);
	__atomic_fetch_add(&switches, self.switches, __ATOMIC_RELAXED);
	__atomic_fetch_add(&changes, self.changes, __ATOMIC_RELAXED);
	__atomic_fetch_add(&reads, self.reads, __ATOMIC_RELAXED);
	machine_watched(false);
	__atomic_sub_fetch(&running, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&running, __ATOMIC_RELAXED) != 0) { /* the others may still call */
		machine_wait();
	}
	return NULL;
}

static void start_library(uint64_t number)
{
	struct machine_config config = machine_default(glue_isa);
	struct machine_range left;
	config.ram_count = 1;
	config.ram[0].length = UINT64_C(8) << 20;
	if (number % 3 == 2) {
		config.asid_bits = glue_isa == MACHINE_AARCH64 ? 8 : 0;
	}
	machine_create(&config);
	machine_boot(1);
	left = machine_ram_left(0);
	const struct vmem_ram ram = {left.start, left.length - 8 * VMEM_PAGE_SIZE};
	const struct vmem_config start = {.ram = &ram,
	    .ram_count = 1,
	    .direct_map = machine_direct_map(),
	    .isa_features = machine_isa_features()};
	MUST(vmem_library_init(&start) == VMEM_OK);
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		machine_cpu_set(cpu);
		vmem_library_init_cpu();
	}
	machine_cpu_set(0);
	if (number % 3 == 0) {
		vmem_asid_init(CPUS + 1 + (unsigned)any(3));
	}
}

static void epoch(uint64_t number, double length)
{
	static unsigned numbers[CPUS];
	pthread_t thread[CPUS];
	start_library(number);
	for (unsigned s = 0; s < SPACES; s++) {
		MUST(vmem_pmap_init(&spaces[s].pmap, false) == VMEM_OK);
		for (unsigned page = 0; page < PAGES_EACH; page++) {
			const struct vmem_frame_request one = {.zeroed = true};
			MUST(vmem_frame_alloc(&one, &spaces[s].page[page].shown) == VMEM_OK);
			MUST(vmem_frame_alloc(&one, &spaces[s].page[page].spare) == VMEM_OK);
			spaces[s].page[page].version = 1;
			set_word(spaces[s].page[page].shown, word_of(s, page, 1));
			show(s, page);
		}
	}
	stop = false;
	running = CPUS;
	machine_threads(true);
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		numbers[cpu] = cpu;
		MUST(pthread_create(&thread[cpu], NULL, run_cpu, &numbers[cpu]) == 0);
	}
	usleep((useconds_t)(length * 1e6));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		pthread_join(thread[cpu], NULL);
	}
	machine_threads(false);
	machine_check();
	calls += machine_counters.calls;
	rollovers += vmem_asid_rollovers();
	for (unsigned s = 0; s < SPACES; s++) {
		MUST(!vmem_pmap_is_active(&spaces[s].pmap));
		vmem_pmap_fini(&spaces[s].pmap);
	}
	machine_destroy();
}

int main(int argc, char **argv)
{
	fix_addresses(argv);
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0) {
			seed = strtoull(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--seconds") == 0) {
			seconds = strtod(argv[i + 1], NULL);
		} else {
			fprintf(stderr, "usage: [--seed N] [--seconds N]\n");
			return 2;
		}
	}
	machine_watchdog(STUCK_SECONDS);
	double start = now();
	for (uint64_t number = 0; number < 3 || now() - start < seconds; number++, seed++) {
		epoch(number, EPOCH_SECONDS);
	}
	MUST(rollovers > 0 && changes > 0 && reads > 0);
	MUST(calls == 0 || glue_isa != MACHINE_AARCH64); /* that there are some elsewhere is chance */
	printf("figure: %llu switches, %llu pages changed, %llu looks, %llu calls to other CPUs, %llu "
	       "roll-overs\n",
	    (unsigned long long)switches, (unsigned long long)changes, (unsigned long long)reads,
	    (unsigned long long)calls, (unsigned long long)rollovers);
	return 0;
}
