/* SPDX-License-Identifier: MIT */
/*
 * mmu_aarch64.c - the stage 1 EL1&0 MMU of AArch64, 4 KiB granule, from the Arm ARM (DDI 0487), chapter D8
 * "The AArch64 Virtual Memory System Architecture". Our level 0 is its level 3; our level 4, with LPA2, its
 * level -1.
 *
 * "Translation table descriptor formats": bit 0 valid, 1 table or page (0: block), 4:2 AttrIndx, 6 AP[1]
 *     (EL0), 7 AP[2] (read-only), 9:8 SH, or OA[51:50] with TCR.DS, 10 AF, 11 nG, 16 nT, 50 GP, 51 DBM, 52
 *     Contiguous, 53 PXN, 54 UXN; of a table 59 PXNTable, 60 UXNTable, 62:61 APTable. SCTLR.WXN and
 *     TCR.HPDn are zero, so the hierarchical bits count.
 * "Memory access control": what EL0 may write, EL1 never executes. PAN is off: EL1's data accesses may use
 *     user pages.
 * "Hardware management of the Access flag and dirty state": DBM with AP[2] is writable and clean, and
 *     hardware clears AP[2].
 * "TLB maintenance": an entry that faults for translation or Access flag is not cached. "Using
 *     break-before-make when updating translation table entries": see break_owed(). A TLBI by address and
 *     ASID reaches global leaves, and table entries of the ASID.
 * "The Contiguous bit": 16 entries may be cached as one, or in pieces; accessed and dirty may appear in any
 *     of them. All must say the same of adjacent memory: "Misprogramming of the Contiguous bit".
 */
#include "internal.h"

#define BIT(n) (UINT64_C(1) << (n))
#define VALID BIT(0)
#define TABLE BIT(1)
#define AP_EL0 BIT(6)
#define AP_RO BIT(7)
#define AF BIT(10)
#define NG BIT(11)
#define DBM BIT(51)
#define CONTIGUOUS BIT(52)
#define PXN BIT(53)
#define UXN BIT(54)
#define ATTRIBUTES UINT64_C(0x1c)
#define SHAREABILITY UINT64_C(0x300)

static bool has(uint32_t feature)
{
	return (machine_now->config.features & feature) != 0;
}

static uint64_t address_of(uint64_t raw)
{
	if (has(MACHINE_LPA2)) {
		return (raw & (low_mask(50) & ~low_mask(12))) | (raw >> 8 & 3) << 50;
	}
	return raw & (low_mask(48) & ~low_mask(12));
}

/* "MAIR_EL1": the attribute byte; false if it is a reserved encoding. */
static bool type_of(uint64_t raw, uint8_t *out)
{
	unsigned byte = (unsigned)(machine_now->attributes >> (8 * (raw >> 2 & 7))) & 0xff;
	unsigned outer = byte >> 4;
	unsigned inner = byte & 15;
	if (outer == 0) {
		*out = MACHINE_UC;
		return (inner & 3) == 0;
	}
	*out = outer == 4 ? MACHINE_WC : (outer & 12) == 12 || (outer & 12) == 4 ? MACHINE_WB : MACHINE_WT;
	return inner != 0;
}

/* Bits that hardware ignores, or may, and that are zero in a well-formed descriptor. */
static const char *res0(uint64_t raw, unsigned level, bool is_table)
{
	if (!has(MACHINE_LPA2) && (raw & (BIT(48) | BIT(49))) != 0) {
		return "RES0 bits 49:48";
	}
	if (is_table) {
		return NULL;
	}
	if ((raw & BIT(50)) != 0) {
		return "GP without FEAT_BTI";
	}
	if (level != 0 && (raw & (low_mask(level_shift(level)) & ~low_mask(12))) != 0) {
		return "RES0 bits below a block's address";
	}
	return NULL;
}

static const char *wrong_type(uint64_t raw, const struct mmu_entry *e)
{
	unsigned share = (unsigned)(raw & SHAREABILITY) >> 8;
	if (has(MACHINE_LPA2)) {
		return NULL; /* the field is TCR's */
	}
	if (share == 1) {
		return "reserved shareability";
	}
	return e->type != MACHINE_UC && share != 3 ? "normal memory that is not inner shareable" : NULL;
}

static struct mmu_entry bad(const char *why)
{
	return (struct mmu_entry){.kind = MMU_BAD, .bad = why};
}

static uint32_t denied_by_table(uint64_t raw)
{
	return ((raw & BIT(61)) != 0 ? (uint32_t)(MACHINE_PERM_UR | MACHINE_PERM_UW) : 0) |
	       ((raw & BIT(62)) != 0 ? PERM_WRITE : 0) |
	       ((raw & BIT(60)) != 0 ? (uint32_t)MACHINE_PERM_UX : 0) |
	       ((raw & BIT(59)) != 0 ? (uint32_t)MACHINE_PERM_SX : 0);
}

static uint32_t allowed_by_leaf(uint64_t raw)
{
	bool writable = (raw & AP_RO) == 0 || ((raw & DBM) != 0 && machine_now->marks);
	uint32_t allow = MACHINE_PERM_SR | (writable ? (uint32_t)MACHINE_PERM_SW : 0);
	if ((raw & AP_EL0) != 0) {
		allow |= MACHINE_PERM_UR | (writable ? (uint32_t)MACHINE_PERM_UW : 0);
	}
	allow |= (raw & UXN) == 0 ? (uint32_t)MACHINE_PERM_UX : 0;
	return allow | ((raw & PXN) == 0 ? (uint32_t)MACHINE_PERM_SX : 0);
}

static struct mmu_entry decode(uint64_t raw, unsigned level, unsigned index)
{
	unsigned top_block = has(MACHINE_LPA2) ? 3 : 2;
	struct mmu_entry e = {.kind = MMU_INVALID};
	bool is_table = level != 0 && (raw & TABLE) != 0;
	(void)index;
	if ((raw & VALID) == 0) {
		return e;
	}
	if (level == 0 && (raw & TABLE) == 0) {
		return bad("the reserved descriptor type at the last level");
	}
	if (!is_table && level > top_block) {
		return bad("a block where none can be");
	}
	e.pa = address_of(raw);
	if ((e.pa & ~low_mask(machine_now->config.pa_bits)) != 0) {
		e = bad("an address beyond the physical address size");
		e.bad_size = true;
		return e;
	}
	e.bad = res0(raw, level, is_table);
	if (is_table) {
		e.kind = MMU_TABLE;
		e.accessed = true;
		e.deny = denied_by_table(raw);
		return e;
	}
	e.kind = MMU_LEAF;
	e.pa &= ~low_mask(level_shift(level));
	e.global = (raw & NG) == 0;
	e.accessed = (raw & AF) != 0;
	e.dirty = (raw & AP_RO) == 0;
	e.run_shift = (raw & CONTIGUOUS) != 0 && level <= 2 ? 4 : 0;
	e.allow = allowed_by_leaf(raw);
	if (!type_of(raw, &e.type)) {
		e.bad = "a reserved attribute in MAIR";
	} else if (e.bad == NULL) {
		e.bad = wrong_type(raw, &e);
	}
	return e;
}

static uint32_t finish(uint32_t allow)
{
	return (allow & MACHINE_PERM_UW) != 0 ? allow & ~(uint32_t)MACHINE_PERM_SX : allow;
}

static uint64_t mark(uint64_t raw, unsigned level, bool store)
{
	if (level != 0 && (raw & TABLE) != 0) {
		return raw;
	}
	raw |= AF;
	return store && (raw & DBM) != 0 ? raw & ~AP_RO : raw;
}

static bool canonical(uint64_t va)
{
	uint64_t upper = va >> machine_now->va_bits;
	return upper == 0 || upper == UINT64_MAX >> machine_now->va_bits;
}

/* "ESR_EL1": EC, IL and the fault status code. */
static void fault(const struct mmu_fault *f, struct machine_result *out)
{
	static const uint8_t codes[] = {
	    [WHY_ADDRESS] = 4,
	    [WHY_INVALID] = 4,
	    [WHY_BAD] = 4,
	    [WHY_SIZE] = 0,
	    [WHY_ACCESSED] = 8,
	    [WHY_PERMISSION] = 12,
	    [WHY_BUS] = 20,
	};
	bool fetch = f->kind == MACHINE_EXEC;
	uint64_t class = fetch ? (f->user ? 0x20 : 0x21) : (f->user ? 0x24 : 0x25);
	uint64_t code = codes[f->why] | (f->why == WHY_ADDRESS ? 0u : 3 - f->level);
	if (f->level == 4 && f->why != WHY_ADDRESS) { /* level -1 has codes of its own */
		code = f->why == WHY_SIZE ? 0x29 : f->why == WHY_BUS ? 0x13 : 0x2b;
	}
	out->cause = class << 26 | BIT(25) | (f->kind == MACHINE_WRITE ? BIT(6) : 0) | code;
	out->detail = f->user;
}

static bool same_content(uint64_t a, uint64_t b, uint64_t size)
{
	const volatile uint64_t *x, *y;
	if (!machine_is_ram(a) || !machine_is_ram(b)) {
		return false;
	}
	x = machine_ram(a);
	y = machine_ram(b);
	for (uint64_t i = 0; i < size / sizeof(*x); i++) {
		if (x[i] != y[i]) {
			return false;
		}
	}
	return true;
}

/*
 * A break is owed for another size, memory type, shareability, nG or Contiguous bit; and for another output
 * address, unless neither entry can be written through and both lead to the same content.
 */
static bool break_owed(uint64_t from, uint64_t to, unsigned level)
{
	bool was_table = level != 0 && (from & TABLE) != 0;
	bool is_table = level != 0 && (to & TABLE) != 0;
	uint64_t changed = from ^ to;
	if (was_table != is_table) {
		return !has(MACHINE_LIVE_SPLIT);
	}
	bool moved = address_of(from) != address_of(to);
	if (is_table) {
		return moved;
	}
	if ((changed & (ATTRIBUTES | NG)) != 0 || (!has(MACHINE_LPA2) && (changed & SHAREABILITY) != 0)) {
		return true;
	}
	if ((changed & CONTIGUOUS) != 0 && !has(MACHINE_LIVE_SPLIT)) {
		return true;
	}
	bool writable = ((allowed_by_leaf(from) | allowed_by_leaf(to)) & PERM_WRITE) != 0;
	return moved && (writable || !same_content(address_of(from), address_of(to),
					 UINT64_C(1) << level_shift(level)));
}

static uint64_t member(uint64_t raw, unsigned level, int distance)
{
	return raw + ((uint64_t)(int64_t)distance << level_shift(level));
}

const struct mmu mmu_aarch64 = {
    .name = "AArch64",
    .split_roots = true,
    .decode = decode,
    .finish = finish,
    .mark = mark,
    .canonical = canonical,
    .fault = fault,
    .break_owed = break_owed,
    .conflicts = true,
    .member = member,
};

/* "TLB maintenance instructions". */

static bool is_arm(const char *what)
{
	if (machine_now->config.isa != MACHINE_AARCH64) {
		machine_violation(MACHINE_MISUSE, "%s on another ISA", what);
		return false;
	}
	return true;
}

/* "TCR_EL1" as a boot leaves it: the upper half alone in use, ids of 8 bits, no hardware updates. */
void arm_reset(unsigned cpu)
{
	struct machine_cpu *c = &machine_now->cpus[cpu];
	uint64_t size = 64 - machine_now->va_bits;
	uint64_t ips = machine_now->config.pa_bits == 52 ? 6 : 5;
	c->tcr = size | size << 16 | UINT64_C(2) << 30 | ips << 32 | ARM_TCR_EPD0 |
		 (has(MACHINE_LPA2) ? ARM_TCR_DS : 0);
	c->tcr |= UINT64_C(0x3500) | UINT64_C(0x3500) << 16; /* inner shareable, write-back walks */
	c->mair = UINT64_C(0xbb4404ff);
	machine_now->attributes = c->mair;
}

uint64_t arm_read_tcr(unsigned cpu)
{
	return machine_now->cpus[cpu].tcr;
}

static void load_root(unsigned cpu)
{
	struct machine_cpu *c = &machine_now->cpus[cpu];
	uint64_t base = c->ttbr0 & low_mask(48) & ~UINT64_C(1);
	if (has(MACHINE_LPA2)) {
		base = (base & ~low_mask(6)) | (c->ttbr0 >> 2 & 15) << 48;
	}
	c->root = (c->tcr & ARM_TCR_EPD0) != 0 ? MACHINE_NO_ROOT : base;
	c->asid = (uint32_t)(c->ttbr0 >> 48);
	if (c->asid > 255 && (c->tcr & ARM_TCR_AS) == 0) {
		machine_violation(MACHINE_BAD_ID, "id %u on a CPU without TCR.AS", c->asid);
	}
	c->id_unchecked = true;
	check_id(cpu);
}

void arm_write_tcr(unsigned cpu, uint64_t value)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[cpu];
	uint64_t free = ARM_TCR_EPD0 | ARM_TCR_AS | ARM_TCR_HA | ARM_TCR_HD;
	if (!is_arm("MSR TCR_EL1")) {
		return;
	}
	if (((c->tcr ^ value) & ~free) != 0 ||
	    ((value & ARM_TCR_AS) != 0 && machine_now->config.asid_bits != 16) ||
	    ((value & (ARM_TCR_HA | ARM_TCR_HD)) != 0 && !has(MACHINE_HW_MARKS))) {
		machine_violation(MACHINE_MISUSE, "TCR_EL1 becomes %#llx, was %#llx",
		    (unsigned long long)value, (unsigned long long)c->tcr);
	}
	c->tcr = value;
	machine_now->marks = (value & ARM_TCR_HD) != 0;
	load_root(cpu);
}

uint64_t arm_read_mair(unsigned cpu)
{
	return machine_now->cpus[cpu].mair;
}

void arm_write_mair(unsigned cpu, uint64_t value)
{
	MACHINE_LOCKED;
	machine_now->cpus[cpu].mair = value;
	machine_now->attributes = value;
}

uint64_t arm_read_ttbr1(unsigned cpu)
{
	uint64_t root = machine_now->kernel_root;
	(void)cpu;
	return (root & low_mask(48)) | (root >> 48 & 15) << 2;
}

void arm_write_ttbr0(unsigned cpu, uint64_t value)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[cpu];
	if (!is_arm("MSR TTBR0_EL1")) {
		return;
	}
	if ((value >> 48) != 0 &&
	    (c->tcr != machine_now->cpus[0].tcr || c->mair != machine_now->cpus[0].mair)) {
		machine_violation(MACHINE_MISUSE, "CPU %u is not set up like CPU 0", cpu);
	}
	machine_counters.root_writes++;
	c->ttbr0 = value;
	load_root(cpu);
}

struct operand {
	enum arm_tlbi op;
	uint32_t asid;
};

static bool matches(const struct tlb_entry *e, const void *argument)
{
	const struct operand *o = argument;
	bool is_leaf = e->kind == MMU_LEAF;
	switch (o->op) {
	case ARM_TLBI_VAE1:
		return (is_leaf && e->global) || e->asid == o->asid;
	case ARM_TLBI_VALE1:
		return is_leaf && (e->global || e->asid == o->asid);
	case ARM_TLBI_VAAE1:
		return true;
	case ARM_TLBI_VAALE1:
		return is_leaf;
	case ARM_TLBI_ASIDE1:
		return !e->global && e->asid == o->asid;
	case ARM_TLBI_VMALLE1:
		break;
	}
	return true;
}

static void invalidate(unsigned cpu, const struct later *later)
{
	uint64_t *counters[] = {
	    [ARM_TLBI_VAE1] = &machine_counters.flush_page_tables,
	    [ARM_TLBI_VALE1] = &machine_counters.flush_page,
	    [ARM_TLBI_VAAE1] = &machine_counters.flush_global,
	    [ARM_TLBI_VAALE1] = &machine_counters.flush_global,
	    [ARM_TLBI_ASIDE1] = &machine_counters.flush_space,
	    [ARM_TLBI_VMALLE1] = &machine_counters.flush_all,
	};
	struct operand operand = {(enum arm_tlbi)later->op, (uint32_t)(later->a >> 48)};
	uint64_t va = (later->a & low_mask(44)) << 12;
	struct tlb_flush flush = tlb_flush_begin(counters[later->op]);
	va |= (va >> 55 & 1) != 0 ? ~low_mask(56) : 0;
	for (unsigned i = 0; i < machine_now->config.cpus; i++) {
		if (!later->shared && i != cpu) {
			continue;
		}
		if (operand.op == ARM_TLBI_ASIDE1) {
			tlb_drop_id(&flush, i, operand.asid, matches, &operand);
		} else if (operand.op == ARM_TLBI_VMALLE1) {
			tlb_drop_matching(&flush, i, matches, &operand);
		} else {
			tlb_drop_address(&flush, i, va, matches, &operand);
		}
	}
	tlb_flush_end(&flush);
}

void arm_tlbi(unsigned cpu, enum arm_tlbi op, bool inner_shareable, uint64_t operand)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[cpu];
	struct later later = {.a = operand, .op = (uint8_t)op, .shared = inner_shareable};
	if (!is_arm("TLBI")) {
		return;
	}
	if (c->later_count == LATER_MAX) {
		invalidate(cpu, &later);
		return;
	}
	c->later[c->later_count++] = later;
}

void arm_dsb(unsigned cpu, bool inner_shareable)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[cpu];
	unsigned left = 0;
	for (unsigned i = 0; i < c->later_count; i++) {
		if (c->later[i].shared && !inner_shareable) {
			c->later[left++] = c->later[i];
		} else {
			memory_after_all();
			invalidate(cpu, &c->later[i]);
		}
	}
	c->later_count = left;
}
