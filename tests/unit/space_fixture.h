/* SPDX-License-Identifier: MIT */
/*
 * space_fixture.h - the library started on the software machine, and user mode as a program sees it:
 * accesses go through the MMU, a fault goes to the library as a host's trap handler would send it, and the
 * access is tried again.
 */
#ifndef SPACE_FIXTURE_H
#define SPACE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <vmem/aspace.h>
#include <vmem/fault.h>
#include <vmem/frame.h>
#include <vmem/init.h>
#include <vmem/trap.h>

#include "machine.h"

#define PAGE VMEM_PAGE_SIZE

static inline enum machine_isa this_isa(void)
{
	return strcmp(TEST_ISA, "x86_64") == 0	  ? MACHINE_X86_64
	       : strcmp(TEST_ISA, "aarch64") == 0 ? MACHINE_AARCH64
						  : MACHINE_RISCV;
}

/* A machine with the library on it; violations are collected, and told by space_clean(). */
static inline void space_boot(const struct machine_config *config)
{
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
	struct machine_range kernel = machine_kernel_area();
	struct vmem_config library = {
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

/*
 * Every structure agrees with every other, every TLB with the tables, and the machine has nothing to
 * object to.
 */
static inline void space_clean(void)
{
	vmem_check();
	machine_check();
	if (machine_violations_all() != 0) {
		fail_msg("%s", machine_violation_text());
	}
}

/* Makes a space current on CPU 0 and tells the machine whether it has W^X. */
static inline void space_enter(struct vmem_aspace *aspace, bool wx)
{
	vmem_aspace_activate(aspace);
	machine_wx(machine_root(machine_cpu()), wx);
}

static inline unsigned access_bit(enum machine_access_kind kind)
{
	return kind == MACHINE_READ ? VMEM_READ : kind == MACHINE_WRITE ? VMEM_WRITE : VMEM_EXEC;
}

/* What the program gets: RESOLVED, and the access was made; or why it is killed. */
static inline enum vmem_fault_result user_access(
    struct vmem_aspace *aspace, uint64_t va, enum machine_access_kind kind, void *buffer, size_t length)
{
	for (unsigned tries = 0; tries < 5; tries++) {
		struct machine_result r =
		    machine_access(machine_cpu(), va, kind, MACHINE_USER, buffer, length);
		if (r.ok) {
			return VMEM_FAULT_RESOLVED;
		}
		struct vmem_trap trap = vmem_trap_decode(r.cause, r.detail);
		assert_true(trap.is_page_fault && trap.is_user && !trap.malformed);
		assert_int_equal(trap.access, access_bit(kind));
		assert_int_equal(r.va, va);
		machine_operation();
		enum vmem_fault_result result = vmem_fault(aspace, r.va, trap.access);
		machine_operation();
		if (result != VMEM_FAULT_RESOLVED) {
			return result;
		}
	}
	fail_msg("an access that the library resolves faults again and again");
	return VMEM_FAULT_RESULT_COUNT;
}

static inline enum vmem_fault_result user_read(struct vmem_aspace *aspace, uint64_t va, uint64_t *out)
{
	*out = UINT64_C(0xdeadbeefdeadbeef);
	return user_access(aspace, va, MACHINE_READ, out, sizeof(*out));
}

static inline enum vmem_fault_result user_write(struct vmem_aspace *aspace, uint64_t va, uint64_t value)
{
	return user_access(aspace, va, MACHINE_WRITE, &value, sizeof(value));
}

static inline enum vmem_fault_result user_exec(struct vmem_aspace *aspace, uint64_t va, uint32_t *out)
{
	return user_access(aspace, va, MACHINE_EXEC, out, sizeof(*out));
}

/*
 * What user mode may do at va, found by trying: a set of VMEM_READ, VMEM_WRITE, VMEM_EXEC. What is there
 * is written back.
 */
static inline unsigned user_may(struct vmem_aspace *aspace, uint64_t va)
{
	uint64_t value = 0, unread;
	uint32_t word;
	unsigned may = 0;
	if (user_read(aspace, va, &value) == VMEM_FAULT_RESOLVED) {
		may |= VMEM_READ;
	}
	if (user_exec(aspace, va, &word) == VMEM_FAULT_RESOLVED) {
		may |= VMEM_EXEC;
	}
	if (may & VMEM_READ && user_write(aspace, va, value) == VMEM_FAULT_RESOLVED) {
		may |= VMEM_WRITE;
	} else if (!(may & VMEM_READ) && user_write(aspace, va, 0) == VMEM_FAULT_RESOLVED) {
		may |= VMEM_WRITE;
	}
	if (may & VMEM_WRITE && user_read(aspace, va, &unread) == VMEM_FAULT_RESOLVED) {
		may |= VMEM_READ; /* write-only memory may be readable once it is there */
	}
	return may;
}

#endif
