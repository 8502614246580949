/* SPDX-License-Identifier: MIT */
/*
 * board.c - turns between processes, and what both sides of the test say in the same words.
 */
#define _GNU_SOURCE
#include "board.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 60 /* seconds without a turn */

struct board *board_map(int fd, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

void board_wait(struct board *board, unsigned who)
{
	const struct timespec patience = {.tv_sec = PATIENCE};
	while (__atomic_exchange_n(&board->turn[who], 0, __ATOMIC_ACQUIRE) == 0) {
		if (syscall(SYS_futex, &board->turn[who], FUTEX_WAIT, 0, &patience, NULL, 0) != 0 &&
		    errno == ETIMEDOUT) {
			_exit(4);
		}
	}
}

void board_give(struct board *board, unsigned who)
{
	__atomic_store_n(&board->turn[who], 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, &board->turn[who], FUTEX_WAKE, 1, NULL, NULL, 0);
}

void report_region(struct report *report, uint64_t start, uint64_t end, unsigned permission, bool shared)
{
	struct region *last = report->regions ? &report->region[report->regions - 1] : NULL;
	if (last && last->end == start && last->permission == permission && last->shared == shared) {
		last->end = end;
		return;
	}
	if (report->regions < REGIONS) { /* there are no more than pages */
		report->region[report->regions++] = (struct region){start, end, permission, shared};
	}
}

bool resync_range(const struct step *s, unsigned i, uint64_t *out_start, uint64_t *out_length)
{
	*out_start = i == 0 ? s->address : (i == 1 ? s->address : s->target) & ~(PAGE - 1);
	*out_length = i == 0 ? s->length : s->new_length;
	/* What grew in its place may have left what is looked at; nothing else is there. */
	return is_seen(*out_start) && *out_length <= seen_end(*out_start) + MARGIN * PAGE - *out_start;
}
