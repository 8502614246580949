/* SPDX-License-Identifier: MIT */
/*
 * core_fixture.c - the library on a software machine, for the tests of the core.
 *
 * The machine collects violations, so that a test fails with the machine's text instead of aborting. A panic
 * of the library without a landing is a failed test too: step() sets one.
 */
#include "core_fixture.h"

#include "region.h"
#include "slab.h"

static struct vmem_frame_stats at_start;
static char panic_copy[256];

enum machine_isa core_isa(void)
{
	return strcmp(TEST_ISA, "x86_64") == 0	  ? MACHINE_X86_64
	       : strcmp(TEST_ISA, "aarch64") == 0 ? MACHINE_AARCH64
						  : MACHINE_RISCV;
}

void core_start(const struct core_options *options)
{
	struct machine_config config = machine_default(core_isa());
	struct vmem_ram ram[MACHINE_RANGES];
	config.levels = options->levels ? options->levels : config.levels;
	config.asid_bits = options->asid_bits >= 0 ? (unsigned)options->asid_bits : config.asid_bits;
	config.features = (config.features | options->add) & ~options->remove;
	config.cpus = options->alone ? 1 : config.cpus;
	if (options->ram != 0) {
		config.ram[0].length = options->ram;
		config.ram_count = 1;
	}
	machine_create(&config);
	machine_collect(true);
	machine_cpu_set(0);
	machine_boot(options->linear_level);
	for (unsigned i = 0; i < config.ram_count; i++) {
		struct machine_range left = machine_ram_left(i);
		/* The last pages are for tables that are no business of the library: the boot's, and an empty
		 * root of AArch64. */
		ram[i] =
		    (struct vmem_ram){left.start, left.length - (i + 1 == config.ram_count ? PAGES(8) : 0)};
	}
	struct machine_range area = machine_kernel_area();
	const struct vmem_config start = {
	    .ram = ram,
	    .ram_count = config.ram_count,
	    .direct_map = machine_direct_map(),
	    .kernel_start = options->no_kernel ? 0 : area.start,
	    .kernel_length = options->no_kernel ? 0 : area.length,
	    .isa_features = machine_isa_features(),
	    .cpus = options->alone,
	    .seed = 7,
	    .pause = options->pause,
	    .flush_pages = options->flush_pages,
	};
	assert_int_equal(vmem_library_init(&start), VMEM_OK);
	for (unsigned i = 1; i < config.cpus; i++) { /* the other CPUs come up */
		machine_cpu_set(i);
		vmem_library_init_cpu();
	}
	machine_cpu_set(0);
	vmem_frame_stats(&at_start);
	machine_counters = (struct machine_counters){0};
	step();
}

void core_trim(void)
{
	vmem_library_trim();
}

int core_setup(void **state)
{
	const struct core_options usual = {.asid_bits = -1, .linear_level = 1};
	(void)state;
	core_start(&usual);
	return 0;
}

int core_setup_pages(void **state)
{
	const struct core_options pages = {.asid_bits = -1};
	(void)state;
	core_start(&pages);
	return 0;
}

/* vmem_check(), a panic of it being the answer; NULL: all agrees. */
static const char *disagreement(void)
{
	jmp_buf landing;
	machine_panic_landing(&landing);
	if (setjmp(landing) != 0) {
		strncpy(panic_copy, machine_panic_text(), sizeof(panic_copy) - 1);
		machine_panic_landing(NULL);
		return panic_copy;
	}
	vmem_check();
	machine_panic_landing(NULL);
	return NULL;
}

int core_teardown(void **state)
{
	unsigned spaces = 0, stores = 0;
	(void)state;
	for (struct vmem_aspace *a = vmem_aspace_first(); a; a = a->all_next) {
		spaces += !a->pmap.kernel;
	}
	for (struct store *s = vmem_store_first(); s; s = vmem_store_next(s)) {
		stores++;
	}
	vmem_library_trim(); /* of promises given back a few are told late */
	struct vmem_frame_stats now = frames_now();
	const char *wrong = disagreement();
	machine_destroy();
	if (wrong) {
		fail_msg("%s", wrong);
	}
	assert_int_equal(spaces, 0);
	assert_int_equal(stores, 0);
	assert_int_equal(now.data, at_start.data);
	assert_int_equal(now.host, at_start.host);
	assert_int_equal(now.reserved, 0);
	return 0;
}

const char *core_panic_text(void)
{
	strncpy(panic_copy, machine_panic_text(), sizeof(panic_copy) - 1);
	machine_panic_landing(NULL);
	return panic_copy;
}

static void violations(void)
{
	if (machine_violations_all() != 0) {
		fail_msg("%s", machine_violation_text());
	}
}

void step_machine(void)
{
	static unsigned turn;
	machine_operation();
	for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {
		/* AArch64 has the whole linear map in every audit: one CPU a step */
		if (core_isa() != MACHINE_AARCH64 || cpu == turn % machine_config()->cpus) {
			(void)machine_audit(cpu);
		}
	}
	turn++;
	machine_check();
	violations();
}

void step(void)
{
	const char *wrong = disagreement();
	if (wrong) {
		fail_msg("%s", wrong);
	}
	step_machine();
}

void warm(void)
{
	for (unsigned cpu = 0; cpu < machine_config()->cpus; cpu++) {
		machine_fill(cpu);
	}
}

/* The fingerprint. */

static uint64_t sum;

static void mix(uint64_t value)
{
	sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	sum ^= sum >> 29;
}

static void mix_entry(void *arg, vmem_vaddr_t va, unsigned level, arch_pte_t entry)
{
	(void)arg;
	mix(va);
	mix(level);
	mix(entry);
}

/* Child VMARs and reserved strips, which no region tells of. */
static void mix_layout(const struct vmem_vmar *vmar)
{
	mix(vmar->rights);
	for (const struct span *s = vmar->tree.first; s; s = s->next) {
		mix(s->start);
		mix(s->length);
		mix((uint64_t)s->kind << 16 | (uint64_t)s->pad_before << 8 | s->pad_after);
		if (s->kind == SPAN_VMAR) {
			mix_layout((const struct vmem_vmar *)(const void *)s);
		}
	}
}

static void mix_space(struct vmem_aspace *aspace)
{
	struct vmem_region_info info;
	mix_layout(&aspace->root);
	for (uint64_t at = 0; vmem_region_next(aspace, at, &info); at = info.start + info.length) {
		const uint64_t words[] = {info.start, info.length, info.permission, info.maximum, info.flags,
		    info.attributes, (uintptr_t)info.object, info.offset, info.key, info.cookie};
		for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			mix(words[i]);
		}
	}
	if (aspace->root.tree.length != 0) {
		vmem_pmap_visit(
		    &aspace->pmap, aspace->root.tree.base, aspace->root.tree.length, mix_entry, NULL);
	}
	struct vmem_aspace_stats stats = stats_of(aspace);
	const uint64_t words[] = {stats.regions, stats.mapped, stats.resident, stats.committed, stats.tables};
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		mix(words[i]);
	}
}

uint64_t core_state(void)
{
	sum = 1;
	for (struct vmem_aspace *a = vmem_aspace_first(); a; a = a->all_next) {
		mix_space(a);
	}
	for (struct store *s = vmem_store_first(); s; s = vmem_store_next(s)) {
		slot_t slot;
		mix((uintptr_t)s);
		mix(s->mapping_count);
		mix(s->references);
		for (uint64_t key = 0; vmem_index_next(&s->index, &key, INDEX_KEY_LAST, &slot, NULL); key++) {
			mix(key);
			mix(slot);
		}
	}
	struct vmem_frame_stats now = frames_now();
	mix(now.free + now.slabs); /* an emptied frame of small objects may be kept */
	mix(now.tables);
	mix(now.data);
	mix(now.host);
	mix(now.reserved);
	return sum;
}

/* Spaces. */

struct vmem_aspace *space_with(const struct vmem_aspace_config *config)
{
	struct vmem_aspace *aspace;
	OK(vmem_aspace_create(config, &aspace));
	if (config->wx) {
		machine_wx(aspace->pmap.root_pa, true);
	}
	return aspace;
}

struct vmem_aspace *space(void)
{
	const struct vmem_aspace_config config = {0};
	return space_with(&config);
}

void switch_to(struct vmem_aspace *aspace)
{
	vmem_aspace_activate(aspace);
	machine_cpu_idle(aspace == NULL);
}

void run(unsigned cpu, struct vmem_aspace *aspace)
{
	machine_operation();
	machine_cpu_set(cpu);
	switch_to(aspace);
	step_machine();
}

void run_all(struct vmem_aspace *aspace)
{
	for (unsigned cpu = machine_config()->cpus; cpu-- > 0;) {
		run(cpu, aspace);
	}
}

void end(struct vmem_aspace *aspace)
{
	for (unsigned cpu = machine_config()->cpus; cpu-- > 0;) {
		if (machine_root(cpu) == aspace->pmap.root_pa) {
			run(cpu, NULL);
		}
	}
	machine_cpu_set(0);
	if (aspace->wx) {
		machine_wx(aspace->pmap.root_pa, false);
	}
	machine_operation();
	vmem_aspace_destroy(aspace);
	step();
}

/* Mapping. */

static uint64_t map_it(struct vmem_aspace *aspace, const struct vmem_map *what)
{
	vmem_vaddr_t start = 0;
	OK(vmem_vmar_map(vmem_aspace_root(aspace), what, &start));
	return start;
}

uint64_t map(struct vmem_aspace *aspace, uint64_t pages, unsigned permission)
{
	const struct vmem_map what = {.length = PAGES(pages),
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .flags = VMEM_MAP_NO_MERGE};
	return map_it(aspace, &what);
}

uint64_t map_at(struct vmem_aspace *aspace, uint64_t address, uint64_t pages, unsigned permission)
{
	const struct vmem_map what = {.length = PAGES(pages),
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .place = VMEM_PLACE_FIXED,
	    .address = address};
	return map_it(aspace, &what);
}

uint64_t map_object(struct vmem_aspace *aspace, struct vmem_object *object, uint64_t first, uint64_t pages,
    unsigned permission, unsigned flags)
{
	const struct vmem_map what = {.length = PAGES(pages),
	    .permission = permission,
	    .maximum = VMEM_RWX,
	    .flags = flags,
	    .object = object,
	    .offset = PAGES(first)};
	return map_it(aspace, &what);
}

void unmap(struct vmem_aspace *aspace, uint64_t address, uint64_t pages)
{
	OK(vmem_vmar_unmap(vmem_aspace_root(aspace), address, PAGES(pages)));
}

void protect(struct vmem_aspace *aspace, uint64_t address, uint64_t pages, unsigned permission)
{
	OK(vmem_vmar_protect(vmem_aspace_root(aspace), address, PAGES(pages), permission));
}

struct vmem_aspace_stats stats_of(struct vmem_aspace *aspace)
{
	struct vmem_aspace_stats stats;
	vmem_aspace_stats(aspace, &stats);
	return stats;
}

uint64_t regions(struct vmem_aspace *aspace)
{
	return stats_of(aspace).regions;
}

struct vmem_region_info region_at(struct vmem_aspace *aspace, uint64_t address)
{
	struct vmem_region_info info;
	assert_true(vmem_region_next(aspace, address, &info));
	assert_int_equal(info.start, address);
	return info;
}

/* Accesses. */

enum vmem_fault_result try_access(
    struct vmem_aspace *aspace, unsigned cpu, uint64_t va, enum machine_access_kind kind, uint64_t *value)
{
	for (unsigned tries = 0; tries < 6; tries++) {
		size_t length = kind == MACHINE_EXEC ? 4 : 8;
		struct machine_result r = machine_access(cpu, va, kind, MACHINE_USER, value, length);
		if (r.ok) {
			violations();
			return VMEM_FAULT_RESOLVED;
		}
		struct vmem_trap trap = vmem_trap_decode(r.cause, r.detail);
		assert_true(trap.is_page_fault && trap.is_user && !trap.malformed);
		assert_int_equal(trap.access, 1u << kind);
		assert_int_equal(r.va, va);
		unsigned before = machine_cpu();
		machine_cpu_set(cpu);
		machine_operation();
		enum vmem_fault_result result = vmem_fault(aspace, r.va, trap.access);
		machine_cpu_set(before);
		violations();
		if (result != VMEM_FAULT_RESOLVED) {
			return result;
		}
	}
	fail_msg("the access to %#llx faults for ever", (unsigned long long)va);
	return VMEM_FAULT_RESULT_COUNT;
}

enum vmem_fault_result user_read(struct vmem_aspace *aspace, uint64_t va, uint64_t *out)
{
	*out = UINT64_C(0xdeadbeefdeadbeef);
	return try_access(aspace, machine_cpu(), va, MACHINE_READ, out);
}

enum vmem_fault_result user_write(struct vmem_aspace *aspace, uint64_t va, uint64_t value)
{
	return try_access(aspace, machine_cpu(), va, MACHINE_WRITE, &value);
}

enum vmem_fault_result user_exec(struct vmem_aspace *aspace, uint64_t va, uint32_t *out)
{
	uint64_t value = 0;
	enum vmem_fault_result result = try_access(aspace, machine_cpu(), va, MACHINE_EXEC, &value);
	*out = (uint32_t)value;
	return result;
}

unsigned user_may(struct vmem_aspace *aspace, uint64_t va)
{
	uint64_t value = 0, unread;
	uint32_t word;
	unsigned may = 0;
	if (user_read(aspace, va, &value) == VMEM_FAULT_RESOLVED) {
		may |= VMEM_READ;
	}
	if (user_exec(aspace, va, &word) == VMEM_FAULT_RESOLVED) {
		may |= VMEM_EXEC;
	}
	if (user_write(aspace, va, may & VMEM_READ ? value : 0) == VMEM_FAULT_RESOLVED) {
		may |= VMEM_WRITE;
	}
	if (may & VMEM_WRITE && user_read(aspace, va, &unread) == VMEM_FAULT_RESOLVED) {
		may |= VMEM_READ; /* write-only memory may be readable once it is there */
	}
	return may;
}

uint64_t get(struct vmem_aspace *aspace, unsigned cpu, uint64_t va)
{
	uint64_t value = 0;
	assert_int_equal(try_access(aspace, cpu, va, MACHINE_READ, &value), VMEM_FAULT_RESOLVED);
	return value;
}

void put(struct vmem_aspace *aspace, unsigned cpu, uint64_t va, uint64_t value)
{
	assert_int_equal(try_access(aspace, cpu, va, MACHINE_WRITE, &value), VMEM_FAULT_RESOLVED);
}

void fetch(struct vmem_aspace *aspace, unsigned cpu, uint64_t va)
{
	uint64_t value;
	assert_int_equal(try_access(aspace, cpu, va, MACHINE_EXEC, &value), VMEM_FAULT_RESOLVED);
}

bool hardware(unsigned cpu, uint64_t va, enum machine_access_kind kind, unsigned mode)
{
	uint64_t value = 0;
	bool ok = machine_access(cpu, va, kind, mode, &value, kind == MACHINE_EXEC ? 4 : 8).ok;
	violations();
	return ok;
}

void fill(struct vmem_aspace *aspace, uint64_t va, uint64_t pages, uint64_t value)
{
	for (uint64_t i = 0; i < pages; i++) {
		put(aspace, 0, va + PAGES(i), value + i);
	}
	step();
}

void expect(struct vmem_aspace *aspace, uint64_t va, uint64_t pages, uint64_t value)
{
	for (uint64_t i = 0; i < pages; i++) {
		assert_int_equal(get(aspace, 0, va + PAGES(i)), value + i);
	}
	step();
}

/* Objects. */

struct vmem_object *anonymous(uint64_t pages, unsigned flags)
{
	struct vmem_object *object = NULL;
	OK(vmem_object_create_anonymous(PAGES(pages), flags, &object));
	return object;
}

struct vmem_object *snapshot(struct vmem_object *object, uint64_t first, uint64_t pages)
{
	struct vmem_object *child = NULL;
	OK(vmem_object_snapshot(object, PAGES(first), PAGES(pages), &child));
	return child;
}

void release(struct vmem_object *object)
{
	machine_operation();
	vmem_object_release(object);
	step();
}

uint64_t peek(struct vmem_object *object, uint64_t page)
{
	uint64_t value = 0;
	assert_int_equal(vmem_object_read(object, PAGES(page), &value, sizeof(value), NULL), VMEM_OK);
	return value;
}

void poke(struct vmem_object *object, uint64_t page, uint64_t value)
{
	machine_operation();
	assert_int_equal(vmem_object_write(object, PAGES(page), &value, sizeof(value), NULL), VMEM_OK);
	step();
}

struct vmem_object_info info_of(struct vmem_object *object)
{
	struct vmem_object_info info;
	vmem_object_info(object, &info);
	return info;
}

struct vmem_frame_stats frames_now(void)
{
	struct vmem_frame_stats stats;
	vmem_frame_stats(&stats);
	return stats;
}

struct core_cost cost(void)
{
	static struct machine_counters then;
	struct machine_counters now = machine_counters;
	if (now.accesses < then.accesses || now.walks < then.walks) {
		then = (struct machine_counters){0}; /* the counters were cleared */
	}
	struct core_cost spent = {
	    .flushes = now.flush_page + now.flush_page_tables + now.flush_global + now.flush_space +
		       now.flush_all -
		       (then.flush_page + then.flush_page_tables + then.flush_global + then.flush_space +
			   then.flush_all),
	    .idle = now.idle - then.idle,
	    .breaks = now.breaks - then.breaks,
	    .breaks_idle = now.breaks_idle - then.breaks_idle,
	    .calls = now.calls - then.calls,
	};
	then = now;
	return spent;
}
