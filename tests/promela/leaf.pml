/* SPDX-License-Identifier: MIT */
/*
 * leaf.pml - faults, unmapping and walkers meet at the lock of a leaf table, and tables are freed and
 * reused.
 *
 * Modelled. One space, two windows with a region each, and one page in each window. Two frames that can be
 * the windows' leaf tables, or a user's data. One of the windows shows a key of an object whose index node
 * is shared with a relative; the other shows a page that stays.
 *   - Two faulters. They read the region's generation, the object's sequence, then root and slot of its
 *     index; walk to the leaf table without a lock, or make it under the lock of the table above; check the
 *     record of what they found, lock it, verify it; check generation, sequence and slot again; store the
 *     entry; unlock. What fails a check begins again. An empty slot is filled first, under the index node's
 *     bit.
 *   - The unmapper of window 0's region: new generation; reads the upper entry under the upper table's
 *     lock; clears the leaf entry under the leaf's; frees the table, if it is still empty under both locks:
 *     stale mark, then the upper entry; flush; drops the page; gives the address away, and the table's
 *     frame.
 *   - The walker, which takes the key's page out of the object: publishes a new index root without it, then
 *     raises the sequence, then finds and clears the entry as the unmapper does, and frees an emptied
 *     table; flush; drops the page.
 *   - A user, who takes free frames for data of his own, and gives them back.
 *
 * Abstracted. Flushes are shootdown.pml's: here they take no time. The stores that a CPU follows with a
 * load of something else, no locked instruction between, go through a store buffer: the unmapper's
 * generation, the walker's root and sequence, in that order. Locked instructions wait until it is empty.
 * Unlocking without a buffer loses nothing: nobody can tell a lock that is held longer from one that nobody
 * takes. In a critical section only steps that others see without the lock are apart.
 *
 * L1 An entry is stored only in a table that hangs at its window.
 * L2 A window that has been given away has no entry, and no slot in the index.
 * L3 A page that was dropped has no entry.
 * L4 A lock is released by who took it.
 * L5 A table that is freed has no entry.
 */
mtype = { FREE, TABLE, DATA, TAKEN };

/* Frames and their records. A frame's number is 1 or 2; 0 is none. */
mtype kind[3];
byte lock[3];         /* who has it, by number; 0: nobody */
bit base[3];          /* of a table: its window */
bit stale[3];         /* of a table: it hangs nowhere any more */
byte content[3];      /* of a table: its one entry, a page or 0; of data: whatever the user likes */

byte upper[2];        /* the entries of the upper table: frames */
byte upper_lock;

bit generation;       /* of window 0's region; 1: it is unmapped. The other one's stays */
bit away;             /* window 0 has been given away */

/* The object. Pages: 1 and 2 are before and after of the key, 3 is the other window's. */
bit shown;            /* the window that shows the key: chosen at the start, and never changed */
bit root;             /* of the index: a node */
bit sequence;
byte slot[2];         /* of each node */
bit has[4];           /* the space still has a reference to the page */

bit late_generation, late_root, late_sequence; /* store buffers */
#define DRAINED (!late_generation && !late_root && !late_sequence)

#define LIVE(window) ((window) == 1 || generation == 0)
#define ENTRY(window) (upper[window] -> content[upper[window]] : 0)

/* Wherever an entry was stored or something given away. */
inline check()
{
	assert(!away || ENTRY(0) == 0);                    /* L2 */
	assert(ENTRY(0) == 0 || has[ENTRY(0)]);            /* L3 */
	assert(ENTRY(1) == 0 || has[ENTRY(1)])             /* L3 */
}

inline give(frame)
{
	assert(content[frame] == 0); /* L5 */
	kind[frame] = FREE
}

inline unlock(frame)
{
	assert(lock[frame] == me); /* L4 */
	lock[frame] = 0
}

proctype store_buffers()
{
end:	do
	:: atomic { late_generation -> generation = 1; late_generation = 0 }
	:: atomic { late_root -> root = 1; late_root = 0 }
#ifdef BUG_BUMP_FIRST
	:: atomic { late_sequence -> sequence = 1; late_sequence = 0 }
#else
	:: atomic { late_sequence && !late_root -> sequence = 1; late_sequence = 0 }
#endif
	od
}

/* A frame for a new use: its lock byte may be in the hands of a walker that is about to find out. */
inline make_table(window)
{
	atomic {
		if
		:: kind[1] == FREE -> table = 1
		:: kind[1] != FREE && kind[2] == FREE -> table = 2
		:: else -> upper_lock = 0; goto out /* no memory */
		fi;
		kind[table] = TAKEN
	};
#if !defined(BUG_RECORD) && !defined(BUG_LOCK_BYTE)
	atomic { lock[table] == 0 -> lock[table] = me };
#endif
	base[table] = window;
	atomic {
		stale[table] = 0;
		content[table] = 0;
		kind[table] = TABLE;
#ifdef BUG_LOCK_BYTE
		lock[table] = 0;
#elif !defined(BUG_RECORD)
		unlock(table);
#endif
		upper[window] = table;
		upper_lock = 0
	}
}

proctype faulter(byte me; bit window)
{
	bit g, s, n;
	byte page, table;
again:
	atomic {
		page = 0;
		table = 0;
		n = 0;
		s = 0;
		if
		:: LIVE(window) -> g = generation
		:: else -> goto out
		fi
	};
	if
	:: window != shown -> page = 3
	:: else ->
		s = sequence;
		atomic { n = root; page = slot[n] };
		if
		:: page != 0
		:: else ->
			atomic {
				if
#ifndef BUG_FILL
				:: !LIVE(window) -> goto out
#endif
				:: sequence != s || slot[n] != 0 -> goto again
				:: else ->
					slot[n] = 2;
					has[2] = 1;
					page = 2;
					assert(!away || window != 0) /* L2 */
				fi
			}
		fi
	fi;
	table = upper[window];
	if
	:: table != 0
	:: else ->
		atomic {
			upper_lock == 0 -> upper_lock = me;
			table = upper[window]
		};
		if
		:: table != 0 -> upper_lock = 0
		:: else -> make_table(window)
		fi
	fi;
#ifndef BUG_UNVERIFIED
	if
	:: kind[table] != TABLE -> goto again
	:: else
	fi;
#endif
	atomic { lock[table] == 0 -> lock[table] = me };
#ifndef BUG_UNVERIFIED
	atomic {
		if
		:: kind[table] != TABLE || base[table] != window -> unlock(table); goto again
		:: else
		fi
	};
#ifndef BUG_STALE
	atomic {
		if
		:: stale[table] -> unlock(table); goto again
		:: else
		fi
	};
#endif
#endif
	atomic {
		if
#ifndef BUG_GENERATION
		:: !LIVE(window) -> unlock(table); goto out
#endif
#ifndef BUG_SEQUENCE
		:: window == shown && sequence != s -> unlock(table); goto again
#endif
		:: window == shown && slot[n] != page -> unlock(table); goto again
		:: else
		fi
	};
	atomic {
		assert(kind[table] == TABLE && upper[window] == table); /* L1 */
		content[table] = page;
		check();
		unlock(table)
	};
out:
	skip
}

/* Clears the entry of a window and frees the table that this leaves empty. */
inline clear(window, peeks)
{
	table = 0;
again:
	atomic {
		(peeks || (upper_lock == 0 && DRAINED)) -> table = upper[window]
	};
	if
	:: table == 0 -> goto cleared
	:: else
	fi;
	if
	:: kind[table] != TABLE -> goto again
	:: else
	fi;
	atomic { lock[table] == 0 && DRAINED -> lock[table] = me };
	atomic {
		if
		:: kind[table] != TABLE || base[table] != window || stale[table] -> unlock(table); goto again
		:: else -> content[table] = 0; unlock(table)
		fi
	};
	atomic { upper_lock == 0 -> upper_lock = me };
	if
	:: upper[window] != table -> upper_lock = 0; table = 0
	:: else ->
		atomic { lock[table] == 0 -> lock[table] = me };
		atomic {
			if
#ifndef BUG_NOT_EMPTY
			:: content[table] != 0 -> table = 0; unlock(upper[window])
#endif
			:: else -> stale[table] = 1; upper[window] = 0; unlock(table)
			fi;
			upper_lock = 0
		}
	fi;
cleared:
	skip
}

#ifdef BUG_PEEK
#define PEEKS true
#else
#define PEEKS false
#endif
#ifdef BUG_WALKER_PEEKS
#define WALKER_PEEKS true
#else
#define WALKER_PEEKS false
#endif

proctype unmapper(byte me)
{
	byte table;
	late_generation = 1;
	clear(0, PEEKS);
	/* the flush is acknowledged */
	atomic {
		DRAINED ->
		if
		:: shown == 0 -> slot[0] = 0; slot[1] = 0; has[1] = 0; has[2] = 0
		:: else -> has[3] = 0
		fi;
		check()
	};
	atomic {
		away = 1;
		if
		:: table != 0 -> give(table)
		:: else
		fi;
		check()
	}
}

proctype walker(byte me)
{
	byte table;
	slot[1] = 0; /* the copy of the node, without the page */
	late_root = 1;
	late_sequence = 1;
	clear(shown, WALKER_PEEKS);
	atomic {
		DRAINED -> has[1] = 0;
		if
		:: table != 0 -> give(table)
		:: else
		fi;
		check()
	}
}

proctype user()
{
end:	do
	:: atomic { kind[1] == FREE && lock[1] == 0 -> kind[1] = DATA }
	:: atomic { kind[2] == FREE && lock[2] == 0 -> kind[2] = DATA }
	:: atomic { kind[1] == DATA && lock[1] == 0 -> kind[1] = FREE }
	:: atomic { kind[2] == DATA && lock[2] == 0 -> kind[2] = FREE }
	od
}

init {
	atomic {
		kind[1] = FREE;
		kind[2] = FREE;
		slot[0] = 1;
		has[1] = 1;
		has[3] = 1;
		if
		:: shown = 0
		:: shown = 1
		fi;
		run store_buffers();
		run faulter(1, 0);
		if
		:: run faulter(2, 0)
		:: run faulter(2, 1)
		fi;
		run unmapper(3);
		run walker(4);
		run user()
	}
}
