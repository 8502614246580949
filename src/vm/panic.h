/* SPDX-License-Identifier: MIT */
/*
 * panic.h - checks. VMEM_CHECK stays in every build: memory safety and the host's contract. VMEM_ASSERT is
 * for what the library owes itself, and is gone when VMEM_DEBUG is 0.
 */
#ifndef VMEM_PANIC_H
#define VMEM_PANIC_H

#include <vmem/host.h>

#define VMEM_CHECK(condition, rule)                                                                          \
	do {                                                                                                 \
		if (__builtin_expect(!(condition), 0)) {                                                     \
			vmem_host_panic("vmem: " rule);                                                      \
		}                                                                                            \
	} while (0)

#if VMEM_DEBUG >= 1
#define VMEM_ASSERT(condition) VMEM_CHECK(condition, "internal: " #condition)
#else
#define VMEM_ASSERT(condition) ((void)sizeof(condition))
#endif

#endif
