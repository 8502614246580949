/* SPDX-License-Identifier: MIT */
/*
 * switch.pml - who is asked to flush, when a CPU switches at the same time (src/vm/tlb.c).
 *
 * Modelled. One space with one address. CPU 0 removes its translation and maps anew, for ever; CPU 1 switches
 * to the space and away from it, for ever. Translations have ids, or every switch flushes.
 *   - Removal: clear the entry; full barrier; read the mask. A CPU that is in it is asked to flush if it has
 *     the space in `coming` or else in `running`. Otherwise, where there are ids, its bit goes into `stale`,
 *     unless it is there; full barrier; and both words are read again. Who was asked has answered when the
 *     removal ends.
 *   - Switch: `coming` stored (release); the own bit set in the mask; full barrier; the own bit looked for in
 *     `stale`, and taken out; the root loaded, and what was stale flushed; `running` stored (release). A
 *     request to flush may come between any two of these.
 *
 * Abstracted. The TLB holds the most it may: the entry's value at any moment while CPU 1 had the root loaded,
 * since the flush. CPU 1's three stores, and the clearing of the entry, wait in store buffers that drain
 * whenever they like and in any order but what release asks for, at the latest before a full barrier ends.
 * Going away from the space is going to another one of which nothing is followed.
 *
 * W1 A CPU that runs the space has no translation of it whose removal has ended.
 */
#define NONE 2

bit ids;              /* chosen at the start, and never changed */
bit entry = 1;        /* in memory: valid */
bit mask, stale;      /* CPU 1's bits */
bit coming, running;  /* CPU 1's words: the space, or something else */
bit asked;            /* CPU 1 has not answered yet */

bit late_clear;       /* CPU 0's store buffer */
bit late_bit;         /* CPU 1's store buffers; the others have what is to be stored, or NONE */
byte late_coming = NONE, late_running = NONE;
#define DRAINED (!late_bit && late_coming == NONE && late_running == NONE)

bit root;             /* CPU 1's walker uses the space's tables */
bit has;              /* CPU 1's TLB has the translation */
bit has_old;          /* the same, of one whose removal has ended */

inline flush()
{
	has = root && entry;
	has_old = 0
}

inline check()
{
	assert(!root || !has_old) /* W1 */
}

proctype remover()
{
	bit on;
	do
	:: true ->
		late_clear = 1;
#ifndef BUG_MASK_EARLY
		!late_clear;
#endif
		if
		:: !mask
		:: else ->
#ifdef BUG_READ_ORDER
			on = running;
			on = on || coming;
#else
			on = coming;
			on = on || running;
#endif
			if
			:: on || !ids || stale
			:: else ->
#ifdef BUG_STALE_LATE
				on = coming;
				on = on || running;
				stale = 1
#else
				stale = 1;
#ifndef BUG_ONE_LOOK
				on = coming;
				on = on || running
#endif
#endif
			fi
		fi;
		asked = on;
		atomic {
			!asked && !late_clear -> on = 0;
			has_old = has_old || has;
			has = 0;
			check()
		}
		atomic { entry = 1; has = (root -> 1 : has) }
	od
}

inline interrupt()
{
	if
	:: atomic { asked -> flush(); asked = 0 }
	:: true
	fi
}

proctype switcher()
{
	bit forget;
	do
	:: atomic { asked -> flush(); asked = 0 }
	:: atomic { !root && late_coming == NONE -> late_coming = 1 };
		interrupt();
		late_bit = !mask;
#ifndef BUG_BIT_LATE
		DRAINED;
#endif
		interrupt();
#ifndef BUG_STALE_IGNORED
		atomic { forget = stale; stale = 0 };
#endif
		interrupt();
		atomic {
			root = 1;
			if
			:: forget || !ids -> flush()
			:: else -> has = has || entry
			fi;
			forget = 0;
			check()
		};
		interrupt();
		atomic { late_running == NONE -> late_running = 1 }
	:: atomic { root && late_coming == NONE -> late_coming = 0 };
		interrupt();
#ifdef BUG_LEAVES_EARLY
		atomic { late_running == NONE -> late_running = 0 };
		interrupt();
#endif
		atomic {
			root = 0;
			if
			:: !ids -> flush()
			:: else
			fi
		};
		interrupt();
#ifndef BUG_LEAVES_EARLY
		atomic { late_running == NONE -> late_running = 0 }
#endif
	od
}

proctype store_buffers()
{
	do
	:: atomic { late_clear -> entry = 0; late_clear = 0 }
	:: atomic { late_bit -> mask = 1; late_bit = 0 }
#ifdef BUG_COMING_PLAIN
	:: atomic { late_coming != NONE -> coming = late_coming; late_coming = NONE }
#else
	:: atomic { late_coming != NONE && late_running == NONE -> coming = late_coming; late_coming = NONE }
#endif
	:: atomic { late_running != NONE -> running = late_running; late_running = NONE }
	od
}

init {
	atomic {
		if
		:: ids = 0
		:: ids = 1
		fi;
		run store_buffers();
		run remover();
		run switcher()
	}
}
