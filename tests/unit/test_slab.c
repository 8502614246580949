/* SPDX-License-Identifier: MIT */
/* Small objects: pops and pushes, frames that come and go, promises, and what free refuses. */
#include "slab_fixture.h"

static void test_alloc_free(void **state)
{
	(void)state;
	static void *object[600];
	start(FRAMES);
	for (unsigned id = 0; id < SLAB_COUNT; id++) {
		const unsigned size = vmem_slab_specs[id].size, align = vmem_slab_specs[id].align;
		const unsigned count = id == SLAB_OBJECT ? 20 : 600;
		const uint64_t free = stats().free;
		for (unsigned i = 0; i < count; i++) {
			unsigned char *o = object[i] = vmem_slab_alloc((enum slab_id)id);
			assert_non_null(o);
			assert_int_equal((uintptr_t)o % align, 0);
			assert_true((uintptr_t)o / 4096 == ((uintptr_t)o + size - 1) / 4096);
			for (unsigned b = 8; b < size; b++) {
				assert_int_equal(o[b], 0);
			}
			memset(o, (int)(i % 255) + 1, size);
			assert_true(vmem_slab_is_live((enum slab_id)id, o));
		}
		assert_int_equal(vmem_slab_in_use((enum slab_id)id), count);
		check();
		for (unsigned i = 0; i < count; i++) {
			const unsigned char *o = object[i];
			for (unsigned b = 0; b < size; b++) {
				assert_int_equal(o[b], i % 255 + 1);
			}
		}
		for (unsigned i = 0; i < count; i++) {
			unsigned j = (unsigned)arena_random(count - i) + i;
			void *o = object[j];
			object[j] = object[i];
			vmem_slab_free((enum slab_id)id, o);
			assert_false(vmem_slab_is_live((enum slab_id)id, o));
			check();
		}
		assert_int_equal(vmem_slab_in_use((enum slab_id)id), 0);
		drain((enum slab_id)id);
		/* Current, the spare, and what has gathered. */
		assert_true(stats().free + vmem_slab_gathered >= free - 2);
		vmem_slab_settle();
		assert_true(vmem_slab_gathered < vmem_slab_many);
	}
	vmem_slab_trim();
	check();
	assert_int_equal(stats().slabs, 0);
	assert_int_equal(arena_count_owned(), 0);
}

static void test_last_in_first_out(void **state)
{
	(void)state;
	start(FRAMES);
	void *a = vmem_slab_alloc(SLAB_REGION);
	unsigned char *b = vmem_slab_alloc(SLAB_REGION);
	memset(b, 0x5a, 200);
	vmem_slab_free(SLAB_REGION, b);
	assert_ptr_equal(vmem_slab_alloc(SLAB_REGION), b);
	for (unsigned i = 8; i < 200; i++) {
		assert_int_equal(b[i], 0x5a); /* a freed object keeps what lies behind the link */
	}
	vmem_slab_free(SLAB_REGION, a);
	vmem_slab_free(SLAB_REGION, b);
	assert_ptr_equal(vmem_slab_alloc(SLAB_REGION), b);
	assert_ptr_equal(vmem_slab_alloc(SLAB_REGION), a);
}

static void test_no_memory(void **state)
{
	(void)state;
	start(8);
	uint64_t count = 0;
	while (vmem_slab_alloc(SLAB_INDEX_NODE)) {
		count++;
	}
	assert_int_equal(count, 7 * 7);
	assert_null(vmem_slab_alloc(SLAB_REGION));
	assert_false(claimable(SLAB_REGION, 1, false));
	check();
}

static void test_reserve(void **state)
{
	(void)state;
	start(FRAMES);
	assert_true(claimable(SLAB_INDEX_NODE, 22, false));
	assert_int_equal(stats().slabs, 4);
	check();
	assert_true(claimable(SLAB_INDEX_NODE, 22, false));
	assert_int_equal(stats().slabs, 4);
	/* The next 22 succeed with no frame anywhere. */
	while (vmem_frame_take(PAGE_DATA)) {
	}
	for (unsigned i = 0; i < 28; i++) {
		assert_non_null(vmem_slab_alloc(SLAB_INDEX_NODE));
	}
	assert_null(vmem_slab_alloc(SLAB_INDEX_NODE));
	assert_false(claimable(SLAB_INDEX_NODE, 1, false));
	check();
	/* What a reservation that fails had got so far is not lost. */
	start(8);
	assert_false(claimable(SLAB_INDEX_NODE, 50, false));
	check();
	assert_int_equal(vmem_slab_in_use(SLAB_INDEX_NODE), 0);
	vmem_slab_trim();
	assert_int_equal(stats().slabs, 0);
	check();
	arena_fail_at = arena_asked;
	assert_false(claimable(SLAB_INDEX_NODE, 1, false));
	assert_true(claimable(SLAB_INDEX_NODE, 1, false));
}

static void test_promise(void **state)
{
	(void)state;
	start(FRAMES);
	const uint64_t free = stats().free;
	assert_false(vmem_slab_promise(SLAB_INDEX_NODE, 7 * free + 1));
	assert_int_equal(stats().reserved, 0);
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 1));
	assert_int_equal(stats().reserved, 1);
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 6));
	assert_int_equal(stats().reserved, 1);
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 8));
	assert_int_equal(stats().reserved, 3); /* 15 nodes */
	check();
	/* All other memory goes; ordinary nodes too. */
	while (vmem_frame_take(PAGE_DATA)) {
	}
	assert_false(claimable(SLAB_INDEX_NODE, 1, false));
	assert_int_equal(stats().free, 3);
	/* One promised node takes a frame; the six others of it stay kept: two frames and one object are
	 * promised. */
	assert_true(claimable(SLAB_INDEX_NODE, 1, true));
	void *node[15];
	node[0] = vmem_slab_alloc(SLAB_INDEX_NODE);
	vmem_slab_release(SLAB_INDEX_NODE, 1);
	check();
	assert_int_equal(stats().reserved, 2);
	assert_true(claimable(
	    SLAB_INDEX_NODE, 6, false)); /* 14 left of the promise, and two frames for them */
	assert_false(claimable(SLAB_INDEX_NODE, 7, false));
	assert_true(claimable(SLAB_INDEX_NODE, 14, true));
	assert_int_equal(stats().reserved, 0);
	assert_true(claimable(SLAB_INDEX_NODE, 6, false));
	assert_false(claimable(SLAB_INDEX_NODE, 7, false)); /* 20 are free, 14 of them kept */
	for (unsigned i = 1; i < 15; i++) {
		assert_true(claimable(SLAB_INDEX_NODE, 1, true));
		node[i] = vmem_slab_alloc(SLAB_INDEX_NODE);
		vmem_slab_release(SLAB_INDEX_NODE, 1);
		check();
	}
	assert_true(PANICS(vmem_slab_release(SLAB_INDEX_NODE, 1), "than were promised"));
	/* An empty frame stays while a promise counts on it. */
	assert_true(claimable(SLAB_INDEX_NODE, 6, false));
	for (unsigned i = 0; i < 15; i++) {
		give(SLAB_INDEX_NODE, node[i]);
	}
	check();
	assert_true(stats().slabs - vmem_slab_gathered <= 2);
}

static void test_promise_keeps_frames(void **state)
{
	(void)state;
	void *node[28];
	start(FRAMES);
	for (unsigned i = 0; i < 28; i++) {
		node[i] = vmem_slab_alloc(SLAB_INDEX_NODE);
	}
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 21));
	while (vmem_frame_take(PAGE_DATA)) {
	}
	assert_true(claimable(
	    SLAB_INDEX_NODE, 21, true)); /* the promise is three frames of free objects now */
	assert_int_equal(stats().reserved, 0);
	for (unsigned i = 0; i < 28; i++) {
		give(SLAB_INDEX_NODE, node[i]);
		check();
	}
	vmem_slab_trim();
	check();
	assert_int_equal(stats().slabs, 3);
	vmem_slab_release(SLAB_INDEX_NODE, 10);
	vmem_slab_trim();
	assert_int_equal(stats().slabs, 2);
	vmem_slab_release(SLAB_INDEX_NODE, 11);
	vmem_slab_trim();
	assert_int_equal(stats().slabs, 0);
	check();
}

/* A frame that empties stays if the promise needs its objects, even if there is a spare. */
static void test_promise_keeps_the_second_empty_frame(void **state)
{
	(void)state;
	struct slab_type *type = &vmem_slab_types[SLAB_INDEX_NODE];
	void *node[15];
	start(FRAMES);
	for (unsigned i = 0; i < 15; i++) {
		node[i] = vmem_slab_alloc(SLAB_INDEX_NODE);
	}
	for (unsigned i = 0; i < 13; i++) {
		give(SLAB_INDEX_NODE, node[i]);
	}
	assert_non_null(type->spare);
	type->promised = type->free; /* as if just so many had been promised and reserved */
	give(SLAB_INDEX_NODE, node[13]);
	check();
	assert_int_equal(stats().slabs, 3);
	vmem_slab_trim();
	check();
	vmem_slab_release(SLAB_INDEX_NODE, type->promised);
	vmem_slab_trim();
	assert_int_equal(stats().slabs, 1);
	check();
}

static void test_refusals(void **state)
{
	(void)state;
	start(FRAMES);
	char *a = vmem_slab_alloc(SLAB_REGION);
	void *other = vmem_slab_alloc(SLAB_STORE);
	assert_false(vmem_slab_owns(SLAB_STORE, a));
	assert_false(vmem_slab_owns(SLAB_REGION, a + 8));
	assert_false(vmem_slab_owns(SLAB_REGION, &other));
	assert_false(vmem_slab_owns(SLAB_REGION, (char *)a + 4000));
	assert_true(PANICS(vmem_slab_free(SLAB_STORE, a), "is_live"));
	assert_true(PANICS(vmem_slab_free(SLAB_REGION, a + 8), "is_live"));
	const uint64_t size = vmem_slab_types[SLAB_REGION].size, room = vmem_slab_types[SLAB_REGION].capacity;
	char *behind = (char *)((uintptr_t)a & ~(uintptr_t)VMEM_PAGE_MASK) + room * size; /* the last one */
	assert_true(room * size < VMEM_PAGE_SIZE);
	assert_false(vmem_slab_owns(SLAB_REGION, behind));
	vmem_slab_free(SLAB_REGION, a);
	assert_true(PANICS(vmem_slab_free(SLAB_REGION, a), "is_live"));
	check();
}

static void test_check_finds(void **state)
{
	(void)state;
	void *o[25];
	start(FRAMES);
	for (unsigned i = 0; i < 25; i++) {
		o[i] = vmem_slab_alloc(SLAB_REGION); /* 20 to a frame */
	}
	give(SLAB_REGION, o[3]);
	give(SLAB_REGION, o[4]);
	check();
	struct vmem_page *page = pa_to_page(virt_to_phys(o[3]));
	page->u.slab.in_use++;
	assert_true(PANICS(vmem_slab_check(), "S2"));
	page->u.slab.in_use--;
	*(void **)o[4] = o[4];
	assert_true(PANICS(vmem_slab_check(), "cycle"));
	*(void **)o[4] = (char *)o[3] + 1;
	assert_true(PANICS(vmem_slab_check(), "S3"));
	*(void **)o[4] = o[3];
	page->u.slab.type = NULL;
	assert_true(PANICS(vmem_slab_check(), "not of its type"));
	page->u.slab.type = &vmem_slab_types[SLAB_REGION];
	page->kind = PAGE_DATA;
	assert_true(PANICS(vmem_slab_check(), "not of its type"));
	page->kind = PAGE_SLAB;
	*(void **)o[4] = (char *)page_to_virt(page) + (size_t)20 * 200; /* behind the last */
	assert_true(PANICS(vmem_slab_check(), "S3"));
	*(void **)o[4] = o[3];
	vmem_slab_types[SLAB_REGION].free++;
	assert_true(PANICS(vmem_slab_check(), "S2"));
	vmem_slab_types[SLAB_REGION].free--;
	vmem_slab_types[SLAB_REGION].total += 20;
	assert_true(PANICS(vmem_slab_check(), "S2"));
	vmem_slab_types[SLAB_REGION].total -= 20;
	vmem_slab_types[SLAB_REGION].promised = 100;
	assert_true(PANICS(vmem_slab_check(), "S4"));
	vmem_slab_types[SLAB_REGION].covered = 100;
	assert_true(PANICS(vmem_slab_check(), "S4"));
	vmem_slab_types[SLAB_REGION].promised = vmem_slab_types[SLAB_REGION].covered = 0;
	check();
}

/* Frames on lists where they do not belong (S1). */
static void test_check_finds_misplaced_frames(void **state)
{
	(void)state;
	struct slab_type *type = &vmem_slab_types[SLAB_REGION];
	void *o[45];
	start(FRAMES);
	for (unsigned i = 0; i < 45; i++) {
		o[i] = vmem_slab_alloc(SLAB_REGION); /* two full frames, and the current one */
	}
	give(SLAB_REGION, o[3]);
	check();
	const uint32_t partial = type->partial, full = type->full;
	assert_true(partial != PAGE_NIL && full != PAGE_NIL);
	type->partial = full;
	assert_true(PANICS(vmem_slab_check(), "a full frame is on the list of those that are not"));
	type->partial = PAGE_NIL;
	type->full = partial;
	assert_true(PANICS(vmem_slab_check(), "a frame with a free object is on the list of full ones"));
	type->full = full;
	type->spare = number_to_page(partial);
	assert_true(PANICS(vmem_slab_check(), "the spare frame of a type is not empty"));
	type->spare = NULL;
	type->partial = partial;
	check();
}

/* More than was promised: the promise's frames, then ordinary ones; and an empty current frame that a
 * promise holds. */
static void test_beyond_the_promise(void **state)
{
	(void)state;
	struct slab_type *type = &vmem_slab_types[SLAB_INDEX_NODE];
	start(FRAMES);
	assert_true(vmem_slab_promise(SLAB_INDEX_NODE, 7));
	assert_true(claimable(SLAB_INDEX_NODE, 15, true));
	assert_int_equal(stats().reserved, 0);
	assert_int_equal(stats().slabs, 3);
	vmem_slab_release(SLAB_INDEX_NODE, 7);
	vmem_slab_trim();
	assert_int_equal(stats().slabs, 0);
	give(SLAB_INDEX_NODE, vmem_slab_alloc(SLAB_INDEX_NODE));
	type->promised = type->free; /* as if just so many had been promised and reserved */
	vmem_slab_trim();
	assert_int_equal(stats().slabs, 1);
	vmem_slab_release(SLAB_INDEX_NODE, type->promised);
	vmem_slab_trim();
	assert_int_equal(stats().slabs, 0);
	check();
}

/* Random allocation, release, reservation and promises in a memory that is short. */
static void test_random(void **state)
{
	(void)state;
	static void *held[SLAB_COUNT][300];
	static uint64_t promised[SLAB_COUNT];
	start(64);
	unsigned refused = 0;
	for (unsigned step = 0; step < 30000; step++) {
		enum slab_id id = (enum slab_id)arena_random(SLAB_COUNT);
		unsigned slot = (unsigned)arena_random(300);
		if (arena_random(50) == 0) {
			unsigned count = (unsigned)arena_random(30);
			if (vmem_slab_promise(id, count)) {
				promised[id] += count;
			} else {
				refused++;
			}
		} else if (promised[id] != 0 && arena_random(30) == 0) {
			/* And not used yet. */
			assert_true(claimable(id, (unsigned)promised[id], true));
		} else if (promised[id] != 0 && arena_random(20) == 0) {
			uint64_t count = 1 + arena_random(promised[id]);
			/* What is promised is there, whatever happened since. */
			assert_true(claimable(id, (unsigned)count, true));
			vmem_slab_release(id, count);
			promised[id] -= count;
		} else if (held[id][slot]) {
			vmem_slab_free(id, held[id][slot]);
			held[id][slot] = NULL;
		} else if (claimable(id, 1, false)) {
			held[id][slot] = vmem_slab_alloc(id);
			assert_non_null(held[id][slot]);
			memset(held[id][slot], 0xee, vmem_slab_specs[id].size);
		} else {
			refused++;
		}
		if (step % 100 == 0) {
			vmem_slab_trim();
		}
		check();
	}
	assert_true(refused > 100);
	for (unsigned id = 0; id < SLAB_COUNT; id++) {
		uint64_t count = 0;
		for (unsigned slot = 0; slot < 300; slot++) {
			if (held[id][slot]) {
				count++;
			}
		}
		assert_int_equal(vmem_slab_in_use((enum slab_id)id), count);
		for (unsigned slot = 0; slot < 300; slot++) {
			if (held[id][slot]) {
				vmem_slab_free((enum slab_id)id, held[id][slot]);
			}
		}
		vmem_slab_release((enum slab_id)id, promised[id]);
	}
	vmem_slab_trim();
	check();
	assert_int_equal(stats().slabs, 0);
	assert_int_equal(stats().reserved, 0);
	assert_int_equal(arena_count_owned(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc_free),
		cmocka_unit_test(test_last_in_first_out),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_promise),
		cmocka_unit_test(test_promise_keeps_frames),
		cmocka_unit_test(test_promise_keeps_the_second_empty_frame),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_check_finds),
		cmocka_unit_test(test_check_finds_misplaced_frames),
		cmocka_unit_test(test_beyond_the_promise),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
