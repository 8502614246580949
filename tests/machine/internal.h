/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of the machine share: the state, the TLB, and what an ISA's MMU supplies.
 */
#ifndef MACHINE_INTERNAL_H
#define MACHINE_INTERNAL_H

#include "cpu.h"

#define LEVELS_MAX 5u
#define PERM_USER 7u /* MACHINE_PERM_UR, UW, UX */
#define PERM_WRITE 18u
#define PERM_EXEC 36u
#define PERM_ALL 63u
_Static_assert(MACHINE_PERM_UX == 4 && (MACHINE_PERM_UW | MACHINE_PERM_SW) == 18 &&
		   (MACHINE_PERM_UX | MACHINE_PERM_SX) == 36,
    "groups");

/* One entry, read as the manual says. */
enum mmu_kind { MMU_INVALID, MMU_TABLE, MMU_LEAF, MMU_BAD };
struct mmu_entry {
	enum mmu_kind kind;
	const char
	    *bad; /* MMU_BAD: the rule it breaks; MMU_LEAF and MMU_TABLE: one the hardware ignores, or NULL */
	bool bad_size;	   /* MMU_BAD: the address is beyond the physical address size */
	bool global;	   /* leaf; RISC-V: also a table */
	bool accessed;	   /* a table: true where the ISA has no such bit */
	bool dirty;	   /* a store needs no mark */
	uint8_t run_shift; /* leaf: member of a run of 2^this entries that may be cached as one */
	uint8_t type;	   /* enum machine_type */
	uint32_t allow;	   /* leaf: permissions once marked */
	uint32_t deny;	   /* table: permissions it takes from everything below */
	uint64_t pa;	   /* of the table, or of the leaf's own first byte */
};

enum mmu_why { WHY_ADDRESS, WHY_INVALID, WHY_BAD, WHY_SIZE, WHY_ACCESSED, WHY_PERMISSION, WHY_BUS };
struct mmu_fault {
	enum mmu_why why;
	unsigned level;
	enum machine_access_kind kind;
	bool user;
};

struct mmu {
	const char *name;
	bool split_roots; /* the upper half has a root of its own */
	bool fault_drops; /* a page fault drops what is cached for its address */
	struct mmu_entry (*decode)(uint64_t raw, unsigned level, unsigned index); /* index: in its table */
	uint32_t (*finish)(uint32_t allow); /* rules over a whole path: user pages and the supervisor */
	uint64_t (*mark)(uint64_t raw, unsigned level,
	    bool store); /* the entry with accessed, and for a store dirty, set */
	bool (*canonical)(uint64_t va);
	void (*fault)(const struct mmu_fault *fault, struct machine_result *out);
	bool (*break_owed)(uint64_t from, uint64_t to, unsigned level); /* both valid; NULL: never */
	bool conflicts; /* two translations of one address are an error, and so is a break that is not owed */
	/* A leaf of a run as the member `distance` places behind it has it. */
	uint64_t (*member)(uint64_t raw, unsigned level, int distance);
	const char *(*plausible)(uint64_t raw,
	    unsigned level); /* of a non-present entry: what is wrong with it; NULL: nothing ever */
};
extern const struct mmu mmu_x86_64, mmu_aarch64, mmu_riscv;

/* A cached entry: a leaf, a table entry, or (RISC-V) an invalid one. */
struct tlb_entry {
	struct tlb_entry *va_next, **va_link; /* by address */
	struct tlb_entry *pa_next, **pa_link; /* by target */
	struct tlb_entry *id_next, **id_link; /* by address-space id */
	struct tlb_entry *at_next, **at_link; /* by the place in memory it was read from */
	uint64_t va, pa; /* first address of what it covers, and where that is; a table entry: the table */
	uint64_t at;	 /* physical address of the entry */
	uint64_t raw;
	uint64_t root;		/* of the walk */
	uint64_t stale_at;	/* when it was first found stale (C4); 0: it is not */
	uint32_t at_generation; /* of the frame of `at` */
	uint32_t asid;
	uint32_t perm;	      /* leaf: as finished; table: denied so far */
	uint8_t kind;	      /* enum mmu_kind, not MMU_BAD */
	uint8_t level, shift; /* shift: log2 of what it covers */
	uint8_t pa_shift;     /* log2 of what it reaches */
	uint8_t type, cpu;
	bool global, accessed, dirty;
};

/* How many members of a run a cached leaf stands for. */
static inline unsigned tlb_members(const struct tlb_entry *e)
{
	return e->kind == MMU_LEAF ? 1u << (e->shift - (12 + 9 * e->level)) : 1;
}

#define TLB_BUCKETS 4096u
#define TLB_IDS 512u
#define LATER_MAX 256u
struct later { /* a flush that its barrier has not yet completed */
	uint64_t a, b;
	uint8_t op;
	bool shared;
};
struct machine_cpu {
	uint64_t cr0, cr4, pat;	   /* x86-64 */
	bool globals;		   /* x86-64: CR4.PGE was on */
	uint64_t tcr, mair, ttbr0; /* AArch64 */
	uint64_t satp;		   /* RISC-V */
	bool in_inval;		   /* RISC-V: after SFENCE.W.INVAL */
	unsigned later_count;
	struct later later[LATER_MAX];
	uint64_t root;
	uint32_t asid;
	bool on;
	bool idle; /* machine_cpu_idle() */
	bool id_unchecked; /* a root was loaded, and a flush may still follow before anything is translated */
	unsigned count;
	unsigned by_shift[64];
	uint64_t shifts; /* those of which it has some */
	struct tlb_entry *va[TLB_BUCKETS];
	struct tlb_entry *id[TLB_IDS + 1]; /* the last: global */
};
#define TLB_GLOBAL TLB_IDS

struct frame {
	uint32_t generation; /* bumped when freed */
	bool free, stored, kernel_only;
	bool is_table;			/* a walk went through it since it was allocated */
	uint8_t *fetched[MACHINE_CPUS]; /* what instruction fetch sees; NULL: garbage */
};

#define BROKEN_MAX 1024u
struct broken { /* an entry that was flushed while memory had it invalid */
	uint64_t at, raw;
	uint32_t at_generation;
	unsigned level;
};

struct machine {
	struct machine_config config;
	const struct mmu *mmu;
	unsigned va_bits; /* of one half where halves are split, of both else */
	uint8_t *arena;	  /* of the span from the lowest to the highest physical address */
	uint64_t base, span;
	struct frame *frames; /* of the span */
	bool traced;	      /* the allocator tells of frames */
	uint64_t taken;	      /* bytes at the end of the last range, for machine_page() */
	uint64_t kernel_root, empty_table;
	uint64_t attributes; /* IA32_PAT or MAIR_EL1, the same on all CPUs */
	bool marks;	     /* hardware sets accessed and dirty, and is told to */
	uint64_t
	    linear; /* kernel address of physical address 0 in the linear map of the boot's tables; 0: none */
	int relaxed;
	bool wx_all;
	unsigned wx_count;
	uint64_t wx[64];
	unsigned odd_types; /* cached leaves that are not write-back, and linear frames that are not */
	unsigned by_pa_shift[64];
	struct tlb_entry *pa[TLB_BUCKETS], *at[TLB_BUCKETS];
	struct machine_cpu cpus[MACHINE_CPUS];
	unsigned broken_count;
	struct broken broken[BROKEN_MAX];
	void (*call_hook)(unsigned cpu);
	uint64_t clock;		       /* of operations begun */
	uint64_t inside[MACHINE_CPUS]; /* when the operation of a CPU began; 0: it is in none */
};
extern struct machine *machine_now;

/*
 * lock.c. The machine's lock protects all of its state; it is not taken with one thread. A function that
 * begins with MACHINE_LOCKED holds it until it returns.
 */
extern bool machine_is_threaded;
void machine_lock_take(void);
void machine_lock_give(void);
static inline bool machine_guard_take(void)
{
	if (machine_is_threaded) {
		machine_lock_take();
	}
	return machine_is_threaded;
}
static inline void machine_guard_give(const bool *taken)
{
	if (*taken) {
		machine_lock_give();
	}
}
#define MACHINE_LOCKED bool guard_ __attribute__((cleanup(machine_guard_give), unused)) = machine_guard_take()

/* memory.c: what a CPU does to memory that the library knows too. */
void memory_walked(const uint64_t *entry); /* a walk goes on through it, or its result is cached */
bool memory_mark(uint64_t *entry, uint64_t from, uint64_t to);
void memory_load(void *buffer, const void *memory, size_t len);
void memory_store(void *memory, const void *buffer, size_t len);
void memory_done(unsigned cpu); /* an access of a CPU has ended */
void memory_after_all(void);	/* what follows comes after all accesses that have ended, of all CPUs */

/* threads.c */
void machine_threads_print(void); /* what every CPU does, if there are several threads */

static inline unsigned entry_index(uint64_t at)
{
	return (unsigned)(at >> 3) & 511;
}

static inline unsigned level_shift(unsigned level)
{
	return 12 + 9 * level;
}

static inline uint64_t low_mask(unsigned bits)
{
	return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

/* machine.c */
/* Registers as a reset and a boot loader leave them. */
void x86_reset(unsigned cpu);
void arm_reset(unsigned cpu);
void riscv_reset(unsigned cpu);
void machine_count_calls(unsigned calls);
struct frame *machine_frame(uint64_t pa); /* NULL: not RAM */
uint64_t *machine_entry(uint64_t at);	  /* NULL: no memory */
bool machine_is_wx(uint64_t root);

/* walk.c: a walk of memory alone. */
struct walk {
	enum mmu_kind kind; /* MMU_LEAF, MMU_INVALID or MMU_BAD; MMU_TABLE when stopped early */
	unsigned level;
	uint64_t at, raw;
	struct mmu_entry entry;
	uint32_t deny, perm;
	bool global;
};
struct walk machine_walk(unsigned cpu, uint64_t va, unsigned stop);
struct walk machine_walk_root(uint64_t root, uint64_t va, unsigned stop);
uint64_t machine_root_of(unsigned cpu, uint64_t va);
/* Reads the entry for `va` of a table at a level; false if the table is no memory. */
bool machine_fetch(uint64_t table, uint64_t va, unsigned level, struct walk *out);
/* What follows from a leaf and its path: permissions, global, accessed and dirty of a whole run. */
void machine_finish_leaf(struct walk *w);
uint32_t machine_perm_bit(enum machine_access_kind kind, bool user);

/* The entries for which a walk would be made at all: does memory alone grant the access? */
bool machine_grants(const struct walk *fresh, enum machine_access_kind kind, bool user);

/* tlb.c */
typedef bool tlb_filter(const struct tlb_entry *entry, const void *argument);
struct tlb_entry *tlb_insert(unsigned cpu, const struct tlb_entry *entry); /* NULL: the like of it is there */
void tlb_remove(struct tlb_entry *entry);
void tlb_empty(unsigned cpu);
void tlb_end(void); /* with the machine: when all are empty */
struct tlb_entry *tlb_find(
    unsigned cpu, uint64_t va, unsigned shift, struct tlb_entry *after); /* usable now */
bool tlb_usable(unsigned cpu, const struct tlb_entry *entry);
/* One flush instruction is begin, any number of drops, end; it is counted, and judged idle or not. */
struct tlb_flush {
	uint64_t *counter;
	bool needed;
};
struct tlb_flush tlb_flush_begin(uint64_t *counter);
void tlb_drop_address(
    struct tlb_flush *flush, unsigned cpu, uint64_t va, tlb_filter *filter, const void *argument);
void tlb_drop_matching(struct tlb_flush *flush, unsigned cpu, tlb_filter *filter, const void *argument);
void tlb_drop_id(
    struct tlb_flush *flush, unsigned cpu, uint32_t asid, tlb_filter *filter, const void *argument);
void tlb_flush_end(struct tlb_flush *flush);
/* Calls `see` with each entry that reaches any of [pa, pa + size). */
void tlb_reaching(
    uint64_t pa, uint64_t size, void (*see)(struct tlb_entry *entry, void *argument), void *argument);

/* ... and with each that was read from `at`. */
void tlb_read_from(uint64_t at, void (*see)(const struct tlb_entry *entry));

/* check.c */
enum judgement { JUDGED_SAME, JUDGED_STRICTER, JUDGED_STALE, JUDGED_DIRTY_LOST };
enum judgement check_cached(
    unsigned cpu, const struct tlb_entry *entry, uint64_t va, const struct walk *fresh);
void check_report(unsigned cpu, struct tlb_entry *entry, enum judgement judged, uint64_t va);
void check_inside(unsigned cpu, bool inside); /* the border of an operation */
bool check_quiet(void); /* no operation is under way, or one thread plays all CPUs */
void check_id(unsigned cpu); /* what the CPU has cached under its id must be of the root it runs on */
void check_fetched(
    unsigned cpu, uint64_t root, uint64_t va, const struct walk *at); /* rules for one live entry */
/* How many members of a leaf's run agree with it, from the first on; not more than the run has. */
unsigned check_run_same(const struct walk *w);
void check_break(const struct tlb_entry *cached); /* against memory as it is now */
void check_break_at(uint64_t at);		  /* every cached copy of an entry, against memory */
void check_fetch(unsigned cpu, uint64_t va, uint64_t pa, size_t len); /* instructions */
void check_broken(
    const struct tlb_entry *gone); /* remembers a break: a valid entry flushed while memory is invalid */
void check_breaks_made(bool same_operation); /* settles what check_broken() remembered */
void check_types(const struct tlb_entry *entry);

#endif
