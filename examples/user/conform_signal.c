/* SPDX-License-Identifier: MIT */
/* conform: the signals of accesses that fail, and programs that mend what they find. */
#include "conform.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum access { READ, WRITE, EXECUTE };

static sigjmp_buf back;
static volatile sig_atomic_t got_signal, got_code;
static unsigned char *volatile got_address;

static void leave(int number, siginfo_t *info, void *context)
{
	(void)context;
	got_signal = number;
	got_code = info->si_code;
	got_address = info->si_addr;
	siglongjmp(back, 1);
}

static void catch_with(void (*function)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = function;
	action.sa_flags = SA_SIGINFO | flags;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static void catch_no_more(void)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

static void touch(volatile unsigned char *at, enum access how)
{
	if (how == READ) {
		(void)*at;
	} else if (how == WRITE) {
		*at = 1;
	} else {
		void (*function)(void);
		uintptr_t address = (uintptr_t)at;
		memcpy(&function, &address, sizeof(function));
		function();
	}
}

/* "nothing", or the signal, its code, and whether the address is the byte. */
static const char *access_of(unsigned char *at, enum access how)
{
	static char text[64];
	const char *code;

	got_signal = 0;
	if (sigsetjmp(back, 1) == 0) {
		touch(at, how);
	}
	if (got_signal == 0) {
		return "nothing";
	}
	if (got_signal == SIGSEGV) {
		code = got_code == SEGV_MAPERR	 ? "SEGV_MAPERR"
		       : got_code == SEGV_ACCERR ? "SEGV_ACCERR"
						 : "another code";
	} else {
		code = got_code == BUS_ADRERR ? "BUS_ADRERR" : "another code";
	}
	snprintf(text, sizeof(text), "%s %s, %s", got_signal == SIGSEGV ? "SIGSEGV" : "SIGBUS", code,
	    got_address == at ? "at the byte" : "elsewhere");
	return text;
}

static void signals_plain(unsigned char *p)
{
	says("read of nothing", access_of(p - 3, READ));
	says("write of nothing", access_of(p - 1, WRITE));
	says("call of nothing", access_of(p - PAGE + 16, EXECUTE));
	says("read of address 0", access_of(NULL, READ));
	says("write of address 8", access_of((unsigned char *)8, WRITE));
	says("read of the kernel", access_of((unsigned char *)KERNEL, READ));
	protect(p, PAGE, PROT_NONE);
	says("read without permission", access_of(p + 77, READ));
	says("write without permission", access_of(p + 4095, WRITE));
	protect(p, PAGE, PROT_READ);
	says("read of read-only", access_of(p + 1, READ));
	says("write of read-only", access_of(p + 1234, WRITE));
	says("write of read-only that nobody touched",
	    (map(p, PAGE, PROT_READ, PRIVATE | MAP_FIXED), access_of(p + 9, WRITE)));
	says("call of what cannot be executed", access_of(p + PAGE, EXECUTE));
	protect(p, PAGE, PROT_READ | PROT_EXEC);
	says("write of code", access_of(p + 2, WRITE));
	unmap(p, PAGE);
	says("read of what went", access_of(p + 5, READ));
}

static void signals_file(unsigned char *p)
{
	int fd = file(2);

	map_file(p, PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	says("file: read past the end", access_of(p + PAGES(2) + 7, READ));
	says("file: write past the end", access_of(p + PAGES(3) + 4095, WRITE));
	says("file: read before the end", access_of(p + PAGES(2) - 1, READ));
	cut(fd, 10);
	says("file: the rest of its last page", access_of(p + 11, READ));
	says("file: read of what was cut off", access_of(p + PAGE, READ));
	protect(p, PAGES(4), PROT_READ);
	says("file: write past the end of read-only", access_of(p + PAGE + 1, WRITE));
	protect(p, PAGES(4), PROT_NONE);
	says("file: read past the end without permission", access_of(p + PAGE + 1, READ));
	map_file(p, PAGES(4), RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
	says("file: read past the end, private", access_of(p + PAGE + 3, READ));
	says("file: write past the end, private", access_of(p + PAGE + 3, WRITE));
	cut(fd, PAGES(2));
	says("file: grown", access_of(p + PAGE + 3, WRITE));
	map(p, PAGE, RW, SHARED | MAP_FIXED);
	if (remap(p, 0, PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGES(2)) == (long)(p + PAGES(2))) {
		says("shared memory past its end", access_of(p + PAGES(3), READ));
	}
	drop(p, 4);
	close(fd);
}

void group_signals(void)
{
	unsigned char *p = area(4);

	catch_with(leave, 0);
	signals_plain(p);
	signals_file(p);
	map(p, PAGES(4), RW, PRIVATE | MAP_FIXED);
	if (advise(p + PAGE, PAGE, 102) == 0) {
		says("guard: read", access_of(p + PAGE + 1, READ));
		says("guard: write", access_of(p + PAGE + 4095, WRITE));
	} else {
		unknown("guard: read");
		unknown("guard: write");
	}
	catch_no_more();
	drop(p, 4);
}

static volatile sig_atomic_t mended;

static void mend_protect(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	mended++;
	if (mended > 10 ||
	    protect((void *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1)), PAGE, RW) != 0) {
		_exit(3);
	}
}

static void mend_map(int number, siginfo_t *info, void *context)
{
	unsigned char *page = (unsigned char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));

	(void)number;
	(void)context;
	mended++;
	if (mended > 10 || map(page, PAGE, RW, PRIVATE | MAP_FIXED) != (long)page) {
		_exit(3);
	}
	page[100] = 100;
}

static volatile uintptr_t stack_byte;
static volatile int depth;

static __attribute__((noinline)) int deeper(int n)
{
	volatile unsigned char room[1024];

	room[0] = (unsigned char)n;
	stack_byte = (uintptr_t)room;
	depth = n;
	return n < 1 << 20 ? deeper(n + 1) + room[0] : 0;
}

static int ignores_segv(unsigned char *p)
{
	signal(SIGSEGV, SIG_IGN);
	*(volatile unsigned char *)p = 1;
	return 7;
}

static int blocks_segv(unsigned char *p)
{
	sigset_t set;

	catch_with(leave, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (sigsetjmp(back, 1) == 0) {
		*(volatile unsigned char *)p = 1;
	}
	return 8;
}

static int faults(unsigned char *p)
{
	*(volatile unsigned char *)p = 1;
	return 9;
}

/* Off the stack, with a handler on another one. What was mapped meanwhile is not in the stack's way. */
static void repair_stack(void)
{
	static unsigned char other[65536];
	stack_t stack = {.ss_sp = other, .ss_size = sizeof(other)}, none = {.ss_flags = SS_DISABLE};
	long beside = map(NULL, PAGES(64), RW, PRIVATE);

	holds("a place is chosen below all that the stack may take",
	    beside > 0 && (uintptr_t)beside + PAGES(64) + ((uintptr_t)8 << 20) < (uintptr_t)&beside);
	sigaltstack(&stack, NULL);
	catch_with(leave, SA_ONSTACK);
	got_signal = 0;
	if (sigsetjmp(back, 1) == 0) {
		deeper(0);
	}
	holds("off the stack: SIGSEGV, SEGV_MAPERR", got_signal == SIGSEGV && got_code == SEGV_MAPERR);
	holds("off the stack: near its end",
	    (uintptr_t)got_address < stack_byte + 4096 && (uintptr_t)got_address > stack_byte - 8192);
	holds("off the stack: it was as large as its limit", depth > 7000 && depth < 8192);
	sigaltstack(&none, NULL);
	unmap((void *)beside, PAGES(64));
}

void group_repair(void)
{
	unsigned char *p = area(4);
	int fd = file(1);

	catch_with(mend_protect, 0);
	mended = 0;
	protect(p, PAGES(2), PROT_NONE);
	*(volatile unsigned char *)(p + 1) = 9;
	holds("mprotect in the handler: the store is done", mended == 1 && p[1] == 9 && p[2] == 1);
	protect(p, PAGES(2), PROT_READ);
	*(volatile unsigned char *)(p + PAGE) += 1;
	holds("mprotect in the handler: the next page", mended == 2 && p[PAGE] == 3 && p[PAGE + 1] == 2);
	catch_with(mend_map, 0);
	mended = 0;
	unmap(p, PAGES(4));
	holds(
	    "mmap in the handler: the load is done", *(volatile unsigned char *)(p + PAGES(3) + 100) == 100);
	holds("mmap in the handler: once", mended == 1);
	map_file(p, PAGES(2), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	holds("mmap in the handler of SIGBUS",
	    *(volatile unsigned char *)(p + PAGE + 100) == 100 && mended == 2);
	drop(p, 4);
	catch_no_more();
	repair_stack();
	catch_no_more();
	holds("without a handler: killed by SIGSEGV", in_child(faults, p) == 1000 + SIGSEGV);
	holds("ignored: killed all the same", in_child(ignores_segv, p) == 1000 + SIGSEGV);
	holds("blocked: killed all the same", in_child(blocks_segv, p) == 1000 + SIGSEGV);
	map_file(p, PAGES(2), RW, MAP_SHARED | MAP_FIXED, fd, PAGE);
	holds("past the end of a file: killed by SIGBUS", in_child(faults, p) == 1000 + SIGBUS);
	drop(p, 4);
	close(fd);
}
