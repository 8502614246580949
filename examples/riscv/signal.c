/* SPDX-License-Identifier: MIT */
/*
 * signal.c - what Linux puts on a program's stack for a handler, and takes from it again (struct
 * rt_sigframe of arch/riscv/kernel/signal.c, asm/ucontext.h, asm/ptrace.h): siginfo, ucontext, at a
 * multiple of 16. The floating-point registers take the room that quadruple precision would need; what is
 * beyond them is zero, and has to be when it comes back.
 *
 * G1. A frame is put together in a place of the CPU's and copied in one piece. What of it is never written
 *     there stays zero.
 * G2. Nothing in a frame is trusted; but there is nothing in it that a program could not have in its
 * registers.
 */
#include "calls.h"
#include "thread.h"

#include "cpu.h"
#include "frame.h"

struct user_frame {
	struct signal_info info;
	uint8_t info_rest[SIGNAL_INFO_SIZE - sizeof(struct signal_info)];
	uint64_t flags, link;
	struct signal_stack stack;
	uint64_t mask, pad[16];
	uint64_t x[32]; /* pc in the place of x0 */
	uint64_t f[32];
	uint32_t fcsr, fcsr_pad;
	uint64_t quadruple[31];
	uint32_t quadruple_fcsr, reserved[3];
};
_Static_assert(offsetof(struct user_frame, flags) == 128, "struct rt_sigframe");
_Static_assert(offsetof(struct user_frame, x) == 128 + 176, "struct ucontext");
_Static_assert(
    offsetof(struct user_frame, quadruple_fcsr) == 128 + 176 + 256 + 512, "union __riscv_fp_state");
_Static_assert(sizeof(struct user_frame) == 1088, "struct rt_sigframe");

const uint32_t port_trampoline[] = {0x08b00893, 0x00000073}; /* li a7, 139; ecall */
const size_t port_trampoline_size = sizeof(port_trampoline);

static struct user_frame places[KERNEL_CPU_MAX]; /* G1 */

bool port_signal_enter(struct port_frame *frame, const struct signal_entering *entering)
{
	const uint64_t at = (entering->sp - sizeof(struct user_frame)) & ~UINT64_C(15);
	struct user_frame *out = &places[cpu_this()->number];

	if (at > entering->sp || at < entering->lowest) {
		return false;
	}
	out->info = *entering->info;
	out->flags = 0;
	out->link = 0;
	out->stack = entering->stack;
	out->mask = entering->mask;
	memcpy(out->x, frame, sizeof(out->x));
	_Static_assert(
	    offsetof(struct user_frame, fcsr) == offsetof(struct user_frame, f) + FP_FCSR, "fp_save()");
	fp_save(out->f);
	if (kernel_copy_out(at, out, sizeof(*out)) != 0) {
		return false;
	}
	frame->x[REGISTER_A0] = (uint64_t)(uint32_t)entering->info->number;
	frame->x[REGISTER_A0 + 1] = at;
	frame->x[REGISTER_A0 + 2] = at + offsetof(struct user_frame, flags);
	frame->x[REGISTER_RA] = entering->trampoline;
	frame->x[REGISTER_SP] = at;
	frame->pc = entering->action->handler;
	return true;
}

bool port_signal_leave(struct port_frame *frame, uint64_t *out_mask, struct signal_stack *out_stack)
{
	struct user_frame in;

	if (kernel_copy_in(&in, frame->x[REGISTER_SP], sizeof(in)) != 0) {
		return false;
	}
	for (unsigned i = 0; i < 3; i++) {
		if (in.reserved[i] != 0) {
			return false;
		}
	}
	fp_load(in.f);
	memcpy(frame, in.x, sizeof(in.x));
	*out_mask = in.mask;
	*out_stack = in.stack;
	return true;
}

/* ECALL is four bytes long; the number is in a7, and a0 has not been touched. */
void port_frame_restart(struct port_frame *frame, bool other)
{
	frame->pc -= 4;
	frame->x[REGISTER_A7] = other ? 128 : frame->x[REGISTER_A7]; /* restart_syscall */
}

void port_frame_result(struct port_frame *frame, int64_t result)
{
	frame->x[REGISTER_A0] = (uint64_t)result;
}

uint64_t port_call_sp(const uint64_t *argument)
{
	return argument[(FRAME_X(2) - FRAME_X(10)) / 8];
}
