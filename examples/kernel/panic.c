/* SPDX-License-Identifier: MIT */
/*
 * panic.c - reason, registers, backtrace, end.
 *
 * The backtrace needs neither frame pointers nor unwind tables, which would cost every function something: it
 * reads the stack upwards and keeps the words that point behind a call instruction of the kernel's text. A
 * caller whose call names the function before it is certain; the others get a question mark: left over from
 * earlier calls, mostly, or true where a function was called through a pointer or ended in a jump. A caller
 * that is on the stack is always shown. Names come from the archive's boot/symbols, if it is there: `nm -n`
 * of the kernel.
 */
#include <vmem/host.h>

#include "panic.h"
#include "thread.h"

#define CALLERS_MAX 32u

static bool in_text(uint64_t address)
{
	return address >= (uintptr_t)kernel_text + 8 && address < (uintptr_t)kernel_rodata;
}

static uint64_t read_hex(const char **at, const char *end)
{
	uint64_t value = 0;

	for (; *at < end && **at != ' ' && **at != '\n'; (*at)++) {
		value = value << 4 | (uint64_t)(**at <= '9' ? **at - '0' : (**at | 0x20) - 'a' + 10);
	}
	return value;
}

struct symbol {
	uint64_t start;
	const char *name; /* NULL: unknown */
	size_t length;
};

/* Lines are sorted by address: "ffffffff80100000 t name". The last one at or below is the function. */
static struct symbol find_symbol(uint64_t address)
{
	const struct archive_entry *symbols = archive_find("boot/symbols", false, NULL);
	const char *at = symbols != NULL ? symbols->data : NULL;
	const char *end = symbols != NULL ? at + symbols->size : NULL;
	struct symbol symbol = {.name = NULL};

	while (at < end) {
		const uint64_t value = read_hex(&at, end);

		if (value > address) {
			break;
		}
		if (symbol.name == NULL || value != symbol.start) { /* of several names the first */
			symbol.start = value;
			symbol.name = at + 3 < end ? at + 3 : end;
			symbol.length = 0;
			while (symbol.name + symbol.length < end && symbol.name[symbol.length] != '\n') {
				symbol.length++;
			}
		}
		while (at < end && *at != '\n') {
			at++;
		}
		at++;
	}
	return symbol;
}

static void log_address(uint64_t address, bool certain)
{
	const struct symbol symbol = find_symbol(address);
	char text[64] = "";

	if (symbol.name != NULL && symbol.length < sizeof(text)) {
		memcpy(text, symbol.name, symbol.length);
		kernel_log("%s %lx %s+%lx\n", certain ? " " : "?", address, text, address - symbol.start);
	} else {
		kernel_log("%s %lx\n", certain ? " " : "?", address);
	}
}

/* The unlikely part of a function lies elsewhere, as NAME.cold. */
static bool same_function(struct symbol called, struct symbol running)
{
	return called.name != NULL && running.name != NULL &&
	       (called.start == running.start || (running.length == called.length + 5 &&
						     memcmp(running.name, called.name, called.length) == 0 &&
						     memcmp(running.name + called.length, ".cold", 5) == 0));
}

/* How far a stack can be read from sp: to the top of the thread's kernel stack, or a little in the image's
 * data. */
static uint64_t stack_end(uint64_t sp)
{
	const uint64_t data_end = (uintptr_t)kernel_end;

	if (thread_current() != NULL) {
		const uint64_t base = (uintptr_t)thread_current()->stack;

		if (sp >= base && sp < base + KERNEL_STACK_SIZE) {
			return base + KERNEL_STACK_SIZE;
		}
	}
	if (sp >= (uintptr_t)kernel_data && sp < data_end) {
		return data_end - sp > 2048 ? sp + 2048 : data_end;
	}
	return sp;
}

/* pc: in the function that sp belongs to. */
static void backtrace(uint64_t pc, uint64_t sp)
{
	const uint64_t base = thread_current() != NULL ? (uintptr_t)thread_current()->stack : 0;
	struct symbol running = find_symbol(pc);
	unsigned callers = 0;

	if (sp < base && base - sp <= VMEM_PAGE_SIZE) { /* an overflow: sp is in the guard */
		sp = base;
	}
	kernel_log("called from:\n");
	for (uint64_t at = sp & ~UINT64_C(7); at < stack_end(sp) && callers < CALLERS_MAX; at += 8) {
		const uint64_t word = *(const uint64_t *)(uintptr_t)at;
		uint64_t target;

		if (in_text(word) && port_is_return_address(word, &target)) {
			const bool certain = target != 0 && same_function(find_symbol(target), running);

			log_address(word, certain);
			running = certain ? find_symbol(word) : running;
			callers++;
		}
	}
}

static _Noreturn void end(const char *reason)
{
	kernel_log("end: panic %s\n", reason);
	port_exit();
}

/* A panic in a panic says so and ends at once; other CPUs wait for the end of the first to panic, without the
 * locks that they may have: the log is not locked here any more. */
static void enter(const char *reason)
{
	static uint32_t entered;
	struct kernel_cpu *cpu = cpu_this();

	if (cpu->panics) {
		kernel_log("panic inside a panic: %s\n", reason);
		end(reason);
	}
	while (__atomic_exchange_n(&entered, 1u, __ATOMIC_ACQUIRE) != 0) {
		port_rest();
	}
	cpu->panics = true;
	kernel_log("panic: %s\n", reason);
	if (kernel_cpu_count > 1) {
		kernel_log("on CPU %u\n", cpu->number);
	}
	if (cpu->current != NULL) {
		kernel_log("running: %s, process %u, thread %u\n", cpu->current->process->name,
		    cpu->current->process->pid, cpu->current->tid);
	}
}

void kernel_panic(const char *format, ...)
{
	char reason[256];
	/* The return address is kept above the locals, or below them at the frame's start, as the ISA has
	 * it. */
	const uint64_t frame = (uintptr_t)__builtin_frame_address(0);
	const uint64_t locals = (uintptr_t)reason;
	va_list arguments;

	va_start(arguments, format);
	kernel_format(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	enter(reason);
	backtrace((uint64_t)(uintptr_t)&kernel_panic, locals < frame ? locals : frame);
	end(reason);
}

void panic_trap(const struct port_frame *frame, const char *name)
{
	const char *register_name;
	unsigned shown = 0;
	uint64_t value;

	enter(name);
	for (unsigned i = 0; port_frame_register(frame, i, &register_name, &value); i++) {
		if (register_name[0] != '\0') {
			kernel_log("%7s %016lx%s", register_name, value, shown % 4 == 3 ? "\n" : "");
			shown++;
		}
	}
	kernel_log("\nat\n");
	log_address(port_frame_pc(frame), true);
	if (!port_frame_is_user(frame)) {
		backtrace(port_frame_pc(frame), port_frame_sp(frame));
	}
	end(name);
}

void vmem_host_panic(const char *rule)
{
	kernel_panic("libvmem: %s", rule);
}
