/* SPDX-License-Identifier: MIT */
/*
 * vectors SEED [ROUNDS]: puts values that depend on SEED in every floating-point and vector register and in
 * their control registers, spins for some milliseconds without a system call, and reads all back in the same
 * stretch of assembler, so that no compiler can save or reload in between. Two instances with other seeds,
 * interleaved by a timer, see each other's values when the kernel does not keep this state per thread.
 *
 * x86-64: x87 stack and control word, MXCSR, xmm0-15, and ymm0-15 where the kernel enabled them. AArch64:
 * v0-v31, FPCR, FPSR. RISC-V: f0-f31, fcsr.
 */
#include <stddef.h>
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

/* Between this and .endr: 32 times, with the number of the register for \i. */
#define EACH                                                                                                 \
	".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, " \
	"25, 26, 27, 28, 29, 30, 31\n\t"

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
	s->control[0] = 0x1f80 | (seed & 3) << 13; /* MXCSR: exceptions masked, rounding by seed */
	s->control[1] = 0x037f | (seed & 3) << 10; /* x87 control word, the same */
	wide = __builtin_cpu_supports("avx");
	if (wide) {
		what = "x87 stack, ymm0-15";
	} else {
		for (unsigned i = 0; i < 16; i++) {
			memset(s->vector[i] + 16, 0, 16);
		}
	}
}

/* The registers' slots are 32 bytes apart, those of the x87 stack 16; ST(0) is loaded last. */
#define HOLD(insn, reg)                                                                                      \
	__asm__ volatile("fninit\n\t"                                                                        \
			 "fldcw %c[x87_control](%[in])\n\t"                                                  \
			 "ldmxcsr %c[mxcsr](%[in])\n\t"                                                      \
			 ".irp i, 7, 6, 5, 4, 3, 2, 1, 0\n\t"                                                \
			 "fldt %c[x87] + \\i * 16(%[in])\n\t"                                                \
			 ".endr\n\t"                                                                         \
			 ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t" insn             \
			 " \\i * 32(%[in]), %%" reg "\\i\n\t"                                                \
			 ".endr\n\t"                                                                         \
			 "1: subl $1, %[n]\n\t"                                                              \
			 "jnz 1b\n\t"                                                                        \
			 ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t" insn " %%" reg   \
			 "\\i, \\i * 32(%[out])\n\t"                                                         \
			 ".endr\n\t"                                                                         \
			 ".irp i, 0, 1, 2, 3, 4, 5, 6, 7\n\t"                                                \
			 "fstpt %c[x87] + \\i * 16(%[out])\n\t"                                              \
			 ".endr\n\t"                                                                         \
			 "stmxcsr %c[mxcsr](%[out])\n\t"                                                     \
			 "fnstcw %c[x87_control](%[out])\n\t"                                                \
			 "fninit"                                                                            \
			 : [n] "+r"(n)                                                                       \
			 : [in] "r"(in), [out] "r"(out), [x87] "i"(offsetof(struct state, x87)),             \
			 [mxcsr] "i"(offsetof(struct state, control[0])),                                    \
			 [x87_control] "i"(offsetof(struct state, control[1]))                               \
			 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
			 "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)",        \
			 "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")

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
static void hold(const struct state *in, struct state *out)
{
	uint64_t n = SPINS, c0 = in->control[0], c1 = in->control[1];
	const void *at = in->vector;
	void *to = out->vector;

	memset(out, 0, sizeof(*out));
	__asm__ volatile("msr fpcr, %[c0]\n\t"
			 "msr fpsr, %[c1]\n\t" EACH "ldr q\\i, [%[at]], #32\n\t"
			 ".endr\n\t"
			 "1: subs %[n], %[n], #1\n\t"
			 "b.ne 1b\n\t"
			 "mov %[at], %[to]\n\t" EACH "str q\\i, [%[at]], #32\n\t"
			 ".endr\n\t"
			 "mrs %[c0], fpcr\n\t"
			 "mrs %[c1], fpsr\n\t"
			 "msr fpcr, xzr"
			 : [n] "+r"(n), [at] "+r"(at), [c0] "+r"(c0), [c1] "+r"(c1)
			 : [to] "r"(to)
			 : "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10",
			 "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22",
			 "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
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

static void hold(const struct state *in, struct state *out)
{
	uint64_t n = SPINS, c0 = in->control[0];
	const void *at = in->vector;
	void *to = out->vector;

	memset(out, 0, sizeof(*out));
	__asm__ volatile("fscsr %[c0]\n\t" EACH "fld f\\i, \\i * 32(%[at])\n\t"
			 ".endr\n\t"
			 "1: addi %[n], %[n], -1\n\t"
			 "bnez %[n], 1b\n\t" EACH "fsd f\\i, \\i * 32(%[to])\n\t"
			 ".endr\n\t"
			 "frcsr %[c0]\n\t"
			 "fscsr zero"
			 : [n] "+r"(n), [c0] "+r"(c0)
			 : [at] "r"(at), [to] "r"(to)
			 : "memory", "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11",
			 "f12", "f13", "f14", "f15", "f16", "f17", "f18", "f19", "f20", "f21", "f22", "f23",
			 "f24", "f25", "f26", "f27", "f28", "f29", "f30", "f31");
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
