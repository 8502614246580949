/* SPDX-License-Identifier: MIT */
/*
 * vectors SEED [ROUNDS]: puts values that depend on SEED in every floating-point and vector register and in their control
 * registers, spins for some milliseconds without a system call, and reads all back in the same stretch of assembler, so that no
 * compiler can save or reload in between. Two instances with other seeds, interleaved by a timer, see each other's values when
 * the kernel does not keep this state per thread.
 *
 * x86-64: x87 stack and control word, MXCSR, xmm0-15, and ymm0-15 where the kernel enabled them. AArch64: v0-v31, FPCR, FPSR.
 * RISC-V: f0-f31, fcsr.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VECTORS = 32, VECTOR_BYTES = 32 };

struct state {
	_Alignas(32) unsigned char vector[VECTORS][VECTOR_BYTES];
	_Alignas(16) unsigned char x87[8][16];
	uint64_t control[2];
};

#define SPINS 1000000u

#if defined(__x86_64__)

static const char *what = "x87 stack, xmm0-15";
static int wide;

static void prepare(struct state *s, unsigned seed)
{
	/* ST(i) are finite numbers, so that loading and storing them raises nothing. */
	for (unsigned i = 0; i < 8; i++) {
		s->x87[i][8] = (unsigned char)i;
		s->x87[i][9] = 0x3f;
		s->x87[i][7] |= 0x80;
		memset(s->x87[i] + 10, 0, 6);
	}
	memset(s->vector + 16, 0, sizeof(s->vector) / 2);
	s->control[0] = 0x1f80 | (seed & 3) << 13;  /* MXCSR: exceptions masked, rounding by seed */
	s->control[1] = 0x037f | (seed & 3) << 10;  /* x87 control word, the same */
	wide = __builtin_cpu_supports("avx");
	if (wide) {
		what = "x87 stack, ymm0-15";
	} else {
		for (unsigned i = 0; i < 16; i++) {
			memset(s->vector[i] + 16, 0, 16);
		}
	}
}

#define LOAD(insn, reg, n) insn " " #n "*32(%[in]), %%" reg #n "\n\t"
#define STORE(insn, reg, n) insn " %%" reg #n ", " #n "*32(%[out])\n\t"
#define ALL(op, insn, reg) \
	op(insn, reg, 0) op(insn, reg, 1) op(insn, reg, 2) op(insn, reg, 3) op(insn, reg, 4) op(insn, reg, 5) op(insn, reg, 6) \
	op(insn, reg, 7) op(insn, reg, 8) op(insn, reg, 9) op(insn, reg, 10) op(insn, reg, 11) op(insn, reg, 12) op(insn, reg, 13) \
	op(insn, reg, 14) op(insn, reg, 15)
#define X87_LOAD(n) "fldt 1024+" #n "*16(%[in])\n\t"
#define X87_STORE(n) "fstpt 1024+" #n "*16(%[out])\n\t"
#define HOLD(insn, reg) \
	__asm__ volatile("fninit\n\t" \
		"fldcw 1160(%[in])\n\t" \
		"ldmxcsr 1152(%[in])\n\t" X87_LOAD(7) X87_LOAD(6) X87_LOAD(5) X87_LOAD(4) X87_LOAD(3) X87_LOAD(2) X87_LOAD(1) \
			X87_LOAD(0) ALL(LOAD, insn, reg) "1: subl $1, %[n]\n\t" \
		"jnz 1b\n\t" ALL(STORE, insn, reg) X87_STORE(0) X87_STORE(1) X87_STORE(2) X87_STORE(3) X87_STORE(4) X87_STORE(5) \
			X87_STORE(6) X87_STORE(7) "stmxcsr 1152(%[out])\n\t" \
		"fnstcw 1160(%[out])\n\t" \
		"fninit\n\t" \
		: [n] "+r"(n) \
		: [in] "r"(in), [out] "r"(out) \
		: "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
		"xmm13", "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")

static void hold(const struct state *in, struct state *out)
{
	uint32_t n = SPINS, normal = 0x1f80;

	if (wide) {
		HOLD("vmovdqu", "ymm");
		__asm__ volatile("vzeroupper" ::: "memory");
	} else {
		HOLD("movdqu", "xmm");
	}
	__asm__ volatile("ldmxcsr %0" : : "m"(normal));
}

#elif defined(__aarch64__)

static const char *what = "v0-v31, FPCR, FPSR";

static void prepare(struct state *s, unsigned seed)
{
	for (unsigned i = 0; i < VECTORS; i++) {
		memset(s->vector[i] + 16, 0, 16);
	}
	memset(s->x87, 0, sizeof(s->x87));
	s->control[0] = (uint64_t)(seed & 3) << 22;
	s->control[1] = seed & 0x1f;
}

/* Each register has a slot of 32 bytes, of which it uses 16. */
#define ONE(op, a) op " q" #a ", [%[at]], #32\n\t"
#define ALL(op) \
	ONE(op, 0) ONE(op, 1) ONE(op, 2) ONE(op, 3) ONE(op, 4) ONE(op, 5) ONE(op, 6) ONE(op, 7) ONE(op, 8) ONE(op, 9) ONE(op, 10) \
	ONE(op, 11) ONE(op, 12) ONE(op, 13) ONE(op, 14) ONE(op, 15) ONE(op, 16) ONE(op, 17) ONE(op, 18) ONE(op, 19) ONE(op, 20) \
	ONE(op, 21) ONE(op, 22) ONE(op, 23) ONE(op, 24) ONE(op, 25) ONE(op, 26) ONE(op, 27) ONE(op, 28) ONE(op, 29) ONE(op, 30) \
	ONE(op, 31)

static void hold(const struct state *in, struct state *out)
{
	uint64_t n = SPINS, c0 = in->control[0], c1 = in->control[1];
	const void *at = in->vector;
	void *to = out->vector;

	memset(out, 0, sizeof(*out));
	__asm__ volatile("msr fpcr, %[c0]\n\tmsr fpsr, %[c1]\n\t" ALL("ldr") "1: subs %[n], %[n], #1\n\tb.ne 1b\n\t"
		"mov %[at], %[to]\n\t" ALL("str") "mrs %[c0], fpcr\n\tmrs %[c1], fpsr\n\tmsr fpcr, xzr\n\t"
		: [n] "+r"(n), [at] "+r"(at), [c0] "+r"(c0), [c1] "+r"(c1)
		: [to] "r"(to)
		: "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
		"v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
	out->control[0] = c0;
	out->control[1] = c1;
}

#elif defined(__riscv)

static const char *what = "f0-f31, fcsr";

static void prepare(struct state *s, unsigned seed)
{
	for (unsigned i = 0; i < VECTORS; i++) {
		memset(s->vector[i] + 8, 0, 24);
	}
	memset(s->x87, 0, sizeof(s->x87));
	s->control[0] = (seed & 3) << 5 | (seed & 0x1f);
	s->control[1] = 0;
}

#define ONE(op, a) op " f" #a ", " #a "*32(%[at])\n\t"
#define ALL(op) \
	ONE(op, 0) ONE(op, 1) ONE(op, 2) ONE(op, 3) ONE(op, 4) ONE(op, 5) ONE(op, 6) ONE(op, 7) ONE(op, 8) ONE(op, 9) ONE(op, 10) \
	ONE(op, 11) ONE(op, 12) ONE(op, 13) ONE(op, 14) ONE(op, 15) ONE(op, 16) ONE(op, 17) ONE(op, 18) ONE(op, 19) ONE(op, 20) \
	ONE(op, 21) ONE(op, 22) ONE(op, 23) ONE(op, 24) ONE(op, 25) ONE(op, 26) ONE(op, 27) ONE(op, 28) ONE(op, 29) ONE(op, 30) \
	ONE(op, 31)

static void hold(const struct state *in, struct state *out)
{
	uint64_t n = SPINS, c0 = in->control[0];
	const void *at = in->vector;
	void *to = out->vector;

	memset(out, 0, sizeof(*out));
	__asm__ volatile("fscsr %[c0]\n\t" ALL("fld") "1: addi %[n], %[n], -1\n\tbnez %[n], 1b\n\t"
		"mv %[at], %[to]\n\t" ALL("fsd") "frcsr %[c0]\n\tfscsr zero\n\t"
		: [n] "+r"(n), [at] "+r"(at), [c0] "+r"(c0)
		: [to] "r"(to)
		: "memory", "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12", "f13", "f14", "f15", "f16",
		"f17", "f18", "f19", "f20", "f21", "f22", "f23", "f24", "f25", "f26", "f27", "f28", "f29", "f30", "f31");
	out->control[0] = c0;
}

#else
#error "no registers for this ISA"
#endif

int main(int argc, char **argv)
{
	unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 60, wrong = 0;
	static struct state in, out;
	unsigned char *bytes = (unsigned char *)&in;

	for (size_t i = 0; i < sizeof(in); i++) {
		bytes[i] = (unsigned char)(seed * 37 + i * 11 + (i >> 5) * seed);
	}
	prepare(&in, seed);
	printf("vectors %u: begin\n", seed);
	fflush(stdout);
	for (unsigned round = 0; round < rounds; round++) {
		memset(&out, 0, sizeof(out));
		hold(&in, &out);
		wrong += memcmp(in.vector, out.vector, sizeof(in.vector)) != 0;
		wrong += memcmp(in.x87, out.x87, sizeof(in.x87)) != 0;
		wrong += memcmp(in.control, out.control, sizeof(in.control)) != 0;
	}
	fprintf(stderr, "vectors %u: %s\n", seed, what);
	printf("vectors %u: %u rounds, %u wrong\n", seed, rounds, wrong);
	return wrong != 0;
}
