/* SPDX-License-Identifier: MIT */
/*
 * page.h - the frame record: 32 bytes for each frame of RAM, and how record, frame number and address turn into each other.
 *
 * "Frame" is the memory, "page" is its record. The first eight bytes mean the same in every kind, so that a lock-free walker may
 * look at a record of which it does not yet know the kind (DESIGN.md, "The frame record").
 */
#ifndef VMEM_PAGE_H
#define VMEM_PAGE_H

#include <vmem/frame.h>
#include <vmem/init.h>
#include <vmem/types.h>

enum page_kind {
	PAGE_RESERVED = 0, /* given to nobody: holes, the records' own frames */
	PAGE_FREE,	   /* head of a free block of 2^order frames, on a free list */
	PAGE_FREE_TAIL,	   /* inside a free block */
	PAGE_CACHED,	   /* free, in a CPU's cache */
	PAGE_USED,	   /* allocated: raw memory of the host or the library */
	PAGE_TABLE,	   /* a page table: refs counts its entries that are not zero */
	PAGE_SLAB,	   /* holds small objects of one type */
	PAGE_DATA,	   /* content of an object: refs counts the index slots that hold it */
};

struct lineage;
struct vmem_pmap;
struct slab_type;

struct vmem_page {
	uint8_t lock;  /* reserved for a lock bit, same place in every kind */
	uint8_t kind;  /* enum page_kind */
	uint8_t order; /* FREE: of the block; TABLE: the level; DATA: 0 */
	uint8_t flags; /* PAGE_F_* */
	uint32_t refs;
	uint32_t next, prev; /* links by page number in the record array (PAGE_NIL ends); FREE, CACHED, SLAB, TABLE (batch) */
	union {
		struct { /* DATA: where it was born; kept for life (contract 1.5) */
			struct lineage *lineage;
			uint64_t key; /* page number in the lineage's key space */
		} data;
		struct { /* TABLE: enough to verify a table that was found without a lock (contract 6.1) */
			struct vmem_pmap *pmap;
			vmem_vaddr_t base; /* the first address it translates */
		} table;
		struct { /* SLAB */
			struct slab_type *type;
			uint32_t first_free; /* byte offset of the first free object, or SLAB_NONE */
			uint32_t in_use;
		} slab;
	} u;
};
_Static_assert(sizeof(struct vmem_page) == 32, "a frame record is 32 bytes: 0.8 % of memory");

enum {
	PAGE_F_EXEC_SYNCED = 1u << 0, /* instruction fetch sees the content (cleared by every kernel write) */
	PAGE_F_ODD_CACHE = 1u << 1,   /* leaves exist, or existed, with another attribute than write-back: linear map was changed */
	PAGE_F_LARGE = 1u << 2,	      /* was allocated as part of a block that a large leaf maps */
};
#define PAGE_NIL UINT32_MAX

/* A range of RAM and where its records are. The records of all ranges form one array, in page-number order. */
struct page_range {
	uint64_t first_pfn; /* frame number of pages[0] */
	uint64_t count;
	struct vmem_page *pages;
};
#define PAGE_RANGES_MAX 32

struct page_ranges {
	unsigned count;
	struct page_range range[PAGE_RANGES_MAX]; /* largest first: the common case is the first compare */
};
extern struct page_ranges vmem_page_ranges;
extern uint64_t vmem_direct_map; /* physical address + this = kernel virtual address */

static inline void *phys_to_virt(vmem_paddr_t pa)
{
	return (void *)(uintptr_t)(pa + vmem_direct_map);
}

static inline vmem_paddr_t virt_to_phys(const void *kva)
{
	return (vmem_paddr_t)(uintptr_t)kva - vmem_direct_map;
}

/* NULL for an address that is no RAM of ours. */
static inline struct vmem_page *pa_to_page(vmem_paddr_t pa)
{
	uint64_t pfn = pa >> VMEM_PAGE_SHIFT;
	for (unsigned i = 0; i < vmem_page_ranges.count; i++) {
		const struct page_range *r = &vmem_page_ranges.range[i];
		if (pfn - r->first_pfn < r->count) {
			return r->pages + (pfn - r->first_pfn);
		}
	}
	return NULL;
}

static inline vmem_paddr_t page_to_pa(const struct vmem_page *page)
{
	const struct page_range *r = &vmem_page_ranges.range[0];
	uint64_t index = (uint64_t)((uintptr_t)page - (uintptr_t)r->pages) / sizeof(struct vmem_page);
	while (index >= r->count) {
		r++;
		index = (uint64_t)((uintptr_t)page - (uintptr_t)r->pages) / sizeof(struct vmem_page);
	}
	return (r->first_pfn + index) << VMEM_PAGE_SHIFT;
}

static inline void *page_to_virt(const struct vmem_page *page)
{
	return phys_to_virt(page_to_pa(page));
}

#endif
