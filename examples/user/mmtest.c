/* SPDX-License-Identifier: MIT */
/*
 * mmap, munmap, mprotect and brk against Linux, a line for each check with the result. What is expected is
 * what Linux does; the program was written on Linux, and its output there is kept beside it. It needs neither
 * fork nor signals: what a page permits is asked of the kernel, which must answer EFAULT where a program
 * would fault.
 */
#include "mmtest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned checks, wrong;

void is(const char *what, const char *result, const char *expected)
{
	checks++;
	if (strcmp(result, expected) == 0) {
		printf("mmtest: %s: %s\n", what, result);
	} else {
		printf("mmtest: %s: %s, EXPECTED %s\n", what, result, expected);
		wrong++;
	}
}

void holds(const char *what, int right)
{
	is(what, right ? "yes" : "no", "yes");
}

/* syscall() turns an error into -1 and errno; this turns it back. */
static long raw(long result)
{
	return result == -1 ? -errno : result;
}

long map_file(uintptr_t at, size_t length, int prot, int flags, int fd, uint64_t offset)
{
	return raw(syscall(SYS_mmap, at, length, prot, flags, fd, offset));
}

long map(uintptr_t at, size_t length, int prot, int flags)
{
	return map_file(at, length, prot, flags, -1, 0);
}

long unmap(uintptr_t at, size_t length)
{
	return raw(syscall(SYS_munmap, at, length));
}

long protect(uintptr_t at, size_t length, int prot)
{
	return raw(syscall(SYS_mprotect, at, length, prot));
}

uintptr_t set_break(uintptr_t to)
{
	return (uintptr_t)syscall(SYS_brk, to);
}

const char *outcome(long result)
{
	static char number[32];

	if (result >= 0 || result < -4095) {
		return "done";
	}
	switch (-result) {
	case EINVAL:
		return "EINVAL";
	case ENOMEM:
		return "ENOMEM";
	case EEXIST:
		return "EEXIST";
	case EACCES:
		return "EACCES";
	case EFAULT:
		return "EFAULT";
	case EBADF:
		return "EBADF";
	case EPERM:
		return "EPERM";
	case ENOSYS:
		return "ENOSYS";
	case EOPNOTSUPP:
		return "EOPNOTSUPP";
	case EOVERFLOW:
		return "EOVERFLOW";
	default:
		break;
	}
	snprintf(number, sizeof(number), "error %ld", -result);
	return number;
}

unsigned char *area(unsigned pages)
{
	/* Reserve three times as much, keep the middle: the neighbours on both sides stay free. */
	size_t length = (size_t)pages * PAGE;
	long whole = map(0, 3 * length, PROT_NONE, PRIVATE);
	unsigned char *at;

	if (strcmp(outcome(whole), "done") != 0 || unmap((uintptr_t)whole, 3 * length) != 0 ||
	    map((uintptr_t)whole + length, length, RW, PRIVATE | MAP_FIXED) != whole + (long)length) {
		printf("mmtest: no area of %u pages\n", pages);
		fflush(stdout);
		_exit(2);
	}
	at = (unsigned char *)whole + length;
	for (unsigned i = 0; i < pages; i++) {
		memset(at + (size_t)i * PAGE, (int)(i + 1), PAGE);
	}
	return at;
}

void drop_area(unsigned char *at, unsigned pages)
{
	unmap((uintptr_t)at, (size_t)pages * PAGE);
}

const char *kernel_writes(const void *at)
{
	return outcome(raw(syscall(SYS_getrandom, at, 1, GRND_NONBLOCK)));
}

const char *kernel_reads(const void *at, size_t length)
{
	fflush(stdout);
	return outcome(raw(syscall(SYS_write, 1, at, length)));
}

int mapped(const void *at)
{
	long r = map((uintptr_t)at & ~(uintptr_t)(PAGE - 1), PAGE, PROT_NONE, PRIVATE | MAP_FIXED_NOREPLACE);

	if (r == -EEXIST) {
		return 1;
	}
	unmap((uintptr_t)r, PAGE);
	return 0;
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

int main(void)
{
	test_map();
	test_fixed();
	test_unmap();
	test_protect();
	test_break();
	test_kernel_access();
	printf("mmtest: %u checks, %u wrong\n", checks, wrong);
	return wrong != 0;
}
