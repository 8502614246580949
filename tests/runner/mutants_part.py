# SPDX-License-Identifier: MIT
"""Mutants: patches that break src/, each of which must make a test fail."""

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

WHAT = "each patch that breaks the library is noticed by a test"
MUTANTS = os.path.join(build.ROOT, "tests", "mutants")
LEAST = 20
COPY = os.path.join(build.ROOT, "build", "mutant-tree")
NAME = "mutant"


def header(path):
    with open(path, errors="replace") as file:
        text = file.read().split("\ndiff ", 1)[0].split("\n--- ", 1)[0]
    what = re.search(r"^What: (.*)", text, re.M)
    tests = re.search(r"^Tests: (.*)", text, re.M)
    return what[1] if what else "", tests[1].split() if tests else []


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


def touched(path):
    with open(path, errors="replace") as file:
        return sorted(set(re.findall(r"^\+\+\+ b/(\S+)", file.read(), re.M)))


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


def one(rep, path, tests_of):
    name = "mutants/" + os.path.basename(path)[:-len(".patch")]
    what, first = header(path)
    if not what:
        return rep.add(name, report.FAILED, "it does not say what it breaks")
    start = time.monotonic()
    files = touched(path)
    try:
        if not files or not all(f.startswith("src/") for f in files):
            return rep.add(name, report.FAILED, "it must change src/ and nothing else")
        done = subprocess.run(["git", "apply", "--unsafe-paths", "--directory", COPY, path], cwd="/", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            return rep.add(name, report.FAILED, "the patch does not apply", done.stdout)
        try:
            by = noticed(order(tests_of, first), name)
        except build.BuildError:
            return rep.add(name, report.FAILED, "it does not compile")
        if by:
            rep.note("%s: noticed by %s, %.1f s (%s)" % (name, by, time.monotonic() - start, what))
            return rep.add(name, report.PASSED)
        return rep.add(name, report.FAILED, "no test noticed: " + what)
    finally:
        for file in files:
            restore(file)


def run(rep, options):
    patches = sorted(glob.glob(os.path.join(MUTANTS, "*.patch")))
    chosen = [path for path in patches if rep.wanted("mutants/" + os.path.basename(path)[:-len(".patch")])]
    if not options.filters:
        rep.check("mutants: at least %d" % LEAST, len(patches) >= LEAST, "there are %d" % len(patches))
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
