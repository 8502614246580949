/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - the nouns of the common kernel, which no port needs to know.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <stdarg.h>

#include <vmem/aspace.h>
#include <vmem/posix.h>

#include "port.h"
#include "signal.h"

/* Linux's numbers, the same on all ISAs. */
enum {
	EPERM = 1,
	ENOENT = 2,
	ESRCH = 3,
	EINTR = 4,
	EBADF = 9,
	ECHILD = 10,
	EAGAIN = 11,
	ENOMEM = 12,
	EACCES = 13,
	EFAULT = 14,
	EBUSY = 16,
	EEXIST = 17,
	ENOTDIR = 20,
	EISDIR = 21,
	EINVAL = 22,
	EMFILE = 24,
	ENFILE = 23,
	ENOTTY = 25,
	EFBIG = 27,
	ENOSPC = 28,
	ESPIPE = 29,
	EROFS = 30,
	EPIPE = 32,
	ERANGE = 34,
	ENAMETOOLONG = 36,
	ENOSYS = 38,
	ELOOP = 40,
	ETIMEDOUT = 110,
	/* Of a call that a signal cut short; no program sees them (deliver.c). It begins anew: */
	ERESTARTSYS = 512,    /* unless a handler without SA_RESTART runs */
	ERESTARTNOHAND = 514, /* unless a handler runs */
	ERESTART_BLOCK = 516, /* the same, by restart_syscall(), from what the thread remembers */
};


/* Every process is this user, of this group, and has no capability. */
enum { KERNEL_USER = 1000 };

/* ---- Options: the command line, read once (main.c). ---- */

struct kernel_options {
	bool run; /* one program; else the demonstration */
	bool wx;  /* W^X in every space */
	bool verbose;
	bool stretch;	  /* the longest stretches without interrupts are told */
	uint64_t regions; /* limit on the regions of a space */
};
extern struct kernel_options kernel_options;
#define KERNEL_WORD_MAX 256u /* room for the value of a word of the command line */

/* Added to a physical address gives where the kernel reaches it. */
extern uint64_t kernel_direct_map;

/* ---- Messages (print.c). ---- */

/* Formats as kernel_log() does, cut to what fits and terminated; answers the length. */
size_t kernel_format(char *out, size_t room, const char *format, va_list arguments);
__attribute__((format(printf, 3, 4))) size_t kernel_print(char *out, size_t room, const char *format, ...);
/* To the user of the machine: a line of the demonstration, or one of the log that examples/run shows with
 * `run=`. Without its line end. */
void kernel_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Bytes of a program, or of the log, whole. */
void kernel_write(enum port_channel channel, const void *bytes, size_t length);
/* Only with `verbose`. */
void kernel_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The program's name of a permission: "rw-". One of eight constant strings. */
const char *kernel_permission(unsigned permission);

/* ---- Randomness (main.c): from port_entropy(), or from seed=. ---- */
uint64_t kernel_random(void);

/* ---- The initial archive (archive.c): files that never change. ---- */

struct archive_entry {
	const char *name; /* no leading or trailing slash; "" is the root */
	const char *data; /* content, or a symbolic link's target (not terminated) */
	uint64_t size;
	uint32_t mode; /* Linux's st_mode */
	uint32_t links;
	struct vmem_object *object; /* content as memory, made when first wanted */
};
void archive_open(const void *start, size_t length);
/* By path, relative to the root if it does not start there; links are followed unless `keep_link` (then the
 * last one is not). NULL with *out_error ENOENT, ENOTDIR, ELOOP. out_error may be NULL. */
struct archive_entry *archive_find(const char *path, bool keep_link, int *out_error);
/* The n-th entry, NULL beyond the last. */
struct archive_entry *archive_entry(unsigned n);
/* The content as an object, to be mapped privately. Errors: INVALID (empty), NO_MEMORY. */
vmem_status_t archive_object(struct archive_entry *entry, struct vmem_object **out);
bool archive_is_directory(const struct archive_entry *entry);
/* No process is left that has one: they go, and are made anew when they are wanted. */
void archive_forget_objects(void);

/* ---- Open files (files.c). ---- */

struct open_file;
#define FILES_MAX 32u

/* ---- Processes (process.c): an address space, files, and threads (thread.h). ---- */

#define KERNEL_STACK_SIZE ((size_t)16384)

enum process_state { PROCESS_FREE, PROCESS_MADE, PROCESS_READY, PROCESS_ENDED };

struct thread;

/* locks.h */
struct lock {
	uint32_t taken;
};

/* [k]: with the kernel's lock; the rest never changes while threads run. */
/* A resource limit. */
enum { LIMITS = 16 };
struct limit {
	uint64_t soft, hard;
};

struct process {
	enum process_state state; /* [k] */
	unsigned pid;
	struct vmem_aspace *aspace;
	struct vmem_posix posix; /* the library's */
	struct limit limits[LIMITS]; /* those that were set: bits of limits_set (calls_limit.c) */
	uint32_t limits_set;
	struct lock memory;	 /* what it has mapped does not go while a CPU has this (user_word.c) */
	uint64_t entry, sp;	 /* where user mode begins */
	struct archive_entry *file;
	char name[48];
	struct open_file *files[FILES_MAX]; /* [k] */
	uint32_t files_not_for_exec;	    /* [k] bit n: descriptor n is closed by it */
	struct signal_action actions[SIGNALS]; /* [k] signal n at n - 1 */
	struct signal_pending pending;	       /* [k] for whichever thread takes it */
	uint64_t trampoline;		       /* what a handler returns to (stack.c) */
	bool stopped;			       /* [k] by a signal: */
	unsigned stop_signal;		       /* [k] this one */
	bool stop_untold, go_untold;	       /* [k] the parent may wait for that, too (wait.c) */
	unsigned group;			       /* [k] process group */
	uint64_t start_ns;
	struct thread *threads; /* [k] all it ever had */
	struct thread *waiters; /* [k] in the order in which they came (futex.c) */
	unsigned live;		/* [k] threads that have not ended */
	bool ending;		/* [k] all threads are to end */
	struct thread *survivor; /* [k] but this one, which goes on in another program (exec.c) */
	struct process *parent; /* [k] who may wait for it, or NULL */
	struct process *lender; /* [k] whose space it is in (vfork), or NULL */
	bool forked;
	unsigned signal;	/* [k] what it died of; 0: exited */
	unsigned status;	/* [k] */
};

/* Strings for the new stack: each ended by a NUL, one after the other. */
struct strings {
	const char *bytes;
	size_t length;
};

extern unsigned process_live; /* [k] processes that run */

/* The library heeds the limits that the process has: after vmem_posix_init(). */
void limit_apply(struct process *process);
/* How many descriptors it may have. */
uint64_t limit_files(struct process *process);
/* How large its stack may become. */
uint64_t limit_stack(const struct process *process);

/* Makes a ready process of a file; argv[0] names it. NULL when it cannot be loaded, which has been said. Boot
 * context only. */
struct process *process_create(struct archive_entry *file, struct strings argv, struct strings env);
/* Lets the ready processes run until all have ended. Boot context only. */
void process_run_all(void);
/* Frees an ended process that nobody else looks for any more. */
void process_free(struct process *process);
/* A free process record, taken; NULL: there is none. */
struct process *process_take(void);
/* The next process after this one (NULL: the first) that runs or has ended; NULL: there is none. With the
 * kernel's lock. */
struct process *process_next(const struct process *process);
/* Makes a space in which the record's file is ready to run. False: it cannot be, which has been said. */
bool process_make_image(struct process *process, struct strings argv, struct strings env);
/* The first function of a thread that runs the process's program from its beginning. */
void process_begin(void *process);
/* Destroys a space that no thread is in any more (NULL: none), once no CPU has it live. */
void process_destroy_space(struct vmem_aspace *aspace);
/* The last thread of a forked process gives up its space. With the kernel's lock, which it gives up
 * meanwhile. */
void process_leave_space(struct process *process);
/* Ends the running one with all its threads. */
_Noreturn void process_exit(unsigned status);
_Noreturn void process_kill(unsigned signal);
/* Its last thread has ended. With the kernel's lock. */
void process_ended(struct process *process);

/* ---- Programs (elf.c, stack.c). ---- */

/* The end of where programs are put. Ordinary ones keep marks in the upper bits of pointers, so nothing
 * goes above 2^47 unless it is named: the library's mmap has the same limit. */
static inline uint64_t kernel_user_top(void)
{
	const uint64_t size = vmem_aspace_user_size(), limit = UINT64_C(1) << 47;

	return size < limit ? size : limit;
}

struct program {
	uint64_t entry, headers, header_count, end; /* end: of the highest segment, page aligned */
};
/* Maps a static ELF file into the process's space. False when it is not one or does not fit: that has been
 * said. */
bool elf_load(struct process *process, struct archive_entry *file, struct program *out);
/* Maps the stack and its guard, and lays out what Linux's ABI puts on it. Sets process->sp. */
bool stack_build(
    struct process *process, const struct program *program, struct strings argv, struct strings env);
/* What all programs share beside their stacks goes, when no process is left. */
void stack_forget_trampoline(void);
/* Where a stack with this limit may come down to. */
uint64_t stack_lowest(uint64_t limit);

/* ---- Reports (report.c). ---- */

void report_map(struct process *process);
void report_statistics(const struct process *process);
void report_memory(void);
/* Before the first process, and when all are gone: gives back what is kept for the next ones, and says
 * whether as many frames are free as then. */
void report_frames_first(void);
bool report_frames_last(void);

/* ---- The demonstration (demo.c), and the built-in tests (test.c). ---- */

_Noreturn void demo_run(void);
_Noreturn void test_run(const char *name);
/* Logs the end line and ends the machine. */
_Noreturn void kernel_end_exit(unsigned status);
_Noreturn void kernel_end_signal(unsigned signal);

/* ---- string.c: also what the compiler and the library call. ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *a, const void *b, size_t length);
size_t string_length(const char *s);
bool string_equal(const char *a, const char *b);
bool string_has(const char *s, char c);

#endif
