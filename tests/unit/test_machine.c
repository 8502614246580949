/* SPDX-License-Identifier: MIT */
/*
 * test_machine.c - the software machine itself: memory, walks, fault codes, CPUs. On page tables made by
 * hand, for the ISA the program is built for. The rules are in test_machine_rules.c, what only one ISA has
 * in test_machine_isa.c.
 */
#include "machine_fixture.h"

static void test_linear_map(void **state)
{
	uint64_t pa = machine_config()->ram[1].start + 8, value = VALUE;
	(void)state;
	for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++) {
		if (isa() != MACHINE_AARCH64) {
			raw_switch(cpu, machine_kernel_root(), 0);
		}
		assert_true(
		    machine_access(cpu, machine_linear(pa), MACHINE_WRITE, MACHINE_SUPERVISOR, &value, 8).ok);
		assert_true(*at(pa) == VALUE);
		assert_false(
		    machine_access(cpu, machine_linear(pa), MACHINE_READ, MACHINE_USER, &value, 8).ok);
		machine_audit(cpu);
	}
	assert_clean();
}

static void test_data_moves(void **state)
{
	uint64_t frame = machine_page(), value;
	(void)state;
	raw_map(root, VA, frame, 0, RAW_USUAL);
	assert_true(store(0, VA + 0x18, VALUE).ok);
	assert_true(at(frame)[3] == VALUE);
	assert_true(machine_dirty_expected(frame));
	assert_true(load(2, VA + 0x18, &value).ok);
	assert_true(value == VALUE);
	assert_true(load(2, VA + 0x18, &value).pa == frame + 0x18);
	struct machine_translation t;
	assert_true(machine_translate(1, VA, &t) && t.pa == frame && t.level == 0 && t.type == MACHINE_WB);
	machine_check();
	assert_clean();
}

static void test_holes(void **state)
{
	const struct machine_config *c = machine_config();
	uint64_t value;
	(void)state;
	assert_null(machine_ram(c->ram[0].start - 1));
	assert_null(machine_ram(c->ram[0].start + c->ram[0].length));
	assert_non_null(machine_ram(c->device.start));
	raw_map(root, VA, c->ram[0].start + c->ram[0].length, 0, RAW_USUAL);
	assert_false(load(0, VA, &value).ok);
	assert_only(MACHINE_MALFORMED);
}

static void test_large_leaves(void **state)
{
	uint64_t value;
	(void)state;
	raw_map(root, UINT64_C(2) << 30, UINT64_C(0x80000000), 1, RAW_USUAL);
	assert_true(store(0, (UINT64_C(2) << 30) + 0x1ff008, VALUE).ok);
	assert_true(at(UINT64_C(0x80000000) + 0x1ff008)[0] == VALUE);
	raw_map(root, UINT64_C(4) << 30, UINT64_C(0x80000000), 2, RAW_USUAL & ~(unsigned)RAW_USER);
	assert_true(
	    machine_access(3, (UINT64_C(4) << 30) + 0x1ff008, MACHINE_READ, MACHINE_SUPERVISOR, &value, 8)
		.ok);
	assert_true(value == VALUE);
	struct machine_audit audit = machine_audit(0);
	assert_true(audit.leaves[2] == 1 && audit.leaves[0] == 0);
	assert_clean();
}

static void test_paging_modes(void **state)
{
	static const unsigned modes[3][3] = {{4, 5, 0}, {4, 5, 0}, {3, 4, 5}};
	(void)state;
	for (unsigned i = 0; i < 3 && modes[isa()][i] != 0; i++) {
		struct machine_config config = machine_default(isa());
		config.levels = modes[isa()][i];
		if (isa() == MACHINE_AARCH64 && config.levels == 5) {
			config.features |= MACHINE_LPA2;
			config.pa_bits = 52;
			config.ram[0].start |= UINT64_C(1) << 51; /* needs the bits where SH was */
			config.ram[1].start |= UINT64_C(1) << 51;
		}
		start_with(&config);
		unsigned half =
		    isa() == MACHINE_AARCH64 ? (config.levels == 5 ? 52 : 48) : 12 + 9 * config.levels - 1;
		uint64_t top = (UINT64_C(1) << half) - MACHINE_PAGE, frame = machine_page(), value = VALUE;
		raw_map(root, top, frame, 0, RAW_USUAL);
		assert_true(store(0, top + 8, VALUE).ok);
		assert_true(at(frame)[1] == VALUE);
		assert_false(load(0, top + MACHINE_PAGE, &value).ok);
		machine_audit(0);
		machine_fill(1);
		machine_check();
		assert_clean();
		machine_destroy();
	}
}

static void test_fault_codes(void **state)
{
	uint64_t value = 0, frame = machine_page();
	(void)state;
	/* No table below the root: AArch64 says level 0. */
	assert_code(
	    load(0, VA, &value), (struct code){14, 4}, (struct code){0x92000004, 1}, (struct code){13, 0});
	raw_map(root, VA, frame, 0, RAW_R | RAW_USER | RAW_ACCESSED);
	raw_flush_all(0);
	assert_code(load(0, VA + MACHINE_PAGE, &value), (struct code){14, 4}, (struct code){0x92000007, 1},
	    (struct code){13, 0});
	assert_code(
	    store(0, VA, 1), (struct code){14, 7}, (struct code){0x9200004f, 1}, (struct code){15, 0});
	assert_code(
	    fetch(0, VA), (struct code){14, 0x15}, (struct code){0x8200000f, 1}, (struct code){12, 0});
	assert_code(machine_access(0, VA, MACHINE_WRITE, MACHINE_SUPERVISOR, &value, 8), (struct code){14, 3},
	    (struct code){0x9600004f, 0}, (struct code){15, 0x100});
	assert_code(machine_access(0, VA, MACHINE_EXEC, MACHINE_SUPERVISOR, &value, 4),
	    (struct code){14, 0x11}, (struct code){0x8600000f, 0}, (struct code){12, 0x100});
	assert_code(load(0, UINT64_C(1) << 62, &value), (struct code){13, 0}, (struct code){0x92000004, 1},
	    (struct code){13, 0});
	assert_clean();
}

static void test_kernel_never_runs_user_code(void **state)
{
	uint64_t value;
	(void)state;
	raw_map(root, VA, machine_page(), 0, RAW_R | RAW_X | RAW_USER | RAW_ACCESSED);
	machine_fetch_sync(0, *raw_slot(root, VA, 0) & 0, 0);
	assert_false(machine_access(0, VA, MACHINE_EXEC, MACHINE_SUPERVISOR, &value, 4).ok);
	assert_clean();
}

static void test_hardware_marks(void **state)
{
	uint64_t value;
	struct machine_translation t;
	(void)state;
	raw_map(root, VA, machine_page(), 0, RAW_R | RAW_W | RAW_USER);
	assert_true(machine_translate(0, VA, &t) && !t.accessed && !t.dirty);
	assert_true(load(0, VA, &value).ok);
	assert_true(machine_translate(0, VA, &t) && t.accessed && !t.dirty);
	assert_true(store(0, VA, VALUE).ok);
	assert_true(machine_translate(0, VA, &t) && t.accessed && t.dirty);
	assert_clean();
}

static void test_software_marks(void **state)
{
	struct machine_config config = machine_default(isa());
	uint64_t value;
	(void)state;
	if (isa() == MACHINE_X86_64) {
		return; /* always marks */
	}
	config.features &= ~(uint32_t)(MACHINE_HW_MARKS | MACHINE_CACHES_INVALID);
	start_with(&config);
	uint64_t frame = machine_page();
	raw_map(root, VA, frame, 0, RAW_R | RAW_W | RAW_USER);
	assert_code(
	    load(0, VA, &value), (struct code){0, 0}, (struct code){0x9200000b, 1}, (struct code){13, 0});
	raw_map(root, VA, frame, 0, RAW_R | RAW_W | RAW_USER | RAW_ACCESSED);
	assert_true(load(0, VA, &value).ok);
	assert_code(store(0, VA, 1), (struct code){0, 0}, (struct code){0x9200004f, 1}, (struct code){15, 0});
	raw_map(root, VA, frame, 0, RAW_USUAL);
	struct machine_result r = store(0, VA, 1);
	assert_true(!r.ok && r.spurious); /* the clean translation is still cached */
	raw_flush_page(0, VA);
	assert_true(store(0, VA, 1).ok);
	assert_clean();
	machine_destroy();
}

static void test_idle_flushes(void **state)
{
	uint64_t value;
	uint64_t *slot = raw_map(root, VA, machine_page(), 0, RAW_USUAL);
	(void)state;
	assert_true(load(0, VA, &value).ok);
	raw_flush_page(0, VA);
	assert_true(
	    machine_counters.idle == 1 && machine_counters.flush_page == 1 && machine_counters.dropped >= 1);
	assert_true(load(0, VA, &value).ok);
	*slot = 0;
	raw_flush_page(0, VA);
	assert_true(machine_counters.idle == 1 && machine_counters.flush_page == 2);
	raw_flush_page(0, VA);
	assert_true(machine_counters.idle == 2);
}

static void count_call(void *argument)
{
	unsigned *seen = argument;
	*seen |= 1u << machine_cpu();
}

static unsigned hooked;
static void hook(unsigned cpu)
{
	uint64_t value;
	struct machine_result r = load(cpu, VA, &value);
	hooked++;
	if (!r.ok) {
		fail_msg("CPU %u: %llx %llx", cpu, (unsigned long long)r.cause,
		    (unsigned long long)machine_cached(cpu));
	}
}

static void test_calls(void **state)
{
	unsigned seen = 0;
	uint64_t value;
	uint64_t *slot = raw_map(root, VA, machine_page(), 0, RAW_USUAL);
	(void)state;
	assert_true(load(1, VA, &value).ok && load(3, VA, &value).ok);
	*slot = 0;
	machine_cpu_power(2, false);
	machine_call_hook(hook); /* the window in which the others still have it */
	machine_call(0xe, count_call, &seen);
	assert_true(seen == 0xa && machine_cpu() == 0 && machine_counters.calls == 2);
	assert_clean();
	assert_int_equal(hooked, 2);
	machine_cpu_power(2, true);
	assert_true(machine_cached(2) == 0 && machine_cached(1) != 0);
	machine_call_hook(NULL);
	machine_call(1, count_call, &seen);
	assert_only(MACHINE_MISUSE);
}

static void test_fill(void **state)
{
	uint64_t frame = machine_page();
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		raw_map(root, VA + i * MACHINE_PAGE, frame, 0, RAW_USUAL);
	}
	machine_fill(2);
	unsigned walks = (unsigned)machine_counters.walks;
	assert_true(machine_cached(2) >= 64 + 3);
	assert_true(store(2, VA + 63 * MACHINE_PAGE, 1).ok);
	assert_true(machine_counters.walks == walks);
	struct machine_audit audit = machine_audit(2);
	assert_true(audit.user == 64 && audit.leaves[0] == 64 && audit.dirty >= 64);
	machine_check();
	assert_clean();
}

static void test_allocation_failure(void **state)
{
	(void)state;
	assert_false(machine_fail_allocation());
	machine_fail_at(2);
	assert_false(machine_fail_allocation());
	assert_true(machine_fail_allocation());
	assert_false(machine_fail_allocation());
}

static void test_panic_lands(void **state)
{
	jmp_buf landing;
	(void)state;
	machine_panic_landing(&landing);
	if (setjmp(landing) == 0) {
		machine_panic("a rule");
	}
	assert_string_equal(machine_panic_text(), "a rule");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_linear_map),
	    CASE(test_data_moves),
	    CASE(test_holes),
	    CASE(test_large_leaves),
	    cmocka_unit_test(test_paging_modes),
	    CASE(test_fault_codes),
	    CASE(test_kernel_never_runs_user_code),
	    CASE(test_hardware_marks),
	    cmocka_unit_test(test_software_marks),
	    CASE(test_idle_flushes),
	    CASE(test_calls),
	    CASE(test_fill),
	    CASE(test_allocation_failure),
	    CASE(test_panic_lands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
