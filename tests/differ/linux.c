/* SPDX-License-Identifier: MIT */
/*
 * linux.c - the side of the real kernel, as the test sees it: it starts a helper (helper.c), and waits until
 * it and its children have done all there is to do.
 */
#define _GNU_SOURCE
#include "board.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct board *board;
static int board_fd = -1;

struct entry *linux_entries(void)
{
	if (!board) {
		board_fd = memfd_create("board", 0);
		if (board_fd < 0 || ftruncate(board_fd, BOARD_BYTES) != 0 ||
		    !(board = board_map(board_fd, BOARD_BYTES))) {
			differ_fail("no memory to share: %s", strerror(errno));
		}
	}
	return (struct entry *)(void *)((unsigned char *)board + BOARD_ENTRIES);
}

const struct facts *linux_facts(void)
{
	return &board->facts;
}

void linux_run(const char *helper, unsigned count, bool generous)
{
	char number[16];
	snprintf(number, sizeof(number), "%d", board_fd);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* a helper whose parent is gone is ours, */
	signal(SIGCHLD, SIG_IGN);		   /* and nobody is waited for */
	board->count = count;
	board->generous = generous;
	fflush(NULL);
	if (access(helper, X_OK) != 0) {
		differ_fail("the helper %s cannot be run: %s", helper, strerror(errno));
	}
	pid_t pid = fork();
	if (pid < 0) {
		differ_fail("fork: %s", strerror(errno));
	}
	if (pid == 0) {
		execl(helper, helper, number, (char *)NULL);
		_exit(8);
	}
	board_give(board, 0);
	board_wait(board, TEST);
}
