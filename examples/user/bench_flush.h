/* SPDX-License-Identifier: MIT */
/*
 * Calls that take translations away, by how many: revoke_N takes the write permission of N touched pages.
 * What a library does page by page up to some N, and at once from there on, shows as a step.
 */
#ifndef BENCH_FLUSH_H
#define BENCH_FLUSH_H

static uint64_t run_revoke(unsigned n, long pages)
{
	const uint64_t length = (uint64_t)pages * PAGE;
	uint64_t total = 0;

	note(map(SMALL, length, READ_WRITE));
	for (unsigned i = 0; i < n; i++) {
		uint64_t t;

		write_pages(SMALL, (uint64_t)pages);
		t = begin();
		note(protect(SMALL, length, READ));
		total += end(t);
		note(protect(SMALL, length, READ_WRITE));
	}
	note(unmap(SMALL, length));
	return total;
}

#define REVOKE(n)                                                                                            \
	{                                                                                                    \
		"revoke_" #n, 8, n, NULL, run_revoke, NULL                                                   \
	}

/* On each side of what the ISAs' files say. */
#define FLUSH_BENCHMARKS REVOKE(16), REVOKE(32), REVOKE(33), REVOKE(34), REVOKE(64), REVOKE(65), REVOKE(128)

#endif
