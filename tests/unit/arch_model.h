/* SPDX-License-Identifier: MIT */
/*
 * arch_model.h - a TLB for test_arch.c: a set of cached leaves and cached table entries, under several ids,
 * which only the instructions of arch_<isa>.h remove. What a request owes, and what it must not touch, is
 * decided here, the same way for every ISA.
 */
struct cached {
	vmem_vaddr_t va;
	unsigned level; /* of the entry */
	uint32_t id;
	bool global;
	bool table; /* an upper-level entry that walks may start from */
	bool live;
};

#define KERNEL_HALF UINT64_C(0xffffff8000000000)
#define MODEL_MAX 256u

static struct cached tlb[MODEL_MAX];
static unsigned tlb_count;
static unsigned model_steps;	/* invalidating instructions */
static bool tlb_without_global; /* the CPU has no global entries */

static void model_add(vmem_vaddr_t va, unsigned level, uint32_t id, bool global, bool table)
{
	assert_true(tlb_count < MODEL_MAX);
	tlb[tlb_count++] = (struct cached){va, level, id, global, table, true};
}

/* Two neighbours of everything, in three spaces and in the kernel half; ids: 1 if the CPU has none. */
static void model_fill(unsigned ids)
{
	tlb_count = 0;
	for (uint32_t id = 0; id < ids; id++) {
		for (unsigned i = 0; i < 12; i++) {
			model_add(0x400000 + i * UINT64_C(0x1000), 0, id, false, false);
			model_add(KERNEL_HALF + i * UINT64_C(0x1000), 0, id, false, false);
		}
		model_add(0x600000, 1, id, false, false);
		model_add(0x800000, 1, id, false, false);
		model_add(0x400000, 1, id, false, true);
		model_add(0x40000000, 1, id, false, true);
		model_add(0, 2, id, false, true);
		model_add(0x40000000, 2, id, false, true);
		model_add(KERNEL_HALF, 1, id, false, true);
		model_add(KERNEL_HALF + 0x200000, 1, id, false, true);
	}
	for (unsigned i = 0; i < 12 && !tlb_without_global; i++) {
		model_add(KERNEL_HALF + 0x100000 + i * UINT64_C(0x1000), 0, 0, true, false);
	}
}

static bool covers(const struct cached *c, vmem_vaddr_t va)
{
	return va - c->va < arch_level_size(c->level);
}

static bool in_range(const struct cached *c, const struct arch_flush *flush)
{
	uint64_t length = flush->pages * arch_level_size(flush->level);

	return covers(c, flush->start) || c->va - flush->start < length;
}

/*
 * A request with FLUSH_TABLES and no pages names the tables above one address. Leaves below the level of
 * the request are none of its business; tables are, of any level.
 */
static bool touched(const struct cached *c, const struct arch_flush *flush)
{
	bool tables = (flush->flags & FLUSH_TABLES) != 0;

	if ((flush->flags & FLUSH_SPACE) != 0) {
		return true;
	}
	return c->table ? tables && in_range(c, flush)
			: flush->pages != 0 && c->level >= flush->level && in_range(c, flush);
}

static bool is_owed(const struct cached *c, const struct arch_flush *flush)
{
	if ((flush->flags & FLUSH_GLOBAL) != 0) {
		return touched(c, flush) &&
		       ((flush->flags & FLUSH_SPACE) != 0 || c->global || c->va >= KERNEL_HALF);
	}
	return !c->global && (vmem_mmu.asid_bits == 0 || c->id == flush->asid) && touched(c, flush);
}

/* Runs the request on a full TLB; returns how many leaves went that were not owed. */
static unsigned run_flush(const struct arch_flush *flush)
{
	unsigned beyond = 0;

	model_fill(vmem_mmu.asid_bits != 0 ? 3 : 1);
	model_steps = 0;
	vmem_arch_flush(flush);
	bool one_by_one = (flush->flags & FLUSH_SPACE) == 0 && flush->pages > 2;
	assert_in_range(model_steps, 0, one_by_one ? flush->pages : 2);
	for (unsigned i = 0; i < tlb_count; i++) {
		const struct cached *c = &tlb[i];

		if (is_owed(c, flush) && c->live) {
			fail_msg("start %llx pages %llu level %u id %u flags %u: %s at %llx of level %u "
				 "under %u is left",
			    (unsigned long long)flush->start, (unsigned long long)flush->pages, flush->level,
			    flush->asid, flush->flags, c->table ? "table" : "leaf", (unsigned long long)c->va,
			    c->level, c->id);
		}
		beyond += !is_owed(c, flush) && !c->live && !c->table;
	}
	return beyond;
}

/* Every kind of request; one of pages of the current id, without tables, takes no leaf that is not owed. */
static void run_all_flushes(uint32_t current)
{
	static const uint64_t lengths[] = {0, 1, 2, 5, 12, 33, 34, 64, 65, 500};

	for (uint8_t flags = 0; flags < 8; flags++) {
		for (uint32_t asid = 0; asid < 3; asid++) {
			for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
				bool kernel = (flags & FLUSH_GLOBAL) != 0;
				struct arch_flush small = {
				    .start = (kernel ? KERNEL_HALF : 0x400000) + 0x2000,
				    .pages = lengths[i],
				    .asid = asid,
				    .flags = flags};
				struct arch_flush large = {.start = kernel ? KERNEL_HALF : 0x400000,
				    .pages = lengths[i],
				    .asid = asid,
				    .level = 1,
				    .flags = flags};
				unsigned beyond = run_flush(&small);

				if (flags == 0 && asid == current) {
					assert_int_equal(beyond, 0);
				}
				run_flush(&large);
				large.level = 2;
				large.start &= ~(arch_level_size(2) - 1);
				run_flush(&large);
			}
		}
	}
}

#if !defined(TEST_ISA_RISCV)
/* Cache lines that were cleaned. */
#define LINES_MAX 256u
static uint64_t lines[LINES_MAX];
static unsigned line_count;

static void model_line(uint64_t address)
{
	assert_true(line_count < LINES_MAX);
	lines[line_count++] = address;
}

/* They cover [start, start + length), each once, and nothing else. */
static void check_lines(uint64_t start, uint64_t length, uint64_t size)
{
	uint64_t first = start & ~(size - 1);

	assert_int_equal(line_count, (start + length - first + size - 1) / size);
	for (unsigned i = 0; i < line_count; i++) {
		assert_int_equal(lines[i] & ~(size - 1), first + i * size);
	}
	line_count = 0;
}
#endif
