/* SPDX-License-Identifier: MIT */
/*
 * Frames and small objects from four threads, each of them a CPU. What each thread has it marks, and finds
 * marked as it left it; every frame has one owner at most; at the end nothing is missing. A reader without a
 * lock finds memory of a slab to be of its type for as long as its section lasts; one that takes the lock of
 * any record, as a walker of tables does, disturbs nobody.
 */
#include "threads_host.h"

#define STEPS 6000u
#define HELD 40u
#define MAGIC UINT64_C(0x7e57ab1e7e57ab1e)

const struct slab_spec vmem_slab_specs[SLAB_COUNT] = {
    [SLAB_REGION] = {1000, 8},
    [SLAB_VMAR] = {96, 16},
    [SLAB_INDEX_NODE] = {544, 32},
    [SLAB_STORE] = {128, 64},
    [SLAB_OBJECT] = {2000, 16},
    [SLAB_LINEAGE] = {24, 8},
    [SLAB_ASPACE] = {1000, 16},
};

/* What a thread does. */

static uint64_t below(uint64_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % limit;
}

/* Lets another thread in, now and then: on a busy machine a yield may take long. */
static void pause_maybe(void)
{
	if (below(4) == 0) {
		sched_yield();
	}
}

struct held_frames {
	vmem_paddr_t pa; /* 0: none */
	uint64_t count;
	bool block; /* of the host's: goes back as it came */
};
struct held_object {
	uint64_t *object;
	enum slab_id id;
};
struct thread {
	unsigned cpu;
	struct held_frames frames[HELD];
	struct held_object objects[HELD];
	uint64_t taken, refused, walked, read, claimed;
};

static uint64_t tag_of(uint64_t pa)
{
	return pa ^ MAGIC ^ (uint64_t)this_cpu << 56;
}

static void frames_mark(vmem_paddr_t pa, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++, pa += VMEM_PAGE_SIZE) {
		uint64_t *words = phys_to_virt(pa);
		words[0] = words[511] = tag_of(pa);
	}
}

static void frames_verify(vmem_paddr_t pa, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++, pa += VMEM_PAGE_SIZE) {
		const uint64_t *words = phys_to_virt(pa);
		CHECK(words[0] == tag_of(pa) && words[511] == tag_of(pa));
	}
}

static void give_frames(struct held_frames *h)
{
	frames_verify(h->pa, h->count);
	if (h->block) {
		vmem_frame_free_run(h->pa, h->count);
	} else {
		struct vmem_page *page = pa_to_page(h->pa);
		for (uint64_t i = 0; i < h->count; i++) {
			vmem_frame_give(page + i);
		}
	}
	h->pa = 0;
}

static struct vmem_page *take_promised(void)
{
	if (vmem_frame_reserve(3) != VMEM_OK) {
		return NULL;
	}
	struct vmem_page *page = vmem_frame_take_reserved(PAGE_DATA);
	CHECK(page);
	vmem_frame_unreserve(1);
	vmem_frame_unreserve(2);
	return page;
}

static void take_frames(struct held_frames *h)
{
	struct vmem_page *page = NULL;
	unsigned order = 0;
	uint64_t way = below(20);
	h->count = 1;
	h->block = way >= 18;
	if (way < 14) {
		page = vmem_frame_take(way & 1 ? PAGE_DATA : PAGE_TABLE);
		CHECK(!page || (page->refs == (way & 1) && page->flags == 0));
	} else if (way < 16) {
		page = take_promised();
	} else if (way < 18) {
		order = (unsigned)below(6);
		vmem_paddr_t limit = below(2) * (RAM_PA + FRAMES / 2 * VMEM_PAGE_SIZE);
		page = vmem_frame_take_block(PAGE_DATA, order, limit);
		h->count = UINT64_C(1) << order;
	} else {
		vmem_paddr_t pa;
		h->count = 1 + below(40);
		bool run = vmem_frame_alloc_run(h->count, VMEM_PAGE_SIZE, 0, &pa) == VMEM_OK;
		page = run ? pa_to_page(pa) : NULL;
	}
	h->pa = page ? page_to_pa(page) : 0;
	if (page) {
		frames_mark(h->pa, h->count);
	}
}

/* Objects of SLAB_REGION are published here, and read by all without a lock. */
#define SHOWN 16u
static uint64_t *shown[SHOWN];

/* Words 2 and up of an object are its holder's; word 1 says for ever what type the memory is of. */
static void object_mark(struct held_object *h)
{
	uint64_t was = __atomic_load_n(&h->object[1], __ATOMIC_RELAXED);
	CHECK(was == 0 || was == (MAGIC ^ h->id));
	__atomic_store_n(&h->object[1], MAGIC ^ h->id, __ATOMIC_RELAXED);
	h->object[2] = tag_of((uintptr_t)h->object);
	if (h->id == SLAB_REGION) {
		uint64_t *none = NULL;
		(void)__atomic_compare_exchange_n(&shown[below(SHOWN)], &none, h->object, false,
		    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	}
}

static void object_free(struct held_object *h)
{
	CHECK(h->object[2] == tag_of((uintptr_t)h->object));
	for (unsigned i = 0; i < SHOWN; i++) {
		uint64_t *mine = h->object;
		(void)__atomic_compare_exchange_n(
		    &shown[i], &mine, NULL, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
	vmem_slab_free(h->id, h->object);
	h->object = NULL;
}

/* As many nodes as were claimed are there, whatever others take meanwhile; one is kept. */
static void claim(struct thread *t, struct held_object *h)
{
	struct held_object more[9];
	unsigned count = 1 + (unsigned)below(9), used = 1 + (unsigned)below(count);
	if (!vmem_slab_claim(SLAB_INDEX_NODE, count, false)) {
		t->refused++;
		return;
	}
	for (unsigned i = 0; i < used; i++) {
		pause_maybe();
		more[i].id = SLAB_INDEX_NODE;
		more[i].object = vmem_slab_alloc(SLAB_INDEX_NODE);
		CHECK(more[i].object);
		object_mark(&more[i]);
	}
	vmem_slab_unclaim(SLAB_INDEX_NODE, count);
	for (unsigned i = 1; i < used; i++) {
		object_free(&more[i]);
	}
	*h = more[0];
	t->claimed++;
}

static void object_alloc(struct thread *t, struct held_object *h)
{
	h->id = below(3) != 0 ? SLAB_REGION : (enum slab_id)below(SLAB_COUNT);
	if (h->id == SLAB_INDEX_NODE) {
		claim(t, h);
		return;
	}
	h->object = vmem_slab_alloc(h->id);
	if (h->object) {
		object_mark(h);
	}
}

/* A promise, a claim of it that cannot fail, and all of it taken and given back. */
static void promise(struct thread *t)
{
	struct held_object h[12];
	uint64_t count = 1 + below(12);
	if (!vmem_slab_promise(SLAB_INDEX_NODE, count)) {
		t->refused++;
		return;
	}
	CHECK(vmem_slab_claim(SLAB_INDEX_NODE, (unsigned)count, true));
	for (uint64_t i = 0; i < count; i++) {
		h[i].id = SLAB_INDEX_NODE;
		h[i].object = vmem_slab_alloc(SLAB_INDEX_NODE);
		CHECK(h[i].object);
		vmem_slab_release(SLAB_INDEX_NODE, 1);
		object_mark(&h[i]);
	}
	vmem_slab_unclaim(SLAB_INDEX_NODE, (unsigned)count);
	for (uint64_t i = 0; i < count; i++) {
		object_free(&h[i]);
	}
}

static void read_shown(struct thread *t)
{
	struct vmem_cpu *cpu = this_vmem_cpu();
	section_enter(cpu);
	uint64_t *object = __atomic_load_n(&shown[below(SHOWN)], __ATOMIC_ACQUIRE);
	for (unsigned i = 0; object && i < 8; i++) {
		/* The link of a free object, if it is free. */
		t->read += __atomic_load_n(&object[0], __ATOMIC_RELAXED) != MAGIC;
		CHECK(__atomic_load_n(&object[1], __ATOMIC_RELAXED) == (MAGIC ^ SLAB_REGION));
		sched_yield();
	}
	section_leave(cpu);
}

/* What a walker does with an entry that led to a table once. */
static void walk(struct thread *t)
{
	struct vmem_page *page = pa_to_page(RAM_PA + below(FRAMES) * VMEM_PAGE_SIZE);
	spin_take(&page->lock, LOCK_TABLE);
	t->walked += shared_load(&page->kind) == PAGE_TABLE && shared_load(&page->refs) == 0;
	pause_maybe();
	spin_give(&page->lock, LOCK_TABLE);
}

static void look(void)
{
	struct vmem_frame_stats s;
	vmem_frame_stats(&s);
	CHECK(s.total < FRAMES && s.free <= 2 * s.total && s.data <= s.total && s.slabs <= s.total);
	CHECK(s.allocations < UINT32_MAX && s.frees < UINT32_MAX);
	(void)vmem_slab_in_use(SLAB_REGION);
}

static void step(struct thread *t)
{
	uint64_t what = below(100), i = below(HELD);
	if (what < 35) {
		if (t->frames[i].pa) {
			give_frames(&t->frames[i]);
		} else {
			take_frames(&t->frames[i]);
			t->taken += t->frames[i].pa != 0;
			t->refused += t->frames[i].pa == 0;
		}
	} else if (what < 70) {
		if (t->objects[i].object) {
			object_free(&t->objects[i]);
			vmem_slab_settle();
		} else {
			object_alloc(t, &t->objects[i]);
		}
	} else if (what < 75) {
		promise(t);
	} else if (what < 83) {
		read_shown(t);
	} else if (what < 90) {
		walk(t);
	} else if (what < 97) {
		look();
	} else if (what < 98) {
		vmem_frame_drain();
	} else {
		(void)vmem_slab_trim();
	}
}

static void together(void)
{
	(void)__atomic_add_fetch(&begun, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) < CPUS) {
		vmem_host_relax();
	}
}

static void *mix(void *argument)
{
	struct thread *t = argument;
	this_cpu = t->cpu;
	seed = 77 + t->cpu;
	together();
	for (unsigned n = 0; n < STEPS; n++) {
		step(t);
		serve();
	}
	for (unsigned i = 0; i < HELD; i++) {
		if (t->frames[i].pa) {
			give_frames(&t->frames[i]);
		}
		if (t->objects[i].object) {
			object_free(&t->objects[i]);
		}
	}
	mailbox_close();
	return NULL;
}

/* All frames that there are, chained. */
static struct vmem_page *take_all(struct thread *t)
{
	struct vmem_page *chain = NULL;
	for (struct vmem_page *page; (page = vmem_frame_take(PAGE_DATA)) != NULL; t->taken++) {
		page->u.data.lineage = (struct lineage *)(void *)chain;
		chain = page;
	}
	return chain;
}

static void give_all(struct vmem_page *chain)
{
	while (chain) {
		struct vmem_page *page = chain;
		chain = (struct vmem_page *)(void *)page->u.data.lineage;
		vmem_frame_give(page);
	}
}

static void apart(void)
{
	mailbox_close();
	(void)__atomic_add_fetch(&ended, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < CPUS) {
		sched_yield();
	}
}

/* CPU 0 leaves frames in its cache and is gone; the others take all there are. */
static void *exhaust(void *argument)
{
	struct thread *t = argument;
	struct vmem_page *chain = NULL;
	this_cpu = t->cpu;
	if (this_cpu == 0) {
		vmem_frame_give(vmem_frame_take(PAGE_DATA));
	}
	together();
	if (this_cpu != 0) {
		chain = take_all(t);
	}
	apart();
	give_all(chain);
	return NULL;
}

/* Claims where there are few nodes and no more frames. */
static void *claims(void *argument)
{
	struct thread *t = argument;
	struct vmem_page *chain = NULL;
	this_cpu = t->cpu;
	seed = 99 + t->cpu;
	if (this_cpu == 0) {
		chain = take_all(t);
		for (unsigned i = 0; i < 3; i++) {
			struct vmem_page *page = chain;
			chain = (struct vmem_page *)(void *)page->u.data.lineage;
			vmem_frame_give(page);
		}
	}
	together();
	for (unsigned n = 0; n < STEPS / 8; n++) {
		struct held_object h = {0};
		claim(t, &h);
		if (h.object) {
			object_free(&h);
		}
		serve();
	}
	apart();
	give_all(chain);
	return NULL;
}

static struct thread threads[CPUS];

static uint64_t run(void *(*function)(void *))
{
	static unsigned char *memory;
	const struct vmem_ram ram = {RAM_PA, FRAMES * VMEM_PAGE_SIZE};
	struct vmem_frame_stats before, after;
	pthread_t id[CPUS];
	if (!memory) {
		memory = mmap(NULL, (size_t)ram.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
		assert_true(memory != MAP_FAILED);
	}
	vmem_direct_map = (uint64_t)(uintptr_t)memory - RAM_PA;
	memset(owned, 0, sizeof(owned));
	memset(mailbox, 0, sizeof(mailbox));
	begun = ended = 0;
	vmem_cpus_init();
	assert_int_equal(vmem_frames_init(&ram, 1), VMEM_OK);
	vmem_slabs_init();
	vmem_frame_stats(&before);
	for (unsigned i = 0; i < CPUS; i++) {
		threads[i] = (struct thread){.cpu = i};
		assert_int_equal(pthread_create(&id[i], NULL, function, &threads[i]), 0);
	}
	for (unsigned i = 0; i < CPUS; i++) {
		pthread_join(id[i], NULL);
	}
	vmem_slab_check();
	vmem_frame_check();
	(void)vmem_slab_trim();
	vmem_frame_drain();
	vmem_slab_check();
	vmem_frame_check();
	vmem_frame_stats(&after);
	assert_int_equal(after.free, before.free);
	assert_int_equal(after.reserved, 0);
	assert_int_equal(after.slabs + after.data + after.tables + after.host, 0);
	return before.free;
}

/* What CPUs meet is up to chance: so many tries to meet enough. */
#define ROUNDS 30u

static void test_mix(void **state)
{
	struct thread sum = {0};
	(void)state;
	for (unsigned round = 0; round < ROUNDS && (sum.refused <= 10 || sum.walked <= 10); round++) {
		(void)run(mix);
		for (unsigned i = 0; i < CPUS; i++) {
			sum.taken += threads[i].taken;
			sum.refused += threads[i].refused;
			sum.walked += threads[i].walked;
			sum.read += threads[i].read;
			sum.claimed += threads[i].claimed;
		}
	}
	print_message("figure: %llu taken, %llu refused, %llu tables met, %llu reads, %llu claims\n",
	    (unsigned long long)sum.taken, (unsigned long long)sum.refused, (unsigned long long)sum.walked,
	    (unsigned long long)sum.read, (unsigned long long)sum.claimed);
	assert_true(sum.taken > 1000 && sum.refused > 10 && sum.walked > 10);
	assert_true(sum.read > 100 && sum.claimed > 100);
}

/* The last frame is found, in whose cache it may be. */
static void test_exhaust(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		uint64_t free = run(exhaust), taken = 0;
		for (unsigned i = 0; i < CPUS; i++) {
			taken += threads[i].taken;
		}
		assert_int_equal(taken, free);
	}
}

static void test_claims(void **state)
{
	uint64_t claimed = 0, refused = 0;
	(void)state;
	for (unsigned round = 0; round < ROUNDS && (claimed <= 100 || refused <= 10); round++) {
		(void)run(claims);
		for (unsigned i = 0; i < CPUS; i++) {
			claimed += threads[i].claimed;
			refused += threads[i].refused;
		}
	}
	print_message(
	    "figure: %llu claims, %llu refused\n", (unsigned long long)claimed, (unsigned long long)refused);
	assert_true(claimed > 100 && refused > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mix),
	    cmocka_unit_test(test_exhaust),
	    cmocka_unit_test(test_claims),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
