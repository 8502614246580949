/* SPDX-License-Identifier: MIT */
/*
 * Fills 64 MiB of anonymous memory with a fixed sequence, then hashes all of it with SHA-256 (FIPS 180-4).
 * Built with EXPECTED_DIGEST it compares; the build compiles this file a first time for the build machine and
 * runs it there to learn the digest, so the two sides share the source and nothing else.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES ((size_t)64 << 20)

static const uint32_t round_constant[64] = {
    0x428a2f98,
    0x71374491,
    0xb5c0fbcf,
    0xe9b5dba5,
    0x3956c25b,
    0x59f111f1,
    0x923f82a4,
    0xab1c5ed5,
    0xd807aa98,
    0x12835b01,
    0x243185be,
    0x550c7dc3,
    0x72be5d74,
    0x80deb1fe,
    0x9bdc06a7,
    0xc19bf174,
    0xe49b69c1,
    0xefbe4786,
    0x0fc19dc6,
    0x240ca1cc,
    0x2de92c6f,
    0x4a7484aa,
    0x5cb0a9dc,
    0x76f988da,
    0x983e5152,
    0xa831c66d,
    0xb00327c8,
    0xbf597fc7,
    0xc6e00bf3,
    0xd5a79147,
    0x06ca6351,
    0x14292967,
    0x27b70a85,
    0x2e1b2138,
    0x4d2c6dfc,
    0x53380d13,
    0x650a7354,
    0x766a0abb,
    0x81c2c92e,
    0x92722c85,
    0xa2bfe8a1,
    0xa81a664b,
    0xc24b8b70,
    0xc76c51a3,
    0xd192e819,
    0xd6990624,
    0xf40e3585,
    0x106aa070,
    0x19a4c116,
    0x1e376c08,
    0x2748774c,
    0x34b0bcb5,
    0x391c0cb3,
    0x4ed8aa4a,
    0x5b9cca4f,
    0x682e6ff3,
    0x748f82ee,
    0x78a5636f,
    0x84c87814,
    0x8cc70208,
    0x90befffa,
    0xa4506ceb,
    0xbef9a3f7,
    0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned by)
{
	return x >> by | x << (32 - by);
}

/* One round; the caller passes the eight words in turn, so that none has to move. */
static inline void hash_round(const uint32_t s[8], unsigned i, uint32_t *d, uint32_t *h, uint32_t added)
{
	const uint32_t a = s[-i & 7], b = s[(1 - i) & 7], c = s[(2 - i) & 7];
	const uint32_t e = s[(4 - i) & 7], f = s[(5 - i) & 7], g = s[(6 - i) & 7];

	*h += (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + added;
	*d += *h;
	*h += (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));
}

static void compress(uint32_t state[8], const unsigned char *block)
{
	uint32_t w[64], s[8];

	for (unsigned i = 0; i < 16; i++, block += 4) {
		w[i] =
		    (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
	}
	for (unsigned i = 16; i < 64; i++) {
		uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;

		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
	memcpy(s, state, sizeof(s));
	for (unsigned i = 0; i < 64; i += 8) {
#pragma GCC unroll 8
		for (unsigned k = 0; k < 8; k++) {
			hash_round(s, k, &s[(3 - k) & 7], &s[(7 - k) & 7], round_constant[i + k] + w[i + k]);
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		state[i] += s[i];
	}
}

/* Whole blocks only, then the padding block of a message that ends with a block. */
static void sha256(const unsigned char *bytes, size_t length, char hex[65])
{
	uint32_t state[8] = {
	    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	unsigned char last[64] = {0x80};
	uint64_t bits = (uint64_t)length * 8;

	for (size_t at = 0; at < length; at += 64) {
		compress(state, bytes + at);
	}
	for (unsigned i = 0; i < 8; i++) {
		last[56 + i] = (unsigned char)(bits >> (56 - 8 * i));
	}
	compress(state, last);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(hex + (size_t)8 * i, 9, "%08x", (unsigned)state[i]);
	}
}

int main(int argc, char **argv)
{
	unsigned char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t x = 88172645463325252u;
	char hex[65];

	if (memory == MAP_FAILED) {
		perror("hash64: mmap");
		return 1;
	}
	for (size_t at = 0; at < BYTES; at += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(memory + at, &x, sizeof(x));
	}
	sha256(memory, BYTES, hex);
	if (munmap(memory, BYTES) != 0) {
		perror("hash64: munmap");
		return 1;
	}
	if (argc > 1 && strcmp(argv[1], "--digest") == 0) {
		puts(hex);
		return 0;
	}
#ifdef EXPECTED_DIGEST
	printf("hash64: SHA-256 of 64 MiB %s\n", hex);
	if (strcmp(hex, EXPECTED_DIGEST) != 0) {
		printf("hash64: the build machine has %s\n", EXPECTED_DIGEST);
		return 1;
	}
	printf("hash64: the build machine has the same\n");
	return 0;
#else
	(void)argv;
	printf("hash64: built without a digest to compare with\n");
	return 1;
#endif
}
