/* SPDX-License-Identifier: MIT */
/*
 * test.c - what `test=NAME` runs: ways for the kernel to go wrong, to see that each is told to the runner
 * as what it is; and what only a real MMU can say of the kernel's half.
 */
#include <vmem/fault.h>
#include <vmem/frame.h>
#include <vmem/kernel.h>
#include <vmem/wc.h>

#include "thread.h"

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

static struct process test_process = {.name = "test=overflow"};
static struct thread test_thread = {.process = &test_process};

static void overflow_begin(void *argument)
{
	(void)argument;
	kernel_log("depth %u\n", overflow(0));
}

/* On a stack of the library's, with a guard page on both sides. */
static void test_overflow(void)
{
	struct thread *thread = &test_thread;

	if (vmem_kernel_stack_alloc(KERNEL_STACK_SIZE, &thread->stack) != VMEM_OK) {
		kernel_panic("no stack");
	}
	port_thread_init(
	    &thread->port, (char *)thread->stack + KERNEL_STACK_SIZE, NULL, overflow_begin, NULL);
	cpu_this()->current = thread;
	port_thread_switch(&cpu_this()->idle, &thread->port);
}

#define CONTIG_PAGES 48u

/* Stores a word that depends on page and `salt` in each page of one view, and reads it in the other. */
static bool views_agree(char *store, char *load, uint64_t salt)
{
	bool agree = true;

	for (uint64_t i = 0; i < CONTIG_PAGES; i++) {
		*(volatile uint64_t *)(void *)(store + i * VMEM_PAGE_SIZE + 8 * i) = salt * i;
	}
	for (uint64_t i = 0; i < CONTIG_PAGES; i++) {
		agree &= *(volatile uint64_t *)(void *)(load + i * VMEM_PAGE_SIZE + 8 * i) == salt * i;
	}
	return agree;
}

/*
 * 192 KiB of RAM a second time, 64 KiB at a translation where the CPU has such: all pages are the right
 * ones, and permissions change while the mapping is in the TLB. The page before keeps the first place from
 * being aligned by chance: who makes no runs takes it.
 */
static bool test_contig(void)
{
	const uint64_t length = CONTIG_PAGES * VMEM_PAGE_SIZE, run = 16 * VMEM_PAGE_SIZE;
	vmem_paddr_t frames;
	void *before, *view;

	if (vmem_kernel_alloc(VMEM_PAGE_SIZE, &before) != VMEM_OK ||
	    vmem_frame_alloc_run(CONTIG_PAGES, run, 0, &frames) != VMEM_OK ||
	    vmem_kernel_map(frames, length, VMEM_READ | VMEM_WRITE, VMEM_WRITE_BACK, &view) != VMEM_OK) {
		return false;
	}
	char *direct = (char *)(uintptr_t)(frames + kernel_direct_map);
	bool right = views_agree(view, direct, 3) && views_agree(direct, view, 5);
	right &= vmem_kernel_protect(view, length, VMEM_READ) == VMEM_OK && views_agree(direct, view, 7);
	right &= vmem_kernel_protect(view, length, VMEM_READ | VMEM_WRITE) == VMEM_OK &&
		 views_agree(view, direct, 11);
	/* Of a part: by unfolding, or it is refused. */
	vmem_status_t part = vmem_kernel_protect((char *)view + VMEM_PAGE_SIZE, VMEM_PAGE_SIZE, VMEM_READ);
	right &= (part == VMEM_OK || part == VMEM_ERR_UNSUPPORTED) && views_agree(direct, view, 13);
	right &= vmem_kernel_protect(view, length, VMEM_READ | VMEM_WRITE) == VMEM_OK &&
		 views_agree(view, direct, 17);
	kernel_log("contig: %s\n", (uintptr_t)view % run == 0 ? "runs" : "single pages");
	vmem_kernel_free(view);
	vmem_kernel_free(before);
	vmem_frame_free_run(frames, CONTIG_PAGES);
	return right;
}

#define CALLS 300u

static unsigned calls_run[KERNEL_CPU_MAX];

static void count_call(void *argument)
{
	calls_run[cpu_this()->number] += *(const unsigned *)argument;
}

/* Each call runs once on every other CPU, all of which are idle, and not here. */
static bool test_calls(void)
{
	const unsigned one = 1;
	bool right = calls_run[0] == 0;

	for (unsigned i = 0; i < CALLS; i++) {
		kernel_cpu_call_others(count_call, (void *)(uintptr_t)&one);
	}
	for (unsigned i = 1; i < kernel_cpu_count; i++) {
		right &= calls_run[i] == CALLS;
	}
	kernel_log("calls: %u CPUs of %u\n", kernel_cpu_count, port_cpu_count());
	return right && calls_run[0] == 0;
}

/* A device where this machine has nothing: it is looked at, and never read. */
static bool find_device(void *context, const struct vmem_wc_request *request, struct vmem_wc_file *out)
{
	vmem_cache_t cache = request->write_combining ? VMEM_WRITE_COMBINING : VMEM_UNCACHED;

	(void)context;
	return vmem_object_create_physical(UINT64_C(1) << 37, request->length, cache, &out->object) ==
	       VMEM_OK;
}

/* What the entry says of memory that document 002's call has mapped. */
static const char *cache_of(struct vmem_wc *wc, int flags)
{
	static const char *const names[] = {"write-back", "write-through", "write-combining", "uncached"};
	void *at = vmem_wc_mmap(wc, NULL, 2 * VMEM_PAGE_SIZE, VMEM_WC_PROT_READ, flags, 0, 0);
	struct vmem_translation translation;

	if (at == (void *)(uintptr_t)-1 ||
	    vmem_fault(wc->aspace, (uintptr_t)at, VMEM_READ) != VMEM_FAULT_RESOLVED ||
	    !vmem_aspace_translate(wc->aspace, (uintptr_t)at, &translation)) {
		return "not mapped";
	}
	return vmem_wc_munmap(wc, at, 2 * VMEM_PAGE_SIZE) == 0 ? names[translation.cache] : "not unmapped";
}

/* The attribute in the entries of this ISA, with MAP_WC and without. */
static bool test_combine(void)
{
	const struct vmem_aspace_config config = {0};
	struct vmem_wc wc = {.find = find_device};

	if (vmem_aspace_create(&config, &wc.aspace) != VMEM_OK) {
		return false;
	}
	const char *device = cache_of(&wc, VMEM_WC_MAP_WC), *plain = cache_of(&wc, 0);
	const char *memory = cache_of(&wc, VMEM_WC_MAP_ANON | VMEM_WC_MAP_WC);
	const char *usual = cache_of(&wc, VMEM_WC_MAP_ANON);

	kernel_log("combine: device %s, without %s; memory %s, without %s\n", device, plain, memory, usual);
	vmem_aspace_destroy(wc.aspace);
	return true;
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
	} else if (string_equal(name, "contig")) {
		kernel_end_exit(test_contig() ? 0 : 1);
	} else if (string_equal(name, "combine")) {
		kernel_end_exit(test_combine() ? 0 : 1);
	} else if (string_equal(name, "calls")) {
		kernel_end_exit(test_calls() ? 0 : 1);
	} else if (string_equal(name, "none")) {
		kernel_end_exit(0);
	}
	kernel_log("test=%s did not do what it is for\n", name);
	kernel_end_exit(1);
}
