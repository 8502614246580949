/* SPDX-License-Identifier: MIT */
/*
 * test_object.c - O1 to O3, L5, L6, D1, and every status of object.h.
 */
#include "core_fixture.h"

#include "region.h"

static void creation(void **state)
{
	struct vmem_object *o = NULL;
	vmem_paddr_t frame;
	(void)state;
	REFUSED(VMEM_ERR_INVALID, vmem_object_create_anonymous(0, 0, &o));
	REFUSED(VMEM_ERR_INVALID, vmem_object_create_anonymous(PAGE, 2, &o));
	REFUSED(VMEM_ERR_RANGE, vmem_object_create_anonymous(UINT64_MAX, 0, &o));
	REFUSED(VMEM_ERR_RANGE, vmem_object_create_anonymous(UINT64_MAX - 100, VMEM_OBJECT_RESIZABLE, &o));
	SWEEP(0, vmem_object_create_anonymous(PAGE + 1, 0, &o));
	assert_int_equal(vmem_object_size(o), PAGES(2));
	struct vmem_object_info info = info_of(o);
	assert_true(info.size == PAGES(2) && info.resident == 0 && info.shared == 0 && info.mappings == 0 &&
		    info.references == 1 && info.flags == 0 && info.cache == VMEM_WRITE_BACK);
	assert_int_equal(vmem_object_frame(o, 0, &frame), VMEM_ERR_NOT_FOUND);
	assert_int_equal(vmem_object_frame(o, PAGES(2), &frame), VMEM_ERR_RANGE);
	vmem_object_hold(o);
	assert_int_equal(info_of(o).references, 2);
	release(o);
	assert_int_equal(peek(o, 1), 0);
	release(o);
	OK(vmem_object_create_anonymous(UINT64_MAX - PAGE, 0, &o));
	poke(o, (UINT64_MAX >> 12) - 1, 7);
	assert_int_equal(peek(o, (UINT64_MAX >> 12) - 1), 7);
	OK(vmem_object_zero(o, 0, vmem_object_size(o)));
	assert_int_equal(info_of(o).resident, 0);
	REFUSED(VMEM_ERR_NO_MEMORY, vmem_object_commit(o, 0, UINT64_C(1) << 40));
	REFUSED(VMEM_ERR_NO_MEMORY, vmem_object_commit(o, 0, UINT64_C(1) << 62));
	release(o);
}

static void bytes(void **state)
{
	struct vmem_object *o = anonymous(4, 0);
	uint8_t in[9000], out[9000];
	size_t done = 5;
	(void)state;
	for (unsigned i = 0; i < sizeof(in); i++) {
		in[i] = (uint8_t)(i * 31 + (i >> 7));
	}
	OK(vmem_object_write(o, 100, in, sizeof(in), &done));
	assert_int_equal(done, sizeof(in));
	OK(vmem_object_read(o, 100, out, sizeof(out), &done));
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(info_of(o).resident, 3);
	OK(vmem_object_read(o, 0, out, 100, NULL));
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(out[i], 0);
	}
	OK(vmem_object_read(o, PAGES(4), out, 0, &done));
	OK(vmem_object_write(o, PAGES(4), out, 0, &done));
	assert_int_equal(done, 0);
	REFUSED(VMEM_ERR_RANGE, vmem_object_read(o, PAGES(4), out, 1, &done));
	REFUSED(VMEM_ERR_RANGE, vmem_object_write(o, PAGES(4) - 1, out, 2, &done));
	REFUSED(VMEM_ERR_RANGE, vmem_object_write(o, UINT64_MAX, out, 2, &done));
	REFUSED(VMEM_ERR_RANGE, vmem_object_read(o, 0, out, SIZE_MAX, &done));
	struct vmem_object *child = snapshot(o, 0, 4);
	machine_fail_at(2); /* the first page is copied, the second cannot be */
	assert_int_equal(vmem_object_write(o, 4000, out, 2000, &done), VMEM_ERR_NO_MEMORY);
	machine_fail_at(0);
	assert_true(done == 0 || done == 96);
	step();
	release(child);
	release(o);
}

static void zero_in_parts(void **state)
{
	static const struct {
		uint64_t offset, length;
	} parts[] = {{0, 1}, {4095, 2}, {4096, 4096}, {100, 8192}, {1, 4095}, {0, 16384}, {12288, 100},
	    {5000, 20}, {16384, 0}};
	struct vmem_object *o = anonymous(4, 0);
	uint8_t in[16384], out[16384];
	(void)state;
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (unsigned shared = 0; shared < 2; shared++) {
			struct vmem_object *child = NULL;
			memset(in, 0xa5, sizeof(in));
			OK(vmem_object_write(o, 0, in, sizeof(in), NULL));
			child = shared ? snapshot(o, 0, 4) : NULL;
			OK(vmem_object_zero(o, parts[i].offset, parts[i].length));
			if (parts[i].length) {
				memset(in + parts[i].offset, 0, parts[i].length);
			}
			OK(vmem_object_read(o, 0, out, sizeof(out), NULL));
			assert_memory_equal(in, out, sizeof(in));
			if (child) {
				memset(in, 0xa5, sizeof(in));
				OK(vmem_object_read(child, 0, out, sizeof(out), NULL));
				assert_memory_equal(in, out, sizeof(in));
				release(child);
			}
		}
	}
	OK(vmem_object_zero(o, 0, PAGES(4)));
	assert_int_equal(info_of(o).resident, 0);
	OK(vmem_object_zero(o, 5, 100)); /* nothing there: nothing made */
	assert_int_equal(info_of(o).resident, 0);
	REFUSED(VMEM_ERR_RANGE, vmem_object_zero(o, PAGES(4), 1));
	REFUSED(VMEM_ERR_RANGE, vmem_object_zero(o, 1, UINT64_MAX));
	poke(o, 0, 1);
	struct vmem_object *child = snapshot(o, 0, 4);
	SWEEP(1, vmem_object_zero(o, 5, 100));
	release(child);
	release(o);
}

static void commit(void **state)
{
	struct vmem_object *o = anonymous(300, 0);
	uint64_t data = frames_now().data;
	(void)state;
	REFUSED(VMEM_ERR_INVALID, vmem_object_commit(o, 1, PAGE));
	REFUSED(VMEM_ERR_INVALID, vmem_object_commit(o, 0, 5));
	REFUSED(VMEM_ERR_INVALID, vmem_object_commit(o, 0, 0));
	REFUSED(VMEM_ERR_RANGE, vmem_object_commit(o, PAGE, PAGES(300)));
	REFUSED(VMEM_ERR_INVALID, vmem_object_decommit(o, 1, PAGE));
	REFUSED(VMEM_ERR_RANGE, vmem_object_decommit(o, PAGES(300), PAGE));
	for (uint64_t i = 0; i < 300; i += 7) {
		poke(o, i, i);
	}
	struct vmem_object *child = snapshot(o, 0, 300);
	SWEEP(1, vmem_object_commit(o, PAGES(3), PAGES(290)));
	assert_int_equal(frames_now().data - data, 43 + 290);
	assert_int_equal(info_of(o).resident, 292);
	assert_int_equal(info_of(o).shared, 2);
	for (uint64_t i = 0; i < 300; i++) {
		assert_int_equal(peek(o, i), i % 7 ? 0 : i);
		assert_int_equal(peek(child, i), i % 7 ? 0 : i);
	}
	OK(vmem_object_commit(o, PAGES(3), PAGES(290))); /* nothing is missing: nothing is asked */
	assert_int_equal(frames_now().data - data, 43 + 290);
	OK(vmem_object_decommit(o, 0, PAGES(300)));
	assert_int_equal(frames_now().data - data, 43);
	for (uint64_t i = 0; i < 300; i += 7) {
		assert_int_equal(peek(o, i), 0);
		assert_int_equal(peek(child, i), i);
	}
	release(o);
	release(child);
	assert_int_equal(frames_now().data, data);
}

static void slices(void **state)
{
	struct vmem_object *o = anonymous(8, 0), *growing = anonymous(8, VMEM_OBJECT_RESIZABLE), *s, *inner;
	(void)state;
	REFUSED(VMEM_ERR_INVALID, vmem_object_slice(o, 1, PAGE, &s));
	REFUSED(VMEM_ERR_INVALID, vmem_object_slice(o, 0, 0, &s));
	REFUSED(VMEM_ERR_RANGE, vmem_object_slice(o, PAGES(7), PAGES(2), &s));
	REFUSED(VMEM_ERR_RANGE, vmem_object_slice(o, UINT64_MAX - PAGE + 1, PAGES(2), &s));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_slice(growing, 0, PAGE, &s));
	SWEEP(0, vmem_object_slice(o, PAGES(2), PAGES(4), &s));
	OK(vmem_object_slice(s, PAGE, PAGES(2), &inner));
	poke(inner, 1, 44);
	assert_int_equal(peek(o, 4), 44);
	assert_int_equal(peek(s, 2), 44);
	poke(o, 3, 33);
	assert_int_equal(peek(inner, 0), 33);
	struct vmem_object *child =
	    snapshot(s, 1, 6); /* past the slice's end reads zero, whatever the store has there */
	poke(o, 6, 66);
	poke(o, 3, 1);
	assert_int_equal(peek(child, 0), 33);
	assert_int_equal(peek(child, 1), 44);
	assert_int_equal(peek(child, 3), 0);
	REFUSED(VMEM_ERR_RANGE, vmem_object_read(inner, PAGES(2), &state, 1, NULL));
	release(o);
	release(s);
	assert_int_equal(peek(inner, 0), 1);
	release(inner);
	assert_int_equal(peek(child, 0), 33);
	release(child);
	release(growing);
}

static void windows(void **state)
{
	struct vmem_object *o = anonymous(200, 0), *past, *straddles, *child;
	(void)state;
	for (uint64_t i = 0; i < 200; i++) {
		poke(o, i, 1000 + i);
	}
	REFUSED(VMEM_ERR_INVALID, vmem_object_snapshot(o, 1, PAGE, &child));
	REFUSED(VMEM_ERR_INVALID, vmem_object_snapshot(o, 0, 0, &child));
	REFUSED(VMEM_ERR_RANGE, vmem_object_snapshot(o, UINT64_MAX & ~VMEM_PAGE_MASK, PAGES(2), &child));
	REFUSED(VMEM_ERR_RANGE, vmem_object_snapshot(o, 0, UINT64_MAX, &child));
	past = snapshot(o, 200, 5);
	straddles = snapshot(o, 195, 10);
	child = snapshot(o, 60, 10);
	assert_int_equal(info_of(past).resident, 0);
	assert_int_equal(info_of(straddles).resident, 5);
	assert_int_equal(info_of(child).resident, 10);
	assert_int_equal(info_of(child).shared, 10);
	assert_int_equal(info_of(o).shared, 15);
	poke(past, 4, 5);
	poke(straddles, 9, 6);
	poke(straddles, 0, 7);
	assert_int_equal(peek(o, 195), 1195);
	assert_int_equal(peek(straddles, 4), 1199);
	assert_int_equal(peek(straddles, 5), 0);
	struct vmem_object *again = snapshot(straddles, 4, 6);
	assert_int_equal(peek(again, 0), 1199);
	assert_int_equal(peek(again, 5), 6);
	poke(o, 65, 1);
	assert_int_equal(peek(child, 5), 1065);
	OK(vmem_object_decommit(o, 0, PAGES(200)));
	for (uint64_t i = 0; i < 10; i++) {
		assert_int_equal(peek(child, i), 1060 + i);
	}
	release(o);
	release(straddles);
	assert_int_equal(peek(again, 0), 1199);
	release(again);
	release(past);
	SWEEP(0, vmem_object_snapshot(child, 0, PAGES(10), &o));
	release(child);
	assert_int_equal(peek(o, 9), 1069);
	release(o);
}

/* Windows of windows, each at the far end: keys come to an end before offsets do. */
static void far_windows(void **state)
{
	const uint64_t far = (UINT64_C(1) << 52) - 2;
	struct vmem_object *chain[5] = {anonymous(1, 0)}, *child;
	(void)state;
	for (unsigned i = 1; i < 5; i++) {
		chain[i] = snapshot(chain[i - 1], far, 1);
	}
	poke(chain[4], 0, 5);
	REFUSED(VMEM_ERR_RANGE, vmem_object_snapshot(chain[4], PAGES(far), PAGE, &child));
	for (unsigned i = 0; i < 5; i++) {
		release(chain[i]);
	}
}

/* With mappings: what is cut off is gone from the hardware at once, and from private copies too
 * (contract 2.3). */
static void resize(void **state)
{
	struct vmem_aspace *as = space(), *bs = space();
	struct vmem_object *o = anonymous(20, VMEM_OBJECT_RESIZABLE), *fixed = anonymous(2, 0);
	(void)state;
	run(0, as);
	run(1, bs);
	run(2, as);
	machine_cpu_set(0);
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_resize(fixed, PAGE));
	REFUSED(VMEM_ERR_RANGE, vmem_object_resize(o, UINT64_MAX));
	uint64_t a = map_object(as, o, 0, 20, RW, VMEM_MAP_SHARED),
		 b = map_object(bs, o, 5, 15, VMEM_READ, VMEM_MAP_SHARED);
	uint64_t private = map_object(as, o, 4, 16, RW, 0);
	fill(as, a, 20, 1);
	put(as, 0, private + PAGES(2), 77);
	put(as, 0, private + PAGES(10), 88);
	assert_int_equal(get(bs, 1, b + PAGES(9)), 15);
	assert_int_equal(get(as, 2, private + PAGES(9)), 14);
	struct vmem_object *child = snapshot(o, 0, 20);
	warm();
	OK(vmem_object_resize(o, PAGES(10) - 5));
	assert_int_equal(vmem_object_size(o), PAGES(10));
	DENIED(VMEM_FAULT_BEYOND_END, as, 2, a + PAGES(10), MACHINE_READ);
	DENIED(VMEM_FAULT_BEYOND_END, bs, 1, b + PAGES(9), MACHINE_READ);
	DENIED(VMEM_FAULT_BEYOND_END, as, 2, private + PAGES(10), MACHINE_READ);
	DENIED(VMEM_FAULT_BEYOND_END, as, 2, private + PAGES(9), MACHINE_WRITE);
	assert_int_equal(get(as, 2, private + PAGES(2)), 77);
	assert_int_equal(get(as, 2, a + PAGES(9)), 10);
	OK(vmem_object_resize(o, PAGES(20)));
	assert_int_equal(get(as, 2, a + PAGES(10)), 0);
	assert_int_equal(get(as, 2, private + PAGES(10)), 0);
	assert_int_equal(get(bs, 1, b + PAGES(9)), 0);
	assert_int_equal(peek(child, 14), 15);
	assert_int_equal(info_of(o).writable, 2);
	OK(vmem_object_resize(o, 0));
	assert_int_equal(info_of(o).resident, 0);
	DENIED(VMEM_FAULT_BEYOND_END, as, 2, a, MACHINE_READ);
	DENIED(VMEM_FAULT_BEYOND_END, as, 2, private + PAGES(2), MACHINE_READ);
	OK(vmem_object_resize(o, 0));
	OK(vmem_object_resize(o, PAGES(3)));
	assert_int_equal(get(as, 2, a + PAGES(2)), 0);
	assert_int_equal(peek(child, 14), 15);
	step();
	release(child);
	release(fixed);
	release(o);
	end(as);
	end(bs);
}

static void decommit_mapped(void **state)
{
	struct vmem_aspace *as = space();
	struct vmem_object *o = anonymous(64, 0);
	(void)state;
	run_all(as);
	uint64_t va = map_object(as, o, 0, 64, RW, VMEM_MAP_SHARED);
	fill(as, va, 64, 1);
	warm();
	OK(vmem_object_decommit(o, PAGES(3), PAGES(20)));
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		assert_int_equal(get(as, cpu, va + PAGES(3)), 0);
		assert_int_equal(get(as, cpu, va + PAGES(23)), 24);
	}
	warm();
	OK(vmem_object_zero(o, PAGES(30) + 8, PAGES(2)));
	assert_int_equal(get(as, 3, va + PAGES(30)), 31);
	assert_int_equal(get(as, 3, va + PAGES(31)), 0);
	put(as, 2, va + PAGES(31), 9);
	assert_int_equal(peek(o, 31), 9);
	release(o);
	unmap(as, va, 64);
	end(as);
}

static void contiguous(void **state)
{
	struct vmem_object *o, *child;
	vmem_paddr_t frame, next;
	uint64_t word = 0;
	const struct machine_range low = machine_config()->ram[0];
	(void)state;
	REFUSED(VMEM_ERR_INVALID, vmem_object_create_contiguous(0, 0, 0, VMEM_WRITE_BACK, &o));
	REFUSED(VMEM_ERR_INVALID, vmem_object_create_contiguous(PAGE, 3, 0, VMEM_WRITE_BACK, &o));
	REFUSED(VMEM_ERR_INVALID, vmem_object_create_contiguous(PAGE, 0, 0, VMEM_CACHE_COUNT, &o));
	REFUSED(VMEM_ERR_RANGE, vmem_object_create_contiguous(UINT64_MAX, 0, 0, VMEM_WRITE_BACK, &o));
	REFUSED(
	    VMEM_ERR_NO_MEMORY, vmem_object_create_contiguous(UINT64_C(1) << 32, 0, 0, VMEM_WRITE_BACK, &o));
	REFUSED(VMEM_ERR_NO_MEMORY, vmem_object_create_contiguous(PAGE, 0, PAGE, VMEM_WRITE_BACK, &o));
	SWEEP(1,
	    vmem_object_create_contiguous(PAGES(5), PAGES(64), low.start + PAGES(200), VMEM_WRITE_BACK, &o));
	OK(vmem_object_frame(o, 0, &frame));
	OK(vmem_object_frame(o, PAGES(4) + 9, &next));
	assert_int_equal(frame & (PAGES(64) - 1), 0);
	assert_int_equal(next, frame + PAGES(4));
	assert_true(frame + PAGES(5) <= low.start + PAGES(200));
	assert_int_equal(info_of(o).resident, 5);
	for (uint64_t i = 0; i < PAGES(5); i += 8) { /* zeroed */
		assert_int_equal(vmem_object_read(o, i, &word, 8, NULL), VMEM_OK);
		assert_int_equal(word, 0);
	}
	poke(o, 4, 9);
	assert_int_equal(peek(o, 4), 9);
	OK(vmem_object_zero(o, PAGES(4), 1));
	OK(vmem_object_commit(o, 0, PAGES(5)));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_decommit(o, 0, PAGE));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_resize(o, PAGE));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_snapshot(o, 0, PAGE, &child));
	OK(vmem_object_slice(o, PAGE, PAGES(2), &child));
	OK(vmem_object_frame(child, PAGE, &next));
	assert_int_equal(next, frame + PAGES(2));
	release(o);
	release(child);
}

/* D1: RAM of an odd attribute is in nothing but its own mappings; it returns when the last object goes. */
static void odd_attributes(void **state)
{
	const struct vmem_frame_request request = {.order = 2};
	struct vmem_object *a, *b, *c, *o;
	struct machine_translation t;
	vmem_paddr_t frame;
	uint64_t word;
	void *at;
	(void)state;
	warm();
	OK(vmem_frame_alloc(&request, &frame));
	const uint64_t linear = machine_linear(frame);
	OK(vmem_object_create_physical(frame, PAGES(2), VMEM_WRITE_COMBINING, &a));
	OK(vmem_object_create_physical(
	    frame, PAGES(4), VMEM_WRITE_COMBINING, &b)); /* a part is out already */
	OK(vmem_object_create_physical(frame + PAGE, PAGE, VMEM_WRITE_COMBINING, &c));
	REFUSED(VMEM_ERR_CONFLICT, vmem_object_create_physical(frame, PAGE, VMEM_WRITE_BACK, &o));
	REFUSED(VMEM_ERR_CONFLICT, vmem_object_create_physical(frame + PAGES(3), PAGE, VMEM_UNCACHED, &o));
	REFUSED(VMEM_ERR_CONFLICT, vmem_kernel_map(frame, 1, RW, VMEM_WRITE_BACK, &at));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_read(a, 0, &word, 8, NULL));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_write(a, 0, &word, 8, NULL));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_zero(a, 0, 8));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_decommit(a, 0, PAGE));
	OK(vmem_object_create_contiguous(PAGE, 0, 0, VMEM_UNCACHED, &o)); /* outside the direct map too */
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_read(o, 0, &word, 8, NULL));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_write(o, 0, &word, 8, NULL));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_zero(o, 0, 8));
	release(o);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(machine_translate(1, linear + PAGES(i), &t));
	}
	release(b);
	for (unsigned i = 0; i < 4; i++) { /* two are a's still, one c's too */
		assert_int_equal(machine_translate(1, linear + PAGES(i), &t), i >= 2);
	}
	release(a);
	assert_true(machine_translate(1, linear, &t));
	assert_false(machine_translate(1, linear + PAGE, &t));
	OK(vmem_object_create_physical(
	    frame + PAGES(2), PAGES(2), VMEM_WRITE_BACK, &a)); /* free for another attribute */
	release(c);
	release(a);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(machine_translate(3, linear + PAGES(i), &t));
		assert_int_equal(t.pa, frame + PAGES(i));
		assert_int_equal(t.type, MACHINE_WB);
	}
	vmem_frame_free(frame, 2);
	step();
}

static void physical(void **state)
{
	const struct machine_range d = machine_config()->device, ram = machine_config()->ram[0];
	const uint64_t beyond = UINT64_C(1) << machine_config()->pa_bits;
	struct vmem_object *o;
	(void)state;
	REFUSED(VMEM_ERR_INVALID, vmem_object_create_physical(d.start + 1, PAGE, VMEM_UNCACHED, &o));
	REFUSED(VMEM_ERR_INVALID, vmem_object_create_physical(d.start, 1, VMEM_UNCACHED, &o));
	REFUSED(VMEM_ERR_INVALID, vmem_object_create_physical(d.start, 0, VMEM_UNCACHED, &o));
	REFUSED(VMEM_ERR_INVALID, vmem_object_create_physical(d.start, PAGE, VMEM_CACHE_COUNT, &o));
	REFUSED(VMEM_ERR_RANGE, vmem_object_create_physical(beyond, PAGE, VMEM_UNCACHED, &o));
	REFUSED(VMEM_ERR_RANGE, vmem_object_create_physical(beyond - PAGE, PAGES(2), VMEM_UNCACHED, &o));
	REFUSED(VMEM_ERR_CONFLICT,
	    vmem_object_create_physical(ram.start - PAGE, PAGES(2), VMEM_WRITE_COMBINING, &o));
	REFUSED(
	    VMEM_ERR_CONFLICT, vmem_object_create_physical(ram.start - PAGE, PAGES(2), VMEM_WRITE_BACK, &o));
	const struct machine_range last = machine_ram_left(machine_config()->ram_count - 1);
	REFUSED(VMEM_ERR_CONFLICT, /* begins in RAM of ours, and ends behind it */
	    vmem_object_create_physical(last.start + last.length - PAGES(9), PAGES(2), VMEM_WRITE_BACK, &o));
	SWEEP(0, vmem_object_create_physical(d.start, PAGES(3), VMEM_UNCACHED, &o));
	assert_int_equal(info_of(o).cache, VMEM_UNCACHED);
	assert_int_equal(info_of(o).resident, 3);
	OK(vmem_object_commit(o, 0, PAGES(3)));
	REFUSED(VMEM_ERR_UNSUPPORTED, vmem_object_resize(o, PAGE));
	release(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE(creation),
	    CORE(bytes),
	    CORE(zero_in_parts),
	    CORE(commit),
	    CORE(slices),
	    CORE(windows),
	    CORE(far_windows),
	    CORE(resize),
	    CORE(decommit_mapped),
	    CORE(contiguous),
	    CORE_PAGES(odd_attributes),
	    CORE(physical),
	};
	return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}
