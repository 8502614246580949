/* SPDX-License-Identifier: MIT */
/*
 * mmu_x86_64.c - the MMU of x86-64, from Intel's SDM volume 3A, chapter "Paging" (sections named, not
 * numbered: editions differ).
 *
 * "4-level paging and 5-level paging": the formats of entries. Bit 0 present, 1 R/W, 2 U/S, 3 PWT, 4 PCD, 5
 *     accessed, 6 dirty, 7 page size (a leaf at levels 1 and 2; in a 4 KiB leaf it is PAT), 8 global, 12
 *     PAT of a large leaf, 63 XD. Bits from the physical address width to 51 are reserved; so are the bits
 *     between a large leaf's PAT and its address, PS where no leaf can be, XD without NXE.
 * "Access rights": R/W and U/S and XD apply over all levels. CR0.WP and CR4.SMEP are on; the supervisor's
 *     data accesses may use user pages.
 * "Accessed and dirty flags": set by the CPU in every entry that it uses; an entry not accessed is not
 *     cached.
 * "Caching translation information": TLBs hold leaves, tagged with a PCID or global; paging-structure
 *     caches hold upper entries, tagged with a PCID and never global. A page fault drops what is cached for
 *     its address.
 * "Page attribute table": PAT, PCD and PWT select one of eight types in IA32_PAT.
 */
#include "internal.h"

#define P (UINT64_C(1) << 0)
#define RW (UINT64_C(1) << 1)
#define US (UINT64_C(1) << 2)
#define PWT (UINT64_C(1) << 3)
#define PCD (UINT64_C(1) << 4)
#define A (UINT64_C(1) << 5)
#define D (UINT64_C(1) << 6)
#define PS (UINT64_C(1) << 7)
#define G (UINT64_C(1) << 8)
#define XD (UINT64_C(1) << 63)
#define ADDRESS UINT64_C(0x000ffffffffff000)

static bool has(uint32_t feature)
{
	return (machine_now->config.features & feature) != 0;
}

static uint8_t type_of(uint64_t raw, unsigned level)
{
	/* IA32_PAT: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB, 7 UC-. */
	static const uint8_t types[8] = {
	    MACHINE_UC, MACHINE_WC, MACHINE_UC, MACHINE_UC, MACHINE_WT, MACHINE_WT, MACHINE_WB, MACHINE_UC};
	uint64_t pat = level == 0 ? raw >> 7 : raw >> 12;
	unsigned index = (unsigned)((pat & 1) << 2 | (raw >> 3 & 3));
	return types[machine_now->attributes >> (8 * index) & 7];
}

static const char *reserved(uint64_t raw, unsigned level)
{
	if ((raw & ADDRESS & ~low_mask(machine_now->config.pa_bits)) != 0) {
		return "address bits beyond the physical address width";
	}
	if ((raw & XD) != 0 && !has(MACHINE_NX)) {
		return "XD without EFER.NXE";
	}
	if (level == 0 || (raw & PS) == 0) {
		return NULL;
	}
	if (level > 2 || (level == 2 && !has(MACHINE_LEAF_1G))) {
		return "PS where the CPU has no leaves";
	}
	if ((raw & low_mask(level_shift(level)) & ~low_mask(13)) != 0) {
		return "reserved bits below a large leaf's address";
	}
	return NULL;
}

static struct mmu_entry decode(uint64_t raw, unsigned level, unsigned index)
{
	(void)index;
	struct mmu_entry e = {.kind = MMU_INVALID};
	if ((raw & P) == 0) {
		return e;
	}
	e.bad = reserved(raw, level);
	if (e.bad != NULL) {
		e.kind = MMU_BAD;
		return e;
	}
	e.accessed = (raw & A) != 0;
	e.pa = raw & ADDRESS;
	if (level != 0 && (raw & PS) == 0) {
		e.kind = MMU_TABLE;
		e.deny = ((raw & RW) == 0 ? PERM_WRITE : 0u) | ((raw & US) == 0 ? PERM_USER : 0u) |
			 ((raw & XD) != 0 ? PERM_EXEC : 0u);
		return e;
	}
	e.kind = MMU_LEAF;
	e.pa &= ~low_mask(level_shift(level));
	e.global = (raw & G) != 0;
	e.dirty = (raw & D) != 0;
	e.type = type_of(raw, level);
	e.allow = PERM_ALL;
	e.allow &= (raw & RW) == 0 ? ~PERM_WRITE : PERM_ALL;
	e.allow &= (raw & US) == 0 ? ~PERM_USER : PERM_ALL;
	e.allow &= (raw & XD) != 0 ? ~PERM_EXEC : PERM_ALL;
	return e;
}

static uint32_t finish(uint32_t allow)
{
	return (allow & MACHINE_PERM_UR) != 0 ? allow & ~(uint32_t)MACHINE_PERM_SX : allow; /* SMEP */
}

static uint64_t mark(uint64_t raw, unsigned level, bool store)
{
	bool is_leaf = level == 0 || (raw & PS) != 0;
	return raw | A | (store && is_leaf ? D : 0);
}

static bool canonical(uint64_t va)
{
	uint64_t upper = va >> (machine_now->va_bits - 1);
	return upper == 0 || upper == UINT64_MAX >> (machine_now->va_bits - 1);
}

static void fault(const struct mmu_fault *f, struct machine_result *out)
{
	bool present = f->why != WHY_INVALID;
	out->cause = f->why == WHY_ADDRESS ? 13 : 14;
	if (out->cause == 13) {
		return;
	}
	out->detail = (present ? 1u : 0u) | (f->kind == MACHINE_WRITE ? 2u : 0u) | (f->user ? 4u : 0u) |
		      (f->why == WHY_BAD ? 8u : 0u) | (f->kind == MACHINE_EXEC ? 16u : 0u);
}

/*
 * L1TF: a CPU may look up the address of a non-present entry in its first-level cache before it sees that
 * the entry is void.
 */
static const char *plausible(uint64_t raw, unsigned level)
{
	(void)level;
	uint64_t pa = raw & ADDRESS & low_mask(machine_now->config.pa_bits);
	return pa != 0 && machine_is_ram(pa) ? "a non-present entry with an address of RAM" : NULL;
}

const struct mmu mmu_x86_64 = {
    .name = "x86-64",
    .fault_drops = true,
    .decode = decode,
    .finish = finish,
    .mark = mark,
    .canonical = canonical,
    .fault = fault,
    .plausible = plausible,
};

/* "Invalidation of TLBs and paging-structure caches": the operations that invalidate. */

static bool is_x86(const char *what)
{
	if (machine_now->config.isa != MACHINE_X86_64) {
		machine_violation(MACHINE_MISUSE, "%s on another ISA", what);
		return false;
	}
	return true;
}

static bool any(const struct tlb_entry *e, const void *argument)
{
	(void)e;
	(void)argument;
	return true;
}

static bool non_global(const struct tlb_entry *e, const void *argument)
{
	(void)argument;
	return !e->global;
}

static bool of_id(const struct tlb_entry *e, const void *argument)
{
	return !e->global && e->asid == *(const uint32_t *)argument;
}

static bool table_of_id(const struct tlb_entry *e, const void *argument)
{
	return e->kind == MMU_TABLE && e->asid == *(const uint32_t *)argument;
}

static bool leaf_of_id_or_global(const struct tlb_entry *e, const void *argument)
{
	return e->kind == MMU_LEAF && (e->global || e->asid == *(const uint32_t *)argument);
}

/* CR4 after INIT and a boot loader's way to long mode; IA32_PAT after reset. */
void x86_reset(unsigned cpu)
{
	struct machine_cpu *c = &machine_now->cpus[cpu];
	c->cr0 = UINT64_C(0x80000011);
	c->cr4 = 0x20 | (machine_now->config.levels == 5 ? X86_CR4_LA57 : 0);
	c->pat = UINT64_C(0x0007040600070406);
	machine_now->attributes = c->pat;
	machine_now->marks = true;
}

static void drop_all(unsigned cpu, tlb_filter *filter, uint64_t *counter)
{
	struct tlb_flush flush = tlb_flush_begin(counter);
	tlb_drop_matching(&flush, cpu, filter, NULL);
	tlb_flush_end(&flush);
}

uint64_t x86_read_cr3(unsigned cpu)
{
	return machine_now->cpus[cpu].root | machine_now->cpus[cpu].asid;
}

/* CR4, but for global pages: switched off for a moment, by which all of them are flushed. */
static uint64_t lasting_cr4(const struct machine_cpu *c)
{
	return c->globals ? c->cr4 | X86_CR4_PGE : c->cr4;
}

/* A CPU that runs user code must be set up like the first one. */
static void check_set_up(unsigned cpu, uint64_t root)
{
	const struct machine_cpu *c = &machine_now->cpus[cpu];
	const struct machine_cpu *first = &machine_now->cpus[0];
	if (root == machine_now->kernel_root || cpu == 0) {
		return;
	}
	if (lasting_cr4(c) != lasting_cr4(first) || c->pat != first->pat || c->cr0 != first->cr0) {
		machine_violation(MACHINE_MISUSE, "CPU %u is not set up like CPU 0", cpu);
	}
}

void x86_write_cr3(unsigned cpu, uint64_t value)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[cpu];
	bool pcide = (c->cr4 & X86_CR4_PCIDE) != 0;
	uint32_t pcid = pcide ? (uint32_t)(value & 0xfff) : 0;
	if (!is_x86("MOV to CR3")) {
		return;
	}
	if (!pcide && ((value >> 63) != 0 || (value & 0xfe7) != 0)) {
		machine_violation(MACHINE_BAD_ID, "CR3 %#llx without CR4.PCIDE", (unsigned long long)value);
	}
	check_set_up(cpu, value & ADDRESS);
	machine_counters.root_writes++;
	if (!pcide || (value >> 63) == 0) { /* what goes is judged by the root it was cached under */
		struct tlb_flush flush = tlb_flush_begin(&machine_counters.flush_space);
		if (pcide) {
			tlb_drop_id(&flush, cpu, pcid, of_id, &pcid);
		} else {
			tlb_drop_matching(&flush, cpu, non_global, NULL);
		}
		flush.needed |= c->root != (value & ADDRESS); /* a change of spaces is never idle */
		tlb_flush_end(&flush);
	}
	c->root = value & ADDRESS;
	c->asid = pcid;
	c->id_unchecked = true;
	check_id(cpu);
}

uint64_t x86_read_cr4(unsigned cpu)
{
	return machine_now->cpus[cpu].cr4;
}

void x86_write_cr4(unsigned cpu, uint64_t value)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[cpu];
	uint64_t changed = c->cr4 ^ value;
	if (!is_x86("MOV to CR4")) {
		return;
	}
	if ((changed & value & X86_CR4_PCIDE) != 0 && (c->asid != 0 || machine_now->config.asid_bits == 0)) {
		machine_violation(MACHINE_MISUSE, "CR4.PCIDE with CR3 %#llx, or without PCID",
		    (unsigned long long)x86_read_cr3(cpu));
	}
	if ((changed & X86_CR4_LA57) != 0) {
		machine_violation(MACHINE_MISUSE, "CR4.LA57 changed in long mode");
	}
	c->cr4 = value;
	c->globals |= (value & X86_CR4_PGE) != 0;
	if ((changed & X86_CR4_PGE) != 0 || (changed & ~value & X86_CR4_PCIDE) != 0) {
		drop_all(cpu, any, &machine_counters.flush_all);
	}
}

uint64_t x86_read_cr0(unsigned cpu)
{
	return machine_now->cpus[cpu].cr0;
}

void x86_write_cr0(unsigned cpu, uint64_t value)
{
	MACHINE_LOCKED;
	machine_now->cpus[cpu].cr0 = value;
}

uint64_t x86_read_pat(unsigned cpu)
{
	return machine_now->cpus[cpu].pat;
}

void x86_write_pat(unsigned cpu, uint64_t value)
{
	MACHINE_LOCKED;
	machine_now->cpus[cpu].pat = value;
	machine_now->attributes = value;
}

void x86_invlpg(unsigned cpu, uint64_t va)
{
	MACHINE_LOCKED;
	uint32_t pcid = machine_now->cpus[cpu].asid;
	if (!is_x86("INVLPG")) {
		return;
	}
	struct tlb_flush flush = tlb_flush_begin(&machine_counters.flush_page);
	tlb_drop_address(&flush, cpu, va, leaf_of_id_or_global, &pcid);
	tlb_drop_id(&flush, cpu, pcid, table_of_id, &pcid);
	tlb_flush_end(&flush);
}

void x86_invpcid(unsigned cpu, uint64_t type, uint64_t id, uint64_t va)
{
	MACHINE_LOCKED;
	uint32_t pcid = (uint32_t)id;
	bool ids = (machine_now->cpus[cpu].cr4 & X86_CR4_PCIDE) != 0;
	if (!is_x86("INVPCID")) {
		return;
	}
	if (!has(MACHINE_INVPCID) || type > 3 || (type < 2 && !ids && id != 0) || id > 0xfff) {
		machine_violation(MACHINE_MISUSE, "INVPCID type %u of PCID %#llx: #UD or #GP", (unsigned)type,
		    (unsigned long long)id);
		return;
	}
	uint64_t *counters[4] = {&machine_counters.flush_page, &machine_counters.flush_space,
	    &machine_counters.flush_all, &machine_counters.flush_all};
	struct tlb_flush flush = tlb_flush_begin(counters[type]);
	switch (type) {
	case X86_INVPCID_ADDRESS:
		tlb_drop_address(&flush, cpu, va, of_id, &pcid);
		break;
	case X86_INVPCID_CONTEXT:
		tlb_drop_id(&flush, cpu, pcid, of_id, &pcid);
		break;
	case X86_INVPCID_ALL:
		tlb_drop_matching(&flush, cpu, any, NULL);
		break;
	default:
		tlb_drop_matching(&flush, cpu, non_global, NULL);
		break;
	}
	tlb_flush_end(&flush);
}
