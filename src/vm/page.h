/* SPDX-License-Identifier: MIT */
/*
 * page.h - the frame record: 32 bytes for each frame of RAM, and how record, frame number and address turn
 * into each other.
 *
 * "Frame" is the memory, "page" is its record. The first eight bytes mean the same in every kind, so that a
 * lock-free walker may look at a record of which it does not yet know the kind (DESIGN.md, "The frame
 * record"): it takes the lock of whatever record a stale entry leads to, reads the kind, then what else
 * tells it that this is its table, and gives the lock back. So kind, order, flags and refs are stored as
 * wholes, and only who holds the lock stores it.
 */
#ifndef VMEM_PAGE_H
#define VMEM_PAGE_H

#include <vmem/frame.h>
#include <vmem/init.h>
#include <vmem/types.h>

#include "lock.h"

enum page_kind {
	PAGE_RESERVED = 0, /* given to nobody: holes, the records' own frames */
	PAGE_FREE,	   /* head of a free block of 2^order frames, on a free list */
	PAGE_FREE_TAIL,	   /* inside a free block */
	PAGE_CACHED,	   /* free, in a CPU's cache */
	PAGE_USED,	   /* allocated: raw memory of the host or the library */
	PAGE_TABLE,	   /* a page table: refs counts its entries that are not zero */
	PAGE_SLAB,	   /* holds small objects of one type */
	PAGE_DATA,	   /* content of an object: refs counts the index slots that hold it */
	PAGE_ZERO,	   /* the frame of zeroes: allocated for good, nobody's to give back */
};
enum { PAGE_KINDS = PAGE_ZERO + 1 };

struct lineage;
struct vmem_pmap;
struct slab_type;

struct vmem_page {
	union {
		struct {
			uint8_t
			    lock; /* TABLE: of its entries; a walker's for a moment, whatever the kind is */
			uint8_t kind;  /* enum page_kind; read by others at any time */
			uint8_t order; /* FREE: of the block; TABLE: the level; DATA: 0 */
			uint8_t flags; /* PAGE_F_* */
			uint32_t refs;
		};
		uint64_t head; /* all five, little-endian; with one CPU set at once when handed out */
	};
	union {
		uint32_t next; /* links by page number (PAGE_NIL ends); FREE, CACHED, SLAB */
		uint32_t busy; /* TABLE: the slot whose entry is being replaced, plus one; 0: none (P9) */
	};
	uint32_t prev;
	/* Stored whole, whatever the frame is: who has found a table without a lock may look at its record
	 * when it is something else by now. */
	union {
		struct { /* DATA: where it was born; kept for life (contract 1.5) */
			struct lineage *lineage;
			uint64_t key; /* page number in the lineage's key space */
		} data;
		struct { /* TABLE: enough to verify a table that was found without a lock (contract 6.1) */
			union {
				struct vmem_pmap *pmap;
				struct vmem_page *chain; /* out of every tree: the next one of a chain */
			};
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
	PAGE_F_ODD_CACHE = 1u << 1,   /* mapped with another attribute than write-back, linear map changed */
	PAGE_F_LARGE = 1u << 2,	      /* was allocated as part of a block that a large leaf maps */
	PAGE_F_ACCESSED = 1u << 3,    /* harvested from an entry */
	PAGE_F_DIRTY = 1u << 4,	      /* harvested from an entry: stored to since it was last clean */
	PAGE_F_MARKS_SHIFT = 2,	      /* a leaf's marks shifted right are the two above */
	PAGE_F_POISONED = 1u << 5,    /* free, and filled with the poison (VMEM_DEBUG) */
};
#define PAGE_NIL UINT32_MAX

/* Flags of a page that is in use change at any time, on any CPU that maps it. */
static inline void page_mark(struct vmem_page *page, uint8_t flags)
{
	shared_set_bits(&page->flags, flags);
}

static inline void page_unmark(struct vmem_page *page, uint8_t flags)
{
	shared_clear_bits(&page->flags, flags);
}

/* A range of RAM and where its records are. Each range has an array of records of its own; numbers count
 * through all of them. */
struct page_range {
	uint64_t first_pfn; /* frame number of pages[0] */
	uint64_t count;
	struct vmem_page *pages;
	uint64_t first_number; /* page number of pages[0]: the sum of the counts before */
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

/* The index of a record in the array of range r: at least r->count if it is not in it. */
static inline uint64_t page_range_index(const struct page_range *r, const struct vmem_page *page)
{
	return (uint64_t)((uintptr_t)page - (uintptr_t)r->pages) / sizeof(struct vmem_page);
}

/* The range whose record this is; panics for a pointer that is no record. */
__attribute__((cold)) const struct page_range *vmem_page_range_of(const struct vmem_page *page);
/* The range of an address; NULL: it is no RAM of ours. */
__attribute__((cold)) const struct page_range *vmem_page_range_at(vmem_paddr_t pa);
/* pa_to_page() for all ranges. */
__attribute__((cold)) struct vmem_page *vmem_page_search(vmem_paddr_t pa);

/* NULL for an address that is no RAM of ours. */
static inline struct vmem_page *pa_to_page(vmem_paddr_t pa)
{
	const struct page_range *r = &vmem_page_ranges.range[0];
	uint64_t index = (pa >> VMEM_PAGE_SHIFT) - r->first_pfn;
	if (__builtin_expect(index < r->count, 1)) {
		return r->pages + index;
	}
	return vmem_page_search(pa);
}

/* The range of a record, and its index there. */
static inline const struct page_range *page_locate(const struct vmem_page *page, uint64_t *out_index)
{
	const struct page_range *r = &vmem_page_ranges.range[0];
	*out_index = page_range_index(r, page);
	if (__builtin_expect(*out_index >= r->count, 0)) {
		r = vmem_page_range_of(page);
		*out_index = page_range_index(r, page);
	}
	return r;
}

static inline vmem_paddr_t page_to_pa(const struct vmem_page *page)
{
	uint64_t index;
	const struct page_range *r = page_locate(page, &index);
	return (r->first_pfn + index) << VMEM_PAGE_SHIFT;
}

/* Page numbers: what the 32-bit links of a record hold. */
static inline uint32_t page_to_number(const struct vmem_page *page)
{
	uint64_t index;
	const struct page_range *r = page_locate(page, &index);
	return (uint32_t)(r->first_number + index);
}

static inline struct vmem_page *number_to_page(uint32_t number)
{
	const struct page_range *r = &vmem_page_ranges.range[0];
	while (__builtin_expect(number - r->first_number >= r->count, 0)) {
		r++;
	}
	return r->pages + (number - r->first_number);
}

static inline void *page_to_virt(const struct vmem_page *page)
{
	return phys_to_virt(page_to_pa(page));
}

/* A chain of records through `next` alone: *chain is the number of the first, or PAGE_NIL. */
static inline void page_chain_push(uint32_t *chain, struct vmem_page *page)
{
	page->next = *chain;
	*chain = page_to_number(page);
}

static inline struct vmem_page *page_chain_pop(uint32_t *chain)
{
	struct vmem_page *page = number_to_page(*chain);
	*chain = page->next;
	return page;
}

#endif
