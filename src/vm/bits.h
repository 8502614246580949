/* SPDX-License-Identifier: MIT */
/*
 * bits.h - counting bits without a compiler's run-time library.
 *
 * A freestanding gcc turns __builtin_ctzll and __builtin_popcountll into calls of libgcc where the CPU has
 * no instruction for them: always for popcount, and for ctz on a RISC-V without Zbb. A host kernel does not
 * link libgcc.
 */
#ifndef VMEM_BITS_H
#define VMEM_BITS_H

#include <stdint.h>

#if !defined(__riscv) || defined(__riscv_zbb)
/* The number of zero bits below the lowest set one; x is not 0. */
static inline unsigned bits_ctz64(uint64_t x)
{
	return (unsigned)__builtin_ctzll(x);
}

/* The number of the highest set bit; x is not 0. */
static inline unsigned bits_log2_floor(uint64_t x)
{
	return 63u - (unsigned)__builtin_clzll(x);
}
#else
/* A de Bruijn sequence: its 64 windows of six bits are all different, so the window that a power of two
 * selects names it. */
#define BITS_DE_BRUIJN UINT64_C(0x03f79d71b4cb0a89)
static inline unsigned bits_ctz64(uint64_t x)
{
	static const uint8_t position[64] = {
		0,  47, 1,  56, 48, 27, 2,  60, 57, 49, 41, 37, 28, 16, 3,  61, 54, 58, 35, 52, 50, 42,
		21, 44, 38, 32, 29, 23, 17, 11, 4,  62, 46, 55, 26, 59, 40, 36, 15, 53, 34, 51, 20, 43,
		31, 22, 10, 45, 25, 39, 14, 33, 19, 30, 9,  24, 13, 18, 8,  12, 7,  6,	5,  63,
	};
	return position[((x ^ (x - 1)) * BITS_DE_BRUIJN) >> 58];
}

static inline unsigned bits_log2_floor(uint64_t x)
{
	x |= x >> 1;
	x |= x >> 2;
	x |= x >> 4;
	x |= x >> 8;
	x |= x >> 16;
	x |= x >> 32;
	return bits_ctz64(x ^ (x >> 1));
}
#endif

static inline unsigned bits_popcount64(uint64_t x)
{
	x -= (x >> 1) & UINT64_C(0x5555555555555555);
	x = (x & UINT64_C(0x3333333333333333)) + ((x >> 2) & UINT64_C(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)((x * UINT64_C(0x0101010101010101)) >> 56);
}

/* The smallest n with 2^n >= x; x is not 0. */
static inline unsigned bits_log2_ceil(uint64_t x)
{
	return x == 1 ? 0 : bits_log2_floor(x - 1) + 1;
}

#endif
