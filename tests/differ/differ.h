/* SPDX-License-Identifier: MIT */
/*
 * differ.h - random steps through the library on the software machine and through the system calls of the
 * Linux that the test runs on, in the same window of addresses.
 *
 * A step is a call or an access of one of a few processes that are relatives by fork. Both sides run it, and
 * then say what they answer, which regions the process has in the window, and what its pages hold.
 */
#ifndef DIFFER_H
#define DIFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE UINT64_C(4096)
#define PROCESSES 4u
/* What the steps aim at, and what is looked at: a step reaches a few pages beyond its aim. Nothing else is
 * there on either side; below 2 GiB, because the sanitizers use what is above. */
#define AIMED 40u
#define MARGIN 24u
#define WINDOW_PAGES (AIMED + 2 * MARGIN)
#define WINDOW UINT64_C(0x20000000)
#define AIM (WINDOW + MARGIN * PAGE)
#define WINDOW_END (WINDOW + WINDOW_PAGES * PAGE)
/* The heap: above what the break is at first; a page of it that nothing aims at is below. The real one is
 * elsewhere (helper.c); calls and answers say where it would be if it began here. */
#define HEAP_PAGES 12u
#define HEAP UINT64_C(0x28000000)
#define HEAP_END (HEAP + HEAP_PAGES * PAGE)
#define SEEN (WINDOW_PAGES + HEAP_PAGES) /* pages that are looked at */
#define FILES 3u			 /* in memory; the last one is the first, opened to read */
#define FILE_PAGES 20u
#define WORDS 2u /* of a page that are compared: its first and its last */
#define REGIONS (SEEN + 1u)
#define EPOCH 4000u /* steps on one machine */
#define ROW 64u	    /* so many steps in a row are of one process */
#define LOCK_LIMIT (12 * PAGE)
/* Of epochs in which as much may be locked as there is: more than a helper has mapped. */
#define LOCK_LIMIT_GENEROUS (UINT64_C(8) << 20)

enum kind {
	STEP_MMAP,
	STEP_MUNMAP,
	STEP_MPROTECT,
	STEP_MREMAP,
	STEP_MADVISE,
	STEP_MLOCK,
	STEP_MUNLOCK,
	STEP_MSYNC,
	STEP_MINCORE,
	STEP_MLOCKALL,
	STEP_MUNLOCKALL,
	STEP_MSEAL,
	STEP_BRK,
	STEP_FTRUNCATE,
	STEP_READ,
	STEP_WRITE,
	STEP_FORK, /* when there is no room for a child, one of the others exits first */
	STEP_KINDS
};

struct step {
	enum kind kind;
	unsigned process, other; /* modulo those that live; other: which one exits */
	uint64_t address, length;
	uint64_t target, new_length; /* mremap; target: also mincore's vector, 0 for a good one */
	unsigned file;		     /* mmap, ftruncate: 1 + its number; 0: none */
	uint64_t offset;	     /* in it */
	int prot, flags;	     /* flags: also advice */
	uint64_t value;		     /* what WRITE stores */
	bool fill;		     /* look at pages that nobody wrote to, too */
};

/* Codes of an access that went wrong, in place of an errno. */
enum { SIGNAL_MAPERR = 1000, SIGNAL_ACCERR, SIGNAL_ADRERR, SIGNAL_OTHER };
/* In place of an address: somewhere outside of the window. It has been unmapped again. */
#define ELSEWHERE INT64_C(1)

struct region {
	uint64_t start, end;
	unsigned permission; /* PROT_* */
	bool shared;
};

typedef uint8_t page_set[SEEN]; /* a byte each */

static inline uint64_t page_address(unsigned i)
{
	return i < WINDOW_PAGES ? WINDOW + i * PAGE : HEAP + (i - WINDOW_PAGES) * PAGE;
}

/* Whether the address is one of those that are looked at. */
static inline bool is_seen(uint64_t address)
{
	return (address >= WINDOW && address < WINDOW_END) || (address >= HEAP && address < HEAP_END);
}

/* The end of the part of them that the address is in. */
static inline uint64_t seen_end(uint64_t address)
{
	return address < WINDOW_END ? WINDOW_END : HEAP_END;
}

/* What a side says after a step. */
struct report {
	/* 0, an address, a value read, mincore's pages as bits; or -errno, -SIGNAL_* */
	int64_t result;
	bool skipped;  /* Linux's: nothing was done, this kernel does not know it */
	bool resync;   /* Linux's: both sides have unmapped what the step was about (resync_range) */
	uint64_t zero; /* Linux's, of mincore: pages, as bits, that are not known to hold anything */
	unsigned regions;
	struct region region[REGIONS]; /* rising; equal neighbours are one */
	/* Which pages were looked at, and their words, or -SIGNAL_* where they cannot be read. */
	page_set pages;
	int64_t word[SEEN][WORDS];
};

/* Numbers that not every system's headers have. */
enum {
	ADVICE_POPULATE_READ = 22,
	ADVICE_POPULATE_WRITE = 23,
	ADVICE_DONTNEED_LOCKED = 24,
	ADVICE_COLLAPSE = 25,
	ADVICE_GUARD = 102,
	ADVICE_UNGUARD = 103,
	KEEP_SOURCE = 4,	 /* MREMAP_DONTUNMAP */
	STACK_DOWN = 0x01000000, /* PROT_GROWSDOWN */
	STACK_UP = 0x02000000,	 /* PROT_GROWSUP */
	CALL_MSEAL = 462,
};

/* What this machine's kernel is like (probe.c). */
struct facts {
	uint64_t lock_limit, stack_limit, mmap_min;
	unsigned knows; /* KNOWS_* */
};
enum {
	KNOWS_POPULATE = 1,	   /* 5.14 */
	KNOWS_DONTNEED_LOCKED = 2, /* 5.18 */
	KNOWS_GUARD = 4,	   /* 6.13 */
	KNOWS_GUARD_SHARED = 8,	   /* 6.15 */
	KNOWS_SEVERAL = 16,	   /* 6.17: a move of several mappings; and the order of mremap's errors */
	KNOWS_KEEP_SHARED = 32,	   /* 5.13: KEEP_SOURCE of shared memory */
	KNOWS_RECLAIM = 64,	   /* 5.4: COLD, PAGEOUT */
	KNOWS_MSEAL = 128,	   /* 6.10 */
	KNOWS_ALL = 255,
};

/* ---- steps.c ---- */
extern const char *const step_names[STEP_KINDS];
/* Step `number` of an epoch: a pure function. Kinds that the library does not have are not made. */
struct step step_make(uint64_t seed, uint64_t epoch, unsigned number, uint32_t kinds);
void step_print(const struct step *step);
/* A step whose answer does not compare, or that one side could not take: left out. */
bool step_is_safe(const struct step *step);

/*
 * Linux has two regions where others would have one (accepted.c), and so refuses a remap that the library
 * does. What it is about is then unmapped on both sides: range i of three; false when there is none.
 */
bool resync_range(const struct step *step, unsigned i, uint64_t *out_start, uint64_t *out_length);

/* ---- linux.c, helper.c: the system calls of this machine, in processes of their own. ---- */
enum action { ACTION_STEP, ACTION_LOOK, ACTION_FORK, ACTION_EXIT };

/* What one process does. */
struct entry {
	enum action action;
	unsigned process, child;
	unsigned number; /* of the step that it comes from */
	struct step step;
	struct report report; /* filled in by linux_run() */
};
#define ENTRIES (3 * EPOCH + 3 * PROCESSES)
/* Room for the entries of an epoch, which helpers see as well. */
struct entry *linux_entries(void);
/* Runs all of them, process 0 being there at the start and all of them gone in the end. A switch between
 * processes can take long on a busy machine: so each goes on as far as it can, without asking anybody. */
void linux_run(const char *helper, unsigned count, bool generous);
/* After a run. */
const struct facts *linux_facts(void);

/* ---- library.c ---- */
void library_start(const struct facts *facts);
void library_stop(void);
/* The kinds that the library has, as bits. */
uint32_t library_kinds(void);
void library_step(unsigned process, const struct step *step, struct report *out);
int64_t library_fork(unsigned parent, unsigned child);
void library_exit(unsigned process);
void library_resync(unsigned process, const struct step *step);
/* out->pages says which pages to look at. */
void library_look(unsigned process, struct report *out);
void library_check(void);

/* ---- accepted.c ---- */
#define ACCEPTED 20u
struct accepted {
	const char *what, *why;
	bool (*is)(const struct step *step, const struct report *linux_report, int64_t library_result);
};
/* The entry that the difference in results is, or -1. Effects must agree all the same. */
int accepted_find(const struct step *step, const struct report *linux_report, int64_t library_result);
extern const struct accepted accepted[];
extern const unsigned accepted_count;

/* Ends the epoch's process as a failure. */
_Noreturn void differ_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A region more; it is joined to the last one if they are alike. */
void report_region(struct report *report, uint64_t start, uint64_t end, unsigned permission, bool shared);

#endif
