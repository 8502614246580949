# SPDX-License-Identifier: MIT
"""The long form: many boots with several CPUs, the model with many seeds and many operations, several CPUs at once, random system calls, the mutants, the twelve builds."""

import boot_part
import build
import hosted
import linux_cases
import matrix_part
import mutants_part
import report

WHAT = "many boots, the model, several CPUs, schedules and random system calls at length, the mutants, and the matrix"
NORMAL = False
SEEDS, OPERATIONS = 8, 10000000
DIFFER_SEEDS = range(2, 12)
SMP_BOOTS = {4: 20, 8: 5}  # of each program
SMP_PROGRAMS = ("threads", "heap", "race")
CALL_SEEDS, CALLS = 8, 400000
STRESS_SEED, STRESS_SECONDS = 2, 200  # of each program


def random_calls(seed, options):
    return lambda b: boot_part.ended(*b.run(b.program("randcalls"), str(seed), str(CALLS), options=options, timeout=600))


def run_random_calls(rep, options):
    """examples/user/randcalls.c at length, every second seed with the policy W^X."""
    for isa in build.ISAS:
        prefix = "long/" + isa
        table = {"random calls, seed %d" % seed: random_calls(seed, ["--wx"] if seed % 2 else []) for seed in range(1, CALL_SEEDS + 1)}
        table = {name: case for name, case in table.items() if rep.wanted("%s: %s" % (prefix, name))}
        if not table:
            continue
        try:
            bench = boot_part.make_bench(isa)
        except build.BuildError as error:
            rep.add(prefix + ": builds", report.FAILED, str(error))
            continue
        boot_part.run_cases(rep, prefix, bench, table, options.jobs)


def smp_boots():
    """Name -> case of each of the many boots: a program with threads alone, and the race among other processes."""
    table = {}
    for smp, count in SMP_BOOTS.items():
        for number in range(1, count + 1):
            for name in SMP_PROGRAMS:
                table["%d CPUs, %s, boot %d" % (smp, name, number)] = lambda b, c=linux_cases.threads(name), s=smp: c(b.smp(), ["--smp", str(s)])
            table["%d CPUs, %d processes, boot %d" % (smp, smp + 2, number)] = lambda b, s=smp: linux_cases.beside(b.smp(), s, 4)
    return table


def run_smp(rep, options):
    """Many boots with 4 and with 8 CPUs."""
    for isa in build.ISAS:
        prefix = "long/" + isa
        table = {name: case for name, case in smp_boots().items() if rep.wanted("%s: %s" % (prefix, name))}
        if table:
            try:
                boot_part.run_cases(rep, prefix, boot_part.make_bench(isa), table, 1)
            except build.BuildError as error:
                rep.add(prefix + ": builds", report.FAILED, str(error))


def run(rep, options):
    run_smp(rep, options)
    run_random_calls(rep, options)
    for seed in range(1, SEEDS + 1):
        hosted.run(rep, "model", ["--seed", str(seed), "--ops", str(OPERATIONS)], options.jobs, factor=20.0, label="long/seed-%d" % seed)
    for seed in DIFFER_SEEDS:
        hosted.run(rep, "differ", ["--seed", str(seed)], options.jobs, label="long/differ-%d" % seed)
    hosted.run(rep, "smp", ["--seed", str(STRESS_SEED), "--seconds", str(STRESS_SECONDS)], options.jobs, factor=4.0, label="long/smp")
    hosted.run(rep, "explore", ["--long"], options.jobs, factor=6.0, label="long/explore")
    mutants_part.run(rep, options)
    matrix_part.run(rep, options)
