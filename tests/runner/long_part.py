# SPDX-License-Identifier: MIT
"""The long form: the model with many seeds and many operations, the mutants, coverage, and the twelve builds."""

import coverage_part
import hosted
import matrix_part
import mutants_part

WHAT = "the model at length, the mutants, coverage, and the matrix"
NORMAL = False
SEEDS, OPERATIONS = 8, 10000000


def run(rep, options):
    for seed in range(1, SEEDS + 1):
        hosted.run(rep, "model", ["--seed", str(seed), "--ops", str(OPERATIONS)], options.jobs, factor=20.0, label="long/seed-%d" % seed)
    mutants_part.run(rep, options)
    coverage_part.run(rep, options)
    matrix_part.run(rep, options)
