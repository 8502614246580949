/* SPDX-License-Identifier: MIT */
/*
 * A process that has much: what it does with all of it is a long call each. It protects it, forks, and runs
 * another program; the child, alone with the memory then, looks at it and ends.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul

static int wrong(const char *what)
{
	perror(what);
	return 1;
}

/* Each page has its number. */
static size_t count_right(const unsigned char *memory, size_t pages)
{
	size_t right = 0;

	for (size_t i = 0; i < pages; i++) {
		uint64_t number;

		memcpy(&number, memory + i * PAGE, sizeof(number));
		right += number == i;
	}
	return right;
}

/* Waits until the parent has gone. */
static int heir(const unsigned char *memory, size_t pages)
{
	const struct timespec moment = {0, 5000000};

	while (getppid() != 1) {
		nanosleep(&moment, NULL);
	}
	printf("large: of %zu pages %zu are as they were\n", pages, count_right(memory, pages));
	return 0;
}

int main(int argc, char **argv)
{
	size_t pages = argc > 1 ? strtoul(argv[1], NULL, 10) << 8 : 0;
	char *const next[] = {"large", "0", NULL};
	unsigned char *memory;
	pid_t child;

	if (pages == 0) {
		return 0;
	}
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		return wrong("large: mmap");
	}
	for (size_t i = 0; i < pages; i++) {
		const uint64_t number = i;

		memcpy(memory + i * PAGE, &number, sizeof(number));
	}
	child = fork();
	if (child == 0 && (munmap(memory, pages * PAGE) != 0)) {
		return wrong("large: munmap");
	}
	if (child == 0) {
		return 0;
	}
	if (child < 0 || waitpid(child, NULL, 0) != child) {
		return wrong("large: fork");
	}
	if (argc > 2 && strcmp(argv[2], "unmap") == 0) {
		return munmap(memory, pages * PAGE) != 0;
	}
	if (mprotect(memory, pages * PAGE, PROT_READ) != 0) {
		return wrong("large: mprotect");
	}
	child = fork();
	if (child == 0) {
		return heir(memory, pages);
	}
	execv("/proc/self/exe", next);
	return wrong("large: execv");
}
