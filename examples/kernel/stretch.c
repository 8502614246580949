/* SPDX-License-Identifier: MIT */
/*
 * stretch.c - the longest stretches between points at which interrupts are taken.
 *
 * One clock for all: the stretch in hand belongs to the call that began it, and after that is over, or
 * after a switch of threads, to STRETCH_REST, until the next call begins. Nothing is locked, for what is
 * measured is one CPU.
 */
#include "stretch.h"

static const char names[STRETCH_COUNT][8] = {"rest", "exit", "exec", "fork", "wait", "munmap", "protect"};

static uint64_t longest[STRETCH_COUNT], points[STRETCH_COUNT], interrupts, since;
static enum stretch now;

void stretch_note_begin(enum stretch kind)
{
	now = kind;
	since = port_count();
}

void stretch_note_point(bool over)
{
	const uint64_t count = port_count();

	longest[now] = count - since > longest[now] ? count - since : longest[now];
	points[now]++;
	now = over ? STRETCH_REST : now;
	since = port_count();
}

void stretch_interrupted(void)
{
	interrupts++;
}

void stretch_report(void)
{
	if (!kernel_options.stretch) {
		return;
	}
	for (unsigned i = STRETCH_REST + 1; i < STRETCH_COUNT; i++) {
		kernel_log("stretch: %s %lu of %lu\n", names[i], longest[i], points[i]);
	}
	kernel_log("stretch: %lu ticks amid calls\n", interrupts);
}
