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

/* Around what the ISAs stop at. */
#define FLUSH_BENCHMARKS                                                                                     \
	{"revoke_16", 8, 16, NULL, run_revoke, NULL}, {"revoke_32", 8, 32, NULL, run_revoke, NULL},          \
	    {"revoke_33", 8, 33, NULL, run_revoke, NULL}, {"revoke_34", 8, 34, NULL, run_revoke, NULL},      \
	    {"revoke_64", 8, 64, NULL, run_revoke, NULL}, {"revoke_65", 8, 65, NULL, run_revoke, NULL},      \
	{                                                                                                    \
		"revoke_128", 8, 128, NULL, run_revoke, NULL                                                 \
	}

#endif
