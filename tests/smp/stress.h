/* SPDX-License-Identifier: MIT */
/*
 * stress.h - CPUs that do everything at once: what the files of this test share.
 *
 * A thread is a CPU of the software machine. Programs run through its TLB, which forgets nothing, and every
 * word that one writes says who wrote it, where, and in which version (book.c); so every word that is read
 * tells whether it may be there.
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmem/aspace.h>
#include <vmem/copy.h>
#include <vmem/fault.h>
#include <vmem/frame.h>
#include <vmem/init.h>
#include <vmem/kernel.h>
#include <vmem/object.h>

#include "machine.h"

#define PAGE VMEM_PAGE_SIZE
#define WORDS (PAGE / 8)
#define CPUS MACHINE_CPUS
#define SPACES 2u /* that all CPUs share; the second uses large leaves */
#define LARGE UINT64_C(0x200000)

/* book.c: what may be where. */
#define BASE_VERSION 1u	 /* of what an object held at the start */
struct cell {		 /* a word of a page, written by one CPU */
	uint32_t issued; /* the last version that its CPU has begun to write */
	uint32_t done;	 /* the last one that it has written */
	uint32_t floor;	 /* no older one is seen by who begins to read now */
};
struct book {
	unsigned id, pages;
	unsigned volatile_from; /* the first page whose content may be thrown away at any time */
	struct cell *cells;
};
void book_open(struct book *book, unsigned id, unsigned pages, unsigned volatile_from);
void book_close(struct book *book);
struct cell *book_cell(const struct book *book, unsigned page, unsigned writer);
uint64_t book_offset(unsigned page, unsigned writer); /* of the word, in bytes from the first page on */
uint64_t book_word(const struct book *book, unsigned page, unsigned writer, uint32_t version);
uint64_t book_issue(struct book *book, unsigned page, unsigned writer); /* the word to write now */
void book_written(struct book *book, unsigned page, unsigned writer, uint64_t word);
/* Around a call that throws content away; `before` has room for pages * CPUS. */
void book_wipe_begin(const struct book *book, unsigned first, unsigned pages, uint32_t *before);
void book_wipe_end(struct book *book, unsigned first, unsigned pages, const uint32_t *before);
/* Whether a word that was read may be there: `floor` was the cell's before, `issued` after. */
bool book_legal(
    const struct book *book, unsigned page, unsigned writer, uint64_t word, uint32_t floor, uint32_t issued);

/* cpu.c: this thread's CPU, and its programs. */
struct cpu {
	unsigned number;
	uint64_t random;
	unsigned space;	     /* that runs here; SPACES: another one */
	uint64_t counts[32]; /* operations, by kind */
	uint64_t refused;    /* calls that found no memory */
};
extern _Thread_local struct cpu *self;
uint64_t any(uint64_t below); /* random */
bool chance(unsigned percent);
/* Around each call of the library. */
void enter(const char *what);
void leave(void);
#define LIB(call)                                                                                            \
	__extension__({                                                                                      \
		enter(#call);                                                                                \
		__auto_type answer_ = (call);                                                                \
		leave();                                                                                     \
		answer_;                                                                                     \
	})
#define LIB_VOID(call)                                                                                       \
	do {                                                                                                 \
		enter(#call);                                                                                \
		call;                                                                                        \
		leave();                                                                                     \
	} while (0)
void run_space(unsigned space); /* one of the shared ones */
void run_own(struct vmem_aspace *aspace);
void run_nothing(void);
/* A word of user memory of the space that runs here; the fault that was not resolved. */
enum vmem_fault_result load(struct vmem_aspace *aspace, uint64_t va, uint64_t *word);
enum vmem_fault_result store(struct vmem_aspace *aspace, uint64_t va, uint64_t word);
_Noreturn void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define MUST(condition, ...)                                                                                 \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			wrong(__VA_ARGS__);                                                                  \
		}                                                                                            \
	} while (0)
/* The call succeeds, or finds no memory (then: false). */
bool went(vmem_status_t status, const char *what);

/* The world of one epoch. */
struct world {
	struct vmem_aspace *space[SPACES];
	unsigned cpus;
	bool large_leaves;
};
extern struct world world;

/* Each kind of operation: what to make before, one step by a CPU, and what to take down when all is quiet. */
void windows_make(void); /* places that all CPUs use: windows.c */
void windows_step(void);
void windows_check(void); /* all CPUs have stopped */
void windows_end(void);
void areas_make(void); /* places that one CPU lays out and the others read: areas.c */
void areas_step(void);
void areas_end(void);
void moves_make(void); /* memory that moves, and stacks that grow: moves.c */
void moves_step(void);
void moves_end(void);
void snapshots_step(void); /* snapshots.c */
void snapshots_end(void);
void forks_step(void); /* children of the shared spaces: forks.c */
void lives_step(void); /* spaces, objects, kernel memory and frames that come and go: lives.c */
void lives_end(void);
/* The objects that windows show, for snapshots. */
struct vmem_object *windows_object(unsigned i, struct book **book); /* i is 0 or 1 */
/* The windows of private memory, for forks: where, and in which space (NULL: not asked). */
#define WINDOWS_PRIVATE 4u
struct book *windows_private(unsigned i, uint64_t *va, unsigned *space);
bool windows_legal(
    unsigned i, unsigned page, unsigned writer, uint64_t word, uint32_t floor, uint32_t issued);

#endif
