/* SPDX-License-Identifier: MIT */
/*
 * signal.c - what Linux puts on a program's stack for a handler, and takes from it again (struct
 * rt_sigframe of arch/arm64/kernel/signal.c, asm/sigcontext.h). From the stack pointer down:
 *
 *	x29 and x30, a frame record for who walks the stack | frame: siginfo, ucontext
 *
 * The ucontext ends in 4096 bytes of records, each with what it is and its length; the last one is zero.
 * There is one of the vector registers, always, and one of the syndrome after an abort. The rest of the
 * 4096 bytes is room that is left as it is.
 *
 * G1. Nothing in a frame is trusted: a record that is not one, or a PSTATE that is not a program's, and the
 *     frame is refused.
 * G2. A frame is put together in a place of the CPU's and copied in one piece. What of it is never written
 *     there stays zero.
 */
#include "calls.h"
#include "thread.h"

#include "cpu.h"
#include "frame.h"

#define FPSIMD_MAGIC 0x46508001u
#define ESR_MAGIC 0x45535201u
#define EXTRA_MAGIC 0x45585401u
#define RECORDS_ROOM 4096u
#define PSTATE_FLAGS UINT64_C(0xf0000000)  /* N, Z, C, V */
#define PSTATE_USER UINT64_C(0xff201c00)   /* and DIT, SS, SSBS, TCO, BTYPE */
#define PSTATE_NO_BTYPE (~UINT64_C(0xc00)) /* a handler is not the target of a checked branch */

struct head {
	uint32_t magic, size;
};

struct fpsimd {
	struct head head;
	uint32_t fpsr, fpcr;
	uint8_t registers[512];
};

struct esr {
	struct head head;
	uint64_t esr;
};

struct user_frame {
	struct signal_info info;
	uint8_t info_rest[SIGNAL_INFO_SIZE - sizeof(struct signal_info)];
	uint64_t flags, link;
	struct signal_stack stack;
	uint64_t mask, pad[16];
	uint64_t fault_address, x[31], sp, pc, pstate, pad2;
	/* The beginning of the records. */
	struct fpsimd fpsimd;
	struct esr esr;
	struct head end[2];
};
#define RECORDS_AT offsetof(struct user_frame, fpsimd)
#define FRAME_SPACE (RECORDS_AT + RECORDS_ROOM)
_Static_assert(offsetof(struct user_frame, flags) == 128, "struct rt_sigframe");
_Static_assert(offsetof(struct user_frame, fault_address) == 128 + 176, "struct ucontext");
_Static_assert(RECORDS_AT == 128 + 176 + 288 && FRAME_SPACE == 4688, "struct sigcontext");
_Static_assert(sizeof(struct fpsimd) == 528, "struct fpsimd_context");

const uint32_t port_trampoline[] = {0xd2801168, 0xd4000001}; /* mov x8, #139; svc #0 */
const size_t port_trampoline_size = sizeof(port_trampoline);

static struct user_frame places[KERNEL_CPU_MAX]; /* G2 */

/* The registers, and what follows them: fp_save() also stores FPSR and FPCR there, 8 bytes each. */
static void fill_records(struct user_frame *out, uint64_t syndrome)
{
	uint64_t control[2];

	_Static_assert(
	    offsetof(struct user_frame, esr) == offsetof(struct user_frame, fpsimd.registers) + FP_FPSR,
	    "fp_save()");
	fp_save(out->fpsimd.registers);
	memcpy(control, &out->esr, sizeof(control));
	out->fpsimd.head = (struct head){FPSIMD_MAGIC, sizeof(out->fpsimd)};
	out->fpsimd.fpsr = (uint32_t)control[0];
	out->fpsimd.fpcr = (uint32_t)control[1];
	out->esr = (struct esr){{0, 0}, 0};
	if (syndrome != 0) {
		out->esr = (struct esr){{ESR_MAGIC, sizeof(out->esr)}, syndrome};
	}
	out->end[0] = out->end[1] = (struct head){0, 0};
}

bool port_signal_enter(struct port_frame *frame, const struct signal_entering *entering)
{
	const struct signal_action *action = entering->action;
	const struct port_thread *thread = kernel_port_thread();
	const uint64_t record[2] = {frame->x[29], frame->x[30]};
	const uint64_t record_at = (entering->sp - sizeof(record)) & ~UINT64_C(15);
	const uint64_t at = record_at - FRAME_SPACE;
	struct user_frame *out = &places[cpu_this()->number];

	if (at > entering->sp || at < entering->lowest) {
		return false;
	}
	out->info = *entering->info;
	out->flags = 0;
	out->link = 0;
	out->stack = entering->stack;
	out->mask = entering->mask;
	out->fault_address = thread->fault_address;
	memcpy(out->x, frame, offsetof(struct port_frame, pstate) + sizeof(frame->pstate));
	fill_records(out, thread->fault_syndrome);
	if (kernel_copy_out(record_at, record, sizeof(record)) != 0 ||
	    kernel_copy_out(at, out, sizeof(*out)) != 0) {
		return false;
	}
	frame->x[0] = (uint64_t)(uint32_t)entering->info->number;
	frame->x[1] = at;
	frame->x[2] = at + offsetof(struct user_frame, flags);
	frame->x[29] = record_at;
	frame->x[30] = (action->flags & SIGNAL_RESTORER) != 0 ? action->restorer : entering->trampoline;
	frame->sp = at;
	frame->pc = action->handler;
	frame->pstate &= PSTATE_NO_BTYPE;
	return true;
}

/* A part of the records: those at the beginning have come with the frame. */
static const void *part(const struct user_frame *in, uint64_t at, uint64_t offset, void *room, size_t length)
{
	const uint8_t *first = (const uint8_t *)&in->fpsimd;

	if (offset + length <= sizeof(*in) - RECORDS_AT) {
		return first + offset;
	}
	return kernel_copy_in(room, at + RECORDS_AT + offset, length) == 0 ? room : NULL;
}

/* The records of the frame at `at`, up to the last one; G1. */
static bool load_records(const struct user_frame *in, uint64_t at)
{
	const struct fpsimd *found = NULL;
	uint64_t offset = 0;
	struct fpsimd room;

	while (offset + sizeof(struct head) <= RECORDS_ROOM) {
		struct head own;
		const struct head *head = part(in, at, offset, &own, sizeof(own));

		if (head == NULL) {
			return false;
		}
		if (head->magic == 0) {
			break;
		}
		if (head->size < sizeof(own) || (head->size & 15) != 0 ||
		    head->size > RECORDS_ROOM - offset ||
		    (head->magic != FPSIMD_MAGIC && head->magic != ESR_MAGIC && head->magic != EXTRA_MAGIC)) {
			return false;
		}
		if (head->magic == FPSIMD_MAGIC) {
			if (found != NULL || head->size != sizeof(room)) {
				return false;
			}
			found = part(in, at, offset, &room, sizeof(room));
			if (found == NULL) {
				return false;
			}
		}
		offset += head->size;
	}
	if (found != NULL) {
		fp_load_parts(found->registers, found->fpsr, found->fpcr);
	}
	return found != NULL;
}

bool port_signal_leave(struct port_frame *frame, uint64_t *out_mask, struct signal_stack *out_stack)
{
	struct user_frame in;

	if ((frame->sp & 15) != 0 || kernel_copy_in(&in, frame->sp, sizeof(in)) != 0 ||
	    (in.pstate & ~PSTATE_USER) != 0 || !load_records(&in, frame->sp)) {
		return false;
	}
	memcpy(frame, in.x, offsetof(struct port_frame, pstate));
	frame->pstate = (frame->pstate & ~PSTATE_FLAGS) | (in.pstate & PSTATE_FLAGS);
	*out_mask = in.mask;
	*out_stack = in.stack;
	return true;
}

/* The number is in x8, and x0 has not been touched. */
void port_frame_restart(struct port_frame *frame, bool other)
{
	frame->pc -= 4;
	frame->x[8] = other ? 128 : frame->x[8]; /* restart_syscall */
}

void port_frame_result(struct port_frame *frame, int64_t result)
{
	frame->x[0] = (uint64_t)result;
}

uint64_t port_call_sp(const uint64_t *argument)
{
	(void)argument;
	return READ_REGISTER("sp_el0");
}
