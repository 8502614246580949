/* SPDX-License-Identifier: MIT */
/*
 * calls.c - Linux's system-call numbers of x86-64, and the one call that only x86-64 has.
 */
#include "calls.h"

#include "cpu.h"

#define ARCH_SET_GS 0x1001u
#define ARCH_SET_FS 0x1002u
#define ARCH_GET_FS 0x1003u
#define ARCH_GET_GS 0x1004u

/* A base beyond the user half would fault in WRMSR, or give programs the kernel's addresses to play with. */
static int64_t call_arch_prctl(const uint64_t *argument)
{
	struct port_thread *thread = kernel_port_thread();
	const uint64_t base = argument[1];

	switch (argument[0]) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (base >= vmem_aspace_user_size()) {
			return -KERNEL_EPERM;
		}
		if (argument[0] == ARCH_SET_FS) {
			thread->fs_base = base;
			wrmsr(MSR_FS_BASE, base);
		} else {
			thread->gs_base = base;
			wrmsr(MSR_GS_BASE, base);
		}
		return 0;
	case ARCH_GET_FS:
		return kernel_copy_out(base, &thread->fs_base, sizeof(uint64_t));
	case ARCH_GET_GS:
		return kernel_copy_out(base, &thread->gs_base, sizeof(uint64_t));
	default:
		return -KERNEL_EINVAL;
	}
}
