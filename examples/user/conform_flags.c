/* SPDX-License-Identifier: MIT */
/* conform: flags of mmap that ask for a part of the space, and memory that may be dropped. */
#include "conform.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define BITS32 0x40  /* x86-64's own, and so not in every libc */
#define ABOVE4G 0x80 /* since Linux 6.6 */
#define DROPPABLE (8 | MAP_ANONYMOUS)
#define GIB ((uintptr_t)1 << 30)

static unsigned char *pointer(uintptr_t address)
{
	return (unsigned char *)address;
}

static uintptr_t placed(uintptr_t hint, size_t length, int flags)
{
	return (uintptr_t)map(pointer(hint), length, RW, PRIVATE | flags);
}

static int is_low(uintptr_t at)
{
	return at >= GIB && at + PAGE <= 2 * GIB;
}

void group_part(void)
{
	unsigned char *p = area(1);
	uintptr_t a = placed(0, PAGE, BITS32), b = placed(0, PAGE, BITS32), c;

	holds("32 bits: the second GiB", is_low(a));
	holds("32 bits: and the next one", is_low(b) && b != a);
	answers("32 bits: more than there is", (long)placed(0, 2 * GIB, BITS32));
	c = placed(a + PAGES(64), PAGE, BITS32);
	holds("32 bits: a hint", c == a + PAGES(64));
	unmap(pointer(c), PAGE);
	c = placed(GIB / 2, PAGE, BITS32);
	holds("32 bits: a hint in the first GiB", c == GIB / 2);
	unmap(pointer(c), PAGE);
	c = placed((uintptr_t)p - PAGE, PAGE, BITS32);
	holds("32 bits: a hint too high", is_low(c));
	unmap(pointer(c), PAGE);
	c = placed((uintptr_t)p, PAGE, BITS32 | MAP_FIXED);
	holds("32 bits: fixed is fixed", c == (uintptr_t)p);
	unmap(pointer(a), PAGE);
	unmap(pointer(b), PAGE);
	c = placed(0, PAGE, ABOVE4G);
	holds("above 4 GiB", c >= 4 * GIB && !failed((long)c));
	unmap(pointer(c), PAGE);
	c = placed(GIB / 2, PAGE, ABOVE4G);
	holds("above 4 GiB: a hint below", c == GIB / 2);
	unmap(pointer(c), PAGE);
	drop(p, 1);
}

static int first_is_zero(unsigned char *p)
{
	return p[0] == 0 && p[PAGE] == 0 && mapped(p);
}

static void droppable_errors(unsigned char *p)
{
	int fd = file(1);

	answers("locked", map(NULL, PAGE, RW, DROPPABLE | MAP_LOCKED));
	answers("grows down", map(NULL, PAGE, RW, DROPPABLE | MAP_GROWSDOWN));
	answers("of a file", map_file(NULL, PAGE, RW, 8, fd, 0));
	answers("length 0", map(p, 0, RW, DROPPABLE));
	answers("not to replace: in use", map(p, PAGE, RW, DROPPABLE | MAP_FIXED_NOREPLACE));
	close(fd);
}

static void droppable_advice(unsigned char *p)
{
	answers("madvise KEEPONFORK", advise(p, PAGE, MADV_KEEPONFORK));
	answers("madvise DODUMP", advise(p, PAGE, MADV_DODUMP));
	answers("madvise WIPEONFORK", advise(p, PAGE, MADV_WIPEONFORK));
	answers("madvise DONTDUMP", advise(p, PAGE, MADV_DONTDUMP));
	answers("madvise DONTFORK", advise(p, PAGE, MADV_DONTFORK));
	answers("madvise DOFORK", advise(p, PAGE, MADV_DOFORK));
	answers("madvise FREE", advise(p, PAGE, MADV_FREE));
	answers("mlock", call(SYS_mlock, (long)p, PAGES(2), 0, 0, 0, 0));
	answers("mlock: it is not locked", call(SYS_msync, (long)p, PAGE, MS_INVALIDATE, 0, 0, 0));
	answers("munlock", call(SYS_munlock, (long)p, PAGES(2), 0, 0, 0, 0));
}

static void droppable_promise(void)
{
	struct sysinfo info;
	size_t twice;
	long r;

	sysinfo(&info);
	twice = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit / PAGE * PAGE * 2;
	r = map(NULL, twice, RW, DROPPABLE);
	answers("twice the memory is not promised", r);
	unmap((void *)r, twice);
}

/* Linux 6.11 brings it; without it all is unknown. */
void group_droppable(void)
{
	unsigned char *p = area(4), *q = space(3);
	long r = map(p, PAGES(2), RW, DROPPABLE | MAP_FIXED);

	provided(r == (long)p);
	answers("mmap", r);
	holds("is zero", filled(p, 0) && filled(p + PAGE, 0));
	p[0] = p[PAGE] = 5;
	holds("keeps what is written, or drops it", p[0] == 5 || p[0] == 0);
	holds("a child has it empty", in_child(first_is_zero, p) == 1);
	holds("and its parent does not", p[0] == 5 || p[0] == 0);
	droppable_errors(p);
	droppable_advice(p);
	holds("a child has it empty still", in_child(first_is_zero, p) == 1);
	answers("mprotect", protect(p, PAGE, PROT_READ));
	says("mprotect: cannot be written", kernel_writes(p));
	answers("mremap to move and grow", remap(p + PAGE, PAGE, PAGES(2), MREMAP_MAYMOVE | MREMAP_FIXED, q));
	holds("mremap: a child has it empty", (q[0] = q[PAGE] = 7) == 7 && in_child(first_is_zero, q) == 1);
	droppable_promise();
	answers("munmap", unmap(p, PAGE));
	provided(1);
	drop(q, 3);
	drop(p, 4);
}
