/* SPDX-License-Identifier: MIT */
/*
 * test.c - what `test=NAME` runs: ways for the kernel to go wrong, to see that each is told to the runner
 * as what it is.
 */
#include <vmem/kernel.h>

#include "kernel.h"

/* Reads memory that only the compiler thinks is fine. */
static uint64_t read_word(uint64_t address)
{
	return *(volatile uint64_t *)(uintptr_t)address;
}

/* Calls itself until the stack is used up; the array and the addition keep the compiler from making it a
 * loop. */
static unsigned overflow(unsigned depth)
{
	volatile uint8_t use[256];

	use[depth % sizeof(use)] = 1;
	return depth == UINT32_MAX ? 0 : overflow(depth + 1) + use[depth % sizeof(use)];
}

static struct port_thread boot_thread;
static struct process test_process = {.name = "test=overflow"};

static void overflow_begin(void *argument)
{
	(void)argument;
	kernel_log("depth %u\n", overflow(0));
}

/* On a stack of the library's, with a guard page on both sides. */
static void test_overflow(void)
{
	struct process *process = &test_process;

	if (vmem_kernel_stack_alloc(KERNEL_STACK_SIZE, &process->stack) != VMEM_OK) {
		kernel_panic("no stack");
	}
	port_thread_init(
	    &process->thread, (char *)process->stack + KERNEL_STACK_SIZE, NULL, overflow_begin, NULL);
	process_current = process;
	port_thread_switch(&boot_thread, &process->thread);
}

void test_run(const char *name)
{
	if (string_equal(name, "panic")) {
		kernel_panic("asked for by test=panic");
	} else if (string_equal(name, "overflow")) {
		test_overflow();
	} else if (string_equal(name, "null")) {
		kernel_log("read %lx\n", read_word(0));
	} else if (string_equal(name, "text")) {
		*(volatile uint8_t *)kernel_text = 0;
	} else if (string_equal(name, "hang")) {
		for (volatile unsigned i = 0;; i = i + 1) {
		}
	} else if (string_equal(name, "none")) {
		kernel_end_exit(0);
	}
	kernel_log("test=%s did not do what it is for\n", name);
	kernel_end_exit(1);
}
