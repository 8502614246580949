# SPDX-License-Identifier: MIT
"""Line and branch coverage of src/vm and src/arch by the hosted tests, with a floor for both and a reason for each branch that is left."""

import json
import os
import re
import subprocess

import build
import hosted
import report

WHAT = "lines and branches of src/ that the hosted tests reach"
NORMAL = False
LINES, BRANCHES = 95.0, 90.0
REASONS = os.path.join(build.ROOT, "tests", "coverage.md")
NAME = "coverage"


def gather(directory):
    """gcovr's summary, merged over the three ISAs: a line or branch counts as reached when any of them reaches it."""
    output = os.path.join(directory, "coverage.json")
    subprocess.run(["gcovr", "--root", build.ROOT, "--filter", os.path.join(build.ROOT, "src", ""), "--exclude-throw-branches",
                    "--gcov-ignore-parse-errors", "--merge-mode-functions=separate", "--json", output, directory], stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT, check=True)
    with open(output) as file:
        return json.load(file)["files"]


def reasons():
    """(file, text of the line) -> reason, from tests/coverage.md: `src/vm/x.c`: `line` - reason."""
    found = {}
    if os.path.exists(REASONS):
        with open(REASONS) as file:
            for line in file:
                entry = re.match(r"- `([^`]+)`: `(.+)`: (\S.*)", line)
                if entry:
                    found[entry[1], entry[2]] = entry[3]
    return found


def run(rep, options):
    directory = build.build(NAME, ["--buildtype", "debug", "-Dcoverage=true"], what="the hosted tests with coverage")
    for root, _, files in os.walk(directory):
        for name in files:
            if name.endswith(".gcda"):
                os.unlink(os.path.join(root, name))
    ran = 0
    for part in hosted.PARTS:
        for test in hosted.tests(directory, part):
            extra = ["--ops", "200000"] if part == "model" else []
            output, status, _ = hosted.run_program(test, extra, test["timeout"] * 2)
            ran += 1
            if status not in (0, 77):
                rep.add("coverage: %s/%s" % (part, test["name"]), report.FAILED, "status %s" % status, output)
    if not rep.check("coverage: tests ran", ran > 0):
        return
    explained = reasons()
    used = set()
    lines = lines_hit = branches = branches_hit = 0
    bare = []
    for entry in gather(directory):
        with open(os.path.join(build.ROOT, entry["file"])) as file:
            text = file.read().split("\n")
        for line in entry["lines"]:
            if line.get("gcovr/noncode"):
                continue
            lines += 1
            lines_hit += line["count"] > 0
            branches += len(line["branches"])
            branches_hit += sum(1 for branch in line["branches"] if branch["count"] > 0)
            if any(branch["count"] == 0 for branch in line["branches"]):
                key = (entry["file"], text[line["line_number"] - 1].strip())
                used.add(key)
                if key not in explained:
                    bare.append("- `%s`: `%s`: (line %d)" % (*key, line["line_number"]))
    line_share, branch_share = 100.0 * lines_hit / max(1, lines), 100.0 * branches_hit / max(1, branches)
    rep.note("lines %.1f %% of %d, branches %.1f %% of %d" % (line_share, lines, branch_share, branches))
    with open(os.path.join(directory, "unexplained.md"), "w") as file:
        file.write("\n".join(bare) + "\n")
    rep.check("coverage: lines at least %g %%" % LINES, line_share >= LINES, "%.1f %%" % line_share)
    rep.check("coverage: branches at least %g %%" % BRANCHES, branch_share >= BRANCHES, "%.1f %%" % branch_share)
    rep.check("coverage: each branch not taken has its reason in tests/coverage.md", not bare, "%d have none (build/coverage/unexplained.md):\n%s" % (
        len(bare), "\n".join(bare[:40])))
    stale = sorted(set(explained) - used)
    rep.check("coverage: each reason in tests/coverage.md is still needed", not stale, "\n".join("%s: %s" % key for key in stale))
