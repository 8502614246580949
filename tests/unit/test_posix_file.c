/* SPDX-License-Identifier: MIT */
/*
 * test_posix_file.c - mmap of files: how a descriptor was opened, offsets, ends, and what shared and private
 * mappings show. The answers are those of Linux 6.18 for a memfd.
 */
#include "core_fixture.h"

#include <vmem/posix.h>

#define B UINT64_C(0x20000000)
#define R VMEM_PROT_READ
#define PROT_RW (VMEM_PROT_READ | VMEM_PROT_WRITE)
#define SHARED VMEM_MMAP_SHARED
#define PRIVATE VMEM_MMAP_PRIVATE
#define HUGETLB 0x40000
#define VALIDATE VMEM_MMAP_SHARED_VALIDATE
#define FIXED VMEM_MMAP_FIXED

static struct vmem_aspace *as;
static struct vmem_posix process;
static struct vmem_object *object;

static int start(void **state)
{
	struct vmem_aspace_config config = {0};
	(void)state;
	(void)core_setup(NULL);
	as = space_with(&config);
	run(0, as);
	vmem_posix_init(&process, as, &vmem_posix_linux, 0);
	object = anonymous(4, VMEM_OBJECT_RESIZABLE);
	for (unsigned i = 0; i < 4; i++) {
		poke(object, i, i + 1);
	}
	return 0;
}

static int stop(void **state)
{
	step();
	end(as);
	release(object);
	return core_teardown(state);
}

static int map_file(uint64_t address, uint64_t length, int prot, int flags, uint64_t offset, unsigned opened)
{
	const struct vmem_posix_file file = {.object = object, .offset = offset, .maximum = opened};
	uint64_t at = 0;
	warm();
	int error = vmem_posix_mmap_object(&process, address, length, prot, flags, &file, &at);
	step();
	assert_true(error != 0 || at == address || address == 0);
	return error;
}

static void answers(void **state)
{
	const struct {
		uint64_t length, offset;
		int prot, flags;
		unsigned opened;
		int answer;
	} row[] = {
	    {PAGE, 0, PROT_RW, SHARED, VMEM_READ, -VMEM_EACCES},
	    {PAGE, 0, R, SHARED, VMEM_WRITE, -VMEM_EACCES},
	    {PAGE, 0, R, PRIVATE, VMEM_WRITE, -VMEM_EACCES},
	    {PAGE, 0, VMEM_PROT_EXEC, PRIVATE, VMEM_READ, -VMEM_EPERM},
	    {PAGE, 1, R, PRIVATE, RW, -VMEM_EINVAL},
	    {0, 0, R, PRIVATE, RW, -VMEM_EINVAL},
	    {PAGE, 0, R, 0, RW, -VMEM_EINVAL},
	    {PAGE, 0, R, 4, RW, -VMEM_EINVAL},
	    {PAGE, 0, R, SHARED | VMEM_MMAP_ANONYMOUS, RW, -VMEM_EINVAL},
	    {2 * PAGE, UINT64_MAX - PAGE + 1, R, SHARED, RW, -VMEM_EOVERFLOW},
	    {PAGE, UINT64_C(1) << 63, R, SHARED, RW, -VMEM_EOVERFLOW},
	    {PAGE, (UINT64_C(1) << 63) - PAGE, R, 0, RW, -VMEM_EOVERFLOW}, /* before the type */
	    {PAGE, 0, R, PRIVATE | VMEM_MMAP_GROWSDOWN, RW, -VMEM_EINVAL},
	    {PAGE, 0, R, PRIVATE | HUGETLB, RW, -VMEM_EINVAL},
	    {PAGE, 0, R, SHARED | HUGETLB, RW, -VMEM_EINVAL},
	    {UINT64_MAX, UINT64_C(1) << 63, R, VALIDATE | HUGETLB, RW, -VMEM_EINVAL}, /* before all else */
	    {PAGE, 0, R, VALIDATE | 0x400000, RW, -VMEM_EOPNOTSUPP},
	    {PAGE, 0, R, VALIDATE | 0x80000, RW, -VMEM_EOPNOTSUPP},
	    {PAGE, 0, R, VALIDATE | VMEM_MMAP_FIXED_NOREPLACE, RW, -VMEM_EOPNOTSUPP},
	    {PAGE, 0, PROT_RW, VALIDATE, VMEM_READ, -VMEM_EACCES},
	    {PAGE, 0, PROT_RW, VALIDATE | VMEM_MMAP_STACK, RW, 0},
	    {PAGE, 0, PROT_RW, SHARED | 0x400000, RW, 0},
	    {PAGE, 0, PROT_RW, PRIVATE, VMEM_READ, 0},
	    {PAGE, (UINT64_C(1) << 62), R, SHARED, RW, 0},
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int answer =
		    map_file(B, row[i].length, row[i].prot, row[i].flags, row[i].offset, row[i].opened);
		if (answer != row[i].answer) {
			fail_msg("row %u: %d", i, answer);
		}
		assert_int_equal(regions(as), answer == 0);
		assert_int_equal(vmem_posix_munmap(&process, B, PAGE), 0);
	}
	const struct vmem_posix_file pipe = {.object = NULL, .maximum = VMEM_READ};
	uint64_t at;
	assert_int_equal(vmem_posix_mmap_object(&process, 0, PAGE, R, PRIVATE, &pipe, &at), -VMEM_ENODEV);
	assert_int_equal(vmem_posix_mmap(&process, 0, PAGE, R, PRIVATE, &at), -VMEM_ENODEV);
	assert_int_equal(map_file(B, PAGE, R, PRIVATE, 0, RW), 0);
	assert_int_equal(
	    map_file(B, PAGE, R, SHARED | VMEM_MMAP_FIXED_NOREPLACE, UINT64_C(1) << 63, RW), -VMEM_EEXIST);
	assert_int_equal(map_file(PAGE, PAGE, R, SHARED | FIXED, UINT64_C(1) << 63, RW), -VMEM_EPERM);
}

/* What mprotect may ever grant follows from how the file was opened. */
static void maxima(void **state)
{
	(void)state;
	assert_int_equal(map_file(B, PAGE, R, SHARED, 0, VMEM_READ | VMEM_EXEC), 0);
	assert_int_equal(info_of(object).writable, 0); /* and never will be */
	assert_int_equal(vmem_posix_mprotect(&process, B, PAGE, PROT_RW), -VMEM_EACCES);
	assert_int_equal(vmem_posix_mprotect(&process, B, PAGE, VMEM_PROT_EXEC), 0);
	assert_int_equal(map_file(B, PAGE, R, PRIVATE | FIXED, 0, VMEM_READ), 0);
	assert_int_equal(vmem_posix_mprotect(&process, B, PAGE, VMEM_PROT_EXEC), -VMEM_EACCES);
	assert_int_equal(vmem_posix_mprotect(&process, B, PAGE, PROT_RW), 0);
	put(as, 0, B, 9);
	assert_int_equal(peek(object, 0), 1);
	assert_int_equal(info_of(object).writable, 0);
	assert_int_equal(map_file(B + PAGE, PAGE, R, SHARED, 0, RW), 0);
	assert_int_equal(info_of(object).writable, 1);
}

static void content(void **state)
{
	(void)state;
	assert_int_equal(map_file(B, 6 * PAGE, PROT_RW, SHARED | FIXED, 0, RW), 0);
	assert_int_equal(map_file(B + 16 * PAGE, 3 * PAGE, PROT_RW, PRIVATE | FIXED, PAGE, RW), 0);
	expect(as, B, 4, 1);
	expect(as, B + 16 * PAGE, 3, 2);
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, B + 4 * PAGE, MACHINE_READ);
	put(as, 0, B + PAGE, 70);
	assert_int_equal(get(as, 0, B + 16 * PAGE), 70);
	put(as, 0, B + 16 * PAGE, 80);
	assert_int_equal(peek(object, 1), 70);
	put(as, 0, B + PAGE, 71);
	assert_int_equal(get(as, 0, B + 16 * PAGE), 80);
	OK(vmem_object_resize(object, PAGE)); /* its own copy goes too */
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, B + 16 * PAGE, MACHINE_READ);
	OK(vmem_object_resize(object, 5 * PAGE));
	assert_int_equal(get(as, 0, B + 16 * PAGE), 0);
	put(as, 0, B + 4 * PAGE, 5);
	assert_int_equal(peek(object, 4), 5);
}

#define POSIX(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {POSIX(answers), POSIX(maxima), POSIX(content)};
	return cmocka_run_group_tests_name("posix_file", tests, NULL, NULL);
}
