/* SPDX-License-Identifier: MIT */
/*
 * test_spec000.c - document 000, promise by promise (tests/spec/000.md). What the page says of memory is
 * seen through the MMU: by user-mode accesses, and by what the page tables would let the hardware do.
 */
#include "space_fixture.h"

#include <vmem/wx.h>

/* The page's constants, as a program of that page writes them. */
#define PROT_READ 0x1u
#define PROT_WRITE 0x2u
#define PROT_EXEC 0x4u
#define PROT_NONE 0u
#define PROT_RW (0x1u | 0x2u)

#define HINT UINT64_C(0x20000000)
#define KIB UINT64_C(1024)

static struct vmem_aspace *space;

static int start(void **state)
{
	(void)state;
	struct machine_config config = machine_default(this_isa());
	struct vmem_aspace_config wx = {.wx = true};
	space_boot(&config);
	assert_int_equal(vmem_aspace_create(&wx, &space), VMEM_OK);
	space_enter(space, true);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	space_clean();
	vmem_aspace_activate(NULL);
	vmem_aspace_destroy(space);
	space_clean();
	machine_destroy();
	return 0;
}

static uint64_t map(uint64_t address, uint64_t length, uint32_t prot)
{
	uint64_t base = 1;
	assert_int_equal(vmem_wx_mmap(space, address, length, prot, &base), VMEM_OK);
	assert_int_equal(base % (4 * KIB), 0);
	return base;
}

static void expect(
    uint64_t va, enum vmem_fault_result read, enum vmem_fault_result write, enum vmem_fault_result exec)
{
	uint64_t value;
	uint32_t word;
	assert_int_equal(user_read(space, va, &value), read);
	assert_int_equal(user_exec(space, va, &word), exec);
	assert_int_equal(user_write(space, va, 1), write);
}

static void expect_unmapped(uint64_t va)
{
	expect(va, VMEM_FAULT_NO_REGION, VMEM_FAULT_NO_REGION, VMEM_FAULT_NO_REGION);
}

/* All that a program can see of a space's layout, and what it holds. */
struct layout {
	unsigned count;
	struct vmem_region_info region[128];
	struct vmem_aspace_stats stats;
	struct vmem_frame_stats frames;
};

static void layout_take(struct layout *l)
{
	memset(l, 0, sizeof(*l));
	for (uint64_t at = 0; vmem_region_next(space, at, &l->region[l->count]); l->count++) {
		assert_true(l->count < 127);
		at = l->region[l->count].start + l->region[l->count].length;
	}
	memset(&l->region[l->count], 0, sizeof(l->region[0]));
	vmem_aspace_stats(space, &l->stats);
	vmem_frame_stats(&l->frames);
	l->frames.cached = l->frames.allocations = l->frames.frees = 0;
}

/* The statement answers `status`, and nothing is different afterwards. */
#define REFUSED(statement, status)                                                                           \
	do {                                                                                                 \
		static struct layout before, after;                                                          \
		layout_take(&before);                                                                        \
		assert_int_equal(statement, status);                                                         \
		layout_take(&after);                                                                         \
		assert_memory_equal(&before, &after, sizeof(before));                                        \
	} while (0)

/* A region as a whole; fails if there is none that starts there. */
static struct vmem_region_info region_at(uint64_t start)
{
	struct vmem_region_info info;
	memset(&info, 0, sizeof(info));
	assert_true(vmem_region_next(space, start, &info));
	assert_int_equal(info.start, start);
	return info;
}

/* The hardware grants writing and execution of no page: looked for in each page of each region. */
static void assert_hardware_wx(void)
{
	struct vmem_region_info info;
	for (uint64_t at = 0; vmem_region_next(space, at, &info); at = info.start + info.length) {
		assert_true((info.permission & (VMEM_WRITE | VMEM_EXEC)) != (VMEM_WRITE | VMEM_EXEC));
		for (uint64_t va = info.start; va < info.start + info.length; va += PAGE) {
			struct machine_translation t;
			if (machine_translate(0, va, &t)) {
				assert_true(
				    (t.perm & MACHINE_PERM_UW) == 0 || (t.perm & MACHINE_PERM_UX) == 0);
			}
		}
	}
	(void)machine_audit(0);
	assert_int_equal(machine_violations(MACHINE_WX_LEAF), 0);
}

/* Address, length, protection, in this order; protection has 32 bits; an address or an error comes back. */
static void signature(void **state)
{
	(void)state;
	vmem_status_t (*call)(struct vmem_aspace *, uint64_t, uint64_t, uint32_t, uint64_t *) = vmem_wx_mmap;
	uint64_t base = 7;
	assert_int_equal(call(space, HINT, 2 * PAGE, PROT_READ, &base), VMEM_OK);
	assert_int_equal(base, HINT);
	assert_int_equal(region_at(HINT).length, 2 * PAGE);
	assert_int_equal(region_at(HINT).permission, VMEM_READ);
	base = 7;
	assert_int_not_equal(call(space, HINT, 0, PROT_READ, &base), VMEM_OK);
	assert_int_equal(base, 7);
}

/* The caller's space and no other gets the memory. */
static void own_space(void **state)
{
	(void)state;
	struct vmem_aspace_config wx = {.wx = true};
	struct vmem_aspace *other;
	uint64_t value;
	assert_int_equal(vmem_aspace_create(&wx, &other), VMEM_OK);
	assert_int_equal(map(HINT, PAGE, PROT_RW), HINT);
	assert_int_equal(user_write(space, HINT, 42), VMEM_FAULT_RESOLVED);
	space_enter(other, true);
	assert_int_equal(user_read(other, HINT, &value), VMEM_FAULT_NO_REGION);
	assert_int_equal(vmem_wx_mmap(other, HINT, PAGE, PROT_RW, &value), VMEM_OK);
	assert_int_equal(user_read(other, HINT, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 0);
	assert_int_equal(user_write(other, HINT, 43), VMEM_FAULT_RESOLVED);
	space_enter(space, true);
	assert_int_equal(user_read(space, HINT, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 42);
	vmem_aspace_destroy(other);
}

/* One run of addresses, each page of which is there and is its own. */
static void contiguous(void **state)
{
	(void)state;
	enum { PAGES = 40 };
	uint64_t base = map(0, PAGES * PAGE, PROT_RW), value;
	for (uint64_t i = 0; i < PAGES; i++) {
		assert_int_equal(user_write(space, base + i * PAGE, i + 1), VMEM_FAULT_RESOLVED);
		assert_int_equal(user_write(space, base + (i + 1) * PAGE - 8, ~i), VMEM_FAULT_RESOLVED);
	}
	for (uint64_t i = 0; i < PAGES; i++) {
		assert_int_equal(user_read(space, base + i * PAGE, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, i + 1);
		assert_int_equal(user_read(space, base + (i + 1) * PAGE - 8, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, ~i);
	}
}

/* Frames come when a page is first stored to, not with the mapping, and go with it. */
static void frames_on_demand(void **state)
{
	(void)state;
	struct vmem_aspace_stats stats;
	struct vmem_frame_stats before, after;
	uint64_t value;
	vmem_frame_stats(&before);
	uint64_t base = map(0, 1024 * PAGE, PROT_RW);
	vmem_aspace_stats(space, &stats);
	assert_int_equal(stats.committed, 0);
	assert_int_equal(user_read(space, base + 5 * PAGE, &value), VMEM_FAULT_RESOLVED);
	vmem_aspace_stats(space, &stats);
	assert_int_equal(stats.committed, 0);
	for (unsigned i = 0; i < 7; i++) {
		assert_int_equal(user_write(space, base + i * 64 * PAGE, i), VMEM_FAULT_RESOLVED);
	}
	vmem_aspace_stats(space, &stats);
	assert_int_equal(stats.committed, 7);
	vmem_frame_stats(&after);
	assert_int_equal(after.data, before.data + 7);
	assert_int_equal(vmem_wx_munmap(space, base, 1024 * PAGE), VMEM_OK);
	vmem_frame_stats(&after);
	assert_int_equal(after.data, before.data);
}

/* Zero wherever it is looked at first, in memory that another mapping had filled too. */
static void zeroed(void **state)
{
	(void)state;
	enum { PAGES = 300 };
	for (unsigned round = 0; round < 4; round++) {
		uint64_t base = map(0, PAGES * PAGE, PROT_RW), value;
		for (uint64_t i = 0; i < PAGES; i++) {
			uint64_t va = base + i * PAGE + (i * 8) % PAGE;
			if (i % 3 != 0) {
				assert_int_equal(user_read(space, va, &value), VMEM_FAULT_RESOLVED);
				assert_int_equal(value, 0);
			}
			assert_int_equal(user_write(space, va, ~UINT64_C(0)), VMEM_FAULT_RESOLVED);
			for (uint64_t at = 0; at < PAGE; at += 8) {
				if (base + i * PAGE + at != va) {
					assert_int_equal(user_read(space, base + i * PAGE + at, &value),
					    VMEM_FAULT_RESOLVED);
					assert_int_equal(value, 0);
				}
			}
			for (uint64_t at = 0; at < PAGE; at += 512) {
				assert_int_equal(
				    user_write(space, base + i * PAGE + at, 0x5a5a5a5a), VMEM_FAULT_RESOLVED);
			}
		}
		assert_int_equal(vmem_wx_munmap(space, base, PAGES * PAGE), VMEM_OK);
	}
}

/* Nothing but the space's own memory is behind it. */
static void anonymous(void **state)
{
	(void)state;
	uint64_t base = map(0, PAGE, PROT_RW);
	struct vmem_region_info info = region_at(base);
	assert_null(info.object);
	assert_int_equal(info.flags & VMEM_MAP_SHARED, 0);
	assert_int_equal(info.offset, 0);
}

/* Address down, length up, each by itself. */
static void rounding(void **state)
{
	(void)state;
	static const struct {
		uint64_t address, length, start, pages;
	} rows[] = {
	    {0x1fff, 1, 0, 1}, /* below the space: moved */
	    {HINT + 1, 1, HINT, 1},
	    {HINT + 0x10fff, 0xfff, HINT + 0x10000, 1},
	    {HINT + 0x20000, 0x1000, HINT + 0x20000, 1},
	    {HINT + 0x30000, 0x1001, HINT + 0x30000, 2},
	    {HINT + 0x40800, 0x1fff, HINT + 0x40000, 2},
	    {HINT + 0x50fff, 0x2001, HINT + 0x50000, 3},
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t base = map(rows[i].address, rows[i].length, PROT_RW);
		if (rows[i].start) {
			assert_int_equal(base, rows[i].start);
		}
		assert_int_equal(region_at(base).length, rows[i].pages * PAGE);
		assert_int_equal(user_write(space, base, 1), VMEM_FAULT_RESOLVED);
		assert_int_equal(user_write(space, base + rows[i].pages * PAGE - 8, 1), VMEM_FAULT_RESOLVED);
		expect_unmapped(base + rows[i].pages * PAGE);
	}
}

/* A page is 4 KiB on this ISA: permissions differ from one 4096-byte unit to the next. */
static void page_is_4k(void **state)
{
	(void)state;
	uint64_t base = map(HINT, 12 * KIB, PROT_RW);
	assert_int_equal(VMEM_PAGE_SIZE, 4096);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(user_write(space, base + i * 4096, i), VMEM_FAULT_RESOLVED);
	}
	assert_int_equal(vmem_wx_mprotect(space, base + 4096, 4096, PROT_READ), VMEM_OK);
	assert_int_equal(user_write(space, base + 4088, 1), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_write(space, base + 4096, 1), VMEM_FAULT_PERMISSION);
	assert_int_equal(user_write(space, base + 8184, 1), VMEM_FAULT_PERMISSION);
	assert_int_equal(user_write(space, base + 8192, 1), VMEM_FAULT_RESOLVED);
}

/* Each legal protection, before a page is there and after: what is granted, and no more than hardware must add. */
static void judge_protection(uint64_t va, uint32_t prot)
{
	unsigned may = user_may(space, va), floor = prot;
	unsigned ceiling = prot & (PROT_WRITE | PROT_EXEC) ? prot | PROT_READ
							   : prot; /* no CPU here writes without reading */
	assert_int_equal(may & floor, floor);
	assert_int_equal(may & ~ceiling, 0);
	struct machine_translation t;
	if (machine_translate(0, va, &t)) {
		assert_true((t.perm & MACHINE_PERM_UW) == 0 || prot & PROT_WRITE);
		assert_true((t.perm & MACHINE_PERM_UX) == 0 || prot & PROT_EXEC);
		assert_true((t.perm & MACHINE_PERM_UR) == 0 || prot != PROT_NONE);
	}
}

static void flags_control_access(void **state)
{
	(void)state;
	static const uint32_t legal[] = {0, 1, 2, 3, 4, 5};
	uint64_t value;
	for (unsigned i = 0; i < 6; i++) {
		uint64_t base = map(0, PAGE, legal[i]);
		judge_protection(base, legal[i]);
		judge_protection(base, legal[i]);
		for (unsigned k = 0; k < 6; k++) { /* and from there to each other, with the page present */
			assert_int_equal(vmem_wx_mprotect(space, base, PAGE, PROT_RW), VMEM_OK);
			assert_int_equal(user_write(space, base, 77 + k), VMEM_FAULT_RESOLVED);
			assert_int_equal(vmem_wx_mprotect(space, base, PAGE, legal[k]), VMEM_OK);
			judge_protection(base, legal[k]);
			assert_int_equal(vmem_wx_mprotect(space, base, PAGE, legal[i]), VMEM_OK);
			judge_protection(base, legal[i]);
		}
	}
	uint64_t base = map(0, PAGE, PROT_READ);
	assert_int_equal(user_read(space, base, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 0);
	assert_hardware_wx();
}

/* Writable and executable at once: refused when mapped and when changed, with a status of its own. */
static void wx_refused(void **state)
{
	(void)state;
	static const uint32_t illegal[] = {PROT_WRITE | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC};
	uint64_t out = 9;
	uint64_t rw = map(HINT, 4 * PAGE, PROT_RW), rx = map(0, PAGE, PROT_READ | PROT_EXEC);
	assert_int_equal(user_write(space, rw, 1), VMEM_FAULT_RESOLVED);
	for (unsigned i = 0; i < 2; i++) {
		REFUSED(vmem_wx_mmap(space, 0, PAGE, illegal[i], &out), VMEM_ERR_WX);
		REFUSED(vmem_wx_mmap(space, HINT + 16 * PAGE, PAGE, illegal[i], &out), VMEM_ERR_WX);
		REFUSED(vmem_wx_mmap(space, HINT, PAGE, illegal[i], &out), VMEM_ERR_WX);
		REFUSED(vmem_wx_mprotect(space, rw, PAGE, illegal[i]), VMEM_ERR_WX);
		REFUSED(vmem_wx_mprotect(space, rw, 4 * PAGE, illegal[i]), VMEM_ERR_WX);
		REFUSED(vmem_wx_mprotect(space, rx, PAGE, illegal[i]), VMEM_ERR_WX);
	}
	assert_int_equal(out, 9);
	struct vmem_aspace_config plain = {.wx = false};
	struct vmem_aspace *without;
	assert_int_equal(vmem_aspace_create(&plain, &without), VMEM_OK);
	assert_int_equal(vmem_wx_mmap(without, 0, PAGE, PROT_RW, &out), VMEM_ERR_INVALID);
	vmem_aspace_destroy(without);
}

/* The hardware never grants both, whatever came before: every change of protection with the page present, on two CPUs. */
static void wx_absent_from_hardware(void **state)
{
	(void)state;
	static const uint32_t steps[] = {3, 1, 5, 4, 0, 2, 5, 3, 4, 3, 0, 5, 1, 3, 5, 2, 4, 1, 5, 0, 3};
	uint64_t base = map(HINT, 8 * PAGE, PROT_RW), value;
	machine_cpu_set(1);
	space_enter(space, true);
	machine_cpu_set(0);
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_int_equal(vmem_wx_mprotect(space, base + (i % 3) * PAGE, 4 * PAGE, steps[i]), VMEM_OK);
		for (unsigned page = 0; page < 8; page++) {
			uint32_t prot = region_at(base).permission, word;
			struct vmem_region_info info;
			assert_true(vmem_region_next(space, base + page * PAGE, &info));
			prot = info.permission;
			for (unsigned cpu = 0; cpu < 2; cpu++) {
				machine_cpu_set(cpu);
				bool wrote = user_write(space, base + page * PAGE, i) == VMEM_FAULT_RESOLVED;
				bool ran = user_exec(space, base + page * PAGE, &word) == VMEM_FAULT_RESOLVED;
				(void)user_read(space, base + page * PAGE, &value);
				assert_int_equal(wrote, (prot & PROT_WRITE) != 0);
				assert_int_equal(ran, (prot & PROT_EXEC) != 0);
			}
		}
		machine_cpu_set(0);
		assert_hardware_wx();
		space_clean();
	}
	machine_cpu_set(1);
	vmem_aspace_activate(NULL);
	machine_cpu_set(0);
}

/* The way to run code: writable, write, read and execute by a call of its own. What runs is what was written. */
static void code_write_then_execute(void **state)
{
	(void)state;
	uint64_t base = map(0, 2 * PAGE, PROT_RW), value;
	uint32_t word;
	for (uint32_t round = 1; round < 4; round++) {
		for (uint64_t at = 0; at < 2 * PAGE; at += 1024) {
			assert_int_equal(user_write(space, base + at, at + round), VMEM_FAULT_RESOLVED);
		}
		assert_int_equal(user_exec(space, base, &word), VMEM_FAULT_PERMISSION);
		assert_int_equal(vmem_wx_mprotect(space, base, 2 * PAGE, PROT_READ | PROT_EXEC), VMEM_OK);
		for (uint64_t at = 0; at < 2 * PAGE; at += 1024) {
			assert_int_equal(user_exec(space, base + at, &word), VMEM_FAULT_RESOLVED);
			assert_int_equal(word, at + round);
			assert_int_equal(user_read(space, base + at, &value), VMEM_FAULT_RESOLVED);
			assert_int_equal(value, at + round);
			assert_int_equal(user_write(space, base + at, 0), VMEM_FAULT_PERMISSION);
		}
		assert_hardware_wx();
		assert_int_equal(vmem_wx_mprotect(space, base, 2 * PAGE, PROT_RW), VMEM_OK);
	}
}

/* A preferred address that is free is the one that is got. */
static void hint_taken(void **state)
{
	(void)state;
	static const uint64_t hints[] = {HINT, HINT + 64 * PAGE, UINT64_C(0x10000), UINT64_C(0x3f00000000)};
	for (unsigned i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		assert_int_equal(map(hints[i], 3 * PAGE, PROT_RW), hints[i]);
		assert_int_equal(user_write(space, hints[i], 1), VMEM_FAULT_RESOLVED);
	}
	assert_int_equal(map(HINT + 3 * PAGE, PAGE, PROT_RW), HINT + 3 * PAGE); /* right behind another */
	assert_int_equal(map(HINT - PAGE, PAGE, PROT_RW), HINT - PAGE);
}

/* Address 0: an address that is suitable is chosen: not null, aligned, of the user's half, and free. */
static void kernel_chooses(void **state)
{
	(void)state;
	uint64_t base[20];
	for (unsigned i = 0; i < 20; i++) {
		base[i] = map(i % 2 ? 0 : i, (1 + i) * PAGE, PROT_RW); /* what rounds to 0 is 0 */
		assert_int_not_equal(base[i], 0);
		assert_true(base[i] + (1 + i) * PAGE <= vmem_aspace_user_size());
		assert_int_equal(user_write(space, base[i], i), VMEM_FAULT_RESOLVED);
		for (unsigned k = 0; k < i; k++) {
			assert_true(
			    base[i] >= base[k] + (1 + k) * PAGE || base[k] >= base[i] + (1 + i) * PAGE);
		}
	}
}

/* An address in use, wholly or partly, is not taken: another is got, and what was there stays. */
static void hint_in_use_moved(void **state)
{
	(void)state;
	uint64_t old = map(HINT, 4 * PAGE, PROT_RW), value;
	static const struct {
		int64_t page;
		uint64_t pages;
	} rows[] = {{0, 4}, {0, 1}, {1, 1}, {3, 1}, {3, 9}, {-1, 2}, {-2, 8}, {2, 1}};
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(user_write(space, old + i * PAGE, 100 + i), VMEM_FAULT_RESOLVED);
	}
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t hint = HINT + (uint64_t)(rows[i].page * (int64_t)PAGE),
			 length = rows[i].pages * PAGE;
		uint64_t base = map(hint, length, PROT_RW);
		assert_true(base + length <= old || base >= old + 4 * PAGE);
		assert_int_not_equal(base, hint);
		assert_int_equal(user_read(space, base, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, 0);
		assert_int_equal(user_write(space, base, 1), VMEM_FAULT_RESOLVED);
	}
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(user_read(space, old + i * PAGE, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, 100 + i);
	}
	uint64_t kernel = map(UINT64_MAX - 5 * PAGE, PAGE, PROT_RW); /* no address of a program's: another */
	assert_true(kernel < vmem_aspace_user_size());
}

/* No bytes: refused, and nothing is there. So is a length that no rounding can hold, and what fits nowhere. */
static void zero_length(void **state)
{
	(void)state;
	uint64_t out = 9;
	(void)map(HINT, PAGE, PROT_RW);
	REFUSED(vmem_wx_mmap(space, 0, 0, PROT_RW, &out), VMEM_ERR_INVALID);
	REFUSED(vmem_wx_mmap(space, HINT, 0, PROT_RW, &out), VMEM_ERR_INVALID);
	REFUSED(vmem_wx_mmap(space, HINT + PAGE, 0, PROT_NONE, &out), VMEM_ERR_INVALID);
	REFUSED(vmem_wx_mmap(space, 0, UINT64_MAX, PROT_RW, &out), VMEM_ERR_INVALID);
	REFUSED(vmem_wx_mmap(space, 0, UINT64_MAX - PAGE + 2, PROT_RW, &out), VMEM_ERR_INVALID);
	REFUSED(vmem_wx_mmap(space, 0, UINT64_MAX - PAGE + 1, PROT_RW, &out), VMEM_ERR_NO_SPACE);
	REFUSED(vmem_wx_mmap(space, HINT, vmem_aspace_user_size(), PROT_RW, &out), VMEM_ERR_NO_SPACE);
	assert_int_equal(out, 9);
}

/* The mask has three bits; every other one is refused, alone and beside them. */
static void unknown_bits(void **state)
{
	(void)state;
	uint64_t out = 9, base = map(HINT, PAGE, PROT_RW);
	for (unsigned bit = 3; bit < 32; bit++) {
		uint32_t prot = UINT32_C(1) << bit;
		REFUSED(vmem_wx_mmap(space, 0, PAGE, prot, &out), VMEM_ERR_INVALID);
		REFUSED(vmem_wx_mmap(space, 0, PAGE, prot | PROT_RW, &out), VMEM_ERR_INVALID);
		REFUSED(vmem_wx_mprotect(space, base, PAGE, prot | PROT_READ), VMEM_ERR_INVALID);
	}
	assert_int_equal(out, 9);
}

static void prot_read(void **state)
{
	(void)state;
	uint64_t base = map(0, PAGE, PROT_READ);
	expect(base, VMEM_FAULT_RESOLVED, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION);
	expect(base + PAGE - 8, VMEM_FAULT_RESOLVED, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION);
}

static void prot_write(void **state)
{
	(void)state;
	uint64_t base = map(0, PAGE, PROT_RW), only = map(0, PAGE, PROT_WRITE), value;
	uint32_t word;
	expect(base, VMEM_FAULT_RESOLVED, VMEM_FAULT_RESOLVED, VMEM_FAULT_PERMISSION);
	assert_int_equal(user_write(space, base + 8, 5), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_read(space, base + 8, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 5);
	assert_int_equal(user_write(space, only, 5), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_exec(space, only, &word), VMEM_FAULT_PERMISSION);
}

static void prot_exec(void **state)
{
	(void)state;
	uint64_t base = map(0, PAGE, PROT_READ | PROT_EXEC), only = map(0, PAGE, PROT_EXEC);
	uint32_t word = 1;
	expect(base, VMEM_FAULT_RESOLVED, VMEM_FAULT_PERMISSION, VMEM_FAULT_RESOLVED);
	assert_int_equal(user_exec(space, only, &word), VMEM_FAULT_RESOLVED);
	assert_int_equal(word, 0);
	assert_int_equal(user_write(space, only, 1), VMEM_FAULT_PERMISSION);
}

/* A guard: the addresses are taken, and nothing of them can be reached, by the tables of the hardware either. */
static void prot_none(void **state)
{
	(void)state;
	uint64_t base = map(HINT, 3 * PAGE, PROT_NONE), value;
	struct machine_translation t;
	expect(base, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION);
	assert_int_not_equal(map(HINT, PAGE, PROT_RW), base);
	uint64_t rw = map(HINT + 16 * PAGE, 3 * PAGE, PROT_RW);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(user_write(space, rw + i * PAGE, 9), VMEM_FAULT_RESOLVED);
	}
	assert_int_equal(vmem_wx_mprotect(space, rw + PAGE, PAGE, PROT_NONE), VMEM_OK);
	expect(rw + PAGE, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION, VMEM_FAULT_PERMISSION);
	assert_true(!machine_translate(0, rw + PAGE, &t) || (t.perm & 7) == 0);
	assert_int_equal(user_read(space, rw, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(user_read(space, rw + 2 * PAGE, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(
	    vmem_wx_mprotect(space, rw + PAGE, PAGE, PROT_READ), VMEM_OK); /* what it held is kept */
	assert_int_equal(user_read(space, rw + PAGE, &value), VMEM_FAULT_RESOLVED);
	assert_int_equal(value, 9);
}

/* The address that comes back is that of the first byte: it is there, the one before is not. */
static void returns_base(void **state)
{
	(void)state;
	static const uint64_t hints[] = {0, HINT, HINT + 100 * PAGE + 123, HINT};
	for (unsigned i = 0; i < 4; i++) {
		uint64_t base = map(hints[i], 2 * PAGE + 1, PROT_RW);
		assert_int_equal(region_at(base).length, 3 * PAGE);
		assert_int_equal(user_write(space, base, i), VMEM_FAULT_RESOLVED);
		expect_unmapped(base - 8);
	}
}

/* An error changes nothing, whatever stage it comes from: a record that cannot be had, a quota, no room. */
static void errors_change_nothing(void **state)
{
	(void)state;
	uint64_t out = 9, base = map(HINT, 8 * PAGE, PROT_RW);
	for (uint64_t i = 0; i < 8; i++) {
		assert_int_equal(user_write(space, base + i * PAGE, i), VMEM_FAULT_RESOLVED);
	}
	REFUSED(vmem_wx_mprotect(space, HINT + 7 * PAGE, 2 * PAGE, PROT_READ), VMEM_ERR_NOT_FOUND);
	REFUSED(vmem_wx_mprotect(space, HINT, 0, PROT_READ), VMEM_ERR_INVALID);
	REFUSED(vmem_wx_munmap(space, HINT, 0), VMEM_ERR_INVALID);
	REFUSED(vmem_wx_munmap(space, UINT64_MAX - 10, 100), VMEM_ERR_RANGE);
	REFUSED(vmem_wx_munmap(space, UINT64_MAX - 4 * PAGE, PAGE), VMEM_ERR_RANGE);
	static struct layout before, after;
	vmem_status_t status = VMEM_OK;
	for (unsigned n = 0; n < 100 && status == VMEM_OK;
	     n++) { /* until a record needs a frame that cannot be had */
		layout_take(&before);
		machine_fail_at(1);
		status = vmem_wx_mmap(space, 0, PAGE, PROT_READ, &out);
		machine_fail_at(0);
	}
	assert_int_equal(status, VMEM_ERR_NO_MEMORY);
	layout_take(&after);
	assert_memory_equal(&before, &after, sizeof(before));
	struct vmem_aspace_config few = {.wx = true, .max_regions = 2};
	struct vmem_aspace *small;
	assert_int_equal(vmem_aspace_create(&few, &small), VMEM_OK);
	assert_int_equal(vmem_wx_mmap(small, HINT, PAGE, PROT_READ, &out), VMEM_OK);
	assert_int_equal(vmem_wx_mmap(small, HINT + 8 * PAGE, PAGE, PROT_READ, &out), VMEM_OK);
	assert_int_equal(vmem_wx_mmap(small, HINT + 16 * PAGE, PAGE, PROT_READ, &out), VMEM_ERR_LIMIT);
	vmem_aspace_destroy(small);
}

/* The page's first example. */
static void example_one_page(void **state)
{
	(void)state;
	const uint32_t prot_rw = 0x1 | 0x2;
	uint64_t addr = 0, value;
	assert_int_equal(vmem_wx_mmap(space, 0, 4096, prot_rw, &addr), VMEM_OK);
	assert_int_not_equal(addr, 0);
	for (uint64_t at = 0; at < 4096; at += 8) {
		assert_int_equal(user_read(space, addr + at, &value), VMEM_FAULT_RESOLVED);
		assert_int_equal(value, 0);
		assert_int_equal(user_write(space, addr + at, at), VMEM_FAULT_RESOLVED);
	}
}

/*
 * The page's second example: 64 KiB between two pages that are nobody's, and stay so: neither a placement
 * nor a hint gets them, until the mapping goes.
 */
static void example_guarded(void **state)
{
	(void)state;
	const uint32_t prot_rw = 0x1 | 0x2;
	uint64_t region[8];
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(vmem_wx_mmap(space, 0, 65536, prot_rw, &region[i]), VMEM_OK);
		assert_int_equal(user_write(space, region[i], 1), VMEM_FAULT_RESOLVED);
		assert_int_equal(user_write(space, region[i] + 65528, 1), VMEM_FAULT_RESOLVED);
	}
	for (unsigned i = 0; i < 8; i++) {
		expect_unmapped(region[i] - 8);
		expect_unmapped(region[i] - 4096);
		expect_unmapped(region[i] + 65536);
		expect_unmapped(region[i] + 65536 + 4088);
		assert_int_not_equal(map(region[i] - 4096, 4096, prot_rw), region[i] - 4096);
		assert_int_not_equal(map(region[i] + 65536, 4096, prot_rw), region[i] + 65536);
	}
	uint64_t moved =
	    map(region[0], 4096, prot_rw); /* a hint in use is placed by the kernel: guarded too */
	expect_unmapped(moved - 8);
	expect_unmapped(moved + 4096);
	assert_int_equal(vmem_wx_munmap(space, region[3], 65536), VMEM_OK);
	assert_int_equal(map(region[3], 65536, prot_rw), region[3]);
	assert_int_equal(
	    vmem_wx_munmap(space, region[4] + 4096, 4096), VMEM_OK); /* a hole in one leaves its guards */
	assert_int_equal(user_write(space, region[4] + 8192, 1), VMEM_FAULT_RESOLVED);
	expect_unmapped(region[4] + 4096);
	assert_int_not_equal(map(region[4] - 4096, 4096, prot_rw), region[4] - 4096);
	assert_int_not_equal(map(region[4] + 65536, 4096, prot_rw), region[4] + 65536);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(signature),
	    CASE(own_space),
	    CASE(contiguous),
	    CASE(frames_on_demand),
	    CASE(zeroed),
	    CASE(anonymous),
	    CASE(rounding),
	    CASE(page_is_4k),
	    CASE(flags_control_access),
	    CASE(wx_refused),
	    CASE(wx_absent_from_hardware),
	    CASE(code_write_then_execute),
	    CASE(hint_taken),
	    CASE(kernel_chooses),
	    CASE(hint_in_use_moved),
	    CASE(zero_length),
	    CASE(unknown_bits),
	    CASE(prot_read),
	    CASE(prot_write),
	    CASE(prot_exec),
	    CASE(prot_none),
	    CASE(returns_base),
	    CASE(errors_change_nothing),
	    CASE(example_one_page),
	    CASE(example_guarded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
