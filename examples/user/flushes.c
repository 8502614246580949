/* SPDX-License-Identifier: MIT */
/*
 * flushes [SAMPLES]: what it costs, in time, that a call takes translations away. A line for each number of
 * pages whose write permission one mprotect takes, and each working set, pages that the program uses besides:
 *
 *   PAGES WORKING CALL AFTER WARM
 *
 * CALL: the mprotect; AFTER: the first reading of the working set after it, one page after the other; WARM:
 * the reading before it. All in nanoseconds, the mean of the middle half of the samples. AFTER less WARM is
 * what the translations cost that the CPU had to find anew. A kernel that forgets page by page pays for each
 * of PAGES in CALL, one that forgets everything pays in AFTER (tests/runner/flushes_part.py works out how
 * many of PAGES the second is worth).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { PAGE = 4096, SAMPLES_MOST = 64, PAGES_MOST = 768, WORKING_MOST = 1024, LINE = 64 };

static const unsigned pages[] = {1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 48, 64, 96, 128, 160, 640, 768};
static const unsigned working[] = {16, 64, 256, 1024}; /* powers of two */

static unsigned samples = 48;

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double middle(uint64_t *sample)
{
	uint64_t sum = 0;

	qsort(sample, samples, sizeof(*sample), compare);
	for (unsigned i = samples / 4; i < samples - samples / 4; i++) {
		sum += sample[i];
	}
	return (double)sum / (samples - samples / 4 * 2);
}

/* Makes a ring of one pointer in each page, in an order that no prefetcher guesses, on different lines. */
static void **ring(char *at, unsigned count)
{
	unsigned i = 0;

	do { /* of period `count`, a power of two: an odd step, and a factor of 1 modulo 4 */
		unsigned next = (i * 5 + 7) % count;

		*(void **)(at + (size_t)i * PAGE + i % (PAGE / LINE) * LINE) =
		    at + (size_t)next * PAGE + next % (PAGE / LINE) * LINE;
		i = next;
	} while (i != 0);
	return (void **)at;
}

static uint64_t lap(void **at, unsigned count)
{
	uint64_t begun = now();

	for (unsigned i = 0; i < count; i++) {
		at = *(void **volatile *)at;
	}
	return now() - begun;
}

static int measure(char *victims, unsigned count, void **set, unsigned size)
{
	static uint64_t call[SAMPLES_MOST], after[SAMPLES_MOST], warm[SAMPLES_MOST];

	for (unsigned i = 0; i < samples; i++) {
		uint64_t begun;
		int failed;

		for (unsigned k = 0; k < count; k++) {
			victims[(size_t)k * PAGE] = 1;
		}
		(void)lap(set, size);
		(void)lap(set, size);
		warm[i] = lap(set, size);
		begun = now();
		failed = mprotect(victims, (size_t)count * PAGE, PROT_READ);
		call[i] = now() - begun;
		after[i] = lap(set, size);
		if (failed || mprotect(victims, (size_t)count * PAGE, PROT_READ | PROT_WRITE)) {
			perror("flushes: mprotect");
			return 1;
		}
	}
	printf("%u %u %.1f %.1f %.1f\n", count, size, middle(call), middle(after), middle(warm));
	return 0;
}

static char *memory(size_t length)
{
	char *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		perror("flushes: mmap");
		exit(1);
	}
	(void)madvise(at, length, MADV_NOHUGEPAGE); /* a kernel without large pages does not know it */
	memset(at, 1, length);
	return at;
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		samples = (unsigned)strtoul(argv[1], NULL, 10);
	}
	if (argc > 2 || samples < 1 || samples > SAMPLES_MOST) {
		fprintf(stderr, "usage: flushes [SAMPLES], 1 to %d\n", SAMPLES_MOST);
		return 2;
	}
	/* Something between them and other memory: that mprotect finds the same regions each time. */
	char *victims = memory((size_t)(PAGES_MOST + 2) * PAGE) + PAGE;
	char *set = memory((size_t)WORKING_MOST * PAGE);

	for (unsigned w = 0; w < sizeof(working) / sizeof(working[0]); w++) {
		void **first = ring(set, working[w]);

		for (unsigned p = 0; p < sizeof(pages) / sizeof(pages[0]); p++) {
			if (measure(victims, pages[p], first, working[w])) {
				return 1;
			}
		}
	}
	return 0;
}
