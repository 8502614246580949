/* SPDX-License-Identifier: MIT */
/*
 * test_posix_remap.c - mremap with Linux's errors and effects. What is expected was answered by Linux 6.18 on
 * x86-64 for the same calls on the same layout.
 */
#include "core_fixture.h"

#include <vmem/posix.h>

#define B UINT64_C(0x20000000)
#define T UINT64_C(0x30000000)
#define R VMEM_PROT_READ
#define PROT_RW (VMEM_PROT_READ | VMEM_PROT_WRITE)
#define MAYMOVE VMEM_MREMAP_MAYMOVE
#define FIXED (VMEM_MREMAP_MAYMOVE | VMEM_MREMAP_FIXED)
#define KEEP (VMEM_MREMAP_MAYMOVE | VMEM_MREMAP_DONTUNMAP)
#define ALL (FIXED | VMEM_MREMAP_DONTUNMAP)

static struct vmem_aspace *as;
static struct vmem_posix process;

static int start(void **state)
{
	struct vmem_aspace_config config = {0};
	(void)state;
	(void)core_setup(NULL);
	as = space_with(&config);
	run(0, as);
	vmem_posix_init(&process, as, &vmem_posix_linux, 0);
	return 0;
}

static int stop(void **state)
{
	step();
	end(as);
	return core_teardown(state);
}

static void map_posix(uint64_t address, uint64_t pages, int prot, int type)
{
	uint64_t out;
	int flags = type | VMEM_MMAP_ANONYMOUS | VMEM_MMAP_FIXED;
	assert_int_equal(vmem_posix_mmap(&process, address, PAGES(pages), prot, flags, &out), 0);
}

static int remap(uint64_t address, uint64_t old, uint64_t new, int flags, uint64_t to, uint64_t *out)
{
	warm();
	int answer = vmem_posix_mremap(&process, address, old, new, flags, to, out);
	step();
	return answer;
}

/* The answer of a call that moves nothing. */
static int refused(uint64_t address, uint64_t old, uint64_t new, int flags, uint64_t to)
{
	uint64_t out;
	return remap(address, old, new, flags, to, &out);
}

static uint64_t moved(uint64_t address, uint64_t old, uint64_t new, int flags, uint64_t to)
{
	uint64_t out = 0;
	assert_int_equal(remap(address, PAGES(old), PAGES(new), flags, to, &out), 0);
	return out;
}

/* What lies in [at, at + 16 pages): a letter a page: '.' none, 'p' private, 's' shared; upper case: it may be
 * written. */
static void layout(uint64_t at, const char *expected)
{
	char found[17] = {0};
	for (unsigned i = 0; i < 16; i++) {
		struct vmem_region_info info;
		uint64_t va = at + PAGES(i);
		bool any = vmem_region_next(as, va, &info) && info.start <= va;
		found[i] = !any ? '.' : info.flags & VMEM_MAP_SHARED ? 's' : 'p';
		if (any && info.permission & VMEM_WRITE) {
			found[i] = (char)(found[i] - 'a' + 'A');
		}
	}
	assert_string_equal(found, expected);
}

static void arguments(void **state)
{
	const uint64_t size = vmem_aspace_user_size();
	(void)state;
	map_posix(T, 2, PROT_RW, VMEM_MMAP_PRIVATE);
	fill(as, T, 2, 5);
	const struct {
		uint64_t address, old, new;
		int flags;
		uint64_t to;
		int answer;
	} row[] = {
	    {T, PAGE, PAGE, 8, 0, -VMEM_EINVAL},
	    {T, PAGE, PAGE, VMEM_MREMAP_FIXED, B, -VMEM_EINVAL},
	    {T, PAGE, PAGE, VMEM_MREMAP_DONTUNMAP, B, -VMEM_EINVAL},
	    {T + 1, PAGE, PAGE, MAYMOVE, 0, -VMEM_EINVAL},
	    {T, PAGE, 0, MAYMOVE, 0, -VMEM_EINVAL},
	    {T, 0, 0, MAYMOVE, 0, -VMEM_EINVAL},
	    {T, PAGE, size + PAGE, MAYMOVE, 0, -VMEM_EINVAL},
	    {T, PAGE, UINT64_MAX, MAYMOVE, 0, -VMEM_EINVAL}, /* rounded up it is 0 */
	    {T, PAGE, PAGE, FIXED, size, -VMEM_EINVAL},
	    {T, PAGE, PAGE, FIXED, UINT64_MAX - PAGE + 1, -VMEM_EINVAL},
	    {T, PAGE, PAGE, FIXED, B + 1, -VMEM_EINVAL},
	    {T, PAGE, PAGE, KEEP, B + 1, -VMEM_EINVAL},
	    {T, PAGE, 2 * PAGE, KEEP, 0, -VMEM_EINVAL},
	    {T, 2 * PAGE, PAGE, ALL, B, -VMEM_EINVAL},
	    {T, PAGE, PAGE, FIXED, T, -VMEM_EINVAL}, /* overlaps */
	    {T, 2 * PAGE, PAGE, FIXED, T + PAGE, -VMEM_EINVAL},
	    {T, PAGE, 2 * PAGE, FIXED, T - PAGE, -VMEM_EINVAL},
	    {T, PAGE, PAGE, KEEP, T, -VMEM_EINVAL},
	    {T, 0, PAGE, MAYMOVE, 0, -VMEM_EINVAL}, /* private: nothing to be mapped again */
	    {B, PAGE, PAGE, 0, 0, -VMEM_EFAULT},
	    {B, 2 * PAGE, PAGE, MAYMOVE, 0, -VMEM_EFAULT},
	    {B, PAGE, PAGE, FIXED, B + 8 * PAGE, -VMEM_EFAULT},
	    {B, 0, PAGE, MAYMOVE, 0, -VMEM_EFAULT},
	    {T - PAGE, 3 * PAGE, 3 * PAGE, FIXED, B, -VMEM_EFAULT},
	    {T, 3 * PAGE, 4 * PAGE, MAYMOVE, 0, -VMEM_EFAULT},
	    {T, 3 * PAGE, 3 * PAGE, KEEP, 0, -VMEM_EFAULT},
	    {T, PAGE, 2 * PAGE, 0, 0, -VMEM_ENOMEM}, /* its own second page is in the way */
	    {T, 2 * PAGE, size, MAYMOVE, 0, -VMEM_ENOMEM},
	    {T, PAGE, PAGE, FIXED, PAGE, -VMEM_EPERM},
	    {T, PAGE, PAGE, FIXED, size - PAGE, -VMEM_ENOMEM},
	    {T, PAGE, PAGE, 0, 0, 0},
	    {T, 1000 * PAGE, 1000 * PAGE, MAYMOVE, 0, 0}, /* nobody asks how long it is */
	    {T, UINT64_C(1) << 60, PAGE, MAYMOVE, 0, -VMEM_EINVAL},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint64_t before = core_state();
		int answer = refused(row[i].address, row[i].old, row[i].new, row[i].flags, row[i].to);
		if (answer != row[i].answer) {
			fail_msg("row %u: %d", i, answer);
		}
		assert_int_equal(core_state(), before);
	}
	expect(as, T, 2, 5);
}

/* Several mappings and holes go together if nothing is resized; the first page must be mapped. */
static void several(void **state)
{
	(void)state;
	map_posix(B, 2, PROT_RW, VMEM_MMAP_PRIVATE);
	map_posix(B + PAGES(2), 2, R, VMEM_MMAP_PRIVATE);
	map_posix(B + PAGES(6), 2, PROT_RW, VMEM_MMAP_PRIVATE);
	map_posix(T, 10, PROT_RW, VMEM_MMAP_SHARED);
	fill(as, B, 2, 1);
	assert_int_equal(moved(B, 8, 8, FIXED, T), T);
	layout(T, "PPppSSPPSS......");
	layout(B, "................");
	expect(as, T, 2, 1);
	assert_int_equal(
	    moved(T + PAGES(8), 7, 7, FIXED, B + PAGES(3)), B + PAGES(3)); /* a hole at its end */
	layout(B, "...SS...........");
	assert_int_equal(moved(T, 4, 4, ALL, B + PAGES(8)), B + PAGES(8));
	layout(B, "...SS...PPpp....");
	layout(T, "PPppSSPP........");
	assert_int_equal(refused(T, PAGES(4), PAGES(4), KEEP, 0), -VMEM_EFAULT);
	assert_int_equal(refused(T, PAGES(4), PAGES(6), MAYMOVE, 0), -VMEM_EFAULT);
	assert_int_equal(moved(T, 4, 3, MAYMOVE, 0), T);
	layout(T, "PPp.SSPP........");
	assert_int_equal(moved(T, 3, 1, FIXED, B), B);
	layout(T, "....SSPP........");
	layout(B, "P..SS...PPpp....");
	assert_int_equal(moved(B + PAGES(8), 100, 1, FIXED, T), T);
	layout(B, "P..SS...........");
	layout(T, "P...SSPP........");
}

static void twice(void **state)
{
	uint64_t again;
	(void)state;
	map_posix(B, 4, PROT_RW, VMEM_MMAP_SHARED);
	fill(as, B, 4, 7);
	assert_int_equal(refused(B, 0, PAGES(2), 0, 0), -VMEM_ENOMEM);
	again = moved(B + PAGES(1), 0, 6, MAYMOVE, 0);
	expect(as, again, 3, 8);
	DENIED(VMEM_FAULT_BEYOND_END, as, 0, again + PAGES(3), MACHINE_READ);
	put(as, 0, again, 70);
	assert_int_equal(get(as, 0, B + PAGES(1)), 70);
	assert_int_equal(refused(B + PAGES(1), 0, PAGES(2), FIXED, B), -VMEM_EINVAL);
	assert_int_equal(refused(B + PAGES(1), 0, PAGES(2), FIXED, B + PAGES(1)), -VMEM_EFAULT);
	layout(B, "S..S............"); /* the target was unmapped before the source was missed */
	assert_int_equal(moved(B, 0, 2, FIXED, T), T);
	assert_int_equal(get(as, 0, T), 7);
	again = moved(T, 1, 1, KEEP, 0);
	put(as, 0, again, 71);
	assert_int_equal(get(as, 0, T), 71);
}

static void sizes(void **state)
{
	uint64_t at;
	(void)state;
	map_posix(B, 4, PROT_RW, VMEM_MMAP_PRIVATE);
	fill(as, B, 4, 1);
	assert_int_equal(moved(B + PAGES(2), 2, 4, 0, 0), B + PAGES(2)); /* the end of it */
	layout(B, "PPPPPP..........");
	assert_int_equal(regions(as), 1);
	assert_int_equal(refused(B + PAGES(1), PAGES(2), PAGES(4), 0, 0), -VMEM_ENOMEM);
	at = moved(B + PAGES(1), 2, 4, MAYMOVE, 0);
	layout(B, "P..PPP..........");
	expect(as, at, 2, 2);
	assert_int_equal(get(as, 0, at + PAGES(3)), 0);
	/* what has grown on its way is one mapping, whatever keys it has */
	fill(as, at, 4, 20);
	at = moved(at, 4, 9, FIXED, T);
	expect(as, at, 4, 20);
	assert_int_equal(moved(at, 9, 12, 0, 0), T);
	assert_int_equal(moved(at, 12, 2, 0, 0), T);
	layout(T, "PP..............");
	at = moved(at, 2, 2, KEEP, B + PAGES(9)); /* a hint */
	assert_int_equal(at, B + PAGES(9));
	layout(T, "PP..............");
	expect(as, at, 2, 20);
	at = moved(at, 2, 2, KEEP, B + PAGES(4));
	assert_int_not_equal(at, B + PAGES(4)); /* which is taken */
	expect(as, at, 2, 20);
	assert_int_equal(get(as, 0, B + PAGES(9)), 0);
}

/* Linux wants room for what a move may split, before it looks at anything. */
static void too_many(void **state)
{
	(void)state;
	map_posix(B, 4, PROT_RW, VMEM_MMAP_PRIVATE);
	map_posix(T, 1, PROT_RW, VMEM_MMAP_PRIVATE);
	process.policy.max_regions = 7; /* and there are two */
	assert_int_equal(refused(B, PAGES(4), PAGES(4), FIXED, T), -VMEM_ENOMEM);
	assert_int_equal(refused(1, PAGES(4), PAGES(4), FIXED, T), -VMEM_EINVAL);
	assert_int_equal(refused(B + PAGES(8), PAGES(4), PAGES(4), FIXED, T), -VMEM_ENOMEM);
	layout(T, "P...............");
	process.policy.max_regions = 8;
	assert_int_equal(moved(B, 4, 4, FIXED, T), T);
	map_posix(T + PAGES(4), 1, R, VMEM_MMAP_PRIVATE);
	process.policy.max_regions = 5;
	assert_int_equal(refused(T, PAGES(4), PAGES(5), MAYMOVE, 0), -VMEM_ENOMEM);
	process.policy.max_regions = 6;
	(void)moved(T, 4, 5, MAYMOVE, 0);
}

/* Whether memory was promised does not make two mappings of one, be it told by the region or not. */
static void promises(void **state)
{
	(void)state;
	map_posix(B, 2, VMEM_PROT_NONE, VMEM_MMAP_PRIVATE);
	map_posix(B + PAGES(2), 4, PROT_RW, VMEM_MMAP_PRIVATE);
	assert_int_equal(regions(as), 2);
	/* a hole behind: the rest is done, and what nobody has written to gives its promise back */
	assert_int_equal(vmem_posix_mprotect(&process, B, PAGES(8), R), -VMEM_ENOMEM);
	step();
	assert_int_equal(regions(as), 1);
	assert_int_equal(moved(B, 3, 5, FIXED, T), T);
	layout(T, "ppppp...........");
	assert_int_equal(vmem_posix_munmap(&process, T, PAGES(5)), 0);
	map_posix(B, 2, VMEM_PROT_NONE, VMEM_MMAP_PRIVATE);
	map_posix(B + PAGES(2), 4, PROT_RW, VMEM_MMAP_PRIVATE);
	fill(as, B + PAGES(2), 4, 3);
	assert_int_equal(vmem_posix_mprotect(&process, B, PAGES(6), R), 0);
	step();
	assert_int_equal(regions(as), 2); /* one has a promise to keep */
	assert_int_equal(moved(B, 5, 6, FIXED, T), T);
	layout(T, "pppppp..........");
	expect(as, T + PAGES(2), 3, 3);
	assert_int_equal(moved(T, 6, 1, 0, 0), T);
}

/* The limits are asked before the target goes, and what goes there makes no room; a source that stays is
 * counted after that. */
static void limits(void **state)
{
	(void)state;
	map_posix(B, 4, PROT_RW, VMEM_MMAP_PRIVATE);
	map_posix(T, 8, PROT_RW, VMEM_MMAP_PRIVATE);
	map_posix(T + PAGES(16), 2, R, VMEM_MMAP_PRIVATE);
	fill(as, T, 8, 3);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, PAGES(14));
	REFUSED(-VMEM_ENOMEM, refused(B, PAGES(4), PAGES(8), FIXED, T));
	REFUSED(-VMEM_ENOMEM, refused(B, PAGES(4), PAGES(4), KEEP, 0));
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, UINT64_MAX);
	vmem_posix_set_limit(&process, VMEM_RLIMIT_DATA, PAGES(12));
	REFUSED(-VMEM_ENOMEM, refused(B, PAGES(4), PAGES(8), FIXED, T));
	REFUSED(-VMEM_ENOMEM, refused(B, PAGES(4), PAGES(5), 0, 0));
	expect(as, T, 8, 3);
	assert_int_equal(moved(T + PAGES(16), 2, 3, 0, 0), T + PAGES(16)); /* which nobody may write */
	vmem_posix_set_limit(&process, VMEM_RLIMIT_AS, PAGES(15));
	assert_int_equal(moved(B, 4, 4, ALL, T), T); /* in the room of what was there */
	layout(B, "PPPP............");
	layout(T, "PPPPPPPP........");
}

/* Frames that the host gave: no more of them, and not twice. */
static void devices(void **state)
{
	struct vmem_posix_file file = {.maximum = RW};
	uint64_t at;
	(void)state;
	OK(vmem_object_create_physical(
	    machine_config()->device.start, PAGES(4), VMEM_UNCACHED, &file.object));
	OK(vmem_posix_mmap_object(
	    &process, B, PAGES(3), PROT_RW, VMEM_MMAP_SHARED | VMEM_MMAP_FIXED, &file, &at));
	step();
	REFUSED(-VMEM_EFAULT, refused(B, PAGES(3), PAGES(4), MAYMOVE, 0));
	REFUSED(-VMEM_EFAULT, refused(B, 0, PAGES(1), MAYMOVE, 0));
	REFUSED(-VMEM_EINVAL, refused(B, PAGES(3), PAGES(3), KEEP, 0));
	REFUSED(-VMEM_EINVAL, refused(B, PAGES(4), PAGES(4), KEEP, 0));
	assert_int_equal(moved(B, 4, 4, FIXED, T), T); /* and the hole behind it */
	layout(T, "SSS.............");
	release(file.object);
}

/* What comes before the mapping that fails stays moved, and what is sealed refuses what it is asked. */
static void half_done(void **state)
{
	struct vmem_map room = {.length = PAGES(2), .place = VMEM_PLACE_FIXED, .address = B + PAGES(2)};
	struct vmem_vmar *child;
	(void)state;
	map_posix(B, 2, PROT_RW, VMEM_MMAP_PRIVATE);
	map_posix(B + PAGES(2), 2, R, VMEM_MMAP_PRIVATE);
	map_posix(B + PAGES(4), 1, PROT_RW, VMEM_MMAP_PRIVATE);
	fill(as, B, 2, 1);
	OK(vmem_posix_mseal(&process, B + PAGES(2), PAGES(2), 0));
	REFUSED(-VMEM_EPERM, refused(B, PAGES(4), PAGES(1), MAYMOVE, 0));
	REFUSED(-VMEM_EPERM, refused(B, PAGES(4), PAGES(1), FIXED, T));
	REFUSED(-VMEM_EPERM, refused(B, PAGES(1), PAGES(1), FIXED, B + PAGES(3)));
	REFUSED(-VMEM_EPERM, refused(B + PAGES(3), PAGES(1), PAGES(1), 0, 0));
	assert_int_equal(refused(B, PAGES(5), PAGES(5), FIXED, T), -VMEM_EPERM);
	layout(B, "..ppP...........");
	layout(T, "PP..............");
	expect(as, T, 2, 1);
	/* a VMAR of the host's is no mapping */
	room.address = T + PAGES(2);
	OK(vmem_vmar_allocate(vmem_aspace_root(as), &room, &child));
	REFUSED(-VMEM_EFAULT, refused(T + PAGES(2), PAGES(1), PAGES(1), 0, 0));
	REFUSED(-VMEM_ENOMEM, refused(T, PAGES(2), PAGES(3), 0, 0));
	assert_int_equal(refused(T, PAGES(3), PAGES(3), FIXED, B + PAGES(8)), -VMEM_EFAULT);
	layout(B, "..ppP...PP......");
	process.policy.max_regions = 0; /* as many as there is memory for */
	assert_int_equal(moved(B + PAGES(8), 2, 2, FIXED, T), T);
	OK(vmem_vmar_destroy(child));
}

#define POSIX(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    POSIX(arguments),
	    POSIX(several),
	    POSIX(twice),
	    POSIX(sizes),
	    POSIX(too_many),
	    POSIX(promises),
	    POSIX(limits),
	    POSIX(devices),
	    POSIX(half_done),
	};
	return cmocka_run_group_tests_name("posix_remap", tests, NULL, NULL);
}
