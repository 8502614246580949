/* SPDX-License-Identifier: MIT */
/*
 * Asks for memory that is writable and executable at once, by each way in. Under the W^X policy all are
 * refused and change nothing; the argument "off" expects the opposite, a system without the policy.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

static int wanted_refusal = 1;
static int bad;

static void report(const char *what, int refused, int error)
{
	printf("wx: %s: %s\n", what,
	    !refused	      ? "given"
	    : error == EACCES ? "refused, EACCES"
			      : strerror(error));
	bad += refused != wanted_refusal || (refused && error != EACCES);
}

int main(int argc, char **argv)
{
	const int rw = PROT_READ | PROT_WRITE, rx = PROT_READ | PROT_EXEC,
		  rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	volatile unsigned char *memory;
	void *p;
	int r;

	wanted_refusal = !(argc > 1 && strcmp(argv[1], "off") == 0);
	p = mmap(NULL, PAGE, rwx, flags, -1, 0);
	report("mmap read-write-execute", p == MAP_FAILED, errno);
	p = mmap(NULL, PAGE, PROT_WRITE | PROT_EXEC, flags, -1, 0);
	report("mmap write-execute", p == MAP_FAILED, errno);
	p = mmap(NULL, (size_t)3 * PAGE, rw, flags, -1, 0);
	if (p == MAP_FAILED) {
		perror("wx: mmap read-write");
		return 1;
	}
	memory = p;
	memory[PAGE] = 17;
	r = mprotect(p, (size_t)3 * PAGE, rwx);
	report("mprotect of read-write memory", r != 0, errno);
	memory[PAGE] = (unsigned char)(memory[PAGE] + 1);
	r = mprotect(p, (size_t)3 * PAGE, rx);
	if (r != 0) {
		perror("wx: mprotect to read-execute");
		return 1;
	}
	r = mprotect((char *)p + PAGE, PAGE, rwx);
	report("mprotect of read-execute memory", r != 0, errno);
	r = mprotect(p, (size_t)3 * PAGE, rw);
	printf("wx: read-execute back to read-write: %s, content %d\n", r == 0 ? "given" : strerror(errno),
	    memory[PAGE]);
	bad += r != 0 || memory[PAGE] != 18;
	return bad != 0;
}
