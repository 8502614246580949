/* SPDX-License-Identifier: MIT */
/*
 * helper.c - a program of its own, without sanitizers, which live where programs may not look and make each
 * jump out of a signal handler slow. A process of it for each process of the test, relatives of each other
 * by fork as these are, executes the calls and catches the signals of accesses, by turns (board.h); the
 * kernel's own list says what it has mapped.
 *
 * A helper whose test is gone ends by itself, because nobody gives it a turn.
 */
#define _GNU_SOURCE
#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct board *board;
static unsigned me;
static int maps = -1;
static sigjmp_buf back;
static volatile int64_t caught;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	uint64_t at = (uint64_t)(uintptr_t)info->si_addr;
	if (at < WINDOW || at >= WINDOW_END) { /* the helper itself is broken */
		_exit(9);
	}
	caught = number == SIGBUS		? SIGNAL_ADRERR
		 : info->si_code == SEGV_MAPERR ? SIGNAL_MAPERR
		 : info->si_code == SEGV_ACCERR ? SIGNAL_ACCERR
						: SIGNAL_OTHER;
	siglongjmp(back, 1);
}

/* The word, or -SIGNAL_*. The helper handles nothing else by these signals, so their mask need not be kept.
 */
static int64_t load(uint64_t address)
{
	if (sigsetjmp(back, 0) != 0) {
		return -caught;
	}
	return *(volatile int64_t *)(uintptr_t)address;
}

static int64_t store(uint64_t address, uint64_t value)
{
	if (sigsetjmp(back, 0) != 0) {
		return -caught;
	}
	*(volatile uint64_t *)(uintptr_t)address = value;
	return 0;
}

static int64_t raw(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	long result = syscall(number, a, b, c, d, e, f);
	return result == -1 ? -errno : result;
}

/* An answer outside of the window goes at once; what moved there comes back. */
static int64_t inside(const struct step *s, int64_t result, uint64_t length)
{
	uint64_t at = (uint64_t)result;
	if (result < 0 && result >= -4095) {
		return result;
	}
	if (at < WINDOW || at >= WINDOW_END) {
		if (s->kind == STEP_MMAP) {
			(void)raw(SYS_munmap, at, length, 0, 0, 0, 0);
		} else {
			int64_t again = raw(SYS_mremap, at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
			    s->target & ~(PAGE - 1), 0);
			if (again < 0) {
				(void)raw(SYS_munmap, at, length, 0, 0, 0, 0);
			}
		}
		return ELSEWHERE;
	}
	return result;
}

/* What the list said when it was read last: its lines, and where two of them that are alike meet. */
static struct region lines[REGIONS];
static uint64_t joints[REGIONS];
static unsigned line_count, joint_count;

/* A remap of what is one region to look at, and two to Linux. */
static bool crosses_joint(const struct step *s)
{
	for (unsigned i = 0; i < joint_count; i++) {
		if (joints[i] > s->address && joints[i] - s->address < s->length) {
			return true;
		}
	}
	return false;
}

static bool meets_shared(const struct step *s)
{
	bool meets = false;
	for (unsigned i = 0; i < line_count; i++) {
		meets |= lines[i].shared && s->address < lines[i].end &&
			 (s->address >= lines[i].start || lines[i].start - s->address < s->length);
	}
	return meets;
}

/* More than a part of one mapping. */
static bool meets_several(const struct step *s)
{
	for (unsigned i = 0; i < line_count; i++) {
		if (s->address >= lines[i].start && s->address < lines[i].end) {
			return s->length > lines[i].end - s->address;
		}
	}
	return false;
}

static void resync(const struct step *s)
{
	uint64_t start, length;
	for (unsigned i = 0; i < 3; i++) {
		if (resync_range(s, i, &start, &length)) {
			(void)raw(SYS_munmap, start, length, 0, 0, 0, 0);
		}
	}
}

static int64_t execute(const struct step *s)
{
	switch (s->kind) {
	case STEP_MMAP:
		return inside(s,
		    raw(SYS_mmap, s->address, s->length, (uint64_t)s->prot, (uint64_t)s->flags, UINT64_MAX,
			0),
		    s->length);
	case STEP_MUNMAP:
		return raw(SYS_munmap, s->address, s->length, 0, 0, 0, 0);
	case STEP_MPROTECT:
		return raw(SYS_mprotect, s->address, s->length, (uint64_t)s->prot, 0, 0, 0);
	case STEP_MREMAP:
		return inside(s,
		    raw(SYS_mremap, s->address, s->length, s->new_length, (uint64_t)s->flags, s->target, 0),
		    s->new_length);
	case STEP_MADVISE:
		return raw(SYS_madvise, s->address, s->length, (uint64_t)s->flags, 0, 0, 0);
	case STEP_MLOCK:
		return raw(SYS_mlock2, s->address, s->length, (uint64_t)s->flags, 0, 0, 0);
	case STEP_MUNLOCK:
		return raw(SYS_munlock, s->address, s->length, 0, 0, 0, 0);
	case STEP_MSYNC:
		return raw(SYS_msync, s->address, s->length, (uint64_t)s->flags, 0, 0, 0);
	case STEP_READ:
		return load(s->address);
	case STEP_WRITE:
		return store(s->address, s->value);
	default:
		return 0;
	}
}

static void run_step(const struct step *s, struct report *out)
{
	bool odd = s->kind == STEP_MREMAP && crosses_joint(s);
	out->skipped = !probe_knows(&board->facts, s, meets_shared(s), meets_several(s));
	out->result = out->skipped ? 0 : execute(s);
	out->resync = odd && out->result == -EFAULT;
	if (out->resync) {
		resync(s);
	}
}

/* One line: "start-end perm ..."; false behind the window. */
static bool take_line(struct report *out, const char *line)
{
	uint64_t start, end;
	char *rest;
	start = strtoull(line, &rest, 16);
	end = strtoull(rest + 1, &rest, 16);
	if (start >= WINDOW_END) {
		return false;
	}
	if (end > WINDOW) {
		unsigned permission = (rest[1] == 'r' ? PROT_READ : 0u) | (rest[2] == 'w' ? PROT_WRITE : 0u) |
				      (rest[3] == 'x' ? PROT_EXEC : 0u);
		unsigned before = out->regions;
		if (line_count < REGIONS) {
			lines[line_count++] = (struct region){start, end, permission, rest[4] == 's'};
		}
		report_region(out, start, end, permission, rest[4] == 's');
		if (out->regions == before) {
			joints[joint_count++] = start;
		}
	}
	return true;
}

static void list_regions(struct report *out)
{
	static char text[16384];
	size_t length = 0;
	ssize_t n;
	out->regions = joint_count = line_count = 0;
	while (length < sizeof(text) - 1 &&
	       (n = pread(maps, text + length, sizeof(text) - 1 - length, (off_t)length)) > 0) {
		size_t from = length;
		length += (size_t)n;
		text[length] = 0;
		/* The list rises: a line behind the window ends it. */
		char *last = strrchr(text, '\n'), *line = last;
		while (line && line > text + from && line[-1] != '\n') {
			line--;
		}
		if (line && strtoull(line, NULL, 16) >= WINDOW_END) {
			break;
		}
	}
	for (char *line = text; line && *line && take_line(out, line);) {
		line = strchr(line, '\n');
		line += line != NULL;
	}
}

static void mark(page_set set, uint64_t address, uint64_t length)
{
	for (unsigned i = 0; i < WINDOW_PAGES; i++) {
		uint64_t page = WINDOW + i * PAGE;
		if (page + PAGE > address && page < address + length) {
			set[i] = 1;
		}
	}
}

/* A page may have come to another place with its content: what is not known is looked at. */
static void note(page_set written, const struct step *s)
{
	if (s->kind == STEP_WRITE) {
		mark(written, s->address, 8);
	} else if (s->kind == STEP_MREMAP) {
		mark(written, s->target & ~(PAGE - 1),
		    s->new_length < PAGE * WINDOW_PAGES ? s->new_length : 0);
		mark(written, s->address & ~(PAGE - 1), s->length < PAGE * WINDOW_PAGES ? s->length : 0);
	}
}

static void look(page_set written, bool every, struct report *out)
{
	list_regions(out);
	for (unsigned i = 0; i < WINDOW_PAGES; i++) {
		out->pages[i] = every || written[i];
		if (out->pages[i]) {
			out->word[i][0] = load(WINDOW + i * PAGE);
			out->word[i][1] = load(WINDOW + (i + 1) * PAGE - 8);
			/* What cannot be read now may be there; what is not mapped is not. */
			written[i] =
			    (out->word[i][0] || out->word[i][1]) && out->word[i][0] != -SIGNAL_MAPERR;
		}
	}
}

static void open_maps(void)
{
	if (maps >= 0) {
		close(maps);
	}
	maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (maps < 0) {
		_exit(5);
	}
}

static unsigned next_one(void)
{
	return board->at < board->count ? board->entries[board->at].process : TEST;
}

/* The child goes on as the process that the entry says; true in it. */
static bool give_birth(struct entry *e)
{
	memcpy(board->written[e->child], board->written[me], sizeof(page_set));
	pid_t pid = fork();
	if (pid == 0) {
		me = e->child;
		open_maps(); /* the parent's descriptor shows the parent */
		return true;
	}
	e->report.result = pid < 0 ? -errno : 0;
	return false;
}

static _Noreturn void serve(void)
{
	open_maps();
wait:
	board_wait(board, me);
	while (next_one() == me) {
		struct entry *e = &board->entries[board->at];
		switch (e->action) {
		case ACTION_STEP:
			run_step(&e->step, &e->report);
			note(board->written[me], &e->step);
			look(board->written[me], e->step.fill, &e->report);
			break;
		case ACTION_LOOK:
			look(board->written[me], false, &e->report);
			break;
		case ACTION_FORK:
			if (give_birth(e)) {
				goto wait;
			}
			break;
		case ACTION_EXIT:
			board->at++;
			board_give(board, next_one());
			_exit(0);
		}
		board->at++;
	}
	board_give(board, next_one());
	goto wait;
}

static void catch_signals(void)
{
	static unsigned char stack[65536];
	const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {
	    .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
	sigaltstack(&other, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

int main(int argc, char **argv)
{
	board = argc == 2 ? board_map(atoi(argv[1])) : NULL;
	if (!board) {
		return 7;
	}
	probe_become_ordinary();
	probe_facts(&board->facts);
	catch_signals();
	serve();
}
