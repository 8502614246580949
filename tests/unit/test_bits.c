/* SPDX-License-Identifier: MIT */
/* Counting bits, with the compiler's instructions and with our own fall-backs: each against a loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bits.h"

/* The header once more as a RISC-V without Zbb sees it, under other names. */
#undef VMEM_BITS_H
#undef __riscv_zbb
#ifndef __riscv
#define __riscv 1
#endif
#define bits_ctz64 own_ctz64
#define bits_log2_floor own_log2_floor
#define bits_popcount64 own_popcount64
#define bits_log2_ceil own_log2_ceil
#include "bits.h"
#undef bits_ctz64
#undef bits_log2_floor
#undef bits_popcount64
#undef bits_log2_ceil

static void check(uint64_t x)
{
	unsigned low = 64, high = 0, count = 0;
	for (unsigned n = 0; n < 64; n++) {
		if (x >> n & 1) {
			low = low < n ? low : n;
			high = n;
			count++;
		}
	}
	assert_int_equal(bits_popcount64(x), count);
	assert_int_equal(own_popcount64(x), count);
	if (x == 0) {
		return;
	}
	unsigned ceil = high + (count > 1);
	assert_int_equal(bits_ctz64(x), low);
	assert_int_equal(own_ctz64(x), low);
	assert_int_equal(bits_log2_floor(x), high);
	assert_int_equal(own_log2_floor(x), high);
	assert_int_equal(bits_log2_ceil(x), ceil);
	assert_int_equal(own_log2_ceil(x), ceil);
}

static void test_bits(void **state)
{
	(void)state;
	uint64_t x = 88172645463325252u;
	check(0);
	check(UINT64_MAX);
	for (unsigned a = 0; a < 64; a++) {
		for (unsigned b = 0; b < 64; b++) {
			check(UINT64_C(1) << a | UINT64_C(1) << b);
			check(UINT64_MAX << a & UINT64_MAX >> b);
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			check(x);
			check(x << a);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
