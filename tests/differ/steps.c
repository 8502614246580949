/* SPDX-License-Identifier: MIT */
/*
 * steps.c - what is done: each step is drawn from its number alone, so any part of a sequence is one too.
 *
 * Most addresses are pages of the aim, some of the heap; most lengths are short. One step in a few is wrong
 * in itself: an address that is not a page's, or the kernel's, or beyond; a length of zero, or one that
 * wraps around or does so when it is rounded. What would reach the helper's own memory on Linux is not made
 * (is_safe).
 */
#define _GNU_SOURCE
#include "differ.h"

#include <stdio.h>
#include <sys/mman.h>

const char *const step_names[STEP_KINDS] = {"mmap", "munmap", "mprotect", "mremap", "madvise", "mlock",
    "munlock", "msync", "mincore", "mlockall", "munlockall", "mseal", "brk", "ftruncate", "read", "write",
    "fork"};

/* In a hundred, of the kinds that there are. */
static const unsigned weights[STEP_KINDS] = {27, 5, 11, 12, 17, 6, 5, 4, 4, 4, 3, 3, 3, 4, 7, 15, 4};

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t draw(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(*state);
}

static unsigned below(uint64_t *state, unsigned n)
{
	return (unsigned)(draw(state) >> 33) % n;
}

static bool one_in(uint64_t *state, unsigned n)
{
	return below(state, n) == 0;
}

static uint64_t an_address(uint64_t *r)
{
	static const uint64_t wrong[] = {0, UINT64_C(0xffffffff80000000), UINT64_C(0xfffffffffffff000),
	    UINT64_C(0x7ffffffffffff000), UINT64_C(0x8000000000000000)};
	uint64_t page = one_in(r, 20) ? HEAP + below(r, HEAP_PAGES) * PAGE : AIM + below(r, AIMED) * PAGE;
	if (one_in(r, 14)) {
		return wrong[below(r, sizeof(wrong) / sizeof(wrong[0]))] +
		       (one_in(r, 4) ? below(r, 4096) : 0);
	}
	return one_in(r, 18) ? page + 1 + below(r, 4095) : page;
}

static uint64_t a_length(uint64_t *r)
{
	static const uint64_t wrong[] = {
	    0, 0, UINT64_MAX, UINT64_MAX - 4095, UINT64_MAX - 8192, UINT64_C(1) << 60, UINT64_C(1) << 63};
	uint64_t pages = 1 + below(r, one_in(r, 5) ? 16 : 5);
	if (one_in(r, 16)) {
		return wrong[below(r, sizeof(wrong) / sizeof(wrong[0]))];
	}
	return pages * PAGE - (one_in(r, 5) ? below(r, 4095) : 0);
}

static int a_permission(uint64_t *r)
{
	static const int some[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
	    PROT_READ | PROT_WRITE, PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC};
	return some[below(r, 8)] | (one_in(r, 50) ? 0x100 : 0) | (one_in(r, 50) ? STACK_DOWN : 0) |
	       (one_in(r, 100) ? STACK_UP : 0);
}

static void make_mmap(uint64_t *r, struct step *s)
{
	static const int place[] = {
	    MAP_FIXED, MAP_FIXED, MAP_FIXED, 0, MAP_FIXED_NOREPLACE, MAP_FIXED_NOREPLACE};
	s->prot = a_permission(r);
	s->flags = (one_in(r, 4) ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | place[below(r, 6)];
	s->flags |= one_in(r, 10) ? MAP_POPULATE : 0;
	s->flags |= one_in(r, 10) ? MAP_NORESERVE : 0;
	s->flags |= one_in(r, 14) ? MAP_LOCKED : 0;
	s->flags |= one_in(r, 30) ? MAP_GROWSDOWN : 0;
	if (one_in(r, 4)) {
		s->file = 1 + below(r, FILES);
		s->offset = below(r, FILE_PAGES) * PAGE + (one_in(r, 20) ? 1 + below(r, 4095) : 0);
		s->flags &= ~MAP_ANONYMOUS;
	}
	if (one_in(r, 30)) { /* of the types, all but MAP_DROPPABLE, which the library does not have */
		s->flags = (s->flags & ~15) | (int)below(r, 8);
	}
	if (one_in(r, 2) && s->length < 16 * PAGE) { /* or there would be more holes than memory */
		s->length += 8 * PAGE;
	}
}

static void make_mremap(uint64_t *r, struct step *s)
{
	static const int some[] = {0, 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED,
	    MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_FIXED,
	    MREMAP_MAYMOVE | KEEP_SOURCE, MREMAP_MAYMOVE | MREMAP_FIXED | KEEP_SOURCE, KEEP_SOURCE, 8};
	s->flags = some[below(r, 12)];
	s->target = an_address(r);
	s->new_length = one_in(r, 2) ? s->length : a_length(r);
}

static void make_madvise(uint64_t *r, struct step *s)
{
	static const int some[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTNEED, MADV_DONTNEED,
	    MADV_DONTNEED, MADV_REMOVE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK,
	    MADV_KEEPONFORK, MADV_DONTDUMP, MADV_DODUMP, ADVICE_POPULATE_READ, ADVICE_POPULATE_WRITE,
	    ADVICE_POPULATE_WRITE, ADVICE_DONTNEED_LOCKED, ADVICE_GUARD, ADVICE_GUARD, ADVICE_UNGUARD,
	    ADVICE_UNGUARD, MADV_WILLNEED, MADV_FREE, MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_MERGEABLE,
	    MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, ADVICE_COLLAPSE, 7, 99};
	s->flags = some[below(r, sizeof(some) / sizeof(some[0]))];
}

static enum kind a_kind(uint64_t *r, uint32_t kinds)
{
	unsigned all = 0, at;
	for (unsigned i = 0; i < STEP_KINDS; i++) {
		all += kinds >> i & 1 ? weights[i] : 0;
	}
	at = below(r, all);
	for (unsigned i = 0;; i++) {
		unsigned weight = kinds >> i & 1 ? weights[i] : 0;
		if (at < weight) {
			return (enum kind)i;
		}
		at -= weight;
	}
}

/* Sealed memory stays for as long as a process of the family does: so there is little of it, late. */
static void make_mseal(uint64_t *r, struct step *s, uint64_t epoch, unsigned number)
{
	bool may = epoch % 4 == 2 && number >= EPOCH * 3 / 4 && one_in(r, 3);
	s->flags = may ? 0 : 1 + (int)below(r, 3);
	s->length = may ? PAGE + below(r, 2) * PAGE : s->length;
	if (!may && one_in(r, 2)) {
		s->flags = 0;
		s->length = one_in(r, 2) ? s->length | UINT64_C(1) << 60 : 0;
		s->address |= 1 + below(r, 4095);
	}
}

/* Mostly near to where it is; and some that is nowhere. */
static void make_brk(uint64_t *r, struct step *s)
{
	static const uint64_t wrong[] = {
	    0, PAGE, UINT64_C(1) << 60, UINT64_MAX, UINT64_C(0xffffffff80000000)};
	s->address = one_in(r, 6) ? wrong[below(r, 5)] : HEAP + below(r, HEAP_PAGES * (unsigned)PAGE);
	s->address &= one_in(r, 2) ? ~UINT64_C(0) : ~(PAGE - 1);
}

static void make_file(uint64_t *r, struct step *s)
{
	s->file = 1 + below(r, FILES);
	s->offset = below(r, FILE_PAGES + 1) * PAGE + (one_in(r, 4) ? 1 + below(r, 4095) : 0);
	if (one_in(r, 8)) {
		s->offset = UINT64_C(1) << 63;
	}
}

struct step step_make(uint64_t seed, uint64_t epoch, unsigned number, uint32_t kinds)
{
	/* Memory is locked, or moved with its source kept: never both (accepted.c). */
	bool keeps = epoch % 4 == 3;
	const uint32_t locks = 1u << STEP_MLOCK | 1u << STEP_MUNLOCK | 1u << STEP_MLOCKALL;
	kinds &= keeps ? ~locks : ~0u;
	uint64_t state = mix(seed ^ mix(epoch ^ mix(number))), *r = &state;
	struct step s = {.kind = a_kind(r, kinds), .other = below(r, 12), .fill = one_in(r, 16)};
	s.process = (unsigned)(mix(seed ^ mix(epoch ^ mix(number / ROW + 1))) % 12);
	s.address = an_address(r);
	s.length = a_length(r);
	switch (s.kind) {
	case STEP_MMAP:
		make_mmap(r, &s);
		s.flags &= keeps ? ~MAP_LOCKED : ~0;
		break;
	case STEP_MPROTECT:
		s.prot = a_permission(r);
		break;
	case STEP_MREMAP:
		make_mremap(r, &s);
		s.flags &= keeps ? ~0 : ~KEEP_SOURCE;
		break;
	case STEP_MADVISE:
		make_madvise(r, &s);
		break;
	case STEP_MLOCK:
		s.flags = one_in(r, 3) ? (int)below(r, 3) : 0;
		break;
	case STEP_MSYNC:
		s.flags = (int)below(r, one_in(r, 8) ? 16 : 7);
		break;
	case STEP_MINCORE:
		s.target = one_in(r, 8) ? one_in(r, 2) ? UINT64_C(1) << 63 : 8 : 0;
		break;
	case STEP_MLOCKALL:
		s.flags = one_in(r, 3) ? (int)below(r, 16) : one_in(r, 2) ? MCL_FUTURE : MCL_FUTURE | 4;
		break;
	case STEP_MSEAL:
		make_mseal(r, &s, epoch, number);
		break;
	case STEP_BRK:
		make_brk(r, &s);
		break;
	case STEP_FTRUNCATE:
		make_file(r, &s);
		break;
	case STEP_READ:
	case STEP_WRITE:
		s.address = page_address(MARGIN + below(r, AIMED));
		if (one_in(r, 12)) {
			s.address = page_address(WINDOW_PAGES + below(r, HEAP_PAGES));
		}
		s.address += one_in(r, 2) ? PAGE - 8 : 0;
		s.value = epoch << 32 | (number + 1);
		break;
	default:
		break;
	}
	return s;
}

/* Whether the range leaves user space or wraps around, so that a call refuses it before it does anything; or
 * ends within the window or right behind it. */
static bool is_bounded(uint64_t address, uint64_t length)
{
	uint64_t end = address + length;
	bool far = length >= UINT64_C(1) << 60 || address >= UINT64_C(1) << 60;
	return far || (address < PAGE && length < 64 * PAGE) ||
	       (is_seen(address) && end <= seen_end(address) && end >= address);
}

bool step_is_safe(const struct step *s)
{
	if (s->kind == STEP_BRK || s->kind == STEP_MLOCKALL || s->kind == STEP_MUNLOCKALL ||
	    s->kind == STEP_FTRUNCATE) {
		return true;
	}
	bool goes_on = s->kind == STEP_MADVISE || s->kind == STEP_MSYNC; /* past holes, to the end */
	if (goes_on && s->length <= UINT64_MAX - 4095 && s->length >= UINT64_C(1) << 60 &&
	    s->address + s->length >= s->address) {
		return false;
	}
	if (s->kind == STEP_MREMAP &&
	    (s->new_length > UINT64_C(1) << 59 ? false : !is_bounded(s->target, s->new_length))) {
		return false;
	}
	return is_bounded(s->address, s->length);
}

void step_print(const struct step *s)
{
	printf("%s %#llx+%#llx prot %#x flags %#x target %#llx+%#llx file %u at %#llx\n", step_names[s->kind],
	    (unsigned long long)s->address, (unsigned long long)s->length, (unsigned)s->prot,
	    (unsigned)s->flags, (unsigned long long)s->target, (unsigned long long)s->new_length, s->file,
	    (unsigned long long)s->offset);
}
