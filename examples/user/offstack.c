/* SPDX-License-Identifier: MIT */
/* Runs off the end of its stack, frame by frame, and must be killed by SIGSEGV at the guard, not sooner and
 * not later. */
#include <stdio.h>
#include <unistd.h>

static __attribute__((noinline)) unsigned descend(unsigned depth)
{
	volatile unsigned char frame[1024];

	for (unsigned i = 0; i < sizeof(frame); i += 64) {
		frame[i] = (unsigned char)(depth + i);
	}
	if (depth == 4096) {
		static const char deep[] = "offstack: 4 MiB down\n";

		if (write(1, deep, sizeof(deep) - 1) < 0) {
			return 0;
		}
	}
	return depth == 1u << 30 ? 0 : descend(depth + 1) + frame[depth % sizeof(frame)];
}

int main(void)
{
	printf("offstack: going down\n");
	fflush(stdout);
	printf("offstack: came back with %u\n", descend(0));
	return 0;
}
