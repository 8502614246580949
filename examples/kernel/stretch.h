/* SPDX-License-Identifier: MIT */
/*
 * stretch.h - how long the kernel runs without taking interrupts in the calls whose length a program chooses:
 * for a test, on one CPU, with instructions counted.
 */
#ifndef KERNEL_STRETCH_H
#define KERNEL_STRETCH_H

#include "kernel.h"

enum stretch {
	STRETCH_REST, /* what follows a switch of threads, or the CPU's wait for work */
	STRETCH_EXIT,
	STRETCH_EXEC,
	STRETCH_FORK,
	STRETCH_WAIT, /* freeing what an ended child has left */
	STRETCH_UNMAP,
	STRETCH_PROTECT,
	STRETCH_COUNT
};

/* A call of this kind begins: interrupts were taken up to here. */
void stretch_note_begin(enum stretch kind);
/* Interrupts are taken here; the call goes on, or is over: another thread runs, or user mode. */
void stretch_note_point(bool over);
/* A tick has come amid a call. */
void stretch_interrupted(void);
/* To the log, if it was asked for. */
void stretch_report(void);

static inline void stretch_begin(enum stretch kind)
{
	if (kernel_options.stretch) {
		stretch_note_begin(kind);
	}
}

static inline void stretch_point(void)
{
	if (kernel_options.stretch) {
		stretch_note_point(false);
	}
}

static inline void stretch_end(void)
{
	if (kernel_options.stretch) {
		stretch_note_point(true);
	}
}

#endif
