/* SPDX-License-Identifier: MIT */
/*
 * fdt.c - reading a flattened device tree.
 *
 * Idea: one cursor that steps from node to node in the order of the blob, and look-up of a property by
 * scanning the properties that follow the node's name. Nothing is copied and nothing is remembered but the
 * cells of the ancestors.
 *
 *  D1  No byte outside [blob, blob + size) is read, whatever the blob says.
 *  D2  Every string that is handed out ends within the blob.
 *  D3  Values are read byte by byte: the code runs with the MMU off, where an unaligned access may fault.
 */
#include "fdt.h"

enum { FDT_BEGIN_NODE = 1, FDT_END_NODE = 2, FDT_PROP = 3, FDT_NOP = 4, FDT_END = 9 };
enum { FDT_HEADER_SIZE = 40, FDT_VERSION_LEAST = 16 };
#define FDT_MAGIC UINT32_C(0xd00dfeed)

static uint32_t read32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint64_t read_cells(const uint8_t *at, unsigned cells)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < cells; i++) {
		value = value << 32 | read32(at + (size_t)i * 4);
	}
	return value;
}

/* The length of a string that must end before `end`; -1 if it does not. */
static int64_t string_length(const struct fdt *fdt, uint32_t at, uint32_t end)
{
	for (uint32_t i = at; i < end; i++) {
		if (fdt->blob[i] == 0) {
			return (int64_t)(i - at);
		}
	}
	return -1;
}

static bool same(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool fdt_open(struct fdt *fdt, const void *blob, uint64_t limit)
{
	const uint8_t *header = blob;

	if (blob == NULL || ((uintptr_t)blob & 3) != 0 || limit < FDT_HEADER_SIZE ||
	    read32(header) != FDT_MAGIC) {
		return false;
	}
	uint32_t size = read32(header + 4);
	uint32_t structure = read32(header + 8);
	uint32_t strings = read32(header + 12);
	uint32_t reserve = read32(header + 16);
	uint32_t version = read32(header + 20);
	uint32_t strings_size = read32(header + 32);
	/* Version 16 has no size of the structure block: it then ends where the blob does. */
	uint32_t structure_size = version > FDT_VERSION_LEAST ? read32(header + 36) : size - structure;

	if (size > limit || size < FDT_HEADER_SIZE || version < FDT_VERSION_LEAST || (structure & 3) != 0 ||
	    structure > size || structure_size > size - structure || strings > size ||
	    strings_size > size - strings || reserve > size) {
		return false;
	}
	fdt->blob = blob;
	fdt->size = size;
	fdt->structure = structure;
	fdt->structure_end = structure + structure_size;
	fdt->strings = strings;
	fdt->strings_end = strings + strings_size;
	fdt->reserve = reserve;
	return true;
}

/* Reads the token at *at and steps over it, arguments included; `*out_data` is the offset of its arguments.
 * FDT_END if malformed. */
static uint32_t read_token(const struct fdt *fdt, uint32_t *at, uint32_t *out_data)
{
	uint32_t end = fdt->structure_end;

	if (*at > end || end - *at < 4) {
		return FDT_END;
	}
	uint32_t token = read32(fdt->blob + *at);
	uint32_t data = *at + 4;
	uint64_t next = data;

	if (token == FDT_BEGIN_NODE) {
		int64_t length = string_length(fdt, data, end);
		if (length < 0) {
			return FDT_END;
		}
		next += (uint64_t)length + 1;
	} else if (token == FDT_PROP) {
		if (end - data < 8) {
			return FDT_END;
		}
		next += 8 + (uint64_t)read32(fdt->blob + data);
	} else if (token != FDT_END_NODE && token != FDT_NOP) {
		return FDT_END;
	}
	next = (next + 3) & ~(uint64_t)3;
	if (next > end) {
		return FDT_END;
	}
	*at = (uint32_t)next;
	*out_data = data;
	return token;
}

const uint8_t *fdt_property(
    const struct fdt *fdt, const struct fdt_node *node, const char *name, uint32_t *out_length)
{
	uint32_t at = node->properties;
	uint32_t data;

	for (;;) {
		uint32_t token = read_token(fdt, &at, &data);
		if (token == FDT_NOP) {
			continue;
		}
		if (token != FDT_PROP) {
			return NULL;
		}
		uint32_t string = read32(fdt->blob + data + 4);
		if (string >= fdt->strings_end - fdt->strings ||
		    string_length(fdt, fdt->strings + string, fdt->strings_end) < 0) {
			return NULL;
		}
		if (same((const char *)fdt->blob + fdt->strings + string, name)) {
			*out_length = read32(fdt->blob + data);
			return fdt->blob + data + 8;
		}
	}
}

/* What the node says about its children's "reg"; the specification's defaults otherwise. */
static void read_children_cells(const struct fdt *fdt, struct fdt_node *node)
{
	uint64_t address = 2;
	uint64_t size = 1;

	(void)fdt_number(fdt, node, "#address-cells", &address);
	(void)fdt_number(fdt, node, "#size-cells", &size);
	node->address_cells[node->depth] = address <= 3 ? (uint8_t)address : 0;
	node->size_cells[node->depth] = size <= 2 ? (uint8_t)size : 0;
}

bool fdt_next(const struct fdt *fdt, struct fdt_node *node)
{
	uint32_t at = node->name == NULL ? fdt->structure : node->next;
	unsigned skipped = 0; /* levels below FDT_DEPTH_MAX that are open */
	uint32_t data;

	for (;;) {
		uint32_t token = read_token(fdt, &at, &data);
		if (token == FDT_END) {
			return false;
		}
		if (token == FDT_END_NODE) {
			if (skipped > 0) {
				skipped--;
			} else if (node->depth == 0) {
				return false;
			} else {
				node->depth--;
			}
		} else if (token == FDT_BEGIN_NODE) {
			if (skipped > 0 || node->depth == FDT_DEPTH_MAX) {
				skipped++;
				continue;
			}
			node->depth++;
			node->name = (const char *)fdt->blob + data;
			node->properties = at;
			node->next = at;
			read_children_cells(fdt, node);
			return true;
		}
	}
}

const char *fdt_string(const struct fdt *fdt, const struct fdt_node *node, const char *name)
{
	uint32_t length;
	const uint8_t *value = fdt_property(fdt, node, name, &length);

	if (value == NULL || length == 0 || value[length - 1] != 0) {
		return NULL;
	}
	return (const char *)value;
}

bool fdt_has_string(const struct fdt *fdt, const struct fdt_node *node, const char *name, const char *word)
{
	uint32_t length;
	const uint8_t *value = fdt_property(fdt, node, name, &length);

	if (value == NULL || length == 0 || value[length - 1] != 0) {
		return false;
	}
	for (uint32_t i = 0; i < length; i++) {
		if ((i == 0 || value[i - 1] == 0) && same((const char *)value + i, word)) {
			return true;
		}
	}
	return false;
}

bool fdt_number(const struct fdt *fdt, const struct fdt_node *node, const char *name, uint64_t *out)
{
	uint32_t length;
	const uint8_t *value = fdt_property(fdt, node, name, &length);

	if (value == NULL || (length != 4 && length != 8)) {
		return false;
	}
	*out = read_cells(value, length / 4);
	return true;
}

bool fdt_reg(const struct fdt *fdt, const struct fdt_node *node, unsigned index, uint64_t *out_start,
    uint64_t *out_length)
{
	uint32_t length;
	const uint8_t *value = fdt_property(fdt, node, "reg", &length);
	unsigned address = node->address_cells[node->depth - 1];
	unsigned size = node->size_cells[node->depth - 1];
	uint64_t entry = 4 * (uint64_t)(address + size);

	/* Three address cells are a bus (PCI) whose addresses are not the CPU's. */
	if (value == NULL || address == 0 || address > 2 || length / entry <= index) {
		return false;
	}
	value += index * entry;
	*out_start = read_cells(value, address);
	*out_length = read_cells(value + (size_t)address * 4, size);
	return true;
}

bool fdt_reserved(const struct fdt *fdt, unsigned index, uint64_t *out_start, uint64_t *out_length)
{
	uint64_t at = fdt->reserve + (uint64_t)index * 16;

	if (at > fdt->size || fdt->size - at < 16) {
		return false;
	}
	*out_start = read_cells(fdt->blob + at, 2);
	*out_length = read_cells(fdt->blob + at + 8, 2);
	return *out_length != 0;
}

bool fdt_name_is(const struct fdt_node *node, const char *stem)
{
	const char *name = node->name;

	while (*stem != 0 && *name == *stem) {
		name++;
		stem++;
	}
	return *stem == 0 && (*name == 0 || *name == '@');
}
