/* SPDX-License-Identifier: MIT */
/*
 * test_machine_user.c - the library on the machine, end to end: programs of user mode on several CPUs, with
 * every model of CPU that the ISA has, and a TLB that is filled by speculation after each effect. What each
 * module owes is in its own test; here the host of tests/machine/user.h is shown to work, and to find what
 * it must.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <vmem/kernel.h>

#include "user.h"

static vmem_vaddr_t map(struct vmem_aspace *aspace, uint64_t length, unsigned permission)
{
	vmem_vaddr_t start = 0;
	struct vmem_map request = {.length = length, .permission = permission, .maximum = VMEM_RWX};
	machine_operation();
	assert_int_equal(vmem_vmar_map(vmem_aspace_root(aspace), &request, &start), VMEM_OK);
	return start;
}

static struct vmem_aspace *new_space(void)
{
	struct vmem_aspace *aspace;
	const struct vmem_aspace_config config = {0};
	assert_int_equal(vmem_aspace_create(&config, &aspace), VMEM_OK);
	return aspace;
}

static void audit_all(void)
{
	for (unsigned i = 0; i < machine_config()->cpus; i++) {
		machine_audit(i);
	}
	machine_check();
	vmem_check();
}

/* The life of some memory: zero pages, stores, another CPU, permission up and down, a hole, the end. */
static void live(void)
{
	struct vmem_aspace *a = new_space(), *b = new_space();
	struct vmem_vmar *root = vmem_aspace_root(a);
	vmem_vaddr_t va = map(a, 16 * VMEM_PAGE_SIZE, VMEM_READ | VMEM_WRITE);
	vmem_vaddr_t other = map(b, 4 * VMEM_PAGE_SIZE, VMEM_READ | VMEM_WRITE);
	uint64_t value;
	assert_int_equal(user_load(a, va, &value), VMEM_FAULT_RESOLVED);
	assert_true(value == 0);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(user_store(a, va + i * VMEM_PAGE_SIZE, i + 1), VMEM_FAULT_RESOLVED);
	}
	audit_all();
	machine_cpu_set(2);
	assert_int_equal(user_store(b, other, 99), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_load(a, va, &value), VMEM_FAULT_RESOLVED);
	assert_true(value == 1);
	assert_int_equal(user_load(b, other, &value), VMEM_FAULT_RESOLVED);
	assert_true(value == 99);
	assert_int_equal(user_load(a, va + 3 * VMEM_PAGE_SIZE, &value), VMEM_FAULT_RESOLVED);
	machine_cpu_set(0);
	machine_operation();
	assert_int_equal(
	    vmem_vmar_protect(root, va + VMEM_PAGE_SIZE, 4 * VMEM_PAGE_SIZE, VMEM_READ), VMEM_OK);
	audit_all();
	assert_int_equal(user_store(a, va + 2 * VMEM_PAGE_SIZE, 7), VMEM_FAULT_PERMISSION);
	assert_int_equal(user_load(a, va + 2 * VMEM_PAGE_SIZE, &value), VMEM_FAULT_RESOLVED);
	assert_true(value == 3);
	machine_cpu_set(2);
	assert_int_equal(user_store(a, va + 3 * VMEM_PAGE_SIZE, 7), VMEM_FAULT_PERMISSION);
	machine_operation();
	assert_int_equal(vmem_vmar_protect(root, va, 16 * VMEM_PAGE_SIZE, VMEM_READ | VMEM_WRITE), VMEM_OK);
	assert_int_equal(user_store(a, va + 3 * VMEM_PAGE_SIZE, 8), VMEM_FAULT_RESOLVED);
	machine_cpu_set(0);
	assert_int_equal(user_load(a, va + 3 * VMEM_PAGE_SIZE, &value), VMEM_FAULT_RESOLVED);
	assert_true(value == 8);
	machine_operation();
	assert_int_equal(vmem_vmar_unmap(root, va + 4 * VMEM_PAGE_SIZE, 4 * VMEM_PAGE_SIZE), VMEM_OK);
	audit_all();
	assert_int_equal(user_load(a, va + 5 * VMEM_PAGE_SIZE, &value), VMEM_FAULT_NO_REGION);
	assert_int_equal(user_load(a, va + 8 * VMEM_PAGE_SIZE, &value), VMEM_FAULT_RESOLVED);
	assert_true(value == 9);
	for (unsigned i = 0; i < machine_config()->cpus; i++) {
		machine_cpu_set(i);
		vmem_aspace_activate(NULL);
		machine_cpu_idle(true);
	}
	machine_cpu_set(0);
	machine_operation();
	vmem_aspace_destroy(a);
	vmem_aspace_destroy(b);
	for (unsigned i = machine_config()->cpus; i-- > 0;) {
		machine_cpu_set(i);
		machine_cpu_idle(false);
	}
	audit_all();
}

/* A CPU meets absence where another then maps, and runs another space while its old one shrinks. */
static void live_apart(void)
{
	struct vmem_aspace *a = new_space(), *b = new_space();
	struct vmem_vmar *root = vmem_aspace_root(a);
	vmem_vaddr_t va = map(a, 4 * VMEM_PAGE_SIZE, VMEM_READ | VMEM_WRITE);
	uint64_t value;
	machine_cpu_set(1);
	vmem_aspace_activate(a);
	assert_false(user_peek(1, va, &value));
	machine_cpu_set(0);
	assert_int_equal(user_store(a, va, 5), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_store(a, va + VMEM_PAGE_SIZE, 6), VMEM_FAULT_RESOLVED);
	machine_cpu_set(1);
	assert_int_equal(user_load(a, va, &value), VMEM_FAULT_RESOLVED);
	assert_true(value == 5);
	vmem_aspace_activate(b);
	machine_cpu_set(0);
	machine_operation();
	assert_int_equal(vmem_vmar_unmap(root, va, VMEM_PAGE_SIZE), VMEM_OK);
	audit_all();
	machine_cpu_set(1);
	assert_int_equal(user_load(a, va, &value), VMEM_FAULT_NO_REGION);
	assert_int_equal(user_load(a, va + VMEM_PAGE_SIZE, &value), VMEM_FAULT_RESOLVED);
	assert_true(value == 6);
}

/* Each in a leaf table of its own; four of them in one table above. */
static vmem_vaddr_t far_apart(uint64_t i)
{
	return ((i / 4 + 1) << 32) + (i << 22);
}

/* Pages so far apart that each has tables of its own, which go with it. */
static void live_sparsely(void)
{
	struct vmem_aspace *a = new_space();
	struct vmem_vmar *root = vmem_aspace_root(a);
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 1; i <= 8; i++) {
			vmem_vaddr_t va = far_apart(i), start;
			struct vmem_map request = {.length = 4 * VMEM_PAGE_SIZE,
			    .place = VMEM_PLACE_FIXED,
			    .address = va,
			    .permission = VMEM_READ | VMEM_WRITE,
			    .maximum = VMEM_RWX};
			assert_int_equal(vmem_vmar_map(root, &request, &start), VMEM_OK);
			machine_cpu_set(i % 2 == 0 ? 0 : 3);
			assert_int_equal(user_store(a, va, round), VMEM_FAULT_RESOLVED);
		}
		machine_fill(0);
		machine_fill(3);
		for (uint64_t i = 8; i >= 1; i--) {
			machine_operation();
			assert_int_equal(vmem_vmar_unmap(root, far_apart(i), 4 * VMEM_PAGE_SIZE), VMEM_OK);
			audit_all();
		}
	}
}

static void live_on(unsigned levels, unsigned ids, uint32_t without, bool speculates)
{
	struct machine_config config = host_default();
	config.levels = levels;
	config.asid_bits = ids;
	config.features = (config.features & ~without) | (speculates ? MACHINE_SPECULATES : 0);
	if (config.isa == MACHINE_AARCH64 && levels == 5) {
		config.features |= MACHINE_LPA2;
		config.pa_bits = 52;
	}
	host_start(&config);
	live();
	live_apart();
	live_sparsely();
	host_stop();
}

static const unsigned all_levels[3][3] = {{4, 5, 0}, {4, 5, 0}, {3, 4, 5}};
static const unsigned all_ids[3][3] = {{12, 0, 12}, {16, 8, 8}, {16, 1, 0}};

static void test_paging_modes_and_ids(void **state)
{
	(void)state;
	enum machine_isa isa = host_default().isa;
	for (unsigned l = 0; l < 3 && all_levels[isa][l] != 0; l++) {
		for (unsigned i = 0; i < 3; i++) {
			live_on(all_levels[isa][l], all_ids[isa][i], 0, (l + i) % 2 == 0);
		}
	}
}

static void test_missing_features(void **state)
{
	static const uint32_t optional[] = {MACHINE_HW_MARKS, MACHINE_INVPCID, MACHINE_LEAF_1G,
	    MACHINE_SVPBMT, MACHINE_SVNAPOT, MACHINE_SVINVAL, MACHINE_CACHES_INVALID};
	struct machine_config config = host_default();
	(void)state;
	for (unsigned i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
		bool always = config.isa == MACHINE_X86_64 && optional[i] == MACHINE_HW_MARKS;
		if ((config.features & optional[i]) != 0 && !always) {
			live_on(config.levels, config.asid_bits, optional[i], i % 2 == 0);
		}
	}
}

static void test_execution(void **state)
{
	uint64_t code = 0x1234, value;
	(void)state;
	host_start(NULL);
	struct vmem_aspace *a = new_space();
	vmem_vaddr_t va = map(a, 2 * VMEM_PAGE_SIZE, VMEM_READ | VMEM_WRITE);
	assert_int_equal(user_write(a, va + 4090, &code, 8), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_exec(a, va, 4), VMEM_FAULT_PERMISSION);
	machine_operation();
	assert_int_equal(
	    vmem_vmar_protect(vmem_aspace_root(a), va, 2 * VMEM_PAGE_SIZE, VMEM_READ | VMEM_EXEC), VMEM_OK);
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		machine_cpu_set(i);
		assert_int_equal(user_exec(a, va + 4088, 16), VMEM_FAULT_RESOLVED);
	}
	assert_int_equal(user_read(a, va + 4090, &value, 8), VMEM_FAULT_RESOLVED);
	assert_true(value == code);
	audit_all();
	host_stop();
}

static void test_refusals(void **state)
{
	uint64_t value;
	(void)state;
	host_start(NULL);
	struct vmem_aspace *a = new_space();
	assert_int_equal(user_load(a, VMEM_PAGE_SIZE * 0x1000, &value), VMEM_FAULT_NO_REGION);
	assert_int_equal(user_load(a, machine_kernel_area().start, &value), VMEM_FAULT_NO_REGION);
	assert_int_equal(user_load(a, UINT64_C(1) << 62, &value), VMEM_FAULT_NO_REGION);
	host_stop();
}

static void test_kernel_memory(void **state)
{
	void *memory;
	uint64_t value;
	(void)state;
	host_start(NULL);
	vmem_aspace_activate(new_space());
	machine_cpu_set(1);
	vmem_aspace_activate(new_space());
	assert_int_equal(vmem_kernel_alloc(5 * VMEM_PAGE_SIZE, &memory), VMEM_OK);
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		machine_cpu_set(i);
		assert_true(kernel_load((char *)memory + 4 * VMEM_PAGE_SIZE, &value));
		assert_true(value == i);
		assert_true(kernel_store((char *)memory + 4 * VMEM_PAGE_SIZE, i + 1));
	}
	audit_all();
	machine_operation();
	vmem_kernel_free(memory);
	audit_all();
	assert_false(kernel_load(memory, &value));
	host_stop();
}

/* Kernel memory that is cached under the id of a space that does not run while it goes. */
static void test_kernel_memory_and_ids(void **state)
{
	void *first, *second;
	uint64_t value;
	(void)state;
	host_start(NULL);
	struct vmem_aspace *a = new_space(), *b = new_space();
	vmem_aspace_activate(a);
	assert_int_equal(vmem_kernel_alloc(VMEM_PAGE_SIZE, &first), VMEM_OK);
	assert_int_equal(vmem_kernel_alloc(VMEM_PAGE_SIZE, &second), VMEM_OK);
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		machine_cpu_set(i);
		vmem_aspace_activate(a);
		assert_true(kernel_load(first, &value) && kernel_load(second, &value));
		vmem_aspace_activate(b);
		assert_true(kernel_load(first, &value) && kernel_load(second, &value));
	}
	machine_cpu_set(1);
	machine_operation();
	vmem_kernel_free(first); /* its table stays */
	audit_all();
	machine_operation();
	vmem_kernel_free(second); /* and goes */
	audit_all();
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		machine_cpu_set(i);
		vmem_aspace_activate(a);
		assert_false(kernel_load(first, &value) || kernel_load(second, &value));
	}
	host_stop();
}

/* More spaces than ids: some live on, and run now on this CPU, now on that, while others come and go. */
static void test_ids_run_out(void **state)
{
	static const unsigned bits[] = {[MACHINE_X86_64] = 12, [MACHINE_AARCH64] = 8, [MACHINE_RISCV] = 4};
	struct machine_config config = host_default();
	struct vmem_aspace *old[6];
	vmem_vaddr_t va[6];
	uint64_t value;
	(void)state;
	config.asid_bits = bits[config.isa];
	host_start(&config);
	for (unsigned i = 0; i < 6; i++) {
		old[i] = new_space();
		va[i] = map(old[i], VMEM_PAGE_SIZE, VMEM_READ | VMEM_WRITE);
		assert_int_equal(user_store(old[i], va[i], i), VMEM_FAULT_RESOLVED);
	}
	for (unsigned round = 0; round < (2u << config.asid_bits) + 20; round++) {
		struct vmem_aspace *brief = new_space();
		vmem_vaddr_t at = map(brief, VMEM_PAGE_SIZE, VMEM_READ | VMEM_WRITE);
		machine_cpu_set(round % 4);
		assert_int_equal(user_store(brief, at, round), VMEM_FAULT_RESOLVED);
		assert_int_equal(user_load(old[round % 6], va[round % 6], &value), VMEM_FAULT_RESOLVED);
		assert_true(value == round % 6);
		machine_operation();
		vmem_aspace_destroy(brief);
	}
	struct vmem_aspace_stats stats;
	vmem_aspace_stats(old[0], &stats);
	assert_true(stats.rollovers >= 2);
	audit_all();
	host_stop();
}

/* The wider ids are really wide. */
static void test_many_ids(void **state)
{
	(void)state;
	host_start(NULL);
	for (unsigned i = 0; i < 300; i++) {
		struct vmem_aspace *aspace = new_space();
		vmem_vaddr_t at = map(aspace, VMEM_PAGE_SIZE, VMEM_READ | VMEM_WRITE);
		assert_int_equal(user_store(aspace, at, i), VMEM_FAULT_RESOLVED);
	}
	assert_true(machine_asid(0) >= 300);
	audit_all();
	host_stop();
}

/* What the CPU makes of each cache attribute: the library sets the registers that say what an index means. */
static void test_attributes(void **state)
{
	static const enum machine_type wanted[] = {[VMEM_WRITE_BACK] = MACHINE_WB,
	    [VMEM_WRITE_THROUGH] = MACHINE_WT,
	    [VMEM_WRITE_COMBINING] = MACHINE_WC,
	    [VMEM_UNCACHED] = MACHINE_UC};
	(void)state;
	host_start(NULL);
	struct machine_range device = machine_config()->device;
	for (unsigned i = 0; i < VMEM_CACHE_COUNT; i++) {
		void *address;
		uint64_t value;
		struct machine_translation t;
		enum machine_type type = wanted[i];
		if (machine_config()->isa ==
		    MACHINE_RISCV) { /* no write-through; and devices are uncached of themselves */
			type = i == VMEM_WRITE_THROUGH ? MACHINE_WC
			       : i == VMEM_WRITE_BACK  ? MACHINE_UC
						       : type;
		}
		assert_int_equal(vmem_kernel_map(device.start + i * VMEM_PAGE_SIZE, 8, VMEM_READ | VMEM_WRITE,
				     (vmem_cache_t)i, &address),
		    VMEM_OK);
		assert_true(kernel_store(address, i) && kernel_load(address, &value) && value == i);
		assert_true(machine_translate(0, (uint64_t)(uintptr_t)address, &t));
		assert_int_equal(t.type, type);
		assert_true(t.pa == device.start + i * VMEM_PAGE_SIZE);
	}
	audit_all();
	host_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paging_modes_and_ids),
	    cmocka_unit_test(test_missing_features),
	    cmocka_unit_test(test_execution),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_kernel_memory),
	    cmocka_unit_test(test_kernel_memory_and_ids),
	    cmocka_unit_test(test_ids_run_out),
	    cmocka_unit_test(test_many_ids),
	    cmocka_unit_test(test_attributes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
