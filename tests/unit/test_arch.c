/* SPDX-License-Identifier: MIT */
/*
 * test_arch.c - mmu.c of one ISA on a model of its processor, which takes the place of insn.h. It covers
 * what no emulator at hand shows: ids and the instructions that flush them, global entries, barriers, and
 * the CPUs that lack this or that. That the instructions themselves do what the model says is for the
 * kernels that boot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch.h"

struct vmem_mmu vmem_mmu;

#include "arch_model.h"

#if defined(TEST_ISA_X86_64)
#include "arch_x86_64.h"
#elif defined(TEST_ISA_AARCH64)
#include "arch_aarch64.h"
#else
#include "arch_riscv.h"
#endif

static void test_page(void **state)
{
	static _Alignas(4096) unsigned char memory[5 * 4096]; /* guards around two pages */
	unsigned char *from = memory + 4096;
	unsigned char *to = memory + 3 * 4096;

	(void)state;
	for (size_t i = 0; i < sizeof(memory); i++) {
		memory[i] = (unsigned char)(i * 7 + i / 251 + 1);
	}
	vmem_arch_page_copy(to, from);
	assert_memory_equal(to, from, 4096);
	assert_int_equal(to[-1], (unsigned char)((3 * 4096 - 1) * 7 + (3 * 4096 - 1) / 251 + 1));
	assert_int_equal(to[4096], (unsigned char)(4 * 4096 * 7 + 4 * 4096 / 251 + 1));
	vmem_arch_page_clear(from);
	for (size_t i = 0; i < 4096; i++) {
		assert_int_equal(from[i], 0);
	}
	assert_int_equal(from[-1], (unsigned char)(4095 * 7 + 4095 / 251 + 1));
	assert_int_equal(from[4096], (unsigned char)(2 * 4096 * 7 + 2 * 4096 / 251 + 1));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_probe),
	    cmocka_unit_test(test_cpu_init),
	    cmocka_unit_test(test_activate),
	    cmocka_unit_test(test_flush),
	    cmocka_unit_test(test_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + cmocka_run_group_tests(isa_tests, NULL, NULL) != 0;
}
