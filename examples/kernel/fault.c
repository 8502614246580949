/* SPDX-License-Identifier: MIT */
/*
 * fault.c - page faults and other exceptions: the library resolves a fault, or says why not; then the
 * program's handler runs, or the program dies with a report. The kernel itself never faults: it reaches
 * user memory through copy.h, and its own mappings are wired. A fault from it is a bug.
 */
#include <vmem/fault.h>
#include <vmem/kernel.h>
#include <vmem/trap.h>

#include "panic.h"
#include "thread.h"

/* The fault is noted in the CPU's record rather than kept in registers: that costs less on the way that
 * nearly every fault takes. */
bool kernel_fault(uint64_t address, uint64_t cause, uint64_t detail)
{
	struct kernel_cpu *cpu = cpu_this();

	cpu->fault.address = address;
	cpu->fault.trap = vmem_trap_decode(cause, detail);
	if (!cpu->fault.trap.is_user || cpu->fault.trap.malformed) {
		cpu->fault.result =
		    cpu->fault.trap.is_page_fault ? VMEM_FAULT_PERMISSION : VMEM_FAULT_RESOLVED;
		return false;
	}
	cpu->fault.result = vmem_fault(cpu->current->aspace, address, cpu->fault.trap.access);
	if (__builtin_expect(cpu->put_off, 0) && cpu->fault.result == VMEM_FAULT_RESOLVED) {
		sched_catch_up();
		return true;
	}
	return cpu->fault.result == VMEM_FAULT_RESOLVED;
}

static const char *access_name(unsigned access)
{
	return access == VMEM_WRITE ? "write to" : access == VMEM_EXEC ? "execution of" : "read of";
}

/* What a program is told of a fault that was refused. */
static struct signal_info fault_info(const struct kernel_cpu *cpu)
{
	struct signal_info info = {
	    .number = SIGNAL_SEGV, .code = SIGNAL_SEGV_ACCERR, .address = cpu->fault.address};

	switch (cpu->fault.result) {
	case VMEM_FAULT_BEYOND_END:
		info.number = SIGNAL_BUS;
		info.code = SIGNAL_BUS_ADRERR;
		break;
	case VMEM_FAULT_NO_MEMORY:
		info.number = SIGNAL_KILL;
		break;
	case VMEM_FAULT_NO_REGION:
	case VMEM_FAULT_GUARD: /* to Linux a guarded page is a hole to look at */
		info.code = SIGNAL_SEGV_MAPERR;
		break;
	case VMEM_FAULT_RESOLVED:
	case VMEM_FAULT_PERMISSION:
	case VMEM_FAULT_RESULT_COUNT:
		break;
	}
	return info;
}

/* The region at an address, or its neighbours. */
static void say_region(struct process *process, uint64_t address)
{
	struct vmem_region_info region, below;
	bool has_below = false;

	for (uint64_t at = 0; vmem_region_next(process->aspace, at, &region);
	     at = region.start + region.length) {
		if (address < region.start) {
			break;
		}
		if (address - region.start < region.length) {
			kernel_say("%s: the region there is %lx-%lx %s%s", process->name, region.start,
			    region.start + region.length, kernel_permission(region.permission),
			    (region.flags & VMEM_MAP_GUARD) != 0 ? ", a guard" : "");
			return;
		}
		below = region;
		has_below = true;
	}
	if (has_below) {
		kernel_say("%s: no region there; the one below is %lx-%lx %s", process->name, below.start,
		    below.start + below.length, kernel_permission(below.permission));
	} else {
		kernel_say("%s: no region there, nor below", process->name);
	}
}

/* The program ends with the signal. */
static _Noreturn void kill_by_fault(
    struct kernel_cpu *cpu, const struct port_frame *frame, unsigned signal, const struct vmem_trap *trap)
{
	struct process *process = cpu->current->process;
	const uint64_t address = cpu->fault.address;

	kernel_say("%s: killed by signal %u: page fault: %s address %lx at pc %lx, sp %lx: %s", process->name,
	    signal, access_name(trap->access), address, port_frame_pc(frame), port_frame_sp(frame),
	    vmem_fault_name(cpu->fault.result));
	say_region(process, address);
	cpu->fault.result = VMEM_FAULT_RESOLVED;
	process_kill(signal);
}

static void refuse_fault(struct kernel_cpu *cpu, struct port_frame *frame)
{
	const struct vmem_trap trap = cpu->fault.trap;
	const struct signal_info info = fault_info(cpu);
	const enum vmem_fault_result result = cpu->fault.result;
	unsigned signal;

	cpu->fault.result = VMEM_FAULT_RESOLVED;
	signal = info.number == SIGNAL_KILL ? SIGNAL_KILL : signal_raise(frame, &info);
	if (signal != 0) {
		cpu->fault.result = result;
		cpu->fault.address = info.address;
		kill_by_fault(cpu, frame, signal, &trap);
	}
}

/* What was no page fault. */
static void refuse_instruction(struct port_frame *frame, const struct port_trap *trap)
{
	const struct signal_info info = {
	    .number = (int32_t)trap->signal, .code = trap->code, .address = trap->address};
	const unsigned signal = signal_raise(frame, &info);

	if (signal != 0) {
		kernel_say("%s: killed by signal %u: %s at pc %lx, sp %lx", process_current()->name, signal,
		    trap->name, port_frame_pc(frame), port_frame_sp(frame));
		process_kill(signal);
	}
}

void kernel_trap(struct port_frame *frame, const struct port_trap *trap)
{
	struct kernel_cpu *cpu = cpu_this();

	if (!port_frame_is_user(frame) || cpu->current == NULL || trap->signal == 0 ||
	    (cpu->fault.result != VMEM_FAULT_RESOLVED && cpu->fault.trap.malformed)) {
		if (cpu->fault.result != VMEM_FAULT_RESOLVED) {
			kernel_log("page fault: %s address %lx%s%s\n", access_name(cpu->fault.trap.access),
			    cpu->fault.address, cpu->fault.trap.malformed ? ", a malformed entry" : "",
			    vmem_kernel_is_guard((void *)(uintptr_t)cpu->fault.address)
				? ", a guard page of the kernel"
				: "");
		}
		panic_trap(frame, trap->name);
	}
	if (cpu->fault.result != VMEM_FAULT_RESOLVED) {
		refuse_fault(cpu, frame);
		return;
	}
	refuse_instruction(frame, trap);
}
