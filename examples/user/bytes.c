/* SPDX-License-Identifier: MIT */
/* bytes [COUNT [SEED]]: writes COUNT (64 Ki) seeded random bytes to standard output, all values among them,
 * in writes of odd sizes, and a line to standard error before and after. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char buffer[1 << 20];

static int put(int fd, const void *from, size_t length)
{
	const char *at = from;

	while (length != 0) {
		ssize_t n = write(fd, at, length);

		if (n <= 0) {
			return -1;
		}
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

static int say(const char *text)
{
	return put(2, text, strlen(text));
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 65536, at = 0;
	uint64_t x = 0x2545f4914f6cdd1du ^ (argc > 2 ? strtoul(argv[2], NULL, 10) : 1) << 32;

	count = count < sizeof(buffer) ? count : sizeof(buffer);
	for (size_t i = 0; i < count; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buffer[i] = i < 256 ? (unsigned char)i : (unsigned char)(x >> 24);
	}
	if (say("bytes: begin\n") != 0) {
		return 1;
	}
	for (size_t step = 1; at < count; at += step, step = step * 3 % 5001) {
		step = step < count - at ? step : count - at;
		if (put(1, buffer + at, step) != 0) {
			return 1;
		}
	}
	return say("bytes: end\n") == 0 ? 0 : 1;
}
