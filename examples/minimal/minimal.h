/* SPDX-License-Identifier: MIT */
/* minimal.h - what main.c and the one ISA's files tell each other. */
#ifndef MINIMAL_H
#define MINIMAL_H

#include <stdint.h>

#include <vmem/init.h>

/* From <isa>.c: the machine's constants, its console and its end; it may point the CPU at its trap entry in
 * isa_start(). */
extern const struct vmem_ram isa_ram; /* free RAM, less the image */
extern const uint64_t isa_direct_map;
void isa_start(void);
void isa_put(char c);
_Noreturn void isa_end(void);

/* From main.c. The boot code calls main(); the trap entry calls trap(), which tells where to go on. */
_Noreturn void main(void);
uint64_t trap(uint64_t cause, uint64_t detail, uint64_t address, uint64_t pc);

#endif
