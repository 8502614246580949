# SPDX-License-Identifier: MIT
"""Promises of the documents: tests/spec/NNN.md names a test for each, which must have run and passed."""

import glob
import os
import re

import boot_part
import build
import hosted
import report

WHAT = "each promise of each document has a test that ran"
SPEC = os.path.join(build.ROOT, "tests", "spec")
DOCUMENTS = ["000", "002"]


def promises(path):
    """(number, text) of each item of the numbered list, continuation lines joined."""
    items = []
    with open(path) as file:
        for line in file:
            start = re.match(r"(\d+)\. (.*)", line)
            if start:
                items.append([int(start[1]), start[2].rstrip()])
            elif items and line.startswith("   "):
                items[-1][1] += "\n" + line.strip()
            elif items and line.strip() and not line.startswith("#"):
                items.append([None, ""])  # a paragraph: what follows belongs to no promise
    return [(number, text) for number, text in items if number is not None]


def named(text):
    """The tests that a promise names, or None if it says why there is none."""
    if re.search(r"^No test: \S", text, re.M):
        return None
    lines = re.search(r"^Test: (.*)", text, re.M | re.S)
    return re.findall(r"`([^`]+)`", lines[1]) if lines else []


def without_isa(name):
    path, _, case = name.partition(": ")
    steps = [step for step in path.split("/") if step not in build.ISAS]
    return "/".join(steps) + (": " + case if case else "")


def run_named(rep, names, options):
    """Alone, the part runs what the promises name."""
    inner = report.Report(verbose=False)
    for part in hosted.PARTS:
        if any(name.split("/")[0].split(":")[0] == part for name in names):
            hosted.run(inner, part, jobs=options.jobs)
    cases = {name.split(": ", 1)[1] for name in names if name.startswith("boot")}
    if cases:
        for isa in build.ISAS:
            bench = boot_part.make_bench(isa)
            table = boot_part.cases(isa)
            boot_part.run_cases(inner, "boot/" + isa, bench, {name: table[name] for name in cases if name in table}, options.jobs)
    return inner.results


def run(rep, options):
    results = rep.results
    files = sorted(glob.glob(os.path.join(SPEC, "[0-9]*.md")))
    documents = {os.path.basename(path)[:-3]: promises(path) for path in files}
    if options.part == "spec":
        wanted = {name for items in documents.values() for _, text in items for name in named(text) or ()}
        results = run_named(rep, wanted, options)
    outcomes = {}
    for name, (outcome, _) in results.items():
        outcomes.setdefault(without_isa(name), set()).add(outcome)
    for document in DOCUMENTS:
        rep.check("spec/%s: is written" % document, document in documents, "tests/spec/%s.md is not there" % document)
    for document, items in documents.items():
        numbers = [number for number, _ in items]
        rep.check("spec/%s: numbered from 1 on" % document, numbers == list(range(1, len(items) + 1)), str(numbers))
        for number, text in items:
            tests = named(text)
            wrong = ["names no test and no reason"] if tests == [] else []
            for test in tests or []:
                if test not in outcomes:
                    wrong.append("%s: no such test ran" % test)
                elif outcomes[test] != {report.PASSED}:
                    wrong.append("%s: %s" % (test, ", ".join(sorted(outcomes[test]))))
            rep.check("spec/%s: promise %d" % (document, number), not wrong, "\n".join(wrong))
