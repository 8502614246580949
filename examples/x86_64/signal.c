/* SPDX-License-Identifier: MIT */
/*
 * signal.c - what Linux puts on a program's stack for a handler, and takes from it again (struct
 * rt_sigframe, asm/sigframe.h, asm/sigcontext.h). From the stack pointer down:
 *
 *	128 bytes that are the program's | vector state, at a multiple of 64 | frame, at 8 below one of 16
 *
 * The vector state is the CPU's own format, with what of it is there in bytes that the CPU leaves alone. A
 * handler begins with it as at reset.
 *
 * G1. Nothing in a frame is trusted: what the CPU would refuse in the kernel is cleared, or the frame
 * refused. G2. A frame is put together in a place of the CPU's and copied in one piece. What of it is never
 *     written there stays zero.
 */
#include <vmem/copy.h>

#include "calls.h"
#include "thread.h"

#include "cpu.h"

#define XSTATE_MAGIC1 0x46505853u
#define XSTATE_MAGIC2 0x46505845u
#define FP_SOFTWARE 464u /* bytes of the area that are software's */
#define FP_MXCSR 24u
#define FP_LEGACY 512u
#define FP_HEADER 64u

/* Flags that a frame may change: AC, RF, OF, DF, TF, SF, ZF, AF, PF, CF. */
#define FLAGS_USER UINT64_C(0x50dd5)
#define FLAGS_HANDLER_CLEARS UINT64_C(0x10500) /* DF, RF, TF */

enum { UC_FP_XSTATE = 1, UC_SIGCONTEXT_SS = 2, UC_STRICT_RESTORE_SS = 4 };

struct software_bytes {
	uint32_t magic1, extended_size;
	uint64_t features;
	uint32_t size, pad[7];
};

struct context {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t error, vector, old_mask, cr2, fpstate, reserved[8];
};

struct user_frame {
	uint64_t restorer;
	uint64_t flags, link;
	struct signal_stack stack;
	struct context context;
	uint64_t mask;
	struct signal_info info;
	uint8_t info_rest[SIGNAL_INFO_SIZE - sizeof(struct signal_info)];
};
_Static_assert(sizeof(struct user_frame) == 440, "struct rt_sigframe");
_Static_assert(offsetof(struct user_frame, context) == 48, "struct rt_sigframe");
_Static_assert(offsetof(struct user_frame, info) == 312, "struct rt_sigframe");

const uint32_t port_trampoline[1];
const size_t port_trampoline_size = 0; /* programs say what a handler returns to */

/* G2: the place, in which the vector state is at a multiple of 64. */
#define FP_AT 512u
#define FRAME_TO_FP 456u
static struct {
	uint8_t bytes[VMEM_PAGE_SIZE + FP_AT];
} __attribute__((aligned(64))) places[KERNEL_CPU_MAX];

static bool canonical(uint64_t address)
{
	return address < vmem_aspace_user_size() || -address <= vmem_aspace_user_size();
}

/* The state of the CPU, with what it is and its end marked. */
static void store_fp(uint8_t *area)
{
	const uint32_t size = fp_size();
	struct software_bytes software = {0};

	fp_save(area);
	if (fp_features() != 0) {
		software = (struct software_bytes){
		    .magic1 = XSTATE_MAGIC1,
		    .extended_size = size + 4,
		    .features = fp_features(),
		    .size = size,
		};
		*(uint32_t *)(void *)(area + size) = XSTATE_MAGIC2;
	}
	memcpy(area + FP_SOFTWARE, &software, sizeof(software));
}

static void fill(struct user_frame *out, const struct port_frame *frame, const struct port_thread *thread)
{
	out->context = (struct context){
	    .r8 = frame->r8,
	    .r9 = frame->r9,
	    .r10 = frame->r10,
	    .r11 = frame->r11,
	    .r12 = frame->r12,
	    .r13 = frame->r13,
	    .r14 = frame->r14,
	    .r15 = frame->r15,
	    .rdi = frame->rdi,
	    .rsi = frame->rsi,
	    .rbp = frame->rbp,
	    .rbx = frame->rbx,
	    .rdx = frame->rdx,
	    .rax = frame->rax,
	    .rcx = frame->rcx,
	    .rsp = frame->rsp,
	    .rip = frame->rip,
	    .rflags = frame->rflags,
	    .cs = SELECT_USER_CODE,
	    .ss = SELECT_USER_DATA,
	    .error = thread->fault_error,
	    .vector = thread->fault_vector,
	    .cr2 = thread->fault_address,
	};
}

bool port_signal_enter(struct port_frame *frame, const struct signal_entering *entering)
{
	const struct signal_action *action = entering->action;
	const uint64_t fp_room = fp_size() + (fp_features() != 0 ? 4 : 0);
	const uint64_t fp_at = (entering->sp - fp_room) & ~UINT64_C(63);
	const uint64_t at = fp_at - FRAME_TO_FP;
	uint8_t *place = places[cpu_this()->number].bytes;
	struct user_frame *out = (struct user_frame *)(void *)(place + FP_AT - FRAME_TO_FP);

	if (at > entering->sp || at < entering->lowest || (action->flags & SIGNAL_RESTORER) == 0 ||
	    !canonical(action->handler)) {
		return false;
	}
	fill(out, frame, kernel_port_thread());
	out->restorer = action->restorer;
	out->flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (fp_features() != 0 ? UC_FP_XSTATE : 0);
	out->link = 0;
	out->stack = entering->stack;
	out->context.old_mask = entering->mask;
	out->context.fpstate = fp_at;
	out->mask = entering->mask;
	out->info = *entering->info;
	store_fp(place + FP_AT);
	if (kernel_copy_out(at, out, FRAME_TO_FP + fp_room) != 0) {
		return false;
	}
	fp_reset();
	frame->rdi = (uint64_t)(uint32_t)entering->info->number;
	frame->rsi = at + offsetof(struct user_frame, info);
	frame->rdx = at + offsetof(struct user_frame, flags);
	frame->rax = 0;
	frame->rip = action->handler;
	frame->rsp = at;
	frame->rflags &= ~FLAGS_HANDLER_CLEARS;
	return true;
}

/* The vector state in `area`, of which `got` bytes are there already; G1. */
static bool load_fp(uint8_t *area, uint64_t at, size_t got)
{
	const uint32_t size = fp_size();
	struct software_bytes software;
	uint64_t *header = (uint64_t *)(void *)(area + FP_LEGACY);
	uint32_t *words = (uint32_t *)(void *)area;
	uint32_t magic = 0;

	if (got < FP_LEGACY && kernel_copy_in(area, at, FP_LEGACY) != 0) {
		return false;
	}
	memcpy(&software, area + FP_SOFTWARE, sizeof(software));
	words[FP_MXCSR / 4] &= fp_mxcsr_mask();
	if (fp_features() != 0) {
		const bool whole = software.magic1 == XSTATE_MAGIC1 && software.size == size;

		if (whole && got < size + 4 &&
		    kernel_copy_in(area + FP_LEGACY, at + FP_LEGACY, size + 4 - FP_LEGACY) != 0) {
			return false;
		}
		memcpy(&magic, area + size, sizeof(magic));
		if (!whole || magic != XSTATE_MAGIC2) {
			header[0] = 3; /* x87 and SSE only */
		}
		header[0] &= fp_features();
		memset(header + 1, 0, FP_HEADER - sizeof(header[0]));
	}
	fp_restore(area);
	return true;
}

/* The frame, with the vector state if that is where port_signal_enter() puts it. */
static bool load_frame(struct user_frame *in, uint8_t *area, uint64_t at)
{
	const size_t whole = FRAME_TO_FP + fp_size() + (fp_features() != 0 ? 4 : 0);
	const size_t got = vmem_copy_from_user(process_current()->aspace, in, at, whole);

	if (got < sizeof(*in) || !canonical(in->context.rip)) {
		return false;
	}
	if (in->context.fpstate == 0) {
		fp_reset();
		return true;
	}
	return load_fp(area, in->context.fpstate,
	    in->context.fpstate == at + FRAME_TO_FP && got == whole ? whole - FRAME_TO_FP : 0);
}

bool port_signal_leave(struct port_frame *frame, uint64_t *out_mask, struct signal_stack *out_stack)
{
	uint8_t *place = places[cpu_this()->number].bytes;
	struct user_frame *in = (struct user_frame *)(void *)(place + FP_AT - FRAME_TO_FP);
	const struct context *c = &in->context;
	const bool found = load_frame(in, place + FP_AT, frame->rsp - 8);

	memset(in->info_rest, 0, sizeof(in->info_rest)); /* G2 */
	if (!found) {
		return false;
	}
	frame->r8 = c->r8;
	frame->r9 = c->r9;
	frame->r10 = c->r10;
	frame->r11 = c->r11;
	frame->r12 = c->r12;
	frame->r13 = c->r13;
	frame->r14 = c->r14;
	frame->r15 = c->r15;
	frame->rdi = c->rdi;
	frame->rsi = c->rsi;
	frame->rbp = c->rbp;
	frame->rbx = c->rbx;
	frame->rdx = c->rdx;
	frame->rax = c->rax;
	frame->rcx = c->rcx;
	frame->rsp = c->rsp;
	frame->rip = c->rip;
	frame->rflags = (frame->rflags & ~FLAGS_USER) | (c->rflags & FLAGS_USER);
	*out_mask = in->mask;
	*out_stack = in->stack;
	return true;
}

/* SYSCALL is two bytes long; rax has the number. */
void port_frame_restart(struct port_frame *frame, bool other)
{
	frame->rip -= 2;
	frame->rax = other ? 219 : frame->rax; /* restart_syscall */
}

void port_frame_result(struct port_frame *frame, int64_t result)
{
	frame->rax = (uint64_t)result;
}

/* In words from the arguments (traps.c). */
enum { SAVED_RAX = 6, SAVED_RSP = 9 };

uint64_t port_call_sp(const uint64_t *argument)
{
	return argument[SAVED_RSP];
}

_Noreturn void signal_leave_call(const uint64_t *argument, int64_t result)
{
	struct port_frame frame;

	frame_of_call(&frame, argument, argument - 6); /* its slow way back has put them right there */
	frame.rax = argument[SAVED_RAX];
	kernel_leave_call(&frame, result);
	frame_return(&frame);
}
