/* SPDX-License-Identifier: MIT */
/*
 * accepted.c - where the library answers otherwise than Linux, and why. Never what it does: after each of
 * these steps regions and contents agree.
 *
 * Three more are not made at all (steps.c, helper.c). MAP_DROPPABLE: the library does not have it.
 * MREMAP_DONTUNMAP while memory is locked: Linux takes the lock off all of the region that a part is moved
 * out of, the library off the part alone. mprotect down to where a mapping begins (PROT_GROWSDOWN), when
 * Linux has two that could be one.
 */
#define _GNU_SOURCE
#include "differ.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

/* Addresses that a system call's result cannot tell from an error. */
static bool is_error(uint64_t address)
{
	return address > UINT64_MAX - 4095;
}

static bool fixed_at_an_error(const struct step *s, const struct report *linux_report, int64_t library_result)
{
	return s->kind == STEP_MMAP && s->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) && is_error(s->address) &&
	       linux_report->result == (int64_t)s->address && library_result == -ENOMEM;
}

static bool one_region_for_us(const struct step *s, const struct report *linux_report, int64_t library_result)
{
	return s->kind == STEP_MREMAP && linux_report->resync && library_result != -EFAULT;
}

static bool about_large_pages(const struct step *s, const struct report *linux_report, int64_t library_result)
{
	(void)linux_report;
	return s->kind == STEP_MADVISE && library_result == -EINVAL &&
	       ((s->flags >= MADV_MERGEABLE && s->flags <= MADV_NOHUGEPAGE) || s->flags == ADVICE_COLLAPSE);
}

static bool zero_page(const struct step *s, const struct report *linux_report, int64_t library_result)
{
	return s->kind == STEP_MINCORE && linux_report->result >= 0 && library_result >= 0 &&
	       !((uint64_t)(linux_report->result ^ library_result) & ~linux_report->zero);
}

const struct accepted accepted[] = {
    {"mincore of a page that nobody wrote to: present on one side, not on the other",
	"Which pages were read, and show zeroes, only the page tables know: a fork, a move or a permission "
	"taken away make the library forget them. Linux drops pages of objects that are not dirty when it is "
	"advised to.",
	zero_page},
    {"madvise about large pages and same-page merging: EINVAL by the library",
	"It is unknown to a Linux that was configured without them, too; what it does cannot be seen here.",
	about_large_pages},
    {"mremap of two neighbours that are alike, to another size: EFAULT on Linux, done by the library",
	"Linux merges private memory only where its anon_vma and page offsets agree, which depends on what "
	"was "
	"touched and moved before; the library's regions merge by what they mean.",
	one_region_for_us},
    {"mmap, a fixed address among the last 4095 bytes: Linux answers the address, the library ENOMEM",
	"Linux asks whether the address that it chose is an error before it asks whether it is beyond user "
	"space, and so answers an errno of no meaning.",
	fixed_at_an_error},
    {NULL, NULL, NULL},
};
const unsigned accepted_count = sizeof(accepted) / sizeof(accepted[0]) - 1;
_Static_assert(sizeof(accepted) / sizeof(accepted[0]) - 1 <= ACCEPTED, "too many differences");

int accepted_find(const struct step *step, const struct report *linux_report, int64_t library_result)
{
	for (unsigned i = 0; i < accepted_count; i++) {
		if (accepted[i].is(step, linux_report, library_result)) {
			return (int)i;
		}
	}
	return -1;
}
