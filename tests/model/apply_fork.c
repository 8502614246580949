/* SPDX-License-Identifier: MIT */
/*
 * apply_fork.c - a space is forked to where another was: the model copies page by page what is inherited.
 */
#include "model.h"

#include <string.h>

#include "region.h"

/* The child's VMAR of that number, which the parent has too. */
static struct vmem_vmar *counterpart(unsigned from, unsigned number, struct vmem_aspace *child)
{
	const struct vmar *v = &world.vmar[from][number];
	if (number == 0) {
		return vmem_aspace_root(child);
	}
	struct vmem_vmar *parent = counterpart(from, v->parent, child);
	struct span *span = vmem_span_find(&parent->tree, page_va(v->first));
	EXPECT(span && span->kind == SPAN_VMAR && span->start == page_va(v->first));
	return vmar_of(span);
}

/* How many pages would be promised once more, and how many pages lie before the last of them. */
static uint64_t count_promises(unsigned from, uint64_t *before)
{
	uint64_t pages = 0, promised = 0;
	*before = 0;
	for (unsigned p = 0; p < PAGES; p++) {
		const struct page *page = &world.page[from][p];
		if (!page->mapped || page->attributes & VMEM_REGION_NO_FORK) {
			continue;
		}
		if (page->attributes & VMEM_REGION_ACCOUNT) {
			promised++;
			*before = pages;
		}
		pages++;
	}
	return promised;
}

/* Region by region is promised, and what the child has by then counts: pages tell only about how much. */
static uint32_t promises_wrong(unsigned from, uint32_t *may)
{
	uint64_t before, promised = count_promises(from, &before), now = promised_now();
	*may = 0;
	if (promised == 0 || world.overcommit != VMEM_OVERCOMMIT_NEVER) {
		return 0;
	}
	*may = now + promised + before / 32 < world.commit_limit ? 0 : BIT(VMEM_ERR_NO_MEMORY);
	return now + promised < world.commit_limit ? 0 : BIT(VMEM_ERR_NO_MEMORY);
}

static struct page inherited(unsigned from, unsigned p)
{
	const struct page *page = &world.page[from][p];
	struct page copy = *page;
	const bool below = p > 0 && page[-1].mapped;
	copy.attributes &= (uint16_t)~LOCKS;
	copy.cut |= below && (page[-1].attributes ^ page->attributes) & LOCKS;
	if (page->attributes & VMEM_REGION_WIPE_ON_FORK) {
		counters->events[EVENT_WIPED] += page->own;
		copy.own = copy.guarded = false;
	}
	return copy;
}

static void inherit(unsigned from, unsigned to, struct vmem_aspace *child)
{
	world.space[to] = child;
	world.nature[to] = world.nature[from];
	world.nature[to].posix.aspace = child;
	world.nature[to].posix.future = world.nature[to].future = 0;
	world.nature[to].parent = world.nature[from].id;
	world.nature[to].id = ++world.next_space;
	for (unsigned v = 0; v < VMARS; v++) {
		struct vmar *vmar = &world.vmar[to][v];
		*vmar = world.vmar[from][v];
		vmar->real = vmar->real ? counterpart(from, v, child) : NULL;
	}
	for (unsigned p = 0; p < PAGES; p++) {
		const struct page *page = &world.page[from][p];
		world.page[to][p] = (struct page){.vmar = page->vmar, .strip = page->strip, .object = -1};
		if (page->mapped && page->attributes & VMEM_REGION_NO_FORK) {
			counters->events[EVENT_KEPT]++;
		} else if (page->mapped) {
			const struct page copy = inherited(from, p);
			page_map(to, p, &copy);
		}
	}
	strips_settle(to);
}

bool apply_fork(const struct op *op)
{
	const unsigned from = op->r[0] % SPACES, to = (from + 1 + op->r[1] % (SPACES - 1)) % SPACES;
	struct vmem_aspace *child = NULL;
	uint32_t may;
	destroy_space(to);
	const uint32_t wrong = promises_wrong(from, &may);
	vmem_status_t status = vmem_aspace_fork(world.space[from], &child);
	judged(op, status, wrong, may);
	if (status != VMEM_OK) {
		make_space(to);
		return true;
	}
	counters->events[EVENT_FORK_OF_FORK] += world.nature[from].parent != 0;
	inherit(from, to, child);
	world.recent[to] = world.recent[from];
	return true;
}
