/* SPDX-License-Identifier: MIT */
/*
 * trap.c - names and signals of exceptions, frames, threads, and what programs are told about the CPU.
 */
#include <vmem/aspace.h>

#include "cpu.h"
#include "frame.h"

_Static_assert(offsetof(struct port_frame, sp) == FRAME_SP, "trap.S");
_Static_assert(offsetof(struct port_frame, pc) == FRAME_PC, "trap.S");
_Static_assert(offsetof(struct port_frame, pstate) == FRAME_PSTATE, "trap.S");
_Static_assert(sizeof(struct port_frame) == FRAME_SIZE && FRAME_SIZE % 16 == 0, "trap.S");
_Static_assert(offsetof(struct port_thread, x29) == THREAD_X29, "trap.S");
_Static_assert(offsetof(struct port_thread, x30) == THREAD_X30, "trap.S");
_Static_assert(offsetof(struct port_thread, sp) == THREAD_SP, "trap.S");
_Static_assert(offsetof(struct port_thread, stack_top) == THREAD_STACK_TOP, "trap.S");
_Static_assert(offsetof(struct port_thread, user_sp) == THREAD_USER_SP, "trap.S");
_Static_assert(offsetof(struct port_thread, user_pc) == THREAD_USER_PC, "trap.S");
_Static_assert(offsetof(struct port_thread, user_pstate) == THREAD_USER_PSTATE, "trap.S");
_Static_assert(offsetof(struct port_thread, user_tls) == THREAD_USER_TLS, "trap.S");
_Static_assert(offsetof(struct port_thread, fp) == THREAD_FP, "trap.S");
_Static_assert(offsetof(struct port_cpu, trap_stack) == CPU_TRAP_STACK, "trap.S");
_Static_assert(offsetof(struct port_cpu, stack) == CPU_STACK, "boot.S");
_Static_assert(offsetof(struct port_cpu, attention) == CPU_ATTENTION, "trap.S");
_Static_assert(offsetof(struct port_cpu, ttbr1) == CPU_TTBR1, "boot.S");
_Static_assert(offsetof(struct port_cpu, tcr) == CPU_TCR && CPU_TCR == CPU_TTBR1 + 8, "boot.S");

struct cause {
	uint8_t class; /* ESR_EL1.EC */
	uint8_t signal, code; /* and its si_code */
	const char *name;
};

/* DDI 0487, ESR_EL1, "EC, bits [31:26]". */
static const struct cause causes[] = {
	{0x00, SIGNAL_ILL, 1, "undefined instruction"},
	{0x07, SIGNAL_ILL, 1, "FP access trapped"},
	{0x0d, SIGNAL_ILL, 1, "branch target exception"},
	{0x0e, SIGNAL_ILL, 1, "illegal execution state"},
	{0x15, SIGNAL_ILL, 1, "SVC"},
	{0x18, SIGNAL_ILL, 1, "system instruction trapped"},
	{0x19, SIGNAL_ILL, 1, "SVE instruction"},
	{0x1c, SIGNAL_ILL, 2, "pointer authentication failure"},
	{0x1d, SIGNAL_ILL, 1, "SME instruction"},
	{0x21, SIGNAL_SEGV, 1, "instruction abort"},
	{0x22, SIGNAL_BUS, 1, "misaligned PC"},
	{0x25, SIGNAL_SEGV, 1, "data abort"},
	{0x26, SIGNAL_BUS, 1, "misaligned SP"},
	{0x2c, SIGNAL_FPE, 14, "floating-point exception"},
	{0x2f, SIGNAL_BUS, 1, "SError"},
	{0x30, SIGNAL_TRAP, 4, "breakpoint"},
	{0x32, SIGNAL_TRAP, 2, "single step"},
	{0x34, SIGNAL_TRAP, 4, "watchpoint"},
	{0x3c, SIGNAL_TRAP, 1, "BRK instruction"},
};

/* An abort, from below: a fault of translation, of alignment, or of the memory system. */
static void abort_cause(uint64_t syndrome, uint64_t address, struct port_trap *out)
{
	const unsigned status = (unsigned)(syndrome & 63);

	out->name = (syndrome >> 26 & 63) == 0x20 ? "instruction abort" : "data abort";
	out->signal = SIGNAL_SEGV;
	if (status == 0x21) {
		out->name = "misaligned access";
		out->signal = SIGNAL_BUS;
		out->code = SIGNAL_BUS_ADRALN;
		out->address = address;
	} else if (status >= 0x10 && status < 0x20) {
		out->name = "external abort";
		out->signal = SIGNAL_BUS;
		out->code = SIGNAL_BUS_ADRERR;
	}
}

/* What the frame of a handler tells. A program learns of the kernel's half that nothing is there, and no
 * more: translation fault, level 0. */
static void note_exception(uint64_t syndrome, uint64_t address, bool is_abort)
{
	struct port_thread *thread = kernel_port_thread();

	thread->fault_address = is_abort ? address : 0;
	thread->fault_syndrome = syndrome;
	if (is_abort && address >= vmem_aspace_user_size()) {
		thread->fault_syndrome = (syndrome & UINT64_C(0xfe000140)) | 4;
	}
}

void trap_report(struct port_frame *frame, uint64_t syndrome, uint64_t address)
{
	const unsigned class = (unsigned)(syndrome >> 26 & 63);
	const bool is_abort = class == 0x20 || class == 0x24;
	struct port_trap trap = {SIGNAL_ILL, 1, frame->pc, "unknown exception"};

	if (is_abort) {
		abort_cause(syndrome, address, &trap);
	}
	for (unsigned i = 0; !is_abort && i < sizeof(causes) / sizeof(causes[0]); i++) {
		if (causes[i].class == class) {
			trap.name = causes[i].name;
			trap.signal = causes[i].signal;
			trap.code = causes[i].code;
		}
	}
	if (port_frame_is_user(frame)) {
		note_exception(syndrome, address, is_abort);
	} else {
		kernel_log("kernel: %s, syndrome %lx, address %lx\n", trap.name, (unsigned long)syndrome,
		    (unsigned long)address);
	}
	kernel_trap(frame, &trap);
}

void port_thread_init(
    struct port_thread *thread, void *stack_top, void *fp_area, void (*start)(void *), void *argument)
{
	*thread = (struct port_thread){
		.x19_x28 = {(uintptr_t)start, (uintptr_t)argument},
		.x30 = (uintptr_t)thread_begin,
		.sp = (uintptr_t)stack_top,
		.stack_top = (uintptr_t)stack_top,
		.fp = fp_area,
	};
}

/* The program's other registers still are where the system call left them (trap.S). */
void port_thread_fork(struct port_thread *thread, void *stack_top, void *fp_area, const uint64_t *argument,
    uint64_t sp, const uint64_t *tls)
{
	struct port_frame *frame = (struct port_frame *)stack_top - 1;

	*frame = *(const struct port_frame *)(const void *)argument;
	fp_save(fp_area);
	*thread = (struct port_thread){
		.x30 = (uintptr_t)fork_begin,
		.sp = (uintptr_t)frame,
		.stack_top = (uintptr_t)stack_top,
		.user_sp = sp != 0 ? sp : READ_REGISTER("sp_el0"),
		.user_pc = READ_REGISTER("elr_el1"),
		.user_pstate = READ_REGISTER("spsr_el1"),
		.user_tls = tls != NULL ? *tls : READ_REGISTER("tpidr_el0"),
		.fp = fp_area,
	};
}

void port_user_enter(uint64_t pc, uint64_t sp)
{
	user_enter(pc, sp, kernel_port_thread()->stack_top);
}

uint64_t port_frame_pc(const struct port_frame *frame)
{
	return frame->pc;
}

uint64_t port_frame_sp(const struct port_frame *frame)
{
	return frame->sp;
}

bool port_frame_is_user(const struct port_frame *frame)
{
	return (frame->pstate & 15) == 0;
}

bool port_frame_register(
    const struct port_frame *frame, unsigned n, const char **out_name, uint64_t *out_value)
{
	static const char *const names[] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
	    "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24",
	    "x25", "x26", "x27", "x28", "x29", "x30", "sp", "pc", "pstate"};

	if (n >= sizeof(names) / sizeof(names[0])) {
		return false;
	}
	*out_name = names[n];
	*out_value = n < 31 ? frame->x[n] : n == 31 ? frame->sp : n == 32 ? frame->pc : frame->pstate;
	return true;
}

/* BL, with a displacement of 26 bits in words, or BLR of any register. */
bool port_is_return_address(uint64_t address, uint64_t *out_target)
{
	*out_target = 0;
	if ((address & 3) != 0) {
		return false;
	}
	uint32_t before = *(const uint32_t *)(uintptr_t)(address - 4);

	if (before >> 26 == 0x25) {
		int64_t displacement = (int64_t)((uint64_t)before << 38) >> 36;

		*out_target = address - 4 + (uint64_t)displacement;
		return true;
	}
	return (before & 0xfffffc1f) == 0xd63f0000;
}

/* One feature bit of AT_HWCAP: an identification field of at least `least`. Linux,
 * Documentation/arm64/elf_hwcaps.rst. */
struct capability {
	uint8_t bit, shift, least;
};

static uint64_t capabilities(const struct capability *list, unsigned count, uint64_t id)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < count; i++) {
		/* 15 says "not implemented" in the fields of FP and SIMD. */
		unsigned field = id_field(id, list[i].shift);
		bits |= field >= list[i].least && field != 15 ? UINT64_C(1) << list[i].bit : 0;
	}
	return bits;
}

uint64_t port_hwcap(unsigned which)
{
	static const struct capability isar0[] = {
		{3, 4, 1},
		{4, 4, 2},
		{5, 8, 1},
		{6, 12, 1},
		{21, 12, 2},
		{7, 16, 1},
		{8, 20, 2},
		{12, 28, 1},
		{17, 32, 1},
		{18, 36, 1},
		{19, 40, 1},
		{20, 44, 1},
		{23, 48, 1},
		{27, 52, 1},
	};
	static const struct capability isar1[] = {
		{16, 0, 1}, {13, 12, 1}, {14, 16, 1}, {15, 20, 1}, {26, 20, 2}, {29, 36, 1}};
	static const struct capability pfr0[] = {
		{0, 16, 0}, {9, 16, 1}, {1, 20, 0}, {10, 20, 1}, {24, 48, 1}};

	if (which != 1) {
		return 0;
	}
	return capabilities(isar0, sizeof(isar0) / sizeof(isar0[0]), READ_REGISTER("id_aa64isar0_el1")) |
	       capabilities(isar1, sizeof(isar1) / sizeof(isar1[0]), READ_REGISTER("id_aa64isar1_el1")) |
	       capabilities(pfr0, sizeof(pfr0) / sizeof(pfr0[0]), READ_REGISTER("id_aa64pfr0_el1"));
}
