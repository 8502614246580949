# SPDX-License-Identifier: MIT
"""Line and branch coverage of src/vm and src/arch by the hosted tests: a floor for both, and a reason for each branch that is left."""

import concurrent.futures
import json
import os
import re
import subprocess

import build
import hosted
import report

WHAT = "lines and branches of src/ that the hosted tests reach"
NORMAL = True
LINES, BRANCHES = 95.0, 90.0
REASONS = os.path.join(build.ROOT, "tests", "coverage.md")
NAME = "coverage"
SOURCES = os.path.join(build.ROOT, "src", "")
# The model, differ, the stress and unit programs with threads are left out: what only chance reaches is not tested, and would be missed with
# another seed. The explorer's programs, and those that count conflicts, are built in a way of their own.
CHANCE = "threads"  # in the name of a unit program that has some
PARTS = [part for part in hosted.PARTS if part not in ("model", "differ", "smp", "explore", "conflicts")]
# The same files compiled once more with other branches (alone.h): measured where they have all of them.
ALONE = "src/vm/alone_"
_REASON = re.compile(r"- `([^`]+)`: `(.+)`(?: \((\d+)\))?: (\S.*)")


class Coverage:
    """Counts of lines and branches by (file, line), summed over all objects: over the three ISAs, and over all that include a header.
    Without optimisation every object that has a line has it with the same branches."""

    def __init__(self):
        self.lines = {}
        self.branches = {}
        self.functions = {}
        self.text = {}

    def add(self, document):
        for entry in document["files"]:
            path = os.path.normpath(os.path.join(document["current_working_directory"], entry["file"]))
            if not path.startswith(SOURCES):
                continue
            name = os.path.relpath(path, build.ROOT)
            for line in entry["lines"]:
                key = (name, line["line_number"])
                self.lines[key] = self.lines.get(key, 0) + line["count"]
                if line["branches"]:
                    counts = [branch["count"] for branch in line["branches"]]
                    known = self.branches.setdefault(key, [0] * len(counts))
                    if len(known) != len(counts):
                        raise build.BuildError("%s:%d has other branches in another object" % key)
                    self.branches[key] = [a + b for a, b in zip(known, counts)]
            for function in entry["functions"]:
                key = (name, function["name"])
                self.functions[key] = self.functions.get(key, 0) + function["execution_count"]

    def line(self, name, number):
        if name not in self.text:
            with open(os.path.join(build.ROOT, name)) as file:
                self.text[name] = file.read().split("\n")
        return self.text[name][number - 1].strip()

    def missed(self):
        """(file, text of the line) -> (branches of such lines that are never taken, line numbers); functions that are never called count one."""
        found = {}
        for (name, number), counts in sorted(self.branches.items()):
            if 0 in counts:
                times, numbers = found.get((name, self.line(name, number)), (0, []))
                found[name, self.line(name, number)] = (times + counts.count(0), numbers + [number])
        for (name, function), count in sorted(self.functions.items()):
            if count == 0:
                found[name, function + "()"] = (1, [0])
        return found


def files(directory, suffix):
    """Objects of src/ begin with two dots, which glob would pass over."""
    return [os.path.join(root, name) for root, _, names in os.walk(directory) for name in names if name.endswith(suffix)]


def gather(directory):
    """What gcov says of every object of the build as it is now, run or not."""
    with open(os.path.join(directory, "compile_commands.json")) as file:
        notes = [os.path.splitext(os.path.join(entry["directory"], entry["output"]))[0] + ".gcno" for entry in json.load(file)
                 if "--coverage" in entry["command"] and ALONE not in entry["file"]]
    done = subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--stdout", *filter(os.path.exists, notes)], cwd=directory,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode != 0:
        raise build.BuildError("gcov failed: " + done.stderr[-500:])
    found = Coverage()
    for document in done.stdout.splitlines():
        if document.strip():
            found.add(json.loads(document))
    return found


def reasons():
    """(file, text of the line) -> how many branches of it are not taken, from the list in tests/coverage.md."""
    found = {}
    if os.path.exists(REASONS):
        with open(REASONS) as file:
            for line in file:
                entry = _REASON.fullmatch(line.rstrip("\n"))
                if entry:
                    found[entry[1], entry[2]] = int(entry[3] or 1)
    return found


def run_all(rep, directory, jobs):
    for old in files(directory, ".gcda"):
        os.unlink(old)
    chosen = [(part, test) for part in PARTS for test in hosted.tests(directory, part) if CHANCE not in test["name"]]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(hosted.run_program, test, [], test["timeout"] * 2): (part, test) for part, test in chosen}
        for future in concurrent.futures.as_completed(futures):
            output, status, _ = future.result()
            if status not in (0, 77):
                part, test = futures[future]
                rep.add("coverage: %s/%s" % (part, test["name"]), report.FAILED, "status %s" % status, output)
    return len(chosen)


def share(counts):
    counts = list(counts)
    return 100.0 * sum(1 for count in counts if count) / max(1, len(counts))


def run(rep, options):
    directory = build.build(NAME, ["--buildtype", "debug", "-Dcoverage=true"], what="the hosted tests with coverage")
    if not rep.check("coverage: tests ran", run_all(rep, directory, options.jobs) > 0):
        return
    found = gather(directory)
    lines, branches = share(found.lines.values()), share(count for counts in found.branches.values() for count in counts)
    rep.note("lines %.2f %% of %d, branches %.2f %% of %d" % (lines, len(found.lines), branches, sum(map(len, found.branches.values()))))
    unmeasured = {os.path.relpath(path, build.ROOT) for path in files(SOURCES, ".c")}
    unmeasured = {name for name in unmeasured if ALONE not in name}
    unmeasured -= {name for name, _ in found.lines}
    rep.check("coverage: every source file is measured", not unmeasured, "not: " + ", ".join(sorted(unmeasured)))
    rep.check("coverage: lines at least %g %%" % LINES, lines >= LINES, "%.2f %%" % lines)
    rep.check("coverage: branches at least %g %%" % BRANCHES, branches >= BRANCHES, "%.2f %%" % branches)
    missed, explained = found.missed(), reasons()
    bare = ["- `%s`: `%s`%s: (line %s)" % (*key, " (%d)" % times if times > 1 else "", ", ".join(map(str, numbers)))
            for key, (times, numbers) in missed.items() if explained.get(key, 0) < times]
    with open(os.path.join(directory, "unexplained.md"), "w") as file:
        file.write("\n".join(bare) + "\n")
    rep.check("coverage: each branch not taken has its reason in tests/coverage.md", not bare,
              "%d lines have branches without one (build/coverage/unexplained.md):\n%s" % (len(bare), "\n".join(bare[:40])))
    stale = sorted("%s: %s" % key for key, times in explained.items() if times > missed.get(key, (0,))[0])
    rep.check("coverage: each reason in tests/coverage.md is still needed", not stale, "\n".join(stale))
