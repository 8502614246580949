# SPDX-License-Identifier: MIT
"""The parts that run on this machine: C programs that meson knows, each for every ISA."""

import concurrent.futures
import json
import os
import re
import subprocess
import time

import build
import report

PARTS = {
    "unit": "each module on the software machine, under sanitizers",
    "model": "random operations against an array of pages",
    "oom": "every allocation made to fail",
    "differ": "random calls on the library and on this machine's Linux, compared after every step",
    "smp": "several CPUs at once, each a thread: random operations, under ThreadSanitizer and AddressSanitizer",
    "explore": "every schedule of threads that run the library, up to a number of preemptions",
    "conflicts": "the lines of memory that two operations on two CPUs share",
}
# Optimised a little, or the sanitizers make it slow.
BUILD = ["--buildtype", "debugoptimized", "-Doptimization=1"]
_CASE = re.compile(r"(not )?ok (\d+)(?: # SKIP)? (?:- )?(.*)")


def tests(directory, part):
    """The programs of a part, as meson lists them."""
    with open(os.path.join(directory, "meson-info", "intro-tests.json")) as file:
        return [t for t in json.load(file) if any(s.split(":")[-1] == part for s in t["suite"])]


def cases(output):
    """The cases of a program that speaks TAP, one group of them or several: ({name: [outcome, lines that follow it]}, ended, planned).
    A case that several groups have is one result, the worst of them."""
    found = {}
    last = None
    ended = planned = 0
    for line in output.split("\n"):
        plan = re.fullmatch(r"1\.\.(\d+)", line)
        said = _CASE.fullmatch(line)
        if plan:
            planned += int(plan[1])
        elif said:
            ended += 1
            outcome = report.SKIPPED if "# SKIP" in line else report.FAILED if said[1] else report.PASSED
            last = found.setdefault(said[3], [outcome, []])
            last[0] = max(last[0], outcome, key=[report.PASSED, report.SKIPPED, report.FAILED].index)
        elif last:
            last[1].append(line)
    return found, ended, planned


def run_program(test, extra, timeout):
    env = {**os.environ, **test["env"], "CMOCKA_MESSAGE_OUTPUT": "TAP", "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
           "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1", "TSAN_OPTIONS": "halt_on_error=1:history_size=4"}
    start = time.monotonic()
    try:
        done = subprocess.run(test["cmd"] + extra, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout, cwd=build.ROOT)
        output, status = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        output, status = (late.stdout or b"").decode(errors="replace") + "\nno end after %g s" % timeout, None
    return output, status, time.monotonic() - start


def record(rep, part, test, output, status, seconds):
    """One program's cases, or the program itself if it names none, become results."""
    name = "%s/%s" % (part, test["name"])
    found, ended, planned = cases(output)
    for case, (outcome, lines) in found.items():
        rep.add("%s: %s" % (name, case), outcome, detail="\n".join(lines))
    if not found:
        outcome = {0: report.PASSED, 77: report.SKIPPED}.get(status, report.FAILED)
        rep.add(name, outcome, detail=output)
    elif planned != ended:
        rep.add(name, report.FAILED, "%d of %d cases ended, status %s" % (ended, planned, status), output)
    elif status != 0 and all(outcome == report.PASSED for outcome, _ in found.values()):
        rep.add(name, report.FAILED, "status %s after its cases" % status, output)
    shown = [line for line in output.split("\n") if line.startswith("figure: ")]
    rep.note("%s: %d cases, %.1f s" % (name, max(1, len(found)), seconds))
    for line in shown:
        rep.note("  " + line[8:])


def run(rep, part, extra=(), jobs=2, name="hosted", args=BUILD, factor=1.0, label=None):
    """Builds and runs one part. factor: how much longer than usual it may take; label: what its results are named by instead of the part."""
    directory = build.build(name, list(args), what="the hosted tests")
    chosen = [t for t in tests(directory, part) if rep.wanted("%s/%s" % (part, t["name"]))]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(run_program, t, list(extra), t["timeout"] * factor): t for t in chosen}
        for future in concurrent.futures.as_completed(futures):
            record(rep, label or part, futures[future], *future.result())
