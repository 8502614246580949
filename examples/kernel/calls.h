/* SPDX-License-Identifier: MIT */
/*
 * calls.h - the system calls of the common kernel, for the ports' tables. Each takes its arguments in
 * memory and answers a result or a negative errno, as Linux's call of the same name does for one that knows
 * no other users, and a file system of which only /tmp changes.
 */
#ifndef KERNEL_CALLS_H
#define KERNEL_CALLS_H

#include "kernel.h"

/* calls_memory.c */
kernel_call_t call_brk, call_mmap, call_munmap, call_mprotect, call_mremap;

/* calls_advice.c */
kernel_call_t call_madvise, call_mincore, call_msync, call_mseal, call_mlock, call_mlock2, call_munlock,
    call_mlockall, call_munlockall;

/* calls_limit.c */
kernel_call_t call_prlimit64, call_getrlimit, call_setrlimit;

/* calls_file.c */
kernel_call_t call_read, call_pread64, call_readv, call_write, call_writev, call_close, call_lseek;
kernel_call_t call_pwrite64, call_ftruncate, call_memfd_create;
kernel_call_t call_dup, call_dup2, call_dup3, call_fcntl, call_ioctl;

/* calls_path.c */
kernel_call_t call_open, call_openat;
kernel_call_t call_fstat, call_stat, call_lstat, call_newfstatat, call_readlink, call_readlinkat, call_access,
    call_faccessat;
kernel_call_t call_getdents64, call_unlink, call_unlinkat, call_getcwd, call_chdir;

/* exec.c */
kernel_call_t call_execve;

/* calls_process.c; getppid: family.c; wait4, waitid: wait.c */
kernel_call_t call_exit_group, call_getpid, call_getppid, call_wait4, call_waitid;
kernel_call_t call_prctl;

/* calls_thread.c; clone and clone3 through an entry of the port's (port_thread_fork()) */
kernel_call_t call_clone, call_clone3, call_exit, call_gettid, call_set_tid_address, call_set_robust_list,
    call_sched_yield;
kernel_call_t call_fork, call_vfork, port_call_fork, port_call_vfork; /* family.c */
kernel_call_t call_sched_getaffinity, call_getcpu;
kernel_call_t port_call_clone, port_call_clone3;

/* futex.c */
kernel_call_t call_futex;

/* calls_pipe.c */
kernel_call_t call_pipe, call_pipe2, call_poll, call_ppoll;

/* calls_signal.c */
kernel_call_t call_rt_sigaction, call_rt_sigprocmask, call_rt_sigpending, call_rt_sigsuspend, call_pause;
kernel_call_t call_rt_sigtimedwait, call_rt_sigreturn, call_sigaltstack;
kernel_call_t call_kill, call_tkill, call_tgkill, call_rt_sigqueueinfo, call_rt_tgsigqueueinfo;
kernel_call_t call_restart_syscall;

/* calls_system.c */
kernel_call_t call_uname, call_sysinfo, call_getrusage, call_times,
    call_getrandom;
kernel_call_t call_clock_gettime, call_clock_getres, call_gettimeofday, call_time, call_nanosleep,
    call_clock_nanosleep;

/* 0, whatever is asked: calls that have nothing to do here. */
kernel_call_t call_zero;
kernel_call_t call_user; /* whom every process runs as, user and group alike */
/* -ENOSYS without a line in the log: calls that the C library knows how to do without. */
kernel_call_t call_absent;

/* Between the kernel and the running program: 0 or -EFAULT. */
int64_t kernel_copy_in(void *to, uint64_t from, size_t length);
int64_t kernel_copy_out(uint64_t to, const void *from, size_t length);
/* A path: 0, -EFAULT or -ENAMETOOLONG. */
#define KERNEL_PATH_MAX 256u
int64_t kernel_copy_path(char path[KERNEL_PATH_MAX], uint64_t from);
/* calls_signal.c: while a call waits, the thread has the mask that lies there. 0, -EINVAL (size), -EFAULT. */
int64_t kernel_wait_mask(uint64_t at, uint64_t size);
/* calls_system.c: when a wait ends whose time the program gives, for sched_wait(). */
int64_t kernel_deadline(uint64_t clock, uint64_t from, bool absolute, uint64_t *out);

#endif
