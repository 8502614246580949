/* SPDX-License-Identifier: MIT */
/*
 * test_posix.c - mmap, munmap, mprotect and brk with Linux's errors to the letter. What the tables expect
 * was answered by Linux 6.18 on x86-64 for the same calls on the same layout, but for the lowest address
 * (Linux's policy of the distributions is 65536), and but for what the library does not do yet, which is
 * marked.
 */
#include "core_fixture.h"

#include <vmem/object.h>
#include <vmem/posix.h>

#define W UINT64_C(0x20000000) /* six pages, read and write, page i filled with i + 1; free around */
#define R VMEM_PROT_READ
#define PROT_RW (VMEM_PROT_READ | VMEM_PROT_WRITE)
#define PROT_RX (VMEM_PROT_READ | VMEM_PROT_EXEC)
#define ANON VMEM_MMAP_ANONYMOUS
#define PRIVATE (VMEM_MMAP_PRIVATE | VMEM_MMAP_ANONYMOUS)
#define SHARED (VMEM_MMAP_SHARED | VMEM_MMAP_ANONYMOUS)
#define FIXED VMEM_MMAP_FIXED
#define NOREPLACE VMEM_MMAP_FIXED_NOREPLACE
#define GROWSDOWN 0x01000000
#define GROWSUP 0x02000000

static struct vmem_aspace *as;
static struct vmem_posix process;

static void start_with(const struct vmem_aspace_config *config, const struct vmem_posix_policy *policy)
{
	(void)core_setup(NULL);
	as = space_with(config);
	run(0, as);
	vmem_posix_init(&process, as, policy, UINT64_C(0x10000123));
}

static int start(void **state)
{
	struct vmem_aspace_config config = {0};
	(void)state;
	start_with(&config, &vmem_posix_linux);
	return 0;
}

static int stop(void **state)
{
	step();
	end(as);
	return core_teardown(state);
}

static int do_map(uint64_t address, uint64_t length, int prot, int flags, uint64_t *out)
{
	*out = 0;
	return vmem_posix_mmap(&process, address, length, prot, flags, out);
}

static void put_at(uint64_t va, uint64_t value)
{
	assert_int_equal(user_write(as, va, value), VMEM_FAULT_RESOLVED);
}

static void holds(uint64_t va, uint64_t expected)
{
	uint64_t value;
	assert_int_equal(user_read(as, va, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, expected);
}

static void absent(uint64_t va)
{
	uint64_t value;
	assert_int_equal(user_read(as, va, &value), VMEM_FAULT_NO_REGION);
}

static void make_window(void)
{
	uint64_t out;
	assert_int_equal(do_map(W, 6 * PAGE, PROT_RW, PRIVATE | FIXED, &out), 0);
	assert_int_equal(out, W);
	for (uint64_t i = 0; i < 6; i++) {
		put_at(W + i * PAGE, i + 1);
	}
}

/* The window is as it was made, by what it holds and by what it grants. */
static void assert_window(void)
{
	absent(W - PAGE);
	for (uint64_t i = 0; i < 6; i++) {
		holds(W + i * PAGE, i + 1);
		put_at(W + i * PAGE, i + 1);
	}
	absent(W + 6 * PAGE);
}

/* Addresses near TOP are relative to the end of user space; what the core keeps free there Linux does too. */
#define TOP (UINT64_C(1) << 62)
static uint64_t resolve(uint64_t address)
{
	bool near_top = (address + (TOP >> 2)) >> 61 == 2;
	return near_top ? vmem_aspace_user_size() + (address - TOP) : address;
}

enum { AT = 1, MOVED }; /* mapped where it was asked for (page below); elsewhere */

struct map_row {
	uint64_t address, length;
	int prot, flags, answer;
};

static const struct map_row map_rows[] = {
    {0, 0, PROT_RW, PRIVATE, -VMEM_EINVAL},
    {0, 0, PROT_RW, ANON, -VMEM_EINVAL},
    {W, 0, PROT_RW, PRIVATE | FIXED, -VMEM_EINVAL},
    {W + 1, 0, PROT_RW, PRIVATE | FIXED, -VMEM_EINVAL},
    {0, UINT64_C(1) << 60, PROT_RW, PRIVATE, -VMEM_ENOMEM},
    {0, UINT64_MAX, PROT_RW, PRIVATE, -VMEM_ENOMEM},
    {0, UINT64_MAX, PROT_RW, ANON, -VMEM_ENOMEM},
    {0, UINT64_MAX - PAGE + 1, PROT_RW, PRIVATE, -VMEM_ENOMEM},
    {0, PAGE, PROT_RW, ANON, -VMEM_EINVAL},
    {0, PAGE, PROT_RW, ANON | 3, -VMEM_EINVAL}, /* SHARED_VALIDATE is for files */
    {0, PAGE, PROT_RW, ANON | 4, -VMEM_EINVAL},
    {0, PAGE, PROT_RW, ANON | 15, -VMEM_EINVAL},
    {W, PAGE, PROT_RW, ANON | FIXED, -VMEM_EINVAL},
    {W, PAGE, PROT_RW, ANON | NOREPLACE, -VMEM_EEXIST}, /* before the type is looked at */
    {0, PAGE, PROT_RW, SHARED | VMEM_MMAP_GROWSDOWN, -VMEM_EINVAL},
    {W + 1, PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_EINVAL},
    {W + 1, PAGE, PROT_RW, PRIVATE | NOREPLACE, -VMEM_EINVAL},
    {1, PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_EINVAL},
    {TOP, PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_ENOMEM},
    {TOP + 1, PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_ENOMEM},
    {TOP - PAGE + 1, PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_ENOMEM}, /* before the alignment is looked at */
    {TOP, PAGE, PROT_RW, PRIVATE | NOREPLACE, -VMEM_ENOMEM},
    {TOP - PAGE, 2 * PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_ENOMEM},
    {UINT64_MAX - PAGE + 1, PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_ENOMEM},
    {UINT64_MAX - PAGE + 1, 2 * PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_ENOMEM},
    {0, PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_EPERM},
    {0, PAGE, PROT_RW, PRIVATE | NOREPLACE, -VMEM_EPERM},
    {65536 - PAGE, 2 * PAGE, PROT_RW, PRIVATE | FIXED, -VMEM_EPERM},
    {W, PAGE, PROT_RW, PRIVATE | NOREPLACE, -VMEM_EEXIST},
    {W - PAGE, 2 * PAGE, PROT_RW, PRIVATE | NOREPLACE, -VMEM_EEXIST},
    {W + 5 * PAGE, 2 * PAGE, PROT_RW, PRIVATE | NOREPLACE, -VMEM_EEXIST},
    {W - 8 * PAGE, 32 * PAGE, PROT_RW, PRIVATE | NOREPLACE, -VMEM_EEXIST},
    {W, PAGE, PROT_RW, PRIVATE | FIXED | NOREPLACE, -VMEM_EEXIST},
    {0, PAGE, PROT_RW, VMEM_MMAP_PRIVATE, -VMEM_ENODEV},    /* files come with a later interface */
    {W + 16 * PAGE, PAGE, PROT_RW, PRIVATE | NOREPLACE, AT},
    {W + 16 * PAGE, PAGE, PROT_RW, PRIVATE, AT},
    {W + 16 * PAGE + 123, PAGE, PROT_RW, PRIVATE, AT},
    {W + 6 * PAGE, 10 * PAGE, PROT_RW, PRIVATE, AT},
    {W - PAGE, PAGE, PROT_RW, PRIVATE, AT},
    {W, PAGE, PROT_RW, PRIVATE, MOVED},
    {W + 2 * PAGE + 5, PAGE, PROT_RW, PRIVATE, MOVED},
    {W - PAGE, 2 * PAGE, PROT_RW, PRIVATE, MOVED},
    {W + 5 * PAGE, 2 * PAGE, PROT_RW, PRIVATE, MOVED},
    {0, 1, PROT_RW, PRIVATE, MOVED},
    {PAGE, PAGE, PROT_RW, PRIVATE, MOVED}, /* below the lowest: raised to it */
    {TOP, PAGE, PROT_RW, PRIVATE, MOVED},
    {UINT64_MAX - 5, PAGE, PROT_RW, PRIVATE, MOVED},
    {0, PAGE, R | 0x7ffffff8, PRIVATE, MOVED},	  /* unknown permission bits are ignored */
    {0, PAGE, PROT_RW, PRIVATE | 0x80000, MOVED}, /* so are SYNC and other flags without a meaning here */
    {0, PAGE, PROT_RW, PRIVATE | 0x40000000, MOVED},
    {0, PAGE, PROT_RW, PRIVATE | 0x200, MOVED},
    {0, PAGE, PROT_RW, SHARED, MOVED},
    {0, PAGE, PROT_RW,
	PRIVATE | VMEM_MMAP_NORESERVE | VMEM_MMAP_STACK | VMEM_MMAP_DENYWRITE | VMEM_MMAP_EXECUTABLE |
	    VMEM_MMAP_NONBLOCK | VMEM_MMAP_POPULATE,
	MOVED},
    {0, UINT64_C(8) << 30, 0, PRIVATE | VMEM_MMAP_NORESERVE, MOVED},
};

static void mmap_answers(void **state)
{
	(void)state;
	make_window();
	for (unsigned i = 0; i < sizeof(map_rows) / sizeof(map_rows[0]); i++) {
		const struct map_row *row = &map_rows[i];
		uint64_t address = resolve(row->address), at, length = (row->length + PAGE - 1) & ~(PAGE - 1);
		int answer = do_map(address, row->length, row->prot, row->flags, &at);
		if (answer != (row->answer < 0 ? row->answer : 0)) {
			fail_msg("row %u: %d", i, answer);
		}
		if (answer == 0) {
			bool asked = at == (address & ~(PAGE - 1));
			if (asked != (row->answer == AT) || at % PAGE != 0) {
				fail_msg("row %u: at %llx", i, (unsigned long long)at);
			}
			assert_true(at >= 65536 && at + length <= vmem_aspace_user_size());
			assert_true(at + length <= W || at >= W + 6 * PAGE);
			if (row->prot) {
				holds(at, 0);
				holds(at + length - 8, 0);
			}
			assert_int_equal(vmem_posix_munmap(&process, at, row->length), 0);
			absent(at);
		}
		assert_window();
	}
}

/* FIXED replaces exactly its range, whatever regions it meets; what is outside stays as it was. */
static void fixed_replaces(void **state)
{
	(void)state;
	uint64_t at;
	make_window();
	assert_int_equal(vmem_posix_mprotect(&process, W + PAGE, PAGE, R), 0);
	assert_int_equal(vmem_posix_mprotect(&process, W + 3 * PAGE, PAGE, 0), 0);
	assert_int_equal(do_map(W + PAGE, 4 * PAGE, PROT_RW, PRIVATE | FIXED, &at), 0);
	assert_int_equal(at, W + PAGE);
	holds(W, 1);
	for (unsigned i = 1; i < 5; i++) {
		holds(W + i * PAGE, 0);
		put_at(W + i * PAGE, 50 + i);
	}
	holds(W + 5 * PAGE, 6);
	assert_int_equal(do_map(W + 2 * PAGE, 1, 0, PRIVATE | FIXED, &at), 0);
	assert_int_equal(user_may(as, W + 2 * PAGE), 0);
	holds(W + PAGE, 51);
	holds(W + 3 * PAGE, 53);
	assert_int_equal(do_map(W - 2 * PAGE, 20 * PAGE, R, PRIVATE | FIXED, &at), 0);
	for (unsigned i = 0; i < 20; i++) {
		holds(W + i * PAGE - 2 * PAGE, 0);
		assert_int_equal(user_write(as, W + i * PAGE - 2 * PAGE, 1), VMEM_FAULT_PERMISSION);
	}
	assert_int_equal(vmem_posix_munmap(&process, W - 2 * PAGE, 20 * PAGE), 0);
	absent(W);
}

/* Without a hint places are taken from the top, side by side; what is freed is taken again. */
static void from_the_top(void **state)
{
	(void)state;
	uint64_t first, at, before;
	assert_int_equal(do_map(0, PAGE, PROT_RW, PRIVATE, &first), 0);
	before = first;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(do_map(0, (1 + i % 3) * PAGE, i % 2 ? R : PROT_RW, PRIVATE, &at), 0);
		assert_int_equal(at + (1 + i % 3) * PAGE, before);
		before = at;
	}
	assert_true(first <= UINT64_C(1) << 47);
	assert_int_equal(vmem_posix_munmap(&process, first, PAGE), 0);
	assert_int_equal(do_map(0, PAGE, PROT_RW, PRIVATE, &at), 0);
	assert_int_equal(at, first);
}

/* Shared anonymous memory: zero, kept while it is mapped, gone afterwards, and no neighbour's. */
static void shared_memory(void **state)
{
	(void)state;
	struct vmem_frame_stats before, after;
	uint64_t a, b;
	vmem_frame_stats(&before);
	assert_int_equal(do_map(0, 4 * PAGE, PROT_RW, SHARED, &a), 0);
	assert_int_equal(do_map(0, 4 * PAGE, PROT_RW, SHARED, &b), 0);
	holds(a, 0);
	put_at(a, 5);
	holds(a, 5);
	holds(b, 0);
	assert_int_equal(vmem_posix_mprotect(&process, a + PAGE, PAGE, R), 0);
	assert_int_equal(user_write(as, a + PAGE, 1), VMEM_FAULT_PERMISSION);
	holds(a, 5);
	assert_int_equal(vmem_posix_munmap(&process, a, 4 * PAGE), 0);
	assert_int_equal(vmem_posix_munmap(&process, b, 4 * PAGE), 0);
	vmem_frame_stats(&after);
	assert_int_equal(after.data, before.data);
}

struct change_row {
	uint64_t address, length;
	int prot, answer;
};

/* On the window, with page -1 and page 6 free. */
static const struct change_row protect_rows[] = {
    {W + 1, PAGE, R, -VMEM_EINVAL},
    {W + 1, 0, R, -VMEM_EINVAL},
    {W, 0, R, 0},
    {W, 0, 0x100, 0}, /* no length: nothing more is looked at */
    {0, 0, R, 0},
    {W, PAGE, 0x100, -VMEM_EINVAL},
    {W, PAGE, R | 0x10, -VMEM_EINVAL},
    {W - 2 * PAGE, PAGE, 0x100, -VMEM_EINVAL}, /* before the hole */
    {W, PAGE, PROT_RW | 8, 0},		       /* PROT_SEM */
    {W, PAGE, R | GROWSDOWN | GROWSUP, -VMEM_EINVAL},
    {W + 1, 0, R | GROWSDOWN | GROWSUP, -VMEM_EINVAL},
    {W + 1, PAGE, R | GROWSDOWN, -VMEM_EINVAL},
    {W, PAGE, R | GROWSDOWN, -VMEM_EINVAL}, /* a region that does not grow */
    {W, PAGE, R | GROWSUP, -VMEM_EINVAL},
    {W - PAGE, 3 * PAGE, R | GROWSDOWN, -VMEM_EINVAL},
    {W - PAGE, PAGE, R | GROWSDOWN, -VMEM_ENOMEM},
    {W - PAGE, 3 * PAGE, R | GROWSUP, -VMEM_ENOMEM},
    {W - PAGE, PAGE, R | GROWSUP, -VMEM_ENOMEM},
    {W - PAGE, PAGE, R, -VMEM_ENOMEM},
    {W - PAGE, 3 * PAGE, R, -VMEM_ENOMEM},
    {W, UINT64_MAX, R, -VMEM_ENOMEM},
    {W, UINT64_MAX - W + 1 - PAGE, 0x100, -VMEM_EINVAL},
    {W, UINT64_MAX - 100, 0x100, -VMEM_ENOMEM}, /* wraps */
    {TOP, PAGE, R, -VMEM_ENOMEM},
    {UINT64_C(0xffff800000000000), PAGE, R, -VMEM_ENOMEM},
    {UINT64_C(0xffff800000000000), PAGE, 0x100, -VMEM_EINVAL},
    {W + 6 * PAGE, PAGE, R, -VMEM_ENOMEM},
};

static void mprotect_answers(void **state)
{
	(void)state;
	make_window();
	for (unsigned i = 0; i < sizeof(protect_rows) / sizeof(protect_rows[0]); i++) {
		const struct change_row *row = &protect_rows[i];
		int answer = vmem_posix_mprotect(&process, resolve(row->address), row->length, row->prot);
		if (answer != row->answer) {
			fail_msg("row %u: %d", i, answer);
		}
		assert_window();
	}
}

/* What comes before the hole is changed although the call fails; what comes after is not. */
static void mprotect_partial(void **state)
{
	(void)state;
	make_window();
	assert_int_equal(vmem_posix_munmap(&process, W + 3 * PAGE, PAGE), 0);
	assert_int_equal(vmem_posix_mprotect(&process, W + PAGE, 4 * PAGE, R), -VMEM_ENOMEM);
	assert_int_equal(user_may(as, W), VMEM_READ | VMEM_WRITE);
	assert_int_equal(user_may(as, W + PAGE), VMEM_READ);
	assert_int_equal(user_may(as, W + 2 * PAGE), VMEM_READ);
	assert_int_equal(user_may(as, W + 4 * PAGE), VMEM_READ | VMEM_WRITE);
	holds(W + 2 * PAGE, 3);
	assert_int_equal(vmem_posix_mprotect(&process, W + 5 * PAGE, 2 * PAGE, 0), -VMEM_ENOMEM);
	assert_int_equal(user_may(as, W + 5 * PAGE), 0);
}

/* Down to nothing and back: content stays, and each page grants what was asked for, no more. */
static void mprotect_effects(void **state)
{
	(void)state;
	static const int prots[] = {
	    0, R, PROT_RW, PROT_RX, PROT_RW | PROT_RX, R, 0, PROT_RW, PROT_RX, 0, PROT_RW};
	uint64_t at;
	make_window();
	assert_int_equal(do_map(W + 16 * PAGE, 2 * PAGE, 0, PRIVATE, &at), 0);
	for (unsigned i = 0; i < sizeof(prots) / sizeof(prots[0]); i++) {
		assert_int_equal(vmem_posix_mprotect(&process, W + PAGE, 3 * PAGE - 7, prots[i]), 0);
		assert_int_equal(vmem_posix_mprotect(&process, at + PAGE, PAGE, prots[i]), 0);
		for (unsigned page = 1; page < 4; page++) {
			assert_int_equal(user_may(as, W + page * PAGE), prots[i]);
			if (prots[i] & R) {
				holds(W + page * PAGE, page + 1);
			}
		}
		assert_int_equal(user_may(as, W), PROT_RW);
		assert_int_equal(user_may(as, W + 4 * PAGE), PROT_RW);
		assert_int_equal(user_may(as, at), 0);
		assert_int_equal(user_may(as, at + PAGE), prots[i]);
		vmem_check();
	}
	assert_window();
}

static const struct change_row unmap_rows[] = {
    {W + 8, PAGE, 0, -VMEM_EINVAL},
    {W, 0, 0, -VMEM_EINVAL},
    {TOP, PAGE, 0, -VMEM_EINVAL},
    {TOP, 0, 0, -VMEM_EINVAL},
    {TOP + PAGE, 0, 0, -VMEM_EINVAL},
    {W, TOP, 0, -VMEM_EINVAL},
    {TOP - PAGE, PAGE + 1, 0, -VMEM_EINVAL},
    {W, UINT64_MAX, 0, -VMEM_EINVAL},
    {W, UINT64_MAX - PAGE, 0, -VMEM_EINVAL},
    {UINT64_MAX - PAGE + 1, PAGE, 0, -VMEM_EINVAL},
    {W - 2 * PAGE, PAGE, 0, 0}, /* nothing there: fine */
    {0, PAGE, 0, 0},
    {0, 65536 + PAGE, 0, 0},
    {TOP - PAGE, PAGE, 0, 0},
    {TOP - PAGE, 1, 0, 0},
};

static void munmap_answers(void **state)
{
	(void)state;
	make_window();
	for (unsigned i = 0; i < sizeof(unmap_rows) / sizeof(unmap_rows[0]); i++) {
		const struct change_row *row = &unmap_rows[i];
		int answer = vmem_posix_munmap(&process, resolve(row->address), resolve(row->length));
		if (answer != row->answer) {
			fail_msg("row %u: %d", i, answer);
		}
		assert_window();
	}
	assert_int_equal(vmem_posix_munmap(&process, W + 2 * PAGE, PAGE + 1), 0); /* the middle, rounded up */
	holds(W + PAGE, 2);
	absent(W + 2 * PAGE);
	absent(W + 3 * PAGE);
	holds(W + 4 * PAGE, 5);
	assert_int_equal(vmem_posix_munmap(&process, W - PAGE, 8 * PAGE), 0); /* across holes and both ends */
	for (unsigned i = 0; i < 6; i++) {
		absent(W + i * PAGE);
	}
	make_window();
	assert_window();
	assert_int_equal(vmem_posix_munmap(&process, 0, vmem_aspace_user_size()), 0); /* all there is */
	absent(W);
}

/* At the limit: what makes regions is refused and changes nothing, what makes none is not. */
static void region_limit(void **state)
{
	(void)state;
	uint64_t at;
	process.policy.max_regions = 5;
	vmem_posix_init(&process, as, &process.policy, 0);
	make_window();
	assert_int_equal(vmem_posix_mprotect(&process, W + PAGE, PAGE, R), 0);	   /* three */
	assert_int_equal(vmem_posix_mprotect(&process, W + 3 * PAGE, PAGE, R), 0); /* five */
	assert_int_equal(do_map(0, PAGE, PROT_RW, PRIVATE, &at), 0); /* mmap may pass the limit by one */
	assert_int_equal(do_map(0, PAGE, PROT_RW, PRIVATE, &at), -VMEM_ENOMEM); /* also where it would join */
	assert_int_equal(do_map(W + 16 * PAGE, PAGE, R, PRIVATE | FIXED, &at), -VMEM_ENOMEM);
	uint64_t above = W + PAGES(16);
	assert_int_equal(vmem_posix_munmap(&process, above, vmem_aspace_user_size() - above), 0);
	assert_int_equal(vmem_posix_mprotect(&process, W + 5 * PAGE, PAGE, 0), -VMEM_ENOMEM);
	assert_int_equal(user_may(as, W + 5 * PAGE), PROT_RW);
	assert_int_equal(vmem_posix_mprotect(&process, W + PAGE, PAGE, 0), 0); /* a whole region */
	assert_int_equal(vmem_posix_munmap(&process, W + 5 * PAGE, PAGE), 0);  /* the end of one */
	absent(W + 5 * PAGE);
	assert_int_equal(
	    do_map(W + 5 * PAGE, PAGE, PROT_RW, PRIVATE | FIXED, &at), 0); /* which grows again */
	assert_int_equal(vmem_posix_mprotect(&process, W + 3 * PAGE, PAGE, PROT_RW), 0); /* three left */
	assert_int_equal(vmem_posix_munmap(&process, W + 3 * PAGE, PAGE), 0);		 /* four */
	assert_int_equal(do_map(0, PAGE, PROT_RX, PRIVATE, &at), 0);
	assert_int_equal(vmem_posix_mprotect(&process, W + 4 * PAGE, PAGE, R), -VMEM_ENOMEM);
	assert_int_equal(vmem_posix_munmap(&process, at, PAGE), 0);
	assert_int_equal(vmem_posix_mprotect(&process, W + 4 * PAGE, PAGE, R), 0);
	assert_int_equal(vmem_posix_linux.max_regions, 65530);
}

static uint64_t brk(uint64_t to)
{
	return vmem_posix_brk(&process, to);
}

/* The break: bytes in, pages behind; the old one is the answer to whatever cannot be. */
static void break_moves(void **state)
{
	(void)state;
	const uint64_t start = UINT64_C(0x10000123), up = UINT64_C(0x10001000);
	uint64_t at;
	assert_int_equal(brk(0), start);
	assert_int_equal(brk(start - 1), start);
	assert_int_equal(brk(start), start);
	assert_int_equal(brk(start + 1), start + 1); /* still in the page of the program's data */
	absent(up);
	assert_int_equal(brk(up + 1), up + 1);
	holds(up, 0);
	put_at(up, 7);
	absent(up + PAGE);
	assert_int_equal(brk(up + 2), up + 2);
	assert_int_equal(brk(0), up + 2); /* kept to the byte */
	assert_int_equal(brk(up + PAGE), up + PAGE);
	absent(up + PAGE);
	assert_int_equal(brk(up + 1), up + 1);
	holds(up, 7); /* down within the page keeps it */
	assert_int_equal(brk(up), up);
	absent(up);
	assert_int_equal(brk(up + PAGE), up + PAGE);
	holds(up, 0); /* down and up again is zero */
	assert_int_equal(user_may(as, up), PROT_RW);

	assert_int_equal(do_map(up + 4 * PAGE, PAGE, PROT_RW, PRIVATE | NOREPLACE, &at), 0);
	assert_int_equal(brk(up + 5 * PAGE), up + PAGE);  /* into it */
	assert_int_equal(brk(up + 16 * PAGE), up + PAGE); /* past it */
	assert_int_equal(brk(up + 4 * PAGE), up + PAGE);  /* up to it: Linux keeps a page free */
	assert_int_equal(brk(up + 3 * PAGE + 1), up + PAGE);
	assert_int_equal(brk(up + 3 * PAGE), up + 3 * PAGE);
	assert_int_equal(brk(up + 3 * PAGE + 1), up + 3 * PAGE);
	assert_int_equal(vmem_posix_munmap(&process, up + 4 * PAGE, PAGE), 0);
	const int stack = PRIVATE | FIXED | VMEM_MMAP_GROWSDOWN;
	assert_int_equal(do_map(up + 264 * PAGE, PAGE, PROT_RW, stack, &at), 0);
	assert_int_equal(brk(up + 8 * PAGE), up + 3 * PAGE); /* a stack keeps its gap, and the page */
	assert_int_equal(brk(up + 7 * PAGE), up + 7 * PAGE);
	assert_int_equal(vmem_posix_munmap(&process, up + 264 * PAGE, PAGE), 0);
	assert_int_equal(brk(up + 16 * PAGE), up + 16 * PAGE);
	assert_int_equal(brk(UINT64_MAX), up + 16 * PAGE);
	assert_int_equal(brk(UINT64_MAX - PAGE + 1), up + 16 * PAGE);
	assert_int_equal(brk(vmem_aspace_user_size()), up + 16 * PAGE);
	assert_int_equal(vmem_posix_munmap(&process, up + 5 * PAGE, PAGE), 0);
	assert_int_equal(vmem_posix_munmap(&process, up + 2 * PAGE, 14 * PAGE), 0);
	assert_int_equal(brk(up + 2 * PAGE), up + 16 * PAGE); /* nothing is there to go */
	assert_int_equal(brk(start), start); /* down across the hole */
	absent(up);
	absent(up + 15 * PAGE);

	vmem_posix_init(&process, as, &vmem_posix_linux, 0); /* no heap */
	assert_int_equal(brk(up), 0);
	assert_int_equal(brk(0), 0);
}

/* No memory: the call fails with ENOMEM, and what it was to change is as it was. */
static void no_memory(void **state)
{
	(void)state;
	uint64_t at = 0;
	int answer = 0;
	make_window();
	for (unsigned n = 0; n < 100 && answer == 0; n++) {
		machine_fail_at(1);
		answer = do_map(UINT64_C(0x30000000) + n * 4 * PAGE, PAGE, PROT_RW, PRIVATE | FIXED, &at);
		machine_fail_at(0);
	}
	assert_int_equal(answer, -VMEM_ENOMEM);
	machine_fail_at(1);
	assert_int_equal(vmem_posix_mprotect(&process, W + 2 * PAGE, PAGE, R), -VMEM_ENOMEM);
	machine_fail_at(1);
	assert_int_equal(vmem_posix_munmap(&process, W + 2 * PAGE, PAGE), -VMEM_ENOMEM);
	machine_fail_at(1);
	assert_int_equal(do_map(W + 2 * PAGE, PAGE, R, PRIVATE | FIXED, &at), -VMEM_ENOMEM);
	machine_fail_at(1);
	assert_int_equal(do_map(0, PAGE, R, SHARED, &at), -VMEM_ENOMEM);
	machine_fail_at(1);
	assert_int_equal(brk(UINT64_C(0x10004000)), UINT64_C(0x10000123));
	machine_fail_at(0);
	assert_window();
	assert_int_equal(vmem_posix_munmap(&process, W, 6 * PAGE), 0);
}

/* With W^X the two together are EACCES, at mmap and at mprotect; elsewhere they are granted. */
static void write_and_execute(void **state)
{
	(void)state;
	uint64_t at;
	assert_int_equal(do_map(0, PAGE, PROT_RW | PROT_RX, PRIVATE, &at), 0);
	assert_int_equal(user_may(as, at), PROT_RW | PROT_RX);
	stop(NULL);
	const struct vmem_aspace_config config = {.wx = true};
	struct vmem_posix_policy policy = vmem_posix_linux;
	policy.wx = true;
	start_with(&config, &policy);
	make_window();
	assert_int_equal(do_map(0, PAGE, PROT_RW | PROT_RX, PRIVATE, &at), -VMEM_EACCES);
	assert_int_equal(do_map(W, PAGE, PROT_RW | PROT_RX, PRIVATE | FIXED, &at), -VMEM_EACCES);
	assert_int_equal(do_map(0, PAGE, PROT_RW | PROT_RX, SHARED, &at), -VMEM_EACCES);
	assert_int_equal(do_map(0, PAGE, VMEM_PROT_WRITE | VMEM_PROT_EXEC, PRIVATE, &at), -VMEM_EACCES);
	assert_int_equal(vmem_posix_mprotect(&process, W, PAGE, PROT_RW | PROT_RX), -VMEM_EACCES);
	assert_window();
	assert_int_equal(vmem_posix_mprotect(&process, W, PAGE, PROT_RX), 0);
	assert_int_equal(user_may(as, W), PROT_RX);
}

/* The one table of errors: each status has the number that Linux's callers expect. */
static void errno_table(void **state)
{
	(void)state;
	static const int expected[VMEM_STATUS_COUNT] = {
	    [VMEM_OK] = 0,
	    [VMEM_ERR_INVALID] = 22,
	    [VMEM_ERR_RANGE] = 12,
	    [VMEM_ERR_NO_MEMORY] = 12,
	    [VMEM_ERR_NO_SPACE] = 12,
	    [VMEM_ERR_EXISTS] = 17,
	    [VMEM_ERR_NOT_FOUND] = 12,
	    [VMEM_ERR_DENIED] = 13,
	    [VMEM_ERR_WX] = 13,
	    [VMEM_ERR_LIMIT] = 12,
	    [VMEM_ERR_STATE] = 22,
	    [VMEM_ERR_UNSUPPORTED] = 95,
	    [VMEM_ERR_FAULT] = 14,
	    [VMEM_ERR_CONFLICT] = 16,
	    [VMEM_ERR_SEALED] = 1,
	};
	for (unsigned i = 0; i < VMEM_STATUS_COUNT; i++) {
		assert_int_equal(vmem_posix_errno((vmem_status_t)i), expected[i]);
	}
	assert_int_equal(vmem_posix_errno((vmem_status_t)99), 22);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(mmap_answers),
	    CASE(fixed_replaces),
	    CASE(from_the_top),
	    CASE(shared_memory),
	    CASE(mprotect_answers),
	    CASE(mprotect_partial),
	    CASE(mprotect_effects),
	    CASE(munmap_answers),
	    CASE(region_limit),
	    CASE(break_moves),
	    CASE(no_memory),
	    CASE(write_and_execute),
	    CASE(errno_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
