/* SPDX-License-Identifier: MIT */
/*
 * console.c - the three output streams and the end of the machine, as CHANNELS.md has them: QEMU's debug
 * consoles for the program, the first serial port for the log. A debug console takes a byte for every store
 * to its port, so one REP OUTSB writes a buffer.
 */
#include "port.h"

#include "cpu.h"

enum { PORT_CONSOLE_OUT = 0xe9, PORT_CONSOLE_ERR = 0xea, PORT_SERIAL = 0x3f8, PORT_EXIT = 0xf4 };

static void write_port(uint16_t port, const void *bytes, size_t length)
{
	__asm__ volatile("rep outsb" : "+S"(bytes), "+c"(length) : "d"(port) : "memory");
}

void port_write(enum port_channel channel, const void *bytes, size_t length)
{
	switch (channel) {
	case PORT_OUT:
		write_port(PORT_CONSOLE_OUT, bytes, length);
		break;
	case PORT_ERR:
		write_port(PORT_CONSOLE_ERR, bytes, length);
		break;
	case PORT_LOG:
		for (size_t i = 0; i < length; i++) {
			while ((inb(PORT_SERIAL + 5) & 0x20) == 0) {
			}
			outb(PORT_SERIAL, ((const uint8_t *)bytes)[i]);
		}
		break;
	}
}

/* The second way out is for a machine without the exit device; the status that QEMU then has means nothing
 * either. */
_Noreturn void port_exit(void)
{
	outl(PORT_EXIT, 0x10);
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}
