/* SPDX-License-Identifier: MIT */
/*
 * test_machine_rules.c - the rules of the software machine: each violation is found on tables made by hand,
 * and what the manuals allow passes.
 */
#include "machine_fixture.h"

static void test_stale_leaf(void **state)
{
	uint64_t old = machine_page(), new = machine_page(), value;
	uint64_t *slot = raw_map(root, VA, old, 0, RAW_USUAL);
	(void)state;
	*at(old) = 1;
	*at(new) = 2;
	assert_true(load(0, VA, &value).ok && value == 1);
	assert_true(load(1, VA, &value).ok && value == 1);
	*slot = 0;
	machine_relax(1); /* the batch is open: legal, and the old translation is what is used */
	assert_true(load(0, VA, &value).ok && value == 1);
	machine_relax(-1);
	assert_clean();
	machine_check();
	assert_only(MACHINE_STALE_USED);
	machine_violations_clear();
	assert_true(load(0, VA, &value).ok && value == 1);
	assert_only(MACHINE_STALE_USED);
	machine_violations_clear();
	raw_flush_page(0, VA);
	assert_false(load(0, VA, &value).ok);
	assert_clean();
	machine_check();
	if (isa() == MACHINE_AARCH64) {
		assert_clean(); /* the flush was broadcast */
	} else {
		assert_only(MACHINE_STALE_USED);
		machine_violations_clear();
		raw_flush_page(1, VA);
		machine_check();
		assert_clean();
	}
	raw_flush_all(0); /* RISC-V: the absence was cached */
	*slot = raw_leaf(new, 0, RAW_USUAL, MACHINE_WB);
	assert_true(load(0, VA, &value).ok && value == 2);
	assert_clean();
}

static void test_stricter_is_spurious(void **state)
{
	uint64_t frame = machine_page(), value;
	uint64_t *slot = raw_map(root, VA, frame, 0, RAW_R | RAW_USER | RAW_ACCESSED);
	struct machine_result r;
	(void)state;
	assert_true(load(0, VA, &value).ok);
	*slot = raw_leaf(frame, 0, RAW_USUAL, MACHINE_WB);
	machine_check();
	r = store(0, VA, 1);
	assert_true(!r.ok && r.spurious);
	r = store(0, VA, 1);
	if (isa() == MACHINE_X86_64) {
		assert_true(r.ok); /* the fault itself has dropped the translation */
	} else {
		assert_true(!r.ok && r.spurious); /* for ever, until it is flushed */
		raw_flush_page(0, VA);
		assert_true(store(0, VA, 1).ok);
	}
	assert_true(machine_counters.spurious >= 1);
	assert_clean();
}

static void test_permission_cut(void **state)
{
	uint64_t frame = machine_page();
	uint64_t *slot = raw_map(root, VA, frame, 0, RAW_USUAL);
	(void)state;
	assert_true(store(0, VA, 1).ok);
	*slot = raw_leaf(frame, 0, RAW_R | RAW_USER | RAW_ACCESSED, MACHINE_WB);
	assert_true(store(0, VA, 2).ok);
	assert_only(MACHINE_STALE_USED);
}

static void test_ids(void **state)
{
	uint64_t other = new_root(), a = machine_page(), b = machine_page(), value;
	(void)state;
	*at(a) = 1;
	*at(b) = 2;
	uint64_t *slot = raw_map(root, VA, a, 0, RAW_USUAL);
	raw_map(other, VA, b, 0, RAW_USUAL);
	assert_true(load(0, VA, &value).ok && value == 1);
	raw_switch(0, other, 2);
	assert_true(load(0, VA, &value).ok && value == 2);
	raw_switch(0, root, 1);
	unsigned walks = (unsigned)machine_counters.walks;
	assert_true(load(0, VA, &value).ok && value == 1);
	assert_true(machine_counters.walks == walks); /* still cached */
	raw_switch(0, other, 2);
	*slot = 0;
	machine_check(); /* nothing can use it now */
	assert_clean();
	raw_switch(0, root, 1);
	machine_fill(0);
	assert_only(MACHINE_BAD_ID);
}

static void test_id_used_twice(void **state)
{
	uint64_t other = new_root(), value;
	(void)state;
	raw_map(root, VA, machine_page(), 0, RAW_USUAL);
	raw_map(other, VA, machine_page(), 0, RAW_USUAL);
	assert_true(load(0, VA, &value).ok);
	raw_switch(0, other, 1);
	machine_fill(0);
	assert_only(MACHINE_BAD_ID);
}

static void test_stale_table(void **state)
{
	uint64_t frame = machine_page(), value;
	uint64_t *slot = raw_map(root, VA, frame, 0, RAW_USUAL);
	uint64_t *upper = raw_slot(root, VA, 1);
	uint64_t table = (uint64_t)(uintptr_t)slot - machine_direct_map();
	(void)state;
	table &= ~(uint64_t)(MACHINE_PAGE - 1);
	assert_true(load(0, VA, &value).ok);
	*slot = 0;
	*upper = 0;
	if (isa() == MACHINE_X86_64) {
		x86_invpcid(0, X86_INVPCID_ADDRESS, 2, VA); /* another id */
	} else {
		raw_flush_page(0, VA); /* the leaf goes, the entry above it stays */
	}
	machine_check();
	assert_only(MACHINE_STALE_USED);
	machine_violations_clear();
	machine_frame_freed(table, 0);
	assert_only(MACHINE_FREED_REACHED);
	machine_violations_clear();
	raw_flush_all(0);
	machine_frame_allocated(table, 0);
	machine_frame_freed(table, 0);
	machine_check();
	assert_clean();
}

static void test_freed_frame(void **state)
{
	uint64_t frame = machine_page(), value;
	uint64_t *slot = raw_map(root, VA, frame, 0, RAW_USUAL);
	(void)state;
	machine_frame_allocated(frame, 0);
	assert_true(load(3, VA, &value).ok);
	*slot = 0;
	machine_frame_freed(frame, 0);
	assert_only(MACHINE_FREED_REACHED);
	machine_violations_clear();
	raw_flush_page(3, VA);
	machine_frame_allocated(frame, 0);
	machine_frame_freed(frame, 0);
	assert_clean();
	machine_frame_freed(frame, 0);
	assert_only(MACHINE_MISUSE);
	machine_violations_clear();
	*slot = raw_leaf(frame, 0, RAW_USUAL, MACHINE_WB); /* an entry that leads to free memory */
	machine_audit(0);
	assert_only(MACHINE_FREED_REACHED);
}

static void test_freed_inside_large_leaf(void **state)
{
	uint64_t value, va = UINT64_C(2) << 30;
	(void)state;
	*raw_map(root, va, UINT64_C(0x80000000), 1, RAW_USUAL) += 0;
	assert_true(load(0, va, &value).ok);
	*raw_slot(root, va, 1) = 0;
	machine_frame_freed(UINT64_C(0x80000000) + 7 * MACHINE_PAGE, 0);
	assert_true(machine_violations(MACHINE_FREED_REACHED) >= 1);
}

static void test_root_freed(void **state)
{
	(void)state;
	machine_frame_freed(root, 0);
	assert_only(MACHINE_FREED_REACHED);
	assert_true(machine_violations_all() == MACHINE_CPUS);
}

static void test_dirty_lost(void **state)
{
	uint64_t frame = machine_page();
	uint64_t *slot = raw_map(root, VA, frame, 0, RAW_USUAL);
	(void)state;
	assert_true(store(0, VA, 1).ok);
	machine_dirty_check(frame, false); /* the entry still says it */
	assert_clean();
	*slot =
	    raw_leaf(frame, 0, RAW_USUAL & ~(unsigned)RAW_DIRTY, MACHINE_WB); /* harvested, and not flushed */
	machine_check();
	assert_only(MACHINE_DIRTY_LOST);
	machine_violations_clear();
	assert_true(store(0, VA, 2).ok);
	assert_only(MACHINE_DIRTY_LOST);
	machine_violations_clear();
	*slot = 0;
	raw_flush_page(0, VA);
	machine_dirty_check(frame, true);
	assert_clean();
	machine_dirty_check(frame, false); /* nobody knows of the store any more */
	assert_only(MACHINE_DIRTY_LOST);
	machine_dirty_forget(frame);
	machine_violations_clear();
	machine_dirty_check(frame, false);
	assert_clean();
}

static void test_first_store_rechecks(void **state)
{
	uint64_t frame = machine_page(), value;
	uint64_t *slot = raw_map(root, VA, frame, 0, RAW_USUAL & ~(unsigned)RAW_DIRTY);
	(void)state;
	assert_true(load(0, VA, &value).ok);
	machine_relax(1);
	*slot = raw_leaf(frame, 0, RAW_R | RAW_USER | RAW_ACCESSED, MACHINE_WB);
	uint64_t before = *slot;
	assert_false(store(0, VA, 1).ok); /* the dirty bit is never set in an entry that has changed */
	assert_true(*slot == before);
	machine_relax(-1);
	assert_clean();
}

static void test_write_and_execute(void **state)
{
	uint64_t value;
	(void)state;
	raw_map(root, VA, machine_page(), 0, RAW_USUAL | RAW_X);
	assert_true(load(0, VA, &value).ok);
	assert_clean();
	machine_wx(root, true);
	machine_audit(0);
	assert_only(MACHINE_WX_LEAF);
	machine_violations_clear();
	*raw_slot(root, VA, 0) =
	    raw_leaf(machine_page(), 0, (RAW_USUAL | RAW_X) & ~(unsigned)RAW_DIRTY, MACHINE_WB);
	machine_audit(0); /* a clean one is writable all the same */
	assert_only(MACHINE_WX_LEAF);
	machine_violations_clear();
	machine_wx(root, false);
	machine_audit(0);
	assert_clean();
}

static void test_user_reaches_kernel(void **state)
{
	struct machine_range area = machine_kernel_area();
	uint64_t frame = machine_page(), secret = machine_page(), value;
	(void)state;
	raw_map(machine_kernel_root(), area.start, frame, 0, RAW_USUAL | RAW_GLOBAL);
	if (isa() != MACHINE_AARCH64) {
		memcpy(machine_ram(root + 2048), machine_ram(machine_kernel_root() + 2048), 2048);
		if (isa() == MACHINE_X86_64) { /* a supervisor-only table above keeps user mode out */
			machine_audit(0);
			assert_clean();
			for (unsigned l = 3; l > 0; l--) {
				*raw_slot(root, area.start, l) |= 4;
			}
		}
	}
	assert_true(load(0, area.start, &value).ok);
	assert_only(MACHINE_USER_KERNEL);
	machine_violations_clear();
	*raw_slot(isa() == MACHINE_AARCH64 ? machine_kernel_root() : root, area.start, 0) = 0;
	raw_flush_all(0);
	machine_kernel_only(secret, MACHINE_PAGE);
	raw_map(root, VA, secret, 0, RAW_R | RAW_USER | RAW_ACCESSED);
	machine_audit(0);
	assert_only(MACHINE_USER_KERNEL);
	machine_violations_clear();
	raw_map(root, VA, root, 0, RAW_R | RAW_USER | RAW_ACCESSED); /* a page table */
	machine_audit(0);
	assert_only(MACHINE_USER_KERNEL);
}

static void test_two_types(void **state)
{
	uint64_t frame = machine_page(), value;
	uint64_t *linear = raw_slot(machine_kernel_root(), machine_linear(frame), 1);
	(void)state;
	*raw_slot(root, VA, 0) = raw_leaf(frame, 0, RAW_USUAL, MACHINE_WC);
	assert_true(load(0, VA, &value).ok);
	assert_only(MACHINE_TWO_TYPES); /* the linear map has it write-back */
	machine_violations_clear();
	raw_flush_all(0);
	*linear = 0; /* as a kernel must, before it maps the frame otherwise */
	raw_flush_all(0);
	assert_true(load(0, VA, &value).ok);
	assert_clean();
	raw_map(root, VA + MACHINE_PAGE, frame, 0, RAW_USUAL);
	assert_true(load(1, VA + MACHINE_PAGE, &value).ok);
	assert_only(MACHINE_TWO_TYPES); /* against the other CPU's */
	machine_violations_clear();
	*raw_slot(root, VA + 2 * MACHINE_PAGE, 0) =
	    raw_leaf(machine_config()->device.start, 0, RAW_USUAL, MACHINE_UC);
	assert_true(store(1, VA + 2 * MACHINE_PAGE, VALUE).ok);
	assert_true(load(1, VA + 2 * MACHINE_PAGE, &value).ok && value == VALUE);
	assert_clean();
}

static void test_fetch(void **state)
{
	uint64_t frame = machine_page();
	(void)state;
	raw_map(root, VA, frame, 0, RAW_R | RAW_X | RAW_USER | RAW_ACCESSED);
	assert_true(fetch(0, VA).ok);
	if (isa() == MACHINE_X86_64) {
		assert_clean();
		return;
	}
	assert_only(MACHINE_FETCH_STALE);
	machine_violations_clear();
	machine_fetch_sync(0, frame, MACHINE_PAGE);
	assert_true(fetch(0, VA).ok);
	assert_clean();
	assert_true(fetch(1, VA).ok);
	if (isa() == MACHINE_RISCV) { /* FENCE.I is a hart's own */
		assert_only(MACHINE_FETCH_STALE);
		machine_violations_clear();
		machine_fetch_sync(1, frame, MACHINE_PAGE);
	}
	assert_true(fetch(1, VA).ok);
	assert_clean();
	at(frame)[2] = 7;
	assert_true(fetch(0, VA).ok);
	assert_clean(); /* another line of the page */
	assert_true(fetch(0, VA + 16).ok);
	assert_only(MACHINE_FETCH_STALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_stale_leaf),
	    CASE(test_stricter_is_spurious),
	    CASE(test_permission_cut),
	    CASE(test_ids),
	    CASE(test_id_used_twice),
	    CASE(test_stale_table),
	    CASE(test_freed_frame),
	    CASE(test_freed_inside_large_leaf),
	    CASE(test_root_freed),
	    CASE(test_dirty_lost),
	    CASE(test_first_store_rechecks),
	    CASE(test_write_and_execute),
	    CASE(test_user_reaches_kernel),
	    CASE(test_two_types),
	    CASE(test_fetch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
