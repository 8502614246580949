/* SPDX-License-Identifier: MIT */
/*
 * semihost.h - the channels and the exit of the ISAs that speak semihosting (Arm, "Semihosting for AArch32
 * and AArch64", release 2.0; RISC-V Semihosting Specification): CHANNELS.md says which stream goes where.
 */
#ifndef KERNEL_SEMIHOST_H
#define KERNEL_SEMIHOST_H

#include <stdint.h>

#include "port.h"

void port_semihost_write(
    enum port_channel channel, const void *bytes, size_t length); /* PORT_OUT, PORT_ERR */

/* In the ISA's directory: the trap that the emulator answers. */
uint64_t port_semihost(uint64_t operation, const volatile uint64_t *parameters);

#endif
