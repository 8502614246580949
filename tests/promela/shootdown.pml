/* SPDX-License-Identifier: MIT */
/*
 * shootdown.pml - removing a translation, and reusing what was behind it.
 *
 * Modelled. Two spaces, each with one address; frames with a count of references; a frame may be behind
 * both addresses. Three CPUs switch between the spaces and idle, for ever. CPU 0 also removes the
 * translation of space 0, whatever it runs, and maps anew: a frame that is free, or the one that the other
 * space has. CPU 1 does the same for space 1.
 *   - Removal: the address is dying; clear the entry; full barrier; read the mask of CPUs; flush here and
 *     ask the others to; wait, with no lock and open to interrupts, until all have answered; only then drop
 *     the reference, last or not; only then the address is free.
 *   - Activation: set the own bit in the mask; full barrier; load the root. Interrupts may come between.
 *   - Leaving: the space that a CPU ran before stays in its TLB, with its bit set, until the CPU flushes
 *     it; then the bit goes. An idle CPU keeps the last root loaded; asked to flush, it may load the
 *     kernel's root instead, flush, clear its bit, and answer.
 *   - A fault on a dying address gives up, so that its CPU goes on.
 *
 * Abstracted. A TLB is the set of what a walker could have put there: every value that the entry had in
 * memory while the space's root was loaded on that CPU, since its last flush. Nothing is evicted; a real
 * TLB holds a part of it, and no invariant is easier to break with less. S1 and S2 say the same of every
 * CPU and space, and nothing depends on what is in a TLB: so only what one CPU, any, has of space 0 is
 * followed. The clearing of an entry and the setting of a bit wait in a store buffer of their CPU, which
 * drains whenever it likes, and must have drained before the CPU's next full barrier or locked instruction
 * ends. The other steps are atomic in themselves: of two removers of one space one finds the address dying.
 *
 * S1 A frame without references is in no TLB.
 * S2 A free address is in no TLB.
 * S3 Nobody waits for an answer from a CPU that answers only when the wait is over.
 */
#define BIT(n) (1 << (n))

mtype = { LIVE, DYING, FREE };
mtype place[2];       /* the address of a space */
byte frame[2];        /* behind the address, while it is live or dying: BIT(0) or BIT(1) */
byte refs[2];
#define REFS(frame) refs[(frame) >> 1]

byte entry[2];        /* in memory: the frame, or 0 */
byte cpus[2];         /* the mask: CPUs that may hold translations of the space */
byte asked[2];        /* CPUs that have not yet answered the remover */

byte root[3];         /* what a CPU's walker uses: a space's number + 1, or 0 for the kernel's alone */
bit late_clear[2];    /* CPU 0's and 1's store buffer: its space's entry is being cleared */
byte late_bit;        /* CPU 2's store buffer: the space whose mask gets its bit, + 1; 0: none */

byte watched;         /* a CPU: chosen at the start, and never changed */
byte tlb;             /* the frames to which it may have translations from space 0 */

/* Wherever the TLB may have grown or something became reusable. */
inline check()
{
	assert(refs[0] || !(tlb & BIT(0)));  /* S1 */
	assert(refs[1] || !(tlb & BIT(1)));  /* S1 */
	assert(place[0] != FREE || tlb == 0) /* S2 */
}

inline fill()
{
	tlb = (root[watched] == 1 -> tlb | entry[0] : tlb);
	check()
}

/* The walker of a CPU that still has the root fills at once what it may. */
inline flush(space)
{
	tlb = (watched != me || space != 0 -> tlb : (root[me] == 1 -> entry[0] : 0))
}

inline forget_bit(space)
{
	cpus[space] = cpus[space] & ~BIT(me)
}

inline answer(space)
{
	asked[space] = asked[space] & ~BIT(me)
}

inline activate(space)
{
	late_bit = space + 1;
	if
	:: atomic { asked[0] & BIT(me) -> flush(0); answer(0) }
	:: atomic { asked[1] & BIT(me) -> flush(1); answer(1) }
	:: true
	fi;
	atomic {
#ifndef BUG_BIT_LATE
		late_bit == 0 ->
#endif
		root[me] = space + 1;
		fill()
	}
}

/* An idle CPU may do this instead of a flush. */
inline leave(space)
{
	atomic {
		asked[space] & BIT(me) && root[me] == space + 1 && late_bit == 0 -> root[me] = 0;
		flush(space)
	};
	atomic { forget_bit(space); answer(space) }
}

#define SWITCHED(space) (cpus[space] & BIT(me) && root[me] != space + 1)

/* Of a space that a CPU ran before. */
inline forget(space)
{
#ifdef BUG_BIT_EARLY
	forget_bit(space);
	atomic { flush(space); answer(space) }
#else
	flush(space);
	forget_bit(space)
#endif
}

inline remove(space)
{
	late_clear[me] = 1;
#ifndef BUG_MASK_EARLY
	!late_clear[me];
#endif
#ifdef BUG_ADDRESS_EARLY
	atomic { place[space] = FREE; check() };
#endif
#ifdef BUG_FRAME_EARLY
	atomic {
		if
		:: !late_clear[me] && REFS(frame[space]) == 1 ->
			REFS(frame[space]) = 0;
			frame[space] = 0;
			check()
		:: !late_clear[me] && REFS(frame[space]) > 1
		fi
	};
#endif
#ifdef BUG_SHARE_EARLY
	atomic {
		if
		:: !late_clear[me] && REFS(frame[space]) > 1 -> REFS(frame[space])--; frame[space] = 0
		:: !late_clear[me] && REFS(frame[space]) == 1
		fi
	};
#endif
	atomic {
		asked[space] = cpus[space] & ~BIT(me);
		if
		:: cpus[space] & BIT(me) -> flush(space)
		:: else
		fi
	}
	do
	:: atomic { asked[space] == 0 && !late_clear[me] -> break }
#ifdef BUG_DEAF
	:: atomic { asked[1 - space] & BIT(me) && asked[space] & BIT(1 - me) -> assert(false) } /* S3 */
#else
	:: atomic { asked[1 - space] & BIT(me) -> flush(1 - space); answer(1 - space) }
#endif
	od;
	atomic {
		if
		:: frame[space] -> REFS(frame[space])--
		:: else
		fi;
		frame[space] = 0;
		place[space] = FREE;
		check()
	}
}

inline map(space, what)
{
	REFS(what)++;
	frame[space] = what;
	entry[space] = what;
	place[space] = LIVE;
	fill()
}

/* Their own activations are one step: that of CPU 2 is taken apart. */
proctype changer(byte me)
{
	do
	:: atomic { place[me] == LIVE -> place[me] = DYING } remove(me)
	:: atomic { place[me] == FREE && refs[0] == 0 -> map(me, BIT(0)) }
	:: atomic { place[me] == FREE && refs[1] == 0 -> map(me, BIT(1)) }
	:: atomic { place[me] == FREE && place[1 - me] == LIVE -> map(me, frame[1 - me]) }
	:: atomic { asked[1 - me] & BIT(me) -> flush(1 - me); answer(1 - me) }
	:: atomic { root[me] != 1 -> cpus[0] = cpus[0] | BIT(me); root[me] = 1; fill() }
	:: atomic { root[me] != 2 -> cpus[1] = cpus[1] | BIT(me); root[me] = 2; fill() }
	:: atomic { SWITCHED(0) -> flush(0); forget_bit(0) }
	:: atomic { SWITCHED(1) -> flush(1); forget_bit(1) }
	od
}

proctype switcher(byte me)
{
	do
	:: atomic { asked[0] & BIT(me) -> flush(0); answer(0) }
	:: atomic { asked[1] & BIT(me) -> flush(1); answer(1) }
	:: leave(0)
	:: leave(1)
	:: atomic { root[me] != 1 && late_bit == 0 } activate(0)
	:: atomic { root[me] != 2 && late_bit == 0 } activate(1)
	:: atomic { SWITCHED(0) && late_bit == 0 } forget(0)
	:: atomic { SWITCHED(1) && late_bit == 0 } forget(1)
#ifdef BUG_SPIN
	:: atomic { root[me] == 1 && place[0] == DYING };
		do /* interrupts are off */
		:: place[0] != DYING -> break
		:: atomic { place[0] == DYING && asked[0] & BIT(me) -> assert(false) } /* S3 */
		od
#endif
	od
}

proctype store_buffers()
{
	do
	:: atomic { late_clear[0] -> entry[0] = 0; late_clear[0] = 0 }
	:: atomic { late_clear[1] -> entry[1] = 0; late_clear[1] = 0 }
	:: atomic { late_bit -> cpus[late_bit - 1] = cpus[late_bit - 1] | BIT(2); late_bit = 0 }
	od
}

init {
	atomic {
		place[0] = LIVE;
		place[1] = LIVE;
		frame[0] = BIT(0);
		frame[1] = BIT(0);
		entry[0] = BIT(0);
		entry[1] = BIT(0);
		refs[0] = 2;
		if
		:: watched = 0
		:: watched = 1
		:: watched = 2
		fi;
		run store_buffers();
		run changer(0);
		run changer(1);
		run switcher(2)
	}
}
