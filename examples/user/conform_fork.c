/* SPDX-License-Identifier: MIT */
/* conform: what a child has of its parent's memory, and regions that grow down. */
#include "conform.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned char *other; /* a second place, and a file, for the functions of a child */
static int other_file;

static int sees(unsigned char *p)
{
	return filled(p, 1) && filled(p + PAGE, 2) && filled(p + PAGES(3), 4);
}

static int writes_private(unsigned char *p)
{
	memset(p, 99, PAGES(4));
	return filled(p + PAGES(3), 99);
}

static int writes_shared(unsigned char *p)
{
	p[0] = 55;
	p[PAGE] = 56;
	return 0;
}

static int unmaps(unsigned char *p)
{
	return unmap(p, PAGES(4)) == 0 && !mapped(p) && map(p, PAGE, RW, PRIVATE | MAP_FIXED) == (long)p &&
	       filled(p, 0);
}

static int protects(unsigned char *p)
{
	return protect(p, PAGES(4), PROT_READ) == 0 && strcmp(kernel_writes(p), "EFAULT") == 0;
}

static int is_writable(unsigned char *p)
{
	return strcmp(kernel_writes(p), "done") == 0;
}

static int forks_again(unsigned char *p)
{
	int before, after, grandchild;

	p[0] = 2;
	grandchild = in_child(writes_private, p);
	before = filled(p + PAGES(3), 4);
	after = p[0] == 2;
	return grandchild == 1 && before && after;
}

static int moves(unsigned char *p)
{
	return remap(p, PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, other) == (long)other &&
	       filled(other, 1) && filled(other + PAGE, 2) && !mapped(p);
}

static int reads_file(unsigned char *p)
{
	return p[0] == 11 && p[1] == 1 && other[0] == 12;
}

static int truncates(unsigned char *p)
{
	(void)p;
	return cut(other_file, PAGE) == 0;
}

void group_fork(void)
{
	unsigned char *p = area(4);
	long r;

	other = space(4);
	holds("the child sees the parent's memory", in_child(sees, p) == 1);
	holds("the child's stores are its own", in_child(writes_private, p) == 1 && sees(p));
	holds("the child's unmapping is its own", in_child(unmaps, p) == 1 && sees(p));
	holds("the child's permissions are its own", in_child(protects, p) == 1 && is_writable(p));
	holds("a child of a child", (memset(p, 1, PAGE), in_child(forks_again, p)) == 1 && filled(p, 1));
	holds("moved in the child", in_child(moves, p) == 1 && filled(p, 1) && !mapped(other));
	r = remap(p, PAGES(2), PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, other);
	holds("moved before fork", r == (long)other && in_child(moves, other) == 0 && filled(other, 1));
	drop(other, 2);
	map(p, PAGES(4), RW, SHARED | MAP_FIXED);
	p[0] = 1;
	holds("shared memory: the child's stores are seen",
	    in_child(writes_shared, p) == 0 && p[0] == 55 && p[PAGE] == 56);
	other_file = file(4);
	map_file(p, PAGES(2), RW, MAP_PRIVATE | MAP_FIXED, other_file, 0);
	map_file(other, PAGES(2), RW, MAP_SHARED | MAP_FIXED, other_file, 0);
	p[0] = 11;
	other[0] = 12;
	holds("a file: private and shared", in_child(reads_file, p) == 1);
	holds("a file: the child cuts it", in_child(truncates, p) == 1);
	says("a file: the parent is past its end", kernel_reads(p + PAGE));
	drop(p, 4);
	drop(other, 4);
	close(other_file);
}

static int has(unsigned char *p)
{
	return mapped(p);
}

static int has_two(unsigned char *p)
{
	return mapped(p) && !mapped(p + PAGE) && mapped(p + PAGES(2));
}

static int is_wiped(unsigned char *p)
{
	return filled(p, 0) && filled(p + PAGE, 2);
}

static int wiped_again(unsigned char *p)
{
	p[0] = 5;
	return in_child(is_wiped, p);
}

static int is_locked(unsigned char *p)
{
	return call(SYS_msync, (long)p, PAGE, MS_INVALIDATE, 0, 0, 0) == -EBUSY;
}

static int future_locked(unsigned char *p)
{
	long r = map(NULL, PAGE, RW, PRIVATE);

	(void)p;
	return is_locked((unsigned char *)r);
}

static int is_guarded(unsigned char *p)
{
	return strcmp(kernel_reads(p), "EFAULT") == 0 && filled(p + PAGE, 2);
}

static int is_read_only(unsigned char *p)
{
	return strcmp(kernel_writes(p), "EFAULT") == 0 && filled(p, 1);
}

static int raised_break(unsigned char *p)
{
	uintptr_t now = (uintptr_t)call(SYS_brk, 0, 0, 0, 0, 0, 0);

	(void)p;
	return (uintptr_t)call(SYS_brk, (long)(now + PAGES(4)), 0, 0, 0, 0, 0) == now + PAGES(4);
}

void group_inherit(void)
{
	unsigned char *p = area(4);
	long now = call(SYS_brk, 0, 0, 0, 0, 0, 0);

	advise(p + PAGE, PAGE, MADV_DONTFORK);
	holds("DONTFORK: not in the child", in_child(has_two, p) == 1 && filled(p + PAGE, 2));
	advise(p + PAGE, PAGE, MADV_DOFORK);
	holds("DOFORK: in it again", in_child(has, p + PAGE) == 1);
	advise(p, PAGE, MADV_WIPEONFORK);
	holds("WIPEONFORK: zero in the child", in_child(is_wiped, p) == 1 && filled(p, 1));
	holds("WIPEONFORK: in its child, too", in_child(wiped_again, p) == 1);
	advise(p, PAGE, MADV_KEEPONFORK);
	holds("KEEPONFORK: kept", in_child(sees, p) == 1);
	protect(p, PAGE, PROT_READ);
	holds("read-only stays so", in_child(is_read_only, p) == 1);
	protect(p, PAGE, RW);
	call(SYS_mlock, (long)p, PAGE, 0, 0, 0, 0);
	holds("locks are not inherited", is_locked(p) && in_child(is_locked, p) == 0);
	call(SYS_munlock, (long)p, PAGE, 0, 0, 0, 0);
	call(SYS_mlockall, MCL_FUTURE, 0, 0, 0, 0, 0);
	holds("nor is the lock on the future", in_child(future_locked, p) == 0);
	call(SYS_munlockall, 0, 0, 0, 0, 0, 0);
	if (advise(p, PAGE, 102) == 0) {
		holds("guard pages are", in_child(is_guarded, p) == 1);
	} else {
		unknown("guard pages are");
	}
	holds("the break is the child's own",
	    in_child(raised_break, p) == 1 && call(SYS_brk, 0, 0, 0, 0, 0, 0) == now);
	drop(p, 4);
}

static long grow_area(unsigned char **p, unsigned pages)
{
	*p = space(pages);
	return map(*p + PAGES(pages - 4), PAGES(4), RW, PRIVATE | MAP_FIXED | MAP_GROWSDOWN);
}

static void grow_and_neighbour(void)
{
	unsigned char *p;

	grow_area(&p, 1024); /* its four pages end at page 1024 */
	map(p + PAGES(500), PAGE, RW, PRIVATE | MAP_FIXED);
	says("a neighbour: down to 256 pages above it", kernel_writes(p + PAGES(757)));
	says("a neighbour: not into the gap", kernel_writes(p + PAGES(756)));
	says("a neighbour: not next to it", kernel_writes(p + PAGES(501)));
	protect(p + PAGES(500), PAGE, PROT_NONE);
	says("a neighbour without permission needs no gap", kernel_writes(p + PAGES(600)));
	answers("the gap is no place to choose",
	    map(p + PAGES(590), PAGE, RW, PRIVATE) == (long)(p + PAGES(590)) ? 0 : -EEXIST);
	answers("but can be named", map(p + PAGES(590), PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE));
	drop(p, 1024);
}

static void grow_and_limit(void)
{
	unsigned char *p;

	grow_area(&p, 1024);
	limit(RLIMIT_STACK, PAGES(64));
	says("the limit of the stack: up to it", kernel_writes(p + PAGES(960)));
	says("the limit of the stack: not beyond", kernel_writes(p + PAGES(959)));
	limit(RLIMIT_STACK, (uint64_t)8 << 20);
	says("the limit of the stack: lifted", kernel_writes(p + PAGES(800)));
	drop(p, 1024);
}

void group_growsdown(void)
{
	unsigned char *p;

	answers("mmap", grow_area(&p, 600));
	holds("has what was asked for", mapped(p + PAGES(596)) && !mapped(p + PAGES(595)));
	says("a store right below", kernel_writes(p + PAGES(595)));
	holds("it grew by a page", mapped(p + PAGES(595)) && !mapped(p + PAGES(594)));
	says("a load 100 pages below", kernel_reads(p + PAGES(495) + 64));
	holds("it grew by all of them",
	    mapped(p + PAGES(496)) && mapped(p + PAGES(495)) && !mapped(p + PAGES(494)));
	p[PAGES(500)] = 1;
	holds("zero", p[PAGES(500) + 1] == 0 && filled(p + PAGES(540), 0));
	says("far below", kernel_writes(p + PAGES(10)));
	drop(p, 600);
	grow_area(&p, 600);
	answers("mprotect from its start", protect(p + PAGES(598), PAGE, PROT_READ | PROT_GROWSDOWN));
	says("its start is read-only", kernel_writes(p + PAGES(596)));
	says("its last page is not", kernel_writes(p + PAGES(599)));
	says("what is read-only grows by loads", kernel_reads(p + PAGES(590)));
	says("and not by stores", kernel_writes(p + PAGES(580)));
	drop(p, 600);
	grow_area(&p, 600);
	unmap(p + PAGES(596), PAGE);
	says("without its first page it grows", kernel_writes(p + PAGES(596)));
	drop(p, 600);
	grow_and_neighbour();
	grow_and_limit();
}
