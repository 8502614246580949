/* SPDX-License-Identifier: MIT */
/*
 * deliver.c - a thread takes its signals: on its way to user mode, with all registers of the program in a
 * frame.
 *
 * D1. The ports come here when `attention` is set after a system call or an interrupt, and with an exception
 *     that is the program's own doing. There is no other way for a program to notice a signal.
 * D2. What a call that was cut short answers is decided here: it begins anew, as if it had not been made,
 *     or it ends with EINTR. Its arguments are still in the frame.
 * D3. The registers in the frame, and the vector registers in the CPU, are the program's at any time. So
 *     several handlers may be entered one after the other: the last one runs first.
 * D4. A handler that cannot be entered, because its stack is none, becomes SIGSEGV; and that one, if it has
 *     no better stack, the end.
 *
 * Locks: the kernel's for what is pending and what the process has set; never while user memory is copied.
 */
#include "calls.h"
#include "thread.h"

static bool is_on(const struct signal_stack *stack, uint64_t sp)
{
	return (stack->flags & SIGNAL_STACK_AUTO_OFF) == 0 && sp > stack->start &&
	       sp - stack->start <= stack->size;
}

void signal_stack_tell(const struct thread *thread, uint64_t sp, struct signal_stack *out)
{
	*out = thread->signal_stack;
	out->flags &= SIGNAL_STACK_AUTO_OFF;
	if (out->size == 0) {
		out->flags |= SIGNAL_STACK_OFF;
	} else if (is_on(out, sp)) {
		out->flags |= SIGNAL_STACK_ON;
	}
}

int64_t signal_stack_set(struct thread *thread, const struct signal_stack *stack, uint64_t sp)
{
	const uint32_t mode = stack->flags & ~SIGNAL_STACK_AUTO_OFF;

	if (is_on(&thread->signal_stack, sp)) {
		return -EPERM;
	}
	if (mode != 0 && mode != SIGNAL_STACK_ON && mode != SIGNAL_STACK_OFF) {
		return -EINVAL;
	}
	if (mode == SIGNAL_STACK_OFF) {
		thread->signal_stack = (struct signal_stack){.flags = stack->flags};
		return 0;
	}
	if (stack->size < PORT_SIGNAL_STACK_LEAST) {
		return -ENOMEM;
	}
	thread->signal_stack = *stack;
	return 0;
}

/* Enters the handler: its frame, then what it blocks. */
static bool enter(
    struct port_frame *frame, const struct signal_info *info, const struct signal_action *action)
{
	struct thread *thread = thread_current();
	const uint64_t sp = port_frame_sp(frame);
	const struct signal_stack *stack = &thread->signal_stack;
	const bool nested = is_on(stack, sp);
	const bool other = !nested && (action->flags & SIGNAL_ON_STACK) != 0 && stack->size != 0;
	const struct signal_entering entering = {
	    .info = info,
	    .action = action,
	    .mask = thread->mask_changed ? thread->mask_before : thread->signal_mask,
	    .stack = *stack,
	    .sp = other ? stack->start + stack->size : sp - PORT_RED_ZONE,
	    .lowest = nested || other ? stack->start : 0,
	    .trampoline = thread->process->trampoline,
	};

	if (!port_signal_enter(frame, &entering)) {
		return false;
	}
	if ((stack->flags & SIGNAL_STACK_AUTO_OFF) != 0) {
		thread->signal_stack = (struct signal_stack){.flags = SIGNAL_STACK_OFF};
	}
	kernel_lock();
	thread->mask_changed = false;
	thread->signal_mask |= action->mask;
	if ((action->flags & SIGNAL_NO_DEFER) == 0) {
		thread->signal_mask |= signal_bit((unsigned)info->number);
	}
	thread->signal_mask &= ~SIGNALS_ALWAYS;
	if (thread->process->pending.set != 0) {
		signal_pass_on(thread->process);
	}
	kernel_unlock();
	return true;
}

/* What the process wants done, once; with the lock. */
static struct signal_action get_action(struct process *process, unsigned signal)
{
	struct signal_action *action = &process->actions[signal - 1], found = *action;

	if (found.handler > SIGNAL_IGNORE && (found.flags & SIGNAL_RESET) != 0) {
		action->handler = SIGNAL_DEFAULT;
	}
	return found;
}

unsigned signal_raise(struct port_frame *frame, const struct signal_info *info)
{
	static const struct signal_info no_stack = {.number = SIGNAL_SEGV, .code = SIGNAL_BY_KERNEL};
	struct thread *thread = thread_current();
	const unsigned signal = (unsigned)info->number;
	struct signal_action action = {.handler = SIGNAL_DEFAULT};

	kernel_lock();
	if ((thread->signal_mask & signal_bit(signal)) == 0) {
		action = get_action(thread->process, signal);
	}
	kernel_unlock();
	if (action.handler <= SIGNAL_IGNORE) {
		return signal;
	}
	if (enter(frame, info, &action)) {
		return 0;
	}
	return signal == SIGNAL_SEGV ? signal : signal_raise(frame, &no_stack); /* D4 */
}

static _Noreturn void die(const struct signal_info *info)
{
	const struct process *process = process_current();
	const unsigned signal = (unsigned)info->number;

	if (info->code == SIGNAL_BY_USER || info->code == SIGNAL_BY_TKILL) {
		if (info->sender.pid == process->pid) {
			kernel_say("%s: killed by signal %u, sent by itself", process->name, signal);
		} else {
			kernel_say("%s: killed by signal %u, sent by process %u", process->name, signal,
			    info->sender.pid);
		}
	} else {
		kernel_say("%s: killed by signal %u", process->name, signal);
	}
	process_kill(signal);
}

/* Not until the process goes on, or is to end. With the lock. */
static void stay_stopped(struct process *process)
{
	while (process->stopped) {
		thread_current()->stays = true;
		sched_sleep();
	}
	thread_current()->stays = false;
}

/* All threads of the process stop on their way to user mode. */
static void stop(struct process *process, unsigned signal)
{
	kernel_lock();
	signal_stop(process, signal);
	kernel_unlock();
}

/* A call that was cut short and finds a handler: D2. */
static void end_call(struct port_frame *frame, int64_t *cut, uint64_t flags)
{
	if (*cut == 0) {
		return;
	}
	if (*cut == -ERESTARTSYS && (flags & SIGNAL_RESTART) != 0) {
		port_frame_restart(frame, false);
	} else {
		port_frame_result(frame, -EINTR);
	}
	*cut = 0;
}

/* The next signal and what is to be done with it; false: there is none. */
static bool next_signal(struct thread *thread, struct signal_info *info, struct signal_action *action)
{
	bool found;

	kernel_lock();
	stay_stopped(thread->process);
	found = signal_take(thread, ~thread->signal_mask, info);
	if (!found && thread->mask_changed) {
		thread->signal_mask = thread->mask_before;
		thread->mask_changed = false;
		found = signal_take(thread, ~thread->signal_mask, info);
	}
	if (found) {
		*action = get_action(thread->process, (unsigned)info->number);
	} else {
		cpu_this()->port.attention = 0;
	}
	sched_leave();
	return found;
}

static void deliver(struct port_frame *frame, int64_t cut)
{
	struct thread *thread = thread_current();
	struct signal_info info;
	struct signal_action action;

	if (cpu_this()->put_off) {
		sched_catch_up();
	}
	while (next_signal(thread, &info, &action)) {
		const unsigned signal = (unsigned)info.number;

		if (action.handler == SIGNAL_IGNORE ||
		    (action.handler == SIGNAL_DEFAULT && signal_is_harmless(signal))) {
			continue;
		}
		if (action.handler == SIGNAL_DEFAULT) {
			if (signal < SIGNAL_STOP || signal > SIGNAL_TTOU) {
				die(&info);
			}
			stop(thread->process, signal);
			continue;
		}
		end_call(frame, &cut, action.flags);
		if (!enter(frame, &info, &action)) {
			const struct signal_info no_stack = {.number = SIGNAL_SEGV, .code = SIGNAL_BY_KERNEL};

			if (signal == SIGNAL_SEGV || signal_raise(frame, &no_stack) != 0) {
				kernel_say("%s: no stack for the handler of signal %u at %lx",
				    thread->process->name, signal, port_frame_sp(frame));
				die(&no_stack);
			}
		}
	}
	if (cut != 0) {
		port_frame_restart(frame, cut == -ERESTART_BLOCK);
	}
}

void kernel_leave_trap(struct port_frame *frame)
{
	deliver(frame, 0);
}

/* The end of a handler: the registers, the mask and the stack that it was entered with. */
static void leave_handler(struct port_frame *frame)
{
	static const struct signal_info bad = {.number = SIGNAL_SEGV, .code = SIGNAL_BY_KERNEL};
	struct thread *thread = thread_current();
	struct signal_stack stack;
	uint64_t mask;

	if (!port_signal_leave(frame, &mask, &stack)) {
		if (signal_raise(frame, &bad) != 0) {
			kernel_say(
			    "%s: no frame of a handler at %lx", thread->process->name, port_frame_sp(frame));
			die(&bad);
		}
		return;
	}
	(void)signal_stack_set(thread, &stack, port_frame_sp(frame));
	kernel_lock();
	thread->signal_mask = mask & ~SIGNALS_ALWAYS;
	kernel_unlock();
}

void kernel_leave_call(struct port_frame *frame, int64_t result)
{
	struct thread *thread = thread_current();
	int64_t cut = 0;

	if (thread->returns) {
		thread->returns = false;
		leave_handler(frame);
	} else if (result == -ERESTARTSYS || result == -ERESTARTNOHAND || result == -ERESTART_BLOCK) {
		cut = result;
	} else {
		port_frame_result(frame, result);
	}
	deliver(frame, cut);
}
