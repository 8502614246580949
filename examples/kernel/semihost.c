/* SPDX-License-Identifier: MIT */
/*
 * semihost.c - the program's two output streams and the exit, through the emulator's semihosting interface.
 *
 *  H1  Both files are opened at the first use of either: each is a pipe whose reader waits for a writer.
 *  H2  SYS_WRITE answers how many bytes it did not write; the rest is written again, so that a full pipe
 *      loses nothing.
 */
#include "semihost.h"

#include "port.h"

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_WRITE = 4 };
#define APPLICATION_EXIT UINT64_C(0x20026)
#define SEMIHOST_FAILED UINT64_MAX

static uint64_t file_open(const char *name, uint64_t length)
{
	const uint64_t parameters[3] = {(uint64_t)(uintptr_t)name, OPEN_WRITE, length};

	return port_semihost(SYS_OPEN, parameters);
}

void port_semihost_write(enum port_channel channel, const void *bytes, size_t length)
{
	static uint64_t file[2];
	static bool open;

	if (!open) {
		file[PORT_OUT] = file_open("stdout", 6);
		file[PORT_ERR] = file_open("stderr", 6);
		open = true;
	}
	while (length != 0 && file[channel] != SEMIHOST_FAILED) {
		const uint64_t parameters[3] = {file[channel], (uint64_t)(uintptr_t)bytes, length};
		uint64_t rest = port_semihost(SYS_WRITE, parameters);
		if (rest > length) {
			return;
		}
		bytes = (const char *)bytes + (length - rest);
		length = rest;
	}
}

_Noreturn void port_exit(void)
{
	const uint64_t parameters[2] = {APPLICATION_EXIT, 0};

	for (;;) {
		(void)port_semihost(SYS_EXIT_EXTENDED, parameters);
	}
}
