/* SPDX-License-Identifier: MIT */
/*
 * effects.h - how the library's own effects, src/arch/<isa>/mmu.c, are compiled for the machine:
 * effects_<isa>.c puts models of the instructions in the place of insn.h and includes that file. The
 * effects that a speculating CPU could use are renamed here; glue.c wraps them.
 */
#ifndef MACHINE_EFFECTS_H
#define MACHINE_EFFECTS_H

#define vmem_arch_cpu_init isa_cpu_init
#define vmem_arch_activate isa_activate
#define vmem_arch_publish isa_publish
#define vmem_arch_flush isa_flush
#define vmem_arch_icache_sync isa_icache_sync
#define insn_pause machine_pause /* a turn of a loop that waits for another CPU */
#include "arch.h"

#include <string.h>

#include "glue.h"

#endif
