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
			return -EPERM;
		}
		if (argument[0] == ARCH_SET_FS) {
			thread->fs_base = base;
			wrmsr(MSR_FS_BASE, base);
		} else {
			thread->gs_base = base;
			wrmsr(MSR_KERNEL_GS_BASE, base);
		}
		return 0;
	case ARCH_GET_FS:
		return kernel_copy_out(base, &thread->fs_base, sizeof(uint64_t));
	case ARCH_GET_GS:
		return kernel_copy_out(base, &thread->gs_base, sizeof(uint64_t));
	default:
		return -EINVAL;
	}
}

kernel_call_t *const port_calls[] = {
    [0] = call_read,
    [1] = call_write,
    [2] = call_open,
    [3] = call_close,
    [4] = call_stat,
    [5] = call_fstat,
    [6] = call_lstat,
    [8] = call_lseek,
    [7] = call_poll,
    [9] = call_mmap,
    [10] = call_mprotect,
    [11] = call_munmap,
    [12] = call_brk,
    [13] = call_rt_sigaction,
    [14] = call_rt_sigprocmask,
    [15] = call_rt_sigreturn,
    [16] = call_ioctl,
    [17] = call_pread64,
    [18] = call_pwrite64,
    [19] = call_readv,
    [20] = call_writev,
    [21] = call_access,
    [22] = call_pipe,
    [24] = call_sched_yield,
    [25] = call_mremap,
    [26] = call_msync,
    [27] = call_mincore,
    [28] = call_madvise,
    [32] = call_dup,
    [33] = call_dup2,
    [34] = call_pause,
    [35] = call_nanosleep,
    [39] = call_getpid,
    [40] = call_absent, /* sendfile */
    [56] = port_call_clone,
    [57] = port_call_fork,
    [58] = port_call_vfork,
    [59] = call_execve,
    [60] = call_exit,
    [61] = call_wait4,
    [62] = call_kill,
    [63] = call_uname,
    [72] = call_fcntl,
    [77] = call_ftruncate,
    [79] = call_getcwd,
    [80] = call_chdir,
    [87] = call_unlink,
    [89] = call_readlink,
    [96] = call_gettimeofday,
    [97] = call_getrlimit,
    [160] = call_setrlimit,
    [98] = call_getrusage,
    [99] = call_sysinfo,
    [100] = call_times,
    [102] = call_user, /* getuid */
    [104] = call_user, /* getgid */
    [107] = call_user, /* geteuid */
    [108] = call_user, /* getegid */
    [110] = call_getppid,
    [115] = call_zero, /* getgroups: none */
    [127] = call_rt_sigpending,
    [128] = call_rt_sigtimedwait,
    [129] = call_rt_sigqueueinfo,
    [130] = call_rt_sigsuspend,
    [131] = call_sigaltstack,
    [149] = call_mlock,
    [150] = call_munlock,
    [151] = call_mlockall,
    [152] = call_munlockall,
    [157] = call_prctl,
    [158] = call_arch_prctl,
    [186] = call_gettid,
    [200] = call_tkill,
    [201] = call_time,
    [202] = call_futex,
    [204] = call_sched_getaffinity,
    [217] = call_getdents64,
    [218] = call_set_tid_address,
    [219] = call_restart_syscall,
    [221] = call_zero, /* fadvise64 */
    [228] = call_clock_gettime,
    [229] = call_clock_getres,
    [230] = call_clock_nanosleep,
    [231] = call_exit_group,
    [234] = call_tgkill,
    [247] = call_waitid,
    [257] = call_openat,
    [262] = call_newfstatat,
    [263] = call_unlinkat,
    [267] = call_readlinkat,
    [269] = call_faccessat,
    [271] = call_ppoll,
    [273] = call_set_robust_list,
    [292] = call_dup3,
    [293] = call_pipe2,
    [297] = call_rt_tgsigqueueinfo,
    [302] = call_prlimit64,
    [309] = call_getcpu,
    [318] = call_getrandom,
    [319] = call_memfd_create,
    [325] = call_mlock2,
    [334] = call_absent, /* rseq */
    [435] = port_call_clone3,
    [439] = call_faccessat, /* faccessat2: its flags change nothing here */
    [462] = call_mseal,
};
const uint64_t port_calls_count = sizeof(port_calls) / sizeof(port_calls[0]);
