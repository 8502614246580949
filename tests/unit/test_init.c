/* SPDX-License-Identifier: MIT */
/* test_init.c - starting the library: what it refuses to start with, and that a refusal is no obstacle. */
#include "core_fixture.h"

#include <vmem/init.h>

#include "raw.h"
#include "region.h"

static struct vmem_ram ram[MACHINE_RANGES];
static struct vmem_config good;

static void boot_with(const struct machine_config *config)
{
	machine_create(config);
	machine_collect(true);
	machine_cpu_set(0);
	machine_boot(0);
	for (unsigned i = 0; i < config->ram_count; i++) { /* the last pages stay for the boot's own tables */
		struct machine_range left = machine_ram_left(i);
		ram[i] = (struct vmem_ram){left.start, left.length};
	}
	ram[config->ram_count - 1].length -= PAGES(8);
	good = (struct vmem_config){
	    .ram = ram,
	    .ram_count = config->ram_count,
	    .direct_map = machine_direct_map(),
	    .kernel_start = machine_kernel_area().start,
	    .kernel_length = machine_kernel_area().length,
	    .isa_features = machine_isa_features(),
	};
}

static int boot(void **state)
{
	const struct machine_config config = machine_default(core_isa());
	(void)state;
	boot_with(&config);
	return 0;
}

static int halt(void **state)
{
	(void)state;
	machine_destroy();
	return 0;
}

static void starts(const struct vmem_config *config)
{
	assert_int_equal(vmem_library_init(config), VMEM_OK);
	vmem_check();
}

static void bad_numbers(void **state)
{
	struct vmem_config bad = good;
	(void)state;
#define REFUSES(field, value)                                                                                \
	do {                                                                                                 \
		bad.field = (value);                                                                         \
		assert_int_equal(vmem_library_init(&bad), VMEM_ERR_INVALID);                                 \
		bad.field = good.field;                                                                      \
	} while (0)
	REFUSES(ram_count, 0);
	REFUSES(ram_count, 33);
	REFUSES(direct_map, good.direct_map + 1);
	REFUSES(kernel_start, good.kernel_start + 1);
	REFUSES(kernel_length, good.kernel_length - 1);
	REFUSES(kernel_length, (0 - good.kernel_start) & ~VMEM_PAGE_MASK); /* up to the last page there is */
	REFUSES(kernel_length, UINT64_MAX & ~VMEM_PAGE_MASK);
#undef REFUSES
	starts(&bad);
}

static void bad_ranges(void **state)
{
	struct vmem_ram some[3] = {ram[0], ram[0], ram[0]};
	struct vmem_config bad = good;
	(void)state;
	bad.ram = some;
	bad.ram_count = 1;
	some[0].start = UINT64_MAX - PAGE;
	assert_int_equal(vmem_library_init(&bad), VMEM_ERR_INVALID);
	bad.ram_count = 3;
	some[0] = (struct vmem_ram){ram[0].start, PAGES(64)};
	some[1] = (struct vmem_ram){ram[0].start + PAGES(128), PAGES(64)};
	static const uint64_t overlaps[] = {0, 1, 63, 127, 128, 190};
	for (unsigned i = 0; i < sizeof(overlaps) / sizeof(overlaps[0]); i++) {
		some[2] = (struct vmem_ram){ram[0].start + PAGES(overlaps[i]), PAGES(2)};
		assert_int_equal(vmem_library_init(&bad), VMEM_ERR_INVALID);
	}
	some[2] = (struct vmem_ram){ram[0].start + PAGES(64), PAGES(64)}; /* touches both */
	starts(&bad);
}

static void no_memory(void **state)
{
	const struct vmem_ram page = {ram[0].start, PAGE};
	struct vmem_config config = good;
	(void)state;
	config.ram = &page;
	config.ram_count = 1;
	assert_int_equal(vmem_library_init(&config), VMEM_ERR_NO_MEMORY); /* its own record takes it */
	config = good;
	for (uint64_t n = 1;; n++) { /* the zero frame, and the tables of the kernel's half */
		machine_fail_at(n);
		vmem_status_t status = vmem_library_init(&config);
		machine_fail_at(0);
		if (status == VMEM_OK) {
			assert_true(n > 2);
			break;
		}
		assert_int_equal(status, VMEM_ERR_NO_MEMORY);
	}
	vmem_check();
}

static void boot_other_cpus(void)
{
	for (unsigned i = 1; i < machine_config()->cpus; i++) {
		machine_cpu_set(i);
		vmem_library_init_cpu();
	}
	machine_cpu_set(0);
}

/* Tables that the host has made in the managed range before are used, and stay: of level 0 for the first
 * window, and so of a level above for the next ones. */
static void tables_of_the_hosts(void **state)
{
	const uint64_t start = good.kernel_start;
	uint64_t *slot = raw_slot(machine_kernel_root(), start, 0), above;
	struct vmem_frame_stats before;
	void *a, *b;
	(void)state;
	starts(&good);
	boot_other_cpus();
	above = *raw_slot(machine_kernel_root(), start, 1);
	before = frames_now();
	for (unsigned round = 0; round < 2; round++) {
		OK(vmem_kernel_alloc(PAGES(3), &a));
		assert_ptr_equal(a, (void *)(uintptr_t)start);
		assert_int_not_equal(*slot, 0);
		OK(vmem_kernel_alloc(LARGE, &b)); /* the rest of the window, and some of the next */
		assert_int_equal(*raw_slot(machine_kernel_root(), start, 1), above);
		assert_true(frames_now().tables > before.tables);
		warm();
		vmem_kernel_free(a);
		step();
		vmem_kernel_free(b);
		step();
		assert_int_equal(*slot, 0);
		assert_int_equal(*raw_slot(machine_kernel_root(), start, 1), above);
		assert_int_equal(*raw_slot(machine_kernel_root(), start + LARGE, 1), 0);
		assert_int_equal(frames_now().tables, before.tables);
	}
}

static void names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VMEM_STATUS_COUNT; i++) {
		for (unsigned k = 0; k < i; k++) {
			assert_string_not_equal(
			    vmem_status_name((vmem_status_t)i), vmem_status_name((vmem_status_t)k));
		}
	}
	assert_string_equal(vmem_status_name(VMEM_ERR_NO_SPACE), "NO_SPACE");
	assert_string_equal(vmem_status_name(VMEM_STATUS_COUNT), "UNKNOWN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(bad_numbers, boot, halt),
	    cmocka_unit_test_setup_teardown(bad_ranges, boot, halt),
	    cmocka_unit_test_setup_teardown(no_memory, boot, halt),
	    cmocka_unit_test_setup_teardown(tables_of_the_hosts, boot, halt),
	    cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
