/* SPDX-License-Identifier: MIT */
/*
 * machine.h - the software machine: physical memory, CPUs, and an MMU with a TLB that is as treacherous as
 * its manual allows.
 *
 * The library under test is compiled for the build machine with the codec of one ISA; its page tables lie
 * in the physical memory of this machine. A test drives the CPUs, one at a time, or each by a thread of its
 * own (machine_threads). Every access goes through
 * the MMU of the ISA, which reads raw entries as its manual says and shares no header with the library.
 * What a manual forbids is a violation, and fails the test.
 *
 * There is one machine at a time. Numbers are addresses in bytes unless a name says otherwise; levels count
 * from the leaf (0).
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_CPUS 4u
#define MACHINE_RANGES 4u
#define MACHINE_PAGE 4096u

enum machine_isa { MACHINE_X86_64, MACHINE_AARCH64, MACHINE_RISCV };

/* What this model of CPU has. */
enum {
	MACHINE_HW_MARKS =
	    1u << 0, /* sets accessed and dirty itself (x86-64 always; AArch64 HAFDBS; RISC-V Svadu) */
	MACHINE_NX = 1u << 1,		  /* x86-64: EFER.NXE */
	MACHINE_LEAF_1G = 1u << 2,	  /* x86-64: 1 GiB leaves */
	MACHINE_INVPCID = 1u << 3,	  /* x86-64 */
	MACHINE_LPA2 = 1u << 4,		  /* AArch64: TCR.DS, 52-bit addresses, five levels */
	MACHINE_LIVE_SPLIT = 1u << 5,	  /* AArch64: FEAT_BBM level 2 */
	MACHINE_SVPBMT = 1u << 6,	  /* RISC-V */
	MACHINE_SVNAPOT = 1u << 7,	  /* RISC-V */
	MACHINE_SVINVAL = 1u << 11,	  /* RISC-V */
	MACHINE_CACHES_INVALID = 1u << 8, /* RISC-V: entries with V clear are cached too, at every level */
	MACHINE_COHERENT_FETCH = 1u << 9, /* instruction fetch sees stores (x86-64 always; AArch64 CTR.DIC) */
	MACHINE_SPECULATES =
	    1u << 10, /* every effect of the library is followed by machine_fill() on all CPUs */
};

struct machine_range {
	uint64_t start, length;
};

struct machine_config {
	enum machine_isa isa;
	unsigned cpus;	    /* 1 to MACHINE_CPUS */
	unsigned levels;    /* x86-64: 4, 5; AArch64: 4, or 5 with LPA2; RISC-V: 3, 4, 5 */
	unsigned asid_bits; /* x86-64: 0 or 12 (PCID); AArch64: 8 or 16; RISC-V: 0 to 16 */
	unsigned pa_bits;
	uint32_t features;
	unsigned ram_count;
	struct machine_range ram[MACHINE_RANGES]; /* page aligned, rising, with holes or without */
	struct machine_range device;		  /* not RAM: no linear map, uncached by nature */
};

/*
 * The usual model of an ISA: everything that the ISA can have, RAM of 64 MiB at 2 GiB and of 32 MiB behind
 * a hole.
 */
struct machine_config machine_default(enum machine_isa isa);
void machine_create(const struct machine_config *config);
void machine_destroy(void);
const struct machine_config *machine_config(void);

/*
 * Physical memory. The host pointer of `pa` is pa + machine_direct_map(); NULL outside RAM and the device.
 */
uint64_t machine_direct_map(void);
void *machine_ram(uint64_t pa);
/*
 * Pages of RAM for a test's own tables, zeroed, from the end of the last range; the library must not be
 * given them.
 */
uint64_t machine_page(void);
/* Range i of RAM less what machine_page() took; call it when the tables of the test are made. */
struct machine_range machine_ram_left(unsigned i);
bool machine_is_ram(uint64_t pa);

/*
 * The boot's page tables, for a library that adopts them: the linear map with leaves of at most
 * `linear_level`, and nothing else; PAT or MAIR as a boot leaves it. Every CPU runs on it under id 0; on
 * AArch64 the lower half is off. The linear map is at the host pointers. Those are lower-half addresses: on
 * AArch64 it is at the same place of the upper half, elsewhere the boot's own root alone has it.
 */
void machine_boot(unsigned linear_level);
uint64_t machine_empty_table(void);   /* a page of zeroes, outside of what the library gets */
uint64_t machine_linear(uint64_t pa); /* the virtual address of the linear map's byte for pa */
/* A part of the upper half that the boot's tables leave free, for the library to manage: 8 GiB. */
struct machine_range machine_kernel_area(void);

/*
 * CPUs. The current one is what the library sees as itself. One that is off is skipped by calls to other
 * CPUs.
 */
unsigned machine_cpu(void);
void machine_cpu_set(unsigned cpu);
void machine_cpu_power(unsigned cpu, bool on); /* coming on, its TLB is empty */
bool machine_cpu_is_on(unsigned cpu);
/*
 * Whether the current CPU is idle: it uses no translation of the user half meanwhile, and may have old leaves
 * there until it next uses one. Tables it may walk at any time.
 */
void machine_cpu_idle(bool idle);

/* Accesses. */
enum machine_access_kind { MACHINE_READ, MACHINE_WRITE, MACHINE_EXEC };
enum { MACHINE_USER = 1u << 0, MACHINE_SUPERVISOR = 0 };

struct machine_result {
	bool ok;
	bool spurious;	 /* not explained by memory: the TLB had a stricter translation */
	uint64_t cause;	 /* x86-64: vector; AArch64: ESR_EL1; RISC-V: scause */
	uint64_t detail; /* x86-64: error code; AArch64: 1 if from EL0; RISC-V: sstatus */
	uint64_t va;	 /* CR2, FAR_EL1, stval */
	uint64_t pa;	 /* when ok: where the access went */
};

/*
 * len bytes (1 to 8, within a page) between `buf` and the memory behind `va`; EXEC fetches. Supervisor data
 * accesses may use user pages.
 */
struct machine_result machine_access(
    unsigned cpu, uint64_t va, enum machine_access_kind kind, unsigned mode, void *buf, size_t len);
/*
 * The translation by the tables in memory alone, without a trace: false when there is none. Permission
 * bits: see MACHINE_PERM_*.
 */
enum {
	MACHINE_PERM_UR = 1,
	MACHINE_PERM_UW = 2,
	MACHINE_PERM_UX = 4,
	MACHINE_PERM_SR = 8,
	MACHINE_PERM_SW = 16,
	MACHINE_PERM_SX = 32
};
struct machine_translation {
	uint64_t pa, raw;
	unsigned level, perm;
	unsigned type; /* enum machine_type */
	bool accessed, dirty, global;
};
enum machine_type { MACHINE_WB, MACHINE_WT, MACHINE_WC, MACHINE_UC };
bool machine_translate(unsigned cpu, uint64_t va, struct machine_translation *out);

/*
 * What a CPU runs on. On AArch64 the user root is TTBR0, MACHINE_NO_ROOT while TCR.EPD0 is set; elsewhere
 * the only one.
 */
#define MACHINE_NO_ROOT UINT64_MAX
uint64_t machine_root(unsigned cpu);
uint32_t machine_asid(unsigned cpu);
/* The root of the boot's tables: TTBR1 on AArch64, on all CPUs. */
uint64_t machine_kernel_root(void);

/* Instruction fetch: [pa, pa + len) as it is now becomes what `cpu` fetches; on AArch64 what all fetch. */
void machine_fetch_sync(unsigned cpu, uint64_t pa, size_t len);

/*
 * The adversary: caches everything that the current roots of a CPU translate, accessed bits set as a
 * speculative walk may.
 */
void machine_fill(unsigned cpu);
/* The same for one address. */
void machine_fill_at(unsigned cpu, uint64_t va);
/* What an effect of the library calls when it is done: fills when the model speculates. */
void machine_effect(void);
/*
 * Between an entry's removal and the end of its batch stale translations are legal: the depth of such
 * sections.
 */
void machine_relax(int by);
/*
 * The border between two operations of the library: a break before it and a store after it are not one
 * break-before-make.
 */
void machine_operation(void);

/*
 * Frames, as the library's allocator sees them. Unless one of these is called the machine believes all to
 * be in use.
 */
void machine_frame_allocated(uint64_t pa, unsigned order);
void machine_frame_freed(uint64_t pa, unsigned order);
/*
 * Allocations that fail: the n-th from now (1: the next), or none (0). The library asks before each; the
 * answer is true once.
 */
void machine_fail_at(uint64_t n);
bool machine_fail_allocation(void);
/* Whether the last answer was yes. */
bool machine_failed_allocation(void);
uint64_t machine_allocations(void); /* how many were asked for */
/* [pa, pa + len) must never be reachable from user mode. */
void machine_kernel_only(uint64_t pa, uint64_t len);
/* Spaces with W^X: by root table; UINT64_MAX: all. */
void machine_wx(uint64_t root, bool on);

/* Dirty: true if the frame was stored to through a translation since machine_dirty_forget(). */
bool machine_dirty_expected(uint64_t pa);
void machine_dirty_forget(uint64_t pa);
/*
 * A violation unless what was stored to is known dirty: by the library (`known`) or by an entry under a
 * root of a CPU.
 */
void machine_dirty_check(uint64_t pa, bool known);

/*
 * Checks. machine_audit: every entry below the roots of `cpu`. machine_check: every cached translation that
 * a CPU could use now.
 */
struct machine_audit {
	uint64_t tables;    /* root not counted */
	uint64_t leaves[5]; /* by level */
	uint64_t user, writable, executable, dirty;
};
struct machine_audit machine_audit(unsigned cpu);
void machine_check(void);
unsigned machine_cached(unsigned cpu); /* number of cached entries */

enum machine_rule {
	MACHINE_STALE_USED,    /* memory no longer has what the TLB has, and no batch is open */
	MACHINE_FREED_REACHED, /* a TLB or an entry leads to a frame or table that is free */
	MACHINE_BREAK_MISSING, /* AArch64: a live entry became another one without a break */
	MACHINE_MALFORMED,     /* reserved bits and forms, misalignment, an address that is no memory */
	MACHINE_WX_LEAF,       /* writable and executable in a space with W^X */
	MACHINE_USER_KERNEL,   /* user mode reaches the kernel half, a table, a kernel-only frame */
	MACHINE_TWO_TYPES,     /* two cache attributes for one frame */
	MACHINE_DIRTY_LOST,    /* a store that no dirty bit tells of */
	MACHINE_FETCH_STALE,   /* instructions fetched that were stored and not synchronised */
	MACHINE_BAD_ID,	       /* an id the CPU has not, or with translations of another space */
	MACHINE_PLAUSIBLE,     /* x86-64: a non-present entry with an address of RAM in it */
	MACHINE_MISUSE,	       /* the machine's instructions were misused */
	MACHINE_RULES
};
/* By default a violation prints itself and aborts. Collecting, it is counted and its text kept. */
void machine_collect(bool on);
unsigned machine_violations(enum machine_rule rule);
unsigned machine_violations_all(void);
const char *machine_violation_text(void); /* the last one's; "" when there is none */
void machine_violations_clear(void);
void machine_violation(enum machine_rule rule, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * What flushing cost, since the last clearing. A flush is idle if nothing it dropped, on any CPU, had to
 * go.
 */
struct machine_counters {
	uint64_t flush_page, flush_page_tables, flush_global, flush_space,
	    flush_all;	  /* instructions, by kind */
	uint64_t dropped; /* cached entries that went */
	uint64_t idle;	  /* flush instructions of which no dropped entry was stale */
	uint64_t breaks,
	    breaks_idle; /* AArch64: entries broken and made again; of these, where no break was owed */
	uint64_t accesses, walks, faults, spurious, root_writes, fetch_syncs;
	uint64_t calls; /* functions run on another CPU */
	uint64_t
	    cleaned_lines; /* written back and dropped from the data caches (or instructions that do all) */
};
extern struct machine_counters machine_counters;

/* The host interface's panic: with a landing set, it longjmps there (value 1); without, it aborts. */
void machine_panic_landing(jmp_buf *landing);
const char *machine_panic_text(void);
_Noreturn void machine_panic(const char *rule);

/*
 * A turn of a loop that waits for another CPU, which answers calls or (pause) does not: what runs then.
 * Without a hook it is a violation: a test with one thread waits for ever.
 */
void machine_wait_hook(void (*hook)(void));
void machine_wait(void);
void machine_pause(void);

/*
 * Called on each target before a function called on other CPUs runs there, the CPU already switched, stale
 * translations legal.
 */
void machine_call_hook(void (*hook)(unsigned cpu));
/* Runs the function on each of the CPUs that is on, in turn, each being the current one meanwhile. */
void machine_call(uint64_t cpus, void (*function)(void *), void *argument);
/*
 * Several threads, each of them one CPU for good (machine_cpu_set() at its start). machine_threads() is
 * called while there is only one. Calls to other CPUs then wait until the targets take them: in
 * machine_turn(), which every thread calls again and again while it is in no operation, in machine_wait(),
 * and while they wait for calls of their own. A CPU is not switched off meanwhile.
 *
 * Every call of the library stands between machine_inside() and machine_outside(), so that the machine knows
 * which translations may still be stale: those that an operation under way may have removed.
 */
void machine_threads(bool on);
void machine_inside(const char *what);
void machine_outside(void);
void machine_turn(void);
/*
 * One in so many moments (0: none) another thread goes on: the library's locks, and what else asks which CPU
 * runs. So few processors of the build machine show more of what many would.
 */
void machine_yields(unsigned one_in);
void machine_moment(void);
/* The watchdog aborts, and tells what all CPUs do, when a watched one makes no step for so long. */
void machine_watchdog(unsigned seconds);
void machine_watched(bool on); /* this CPU; its thread has begun, or ends */
void machine_progress(void);   /* a step of this CPU */
void machine_cleaned(void);    /* counts a line */

/*
 * glue.c: what the library's host would find out about a RISC-V machine (struct vmem_config); 0 elsewhere.
 */
uint32_t machine_isa_features(void);

#endif
