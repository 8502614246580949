/* SPDX-License-Identifier: MIT */
/*
 * port.h - the waist of the example kernel: what an ISA directory (examples/x86_64, aarch64, riscv)
 * supplies, and what the common kernel supplies to it. There is no #if of an ISA in the common code.
 *
 * The kernel runs with interrupts off and is never preempted; interrupts are on in user mode only, and in
 * port_idle(), and for a moment in port_take_interrupts(). So a trap comes from user mode, or it is a bug of
 * the kernel. Every thread has a kernel stack
 * of its own, and a thread that gives up the CPU does so inside port_thread_switch(), with all that it left
 * of user mode on that stack. It may go on on another CPU.
 *
 * A CPU that runs in the kernel takes no interrupt; while it waits for another CPU it looks into its mailbox
 * (cpus.c). In a kernel built for one CPU (VMEM_MAX_CPUS is 1) the others are never started.
 *
 * Layout that every port keeps: all RAM is mapped, write-back, read-write and not executable, at physical
 * address + boot.direct_map; the kernel's image is mapped in the kernel half with text read-execute,
 * constants read-only and data read-write. All of it by 4 KiB leaves: with larger ones QEMU turns each
 * single-page flush into a flush of everything and hides missing flushes. No mapping of the kernel's is
 * left in the user half when kernel_main() is called.
 */
#ifndef KERNEL_PORT_H
#define KERNEL_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmem/init.h>
#include <vmem/types.h>

#include "signal.h"

/* A CPU's record, in static storage and zero at the beginning. The port makes port_cpu() answer it before
 * it calls anything of the common kernel: kernel_cpu_port(0) on the boot CPU. */
struct port_cpu;
struct port_cpu *kernel_cpu_port(unsigned number);

/*
 * port_isa.h, in the ISA's directory, defines:
 *	struct port_frame, struct port_thread
 *	struct port_cpu		what the port's assembly needs to know of its CPU
 *	port_cpu()		the running CPU's, from a register: a static inline function. A thread may run
 *				on another CPU after port_thread_switch(): nothing is remembered across that
 *	port_count()		a static inline function: a counter that counts one for each instruction
 *				where QEMU does
 *	port_relax()		a static inline function: what the CPU wants to be told in a loop that waits
 *				for another one; it returns at once
 *	struct port_stat	Linux's struct stat of the ISA, with its names: st_dev, st_ino, ...
 *	PORT_MACHINE		uname's machine and AT_PLATFORM, a string
 *	PORT_ELF_MACHINE	e_machine
 *	PORT_O_DIRECTORY	open's flag, which differs
 *				Field `attention` (32 bits): the running thread has something to do
 *				before it goes to user mode
 *	PORT_RED_ZONE		bytes below the stack pointer that a program may use
 *	PORT_SIGNAL_RESTORER	SIGNAL_RESTORER, or 0 where a program cannot say what a handler returns to
 *	PORT_SIGNAL_RESTORER_FIELD	struct sigaction of the system call has a place for it
 *	PORT_SIGNAL_STACK_LEAST	MINSIGSTKSZ
 *	PORT_CLONE_TLS		which argument of clone is the TLS register: 4, or 3 where the last two are
 *				the other way round
 */
#include "port_isa.h"

/* ---- What the port tells when it calls kernel_main(). ---- */

#define KERNEL_RAM_MAX 32u

struct kernel_boot {
	/* Free RAM: neither the image, nor the archive, the first tables or the firmware's data. */
	struct vmem_ram ram[KERNEL_RAM_MAX];
	unsigned ram_count;
	uint64_t direct_map;	    /* what a physical address is added to */
	vmem_vaddr_t managed_start; /* the part of the kernel half that the library shall manage */
	uint64_t managed_length;
	uint32_t isa_features;	  /* for struct vmem_config: VMEM_RISCV_*; elsewhere 0 */
	const char *command_line; /* in the direct map, "" if none */
	const void *archive;	  /* the initial archive, in the direct map, NULL if none */
	size_t archive_length;
};

/* Builds boot->ram: adds a range of RAM, then cuts out what is in use. Bytes; any order, overlaps allowed.
 */
void kernel_ram_add(struct kernel_boot *boot, vmem_paddr_t start, uint64_t length);
void kernel_ram_reserve(struct kernel_boot *boot, vmem_paddr_t start, uint64_t length);
/* Takes `pages` zeroed pages from boot->ram for the port's first page tables (before kernel_main()); the
 * direct map that is live then may cover only part of RAM: the pages come from below `limit`, 0 for none.
 * Panics when there are none. */
vmem_paddr_t kernel_ram_take(struct kernel_boot *boot, uint64_t pages, vmem_paddr_t limit);

/* The common kernel; called once on the boot stack with interrupts off, the final page tables live and
 * traps working. */
_Noreturn void kernel_main(const struct kernel_boot *boot);

/* ---- CPUs. ---- */

#define KERNEL_CPU_MAX ((unsigned)VMEM_MAX_CPUS)

/* The stack (exclusive top, 16-byte aligned, KERNEL_STACK_SIZE) that CPU `number`, not the boot CPU, starts
 * on and keeps for port_idle(). Not before port_cpus_start() is called. */
void *kernel_cpu_stack(unsigned number);

/* How many CPUs the machine has; it may be more than KERNEL_CPU_MAX. */
unsigned port_cpu_count(void);
/* Starts the CPUs 1 to count - 1, once; need not wait for them. Each comes to kernel_cpu_main() with its
 * record and its stack, on the kernel's final page tables, with traps and everything else set up as on the
 * boot CPU, interrupts off. */
void port_cpus_start(unsigned count);
_Noreturn void kernel_cpu_main(void);

/* Interrupts CPU n for each bit n, never the calling one. All that the caller stored before is visible to
 * what the interrupt calls there. */
void port_cpu_interrupt(uint64_t cpus);
/* That interrupt, acknowledged, from user mode, in port_idle() or in port_take_interrupts(). May switch
 * threads, or end this one, but in the last of them. */
void kernel_cpu_interrupted(void);
/* Runs function(argument) on all other CPUs, and returns when it has. Takes no lock. */
void kernel_cpu_call_others(void (*function)(void *), void *argument);

/* ---- Channels and exit (see CHANNELS.md). All work from the first instruction of C on. ---- */

enum port_channel {
	PORT_OUT, /* the program's fd 1 */
	PORT_ERR, /* the program's fd 2 */
	PORT_LOG, /* the kernel's log */
};
void port_write(enum port_channel channel, const void *bytes, size_t length); /* all of it; byte-exact */
/* Ends the machine. The common code has logged how it ended. */
_Noreturn void port_exit(void);

/* ---- Time and entropy. ---- */

uint64_t port_clock_ns(void); /* since boot; monotonic */
uint64_t port_wall_ns(void);  /* since 1970, from the machine's clock chip; read once by the common code */
/* The best word of entropy there is: an instruction, the firmware's seed, the cycle counter. */
uint64_t port_entropy(void);
#define KERNEL_TICK_HZ 100u
/* From now on kernel_tick() is called on this CPU about KERNEL_TICK_HZ times a second of user time. */
void port_tick_start(void);
/* No more ticks on this CPU: a lone program is not disturbed. */
void port_tick_stop(void);
/* Waits for an interrupt of this CPU, the tick or another CPU's, calls what belongs to it and returns. One
 * that came before, while interrupts were off, ends the wait at once. */
void port_idle(void);
/* Lets in what interrupts are pending, and calls what belongs to them. */
void port_take_interrupts(void);
/* Halts the CPU for about 50 us, with its timer set for that: whoever waits for another CPU may be keeping
 * it from the machine below both. Calls nothing. The tick and other CPUs' interrupts that come meanwhile, or
 * were pending, are so afterwards; they may end the rest, so it may be none. */
void port_rest(void);

/* ---- Threads. struct port_thread is in port_isa.h; its users know no field. ---- */

/* A thread that will begin in start(argument) on the given kernel stack (exclusive top, 16-byte aligned) at
 * the first switch to it. fp_area: one zeroed page for its floating-point and vector state, which starts as
 * at reset; NULL: it never enters user mode. */
void port_thread_init(
    struct port_thread *thread, void *stack_top, void *fp_area, void (*start)(void *), void *argument);
/*
 * A thread for clone(): at the first switch to it, it calls kernel_thread_begin() and then goes to user mode
 * with all registers as the running thread has them in the system call that it is in, but the result is 0,
 * the stack pointer `sp` (0: the same) and the TLS register *tls (NULL: the same). `argument` is what the
 * port's own entry for this call, port_call_clone or port_call_clone3, gave to call_clone() or
 * call_clone3(): it is by that entry that the port knows where all registers are. fp_area gets what the
 * CPU's floating-point and vector registers hold.
 */
void port_thread_fork(struct port_thread *thread, void *stack_top, void *fp_area, const uint64_t *argument,
    uint64_t sp, const uint64_t *tls);
void kernel_thread_begin(void);
/* Saves the callee-saved registers, the user's TLS register and the whole FP and vector state in `from`,
 * loads those of `to`, and makes its stack the one that this CPU's traps from user mode use. Returns when
 * somebody, on whatever CPU, switches back to `from`. The user half of the address space is the caller's to
 * change. The context in which a CPU starts has a struct port_thread too, with fp_area NULL. */
void port_thread_switch(struct port_thread *from, struct port_thread *to);
/* Drops to user mode at pc with the stack pointer sp and every other register zero, FP state as at reset,
 * interrupts on. The kernel stack is empty from here on: the next trap starts at its top. */
_Noreturn void port_user_enter(uint64_t pc, uint64_t sp);

/* The running thread, for a port's own system calls (the user's TLS register). */
struct port_thread *kernel_port_thread(void);

/* ---- Traps: the port calls these. ---- */

/*
 * A page fault as vmem_trap_decode() takes it. The port's entry saves only what a C function may destroy,
 * calls this, and when it returns true goes straight back. When it returns false, the entry saves the rest
 * of the registers (C has kept them) and calls kernel_trap().
 */
bool kernel_fault(uint64_t address, uint64_t cause, uint64_t detail);

/* Any other exception, or a failed page fault, with all registers. signal: what it is to a program (Linux's
 * number), code: si_code, address: si_addr (of a page fault both are known already); name: for the report.
 * From user mode: if it returns, the frame's registers, all of them, are the program's from now on: those
 * with which a handler begins. Without one it kills the program with a report. From the kernel: panics. */
struct port_trap {
	unsigned signal;
	int code;
	uint64_t address;
	const char *name;
};
void kernel_trap(struct port_frame *frame, const struct port_trap *trap);

/* The timer's interrupt, acknowledged, from where the other one may come. May switch threads as that may. */
void kernel_tick(void);

/*
 * The way back to user mode when the CPU's `attention` is set, after an interrupt or a system call, with all
 * registers of the program in the frame, as they are to be afterwards. After a call the frame has the
 * result's register, and the others, as they were at its entry, and the pc is that after the call.
 */
void kernel_leave_trap(struct port_frame *frame);
void kernel_leave_call(struct port_frame *frame, int64_t result);

/* ---- Signals: the port knows Linux's frames. ---- */

/* Code that calls rt_sigreturn(), for a page of every program's; 0 bytes where programs bring their own. */
extern const uint32_t port_trampoline[];
extern const size_t port_trampoline_size;

/* Stores a frame below entering->sp, which holds all registers of `frame` and the CPU's vector registers,
 * and makes `frame` that of the handler's beginning. False when it cannot be written or would lie below
 * entering->lowest. */
bool port_signal_enter(struct port_frame *frame, const struct signal_entering *entering);
/* The other way round, from where the stack pointer is. False when there is no such frame. */
bool port_signal_leave(struct port_frame *frame, uint64_t *out_mask, struct signal_stack *out_stack);
/* The system call that ends answers this. */
void port_frame_result(struct port_frame *frame, int64_t result);
/* It is made again, or `other`: restart_syscall() is made in its place. */
void port_frame_restart(struct port_frame *frame, bool other);
/* The program's stack pointer in a system call. */
uint64_t port_call_sp(const uint64_t *argument);

/*
 * System calls. The port's entry saves what Linux promises to keep, builds the six arguments in memory,
 * finds the function in port_calls[] by the program's number, calls it with interrupts off and puts the
 * result into the result register. A number beyond the table or without a function goes to
 * kernel_call_unknown(number).
 */
typedef int64_t kernel_call_t(const uint64_t *argument);
extern kernel_call_t *const port_calls[];
extern const uint64_t port_calls_count;
int64_t kernel_call_unknown(uint64_t number);
/* All common functions are declared in calls.h; a port's table is written with them: [63] = call_read, ...
 */

/* ---- Frames: accessors for what the common code reports. ---- */

uint64_t port_frame_pc(const struct port_frame *frame);
uint64_t port_frame_sp(const struct port_frame *frame);
bool port_frame_is_user(const struct port_frame *frame);
/* For each register in turn: its name, and its value. False when n is beyond the last. */
bool port_frame_register(
    const struct port_frame *frame, unsigned n, const char **out_name, uint64_t *out_value);
/* True if `address` (in the kernel's text) follows a call instruction: how a backtrace tells return
 * addresses from data. *out_target: the function that the call names, 0 if it takes it from a register. */
bool port_is_return_address(uint64_t address, uint64_t *out_target);

/* ---- What programs are told. ---- */

uint64_t port_hwcap(unsigned which); /* 1: AT_HWCAP, 2: AT_HWCAP2 */
/* A line for the log: paging mode, CPU features in use. Writes with kernel_log(). */
void port_describe(void);

/* From the linker script, page aligned: the image is [kernel_text, kernel_end); data goes from kernel_data
 * to kernel_end. */
extern char kernel_text[], kernel_rodata[], kernel_data[], kernel_end[];

/* ---- Services of the common kernel that ports use. ---- */

/* Formats: %s %c %d %u %x %lu %ld %lx %zu %p %% with width and 0 and -. To the log; never fails, allocates
 * nothing. */
void kernel_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void kernel_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The value of the word NAME=VALUE of the command line (CHANNELS.md), copied; false if absent. NAME alone
 * gives "". */
bool kernel_argument(const char *command_line, const char *name, char *out, size_t room);

#endif
