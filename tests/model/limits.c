/* SPDX-License-Identifier: MIT */
/*
 * limits.c - what a space may have and what has been promised, counted from the pages of the model each
 * time; and regions that grow downwards, which pass all of it without a call.
 */
#include "model.h"

#include "region.h"

static const struct vmem_posix_policy policy = {
    .max_regions = 200, .mmap_min = 65536, .lock_limit = 64 * PAGE};

/* Space 0 has a quota, 1 W^X, 2 large leaves, and 3 is a process's: until another is forked there. */
void nature_make(unsigned space)
{
	const struct vmem_aspace_config config = {.start = SPACE_START,
	    .length = PAGES * PAGE,
	    .wx = space == 1,
	    .large = space == 2,
	    .max_regions = MAX_REGIONS,
	    .max_bytes = space == 0 ? MAX_PAGES * PAGE : 0,
	    .entropy_bits = 20,
	    .seed = space + 1};
	struct nature *n = &world.nature[space];
	EXPECT(vmem_aspace_create(&config, &world.space[space]) == VMEM_OK);
	*n = (struct nature){.wx = config.wx,
	    .large = config.large,
	    .accounts = space == 3,
	    .id = ++world.next_space,
	    .max_regions = MAX_REGIONS,
	    .max_pages = space == 0 ? MAX_PAGES : NO_LIMIT,
	    .max_data = NO_LIMIT,
	    .max_locked = NO_LIMIT,
	    .max_stack = NO_LIMIT};
	if (n->accounts) {
		vmem_posix_init(&n->posix, world.space[space], &policy, 0);
		n->max_regions = policy.max_regions + 1;
		n->slack = 1;
		n->max_stack = (UINT64_C(8) << 20) / PAGE;
		n->max_locked = policy.lock_limit / PAGE;
	}
}

bool is_data(const struct page *page)
{
	return !(page->flags & VMEM_MAP_SHARED) && page->permission & VMEM_WRITE &&
	       !(page->attributes & VMEM_REGION_GROWS_DOWN);
}

bool needs_promise(unsigned space, const struct page *page)
{
	return world.nature[space].accounts && page->permission & VMEM_WRITE &&
	       !(page->flags & VMEM_MAP_SHARED) &&
	       !(page->attributes & (VMEM_REGION_ACCOUNT | VMEM_REGION_NO_RESERVE));
}

uint64_t locked_pages(unsigned space)
{
	uint64_t sum = 0;
	for (unsigned p = 0; p < PAGES; p++) {
		sum += world.page[space][p].mapped && world.page[space][p].attributes & VMEM_REGION_LOCKED;
	}
	return sum;
}

uint32_t pages_wrong(unsigned space, uint64_t more, uint64_t gone)
{
	const uint64_t most = world.nature[space].max_pages, rest = world.mapped[space] - gone;
	return more && (rest > most || more > most - rest) ? BIT(VMEM_ERR_LIMIT) : 0;
}

uint32_t data_wrong(unsigned space, uint64_t more)
{
	const uint64_t most = world.nature[space].max_data;
	uint64_t data = 0;
	for (unsigned p = 0; most != NO_LIMIT && p < PAGES; p++) {
		data += world.page[space][p].mapped && is_data(&world.page[space][p]);
	}
	if (data <= most && more <= most - data) {
		return 0;
	}
	counters->events[EVENT_DATA_LIMIT]++;
	return BIT(VMEM_ERR_LIMIT);
}

uint64_t promised_now(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < SPACES * PAGES; i++) {
		const struct page *page = &world.page[i / PAGES][i % PAGES];
		sum += page->mapped && page->attributes & VMEM_REGION_ACCOUNT;
	}
	for (unsigned i = 0; i < OBJECTS; i++) {
		sum += world.object[i].real ? world.object[i].promised : 0;
	}
	return sum;
}

uint32_t promise_wrong(unsigned space, uint64_t more)
{
	if (more == 0 || world.overcommit != VMEM_OVERCOMMIT_NEVER ||
	    promised_now() + more + world.mapped[space] / 32 < world.commit_limit) {
		return 0; /* nothing here is more at once than all of the memory */
	}
	counters->events[EVENT_PROMISE]++;
	return BIT(VMEM_ERR_NO_MEMORY);
}

/* The first page of what grows down to p; PAGES if nothing does. */
static unsigned above(unsigned space, unsigned p)
{
	const struct page *page = world.page[space];
	unsigned q = p;
	while (q < PAGES && !page[q].mapped && page[q].vmar == 0) {
		q++;
	}
	bool grows = q > p && q < PAGES && page[q].vmar == 0 && page[q].attributes & VMEM_REGION_GROWS_DOWN;
	return grows ? q : PAGES;
}

/* What a program can reach, and does not grow itself, ends too near below. */
static bool is_crowded(unsigned space, unsigned p)
{
	const struct page *page = world.page[space];
	unsigned end = p;
	while (end > 0 && !page[end - 1].mapped && page[end - 1].vmar == 0) {
		end--;
	}
	return end > 0 && p - end < GAP &&
	       (page[end - 1].vmar != 0 ||
		   (page[end - 1].permission && !(page[end - 1].attributes & VMEM_REGION_GROWS_DOWN)));
}

static bool may_grow(unsigned space, unsigned p, unsigned q)
{
	struct vmem_region_info r;
	const struct nature *n = &world.nature[space];
	const uint64_t more = q - p;
	if (is_crowded(space, p)) {
		counters->events[EVENT_GAP_IN_WAY]++;
		return false;
	}
	if (mapping_end(space, q) - p > n->max_stack) {
		counters->events[EVENT_STACK_LIMIT]++;
		return false;
	}
	if (world.page[space][q].attributes & VMEM_REGION_LOCKED && n->max_locked != NO_LIMIT &&
	    locked_pages(space) + more > n->max_locked) {
		return false;
	}
	bool promises = world.page[space][q].attributes & VMEM_REGION_ACCOUNT;
	if (pages_wrong(space, more, 0) || (promises && promise_wrong(space, more))) {
		return false;
	}
	if (!world.nature[space].moved || !near_limit(space, 1)) {
		return true;
	}
	(void)vmem_fault(
	    world.space[space], page_va(p), VMEM_READ); /* keys decide whether it takes a record */
	return vmem_region_next(world.space[space], page_va(p), &r) && r.start <= page_va(p);
}

bool grow_down(unsigned space, unsigned p)
{
	const unsigned q = above(space, p);
	if (q == PAGES || !may_grow(space, p, q)) {
		return false;
	}
	const struct where at = {.space = space, .vmar = 0, .first = p, .pages = q - p};
	struct page as = world.page[space][q];
	as.own = as.guarded = as.cut = false;
	strips_insert(&at, 0, 0);
	for (unsigned i = p; i < q; i++) {
		page_map(space, i, &as);
	}
	counters->events[EVENT_GREW_DOWN]++;
	return true;
}
