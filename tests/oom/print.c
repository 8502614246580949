/* SPDX-License-Identifier: MIT */
/*
 * print.c - the fingerprint of a state. Regions, entries, counters and objects are read as a host reads them;
 * indexes, which no public call shows whole, through the library's own headers, so that also what nobody maps
 * is seen. Counters of events (faults, flushes, activations, allocations) are left out: a failed call may
 * have made some.
 */
#include "sweep.h"

#include "region.h"
#include "slab.h"

const char *const print_names[PRINT_COUNT] = {
    [PRINT_REGIONS] = "regions",
    [PRINT_CONTENT] = "content",
    [PRINT_STRUCTURE] = "index structure",
    [PRINT_ENTRIES] = "entries",
    [PRINT_COUNTERS] = "counters of a space",
    [PRINT_FREE] = "free frames",
    [PRINT_FRAMES] = "frames by use",
    [PRINT_RECORDS] = "records in use",
    [PRINT_OBJECTS] = "objects",
};

static void mix(uint64_t *hash, uint64_t value)
{
	*hash = (*hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	*hash ^= *hash >> 29;
}

static void mix_bytes(uint64_t *hash, const void *bytes, size_t length)
{
	const uint64_t *word = bytes;
	for (size_t i = 0; i < length / sizeof(*word); i++) {
		mix(hash, word[i]);
	}
}

static void add_entry(uint64_t *hash, struct vmem_aspace *space, vmem_vaddr_t va)
{
	struct vmem_translation t;
	if (vmem_aspace_translate(space, va, &t)) {
		mix(hash, va);
		mix(hash, t.physical);
		mix(hash, t.permission | (uint64_t)t.cache << 8 | (uint64_t)t.level << 16);
		mix(hash, (uint64_t)t.accessed | (uint64_t)t.dirty << 1);
	}
}

static void add_space(struct print *p, struct vmem_aspace *space)
{
	struct vmem_region_info r;
	for (vmem_vaddr_t at = 0; vmem_region_next(space, at, &r); at = r.start + r.length) {
		uint64_t resident, shared, *hash = &p->of[PRINT_REGIONS];
		vmem_region_residence(space, &r, &resident, &shared);
		const uint64_t fields[] = {r.start, r.length, r.permission, r.maximum, r.flags,
		    r.attributes, (uintptr_t)r.object, r.offset, r.key, r.cache, r.cookie, resident, shared};
		mix_bytes(hash, fields, sizeof(fields));
		for (uint64_t done = 0; done < r.length; done += PAGE) {
			add_entry(&p->of[PRINT_ENTRIES], space, r.start + done);
		}
		if (r.start + r.length < r.start) {
			break;
		}
	}
	struct vmem_aspace_stats stats;
	vmem_aspace_stats(space, &stats);
	const uint64_t counters[] = {
	    stats.regions, stats.mapped, stats.resident, stats.committed, stats.tables, stats.tables_kept};
	mix_bytes(&p->of[PRINT_COUNTERS], counters, sizeof(counters));
}

static void add_node(
    void *arg, const struct index_node *node, const struct index_node *parent, bool exclusive)
{
	uint64_t *hash = arg;
	mix(hash, (uintptr_t)node);
	mix(hash, (uintptr_t)parent);
	mix(hash, node->head);
	mix(hash, node->base);
	mix(hash, node->present);
	mix(hash, exclusive);
}

static void add_store(struct print *p, const struct store *store)
{
	uint64_t *hash = &p->of[PRINT_CONTENT];
	slot_t slot;
	bool exclusive;
	mix(hash, (uintptr_t)store);
	mix(hash, store->references);
	mix(hash, store->mapping_count);
	mix(hash, store->kind | (uint64_t)store->cache << 8);
	if (store->kind != STORE_ANONYMOUS) {
		return;
	}
	vmem_index_visit(&store->index, add_node, &p->of[PRINT_STRUCTURE]);
	for (uint64_t key = 0; vmem_index_next(&store->index, &key, INDEX_KEY_LAST, &slot, &exclusive);
	     key++) {
		mix(hash, key);
		mix(hash, slot);
		mix(hash, exclusive);
		if (slot_kind(slot) == SLOT_PAGE) {
			mix(hash, slot_page(slot)->refs);
			mix_bytes(hash, page_to_virt(slot_page(slot)), PAGE);
		}
	}
}

static void add_object(uint64_t *hash, const struct vmem_object *object)
{
	struct vmem_object_info info;
	vmem_object_info(object, &info);
	const uint64_t fields[] = {
	    info.size, info.resident, info.shared, info.mappings, info.references, info.flags, info.cache};
	mix_bytes(hash, fields, sizeof(fields));
	for (uint64_t at = 0; at < info.size; at += PAGE) {
		vmem_paddr_t frame = 0;
		mix(hash, vmem_object_frame(object, at, &frame));
		mix(hash, frame);
	}
}

void print_take(const struct sweep *s, struct print *out)
{
	struct vmem_frame_stats frames;
	*out = (struct print){{0}};
	vmem_slab_trim();
	for (struct vmem_aspace *a = vmem_aspace_first(); a; a = a->all_next) {
		add_space(out, a);
	}
	for (const struct store *store = vmem_store_first(); store; store = store->all_next) {
		add_store(out, store);
	}
	for (unsigned i = 0; i < sizeof(s->object) / sizeof(s->object[0]); i++) {
		if (s->object[i]) {
			add_object(&out->of[PRINT_OBJECTS], s->object[i]);
		}
	}
	mix(&out->of[PRINT_OBJECTS], s->posix.brk_end);
	vmem_frame_stats(&frames);
	out->of[PRINT_FREE] = frames.free;
	const uint64_t by_use[] = {frames.reserved, frames.tables, frames.slabs, frames.data, frames.host};
	mix_bytes(&out->of[PRINT_FRAMES], by_use, sizeof(by_use));
	for (unsigned i = 0; i < SLAB_COUNT; i++) {
		mix(&out->of[PRINT_RECORDS], vmem_slab_in_use((enum slab_id)i));
	}
}
