/* SPDX-License-Identifier: MIT */
/*
 * lives.c - what comes and goes: spaces, objects, kernel memory, frames.
 *
 * Each is made by one CPU, filled with words that say which it is, and ended by that CPU or by another that
 * it was passed to: its frames, tables, ids and records are then used again, with everybody's TLBs as they
 * are.
 */
#include "stress.h"

#define SLOTS 4u
#define SPACE_PAGES 24u
#define SPACE_START UINT64_C(0x100000)
#define DEVICE_PAGES 16u
#define HELD 8u

/* Passed from CPU to CPU: whoever takes one has it alone. */
struct own_space {
	struct vmem_aspace *aspace;
	uint64_t word; /* of its first page; the next pages hold the next numbers */
	struct vmem_object *object;
};
static struct own_space *spaces[SLOTS];
struct kernel_memory {
	uint64_t *address;
	uint64_t pages, word;
	bool read_only;
};
static struct kernel_memory *kernels[SLOTS];
static struct held {
	vmem_paddr_t pa;
	unsigned order;
	uint64_t word; /* 0: none */
} held[CPUS][HELD];

static uint64_t new_word(void)
{
	return UINT64_C(0xf) << 60 | (uint64_t)self->number << 56 | any(UINT64_C(1) << 56);
}

/* Spaces. */

static bool show(struct own_space *own, struct vmem_object *object, uint64_t va)
{
	struct vmem_map map = {.length = SPACE_PAGES * PAGE,
	    .permission = VMEM_READ | VMEM_WRITE,
	    .maximum = VMEM_RWX,
	    .flags = object != NULL ? VMEM_MAP_SHARED : 0,
	    .place = VMEM_PLACE_FIXED,
	    .address = va,
	    .object = object};
	uint64_t start;
	return went(LIB(vmem_vmar_map(vmem_aspace_root(own->aspace), &map, &start)), "map");
}

/* The two regions of a space hold the same: private pages, and an object's. */
static void fill(struct own_space *own)
{
	run_own(own->aspace);
	for (unsigned i = 0; i < 2 * SPACE_PAGES; i++) {
		while (store(own->aspace, SPACE_START + i * PAGE + 8 * (i % 512),
			   own->word + i % SPACE_PAGES) != VMEM_FAULT_RESOLVED) {
			machine_turn();
		}
	}
}

static void verify(struct own_space *own)
{
	run_own(own->aspace);
	for (unsigned i = 0; i < 2 * SPACE_PAGES; i++) {
		uint64_t word;
		enum vmem_fault_result result =
		    load(own->aspace, SPACE_START + i * PAGE + 8 * (i % 512), &word);
		MUST(result == VMEM_FAULT_NO_MEMORY ||
			 (result == VMEM_FAULT_RESOLVED && word == own->word + i % SPACE_PAGES),
		    "page %u of an own space: %s, %#llx, not %#llx", i, vmem_fault_name(result),
		    (unsigned long long)word, (unsigned long long)own->word + i % SPACE_PAGES);
	}
}

static void end_space(struct own_space *own)
{
	if (self->space == SPACES) {
		run_nothing();
	}
	LIB_VOID(vmem_aspace_destroy(own->aspace));
	if (own->object != NULL) {
		LIB_VOID(vmem_object_release(own->object));
	}
	__atomic_store_n(&own->aspace, NULL, __ATOMIC_RELEASE);
}

static bool make_space(struct own_space *own)
{
	const struct vmem_aspace_config config = {.large = chance(30)};
	own->word = new_word();
	own->object = NULL;
	if (!went(LIB(vmem_aspace_create(&config, &own->aspace)), "a space")) {
		own->aspace = NULL;
		return false;
	}
	if (went(LIB(vmem_object_create_anonymous(SPACE_PAGES * PAGE, 0, &own->object)), "an object") &&
	    show(own, NULL, SPACE_START) && show(own, own->object, SPACE_START + SPACE_PAGES * PAGE)) {
		fill(own);
		return true;
	}
	end_space(own);
	return false;
}

/* It is forked, and its child takes its place: the parent, which others' TLBs may have entries of, goes
 * first, and takes with it what it has written since. */
static void replace_by_child(struct own_space *own)
{
	struct vmem_aspace *child;
	if (!went(LIB(vmem_aspace_fork(own->aspace, &child)), "a fork of an own space")) {
		return;
	}
	run_own(own->aspace);
	for (uint64_t i = any(SPACE_PAGES); i < SPACE_PAGES; i++) {
		(void)store(own->aspace, SPACE_START + i * PAGE + 8 * (i % 512), new_word());
	}
	run_nothing();
	LIB_VOID(vmem_aspace_destroy(own->aspace));
	__atomic_store_n(&own->aspace, child, __ATOMIC_RELEASE); /* whose record it is looks at it */
}

static void step_space(void)
{
	struct own_space **slot = &spaces[any(SLOTS)];
	struct own_space *own = __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL);
	static struct own_space all[SLOTS * CPUS];
	bool lives;
	if (own == NULL) {
		for (unsigned i = 0; i < SLOTS && own == NULL; i++) { /* this CPU's records */
			struct own_space *mine = &all[self->number * SLOTS + i];
			own = __atomic_load_n(&mine->aspace, __ATOMIC_ACQUIRE) == NULL ? mine : NULL;
		}
		if (own == NULL) {
			return;
		}
		lives = make_space(own);
	} else {
		verify(own);
		if (chance(40)) {
			replace_by_child(own);
			verify(own);
		}
		lives = chance(60);
		if (!lives) {
			end_space(own); /* its record is its maker's again */
		}
	}
	if (self->space == SPACES) { /* back to one that stays */
		run_space((unsigned)any(SPACES));
	}
	if (lives && (own = __atomic_exchange_n(slot, own, __ATOMIC_ACQ_REL)) != NULL) {
		end_space(own); /* another CPU was quicker */
	}
}

/* Objects. */

static void step_object(void)
{
	struct vmem_object *object, *slice;
	uint64_t word = new_word(), back = 0;
	size_t done;
	bool contiguous = chance(20);
	vmem_status_t status =
	    contiguous ? LIB(vmem_object_create_contiguous(8 * PAGE, 0, 0, VMEM_WRITE_BACK, &object))
		       : LIB(vmem_object_create_anonymous(8 * PAGE, 0, &object));
	if (!went(status, "an object")) {
		return;
	}
	uint64_t offset = any(8) * PAGE + any(512) * 8;
	bool written = went(LIB(vmem_object_write(object, offset, &word, 8, &done)), "writing");
	if (went(LIB(vmem_object_slice(object, offset & ~(PAGE - 1), PAGE, &slice)), "a slice")) {
		LIB_VOID(vmem_object_release(object)); /* the slice keeps what both show */
		if (written &&
		    went(LIB(vmem_object_read(slice, offset % PAGE, &back, 8, &done)), "reading")) {
			MUST(back == word, "a slice holds %#llx, not %#llx", (unsigned long long)back,
			    (unsigned long long)word);
		}
		object = slice;
	}
	LIB_VOID(vmem_object_release(object));
}

/* Kernel memory. */

static bool kernel_access(uint64_t *address, bool writes, uint64_t *word)
{
	return machine_access(self->number, (uint64_t)(uintptr_t)address,
	    writes ? MACHINE_WRITE : MACHINE_READ, MACHINE_SUPERVISOR, word, 8)
	    .ok;
}

static void verify_kernel(struct kernel_memory *memory)
{
	for (uint64_t i = 0; i < memory->pages; i++) {
		uint64_t word = 0;
		MUST(kernel_access(memory->address + i * WORDS, false, &word) && word == memory->word + i,
		    "kernel page %llu of %llu holds %#llx, not %#llx", (unsigned long long)i,
		    (unsigned long long)memory->pages, (unsigned long long)word,
		    (unsigned long long)memory->word + i);
	}
	uint64_t first = memory->word;
	MUST(kernel_access(memory->address, true, &first) == !memory->read_only,
	    "a store to kernel memory that is%s read-only", memory->read_only ? "" : " not");
	memory->read_only = chance(30);
	vmem_status_t status = LIB(vmem_kernel_protect(
	    memory->address, memory->pages * PAGE, memory->read_only ? VMEM_READ : VMEM_READ | VMEM_WRITE));
	MUST(status == VMEM_OK, "protecting kernel memory: %s", vmem_status_name(status));
}

static void make_kernel(struct kernel_memory *memory)
{
	void *address;
	memory->pages = 1 + any(chance(90) ? 8 : 600);
	memory->word = new_word();
	memory->read_only = false;
	memory->address = NULL;
	if (!went(chance(30) ? LIB(vmem_kernel_stack_alloc(memory->pages * PAGE, &address))
			     : LIB(vmem_kernel_alloc(memory->pages * PAGE, &address)),
		"kernel memory")) {
		return;
	}
	memory->address = address;
	for (uint64_t i = 0; i < memory->pages; i++) {
		uint64_t word = memory->word + i;
		MUST(kernel_access(memory->address + i * WORDS, true, &word),
		    "kernel page %llu is not mapped", (unsigned long long)i);
	}
}

static void step_kernel(void)
{
	static struct kernel_memory all[CPUS * SLOTS];
	struct kernel_memory **slot = &kernels[any(SLOTS)];
	struct kernel_memory *memory = __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL);
	if (memory == NULL) {
		for (unsigned i = 0; i < SLOTS && memory == NULL; i++) {
			struct kernel_memory *mine = &all[self->number * SLOTS + i];
			memory = __atomic_load_n(&mine->address, __ATOMIC_ACQUIRE) == NULL ? mine : NULL;
		}
		if (memory == NULL) {
			return;
		}
		make_kernel(memory);
	} else {
		verify_kernel(memory);
	}
	bool goes = chance(30);
	if (memory->address != NULL && !goes) {
		memory = __atomic_exchange_n(slot, memory, __ATOMIC_ACQ_REL);
	}
	if (memory != NULL && memory->address != NULL) {
		LIB_VOID(vmem_kernel_free(memory->address));
		__atomic_store_n(&memory->address, NULL, __ATOMIC_RELEASE);
	}
}

static void step_device(void)
{
	const struct machine_range *device = &machine_config()->device;
	uint64_t page = any(DEVICE_PAGES), word;
	void *address;
	if (went(LIB(vmem_kernel_map(
		     device->start + page * PAGE, PAGE, VMEM_READ | VMEM_WRITE, VMEM_UNCACHED, &address)),
		"a device")) {
		MUST(kernel_access(address, false, &word), "a device is not mapped");
		LIB_VOID(vmem_kernel_free(address));
	}
}

/* Frames. */

static void step_frame(void)
{
	struct held *frame = &held[self->number][any(HELD)];
	if (frame->word == 0) {
		const struct vmem_frame_request request = {.order = (unsigned)any(4), .zeroed = chance(50)};
		if (!went(LIB(vmem_frame_alloc(&request, &frame->pa)), "a frame")) {
			return;
		}
		frame->order = request.order;
		frame->word = new_word();
		for (unsigned i = 0; i < WORDS << frame->order; i += 64) {
			uint64_t *word = (uint64_t *)machine_ram(frame->pa) + i;
			MUST(!request.zeroed || *word == 0, "a zeroed frame holds %#llx",
			    (unsigned long long)*word);
			*word = frame->word + i;
		}
		return;
	}
	for (unsigned i = 0; i < WORDS << frame->order; i += 64) {
		uint64_t word = ((uint64_t *)machine_ram(frame->pa))[i];
		MUST(word == frame->word + i, "a frame of the host's holds %#llx, not %#llx",
		    (unsigned long long)word, (unsigned long long)frame->word + i);
	}
	LIB_VOID(vmem_frame_free(frame->pa, frame->order));
	frame->word = 0;
}

void lives_step(void)
{
	switch (any(10)) {
	case 0:
	case 1:
	case 2:
		step_space();
		return;
	case 3:
		step_object();
		return;
	case 4:
	case 5:
		step_kernel();
		return;
	case 6:
		step_device();
		return;
	default:
		step_frame();
	}
}

void lives_end(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (spaces[i] != NULL) {
			end_space(spaces[i]);
			spaces[i] = NULL;
		}
		if (kernels[i] != NULL) {
			vmem_kernel_free(kernels[i]->address);
			kernels[i]->address = NULL;
			kernels[i] = NULL;
		}
	}
	for (unsigned i = 0; i < CPUS * HELD; i++) {
		struct held *frame = &held[i / HELD][i % HELD];
		if (frame->word != 0) {
			vmem_frame_free(frame->pa, frame->order);
			frame->word = 0;
		}
	}
}
