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
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct board *board;
static int board_fd;
static unsigned me;
static int maps = -1;
static sigjmp_buf back;
static volatile int64_t caught;

/* Where the heap really begins; what of it is called what (HEAP). */
static uint64_t heap;

static uint64_t real(uint64_t address)
{
	return address - HEAP < HEAP_PAGES * PAGE + 1 ? address - HEAP + heap : address;
}

static uint64_t logical(uint64_t address)
{
	return address - heap < HEAP_PAGES * PAGE + 1 ? address - heap + HEAP : address;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	uint64_t at = (uint64_t)(uintptr_t)info->si_addr;
	if (!is_seen(logical(at))) { /* the helper itself is broken */
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
	return *(volatile int64_t *)(uintptr_t)real(address);
}

static int64_t store(uint64_t address, uint64_t value)
{
	if (sigsetjmp(back, 0) != 0) {
		return -caught;
	}
	*(volatile uint64_t *)(uintptr_t)real(address) = value;
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
	if (!is_seen(logical(at))) {
		if (s->kind == STEP_MMAP) {
			(void)raw(SYS_munmap, at, length, 0, 0, 0, 0);
		} else {
			int64_t again = raw(SYS_mremap, at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
			    real(s->target & ~(PAGE - 1)), 0);
			if (again < 0) {
				(void)raw(SYS_munmap, at, length, 0, 0, 0, 0);
			}
		}
		return ELSEWHERE;
	}
	return (int64_t)logical(at);
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

/* An mprotect that goes down to the start of a mapping, which begins where another one that is alike ends. */
static bool grows_from_joint(const struct step *s)
{
	unsigned i = 0;
	while (i < line_count && lines[i].end <= s->address) {
		i++;
	}
	for (unsigned j = 0; i < line_count && j < joint_count; j++) {
		if (joints[j] == lines[i].start) {
			return s->kind == STEP_MPROTECT && s->prot & STACK_DOWN;
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

static int files[FILES];

static void resync(const struct step *s)
{
	uint64_t start, length;
	for (unsigned i = 0; i < 3; i++) {
		if (resync_range(s, i, &start, &length)) {
			(void)raw(SYS_munmap, real(start), length, 0, 0, 0, 0);
		}
	}
}

static int64_t call_mmap(const struct step *s, uint64_t at)
{
	uint64_t fd = s->file ? (uint64_t)files[s->file - 1] : UINT64_MAX;
	return inside(
	    s, raw(SYS_mmap, at, s->length, (uint64_t)s->prot, (uint64_t)s->flags, fd, s->offset), s->length);
}

static int64_t call_mremap(const struct step *s, uint64_t at)
{
	return inside(s,
	    raw(SYS_mremap, at, s->length, s->new_length, (uint64_t)s->flags, real(s->target), 0),
	    s->new_length);
}

/* Linux may free what it was advised to at any time; here it does so at once. */
static int64_t call_madvise(const struct step *s, uint64_t at)
{
	int64_t result = raw(SYS_madvise, at, s->length, (uint64_t)s->flags, 0, 0, 0);
	if (s->flags == MADV_FREE) {
		(void)raw(SYS_madvise, at, s->length, MADV_DONTNEED, 0, 0, 0);
	}
	return result;
}

static int64_t call_mincore(const struct step *s, uint64_t at)
{
	static unsigned char vector[64];
	uint64_t to = s->target ? s->target : (uint64_t)(uintptr_t)vector;
	int64_t result = raw(SYS_mincore, at, s->length, to, 0, 0, 0);
	for (unsigned i = 0; result >= 0 && i < sizeof(vector) - 1 && i * PAGE < s->length; i++) {
		result |= (int64_t)(vector[i] & 1) << i;
	}
	return result;
}

/* What was stored behind the end goes first: some versions of Linux show it when the file grows. */
static int64_t call_ftruncate(const struct step *s)
{
	int fd = files[s->file - 1];
	struct stat now;
	if (s->file < FILES && (int64_t)s->offset >= 0 && fstat(fd, &now) == 0) {
		(void)raw(SYS_ftruncate, (uint64_t)fd, (uint64_t)now.st_size, 0, 0, 0, 0);
	}
	return raw(SYS_ftruncate, (uint64_t)fd, s->offset, 0, 0, 0, 0);
}

/* All of them that take a range of addresses and one more argument. */
static int64_t call_range(const struct step *s, uint64_t at)
{
	static const short number[STEP_KINDS] = {
	    [STEP_MUNMAP] = SYS_munmap,
	    [STEP_MPROTECT] = SYS_mprotect,
	    [STEP_MLOCK] = SYS_mlock2,
	    [STEP_MUNLOCK] = SYS_munlock,
	    [STEP_MSYNC] = SYS_msync,
	    [STEP_MSEAL] = CALL_MSEAL,
	};
	return raw(number[s->kind], at, s->length, (uint64_t)(s->kind == STEP_MPROTECT ? s->prot : s->flags),
	    0, 0, 0);
}

static int64_t execute(const struct step *s)
{
	uint64_t at = real(s->address);
	switch (s->kind) {
	case STEP_MMAP:
		return call_mmap(s, at);
	case STEP_MREMAP:
		return call_mremap(s, at);
	case STEP_MADVISE:
		return call_madvise(s, at);
	case STEP_MINCORE:
		return call_mincore(s, at);
	case STEP_MLOCKALL:
		return raw(SYS_mlockall, (uint64_t)s->flags, 0, 0, 0, 0, 0);
	case STEP_MUNLOCKALL:
		return raw(SYS_munlockall, 0, 0, 0, 0, 0, 0);
	case STEP_BRK:
		return (int64_t)logical((uint64_t)raw(SYS_brk, at, 0, 0, 0, 0, 0));
	case STEP_FTRUNCATE:
		return call_ftruncate(s);
	case STEP_READ:
		return load(s->address);
	case STEP_WRITE:
		return store(s->address, s->value);
	case STEP_FORK:
	case STEP_KINDS:
		return 0;
	default:
		return call_range(s, at);
	}
}

/* Pages of the range that are not known to hold anything, as bits. */
static uint64_t zero_pages(const struct step *s)
{
	uint64_t bits = 0;
	for (unsigned i = 0; i < SEEN; i++) {
		uint64_t page = (page_address(i) - s->address) / PAGE;
		if (page < 64 && !board->holds[me][i]) {
			bits |= UINT64_C(1) << page;
		}
	}
	return bits;
}

/* One line, "start-end perm ...", as far as it is in [from, to). */
static void take_line(struct report *out, const char *line, uint64_t from, uint64_t to)
{
	uint64_t start, end;
	char *rest;
	start = strtoull(line, &rest, 16);
	end = strtoull(rest + 1, &rest, 16);
	start = start < from ? from : start;
	end = end > to ? to : end;
	if (start < end) {
		end = logical(end);
		start = logical(start);
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
}

static void take_lines(struct report *out, const char *text, uint64_t from, uint64_t to)
{
	for (const char *line = text; line && *line;) {
		take_line(out, line, from, to);
		line = strchr(line, '\n');
		line += line != NULL;
	}
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
		/* The list rises: a line behind both parts ends it. */
		char *last = strrchr(text, '\n'), *line = last;
		while (line && line > text + from && line[-1] != '\n') {
			line--;
		}
		if (line &&
		    strtoull(line, NULL, 16) >= (heap > WINDOW ? heap + HEAP_PAGES * PAGE : WINDOW_END)) {
			break;
		}
	}
	take_lines(out, text, WINDOW, WINDOW_END);
	take_lines(out, text, heap, heap + HEAP_PAGES * PAGE);
}

static void run_step(const struct step *s, struct report *out)
{
	list_regions(out); /* looking may have let some grow */
	out->zero = s->kind == STEP_MINCORE ? zero_pages(s) : 0;
	bool odd = s->kind == STEP_MREMAP && crosses_joint(s);
	out->skipped =
	    !probe_knows(&board->facts, s, meets_shared(s), meets_several(s)) || grows_from_joint(s);
	out->result = out->skipped ? 0 : execute(s);
	out->resync = odd && out->result == -EFAULT;
	if (out->resync) {
		resync(s);
	}
}

static void mark(page_set set, uint64_t address, uint64_t length, bool to)
{
	for (unsigned i = 0; i < SEEN; i++) {
		uint64_t page = page_address(i);
		if (page + PAGE > address && page < address + length) {
			set[i] = to;
		}
	}
}

/* A page may have come to another place with its content: what is not known is looked at. */
static void note(page_set written, page_set holds, const struct step *s)
{
	uint64_t from = s->address & ~(PAGE - 1), to = s->target & ~(PAGE - 1);
	uint64_t old = s->length < PAGE * SEEN ? s->length : 0;
	uint64_t new = s->new_length < PAGE *SEEN ? s->new_length : 0;
	if (s->kind == STEP_WRITE) {
		mark(written, s->address, 8, true);
	} else if (s->kind == STEP_MREMAP) {
		mark(written, to, new, true);
		mark(written, from, old, true);
		mark(holds, to, new, false);
		mark(holds, from, old, false);
	}
}

static void look(page_set written, page_set holds, bool every, struct report *out)
{
	list_regions(out);
	for (unsigned i = 0; i < SEEN; i++) {
		out->pages[i] = every || written[i];
		if (out->pages[i]) {
			out->word[i][0] = load(page_address(i));
			out->word[i][1] = load(page_address(i) + PAGE - 8);
			/* What cannot be read now may be there; what is not mapped is not. */
			written[i] =
			    (out->word[i][0] || out->word[i][1]) && out->word[i][0] != -SIGNAL_MAPERR;
			holds[i] = out->word[i][0] > 0 || out->word[i][1] > 0 ||
				   (holds[i] && out->word[i][0] == -SIGNAL_ACCERR);
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

static struct entry entry; /* whose turn it is */

static off_t entry_place(void)
{
	return (off_t)(BOARD_ENTRIES + board->at * sizeof(entry));
}

/* The first bytes of it. */
static void read_entry(size_t bytes)
{
	if (board->at < board->count && pread(board_fd, &entry, bytes, entry_place()) != (ssize_t)bytes) {
		_exit(8);
	}
}

static void write_entry(void)
{
	if (pwrite(board_fd, &entry, sizeof(entry), entry_place()) != (ssize_t)sizeof(entry)) {
		_exit(8);
	}
}

static unsigned next_one(void)
{
	read_entry(offsetof(struct entry, step));
	return board->at < board->count ? entry.process : TEST;
}

/* The child goes on as the process that the entry says; true in it. */
static bool give_birth(struct entry *e)
{
	memcpy(board->written[e->child], board->written[me], sizeof(page_set));
	memcpy(board->holds[e->child], board->holds[me], sizeof(page_set));
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
		struct entry *e = &entry;
		read_entry(offsetof(struct entry, report));
		switch (e->action) {
		case ACTION_STEP:
			run_step(&e->step, &e->report);
			note(board->written[me], board->holds[me], &e->step);
			look(board->written[me], board->holds[me], e->step.fill, &e->report);
			break;
		case ACTION_LOOK:
			look(board->written[me], board->holds[me], false, &e->report);
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
		write_entry();
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

/* The break on a page, one below it, and nothing above it. */
static void find_heap(void)
{
	heap = (((uint64_t)raw(SYS_brk, 0, 0, 0, 0, 0, 0) + PAGE - 1) & ~(PAGE - 1)) + PAGE;
	if ((uint64_t)raw(SYS_brk, heap, 0, 0, 0, 0, 0) != heap) {
		_exit(6);
	}
}

static void make_files(void)
{
	char path[32];
	for (unsigned i = 0; i < FILES - 1; i++) {
		files[i] = memfd_create("file", MFD_CLOEXEC);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", files[0]);
	files[FILES - 1] = open(path, O_RDONLY | O_CLOEXEC);
	if (files[FILES - 1] < 0 || files[FILES - 2] < 0) {
		_exit(6);
	}
}

int main(int argc, char **argv)
{
	board_fd = argc == 2 ? atoi(argv[1]) : -1;
	board = board_map(board_fd, sizeof(*board));
	if (!board) {
		return 7;
	}
	probe_become_ordinary();
	probe_facts(&board->facts, board->generous);
	catch_signals();
	make_files();
	find_heap();
	serve();
}
