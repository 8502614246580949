/* SPDX-License-Identifier: MIT */
/*
 * signal.c - who is sent a signal, and what is pending for whom.
 *
 * A signal is noted down, with what is known of it, for a thread or for the whole process; a thread that
 * does not block it is chosen and told to look (its CPU's `attention`). It looks on its way back to user
 * mode, and nowhere else (deliver.c).
 *
 * S1. Of the signals below SIGNAL_REALTIME one of each is pending at most; the others queue. Notes are in
 *     one pool: when that is empty the low ones go without a note, as in Linux.
 * S2. `attention` of a CPU is set while the thread that runs there has something to take. Who sends sets it,
 *     and the switch to a thread computes it (sched.c). A CPU in user mode gets an interrupt with it, and
 *     one in the kernel finds the interrupt waiting at its first instruction outside: none is overlooked.
 * S3. A thread that waits is woken up by a signal that it does not block, whatever it waits for.
 *
 * Locks: all here is the kernel's lock's.
 */
#include "family.h"

#define ENTRIES 256u

struct signal_entry {
	struct signal_entry *next;
	struct signal_info info;
};

static struct signal_entry entries[ENTRIES];
static struct signal_entry *free_entries;
static unsigned entries_used;

static struct signal_entry *entry_get(void)
{
	struct signal_entry *entry = free_entries;

	if (entry != NULL) {
		free_entries = entry->next;
	} else if (entries_used < ENTRIES) {
		entry = &entries[entries_used++];
	}
	return entry;
}

static void entry_put(struct signal_entry *entry)
{
	entry->next = free_entries;
	free_entries = entry;
}

bool signal_is_harmless(unsigned signal)
{
	return signal == SIGNAL_CHLD || signal == SIGNAL_CONT || signal == SIGNAL_URG ||
	       signal == SIGNAL_WINCH;
}

static bool is_ignored(const struct process *process, unsigned signal)
{
	const uint64_t handler = process->actions[signal - 1].handler;

	return handler == SIGNAL_IGNORE || (handler == SIGNAL_DEFAULT && signal_is_harmless(signal));
}

static bool takes(const struct thread *thread, uint64_t bit)
{
	return ((~thread->signal_mask | thread->signal_wanted) & bit) != 0;
}

static bool has_ended(const struct thread *thread)
{
	return thread->state == THREAD_ENDED || thread->state == THREAD_FREE;
}

/* S2, S3 */
static void tell(struct thread *thread)
{
	struct kernel_cpu *cpu = &kernel_cpus[thread->cpu];

	if (thread->state == THREAD_RUNNING) {
		__atomic_store_n(&cpu->port.attention, 1u, __ATOMIC_RELAXED);
		if (cpu != cpu_this()) {
			port_cpu_interrupt(UINT64_C(1) << cpu->number);
		}
	} else if (thread->state == THREAD_WAITING) {
		sched_wake(thread);
	}
}

/* [k] */
static void go_on(struct process *process)
{
	if (!process->stopped) {
		return;
	}
	process->stopped = false;
	wait_goes_on(process);
	for (struct thread *t = process->threads; t != NULL; t = t->sibling) {
		if (t->stays && t->state == THREAD_WAITING) {
			sched_wake(t);
		}
	}
}

void signal_stop(struct process *process, unsigned signal)
{
	process->stopped = true;
	process->stop_signal = signal;
	wait_stopped(process);
	for (struct thread *t = process->threads; t != NULL; t = t->sibling) {
		if (t->state == THREAD_RUNNING) {
			tell(t);
		}
	}
}

/* A thread that would take a signal that is for the process: the running one if it can. */
static struct thread *choose(struct process *process, uint64_t bit)
{
	struct thread *current = cpu_this()->current;

	if (current != NULL && current->process == process && takes(current, bit)) {
		return current;
	}
	for (struct thread *t = process->threads; t != NULL; t = t->sibling) {
		if (!has_ended(t) && takes(t, bit)) {
			return t;
		}
	}
	return NULL;
}

void signal_pass_on(struct process *process)
{
	for (uint64_t left = process->pending.set; left != 0; left &= left - 1) {
		struct thread *thread = choose(process, left & -left);

		if (thread != NULL) {
			tell(thread);
		}
	}
}

/* False: it has to be noted, and cannot. */
static bool note(struct signal_pending *pending, const struct signal_info *info)
{
	struct signal_entry *entry = entry_get();

	if (entry == NULL) {
		return info->number < SIGNAL_REALTIME;
	}
	*entry = (struct signal_entry){.info = *info};
	if (pending->first == NULL) {
		pending->first = entry;
	} else {
		pending->last->next = entry;
	}
	pending->last = entry;
	return true;
}

bool signal_send(struct process *process, struct thread *thread, const struct signal_info *info)
{
	const unsigned signal = (unsigned)info->number;
	const uint64_t bit = signal_bit(signal);
	struct signal_pending *pending = thread != NULL ? &thread->pending : &process->pending;
	struct thread *target = thread;

	if (process->ending || process->state == PROCESS_ENDED) {
		return true;
	}
	if (signal == SIGNAL_CONT) {
		signal_forget(process, SIGNAL_STOP);
		signal_forget(process, SIGNAL_TSTP);
		signal_forget(process, SIGNAL_TTIN);
		signal_forget(process, SIGNAL_TTOU);
		go_on(process);
	} else if (signal == SIGNAL_KILL) {
		go_on(process);
	} else if (signal >= SIGNAL_STOP && signal <= SIGNAL_TTOU) {
		signal_forget(process, SIGNAL_CONT);
	}
	if (target == NULL) {
		target = choose(process, bit);
	} else if (!takes(target, bit)) {
		target = NULL;
	}
	if (target != NULL && (target->signal_mask & bit) == 0 && is_ignored(process, signal)) {
		return true;
	}
	if ((pending->set & bit) == 0 || signal >= SIGNAL_REALTIME) { /* S1 */
		if (!note(pending, info)) {
			return false;
		}
		pending->set |= bit;
	}
	if (target != NULL) {
		tell(target);
	}
	return true;
}

/* The first note of the signal, taken out; without one the signal alone is known. */
static void take(struct signal_pending *pending, unsigned signal, struct signal_info *out)
{
	struct signal_entry *before = NULL, *found = NULL, *found_before = NULL;
	bool more = false;

	for (struct signal_entry *e = pending->first; e != NULL; before = e, e = e->next) {
		if (e->info.number != (int32_t)signal) {
			continue;
		}
		if (found != NULL) {
			more = true;
			break;
		}
		found = e;
		found_before = before;
	}
	if (!more) {
		pending->set &= ~signal_bit(signal);
	}
	if (found == NULL) {
		*out = (struct signal_info){.number = (int32_t)signal};
		return;
	}
	*(found_before != NULL ? &found_before->next : &pending->first) = found->next;
	if (pending->last == found) {
		pending->last = found_before;
	}
	*out = found->info;
	entry_put(found);
}

/* Signals of a thread's own instruction come before others, and then the lowest number. */
static unsigned first_of(uint64_t set)
{
	const uint64_t own = signal_bit(SIGNAL_SEGV) | signal_bit(SIGNAL_BUS) | signal_bit(SIGNAL_ILL) |
			     signal_bit(SIGNAL_TRAP) | signal_bit(SIGNAL_FPE);

	unsigned signal = 1;

	set = (set & own) != 0 ? set & own : set;
	while ((set & signal_bit(signal)) == 0) {
		signal++;
	}
	return signal;
}

bool signal_take(struct thread *thread, uint64_t wanted, struct signal_info *out)
{
	struct signal_pending *pending = &thread->pending;

	if ((pending->set & wanted) == 0) {
		pending = &thread->process->pending;
	}
	if ((pending->set & wanted) == 0) {
		return false;
	}
	take(pending, first_of(pending->set & wanted), out);
	return true;
}

static void forget(struct signal_pending *pending, unsigned signal)
{
	struct signal_info ignored;

	while ((pending->set & signal_bit(signal)) != 0) {
		take(pending, signal, &ignored);
	}
}

void signal_forget(struct process *process, unsigned signal)
{
	forget(&process->pending, signal);
	for (struct thread *t = process->threads; t != NULL; t = t->sibling) {
		forget(&t->pending, signal);
	}
}

void signal_forget_all(struct signal_pending *pending)
{
	for (struct signal_entry *next; pending->first != NULL; pending->first = next) {
		next = pending->first->next;
		entry_put(pending->first);
	}
	*pending = (struct signal_pending){0};
}

void signal_exec(struct process *process)
{
	for (unsigned i = 0; i < SIGNALS; i++) {
		struct signal_action *action = &process->actions[i];

		*action = (struct signal_action){
		    .handler = action->handler == SIGNAL_IGNORE ? SIGNAL_IGNORE : SIGNAL_DEFAULT};
	}
}
