/* SPDX-License-Identifier: MIT */
/*
 * host.c - a kernel with a life of its own takes libvmem in: its frames come from the host's bitmap
 * (VMEM_HOST_FRAMES), its kernel mappings go beside the host's, and the host's stay as they were in every
 * address space.
 */
#include "host.h"

#include <vmem/aspace.h>
#include <vmem/fault.h>
#include <vmem/host.h>
#include <vmem/init.h>
#include <vmem/kernel.h>
#include <vmem/trap.h>

#if !VMEM_HOST_FRAMES
#error "this host has its own frame allocator"
#endif

#define HEAP_PAGES 24u
#define USER_PAGES 64u

static struct vmem_aspace *current;
static volatile bool refused;
extern const char touch_refused[];

_Noreturn void vmem_host_panic(const char *rule)
{
	stop(rule);
}

bool vmem_host_frame_alloc(unsigned order, vmem_paddr_t limit, vmem_paddr_t *out_frame)
{
	*out_frame = frame_get(order, limit);
	return *out_frame != 0;
}

void vmem_host_frame_free(vmem_paddr_t frame, unsigned order)
{
	frame_put(frame, order);
}

uint64_t host_trap(uint64_t cause, uint64_t detail, uint64_t address, uint64_t pc)
{
	struct vmem_trap trap = vmem_trap_decode(cause, detail);

	if (!trap.is_page_fault || trap.malformed || current == NULL || address >= vmem_aspace_user_size()) {
		stop("host: an unexpected exception");
	}
	if (vmem_fault(current, address, trap.access) == VMEM_FAULT_RESOLVED) {
		return pc;
	}
	refused = true;
	return (uint64_t)(uintptr_t)touch_refused;
}

uint64_t touch_address(uint64_t address, bool write, uint64_t value); /* in <isa>.S */

bool touch(uint64_t address, bool write, uint64_t *value)
{
	uint64_t found;

	refused = false;
	found = touch_address(address, write, *value);
	if (!write) {
		*value = found;
	}
	return !refused;
}

static void must(bool good, const char *what)
{
	if (!good) {
		stop(what);
	}
}

static uint64_t pattern(uint64_t n)
{
	return n * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static void heap_fill(vmem_t *arena, uint64_t *out_start)
{
	*out_start = vmem_alloc(arena, HEAP_PAGES * PAGE);
	for (unsigned i = 0; i < HEAP_PAGES; i++) {
		uint64_t pa = frame_get(0, UINT64_MAX), other = frame_get(0, UINT64_MAX);

		table_map(*out_start + i * PAGE, pa, LEAF_DATA, 0);
		frame_put(other, 0); /* so that the heap's frames are not neighbours */
		for (unsigned w = 0; w < 512; w++) {
			((uint64_t *)(uintptr_t)(*out_start + i * PAGE))[w] = pattern(i * 512 + w);
		}
	}
}

/* The host's mappings hold what they held, and the host's tables still say where they are. */
static void heap_check(uint64_t start, const char *when)
{
	for (unsigned i = 0; i < HEAP_PAGES; i++) {
		const uint64_t *words = (const uint64_t *)(uintptr_t)(start + i * PAGE);

		must(memcmp(words, frame_pointer(table_walk(start + i * PAGE)), PAGE) == 0, when);
		for (unsigned w = 0; w < 512; w++) {
			must(words[w] == pattern(i * 512 + w), when);
		}
	}
}

static void user_memory(uint64_t heap)
{
	const struct vmem_map map = {.length = USER_PAGES * PAGE,
	    .permission = VMEM_READ | VMEM_WRITE,
	    .maximum = VMEM_RWX,
	    .place = VMEM_PLACE_FIXED,
	    .address = 0x40000000};
	struct vmem_vmar *all = vmem_aspace_root(current);
	uint64_t at, value;

	must(vmem_vmar_map(all, &map, &at) == VMEM_OK && at == 0x40000000, "map");
	for (unsigned i = 0; i < USER_PAGES; i++) {
		value = 1;
		must(touch(at + i * PAGE + 8, false, &value) && value == 0, "a fresh page is not zero");
		value = pattern(i);
		must(touch(at + i * PAGE, true, &value), "a store is refused");
	}
	for (unsigned i = 0; i < USER_PAGES; i++) {
		must(touch(at + i * PAGE, false, &value) && value == pattern(i),
		    "memory does not hold what was stored");
	}
	heap_check(heap, "the host's heap, with user memory beside it");
	must(vmem_vmar_protect(all, at + PAGE, PAGE, VMEM_READ) == VMEM_OK, "protect");
	must(!touch(at + PAGE, true, &value) && touch(at, true, &value), "protection of one page");
	must(vmem_vmar_unmap(all, at, 32 * PAGE) == VMEM_OK, "unmap");
	must(!touch(at, false, &value) && touch(at + 32 * PAGE, false, &value), "half of it is gone");
	value = pattern(3);
	must(!touch(0x1000, true, &value), "a store to nowhere is not refused");
}

static void kernel_memory(uint64_t heap)
{
	void *block, *stack;

	must(vmem_kernel_alloc(10 * PAGE, &block) == VMEM_OK &&
		 vmem_kernel_stack_alloc(4 * PAGE, &stack) == VMEM_OK,
	    "kernel memory");
	must((uint64_t)(uintptr_t)block - HOST_MANAGED < HOST_MANAGED_SIZE,
	    "kernel memory lies outside the range");
	memset(block, 0x5a, 10 * PAGE);
	memset(stack, 0xa5, 4 * PAGE);
	must(((unsigned char *)block)[10 * PAGE - 1] == 0x5a && ((unsigned char *)stack)[0] == 0xa5,
	    "kernel memory holds nothing");
	heap_check(heap, "the host's heap, with kernel memory beside it");
	vmem_kernel_free(block);
	vmem_kernel_free(stack);
}

_Noreturn void host_main(void)
{
	struct vmem_ram ram = {ram_base, RAM_FRAMES * PAGE};
	const struct vmem_config config = {.ram = &ram,
	    .ram_count = 1,
	    .direct_map = HOST_LINEAR,
	    .kernel_start = HOST_MANAGED,
	    .kernel_length = HOST_MANAGED_SIZE,
	    .seed = 42};
	const struct vmem_aspace_config whole = {.max_regions = 100};
	uint64_t heap;
	unsigned before = 0;
	vmem_t *arena;

	tables_build();
	traps_start();
	say("embed: the host's own page tables are live\n");
	vmem_init();
	arena = vmem_create("heap", HOST_HEAP, 1u << 30);
	vmem_free(arena, vmem_alloc(arena, PAGE), PAGE);
	heap_fill(arena, &heap);
	must(vmem_library_init(&config) == VMEM_OK, "vmem_library_init");
	heap_check(heap, "the host's heap, after libvmem started");

	for (unsigned round = 0; round < 3; round++) {
		must(vmem_aspace_create(&whole, &current) == VMEM_OK, "vmem_aspace_create");
		vmem_aspace_activate(current);
		heap_check(heap, "the host's heap, in an address space");
		user_memory(heap);
		kernel_memory(heap);
		vmem_check();
		vmem_aspace_activate(NULL);
		vmem_aspace_destroy(current);
		current = NULL;
		heap_check(heap, "the host's heap, at the end");
		say("embed: round done, the host has this many free frames: ");
		say_number(frames_free());
		say("\n");
		must(round < 2 || frames_free() == before, "frames were lost");
		before = frames_free();
	}
	say("end: exit 0\n");
	machine_off();
}
