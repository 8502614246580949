/* SPDX-License-Identifier: MIT */
/*
 * The calls of the mmap family, one line for each check with what the kernel answered. The program holds no
 * expectation: what it prints on Linux 6.18 is kept in expected/, and tests/conform says which check shows
 * which error of which call.
 *
 *	conform [GROUP...]	those groups, or all; `conform list` names them
 *
 * Nothing depends on where the kernel puts things. Each group leaves the process as it found it. It runs
 * without capabilities and not as root: it drops both, and ends at once where it cannot.
 */
#include "conform.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
    {"mmap", group_mmap},
    {"place", group_place},
    {"part", group_part},
    {"droppable", group_droppable},
    {"fixed", group_fixed},
    {"filemap", group_filemap},
    {"munmap", group_munmap},
    {"mprotect", group_mprotect},
    {"mremap", group_mremap},
    {"moves", group_moves},
    {"madvise", group_madvise},
    {"advice", group_advice},
    {"guard", group_guard},
    {"msync", group_msync},
    {"mincore", group_mincore},
    {"mlock", group_mlock},
    {"mlockall", group_mlockall},
    {"brk", group_brk},
    {"mseal", group_mseal},
    {"memfd", group_memfd},
    {"seals", group_seals},
    {"coherent", group_coherent},
    {"named", group_named},
    {"descriptors", group_descriptors},
    {"fork", group_fork},
    {"inherit", group_inherit},
    {"growsdown", group_growsdown},
    {"limits", group_limits},
    {"regions", group_regions},
    {"overcommit", group_overcommit},
    {"signals", group_signals},
    {"repair", group_repair},
    {"maps", group_maps},
    {"access", group_access},
};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

static const char *current;
static unsigned checks;
static int not_known;
static uint64_t first[RLIM_NLIMITS];

void says(const char *name, const char *text)
{
	printf("%s: %s: %s\n", current, name, not_known ? "unknown" : text);
	checks++;
}

void answers(const char *name, long result)
{
	says(name, outcome(result));
}

void holds(const char *name, int right)
{
	says(name, right ? "yes" : "no");
}

void unknown(const char *name)
{
	says(name, "unknown");
}

void provided(int known)
{
	not_known = !known;
}

long call(long number, long a, long b, long c, long d, long e, long f)
{
	long result = syscall(number, a, b, c, d, e, f);

	return result == -1 ? -errno : result;
}

long map_file(const void *at, size_t length, int prot, int flags, int fd, uint64_t offset)
{
	return call(SYS_mmap, (long)at, (long)length, prot, flags, fd, (long)offset);
}

long map(const void *at, size_t length, int prot, int flags)
{
	return map_file(at, length, prot, flags, -1, 0);
}

long unmap(const void *at, size_t length)
{
	return call(SYS_munmap, (long)at, (long)length, 0, 0, 0, 0);
}

long protect(const void *at, size_t length, int prot)
{
	return call(SYS_mprotect, (long)at, (long)length, prot, 0, 0, 0);
}

long remap(const void *at, size_t from, size_t to, int flags, const void *target)
{
	return call(SYS_mremap, (long)at, (long)from, (long)to, flags, (long)target, 0);
}

long advise(const void *at, size_t length, int advice)
{
	return call(SYS_madvise, (long)at, (long)length, advice, 0, 0, 0);
}

long make_file(const char *name, unsigned flags)
{
	return call(SYS_memfd_create, (long)name, (long)flags, 0, 0, 0, 0);
}

long cut(int fd, int64_t length)
{
	return call(SYS_ftruncate, fd, length, 0, 0, 0, 0);
}

int failed(long result)
{
	return result < 0 && result >= -4095;
}

const char *outcome(long result)
{
	static const struct {
		int number;
		const char *name;
	} errors[] = {
	    {EPERM, "EPERM"},
	    {ENOENT, "ENOENT"},
	    {EBADF, "EBADF"},
	    {EAGAIN, "EAGAIN"},
	    {ENOMEM, "ENOMEM"},
	    {EACCES, "EACCES"},
	    {EFAULT, "EFAULT"},
	    {EBUSY, "EBUSY"},
	    {EEXIST, "EEXIST"},
	    {ENODEV, "ENODEV"},
	    {EINVAL, "EINVAL"},
	    {EMFILE, "EMFILE"},
	    {EFBIG, "EFBIG"},
	    {ESPIPE, "ESPIPE"},
	    {ENOSYS, "ENOSYS"},
	    {EOPNOTSUPP, "EOPNOTSUPP"},
	    {EOVERFLOW, "EOVERFLOW"},
	    {ENXIO, "ENXIO"},
	    {EISDIR, "EISDIR"},
	    {ENOTDIR, "ENOTDIR"},
	};
	static char number[32];

	if (!failed(result)) {
		return "done";
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].number == -result) {
			return errors[i].name;
		}
	}
	snprintf(number, sizeof(number), "error %ld", -result);
	return number;
}

static _Noreturn void give_up(const char *what)
{
	printf("conform: %s\n", what);
	fflush(stdout);
	_exit(2);
}

unsigned char *space(unsigned pages)
{
	/* Three times as much was free a moment ago: the neighbours on both sides are. */
	long whole = map(NULL, PAGES(3 * pages), PROT_NONE, PRIVATE | MAP_NORESERVE);

	if (failed(whole) || unmap((void *)whole, PAGES(3 * pages)) != 0) {
		give_up("no room for an area");
	}
	return (unsigned char *)whole + PAGES(pages);
}

unsigned char *area(unsigned pages)
{
	unsigned char *at = space(pages);

	if (map(at, PAGES(pages), RW, PRIVATE | MAP_FIXED) != (long)at) {
		give_up("no area");
	}
	for (unsigned i = 0; i < pages; i++) {
		memset(at + PAGES(i), (int)(i + 1), PAGE);
	}
	return at;
}

void drop(const void *at, unsigned pages)
{
	unmap(at, PAGES(pages));
}

int file(unsigned pages)
{
	static unsigned char page[PAGE];
	long fd = make_file("conform", 0);

	if (failed(fd)) {
		give_up("no memfd");
	}
	for (unsigned i = 0; i < pages; i++) {
		memset(page, (int)(i + 1), PAGE);
		if (write((int)fd, page, PAGE) != PAGE) {
			give_up("no room in a memfd");
		}
	}
	return (int)fd;
}

int filled(const unsigned char *page, unsigned char byte)
{
	for (unsigned i = 0; i < PAGE; i++) {
		if (page[i] != byte) {
			return 0;
		}
	}
	return 1;
}

int mapped(const void *at)
{
	const void *page = (const void *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1));
	long r = map(page, PAGE, PROT_NONE, PRIVATE | MAP_FIXED_NOREPLACE);

	if (r == -EEXIST) {
		return 1;
	}
	unmap((void *)r, PAGE);
	return 0;
}

int resident(const void *at, unsigned pages)
{
	unsigned char state[64];
	int count = 0;

	if (call(SYS_mincore, (long)at, (long)PAGES(pages), (long)state, 0, 0, 0) != 0) {
		return -1;
	}
	for (unsigned i = 0; i < pages; i++) {
		count += state[i] & 1;
	}
	return count;
}

const char *kernel_writes(const void *at)
{
	return outcome(call(SYS_rt_sigprocmask, 0, 0, (long)at, 8, 0, 0));
}

const char *kernel_reads(const void *at)
{
	/* The word is another one, or there is no time to wait: either way it was read. */
	const struct timespec none = {0, 0};
	long r = call(SYS_futex, (long)at, FUTEX_WAIT_PRIVATE, 0, (long)&none, 0, 0);

	return r == -EAGAIN || r == -ETIMEDOUT ? "done" : outcome(r);
}

uint64_t first_limit(int resource)
{
	return first[resource];
}

void limit(int resource, uint64_t value)
{
	struct rlimit now;

	getrlimit(resource, &now);
	now.rlim_cur = value < now.rlim_max ? value : now.rlim_max;
	setrlimit(resource, &now);
}

int in_child(int (*function)(unsigned char *p), unsigned char *p)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0) {
		return -1;
	}
	if (child == 0) {
		_exit(function(p));
	}
	if (waitpid(child, &status, 0) != child) {
		return -1;
	}
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void run(unsigned i)
{
	current = groups[i].name;
	checks = 0;
	groups[i].run();
	printf("%s: %u checks\n", current, checks);
}

static void drop_privilege(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {{0}};
	long r;

	if (getuid() == 0 && (setresgid(1000, 1000, 1000) != 0 || setresuid(1000, 1000, 1000) != 0)) {
		give_up("cannot become user 1000");
	}
	r = call(SYS_capset, (long)&header, (long)none, 0, 0, 0, 0);
	if (r != 0 && r != -ENOSYS) { /* a kernel without them gives none */
		give_up("cannot drop capabilities");
	}
}

int main(int argc, char **argv)
{
	static char buffer[4096];
	int unmatched = 0;

	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer)); /* the library needs no memory for it */
	drop_privilege();
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit now = {0, 0};
		getrlimit((__rlimit_resource_t)i, &now);
		first[i] = now.rlim_cur;
	}
	limit(RLIMIT_STACK, (uint64_t)8 << 20);
	limit(RLIMIT_MEMLOCK, (uint64_t)8 << 20);
	for (int a = 1; a < argc; a++) {
		unsigned i = 0;
		while (i < GROUPS && strcmp(argv[a], groups[i].name) != 0) {
			i++;
		}
		if (i < GROUPS) {
			run(i);
		} else {
			unmatched = 1;
		}
	}
	for (unsigned i = 0; i < GROUPS && (argc < 2 || unmatched); i++) {
		if (unmatched) {
			printf("%s\n", groups[i].name);
		} else {
			run(i);
		}
	}
	return unmatched && strcmp(argv[1], "list") != 0;
}
