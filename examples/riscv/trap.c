/* SPDX-License-Identifier: MIT */
/*
 * trap.c - names and signals of exceptions, frames, threads, and what programs are told about the CPU.
 */
#include "cpu.h"
#include "frame.h"

_Static_assert(offsetof(struct port_frame, pc) == FRAME_PC, "trap.S");
_Static_assert(offsetof(struct port_frame, x) == FRAME_X(1), "trap.S");
_Static_assert(offsetof(struct port_frame, status) == FRAME_STATUS, "trap.S");
_Static_assert(sizeof(struct port_frame) == FRAME_SIZE && FRAME_SIZE % 16 == 0, "trap.S");
_Static_assert(offsetof(struct port_thread, ra) == THREAD_RA, "trap.S");
_Static_assert(offsetof(struct port_thread, sp) == THREAD_SP, "trap.S");
_Static_assert(offsetof(struct port_thread, stack_top) == THREAD_STACK_TOP, "trap.S");
_Static_assert(offsetof(struct port_thread, user_pc) == THREAD_USER_PC, "trap.S");
_Static_assert(offsetof(struct port_thread, user_gp) == THREAD_USER_GP, "trap.S");
_Static_assert(offsetof(struct port_thread, user_tp) == THREAD_USER_TP, "trap.S");
_Static_assert(offsetof(struct port_thread, fp) == THREAD_FP, "trap.S");
_Static_assert(offsetof(struct port_thread, cpu) == THREAD_CPU, "trap.S");
_Static_assert(offsetof(struct port_frame, cpu) == FRAME_CPU, "trap.S");
_Static_assert(offsetof(struct port_cpu, trap_stack) == CPU_TRAP_STACK, "trap.S");
_Static_assert(offsetof(struct port_cpu, stack) == CPU_STACK, "boot.S");
_Static_assert(offsetof(struct port_cpu, attention) == CPU_ATTENTION, "trap.S");
_Static_assert(offsetof(struct port_cpu, satp) == CPU_SATP, "boot.S");

struct cause {
	const char *name;
	unsigned signal;
	int code; /* si_code */
};

/* Privileged specification, "Supervisor Cause Register", exception codes; the signals are those of Linux. */
static const struct cause causes[16] = {
	[0] = {"misaligned instruction", SIGNAL_BUS, SIGNAL_BUS_ADRALN},
	[1] = {"instruction access fault", SIGNAL_SEGV, SIGNAL_SEGV_ACCERR},
	[2] = {"illegal instruction", SIGNAL_ILL, 1},
	[3] = {"breakpoint", SIGNAL_TRAP, 1},
	[4] = {"misaligned load", SIGNAL_BUS, SIGNAL_BUS_ADRALN},
	[5] = {"load access fault", SIGNAL_SEGV, SIGNAL_SEGV_ACCERR},
	[6] = {"misaligned store", SIGNAL_BUS, SIGNAL_BUS_ADRALN},
	[7] = {"store access fault", SIGNAL_SEGV, SIGNAL_SEGV_ACCERR},
	[12] = {"instruction page fault", SIGNAL_SEGV, SIGNAL_SEGV_MAPERR},
	[13] = {"load page fault", SIGNAL_SEGV, SIGNAL_SEGV_MAPERR},
	[15] = {"store page fault", SIGNAL_SEGV, SIGNAL_SEGV_MAPERR},
};

void trap_report(struct port_frame *frame, uint64_t cause, uint64_t value)
{
	struct port_trap trap = {SIGNAL_ILL, 1, frame->pc, "unknown exception"};

	if (cause < sizeof(causes) / sizeof(causes[0]) && causes[cause].name != NULL) {
		trap.name = causes[cause].name;
		trap.signal = causes[cause].signal;
		trap.code = causes[cause].code;
	}
	if (!port_frame_is_user(frame)) {
		kernel_log("kernel: %s, scause %lx, stval %lx\n", trap.name, (unsigned long)cause,
		    (unsigned long)value);
	}
	kernel_trap(frame, &trap);
}

void port_thread_init(
    struct port_thread *thread, void *stack_top, void *fp_area, void (*start)(void *), void *argument)
{
	*thread = (struct port_thread){
		.s = {(uintptr_t)start, (uintptr_t)argument},
		.ra = (uintptr_t)thread_begin,
		.sp = (uintptr_t)stack_top - FRAME_SIZE, /* the frame says which CPU it is */
		.stack_top = (uintptr_t)stack_top,
		.fp = fp_area,
	};
}

/* The program's other registers still are where the system call left them (trap.S). */
void port_thread_fork(struct port_thread *thread, void *stack_top, void *fp_area, const uint64_t *argument,
    uint64_t sp, const uint64_t *tls)
{
	struct port_frame *frame = (struct port_frame *)stack_top - 1;
	uint64_t gp;

	*frame = *(const struct port_frame *)(const void *)(argument - FRAME_X(10) / 8);
	frame->x[1] = sp != 0 ? sp : frame->x[1];
	fp_save(fp_area);
	__asm__ volatile("mv %0, gp" : "=r"(gp));
	*thread = (struct port_thread){
		.ra = (uintptr_t)fork_begin,
		.sp = (uintptr_t)frame,
		.stack_top = (uintptr_t)stack_top,
		.user_pc = READ_CSR("sepc"),
		.user_gp = gp,
		.fp = fp_area,
	};
#if VMEM_MAX_CPUS > 1
	frame->x[3] = tls != NULL ? *tls : frame->x[3];
#else
	__asm__ volatile("mv %0, tp" : "=r"(thread->user_tp));
	thread->user_tp = tls != NULL ? *tls : thread->user_tp;
#endif
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
	return frame->x[1];
}

bool port_frame_is_user(const struct port_frame *frame)
{
	return (frame->status & STATUS_SPP) == 0;
}

bool port_frame_register(
    const struct port_frame *frame, unsigned n, const char **out_name, uint64_t *out_value)
{
	static const char *const names[] = {"pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",
	    "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10",
	    "s11", "t3", "t4", "t5", "t6", "sstatus"};

	if (n >= sizeof(names) / sizeof(names[0])) {
		return false;
	}
	*out_name = names[n];
	*out_value = n == 0 ? frame->pc : n < 32 ? frame->x[n - 1] : frame->status;
	return true;
}

static uint32_t text_word(uint64_t address)
{
	const uint16_t *half = (const uint16_t *)(uintptr_t)address;

	return (uint32_t)half[1] << 16 | half[0];
}

/* JAL or JALR that writes ra, or the compressed JALR. A far call is AUIPC ra and JALR ra, ra. */
bool port_is_return_address(uint64_t address, uint64_t *out_target)
{
	*out_target = 0;
	if ((address & 1) != 0) {
		return false;
	}
	uint32_t call = text_word(address - 4), upper = text_word(address - 8);

	if ((call & 0xfff) == 0x0ef) {
		int32_t far = (int32_t)(call & 0x80000000) >> 11;
		uint32_t near = (call & 0xff000) | (call >> 9 & 0x800) | (call >> 20 & 0x7fe);

		*out_target = address - 4 + (uint64_t)(int64_t)(far | (int32_t)near);
		return true;
	}
	if ((call & 0x7fff) == 0x00e7) {
		if ((call & 0xf8000) == 0x08000 && (upper & 0xfff) == 0x097) {
			*out_target = address - 8 + (uint64_t)(int64_t)(int32_t)(upper & 0xfffff000) +
				      (uint64_t)(int64_t)((int32_t)call >> 20);
		}
		return true;
	}
	return (call >> 16 & 0xf07f) == 0x9002 && (call >> 16 & 0x0f80) != 0;
}

/* AT_HWCAP has a bit per letter of the ISA; of the letters only those whose state the kernel keeps. */
uint64_t port_hwcap(unsigned which)
{
	static const char letters[] = "imafdc";
	uint64_t kept = 0;

	for (unsigned i = 0; letters[i] != 0; i++) {
		kept |= UINT64_C(1) << (letters[i] - 'a');
	}
	return which == 1 ? cpu_letters & kept : 0;
}

static void fetch_sync(void *unused)
{
	(void)unused;
	__asm__ volatile("fence.i" : : : "memory");
}

/*
 * riscv_flush_icache(start, end, flags): FENCE.I takes no address, so the range changes nothing. With the
 * flag that says "this thread only" the other CPUs are left alone: the thread does it anew where it goes
 * (trap.S, T5). Other flags are refused, as Linux does.
 */
int64_t call_riscv_flush_icache(const uint64_t *argument)
{
	if (argument[2] > 1) {
		return -22; /* EINVAL */
	}
	fetch_sync(NULL);
	if (argument[2] == 0) {
		kernel_cpu_call_others(fetch_sync, NULL);
	}
	return 0;
}
