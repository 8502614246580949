/* SPDX-License-Identifier: MIT */
/*
 * The number of regions is limited (65530 on Linux): makes regions until one is refused with ENOMEM, then
 * checks what must fail and what must not at the limit, and that a refused call changed nothing.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 80000 };

static unsigned char *base;
static int bad;

static void check(const char *what, int right)
{
	printf("maplimit: %s: %s\n", what, right ? "yes" : "NO");
	bad += !right;
}

static unsigned char *page(long i)
{
	return base + i * PAGE;
}

static int refused(int result)
{
	return result == -1 && errno == ENOMEM;
}

int main(void)
{
	void *other;
	long i;

	base = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED) {
		perror("maplimit: mmap");
		return 1;
	}
	/* Every second page read-only: two regions more each time. */
	for (i = 1; i < PAGES && mprotect(page(i), PAGE, PROT_READ) == 0; i += 2) {
	}
	check("refused with ENOMEM", i < PAGES && errno == ENOMEM);
	printf("maplimit: between 65400 and 65532 regions: %s\n", i >= 65400 && i <= 65532 ? "yes" : "NO");
	bad += i < 65400 || i > 65532;
	if (mprotect(page(i), (size_t)(PAGES - i) * PAGE, PROT_READ) != 0) {
		i += 2; /* not even one was left: the refused page begins the last region */
	}
	check("a whole region may change",
	    mprotect(page(2), PAGE, PROT_NONE) == 0 && mprotect(page(2), PAGE, PROT_READ | PROT_WRITE) == 0);
	base[0] = 1;
	/* Fill up what may be left, one by one. */
	for (long k = 0; k < 4; k++) {
		other =
		    mmap(NULL, PAGE, k % 2 == 0 ? PROT_NONE : PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (other == MAP_FAILED) {
			break;
		}
	}
	check("one more mapping of another kind is refused", other == MAP_FAILED && errno == ENOMEM);
	other = page(PAGES - 3);
	check("munmap in the middle of a region is refused", refused(munmap(other, PAGE)));
	check("mprotect in the middle of a region is refused", refused(mprotect(other, PAGE, PROT_NONE)));
	check("and both changed nothing",
	    *(volatile unsigned char *)other == 0 && *(volatile unsigned char *)(page(PAGES - 2)) == 0);
	check("munmap of a whole region is not", munmap(page(1), PAGE) == 0);
	check("munmap at the end of a region is not", munmap(page(PAGES - 1), PAGE) == 0);
	check("then one fits again",
	    mmap(page(1), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page(1));
	check("all of it goes", munmap(base, (size_t)PAGES * PAGE) == 0);
	return bad != 0;
}
