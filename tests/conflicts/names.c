/* SPDX-License-Identifier: MIT */
/*
 * names.c - which object a recorded line belongs to: a record of a frame, an object of a slab, a page table,
 * content, or a variable of the library.
 */
#include <stdio.h>
#include <string.h>

#include "frame.h"
#include "frame_source.h"
#include "machine.h"
#include "names.h"
#include "page.h"
#include "region.h"
#include "slab.h"

static const char *const kinds[PAGE_KINDS] = {
    [PAGE_RESERVED] = "a reserved frame",
    [PAGE_FREE] = "a free frame",
    [PAGE_FREE_TAIL] = "a free frame",
    [PAGE_CACHED] = "a cached frame",
    [PAGE_USED] = "a frame of the host",
    [PAGE_TABLE] = "a table",
    [PAGE_SLAB] = "a slab",
    [PAGE_DATA] = "a page",
    [PAGE_ZERO] = "the zero page",
};

static const char *const slabs[SLAB_COUNT] = {
    [SLAB_REGION] = "region",
    [SLAB_VMAR] = "VMAR",
    [SLAB_INDEX_NODE] = "index node",
    [SLAB_STORE] = "store",
    [SLAB_OBJECT] = "object",
    [SLAB_LINEAGE] = "lineage",
    [SLAB_ASPACE] = "space",
};

static const struct vmem_page *frame_of(uintptr_t address)
{
	uint64_t pa = (uint64_t)address - machine_direct_map();
	return machine_is_ram(pa) ? pa_to_page(pa) : NULL;
}

static bool is_record(uintptr_t address)
{
	const struct page_range *r = &vmem_page_ranges.range[0];
	return address - (uintptr_t)r->pages < r->count * sizeof(struct vmem_page);
}

/* Of the heads of the two records in a line, and of a node's at the start of a line, the bytes: references,
 * and the lock and flags that are in one word with them. */
#define HEADS UINT64_C(0x000000ff000000ff)
#define HEAD UINT64_C(0xff)

/* A line has two records; the ones that are written, or else touched, by both. */
static const char *record_name(uintptr_t line, uint64_t bytes)
{
	static char text[128];
	const struct vmem_page *pages = (const void *)line;
	bool low = (uint32_t)bytes != 0, high = bytes >> 32 != 0;
	const char *first = kinds[pages[0].kind], *second = kinds[pages[1].kind];
	if ((bytes & ~HEADS) == 0 && (!low || pages[0].kind == PAGE_DATA) &&
	    (!high || pages[1].kind == PAGE_DATA)) {
		(void)snprintf(text, sizeof(text), "references of a page");
	} else if (low && high && strcmp(first, second) != 0) {
		(void)snprintf(text, sizeof(text), "records of %s and %s", first, second);
	} else {
		(void)snprintf(text, sizeof(text), "record of %s", low ? first : second);
	}
	return text;
}

/* A text that stays. */
static const char *keep(const char *text)
{
	static char kept[64][160];
	static unsigned count;
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(kept[i], text) == 0) {
			return kept[i];
		}
	}
	if (count == 64) {
		return "too many names";
	}
	(void)snprintf(kept[count], sizeof(kept[0]), "%s", text);
	return kept[count++];
}

static const char *variable(uintptr_t line)
{
	static char text[128];
	uintptr_t slab = line - (uintptr_t)vmem_slab_types;
	if (slab < sizeof(vmem_slab_types)) {
		(void)snprintf(text, sizeof(text), "all %ss", slabs[slab / sizeof(vmem_slab_types[0])]);
		return text;
	}
	for (uintptr_t at = line; at < line + 64;
	     at += 8) { /* the first variable of the line that has a name */
		(void)snprintf(text, sizeof(text), "%s", symbol_name(at));
		if (strchr(text, '+') != NULL) {
			break;
		}
	}
	text[strcspn(text, "+")] = '\0';
	return text;
}

/* Neither touches what the other writes: two things that happen to lie in one line. */
static bool is_neighbours(const struct record_line *a, const struct record_line *b)
{
	uint64_t by_a = a->bytes_read | a->bytes_written, by_b = b->bytes_read | b->bytes_written;
	return (a->bytes_written & by_b) == 0 && (b->bytes_written & by_a) == 0;
}

static const char *name_of(const struct record_line *a, const struct record_line *b)
{
	const struct vmem_page *page = frame_of(a->line);
	uint64_t bytes = (a->bytes_written | b->bytes_written);
	if (page == NULL) {
		return variable(a->line);
	}
	if (is_record(a->line)) {
		return record_name(a->line, bytes);
	}
	if (page->kind == PAGE_SLAB) {
		const struct slab_type *type = page->u.slab.type;
		uint64_t at = (a->line & VMEM_PAGE_MASK) % type->size;
		bool head = type == &vmem_slab_types[SLAB_INDEX_NODE] &&
			    at == offsetof(struct index_node, head) && (bytes & ~HEAD) == 0;
		return head ? "references of an index node" : slabs[type - vmem_slab_types];
	}
	return page->kind == PAGE_TABLE ? "entries of a table" : kinds[page->kind];
}

const char *names_of(const struct record_line *a, const struct record_line *b)
{
	char text[160];
	(void)snprintf(text, sizeof(text), "%s%s", name_of(a, b), is_neighbours(a, b) ? " (neighbours)" : "");
	return keep(text);
}

unsigned names_refilled(const struct record *record)
{
	unsigned refilled = 0;
	for (unsigned i = 0; i < record->count; i++) {
		uintptr_t line = record->lines[i].line;
		if (!record->lines[i].written) {
			continue;
		}
		if (line - ((uintptr_t)&vmem_source & ~(uintptr_t)63) < sizeof(vmem_source)) {
			refilled |= NAMES_FRAMES;
		}
		if (line - (uintptr_t)vmem_slab_types < sizeof(vmem_slab_types)) {
			refilled |= NAMES_OBJECTS;
		}
	}
	return refilled;
}
