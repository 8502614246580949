/* SPDX-License-Identifier: MIT */
/*
 * wait.c - how a child ended, stopped or went on: SIGCHLD for its parent, and wait4() and waitid().
 *
 * W1. A child that has ended is told of once, to one who waits for that, and is then freed by him. One
 *     whose parent ignores SIGCHLD, or says so in its action, is nobody's and is told of to nobody.
 * W2. A stop, and its end, is told of once, if somebody asks before the next one.
 *
 * Lock: the kernel's, for all of it.
 */
#include "calls.h"
#include "family.h"
#include "stretch.h"

enum { WNOHANG = 1, WSTOPPED = 2, WEXITED = 4, WCONTINUED = 8, WNOWAIT = 0x01000000 };
#define WAIT_CLONES 0xe0000000u /* which kind of children: there is one */

enum { CODE_STOPPED = 5, CODE_CONTINUED = 6 };

/* What is told of a child: si_code and si_status. */
struct news {
	int32_t code;
	uint32_t status;
};

static struct news end_of(const struct process *child)
{
	if (child->signal != 0) {
		return (struct news){SIGNAL_CHLD_KILLED, child->signal};
	}
	return (struct news){SIGNAL_CHLD_EXITED, child->status};
}

static struct signal_info info_of(const struct process *child, struct news news)
{
	return (struct signal_info){
	    .number = SIGNAL_CHLD,
	    .code = news.code,
	    .sender = {.pid = child->pid, .uid = KERNEL_USER, .value = news.status},
	};
}

static void tell(struct process *child, struct news news)
{
	struct process *parent = child->parent;
	const struct signal_info info = info_of(child, news);

	for (struct thread *t = parent->threads; t != NULL; t = t->sibling) {
		if (t->waits_child && t->state == THREAD_WAITING) {
			t->waits_child = false;
			sched_wake(t);
		}
	}
	(void)signal_send(parent, NULL, &info);
}

void wait_ended(struct process *process)
{
	struct process *parent = process->parent;
	const struct signal_action *action;

	if (parent == NULL) {
		return;
	}
	action = &parent->actions[SIGNAL_CHLD - 1];
	if (action->handler == SIGNAL_IGNORE || (action->flags & SIGNAL_NO_CHILD_WAIT) != 0) { /* W1 */
		tell(process, end_of(process));
		process->parent = NULL;
		return;
	}
	tell(process, end_of(process));
}

static bool wants_stops(const struct process *parent)
{
	return parent != NULL && (parent->actions[SIGNAL_CHLD - 1].flags & SIGNAL_NO_CHILD_STOP) == 0;
}

void wait_stopped(struct process *process)
{
	process->stop_untold = true;
	process->go_untold = false;
	if (wants_stops(process->parent)) {
		tell(process, (struct news){CODE_STOPPED, process->stop_signal});
	}
}

void wait_goes_on(struct process *process)
{
	process->stop_untold = false;
	process->go_untold = true;
	if (wants_stops(process->parent)) {
		tell(process, (struct news){CODE_CONTINUED, SIGNAL_CONT});
	}
}

/* Whom a call is for: pid > 0: this one; 0: of the own group; -1: any; else of the group -pid. */
static bool is_meant(const struct process *child, int32_t pid)
{
	if (child->parent != process_current()) {
		return false;
	}
	return pid > 0 ? child->pid == (uint32_t)pid
		       : pid == -1 || child->group == (pid == 0 ? process_current()->group : (uint32_t)-pid);
}

/* Something that is asked for, and is so of this child. */
static bool has_news(struct process *child, uint64_t options, struct news *out)
{
	const bool keep = (options & WNOWAIT) != 0;

	if (child->state == PROCESS_ENDED) {
		*out = end_of(child);
		return (options & WEXITED) != 0;
	}
	if (child->stop_untold && (options & WSTOPPED) != 0) {
		child->stop_untold = keep;
		*out = (struct news){CODE_STOPPED, child->stop_signal};
		return true;
	}
	if (child->go_untold && (options & WCONTINUED) != 0) {
		child->go_untold = keep;
		*out = (struct news){CODE_CONTINUED, SIGNAL_CONT};
		return true;
	}
	return false;
}

/* The child of which there is news; NULL and 0 or an error when there is none. One that has ended, and is
 * not to be kept, is the caller's: F1 in family.c. */
static int64_t look(int32_t pid, uint64_t options, struct process **out, struct news *news)
{
	for (;;) {
		bool any = false;
		int woken;

		for (struct process *p = process_next(NULL); p != NULL; p = process_next(p)) {
			if (!is_meant(p, pid)) {
				continue;
			}
			any = true;
			if (has_news(p, options, news)) {
				*out = p;
				return 0;
			}
		}
		if (!any || (options & WNOHANG) != 0) {
			return any ? 0 : -ECHILD;
		}
		thread_current()->waits_child = true;
		woken = sched_wait(0);
		thread_current()->waits_child = false;
		if (woken == EINTR) {
			return -ERESTARTSYS;
		}
	}
}

/* *out_pid: 0 when there is no news. */
static int64_t wait_for(int32_t pid, uint64_t options, struct news *news, struct signal_info *out)
{
	struct process *child = NULL;
	bool ended = false;
	int64_t result;

	kernel_lock();
	result = look(pid, options, &child, news);
	if (child != NULL) {
		*out = info_of(child, *news);
		ended = child->state == PROCESS_ENDED && (options & WNOWAIT) == 0;
	}
	if (ended) {
		child->parent = NULL;
		child->state = PROCESS_MADE;
	}
	sched_leave();
	if (ended) {
		stretch_begin(STRETCH_WAIT);
		process_free(child);
		stretch_end();
	}
	return result;
}

/* As Linux puts it into a status. */
static uint32_t wait_status(struct news news)
{
	switch (news.code) {
	case SIGNAL_CHLD_EXITED:
		return news.status << 8;
	case CODE_STOPPED:
		return news.status << 8 | 0x7f;
	case CODE_CONTINUED:
		return 0xffff;
	default:
		return news.status;
	}
}

static const uint64_t no_usage[18]; /* struct rusage: nothing is counted */

int64_t call_wait4(const uint64_t *argument)
{
	const uint32_t options = (uint32_t)argument[2];
	struct signal_info info = {0};
	struct news news = {0};
	uint32_t status;
	int64_t result;

	if ((options & ~(WAIT_CLONES | WNOHANG | WSTOPPED | WCONTINUED)) != 0) {
		return -EINVAL;
	}
	if ((int32_t)argument[0] == INT32_MIN) {
		return -ESRCH;
	}
	result = wait_for((int32_t)argument[0], options | WEXITED, &news, &info);
	if (result != 0 || info.number == 0) {
		return result;
	}
	status = wait_status(news);
	if ((argument[1] != 0 && kernel_copy_out(argument[1], &status, sizeof(status)) != 0) ||
	    (argument[3] != 0 && kernel_copy_out(argument[3], no_usage, sizeof(no_usage)) != 0)) {
		return -EFAULT;
	}
	return (int64_t)info.sender.pid;
}

/* The beginning of siginfo_t is written in any case: zero when there is no news. */
int64_t call_waitid(const uint64_t *argument)
{
	enum { P_ALL, P_PID, P_PGID };
	const uint32_t options = (uint32_t)argument[3];
	const int32_t id = (int32_t)argument[1];
	struct signal_info info = {0};
	struct news news = {0};
	int32_t pid = -1;
	int64_t result;

	if ((options & ~(WAIT_CLONES | WNOHANG | WSTOPPED | WEXITED | WCONTINUED | WNOWAIT)) != 0 ||
	    (options & (WEXITED | WSTOPPED | WCONTINUED)) == 0 || (uint32_t)argument[0] > P_PGID) {
		return -EINVAL;
	}
	if ((uint32_t)argument[0] == P_PID) {
		if (id <= 0) {
			return -EINVAL;
		}
		pid = id;
	} else if ((uint32_t)argument[0] == P_PGID) {
		if (id < 0) {
			return -EINVAL;
		}
		pid = -id;
	}
	result = wait_for(pid, options, &news, &info);
	if (result != 0) {
		return result;
	}
	if (argument[2] != 0 && kernel_copy_out(argument[2], &info, 32) != 0) {
		return -EFAULT;
	}
	return argument[4] != 0 ? kernel_copy_out(argument[4], no_usage, sizeof(no_usage)) : 0;
}
