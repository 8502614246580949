/* SPDX-License-Identifier: MIT */
/*
 * fp.c - floating-point and vector state, and the CPU's control bits.
 *
 * The kernel and the library use general registers only, so the registers hold the user's state at any time
 * and are moved when threads change: eagerly, by XSAVE where the CPU has it (x87, SSE, AVX, AVX-512 as
 * offered), else by FXSAVE. An area is one page. SDM vol. 1 chapter 13 (XSAVE), vol. 3A 2.5 (CR4).
 */
#include "port.h"

#include "cpu.h"

enum {
	CR4_PGE = 1 << 7,
	CR4_OSFXSR = 1 << 9,
	CR4_OSXMMEXCPT = 1 << 10,
	CR4_PCIDE = 1 << 17,
	CR4_OSXSAVE = 1 << 18,
	CR4_SMEP = 1 << 20,
	CR4_SMAP = 1 << 21
};

static bool has_xsave;
static uint64_t xsave_mask;
static uint32_t xsave_size = 512, mxcsr_mask;

static void xsave_start(void)
{
	const struct cpuid supported = cpuid(13, 0);

	xsave_mask = supported.a & 3; /* x87, SSE */
	if ((supported.a & 4) != 0) {
		xsave_mask |= 4; /* AVX */
		if ((supported.a & 0xe0) == 0xe0) {
			xsave_mask |= 0xe0; /* AVX-512: all three parts or none */
		}
	}
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)xsave_mask), "d"(0));
	xsave_size = cpuid(13, 0).b;
	if (xsave_size > VMEM_PAGE_SIZE - 4) { /* frames of signal handlers mark its end */
		kernel_panic("vector state of %u bytes", xsave_size);
	}
}

/* FXSAVE tells it; 0 is the answer of CPUs that came before the question. */
static void mxcsr_start(void)
{
	static uint32_t area[128] __attribute__((aligned(16)));

	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
	mxcsr_mask = area[7] != 0 ? area[7] : 0xffbf;
}

uint32_t fp_mxcsr_mask(void)
{
	return mxcsr_mask;
}

void cpu_features(void)
{
	const struct cpuid one = cpuid(1, 0);
	uint64_t cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;

	if ((one.d & 1u << 13) != 0) {
		cr4 |= CR4_PGE;
	}
	if ((one.c & 1u << 17) != 0) {
		cr4 |= CR4_PCIDE;
	}
	has_xsave = (one.c & 1u << 26) != 0;
	if (has_xsave) {
		cr4 |= CR4_OSXSAVE;
	}
	if (cpuid_has(7)) {
		const struct cpuid seven = cpuid(7, 0);

		cr4 |= (seven.b & 1u << 7) != 0 ? CR4_SMEP : 0;
		cr4 |= (seven.b & 1u << 20) != 0 ? CR4_SMAP : 0;
	}
	write_cr4(cr4);
	if (has_xsave) {
		xsave_start();
	}
	mxcsr_start();
}

/* The area is zero. A zero XSTATE_BV loads every component as at reset, but MXCSR is always read from
 * memory; FXRSTOR reads all. */
void fp_init(void *area)
{
	((uint16_t *)area)[0] = 0x37f;	/* FCW */
	((uint32_t *)area)[6] = 0x1f80; /* MXCSR */
}

uint32_t fp_size(void)
{
	return xsave_size;
}

uint64_t fp_features(void)
{
	return xsave_mask;
}

void fp_save(void *area)
{
	if (has_xsave) {
		__asm__ volatile("xsave64 (%0)"
				 :
				 : "r"(area), "a"((uint32_t)xsave_mask), "d"((uint32_t)(xsave_mask >> 32))
				 : "memory");
	} else {
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
	}
}

void fp_restore(const void *area)
{
	if (has_xsave) {
		__asm__ volatile("xrstor64 (%0)"
				 :
				 : "r"(area), "a"((uint32_t)xsave_mask), "d"((uint32_t)(xsave_mask >> 32))
				 : "memory");
	} else {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
	}
}

void fp_reset(void)
{
	static uint8_t area[VMEM_PAGE_SIZE] __attribute__((aligned(64)));

	fp_init(area);
	fp_restore(area);
}

/* AT_HWCAP is CPUID 1 EDX. HWCAP2 would offer RDFSBASE to programs (bit 1): this kernel does not. */
uint64_t port_hwcap(unsigned which)
{
	return which == 1 ? cpuid(1, 0).d : 0;
}

void port_describe(void)
{
	const uint64_t cr4 = read_cr4();

	kernel_log("x86-64: %d levels, %s%s%s%s%s, vector state %u bytes\n", (cr4 & 1 << 12) != 0 ? 5 : 4,
	    (rdmsr(MSR_EFER) & 1 << 11) != 0 ? "NX" : "no NX", (cr4 & CR4_SMEP) != 0 ? " SMEP" : "",
	    (cr4 & CR4_SMAP) != 0 ? " SMAP" : "", (cr4 & CR4_PCIDE) != 0 ? " PCID" : "",
	    has_xsave ? " XSAVE" : "", xsave_size);
}
