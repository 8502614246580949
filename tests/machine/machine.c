/* SPDX-License-Identifier: MIT */
/*
 * machine.c - physical memory, CPUs and the book of violations.
 *
 * RAM of all ranges lies in one reservation of the build machine's address space, so that one offset maps
 * it; holes are inaccessible there. The reservation is placed low, where even a 39-bit machine could have
 * its linear map. RAM starts as garbage.
 *
 * M1  A violation never changes the machine: in collecting mode the run goes on as the hardware might.
 * M2  frames[] covers the whole span, holes included; only machine_is_ram() says what is RAM.
 *
 * Lock: the machine's (lock.c), over all of it; with one thread there is none.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#define ARENA_END UINT64_C(0x7f000000) /* below what sanitizers keep for themselves */
#define ARENA_MAX UINT64_C(0x60000000)
#define ARENA_ALIGN UINT64_C(0x40000000)
#define GARBAGE_MAX (UINT64_C(256) << 20) /* more RAM than this stays zero: it is meant to be sparse */

struct machine *machine_now;
struct machine_counters machine_counters;

static uint8_t *device_memory;
static bool collecting;
static unsigned violations[MACHINE_RULES];
static char violation_text[512];
static jmp_buf *panic_landing;
static char panic_text[256];

static const char *const rule_names[MACHINE_RULES] = {
    [MACHINE_STALE_USED] = "stale translation",
    [MACHINE_FREED_REACHED] = "freed frame reached",
    [MACHINE_BREAK_MISSING] = "break-before-make",
    [MACHINE_MALFORMED] = "malformed entry",
    [MACHINE_WX_LEAF] = "writable and executable",
    [MACHINE_USER_KERNEL] = "user-reachable kernel page",
    [MACHINE_TWO_TYPES] = "two cache attributes",
    [MACHINE_DIRTY_LOST] = "dirty bit lost",
    [MACHINE_FETCH_STALE] = "stale instructions",
    [MACHINE_BAD_ID] = "address-space id",
    [MACHINE_PLAUSIBLE] = "plausible dead entry",
    [MACHINE_MISUSE] = "misuse",
};

struct machine_config machine_default(enum machine_isa isa)
{
	struct machine_config config = {
	    .isa = isa,
	    .cpus = MACHINE_CPUS,
	    .levels = 4,
	    .asid_bits = isa == MACHINE_X86_64 ? 12 : 16,
	    .pa_bits = isa == MACHINE_X86_64	? 46
		       : isa == MACHINE_AARCH64 ? 48
						: 56,
	    .ram_count = 2,
	    .ram = {{UINT64_C(0x80000000), UINT64_C(32) << 20}, {UINT64_C(0x83000000), UINT64_C(16) << 20}},
	    .device = {UINT64_C(0x10000000), UINT64_C(1) << 20},
	};
	switch (isa) {
	case MACHINE_X86_64:
		config.features = MACHINE_HW_MARKS | MACHINE_NX | MACHINE_LEAF_1G | MACHINE_INVPCID |
				  MACHINE_COHERENT_FETCH;
		break;
	case MACHINE_AARCH64:
		config.features = MACHINE_HW_MARKS | MACHINE_NX;
		break;
	case MACHINE_RISCV:
		config.features = MACHINE_HW_MARKS | MACHINE_NX | MACHINE_SVPBMT | MACHINE_SVNAPOT |
				  MACHINE_SVINVAL | MACHINE_CACHES_INVALID;
		break;
	}
	return config;
}

static void *reserve(uint64_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *p = MAP_FAILED;
	if (size <= ARENA_MAX) {
		uint64_t hint = (ARENA_END - size) & ~(uint64_t)0x1fffff;
		p = mmap((void *)(uintptr_t)hint, size, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
	}
	if (p == MAP_FAILED) { /* on a border of 1 GiB, so that the linear map can have such leaves */
		p = mmap(NULL, size + ARENA_ALIGN, PROT_NONE, flags, -1, 0);
	} else {
		return p;
	}
	if (p == MAP_FAILED) {
		perror("machine: no memory for RAM");
		abort();
	}
	uint64_t lead = (0 - (uint64_t)(uintptr_t)p) & (ARENA_ALIGN - 1);
	if (lead > 0) {
		munmap(p, lead);
	}
	munmap((char *)p + lead + size, ARENA_ALIGN - lead);
	return (char *)p + lead;
}

static void open_ram(void)
{
	const struct machine_config *c = &machine_now->config;
	uint64_t total = 0;
	for (unsigned i = 0; i < c->ram_count; i++) {
		total += c->ram[i].length;
	}
	for (unsigned i = 0; i < c->ram_count; i++) {
		uint8_t *p = machine_now->arena + (c->ram[i].start - machine_now->base);
		if (mprotect(p, c->ram[i].length, PROT_READ | PROT_WRITE) != 0) {
			perror("machine: RAM");
			abort();
		}
		if (total <= GARBAGE_MAX) {
			memset(p, 0x5a, c->ram[i].length);
		}
	}
}

void machine_create(const struct machine_config *config)
{
	static const struct mmu *const mmus[] = {&mmu_x86_64, &mmu_aarch64, &mmu_riscv};
	static void (*const resets[])(unsigned) = {x86_reset, arm_reset, riscv_reset};
	const struct machine_range *last = &config->ram[config->ram_count - 1];
	struct machine *m = calloc(1, sizeof(*m));
	if (m == NULL || machine_now != NULL) {
		fprintf(stderr, "machine: there is one already, or no memory\n");
		abort();
	}
	machine_now = m;
	m->config = *config;
	m->mmu = mmus[config->isa];
	m->base = config->ram[0].start;
	m->span = last->start + last->length - m->base;
	m->va_bits = 12 + 9 * config->levels;
	if (config->isa == MACHINE_AARCH64 && config->levels == 5) {
		m->va_bits = 52;
	}
	m->arena = reserve(m->span);
	m->frames = calloc(m->span / MACHINE_PAGE, sizeof(*m->frames));
	device_memory = calloc(1, config->device.length + 1);
	if (m->frames == NULL || device_memory == NULL) {
		abort();
	}
	open_ram();
	m->kernel_root = MACHINE_NO_ROOT;
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		m->cpus[i].on = i < config->cpus;
		m->cpus[i].root = MACHINE_NO_ROOT;
		resets[config->isa](i);
	}
	machine_violations_clear();
	machine_counters = (struct machine_counters){0};
	panic_landing = NULL;
	machine_cpu_set(0);
	machine_fail_at(0);
}

void machine_destroy(void)
{
	struct machine *m = machine_now;
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		tlb_empty(i);
	}
	tlb_end();
	for (uint64_t f = 0; f < m->span / MACHINE_PAGE; f++) {
		for (unsigned i = 0; i < MACHINE_CPUS; i++) {
			free(m->frames[f].fetched[i]);
		}
	}
	munmap(m->arena, m->span);
	free(m->frames);
	free(device_memory);
	free(m);
	machine_now = NULL;
}

const struct machine_config *machine_config(void)
{
	return &machine_now->config;
}

uint64_t machine_direct_map(void)
{
	return (uint64_t)(uintptr_t)machine_now->arena - machine_now->base;
}

bool machine_is_ram(uint64_t pa)
{
	for (unsigned i = 0; i < machine_now->config.ram_count; i++) {
		if (pa - machine_now->config.ram[i].start < machine_now->config.ram[i].length) {
			return true;
		}
	}
	return false;
}

void *machine_ram(uint64_t pa)
{
	const struct machine_range *device = &machine_now->config.device;
	if (machine_is_ram(pa)) {
		return machine_now->arena + (pa - machine_now->base);
	}
	return pa - device->start < device->length ? device_memory + (pa - device->start) : NULL;
}

uint64_t machine_page(void)
{
	struct machine_range left = machine_ram_left(machine_now->config.ram_count - 1);
	uint64_t pa = left.start + left.length - MACHINE_PAGE;
	machine_now->taken += MACHINE_PAGE;
	memset(machine_ram(pa), 0, MACHINE_PAGE);
	return pa;
}

struct machine_range machine_ram_left(unsigned i)
{
	struct machine_range range = machine_now->config.ram[i];
	if (i == machine_now->config.ram_count - 1) {
		range.length -= machine_now->taken;
	}
	return range;
}

struct frame *machine_frame(uint64_t pa)
{
	return machine_is_ram(pa) ? &machine_now->frames[(pa - machine_now->base) / MACHINE_PAGE] : NULL;
}

uint64_t *machine_entry(uint64_t at)
{
	return machine_is_ram(at) ? machine_ram(at & ~UINT64_C(7)) : NULL;
}

void machine_cpu_power(unsigned cpu, bool on)
{
	MACHINE_LOCKED;
	if (on && !machine_now->cpus[cpu].on) {
		tlb_empty(cpu);
	}
	machine_now->cpus[cpu].on = on;
}

void machine_cpu_idle(bool idle)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[machine_cpu()];
	c->id_unchecked |= c->idle && !idle;
	c->idle = idle;
}

bool machine_cpu_is_on(unsigned cpu)
{
	return cpu < machine_now->config.cpus && machine_now->cpus[cpu].on;
}

uint64_t machine_kernel_root(void)
{
	return machine_now->kernel_root;
}

uint64_t machine_root(unsigned cpu)
{
	return machine_now->cpus[cpu].root;
}

uint32_t machine_asid(unsigned cpu)
{
	return machine_now->cpus[cpu].asid;
}

void machine_operation(void)
{
	if (!machine_is_threaded) {
		check_breaks_made(false);
	}
}

void machine_effect(void)
{
	if (machine_is_threaded) {
		return; /* the others run by themselves */
	}
	check_breaks_made(true);
	if ((machine_now->config.features & MACHINE_SPECULATES) == 0) {
		return;
	}
	for (unsigned i = 0; i < machine_now->config.cpus; i++) {
		machine_fill(i);
	}
}

void machine_count_calls(unsigned calls)
{
	MACHINE_LOCKED;
	machine_counters.calls += calls;
}

/* Frames. */

void machine_frame_allocated(uint64_t pa, unsigned order)
{
	MACHINE_LOCKED;
	machine_now->traced = true;
	for (uint64_t i = 0; i < (UINT64_C(1) << order); i++) {
		struct frame *frame = machine_frame(pa + i * MACHINE_PAGE);
		if (frame == NULL) {
			machine_violation(MACHINE_MISUSE, "frame %#llx is no RAM", (unsigned long long)pa);
			return;
		}
		frame->free = false;
	}
}

struct freeing {
	uint64_t pa;
	unsigned order;
};

static void see_freed(struct tlb_entry *entry, void *argument)
{
	const struct freeing *freeing = argument;
	bool linear = machine_now->linear != 0 && entry->va - entry->pa == machine_now->linear;
	if (!linear && tlb_usable(entry->cpu, entry)) { /* the linear map reaches all frames, free or not */
		machine_violation(MACHINE_FREED_REACHED,
		    "frame %#llx order %u freed while CPU %u has %s %#llx -> %#llx",
		    (unsigned long long)freeing->pa, freeing->order, entry->cpu,
		    entry->kind == MMU_TABLE ? "table" : "leaf", (unsigned long long)entry->va,
		    (unsigned long long)entry->pa);
	}
}

void machine_frame_freed(uint64_t pa, unsigned order)
{
	MACHINE_LOCKED;
	struct freeing freeing = {pa, order};
	uint64_t size = (uint64_t)MACHINE_PAGE << order;
	tlb_reaching(pa, size, see_freed, &freeing);
	for (unsigned cpu = 0; cpu < machine_now->config.cpus; cpu++) {
		if (machine_cpu_is_on(cpu) && machine_root(cpu) - pa < size) {
			machine_violation(MACHINE_FREED_REACHED, "the root table of CPU %u was freed", cpu);
		}
	}
	for (uint64_t i = 0; i < (UINT64_C(1) << order); i++) {
		struct frame *frame = machine_frame(pa + i * MACHINE_PAGE);
		if (frame == NULL || (machine_now->traced && frame->free)) {
			machine_violation(
			    MACHINE_MISUSE, "frame %#llx freed twice, or no RAM", (unsigned long long)pa);
			return;
		}
		frame->free = true;
		frame->is_table = false;
		frame->generation++;
		frame->stored = false;
	}
	machine_now->traced = true;
}

static uint64_t asked, failing;

void machine_fail_at(uint64_t n)
{
	failing = n == 0 ? 0 : asked + n;
}

bool machine_fail_allocation(void)
{
	return __atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED) == failing;
}

bool machine_failed_allocation(void)
{
	return failing != 0 && __atomic_load_n(&asked, __ATOMIC_RELAXED) == failing;
}

uint64_t machine_allocations(void)
{
	return asked;
}

void machine_kernel_only(uint64_t pa, uint64_t len)
{
	MACHINE_LOCKED;
	for (uint64_t i = 0; i < len; i += MACHINE_PAGE) {
		machine_frame(pa + i)->kernel_only = true;
	}
}

void machine_wx(uint64_t root, bool on)
{
	MACHINE_LOCKED;
	struct machine *m = machine_now;
	if (root == UINT64_MAX) {
		m->wx_all = on;
		return;
	}
	for (unsigned i = 0; i < m->wx_count; i++) {
		if (m->wx[i] == root) {
			m->wx[i] = m->wx[--m->wx_count];
			break;
		}
	}
	if (on && m->wx_count == sizeof(m->wx) / sizeof(m->wx[0])) {
		machine_violation(MACHINE_MISUSE, "too many W^X spaces");
	} else if (on) {
		m->wx[m->wx_count++] = root;
	}
}

bool machine_is_wx(uint64_t root)
{
	for (unsigned i = 0; i < machine_now->wx_count; i++) {
		if (machine_now->wx[i] == root) {
			return true;
		}
	}
	return machine_now->wx_all;
}

void machine_cleaned(void)
{
	MACHINE_LOCKED;
	machine_counters.cleaned_lines++;
}

bool machine_dirty_expected(uint64_t pa)
{
	MACHINE_LOCKED;
	return machine_frame(pa)->stored;
}

void machine_dirty_forget(uint64_t pa)
{
	MACHINE_LOCKED;
	machine_frame(pa)->stored = false;
}

/* Violations. */

void machine_collect(bool on)
{
	collecting = on;
}

unsigned machine_violations(enum machine_rule rule)
{
	return violations[rule];
}

unsigned machine_violations_all(void)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < MACHINE_RULES; i++) {
		sum += violations[i];
	}
	return sum;
}

const char *machine_violation_text(void)
{
	return violation_text;
}

void machine_violations_clear(void)
{
	memset(violations, 0, sizeof(violations));
	violation_text[0] = '\0';
}

void machine_violation(enum machine_rule rule, const char *format, ...)
{
	MACHINE_LOCKED;
	va_list list;
	int n = snprintf(violation_text, sizeof(violation_text), "%s: ", rule_names[rule]);
	va_start(list, format);
	(void)vsnprintf(violation_text + n, sizeof(violation_text) - (size_t)n, format, list);
	va_end(list);
	violations[rule]++;
	if (!collecting) {
		fprintf(stderr, "machine (%s): %s\n", machine_now->mmu->name, violation_text);
		machine_threads_print();
		abort();
	}
}

void machine_panic_landing(jmp_buf *landing)
{
	panic_landing = landing;
	panic_text[0] = '\0';
}

const char *machine_panic_text(void)
{
	return panic_text;
}

_Noreturn void machine_panic(const char *rule)
{
	(void)snprintf(panic_text, sizeof(panic_text), "%s", rule);
	if (panic_landing != NULL && !machine_is_threaded) {
		longjmp(*panic_landing, 1);
	}
	fprintf(stderr, "machine: panic: %s\n", rule);
	machine_threads_print();
	abort();
}
