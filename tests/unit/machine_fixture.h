/* SPDX-License-Identifier: MIT */
/*
 * machine_fixture.h - what the tests of the software machine share: a machine of the ISA that the program
 * is built for, in collecting mode, every CPU on one user root.
 */
#ifndef MACHINE_FIXTURE_H
#define MACHINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"
#include "raw.h"

#define VA UINT64_C(0x12345000)
#define VALUE UINT64_C(0x1122334455667788)

static uint64_t root;

static inline enum machine_isa isa(void)
{
	return strcmp(TEST_ISA, "x86_64") == 0	  ? MACHINE_X86_64
	       : strcmp(TEST_ISA, "aarch64") == 0 ? MACHINE_AARCH64
						  : MACHINE_RISCV;
}

/*
 * A user root with the kernel half of the boot in it, current on every CPU under id 1 (0 where there are
 * none).
 */
static inline uint64_t new_root(void)
{
	uint64_t r = machine_page();
	if (isa() != MACHINE_AARCH64) {
		memcpy(machine_ram(r + 2048), machine_ram(machine_kernel_root() + 2048), 2048);
	}
	return r;
}

static inline void start_with(const struct machine_config *config)
{
	machine_create(config);
	machine_collect(true);
	machine_boot(1);
	root = new_root();
	for (unsigned i = 0; i < config->cpus; i++) {
		raw_set_up(i);
	}
	for (unsigned i = 0; i < config->cpus; i++) {
		raw_switch(i, root, config->asid_bits != 0);
	}
	machine_counters = (struct machine_counters){0};
}

static inline int start(void **state)
{
	struct machine_config config = machine_default(isa());
	(void)state;
	start_with(&config);
	return 0;
}

static inline int stop(void **state)
{
	(void)state;
	machine_destroy();
	return 0;
}

static inline struct machine_result load(unsigned cpu, uint64_t va, uint64_t *value)
{
	*value = 0;
	return machine_access(cpu, va, MACHINE_READ, MACHINE_USER, value, 8);
}

static inline struct machine_result store(unsigned cpu, uint64_t va, uint64_t value)
{
	return machine_access(cpu, va, MACHINE_WRITE, MACHINE_USER, &value, 8);
}

static inline struct machine_result fetch(unsigned cpu, uint64_t va)
{
	uint32_t word;
	return machine_access(cpu, va, MACHINE_EXEC, MACHINE_USER, &word, 4);
}

static inline uint64_t *at(uint64_t pa)
{
	return machine_ram(pa);
}

static inline void assert_clean(void)
{
	if (machine_violations_all() != 0) {
		fail_msg("%s", machine_violation_text());
	}
}

static inline void assert_only(enum machine_rule rule)
{
	if (machine_violations(rule) == 0 || machine_violations_all() != machine_violations(rule)) {
		fail_msg("%u of rule %u among %u; the last: %s", machine_violations(rule), (unsigned)rule,
		    machine_violations_all(), machine_violation_text());
	}
}

/* x86-64: vector, error code; AArch64: ESR, from EL0; RISC-V: scause, sstatus. */
struct code {
	uint64_t cause, detail;
};

static inline void assert_code(struct machine_result r, struct code x86, struct code arm, struct code riscv)
{
	struct code want = isa() == MACHINE_X86_64 ? x86 : isa() == MACHINE_AARCH64 ? arm : riscv;
	assert_false(r.ok);
	if (r.cause != want.cause || r.detail != want.detail) {
		fail_msg("cause %llx detail %llx, not %llx %llx", (unsigned long long)r.cause,
		    (unsigned long long)r.detail, (unsigned long long)want.cause,
		    (unsigned long long)want.detail);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif
