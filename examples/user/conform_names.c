/* SPDX-License-Identifier: MIT */
/* conform: files in memory that have names, and the names of descriptors. */
#include "conform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char name[64];

static long open_as(const char *path, int flags)
{
	return call(SYS_openat, AT_FDCWD, (long)path, flags, 0600, 0, 0);
}

static long write_to(long fd, const char *text)
{
	return call(SYS_write, fd, (long)text, (long)strlen(text), 0, 0, 0);
}

static int reads(long fd, long offset, const char *text)
{
	char room[64] = {0};
	long n = call(SYS_pread64, fd, (long)room, (long)strlen(text), offset, 0, 0);

	return n == (long)strlen(text) && strcmp(room, text) == 0;
}

static long size_of(long fd)
{
	struct stat stat;

	return fstat((int)fd, &stat) == 0 ? (long)stat.st_size : -1;
}

/* Whether the directory lists that name; -1: there is no such directory. */
static int listed_in(const char *path, const char *wanted)
{
	struct entry {
		uint64_t inode, next;
		uint16_t length;
		unsigned char type;
		char name[];
	} *entry;
	static union {
		char bytes[2048];
		uint64_t aligned;
	} room;
	long directory = open_as(path, O_RDONLY | O_DIRECTORY), n;
	int found = failed(directory) ? -1 : 0;

	while ((n = call(SYS_getdents64, directory, (long)&room, sizeof(room), 0, 0, 0)) > 0) {
		for (long at = 0; at < n; at += entry->length) {
			entry = (void *)(room.bytes + at);
			if (strcmp(entry->name, wanted) == 0) {
				found = 1;
			}
		}
	}
	close((int)directory);
	return found;
}

static void named_opened(long fd, long second)
{
	unsigned char *p;
	struct stat by_name, by_descriptor;

	write_to(fd, "hello");
	holds("one content", reads(second, 0, "hello"));
	holds("a position each", lseek((int)second, 0, SEEK_CUR) == 0 && lseek((int)fd, 0, SEEK_CUR) == 5);
	answers("write to what was opened to read", write_to(second, "x"));
	p = (unsigned char *)map_file(NULL, PAGES(2), RW, MAP_SHARED, (int)fd, 0);
	p[0] = 'j';
	holds("a mapping and a read agree", reads(second, 0, "jello"));
	answers("shared and writable of what reads", map_file(NULL, PAGE, RW, MAP_SHARED, (int)second, 0));
	says("past its end", kernel_reads(p + PAGE));
	answers("longer", cut((int)fd, PAGES(2)));
	p[PAGE] = '!';
	holds("longer: mapped and read", reads(second, PAGE, "!") && size_of(second) == PAGES(2));
	stat(name, &by_name);
	fstat((int)fd, &by_descriptor);
	holds("it is one file by name and descriptor",
	    by_name.st_ino == by_descriptor.st_ino && by_name.st_size == PAGES(2) && by_name.st_nlink == 1);
	holds("an ordinary file, for its owner", by_name.st_mode == (S_IFREG | 0600));
	answers("access", access(name, R_OK | W_OK) == 0 ? 0 : -errno);
	answers("truncated when opened", close((int)open_as(name, O_WRONLY | O_TRUNC)));
	says("truncated: its mapping", kernel_reads(p));
	unmap(p, PAGES(2));
}

void group_named(void)
{
	long fd, second, end;

	snprintf(name, sizeof(name), "/tmp/libvmem-conform-%d", (int)getpid());
	answers("open what is not there", open_as(name, O_RDWR));
	fd = open_as(name, O_RDWR | O_CREAT | O_EXCL);
	answers("create", fd);
	answers("create once more", open_as(name, O_RDWR | O_CREAT | O_EXCL));
	second = open_as(name, O_RDONLY | O_CREAT);
	answers("open", second);
	holds("listed", listed_in("/tmp", name + strlen("/tmp/")) == 1);
	answers("as a directory", open_as(name, O_RDONLY | O_DIRECTORY));
	answers("write to a directory", open_as("/tmp", O_RDWR));
	named_opened(fd, second);
	cut((int)fd, 10);
	end = open_as(name, O_WRONLY | O_APPEND);
	write_to(end, "end");
	holds("written at its end", size_of(fd) == 13 && reads(second, 10, "end"));
	answers("unlink", unlink(name) == 0 ? 0 : -errno);
	holds("listed no more", listed_in("/tmp", name + strlen("/tmp/")) == 0);
	answers("unlink again", unlink(name) == 0 ? 0 : -errno);
	answers("open what went", open_as(name, O_RDONLY));
	holds("its content stays for who has it", reads(second, 10, "end"));
	close((int)open_as(name, O_RDWR | O_CREAT));
	holds("another one of this name is another", reads(second, 10, "end") && size_of(fd) == 13);
	unlink(name);
	close((int)fd);
	close((int)second);
	close((int)end);
}

static int leads_to(const char *directory, int fd, const char *text)
{
	char path[64], target[64] = {0};

	snprintf(path, sizeof(path), "/proc/%s/fd/%d", directory, fd);
	return readlink(path, target, sizeof(target) - 1) >= (ssize_t)strlen(text) &&
	       memcmp(target, text, strlen(text)) == 0;
}

/* Whether the descriptor is in /proc/self/fd. */
static int listed(int descriptor)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", descriptor);
	return listed_in("/proc/self/fd", number);
}

static int in_maps(const char *text)
{
	static char maps[1 << 16];
	long fd = open_as("/proc/self/maps", O_RDONLY), n;
	size_t length = 0;

	while (length < sizeof(maps) - 1 &&
	       (n = read((int)fd, maps + length, sizeof(maps) - 1 - length)) > 0) {
		length += (size_t)n;
	}
	maps[length] = 0;
	close((int)fd);
	return strstr(maps, text) != NULL;
}

void group_descriptors(void)
{
	char path[64], self[16];
	int fd = file(2), ends[2] = {-1, -1};
	long second;
	struct stat stated;
	void *p;

	pipe(ends);
	snprintf(self, sizeof(self), "%d", (int)getpid());
	holds("of a memfd", leads_to("self", fd, "/memfd:conform (deleted)"));
	holds("of a pipe", leads_to("self", ends[0], "pipe:["));
	holds("by the process's number", leads_to(self, fd, "/memfd:conform (deleted)"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	answers("stat follows it", stat(path, &stated) == 0 ? 0 : -errno);
	holds("stat: the file", S_ISREG(stated.st_mode) && stated.st_size == PAGES(2));
	holds("lstat: a link", lstat(path, &stated) == 0 && S_ISLNK(stated.st_mode));
	second = open_as(path, O_RDONLY);
	answers("opened once more", second);
	holds("with a position of its own", lseek((int)second, 0, SEEK_CUR) == 0);
	answers("and to read alone", write_to(second, "x"));
	holds("listed", listed(fd) == 1 && listed(ends[0]) == 1);
	p = (void *)map_file(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	holds("maps has its name", in_maps("/memfd:conform (deleted)"));
	unmap(p, PAGE);
	close((int)second);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	holds("closed: not listed", listed(ends[1]) == 0);
	answers("closed: no link", readlink(path, self, sizeof(self)) > 0 ? 0 : -errno);
	answers("closed: cannot be opened", open_as(path, O_RDONLY));
	answers("a list cannot be written", open_as("/proc/self/fd", O_RDWR));
	second = open_as("/proc/self/fd", O_RDONLY);
	answers("nor read as a file", call(SYS_read, second, (long)path, 1, 0, 0, 0));
	close((int)second);
}
