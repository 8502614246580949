/* SPDX-License-Identifier: MIT */
/* The first program: the C library starts, prints one line and exits. Linked twice: static, and static-pie.
 */
#include <stdio.h>

int main(int argc, char **argv)
{
	printf("hello from user mode\n");
	for (int i = 1; i < argc; i++) {
		printf("argument %d: %s\n", i, argv[i]);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
