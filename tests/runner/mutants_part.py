# SPDX-License-Identifier: MIT
"""Mutants: changes that break src/, each of which must make a test fail."""

import glob
import io
import os
import re
import shutil
import subprocess
import time

import build
import hosted
import report

WHAT = "each change that breaks the library is noticed by a test"
NORMAL = False
MUTANTS = os.path.join(build.ROOT, "tests", "mutants")
LEAST = 20
COPY = os.path.join(build.ROOT, "build", "mutant-tree")
NAME = "mutant"


def read(path):
    """(what it breaks, tests to look at first, file, old lines, new lines)."""
    with open(path) as file:
        text = file.read()
    head = dict(re.findall(r"^(What|Tests|File): (.*)$", text, re.M))
    old = [line[1:] for line in text.split("\n") if line.startswith("-")]
    new = [line[1:] for line in text.split("\n") if line.startswith("+")]
    return head.get("What", ""), head.get("Tests", "").split(), head.get("File", ""), old, new


def place(tree, file, old):
    """(the lines of the tree's file, where the old ones begin, an explanation if they do not stand there exactly once)."""
    path = os.path.join(tree, file)
    if not file.startswith("src/") or not os.path.exists(path) or not old:
        return [], 0, "it must change a file of src/"
    with open(path) as source:
        lines = source.read().split("\n")
    wanted = [" ".join(line.split()) for line in old]
    plain = [" ".join(line.split()) for line in lines]
    places = [i for i in range(len(lines)) if plain[i:i + len(old)] == wanted]
    if len(places) != 1:
        return lines, 0, "its lines stand %d times in %s" % (len(places), file)
    return lines, places[0], ""


def misfits():
    """The mutants that no longer fit the source."""
    found = []
    for path in sorted(glob.glob(os.path.join(MUTANTS, "*.mutant"))):
        _, _, file, old, _ = read(path)
        wrong = place(build.ROOT, file, old)[2]
        found += ["%s: %s" % (mutant_name(path), wrong)] if wrong else []
    return found


def apply(file, old, new):
    """Breaks the copy's file; an explanation if that cannot be."""
    path = os.path.join(COPY, file)
    lines, at, wrong = place(COPY, file, old)
    if wrong:
        return wrong
    lines[at:at + len(old)] = new
    with open(path, "w") as target:
        target.write("\n".join(lines))
    return ""


def copy_tree():
    """The copy keeps the times of files that did not change, so that only what a mutant touches is compiled again."""
    os.makedirs(COPY, exist_ok=True)
    tracked = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=build.ROOT, stdout=subprocess.PIPE, check=True)
    wanted = {name for name in tracked.stdout.decode().split("\0") if name and os.path.exists(os.path.join(build.ROOT, name))}
    for name in wanted:
        restore(name)
    for directory, _, files in os.walk(COPY):
        for file in files:
            path = os.path.join(directory, file)
            if os.path.relpath(path, COPY) not in wanted:
                os.unlink(path)


def restore(name):
    source, target = os.path.join(build.ROOT, name), os.path.join(COPY, name)
    with open(source, "rb") as file:
        data = file.read()
    if os.path.exists(target):
        with open(target, "rb") as file:
            if file.read() == data:
                return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(data)
    shutil.copymode(source, target)


def order(tests, first):
    """The tests that should notice come first, then the other unit tests."""
    def rank(test):
        name = test["part"] + "/" + test["name"]
        for i, piece in enumerate(first):
            if name.startswith(piece):
                return i
        return len(first)
    wanted = [t for t in tests if t["part"] == "unit" or rank(t) < len(first)]
    return sorted(wanted, key=rank)


def noticed(tests, name):
    """The first test that fails, or None. Each program is built only when its turn comes."""
    for test in tests:
        build.ninja(NAME, [os.path.relpath(test["cmd"][0], build.build_dir(NAME))], what=name, out=io.StringIO())
        _, status, _ = hosted.run_program(test, ["--ops", "100000"] if test["part"] == "model" else [], test["timeout"])
        if status not in (0, 77):
            return "%s/%s" % (test["part"], test["name"])
    return None


def one(rep, path, tests):
    name = mutant_name(path)
    what, first, file, old, new = read(path)
    start = time.monotonic()
    try:
        wrong = apply(file, old, new)
        if wrong or not what:
            return rep.add(name, report.FAILED, wrong or "it does not say what it breaks")
        try:
            by = noticed(order(tests, first), name)
        except build.BuildError:
            return rep.add(name, report.FAILED, "it does not compile")
        if not by:
            return rep.add(name, report.FAILED, "no test noticed: " + what)
        rep.note("%s: noticed by %s, %.1f s (%s)" % (name, by, time.monotonic() - start, what))
        return rep.add(name, report.PASSED)
    finally:
        if file:
            restore(file)


def mutant_name(path):
    return "mutants/" + os.path.basename(path)[:-len(".mutant")]


def run(rep, options):
    mutants = sorted(glob.glob(os.path.join(MUTANTS, "*.mutant")))
    chosen = [path for path in mutants if rep.wanted(mutant_name(path))]
    if not options.filters:
        rep.check("mutants: at least %d" % LEAST, len(mutants) >= LEAST, "there are %d" % len(mutants))
    if not chosen:
        return
    copy_tree()
    build.setup(NAME, hosted.BUILD, source=COPY)
    build.ninja(NAME, what="the unbroken tree")
    tests = [{**t, "part": part} for part in hosted.PARTS for t in hosted.tests(build.build_dir(NAME), part)]
    clean = noticed(order(tests, []), "the unbroken tree")
    if not rep.check("mutants: the unbroken tree passes", clean is None, "%s fails" % clean):
        return
    for path in chosen:
        one(rep, path, tests)
