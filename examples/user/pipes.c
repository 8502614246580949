/* SPDX-License-Identifier: MIT */
/*
 * Pipes, descriptors, children that stop, go on, end and are waited for, /proc: each thing by itself, with
 * its result checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int wrong;
static void *volatile nowhere = (void *)16;

static void check(const char *what, int good)
{
	printf("pipes: %s: %s\n", what, good ? "yes" : "NO");
	fflush(stdout);
	wrong += good ? 0 : 1;
}

static volatile sig_atomic_t count;
static siginfo_t last;

static void note(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	last = *info;
	count++;
}

static void handle(int signal, int flags)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = note;
	action.sa_flags = SA_SIGINFO | flags;
	sigaction(signal, &action, NULL);
}

static void nap(unsigned ms)
{
	const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&time, NULL);
}

static void test_pipe(void)
{
	char bytes[16] = "";
	int ends[2], both[2];

	check("pipe", pipe(ends) == 0);
	check("bytes come out", write(ends[1], "hello", 5) == 5 && read(ends[0], bytes, 16) == 5 &&
				    memcmp(bytes, "hello", 5) == 0);
	check("in parts", write(ends[1], "abcdef", 6) == 6 && read(ends[0], bytes, 2) == 2 &&
			      read(ends[0], bytes + 2, 16 - 2) == 4 && memcmp(bytes, "abcdef", 6) == 0);
	check("the wrong side", write(ends[0], "x", 1) == -1 && errno == EBADF &&
				    read(ends[1], bytes, 1) == -1 && errno == EBADF);
	check("a pipe has no place", lseek(ends[0], 0, SEEK_CUR) == -1 && errno == ESPIPE);
	check("a wild address", write(ends[1], nowhere, 3) == -1 && errno == EFAULT);
	check("nothing is nothing", write(ends[1], "", 0) == 0);
	both[0] = dup(ends[1]);
	close(ends[1]);
	check("a second writer", write(both[0], "z", 1) == 1 && read(ends[0], bytes, 4) == 1);
	close(both[0]);
	check("without a writer it ends", read(ends[0], bytes, 4) == 0);
	close(ends[0]);
	pipe2(ends, O_NONBLOCK);
	check("O_NONBLOCK", read(ends[0], bytes, 1) == -1 && errno == EAGAIN);
	check("fcntl tells", fcntl(ends[0], F_GETFL) == (O_RDONLY | O_NONBLOCK) &&
				 fcntl(ends[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
	signal(SIGPIPE, SIG_IGN);
	close(ends[0]);
	check("without a reader: EPIPE", write(ends[1], "x", 1) == -1 && errno == EPIPE);
	count = 0;
	handle(SIGPIPE, 0);
	check("and SIGPIPE", write(ends[1], "x", 1) == -1 && count == 1 && last.si_signo == SIGPIPE);
	close(ends[1]);
	check("pipe2: flags", pipe2(ends, 1) == -1 && errno == EINVAL);
	check("pipe: address", pipe2(nowhere, 0) == -1 && errno == EFAULT);
}

static void test_descriptors(void)
{
	int ends[2], other;

	pipe2(ends, O_CLOEXEC);
	check("O_CLOEXEC", fcntl(ends[0], F_GETFD) == FD_CLOEXEC);
	other = dup(ends[0]);
	check("a duplicate does not have it", fcntl(other, F_GETFD) == 0 && other > ends[0]);
	check("F_SETFD", fcntl(other, F_SETFD, FD_CLOEXEC) == 0 && fcntl(other, F_GETFD) == FD_CLOEXEC);
	check("dup2 to itself", dup2(other, other) == other);
	check("dup3 to itself", dup3(other, other, 0) == -1 && errno == EINVAL);
	check("dup3", dup3(ends[1], 20, O_CLOEXEC) == 20 && fcntl(20, F_GETFD) == FD_CLOEXEC);
	check("F_DUPFD", fcntl(other, F_DUPFD, 15) == 15 && fcntl(other, F_DUPFD, 15) == 16);
	check("F_DUPFD_CLOEXEC", fcntl(other, F_DUPFD_CLOEXEC, 15) == 17 && fcntl(17, F_GETFD) == FD_CLOEXEC);
	check("dup2 over another", dup2(ends[1], 17) == 17 && fcntl(17, F_GETFL) == O_WRONLY);
	check("no such descriptor", dup(29) == -1 && errno == EBADF && close(29) == -1 && errno == EBADF);
	for (int i = 15; i <= 20; i++) {
		close(i);
	}
	close(ends[0]);
	close(ends[1]);
	close(other);
}

static void test_poll(void)
{
	struct pollfd polls[2];
	int ends[2];
	char byte;

	pipe(ends);
	polls[0] = (struct pollfd){ends[0], POLLIN, 0};
	polls[1] = (struct pollfd){ends[1], POLLOUT, 0};
	check("poll: one may write",
	    poll(polls, 2, 0) == 1 && polls[0].revents == 0 && polls[1].revents == POLLOUT);
	check("poll: in no time", poll(polls, 1, 30) == 0);
	write(ends[1], "x", 1);
	check("poll: one may read", poll(polls, 1, -1) == 1 && polls[0].revents == POLLIN);
	read(ends[0], &byte, 1);
	close(ends[1]);
	check("poll: the end", poll(polls, 1, -1) == 1 && polls[0].revents == POLLHUP);
	polls[1].fd = 29;
	check("poll: no descriptor", poll(polls + 1, 1, 0) == 1 && polls[1].revents == POLLNVAL);
	close(ends[0]);
}

enum { MUCH = 300000 };

/* More than a pipe holds, from a child that is faster than its reader. */
static void test_much(void)
{
	unsigned sum = 0, wanted = 0, got = 0;
	char bytes[4096];
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	pipe(ends);
	pid = fork();
	if (pid == 0) {
		char *all = malloc(MUCH);

		for (unsigned i = 0; i < MUCH; i++) {
			all[i] = (char)(i * 7);
		}
		_exit(write(ends[1], all, MUCH) == MUCH ? 4 : 5);
	}
	close(ends[1]);
	while ((n = read(ends[0], bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			sum = sum * 31 + (unsigned char)bytes[i];
		}
		got += (unsigned)n;
	}
	for (unsigned i = 0; i < MUCH; i++) {
		wanted = wanted * 31 + (unsigned char)(i * 7);
	}
	check("much through a pipe", got == MUCH && sum == wanted);
	check("its writer has ended", waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 4);
	close(ends[0]);
}

static void test_interrupted(void)
{
	char byte = 0;
	int ends[2], status;
	pid_t pid;

	pipe(ends);
	handle(SIGUSR1, 0);
	count = 0;
	pid = fork();
	if (pid == 0) {
		nap(50);
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	check("a read is interrupted", read(ends[0], &byte, 1) == -1 && errno == EINTR && count == 1);
	check("who sent it", last.si_pid == pid && last.si_code == SI_USER);
	waitpid(pid, &status, 0);
	handle(SIGUSR1, SA_RESTART);
	pid = fork();
	if (pid == 0) {
		nap(50);
		kill(getppid(), SIGUSR1);
		nap(50);
		_exit(write(ends[1], "q", 1) != 1);
	}
	check("and begins anew with SA_RESTART", read(ends[0], &byte, 1) == 1 && byte == 'q' && count == 2);
	waitpid(pid, &status, 0);
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		read(ends[0], &byte, 1);
		_exit(1);
	}
	nap(50);
	kill(pid, SIGKILL);
	check("a reader is killed",
	    waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	check("and reads no more", write(ends[1], "x", 1) == -1 && errno == EPIPE);
	close(ends[1]);
}

static void test_children(void)
{
	siginfo_t info;
	int status;
	pid_t pid;

	handle(SIGCHLD, 0);
	count = 0;
	pid = fork();
	if (pid == 0) {
		_exit(9);
	}
	while (count == 0) {
		nap(5);
	}
	check("SIGCHLD", last.si_signo == SIGCHLD && last.si_code == CLD_EXITED && last.si_pid == pid &&
			     last.si_status == 9);
	memset(&info, 0, sizeof(info));
	check("waitid looks", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0 && info.si_pid == pid &&
				  info.si_code == CLD_EXITED && info.si_status == 9 &&
				  info.si_signo == SIGCHLD);
	check("and takes", waitid(P_ALL, 0, &info, WEXITED) == 0 && info.si_pid == pid);
	check("once", waitid(P_ALL, 0, &info, WEXITED) == -1 && errno == ECHILD);
	check("waitid: for what?", waitid(P_ALL, 0, &info, 0) == -1 && errno == EINVAL);
	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (pid == 0) {
		for (;;) {
			nap(1000);
		}
	}
	info.si_pid = 5;
	check("no news yet", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0);
	kill(pid, SIGSTOP);
	check("a child stops",
	    waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	check("which is told once", waitpid(pid, &status, WUNTRACED | WNOHANG) == 0);
	kill(pid, SIGCONT);
	check("it goes on", waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	kill(pid, SIGTERM);
	check("it is told to end",
	    waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid == 0) {
		_exit(1);
	}
	check("who ignores children has none", waitpid(pid, &status, 0) == -1 && errno == ECHILD);
	signal(SIGCHLD, SIG_DFL);
}

/* The permission and the name in the line of /proc/self/maps that has the address; its range. */
static int line_of(const void *address, char permission[5], char name[64], unsigned long range[2])
{
	FILE *file = fopen("/proc/self/maps", "r");
	char line[256];
	int found = 0;

	while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
		name[0] = 0;
		found = sscanf(line, "%lx-%lx %4s %*s %*s %*s %63s", &range[0], &range[1], permission,
			    name) >= 3 &&
			(unsigned long)address >= range[0] && (unsigned long)address < range[1];
	}
	if (file != NULL) {
		fclose(file);
	}
	return found;
}

static long status_of(const char *what)
{
	FILE *file = fopen("/proc/self/status", "r");
	const size_t length = strlen(what);
	char line[256];
	long value = -1;

	while (file != NULL && value < 0 && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, what, length) == 0 && line[length] == ':') {
			value = strtol(line + length + 1, NULL, 10);
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return value;
}

static void test_proc(void)
{
	char permission[5] = "", name[64] = "", *memory;
	unsigned long range[2];
	long size;

	memory = mmap(NULL, 5 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(memory + 2 * 4096, 4096, PROT_READ);
	check("maps: a page",
	    line_of(memory + 2 * 4096 + 7, permission, name, range) && strcmp(permission, "r--p") == 0 &&
		name[0] == 0 && range[0] == (unsigned long)memory + 2 * 4096 && range[1] == range[0] + 4096);
	munmap(memory, 5 * 4096);
	check("maps: nothing there", !line_of(memory + 4096, permission, name, range));
	check("maps: the stack", line_of(range, permission, name, range) && strcmp(name, "[stack]") == 0 &&
				     strcmp(permission, "rw-p") == 0);
	check("maps: the heap",
	    line_of((char *)sbrk(0) - 1, permission, name, range) && strcmp(name, "[heap]") == 0);
	check("maps: the program", line_of((void *)(uintptr_t)test_proc, permission, name, range) &&
				       permission[2] == 'x' && name[0] == '/');
	(void)status_of("VmSize");
	size = status_of("VmSize");
	memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check("status: size", size > 0 && status_of("VmSize") == size + 1024);
	size = status_of("VmRSS");
	memset(memory, 1, 1 << 20);
	check("status: resident", status_of("VmRSS") >= size + 1000);
	munmap(memory, 1 << 20);
	check("status: who",
	    status_of("Pid") == getpid() && status_of("PPid") == getppid() && status_of("Threads") == 1);
}

int main(void)
{
	test_pipe();
	test_descriptors();
	test_poll();
	test_much();
	test_interrupted();
	test_children();
	test_proc();
	printf("pipes: %d wrong\n", wrong);
	return wrong != 0;
}
