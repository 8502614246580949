/* SPDX-License-Identifier: MIT */
/*
 * traps.c - descriptor tables, and what to do with exceptions that are not page faults.
 *
 * NMI, debug, double fault and machine check have a stack of their own each: a double fault is mostly an
 * overflow of the kernel's stack, and a single-step trap can be taken before SYSCALL's entry has switched
 * stacks.
 */
#include <vmem/kernel.h>

#include "kernel.h"

#include "cpu.h"

struct descriptor_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));

extern const uint64_t traps_entries[VECTOR_EXCEPTIONS];
extern char entry_page_fault[], entry_timer[], entry_call[], entry_rest[], entry_spurious[];
extern char entry_syscall[], entry_syscall_end[];
void traps_exception(struct port_frame *frame);
void switch_stacks(uint64_t *save, uint64_t load);
void switch_begin(void);
void switch_fork(void);

_Static_assert(offsetof(struct port_cpu, self) == 0, "port_cpu()");
_Static_assert(offsetof(struct port_cpu, stack_top) == 8, "traps.S");
_Static_assert(offsetof(struct port_cpu, user_sp) == 16, "traps.S");
_Static_assert(offsetof(struct port_cpu, attention) == 36, "traps.S");

/* A CPU's own: the TSS says where its stacks are, and the GDT where its TSS is. */
static struct tables {
	struct tss tss;
	uint64_t gdt[8];
	uint8_t ist_stacks[4][4096] __attribute__((aligned(16)));
} cpu_tables[KERNEL_CPU_MAX];
static struct gate idt[256];

static void set_gate(unsigned vector, uint64_t entry, unsigned ist, unsigned ring)
{
	idt[vector] = (struct gate){
	    .offset_low = (uint16_t)entry,
	    .selector = SELECT_CODE,
	    .ist = (uint8_t)ist,
	    .type = (uint8_t)(0x8e | ring << 5), /* present, interrupt gate */
	    .offset_middle = (uint16_t)(entry >> 16),
	    .offset_high = (uint32_t)(entry >> 32),
	};
}

static void load_tables(struct tables *tables)
{
	struct descriptor_pointer p;

	p.limit = sizeof(tables->gdt) - 1;
	p.base = (uint64_t)(uintptr_t)tables->gdt;
	__asm__ volatile("lgdt %0" : : "m"(p));
	p.limit = sizeof(idt) - 1;
	p.base = (uint64_t)(uintptr_t)idt;
	__asm__ volatile("lidt %0" : : "m"(p));
	__asm__ volatile("ltr %w0" : : "r"(SELECT_TSS));
	/* A far return reloads CS; the data segments stay null. */
	__asm__ volatile("pushq %0\n\tleaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tlretq\n1:"
			 :
			 : "i"(SELECT_CODE)
			 : "rax", "memory");
}

static void fill_tables(struct tables *tables)
{
	const uint64_t at = (uint64_t)(uintptr_t)&tables->tss;
	uint64_t *gdt = tables->gdt;

	gdt[1] = UINT64_C(0x00af9b000000ffff); /* kernel code */
	gdt[2] = UINT64_C(0x00cf93000000ffff); /* kernel data */
	gdt[4] =
	    UINT64_C(0x00cff3000000ffff); /* user data; 3 would be 32-bit user code, which does not exist */
	gdt[5] = UINT64_C(0x00affb000000ffff); /* user code */
	gdt[6] = UINT64_C(0x0000890000000000) | (sizeof(struct tss) - 1) | (at & 0xffffff) << 16 |
		 (at >> 24 & 0xff) << 56;
	gdt[7] = at >> 32;
	tables->tss.io_map = sizeof(struct tss);
	for (unsigned i = 0; i < 4; i++) {
		tables->tss.ist[i] =
		    (uint64_t)(uintptr_t)(tables->ist_stacks[i] + sizeof(tables->ist_stacks[i]));
	}
}

static void fill_idt(void)
{
	for (unsigned i = 0; i < VECTOR_EXCEPTIONS; i++) {
		set_gate(i, traps_entries[i], 0, 0);
	}
	set_gate(VECTOR_DEBUG, traps_entries[VECTOR_DEBUG], 1, 0);
	set_gate(VECTOR_NMI, traps_entries[VECTOR_NMI], 2, 0);
	set_gate(VECTOR_DOUBLE_FAULT, traps_entries[VECTOR_DOUBLE_FAULT], 3, 0);
	set_gate(18, traps_entries[18], 4, 0);
	set_gate(3, traps_entries[3], 0, 3); /* INT3 is for programs */
	set_gate(VECTOR_PAGE_FAULT, (uint64_t)(uintptr_t)entry_page_fault, 0, 0);
	set_gate(VECTOR_TIMER, (uint64_t)(uintptr_t)entry_timer, 0, 0);
	set_gate(VECTOR_CALL, (uint64_t)(uintptr_t)entry_call, 0, 0);
	set_gate(VECTOR_REST, (uint64_t)(uintptr_t)entry_rest, 0, 0);
	set_gate(VECTOR_SPURIOUS, (uint64_t)(uintptr_t)entry_spurious, 0, 0);
}

void traps_start(unsigned number)
{
	struct port_cpu *cpu = kernel_cpu_port(number);

	if (number == 0) {
		fill_idt();
	}
	fill_tables(&cpu_tables[number]);
	load_tables(&cpu_tables[number]);
	cpu->tss_rsp0 = &cpu_tables[number].tss.rsp[0];

	wrmsr(MSR_STAR, (uint64_t)SELECT_USER_BASE << 48 | (uint64_t)SELECT_CODE << 32);
	wrmsr(MSR_LSTAR, (uint64_t)(uintptr_t)entry_syscall);
	wrmsr(MSR_FMASK, 0x257fd5); /* every flag: IF, DF, TF and AC matter */
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
}

/* What each exception is called, and what signal it is to a program that raises it, with what si_code. */
static const struct {
	const char *name;
	uint8_t signal;
	int16_t code;
	bool has_address; /* si_addr is the pc, else 0 */
} exceptions[VECTOR_EXCEPTIONS] = {
    [0] = {"divide error", SIGNAL_FPE, 1, true},
    [1] = {"debug trap", SIGNAL_TRAP, 2, true},
    [2] = {"non-maskable interrupt", 0, 0, false},
    [3] = {"breakpoint", SIGNAL_TRAP, SIGNAL_BY_KERNEL, false},
    [4] = {"overflow", SIGNAL_SEGV, SIGNAL_BY_KERNEL, false},
    [5] = {"bound range exceeded", SIGNAL_SEGV, SIGNAL_BY_KERNEL, false},
    [6] = {"illegal instruction", SIGNAL_ILL, 2, true},
    [7] = {"no coprocessor", SIGNAL_FPE, SIGNAL_BY_KERNEL, false},
    [8] = {"double fault", 0, 0, false},
    [10] = {"invalid TSS", SIGNAL_SEGV, SIGNAL_BY_KERNEL, false},
    [11] = {"segment not present", SIGNAL_BUS, SIGNAL_BY_KERNEL, false},
    [12] = {"stack segment fault", SIGNAL_BUS, SIGNAL_BY_KERNEL, false},
    [13] = {"general protection fault", SIGNAL_SEGV, SIGNAL_BY_KERNEL, false},
    [14] = {"page fault", SIGNAL_SEGV, SIGNAL_BY_KERNEL, false},
    [16] = {"floating-point error", SIGNAL_FPE, 0, true},
    [17] = {"alignment check", SIGNAL_BUS, SIGNAL_BUS_ADRALN, false},
    [18] = {"machine check", 0, 0, false},
    [19] = {"SIMD floating-point error", SIGNAL_FPE, 0, true},
};

/* Of a floating-point exception: the first that the state says has happened and is not masked. */
static int floating_code(uint64_t vector)
{
	static const struct {
		uint8_t bits, code;
	} codes[] = {{0x01, 7}, {0x04, 3}, {0x08, 4}, {0x12, 5}, {0x20, 6}};
	uint32_t status, happened;
	uint16_t word, control;

	if (vector == 19) {
		__asm__ volatile("stmxcsr %0" : "=m"(status));
		happened = ~(status >> 7) & status;
	} else {
		__asm__ volatile("fnstsw %0; fnstcw %1" : "=m"(word), "=m"(control));
		happened = (uint32_t)word & ~(uint32_t)control;
	}
	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if ((happened & codes[i].bits) != 0) {
			return codes[i].code;
		}
	}
	return 0;
}

/* What the frame of a handler tells. A program learns nothing of the kernel's half from the error code. */
static void note_exception(const struct port_frame *frame)
{
	struct port_thread *thread = kernel_port_thread();

	thread->fault_vector = frame->vector;
	thread->fault_error = frame->error;
	if (frame->vector == VECTOR_PAGE_FAULT) {
		thread->fault_address = read_cr2();
		if (thread->fault_address >= vmem_aspace_user_size()) {
			thread->fault_error |= 1;
		}
	}
}

void traps_exception(struct port_frame *frame)
{
	const uint64_t pc = frame->rip;
	struct port_trap trap = {SIGNAL_SEGV, SIGNAL_BY_KERNEL, 0, "unknown exception"};

	/* A single step of the user's SYSCALL is reported at the kernel's first instruction. */
	if (frame->vector == VECTOR_DEBUG && !port_frame_is_user(frame) &&
	    pc >= (uint64_t)(uintptr_t)entry_syscall && pc < (uint64_t)(uintptr_t)entry_syscall_end) {
		return;
	}
	if (frame->vector == VECTOR_DOUBLE_FAULT) {
		/* Nearly always the kernel's stack ran into its guard, so that not even the page fault
		 * found room. */
		kernel_log("double fault: CR2 %lx\n", read_cr2());
		if (vmem_kernel_is_guard((void *)(uintptr_t)read_cr2())) {
			trap = (struct port_trap){.name = "kernel stack overflow"};
			kernel_trap(frame, &trap);
		}
	}
	if (frame->vector < VECTOR_EXCEPTIONS && exceptions[frame->vector].name != NULL) {
		trap = (struct port_trap){
		    .signal = exceptions[frame->vector].signal,
		    .code = exceptions[frame->vector].code,
		    .address = exceptions[frame->vector].has_address ? pc : 0,
		    .name = exceptions[frame->vector].name,
		};
	}
	if (port_frame_is_user(frame)) {
		note_exception(frame);
		trap.code = trap.signal == SIGNAL_FPE && trap.code == 0 ? floating_code(frame->vector)
									: trap.code;
	}
	kernel_trap(frame, &trap);
}

void port_thread_init(
    struct port_thread *thread, void *stack_top, void *fp_area, void (*start)(void *), void *argument)
{
	uint64_t *sp = stack_top;

	/* As switch_stacks() leaves it: r15 r14 r13 r12 rbp rbx, the return address; and two words, so that
	 * the first call is aligned. */
	sp -= 9;
	sp[2] = (uint64_t)(uintptr_t)argument;
	sp[3] = (uint64_t)(uintptr_t)start;
	sp[6] = (uint64_t)(uintptr_t)switch_begin;
	*thread = (struct port_thread){
	    .sp = (uint64_t)(uintptr_t)sp,
	    .stack_top = (uint64_t)(uintptr_t)stack_top,
	    .fp = fp_area,
	};
	if (fp_area != NULL) {
		fp_init(fp_area);
	}
}

/* Where SYSCALL's entry has put the registers, in words from the arguments; and those that it does not save,
 * in words from where whoever called on has put them. */
enum {
	SAVED_RDI,
	SAVED_RSI,
	SAVED_RDX,
	SAVED_R10,
	SAVED_R8,
	SAVED_R9,
	SAVED_RIP = 7,
	SAVED_FLAGS,
	SAVED_RSP
};
enum { KEPT_R15, KEPT_R14, KEPT_R13, KEPT_R12, KEPT_RBP, KEPT_RBX };

void frame_of_call(struct port_frame *out, const uint64_t *argument, const uint64_t *kept)
{
	*out = (struct port_frame){
	    .r15 = kept[KEPT_R15],
	    .r14 = kept[KEPT_R14],
	    .r13 = kept[KEPT_R13],
	    .r12 = kept[KEPT_R12],
	    .rbp = kept[KEPT_RBP],
	    .rbx = kept[KEPT_RBX],
	    .r11 = argument[SAVED_FLAGS],
	    .r10 = argument[SAVED_R10],
	    .r9 = argument[SAVED_R9],
	    .r8 = argument[SAVED_R8],
	    .rdi = argument[SAVED_RDI],
	    .rsi = argument[SAVED_RSI],
	    .rdx = argument[SAVED_RDX],
	    .rcx = argument[SAVED_RIP],
	    .rip = argument[SAVED_RIP],
	    .cs = SELECT_USER_CODE,
	    .rflags = argument[SAVED_FLAGS],
	    .rsp = argument[SAVED_RSP],
	    .ss = SELECT_USER_DATA,
	};
}

void port_thread_fork(struct port_thread *thread, void *stack_top, void *fp_area, const uint64_t *argument,
    uint64_t sp, const uint64_t *tls)
{
	const struct port_thread *parent = kernel_port_thread();
	struct port_frame *frame = (struct port_frame *)stack_top - 1;
	uint64_t *words = (uint64_t *)frame - 7;

	frame_of_call(frame, argument, argument - 7); /* between them is where CALL_WITH_ALL returns to */
	frame->rsp = sp != 0 ? sp : frame->rsp;
	/* As switch_stacks() leaves it; the registers it loads are not looked at. */
	words[6] = (uint64_t)(uintptr_t)switch_fork;
	*thread = (struct port_thread){
	    .sp = (uint64_t)(uintptr_t)words,
	    .stack_top = (uint64_t)(uintptr_t)stack_top,
	    .fp = fp_area,
	    .fs_base = tls != NULL ? *tls : parent->fs_base,
	    .gs_base = parent->gs_base,
	};
	fp_save(fp_area);
}

void port_thread_switch(struct port_thread *from, struct port_thread *to)
{
	struct port_cpu *cpu = port_cpu();

	if (from->fp != NULL) {
		fp_save(from->fp);
	}
	if (to->fp != NULL) {
		fp_restore(to->fp);
		wrmsr(MSR_FS_BASE, to->fs_base);
		wrmsr(MSR_KERNEL_GS_BASE, to->gs_base);
	}
	cpu->stack_top = to->stack_top;
	memcpy(cpu->tss_rsp0, &to->stack_top, sizeof(to->stack_top)); /* not aligned */
	switch_stacks(&from->sp, to->sp);
}

uint64_t port_frame_pc(const struct port_frame *frame)
{
	return frame->rip;
}

uint64_t port_frame_sp(const struct port_frame *frame)
{
	return frame->rsp;
}

bool port_frame_is_user(const struct port_frame *frame)
{
	return (frame->cs & 3) != 0;
}

bool port_frame_register(
    const struct port_frame *frame, unsigned n, const char **out_name, uint64_t *out_value)
{
	static const char names[][8] = {"r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8",
	    "rdi", "rsi", "rdx", "rcx", "rax", "", "error", "rip", "cs", "rflags", "rsp", "ss"};

	if (n >= sizeof(names) / sizeof(names[0])) {
		return false;
	}
	*out_name = names[n];
	*out_value = ((const uint64_t *)(const void *)frame)[n];
	return true;
}

/* CALL is E8 with a displacement of four bytes, or FF /2 of two to seven bytes. */
bool port_is_return_address(uint64_t address, uint64_t *out_target)
{
	static const uint8_t indirect[] = {2, 3, 4, 6, 7};
	const uint8_t *p = (const uint8_t *)(uintptr_t)address;
	int32_t displacement;

	*out_target = 0;
	if (p[-5] == 0xe8) {
		memcpy(&displacement, p - 4, sizeof(displacement));
		*out_target = address + (uint64_t)(int64_t)displacement;
		return true;
	}
	for (unsigned i = 0; i < sizeof(indirect); i++) {
		if (p[-indirect[i]] == 0xff && (p[1 - indirect[i]] & 0x38) == 0x10) {
			return true;
		}
	}
	return false;
}
