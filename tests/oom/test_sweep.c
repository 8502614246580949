/* SPDX-License-Identifier: MIT */
/*
 * test_sweep.c - every public call, with every allocation it makes failing in turn.
 *
 * A scenario (sweep.h) is a call in a state. The state is set up and its fingerprint taken; then the first
 * allocation of the call fails, then the second, and so on. After each failure the call has said so and the
 * fingerprint is what it was (or `after` finds what the header promises), and the same state goes on to the
 * next number. The scenario ends when the call makes fewer allocations than that. A call that succeeds in
 * spite of a failure (large leaves, populate) starts the next number from a fresh state.
 *
 * Records come from frames that hold many, so that a call would seldom ask for a frame: before each call the
 * free records of all types are taken away, except for the index nodes that are promised to snapshots.
 *
 * The functions come from the public headers (public_functions.py): one without a scenario fails.
 */
#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>

#include "slab.h"

#define ROUNDS 400u
#define HOARD 8192u

static struct {
	enum slab_id type;
	void *record;
} hoard[HOARD];
static unsigned hoarded;
static bool running; /* there is a machine */
static unsigned failures_all;
static bool verbose;
static struct vmem_frame_stats just_started; /* before the scenario made anything */

static void hoard_records(void)
{
	for (unsigned id = 0; id < SLAB_COUNT; id++) {
		const struct slab_type *type = &vmem_slab_types[id];
		uint64_t kept = type->promised > type->covered ? type->promised - type->covered : 0;
		while (type->free > kept || vmem_slab_cpus[0].of[id].count != 0) {
			assert_true(hoarded < HOARD);
			hoard[hoarded].type = (enum slab_id)id;
			hoard[hoarded++].record = vmem_slab_alloc((enum slab_id)id);
		}
	}
}

static void release_records(void)
{
	while (hoarded > 0) {
		hoarded--;
		vmem_slab_free(hoard[hoarded].type, hoard[hoarded].record);
	}
}

static enum machine_isa this_isa(void)
{
	return strcmp(TEST_ISA, "x86_64") == 0	  ? MACHINE_X86_64
	       : strcmp(TEST_ISA, "aarch64") == 0 ? MACHINE_AARCH64
						  : MACHINE_RISCV;
}

/* A machine with little RAM and the library on it. */
static void boot(const struct machine_config *config)
{
	struct machine_range kernel = machine_kernel_area();
	struct vmem_ram ram[MACHINE_RANGES];
	machine_create(config);
	machine_collect(true);
	/* AArch64 does not split a live leaf: a kernel that wants other cache attributes there maps RAM by
	 * pages. */
	machine_boot(config->isa == MACHINE_AARCH64 ? 0 : 1);
	machine_cpu_set(0);
	for (unsigned i = 0; i < config->ram_count; i++) {
		struct machine_range range = machine_ram_left(i);
		ram[i] = (struct vmem_ram){range.start, range.length};
	}
	const struct vmem_config library = {
	    .ram = ram,
	    .ram_count = config->ram_count,
	    .direct_map = machine_direct_map(),
	    .kernel_start = kernel.start,
	    .kernel_length = kernel.length,
	    .isa_features = machine_isa_features(),
	    .seed = 1,
	};
	assert_int_equal(vmem_library_init(&library), VMEM_OK);
	for (unsigned i = 1; i < config->cpus; i++) {
		machine_cpu_set(i);
		vmem_library_init_cpu();
	}
	machine_cpu_set(0);
}

/* Every structure agrees with every other, every TLB with the tables. */
static void agree(void)
{
	vmem_check();
	machine_check();
	if (machine_violations_all() != 0) {
		fail_msg("%s", machine_violation_text());
	}
}

static struct machine_config machine_for(const struct scenario *scenario)
{
	struct machine_config config = machine_default(this_isa());
	config.ram[0].length = UINT64_C(8) << 20;
	config.ram[1].length = UINT64_C(4) << 20;
	if (scenario->large) {
		config.ram[0].length = UINT64_C(24) << 20;
	}
	return config;
}

static void begin(struct sweep *s, const struct scenario *scenario)
{
	struct machine_config config = machine_for(scenario);
	struct vmem_aspace_config space = {.wx = scenario->wx, .large = scenario->large, .seed = 1};
	memset(s, 0, sizeof(*s));
	running = true;
	if (!scenario->bare) {
		boot(&config);
		vmem_frame_stats(&just_started);
		OK(vmem_aspace_create(&space, &s->space[0]));
		vmem_aspace_activate(s->space[0]);
		machine_wx(machine_root(0), scenario->wx);
	} else {
		machine_create(&config);
		machine_collect(true);
		machine_boot(0);
		machine_cpu_set(0);
	}
	if (scenario->set_up) {
		scenario->set_up(s);
	}
}

static void release_frames(struct sweep *s)
{
	if (s->frame && s->frames) {
		vmem_frame_free_run(s->frame, s->frames);
	} else if (s->frame) {
		vmem_frame_free(s->frame, s->order);
	}
}

/* Everything goes, and nothing may be left but what the library itself holds. */
static void end(struct sweep *s, const struct scenario *scenario)
{
	struct vmem_frame_stats frames;
	machine_fail_at(0);
	if (!scenario->bare) {
		for (unsigned i = 0; i < 3; i++) {
			if (s->kernel[i]) {
				vmem_kernel_free(s->kernel[i]);
			}
		}
		vmem_aspace_activate(NULL);
		for (unsigned i = 0; i < 2; i++) {
			if (s->space[i]) {
				vmem_aspace_destroy(s->space[i]);
			}
		}
		for (unsigned i = 0; i < 6; i++) {
			if (s->object[i]) {
				vmem_object_release(s->object[i]);
			}
		}
		release_frames(s);
		agree();
		vmem_frame_stats(&frames);
		assert_int_equal(frames.data, just_started.data);
		assert_int_equal(frames.host, just_started.host);
	}
	running = false;
	machine_destroy();
}

static void compare(
    const struct scenario *scenario, unsigned n, const struct print *before, const struct print *after)
{
	for (unsigned i = 0; i < PRINT_COUNT; i++) {
		if (before->of[i] != after->of[i]) {
			fail_msg("%s, %s: after failure %u of an allocation: %s changed (%llx, was %llx)",
			    scenario->function, scenario->what, n, print_names[i],
			    (unsigned long long)after->of[i], (unsigned long long)before->of[i]);
		}
	}
}

/* One call with its n-th allocation failing; *reached: it made that many. */
static enum answer attempt(struct sweep *s, const struct scenario *scenario, unsigned n, bool *reached)
{
	enum answer answer;
	if (!scenario->bare && !scenario->records) {
		hoard_records();
	}
	uint64_t asked = machine_allocations();
	machine_operation();
	machine_fail_at(n);
	answer = scenario->call(s);
	machine_fail_at(0);
	machine_operation();
	*reached = machine_allocations() - asked >= n;
	release_records();
	if (!scenario->bare) {
		agree();
	}
	return answer;
}

/* True when the call has been seen to succeed without a failure: the sweep of it is over. */
static bool step(
    struct sweep *s, const struct scenario *scenario, unsigned n, unsigned *failures, bool *afresh)
{
	struct print before, after;
	bool reached;
	if (!scenario->bare) {
		print_take(s, &before);
	}
	enum answer answer = attempt(s, scenario, n, &reached);
	if (answer == ANSWER_OTHER ||
	    (answer == ANSWER_NO_MEMORY && (!reached || scenario->effect >= EFFECT_NEVER))) {
		fail_msg("%s, %s: with failure %u of an allocation: a wrong answer (%d)", scenario->function,
		    scenario->what, n, answer);
	}
	if (reached && scenario->effect == EFFECT_NEVER) {
		fail_msg("%s, %s: asks for memory", scenario->function, scenario->what);
	}
	*failures += reached;
	*afresh = answer == ANSWER_OK || scenario->effect == EFFECT_PARTIAL || scenario->bare;
	if (answer == ANSWER_OK) {
		return !reached;
	}
	if (scenario->effect == EFFECT_PARTIAL) {
		scenario->after(s);
	} else if (!scenario->bare) {
		print_take(s, &after);
		compare(scenario, n, &before, &after);
	}
	return false;
}

/* A scenario that failed leaves its machine. */
static int clear_up(void **state)
{
	(void)state;
	hoarded = 0;
	machine_fail_at(0);
	if (running) {
		running = false;
		machine_destroy();
	}
	return 0;
}

static void sweep(void **state)
{
	static struct sweep s;
	const struct scenario *scenario = *state;
	unsigned failures = 0, n = 1;
	bool over = false, afresh = true;
	for (; !over; n++) {
		if (n > ROUNDS) {
			fail_msg(
			    "%s, %s: more than %u allocations", scenario->function, scenario->what, ROUNDS);
		}
		if (afresh) {
			begin(&s, scenario);
		}
		over = step(&s, scenario, n, &failures, &afresh);
		if (over || afresh) {
			end(&s, scenario);
		}
	}
	failures_all += failures;
	if (verbose) {
		print_message("%s, %s: %u failures\n", scenario->function, scenario->what, failures);
	}
	if ((failures == 0) != (scenario->effect == EFFECT_NEVER)) {
		fail_msg("%s, %s: %u failures: the scenario shows nothing", scenario->function,
		    scenario->what, failures);
	}
}

static const struct scenario *const tables[] = {
    scenarios_space, scenarios_advice, scenarios_fault, scenarios_object, scenarios_host, scenarios_plain,
    scenarios_wc};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

static bool has_scenario(const char *function)
{
	for (unsigned t = 0; t < TABLES; t++) {
		for (const struct scenario *scenario = tables[t]; scenario->function; scenario++) {
			if (strcmp(scenario->function, function) == 0) {
				return true;
			}
		}
	}
	return false;
}

static bool is_public(const char *function)
{
	for (unsigned i = 0; public_functions[i]; i++) {
		if (strcmp(public_functions[i], function) == 0) {
			return true;
		}
	}
	return false;
}

static void every_function(void **state)
{
	(void)state;
	for (unsigned i = 0; public_functions[i]; i++) {
		if (!has_scenario(public_functions[i])) {
			fail_msg("%s() has no entry in the sweep", public_functions[i]);
		}
	}
	for (unsigned t = 0; t < TABLES; t++) {
		for (const struct scenario *scenario = tables[t]; scenario->function; scenario++) {
			if (!is_public(scenario->function)) {
				fail_msg("%s() is swept but in no public header", scenario->function);
			}
		}
	}
}

#define CASES 256u

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[CASES];
	static char names[CASES][100];
	unsigned count = 0;
	verbose = argc > 1;
	tests[count++] =
	    (struct CMUnitTest){"every public function has an entry", every_function, NULL, NULL, NULL};
	for (unsigned t = 0; t < TABLES; t++) {
		for (const struct scenario *scenario = tables[t]; scenario->function; scenario++) {
			if (argc > 1 && !strstr(scenario->function, argv[1])) {
				continue; /* by hand: only the functions named */
			}
			if (count == CASES) {
				return 1;
			}
			snprintf(
			    names[count], sizeof(names[count]), "%s, %s", scenario->function, scenario->what);
			tests[count] = (struct CMUnitTest){
			    names[count], sweep, NULL, clear_up, (void *)(uintptr_t)scenario};
			count++;
		}
	}
	int failed = _cmocka_run_group_tests("sweep", tests, count, NULL, NULL);
	printf("figure: %u allocations made to fail, in %u scenarios\n", failures_all, count - 1);
	return failed;
}
