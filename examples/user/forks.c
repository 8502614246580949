/* SPDX-License-Identifier: MIT */
/*
 * Processes that come from processes: what parent and child see of each other's memory, files and ends;
 * vfork, execve, and forks while threads write.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 600, PAGE = 4096, ROUNDS = 200 };

static int wrong;

static void check(const char *what, int good)
{
	printf("forks: %s: %s\n", what, good ? "yes" : "NO");
	wrong += good ? 0 : 1;
}

/* How the child ended: its exit status, or 1000 plus a signal. */
static int end_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid) {
		return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* fork() with nothing left in the buffer of the standard output, which both would write. */
static pid_t fork_now(void)
{
	fflush(stdout);
	const pid_t pid = fork();

	if (pid < 0) {
		printf("forks: fork: %s\n", strerror(errno));
		exit(1);
	}
	return pid;
}

static void *map(size_t pages, int flags)
{
	void *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return at;
}

static void fill(uint8_t *at, size_t pages, uint64_t value)
{
	for (size_t i = 0; i < pages; i++) {
		memcpy(at + i * PAGE, &(uint64_t){value + i}, sizeof(value));
	}
}

static int holds(const uint8_t *at, size_t pages, uint64_t value)
{
	for (size_t i = 0; i < pages; i++) {
		if (memcmp(at + i * PAGE, &(uint64_t){value + i}, sizeof(value)) != 0) {
			return 0;
		}
	}
	return 1;
}

static void memory(void)
{
	uint8_t *own = map(PAGES, MAP_PRIVATE), *shared = map(16, MAP_SHARED);
	uint8_t *constant = map(4, MAP_PRIVATE);
	pid_t pid, below;

	fill(own, PAGES, 1);
	fill(shared, 16, 1);
	fill(constant, 4, 1);
	mprotect(constant, 4 * PAGE, PROT_READ);
	munmap(own + 100 * PAGE, 10 * PAGE);
	pid = fork_now();
	if (pid == 0) {
		int good =
		    holds(own, 100, 1) && holds(own + 110 * PAGE, PAGES - 110, 111) && holds(constant, 4, 1);

		fill(own, 50, 5000);
		fill(shared, 8, 7000);
		below = fork();
		if (below == 0) {
			good = good && holds(own, 50, 5000) && holds(own + 50 * PAGE, 50, 51);
			fill(own, 100, 9000);
			_exit(good ? 11 : 12);
		}
		good = good && end_of(below) == 11 && holds(own, 50, 5000) && holds(own + 50 * PAGE, 50, 51);
		_exit(good ? 3 : 4);
	}
	fill(own + 20 * PAGE, 60, 2000);
	check("the child, and its child, see what was there", end_of(pid) == 3);
	check("the parent keeps its own",
	    holds(own, 20, 1) && holds(own + 20 * PAGE, 60, 2000) && holds(own + 80 * PAGE, 20, 81));
	check("shared memory is shared", holds(shared, 8, 7000) && holds(shared + 8 * PAGE, 8, 9));
	munmap(own, PAGES * PAGE);
	munmap(shared, 16 * PAGE);
	munmap(constant, 4 * PAGE);
}

static void inheritance(void)
{
	uint8_t *kept = map(8, MAP_PRIVATE), *wiped = map(8, MAP_PRIVATE);
	pid_t pid;

	fill(kept, 8, 1);
	fill(wiped, 8, 1);
	check("madvise",
	    madvise(kept, 8 * PAGE, MADV_DONTFORK) == 0 && madvise(wiped, 8 * PAGE, MADV_WIPEONFORK) == 0);
	pid = fork_now();
	if (pid == 0) {
		static uint8_t zeroes[8 * PAGE];
		int good = memcmp(wiped, zeroes, sizeof(zeroes)) == 0;

		good = good &&
		       mmap(kept, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			   0) == kept &&
		       memcmp(kept, zeroes, sizeof(zeroes)) == 0;
		_exit(good ? 0 : 1);
	}
	check("memory that is not inherited", end_of(pid) == 0 && holds(kept, 8, 1) && holds(wiped, 8, 1));
	munmap(kept, 8 * PAGE);
	munmap(wiped, 8 * PAGE);
}

static int *volatile nowhere = (int *)8;

static void ends(void)
{
	const pid_t parent = getpid();
	int status;
	pid_t pid = fork_now();

	if (pid == 0) {
		_exit(getppid() == parent ? 42 : 1);
	}
	check("wait tells the status", end_of(pid) == 42);
	pid = fork_now();
	if (pid == 0) {
		*nowhere = 1;
	}
	check("wait tells the signal", end_of(pid) == 1000 + 11);
	check("no child is left", wait(&status) == -1 && errno == ECHILD);
	pid = fork_now();
	if (pid == 0) {
		usleep(20000);
		_exit(5);
	}
	check("a child that runs is not waited for", waitpid(pid, &status, WNOHANG) == 0);
	check("then it is", wait(&status) == pid && WEXITSTATUS(status) == 5);
	pid = fork_now();
	if (pid == 0) {
		if (fork() == 0) { /* nobody waits for it */
			_exit(0);
		}
		_exit(6);
	}
	check("a grandchild is nobody's", end_of(pid) == 6 && wait(&status) == -1 && errno == ECHILD);
}

static void many(void)
{
	uint8_t *own = map(64, MAP_PRIVATE);
	int good = 1;

	for (int i = 0; i < ROUNDS; i++) {
		fill(own, 64, (uint64_t)i * 1000);
		const pid_t pid = fork_now();

		if (pid == 0) {
			good = holds(own, 64, (uint64_t)i * 1000);
			fill(own, 64, 5);
			_exit(good ? i & 127 : 255);
		}
		if (i & 1) {
			fill(own, 32, 7);
		}
		good &= end_of(pid) == (i & 127);
	}
	check("many, one after the other", good);
	munmap(own, 64 * PAGE);
}

static atomic_int stop;
static uint64_t *counters;

static void *writer(void *argument)
{
	uint64_t *mine = (uint64_t *)((uint8_t *)counters + (uintptr_t)argument * 4 * PAGE);

	while (!atomic_load(&stop)) {
		for (unsigned i = 0; i < 4; i++) {
			volatile uint64_t *word = mine + i * PAGE / sizeof(*mine);

			*word = *word + 1;
		}
	}
	return NULL;
}

/* What the child sees stands still: the counter of a page is at most one ahead of the next page's. */
static int stands_still(void)
{
	uint64_t before[16], after[16];

	for (unsigned i = 0; i < 16; i++) {
		before[i] = counters[i * PAGE / sizeof(*counters)];
	}
	usleep(100);
	for (unsigned i = 0; i < 16; i++) {
		after[i] = counters[i * PAGE / sizeof(*counters)];
		if (before[i] != after[i] || before[i & ~3u] - before[i] > 1) {
			return 0;
		}
	}
	return 1;
}

static void threads(void)
{
	pthread_t thread[4];
	int good = 1;

	counters = map(16, MAP_PRIVATE);
	for (uintptr_t i = 0; i < 4; i++) {
		pthread_create(&thread[i], NULL, writer, (void *)i);
	}
	for (int i = 0; i < 20; i++) {
		const pid_t pid = fork_now();

		if (pid == 0) {
			_exit(stands_still() ? 0 : 1);
		}
		good &= end_of(pid) == 0;
	}
	atomic_store(&stop, 1);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
	}
	check("fork while threads write", good);
	munmap(counters, 16 * PAGE);
}

static void *sleeper(void *argument)
{
	for (;;) {
		sched_yield();
	}
	return argument;
}

static void programs(char **argv)
{
	char *const arguments[] = {argv[0], "inner", "a b", "", NULL};
	char *const none[] = {NULL};
	char *const environment[] = {"FORKS=here", NULL};
	volatile int seen = 1;
	pid_t pid = fork_now();

	if (pid == 0) {
		execve("/no/such/program", arguments, none);
		_exit(errno == ENOENT ? 9 : 1);
	}
	check("a program that is not there", end_of(pid) == 9);
	pid = fork_now();
	if (pid == 0) {
		execve("/proc/self/exe", arguments, environment);
		_exit(1);
	}
	check("execve", end_of(pid) == 77);
	pid = fork_now();
	if (pid == 0) { /* with threads, which end */
		pthread_t other;

		pthread_create(&other, NULL, sleeper, NULL);
		pthread_create(&other, NULL, sleeper, NULL);
		execve("/proc/self/exe", arguments, environment);
		_exit(1);
	}
	check("execve with threads", end_of(pid) == 77);
	fflush(stdout);
	pid = vfork();
	if (pid == 0) {
		seen = 2;
		execve("/proc/self/exe", arguments, environment);
		_exit(1);
	}
	check("vfork shares memory, and waits", seen == 2 && end_of(pid) == 77);
	check("posix_spawn", posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environment) == 0 &&
				 end_of(pid) == 77);
	check("posix_spawn of nothing",
	    posix_spawn(&pid, "/no/such/program", NULL, NULL, arguments, environment) == ENOENT);
}

static int inner(int argc, char **argv)
{
	const char *value = getenv("FORKS");

	return argc == 4 && strcmp(argv[2], "a b") == 0 && argv[3][0] == '\0' && value != NULL &&
		       strcmp(value, "here") == 0
		   ? 77
		   : 78;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "kept") == 0) {
		inheritance();
		return wrong;
	}
	if (argc > 1) {
		return inner(argc, argv);
	}
	memory();
	ends();
	many();
	threads();
	programs(argv);
	return wrong == 0 ? 0 : 1;
}
