/* SPDX-License-Identifier: MIT */
/*
 * calls_generic.c - Linux's generic system-call numbers (include/uapi/asm-generic/unistd.h), which AArch64
 * and RISC-V share. Of the numbers that it leaves to the ISA, 244 to 259, the ISA's cpu.h names what it has.
 */
#include "calls.h"

#include "cpu.h"

kernel_call_t *const port_calls[] = {
	[17] = call_getcwd,
	[23] = call_dup,
	[24] = call_dup3,
	[25] = call_fcntl,
	[29] = call_ioctl,
	[35] = call_unlinkat,
	[46] = call_ftruncate,
	[48] = call_faccessat,
	[49] = call_chdir,
	[56] = call_openat,
	[57] = call_close,
	[59] = call_pipe2,
	[61] = call_getdents64,
	[62] = call_lseek,
	[63] = call_read,
	[64] = call_write,
	[65] = call_readv,
	[66] = call_writev,
	[67] = call_pread64,
	[68] = call_pwrite64,
	[71] = call_absent, /* sendfile */
	[73] = call_ppoll,
	[78] = call_readlinkat,
	[79] = call_newfstatat,
	[80] = call_fstat,
	[93] = call_exit,
	[94] = call_exit_group,
	[95] = call_waitid,
	[96] = call_set_tid_address,
	[98] = call_futex,
	[99] = call_set_robust_list,
	[101] = call_nanosleep,
	[113] = call_clock_gettime,
	[114] = call_clock_getres,
	[115] = call_clock_nanosleep,
	[123] = call_sched_getaffinity,
	[124] = call_sched_yield,
	[128] = call_restart_syscall,
	[129] = call_kill,
	[130] = call_tkill,
	[131] = call_tgkill,
	[132] = call_sigaltstack,
	[133] = call_rt_sigsuspend,
	[134] = call_rt_sigaction,
	[135] = call_rt_sigprocmask,
	[136] = call_rt_sigpending,
	[137] = call_rt_sigtimedwait,
	[138] = call_rt_sigqueueinfo,
	[139] = call_rt_sigreturn,
	[153] = call_times,
	[158] = call_zero, /* getgroups: none */
	[160] = call_uname,
	[163] = call_getrlimit,
	[164] = call_setrlimit,
	[165] = call_getrusage,
	[167] = call_prctl,
	[168] = call_getcpu,
	[169] = call_gettimeofday,
	[172] = call_getpid,
	[173] = call_getppid,
	[174] = call_user, /* getuid */
	[175] = call_user, /* geteuid */
	[176] = call_user, /* getgid */
	[177] = call_user, /* getegid */
	[178] = call_gettid,
	[179] = call_sysinfo,
	[214] = call_brk,
	[215] = call_munmap,
	[216] = call_mremap,
	[220] = port_call_clone,
	[221] = call_execve,
	[222] = call_mmap,
	[223] = call_zero, /* fadvise64 */
	[226] = call_mprotect,
	[227] = call_msync,
	[228] = call_mlock,
	[229] = call_munlock,
	[230] = call_mlockall,
	[231] = call_munlockall,
	[232] = call_mincore,
	[233] = call_madvise,
	[240] = call_rt_tgsigqueueinfo,
	CPU_CALLS
	[260] = call_wait4,
	[261] = call_prlimit64,
	[278] = call_getrandom,
	[279] = call_memfd_create,
	[284] = call_mlock2,
	[293] = call_absent, /* rseq */
	[435] = port_call_clone3,
	[439] = call_faccessat, /* faccessat2: its flags change nothing here */
	[462] = call_mseal,
};
const uint64_t port_calls_count = sizeof(port_calls) / sizeof(port_calls[0]);
