/* SPDX-License-Identifier: MIT */
/*
 * A static position-independent program without a C library: it relocates itself from its dynamic section, as
 * the C library's start code would, then checks that the loader put it somewhere else than where it was
 * linked (at zero), on page boundaries, and told it so in the auxiliary vector. System calls: write and
 * exit_group.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_arch.h"

extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));
void start_c(const uint64_t *stack);

static const char text[] = "a table of pointers";
/* Two pointers that only a relocation can make right. */
static const char *volatile table[] = {text, text + 2};

static void say(const char *line)
{
	size_t length = 0;

	while (line[length] != 0) {
		length++;
	}
	system_call(SYS_WRITE, 1, (long)(intptr_t)line, (long)length, 0, 0, 0);
}

static void finish(const char *line, int status)
{
	say(line);
	system_call(SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0);
}

static void relocate(uintptr_t base)
{
	const Elf64_Rela *rela = NULL;
	uint64_t size = 0;

	for (const Elf64_Dyn *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_RELA) {
			rela = (const Elf64_Rela *)(base + d->d_un.d_ptr);
		} else if (d->d_tag == DT_RELASZ) {
			size = d->d_un.d_val;
		}
	}
	for (; size >= sizeof(*rela); rela++, size -= sizeof(*rela)) {
		uint64_t *at = (uint64_t *)(base + rela->r_offset);

		if (ELF64_R_TYPE(rela->r_info) != RELATIVE_RELOCATION) {
			finish("pie: a relocation of an unknown kind\n", 1);
		}
		*at = base + (uint64_t)rela->r_addend;
	}
}

static uint64_t auxiliary(const uint64_t *stack, uint64_t type)
{
	const uint64_t *at = stack + 1 + stack[0] + 1;

	while (*at++ != 0) {
	}
	for (; at[0] != AT_NULL; at += 2) {
		if (at[0] == type) {
			return at[1];
		}
	}
	return 0;
}

void start_c(const uint64_t *stack)
{
	uintptr_t base = (uintptr_t)__ehdr_start;

	relocate(base);
	if (base == 0 || base % 4096 != 0 || base >> 48 != 0) {
		finish("pie: not moved, or to no good place\n", 1);
	}
	if (auxiliary(stack, AT_PHDR) != base + sizeof(Elf64_Ehdr) ||
	    auxiliary(stack, AT_ENTRY) != base + ((const Elf64_Ehdr *)base)->e_entry) {
		finish("pie: the auxiliary vector is about another address\n", 1);
	}
	if (table[1] - table[0] != 2 || table[0][2] != 't' || *table[1] != 't') {
		finish("pie: pointers are wrong\n", 1);
	}
	finish("pie: moved, relocated, running\n", 0);
}
