/* SPDX-License-Identifier: MIT */
/*
 * core_fixture.h - what the tests of the core share: the library on a software machine, CPUs that run
 * programs, and a step that has everything checked against everything.
 *
 * A test maps, lets CPUs access, and calls step() after each operation. step() fails the test on any
 * disagreement inside the library (vmem_check) and on anything that the machine's manual forbids
 * (machine_audit, machine_check).
 */
#ifndef CORE_FIXTURE_H
#define CORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <vmem/aspace.h>
#include <vmem/copy.h>
#include <vmem/fault.h>
#include <vmem/frame.h>
#include <vmem/init.h>
#include <vmem/kernel.h>
#include <vmem/object.h>
#include <vmem/trap.h>

#include "lock.h"
#include "machine.h"

#define PAGE VMEM_PAGE_SIZE
#define PAGES(n) ((uint64_t)(n)*VMEM_PAGE_SIZE)
#define LARGE (UINT64_C(1) << 21)
#define RW (VMEM_READ | VMEM_WRITE)
#define RX (VMEM_READ | VMEM_EXEC)

/* Starting and stopping. */
struct core_options {
	unsigned levels;       /* 0: the machine's usual number */
	int asid_bits;	       /* -1: the usual number */
	uint32_t add, remove;  /* MACHINE_* features */
	unsigned linear_level; /* of the boot's linear map */
	uint64_t ram;	       /* length of RAM, all in one range; 0: the usual */
	bool no_kernel;	       /* no managed kernel range */
	void (*pause)(void);   /* as in struct vmem_config */
	uint32_t flush_pages;  /* as there; 0: the usual */
	bool alone;	       /* one CPU, and the library is told so */
};
enum machine_isa core_isa(void);
void core_start(const struct core_options *options);
/* cmocka's: the usual machine, its linear map of 2 MiB leaves; of pages, where RAM gets odd attributes. */
int core_setup(void **state);
int core_setup_pages(void **state);
/* Fails if a space, an object or a frame is left over that was not there at the start. */
int core_teardown(void **state);
#define CORE(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)
#define CORE_PAGES(name) cmocka_unit_test_setup_teardown(name, core_setup_pages, core_teardown)

/* Everything against everything, on all CPUs. Fails the test on the first disagreement. */
void step(void);
/* Without the library's own validators, where they would be too slow. */
void step_machine(void);
/* All CPUs cache all that they may: what the next operation does not flush is then found. */
void warm(void);

/* A fingerprint of what can be seen of the library: regions, entries, stores, frames. */
uint64_t core_state(void);
/* The call answers `status` and has changed nothing. */
#define REFUSED(status, call)                                                                                \
	do {                                                                                                 \
		uint64_t before_ = core_state();                                                             \
		assert_int_equal((call), (status));                                                          \
		assert_int_equal(core_state(), before_);                                                     \
		step();                                                                                      \
	} while (0)
#define OK(call)                                                                                             \
	do {                                                                                                 \
		machine_operation();                                                                         \
		assert_int_equal((call), VMEM_OK);                                                           \
		step();                                                                                      \
	} while (0)
/* Gives frames without small objects back. */
void core_trim(void);
/*
 * Lets the first, second, ... allocation of the call fail until it succeeds: each failure is NO_MEMORY and
 * changes nothing. At least `least` must fail. What a failed call keeps for the next one goes in between, or
 * the next one would ask for less and its last questions never be answered by no.
 */
#define SWEEP(least, call)                                                                                   \
	do {                                                                                                 \
		uint64_t n_ = 1;                                                                             \
		for (;; n_++) {                                                                              \
			core_trim();                                                                         \
			uint64_t before_ = core_state();                                                     \
			machine_fail_at(n_);                                                                 \
			machine_operation();                                                                 \
			int status_ = (int)(call);                                                           \
			machine_fail_at(0);                                                                  \
			if (status_ == VMEM_OK) {                                                            \
				break;                                                                       \
			}                                                                                    \
			assert_int_equal(status_, VMEM_ERR_NO_MEMORY);                                       \
			assert_int_equal(core_state(), before_);                                             \
			step();                                                                              \
		}                                                                                            \
		assert_true(n_ > (least));                                                                   \
		step();                                                                                      \
	} while (0)
/* The statement panics with a rule that contains `text`. The library is not to be used for more than that
 * afterwards. */
#define PANICS(text, statement)                                                                              \
	do {                                                                                                 \
		jmp_buf landing_;                                                                            \
		machine_panic_landing(&landing_);                                                            \
		if (setjmp(landing_) == 0) {                                                                 \
			statement;                                                                           \
			fail_msg("no panic: " #statement);                                                   \
		}                                                                                            \
		vmem_lock_abandon();                                                                         \
		assert_non_null(strstr(core_panic_text(), text));                                            \
	} while (0)
/* What the last panic said; its landing is gone. */
const char *core_panic_text(void);

/* Spaces. `run` makes a space current on a CPU and makes that CPU the library's. */
struct vmem_aspace *space(void);
struct vmem_aspace *space_with(const struct vmem_aspace_config *config);
void end(struct vmem_aspace *aspace); /* off all CPUs that run it, and destroyed */
void run(unsigned cpu, struct vmem_aspace *aspace);
/* On the current CPU, amid whatever goes on. */
void switch_to(struct vmem_aspace *aspace);
void run_all(struct vmem_aspace *aspace);

/* Mapping, each followed by a step. */
uint64_t map(struct vmem_aspace *aspace, uint64_t pages, unsigned permission);
uint64_t map_at(struct vmem_aspace *aspace, uint64_t address, uint64_t pages, unsigned permission);
uint64_t map_object(struct vmem_aspace *aspace, struct vmem_object *object, uint64_t first, uint64_t pages,
    unsigned permission, unsigned flags);
void unmap(struct vmem_aspace *aspace, uint64_t address, uint64_t pages);
void protect(struct vmem_aspace *aspace, uint64_t address, uint64_t pages, unsigned permission);
uint64_t regions(struct vmem_aspace *aspace);
/* The region at an address: fails if none begins there. */
struct vmem_region_info region_at(struct vmem_aspace *aspace, uint64_t address);
struct vmem_aspace_stats stats_of(struct vmem_aspace *aspace);

/* Accesses of a program on a CPU that runs `aspace`, its faults resolved; the answer is why one was refused.
 */
enum vmem_fault_result try_access(
    struct vmem_aspace *aspace, unsigned cpu, uint64_t va, enum machine_access_kind kind, uint64_t *value);
/* The same on the current CPU. */
enum vmem_fault_result user_read(struct vmem_aspace *aspace, uint64_t va, uint64_t *out);
enum vmem_fault_result user_write(struct vmem_aspace *aspace, uint64_t va, uint64_t value);
enum vmem_fault_result user_exec(struct vmem_aspace *aspace, uint64_t va, uint32_t *out);
/* What user mode may do at va, found by trying: a set of VMEM_READ... What is there is written back. */
unsigned user_may(struct vmem_aspace *aspace, uint64_t va);
uint64_t get(struct vmem_aspace *aspace, unsigned cpu, uint64_t va);
void put(struct vmem_aspace *aspace, unsigned cpu, uint64_t va, uint64_t value);
void fetch(struct vmem_aspace *aspace, unsigned cpu, uint64_t va);
#define DENIED(why, aspace, cpu, va, kind)                                                                   \
	do {                                                                                                 \
		uint64_t value_ = 0;                                                                         \
		assert_int_equal(try_access(aspace, cpu, va, kind, &value_), why);                           \
	} while (0)
/* One access by the hardware alone: true if it went through. */
bool hardware(unsigned cpu, uint64_t va, enum machine_access_kind kind, unsigned mode);
/* Page i gets value + i, for `pages` pages; and is that value still there? */
void fill(struct vmem_aspace *aspace, uint64_t va, uint64_t pages, uint64_t value);
void expect(struct vmem_aspace *aspace, uint64_t va, uint64_t pages, uint64_t value);

/* Objects. */
struct vmem_object *anonymous(uint64_t pages, unsigned flags);
struct vmem_object *snapshot(struct vmem_object *object, uint64_t first, uint64_t pages);
void release(struct vmem_object *object);
uint64_t peek(struct vmem_object *object, uint64_t page);
void poke(struct vmem_object *object, uint64_t page, uint64_t value);
struct vmem_object_info info_of(struct vmem_object *object);
struct vmem_frame_stats frames_now(void);

/* Flush instructions and idle ones since the last call. */
struct core_cost {
	uint64_t flushes, idle, breaks, breaks_idle, calls;
};
struct core_cost cost(void);

#endif
