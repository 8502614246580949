/* SPDX-License-Identifier: MIT */
/*
 * probe.c - the helper becomes an ordinary process, and finds out what this machine's kernel is like: what
 * differs from one version or machine to another is asked for, not assumed.
 */
#define _GNU_SOURCE
#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As user 1000, or whoever may not become that; without capabilities, and without large pages. */
void probe_become_ordinary(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	if (getuid() == 0 && setresgid(1000, 1000, 1000) == 0) {
		(void)!setresuid(1000, 1000, 1000); /* a container may not have him */
	}
	if (syscall(SYS_capset, &header, none) != 0) {
		_exit(6);
	}
	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

/* The soft limit that there is when it was asked for `bytes`. */
static uint64_t limit(int which, uint64_t bytes)
{
	struct rlimit now = {bytes, bytes};
	if (setrlimit(which, &now) != 0 && getrlimit(which, &now) == 0) {
		now.rlim_cur = now.rlim_max;
		(void)setrlimit(which, &now);
	}
	return getrlimit(which, &now) == 0 ? now.rlim_cur : 0;
}

static uint64_t number_in(const char *file)
{
	char text[32] = {0};
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0) {
		close(fd);
	}
	return n > 0 ? strtoull(text, NULL, 10) : PAGE * 16;
}

/* A page of memory of that kind takes the advice. */
static bool takes(int advice, int type)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, type | MAP_ANONYMOUS, -1, 0);
	bool good = at != MAP_FAILED && madvise(at, PAGE, advice) == 0;
	if (at != MAP_FAILED) {
		munmap(at, PAGE);
	}
	return good;
}

/* Two mappings are moved by one call. */
static bool moves_several(void)
{
	char *from = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *to = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (from == MAP_FAILED || to == MAP_FAILED || mprotect(from, PAGE, PROT_NONE) != 0) {
		return false;
	}
	void *there = mremap(from, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	if (there == MAP_FAILED) {
		munmap(from, 2 * PAGE);
	}
	munmap(to, 2 * PAGE);
	return there != MAP_FAILED;
}

/* What moves away leaves its place mapped, be it shared. */
static bool keeps_shared(void)
{
	void *from = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *to =
	    from == MAP_FAILED ? from : mremap(from, PAGE, PAGE, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL);
	if (to != MAP_FAILED) {
		munmap(to, PAGE);
	}
	if (from != MAP_FAILED) {
		munmap(from, PAGE);
	}
	return to != MAP_FAILED;
}

void probe_facts(struct facts *facts, bool generous)
{
	const struct rlimit endless = {RLIM_INFINITY, RLIM_INFINITY};
	(void)setrlimit(RLIMIT_AS, &endless);
	(void)setrlimit(RLIMIT_DATA, &endless);
	facts->lock_limit = limit(RLIMIT_MEMLOCK, generous ? LOCK_LIMIT_GENEROUS : LOCK_LIMIT);
	if (generous && facts->lock_limit < LOCK_LIMIT_GENEROUS) {
		facts->lock_limit = limit(RLIMIT_MEMLOCK, LOCK_LIMIT);
	}
	facts->stack_limit = limit(RLIMIT_STACK, UINT64_C(8) << 20);
	facts->mmap_min = number_in("/proc/sys/vm/mmap_min_addr");
	bool several = moves_several(); /* what may be done to sealed memory changed until then, too */
	facts->knows = (takes(ADVICE_POPULATE_WRITE, MAP_PRIVATE) ? KNOWS_POPULATE : 0u) |
		       (takes(ADVICE_DONTNEED_LOCKED, MAP_PRIVATE) ? KNOWS_DONTNEED_LOCKED : 0u) |
		       (takes(ADVICE_GUARD, MAP_PRIVATE) ? KNOWS_GUARD : 0u) |
		       (takes(ADVICE_GUARD, MAP_SHARED) ? KNOWS_GUARD_SHARED : 0u) |
		       (takes(MADV_COLD, MAP_PRIVATE) ? KNOWS_RECLAIM : 0u) |
		       (several && syscall(CALL_MSEAL, NULL, 0, 0) == 0 ? KNOWS_MSEAL : 0u) |
		       (several ? KNOWS_SEVERAL : 0u) | (keeps_shared() ? KNOWS_KEEP_SHARED : 0u);
}

bool probe_knows(const struct facts *facts, const struct step *s, bool shared, bool several)
{
	unsigned need = s->kind == STEP_MSEAL ? KNOWS_MSEAL : 0;
	if (s->kind == STEP_MADVISE) {
		need = s->flags == ADVICE_POPULATE_READ || s->flags == ADVICE_POPULATE_WRITE ? KNOWS_POPULATE
		       : s->flags == ADVICE_DONTNEED_LOCKED ? KNOWS_DONTNEED_LOCKED
		       : s->flags == ADVICE_GUARD || s->flags == ADVICE_UNGUARD
			   ? KNOWS_GUARD | (shared ? KNOWS_GUARD_SHARED : 0u)
		       : s->flags == MADV_COLD || s->flags == MADV_PAGEOUT ? KNOWS_RECLAIM
									   : 0;
	} else if (s->kind == STEP_MREMAP) {
		need = (several ? KNOWS_SEVERAL : 0u) |
		       (shared && s->flags & KEEP_SOURCE ? KNOWS_KEEP_SHARED : 0u);
	}
	return (facts->knows & need) == need;
}
