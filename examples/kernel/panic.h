/* SPDX-License-Identifier: MIT */
/*
 * panic.h - the end of the kernel when something is wrong with it.
 */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include "kernel.h"

/* A trap that the kernel itself took and cannot have: registers, backtrace, end. */
_Noreturn void panic_trap(const struct port_frame *frame, const char *name);

#endif
