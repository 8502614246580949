/* SPDX-License-Identifier: MIT */
/*
 * test_fdt.c - the example kernels' reader of device trees: what it finds in a sound tree, and that no
 * damaged one leads it out of the blob (the sanitizers watch: each blob is an allocation of exactly its size)
 * or makes it run for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../examples/kernel/fdt.h"

/* Writes a blob: the three blocks, then all of them behind a header. */
struct writer {
	uint8_t structure[2048], strings[512];
	size_t structure_size, strings_size;
};

enum { HEADER = 40, RESERVE = 32 };

static void put32(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 24);
	to[1] = (uint8_t)(value >> 16);
	to[2] = (uint8_t)(value >> 8);
	to[3] = (uint8_t)value;
}

static void add32(struct writer *w, uint32_t value)
{
	put32(w->structure + w->structure_size, value);
	w->structure_size += 4;
}

static void add_bytes(struct writer *w, const void *bytes, size_t length)
{
	memcpy(w->structure + w->structure_size, bytes, length);
	memset(w->structure + w->structure_size + length, 0, 4);
	w->structure_size = (w->structure_size + length + 3) & ~(size_t)3;
}

static void begin(struct writer *w, const char *name)
{
	add32(w, 1);
	add_bytes(w, name, strlen(name) + 1);
}

static void end(struct writer *w)
{
	add32(w, 2);
}

static void property(struct writer *w, const char *name, const void *value, size_t length)
{
	size_t at = w->strings_size;

	memcpy(w->strings + at, name, strlen(name) + 1);
	w->strings_size += strlen(name) + 1;
	add32(w, 3);
	add32(w, (uint32_t)length);
	add32(w, (uint32_t)at);
	add_bytes(w, value, length);
}

static void string(struct writer *w, const char *name, const char *value)
{
	property(w, name, value, strlen(value) + 1);
}

static void cells(struct writer *w, const char *name, unsigned count, const uint32_t *value)
{
	uint8_t bytes[64];

	for (unsigned i = 0; i < count; i++) {
		put32(bytes + (size_t)i * 4, value[i]);
	}
	property(w, name, bytes, (size_t)count * 4);
}

/* Either block may be the last: what follows it is then outside the blob. */
static uint8_t *finish(struct writer *w, bool strings_last, size_t *out_size)
{
	size_t strings_size = (w->strings_size + 3) & ~(size_t)3;
	size_t size = HEADER + RESERVE + w->structure_size + (strings_last ? w->strings_size : strings_size);
	size_t structure = HEADER + RESERVE + (strings_last ? 0 : strings_size);
	size_t strings = HEADER + RESERVE + (strings_last ? w->structure_size : 0);
	uint8_t *blob = calloc(1, size);
	uint32_t header[10] = {0xd00dfeed, (uint32_t)size, (uint32_t)structure, (uint32_t)strings, HEADER, 17,
	    16, 0, (uint32_t)w->strings_size, (uint32_t)w->structure_size};

	assert_non_null(blob);
	for (unsigned i = 0; i < 10; i++) {
		put32(blob + (size_t)i * 4, header[i]);
	}
	put32(blob + HEADER, 1); /* one reservation: 0x1_00002000, 0x3000 bytes */
	put32(blob + HEADER + 4, 0x2000);
	put32(blob + HEADER + 12, 0x3000);
	memcpy(blob + structure, w->structure, w->structure_size);
	memcpy(blob + strings, w->strings, w->strings_size);
	*out_size = size;
	return blob;
}

static uint8_t *sample(bool strings_last, size_t *out_size)
{
	static struct writer w;

	memset(&w, 0, sizeof(w));
	begin(&w, "");
	cells(&w, "#address-cells", 1, (const uint32_t[]){2});
	cells(&w, "#size-cells", 1, (const uint32_t[]){2});
	begin(&w, "memory@80000000");
	string(&w, "device_type", "memory");
	add32(&w, 4); /* NOP */
	cells(&w, "reg", 8, (const uint32_t[]){0, 0x80000000, 0, 0x10000000, 2, 0, 1, 0x1000});
	end(&w);
	begin(&w, "chosen");
	string(&w, "bootargs", "run=bin/program wx");
	cells(&w, "linux,initrd-start", 2, (const uint32_t[]){1, 0x88000000});
	property(&w, "unended", "abc", 3);
	end(&w);
	begin(&w, "soc");
	cells(&w, "#address-cells", 1, (const uint32_t[]){1});
	cells(&w, "#size-cells", 1, (const uint32_t[]){1});
	begin(&w, "uart@9000000");
	property(&w, "compatible", "arm,pl011\0arm,primecell", 24);
	cells(&w, "reg", 2, (const uint32_t[]){0x9000000, 0x1000});
	end(&w);
	for (unsigned i = 0; i < FDT_DEPTH_MAX + 3; i++) {
		begin(&w, "deep");
	}
	for (unsigned i = 0; i < FDT_DEPTH_MAX + 3; i++) {
		end(&w);
	}
	begin(&w, "last");
	end(&w);
	end(&w);
	end(&w);
	add32(&w, 9);
	return finish(&w, strings_last, out_size);
}

static bool find(const struct fdt *fdt, const char *name, struct fdt_node *node)
{
	memset(node, 0, sizeof(*node));
	while (fdt_next(fdt, node)) {
		if (fdt_name_is(node, name)) {
			return true;
		}
	}
	return false;
}

static void test_sound(void **state)
{
	size_t size;
	uint8_t *blob = sample(*(const bool *)*state, &size);
	struct fdt fdt;
	struct fdt_node node;
	uint64_t a, b;
	uint32_t length;

	assert_true(fdt_open(&fdt, blob, size));
	assert_true(find(&fdt, "memory", &node));
	assert_int_equal(node.depth, 2);
	assert_true(fdt_reg(&fdt, &node, 0, &a, &b));
	assert_true(a == 0x80000000 && b == 0x10000000);
	assert_true(fdt_reg(&fdt, &node, 1, &a, &b));
	assert_true(a == UINT64_C(0x200000000) && b == UINT64_C(0x100001000));
	assert_false(fdt_reg(&fdt, &node, 2, &a, &b));
	assert_false(fdt_name_is(&node, "mem"));

	assert_true(find(&fdt, "chosen", &node));
	assert_string_equal(fdt_string(&fdt, &node, "bootargs"), "run=bin/program wx");
	assert_true(fdt_number(&fdt, &node, "linux,initrd-start", &a));
	assert_true(a == UINT64_C(0x188000000));
	assert_null(fdt_string(&fdt, &node, "unended"));
	assert_non_null(fdt_property(&fdt, &node, "unended", &length));
	assert_int_equal(length, 3);
	assert_null(fdt_property(&fdt, &node, "device_type", &length)); /* another node's */

	assert_true(find(&fdt, "uart", &node));
	assert_true(fdt_has_string(&fdt, &node, "compatible", "arm,pl011"));
	assert_true(fdt_has_string(&fdt, &node, "compatible", "arm,primecell"));
	assert_false(fdt_has_string(&fdt, &node, "compatible", "arm"));
	assert_true(fdt_reg(&fdt, &node, 0, &a, &b)); /* in the cells of soc, not of the root */
	assert_true(a == 0x9000000 && b == 0x1000);

	assert_true(find(&fdt, "last", &node)); /* behind what is too deep */
	assert_int_equal(node.depth, 3);

	assert_true(fdt_reserved(&fdt, 0, &a, &b));
	assert_true(a == UINT64_C(0x100002000) && b == 0x3000);
	assert_false(fdt_reserved(&fdt, 1, &a, &b));
	free(blob);
}

/* Asks everything of every node; answers how many there were. */
static unsigned walk(const uint8_t *blob, size_t size)
{
	static const char *const names[] = {"reg", "compatible", "bootargs", "linux,initrd-start", "none"};
	struct fdt fdt;
	struct fdt_node node = {0};
	unsigned nodes = 0;
	uint64_t a, b;

	if (!fdt_open(&fdt, blob, size)) {
		return 0;
	}
	while (fdt_next(&fdt, &node)) {
		assert_true(nodes < size);
		nodes++;
		assert_true(strlen(node.name) < size);
		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			const char *text = fdt_string(&fdt, &node, names[i]);

			assert_true(text == NULL || strlen(text) < size);
			(void)fdt_has_string(&fdt, &node, names[i], "arm,pl011");
			(void)fdt_number(&fdt, &node, names[i], &a);
		}
		for (unsigned i = 0; i < 3; i++) {
			(void)fdt_reg(&fdt, &node, i, &a, &b);
		}
	}
	for (unsigned i = 0; fdt_reserved(&fdt, i, &a, &b); i++) {
		assert_true(i < size);
	}
	return nodes;
}

static void test_cut_short(void **state)
{
	size_t size;
	uint8_t *blob = sample(*(const bool *)*state, &size);

	assert_int_equal(walk(blob, size), 6 + FDT_DEPTH_MAX - 2);
	for (size_t n = 0; n < size; n++) {
		uint8_t *part = malloc(n != 0 ? n : 1);

		assert_non_null(part);
		memcpy(part, blob, n);
		assert_int_equal(walk(part, n), 0); /* the size in the header is beyond the limit */
		if (n >= 8) {
			put32(part + 4, (uint32_t)n); /* the blocks are */
			(void)walk(part, n);
		}
		free(part);
	}
	free(blob);
}

static void test_damaged(void **state)
{
	static const uint8_t values[] = {0, 1, 2, 3, 9, 0x7f, 0x80, 0xff};
	size_t size;
	uint8_t *blob = sample(*(const bool *)*state, &size);

	for (size_t at = 0; at < size; at++) {
		uint8_t before = blob[at];

		for (unsigned i = 0; i < sizeof(values); i++) {
			blob[at] = values[i];
			(void)walk(blob, size);
		}
		blob[at] = before;
	}
	free(blob);
}

static void test_refused(void **state)
{
	size_t size;
	uint8_t *blob = sample(*(const bool *)*state, &size);
	struct fdt fdt;

	assert_false(fdt_open(&fdt, NULL, 4096));
	assert_false(fdt_open(&fdt, blob, HEADER - 1));
	blob[0] ^= 1;
	assert_false(fdt_open(&fdt, blob, size));
	blob[0] ^= 1;
	put32(blob + 20, 15); /* version */
	assert_false(fdt_open(&fdt, blob, size));
	put32(blob + 20, 16); /* without a size of the structure block */
	assert_true(fdt_open(&fdt, blob, size));
	free(blob);
}

int main(void)
{
	static bool first = false, last = true;
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_prestate(test_sound, &first),
	    cmocka_unit_test_prestate(test_sound, &last),
	    cmocka_unit_test_prestate(test_cut_short, &first),
	    cmocka_unit_test_prestate(test_cut_short, &last),
	    cmocka_unit_test_prestate(test_damaged, &first),
	    cmocka_unit_test_prestate(test_damaged, &last),
	    cmocka_unit_test_prestate(test_refused, &first),
	    cmocka_unit_test_prestate(test_refused, &last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
