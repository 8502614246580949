/* SPDX-License-Identifier: MIT */
/*
 * calls_signal.c - system calls on signals. What a thread blocks is changed under the kernel's lock, since
 * whoever sends a signal asks for it.
 */
#include "calls.h"
#include "thread.h"

#define ACTION_FLAGS                                                                                         \
	(SIGNAL_NO_CHILD_STOP | SIGNAL_NO_CHILD_WAIT | SIGNAL_INFO | PORT_SIGNAL_RESTORER |                  \
	    SIGNAL_ON_STACK | SIGNAL_RESTART | SIGNAL_NO_DEFER | SIGNAL_RESET)

/* struct sigaction of the system call: the ISAs without a restorer have no place for one. */
#define ACTION_WORDS (PORT_SIGNAL_RESTORER_FIELD ? 4u : 3u)

static void pack(const struct signal_action *action, uint64_t out[4])
{
	out[0] = action->handler;
	out[1] = action->flags;
	out[2] = action->restorer;
	out[ACTION_WORDS - 1] = action->mask;
}

static struct signal_action unpack(const uint64_t in[4])
{
	return (struct signal_action){
	    .handler = in[0],
	    .flags = in[1] & ACTION_FLAGS,
	    .restorer = PORT_SIGNAL_RESTORER_FIELD ? in[2] : 0,
	    .mask = in[ACTION_WORDS - 1] & ~SIGNALS_ALWAYS,
	};
}

int64_t call_rt_sigaction(const uint64_t *argument)
{
	const uint64_t signal = argument[0];
	struct process *process = process_current();
	struct signal_action old, new;
	uint64_t words[4] = {0};

	if (argument[3] != sizeof(uint64_t)) {
		return -EINVAL;
	}
	if (argument[1] != 0 && kernel_copy_in(words, argument[1], ACTION_WORDS * sizeof(words[0])) != 0) {
		return -EFAULT;
	}
	if (signal == 0 || signal > SIGNALS ||
	    (argument[1] != 0 && (SIGNALS_ALWAYS & signal_bit((unsigned)signal)) != 0)) {
		return -EINVAL;
	}
	new = unpack(words);
	kernel_lock();
	old = process->actions[signal - 1];
	if (argument[1] != 0) {
		process->actions[signal - 1] = new;
		if (new.handler == SIGNAL_IGNORE ||
		    (new.handler == SIGNAL_DEFAULT &&signal_is_harmless((unsigned)signal))) {
			signal_forget(process, (unsigned)signal);
		}
	}
	kernel_unlock();
	pack(&old, words);
	return argument[2] != 0 ? kernel_copy_out(argument[2], words, ACTION_WORDS * sizeof(words[0])) : 0;
}

/* What is pending and no longer blocked is taken when the call ends. */
void signal_set_mask(struct thread *thread, uint64_t mask)
{
	kernel_lock();
	thread->signal_mask = mask & ~SIGNALS_ALWAYS;
	if (thread_attention(thread)) {
		cpu_this()->port.attention = 1;
	}
	if (thread->process->pending.set != 0) {
		signal_pass_on(thread->process);
	}
	kernel_unlock();
}

int64_t call_rt_sigprocmask(const uint64_t *argument)
{
	enum { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };
	struct thread *thread = thread_current();
	const uint64_t before = thread->signal_mask;
	uint64_t set;

	if (argument[3] != sizeof(set)) {
		return -EINVAL;
	}
	if (argument[1] != 0) {
		if (kernel_copy_in(&set, argument[1], sizeof(set)) != 0) {
			return -EFAULT;
		}
		switch ((uint32_t)argument[0]) {
		case SIG_BLOCK:
			set |= before;
			break;
		case SIG_UNBLOCK:
			set = before & ~set;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		signal_set_mask(thread, set);
	}
	return argument[2] != 0 ? kernel_copy_out(argument[2], &before, sizeof(before)) : 0;
}

int64_t call_rt_sigpending(const uint64_t *argument)
{
	const struct thread *thread = thread_current();
	uint64_t set;

	if (argument[1] > sizeof(set)) {
		return -EINVAL;
	}
	kernel_lock();
	set = (thread->pending.set | thread->process->pending.set) & thread->signal_mask;
	kernel_unlock();
	return kernel_copy_out(argument[0], &set, argument[1]);
}

/* Waits for any signal that is to be taken. */
static int64_t wait_for_any(void)
{
	kernel_lock();
	while (sched_wait(0) != EINTR) {
	}
	sched_leave();
	return -ERESTARTNOHAND;
}

int64_t kernel_wait_mask(uint64_t at, uint64_t size)
{
	struct thread *thread = thread_current();
	uint64_t set;

	if (size != sizeof(set)) {
		return -EINVAL;
	}
	if (kernel_copy_in(&set, at, sizeof(set)) != 0) {
		return -EFAULT;
	}
	thread->mask_before = thread->signal_mask;
	thread->mask_changed = true;
	signal_set_mask(thread, set);
	return 0;
}

int64_t call_rt_sigsuspend(const uint64_t *argument)
{
	const int64_t result = kernel_wait_mask(argument[0], argument[1]);

	return result != 0 ? result : wait_for_any();
}

int64_t call_pause(const uint64_t *argument)
{
	(void)argument;
	return wait_for_any();
}

static int64_t copy_info_out(uint64_t to, const struct signal_info *info)
{
	uint8_t bytes[SIGNAL_INFO_SIZE] = {0};

	memcpy(bytes, info, sizeof(*info));
	return kernel_copy_out(to, bytes, sizeof(bytes));
}

/* A signal of the set, which the thread blocks: the number. */
static int64_t wait_for(struct thread *thread, uint64_t set, uint64_t deadline, struct signal_info *out)
{
	int64_t result = 0;

	kernel_lock();
	thread->signal_wanted = set;
	while (result == 0 && !signal_take(thread, set, out)) {
		result = deadline == 1 ? -EAGAIN : -sched_wait(deadline);
		if (result == -EINTR && ((thread->pending.set | thread->process->pending.set) & set) != 0) {
			result = 0;
		}
	}
	thread->signal_wanted = 0;
	sched_leave();
	return result == -ETIMEDOUT ? -EAGAIN : result;
}

int64_t call_rt_sigtimedwait(const uint64_t *argument)
{
	struct signal_info info = {0};
	uint64_t set, time[2], deadline = 0;
	int64_t result;

	if (argument[3] != sizeof(set)) {
		return -EINVAL;
	}
	if (kernel_copy_in(&set, argument[0], sizeof(set)) != 0) {
		return -EFAULT;
	}
	if (argument[2] != 0) {
		result = kernel_copy_in(time, argument[2], sizeof(time));
		result = result != 0 ? result : kernel_deadline(1, argument[2], false, &deadline);
		if (result != 0) {
			return result;
		}
		deadline = time[0] == 0 && time[1] == 0 ? 1 : deadline;
	}
	result = wait_for(thread_current(), set & ~SIGNALS_ALWAYS, deadline, &info);
	if (result == 0 && argument[1] != 0) {
		result = copy_info_out(argument[1], &info);
	}
	return result != 0 ? result : info.number;
}

/* All that has to be done needs the whole frame: deliver.c. */
int64_t call_rt_sigreturn(const uint64_t *argument)
{
	(void)argument;
	thread_current()->returns = true;
	cpu_this()->port.attention = 1;
	return 0;
}

int64_t call_sigaltstack(const uint64_t *argument)
{
	struct thread *thread = thread_current();
	const uint64_t sp = port_call_sp(argument);
	struct signal_stack new, old;
	int64_t result = 0;

	if (argument[0] != 0 && kernel_copy_in(&new, argument[0], sizeof(new)) != 0) {
		return -EFAULT;
	}
	signal_stack_tell(thread, sp, &old);
	if (argument[0] != 0) {
		result = signal_stack_set(thread, &new, sp);
	}
	return result == 0 && argument[1] != 0 ? kernel_copy_out(argument[1], &old, sizeof(old)) : result;
}

static struct signal_info from_here(uint64_t signal, int32_t code)
{
	return (struct signal_info){
	    .number = (int32_t)signal,
	    .code = code,
	    .sender = {.pid = process_current()->pid, .uid = KERNEL_USER},
	};
}

/* With the lock. Signal 0 asks only whether there is somebody. */
static int64_t send(struct process *process, struct thread *thread, const struct signal_info *info)
{
	return info->number == 0 || signal_send(process, thread, info) ? 0 : -EAGAIN;
}

/* To one process, to all of a group (0: the own one, or -group), or to all but this one (-1). */
static int64_t send_to(int32_t pid, const struct signal_info *info)
{
	const struct process *self = process_current();
	int64_t result = -ESRCH;

	kernel_lock();
	for (struct process *p = process_next(NULL); p != NULL; p = process_next(p)) {
		const bool chosen = pid > 0	? p->pid == (unsigned)pid
				    : pid == 0	? p->group == self->group
				    : pid == -1 ? p != self
						: p->group == (unsigned)-pid;

		if (chosen) {
			result = send(p, NULL, info);
		}
	}
	kernel_unlock();
	return result;
}

int64_t call_kill(const uint64_t *argument)
{
	const struct signal_info info = from_here(argument[1], SIGNAL_BY_USER);

	return (uint32_t)argument[1] > SIGNALS ? -EINVAL : send_to((int32_t)argument[0], &info);
}

/* group 0: whatever process the thread is of. */
static int64_t send_to_thread(uint32_t group, uint32_t tid, const struct signal_info *info)
{
	int64_t result = -ESRCH;

	kernel_lock();
	for (struct process *p = process_next(NULL); p != NULL; p = process_next(p)) {
		for (struct thread *t = p->threads; t != NULL; t = t->sibling) {
			if (t->tid == tid && t->state != THREAD_ENDED && (group == 0 || p->pid == group)) {
				result = send(p, t, info);
			}
		}
	}
	kernel_unlock();
	return result;
}

int64_t call_tkill(const uint64_t *argument)
{
	const struct signal_info info = from_here(argument[1], SIGNAL_BY_TKILL);

	if ((int32_t)argument[0] <= 0 || (uint32_t)argument[1] > SIGNALS) {
		return -EINVAL;
	}
	return send_to_thread(0, (uint32_t)argument[0], &info);
}

int64_t call_tgkill(const uint64_t *argument)
{
	const struct signal_info info = from_here(argument[2], SIGNAL_BY_TKILL);

	if ((int32_t)argument[0] <= 0 || (int32_t)argument[1] <= 0 || (uint32_t)argument[2] > SIGNALS) {
		return -EINVAL;
	}
	return send_to_thread((uint32_t)argument[0], (uint32_t)argument[1], &info);
}

/* A program may say what it likes of a signal to itself, but to others only what the kernel never says. */
static int64_t get_info(uint64_t from, uint64_t signal, bool own, struct signal_info *out)
{
	if (kernel_copy_in(out, from, sizeof(*out)) != 0) {
		return -EFAULT;
	}
	if (!own && (out->code >= 0 || out->code == SIGNAL_BY_TKILL)) {
		return -EPERM;
	}
	out->number = (int32_t)signal;
	return (uint32_t)signal > SIGNALS ? -EINVAL : 0;
}

int64_t call_rt_sigqueueinfo(const uint64_t *argument)
{
	struct signal_info info;
	const bool own = (uint32_t)argument[0] == process_current()->pid;
	const int64_t result = get_info(argument[2], argument[1], own, &info);

	if (result != 0) {
		return result;
	}
	return (int32_t)argument[0] <= 0 ? -ESRCH : send_to((int32_t)argument[0], &info);
}

int64_t call_rt_tgsigqueueinfo(const uint64_t *argument)
{
	struct signal_info info;
	const bool own = (uint32_t)argument[1] == thread_current()->tid;
	int64_t result;

	if ((int32_t)argument[0] <= 0 || (int32_t)argument[1] <= 0) {
		return -EINVAL;
	}
	result = get_info(argument[3], argument[2], own, &info);
	return result != 0 ? result : send_to_thread((uint32_t)argument[0], (uint32_t)argument[1], &info);
}
