/* SPDX-License-Identifier: MIT */
/* conform: files in memory, alone and mapped. */
#include "conform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned char byte_at(int fd, int64_t offset)
{
	unsigned char byte = 0xee;

	return call(SYS_pread64, fd, (long)&byte, 1, offset, 0, 0) == 1 ? byte : 0xee;
}

/* Another descriptor of the same file, opened as the flags say; -1 where there is no such way. */
static int again(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags);
}

static void filemap_errors(int fd, int ro, int pipe_end)
{
	long r;

	answers(
	    "shared and writable of a descriptor that reads", map_file(NULL, PAGE, RW, MAP_SHARED, ro, 0));
	r = map_file(NULL, PAGE, RW, MAP_PRIVATE, ro, 0);
	answers("private and writable of one", r);
	unmap((void *)r, PAGE);
	r = map_file(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	answers("shared and readable of one", r);
	answers("to make it writable", protect((void *)r, PAGE, RW));
	answers("to make it unreadable and readable again",
	    protect((void *)r, PAGE, PROT_NONE) ? -EINVAL : protect((void *)r, PAGE, PROT_READ));
	unmap((void *)r, PAGE);
	answers("a pipe", map_file(NULL, PAGE, PROT_READ, MAP_PRIVATE, pipe_end, 0));
	answers("a pipe, length 0", map_file(NULL, 0, PROT_READ, MAP_PRIVATE, pipe_end, 0));
	answers("length 0", map_file(NULL, 0, RW, MAP_SHARED, fd, 0));
	answers("no type", map_file(NULL, PAGE, RW, 0, fd, 0));
	answers("type 4", map_file(NULL, PAGE, RW, 4, fd, 0));
	answers("offset not a multiple of the page", map_file(NULL, PAGE, RW, MAP_SHARED, fd, 512));
	answers("offset and length overflow",
	    map_file(NULL, PAGES(2), RW, MAP_SHARED, fd, ~(uint64_t)0 - PAGE + 1));
	answers("offset beyond what a file can have",
	    map_file(NULL, PAGE, RW, MAP_SHARED, fd, (uint64_t)1 << 63));
	answers("grows down", map_file(NULL, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0));
	answers(
	    "validated: an unknown flag", map_file(NULL, PAGE, RW, MAP_SHARED_VALIDATE | 0x400000, fd, 0));
	answers("huge pages of a file", map_file(NULL, PAGE, RW, MAP_SHARED | MAP_HUGETLB, fd, 0));
	answers("validated: synchronous", map_file(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
	r = map_file(NULL, PAGE, RW, MAP_SHARED_VALIDATE, fd, 0);
	answers("validated: nothing unknown", r);
	unmap((void *)r, PAGE);
	r = map_file(NULL, PAGE, RW, MAP_SHARED | 0x400000, fd, 0);
	answers("shared: an unknown flag", r);
	unmap((void *)r, PAGE);
	r = map_file(NULL, PAGES(8), RW, MAP_SHARED, fd, PAGES(100));
	answers("wholly past the end", r);
	unmap((void *)r, PAGES(8));
}

void group_filemap(void)
{
	int fd = file(3), ends[2], ro = again(fd, O_RDONLY), wo = again(fd, O_WRONLY);
	unsigned char *p = space(4);
	long r;

	if (pipe(ends) != 0 || ro < 0 || wo < 0) {
		says("a pipe and two more descriptors", "none");
		return;
	}
	filemap_errors(fd, ro, ends[0]);
	answers("a descriptor that writes", map_file(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0));
	answers("shared of one", map_file(NULL, PAGE, PROT_WRITE, MAP_SHARED, wo, 0));
	close(ends[0]);
	close(ends[1]);
	close(ro);
	close(wo);
	r = map_file(p, PAGES(2), PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, PAGE);
	holds("the offset counts", r == (long)p && filled(p, 2) && filled(p + PAGE, 3));
	says("past the end cannot be read",
	    (map_file(p, PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, 0), kernel_reads(p + PAGES(3))));
	says("past the end cannot be written", kernel_writes(p + PAGES(3)));
	says("before the end can", kernel_writes(p + PAGES(2)));
	close(fd);
	holds("the mapping outlives the descriptor", filled(p, 1) && filled(p + PAGE, 2));
	drop(p, 4);
}

static void memfd_create_errors(void)
{
	char name[256];
	struct rlimit before;
	long fd;

	getrlimit(RLIMIT_NOFILE, &before);
	memset(name, 'n', sizeof(name));
	name[250] = 0;
	answers("create: a name of 250", make_file(name, 0));
	name[249] = 0;
	fd = make_file(name, 0);
	answers("create: a name of 249", fd);
	close((int)fd);
	answers("create: an unknown flag", make_file("n", 0x80));
	answers("create: a size of huge pages without any", make_file("n", 21u << 26));
	answers("create: a name from nowhere", make_file((const char *)8, 0));
	fd = make_file("", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	answers("create: no name, both flags", fd);
	holds("create: closed by exec", fcntl((int)fd, F_GETFD) == FD_CLOEXEC);
	limit(RLIMIT_NOFILE, (uint64_t)fd);
	close((int)fd);
	answers("create: no descriptor left", make_file("n", 0));
	setrlimit(RLIMIT_NOFILE, &before);
}

static void truncate_errors(int fd, int ro)
{
	int ends[2] = {-1, -1};

	answers("truncate: negative", cut(fd, -1));
	answers("truncate: not open", cut(77, 0));
	answers("truncate: a descriptor that reads", cut(ro, 0));
	answers("truncate: a pipe", pipe(ends) != 0 ? -ENOSYS : cut(ends[1], 0));
	answers("truncate: larger than all memory", cut(fd, (int64_t)1 << 40));
	answers("truncate: back", cut(fd, PAGES(2)));
	answers("seek: a pipe", call(SYS_lseek, ends[0], 0, SEEK_SET, 0, 0, 0));
	close(ends[0]);
	close(ends[1]);
}

void group_seals(void)
{
	int fd = file(2);
	long sealed = make_file("sealed", MFD_ALLOW_SEALING);
	long r;

	answers("where it is not allowed", call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_GROW, 0, 0, 0));
	close(fd);
	fd = (int)sealed;
	cut(fd, PAGES(2));
	answers("an unknown one", call(SYS_fcntl, fd, F_ADD_SEALS, 0x1000, 0, 0, 0));
	answers("size", call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK, 0, 0, 0));
	answers("then grow", cut(fd, PAGES(3)));
	answers("then shrink", cut(fd, PAGE));
	answers("then the same size", cut(fd, PAGES(2)));
	answers("then write past the end", call(SYS_pwrite64, fd, (long)"x", 1, PAGES(2), 0, 0));
	r = map_file(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	answers("writing with a writable mapping", call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE, 0, 0, 0));
	unmap((void *)r, PAGE);
	answers("writing", call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL, 0, 0, 0));
	answers("then write", call(SYS_write, fd, (long)"x", 1, 0, 0, 0));
	answers("then map shared and writable", map_file(NULL, PAGE, RW, MAP_SHARED, fd, 0));
	r = map_file(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	answers("then map shared and readable", r);
	answers("then make it writable", protect((void *)r, PAGE, RW));
	unmap((void *)r, PAGE);
	r = map_file(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	answers("then map private and writable", r);
	unmap((void *)r, PAGE);
	answers("after the last", call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_GROW, 0, 0, 0));
	holds("all are told",
	    fcntl(fd, F_GET_SEALS) == (F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK));
	close(fd);
}

void group_memfd(void)
{
	unsigned char bytes[16] = {0};
	int fd, ro;

	memfd_create_errors();
	fd = file(2);
	ro = again(fd, O_RDONLY);
	truncate_errors(fd, ro);
	answers("read: not open", call(SYS_read, 77, (long)bytes, 1, 0, 0, 0));
	answers("write: not open", call(SYS_write, 77, (long)bytes, 1, 0, 0, 0));
	answers("write: a descriptor that reads", call(SYS_write, ro, (long)bytes, 1, 0, 0, 0));
	answers("read: to nowhere", call(SYS_pread64, fd, 8, 1, 0, 0, 0));
	answers("write: from nowhere", call(SYS_pwrite64, fd, 8, 1, 0, 0, 0));
	answers("read: at a negative offset", call(SYS_pread64, fd, (long)bytes, 1, -1, 0, 0));
	answers("write: at a negative offset", call(SYS_pwrite64, fd, (long)bytes, 1, -1, 0, 0));
	answers("write: at the largest offset", call(SYS_pwrite64, fd, (long)bytes, 1, INT64_MAX, 0, 0));
	answers("seek: to before the start", call(SYS_lseek, fd, -1, SEEK_SET, 0, 0, 0));
	answers("seek: from nowhere", call(SYS_lseek, fd, 0, 77, 0, 0, 0));
	holds("seek: the end is the length", call(SYS_lseek, fd, 0, SEEK_END, 0, 0, 0) == (long)PAGES(2));
	holds("read: nothing at the end", call(SYS_read, fd, (long)bytes, 16, 0, 0, 0) == 0);
	holds("read: as much as there is",
	    call(SYS_pread64, fd, (long)bytes, 16, PAGES(2) - 5, 0, 0) == 5 && bytes[4] == 2);
	holds("write: behind a gap of zeros",
	    call(SYS_pwrite64, fd, (long)"x", 1, PAGES(3), 0, 0) == 1 && byte_at(fd, PAGES(2) + 9) == 0 &&
		call(SYS_lseek, fd, 0, SEEK_END, 0, 0, 0) == (long)PAGES(3) + 1);
	holds("truncate: cuts", cut(fd, 100) == 0 && byte_at(fd, 99) == 1 && byte_at(fd, 100) == 0xee);
	holds("truncate: what comes back is zero", cut(fd, PAGES(2)) == 0 && byte_at(fd, 99) == 1 &&
						       byte_at(fd, 100) == 0 && byte_at(fd, PAGE) == 0);
	close(ro);
	close(fd);
}

static void coherent_shared(int fd, unsigned char *p, unsigned char *q)
{
	map_file(p, PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	map_file(q, PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	p[PAGE + 5] = 50;
	holds("a store is seen by read", byte_at(fd, PAGE + 5) == 50);
	holds("a store is seen in another mapping", q[PAGE + 5] == 50);
	call(SYS_pwrite64, fd, (long)"w", 1, PAGES(2) + 7, 0, 0);
	holds("a write is seen in both", p[PAGES(2) + 7] == 'w' && q[PAGES(2) + 7] == 'w');
	cut(fd, PAGES(2) + 100);
	holds("cut: the rest of the page is zero", p[PAGES(2) + 99] == 3 && p[PAGES(2) + 100] == 0);
	says("cut: a page past the end", kernel_reads(p + PAGES(3)));
	says("cut: in the other mapping, too", kernel_writes(q + PAGES(3)));
	p[PAGES(2) + 200] = 9;
	cut(fd, PAGES(4));
	holds("grown: what was stored behind the end is gone or zero", byte_at(fd, PAGES(3)) == 0);
	holds("grown: the mapping reads zero", filled(p + PAGES(3), 0));
	q[PAGES(3)] = 77;
	holds("grown: and writes reach the file", byte_at(fd, PAGES(3)) == 77 && p[PAGES(3)] == 77);
	holds("a store does not change the length",
	    call(SYS_lseek, fd, 0, SEEK_END, 0, 0, 0) == (long)PAGES(4));
}

static void coherent_private(int fd, unsigned char *p, unsigned char *q)
{
	map_file(p, PAGES(4), RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
	map_file(q, PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	q[10] = 40;
	holds("private: sees the file before its first store", p[10] == 40);
	p[11] = 41;
	holds("private: a store stays in it", p[11] == 41 && byte_at(fd, 11) == 1 && q[11] == 1);
	q[12] = 42;
	holds("private: and cuts the page off", p[12] == 1);
	q[PAGE + 12] = 43;
	holds("private: the other pages still follow", p[PAGE + 12] == 43);
	cut(fd, PAGE);
	p[0] = 1;
	says("private: cut, a page past the end", kernel_reads(p + PAGE));
	cut(fd, 0);
	says("private: cut, its own copy goes too", kernel_reads(p));
	cut(fd, PAGES(4));
	holds("private: grown again, zero", filled(p, 0));
	holds("private: advised away, the file again",
	    (p[0] = 5, q[0] = 6, advise(p, PAGE, MADV_DONTNEED)) == 0 && p[0] == 6);
}

void group_coherent(void)
{
	unsigned char *p = space(4), *q = p + PAGES(4);
	int fd = file(4);

	map(q, PAGES(4), PROT_NONE, PRIVATE | MAP_FIXED);
	coherent_shared(fd, p, q);
	close(fd);
	fd = file(4);
	coherent_private(fd, p, q);
	map_file(p, PAGES(4), RW, MAP_SHARED | MAP_FIXED, fd, 0);
	p[PAGE] = 61;
	answers("a hole is punched", advise(p + PAGE, PAGE, MADV_REMOVE));
	holds("a hole reads zero everywhere", p[PAGE] == 0 && q[PAGE] == 0 && byte_at(fd, PAGE) == 0);
	holds("read into a mapping of the same file",
	    (p[PAGES(2)] = 70, call(SYS_pread64, fd, (long)(p + PAGES(3)), 1, PAGES(2), 0, 0)) == 1 &&
		p[PAGES(3)] == 70);
	drop(p, 4);
	drop(q, 4);
	close(fd);
}
