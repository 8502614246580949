/* SPDX-License-Identifier: MIT */
/*
 * mmu_riscv.c - the MMU of RV64 in S-mode, from the privileged specification, chapters "Supervisor-Level
 * ISA" and "Svnapot", "Svpbmt",
 * "Svade", "Svadu".
 *
 * "Sv39", "Sv48", "Sv57": bit 0 V, 1 R, 2 W, 3 X, 4 U, 5 G, 6 A, 7 D, 9:8 software, 53:10 PPN, 60:54
 *     reserved, 62:61 PBMT, 63 N. R=W=X=0 points to the next level, and then A, D, U, PBMT and N must be
 *     zero. W without R is reserved; a large leaf is aligned.
 * "Virtual address translation process": what is malformed page-faults. A and D are set by hardware (Svadu)
 *     or fault (Svade). SUM is on and MXR off: S-mode's data accesses may use U pages, its fetches never.
 * "Supervisor memory-management fence instruction": SFENCE.VMA with an address orders leaf entries only,
 *     with an id no global mapping; a non-leaf change wants rs1=x0. Entries with V clear may be cached, so
 *     an upper one of these goes only with rs1=x0 too.
 * "Svnapot": 64 KiB runs, ppn[3:0] = 1000; the page's place comes from the address. A run may be cached whole
 *     or in pieces, so a fence must cover all 16 pages; accessed and dirty may appear in any entry. An update
 *     first marks all of them invalid and fences, unless what is inconsistent meanwhile is benign: see
 *     break_owed().
 */
#include "internal.h"

#define BIT(n) (UINT64_C(1) << (n))
#define V BIT(0)
#define R BIT(1)
#define W BIT(2)
#define X BIT(3)
#define U BIT(4)
#define G BIT(5)
#define A BIT(6)
#define D BIT(7)
#define N BIT(63)

static bool has(uint32_t feature)
{
	return (machine_now->config.features & feature) != 0;
}

static uint64_t address_of(uint64_t raw)
{
	return (raw >> 10 & low_mask(44)) << 12;
}

static struct mmu_entry bad(const char *why)
{
	return (struct mmu_entry){.kind = MMU_BAD, .bad = why};
}

static const char *malformed_table(uint64_t raw, unsigned level)
{
	if (level == 0) {
		return "a pointer at the last level";
	}
	if ((raw & (A | D | U)) != 0) {
		return "A, D or U in a pointer";
	}
	return (raw >> 61) != 0 ? "PBMT or N in a pointer" : NULL;
}

static const char *malformed_leaf(uint64_t raw, unsigned level)
{
	unsigned pbmt = (unsigned)(raw >> 61) & 3;
	if ((raw & W) != 0 && (raw & R) == 0) {
		return "W without R";
	}
	if (pbmt == 3 || (pbmt != 0 && !has(MACHINE_SVPBMT))) {
		return "a reserved PBMT";
	}
	if ((raw & N) != 0 && (!has(MACHINE_SVNAPOT) || level != 0 || (raw >> 10 & 15) != 8)) {
		return "a reserved N";
	}
	return (address_of(raw) & low_mask(level_shift(level))) != 0 ? "a misaligned leaf" : NULL;
}

static uint8_t type_of(uint64_t raw, uint64_t pa)
{
	static const uint8_t types[4] = {MACHINE_WB, MACHINE_WC, MACHINE_UC, MACHINE_UC};
	unsigned pbmt = (unsigned)(raw >> 61) & 3;
	return pbmt == 0 && !machine_is_ram(pa) ? (uint8_t)MACHINE_UC : types[pbmt];
}

static uint32_t allowed(uint64_t raw)
{
	uint32_t user = ((raw & R) != 0 ? (uint32_t)MACHINE_PERM_UR : 0) |
			((raw & W) != 0 ? (uint32_t)MACHINE_PERM_UW : 0) |
			((raw & X) != 0 ? (uint32_t)MACHINE_PERM_UX : 0);
	uint32_t supervisor = user << 3; /* the same three bits, one group up */
	return (raw & U) != 0 ? user | (supervisor & ~(uint32_t)MACHINE_PERM_SX) : supervisor;
}

static struct mmu_entry decode(uint64_t raw, unsigned level, unsigned index)
{
	struct mmu_entry e = {.kind = MMU_INVALID};
	bool is_table = (raw & (R | W | X)) == 0;
	if ((raw & V) == 0) {
		return e;
	}
	if ((raw >> 54 & 127) != 0) {
		return bad("reserved bits 60:54");
	}
	e.bad = is_table ? malformed_table(raw, level) : malformed_leaf(raw, level);
	if (e.bad != NULL) {
		return bad(e.bad);
	}
	e.pa = address_of(raw);
	if ((e.pa & ~low_mask(machine_now->config.pa_bits)) != 0) {
		e = bad("an address beyond physical memory");
		e.bad_size = true;
		return e;
	}
	e.global = (raw & G) != 0;
	if (is_table) {
		e.kind = MMU_TABLE;
		e.accessed = true;
		return e;
	}
	e.kind = MMU_LEAF;
	if ((raw & N) != 0) {
		e.run_shift = 4;
		e.pa = (e.pa & ~low_mask(16)) | (uint64_t)(index & 15) << 12;
	}
	e.accessed = (raw & A) != 0;
	e.dirty = (raw & D) != 0;
	e.type = type_of(raw, e.pa);
	e.allow = allowed(raw);
	return e;
}

static uint32_t finish(uint32_t allow)
{
	return allow;
}

static uint64_t mark(uint64_t raw, unsigned level, bool store)
{
	(void)level;
	return (raw & (R | W | X)) == 0 ? raw : raw | A | (store ? D : 0);
}

static bool canonical(uint64_t va)
{
	uint64_t upper = va >> (machine_now->va_bits - 1);
	return upper == 0 || upper == UINT64_MAX >> (machine_now->va_bits - 1);
}

static void fault(const struct mmu_fault *f, struct machine_result *out)
{
	static const uint8_t page_faults[] = {[MACHINE_READ] = 13, [MACHINE_WRITE] = 15, [MACHINE_EXEC] = 12};
	static const uint8_t access_faults[] = {[MACHINE_READ] = 5, [MACHINE_WRITE] = 7, [MACHINE_EXEC] = 1};
	bool access = f->why == WHY_SIZE || f->why == WHY_BUS;
	out->cause = access ? access_faults[f->kind] : page_faults[f->kind];
	out->detail = f->user ? 0 : BIT(8); /* sstatus.SPP */
}

/*
 * Svnapot: a run that comes to lead elsewhere, or to be of another memory type, is invalid in between.
 * Rights, accessed and dirty are benign: the old or the new ones hold until the fence. What is no run, before
 * or after, may change as it likes.
 */
static bool break_owed(uint64_t from, uint64_t to, unsigned level)
{
	if (level != 0 || ((from | to) & N) == 0) {
		return false;
	}
	return address_of(from) >> 16 != address_of(to) >> 16 || ((from ^ to) & UINT64_C(3) << 61) != 0;
}

static uint64_t member(uint64_t raw, unsigned level, int distance)
{
	(void)level;
	(void)distance;
	return raw; /* all are the same word */
}

const struct mmu mmu_riscv = {
    .name = "RISC-V",
    .decode = decode,
    .finish = finish,
    .mark = mark,
    .canonical = canonical,
    .fault = fault,
    .break_owed = break_owed,
    .member = member,
};

static bool is_riscv(const char *what)
{
	if (machine_now->config.isa != MACHINE_RISCV) {
		machine_violation(MACHINE_MISUSE, "%s on another ISA", what);
		return false;
	}
	return true;
}

void riscv_reset(unsigned cpu)
{
	machine_now->cpus[cpu].satp = 0;
	machine_now->marks = has(MACHINE_HW_MARKS);
}

uint64_t riscv_read_satp(unsigned cpu)
{
	return machine_now->cpus[cpu].satp;
}

void riscv_write_satp(unsigned cpu, uint64_t value)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[cpu];
	uint64_t ids = low_mask(machine_now->config.asid_bits) << 44;
	uint64_t field = value & low_mask(60) & ~low_mask(44);
	if (!is_riscv("CSRW satp") || value >> 60 != machine_now->config.levels + 5) {
		return; /* 8 is Sv39 */
	}
	if ((field & ~ids) != 0 && field != (low_mask(60) & ~low_mask(44))) { /* all ones: probing */
		machine_violation(MACHINE_BAD_ID, "satp %#llx on a hart with %u bits of id",
		    (unsigned long long)value, machine_now->config.asid_bits);
	}
	machine_counters.root_writes++;
	c->satp = (value & ~field) | (field & ids);
	c->root = (value & low_mask(44)) << 12;
	c->asid = (uint32_t)((field & ids) >> 44);
	c->id_unchecked = true; /* the fence comes after satp: judged at the next translation */
}

struct operand {
	bool leaves_only, any_id;
	uint32_t asid;
};

static bool matches(const struct tlb_entry *e, const void *argument)
{
	const struct operand *o = argument;
	if (o->leaves_only && (e->kind == MMU_TABLE || (e->kind == MMU_INVALID && e->level != 0))) {
		return false;
	}
	return o->any_id || (!e->global && e->asid == o->asid);
}

void riscv_sfence_vma(unsigned cpu, uint64_t rs1, uint64_t rs2)
{
	MACHINE_LOCKED;
	struct operand operand = {rs1 != RISCV_ANY, rs2 == RISCV_ANY, (uint32_t)rs2};
	uint64_t *counter = !operand.leaves_only ? (operand.any_id ? &machine_counters.flush_all
								   : &machine_counters.flush_space)
			    : operand.any_id	 ? &machine_counters.flush_global
						 : &machine_counters.flush_page;
	if (!is_riscv("SFENCE.VMA")) {
		return;
	}
	struct tlb_flush flush = tlb_flush_begin(counter);
	if (operand.leaves_only) {
		tlb_drop_address(&flush, cpu, rs1, matches, &operand);
	} else if (operand.any_id) {
		tlb_drop_matching(&flush, cpu, matches, &operand);
	} else {
		tlb_drop_id(&flush, cpu, operand.asid, matches, &operand);
	}
	tlb_flush_end(&flush);
}

void riscv_sfence_w_inval(unsigned cpu)
{
	MACHINE_LOCKED;
	machine_now->cpus[cpu].in_inval = true;
}

void riscv_sinval_vma(unsigned cpu, uint64_t rs1, uint64_t rs2)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[cpu];
	if (!has(MACHINE_SVINVAL) || !c->in_inval) {
		machine_violation(MACHINE_MISUSE, "SINVAL.VMA without Svinval, or not after SFENCE.W.INVAL");
	}
	if (c->later_count == LATER_MAX) {
		riscv_sfence_vma(cpu, rs1, rs2);
		return;
	}
	c->later[c->later_count++] = (struct later){.a = rs1, .b = rs2};
}

void riscv_sfence_inval_ir(unsigned cpu)
{
	MACHINE_LOCKED;
	struct machine_cpu *c = &machine_now->cpus[cpu];
	for (unsigned i = 0; i < c->later_count; i++) {
		riscv_sfence_vma(cpu, c->later[i].a, c->later[i].b);
	}
	c->later_count = 0;
	c->in_inval = false;
}
