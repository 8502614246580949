/* SPDX-License-Identifier: MIT */
/*
 * test_stress.c - threads that are the CPUs of one machine, and do everything that there is at once.
 *
 * An epoch is a machine of its own: its CPUs run for a while, stop, and then everything is compared with
 * everything, taken down, and nothing may be left. Built twice: for AddressSanitizer, and for
 * ThreadSanitizer, which needs the addresses where it expects them: the program starts itself again without
 * their randomisation.
 *
 * Each thread's random numbers come from the seed, the epoch and its CPU; what the threads do to each other
 * is up to the build machine's scheduler.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "glue.h"
#include "program.h"
#include "stress.h"
#include "tlb.h"

#define EPOCH_SECONDS 2.0

static const struct kind {
	const char *name;
	void (*step)(void);
	unsigned share; /* of 100 */
} kinds[] = {
    {"windows", windows_step, 34},
    {"areas", areas_step, 28},
    {"moves", moves_step, 14},
    {"forks", forks_step, 2},
    {"snapshots", snapshots_step, 12},
    {"lives", lives_step, 10},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint64_t seed = 1;
static double seconds = 10;
static unsigned stuck = 60; /* seconds without a step of a CPU that are too many */
static uint64_t only_epoch = UINT64_MAX;
static struct cpu cpus[CPUS], boss;
static bool stop;
static unsigned running;
static uint64_t totals[KINDS], refused, calls, faults;

static void one_step(void)
{
	uint64_t pick = any(100);
	unsigned i = 0;
	while (pick >= kinds[i].share) {
		pick -= kinds[i++].share;
	}
	kinds[i].step();
	self->counts[i]++;
}

static void *run_cpu(void *argument)
{
	self = argument;
	machine_cpu_set(self->number);
	machine_watched(true);
	run_space(self->number % SPACES);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		one_step();
		machine_progress();
		machine_turn();
	}
	machine_watched(false);
	__atomic_sub_fetch(&running, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&running, __ATOMIC_RELAXED) != 0) { /* the others may still call */
		machine_wait();
	}
	return NULL;
}

/* A machine that the seed and the epoch choose. */
static struct machine_config choose_machine(void)
{
	struct machine_config config = machine_default(glue_isa);
	uint32_t marks = MACHINE_HW_MARKS, split = MACHINE_LIVE_SPLIT;
	config.ram_count = 1;
	config.ram[0].length = UINT64_C(48) << 20;
	config.cpus = chance(75) ? CPUS : 2 + (unsigned)any(CPUS - 2);
	switch (glue_isa) {
	case MACHINE_X86_64:
		config.asid_bits = chance(25) ? 0 : 12;
		config.features &= chance(30) ? ~(uint32_t)MACHINE_INVPCID : ~UINT32_C(0);
		break;
	case MACHINE_AARCH64:
		config.asid_bits = chance(30) ? 8 : 16;
		config.features &= chance(30) ? ~marks : ~UINT32_C(0);
		config.features |= chance(50) ? split : 0;
		break;
	case MACHINE_RISCV:
		config.asid_bits = chance(25) ? 0 : 16;
		config.levels = 3 + (unsigned)any(2);
		config.features &= chance(30) ? ~marks : ~UINT32_C(0);
		config.features &= chance(30) ? ~(uint32_t)(MACHINE_SVNAPOT | MACHINE_SVINVAL) : ~UINT32_C(0);
		config.features &= chance(30) ? ~(uint32_t)MACHINE_CACHES_INVALID : ~UINT32_C(0);
		break;
	}
	return config;
}

static void start_library(void)
{
	struct machine_range kernel = machine_kernel_area(), left;
	machine_boot(1);
	left = machine_ram_left(0);
	const struct vmem_ram ram = {left.start, left.length};
	const struct vmem_config config = {.ram = &ram,
	    .ram_count = 1,
	    .direct_map = machine_direct_map(),
	    .kernel_start = kernel.start,
	    .kernel_length = kernel.length,
	    .isa_features = machine_isa_features(),
	    .seed = seed};
	MUST(vmem_library_init(&config) == VMEM_OK, "the library does not start");
	for (unsigned i = 1; i < machine_config()->cpus; i++) {
		machine_cpu_set(i);
		vmem_library_init_cpu();
	}
	machine_cpu_set(0);
	if (chance(40)) {
		vmem_asid_init(CPUS + 2 + (unsigned)any(4)); /* so few ids that they roll over all the time */
	}
}

static void make_world(void)
{
	world.cpus = machine_config()->cpus;
	for (unsigned i = 0; i < SPACES; i++) {
		const struct vmem_aspace_config config = {.large = i == 1};
		MUST(vmem_aspace_create(&config, &world.space[i]) == VMEM_OK, "a space");
	}
	windows_make();
	areas_make();
	moves_make();
}

/* All CPUs stand still: everything agrees. Then everything goes. */
static void end_world(uint64_t free_at_start)
{
	struct vmem_frame_stats frames;
	vmem_check();
	machine_check();
	windows_check();
	for (unsigned i = 0; i < world.cpus; i++) {
		machine_cpu_set(i);
		(void)machine_audit(i);
		machine_cpu_idle(true);
		vmem_aspace_activate(NULL);
	}
	machine_cpu_set(0);
	lives_end();
	vmem_check();
	for (unsigned i = 0; i < SPACES; i++) {
		vmem_aspace_destroy(world.space[i]);
	}
	snapshots_end();
	windows_end();
	areas_end();
	moves_end();
	vmem_check();
	machine_check();
	vmem_frame_stats(&frames);
	MUST(frames.free + frames.slabs == free_at_start && frames.data == 0 && frames.host == 0,
	    "at the end %llu frames are free and %llu hold records, at the start %llu were free",
	    (unsigned long long)frames.free, (unsigned long long)frames.slabs,
	    (unsigned long long)free_at_start);
}

static void run_threads(double length)
{
	static const unsigned one_in[] = {0, 400, 100, 30};
	pthread_t thread[CPUS];
	stop = false;
	running = world.cpus;
	machine_yields(one_in[any(sizeof(one_in) / sizeof(one_in[0]))]);
	machine_threads(true);
	for (unsigned i = 0; i < world.cpus; i++) {
		if (pthread_create(&thread[i], NULL, run_cpu, &cpus[i]) != 0) {
			abort();
		}
	}
	usleep((useconds_t)(length * 1e6));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < world.cpus; i++) {
		pthread_join(thread[i], NULL);
	}
	machine_threads(false);
}

static void epoch(uint64_t number, double length)
{
	struct vmem_frame_stats frames;
	boss = (struct cpu){.random = seed * UINT64_C(0x9e3779b97f4a7c15) + number, .space = SPACES};
	struct machine_config config = choose_machine();
	fprintf(stderr, "epoch %llu of seed %llu: %u CPUs, %u levels, %u bits of id, features %#x\n",
	    (unsigned long long)number, (unsigned long long)seed, config.cpus, config.levels,
	    config.asid_bits, config.features);
	machine_create(&config);
	start_library();
	vmem_frame_stats(&frames);
	make_world();
	for (unsigned i = 0; i < CPUS; i++) {
		cpus[i] = (struct cpu){
		    .number = i, .random = boss.random + ((uint64_t)i + 1) * 1000003, .space = SPACES};
	}
	run_threads(length);
	for (unsigned i = 0; i < CPUS * KINDS; i++) {
		totals[i % KINDS] += cpus[i / KINDS].counts[i % KINDS];
		refused += i % KINDS == 0 ? cpus[i / KINDS].refused : 0;
	}
	calls += machine_counters.calls;
	faults += machine_counters.faults;
	end_world(frames.free + frames.slabs);
	machine_destroy();
}

int main(int argc, char **argv)
{
	double start;
	fix_addresses(argv);
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0) {
			seed = strtoull(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--seconds") == 0) {
			seconds = strtod(argv[i + 1], NULL);
		} else if (strcmp(argv[i], "--stuck") == 0) {
			stuck = (unsigned)strtoul(argv[i + 1], NULL, 0);
		} else if (strcmp(argv[i], "--epoch") == 0) {
			only_epoch = strtoull(argv[i + 1], NULL, 0);
		} else {
			fprintf(stderr, "usage: [--seed N] [--seconds N] [--epoch N] [--stuck SECONDS]\n");
			return 2;
		}
	}
	self = &boss;
	machine_watchdog(stuck);
	start = now();
	for (uint64_t number = 0; now() - start < seconds; number++) {
		double left = seconds - (now() - start);
		epoch(only_epoch != UINT64_MAX ? only_epoch : number,
		    left < EPOCH_SECONDS ? left : EPOCH_SECONDS);
	}
	printf("figure: steps:");
	for (unsigned i = 0; i < KINDS; i++) {
		printf(" %s %llu,", kinds[i].name, (unsigned long long)totals[i]);
	}
	printf(" %llu faults, %llu calls to other CPUs, %llu times no memory\n", (unsigned long long)faults,
	    (unsigned long long)calls, (unsigned long long)refused);
	return 0;
}
