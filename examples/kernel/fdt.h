/* SPDX-License-Identifier: MIT */
/*
 * fdt.h - reading a flattened device tree (Devicetree Specification 0.3, chapter 5), and what the kernels
 * want from it.
 *
 * The tree is input from outside: every offset is checked against the blob's size, and a malformed tree ends
 * the walk. All of it runs before the MMU is on: no absolute address, no unaligned access.
 */
#ifndef KERNEL_FDT_H
#define KERNEL_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FDT_DEPTH_MAX 8u

struct fdt {
	const uint8_t *blob;
	uint32_t size;
	uint32_t structure, structure_end; /* offsets of the structure block */
	uint32_t strings, strings_end;	   /* offsets of the strings block */
	uint32_t reserve;		   /* offset of the memory reservation block */
};

/* A place in the walk. Zero it to start. */
struct fdt_node {
	const char *name;
	uint32_t properties; /* offset of the first property */
	uint32_t next;	     /* offset of the token after it */
	unsigned depth;	     /* 1 is the root */
	uint8_t address_cells[FDT_DEPTH_MAX + 1],
	    size_cells[FDT_DEPTH_MAX + 1]; /* [d]: for the children of the node at depth d */
};

/* False if there is no sound tree within `limit` bytes of `blob`. */
bool fdt_open(struct fdt *fdt, const void *blob, uint64_t limit);

/* Goes to the next node, in the order of the blob; nodes deeper than FDT_DEPTH_MAX are passed over. False at
 * the end. */
bool fdt_next(const struct fdt *fdt, struct fdt_node *node);

/* The value of a property, or NULL; a string's last byte is known to be 0 only by fdt_string(). */
const uint8_t *fdt_property(
    const struct fdt *fdt, const struct fdt_node *node, const char *name, uint32_t *out_length);

/* The property as a string that ends within it, or NULL. */
const char *fdt_string(const struct fdt *fdt, const struct fdt_node *node, const char *name);

/* True if `word` is one of the strings of the property (a list such as "compatible"). */
bool fdt_has_string(const struct fdt *fdt, const struct fdt_node *node, const char *name, const char *word);

/* A property of one or two cells. */
bool fdt_number(const struct fdt *fdt, const struct fdt_node *node, const char *name, uint64_t *out);

/* The index-th range of "reg", in the cells of the node's parent. */
bool fdt_reg(const struct fdt *fdt, const struct fdt_node *node, unsigned index, uint64_t *out_start,
    uint64_t *out_length);

/* The index-th entry of the memory reservation block. */
bool fdt_reserved(const struct fdt *fdt, unsigned index, uint64_t *out_start, uint64_t *out_length);

bool fdt_name_is(
    const struct fdt_node *node, const char *stem); /* "memory" matches memory and memory@80000000 */

#endif
