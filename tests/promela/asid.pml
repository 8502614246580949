/* SPDX-License-Identifier: MIT */
/*
 * asid.pml - address-space ids in generations, with rollover.
 *
 * Modelled. Two CPUs activate spaces in any order, for ever; spaces die and others are made in their place.
 * A word is a generation and an id. Each space has the word it was given last; each CPU has the word it
 * runs under (`runs_as`), or 0 once a rollover has taken it.
 *   - Fast path, no lock: the space's word is of the running generation, the CPU's own word is not 0, and a
 *     compare-and-swap puts the one in the other's place.
 *   - Slow path, under the lock: a space whose word is old takes the next id. A CPU that owes a flush pays
 *     it before its own word is set.
 *   - Rollover, under the lock: a new generation; every CPU's word is exchanged for 0 and, if it was not 0
 *     already, carried: its id is given to nobody else, and its space keeps it. Every CPU owes a flush.
 * The root is loaded after all of this, without the lock, so another CPU's rollover fits between.
 *
 * Abstracted. A TLB holds the most it may: all that was reachable under an id while the CPU ran under it,
 * from the load on, until that CPU flushes everything; right after the flush the running space is in it
 * again. A real TLB holds a part of that, and neither invariant is easier to break with less. A1 says the
 * same of every CPU and every id, and nothing depends on what is in a TLB: so only one id's part of one
 * CPU's TLB is followed, any id. Generations count for ever; what matters of a word is whether its
 * generation is the running one, and whether it equals a carried one. So generations are counted backwards
 * from the running one: a new generation is a step that makes every word older, and a word that nobody
 * carries may be forgotten when it is old. A step is what a CPU does between two looks at what another may
 * change meanwhile: a CPU on its fast path sees `asid` and the generation, and changes its own `runs_as`,
 * all else belongs to the lock. It reads single words in the order of the program; a weaker order shows it
 * an older word, as if it had read earlier, and the compare-and-swap finds the latest.
 *
 * A1 On no CPU does the TLB hold translations of two spaces under one id.
 * A2 A CPU runs a space under the id that the space's word names: who flushes by that id flushes there too.
 */
#define CPUS 2
#define SPACES 3
#define IDS 3

/* Generation 2 is the running one, 1 the one before, 0 all that are older. */
#define WORD(generation, id) ((generation) * 4 + (id))
#define RUNNING 2
#define GENERATION_OF(word) ((word) / 4)
#define ID_OF(word) ((word) % 4)
#define AGED(word) (GENERATION_OF(word) == 2 -> WORD(1, ID_OF(word)) : ID_OF(word))

byte next = 1;        /* the next id to hand out */
byte asid[SPACES];    /* a space's word; 0: none */
byte runs_as[CPUS];   /* the word a CPU runs under; 0: a rollover took it */
byte carried[CPUS];   /* the word that the running generation took over from this CPU */
bit owes[CPUS];       /* a flush of everything */
bit locked;
byte chosen[CPUS];    /* what a CPU is about to run, a space's number + 1; 0: nothing */
byte held[CPUS];      /* what it has read of asid[] */

/* The hardware. */
byte run_space[CPUS]; /* a space's number + 1; 0: none */
byte run_id[CPUS];
byte watched;         /* an id: chosen at the start, and never changed */
byte tlb;             /* whose translations CPU 0 has under that id: 0, a space's number + 1, or DEAD */
#define DEAD (SPACES + 1)

inline flush_everything(cpu)
{
	tlb = (cpu != 0 -> tlb : (run_space[0] && run_id[0] == watched -> run_space[0] : 0))
}

inline load_root(cpu, space, id)
{
	run_space[cpu] = space + 1;
	run_id[cpu] = id;
	assert(cpu != 0 || id != watched || tlb == 0 || tlb == space + 1); /* A1 */
	assert(id == ID_OF(asid[space]));                                  /* A2 */
	tlb = (cpu == 0 && id == watched -> space + 1 : tlb)
}

#define CARRIES(word) (carried[0] == (word) || carried[1] == (word))
#define CARRIES_ID(id) (ID_OF(carried[0]) == (id) || ID_OF(carried[1]) == (id))
#define IS_FREE(id) (next <= (id) && !CARRIES_ID(id))

#ifdef BUG_SECOND_ID
#define KEEPS(space) false
#else
#define KEEPS(space) (asid[space] != 0 && CARRIES(asid[space]))
#endif

/* A word of the running generation is there, or one is to be had without a new one. */
#define HAS_WORD(space) (GENERATION_OF(asid[space]) == RUNNING)
#define CAN_HAVE_WORD(space) (KEEPS(space) || IS_FREE(1) || IS_FREE(2) || IS_FREE(3))

inline take_word(space)
{
	if
	:: HAS_WORD(space)
	:: !HAS_WORD(space) && KEEPS(space) ->
		/* it becomes one of the running generation, wherever it is carried */
		for (i : 0 .. CPUS - 1) {
			carried[i] = (carried[i] == asid[space] ->
			    WORD(RUNNING, ID_OF(asid[space])) : carried[i])
		}
		asid[space] = WORD(RUNNING, ID_OF(asid[space]))
	:: !HAS_WORD(space) && !KEEPS(space) ->
		do
		:: CARRIES_ID(next) -> next++
		:: else -> break
		od;
		assert(next <= IDS);
		asid[space] = WORD(RUNNING, next);
		next++
	fi;
	i = 0
}

inline begin_generation()
{
	for (i : 0 .. SPACES - 1) {
		asid[i] = AGED(asid[i])
	}
	for (i : 0 .. CPUS - 1) {
		carried[i] = AGED(carried[i]);
		held[i] = AGED(held[i]);
		runs_as[i] = AGED(runs_as[i])
	}
	next = 1;
	i = 0
}

inline take_over(cpu)
{
#ifdef BUG_NOT_CARRIED
	carried[cpu] = 0;
#else
	if
	:: runs_as[cpu] != 0 -> carried[cpu] = runs_as[cpu]
	:: else
#ifdef BUG_CARRIED_ONCE
		-> carried[cpu] = 0
#endif
		/* nothing was activated there since the last rollover: it still runs as was carried then */
	fi;
#endif
	runs_as[cpu] = 0;
	owes[cpu] = 1
}

inline forget_old_words()
{
	for (i : 0 .. SPACES - 1) {
		asid[i] = (HAS_WORD(i) || CARRIES(asid[i]) -> asid[i] : 0)
	}
	i = 0
}

/* Any space but the one that runs; or, where nobody runs it nor is about to, a new one in its place. */
inline choose_space()
{
	if
	:: run_space[me] != 1 -> space = 0
	:: run_space[me] != 2 -> space = 1
	:: run_space[me] != 3 -> space = 2
	fi;
	if
	:: true
	:: asid[space] != 0 && run_space[1 - me] != space + 1 && chosen[1 - me] != space + 1 ->
		asid[space] = 0;
		tlb = (tlb == space + 1 -> DEAD : tlb)
	fi;
	chosen[me] = space + 1
}

proctype cpu(byte me)
{
	byte space, i;
	bit was; /* its own word was not 0 */
	do
	:: true ->
		atomic {
			choose_space();
			held[me] = asid[space]
		}
		atomic {
			was = runs_as[me] != 0;
			if
#ifdef BUG_ZERO_ACCEPTED
			:: GENERATION_OF(held[me]) != RUNNING -> goto slow
#else
			:: !was || GENERATION_OF(held[me]) != RUNNING -> goto slow
#endif
			:: else
			fi
		}
#ifdef BUG_NO_SWAP
		runs_as[me] = held[me];
#else
		atomic {
			if /* others change its word to 0 only: equal to what it was */
			:: (runs_as[me] != 0) == was -> runs_as[me] = held[me]
			:: else -> goto slow
			fi
		}
#endif
		goto switch;
slow:
		atomic {
			!locked -> locked = 1;
			held[me] = 0;
			was = 0;
			if
			:: HAS_WORD(space) || CAN_HAVE_WORD(space) -> goto finish
			:: else -> begin_generation()
			fi
		}
		atomic { take_over(1 - me) };
		atomic {
			take_over(me);
			forget_old_words()
		}
finish:
		atomic {
			take_word(space);
			held[me] = asid[space];
#ifndef BUG_FLUSH_UNPAID
			if
			:: owes[me] -> flush_everything(me); owes[me] = 0
			:: else
			fi;
#endif
			runs_as[me] = held[me];
			locked = 0
		}
switch:
		atomic {
			load_root(me, space, ID_OF(held[me]));
			space = 0;
			was = 0;
			chosen[me] = 0;
			held[me] = 0
		}
	od
}

init {
	atomic {
		if
		:: watched = 1
		:: watched = 2
		:: watched = 3
		fi;
		run cpu(0);
		run cpu(1)
	}
}
